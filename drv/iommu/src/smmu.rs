//! The SMMU's registers and queues (IHI 0070 4, 6, 7).
//!
//! Bring-up with every stream invalid, commands that are waited for, records of
//! faults. A command's completion is the platform's own affair and comes within
//! microseconds, so it is polled for, a bounded number of times.

use addr::{Bus, PAGE};
use dma::Pool;
use iommu_api::IommuError;
use mmio::Registers;

use crate::layout::{
    COMMAND_QUEUE, COMMAND_QUEUE_LOG2, EMPTY_PAGE, EVENT_QUEUE, EVENT_QUEUE_LOG2, STREAM_TABLE,
    STREAM_TABLE_LOG2, STREAM_TABLE_PAGES,
};

const CR0: u32 = 0x20;
const CR0ACK: u32 = 0x24;
const CR1: u32 = 0x28;
const IRQ_CTRL: u32 = 0x50;
const IRQ_CTRLACK: u32 = 0x54;
const GERROR: u32 = 0x60;
const GERRORN: u32 = 0x64;
const STRTAB_BASE: u32 = 0x80;
const STRTAB_BASE_CFG: u32 = 0x88;
const CMDQ_BASE: u32 = 0x90;
const CMDQ_PROD: u32 = 0x98;
const CMDQ_CONS: u32 = 0x9C;
const EVENTQ_BASE: u32 = 0xA0;
const EVENTQ_PROD: u32 = 0x1_00A8;
const EVENTQ_CONS: u32 = 0x1_00AC;

const SMMUEN: u32 = 1 << 0;
const EVENTQEN: u32 = 1 << 2;
const CMDQEN: u32 = 1 << 3;
const IRQ_GERROR: u32 = 1 << 0;
const IRQ_EVENTQ: u32 = 1 << 2;
/// Tables and queues are read past the caches, as the cores write them.
const CR1_UNCACHED: u32 = 0;
/// GERROR: the command queue stopped at an error.
const CMDQ_ERR: u32 = 1 << 0;
/// EVENTQ_PROD.OVFLG, and OVACKFLG in EVENTQ_CONS.
const OVERFLOW: u32 = 1 << 31;

const CFGI_STE: u32 = 0x03;
const CFGI_ALL: u32 = 0x04;
const CFGI_CD: u32 = 0x05;
const TLBI_NH_ASID: u32 = 0x11;
const TLBI_NH_VA: u32 = 0x12;
const TLBI_NSNH_ALL: u32 = 0x30;
const SYNC: u32 = 0x46;

const COMMAND_BYTES: u32 = 16;
const RECORD_BYTES: u32 = 32;
/// Commands between two looks at the queue's room: half of it.
const BATCH: u32 = 1 << (COMMAND_QUEUE_LOG2 - 1);
/// Reads of a register before the SMMU counts as broken: some tens of
/// milliseconds on any machine, where microseconds are usual.
const POLLS: u32 = 500_000;

/// The SMMU did not do in time what it must do by itself.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Timeout;

impl From<Timeout> for IommuError {
    fn from(_: Timeout) -> Self {
        Self::SmmuTimeout
    }
}

/// A blocked access, out of the event queue.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What was wrong (7.3).
    pub kind: u8,
    /// Whose access.
    pub stream: u16,
    /// With what address; 0 for records that have none.
    pub at: Bus,
    /// Whether it wrote.
    pub write: bool,
}

/// The SMMU.
#[derive(Clone, Debug, Hash)]
pub struct Smmu<'c> {
    registers: &'c Registers,
    tables: &'c Pool,
    producer: u32,
    /// Commands written since the queue was last seen empty.
    unseen: u32,
}

