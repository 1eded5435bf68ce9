//! Bring-up, enumeration, control transfers and the host's isochronous path.

use crate::clients::{DEVICE, DEVICE_HEAD, Driver, say, set_interface};
use crate::machine::{Diary, Machine, Plan, personalities, plug, port};
use fabric::Time;
use usb_model::headset::Model;
use usb_types::Setup;
use userlib::sys_recv_notification;
use xhc::Personality;
use xhci_api::{EndpointSpec, SlotHandle, XhciError};

/// Playback alternate 1 of the synchronous headset.
pub(crate) const OUT: EndpointSpec = EndpointSpec {
    dci: 2,
    kind: 1,
    interval: 3,
    max_burst: 0,
    mult: 0,
    reserved: 0,
    max_packet: 388,
    esit_payload: 388,
};
/// The feedback endpoint of the asynchronous one: every 8 ms.
pub(crate) const FEEDBACK: EndpointSpec =
    EndpointSpec { dci: 3, kind: 5, interval: 6, max_packet: 3, esit_payload: 3, ..OUT };
/// One of QEMU's.
pub(crate) const QEMU_OUT: EndpointSpec =
    EndpointSpec { max_packet: 192, esit_payload: 192, ..OUT };

/// A client that does nothing.
pub(crate) fn idle(_: &Diary) {
    loop {
        sys_recv_notification(crate::machine::HINT);
    }
}

/// Runs `script` on the first device of the machine, then idles.
fn with_device(diary: &Diary, script: impl Fn(&mut Driver, SlotHandle, &Diary)) {
    let mut driver = Driver::new();
    driver.until_ready();
    let port = driver.until_connected();
    match driver.enumerate(port) {
        Ok(slot) => {
            script(&mut driver, slot, diary);
            say(diary, "done");
        }
        Err(error) => say(diary, format!("enumeration: {error:?}")),
    }
    idle(diary);
}

pub(crate) fn run(
    personality: Personality,
    seed: u64,
    model: Model,
    plug_at: Time,
    ms: u64,
    script: impl Fn(&mut Driver, SlotHandle, &Diary) + Copy + 'static,
) -> Machine {
    let plan = Plan::default().at(plug_at, plug(&personality, model, seed));
    let core = move |diary: &Diary| with_device(diary, script);
    let mut machine = Machine::new(personality, seed, plan, core, idle);
    machine.run(ms);
    assert!(machine.said("done"), "seed {seed}: {:?}", machine.diary.borrow());
    machine.check();
    machine
}

#[test]
fn every_kind_of_controller_comes_up_and_enumerates() {
    for (seed, personality) in personalities(24) {
        let model = if seed == 0 { Model::Qemu } else { Model::Sync };
        // Half of the headsets are there before the controller.
        let plug_at = Time::ms(if seed % 2 == 0 { 0 } else { 40 });
        run(personality, seed, model, plug_at, 2500, |driver, slot, _| {
            let mut device = [0; 18];
            assert_eq!(driver.control(slot, DEVICE, &mut device), Ok(18));
            assert_eq!(device[..2], [18, 1]);
        });
    }
}

#[test]
fn a_high_speed_device_enumerates() {
    for (seed, personality) in personalities(6) {
        let speed = usb_model::Speed::High;
        run(personality, seed, Model::Async(speed), Time::ms(5), 2500, |driver, slot, _| {
            let mut device = [0; 18];
            assert_eq!(driver.control(slot, DEVICE, &mut device), Ok(18));
        });
    }
}

#[test]
fn a_stall_is_told_and_the_next_transfer_works() {
    for (seed, personality) in personalities(8) {
        run(personality, seed, Model::Sync, Time::ms(5), 2500, |driver, slot, _| {
            for _ in 0..3 {
                let unknown = Setup { value: 0x7F00, ..DEVICE };
                let refused = driver.control(slot, unknown, &mut [0; 18]);
                assert_eq!(refused, Err(XhciError::Stall));
                let mut device = [0; 18];
                assert_eq!(driver.control(slot, DEVICE, &mut device), Ok(18));
                assert_eq!(device[0], 18);
            }
        });
    }
}

#[test]
fn a_short_answer_is_as_long_as_what_came() {
    for (seed, personality) in personalities(8) {
        run(personality, seed, Model::Sync, Time::ms(5), 2500, |driver, slot, _| {
            let mut all = [0xEE; 255];
            let long = Setup { length: 255, ..DEVICE };
            assert_eq!(driver.control(slot, long, &mut all), Ok(18));
            assert_eq!((all[0], all[18]), (18, 0xEE));
            let mut some = [0; 4];
            assert_eq!(driver.control(slot, DEVICE_HEAD, &mut some), Ok(4), "what the lease takes");
        });
    }
}

