//! A stream's events come on its own interrupter and vector, to core 1, and on
//! no other. QEMU's devices say so: what the USB controller put into which
//! event ring, and which core took which interrupt.

use dsp_abi::bell;
use qemu::{Act, Core};
use std::collections::BTreeMap;

use super::Given;
use crate::run::drive::{Board, Sequence};
use crate::run::session::{self, Session};
use crate::run::stage::{PORT, Stage, Stop};
use program::playing::SPACING;

/// The core that DSP and monitor have, and the application's.
const DSP: Core = Core(1);
const APP: Core = Core(0);
/// Interrupts below are each core's own (GICv2, 2.2.1).
const FIRST_SHARED: u32 = 32;

pub(super) fn story(given: &Given) -> Result<Vec<String>, Stop> {
    let Given { built, sound, .. } = given;
    let stage = Stage::new(sound)?;
    let machine = stage.board(built, false, &[PORT]).traced();
    let mut board = Board::start(machine, &built.places, &|_| ())?;
    board.begin(Sequence(1))?;
    let session = session::only(&board.machine.memory, &built.places)?;
    board.play(Sequence(1))?;
    let acts = board.finish(Sequence(1))?.acts;
    let Some(session) = session else { return Ok(vec!["there was no session".to_owned()]) };
    let packets = sound.frames().div_ceil(sound.rate / 1000);
    Ok(wrong_in(&acts, &session, packets.div_ceil(SPACING)))
}

/// What is wrong when at least `reports` events of the stream had to come.
fn wrong_in(acts: &[Act], session: &Session, reports: u32) -> Vec<String> {
    let mut wrong = Vec::new();
    let is_of = |slot: u32, endpoint: u32| {
        slot == session.gate.slot && session.rings().any(|ring| ring.dci == endpoint)
    };
    let (mut own, mut others) = (0, 0);
    let mut takers: BTreeMap<u32, Vec<Core>> = BTreeMap::new();
    for act in acts {
        match *act {
            Act::Queued { interrupter, event } => {
                let streams = is_of(event.slot(), event.endpoint());
                *(if streams { &mut own } else { &mut others }) += 1;
                let wanted = if streams { session.gate.interrupter } else { 0 };
                if interrupter != wanted {
                    wrong.push(format!("{event:?} came on interrupter {interrupter}"));
                }
            }
            Act::Taken { core, interrupt } if interrupt >= FIRST_SHARED => {
                let takers = takers.entry(interrupt).or_default();
                if !takers.contains(&core) {
                    takers.push(core);
                }
            }
            Act::Taken { .. } | Act::Blocked => {}
        }
    }
    if own < reports || others == 0 {
        wrong.push(format!("{own} events of the stream and {others} others: too few"));
    }
    let primary = u32::from(bell::CONTROLLER0_PRIMARY);
    for (line, core) in [(session.gate.vector, DSP), (primary, APP)] {
        let takers = takers.get(&line).map(Vec::as_slice).unwrap_or_default();
        if takers != [core] {
            wrong.push(format!("interrupt {line} is {core:?}'s, and was taken by {takers:?}"));
        }
    }
    for (line, takers) in takers.iter().filter(|(_, takers)| takers.len() > 1) {
        wrong.push(format!("interrupt {line} was taken by {takers:?}"));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::{APP, Act, Core, DSP, Session, wrong_in};
    use dsp_abi::control::{GateEntry, GateRing, WindowEntry};
    use qemu::UsbEvent;

    fn session() -> Session {
        let data = GateRing { dci: 2, ..GateRing::default() };
        let gate = GateEntry {
            slot: 1,
            interrupter: 1,
            vector: 81,
            rings: [data, GateRing::default()],
            ..GateEntry::default()
        };
        Session { gate, window: WindowEntry::default() }
    }

    fn queued(interrupter: u32, slot: u32, endpoint: u32) -> Act {
        let event = UsbEvent::new(1 << 24, slot << 24 | endpoint << 16 | 32 << 10);
        Act::Queued { interrupter, event }
    }

    const fn taken(core: Core, interrupt: u32) -> Act {
        Act::Taken { core, interrupt }
    }

    #[test]
    fn a_stream_on_its_own_vector_is_right_and_nothing_else_is() {
        let good =
            [queued(0, 1, 1), taken(APP, 80), queued(1, 1, 2), taken(DSP, 81), taken(APP, 30)];
        let wrong = |change: fn(&mut Vec<Act>)| {
            let mut acts = good.to_vec();
            change(&mut acts);
            wrong_in(&acts, &session(), 1)
        };
        assert_eq!(wrong(|_| ()), [""; 0]);
        assert_eq!(wrong(|acts| acts.push(taken(DSP, 30))), [""; 0], "each has a timer");
        let changes: [fn(&mut Vec<Act>); 8] = [
            |acts| acts.push(queued(0, 1, 2)),
            |acts| acts.push(queued(1, 1, 1)),
            |acts| acts.push(queued(1, 2, 2)),
            |acts| acts.push(taken(APP, 81)),
            |acts| acts.push(taken(DSP, 80)),
            |acts| acts.extend([taken(DSP, 96), taken(APP, 96)]),
            |acts| acts.retain(|act| *act != queued(1, 1, 2)),
            |acts| acts.retain(|act| *act != taken(DSP, 81)),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            assert!(!wrong(change).is_empty(), "change {n}");
        }
    }
}
