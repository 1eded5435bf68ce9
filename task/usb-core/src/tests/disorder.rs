//! Whatever happens in whatever order, nothing is left behind.

use abi::{Generation, TaskId};
use proptest::prelude::*;
use usb_core_api::{Depth, DeviceHandle, Event, SystemPower, TicketHandle};
use usb_types::Setup;
use xhci_api::{Event as Below, XhciError};

use crate::fake::{Bench, CLIENT, OTHER, POWER};

#[derive(Clone, Debug)]
enum Act {
    Plug(u8),
    Unplug(u8),
    Stick(&'static str),
    Fail(&'static str, XhciError),
    Refuse(&'static str, XhciError),
    Relent,
    Pass(u64),
    Settle,
    Pull(bool),
    Claim(bool),
    Switch(bool, u8),
    Ask(bool),
    Hold(bool),
    Unhold(bool),
    Cancel(bool),
    Collect(bool),
    Die(bool),
    Lose,
    Reset(bool),
    Suspend(bool),
    Resume,
    Signal(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let request = prop::sample::select(vec![
        "reset",
        "enable",
        "address",
        "evaluate",
        "control 80",
        "control 00",
        "control 01",
        "control a1",
        "configure",
        "disable",
        "reset device",
        "suspend",
        "resume",
    ]);
    let error = prop::sample::select(vec![
        XhciError::Busy,
        XhciError::Stall,
        XhciError::Bandwidth,
        XhciError::TimedOut,
        XhciError::DeviceGone,
        XhciError::ControllerDead,
    ]);
    let who = any::<bool>;
    prop_oneof![
        4 => (1_u8..4).prop_map(Act::Plug),
        2 => (1_u8..4).prop_map(Act::Unplug),
        1 => request.clone().prop_map(Act::Stick),
        1 => (request.clone(), error.clone()).prop_map(|(r, e)| Act::Fail(r, e)),
        1 => (request, error).prop_map(|(r, e)| Act::Refuse(r, e)),
        2 => Just(Act::Relent),
        4 => (0_u64..200).prop_map(Act::Pass),
        4 => Just(Act::Settle),
        8 => who().prop_map(Act::Pull),
        4 => who().prop_map(Act::Claim),
        4 => (who(), 0_u8..4).prop_map(|(w, a)| Act::Switch(w, a)),
        4 => who().prop_map(Act::Ask),
        2 => who().prop_map(Act::Hold),
        2 => who().prop_map(Act::Unhold),
        2 => who().prop_map(Act::Cancel),
        2 => who().prop_map(Act::Collect),
        1 => who().prop_map(Act::Die),
        1 => Just(Act::Lose),
        2 => who().prop_map(Act::Reset),
        2 => any::<bool>().prop_map(Act::Suspend),
        2 => Just(Act::Resume),
        1 => (1_u8..4).prop_map(Act::Signal),
    ]
}

/// What a client knows.
struct Client {
    task: TaskId,
    devices: Vec<DeviceHandle>,
    /// Those that it was told are suspended.
    asleep: Vec<DeviceHandle>,
    tickets: Vec<TicketHandle>,
}

impl Client {
    fn new(task: TaskId) -> Self {
        Self { task, devices: Vec::new(), asleep: Vec::new(), tickets: Vec::new() }
    }

    /// Checks that news makes sense: nothing comes twice, nothing goes that
    /// was not there.
    fn pull(&mut self, bench: &mut Bench) {
        match bench.core.pull(self.task) {
            Event::Attached(device) => {
                assert!(!self.devices.contains(&device), "attached twice");
                self.devices.push(device);
            }
            Event::Detached(device) => {
                assert!(self.devices.contains(&device), "detached without being there");
                self.devices.retain(|known| *known != device);
                self.asleep.retain(|known| *known != device);
            }
            Event::Suspended(device) => {
                assert!(self.devices.contains(&device), "suspended without being there");
                assert!(!self.asleep.contains(&device), "suspended twice");
                self.asleep.push(device);
            }
            Event::Resumed(device) => {
                assert!(self.devices.contains(&device), "resumed without being there");
                self.asleep.retain(|known| *known != device);
            }
            Event::Reset(device) => {
                assert!(self.devices.contains(&device), "reset without being there");
            }
            Event::Wanted { .. } => panic!("nobody takes an interface"),
            Event::Woken(_) => panic!("that is for another task"),
            Event::TicketDone(ticket) => assert!(self.tickets.contains(&ticket), "not its ticket"),
            Event::IsochProgress { .. } | Event::None => {}
        }
    }
}

const ASK: Setup = Setup { request_type: 0xA1, request: 0x81, value: 0, index: 1, length: 2 };

fn play(bench: &mut Bench, clients: &mut [Client; 2], act: Act) {
    let now = bench.now;
    let state = || bench.fake.0.borrow_mut();
    match act {
        Act::Plug(port) => bench.fake.plug(port),
        Act::Unplug(port) => bench.fake.unplug(port),
        Act::Stick(what) => state().stuck.push(what),
        Act::Fail(what, error) => state().fail.push((what, error)),
        Act::Refuse(what, error) => state().refuse.push((what, error)),
        Act::Relent => relent(bench),
        Act::Pass(ms) => {
            bench.now += ms;
            bench.core.tick(bench.now);
        }
        // A driver that is busy for ever is asked for ever.
        Act::Settle => {
            for _ in 0..8 {
                bench.core.pull_all(bench.now);
                let Some(deadline) = bench.core.deadline() else { break };
                bench.now = bench.now.max(deadline);
                bench.core.tick(bench.now);
            }
        }
        Act::Lose => state().events.extend([Below::ControllerDied, Below::ControllerReady]),
        Act::Pull(who) => clients[usize::from(who)].pull(bench),
        Act::Die(who) => {
            let client = &mut clients[usize::from(who)];
            bench.core.forget_client(client.task);
            let next = client.task.generation().next();
            *client = Client::new(TaskId::new(client.task.index() as u16, next));
        }
        Act::Suspend(all) => {
            let depth = if all { Depth::All } else { Depth::AllButHeld };
            // One ticket at a time, as `power` does it.
            if let Ok(ticket) = bench.core.start_suspend(POWER, depth, now) {
                let _ = bench.core.cancel(POWER, ticket);
            }
        }
        Act::Resume => {
            if let Ok(ticket) = bench.core.start_resume(POWER, now) {
                let _ = bench.core.cancel(POWER, ticket);
            }
        }
        Act::Signal(port) => bench.fake.signal(port),
        Act::Cancel(who) => {
            let client = &mut clients[usize::from(who)];
            if let Some(ticket) = client.tickets.pop() {
                let _ = bench.core.cancel(client.task, ticket);
            }
        }
        Act::Collect(who) => {
            let client = &mut clients[usize::from(who)];
            if let Some(ticket) = client.tickets.first().copied()
                && bench.core.result(client.task, ticket).is_ok()
            {
                client.tickets.remove(0);
            }
        }
        Act::Claim(who)
        | Act::Switch(who, _)
        | Act::Ask(who)
        | Act::Reset(who)
        | Act::Hold(who)
        | Act::Unhold(who) => {
            let client = &mut clients[usize::from(who)];
            let Some(device) = client.devices.first().copied() else { return };
            let task = client.task;
            let ticket = match act {
                Act::Switch(_, alternate) => {
                    bench.core.start_set_interface(task, device, (1, alternate), now).ok()
                }
                Act::Ask(_) => bench.core.start_control(task, device, ASK, &[], now).ok(),
                Act::Reset(_) => bench.core.start_reset(task, device, now).ok(),
                Act::Claim(_) => bench.core.claim(task, device, 1).err().and(None),
                Act::Hold(_) => bench.core.hold(task, device, 0).err().and(None),
                _ => bench.core.unhold(task, device, 0).err().and(None),
            };
            client.tickets.extend(ticket);
        }
    }
}

/// Everything goes well from here on.
fn relent(bench: &mut Bench) {
    bench.fake.0.borrow_mut().fail.clear();
    bench.fake.0.borrow_mut().refuse.clear();
    bench.fake.release();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_is_left_behind(acts in prop::collection::vec(act(), 1..80)) {
        let mut bench = Bench::with_autosuspend(Some(150));
        let generation = Generation(0);
        let mut clients =
            [CLIENT, OTHER].map(|task| Client::new(TaskId::new(task.index() as u16, generation)));
        // What was given up with a controller is the driver's to clear.
        let kept = !acts.iter().any(|act| matches!(
            act, Act::Lose | Act::Fail(_, XhciError::ControllerDead)
                | Act::Refuse(_, XhciError::ControllerDead)
                | Act::Fail("disable", _) | Act::Refuse("disable", _)
        ));
        for act in acts {
            play(&mut bench, &mut clients, act);
        }
        relent(&mut bench);
        bench.settle();
        if bench.core.status().system == SystemPower::Suspended {
            let ticket = bench.core.start_resume(POWER, bench.now).expect("it is suspended");
            bench.settle();
            let ended = bench.core.result(POWER, ticket).expect("it resumes").result;
            prop_assert_eq!(ended, Ok(()));
        }
        prop_assert_eq!(bench.core.status().system, SystemPower::Awake);
        for port in 1..=4 {
            bench.fake.unplug(port);
        }
        bench.settle();
        for client in &mut clients {
            for _ in 0..40 {
                client.pull(&mut bench);
            }
            prop_assert!(client.devices.is_empty(), "believes in a device that is gone");
            for ticket in client.tickets.drain(..) {
                let _ = bench.core.result(client.task, ticket);
            }
        }
        let status = bench.core.status();
        prop_assert_eq!((status.devices, status.holds, bench.core.stores_taken), (0, 0, 0));
        prop_assert_eq!((status.suspended, status.owed), (0, 0));
        prop_assert!(bench.core.closing.as_flattened().iter().all(Option::is_none), "a slot is still closing");
        prop_assert!(bench.core.jobs.is_idle(), "work or a ticket is left");
        if kept {
            prop_assert_eq!(bench.fake.0.borrow().open_slots.len(), 0, "slots are left");
        }
        prop_assert_eq!(bench.core.deadline(), None, "a timer is armed for nothing");
    }
}
