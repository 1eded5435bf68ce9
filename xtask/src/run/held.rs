//! What is still held when everything should have been given back.
//!
//! Read where it takes effect: in the gate pages, in the translation tables of
//! the DSP and of the controllers; and in counters of what only a task knows.

use addr::{PAGE, Phys};
use dsp_abi::control::{PEER_TABLES_PAGE, PEER_TABLES_PAGES};
use iommu::layout::{CONTEXTS, OWN};
use judge::report::Leaks;
use offload_broker::votes::Change;
use qemu::Memory;
use usb_core::pause::Pause;
use usb_core::power::Hold;
use zerocopy::IntoBytes;

use super::places::{Places, Static};
use super::session;

/// Counts `event` of the counters at `at`, by the event's place in its enum.
fn counter(memory: &Memory, at: Static, event: usize) -> Result<u32, qemu::Error> {
    memory.word(at.at.plus(4 * event as u64))
}

/// What is still held.
pub(crate) fn leaks(memory: &Memory, places: &Places) -> Result<Leaks, qemu::Error> {
    let standing = |at, came: usize, went: usize| {
        Ok::<_, qemu::Error>(counter(memory, at, came)?.wrapping_sub(counter(memory, at, went)?))
    };
    let mut leaks = Leaks {
        votes: standing(places.votes, Change::Cast as usize, Change::Released as usize)?,
        holds: standing(places.holds, Hold::Taken as usize, Hold::Ended as usize)?,
        quarantined: counter(memory, places.quarantines, 0)?,
        peer_pages: peer_pages(memory, places)?,
        ..Leaks::default()
    };
    for n in 0..places.controllers {
        for session in session::open(memory, places, n)? {
            leaks.interrupters += 1;
            leaks.endpoints += session.rings().count() as u32;
        }
        leaks.bus_pages += bus_pages(memory, places, n)?;
    }
    Ok(leaks)
}

/// Votes that were released twice.
pub(crate) fn double_releases(memory: &Memory, places: &Places) -> Result<u32, qemu::Error> {
    counter(memory, places.votes, Change::ReleasedTwice as usize)
}

/// The waits that USB demands, by name, in milliseconds altogether.
pub(crate) fn pauses(
    memory: &Memory,
    places: &Places,
) -> Result<Vec<(&'static str, u64)>, qemu::Error> {
    let pause = |pause: Pause| {
        let times = counter(memory, places.pauses, pause as usize)?;
        Ok((pause.name(), u64::from(times) * pause.ms()))
    };
    // Where there is no hub there are no waits for one.
    let some = |found: &Result<(_, u64), _>| found.as_ref().is_ok_and(|&(_, ms)| ms != 0);
    Pause::ALL.into_iter().map(pause).filter(|found| found.is_err() || some(found)).collect()
}

/// Entries in use of the DSP's second-level tables (ARM ARM B3.5.1).
fn peer_pages(memory: &Memory, places: &Places) -> Result<u32, qemu::Error> {
    let mut tables = vec![0_u32; usize::from(PEER_TABLES_PAGES) * PAGE as usize / 4];
    memory.read(page_of(places.tables, PEER_TABLES_PAGE), tables.as_mut_bytes())?;
    Ok(tables.iter().filter(|&&entry| entry & 0b11 != 0).count() as u32)
}

/// Pages that controller `n` sees below what its driver maps for itself, which
/// is where windows are (VMSAv8-64, 4 KiB, level 1 to 3: Arm ARM D8.3).
fn bus_pages(memory: &Memory, places: &Places, n: usize) -> Result<u32, qemu::Error> {
    const GIGABYTES: usize = (OWN.base >> 30) as usize;
    // 64 bytes a context descriptor, the table's address in its second eight
    // (IHI 0070 5.4).
    let context = page_of(places.tables, CONTEXTS).plus(n as u64 * 64);
    let mut root = 0_u64;
    memory.read(context.plus(8), root.as_mut_bytes())?;
    let Some(root) = next_table(root | 0b11).filter(|root| root.0 != 0) else { return Ok(0) };
    let mut pages = 0;
    for first in entries(memory, root)?.into_iter().take(GIGABYTES).filter_map(next_table) {
        for second in entries(memory, first)?.into_iter().filter_map(next_table) {
            pages += entries(memory, second)?.into_iter().filter(|entry| entry & 1 != 0).count();
        }
    }
    Ok(pages as u32)
}

fn entries(memory: &Memory, table: Phys) -> Result<Vec<u64>, qemu::Error> {
    let mut entries = vec![0_u64; PAGE as usize / 8];
    memory.read(table, entries.as_mut_bytes())?;
    Ok(entries)
}

/// Where the table is that a descriptor points to, if it is valid.
fn next_table(entry: u64) -> Option<Phys> {
    (entry & 0b11 == 0b11).then_some(Phys(entry & 0xFFFF_FFFF_F000))
}

fn page_of(pool: Phys, page: u16) -> Phys {
    pool.plus(u64::from(page) * u64::from(PAGE))
}
