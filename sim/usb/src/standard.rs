//! Standard requests and the stages of control transfers: USB 2.0 chapters 8.5.3 and 9.
//!
//! [`Chapter9`] turns a [`Function`] (what a device is for) into a
//! [`UsbDevice`]. It owns the address, the configuration and the alternate
//! settings, and lets a packet through to the function only when the endpoint
//! exists in the setting that is selected. What the specification leaves
//! undefined is answered with a stall.

use crate::bus::{
    Address, Answer, Endpoint, Interface, Microframe, Setup, Speed, UsbDevice, standard_request,
};
use crate::descriptor::{Descriptors, EndpointInfo};
use crate::{Heard, Spoken};
use fabric::Time;

/// The request is refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Stall;

/// What a device is for.
pub trait Function {
    /// Its descriptors.
    fn descriptors(&self) -> &Descriptors;

    /// Back to the state after power-on, except for what was recorded: bus
    /// reset, loss of the wire, configuration 0.
    fn unconfigure(&mut self, now: Time);

    /// An alternate setting was selected; also called with 0 for every
    /// interface when the configuration is set.
    fn select(&mut self, now: Time, interface: Interface, alternate: u8);

    /// A class or vendor request with data towards the host; `into` arrives empty.
    ///
    /// # Errors
    /// The request is stalled.
    fn request_in(&mut self, setup: Setup, into: &mut Vec<u8>) -> Result<(), Stall>;

    /// A class or vendor request with data from the host, or without data.
    ///
    /// # Errors
    /// The request is stalled.
    fn request_out(&mut self, now: Time, setup: Setup, data: &[u8]) -> Result<(), Stall>;

    /// A packet for an endpoint of a selected setting.
    fn isoch_out(&mut self, at: Microframe, endpoint: Endpoint, data: &[u8]);

    /// A packet from an endpoint of a selected setting.
    fn isoch_in(&mut self, at: Microframe, endpoint: Endpoint, into: &mut [u8]) -> Option<usize>;

    /// What there is to tell on an interrupt endpoint: the length of the packet,
    /// `None` for nothing.
    fn interrupt_in(&mut self, endpoint: Endpoint, into: &mut [u8]) -> Option<usize>;

    /// A packet came that no selected setting has an endpoint for, or that is
    /// longer than the endpoint takes.
    fn stray(&mut self, at: Microframe);

    /// The bus was suspended: what plays stops.
    fn suspend(&mut self, now: Time);

    /// The bus was resumed: settings and controls are what they were (9.1.1.6).
    fn resume(&mut self, now: Time);

    /// What it heard.
    fn heard(&self) -> Option<&Heard>;

    /// What it said.
    fn spoken(&self) -> Option<&Spoken> {
        None
    }
}

/// The feature of a device that lets it wake its host (9.4, table 9-6).
const DEVICE_REMOTE_WAKEUP: u16 = 1;

/// Interfaces a model can have; the headsets have three.
const INTERFACES: usize = 8;

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// No transfer.
    Idle,
    /// Data towards the host, from this offset of the buffer.
    In(usize),
    /// Data from the host.
    Out,
    /// Only the status stage is left.
    Status,
    /// Refused: every further stage stalls, until the next setup packet.
    Refused,
}

/// A device, made of a function and the standard requests.
#[derive(Debug)]
pub struct Chapter9<F> {
    function: F,
    address: Address,
    configured: bool,
    suspended: bool,
    /// DEVICE_REMOTE_WAKEUP.
    may_wake: bool,
    alternates: [u8; INTERFACES],
    /// What can be selected.
    settings: Vec<(Interface, u8)>,
    endpoints: Vec<EndpointInfo>,
    /// Largest packet of each endpoint of the selected settings; `None` where
    /// there is none.
    live: [Option<u16>; 32],
    halted: u32,
    setup: Setup,
    stage: Stage,
    buffer: Vec<u8>,
}

impl<F: Function> Chapter9<F> {
    /// `function`, attached and not yet reset.
    #[must_use]
    pub fn new(function: F) -> Self {
        let (settings, endpoints) =
            (function.descriptors().alternates(), function.descriptors().endpoints());
        Self {
            function,
            address: Address(0),
            configured: false,
            suspended: false,
            may_wake: false,
            alternates: [0; INTERFACES],
            settings,
            endpoints,
            live: [None; 32],
            halted: 0,
            setup: Setup::default(),
            stage: Stage::Idle,
            buffer: Vec::with_capacity(512),
        }
    }

    /// The function inside.
    #[must_use]
    pub fn function(&self) -> &F {
        &self.function
    }

    /// The function inside, for what happens to it from outside.
    pub fn function_mut(&mut self) -> &mut F {
        &mut self.function
    }

    fn unconfigure(&mut self, now: Time) {
        self.configured = false;
        self.alternates = [0; INTERFACES];
        self.live = [None; 32];
        self.halted = 0;
        self.function.unconfigure(now);
    }

