//! Playback: packets of PCM out of the media pool, at the pace that the device
//! wishes.
//!
//! Packet `n` of the stream stands in slot `n % slots` of the transfer buffer.
//! The buffer's last bytes take feedback packets.
//!
//! Section numbers are those of the xHCI specification 1.2.

use crate::core::{Core, Denied};
use crate::ring::Ring;
use crate::session::{Pipe, Session, Unusable};
use crate::stream::Counters;
use addr::{Bus, Peer};
use dsp_abi::media::PCM;
use dsp_abi::monitor::MEDIA;
use dsp_abi::port;
use trb::{CompletionCode, IOC, Isoch, TransferEvent};
use usb_desc::uac::feedback::Feedback;
use usb_desc::uac::packets::{Pacer, Sizing};
use usb_types::Speed;

/// Packets between two completions that are reported, in a buffer that has room
/// for twice as many: one wake-up in 8 ms at a packet a millisecond.
pub const SPACING: u32 = 8;
/// Most packets queued. More would only delay a stop.
const DEPTH: u32 = 128;
/// Feedback packets queued, and the bytes that each may take.
const FEEDBACK_DEPTH: u32 = 16;
const FEEDBACK_BYTES: u32 = 4;
/// Feedback packets between two completions that are reported.
const FEEDBACK_SPACING: u32 = 4;
/// Bytes moved at a time from the media pool to the transfer buffer.
const CHUNK: usize = 1024;

/// A stream that plays.
#[derive(Debug)]
pub(crate) struct Playing {
    pub(crate) session: Session,
    slot_bytes: u32,
    slots: u32,
    feedback: Peer,
    feedback_bus: Bus,
    feedback_bytes: u32,
    /// Reads what the device wishes, and what is sent for it.
    wish: Feedback,
    pacer: Pacer,
    frames: u32,
    /// Frames that were put into packets.
    sent: u32,
    /// What happened.
    pub(crate) counters: Counters,
}

impl Playing {
    /// Lays the stream out in the session's buffer.
    ///
    /// # Errors
    /// [`Unusable::BufferTooSmall`].
    pub(crate) fn new(session: Session, start: &port::Message) -> Result<Self, Unusable> {
        let feedback_space = FEEDBACK_DEPTH * FEEDBACK_BYTES;
        let slot_bytes = session.sizing.max_bytes().next_multiple_of(4);
        let packets = session.buffer_bytes.saturating_sub(feedback_space);
        let slots = (packets / slot_bytes).min(DEPTH);
        if slots < 2 {
            return Err(Unusable::BufferTooSmall);
        }
        let tail = u64::from(slots * slot_bytes);
        Ok(Self {
            slot_bytes,
            slots,
            feedback: session.buffer.plus(tail),
            feedback_bus: session.buffer_bus.plus(tail),
            feedback_bytes: if session.speed == Speed::Full { 3 } else { 4 },
            wish: Feedback::new(start.rate, session.speed),
            pacer: Pacer::new(session.sizing),
            frames: start.frames,
            sent: 0,
            counters: Counters::default(),
            session,
        })
    }

    const fn data(&self) -> &Ring {
        &self.session.data.ring
    }

    const fn frame_bytes(&self) -> u32 {
        self.session.sizing.frame_bytes as u32
    }

    /// Frames whose packets completed.
    pub(crate) fn played(&self) -> u32 {
        if self.is_over() { self.frames } else { self.sent.saturating_sub(self.queued_frames()) }
    }

    /// Whether the last packet has completed.
    pub(crate) fn is_over(&self) -> bool {
        self.sent == self.frames && self.data().outstanding() == 0
    }

    /// Fills the rings and rings the doorbells.
    ///
    /// # Errors
    /// [`Denied`]: the session is over.
    pub(crate) fn fill(&mut self, core: &impl Core) -> Result<(), Denied> {
        self.fill_feedback(core)?;
        let from = self.data().producer.enqueue();
        // Packets count, not frames: at a slow rate some carry none.
        let before = self.data().produced;
        let spacing = SPACING.min(self.slots / 2);
        while self.sent < self.frames && self.data().outstanding() < self.slots {
            let nominal = u32::from(self.pacer.next_frames());
            let frames = nominal.min(self.frames - self.sent);
            let slot = self.data().produced % self.slots * self.slot_bytes;
            let (filled, bytes) = (frames * self.frame_bytes(), nominal * self.frame_bytes());
            self.copy(core, slot, filled);
            // The last packet is filled up: some devices take whole ones only.
            self.silence(core, slot + filled, bytes - filled);
            self.sent += frames;
            let last = self.sent == self.frames;
            let report = last || (self.data().produced + 1).is_multiple_of(spacing);
            let buffer = self.session.buffer_bus.plus(u64::from(slot));
            let td = self.session.td(buffer, bytes, if report { IOC } else { 0 });
            self.session.data.ring.push(core, &td);
        }
        if self.data().produced != before {
            self.data().publish(core, self.session.number, from)
        } else {
            Ok(())
        }
    }

