//! A board that plays, from power-on until everything is given back.

use dsp_abi::bell;
use dsp_abi::media::{Answer, PlayerState};
use judge::report::Leaks;
use offload_broker_api::RouteEnding;
use program::playing::SPACING;
use qemu::{Act, Ended, Error, Machine, Memory, Running};
use std::time::{Duration, Instant};
use zerocopy::{FromZeros, IntoBytes};

use super::evidence::{Count, Sleeps, Stream};
use super::places::Places;
use super::{freeze, held};

/// When nothing has happened for this long, nothing will: on a loaded host a
/// packet may take a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long core 0 must have slept, without a timer, to be done.
const STILL: Duration = Duration::from_millis(100);
/// How long the end may take once the player is done.
const END: Duration = Duration::from_secs(10);
/// Reports of a stream that are waited for before it is meddled with.
const WELL_UNDER_WAY: u32 = 25;
/// SMMU_EVENTQ_PROD: how many faults were recorded (IHI 0070 6.3.29).
const EVENTQ_PROD: u64 = 0x1_00A8;

/// Registers of an xHCI controller (5.3.3, 5.4): where HCSPARAMS1 is, where the
/// first PORTSC among the operational ones, how far ports are apart; and CCS.
const HCSPARAMS1: u64 = 0x04;
const PORTSC: u64 = 0x400;
const PORTS_APART: u64 = 0x10;
const CONNECTED: u32 = 1;

/// Which of the commands to the player.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sequence(pub(crate) u32);

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The command that it is about.
    pub(crate) sequence: Sequence,
    /// The player's last answer.
    pub(crate) answer: Answer,
    pub(crate) stream: Stream,
    pub(crate) sleeps: Sleeps,
    pub(crate) leaks: Leaks,
    pub(crate) double_releases: u32,
    /// The waits that USB demands, in milliseconds.
    pub(crate) pauses: Vec<(&'static str, u64)>,
    /// Tasks that died.
    pub(crate) restarts: u32,
    /// Faults that the SMMU recorded.
    pub(crate) iommu_faults: u32,
    /// How long core 0 was frozen, if it stayed where it was put.
    pub(crate) frozen: Option<Count>,
    /// Why the run ended before it should have.
    pub(crate) broken_off: Option<String>,
    /// What QEMU found wrong with what the guest did.
    pub(crate) complaints: u64,
    pub(crate) first_complaints: Vec<String>,
    /// What its devices did, if that was asked for.
    pub(crate) acts: Vec<Act>,
}

/// What is looked at again and again.
#[derive(Clone, Debug, Default, PartialEq)]
struct Glance {
    answer: Answer,
    reports: u32,
    sleeps: u32,
}

impl Glance {
    fn at(memory: &Memory, places: &Places) -> Result<Self, Error> {
        let mut answer = Answer::new_zeroed();
        memory.read(places.answer, answer.as_mut_bytes())?;
        let reports = Stream::read(memory, places.streams)?.count;
        Ok(Self { answer, reports, sleeps: memory.word(places.sleeps.at)? })
    }

    fn has_ended(&self, sequence: Sequence) -> bool {
        let ends = [PlayerState::Done as u32, PlayerState::Failed as u32];
        self.answer.sequence == sequence.0 && ends.contains(&self.answer.state)
    }
}

/// A board that runs.
pub(crate) struct Board<'a> {
    /// QEMU.
    pub(crate) machine: Running,
    places: &'a Places,
    /// Hears how many packets went out.
    progress: &'a dyn Fn(u64),
}

impl<'a> Board<'a> {
    /// Switches it on.
    pub(crate) fn start(
        machine: Machine,
        places: &'a Places,
        progress: &'a dyn Fn(u64),
    ) -> Result<Self, Error> {
        Ok(Self { machine: machine.start()?, places, progress })
    }

    fn glance(&self) -> Result<Glance, Error> {
        Glance::at(&self.machine.memory, self.places)
    }

    /// Waits until the player is done with a command and everything is given
    /// back.
    pub(crate) fn play(&mut self, sequence: Sequence) -> Result<(), Error> {
        self.follow(sequence, |_| false)?;
        self.settle()
    }

    /// Waits until a command's stream is well under way, or over.
    pub(crate) fn begin(&mut self, sequence: Sequence) -> Result<(), Error> {
        self.follow(sequence, |reports| reports >= WELL_UNDER_WAY)
    }

    /// Waits until the player is done with a command, or until `stop` says so of
    /// how many reports of the stream there were.
    pub(crate) fn follow(
        &mut self,
        sequence: Sequence,
        stop: impl Fn(u32) -> bool,
    ) -> Result<(), Error> {
        let mut last = self.glance()?;
        while !last.has_ended(sequence) && !stop(last.reports) {
            let mut now = last.clone();
            self.machine.wait_until("the player's answer", PATIENCE, |memory| {
                now = Glance::at(memory, self.places)?;
                Ok(now != last)
            })?;
            (self.progress)(u64::from(now.reports * SPACING));
            last = now;
        }
        Ok(())
    }

    /// Freezes core 0 for `ms` milliseconds of a stream; how long it really was,
    /// or none when it did not stay where it was put, or the stream ended.
    pub(crate) fn freeze_for(
        &mut self,
        sequence: Sequence,
        ms: u32,
    ) -> Result<Option<Count>, Error> {
        if self.glance()?.has_ended(sequence) {
            return Ok(None);
        }
        let frozen = freeze::freeze(&mut self.machine, self.places)?;
        let (begun, from) = self.latest_report()?;
        let enough = begun + ms.div_ceil(SPACING);
        let followed = self.follow(sequence, |reports| reports >= enough);
        let (_, until) = self.latest_report()?;
        let stayed = freeze::thaw(&mut self.machine, self.places, frozen)?;
        followed?;
        let span = from.zip(until).map(|(from, until)| Count(until.0 - from.0));
        Ok(span.filter(|_| stayed))
    }

