//! Grants: the right of one task to have another's pages mapped for the peer.

use abi::TaskId;
use dsp_abi::SESSIONS;
use iommu_api::{GrantHandle, IommuError, TicketHandle};

use super::peer_side::Taker;
use super::{Mapper, code};
use crate::pools::Pages;

/// Grants that stand at once: four parts a window, and as many again for those
/// who grant ahead.
pub const MAX_GRANTS: usize = 8 * SESSIONS;

/// A grant.
#[derive(Copy, Clone, Debug, Hash)]
pub(super) struct Grant {
    pub(super) pages: Pages,
    /// Index of the task that may have them mapped.
    pub(super) grantee: u16,
    /// Parts of windows that it is used for.
    pub(super) mapped: u8,
    /// Its owner wants it back: it is no longer good for anything, and gone with
    /// the last part.
    pub(super) ending: bool,
}

impl Mapper<'_> {
    /// Lets `grantee` have pages of the caller's mapped for the peer.
    ///
    /// # Errors
    /// As in `idl/iommu.idol`.
    pub fn grant(
        &mut self,
        caller: TaskId,
        pages: (u8, u16, u16),
        grantee: u16,
    ) -> Result<GrantHandle, IommuError> {
        let pages = self.pages_of(caller, pages)?;
        let grant = Grant { pages, grantee, mapped: 0, ending: false };
        self.grants.insert(caller, grant).map_err(|_| IommuError::NoGrants)
    }

    /// Ends a grant of the caller's that is not used.
    ///
    /// # Errors
    /// As in `idl/iommu.idol`.
    pub fn release(&mut self, caller: TaskId, handle: GrantHandle) -> Result<(), IommuError> {
        let grant = self.live_grant(caller, handle)?;
        if grant.mapped > 0 {
            return Err(IommuError::StillMapped);
        }
        self.grants.take(handle).map_err(code)?;
        Ok(())
    }

    /// Ends a grant of the caller's whatever it is used for.
    ///
    /// # Errors
    /// As in `idl/iommu.idol`.
    pub fn start_revoke(
        &mut self,
        caller: TaskId,
        handle: GrantHandle,
        now: u64,
    ) -> Result<TicketHandle, IommuError> {
        self.live_grant(caller, handle)?;
        self.tickets.room_for(caller).map_err(|_| IommuError::NoTickets)?;
        let flush = self.end_grant(handle, now);
        self.start(caller, flush)
    }

    /// The caller's grant, unless it is ending already.
    fn live_grant(&mut self, caller: TaskId, handle: GrantHandle) -> Result<Grant, IommuError> {
        let grant = *self.grants.get(handle, caller).map_err(code)?;
        if grant.ending { Err(IommuError::Stale) } else { Ok(grant) }
    }

    /// Begins to end a grant: what it is used for is taken from the peer.
    pub(super) fn end_grant(
        &mut self,
        handle: GrantHandle,
        now: u64,
    ) -> Option<crate::window::Flush> {
        let flush = self.take_from_peer(now, Taker::Owner, &|_, part| part.grant == handle);
        if let Ok((_, grant)) = self.grants.find_mut(handle) {
            grant.ending = true;
        }
        self.drop_ended_grants();
        flush
    }

    /// Forgets grants that were to end and are used no more.
    pub(super) fn drop_ended_grants(&mut self) {
        self.grants.retain(|_, _, grant| !grant.ending || grant.mapped > 0);
    }
}
