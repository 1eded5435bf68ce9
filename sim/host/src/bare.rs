//! A board with nothing on it but an interrupt controller, RAM and a script.
//!
//! For tests of tasks that need a kernel and no device. Every DMA address is
//! RAM that reads as zeros until written; no register answers and every call to
//! the monitor is a fault, unless the test says what they do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use addr::{Peer, Phys};
use kern::Irq;
use seam::{Barrier, MonitorCall, Width};

use crate::board::{Board, BusError, By, Core1Death, Core1Order, MonitorAnswer};
use crate::record::Record;
use crate::time::Time;

/// What registers do: the value written, or none for a read.
pub type Registers = Box<dyn FnMut(Phys, Option<u32>) -> Result<u32, BusError>>;

/// What the monitor does.
pub type Monitor = Box<dyn FnMut(MonitorCall) -> MonitorAnswer>;

/// What the script makes happen.
#[derive(Copy, Clone, Debug)]
enum Happening {
    Irq(Irq),
    Order(Core1Order),
}

/// A board with nothing on it.
pub struct Bare {
    seed: u64,
    memory: BTreeMap<u64, u8>,
    enabled: BTreeSet<Irq>,
    pending: BTreeSet<Irq>,
    script: BTreeMap<Time, Vec<Happening>>,
    orders: VecDeque<Core1Order>,
    /// What registers do; nothing answers by default.
    pub registers: Registers,
    /// What the monitor does; it faults the program by default.
    pub monitor: Monitor,
    /// How the DSP's program died, each time.
    pub deaths: Vec<(Time, Core1Death)>,
    /// What the kernel and the tasks did, in order.
    pub records: Vec<(Time, Record)>,
}

impl Bare {
    /// A board whose open choices `seed` decides.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            // A generator of xorshift kind must not start at zero.
            seed: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            memory: BTreeMap::new(),
            enabled: BTreeSet::new(),
            pending: BTreeSet::new(),
            script: BTreeMap::new(),
            orders: VecDeque::new(),
            registers: Box::new(|_, _| Err(BusError)),
            monitor: Box::new(|_| MonitorAnswer::Fault),
            deaths: Vec::new(),
            records: Vec::new(),
        }
    }

    /// `irq` becomes pending at `at`.
    pub fn irq_at(&mut self, at: Time, irq: Irq) {
        self.script.entry(at).or_default().push(Happening::Irq(irq));
    }

    /// The monitor gives `order` to core 1 at `at`.
    pub fn order_at(&mut self, at: Time, order: Core1Order) {
        self.script.entry(at).or_default().push(Happening::Order(order));
    }

    fn irq_ready(&self) -> Option<Irq> {
        self.pending.intersection(&self.enabled).next().copied()
    }
}

impl Board for Bare {
    fn mmio_read(&mut self, _: By, at: Phys, _: Width) -> Result<u32, BusError> {
        (self.registers)(at, None)
    }

    fn mmio_write(&mut self, _: By, at: Phys, _: Width, value: u32) -> Result<(), BusError> {
        (self.registers)(at, Some(value)).map(drop)
    }

    fn dma_read(&mut self, _: By, at: Phys, into: &mut [u8]) -> Result<(), BusError> {
        for (address, byte) in (at.0..).zip(into) {
            *byte = self.memory.get(&address).copied().unwrap_or(0);
        }
        Ok(())
    }

    fn dma_write(&mut self, _: By, at: Phys, from: &[u8]) -> Result<(), BusError> {
        self.memory.extend((at.0..).zip(from.iter().copied()));
        Ok(())
    }

    fn barrier(&mut self, _: By, _: Barrier) {}

    fn peer_read(&mut self, by: By, at: Peer, into: &mut [u8]) -> Result<(), BusError> {
        // The program's space is the first megabyte, over the same RAM.
        if at.0 >= 1 << 20 { Err(BusError) } else { self.dma_read(by, Phys(at.0), into) }
    }

    fn peer_write(&mut self, by: By, at: Peer, from: &[u8]) -> Result<(), BusError> {
        if at.0 >= 1 << 20 { Err(BusError) } else { self.dma_write(by, Phys(at.0), from) }
    }

    fn monitor(&mut self, _: By, call: MonitorCall) -> MonitorAnswer {
        (self.monitor)(call)
    }

    fn take_core1_order(&mut self) -> Option<Core1Order> {
        self.orders.pop_front()
    }

    fn core1_died(&mut self, now: Time, why: Core1Death) {
        self.deaths.push((now, why));
    }

    fn next_event(&mut self) -> Option<Time> {
        self.script.first_key_value().map(|(&at, _)| at)
    }

    fn run_events(&mut self, now: Time) {
        while let Some(entry) = self.script.first_entry()
            && *entry.key() <= now
        {
            for happening in entry.remove() {
                match happening {
                    Happening::Irq(irq) => {
                        self.pending.insert(irq);
                    }
                    Happening::Order(order) => self.orders.push_back(order),
                }
            }
        }
    }

    fn wants_attention(&mut self) -> bool {
        self.irq_ready().is_some() || !self.orders.is_empty()
    }

    fn take_irq(&mut self) -> Option<Irq> {
        let irq = self.irq_ready()?;
        self.pending.remove(&irq);
        Some(irq)
    }

    fn irq_enable(&mut self, irq: Irq) {
        self.enabled.insert(irq);
    }

    fn irq_disable(&mut self, irq: Irq) {
        self.enabled.remove(&irq);
    }

    fn irq_clear_pending(&mut self, irq: Irq) {
        self.pending.remove(&irq);
    }

    fn irq_pend(&mut self, irq: Irq) {
        self.pending.insert(irq);
    }

    fn irq_is_enabled(&self, irq: Irq) -> bool {
        self.enabled.contains(&irq)
    }

    fn irq_is_pending(&self, irq: Irq) -> bool {
        self.pending.contains(&irq)
    }

    fn random(&mut self) -> u64 {
        // Marsaglia's xorshift64*: good enough for jitter.
        self.seed ^= self.seed >> 12;
        self.seed ^= self.seed << 25;
        self.seed ^= self.seed >> 27;
        self.seed.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn trace(&mut self, now: Time, record: Record) {
        self.records.push((now, record));
    }
}

impl fmt::Debug for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bare").field("pending", &self.pending).finish_non_exhaustive()
    }
}
