//! The sideband against the model: handover, streaming, and every way back.

use crate::clients::{DEVICE, Driver, say, set_interface};
use crate::devices::{FEEDBACK, OUT};
use crate::machine::{BROKER, Diary, Machine, Plan, XHCI, personalities, plug};
use crate::program::{self, Desk, Ticket};
use fabric::Time;
use iommu_api::{Access, Iommu, IommuError, Part, WindowHandle};
use std::cell::Cell;
use std::rc::Rc;
use usb_model::headset::Model;
use userlib::{hl, task_slot};
use xhc::Personality;
use xhci_api::{
    InterrupterRequest, SidebandHandle, SidebandKind, SidebandPhase, SlotHandle, Status, XhciError,
};

task_slot!(IOMMU_SLOT, iommu);

/// The media pool of the machine.
const MEDIA_POOL: u8 = 2;
pub(crate) const BUFFER_PAGES: u16 = 3;

/// What the two clients tell each other, as `usb_audio` would.
#[derive(Clone, Default)]
pub(crate) struct Between {
    pub(crate) slot: Rc<Cell<Option<SlotHandle>>>,
    /// The session is over, alternate 0 can be set.
    pub(crate) halted: Rc<Cell<bool>>,
    pub(crate) alternate0: Rc<Cell<bool>>,
    pub(crate) over: Rc<Cell<bool>>,
    /// The broker's session is armed.
    pub(crate) armed: Rc<Cell<bool>>,
}

pub(crate) fn until(flag: &Cell<bool>) {
    while !flag.get() {
        hl::sleep_for(1);
    }
}

/// `usb_core`: enumerates, starts the stream's setting, ends it when told.
fn core(diary: &Diary, between: &Between) {
    let mut driver = Driver::new();
    driver.until_ready();
    let port = driver.until_connected();
    let slot = driver.enumerate(port).expect("it enumerates");
    driver.start_stream(slot, &[OUT]).expect("it starts");
    between.slot.set(Some(slot));
    until(&between.halted);
    driver.control(slot, set_interface(0), &mut []).expect("alternate 0");
    driver.configure(slot, 1 << 2, &[]).expect("dropped");
    between.alternate0.set(true);
    until(&between.over);
    let mut device = [0; 18];
    assert_eq!(driver.control(slot, DEVICE, &mut device), Ok(18), "the slot lives on");
    let disable = driver.xhci.start_disable_slot(slot);
    driver.end(disable).expect("disabled");
    assert_eq!(driver.xhci.start_control(slot, DEVICE, &[]).err(), Some(XhciError::Stale));
    say(diary, "core done");
    crate::devices::idle(diary);
}

/// The broker's half of a session.
pub(crate) struct Session {
    pub(crate) sideband: SidebandHandle,
    pub(crate) window: WindowHandle,
    pub(crate) iommu: Iommu,
    grant: iommu_api::GrantHandle,
}

impl Session {
    /// Sets a session up with the endpoint `dcis`, armed.
    pub(crate) fn open(driver: &mut Driver, slot: SlotHandle, dcis: &[u8], desk: &Desk) -> Self {
        Self::open_with(driver, slot, dcis, 0, desk)
    }

    /// The same, with its buffer in the pool from page `first` on.
    pub(crate) fn open_with(
        driver: &mut Driver,
        slot: SlotHandle,
        dcis: &[u8],
        first: u16,
        desk: &Desk,
    ) -> Self {
        let (session, armed) = Self::try_open(driver, slot, dcis, first, desk);
        armed.expect("armed");
        session
    }

