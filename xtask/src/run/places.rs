//! Where in a board's memory stands what is looked at from outside.
//!
//! Logs and counters are statics, found by name in the image's archive; what
//! the cores share is where app.toml has it. Nothing in the image is there for
//! this.

use addr::{PAGE, Phys};
use archive::Archive;
use dsp_abi::media::ANSWER_PAGE;
use image::Image;
use object::{Object, ObjectSymbol};

/// A static of the image, or a function.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Static {
    /// Where it is.
    pub(crate) at: Phys,
    /// Its bytes.
    pub(crate) size: usize,
}

/// All places.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// When core 0 slept: `sys/kern/src/arch/armv7a/sleeps.rs`.
    pub(crate) sleeps: Static,
    /// Lives of tasks beyond the first.
    pub(crate) restarts: Static,
    /// Last words of the kernel, and of core 1's monitor.
    pub(crate) epitaphs: [Static; 2],
    /// Where the kernel ends.
    pub(crate) halt: Static,
    /// When streams' events came: `dsp/core1/src/monitor/streams.rs`.
    pub(crate) streams: Static,
    /// Counters of the USB core: its pauses, and holds.
    pub(crate) pauses: Static,
    pub(crate) holds: Static,
    /// Counters of the broker: votes.
    pub(crate) votes: Static,
    /// Counters of the mapper: quarantines.
    pub(crate) quarantines: Static,
    /// The pool `media`, and the player's answer in it.
    pub(crate) media: Phys,
    pub(crate) answer: Phys,
    /// The pools `mailbox` and `tables`, and each controller's gate.
    pub(crate) mailbox: Phys,
    pub(crate) gates: Vec<Phys>,
    pub(crate) tables: Phys,
    /// Registers of the SMMU and of the first controller, and the page that bells
    /// are rung in.
    pub(crate) smmu: Phys,
    pub(crate) xhci: Phys,
    pub(crate) bells: Phys,
    /// Controllers of the image.
    pub(crate) controllers: usize,
}

impl Places {
    /// The places of `image`; what is missing when it is not one that plays.
    pub(crate) fn of(image: &Image) -> Result<Self, String> {
        let archive = Archive::open(&image.archive).map_err(|error| error.to_string())?;
        let kernel = |name| symbol(archive.kernel(), name, |symbol| symbol == name);
        let core1 = |name| {
            let monitor = archive.core1().find(|program| program.name == "dsp-monitor");
            let monitor = monitor.ok_or("the image has no DSP")?;
            symbol(monitor.elf, name, |symbol| symbol == name)
        };
        // Mangled by the compiler: lengths before names, crate before the rest.
        let counters = |task: &str, krate: &str, name: &str| {
            let elf = archive.tasks().find(|found| found.name == task);
            let elf = elf.ok_or_else(|| format!("the image has no task {task}"))?.elf;
            let (of, end) = (mangled(krate), mangled(name));
            symbol(elf, name, |symbol| symbol.contains(&of) && symbol.ends_with(&end))
        };
        let app = &image.app;
        let pool = |name: &str| {
            let pool = app.pool(name).ok_or_else(|| format!("the image has no pool {name}"))?;
            Ok::<_, String>(pool.base)
        };
        let registers = |name: &str| {
            let found = app.peripheral(name).ok_or_else(|| format!("the chip has no {name}"))?;
            Ok::<_, String>(found.address)
        };
        let media = pool("media")?;
        Ok(Self {
            sleeps: kernel("KERNEL_SLEEPS")?,
            restarts: kernel("KERNEL_RESTARTS")?,
            epitaphs: [kernel("KERNEL_EPITAPH")?, core1("CORE1_EPITAPH")?],
            halt: kernel("sotto_halt")?,
            streams: core1("CORE1_STREAMS")?,
            pauses: counters("usb_core", "usb_core", "PAUSES")?,
            holds: counters("usb_core", "usb_core", "HOLDS")?,
            votes: counters("offload_broker", "offload_broker", "VOTES")?,
            quarantines: counters("iommu", "iommu", "QUARANTINES")?,
            media,
            answer: media.plus(u64::from(ANSWER_PAGE) * u64::from(PAGE)),
            mailbox: pool("mailbox")?,
            gates: app.controllers().iter().map(|controller| controller.gate.base).collect(),
            tables: pool("tables")?,
            smmu: registers("smmu")?,
            xhci: registers("xhci0")?,
            bells: registers("gicv2m")?,
            controllers: app.controllers().len(),
        })
    }
}

/// A name as it stands in a mangled symbol.
fn mangled(name: &str) -> String {
    format!("{}{name}", name.len())
}

/// The first symbol of `elf` that `is` says it is.
pub(crate) fn symbol(elf: &[u8], name: &str, is: impl Fn(&str) -> bool) -> Result<Static, String> {
    let file = object::File::parse(elf).map_err(|error| format!("{name}: {error}"))?;
    let mut named =
        file.symbols().filter(|symbol| symbol.size() > 0 && symbol.name().is_ok_and(&is));
    let symbol = named.next().ok_or_else(|| format!("the image has no {name}"))?;
    Ok(Static { at: Phys(symbol.address()), size: symbol.size() as usize })
}

#[cfg(test)]
mod tests {
    use super::mangled;

    #[test]
    fn a_mangled_name_has_its_length_before_it() {
        let symbol = "_RNvNtCs1a2b3c_8usb_core5pause6PAUSES";
        assert!(symbol.contains(&mangled("usb_core")) && symbol.ends_with(&mangled("PAUSES")));
        assert!(!symbol.ends_with(&mangled("USES")));
    }
}
