//! Datagrams on their way out.

use dsp_link_api::{Address, DspLinkError};

use super::{Datagram, Executor, TRACE, Trace};

impl Executor<'_> {
    pub(super) fn announce(&mut self) {
        if self.port.is_none() {
            // Refused only when the link is dying or has no port left; the next
            // wake tries again.
            self.port = self.link.publish(qmi::SERVICE, qmi::INSTANCE_WORD).ok();
        }
    }

    /// Puts a datagram into the outbox.
    pub(super) fn post(&mut self, to: Address, write: impl FnOnce(&mut [u8]) -> Option<usize>) {
        let mut datagram = Datagram { to, len: 0, bytes: [0; qmi::MAX_DATAGRAM] };
        datagram.len = write(&mut datagram.bytes).expect("the buffer has room for the longest");
        if self.outbox.push(datagram).is_err() {
            ringbuf::ringbuf_entry!(TRACE, Trace::Dropped { to });
        }
        self.flush();
    }

    /// Sends what waits in the outbox, as far as the mailbox has room.
    pub(super) fn flush(&mut self) {
        let Some(port) = self.port else { return };
        while let Some(datagram) = self.outbox.peek() {
            match self.link.send(port, datagram.to, &datagram.bytes[..datagram.len]) {
                Ok(()) => {}
                // The link tells when it has room.
                Err(DspLinkError::Full) => return,
                Err(DspLinkError::ServerDied | DspLinkError::NotPortOwner) => {
                    self.look_at_peers = true;
                    self.port = None;
                    return;
                }
                // Whoever it was for is gone.
                Err(_) => ringbuf::ringbuf_entry!(TRACE, Trace::Dropped { to: datagram.to }),
            }
            self.outbox.pop();
        }
    }
}
