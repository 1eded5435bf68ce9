//! The monitor in line with the pages of `xhci` and `iommu`.

use crate::bench::{
    ANSWERS, BUFFER_BUS, Bench, Deed, GATES, OTHERS_RINGS, RAM, REGISTERS, VECTOR, WINDOWS, entry,
    packet, places,
};
use addr::Phys;
use dsp_abi::bell;
use dsp_abi::control::{GateEntry, GatePage, NoticeKind};
use dsp_abi::monitor::{Call, EVENT_GATE, Status, event_ring};
use gate::Refusal;
use monitor::{EntryFault, Monitor};
use std::mem::offset_of;

const OK: u32 = Status::Ok as u32;
const CLOSED: u32 = Status::Closed as u32;
const NEVER: u64 = u64::MAX;

fn changed(change: impl FnOnce(&mut GateEntry)) -> GateEntry {
    let mut entry = entry();
    change(&mut entry);
    entry
}

fn is_open(bench: &mut Bench) -> bool {
    bench.call(Call::Doorbell, [0, 0, 0, 0])[0] == OK
}

#[test]
fn coming_up_answers_everything_that_was_asked_before() {
    let mut bench = Bench::new();
    bench.ground.poke(GATES[1], &7_u32);
    bench.ground.poke(WINDOWS, &9_u32);
    bench.monitor = Monitor::new(places());
    bench.ground.deeds.clear();
    bench.monitor.begin(&mut bench.ground);
    let page = bench.answers();
    assert_eq!((page.monitor_epoch, page.program_epoch), (2, 2), "the life after the last");
    assert_eq!((page.gate_done, page.window_done), ([0, 7], 9));
    let deeds = bench.deeds();
    for line in [bell::MAIL_TO_DSP, bell::GATE_TO_DSP, bell::TLB_TO_DSP] {
        assert!(deeds.contains(&Deed::Listen(line)));
    }
    for bell in [bell::GATE0_TO_APP, bell::GATE1_TO_APP, bell::TLB_TO_APP, bell::MAIL_TO_APP] {
        assert!(deeds.contains(&Deed::Ring(bell)));
    }
    assert_eq!(deeds.last(), Some(&Deed::Start), "the program comes last");
}

/// Who closes a gate does not wait for a monitor that is not up.
#[test]
fn it_says_that_it_is_up_before_it_reads_what_is_open() {
    let mut bench = Bench::new();
    bench.ground.poke(ANSWERS, &0_u32);
    bench.monitor = Monitor::new(places());
    bench.ground.reads = 0;
    bench.ground.meanwhile = Some(|ram, reads| {
        let at = (ANSWERS.0 - RAM) as usize;
        // The first two are what is told of earlier lives.
        assert!(reads <= 2 || ram[at] == 1, "read {reads} comes before the word");
    });
    bench.monitor.begin(&mut bench.ground);
    assert!(bench.ground.reads > 2);
}

#[test]
fn an_entry_opens_and_closes_and_the_program_is_told_both_times() {
    let mut bench = Bench::new();
    bench.window(0, true);
    assert_eq!(bench.wait(NEVER), None);
    bench.deeds();
    bench.gate(0, 0, &entry());
    let deeds = bench.deeds();
    assert!(deeds.contains(&Deed::Listen(VECTOR)) && deeds.contains(&Deed::Wake));
    assert_eq!(bench.wait(NEVER), Some(EVENT_GATE));
    assert!(is_open(&mut bench));
    bench.gate(0, 0, &changed(|entry| entry.open = 0));
    assert!(bench.deeds().contains(&Deed::Ignore(VECTOR)));
    assert_eq!(bench.wait(NEVER), Some(EVENT_GATE));
    assert!(!is_open(&mut bench));
}

/// The confirmation comes after what it confirms, for whoever reads memory.
#[test]
fn the_answer_is_written_between_barriers_and_the_bell_comes_last() {
    let mut bench = Bench::open();
    bench.gate(0, 0, &changed(|entry| entry.open = 0));
    let deeds = bench.deeds();
    let write = deeds.iter().position(|deed| matches!(deed, Deed::Write { .. }));
    let write = write.expect("the answer page was written");
    assert_eq!(deeds[write - 1], Deed::Publish);
    assert_eq!(deeds[write + 1], Deed::Publish);
    assert!(deeds[..write].contains(&Deed::Ignore(VECTOR)));
    assert!(deeds[write + 1..].contains(&Deed::Ring(bell::GATE0_TO_APP)));
}

