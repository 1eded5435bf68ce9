//! A board with an SMMU, memory, a controller, and a driver in small steps.

use addr::{Bus, PAGE, Phys};
use fabric::{Core, Device, DeviceId, Fabric, IntId, Layout, Owner, StreamId, Time, Width};
use usb_model::headset::{Model, headset};
use usb_model::{Heard, UsbDevice};
use xhc::{PciAddress, Personality, RootPort, Xhc};

const RAM: Phys = Phys(0x4000_0000);
/// Pages of the SMMU's tables and queues, at the start of RAM.
const TABLES: u32 = 16;
const STRTAB: Phys = RAM;
const CMDQ: Phys = RAM.plus(0x4000);
const EVENTQ: Phys = RAM.plus(0x5000);
const CD: Phys = RAM.plus(0x6000);
const L1: Phys = RAM.plus(0x7000);
const L2: Phys = RAM.plus(0x8000);
const L3: Phys = RAM.plus(0x9000);
/// Where the controller sees the pages that follow.
const WINDOW: Bus = Bus(0x8000_0000);
const POOL: Phys = RAM.plus(TABLES as u64 * PAGE as u64);
const POOL_PAGES: u32 = 480;
/// Where it sees the doorbell frame.
const DOORBELL: Bus = WINDOW.plus(511 * PAGE as u64);
const STREAM: StreamId = StreamId(0x10);
const SYNC: [u32; 4] = [0x46, 0, 0, 0];
const TLBI_ALL: [u32; 4] = [0x30, 0, 0, 0];

pub(crate) const RUNTIME: u32 = 0x1000;
pub(crate) const DOORBELLS: u32 = 0x2000;
pub(crate) const USBCMD: u32 = 0;
pub(crate) const USBSTS: u32 = 4;
pub(crate) const PORTSC: u32 = 0x400;

/// Completion codes.
pub(crate) mod code {
    pub(crate) const SUCCESS: u32 = 1;
    pub(crate) const TRANSACTION: u32 = 4;
    pub(crate) const TRB: u32 = 5;
    pub(crate) const STALL: u32 = 6;
    pub(crate) const BANDWIDTH: u32 = 8;
    pub(crate) const NO_SLOTS: u32 = 9;
    pub(crate) const SLOT_NOT_ENABLED: u32 = 11;
    pub(crate) const SHORT: u32 = 13;
    pub(crate) const UNDERRUN: u32 = 14;
    pub(crate) const PARAMETER: u32 = 17;
    pub(crate) const CONTEXT_STATE: u32 = 19;
    pub(crate) const RING_FULL: u32 = 21;
    pub(crate) const MISSED: u32 = 23;
    pub(crate) const RING_STOPPED: u32 = 24;
    pub(crate) const STOPPED: u32 = 26;
}

/// An event as software reads it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Event(pub(crate) [u32; 4]);

impl Event {
    pub(crate) fn kind(self) -> u32 {
        self.0[3] >> 10 & 0x3F
    }
    pub(crate) fn code(self) -> u32 {
        self.0[2] >> 24
    }
    pub(crate) fn residual(self) -> u32 {
        self.0[2] & 0xFF_FFFF
    }
    pub(crate) fn slot(self) -> u8 {
        (self.0[3] >> 24) as u8
    }
    pub(crate) fn dci(self) -> u32 {
        self.0[3] >> 16 & 0x1F
    }
    pub(crate) fn pointer(self) -> Bus {
        Bus(u64::from(self.0[0]) | u64::from(self.0[1]) << 32)
    }
}

/// A ring that software writes: one segment with a link to itself.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    pub(crate) base: Bus,
    size: u32,
    pub(crate) index: u32,
    pub(crate) cycle: bool,
}

impl Producer {
    pub(crate) fn at(&self) -> Bus {
        self.base.plus(16 * u64::from(self.index))
    }
}

/// A ring that software reads, of one or two segments.
#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    pub(crate) interrupter: u32,
    pub(crate) segments: Vec<Bus>,
    size: u32,
    pub(crate) table: Bus,
    index: u32,
    cycle: bool,
}

