//! One hub, and what is asked of it (USB 2.0 chapter 11).
//!
//! A hub does one thing at a time: its endpoint 0 is one. What is wanted of its
//! ports is kept as bits, and seen to in the order of [`Want`], each as a short
//! errand: a feature set or cleared, a pause, the port's status until it is as it
//! should be, and its changes cleared. As `enumerate`, this asks for one thing and
//! says what it waits for; `hubs` does the asking.

use usb_core_api::DeviceHandle;
use usb_desc::Issue;
use usb_types::{Setup, Speed};
use xhci_api::{LINK_RESUME, LINK_SUSPENDED, PortStatus, SlotHandle, TicketHandle, XhciError};

use crate::MAX_HUB_PORTS;
use crate::controller::is_crowded;
use crate::core::CROWDED_MS;
use crate::device::PortNumber;
use crate::pause::Pause;

/// How often a request is tried that fails.
const TRIES: u8 = 3;
/// How often a port is looked at on its way: 500 ms (11.5.1.5 gives a reset 20).
const LOOKS: u8 = 50;
/// Between two such looks, in milliseconds.
const LOOK_MS: u64 = 10;
/// `now` is cut to whole milliseconds: a wait that the bus is owed is one longer.
const CUT_MS: u64 = 1;

/// bRequest (table 11-16).
const GET_STATUS: u8 = 0;
const CLEAR_FEATURE: u8 = 1;
const SET_FEATURE: u8 = 3;
const GET_DESCRIPTOR: u8 = 6;
/// wValue of the hub's descriptor.
const DESCRIPTOR: u16 = 0x29 << 8;
/// Bytes of a hub descriptor for as many ports as a route string names.
const DESCRIPTOR_BYTES: u16 = 7 + 2 * 2;
/// Features of a port (table 11-17). Change n is feature 16 + n of a port, n of the
/// hub itself.
const PORT_SUSPEND: u16 = 2;
const PORT_RESET: u16 = 4;
const PORT_POWER: u16 = 8;
const PORT_CHANGES: u16 = 16;

/// wPortStatus and wPortChange (11.24.2.7).
mod bit {
    pub(super) const CONNECTION: u16 = 1;
    pub(super) const ENABLE: u16 = 1 << 1;
    pub(super) const SUSPEND: u16 = 1 << 2;
    pub(super) const RESET: u16 = 1 << 4;
    pub(super) const LOW_SPEED: u16 = 1 << 9;
    pub(super) const HIGH_SPEED: u16 = 1 << 10;
    /// Connection and enable mean the same among a root port's changes.
    pub(super) const SHARED: u16 = CONNECTION | ENABLE;
    /// Changes that there are.
    pub(super) const CHANGES: u16 = 0x1F;
}

/// What is wanted of a port.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Power.
    Power,
    /// Its status, and its changes cleared; of port 0 the hub's own.
    Look,
    /// Reset.
    Reset,
    /// Its device suspended.
    Suspend,
    /// Its device resumed.
    Resume,
}

impl Want {
    const ALL: [Self; 5] = [Self::Power, Self::Look, Self::Reset, Self::Suspend, Self::Resume];

    /// The request that begins it, and the milliseconds that follow.
    const fn feature(self) -> Option<(u8, u16, u64)> {
        Some(match self {
            Self::Power => (SET_FEATURE, PORT_POWER, 0),
            Self::Look => return None,
            Self::Reset => (SET_FEATURE, PORT_RESET, Pause::HubReset.ms()),
            // A device gets 10 ms to be suspended (7.1.7.6).
            Self::Suspend => (SET_FEATURE, PORT_SUSPEND, 10),
            // The hub drives resume for 20 ms (7.1.7.7).
            Self::Resume => (CLEAR_FEATURE, PORT_SUSPEND, 20),
        })
    }

    /// What a port's status still says while it is on its way.
    const fn underway(self) -> u16 {
        match self {
            Self::Reset => bit::RESET,
            Self::Resume => bit::SUSPEND,
            Self::Power | Self::Look | Self::Suspend => 0,
        }
    }
}

