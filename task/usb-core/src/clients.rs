//! What each client has been told, and what it has still to hear.
//!
//! News is worked out from what is there and what the client knows, so it is
//! bounded by itself: a client that sleeps through a hundred plugs and unplugs
//! hears of the devices that it knew and of those that are there.

use abi::TaskId;
use usb_core_api::{DeviceHandle, Event, TicketHandle};

use crate::endpoint::address;
use crate::{MAX_CLIENTS, MAX_DEVICES};

/// Operations that one client can have under way.
pub(crate) const TICKETS_EACH: usize = 8;

/// A device as clients see it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct View {
    pub(crate) device: DeviceHandle,
    /// Whether its clients may ask for anything.
    pub(crate) in_reach: bool,
    /// How often it was out of reach; wraps.
    pub(crate) naps: u8,
    /// How often it was reset; wraps.
    pub(crate) resets: u8,
    /// How often something of it became free again that had been taken; wraps.
    pub(crate) offers: u8,
}

/// A device that the client knows of, as it was told last.
#[derive(Copy, Clone, Debug)]
struct Known {
    seen: View,
    /// DCI bits of endpoints with progress not told yet.
    progress: u32,
}

#[derive(Copy, Clone, Debug)]
struct Client {
    task: TaskId,
    known: [Option<Known>; MAX_DEVICES],
    /// Tickets that are ready and not told; collected ones are taken out, so
    /// there are never more than one client can have.
    ready: [Option<TicketHandle>; TICKETS_EACH],
    /// Whether it is to be hinted.
    hint: bool,
}

/// The tasks that asked for anything so far, one incarnation of each.
#[derive(Debug)]
pub(crate) struct Clients {
    list: [Option<Client>; MAX_CLIENTS],
}

impl Clients {
    pub(crate) const fn new() -> Self {
        Self { list: [None; MAX_CLIENTS] }
    }

    /// The incarnation of the same task that is on the list, when `task` is
    /// another.
    pub(crate) fn other_incarnation(&self, task: TaskId) -> Option<TaskId> {
        let same = |known: &TaskId| known.index() == task.index() && *known != task;
        self.list.iter().flatten().map(|client| client.task).find(same)
    }

    /// Forgets an incarnation.
    pub(crate) fn forget(&mut self, task: TaskId) {
        for place in &mut self.list {
            if place.is_some_and(|client| client.task == task) {
                *place = None;
            }
        }
    }

    /// The next piece of news for `task`. `live` are the devices there are.
    /// That a device was out of reach is told even when it is back by then,
    /// because what was refused meanwhile is not asked for again by itself.
    ///
    /// # Panics
    /// When more tasks come than [`MAX_CLIENTS`], which the image's neighbours
    /// rule out.
    pub(crate) fn pull(&mut self, task: TaskId, live: impl Iterator<Item = View> + Clone) -> Event {
        let client = self.admit(task);
        client.hint = false;
        for place in &mut client.known {
            let Some(known) = place else { continue };
            let device = known.seen.device;
            let Some(now) = live.clone().find(|view| view.device == device) else {
                *place = None;
                return Event::Detached(device);
            };
            if known.seen.resets != now.resets {
                known.seen.resets = now.resets;
                return Event::Reset(device);
            }
            if known.seen.offers != now.offers {
                known.seen.offers = now.offers;
                return Event::Attached(device);
            }
            let was = core::mem::replace(&mut known.seen, now);
            match (was.in_reach, now.in_reach) {
                (true, false) => return Event::Suspended(device),
                (false, true) => return Event::Resumed(device),
                (true, true) if was.naps != now.naps => return Event::Resumed(device),
                _ => {}
            }
        }
        let knows = |client: &Client, device| {
            client.known.iter().flatten().any(|known| known.seen.device == device)
        };
        if let Some(new) = live.clone().find(|view| !knows(client, view.device)) {
            // What is gone was told first, so there is a place for each that
            // is there.
            if let Some(place) = client.known.iter_mut().find(|place| place.is_none()) {
                // Whoever hears of a device first takes it to be awake.
                *place = Some(Known { seen: View { in_reach: true, ..new }, progress: 0 });
                return Event::Attached(new.device);
            }
        }
        if let Some(ticket) = client.ready.iter_mut().find_map(Option::take) {
            return Event::TicketDone(ticket);
        }
        for Known { seen: View { device, .. }, progress } in client.known.iter_mut().flatten() {
            if *progress != 0 {
                let dci = progress.trailing_zeros() as u8;
                *progress &= *progress - 1;
                return Event::IsochProgress { device: *device, endpoint: address(dci) };
            }
        }
        Event::None
    }

    /// A device came or went.
    pub(crate) fn devices_changed(&mut self) {
        for client in self.list.iter_mut().flatten() {
            client.hint = true;
        }
    }

    /// A ticket of `task`'s is ready.
    pub(crate) fn ticket_ready(&mut self, task: TaskId, ticket: TicketHandle) {
        let client = self.admit(task);
        if let Some(place) = client.ready.iter_mut().find(|place| place.is_none()) {
            *place = Some(ticket);
        }
        client.hint = true;
    }

    /// A ticket of `task`'s was collected or cancelled.
    pub(crate) fn ticket_gone(&mut self, task: TaskId, ticket: TicketHandle) {
        for place in &mut self.admit(task).ready {
            if *place == Some(ticket) {
                *place = None;
            }
        }
    }

    /// Packets of an endpoint of `task`'s completed.
    pub(crate) fn progress(&mut self, task: TaskId, device: DeviceHandle, dci: u8) {
        let client = self.admit(task);
        if let Some(known) = client.known.iter_mut().flatten().find(|k| k.seen.device == device) {
            known.progress |= 1 << (dci & 31);
            client.hint = true;
        }
    }

    /// There is something that only the task `index` is told.
    pub(crate) fn hint_index(&mut self, index: u16) {
        let ours = |client: &&mut Client| client.task.index() == usize::from(index);
        for client in self.list.iter_mut().flatten().filter(ours) {
            client.hint = true;
        }
    }

    /// One task that is to be hinted; call until there is none.
    pub(crate) fn take_hint(&mut self) -> Option<TaskId> {
        let client = self.list.iter_mut().flatten().find(|client| client.hint)?;
        client.hint = false;
        Some(client.task)
    }

    fn admit(&mut self, task: TaskId) -> &mut Client {
        let found = self.list.iter().position(|client| client.is_some_and(|c| c.task == task));
        let place = found
            .or_else(|| self.list.iter().position(Option::is_none))
            .expect("no more clients than neighbours");
        self.list[place].get_or_insert(Client {
            task,
            known: [None; MAX_DEVICES],
            ready: [None; TICKETS_EACH],
            hint: false,
        })
    }
}
