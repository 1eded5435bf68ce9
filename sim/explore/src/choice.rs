//! Which faults a point can have.

use crate::case::{Strike, What};
use crate::scenario::Scenario;
use fabric::points::Reached;
use fabric::{IntId, Rng, Site};
use system::auditor;

/// How much later a delayed or second edge comes, in microseconds: within what a
/// driver does next, and beyond it.
const LATE_US: [u32; 2] = [30, 2_000];
/// How long a headset is out when it is put back at once, in milliseconds: a
/// contact that bounces, and somebody who was quick.
const OUT_MS: [u32; 2] = [2, 150];
/// How long the DSP's program stands still, in milliseconds: unnoticed, beyond
/// the monitor's watch, and beyond every deadline.
const SILENCE_MS: [u32; 3] = [20, 700, 15_000];

/// How long a controller is gone from its bus, in milliseconds: a glitch, and beyond
/// its driver's first attempt to find it again.
const GONE_MS: [u32; 2] = [5, 1_500];

/// Completion codes of table 6-90, and the first of each vendor's kind.
fn codes() -> impl Iterator<Item = u8> {
    // Success is no fault, and a controller that lies about it is none of those
    // that can be driven.
    (0..=36).chain([192, 224]).filter(|&code| code != 1)
}

/// Ring Underrun and Ring Overrun speak of no TRB (4.10.3.1): with a packet's
/// pointer an event of theirs still says nothing of that packet.
const OF_NO_TRB: [u8; 2] = [14, 15];
/// Stopped, in its three ways, is the answer to a command (4.6.9): the packet is
/// still to come, and a controller that goes on behind it lies as one does that
/// says Success.
const STILL_TO_COME: [u8; 3] = [26, 27, 28];

/// What can go wrong at a point of a scenario.
#[must_use]
pub fn applicable(scenario: Scenario, tasks: usize, reached: &Reached) -> Vec<What> {
    let site = reached.point.site;
    let mut all = Vec::new();
    match site {
        Site::Allocation(n) if mortal(n, tasks) => all.push(What::Refuse),
        Site::Command(_) | Site::Control(_) => all.extend(codes().map(What::Code)),
        Site::Packet(_) => {
            let over = |code: &u8| !OF_NO_TRB.contains(code) && !STILL_TO_COME.contains(code);
            all.extend(codes().filter(over).map(What::Code));
        }
        Site::Edge(line) if is_own(line) => return all,
        Site::Edge(_) => {
            all.push(What::Drop);
            all.extend(LATE_US.map(What::Delay));
            all.extend(LATE_US.map(What::Double));
        }
        _ => {}
    }
    if site.task().is_some_and(|n| mortal(n, tasks)) {
        all.push(What::Kill);
    }
    for place in 0..scenario.places() {
        all.push(What::Unplug(place));
        all.extend(OUT_MS.map(|ms| What::Replug(place, ms)));
    }
    for place in 0..scenario.headsets() {
        all.extend([What::Reset(place), What::Take(place)]);
        if scenario.sleeps() {
            all.push(What::Signal(place));
        }
    }
    all.push(What::EndProgram);
    all.extend(SILENCE_MS.map(What::Silence));
    all.extend([What::Suspend, What::Hibernate, What::Resume]);
    for controller in 0..scenario.controllers() {
        all.extend([What::ControllerError(controller), What::HostError(controller)]);
        all.extend(GONE_MS.map(|ms| What::LeaveBus(ms, controller)));
    }
    all
}

/// Whether a task can be killed: one of the image's, and not the supervisor.
fn mortal(n: u8, tasks: usize) -> bool {
    (1..tasks).contains(&usize::from(n))
}

/// Whether a line is the simulator's own.
fn is_own(line: IntId) -> bool {
    [auditor::BELL, auditor::VOLUME_BELL, auditor::ERRAND_BELL].contains(&line.0)
}

/// A kind of fault, and how often of eleven it is gone for.
struct Kind {
    is: fn(What) -> bool,
    weight: u32,
}

const KINDS: [Kind; 6] = [
    Kind { is: |what| matches!(what, What::Kill), weight: 3 },
    Kind { is: |what| matches!(what, What::Code(_)), weight: 2 },
    Kind { is: is_of_an_edge, weight: 1 },
    Kind { is: |what| matches!(what, What::Refuse), weight: 1 },
    Kind { is: is_from_outside, weight: 3 },
    Kind { is: is_of_the_controller, weight: 1 },
];

/// Draws faults for a run, from the points that one without any met.
#[must_use]
pub fn draw(scenario: Scenario, tasks: usize, points: &[Reached], rng: &mut Rng) -> Vec<Strike> {
    if points.is_empty() {
        // It stopped before it met one.
        return Vec::new();
    }
    let count = match rng.below(20) {
        0..=8 => 1,
        9..=15 => 2,
        16..=18 => 3,
        _ => 4,
    };
    let mut sites: Vec<Site> = points.iter().map(|reached| reached.point.site).collect();
    sites.sort_unstable();
    sites.dedup();
    (0..count).filter_map(|_| one(scenario, tasks, points, &sites, rng)).collect()
}

/// Draws one fault; none when nothing of the kind that was drawn applies where
/// it was looked for.
fn one(
    scenario: Scenario,
    tasks: usize,
    points: &[Reached],
    sites: &[Site],
    rng: &mut Rng,
) -> Option<Strike> {
    let mut turn = rng.below(KINDS.iter().map(|kind| kind.weight).sum());
    let kind = KINDS.iter().find(|kind| {
        let here = turn < kind.weight;
        turn = turn.wrapping_sub(kind.weight);
        here
    })?;
    for _ in 0..TRIES {
        // Half of the time each site is as likely as any other, so that rare ones
        // are not lost among the accesses to memory.
        let reached = if rng.one_in(2) {
            let site = sites[rng.below(sites.len() as u32) as usize];
            let here = points.iter().filter(|reached| reached.point.site == site);
            here.clone().nth(rng.below(here.count() as u32) as usize)?
        } else {
            &points[rng.below(points.len() as u32) as usize]
        };
        let all = applicable(scenario, tasks, reached);
        let of_kind: Vec<What> = all.into_iter().filter(|&what| (kind.is)(what)).collect();
        if !of_kind.is_empty() {
            let what = of_kind[rng.below(of_kind.len() as u32) as usize];
            return Some(Strike { at: reached.point, what });
        }
    }
    None
}

/// Whether a fault is one of an interrupt's edge.
const fn is_of_an_edge(what: What) -> bool {
    matches!(what, What::Drop | What::Delay(_) | What::Double(_))
}

/// Whether a fault comes from outside, so that it can strike anywhere.
const fn is_from_outside(what: What) -> bool {
    matches!(
        what,
        What::Unplug(_)
            | What::Replug(..)
            | What::EndProgram
            | What::Silence(_)
            | What::Suspend
            | What::Hibernate
            | What::Resume
            | What::Reset(_)
            | What::Take(_)
            | What::Signal(_)
    )
}

/// Whether a fault is the controller's own, which can strike anywhere, too.
const fn is_of_the_controller(what: What) -> bool {
    matches!(what, What::ControllerError(_) | What::HostError(_) | What::LeaveBus(..))
}

/// How often a point is looked for at which a kind of fault applies.
const TRIES: u32 = 64;
