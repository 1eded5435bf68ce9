//! The kernel's platform: the image's tables, the GIC and the generic timer.

use abi::Generation;

use super::context::SavedState;
use super::epitaph::Global;
use super::fill::fill;
use super::image::image;
use super::timer::Timer;
use super::{gic, mmu, semihosting};
use crate::kernel::KernelPanic;
use crate::platform::{Irq, IrqOwner, Platform};
use crate::task::{NotificationSet, TaskDesc, TaskIndex, Timestamp};

/// What a stack is filled with, so that a debugger sees how much was used.
const PAINT: u32 = 0xBADD_CAFE;

unsafe extern "C" {
    /// Made by `build/image` out of everything in the image.
    static HUBRIS_IMAGE_ID: u64;
}

/// Lives of tasks beyond the first, for whoever looks in from outside.
#[unsafe(no_mangle)]
#[used]
static KERNEL_RESTARTS: Global<u32> = Global::new(0);

/// What the kernel sees of the board.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) timer: Timer,
}

impl Platform for Board {
    fn now(&self) -> Timestamp {
        self.timer.now()
    }

    fn set_deadline(&mut self, deadline: Option<Timestamp>) {
        self.timer.set_deadline(deadline);
    }

    #[inline(always)]
    fn post_mask(&self, from: TaskIndex, to: TaskIndex) -> NotificationSet {
        image().post_mask(from, to)
    }

    #[inline(always)]
    fn irq_owner(&self, irq: Irq) -> Option<IrqOwner> {
        image().irq_owner(irq)
    }

    fn irq_of(&self, task: TaskIndex, position: usize) -> Option<(Irq, NotificationSet)> {
        image().irq_of(task, position)
    }

    fn irq_enable(&mut self, irq: Irq) {
        gic::enable(irq);
    }

    #[inline]
    fn irq_disable(&mut self, irq: Irq) {
        gic::disable(irq);
    }

    fn irq_clear_pending(&mut self, irq: Irq) {
        gic::clear_pending(irq);
    }

    fn irq_pend(&mut self, irq: Irq) {
        gic::pend(irq);
    }

    fn irq_is_enabled(&self, irq: Irq) -> bool {
        gic::is_enabled(irq)
    }

    fn irq_is_pending(&self, irq: Irq) -> bool {
        gic::is_pending(irq)
    }

    /// Statics of the task stay as they are: ring buffers and counters are
    /// meant to, and a task has no others.
    fn begin(
        &mut self,
        _: TaskIndex,
        generation: Generation,
        descriptor: &TaskDesc,
        save: &mut SavedState,
    ) {
        if generation != Generation(0) {
            // SAFETY: the kernel's alone, and no reference to it is made.
            unsafe { *KERNEL_RESTARTS.0.get() += 1 };
        }
        let stack = descriptor.regions[0].base;
        // SAFETY: the stack is at the start of the task's RAM, which the window
        // shows, and is whole words; the incarnation that used it is over.
        unsafe {
            let len = (descriptor.initial_stack - stack) as usize;
            fill(mmu::in_window(stack), len, PAINT);
        }
        *save = SavedState::beginning(descriptor);
    }

    fn image_id(&self) -> u64 {
        // SAFETY: the linker's, never written.
        unsafe { HUBRIS_IMAGE_ID }
    }

    fn reset(&mut self) {
        if image().options.semihosting {
            semihosting::exit(semihosting::SUCCESS);
        }
        semihosting::system_reset();
    }

    fn kernel_panic(&mut self, why: KernelPanic) {
        // Not as Debug has it, which would be a tenth of the kernel's text.
        match why {
            KernelPanic::SupervisorFault(fault) => panic!("the supervisor faulted: {fault}"),
        }
    }
}