pub(crate) struct Rig {
    pub(crate) fabric: Fabric,
    pub(crate) xhc: Xhc,
    smmu_prod: u32,
    next_page: u32,
    pub(crate) op: u32,
    pub(crate) context: u64,
    pub(crate) commands: Producer,
    pub(crate) events: Consumer,
    pub(crate) array: Bus,
    pub(crate) input: Bus,
    pub(crate) outputs: Vec<Bus>,
    pub(crate) scratch: Bus,
}

/// A device that was enumerated.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) id: u8,
    pub(crate) port: RootPort,
    pub(crate) control: Producer,
    pub(crate) buffer: Bus,
}

/// A stream that was set up on interrupter 1.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) ring: Producer,
    pub(crate) events: Consumer,
    pub(crate) buffer: Bus,
}

impl Rig {
    /// Power is on; nothing was touched but the SMMU.
    pub(crate) fn cold(personality: Personality) -> Self {
        let seed = personality.seed;
        let mut fabric = Fabric::new(Layout::virt(TABLES + POOL_PAGES), seed);
        let bytes = (TABLES + POOL_PAGES) as usize * PAGE as usize;
        fabric.memory.load(RAM, &vec![0; bytes]).unwrap();
        fabric.memory.give(RAM, TABLES, Owner::Tables);
        fabric.memory.give(POOL, POOL_PAGES, Owner::Stream(STREAM));
        let address = PciAddress { bus: 0, device: 2, function: 0 };
        let op = u32::from(personality.caplength);
        let context = if personality.contexts_64 { 64 } else { 32 };
        let xhc = Xhc::new(personality, DeviceId(3), 0, StreamId(address.requester()));
        let nothing = Producer { base: Bus(0), size: 0, index: 0, cycle: true };
        let events = Consumer {
            interrupter: 0,
            segments: vec![],
            size: 0,
            table: Bus(0),
            index: 0,
            cycle: true,
        };
        let mut rig = Self {
            fabric,
            xhc,
            smmu_prod: 0,
            next_page: 0,
            op,
            context,
            commands: nothing,
            events,
            array: Bus(0),
            input: Bus(0),
            outputs: vec![],
            scratch: Bus(0),
        };
        rig.bring_up_smmu();
        rig
    }

    /// The controller runs.
    pub(crate) fn running(personality: Personality) -> Self {
        let mut rig = Self::cold(personality);
        rig.bring_up();
        rig
    }

    /// A headset of `model` is enumerated, configured, unmuted and at unity.
    pub(crate) fn with_headset(personality: Personality, model: Model) -> (Self, Slot) {
        let mut rig = Self::cold(personality);
        let port = rig.xhc.personality().usb2_port(0).unwrap();
        rig.plug(port, model);
        rig.bring_up();
        rig.connect(port);
        let slot = rig.enumerate(port);
        (rig, slot)
    }

    // SMMU.

    fn put(&mut self, at: Phys, value: u64) {
        self.fabric.core_write(Core::App, at, &value.to_le_bytes()).unwrap();
        self.fabric.barrier(Core::App);
    }

    fn smmu(&mut self, register: u32, value: u32) {
        self.fabric.spend(Time::ns(100));
        self.fabric.smmu_write(register, Width::Word, value);
    }

    fn smmu64(&mut self, register: u32, value: u64) {
        self.smmu(register, value as u32);
        self.smmu(register + 4, (value >> 32) as u32);
    }

    fn cr0(&mut self, value: u32) {
        self.smmu(0x20, value);
        while self.fabric.smmu_read(0x24, Width::Word) != value {
            self.fabric.spend(Time::ns(100));
        }
    }

    fn smmu_commands(&mut self, commands: &[[u32; 4]]) {
        for command in commands {
            let slot = CMDQ.plus(u64::from(self.smmu_prod & 15) * 16);
            let bytes: Vec<u8> = command.iter().flat_map(|word| word.to_le_bytes()).collect();
            self.fabric.core_write(Core::App, slot, &bytes).unwrap();
            self.smmu_prod = (self.smmu_prod + 1) & 31;
        }
        self.fabric.barrier(Core::App);
        self.smmu(0x98, self.smmu_prod);
        while self.fabric.smmu_read(0x9C, Width::Word) != self.smmu_prod {
            self.fabric.spend(Time::ns(100));
        }
    }