#[test]
fn a_bell_without_a_change_changes_nothing() {
    let mut bench = Bench::open();
    bench.shadow(0, packet());
    bench.call(Call::Publish, [0, 0, 0, 1]);
    bench.wait(NEVER);
    bench.announce(0);
    assert_eq!(bench.wait(NEVER), None, "no news");
    bench.shadow(1, packet());
    assert_eq!(bench.call(Call::Publish, [0, 0, 1, 1])[0], OK, "the producer is where it was");
}

#[test]
fn a_new_generation_is_a_new_session_even_if_its_closing_was_missed() {
    let mut bench = Bench::open();
    bench.shadow(0, packet());
    bench.call(Call::Publish, [0, 0, 0, 1]);
    bench.interrupt(VECTOR);
    bench.gate(0, 0, &changed(|entry| entry.generation = 2));
    assert_eq!(bench.call(Call::Publish, [0, 0, 0, 1])[0], OK, "the ring begins anew");
    assert_eq!(bench.wait(0).map(|bits| bits & event_ring(0)), Some(0), "an old session's event");
}

#[test]
fn a_new_epoch_of_the_driver_voids_what_the_old_one_opened() {
    let mut bench = Bench::open();
    bench.shadow(0, packet());
    bench.call(Call::Publish, [0, 0, 0, 1]);
    bench.ground.poke(GATES[0].plus(4), &1_u32);
    bench.announce(0);
    let deeds = bench.deeds();
    assert!(deeds.contains(&Deed::Ignore(VECTOR)) && deeds.contains(&Deed::Listen(VECTOR)));
    assert_eq!(bench.call(Call::Publish, [0, 0, 1, 1])[1], Refusal::NotNext as u32);
}

/// R21: gates of two controllers are open side by side, and neither is the other's.
#[test]
fn each_controllers_sessions_are_its_own() {
    let mut bench = Bench::open();
    let other = changed(|entry| {
        entry.vector = bell::CONTROLLER1_DSP.into();
        entry.doorbell = REGISTERS[1] as u32 + 0x2004;
        entry.erdp = REGISTERS[1] as u32 + 0x1058;
        (entry.rings[0].real, entry.rings[0].shadow) = (OTHERS_RINGS, OTHERS_RINGS + 0x1000);
    });
    bench.gate(1, 2, &other);
    bench.deeds();
    assert_eq!(bench.call(Call::Doorbell, [10, 0, 0, 0])[0], OK);
    let at = Phys(REGISTERS[1] + 0x2004);
    assert_eq!(bench.deeds(), [Deed::Register { at, value: 2 }]);
    bench.wait(0);
    bench.interrupt(bell::CONTROLLER1_DSP);
    assert_eq!(bench.wait(NEVER), Some(event_ring(10)));
}

/// A driver is not trusted with more than its own controller (DESIGN, "The
/// DSP": the trusted base is monitor, kernel and `iommu`).
#[test]
fn an_entry_that_names_what_no_session_has_is_not_opened_and_told_once() {
    type Change = fn(&mut GateEntry);
    let cases: [(EntryFault, Change); 18] = [
        (EntryFault::Vector, |entry| entry.vector = bell::CONTROLLER0_PRIMARY.into()),
        (EntryFault::Vector, |entry| entry.vector = bell::CONTROLLER1_DSP.into()),
        (EntryFault::Vector, |entry| entry.vector = 33),
        (EntryFault::Vector, |entry| entry.vector += 1 << 16),
        (EntryFault::Doorbell, |entry| entry.doorbell = REGISTERS[1] as u32 + 0x2004),
        (EntryFault::Doorbell, |entry| entry.doorbell = 0x0800_0000),
        (EntryFault::Doorbell, |entry| entry.doorbell += 1),
        (EntryFault::Dequeue, |entry| entry.erdp = RAM as u32),
        (EntryFault::Dequeue, |entry| entry.erdp = REGISTERS[0] as u32 + 0x3FFC),
        (EntryFault::Ring, |entry| entry.rings[0].real = ANSWERS.0 as u32),
        (EntryFault::Ring, |entry| entry.rings[0].shadow = 0x4020_0000),
        (EntryFault::Ring, |entry| entry.rings[0].real += 16),
        // The other controller's are none of its.
        (EntryFault::Ring, |entry| entry.rings[0].real = OTHERS_RINGS),
        (EntryFault::Ring, |entry| entry.rings[0].shadow = OTHERS_RINGS),
        (EntryFault::Ring, |entry| entry.rings[1].dci = 3),
        (EntryFault::Interrupter, |entry| entry.interrupter = 0),
        (EntryFault::Interrupter, |entry| entry.interrupter = 1 << 10),
        (EntryFault::Window, |entry| entry.window = 8),
    ];
    for (fault, change) in cases {
        let mut bench = Bench::new();
        bench.window(0, true);
        bench.deeds();
        bench.gate(0, 0, &changed(change));
        bench.announce(0);
        assert_eq!(bench.rings(bell::NOTICE), 1, "{fault:?}");
        let notice = bench.answers().notices[0][0];
        assert_eq!((notice.kind, notice.detail), (NoticeKind::BadGate as u32, fault as u32));
        assert_eq!(bench.call(Call::Doorbell, [0, 0, 0, 0])[0], CLOSED);
    }
}

