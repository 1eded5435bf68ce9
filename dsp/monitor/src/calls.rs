//! The program's calls.

use crate::platform::{Platform, Time};
use crate::session::Session;
use crate::{Answer, Monitor, Program, phys};
use addr::{PAGE, Peer};
use dsp_abi::control::NoticeKind;
use dsp_abi::monitor::{Call, EVENT_TIME, PEER_END, Status};
use gate::Refusal;
use trb::{CYCLE, PER_PAGE, TRB_BYTES, Trb};
use zerocopy::IntoBytes;

/// Why a call is not done.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Denied {
    Status(Status),
    /// What the gate found, and the session's number.
    Refused(Refusal, u32),
}

/// What a call answers behind its status.
type Words = [u32; 3];

impl Monitor {
    /// The program calls: number and arguments.
    pub fn call(&mut self, platform: &mut impl Platform, call: [u32; 6]) -> Answer {
        let [number, a, b, c, d, _] = call;
        let done = match Call::try_from(number) {
            Err(()) => Err(Denied::Status(Status::BadCall)),
            Ok(Call::Wait) => return self.wait(platform, Time(u64::from(a) | u64::from(b) << 32)),
            Ok(Call::Now) => {
                let now = platform.now().0;
                Ok([now as u32, (now >> 32) as u32, 0])
            }
            Ok(Call::MailSend) => {
                self.mail.send(platform, a).map(|()| [0; 3]).map_err(Denied::Status)
            }
            Ok(Call::MailReceive) => Ok([self.mail.receive(platform), 0, 0]),
            Ok(Call::Publish) => self.publish(platform, a, b, c, d),
            Ok(Call::Doorbell) => self.doorbell(platform, a, b),
            Ok(Call::Dequeue) => self.dequeue(platform, a, b),
            Ok(Call::FindSession) => self.find(platform, Peer(u64::from(a))),
        };
        let words = match done {
            Ok([x, y, z]) => [Status::Ok as u32, x, y, z],
            Err(denied) => self.denied(platform, denied),
        };
        self.settle(platform);
        Answer::Return(words)
    }

    fn wait(&mut self, platform: &mut impl Platform, until: Time) -> Answer {
        let due = until <= platform.now();
        if self.events != 0 || due {
            let time = if due { EVENT_TIME } else { 0 };
            let events = core::mem::take(&mut self.events) | time;
            self.program = Program::Runs;
            return Answer::Return([Status::Ok as u32, events, 0, 0]);
        }
        self.program = Program::Waits(until);
        self.settle(platform);
        Answer::Wait
    }

    fn session(&self, n: u32) -> Result<&Session, Denied> {
        let session = self.sessions.get(n as usize).and_then(Option::as_ref);
        session.ok_or(Denied::Status(Status::Closed))
    }

    /// Copies `count` TRBs from place `first` on from the shadow to the real
    /// ring, if all of them are legal.
    fn publish(
        &mut self,
        platform: &mut impl Platform,
        n: u32,
        ring: u32,
        first: u32,
        count: u32,
    ) -> Result<Words, Denied> {
        let refused = |refusal| Denied::Refused(refusal, n);
        let session = self.session(n)?;
        let place = ring as usize;
        let page = session.entry.rings.get(place).filter(|page| page.dci != 0);
        let page = *page.ok_or(refused(Refusal::NoRing))?;
        let producer = session.rings[place];

        // One copy of what is checked, which nobody can change. What is not in
        // the ring is not copied, and refused below for its places.
        let from = first.min(u32::from(PER_PAGE));
        let copy = &mut self.copy[..count.min(u32::from(PER_PAGE) - from) as usize];
        let offset = u64::from(from * TRB_BYTES);
        platform.read(phys(page.shadow).plus(offset), copy.as_mut_bytes());
        platform.acquire();
        let trb = |place: u16| Trb(copy[usize::from(place) - from as usize]);
        let checked = producer.check(first, count, trb).map_err(refused)?;

        // All but the first TRB's cycle bit, then that: the controller goes on
        // from the first, and sees the rest only behind it.
        let real = phys(page.real).plus(offset);
        let control = copy[0][3];
        copy[0][3] = control ^ CYCLE;
        platform.write(real, copy.as_bytes());
        platform.publish();
        platform.write(real.plus(12), control.as_bytes());
        platform.publish();

        if let Some(session) = &mut self.sessions[n as usize] {
            session.rings[place].published(checked);
            session.progressed = true;
            session.started = true;
        }
        self.begin_watch(platform);
        Ok([0; 3])
    }

    fn doorbell(
        &mut self,
        platform: &mut impl Platform,
        n: u32,
        ring: u32,
    ) -> Result<Words, Denied> {
        let entry = &self.session(n)?.entry;
        let value = gate::doorbell(entry, ring).map_err(|refusal| Denied::Refused(refusal, n))?;
        platform.write_register(phys(entry.doorbell), value);
        Ok([0; 3])
    }

    fn dequeue(
        &mut self,
        platform: &mut impl Platform,
        n: u32,
        place: u32,
    ) -> Result<Words, Denied> {
        let entry = &self.session(n)?.entry;
        let value = gate::dequeue(entry, place).map_err(|refusal| Denied::Refused(refusal, n))?;
        let erdp = phys(entry.erdp);
        platform.write_register(erdp, value as u32);
        platform.write_register(erdp.plus(4), (value >> 32) as u32);
        if let Some(session) = &mut self.sessions[n as usize] {
            session.progressed = true;
            session.reported = false;
        }
        Ok([0; 3])
    }

    /// Which session has its event ring where the program sees `at`.
    fn find(&mut self, platform: &mut impl Platform, at: Peer) -> Result<Words, Denied> {
        let closed = Denied::Status(Status::Closed);
        let mapped = at < PEER_END && at.0.is_multiple_of(u64::from(PAGE));
        let ring = mapped.then(|| platform.translate(at)).flatten().ok_or(closed)?;
        let has = |session: &Session| phys(session.entry.event_ring) == ring;
        let n = self.sessions.iter().position(|session| session.as_ref().is_some_and(has));
        n.map(|n| [n as u32, 0, 0]).ok_or(closed)
    }

    /// What the program is answered, and who else hears of it.
    fn denied(&mut self, platform: &mut impl Platform, denied: Denied) -> [u32; 4] {
        match denied {
            Denied::Status(status) => {
                // A session that closed and a mailbox that is full happen to
                // the best of programs.
                if matches!(status, Status::BadCall | Status::BadDatagram) {
                    self.count_refusal(platform);
                }
                [status as u32, 0, 0, 0]
            }
            Denied::Refused(refusal, n) => {
                self.count_refusal(platform);
                // Said once for each opening: it ends the session, and a program
                // that goes on trying must not ring the application core.
                let session = self.sessions.get_mut(n as usize).and_then(Option::as_mut);
                if session.is_some_and(|session| !core::mem::replace(&mut session.refused, true)) {
                    self.notice(platform, n as usize, NoticeKind::Refused, refusal as u32);
                }
                [Status::Refused as u32, refusal as u32, 0, 0]
            }
        }
    }
}