    /// Takes an event of one of the session's pipes.
    pub(crate) fn take(&mut self, core: &impl Core, pipe: Pipe, event: &TransferEvent) {
        let is_data = pipe == self.session.data.pipe;
        match event.code {
            CompletionCode::Success | CompletionCode::ShortPacket => {}
            CompletionCode::RingUnderrun => {
                // Dry at the end is how a stream ends.
                if is_data && self.sent < self.frames {
                    Counters::count(&mut self.counters.underruns);
                }
                return;
            }
            CompletionCode::RingOverrun => return,
            CompletionCode::MissedService => Counters::count(&mut self.counters.missed),
            _ => Counters::count(&mut self.counters.errors),
        }
        let known = if is_data {
            self.session.data.ring.complete(event.pointer)
        } else {
            self.complete_feedback(core, event.pointer)
        };
        // A missed service may point nowhere (4.10.3.2).
        if !known && event.code != CompletionCode::MissedService {
            Counters::count(&mut self.counters.strange);
        }
    }

    fn complete_feedback(&mut self, core: &impl Core, pointer: Bus) -> bool {
        let Some(sync) = &mut self.session.sync else { return false };
        let before = sync.ring.outstanding();
        let known = sync.ring.complete(pointer);
        if known {
            self.take_feedback(core, before);
        }
        known
    }

    /// Reads the newest of the feedback packets that completed since
    /// `outstanding` were under way, and that was not empty.
    fn take_feedback(&mut self, core: &impl Core, outstanding: u32) {
        let Some(sync) = &self.session.sync else {
            return;
        };
        let oldest = sync.ring.produced.wrapping_sub(outstanding);
        let next = sync.ring.produced.wrapping_sub(sync.ring.outstanding());
        let mut n = next;
        while n != oldest {
            n = n.wrapping_sub(1);
            let mut packet = [0; FEEDBACK_BYTES as usize];
            let packet = &mut packet[..self.feedback_bytes as usize];
            core.read(self.feedback.plus(feedback_slot(n)), packet);
            if packet.iter().any(|&byte| byte != 0) {
                match self.wish.read(packet) {
                    Ok(frames) => self.pacer.follow(frames),
                    Err(_) => Counters::count(&mut self.counters.strange),
                }
                return;
            }
        }
    }

    fn fill_feedback(&mut self, core: &impl Core) -> Result<(), Denied> {
        let Some(Ring { producer, produced: before, .. }) =
            self.session.sync.as_ref().map(|sync| sync.ring)
        else {
            return Ok(());
        };
        let from = producer.enqueue();
        while let Some(sync) = &self.session.sync
            && sync.ring.outstanding() < FEEDBACK_DEPTH
        {
            let n = sync.ring.produced;
            // Zeros tell an empty packet from a value.
            core.write(self.feedback.plus(feedback_slot(n)), &[0; FEEDBACK_BYTES as usize]);
            let report = (n + 1).is_multiple_of(FEEDBACK_SPACING);
            let buffer = self.feedback_bus.plus(feedback_slot(n));
            let td = Isoch {
                max_packet: self.feedback_bytes as u16,
                max_burst: 0,
                ..self.session.td(buffer, self.feedback_bytes, if report { IOC } else { 0 })
            };
            if let Some(sync) = &mut self.session.sync {
                sync.ring.push(core, &td);
            }
        }
        match &self.session.sync {
            Some(sync) if sync.ring.produced != before => {
                sync.ring.publish(core, self.session.number, from)
            }
            _ => Ok(()),
        }
    }

    /// Moves `bytes` of PCM from where the stream is to the buffer.
    fn copy(&self, core: &impl Core, slot: u32, bytes: u32) {
        let mut chunk = [0; CHUNK];
        let source = u64::from(PCM) + u64::from(self.sent) * u64::from(self.frame_bytes());
        let mut done = 0;
        while done < bytes {
            let step = (bytes - done).min(CHUNK as u32);
            let chunk = &mut chunk[..step as usize];
            core.read(MEDIA.plus(source + u64::from(done)), chunk);
            core.write(self.session.buffer.plus(u64::from(slot + done)), chunk);
            done += step;
        }
    }

    fn silence(&self, core: &impl Core, at: u32, bytes: u32) {
        const ZEROS: [u8; CHUNK] = [0; CHUNK];
        let mut done = 0;
        while done < bytes {
            let step = (bytes - done).min(CHUNK as u32);
            core.write(self.session.buffer.plus(u64::from(at + done)), &ZEROS[..step as usize]);
            done += step;
        }
    }

    /// Frames in packets that did not complete, at the nominal rate.
    fn queued_frames(&self) -> u32 {
        let Sizing { rate, packets, .. } = *self.pacer.sizing();
        (u64::from(self.data().outstanding()) * u64::from(rate) / u64::from(packets)) as u32
    }
}

fn feedback_slot(n: u32) -> u64 {
    u64::from(n % FEEDBACK_DEPTH * FEEDBACK_BYTES)
}
