//! `cargo xtask explore`: runs in which something goes wrong, by the thousand.

mod mutants;

use crate::style::{BAD, DIM, GOOD, HEAD};
use crate::{BAD_INPUT, WRONG, root};
use anstream::{eprintln, println};
use explore::{Failure, Scenario, Search, Stage, Tally, case, file, pool, shrink};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Failures that are shrunk and written; the rest is counted.
const WRITTEN: usize = 8;

/// `cargo xtask explore`
#[derive(Debug, clap::Args)]
#[command(after_help = "A failure is made as simple as it can be and written to \
    target/explore/;\n`cargo xtask sim --scenario FILE` plays it again, step by step.")]
pub(crate) struct Explore {
    /// Runs, each with faults drawn by chance
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    schedules: u64,
    /// What decides schedules, faults and machines
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..1 << 63))]
    seed: u64,
    /// Only this scenario; may be given several times [default: all]
    #[arg(long = "only", value_name = "NAME", value_parser = Scenario::parse)]
    scenarios: Vec<Scenario>,
    /// Instead: every fault that applies at every point, one to a run
    #[arg(long, conflicts_with = "schedules")]
    systematic: bool,
    /// With --systematic: so many pairs of faults besides
    #[arg(long, value_name = "N", requires = "systematic", default_value_t = 0)]
    pairs: u64,
    /// Instead: count the points of a run without faults
    #[arg(long, conflicts_with_all = ["schedules", "systematic"])]
    points: bool,
    /// Instead: seed defects into a copy, and look for each [default: sim/mutants]
    #[arg(
        long, value_name = "DIR", num_args = 0..=1,
        conflicts_with_all = ["schedules", "systematic", "points", "scenarios"]
    )]
    mutants: Option<Option<PathBuf>>,
    /// With --mutants: only this one; may be given several times
    #[arg(long = "mutant", value_name = "NAME", requires = "mutants")]
    names: Vec<String>,
    /// With --mutants: how long each is looked for
    #[arg(long, value_name = "N", default_value_t = 120)]
    seconds: u64,
    /// Instead: until something is found, or --seconds are over
    #[arg(long, hide = true)]
    hunt: bool,
    /// With --hunt: make what was found as simple as it can be
    #[arg(long, hide = true)]
    shrunk: bool,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

