//! Codes of the driver that a machine in order never gives: each is brought about.

use crate::clients::{DEVICE, Driver, say};
use crate::devices::{OUT, idle};
use crate::machine::{Diary, MAPPER, Machine, Plan, XHCI, plug};
use fabric::{Fault, Point, Site, Time};
use handles::{Handle, Raw};
use std::cell::Cell;
use std::rc::Rc;
use usb_model::headset::Model;
use userlib::hl;
use xhc::Personality;
use xhci_api::{SidebandKind, SlotHandle, TicketHandle, XhciError};

/// Brings a device up, gives it an endpoint and sends it packets; whatever is
/// refused is said.
fn stream(diary: &Diary) {
    let mut driver = Driver::new();
    driver.until_ready();
    let port = driver.until_connected();
    let mut tried = || {
        let slot = driver.enumerate(port)?;
        driver.start_stream(slot, &[OUT])?;
        let lengths = [192, 0];
        driver.xhci.write_isoch(slot, 2, &lengths, &[0; 192])
    };
    match tried() {
        Ok(packets) => say(diary, format!("{packets} packet")),
        Err(error) => say(diary, format!("{error:?}")),
    }
    idle(diary);
}

/// What such a client says when `fault` strikes at `point`.
fn said(point: Point, fault: Fault) -> Option<String> {
    let personality = Personality::qemu();
    let plan = Plan::default().at(Time::ms(2), plug(&personality, Model::Sync, 0));
    let mut machine = Machine::new(personality, 0, plan, stream, idle);
    machine.host.board_mut().parts.fabric.points.plan(point, fault);
    machine.run(600);
    machine.check_rules();
    machine.diary.borrow().first().cloned()
}

/// R18: when there is nothing left of what a request takes, its code says of what.
#[test]
fn what_ran_out_has_its_code() {
    let expected = [
        (Site::Allocation(XHCI as u8), XhciError::NoSlots),
        (Site::Allocation(XHCI as u8), XhciError::NoContextMemory),
        (Site::Allocation(XHCI as u8), XhciError::NoRingMemory),
        (Site::Allocation(XHCI as u8), XhciError::NoBounceMemory),
        (Site::Allocation(MAPPER as u8), XhciError::MapFailed),
    ];
    for (site, error) in expected {
        let wanted = Some(format!("{error:?}"));
        let met = (0..48).any(|nth| said(Point { site, nth }, Fault::Refuse) == wanted);
        assert!(met, "{error:?}");
    }
}

/// R18: the completion codes of commands (table 6-90) are told apart.
#[test]
fn a_command_that_failed_has_its_code() {
    // Resource Error, No Slots Available Error, Max Exit Latency Too Large Error,
    // and one that no command ends with: Ring Underrun.
    for (code, error) in [
        (7, XhciError::Resource),
        (9, XhciError::NoSlots),
        (29, XhciError::ExitLatency),
        (14, XhciError::CommandFailed),
    ] {
        let wanted = Some(format!("{error:?}"));
        // Enable Slot, Address Device twice, Configure Endpoint.
        for nth in 1..5 {
            let site = Site::Command(0);
            let heard = said(Point { site, nth }, Fault::Code(code));
            assert_eq!(heard, wanted, "command {nth}, code {code}");
        }
    }
}

/// R18: whose a handle is, of which life, and how many there are.
#[test]
fn handles_and_their_number_have_their_codes() {
    let (slot, ticket) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(None)));
    let (of_slot, of_ticket) = (slot.clone(), ticket.clone());
    let core = move |diary: &Diary| {
        let mut driver = Driver::new();
        driver.until_ready();
        let port = driver.until_connected();
        let found = driver.enumerate(port).expect("it enumerates");
        // Nobody asks how they end.
        let (mut tickets, mut refused) = (Vec::new(), None);
        while refused.is_none() {
            match driver.xhci.start_control(found, DEVICE, &[]) {
                Ok(ticket) => tickets.push(ticket),
                Err(XhciError::Busy) => driver.wait(),
                Err(error) => refused = Some(error),
            }
        }
        assert_eq!(refused, Some(XhciError::NoTickets));
        let raw = tickets[0].raw();
        let stale = TicketHandle::from_raw(Raw { epoch: raw.epoch.wrapping_add(1), ..raw });
        assert_eq!(driver.xhci.result(stale).err(), Some(XhciError::StaleServer));
        of_ticket.set(Some(tickets[0]));
        of_slot.set(Some(found));
        say(diary, "core done");
        idle(diary);
    };
    let broker = move |diary: &Diary| {
        let driver = Driver::new();
        let found: SlotHandle = loop {
            match slot.get() {
                Some(slot) => break slot,
                None => hl::sleep_for(1),
            }
        };
        let anothers = ticket.get().expect("told before the slot");
        assert_eq!(driver.xhci.result(anothers).err(), Some(XhciError::NotOwner));
        let mut registered = 0;
        let refused = loop {
            match driver.xhci.register(found, SidebandKind::Vendor) {
                Ok(_) => registered += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((registered, refused), (dsp_abi::SESSIONS, XhciError::NoSidebands));
        say(diary, "broker done");
        idle(diary);
    };
    let personality = Personality::qemu();
    let plan = Plan::default().at(Time::ms(2), plug(&personality, Model::Sync, 0));
    let mut machine = Machine::new(personality, 0, plan, core, broker);
    machine.run(1000);
    assert!(machine.said("core done") && machine.said("broker done"));
    machine.check();
}
