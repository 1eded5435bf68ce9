//! The kernel's platform: the image's tables and the board's interrupts.

use abi::{FaultInfo, Generation};
use kern::arch::SavedState;
use kern::{Irq, IrqOwner, KernelPanic, NotificationSet, Platform, TaskDesc, TaskIndex, Timestamp};

use crate::board::Board;
use crate::hub::Hub;
use crate::record::Record;
use crate::time::Time;

/// What the kernel sees of the host during one entry.
pub(crate) struct HostPlatform<'a, B: Board> {
    pub(crate) hub: &'a Hub<B>,
    pub(crate) board: &'a mut B,
}

impl<B: Board> Platform for HostPlatform<'_, B> {
    fn now(&self) -> Timestamp {
        Timestamp(self.hub.clock().millis())
    }

    fn set_deadline(&mut self, deadline: Option<Timestamp>) {
        self.hub.set_timer(deadline.map(|deadline| Time::from_millis(deadline.0)));
    }

    fn post_mask(&self, from: TaskIndex, to: TaskIndex) -> NotificationSet {
        NotificationSet(self.hub.notify_mask_of(from, u16::from(to.0)))
    }

    fn irq_owner(&self, irq: Irq) -> Option<IrqOwner> {
        let tasks = self.hub.image.tasks.iter().enumerate();
        tasks.flat_map(|(index, task)| task.irqs.iter().map(move |irq| (index, irq))).find_map(
            |(index, &(owned, bits))| {
                (owned == irq).then_some(IrqOwner {
                    task: TaskIndex(index as u8),
                    notification: NotificationSet(bits),
                })
            },
        )
    }

    fn irq_of(&self, task: TaskIndex, position: usize) -> Option<(Irq, NotificationSet)> {
        let irqs = &self.hub.image.tasks[task.get()].irqs;
        irqs.get(position).map(|&(irq, bits)| (irq, NotificationSet(bits)))
    }

    fn irq_enable(&mut self, irq: Irq) {
        self.board.irq_enable(irq);
    }

    fn irq_disable(&mut self, irq: Irq) {
        self.board.irq_disable(irq);
    }

    fn irq_clear_pending(&mut self, irq: Irq) {
        self.board.irq_clear_pending(irq);
    }

    fn irq_pend(&mut self, irq: Irq) {
        self.board.irq_pend(irq);
    }

    fn irq_is_enabled(&self, irq: Irq) -> bool {
        self.board.irq_is_enabled(irq)
    }

    fn irq_is_pending(&self, irq: Irq) -> bool {
        self.board.irq_is_pending(irq)
    }

    fn begin(
        &mut self,
        task: TaskIndex,
        generation: Generation,
        _descriptor: &TaskDesc,
        save: &mut SavedState,
    ) {
        *save = SavedState::default();
        self.hub.begin(task);
        self.board.trace(self.hub.clock(), Record::Begin { task, generation });
    }

    fn faulted(&mut self, task: TaskIndex, fault: FaultInfo) {
        self.hub.stats.borrow_mut().task(task).faults += 1;
        self.board.trace(self.hub.clock(), Record::Fault { task, fault });
    }

    fn image_id(&self) -> u64 {
        self.hub.image.id
    }

    fn reset(&mut self) {
        self.hub.set_reset();
    }

    fn kernel_panic(&mut self, why: KernelPanic) {
        self.hub.set_kernel_panic(why);
    }
}
