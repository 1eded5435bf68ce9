//! A case from power-on to its end.

use crate::case::{Case, What, point_text};
use crate::errands::{reset, route, take};
use crate::finding::Finding;
use crate::order::Order;
use crate::patience::{Longest, Patience};
use crate::scenario::{ROUTE, Scenario};
use crate::seat::Seat;
use crate::stage::{Image, Stage};
use crate::story::{Line, Story};
use crate::stranger::Stranger;
use dsp_abi::bell;
use dsp_abi::media::Path;
use fabric::points::{Planned, Reached};
use fabric::{Fault, Time};
use std::cell::Cell;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use system::look::Look;
use system::scene::{Beginning, Deed, Port, Scene};
use usb_model::Pcap;
use usb_types::Direction;
use xhc::{Death, Personality};

/// How long a command may take when nothing goes wrong; the DSP gives a request
/// that nobody answers up after 5 s.
pub(crate) const LIMIT: Time = Time::ms(9_000);
/// Time in which everything that is owed must be given back.
pub(crate) const REST: Time = Time::ms(600);
/// Milliseconds of the stream that must be exact.
pub(crate) const LAST_SOUND: u32 = 30;

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    /// What was not as it should be.
    pub findings: Vec<Finding>,
    /// The faults that struck, and when.
    pub struck: Vec<(Time, Planned)>,
    /// The points that the scenario met, if that was asked for.
    pub points: Vec<Reached>,
    /// Names the run.
    pub hash: u64,
    /// The longest times.
    pub longest: Longest,
    /// What a debugger would see before the stream that has to be exact, of a run that
    /// was told.
    pub look: Option<Look>,
    /// Whether its [`Sinks`] could be written, each to its end.
    pub written: io::Result<()>,
}

impl Default for Ran {
    fn default() -> Self {
        Self {
            findings: Vec::new(),
            struck: Vec::new(),
            points: Vec::new(),
            hash: 0,
            longest: Longest::default(),
            look: None,
            written: Ok(()),
        }
    }
}

/// Where a run is written to besides.
#[derive(Default)]
pub struct Sinks {
    /// Every record, as text.
    pub trace: Option<Box<dyn Write>>,
    /// Every packet of the first controller, as `usbmon` sees them.
    pub pcap: Option<Box<dyn Write>>,
}

impl Stage {
    /// Plays a case; `record` has the points of the scenario written down.
    #[must_use]
    pub fn play(&self, case: &Case, record: bool) -> Ran {
        guarded(|| {
            let mut play = Play::power_on(*self, case, Sinks::default(), None);
            if record {
                play.scene.machine.board_mut().parts.fabric.points.record();
            }
            play.whole()
        })
    }

    /// Plays a case and tells of it step by step.
    #[must_use]
    pub fn tell(&self, case: &Case, sinks: Sinks) -> (Ran, Vec<Line>) {
        let story = Story::default();
        let ran = guarded(|| Play::power_on(*self, case, sinks, Some(&story)).whole());
        (ran, story.lines())
    }
}

/// A model that panics ends its run and no other.
fn guarded(run: impl FnOnce() -> Ran) -> Ran {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()));
        let why = text.unwrap_or_else(|| "a panic without words".to_owned());
        Ran { findings: vec![Finding::Stopped(why)], ..Ran::default() }
    })
}

/// A case under way.
pub(crate) struct Play<'a> {
    pub(crate) scene: Scene,
    pub(crate) case: &'a Case,
    pub(crate) image: Image,
    /// By place.
    pub(crate) seats: Vec<Seat>,
    /// The command that was given and not answered.
    pub(crate) command: Option<u32>,
    /// For how long the DSP is made to be silent, in all.
    pub(crate) silence: Time,
    pub(crate) findings: Vec<Finding>,
    story: Option<&'a Story>,
    pub(crate) patience: Patience,
    pub(crate) order: Order,
    pub(crate) stranger: Stranger,
    /// The system was told to sleep with all its devices, whoever holds them.
    pub(crate) hibernates: bool,
    /// How long the next stream took to begin.
    pub(crate) enable: Time,
}

