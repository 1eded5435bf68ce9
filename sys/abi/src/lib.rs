//! What the kernel and every task both know.
//!
//! Numbers, identifiers and codes follow the Hubris reference, so that code
//! and people can move between the two; where Sotto adds something the text
//! says so.

#![no_std]

use packed::Packed;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most tasks an image can have: the ready set and each set of waiting senders
/// are one word.
pub const MAX_TASKS: usize = 32;

/// Most leases one SEND can carry; more is a usage fault of the sender.
pub const MAX_LEASES: usize = 255;

/// A task and one incarnation of it: index in the low 10 bits, generation in
/// the high 6.
#[derive(
    Copy, Clone, Debug, PartialEq, Eq, Hash, Packed, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct TaskId(pub u16);

impl TaskId {
    /// The kernel, as the sender of a notification and as the target of
    /// `jefe`'s requests.
    pub const KERNEL: Self = Self(0xFFFF);
    /// Bits that hold the index.
    pub const INDEX_BITS: u32 = 10;
    /// Mask of the index bits.
    pub const INDEX_MASK: u16 = (1 << Self::INDEX_BITS) - 1;

    /// The id of incarnation `generation` of task `index`.
    #[must_use]
    pub const fn new(index: u16, generation: Generation) -> Self {
        Self(index & Self::INDEX_MASK | (generation.0 as u16) << Self::INDEX_BITS)
    }

    /// Which task.
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0 & Self::INDEX_MASK) as usize
    }

    /// Which incarnation of it.
    #[must_use]
    pub const fn generation(self) -> Generation {
        Generation((self.0 >> Self::INDEX_BITS) as u8)
    }
}

/// Counts a task's incarnations, modulo 64.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash, Packed)]
#[repr(transparent)]
pub struct Generation(pub u8);

impl Generation {
    /// The incarnation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self((self.0 + 1) & 0x3F)
    }
}

/// A task's importance: 0 is the most important. Every task has its own.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Priority(pub u8);

/// Response codes from this value up mean that the other side is dead; the low
/// six bits are its new generation.
pub const FIRST_DEAD_CODE: u32 = 0xFFFF_FF00;

/// The response code that tells a sender that its peer's incarnation is gone.
#[must_use]
pub const fn dead_response_code(new_generation: Generation) -> u32 {
    FIRST_DEAD_CODE | new_generation.0 as u32
}

/// The new generation out of a dead code; `None` when `code` is none.
#[must_use]
pub const fn extract_new_generation(code: u32) -> Option<Generation> {
    if code & FIRST_DEAD_CODE == FIRST_DEAD_CODE {
        Some(Generation(code as u8 & 0x3F))
    } else {
        None
    }
}

/// Answer of a BORROW_* system call that names a lender that is gone or no
/// longer waits for the caller (Hubris reference, "DEFECT").
pub const DEFECT: u32 = 1;

/// Bit 31 of a notification mask: the timer bit by convention of `userlib`.
pub const TIMER_MASK: u32 = 1 << 31;

bitmask! {
    /// What a lease lets the borrower do.
    LeaseAttributes {
        /// The borrower may read.
        READ = 1 << 0,
        /// The borrower may write.
        WRITE = 1 << 1,
    }
}

bitmask! {
    /// What IRQ_STATUS reports of an interrupt.
    IrqStatus {
        /// The line is enabled.
        ENABLED = 1 << 0,
        /// The line is pending at the controller.
        PENDING = 1 << 1,
        /// The notification it maps to is posted and not yet taken.
        POSTED = 1 << 2,
    }
}

bitmask! {
    /// What a task may do with a region of its address space (the values that
    /// Humility reads).
    RegionAttributes {
        /// Data reads.
        READ = 1 << 0,
        /// Data writes.
        WRITE = 1 << 1,
        /// Instruction fetches.
        EXECUTE = 1 << 2,
        /// Device memory.
        DEVICE = 1 << 3,
        /// Memory that devices also access: never lent, never a message.
        DMA = 1 << 4,
    }
}

