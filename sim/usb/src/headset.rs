//! Headsets: UAC 1.0 devices that are as strict as the standard lets them be.
//!
//! Four models. [`Model::Sync`] is clocked by the bus, like QEMU's usb-audio
//! but with several rates and formats; [`Model::Async`] has a crystal of its own
//! and an explicit feedback endpoint, at full or high speed; [`Model::Capture`]
//! is the synchronous one with a microphone beside it; [`Model::Qemu`] has the
//! descriptors and the volume of QEMU's device (46f4:0002), byte for byte.
//!
//! All but the last start muted and 10 dB down: a host that does not program
//! the feature unit is heard at once. 0 dB is unity.

pub mod heard;
pub mod microphone;

mod controls;
mod layout;
mod sink;

use crate::bus::{Endpoint, Interface, Microframe, Setup, Speed, UsbDevice};
use crate::descriptor::Descriptors;
use crate::standard::{Chapter9, Function, Stall};
use controls::Feature;
use fabric::{Rng, Time};
use heard::{Format, Heard};
use layout::{Layout, Playback};
use microphone::{Microphone, Spoken};
use sink::{Clock, Sink};

/// Which headset.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Model {
    /// Synchronous, full speed.
    Sync,
    /// Asynchronous with explicit feedback, at full or high speed.
    Async(Speed),
    /// Synchronous, with a microphone.
    Capture,
    /// QEMU's usb-audio.
    Qemu,
}

/// Builds a headset; `seed` decides how far an asynchronous one's crystal is off.
#[must_use]
pub fn headset(model: Model, seed: u64) -> Box<dyn UsbDevice> {
    Box::new(Chapter9::new(Headset::new(model, seed)))
}

/// A crystal is off by up to that many parts per million (USB 2.0, 7.1.11
/// allows a full-speed function 2500; audio crystals are better).
const WORST_PPM: u32 = 500;

/// Class-specific requests (UAC 1.0, A.9).
mod request {
    pub(super) const SET_CUR: u8 = 0x01;
    pub(super) const GET_CUR: u8 = 0x81;
    pub(super) const GET_MIN: u8 = 0x82;
    pub(super) const GET_MAX: u8 = 0x83;
    pub(super) const GET_RES: u8 = 0x84;
}

/// SAMPLING_FREQ_CONTROL of an endpoint (UAC 1.0, A.10.5), as wValue.
const SAMPLING_FREQUENCY: u16 = 0x0100;

/// The function of a headset.
#[derive(Debug)]
pub struct Headset {
    model: Model,
    layout: Layout,
    output: Feature,
    microphone: Option<Microphone>,
    /// The playback setting that is selected; `None` in alternate 0.
    playing: Option<Playback>,
    rate: Option<u32>,
    /// Parts per million by which the own crystal is off.
    ppm: i32,
    sink: Sink,
    /// When the last feedback value was given.
    feedback_due: Microframe,
}

impl Headset {
    /// A headset as it leaves the factory.
    #[must_use]
    pub fn new(model: Model, seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5EED_0F0A);
        let layout = Layout::new(model);
        let ppm = match model {
            Model::Async(_) => {
                let off = rng.range(50, WORST_PPM) as i32;
                if rng.one_in(2) { off } else { -off }
            }
            Model::Sync | Model::Capture | Model::Qemu => 0,
        };
        Self {
            model,
            output: Feature::output(model, layout.output_unit),
            microphone: layout.microphone.map(Microphone::new),
            playing: None,
            rate: None,
            ppm,
            sink: Sink::new(),
            feedback_due: Microframe(0),
            layout,
        }
    }

    /// How far its crystal is off.
    #[must_use]
    pub fn ppm(&self) -> i32 {
        self.ppm
    }

    fn clock(&self) -> Clock {
        match self.model {
            Model::Async(_) => Clock::Own { ppm: self.ppm },
            Model::Sync | Model::Capture | Model::Qemu => Clock::Bus,
        }
    }

    /// Starts or restarts the stream that the selected setting and rate make.
    fn open(&mut self, now: Time) {
        self.sink.close(now, self.output.gain());
        let Some(playing) = self.playing else { return };
        let rate = if playing.rate_control { self.rate } else { Some(playing.rates[0]) };
        let Some(rate) = rate.filter(|rate| playing.rates.contains(rate)) else { return };
        let format = Format { rate, channels: playing.channels, bytes: playing.bytes };
        self.sink.open(now, format, self.clock());
    }

    fn endpoint_request(&self, setup: Setup) -> Result<RateControl, Stall> {
        if setup.value != SAMPLING_FREQUENCY || setup.length != 3 {
            return Err(Stall);
        }
        let endpoint = Endpoint(u8::try_from(setup.index).map_err(|_| Stall)?);
        if let Some(playing) = self.playing.filter(|playing| playing.rate_control)
            && endpoint == layout::OUTPUT
        {
            return Ok(RateControl::Playback(playing));
        }
        match &self.microphone {
            Some(microphone) if microphone.has(endpoint) => Ok(RateControl::Capture),
            _ => Err(Stall),
        }
    }

    fn feature(&mut self, setup: Setup) -> Result<&mut Feature, Stall> {
        let [interface, unit] = setup.index.to_le_bytes();
        if interface != 0 {
            return Err(Stall);
        }
        std::iter::once(&mut self.output)
            .chain(self.microphone.as_mut().map(Microphone::feature))
            .find(|feature| feature.unit() == unit)
            .ok_or(Stall)
    }

    /// The feedback value (UAC 1.0, 3.7.2.2; USB 2.0, 5.12.4.2), and its length.
    fn feedback(&mut self, at: Microframe) -> (u32, usize) {
        let fill = self.sink.advance(at, self.output.gain());
        let per_frame = self.sink.regulated_rate(fill);
        match self.layout.descriptors.speed {
            // 10.14 frames of audio per frame of the bus, in 3 bytes.
            Speed::Full | Speed::Low => ((per_frame * 16_384.0) as u32, 3),
            // 16.16 per microframe, in 4.
            Speed::High | Speed::Super => ((per_frame / 8.0 * 65_536.0) as u32, 4),
        }
    }
}

