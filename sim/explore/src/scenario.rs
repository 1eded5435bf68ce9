//! What is done to the machine, apart from what goes wrong.

use crate::play::Play;
use dsp_abi::bell;
use dsp_abi::media::Path;
use fabric::Time;
use offload_broker_api::{BrokerError, OffloadBroker, RouteHandle, RouteRequest, RouteState};
use rng::Rng;
use std::cell::Cell;
use std::rc::Rc;
use system::auditor::{OFFLOAD_BROKER, USB_AUDIO};
use usb_audio_api::{
    Completed, Drive, SampleFormat, StreamFormat, StreamId, TicketHandle, UsbAudio, UsbAudioError,
};
use usb_model::Speed;
use usb_model::headset::Model;
use usb_types::Direction;
use userlib::hl::sleep_for;

/// A scenario.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scenario {
    /// One stream over the DSP, to a headset that the bus clocks.
    Stream,
    /// One stream over the DSP, to a headset with a crystal of its own: two
    /// endpoints.
    Feedback,
    /// Two headsets, and a stream over the DSP to each.
    TwoDevices,
    /// A stream over the DSP, while a client on the application core opens and
    /// closes the same one.
    Competitor,
    /// A client starts and stops routes, faster than they can begin.
    Toggle,
    /// One stream over the application core.
    Host,
    /// Two headsets; the system sleeps while a stream over the DSP plays to one of
    /// them, and wakes up.
    Sleeping,
    /// One stream over the DSP, and somebody else there who sends the broker what
    /// nobody may be granted.
    Stranger,
}

/// How long an errand asks again, in milliseconds.
const PATIENCE: u64 = 9_000;
/// Frames of an errand's route; the media pool holds more.
const ROUTE: u32 = 48 * 20;

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Stream,
        Self::Feedback,
        Self::TwoDevices,
        Self::Competitor,
        Self::Toggle,
        Self::Host,
        Self::Sleeping,
        Self::Stranger,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Feedback => "feedback",
            Self::TwoDevices => "two-devices",
            Self::Competitor => "competitor",
            Self::Toggle => "toggle",
            Self::Host => "host",
            Self::Sleeping => "sleeping",
            Self::Stranger => "stranger",
        }
    }

    /// The scenario of that name.
    ///
    /// # Errors
    /// Which there are.
    pub fn parse(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("'{name}' is no scenario; one of {known}")
        })
    }

    /// Whether nobody competes for a stream.
    pub(crate) const fn is_alone(self) -> bool {
        !matches!(self, Self::Competitor | Self::Toggle)
    }

    /// The headsets, by place.
    pub(crate) fn models(self, seed: u64) -> Vec<Model> {
        let own = [Model::Async(Speed::Full), Model::Async(Speed::High)];
        let any = [Model::Sync, own[0], own[1]];
        let turn = |n: u64| any[((seed + n) % any.len() as u64) as usize];
        match self {
            Self::Stream => vec![Model::Sync],
            Self::Feedback => vec![own[(seed % 2) as usize]],
            Self::TwoDevices | Self::Sleeping => vec![turn(0), turn(1)],
            Self::Competitor | Self::Toggle | Self::Host | Self::Stranger => vec![turn(0)],
        }
    }

    /// How many headsets there are.
    pub(crate) fn places(self) -> u8 {
        self.models(0).len() as u8
    }

    /// Milliseconds of the longest sound.
    pub(crate) const fn longest(self) -> u32 {
        match self {
            Self::TwoDevices => 420,
            Self::Sleeping => 160,
            _ => 40,
        }
    }

    /// Does it.
    pub(crate) fn act(self, play: &mut Play<'_>) {
        let mut rng = Rng::new(play.case.seed ^ 0xAC70);
        let delay = u64::from(rng.below(30_000));
        match self {
            Self::Stream | Self::Feedback | Self::Stranger => {
                play.plug(0, delay);
                play.order(20 + rng.below(20), Path::Offload);
                play.wait();
            }
            Self::Host => {
                play.plug(0, delay);
                play.order(20 + rng.below(20), Path::Player);
                play.wait();
            }
            Self::TwoDevices => {
                play.plug(0, delay);
                play.order(self.longest(), Path::Offload);
                play.until_packets(Time::ms(1_000));
                play.plug(1, delay);
                // The debounce and an enumeration take some 200 ms.
                play.scene.run_for(Time::ms(230 + u64::from(rng.below(60))));
                for _ in 0..2 {
                    let played = Rc::new(Cell::new(false));
                    let told = Rc::clone(&played);
                    play.errand("a second stream", move || told.set(route(ROUTE)));
                    play.must(if played.get() { Ok(()) } else { Err("no second stream".into()) });
                }
                play.wait();
            }
            Self::Sleeping => {
                play.plug(0, delay);
                play.plug(1, u64::from(rng.below(30_000)));
                play.scene.run_for(Time::ms(400));
                play.order(self.longest(), Path::Offload);
                play.until_packets(Time::ms(1_000));
                // Every third time with the device that plays.
                let all = play.case.seed.is_multiple_of(3);
                play.ring(if all { bell::HIBERNATE } else { bell::SUSPEND });
                // A bus needs 45 ms to go down and to come up.
                play.scene.run_for(Time::ms(u64::from(rng.below(80))));
                play.ring(bell::RESUME);
                play.wait();
            }
            Self::Competitor => {
                play.plug(0, delay);
                play.order(20 + rng.below(20), Path::Offload);
                play.scene.run_for(Time::ms(150 + u64::from(rng.below(150))));
                let pause = u64::from(rng.below(8));
                play.errand("another opener", move || open_and_close(6, pause));
                play.wait();
            }
            Self::Toggle => {
                play.plug(0, delay);
                // What the errand's routes play.
                play.lay_down(self.longest());
                play.scene.run_for(Time::ms(200 + u64::from(rng.below(150))));
                // One more than there are places for routes.
                let pauses: [u64; 5] = std::array::from_fn(|_| u64::from(rng.below(25)));
                let reached = Rc::new(Cell::new(0));
                let told = Rc::clone(&reached);
                play.errand("a client that starts and stops", move || {
                    told.set(start_and_stop(ROUTE, &pauses));
                });
                play.reached_what_is_over(reached.get());
            }
        }
    }
}