/// Why a hub is of no use.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Its descriptor breaks a rule that it cannot be used without.
    Descriptor(Issue),
    /// A request failed each time.
    Refused(XhciError),
    /// Its status pipe failed.
    Pipe,
}

/// What to ask the driver for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A control transfer with the hub.
    Control(Setup),
    /// That the controller is told of the hub.
    Tell {
        /// Its ports.
        ports: u8,
        /// How long its translator thinks (TTT).
        think_time: u8,
    },
}

/// What came of an answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It goes on.
    OnTheWay,
    /// The hub is set up: so many of its ports are not served.
    Ready(u8),
    /// What was wanted of a port has been seen to, and this is how it looks.
    Done(u8, Want, PortStatus),
    /// The hub is of no use.
    Failed(Failure),
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Its descriptor.
    Describe,
    /// The controller is told.
    Tell,
    /// Nothing is under way.
    Idle,
    /// The feature that begins an errand.
    Feature,
    /// The port's status.
    Status,
    /// A change is cleared.
    Clear,
}

/// What a hub waits for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Its turn.
    Nothing,
    /// Time to pass.
    Until(u64),
    /// The driver.
    Ticket(TicketHandle),
}

/// A hub that is served.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Hub {
    /// Its device.
    pub(crate) device: DeviceHandle,
    /// Its slot.
    pub(crate) slot: SlotHandle,
    /// Its status pipe.
    pub(crate) pipe: u8,
    /// Which attempt in a row it took; none counts since it reported something.
    pub(crate) attempt: u8,
    /// Hubs on the way to what is behind it.
    pub(crate) depth: u8,
    /// Its first port.
    pub(crate) first: PortNumber,
    pub(crate) wait: Wait,
    is_fast: bool,
    /// Ports that are served; at first, how many may be.
    ports: u8,
    /// Ports that it has.
    has: u8,
    think_time: u8,
    power_good_ms: u16,
    /// Bit n is port n.
    wanted: [u16; Want::ALL.len()],
    step: Step,
    port: u8,
    want: Want,
    looks: u8,
    tries: u8,
    status: u16,
    changes: u16,
    /// Changes that are still to be cleared.
    left: u16,
}

impl Hub {
    /// A hub that was just configured, of which up to `ports` ports are served.
    pub(crate) fn new(
        (device, slot, pipe, attempt): (DeviceHandle, SlotHandle, u8, u8),
        speed: Speed,
        (depth, first): (u8, PortNumber),
        ports: u8,
    ) -> Self {
        Self {
            device,
            slot,
            pipe,
            attempt,
            depth,
            first,
            wait: Wait::Nothing,
            is_fast: speed == Speed::High,
            ports: ports.min(MAX_HUB_PORTS as u8),
            has: 0,
            think_time: 0,
            power_good_ms: 0,
            wanted: [0; Want::ALL.len()],
            step: Step::Describe,
            port: 0,
            want: Want::Look,
            looks: 0,
            tries: 0,
            status: 0,
            changes: 0,
            left: 0,
        }
    }

    /// Something is wanted of a port.
    pub(crate) fn want(&mut self, want: Want, port: u8) {
        self.wanted[want as usize] |= 1 << port;
    }

    /// All its ports are to be looked at, once they are served.
    pub(crate) fn look_at_all(&mut self) {
        if !matches!(self.step, Step::Describe | Step::Tell) {
            self.wanted[Want::Look as usize] |= self.mask();
        }
    }

    /// Whatever was at a port is gone, and what was wanted for it.
    pub(crate) fn forget(&mut self, port: u8) {
        for want in [Want::Reset, Want::Suspend, Want::Resume] {
            self.wanted[want as usize] &= !(1 << port);
        }
    }

    /// Whether it has something to do.
    pub(crate) fn is_busy(&self) -> bool {
        self.step != Step::Idle || self.wait != Wait::Nothing || self.wanted != [0; 5]
    }

    /// When it goes on by itself.
    pub(crate) const fn deadline(&self) -> Option<u64> {
        match self.wait {
            Wait::Until(at) => Some(at),
            Wait::Nothing | Wait::Ticket(_) => None,
        }
    }

