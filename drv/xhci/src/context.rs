//! Input and output contexts (6.2), as words.
//!
//! A context has eight words of meaning whether it is 32 or 64 bytes long
//! (CSZ); length and place are [`Size`]'s. Nothing here touches memory.

use addr::Bus;
use trb::{Dci, InterrupterId};
use usb_types::Speed;
use xhci_api::{EndpointSpec, XhciError};

/// The words of a context that carry fields.
pub(crate) type Words = [u32; 8];

/// CErr where errors are retried; isochronous endpoints have none (6.2.3).
const RETRIES: u32 = 3;
/// Average TRB Length of a control endpoint (4.14.1.1).
const AVERAGE_CONTROL: u32 = 8;
/// EP Type of a control endpoint.
const KIND_CONTROL: u32 = 4;
/// Largest Max Packet Size of any endpoint.
const MAX_PACKET: u16 = 1024;

/// Bytes of every context of a controller.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Size(u32);

impl Size {
    /// By HCCPARAMS1.CSZ.
    pub(crate) const fn new(wide: bool) -> Self {
        Self(if wide { 64 } else { 32 })
    }

    /// Offset in a device context: the slot context is 0, endpoints their DCI.
    pub(crate) const fn output(self, index: u8) -> u32 {
        index as u32 * self.0
    }

    /// Offset in an input context: one further, behind the control context.
    pub(crate) const fn input(self, index: u8) -> u32 {
        (index as u32 + 1) * self.0
    }

    /// Bytes of a whole input context.
    pub(crate) const fn input_len(self) -> u32 {
        33 * self.0
    }

    /// Bytes of a whole device context.
    pub(crate) const fn output_len(self) -> u32 {
        32 * self.0
    }
}

/// The Input Control Context (6.2.5.1): which contexts are dropped and added.
pub(crate) const fn control(drop: u32, add: u32) -> Words {
    [drop, add, 0, 0, 0, 0, 0, 0]
}

/// The slot context of a device on a root port, before it is addressed.
pub(crate) const fn slot(speed_id: u8, port: u8) -> Words {
    [1 << 27 | (speed_id as u32) << 20, (port as u32) << 16, 0, 0, 0, 0, 0, 0]
}

/// The slot context to be sent with a command, made from the controller's: what
/// the controller keeps there (address, state) goes back as 0.
pub(crate) const fn slot_again(output: Words, entries: u8, target: InterrupterId) -> Words {
    let [a, b, c, ..] = output;
    [
        a & !(0x1F << 27) | (entries as u32) << 27,
        b,
        c & !(0x3FF << 22) | target.field(),
        0,
        0,
        0,
        0,
        0,
    ]
}

/// Whether a slot context says Addressed or Configured (6.2.2).
pub(crate) const fn is_addressed(output: Words) -> bool {
    output[3] >> 27 >= 2
}

/// Interrupter Target of a slot context.
pub(crate) const fn slot_target(output: Words) -> u16 {
    (output[2] >> 22) as u16
}

/// Context Entries: the highest of the endpoints in `mask`, EP0 at least.
pub(crate) const fn entries(mask: u32) -> u8 {
    31 - (mask | Dci::EP0.bit()).leading_zeros() as u8
}

/// TR Dequeue Pointer of an endpoint that stands still (6.2.3).
pub(crate) const fn dequeue(output: Words) -> Bus {
    Bus((output[2] & !0xF) as u64 | (output[3] as u64) << 32)
}

/// The context of endpoint 0.
pub(crate) const fn endpoint0(max_packet: u16, dequeue: Bus, cycle: bool) -> Words {
    let kind = (max_packet as u32) << 16 | KIND_CONTROL << 3 | RETRIES << 1;
    [0, kind, dequeue.low() | cycle as u32, dequeue.high(), AVERAGE_CONTROL, 0, 0, 0]
}

/// The context of another endpoint, whose first TRB has the cycle bit 1.
/// `large` says that HCCPARAMS2.LEC is set, which gives Mult another meaning.
pub(crate) fn endpoint(spec: &EndpointSpec, dequeue: Bus, large: bool) -> Words {
    let isoch = is_isoch(spec);
    let retries = if isoch { 0 } else { RETRIES };
    let mult = if large { 0 } else { u32::from(spec.mult) };
    let payload = spec.esit_payload;
    let high = if large { payload >> 16 } else { 0 };
    // 0 is illegal (4.14.1.1); a bulk endpoint has no service interval.
    let average = if payload == 0 { u32::from(spec.max_packet) } else { payload.min(0xFFFF) };
    [
        high << 24 | u32::from(spec.interval) << 16 | mult << 8,
        u32::from(spec.max_packet) << 16
            | u32::from(spec.max_burst) << 8
            | u32::from(spec.kind) << 3
            | retries << 1,
        dequeue.low() | 1,
        dequeue.high(),
        (payload & 0xFFFF) << 16 | average,
        0,
        0,
        0,
    ]
}

/// Whether the endpoint is isochronous.
pub(crate) const fn is_isoch(spec: &EndpointSpec) -> bool {
    matches!(spec.kind, 1 | 5)
}

