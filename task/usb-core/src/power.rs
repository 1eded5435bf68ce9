//! A device's power state and who keeps the device up.
//!
//! One bit per caller and incarnation of the device. A hold is granted or
//! refused here and nowhere else, against the power state at that moment, so
//! that no caller can believe in a device that is going down. A hold can always
//! be given back, whatever the device is about; what follows from the last one
//! waits until the transition of the system that is under way has ended.
//!
//! When the system suspends, what becomes of the device is decided once and
//! kept: the way back follows the decision, not whatever holds there are by then
//! (U10, R14).
//!
//! Deliberately not here: what suspending does to the device, which is a
//! sequence of transfers (`change`), and when the system does it (`sleep`).

use abi::TaskId;
use counters::{Count, count, counters};
use usb_core_api::{Depth, PowerState};

/// Tasks that can hold one device. A device has one audio session owner and
/// one power manager; a few more cost nothing.
pub const MAX_HOLDERS: usize = 4;

/// Why a hold was not granted or not found.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum HoldError {
    /// The device is down or on its way: not now.
    Suspended,
    /// The device is being reset: not now.
    Resetting,
    /// The caller holds it already.
    AlreadyHeld,
    /// [`MAX_HOLDERS`] others hold it.
    TooMany,
    /// The caller does not hold it.
    NotHeld,
}

/// What becomes of a device while the system is suspended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is held, and stays up.
    StaysUp,
    /// It goes down with the system, and comes up with it.
    GoesDown,
    /// It was down already, and stays that when the system comes up (U1).
    WasDown,
}

/// What happened to holds: what was taken and did not end still stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Count)]
pub enum Hold {
    /// One was taken.
    Taken,
    /// One ended.
    Ended,
}

counters!(HOLDS, Hold);