/// Has the broker play, as another client, and waits for the end. Whether it was
/// played.
fn route(frames: u32) -> bool {
    let state = start(frames).and_then(|route| follow(route, None));
    matches!(state, Some(RouteState::Played { underruns: 0, .. }))
}

/// Starts routes, each when the one before is over, and stops each after so many
/// milliseconds. How often a route that was over could still be asked for.
fn start_and_stop(frames: u32, pauses: &[u64]) -> u32 {
    let (mut over, mut reached) = (Vec::new(), 0);
    for &pause in pauses {
        let Some(route) = start(frames) else { continue };
        let broker = OffloadBroker::from(OFFLOAD_BROKER.get_task_id());
        // Its place may be another's by now (DESIGN rule 5).
        reached += over.iter().filter(|&&old| broker.route(old).is_ok()).count() as u32;
        if follow(route, Some(pause)).is_some() {
            over.push(route);
        }
    }
    reached
}

/// Has the broker play, as soon as it can.
fn start(frames: u32) -> Option<RouteHandle> {
    let request = RouteRequest {
        direction: Direction::Out,
        rate: 48_000,
        format: SampleFormat::S16Le as u8,
        channels: 2,
        frames,
        buffer_us: 96_000,
    };
    let mut waited = 0;
    loop {
        let broker = OffloadBroker::from(OFFLOAD_BROKER.get_task_id());
        match broker.start_route(request) {
            Ok(route) => return Some(route),
            // Not for long, as a rule.
            Err(BrokerError::NoDevice | BrokerError::NoDsp | BrokerError::LinkFull)
                if waited < 400 =>
            {
                sleep_for(5);
                waited += 5;
            }
            Err(_) => return None,
        }
    }
}

/// Waits for a route's end; stops it after `stop` milliseconds. How it ended, if that
/// was told.
fn follow(route: RouteHandle, stop: Option<u64>) -> Option<RouteState> {
    if let Some(pause) = stop {
        sleep_for(pause);
        let broker = OffloadBroker::from(OFFLOAD_BROKER.get_task_id());
        // It may be over already.
        let _ = broker.stop_route(route);
    }
    let mut waited = 0;
    loop {
        let broker = OffloadBroker::from(OFFLOAD_BROKER.get_task_id());
        match broker.route(route) {
            Ok(RouteState::Starting | RouteState::Running) if waited < PATIENCE => {
                sleep_for(2);
                waited += 2;
            }
            Ok(RouteState::Starting | RouteState::Running) | Err(_) => return None,
            Ok(over) => return Some(over),
        }
    }
}

/// Opens the first card's stream for the application core and closes it, `times`
/// times, with `pause` milliseconds between.
fn open_and_close(times: u32, pause: u64) {
    let format =
        StreamFormat { sample: SampleFormat::S16Le, channels: 2, rate: 48_000, interval_us: None };
    for _ in 0..times {
        sleep_for(1 + pause);
        let audio = UsbAudio::from(USB_AUDIO.get_task_id());
        let Some(card) = (0..usb_audio_api::MAX_CARDS).find(|&card| audio.card(card).is_ok())
        else {
            continue;
        };
        let stream = StreamId { card, pcm: 0, direction: Direction::Out };
        let opened = audio.start_open(stream, format, Drive::Host).ok().and_then(completed);
        if let Some(Completed::Stream(stream)) = opened {
            sleep_for(1);
            let audio = UsbAudio::from(USB_AUDIO.get_task_id());
            if let Ok(ticket) = audio.start_close(stream) {
                completed(ticket);
            }
        }
    }
}

/// What became of an operation of the audio class.
fn completed(ticket: TicketHandle) -> Option<Completed> {
    for _ in 0..PATIENCE {
        let audio = UsbAudio::from(USB_AUDIO.get_task_id());
        match audio.result(ticket) {
            Err(UsbAudioError::NotYet) => sleep_for(1),
            result => return result.ok(),
        }
    }
    None
}
