//! The cases that need no MMU.
//!
//! Each is what a task may do wrong, or right, with system calls; the kernel's
//! own tests (`sys/kern/tests`) have the same rules at one remove.

use abi::{FaultInfo, Sysnum, UsageError};
use userlib::{
    ClosedRecvError, Generation, IrqStatus, Lease, LeaseAttributes, ReplyFaultReason, TIMER_MASK,
    TaskId, dead_response_code, extract_new_generation, hl, set_timer_relative, sys_get_timer,
    sys_irq_control, sys_irq_control_clear_pending, sys_irq_status, sys_post, sys_recv,
    sys_recv_notification, sys_refresh_task_id, sys_send, sys_set_timer,
};

use crate::protocol::{
    ASSISTANT, BYSTANDER, CRASH, ECHO, FAULT_ME, HINT, HINTED, INFO, INTERRUPT, LAST, LONG, NOBODY,
    READ, READ_LATE, SUBJECT, WRITE, first, word, words,
};
use crate::subject::Subject;

/// How a case has to end.
#[cfg_attr(not(target_os = "none"), allow(dead_code, reason = "some are for an MMU"))]
#[derive(Copy, Clone, Debug)]
pub(crate) enum Expect {
    /// The subject finds everything right.
    Pass,
    /// This fault.
    Fault(FaultInfo),
    /// The assistant faults the subject.
    FromServer(ReplyFaultReason),
    /// The kernel refuses memory that a call names.
    KernelAccess,
    /// The hardware refuses the access that the subject announced.
    Access,
    /// The stack runs over.
    Overflow,
}

/// How a case goes: the line of what was not as it should be.
pub(crate) type Outcome = Result<(), u32>;

/// A case.
#[derive(Debug)]
pub(crate) struct Case {
    /// The rule.
    pub(crate) name: &'static str,
    /// How the subject must end.
    pub(crate) expect: Expect,
    /// How the assistant must end, if it must.
    pub(crate) assistant: Option<FaultInfo>,
    /// Whether there is a round for each run of foreign memory.
    pub(crate) of_foreign: bool,
    /// What the subject does in a round.
    pub(crate) run: fn(&Subject, usize) -> Outcome,
}

impl Case {
    pub(crate) const fn new(
        name: &'static str,
        expect: Expect,
        run: fn(&Subject, usize) -> Outcome,
    ) -> Self {
        Self { name, expect, assistant: None, of_foreign: false, run }
    }

    /// The assistant dies of it.
    const fn assistant(self, fault: FaultInfo) -> Self {
        Self { assistant: Some(fault), ..self }
    }

    /// One round for each run of foreign memory.
    #[cfg(target_os = "none")]
    pub(crate) const fn of_foreign(self) -> Self {
        Self { of_foreign: true, ..self }
    }

    pub(crate) fn rounds(&self, foreign: usize) -> usize {
        if self.of_foreign { foreign } else { 1 }
    }
}

/// All cases, those that need an MMU last and only where there is one.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    #[cfg(target_os = "none")]
    let more = crate::trespass::CASES;
    #[cfg(not(target_os = "none"))]
    let more = &[];
    CASES.iter().chain(more)
}

const fn usage(error: UsageError) -> Expect {
    Expect::Fault(FaultInfo::SyscallUsage(error))
}

/// Ends a case that found something wrong.
macro_rules! check {
    ($right:expr) => {
        if !$right {
            return Err(line!());
        }
    };
}

#[allow(unsafe_code)]
fn raw(number: u32, arguments: [usize; 7]) -> [usize; 8] {
    // SAFETY: the cases name no memory but of locals that live over the call,
    // or such as the kernel must refuse.
    unsafe { userlib::raw::syscall(number, arguments) }
}

/// SEND to the assistant with these slices and lease table.
fn raw_send(subject: &Subject, slices: [usize; 4], leases: [usize; 2]) {
    let target = usize::from(subject.assistant().0) << 16;
    let [a, b, c, d] = slices;
    raw(Sysnum::Send as u32, [target, a, b, c, d, leases[0], leases[1]]);
}

