//! The cards, and what the peer still owes of those that are gone.
//!
//! `usb_audio` numbers cards; a number is given out again only after the broker
//! said that nothing of the old card is in use any more. It says so when no
//! session and no route is left on it, and the peer has let go of every stream
//! that was taken from it by force: until then a late disable is answered from
//! here, harmless to whoever has the number next.

use dsp_abi::SESSIONS;
use qmi::Token;
use usb_audio_api::{CardInfo, MAX_CARDS};
use usb_core_api::DeviceInfo;
use usb_types::Direction;

/// A card.
#[derive(Copy, Clone, Debug)]
pub struct Card {
    /// What `usb_audio` knows of it.
    pub info: CardInfo,
    /// What `usb_core` knows of its device.
    pub device: DeviceInfo,
    /// False once the device is gone.
    pub present: bool,
    /// Counts cards; the highest was plugged last.
    plugged: u32,
    /// Streams taken by force, which the peer has not given back.
    owed: [Option<Token>; SESSIONS],
}

impl Card {
    /// How many streams of that direction it has.
    #[must_use]
    pub const fn streams(&self, direction: Direction) -> u8 {
        match direction {
            Direction::Out => self.info.playback,
            Direction::In => self.info.capture,
        }
    }
}

/// All cards, by number.
#[derive(Debug)]
pub struct Cards {
    cards: [Option<Card>; MAX_CARDS as usize],
    plugged: u32,
}

impl Default for Cards {
    fn default() -> Self {
        Self { cards: [None; MAX_CARDS as usize], plugged: 0 }
    }
}

impl Cards {
    /// A card is there. A number already in use is one that was told twice.
    pub fn add(&mut self, number: u8, info: CardInfo, device: DeviceInfo) {
        let Some(place) = self.cards.get_mut(usize::from(number)) else { return };
        if place.is_none() {
            self.plugged = self.plugged.wrapping_add(1);
            let (plugged, owed) = (self.plugged, [None; SESSIONS]);
            *place = Some(Card { info, device, present: true, plugged, owed });
        }
    }

    /// A card's device is gone.
    pub fn remove(&mut self, number: u8) {
        if let Some(card) = self.get_mut(number) {
            card.present = false;
        }
    }

    /// The card of this number, gone or not.
    #[must_use]
    pub fn get(&self, number: u16) -> Option<&Card> {
        self.cards.get(usize::from(number))?.as_ref()
    }

    /// The card with streams of that direction that was plugged last, and its
    /// number (S5).
    #[must_use]
    pub fn newest(&self, direction: Direction) -> Option<(u8, &Card)> {
        (0..MAX_CARDS)
            .filter_map(|number| Some((number, self.get(u16::from(number))?)))
            .filter(|(_, card)| card.present && card.streams(direction) > 0)
            .max_by_key(|(_, card)| card.plugged)
    }

    /// The peer was told to let go of a stream and did not; it is taken.
    pub fn owe(&mut self, token: Token) {
        let Some(card) = self.of(token) else { return };
        if !card.owed.contains(&Some(token)) {
            let free = card.owed.iter_mut().find(|owed| owed.is_none());
            *free.expect("a session was live for each token owed") = Some(token);
        }
    }

    /// The peer let go of a stream; whether it was owed.
    pub fn let_go(&mut self, token: Token) -> bool {
        let Some(card) = self.of(token) else { return false };
        match card.owed.iter_mut().find(|owed| **owed == Some(token)) {
            Some(owed) => {
                *owed = None;
                true
            }
            None => false,
        }
    }

    /// The peer is gone, and owes nothing any more.
    pub fn forgive_all(&mut self) {
        for card in self.cards.iter_mut().flatten() {
            card.owed = [None; SESSIONS];
        }
    }

    /// A card that is gone, owes nothing and of which `in_use` says that
    /// nothing is left; it is forgotten here, and its number is the answer.
    pub fn take_forgettable(&mut self, in_use: impl Fn(u8) -> bool) -> Option<u8> {
        let number = (0..MAX_CARDS).find(|&number| {
            self.get(u16::from(number)).is_some_and(|card| {
                !card.present && card.owed.iter().all(Option::is_none) && !in_use(number)
            })
        })?;
        self.cards[usize::from(number)] = None;
        Some(number)
    }

    /// Forgets everything: `usb_audio` died and numbers anew.
    pub fn clear(&mut self) {
        self.cards = [None; MAX_CARDS as usize];
    }

    fn get_mut(&mut self, number: u8) -> Option<&mut Card> {
        self.cards.get_mut(usize::from(number))?.as_mut()
    }

    fn of(&mut self, token: Token) -> Option<&mut Card> {
        self.cards.get_mut(usize::from(token.card()))?.as_mut()
    }
}
