//! Cards and their numbers.
//!
//! A card number travels in QMI tokens to a peer that may still name it long
//! after the device is gone. So a number stays taken until the broker says
//! that nothing of the card is in use any more, and numbers are given out in
//! turn, which keeps the latest one unused the longest.

use usb_audio_api::{CardInfo, MAX_CARDS, UsbAudioError};
use usb_core_api::DeviceHandle;
use usb_types::Speed;

use crate::quirks::Quirk;
use crate::script::Level;

/// A device with streams, or what is left of it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Card {
    pub(crate) info: CardInfo,
    pub(crate) speed: Speed,
    /// Bytes of its configuration.
    pub(crate) configuration: u16,
    /// Some stream of it needs implicit feedback and was left out.
    pub(crate) implicit: bool,
    pub(crate) quirk: Quirk,
    /// The interfaces that are claimed for it.
    pub(crate) claimed: u32,
    /// Why it is not present any more.
    pub(crate) end: UsbAudioError,
    /// What its playback shall sound like, by the class: 0 dB is unity.
    pub(crate) volume: i16,
    pub(crate) mute: bool,
}

impl Card {
    /// What the device is to be told: never above unity, wherever that is.
    pub(crate) fn level(&self) -> Level {
        Level { volume: self.volume.min(0).saturating_add(self.quirk.unity), mute: self.mute }
    }
}

/// All card numbers.
#[derive(Debug)]
pub(crate) struct Cards {
    slots: [Option<Card>; MAX_CARDS as usize],
    next: u8,
}

impl Cards {
    pub(crate) const fn new() -> Self {
        Self { slots: [None; MAX_CARDS as usize], next: 0 }
    }

    /// Gives `card` a number; `None` when all are taken.
    pub(crate) fn insert(&mut self, card: Card) -> Option<u8> {
        let number = (self.next..MAX_CARDS)
            .chain(0..self.next)
            .find(|&number| self.get(number).is_none())?;
        *self.slots.get_mut(usize::from(number))? = Some(card);
        self.next = (number + 1) % MAX_CARDS;
        Some(number)
    }

    pub(crate) fn get(&self, number: u8) -> Option<&Card> {
        self.slots.get(usize::from(number))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: u8) -> Option<&mut Card> {
        self.slots.get_mut(usize::from(number))?.as_mut()
    }

    /// Frees a number.
    pub(crate) fn remove(&mut self, number: u8) {
        if let Some(slot) = self.slots.get_mut(usize::from(number)) {
            *slot = None;
        }
    }

    /// The present card of `device`.
    pub(crate) fn of_device(&self, device: DeviceHandle) -> Option<u8> {
        self.iter().find(|(_, card)| card.info.present && card.info.device == device).map(|c| c.0)
    }

    /// The card with claims on `device`, which may be leaving.
    pub(crate) fn on_device(&self, device: DeviceHandle) -> Option<u8> {
        self.iter().find(|(_, card)| card.claimed != 0 && card.info.device == device).map(|c| c.0)
    }

    /// All cards, vanished ones included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, &Card)> {
        (0..).zip(&self.slots).filter_map(|(number, slot)| Some((number, slot.as_ref()?)))
    }

    /// The sets of numbers whose card is there, and whose card has vanished.
    pub(crate) fn sets(&self) -> (u32, u32) {
        self.iter().fold((0, 0), |(present, vanished), (number, card)| {
            let bit = 1 << number;
            if card.info.present { (present | bit, vanished) } else { (present, vanished | bit) }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fake;

    fn card() -> Card {
        Card {
            info: CardInfo {
                device: fake::handle(0),
                controller: 0,
                slot_number: 1,
                playback: 1,
                capture: 0,
                present: true,
            },
            speed: Speed::Full,
            configuration: 113,
            claimed: 0b11,
            end: UsbAudioError::DeviceGone,
            implicit: false,
            quirk: Quirk::default(),
            volume: 0,
            mute: false,
        }
    }

    /// R1, A22: as many as there are numbers, then a refusal, then again.
    #[test]
    fn a22_numbers_run_out_at_32_and_come_back_when_forgotten() {
        let mut cards = Cards::new();
        let numbers: Vec<u8> = (0..32).filter_map(|_| cards.insert(card())).collect();
        assert_eq!(numbers, (0..32).collect::<Vec<u8>>());
        assert_eq!(cards.insert(card()), None);
        cards.remove(7);
        assert_eq!(cards.insert(card()), Some(7));
    }

    #[test]
    fn a_number_just_freed_is_the_last_to_be_given_out_again() {
        let mut cards = Cards::new();
        assert_eq!(cards.insert(card()), Some(0));
        cards.remove(0);
        assert_eq!(cards.insert(card()), Some(1));
    }

    #[test]
    fn no_level_is_above_unity() {
        let mut card = card();
        for (volume, unity, level) in
            [(0, 0, 0), (600, 0, 0), (-256, 0, -256), (0, 0x0800, 0x0800), (-256, 0x0800, 0x0700)]
        {
            card.volume = volume;
            card.quirk.unity = unity;
            assert_eq!(card.level().volume, level);
        }
    }
}
