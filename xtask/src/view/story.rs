//! `cargo xtask story`

use super::{Failure, Target, conclude};
use crate::run::COUNT_NS;
use crate::sim::{DeviceName, FaultName, PathName, Plan, load_scenario};
use crate::style::{BAD, DIM, HEAD};
use crate::{Bad, root};
use ::view::{Entry, Ring, Story as Account, System, Value};
use anstream::println;
use explore::Sinks;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use system::image::Description;
use system::look::{Look, RingLook};
use system::run::{Setup, run};

/// `cargo xtask story`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The trace rings of all tasks, of the DSP's program and of its monitor, merged by \
                  time: out of a dump, of a board that runs, or of a simulation that is run for it."
)]
pub(crate) struct Story {
    /// This session alone, by the number that the broker gave it
    session: Option<u64>,
    #[command(flatten)]
    target: Target,
    /// Of the run that `cargo xtask sim` makes with these options
    #[arg(long, conflicts_with_all = ["dump", "qmp"])]
    sim: bool,
    /// What decides all that a real machine leaves open
    #[arg(long, value_name = "N", default_value_t = 1, requires = "sim")]
    seed: u64,
    /// The headset
    #[arg(long, value_enum, default_value_t = DeviceName::Sync, requires = "sim")]
    device: DeviceName,
    /// The way: over the DSP, or over the application core
    #[arg(long, value_enum, default_value_t = PathName::Offload, requires = "sim")]
    path: PathName,
    /// Inject a fault
    #[arg(long, value_name = "KIND", requires = "sim")]
    fault: Option<FaultName>,
    /// Of a run that `explore` found, up to the stream that has to be exact
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dump", "qmp", "sim"])]
    scenario: Option<PathBuf>,
}

impl Story {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        conclude(self.account().and_then(|account| self.show(account)))
    }

    fn account(&self) -> Result<Account, Failure> {
        if self.sim {
            return self.simulated().map_err(|Bad(why)| Failure::bad(why));
        }
        if let Some(file) = &self.scenario {
            // What panics in the run ends it, and that is told.
            std::panic::set_hook(Box::new(|_| {}));
            return explored(file).map_err(|Bad(why)| Failure::bad(why));
        }
        of_board(&System::of(&self.target.dump()?))
    }

    fn simulated(&self) -> Result<Account, Bad> {
        let description = Description::load(&root().join("app.toml")).map_err(Bad)?;
        let plan = Plan::new(description, None, self.device)?;
        let finished = run(Setup {
            description,
            sound: &plan.sound,
            device: self.device.name(),
            path: self.path.into(),
            seed: self.seed,
            fault: self.fault.map(|fault| (fault.0, fault.to_string())),
            pcap: None,
            trace: None,
            progress: None,
            look_at_ms: None,
            rings: Vec::new(),
        });
        Ok(of_simulated(description, finished.look))
    }

    fn show(&self, whole: Account) -> Result<(), Failure> {
        let sessions = whole.sessions();
        let account = match self.session {
            Some(id) => whole.of_session(id).ok_or_else(|| {
                let known: Vec<_> = sessions.iter().map(u64::to_string).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                Failure::bad(format!("no event names session {id}; sessions here: {known}"))
            })?,
            None => whole,
        };
        for (n, (trouble, line)) in account.lines().iter().enumerate() {
            match (n, trouble) {
                (0, _) => println!("{HEAD}{line}{HEAD:#}"),
                (_, true) => println!("{BAD}{line}{BAD:#}"),
                (_, false) => println!("{line}"),
            }
        }
        if self.session.is_none() && !sessions.is_empty() && !self.target.json {
            let known: Vec<_> = sessions.iter().map(u64::to_string).collect();
            println!("{DIM}sessions: {}; one alone: cargo xtask story N{DIM:#}", known.join(", "));
        }
        if self.target.json {
            println!("{}", account.json());
        }
        Ok(())
    }
}

/// The account of a run that `explore` found.
fn explored(file: &Path) -> Result<Account, Bad> {
    let (stage, run) = load_scenario(file)?;
    let (ran, _) = stage.tell(&run, Sinks::default());
    let look = ran.look.ok_or_else(|| {
        let why = ran.findings.first().map(ToString::to_string).unwrap_or_default();
        Bad(format!("{}: the run did not come so far: {why}", file.display()))
    })?;
    Ok(of_simulated(stage.description(run.scenario), look))
}