    /// Bit n for each port n that is served.
    const fn mask(&self) -> u16 {
        (1 << (self.ports + 1)) - 2
    }

    /// What to ask for, if it is its turn.
    pub(crate) fn next(&mut self, now: u64) -> Option<Ask> {
        match self.wait {
            Wait::Until(at) if at <= now => self.wait = Wait::Nothing,
            Wait::Until(_) | Wait::Ticket(_) => return None,
            Wait::Nothing => {}
        }
        if self.step == Step::Idle {
            let wanted = |want: &Want| self.wanted[*want as usize] != 0;
            self.want = Want::ALL.into_iter().find(wanted)?;
            let ports = &mut self.wanted[self.want as usize];
            self.port = ports.trailing_zeros() as u8;
            *ports &= *ports - 1;
            self.looks = 0;
            self.step = if self.want == Want::Look { Step::Status } else { Step::Feature };
        }
        let port = u16::from(self.port);
        // Of the hub itself, or of a port (table 11-15).
        let other = if port == 0 { 0x20 } else { 0x23 };
        let request = |request_type, request, value, length| Setup {
            request_type,
            request,
            value,
            index: port,
            length,
        };
        Some(Ask::Control(match self.step {
            Step::Describe => request(0xA0, GET_DESCRIPTOR, DESCRIPTOR, DESCRIPTOR_BYTES),
            Step::Tell => {
                return Some(Ask::Tell { ports: self.has, think_time: self.think_time });
            }
            Step::Idle => return None,
            Step::Feature => {
                let (feature, value, _) = self.want.feature()?;
                request(other, feature, value, 0)
            }
            Step::Status => request(0x80 | other, GET_STATUS, 0, 4),
            Step::Clear => {
                let first = if port == 0 { 0 } else { PORT_CHANGES };
                let change = self.left.trailing_zeros() as u16;
                request(other, CLEAR_FEATURE, first + change, 0)
            }
        }))
    }

    /// Takes the answer to what was asked for; `data` is what arrived.
    pub(crate) fn answered(&mut self, answer: Result<&[u8], XhciError>, now: u64) -> Outcome {
        self.wait = Wait::Nothing;
        let data = match answer {
            Ok(data) => data,
            Err(error) => {
                self.tries += u8::from(!is_crowded(error));
                self.wait = Wait::Until(now + CROWDED_MS);
                let failed = self.tries >= TRIES;
                return if failed {
                    Outcome::Failed(Failure::Refused(error))
                } else {
                    Outcome::OnTheWay
                };
            }
        };
        self.tries = 0;
        match self.step {
            Step::Describe => match usb_desc::Hub::parse(data) {
                Ok(hub) => {
                    self.has = hub.ports;
                    // wHubCharacteristics 6:5; a slower hub has no translator.
                    let think_time = hub.characteristics >> 5 & 3;
                    self.think_time = if self.is_fast { think_time as u8 } else { 0 };
                    self.power_good_ms = hub.power_good_ms;
                    self.step = Step::Tell;
                    Outcome::OnTheWay
                }
                Err(issue) => Outcome::Failed(Failure::Descriptor(issue)),
            },
            Step::Tell => {
                self.ports = self.ports.min(self.has);
                self.step = Step::Idle;
                self.wanted[Want::Power as usize] = self.mask();
                Outcome::Ready(self.has - self.ports)
            }
            Step::Idle => Outcome::OnTheWay,
            Step::Feature if self.want == Want::Power => {
                self.step = Step::Idle;
                if self.wanted[Want::Power as usize] == 0 {
                    // Before that a port shows nothing (11.11).
                    for _ in 0..u64::from(self.power_good_ms) / Pause::HubPower.ms() {
                        Pause::HubPower.note();
                    }
                    self.wait = Wait::Until(now + u64::from(self.power_good_ms) + CUT_MS);
                    self.look_at_all();
                }
                Outcome::OnTheWay
            }
            Step::Feature => {
                self.step = Step::Status;
                if self.want == Want::Reset {
                    Pause::HubReset.note();
                }
                let pause = self.want.feature().map_or(0, |(.., pause)| pause);
                self.wait = Wait::Until(now + pause + CUT_MS);
                Outcome::OnTheWay
            }
            Step::Status => self.looked(data, now),
            Step::Clear => {
                self.left &= self.left - 1;
                self.end()
            }
        }
    }