#[test]
fn a_bad_entry_ends_the_session_that_was_there() {
    let mut bench = Bench::open();
    bench.gate(
        0,
        0,
        &changed(|entry| {
            entry.generation = 2;
            entry.vector = 0;
        }),
    );
    assert!(!is_open(&mut bench));
}

/// A driver that is killed in mid-write leaves the entry marked closed; one that
/// writes on while it is read is read again.
#[test]
fn an_entry_that_changes_under_the_reader_is_not_taken_half() {
    let mut bench = Bench::new();
    bench.window(0, true);
    // With each read the other core has written another doorbell.
    bench.ground.meanwhile = Some(|ram, reads| {
        let entry = (GATES[0].0 - RAM) as usize + offset_of!(GatePage, entries);
        ram[entry + offset_of!(GateEntry, doorbell)] = (reads * 4) as u8;
    });
    bench.gate(0, 0, &entry());
    bench.ground.meanwhile = None;
    assert!(!is_open(&mut bench));
    bench.gate(0, 0, &entry());
    assert!(is_open(&mut bench), "its writer came to rest and rang");
}

#[test]
fn a_window_that_is_taken_away_takes_the_buffer_before_it_is_confirmed() {
    let mut bench = Bench::open();
    bench.shadow(0, packet());
    bench.window(0, false);
    let deeds = bench.deeds();
    let forgot = deeds.iter().position(|deed| *deed == Deed::ForgetTranslations);
    let write = deeds.iter().position(|deed| matches!(deed, Deed::Write { .. }));
    assert!(forgot.expect("translations are forgotten") < write.expect("it is answered"));
    assert!(deeds.contains(&Deed::Ring(bell::TLB_TO_APP)));
    assert_eq!(bench.call(Call::Publish, [0, 0, 0, 1])[1], Refusal::Buffer as u32);
    bench.window(0, true);
    assert_eq!(bench.call(Call::Publish, [0, 0, 0, 1])[0], OK);
}

#[test]
fn a_session_opened_before_its_window_gets_it_later() {
    let mut bench = Bench::new();
    bench.gate(0, 0, &entry());
    bench.shadow(0, packet());
    assert_eq!(bench.call(Call::Publish, [0, 0, 0, 1])[1], Refusal::Buffer as u32);
    bench.window(0, true);
    assert_eq!(bench.call(Call::Publish, [0, 0, 0, 1])[0], OK);
    assert_eq!(bench.real(0)[0], BUFFER_BUS);
}

#[test]
fn an_interrupt_of_a_session_wakes_the_program_with_that_sessions_bit_alone() {
    let mut bench = Bench::open();
    bench.wait(0);
    assert_eq!(bench.wait(NEVER), None);
    bench.interrupt(VECTOR);
    assert!(bench.deeds().contains(&Deed::Wake));
    assert_eq!(bench.wait(NEVER), Some(event_ring(0)));
    bench.interrupt(VECTOR + 1);
    assert_eq!(bench.wait(NEVER), None, "nobody's line");
}
