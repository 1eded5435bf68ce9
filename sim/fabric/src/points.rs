//! Fault points: where a run can be made to go wrong, and what goes wrong there.
//!
//! Whatever acts on the simulated machine reaches a *point* before each of its
//! acts: a task its calls, accesses and allocations, the DSP's program its own,
//! a controller each command, control stage and packet, an interrupt line each
//! edge. A point is named by its [`Site`] and how often that was reached, so two
//! runs of one seed meet the same points up to the first thing that differs. A
//! run can write down which points it reached ([`Points::record`]), and another
//! one can have something go wrong at some of them ([`Points::plan`]).

use crate::{DeviceId, Events, IntId, Time};
use std::fmt;

/// Tasks that an image can have.
const TASKS: usize = 32;
/// Controllers that a board can have.
const CONTROLLERS: usize = 4;
/// Acts of a task that have a site each.
const TASK_ACTS: usize = 7;
/// Acts of a controller that have a site each.
const CONTROLLER_ACTS: usize = 3;
const DSP: usize = TASKS * TASK_ACTS;
const CONTROLLER: usize = DSP + 2;
const TICK: usize = CONTROLLER + CONTROLLERS * CONTROLLER_ACTS;
const LINE: usize = TICK + 1;
const SITES: usize = LINE + crate::interrupts::INTIDS;

/// Who does what.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    /// A task, by its index, sends a message. The detail is the server's index.
    Send(u8),
    /// A task replies.
    Reply(u8),
    /// A task makes another system call. The detail is the call's number.
    Call(u8),
    /// A task accesses a register.
    Register(u8),
    /// A task accesses DMA memory.
    Memory(u8),
    /// A task has a barrier.
    Barrier(u8),
    /// A task is about to take something of which there is only so much. The
    /// detail is its kind (`scarce::Scarce`).
    Allocation(u8),
    /// The DSP's program calls its monitor. The detail is the call's number.
    Monitor,
    /// The DSP's program accesses its memory.
    Peer,
    /// A controller carries out a command. The detail is the TRB's type.
    Command(u8),
    /// A controller carries out a stage of a control transfer. The detail is the
    /// TRB's type.
    Control(u8),
    /// A controller moves an isochronous or interrupt packet. The detail is the
    /// device context index.
    Packet(u8),
    /// The kernel's timer ends.
    Tick,
    /// An interrupt line has an edge.
    Edge(IntId),
}

impl Site {
    const fn index(self) -> usize {
        const fn task(task: u8, act: usize) -> usize {
            task as usize % TASKS * TASK_ACTS + act
        }
        const fn controller(n: u8, act: usize) -> usize {
            CONTROLLER + n as usize % CONTROLLERS * CONTROLLER_ACTS + act
        }
        match self {
            Self::Send(n) => task(n, 0),
            Self::Reply(n) => task(n, 1),
            Self::Call(n) => task(n, 2),
            Self::Register(n) => task(n, 3),
            Self::Memory(n) => task(n, 4),
            Self::Barrier(n) => task(n, 5),
            Self::Allocation(n) => task(n, 6),
            Self::Monitor => DSP,
            Self::Peer => DSP + 1,
            Self::Command(n) => controller(n, 0),
            Self::Control(n) => controller(n, 1),
            Self::Packet(n) => controller(n, 2),
            Self::Tick => TICK,
            Self::Edge(line) => LINE + line.0 as usize,
        }
    }

    /// The task that reaches it.
    #[must_use]
    pub const fn task(self) -> Option<u8> {
        match self {
            Self::Send(n)
            | Self::Reply(n)
            | Self::Call(n)
            | Self::Register(n)
            | Self::Memory(n)
            | Self::Barrier(n)
            | Self::Allocation(n) => Some(n),
            _ => None,
        }
    }
}

/// A point: the `nth` time, from 1 on, that a site is reached.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point {
    /// The site.
    pub site: Site,
    /// How often it is reached by then.
    pub nth: u32,
}

/// What goes wrong at a point.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The task that reaches it dies, before its act has an effect.
    Kill,
    /// There is nothing left of what it was about to take.
    Refuse,
    /// A command, stage or packet is not carried out, and this code (table
    /// 6-90) says so.
    Code(u8),
    /// The edge is lost.
    Drop,
    /// The edge comes that much later.
    Delay(Time),
    /// The edge comes, and again that much later.
    Double(Time),
    /// Something happens from outside: `device` is woken with `token`, at once.
    Wake {
        /// Whom to wake.
        device: DeviceId,
        /// What with.
        token: u32,
    },
}

/// A fault and where it strikes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Where.
    pub point: Point,
    /// What.
    pub fault: Fault,
}

/// A point as a run met it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// When.
    pub at: Time,
    /// Which.
    pub point: Point,
    /// What is known of it besides; see [`Site`].
    pub detail: u32,
}

