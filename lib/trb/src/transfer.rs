//! Transfer TRBs (6.4.1) and the Link TRB (6.4.4.1).

use crate::{CHAIN, FrameId, IDT, IOC, ISP, InterrupterId, TC, Trb, TrbType};
use addr::Bus;

/// The boundary that a TRB's buffer must not cross (6.4.1).
const BUFFER_BOUNDARY: u64 = 1 << 16;
/// Transfer Type of a Setup TRB with an OUT data stage (6.4.1.2.1).
const TRT_OUT: u32 = 2 << 16;
/// Transfer Type of a Setup TRB with an IN data stage.
const TRT_IN: u32 = 3 << 16;
/// DIR of Data and Status TRBs: IN.
const DIR_IN: u32 = 1 << 16;

/// A Setup Stage TRB: the eight bytes stand in it.
#[must_use]
pub const fn setup(packet: [u8; 8], interrupter: InterrupterId) -> Trb {
    let packet_value = u64::from_le_bytes(packet);
    let transfer = match (u16::from_le_bytes([packet[6], packet[7]]), packet[0] & 0x80 != 0) {
        (0, _) => 0,
        (_, false) => TRT_OUT,
        (_, true) => TRT_IN,
    };
    Trb::new(TrbType::Setup, packet_value, interrupter.field() | 8, IDT | transfer)
}

/// The Data Stage TRB of a control transfer whose data stand in one buffer.
#[must_use]
pub const fn data(buffer: Bus, length: u16, is_in: bool, interrupter: InterrupterId) -> Trb {
    let flags = if is_in { DIR_IN | ISP } else { 0 };
    Trb::new(TrbType::Data, buffer.0, interrupter.field() | length as u32, flags)
}

/// The Status Stage TRB; it says when the transfer is over.
#[must_use]
pub const fn status(is_in: bool, interrupter: InterrupterId) -> Trb {
    let direction = if is_in { DIR_IN } else { 0 };
    Trb::new(TrbType::Status, 0, interrupter.field(), IOC | direction)
}

/// A Normal TRB; `flags` of CHAIN, IOC and ISP.
#[must_use]
pub const fn normal(
    buffer: Bus,
    length: u32,
    td_size: u8,
    interrupter: InterrupterId,
    flags: u32,
) -> Trb {
    Trb::new(TrbType::Normal, buffer.0, word2(length, td_size, interrupter), flags)
}

/// A No Op transfer TRB; `flags` of CHAIN and IOC.
#[must_use]
pub const fn no_op(interrupter: InterrupterId, flags: u32) -> Trb {
    Trb::new(TrbType::NoOp, 0, interrupter.field(), flags)
}

/// A Link TRB to `target`; with `toggle` it is the ring's last.
#[must_use]
pub const fn link(target: Bus, toggle: bool) -> Trb {
    Trb::new(TrbType::Link, target.0 & !0xF, 0, if toggle { TC } else { 0 })
}

/// When an isochronous TD starts.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// As soon as possible (SIA).
    Asap,
    /// In this frame.
    Frame(FrameId),
}

/// An isochronous TD: one service interval's data.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Isoch {
    /// The data; may cross a 64 KiB boundary once.
    pub buffer: Bus,
    /// How many bytes.
    pub length: u32,
    /// The endpoint's Max Packet Size.
    pub max_packet: u16,
    /// The endpoint's Max Burst Size.
    pub max_burst: u8,
    /// When.
    pub start: Start,
    /// Whose event ring.
    pub interrupter: InterrupterId,
    /// Further flags: IOC and ISP.
    pub flags: u32,
}

impl Isoch {
    /// Packets that the TD moves; an empty TD moves one (4.11.2.3).
    #[must_use]
    pub const fn packets(&self) -> u32 {
        let max_packet = if self.max_packet == 0 { 1 } else { self.max_packet as u32 };
        let packets = self.length.div_ceil(max_packet);
        if packets == 0 { 1 } else { packets }
    }

    /// The Isoch TRB alone, for a buffer that crosses no boundary.
    #[must_use]
    pub const fn trb(&self) -> Trb {
        self.first(self.length, 0, self.flags)
    }

    const fn first(&self, length: u32, td_size: u8, flags: u32) -> Trb {
        let (tbc, tlbpc) = burst_counts(self.packets(), self.max_burst);
        let start = match self.start {
            Start::Asap => 1 << 31,
            Start::Frame(frame) => (frame.number() as u32) << 20,
        };
        let burst = (tbc as u32) << 7 | (tlbpc as u32) << 16;
        let status = word2(length, td_size, self.interrupter);
        Trb::new(TrbType::Isoch, self.buffer.0, status, flags | start | burst)
    }
}