enum RateControl {
    Playback(Playback),
    Capture,
}

impl Function for Headset {
    fn descriptors(&self) -> &Descriptors {
        &self.layout.descriptors
    }

    fn unconfigure(&mut self, now: Time) {
        self.sink.close(now, self.output.gain());
        self.output.power_on();
        if let Some(microphone) = &mut self.microphone {
            microphone.unconfigure();
        }
        self.playing = None;
        self.rate = None;
    }

    fn select(&mut self, now: Time, interface: Interface, alternate: u8) {
        if interface == layout::PLAYBACK {
            self.playing = self.layout.playback(alternate);
            self.open(now);
        } else if let Some(microphone) = &mut self.microphone
            && microphone.interface() == interface
        {
            microphone.select(alternate != 0);
        }
    }

    fn request_in(&mut self, setup: Setup, into: &mut Vec<u8>) -> Result<(), Stall> {
        match setup.kind {
            0xA1 => self.feature(setup)?.get(setup, into),
            0xA2 if setup.request == request::GET_CUR => {
                let rate = match self.endpoint_request(setup)? {
                    RateControl::Playback(_) => self.rate,
                    RateControl::Capture => self.microphone.as_ref().and_then(Microphone::rate),
                };
                into.extend_from_slice(&rate.unwrap_or(0).to_le_bytes()[..3]);
                Ok(())
            }
            _ => Err(Stall),
        }
    }

    fn request_out(&mut self, now: Time, setup: Setup, data: &[u8]) -> Result<(), Stall> {
        match (setup.kind, setup.request) {
            (0x21, request::SET_CUR) => {
                // What was played until now was played with the old gain.
                self.sink.advance(Microframe::at(now), self.output.gain());
                self.feature(setup)?.set(setup, data)
            }
            (0x22, request::SET_CUR) => {
                let control = self.endpoint_request(setup)?;
                let &[low, middle, high] = data else { return Err(Stall) };
                let rate = u32::from_le_bytes([low, middle, high, 0]);
                match control {
                    RateControl::Playback(playing) if playing.rates.contains(&rate) => {
                        self.rate = Some(rate);
                        self.open(now);
                        Ok(())
                    }
                    RateControl::Capture => {
                        let microphone = self.microphone.as_mut().ok_or(Stall)?;
                        if microphone.set_rate(rate) { Ok(()) } else { Err(Stall) }
                    }
                    RateControl::Playback(_) => Err(Stall),
                }
            }
            _ => Err(Stall),
        }
    }

    fn isoch_out(&mut self, at: Microframe, _endpoint: Endpoint, data: &[u8]) {
        // QEMU's device takes whole packets of one size only.
        let odd = self.model == Model::Qemu && data.len() != layout::QEMU_PACKET;
        if odd {
            self.sink.refuse();
        } else {
            self.sink.packet(at, data, self.output.gain());
        }
    }

    fn isoch_in(&mut self, at: Microframe, endpoint: Endpoint, into: &mut [u8]) -> Option<usize> {
        if self.layout.feedback == Some(endpoint) {
            // A new value once per period; in between there is nothing to say.
            if at < self.feedback_due || self.sink.closed() {
                return Some(0);
            }
            self.feedback_due = Microframe(at.0 + layout::FEEDBACK_PERIOD);
            let (value, len) = self.feedback(at);
            let len = len.min(into.len());
            into[..len].copy_from_slice(&value.to_le_bytes()[..len]);
            return Some(len);
        }
        self.microphone.as_mut()?.packet(at, into)
    }

    fn interrupt_in(&mut self, _endpoint: Endpoint, _into: &mut [u8]) -> Option<usize> {
        // No headset has a status endpoint.
        None
    }

    fn stray(&mut self, _at: Microframe) {
        self.sink.refuse();
    }

    fn suspend(&mut self, now: Time) {
        self.sink.close(now, self.output.gain());
    }

    fn resume(&mut self, now: Time) {
        self.open(now);
    }

    fn heard(&self) -> Option<&Heard> {
        Some(self.sink.heard())
    }

    fn spoken(&self) -> Option<&Spoken> {
        self.microphone.as_ref().map(Microphone::spoken)
    }
}

#[cfg(test)]
mod tests;
