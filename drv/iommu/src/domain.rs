//! Translation tables of the controllers' domains, in the `tables` pool.
//!
//! A descriptor goes from invalid to valid and back and never from one valid
//! value to another (Arm ARM D8.16, break-before-make); on this 32-bit machine
//! it is written as two words, the one with the valid bit last when it is made
//! and first when it is broken. Tables are not freed one by one: a domain gives
//! all of its tables back when its controller starts over.

use addr::{Bus, PAGE, Phys};
use dma::{Offset, Pool};
use iommu_api::{Access, IommuError};
use scarce::{Scarce, spent};

use crate::descriptors::{self, next_table};
use crate::layout::{CONTEXTS, FIRST_TABLE, MAX_TABLES, STREAM_TABLE};
use crate::smmu::page;

/// Which pages of the pool are tables of which domain.
#[derive(Clone, Debug, Hash)]
pub struct TablePages([Option<u8>; MAX_TABLES as usize]);

impl TablePages {
    /// All of them free. The SMMU must have forgotten those of an earlier life.
    #[must_use]
    pub fn new(pool: &Pool) -> Self {
        let room = pool.pages().saturating_sub(FIRST_TABLE).min(MAX_TABLES);
        pool.take_back(FIRST_TABLE, room);
        Self([None; MAX_TABLES as usize])
    }

    /// A page of zeros for domain `number`.
    fn take(&mut self, pool: &Pool, number: u8) -> Result<Offset, IommuError> {
        let room = usize::from(pool.pages().saturating_sub(FIRST_TABLE)).min(self.0.len());
        let free = self.0[..room].iter().position(Option::is_none);
        let free = free.filter(|_| !spent(Scarce::Table)).ok_or(IommuError::NoTables)?;
        self.0[free] = Some(number);
        pool.hand_out(FIRST_TABLE + free as u16, 1);
        let at = page(FIRST_TABLE + free as u16);
        pool.zero(at, PAGE);
        // Zeros before the descriptor that leads here.
        dma::publish();
        Ok(at)
    }

    /// Takes every table of domain `number` back. The SMMU must have forgotten
    /// them.
    fn give_back(&mut self, pool: &Pool, number: u8) {
        for (free, owner) in self.0.iter_mut().enumerate() {
            if *owner == Some(number) {
                *owner = None;
                pool.take_back(FIRST_TABLE + free as u16, 1);
            }
        }
    }
}

/// The tables of one controller.
#[derive(Clone, Debug, Hash)]
pub struct Domain {
    number: u8,
    stream: u16,
    /// The first-level table; there is none before the controller attaches.
    root: Option<Offset>,
}

impl Domain {
    /// The domain of controller `number`, invalid.
    #[must_use]
    pub const fn new(number: u8, stream: u16) -> Self {
        Self { number, stream, root: None }
    }

    /// The controller's stream.
    #[must_use]
    pub const fn stream(&self) -> u16 {
        self.stream
    }

    /// The domain's address space for the SMMU; never 0, and no two domains have
    /// the same, so that none hits another's translations.
    #[must_use]
    pub const fn asid(&self) -> u16 {
        self.number as u16 + 1
    }

    /// Whether the controller has attached.
    #[must_use]
    pub const fn is_attached(&self) -> bool {
        self.root.is_some()
    }

    /// Makes the stream abort everything. The SMMU has to be made to forget the
    /// stream and the space next, then [`Self::clear`] may follow.
    pub fn detach(&self, pool: &Pool) {
        write_low_first(pool, self.stream_entry(), descriptors::STREAM_INVALID);
        dma::publish();
    }

    /// Gives the tables back.
    pub fn clear(&mut self, pool: &Pool, tables: &mut TablePages) {
        tables.give_back(pool, self.number);
        self.root = None;
    }

