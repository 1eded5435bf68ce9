//! The board's stories of `cargo xtask test`: what a stream lives through.

use crate::style::BAD;
use anstream::eprintln;
use judge::report::Leaks;
use judge::sound::Sound;
use system::piece::piece;

use super::drive::{Board, Seen, Sequence};
use super::stage::{Built, Stage, Stop, order};
use super::verdict::{self, BoardReport, Evidence};
use super::{Wish, play};

/// Frames of the sound, at 48 kHz.
const FRAMES: u32 = 4 * 48_000;

/// A story: its name, and what is wrong with what came of it.
type Story = (&'static str, fn(&Built, &Sound) -> Result<Vec<String>, Stop>);

const STORIES: [Story; 4] = [
    ("counted", |built, sound| plain(built, sound, Wish::default())),
    ("real time", |built, sound| plain(built, sound, Wish { realtime: true, freeze_ms: None })),
    ("frozen", |built, sound| plain(built, sound, Wish { realtime: false, freeze_ms: Some(2000) })),
    ("replugged", replugged),
];

/// Runs all of them; how many went well, and how many did not.
pub(crate) fn run(mut told: impl FnMut(&str)) -> Result<(u32, u32), Stop> {
    let built = Built::new()?;
    let sound = piece(48_000, FRAMES);
    let (mut passed, mut failed) = (0, 0);
    for (name, story) in STORIES {
        told(name);
        let wrong = match story(&built, &sound) {
            Ok(wrong) => wrong,
            Err(Stop::Machine(error)) => vec![error.to_string()],
            Err(other) => return Err(other),
        };
        for what in &wrong {
            eprintln!("{BAD}✗{BAD:#} {name}: {what}");
        }
        *(if wrong.is_empty() { &mut passed } else { &mut failed }) += 1;
    }
    Ok((passed, failed))
}

fn plain(built: &Built, sound: &Sound, wish: Wish) -> Result<Vec<String>, Stop> {
    Ok(wrong_in(&play(built, sound, wish, &|_| ())?.report))
}

fn wrong_in(report: &BoardReport) -> Vec<String> {
    if report.is_right() { Vec::new() } else { vec![report.json().to_string()] }
}

/// A headset is pulled in mid-stream and another one plugged in: the first
/// stream is given up with all that it had, and the second one is exact.
fn replugged(built: &Built, sound: &Sound) -> Result<Vec<String>, Stop> {
    let (first, second) = (Sequence(1), Sequence(2));
    let stage = Stage::new(sound)?;
    let mut board = Board::start(stage.board(built, true, 2), &built.places, &|_| ())?;
    let mut wrong = Vec::new();
    board.begin(first)?;
    board.machine.unplug(0)?;
    board.play(first)?;
    if !board.gave_up(first)? {
        wrong.push("the stream of a headset that was pulled went on".to_owned());
    }
    let leaks = board.leaks()?;
    if leaks != Leaks::default() {
        wrong.push(format!("it left behind {leaks:?}"));
    }
    board.machine.plug(1)?;
    board.order(&order(sound, second))?;
    board.play(second)?;
    let seen: Seen = board.finish(second)?;
    let (capture, wav) = (stage.pcap(1)?, stage.wav(1)?);
    let report = verdict::judge(&Evidence {
        image: (&built.image).into(),
        sound,
        wish: Wish { realtime: true, freeze_ms: None },
        seen: &seen,
        capture: &capture,
        wav: &wav,
        seconds: sound.seconds(),
    })?;
    wrong.extend(wrong_in(&report));
    Ok(wrong)
}