#[test]
fn a_ring_goes_round_under_control_transfers() {
    run(Personality::seeded(3), 3, Model::Sync, Time::ZERO, 8000, |driver, slot, _| {
        for _ in 0..300 {
            let mut device = [0; 18];
            assert_eq!(driver.control(slot, DEVICE, &mut device), Ok(18));
        }
    });
}

#[test]
fn what_makes_no_sense_is_refused_with_its_code() {
    run(Personality::qemu(), 0, Model::Qemu, Time::ms(1), 2500, |driver, slot, _| {
        let xhci = &driver.xhci;
        assert_eq!(xhci.port(0).err(), Some(XhciError::BadPort));
        assert_eq!(xhci.port(9).err(), Some(XhciError::BadPort));
        assert_eq!(xhci.start_port_reset(200).err(), Some(XhciError::BadPort));
        let speed = usb_types::Speed::Full;
        assert_eq!(xhci.start_enable_slot(1, speed).err(), Some(XhciError::NotConnected));
        assert_eq!(xhci.start_enable_slot(5, speed).err(), Some(XhciError::Busy));
        let set = Setup { request_type: 0, length: 4, ..DEVICE };
        assert_eq!(xhci.start_control(slot, set, &[1]).err(), Some(XhciError::DataLength));
        assert_eq!(xhci.start_control(slot, DEVICE, &[1]).err(), Some(XhciError::DataLength));
        assert_eq!(xhci.start_stop_endpoint(slot, 2).err(), Some(XhciError::NoEndpoint));
        assert_eq!(xhci.write_isoch(slot, 2, &[], &[]).err(), Some(XhciError::NoEndpoint));
        assert_eq!(
            xhci.register(slot, xhci_api::SidebandKind::Vendor).err(),
            Some(XhciError::NotAllowed)
        );
        let bad = EndpointSpec { max_packet: 0, ..QEMU_OUT };
        assert_eq!(driver.configure(slot, 0, &[bad]).err(), Some(XhciError::BadEndpoint));
        assert_eq!(driver.configure(slot, 3, &[]).err(), Some(XhciError::BadEndpoint));
        let ticket = driver.xhci.start_control(slot, DEVICE, &[]).expect("admitted");
        let second = driver.xhci.start_control(slot, DEVICE, &[]);
        assert_eq!(second.err(), Some(XhciError::Busy));
        assert_eq!(driver.xhci.result(ticket).err(), Some(XhciError::NotYet));
        assert!(driver.end(Ok(ticket)).is_ok());
        assert_eq!(driver.xhci.result(ticket).err(), Some(XhciError::Stale), "spent");
    });
}

/// Plays `count` packets of 192 bytes, each filled with its number.
pub(crate) fn play(driver: &mut Driver, slot: SlotHandle, count: u32) {
    let mut sent = 0_u32;
    while sent < count {
        let batch = (count - sent).min(16) as usize;
        let lengths = [192_u16; 16];
        let mut data = [0; 16 * 192];
        for (n, packet) in data.chunks_exact_mut(192).enumerate() {
            packet.fill((sent as usize + n) as u8);
        }
        let lengths = zerocopy::IntoBytes::as_bytes(&lengths[..batch]);
        match driver.xhci.write_isoch(slot, 2, lengths, &data[..batch * 192]) {
            Ok(0) => driver.wait(),
            Ok(taken) => sent += u32::from(taken),
            Err(error) => panic!("{error:?}"),
        }
    }
    while driver.xhci.isoch_status(slot, 2).expect("it plays").queued > 0 {
        driver.wait();
    }
}

#[test]
fn packets_of_the_host_path_reach_the_wire_one_per_interval() {
    for (seed, personality) in personalities(10) {
        let controller_port = port(&personality);
        let machine = run(personality, seed, Model::Sync, Time::ms(5), 4000, |driver, slot, _| {
            driver.start_stream(slot, &[OUT]).expect("it starts");
            play(driver, slot, 300);
            let status = driver.xhci.isoch_status(slot, 2).expect("it played");
            assert_eq!((status.completed, status.errors), (300, 0));
            driver.control(slot, set_interface(0), &mut []).expect("alternate 0");
            driver.configure(slot, 1 << 2, &[]).expect("dropped");
            let gone = driver.xhci.isoch_status(slot, 2).err();
            assert_eq!(gone, Some(XhciError::NoEndpoint));
        });
        let board = machine.host.board();
        let log = board.parts.controllers[0].wire().log();
        assert_eq!(log.packets().len(), 300, "seed {seed}");
        for (n, pair) in log.packets().windows(2).enumerate() {
            assert_eq!(pair[1].at.0 - pair[0].at.0, 8, "seed {seed}, packet {n}");
        }
        for (n, packet) in log.packets().iter().enumerate() {
            assert!(log.data(packet).iter().all(|&byte| byte == n as u8), "seed {seed}, {n}");
        }
        let heard = board.parts.controllers[0].device(controller_port).and_then(|d| d.heard());
        assert!(heard.is_some());
    }
}

