//! A device's power state and who keeps the device up.
//!
//! One bit per caller and incarnation of the device. A hold is granted or
//! refused here and nowhere else, against the power state at that moment, so
//! that no caller can believe in a device that is going down. A device that is
//! held is never suspended, so a release always meets an active device and is
//! never refused nor deferred; the last one of a device that was kept up
//! through a suspend of the system leads to its late suspend.
//!
//! Deliberately not here: what suspending does to the device, which is a
//! sequence of transfers.

use abi::TaskId;
use usb_core_api::PowerState;

/// Tasks that can hold one device. A device has one audio session owner and
/// one power manager; a few more cost nothing.
pub const MAX_HOLDERS: usize = 4;

/// Why a hold was not granted or not found.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum HoldError {
    /// The device is down or on its way: not now.
    Suspended,
    /// The caller holds it already.
    AlreadyHeld,
    /// [`MAX_HOLDERS`] others hold it.
    TooMany,
    /// The caller does not hold it.
    NotHeld,
}

/// What to do after a hold has ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// Nothing.
    Kept,
    /// It was the last one, and the system is suspended: suspend the device.
    SuspendLate,
}

/// One device's power state and its holders.
#[derive(Copy, Clone, Debug)]
pub struct Power {
    state: PowerState,
    /// The system is suspended and this device stayed up because it was held.
    kept_up: bool,
    holders: [Option<TaskId>; MAX_HOLDERS],
}

impl Default for Power {
    fn default() -> Self {
        Self::new()
    }
}

impl Power {
    /// An active device that nobody holds.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: PowerState::Active, kept_up: false, holders: [None; MAX_HOLDERS] }
    }

    /// What the device is up to.
    #[must_use]
    pub const fn state(&self) -> PowerState {
        self.state
    }

    /// How many hold it.
    #[must_use]
    pub fn holds(&self) -> usize {
        self.holders.iter().flatten().count()
    }

    /// Takes `task`'s bit.
    ///
    /// # Errors
    /// See [`HoldError`].
    pub fn hold(&mut self, task: TaskId) -> Result<(), HoldError> {
        if self.state != PowerState::Active || self.kept_up {
            return Err(HoldError::Suspended);
        }
        if self.holders.contains(&Some(task)) {
            return Err(HoldError::AlreadyHeld);
        }
        let place = self.holders.iter_mut().find(|place| place.is_none());
        *place.ok_or(HoldError::TooMany)? = Some(task);
        Ok(())
    }

    /// Gives `task`'s bit back.
    ///
    /// # Errors
    /// [`HoldError::NotHeld`], also of one that was given back before.
    pub fn unhold(&mut self, task: TaskId) -> Result<Released, HoldError> {
        let place = self.holders.iter_mut().find(|place| **place == Some(task));
        *place.ok_or(HoldError::NotHeld)? = None;
        let late = self.kept_up && self.holds() == 0;
        Ok(if late { Released::SuspendLate } else { Released::Kept })
    }

    /// Begins to suspend with the system. A device that is held stays up:
    /// false.
    pub fn begin_suspend(&mut self) -> bool {
        match self.state {
            PowerState::Active if self.holds() > 0 => {
                self.kept_up = true;
                false
            }
            PowerState::Active => {
                self.state = PowerState::Suspending;
                true
            }
            _ => false,
        }
    }

    /// Begins the late suspend that [`Released::SuspendLate`] asks for.
    pub fn begin_late_suspend(&mut self) -> bool {
        let due = self.kept_up && self.holds() == 0 && self.state == PowerState::Active;
        if due {
            self.kept_up = false;
            self.state = PowerState::Suspending;
        }
        due
    }

    /// Begins to resume with the system. A device that stayed up has nothing
    /// to do: false.
    pub fn begin_resume(&mut self) -> bool {
        self.kept_up = false;
        let down = self.state == PowerState::Suspended;
        if down {
            self.state = PowerState::Resuming;
        }
        down
    }

    /// The change that was begun has ended, well or not: a device that did not
    /// suspend is active, one that did not resume is suspended.
    pub fn end_change(&mut self, ended_well: bool) {
        self.state = match (self.state, ended_well) {
            (PowerState::Suspending, true) | (PowerState::Resuming, false) => PowerState::Suspended,
            (PowerState::Suspending, false) | (PowerState::Resuming, true) => PowerState::Active,
            (steady, _) => steady,
        };
    }
}

#[cfg(test)]
mod tests {
    use abi::{Generation, TaskId};
    use usb_core_api::PowerState;

    use super::{HoldError, MAX_HOLDERS, Power, Released};

    fn task(index: u16) -> TaskId {
        TaskId::new(index, Generation(0))
    }

    const BROKER: u16 = 6;

