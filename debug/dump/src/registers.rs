//! Registers as Humility numbers them: those of a Cortex-M (ARMv7-M DCRSR,
//! ARM DDI 0403 C1.6.3).

use crate::Error;
use std::collections::BTreeMap;

/// A register's number.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Register(pub u32);

impl Register {
    /// Stack pointer of what runs.
    pub const SP: Self = Self(13);
    /// Link register.
    pub const LR: Self = Self(14);
    /// Where it runs.
    pub const PC: Self = Self(15);
    /// Program status.
    pub const PSR: Self = Self(16);
    /// The kernel's stack pointer.
    pub const MSP: Self = Self(17);
    /// The task's stack pointer.
    pub const PSP: Self = Self(18);
    /// Four special registers; all zero.
    pub const SPR: Self = Self(20);
}

/// Values of registers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registers(BTreeMap<Register, u32>);

impl Registers {
    /// What `register` holds, if it is known.
    #[must_use]
    pub fn get(&self, register: Register) -> Option<u32> {
        self.0.get(&register).copied()
    }

    /// Sets what `register` holds.
    pub fn set(&mut self, register: Register, value: u32) {
        self.0.insert(register, value);
    }

    /// All that are known, by number.
    pub fn iter(&self) -> impl Iterator<Item = (Register, u32)> {
        self.0.iter().map(|(&register, &value)| (register, value))
    }

    /// Pairs of number and value.
    pub(crate) fn to_note(&self) -> Vec<u8> {
        self.iter()
            .flat_map(|(register, value)| [register.0, value])
            .flat_map(u32::to_le_bytes)
            .collect()
    }

    pub(crate) fn from_note(note: &[u8]) -> Result<Self, Error> {
        let (words, rest) = note.as_chunks::<4>();
        let (pairs, odd) = words.as_chunks::<2>();
        if !rest.is_empty() || !odd.is_empty() {
            return Err(Error::BadRegisters);
        }
        let mut registers = Self::default();
        for [register, value] in pairs {
            let register = u32::from_le_bytes(*register);
            let value = u32::from_le_bytes(*value);
            if registers.0.insert(Register(register), value).is_some() {
                return Err(Error::SecondValue(register));
            }
        }
        Ok(registers)
    }
}
