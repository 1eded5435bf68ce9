//! One stream: from the memory that an enable response names to its last packet.
//!
//! The transfer ring that the program writes is the shadow ring; the monitor
//! publishes from it. Packet `n` of the stream stands in slot `n % slots` of the
//! transfer buffer. The buffer's last bytes take feedback packets.
//!
//! Section numbers are those of the xHCI specification 1.2.

use crate::core::{Core, Denied, RingPage, answer};
use addr::{Bus, Peer};
use dsp_abi::media::PCM;
use dsp_abi::monitor::{Call, MEDIA};
use dsp_abi::port;
use qmi::{MemoryInfo, Region, StreamResponse};
use trb::{
    CompletionCode, ConsumerRing, Event, IOC, InterrupterId, Isoch, PER_PAGE, ProducerRing, Start,
    TransferEvent, Trb,
};
use usb_desc::uac::feedback::Feedback;
use usb_desc::uac::packets::{Pacer, Sizing};
use usb_types::Speed;

/// Packets between two completions that are reported: one wake-up in 8 ms at a
/// packet a millisecond.
const SPACING: u32 = 8;
/// Most packets queued. More would only delay a stop.
const DEPTH: u32 = 128;
/// Feedback packets queued, and the bytes that each may take.
const FEEDBACK_DEPTH: u32 = 16;
const FEEDBACK_BYTES: u32 = 4;
/// Feedback packets between two completions that are reported.
const FEEDBACK_SPACING: u32 = 4;
/// A TRB's buffer must not cross a boundary of this many bytes (6.4.1).
const BOUNDARY: u64 = 0x1_0000;
/// Bytes moved at a time from the media pool to the transfer buffer.
const CHUNK: usize = 1024;

/// Data ring and sync ring, as monitor calls number them.
const DATA: u32 = 0;
const SYNC: u32 = 1;

/// Why a response's memory cannot be used. The stream is disabled again.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// A TLV that a running stream needs is missing.
    Missing,
    /// The speed is none that isochronous endpoints have.
    Speed,
    /// The endpoint cannot carry the rate.
    Rate,
    /// The transfer buffer does not hold two packets.
    BufferTooSmall,
    /// The monitor knows no session with that event ring.
    NoSession,
}

/// The addresses as this core uses them: what stands above 32 bits names the
/// stream of its bus and exists in messages only.
fn untagged(memory: &MemoryInfo) -> MemoryInfo {
    let strip = |region: Region| Region { iova: Peer(u64::from(region.iova.low())), ..region };
    MemoryInfo {
        evt_ring: strip(memory.evt_ring),
        tr_data: strip(memory.tr_data),
        tr_sync: strip(memory.tr_sync),
        xfer_buff: strip(memory.xfer_buff),
        dcba: strip(memory.dcba),
    }
}

/// A ring that the program produces.
#[derive(Copy, Clone, Debug)]
struct Ring {
    /// Which one, for the monitor.
    number: u32,
    /// Where the program writes it.
    shadow: Peer,
    /// Where the controller reads it.
    bus: Bus,
    producer: ProducerRing,
    /// Transfer descriptors produced since the start: the buffer slots go round
    /// with this, at their own length.
    produced: u32,
}

