//! The numbers by which a controller names things, each of its own type.

/// A device slot, 1 and up.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u8);

impl SlotId {
    /// Where a table of slots holds it; `None` for slot 0, which is none.
    pub(crate) const fn index(self) -> Option<usize> {
        (self.0 as usize).checked_sub(1)
    }
}

/// A device context index: 1 for endpoint 0, twice the number plus 1 for IN for
/// the others (xHCI 1.2, 4.5.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dci(pub u8);

impl Dci {
    /// Endpoint 0.
    pub(crate) const CONTROL: Self = Self(1);
    /// The greatest index.
    pub(crate) const LAST: u8 = 31;

    pub(crate) const fn is_in(self) -> bool {
        self.0 & 1 == 1
    }

    pub(crate) const fn endpoint(self) -> usb_model::Endpoint {
        if self.is_in() {
            usb_model::Endpoint::input(self.0 / 2)
        } else {
            usb_model::Endpoint::output(self.0 / 2)
        }
    }
}

/// An interrupter, 0 and up.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterrupterId(pub u16);

impl InterrupterId {
    /// The one that gets command completions, port changes and host events.
    pub(crate) const PRIMARY: Self = Self(0);

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A root hub port, 1 and up.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootPort(pub u8);

impl RootPort {
    pub(crate) const fn index(self) -> Option<usize> {
        (self.0 as usize).checked_sub(1)
    }
}