/// What a scenario can do.
impl Play<'_> {
    /// Plugs in what belongs at a place, so many microseconds from now.
    pub(crate) fn plug(&mut self, place: usize, after_us: u64) {
        let seat = self.seats[place];
        let what = if seat.is_headset() { "headset" } else { "hub" };
        self.tell(|| format!("{what} {place} is plugged in {after_us} µs from now"));
        self.scene.after(Time::us(after_us), Deed::Plug(seat.at, seat.device()));
    }

    /// Gives the player a command.
    pub(crate) fn order(&mut self, ms: u32, path: Path) {
        self.tell(|| format!("the player is told to play {ms} ms, {path:?}"));
        self.command = Some(self.scene.order(&Stage::sound(ms), path));
    }

    /// Gives the player a command that it hears of after a while.
    pub(crate) fn order_later(&mut self, ms: u32, path: Path, after: Time) {
        self.tell(|| format!("the player is told to play {ms} ms, {path:?}, {after:?} from now"));
        self.command = Some(self.scene.lay_down(&Stage::sound(ms), path));
        self.scene.after(after, Deed::Ring(bell::PLAYER));
    }

    /// Has another client record, and holds what was recorded against what the headset
    /// of a place heard, sample by sample.
    ///
    /// # Errors
    /// What was not as it should be.
    pub(crate) fn take(&mut self, place: usize) -> Result<(), String> {
        let recorded = Rc::new(Cell::new(false));
        let told = Rc::clone(&recorded);
        self.errand("a recording", move || told.set(route(Direction::In, ROUTE)));
        if !recorded.get() {
            return Err("nothing was recorded".to_owned());
        }
        let bytes = 2 * ROUTE as usize;
        let pcm = self.scene.recording(bytes);
        let at = self.seats[place].at;
        let board = self.scene.machine.board();
        let controller = &board.parts.controllers[at.port.controller];
        let spoken = controller.device_at(at.place()).and_then(|device| device.spoken());
        let take = spoken.and_then(|spoken| spoken.takes.last());
        match take {
            Some(take) if take.missed == 0 && take.pcm.get(..bytes) == Some(&pcm[..]) => Ok(()),
            _ => Err("what was recorded is not what was heard".to_owned()),
        }
    }

    /// Tells the system to suspend, or to resume.
    pub(crate) fn ring(&mut self, bell: u16) {
        self.hibernates |= bell == bell::HIBERNATE;
        self.tell(|| match bell {
            bell::RESUME => "the system is told to resume".to_owned(),
            _ => "the system is told to suspend".to_owned(),
        });
        self.scene.ring(bell);
    }

    /// Puts a sound where routes find it.
    pub(crate) fn lay_down(&mut self, ms: u32) {
        self.scene.lay_down(&Stage::sound(ms), Path::Offload);
    }

    /// Waits for the player's answer.
    pub(crate) fn wait(&mut self) {
        let Some(command) = self.command else { return };
        if let Some(answer) = self.scene.wait(command, LIMIT + self.silence) {
            let failure = self.failure(Some(answer));
            self.tell(|| match &failure {
                None => "the player is done".to_owned(),
                Some(why) => format!("the player gives up: {why}"),
            });
            self.must(failure.map_or(Ok(()), Err));
            self.command = None;
        }
    }

    /// What cannot be otherwise when nothing goes wrong and nobody competes.
    pub(crate) fn must(&mut self, done: Result<(), String>) {
        let alone = self.case.scenario.is_alone() && !self.hibernates;
        if let (Err(why), true, true) = (done, self.case.strikes.is_empty(), alone) {
            self.findings.push(Finding::Undone(why));
        }
    }

    /// So many handles of what is over reached something all the same.
    pub(crate) fn reached_what_is_over(&mut self, count: u32) {
        if count > 0 {
            self.findings.push(Finding::StaleHandle(count));
        }
    }

    /// Waits for the first packet.
    pub(crate) fn until_packets(&mut self, limit: Time) {
        self.scene.run_while(limit, |parts| {
            parts.controllers.iter().all(|c| c.wire().log().packets().is_empty())
        });
    }

    /// Has the auditor do something.
    pub(crate) fn errand(&mut self, what: &'static str, errand: impl FnOnce() + 'static) {
        self.tell(|| format!("{what} begins"));
        if self.scene.visit(LIMIT + LIMIT + self.silence, errand).is_none() {
            self.findings.push(Finding::NoAnswer(what));
        }
        self.tell(|| format!("{what} is through"));
    }
}

