//! What is started: the board, what is plugged in, what lies in its memory.

use crate::running::Running;
use crate::trace::EVENTS;
use crate::{Error, RAM};
use addr::Phys;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The emulator.
pub const QEMU: &str = "qemu-system-arm";

/// Megabytes of RAM, which the chip's description has as well.
pub(crate) const RAM_MIB: u64 = 128;

/// The board: no 64-bit addresses, a GICv2 with its frame for messages. With a
/// controller, an SMMU before it.
const BOARD: &str = "virt,gic-version=2,highmem=off,memory-backend=ram";
const WITH_SMMU: &str = ",iommu=smmuv3";

/// Where on the bus the first controller is; the next one is beside it.
const FIRST_SLOT: u8 = 2;

/// What passes for time.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Clock {
    /// An instruction takes 2^`shift` ns, and time in which nothing is to do
    /// passes at once: two runs are the same run.
    Counted {
        /// Logarithm of the nanoseconds.
        shift: u8,
    },
    /// The host's time.
    Real,
}

/// A USB headset of QEMU's.
#[derive(Clone, Debug)]
pub struct Headset {
    /// What it plays goes into this WAV.
    pub wav: PathBuf,
    /// Every packet to and from it goes into this capture, if any.
    pub pcap: Option<PathBuf>,
    /// The controller it is plugged into, from 0 on.
    pub controller: u8,
    /// The USB 2 port there, from 1 on.
    pub port: u8,
    /// Whether it is there from the start.
    pub plugged: bool,
}

/// A file that lies in memory when the machine starts.
#[derive(Clone, Debug)]
pub struct Load {
    /// The file.
    pub file: PathBuf,
    /// Where its first byte lies.
    pub at: Phys,
}

/// What is to run.
#[derive(Clone, Debug)]
pub struct Machine {
    image: PathBuf,
    /// Where the image lies and starts; an ELF file says that itself.
    flat: Option<Phys>,
    clock: Clock,
    semihosting: bool,
    headsets: Vec<Headset>,
    /// The USB 2 port of a hub that the headsets are plugged into.
    hub: Option<u8>,
    loads: Vec<Load>,
    monitor: Option<PathBuf>,
    traced: bool,
}

impl Machine {
    /// The board with the ELF file `image` and nothing else.
    #[must_use]
    pub fn new(image: &Path, clock: Clock) -> Self {
        Self {
            image: image.to_owned(),
            flat: None,
            clock,
            semihosting: false,
            headsets: Vec::new(),
            hub: None,
            loads: Vec::new(),
            monitor: None,
            traced: false,
        }
    }

    /// The board with the plain memory `image`, which lies at `at` and starts
    /// there, and nothing else: what a boot loader leaves behind.
    #[must_use]
    pub fn flat(image: &Path, at: Phys, clock: Clock) -> Self {
        Self { flat: Some(at), ..Self::new(image, clock) }
    }

    /// The image ends the emulator by semihosting.
    #[must_use]
    pub fn semihosting(mut self) -> Self {
        self.semihosting = true;
        self
    }

    /// USB controllers behind an SMMU, as many as headsets need, and this headset
    /// on one of them. Headsets are numbered from 0 on.
    #[must_use]
    pub fn headset(mut self, headset: Headset) -> Self {
        self.headsets.push(headset);
        self
    }

    /// A hub of eight ports, of full speed, in this port of the controller; the
    /// headsets' ports are its.
    #[must_use]
    pub fn hub(mut self, port: u8) -> Self {
        self.hub = Some(port);
        self
    }

    /// This file lies in memory.
    #[must_use]
    pub fn load(mut self, load: Load) -> Self {
        self.loads.push(load);
        self
    }

    /// A second monitor listens at this socket, for [`Qmp::connect`].
    ///
    /// [`Qmp::connect`]: crate::Qmp::connect
    #[must_use]
    pub fn monitor(mut self, socket: &Path) -> Self {
        self.monitor = Some(socket.to_owned());
        self
    }

