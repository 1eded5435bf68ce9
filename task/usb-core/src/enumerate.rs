//! How a device gets from the port to its configuration.
//!
//! A state machine per port that asks for one thing at a time and says what it
//! waits for; whoever drives it does the asking and keeps the clock. It never
//! blocks and knows neither kernel nor driver, so that each step and each
//! refusal can be tested alone.
//!
//! USB 2.0 sections 7.1.7 and 9.1.2 (debounce, recovery, address time), xHCI
//! 1.2 section 4.3.

use usb_desc::{AlternateNumber, Config, Device, Header, Issue, Rule};
use usb_types::{Setup, Speed};
use xhci_api::{PortStatus, XhciError};

use crate::MAX_CONFIGURATION;
use crate::device::Slot;
use crate::endpoint::{Specs, dcis, specs};
use crate::pause::Pause;

/// How often a device is tried. Some answer only after a second reset; one
/// that fails five times fails always.
pub(crate) const ATTEMPTS: u8 = 5;

/// bRequest values of USB 2.0 table 9-4.
const GET_DESCRIPTOR: u8 = 6;
const SET_CONFIGURATION: u8 = 9;
/// wValue's upper byte: descriptor types of table 9-5.
const DEVICE: u16 = 1 << 8;
const CONFIGURATION: u16 = 2 << 8;

/// Where an enumeration is; each step waits for one answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The connection must stay.
    Debounce,
    /// The port is being reset.
    Reset,
    /// The device recovers from the reset.
    Recovery,
    /// The controller finds a slot.
    EnableSlot,
    /// The slot's context is set up, without an address for the device.
    AddressBlocked,
    /// The first eight bytes of the device descriptor.
    ReadHead,
    /// The controller learns the packet size of endpoint 0.
    Evaluate,
    /// The device gets its address.
    Address,
    /// The device takes its address.
    Settle,
    /// The device descriptor.
    ReadDevice,
    /// The first nine bytes of a configuration.
    ReadHeader,
    /// All of a configuration.
    ReadConfiguration,
    /// The controller reserves what alternate settings 0 need.
    Endpoints,
    /// The device takes the configuration.
    SetConfiguration,
}

/// What an enumeration asks of the controller.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Reset the port.
    ResetPort,
    /// Reset the device that has the slot already, port and all.
    ResetDevice,
    /// A slot for a device of this speed.
    EnableSlot(Speed),
    /// Address Device.
    Address {
        /// Without SET_ADDRESS.
        block: bool,
        /// Packet size of endpoint 0.
        max_packet0: u16,
    },
    /// Tell the packet size of endpoint 0.
    Evaluate {
        /// The size.
        max_packet0: u16,
    },
    /// A control transfer; IN data goes to the configuration's store.
    Control(Setup),
    /// Reserve the endpoints that [`Enumeration::initial`] names.
    Configure,
}

/// What comes next.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Come back after this pause with the port's state.
    Wait(Pause),
    /// Ask the controller, and come back with the answer.
    Ask(Request),
    /// The device is configured.
    Ready,
    /// It did not work.
    Failed(Failure),
}

/// An answer to what was waited for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The time is up, and this is how the port looks.
    TimeUp(PortStatus),
    /// Done.
    Done,
    /// The slot.
    Slot(Slot),
    /// So many bytes are in the configuration's store.
    Data(u16),
    /// The controller refused, or it went wrong.
    Refused(XhciError),
}

/// Why an enumeration ended without a device.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The device went away, or never stayed.
    NotThere,
    /// The reset left the port disabled, or without a speed.
    NotEnabled,
    /// The controller refused a step, or the device failed it.
    Refused(Step, XhciError),
    /// A descriptor breaks a rule that it cannot be used without.
    Descriptor(Step, Issue),
    /// No configuration can be used; the last one's reason.
    NoConfiguration(Issue),
    /// Every configuration is longer than the store.
    ConfigurationTooLong,
    /// Alternate settings 0 need more endpoints than one command configures.
    TooManyEndpoints,
    /// There is no place for another device.
    TooManyDevices,
    /// The answer does not belong to the step: a defect of the driver.
    Confused(Step),
}

/// One device on its way.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Enumeration {
    step: Step,
    speed: Speed,
    slot: Option<Slot>,
    max_packet0: u16,
    device: Device,
    /// Index of the configuration being read.
    index: u8,
    header: Header,
    length: u16,
    initial: Specs,
}

