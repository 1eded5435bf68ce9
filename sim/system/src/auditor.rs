//! The auditor: a task of the simulator's own that asks every server what it holds.
//!
//! It stands above all others in the graph, sleeps until the simulator rings
//! its bell, and is no part of the image that a board runs. What the servers
//! say of themselves is compared with what the models see.

use crate::report::Leaks;
use offload_broker_api::OffloadBroker;
use std::cell::Cell;
use std::rc::Rc;
use usb_audio_api::UsbAudio;
use usb_core_api::UsbCore;
use userlib::{sys_irq_control, sys_recv_notification, task_slot};
use xhci_api::Xhci;

task_slot!(IOMMU, iommu);
task_slot!(XHCI, xhci);
task_slot!(USB_CORE, usb_core);
task_slot!(USB_AUDIO, usb_audio);
task_slot!(OFFLOAD_BROKER, offload_broker);

/// Name of the auditor's task.
pub const NAME: &str = "auditor";
/// The servers that it asks, by slot and task name.
pub const SLOTS: [&str; 5] = ["iommu", "xhci", "usb_core", "usb_audio", "offload_broker"];
/// INTID of its bell: one of the frame's that no board uses.
pub const BELL: u16 = 142;
/// Its notification bit for it.
pub const BELL_BIT: u32 = 1 << 0;
/// INTID of the bell that makes it set the playback volume to what it is.
pub const VOLUME_BELL: u16 = 143;
/// Its notification bit for that.
pub const VOLUME_BIT: u32 = 1 << 1;

/// What the servers said.
#[derive(Copy, Clone, Debug, Default)]
pub struct Audit {
    /// IOMMU mapper.
    pub iommu: iommu_api::Status,
    /// xHCI driver.
    pub xhci: xhci_api::Status,
    /// USB core.
    pub usb_core: usb_core_api::Status,
    /// Audio class.
    pub usb_audio: usb_audio_api::Status,
    /// Broker.
    pub broker: offload_broker_api::Status,
}

impl Audit {
    /// What counts as left behind once everything should be given back.
    #[must_use]
    pub fn leaks(&self) -> Leaks {
        Leaks {
            votes: u32::from(self.broker.votes),
            holds: u32::from(self.usb_core.holds),
            interrupters: u32::from(self.xhci.interrupters),
            endpoints: u32::from(self.xhci.endpoints),
            peer_pages: u32::from(self.iommu.peer_pages),
            bus_pages: u32::from(self.iommu.bus_pages),
            quarantined: u32::from(self.iommu.quarantined),
        }
    }
}

/// Where the auditor leaves its findings; `None` while it has none.
pub type Findings = Rc<Cell<Option<Audit>>>;

/// Runs the auditor.
pub fn main(findings: &Findings) -> ! {
    sys_irq_control(BELL_BIT | VOLUME_BIT, true);
    loop {
        let bits = sys_recv_notification(BELL_BIT | VOLUME_BIT);
        sys_irq_control(bits, true);
        if bits & BELL_BIT != 0 {
            findings.set(ask());
        }
        if bits & VOLUME_BIT != 0 {
            set_volume();
        }
    }
}

/// Sets the first card to 0 dB. Nobody waits for the device's answer.
fn set_volume() {
    let audio = UsbAudio::from(USB_AUDIO.get_task_id());
    let card = (0..usb_audio_api::MAX_CARDS).find(|&card| audio.card(card).is_ok());
    if let Some(Ok(ticket)) = card.map(|card| audio.start_set_volume(card, 0)) {
        // The operation ends by itself; a ticket of a dead server is no loss.
        let _ = audio.cancel(ticket);
    }
}

/// Asks all servers; `None` when one of them is down.
fn ask() -> Option<Audit> {
    Some(Audit {
        iommu: iommu_api::Iommu::from(IOMMU.get_task_id()).status().ok()?,
        xhci: Xhci::from(XHCI.get_task_id()).status().ok()?,
        usb_core: UsbCore::from(USB_CORE.get_task_id()).status().ok()?,
        usb_audio: UsbAudio::from(USB_AUDIO.get_task_id()).status().ok()?,
        broker: OffloadBroker::from(OFFLOAD_BROKER.get_task_id()).status().ok()?,
    })
}