    /// The same; whether it could be armed.
    pub(crate) fn try_open(
        driver: &mut Driver,
        slot: SlotHandle,
        dcis: &[u8],
        first: u16,
        desk: &Desk,
    ) -> (Self, Result<(), XhciError>) {
        let iommu = Iommu::from(IOMMU_SLOT.get_task_id());
        let sideband = driver.xhci.register(slot, SidebandKind::Vendor).expect("registered");
        for &dci in dcis {
            driver.xhci.add_endpoint(sideband, dci).expect("added");
        }
        let request = InterrupterRequest { number: 0, segments: 1, moderation_ns: 0 };
        let interrupter = driver.xhci.create_interrupter(sideband, request).expect("created");
        assert_eq!(driver.xhci.interrupter_id(sideband), Ok(interrupter));
        let window = iommu.open_window(0).expect("a window");
        let placement = driver.xhci.place(sideband, window).expect("placed");
        let buffer_bus = iommu
            .place(window, Part::Buffer, MEDIA_POOL, first, BUFFER_PAGES, Access::Read)
            .expect("placed");
        let grant = iommu.grant(MEDIA_POOL, first, BUFFER_PAGES, BROKER).expect("granted");
        let map =
            |part, grant, access| iommu.map_peer(window, part, grant, access).expect("mapped");
        let event = map(Part::EventRing, placement.event.grant, Access::Read);
        let shadow = map(Part::DataRing, placement.data.grant, Access::ReadWrite);
        if let Some(sync) = placement.sync {
            map(Part::SyncRing, sync.grant, Access::ReadWrite);
        }
        let buffer = map(Part::Buffer, grant, Access::ReadWrite);
        let arm = driver.xhci.start_arm(sideband);
        let armed = driver.end(arm).map(|_| ());
        desk.ticket.set(Some(Ticket {
            event,
            shadow,
            ring: placement.data.bus,
            buffer,
            buffer_bus,
            interrupter,
        }));
        (Self { sideband, window, iommu, grant }, armed)
    }

    /// Closes the gate, stops and drains.
    pub(crate) fn halt(&self, driver: &mut Driver) {
        let close = driver.xhci.start_close_gate(self.sideband);
        driver.end(close).expect("closed");
        let halt = driver.xhci.start_halt(self.sideband);
        driver.end(halt).expect("halted");
    }

    /// What follows on alternate 0; the sideband stays with its endpoints.
    pub(crate) fn finish(&self, driver: &mut Driver, dcis: &[u8]) {
        let disarm = driver.xhci.start_disarm(self.sideband);
        driver.end(disarm).expect("disarmed");
        self.give_back(driver, dcis);
    }

    /// Gives everything back that was placed, and the sideband.
    pub(crate) fn give_back(&self, driver: &mut Driver, dcis: &[u8]) {
        assert_eq!(driver.xhci.displace(self.sideband), Err(XhciError::StillMapped));
        self.unmap(driver);
        loop {
            match driver.xhci.displace(self.sideband) {
                // The controller is not known to be harmless yet.
                Err(XhciError::NotReady) => hl::sleep_for(1),
                result => break result.expect("displaced"),
            }
        }
        self.displace_buffer();
        self.iommu.release(self.grant).expect("released");
        driver.xhci.remove_interrupter(self.sideband).expect("removed");
        for &dci in dcis {
            let remove = driver.xhci.start_remove_endpoint(self.sideband, dci);
            driver.end(remove).expect("removed");
        }
        driver.xhci.unregister(self.sideband).expect("unregistered");
        self.iommu.close_window(self.window).expect("closed");
    }

    /// The driver died: what it had placed and granted went with it.
    pub(crate) fn bury(&self, driver: &mut Driver) {
        self.unmap(driver);
        // Before the next life has reset the controller, it may still read.
        driver.until_ready();
        self.displace_buffer();
        self.iommu.release(self.grant).expect("released");
        while self.iommu.close_window(self.window) == Err(IommuError::StillMapped) {
            hl::sleep_for(1);
        }
    }

    fn displace_buffer(&self) {
        match self.iommu.displace(self.window, Part::Buffer) {
            // A controller that was started over has nothing mapped.
            Ok(()) | Err(IommuError::NotMapped) => {}
            Err(error) => panic!("{error:?}"),
        }
    }

