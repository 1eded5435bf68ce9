//! What the service's answers must say, in the dialect `precise`.
//!
//! The project's own program reads what it needs, and the simulated headsets are
//! alike in much: a field that is missing, or a refusal without its cause, would
//! trouble another DSP only.

use offload_broker::refusal::Refusal;
use qmi::{QmiResult, Status, StreamResponse};

/// What is wrong with an answer: a stream that is granted is described in full, and
/// a refusal has the number of its cause.
pub(crate) fn wrong(response: &StreamResponse) -> Option<String> {
    if response.resp != QmiResult::OK {
        // It was not understood, and nothing of the stream is known.
        return None;
    }
    let (Some(status), Some(cause)) = (response.status, response.internal_status) else {
        return Some("it does not say how it went".to_owned());
    };
    if status != Status::SUCCESS {
        let known = 1..=Refusal::Misbehaved as u32;
        return (!known.contains(&cause)).then(|| format!("{cause:#x} is no cause"));
    }
    // A stream that ends has none.
    response.xhci_mem_info?;
    let lacks = [
        ("slot", response.slot_id.is_none()),
        ("token", response.usb_token.is_none()),
        ("interface", response.std_as_opr_intf_desc.is_none()),
        ("data endpoint", response.std_as_data_ep_desc.is_none()),
        ("revision", response.usb_audio_spec_revision.is_none()),
        ("subslot", response.usb_audio_subslot_size.is_none()),
        ("interrupter", response.interrupter_num.is_none()),
        ("speed", response.speed_info.is_none()),
        ("controller", response.controller_num.is_none()),
    ];
    let (what, _) = lacks.into_iter().find(|&(_, lacks)| lacks)?;
    Some(format!("it grants a stream and does not tell its {what}"))
}

#[cfg(test)]
mod tests {
    use super::wrong;
    use offload_broker::refusal::{Dialect, Refusal};
    use offload_broker::response::{disabled, refused};
    use qmi::{
        EndpointDescriptor, InterfaceDescriptor, MemoryInfo, QmiResult, Speed, StreamResponse,
        Token,
    };

    fn granted() -> StreamResponse {
        StreamResponse {
            slot_id: Some(1),
            std_as_opr_intf_desc: Some(InterfaceDescriptor::default()),
            std_as_data_ep_desc: Some(EndpointDescriptor::default()),
            usb_audio_spec_revision: Some(0x0100),
            usb_audio_subslot_size: Some(2),
            xhci_mem_info: Some(MemoryInfo::default()),
            interrupter_num: Some(1),
            speed_info: Some(Speed::FULL),
            controller_num: Some(0),
            ..disabled(Token::new(0, 0, 0))
        }
    }

    #[test]
    fn a_grant_tells_everything_and_an_end_only_that_it_went_well() {
        assert_eq!(wrong(&granted()), None);
        assert_eq!(wrong(&disabled(Token::new(0, 0, 0))), None);
        let lacking = |response| wrong(&response).expect("something is missing");
        let revision = lacking(StreamResponse { usb_audio_spec_revision: None, ..granted() });
        assert!(revision.contains("revision"), "{revision}");
        let controller = lacking(StreamResponse { controller_num: None, ..granted() });
        assert!(controller.contains("controller"), "{controller}");
        lacking(StreamResponse { internal_status: None, ..granted() });
        let malformed = StreamResponse { resp: QmiResult::MALFORMED, ..StreamResponse::default() };
        assert_eq!(wrong(&malformed), None);
    }

    #[test]
    fn a_refusal_has_its_cause_and_no_number_of_linux() {
        for refusal in [Refusal::BadMessage, Refusal::Misbehaved] {
            let token = Token::new(0, 0, 0);
            assert_eq!(wrong(&refused(Dialect::Precise, token, refusal)), None);
            assert!(wrong(&refused(Dialect::Upstream, token, refusal)).is_some());
        }
    }
}