/// One device's power state and its holders.
#[derive(Copy, Clone, Debug)]
pub struct Power {
    state: PowerState,
    decision: Option<Decision>,
    holders: [Option<TaskId>; MAX_HOLDERS],
    /// How often the system put it out of its clients' reach; wraps.
    naps: u8,
    /// It is being reset.
    resetting: bool,
    /// Somebody below it is held.
    carries: bool,
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
        let (state, holders) = (PowerState::Active, [None; MAX_HOLDERS]);
        Self { state, decision: None, holders, naps: 0, resetting: false, carries: false }
    }

    /// What the device is up to.
    #[must_use]
    pub const fn state(&self) -> PowerState {
        self.state
    }

    /// What was decided for the suspend of the system that is under way.
    #[must_use]
    pub const fn decision(&self) -> Option<Decision> {
        self.decision
    }

    /// Whether its clients may ask for anything. One that is suspended because
    /// nobody wanted anything is brought up when somebody does.
    #[must_use]
    pub const fn is_in_reach(&self) -> bool {
        self.decision.is_none()
    }

    /// How often it has been out of reach; wraps.
    #[must_use]
    pub const fn naps(&self) -> u8 {
        self.naps
    }

    /// Whether it is on its way from one state to another.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        matches!(self.state, PowerState::Suspending | PowerState::Resuming)
    }

    /// How many hold it.
    #[must_use]
    pub fn holds(&self) -> usize {
        self.holders.iter().flatten().count()
    }

    /// Whether somebody keeps it up, or what is above it.
    #[must_use]
    pub fn holds_up(&self) -> bool {
        self.holds() > 0 || self.decision == Some(Decision::StaysUp)
    }

    /// It is a hub: whether somebody below it is kept up, and it therefore with it.
    pub fn carry(&mut self, carries: bool) {
        self.carries = carries;
    }

    fn is_held(&self) -> bool {
        self.carries || self.holds() > 0
    }

    /// Takes `task`'s bit.
    ///
    /// # Errors
    /// See [`HoldError`].
    pub fn hold(&mut self, task: TaskId) -> Result<(), HoldError> {
        if self.state != PowerState::Active || self.decision.is_some() {
            return Err(HoldError::Suspended);
        }
        if self.resetting {
            return Err(HoldError::Resetting);
        }
        if self.holders.contains(&Some(task)) {
            return Err(HoldError::AlreadyHeld);
        }
        let place = self.holders.iter_mut().find(|place| place.is_none());
        let place = place.filter(|_| !scarce::spent(scarce::Scarce::Place));
        *place.ok_or(HoldError::TooMany)? = Some(task);
        count!(HOLDS, Hold::Taken);
        Ok(())
    }

    /// Gives `task`'s bit back.
    ///
    /// # Errors
    /// [`HoldError::NotHeld`], also of one that was given back before.
    pub fn unhold(&mut self, task: TaskId) -> Result<(), HoldError> {
        let place = self.holders.iter_mut().find(|place| **place == Some(task));
        *place.ok_or(HoldError::NotHeld)? = None;
        count!(HOLDS, Hold::Ended);
        Ok(())
    }

    /// The device is gone, and every hold with it.
    pub fn end(&mut self) {
        for holder in &mut self.holders {
            if holder.take().is_some() {
                count!(HOLDS, Hold::Ended);
            }
        }
    }

    /// Decides what becomes of it while the system is suspended, and begins that.
    /// `None` while it is on its way up or being reset, which has to end first. What was
    /// decided stands, but that a suspend of everything takes also what was to
    /// stay up.
    pub fn decide(&mut self, depth: Depth) -> Option<Decision> {
        let stays = depth == Depth::AllButHeld && self.is_held();
        let decision = match (self.decision, self.state) {
            (Some(Decision::StaysUp), PowerState::Active) if depth == Depth::All => {
                Decision::GoesDown
            }
            (Some(known), _) => return Some(known),
            (None, PowerState::Resuming) => return None,
            (None, PowerState::Active) if self.resetting => return None,
            (None, PowerState::Active) if stays => Decision::StaysUp,
            (None, PowerState::Active) => Decision::GoesDown,
            (None, PowerState::Suspending | PowerState::Suspended) => Decision::WasDown,
        };
        if self.decision.replace(decision).is_none() {
            self.naps = self.naps.wrapping_add(1);
        }
        if decision == Decision::GoesDown {
            self.state = PowerState::Suspending;
        }
        Some(decision)
    }

    /// Begins the late suspend of a device that stayed up because it was held
    /// and is not held any more; whether that is so.
    pub fn begin_late_suspend(&mut self) -> bool {
        let due = self.decision == Some(Decision::StaysUp) && !self.is_held();
        if due {
            self.decision = Some(Decision::GoesDown);
            self.state = PowerState::Suspending;
        }
        due
    }

    /// The system resumes: the device does what the decision says, and is in
    /// reach again when that is done. A device whose last change has not ended
    /// waits for that: false.
    pub fn resume(&mut self) -> bool {
        match (self.decision, self.state) {
            (None, _) => true,
            (Some(Decision::GoesDown), PowerState::Suspended) => {
                self.state = PowerState::Resuming;
                false
            }
            (Some(Decision::GoesDown | Decision::StaysUp), PowerState::Active)
            | (Some(Decision::WasDown), PowerState::Suspended | PowerState::Active) => {
                self.decision = None;
                true
            }
            (Some(_), _) => false,
        }
    }

    /// Begins to suspend a device that nobody wants anything of; whether it
    /// does: never one that is held.
    pub fn begin_autosuspend(&mut self) -> bool {
        let idle = self.state == PowerState::Active
            && self.decision.is_none()
            && !self.resetting
            && self.holds() == 0;
        if idle {
            self.state = PowerState::Suspending;
        }
        idle
    }

    /// Begins to bring a suspended device up, because somebody wants something
    /// of it, or it signals itself; whether it does.
    pub fn begin_wake(&mut self) -> bool {
        let down = self.state == PowerState::Suspended;
        if down {
            self.state = PowerState::Resuming;
        }
        down
    }

    /// The reset of a device that is up begins.
    pub fn begin_reset(&mut self) {
        self.resetting = true;
    }

    /// The reset has ended.
    pub fn end_reset(&mut self) {
        self.resetting = false;
    }

    /// Whether it is being reset.
    #[must_use]
    pub const fn is_resetting(&self) -> bool {
        self.resetting
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
    use usb_core_api::{Depth, PowerState};

    use super::{Decision, HoldError, MAX_HOLDERS, Power};

    fn task(index: u16) -> TaskId {
        TaskId::new(index, Generation(0))
    }

    const BROKER: u16 = 6;

    fn held() -> Power {
        let mut power = Power::new();
        power.hold(task(BROKER)).expect("active");
        power
    }

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
        assert_eq!(power.unhold(task(BROKER)), Ok(()));
        assert_eq!(power.unhold(next), Ok(()));
    }

    /// D-9: a second release is told, never swallowed.
    #[test]
    fn d9_second_release_is_not_held() {
        let mut power = held();
        assert_eq!(power.unhold(task(BROKER)), Ok(()));
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

    /// R2, R17, U2, U10: a hold may begin only while the device is fully active; who
    /// asks is told by the one who decides it.
    #[test]
    fn u10_hold_is_refused_in_every_state_but_active() {
        let mut power = Power::new();
        assert_eq!(power.decide(Depth::AllButHeld), Some(Decision::GoesDown));
        assert_eq!(power.state(), PowerState::Suspending);
        assert_eq!(power.hold(task(BROKER)), Err(HoldError::Suspended));
        power.end_change(true);
        assert_eq!(power.state(), PowerState::Suspended);
        assert_eq!(power.hold(task(BROKER)), Err(HoldError::Suspended));
        assert!(!power.resume());
        assert_eq!(power.state(), PowerState::Resuming);
        assert_eq!(power.hold(task(BROKER)), Err(HoldError::Suspended));
        power.end_change(true);
        // Up, but its clients are not let to it yet.
        assert_eq!(power.hold(task(BROKER)), Err(HoldError::Suspended));
        assert!(power.resume());
        assert_eq!(power.hold(task(BROKER)), Ok(()));
    }

    /// U3: a held device stays up through a suspend of the system; nobody new
    /// gets to it all the same.
    #[test]
    fn u3_held_device_is_not_suspended_and_out_of_reach() {
        let mut power = held();
        assert_eq!(power.decide(Depth::AllButHeld), Some(Decision::StaysUp));
        assert_eq!((power.state(), power.is_in_reach()), (PowerState::Active, false));
        assert_eq!(power.hold(task(5)), Err(HoldError::Suspended));
        assert!(power.resume());
        assert!(power.is_in_reach());
        assert_eq!(power.hold(task(5)), Ok(()));
    }

    /// U8: a suspend of everything asks nobody.
    #[test]
    fn u8_suspend_of_everything_takes_held_devices_as_well() {
        let mut power = held();
        assert_eq!(power.decide(Depth::All), Some(Decision::GoesDown));
        // A release meets a device on its way down, and is not refused.
        assert_eq!(power.unhold(task(BROKER)), Ok(()));
        let mut power = held();
        power.decide(Depth::AllButHeld);
        assert_eq!(power.decide(Depth::All), Some(Decision::GoesDown), "deeper still");
        assert_eq!(power.state(), PowerState::Suspending);
    }

    /// U1: one that is suspended already has nothing to do, down or up.
    #[test]
    fn u1_device_that_was_down_stays_down() {
        let mut power = Power::new();
        assert!(power.begin_autosuspend());
        power.end_change(true);
        assert_eq!(power.decide(Depth::All), Some(Decision::WasDown));
        assert_eq!(power.state(), PowerState::Suspended);
        assert!(power.resume());
        assert_eq!((power.state(), power.is_in_reach()), (PowerState::Suspended, true));
    }

    /// R14: the way up follows what was decided, whatever became of the holds.
    #[test]
    fn r14_decision_is_made_once_and_the_way_up_follows_it() {
        let mut power = held();
        power.decide(Depth::AllButHeld);
        power.unhold(task(BROKER)).expect("it was held");
        assert_eq!(power.decide(Depth::AllButHeld), Some(Decision::StaysUp), "not decided again");
        assert!(power.resume(), "it stayed up, so there is nothing to do");
        assert_eq!(power.state(), PowerState::Active);
    }

    /// DESIGN rule 4: in steady suspend the release leads to a late suspend.
    #[test]
    fn last_release_in_steady_suspend_suspends_late() {
        let mut power = held();
        power.hold(task(5)).expect("active");
        power.decide(Depth::AllButHeld);
        power.unhold(task(5)).expect("it was held");
        assert!(!power.begin_late_suspend());
        power.unhold(task(BROKER)).expect("it was held");
        assert!(power.begin_late_suspend());
        assert!(!power.begin_late_suspend(), "once");
        assert!(!power.resume(), "the change ends first");
        power.end_change(true);
        assert_eq!(power.state(), PowerState::Suspended);
        assert!(!power.resume());
        assert_eq!(power.state(), PowerState::Resuming);
    }

    /// R15: put refused in a transition leaves a leaked count; here it is never
    /// refused, in whatever state.
    #[test]
    fn r15_release_is_never_refused_for_the_power_state() {
        for steps in 0..4 {
            let mut power = held();
            if steps > 0 {
                power.decide(Depth::All);
            }
            if steps > 1 {
                power.end_change(true);
            }
            if steps > 2 {
                power.resume();
            }
            assert_eq!(power.unhold(task(BROKER)), Ok(()), "{:?}", power.state());
            assert_eq!(power.holds(), 0);
        }
    }

    /// U6: the other way round; upstream's autosuspend ignores the count.
    #[test]
    fn u6_device_that_is_held_or_out_of_reach_is_never_autosuspended() {
        assert!(!held().begin_autosuspend());
        let mut power = Power::new();
        power.decide(Depth::AllButHeld);
        power.end_change(false);
        assert!(!power.begin_autosuspend());
        assert!(power.resume());
        assert!(power.begin_autosuspend());
        assert_eq!(power.hold(task(BROKER)), Err(HoldError::Suspended));
    }

    #[test]
    fn device_on_its_way_up_is_decided_when_it_is_there() {
        let mut power = Power::new();
        power.begin_autosuspend();
        power.end_change(true);
        assert!(power.begin_wake());
        assert!(!power.begin_wake());
        assert_eq!(power.decide(Depth::AllButHeld), None);
        power.end_change(true);
        assert_eq!(power.decide(Depth::AllButHeld), Some(Decision::GoesDown));
    }

    #[test]
    fn change_that_fails_leaves_the_state_before() {
        let mut power = Power::new();
        power.decide(Depth::AllButHeld);
        power.end_change(false);
        assert_eq!(power.state(), PowerState::Active);
        assert!(power.resume());
        power.decide(Depth::AllButHeld);
        power.end_change(true);
        power.resume();
        power.end_change(false);
        assert_eq!(power.state(), PowerState::Suspended);
    }

    #[test]
    fn each_time_out_of_reach_is_counted() {
        let mut power = Power::new();
        for naps in 1..4 {
            power.decide(Depth::AllButHeld);
            power.decide(Depth::AllButHeld);
            power.end_change(true);
            power.resume();
            power.end_change(true);
            assert!(power.resume());
            assert_eq!(power.naps(), naps);
        }
    }
}