/// The points of a run.
#[derive(Clone)]
pub struct Points {
    counts: Box<[u32; SITES]>,
    plan: Vec<Planned>,
    struck: Vec<(Time, Planned)>,
    record: Option<Vec<Reached>>,
}

impl fmt::Debug for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Points").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Default for Points {
    fn default() -> Self {
        Self { counts: Box::new([0; SITES]), plan: Vec::new(), struck: Vec::new(), record: None }
    }
}

impl Points {
    /// Has `fault` strike at `point`, once.
    pub fn plan(&mut self, point: Point, fault: Fault) {
        self.plan.push(Planned { point, fault });
    }

    /// Nothing more goes wrong.
    pub fn disarm(&mut self) {
        self.plan.clear();
    }

    /// Writes down every point from now on.
    pub fn record(&mut self) {
        self.record = Some(Vec::with_capacity(1 << 14));
    }

    /// What was written down so far, which is thereby forgotten.
    pub fn take_record(&mut self) -> Vec<Reached> {
        self.record.take().unwrap_or_default()
    }

    /// The faults that struck, and when.
    #[must_use]
    pub fn struck(&self) -> &[(Time, Planned)] {
        &self.struck
    }

    /// How often `site` was reached.
    #[must_use]
    pub fn count(&self, site: Site) -> u32 {
        self.counts[site.index()]
    }

    /// `site` is reached. What the one who reaches it has to make go wrong, if
    /// anything; a [`Fault::Wake`] is seen to here.
    pub(crate) fn reach(
        &mut self,
        now: Time,
        site: Site,
        detail: u32,
        events: &mut Events,
    ) -> Option<Fault> {
        let count = &mut self.counts[site.index()];
        *count += 1;
        let point = Point { site, nth: *count };
        if let Some(record) = &mut self.record {
            record.push(Reached { at: now, point, detail });
        }
        let index = self.plan.iter().position(|planned| planned.point == point)?;
        let planned = self.plan.swap_remove(index);
        self.struck.push((now, planned));
        if let Fault::Wake { device, token } = planned.fault {
            events.schedule(now, device, token);
            return None;
        }
        Some(planned.fault)
    }
}

#[cfg(test)]
mod tests {
    use super::{CONTROLLERS, Fault, Point, Points, SITES, Site, TASKS};
    use crate::{DeviceId, Events, IntId, Time};
    use std::collections::BTreeSet;

    fn all() -> Vec<Site> {
        let tasks = (0..TASKS as u8).flat_map(|n| {
            [
                Site::Send(n),
                Site::Reply(n),
                Site::Call(n),
                Site::Register(n),
                Site::Memory(n),
                Site::Barrier(n),
                Site::Allocation(n),
            ]
        });
        let controllers = (0..CONTROLLERS as u8)
            .flat_map(|n| [Site::Command(n), Site::Control(n), Site::Packet(n)]);
        let lines = (0..crate::interrupts::INTIDS as u16).map(|n| Site::Edge(IntId(n)));
        let others = [Site::Monitor, Site::Peer, Site::Tick];
        tasks.chain(controllers).chain(lines).chain(others).collect()
    }

    #[test]
    fn each_site_has_a_count_of_its_own() {
        let places: BTreeSet<usize> = all().into_iter().map(Site::index).collect();
        assert_eq!((places.len(), places.last()), (SITES, Some(&(SITES - 1))));
    }

    #[test]
    fn a_fault_strikes_once_at_its_point_and_all_points_are_written_down() {
        let (mut points, mut events) = (Points::default(), Events::default());
        points.record();
        points.plan(Point { site: Site::Command(0), nth: 2 }, Fault::Code(19));
        let reached: Vec<_> = [Site::Command(0), Site::Command(1), Site::Command(0)]
            .into_iter()
            .chain([Site::Command(0)])
            .map(|site| points.reach(Time(7), site, 15, &mut events))
            .collect();
        assert_eq!(reached, [None, None, Some(Fault::Code(19)), None]);
        assert_eq!(points.struck().len(), 1);
        assert_eq!(points.count(Site::Command(0)), 3);
        let record = points.take_record();
        assert_eq!(record.len(), 4);
        assert_eq!(record[2].point, Point { site: Site::Command(0), nth: 2 });
        assert_eq!(record[2].detail, 15);
    }

    #[test]
    fn what_happens_from_outside_is_an_event_of_that_moment() {
        let (mut points, mut events) = (Points::default(), Events::default());
        let wake = Fault::Wake { device: DeviceId(9), token: 3 };
        points.plan(Point { site: Site::Tick, nth: 1 }, wake);
        assert_eq!(points.reach(Time(5), Site::Tick, 0, &mut events), None);
        let event = events.pop_due(Time(5)).expect("it is due at once");
        assert_eq!((event.device, event.token), (DeviceId(9), 3));
    }
}
