//! How a system call can fail, and who is to blame.

use abi::{DEFECT, FaultInfo, Generation, UsageError, dead_response_code};

use crate::task::TaskIndex;

/// A system call that does not end as its caller meant.
#[derive(Copy, Clone, Debug)]
pub(crate) enum UserError {
    /// The caller's mistake: it is faulted.
    Caller(FaultInfo),
    /// Nobody's mistake: the peer is gone. The caller gets the dead code.
    Dead(Generation),
    /// Nobody's mistake: the lender does not wait for the caller. It gets
    /// [`DEFECT`].
    NotLending,
    /// The lender's mistake: it is faulted, and the caller gets [`DEFECT`].
    Lender(TaskIndex, FaultInfo),
}

impl UserError {
    /// What the caller gets, unless it is to blame itself.
    pub(crate) fn code(self) -> Option<u32> {
        match self {
            Self::Caller(_) => None,
            Self::Dead(generation) => Some(dead_response_code(generation)),
            Self::NotLending | Self::Lender(..) => Some(DEFECT),
        }
    }
}

impl From<FaultInfo> for UserError {
    fn from(fault: FaultInfo) -> Self {
        Self::Caller(fault)
    }
}

impl From<UsageError> for UserError {
    fn from(error: UsageError) -> Self {
        Self::Caller(FaultInfo::SyscallUsage(error))
    }
}
