//! One test per rule: broken on purpose, and noticed as what it is.

use crate::rig::{DOORBELLS, Producer, RUNTIME, Rig, Slot, Stream, USBCMD, code, music};
use addr::Bus;
use fabric::{Core, Time, UsbWait, Violation};
use usb_model::headset::Model;
use xhc::{Personality, StoppedEvent};

const PLAIN: u64 = 71;

fn headset() -> (Rig, Slot) {
    Rig::with_headset(Personality::seeded(PLAIN), Model::Sync)
}

fn opened(personality: Personality) -> (Rig, Slot, Stream) {
    let (mut rig, mut slot) = Rig::with_headset(personality, Model::Sync);
    let stream = rig.open(&mut slot, 48_000);
    (rig, slot, stream)
}

fn queue(rig: &mut Rig, ring: &mut Producer, trb: [u32; 4]) -> Bus {
    let mut copy = ring.clone();
    let at = rig.push(&mut copy, trb);
    *ring = copy;
    at
}

#[test]
fn a_trb_edited_after_it_was_fetched() {
    let mut personality = Personality::seeded(PLAIN);
    personality.prefetch = 4;
    let (mut rig, slot, mut stream) = opened(personality);
    let mut places = vec![];
    for n in 0..20 {
        let trb = Rig::isoch(stream.buffer.plus(512 * n), 192, false);
        places.push(queue(&mut rig, &mut stream.ring, trb));
    }
    rig.ring_stream(&slot);
    while rig.xhc.wire().log().packets().len() < 5 {
        rig.run(Time::us(100));
    }
    // One far ahead may be changed, one nearby has been fetched.
    rig.store_words(places[15].plus(8), &[188 | 1 << 22]);
    rig.run(Time::ms(1));
    rig.clean();
    let next = rig.xhc.wire().log().packets().len() + 2;
    rig.store_words(places[next].plus(8), &[188 | 1 << 22]);
    rig.run(Time::ms(20));
    rig.only("TrbChangedAfterFetch");
    // What goes out is what was fetched.
    assert_eq!(rig.xhc.wire().log().packets()[next].len, 192);
    assert_eq!(rig.xhc.wire().log().packets()[15].len, 188);
}

/// A descriptor that is handed over before it is all there: no barrier before its
/// cycle bit (4.9.2).
#[test]
fn a_trb_whose_cycle_bit_is_seen_first() {
    let caught = (0..32).any(|seed| {
        let mut rig = Rig::running(Personality::seeded(seed));
        let at = rig.commands.at();
        let bytes = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        let (body, control) = (bytes(&[0; 3]), bytes(&[23 << 10 | 1]));
        rig.fabric.core_write(Core::App, Rig::phys(at), &body).unwrap();
        rig.fabric.core_write(Core::App, Rig::phys(at.plus(12)), &control).unwrap();
        rig.fabric.barrier(Core::App);
        rig.write(0x2000, 0);
        rig.run(Time::ms(1));
        rig.fabric.violations.count("TrbHandedOverTorn") > 0
    });
    assert!(caught);
}

#[test]
fn a_trb_edited_while_stopped_needs_set_tr_dequeue() {
    for moved in [false, true] {
        let mut personality = Personality::seeded(PLAIN);
        (personality.prefetch, personality.dequeue_past_stopped) = (4, false);
        personality.stopped = StoppedEvent::Before;
        let (mut rig, slot, mut stream) = opened(personality);
        for n in 0..20 {
            let trb = Rig::isoch(stream.buffer.plus(512 * n), 192, false);
            queue(&mut rig, &mut stream.ring, trb);
        }
        rig.ring_stream(&slot);
        rig.run(Time::ms(8));
        assert_eq!(rig.simple(15, slot.id, 2), code::SUCCESS);
        let dequeue = rig.output(slot.id, 2)[2] & !0xF;
        let dequeue = Bus(u64::from(dequeue));
        rig.store_words(dequeue.plus(16 + 8), &[180 | 1 << 22]);
        if moved {
            assert_eq!(rig.set_dequeue(slot.id, 2, dequeue, true), code::SUCCESS);
        }
        rig.ring_stream(&slot);
        rig.run(Time::ms(30));
        if moved { rig.clean() } else { rig.only("TrbChangedAfterFetch") }
    }
}

