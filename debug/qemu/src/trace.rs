//! What QEMU's own devices did, one after the other: its trace.
//!
//! Evidence that neither the guest nor the one who watches it makes: which core
//! took which interrupt, which event the USB controller put into which ring,
//! which accesses the SMMU blocked. The lines come in the order in which the
//! things happened, and tracing takes none of the guest's time.

use crate::Core;

/// The events of QEMU's that are traced.
pub(crate) const EVENTS: [&str; 3] = [TAKEN, QUEUED, BLOCKED];
const TAKEN: &str = "gic_acknowledge_irq";
const QUEUED: &str = "usb_xhci_queue_event";
const BLOCKED: &str = "smmuv3_record_event";

/// Something that a device did.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A core took an interrupt from the GIC.
    Taken {
        /// The core.
        core: Core,
        /// The interrupt's number.
        interrupt: u32,
    },
    /// The USB controller put an event into an event ring.
    Queued {
        /// The ring's interrupter.
        interrupter: u32,
        /// The event.
        event: UsbEvent,
    },
    /// The SMMU recorded an access that it blocked.
    Blocked,
}

/// An event of the USB controller's: the last two words of its TRB (xHCI 6.4.2).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct UsbEvent {
    status: u32,
    control: u32,
}

impl UsbEvent {
    /// The event with these words.
    #[must_use]
    pub const fn new(status: u32, control: u32) -> Self {
        Self { status, control }
    }

    /// The TRB's type.
    #[must_use]
    pub const fn kind(self) -> u32 {
        self.control >> 10 & 0x3F
    }

    /// The completion code.
    #[must_use]
    pub const fn code(self) -> u32 {
        self.status >> 24
    }

    /// The slot that it is about; 0 for none.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.control >> 24
    }

    /// The endpoint that it is about, by its device context index; 0 for none.
    #[must_use]
    pub const fn endpoint(self) -> u32 {
        self.control >> 16 & 0x1F
    }
}

impl Act {
    /// What a line of QEMU's log tells of; `Ok(None)` when it is no trace.
    ///
    /// # Errors
    /// When it is one that says something else than it should.
    pub(crate) fn parse(line: &str) -> Result<Option<Self>, ()> {
        let Some((event, rest)) = line.split_once(' ') else { return Ok(None) };
        let act = match event {
            TAKEN => taken(rest),
            QUEUED => queued(rest),
            BLOCKED => Some(Self::Blocked),
            _ => return Ok(None),
        };
        act.map(Some).ok_or(())
    }
}

/// `cpu 0 acknowledged irq 30`
fn taken(rest: &str) -> Option<Act> {
    let (core, interrupt) = rest.strip_prefix("cpu ")?.split_once(" acknowledged irq ")?;
    Some(Act::Taken { core: Core(core.parse().ok()?), interrupt: interrupt.parse().ok()? })
}

/// `v 0, idx 3, ER_TRANSFER, CC_SUCCESS, p 0x0000000080044020, s 0x01000000, c 0x01018001`
fn queued(rest: &str) -> Option<Act> {
    let mut parts = rest.split(", ");
    let interrupter = parts.next()?.strip_prefix("v ")?.parse().ok()?;
    let mut word = |name: &str| {
        let digits = parts.find_map(|part| part.strip_prefix(name))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let (status, control) = (word("s 0x")?, word("c 0x")?);
    Some(Act::Queued { interrupter, event: UsbEvent::new(status, control) })
}

#[cfg(test)]
mod tests {
    use super::{Act, UsbEvent};
    use crate::Core;
    use proptest::prelude::*;

    #[test]
    fn each_line_tells_what_a_device_did() {
        let parse = |line| Act::parse(line).expect("it makes sense");
        assert_eq!(
            parse("gic_acknowledge_irq cpu 1 acknowledged irq 81"),
            Some(Act::Taken { core: Core(1), interrupt: 81 })
        );
        let event = parse(
            "usb_xhci_queue_event v 1, idx 4, ER_TRANSFER, CC_SUCCESS, p 0x0000000080044020, \
             s 0x0d0000c0, c 0x02038001",
        );
        let Some(Act::Queued { interrupter, event }) = event else { panic!("{event:?}") };
        assert_eq!((interrupter, event.kind(), event.code()), (1, 32, 13));
        assert_eq!((event.slot(), event.endpoint()), (2, 3));
        let blocked = "smmuv3_record_event smmuv3-iommu-memory-region-16-0 F_TRANSLATION sid=0x10";
        assert_eq!(parse(blocked), Some(Act::Blocked));
    }

    #[test]
    fn what_is_no_trace_is_left_and_what_is_a_strange_one_is_refused() {
        assert_eq!(Act::parse("Invalid write at 0x4"), Ok(None));
        assert_eq!(Act::parse("gic_acknowledge_irqs 4"), Ok(None));
        assert_eq!(Act::parse(""), Ok(None));
        assert_eq!(Act::parse("gic_acknowledge_irq CPU 1 took 81"), Err(()));
        assert_eq!(Act::parse("usb_xhci_queue_event v 1, idx 4, p 0x0, c 0x0"), Err(()));
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(words: String) {
            for event in super::EVENTS {
                let _ = Act::parse(&format!("{event} {words}"));
                let _ = Act::parse(&format!("{event} v {words}, s 0x{words}"));
            }
        }

        #[test]
        fn an_event_is_its_words(status: u32, control: u32) {
            let line = format!(
                "usb_xhci_queue_event v 7, idx 1, E, C, p 0x0, s {status:#010x}, c {control:#010x}"
            );
            let event = UsbEvent { status, control };
            prop_assert_eq!(Act::parse(&line), Ok(Some(Act::Queued { interrupter: 7, event })));
        }
    }
}