    /// How many reports of the stream there were, and when the last one came.
    fn latest_report(&self) -> Result<(u32, Option<Count>), Error> {
        let stream = Stream::read(&self.machine.memory, self.places.streams)?;
        Ok((stream.count, stream.time(stream.count.wrapping_sub(1))))
    }

    /// Waits until what was just plugged in is known and core 0 sleeps again.
    pub(crate) fn arrive(&mut self) -> Result<(), Error> {
        let begun = self.glance()?.sleeps;
        self.machine.wait_until("a headset's arrival", PATIENCE, |memory| {
            Ok(memory.word(self.places.sleeps.at)? != begun)
        })?;
        self.settle()
    }

    /// How many reports of the stream there were.
    pub(crate) fn reports(&self) -> Result<u32, Error> {
        Ok(self.glance()?.reports)
    }

    /// Lays a command down and rings the player.
    pub(crate) fn order(&mut self, command: &[u8]) -> Result<(), Error> {
        self.machine.memory.write(self.places.media, command)?;
        ring(&mut self.machine, self.places, bell::PLAYER)
    }

    /// Rings one of the bells that suspend and resume the system.
    pub(crate) fn ring(&mut self, bell: u16) -> Result<(), Error> {
        ring(&mut self.machine, self.places, bell)
    }

    /// The states of the links of all ports with a device (PLS, xHCI 5.4.8).
    pub(crate) fn links(&mut self) -> Result<Vec<u32>, Error> {
        let (base, bus) = (self.places.xhci, self.machine.bus()?);
        let operational = base.plus(u64::from(bus.read(base)? & 0xFF));
        let ports = bus.read(base.plus(HCSPARAMS1))? >> 24;
        let mut links = Vec::new();
        for port in 0..u64::from(ports) {
            let portsc = bus.read(operational.plus(PORTSC + port * PORTS_APART))?;
            if portsc & CONNECTED != 0 {
                links.push(portsc >> 5 & 0xF);
            }
        }
        Ok(links)
    }

    /// The latest sleeps of core 0.
    pub(crate) fn sleeps(&self) -> Result<Sleeps, Error> {
        Sleeps::read(&self.machine.memory, self.places.sleeps)
    }

    /// What is still held.
    pub(crate) fn leaks(&self) -> Result<Leaks, Error> {
        held::leaks(&self.machine.memory, self.places)
    }

    /// What is wrong with the end of a command that the player has to have given
    /// up because its route ended so.
    pub(crate) fn not_ended(
        &self,
        sequence: Sequence,
        why: RouteEnding,
    ) -> Result<Option<String>, Error> {
        let answer = self.glance()?.answer;
        let wanted = player::ROUTE_ENDED + why as u32;
        let ended = answer.sequence == sequence.0
            && answer.state == PlayerState::Failed as u32
            && answer.code == wanted;
        Ok((!ended).then(|| format!("the route did not end as {why:?}: {answer:?}")))
    }

    /// What the player answered last.
    pub(crate) fn answer(&self) -> Result<Answer, Error> {
        Ok(self.glance()?.answer)
    }

    /// Waits until core 0 sleeps for good: everything that was owed is paid.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        let until = Instant::now() + END;
        let mut last = None;
        loop {
            let sleeps = Sleeps::read(&self.machine.memory, self.places.sleeps)?;
            let rests = sleeps.at_rest().then_some(sleeps.begun);
            if rests.is_some() && rests == last {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(Error::Late("giving back what the stream had"));
            }
            last = rests;
            std::thread::sleep(STILL);
        }
    }

    /// How many faults the SMMU recorded, modulo what its counter holds.
    pub(crate) fn faults(&mut self) -> Result<u32, Error> {
        self.machine.bus()?.read(self.places.smmu.plus(EVENTQ_PROD))
    }

    /// Switches it off.
    pub(crate) fn finish(mut self, sequence: Sequence) -> Result<Seen, Error> {
        let places = self.places;
        let iommu_faults = self.faults()?;
        let Ended { memory, complaints, first_complaints, acts, .. } = self.machine.quit()?;
        Ok(Seen {
            sequence,
            answer: Glance::at(&memory, places)?.answer,
            stream: Stream::read(&memory, places.streams)?,
            sleeps: Sleeps::read(&memory, places.sleeps)?,
            leaks: held::leaks(&memory, places)?,
            double_releases: held::double_releases(&memory, places)?,
            pauses: held::pauses(&memory, places)?,
            restarts: memory.word(places.restarts.at)?,
            iommu_faults,
            frozen: None,
            broken_off: last_words(&memory, places)?,
            complaints,
            first_complaints,
            acts,
        })
    }
}

/// Rings a bell as a core would: SETSPI of the GICv2m frame.
pub(crate) fn ring(machine: &mut Running, places: &Places, bell: u16) -> Result<(), Error> {
    let register = places.bells.plus(u64::from(bell::SETSPI));
    machine.bus()?.write(register, bell.into())
}

/// The last words of a kernel or a monitor that died.
fn last_words(memory: &Memory, places: &Places) -> Result<Option<String>, Error> {
    for (who, place) in ["the kernel", "core 1's monitor"].into_iter().zip(places.epitaphs) {
        let mut words = vec![0; place.size];
        memory.read(place.at, &mut words)?;
        let len = words.iter().position(|&byte| byte == 0).unwrap_or(words.len());
        if len > 0 {
            return Ok(Some(format!("{who} died: {}", String::from_utf8_lossy(&words[..len]))));
        }
    }
    Ok(None)
}
