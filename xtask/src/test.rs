//! `cargo xtask test`: everything that can be checked on this machine.
//!
//! What CI runs. Each step runs even when one before it failed, so that one
//! run tells all; the closing lines say what failed.

mod calls;
mod contract;
mod reproducible;
mod tables;

use crate::run::stories;
use crate::setup::{self, Need};
use crate::style::{BAD, DIM, GOOD, HEAD};
use crate::{MISSING, WRONG, board, root};
use anstream::{eprintln, println};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// `cargo xtask test`
#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// Leave out formatting and lints
    #[arg(long)]
    tests_only: bool,
    /// Leave out what is built for the board and boots in QEMU
    #[arg(long)]
    no_board: bool,
    /// Run this step alone, or these
    #[arg(long, value_name = "STEP", value_parser = NAMES)]
    only: Vec<String>,
    /// Of the stories of `playing`, tell this one alone
    #[arg(long, value_name = "NAME", value_parser = stories::names())]
    story: Option<String>,
}

/// The steps in their order.
const NAMES: [&str; 12] = [
    IMAGE,
    INTERFACES,
    "formatting",
    "lints",
    "tests",
    REPRODUCIBLE,
    BOARD,
    CORE_1,
    TABLES,
    CALLS,
    PLAYING,
    CONTRACT,
];
const IMAGE: &str = "image";
/// The project's images.
const APPS: [&str; 3] = ["app.toml", "app-debug.toml", "app-two.toml"];
const INTERFACES: &str = "interfaces";
const REPRODUCIBLE: &str = "reproducible";
const BOARD: &str = "board";
const CORE_1: &str = "core-1";
const TABLES: &str = "tables";
const CALLS: &str = "calls";
const PLAYING: &str = "playing";
const CONTRACT: &str = "contract";

/// One thing to run.
struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    /// What it cannot run without.
    needs: &'static [Need],
}

const STEPS: [Step; 3] = [
    Step {
        name: "formatting",
        arguments: &["fmt", "--all", "--", "--check"],
        needs: &[Need::Formatting],
    },
    Step {
        name: "lints",
        arguments: &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
        needs: &[Need::Lints],
    },
    Step {
        name: "tests",
        arguments: &["test", "--workspace", "--quiet", "--no-fail-fast"],
        needs: &[],
    },
];

/// How a step went.
struct Outcome {
    name: &'static str,
    passed: bool,
    detail: String,
    took: Duration,
}

impl Test {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        let mut outcomes = Vec::new();
        if self.wants(IMAGE) {
            outcomes.push(image());
        }
        if self.wants(INTERFACES) {
            outcomes.push(interfaces());
        }
        for step in &STEPS {
            if self.tests_only && !step.needs.is_empty() || !self.wants(step.name) {
                continue;
            }
            match setup::ensure(step.needs).and_then(|()| step.run()) {
                Ok(outcome) => outcomes.push(outcome),
                Err(code) => return code,
            }
        }
        if !self.no_board {
            outcomes.extend(self.board());
        }
        println!();
        for Outcome { name, passed, detail, took } in &outcomes {
            let (style, mark) = if *passed { (GOOD, "✓") } else { (BAD, "✗") };
            let seconds = took.as_secs_f64();
            println!("{style}{mark}{style:#} {name:<12} {detail} {DIM}({seconds:.1} s){DIM:#}");
        }
        if outcomes.iter().all(|outcome| outcome.passed) {
            println!("{GOOD}all is as it should be{GOOD:#}");
            ExitCode::SUCCESS
        } else {
            println!("{BAD}not all is as it should be{BAD:#}");
            ExitCode::from(WRONG)
        }
    }
}

impl Test {
    fn wants(&self, step: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == step)
    }

    /// What is built for the board, and boots in QEMU.
    fn board(&self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let app = root().join("app.toml");
        let suite = root().join("test/app-suite.toml");
        if self.wants(REPRODUCIBLE) {
            outcomes.push(timed(REPRODUCIBLE, reproducible::compare));
        }
        if self.wants(BOARD) {
            outcomes.push(on_board(BOARD, || board::build(&suite).map(|image| image.elf)));
        }
        if self.wants(CORE_1) {
            outcomes.push(on_board(CORE_1, || board::build_core1_test(&app)));
        }
        if self.wants(TABLES) {
            outcomes.push(timed(TABLES, || tables::compare(&board::build(&app)?)));
        }
        if self.wants(CALLS) {
            outcomes.push(timed(CALLS, calls::run));
        }
        if self.wants(PLAYING) {
            outcomes.push(playing(self.story.as_deref()));
        }
        if self.wants(CONTRACT) {
            outcomes.push(timed(CONTRACT, contract::check));
        }
        outcomes
    }
}

/// A step that `check` is: what it says of itself, or what is wrong. One that
/// lacks something on this machine was told so, and is not held against it.
fn timed(
    name: &'static str,
    check: impl FnOnce() -> Result<Result<String, String>, ExitCode>,
) -> Outcome {
    println!("{HEAD}{name}{HEAD:#}");
    let start = Instant::now();
    let (passed, detail) = match check() {
        Ok(Ok(detail)) => (true, detail),
        Ok(Err(why)) => {
            eprintln!("{why}");
            (false, "see above".into())
        }
        Err(code) => (code == ExitCode::from(MISSING), "not run: see above".into()),
    };
    Outcome { name, passed, detail, took: start.elapsed() }
}