    /// The status of the port came.
    fn looked(&mut self, data: &[u8], now: u64) -> Outcome {
        let &[a, b, c, d] = data else {
            return Outcome::Failed(Failure::Refused(XhciError::DataLength));
        };
        self.status = u16::from_le_bytes([a, b]);
        self.changes = u16::from_le_bytes([c, d]) & bit::CHANGES;
        let there = self.status & bit::CONNECTION != 0;
        if there && self.status & self.want.underway() != 0 && self.looks < LOOKS {
            self.looks += 1;
            self.wait = Wait::Until(now + LOOK_MS);
            return Outcome::OnTheWay;
        }
        self.left = self.changes;
        self.step = Step::Clear;
        self.end()
    }

    /// The errand is over when there is nothing left to clear.
    fn end(&mut self) -> Outcome {
        if self.left != 0 {
            return Outcome::OnTheWay;
        }
        self.step = Step::Idle;
        Outcome::Done(self.port, self.want, port_status(self.status, self.changes))
    }
}

/// A port's status as a root port would have it.
const fn port_status(status: u16, changes: u16) -> PortStatus {
    let connected = status & bit::CONNECTION != 0;
    let link_state = if status & bit::SUSPEND != 0 {
        LINK_SUSPENDED
    } else if changes & bit::SUSPEND != 0 {
        // It has resumed by itself, or because it was told to.
        LINK_RESUME
    } else {
        0
    };
    let speed = if !connected {
        None
    } else if status & bit::LOW_SPEED != 0 {
        Some(Speed::Low)
    } else if status & bit::HIGH_SPEED != 0 {
        Some(Speed::High)
    } else {
        Some(Speed::Full)
    };
    PortStatus {
        connected,
        enabled: status & bit::ENABLE != 0,
        link_state,
        speed,
        usb3: false,
        changes: (changes & bit::SHARED) as u8,
    }
}

#[cfg(test)]
mod tests {
    use crate::device::PortNumber;
    use handles::{Handle, Raw};
    use usb_core_api::DeviceHandle;
    use usb_types::{Setup, Speed};
    use xhci_api::{LINK_RESUME, LINK_SUSPENDED, SlotHandle, XhciError};

    use super::{Ask, Failure, Hub, LOOKS, Outcome, TRIES, Want, port_status};

    const DESCRIPTOR: [u8; 9] = [9, 0x29, 4, 0x29, 0, 50, 100, 0, 0xFF];

    /// A hub, and a clock.
    struct Bench {
        hub: Hub,
        now: u64,
    }

    impl Bench {
        fn new(speed: Speed, ports: u8) -> Self {
            let raw = Raw { index: 0, seq: 1, epoch: 0 };
            let (device, slot) = (DeviceHandle::from_raw(raw), SlotHandle::from_raw(raw));
            Self {
                hub: Hub::new((device, slot, 3, 1), speed, (1, PortNumber(33)), ports),
                now: 1000,
            }
        }

        /// A hub of four ports that is set up, and has power.
        fn ready() -> Self {
            let mut bench = Self::new(Speed::High, 8);
            bench.asks("a0 6 2900 0 11");
            bench.tells(&DESCRIPTOR);
            assert_eq!(bench.hub.next(1000), Some(Ask::Tell { ports: 4, think_time: 1 }));
            assert_eq!(bench.tells(&[]), Outcome::Ready(0));
            for port in 1..=4 {
                bench.asks(&format!("23 3 0008 {port} 0"));
                bench.tells(&[]);
            }
            assert_eq!((bench.hub.next(1100), bench.hub.deadline()), (None, Some(1101)));
            bench.now = 1101;
            for port in 1..=4 {
                bench.asks(&format!("a3 0 0000 {port} 4"));
                bench.tells(&[0, 1, 0, 0]);
            }
            assert!(!bench.hub.is_busy());
            bench
        }