/// One row of the lease table that a SEND points to.
///
/// On a 32-bit machine it is Hubris' 12 bytes; on a host the address and the
/// length are the host's words.
#[derive(Copy, Clone, Debug)]
#[repr(C)]
pub struct ULease {
    /// What the borrower may do.
    pub attributes: LeaseAttributes,
    /// First byte.
    pub base_address: usize,
    /// Bytes.
    pub length: usize,
}

/// IRQ_CONTROL: enable the interrupts (otherwise disable them).
pub const IRQ_ENABLE: usize = 1 << 0;

/// IRQ_CONTROL: first forget that the interrupts are pending.
pub const IRQ_CLEAR_PENDING: usize = 1 << 1;

/// RECV: this bit in the register of the sender makes the receive closed.
pub const RECV_CLOSED: usize = 1 << 31;

/// Notification bit of the supervisor (task 0) that the kernel sets when a task
/// faults.
pub const FAULT_NOTIFICATION: u32 = 1 << 0;

/// Bytes of a panic message that the kernel hands on; the rest is dropped.
pub const PANIC_MESSAGE_MAX_LEN: usize = 128;

/// Answers of the kernel to a request of the supervisor, beside 0.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum KipcError {
    /// The task is not faulted by a PANIC.
    TaskNotPanicked = 1,
    /// The task panicked with a message that it does not own.
    BadPanicBuffer = 2,
}

