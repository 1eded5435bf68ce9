//! Translation tables as the hardware reads them: short descriptors, with
//! SCTLR.AFE and TRE clear and domain 0 a client (ARM ARM ARMv7-A B3.5.1, B3.7).
//! Written from the manual, and not with what makes the tables.

use super::{Rights, Translation};
use tables::Tables;

/// Entries of a first-level table of half of the address space.
const HALF: usize = 2048;
const SECTION: u32 = 0x10_0000;
const PAGE: u32 = 0x1000;

/// Of what kind memory is (B3.8.2).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// Normal, write-back, write-allocate, shared with the other core.
    Cached,
    /// Normal, shared, kept in no cache.
    Uncached,
    /// Registers.
    Device,
    /// Something that no image has.
    Other,
}

/// A section or a page.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) at: u32,
    pub(super) bytes: u32,
    pub(super) physical: u32,
    pub(super) privileged: Rights,
    pub(super) unprivileged: Rights,
    pub(super) memory: Memory,
    /// Whether it holds in every task's space.
    pub(super) global: bool,
}

/// Bits 8:5 of a first-level descriptor: another domain than 0 is out of reach.
const DOMAIN: u32 = 0xF << 5;

impl Translation {
    /// What is mapped below 2^31 while task `task` is current.
    pub(super) fn of_task(&self, task: usize) -> Vec<Mapped> {
        let table = self.tables.lower + task as u32 * Tables::LOWER_BYTES;
        self.entries(table, 0)
    }

    /// What is mapped from 2^31 on.
    pub(super) fn of_kernel(&self) -> Vec<Mapped> {
        self.entries(self.tables.upper, HALF)
    }

    /// What the table at `table` maps by half of its entries, from `first` on.
    fn entries(&self, table: u32, first: usize) -> Vec<Mapped> {
        let mut all = Vec::new();
        for megabyte in first..first + HALF {
            let at = megabyte as u32 * SECTION;
            let entry = self.word(table + megabyte as u32 * 4);
            match entry & 0b11 {
                0b00 => {}
                0b01 => all.extend(self.pages(entry, at)),
                _ => all.push(section(entry, at)),
            }
        }
        all
    }

    fn pages(&self, entry: u32, at: u32) -> impl Iterator<Item = Mapped> {
        (0..256).filter_map(move |n| {
            let word = self.word((entry & !0x3FF) + n * 4);
            let at = at + n * PAGE;
            match word & 0b11 {
                0b00 => None,
                // A large page: nobody makes one.
                0b01 => Some(Mapped::strange(at, PAGE)),
                _ if entry & DOMAIN != 0 => Some(Mapped::strange(at, PAGE)),
                _ => Some(Mapped {
                    at,
                    bytes: PAGE,
                    physical: word & !(PAGE - 1),
                    memory: memory(word >> 6 & 0b111, word >> 2 & 0b11, word >> 10 & 1),
                    global: word >> 11 & 1 == 0,
                    ..Mapped::rights(
                        (word >> 9 & 1) << 2 | word >> 4 & 0b11,
                        word & 1 != 0,
                        entry >> 2 & 1 != 0,
                    )
                }),
            }
        })
    }

    /// The word at an address; a table outside of the tables has every right.
    fn word(&self, at: u32) -> u32 {
        const LARGE_PAGE: u32 = 0b01;
        let index = at.wrapping_sub(self.base) as usize / 4;
        self.words.get(index).copied().unwrap_or(LARGE_PAGE)
    }
}

fn section(entry: u32, at: u32) -> Mapped {
    const SUPERSECTION: u32 = 1 << 18;
    if entry & (SUPERSECTION | DOMAIN) != 0 {
        return Mapped::strange(at, SECTION);
    }
    Mapped {
        at,
        bytes: SECTION,
        physical: entry & !(SECTION - 1),
        memory: memory(entry >> 12 & 0b111, entry >> 2 & 0b11, entry >> 16 & 1),
        global: entry >> 17 & 1 == 0,
        ..Mapped::rights(
            (entry >> 15 & 1) << 2 | entry >> 10 & 0b11,
            entry >> 4 & 1 != 0,
            entry & 1 != 0,
        )
    }
}

/// The kind of memory of TEX, C and B, and S.
fn memory(tex: u32, cached_buffered: u32, shareable: u32) -> Memory {
    match (tex, cached_buffered, shareable) {
        (0b001, 0b11, 1) => Memory::Cached,
        (0b001, 0b00, 1) => Memory::Uncached,
        // Shareable device memory, whatever S says.
        (0b000, 0b01, _) => Memory::Device,
        _ => Memory::Other,
    }
}

