//! What a session still needs, and taking it in.

use iommu_api::{Access, Part};
use usb_types::Direction;

use super::{Complete, Facts, Held, Mapped, dci};
use crate::ops::{Op, Reply};
use crate::refusal::Refusal;

/// What a session that gathers needs next.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// An operation of a server.
    Ask(Op),
    /// A vote.
    Vote,
    /// Pages for its buffer.
    Buffer {
        /// How many.
        pages: u16,
    },
    /// Nothing: all is there.
    Nothing,
}

/// A request was accepted; resources are being gathered.
#[derive(Debug)]
pub struct Reserved {
    /// What is known.
    pub facts: Facts,
    /// What was gathered.
    pub held: Held,
}

impl Reserved {
    /// Nothing gathered yet.
    #[must_use]
    pub fn new(facts: Facts) -> Self {
        Self { facts, held: Held::default() }
    }

    /// The first thing that is missing, in the order of the Linux service
    /// (3.6), but for the mappings: all of them come when the windows' owner is
    /// known to be able to drive them.
    #[must_use]
    pub fn need(&self) -> Need {
        let (held, wanted) = (&self.held, &self.facts.wanted);
        let Some(stream) = held.stream else {
            return Need::Ask(Op::Open(wanted.stream, wanted.format));
        };
        let Some(description) = &held.description else {
            return Need::Ask(Op::Describe(stream));
        };
        let Some(sideband) = held.sideband else {
            return Need::Ask(Op::Register(wanted.device.slot));
        };
        if held.data.is_none() {
            return Need::Ask(Op::AddEndpoint(sideband, dci(description.data_address)));
        }
        if let (None, Some(sync)) = (held.sync, description.sync_address) {
            return Need::Ask(Op::AddEndpoint(sideband, dci(sync)));
        }
        if !held.vote {
            return Need::Vote;
        }
        if held.interrupter.is_none() {
            return Need::Ask(Op::CreateInterrupter(sideband));
        }
        let Some(window) = held.window else {
            return Need::Ask(Op::OpenWindow { controller: wanted.device.controller });
        };
        let Some(rings) = held.rings else {
            return Need::Ask(Op::Place(sideband, window));
        };
        if held.peer.event.is_none() {
            let grant = rings.event.grant;
            return Need::Ask(Op::MapPeer(window, Part::EventRing, grant, Access::Read));
        }
        if held.peer.data.is_none() {
            let grant = rings.data.grant;
            return Need::Ask(Op::MapPeer(window, Part::DataRing, grant, Access::ReadWrite));
        }
        if let (None, Some(sync)) = (held.peer.sync, rings.sync) {
            return Need::Ask(Op::MapPeer(window, Part::SyncRing, sync.grant, Access::ReadWrite));
        }
        let Some(buffer) = held.buffer else {
            // At most 24 pages.
            return Need::Buffer { pages: (wanted.buffer_bytes / addr::PAGE) as u16 };
        };
        if held.buffer_bus.is_none() {
            // Samples are read from it; feedback and recordings are written.
            let written = [Some(description.data_address), description.sync_address]
                .into_iter()
                .flatten()
                .any(|address| address.direction() == Direction::In);
            let access = if written { Access::ReadWrite } else { Access::Read };
            return Need::Ask(Op::PlaceBuffer(window, buffer, access));
        }
        let Some(grant) = held.buffer_grant else {
            return Need::Ask(Op::GrantBuffer(buffer));
        };
        if held.peer.buffer.is_none() {
            return Need::Ask(Op::MapPeer(window, Part::Buffer, grant, Access::ReadWrite));
        }
        Need::Nothing
    }

    /// Notes what `op` brought.
    ///
    /// # Errors
    /// When the broker cannot use it: an interrupter whose number does not fit
    /// the response, or an answer that does not belong to the operation. It is
    /// noted all the same, so that it is given back.
    pub fn gathered(&mut self, op: Op, reply: Reply) -> Result<(), Refusal> {
        let held = &mut self.held;
        match (op, reply) {
            (Op::Open(..), Reply::Opened(stream)) => held.stream = Some(stream),
            (Op::Describe(_), Reply::Described(description)) => {
                held.description = Some(description);
            }
            (Op::Register(_), Reply::Registered(sideband)) => held.sideband = Some(sideband),
            (Op::AddEndpoint(_, dci), Reply::Done) if held.data.is_none() => held.data = Some(dci),
            (Op::AddEndpoint(_, dci), Reply::Done) => held.sync = Some(dci),
            (Op::CreateInterrupter(_), Reply::Interrupter(number)) => {
                held.interrupter = Some(number as u8);
                if number > u16::from(u8::MAX) {
                    return Err(Refusal::InterrupterRange);
                }
            }
            (Op::OpenWindow { .. }, Reply::Window(window)) => held.window = Some(window),
            (Op::Place(..), Reply::Placed(placement)) => held.rings = Some(placement),
            (Op::MapPeer(_, part, ..), Reply::Mapped(at)) => {
                let place = match part {
                    Part::EventRing => &mut held.peer.event,
                    Part::DataRing => &mut held.peer.data,
                    Part::SyncRing => &mut held.peer.sync,
                    Part::Buffer => &mut held.peer.buffer,
                };
                *place = Some(at);
            }
            (Op::PlaceBuffer(..), Reply::BufferPlaced(bus)) => held.buffer_bus = Some(bus),
            (Op::GrantBuffer(_), Reply::BufferGranted(grant)) => held.buffer_grant = Some(grant),
            _ => return Err(Refusal::BrokerDefect),
        }
        Ok(())
    }

    /// Goes on when everything was gathered.
    ///
    /// # Errors
    /// Itself, when something is missing.
    #[expect(clippy::result_large_err, reason = "there is no heap to box it on")]
    pub fn mapped(self) -> Result<Mapped, Self> {
        let held = &self.held;
        let complete = (|| {
            Some(Complete {
                sideband: held.sideband?,
                description: held.description?,
                interrupter: held.interrupter?,
                rings: held.rings?,
                event: held.peer.event?,
                data: held.peer.data?,
                sync: held.peer.sync,
                buffer: held.peer.buffer?,
                buffer_bus: held.buffer_bus?,
            })
        })();
        match complete {
            Some(complete) if self.need() == Need::Nothing => {
                Ok(Mapped { facts: self.facts, held: self.held, complete })
            }
            _ => Err(self),
        }
    }
}