fn address<T: ?Sized>(of: &T) -> usize {
    core::ptr::from_ref(of).cast::<u8>().expose_provenance()
}

/// A message that leaves nothing to copy back.
fn tell(subject: &Subject, operation: u16, a: u32, b: u32) -> u32 {
    sys_send(subject.assistant(), operation, &words(a, b), &mut [], &[]).0
}

/// An answer's first two words, of a request about lease 0 of `lease`.
fn lend(subject: &Subject, operation: u16, offset: u32, lease: Lease<'_>) -> (u32, [u32; 2]) {
    let (request, mut answer) = (words(0, offset), [0; 16]);
    let (code, _) = sys_send(subject.assistant(), operation, &request, &mut answer, &[lease]);
    (code, [word(&answer, 0), word(&answer, 1)])
}

static CONSTANT: [u8; 8] = *b"constant";

const CASES: &[Case] = &[
    Case::new("a_message_goes_there_and_its_answer_comes_back", Expect::Pass, |subject, _| {
        let mut answer = [0; 16];
        let got = sys_send(subject.assistant(), ECHO, b"sixteen bytes ok", &mut answer, &[]);
        check!(got == (16, 16) && &answer == b"sixteen bytes ok");
        Ok(())
    }),
    Case::new("messages_of_any_length_and_alignment_arrive_whole", Expect::Pass, |subject, _| {
        let mut bytes = [0; 40];
        for (n, byte) in bytes.iter_mut().enumerate() {
            *byte = n as u8 + 1;
        }
        for start in 0..4 {
            for len in 0..=32 {
                let (sent, mut answer) = (&bytes[start..start + len], [0xEE; 36]);
                let (into, rest) = answer.split_at_mut(len);
                let got = sys_send(subject.assistant(), ECHO, sent, into, &[]);
                check!(got == (len as u32, len) && into == sent);
                check!(rest.iter().all(|&byte| byte == 0xEE));
            }
        }
        Ok(())
    }),
    Case::new("a_long_message_is_cut_and_its_length_told", Expect::Pass, |subject, _| {
        let mut answer = [0; 64];
        let (length, copied) = sys_send(subject.assistant(), ECHO, &[9; 50], &mut answer, &[]);
        check!((length, copied) == (50, 32));
        check!(answer.iter().enumerate().all(|(n, &byte)| byte == if n < 32 { 9 } else { 0 }));
        Ok(())
    }),
    Case::new("a_long_reply_is_cut_to_the_senders_room", Expect::Pass, |subject, _| {
        let mut answer = [0; 8];
        let got = sys_send(subject.assistant(), LONG, &[], &mut answer[..5], &[]);
        check!(got == (5, 5) && answer == [7, 7, 7, 7, 7, 0, 0, 0]);
        Ok(())
    }),
    Case::new("constants_can_be_sent", Expect::Pass, |subject, _| {
        let mut answer = [0; 8];
        sys_send(subject.assistant(), ECHO, &CONSTANT, &mut answer, &[]);
        check!(answer == CONSTANT);
        Ok(())
    }),
    Case::new("slices_of_no_bytes_are_good_anywhere", Expect::Pass, |subject, _| {
        raw_send(subject, [usize::MAX, 0, 1, 0], [3, 0]);
        Ok(())
    }),
    Case::new("leases_are_read_written_and_described", Expect::Pass, |subject, _| {
        let mut memory = *b"12345678";
        check!(lend(subject, READ, 3, Lease::read_only(&memory)) == (0, [0, 5]));
        check!(lend(subject, WRITE, 6, Lease::write_only(&mut memory)) == (0, [0, 2]));
        check!(&memory == b"123456ab");
        let both = LeaseAttributes::READ.with(LeaseAttributes::WRITE).0;
        check!(lend(subject, INFO, 0, Lease::read_write(&mut memory)) == (0, [both, 8]));
        Ok(())
    }),
    Case::new("a_lease_ends_with_the_reply", Expect::Pass, |subject, _| {
        check!(lend(subject, READ_LATE, 0, Lease::read_only(&CONSTANT)).0 == 0);
        check!(tell(subject, LAST, 0, 0) == abi::DEFECT);
        Ok(())
    }),
    Case::new("a_lease_that_was_not_given_is_the_borrowers_fault", Expect::Pass, |subject, _| {
        check!(extract_new_generation(tell(subject, READ, 0, 0)).is_some());
        Ok(())
    })
    .assistant(FaultInfo::SyscallUsage(UsageError::LeaseOutOfRange)),
    Case::new("a_copy_that_the_lease_does_not_allow_is_a_fault", Expect::Pass, |subject, _| {
        let got = lend(subject, WRITE, 0, Lease::read_only(&CONSTANT));
        check!(extract_new_generation(got.0).is_some());
        Ok(())
    })
    .assistant(FaultInfo::SyscallUsage(UsageError::LeaseOutOfRange)),
    Case::new("an_offset_past_the_lease_is_a_fault", Expect::Pass, |subject, _| {
        let got = lend(subject, READ, 9, Lease::read_only(&CONSTANT));
        check!(extract_new_generation(got.0).is_some());
        Ok(())
    })
    .assistant(FaultInfo::SyscallUsage(UsageError::OffsetOutOfRange)),
    Case::new("lending_foreign_memory_is_the_lenders_fault", Expect::KernelAccess, |subject, _| {
        let row = abi::ULease {
            attributes: LeaseAttributes::READ,
            base_address: usize::MAX - 64,
            length: 8,
        };
        let (request, answer) = (words(0, 0), [0; 16]);
        let target = usize::from(subject.assistant().0) << 16 | usize::from(READ);
        let slices = [address(&request), 8, address(&answer), 16];
        let [a, b, c, d] = slices;
        raw(Sysnum::Send as u32, [target, a, b, c, d, address(&row), 1]);
        Err(line!())
    }),
    Case::new(
        "who_waits_for_a_dead_server_gets_its_next_generation",
        Expect::Pass,
        |subject, _| {
            let before = subject.assistant();
            let next = before.generation().next();
            check!(tell(subject, CRASH, 0, 0) == dead_response_code(next));
            check!(subject.assistant() == TaskId::new(ASSISTANT as u16, next));
            // The old incarnation stays dead.
            let got = sys_send(before, ECHO, &[], &mut [], &[]);
            check!(got == (dead_response_code(next), 0));
            check!(tell(subject, ECHO, 0, 0) == 8);
            Ok(())
        },
    )
    .assistant(FaultInfo::Panic),
    Case::new(
        "a_server_can_fault_its_client",
        Expect::FromServer(ReplyFaultReason::BadMessageContents),
        |subject, _| {
            tell(subject, FAULT_ME, 0, 0);
            Err(line!())
        },
    ),
    Case::new("a_hint_arrives_once", Expect::Pass, |subject, _| {
        tell(subject, HINT, 0, 0);
        check!(sys_recv_notification(HINTED | TIMER_MASK) == HINTED);
        sys_set_timer(Some(0), TIMER_MASK);
        check!(sys_recv_notification(HINTED | TIMER_MASK) == TIMER_MASK);
        Ok(())
    }),
    Case::new("a_closed_receive_from_the_dead_ends_at_once", Expect::Pass, |_, _| {
        let stale = TaskId::new(ASSISTANT as u16, Generation(63));
        let got = sys_recv(&mut [], 0, Some(stale));
        check!(matches!(got, Err(ClosedRecvError::Dead(_))));
        Ok(())
    }),
    Case::new("timers_end_on_time", Expect::Pass, |_, _| {
        let before = sys_get_timer();
        check!(before.deadline.is_none());
        let deadline = set_timer_relative(5, TIMER_MASK);
        check!(sys_get_timer().deadline == Some(deadline) && sys_get_timer().on_dl == TIMER_MASK);
        check!(sys_recv_notification(TIMER_MASK) == TIMER_MASK);
        let now = sys_get_timer().now;
        check!(deadline <= now && now <= deadline + 1 && sys_get_timer().deadline.is_none());
        hl::sleep_for(3);
        check!(sys_get_timer().now >= now + 3);
        Ok(())
    }),
    Case::new("a_timer_that_is_cleared_does_not_end", Expect::Pass, |_, _| {
        set_timer_relative(2, HINTED);
        sys_set_timer(None, 0);
        hl::sleep_for(5);
        sys_set_timer(Some(0), TIMER_MASK);
        check!(sys_recv_notification(HINTED | TIMER_MASK) == TIMER_MASK);
        Ok(())
    }),
    Case::new("an_interrupt_comes_once_until_it_is_enabled_again", Expect::Pass, |subject, _| {
        check!(!sys_irq_status(INTERRUPT).contains(IrqStatus::ENABLED));
        sys_irq_control(INTERRUPT, true);
        check!(sys_irq_status(INTERRUPT).contains(IrqStatus::ENABLED));
        subject.raise();
        check!(sys_recv_notification(INTERRUPT) == INTERRUPT);
        check!(sys_irq_status(INTERRUPT) == IrqStatus::EMPTY);
        subject.raise();
        check!(sys_irq_status(INTERRUPT) == IrqStatus::PENDING);
        sys_irq_control_clear_pending(INTERRUPT);
        check!(sys_irq_status(INTERRUPT) == IrqStatus::ENABLED);
        subject.raise();
        check!(sys_irq_status(INTERRUPT) == IrqStatus::POSTED);
        check!(sys_recv_notification(INTERRUPT) == INTERRUPT);
        sys_irq_control(INTERRUPT, false);
        check!(sys_irq_status(INTERRUPT) == IrqStatus::EMPTY);
        Ok(())
    }),
    Case::new("a_task_knows_its_generation", Expect::Pass, |_, _| {
        check!(sys_refresh_task_id(first(SUBJECT)).generation() != Generation(0));
        Ok(())
    }),
    Case::new("a_panic_is_a_fault", Expect::Fault(FaultInfo::Panic), |_, _| panic!("as planned")),
    Case::new("an_unknown_system_call_is_a_fault", usage(UsageError::BadSyscallNumber), |_, _| {
        raw(14, [0; 7]);
        Err(line!())
    }),
    Case::new("sending_to_nobody_is_a_fault", usage(UsageError::TaskOutOfRange), |_, _| {
        sys_send(first(NOBODY), 0, &[], &mut [], &[]);
        Err(line!())
    }),
    Case::new("sending_outside_the_mask_is_a_fault", usage(UsageError::IllegalTask), |_, _| {
        sys_send(first(BYSTANDER), 0, &[], &mut [], &[]);
        Err(line!())
    }),
    Case::new("sending_to_oneself_is_a_fault", usage(UsageError::IllegalTask), |_, _| {
        sys_send(sys_refresh_task_id(first(SUBJECT)), 0, &[], &mut [], &[]);
        Err(line!())
    }),
    Case::new("only_the_supervisor_asks_the_kernel", usage(UsageError::IllegalTask), |_, _| {
        sys_send(TaskId::KERNEL, 3, &[], &mut [], &[]);
        Err(line!())
    }),
    Case::new("posting_outside_the_table_is_a_fault", usage(UsageError::IllegalTask), |_, _| {
        sys_post(first(BYSTANDER), HINTED);
        Err(line!())
    }),
    Case::new("posting_to_nobody_is_a_fault", usage(UsageError::TaskOutOfRange), |_, _| {
        sys_post(first(NOBODY), HINTED);
        Err(line!())
    }),
    Case::new("receiving_from_oneself_is_a_fault", usage(UsageError::IllegalTask), |_, _| {
        // The only answer is the fault.
        let _ = sys_recv(&mut [], 0, Some(sys_refresh_task_id(first(SUBJECT))));
        Err(line!())
    }),
    Case::new("interrupts_that_one_does_not_have_are_a_fault", usage(UsageError::NoIrq), |_, _| {
        sys_irq_control(HINTED, true);
        Err(line!())
    }),
    Case::new("a_slice_that_wraps_is_a_fault", usage(UsageError::InvalidSlice), |subject, _| {
        raw_send(subject, [usize::MAX - 3, 8, 0, 0], [0, 0]);
        Err(line!())
    }),
    Case::new(
        "an_unaligned_lease_table_is_a_fault",
        usage(UsageError::InvalidSlice),
        |subject, _| {
            raw_send(subject, [0; 4], [address(&CONSTANT) | 1, 1]);
            Err(line!())
        },
    ),
    Case::new("too_many_leases_are_a_fault", usage(UsageError::InvalidSlice), |subject, _| {
        raw_send(subject, [0; 4], [0x1000, abi::MAX_LEASES + 1]);
        Err(line!())
    }),
    Case::new("a_message_out_of_foreign_memory_is_a_fault", Expect::KernelAccess, |subject, _| {
        raw_send(subject, [0x1000, 4, 0, 0], [0, 0]);
        Err(line!())
    }),
    Case::new("an_answer_into_constants_is_a_fault", Expect::KernelAccess, |subject, _| {
        raw_send(subject, [0, 0, address(&CONSTANT), 4], [0, 0]);
        Err(line!())
    }),
    Case::new("receiving_into_constants_is_a_fault", Expect::KernelAccess, |_, _| {
        raw(Sysnum::Recv as u32, [address(&CONSTANT), 4, 0, 0, 0, 0, 0]);
        Err(line!())
    }),
    Case::new("memory_is_copied_whole_at_any_length_and_place", Expect::Pass, |_, _| memory()),
    Case::new("long_numbers_are_divided_without_a_rest_lost", Expect::Pass, |_, _| division()),
];

