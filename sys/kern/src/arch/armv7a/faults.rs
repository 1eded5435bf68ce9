//! What a trapped instruction of a task means.

use abi::{FaultInfo, FaultSource};

use super::context::SavedState;
use super::cp15;
use super::vectors::{DATA_ABORT, PREFETCH_ABORT, UNDEFINED};
use crate::task::TaskDesc;

/// How far past the trapped instruction the link register is (ARM ARM B1.8.3,
/// table B1-7).
const AFTER_UNDEFINED: u32 = 4;
const LESS_IN_THUMB: u32 = 2;
const AFTER_PREFETCH: u32 = 4;
const AFTER_DATA: u32 = 8;

/// A status register's fault status: FS[3:0], and FS[4] from bit 10
/// (B4.1.51, B4.1.96).
fn status(register: u32) -> u32 {
    register & 0xF | register >> 6 & 0x10
}

/// Statuses, short descriptors (B3.13.3, table B3-23).
const ALIGNMENT: u32 = 0b00001;
const DEBUG_EVENT: u32 = 0b00010;
const EXTERNAL: u32 = 0b01000;
const ASYNCHRONOUS_EXTERNAL: u32 = 0b10110;
const EXTERNAL_ON_WALK: [u32; 2] = [0b01100, 0b01110];

/// Says what the task that was interrupted by an exception of kind `kind` did,
/// and moves its program counter back to the instruction.
pub(super) fn describe(kind: u32, save: &mut SavedState, descriptor: &TaskDesc) -> FaultInfo {
    match kind {
        UNDEFINED => {
            save.rewind(AFTER_UNDEFINED, LESS_IN_THUMB);
            FaultInfo::IllegalInstruction
        }
        PREFETCH_ABORT => {
            save.rewind(AFTER_PREFETCH, 0);
            prefetch(status(cp15::ifsr()), save.pc())
        }
        DATA_ABORT => {
            save.rewind(AFTER_DATA, 0);
            data(status(cp15::dfsr()), cp15::dfar(), descriptor)
        }
        _ => unreachable!("the vectors tell of no other exception"),
    }
}

fn prefetch(status: u32, pc: u32) -> FaultInfo {
    match status {
        DEBUG_EVENT => FaultInfo::IllegalInstruction,
        EXTERNAL => FaultInfo::BusError { address: Some(pc), source: FaultSource::User },
        _ => FaultInfo::IllegalText,
    }
}

fn data(status: u32, address: u32, descriptor: &TaskDesc) -> FaultInfo {
    let stack = descriptor.regions[0].base;
    match status {
        ALIGNMENT | DEBUG_EVENT => FaultInfo::InvalidOperation(status),
        ASYNCHRONOUS_EXTERNAL => FaultInfo::BusError { address: None, source: FaultSource::User },
        EXTERNAL => FaultInfo::BusError { address: Some(address), source: FaultSource::User },
        status if EXTERNAL_ON_WALK.contains(&status) => {
            FaultInfo::BusError { address: Some(address), source: FaultSource::User }
        }
        // The stack is at the bottom of the task's RAM.
        _ if address < stack && stack - address <= OVERFLOW => FaultInfo::StackOverflow { address },
        _ => FaultInfo::MemoryAccess { address: Some(address), source: FaultSource::User },
    }
}

/// An access so close below the stack is taken for an overflow: frames are
/// smaller.
const OVERFLOW: u32 = 0x1000;