    #[test]
    fn hold_is_one_bit_per_caller() {
        let mut power = Power::new();
        assert_eq!(power.hold(task(BROKER)), Ok(()));
        assert_eq!(power.hold(task(BROKER)), Err(HoldError::AlreadyHeld));
        assert_eq!(power.hold(task(5)), Ok(()));
        assert_eq!(power.holds(), 2);
    }

    #[test]
    fn incarnations_of_a_caller_hold_separately() {
        let mut power = Power::new();
        let next = TaskId::new(BROKER, Generation(1));
        assert_eq!(power.hold(task(BROKER)), Ok(()));
        assert_eq!(power.hold(next), Ok(()));
        assert_eq!(power.unhold(task(BROKER)), Ok(Released::Kept));
        assert_eq!(power.unhold(next), Ok(Released::Kept));
    }

    /// D-9: a second release is told, never swallowed.
    #[test]
    fn second_release_is_not_held() {
        let mut power = Power::new();
        power.hold(task(BROKER)).expect("active");
        assert_eq!(power.unhold(task(BROKER)), Ok(Released::Kept));
        assert_eq!(power.unhold(task(BROKER)), Err(HoldError::NotHeld));
    }

    #[test]
    fn holders_are_bounded() {
        let mut power = Power::new();
        for index in 0..MAX_HOLDERS as u16 {
            assert_eq!(power.hold(task(index)), Ok(()));
        }
        assert_eq!(power.hold(task(30)), Err(HoldError::TooMany));
    }

    /// U10: a hold may begin only while the device is fully active.
    #[test]
    fn hold_is_refused_in_every_state_but_active() {
        let mut power = Power::new();
        assert!(power.begin_suspend());
        assert_eq!(power.state(), PowerState::Suspending);
        assert_eq!(power.hold(task(BROKER)), Err(HoldError::Suspended));
        power.end_change(true);
        assert_eq!(power.state(), PowerState::Suspended);
        assert_eq!(power.hold(task(BROKER)), Err(HoldError::Suspended));
        assert!(power.begin_resume());
        assert_eq!(power.state(), PowerState::Resuming);
        assert_eq!(power.hold(task(BROKER)), Err(HoldError::Suspended));
        power.end_change(true);
        assert_eq!(power.hold(task(BROKER)), Ok(()));
    }

    /// U3: a held device stays up through a suspend of the system; a new hold
    /// of it is refused all the same.
    #[test]
    fn held_device_is_not_suspended() {
        let mut power = Power::new();
        power.hold(task(BROKER)).expect("active");
        assert!(!power.begin_suspend());
        assert_eq!(power.state(), PowerState::Active);
        assert_eq!(power.hold(task(5)), Err(HoldError::Suspended));
        assert!(!power.begin_resume());
        assert_eq!(power.hold(task(5)), Ok(()));
    }

    /// DESIGN rule 4: in steady suspend the release leads to a late suspend.
    #[test]
    fn last_release_in_steady_suspend_suspends_late() {
        let mut power = Power::new();
        power.hold(task(BROKER)).expect("active");
        power.hold(task(5)).expect("active");
        power.begin_suspend();
        assert_eq!(power.unhold(task(5)), Ok(Released::Kept));
        assert!(!power.begin_late_suspend());
        assert_eq!(power.unhold(task(BROKER)), Ok(Released::SuspendLate));
        assert!(power.begin_late_suspend());
        power.end_change(true);
        assert_eq!(power.state(), PowerState::Suspended);
    }

    /// The release that v4 of the kernel's series refused while the state
    /// changes: here no held device changes its state.
    #[test]
    fn held_device_never_changes_its_state() {
        let mut power = Power::new();
        power.hold(task(BROKER)).expect("active");
        power.begin_suspend();
        assert!(!power.begin_suspend() && !power.begin_late_suspend());
        assert_eq!(power.state(), PowerState::Active);
        assert_eq!(power.unhold(task(BROKER)), Ok(Released::SuspendLate));
    }

    #[test]
    fn resume_of_the_system_before_the_last_release_ends_the_late_suspend() {
        let mut power = Power::new();
        power.hold(task(BROKER)).expect("active");
        power.begin_suspend();
        power.begin_resume();
        assert_eq!(power.unhold(task(BROKER)), Ok(Released::Kept));
        assert!(!power.begin_late_suspend());
    }

    #[test]
    fn change_that_fails_leaves_the_state_before() {
        let mut power = Power::new();
        power.begin_suspend();
        power.end_change(false);
        assert_eq!(power.state(), PowerState::Active);
        power.begin_suspend();
        power.end_change(true);
        power.begin_resume();
        power.end_change(false);
        assert_eq!(power.state(), PowerState::Suspended);
    }
}
