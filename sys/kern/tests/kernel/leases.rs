//! Leases: BORROW_READ, BORROW_WRITE, BORROW_INFO, and lease tables.

use crate::bench::{Bench, Memory, RAM};
use abi::{
    DEFECT, FaultInfo, FaultSource, LeaseAttributes, MAX_LEASES, SchedState, Sysnum, TaskId,
    ULease, UsageError,
};

const READ: LeaseAttributes = LeaseAttributes::READ;
const WRITE: LeaseAttributes = LeaseAttributes::WRITE;
const BOTH: LeaseAttributes = LeaseAttributes(3);
const MEMORY: FaultInfo = FaultInfo::MemoryAccess { address: None, source: FaultSource::Kernel };

/// Task 3 sent to task 1, which received, with 16 bytes of data under leases:
/// 0 to read, 1 to write, 2 both; more rows follow.
fn lent(more: &[(LeaseAttributes, usize, usize)]) -> Bench {
    let mut bench = Bench::new();
    lend(&mut bench, more);
    bench
}

fn lend(bench: &mut Bench, more: &[(LeaseAttributes, usize, usize)]) {
    let data = bench.memory[3].ram + 512;
    bench.write(3, 512, &(0..16).collect::<Vec<u8>>());
    let mut rows = vec![(READ, data, 16), (WRITE, data, 16), (BOTH, data, 16)];
    rows.extend_from_slice(more);
    let table = bench.lease_table(3, &rows);
    let target = usize::from(bench.id(1).0) << 16;
    bench.call(3, Sysnum::Send, [target, 0, 0, 0, 0, table, rows.len()]);
    assert_eq!(bench.recv(1, 0)[5], rows.len());
}

fn borrow(
    bench: &mut Bench,
    number: Sysnum,
    lender: TaskId,
    index: usize,
    offset: usize,
    len: usize,
) -> (u32, usize) {
    let ram = bench.memory[1].ram;
    let r = bench.call(1, number, [usize::from(lender.0), index, offset, ram, len, 0, 0]);
    (r[0] as u32, r[1])
}

fn read(bench: &mut Bench, index: usize, offset: usize, len: usize) -> (u32, usize) {
    let lender = bench.id(3);
    borrow(bench, Sysnum::BorrowRead, lender, index, offset, len)
}

fn write(bench: &mut Bench, index: usize, offset: usize, len: usize) -> (u32, usize) {
    let lender = bench.id(3);
    borrow(bench, Sysnum::BorrowWrite, lender, index, offset, len)
}

#[test]
fn read_copies_from_the_offset_until_buffer_or_lease_ends() {
    let mut bench = lent(&[]);
    assert_eq!(read(&mut bench, 0, 4, 8), (0, 8));
    assert_eq!(bench.read(1, 0, 9), [4, 5, 6, 7, 8, 9, 10, 11, 0]);
    assert_eq!(read(&mut bench, 2, 12, 100), (0, 4));
    assert_eq!(read(&mut bench, 0, 16, 100), (0, 0));
}

#[test]
fn write_copies_to_the_offset_until_data_or_lease_ends() {
    let mut bench = lent(&[]);
    bench.write(1, 0, &[0xAA; 32]);
    assert_eq!(write(&mut bench, 1, 14, 32), (0, 2));
    assert_eq!(write(&mut bench, 2, 0, 1), (0, 1));
    assert_eq!(bench.read(3, 512, 17)[..2], [0xAA, 1]);
    assert_eq!(bench.read(3, 512 + 13, 4), [13, 0xAA, 0xAA, 0]);
}

#[test]
fn info_tells_attributes_and_length() {
    let mut bench = lent(&[]);
    for (index, attributes) in [READ, WRITE, BOTH].into_iter().enumerate() {
        let r = bench.call(1, Sysnum::BorrowInfo, [3, index, 0, 0, 0, 0, 0]);
        assert_eq!(r[..3], [0, attributes.0 as usize, 16]);
    }
}

#[test]
fn a_lease_that_was_not_given_is_the_borrowers_fault() {
    for number in [Sysnum::BorrowRead, Sysnum::BorrowWrite, Sysnum::BorrowInfo] {
        let mut bench = lent(&[]);
        let lender = bench.id(3);
        borrow(&mut bench, number, lender, 3, 0, 0);
        let fault = FaultInfo::SyscallUsage(UsageError::LeaseOutOfRange);
        assert_eq!(bench.fault(1), Some(fault));
        assert!(bench.is(3, SchedState::Runnable), "the lender gets the dead code");
    }
}

#[test]
fn a_copy_that_the_attributes_do_not_allow_is_the_borrowers_fault() {
    let fault = FaultInfo::SyscallUsage(UsageError::LeaseOutOfRange);
    let mut bench = lent(&[]);
    read(&mut bench, 1, 0, 1);
    assert_eq!(bench.fault(1), Some(fault));
    let mut bench = lent(&[]);
    write(&mut bench, 0, 0, 1);
    assert_eq!(bench.fault(1), Some(fault));
}

