//! What is plugged in, and where.

use system::scene::Socket;
use usb_model::headset::{Model, headset};
use usb_model::{Hub, Speed, UsbDevice};

/// Ports of a hub.
pub(crate) const HUB_PORTS: u8 = 4;

/// A socket, and what goes there.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) at: Socket,
    gear: Gear,
}

#[derive(Copy, Clone, Debug)]
enum Gear {
    Headset(Model, u64),
    /// A hub, and the headset at this port of it.
    Hub(Speed, u8, Model, u64),
}

impl Seat {
    /// A headset; `seed` tells it from others of its model.
    pub(crate) const fn headset(at: Socket, model: Model, seed: u64) -> Self {
        Self { at, gear: Gear::Headset(model, seed) }
    }

    /// Where the headset sits that is plugged into `port` of a hub of that speed, and
    /// the hub with the headset in it.
    pub(crate) fn behind(
        hub: Socket,
        speed: Speed,
        port: u8,
        model: Model,
        seed: u64,
    ) -> [Self; 2] {
        let at = Socket { route: hub.route.through(port), ..hub };
        let gear = Gear::Hub(speed, port, model, seed);
        [Self::headset(at, model, seed), Self { at: hub, gear }]
    }

    /// Whether a headset goes there.
    pub(crate) const fn is_headset(&self) -> bool {
        matches!(self.gear, Gear::Headset(..))
    }

    /// What goes there, new.
    pub(crate) fn device(&self) -> Box<dyn UsbDevice> {
        match self.gear {
            Gear::Headset(model, seed) => headset(model, seed),
            Gear::Hub(speed, port, model, seed) => {
                let mut hub = Hub::new(speed, HUB_PORTS);
                hub.plug(fabric::Time::ZERO, port, headset(model, seed));
                Box::new(hub)
            }
        }
    }
}
