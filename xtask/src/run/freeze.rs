//! Core 0 stopped with interrupts masked, from outside, while a stream plays.
//!
//! A debugger moves the core out of its sleep into the loop where the kernel
//! ends, rings a bell so that the sleep ends, and later puts it back. The bell
//! is the player's; its interrupt is taken after the thaw and wakes the core
//! once.

use dsp_abi::bell;
use qemu::{Core, Error, Gdb, Register, Running};
use std::time::{Duration, Instant};

use super::drive;
use super::places::Places;

const CORE_0: Core = Core(0);
const R0: Register = Register(0);
/// CPSR: no asynchronous aborts, interrupts, fast interrupts (ARM ARM B1.3.3).
const MASKED: u32 = 1 << 8 | 1 << 7 | 1 << 6;
const THUMB: u32 = 1 << 5;
const MODE: u32 = 0x1F;
const SUPERVISOR: u32 = 0x13;
/// WFI in Thumb and in A32 (A8.8.425).
const WFI_T1: u16 = 0xBF30;
const WFI_A1: u32 = 0xE320_F003;
/// How long is waited for core 0 to sleep.
const PATIENCE: Duration = Duration::from_secs(10);

/// The interrupt that wakes core 0 after the thaw.
pub(crate) const BELL: u32 = bell::PLAYER as u32;

/// Where a core was when it was frozen.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Frozen {
    pc: u32,
    cpsr: u32,
    r0: u32,
}

/// Core 0 while it sleeps, with the machine stopped: until the debugger lets go.
#[derive(Debug)]
pub(crate) struct Asleep {
    pub(crate) gdb: Gdb,
    pc: u32,
    cpsr: u32,
}

/// Stops the machine once core 0 sleeps.
pub(crate) fn asleep(machine: &mut Running) -> Result<Asleep, Error> {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut gdb = machine.debug()?;
        let pc = gdb.register(CORE_0, Register::PC)?;
        let cpsr = gdb.register(CORE_0, Register::CPSR)?;
        if sleeps(machine, pc, cpsr)? {
            return Ok(Asleep { gdb, pc, cpsr });
        }
        gdb.detach()?;
        if Instant::now() > until {
            return Err(Error::Late("core 0's sleep"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Freezes core 0 once it sleeps.
pub(crate) fn freeze(machine: &mut Running, places: &Places) -> Result<Frozen, Error> {
    let Asleep { mut gdb, pc, cpsr } = asleep(machine)?;
    // The one register that the loop uses.
    let r0 = gdb.register(CORE_0, R0)?;
    let to = places.halt.at.low();
    let thumb = if to & 1 == 1 { THUMB } else { 0 };
    gdb.set_register(CORE_0, Register::CPSR, cpsr & !THUMB | MASKED | thumb)?;
    gdb.set_register(CORE_0, Register::PC, to & !1)?;
    drive::ring(machine, places, bell::PLAYER)?;
    gdb.detach()?;
    Ok(Frozen { pc, cpsr, r0 })
}

/// Puts core 0 back to where it was. Whether it was where it had been put.
pub(crate) fn thaw(machine: &mut Running, places: &Places, frozen: Frozen) -> Result<bool, Error> {
    let mut gdb = machine.debug()?;
    let at = gdb.register(CORE_0, Register::PC)?;
    let halt = places.halt.at.low() & !1;
    let stayed = (halt..halt + places.halt.size as u32).contains(&at);
    if stayed {
        gdb.set_register(CORE_0, Register::CPSR, frozen.cpsr)?;
        gdb.set_register(CORE_0, Register::PC, frozen.pc)?;
        gdb.set_register(CORE_0, R0, frozen.r0)?;
    }
    gdb.detach()?;
    Ok(stayed)
}

/// Whether a core at `pc` is the kernel behind its WFI. What wakes it may be on
/// its way, which is then taken after the thaw.
fn sleeps(machine: &Running, pc: u32, cpsr: u32) -> Result<bool, Error> {
    let word = |at: u32| machine.memory.word(addr::Phys(u64::from(at)));
    let behind = if cpsr & THUMB != 0 {
        // The halfword before is the upper one of the word that ends here.
        word(pc.wrapping_sub(4))? >> 16 == u32::from(WFI_T1)
    } else {
        word(pc.wrapping_sub(4))? == WFI_A1
    };
    Ok(behind && cpsr & MODE == SUPERVISOR)
}