    fn refresh_endpoints(&mut self) {
        self.live = [None; 32];
        for endpoint in &self.endpoints {
            if self.alternates[usize::from(endpoint.interface.0)] == endpoint.alternate {
                self.live[endpoint.address.index()] = Some(endpoint.max_packet);
            }
        }
    }

    fn has_interface(&self, index: u16) -> Option<Interface> {
        let number = Interface(u8::try_from(index).ok()?);
        (self.configured && self.settings.iter().any(|setting| setting.0 == number))
            .then_some(number)
    }

    fn has_endpoint(&self, index: u16) -> Option<Endpoint> {
        let endpoint = Endpoint(u8::try_from(index).ok()?);
        let exists = endpoint.number() == 0 || self.live[endpoint.index()].is_some();
        (exists && endpoint.0 & 0x70 == 0).then_some(endpoint)
    }

    /// A request that answers with data; `self.buffer` gets the answer.
    fn answer(&mut self) -> Result<(), Stall> {
        use standard_request as request;
        self.buffer.clear();
        let setup = self.setup;
        match (setup.kind, setup.request) {
            (0x80, request::GET_DESCRIPTOR) => {
                self.function.descriptors().get(setup.value, &mut self.buffer).then_some(())
            }
            (0x80, request::GET_CONFIGURATION) if setup.value == 0 && setup.index == 0 => {
                let value = self.function.descriptors().configuration_value();
                (self.address.0 != 0).then(|| self.buffer.push(value * u8::from(self.configured)))
            }
            (0x80, request::GET_STATUS) if setup.value == 0 && setup.index == 0 => {
                let self_powered = self.function.descriptors().configuration[7] >> 6 & 1;
                let status = self_powered | u8::from(self.may_wake) << 1;
                self.buffer.extend_from_slice(&[status, 0]);
                Some(())
            }
            (0x81, request::GET_STATUS) if setup.value == 0 => {
                self.has_interface(setup.index).map(|_| self.buffer.extend_from_slice(&[0, 0]))
            }
            (0x82, request::GET_STATUS) if setup.value == 0 => {
                self.has_endpoint(setup.index).map(|endpoint| {
                    let halted = (self.halted >> endpoint.index() & 1) as u8;
                    self.buffer.extend_from_slice(&[halted, 0]);
                })
            }
            (0x81, request::GET_INTERFACE) if setup.value == 0 => self
                .has_interface(setup.index)
                .map(|number| self.buffer.push(self.alternates[usize::from(number.0)])),
            // Class and vendor requests exist only once configured (9.1.1.5).
            (kind, _) if kind & 0x60 != 0 && self.configured => {
                return self.function.request_in(setup, &mut self.buffer);
            }
            _ => None,
        }
        .ok_or(Stall)
    }

    /// A request without an answer; its data, if any, is in `self.buffer`.
    fn perform(&mut self, now: Time) -> Result<(), Stall> {
        use standard_request as request;
        let setup = self.setup;
        match (setup.kind, setup.request, setup.length) {
            (0x00, request::SET_ADDRESS, 0) if setup.value < 128 && setup.index == 0 => {
                // Not defined when configured (9.4.6).
                if self.configured {
                    return Err(Stall);
                }
                self.address = Address(setup.value as u8);
                Ok(())
            }
            (0x00, request::SET_CONFIGURATION, 0) if setup.index == 0 => {
                self.set_configuration(now, setup.value)
            }
            (0x01, request::SET_INTERFACE, 0) => self.set_interface(now),
            (0x00, request::CLEAR_FEATURE | request::SET_FEATURE, 0)
                if setup.value == DEVICE_REMOTE_WAKEUP
                    && setup.index == 0
                    && self.function.descriptors().wakes() =>
            {
                self.may_wake = setup.request == request::SET_FEATURE;
                Ok(())
            }
            // ENDPOINT_HALT.
            (0x02, request::CLEAR_FEATURE | request::SET_FEATURE, 0) if setup.value == 0 => {
                let endpoint = self.has_endpoint(setup.index).ok_or(Stall)?;
                let bit = 1 << endpoint.index();
                if setup.request == request::SET_FEATURE {
                    self.halted |= bit;
                } else {
                    self.halted &= !bit;
                }
                Ok(())
            }
            (kind, _, _) if kind & 0x60 != 0 && self.configured => {
                self.function.request_out(now, setup, &self.buffer)
            }
            _ => Err(Stall),
        }
    }

    fn set_configuration(&mut self, now: Time, value: u16) -> Result<(), Stall> {
        // Not defined in the Default state (9.4.7).
        if self.address.0 == 0 {
            return Err(Stall);
        }
        self.unconfigure(now);
        if value == 0 {
            return Ok(());
        }
        if value != u16::from(self.function.descriptors().configuration_value()) {
            return Err(Stall);
        }
        self.configured = true;
        self.refresh_endpoints();
        for &(interface, alternate) in &self.settings {
            if alternate == 0 {
                self.function.select(now, interface, 0);
            }
        }
        Ok(())
    }

