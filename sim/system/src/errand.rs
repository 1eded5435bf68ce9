//! Messages to servers of a simulated board, from outside.

use crate::auditor::SLOTS;
use crate::image::Description;
use crate::look::Look;
use crate::run::{Path, model};
use crate::scene::{Beginning, Port, Scene};
use fabric::Time;
use judge::sound::Sound;
use std::fmt;
use std::time::Duration;
use userlib::{Generation, Lease, TaskId, sys_refresh_task_id, sys_send};
use xhc::Personality;

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// The server's index.
    pub server: u16,
    /// The operation's number.
    pub operation: u16,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Bytes of the longest reply.
    pub reply: usize,
    /// What the server may read.
    pub read: Vec<Vec<u8>>,
    /// Bytes that the server may write, if it may.
    pub write: Option<usize>,
}

/// Room on the sender's stack: memory of the host is not the task's.
const SHORT: usize = 256;
const LONG: usize = 4352;

/// What can be wrong with a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Unsendable {
    /// The simulator's own task has no slot for that server.
    NoSlot,
    /// It is longer than any.
    TooLong,
    /// The server did not answer.
    NoAnswer,
}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSlot => "the simulator's own task has no slot for that server",
            Self::TooLong => "the message is longer than any",
            Self::NoAnswer => "the server did not answer",
        })
    }
}

/// Time into the sound at which the first message can be sent.
const MOMENT: Time = Time::ms(1_000);
const LIMIT: Time = Time::ms(5_000);

/// A board that a second ago began to play a sound to its headset, and who sends.
pub struct Errands {
    scene: Scene,
    /// The servers that can be reached.
    servers: Vec<u16>,
}

impl Errands {
    /// The board of `description` on which `sound` plays; `seed` decides the rest.
    ///
    /// # Errors
    /// When the board has no place for a headset.
    ///
    /// # Panics
    /// When the simulator itself is at fault, here and later.
    pub fn new(
        description: &'static Description,
        seed: u64,
        sound: &Sound,
    ) -> Result<Self, Unsendable> {
        let app = description.app();
        let servers = SLOTS.iter().filter_map(|name| app.index(name));
        let servers = servers.map(|index| index.0).collect();
        let personality = Personality::seeded(seed);
        let port = personality.usb2_port(0).ok_or(Unsendable::NoAnswer)?;
        let beginning =
            Beginning { description, personality, room: sound.pcm.len(), deeds: Vec::new(), seed };
        let mut scene = Scene::power_on(beginning, |_| {});
        if let Some((_, model)) = model("sync") {
            scene.plug(Port { controller: 0, port }, model, seed);
        }
        scene.order(sound, Path::Offload.into());
        scene.run_for(MOMENT);
        Ok(Self { scene, servers })
    }

    /// Sends `message`; the response code, and the reply with what the server wrote
    /// behind it.
    ///
    /// # Errors
    /// When it was not sent, or not answered.
    pub fn send(&mut self, message: Message) -> Result<(u32, Vec<u8>), Unsendable> {
        if !self.servers.contains(&message.server) {
            return Err(Unsendable::NoSlot);
        }
        let long = message.read.iter().map(Vec::len).sum::<usize>() + message.write.unwrap_or(0);
        if message.bytes.len().max(message.reply) > SHORT || long > LONG || message.read.len() > 2 {
            return Err(Unsendable::TooLong);
        }
        self.scene.visit(LIMIT, move || deliver(&message)).ok_or(Unsendable::NoAnswer)
    }

    /// What a debugger would see now.
    #[must_use]
    pub fn look(&self) -> Look {
        Look::at(&self.scene.machine)
    }

    /// Lets the board run on for so long.
    pub fn run_for(&mut self, span: Duration) {
        self.scene.run_for(Time(span.as_nanos() as u64));
    }
}

/// Sends from the simulator's own task.
fn deliver(message: &Message) -> (u32, Vec<u8>) {
    let (mut bytes, mut reply) = ([0; SHORT], [0; SHORT]);
    let mut lent = [0; LONG];
    bytes[..message.bytes.len()].copy_from_slice(&message.bytes);
    let (reply, _) = reply.split_at_mut(message.reply);
    let bytes = &bytes[..message.bytes.len()];
    let read = message.read.concat();
    lent[..read.len()].copy_from_slice(&read);
    let (read, written) = lent.split_at_mut(read.len());
    let written = &mut written[..message.write.unwrap_or(0)];
    let first = message.read.first().map_or(0, Vec::len);
    let (first, second) = read.split_at(first);
    let to = sys_refresh_task_id(TaskId::new(message.server, Generation::default()));
    let send = |leases: &[Lease<'_>], reply: &mut [u8]| {
        sys_send(to, message.operation, bytes, reply, leases).0
    };
    let code = match (message.read.len(), message.write) {
        (0, None) => send(&[], reply),
        (0, Some(_)) => send(&[Lease::write_only(written)], reply),
        (1, None) => send(&[Lease::read_only(first)], reply),
        (1, Some(_)) => send(&[Lease::read_only(first), Lease::write_only(written)], reply),
        _ => send(&[Lease::read_only(first), Lease::read_only(second)], reply),
    };
    (code, [&*reply, &*written].concat())
}
