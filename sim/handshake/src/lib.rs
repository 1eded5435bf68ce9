//! The handshake between the cores, searched exhaustively.
//!
//! Between the application core and the DSP's there is no lock and no message
//! that is waited for: pages with one writer each, bells that may get lost,
//! deadlines, and quarantine for what was not confirmed in time. Whether that is
//! enough is not a matter of opinion: here everything that can happen within
//! [`Bounds`] does happen, in every order.
//!
//! What is run is the code that a board runs, not a picture of it: the monitor
//! (`dsp/monitor`), the mapper (`drv/iommu`), the driver's gate and its ring
//! pages (`drv/xhci`), the order in which the broker takes down
//! (`offload_broker::teardown`). A model's are the machine under them
//! ([`ground`]), what `xhci` does with registers of its controller ([`driver`]),
//! and a client that has one session after another ([`client`]).
//!
//! What must hold ([`Handshake`]): no page is reused while program or monitor
//! can reach it; nothing is published on a closed gate; whatever begins comes to
//! its end, and after a reset of both sides nothing is out of use any more.
//!
//! Not here: orders of memory that barriers forbid (`sim/fabric` punishes a
//! missing one), what the broker does for its peers, controllers that fail.

#![forbid(unsafe_code)]

pub mod choice;
pub mod client;
pub mod driver;
pub mod ground;
mod tell;
pub mod world;

use stateright::{Checker, Model, Property};
use std::num::NonZero;
use world::{Action, Bounds, Sabotage, World};

/// Everything that can happen within bounds.
#[derive(Copy, Clone, Debug)]
pub struct Handshake {
    /// The bounds.
    pub bounds: Bounds,
    /// What is wrong on purpose.
    pub sabotage: Sabotage,
}

/// What a search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// States that differ.
    pub states: usize,
    /// Steps from one to another.
    pub steps: usize,
    /// The longest way to a state that was not met before.
    pub depth: usize,
    /// What must hold and does not.
    pub findings: Vec<Finding>,
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub property: &'static str,
    /// How it comes to that.
    pub path: Vec<Action>,
}

/// That a session plays, which is not to be found wrong but to be found.
const PLAYS: &str = "a session plays";

/// Bounds that are searched in seconds: each fault alone, and those without a
/// death together, two of a kind.
pub const QUICK: [Bounds; 4] = [
    Bounds { kills: 1, ..NOTHING },
    Bounds { losses: 2, doubles: 1, ..NOTHING },
    Bounds { slow: 4, losses: 1, ..NOTHING },
    Bounds { faints: 1, resets: 1, ..NOTHING },
];

/// Bounds that are searched in minutes.
pub const DEEP: [Bounds; 5] = [
    Bounds { kills: 1, losses: 1, ..NOTHING },
    Bounds { kills: 1, slow: 2, ..NOTHING },
    Bounds { kills: 1, resets: 1, ..NOTHING },
    Bounds { sessions: 2, kills: 1, ..NOTHING },
    Bounds { sessions: 2, slow: 2, losses: 1, resets: 1, ..NOTHING },
];

/// One session, and nothing goes wrong.
pub const NOTHING: Bounds =
    Bounds { sessions: 1, kills: 0, faints: 0, losses: 0, doubles: 0, slow: 0, resets: 0 };

impl Handshake {
    /// Searches all of it, and on until something is found for each thing that
    /// must hold.
    #[must_use]
    pub fn search(self) -> Report {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let checker = self.checker().threads(threads).spawn_bfs().join();
        let found = checker.discoveries();
        let mut findings: Vec<Finding> = found
            .into_iter()
            .filter(|(property, _)| *property != PLAYS)
            .map(|(property, path)| Finding { property, path: path.into_actions() })
            .collect();
        if checker.discovery(PLAYS).is_none() {
            findings.push(Finding { property: "no session ever plays", path: Vec::new() });
        }
        findings.sort_by_key(|finding| finding.property);
        Report {
            states: checker.unique_state_count(),
            steps: checker.state_count(),
            depth: checker.max_depth(),
            findings,
        }
    }
}

impl Model for Handshake {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.bounds, self.sabotage)]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Action>) {
        state.actions(actions);
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        Some(last.after(&action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no page is reused while it can be reached", |_, world: &World| {
                world.no_page_is_reused_while_reachable()
            }),
            Property::always("nothing is published on a closed gate", |_, world: &World| {
                world.closed_gates_are_shut()
            }),
            Property::always("what begins comes to its end", |_, world: &World| {
                world.can_go_on() || world.is_at_rest()
            }),
            Property::sometimes(PLAYS, |_, world: &World| world.plays()),
        ]
    }
}
