//! Interrupt and isochronous IN endpoints, with a device made for them.

use crate::rig::{Rig, code};
use fabric::Time;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use usb_model::headset::Model;
use usb_model::{
    Builder, Chapter9, Descriptors, Endpoint, Function, Heard, Interface, Microframe, Setup, Speed,
    Stall,
};
use xhc::Personality;

/// Two bytes per press, on endpoint 1 IN every 8 ms.
struct Buttons {
    descriptors: Descriptors,
    presses: Rc<RefCell<VecDeque<u8>>>,
}

impl Function for Buttons {
    fn descriptors(&self) -> &Descriptors {
        &self.descriptors
    }
    fn unconfigure(&mut self, _now: Time) {}
    fn select(&mut self, _now: Time, _interface: Interface, _alternate: u8) {}
    fn request_in(&mut self, _setup: Setup, _into: &mut Vec<u8>) -> Result<(), Stall> {
        Err(Stall)
    }
    fn request_out(&mut self, _now: Time, _setup: Setup, _data: &[u8]) -> Result<(), Stall> {
        Err(Stall)
    }
    fn isoch_out(&mut self, _at: Microframe, _endpoint: Endpoint, _data: &[u8]) {}
    fn isoch_in(&mut self, _: Microframe, _: Endpoint, _into: &mut [u8]) -> Option<usize> {
        None
    }
    fn interrupt_in(&mut self, _endpoint: Endpoint, into: &mut [u8]) -> Option<usize> {
        let press = self.presses.borrow_mut().pop_front()?;
        into[..2].copy_from_slice(&[1, press]);
        Some(2)
    }
    fn stray(&mut self, _at: Microframe) {}
    fn suspend(&mut self, _now: Time) {}
    fn resume(&mut self, _now: Time) {}
    fn heard(&self) -> Option<&Heard> {
        None
    }
}

#[test]
fn an_interrupt_endpoint_waits_for_news_and_tells_a_short_packet() {
    let mut rig = Rig::cold(Personality::seeded(81));
    let port = rig.xhc.personality().usb2_port(0).unwrap();
    let presses = Rc::new(RefCell::new(VecDeque::new()));
    let descriptors = Descriptors {
        speed: Speed::Full,
        device: [18, 1, 0x10, 1, 0, 0, 0, 64, 0x55, 0xF0, 9, 0, 0, 1, 0, 0, 0, 1],
        configuration: Builder::new(1, 100)
            .audio_interface(0, 0, 1, 1)
            .raw(&[5, 0x81, 3, 8, 0, 8, 0, 0])
            .finish(),
        strings: vec![],
        qualifier: false,
    };
    let buttons = Buttons { descriptors, presses: presses.clone() };
    rig.plug_device(port, Box::new(Chapter9::new(buttons)));
    rig.bring_up();
    rig.connect(port);
    let slot = rig.enumerate(port);
    let mut ring = rig.producer();
    let context = rig.slot_context(port, 3);
    let endpoint = [6 << 16, 7 << 3 | 3 << 1 | 8 << 16, ring.base.low() | 1, 0, 8 << 16 | 8];
    rig.fill_input(0, 1 | 1 << 3, &[(0, context), (3, endpoint)]);
    assert_eq!(rig.with_input(12, slot.id, 0), code::SUCCESS);
    let buffer = rig.pages(1);
    for n in 0..3 {
        let at = buffer.plus(8 * n);
        rig.push(&mut ring, [at.low(), at.high(), 8, 1 << 10 | 1 << 5 | 1 << 2]);
    }
    rig.write(0x2000 + 4 * u32::from(slot.id), 3);
    rig.run(Time::ms(50));
    assert!(rig.drain_primary().is_empty(), "nothing was pressed");
    presses.borrow_mut().extend([7, 9]);
    rig.run(Time::ms(30));
    let events = rig.drain_primary();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.residual() == 6 && event.dci() == 3));
    assert_eq!(rig.load_words::<1>(buffer)[0] & 0xFFFF, 0x0701);
    assert_eq!(rig.load_words::<1>(buffer.plus(8))[0] & 0xFFFF, 0x0901);
    rig.clean();
}

#[test]
fn a_microphone_sends_what_its_rate_says() {
    let mut personality = Personality::seeded(82);
    personality.short_is_success = false;
    let (mut rig, mut slot) = Rig::with_headset(personality, Model::Capture);
    let mut ring = rig.producer();
    let context = rig.slot_context(slot.port, 5);
    let endpoint = [3 << 16, 5 << 3 | 98 << 16, ring.base.low() | 1, 0, 98 << 16 | 98];
    rig.fill_input(0, 1 | 1 << 5, &[(0, context), (5, endpoint)]);
    assert_eq!(rig.with_input(12, slot.id, 0), code::SUCCESS);
    assert_eq!(rig.request(&mut slot, [1, 11, 1, 2], &[]), code::SUCCESS);
    assert_eq!(rig.request(&mut slot, [0x22, 1, 0x100, 0x82], &[0x44, 0xAC, 0]), code::SUCCESS);
    let buffer = rig.pages(1);
    for n in 0..10 {
        let at = buffer.plus(128 * n);
        rig.push(&mut ring, [at.low(), at.high(), 98, 5 << 10 | 1 << 31 | 1 << 5]);
    }
    rig.write(0x2000 + 4 * u32::from(slot.id), 5);
    rig.run(Time::ms(30));
    let events = rig.drain_primary();
    let bytes: u32 = events[..10].iter().map(|event| 98 - event.residual()).sum();
    assert_eq!(bytes, 441 * 2);
    assert!(events[..10].iter().all(|event| event.code() == code::SHORT));
    assert_eq!(events[10].code(), 15, "ring overrun");
    rig.clean();
}
