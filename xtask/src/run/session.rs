//! Sessions as the pages between the cores have them.

use addr::{Bus, Phys};
use dsp_abi::control::{GateEntry, GatePage, GateRing, WindowEntry, WindowPage};
use qemu::{Error, Memory};
use zerocopy::{FromZeros, IntoBytes};

use super::places::Places;

/// A session that the DSP may use.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Session {
    /// What its monitor lets through.
    pub(crate) gate: GateEntry,
    /// Where its buffer is.
    pub(crate) window: WindowEntry,
}

impl Session {
    /// The rings that it has.
    pub(crate) fn rings(&self) -> impl Iterator<Item = &GateRing> {
        self.gate.rings.iter().filter(|ring| ring.dci != 0)
    }

    /// The first address behind its buffer that the controller must not touch.
    pub(crate) fn guard(&self) -> Bus {
        let buffer = self.window.buffer;
        Bus(u64::from(buffer.bus) + u64::from(buffer.len))
    }
}

/// Sessions of controller `n` that the DSP may use.
pub(crate) fn open(memory: &Memory, places: &Places, n: usize) -> Result<Vec<Session>, Error> {
    let mut gate = GatePage::new_zeroed();
    memory.read(places.gates[n], gate.as_mut_bytes())?;
    let mut windows = WindowPage::new_zeroed();
    memory.read(places.tables, windows.as_mut_bytes())?;
    let open = gate.entries.into_iter().filter(|entry| entry.open == 1);
    let session = |gate: GateEntry| {
        let window = windows.windows.get(gate.window as usize).copied().unwrap_or_default();
        Session { gate, window }
    };
    Ok(open.map(session).collect())
}

/// The one session that there is.
pub(crate) fn only(memory: &Memory, places: &Places) -> Result<Option<Session>, Error> {
    Ok(match open(memory, places, 0)?[..] {
        [session] => Some(session),
        _ => None,
    })
}

/// A page by the number that a record of these pages has for it.
pub(crate) fn page(at: u32) -> Phys {
    Phys(at.into())
}