    fn bring_up_smmu(&mut self) {
        self.smmu64(0x80, STRTAB.0);
        self.smmu(0x88, 8);
        self.smmu64(0x90, CMDQ.0 | 4);
        self.smmu64(0xA0, EVENTQ.0 | 4);
        self.smmu(0x50, 5);
        self.cr0(8);
        self.smmu_commands(&[[0x04, 0, 31, 0], TLBI_ALL, SYNC]);
        self.cr0(8 | 4);
        self.cr0(8 | 4 | 1);
        for page in 0..u64::from(POOL_PAGES) {
            self.put(L3.plus(page * 8), POOL.plus(page * u64::from(PAGE)).0 | 0xF43);
        }
        self.put(L3.plus(511 * 8), 0x0802_0000 | 0xF43);
        self.put(L2, L3.0 | 3);
        self.put(L1.plus(2 * 8), L2.0 | 3);
        self.put(CD.plus(8), L1.0);
        self.put(CD, 32 | 1 << 30 | 1 << 31 | 1 << 41 | 1 << 45 | 1 << 46 | 7 << 48);
        self.put(STRTAB.plus(16 * 64), CD.0 | 5 << 1 | 1);
        self.smmu_commands(&[[0x03, 0x10, 1, 0], SYNC]);
    }

    /// Takes a page away from the controller, or gives it back.
    pub(crate) fn map(&mut self, at: Bus, present: bool) {
        let page = at.offset_from(WINDOW).unwrap() / u64::from(PAGE);
        let entry = if present { POOL.plus(page * u64::from(PAGE)).0 | 0xF43 } else { 0 };
        self.put(L3.plus(page * 8), entry);
        self.smmu_commands(&[TLBI_ALL, SYNC]);
    }

    /// Gives the controller its doorbell back.
    pub(crate) fn map_doorbell(&mut self) {
        self.put(L3.plus(511 * 8), 0x0802_0000 | 0xF43);
        self.smmu_commands(&[TLBI_ALL, SYNC]);
    }

    // Memory.

    /// Zeroed pages.
    pub(crate) fn pages(&mut self, count: u32) -> Bus {
        // Structures must not cross 64 KiB: no allocation here is longer.
        let first = if self.next_page % 16 + count > 16 {
            self.next_page.next_multiple_of(16)
        } else {
            self.next_page
        };
        self.next_page = first + count;
        assert!(self.next_page <= POOL_PAGES, "the pool is used up");
        WINDOW.plus(u64::from(first) * u64::from(PAGE))
    }

    pub(crate) fn phys(at: Bus) -> Phys {
        POOL.plus(at.offset_from(WINDOW).unwrap())
    }

    pub(crate) fn store(&mut self, at: Bus, bytes: &[u8]) {
        self.fabric.core_write(Core::App, Self::phys(at), bytes).unwrap();
        self.fabric.barrier(Core::App);
    }

    pub(crate) fn store_words(&mut self, at: Bus, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.store(at, &bytes);
    }

    pub(crate) fn load_words<const N: usize>(&mut self, at: Bus) -> [u32; N] {
        let mut bytes = [0; 64];
        let bytes = &mut bytes[..4 * N];
        self.fabric.memory.peek(Self::phys(at), bytes).unwrap();
        std::array::from_fn(|n| u32::from_le_bytes(bytes[4 * n..4 * n + 4].try_into().unwrap()))
    }

    // Time.

    /// Lets the controller do what is due by now.
    fn pump(&mut self) {
        let now = self.fabric.now();
        while let Some(event) = self.fabric.next_due(now) {
            self.xhc.wake(&mut self.fabric, event.token);
        }
    }

    pub(crate) fn run(&mut self, span: Time) {
        let until = self.fabric.now() + span;
        while let Some(event) = self.fabric.next_due(until) {
            self.xhc.wake(&mut self.fabric, event.token);
        }
    }

    // Registers.

