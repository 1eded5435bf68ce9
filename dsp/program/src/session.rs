//! A session: the memory that an enable response names, laid out.
//!
//! The transfer rings that the program writes are the shadow rings; the monitor
//! publishes from them.

use crate::core::{Core, Denied, RingPage, answer};
use crate::ring::Ring;
use addr::{Bus, Peer};
use dsp_abi::monitor::Call;
use dsp_abi::port;
use qmi::{EndpointDescriptor, MemoryInfo, Region, StreamResponse};
use trb::{ConsumerRing, Dci, Event, InterrupterId, Isoch, PER_PAGE, Start, TransferEvent};
use usb_desc::uac::packets::Sizing;
use usb_types::Speed;

/// A TRB's buffer must not cross a boundary of this many bytes (6.4.1).
const BOUNDARY: u64 = 0x1_0000;

/// Data ring and sync ring, as monitor calls number them.
const DATA: u32 = 0;
const SYNC: u32 = 1;

/// Why a response's memory cannot be used. The stream is disabled again.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
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
    /// There is no room to record so much.
    TooLong,
}

/// Which endpoint of all controllers' devices.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pipe {
    /// The controller's number.
    pub(crate) controller: u8,
    /// The device's slot there.
    pub(crate) slot: u32,
    /// The endpoint's device context index.
    pub(crate) dci: Dci,
}

/// A ring, and the endpoint that it is for.
#[derive(Debug)]
pub(crate) struct PipeRing {
    pub(crate) pipe: Pipe,
    pub(crate) ring: Ring,
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    /// The monitor's number of it.
    pub(crate) number: u32,
    interrupter: InterrupterId,
    pub(crate) data: PipeRing,
    pub(crate) sync: Option<PipeRing>,
    event_ring: Peer,
    events: ConsumerRing,
    /// The part of the transfer buffer that is used: where the program sees it,
    /// where the controller does, and its bytes.
    pub(crate) buffer: Peer,
    pub(crate) buffer_bus: Bus,
    pub(crate) buffer_bytes: u32,
    packet_size: u16,
    max_burst: u8,
    pub(crate) speed: Speed,
    pub(crate) sizing: Sizing,
}

impl Session {
    /// Lays the session out that `response` grants.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub(crate) fn new(
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
        let slot = response.slot_id.ok_or(Unusable::Missing)?;
        // Absent when unknown, and then there is but one.
        let controller = response.controller_num.unwrap_or(0);
        let pipe = |endpoint: &EndpointDescriptor| {
            let (number, is_in) = (endpoint.address & 0xF, endpoint.address & 0x80 != 0);
            let dci = Dci::of_endpoint(number, is_in).map_err(|_| Unusable::Missing)?;
            Ok(Pipe { controller, slot, dci })
        };
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

        let [number, ..] =
            answer(core.call(Call::FindSession, [memory.evt_ring.iova.low(), 0, 0, 0, 0]))
                .map_err(|_| Unusable::NoSession)?;

        let data = pipe(&endpoint)?;
        let sync = match response.std_as_sync_ep_desc.filter(|_| memory.tr_sync.size != 0) {
            Some(endpoint) => Some(pipe(&endpoint)?),
            None => None,
        };
        let (skip, buffer_bytes) = within_boundary(memory.xfer_buff.dma, memory.xfer_buff.size);
        Ok(Self {
            number,
            interrupter,
            data: PipeRing { pipe: data, ring: Ring::new(core, DATA, &memory.tr_data) },
            sync: sync.map(|pipe| {
                let ring = Ring::new(core, SYNC, &memory.tr_sync);
                PipeRing { pipe, ring }
            }),
            event_ring: memory.evt_ring.iova,
            events: ConsumerRing::new(PER_PAGE),
            buffer: memory.xfer_buff.iova.plus(u64::from(skip)),
            buffer_bus: memory.xfer_buff.dma.plus(u64::from(skip)),
            buffer_bytes,
            packet_size,
            max_burst,
            speed,
            sizing,
        })
    }

    /// Whether `pipe` is one of the session's.
    pub(crate) fn has(&self, pipe: Pipe) -> bool {
        self.data.pipe == pipe || self.sync.as_ref().is_some_and(|sync| sync.pipe == pipe)
    }

    /// Most bytes that the data endpoint moves in a service interval.
    pub(crate) fn room(&self) -> u32 {
        u32::from(self.packet_size) * (1 + u32::from(self.max_burst))
    }

    /// Nanoseconds from packet to packet.
    pub(crate) fn period_ns(&self) -> u64 {
        1_000_000_000 / u64::from(self.sizing.packets)
    }

    /// A descriptor of the data endpoint's.
    pub(crate) fn td(&self, buffer: Bus, length: u32, flags: u32) -> Isoch {
        Isoch {
            buffer,
            length,
            max_packet: self.packet_size,
            max_burst: self.max_burst,
            start: Start::Asap,
            interrupter: self.interrupter,
            flags,
        }
    }

    /// Takes the next event off the session's ring: `Some(None)` is one that is
    /// no transfer's.
    pub(crate) fn next_event(&mut self, core: &impl Core) -> Option<Option<(Pipe, TransferEvent)>> {
        let page = RingPage { core, at: self.event_ring };
        let trb = self.events.next(&page)?;
        let Event::Transfer(event) = Event::decode(trb) else { return Some(None) };
        let controller = self.data.pipe.controller;
        let slot = u32::from(event.slot.number());
        Some(Some((Pipe { controller, slot, dci: event.endpoint }, event)))
    }

    /// Says that every event up to here was taken.
    ///
    /// # Errors
    /// [`Denied`]: the session is over.
    pub(crate) fn acknowledge(&self, core: &impl Core) -> Result<(), Denied> {
        let dequeue = u32::from(self.events.dequeue());
        answer(core.call(Call::Dequeue, [self.number, dequeue, 0, 0, 0])).map(|_| ())
    }
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