/// The TRBs of an isochronous TD: one, or two where the buffer crosses a 64 KiB
/// boundary (the second is a Normal TRB).
#[must_use]
pub fn isoch_trbs(td: &Isoch) -> (Trb, Option<Trb>) {
    let room = BUFFER_BOUNDARY - td.buffer.0 % BUFFER_BOUNDARY;
    if u64::from(td.length) <= room {
        return (td.trb(), None);
    }
    let head = room as u32;
    let rest = td.length - head;
    let max_packet = u32::from(td.max_packet.max(1));
    // Packets not yet moved when the first TRB is done (4.11.2.4).
    let left = (td.packets() - head / max_packet).min(31) as u8;
    let first = td.first(head, left, CHAIN | td.flags & ISP);
    let buffer = td.buffer.plus(room);
    (first, Some(normal(buffer, rest, 0, td.interrupter, td.flags)))
}

/// Transfer Burst Count and Transfer Last Burst Packet Count of a TD of
/// `packets` (4.11.2.3). Bursts of full- and high-speed endpoints have one
/// service opportunity each, so their TBC comes out as 0.
#[must_use]
pub const fn burst_counts(packets: u32, max_burst: u8) -> (u8, u8) {
    let per_burst = max_burst as u32 + 1;
    let packets = if packets == 0 { 1 } else { packets };
    let bursts = packets.div_ceil(per_burst) - 1;
    let last = (packets - 1) % per_burst;
    (bursts as u8 & 3, last as u8 & 0xF)
}

const fn word2(length: u32, td_size: u8, interrupter: InterrupterId) -> u32 {
    interrupter.field() | (td_size as u32 & 0x1F) << 17 | length & 0x1_FFFF
}

#[cfg(test)]
mod tests {
    use super::{Isoch, Start, burst_counts, data, isoch_trbs, link, setup, status};
    use crate::{CHAIN, FrameId, IOC, ISP, InterrupterId, TC, TrbType};
    use addr::Bus;

    const TARGET: InterrupterId = match InterrupterId::new(3) {
        Ok(target) => target,
        Err(_) => panic!("in range"),
    };

    fn td(buffer: u64, length: u32) -> Isoch {
        Isoch {
            buffer: Bus(buffer),
            length,
            max_packet: 192,
            max_burst: 0,
            start: Start::Frame(FrameId::wrapping(0x7FF)),
            interrupter: TARGET,
            flags: IOC,
        }
    }

    #[test]
    fn an_isoch_trb_has_its_fields_where_6_4_1_3_says() {
        let trb = td(0x1_2345_6780, 192).trb();
        assert_eq!(trb.0[0], 0x2345_6780);
        assert_eq!(trb.0[1], 1);
        assert_eq!(trb.0[2], 3 << 22 | 192);
        assert_eq!(trb.0[3], 0x7FF << 20 | 5 << 10 | IOC);
        let asap = Isoch { start: Start::Asap, ..td(0, 0) }.trb();
        assert!(asap.start_asap() && asap.frame().number() == 0);
    }

    #[test]
    fn burst_counts_follow_4_11_2_3() {
        // 1 packet; 3 of a high-bandwidth endpoint; 16 and 17 of a burst of 16; none.
        assert_eq!(burst_counts(1, 0), (0, 0));
        assert_eq!(burst_counts(3, 2), (0, 2));
        assert_eq!(burst_counts(16, 15), (0, 15));
        assert_eq!(burst_counts(17, 15), (1, 0));
        assert_eq!(burst_counts(0, 0), (0, 0));
    }

    #[test]
    fn a_buffer_over_a_64k_boundary_becomes_two_chained_trbs() {
        let (first, second) = isoch_trbs(&td(0xFFC0, 192));
        let second = second.expect("crosses the boundary");
        assert_eq!((first.length(), second.length()), (64, 128));
        assert!(first.has(CHAIN) && !first.has(IOC) && first.td_size() == 1);
        assert_eq!(second.kind(), Some(TrbType::Normal));
        assert_eq!((second.pointer(), second.td_size()), (Bus(0x1_0000), 0));
        assert!(second.has(IOC) && !second.has(CHAIN));
        assert_eq!(isoch_trbs(&td(0xFF40, 192)).1, None);
    }

    #[test]
    fn control_stages_say_which_way_the_data_go() {
        let get = setup([0x80, 6, 0, 1, 0, 0, 18, 0], InterrupterId::PRIMARY);
        assert_eq!(get.0[3], 3 << 16 | 2 << 10 | 1 << 6);
        assert_eq!(get.0[2], 8);
        let set = setup([0x21, 1, 0, 1, 0, 0, 2, 0], InterrupterId::PRIMARY);
        assert_eq!(set.0[3] >> 16, 2);
        let none = setup([0, 9, 1, 0, 0, 0, 0, 0], InterrupterId::PRIMARY);
        assert_eq!(none.0[3] >> 16, 0);
        assert!(data(Bus(0), 18, true, InterrupterId::PRIMARY).has(ISP));
        assert!(!data(Bus(0), 2, false, InterrupterId::PRIMARY).has(ISP));
        assert!(status(true, InterrupterId::PRIMARY).has(IOC));
    }

    #[test]
    fn the_last_link_toggles_and_its_target_is_aligned() {
        let trb = link(Bus(0x2_2000), true);
        assert!(trb.has(TC) && trb.kind() == Some(TrbType::Link));
        assert_eq!(trb.pointer(), Bus(0x2_2000));
        assert!(!link(Bus(0), false).has(TC));
    }
}
