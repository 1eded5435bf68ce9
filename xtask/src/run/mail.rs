//! What the DSP's side of the mailbox said last: the datagrams that are still in
//! its ring.

use addr::{PAGE, Phys};
use dsp_abi::mailbox::{DATAGRAM, DSP_PAGE, Header, SLOT, SLOTS, slot};
use qemu::{Error, Memory};
use qmi::qrtr::{Control, Frame};
use zerocopy::{FromZeros, IntoBytes};

use super::places::Places;

/// Bytes of a slot before its datagram, of which the first four are its length.
const HEAD: usize = SLOT - DATAGRAM;

/// Its latest control packets, oldest first.
pub(crate) fn control_packets(memory: &Memory, places: &Places) -> Result<Vec<Control>, Error> {
    let page = places.mailbox.plus(u64::from(DSP_PAGE) * u64::from(PAGE));
    let mut header = Header::new_zeroed();
    memory.read(page, header.as_mut_bytes())?;
    let mut packets = Vec::new();
    for n in header.head.saturating_sub(SLOTS)..header.head {
        packets.extend(control(&datagram(memory, page.plus(u64::from(slot(n))))?));
    }
    Ok(packets)
}

fn datagram(memory: &Memory, at: Phys) -> Result<Vec<u8>, Error> {
    let len = memory.word(at)? as usize;
    let mut bytes = vec![0; len.min(DATAGRAM)];
    memory.read(at.plus(HEAD as u64), &mut bytes)?;
    Ok(bytes)
}

fn control(datagram: &[u8]) -> Option<Control> {
    let (frame, payload) = Frame::decode(datagram).ok()?;
    Control::decode(frame.kind, payload).ok()
}
