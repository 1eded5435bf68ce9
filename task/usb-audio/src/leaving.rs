//! How a card ends: its device is gone, `usb_core` died, or somebody takes an
//! interface of it.

use usb_audio_api::{MAX_CARDS, UsbAudioError};
use usb_core_api::DeviceHandle;
use usb_desc::InterfaceNumber;

use crate::cards::Card;
use crate::engine::{Engine, Trace, trace};
use crate::jobs::MAX_JOBS;
use crate::world::World;

impl Engine {
    /// A device is gone.
    pub(crate) fn detached(&mut self, world: &mut impl World, device: DeviceHandle) {
        if let Some(card) = self.cards.on_device(device) {
            self.card_gone(world, card, UsbAudioError::DeviceGone);
        }
    }

    /// A card's device is gone, and with it whatever ran on it; `error` is what
    /// waiting clients are told.
    fn card_gone(&mut self, world: &mut impl World, number: u8, error: UsbAudioError) {
        let Some(card) = self.cards.get_mut(number) else {
            return;
        };
        card.claimed = 0;
        self.card_ends(number, error);
        for place in 0..self.lanes.len() {
            if let Some(lane) = self.lane_mut(place).filter(|lane| lane.id.card == number) {
                lane.gone = true;
            }
        }
        for job in 0..MAX_JOBS {
            if self.card_of_job(job) == Some(number) {
                self.device_lost(world, job, error);
            }
        }
    }

    /// Somebody takes an interface of a device: its card is no more, and as soon
    /// as its streams are closed nothing of it is claimed.
    pub(crate) fn wanted(&mut self, device: DeviceHandle) {
        if let Some(card) = self.cards.of_device(device) {
            self.card_ends(card, UsbAudioError::InterfaceTaken);
        }
    }

    /// A card that is there still is offered no more, and what waits for the end
    /// of its sound is told why.
    fn card_ends(&mut self, number: u8, error: UsbAudioError) {
        let Some(card) = self.cards.get_mut(number) else {
            return;
        };
        card.end = error;
        if core::mem::replace(&mut card.info.present, false) {
            trace(Trace::CardRemoved { card: number });
            self.clients.cards_changed();
        }
        for place in 0..self.lanes.len() {
            if self.lane_mut(place).is_some_and(|lane| lane.id.card == number) {
                self.end_drain(place, Err(error));
            }
        }
    }

    /// Releases what is claimed for cards that were taken and are at rest.
    pub(crate) fn let_go(&mut self, world: &mut impl World) {
        for number in 0..MAX_CARDS {
            // First what is hardly ever so: this is asked after every piece of news.
            let leaves = |card: &Card| !card.info.present && card.claimed != 0;
            if !self.cards.get(number).is_some_and(leaves) {
                continue;
            }
            let used = self.lanes.iter().flatten().any(|lane| lane.id.card == number)
                || (0..MAX_JOBS).any(|job| self.card_of_job(job) == Some(number));
            if let Some(card) = self.cards.get_mut(number).filter(|_| !used) {
                let claimed = core::mem::take(&mut card.claimed);
                release_all(world, card.info.device, claimed);
            }
        }
    }

    /// `usb_core` died: its devices are gone, and come again under new handles.
    pub(crate) fn core_died(&mut self, world: &mut impl World) {
        trace(Trace::CoreDied);
        for card in 0..MAX_CARDS {
            if self.cards.get(card).is_some_and(|card| card.claimed != 0) {
                self.card_gone(world, card, UsbAudioError::CoreDied);
            }
        }
    }
}

/// Gives a set of interfaces back.
pub(crate) fn release_all(world: &mut impl World, device: DeviceHandle, set: u32) {
    for number in (0..32).filter(|number| set & 1 << number != 0) {
        world.release(device, InterfaceNumber(number));
    }
}
