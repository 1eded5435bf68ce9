//! `cargo xtask call`: an operation of a server, from outside.

use crate::sim::{DeviceName, Plan};
use crate::style::{BAD, DIM, HEAD};
use crate::{BAD_INPUT, Bad, MISSING, WRONG, board, dump as taking, root};
use anstream::{eprintln, println};
use archive::Archive;
use calls::{Answer, Board, Call as Calling, Error, Outcome, Servers};
use qemu::Qmp;
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::process::ExitCode;
use system::errand::{Errands, Message, Unsendable};
use system::image::Description;
use view::{Programs, wrapped};

/// `cargo xtask call`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Values are written as Rust prints them: 3, 0x10, true, In, None, Some(2),\n\
    StreamHandle { index: 0, seq: 1, epoch: 0 }, or (0, 1, 0) for short. What a\n\
    server reads of a lease is given as hexadecimal digits or as @FILE; for one that\n\
    it writes, as how many bytes it may."
)]
pub(crate) struct Call {
    /// The operation, as Interface.operation; with --list, a part of it
    #[arg(required_unless_present = "list")]
    operation: Option<String>,
    /// Its arguments, each as NAME=VALUE
    arguments: Vec<String>,
    /// Show what can be called
    #[arg(long, short)]
    list: bool,
    /// The server, when several tasks have the interface
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Call in a simulation, one second into a piece that plays
    #[arg(long, conflicts_with = "qmp")]
    sim: bool,
    /// What decides all that a real machine leaves open
    #[arg(long, value_name = "N", default_value_t = 1, requires = "sim")]
    seed: u64,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// A board that runs, and its image.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The image's archive
    /// [default: target/sotto/dist/sotto-debug/build-sotto-debug.zip]
    #[arg(long, short, value_name = "ZIP")]
    archive: Option<PathBuf>,
    /// Where the board's monitor listens [default: target/sotto/monitor]
    #[arg(long, value_name = "SOCKET")]
    qmp: Option<PathBuf>,
}

/// Columns of a list.
const WIDTH: usize = 80;

/// A message for the user, and the exit code.
pub(crate) type Failure = (u8, String);

/// The exit code that an error means.
pub(crate) fn failed(error: &Error) -> Failure {
    let code = match error {
        Error::Bad(_) | Error::OtherImage | Error::View(_) => BAD_INPUT,
        Error::NoHiffy | Error::Stopped | Error::Qemu(_) => MISSING,
        Error::NotReady | Error::NoAnswer | Error::Refused(_) => WRONG,
    };
    (code, error.to_string())
}

impl Place {
    pub(crate) fn archive(&self) -> Result<Archive, Failure> {
        let made = || taking::archive_of("sotto-debug");
        taking::open_archive(&self.archive.clone().unwrap_or_else(made))
    }

    /// The board's monitor, and where its debugger is to listen.
    pub(crate) fn monitor(&self) -> Result<(Qmp, PathBuf), Failure> {
        let socket = self.qmp.clone().unwrap_or_else(|| board::output().join("monitor"));
        let none = |error| (MISSING, format!("no board at {}: {error}", socket.display()));
        let qmp = Qmp::connect(&socket).map_err(|error| none(error.to_string()))?;
        // QEMU may run in another folder.
        let socket = std::path::absolute(&socket).map_err(|error| none(error.to_string()))?;
        Ok((qmp, socket.with_added_extension("gdb")))
    }
}