    pub(crate) fn read(&mut self, offset: u32) -> u32 {
        self.fabric.spend(Time::ns(100));
        self.pump();
        self.xhc.read(&mut self.fabric, offset, Width::Word)
    }

    pub(crate) fn write(&mut self, offset: u32, value: u32) {
        self.fabric.spend(Time::ns(100));
        self.pump();
        self.xhc.write(&mut self.fabric, offset, Width::Word, value);
        self.pump();
    }

    pub(crate) fn write64(&mut self, offset: u32, value: u64) {
        self.write(offset, value as u32);
        self.write(offset + 4, (value >> 32) as u32);
    }

    pub(crate) fn config(&mut self, offset: u32, value: u32) {
        self.xhc.config().write(&mut self.fabric, offset, Width::Word, value);
    }

    pub(crate) fn wait(&mut self, offset: u32, mask: u32, value: u32) {
        for _ in 0..2_000 {
            if self.read(offset) & mask == value {
                return;
            }
            self.run(Time::us(100));
        }
        panic!("register {offset:#x} never becomes {value:#x} under {mask:#x}");
    }

    // Rings.

    pub(crate) fn producer(&mut self) -> Producer {
        Producer { base: self.pages(1), size: 256, index: 0, cycle: true }
    }

    /// Writes a TRB; its cycle bit last.
    pub(crate) fn push(&mut self, ring: &mut Producer, words: [u32; 4]) -> Bus {
        let at = ring.at();
        self.write_trb(at, words, ring.cycle);
        ring.index += 1;
        if ring.index == ring.size - 1 {
            // A link within a descriptor carries its chain bit on.
            let chain = words[3] & 0x10;
            let link = [ring.base.low(), ring.base.high(), 0, 6 << 10 | 2 | chain];
            self.write_trb(ring.at(), link, ring.cycle);
            ring.index = 0;
            ring.cycle = !ring.cycle;
        }
        at
    }

    pub(crate) fn write_trb(&mut self, at: Bus, words: [u32; 4], cycle: bool) {
        let mut words = words;
        words[3] = words[3] & !1 | u32::from(!cycle);
        self.store_words(at, &words);
        words[3] ^= 1;
        self.store_words(at.plus(12), &words[3..]);
    }

    /// An event ring on `interrupter`, announced to the controller.
    pub(crate) fn event_ring(&mut self, interrupter: u32, size: u32, segments: u32) -> Consumer {
        let table = self.pages(1);
        let mut bases = vec![];
        for n in 0..segments {
            let base = self.pages((size * 16).div_ceil(PAGE));
            self.store_words(table.plus(16 * u64::from(n)), &[base.low(), base.high(), size, 0]);
            bases.push(base);
        }
        let ring = Consumer { interrupter, segments: bases, size, table, index: 0, cycle: true };
        self.announce(&ring);
        ring
    }

    pub(crate) fn announce(&mut self, ring: &Consumer) {
        let registers = RUNTIME + 0x20 + 0x20 * ring.interrupter;
        // One that is in use is turned off first.
        self.write(registers + 8, 0);
        self.write(registers + 8, ring.segments.len() as u32);
        self.write(registers + 0x1C, ring.segments[0].high());
        self.write(registers + 0x18, ring.segments[0].low());
        self.write64(registers + 0x10, ring.table.0);
    }

    fn place(ring: &Consumer) -> Bus {
        let segment = ring.segments[(ring.index / ring.size) as usize];
        segment.plus(16 * u64::from(ring.index % ring.size))
    }

    /// All events on `ring`; acknowledges them.
    pub(crate) fn drain(&mut self, ring: &mut Consumer) -> Vec<Event> {
        let mut events = vec![];
        loop {
            let words = self.load_words::<4>(Self::place(ring));
            if words[3] & 1 != u32::from(ring.cycle) {
                break;
            }
            events.push(Event(words));
            ring.index += 1;
            if ring.index == ring.size * ring.segments.len() as u32 {
                ring.index = 0;
                ring.cycle = !ring.cycle;
            }
        }
        let registers = RUNTIME + 0x20 + 0x20 * ring.interrupter;
        if !events.is_empty() {
            let segment = ring.index / ring.size;
            self.write(registers + 0x18, Self::place(ring).low() | 8 | segment & 7);
        }
        events
    }