        #[track_caller]
        fn asks(&mut self, line: &str) {
            let Some(Ask::Control(setup)) = self.hub.next(self.now) else { panic!("not {line}") };
            let Setup { request_type, request, value, index, length } = setup;
            assert_eq!(format!("{request_type:02x} {request} {value:04x} {index} {length}"), line);
        }

        fn tells(&mut self, data: &[u8]) -> Outcome {
            self.hub.answered(Ok(data), self.now)
        }

        /// Time passes until it goes on.
        fn waits(&mut self) -> u64 {
            let until = self.hub.deadline().expect("it waits");
            assert_eq!(self.hub.next(until - 1), None);
            let waited = until - self.now;
            self.now = until;
            waited
        }
    }

    #[test]
    fn hub_is_described_told_of_and_given_power_before_its_ports_are_looked_at() {
        Bench::ready();
    }

    #[test]
    fn hub_without_translator_has_no_think_time() {
        let mut bench = Bench::new(Speed::Full, 8);
        bench.asks("a0 6 2900 0 11");
        bench.tells(&DESCRIPTOR);
        assert_eq!(bench.hub.next(1000), Some(Ask::Tell { ports: 4, think_time: 0 }));
    }

    #[test]
    fn ports_beyond_the_images_limit_get_no_power() {
        let mut bench = Bench::new(Speed::High, 3);
        bench.asks("a0 6 2900 0 11");
        bench.tells(&DESCRIPTOR);
        // What the controller is told is how many there are.
        assert_eq!(bench.hub.next(1000), Some(Ask::Tell { ports: 4, think_time: 1 }));
        assert_eq!(bench.tells(&[]), Outcome::Ready(1));
        for port in 1..=3 {
            bench.asks(&format!("23 3 0008 {port} 0"));
            bench.tells(&[]);
        }
        assert_eq!(bench.waits(), 101);
    }

    /// What is outside is hostile: a descriptor that was cut off, at any place.
    #[test]
    fn descriptor_that_was_cut_off_is_refused_at_any_length() {
        for len in 0..DESCRIPTOR.len() - 1 {
            let mut bench = Bench::new(Speed::High, 8);
            bench.asks("a0 6 2900 0 11");
            let outcome = bench.tells(&DESCRIPTOR[..len]);
            assert!(matches!(outcome, Outcome::Failed(Failure::Descriptor(_))), "{len}");
        }
    }

    #[test]
    fn changes_are_cleared_one_by_one_and_told_together() {
        let mut bench = Bench::ready();
        bench.hub.want(Want::Look, 3);
        bench.asks("a3 0 0000 3 4");
        assert_eq!(bench.tells(&[0x01, 0x01, 0x03, 0x00]), Outcome::OnTheWay);
        bench.asks("23 1 0010 3 0");
        assert_eq!(bench.tells(&[]), Outcome::OnTheWay);
        bench.asks("23 1 0011 3 0");
        assert_eq!(bench.tells(&[]), Outcome::Done(3, Want::Look, port_status(0x101, 3)));
        assert!(!bench.hub.is_busy());
    }

    /// A change of its own power that nobody clears would be told for ever
    /// (11.12.4).
    #[test]
    fn changes_of_the_hub_itself_are_cleared_as_well() {
        let mut bench = Bench::ready();
        bench.hub.want(Want::Look, 0);
        bench.asks("a0 0 0000 0 4");
        bench.tells(&[0, 0, 3, 0]);
        bench.asks("20 1 0000 0 0");
        bench.tells(&[]);
        bench.asks("20 1 0001 0 0");
        assert!(matches!(bench.tells(&[]), Outcome::Done(0, Want::Look, _)));
    }

    #[test]
    fn reset_is_waited_for_as_long_as_the_port_says_so() {
        let mut bench = Bench::ready();
        bench.hub.want(Want::Reset, 2);
        bench.asks("23 3 0004 2 0");
        bench.tells(&[]);
        assert_eq!(bench.waits(), 21);
        bench.asks("a3 0 0000 2 4");
        bench.tells(&[0x11, 0x01, 0, 0]);
        assert_eq!(bench.waits(), 10);
        bench.asks("a3 0 0000 2 4");
        bench.tells(&[0x03, 0x05, 0x10, 0]);
        bench.asks("23 1 0014 2 0");
        let Outcome::Done(2, Want::Reset, status) = bench.tells(&[]) else { panic!("not over") };
        assert_eq!((status.enabled, status.speed), (true, Some(Speed::High)));
    }

