//! `cargo xtask explore --mutants`: does the search find what is wrong?
//!
//! Defects are seeded into a copy of the sources, each behind a switch, so that
//! one build has them all. With every switch off the search must find nothing;
//! with any of them on, something.

mod patch;
mod tree;

use crate::root;
use crate::style::{BAD, DIM, GOOD, HEAD};
use anstream::println;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use patch::{Mutant, PatchFile};
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the search may take beyond its time: the runs under way come to an end, and
/// what was found is made simple.
const GRACE: Duration = Duration::from_secs(120);
/// What is switched on in the first search.
const NONE: &str = "none of them";
/// How often the search is looked at, whether it is over.
const LOOK: Duration = Duration::from_millis(20);

/// What is looked for, and how.
pub(super) struct Hunt<'a> {
    /// The folder of the patches.
    pub(super) folder: &'a Path,
    /// The defects that are looked for; all when none is named.
    pub(super) names: &'a [String],
    /// What decides the runs.
    pub(super) seed: u64,
    /// For how long each is looked for.
    pub(super) seconds: u64,
    /// Print one JSON object on the last line.
    pub(super) json: bool,
}

/// What a search came to.
#[derive(Default)]
struct Outcome {
    /// What was found in the first run that was not as it should be.
    found: Vec<String>,
    runs: u64,
    seconds: f64,
    /// That run, as a file.
    scenario: Option<String>,
}

impl Hunt<'_> {
    /// Seeds, builds and looks. Whether every defect was found, and nothing
    /// without one.
    pub(super) fn run(&self) -> Result<bool, String> {
        let began = Instant::now();
        let patches = patch::read_all(self.folder)?;
        let mutants = self.chosen(&patches)?;
        let place = root().join("target/mutants");
        let program = build(&place, &patches)?;
        self.look_for_each(&program, &place, &mutants, began)
    }

    /// Looks for nothing, and then for each of them.
    fn look_for_each(
        &self,
        program: &Path,
        place: &Path,
        mutants: &[&Mutant],
        began: Instant,
    ) -> Result<bool, String> {
        println!("{HEAD}{} defects{HEAD:#}", mutants.len());
        let control = self.look(program, None)?;
        let sound = control.found.is_empty();
        let (style, mark) = if sound { (GOOD, "✓") } else { (BAD, "✗") };
        println!("{style}{mark}{style:#} {:<34} {}", NONE, control.told("nothing"));
        if let Some(scenario) = &control.scenario {
            let path = place.join("none.toml");
            super::write(&path, scenario)?;
            println!("  {DIM}cargo xtask sim --scenario {}{DIM:#}", path.display());
            println!("  None is looked for while runs without any are not as they should be.");
        }
        let mut rows = Vec::new();
        let mut missed = Vec::new();
        for mutant in mutants.iter().filter(|_| sound) {
            let outcome = self.look(program, Some(mutant))?;
            let found = !outcome.found.is_empty();
            let (style, mark) = if found { (GOOD, "✓") } else { (BAD, "✗") };
            println!("{style}{mark}{style:#} {:<34} {}", mutant.name, outcome.told("missed"));
            rows.push(json!({
                "name": mutant.name,
                "breaks": mutant.breaks,
                "found": outcome.found,
                "runs": outcome.runs,
                "seconds": outcome.seconds,
            }));
            if let Some(scenario) = &outcome.scenario {
                let path = place.join(format!("{}.toml", mutant.name));
                super::write(&path, scenario)?;
                if !self.names.is_empty() {
                    let (variable, name, path) = (mutants::VARIABLE, &mutant.name, path.display());
                    let program = program.display();
                    println!("  {DIM}{variable}={name} {program} sim --scenario {path}{DIM:#}");
                }
            }
            if !found {
                println!("  {}: {}", mutant.breaks.join(", "), mutant.what);
                missed.push(&mutant.name);
            }
        }
        let (total, found) = (mutants.len(), rows.len() - missed.len());
        let all = sound && found == total;
        let style = if all { GOOD } else { BAD };
        println!("{style}{found} of {total} found{style:#}");
        if self.json {
            let object = json!({
                "seed": self.seed,
                "total": total,
                "found": found,
                "missed": missed,
                "control": {
                    "found": control.found, "runs": control.runs, "seconds": control.seconds,
                },
                "mutants": rows,
                "seconds": began.elapsed().as_secs_f64(),
            });
            println!("{object}");
        }
        Ok(all)
    }

    fn chosen<'p>(&self, patches: &'p [PatchFile]) -> Result<Vec<&'p Mutant>, String> {
        let all = || patches.iter().flat_map(|patch| &patch.mutants);
        if self.names.is_empty() {
            return Ok(all().collect());
        }
        let named = self.names.iter().map(|name| {
            let found = all().find(|mutant| mutant.name == *name);
            found.ok_or_else(|| {
                let folder = self.folder.display();
                format!("no patch in {folder} seeds a defect called '{name}'")
            })
        });
        named.collect()
    }

    /// Searches with this defect switched on, in a process of its own.
    fn look(&self, program: &Path, mutant: Option<&Mutant>) -> Result<Outcome, String> {
        let whose = mutant.map_or("the search", |mutant| &mutant.name);
        let failed = |why: &dyn std::fmt::Display| format!("{whose}: {why}");
        let (seed, seconds) = (self.seed.to_string(), self.seconds.to_string());
        let mut command = Command::new(program);
        command.args(["explore", "--hunt", "--json", "--seed", &seed, "--seconds", &seconds]);
        // Who asks for one wants to know how it shows.
        if !self.names.is_empty() {
            command.arg("--shrunk");
        }
        command.env_remove(mutants::VARIABLE);
        if let Some(mutant) = mutant {
            command.env(mutants::VARIABLE, &mutant.name);
        }
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.map_err(|error| failed(&error))?;
        let until = Instant::now() + Duration::from_secs(self.seconds) + GRACE;
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("  {msg}, {elapsed} of {prefix}");
        bar.set_style(style.expect("the template is ours"));
        bar.set_prefix(format!("{} s", self.seconds));
        bar.set_message(mutant.map_or(NONE, |mutant| &mutant.name).to_owned());
        while child.try_wait().map_err(|error| failed(&error))?.is_none() {
            if Instant::now() > until {
                let _ = child.kill();
                return Err(failed(&"a run does not end"));
            }
            bar.tick();
            std::thread::sleep(LOOK);
        }
        bar.finish_and_clear();
        let mut said = String::new();
        let mut stdout = child.stdout.take().ok_or_else(|| failed(&"it says nothing"))?;
        stdout.read_to_string(&mut said).map_err(|error| failed(&error))?;
        let outcome = Outcome::read(said.lines().last().unwrap_or_default());
        match child.wait() {
            // A defect that the simulator does not survive shows.
            Ok(status) if outcome.is_err() && mutant.is_some() => Ok(Outcome {
                found: vec![format!("the search ended: {status}")],
                ..Outcome::default()
            }),
            _ => outcome.map_err(|why| failed(&why)),
        }
    }
}