#[test]
fn an_output_context_written_by_software() {
    let (mut rig, slot) = headset();
    let at = rig.outputs[0].plus(rig.context);
    rig.store_words(at.plus(8), &[0x1234]);
    rig.fill_input(0, 2, &[(1, [0, 64 << 16, 0, 0, 0])]);
    assert_eq!(rig.with_input(13, slot.id, 0), code::SUCCESS);
    rig.only("ContextChanged");
}

#[test]
fn an_output_context_that_was_not_zeroed() {
    let mut rig = Rig::cold(Personality::seeded(PLAIN));
    let port = rig.xhc.personality().usb2_port(0).unwrap();
    rig.plug(port, Model::Sync);
    rig.bring_up();
    rig.connect(port);
    assert_eq!(rig.command([0, 0, 0, 9 << 10]), code::SUCCESS);
    let output = rig.outputs[0];
    rig.store(output, &[0xA5; 64]);
    let at = rig.array.plus(8);
    rig.store_words(at, &[output.low(), output.high()]);
    let ring = rig.producer();
    let context = rig.slot_context(port, 1);
    let endpoint = [0, 4 << 3 | 3 << 1 | 64 << 16, ring.base.low() | 1, 0, 8];
    rig.fill_input(0, 3, &[(0, context), (1, endpoint)]);
    rig.with_input(11, 1, 1);
    rig.only("ContextChanged");
}

#[test]
fn a_scratchpad_used_by_software() {
    let mut personality = Personality::seeded(PLAIN);
    personality.scratchpads = 3;
    let mut rig = Rig::running(personality);
    let page = rig.scratch;
    rig.store(page, &[1; 16]);
    assert_eq!(rig.command([0, 0, 0, 9 << 10]), code::SUCCESS);
    rig.only("ContextChanged");
}

#[test]
fn scratchpads_that_are_missing_stop_the_controller() {
    let mut personality = Personality::seeded(PLAIN);
    personality.scratchpads = 3;
    let mut rig = Rig::running(personality);
    let op = rig.op;
    rig.write(op + USBCMD, 0);
    rig.wait(op + 4, 1, 1);
    let array = rig.array;
    rig.store(array, &[0; 8]);
    rig.write(op + USBCMD, 1);
    assert_eq!(rig.read(op + 4) & 5, 5, "halted with a host system error");
    rig.only("XhcMisplaced");
}

#[test]
fn a_segment_table_changed_while_in_use() {
    let mut rig = Rig::running(Personality::seeded(PLAIN));
    let table = rig.events.table;
    rig.store_words(table.plus(8), &[128]);
    for _ in 0..300 {
        rig.command([0, 0, 0, 23 << 10]);
    }
    rig.only("SegmentTableChanged");
}

#[test]
fn the_primary_event_ring_left_to_run_full() {
    let mut rig = Rig::running(Personality::qemu());
    for _ in 0..2 {
        let mut ring = rig.commands.clone();
        for _ in 0..200 {
            rig.push(&mut ring, [0, 0, 0, 23 << 10]);
        }
        rig.commands = ring;
        rig.write(DOORBELLS, 0);
        rig.run(Time::ms(5));
    }
    assert_eq!(rig.xhc.stats().events_lost, 400 - 254);
    rig.only("EventRingFull");
}

#[test]
fn erdp_beyond_the_last_event_or_outside_the_ring() {
    for outside in [false, true] {
        let mut rig = Rig::running(Personality::seeded(PLAIN));
        rig.command([0, 0, 0, 23 << 10]);
        let ring = rig.events.segments[0];
        let at = if outside { ring.plus(0x8000) } else { ring.plus(16 * 9) };
        rig.write(RUNTIME + 0x38, at.low() | 8);
        rig.only("DequeueBeyondEnqueue");
    }
}

