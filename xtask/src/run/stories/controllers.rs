//! Two controllers, each with a driver of its own: a headset of the first plays
//! while one comes at the second, and that one plays while the first is pulled.
//!
//! One after the other, since the image has one player. At once they play in the
//! simulator, where another task can ask for a route.

use std::time::Duration;

use super::{FRAMES, Given, SECOND, left_behind, not_exact, wrong_at_last};
use crate::run::Wish;
use crate::run::drive::{Board, Sequence};
use crate::run::session;
use crate::run::stage::{Built, PORT, Socket, Stage, Stop, order};

const SOCKETS: [Socket; 2] =
    [Socket { controller: 0, port: PORT }, Socket { controller: 1, port: PORT }];
/// How long a stream may take to begin, and how long it lasts.
const PATIENCE: Duration = Duration::from_secs(30);
const SOUND: Duration = Duration::from_secs((FRAMES / SECOND) as u64);
/// Core 0 looks at what comes and goes.
const WISH: Wish =
    Wish { realtime: true, freeze_ms: None, monitor: false, woken: true, hub: false };

pub(super) fn story(given: &Given) -> Result<Vec<String>, Stop> {
    let Given { sound, .. } = given;
    let built = Built::with_two_controllers()?;
    let (first, second) = (Sequence(1), Sequence(2));
    let stage = Stage::new(sound)?;
    let machine = stage.board_with(&built, true, SOCKETS);
    let mut board = Board::start(machine, &built.places, &|_| ())?;
    let mut wrong = Vec::new();
    board.begin(first)?;
    board.machine.plug(1)?;
    board.play(first)?;
    wrong.extend(left_behind(&board)?);
    board.order(&order(sound, second))?;
    board.machine.wait_until("the second controller's session", PATIENCE, |memory| {
        Ok(!session::open(memory, &built.places, 1)?.is_empty())
    })?;
    // Well into its stream: the board has the host's clock.
    std::thread::sleep(SOUND / 4);
    board.machine.unplug(0)?;
    board.play(second)?;
    let seen = board.finish(second)?;
    wrong.extend(not_exact(&stage, 0, sound)?);
    wrong.extend(wrong_at_last(&built, &stage, 1, sound, WISH, &seen)?);
    Ok(wrong)
}
