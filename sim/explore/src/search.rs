//! Runs by chance, and runs by all single faults and pairs of them.

use crate::case::{Case, Strike};
use crate::choice::{applicable, draw};
use crate::finding::Finding;
use crate::patience::Longest;
use crate::play::Ran;
use crate::pool::spread;
use crate::scenario::Scenario;
use crate::stage::Stage;
use fabric::Rng;
use fabric::points::Reached;
use std::collections::BTreeMap;

/// Runs that share a machine: the first one has no fault and its points are
/// written down, the others have faults at those.
const GROUP: u64 = 8;

/// A run that was not as it should be.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The run.
    pub case: Case,
    /// What was wrong.
    pub findings: Vec<Finding>,
}

impl Failure {
    /// The kinds of what was found, each once.
    fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> = self.findings.iter().map(Finding::kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// What tells it from others.
    #[must_use]
    pub fn signature(&self) -> String {
        self.kinds().join(", ")
    }
}

/// What many runs came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Runs that were not as they should be.
    pub failed: u64,
    /// Faults that were planned.
    pub planned: u64,
    /// Faults that struck, by kind.
    pub struck: BTreeMap<String, u64>,
    /// The longest times of all runs.
    pub longest: Longest,
    /// Runs in which something of a kind was found.
    pub found: BTreeMap<String, u64>,
    /// Runs in which exactly these kinds were found, together.
    pub signatures: BTreeMap<String, u64>,
    /// The first failures, one of each signature and a few more.
    pub failures: Vec<Failure>,
}

/// Failures that are kept of one signature.
const KEPT: usize = 3;

impl Tally {
    fn take(&mut self, case: Case, ran: Ran) {
        self.runs += 1;
        self.longest = self.longest.max(ran.longest);
        self.planned += case.strikes.len() as u64;
        for strike in &case.strikes {
            if ran.struck.iter().any(|(_, planned)| planned.point == strike.at) {
                let kind = strike.what.kind().to_owned();
                *self.struck.entry(kind).or_default() += 1;
            }
        }
        if ran.findings.is_empty() {
            return;
        }
        self.failed += 1;
        let failure = Failure { case, findings: ran.findings };
        for kind in failure.kinds() {
            *self.found.entry(kind).or_default() += 1;
        }
        let signature = failure.signature();
        *self.signatures.entry(signature.clone()).or_default() += 1;
        let known = self.failures.iter().filter(|known| known.signature() == signature).count();
        if known < KEPT {
            self.failures.push(failure);
        }
    }

    /// Adds what other runs came to.
    pub fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.failed += other.failed;
        self.planned += other.planned;
        self.longest = self.longest.max(other.longest);
        for (kind, count) in other.struck {
            *self.struck.entry(kind).or_default() += count;
        }
        for (kind, count) in other.found {
            *self.found.entry(kind).or_default() += count;
        }
        for (signature, count) in other.signatures {
            *self.signatures.entry(signature).or_default() += count;
        }
        self.failures.extend(other.failures);
    }

    /// Faults that struck.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.struck.values().sum()
    }
}

/// What a search is told.
pub struct Search<'a> {
    /// The stage.
    pub stage: Stage,
    /// The scenarios that are played.
    pub scenarios: &'a [Scenario],
    /// Decides everything.
    pub seed: u64,
    /// Threads to run on.
    pub threads: usize,
    /// Told of progress: runs so far, and failures. It says whether to go on.
    pub progress: &'a mut (dyn FnMut(u64, u64) -> bool + Send),
}

impl Search<'_> {
    /// Plays `schedules` runs with faults by chance.
    #[must_use]
    pub fn by_chance(&mut self, schedules: u64) -> Tally {
        let (stage, scenarios, seed) = (self.stage, self.scenarios, self.seed);
        let mut tally = Tally::default();
        let progress = &mut *self.progress;
        let group = |n: u64| {
            let mut rng = Rng::new(mix(seed, n));
            let scenario = scenarios[(n % scenarios.len() as u64) as usize];
            let seed = rng.bits() >> 16;
            let tasks = stage.description(scenario).app().tasks.len();
            let plain = Case { scenario, seed, strikes: Vec::new() };
            let first = stage.play(&plain, true);
            let points = first.points.clone();
            let mut runs = vec![(plain, first)];
            for _ in 1..GROUP.min(schedules - n * GROUP) {
                let strikes = draw(scenario, tasks, &points, &mut rng);
                let case = Case { scenario, seed, strikes };
                let ran = stage.play(&case, false);
                runs.push((case, ran));
            }
            runs
        };
        spread(self.threads, schedules.div_ceil(GROUP), group, |_, runs| {
            runs.into_iter().for_each(|(case, ran)| tally.take(case, ran));
            progress(tally.runs, tally.failed)
        });
        tally.sort();
        tally
    }

    /// Plays every fault that applies at every point of each scenario, one to a
    /// run. How many there are, and what they came to.
    #[must_use]
    pub fn systematic(&mut self) -> (u64, Tally) {
        let cases = self.singles();
        let total = cases.len() as u64;
        (total, self.play_all(&cases))
    }

    /// All single faults.
    #[must_use]
    pub fn singles(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for &scenario in self.scenarios {
            let tasks = self.stage.description(scenario).app().tasks.len();
            for reached in self.points(scenario) {
                for what in applicable(scenario, tasks, &reached) {
                    let strikes = vec![Strike { at: reached.point, what }];
                    cases.push(Case { scenario, seed: self.seed, strikes });
                }
            }
        }
        cases
    }

    /// Plays `budget` pairs of faults, spread evenly over all there are.
    #[must_use]
    pub fn pairs(&mut self, budget: u64) -> Tally {
        let singles = self.singles();
        let mut rng = Rng::new(self.seed ^ 0x9A12);
        let mut cases = Vec::new();
        while (cases.len() as u64) < budget && !singles.is_empty() {
            let mut pick = || &singles[rng.below(singles.len() as u32) as usize];
            let (one, other) = (pick(), pick());
            if one.scenario == other.scenario && one.strikes[0].at != other.strikes[0].at {
                let strikes = vec![one.strikes[0], other.strikes[0]];
                cases.push(Case { strikes, ..one.clone() });
            }
        }
        self.play_all(&cases)
    }

    /// The points that a scenario meets when nothing goes wrong.
    #[must_use]
    pub fn points(&self, scenario: Scenario) -> Vec<Reached> {
        let case = Case { scenario, seed: self.seed, strikes: Vec::new() };
        self.stage.play(&case, true).points
    }

    fn play_all(&mut self, cases: &[Case]) -> Tally {
        let stage = self.stage;
        let mut tally = Tally::default();
        let progress = &mut *self.progress;
        spread(
            self.threads,
            cases.len() as u64,
            |n| stage.play(&cases[n as usize], false),
            |n, ran| {
                tally.take(cases[n as usize].clone(), ran);
                progress(tally.runs, tally.failed)
            },
        );
        tally.sort();
        tally
    }
}

impl Tally {
    /// Threads end in no order; what is told of them shall not depend on it.
    fn sort(&mut self) {
        self.failures.sort_by_key(|failure| (failure.case.strikes.len(), failure.case.clone()));
    }
}

/// The seed of part `n` of what `seed` names (a step of SplitMix64).
fn mix(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}