impl Ring {
    fn new(core: &impl Core, number: u32, region: &Region) -> Self {
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

    fn outstanding(&self) -> u32 {
        u32::from(self.producer.used())
    }

    fn push(&mut self, core: &impl Core, td: &Isoch) {
        let page = RingPage { core, at: self.shadow };
        self.producer.push(&page, &[td.trb()]).expect("fewer packets than places");
        self.produced = self.produced.wrapping_add(1);
    }

    /// Publishes what was produced from place `from` on, and rings.
    fn publish(&self, core: &impl Core, session: u32, from: u16) -> Result<(), Denied> {
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
    fn complete(&mut self, pointer: Bus) -> bool {
        self.producer
            .index_of(self.bus, pointer)
            .is_some_and(|place| self.producer.completed(place))
    }
}

/// What a running stream has counted.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Times that the ring ran dry with sound left to play (4.10.3.1).
    pub underruns: u32,
    /// Service opportunities that the controller missed (4.10.3.2).
    pub missed: u32,
    /// Packets that completed with another error.
    pub errors: u32,
    /// Events that made no sense.
    pub strange: u32,
}

/// A stream with memory of its own.
#[derive(Debug)]
pub struct Playing {
    session: u32,
    interrupter: InterrupterId,
    packet_size: u16,
    max_burst: u8,
    data: Ring,
    sync: Option<Ring>,
    event_ring: Peer,
    events: ConsumerRing,
    buffer: Peer,
    buffer_bus: Bus,
    slot_bytes: u32,
    slots: u32,
    feedback: Peer,
    feedback_bus: Bus,
    feedback_bytes: u32,
    /// Reads what the device wishes, and what is sent for it.
    wish: Feedback,
    pacer: Pacer,
    frame_bytes: u32,
    frames: u32,
    /// Frames that were put into packets.
    sent: u32,
    /// What happened.
    pub counters: Counters,
}

impl Playing {
    /// Lays the stream out in the memory that `response` names.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub fn new(
        core: &impl Core,
        start: &port::Message,
        response: &StreamResponse,
    ) -> Result<Self, Unusable> {
        let memory = untagged(&response.xhci_mem_info.ok_or(Unusable::Missing)?);
        let endpoint = response.std_as_data_ep_desc.ok_or(Unusable::Missing)?;
        let subslot = response.usb_audio_subslot_size.ok_or(Unusable::Missing)?;
        let interrupter = response.interrupter_num.ok_or(Unusable::Missing)?;
        let interrupter =
            InterrupterId::new(u16::from(interrupter)).map_err(|_| Unusable::Missing)?;
        let speed = match response.speed_info.ok_or(Unusable::Missing)? {
            qmi::Speed::FULL => Speed::Full,
            qmi::Speed::HIGH => Speed::High,
            qmi::Speed::SUPER | qmi::Speed::SUPER_PLUS => Speed::Super,
            _ => return Err(Unusable::Speed),
        };
        // 10:0 is the size, 12:11 further transactions (USB 2.0 table 9-13).
        let packet_size = endpoint.max_packet & 0x7FF;
        let max_burst = (endpoint.max_packet >> 11 & 3) as u8;
        let room = u32::from(packet_size) * (1 + u32::from(max_burst));
        let frame_bytes = start.channels * u32::from(subslot);
        let sizing = sizing(start.rate, frame_bytes, room, speed, endpoint.interval)
            .ok_or(Unusable::Rate)?;

        let [session, ..] =
            answer(core.call(Call::FindSession, [memory.evt_ring.iova.low(), 0, 0, 0, 0]))
                .map_err(|_| Unusable::NoSession)?;

        let (skip, usable) = within_boundary(memory.xfer_buff.dma, memory.xfer_buff.size);
        let feedback_space = FEEDBACK_DEPTH * FEEDBACK_BYTES;
        let slot_bytes = sizing.max_bytes().next_multiple_of(4);
        let slots = (usable.saturating_sub(feedback_space) / slot_bytes).min(DEPTH);
        if slots < 2 {
            return Err(Unusable::BufferTooSmall);
        }
        let tail = u64::from(skip) + u64::from(slots * slot_bytes);
        let sync = response
            .std_as_sync_ep_desc
            .filter(|_| memory.tr_sync.size != 0)
            .map(|_| Ring::new(core, SYNC, &memory.tr_sync));
        Ok(Self {
            session,
            interrupter,
            packet_size,
            max_burst,
            data: Ring::new(core, DATA, &memory.tr_data),
            sync,
            event_ring: memory.evt_ring.iova,
            events: ConsumerRing::new(PER_PAGE),
            buffer: memory.xfer_buff.iova.plus(u64::from(skip)),
            buffer_bus: memory.xfer_buff.dma.plus(u64::from(skip)),
            slot_bytes,
            slots,
            feedback: memory.xfer_buff.iova.plus(tail),
            feedback_bus: memory.xfer_buff.dma.plus(tail),
            feedback_bytes: if speed == Speed::Full { 3 } else { 4 },
            wish: Feedback::new(start.rate, speed),
            pacer: Pacer::new(sizing),
            frame_bytes,
            frames: start.frames,
            sent: 0,
            counters: Counters::default(),
        })
    }

    /// The monitor's number of the session.
    #[must_use]
    pub const fn session(&self) -> u32 {
        self.session
    }

    /// Nanoseconds from packet to packet.
    #[must_use]
    pub fn period_ns(&self) -> u64 {
        1_000_000_000 / u64::from(self.pacer.sizing().packets)
    }

    /// Frames whose packets completed.
    #[must_use]
    pub fn played(&self) -> u32 {
        if self.is_over() { self.frames } else { self.sent.saturating_sub(self.queued_frames()) }
    }