    /// Makes an empty set of tables and points the stream at it. The SMMU has to
    /// be made to forget the stream next: it may hold the invalid entry.
    ///
    /// # Errors
    /// `NoTables`.
    pub fn attach(&mut self, pool: &Pool, tables: &mut TablePages) -> Result<(), IommuError> {
        let root = tables.take(pool, self.number)?;
        self.root = Some(root);
        let context = page(CONTEXTS) + u32::from(self.number) * 64;
        pool.zero(context, 64);
        write(pool, context + 8, pool.phys(root).0);
        write(pool, context + 24, descriptors::ATTRIBUTES);
        write(pool, context, descriptors::context_descriptor(self.asid()));
        dma::publish();
        write(pool, self.stream_entry(), descriptors::stream_entry(pool.phys(context)));
        dma::publish();
        Ok(())
    }

    /// Maps `count` pages from `to` at `at`, all of which must be unmapped. No
    /// invalidation is needed: an SMMU does not hold what does not translate.
    ///
    /// # Errors
    /// `NotAttached`, or `NoTables` with nothing mapped.
    pub fn map(
        &self,
        pool: &Pool,
        tables: &mut TablePages,
        at: Bus,
        to: Phys,
        count: u16,
        access: Access,
    ) -> Result<(), IommuError> {
        for n in 0..u64::from(count) {
            let offset = n * u64::from(PAGE);
            let entry = match self.leaf(pool, at.plus(offset), Some(tables)) {
                Ok(entry) => entry,
                Err(error) => {
                    // Never seen by anyone: the descriptors are not published.
                    self.unmap(pool, at, n as u16);
                    return Err(error);
                }
            };
            write(pool, entry, descriptors::page(to.plus(offset), access));
        }
        dma::publish();
        Ok(())
    }

    /// Unmaps `count` pages from `at`. The SMMU has to be made to forget them
    /// next.
    pub fn unmap(&self, pool: &Pool, at: Bus, count: u16) {
        for n in 0..u64::from(count) {
            if let Ok(entry) = self.leaf(pool, at.plus(n * u64::from(PAGE)), None) {
                write_low_first(pool, entry, descriptors::INVALID);
            }
        }
        dma::publish();
    }

    fn stream_entry(&self) -> Offset {
        page(STREAM_TABLE) + u32::from(self.stream) * 64
    }

    /// The place of the page descriptor for `at`: three levels of 4 KiB tables,
    /// the first with four entries. Missing tables are made if `tables` is given.
    fn leaf(
        &self,
        pool: &Pool,
        at: Bus,
        mut tables: Option<&mut TablePages>,
    ) -> Result<Offset, IommuError> {
        let mut table = self.root.ok_or(IommuError::NotAttached)?;
        for shift in [30, 21] {
            let entry = table + entry_offset(at, shift);
            table = match next_table(read(pool, entry)) {
                Some(next) => offset(pool, next),
                None => {
                    let tables = tables.as_deref_mut().ok_or(IommuError::NotMapped)?;
                    let next = tables.take(pool, self.number)?;
                    write(pool, entry, descriptors::table(pool.phys(next)));
                    next
                }
            };
        }
        Ok(table + entry_offset(at, 12))
    }
}

const fn entry_offset(at: Bus, shift: u32) -> Offset {
    ((at.0 >> shift) as u32 & 0x1FF) * 8
}

/// The offset of a page of the pool.
///
/// # Panics
/// When it is not of the pool: nobody else writes table descriptors.
fn offset(pool: &Pool, at: Phys) -> Offset {
    let offset = at.offset_from(pool.phys(0)).expect("a table lies in the pool");
    u32::try_from(offset).expect("a table lies in the pool")
}

fn read(pool: &Pool, at: Offset) -> u64 {
    u64::from(pool.read32(at)) | u64::from(pool.read32(at + 4)) << 32
}

/// Writes a descriptor that becomes valid: high word, then the low word with
/// the valid bit.
fn write(pool: &Pool, at: Offset, value: u64) {
    pool.write32(at + 4, (value >> 32) as u32);
    dma::publish();
    pool.write32(at, value as u32);
}

/// Writes a descriptor that becomes invalid: low word first.
fn write_low_first(pool: &Pool, at: Offset, value: u64) {
    pool.write32(at, value as u32);
    dma::publish();
    pool.write32(at + 4, (value >> 32) as u32);
}