#[test]
fn an_offset_past_the_end_is_the_borrowers_fault() {
    let mut bench = lent(&[]);
    read(&mut bench, 0, 17, 0);
    assert_eq!(bench.fault(1), Some(FaultInfo::SyscallUsage(UsageError::OffsetOutOfRange)));
}

#[test]
fn a_buffer_that_is_not_its_own_is_the_borrowers_fault() {
    for number in [Sysnum::BorrowRead, Sysnum::BorrowWrite] {
        let mut bench = lent(&[]);
        let other = bench.memory[2].ram;
        bench.call(1, number, [3, 2, 0, other, 1, 0, 0]);
        assert_eq!(bench.fault(1), Some(MEMORY));
    }
}

#[test]
fn a_lender_that_does_not_wait_for_the_borrower_is_a_defect() {
    for number in [Sysnum::BorrowRead, Sysnum::BorrowWrite, Sysnum::BorrowInfo] {
        // It runs, waits for somebody else, was restarted, is faulted.
        let mut bench = lent(&[]);
        bench.reply(1, bench.id(3), 0, 0);
        let lender = bench.id(3);
        assert_eq!(borrow(&mut bench, number, lender, 0, 0, 1).0, DEFECT);

        bench.send(3, bench.id(2), 0, 0);
        bench.recv(2, 0);
        assert_eq!(borrow(&mut bench, number, lender, 0, 0, 1).0, DEFECT);

        bench.restart(3, true);
        lend(&mut bench, &[]);
        assert_eq!(borrow(&mut bench, number, lender, 0, 0, 1).0, DEFECT);

        bench.break_task(3);
        let lender = bench.id(3);
        assert_eq!(borrow(&mut bench, number, lender, 0, 0, 1).0, DEFECT);
        assert!(bench.is(1, SchedState::Runnable));
    }
}

#[test]
fn a_lender_that_is_not_there_is_the_borrowers_fault() {
    let mut bench = lent(&[]);
    borrow(&mut bench, Sysnum::BorrowRead, TaskId(5), 0, 0, 0);
    assert_eq!(bench.fault(1), Some(FaultInfo::SyscallUsage(UsageError::TaskOutOfRange)));
}

#[test]
fn lending_memory_one_may_not_use_is_the_lenders_fault_and_a_defect() {
    type Place = fn(&Memory) -> (usize, usize);
    let places: [Place; 5] = [
        |m| (m.dma, 8),
        |m| (m.device, 8),
        |m| (m.ram + RAM - 4, 8),
        |m| (m.ram - 4, 8),
        |_| (usize::MAX - 3, 3),
    ];
    for place in places {
        for write_it in [false, true] {
            let mut bench = Bench::new();
            let (base, len) = place(&bench.memory[3]);
            lend(&mut bench, &[(BOTH, base, len)]);
            let got = if write_it { write(&mut bench, 3, 0, 1) } else { read(&mut bench, 3, 0, 1) };
            assert_eq!(got, (DEFECT, 0));
            assert_eq!(bench.fault(3), Some(MEMORY));
            assert!(bench.is(1, SchedState::Runnable));
        }
    }
}

#[test]
fn lending_read_only_memory_to_write_is_the_lenders_fault() {
    let mut bench = Bench::new();
    let rom = bench.memory[3].rom;
    lend(&mut bench, &[(BOTH, rom, 8)]);
    assert_eq!(read(&mut bench, 3, 0, 8), (0, 8));
    assert_eq!(write(&mut bench, 3, 0, 8), (DEFECT, 0));
    assert_eq!(bench.fault(3), Some(MEMORY));
}

#[test]
fn a_lease_that_wraps_is_the_lenders_fault() {
    let mut bench = lent(&[(READ, usize::MAX - 3, 8)]);
    assert_eq!(read(&mut bench, 3, 0, 1), (DEFECT, 0));
    assert_eq!(bench.fault(3), Some(FaultInfo::SyscallUsage(UsageError::InvalidSlice)));
}

#[test]
fn a_lease_of_nothing_is_good_anywhere() {
    let mut bench = lent(&[(BOTH, 1, 0)]);
    assert_eq!(read(&mut bench, 3, 0, 8), (0, 0));
    assert_eq!(write(&mut bench, 3, 0, 8), (0, 0));
}

#[test]
fn a_bad_lease_table_is_the_senders_fault() {
    let row = size_of::<ULease>();
    type Table = fn(&Memory) -> usize;
    let cases: [(Table, usize, FaultInfo); 5] = [
        (|m| m.dma, 1, MEMORY),
        (|m| m.ram + RAM - 8, 1, MEMORY),
        (|_| 0, 1, MEMORY),
        (|m| m.ram + 1, 1, FaultInfo::SyscallUsage(UsageError::InvalidSlice)),
        (|m| m.ram, MAX_LEASES + 1, FaultInfo::SyscallUsage(UsageError::InvalidSlice)),
    ];
    for (table, count, fault) in cases {
        let mut bench = Bench::new();
        let table = table(&bench.memory[3]);
        bench.call(3, Sysnum::Send, [1 << 16, 0, 0, 0, 0, table, count]);
        assert_eq!(bench.fault(3), Some(fault), "{table:x} {count}");
    }
    assert!(MAX_LEASES * row > RAM, "a full table is another test's matter");
}
