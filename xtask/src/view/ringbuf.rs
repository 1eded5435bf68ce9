//! `cargo xtask ringbuf`

use super::{Failure, Target, is_wanted};
use ::view::{Error, Ring};
use anstream::println;
use serde_json::Value;
use std::process::ExitCode;

/// `cargo xtask ringbuf`
#[derive(Debug, clap::Args)]
pub(crate) struct Ringbuf {
    #[command(flatten)]
    target: Target,
    /// Names only
    #[arg(long, short)]
    list: bool,
    /// Only those whose name, or task's name, this is part of
    name: Option<String>,
}

impl Ringbuf {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        self.target.look_either(
            |simulated| self.show(simulated.rings()?),
            |system| self.show(system.rings()?),
        )
    }

    fn show(&self, mut rings: Vec<Ring>) -> Result<(), Failure> {
        let known: Vec<String> = rings.iter().map(|ring| ring.name.clone()).collect();
        rings.retain(|ring| is_wanted(self.name.as_deref(), [&ring.name, &ring.task]));
        if let (true, Some(wanted)) = (rings.is_empty(), &self.name) {
            return Err(Error::Unknown("ring buffer", wanted.clone(), known).into());
        }
        for ring in &rings {
            if self.list {
                println!("{:<20} {}", ring.task, ring.name);
            } else {
                println!("{}", ring.to_string().trim_end());
            }
        }
        if self.target.json {
            let rings: Vec<Value> = rings.iter().map(Ring::json).collect();
            println!("{}", serde_json::json!({ "ringbufs": rings }));
        }
        Ok(())
    }
}