fn image() -> Outcome {
    timed(IMAGE, || {
        let mut tasks = Vec::new();
        for name in APPS {
            match app::App::load(&root().join(name)) {
                Ok(app) => tasks.push(app.tasks.len().to_string()),
                Err(refusals) => return Ok(Err(refusals.to_string())),
            }
        }
        Ok(Ok(format!("{} tasks, no cycle of waiting", tasks.join(", "))))
    })
}

fn interfaces() -> Outcome {
    timed(INTERFACES, || Ok(check_interfaces()))
}

fn check_interfaces() -> Result<String, String> {
    let folder = root().join("idl");
    let entries = std::fs::read_dir(&folder).map_err(|error| error.to_string())?;
    let files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let mut wrong = Vec::new();
    for file in &files {
        if let Err(diagnostics) = idol::check(file) {
            wrong.extend(diagnostics.iter().map(ToString::to_string));
        }
    }
    if wrong.is_empty() { Ok(format!("{} files", files.len())) } else { Err(wrong.join("\n")) }
}

/// The cases of an image on the board.
fn on_board(name: &'static str, build: impl FnOnce() -> Result<PathBuf, ExitCode>) -> Outcome {
    timed(name, || {
        let run = board::run(&build()?)?;
        let mut cases = Cases::default();
        for line in run.said.lines() {
            if !cases.take(line) {
                println!("{line}");
            }
        }
        let Cases { passed, failed, whole } = cases;
        let all = if whole { "" } else { ", and it did not come to its end" };
        let told = format!("{passed} passed, {failed} failed{all}");
        Ok(if run.ended_well && whole && failed == 0 { Ok(told) } else { Err(told) })
    })
}

/// Streams on the board, and what they live through.
fn playing(story: Option<&str>) -> Outcome {
    println!("{HEAD}{PLAYING}{HEAD:#}");
    let start = Instant::now();
    let told = stories::run(story, |story| println!("{DIM}{story}{DIM:#}"));
    let (passed, detail) = match told {
        Ok((passed, failed)) => (failed == 0, format!("{passed} passed, {failed} failed")),
        Err(stop) => (stop.say() == ExitCode::from(MISSING), "not run: see above".to_owned()),
    };
    Outcome { name: PLAYING, passed, detail, took: start.elapsed() }
}

/// The cases that an image told of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Cases {
    passed: u32,
    failed: u32,
    /// Whether its closing line agrees.
    whole: bool,
}

impl Cases {
    /// Counts a line; whether it tells of something that went right.
    fn take(&mut self, line: &str) -> bool {
        if line.starts_with("case ") {
            let right = line.ends_with(" ok");
            *(if right { &mut self.passed } else { &mut self.failed }) += 1;
            return right;
        }
        let closing = format!("suite {} passed {} failed", self.passed, self.failed);
        self.whole |= line == closing;
        line == closing
    }
}

impl Step {
    /// Runs the step, its output shown as it comes.
    fn run(&self) -> Result<Outcome, ExitCode> {
        println!("{HEAD}{}{HEAD:#}", self.name);
        let start = Instant::now();
        let lost = |how: &str, error: &std::io::Error| {
            eprintln!("{BAD}✗{BAD:#} cargo {how}: {error}");
            ExitCode::from(MISSING)
        };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut child = Command::new(&cargo)
            .args(self.arguments)
            .current_dir(root())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| lost("cannot be started", &error))?;
        let mut tests = Tally::default();
        if let Some(stdout) = child.stdout.take() {
            let mut terminal = std::io::stdout().lock();
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                tests.take(&line);
                // A closed pipe is no reason to stop testing.
                let _ = writeln!(terminal, "{line}");
            }
        }
        let status = child.wait().map_err(|error| lost("was lost", &error))?;
        let passed = status.success();
        Ok(Outcome {
            name: self.name,
            passed,
            detail: match (tests.suites, passed) {
                (0, true) => "clean".into(),
                (0, false) => "see above".into(),
                _ => format!("{} passed, {} failed", tests.passed, tests.failed),
            },
            took: start.elapsed(),
        })
    }
}

/// The sum over the test runner's closing lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    suites: u32,
    passed: u32,
    failed: u32,
}

impl Tally {
    /// Counts a line such as `test result: ok. 12 passed; 0 failed; …`.
    fn take(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else { return };
        self.suites += 1;
        let words: Vec<&str> = counts.split([' ', ';']).collect();
        for pair in words.windows(2) {
            let number = pair[0].parse().unwrap_or(0);
            match pair[1] {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cases, Tally};

    #[test]
    fn cases_are_counted_and_the_closing_line_has_to_agree() {
        let mut cases = Cases::default();
        assert!(cases.take("case a_rule 0 ok"));
        assert!(!cases.take("case a_rule 1 FAILED: Hang"));
        assert!(!cases.take("suite 2 passed 0 failed"));
        assert!(cases.take("suite 1 passed 1 failed"));
        assert_eq!(cases, Cases { passed: 1, failed: 1, whole: true });
    }

    #[test]
    fn the_runners_closing_lines_are_summed() {
        let mut tally = Tally::default();
        tally.take("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; finished in 0.1s");
        tally.take("running 3 tests");
        tally.take("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured");
        assert_eq!(tally, Tally { suites: 2, passed: 15, failed: 2 });
    }
}