    fn set_interface(&mut self, now: Time) -> Result<(), Stall> {
        let interface = self.has_interface(self.setup.index).ok_or(Stall)?;
        let alternate = u8::try_from(self.setup.value).map_err(|_| Stall)?;
        if !self.settings.contains(&(interface, alternate)) {
            return Err(Stall);
        }
        self.alternates[usize::from(interface.0)] = alternate;
        self.refresh_endpoints();
        self.function.select(now, interface, alternate);
        Ok(())
    }
}

impl<F: Function> UsbDevice for Chapter9<F> {
    fn speed(&self) -> Speed {
        self.function.descriptors().speed
    }

    fn reset(&mut self, now: Time) {
        self.unconfigure(now);
        self.address = Address(0);
        self.suspended = false;
        self.may_wake = false;
        self.stage = Stage::Idle;
    }

    fn suspend(&mut self, now: Time) {
        self.suspended = true;
        self.function.suspend(now);
    }

    fn resume(&mut self, now: Time) {
        if std::mem::take(&mut self.suspended) {
            self.function.resume(now);
        }
    }

    fn may_wake(&self) -> bool {
        self.suspended && self.may_wake
    }

    fn detach(&mut self, now: Time) {
        self.reset(now);
    }

    fn address(&self) -> Address {
        self.address
    }

    fn setup(&mut self, _now: Time, setup: Setup) -> Answer {
        if self.suspended {
            return Answer::Silent;
        }
        self.setup = setup;
        self.stage = if setup.is_in() && setup.length > 0 {
            match self.answer() {
                Ok(()) => {
                    self.buffer.truncate(usize::from(setup.length));
                    Stage::In(0)
                }
                Err(Stall) => Stage::Refused,
            }
        } else {
            self.buffer.clear();
            if setup.length > 0 { Stage::Out } else { Stage::Status }
        };
        Answer::Ack
    }

    fn control_in(&mut self, into: &mut [u8]) -> Answer {
        match self.stage {
            Stage::In(from) => {
                let room = self.function.descriptors().max_packet_0();
                let data = &self.buffer[from..];
                let data = &data[..data.len().min(room)];
                into[..data.len()].copy_from_slice(data);
                self.stage = Stage::In(from + data.len());
                Answer::Data(data.len())
            }
            Stage::Refused => Answer::Stall,
            Stage::Idle | Stage::Out | Stage::Status => Answer::Stall,
        }
    }

    fn control_out(&mut self, data: &[u8]) -> Answer {
        if self.stage != Stage::Out {
            return Answer::Stall;
        }
        // A packet longer than endpoint 0 is babble: the device does not see
        // a packet there at all.
        if data.len() > self.function.descriptors().max_packet_0() {
            return Answer::Silent;
        }
        if self.buffer.len() + data.len() > usize::from(self.setup.length) {
            self.stage = Stage::Refused;
            return Answer::Stall;
        }
        self.buffer.extend_from_slice(data);
        Answer::Ack
    }

    fn status(&mut self, now: Time) -> Answer {
        let result = match self.stage {
            // The host may end an IN data stage early (8.5.3.1).
            Stage::In(_) => Ok(()),
            Stage::Out if self.buffer.len() < usize::from(self.setup.length) => Err(Stall),
            Stage::Out | Stage::Status => self.perform(now),
            Stage::Idle | Stage::Refused => Err(Stall),
        };
        self.stage = Stage::Idle;
        match result {
            Ok(()) => Answer::Ack,
            Err(Stall) => Answer::Stall,
        }
    }

    fn isoch_out(&mut self, at: Microframe, endpoint: Endpoint, data: &[u8]) {
        if self.suspended {
            return;
        }
        match self.live[endpoint.index()] {
            Some(max) if data.len() <= usize::from(max) => {
                self.function.isoch_out(at, endpoint, data);
            }
            _ => self.function.stray(at),
        }
    }

    fn isoch_in(&mut self, at: Microframe, endpoint: Endpoint, into: &mut [u8]) -> Option<usize> {
        if self.suspended {
            return None;
        }
        self.live[endpoint.index()]?;
        self.function.isoch_in(at, endpoint, into)
    }

    fn interrupt_in(&mut self, _at: Microframe, endpoint: Endpoint, into: &mut [u8]) -> Answer {
        match self.live[endpoint.index()] {
            Some(_) if self.halted >> endpoint.index() & 1 == 1 => Answer::Stall,
            Some(_) if self.suspended => Answer::Silent,
            Some(_) => self.function.interrupt_in(endpoint, into).map_or(Answer::Nak, Answer::Data),
            None => Answer::Silent,
        }
    }

    fn heard(&self) -> Option<&Heard> {
        self.function.heard()
    }

    fn spoken(&self) -> Option<&Spoken> {
        self.function.spoken()
    }
}
