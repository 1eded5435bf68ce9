//! The auditor: a task of the simulator's own that asks every server what it holds.
//!
//! It stands above all others in the graph, sleeps until the simulator rings
//! its bell, and is no part of the image that a board runs. What the servers
//! say of themselves is compared with what the models see.

use judge::report::Leaks;
use offload_broker_api::OffloadBroker;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use usb_audio_api::UsbAudio;
use usb_core_api::UsbCore;
use userlib::{TaskSlot, sys_irq_control, sys_recv_notification, task_slot};
use xhci_api::Xhci;

task_slot!(
    /// The IOMMU mapper, for errands.
    pub IOMMU,
    iommu
);
task_slot!(
    /// The xHCI driver, for errands.
    pub XHCI,
    xhci
);
/// The driver of the second controller, of an image that has one.
const XHCI1: TaskSlot = TaskSlot::new(SECOND_DRIVER);
task_slot!(
    /// The USB core, for errands.
    pub USB_CORE,
    usb_core
);
task_slot!(
    /// The audio class, for errands.
    pub USB_AUDIO,
    usb_audio
);
task_slot!(
    /// The broker, for errands.
    pub OFFLOAD_BROKER,
    offload_broker
);

/// Name of the auditor's task.
pub const NAME: &str = "auditor";
/// The servers that it may send to, by slot and task name: those that it asks, and
/// the others for errands.
pub const SLOTS: [&str; 7] =
    ["jefe", "iommu", "dsp_link", "xhci", "usb_core", "usb_audio", "offload_broker"];
/// A server that not every image has, and the auditor's slot for it.
pub const SECOND_DRIVER: &str = "xhci1";
/// INTID of its bell: one of the frame's that no board uses.
pub const BELL: u16 = 142;
/// Its notification bit for it.
pub const BELL_BIT: u32 = 1 << 0;
/// INTID of the bell that makes it set the playback volume to what it is.
pub const VOLUME_BELL: u16 = 143;
/// Its notification bit for that.
pub const VOLUME_BIT: u32 = 1 << 1;
/// INTID of the bell that sends it on its errands.
pub const ERRAND_BELL: u16 = 141;
/// Its notification bit for that.
pub const ERRAND_BIT: u32 = 1 << 2;

/// What the servers said.
#[derive(Copy, Clone, Debug, Default)]
pub struct Audit {
    /// IOMMU mapper.
    pub iommu: iommu_api::Status,
    /// xHCI driver.
    pub xhci: xhci_api::Status,
    /// That of the second controller, if there is one.
    pub xhci1: Option<xhci_api::Status>,
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
        let second = self.xhci1.unwrap_or_default();
        Leaks {
            votes: u32::from(self.broker.votes),
            holds: u32::from(self.usb_core.holds),
            interrupters: u32::from(self.xhci.interrupters + second.interrupters),
            endpoints: u32::from(self.xhci.endpoints + second.endpoints),
            peer_pages: u32::from(self.iommu.peer_pages),
            bus_pages: u32::from(self.iommu.bus_pages),
            quarantined: u32::from(self.iommu.quarantined),
        }
    }
}

/// Something that a scenario has the auditor do: its code runs in the task.
pub type Errand = Box<dyn FnOnce()>;

/// What passes between a scenario and the auditor.
#[derive(Default)]
pub struct Desk {
    found: Cell<Option<Audit>>,
    errands: RefCell<VecDeque<Errand>>,
}

impl Desk {
    /// What was found last; `None` while nothing was.
    #[must_use]
    pub fn found(&self) -> Option<Audit> {
        self.found.get()
    }

    /// Nothing was found any more.
    pub fn forget(&self) {
        self.found.set(None);
    }

    /// Adds an errand; [`ERRAND_BELL`] has it done.
    pub fn send(&self, errand: Errand) {
        self.errands.borrow_mut().push_back(errand);
    }

    fn next(&self) -> Option<Errand> {
        self.errands.borrow_mut().pop_front()
    }
}

/// The desk, which the scenario and the auditor share.
pub type Findings = Rc<Desk>;

/// Runs the auditor, of an image that has a second controller or has none.
pub fn main(desk: &Findings, second: bool) -> ! {
    let all = BELL_BIT | VOLUME_BIT | ERRAND_BIT;
    sys_irq_control(all, true);
    loop {
        let bits = sys_recv_notification(all);
        sys_irq_control(bits, true);
        if bits & BELL_BIT != 0 {
            desk.found.set(ask(second));
        }
        if bits & VOLUME_BIT != 0 {
            set_volume();
        }
        while bits & ERRAND_BIT != 0
            && let Some(errand) = desk.next()
        {
            errand();
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
fn ask(second: bool) -> Option<Audit> {
    let xhci1 = match second {
        true => Some(Xhci::from(XHCI1.get_task_id()).status().ok()?),
        false => None,
    };
    Some(Audit {
        xhci1,
        iommu: iommu_api::Iommu::from(IOMMU.get_task_id()).status().ok()?,
        xhci: Xhci::from(XHCI.get_task_id()).status().ok()?,
        usb_core: UsbCore::from(USB_CORE.get_task_id()).status().ok()?,
        usb_audio: UsbAudio::from(USB_AUDIO.get_task_id()).status().ok()?,
        broker: OffloadBroker::from(OFFLOAD_BROKER.get_task_id()).status().ok()?,
    })
}