impl Explore {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        match self.try_run() {
            Ok(right) if right => ExitCode::SUCCESS,
            Ok(_) => ExitCode::from(WRONG),
            Err(message) => {
                eprintln!("{BAD}✗{BAD:#} {message}");
                ExitCode::from(BAD_INPUT)
            }
        }
    }

    fn try_run(&self) -> Result<bool, String> {
        if let Some(folder) = &self.mutants {
            let folder = &folder.clone().unwrap_or_else(|| root().join("sim/mutants"));
            let (names, seed, seconds, json) = (&self.names, self.seed, self.seconds, self.json);
            return mutants::Hunt { folder, names, seed, seconds, json }.run();
        }
        let stage = Stage::load(&root())?;
        let all = Scenario::ALL.to_vec();
        let scenarios = if self.scenarios.is_empty() { all } else { self.scenarios.clone() };
        // What panics in a run is one of its findings.
        std::panic::set_hook(Box::new(|_| {}));
        let began = Instant::now();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("  {pos} runs, {per_sec}, {msg}");
        bar.set_style(style.expect("the template is ours"));
        let mut progress = |runs, failed| {
            bar.set_position(runs);
            bar.set_message(format!("{failed} failures"));
            !self.hunt || failed == 0 && began.elapsed().as_secs() < self.seconds
        };
        let threads = pool::threads();
        let mut search = Search {
            stage,
            scenarios: &scenarios,
            seed: self.seed,
            threads,
            progress: &mut progress,
        };
        if self.points {
            return Ok(self.count_points(stage, &search));
        }
        let (what, tally) = if self.systematic {
            let (total, mut tally) = search.systematic();
            let exercised = tally.faults();
            let pairs = search.pairs(self.pairs);
            let what = json!({
                "faults": total, "exercised": exercised, "pairs": pairs.runs,
            });
            println!("{exercised} of {total} faults exercised, one to a run");
            tally.add(pairs);
            (what, tally)
        } else if self.hunt {
            let tally = search.by_chance(u64::MAX);
            println!("{}", self.hunted(stage, &tally, began.elapsed().as_secs_f64()));
            return Ok(tally.failed == 0);
        } else {
            let tally = search.by_chance(self.schedules);
            (json!({ "schedules": tally.runs }), tally)
        };
        bar.finish_and_clear();
        let seconds = began.elapsed().as_secs_f64();
        let files = write_failures(stage, &tally)?;
        self.show(what, &tally, &files, seconds);
        Ok(tally.failed == 0)
    }

    /// Counts points by who does what.
    fn count_points(&self, stage: Stage, search: &Search<'_>) -> bool {
        let mut all = BTreeMap::new();
        for &scenario in search.scenarios {
            let points = search.points(scenario);
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            for reached in &points {
                let text = case::point_text(stage.description(scenario), reached.point);
                let site = text.rsplit_once(' ').map_or(text.as_str(), |(site, _)| site);
                *counts.entry(site.to_owned()).or_default() += 1;
            }
            println!("{HEAD}{}{HEAD:#}: {} points", scenario.name(), points.len());
            for (site, count) in &counts {
                println!("  {site:<28} {count:>6}");
            }
            all.insert(scenario.name(), counts);
        }
        if self.json {
            println!("{}", json!({ "seed": self.seed, "points": all }));
        }
        true
    }

    /// What a search until the first failure came to.
    fn hunted(&self, stage: Stage, tally: &Tally, seconds: f64) -> Value {
        let failure = tally.failures.first();
        let failure =
            failure.map(|found| if self.shrunk { shrink(stage, found) } else { found.clone() });
        let first = failure.iter().flat_map(|failure| &failure.findings);
        json!({
            "runs": tally.runs,
            "first": first.map(ToString::to_string).collect::<Vec<_>>(),
            "scenario": failure.map(|failure| file::write(stage, &failure)),
            "seconds": seconds,
        })
    }

    fn show(&self, what: Value, tally: &Tally, files: &[(PathBuf, Failure)], seconds: f64) {
        let faults: Vec<String> =
            tally.struck.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        println!("{} runs in {seconds:.1} s; faults that struck: {}", tally.runs, tally.faults());
        println!("{DIM}{}{DIM:#}", faults.join(", "));
        for (path, failure) in files {
            let found: Vec<String> = failure.findings.iter().map(ToString::to_string).collect();
            println!("{BAD}✗{BAD:#} {}", found.join("; "));
            println!("  {DIM}cargo xtask sim --scenario {}{DIM:#}", path.display());
        }
        let (answer, enable) = (tally.longest.answer_us(), tally.longest.enable_ms());
        println!("longest: {answer:.1} µs to an answer, {enable:.1} ms to a stream");
        for (kind, count) in &tally.found {
            println!("  {count:>6} {kind}");
        }
        let style = if tally.failed == 0 { GOOD } else { BAD };
        println!("{style}{} failures{style:#}", tally.failed);
        if self.json {
            let mut object = json!({
                "seed": self.seed,
                "runs": tally.runs,
                "failures": tally.failed,
                "planned": tally.planned,
                "struck": tally.struck,
                "found": tally.found,
                "longest_answer_us": answer,
                "longest_enable_ms": enable,
                "seconds": seconds,
                "written": files.iter().map(|(path, _)| path).collect::<Vec<_>>(),
            });
            if let (Value::Object(object), Value::Object(what)) = (&mut object, what) {
                object.extend(what);
            }
            println!("{object}");
        }
    }
}

/// Shrinks failures and writes each to a file of its own.
fn write_failures(stage: Stage, tally: &Tally) -> Result<Vec<(PathBuf, Failure)>, String> {
    let folder = root().join("target/explore");
    let mut written: Vec<(PathBuf, Failure)> = Vec::new();
    for failure in &tally.failures {
        if written.len() == WRITTEN {
            break;
        }
        let shrunk = shrink(stage, failure);
        if written.iter().any(|(_, known)| known.case == shrunk.case) {
            continue;
        }
        fs::create_dir_all(&folder)
            .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
        let path = folder.join(format!("{}.toml", written.len() + 1));
        write(&path, &file::write(stage, &shrunk))?;
        written.push((path, shrunk));
    }
    Ok(written)
}

/// Writes a file that stands under its name only when it is whole.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let partial = path.with_extension("partial");
    fs::write(&partial, text)
        .and_then(|()| fs::rename(&partial, path))
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))
}
