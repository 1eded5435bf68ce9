//! Two controllers: what strikes one of them leaves the sound of the other alone.

use crate::case::{Strike, What};
use crate::finding::Finding;
use crate::play::Play;
use crate::scenario::SECOND;
use crate::stage::Stage;
use fabric::{IntId, Site};
use judge::Verdict;
use system::scene::Mark;

impl Play<'_> {
    /// The place of the headset that comes, and plays, first.
    pub(crate) fn first_headset(&self) -> usize {
        (self.case.seed % 2) as usize
    }

    /// The only controller that a fault strikes, if there is one.
    fn struck(&self, strike: &Strike) -> Option<usize> {
        let controllers = self.image.description.app().controllers();
        match (strike.what, strike.at.site) {
            (
                What::Unplug(place)
                | What::Replug(place, _)
                | What::Reset(place)
                | What::Take(place),
                _,
            ) => self.seats.get(usize::from(place)).map(|seat| seat.at.port.controller),
            (What::ControllerError(n) | What::HostError(n) | What::LeaveBus(_, n), _) => {
                Some(n.into())
            }
            (What::Code(_), Site::Command(n) | Site::Control(n) | Site::Packet(n)) => {
                Some(n.into())
            }
            (What::Drop | What::Delay(_) | What::Double(_), Site::Edge(IntId(line))) => {
                controllers.iter().position(|controller| controller.primary.0 == line)
            }
            // Its driver dies, or has nothing left.
            (What::Kill | What::Refuse, site) => {
                let task = site.task().map(u16::from);
                controllers.iter().position(|controller| Some(controller.driver.0) == task)
            }
            _ => None,
        }
    }

    /// Whether all that goes wrong strikes other controllers than this one.
    fn is_spared(&self, controller: usize) -> bool {
        let strikes = &self.case.strikes;
        strikes.iter().all(|strike| self.struck(strike).is_some_and(|struck| struck != controller))
    }

    /// A headset whose controller nothing struck has heard the whole of what it was to
    /// play: the one that came first, if it was alone then, and the other one if it was
    /// played to at all.
    pub(crate) fn neighbours_heard_all(&mut self) {
        self.scene.run_for(crate::play::REST);
        // One that is put back may be there before its time.
        let alone = |strike: &Strike| !matches!(strike.what, What::Replug(..));
        let alone = self.case.strikes.iter().all(alone);
        for place in 0..self.seats.len() {
            let at = self.seats[place].at;
            if !self.is_spared(at.port.controller) {
                continue;
            }
            let begun = {
                let board = self.scene.machine.board();
                let device = board.parts.controllers[at.port.controller].device_at(at.place());
                let streams = device.and_then(|device| device.heard());
                let streams = streams.map_or(&[][..], |heard| heard.streams());
                streams.iter().filter(|stream| stream.first.is_some()).count()
            };
            let sounds = [self.case.scenario.longest(), SECOND].map(Stage::sound);
            let judged = sounds.iter().map(|sound| self.scene.judge(at, Mark::default(), sound));
            let verdicts: Vec<Verdict> = judged.collect();
            let told = match begun {
                0 if alone && place == self.first_headset() => {
                    Some("nothing was played".to_owned())
                }
                1 if !verdicts.iter().any(Verdict::is_right) => Some(verdicts[0].to_string()),
                // What went over the wire is not told apart.
                _ => None,
            };
            self.findings.extend(told.map(Finding::Disturbed));
        }
    }
}
