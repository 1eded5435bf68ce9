//! The board's stories of `cargo xtask test`: what a stream lives through.

mod controllers;
mod guarded;
mod hostile;
mod killed;
mod replugged;
mod reset;
mod restarted;
mod starved;
mod suspended;
mod teardown;
mod vectors;

use crate::Bad;
use crate::style::BAD;
use anstream::eprintln;
use judge::capture::{self, Moment};
use judge::report::Leaks;
use judge::sound::Sound;
use judge::{Heard, Packet};
use system::piece::piece;

use super::drive::{Board, Seen, Sequence};
use super::stage::{Built, Stage, Stop, order};
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

const STORIES: [Story; 17] = [
    ("counted", |given| plain(given, Wish::default())),
    ("real time", |given| plain(given, Wish { realtime: true, ..Wish::default() })),
    ("frozen", |given| plain(given, Wish { freeze_ms: Some(2000), ..Wish::default() })),
    ("behind a hub", behind_a_hub),
    ("replugged", replugged::story),
    ("vectors", vectors::story),
    ("guarded", guarded::at_once),
    ("guarded, core 0 late", guarded::late),
    ("starved", starved::story),
    ("suspended", suspended::with_an_idle_one),
    ("suspended, pulled", suspended::pulled),
    ("hostile", hostile::story),
    ("dsp restarted", restarted::story),
    ("killed, plays on", killed::plays_on),
    ("killed, ends", killed::ends),
    ("controller reset", reset::story),
    ("two controllers", controllers::story),
];

/// Their names.
pub(crate) fn names() -> Vec<&'static str> {
    STORIES.iter().map(|(name, _)| *name).collect()
}

/// Runs all of them, or `only` one; how many went well, and how many did not.
pub(crate) fn run(only: Option<&str>, mut told: impl FnMut(&str)) -> Result<(u32, u32), Stop> {
    let sound = |frames| piece(SECOND, frames);
    let given = Given { built: Built::new()?, sound: sound(FRAMES), long: sound(60 * SECOND) };
    let (mut passed, mut failed) = (0, 0);
    for (name, story) in STORIES.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
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

/// U9: on an image of its own, with a hub and a headset that nobody here wrote.
fn behind_a_hub(given: &Given) -> Result<Vec<String>, Stop> {
    let wish = Wish { hub: true, ..Wish::default() };
    let report = play(&Built::hubs()?, &given.sound, wish, &|_| ())?.report;
    Ok(wrong_if(!report.is_right(), &report))
}

fn plain(given: &Given, wish: Wish) -> Result<Vec<String>, Stop> {
    let report = play(&given.built, &given.sound, wish, &|_| ())?.report;
    Ok(wrong_if(!report.is_right(), &report))
}

fn wrong_if(wrong: bool, report: &BoardReport) -> Vec<String> {
    if wrong { vec![report.json().to_string()] } else { Vec::new() }
}

/// Has the board play the beginning of the long sound on its first headset, after
/// which it ends; what is wrong with that.
fn next_is_exact(
    mut board: Board<'_>,
    given: &Given,
    stage: &Stage,
    sequence: Sequence,
) -> Result<Vec<String>, Stop> {
    let sound = beginning(&given.long, FRAMES);
    board.order(&order(&sound, sequence))?;
    board.play(sequence)?;
    let seen = board.finish(sequence)?;
    wrong_at_last(&given.built, stage, 0, &sound, Wish::default(), &seen)
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

/// What is wrong with `sound` on the wire and in headset `n`, which played it
/// first.
fn not_exact(stage: &Stage, n: usize, sound: &Sound) -> Result<Option<String>, Stop> {
    let (capture, wav) = (stage.pcap(n)?, stage.wav(n)?);
    let records = capture::read(&capture).map_err(|error| Bad(error.to_string()))?;
    let sent = records.iter().filter(|record| record.is_isochronous_out());
    let sent = sent.filter(|record| record.moment == Moment::Submitted);
    let packets = sound.frames().div_ceil(sound.rate / 1000) as usize;
    let wire =
        sent.take(packets).zip(0..).map(|(record, n)| Packet { interval: n, data: record.data });
    let heard = Sound::read_wav(&wav[..]).map(|heard| heard.pcm).unwrap_or_default();
    let heard = &heard[..heard.len().min(sound.pcm.len())];
    let heard = Heard { pcm: heard, gaps: 0, dropped: 0 };
    let verdict = judge::judge(&sound.pcm, sound.frame_bytes(), wire, heard);
    Ok((!verdict.is_right()).then(|| format!("what headset {n} played first: {verdict:?}")))
}

/// The first `frames` frames of a sound.
fn beginning(sound: &Sound, frames: u32) -> Sound {
    let bytes = frames as usize * sound.frame_bytes();
    Sound { pcm: sound.pcm[..bytes].to_vec(), ..*sound }
}