    pub(crate) fn drain_primary(&mut self) -> Vec<Event> {
        let mut ring = self.events.clone();
        let events = self.drain(&mut ring);
        self.events = ring;
        events
    }

    // Bring-up.

    pub(crate) fn bring_up(&mut self) {
        self.config(0x10, 0x1000_0000);
        self.config(0x14, 0);
        self.config(4, 6);
        if self.xhc.personality().bios {
            let legacy = u32::from(self.xhc.personality().extended);
            let value = self.read(legacy);
            self.write(legacy, value | 1 << 24);
            self.wait(legacy, 1 << 16, 0);
        }
        self.wait(self.op + USBSTS, 1 << 11, 0);
        self.write(self.op + USBCMD, 2);
        self.wait(self.op + USBCMD, 2, 0);
        self.wait(self.op + USBSTS, 1 << 11, 0);
        let vectors = u32::from(self.xhc.personality().interrupters);
        for vector in 0..vectors {
            let entry = 0x3000 + 16 * vector;
            self.write(entry, DOORBELL.plus(0x40).low());
            self.write(entry + 4, 0);
            self.write(entry + 8, 80 + vector);
            self.write(entry + 12, 0);
            self.fabric.interrupts.set_enabled(IntId(80 + vector as u16), true);
        }
        self.config(0x90, 1 << 31);
        self.set_up_memory();
        self.write(RUNTIME + 0x20, 2);
        self.write(self.op + USBCMD, 1 | 4);
        self.wait(self.op + USBSTS, 1, 0);
    }

    pub(crate) fn set_up_memory(&mut self) {
        let slots = self.read(4) & 0xFF;
        self.write(self.op + 0x38, slots);
        self.array = self.pages(1);
        let params = self.read(8);
        let scratchpads = params >> 21 & 0x1F_u32;
        let scratchpads = scratchpads << 5 | params >> 27;
        if scratchpads > 0 {
            let pointers = self.pages(1);
            for n in 0..scratchpads {
                let page = self.pages(1);
                self.scratch = page;
                self.store_words(pointers.plus(8 * u64::from(n)), &[page.low(), page.high()]);
            }
            self.store_words(self.array, &[pointers.low(), pointers.high()]);
        }
        self.write64(self.op + 0x30, self.array.0);
        self.commands = self.producer();
        self.write64(self.op + 0x18, self.commands.base.0 | 1);
        self.events = self.event_ring(0, 256, 1);
        self.input = self.pages(1);
        self.outputs = (0..4).map(|_| self.pages(1)).collect();
    }

    // Commands.

    /// Queues a command and waits for its completion; the other events that came
    /// meanwhile are returned, too.
    pub(crate) fn command_with(&mut self, words: [u32; 4]) -> (Event, Vec<Event>) {
        let mut ring = self.commands.clone();
        let at = self.push(&mut ring, words);
        self.commands = ring;
        self.write(DOORBELLS, 0);
        let mut others = vec![];
        for _ in 0..1000 {
            self.run(Time::us(10));
            for event in self.drain_primary() {
                if event.kind() == 33 && event.pointer() == at {
                    return (event, others);
                }
                others.push(event);
            }
        }
        panic!("command {words:x?} never completes");
    }

    pub(crate) fn command(&mut self, words: [u32; 4]) -> u32 {
        self.command_with(words).0.code()
    }

    pub(crate) fn simple(&mut self, kind: u32, slot: u8, dci: u32) -> u32 {
        self.command([0, 0, 0, kind << 10 | u32::from(slot) << 24 | dci << 16])
    }

    pub(crate) fn with_input(&mut self, kind: u32, slot: u8, flag: u32) -> u32 {
        let input = self.input;
        let control = kind << 10 | u32::from(slot) << 24 | flag << 9;
        self.command([input.low(), input.high(), 0, control])
    }

