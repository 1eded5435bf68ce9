//! The board's stories of `cargo xtask test`: what a stream lives through.

mod guarded;
mod hostile;
mod replugged;
mod starved;
mod suspended;
mod teardown;
mod vectors;

use crate::style::BAD;
use anstream::eprintln;
use judge::report::Leaks;
use judge::sound::Sound;
use system::piece::piece;

use super::drive::{Board, Seen};
use super::stage::{Built, Stage, Stop};
use super::verdict::{self, BoardReport, Evidence};
use super::{Wish, play};

/// Frames of a second, and of the sound.
const SECOND: u32 = 48_000;
const FRAMES: u32 = 4 * SECOND;

/// What the stories have.
struct Given {
    /// The image that ships.
    built: Built,
    /// A sound of a few seconds.
    sound: Sound,
    /// One that is not over, however fast the board and slow the host is, before
    /// something was done to it: counted time does not wait for the host.
    long: Sound,
}

/// A story: its name, and what is wrong with what came of it.
type Story = (&'static str, fn(&Given) -> Result<Vec<String>, Stop>);

const STORIES: [Story; 11] = [
    ("counted", |given| plain(given, Wish::default())),
    ("real time", |given| plain(given, Wish { realtime: true, ..Wish::default() })),
    ("frozen", |given| plain(given, Wish { freeze_ms: Some(2000), ..Wish::default() })),
    ("replugged", replugged::story),
    ("vectors", vectors::story),
    ("guarded", guarded::at_once),
    ("guarded, core 0 late", guarded::late),
    ("starved", starved::story),
    ("suspended", suspended::with_an_idle_one),
    ("suspended, pulled", suspended::pulled),
    ("hostile", hostile::story),
];

/// Runs all of them; how many went well, and how many did not.
pub(crate) fn run(mut told: impl FnMut(&str)) -> Result<(u32, u32), Stop> {
    let sound = |frames| piece(SECOND, frames);
    let given = Given { built: Built::new()?, sound: sound(FRAMES), long: sound(60 * SECOND) };
    let (mut passed, mut failed) = (0, 0);
    for (name, story) in STORIES {
        told(name);
        let wrong = match story(&given) {
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

fn plain(given: &Given, wish: Wish) -> Result<Vec<String>, Stop> {
    let report = play(&given.built, &given.sound, wish, &|_| ())?.report;
    Ok(wrong_if(!report.is_right(), &report))
}

fn wrong_if(wrong: bool, report: &BoardReport) -> Vec<String> {
    if wrong { vec![report.json().to_string()] } else { Vec::new() }
}

/// What is wrong with the stream of `sound` that a board played last, on headset
/// `n`, after other things that happened to it. That it began late is no fault.
fn wrong_at_last(
    built: &Built,
    stage: &Stage,
    n: usize,
    sound: &Sound,
    wish: Wish,
    seen: &Seen,
) -> Result<Vec<String>, Stop> {
    let (capture, wav) = (stage.pcap(n)?, stage.wav(n)?);
    let report = verdict::judge(&Evidence {
        image: (&built.image).into(),
        sound,
        wish,
        seen,
        capture: &capture,
        wav: &wav,
        later: true,
        seconds: sound.seconds(),
    })?;
    Ok(wrong_if(!report.common.is_right(), &report))
}

/// What is still held, if anything is.
fn left_behind(board: &Board<'_>) -> Result<Option<String>, Stop> {
    let leaks = board.leaks()?;
    Ok((leaks != Leaks::default()).then(|| format!("it left behind {leaks:?}")))
}

/// The first `frames` frames of a sound.
fn beginning(sound: &Sound, frames: u32) -> Sound {
    let bytes = frames as usize * sound.frame_bytes();
    Sound { pcm: sound.pcm[..bytes].to_vec(), ..*sound }
}
