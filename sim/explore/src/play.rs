//! A case from power-on to its end.

use crate::case::{Case, What, point_text};
use crate::finding::Finding;
use crate::order::Order;
use crate::patience::{Longest, Patience};
use crate::scenario::Scenario;
use crate::stage::Stage;
use crate::story::{Line, Story};
use crate::stranger::Stranger;
use dsp_abi::bell;
use dsp_abi::media::{Answer, Path, PlayerState};
use fabric::points::{Planned, Reached};
use fabric::{Fault, Time};
use judge::Verdict;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use system::scene::{Beginning, Deed, Port, Scene};
use usb_model::Pcap;
use usb_model::headset::{Model, headset};
use xhc::Personality;

/// How long a command may take when nothing goes wrong; the DSP gives a request
/// that nobody answers up after 5 s.
const LIMIT: Time = Time::ms(9_000);
/// Time to come back in: tasks are started anew, controllers reset.
const RECOVERY: Time = Time::ms(2_000);
/// The longest that anything is waited for: a peer that may have let go of its
/// stream unheard, and what follows from the end of that.
const LONGEST: Time = Time::ms(offload_broker::broker::PEER_DEADLINE_MS + 500);
/// Time in which everything that is owed must be given back.
const REST: Time = Time::ms(600);
/// How long the next stream may take to begin, and to end.
const NEXT: Time = Time::ms(4_000);
/// No server lets a message wait for so long: it serves others meanwhile.
const ANSWER: Time = Time::ms(20);
/// An enable takes no longer than that.
const ENABLE: Time = Time::ms(2_000);
/// Milliseconds of the stream that must be exact.
const LAST_SOUND: u32 = 30;

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
            written: Ok(()),
        }
    }
}

/// Where a run is written to besides.
#[derive(Default)]
pub struct Sinks {
    /// Every record, as text.
    pub trace: Option<Box<dyn Write>>,
    /// Every packet, as `usbmon` sees them.
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
    stage: Stage,
    ports: Vec<Port>,
    models: Vec<Model>,
    /// The command that was given and not answered.
    command: Option<u32>,
    /// For how long the DSP is made to be silent, in all.
    silence: Time,
    findings: Vec<Finding>,
    story: Option<&'a Story>,
    patience: Patience,
    order: Order,
    stranger: Stranger,
    /// The system was told to sleep with all its devices, whoever holds them.
    hibernates: bool,
    /// How long the next stream took to begin.
    enable: Time,
}