    pub(crate) fn set_dequeue(&mut self, slot: u8, dci: u32, at: Bus, cycle: bool) -> u32 {
        let low = at.low() | u32::from(cycle);
        self.command([low, at.high(), 0, 16 << 10 | u32::from(slot) << 24 | dci << 16])
    }

    /// Fills the input context: control words, then contexts by index.
    pub(crate) fn fill_input(&mut self, drop: u32, add: u32, contexts: &[(u64, [u32; 5])]) {
        let (input, size) = (self.input, self.context);
        self.store(input, &[0; 33 * 32]);
        self.store_words(input, &[drop, add]);
        for (index, words) in contexts {
            self.store_words(input.plus(size * (index + 1)), words);
        }
    }

    pub(crate) fn output(&mut self, slot: u8, index: u64) -> [u32; 5] {
        let at = self.outputs[usize::from(slot) - 1].plus(self.context * index);
        self.load_words(at)
    }

    pub(crate) fn endpoint_state(&mut self, slot: u8, dci: u64) -> u32 {
        self.output(slot, dci)[0] & 7
    }

    // Ports and devices.

    pub(crate) fn plug(&mut self, port: RootPort, model: Model) {
        let seed = self.xhc.personality().seed;
        self.plug_device(port, headset(model, seed));
    }

    pub(crate) fn plug_device(&mut self, port: RootPort, device: Box<dyn UsbDevice>) {
        self.xhc.plug(&mut self.fabric, port, device);
    }

    pub(crate) fn portsc(&self, port: RootPort) -> u32 {
        self.op + PORTSC + 16 * (u32::from(port.0) - 1)
    }

    /// Debounce, reset, recovery.
    pub(crate) fn connect(&mut self, port: RootPort) {
        let register = self.portsc(port);
        self.wait(register, 1, 1);
        self.run(Time::ms(101));
        self.write(register, 1 << 9 | 1 << 17);
        self.reset_port(port);
        self.run(Time::ms(11));
    }

    pub(crate) fn reset_port(&mut self, port: RootPort) {
        let register = self.portsc(port);
        self.write(register, 1 << 9 | 1 << 4);
        self.wait(register, 1 << 21, 1 << 21);
        self.write(register, 1 << 9 | 1 << 21);
        assert_eq!(self.read(register) & 2, 2);
        self.drain_primary();
    }

    pub(crate) fn slot_context(&mut self, port: RootPort, entries: u32) -> [u32; 5] {
        let register = self.portsc(port);
        let speed = self.read(register) >> 10 & 0xF;
        [speed << 20 | entries << 27, u32::from(port.0) << 16, 0, 0, 0]
    }

    /// Enable Slot, and what Address Device needs.
    pub(crate) fn prepare_address(&mut self, port: RootPort) -> u8 {
        self.prepare(port).0
    }

    fn prepare(&mut self, port: RootPort) -> (u8, Producer) {
        let context = self.slot_context(port, 1);
        self.prepare_with(context)
    }

    /// The same with that slot context.
    pub(crate) fn prepare_with(&mut self, context: [u32; 5]) -> (u8, Producer) {
        let (event, _) = self.command_with([0, 0, 0, 9 << 10]);
        assert_eq!(event.code(), code::SUCCESS);
        let id = event.slot();
        let output = self.outputs[usize::from(id) - 1];
        self.store(output, &[0; 4096]);
        let at = self.array.plus(8 * u64::from(id));
        self.store_words(at, &[output.low(), output.high()]);
        let control = self.producer();
        let dequeue = control.base;
        let endpoint = [0, 4 << 3 | 3 << 1 | 64 << 16, dequeue.low() | 1, dequeue.high(), 8];
        self.fill_input(0, 3, &[(0, context), (1, endpoint)]);
        (id, control)
    }

    /// Enable Slot and Address Device.
    pub(crate) fn address(&mut self, port: RootPort) -> Slot {
        let (id, control) = self.prepare(port);
        let buffer = self.pages(1);
        assert_eq!(self.with_input(11, id, 1), code::SUCCESS, "BSR");
        assert_eq!(self.with_input(11, id, 0), code::SUCCESS);
        self.run(Time::ms(3));
        Slot { id, port, control, buffer }
    }

