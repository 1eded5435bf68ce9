//! `cargo xtask test`: everything that can be checked on this machine.
//!
//! What CI runs. Each step runs even when one before it failed, so that one
//! run tells all; the closing lines say what failed.

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
    /// Leave out what boots in QEMU
    #[arg(long)]
    no_board: bool,
}

/// One thing to run.
struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    /// The rustup component without which it cannot run.
    component: Option<&'static str>,
}

const STEPS: [Step; 3] = [
    Step {
        name: "formatting",
        arguments: &["fmt", "--all", "--", "--check"],
        component: Some("rustfmt"),
    },
    Step {
        name: "lints",
        arguments: &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
        component: Some("clippy"),
    },
    Step {
        name: "tests",
        arguments: &["test", "--workspace", "--quiet", "--no-fail-fast"],
        component: None,
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
        let mut outcomes = vec![image(), interfaces()];
        for step in &STEPS {
            if self.tests_only && step.component.is_some() {
                continue;
            }
            match step.run() {
                Ok(outcome) => outcomes.push(outcome),
                Err(missing) => {
                    eprintln!("{BAD}✗{BAD:#} {missing}");
                    return ExitCode::from(MISSING);
                }
            }
        }
        if !self.no_board {
            outcomes.push(on_board("board", || {
                board::build(&root().join("test/app-suite.toml")).map(|image| image.elf)
            }));
            outcomes.push(on_board("core 1", || board::build_core1_test(&root().join("app.toml"))));
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

fn timed(name: &'static str, check: impl FnOnce() -> Result<String, String>) -> Outcome {
    println!("{HEAD}{name}{HEAD:#}");
    let start = Instant::now();
    let result = check();
    if let Err(why) = &result {
        eprintln!("{why}");
    }
    Outcome {
        name,
        passed: result.is_ok(),
        detail: result.unwrap_or_else(|_| "see above".into()),
        took: start.elapsed(),
    }
}

fn image() -> Outcome {
    timed("image", || match app::App::load(&root().join("app.toml")) {
        Ok(app) => Ok(format!("{} tasks, no cycle of waiting", app.tasks.len())),
        Err(refusals) => Err(refusals.to_string()),
    })
}

fn interfaces() -> Outcome {
    timed("interfaces", || {
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
    })
}

/// The cases of an image on the board. A machine that cannot build or run it was
/// told so, and has still tested everything else.
fn on_board(name: &'static str, build: impl FnOnce() -> Result<PathBuf, ExitCode>) -> Outcome {
    println!("{HEAD}{name}{HEAD:#}");
    let start = Instant::now();
    let run = match build().and_then(|elf| board::run(&elf)) {
        Ok(run) => run,
        Err(code) => {
            return Outcome {
                name,
                passed: code == ExitCode::from(MISSING),
                detail: "not run: see above".to_owned(),
                took: start.elapsed(),
            };
        }
    };
    let mut cases = Cases::default();
    for line in run.said.lines() {
        if !cases.take(line) {
            println!("{line}");
        }
    }
    let Cases { passed, failed, whole } = cases;
    let all = if whole { "" } else { ", and it did not come to its end" };
    Outcome {
        name,
        passed: run.ended_well && whole && failed == 0,
        detail: format!("{passed} passed, {failed} failed{all}"),
        took: start.elapsed(),
    }
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
    /// Runs the step, its output shown as it comes. The error says what is
    /// missing on this machine.
    fn run(&self) -> Result<Outcome, String> {
        println!("{HEAD}{}{HEAD:#}", self.name);
        let start = Instant::now();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        if let Some(component) = self.component {
            let probe = Command::new(&cargo).args([self.arguments[0], "--version"]).output();
            if !probe.is_ok_and(|output| output.status.success()) {
                return Err(format!(
                    "{} needs {component}: rustup component add {component}",
                    self.name
                ));
            }
        }
        let mut child = Command::new(&cargo)
            .args(self.arguments)
            .current_dir(root())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cargo cannot be started: {error}"))?;
        let mut tests = Tally::default();
        if let Some(stdout) = child.stdout.take() {
            let mut terminal = std::io::stdout().lock();
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                tests.take(&line);
                // A closed pipe is no reason to stop testing.
                let _ = writeln!(terminal, "{line}");
            }
        }
        let status = child.wait().map_err(|error| format!("cargo was lost: {error}"))?;
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
