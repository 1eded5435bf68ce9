//! The system falls asleep and wakes up (U1 to U10, R14).
//!
//! Who stays up is decided once per transition and kept with the device
//! (`power`); each device then goes its way (`change`), and the transition is
//! over when all have arrived. One that cannot go down turns the transition
//! round. While the system is not awake nothing is enumerated and nothing is
//! asked of a device; a device that is pulled is withdrawn at any time.
//!
//! While the system is awake, a device that nobody wants anything of goes down
//! by itself after a while, and comes up when somebody does. One that is held
//! never does.

use abi::TaskId;
use usb_core_api::{Depth, DeviceHandle, PowerState, SystemPower, TicketHandle, UsbCoreError};

use crate::HUBS;
use crate::controller::Controller;
use crate::controllers::Ports;
use crate::core::{Core, Trace, trace};
use crate::jobs::Ended;
use crate::ports::Port;

type Answer<T> = Result<T, UsbCoreError>;

/// The system's power state.
#[derive(Debug)]
pub(crate) struct Sleep {
    system: SystemPower,
    depth: Depth,
    /// Who waits for the transition under way.
    ticket: Option<TicketHandle>,
    /// Why the suspend is being taken back.
    failed: Option<UsbCoreError>,
    /// A device that woke the suspended system, until that was told.
    woken: Option<DeviceHandle>,
}

impl Sleep {
    pub(crate) const fn new() -> Self {
        let (system, depth) = (SystemPower::Awake, Depth::AllButHeld);
        Self { system, depth, ticket: None, failed: None, woken: None }
    }

    /// Where the system is.
    pub(crate) const fn system(&self) -> SystemPower {
        self.system
    }

    /// Whether devices may be enumerated and go down by themselves.
    pub(crate) fn is_awake(&self) -> bool {
        self.system == SystemPower::Awake
    }

    /// The device that woke the system, once.
    pub(crate) fn take_woken(&mut self) -> Option<DeviceHandle> {
        self.woken.take()
    }

    /// Whether what is under way, or done, is a suspend of `depth`.
    fn covers(&self, depth: Depth) -> bool {
        self.depth == depth || self.depth == Depth::All
    }
}

impl<C: Controller, const N: usize> Core<C, N> {
    pub(crate) fn start_suspend(
        &mut self,
        caller: TaskId,
        depth: Depth,
        now: u64,
    ) -> Answer<TicketHandle> {
        self.power_only(caller)?;
        let falls = match self.sleep.system {
            SystemPower::Awake => true,
            SystemPower::Suspended => !self.sleep.covers(depth),
            SystemPower::Suspending if self.sleep.covers(depth) => false,
            SystemPower::Suspending | SystemPower::Resuming => return Err(UsbCoreError::Busy),
        };
        let ticket = self.wait_for_transition(caller)?;
        if falls {
            self.sleep.depth = depth;
            self.sleep.failed = None;
            self.enter_system(SystemPower::Suspending);
            self.postpone_enumerations(now);
        } else if self.sleep.system == SystemPower::Suspended {
            self.end_transition(Ok(()));
        }
        self.advance(now);
        Ok(ticket)
    }

    pub(crate) fn start_resume(&mut self, caller: TaskId, now: u64) -> Answer<TicketHandle> {
        self.power_only(caller)?;
        if self.sleep.system == SystemPower::Suspending {
            return Err(UsbCoreError::Busy);
        }
        let ticket = self.wait_for_transition(caller)?;
        match self.sleep.system {
            SystemPower::Awake => self.end_transition(Ok(())),
            SystemPower::Suspended => self.enter_system(SystemPower::Resuming),
            SystemPower::Suspending | SystemPower::Resuming => self.sleep.failed = None,
        }
        self.advance(now);
        Ok(ticket)
    }

    fn power_only(&self, caller: TaskId) -> Answer<()> {
        let power = self.settings.power.map(usize::from);
        if power == Some(caller.index()) { Ok(()) } else { Err(UsbCoreError::NotAllowed) }
    }

    /// A ticket for the transition; an earlier one, of a life that is gone or of
    /// a caller that asks twice, ends.
    fn wait_for_transition(&mut self, caller: TaskId) -> Answer<TicketHandle> {
        let ticket = self.jobs.start_bare(caller)?;
        self.end_transition(Err(UsbCoreError::Busy));
        self.sleep.ticket = Some(ticket);
        Ok(ticket)
    }

    fn end_transition(&mut self, result: Answer<()>) {
        if let Some(ticket) = self.sleep.ticket.take() {
            self.end_ticket(ticket, Ended::bare(result));
        }
    }

    fn enter_system(&mut self, system: SystemPower) {
        trace(Trace::System(system));
        self.sleep.system = system;
    }

    /// What is on its way into the tree begins again when the system is awake. A
    /// device that is being reset is in it, and waited for.
    fn postpone_enumerations(&mut self, now: u64) {
        for index in 0..Ports::<N>::len() {
            if matches!(&self.ports[index], Port::Enumerating(attempt) if attempt.of.is_none()) {
                self.clear_port(index, now);
            }
        }
    }

