//! The DSP program takes no event any more in mid-stream: the stream runs dry,
//! the monitor notices it, and core 0 hears of that once, and of nothing else.

use dsp_abi::bell;
use dsp_abi::control::NoticeKind;
use hostile::Plan;
use offload_broker_api::RouteEnding;
use qemu::{Act, Core};
use std::time::Duration;

use super::{Given, left_behind};
use crate::run::desk::{Ended, Master};
use crate::run::drive::{Board, Sequence};
use crate::run::session;
use crate::run::stage::{Built, PORT, Stage, Stop};
use addr::Peer;

const APP: Core = Core(0);
const DSP: Core = Core(1);
/// How long nothing may happen after the notice: the host's time, in which a
/// board that sleeps lives through many seconds.
const SILENCE: Duration = Duration::from_millis(1500);
/// The core's own timer (PPI), by which the monitor watches.
const TIMER: u32 = 30;
/// Times that the monitor looked again before the program was ended, at least.
const LOOKS: usize = 4;
/// Where nothing is mapped, in any program's space.
const NOWHERE: Peer = Peer(0xFFFF_FFF0);

pub(super) fn story(given: &Given) -> Result<Vec<String>, Stop> {
    let only = Sequence(1);
    let built = Built::hostile()?;
    let places = &built.places;
    let stage = Stage::new(&given.long)?;
    let machine = stage.board(&built, false, &[PORT]).traced();
    let mut board = Board::start(machine, places, &|_| ())?;
    let mut master = Master::of(&built.image, places)?;
    board.begin(only)?;
    let Some(session) = session::only(&board.machine.memory, places)? else {
        return Ok(vec!["there was no session".to_owned()]);
    };
    master.carry_out(&mut board, Plan::Starve)?;
    board.machine.wait_until("the monitor's notice", SILENCE * 20, |memory| {
        let notices = master.answers(memory)?.notices;
        Ok(notices.iter().flatten().any(|notice| notice.kind == NoticeKind::Stalled as u32))
    })?;
    std::thread::sleep(SILENCE);
    let mut wrong = Vec::new();
    if session::only(&board.machine.memory, places)?.is_none() {
        wrong.push("a program that stalls may come back, and its session was taken".to_owned());
    }
    // Its death is what ends it.
    if master.carry_out(&mut board, Plan::Write(NOWHERE))? != Ended::Died {
        wrong.push("the program lives on".to_owned());
    }
    board.play(only)?;
    wrong.extend(board.not_ended(only, RouteEnding::DspGone)?);
    wrong.extend(left_behind(&board)?);
    let acts = board.finish(only)?.acts;
    wrong.extend(wrong_in(&acts, session.gate.vector));
    Ok(wrong)
}

/// What is wrong with who was woken while the stream, whose interrupt is
/// `vector`, played and stood still.
fn wrong_in(acts: &[Act], vector: u32) -> Vec<String> {
    let taken = |act: &Act, by: Core, line: u32| *act == Act::Taken { core: by, interrupt: line };
    // From the first report until the monitor has looked often enough.
    let Some(from) = acts.iter().position(|act| taken(act, DSP, vector)) else {
        return vec!["the stream never came to life".to_owned()];
    };
    let notice = Act::Taken { core: APP, interrupt: bell::NOTICE.into() };
    let Some(noticed) = acts.iter().skip(from).position(|act| *act == notice) else {
        return vec!["core 0 took no notice".to_owned()];
    };
    let looks = acts.iter().enumerate().skip(from + noticed);
    let Some((until, _)) = looks.filter(|(_, act)| taken(act, DSP, TIMER)).nth(LOOKS - 1) else {
        return vec![format!("the monitor did not look {LOOKS} times after its notice")];
    };
    let woken = acts[from..until].iter().filter(|act| matches!(act, Act::Taken { core: APP, .. }));
    let woken: Vec<&Act> = woken.collect();
    if woken == [&notice] { Vec::new() } else { vec![format!("core 0 took {woken:?}")] }
}

#[cfg(test)]
mod tests {
    use super::{APP, Act, Core, DSP, LOOKS, TIMER, wrong_in};

    fn taken(lines: &[(Core, u32)]) -> Vec<Act> {
        lines.iter().map(|&(core, interrupt)| Act::Taken { core, interrupt }).collect()
    }

    #[test]
    fn one_notice_is_right_and_anything_else_is_not() {
        let before = [(APP, 97), (DSP, 96), (DSP, 81), (DSP, 96), (DSP, 81), (DSP, TIMER)];
        let looks = [(DSP, TIMER); LOOKS];
        let after = [(DSP, 96), (APP, 103), (APP, 97)];
        let wrong = |woken: &[(Core, u32)], looks: &[(Core, u32)]| {
            wrong_in(&taken(&[&before, woken, looks, &after].concat()), 81)
        };
        assert_eq!(wrong(&[(APP, 103)], &looks), [""; 0]);
        for woken in [&[][..], &[(APP, 103), (APP, 103)], &[(APP, 103), (APP, 30)], &[(APP, 80)]] {
            assert!(!wrong(woken, &looks).is_empty(), "{woken:?}");
        }
        assert!(!wrong(&[(APP, 103)], &looks[1..]).is_empty(), "too early to tell");
        assert!(!wrong_in(&taken(&before[..2]), 81).is_empty(), "no stream");
    }
}
