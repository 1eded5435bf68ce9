//! Who tells the program what to try: the test, through a cell or two.

use addr::Peer;
use dsp_abi::monitor::Call;
use hostile::{Master, Order, Tally};
use program::core::{Core, Simulated};
use std::cell::Cell;
use std::rc::Rc;

/// What test and program share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// What the program is to try next.
    pub(crate) order: Cell<Option<Order>>,
    /// What its last life that tried anything was answered.
    pub(crate) tally: Cell<Tally>,
    /// Lives that were begun.
    pub(crate) lives: Cell<u32>,
    /// An order was carried out to its end.
    pub(crate) done: Cell<bool>,
}

/// Runs one life of the program.
pub(crate) fn run(shared: &Rc<Shared>) -> ! {
    shared.lives.set(shared.lives.get() + 1);
    hostile::run(&Commanded { shared: Rc::clone(shared) })
}

struct Commanded {
    shared: Rc<Shared>,
}

impl Master for Commanded {
    fn raw(&self, call: [u32; 6]) -> [u32; 4] {
        seam::with(|machine| machine.monitor(call))
    }

    fn order(&self) -> Option<Order> {
        self.shared.order.take()
    }

    fn report(&self, tally: &Tally) {
        self.shared.tally.set(*tally);
    }

    fn done(&self, _: &Order) {
        self.shared.done.set(true);
    }
}

impl Core for Commanded {
    fn call(&self, call: Call, arguments: [u32; 5]) -> [u32; 4] {
        Simulated.call(call, arguments)
    }

    fn read(&self, at: Peer, into: &mut [u8]) {
        Simulated.read(at, into);
    }

    fn write(&self, at: Peer, from: &[u8]) {
        Simulated.write(at, from);
    }
}
