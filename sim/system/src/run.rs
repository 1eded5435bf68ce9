//! One run: a board, a headset, a sound; and what came of it.

use crate::auditor::{self, Audit};
use crate::board::Board;
use crate::image::Description;
use crate::look::Look;
use crate::scene::{Beginning, Deed, Outside, Port, Scene};
use dsp_abi::bell;
use dsp_abi::media::{Answer, Path as MediaPath, PlayerState};
use fabric::{IntId, Rng, Time};
use host::Host;
use judge::report::{Asked, Excused, Leaks, Report};
use judge::sound::Sound;
use judge::{Heard, Packet};
use std::io::Write;
use std::time::Instant;
use usb_model::headset::{Model, headset};
use usb_model::{Pcap, Speed, WireFault, WireFaultKind};
use xhc::{Personality, RootPort};

/// The headsets, by the name that a user gives.
pub const DEVICES: [(&str, Model); 5] = [
    ("sync", Model::Sync),
    ("async", Model::Async(Speed::Full)),
    ("async-hs", Model::Async(Speed::High)),
    ("capture", Model::Capture),
    ("qemu", Model::Qemu),
];

/// Which way the sound takes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// Over the DSP.
    Offload,
    /// Over the application core.
    Player,
}

/// What is done to the run to see that it is noticed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A packet never reaches the wire.
    DropPacket,
    /// A packet is sent twice.
    Duplicate,
    /// A bit of a packet is flipped.
    FlipBit,
    /// A packet goes out an interval late.
    Late,
    /// The volume is set while the stream plays: the application core wakes.
    VolumeChange,
    /// The DSP program is not run for this many milliseconds.
    StarveDsp(u32),
}

impl From<Path> for MediaPath {
    fn from(path: Path) -> Self {
        match path {
            Path::Offload => Self::Offload,
            Path::Player => Self::Player,
        }
    }
}

impl Fault {
    fn wire(self) -> Option<WireFaultKind> {
        match self {
            Self::DropPacket => Some(WireFaultKind::Drop),
            Self::Duplicate => Some(WireFaultKind::Duplicate),
            Self::FlipBit => Some(WireFaultKind::FlipBit),
            Self::Late => Some(WireFaultKind::Late),
            Self::VolumeChange | Self::StarveDsp(_) => None,
        }
    }
}

/// What is to be run.
pub struct Setup<'a> {
    /// The image.
    pub description: &'static Description,
    /// The sound, in a format that the headset has.
    pub sound: &'a Sound,
    /// The headset, by name.
    pub device: &'static str,
    /// The way.
    pub path: Path,
    /// The seed.
    pub seed: u64,
    /// A fault, and its name.
    pub fault: Option<(Fault, String)>,
    /// Where the wire is captured to.
    pub pcap: Option<Box<dyn Write>>,
    /// Where the trace goes.
    pub trace: Option<Box<dyn Write>>,
    /// Told how many packets went out, now and then.
    pub progress: Option<&'a mut dyn FnMut(u64)>,
    /// When to look at the tasks, in milliseconds; at the end if not before.
    pub look_at_ms: Option<u32>,
    /// Bells that are rung, in milliseconds after power-on: [`bell::SUSPEND`] and
    /// its like.
    pub rings: Vec<(u32, u16)>,
}

impl Setup<'_> {
    /// Whether the application core has work to do while the stream plays: on
    /// the host path it works for every packet, and who rings wakes it.
    fn may_wake(&self) -> bool {
        let meddled = self.fault.as_ref().is_some_and(|(fault, _)| *fault == Fault::VolumeChange);
        self.path == Path::Player || meddled || !self.rings.is_empty()
    }
}

/// What a run came to, with what was heard.
#[derive(Debug)]
pub struct Finished {
    /// The report.
    pub report: Report,
    /// Whether trace and capture could be written, each to its end.
    pub written: std::io::Result<()>,
    /// What the headset played.
    pub heard: Vec<u8>,
    /// What there was to see of the tasks, when it was asked for, or at the end.
    pub look: Look,
}

/// How long a stream may take to start, and to be taken down, in virtual time.
const START_LIMIT: Time = Time::ms(4_000);
/// Time after the end in which everything that is owed must be given back.
const REST: Time = Time::ms(600);
/// Chunks in which a run proceeds; between two the timers are looked at.
const CHUNK: Time = Time::ms(250);
/// Sequence of the one command.
const COMMAND: u32 = 1;

type Machine = Host<Board<Outside>>;

/// The model of that name.
#[must_use]
pub fn model(name: &str) -> Option<(&'static str, Model)> {
    DEVICES.iter().copied().find(|(known, _)| *known == name)
}

/// Runs it.
///
/// # Panics
/// When the simulator itself is at fault: a task that never waits, or a kernel
/// that cannot go on.
#[must_use]
pub fn run(mut setup: Setup<'_>) -> Finished {
    let began = Instant::now();
    let (mut scene, port) = power_on(&mut setup);
    let end = drive(&mut scene, &mut setup);
    conclude(scene.machine, port, &setup, &end, began)
}

