//! Simulated memory, SMMU, interrupts, time and trace.
//!
//! The fabric is what all models of a simulated board share. Devices are
//! [`Device`]s: they are called with the [`Fabric`] when a core touches their
//! registers or when an event that they scheduled is due, and reach memory
//! through [`Fabric::dma_read`] and [`Fabric::dma_write`] under the SMMU model.
//! No device knows what drives it: the simulator of the whole system, or a test.
//!
//! The models here are harsher than a machine has to be: stores reach memory
//! late and out of order, old translations live as long as they are allowed to,
//! and rules that hardware only relies on are checked ([`Violation`]).

pub mod events;
pub mod interrupts;
pub mod memory;
pub mod points;
pub mod smmu;
pub mod time;
pub mod trace;
pub mod violations;

pub use events::{DeviceId, Event, EventId, Events};
pub use interrupts::{Core, IntId, Interrupts};
pub use memory::{Memory, OutsideRam, Owner};
pub use points::{Fault, Point, Points, Site};
pub use rng::Rng;
pub use seam::Width;
pub use smmu::Smmu;
pub use time::Time;
pub use trace::{Record, Trace};
pub use violations::{UsbWait, Violation, Violations};

use addr::{Bus, PAGE, Peer, Phys};

/// Who is behind a DMA access: a PCI requester id, as the SMMU sees it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StreamId(pub u16);

/// A DMA access that did not happen. Hardware rarely tells a device why, so
/// models must not make anything of the reason.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The bytes before this one did pass.
    pub at: Bus,
}

/// One time that a page was in use: what is between being handed out and being
/// taken back.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PageLife(u32);

/// Where things stand on the simulated board.
#[derive(Copy, Clone, Debug)]
pub struct Layout {
    /// First byte of RAM.
    pub ram: Phys,
    /// Pages of RAM.
    pub pages: u32,
    /// The GICv2m frame.
    pub msi_frame: Phys,
    /// INTID of the SMMU's event queue line.
    pub smmu_event: IntId,
    /// INTID of the SMMU's global error line.
    pub smmu_gerror: IntId,
}

impl Layout {
    /// QEMU's `virt` with `highmem=off` and `pages` pages of RAM.
    #[must_use]
    pub const fn virt(pages: u32) -> Self {
        Self {
            ram: Phys(0x4000_0000),
            pages,
            msi_frame: Phys(0x0802_0000),
            smmu_event: IntId(106),
            smmu_gerror: IntId(109),
        }
    }
}

/// A model of a device.
pub trait Device {
    /// A core reads the register at `offset`.
    fn read(&mut self, fabric: &mut Fabric, offset: u32, width: Width) -> u32;

    /// A core writes the register at `offset`.
    fn write(&mut self, fabric: &mut Fabric, offset: u32, width: Width, value: u32);

    /// An event that the device scheduled is due.
    fn wake(&mut self, fabric: &mut Fabric, token: u32);
}

/// Everything that the models of a board share.
#[derive(Debug)]
pub struct Fabric {
    now: Time,
    layout: Layout,
    /// What will happen when.
    pub events: Events,
    /// Chance.
    pub rng: Rng,
    /// The interrupt distributor.
    pub interrupts: Interrupts,
    /// RAM, for judges and loaders; cores and devices use the fabric's methods.
    pub memory: Memory,
    /// The SMMU, for judges; cores use [`Self::smmu_read`] and [`Self::smmu_write`].
    pub smmu: Smmu,
    /// The trace.
    pub trace: Trace,
    /// What models found wrong.
    pub violations: Violations,
    /// Where something can go wrong, and what will.
    pub points: Points,
}