/// Declares a set of named bits over `u32`.
#[macro_export]
macro_rules! bitmask {
    ($(#[$doc:meta])* $name:ident { $($(#[$bit_doc:meta])* $bit:ident = $value:expr,)* }) => {
        $(#[$doc])*
        #[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
        #[repr(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// No bit.
            pub const EMPTY: Self = Self(0);
            $($(#[$bit_doc])* pub const $bit: Self = Self($value);)*

            /// Whether all of `other` is in this set.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Both sets together.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    };
}

/// The system calls. 0 to 13 are Hubris'; 0x100 and up are Sotto's.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Sysnum {
    /// Send a message and wait for the reply.
    Send = 0,
    /// Wait for a message or a notification.
    Recv = 1,
    /// Answer a message.
    Reply = 2,
    /// Set or clear the task's one timer.
    SetTimer = 3,
    /// Copy out of a lease.
    BorrowRead = 4,
    /// Copy into a lease.
    BorrowWrite = 5,
    /// Ask about a lease.
    BorrowInfo = 6,
    /// Enable or disable interrupts.
    IrqControl = 7,
    /// Die with a message.
    Panic = 8,
    /// Read the time and the task's timer.
    GetTimer = 9,
    /// Bring a task id up to its current generation.
    RefreshTaskId = 10,
    /// Set notification bits of a task.
    Post = 11,
    /// Answer a message with a fault of its sender.
    ReplyFault = 12,
    /// Ask about interrupts.
    IrqStatus = 13,
    /// Answer a message and wait for the next one, in one kernel entry. Used
    /// only inside `idol_runtime`.
    ReplyRecv = 0x100,
}

impl TryFrom<u32> for Sysnum {
    type Error = ();

    fn try_from(number: u32) -> Result<Self, ()> {
        Ok(match number {
            0 => Self::Send,
            1 => Self::Recv,
            2 => Self::Reply,
            3 => Self::SetTimer,
            4 => Self::BorrowRead,
            5 => Self::BorrowWrite,
            6 => Self::BorrowInfo,
            7 => Self::IrqControl,
            8 => Self::Panic,
            9 => Self::GetTimer,
            10 => Self::RefreshTaskId,
            11 => Self::Post,
            12 => Self::ReplyFault,
            13 => Self::IrqStatus,
            0x100 => Self::ReplyRecv,
            _ => return Err(()),
        })
    }
}

/// Requests that `jefe` SENDs to [`TaskId::KERNEL`]; numbers as in Hubris.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kipcnum {
    /// The state of task `u32`, as a [`TaskState`].
    ReadTaskStatus = 1,
    /// Restart task `u32`; `bool` says whether it starts at once.
    RestartTask = 2,
    /// Fault task `u32`.
    FaultTask = 3,
    /// The image's identity, `u64`.
    ReadImageId = 4,
    /// Reset the machine.
    Reset = 5,
    /// Pend the interrupts that map to the notification bits `u32` of task `u32`.
    SoftwareIrq = 8,
    /// The first faulted task with index at least `u32`, or 0 when there is none.
    FindFaultedTask = 9,
    /// Copy the panic message of task `u32`.
    ReadPanicMessage = 10,
    /// Copy what a debugger needs to know of task `u32`, as far as it fits: see
    /// [`RemainsHead`]. Not one of Hubris'.
    ReadRemains = 0x100,
}

/// What [`Kipcnum::ReadRemains`] begins with, little-endian; the kernel's record
/// of the task follows, then its stack from the stack pointer up.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RemainsHead {
    /// Its index and generation.
    pub task: u32,
    /// Bytes that follow; none of what was never kept.
    pub bytes: u32,
    /// When, in milliseconds since start: the lower half, the upper.
    pub time: [u32; 2],
}

impl TryFrom<u16> for Kipcnum {
    type Error = ();

    fn try_from(number: u16) -> Result<Self, ()> {
        Ok(match number {
            1 => Self::ReadTaskStatus,
            2 => Self::RestartTask,
            3 => Self::FaultTask,
            4 => Self::ReadImageId,
            5 => Self::Reset,
            8 => Self::SoftwareIrq,
            9 => Self::FindFaultedTask,
            10 => Self::ReadPanicMessage,
            0x100 => Self::ReadRemains,
            _ => return Err(()),
        })
    }
}

/// What a task is up to.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum TaskState {
    /// Not faulted.
    Healthy(SchedState),
    /// Faulted; it runs no more until it is restarted.
    Faulted {
        /// What it did.
        fault: FaultInfo,
        /// What it was doing.
        original_state: SchedState,
    },
}

/// How a healthy task takes part in scheduling.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum SchedState {
    /// Held back; only the supervisor can start it.
    Stopped,
    /// Runs, or would if nothing more important did.
    Runnable,
    /// Waits for the task to receive its message.
    InSend(TaskId),
    /// Waits for the task to reply.
    InReply(TaskId),
    /// Waits for a message from the task, or from anyone.
    InRecv(Option<TaskId>),
}

/// Why a task was faulted.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum FaultInfo {
    /// It touched memory it has no right to.
    MemoryAccess {
        /// Where, when the hardware tells.
        address: Option<u32>,
        /// Who noticed.
        source: FaultSource,
    },
    /// Its stack ran over.
    StackOverflow {
        /// The address below the stack that it touched.
        address: u32,
    },
    /// The bus refused an access.
    BusError {
        /// Where, when the hardware tells.
        address: Option<u32>,
        /// Who noticed.
        source: FaultSource,
    },
    /// It divided by zero.
    DivideByZero,
    /// It jumped to what it may not execute.
    IllegalText,
    /// It executed what is no instruction.
    IllegalInstruction,
    /// Some other operation the processor refuses; the processor's code.
    InvalidOperation(u32),
    /// It called the kernel wrongly.
    SyscallUsage(UsageError),
    /// It called PANIC.
    Panic,
    /// Another task faulted it through the kernel.
    Injected(TaskId),
    /// A server found its message unacceptable.
    FromServer(TaskId, ReplyFaultReason),
}