impl Enumeration {
    /// A device was seen on the port; begins with [`Pause::Debounce`].
    #[must_use]
    pub(crate) fn new() -> (Self, Next) {
        let enumeration = Self {
            step: Step::Debounce,
            speed: Speed::Full,
            slot: None,
            max_packet0: 0,
            device: Device::default(),
            index: 0,
            header: Header::default(),
            length: 0,
            initial: Specs::new(),
        };
        (enumeration, Next::Wait(Pause::Debounce))
    }

    /// The device `known`, which has `slot`, is to be reset. The slot is left in
    /// the state Default, with endpoint 0 as it was (xHCI 1.2 section 4.6.11): from
    /// there the device is addressed.
    pub(crate) fn again(slot: Slot, known: &Device, speed: Speed) -> (Self, Request) {
        let (mut enumeration, _) = Self::new();
        enumeration.step = Step::Reset;
        enumeration.slot = Some(slot);
        enumeration.max_packet0 = match speed {
            Speed::Super | Speed::SuperPlus => 512,
            Speed::Low | Speed::Full | Speed::High => known.packet_size_0.into(),
        };
        (enumeration, Request::ResetDevice)
    }

    /// Where it is.
    #[must_use]
    pub(crate) const fn step(&self) -> Step {
        self.step
    }

    /// The slot, once there is one.
    #[must_use]
    pub(crate) const fn slot(&self) -> Option<Slot> {
        self.slot
    }

    /// The device's speed, known from the end of recovery on.
    #[must_use]
    pub(crate) const fn speed(&self) -> Speed {
        self.speed
    }

    /// The device descriptor, once it was read.
    #[must_use]
    pub(crate) const fn device(&self) -> &Device {
        &self.device
    }

    /// The header of the configuration, once it was read.
    #[must_use]
    pub(crate) const fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes of the configuration that are there, whatever its header says.
    pub(crate) const fn length(&self) -> u16 {
        self.length
    }

    /// What alternate settings 0 need.
    pub(crate) const fn initial(&self) -> &Specs {
        &self.initial
    }

    /// Takes `answer` to what was waited for; `store` is where IN data went.
    pub(crate) fn advance(&mut self, answer: Answer, store: &[u8]) -> Next {
        match (self.step, answer) {
            (step, Answer::Refused(error)) => Next::Failed(Failure::Refused(step, error)),
            (Step::Debounce, Answer::TimeUp(port)) => self.debounced(port),
            (Step::Reset, Answer::Done) => self.wait(Step::Recovery, Pause::ResetRecovery),
            (Step::Recovery, Answer::TimeUp(port)) => self.recovered(port),
            (Step::EnableSlot, Answer::Slot(slot)) => {
                self.slot = Some(slot);
                let max_packet0 = self.max_packet0;
                self.ask(Step::AddressBlocked, Request::Address { block: true, max_packet0 })
            }
            (Step::AddressBlocked, Answer::Done) => {
                self.ask(Step::ReadHead, read_descriptor(DEVICE, 8))
            }
            (Step::ReadHead, Answer::Data(len)) => self.head(received(store, len)),
            (Step::Evaluate, Answer::Done) => self.address(),
            (Step::Address, Answer::Done) => self.wait(Step::Settle, Pause::AddressRecovery),
            (Step::Settle, Answer::TimeUp(_)) => {
                self.ask(Step::ReadDevice, read_descriptor(DEVICE, Device::LENGTH as u16))
            }
            (Step::ReadDevice, Answer::Data(len)) => self.described(received(store, len)),
            (Step::ReadHeader, Answer::Data(len)) => self.sized(received(store, len)),
            (Step::ReadConfiguration, Answer::Data(len)) => self.read(received(store, len)),
            (Step::Endpoints, Answer::Done) => self.set_configuration(),
            (Step::SetConfiguration, Answer::Data(_) | Answer::Done) => Next::Ready,
            (step, _) => Next::Failed(Failure::Confused(step)),
        }
    }

    fn wait(&mut self, step: Step, pause: Pause) -> Next {
        self.step = step;
        Next::Wait(pause)
    }

    fn ask(&mut self, step: Step, request: Request) -> Next {
        self.step = step;
        Next::Ask(request)
    }

    fn debounced(&mut self, port: PortStatus) -> Next {
        if !port.connected {
            Next::Failed(Failure::NotThere)
        } else if port.usb3 && port.enabled {
            // A USB 3 link trains by itself (xHCI 4.3).
            self.recovered(port)
        } else {
            self.ask(Step::Reset, Request::ResetPort)
        }
    }

