//! The core under a program: its monitor, and its view of memory.
//!
//! A call of the monitor is an SVC with six words in r0 to r5 and four back in
//! r0 to r3; memory of the peer's space is memory. The monitor set the stack,
//! zeroed all RAM, and starts the program again whenever it faults, which is
//! also what a panic becomes.

use addr::Peer;
use core::arch::asm;
use core::ptr;
use dsp_abi::monitor::Call;
use program::core::Core;

/// End of what the program sees of the peer's space, its own page, and the media
/// pool. Its code, its constants and its stack lie above.
pub const SPACE_END: Peer = Peer(0x4000_0000);

/// The core under the program.
#[derive(Debug)]
pub struct Supervised;

impl Supervised {
    /// A call of the monitor: number and arguments, whatever they are.
    #[must_use]
    pub fn raw(&self, call: [u32; 6]) -> [u32; 4] {
        let [mut w, mut x, mut y, mut z, d, e] = call;
        // SAFETY: the monitor changes r0 to r3, and of memory only what the
        // call says: the program's own page and rings, which no reference is
        // to. A call that it refuses changes nothing.
        unsafe {
            asm!(
                "svc #0",
                inout("r0") w, inout("r1") x, inout("r2") y, inout("r3") z,
                in("r4") d, in("r5") e,
                options(nostack)
            );
        }
        [w, x, y, z]
    }
}

impl Core for Supervised {
    fn call(&self, call: Call, arguments: [u32; 5]) -> [u32; 4] {
        let [a, b, c, d, e] = arguments;
        self.raw([call as u32, a, b, c, d, e])
    }

    fn read(&self, at: Peer, into: &mut [u8]) {
        let mut source: *const u8 = ptr::with_exposed_provenance(place(at, into.len()));
        let mut into = into;
        // Aligned words in one access: a controller writes events by words, and
        // the cycle bit's word must not be seen in halves.
        while !into.is_empty() {
            if source.addr().is_multiple_of(4) && into.len() >= 4 {
                // SAFETY: `place` saw that nothing of Rust's is there. Where
                // nothing is at all the core faults, and the program ends.
                let word = unsafe { source.cast::<u32>().read_volatile() };
                into[..4].copy_from_slice(&word.to_ne_bytes());
                into = &mut into[4..];
                source = source.wrapping_add(4);
            } else {
                // SAFETY: as above.
                into[0] = unsafe { source.read_volatile() };
                into = &mut into[1..];
                source = source.wrapping_add(1);
            }
        }
    }

    fn write(&self, at: Peer, from: &[u8]) {
        let mut target: *mut u8 = ptr::with_exposed_provenance_mut(place(at, from.len()));
        let mut from = from;
        while !from.is_empty() {
            if target.addr().is_multiple_of(4) && from.len() >= 4 {
                let word = u32::from_ne_bytes([from[0], from[1], from[2], from[3]]);
                // SAFETY: as in `read`.
                unsafe { target.cast::<u32>().write_volatile(word) };
                from = &from[4..];
                target = target.wrapping_add(4);
            } else {
                // SAFETY: as in `read`.
                unsafe { target.write_volatile(from[0]) };
                from = &from[1..];
                target = target.wrapping_add(1);
            }
        }
    }
}

/// Where `len` bytes at `at` are for this core.
///
/// # Panics
/// When that would reach into the program itself: what a response of the
/// application core names must not be able to.
fn place(at: Peer, len: usize) -> usize {
    let end = at.checked_add(len as u64).filter(|&end| end <= SPACE_END);
    assert!(end.is_some(), "an address outside the peer's space");
    at.0 as usize
}

/// Ends the program, so that the monitor starts it anew.
pub fn end() -> ! {
    // SAFETY: an undefined instruction; the monitor takes it and never returns.
    unsafe { asm!("udf #0", options(noreturn, nomem, nostack)) }
}
