//! A board that plays, with a dump in mid-stream and one after an unplug.

use super::{bad, views};
use crate::BAD_INPUT;
use crate::dump::fallen;
use crate::run::Wish;
use crate::run::drive::{Board, Sequence};
use crate::run::stage::{Built, PORT, Stage, Stop};
use crate::run::verdict::{self, Evidence};
use archive::Archive;
use dump::{Monitor, Taken, take};
use std::time::{Duration, Instant};
use system::piece::piece;

/// Frames of the sound: five seconds at 48 kHz.
const FRAMES: u32 = 5 * 48_000;
/// How long taking a dump of a board that runs may take, all in all.
const QUICK: Duration = Duration::from_secs(2);

/// What was taken of a board.
pub(super) struct Session {
    /// In mid-stream.
    pub(super) live: Vec<u8>,
    /// After the stream, and after its headset was pulled.
    pub(super) after: Vec<u8>,
    /// How long the first took.
    pub(super) took: Duration,
}

/// Plays. What went otherwise than it should is told in `wrong`.
pub(super) fn play(built: &Built, wrong: &mut Vec<String>) -> Result<Session, Stop> {
    const COMMAND: Sequence = Sequence(1);
    let sound = piece(48_000, FRAMES);
    let stage = Stage::new(&sound)?;
    let folder = tempfile::TempDir::with_prefix("sotto-").map_err(bad)?;
    let monitor = folder.path().join("monitor");
    let machine = stage.board(built, false, &[PORT]).monitor(&monitor);
    let mut board = Board::start(machine, &built.places, &|_| ())?;
    board.begin(COMMAND)?;
    let began = Instant::now();
    let live = taken(built, &mut board)?;
    let took = began.elapsed();
    if took > QUICK {
        wrong.push(format!("a dump of a running board took {} ms", took.as_millis()));
    }
    if live.stood.is_none() {
        wrong.push("the board did not run when its dump was taken".to_owned());
    }
    views::check("--qmp", &monitor, &built.image.archive, wrong)?;
    board.play(COMMAND)?;
    board.machine.unplug(0)?;
    board.settle()?;
    let after = taken(built, &mut board)?;
    nobody_fell(built, &mut board, wrong)?;
    let seen = board.finish(COMMAND)?;
    let report = verdict::judge(&Evidence {
        image: (&built.image).into(),
        sound: &sound,
        wish: Wish::default(),
        seen: &seen,
        capture: &stage.pcap(0)?,
        wav: &stage.wav(0)?,
        later: false,
        seconds: sound.seconds(),
    })?;
    if !report.is_right() {
        wrong.push(format!("a stream of which a dump was taken: {}", report.json()));
    }
    Ok(Session { live: live.dump.write(), after: after.dump.write(), took })
}

/// Of a board on which nobody died there is no dump of one task.
fn nobody_fell(built: &Built, board: &mut Board<'_>, wrong: &mut Vec<String>) -> Result<(), Stop> {
    let archive = Archive::open(&built.image.archive).map_err(bad)?;
    let mut monitor = Monitor::new(&mut board.machine.qmp)?;
    match fallen(&mut monitor, archive) {
        Err((BAD_INPUT, why)) if why.contains("no task has died") => {}
        Err((code, why)) => wrong.push(format!("code {code}, and nobody died: {why}")),
        Ok(_) => wrong.push("a dump of a task that did not die".to_owned()),
    }
    Ok(())
}

fn taken(built: &Built, board: &mut Board<'_>) -> Result<Taken, Stop> {
    let archive = Archive::open(&built.image.archive).map_err(bad)?;
    let mut monitor = Monitor::new(&mut board.machine.qmp)?;
    take(&mut monitor, archive).map_err(bad)
}
