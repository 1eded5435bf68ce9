//! From a failure to the simplest one of its kind.

use crate::case::{Case, Strike, parse_point, point_text};
use crate::finding::Finding;
use crate::scenario::Scenario;
use crate::search::Failure;
use crate::stage::Stage;
use fabric::Point;
use std::time::{Duration, Instant};

/// Runs that shrinking one failure may take.
const BUDGET: u32 = 3_000;
/// And how long: where a server goes round in circles, a run takes a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// Small seeds that are tried.
const SEEDS: u64 = 12;

/// Makes a failure simpler as long as something of what was found stays: fewer
/// faults, a simpler scenario, a smaller seed, earlier points.
#[must_use]
pub fn shrink(stage: Stage, failure: &Failure) -> Failure {
    let play = |case: &Case| stage.play(case, false).findings;
    shrink_by(failure, PATIENCE, |case, scenario| moved(stage, case, scenario), play)
}

/// A case in another scenario, whose image numbers its tasks in its own way; `None`
/// when that has no such points.
fn moved(stage: Stage, case: &Case, scenario: Scenario) -> Option<Case> {
    let (from, to) = (stage.description(case.scenario), stage.description(scenario));
    let strikes = case.strikes.iter().map(|strike| {
        let at = parse_point(to, &point_text(from, strike.at)).ok()?;
        Some(Strike { at, ..*strike })
    });
    Some(Case { scenario, seed: case.seed, strikes: strikes.collect::<Option<_>>()? })
}

/// The same, where `moved` has a case in another scenario, and `play` says what one
/// comes to.
fn shrink_by(
    failure: &Failure,
    patience: Duration,
    moved: impl Fn(&Case, Scenario) -> Option<Case>,
    play: impl FnMut(&Case) -> Vec<Finding>,
) -> Failure {
    let until = Instant::now() + patience;
    let mut shrinking = Shrinking { moved, play, best: failure.clone(), left: BUDGET, until };
    loop {
        let before = shrinking.best.case.clone();
        shrinking.fewer();
        shrinking.simpler();
        shrinking.earlier();
        if shrinking.best.case == before || shrinking.left == 0 {
            return shrinking.best;
        }
    }
}

struct Shrinking<M, P> {
    moved: M,
    play: P,
    best: Failure,
    left: u32,
    until: Instant,
}

