//! Sidebands: what their owner may do when.
//!
//! A sideband is one session with a peer on a slot: its endpoints, its
//! interrupter, the pages of its rings. A slot can have several, which share no
//! endpoint and no interrupter. This file decides, from what is known
//! at the moment of the request, whether an operation is in order, and with
//! which code it is refused; `handover` does what is allowed. The rules are
//! X1 to X25 of the upstream inventory, and what differs from them stands in
//! `docs/deviations.md`. Section 7.9 of the specification (sideband in
//! hardware) is not supported.

use crate::pages::Page;
use crate::rings::Held;
use crate::target::Turn;
use addr::Bus;
use iommu_api::{GrantHandle, WindowHandle};
use trb::{Dci, InterrupterId};
use xhci_api::{RevokeReason, SidebandPhase, SidebandStatus, SlotHandle, XhciError};

/// Rings that a session has at most: data and sync. The window has no room for
/// more, and the QMI response names no more.
pub(crate) const RINGS: usize = 2;

/// One page that the controller sees in a window.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// The page.
    pub(crate) page: Page,
    /// Where the controller sees it; `None` once it was taken back.
    pub(crate) bus: Option<Bus>,
}

/// A session's pages for one endpoint.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct RingPages {
    /// Whose ring.
    pub(crate) dci: Dci,
    /// What the controller reads and the monitor writes.
    pub(crate) real: Placed,
    /// What the DSP program writes.
    pub(crate) shadow: Page,
    /// The broker's right to map the shadow; `None` once it was ended.
    pub(crate) grant: Option<GrantHandle>,
}

/// Everything that was placed for a session.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pages {
    /// Where.
    pub(crate) window: WindowHandle,
    /// The event ring.
    pub(crate) event: Placed,
    /// The broker's right to map it; `None` once it was ended.
    pub(crate) event_grant: Option<GrantHandle>,
    /// Data ring, then sync ring.
    pub(crate) rings: [Option<RingPages>; RINGS],
}

/// The interrupter of a sideband.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interrupter {
    /// Its number.
    pub(crate) id: InterrupterId,
    /// IMOD interval, in 250 ns.
    pub(crate) moderation: u16,
}

/// A sideband.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sideband {
    /// The slot; `None` once the device is gone for good.
    pub(crate) slot: Option<SlotHandle>,
    /// How far it is.
    pub(crate) phase: SidebandPhase,
    /// DCI bits of its endpoints.
    pub(crate) endpoints: u32,
    /// The endpoint that was added first: its ring is the data ring.
    data: Option<Dci>,
    /// Its interrupter.
    pub(crate) interrupter: Option<Interrupter>,
    /// Its pages.
    pub(crate) pages: Option<Pages>,
    /// An operation is under way.
    pub(crate) busy: bool,
    /// The controller has its event ring.
    pub(crate) live: bool,
    /// Its place in the line for the slot's own events (`target`), from the
    /// moment it can take them until it no longer can.
    pub(crate) listens: Option<Turn>,
    /// Why it must end, once it must.
    pub(crate) revoked: Option<RevokeReason>,
    /// Its owner heard of that.
    pub(crate) told: bool,
    /// Why its pages cannot be reused when they come back.
    pub(crate) unconfirmed: Option<Held>,
}

/// What is asked of a sideband, with what else it depends on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// X4.
    AddEndpoint {
        /// The endpoint.
        dci: Dci,
        /// Whether the slot's configuration has it.
        configured: bool,
        /// Whether another sideband has it.
        taken: bool,
    },
    /// X5.
    RemoveEndpoint(Dci),
    /// X6 and X7.
    StopEndpoint {
        /// The endpoint.
        dci: Dci,
        /// Whether its ring exists and its state is Running.
        running: bool,
    },
    /// X10.
    CreateInterrupter {
        /// Segments asked for, 0 for the default.
        segments: u8,
    },
    /// X11.
    RemoveInterrupter,
    /// X12.
    InterrupterId,
    /// X8 and X9.
    Place,
    /// Takes `Place` back.
    Displace,
    /// The handover to the peer.
    Arm,
    /// The first step back.
    CloseGate,
    /// The second.
    Halt,
    /// The third.
    Disarm,
    /// X2.
    Unregister,
}

impl Sideband {
    /// X1: the sideband of `slot`, with nothing in it.
    pub(crate) const fn new(slot: SlotHandle) -> Self {
        Self {
            slot: Some(slot),
            phase: SidebandPhase::Reserved,
            endpoints: 0,
            data: None,
            interrupter: None,
            pages: None,
            busy: false,
            live: false,
            listens: None,
            revoked: None,
            told: false,
            unconfirmed: None,
        }
    }