impl Fabric {
    /// A board's fabric for run `seed`.
    #[must_use]
    pub fn new(layout: Layout, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let memory = Memory::new(layout.ram, layout.pages, rng.fork());
        let smmu = Smmu::new(&layout, rng.fork());
        Self {
            now: Time::ZERO,
            layout,
            events: Events::default(),
            rng,
            interrupts: Interrupts::default(),
            memory,
            smmu,
            trace: Trace::default(),
            violations: Violations::default(),
            points: Points::default(),
        }
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Time {
        self.now
    }

    /// Moves time on to the next event that is due by `until`, and takes it; with
    /// none left, moves time on to `until`. Edges that come late are seen to here,
    /// so interrupts may wait afterwards although there was no event.
    pub fn next_due(&mut self, until: Time) -> Option<Event> {
        loop {
            let event = self.events.pop_due(until);
            let to = event.map_or(until, |event| event.at);
            self.now = self.now.max(to);
            match event {
                Some(Event { device: interrupts::LATE_EDGES, token, .. }) => {
                    let line = IntId(token as u16);
                    self.trace.record(self.now, Record::Raise { line });
                    self.interrupts.raise(line);
                }
                event => return event,
            }
        }
    }

    /// Someone comes to a point where something can go wrong. What it has to
    /// make go wrong, if anything.
    pub fn reach(&mut self, site: Site, detail: u32) -> Option<Fault> {
        self.reach_at(self.now, site, detail)
    }

    /// The same of a core, whose clock may be ahead.
    pub fn reach_at(&mut self, now: Time, site: Site, detail: u32) -> Option<Fault> {
        self.points.reach(now.max(self.now), site, detail, &mut self.events)
    }

    /// Lets time pass for something that takes time but wakes nobody, like one
    /// register access. Events that become due are due at the next
    /// [`Self::next_due`].
    pub fn spend(&mut self, span: Time) {
        self.now += span;
    }

    /// Notes `record` in the trace.
    pub fn record(&mut self, record: Record) {
        self.trace.record(self.now, record);
    }

    /// Notes that a rule was broken.
    pub fn violation(&mut self, violation: Violation) {
        self.violations.add(self.now, violation);
        self.trace.record(self.now, Record::Violation { kind: violation.name() });
    }

    /// Raises an interrupt line.
    pub fn raise(&mut self, line: IntId) {
        self.trace.record(self.now, Record::Raise { line });
        self.interrupts.edge(self.now, line, &mut self.points, &mut self.events);
    }

    /// A core reads RAM.
    ///
    /// # Errors
    /// When it is not RAM.
    pub fn core_read(&mut self, core: Core, at: Phys, into: &mut [u8]) -> Result<(), OutsideRam> {
        self.memory.core_read(self.now, core, at, into)?;
        self.after_stores();
        self.check_core(at, into.len());
        Ok(())
    }

    /// A core writes RAM, through its store buffer.
    ///
    /// # Errors
    /// When it is not RAM.
    pub fn core_write(&mut self, core: Core, at: Phys, from: &[u8]) -> Result<(), OutsideRam> {
        self.memory.core_write(self.now, core, at, from)?;
        self.after_stores();
        self.check_core(at, from.len());
        Ok(())
    }

    /// Pages are handed out to `owner`, with whatever is in them.
    ///
    /// # Panics
    /// When they are not RAM.
    pub fn hand_out(&mut self, first: Phys, count: u32, owner: Owner) {
        self.memory.hand_out(first, count, owner);
    }

    /// `core` takes pages back: they are nobody's, and poisoned. A store of the
    /// other core that is still on its way to them would end up in whatever
    /// they become next.
    ///
    /// # Panics
    /// When they are not RAM.
    pub fn take_back(&mut self, core: Core, first: Phys, count: u32) {
        self.settle();
        let other = match core {
            Core::App => Core::Dsp,
            Core::Dsp => Core::App,
        };
        if self.memory.has_stores(other, first, count) {
            self.violation(Violation::CoreTouchedFreedPage { page: first });
        }
        // A driver's own pages may stay in its controller's sight while they are not
        // in use; those that any controller can be given must not.
        if self.memory.owner(first) == Some(Owner::AnyStream)
            && let Some(page) = self.smmu.reaches(first, count)
        {
            self.violation(Violation::FreedWhileReachable { page });
        }
        self.memory.give(first, count, Owner::Nobody);
    }

    /// The DSP's program comes to see the page at `at`: if it is of those that
    /// are handed out, all that was in it before must be gone. What this gives
    /// goes into [`Self::reached_by_peer`] for as long as the monitor keeps the
    /// translation.
    pub fn shown_to_peer(&mut self, at: Phys) -> PageLife {
        if !self.memory.is_scrubbed(at) {
            let page = Phys(at.0 & !u64::from(PAGE - 1));
            self.violation(Violation::PeerSawOldData { page });
        }
        PageLife(self.memory.life(at))
    }

    /// The program reaches what it sees at `peer` through a translation to the
    /// page at `at`, as it was when it was `shown`.
    pub fn reached_by_peer(&mut self, peer: Peer, at: Phys, shown: PageLife) {
        if self.memory.life(at) != shown.0 {
            let page = Phys(at.0 & !u64::from(PAGE - 1));
            self.violation(Violation::PeerStale { at: peer, page });
        }
    }

    /// A core's barrier: its store buffer drains.
    pub fn barrier(&mut self, core: Core) {
        self.memory.barrier(core);
        self.after_stores();
    }

    /// A core writes into the GICv2m frame.
    pub fn frame_write(&mut self, offset: u64, width: Width, value: u32) {
        if let Some(line) = Interrupts::spi_written(offset, width, value) {
            self.raise(line);
        }
    }

    /// A core reads a register of the SMMU.
    pub fn smmu_read(&mut self, offset: u32, width: Width) -> u32 {
        self.settle();
        self.with_smmu(|smmu, bus| smmu.read(bus, offset, width))
    }

    /// A core writes a register of the SMMU.
    pub fn smmu_write(&mut self, offset: u32, width: Width, value: u32) {
        self.settle();
        self.with_smmu(|smmu, bus| smmu.write(bus, offset, width, value));
    }

    /// A device reads memory through the SMMU.
    ///
    /// # Errors
    /// When the SMMU or the bus blocks it; what was not read is zero.
    pub fn dma_read(&mut self, stream: StreamId, bus: Bus, into: &mut [u8]) -> Result<(), Blocked> {
        let mut done = 0;
        while done < into.len() {
            let at = bus.plus(done as u64);
            let step = piece(at, into.len() - done);
            let passed = self.translate(stream, at, step, false).is_some_and(|phys| {
                self.device_reads(stream, at, phys, &mut into[done..done + step])
            });
            if !passed {
                into[done..].fill(0);
                return Err(self.blocked(stream, false, bus, into.len(), at));
            }
            done += step;
        }
        self.passed(stream, false, bus, into.len());
        Ok(())
    }

    /// A device writes memory through the SMMU.
    ///
    /// # Errors
    /// When the SMMU or the bus blocks it.
    pub fn dma_write(&mut self, stream: StreamId, bus: Bus, from: &[u8]) -> Result<(), Blocked> {
        let mut done = 0;
        while done < from.len() {
            let at = bus.plus(done as u64);
            let step = piece(at, from.len() - done);
            let Some(phys) = self.translate(stream, at, step, true) else {
                return Err(self.blocked(stream, true, bus, from.len(), at));
            };
            if !self.check_device(stream, at, phys) {
                return Err(self.blocked(stream, true, bus, from.len(), at));
            }
            let written = self.memory.device_write(self.now, phys, &from[done..done + step]);
            self.after_stores();
            if written.is_err() {
                self.violation(Violation::DmaToNothing { stream, at: phys });
                return Err(self.blocked(stream, true, bus, from.len(), at));
            }
            done += step;
        }
        self.passed(stream, true, bus, from.len());
        Ok(())
    }

    /// A device writes one word through the SMMU: memory, or the GICv2m frame
    /// (an MSI), whatever stands behind the translation.
    ///
    /// # Errors
    /// When the SMMU or the bus blocks it.
    pub fn dma_write32(&mut self, stream: StreamId, bus: Bus, value: u32) -> Result<(), Blocked> {
        let Some(phys) = self.translate(stream, bus, 4, true) else {
            return Err(self.blocked(stream, true, bus, 4, bus));
        };
        if let Some(offset) =
            phys.offset_from(self.layout.msi_frame).filter(|&offset| offset < u64::from(PAGE))
        {
            self.passed(stream, true, bus, 4);
            self.frame_write(offset, Width::Word, value);
            return Ok(());
        }
        if !self.check_device(stream, bus, phys) {
            return Err(self.blocked(stream, true, bus, 4, bus));
        }
        let written = self.memory.device_write(self.now, phys, &value.to_le_bytes());
        self.after_stores();
        if written.is_err() {
            self.violation(Violation::DmaToNothing { stream, at: phys });
            return Err(self.blocked(stream, true, bus, 4, bus));
        }
        self.passed(stream, true, bus, 4);
        Ok(())
    }

    /// Whether what a device has just read at `bus`, a TRB, was handed over before it
    /// was all there: at another moment the device would have read something else.
    pub fn was_torn(&mut self, stream: StreamId, bus: Bus) -> bool {
        let phys = self.translate(stream, bus, 16, false);
        phys.is_some_and(|phys| self.memory.is_torn(phys))
    }

    fn translate(&mut self, stream: StreamId, at: Bus, len: usize, write: bool) -> Option<Phys> {
        self.settle();
        self.with_smmu(|smmu, bus| smmu.translate(bus, stream, at, len, write))
    }

    fn device_reads(&mut self, stream: StreamId, at: Bus, phys: Phys, into: &mut [u8]) -> bool {
        if !self.check_device(stream, at, phys) {
            return false;
        }
        if self.memory.device_read(self.now, phys, into).is_err() {
            self.violation(Violation::DmaToNothing { stream, at: phys });
            return false;
        }
        true
    }

    /// Whether `stream` may reach the page at `phys`; the bus model refuses what
    /// a real one would let pass, because the run is over anyway.
    fn check_device(&mut self, stream: StreamId, bus: Bus, phys: Phys) -> bool {
        let page = Phys(phys.0 & !u64::from(PAGE - 1));
        match self.memory.owner(phys) {
            Some(Owner::AnyStream) => true,
            Some(Owner::Stream(owner)) if owner == stream => true,
            Some(Owner::Nobody) => {
                self.violation(Violation::DmaToFreedPage { stream, bus, page });
                false
            }
            Some(Owner::Cores | Owner::Tables | Owner::Stream(_)) => {
                self.violation(Violation::DmaToForeignPage { stream, bus, page });
                false
            }
            // Not RAM: the access itself says so.
            None => true,
        }
    }

    fn check_core(&mut self, at: Phys, len: usize) {
        let mut page = Phys(at.0 & !u64::from(PAGE - 1));
        while page.0 < at.0 + len as u64 {
            if self.memory.owner(page) == Some(Owner::Nobody) {
                self.violation(Violation::CoreTouchedFreedPage { page });
            }
            page = page.plus(PAGE.into());
        }
    }

    /// Lets stores that are due reach RAM.
    fn settle(&mut self) {
        self.memory.settle(self.now);
        self.after_stores();
    }

    /// Lets the SMMU see what stores did to its tables.
    fn after_stores(&mut self) {
        while let Some(write) = self.memory.next_table_write() {
            self.with_smmu(|smmu, bus| smmu.table_written(bus, write));
        }
        if let Some(page) = self.memory.take_reused() {
            self.violation(Violation::ReusedWhileReachable { page });
        }
    }

    fn passed(&mut self, stream: StreamId, write: bool, bus: Bus, len: usize) {
        self.trace
            .record(self.now, Record::Dma { stream, write, bus, len: len as u32, passed: true });
    }

    fn blocked(&mut self, stream: StreamId, write: bool, bus: Bus, len: usize, at: Bus) -> Blocked {
        self.trace
            .record(self.now, Record::Dma { stream, write, bus, len: len as u32, passed: false });
        Blocked { at }
    }

    fn with_smmu<R>(&mut self, f: impl FnOnce(&mut Smmu, &mut smmu::Surroundings<'_>) -> R) -> R {
        let mut surroundings = smmu::Surroundings {
            now: self.now,
            memory: &mut self.memory,
            interrupts: &mut self.interrupts,
            trace: &mut self.trace,
            violations: &mut self.violations,
            points: &mut self.points,
            events: &mut self.events,
        };
        f(&mut self.smmu, &mut surroundings)
    }
}

/// Bytes from `at` that lie in one page, `len` at most.
fn piece(at: Bus, len: usize) -> usize {
    let room = PAGE as usize - (at.0 % u64::from(PAGE)) as usize;
    room.min(len)
}
