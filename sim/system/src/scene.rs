//! A simulated machine that is driven step by step.
//!
//! A [`Scene`] is the board with the whole image on it, and hands to do what
//! people and loaders do: plug headsets in and pull them, lay a command down and
//! ring, kill a task, ask the servers what they hold. What is done has its exact
//! point of virtual time, so a seed and a list of deeds name a run. `run` plays
//! one sound with it; tests tell longer stories.

use crate::auditor::{self, Audit, Desk, Errand, Findings};
use crate::board::{Board, Map, Parts, SCRIPT, Script};
use crate::image::Description;
use crate::monitor::Monitor;
use addr::{PAGE, Phys};
use dsp_abi::bell;
use dsp_abi::media::{ANSWER_PAGE, Answer, Command, MAGIC, PCM, Path, PlayerState, VERSION};
use fabric::{Fault, IntId, Layout, Owner, Point, Time};
use host::{Host, Outcome};
use judge::sound::Sound;
use judge::{Heard, Packet, Verdict};
use std::cell::Cell;
use std::rc::Rc;
use usb_model::UsbDevice;
use usb_model::headset::headset;
use xhc::{Death, Personality, Place, RootPort, Route};
use zerocopy::{FromZeros, IntoBytes};

/// A root port of a controller.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The controller's number.
    pub controller: usize,
    /// Its port.
    pub port: RootPort,
}

/// Where a device is plugged in: a port, or what it leads to through hubs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// The root port.
    pub port: Port,
    /// The way on from there.
    pub route: Route,
}

impl Socket {
    /// The place at its controller.
    #[must_use]
    pub fn place(self) -> Place {
        Place { port: self.port.port, route: self.route }
    }
}

impl From<Port> for Socket {
    fn from(port: Port) -> Self {
        Self { port, route: Route::ROOT }
    }
}

/// Something that is done to the machine from outside.
pub enum Deed {
    /// A device is plugged in.
    Plug(Socket, Box<dyn UsbDevice>),
    /// What is plugged in there is pulled.
    Unplug(Socket),
    /// What is plugged in there is pulled, and this is plugged in after a while.
    Replug(Socket, Box<dyn UsbDevice>, Time),
    /// An interrupt line is raised.
    Ring(u16),
    /// The DSP's program ends where it is; its monitor starts it anew.
    KillProgram,
    /// The DSP's program is not run for this long.
    StarveProgram(Time),
    /// A controller dies, without a word.
    Kill(usize, Death),
    /// A controller leaves its bus, and is back after a while.
    Leave(usize, Time),
    /// A controller is back on its bus.
    ComeBack(usize),
    /// The device that is plugged in there signals, if it sleeps and may.
    Signal(Socket),
    /// The auditor does something when it has done what it was asked before.
    Errand(Errand),
}

/// Does the deeds at their times.
#[derive(Default)]
pub struct Outside {
    /// By token. What is done is gone.
    deeds: Vec<Option<Deed>>,
    /// What was planned before the machine was switched on.
    planned: Vec<(Time, u32)>,
    /// Devices that were pulled, in that order.
    pulled: Vec<Box<dyn UsbDevice>>,
    /// Where the auditor finds its errands.
    desk: Findings,
}

impl Outside {
    fn plan(&mut self, deed: Deed) -> u32 {
        self.deeds.push(Some(deed));
        (self.deeds.len() - 1) as u32
    }
}

impl Script for Outside {
    fn power_on(&mut self, parts: &mut Parts) {
        for (at, token) in self.planned.drain(..) {
            parts.schedule(at, token);
        }
    }

