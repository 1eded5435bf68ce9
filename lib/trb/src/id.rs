//! Numbers of one controller: slots, endpoints, interrupters, ports.
//!
//! An endpoint has three numbers (address, DCI, context index) and upstream
//! mixed two of them up once; here the DCI is a type and the others are made
//! from it.

/// The number does not exist: 0 where 0 names nothing, or beyond the field.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct BadId;

/// A device slot, 1 to 255 (4.5).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(u8);

impl SlotId {
    /// The slot with this number.
    ///
    /// # Errors
    /// 0 is no slot.
    pub const fn new(number: u8) -> Result<Self, BadId> {
        if number == 0 { Err(BadId) } else { Ok(Self(number)) }
    }

    /// Its number, as in command TRBs and DCBAA.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A device context index, 1 to 31: the doorbell target of an endpoint (4.5.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dci(u8);

impl Dci {
    /// The default control endpoint.
    pub const EP0: Self = Self(1);

    /// The endpoint with this index.
    ///
    /// # Errors
    /// 0 is the slot context, 32 and more do not exist.
    pub const fn new(index: u8) -> Result<Self, BadId> {
        if index == 0 || index > 31 { Err(BadId) } else { Ok(Self(index)) }
    }

    /// The endpoint with this number and direction; EP0 has no direction.
    ///
    /// # Errors
    /// Numbers above 15 do not exist.
    pub const fn of_endpoint(number: u8, is_in: bool) -> Result<Self, BadId> {
        match number {
            0 => Ok(Self::EP0),
            1..=15 => Ok(Self(2 * number + is_in as u8)),
            _ => Err(BadId),
        }
    }

    /// Its index, as in doorbells and command TRBs.
    #[must_use]
    pub const fn index(self) -> u8 {
        self.0
    }

    /// Its bit in the flags of an input control context, and in all masks here.
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << self.0
    }

    /// Whether it is an IN endpoint; EP0 counts as one.
    #[must_use]
    pub const fn is_in(self) -> bool {
        self.0 & 1 != 0
    }

    /// The endpoints in a mask of DCI bits, lowest first.
    pub fn in_mask(mask: u32) -> impl Iterator<Item = Self> {
        (1..=31).map(Self).filter(move |dci| mask & dci.bit() != 0)
    }
}

/// An interrupter, 0 to 1023; 0 is the primary one (4.17).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterrupterId(u16);

impl InterrupterId {
    /// The primary interrupter: commands, ports, host events.
    pub const PRIMARY: Self = Self(0);

    /// The interrupter with this number.
    ///
    /// # Errors
    /// The field has ten bits.
    pub const fn new(number: u16) -> Result<Self, BadId> {
        if number > 0x3FF { Err(BadId) } else { Ok(Self(number)) }
    }

    /// Out of the ten bits of a field.
    pub(crate) const fn from_field(field: u32) -> Self {
        Self(field as u16 & 0x3FF)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// As the Interrupter Target field wants it, in bits 31:22.
    #[must_use]
    pub const fn field(self) -> u32 {
        (self.0 as u32) << 22
    }
}

/// A root hub port, 1 to 255 (4.19).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(u8);

impl PortId {
    /// The port with this number.
    ///
    /// # Errors
    /// 0 is no port.
    pub const fn new(number: u8) -> Result<Self, BadId> {
        if number == 0 { Err(BadId) } else { Ok(Self(number)) }
    }

    /// Its number, from 1.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{BadId, Dci, InterrupterId, PortId, SlotId};

    /// D-15: an address is no index; the way from one to the other is this one.
    #[test]
    fn an_endpoints_index_is_twice_its_number_plus_one_for_in() {
        assert_eq!(Dci::of_endpoint(0, true), Ok(Dci::EP0));
        assert_eq!(Dci::of_endpoint(0, false), Ok(Dci::EP0));
        assert_eq!(Dci::of_endpoint(1, false).map(Dci::index), Ok(2));
        assert_eq!(Dci::of_endpoint(15, true).map(Dci::index), Ok(31));
        assert_eq!(Dci::of_endpoint(16, false), Err(BadId));
    }

    #[test]
    fn numbers_that_name_nothing_are_refused() {
        assert!(SlotId::new(0).is_err() && PortId::new(0).is_err());
        assert!(Dci::new(0).is_err() && Dci::new(32).is_err() && Dci::new(31).is_ok());
        assert!(InterrupterId::new(1023).is_ok() && InterrupterId::new(1024).is_err());
    }

    #[test]
    fn a_mask_lists_its_endpoints_and_never_the_slot_context() {
        let mut found = Dci::in_mask(1 | 1 << 1 | 1 << 4 | 1 << 31).map(Dci::index);
        assert_eq!(
            [found.next(), found.next(), found.next(), found.next()],
            [Some(1), Some(4), Some(31), None]
        );
    }
}
