//! Registers and memory without a kernel: a bench for driver code.
//!
//! What of a driver makes no system call can be run against models of its
//! devices alone. A test gives the bus ([`Bench`]), wraps it in [`OnBench`] and
//! installs that.

use std::any::Any;
use std::rc::Rc;

use crate::{Barrier, Machine, MonitorCall, Registers, Width};

/// The bus of a bench.
pub trait Bench {
    /// As [`Machine::mmio_read`].
    fn mmio_read(&self, address: u64, width: Width) -> u32;

    /// As [`Machine::mmio_write`].
    fn mmio_write(&self, address: u64, width: Width, value: u32);

    /// As [`Machine::dma_read`].
    fn dma_read(&self, address: u64, into: &mut [u8]);

    /// As [`Machine::dma_write`].
    fn dma_write(&self, address: u64, from: &[u8]);

    /// As [`Machine::barrier`].
    fn barrier(&self, kind: Barrier);

    /// As [`Machine::hand_out`].
    fn hand_out(&self, first: u64, count: u32) {
        let _ = (first, count);
    }

    /// As [`Machine::take_back`].
    fn take_back(&self, first: u64, count: u32) {
        let _ = (first, count);
    }
}

/// A machine that is nothing but a [`Bench`]. Whatever needs a kernel or a
/// monitor panics; statics are the thread's, as in a unit test.
#[derive(Copy, Clone, Debug)]
pub struct OnBench<B>(pub B);

impl<B: Bench> Machine for OnBench<B> {
    unsafe fn syscall(&self, registers: &mut Registers) {
        panic!("a system call on a bench: {registers:?}");
    }

    fn mmio_read(&self, address: u64, width: Width) -> u32 {
        self.0.mmio_read(address, width)
    }

    fn mmio_write(&self, address: u64, width: Width, value: u32) {
        self.0.mmio_write(address, width, value);
    }

    fn dma_read(&self, address: u64, into: &mut [u8]) {
        self.0.dma_read(address, into);
    }

    fn dma_write(&self, address: u64, from: &[u8]) {
        self.0.dma_write(address, from);
    }

    fn barrier(&self, kind: Barrier) {
        self.0.barrier(kind);
    }

    fn hand_out(&self, first: u64, count: u32) {
        self.0.hand_out(first, count);
    }

    fn take_back(&self, first: u64, count: u32) {
        self.0.take_back(first, count);
    }

    fn monitor(&self, call: MonitorCall) -> [u32; 4] {
        panic!("a call to the monitor on a bench: {call:?}");
    }

    fn peer_read(&self, address: u64, _: &mut [u8]) {
        panic!("a read of the peer's space on a bench: {address:#x}");
    }

    fn peer_write(&self, address: u64, _: &[u8]) {
        panic!("a write of the peer's space on a bench: {address:#x}");
    }

    fn task_slot(&self, name: &str) -> Option<u16> {
        panic!("a task slot on a bench: {name}");
    }

    fn notify_mask(&self, target: u16) -> u32 {
        panic!("a notification on a bench: to {target}");
    }

    fn instance(&self, key: usize, _: &'static str, init: &dyn Fn() -> Rc<dyn Any>) -> Rc<dyn Any> {
        crate::of_thread(key, init)
    }
}
