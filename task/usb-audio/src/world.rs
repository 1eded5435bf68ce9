//! What the audio class needs from outside, as a trait.
//!
//! The server's implementation sends to `usb_core` and `jefe`; the tests' one
//! is a device that does what the test wants. All calls answer at once; what
//! takes longer is a ticket of `usb_core`'s.

use abi::TaskId;
use usb_core_api::{DeviceHandle, DeviceInfo, Event, PipeStatus, TicketHandle, UsbCoreError};
use usb_desc::{AlternateNumber, InterfaceNumber};
use usb_types::{EndpointAddress, Setup};

/// What the rest of the system does for the audio class.
pub(crate) trait World {
    /// The next piece of news from `usb_core`.
    fn news(&mut self) -> Result<Event, UsbCoreError>;

    /// What is known of a device.
    fn device(&mut self, device: DeviceHandle) -> Result<DeviceInfo, UsbCoreError>;

    /// Bytes of the configuration descriptors from `offset` on.
    fn configuration(
        &mut self,
        device: DeviceHandle,
        offset: u16,
        into: &mut [u8],
    ) -> Result<u16, UsbCoreError>;

    /// Makes an interface ours.
    fn claim(
        &mut self,
        device: DeviceHandle,
        interface: InterfaceNumber,
    ) -> Result<(), UsbCoreError>;

    /// Gives an interface back.
    fn release(&mut self, device: DeviceHandle, interface: InterfaceNumber);

    /// Switches an interface.
    fn set_interface(
        &mut self,
        device: DeviceHandle,
        interface: InterfaceNumber,
        alternate: AlternateNumber,
    ) -> Result<TicketHandle, UsbCoreError>;

    /// Starts a control transfer; `data` is its OUT data stage.
    fn control(
        &mut self,
        device: DeviceHandle,
        setup: Setup,
        data: &[u8],
    ) -> Result<TicketHandle, UsbCoreError>;

    /// How an operation without IN data ended.
    fn result(&mut self, ticket: TicketHandle) -> Result<(), UsbCoreError>;

    /// How a control transfer ended, and its IN data.
    fn take(&mut self, ticket: TicketHandle, into: &mut [u8]) -> Result<u16, UsbCoreError>;

    /// Queues isochronous packets; how many were taken.
    fn send(
        &mut self,
        device: DeviceHandle,
        endpoint: EndpointAddress,
        lengths: &[u8],
        data: &[u8],
    ) -> Result<u8, UsbCoreError>;

    /// The oldest packet that came in.
    fn receive(
        &mut self,
        device: DeviceHandle,
        endpoint: EndpointAddress,
        into: &mut [u8],
    ) -> Result<u16, UsbCoreError>;

    /// How an isochronous endpoint is doing.
    fn pipe(
        &mut self,
        device: DeviceHandle,
        endpoint: EndpointAddress,
    ) -> Result<PipeStatus, UsbCoreError>;

    /// Tells a client that there is news.
    fn hint(&mut self, client: TaskId);

    /// Milliseconds since the system started.
    fn now(&mut self) -> u64;
}