impl Outcome {
    /// Reads what the search printed last.
    fn read(line: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let found = value["first"].as_array().into_iter().flatten();
        Ok(Self {
            found: found.filter_map(|text| Some(text.as_str()?.to_owned())).collect(),
            runs: value["runs"].as_u64().ok_or("it does not say how often it ran")?,
            seconds: value["seconds"].as_f64().unwrap_or_default(),
            scenario: value["scenario"].as_str().map(str::to_owned),
        })
    }

    fn told(&self, nothing: &str) -> String {
        let Self { runs, seconds, .. } = self;
        let found = self.found.first().map_or(nothing, String::as_str);
        format!("{found} {DIM}({runs} runs, {seconds:.1} s){DIM:#}")
    }
}

/// Builds this program with all defects, each behind its switch.
fn build(place: &Path, patches: &[PatchFile]) -> Result<PathBuf, String> {
    let (tree, output) = (place.join("tree"), place.join("build"));
    tree::bring_about(&tree, patches)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--package", "xtask"])
        .current_dir(&tree)
        .env("CARGO_TARGET_DIR", &output)
        // It runs for minutes: what takes longer to build is not worth it.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env("CARGO_PROFILE_RELEASE_INCREMENTAL", "true")
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if built.success() {
        Ok(output.join("release/xtask"))
    } else {
        Err(format!("{} does not build", tree.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Hunt, Mutant};
    use serde_json::json;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::time::Instant;

    /// A search that finds something when the switch is at `found`, and comes to no
    /// end of its own at `dies`.
    fn program(place: &Path, control: &[&str]) -> std::path::PathBuf {
        let said = |first: &[&str]| {
            let scenario = (!first.is_empty()).then_some("seed = 0\n");
            json!({ "first": first, "runs": 9, "seconds": 0.5, "scenario": scenario })
        };
        let script = format!(
            "#!/bin/sh\ncase \"$SOTTO_MUTANT\" in\nfound) printf '%s\\n' '{}';;\n\
             missed) printf '%s\\n' '{}';;\ndies) exit 3;;\n*) printf '%s\\n' '{}';;\nesac\n",
            said(&["1 votes are still held"]),
            said(&[]),
            said(control),
        );
        let path = place.join("program");
        fs::write(&path, script).expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        path
    }

    /// Whether all is well with these defects, and the scenarios that are left.
    fn hunt(control: &[&str], names: &[&str]) -> (bool, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let program = program(folder.path(), control);
        let mutants: Vec<Mutant> = names
            .iter()
            .map(|&name| Mutant {
                name: name.to_owned(),
                breaks: vec!["rule 4".to_owned()],
                what: "Something is wrong.".to_owned(),
            })
            .collect();
        let mutants: Vec<&Mutant> = mutants.iter().collect();
        let hunt = Hunt { folder: folder.path(), names: &[], seed: 1, seconds: 5, json: true };
        let right = hunt.look_for_each(&program, folder.path(), &mutants, Instant::now());
        let mut left: Vec<String> = fs::read_dir(folder.path())
            .expect("it is there")
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".toml"))
            .collect();
        left.sort();
        (right.expect("the searches end"), left)
    }

    #[test]
    fn all_is_well_when_each_is_found_and_nothing_without_one() {
        assert_eq!(hunt(&[], &["found"]), (true, vec!["found.toml".to_owned()]));
        // What the simulator does not survive shows.
        assert_eq!(hunt(&[], &["found", "dies"]), (true, vec!["found.toml".to_owned()]));
        assert_eq!(hunt(&[], &["missed", "found"]), (false, vec!["found.toml".to_owned()]));
    }

    #[test]
    fn what_is_found_without_a_defect_is_left_to_be_played_and_none_is_looked_for() {
        let (right, left) = hunt(&["a server is down"], &["found"]);
        assert_eq!((right, left), (false, vec!["none.toml".to_owned()]));
    }
}
