//! News: from every server, all of it, in one go.

use core::mem::offset_of;

use dsp_abi::control::AnswerPage;
use dsp_abi::port;
use dsp_link_api::{Address, DspLinkError, MAX_PAYLOAD};
use userlib::sys_get_timer;
use zerocopy::FromBytes;

use super::{Executor, TRACE, Ticket, Trace};
use crate::ops::Input;
use crate::service::{Heard, hear};

/// News of the link taken in per wake; a flood has the rest wait.
const LINK_BUDGET: usize = 16;
/// Milliseconds until a flood is looked at again.
const BREATHER: u64 = 1;

impl Executor<'_> {
    pub(super) fn pull_audio(&mut self) {
        use usb_audio_api::Event;
        loop {
            match self.audio.pull() {
                Ok(Event::None) => return,
                Ok(Event::CardAdded { card }) => self.card_added(card),
                Ok(Event::CardRemoved { card }) => {
                    if self.core.cards().get(u16::from(card)).is_some() {
                        self.feed(Input::CardRemoved(card));
                    } else {
                        // Gone before it was known: nothing of it is in use.
                        let _ = self.audio.forget_card(card);
                    }
                }
                Ok(Event::TicketDone(ticket)) => self.collect(Ticket::Audio(ticket)),
                Ok(Event::Room(_)) => {}
                Err(_) => return self.server_died(),
            }
        }
    }

    fn card_added(&mut self, card: u8) {
        // A device that goes meanwhile is told gone next.
        if let Ok(info) = self.audio.card(card)
            && let Ok(device) = self.usb.device(info.device)
        {
            self.feed(Input::CardAdded(card, info, device));
            self.hint_waiters();
        }
    }

    pub(super) fn pull_usb(&mut self) {
        use usb_core_api::Event;
        loop {
            match self.usb.pull() {
                Ok(Event::None) => return,
                Ok(Event::Resumed(device)) => self.feed(Input::Resumed(device)),
                // Cards come and go by usb_audio's word, and nothing of
                // usb_core's is under way here.
                Ok(_) => {}
                Err(_) => return self.server_died(),
            }
        }
    }

    pub(super) fn pull_xhci(&mut self, controller: u8) {
        use xhci_api::Event;
        loop {
            match self.driver(controller).pull() {
                Ok(Event::None) => return,
                Ok(Event::TicketDone(ticket)) => self.collect(Ticket::Xhci(controller, ticket)),
                Ok(Event::Revoked { sideband, reason }) => {
                    self.feed(Input::Revoked { controller, sideband, reason });
                }
                // Sessions are revoked one by one; the rest is usb_core's.
                Ok(
                    Event::PortChanged { .. } | Event::IsochProgress { .. } | Event::ControllerDied,
                ) => {}
                Ok(Event::ControllerReady | Event::ControllerSafe) => {
                    self.feed(Input::ControllerSafe(controller))
                }
                Err(_) => return self.server_died(),
            }
        }
    }

    pub(super) fn pull_iommu(&mut self) {
        use iommu_api::Event;
        loop {
            match self.iommu.pull() {
                Ok(Event::None) => return,
                Ok(Event::TicketDone(ticket)) => self.collect(Ticket::Iommu(ticket)),
                Ok(Event::WindowFault { window, .. }) => self.feed(Input::WindowFault(window)),
                Ok(Event::ControllerFault { .. }) => {}
                Err(_) => return self.server_died(),
            }
        }
    }

    pub(super) fn pull_link(&mut self) {
        use dsp_link_api::Event;
        let mut data = [0; MAX_PAYLOAD];
        for _ in 0..LINK_BUDGET {
            match self.link.pull(&mut data) {
                Ok(Event::None) => return,
                Ok(Event::Datagram { from, length, .. }) => {
                    self.datagram(from, &data[..usize::from(length).min(MAX_PAYLOAD)]);
                }
                Ok(Event::ServerUp { service: port::SERVICE, instance: port::INSTANCE, at }) => {
                    // A link that died took the word of a death with it, and the
                    // next life speaks from the same addresses.
                    let life = offset_of!(AnswerPage, program_epoch) as u32;
                    let life = self.config.answers.read32(life);
                    if core::mem::replace(&mut self.program, life) != life {
                        self.feed(Input::NodeGone(at.node));
                    }
                    self.feed(Input::PortUp(at));
                    self.hint_waiters();
                }
                Ok(Event::ServerDown { service: port::SERVICE, at }) => {
                    self.feed(Input::PortDown(at));
                }
                Ok(Event::ServerUp { .. } | Event::ServerDown { .. }) => {}
                Ok(Event::ClientGone(gone)) => self.feed(Input::ClientGone(gone)),
                Ok(Event::NodeGone { node }) => self.feed(Input::NodeGone(node)),
                Ok(Event::Room) => {
                    self.flush();
                    self.hint_waiters();
                }
                // The link counted it; the rest of the news is still to come.
                Err(DspLinkError::Truncated) => {}
                Err(_) => return self.server_died(),
            }
        }
        self.breather = Some(sys_get_timer().now + BREATHER);
    }

    fn datagram(&mut self, from: Address, bytes: &[u8]) {
        if self.core.backend.is_port(from) {
            if let Ok(message) = port::Message::read_from_bytes(bytes) {
                return self.feed(Input::PortMessage(from, message));
            }
        } else {
            match hear(self.config.dialect, bytes) {
                Heard::Request(txn, request) => {
                    return self.feed(Input::Request { from, txn, request });
                }
                Heard::Answer(txn, response) => {
                    return self.post(from, |bytes| response.encode(txn, bytes).ok());
                }
                Heard::Silence => {}
            }
        }
        // A payload is not longer than MAX_PAYLOAD.
        ringbuf::ringbuf_entry!(TRACE, Trace::Silence { from, len: bytes.len() as u16 });
    }
}
