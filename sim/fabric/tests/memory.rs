//! RAM: store buffers, barriers, owners, poison.

use addr::{Bus, Phys};
use fabric::{Core, Fabric, Layout, Owner, StreamId, Time, memory};

const RAM: Phys = Phys(0x4000_0000);
const STREAM: StreamId = StreamId(0x10);

fn fabric(seed: u64) -> Fabric {
    Fabric::new(Layout::virt(16), seed)
}

fn ram(fabric: &Fabric, at: Phys) -> u32 {
    let mut word = [0; 4];
    fabric.memory.peek(at, &mut word).unwrap();
    u32::from_le_bytes(word)
}

fn write(fabric: &mut Fabric, core: Core, at: Phys, value: u32) {
    fabric.core_write(core, at, &value.to_le_bytes()).unwrap();
}

fn read(fabric: &mut Fabric, core: Core, at: Phys) -> u32 {
    let mut word = [0; 4];
    fabric.core_read(core, at, &mut word).unwrap();
    u32::from_le_bytes(word)
}

#[test]
fn a_core_sees_its_own_writes_at_once_and_the_other_after_a_barrier() {
    let mut fabric = fabric(1);
    write(&mut fabric, Core::App, RAM, 7);
    assert_eq!(read(&mut fabric, Core::App, RAM), 7);
    assert_ne!(read(&mut fabric, Core::Dsp, RAM), 7);
    fabric.barrier(Core::App);
    assert_eq!(read(&mut fabric, Core::Dsp, RAM), 7);
}

/// The cycle bit may be seen before the rest of its TRB, unless a barrier is between.
#[test]
fn a_trb_is_torn_for_some_seed_without_a_barrier_and_for_none_with_one() {
    let torn = |seed, barrier: bool| {
        let mut fabric = fabric(seed);
        fabric.core_write(Core::App, RAM, &[1; 12]).unwrap();
        if barrier {
            fabric.barrier(Core::App);
        }
        write(&mut fabric, Core::App, RAM.plus(12), 1);
        fabric.barrier(Core::App);
        fabric.memory.is_torn(RAM)
    };
    assert!((0..64).any(|seed| torn(seed, false)));
    assert!(!(0..64).any(|seed| torn(seed, true)));
    // Whoever writes it anew makes it whole.
    let mut fabric = fabric((0..64).find(|&seed| torn(seed, false)).unwrap());
    fabric.core_write(Core::App, RAM, &[1; 12]).unwrap();
    write(&mut fabric, Core::App, RAM.plus(12), 1);
    fabric.barrier(Core::App);
    assert!(fabric.memory.is_torn(RAM));
    fabric.core_write(Core::App, RAM, &[0; 64]).unwrap();
    fabric.barrier(Core::App);
    assert!(!fabric.memory.is_torn(RAM));
}

#[test]
fn without_a_barrier_a_flag_overtakes_its_data_for_some_seed_and_with_one_for_none() {
    let overtaken = |barrier: bool| {
        (0..200).any(|seed| {
            let mut fabric = fabric(seed);
            write(&mut fabric, Core::App, RAM, 0);
            write(&mut fabric, Core::App, RAM.plus(64), 0);
            fabric.barrier(Core::App);
            write(&mut fabric, Core::App, RAM, 1);
            if barrier {
                fabric.barrier(Core::App);
            }
            write(&mut fabric, Core::App, RAM.plus(64), 1);
            (0..100).any(|_| {
                fabric.spend(Time::ns(50));
                read(&mut fabric, Core::Dsp, RAM.plus(64)) == 1
                    && read(&mut fabric, Core::Dsp, RAM) == 0
            })
        })
    };
    assert!(overtaken(false));
    assert!(!overtaken(true));
}

#[test]
fn the_words_of_one_trb_race_too() {
    let torn = (0..200).any(|seed| {
        let mut fabric = fabric(seed);
        fabric.core_write(Core::Dsp, RAM, &[0; 16]).unwrap();
        fabric.barrier(Core::Dsp);
        fabric.core_write(Core::Dsp, RAM, &[1; 16]).unwrap();
        (0..100).any(|_| {
            fabric.spend(Time::ns(50));
            read(&mut fabric, Core::App, RAM.plus(12)) != 0
                && read(&mut fabric, Core::App, RAM) == 0
        })
    });
    assert!(torn);
}

#[test]
fn two_writes_to_one_place_stay_in_order() {
    for seed in 0..200 {
        let mut fabric = fabric(seed);
        let mut last = 0;
        write(&mut fabric, Core::App, RAM, 0);
        fabric.barrier(Core::App);
        for value in 1..40 {
            write(&mut fabric, Core::App, RAM, value);
            fabric.spend(Time::ns(200));
            let seen = read(&mut fabric, Core::Dsp, RAM);
            assert!(seen >= last && seen <= value, "{seen} after {last}");
            last = seen;
        }
    }
}

#[test]
fn a_store_gets_through_by_itself_in_the_end() {
    let mut fabric = fabric(3);
    write(&mut fabric, Core::App, RAM, 9);
    fabric.spend(Time::ms(1));
    assert_eq!(read(&mut fabric, Core::Dsp, RAM), 9);
}