impl<'c> Smmu<'c> {
    /// Takes the SMMU over, from a reset or from an earlier life of this task:
    /// afterwards every stream is invalid and nothing of old is cached.
    ///
    /// Never disables it once it was enabled: controllers would be let through
    /// untranslated.
    ///
    /// # Errors
    /// When it does not answer.
    ///
    /// # Panics
    /// When the pool is not aligned to the stream table: the image is wrong.
    pub fn take_over(registers: &'c Registers, tables: &'c Pool) -> Result<Self, Timeout> {
        let mut smmu = Self { registers, tables, producer: 0, unseen: 0 };
        let table = page(STREAM_TABLE);
        let table_bytes = u64::from(STREAM_TABLE_PAGES) * u64::from(PAGE);
        assert!(tables.phys(table).is_aligned(table_bytes), "the stream table is not aligned");
        tables.hand_out(STREAM_TABLE, EMPTY_PAGE + 1 - STREAM_TABLE);
        let enabled = registers.read32(CR0) & SMMUEN;
        smmu.control(enabled)?;
        // Word 0 first: an entry becomes invalid before it becomes anything else.
        for stream in 0..1 << STREAM_TABLE_LOG2 {
            tables.write32(table + stream * 64, 0);
        }
        dma::publish();
        for stream in 0..1 << STREAM_TABLE_LOG2 {
            tables.zero(table + stream * 64, 64);
        }
        tables.zero(page(EVENT_QUEUE), PAGE);
        dma::publish();
        if enabled == 0 {
            registers.write32(CR1, CR1_UNCACHED);
            registers.write64(STRTAB_BASE, tables.phys(table).0);
            registers.write32(STRTAB_BASE_CFG, STREAM_TABLE_LOG2);
        }
        let queue = |page: u32, log2: u32| tables.phys(page).0 | u64::from(log2);
        registers.write64(CMDQ_BASE, queue(page(COMMAND_QUEUE), COMMAND_QUEUE_LOG2));
        registers.write32(CMDQ_PROD, 0);
        registers.write32(CMDQ_CONS, 0);
        registers.write64(EVENTQ_BASE, queue(page(EVENT_QUEUE), EVENT_QUEUE_LOG2));
        registers.write32(EVENTQ_PROD, 0);
        registers.write32(EVENTQ_CONS, 0);
        smmu.acknowledge_errors();
        smmu.control(enabled | CMDQEN)?;
        // One after the other: a controller that goes on would have translations fetched
        // again by a configuration that is still there.
        smmu.push([CFGI_ALL, 0, 31, 0])?;
        smmu.sync()?;
        smmu.push([TLBI_NSNH_ALL, 0, 0, 0])?;
        smmu.sync()?;
        registers.write32(IRQ_CTRL, IRQ_GERROR | IRQ_EVENTQ);
        smmu.wait(IRQ_CTRLACK, IRQ_GERROR | IRQ_EVENTQ)?;
        smmu.control(enabled | CMDQEN | EVENTQEN)?;
        smmu.control(SMMUEN | CMDQEN | EVENTQEN)?;
        Ok(smmu)
    }