impl Call {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        match self.try_run() {
            Ok(code) => code,
            Err((code, why)) => {
                eprintln!("{BAD}✗{BAD:#} {why}");
                ExitCode::from(code)
            }
        }
    }

    fn try_run(&self) -> Result<ExitCode, Failure> {
        let archive = self.place.archive()?;
        let programs = Programs::of(&archive);
        let servers = Servers::of(&programs).map_err(|error| failed(&error))?;
        let operation = self.operation.as_deref().unwrap_or_default();
        if self.list {
            self.show_list(&servers, operation);
            return Ok(ExitCode::SUCCESS);
        }
        let found = servers.find(operation, self.task.as_deref());
        let (server, op) = found.map_err(|error| failed(&error))?;
        let call = Calling::new(server, op, &self.arguments).map_err(|error| failed(&error))?;
        let outcome = if self.sim {
            called(&call, self.seed)?
        } else {
            let (mut qmp, debugger) = self.place.monitor()?;
            let board = Board::new(&mut qmp, &debugger, &archive, &programs);
            board.and_then(|mut board| board.call(&call)).map_err(|error| failed(&error))?
        };
        let answer = call.answer(&outcome).map_err(|error| failed(&error))?;
        Ok(self.show(&call.title(), &answer))
    }

    fn show_list(&self, servers: &Servers<'_>, part: &str) {
        let mut all = Vec::new();
        for server in &servers.0 {
            let lines = server.interface.ops.iter().map(|op| (op, server.signature(op)));
            let wanted: Vec<_> = lines.filter(|(_, line)| line.contains(part)).collect();
            if wanted.is_empty() {
                continue;
            }
            println!("{HEAD}{}{HEAD:#}", server.name());
            for (op, line) in wanted {
                for (n, piece) in wrapped(&line, WIDTH - 2).iter().enumerate() {
                    println!("{}{piece}", if n == 0 { "  " } else { "    " });
                }
                for piece in op.doc.iter().flat_map(|doc| wrapped(doc, WIDTH - 6)) {
                    println!("{DIM}      {piece}{DIM:#}");
                }
                all.push(json!({
                    "task": server.name(),
                    "operation": format!("{}.{}", server.interface.name.text, op.name.text),
                    "signature": line,
                    "doc": op.doc,
                }));
            }
        }
        if self.json {
            println!("{}", json!({ "operations": all }));
        }
    }

    fn show(&self, title: &str, answer: &Answer) -> ExitCode {
        let words = answer.words();
        let (code, json) = match answer {
            Answer::Value(value, written) => {
                for (n, piece) in wrapped(&format!("{title}: {words}"), WIDTH).iter().enumerate() {
                    println!("{}{piece}", if n == 0 { "" } else { "  " });
                }
                for (n, line) in written.chunks(16).enumerate() {
                    let digits = line.iter().map(|byte| format!("{byte:02x}"));
                    let digits = digits.collect::<Vec<_>>().join(" ");
                    println!("{DIM}{:6x}{DIM:#}  {digits}", 16 * n);
                }
                (ExitCode::SUCCESS, json!({ "value": Json::from(value), "written": written }))
            }
            Answer::Error(code, name) => {
                println!("{title}: {BAD}{words}{BAD:#}");
                (ExitCode::from(WRONG), json!({ "code": code, "error": name }))
            }
            Answer::Died => {
                println!("{title}: {BAD}{words}{BAD:#}");
                (ExitCode::from(WRONG), json!({ "died": true }))
            }
        };
        if self.json {
            println!("{}", json!({ "operation": title, "answer": json }));
        }
        code
    }
}

/// A simulated board one second into a piece that plays.
pub(crate) fn simulated(seed: u64) -> Result<Errands, Failure> {
    let bad = |Bad(why): Bad| (BAD_INPUT, why);
    let description = Description::load(&root().join("app.toml")).map_err(Bad).map_err(bad)?;
    let plan = Plan::new(description, None, DeviceName::Sync).map_err(bad)?;
    Errands::new(description, seed, &plan.sound).map_err(|error| (WRONG, error.to_string()))
}

/// What a simulated board answered.
pub(crate) fn outcome(answer: Result<(u32, Vec<u8>), Unsendable>) -> Result<Outcome, Unsendable> {
    answer.map(|(code, reply)| match code {
        0 => Outcome::Replied(reply),
        code => Outcome::Code(code),
    })
}

/// Makes a call on a simulated board.
fn called(call: &Calling<'_>, seed: u64) -> Result<Outcome, Failure> {
    let (reads, _) = call.function.leases();
    let mut rest = call.data.as_slice();
    let mut read = Vec::new();
    for &size in &call.leases[..reads] {
        let (one, behind) = rest.split_at(size as usize);
        read.push(one.to_vec());
        rest = behind;
    }
    let message = Message {
        server: call.index,
        operation: call.number,
        bytes: call.message.clone(),
        reply: call.reply as usize,
        read,
        write: call.leases.get(reads).map(|&size| size as usize),
    };
    outcome(simulated(seed)?.send(message)).map_err(|error| match error {
        Unsendable::NoSlot | Unsendable::TooLong => (BAD_INPUT, error.to_string()),
        Unsendable::NoAnswer => (WRONG, error.to_string()),
    })
}