#[test]
fn long_writes_and_overflowing_buffers_lose_nothing() {
    let mut fabric = fabric(4);
    let bytes: Vec<u8> = (0..8000_u32).map(|n| (n * 7) as u8).collect();
    fabric.core_write(Core::App, RAM.plus(3), &bytes).unwrap();
    let mut seen = vec![0; bytes.len()];
    fabric.core_read(Core::App, RAM.plus(3), &mut seen).unwrap();
    assert_eq!(seen, bytes);
    fabric.barrier(Core::App);
    fabric.memory.peek(RAM.plus(3), &mut seen).unwrap();
    assert_eq!(seen, bytes);
}

#[test]
fn outside_ram_is_an_error() {
    let mut fabric = fabric(5);
    let mut word = [0; 4];
    assert!(fabric.core_read(Core::App, Phys(0x3FFF_FFFE), &mut word).is_err());
    assert!(fabric.core_write(Core::App, RAM.plus(16 * 4096 - 2), &word).is_err());
}

#[test]
fn a_page_given_back_is_poisoned_and_touching_it_is_a_violation() {
    let mut fabric = fabric(6);
    fabric.memory.give(RAM, 1, Owner::Nobody);
    assert_eq!(ram(&fabric, RAM), u32::from_le_bytes([memory::POISON; 4]));
    read(&mut fabric, Core::App, RAM);
    assert_eq!(fabric.violations.count("CoreTouchedFreedPage"), 1);
    // The SMMU is off in this test: it lets all through and complains itself.
    assert!(fabric.dma_write(STREAM, Bus(RAM.0), &[1; 4]).is_err());
    assert_eq!(fabric.violations.count("DmaToFreedPage"), 1);
    assert!(fabric.violations.fatal().is_some());
}

/// Rule 1: each page has one owner, and who else touches it ends the run.
#[test]
fn a_device_in_another_owners_page_is_a_violation() {
    let mut fabric = fabric(7);
    fabric.memory.give(RAM, 1, Owner::Stream(STREAM));
    assert!(fabric.dma_write(STREAM, Bus(RAM.0), &[1; 4]).is_ok());
    assert!(fabric.dma_read(StreamId(0x18), Bus(RAM.0), &mut [0; 4]).is_err());
    assert!(fabric.dma_read(STREAM, Bus(RAM.0 + 0x1000), &mut [0; 4]).is_err());
    assert_eq!(fabric.violations.count("DmaToForeignPage"), 2);
    assert!(fabric.violations.fatal().is_some());
}

#[test]
fn a_device_where_nothing_is_is_a_violation() {
    let mut fabric = fabric(8);
    assert!(fabric.dma_write(STREAM, Bus(0x1000), &[1; 4]).is_err());
    assert!(fabric.dma_write32(STREAM, Bus(0x1000), 1).is_err());
    assert_eq!(fabric.violations.count("DmaToNothing"), 2);
    assert_eq!(fabric.violations.count("DmaUntranslated"), 2);
}

#[test]
fn a_freed_page_is_found_anywhere_in_an_access() {
    let mut fabric = fabric(9);
    fabric.take_back(Core::App, RAM.plus(0x1000), 1);
    fabric.core_read(Core::Dsp, RAM.plus(0xFFE), &mut [0; 2]).unwrap();
    assert_eq!(fabric.violations.total(), 0);
    fabric.core_read(Core::Dsp, RAM.plus(0xFFE), &mut [0; 4]).unwrap();
    assert_eq!(fabric.violations.count("CoreTouchedFreedPage"), 1);
}

#[test]
fn what_a_core_wrote_before_it_gave_a_page_back_never_arrives() {
    let mut fabric = fabric(10);
    write(&mut fabric, Core::App, RAM, 7);
    fabric.take_back(Core::App, RAM, 1);
    fabric.spend(Time::ms(1));
    fabric.barrier(Core::App);
    assert_eq!(ram(&fabric, RAM), u32::from_le_bytes([memory::POISON; 4]));
    assert_eq!(fabric.violations.total(), 0);
}

#[test]
fn a_page_given_back_while_the_other_cores_store_is_on_its_way_is_a_violation() {
    let mut fabric = fabric(11);
    write(&mut fabric, Core::Dsp, RAM, 7);
    fabric.take_back(Core::App, RAM, 1);
    assert_eq!(fabric.violations.count("CoreTouchedFreedPage"), 1);
}

#[test]
fn a_page_that_the_dsp_sees_was_zeroed_since_it_was_handed_out() {
    let mut fabric = fabric(12);
    // Never handed out, so nobody's secret.
    fabric.shown_to_peer(RAM);
    assert_eq!(fabric.violations.total(), 0);
    let zero = |fabric: &mut Fabric, len: usize| {
        fabric.core_write(Core::App, RAM, &vec![0; len]).unwrap();
        fabric.barrier(Core::App);
    };
    for (len, seen) in [(0, 1), (4096 - 64, 2), (4096, 2)] {
        fabric.hand_out(RAM, 1, Owner::AnyStream);
        zero(&mut fabric, len);
        fabric.shown_to_peer(RAM.plus(0x18));
        assert_eq!(fabric.violations.count("PeerSawOldData"), seen, "{len} bytes");
    }
    // What was written into it since is meant for the DSP.
    write(&mut fabric, Core::App, RAM, 7);
    fabric.barrier(Core::App);
    fabric.shown_to_peer(RAM);
    assert_eq!(fabric.violations.count("PeerSawOldData"), 2);
    // Zeros of an earlier owner do not count.
    fabric.take_back(Core::App, RAM, 1);
    fabric.hand_out(RAM, 1, Owner::AnyStream);
    fabric.shown_to_peer(RAM);
    assert_eq!(fabric.violations.count("PeerSawOldData"), 3);
}