    /// Makes the SMMU forget what it holds of a stream and its context
    /// descriptor; done when it returns.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn forget_stream(&mut self, stream: u16) -> Result<(), Timeout> {
        self.push([CFGI_STE, u32::from(stream), 1, 0])?;
        self.push([CFGI_CD, u32::from(stream), 1, 0])?;
        self.sync()
    }

    /// Makes the SMMU forget every translation of an address space; done when it
    /// returns.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn forget_space(&mut self, asid: u16) -> Result<(), Timeout> {
        self.push([TLBI_NH_ASID, u32::from(asid) << 16, 0, 0])?;
        self.sync()
    }

    /// Makes the SMMU forget `count` pages from `first`; done when it returns.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn forget_pages(&mut self, asid: u16, first: Bus, count: u16) -> Result<(), Timeout> {
        for n in 0..u64::from(count) {
            let at = first.plus(n * u64::from(PAGE));
            // Leaf: the tables above stay as they are.
            self.push([TLBI_NH_VA, u32::from(asid) << 16, at.low() | 1, at.high()])?;
        }
        self.sync()
    }

    /// The next record of the event queue.
    pub fn next_record(&mut self) -> Option<Record> {
        let index = (2 << EVENT_QUEUE_LOG2) - 1;
        let producer = self.registers.read32(EVENTQ_PROD);
        let consumer = self.registers.read32(EVENTQ_CONS);
        if (producer ^ consumer) & index == 0 {
            // An overflow is acknowledged once all that was kept is read.
            if (producer ^ consumer) & OVERFLOW != 0 {
                self.registers.write32(EVENTQ_CONS, consumer & index | producer & OVERFLOW);
            }
            return None;
        }
        dma::acquire();
        let slot = consumer & (index >> 1);
        let mut bytes = [0; RECORD_BYTES as usize];
        self.tables.read(page(EVENT_QUEUE) + slot * RECORD_BYTES, &mut bytes);
        let next = (consumer + 1) & index;
        self.registers.write32(EVENTQ_CONS, next | consumer & OVERFLOW);
        Some(decode(&bytes))
    }

    /// Acknowledges global errors. What they tell is no news: a lost record
    /// means that there were others, and a stopped command queue shows in the
    /// command that is waited for.
    pub fn acknowledge_errors(&self) {
        let error = self.registers.read32(GERROR);
        if error != self.registers.read32(GERRORN) {
            self.registers.write32(GERRORN, error);
        }
    }

    /// Queues a command; [`Self::sync`] waits for it.
    fn push(&mut self, words: [u32; 4]) -> Result<(), Timeout> {
        if self.unseen == BATCH {
            self.sync()?;
        }
        self.write(words);
        Ok(())
    }

    /// Puts a command in the queue, which has room for [`BATCH`] and a SYNC.
    fn write(&mut self, words: [u32; 4]) {
        let slot = self.producer & ((1 << COMMAND_QUEUE_LOG2) - 1);
        let mut bytes = [0; COMMAND_BYTES as usize];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        self.tables.write(page(COMMAND_QUEUE) + slot * COMMAND_BYTES, &bytes);
        self.producer = (self.producer + 1) & ((2 << COMMAND_QUEUE_LOG2) - 1);
        self.unseen += 1;
    }

    /// Queues a SYNC and waits until it, and so all before it, is done: a SYNC
    /// is consumed only when what it waits for has taken effect (4.6.3).
    fn sync(&mut self) -> Result<(), Timeout> {
        self.write([SYNC, 0, 0, 0]);
        self.unseen = 0;
        // Tables and commands before the register that starts the walk to them.
        dma::publish();
        self.registers.write32(CMDQ_PROD, self.producer);
        for _ in 0..POLLS {
            if self.registers.read32(CMDQ_CONS) & ((2 << COMMAND_QUEUE_LOG2) - 1) == self.producer {
                return Ok(());
            }
            let error = self.registers.read32(GERROR) ^ self.registers.read32(GERRORN);
            if error & CMDQ_ERR != 0 {
                return Err(Timeout);
            }
        }
        Err(Timeout)
    }

    fn control(&self, value: u32) -> Result<(), Timeout> {
        self.registers.write32(CR0, value);
        self.wait(CR0ACK, value)
    }

    fn wait(&self, register: u32, value: u32) -> Result<(), Timeout> {
        for _ in 0..POLLS {
            if self.registers.read32(register) == value {
                return Ok(());
            }
        }
        Err(Timeout)
    }
}

fn decode(bytes: &[u8; RECORD_BYTES as usize]) -> Record {
    const F_TRANSLATION: u8 = 0x10;
    const F_PERMISSION: u8 = 0x13;
    let word = |n: usize| {
        u32::from_le_bytes([bytes[n * 4], bytes[n * 4 + 1], bytes[n * 4 + 2], bytes[n * 4 + 3]])
    };
    let kind = bytes[0];
    // Only translation faults carry an input address (7.3.12 to 7.3.16).
    let addressed = (F_TRANSLATION..=F_PERMISSION).contains(&kind);
    Record {
        kind,
        stream: word(1) as u16,
        at: if addressed { Bus(u64::from(word(4)) | u64::from(word(5)) << 32) } else { Bus(0) },
        write: addressed && word(3) & 1 << 3 == 0,
    }
}

/// Offset of a page in the pool.
pub(crate) const fn page(number: u16) -> u32 {
    number as u32 * PAGE
}

#[cfg(test)]
mod tests {
    use super::{Record, decode};
    use addr::Bus;

    #[test]
    fn records_are_read_as_qemu_writes_them() {
        let mut bytes = [0; 32];
        bytes[0] = 0x10;
        bytes[4] = 0x10;
        bytes[12] = 1 << 3;
        bytes[13] = 0b10;
        bytes[16..24].copy_from_slice(&0xF000_0040_u64.to_le_bytes());
        let read = Record { kind: 0x10, stream: 0x10, at: Bus(0xF000_0040), write: false };
        assert_eq!(decode(&bytes), read);
        bytes[12] = 0;
        assert_eq!(decode(&bytes), Record { write: true, ..read });
        bytes[0] = 0x04;
        assert_eq!(decode(&bytes), Record { kind: 4, at: Bus(0), ..read });
    }
}