#[test]
fn an_event_for_a_ring_whose_erdp_is_astray_kills_the_controller() {
    let mut rig = Rig::running(Personality::qemu());
    let at = rig.events.segments[0].plus(0x8000);
    rig.write(RUNTIME + 0x38, at.low() | 8);
    let mut ring = rig.commands.clone();
    rig.push(&mut ring, [0, 0, 0, 23 << 10]);
    rig.write(DOORBELLS, 0);
    rig.run(Time::ms(1));
    let op = rig.op;
    assert_eq!(rig.read(op + 4) >> 12 & 1, 1);
    rig.only("DequeueBeyondEnqueue");
}

#[test]
fn a_trb_for_an_interrupter_that_is_not_set_up_or_does_not_exist() {
    for target in [1, 900] {
        let (mut rig, slot, mut stream) = opened(Personality::seeded(PLAIN));
        rig.write(RUNTIME + 0x40 + 8, 0);
        let mut trb = Rig::isoch(stream.buffer, 192, true);
        trb[2] = 192 | target << 22;
        queue(&mut rig, &mut stream.ring, trb);
        rig.set_target(&slot, 0);
        rig.ring_stream(&slot);
        rig.run(Time::ms(10));
        rig.only("EventToUnsetInterrupter");
    }
}

#[test]
fn underrun_for_a_slot_whose_interrupter_is_gone() {
    let (mut rig, slot, mut stream) = opened(Personality::seeded(PLAIN));
    let mut trb = Rig::isoch(stream.buffer, 192, false);
    trb[2] = 192;
    queue(&mut rig, &mut stream.ring, trb);
    rig.write(RUNTIME + 0x40 + 8, 0);
    rig.ring_stream(&slot);
    rig.run(Time::ms(10));
    rig.only("EventToUnsetInterrupter");
}

#[test]
fn reserved_bits_of_registers() {
    let writes = [(0x1020u32, 0x10u32), (0x1030, 0x3F), (0x1028, 1 << 16)];
    for (offset, bits) in writes {
        let mut rig = Rig::running(Personality::qemu());
        let value = rig.read(offset);
        rig.write(offset, value | bits);
        assert!(rig.fabric.violations.count("XhcReservedBits") > 0, "{offset:#x}");
    }
    let mut rig = Rig::running(Personality::qemu());
    let port = rig.portsc(rig.xhc.personality().usb2_port(0).unwrap());
    rig.write(port, 1 << 9 | 1 << 28);
    rig.only("XhcReservedBits");
}

#[test]
fn registers_written_in_the_wrong_state() {
    // DCBAAP, CONFIG, ERSTBA of the primary ring, a capability register, CRCR.
    for offset in [0x30, 0x38] {
        let mut rig = Rig::running(Personality::seeded(PLAIN));
        let op = rig.op;
        let value = rig.read(op + offset);
        rig.write(op + offset, value);
        rig.only("XhcBadAccess");
    }
    let mut rig = Rig::running(Personality::seeded(PLAIN));
    rig.write(0x04, 1);
    rig.only("XhcBadAccess");
    let mut rig = Rig::running(Personality::seeded(PLAIN));
    let op = rig.op;
    rig.write(op + USBCMD, 2);
    rig.only("XhcBadAccess");
}

#[test]
fn registers_touched_while_the_controller_is_not_ready() {
    let mut rig = Rig::running(Personality::seeded(PLAIN));
    let op = rig.op;
    rig.write(op + USBCMD, 0);
    rig.wait(op + 4, 1, 1);
    rig.write(op + USBCMD, 2);
    rig.clean();
    rig.write(op + 0x38, 4);
    rig.only("XhcBadAccess");
}

#[test]
fn running_without_having_set_it_up() {
    let mut rig = Rig::cold(Personality::qemu());
    rig.config(0x10, 0x1000_0000);
    rig.config(4, 6);
    let op = rig.op;
    rig.write(op + USBCMD, 1);
    rig.only("XhcBadAccess");
}

#[test]
fn a_high_address_on_a_controller_with_32_bits() {
    let mut personality = Personality::seeded(PLAIN);
    personality.addresses_64 = false;
    let mut rig = Rig::cold(personality);
    rig.config(0x10, 0x1000_0000);
    rig.config(4, 6);
    let op = rig.op;
    rig.write64(op + 0x30, 0x1_8000_0000);
    rig.only("XhcBadAccess");
}

