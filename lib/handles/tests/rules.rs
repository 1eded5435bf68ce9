//! The rules that handles and tickets promise, on random histories.

use abi::{Generation, TaskId};
use handles::{
    Cancelled, Epoch, Full, Handle, HandleError, Outcome, Raw, Table, TicketRefused, Tickets,
};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_assert, prop_assert_eq, prop_oneof};

handles::handle! {
    /// A test object.
    struct Thing;
    /// A test operation.
    struct Ticket;
}

const A: TaskId = TaskId::new(3, Generation(0));
const A_AGAIN: TaskId = TaskId::new(3, Generation(1));
const B: TaskId = TaskId::new(4, Generation(0));

type Four = Table<u32, Thing, 4>;

#[derive(Clone, Debug)]
enum Step {
    Insert(TaskId),
    /// Removes the n-th handle ever given out, through any of its copies.
    Remove(usize, TaskId),
    Die(TaskId),
}

fn step() -> impl Strategy<Value = Step> {
    let who = || prop_oneof![Just(A), Just(A_AGAIN), Just(B)];
    prop_oneof![
        4 => who().prop_map(Step::Insert),
        3 => (0..40usize, who()).prop_map(|(nth, who)| Step::Remove(nth, who)),
        1 => who().prop_map(Step::Die),
    ]
}

proptest::proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// R7: every handle ever given out resolves to its own object for its owner
    /// while that lives, and to nothing afterwards.
    #[test]
    fn a_stale_handle_never_resolves(steps in vec(step(), 1..60)) {
        let mut table = Four::new(Epoch(7));
        // (handle, owner, value, alive)
        let mut given: Vec<(Thing, TaskId, u32, bool)> = Vec::new();
        for (now, step) in steps.into_iter().enumerate() {
            let now = now as u32;
            match step {
                Step::Insert(owner) => match table.insert(owner, now) {
                    Ok(handle) => {
                        prop_assert!(given.iter().all(|&(old, ..)| old != handle));
                        given.push((handle, owner, now, true));
                    }
                    Err(Full) => {
                        prop_assert_eq!(given.iter().filter(|thing| thing.3).count(), 4);
                    }
                },
                Step::Remove(nth, caller) => {
                    let Some((handle, owner, value, alive)) = given.get_mut(nth) else { continue };
                    let expected = match (*alive, caller == *owner) {
                        (false, _) => Err(HandleError::Stale),
                        (true, false) => Err(HandleError::NotOwner),
                        (true, true) => Ok(*value),
                    };
                    prop_assert_eq!(table.remove(*handle, caller), expected);
                    *alive &= expected.is_err();
                }
                Step::Die(owner) => {
                    let mut gone = 0;
                    for thing in given.iter_mut().filter(|thing| thing.1 == owner && thing.3) {
                        thing.3 = false;
                        gone += 1;
                    }
                    prop_assert_eq!(table.drop_owner(owner), gone);
                }
            }
            for &(handle, owner, value, alive) in &given {
                for caller in [A, A_AGAIN, B] {
                    let expected = match (alive, caller == owner) {
                        (false, _) => Err(HandleError::Stale),
                        (true, false) => Err(HandleError::NotOwner),
                        (true, true) => Ok(value),
                    };
                    prop_assert_eq!(table.get(handle, caller).copied(), expected);
                }
            }
            prop_assert_eq!(table.len(), given.iter().filter(|thing| thing.3).count());
        }
    }

    /// No eight bytes that the table did not give out resolve.
    #[test]
    fn a_made_up_handle_never_resolves(index: u16, seq: u16, epoch in 0u32..3) {
        let mut table = Four::new(Epoch(1));
        let real = table.insert(A, 5).unwrap();
        let forged = Thing::from_raw(Raw { index, seq, epoch });
        if forged != real {
            let error = if epoch == 1 { HandleError::Stale } else { HandleError::StaleServer };
            prop_assert_eq!(table.get(forged, A), Err(error));
            prop_assert_eq!(table.take(forged), Err(error));
        }
    }
}

/// Rule 5: a handle is checked where it is used, by the one who gave it out.
#[test]
fn a_handle_of_an_earlier_life_of_the_server_is_told_so() {
    let old = Four::new(Epoch(1)).insert(A, 1).unwrap();
    let mut table = Four::new(Epoch(2));
    let new = table.insert(A, 2).unwrap();
    assert_eq!(table.get(old, A), Err(HandleError::StaleServer));
    assert_eq!(table.get_mut(new, A), Ok(&mut 2));
}

#[test]
fn a_restarted_client_does_not_own_what_it_owned_before() {
    let mut table = Four::new(Epoch(0));
    let handle = table.insert(A, 1).unwrap();
    assert_eq!(table.get(handle, A_AGAIN), Err(HandleError::NotOwner));
    assert_eq!(table.take_owned(A_AGAIN), None);
    assert_eq!(table.take_owned(A), Some((handle, 1)));
}

