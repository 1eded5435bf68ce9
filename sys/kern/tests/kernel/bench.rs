//! A kernel without a machine: tests make each task's system calls by hand.
//!
//! Every task has 4 KiB of RAM, 1 KiB it can only read, and a run of DMA and of
//! device memory, all real memory of the test.

use abi::{
    FaultInfo, Generation, LeaseAttributes, RegionAttributes, SchedState, Sysnum, TaskId,
    TaskState, ULease,
};
use kern::arch::SavedState;
use kern::{
    Irq, IrqOwner, Kernel, KernelPanic, NotificationSet, Platform, REGIONS_PER_TASK, RegionDesc,
    Task, TaskDesc, TaskIndex, Timestamp,
};

/// Bytes of RAM of each task.
pub(crate) const RAM: usize = 4096;
/// Bytes of each other region.
pub(crate) const SMALL: usize = 1024;

/// Tasks 0 to 4; each may SEND to all before it.
pub(crate) const TASKS: usize = 5;

/// A platform of plain tables.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    pub(crate) now: u64,
    pub(crate) deadline: Option<Timestamp>,
    /// Rows: from, to, bits.
    pub(crate) posts: Vec<(u8, u8, u32)>,
    /// Rows: interrupt, task, bits.
    pub(crate) irqs: Vec<(u32, u8, u32)>,
    pub(crate) enabled: Vec<u32>,
    pub(crate) pending: Vec<u32>,
    pub(crate) begun: Vec<(TaskIndex, Generation)>,
    pub(crate) faults: Vec<(TaskIndex, FaultInfo)>,
    pub(crate) was_reset: bool,
    pub(crate) panic: Option<KernelPanic>,
}

impl Platform for Fake {
    fn now(&self) -> Timestamp {
        Timestamp(self.now)
    }

    fn set_deadline(&mut self, deadline: Option<Timestamp>) {
        assert_ne!(deadline, self.deadline, "told only when it changes");
        self.deadline = deadline;
    }

    fn post_mask(&self, from: TaskIndex, to: TaskIndex) -> NotificationSet {
        let rows = self.posts.iter().filter(|row| (row.0, row.1) == (from.0, to.0));
        NotificationSet(rows.fold(0, |all, row| all | row.2))
    }

    fn irq_owner(&self, irq: Irq) -> Option<IrqOwner> {
        let row = self.irqs.iter().find(|row| row.0 == irq.0)?;
        Some(IrqOwner { task: TaskIndex(row.1), notification: NotificationSet(row.2) })
    }

    fn irq_of(&self, task: TaskIndex, position: usize) -> Option<(Irq, NotificationSet)> {
        let row = self.irqs.iter().filter(|row| row.1 == task.0).nth(position)?;
        Some((Irq(row.0), NotificationSet(row.2)))
    }

    fn irq_enable(&mut self, irq: Irq) {
        self.irq_disable(irq);
        self.enabled.push(irq.0);
    }

    fn irq_disable(&mut self, irq: Irq) {
        self.enabled.retain(|&other| other != irq.0);
    }

    fn irq_clear_pending(&mut self, irq: Irq) {
        self.pending.retain(|&other| other != irq.0);
    }

    fn irq_pend(&mut self, irq: Irq) {
        self.pending.push(irq.0);
    }

    fn irq_is_enabled(&self, irq: Irq) -> bool {
        self.enabled.contains(&irq.0)
    }

    fn irq_is_pending(&self, irq: Irq) -> bool {
        self.pending.contains(&irq.0)
    }

    fn begin(
        &mut self,
        task: TaskIndex,
        generation: Generation,
        _: &TaskDesc,
        save: &mut SavedState,
    ) {
        *save = SavedState::default();
        self.begun.push((task, generation));
    }

    fn faulted(&mut self, task: TaskIndex, fault: FaultInfo) {
        self.faults.push((task, fault));
    }

    fn image_id(&self) -> u64 {
        0x1122_3344_5566_7788
    }

    fn reset(&mut self) {
        self.was_reset = true;
    }

    fn kernel_panic(&mut self, why: KernelPanic) {
        self.panic = Some(why);
    }
}

/// Addresses of a task's regions.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) ram: usize,
    pub(crate) rom: usize,
    pub(crate) dma: usize,
    pub(crate) device: usize,
}