#[test]
fn a_trb_with_reserved_bits_or_wrong_counts() {
    let wrong: [fn(&mut [u32; 4]); 4] = [
        |trb| trb[3] |= 1 << 6,  // immediate data longer than 8 bytes
        |trb| trb[3] |= 1 << 16, // last burst count
        |trb| trb[3] |= 1 << 7,  // burst count
        |trb| trb[2] |= 3 << 17, // TD Size of the only TRB
    ];
    for spoil in wrong {
        let (mut rig, slot, mut stream) = opened(Personality::seeded(PLAIN));
        let mut trb = Rig::isoch(stream.buffer, 192, false);
        spoil(&mut trb);
        queue(&mut rig, &mut stream.ring, trb);
        rig.ring_stream(&slot);
        rig.run(Time::ms(10));
        rig.only("TrbMalformed");
    }
}

#[test]
fn a_buffer_that_crosses_64_kib() {
    let (mut rig, slot, mut stream) = opened(Personality::seeded(PLAIN));
    let end = Bus(stream.buffer.0.next_multiple_of(0x1_0000) - 100);
    queue(&mut rig, &mut stream.ring, Rig::isoch(end, 192, false));
    rig.ring_stream(&slot);
    rig.run(Time::ms(10));
    rig.only("TrbMalformed");
}

#[test]
fn a_link_to_nowhere() {
    let (mut rig, slot, mut stream) = opened(Personality::seeded(PLAIN));
    let mut ring = stream.ring.clone();
    rig.push(&mut ring, [stream.ring.base.low() + 8, 0, 0, 6 << 10]);
    stream.ring = ring;
    rig.ring_stream(&slot);
    rig.run(Time::ms(10));
    assert!(rig.fabric.violations.count("XhcMisplaced") > 0);
}

#[test]
fn a_trb_type_that_does_not_belong_on_the_ring() {
    let (mut rig, slot, mut stream) = opened(Personality::seeded(PLAIN));
    queue(&mut rig, &mut stream.ring, [0, 0, 8 | 1 << 22, 2 << 10 | 1 << 6]);
    rig.ring_stream(&slot);
    rig.run(Time::ms(10));
    assert_eq!(rig.drain(&mut stream.events)[0].code(), code::TRB);
    assert_eq!(rig.endpoint_state(slot.id, 2), 4, "error");
    rig.only("TrbMalformed");
}

#[test]
fn set_address_sent_by_software() {
    let (mut rig, mut slot) = headset();
    rig.request(&mut slot, [0, 5, 9, 0], &[]);
    rig.only("TrbMalformed");
}

#[test]
fn endpoint_contexts_that_break_a_rule() {
    let ring = Bus(0x8000_0000);
    let good = [3 << 16, 1 << 3 | 388 << 16, ring.low() | 1, 0, 388 << 16 | 388];
    let spoilt: [(usize, u32); 6] = [
        (0, 2 << 16),                     // interval too short for full speed
        (1, 1 << 3 | 388 << 16 | 3 << 1), // CErr of an isochronous endpoint
        (1, 1 << 3 | 388 << 16 | 1 << 8), // bursts at full speed
        (1, 5 << 3 | 388 << 16),          // IN type at an OUT index
        (2, 0),                           // no ring
        (4, 388 << 16),                   // average TRB length 0
    ];
    for (word, value) in spoilt {
        let (mut rig, slot) = headset();
        let context = rig.slot_context(slot.port, 2);
        let mut endpoint = good;
        endpoint[word] = value;
        rig.fill_input(0, 1 | 1 << 2, &[(0, context), (2, endpoint)]);
        rig.with_input(12, slot.id, 0);
        rig.only("ContextMalformed");
    }
}