/// What a scenario can do.
impl Play<'_> {
    /// Plugs the headset of a place in, so many microseconds from now.
    pub(crate) fn plug(&mut self, place: usize, after_us: u64) {
        self.tell(|| format!("headset {place} is plugged in {after_us} µs from now"));
        let device = headset(self.models[place], self.case.seed + place as u64);
        self.scene.after(Time::us(after_us), Deed::Plug(self.ports[place], device));
    }

    /// Gives the player a command.
    pub(crate) fn order(&mut self, ms: u32, path: Path) {
        self.tell(|| format!("the player is told to play {ms} ms, {path:?}"));
        self.command = Some(self.scene.order(&Stage::sound(ms), path));
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
        let models = case.scenario.models(case.seed);
        let personality = roomy(case.seed, models.len());
        let ports: Vec<Port> = (0..models.len() as u8)
            .map(|n| personality.usb2_port(n).expect("it has room"))
            .map(|port| Port { controller: 0, port })
            .collect();
        let beginning = Beginning {
            description: stage.description,
            personality,
            room: Stage::sound(case.scenario.longest().max(LAST_SOUND)).pcm.len(),
            deeds: Vec::new(),
            seed: case.seed,
        };
        let (patience, order) = (Patience::default(), Order::new(stage.ladder));
        let stranger = Stranger::new(case.seed, case.scenario == Scenario::Stranger);
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
                    story.hear(stage, at, record);
                }
            }));
        });
        let silence = case.strikes.iter().map(|strike| match strike.what {
            What::Silence(ms) => u64::from(ms),
            _ => 0,
        });
        let silence = Time::ms(silence.sum());
        let (command, findings) = (None, Vec::new());
        let mut play = Self {
            scene,
            case,
            stage,
            ports,
            models,
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
            let place = |place: u8| {
                let place = usize::from(place);
                let device = headset(*self.models.get(place)?, self.case.seed + place as u64);
                Some((self.ports[place], device))
            };
            let fault = match strike.what {
                What::Kill => Ok(Fault::Kill),
                What::Refuse => Ok(Fault::Refuse),
                What::Code(code) => Ok(Fault::Code(code)),
                What::Drop => Ok(Fault::Drop),
                What::Delay(us) => Ok(Fault::Delay(Time::us(us.into()))),
                What::Double(us) => Ok(Fault::Double(Time::us(us.into()))),
                What::Unplug(at) => Err(place(at).map(|(port, _)| Deed::Unplug(port))),
                What::Replug(at, ms) => {
                    let after = Time::ms(ms.into());
                    Err(place(at).map(|(port, device)| Deed::Replug(port, device, after)))
                }
                What::EndProgram => Err(Some(Deed::KillProgram)),
                What::Silence(ms) => Err(Some(Deed::StarveProgram(Time::ms(ms.into())))),
                What::Suspend => Err(Some(Deed::Ring(bell::SUSPEND))),
                What::Hibernate => Err(Some(Deed::Ring(bell::HIBERNATE))),
                What::Resume => Err(Some(Deed::Ring(bell::RESUME))),
            };
            match fault {
                Ok(fault) => {
                    let mut board = self.scene.machine.board_mut();
                    board.parts.fabric.points.plan(strike.at, fault);
                }
                Err(Some(deed)) => self.scene.at_point(strike.at, deed),
                // The scenario has no headset at that place.
                Err(None) => {}
            }
        }
    }

    fn tell(&self, text: impl FnOnce() -> String) {
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
            let point = point_text(self.stage.description, planned.point);
            story.tell(*at, format!("FAULT {what}, at {point}"));
        }
    }

    /// Gives everything time to come back, and what was pulled its place. The
    /// system wakes up.
    fn come_back(&mut self) {
        self.scene.ring(bell::RESUME);
        self.scene.run_for(RECOVERY + self.silence);
        let there: Vec<bool> = {
            let mut board = self.scene.machine.board_mut();
            let controllers = &mut board.parts.controllers;
            let mut there = |port: &Port| controllers[port.controller].device(port.port).is_some();
            self.ports.iter().map(&mut there).collect()
        };
        // Every second time one that is left is enough.
        let enough = self.case.seed % 2 == 1 && there.contains(&true);
        for (place, &port) in self.ports.iter().enumerate() {
            // One that is there stays.
            if there[place] || enough {
                continue;
            }
            self.scene.plug(port, self.models[place], self.case.seed + place as u64);
        }
        if self.command.is_some() {
            // Whoever gave it rings again.
            self.scene.after(Time::ZERO, Deed::Ring(bell::PLAYER));
            self.wait();
            if self.command.is_some() {
                self.findings.push(Finding::NoAnswer("the player's command"));
            }
        }
        self.scene.run_for(LONGEST);
        self.audit();
    }

    /// Everything must be given back.
    fn audit(&mut self) {
        let Some(audit) = self.scene.audit() else {
            return self.findings.push(Finding::Down);
        };
        let leaks = audit.leaks();
        let (cards, devices) = (audit.usb_audio.cards, audit.usb_core.devices);
        // A number stays taken until the peer has let go of what it had of the card.
        let plain = self.case.strikes.is_empty();
        let held = [
            ("votes", leaks.votes),
            ("holds", leaks.holds),
            ("interrupters", leaks.interrupters),
            ("endpoints", leaks.endpoints),
            ("pages of the DSP's", leaks.peer_pages),
            ("pages of a controller's", leaks.bus_pages),
            ("pages in quarantine", leaks.quarantined),
            ("sessions", audit.broker.sessions.into()),
            ("sidebands", audit.xhci.sidebands.into()),
            ("windows", audit.iommu.windows.into()),
            ("grants", audit.iommu.grants.into()),
            ("streams of the audio class", audit.usb_audio.open.into()),
            ("slots without a device", audit.xhci.slots.abs_diff(devices).into()),
            ("cards without a device", if plain { cards.abs_diff(devices).into() } else { 0 }),
        ];
        let held = held.into_iter().filter(|&(_, count)| count != 0);
        self.findings.extend(held.map(|(what, count)| Finding::Leak(what, count)));
        let (begun, ended) = (audit.broker.begun, audit.broker.ended);
        if begun != ended {
            self.findings.push(Finding::Sessions { begun, ended });
        }
        if audit.broker.double_releases != 0 {
            self.findings.push(Finding::DoubleRelease(audit.broker.double_releases));
        }
    }

    /// The next stream must be exact.
    fn play_on(&mut self) {
        self.tell(|| "the next stream, which has to be exact".to_owned());
        let scene = &mut self.scene;
        let sound = Stage::sound(LAST_SOUND);
        let marks: Vec<_> = self.ports.iter().map(|&port| scene.mark(port)).collect();
        let (before, ordered) = (scene.packets(), scene.now());
        self.order.begin();
        let sequence = scene.order(&sound, Path::Offload);
        scene.run_while(NEXT, |parts| {
            let packets = parts.controllers.iter().map(|c| c.wire().log().packets().len() as u64);
            packets.sum::<u64>() == before
        });
        let began = scene.now().since(ordered);
        let answer = scene.wait(sequence, NEXT);
        scene.run_for(REST);
        if let Some(why) = self.failure(answer) {
            return self.findings.push(Finding::NextFailed(why));
        }
        self.findings.extend(self.order.end().map(Finding::Order));
        self.enable = began;
        if began > ENABLE {
            self.findings.push(Finding::Slow(began.0 / 1_000_000));
        }
        let judged = self.ports.iter().zip(marks);
        let verdicts: Vec<Verdict> =
            judged.map(|(&port, mark)| self.scene.judge(port, mark, &sound)).collect();
        let played = verdicts.iter().filter(|verdict| verdict.packets > 0).count();
        let right = verdicts.iter().filter(|verdict| verdict.is_right()).count();
        if (played, right) != (1, 1) {
            let told = verdicts.iter().map(|v| {
                let gaps = v.gaps();
                format!("{} packets, {gaps} gaps, {} frames", v.packets, v.frames_played)
            });
            self.findings.push(Finding::NextInexact(told.collect::<Vec<_>>().join("; ")));
        }
        self.audit();
    }

    /// What the models and the kernel saw in the whole run.
    fn look_back(&mut self, struck: &[(Time, Planned)]) {
        self.findings.extend(self.stranger.granted().map(Finding::Granted));
        // None of these takes a device away.
        let stays = |what: What| {
            matches!(
                what,
                What::Suspend
                    | What::Hibernate
                    | What::Resume
                    | What::EndProgram
                    | What::Silence(_)
                    | What::Delay(_)
                    | What::Double(_)
            )
        };
        let stayed = self.case.strikes.iter().all(|strike| stays(strike.what));
        if stayed && self.stranger.disconnects() > 0 {
            self.findings.push(Finding::Disconnected(self.stranger.disconnects()));
        }
        let longest = self.patience.longest();
        if longest > ANSWER {
            self.findings.push(Finding::Unresponsive(longest.0 / 1_000_000));
        }
        if self.order.targets_moved_early() > 0 {
            let early = "a slot's target moved before its endpoints were dropped".to_owned();
            self.findings.push(Finding::Order(early));
        }
        // Who pulls a headset leaves the DSP time to let go; who kills does not.
        let pulled = |what: What| matches!(what, What::Unplug(_) | What::Replug(..));
        let alone = matches!(self.case.scenario, Scenario::Stream | Scenario::Feedback);
        if alone
            && self.case.strikes.iter().all(|strike| pulled(strike.what))
            && self.order.closed_unheard() > 0
        {
            let early = "the gate closed before the peer had let go".to_owned();
            self.findings.push(Finding::Order(early));
        }
        let machine = &self.scene.machine;
        let mapper = machine.task_named("iommu");
        let mapper_died = struck.iter().any(|(_, planned)| {
            planned.fault == Fault::Kill
                && planned.point.site.task() == mapper.map(|mapper| mapper.0)
        });
        for (n, task) in machine.stats().tasks.iter().enumerate() {
            let kills = struck.iter().filter(|(_, planned)| {
                planned.fault == Fault::Kill && planned.point.site.task() == Some(n as u8)
            });
            if task.faults > kills.count() as u64 {
                let name = machine.task_name(host::TaskIndex(n as u8));
                self.findings.push(Finding::Died(name.to_owned()));
            }
        }
        let board = machine.board();
        let fabric = &board.parts.fabric;
        let violations = fabric.violations.by_kind();
        self.findings.extend(violations.map(|(name, count)| Finding::Violation(name, count)));
        // The mapper's next life begins with every stream invalid: a controller
        // that still runs is kept from memory, which is what ends its sessions.
        let expected = if mapper_died { fabric.smmu.strangers() } else { 0 };
        if fabric.smmu.faults() != expected {
            self.findings.push(Finding::Blocked(fabric.smmu.faults() - expected));
        }
    }

    /// Why a command failed; `None` when it did not.
    fn failure(&self, answer: Option<Answer>) -> Option<String> {
        let Some(answer) = answer else { return Some("no answer".to_owned()) };
        if answer.state != PlayerState::Done as u32 {
            let tasks = &self.stage.description.app().tasks;
            let server = tasks.get(answer.server as usize).map_or("?", |task| &task.name);
            return Some(system::run::explain(server, answer.code));
        }
        (answer.underruns != 0).then(|| format!("{} underruns", answer.underruns))
    }
}

/// The controller of that seed with room for so many streams to headsets.
fn roomy(seed: u64, headsets: usize) -> Personality {
    (0..)
        .map(|n: u64| Personality::seeded(seed.wrapping_add(n.wrapping_mul(0x9E37_79B9))))
        .find(|p| usize::from(p.usb2_ports) >= headsets && usize::from(p.interrupters) > headsets)
        .expect("some controller is like that")
}
