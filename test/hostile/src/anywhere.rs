//! Accesses where nothing of the program's is, its reason to be.

#![allow(unsafe_code)]

use addr::Peer;

/// Reads the word at `at`.
pub(crate) fn read(at: Peer) -> u32 {
    let source = core::ptr::with_exposed_provenance::<u32>(at.0 as usize);
    // SAFETY: the attempt is that this faults; should it not, it has read a word.
    // Whoever gives the order names no place of the program's own.
    unsafe { source.read_volatile() }
}

/// Writes the word at `at`.
pub(crate) fn write(at: Peer, word: u32) {
    let target = core::ptr::with_exposed_provenance_mut::<u32>(at.0 as usize);
    // SAFETY: the attempt is that this faults. Should it not, somebody else's
    // memory is damaged, and whoever gave the order sees that.
    unsafe { target.write_volatile(word) };
}
