//! `cargo xtask bridge`: a board that runs, or is simulated, as a debugger finds one
//! on a network.

use crate::call::{Failure, Place, failed, outcome, simulated};
use crate::style::{BAD, DIM, GOOD};
use crate::{BAD_INPUT, MISSING, WRONG};
use anstream::{eprintln, println};
use calls::{Board, Error, Outcome, udp};
use hif::{Function, Request};
use std::fmt;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use system::errand::Message;
use view::Programs;

/// `cargo xtask bridge`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Answers the datagrams of Hubris' task udprpc on the IPv6 loopback, and has\n\
    the board's task hiffy make the calls, or a task of the simulator's own. It ends\n\
    when it is interrupted."
)]
pub(crate) struct Bridge {
    #[command(flatten)]
    place: Place,
    /// For a simulated board, one second into a piece that plays
    #[arg(long, conflicts_with = "qmp")]
    sim: bool,
    /// What decides all that a real machine leaves open
    #[arg(long, value_name = "N", default_value_t = 1, requires = "sim")]
    seed: u64,
    /// The UDP port [default: that of the image's socket]
    #[arg(long)]
    port: Option<u16>,
}

impl Bridge {
    /// Runs the command.
    pub(crate) fn run(&self) -> ExitCode {
        match self.serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err((code, why)) => {
                eprintln!("{BAD}✗{BAD:#} {why}");
                ExitCode::from(code)
            }
        }
    }

    fn serve(&self) -> Result<(), Failure> {
        let archive = self.place.archive()?;
        let port = self.port.or_else(|| port_of(archive.app()));
        let port = port.ok_or((BAD_INPUT, format!("{NO_SOCKET}: name one with --port")))?;
        let image_id = archive.image_id();
        let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, port))
            .map_err(|error| (MISSING, format!("UDP port {port}: {error}")))?;
        let ready = || println!("{GOOD}✓{GOOD:#} [::1]:{port} {DIM}image {image_id}{DIM:#}");
        if self.sim {
            return serve_simulated(&socket, image_id.0, self.seed, ready);
        }
        let programs = Programs::of(&archive);
        let (mut qmp, debugger) = self.place.monitor()?;
        let mut board =
            Board::new(&mut qmp, &debugger, &archive, &programs).map_err(|error| failed(&error))?;
        ready();
        loop {
            match one(&socket, image_id.0, |asked| on_board(&mut board, asked)) {
                Ok(()) => {}
                // The board may be gone; whoever asks next is to know.
                Err(Unanswered::Call(error @ Error::Qemu(_))) => {
                    return Err((WRONG, error.to_string()));
                }
                Err(error) => eprintln!("{BAD}✗{BAD:#} {error}"),
            }
        }
    }
}

/// Longest that a simulated board stands still while nobody asks.
const STEP: Duration = Duration::from_millis(20);

/// Answers for a simulated board, whose clock is the host's; each call takes the
/// time that it takes there.
fn serve_simulated(
    socket: &UdpSocket,
    image_id: u64,
    seed: u64,
    ready: impl FnOnce(),
) -> Result<(), Failure> {
    let mut board = simulated(seed)?;
    socket.set_read_timeout(Some(STEP)).map_err(|error| (WRONG, error.to_string()))?;
    ready();
    let mut last = Instant::now();
    loop {
        match one(socket, image_id, |asked| outcome(board.send(message(asked)))) {
            Ok(()) => {}
            Err(Unanswered::Socket(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => eprintln!("{BAD}✗{BAD:#} {error}"),
        }
        let now = Instant::now();
        board.run_for(now - last);
        last = now;
    }
}

fn message(asked: &udp::Asked) -> Message {
    Message {
        server: asked.task,
        operation: asked.operation,
        bytes: asked.message.clone(),
        reply: asked.reply.into(),
        read: Vec::new(),
        write: None,
    }
}

/// Has `board` make the call.
pub(crate) fn on_board(board: &mut Board<'_>, asked: &udp::Asked) -> Result<Outcome, Error> {
    let udp::Asked { task, operation, reply, message } = asked;
    let request = Request { server: *task, operation: *operation, message };
    board.send(Function::Send, &request, (*reply).into(), &[], &[])
}

/// Why a datagram has no answer.
#[derive(Debug)]
pub(crate) enum Unanswered<E> {
    Socket(std::io::Error),
    Call(E),
}

impl<E: fmt::Display> fmt::Display for Unanswered<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(error) => write!(f, "the bridge's socket: {error}"),
            Self::Call(error) => error.fmt(f),
        }
    }
}

/// The task that the bridge answers for.
const OWNER: &str = "udprpc";
const NO_SOCKET: &str = "the image has no socket of a task `udprpc`";

/// The port of the socket by which a debugger looks for [`OWNER`].
fn port_of(app: &str) -> Option<u16> {
    let app: toml::Table = app.parse().ok()?;
    let sockets = app.get("config")?.get("net")?.get("sockets")?.as_table()?;
    let owner = |socket: &toml::Value| Some(socket.get("owner")?.get("name")? == &OWNER.into());
    let socket = sockets.values().find(|socket| owner(socket) == Some(true))?;
    u16::try_from(socket.get("port")?.as_integer()?).ok()
}

/// Answers one datagram; `make` makes the call.
pub(crate) fn one<E>(
    socket: &UdpSocket,
    image_id: u64,
    make: impl FnOnce(&udp::Asked) -> Result<Outcome, E>,
) -> Result<(), Unanswered<E>> {
    let mut datagram = [0; udp::LARGEST];
    let (len, from) = socket.recv_from(&mut datagram).map_err(Unanswered::Socket)?;
    let answer = udp::answer(&datagram[..len], image_id, make).map_err(Unanswered::Call)?;
    socket.send_to(&answer, from).map(|_| ()).map_err(Unanswered::Socket)
}

#[cfg(test)]
mod tests {
    use super::port_of;
    use crate::root;

    #[test]
    fn the_debug_image_says_where_the_bridge_is_and_a_release_has_none() {
        let text = |name: &str| app::App::load(&root().join(name)).expect("it is right").text;
        assert_eq!(port_of(&text("app-debug.toml")), Some(9998));
        assert_eq!(port_of(&text("app.toml")), None);
    }
}