/// Copies, moves, fills and compares at all alignments: a board's tasks bring
/// functions of their own for that (`userlib`).
fn memory() -> Outcome {
    let pattern: [u8; 48] = core::array::from_fn(|n| n as u8 + 1);
    for (from, to) in (0..8).flat_map(|from| (0..8).map(move |to| (from, to))) {
        for len in 0..24 {
            // Lengths that the compiler knows become no calls.
            let (from, to, len) = core::hint::black_box((from, to, len));
            let mut copied = [0; 48];
            copied[to..][..len].copy_from_slice(&pattern[from..][..len]);
            let right = |(at, byte): (usize, &u8)| {
                let inside = (to..to + len).contains(&at);
                *byte == if inside { pattern[from + at - to] } else { 0 }
            };
            if !copied.iter().enumerate().all(right) {
                return Err(line!());
            }
            let same = copied[to..][..len] == pattern[from..][..len];
            if !(same && (len == 0 || copied[to..][..len] > [0; 24][..len])) {
                return Err(line!());
            }

            let mut moved = pattern;
            moved.copy_within(from..from + len, to);
            let right = |(at, byte): (usize, &u8)| {
                let inside = (to..to + len).contains(&at);
                *byte == if inside { pattern[from + at - to] } else { pattern[at] }
            };
            if !moved.iter().enumerate().all(right) {
                return Err(line!());
            }

            let mut filled = pattern;
            filled[to..][..len].fill(from as u8);
            let right = |(at, byte): (usize, &u8)| {
                let inside = (to..to + len).contains(&at);
                *byte == if inside { from as u8 } else { pattern[at] }
            };
            if !filled.iter().enumerate().all(right) {
                return Err(line!());
            }
        }
    }
    Ok(())
}

/// Divides numbers of all sizes: that too is `userlib`'s on a board.
fn division() -> Outcome {
    let (mut dividend, mut seed) = (u64::MAX, 0x9E37_79B9_7F4A_7C15_u64);
    for bits in (0..64).chain((0..64).rev()) {
        for divisor in [1, 2, 3, 10, 48_000, seed >> bits | 1, u64::MAX - 1, u64::MAX] {
            let (dividend, divisor) = core::hint::black_box((dividend, divisor));
            let (quotient, rest) = (dividend / divisor, dividend % divisor);
            let product = u128::from(quotient) * u128::from(divisor) + u128::from(rest);
            if rest >= divisor || product != u128::from(dividend) {
                return Err(line!());
            }
        }
        seed = seed.rotate_left(7).wrapping_mul(0xD134_2543_DE82_EF95);
        dividend = seed >> (bits / 2);
    }
    Ok(())
}
