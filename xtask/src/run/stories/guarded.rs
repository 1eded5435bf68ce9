//! The controller touches the guard page behind a session's buffer. Nothing in
//! the image makes it do that: the packets that wait in the stream's ring are
//! changed from outside. The fault is that session's, which is taken down; and
//! core 0 is woken as often by a thousand faults as by one.

use iommu::layout::EVENT_QUEUE_LOG2;
use offload_broker_api::RouteEnding;
use program::playing::SPACING;
use qemu::{Act, Core, Error, Memory};
use trb::{PER_PAGE, TRB_BYTES};

use super::teardown::{Other, Teardown};
use super::{FRAMES, Given, beginning, left_behind, wrong_at_last};
use crate::run::drive::{Board, Sequence};
use crate::run::rings::{Noted, Rings, words};
use crate::run::session::{self, Session, page};
use crate::run::stage::{Built, PORT, Stage, Stop, order};
use crate::run::{Wish, freeze};
use view::Value;

/// Interrupts of the SMMU: events, and global errors, of which a full queue is
/// one.
const SMMU: [u32; 2] = [106, 109];
/// Most times that either wakes core 0: for the first record, and for what came
/// while it was masked.
const WAKE_UPS: usize = 2;
/// Faults of a packet: QEMU fetches its 192 bytes by the word.
const EACH: usize = 48;
/// Reports of a stream that go by while core 0 is late, and the faults of the
/// packets that they are about, but for those on the way: at first, and at last
/// when the stream is aimed anew, which a busy host may see late.
const LATE: u32 = 5;
const LATE_FAULTS: usize = ((LATE - 2) * SPACING) as usize * EACH;
const _: () = assert!(LATE_FAULTS > 2 << EVENT_QUEUE_LOG2, "the queue is long full");

/// When core 0 comes at once.
pub(super) fn at_once(given: &Given) -> Result<Vec<String>, Stop> {
    story(given, false)
}

/// When it comes so late that the SMMU's queue has long been full.
pub(super) fn late(given: &Given) -> Result<Vec<String>, Stop> {
    story(given, true)
}

fn story(given: &Given, late: bool) -> Result<Vec<String>, Stop> {
    let Given { built, long, .. } = given;
    let (first, second) = (Sequence(1), Sequence(2));
    let rings = Rings::of(&built.image)?;
    let stage = Stage::new(long)?;
    let machine = stage.board(built, false, &[PORT]).traced();
    let mut board = Board::start(machine, &built.places, &|_| ())?;
    board.begin(first)?;
    let frozen = late.then(|| freeze::freeze(&mut board.machine, &built.places)).transpose()?;
    let Some(session) = session::only(&board.machine.memory, &built.places)? else {
        return Ok(vec!["there was no session".to_owned()]);
    };
    if let Some(frozen) = frozen {
        let until = board.reports()? + LATE;
        while board.reports()? < until && aim(&mut board, built)? {}
        freeze::thaw(&mut board.machine, &built.places, frozen)?;
    }
    while aim(&mut board, built)? {}
    board.play(first)?;
    let mut wrong = Vec::new();
    wrong.extend(board.not_ended(first, RouteEnding::Revoked)?);
    wrong.extend(left_behind(&board)?);
    wrong.extend(not_told(built, &session, &rings, &board.machine.memory)?);

    let faults = board.faults()?;
    let sound = beginning(long, FRAMES);
    board.order(&order(&sound, second))?;
    board.play(second)?;
    let mut seen = board.finish(second)?;
    wrong.extend(out_of_bounds(&seen.acts, if late { LATE_FAULTS } else { EACH }));
    // What QEMU says of the accesses that it blocked belongs to the first stream.
    let page = format!("0x{:x}", session.guard().0 >> 12);
    let others = seen.first_complaints.extract_if(.., |said| !said.contains(&page)).collect();
    seen.complaints -= seen.first_complaints.len() as u64;
    seen.first_complaints = others;
    seen.iommu_faults = seen.iommu_faults.wrapping_sub(faults);
    wrong.extend(wrong_at_last(built, &stage, 0, &sound, Wish::default(), &seen)?);
    Ok(wrong)
}