/// In a few words: what happened, and where or which.
impl core::fmt::Display for FaultInfo {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (what, number) = match *self {
            Self::MemoryAccess { address, .. } => ("no right to memory at", address),
            Self::StackOverflow { address } => ("stack overflow at", Some(address)),
            Self::BusError { address, .. } => ("bus error at", address),
            Self::DivideByZero => ("division by zero", None),
            Self::IllegalText => ("jump to what is no code", None),
            Self::IllegalInstruction => ("illegal instruction", None),
            Self::InvalidOperation(code) => ("invalid operation", Some(code)),
            Self::SyscallUsage(error) => ("wrong system call, error", Some(error as u32)),
            Self::Panic => ("panic", None),
            Self::Injected(by) => ("faulted by task", Some(by.0.into())),
            Self::FromServer(server, _) => ("refused by server", Some(server.0.into())),
        };
        f.write_str(what)?;
        match number {
            Some(number) => write!(f, " {number:#x}"),
            None => Ok(()),
        }
    }
}

impl From<UsageError> for FaultInfo {
    fn from(error: UsageError) -> Self {
        Self::SyscallUsage(error)
    }
}

/// Who noticed a bad memory access.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum FaultSource {
    /// The task's own instruction.
    User,
    /// The kernel, on the task's behalf.
    Kernel,
}

/// How a system call can be wrong.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum UsageError {
    /// No such system call.
    BadSyscallNumber,
    /// A slice that wraps, is unaligned, or is more than can be.
    InvalidSlice,
    /// A task index the image does not have.
    TaskOutOfRange,
    /// A task that the caller may not name here: outside its SEND or POST
    /// mask, or itself.
    IllegalTask,
    /// A lease index the sender did not give.
    LeaseOutOfRange,
    /// An offset beyond the lease.
    OffsetOutOfRange,
    /// Notification bits that map to no interrupt of the caller.
    NoIrq,
    /// A request to the kernel that it does not understand.
    BadKernelMessage,
}

/// Why a server faulted its client (REPLY_FAULT).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
#[repr(u32)]
pub enum ReplyFaultReason {
    /// No such operation.
    UndefinedOperation = 0,
    /// The message is too short or too long.
    BadMessageSize = 1,
    /// The message's bytes mean nothing.
    BadMessageContents = 2,
    /// Too few leases, or leases without the right attributes.
    BadLeases = 3,
    /// The reply would not fit.
    ReplyBufferTooSmall = 4,
    /// The client asked for what it has no right to.
    AccessViolation = 5,
}

impl TryFrom<u32> for ReplyFaultReason {
    type Error = ();

    fn try_from(number: u32) -> Result<Self, ()> {
        Ok(match number {
            0 => Self::UndefinedOperation,
            1 => Self::BadMessageSize,
            2 => Self::BadMessageContents,
            3 => Self::BadLeases,
            4 => Self::ReplyBufferTooSmall,
            5 => Self::AccessViolation,
            _ => return Err(()),
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::{
        FaultInfo, FaultSource, Generation, TaskId, UsageError, dead_response_code,
        extract_new_generation,
    };

    /// The epitaph of a kernel whose supervisor faulted ends so.
    #[test]
    fn a_fault_in_words_says_what_and_where() {
        let fault = FaultInfo::MemoryAccess { address: Some(0x1234), source: FaultSource::User };
        assert_eq!(fault.to_string(), "no right to memory at 0x1234");
        assert_eq!(FaultInfo::Panic.to_string(), "panic");
        let wrong = FaultInfo::SyscallUsage(UsageError::BadSyscallNumber);
        assert_eq!(wrong.to_string(), "wrong system call, error 0x0");
    }

    #[test]
    fn task_id_packs_index_and_generation() {
        let id = TaskId::new(5, Generation(63));
        assert_eq!((id.index(), id.generation()), (5, Generation(63)));
        assert_eq!(id.generation().next(), Generation(0));
    }

    #[test]
    fn dead_codes_carry_the_generation_and_nothing_else_does() {
        assert_eq!(extract_new_generation(dead_response_code(Generation(9))), Some(Generation(9)));
        assert_eq!(extract_new_generation(0xFFFF_FE09), None);
        assert_eq!(extract_new_generation(0), None);
    }
}
