//! Core 1 of an image: the DSP's program, and the monitor that runs it.
//!
//! Two binaries, linked above the tasks: the monitor (`dsp/core1`) in one
//! megabyte, the program in the next. The monitor is told where the program
//! became and where app.toml has the shared pages. An image without gate pages
//! has no DSP.
//!
//! Also here: the image that tries core 1 without a kernel (`test/core1`).

use crate::cargo::Binary;
use crate::elf::{Program, Segment};
use crate::layout::{self, Area, PAGE, Places, SECTION};
use crate::{Error, Folders, Stack, Usage, files};
use app::{App, Controller, Panics, Peripheral, Pool};
use std::fmt::Write;
use std::path::Path;

/// Bytes of the monitor's stack: its calls nest a few deep, with a datagram each.
const MONITOR_STACK: u32 = 0x4000;
/// Bytes of the program's stack, which holds all its state.
const PROGRAM_STACK: u32 = 0x4000;
/// Where in its megabyte the program's RAM begins.
const PROGRAM_RAM: u32 = 0x8_0000;
/// Most controllers that the shared pages have room for.
const CONTROLLERS: usize = 2;

const PACKAGE: &str = "core1";
const MONITOR: &str = "dsp-monitor";

/// What core 1 runs above its monitor.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum DspProgram {
    /// What ships.
    Own,
    /// What tries everything (`test/hostile`).
    Hostile,
}

impl DspProgram {
    const fn package(self) -> &'static str {
        match self {
            Self::Own => PACKAGE,
            Self::Hostile => "hostile",
        }
    }

    const fn binary(self) -> &'static str {
        match self {
            Self::Own => "dsp-program",
            Self::Hostile => "hostile",
        }
    }

    /// What core 1 runs then.
    pub(crate) const fn binaries(self) -> [&'static str; 2] {
        [MONITOR, self.binary()]
    }
}

/// Core 1's two programs.
pub(crate) struct Core1 {
    monitor: Program,
    program: Program,
    program_stack: Stack,
    places: CorePlaces,
    /// The monitor's stack and data, an unmapped page below them.
    data: Area,
}

/// Where they are.
#[derive(Copy, Clone)]
struct CorePlaces {
    monitor: u32,
    program: u32,
}

impl CorePlaces {
    fn above(places: &Places) -> Self {
        let monitor = places.ram.base + places.ram.size;
        Self { monitor, program: monitor + SECTION }
    }

    /// The RAM of `program`: its stack, and what it has beside.
    fn ram(self, program: &Program) -> Area {
        let base = self.program + PROGRAM_RAM;
        let data = program.segments.iter().filter(|segment| segment.is_writable());
        let end = data.map(Segment::end).max().unwrap_or(base + PROGRAM_STACK);
        Area { base, size: (end - base).next_multiple_of(PAGE) }
    }
}

impl Core1 {
    /// Where core 1 starts; bit 0 set for Thumb.
    pub(crate) const fn entry(&self) -> u32 {
        self.monitor.entry
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.monitor.segments.iter().chain(&self.program.segments)
    }

    pub(crate) const fn monitor(&self) -> &Program {
        &self.monitor
    }

    /// The monitor's stack, of [`Self::monitor_stack`] bytes, and its data.
    pub(crate) const fn monitor_ram(&self) -> Area {
        self.data
    }

    pub(crate) const fn monitor_stack(&self) -> u32 {
        MONITOR_STACK
    }

    pub(crate) const fn program(&self) -> &Program {
        &self.program
    }

    /// The program's RAM: its stack, of [`Self::program_stack`] bytes, and what it
    /// has beside.
    pub(crate) fn program_ram(&self) -> Area {
        self.places.ram(&self.program)
    }

    pub(crate) const fn program_stack(&self) -> u32 {
        PROGRAM_STACK
    }