/// Lets every packet in the open session's rings lie behind its buffer; whether
/// there was such a session. The machine stands still meanwhile.
fn aim(board: &mut Board<'_>, built: &Built) -> Result<bool, Error> {
    let gdb = board.machine.debug()?;
    let memory = &board.machine.memory;
    let session = session::only(memory, &built.places)?;
    for ring in session.iter().flat_map(Session::rings) {
        let guard = session.map_or(0, |session| session.guard().0);
        // In the last place is the Link.
        for place in 0..u64::from(PER_PAGE - 1) {
            let at = page(ring.real).plus(place * u64::from(TRB_BYTES));
            memory.write(at, &guard.to_le_bytes())?;
        }
    }
    gdb.detach()?;
    Ok(session.is_some())
}

/// What is wrong with how the fault was told, from the mapper to the broker, and
/// with what the broker did then.
fn not_told(
    built: &Built,
    session: &Session,
    rings: &Rings,
    memory: &Memory,
) -> Result<Vec<String>, Stop> {
    let noted = rings.of_task(memory, "iommu")?;
    let named = |name| noted.iter().filter(move |noted: &&Noted| noted.is(name));
    let masked: Vec<&Noted> = named("FaultsMasked").collect();
    let told: Vec<&Noted> = named("Told").collect();
    let ([masked], [told]) = (&masked[..], &told[..]) else {
        return Ok(vec![format!("masked and told, not once each: {masked:?}, {told:?}")]);
    };
    let mut wrong = Vec::new();
    let records = masked.what.field("records").and_then(Value::number);
    if records.is_none_or(|records| records == 0) {
        wrong.push(format!("no record was read: {}", words(&masked.what)));
    }
    let Some(teardown) = Teardown::last(rings, memory)? else {
        wrong.push("the session was not taken down".to_owned());
        return Ok(wrong);
    };
    let broker = built.image.app.index("offload_broker").map(|index| u64::from(index.0));
    let fault = told.part(1);
    let field = |name| fault.and_then(|fault| fault.field(name));
    let at = field("at").and_then(Value::number);
    let window = teardown.asked("CloseWindow").and_then(|op| op.at(0)).map(words);
    let right = told.part(0).and_then(Value::number).map(|task| task & 0x3FF) == broker
        && fault.and_then(Value::name) == Some("WindowFault")
        && at.is_some_and(|at| at & !0xFFF == session.guard().0)
        && field("window").map(words) == window;
    if !right {
        wrong.push(format!("it is not the broker's session {window:?}: {}", words(&told.what)));
    }
    let other = |what, noted: &Noted| Other {
        what,
        at: Some(noted.at),
        after: None,
        before: Some("Draining"),
    };
    wrong.extend(teardown.wrong(&[other("FaultsMasked", masked), other("Told", told)]));
    Ok(wrong)
}

/// What is wrong with the faults and what they did to core 0.
fn out_of_bounds(acts: &[Act], least: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    let count = |wanted: Act| acts.iter().filter(|act| **act == wanted).count();
    let blocked = count(Act::Blocked);
    if blocked < least {
        wrong.push(format!("{blocked} faults, at least {least} were to be made"));
    }
    for interrupt in SMMU {
        let woken = count(Act::Taken { core: Core(0), interrupt });
        if woken > WAKE_UPS || count(Act::Taken { core: Core(1), interrupt }) > 0 {
            wrong
                .push(format!("{blocked} faults: core 0 took interrupt {interrupt} {woken} times"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::{Act, Core, SMMU, out_of_bounds};

    #[test]
    fn faults_may_wake_core_0_twice_each_way_and_core_1_never() {
        let taken = |core, interrupt| Act::Taken { core: Core(core), interrupt };
        let faults = vec![Act::Blocked; 100];
        let wrong = |more: &[Act]| !out_of_bounds(&[&faults, more].concat(), 100).is_empty();
        let [events, errors] = SMMU;
        let twice = [taken(0, events), taken(0, events), taken(0, errors), taken(0, errors)];
        assert!(!wrong(&[]) && !wrong(&twice));
        assert!(wrong(&[&twice[..], &[taken(0, errors)]].concat()));
        assert!(wrong(&[taken(1, events)]));
        assert!(!out_of_bounds(&faults[1..], 100).is_empty(), "a fault is missing");
    }
}
