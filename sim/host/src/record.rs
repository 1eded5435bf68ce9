//! What the host tells a trace.
//!
//! Records hold no addresses of the host's process and no formatted text: the
//! same seed gives the same records in every run.

use abi::{FaultInfo, Generation, Sysnum};
use kern::arch::{SavedRegisters, SavedState};
use kern::{Irq, TaskIndex};

/// Something the kernel or a task did.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A task makes a system call. `arguments` are those that are no
    /// addresses, in the order of the registers, then zeros.
    Call {
        /// The task.
        task: TaskIndex,
        /// Its number.
        number: u32,
        /// Its arguments.
        arguments: [u32; 4],
    },
    /// A system call returns to its task.
    Return {
        /// The task.
        task: TaskIndex,
        /// The call's number.
        number: u32,
        /// Its results, then zeros.
        results: [u32; 4],
    },
    /// A task was faulted.
    Fault {
        /// The task.
        task: TaskIndex,
        /// Why.
        fault: FaultInfo,
    },
    /// An incarnation of a task begins.
    Begin {
        /// The task.
        task: TaskIndex,
        /// Which incarnation.
        generation: Generation,
    },
    /// The kernel takes an interrupt.
    Interrupt {
        /// Which.
        irq: Irq,
    },
    /// The kernel's timer ended.
    Tick,
}

impl Record {
    pub(crate) fn call(task: TaskIndex, save: &SavedState) -> Self {
        // Positions of the arguments that are no addresses.
        let positions: &[usize] = match Sysnum::try_from(save.number()) {
            Ok(Sysnum::Send) => &[0, 2, 4, 6],
            Ok(Sysnum::Recv) => &[1, 2, 3],
            Ok(Sysnum::Reply) => &[0, 1, 3],
            Ok(Sysnum::SetTimer) => &[0, 1, 2, 3],
            Ok(Sysnum::BorrowRead | Sysnum::BorrowWrite) => &[0, 1, 2, 4],
            Ok(Sysnum::Panic) => &[1],
            Ok(Sysnum::ReplyRecv) => &[0, 1, 3, 6],
            Ok(Sysnum::BorrowInfo | Sysnum::IrqControl | Sysnum::Post | Sysnum::ReplyFault) => {
                &[0, 1]
            }
            Ok(Sysnum::RefreshTaskId | Sysnum::IrqStatus) => &[0],
            Ok(Sysnum::GetTimer) | Err(()) => &[],
        };
        let mut arguments = [0; 4];
        for (argument, &position) in arguments.iter_mut().zip(positions) {
            *argument = save.argument(position) as u32;
        }
        Self::Call { task, number: save.number(), arguments }
    }

    pub(crate) fn result(task: TaskIndex, number: u32, save: &SavedState) -> Self {
        let count = match Sysnum::try_from(number) {
            Ok(Sysnum::Recv | Sysnum::ReplyRecv | Sysnum::GetTimer) => 4,
            Ok(Sysnum::BorrowInfo) => 3,
            Ok(Sysnum::Send | Sysnum::BorrowRead | Sysnum::BorrowWrite) => 2,
            Ok(Sysnum::RefreshTaskId | Sysnum::Post | Sysnum::IrqStatus) => 1,
            _ => 0,
        };
        let mut results = [0; 4];
        for (position, result) in results.iter_mut().enumerate().take(count) {
            *result = save.argument(position) as u32;
        }
        Self::Return { task, number, results }
    }
}
