//! The audio class against a fake `usb_core`, operation by operation.

mod lifetime;
mod opening;
mod pcm;

use abi::{Generation, TaskId};
use handles::{Epoch, Handle, Raw};
use usb_audio_api::{
    Completed, Drive, Event, SampleFormat, StreamFormat, StreamHandle, StreamId, TicketHandle,
    UsbAudioError,
};
use usb_core_api::{DeviceHandle, UsbCoreError};
use usb_types::{Direction, EndpointAddress};

use crate::engine::Engine;
use crate::fake::{Fake, Model, Told};

const BROKER: TaskId = TaskId::new(6, Generation(0));
const PLAYER: TaskId = TaskId::new(7, Generation(0));

const STREAM: StreamId = StreamId { card: 0, pcm: 0, direction: Direction::Out };
const CD: StreamFormat =
    StreamFormat { sample: SampleFormat::S16Le, channels: 2, rate: 44_100, interval_us: None };

/// SET_CUR of the endpoint's sampling frequency.
fn rate(hertz: u32) -> Told {
    Told::Set { value: 0x0100, index: 0x01, data: hertz.to_le_bytes()[..3].to_vec() }
}

fn mute(on: bool) -> Told {
    Told::Set { value: 0x0100, index: 0x0200, data: vec![on.into()] }
}

fn volume(channel: u16, volume: i16) -> Told {
    let data = volume.to_le_bytes().to_vec();
    Told::Set { value: 0x0200 | channel, index: 0x0200, data }
}

struct Bench {
    engine: Engine,
    world: Fake,
}

impl Bench {
    fn empty() -> Self {
        Self { engine: Engine::new(Epoch(1)), world: Fake::new() }
    }

    /// A bench with one device, card 0, known to both clients.
    fn with(model: Model) -> (Self, DeviceHandle) {
        let mut bench = Self::empty();
        let device = bench.world.plug(0, model);
        bench.settle();
        for client in [BROKER, PLAYER] {
            bench.news(client);
        }
        (bench, device)
    }

    fn new() -> Self {
        Self::with(Model::default()).0
    }

    /// Lets `usb_core` tell all it has.
    fn settle(&mut self) {
        self.engine.pull(&mut self.world);
        self.engine.hint(&mut self.world);
    }

    fn news(&mut self, client: TaskId) -> Vec<Event> {
        std::iter::from_fn(|| {
            let event = self.engine.op_pull(client).unwrap();
            (event != Event::None).then_some(event)
        })
        .collect()
    }

    fn start(&mut self, client: TaskId, drive: Drive) -> Result<TicketHandle, UsbAudioError> {
        self.engine.op_open(&mut self.world, client, STREAM, CD, drive)
    }

    fn result(&mut self, client: TaskId, ticket: TicketHandle) -> Result<Completed, UsbAudioError> {
        self.engine.op_result(client, ticket)
    }

    fn open(&mut self, client: TaskId, drive: Drive) -> Result<StreamHandle, UsbAudioError> {
        let ticket = self.start(client, drive)?;
        self.settle();
        match self.result(client, ticket)? {
            Completed::Stream(stream) => Ok(stream),
            other => panic!("{other:?}"),
        }
    }

    fn close(&mut self, client: TaskId, stream: StreamHandle) -> Result<Completed, UsbAudioError> {
        let ticket = self.engine.op_close(&mut self.world, client, stream)?;
        self.settle();
        self.result(client, ticket)
    }

    fn write(&mut self, stream: StreamHandle, pcm: &[u8]) -> Result<u16, UsbAudioError> {
        let copy = |into: &mut [u8]| {
            into.copy_from_slice(&pcm[..into.len()]);
            Ok(())
        };
        match self.engine.op_write(&mut self.world, PLAYER, stream, pcm.len(), copy) {
            Ok(frames) => Ok(frames),
            Err(idol_runtime::RequestError::Runtime(error)) => Err(error),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn progress(&mut self, device: DeviceHandle, endpoint: u8) {
        let endpoint = EndpointAddress(endpoint);
        self.world.events.push_back(usb_core_api::Event::IsochProgress { device, endpoint });
        self.settle();
    }

    /// Nothing is left of any operation.
    fn assert_at_rest(&self) {
        assert_eq!(self.engine.op_status().open, 0);
        assert!(self.engine.handles.is_empty());
        assert!(self.engine.tickets.is_empty());
        assert!(self.engine.jobs.iter().all(Option::is_none));
        assert!(self.engine.hosts.iter().all(Option::is_none));
        assert_eq!(self.world.under_way(), 0);
    }
}
