//! Where task code meets the host: the seam's machine.
//!
//! Each method that touches the machine is a point. While a panic unwinds, all
//! of them do nothing, because what unwinds is dead already.

use std::any::Any;
use std::rc::Rc;

use abi::FaultInfo;
use addr::{PAGE, Peer, Phys};
use seam::{Barrier, Machine, MonitorCall, Registers, Width};

use crate::board::{Act, Board, By, Core1Death, MonitorAnswer};
use crate::hub::{Core1State, Hub, Instance, Running};
use crate::image::Access;
use crate::panic::{Inside, unwinding};

impl<B: Board> Hub<B> {
    /// Tells the board whether pages are in use. No point: on a real board
    /// nothing is executed for it.
    fn page_use(&self, first: u64, count: u32, tell: impl FnOnce(&mut B, By, Phys, u32)) {
        if unwinding() {
            return;
        }
        let _inside = Inside::enter();
        self.check_access(first, count as usize * PAGE as usize, |access| access == Access::Dma);
        let by = self.by();
        tell(&mut self.board.borrow_mut(), by, Phys(first), count);
    }
}

impl<B: Board> Machine for Hub<B> {
    unsafe fn syscall(&self, registers: &mut Registers) {
        if unwinding() {
            *registers = [0; 8];
            return;
        }
        let _inside = Inside::enter();
        match self.running.get() {
            Running::Task(task) => self.kernel_call(task, registers),
            Running::Core1 => self.refuse(FaultInfo::IllegalInstruction, Core1Death::Illegal),
        }
    }

    fn mmio_read(&self, address: u64, width: Width) -> u32 {
        if unwinding() {
            return 0;
        }
        let _inside = Inside::enter();
        self.check_access(address, width as usize, |access| access == Access::Device);
        self.point(self.image.costs.mmio, Act::Register);
        self.access(address, |board, by| board.mmio_read(by, Phys(address), width))
    }

    fn mmio_write(&self, address: u64, width: Width, value: u32) {
        if unwinding() {
            return;
        }
        let _inside = Inside::enter();
        self.check_access(address, width as usize, |access| access == Access::Device);
        self.point(self.image.costs.mmio, Act::Register);
        self.access(address, |board, by| board.mmio_write(by, Phys(address), width, value));
    }

    fn dma_read(&self, address: u64, into: &mut [u8]) {
        if unwinding() {
            return;
        }
        let _inside = Inside::enter();
        self.check_access(address, into.len(), |access| access != Access::Device);
        self.point(self.dma_cost(into.len()), Act::Memory);
        self.access(address, |board, by| board.dma_read(by, Phys(address), into));
    }

    fn dma_write(&self, address: u64, from: &[u8]) {
        if unwinding() {
            return;
        }
        let _inside = Inside::enter();
        self.check_access(address, from.len(), |access| access == Access::Dma);
        self.point(self.dma_cost(from.len()), Act::Memory);
        self.access(address, |board, by| board.dma_write(by, Phys(address), from));
    }

    fn barrier(&self, kind: Barrier) {
        if unwinding() {
            return;
        }
        let _inside = Inside::enter();
        self.point(self.image.costs.barrier, Act::Barrier);
        let by = self.by();
        self.board.borrow_mut().barrier(by, kind);
        self.settle();
    }

    fn hand_out(&self, first: u64, count: u32) {
        self.page_use(first, count, B::hand_out);
    }

    fn take_back(&self, first: u64, count: u32) {
        self.page_use(first, count, B::take_back);
    }

    fn now(&self) -> u64 {
        self.by().now.0
    }

    fn spent(&self, what: u32) -> bool {
        if unwinding() {
            return false;
        }
        let _inside = Inside::enter();
        match self.running.get() {
            Running::Task(_) => {
                let by = self.by();
                self.board.borrow_mut().spent(by, what)
            }
            Running::Core1 => false,
        }
    }

    fn monitor(&self, call: MonitorCall) -> [u32; 4] {
        if unwinding() {
            return [0; 4];
        }
        let _inside = Inside::enter();
        if let Running::Task(_) = self.running.get() {
            self.refuse(FaultInfo::IllegalInstruction, Core1Death::Illegal);
        }
        loop {
            self.point(self.image.costs.monitor, Act::Monitor(call[0]));
            let by = self.by();
            let answer = self.board.borrow_mut().monitor(by, call);
            match answer {
                MonitorAnswer::Return(words) => {
                    self.settle();
                    return words;
                }
                MonitorAnswer::Wait => {
                    self.core1.set(Core1State::Waiting);
                    self.spin[self.position(Running::Core1)].set(0);
                    self.suspend();
                }
                MonitorAnswer::Fault => {
                    self.refuse(FaultInfo::IllegalInstruction, Core1Death::Monitor);
                }
            }
        }
    }

    fn peer_read(&self, address: u64, into: &mut [u8]) {
        if unwinding() {
            return;
        }
        let _inside = Inside::enter();
        self.check_core1();
        self.point(self.dma_cost(into.len()), Act::Memory);
        self.access(address, |board, by| board.peer_read(by, Peer(address), into));
    }

    fn peer_write(&self, address: u64, from: &[u8]) {
        if unwinding() {
            return;
        }
        let _inside = Inside::enter();
        self.check_core1();
        self.point(self.dma_cost(from.len()), Act::Memory);
        self.access(address, |board, by| board.peer_write(by, Peer(address), from));
    }

    fn task_slot(&self, name: &str) -> Option<u16> {
        let Running::Task(task) = self.running.get() else { return None };
        let slots = &self.image.tasks[task.get()].slots;
        slots.iter().find(|(slot, _)| slot == name).map(|&(_, index)| index)
    }

    fn notify_mask(&self, target: u16) -> u32 {
        match self.running.get() {
            Running::Task(task) => self.notify_mask_of(task, target),
            Running::Core1 => 0,
        }
    }

    fn instance(
        &self,
        key: usize,
        name: &'static str,
        init: &dyn Fn() -> Rc<dyn Any>,
    ) -> Rc<dyn Any> {
        let position = self.position(self.running.get());
        let find = |instances: &[Instance]| {
            instances.iter().find(|known| known.key == key).map(|known| Rc::clone(&known.value))
        };
        if let Some(known) = find(&self.instances.borrow()[position]) {
            return known;
        }
        let value = init();
        let instance = Instance { key, name, value: Rc::clone(&value) };
        self.instances.borrow_mut()[position].push(instance);
        value
    }
}