#[test]
fn sequence_numbers_skip_zero_and_come_round_late() {
    let mut table = Table::<u32, Thing, 1>::new(Epoch(0));
    let first = table.insert(A, 0).unwrap();
    table.take(first).unwrap();
    for turn in 0..65534 {
        let handle = table.insert(A, turn).unwrap();
        assert_ne!(handle, first);
        assert_ne!(handle.raw().seq, 0);
        table.take(handle).unwrap();
    }
    assert_eq!(table.insert(A, 0), Ok(first));
}

#[test]
fn a_place_is_reused_only_after_all_others() {
    let mut table = Four::new(Epoch(0));
    let mut seen = Vec::new();
    for _ in 0..4 {
        let handle = table.insert(A, 0).unwrap();
        seen.push(handle.raw().index);
        table.take(handle).unwrap();
    }
    assert_eq!(seen, [0, 1, 2, 3]);
}

#[test]
fn retain_drops_what_is_not_kept() {
    let mut table = Four::new(Epoch(0));
    let handles: Vec<_> = (0..4).map(|n| table.insert(A, n).unwrap()).collect();
    table.retain(|_, _, value| *value % 2 == 1);
    assert_eq!(table.find(handles[0]), Err(HandleError::Stale));
    assert_eq!(table.find(handles[3]), Ok((A, &3)));
}

#[test]
fn handles_are_eight_bytes_on_the_wire() {
    use packed::Packed;
    use zerocopy::IntoBytes;
    let handle = Thing::from_raw(Raw { index: 1, seq: 2, epoch: 3 });
    let mut packed = [0; Thing::MAX_SIZE];
    assert_eq!(packed::pack(&handle, &mut packed), 8);
    assert_eq!(packed, [1, 0, 2, 0, 3, 0, 0, 0]);
    assert_eq!(handle.as_bytes(), packed);
    assert_eq!(packed::unpack(&packed), Ok(handle));
}

type Operations = Tickets<&'static str, u32, Ticket, 3, 2>;

#[test]
fn a_ticket_is_pending_then_done_then_spent() {
    let mut tickets = Operations::new(Epoch(0));
    let ticket = tickets.start(A, "stop").unwrap();
    assert_eq!(tickets.result(ticket, A), Ok(Outcome::Pending));
    assert_eq!(tickets.result(ticket, B), Err(HandleError::NotOwner));
    assert_eq!(tickets.finish(ticket, 9), Ok((A, "stop")));
    assert_eq!(tickets.finish(ticket, 10), Err(10), "a ticket is finished once");
    assert_eq!(tickets.result(ticket, A), Ok(Outcome::Done(9)));
    assert_eq!(tickets.result(ticket, A), Err(HandleError::Stale));
}

/// Rule 3: who waits holds a ticket, and one client cannot hold them all.
#[test]
fn tickets_are_bounded_per_client_and_in_all() {
    let mut tickets = Operations::new(Epoch(0));
    tickets.start(A, "1").unwrap();
    tickets.start(A, "2").unwrap();
    assert_eq!(tickets.start(A, "3"), Err(TicketRefused::TooManyOfClient));
    assert_eq!(tickets.room_for(B), Ok(()));
    tickets.start(B, "1").unwrap();
    assert_eq!(tickets.start(B, "2"), Err(TicketRefused::TooMany));
    assert_eq!(tickets.room_for(B), Err(TicketRefused::TooMany));
}

#[test]
fn a_cancelled_ticket_hands_back_work_or_result() {
    let mut tickets = Operations::new(Epoch(0));
    let (under_way, done) = (tickets.start(A, "1").unwrap(), tickets.start(A, "2").unwrap());
    tickets.finish(done, 4).unwrap();
    assert_eq!(tickets.cancel(under_way, A), Ok(Cancelled::Pending("1")));
    assert_eq!(tickets.cancel(done, A), Ok(Cancelled::Done(4)));
    assert_eq!(tickets.finish(under_way, 5), Err(5), "the late result comes back to the server");
    assert!(tickets.is_empty());
}

#[test]
fn tickets_die_with_the_incarnation_of_their_client() {
    let mut tickets = Operations::new(Epoch(0));
    let old = tickets.start(A, "old").unwrap();
    let other = tickets.start(B, "other").unwrap();
    assert_eq!(tickets.take_owned(A), Some((old, Cancelled::Pending("old"))));
    assert_eq!(tickets.take_owned(A), None);
    assert_eq!(tickets.result(old, A_AGAIN), Err(HandleError::Stale));
    assert_eq!(tickets.pending().map(|(ticket, ..)| ticket).collect::<Vec<_>>(), [other]);
}