fn power_on(setup: &mut Setup<'_>) -> (Scene, RootPort) {
    let mut rng = Rng::new(setup.seed ^ 0x5C3A_A410);
    let personality = match setup.device {
        "qemu" => Personality::qemu(),
        _ => Personality::seeded(setup.seed),
    };
    let port = personality
        .usb2_port(rng.below(u32::from(personality.usb2_ports)) as u8)
        .expect("below the number of ports");
    let (_, model) = model(setup.device).expect("the caller looked it up");
    let plug_at = Time::us(u64::from(rng.range(0, 30_000)));
    let bell_at = Time::us(u64::from(rng.range(0, 30_000)));
    // One in four headsets is there before the power is.
    let plug_at = if rng.one_in(4) { Time::ZERO } else { plug_at };
    let plug = Deed::Plug(Port { controller: 0, port }.into(), headset(model, setup.seed));
    let mut deeds = vec![(plug_at, plug), (bell_at, Deed::Ring(bell::PLAYER))];
    let rings = setup.rings.iter();
    deeds.extend(rings.map(|&(ms, bell)| (Time::ms(ms.into()), Deed::Ring(bell))));
    let beginning = Beginning {
        description: setup.description,
        personality,
        room: setup.sound.pcm.len(),
        deeds,
        seed: setup.seed,
    };
    let packets = setup.sound.frames() as usize / 8;
    let bytes = setup.sound.pcm.len() + 4096;
    let fault = setup.fault.as_ref().and_then(|(fault, _)| fault.wire());
    let (pcap, trace) = (setup.pcap.take(), setup.trace.take());
    let mut scene = Scene::power_on(beginning, |parts| {
        let wire = parts.controllers[0].wire_mut();
        wire.reserve(packets.min(1 << 20), bytes);
        if let Some(kind) = fault {
            wire.inject(WireFault { kind, packet: 100 });
        }
        if let Some(sink) = pcap {
            wire.capture(Pcap::new(sink, 1).expect("the capture's header is written"));
        }
        if let Some(sink) = trace {
            parts.fabric.trace.set_sink(sink);
        }
    });
    let sequence = scene.lay_down(setup.sound, setup.path.into());
    assert_eq!(sequence, COMMAND, "the first command");
    (scene, port)
}

/// Where the run stood when the player was done.
struct End {
    answer: Option<Answer>,
    /// Packets that were out at those looks that found a timer armed.
    timers_at: Vec<u64>,
    audit: Option<Audit>,
    look: Option<Look>,
}

fn drive(scene: &mut Scene, setup: &mut Setup<'_>) -> End {
    let length = Time::us((setup.sound.seconds() * 1e6) as u64);
    let starve = match setup.fault {
        Some((Fault::StarveDsp(ms), _)) => Some(Time::ms(u64::from(ms))),
        _ => None,
    };
    let limit = START_LIMIT + length + length + starve.unwrap_or(Time::ZERO);
    let mut end = End { answer: None, timers_at: Vec::new(), audit: None, look: None };
    let mut meddled = false;
    while scene.now() < limit && end.answer.is_none() {
        let before = scene.now();
        let look_at = setup.look_at_ms.map(|ms| Time::ms(ms.into()));
        let ahead = look_at.filter(|at| end.look.is_none() && *at > before);
        let chunk = ahead.map_or(CHUNK, |at| CHUNK.min(at - before));
        end.answer = scene.wait(COMMAND, chunk);
        if end.look.is_none() && look_at.is_some_and(|at| scene.now() >= at) {
            end.look = Some(Look::at(&scene.machine));
        }
        let packets = scene.packets();
        if let Some(progress) = &mut setup.progress {
            progress(packets);
        }
        if packets > 0 && end.answer.is_none() {
            if scene.machine.any_timer_armed() {
                end.timers_at.push(packets);
            }
            if !meddled {
                meddled = true;
                meddle(&mut scene.machine, setup, starve);
            }
        }
        if scene.now() == before {
            // Nothing can happen any more.
            break;
        }
    }
    // Whatever is owed is paid; then the servers are asked what they hold.
    scene.run_for(REST);
    end.look.get_or_insert_with(|| Look::at(&scene.machine));
    end.audit = scene.audit();
    end
}

/// Does what a fault that is not the wire's does, in mid-stream.
fn meddle(machine: &mut Machine, setup: &Setup<'_>, starve: Option<Time>) {
    let mut board = machine.board_mut();
    let now = board.parts.fabric.now();
    match setup.fault {
        Some((Fault::StarveDsp(_), _)) => {
            let until = now + starve.unwrap_or(Time::ZERO);
            let Board { monitor, parts, .. } = &mut *board;
            monitor.starve(&mut parts.fabric, now, until);
        }
        Some((Fault::VolumeChange, _)) => {
            board.parts.fabric.raise(IntId(auditor::VOLUME_BELL));
        }
        _ => {}
    }
}

