//! The host's records in the words of the fabric's trace.
//!
//! Two crates that know nothing of each other tell what happened; a run has one
//! trace.

use abi::FaultInfo;
use fabric::{Core, IntId, Record, Time};

/// The trace's record of what the kernel or a task did.
#[must_use]
pub fn record(record: host::Record) -> Record {
    match record {
        host::Record::Call { task, number, arguments } => {
            Record::Syscall { task: u16::from(task.0), number, args: arguments }
        }
        host::Record::Return { task, results, .. } => {
            Record::Return { task: u16::from(task.0), code: results[0], length: results[1] }
        }
        host::Record::Fault { task, fault } => {
            Record::Fault { task: u16::from(task.0), kind: fault_name(fault) }
        }
        host::Record::Begin { task, generation } => {
            Record::Restart { task: u16::from(task.0), generation: generation.0 }
        }
        host::Record::Interrupt { irq } => {
            Record::Interrupt { core: Core::App, line: IntId(irq.0 as u16) }
        }
        host::Record::Tick => Record::Mark { what: "tick", value: 0 },
    }
}

/// The fabric's clock out of the host's; both count nanoseconds.
#[must_use]
pub const fn time(time: host::Time) -> Time {
    Time(time.0)
}

/// What a task did to be faulted, in a word.
#[must_use]
pub const fn fault_name(fault: FaultInfo) -> &'static str {
    match fault {
        FaultInfo::MemoryAccess { .. } => "memory-access",
        FaultInfo::StackOverflow { .. } => "stack-overflow",
        FaultInfo::BusError { .. } => "bus-error",
        FaultInfo::DivideByZero => "divide-by-zero",
        FaultInfo::IllegalText => "illegal-text",
        FaultInfo::IllegalInstruction => "illegal-instruction",
        FaultInfo::InvalidOperation(_) => "invalid-operation",
        FaultInfo::SyscallUsage(_) => "syscall-usage",
        FaultInfo::Panic => "panic",
        FaultInfo::Injected(_) => "injected",
        FaultInfo::FromServer(..) => "from-server",
    }
}
