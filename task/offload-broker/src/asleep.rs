//! Streams that ended because their device was suspended.
//!
//! Who had them was told SUSPEND, and is told RESUME when the device is in reach
//! again (D-25): then, and not before, it may ask for the stream again.

use dsp_abi::SESSIONS;
use dsp_link_api::Address;
use usb_core_api::DeviceHandle;

use crate::response::Named;

/// A stream that its device's suspend ended.
#[derive(Copy, Clone, Debug)]
pub struct Stream {
    /// Its device.
    pub device: DeviceHandle,
    /// Who had it.
    pub client: Address,
    /// What it is called.
    pub named: Named,
}

/// All of them. There are no more than there were sessions, since none begins
/// while the system sleeps.
#[derive(Debug, Default)]
pub struct Asleep([Option<Stream>; SESSIONS]);

impl Asleep {
    /// A stream ended so.
    pub fn add(&mut self, stream: Stream) {
        if let Some(place) = self.0.iter_mut().find(|place| place.is_none()) {
            *place = Some(stream);
        }
    }

    /// A stream of `device`, which is back; once.
    pub fn take(&mut self, device: DeviceHandle) -> Option<Stream> {
        self.0.iter_mut().find_map(|place| place.take_if(|stream| stream.device == device))
    }

    /// Nobody is to be told of these.
    pub fn forget(&mut self, which: impl Fn(&Stream) -> bool) {
        for place in &mut self.0 {
            place.take_if(|stream| which(stream));
        }
    }
}