    fn wake(&mut self, parts: &mut Parts, monitor: &mut Monitor, token: u32) {
        let deed = self.deeds[token as usize].take().expect("a deed is done once");
        match deed {
            Deed::Plug(at, device) => {
                // The socket may be taken, or gone with its hub.
                let n = at.port.controller;
                if parts.controllers[n].has_room_at(at.place()) {
                    parts.plug_at(n, at.place(), device);
                }
            }
            Deed::Unplug(at) => {
                self.pulled.extend(parts.unplug_at(at.port.controller, at.place()));
            }
            Deed::Replug(at, device, after) => {
                self.pulled.extend(parts.unplug_at(at.port.controller, at.place()));
                let token = self.plan(Deed::Plug(at, device));
                parts.schedule(parts.fabric.now() + after, token);
            }
            Deed::Ring(line) => parts.fabric.raise(IntId(line)),
            Deed::KillProgram => monitor.kill_program(parts),
            Deed::StarveProgram(span) => {
                let now = parts.fabric.now();
                monitor.starve(&mut parts.fabric, now, now + span);
            }
            Deed::Kill(controller, death) => {
                parts.controllers[controller].kill(&mut parts.fabric, death);
            }
            Deed::Leave(controller, span) => {
                parts.controllers[controller].kill(&mut parts.fabric, Death::Gone);
                let token = self.plan(Deed::ComeBack(controller));
                parts.schedule(parts.fabric.now() + span, token);
            }
            Deed::ComeBack(controller) => {
                parts.controllers[controller].come_back(&mut parts.fabric);
            }
            Deed::Signal(at) => {
                let Parts { fabric, controllers, .. } = parts;
                controllers[at.port.controller].wake_up_at(fabric, at.place());
            }
            Deed::Errand(errand) => {
                self.desk.send(errand);
                parts.fabric.raise(IntId(auditor::ERRAND_BELL));
            }
        }
    }
}

/// What a scene begins with.
pub struct Beginning {
    /// The image.
    pub description: &'static Description,
    /// Controller 0; further ones are seeded.
    pub personality: Personality,
    /// Bytes of PCM that commands will need.
    pub room: usize,
    /// What happens by itself, from power-on.
    pub deeds: Vec<(Time, Deed)>,
    /// What decides all that a real machine leaves open.
    pub seed: u64,
}

/// What a device had taken at some time, power-on by default; [`Scene::judge`]
/// looks at what came after it.
#[derive(Copy, Clone, Debug, Default)]
pub struct Mark {
    at: Time,
    packets: usize,
    gaps: u64,
    dropped: u64,
}

/// The machine.
pub struct Scene {
    /// The host, for whoever needs more than this.
    pub machine: Host<Board<Outside>>,
    description: &'static Description,
    findings: Findings,
    sequence: u32,
}

impl Scene {
    /// Switches a machine on. `prepare` is shown the models before that.
    #[must_use]
    pub fn power_on(beginning: Beginning, prepare: impl FnOnce(&mut Parts)) -> Self {
        Self::power_on_with(beginning, || program::main(&program::core::Simulated), prepare)
    }

    /// The same with another program on the DSP than the project's; it is
    /// entered again in each of its lives.
    #[must_use]
    pub fn power_on_with(
        beginning: Beginning,
        dsp: impl Fn() + 'static,
        prepare: impl FnOnce(&mut Parts),
    ) -> Self {
        let Beginning { description, personality, room, deeds, seed } = beginning;
        // RAM from the first pool to the last frame: what lies around it is nobody's.
        let pools = &description.app().pools;
        let ram = pools.iter().map(|pool| pool.base).min().expect("there are pools");
        let end = description.pool("media").base.plus(u64::from(PCM) + room as u64);
        let bytes = end.offset_from(ram).expect("the media pool lies above the others");
        let layout = Layout { ram, ..Layout::virt(addr::pages(bytes) as u32) };
        let map = Map {
            msi_frame: description.registers("gicv2m").0,
            smmu: description.registers("smmu"),
            ecam: Phys(0x3F00_0000),
        };
        let others = (1..).map(|n| Personality::seeded(seed + n));
        let personalities =
            std::iter::once(personality).chain(others).take(description.controllers()).collect();
        let findings = Findings::new(Desk::default());
        let mut outside = Outside { desk: Rc::clone(&findings), ..Outside::default() };
        for (at, deed) in deeds {
            let token = outside.plan(deed);
            outside.planned.push((at, token));
        }
        let places = description.places();
        let mut board = Board::new(layout, map, places, personalities, outside, seed);
        lay_out(&mut board.parts, description);
        let media = description.pool("media").base;
        // No command yet, and no answer.
        let zeros = [0; PCM as usize];
        board.parts.fabric.memory.load(media, &zeros).expect("the media pool is RAM");
        prepare(&mut board.parts);
        board.power_on();
        let machine = Host::new(description.image(&findings).core1(dsp), board);
        Self { machine, description, findings, sequence: 0 }
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        Time(self.machine.now().0)
    }