impl<'a> Play<'a> {
    fn power_on(stage: Stage, case: &'a Case, sinks: Sinks, story: Option<&'a Story>) -> Self {
        let (image, scenario) = (stage.image(case.scenario), case.scenario);
        let personality = roomy(case.seed, scenario.ports(), scenario.streams());
        let beginning = Beginning {
            description: image.description,
            personality,
            room: Stage::sound(scenario.longest().max(LAST_SOUND)).pcm.len(),
            deeds: Vec::new(),
            seed: case.seed,
        };
        let (patience, order) = (Patience::default(), Order::new(image.ladder));
        let stranger = Stranger::new(case.seed, scenario == Scenario::Stranger);
        let other = stranger.clone();
        let program = move || program::main(&other);
        let scene = Scene::power_on_with(beginning, program, |parts| {
            if let Some(trace) = sinks.trace {
                parts.fabric.trace.set_sink(trace);
            }
            if let Some(pcap) = sinks.pcap {
                let pcap = Pcap::new(pcap, 1).expect("the capture's header is written");
                parts.controllers[0].wire_mut().capture(pcap);
            }
            let (story, patience, order) = (story.cloned(), patience.clone(), order.clone());
            parts.fabric.trace.set_listener(Box::new(move |at, record: &_| {
                patience.hear(at, record);
                order.hear(at, record);
                if let Some(story) = &story {
                    story.hear(image, at, record);
                }
            }));
        });
        let port = |controller: usize, n: usize| {
            let board = scene.machine.board();
            let port = board.parts.controllers[controller].personality().usb2_port(n as u8);
            Port { controller, port: port.expect("every controller has one, and this has room") }
        };
        let seats = scenario.seats(case.seed, port);
        let silence = case.strikes.iter().map(|strike| match strike.what {
            What::Silence(ms) => u64::from(ms),
            _ => 0,
        });
        let silence = Time::ms(silence.sum());
        let (command, findings) = (None, Vec::new());
        let mut play = Self {
            scene,
            case,
            image,
            seats,
            command,
            silence,
            findings,
            story,
            patience,
            order,
            stranger,
            hibernates: false,
            enable: Time::ZERO,
        };
        play.plan();
        play
    }