fn conclude(
    machine: Machine,
    port: RootPort,
    setup: &Setup<'_>,
    end: &End,
    began: Instant,
) -> Finished {
    let stats = machine.stats();
    let names: Vec<String> =
        setup.description.app().tasks.iter().map(|task| task.name.clone()).collect();
    let virtual_ns = machine.now().0;
    let look = end.look.clone().unwrap_or_else(|| Look::at(&machine));
    let mut board = machine.into_board();
    let (at_first, at_last) = board.streaming();
    // A look that found no further packet was at the stream's end or later.
    let packets = board.packets();
    let fabric = &mut board.parts.fabric;
    let trace_hash = fabric.trace.hash();
    let mut written = fabric.trace.finish();
    let controller = &mut board.parts.controllers[0];
    let heard = controller.device(port).and_then(|device| device.heard()).cloned();
    if let Some(capture) = controller.wire_mut().take_capture() {
        written = written.and(capture.finish());
    }
    let sound = setup.sound;
    let heard = heard.unwrap_or_default();
    // The first stream that got a packet; later ones are the next command's.
    let stream = (0..heard.streams().len())
        .filter_map(|n| heard.stream(n))
        .find(|(stream, _)| stream.first.is_some());
    let played = stream.map(|(_, pcm)| pcm.to_vec()).unwrap_or_default();
    let log = controller.wire().log();
    let wire = log.packets().iter().map(|packet| Packet::sent(packet.at.0, log.data(packet)));
    let verdict = judge::judge(
        &sound.pcm,
        sound.frame_bytes(),
        wire,
        Heard {
            pcm: &played,
            gaps: heard.gaps as u32,
            dropped: (heard.overflows + heard.ignored_packets) as u32,
        },
    );
    let underruns = end.answer.map_or(0, |answer| answer.underruns);
    let ended = board.parts.fabric.violations.fatal().map(|(at, violation)| {
        format!("the run ended at {:.3} ms: {violation:?}", at.0 as f64 / 1e6)
    });
    let refused = ended.or_else(|| match end.answer {
        None => Some("the player never came to an end".to_owned()),
        Some(answer) if answer.state == PlayerState::Failed as u32 => {
            let server = names.get(answer.server as usize).map_or("?", String::as_str);
            Some(explain(server, answer.code))
        }
        Some(_) => None,
    });
    let fabric = &board.parts.fabric;
    let wall = began.elapsed().as_secs_f64();
    let mut report = Report {
        asked: Asked {
            device: setup.device.to_owned(),
            path: match setup.path {
                Path::Offload => "offload",
                Path::Player => "player",
            }
            .to_owned(),
            fault: setup.fault.as_ref().map(|(_, name)| name.clone()),
            rate: sound.rate,
            channels: sound.channels,
            bits: sound.sample_bytes * 8,
            frames: sound.frames(),
        },
        bit_exact: false,
        wire_exact: false,
        heard_exact: false,
        frames_played: 0,
        packets: 0,
        gaps: 0,
        crowded: 0,
        underruns,
        app_core_wakeups_while_streaming: at_last.wakeups - at_first.wakeups,
        app_core_syscalls_while_streaming: Some(at_last.syscalls - at_first.syscalls),
        app_core_timer_while_streaming: end.timers_at.iter().any(|&at| at < packets),
        iommu_faults: fabric.smmu.faults(),
        model_violations: fabric.violations.total(),
        violations: fabric.violations.kept().iter().take(5).map(|v| format!("{v:?}")).collect(),
        task_faults: stats.tasks.iter().map(|task| task.faults).sum(),
        leaks: end.audit.map_or_else(Leaks::default, |audit| audit.leaks()),
        double_releases: end.audit.map_or(0, |audit| audit.broker.double_releases),
        refused: refused.or_else(|| {
            end.audit.is_none().then(|| "the servers did not answer the auditor".to_owned())
        }),
        realtime_factor: sound.seconds() / wall,
        first_packet_ms: log.packets().first().map_or(0.0, |packet| packet.at.0 as f64 / 8.0),
        virtual_ms: virtual_ns as f64 / 1e6,
        seed: Some(setup.seed),
        trace_hash: format!("{trace_hash:016x}"),
        excused: Excused { wake_ups: setup.may_wake(), pace: false },
    };
    report.take_verdict(&verdict);
    Finished { report, written, heard: played, look }
}

/// A refusal in the words of the interface that it comes from.
#[must_use]
pub fn explain(server: &str, code: u32) -> String {
    let name = match server {
        "usb_audio" => usb_audio_api::UsbAudioError::try_from(code).map(|e| format!("{e:?}")).ok(),
        "offload_broker" if code >= player::ROUTE_ENDED => {
            Some(format!("route ended, reason {}", code - player::ROUTE_ENDED))
        }
        "offload_broker" => {
            offload_broker_api::BrokerError::try_from(code).map(|e| format!("{e:?}")).ok()
        }
        _ => None,
    };
    format!("{server}: {}", name.unwrap_or_else(|| format!("code {code}")))
}
