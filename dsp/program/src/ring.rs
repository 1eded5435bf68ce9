//! Rings that the program produces.

use crate::core::{Core, Denied, RingPage, answer};
use addr::{Bus, Peer};
use dsp_abi::monitor::Call;
use qmi::Region;
use trb::{Isoch, PER_PAGE, ProducerRing};

/// A ring that the program produces.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Ring {
    /// Which one, for the monitor.
    number: u32,
    /// Where the program writes it.
    shadow: Peer,
    /// Where the controller reads it.
    bus: Bus,
    pub(crate) producer: ProducerRing,
    /// Transfer descriptors produced since the start: the buffer slots go round
    /// with this, at their own length.
    pub(crate) produced: u32,
}

impl Ring {
    pub(crate) fn new(core: &impl Core, number: u32, region: &Region) -> Self {
        let ring = Self {
            number,
            shadow: region.iova,
            bus: region.dma,
            producer: ProducerRing::new(PER_PAGE),
            produced: 0,
        };
        ring.producer.init(&RingPage { core, at: ring.shadow }, ring.bus);
        ring
    }

    pub(crate) fn outstanding(&self) -> u32 {
        u32::from(self.producer.used())
    }

    pub(crate) fn push(&mut self, core: &impl Core, td: &Isoch) {
        let page = RingPage { core, at: self.shadow };
        self.producer.push(&page, &[td.trb()]).expect("fewer packets than places");
        self.produced = self.produced.wrapping_add(1);
    }

    /// Publishes what was produced from place `from` on, and rings.
    pub(crate) fn publish(&self, core: &impl Core, session: u32, from: u16) -> Result<(), Denied> {
        let to = self.producer.enqueue();
        let publish = |first: u16, count: u16| {
            let arguments = [session, self.number, u32::from(first), u32::from(count), 0];
            answer(core.call(Call::Publish, arguments)).map(|_| ())
        };
        if from <= to {
            publish(from, to - from)?;
        } else {
            // The Link goes with the round that it ends.
            publish(from, PER_PAGE - from)?;
            if to != 0 {
                publish(0, to)?;
            }
        }
        answer(core.call(Call::Doorbell, [session, self.number, 0, 0, 0])).map(|_| ())
    }

    /// Takes the completion of the descriptor at `pointer`: it and all before
    /// it are done. Answers whether the pointer names one that is under way.
    pub(crate) fn complete(&mut self, pointer: Bus) -> bool {
        self.producer
            .index_of(self.bus, pointer)
            .is_some_and(|place| self.producer.completed(place))
    }
}
