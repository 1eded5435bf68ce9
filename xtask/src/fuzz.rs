//! `cargo xtask fuzz`: looks for bytes that break what takes bytes from outside.
//!
//! The targets are `test/fuzz`, the search is libFuzzer's, with coverage that the
//! stable compiler puts in when LLVM is asked for it.

use crate::style::{BAD, DIM, GOOD};
use crate::{BAD_INPUT, MISSING, WRONG, root};
use anstream::{eprintln, println};
use clap::builder::PossibleValue;
use fuzz::{TARGETS, Target};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// What LLVM is asked for: counters at every edge, and the table of edges.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                        -Cllvm-args=-sanitizer-coverage-pc-table \
                        -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// `cargo xtask fuzz`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes:\n  0  nothing was found\n  1  something was; the input and how \
                        to try it again are printed\n  2  bad input or usage\n  3  there is no C++ \
                        compiler, which libFuzzer needs"
)]
pub(crate) struct Fuzz {
    /// What is fuzzed [default: each in turn]
    #[arg(value_parser = TARGETS.map(|target| PossibleValue::new(target.name).help(target.about)))]
    target: Option<String>,
    /// How long, each
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Where the search begins; 0 is another place each time
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u32,
    /// Try this input, and nothing else
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
    /// Add what reached something new to the tree's corpus
    #[arg(long, conflicts_with = "input")]
    keep: bool,
    /// One line of JSON for each target
    #[arg(long)]
    json: bool,
}

/// How one target fared.
#[derive(Debug, Default, serde::Serialize)]
struct Outcome {
    target: &'static str,
    /// Inputs that were tried.
    runs: u64,
    /// Edges of the code that they reached.
    coverage: u64,
    /// Inputs that reach all of that.
    corpus: u64,
    seconds: f64,
    /// The input that breaks something.
    crash: Option<PathBuf>,
}

impl Fuzz {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        if let Some(input) = self.input.as_ref().filter(|input| !input.is_file()) {
            eprintln!("{BAD}✗{BAD:#} {} is no file", input.display());
            return ExitCode::from(BAD_INPUT);
        }
        let Some(binary) = build() else { return ExitCode::from(MISSING) };
        let chosen =
            |target: &&Target| self.target.as_deref().is_none_or(|name| name == target.name);
        let mut found = false;
        for target in TARGETS.iter().filter(chosen) {
            match self.fuzz(&binary, target) {
                Ok(outcome) => {
                    found |= outcome.crash.is_some();
                    self.tell(&outcome);
                }
                Err(error) => {
                    eprintln!("{BAD}✗{BAD:#} {}: {error}", target.name);
                    return ExitCode::from(MISSING);
                }
            }
        }
        if found { ExitCode::from(WRONG) } else { ExitCode::SUCCESS }
    }

    fn fuzz(&self, binary: &Path, target: &'static Target) -> std::io::Result<Outcome> {
        let work = root().join("target/fuzz").join(target.name);
        let corpus = work.join("corpus");
        fs::create_dir_all(&corpus)?;
        let mut command = Command::new(binary);
        command.env("SOTTO_FUZZ", target.name);
        command.arg(format!("-artifact_prefix={}/", work.display()));
        match &self.input {
            Some(input) => {
                command.arg(input);
            }
            None => {
                command.arg(format!("-max_total_time={}", self.seconds));
                command.arg(format!("-seed={}", self.seed));
                command.arg(format!("-max_len={}", target.longest));
                command.args(["-print_final_stats=1", "-timeout=10"]);
                command.args([&corpus, &fuzz::corpus(target)]);
            }
        }
        let start = Instant::now();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut outcome = Outcome { target: target.name, ..Outcome::default() };
        let mut last = Vec::new();
        if let Some(said) = child.stderr.take() {
            for line in BufReader::new(said).split(b'\n') {
                let line = String::from_utf8_lossy(&line?).into_owned();
                outcome.read(&line);
                if !line.starts_with('#') {
                    last.push(line);
                }
            }
        }
        let ended_well = child.wait()?.success();
        outcome.seconds = start.elapsed().as_secs_f64();
        if !ended_well {
            last.iter().for_each(|line| eprintln!("{DIM}{line}{DIM:#}"));
            outcome.crash = outcome.crash.or_else(|| self.input.clone());
            if outcome.crash.is_none() {
                return Err(std::io::Error::other("the fuzzer did not come to its end"));
            }
        } else if self.input.is_some() && outcome.runs == 0 {
            return Err(std::io::Error::other("the fuzzer did not try the input"));
        } else if self.keep {
            merge(binary, target, &corpus)?;
        }
        Ok(outcome)
    }

    fn tell(&self, outcome: &Outcome) {
        if self.json {
            println!("{}", serde_json::to_string(outcome).unwrap_or_default());
            return;
        }
        let Outcome { target, runs, coverage, corpus, seconds, crash } = outcome;
        match crash {
            Some(crash) => {
                let file = crash.strip_prefix(root()).unwrap_or(crash).display();
                println!("{BAD}✗{BAD:#} {target:<12} breaks on {file}");
                println!("  again: cargo xtask fuzz {target} --input {file}");
                println!("  once it is mended, keep it in test/fuzz/crashes/{target}");
            }
            None if self.input.is_some() => {
                println!("{GOOD}✓{GOOD:#} {target:<12} takes it {DIM}({seconds:.1} s){DIM:#}");
            }
            None => println!(
                "{GOOD}✓{GOOD:#} {target:<12} {runs} inputs, {coverage} edges, {corpus} in the corpus \
                 {DIM}({seconds:.0} s){DIM:#}"
            ),
        }
    }
}