impl Mapped {
    /// What is no descriptor that an image has: everything may be done there,
    /// which nothing allows.
    fn strange(at: u32, bytes: u32) -> Self {
        let all = Rights { read: true, write: true, execute: true };
        Self {
            at,
            bytes,
            // Anywhere but at its own address.
            physical: !at & !(SECTION - 1),
            privileged: all,
            unprivileged: all,
            memory: Memory::Other,
            global: true,
        }
    }

    /// The rights of AP[2:0], XN and PXN (B3.7.1, B3.7.2).
    fn rights(access: u32, execute_never: bool, privileged_execute_never: bool) -> Self {
        let (privileged, unprivileged) = match access {
            0b000 => (Rights::NONE, Rights::NONE),
            0b001 => (Rights::READ_WRITE, Rights::NONE),
            0b010 => (Rights::READ_WRITE, Rights::READ),
            0b011 => (Rights::READ_WRITE, Rights::READ_WRITE),
            0b101 => (Rights::READ, Rights::NONE),
            0b110 | 0b111 => (Rights::READ, Rights::READ),
            // Reserved.
            _ => return Self::strange(0, 0),
        };
        let execute = |rights: Rights, never: bool| Rights {
            execute: rights.read && !execute_never && !never,
            ..rights
        };
        Self {
            at: 0,
            bytes: 0,
            physical: 0,
            memory: Memory::Other,
            global: true,
            privileged: execute(privileged, privileged_execute_never),
            unprivileged: execute(unprivileged, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mapped, Memory, Rights, section};

    const AT: u32 = 0x4020_0000;
    /// TEX 0b001, C, B, S.
    const CACHED: u32 = 0b001 << 12 | 0b11 << 2 | 1 << 16;

    fn rights(of: Rights) -> String {
        of.to_string()
    }

    /// Rows of table B3-8 (access) with those of XN and PXN.
    #[test]
    fn access_and_execution_are_read_as_the_manual_has_them() {
        let rows = [
            // AP[2:0], XN, PXN: privileged, unprivileged
            (0b000, false, false, "---", "---"),
            (0b001, false, false, "rwx", "---"),
            (0b001, true, false, "rw-", "---"),
            (0b010, true, false, "rw-", "r--"),
            (0b011, false, true, "rw-", "rwx"),
            (0b011, true, true, "rw-", "rw-"),
            (0b101, false, false, "r-x", "---"),
            (0b101, false, true, "r--", "---"),
            (0b110, true, false, "r--", "r--"),
            (0b111, false, true, "r--", "r-x"),
            // Reserved: worse than anything.
            (0b100, true, true, "rwx", "rwx"),
        ];
        for (access, never, privileged_never, privileged, unprivileged) in rows {
            let read = Mapped::rights(access, never, privileged_never);
            let told = (rights(read.privileged), rights(read.unprivileged));
            assert_eq!(told, (privileged.into(), unprivileged.into()), "AP {access:#05b}");
        }
    }

    #[test]
    fn a_section_says_where_it_is_and_of_what_kind() {
        let user_data = section(AT | 0b10 | CACHED | 0b11 << 10 | 1 << 4 | 1 << 17, AT);
        assert_eq!((user_data.at, user_data.physical, user_data.bytes), (AT, AT, 0x10_0000));
        assert_eq!((user_data.memory, user_data.global), (Memory::Cached, false));
        assert_eq!(rights(user_data.unprivileged), "rw-");
        let device = section(AT | 0b10 | 1 << 2 | 0b01 << 10 | 1 << 4, AT);
        assert_eq!((device.memory, device.global), (Memory::Device, true));
        let uncached = section(AT | 0b10 | 0b001 << 12 | 1 << 16, AT);
        assert_eq!(uncached.memory, Memory::Uncached);
        let unshared = section(AT | 0b10 | CACHED & !(1 << 16), AT);
        assert_eq!(unshared.memory, Memory::Other);
    }

    #[test]
    fn a_supersection_and_another_domain_are_strange() {
        for bit in [18, 5, 8] {
            let strange = section(AT | 0b10 | CACHED | 1 << bit, AT);
            assert_eq!(rights(strange.unprivileged), "rwx");
            assert_ne!(strange.physical, AT);
        }
    }
}
