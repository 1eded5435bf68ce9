//! What to do next, as one function.
//!
//! [`transition`] takes where the system is to be, what is known of where it is,
//! and what happened; it answers both anew, and what `usb_core` is to be asked.
//! It sends nothing and waits for nothing.
//!
//! One thing is asked at a time. What is ordered meanwhile waits for that to
//! end, and of several orders the last one counts.

use usb_core_api::{SystemPower, TicketHandle, UsbCoreError};

/// Where the system is to be.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Awake.
    Resume,
    /// Asleep, but for devices that are held.
    Suspend,
    /// Asleep, with every device.
    Hibernate,
}

/// What is known of where the system is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// Nothing, and something has to happen before it can be looked at.
    Lost,
    /// `usb_core` is being asked.
    Asking(Option<Order>),
    /// It is on its way there.
    OnItsWay(Order, TicketHandle),
    /// It is there.
    There(Order),
}

/// The system, as this task sees it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Where it is to be.
    pub aim: Order,
    /// Where it is.
    pub at: At,
}

impl State {
    /// A life begins. What was rung for the last one is gone with it, so the
    /// system is to wake up: who lost a suspend loses power, who lost a resume
    /// would be left with a machine that does not answer.
    pub const BEGIN: Self = Self { aim: Order::Resume, at: At::Lost };
}

/// Something that happened.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This life of the task began, or another life of `usb_core`.
    Begun,
    /// A bell was rung.
    Told(Order),
    /// A device woke the system.
    Woken,
    /// Where `usb_core` says that the system is: the answer to
    /// [`Action::Look`].
    Found(Result<SystemPower, UsbCoreError>),
    /// The answer to [`Action::Ask`].
    Asked(Result<TicketHandle, UsbCoreError>),
    /// What was asked for has ended.
    Ended(Result<(), UsbCoreError>),
}

/// What `usb_core` is to be asked now.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Where the system is.
    Look,
    /// To take the system there.
    Ask(Order),
}

/// What becomes of `state` when `event` happens, and what to do then.
#[must_use]
pub fn transition(state: State, event: Event) -> (State, Option<Action>) {
    let State { mut aim, at } = state;
    let look = |aim| (State { aim, at: At::Asking(None) }, Some(Action::Look));
    let at = match (event, at) {
        (Event::Begun, _) => return look(aim),
        (Event::Told(order), At::Lost) => return look(order),
        // Whoever wakes what is awake misses something: it is looked at.
        (Event::Told(Order::Resume), At::There(Order::Resume)) => return look(Order::Resume),
        (Event::Told(order), at) => {
            aim = order;
            at
        }
        (Event::Woken, at) => {
            aim = Order::Resume;
            at
        }
        // What is on its way already is joined, whatever the aim: it has to end
        // before anything else can begin.
        (Event::Found(Ok(SystemPower::Suspending)), _) => return ask(aim, Order::Suspend),
        (Event::Found(Ok(SystemPower::Resuming)), _) => return ask(aim, Order::Resume),
        (Event::Found(Ok(SystemPower::Awake)), _) => At::There(Order::Resume),
        // As deep as that at least; asking for more is in order.
        (Event::Found(Ok(SystemPower::Suspended)), _) => At::There(Order::Suspend),
        (Event::Asked(Ok(ticket)), At::Asking(Some(order))) => At::OnItsWay(order, ticket),
        // It went the other way since it was looked at.
        (Event::Asked(Err(UsbCoreError::Busy)), _) => return look(aim),
        (Event::Found(Err(_)) | Event::Asked(_), _) => At::Lost,
        (Event::Ended(Ok(())), At::OnItsWay(order, _)) => At::There(order),
        // All devices are up again. It is not tried again by itself.
        (Event::Ended(Err(error)), At::OnItsWay(order, _)) if !is_death(error) => {
            if aim == order {
                aim = Order::Resume;
            }
            if order == Order::Resume { At::Lost } else { At::There(Order::Resume) }
        }
        (Event::Ended(_), _) => At::Lost,
    };
    match at {
        At::There(order) if order != aim => ask(aim, aim),
        at => (State { aim, at }, None),
    }
}

const fn ask(aim: Order, order: Order) -> (State, Option<Action>) {
    (State { aim, at: At::Asking(Some(order)) }, Some(Action::Ask(order)))
}

/// Whether the ticket's `usb_core` is gone. Its next life is told of.
const fn is_death(error: UsbCoreError) -> bool {
    matches!(error, UsbCoreError::ServerDied | UsbCoreError::StaleServer)
}

#[cfg(test)]
mod tests {
    use super::{Action, At, Event, Order, State, is_death, transition};
    use handles::{Handle, Raw};
    use usb_core_api::{Depth, SystemPower, TicketHandle, UsbCoreError};

    const ORDERS: [Order; 3] = [Order::Resume, Order::Suspend, Order::Hibernate];

    /// `usb_core` as its interface describes it.
    #[derive(Clone, Debug)]
    struct Core {
        system: SystemPower,
        depth: Depth,
        /// The ticket that is out, and how many there were.
        ticket: Option<TicketHandle>,
        tickets: u16,
        /// How the ticket ended.
        ended: Option<Result<(), UsbCoreError>>,
        /// A device could not go down: all come up again.
        unwinds: bool,
    }

