//! Leases: memory of a sender that its receiver copies from and to.
//!
//! A lease is good while its lender waits for the reply of the task that
//! borrows. A lender that does not (any more) is nobody's mistake; a lease that
//! the lender had no right to give is the lender's; a lease that does not exist,
//! does not allow the copy, or ends before the offset is the borrower's, who
//! could have asked with BORROW_INFO.

use abi::{LeaseAttributes, TaskId, ULease, UsageError};

use crate::arch::{self, Address, SavedRegisters};
use crate::err::UserError;
use crate::kernel::Kernel;
use crate::task::TaskIndex;

impl Kernel {
    /// BORROW_READ.
    pub(crate) fn sys_borrow_read(&mut self, caller: TaskIndex) -> Result<(), UserError> {
        let (lender, lease, offset) = self.lease_to_copy(caller, LeaseAttributes::READ)?;
        let into = self.tasks[caller.get()].writable_argument(3)?;
        let from = self.tasks[lender.get()]
            .readable(lease.base_address as Address, lease.length)
            .map_err(|fault| UserError::Lender(lender, fault))?;
        let copied = arch::copy(from.part(offset, usize::MAX), into);
        self.copied(caller, copied);
        Ok(())
    }

    /// BORROW_WRITE.
    pub(crate) fn sys_borrow_write(&mut self, caller: TaskIndex) -> Result<(), UserError> {
        let (lender, lease, offset) = self.lease_to_copy(caller, LeaseAttributes::WRITE)?;
        let from = self.tasks[caller.get()].readable_argument(3)?;
        let into = self.tasks[lender.get()]
            .writable(lease.base_address as Address, lease.length)
            .map_err(|fault| UserError::Lender(lender, fault))?;
        let copied = arch::copy(from, into.part(offset, usize::MAX));
        self.copied(caller, copied);
        Ok(())
    }

    /// BORROW_INFO.
    pub(crate) fn sys_borrow_info(&mut self, caller: TaskIndex) -> Result<(), UserError> {
        let (_, lease) = self.lease_of(caller)?;
        let save = &mut self.tasks[caller.get()].save;
        save.set_result(0, 0);
        save.set_result(1, lease.attributes.0 as usize);
        save.set_result(2, lease.length);
        Ok(())
    }

    fn copied(&mut self, caller: TaskIndex, bytes: usize) {
        let save = &mut self.tasks[caller.get()].save;
        save.set_result(0, 0);
        save.set_result(1, bytes);
    }

    fn lease_to_copy(
        &self,
        caller: TaskIndex,
        need: LeaseAttributes,
    ) -> Result<(TaskIndex, ULease, usize), UserError> {
        let (lender, lease) = self.lease_of(caller)?;
        if !lease.attributes.contains(need) {
            return Err(UsageError::LeaseOutOfRange.into());
        }
        let offset = self.tasks[caller.get()].save.argument(2);
        if offset > lease.length {
            return Err(UsageError::OffsetOutOfRange.into());
        }
        Ok((lender, lease, offset))
    }

    /// The lender and the lease that the caller's first two arguments name.
    fn lease_of(&self, caller: TaskIndex) -> Result<(TaskIndex, ULease), UserError> {
        let borrower = &self.tasks[caller.get()];
        let id = TaskId(borrower.save.argument(0) as u16);
        let index = self.index_of(id)?;
        let lender = &self.tasks[index.get()];
        let lends = lender.waits_for_reply_of(borrower.id(caller));
        if id.generation() != lender.generation || !lends {
            return Err(UserError::NotLending);
        }
        let lease = lender.lease(borrower.save.argument(1));
        Ok((index, lease.ok_or(UsageError::LeaseOutOfRange)?))
    }
}