#[test]
fn feedback_arrives_on_the_host_path() {
    for (seed, personality) in personalities(6) {
        let speed = usb_model::Speed::Full;
        run(personality, seed, Model::Async(speed), Time::ms(5), 4000, |driver, slot, _| {
            driver.start_stream(slot, &[OUT, FEEDBACK]).expect("it starts");
            let mut values = 0;
            for _ in 0..40 {
                play(driver, slot, 16);
                let mut packet = [0; 8];
                while let Ok(length) = driver.xhci.read_isoch(slot, 3, &mut packet) {
                    if length == 3 {
                        let value = u32::from_le_bytes([packet[0], packet[1], packet[2], 0]);
                        // 10.14 frames per millisecond, and what its buffer lacks.
                        assert!((46 << 14..53 << 14).contains(&value), "{value:#x}");
                        values += 1;
                    }
                }
            }
            assert!(values > 10, "{values}");
        });
    }
}

/// Between the Stop Endpoint and the Configure Endpoint of an endpoint that goes, a
/// doorbell would set it running again, on a ring that is about to be freed.
#[test]
fn an_endpoint_that_is_being_taken_away_takes_no_more_packets() {
    for (seed, personality) in personalities(6) {
        let model = Model::Async(usb_model::Speed::Full);
        let machine = run(personality, seed, model, Time::ms(5), 4000, |driver, slot, diary| {
            driver.start_stream(slot, &[OUT, FEEDBACK]).expect("it starts");
            play(driver, slot, 32);
            let first = driver.xhci.read_isoch(slot, 3, &mut [0; 8]).err();
            assert_eq!(first, Some(XhciError::NotYet));
            let ticket = driver.xhci.start_configure(slot, 1 << 2 | 1 << 3, &[]);
            let ticket = ticket.expect("admitted");
            while driver.xhci.result(ticket).err() == Some(XhciError::NotYet) {
                let read = driver.xhci.read_isoch(slot, 3, &mut [0; 8]).err();
                let written = driver.xhci.write_isoch(slot, 2, &[192, 0], &[0; 192]).err();
                for refused in [read, written] {
                    match refused {
                        Some(XhciError::EndpointBusy) => say(diary, "refused"),
                        // It ended meanwhile.
                        Some(XhciError::NoEndpoint) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
        });
        // The first one's commands take no time.
        assert!(seed == 0 || machine.said("refused"), "seed {seed}");
    }
}

#[test]
fn a_configuration_that_is_refused_leaves_the_old_one() {
    run(Personality::qemu(), 1, Model::Sync, Time::ms(5), 3000, |driver, slot, _| {
        driver.start_stream(slot, &[OUT]).expect("it starts");
        let again = driver.configure(slot, 0, &[OUT]).err();
        assert_eq!(again, Some(XhciError::BadEndpoint), "without dropping the old one");
        driver.configure(slot, 1 << 2, &[OUT]).expect("dropped and added in one command");
        play(driver, slot, 20);
    });
}

#[test]
fn reset_device_takes_the_endpoints_and_leaves_the_slot() {
    for (seed, personality) in personalities(6) {
        run(personality, seed, Model::Sync, Time::ms(5), 4000, |driver, slot, _| {
            driver.start_stream(slot, &[OUT]).expect("it starts");
            play(driver, slot, 20);
            let port = driver.until_connected();
            let reset = driver.xhci.start_reset_device(slot);
            driver.end(reset).expect("the device");
            driver.xhci.acknowledge_port(port, 0x7F).expect("a port");
            userlib::hl::sleep_for(15);
            assert_eq!(driver.xhci.isoch_status(slot, 2).err(), Some(XhciError::NoEndpoint));
            let refused = driver.xhci.start_control(slot, DEVICE, &[]).err();
            assert_eq!(refused, Some(XhciError::SlotState));
            let address = driver.xhci.start_address(slot, false, 64);
            driver.end(address).expect("addressed");
            userlib::hl::sleep_for(5);
            driver.start_stream(slot, &[OUT]).expect("it starts again");
            play(driver, slot, 20);
        });
    }
}