    fn unmap(&self, driver: &mut Driver) {
        let ticket = self.iommu.start_unmap_peer(self.window).expect("started");
        loop {
            match self.iommu.result(ticket) {
                Err(IommuError::NotYet) => driver.wait(),
                result => return result.expect("unmapped"),
            }
        }
    }
}

pub(crate) fn clean(status: &Status) -> bool {
    (status.sidebands, status.interrupters, status.endpoints, status.ring_pages) == (0, 0, 0, 0)
}

/// The broker: a session that plays for `ms`, taken down in order.
fn broker(diary: &Diary, between: &Between, desk: &Desk, ms: u64) {
    let mut driver = Driver::new();
    let slot = loop {
        match between.slot.get() {
            Some(slot) => break slot,
            None => hl::sleep_for(1),
        }
    };
    let session = Session::open(&mut driver, slot, &[2], desk);
    between.armed.set(true);
    hl::sleep_for(ms);
    session.halt(&mut driver);
    let status = driver.xhci.sideband(session.sideband).expect("it is there");
    assert_eq!(status.phase, SidebandPhase::Halted);
    between.halted.set(true);
    until(&between.alternate0);
    session.finish(&mut driver, &[2]);
    let status = driver.xhci.status().expect("it answers");
    assert!(clean(&status), "{status:?}");
    assert_eq!(driver.xhci.sideband(session.sideband).err(), Some(XhciError::Stale));
    between.over.set(true);
    say(diary, "broker done");
    crate::devices::idle(diary);
}

fn machine(personality: Personality, seed: u64, ms: u64) -> (Machine, Desk) {
    let plan = Plan::default().at(Time::ms(2), plug(&personality, Model::Sync, seed));
    let (between, desk) = (Between::default(), Desk::default());
    let (with_core, with_broker) = (between.clone(), between);
    let (on_dsp, on_core) = (desk.clone(), desk.clone());
    let machine = Machine::with_program(
        personality,
        seed,
        plan,
        move |diary| core(diary, &with_core),
        move |diary| broker(diary, &with_broker, &on_core, ms),
        move || program::play(&on_dsp),
    );
    (machine, desk)
}

/// D-6: some 700 packets go round a ring of one page; its Link leads nowhere else.
#[test]
fn a_session_plays_from_its_own_ring_and_leaves_nothing_behind() {
    for (seed, personality) in personalities(16) {
        if personality.interrupters < 2 {
            continue;
        }
        let (mut machine, desk) = machine(personality, seed, 700);
        machine.run(3000);
        assert!(machine.said("broker done"), "seed {seed}: {:?}", machine.diary.borrow());
        assert!(machine.said("core done"), "seed {seed}: {:?}", machine.diary.borrow());
        machine.check();
        assert!(desk.published.get() > 600, "seed {seed}: {}", desk.published.get());
        assert!(desk.denied.borrow().iter().all(|&status| status == 2), "closed, not refused");
        let board = machine.host.board();
        let log = board.parts.controllers[0].wire().log();
        assert!(log.packets().len() > 600, "seed {seed}: {}", log.packets().len());
        for (n, pair) in log.packets().windows(2).enumerate() {
            assert_eq!(pair[1].at.0 - pair[0].at.0, 8, "seed {seed}, packet {n}");
        }
        for (n, packet) in log.packets().iter().enumerate() {
            let data = log.data(packet);
            assert!(data.iter().all(|&byte| byte == n as u8), "seed {seed}, packet {n}");
        }
    }
}

#[test]
fn the_application_core_sleeps_while_the_session_plays() {
    let (mut machine, _) = machine(Personality::qemu(), 0, 700);
    machine.run(300);
    let calls = |machine: &Machine| {
        let stats = machine.host.stats();
        [1, XHCI].map(|task| stats.tasks[usize::from(task)].syscalls)
    };
    let before = calls(&machine);
    assert!(before[1] > 0);
    machine.run(750);
    // The tests' own tasks poll flags; the servers do nothing.
    assert_eq!(calls(&machine), before);
    machine.run(3000);
    machine.check();
}

