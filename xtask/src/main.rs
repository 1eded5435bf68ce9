//! The one command line of the project: `cargo xtask`.
//!
//! One module per subcommand; here is only what they share: the exit codes and
//! where the project lies. Colours and progress appear on a terminal only.

mod bench;
mod board;
mod bridge;
mod call;
mod dist;
mod dump;
mod explore;
mod fuzz;
mod graph;
mod handshake;
mod humility;
mod idl;
mod output;
mod qmi;
mod run;
mod setup;
mod sim;
mod sizes;
mod style;
mod test;
mod usb;
mod view;

use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Something was played wrong, or a rule is broken.
const WRONG: u8 = 1;
/// The input, or the command itself, makes no sense. `clap` uses it as well.
const BAD_INPUT: u8 = 2;
/// Something that this machine should have is missing.
const MISSING: u8 = 3;

/// A message about what the user gave us: exit code 2.
struct Bad(String);

/// Sotto: USB audio that plays while the application core sleeps
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    max_term_width = 80,
    after_help = "Exit codes:\n  0  all is as it should be\n  1  played wrong, or a rule is \
                  broken\n  2  bad input or usage\n  3  something is missing on this machine"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check formatting and lints, the image and the interfaces, and run every test
    Test(test::Test),
    /// Play a sound on a simulated board, and judge what the headset heard
    Sim(sim::Sim),
    /// Play a sound on a board, and judge what its headset heard
    Run(run::Run),
    /// Install what the board and the tests need and this machine lacks
    Setup(setup::Setup),
    /// Play runs in which something goes wrong, and hold them against the rules
    Explore(explore::Explore),
    /// Search everything that can happen between the cores
    Handshake(handshake::HandshakeSearch),
    /// Look for bytes that break what takes bytes from outside
    Fuzz(fuzz::Fuzz),
    /// Make an image that boots on a board
    Dist(dist::Dist),
    /// Show what each part of an image takes of flash, RAM and stack
    Sizes(sizes::Sizes),
    /// Count the instructions of the kernel's operations, in QEMU
    Bench(bench::Bench),
    /// Show what each task is up to, of a board, a dump or a simulation
    Tasks(view::Tasks),
    /// Show the trace rings of a board, a dump or a simulation
    Ringbuf(view::Ringbuf),
    /// Tell what happened: all trace rings in the order of time
    Story(view::Story),
    /// Show the counters of a board, a dump or a simulation
    Counters(view::Counters),
    /// Show a variable of a board or a dump
    Readvar(view::Readvar),
    /// Show the core's registers, of a board or in a dump
    Registers(view::Registers),
    /// Show how much of each stack was used, of a board or in a dump
    Stackmargin(view::Stackmargin),
    /// Show the memory of each task of an image
    Map(view::Map),
    /// Show what an image is made of
    Manifest(view::Manifest),
    /// Take a dump of a board that runs, or that stands
    Dump(dump::Dump),
    /// Make a call of a server's operation, on a board that runs or in a simulation
    Call(call::Call),
    /// Let a debugger on this machine reach a board that runs over UDP
    Bridge(bridge::Bridge),
    /// Run Humility, Hubris' debugger, with an image's archive and dump
    Humility(humility::Humility),
    /// Show who may send and hint to whom, and why no task can wait for itself
    Graph(graph::Graph),
    /// Check interface descriptions
    #[command(subcommand)]
    Idl(idl::Idl),
    /// Decode and encode messages of the QMI service
    #[command(subcommand)]
    Qmi(qmi::Qmi),
    /// Describe USB descriptors
    #[command(subcommand)]
    Usb(usb::Usb),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Test(test) => test.run(),
        Command::Sim(sim) => sim.run(),
        Command::Run(run) => run.run(),
        Command::Setup(setup) => setup.run(),
        Command::Explore(explore) => explore.run(),
        Command::Handshake(handshake) => handshake.run(),
        Command::Fuzz(fuzz) => fuzz.run(),
        Command::Dist(dist) => dist.run(),
        Command::Sizes(sizes) => sizes.run(),
        Command::Bench(bench) => bench.run(),
        Command::Tasks(tasks) => tasks.run(),
        Command::Ringbuf(ringbuf) => ringbuf.run(),
        Command::Story(story) => story.run(),
        Command::Counters(counters) => counters.run(),
        Command::Readvar(readvar) => readvar.run(),
        Command::Registers(registers) => registers.run(),
        Command::Stackmargin(stackmargin) => stackmargin.run(),
        Command::Map(map) => map.run(),
        Command::Manifest(manifest) => manifest.run(),
        Command::Dump(dump) => dump.run(),
        Command::Call(call) => call.run(),
        Command::Bridge(bridge) => bridge.run(),
        Command::Humility(humility) => humility.run(),
        Command::Graph(graph) => graph.run(),
        Command::Idl(idl) => idl.run(),
        Command::Qmi(qmi) => qmi.run(),
        Command::Usb(usb) => usb.run(),
    }
}

/// The folder that holds `app.toml`.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