    impl Core {
        fn new() -> Self {
            let (system, depth) = (SystemPower::Awake, Depth::AllButHeld);
            Self { system, depth, ticket: None, tickets: 0, ended: None, unwinds: false }
        }

        fn ask(&mut self, order: Order) -> Result<TicketHandle, UsbCoreError> {
            let depth = if order == Order::Hibernate { Depth::All } else { Depth::AllButHeld };
            let covered = self.depth == depth || self.depth == Depth::All;
            let (next, at_once) = match (order, self.system) {
                (Order::Resume, SystemPower::Suspending) => return Err(UsbCoreError::Busy),
                (Order::Resume, SystemPower::Awake) => (SystemPower::Awake, true),
                (Order::Resume, _) => (SystemPower::Resuming, false),
                (_, SystemPower::Awake) => (SystemPower::Suspending, false),
                (_, SystemPower::Suspended) if covered => (SystemPower::Suspended, true),
                (_, SystemPower::Suspended) => (SystemPower::Suspending, false),
                (_, SystemPower::Suspending) if covered => (SystemPower::Suspending, false),
                (_, _) => return Err(UsbCoreError::Busy),
            };
            if order != Order::Resume && next == SystemPower::Suspending && !covered
                || self.system == SystemPower::Awake
            {
                self.depth = depth;
            }
            if order == Order::Resume {
                self.unwinds = false;
            }
            self.system = next;
            self.tickets += 1;
            let raw = Raw { index: self.tickets, seq: 1, epoch: 0 };
            let ticket = TicketHandle::from_raw(raw);
            self.ticket = Some(ticket);
            self.ended = at_once.then_some(Ok(()));
            Ok(ticket)
        }

        /// What is on its way arrives.
        fn arrive(&mut self) {
            match self.system {
                SystemPower::Suspending => self.system = SystemPower::Suspended,
                SystemPower::Resuming => self.system = SystemPower::Awake,
                SystemPower::Awake | SystemPower::Suspended => return,
            }
            let failed = std::mem::take(&mut self.unwinds);
            self.ended = Some(if failed { Err(UsbCoreError::TimedOut) } else { Ok(()) });
        }

        /// A device cannot go down.
        fn fail(&mut self) {
            if self.system == SystemPower::Suspending {
                (self.system, self.unwinds) = (SystemPower::Resuming, true);
            }
        }
    }

    /// What can happen around the task.
    #[derive(Copy, Clone, Debug)]
    enum Around {
        Bell(Order),
        Signal,
        Arrives,
        Fails,
        CoreDies,
        TaskDies,
    }

    const AROUND: [Around; 8] = [
        Around::Bell(Order::Resume),
        Around::Bell(Order::Suspend),
        Around::Bell(Order::Hibernate),
        Around::Signal,
        Around::Arrives,
        Around::Fails,
        Around::CoreDies,
        Around::TaskDies,
    ];

    /// The task, what it talks to, and where the system is to end up.
    #[derive(Clone, Debug)]
    struct World {
        core: Core,
        state: State,
        wanted: Order,
    }

    impl World {
        fn new() -> Self {
            let mut world = Self { core: Core::new(), state: State::BEGIN, wanted: Order::Resume };
            world.happen(Event::Begun);
            world
        }

        fn happen(&mut self, mut event: Event) {
            for _ in 0..5 {
                let (state, action) = transition(self.state, event);
                self.state = state;
                event = match action {
                    None => return self.collect(),
                    Some(Action::Look) => Event::Found(Ok(self.core.system)),
                    Some(Action::Ask(order)) => Event::Asked(self.core.ask(order)),
                };
            }
            panic!("it asks without end: {self:?}");
        }

        fn collect(&mut self) {
            if let At::OnItsWay(order, ticket) = self.state.at {
                assert_eq!(self.core.ticket, Some(ticket), "the one that is out: {self:?}");
                if let Some(ended) = self.core.ended.take() {
                    self.core.ticket = None;
                    if ended.is_err() && self.wanted == order {
                        self.wanted = Order::Resume;
                    }
                    self.happen(Event::Ended(ended));
                }
            }
        }

        fn meet(&mut self, around: Around) {
            match around {
                Around::Bell(order) => {
                    self.wanted = order;
                    self.happen(Event::Told(order));
                }
                Around::Signal => {
                    self.wanted = Order::Resume;
                    self.happen(Event::Woken);
                }
                Around::Arrives => {
                    self.core.arrive();
                    self.collect();
                }
                Around::Fails => self.core.fail(),
                Around::CoreDies => {
                    self.core = Core::new();
                    self.happen(Event::Begun);
                }
                Around::TaskDies => {
                    self.wanted = Order::Resume;
                    self.state = State::BEGIN;
                    self.happen(Event::Begun);
                }
            }
        }

