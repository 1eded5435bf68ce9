//! What one xHCI controller may do differently from another, by seed.
//!
//! Everything here is left open by xHCI 1.2, or known from controllers in the
//! field. [`Personality::qemu`] is a fixed one, close to QEMU's `qemu-xhci`; it
//! is the most forgiving.

use crate::ids::RootPort;
use fabric::{Rng, Time};

/// When the Stopped event of an endpoint comes, seen from the completion of the
/// Stop Endpoint command (xHCI 4.6.9 demands before; controllers differ).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum StoppedEvent {
    /// In front of it.
    Before,
    /// Right behind it.
    After,
    /// Up to a millisecond later.
    Late,
    /// Not at all.
    Never,
}

/// A controller's character.
#[derive(Clone, Debug)]
pub struct Personality {
    /// The seed it was drawn from; also that of the controller's own chance.
    pub seed: u64,
    /// HCIVERSION.
    pub version: u16,
    /// CAPLENGTH: where the operational registers start.
    pub caplength: u8,
    /// Where the extended capabilities start, in bytes.
    pub extended: u16,
    /// A BIOS holds the controller at start (USBLEGSUP).
    pub bios: bool,
    /// Device slots.
    pub slots: u8,
    /// Interrupters, and with them MSI-X vectors.
    pub interrupters: u16,
    /// USB2 root ports.
    pub usb2_ports: u8,
    /// USB3 root ports.
    pub usb3_ports: u8,
    /// USB3 ports come first.
    pub usb3_first: bool,
    /// HCCPARAMS1.AC64.
    pub addresses_64: bool,
    /// HCCPARAMS1.CSZ: contexts of 64 bytes.
    pub contexts_64: bool,
    /// HCCPARAMS1.PPC: ports can be switched off.
    pub port_power: bool,
    /// HCCPARAMS1.CFC: each Frame ID is matched, not only the first one.
    pub contiguous_frame_ids: bool,
    /// Scratchpad buffers wanted.
    pub scratchpads: u16,
    /// Segments that an event ring may have, as a power of two.
    pub segments_log2: u8,
    /// HCSPARAMS2.IST as it is reported.
    pub ist_field: u8,
    /// Microframes ahead of an interval at which its TD is really fetched.
    pub lead: u64,
    /// TRBs fetched ahead of the one in use.
    pub prefetch: usize,
    /// The Stopped event.
    pub stopped: StoppedEvent,
    /// Stopping leaves the dequeue pointer behind the TD in flight (as QEMU),
    /// not on it.
    pub dequeue_past_stopped: bool,
    /// Stop Endpoint of a stopped endpoint succeeds (as QEMU), instead of
    /// failing with Context State Error.
    pub stop_is_idempotent: bool,
    /// Underrun and missed service events point at a TRB, not at 0.
    pub events_point: bool,
    /// A short packet is Success with a residual, not Short Packet.
    pub short_is_success: bool,
    /// IMOD and BEI have an effect (not in QEMU).
    pub moderates: bool,
    /// A port status change event is only made when no change bit was set
    /// before (4.19.2), not for each new one.
    pub merges_port_changes: bool,
    /// Ports that are connected when the controller is set running are reported
    /// by an event.
    pub announces_ports: bool,
    /// Shortest and longest time a command takes.
    pub command: (Time, Time),
    /// Shortest and longest time from the end of a transfer to its event; well
    /// below a microframe, so that the events of an endpoint keep their order.
    pub completion: (Time, Time),
    /// How long a port reset takes.
    pub port_reset: Time,
    /// How long a link needs into U3; a device has at most 10 ms (USB 2.0, 7.1.7.6).
    pub suspend: Time,
    /// How long a link needs from the end of resume signalling to U0.
    pub resume: Time,
    /// Resume as a link state is not known: it stays at U3 until U0 is written
    /// (as QEMU).
    pub ignores_resume: bool,
    /// How long HCRST takes.
    pub reset: Time,
    /// How long it takes to halt; at most 16 ms (5.4.1).
    pub halt: Time,
}

