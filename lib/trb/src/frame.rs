//! Frames and microframes as the controller counts them (4.11.2.5, 5.5.1).

/// Frames that Frame ID counts before it wraps.
const FRAMES: u16 = 1 << 11;

/// A frame number as in an Isoch TRB, 11 bits.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct FrameId(u16);

impl FrameId {
    /// The frame with this number, modulo 2048.
    #[must_use]
    pub const fn wrapping(number: u16) -> Self {
        Self(number % FRAMES)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The frame `frames` later.
    #[must_use]
    pub const fn plus(self, frames: u16) -> Self {
        Self((self.0 + frames % FRAMES) % FRAMES)
    }

    /// Frames from `earlier` to this one, going forward.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u16 {
        (self.0 + FRAMES - earlier.0) % FRAMES
    }
}

/// The MFINDEX register: microframes, 14 bits.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct MfIndex(u16);

impl MfIndex {
    /// Out of the register's value.
    #[must_use]
    pub const fn from_register(value: u32) -> Self {
        Self(value as u16 & 0x3FFF)
    }

    /// The microframe.
    #[must_use]
    pub const fn microframe(self) -> u16 {
        self.0
    }

    /// The frame that the microframe lies in.
    #[must_use]
    pub const fn frame(self) -> FrameId {
        FrameId::wrapping(self.0 >> 3)
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameId, MfIndex};

    #[test]
    fn frames_wrap_at_2048() {
        assert_eq!(FrameId::wrapping(2047).plus(2).number(), 1);
        assert_eq!(FrameId::wrapping(1).since(FrameId::wrapping(2047)), 2);
        assert_eq!(FrameId::wrapping(5).plus(u16::MAX).number(), (5 + 65535 % 2048) % 2048);
    }

    #[test]
    fn a_frame_is_eight_microframes_and_reserved_bits_do_not_count() {
        assert_eq!(MfIndex::from_register(0xFFFF_C000 | 17).frame().number(), 2);
        assert_eq!(MfIndex::from_register(0x3FFF).frame().number(), 2047);
    }
}