#[test]
fn input_contexts_with_the_wrong_flags_or_entries() {
    for (drop, add, entries) in [(0, 1 << 2, 2), (0, 1 | 1 << 2, 3), (1 << 1, 1, 1), (0, 3, 1)] {
        let (mut rig, slot) = headset();
        let ring = rig.producer();
        let context = rig.slot_context(slot.port, entries);
        let endpoint = Rig::isoch_context(&ring, 388);
        rig.fill_input(drop, add, &[(0, context), (2, endpoint)]);
        assert_eq!(rig.with_input(12, slot.id, 0), code::PARAMETER);
        rig.only("ContextMalformed");
    }
}

#[test]
fn a_context_array_without_an_entry() {
    let mut rig = Rig::cold(Personality::seeded(PLAIN));
    let port = rig.xhc.personality().usb2_port(0).unwrap();
    rig.plug(port, Model::Sync);
    rig.bring_up();
    rig.connect(port);
    assert_eq!(rig.command([0, 0, 0, 9 << 10]), code::SUCCESS);
    let ring = rig.producer();
    let context = rig.slot_context(port, 1);
    let endpoint = [0, 4 << 3 | 3 << 1 | 64 << 16, ring.base.low() | 1, 0, 8];
    rig.fill_input(0, 3, &[(0, context), (1, endpoint)]);
    assert_eq!(rig.with_input(11, 1, 1), code::PARAMETER);
    rig.only("XhcMisplaced");
}

#[test]
fn ped_written_back_disables_the_port() {
    let (mut rig, slot) = headset();
    let register = rig.portsc(slot.port);
    let value = rig.read(register);
    rig.write(register, value);
    assert_eq!(rig.read(register) & 2, 0);
    rig.only("PortDisabledByAccident");
}

#[track_caller]
fn waits(rig: &Rig, expected: UsbWait) {
    rig.only("WaitTooShort");
    for (_, violation) in rig.fabric.violations.kept() {
        assert!(matches!(violation, Violation::WaitTooShort { wait, .. } if *wait == expected));
    }
}

#[test]
fn a_debounce_of_less_than_100_ms() {
    let mut rig = Rig::running(Personality::seeded(PLAIN));
    let port = rig.xhc.personality().usb2_port(0).unwrap();
    rig.plug(port, Model::Sync);
    rig.run(Time::ms(99));
    rig.reset_port(port);
    waits(&rig, UsbWait::Debounce);
}

#[test]
fn a_reset_recovery_of_less_than_10_ms() {
    let mut rig = Rig::running(Personality::seeded(PLAIN));
    let port = rig.xhc.personality().usb2_port(0).unwrap();
    rig.plug(port, Model::Sync);
    rig.run(Time::ms(101));
    rig.reset_port(port);
    rig.run(Time::ms(5));
    rig.address(port);
    waits(&rig, UsbWait::ResetRecovery);
}

#[test]
fn a_rest_after_set_address_of_less_than_2_ms() {
    let mut rig = Rig::cold(Personality::seeded(PLAIN));
    let port = rig.xhc.personality().usb2_port(0).unwrap();
    rig.plug(port, Model::Sync);
    rig.bring_up();
    rig.connect(port);
    assert_eq!(rig.command([0, 0, 0, 9 << 10]), code::SUCCESS);
    let (output, control, buffer) = (rig.outputs[0], rig.producer(), rig.pages(1));
    let at = rig.array.plus(8);
    rig.store_words(at, &[output.low(), output.high()]);
    let context = rig.slot_context(port, 1);
    let endpoint = [0, 4 << 3 | 3 << 1 | 64 << 16, control.base.low() | 1, 0, 8];
    rig.fill_input(0, 3, &[(0, context), (1, endpoint)]);
    assert_eq!(rig.with_input(11, 1, 0), code::SUCCESS);
    let mut slot = Slot { id: 1, port, control, buffer };
    rig.control(&mut slot, [0x80, 6, 0, 1, 0, 0, 18, 0]);
    waits(&rig, UsbWait::SetAddress);
}

