//! Datagrams to and from the application core.

use crate::core::{Core, Denied, answer};
use dsp_abi::mailbox::{APP_NODE, DATAGRAM, DSP_NODE};
use dsp_abi::monitor::{Call, MAIL_IN, MAIL_OUT};
use qmi::qrtr::{Address, CONTROL_PORT, Control, Frame, FrameKind, Node, Port};

/// The program's port for QMI.
pub(crate) const QMI_PORT: Port = Port(0x10);
/// The program's port for the port service.
pub(crate) const PORT_SERVICE: Port = Port(0x11);

/// An address on this node.
pub(crate) const fn here(port: Port) -> Address {
    Address { node: Node(DSP_NODE), port }
}

/// Sends `payload` from `from` to `to`.
///
/// # Errors
/// [`Denied::MailFull`]: try again after the mail event.
pub(crate) fn send(
    core: &impl Core,
    from: Port,
    to: Address,
    payload: &[u8],
) -> Result<(), Denied> {
    frame(core, FrameKind::Data, here(from), to, payload)
}

/// Sends a control packet to the application core's node.
///
/// # Errors
/// As [`send`].
pub(crate) fn control(core: &impl Core, control: &Control) -> Result<(), Denied> {
    let to = Address::control(Node(APP_NODE));
    frame(core, control.kind(), here(CONTROL_PORT), to, &control.encode())
}

fn frame(
    core: &impl Core,
    kind: FrameKind,
    from: Address,
    to: Address,
    payload: &[u8],
) -> Result<(), Denied> {
    let mut bytes = [0; DATAGRAM];
    let len = Frame { kind, from, to, confirm: false }
        .encode(payload, &mut bytes)
        .expect("our own messages fit a datagram");
    core.write(MAIL_OUT, &bytes[..len]);
    answer(core.call(Call::MailSend, [len as u32, 0, 0, 0, 0])).map(|_| ())
}

/// The next datagram, into `buffer`; `None` when there is none. What is no
/// frame at all is skipped.
pub(crate) fn receive<'b>(
    core: &impl Core,
    buffer: &'b mut [u8; DATAGRAM],
) -> Option<(Frame, &'b [u8])> {
    loop {
        let [len, ..] = answer(core.call(Call::MailReceive, [0; 5])).ok()?;
        let len = (len as usize).min(DATAGRAM);
        if len == 0 {
            return None;
        }
        core.read(MAIL_IN, &mut buffer[..len]);
        if Frame::decode(&buffer[..len]).is_ok() {
            return Frame::decode(&buffer[..len]).ok();
        }
    }
}
