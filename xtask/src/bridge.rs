//! `cargo xtask bridge`: a running board as a debugger finds one on a network.

use crate::call::{Failure, Place, failed};
use crate::style::{BAD, DIM, GOOD};
use crate::{BAD_INPUT, MISSING, WRONG};
use anstream::{eprintln, println};
use calls::{Board, Error, udp};
use hif::{Function, Request};
use std::net::{Ipv6Addr, UdpSocket};
use std::process::ExitCode;
use view::Programs;

/// `cargo xtask bridge`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Answers the datagrams of Hubris' task udprpc on the IPv6 loopback, and has\n\
    the board's task hiffy make the calls. It ends when it is interrupted."
)]
pub(crate) struct Bridge {
    #[command(flatten)]
    place: Place,
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
        let programs = Programs::of(&archive);
        let mut qmp = self.place.monitor()?;
        let mut board =
            Board::new(&mut qmp, &archive, &programs).map_err(|error| failed(&error))?;
        let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, port))
            .map_err(|error| (MISSING, format!("UDP port {}: {error}", port)))?;
        println!("{GOOD}✓{GOOD:#} [::1]:{} {DIM}image {}{DIM:#}", port, archive.image_id());
        loop {
            match one(&socket, archive.image_id().0, &mut board) {
                Ok(()) => {}
                // The board may be gone; whoever asks next is to know.
                Err(error @ Error::Qemu(_)) => return Err((WRONG, error.to_string())),
                Err(error) => eprintln!("{BAD}✗{BAD:#} {error}"),
            }
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

/// Answers one datagram.
pub(crate) fn one(socket: &UdpSocket, image_id: u64, board: &mut Board<'_>) -> Result<(), Error> {
    let io = |error| Error::Qemu(qemu::Error::Io("the bridge's socket", error));
    let mut datagram = [0; udp::LARGEST];
    let (len, from) = socket.recv_from(&mut datagram).map_err(io)?;
    let answer = udp::answer(&datagram[..len], image_id, |asked| {
        let udp::Asked { task, operation, reply, message } = asked;
        let request = Request { server: *task, operation: *operation, message };
        board.send(Function::Send, &request, (*reply).into(), &[], &[])
    })?;
    socket.send_to(&answer, from).map(|_| ()).map_err(io)
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