    /// Has the case's faults strike.
    fn plan(&mut self) {
        for strike in &self.case.strikes {
            let seat = |place: u8| self.seats.get(usize::from(place));
            let headset = |place| seat(place).filter(|seat| seat.is_headset());
            let controllers = self.image.description.controllers();
            let there = |n: u8| Some(usize::from(n)).filter(|&n| n < controllers);
            let dies = |n, death| there(n).map(|n| Deed::Kill(n, death));
            let fault = match strike.what {
                What::Kill => Ok(Fault::Kill),
                What::Refuse => Ok(Fault::Refuse),
                What::Code(code) => Ok(Fault::Code(code)),
                What::Drop => Ok(Fault::Drop),
                What::Delay(us) => Ok(Fault::Delay(Time::us(us.into()))),
                What::Double(us) => Ok(Fault::Double(Time::us(us.into()))),
                What::Unplug(place) => Err(seat(place).map(|seat| Deed::Unplug(seat.at))),
                What::Replug(place, ms) => {
                    let after = Time::ms(ms.into());
                    Err(seat(place).map(|seat| Deed::Replug(seat.at, seat.device(), after)))
                }
                What::EndProgram => Err(Some(Deed::KillProgram)),
                What::Silence(ms) => Err(Some(Deed::StarveProgram(Time::ms(ms.into())))),
                What::Suspend => Err(Some(Deed::Ring(bell::SUSPEND))),
                What::Hibernate => Err(Some(Deed::Ring(bell::HIBERNATE))),
                What::Resume => Err(Some(Deed::Ring(bell::RESUME))),
                What::Reset(place) => Err(headset(place).map(|seat| {
                    let port = seat.at.port;
                    Deed::Errand(Box::new(move || reset(port)))
                })),
                What::Take(place) => Err(headset(place).map(|seat| {
                    let port = seat.at.port;
                    Deed::Errand(Box::new(move || take(port)))
                })),
                What::Signal(place) => Err(headset(place).map(|seat| Deed::Signal(seat.at))),
                What::ControllerError(n) => Err(dies(n, Death::ControllerError)),
                What::HostError(n) => Err(dies(n, Death::HostError)),
                What::LeaveBus(ms, n) => Err(there(n).map(|n| Deed::Leave(n, Time::ms(ms.into())))),
            };
            match fault {
                Ok(fault) => {
                    let mut board = self.scene.machine.board_mut();
                    board.parts.fabric.points.plan(strike.at, fault);
                }
                Err(Some(deed)) => self.scene.at_point(strike.at, deed),
                // The scenario has no such place or controller.
                Err(None) => {}
            }
        }
    }

    pub(crate) fn tell(&self, text: impl FnOnce() -> String) {
        if let Some(story) = self.story {
            story.tell(self.scene.now(), text());
        }
    }

    fn whole(mut self) -> Ran {
        self.case.scenario.act(&mut self);
        self.scene.run_for(REST);
        let mut ran = Ran::default();
        {
            let mut board = self.scene.machine.board_mut();
            let points = &mut board.parts.fabric.points;
            points.disarm();
            ran.points = points.take_record();
            ran.struck = points.struck().to_vec();
        }
        self.come_back();
        ran.look = self.story.map(|_| Look::at(&self.scene.machine));
        self.play_on();
        self.look_back(&ran.struck);
        self.tell_of_faults(&ran.struck);
        let mut board = self.scene.machine.board_mut();
        let parts = &mut board.parts;
        // What the models saw is nearer to the cause than what followed from it.
        self.findings.sort_by_key(|finding| !finding.is_cause());
        ran.longest = Longest { answer: self.patience.longest(), enable: self.enable };
        ran.findings = self.findings;
        ran.hash = parts.fabric.trace.hash();
        ran.written = parts.fabric.trace.finish();
        if let Some(capture) = parts.controllers[0].wire_mut().take_capture() {
            let finished = capture.finish();
            ran.written = ran.written.and(finished);
        }
        drop(board);
        ran
    }

    fn tell_of_faults(&self, struck: &[(Time, Planned)]) {
        let Some(story) = self.story else { return };
        for (at, planned) in struck {
            let strike = self.case.strikes.iter().find(|strike| strike.at == planned.point);
            let what = strike.map_or_else(String::new, |strike| strike.what.to_string());
            let point = point_text(self.image.description, planned.point);
            story.tell(*at, format!("FAULT {what}, at {point}"));
        }
    }
}

/// The controller of that seed with so many ports, and an interrupter for each of so
/// many streams.
fn roomy(seed: u64, ports: usize, streams: usize) -> Personality {
    (0..)
        .map(|n: u64| Personality::seeded(seed.wrapping_add(n.wrapping_mul(0x9E37_79B9))))
        .find(|p| usize::from(p.usb2_ports) >= ports && usize::from(p.interrupters) > streams)
        .expect("some controller is like that")
}