#[test]
fn doorbells_of_slots_and_endpoints_that_are_not_there() {
    for (slot, target) in [(1, 2), (1, 40), (9, 1), (0, 3)] {
        let (mut rig, _) = headset();
        rig.write(DOORBELLS + 4 * slot, target);
        rig.only("BadDoorbell");
    }
    let mut rig = Rig::running(Personality::seeded(PLAIN));
    let op = rig.op;
    rig.write(op + USBCMD, 0);
    rig.wait(op + 4, 1, 1);
    rig.write(DOORBELLS, 0);
    rig.only("BadDoorbell");
}

/// A stream that plays while `act` is done to it.
fn meanwhile(act: impl FnOnce(&mut Rig, &Slot)) {
    let (mut rig, slot, mut stream) = opened(Personality::seeded(PLAIN));
    for n in 0..60 {
        let trb = Rig::isoch(stream.buffer.plus(512 * n), 192, false);
        queue(&mut rig, &mut stream.ring, trb);
    }
    rig.ring_stream(&slot);
    rig.run(Time::ms(8));
    act(&mut rig, &slot);
    rig.only("RingInUse");
}

#[test]
fn a_ring_taken_away_while_it_plays() {
    meanwhile(|rig, slot| assert_eq!(rig.drop_endpoint(slot), code::SUCCESS));
    meanwhile(|rig, slot| assert_eq!(rig.simple(10, slot.id, 0), code::SUCCESS));
    meanwhile(|rig, slot| assert_eq!(rig.simple(17, slot.id, 0), code::SUCCESS));
}

#[test]
fn a_frame_id_beyond_the_window() {
    let (mut rig, slot, mut stream) = opened(Personality::seeded(PLAIN));
    let frame = (rig.read(RUNTIME) / 8 + 950) & 0x7FF;
    let mut trb = Rig::isoch(stream.buffer, 192, false);
    trb[3] = trb[3] & 0x000F_FFFF | frame << 20;
    queue(&mut rig, &mut stream.ring, trb);
    rig.ring_stream(&slot);
    rig.run(Time::ms(10));
    rig.only("FrameOutsideWindow");
}

#[test]
fn a_packet_larger_than_was_reserved_is_cut() {
    let (mut rig, slot, mut stream) = opened(Personality::seeded(PLAIN));
    let data = music(600);
    let buffer = stream.buffer;
    rig.store(buffer, &data);
    // Two packets, as the counts have to say; the endpoint may send one.
    let mut trb = Rig::isoch(buffer, 600, true);
    trb[3] |= 1 << 7;
    queue(&mut rig, &mut stream.ring, trb);
    rig.ring_stream(&slot);
    rig.run(Time::ms(10));
    assert_eq!(rig.drain(&mut stream.events)[0].code(), 18);
    assert_eq!(rig.xhc.wire().log().bytes(), &data[..388]);
    rig.clean();
}

#[test]
fn contexts_and_tables_that_are_not_aligned() {
    let (mut rig, slot) = headset();
    let context = rig.slot_context(slot.port, 1);
    rig.fill_input(0, 1, &[(0, context)]);
    let aligned = rig.input;
    rig.input = aligned.plus(16);
    rig.with_input(13, slot.id, 0);
    assert!(rig.fabric.violations.count("XhcMisplaced") > 0);

    let mut rig = Rig::running(Personality::seeded(PLAIN));
    let table = rig.pages(1);
    let base = rig.pages(1).plus(32);
    rig.store_words(table, &[base.low(), base.high(), 16, 0]);
    rig.write(RUNTIME + 0x40 + 8, 1);
    rig.write64(RUNTIME + 0x40 + 0x10, table.0);
    rig.only("XhcMisplaced");
}

#[test]
fn a_transfer_ring_that_runs_into_the_next_64_kib_without_a_link() {
    let (mut rig, slot, _) = opened(Personality::seeded(PLAIN));
    assert_eq!(rig.simple(15, slot.id, 2), code::SUCCESS);
    let end = Bus(rig.pages(16).0.next_multiple_of(0x1_0000) + 0xFFF0);
    rig.write_trb(end, Rig::isoch(rig.array, 0, false), true);
    assert_eq!(rig.set_dequeue(slot.id, 2, end, true), code::SUCCESS);
    rig.ring_stream(&slot);
    rig.run(Time::ms(5));
    rig.only("XhcMisplaced");
}
