//! What is done to the machine, apart from what goes wrong.

use crate::errands::{open_and_close, route, start_and_stop};
use crate::play::Play;
use crate::seat::{HUB_PORTS, Seat};
use dsp_abi::bell;
use dsp_abi::media::Path;
use fabric::Time;
use rng::Rng;
use std::cell::Cell;
use std::rc::Rc;
use system::scene::Port;
use usb_model::Speed;
use usb_model::headset::Model;
use usb_types::Direction;

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
    /// A headset that plays and records over the DSP at once: two streams of one
    /// device.
    Duplex,
    /// Two controllers with a headset each, and a stream over the DSP to each at once.
    TwoControllers,
    /// A headset behind a hub, and a stream over the DSP to it.
    Hub,
}

/// Frames of an errand's route; the pools hold more.
pub(crate) const ROUTE: u32 = 48 * 20;
/// Milliseconds of the second controller's stream.
pub(crate) const SECOND: u32 = 60;

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Stream,
        Self::Feedback,
        Self::TwoDevices,
        Self::Competitor,
        Self::Toggle,
        Self::Host,
        Self::Sleeping,
        Self::Stranger,
        Self::Duplex,
        Self::TwoControllers,
        Self::Hub,
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
            Self::Duplex => "duplex",
            Self::TwoControllers => "two-controllers",
            Self::Hub => "hub",
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

    /// The file that describes its image.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::TwoControllers => "app-two.toml",
            Self::Hub => "app-hubs.toml",
            _ => "app.toml",
        }
    }

    /// Controllers of that image.
    pub(crate) const fn controllers(self) -> u8 {
        if matches!(self, Self::TwoControllers) { 2 } else { 1 }
    }

    /// Whether the headset is plugged into a hub.
    pub(crate) const fn has_hub(self) -> bool {
        matches!(self, Self::Hub)
    }

    /// Whether nobody competes for a stream.
    pub(crate) const fn is_alone(self) -> bool {
        !matches!(self, Self::Competitor | Self::Toggle)
    }

    /// Whether the system sleeps in it.
    pub(crate) fn sleeps(self) -> bool {
        self == Self::Sleeping
    }

    /// Whether a headset records in it.
    pub(crate) fn records(self) -> bool {
        self == Self::Duplex
    }

    /// The headsets, by place.
    fn models(self, seed: u64) -> Vec<Model> {
        let own = [Model::Async(Speed::Full), Model::Async(Speed::High)];
        let any = [Model::Sync, own[0], own[1]];
        let turn = |n: u64| any[((seed + n) % any.len() as u64) as usize];
        match self {
            Self::Stream => vec![Model::Sync],
            Self::Feedback => vec![own[(seed % 2) as usize]],
            Self::TwoDevices | Self::Sleeping | Self::TwoControllers => vec![turn(0), turn(1)],
            Self::Competitor | Self::Toggle | Self::Host | Self::Stranger | Self::Hub => {
                vec![turn(0)]
            }
            Self::Duplex => vec![Model::Capture],
        }
    }

    /// How many streams over the DSP a controller has at once, at most.
    pub(crate) fn streams(self) -> usize {
        if self.records() { 2 } else { self.ports() }
    }

    /// How many root ports of a controller are in use.
    pub(crate) fn ports(self) -> usize {
        usize::from(self.headsets() / self.controllers())
    }

    /// How many headsets there are.
    pub(crate) fn headsets(self) -> u8 {
        self.models(0).len() as u8
    }

    /// How many places there are: those of the headsets, and that of the hub.
    pub(crate) fn places(self) -> u8 {
        self.headsets() + u8::from(self.has_hub())
    }

    /// What is plugged in, by place. `port` finds root port n of a controller.
    pub(crate) fn seats(self, seed: u64, port: impl Fn(usize, usize) -> Port) -> Vec<Seat> {
        let models = self.models(seed);
        if self.has_hub() {
            let fast = models[0] == Model::Async(Speed::High) || seed.is_multiple_of(2);
            let speed = if fast { Speed::High } else { Speed::Full };
            let behind = 1 + (seed / 2 % u64::from(HUB_PORTS)) as u8;
            return Seat::behind(port(0, 0).into(), speed, behind, models[0], seed).to_vec();
        }
        let ports = self.ports();
        let at = |n: usize| port(n / ports, n % ports).into();
        let seat = |(n, &model)| Seat::headset(at(n), model, seed + n as u64);
        models.iter().enumerate().map(seat).collect()
    }

    /// Milliseconds of the longest sound.
    pub(crate) const fn longest(self) -> u32 {
        match self {
            Self::TwoDevices | Self::TwoControllers => 420,
            Self::Sleeping => 160,
            Self::Duplex => 100,
            _ => 40,
        }
    }

    /// Does it.
    pub(crate) fn act(self, play: &mut Play<'_>) {
        let mut rng = Rng::new(play.case.seed ^ 0xAC70);
        let delay = u64::from(rng.below(30_000));
        match self {
            Self::Stream | Self::Feedback | Self::Stranger | Self::Hub => {
                play.plug(usize::from(self.has_hub()), delay);
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
                    let errand = move || told.set(route(Direction::Out, ROUTE));
                    play.errand("a second stream", errand);
                    play.must(if played.get() { Ok(()) } else { Err("no second stream".into()) });
                }
                play.wait();
            }
            Self::TwoControllers => {
                let first = play.first_headset();
                play.plug(first, delay);
                play.order(self.longest(), Path::Offload);
                play.until_packets(Time::ms(1_000));
                play.plug(1 - first, delay);
                play.scene.run_for(Time::ms(230 + u64::from(rng.below(60))));
                let played = Rc::new(Cell::new(false));
                let told = Rc::clone(&played);
                let errand = move || told.set(route(Direction::Out, 48 * SECOND));
                play.errand("a second stream", errand);
                play.must(if played.get() { Ok(()) } else { Err("no second stream".into()) });
                play.wait();
                play.neighbours_heard_all();
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
            Self::Duplex => {
                play.plug(0, delay);
                if play.case.seed.is_multiple_of(2) {
                    // The sound begins first, and may end first.
                    play.order(20 + rng.below(80), Path::Offload);
                    play.until_packets(Time::ms(1_000));
                } else {
                    play.scene.run_for(Time::ms(400));
                    let later = Time::us(u64::from(rng.below(15_000)));
                    play.order_later(20 + rng.below(80), Path::Offload, later);
                }
                let taken = play.take(0);
                play.must(taken);
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