    /// A device could not be suspended: the others come up again.
    pub(crate) fn suspend_failed(&mut self, error: UsbCoreError) {
        if self.sleep.system == SystemPower::Suspending {
            self.sleep.failed.get_or_insert(error);
        }
    }

    /// A device signalled. The suspended system is to wake up, says `power`.
    pub(crate) fn woken(&mut self, device: DeviceHandle) {
        if !self.is_awake_or_rising() {
            self.sleep.woken.get_or_insert(device);
            if let Some(power) = self.settings.power {
                self.clients.hint_index(power);
            }
        }
    }

    fn is_awake_or_rising(&self) -> bool {
        matches!(self.sleep.system, SystemPower::Awake | SystemPower::Resuming)
    }

    /// Goes on with everything that can go on.
    pub(crate) fn advance(&mut self, now: u64) {
        self.advance_jobs(now);
        while self.step_system(now) | self.step_changes(now) | (HUBS && self.step_hubs(now)) {}
    }

    /// Goes on with the system's transition; whether it did.
    fn step_system(&mut self, now: u64) -> bool {
        match self.sleep.system {
            SystemPower::Awake => self.step_awake(now),
            SystemPower::Suspending => self.step_suspending(),
            SystemPower::Suspended => self.step_suspended(),
            SystemPower::Resuming => self.step_resuming(now),
        }
    }

    fn step_suspending(&mut self) -> bool {
        if self.sleep.failed.is_some() {
            self.enter_system(SystemPower::Resuming);
            return true;
        }
        if HUBS {
            self.carry();
        }
        let (mut went, mut all) = (false, self.closing.as_flattened().iter().all(Option::is_none));
        for handle in self.handles().into_iter().flatten() {
            let Ok((_, device)) = self.devices.find_mut(handle) else { continue };
            let before = device.power.decision();
            let decided = device.power.decide(self.sleep.depth);
            all &= decided.is_some() && !device.power.is_changing();
            if decided != before {
                if device.power.state() == PowerState::Suspending {
                    device.goes_down();
                }
                self.refuse_waiting(handle, UsbCoreError::Suspended);
                self.clients.devices_changed();
                went = true;
            }
            all &= !self.jobs.any_of(handle);
        }
        if all && !went {
            self.enter_system(SystemPower::Suspended);
            self.end_transition(Ok(()));
            went = true;
        }
        went
    }

    /// DESIGN rule 4: who is held no more goes down late.
    fn step_suspended(&mut self) -> bool {
        if HUBS {
            self.carry();
        }
        let mut went = false;
        for (_, _, device) in self.devices.iter_mut() {
            if device.power.begin_late_suspend() {
                device.goes_down();
                went = true;
            }
        }
        went
    }

    fn step_resuming(&mut self, now: u64) -> bool {
        let (mut went, mut all) = (false, true);
        for (handle, _, device) in self.devices.iter_mut() {
            let before = (device.power.decision(), device.power.state());
            all &= device.power.resume();
            if (device.power.decision(), device.power.state()) != before {
                went = true;
                self.clients.devices_changed();
            }
            all &= device.change.owed == 0 && !self.jobs.own_of(handle);
        }
        if all && !went {
            self.enter_system(SystemPower::Awake);
            let result = self.sleep.failed.take().map_or(Ok(()), Err);
            self.end_transition(result);
            self.sleep.woken = None;
            self.scan_all(now);
            went = true;
        }
        went
    }

    /// Devices that have been idle for long go down by themselves.
    fn step_awake(&mut self, now: u64) -> bool {
        let Some(delay) = self.settings.autosuspend_ms else { return false };
        let mut went = false;
        for handle in self.handles().into_iter().flatten() {
            let idle = self.is_idle(handle);
            let Ok((_, device)) = self.devices.find_mut(handle) else { continue };
            if device.power.state() != PowerState::Active || !idle {
                device.change.idle_since = None;
                continue;
            }
            let since = *device.change.idle_since.get_or_insert(now);
            if since + delay <= now && device.power.begin_autosuspend() {
                device.goes_down();
                // What a hub has not told yet it would not tell asleep.
                let port = device.port;
                if HUBS {
                    self.look_behind(port.controller(), Some(handle));
                }
                went = true;
            }
        }
        went
    }

    /// Whether nobody wants anything of a device: no hold, no alternate setting
    /// but 0, no request, no reset.
    pub(crate) fn is_idle(&mut self, handle: DeviceHandle) -> bool {
        let hub = HUBS && (self.is_wanted_below(handle) || self.would_be_deaf(handle));
        let busy = hub || self.jobs.any_of(handle);
        let Ok((_, device)) = self.devices.find_mut(handle) else { return false };
        let at_rest = device.interfaces().all(|interface| interface.standing.alternate == 0);
        device.power.holds() == 0 && at_rest && !busy && !device.power.is_resetting()
    }

    /// When a device will have been idle for long enough.
    pub(crate) fn idle_deadline(&self) -> Option<u64> {
        let delay = self.settings.autosuspend_ms.filter(|_| self.sleep.is_awake())?;
        self.devices.iter().filter_map(|(_, _, d)| Some(d.change.idle_since? + delay)).min()
    }
}
