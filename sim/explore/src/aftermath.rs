//! What is looked at once the faults have struck: what is held, the next stream, and
//! what the models saw.

use crate::case::What;
use crate::finding::Finding;
use crate::play::{LAST_SOUND, Play, REST};
use crate::scenario::Scenario;
use crate::stage::Stage;
use dsp_abi::bell;
use dsp_abi::media::{Answer, Path, PlayerState};
use fabric::points::Planned;
use fabric::{Fault, Time};
use judge::Verdict;
use system::scene::{Deed, Socket};

/// Time to come back in: tasks are started anew, controllers reset.
const RECOVERY: Time = Time::ms(2_000);
/// The longest that anything is waited for: a peer that may have let go of its
/// stream unheard, and what follows from the end of that.
const LONGEST: Time = Time::ms(offload_broker::broker::PEER_DEADLINE_MS + 500);
/// How long the next stream may take to begin, and to end.
const NEXT: Time = Time::ms(4_000);
/// No server lets a message wait for so long: it serves others meanwhile.
const ANSWER: Time = Time::ms(20);
/// An enable takes no longer than that.
const ENABLE: Time = Time::ms(2_000);

impl Play<'_> {
    /// Gives everything time to come back, and what was pulled its place. The
    /// system wakes up.
    pub(crate) fn come_back(&mut self) {
        self.scene.ring(bell::RESUME);
        // A hub for which there was no place is left alone until it is pulled.
        let core = self.image.description.app().index("usb_core").map(|index| index.0);
        let refused = self.case.strikes.iter().any(|strike| {
            strike.what == What::Refuse && strike.at.site.task().map(u16::from) == core
        });
        for seat in self.seats.iter().filter(|seat| refused && !seat.is_headset()) {
            self.scene.unplug_at(seat.at);
        }
        self.scene.run_for(RECOVERY + self.silence);
        let there: Vec<bool> = {
            let board = self.scene.machine.board();
            let controllers = &board.parts.controllers;
            let there = |at: Socket| controllers[at.port.controller].device_at(at.place());
            self.seats.iter().map(|seat| there(seat.at).is_some()).collect()
        };
        // Every second time one headset that is left is enough.
        let mut left = self.seats.iter().zip(&there);
        let left = left.any(|(seat, &there)| seat.is_headset() && there);
        let enough = self.case.seed % 2 == 1 && left;
        for (seat, there) in self.seats.iter().zip(there) {
            // One that is there stays.
            if !there && !enough {
                self.scene.plug_at(seat.at, seat.device());
            }
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
        let hubs = u8::from(self.case.scenario.has_hub());
        let second = audit.xhci1.unwrap_or_default();
        let slots = audit.xhci.slots + second.slots;
        let sidebands = audit.xhci.sidebands + second.sidebands;
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
            ("sidebands", sidebands.into()),
            ("windows", audit.iommu.windows.into()),
            ("grants", audit.iommu.grants.into()),
            ("streams of the audio class", audit.usb_audio.open.into()),
            ("slots without a device", slots.abs_diff(devices).into()),
            (
                "cards without a device",
                if plain { (cards + hubs).abs_diff(devices).into() } else { 0 },
            ),
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
    pub(crate) fn play_on(&mut self) {
        self.tell(|| "the next stream, which has to be exact".to_owned());
        let scene = &mut self.scene;
        let sound = Stage::sound(LAST_SOUND);
        let sockets: Vec<Socket> = self.seats.iter().map(|seat| seat.at).collect();
        let marks: Vec<_> = sockets.iter().map(|&at| scene.mark(at)).collect();
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
        let judged = sockets.into_iter().zip(marks);
        let verdicts: Vec<Verdict> =
            judged.map(|(at, mark)| self.scene.judge(at, mark, &sound)).collect();
        let played = verdicts.iter().filter(|verdict| verdict.packets > 0).count();
        let right = verdicts.iter().filter(|verdict| verdict.is_right()).count();
        if (played, right) != (1, 1) {
            let told = verdicts.iter().map(ToString::to_string);
            self.findings.push(Finding::NextInexact(told.collect::<Vec<_>>().join("; ")));
        }
        if self.case.scenario.records()
            && let Err(why) = self.take(0)
        {
            self.findings.push(Finding::NextFailed(why));
        }
        self.audit();
    }

    /// What the models and the kernel saw in the whole run.
    pub(crate) fn look_back(&mut self, struck: &[(Time, Planned)]) {
        self.findings.extend(self.stranger.granted().map(Finding::Granted));
        if self.image.is_precise() {
            self.findings.extend(self.stranger.wrong_answer().map(Finding::Answer));
        }
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
        // Who takes a headset away leaves the DSP time to let go; who kills does not.
        let away = |what: What| {
            matches!(
                what,
                What::Unplug(_)
                    | What::Replug(..)
                    | What::Reset(_)
                    | What::Suspend
                    | What::Hibernate
                    | What::Resume
            )
        };
        let alone = [Scenario::Stream, Scenario::Feedback, Scenario::Hub];
        let alone = alone.contains(&self.case.scenario);
        if alone
            && self.case.strikes.iter().all(|strike| away(strike.what))
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
    pub(crate) fn failure(&self, answer: Option<Answer>) -> Option<String> {
        let Some(answer) = answer else { return Some("no answer".to_owned()) };
        if answer.state != PlayerState::Done as u32 {
            let tasks = &self.image.description.app().tasks;
            let server = tasks.get(answer.server as usize).map_or("?", |task| &task.name);
            return Some(system::run::explain(server, answer.code));
        }
        (answer.underruns != 0).then(|| format!("{} underruns", answer.underruns))
    }
}
