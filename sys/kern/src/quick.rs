//! The short way of the calls that messages are made of.
//!
//! Each function here does its call when nothing about it is unusual, and
//! otherwise changes nothing and says so: then the full call in `syscalls`
//! runs, which knows every case and every error. What is usual: slices in the
//! caller's own RAM; a receiver that waits for anyone; a client that waits for
//! this server's reply; nothing to receive yet. The instructions on this way
//! are counted (`cargo xtask bench`), which is why it exists; that the two ways
//! agree is shown by `the_short_way_equals_the_full_one`
//! (`tests/kernel/invariants.rs`).

use abi::{SchedState, TaskId, TaskState};

use crate::arch::{self, SavedRegisters};
use crate::kernel::Kernel;
use crate::platform::Platform;
use crate::syscalls::{deliver, hand_back};
use crate::task::{NotificationSet, TaskIndex};

impl Kernel {
    /// SEND to a task that waits for anyone.
    #[inline(always)]
    pub(crate) fn quick_send(&mut self, caller: TaskIndex) -> bool {
        let Some(from) = self.tasks.get(caller.get()) else { return false };
        let id = TaskId((from.save.argument(0) >> 16) as u16);
        let Ok([from, to]) = self.tasks.get_disjoint_mut([caller.get(), id.index()]) else {
            return false;
        };
        let target = TaskIndex(id.index() as u8);
        let usual = from.send_mask & target.bit() != 0
            && id.generation() == to.generation
            && matches!(to.state, TaskState::Healthy(SchedState::InRecv(None)))
            && from.has_in_ram(1)
            && from.has_in_ram(3)
            && from.has_leases_in_ram();
        if usual {
            let buffer = to.checked_writable(0);
            deliver((from, caller), (to, target), buffer);
            to.state = TaskState::Healthy(SchedState::Runnable);
            self.ready = self.ready & !caller.bit() | target.bit();
        }
        usual
    }

    /// RECV from anyone when there is nothing to receive.
    #[inline(always)]
    pub(crate) fn quick_recv(&mut self, caller: TaskIndex) -> bool {
        let Some(task) = self.tasks.get_mut(caller.get()) else { return false };
        let usual = task.save.argument(3) == 0
            && task.has_nothing_for(NotificationSet(task.save.argument(2) as u32))
            && task.has_in_ram(0);
        if usual {
            task.state = TaskState::Healthy(SchedState::InRecv(None));
            self.ready &= !caller.bit();
        }
        usual
    }

    /// REPLY_RECV to a client that waits, when there is nothing to receive.
    #[inline(always)]
    pub(crate) fn quick_reply_recv(&mut self, caller: TaskIndex) -> bool {
        let Some(server) = self.tasks.get(caller.get()) else { return false };
        let id = TaskId(server.save.argument(0) as u16);
        let Ok([server, client]) = self.tasks.get_disjoint_mut([caller.get(), id.index()]) else {
            return false;
        };
        let mask = server.save.argument(6);
        let usual = id.generation() == client.generation
            && client.waits_for_reply_of(server.id(caller))
            && server.has_nothing_for(NotificationSet(mask as u32))
            && server.has_in_ram(2)
            && server.has_in_ram(4);
        if usual {
            hand_back(server.save.argument(1), server.checked_readable(2), client);
            let buffer = server.checked_writable(4);
            server.save.set_result(0, arch::word(buffer.base()));
            server.save.set_result(1, buffer.len());
            server.save.set_result(2, mask);
            server.state = TaskState::Healthy(SchedState::InRecv(None));
            self.ready = self.ready & !caller.bit() | TaskIndex(id.index() as u8).bit();
        }
        usual
    }

    /// POST of what the caller may post, to a task that lives.
    #[inline(always)]
    pub(crate) fn quick_post(&mut self, platform: &impl Platform, caller: TaskIndex) -> bool {
        let Some(from) = self.tasks.get(caller.get()) else { return false };
        let id = TaskId(from.save.argument(0) as u16);
        let bits = NotificationSet(from.save.argument(1) as u32);
        let Ok([from, to]) = self.tasks.get_disjoint_mut([caller.get(), id.index()]) else {
            return false;
        };
        let target = TaskIndex(id.index() as u8);
        let TaskState::Healthy(SchedState::InRecv(_)) = to.state else { return false };
        let usual =
            id.generation() == to.generation && bits.0 & !platform.post_mask(caller, target).0 == 0;
        if usual {
            to.notifications.0 |= bits.0;
            if to.take_notifications() {
                to.state = TaskState::Healthy(SchedState::Runnable);
                self.ready |= target.bit();
            }
            from.save.set_result(0, 0);
        }
        usual
    }
}