/// A kernel and its surroundings.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) kernel: Kernel,
    pub(crate) platform: Fake,
    pub(crate) memory: Vec<Memory>,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    /// Five tasks, all running.
    pub(crate) fn new() -> Self {
        Self::with_ram_at(0)
    }

    /// The same with RAM as the second region: no slice in it is usual then,
    /// and messages take the full way.
    pub(crate) fn on_the_full_way() -> Self {
        Self::with_ram_at(1)
    }

    /// RAM is region `ram`, 0 or 1, and what can only be read the other.
    fn with_ram_at(ram: usize) -> Self {
        let read = RegionAttributes::READ;
        let both = read.with(RegionAttributes::WRITE);
        let mut memory = Vec::new();
        let mut tasks = Vec::new();
        for index in 0..TASKS as u8 {
            let kinds = [
                (RAM, both),
                (SMALL, read),
                (SMALL, both.with(RegionAttributes::DMA)),
                (SMALL, both.with(RegionAttributes::DEVICE)),
            ];
            let mut regions = [&RegionDesc::UNUSED; REGIONS_PER_TASK];
            let rom = 1 - ram;
            for (place, (size, attributes)) in [ram, rom, 2, 3].into_iter().zip(kinds) {
                let bytes: &'static mut [u64] = Box::leak(vec![0; size / 8].into_boxed_slice());
                let base = bytes.as_mut_ptr().expose_provenance();
                regions[place] = Box::leak(Box::new(RegionDesc { base, size, attributes }));
            }
            memory.push(Memory {
                ram: regions[ram].base,
                rom: regions[rom].base,
                dma: regions[2].base,
                device: regions[3].base,
            });
            let descriptor = TaskDesc { entry_point: 0, initial_stack: 0, regions };
            let index = TaskIndex(index);
            tasks.push(Task::new(index, Box::leak(Box::new(descriptor)), index.bit() - 1));
        }
        let kernel = Kernel::new(Box::leak(tasks.into_boxed_slice()));
        let mut bench = Self { kernel, platform: Fake::default(), memory };
        for index in 0..TASKS as u8 {
            bench.kernel.boot(&mut bench.platform, TaskIndex(index));
        }
        bench
    }

    /// A system call of `task`; the registers afterwards.
    pub(crate) fn call(&mut self, task: u8, number: Sysnum, arguments: [usize; 7]) -> [usize; 8] {
        self.raw_call(task, number as u32, arguments)
    }

    pub(crate) fn raw_call(&mut self, task: u8, number: u32, arguments: [usize; 7]) -> [usize; 8] {
        let [a, b, c, d, e, f, g] = arguments;
        let registers = [a, b, c, d, e, f, g, number as usize];
        let index = TaskIndex(task);
        *self.kernel.task_mut(index).save_mut() = SavedState::from_registers(registers);
        let next = self.kernel.syscall(&mut self.platform, index);
        assert_eq!(next, self.kernel.current());
        self.check();
        self.registers(task)
    }

    /// SEND of `len` bytes at the start of RAM, with the answer to go to
    /// `RAM / 2`, where 64 bytes are.
    pub(crate) fn send(&mut self, from: u8, to: TaskId, operation: u16, len: usize) -> [usize; 8] {
        let ram = self.memory[usize::from(from)].ram;
        let target = usize::from(to.0) << 16 | usize::from(operation);
        self.call(from, Sysnum::Send, [target, ram, len, ram + RAM / 2, 64, 0, 0])
    }

    /// Open RECV of up to 64 bytes at the start of RAM.
    pub(crate) fn recv(&mut self, task: u8, mask: u32) -> [usize; 8] {
        let ram = self.memory[usize::from(task)].ram;
        self.call(task, Sysnum::Recv, [ram, 64, mask as usize, 0, 0, 0, 0])
    }

    /// Closed RECV likewise.
    pub(crate) fn recv_from(&mut self, task: u8, mask: u32, from: TaskId) -> [usize; 8] {
        let ram = self.memory[usize::from(task)].ram;
        let from = abi::RECV_CLOSED | usize::from(from.0);
        self.call(task, Sysnum::Recv, [ram, 64, mask as usize, from, 0, 0, 0])
    }

    /// REPLY with `len` bytes at the start of RAM.
    pub(crate) fn reply(&mut self, task: u8, to: TaskId, code: u32, len: usize) -> [usize; 8] {
        let ram = self.memory[usize::from(task)].ram;
        self.call(task, Sysnum::Reply, [usize::from(to.0), code as usize, ram, len, 0, 0, 0])
    }

    pub(crate) fn post(&mut self, task: u8, to: TaskId, bits: u32) -> usize {
        self.call(task, Sysnum::Post, [usize::from(to.0), bits as usize, 0, 0, 0, 0, 0])[0]
    }

    /// Present id of a task.
    pub(crate) fn id(&self, task: u8) -> TaskId {
        let index = TaskIndex(task);
        TaskId::new(u16::from(task), self.kernel.task(index).generation())
    }

    pub(crate) fn registers(&self, task: u8) -> [usize; 8] {
        self.kernel.task(TaskIndex(task)).save().registers()
    }

    pub(crate) fn state(&self, task: u8) -> TaskState {
        self.kernel.task(TaskIndex(task)).state()
    }

    pub(crate) fn is(&self, task: u8, state: SchedState) -> bool {
        self.state(task) == TaskState::Healthy(state)
    }

    /// The fault of a task.
    pub(crate) fn fault(&self, task: u8) -> Option<FaultInfo> {
        match self.state(task) {
            TaskState::Faulted { fault, .. } => Some(fault),
            TaskState::Healthy(_) => None,
        }
    }

    /// Faults a task from outside, as its instruction would.
    pub(crate) fn break_task(&mut self, task: u8) {
        self.kernel.fault(&mut self.platform, TaskIndex(task), FaultInfo::DivideByZero);
        self.check();
    }

    /// A request of the supervisor, hubpacked by hand; code and answer.
    pub(crate) fn kipc(&mut self, operation: u16, request: &[u8]) -> (usize, Vec<u8>) {
        self.write(0, 0, request);
        let r = self.send(0, TaskId::KERNEL, operation, request.len());
        (r[0], self.read(0, RAM / 2, r[1].min(64)))
    }

    pub(crate) fn restart(&mut self, task: u8, start: bool) {
        self.kipc(2, &[task, 0, 0, 0, u8::from(start)]);
    }

    /// Puts bytes into a task's RAM.
    pub(crate) fn write(&mut self, task: u8, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= RAM);
        let at = self.memory[usize::from(task)].ram + offset;
        // SAFETY: inside the RAM that `new` leaked and that only raw copies use.
        unsafe {
            std::ptr::copy(bytes.as_ptr(), std::ptr::with_exposed_provenance_mut(at), bytes.len());
        }
    }

    /// Bytes of a task's RAM.
    pub(crate) fn read(&self, task: u8, offset: usize, len: usize) -> Vec<u8> {
        assert!(offset + len <= RAM);
        let at = self.memory[usize::from(task)].ram + offset;
        let mut bytes = vec![0; len];
        // SAFETY: as in `write`.
        unsafe {
            std::ptr::copy(std::ptr::with_exposed_provenance(at), bytes.as_mut_ptr(), len);
        }
        bytes
    }

    /// A lease table at `RAM / 4` of a task's RAM; its address.
    pub(crate) fn lease_table(
        &mut self,
        task: u8,
        rows: &[(LeaseAttributes, usize, usize)],
    ) -> usize {
        let at = self.memory[usize::from(task)].ram + RAM / 4;
        for (index, &(attributes, base_address, length)) in rows.iter().enumerate() {
            let row: *mut ULease = std::ptr::with_exposed_provenance_mut(at);
            // SAFETY: as in `write`; RAM is aligned to words.
            unsafe { row.add(index).write(ULease { attributes, base_address, length }) };
        }
        at
    }

    /// What must hold between any two kernel entries.
    pub(crate) fn check(&self) {
        let tasks = self.kernel.tasks();
        if self.kernel.is_halted() {
            assert_eq!(self.kernel.current(), None);
            return;
        }
        let mut ready = 0;
        let mut senders = [0; TASKS];
        for (index, task) in tasks.iter().enumerate() {
            match task.state() {
                TaskState::Healthy(SchedState::Runnable) => ready |= 1 << index,
                TaskState::Healthy(SchedState::InSend(to)) => {
                    assert_eq!(to.generation(), tasks[to.index()].generation());
                    senders[to.index()] |= 1 << index;
                }
                TaskState::Healthy(SchedState::InReply(to)) => {
                    assert_eq!(to.generation(), tasks[to.index()].generation());
                    assert!(!is_dead(tasks[to.index()].state()), "waits for the dead");
                }
                TaskState::Healthy(SchedState::InRecv(from)) => {
                    let mask = task.save().registers()[2] as u32;
                    assert_eq!(task.notifications().0 & mask, 0, "sleeps over a notification");
                    let takes = from.map_or(u32::MAX, |from| match from {
                        TaskId::KERNEL => 0,
                        from => 1 << from.index(),
                    });
                    assert_eq!(task.senders() & takes, 0, "sleeps over a message");
                }
                TaskState::Healthy(SchedState::Stopped) | TaskState::Faulted { .. } => {
                    assert_eq!(task.senders(), 0, "the dead have senders");
                    assert_eq!(task.timer().deadline, None, "the dead have timers");
                }
            }
        }
        assert_eq!(self.kernel.ready(), ready, "ready set");
        for (index, task) in tasks.iter().enumerate() {
            assert_eq!(task.senders(), senders[index], "senders of {index}");
        }
        let earliest = tasks.iter().filter_map(|task| task.timer().deadline).min();
        assert_eq!(self.kernel.next_deadline(), earliest);
        assert_eq!(self.platform.deadline, earliest);
    }
}

fn is_dead(state: TaskState) -> bool {
    matches!(state, TaskState::Faulted { .. } | TaskState::Healthy(SchedState::Stopped))
}