    /// A control transfer; the event that ended it.
    pub(crate) fn control(&mut self, slot: &mut Slot, setup: [u8; 8]) -> Event {
        let length = u32::from(u16::from_le_bytes([setup[6], setup[7]]));
        let inward = setup[0] & 0x80 != 0;
        let kind = if length == 0 { 0 } else { 2 + u32::from(inward) };
        let word = |n: usize| u32::from_le_bytes(setup[n..n + 4].try_into().unwrap());
        let mut ring = slot.control.clone();
        self.push(&mut ring, [word(0), word(4), 8, 2 << 10 | 1 << 6 | kind << 16]);
        if length > 0 {
            let control = 3 << 10 | u32::from(inward) << 16 | 1 << 2;
            self.push(&mut ring, [slot.buffer.low(), slot.buffer.high(), length, control]);
        }
        let against = u32::from(length == 0 || !inward);
        let status = self.push(&mut ring, [0, 0, 0, 4 << 10 | against << 16 | 1 << 5]);
        slot.control = ring;
        self.write(DOORBELLS + 4 * u32::from(slot.id), 1);
        for _ in 0..1000 {
            self.run(Time::us(10));
            for event in self.drain_primary() {
                let ended = event.pointer() == status || !matches!(event.code(), 1 | 13);
                if event.kind() == 32 && event.slot() == slot.id && event.dci() == 1 && ended {
                    return event;
                }
            }
        }
        panic!("control transfer {setup:x?} never ends");
    }

    pub(crate) fn request(&mut self, slot: &mut Slot, head: [u16; 4], data: &[u8]) -> u32 {
        let [kind, request, value, index] = head;
        self.store(slot.buffer, data);
        let mut setup = [kind as u8, request as u8, 0, 0, 0, 0, data.len() as u8, 0];
        setup[2..4].copy_from_slice(&value.to_le_bytes());
        setup[4..6].copy_from_slice(&index.to_le_bytes());
        self.control(slot, setup).code()
    }

    pub(crate) fn enumerate(&mut self, port: RootPort) -> Slot {
        let mut slot = self.address(port);
        let event = self.control(&mut slot, [0x80, 6, 0, 1, 0, 0, 18, 0]);
        assert_eq!(event.code(), code::SUCCESS);
        assert_eq!(self.load_words::<1>(slot.buffer)[0] & 0xFFFF, 0x0112);
        assert_eq!(self.request(&mut slot, [0, 9, 1, 0], &[]), code::SUCCESS);
        slot
    }

    /// Full speed, 1 ms, 388 bytes: the context of endpoint 1 OUT at `ring`.
    pub(crate) fn isoch_context(ring: &Producer, payload: u32) -> [u32; 5] {
        let cycle = u32::from(ring.cycle);
        let low = ring.base.low() | cycle;
        [3 << 16, 1 << 3 | payload << 16, low, ring.base.high(), payload << 16 | payload]
    }

    /// Configures endpoint 1 OUT, selects the setting, the rate, unity and sound,
    /// and sets interrupter 1 up for it.
    pub(crate) fn open(&mut self, slot: &mut Slot, rate: u32) -> Stream {
        let events = self.event_ring(1, 256, 1);
        let ring = self.producer();
        let buffer = self.pages(16);
        self.configure(slot, &ring);
        self.set_target(slot, 1);
        assert_eq!(self.request(slot, [1, 11, 1, 1], &[]), code::SUCCESS);
        let rate = rate.to_le_bytes();
        // QEMU's device has one rate, and no control for it.
        let _ = self.request(slot, [0x22, 1, 0x100, 1], &rate[..3]);
        self.recover_control(slot);
        assert_eq!(self.request(slot, [0x21, 1, 0x100, 0x200], &[0]), code::SUCCESS);
        for channel in [0x201, 0x202] {
            assert_eq!(self.request(slot, [0x21, 1, channel, 0x200], &[0, 0]), code::SUCCESS);
        }
        Stream { ring, events, buffer }
    }