impl<M, P> Shrinking<M, P>
where
    M: Fn(&Case, Scenario) -> Option<Case>,
    P: FnMut(&Case) -> Vec<Finding>,
{
    /// Takes `case` if it still shows the first thing that was found.
    fn try_case(&mut self, case: Case) -> bool {
        if Instant::now() >= self.until {
            self.left = 0;
        }
        if self.left == 0 || case == self.best.case {
            return false;
        }
        self.left -= 1;
        let mut findings = (self.play)(&case);
        let wanted = self.best.findings[0].kind();
        let shows = findings.iter().any(|finding| finding.kind() == wanted);
        if shows {
            // What is looked for stays in front.
            findings.sort_by_key(|finding| finding.kind() != wanted);
            self.best = Failure { case, findings };
        }
        shows
    }

    fn fewer(&mut self) {
        let mut at = 0;
        while at < self.best.case.strikes.len() {
            let mut case = self.best.case.clone();
            case.strikes.remove(at);
            if !self.try_case(case) {
                at += 1;
            }
        }
    }

    fn simpler(&mut self) {
        let own = self.best.case.scenario;
        for scenario in Scenario::ALL.into_iter().take_while(|&scenario| scenario != own) {
            let Some(moved) = (self.moved)(&self.best.case, scenario) else { continue };
            for seed in 0..SEEDS {
                if self.try_case(Case { seed, ..moved.clone() }) {
                    return;
                }
            }
        }
        let seed = self.best.case.seed;
        for seed in (0..SEEDS).take_while(|&small| small < seed) {
            if self.try_case(Case { seed, ..self.best.case.clone() }) {
                return;
            }
        }
    }

    fn earlier(&mut self) {
        for index in 0..self.best.case.strikes.len() {
            let mut step = self.best.case.strikes[index].at.nth / 2;
            while step > 0 && self.left > 0 {
                let mut case = self.best.case.clone();
                let Strike { at: Point { site, nth }, what } = case.strikes[index];
                if nth <= step {
                    step /= 2;
                    continue;
                }
                case.strikes[index] = Strike { at: Point { site, nth: nth - step }, what };
                if !self.try_case(case) {
                    step /= 2;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PATIENCE, moved, shrink_by};
    use crate::case::{Case, Strike, What};
    use crate::finding::Finding;
    use crate::scenario::Scenario;
    use crate::search::Failure;
    use crate::stage::Stage;
    use fabric::{Point, Site};
    use std::path::Path;
    use std::time::Duration;

    fn strike(site: Site, nth: u32, what: What) -> Strike {
        Strike { at: Point { site, nth }, what }
    }

    /// A system that leaks when task 3 is killed at its fifth SEND or later, and
    /// the headset was pulled at any time.
    fn leaks(case: &Case) -> Vec<Finding> {
        let kills = |s: &Strike| s.at.site == Site::Send(3) && s.at.nth >= 5;
        let pulls = |s: &Strike| matches!(s.what, What::Unplug(_));
        let leaks = case.strikes.iter().any(kills) && case.strikes.iter().any(pulls);
        if leaks { vec![Finding::Down, Finding::Leak("votes", 1)] } else { Vec::new() }
    }

    #[test]
    fn a_failure_is_shrunk_to_what_it_needs() {
        let strikes = vec![
            strike(Site::Monitor, 9, What::EndProgram),
            strike(Site::Send(3), 480, What::Kill),
            strike(Site::Tick, 7, What::Silence(20)),
            strike(Site::Command(0), 12, What::Unplug(0)),
        ];
        let case = Case { scenario: Scenario::Toggle, seed: 123_456, strikes };
        let found = vec![Finding::Leak("votes", 1)];
        let same = |case: &Case, scenario| Some(Case { scenario, ..case.clone() });
        let shrunk = shrink_by(&Failure { case, findings: found }, PATIENCE, same, leaks);
        let expected = vec![
            strike(Site::Send(3), 5, What::Kill),
            strike(Site::Command(0), 1, What::Unplug(0)),
        ];
        assert_eq!(shrunk.case.strikes, expected);
        assert_eq!((shrunk.case.scenario, shrunk.case.seed), (Scenario::ALL[0], 0));
        assert_eq!(shrunk.findings[0], Finding::Leak("votes", 1), "what was looked for is first");
    }

    #[test]
    fn a_failure_that_needs_all_of_it_stays_as_it_is() {
        let case = Case {
            scenario: Scenario::ALL[0],
            seed: 0,
            strikes: vec![strike(Site::Monitor, 1, What::EndProgram)],
        };
        let failure = Failure { case: case.clone(), findings: vec![Finding::Down] };
        let only = |other: &Case| if *other == case { vec![Finding::Down] } else { Vec::new() };
        assert_eq!(shrink_by(&failure, PATIENCE, |_, _| None, only).case, case);
    }

    /// Whoever waits for it waits no longer for runs that are slow.
    #[test]
    fn a_failure_stays_as_it_is_when_the_time_is_over() {
        let case = Case {
            scenario: Scenario::Toggle,
            seed: 9,
            strikes: vec![strike(Site::Send(3), 480, What::Kill)],
        };
        let failure = Failure { case: case.clone(), findings: vec![Finding::Down] };
        let same = |case: &Case, scenario| Some(Case { scenario, ..case.clone() });
        let any = |_: &Case| vec![Finding::Down];
        assert_eq!(shrink_by(&failure, Duration::ZERO, same, any).case, case);
        assert_ne!(shrink_by(&failure, PATIENCE, same, any).case, case);
    }

    #[test]
    fn a_case_that_is_moved_to_another_image_strikes_the_same_task() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let stage = Stage::load(&root).expect("the images keep every rule");
        let (two, one) = (Scenario::TwoControllers, Scenario::Stream);
        let index = |scenario, name: &str| {
            let index = stage.description(scenario).app().index(name);
            index.expect("there is such a task").0 as u8
        };
        let case = |scenario, task| {
            let strikes = vec![strike(Site::Send(index(scenario, task)), 7, What::Kill)];
            Case { scenario, seed: 3, strikes }
        };
        assert_ne!(index(two, "usb_core"), index(one, "usb_core"));
        assert_eq!(moved(stage, &case(two, "usb_core"), one), Some(case(one, "usb_core")));
        assert_eq!(moved(stage, &case(two, "xhci1"), one), None);
    }
}
