//! Operations of the servers: asked for, and their tickets collected.

use addr::PAGE;
use iommu_api::{IommuError, Part};
use usb_audio_api::{Completed, Drive, UsbAudioError};
use xhci_api::{InterrupterRequest, SidebandKind, XhciError};

use super::{Executor, Ticket};
use crate::buffers::Pages;
use crate::ops::{Ask, Op, Reply};
use crate::refusal::Failure;
use crate::session::SessionId;

/// How an operation went when it was asked for.
pub(super) enum Began {
    /// It is done, or refused.
    Answered(Result<Reply, Failure>),
    /// It is under way.
    Ticket(Ticket),
}

impl Executor<'_> {
    /// Asks for what `session` needs: of the drivers, that of its device's
    /// controller.
    pub(super) fn begin(&self, session: SessionId, op: Op) -> Began {
        let media = &self.config.media;
        let controller = self.core.controller_of(session).expect("whose session asks is live");
        let xhci = self.driver(controller);
        let under_way = |ticket| Ticket::Xhci(controller, ticket);
        Began::Answered(match op {
            Op::Open(stream, format) => {
                return started(
                    self.audio.start_open(stream, format, Drive::Peer),
                    Ticket::Audio,
                    Failure::Audio,
                );
            }
            Op::Close(stream) => {
                return started(self.audio.start_close(stream), Ticket::Audio, Failure::Audio);
            }
            Op::Arm(sideband) => {
                return started(xhci.start_arm(sideband), under_way, Failure::Xhci);
            }
            Op::CloseGate(sideband) => {
                return started(xhci.start_close_gate(sideband), under_way, Failure::Xhci);
            }
            Op::Halt(sideband) => {
                return started(xhci.start_halt(sideband), under_way, Failure::Xhci);
            }
            Op::Disarm(sideband) => {
                return started(xhci.start_disarm(sideband), under_way, Failure::Xhci);
            }
            Op::RemoveEndpoint(sideband, dci) => {
                return started(
                    xhci.start_remove_endpoint(sideband, dci),
                    under_way,
                    Failure::Xhci,
                );
            }
            Op::UnmapPeer(window) => {
                return started(self.iommu.start_unmap_peer(window), Ticket::Iommu, Failure::Iommu);
            }

            Op::Describe(stream) => {
                self.audio.describe(stream).map(Reply::Described).map_err(Failure::Audio)
            }
            Op::Hold(device) => done(self.usb.hold(device), Failure::Core),
            Op::Unhold(device) => done(self.usb.unhold(device), Failure::Core),

            Op::Register(slot) => xhci
                .register(slot, SidebandKind::Vendor)
                .map(Reply::Registered)
                .map_err(Failure::Xhci),
            Op::AddEndpoint(sideband, dci) => done(xhci.add_endpoint(sideband, dci), Failure::Xhci),
            Op::CreateInterrupter(sideband) => {
                // Any number, one segment, no moderation: the DSP hears of
                // every event at once.
                let request = InterrupterRequest { number: 0, segments: 1, moderation_ns: 0 };
                xhci.create_interrupter(sideband, request)
                    .map(Reply::Interrupter)
                    .map_err(Failure::Xhci)
            }
            Op::Place(sideband, window) => {
                xhci.place(sideband, window).map(Reply::Placed).map_err(Failure::Xhci)
            }
            Op::Displace(sideband) => done(xhci.displace(sideband), Failure::Xhci),
            Op::RemoveInterrupter(sideband) => {
                done(xhci.remove_interrupter(sideband), Failure::Xhci)
            }
            Op::Unregister(sideband) => done(xhci.unregister(sideband), Failure::Xhci),

            Op::OpenWindow { controller } => {
                self.iommu.open_window(controller).map(Reply::Window).map_err(Failure::Iommu)
            }
            Op::MapPeer(window, part, grant, access) => self
                .iommu
                .map_peer(window, part, grant, access)
                .map(Reply::Mapped)
                .map_err(Failure::Iommu),
            Op::PlaceBuffer(window, pages, access) => {
                media.hand_out(pages.first, pages.count);
                let placed = self.iommu.place(
                    window,
                    Part::Buffer,
                    media.id(),
                    pages.first,
                    pages.count,
                    access,
                );
                if placed.is_ok() {
                    // Nobody else has them any more, and nobody new yet: what
                    // an earlier life or the power-on left goes now.
                    scrub(media, pages);
                }
                placed.map(Reply::BufferPlaced).map_err(Failure::Iommu)
            }
            Op::GrantBuffer(pages) => self
                .iommu
                .grant(media.id(), pages.first, pages.count, self.config.index)
                .map(Reply::BufferGranted)
                .map_err(Failure::Iommu),
            Op::DisplaceBuffer(window) => {
                done(self.iommu.displace(window, Part::Buffer), Failure::Iommu)
            }
            Op::ReleaseBuffer(grant) => done(self.iommu.release(grant), Failure::Iommu),
            Op::CloseWindow(window) => done(self.iommu.close_window(window), Failure::Iommu),

            Op::Scrub(pages) => {
                scrub(media, pages);
                media.take_back(pages.first, pages.count);
                Ok(Reply::Done)
            }
        })
    }

    /// A ticket is ready: its result is the answer to what was asked.
    pub(super) fn collect(&mut self, ticket: Ticket) {
        let known = |place: &Option<(Ask, Ticket)>| place.is_some_and(|(_, t)| t == ticket);
        let place = self.tickets.iter().position(known);
        let result = match ticket {
            Ticket::Audio(ticket) => match self.audio.result(ticket) {
                Err(UsbAudioError::NotYet) => return,
                Ok(Completed::Stream(stream)) => Ok(Reply::Opened(stream)),
                Ok(Completed::Done | Completed::Played { .. }) => Ok(Reply::Done),
                Err(error) => Err(Failure::Audio(error)),
            },
            Ticket::Xhci(controller, ticket) => match self.driver(controller).result(ticket) {
                Err(XhciError::NotYet) => return,
                result => done(result, Failure::Xhci),
            },
            Ticket::Iommu(ticket) => match self.iommu.result(ticket) {
                Err(IommuError::NotYet) => return,
                result => done(result, Failure::Iommu),
            },
        };
        // One that nobody waits for any more is collected all the same.
        if let Some((ask, _)) = place.and_then(|place| self.tickets[place].take()) {
            if let Err(failure) = result {
                self.look_at_peers |= failure.is_death();
            }
            let _ = self.answers.push((ask, result));
            self.settle();
        }
    }
}

fn scrub(media: &dma::Pool, pages: Pages) {
    media.zero(u32::from(pages.first) * PAGE, u32::from(pages.count) * PAGE);
    dma::publish();
}

fn started<T, E>(
    result: Result<T, E>,
    ticket: impl FnOnce(T) -> Ticket,
    failure: impl FnOnce(E) -> Failure,
) -> Began {
    match result {
        Ok(handle) => Began::Ticket(ticket(handle)),
        Err(error) => Began::Answered(Err(failure(error))),
    }
}

fn done<T, E>(result: Result<T, E>, failure: impl FnOnce(E) -> Failure) -> Result<Reply, Failure> {
    result.map(|_| Reply::Done).map_err(failure)
}