    /// Endpoint 0 after a stall, if there was one.
    pub(crate) fn recover_control(&mut self, slot: &mut Slot) {
        if self.endpoint_state(slot.id, 1) == 2 {
            assert_eq!(self.simple(14, slot.id, 1), code::SUCCESS);
            let (at, cycle) = (slot.control.at(), slot.control.cycle);
            assert_eq!(self.set_dequeue(slot.id, 1, at, cycle), code::SUCCESS);
        }
    }

    pub(crate) fn configure(&mut self, slot: &Slot, ring: &Producer) {
        let context = self.slot_context(slot.port, 2);
        let endpoint = Self::isoch_context(ring, 388);
        self.fill_input(0, 1 | 1 << 2, &[(0, context), (2, endpoint)]);
        assert_eq!(self.with_input(12, slot.id, 0), code::SUCCESS);
    }

    /// Evaluate Context: the slot's interrupter target.
    pub(crate) fn set_target(&mut self, slot: &Slot, interrupter: u32) {
        let mut context = self.slot_context(slot.port, 2);
        context[2] = interrupter << 22;
        self.fill_input(0, 1, &[(0, context)]);
        assert_eq!(self.with_input(13, slot.id, 0), code::SUCCESS);
    }

    pub(crate) fn drop_endpoint(&mut self, slot: &Slot) -> u32 {
        let context = self.slot_context(slot.port, 1);
        self.fill_input(1 << 2, 1, &[(0, context)]);
        self.with_input(12, slot.id, 0)
    }

    /// One isochronous TRB, as soon as possible, for interrupter 1.
    pub(crate) fn isoch(at: Bus, length: u32, interrupts: bool) -> [u32; 4] {
        let control = 5 << 10 | 1 << 31 | u32::from(interrupts) << 5;
        [at.low(), at.high(), length | 1 << 22, control]
    }

    pub(crate) fn ring_stream(&mut self, slot: &Slot) {
        self.write(DOORBELLS + 4 * u32::from(slot.id), 2);
    }

    /// Plays `data` in packets as `rate` asks for, refilling from events; the
    /// events that were seen on interrupter 1.
    pub(crate) fn play(
        &mut self,
        slot: &Slot,
        stream: &mut Stream,
        data: &[u8],
        rate: usize,
    ) -> Vec<Event> {
        let mut seen = vec![];
        let (mut sent, mut packets, mut done) = (0, 0usize, 0usize);
        let mut started = false;
        while done < packets || sent < data.len() {
            while sent < data.len() && packets - done < 64 {
                let frames = (packets + 1) * rate / 1000 - packets * rate / 1000;
                let end = data.len().min(sent + 4 * frames);
                let place = stream.buffer.plus(512 * (packets as u64 % 128));
                self.store(place, &data[sent..end]);
                let interrupts = packets % 8 == 7 || end == data.len();
                let trb = Self::isoch(place, (end - sent) as u32, interrupts);
                let mut ring = stream.ring.clone();
                self.push(&mut ring, trb);
                stream.ring = ring;
                (sent, packets) = (end, packets + 1);
            }
            if !started {
                started = true;
                self.ring_stream(slot);
            }
            self.run(Time::ms(2));
            for event in self.drain(&mut stream.events) {
                if event.code() == code::SUCCESS && event.kind() == 32 {
                    done = (done / 8 + 1) * 8;
                    done = done.min(packets);
                }
                seen.push(event);
            }
        }
        seen
    }

    pub(crate) fn heard(&self, port: RootPort) -> &Heard {
        self.xhc.device(port).and_then(|device| device.heard()).unwrap()
    }

    // Verdicts.

    pub(crate) fn clean(&self) {
        assert_eq!(self.fabric.violations.total(), 0, "{:?}", self.fabric.violations.kept());
    }

    /// There is a violation of that kind, and of no other.
    #[track_caller]
    pub(crate) fn only(&self, name: &str) {
        let kinds: Vec<_> = self.fabric.violations.by_kind().collect();
        assert!(kinds.len() == 1 && kinds[0].0 == name, "{kinds:?} instead of {name}");
    }
}

/// Bytes that do not repeat soon.
pub(crate) fn music(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n * 31 % 253) as u8).collect()
}