    /// The registers that the monitor touches, and their names.
    pub(crate) fn registers<'a>(&self, app: &'a App) -> Vec<(Area, &'a str)> {
        let shared = Shared::of(app);
        let blocks = shared.iter().flat_map(|shared| {
            let registers = shared.controllers.iter().map(|controller| controller.registers);
            registers.chain(std::iter::once(shared.frame))
        });
        let area = |block: &Peripheral| Area { base: block.address.0 as u32, size: block.size };
        blocks.map(|block| (area(block), block.name.as_str())).collect()
    }

    /// Everything that makes it what it is, for a digest.
    pub(crate) fn contents(&self) -> Vec<u8> {
        [self.monitor.contents(), self.program.contents()].concat()
    }

    pub(crate) fn usage(&self) -> [Usage; 2] {
        let of = |name: &str, program: &Program, ram: u32, stack: Option<&Stack>| Usage {
            name: name.to_owned(),
            text: program.text(),
            constants: program.constants(),
            ram,
            flash_limit: None,
            ram_limit: None,
            stack: stack.cloned(),
        };
        let (monitor, program) = (self.data.size, self.program_ram().size);
        [
            of("core 1: monitor", &self.monitor, monitor, None),
            of("core 1: program", &self.program, program, Some(&self.program_stack)),
        ]
    }
}

/// Builds core 1 of `app` with `dsp`; none when it has no DSP.
pub(crate) fn build(
    app: &App,
    dsp: DspProgram,
    places: &Places,
    work: &Path,
    folders: &Folders,
) -> Result<Option<Core1>, Error> {
    let Some(shared) = Shared::of(app) else { return Ok(None) };
    let places = CorePlaces::above(places);
    let generated = work.join("core1.rs");
    // The program needs nothing of the file, but a binary is built with one.
    files::write_if_changed(&generated, "")?;
    let binary = |package, binary, script, symbols, generated| {
        let built = Binary {
            package,
            binary,
            features: &[],
            target: &app.target,
            cpu: app.cpu.as_deref(),
            panics: app.panics,
            generated: ("SOTTO_CORE1", generated),
            script,
            symbols,
        };
        Program::keep(&built.build(folders)?, work, binary)
    };
    let symbols = [
        ("PROGRAM_FLASH", places.program),
        ("PROGRAM_RAM", places.program + PROGRAM_RAM),
        ("PROGRAM_STACK", PROGRAM_STACK),
    ];
    let (package, name) = (dsp.package(), dsp.binary());
    let (program, file) = binary(package, name, "dsp/core1/program.x", &symbols, &generated)?;
    let program_stack = Stack::of(name, PROGRAM_STACK, &file)?;
    check(name, &program, |segment| !segment.is_writable(), places.program, PROGRAM_RAM)?;
    check(name, &program, |_| true, places.program, SECTION)?;
    let ram = places.ram(&program);

    let generated = work.join("core1-monitor.rs");
    files::write_if_changed(&generated, &constants(&shared, &program, ram))?;
    let symbols = [("CORE1_BASE", places.monitor), ("CORE1_STACK", MONITOR_STACK)];
    let (monitor, _) = binary(PACKAGE, MONITOR, "dsp/core1/monitor.x", &symbols, &generated)?;
    check(MONITOR, &monitor, |_| true, places.monitor, SECTION)?;
    let data = monitor.between(MONITOR, "core1_data", "core1_end")?;
    Ok(Some(Core1 { monitor, program, program_stack, places, data }))
}

/// Builds the image that tries `core1`; its segments and where core 0 starts.
pub(crate) fn build_test(
    app: &App,
    core1: &Core1,
    work: &Path,
    folders: &Folders,
) -> Result<Program, Error> {
    const NAME: &str = "core1-test";
    let shared = Shared::of(app).ok_or_else(|| Error::NoDsp(app.name.clone()))?;
    let generated = work.join("core1-test.rs");
    files::write_if_changed(&generated, &test_constants(&shared, core1))?;
    let built = Binary {
        package: NAME,
        binary: NAME,
        features: &[],
        target: &app.target,
        cpu: app.cpu.as_deref(),
        // Whatever it tries: a case that fails says so.
        panics: Panics::Messages,
        generated: ("SOTTO_CORE1_TEST", &generated),
        script: "test/core1/image.x",
        symbols: &[("TEST_BASE", layout::KERNEL)],
    };
    Ok(Program::keep(&built.build(folders)?, work, NAME)?.0)
}

/// Refuses an image without a DSP.
pub(crate) fn require(app: &App) -> Result<(), Error> {
    Shared::of(app).map(|_| ()).ok_or_else(|| Error::NoDsp(app.name.clone()))
}

/// Checks that these segments of a binary stay in `limit` bytes from `base` on.
pub(crate) fn check(
    name: &str,
    program: &Program,
    of: impl Fn(&&Segment) -> bool,
    base: u32,
    limit: u32,
) -> Result<(), Error> {
    let end = program.segments.iter().filter(of).map(Segment::end).max().unwrap_or(base);
    if end - base > limit {
        return Err(Error::PartTooLarge(name.into(), end - base, limit));
    }
    Ok(())
}