    /// Whether the last packet has completed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.sent == self.frames && self.data.outstanding() == 0
    }

    /// Fills the rings and rings the doorbells.
    ///
    /// # Errors
    /// [`Denied`]: the session is over.
    pub fn fill(&mut self, core: &impl Core) -> Result<(), Denied> {
        self.fill_feedback(core)?;
        let from = self.data.producer.enqueue();
        // Packets count, not frames: at a slow rate some carry none.
        let before = self.data.produced;
        let spacing = SPACING.min(self.slots / 2);
        while self.sent < self.frames && self.data.outstanding() < self.slots {
            let nominal = u32::from(self.pacer.next_frames());
            let frames = nominal.min(self.frames - self.sent);
            let slot = self.data.produced % self.slots * self.slot_bytes;
            self.copy(core, slot, frames * self.frame_bytes);
            // The last packet is filled up: some devices take whole ones only.
            let bytes = nominal * self.frame_bytes;
            self.silence(core, slot + frames * self.frame_bytes, bytes - frames * self.frame_bytes);
            self.sent += frames;
            let last = self.sent == self.frames;
            let report = last || (self.data.produced + 1).is_multiple_of(spacing);
            let td = self.td(self.buffer_bus.plus(u64::from(slot)), bytes, report);
            self.data.push(core, &td);
        }
        if self.data.produced != before {
            self.data.publish(core, self.session, from)
        } else {
            Ok(())
        }
    }

    fn td(&self, buffer: Bus, length: u32, report: bool) -> Isoch {
        Isoch {
            buffer,
            length,
            max_packet: self.packet_size,
            max_burst: self.max_burst,
            start: Start::Asap,
            interrupter: self.interrupter,
            flags: if report { IOC } else { 0 },
        }
    }

    /// Takes all events off the session's ring.
    ///
    /// # Errors
    /// [`Denied`]: the session is over.
    pub fn events(&mut self, core: &impl Core) -> Result<(), Denied> {
        let mut taken = false;
        // A ring full of events is all that there can be at once.
        for _ in 0..PER_PAGE {
            let page = RingPage { core, at: self.event_ring };
            let Some(trb) = self.events.next(&page) else {
                break;
            };
            self.take(core, trb);
            taken = true;
        }
        if taken {
            let dequeue = u32::from(self.events.dequeue());
            answer(core.call(Call::Dequeue, [self.session, dequeue, 0, 0, 0]))?;
        }
        Ok(())
    }

    fn take(&mut self, core: &impl Core, trb: Trb) {
        let Event::Transfer(TransferEvent { pointer, code, .. }) = Event::decode(trb) else {
            self.counters.strange = self.counters.strange.wrapping_add(1);
            return;
        };
        let counter = match code {
            CompletionCode::Success | CompletionCode::ShortPacket => None,
            CompletionCode::RingUnderrun => {
                // Dry at the end is how a stream ends.
                if self.sent < self.frames {
                    self.counters.underruns = self.counters.underruns.wrapping_add(1);
                }
                return;
            }
            CompletionCode::RingOverrun => return,
            CompletionCode::MissedService => Some(&mut self.counters.missed),
            _ => Some(&mut self.counters.errors),
        };
        if let Some(counter) = counter {
            *counter = counter.wrapping_add(1);
        }
        if self.data.complete(pointer) {
            return;
        }
        let before = self.sync.as_ref().map_or(0, Ring::outstanding);
        if self.sync.as_mut().is_some_and(|sync| sync.complete(pointer)) {
            self.take_feedback(core, before);
        } else if code != CompletionCode::MissedService {
            // A missed service may point nowhere (4.10.3.2).
            self.counters.strange = self.counters.strange.wrapping_add(1);
        }
    }

    /// Reads the newest of the feedback packets that completed since
    /// `outstanding` were under way, and that was not empty.
    fn take_feedback(&mut self, core: &impl Core, outstanding: u32) {
        let Some(sync) = &self.sync else {
            return;
        };
        let oldest = sync.produced.wrapping_sub(outstanding);
        let next = sync.produced.wrapping_sub(sync.outstanding());
        let mut n = next;
        while n != oldest {
            n = n.wrapping_sub(1);
            let mut packet = [0; FEEDBACK_BYTES as usize];
            let packet = &mut packet[..self.feedback_bytes as usize];
            core.read(self.feedback.plus(feedback_slot(n)), packet);
            if packet.iter().any(|&byte| byte != 0) {
                match self.wish.read(packet) {
                    Ok(frames) => self.pacer.follow(frames),
                    Err(_) => self.counters.strange = self.counters.strange.wrapping_add(1),
                }
                return;
            }
        }
    }

    fn fill_feedback(&mut self, core: &impl Core) -> Result<(), Denied> {
        let Some(mut sync) = self.sync else {
            return Ok(());
        };
        let from = sync.producer.enqueue();
        let before = sync.produced;
        while sync.outstanding() < FEEDBACK_DEPTH {
            let n = sync.produced;
            // Zeros tell an empty packet from a value.
            core.write(self.feedback.plus(feedback_slot(n)), &[0; FEEDBACK_BYTES as usize]);
            let report = (n + 1).is_multiple_of(FEEDBACK_SPACING);
            let buffer = self.feedback_bus.plus(feedback_slot(n));
            let td = Isoch {
                max_packet: self.feedback_bytes as u16,
                max_burst: 0,
                ..self.td(buffer, self.feedback_bytes, report)
            };
            sync.push(core, &td);
        }
        self.sync = Some(sync);
        if sync.produced != before { sync.publish(core, self.session, from) } else { Ok(()) }
    }

    /// Moves `bytes` of PCM from where the stream is to the buffer.
    fn copy(&self, core: &impl Core, slot: u32, bytes: u32) {
        let mut chunk = [0; CHUNK];
        let source = u64::from(PCM) + u64::from(self.sent) * u64::from(self.frame_bytes);
        let mut done = 0;
        while done < bytes {
            let step = (bytes - done).min(CHUNK as u32);
            let chunk = &mut chunk[..step as usize];
            core.read(MEDIA.plus(source + u64::from(done)), chunk);
            core.write(self.buffer.plus(u64::from(slot + done)), chunk);
            done += step;
        }
    }

    fn silence(&self, core: &impl Core, at: u32, bytes: u32) {
        const ZEROS: [u8; CHUNK] = [0; CHUNK];
        let mut done = 0;
        while done < bytes {
            let step = (bytes - done).min(CHUNK as u32);
            core.write(self.buffer.plus(u64::from(at + done)), &ZEROS[..step as usize]);
            done += step;
        }
    }

    /// Frames in packets that did not complete, at the nominal rate.
    fn queued_frames(&self) -> u32 {
        let Sizing { rate, packets, .. } = *self.pacer.sizing();
        (u64::from(self.data.outstanding()) * u64::from(rate) / u64::from(packets)) as u32
    }
}