    fn recovered(&mut self, port: PortStatus) -> Next {
        if !port.connected {
            return Next::Failed(Failure::NotThere);
        }
        let Some(speed) = port.speed.filter(|_| port.enabled) else {
            return Next::Failed(Failure::NotEnabled);
        };
        self.speed = speed;
        if self.slot.is_some() {
            return self.address();
        }
        self.max_packet0 = match speed {
            // Full speed has four sizes; eight bytes arrive with any of them.
            Speed::Low | Speed::Full => 8,
            Speed::High => 64,
            Speed::Super | Speed::SuperPlus => 512,
        };
        self.ask(Step::EnableSlot, Request::EnableSlot(speed))
    }

    fn head(&mut self, head: &[u8]) -> Next {
        let found = match Device::control_packet(head, self.speed) {
            Ok(found) => found,
            Err(issue) => return Next::Failed(Failure::Descriptor(Step::ReadHead, issue)),
        };
        if found == self.max_packet0 {
            return self.address();
        }
        self.max_packet0 = found;
        self.ask(Step::Evaluate, Request::Evaluate { max_packet0: found })
    }

    fn address(&mut self) -> Next {
        let max_packet0 = self.max_packet0;
        self.ask(Step::Address, Request::Address { block: false, max_packet0 })
    }

    fn described(&mut self, bytes: &[u8]) -> Next {
        match Device::parse(bytes) {
            Ok(device) => self.device = device,
            Err(issue) => return Next::Failed(Failure::Descriptor(Step::ReadDevice, issue)),
        }
        if self.device.configurations == 0 {
            let issue = Issue::new(Rule::NoConfiguration, 0, 0);
            return Next::Failed(Failure::NoConfiguration(issue));
        }
        self.read_header(0)
    }

    fn read_header(&mut self, index: u8) -> Next {
        self.index = index;
        let request = read_descriptor(CONFIGURATION | u16::from(index), Header::LENGTH as u16);
        self.ask(Step::ReadHeader, request)
    }

    /// Goes on to the next configuration, because of `reason`.
    fn pass_over(&mut self, reason: Failure) -> Next {
        match self.index.checked_add(1).filter(|&next| next < self.device.configurations) {
            Some(next) => self.read_header(next),
            None => Next::Failed(reason),
        }
    }

    fn sized(&mut self, bytes: &[u8]) -> Next {
        match Header::parse(bytes) {
            Ok(header) if usize::from(header.total) > MAX_CONFIGURATION => {
                self.pass_over(Failure::ConfigurationTooLong)
            }
            Ok(header) => {
                let wanted = CONFIGURATION | u16::from(self.index);
                self.ask(Step::ReadConfiguration, read_descriptor(wanted, header.total))
            }
            Err(issue) => self.pass_over(Failure::NoConfiguration(issue)),
        }
    }

    /// A whole configuration was read: the first one that can be used is taken.
    fn read(&mut self, bytes: &[u8]) -> Next {
        let config = match Config::parse(bytes, self.speed) {
            Ok(config) => config,
            Err(issue) => return self.pass_over(Failure::NoConfiguration(issue)),
        };
        self.header = *config.header();
        // The device may say another length now than before.
        self.length = (bytes.len() as u16).min(self.header.total);
        self.initial = Specs::new();
        for setting in config.settings().filter_map(Result::ok) {
            if setting.interface.alternate() != AlternateNumber(0) {
                continue;
            }
            let Ok(found) = specs(&setting, self.speed) else {
                return self.pass_over(Failure::TooManyEndpoints);
            };
            for spec in found.iter() {
                // Two interfaces that both start with one address cannot be
                // had together; the second one does without.
                if dcis(&self.initial) & 1 << spec.dci == 0 && self.initial.push(*spec).is_err() {
                    return self.pass_over(Failure::TooManyEndpoints);
                }
            }
        }
        if self.initial.is_empty() {
            return self.set_configuration();
        }
        self.ask(Step::Endpoints, Request::Configure)
    }

    fn set_configuration(&mut self) -> Next {
        let setup = Setup {
            request_type: 0,
            request: SET_CONFIGURATION,
            value: self.header.value.into(),
            index: 0,
            length: 0,
        };
        self.ask(Step::SetConfiguration, Request::Control(setup))
    }
}

/// GET_DESCRIPTOR (9.4.3).
const fn read_descriptor(value: u16, length: u16) -> Request {
    Request::Control(Setup { request_type: 0x80, request: GET_DESCRIPTOR, value, index: 0, length })
}

/// What arrived of an IN data stage.
fn received(store: &[u8], len: u16) -> &[u8] {
    store.get(..usize::from(len)).unwrap_or(store)
}
