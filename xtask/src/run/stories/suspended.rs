//! The system sleeps while a headset plays: core 0 executes nothing, another
//! headset, that nobody plays on, goes down and comes up, and the sound is exact.
//! The one that plays is pulled meanwhile: all that it had is taken down, and the
//! next one waits for the system.

use dsp_abi::bell;
use offload_broker_api::RouteEnding;
use program::playing::SPACING;
use qemu::Error;
use std::time::{Duration, Instant};
use view::Value;

use super::teardown::out_of_order;
use super::{Given, left_behind, wrong_at_last};
use crate::run::Wish;
use crate::run::drive::{Board, Sequence};
use crate::run::evidence::PER_MS;
use crate::run::rings::{Noted, Rings};
use crate::run::stage::{PORT, Stage, Stop, order};

/// Milliseconds that the system sleeps.
const ASLEEP_MS: u32 = 1_000;
/// How long a task may take to note what it is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks for it.
const LOOK: Duration = Duration::from_millis(10);
/// PLS: U0 and U3 (xHCI table 5-27).
const U0: u32 = 0;
const U3: u32 = 3;

/// Core 0 is woken for it, and the host's clock decides when.
const WISH: Wish =
    Wish { realtime: true, freeze_ms: None, monitor: false, woken: true, hub: false };

/// A board, and what its tasks note.
struct Watched<'a> {
    board: Board<'a>,
    rings: Rings,
}

impl Watched<'_> {
    /// Waits until `task` has noted so many things that `is` is about.
    fn until(
        &self,
        task: &str,
        what: &'static str,
        count: usize,
        is: impl Fn(&Noted) -> bool,
    ) -> Result<(), Stop> {
        let until = Instant::now() + PATIENCE;
        loop {
            let noted = self.rings.of_task(&self.board.machine.memory, task)?;
            if noted.iter().filter(|noted| is(noted)).count() >= count {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(Error::Late(what).into());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Rings a bell, and waits until the order has been carried out for the first
    /// time.
    fn order(&mut self, bell: u16, name: &'static str) -> Result<(), Stop> {
        self.board.ring(bell)?;
        self.until("power", name, 1, |noted| {
            noted.is("Done") && noted.part(0).and_then(Value::name) == Some(name)
        })
    }
}

/// One headset plays, another one is idle.
pub(super) fn with_an_idle_one(given: &Given) -> Result<Vec<String>, Stop> {
    let Given { built, sound, .. } = given;
    let only = Sequence(1);
    let stage = Stage::new(sound)?;
    let machine = stage.board(built, true, &[PORT, PORT + 1]);
    let board = Board::start(machine, &built.places, &|_| ())?;
    let mut watched = Watched { board, rings: Rings::of(&built.image)? };
    watched.board.begin(only)?;
    watched.board.machine.plug(1)?;
    watched.until("usb_core", "the second headset", 2, |noted| noted.is("Attached"))?;
    let mut wrong = Vec::new();
    let mut links = |board: &mut Board<'_>, when, wanted: [u32; 2]| {
        let mut links = board.links()?;
        links.sort_unstable();
        if links != wanted {
            wrong.push(format!("links {when}: {links:?}, not {wanted:?}"));
        }
        Ok::<_, Error>(())
    };
    links(&mut watched.board, "while awake", [U0, U0])?;
    watched.order(bell::SUSPEND, "Suspend")?;
    links(&mut watched.board, "asleep", [U0, U3])?;
    let Watched { board, .. } = &mut watched;
    let enough = board.reports()? + ASLEEP_MS.div_ceil(SPACING);
    board.follow(only, |reports| reports >= enough)?;
    watched.order(bell::RESUME, "Resume")?;
    links(&mut watched.board, "awake again", [U0, U0])?;
    wrong.extend(disturbed(&watched.board)?);
    let Watched { mut board, .. } = watched;
    board.play(only)?;
    let seen = board.finish(only)?;
    wrong.extend(wrong_at_last(built, &stage, 0, sound, WISH, &seen)?);
    Ok(wrong)
}

/// What was wrong with the sleep that the bell ended: core 0 has to have slept
/// throughout, with no timer set.
fn disturbed(board: &Board<'_>) -> Result<Option<String>, Stop> {
    let sleeps = board.sleeps()?;
    let by_the_bell = sleeps.kept.iter().find(|sleep| sleep.irq == Some(bell::RESUME.into()));
    let slept = by_the_bell.and_then(|sleep| Some((sleep.until?.0 - sleep.from.0, sleep.timed)));
    let enough = u64::from(ASLEEP_MS - SPACING) * PER_MS;
    let right = slept.is_some_and(|(counts, timed)| counts >= enough && !timed);
    Ok((!right).then(|| format!("core 0 did not sleep through it: {slept:?}, {sleeps:?}")))
}

/// The headset that plays is pulled while the system sleeps, and another one
/// plugged in.
pub(super) fn pulled(given: &Given) -> Result<Vec<String>, Stop> {
    let Given { built, sound, .. } = given;
    let (first, second) = (Sequence(1), Sequence(2));
    let sound = &super::beginning(sound, sound.frames() / 2);
    let stage = Stage::new(sound)?;
    let machine = stage.board(built, true, &[PORT, PORT]);
    let board = Board::start(machine, &built.places, &|_| ())?;
    let mut watched = Watched { board, rings: Rings::of(&built.image)? };
    watched.board.begin(first)?;
    watched.order(bell::SUSPEND, "Suspend")?;
    watched.board.machine.unplug(0)?;
    watched.board.play(first)?;
    let mut wrong = Vec::new();
    wrong.extend(watched.board.not_ended(first, RouteEnding::Revoked)?);
    wrong.extend(left_behind(&watched.board)?);
    wrong.extend(out_of_order(&watched.rings, &watched.board.machine.memory, &[])?);
    watched.board.machine.plug(1)?;
    // Whoever is woken by it is through with it.
    watched.board.settle()?;
    if watched.board.links()?.len() != 1 {
        wrong.push("nothing was plugged in".to_owned());
    }
    let noted = watched.rings.of_task(&watched.board.machine.memory, "usb_core")?;
    if noted.iter().filter(|noted| noted.is("Attached")).count() != 1 {
        wrong.push("a headset was looked at while the system slept".to_owned());
    }
    watched.order(bell::RESUME, "Resume")?;
    let Watched { mut board, .. } = watched;
    board.order(&order(sound, second))?;
    board.play(second)?;
    let seen = board.finish(second)?;
    wrong.extend(wrong_at_last(built, &stage, 1, sound, WISH, &seen)?);
    Ok(wrong)
}