const fn is_interrupt(spec: &EndpointSpec) -> bool {
    matches!(spec.kind, 3 | 7)
}

/// The rules that 6.2.3 and USB set for an endpoint of a device at `speed`.
///
/// # Errors
/// [`XhciError::BadEndpoint`] for each.
pub(crate) fn check(spec: &EndpointSpec, speed: Speed) -> Result<(), XhciError> {
    let fast = speed >= Speed::Super;
    let direction = matches!(spec.kind, 5..=7);
    let interval = match (speed, is_isoch(spec), is_interrupt(spec)) {
        (Speed::Low, true, _) => return Err(XhciError::BadEndpoint),
        (Speed::Full, true, _) => 3..=18,
        (Speed::Low | Speed::Full, _, true) => 3..=10,
        _ => 0..=15,
    };
    let max_burst = match speed {
        Speed::Low | Speed::Full => 0,
        Speed::High => 2,
        Speed::Super | Speed::SuperPlus => 15,
    };
    let max_mult = if fast && is_isoch(spec) { 2 } else { 0 };
    let max_packet = if speed == Speed::Full && is_isoch(spec) { 1023 } else { MAX_PACKET };
    let capacity =
        u32::from(spec.max_packet) * (u32::from(spec.max_burst) + 1) * (u32::from(spec.mult) + 1);
    let periodic = is_isoch(spec) || is_interrupt(spec);
    let good = matches!(spec.kind, 1..=3 | 5..=7)
        && Dci::new(spec.dci).is_ok_and(|dci| dci != Dci::EP0 && dci.is_in() == direction)
        && interval.contains(&spec.interval)
        && spec.max_burst <= max_burst
        && spec.mult <= max_mult
        && (1..=max_packet).contains(&spec.max_packet)
        && spec.reserved == 0
        && if periodic {
            (1..=capacity).contains(&spec.esit_payload)
        } else {
            spec.esit_payload == 0
        };
    if good { Ok(()) } else { Err(XhciError::BadEndpoint) }
}

/// An endpoint's state in its output context (6.2.3).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum EndpointState {
    Disabled,
    Running,
    Halted,
    Stopped,
    Error,
}