/// The account of a simulation.
fn of_simulated(description: &Description, look: Look) -> Account {
    let rings: Vec<Ring> = look.rings.into_iter().map(ring).collect();
    let names = description.app().tasks.iter().map(|task| task.name.clone());
    Account::of(&rings, 1, names.collect())
}

/// The account of a board.
pub(crate) fn of_board(system: &System<'_>) -> Result<Account, Failure> {
    Ok(Account::of(&system.rings()?, COUNT_NS, system.programs().task_names()))
}

/// A simulated task's ring, as a board's is read.
fn ring(ring: RingLook) -> Ring {
    let entry = |(index, entry): (usize, ringbuf::RingbufEntry<String>)| Entry {
        index,
        line: entry.line.into(),
        generation: entry.generation.into(),
        count: entry.count.into(),
        time: Some(entry.time),
        payload: Value::from_debug(&entry.payload).unwrap_or(Value::Text(entry.payload)),
    };
    let entries = ring.entries.into_iter().map(entry).collect();
    Ring { task: ring.task, name: ring.name.to_owned(), entries }
}

#[cfg(test)]
mod tests {
    use super::Story;
    use clap::Parser;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        story: Story,
    }

    fn parsed(arguments: &[&str]) -> Story {
        Alone::try_parse_from([&["story"], arguments].concat()).expect("good arguments").story
    }

    #[test]
    fn a_simulated_session_is_told_from_the_command_to_the_end() {
        let account = parsed(&["--sim"]).simulated().map_err(|bad| bad.0).expect("it runs");
        let [session] = account.sessions()[..] else { panic!("{:?}", account.sessions()) };
        let told = account.of_session(session).expect("there is one");
        let at = |task: &str, words: &str| {
            let json = told.json();
            let events = json["events"].as_array().expect("a list").clone();
            let is = |event: &serde_json::Value| {
                event["task"] == task
                    && event["words"].as_str().is_some_and(|w| w.starts_with(words))
            };
            events.iter().position(is).unwrap_or_else(|| panic!("no `{words}` of {task}:\n{told}"))
        };
        let steps = [
            at("player", "taken"),
            at("dsp-program", "start: "),
            at("dsp-program", "requested"),
            at("offload_broker", &format!("session {session}: Reserved")),
            at("offload_broker", &format!("session {session}: Running")),
            at("dsp-program", "granted"),
            at("dsp-program", "streaming"),
            at("offload_broker", &format!("session {session}: Draining")),
            at("offload_broker", &format!("session {session}: Free")),
        ];
        assert!(steps.is_sorted(), "{steps:?}\n{told}");
        assert!(at("player", "finished") > steps[6]);
        let wide = told.to_string();
        let wide = wide.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None);
    }

    #[test]
    fn a_run_that_was_found_is_told_with_its_fault() {
        let file = std::env::temp_dir().join("a-run-that-was-found.toml");
        let run = "scenario = \"stream\"\nseed = 3\n\n[[fault]]\n\
                   at = \"controller0 packet 20\"\nwhat = \"unplug 0\"\n";
        std::fs::write(&file, run).expect("a file");
        let account = super::explored(&file).map_err(|bad| bad.0).expect("it runs");
        let [session] = account.sessions()[..] else { panic!("{:?}", account.sessions()) };
        let told = account.of_session(session).expect("there is one").to_string();
        for words in ["Running", "detached", "Draining", "DropEndpoints", "Free"] {
            assert!(told.contains(words), "no `{words}`:\n{told}");
        }
        assert_eq!(told.lines().find(|line| line.chars().count() > 80), None);
    }

    #[test]
    fn where_to_look_is_one_place() {
        let refused =
            |arguments: &[&str]| Alone::try_parse_from([&["story"], arguments].concat()).is_err();
        assert!(refused(&["--sim", "--dump", "x"]) && refused(&["--sim", "--qmp", "x"]));
        assert!(refused(&["--sim", "--scenario", "x"]) && refused(&["--seed", "2"]));
        assert!(refused(&["--scenario", "x", "--dump", "y"]));
        assert!(refused(&["--dump", "x", "--qmp", "x"]));
        assert_eq!(parsed(&["3"]).session, Some(3));
    }
}