    /// What its devices do is written down: see [`Act`](crate::Act).
    #[must_use]
    pub fn traced(mut self) -> Self {
        self.traced = true;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When QEMU is missing, or refuses.
    pub fn start(self) -> Result<Running, Error> {
        Running::start(self)
    }

    pub(crate) fn headsets(&self) -> &[Headset] {
        &self.headsets
    }

    /// Where the headsets' hub is plugged in, if there is one.
    pub(crate) const fn hub_port(&self) -> Option<u8> {
        self.hub
    }

    /// QEMU's arguments, but for its sockets and files of its own.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut list = Arguments::default();
        let board = if self.headsets.is_empty() { "" } else { WITH_SMMU };
        list.add("-M", format!("{BOARD}{board}"));
        list.add("-cpu", "cortex-a15");
        list.add("-smp", "2");
        list.add("-m", RAM_MIB.to_string());
        list.add("-display", "none");
        list.add("-serial", "stdio");
        list.add("-monitor", "none");
        list.0.push("-nodefaults".into());
        if let Clock::Counted { shift } = self.clock {
            list.add("-icount", format!("shift={shift},sleep=off"));
        }
        if self.semihosting {
            list.add("-semihosting-config", "enable=on,target=native");
        }
        let controllers = self.headsets.iter().map(|headset| headset.controller + 1).max();
        for n in 0..controllers.unwrap_or(0) {
            // The function's number decides its StreamID.
            list.add("-device", format!("qemu-xhci,id=xhci{n},addr={}", FIRST_SLOT + n));
        }
        if let Some(port) = self.hub {
            list.add("-device", format!("usb-hub,bus=xhci0.0,port={port}"));
        }
        for (n, headset) in self.headsets.iter().enumerate() {
            // At any other rate than the headset's QEMU would resample.
            let backend = format!("wav,id=a{n},out.frequency=48000,path=");
            list.add("-audiodev", with_path(&backend, &headset.wav));
            if headset.plugged {
                let mut device: OsString = "usb-audio".into();
                for (key, value) in headset.properties(n, self.hub) {
                    device.push(format!(",{key}="));
                    device.push(doubled(value.as_ref()));
                }
                list.add("-device", device);
            }
        }
        if let Some(socket) = &self.monitor {
            list.add("-qmp", listener(socket));
        }
        if self.traced {
            EVENTS.into_iter().for_each(|event| list.add("-trace", event));
        }
        for load in &self.loads {
            let device = format!("loader,addr={:#x},force-raw=on,file=", load.at.0);
            list.add("-device", with_path(&device, &load.file));
        }
        match self.flat {
            None => list.add("-kernel", self.image.clone()),
            Some(at) => {
                let device = format!("loader,addr={:#x},cpu-num=0,force-raw=on,file=", at.0);
                list.add("-device", with_path(&device, &self.image));
            }
        }
        list.0
    }
}

impl Headset {
    /// The properties of headset `n`'s device, plugged into a hub at that port if
    /// there is one.
    pub(crate) fn properties(&self, n: usize, hub: Option<u8>) -> Vec<(&'static str, OsString)> {
        let port = self.port;
        let port = hub.map_or_else(|| port.to_string(), |hub| format!("{hub}.{port}"));
        let mut properties = vec![
            ("id", OsString::from(device_id(n))),
            ("audiodev", format!("a{n}").into()),
            ("bus", format!("xhci{}.0", self.controller).into()),
            ("port", port.into()),
        ];
        properties.extend(self.pcap.iter().map(|pcap| ("pcap", pcap.clone().into())));
        properties
    }
}

/// QEMU's name of headset `n`.
pub(crate) fn device_id(n: usize) -> String {
    format!("ua{n}")
}

/// The RAM in a file that is shared.
pub(crate) fn ram_backend(file: &Path) -> OsString {
    with_path(&format!("memory-backend-file,id=ram,share=on,size={RAM_MIB}M,mem-path="), file)
}

/// Bytes of RAM from [`RAM`] on.
pub(crate) const RAM_BYTES: u64 = RAM_MIB << 20;
const _: () = assert!(RAM.0 + RAM_BYTES <= 1 << 32, "RAM is within 32 bits");

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.extend([name.into(), value.into()]);
    }
}

/// A socket that QEMU listens at.
pub(crate) fn listener(socket: &Path) -> OsString {
    let mut listener = with_path("unix:", socket);
    listener.push(",server=on,wait=off");
    listener
}