    /// Isochronous OUT packets that went over the wires so far.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.machine.board().packets()
    }

    /// Lets the machine run for `span`.
    ///
    /// # Panics
    /// When it stops: a task that never waits, or a kernel that cannot go on.
    pub fn run_for(&mut self, span: Time) {
        let until = self.now() + span;
        check(self.machine.run_while(host::Time(until.0), |board| unbroken(&board.parts)));
        // Where nothing can happen any more, time passes all the same.
        self.machine.pass(host::Time(until.0));
    }

    /// Lets the machine run while `go_on` says so, at most for `limit`; whether
    /// it was that.
    ///
    /// # Panics
    /// As [`Self::run_for`].
    pub fn run_while(&mut self, limit: Time, mut go_on: impl FnMut(&Parts) -> bool) -> Outcome {
        let until = self.now() + limit;
        let outcome = self
            .machine
            .run_while(host::Time(until.0), |board| unbroken(&board.parts) && go_on(&board.parts));
        check(outcome);
        outcome
    }

    /// The violation that ended the run, and when: from then on time stands
    /// still.
    #[must_use]
    pub fn ended(&self) -> Option<(Time, fabric::Violation)> {
        self.machine.board().parts.fabric.violations.fatal()
    }

    /// Does something after `delay`.
    pub fn after(&mut self, delay: Time, deed: Deed) {
        let now = self.now();
        let mut board = self.machine.board_mut();
        let Board { parts, script, .. } = &mut *board;
        let at = now.max(parts.fabric.now()) + delay;
        let token = script.plan(deed);
        parts.schedule(at, token);
    }

    /// Does something at `point`, before what is reached there has an effect.
    pub fn at_point(&mut self, point: Point, deed: Deed) {
        let mut board = self.machine.board_mut();
        let Board { parts, script, .. } = &mut *board;
        let token = script.plan(deed);
        parts.fabric.points.plan(point, Fault::Wake { device: SCRIPT, token });
    }

    /// Plugs a headset of that model in, now.
    pub fn plug(&mut self, port: Port, model: usb_model::headset::Model, seed: u64) {
        self.plug_at(port.into(), headset(model, seed));
    }

    /// Pulls what is plugged in there, now.
    pub fn unplug(&mut self, port: Port) {
        self.unplug_at(port.into());
    }

    /// Plugs a device in at a socket, now.
    pub fn plug_at(&mut self, at: Socket, device: Box<dyn UsbDevice>) {
        self.after(Time::ZERO, Deed::Plug(at, device));
    }

    /// Pulls what is plugged in there, now.
    pub fn unplug_at(&mut self, at: Socket) {
        self.after(Time::ZERO, Deed::Unplug(at));
    }

    /// Rings a bell, now: `bell::SUSPEND`, say.
    pub fn ring(&mut self, bell: u16) {
        self.after(Time::ZERO, Deed::Ring(bell));
    }

    /// Lays a command for `sound` down and rings the player; its sequence.
    pub fn order(&mut self, sound: &Sound, path: Path) -> u32 {
        let sequence = self.lay_down(sound, path);
        self.ring(bell::PLAYER);
        sequence
    }

    /// Lays a command for `sound` down, and does not ring.
    pub fn lay_down(&mut self, sound: &Sound, path: Path) -> u32 {
        self.sequence += 1;
        let command = command(sound, path, self.sequence);
        let media = self.description.pool("media").base;
        let memory = &mut self.machine.board_mut().parts.fabric.memory;
        memory.load(media, command.as_bytes()).expect("the media pool is RAM");
        memory.load(media.plus(u64::from(PCM)), &sound.pcm).expect("the scene has room for it");
        self.sequence
    }

    /// The player's answer to a command, once it is over.
    #[must_use]
    pub fn answer(&self, sequence: u32) -> Option<Answer> {
        let at = answer_at(self.description);
        read_answer(&self.machine.board().parts, at, sequence)
    }

    /// Lets the machine run until the player has answered a command, at most
    /// for `limit`.
    ///
    /// # Panics
    /// As [`Self::run_for`].
    pub fn wait(&mut self, sequence: u32, limit: Time) -> Option<Answer> {
        let at = answer_at(self.description);
        self.run_while(limit, |parts| read_answer(parts, at, sequence).is_none());
        self.answer(sequence)
    }

    /// The first bytes of the recording pool.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn recording(&self, bytes: usize) -> Vec<u8> {
        let pool = self.description.pool("recording");
        assert!(bytes <= (pool.pages * PAGE) as usize, "the pool is shorter");
        let mut recorded = vec![0; bytes];
        let board = self.machine.board();
        let memory = &board.parts.fabric.memory;
        memory.peek(pool.base, &mut recorded).expect("pools are RAM");
        recorded
    }

    /// Kills a task: it faults, and the supervisor learns of it.
    ///
    /// # Panics
    /// When the image has no such task.
    pub fn kill(&mut self, task: &str) {
        let index = self.machine.task_named(task);
        self.machine.kill(index.unwrap_or_else(|| panic!("the image has no task {task}")));
    }

    /// Ends the DSP's program where it is; its monitor starts it anew.
    pub fn kill_program(&mut self) {
        self.after(Time::ZERO, Deed::KillProgram);
    }

    /// The DSP's program is not run any more, for `span` from now on.
    pub fn starve_program(&mut self, span: Time) {
        self.after(Time::ZERO, Deed::StarveProgram(span));
    }

    /// Has the auditor's task do something, and waits for it: how a scenario
    /// sends messages. `None` when it is not done within `limit`.
    ///
    /// # Panics
    /// As [`Self::run_for`].
    pub fn visit<T: 'static>(
        &mut self,
        limit: Time,
        errand: impl FnOnce() -> T + 'static,
    ) -> Option<T> {
        let result = Rc::new(Cell::new(None));
        let told = Rc::clone(&result);
        let errand = Box::new(move || told.set(Some(errand())));
        self.after(Time::ZERO, Deed::Errand(errand));
        let until = self.now() + limit;
        let mut done = None;
        check(self.machine.run_while(host::Time(until.0), |board| {
            done = result.take();
            unbroken(&board.parts) && done.is_none()
        }));
        done
    }

    /// What the servers say they hold; `None` when one of them is down.
    ///
    /// # Panics
    /// As [`Self::run_for`].
    pub fn audit(&mut self) -> Option<Audit> {
        self.findings.forget();
        self.after(Time::ZERO, Deed::Ring(auditor::BELL));
        self.run_for(Time::ms(20));
        self.findings.found()
    }

    /// The devices that were pulled since this was last asked.
    pub fn pulled(&mut self) -> Vec<Box<dyn UsbDevice>> {
        std::mem::take(&mut self.machine.board_mut().script.pulled)
    }

    /// Where a headset is in its music.
    #[must_use]
    pub fn mark(&mut self, at: impl Into<Socket>) -> Mark {
        let at = at.into();
        let (port, place) = (at.port, at.place());
        let mut board = self.machine.board_mut();
        let at = board.parts.fabric.now();
        let controller = &mut board.parts.controllers[port.controller];
        let packets = controller.wire().log().packets().len();
        let heard = controller.device_at(place).and_then(|device| device.heard());
        let gaps = heard.map_or(0, |heard| heard.gaps);
        let dropped = heard.map_or(0, |heard| heard.overflows + heard.ignored_packets);
        Mark { at, packets, gaps, dropped }
    }

    /// Judges what the headset at `port` got since `mark` against `sound`, as
    /// one stream.
    #[must_use]
    pub fn judge(&mut self, at: impl Into<Socket>, mark: Mark, sound: &Sound) -> Verdict {
        let at = at.into();
        let (port, place) = (at.port, at.place());
        let mut board = self.machine.board_mut();
        let controller = &mut board.parts.controllers[port.controller];
        let Some(device) = controller.device_at(place) else {
            return Verdict::default();
        };
        let address = device.address();
        let heard = device.heard().cloned().unwrap_or_default();
        let stream = (0..heard.streams().len())
            .filter_map(|n| heard.stream(n))
            .find(|(stream, _)| stream.first.is_some_and(|first| first >= mark.at));
        let played = stream.map(|(_, pcm)| pcm.to_vec()).unwrap_or_default();
        let log = controller.wire().log();
        let packets =
            || log.packets()[mark.packets..].iter().filter(|packet| packet.device == address);
        let wire = packets().map(|packet| Packet::sent(packet.at.0, log.data(packet)));
        let dropped = heard.overflows + heard.ignored_packets - mark.dropped;
        let heard =
            Heard { pcm: &played, gaps: (heard.gaps - mark.gaps) as u32, dropped: dropped as u32 };
        judge::judge(&sound.pcm, sound.frame_bytes(), wire, heard)
    }
}

