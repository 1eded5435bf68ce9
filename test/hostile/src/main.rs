//! The hostile program on a board.

#![no_std]
#![no_main]

mod anywhere;
mod desk;

use addr::Peer;
use core1::{SPACE_END, Supervised};
use dsp_abi::monitor::Call;
use hostile::{Master, Order, Tally};
use program::core::Core;

core1::program!(hostile::run(&Commanded));

/// Commanded by whoever sees the board's memory.
struct Commanded;

impl Master for Commanded {
    fn raw(&self, call: [u32; 6]) -> [u32; 4] {
        Supervised.raw(call)
    }

    fn order(&self) -> Option<Order> {
        desk::order()
    }

    fn report(&self, tally: &Tally) {
        desk::report(tally);
    }

    fn done(&self, order: &Order) {
        desk::done(order.sequence);
    }
}

impl Core for Commanded {
    fn call(&self, call: Call, arguments: [u32; 5]) -> [u32; 4] {
        Supervised.call(call, arguments)
    }

    fn read(&self, at: Peer, into: &mut [u8]) {
        match into.as_mut_array::<4>() {
            Some(word) if at >= SPACE_END => *word = anywhere::read(at).to_le_bytes(),
            _ => Supervised.read(at, into),
        }
    }

    fn write(&self, at: Peer, from: &[u8]) {
        match from.as_array::<4>() {
            Some(word) if at >= SPACE_END => anywhere::write(at, u32::from_le_bytes(*word)),
            _ => Supervised.write(at, from),
        }
    }
}