        /// Whatever happened, the system comes to rest where it is to be.
        fn assert_rests(mut self) {
            let before = self.clone();
            for _ in 0..4 {
                self.meet(Around::Arrives);
            }
            let is = (self.core.system, self.core.ticket);
            let system = match self.wanted {
                Order::Resume => SystemPower::Awake,
                Order::Suspend | Order::Hibernate => SystemPower::Suspended,
            };
            assert_eq!(is, (system, None), "{before:?}");
            assert_eq!(self.state, State { aim: self.wanted, at: At::There(self.wanted) });
            if self.wanted == Order::Hibernate {
                assert_eq!(self.core.depth, Depth::All, "{before:?}");
            }
        }
    }

    fn try_all(world: &World, left: u32) {
        world.clone().assert_rests();
        for around in AROUND.into_iter().filter(|_| left > 0) {
            let mut next = world.clone();
            next.meet(around);
            try_all(&next, left - 1);
        }
    }

    /// R14: six of whatever can happen, in every order.
    #[test]
    fn whatever_happens_the_system_comes_to_rest_where_it_was_last_told_to_be() {
        try_all(&World::new(), 6);
    }

    fn state(aim: Order, at: At) -> State {
        State { aim, at }
    }

    fn ticket(index: u16) -> TicketHandle {
        TicketHandle::from_raw(Raw { index, seq: 1, epoch: 0 })
    }

    #[test]
    fn an_order_meanwhile_waits_for_the_end_of_what_is_under_way_and_the_last_one_counts() {
        let mut now = state(Order::Suspend, At::OnItsWay(Order::Suspend, ticket(1)));
        for order in [Order::Hibernate, Order::Resume] {
            let (next, action) = transition(now, Event::Told(order));
            assert_eq!((next.aim, next.at, action), (order, now.at, None));
            now = next;
        }
        let (next, action) = transition(now, Event::Ended(Ok(())));
        assert_eq!(action, Some(Action::Ask(Order::Resume)));
        assert_eq!(next, state(Order::Resume, At::Asking(Some(Order::Resume))));
    }

    /// U4: a suspend that failed was undone, and is not tried again by itself.
    #[test]
    fn u4_a_suspend_that_failed_leaves_the_system_awake_until_the_next_order() {
        for order in [Order::Suspend, Order::Hibernate] {
            let on_its_way = state(order, At::OnItsWay(order, ticket(1)));
            let failed = Event::Ended(Err(UsbCoreError::TimedOut));
            let (next, action) = transition(on_its_way, failed);
            assert_eq!(next, state(Order::Resume, At::There(Order::Resume)));
            assert_eq!(action, None);
            let (_, action) = transition(next, Event::Told(order));
            assert_eq!(action, Some(Action::Ask(order)));
        }
    }

    #[test]
    fn another_life_joins_what_it_finds_under_way_and_then_wakes_the_system() {
        let (begun, look) = transition(State::BEGIN, Event::Begun);
        assert_eq!(look, Some(Action::Look));
        let (joined, action) = transition(begun, Event::Found(Ok(SystemPower::Suspending)));
        assert_eq!(action, Some(Action::Ask(Order::Suspend)));
        let (joined, _) = transition(joined, Event::Asked(Ok(ticket(1))));
        let (_, action) = transition(joined, Event::Ended(Ok(())));
        assert_eq!(action, Some(Action::Ask(Order::Resume)));
        let (_, action) = transition(begun, Event::Found(Ok(SystemPower::Suspended)));
        assert_eq!(action, Some(Action::Ask(Order::Resume)));
        let (rests, action) = transition(begun, Event::Found(Ok(SystemPower::Awake)));
        assert_eq!((rests.at, action), (At::There(Order::Resume), None));
    }

    #[test]
    fn another_life_of_the_core_is_asked_for_the_order_that_stands() {
        for order in [Order::Suspend, Order::Hibernate] {
            for at in [At::OnItsWay(order, ticket(1)), At::There(order)] {
                let (begun, _) = transition(state(order, at), Event::Begun);
                let (_, action) = transition(begun, Event::Found(Ok(SystemPower::Awake)));
                assert_eq!(action, Some(Action::Ask(order)));
            }
        }
    }

    /// A dead or held-back `usb_core` is not asked again and again.
    #[test]
    fn who_does_not_answer_is_asked_again_at_the_next_news() {
        let died = Err(UsbCoreError::ServerDied);
        for order in ORDERS {
            let asking = state(order, At::Asking(Some(order)));
            let lost = state(order, At::Lost);
            assert_eq!(transition(asking, Event::Asked(died.map(|()| ticket(1)))), (lost, None));
            let on_its_way = state(order, At::OnItsWay(order, ticket(1)));
            assert_eq!(transition(on_its_way, Event::Ended(died)), (lost, None));
            let looked = died.map(|()| SystemPower::Awake);
            assert_eq!(transition(asking, Event::Found(looked)), (lost, None));
            for news in [Event::Begun, Event::Told(order)] {
                assert_eq!(transition(lost, news).1, Some(Action::Look));
            }
        }
        assert!(is_death(UsbCoreError::StaleServer) && !is_death(UsbCoreError::TimedOut));
    }
}
