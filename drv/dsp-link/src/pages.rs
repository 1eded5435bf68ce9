//! The mailbox's pages as this side sees them: they lie in a pool, ours first.

use dsp_abi::mailbox::{APP_PAGE, DSP_PAGE};
use mailbox::{Memory, Offset};

/// The mailbox pool.
#[derive(Debug)]
pub(crate) struct Pages<'c>(pub(crate) &'c dma::Pool);

const _: () = assert!(APP_PAGE == 0 && DSP_PAGE == 1, "the pool is in this side's order");

impl Memory for Pages<'_> {
    fn read(&mut self, at: Offset, into: &mut [u8]) {
        self.0.read(at, into);
    }

    fn write(&mut self, at: Offset, from: &[u8]) {
        self.0.write(at, from);
    }

    fn publish(&mut self) {
        dma::publish();
    }

    fn acquire(&mut self) {
        dma::acquire();
    }
}