/// The state in an endpoint's output context; a reserved value is an error.
pub(crate) const fn endpoint_state(output: Words) -> EndpointState {
    match output[0] & 7 {
        0 => EndpointState::Disabled,
        1 => EndpointState::Running,
        2 => EndpointState::Halted,
        3 => EndpointState::Stopped,
        _ => EndpointState::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        EndpointState, Size, check, control, endpoint, endpoint_state, endpoint0, entries, slot,
        slot_again, slot_target,
    };
    use addr::Bus;
    use proptest::prelude::*;
    use trb::InterrupterId;
    use usb_types::Speed;
    use xhci_api::{EndpointSpec, XhciError};

    /// 48 kHz stereo S16 at full speed, every frame.
    const FULL: EndpointSpec = EndpointSpec {
        dci: 2,
        kind: 1,
        interval: 3,
        max_burst: 0,
        mult: 0,
        reserved: 0,
        max_packet: 192,
        esit_payload: 192,
    };

    #[test]
    fn wide_contexts_double_every_place() {
        let (narrow, wide) = (Size::new(false), Size::new(true));
        assert_eq!((narrow.input(0), wide.input(0)), (32, 64));
        assert_eq!((narrow.output(3), wide.output(3)), (96, 192));
        assert_eq!((narrow.input_len(), wide.input_len()), (33 * 32, 33 * 64));
        assert_eq!(wide.output_len(), 2048);
    }

    #[test]
    fn a_device_on_a_root_port_has_speed_port_and_one_entry() {
        assert_eq!(slot(1, 5), [1 << 27 | 1 << 20, 5 << 16, 0, 0, 0, 0, 0, 0]);
        assert_eq!(control(1 << 2, 1 | 1 << 2)[..2], [4, 5]);
    }

    #[test]
    fn what_the_controller_keeps_in_a_slot_context_goes_back_as_zero() {
        let output = [1 << 27 | 1 << 20, 5 << 16 | 7, 3 << 22, 3 << 27 | 9, 1, 2, 3, 4];
        let target = InterrupterId::new(1).expect("in range");
        let again = slot_again(output, 2, target);
        assert_eq!(again, [2 << 27 | 1 << 20, 5 << 16 | 7, 1 << 22, 0, 0, 0, 0, 0]);
        assert_eq!((slot_target(output), slot_target(again)), (3, 1));
    }

    #[test]
    fn context_entries_is_the_highest_endpoint_that_stays() {
        assert_eq!((entries(0), entries(1 << 2), entries(1 << 2 | 1 << 31)), (1, 2, 31));
    }

    #[test]
    fn endpoint_0_is_a_control_endpoint_with_retries() {
        let words = endpoint0(8, Bus(0x1_0000_2010), true);
        assert_eq!(words, [0, 8 << 16 | 4 << 3 | 3 << 1, 0x2011, 1, 8, 0, 0, 0]);
    }

    #[test]
    fn an_isochronous_endpoint_has_no_retries_and_its_payload_as_average() {
        // Facts 49, 50, 53, 54, 55.
        let words = endpoint(&FULL, Bus(0x2_2000), false);
        assert_eq!(words[0], 3 << 16);
        assert_eq!(words[1], 192 << 16 | 1 << 3);
        assert_eq!(words[2], 0x2_2001);
        assert_eq!(words[4], 192 << 16 | 192);
    }

    #[test]
    fn bursts_mult_and_large_payloads_have_their_fields() {
        // Facts 51 to 53: high bandwidth at high speed, and a SuperSpeed burst.
        let high = EndpointSpec { max_burst: 2, max_packet: 1024, esit_payload: 3072, ..FULL };
        assert_eq!(endpoint(&high, Bus(0), false)[1], 1024 << 16 | 2 << 8 | 1 << 3);
        let fast = EndpointSpec {
            max_burst: 15,
            mult: 2,
            max_packet: 1024,
            esit_payload: 0x1_2000,
            ..FULL
        };
        let words = endpoint(&fast, Bus(0), true);
        assert_eq!(words[0], 1 << 24 | 3 << 16, "with LEC Mult is 0");
        assert_eq!(words[4] >> 16, 0x2000);
        assert_eq!(endpoint(&fast, Bus(0), false)[0], 3 << 16 | 2 << 8);
    }

    #[test]
    fn states_are_read_and_reserved_ones_are_errors() {
        let state = |n: u32| endpoint_state([n | 0xFFFF_FFF8, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(state(0), EndpointState::Disabled);
        assert_eq!((state(1), state(3)), (EndpointState::Running, EndpointState::Stopped));
        assert_eq!((state(2), state(4)), (EndpointState::Halted, EndpointState::Error));
        assert_eq!(state(7), EndpointState::Error);
    }

    #[test]
    fn endpoints_that_the_specification_forbids_are_refused() {
        let bad = |spec: EndpointSpec, speed| check(&spec, speed) == Err(XhciError::BadEndpoint);
        assert_eq!(check(&FULL, Speed::Full), Ok(()));
        assert!(bad(EndpointSpec { dci: 1, ..FULL }, Speed::Full), "endpoint 0");
        assert!(bad(EndpointSpec { dci: 3, ..FULL }, Speed::Full), "OUT on an IN index");
        assert!(bad(EndpointSpec { dci: 32, ..FULL }, Speed::Full));
        assert!(bad(EndpointSpec { kind: 4, ..FULL }, Speed::Full), "control");
        assert!(bad(EndpointSpec { kind: 0, ..FULL }, Speed::Full));
        assert!(bad(EndpointSpec { interval: 2, ..FULL }, Speed::Full), "below a frame");
        assert!(bad(EndpointSpec { interval: 19, ..FULL }, Speed::Full));
        assert!(bad(EndpointSpec { interval: 16, ..FULL }, Speed::High));
        assert!(bad(EndpointSpec { max_packet: 0, ..FULL }, Speed::Full), "fact 56");
        assert!(bad(EndpointSpec { max_packet: 1024, ..FULL }, Speed::Full), "fact 94");
        assert!(bad(EndpointSpec { max_burst: 1, ..FULL }, Speed::Full));
        assert!(bad(EndpointSpec { max_burst: 3, ..FULL }, Speed::High));
        assert!(bad(EndpointSpec { mult: 1, ..FULL }, Speed::High));
        assert!(bad(EndpointSpec { esit_payload: 0, ..FULL }, Speed::Full), "fact 54");
        assert!(bad(EndpointSpec { esit_payload: 193, ..FULL }, Speed::Full));
        assert!(bad(EndpointSpec { reserved: 1, ..FULL }, Speed::Full));
        assert!(bad(FULL, Speed::Low), "no isochronous endpoints at low speed");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn an_accepted_endpoint_has_no_field_that_spills_into_another(
            raw: [u8; 6],
            max_packet: u16,
            payload in 0_u32..60_000,
            speed in prop::sample::select(vec![
                Speed::Low, Speed::Full, Speed::High, Speed::Super,
            ]),
        ) {
            let [dci, kind, interval, max_burst, mult, _] = raw;
            let spec = EndpointSpec {
                dci: dci % 34, kind: kind % 9, interval: interval % 20, max_burst: max_burst % 17,
                mult: mult % 4, reserved: 0, max_packet: max_packet % 1100, esit_payload: payload,
            };
            if check(&spec, speed).is_ok() {
                let words = endpoint(&spec, Bus(0x1000), false);
                prop_assert_eq!(words[0] & !(0xFF << 16 | 3 << 8), 0);
                prop_assert_eq!(words[1] >> 16, u32::from(spec.max_packet));
                prop_assert_eq!(words[1] >> 3 & 7, u32::from(spec.kind));
                prop_assert_ne!(words[4] & 0xFFFF, 0);
            }
        }
    }
}