pub(crate) fn with_path(before: &str, path: &Path) -> OsString {
    let mut text = OsString::from(before);
    text.push(doubled(path.as_os_str()));
    text
}

/// A value in a list of QEMU's, where a comma is written twice.
fn doubled(value: &std::ffi::OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut bytes = Vec::with_capacity(value.len());
    for &byte in value.as_bytes() {
        bytes.push(byte);
        if byte == b',' {
            bytes.push(byte);
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Clock, Headset, Load, Machine};
    use addr::Phys;
    use std::path::Path;

    fn line(machine: &Machine) -> String {
        let words: Vec<_> =
            machine.arguments().iter().map(|word| word.to_string_lossy().into_owned()).collect();
        words.join(" ")
    }

    #[test]
    fn a_bare_board_has_no_controller_and_no_smmu() {
        let line = line(&Machine::new(Path::new("a.elf"), Clock::Counted { shift: 4 }));
        assert!(line.contains("-icount shift=4,sleep=off"), "{line}");
        assert!(!line.contains("xhci") && !line.contains("smmu"), "{line}");
        assert!(!line.contains("-trace"), "{line}");
        assert!(line.ends_with("-kernel a.elf"), "{line}");
    }

    #[test]
    fn a_headset_brings_its_controller_and_one_to_be_plugged_later_only_its_sink() {
        let headset = |n: u8, plugged| Headset {
            wav: format!("out{n}.wav").into(),
            pcap: Some("a,b.pcap".into()),
            controller: 0,
            port: 1,
            plugged,
        };
        let machine = Machine::new(Path::new("a.elf"), Clock::Real)
            .headset(headset(0, true))
            .headset(headset(1, false))
            .load(Load { file: "m.bin".into(), at: Phys(0x4420_0000) })
            .traced();
        let line = line(&machine);
        assert!(line.contains("highmem=off,memory-backend=ram,iommu=smmuv3"), "{line}");
        assert!(line.contains(
            "-device usb-audio,id=ua0,audiodev=a0,bus=xhci0.0,port=1,pcap=a,,b.pcap -audiodev"
        ));
        assert!(line.contains("wav,id=a1,out.frequency=48000,path=out1.wav"), "{line}");
        assert!(!line.contains("ua1") && !line.contains("icount"), "{line}");
        assert!(line.contains("loader,addr=0x44200000,force-raw=on,file=m.bin"), "{line}");
        assert!(line.contains("-trace gic_acknowledge_irq -trace "), "{line}");
        assert!(line.contains("qemu-xhci,id=xhci0,addr=2 ") && !line.contains("xhci1"), "{line}");
    }

    /// R21: functions 00:02.0 and 00:03.0, as chip.toml has them.
    #[test]
    fn r21_headset_on_the_second_controller_brings_both() {
        let headset = |controller| Headset {
            wav: "out.wav".into(),
            pcap: None,
            controller,
            port: 1,
            plugged: true,
        };
        let machine = Machine::new(Path::new("a.elf"), Clock::Real);
        let line = line(&machine.headset(headset(1)).headset(headset(0)));
        assert!(line.contains("-device qemu-xhci,id=xhci0,addr=2 "), "{line}");
        assert!(line.contains("-device qemu-xhci,id=xhci1,addr=3 "), "{line}");
        assert!(line.contains("id=ua0,audiodev=a0,bus=xhci1.0,port=1"), "{line}");
        assert!(line.contains("id=ua1,audiodev=a1,bus=xhci0.0,port=1"), "{line}");
    }

    #[test]
    fn a_headset_behind_a_hub_is_in_a_port_of_the_hub() {
        let headset =
            Headset { wav: "out.wav".into(), pcap: None, controller: 0, port: 2, plugged: true };
        let machine = Machine::new(Path::new("a.elf"), Clock::Real).headset(headset).hub(3);
        let line = line(&machine);
        assert!(line.contains("-device usb-hub,bus=xhci0.0,port=3 "), "{line}");
        assert!(line.contains("usb-audio,id=ua0,audiodev=a0,bus=xhci0.0,port=3.2"), "{line}");
    }
}
