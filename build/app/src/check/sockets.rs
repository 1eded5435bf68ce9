//! Where a debugger reaches tasks by network.

use super::{Checker, Tasks, names};
use crate::raw;
use crate::refusal::Rule;

impl Checker<'_> {
    pub(super) fn check_sockets(&mut self, file: &raw::File, tasks: &Tasks<'_>) {
        for (name, socket) in &file.config.net.sockets {
            let raw::SocketOwner { name: owner, notification } = &socket.owner;
            let task = tasks.iter().find(|(known, _)| known.get_ref() == owner.get_ref());
            let Some((_, task)) = task else {
                self.refuse(
                    owner.span(),
                    Rule::SocketOwner,
                    format!("`{}` is of no task of the image", name.get_ref()),
                    format!("the tasks are: {}", names(tasks)),
                );
                continue;
            };
            if !task.notifications.iter().any(|known| known.get_ref() == notification.get_ref()) {
                self.refuse(
                    notification.span(),
                    Rule::SocketOwner,
                    format!("`{}` has no notification of that name", owner.get_ref()),
                    "name one of the task's `notifications`",
                );
            }
        }
    }
}
