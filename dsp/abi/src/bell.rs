//! Bells: interrupts that one core rings at the other.
//!
//! A bell is an edge SPI of the GICv2m frame, rung by writing its INTID to the
//! frame's SETSPI register, exactly as a controller's MSI does. The numbers
//! keep clear of the SMMU's wires at 106 to 109, which lie inside the frame's
//! range on QEMU's `virt`.

/// Offset of the SETSPI_NS register in the GICv2m frame.
pub const SETSPI: u32 = 0x40;

/// First of the vectors that controller 0's interrupters 1 and up raise at the DSP.
pub const CONTROLLER0_DSP: u16 = 81;
/// Controller 0's primary interrupter, at the application core.
pub const CONTROLLER0_PRIMARY: u16 = 80;
/// Controller 1's primary interrupter, at the application core.
pub const CONTROLLER1_PRIMARY: u16 = 89;
/// First of the vectors that controller 1's interrupters 1 and up raise at the DSP.
pub const CONTROLLER1_DSP: u16 = 90;

/// `dsp_link` put datagrams into the mailbox.
pub const MAIL_TO_DSP: u16 = 96;
/// The DSP put datagrams into the mailbox, or took some out of a full one.
pub const MAIL_TO_APP: u16 = 97;
/// `xhci` changed the gate page.
pub const GATE_TO_DSP: u16 = 98;
/// The monitor acknowledged a gate change to controller 0's driver.
pub const GATE0_TO_APP: u16 = 99;
/// `iommu` changed the peer's tables and wants them forgotten.
pub const TLB_TO_DSP: u16 = 100;
/// The monitor has forgotten the peer's old translations.
pub const TLB_TO_APP: u16 = 101;
/// A command for the player stands in the media header.
pub const PLAYER: u16 = 102;
/// The monitor has something to say about a session.
pub const NOTICE: u16 = 103;
/// The monitor acknowledged a gate change to controller 1's driver.
pub const GATE1_TO_APP: u16 = 104;
/// A debugger's program lies before `hiffy`.
pub const HIFFY: u16 = 105;
/// The system is to suspend, but for devices that are held (`power`).
pub const SUSPEND: u16 = 110;
/// The system is to suspend with every device.
pub const HIBERNATE: u16 = 111;
/// The system is to resume.
pub const RESUME: u16 = 112;
