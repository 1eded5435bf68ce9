//! Capture: packets as the device fills them, one behind the other into the
//! recording pool.
//!
//! How long a packet is says its event alone, so every packet has one; only
//! every eighth rings.
//!
//! Section numbers are those of the xHCI specification 1.2.

use crate::core::{Core, Denied};
use crate::session::{Session, Unusable};
use crate::stream::Counters;
use dsp_abi::monitor::{RECORDING, RECORDING_BYTES};
use dsp_abi::port;
use trb::{BEI, CompletionCode, IOC, TransferEvent};

/// Packets between two events that ring: one wake-up in 8 ms at a packet a
/// millisecond.
const SPACING: u32 = 8;
/// Most packets queued, half of what an event ring holds.
const DEPTH: u32 = 64;
/// Bytes moved at a time from the transfer buffer to the recording pool.
const CHUNK: usize = 1024;

/// A stream that records.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) session: Session,
    /// Bytes that a packet can have, and that its place in the buffer takes.
    packet_bytes: u32,
    slot_bytes: u32,
    slots: u32,
    /// Bytes wanted, and bytes in the recording pool.
    wanted: u32,
    stored: u32,
    /// What happened.
    pub(crate) counters: Counters,
}

impl Recording {
    /// Lays the stream out in the session's buffer.
    ///
    /// # Errors
    /// [`Unusable::BufferTooSmall`], [`Unusable::TooLong`].
    pub(crate) fn new(session: Session, start: &port::Message) -> Result<Self, Unusable> {
        let packet_bytes = session.room();
        let slot_bytes = packet_bytes.next_multiple_of(4).max(4);
        let slots = (session.buffer_bytes / slot_bytes).min(DEPTH);
        if slots < 2 {
            return Err(Unusable::BufferTooSmall);
        }
        let wanted = start.frames.checked_mul(u32::from(session.sizing.frame_bytes));
        let wanted = wanted.filter(|&bytes| bytes <= RECORDING_BYTES).ok_or(Unusable::TooLong)?;
        let counters = Counters::default();
        Ok(Self { session, packet_bytes, slot_bytes, slots, wanted, stored: 0, counters })
    }

    /// Frames in the recording pool.
    pub(crate) fn recorded(&self) -> u32 {
        self.stored / u32::from(self.session.sizing.frame_bytes)
    }

    /// Whether all that was wanted is there. What is still queued is not waited
    /// for: it is stopped with its endpoint.
    pub(crate) const fn is_over(&self) -> bool {
        self.stored == self.wanted
    }

    /// Fills the ring and rings the doorbell.
    ///
    /// # Errors
    /// [`Denied`]: the session is over.
    pub(crate) fn fill(&mut self, core: &impl Core) -> Result<(), Denied> {
        let ring = self.session.data.ring;
        let from = ring.producer.enqueue();
        let spacing = SPACING.min(self.slots / 2);
        while !self.is_over() && self.session.data.ring.outstanding() < self.slots {
            let n = self.session.data.ring.produced;
            let rings = (n + 1).is_multiple_of(spacing);
            let buffer = self.session.buffer_bus.plus(self.slot(n));
            let flags = if rings { IOC } else { IOC | BEI };
            let td = self.session.td(buffer, self.packet_bytes, flags);
            self.session.data.ring.push(core, &td);
        }
        if self.session.data.ring.produced != ring.produced {
            self.session.data.ring.publish(core, self.session.number, from)
        } else {
            Ok(())
        }
    }

    /// Takes an event of the session's.
    pub(crate) fn take(&mut self, core: &impl Core, event: &TransferEvent) {
        match event.code {
            CompletionCode::Success | CompletionCode::ShortPacket => {}
            CompletionCode::RingOverrun => {
                if !self.is_over() {
                    Counters::count(&mut self.counters.underruns);
                }
                return;
            }
            CompletionCode::RingUnderrun => return,
            CompletionCode::MissedService => Counters::count(&mut self.counters.missed),
            _ => Counters::count(&mut self.counters.errors),
        }
        let ring = &mut self.session.data.ring;
        let oldest = ring.produced.wrapping_sub(ring.outstanding());
        if ring.complete(event.pointer) {
            let next = ring.produced.wrapping_sub(ring.outstanding());
            // Packets before it that had no event of their own were missed.
            let unheard = next.wrapping_sub(oldest).saturating_sub(1);
            self.counters.missed = self.counters.missed.wrapping_add(unheard);
            if matches!(event.code, CompletionCode::Success | CompletionCode::ShortPacket) {
                let bytes = self.packet_bytes.saturating_sub(event.residual);
                self.store(core, next.wrapping_sub(1), bytes);
            }
        } else if event.code != CompletionCode::MissedService {
            // A missed service may point nowhere (4.10.3.2).
            Counters::count(&mut self.counters.strange);
        }
    }

    /// Where packet `n` is in the buffer.
    fn slot(&self, n: u32) -> u64 {
        u64::from(n % self.slots * self.slot_bytes)
    }

    /// Moves what came in packet `n` behind what is there already.
    fn store(&mut self, core: &impl Core, n: u32, bytes: u32) {
        let bytes = bytes.min(self.wanted - self.stored);
        let from = self.session.buffer.plus(self.slot(n));
        let mut chunk = [0; CHUNK];
        let mut done = 0;
        while done < bytes {
            let step = (bytes - done).min(CHUNK as u32);
            let chunk = &mut chunk[..step as usize];
            core.read(from.plus(u64::from(done)), chunk);
            core.write(RECORDING.plus(u64::from(self.stored + done)), chunk);
            done += step;
        }
        self.stored += bytes;
    }
}
