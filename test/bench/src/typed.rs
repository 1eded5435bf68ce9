//! The same as a server of a generated interface.

use idol_runtime::{NotificationHandler, RequestError};
use userlib::RecvMessage;

mod stub {
    include!(concat!(env!("OUT_DIR"), "/server_stub.rs"));
}

struct Echo;

impl stub::InOrderBenchImpl for Echo {
    fn echo(
        &mut self,
        _: &RecvMessage,
        low: u64,
        high: u64,
    ) -> Result<[u64; 2], RequestError<core::convert::Infallible>> {
        Ok([low, high])
    }
}

impl NotificationHandler for Echo {
    fn current_notification_mask(&self) -> u32 {
        0
    }

    fn handle_notification(&mut self, _: u32) {}
}

/// Serves for ever.
pub fn run() -> ! {
    idol_runtime::dispatch::<_, stub::BenchOperation>(&mut Echo, &mut [0; stub::INCOMING_SIZE])
}
