//! Interrupts: each is one task's, and reaches it as a notification.
//!
//! A delivered interrupt is disabled until its task enables it again, so that a
//! level that stays up does not come back before the driver has looked.

use abi::{IRQ_CLEAR_PENDING, IRQ_ENABLE, IrqStatus, UsageError};

use crate::arch::SavedRegisters;
use crate::err::UserError;
use crate::kernel::Kernel;
use crate::platform::{Irq, Platform};
use crate::task::{NotificationSet, TaskIndex};

impl Kernel {
    /// `irq` came. One that nobody owns is disabled and ignored.
    pub fn interrupt(&mut self, platform: &mut impl Platform, irq: Irq) {
        platform.irq_disable(irq);
        if let Some(owner) = platform.irq_owner(irq)
            && owner.task.get() < self.tasks.len()
        {
            self.post_to(owner.task, owner.notification);
        }
    }

    /// IRQ_CONTROL.
    pub(crate) fn sys_irq_control(
        &mut self,
        platform: &mut impl Platform,
        caller: TaskIndex,
    ) -> Result<(), UserError> {
        let save = &self.tasks[caller.get()].save;
        let (mask, flags) = (NotificationSet(save.argument(0) as u32), save.argument(1));
        for_each_irq(platform, caller, mask, |platform, irq, _| {
            if flags & IRQ_CLEAR_PENDING != 0 {
                platform.irq_clear_pending(irq);
            }
            if flags & IRQ_ENABLE != 0 {
                platform.irq_enable(irq);
            } else {
                platform.irq_disable(irq);
            }
        })
        .map_err(UserError::from)
    }

    /// IRQ_STATUS.
    pub(crate) fn sys_irq_status(
        &mut self,
        platform: &mut impl Platform,
        caller: TaskIndex,
    ) -> Result<(), UserError> {
        let task = &mut self.tasks[caller.get()];
        let mask = NotificationSet(task.save.argument(0) as u32);
        let posted = task.notifications;
        let mut status = IrqStatus::EMPTY;
        for_each_irq(platform, caller, mask, |platform, irq, bits| {
            let mut add = |is: bool, bit: IrqStatus| {
                if is {
                    status = status.with(bit);
                }
            };
            add(platform.irq_is_enabled(irq), IrqStatus::ENABLED);
            add(platform.irq_is_pending(irq), IrqStatus::PENDING);
            add(posted.0 & bits.0 != 0, IrqStatus::POSTED);
        })?;
        task.save.set_result(0, status.0 as usize);
        Ok(())
    }

    pub(crate) fn software_irq(
        &mut self,
        platform: &mut impl Platform,
        task: TaskIndex,
        mask: NotificationSet,
    ) -> Result<(), UsageError> {
        for_each_irq(platform, task, mask, |platform, irq, _| platform.irq_pend(irq))
    }

    pub(crate) fn disable_irqs(&mut self, platform: &mut impl Platform, task: TaskIndex) {
        let all = NotificationSet(u32::MAX);
        // A task without interrupts has nothing to disable.
        let _ = for_each_irq(platform, task, all, |platform, irq, _| platform.irq_disable(irq));
    }
}

/// Does `act` for each interrupt of `task` that maps to a bit in `mask`.
fn for_each_irq<P: Platform>(
    platform: &mut P,
    task: TaskIndex,
    mask: NotificationSet,
    mut act: impl FnMut(&mut P, Irq, NotificationSet),
) -> Result<(), UsageError> {
    let mut found = false;
    let mut position = 0;
    while let Some((irq, bits)) = platform.irq_of(task, position) {
        if bits.0 & mask.0 != 0 {
            found = true;
            act(platform, irq, bits);
        }
        position += 1;
    }
    if found { Ok(()) } else { Err(UsageError::NoIrq) }
}