/// What the two cores share, by app.toml.
struct Shared<'a> {
    controllers: Vec<Controller<'a>>,
    gate: &'a Pool,
    answers: &'a Pool,
    tables: &'a Pool,
    mailbox: &'a Pool,
    rings: &'a Pool,
    media: &'a Pool,
    recording: &'a Pool,
    frame: &'a Peripheral,
}

impl<'a> Shared<'a> {
    fn of(app: &'a App) -> Option<Self> {
        Some(Self {
            controllers: app.controllers(),
            gate: app.pool("gate")?,
            answers: app.pool("answers")?,
            tables: app.pool("tables")?,
            mailbox: app.pool("mailbox")?,
            rings: app.pool("dma_ring")?,
            media: app.pool("media")?,
            recording: app.pool("recording")?,
            frame: app.peripheral("gicv2m")?,
        })
    }
}

fn span(base: u64, bytes: u64) -> String {
    format!("Span {{ base: Phys({base:#x}), bytes: {bytes:#x} }}")
}

fn pool_span(pool: &Pool) -> String {
    span(pool.base.0, u64::from(pool.pages * PAGE))
}

/// The module `image` of the monitor.
fn constants(shared: &Shared<'_>, program: &Program, ram: Area) -> String {
    let controller = |n: usize| match shared.controllers.get(n) {
        Some(Controller { gate, registers, rings, .. }) => format!(
            "Some(Controller {{ gate: Phys({:#x}), registers: {}, rings: {} }})",
            gate.base.0,
            span(registers.address.0, registers.size.into()),
            pool_span(rings),
        ),
        None => "None".to_owned(),
    };
    let controllers: Vec<_> = (0..CONTROLLERS).map(controller).collect();
    let part = |executable: bool| {
        let segments = program.segments.iter().filter(|segment| !segment.is_writable());
        let mut of_kind = segments.filter(|segment| segment.is_executable() == executable);
        let none = span(ram.base.into(), 0);
        of_kind.next().map_or(none, |s| span(s.address.into(), s.size.into()))
    };
    format!(
        "pub(crate) const PLACES: Places = Places {{\n\
             controllers: [{}],\n\
             answers: Phys({:#x}),\n\
             windows: Phys({:#x}),\n\
             mailbox: Phys({:#x}),\n\
         }};\n\
         pub(crate) const MEDIA: Span = {};\n\
         pub(crate) const RECORDING: Span = {};\n\
         pub(crate) const PROGRAM: Program = Program {{\n\
             entry: {:#x},\n\
             stack_top: {:#x},\n\
             text: {},\n\
             constants: {},\n\
             ram: {},\n\
         }};\n",
        controllers.join(", "),
        shared.answers.base.0,
        shared.tables.base.0,
        shared.mailbox.base.0,
        pool_span(shared.media),
        pool_span(shared.recording),
        program.entry,
        ram.base + PROGRAM_STACK,
        part(true),
        part(false),
        span(ram.base.into(), ram.size.into()),
    )
}

/// The module `image` of `test/core1`.
fn test_constants(shared: &Shared<'_>, core1: &Core1) -> String {
    let mut text = String::new();
    let pools = [
        ("MAILBOX", shared.mailbox),
        ("ANSWERS", shared.answers),
        ("GATE", shared.gate),
        ("TABLES", shared.tables),
        ("RINGS", shared.rings),
        ("MEDIA", shared.media),
    ];
    // Writing to a string cannot fail.
    for (name, pool) in pools {
        let (base, pages) = (pool.base.0, pool.pages);
        let _ = writeln!(text, "pub(crate) const {name}: (u64, u16) = ({base:#x}, {pages});");
    }
    let Peripheral { address, size, .. } = shared.frame;
    let _ = writeln!(text, "pub(crate) const FRAME: (u64, u32) = ({:#x}, {size:#x});", address.0);
    let controller = shared.controllers.first().map_or(0, |first| first.registers.address.0);
    let _ = writeln!(text, "pub(crate) const CONTROLLER: u64 = {controller:#x};");
    let _ = writeln!(text, "pub(crate) const ENTRY: u32 = {:#x};", core1.entry());
    let _ = writeln!(text, "pub(crate) const PROGRAM: u32 = {:#x};", core1.places.program);
    text
}