/// Packet sizes at `rate` of an endpoint that has `room` bytes per packet (A17);
/// `None` when it cannot carry the rate.
fn sizing(rate: u32, frame_bytes: u32, room: u32, speed: Speed, interval: u8) -> Option<Sizing> {
    let interval = match (speed, interval) {
        (Speed::Full, _) => 0,
        (_, 1..=4) => interval - 1,
        _ => 0,
    };
    let units = if speed == Speed::Full { 1000 } else { 8000 };
    let packets = units >> interval;
    let fit = room.checked_div(frame_bytes)?;
    let max_frames = rate.checked_mul(3)?.div_ceil(2 * packets).min(fit);
    if rate.div_ceil(packets) > fit {
        return None;
    }
    Some(Sizing {
        rate,
        packets,
        interval,
        max_frames: u16::try_from(max_frames).ok()?,
        frame_bytes: u16::try_from(frame_bytes).ok()?,
    })
}

fn feedback_slot(n: u32) -> u64 {
    u64::from(n % FEEDBACK_DEPTH * FEEDBACK_BYTES)
}

/// The larger part of a buffer that crosses no [`BOUNDARY`]: bytes to skip, and
/// its length.
fn within_boundary(bus: Bus, size: u32) -> (u32, u32) {
    let first = ((BOUNDARY - bus.0 % BOUNDARY) as u32).min(size);
    let second = (size - first).min(BOUNDARY as u32);
    if second > first { (first, second) } else { (0, first) }
}

#[cfg(test)]
mod tests {
    use super::within_boundary;
    use addr::Bus;

    #[test]
    fn a_buffer_over_a_boundary_is_used_on_its_larger_side() {
        assert_eq!(within_boundary(Bus(0x42_2000), 24 * 4096), (0, 0xE000));
        assert_eq!(within_boundary(Bus(0x42_F000), 4 * 4096), (0x1000, 0x3000));
        assert_eq!(within_boundary(Bus(0x43_0000), 0x1_8000), (0, 0x1_0000));
    }
}