    /// Whether `request` is in order now.
    ///
    /// # Errors
    /// The code of the first rule that it breaks: an operation under way, then
    /// the device, then the phase, then what the request is about.
    pub(crate) fn admit(&self, request: Request) -> Result<(), XhciError> {
        use SidebandPhase as P;
        if self.busy && request != Request::InterrupterId {
            return Err(XhciError::Busy);
        }
        let device = if self.slot.is_some() && self.revoked.is_none() {
            Ok(())
        } else {
            Err(XhciError::DeviceGone)
        };
        match request {
            Request::AddEndpoint { dci, configured, taken } => {
                device?;
                self.at(P::Reserved)?;
                if taken || self.endpoints & dci.bit() != 0 {
                    Err(XhciError::EndpointBusy)
                } else if !configured {
                    Err(XhciError::NoEndpoint)
                } else if self.endpoints.count_ones() as usize >= RINGS {
                    Err(XhciError::SidebandFull)
                } else {
                    Ok(())
                }
            }
            Request::RemoveEndpoint(dci) => {
                self.owns(dci)?;
                self.at(P::Reserved)
            }
            Request::StopEndpoint { dci, running } => {
                self.owns(dci)?;
                if running { Ok(()) } else { Err(XhciError::NotRunning) }
            }
            Request::CreateInterrupter { segments } => {
                device?;
                if self.interrupter.is_some() {
                    return Err(XhciError::InterrupterExists);
                }
                self.at(P::Reserved)?;
                if segments > 1 { Err(XhciError::Segments) } else { Ok(()) }
            }
            Request::RemoveInterrupter => match self.interrupter {
                None => Ok(()),
                Some(_) => self.at(P::Reserved),
            },
            Request::InterrupterId => self.interrupter.map(|_| ()).ok_or(XhciError::NoInterrupter),
            Request::Place => {
                device?;
                self.at(P::Reserved)?;
                if self.interrupter.is_none() {
                    Err(XhciError::NoInterrupter)
                } else if self.endpoints == 0 {
                    Err(XhciError::NoEndpoints)
                } else {
                    Ok(())
                }
            }
            Request::Arm => {
                device?;
                self.at(P::Placed)
            }
            Request::Displace => self.at(P::Placed),
            Request::CloseGate => self.at(P::Armed),
            Request::Halt => self.at(P::GateClosed),
            Request::Disarm => self.at(P::Halted),
            Request::Unregister => {
                self.at(P::Reserved)?;
                if self.interrupter.is_some() {
                    Err(XhciError::InterrupterExists)
                } else if self.endpoints != 0 {
                    Err(XhciError::EndpointBusy)
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Whether the controller may still run what the peer writes, so that the
    /// slot's endpoints must not be touched from the other side.
    pub(crate) const fn in_the_way(&self) -> bool {
        self.busy || matches!(self.phase, SidebandPhase::Armed | SidebandPhase::GateClosed)
    }

    /// The pages of `dma_ring` that it holds.
    pub(crate) fn held_pages(&self) -> impl Iterator<Item = Page> {
        self.pages.into_iter().flat_map(|pages| {
            let rings = pages.rings.into_iter().flatten();
            let rings = rings.flat_map(|ring| [ring.real.page, ring.shadow]);
            core::iter::once(pages.event.page).chain(rings)
        })
    }

    /// Adds an endpoint.
    pub(crate) fn add(&mut self, dci: Dci) {
        self.endpoints |= dci.bit();
        self.data.get_or_insert(dci);
    }

    /// Takes an endpoint out.
    pub(crate) fn remove(&mut self, dci: Dci) {
        self.endpoints &= !dci.bit();
        if self.data == Some(dci) {
            self.data = Dci::in_mask(self.endpoints).next();
        }
    }

    /// The endpoints, the data ring's first.
    pub(crate) fn ordered(&self) -> impl Iterator<Item = Dci> {
        let data = self.data;
        data.into_iter().chain(Dci::in_mask(self.endpoints).filter(move |&dci| Some(dci) != data))
    }

    /// For the outside.
    pub(crate) fn status(&self) -> SidebandStatus {
        SidebandStatus {
            phase: self.phase,
            endpoints: self.endpoints,
            interrupter: self.interrupter.map(|interrupter| interrupter.id.number()),
            device_present: self.slot.is_some() && self.revoked.is_none(),
        }
    }

    const fn owns(&self, dci: Dci) -> Result<(), XhciError> {
        if self.endpoints & dci.bit() != 0 { Ok(()) } else { Err(XhciError::EndpointNotOwned) }
    }

    fn at(&self, phase: SidebandPhase) -> Result<(), XhciError> {
        if self.phase == phase { Ok(()) } else { Err(XhciError::WrongPhase) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Interrupter, Request, Sideband};
    use handles::{Handle, Raw};
    use trb::{Dci, InterrupterId};
    use xhci_api::{RevokeReason, SidebandPhase, SlotHandle, XhciError};

    fn dci(index: u8) -> Dci {
        Dci::new(index).expect("an endpoint")
    }

    fn fresh() -> Sideband {
        Sideband::new(SlotHandle::from_raw(Raw { index: 0, seq: 1, epoch: 1 }))
    }

    /// A session with a data and a sync endpoint and its interrupter.
    fn full(phase: SidebandPhase) -> Sideband {
        let id = InterrupterId::new(1).expect("in range");
        let interrupter = Some(Interrupter { id, moderation: 0 });
        let mut full = Sideband { phase, interrupter, ..fresh() };
        full.add(dci(2));
        full.add(dci(3));
        full
    }

    /// R8, D-20: each operation in each phase, on a session that has all it needs.
    #[test]
    fn x4_to_x12_each_operation_in_each_phase_has_its_code() {
        use Request as R;
        use SidebandPhase as P;
        use XhciError as E;
        type Codes = [Result<(), E>; 5];
        const OK: Result<(), E> = Ok(());
        const NO: Result<(), E> = Err(E::WrongPhase);
        let (owned, other) = (dci(2), dci(4));
        let add = |dci, configured| R::AddEndpoint { dci, configured, taken: false };
        let anothers = R::AddEndpoint { dci: other, configured: true, taken: true };
        let stop = |dci, running| R::StopEndpoint { dci, running };
        let rows: [(&str, Request, Codes); 20] = [
            // Reserved, Placed, Armed, GateClosed, Halted.
            ("X4 third", add(other, true), [Err(E::SidebandFull), NO, NO, NO, NO]),
            ("X4 twice", add(owned, true), [Err(E::EndpointBusy), NO, NO, NO, NO]),
            ("X4 another's", anothers, [Err(E::EndpointBusy), NO, NO, NO, NO]),
            ("X4 absent", add(other, false), [Err(E::NoEndpoint), NO, NO, NO, NO]),
            ("X5", R::RemoveEndpoint(owned), [OK, NO, NO, NO, NO]),
            ("X5 foreign", R::RemoveEndpoint(other), [Err(E::EndpointNotOwned); 5]),
            ("X6", stop(owned, true), [OK; 5]),
            ("X6 foreign", stop(other, true), [Err(E::EndpointNotOwned); 5]),
            ("X7 not running", stop(owned, false), [Err(E::NotRunning); 5]),
            ("X10 again", R::CreateInterrupter { segments: 1 }, [Err(E::InterrupterExists); 5]),
            ("X11", R::RemoveInterrupter, [OK, NO, NO, NO, NO]),
            ("X12", R::InterrupterId, [OK; 5]),
            ("X8, X9", R::Place, [OK, NO, NO, NO, NO]),
            ("displace", R::Displace, [NO, OK, NO, NO, NO]),
            ("arm", R::Arm, [NO, OK, NO, NO, NO]),
            ("close gate", R::CloseGate, [NO, NO, OK, NO, NO]),
            ("halt", R::Halt, [NO, NO, NO, OK, NO]),
            ("disarm", R::Disarm, [NO, NO, NO, NO, OK]),
            ("X2", R::Unregister, [Err(E::InterrupterExists), NO, NO, NO, NO]),
            ("X18", R::CreateInterrupter { segments: 2 }, [Err(E::InterrupterExists); 5]),
        ];
        let phases = [P::Reserved, P::Placed, P::Armed, P::GateClosed, P::Halted];
        for (name, request, codes) in rows {
            for (phase, code) in phases.into_iter().zip(codes) {
                assert_eq!(full(phase).admit(request), code, "{name} while {phase:?}");
                let busy = Sideband { busy: true, ..full(phase) };
                let expected = if request == R::InterrupterId { OK } else { Err(E::Busy) };
                assert_eq!(busy.admit(request), expected, "{name} while {phase:?} and busy");
            }
        }
    }

    /// The same on a sideband that was only registered.
    #[test]
    fn x1_a_fresh_sideband_can_be_filled_or_given_back_and_no_more() {
        let sideband = fresh();
        let add = Request::AddEndpoint { dci: dci(2), configured: true, taken: false };
        assert_eq!(sideband.admit(add), Ok(()));
        for segments in [0, 1] {
            assert_eq!(sideband.admit(Request::CreateInterrupter { segments }), Ok(()));
        }
        let two = Request::CreateInterrupter { segments: 2 };
        assert_eq!(sideband.admit(two), Err(XhciError::Segments), "X18");
        assert_eq!(sideband.admit(Request::Unregister), Ok(()), "X2");
        assert_eq!(sideband.admit(Request::RemoveInterrupter), Ok(()), "X11: a no-op");
        assert_eq!(sideband.admit(Request::InterrupterId), Err(XhciError::NoInterrupter), "X12");
        assert_eq!(sideband.admit(Request::Place), Err(XhciError::NoInterrupter), "X9");
        let ring = Sideband { interrupter: full(SidebandPhase::Reserved).interrupter, ..sideband };
        assert_eq!(ring.admit(Request::Place), Err(XhciError::NoEndpoints), "X8");
        let endpoint = Sideband { endpoints: 4, ..sideband };
        assert_eq!(endpoint.admit(Request::Unregister), Err(XhciError::EndpointBusy));
    }

    /// X3, D-19: what is left after the device went can be given back.
    #[test]
    fn x3_without_its_device_a_sideband_goes_all_the_way_back_and_nowhere_else() {
        use Request as R;
        let gone = |phase| Sideband { slot: None, ..full(phase) };
        let leaving = |phase| Sideband { revoked: Some(RevokeReason::DeviceReset), ..full(phase) };
        for make in [&gone as &dyn Fn(_) -> Sideband, &leaving] {
            let refused = Err(XhciError::DeviceGone);
            let add = R::AddEndpoint { dci: dci(4), configured: true, taken: false };
            assert_eq!(make(SidebandPhase::Reserved).admit(add), refused);
            let create = R::CreateInterrupter { segments: 1 };
            assert_eq!(make(SidebandPhase::Reserved).admit(create), refused);
            assert_eq!(make(SidebandPhase::Reserved).admit(R::Place), refused);
            assert_eq!(make(SidebandPhase::Placed).admit(R::Arm), refused);
            assert_eq!(make(SidebandPhase::Armed).admit(R::CloseGate), Ok(()));
            assert_eq!(make(SidebandPhase::GateClosed).admit(R::Halt), Ok(()));
            assert_eq!(make(SidebandPhase::Halted).admit(R::Disarm), Ok(()));
            assert_eq!(make(SidebandPhase::Placed).admit(R::Displace), Ok(()));
            assert_eq!(make(SidebandPhase::Reserved).admit(R::RemoveEndpoint(dci(2))), Ok(()));
            assert_eq!(make(SidebandPhase::Reserved).admit(R::RemoveInterrupter), Ok(()));
            let empty =
                Sideband { endpoints: 0, interrupter: None, ..make(SidebandPhase::Reserved) };
            assert_eq!(empty.admit(R::Unregister), Ok(()));
            assert!(!make(SidebandPhase::Armed).status().device_present);
        }
    }

    #[test]
    fn the_data_ring_is_that_of_the_endpoint_that_was_added_first() {
        let order = |sideband: &Sideband| sideband.ordered().map(Dci::index).collect::<Vec<_>>();
        let mut sideband = fresh();
        for (added, expected) in [(5, vec![5]), (2, vec![5, 2])] {
            sideband.add(dci(added));
            assert_eq!(order(&sideband), expected);
        }
        sideband.remove(dci(5));
        assert_eq!(order(&sideband), [2], "and when that goes, of the other one");
        sideband.add(dci(5));
        assert_eq!(order(&sideband), [2, 5]);
        sideband.remove(dci(5));
        sideband.remove(dci(2));
        assert!(order(&sideband).is_empty());
    }

    #[test]
    fn only_an_armed_or_halting_session_is_in_the_way_of_the_slot() {
        use SidebandPhase as P;
        let in_the_way = [P::Reserved, P::Placed, P::Armed, P::GateClosed, P::Halted]
            .map(|phase| full(phase).in_the_way());
        assert_eq!(in_the_way, [false, false, true, true, false]);
        assert!(Sideband { busy: true, ..full(P::Placed) }.in_the_way());
    }
}