    #[test]
    fn port_that_never_gets_there_is_told_as_it_is() {
        let mut bench = Bench::ready();
        bench.hub.want(Want::Reset, 2);
        bench.asks("23 3 0004 2 0");
        bench.tells(&[]);
        for _ in 0..LOOKS {
            bench.waits();
            bench.asks("a3 0 0000 2 4");
            assert_eq!(bench.tells(&[0x11, 0x01, 0, 0]), Outcome::OnTheWay);
        }
        bench.waits();
        bench.asks("a3 0 0000 2 4");
        assert!(matches!(bench.tells(&[0x11, 0x01, 0, 0]), Outcome::Done(2, Want::Reset, _)));
    }

    #[test]
    fn device_gets_its_time_to_fall_asleep_and_to_wake_up() {
        let mut bench = Bench::ready();
        bench.hub.want(Want::Suspend, 1);
        bench.asks("23 3 0002 1 0");
        bench.tells(&[]);
        assert_eq!(bench.waits(), 11);
        bench.asks("a3 0 0000 1 4");
        let Outcome::Done(1, Want::Suspend, status) = bench.tells(&[0x07, 1, 0, 0]) else {
            panic!("not over");
        };
        assert_eq!(status.link_state, LINK_SUSPENDED);
        bench.hub.want(Want::Resume, 1);
        bench.asks("23 1 0002 1 0");
        bench.tells(&[]);
        assert_eq!(bench.waits(), 21);
        bench.asks("a3 0 0000 1 4");
        assert_eq!(bench.tells(&[0x07, 1, 0, 0]), Outcome::OnTheWay, "it still drives resume");
        assert_eq!(bench.waits(), 10);
        bench.asks("a3 0 0000 1 4");
        bench.tells(&[0x03, 1, 4, 0]);
        bench.asks("23 1 0012 1 0");
        let Outcome::Done(1, Want::Resume, status) = bench.tells(&[]) else { panic!("not over") };
        assert_eq!(status.link_state, LINK_RESUME);
    }

    #[test]
    fn request_that_fails_is_tried_again_and_then_ends_the_hub() {
        let mut bench = Bench::ready();
        bench.hub.want(Want::Look, 1);
        for n in 1..=TRIES {
            bench.asks("a3 0 0000 1 4");
            let outcome = bench.hub.answered(Err(XhciError::Transaction), bench.now);
            let failed = Outcome::Failed(Failure::Refused(XhciError::Transaction));
            assert_eq!(outcome, if n == TRIES { failed } else { Outcome::OnTheWay });
            bench.waits();
        }
        // A driver that has no time is not the hub's fault.
        let mut bench = Bench::ready();
        bench.hub.want(Want::Look, 1);
        for _ in 0..2 * TRIES {
            bench.asks("a3 0 0000 1 4");
            assert_eq!(bench.hub.answered(Err(XhciError::Busy), bench.now), Outcome::OnTheWay);
            bench.waits();
        }
    }

    #[test]
    fn status_of_another_length_ends_the_hub() {
        for len in [0, 3, 5] {
            let mut bench = Bench::ready();
            bench.hub.want(Want::Look, 1);
            bench.asks("a3 0 0000 1 4");
            assert!(matches!(bench.tells(&[0; 5][..len]), Outcome::Failed(_)));
        }
    }

    #[test]
    fn what_was_wanted_for_a_device_that_is_gone_is_not_done() {
        let mut bench = Bench::ready();
        for want in [Want::Reset, Want::Suspend, Want::Resume] {
            bench.hub.want(want, 2);
        }
        bench.hub.forget(2);
        assert!(!bench.hub.is_busy() && bench.hub.next(bench.now).is_none());
    }
}