/// Whether nothing happened yet after which nothing can be believed.
fn unbroken(parts: &Parts) -> bool {
    parts.fabric.violations.fatal().is_none()
}

/// Tags the pools: who may reach them besides the cores. Until a task hands a
/// page out it is nobody's.
fn lay_out(parts: &mut Parts, description: &Description) {
    for (pool, stream) in description.dma_pools() {
        let owner = stream.map_or(Owner::AnyStream, Owner::Stream);
        parts.manage(pool.base, pool.pages, owner);
    }
    // As the kernel does it on a board; all else starts out as garbage.
    for pool in description.app().pools.iter().filter(|pool| pool.zeroed) {
        let zeros = vec![0; (pool.pages * PAGE) as usize];
        parts.fabric.memory.load(pool.base, &zeros).expect("pools are RAM");
    }
    // The window page and the peer's tables are the cores' alone, and always in
    // use.
    let tables = description.pool("tables");
    let shared = 1 + u32::from(dsp_abi::control::PEER_TABLES_PAGES);
    let rest = tables.base.plus(u64::from(shared) * u64::from(PAGE));
    parts.manage(rest, tables.pages - shared, Owner::Tables);
}

/// The command that has `sound` played.
#[must_use]
pub fn command(sound: &Sound, path: Path, sequence: u32) -> Command {
    let mut command = Command {
        magic: MAGIC,
        version: VERSION,
        sequence,
        path: path as u32,
        rate: sound.rate,
        channels: u32::from(sound.channels),
        sample_bytes: u32::from(sound.sample_bytes),
        frames: sound.frames(),
        buffer_us: 96_000,
        checksum: 0,
    };
    command.checksum = command.expected_checksum();
    command
}

/// Where the player answers.
fn answer_at(description: &Description) -> Phys {
    description.pool("media").base.plus(u64::from(ANSWER_PAGE) * u64::from(PAGE))
}

fn read_answer(parts: &Parts, at: Phys, sequence: u32) -> Option<Answer> {
    let mut answer = Answer::new_zeroed();
    parts.fabric.memory.peek(at, answer.as_mut_bytes()).expect("the media pool is RAM");
    let over = [PlayerState::Done as u32, PlayerState::Failed as u32].contains(&answer.state);
    (answer.sequence == sequence && over).then_some(answer)
}

/// # Panics
/// When the machine stopped.
pub(crate) fn check(outcome: Outcome) {
    match outcome {
        Outcome::Time | Outcome::Condition | Outcome::Idle => {}
        Outcome::Hang(_) | Outcome::KernelPanic(_) | Outcome::Reset => {
            panic!("the simulated machine stopped: {outcome:?}")
        }
    }
}