/// R30: two endpoints, refusals in between (the sideband of 7.9 is one), over and
/// over on the same slot.
#[test]
fn sessions_follow_one_another_on_one_slot() {
    for (seed, personality) in personalities(6) {
        if personality.interrupters < 2 {
            continue;
        }
        let full = Model::Async(usb_model::Speed::Full);
        let plan = Plan::default().at(Time::ms(2), plug(&personality, full, seed));
        let (between, desk) = (Between::default(), Desk::default());
        let (with_core, with_broker, on_dsp) = (between.clone(), between, desk.clone());
        let core = move |diary: &Diary| {
            let mut driver = Driver::new();
            driver.until_ready();
            let port = driver.until_connected();
            let slot = driver.enumerate(port).expect("it enumerates");
            for _ in 0..3 {
                driver.start_stream(slot, &[OUT, FEEDBACK]).expect("it starts");
                with_core.slot.set(Some(slot));
                until(&with_core.armed);
                let taken = driver.xhci.write_isoch(slot, 2, &[0, 0], &[]).err();
                assert_eq!(taken, Some(XhciError::EndpointBusy), "X4: not the host path's");
                let stop = driver.xhci.start_stop_endpoint(slot, 2).err();
                assert_eq!(stop, Some(XhciError::EndpointBusy));
                until(&with_core.halted);
                driver.control(slot, set_interface(0), &mut []).expect("alternate 0");
                driver.configure(slot, 1 << 2 | 1 << 3, &[]).expect("dropped");
                with_core.armed.set(false);
                with_core.halted.set(false);
                with_core.alternate0.set(true);
                until(&with_core.over);
                with_core.over.set(false);
            }
            say(diary, "core done");
            crate::devices::idle(diary);
        };
        let broker = move |diary: &Diary| {
            let mut driver = Driver::new();
            for _ in 0..3 {
                let slot = loop {
                    match with_broker.slot.take() {
                        Some(slot) => break slot,
                        None => hl::sleep_for(1),
                    }
                };
                let audio = driver.xhci.register(slot, SidebandKind::Audio).err();
                assert_eq!(audio, Some(XhciError::KindUnsupported), "X1");
                let session = Session::open(&mut driver, slot, &[2, 3], &desk);
                let second = driver.xhci.register(slot, SidebandKind::Vendor).expect("X1: another");
                let taken = driver.xhci.add_endpoint(second, 2);
                assert_eq!(taken, Err(XhciError::EndpointBusy), "X4: another's");
                driver.xhci.unregister(second).expect("it is empty");
                let early = driver.xhci.start_halt(session.sideband).err();
                assert_eq!(early, Some(XhciError::WrongPhase));
                let core_only = driver.xhci.start_disable_slot(slot).err();
                assert_eq!(core_only, Some(XhciError::NotAllowed));
                with_broker.armed.set(true);
                hl::sleep_for(100);
                session.halt(&mut driver);
                let stop = driver.xhci.start_stop_sideband_endpoint(session.sideband, 2).err();
                assert_eq!(stop, Some(XhciError::NotRunning), "X7");
                with_broker.halted.set(true);
                until(&with_broker.alternate0);
                with_broker.alternate0.set(false);
                session.finish(&mut driver, &[3, 2]);
                assert!(clean(&driver.xhci.status().expect("it answers")));
                with_broker.over.set(true);
            }
            say(diary, "broker done");
            crate::devices::idle(diary);
        };
        let mut machine = Machine::with_program(personality, seed, plan, core, broker, move || {
            program::play(&on_dsp)
        });
        machine.run(4000);
        assert!(machine.said("broker done"), "seed {seed}: {:?}", machine.diary.borrow());
        assert!(machine.said("core done"), "seed {seed}: {:?}", machine.diary.borrow());
        machine.check();
    }
}