impl Personality {
    /// Close to `qemu-xhci` (QEMU 7.2).
    #[must_use]
    pub fn qemu() -> Self {
        Self {
            seed: 0,
            version: 0x0100,
            caplength: 0x40,
            extended: 0x20,
            bios: false,
            slots: 64,
            interrupters: 16,
            usb2_ports: 4,
            usb3_ports: 4,
            usb3_first: true,
            addresses_64: true,
            contexts_64: false,
            port_power: false,
            contiguous_frame_ids: false,
            scratchpads: 0,
            segments_log2: 0,
            ist_field: 0xF,
            lead: 0,
            prefetch: 1,
            stopped: StoppedEvent::Before,
            dequeue_past_stopped: true,
            stop_is_idempotent: true,
            events_point: true,
            short_is_success: false,
            moderates: false,
            merges_port_changes: false,
            announces_ports: false,
            command: (Time::ns(200), Time::us(1)),
            completion: (Time::ns(200), Time::us(1)),
            port_reset: Time::ZERO,
            suspend: Time::ZERO,
            resume: Time::ZERO,
            ignores_resume: true,
            reset: Time::ZERO,
            halt: Time::ZERO,
        }
    }

    /// The personality that `seed` names.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x0C0F_FEE0);
        let mut coin = |n| rng.one_in(n);
        let (bios, usb3_first, addresses_64) = (coin(4), coin(2), !coin(3));
        let (contexts_64, port_power, contiguous) = (coin(2), coin(3), coin(2));
        let (past, events_point, short) = (coin(4), coin(2), coin(3));
        let (announces_ports, compact) = (coin(2), coin(2));
        let lead = u64::from(rng.range(0, 8));
        let (usb2_ports, usb3_ports) = (rng.range(1, 6) as u8, rng.range(0, 4) as u8);
        let version = [0x0100, 0x0110, 0x0120][rng.below(3) as usize];
        let scratchpads = [0, 0, 1, 3, 17, 32][rng.below(6) as usize];
        let stopped =
            [StoppedEvent::Before, StoppedEvent::After, StoppedEvent::Late, StoppedEvent::Never]
                [rng.below(4) as usize];
        Self {
            seed,
            version,
            caplength: if compact { 0x20 } else { 0x80 },
            extended: 0x0900,
            bios,
            slots: rng.range(8, 64) as u8,
            interrupters: rng.range(2, 16) as u16,
            usb2_ports,
            usb3_ports,
            usb3_first,
            addresses_64,
            contexts_64,
            port_power,
            contiguous_frame_ids: contiguous,
            scratchpads,
            segments_log2: rng.below(5) as u8,
            // Reported in frames when a frame or more, else in microframes.
            ist_field: if lead == 8 { 0x9 } else { lead as u8 },
            lead,
            prefetch: rng.range(1, 6) as usize,
            stopped,
            dequeue_past_stopped: past,
            stop_is_idempotent: false,
            events_point,
            short_is_success: short,
            moderates: true,
            merges_port_changes: true,
            announces_ports,
            command: (Time::us(2), Time::us(u64::from(rng.range(10, 80)))),
            completion: (Time::ns(500), Time::us(u64::from(rng.range(5, 60)))),
            port_reset: Time::ms(u64::from(rng.range(50, 55))),
            reset: Time::us(u64::from(rng.range(10, 900))),
            halt: Time::us(u64::from(rng.range(1, 2_000))),
            suspend: Time::us(u64::from(rng.range(3_000, 10_000))),
            resume: Time::us(u64::from(rng.range(2, 2_000))),
            ignores_resume: false,
        }
    }

    /// Root ports.
    #[must_use]
    pub const fn ports(&self) -> u8 {
        self.usb2_ports + self.usb3_ports
    }

    /// The number of the first port of each protocol: USB2, USB3.
    pub(crate) const fn offsets(&self) -> (u8, u8) {
        if self.usb3_first { (self.usb3_ports + 1, 1) } else { (1, self.usb2_ports + 1) }
    }

    /// The `n`th USB2 port, from 0: where full- and high-speed devices go.
    #[must_use]
    pub fn usb2_port(&self, n: u8) -> Option<RootPort> {
        (n < self.usb2_ports).then(|| RootPort(self.offsets().0 + n))
    }

    /// Whether `port` is one for USB2.
    pub(crate) fn is_usb2(&self, port: RootPort) -> bool {
        let first = self.offsets().0;
        (first..first + self.usb2_ports).contains(&port.0)
    }

    /// Bytes of a context.
    pub(crate) const fn context(&self) -> u64 {
        if self.contexts_64 { 64 } else { 32 }
    }
}

#[cfg(test)]
mod tests {
    use super::Personality;

    #[test]
    fn every_seed_gives_a_legal_controller() {
        for seed in 0..1000 {
            let p = Personality::seeded(seed);
            assert!(p.interrupters >= 2 && p.ports() >= 1 && p.lead <= 8);
            assert!(p.usb2_port(0).is_some_and(|port| p.is_usb2(port)));
            assert!(p.completion.1.0 < 125_000);
        }
    }
}