impl Outcome {
    /// Takes in what a line of libFuzzer's says.
    fn read(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1)?.split('/').next()?.parse().ok()
        };
        self.runs = after("stat::number_of_executed_units:").unwrap_or(self.runs);
        // One that was named: "Executed FILE in 0 ms".
        if words.first() == Some(&"Executed") {
            self.runs = 1;
        }
        self.coverage = after("cov:").unwrap_or(self.coverage);
        self.corpus = after("corp:").unwrap_or(self.corpus);
        if let Some((_, file)) = line.split_once("Test unit written to ") {
            self.crash = Some(PathBuf::from(file.trim()));
        }
    }
}

/// Makes the fuzzer; where it is.
fn build() -> Option<PathBuf> {
    let folder = root().join("target/fuzz-build");
    let triple = host()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // What a release leaves unchecked is what is looked for.
    let made = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "fuzz", "--features", "libfuzzer"])
        .args(["--target", &triple, "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", COVERAGE)
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
        .env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true")
        .current_dir(root())
        .status();
    if made.is_ok_and(|status| status.success()) {
        return Some(folder.join(triple).join("release/fuzz"));
    }
    eprintln!("{BAD}✗{BAD:#} the fuzzer cannot be built; libFuzzer needs a C++ compiler");
    None
}

/// What this machine is called, so that flags for the fuzzer are not for what
/// runs while it is built.
fn host() -> Option<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).args(["--print", "host-tuple"]).output().ok()?;
    Some(String::from_utf8(said.stdout).ok()?.trim().to_owned())
}

/// Adds to the tree what reaches something that nothing there does.
fn merge(binary: &Path, target: &Target, corpus: &Path) -> std::io::Result<()> {
    let kept = fuzz::corpus(target);
    fs::create_dir_all(&kept)?;
    let mut child = Command::new(binary)
        .env("SOTTO_FUZZ", target.name)
        // By edges reached, not by how often: a tree can bear that many.
        .args(["-merge=1", "-use_counters=0"])
        .arg(format!("-max_len={}", target.longest))
        .args([kept.as_path(), corpus])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut said)?;
    }
    if child.wait()?.success() { Ok(()) } else { Err(std::io::Error::other(said)) }
}

#[cfg(test)]
mod tests {
    use super::Outcome;
    use std::path::PathBuf;

    #[test]
    fn what_the_fuzzer_says_is_read() {
        let mut outcome = Outcome::default();
        outcome.read("#4096\tREDUCE cov: 311 ft: 900 corp: 87/3120b lim: 128 exec/s: 2048");
        outcome.read("stat::number_of_executed_units: 123456");
        assert_eq!((outcome.coverage, outcome.corpus, outcome.runs), (311, 87, 123_456));
        outcome.read("artifact_prefix='a/'; Test unit written to a/crash-0123");
        assert_eq!(outcome.crash, Some(PathBuf::from("a/crash-0123")));
        let mut named = Outcome::default();
        named.read("Running: test/fuzz/corpus/qmi/0123");
        assert_eq!(named.runs, 0);
        named.read("Executed test/fuzz/corpus/qmi/0123 in 0 ms");
        assert_eq!(named.runs, 1);
    }
}
