//! The architecture of a host process, for the simulator.
//!
//! A user's addresses are the process' own; the simulator gives each task a
//! stack and the program's read-only data as its regions. What makes a task
//! run, and what a device access is, belongs to `sim/host`.

#![allow(unsafe_code)]

use core::ptr;

use abi::TaskId;

use super::{Arch, SavedRegisters};
use crate::task::{Task, Timestamp};
use crate::umem::{Readable, Writable};

/// The host architecture.
#[derive(Debug)]
pub enum Host {}

/// Registers of a task that does not run.
#[derive(Copy, Clone, Debug, Default)]
pub struct SavedState {
    r4: usize,
    r5: usize,
    r6: usize,
    r7: usize,
    r8: usize,
    r9: usize,
    r10: usize,
    r11: usize,
}

impl SavedState {
    /// The registers of a system call, r4 to r11.
    #[must_use]
    pub fn from_registers(registers: [usize; 8]) -> Self {
        let [r4, r5, r6, r7, r8, r9, r10, r11] = registers;
        Self { r4, r5, r6, r7, r8, r9, r10, r11 }
    }

    /// r4 to r11.
    #[must_use]
    pub fn registers(&self) -> [usize; 8] {
        [self.r4, self.r5, self.r6, self.r7, self.r8, self.r9, self.r10, self.r11]
    }
}

impl SavedRegisters for SavedState {
    const EMPTY: Self = Self { r4: 0, r5: 0, r6: 0, r7: 0, r8: 0, r9: 0, r10: 0, r11: 0 };

    fn argument(&self, n: usize) -> usize {
        match n {
            0 => self.r4,
            1 => self.r5,
            2 => self.r6,
            3 => self.r7,
            4 => self.r8,
            5 => self.r9,
            6 => self.r10,
            _ => unreachable!("a system call has seven arguments"),
        }
    }

    fn number(&self) -> u32 {
        self.r11 as u32
    }

    fn set_result(&mut self, n: usize, value: usize) {
        *match n {
            0 => &mut self.r4,
            1 => &mut self.r5,
            2 => &mut self.r6,
            3 => &mut self.r7,
            4 => &mut self.r8,
            5 => &mut self.r9,
            6 => &mut self.r10,
            _ => unreachable!("a system call has seven results"),
        } = value;
    }
}

impl Arch for Host {
    type Address = usize;
    type SavedState = SavedState;

    fn copy(from: Readable, to: Writable) -> usize {
        let len = from.len().min(to.len());
        if len > 0 {
            // SAFETY: both lie in regions of tasks (that is what the types
            // stand for), which the simulator maps for as long as the task can
            // wait in a system call, and the tasks lent them to this call.
            // `copy`, because two slices may lie in one stack. A region that
            // outlived its mapping would break this.
            unsafe {
                ptr::copy(
                    ptr::with_exposed_provenance::<u8>(from.base()),
                    ptr::with_exposed_provenance_mut(to.base()),
                    len,
                );
            }
        }
        len
    }

    fn read(from: Readable, into: &mut [u8]) -> usize {
        let len = from.len().min(into.len());
        if len > 0 {
            // SAFETY: as in `copy`; `into` is the kernel's own.
            unsafe {
                ptr::copy(ptr::with_exposed_provenance(from.base()), into.as_mut_ptr(), len);
            }
        }
        len
    }

    fn write(from: &[u8], to: Writable) -> usize {
        let len = from.len().min(to.len());
        if len > 0 {
            // SAFETY: as in `copy`; `from` is the kernel's own.
            unsafe {
                ptr::copy(from.as_ptr(), ptr::with_exposed_provenance_mut(to.base()), len);
            }
        }
        len
    }

    /// Nothing: what a simulated task left is seen where it is.
    fn remains(_: &Task, _: TaskId, _: Timestamp, _: Writable) -> usize {
        0
    }

    fn word(address: usize) -> usize {
        address
    }

    /// Nothing: a process' addresses differ from run to run, and fault records
    /// are part of traces that must not.
    fn report(_: usize) -> Option<u32> {
        None
    }
}
