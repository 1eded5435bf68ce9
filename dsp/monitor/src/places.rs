//! Where the shared pages are, and how they are read.
//!
//! The writers of these pages are tasks, which can be killed, or wrong. A record
//! is taken when it is marked as in use and reads the same twice: writers take
//! the mark away before they change a record and set it after (see `xhci`'s gate
//! and `iommu`'s window page).

use crate::platform::Platform;
use addr::{PAGE, Phys};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Controllers that the pages have room for.
pub const CONTROLLERS: usize = 2;

/// A run of the physical address space.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub base: Phys,
    /// Bytes.
    pub bytes: u64,
}

impl Span {
    /// Whether `bytes` bytes from `at` on all lie inside.
    #[must_use]
    pub const fn holds(&self, at: Phys, bytes: u64) -> bool {
        match at.offset_from(self.base) {
            Some(offset) => offset < self.bytes && bytes <= self.bytes - offset,
            None => false,
        }
    }

    /// Whether `at` is the address of a page inside.
    #[must_use]
    pub const fn holds_page(&self, at: Phys) -> bool {
        at.0.is_multiple_of(PAGE as u64) && self.holds(at, PAGE as u64)
    }
}

/// A controller.
#[derive(Copy, Clone, Debug, Hash)]
pub struct Controller {
    /// Its gate page.
    pub gate: Phys,
    /// Its registers (BAR 0).
    pub registers: Span,
    /// Where its transfer rings and shadow rings are: its driver's pool of rings.
    pub rings: Span,
}

/// Where things are.
#[derive(Copy, Clone, Debug, Hash)]
pub struct Places {
    /// The controllers, by number.
    pub controllers: [Option<Controller>; CONTROLLERS],
    /// The answer page.
    pub answers: Phys,
    /// The window page: page 0 of the `tables` pool.
    pub windows: Phys,
    /// The mailbox: a page of `dsp_link`'s, a page of the monitor's.
    pub mailbox: Phys,
}

/// Times that a record is read again that was written meanwhile. Its writer
/// rings afterwards, so that nothing is lost by giving up.
const READINGS: u32 = 4;

/// Reads a record whose first word is 1 while it is in use; `None` when it is
/// not, or is being written.
pub(crate) fn read_record<R>(platform: &mut impl Platform, at: Phys) -> Option<R>
where
    R: FromBytes + IntoBytes + Immutable + PartialEq,
{
    let mut read = || {
        let mut record = R::new_zeroed();
        platform.read(at, record.as_mut_bytes());
        platform.acquire();
        record
    };
    let mut record = read();
    for _ in 0..READINGS {
        let again = read();
        if record == again {
            let in_use = record.as_bytes().first_chunk().is_some_and(|word| *word == [1, 0, 0, 0]);
            return in_use.then_some(record);
        }
        record = again;
    }
    None
}

/// Reads one word of a shared page. What is read after it was written before
/// it, when the writer kept that order.
pub(crate) fn read_word(platform: &mut impl Platform, at: Phys) -> u32 {
    let mut word = 0_u32;
    platform.read(at, word.as_mut_bytes());
    platform.acquire();
    word
}

#[cfg(test)]
mod tests {
    use super::Span;
    use addr::Phys;

    #[test]
    fn a_span_holds_what_begins_and_ends_inside() {
        let span = Span { base: Phys(0x4404_0000), bytes: 0x2000 };
        assert!(span.holds(Phys(0x4404_0000), 0x2000));
        assert!(span.holds(Phys(0x4404_1FFC), 4));
        assert!(!span.holds(Phys(0x4404_1FFD), 4));
        assert!(!span.holds(Phys(0x4403_FFFC), 8));
        assert!(!span.holds(Phys(0x4404_2000), 0));
        assert!(!span.holds(Phys(u64::MAX), u64::MAX));
        assert!(span.holds_page(Phys(0x4404_1000)));
        assert!(!span.holds_page(Phys(0x4404_0800)));
        assert!(!span.holds_page(Phys(0x4404_2000)));
    }
}
