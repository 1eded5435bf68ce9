//! Client side of the USB core.
//!
//! A [`DeviceHandle`] names one incarnation of a device: unplugging ends it, and
//! what is plugged in next has another.

#![no_std]

use idol_derive::{Count, IdolError};
use packed::Packed;
use usb_types::{EndpointAddress, Setup, Speed};
use xhci_api::SlotHandle;

handles::handle! {
    /// One incarnation of a device.
    pub struct DeviceHandle
}

handles::handle! {
    /// An operation of `usb_core` under way.
    pub struct TicketHandle
}

/// What is known of a device.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct DeviceInfo {
    /// Controller number in the image.
    pub controller: u8,
    /// The device's slot, for the owner of a sideband.
    pub slot: SlotHandle,
    /// The slot's number as the controller knows it.
    pub slot_number: u8,
    /// Root port, from 1.
    pub port: u8,
    /// How fast it talks.
    pub speed: Speed,
    /// idVendor.
    pub vendor: u16,
    /// idProduct.
    pub product: u16,
    /// bcdDevice.
    pub release: u16,
    /// bConfigurationValue of the active configuration.
    pub configuration: u8,
    /// Bytes of its descriptors.
    pub configuration_length: u16,
    /// What it is up to.
    pub power: PowerState,
}

/// A device's power state.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum PowerState {
    /// Up.
    Active,
    /// On its way down.
    Suspending,
    /// Down.
    Suspended,
    /// On its way up.
    Resuming,
}

/// Where the system is between running and suspended.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Packed)]
pub enum SystemPower {
    /// It runs.
    #[default]
    Awake,
    /// Devices go down.
    Suspending,
    /// All that was to go down is down.
    Suspended,
    /// Devices come up.
    Resuming,
}

/// What a suspend of the system takes down.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum Depth {
    /// Every device but those that are held.
    AllButHeld,
    /// Every device (U8).
    All,
}

/// [`UsbCoreEvent`]; that is its name where a debugger looks for it alone.
pub type Event = UsbCoreEvent;

/// News from `usb_core`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub enum UsbCoreEvent {
    /// No more news.
    None,
    /// A device is configured; or, of one that is known, an interface that was
    /// taken from its owner is free again.
    Attached(DeviceHandle),
    /// A device is gone; its handle answers `DeviceGone` from now on.
    Detached(DeviceHandle),
    /// The system is suspended, or about to be: whatever is asked of the device
    /// now is `Suspended`, and its packets go nowhere.
    Suspended(DeviceHandle),
    /// The device is in reach again, as it was left.
    Resumed(DeviceHandle),
    /// The device was reset: its interfaces are at alternate 0, and what was set
    /// by requests is lost.
    Reset(DeviceHandle),
    /// Somebody takes an interface of the caller's: it is to be brought to
    /// alternate 0 and released. After 12 s it is taken all the same.
    Wanted {
        /// The device.
        device: DeviceHandle,
        /// The interface's number.
        interface: u8,
    },
    /// A device woke the system, which is suspended (to `power`).
    Woken(DeviceHandle),
    /// A ticket of the caller's is ready.
    TicketDone(TicketHandle),
    /// Packets of a host-path isochronous endpoint completed.
    IsochProgress {
        /// The device.
        device: DeviceHandle,
        /// The endpoint.
        endpoint: EndpointAddress,
    },
}

/// How a host-path isochronous endpoint is doing. Counts wrap.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Packed)]
pub struct PipeStatus {
    /// Packets queued and not completed.
    pub queued: u8,
    /// Packets for which there is room.
    pub room: u8,
    /// Packets completed.
    pub completed: u32,
    /// Packets completed with an error or missed.
    pub errors: u32,
    /// Times that the pipe ran dry.
    pub underruns: u32,
}

/// [`UsbCoreStatus`]; that is its name where a debugger looks for it alone.
pub type Status = UsbCoreStatus;

/// What `usb_core` holds.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Packed)]
pub struct UsbCoreStatus {
    /// Devices attached.
    pub devices: u8,
    /// Holds that stand.
    pub holds: u8,
    /// Devices that are suspended, or on their way there or back.
    pub suspended: u8,
    /// Alternate settings 0 that devices have not been told of yet.
    pub owed: u8,
    /// Where the system is.
    pub system: SystemPower,
    /// Enumerations that failed.
    pub failed_enumerations: u32,
}

/// Why `usb_core` refuses, or how an operation failed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Count, IdolError)]
#[repr(u32)]
pub enum UsbCoreError {
    /// The operation is under way: wait for the hint.
    NotYet = 1,
    /// The handle is of an earlier life of `usb_core`: start over.
    StaleServer,
    /// What the handle named is gone: drop it.
    Stale,
    /// The handle is another task's: a defect of the caller.
    NotOwner,
    /// The operation is not for the caller: a defect of the caller.
    NotAllowed,
    /// The caller has too many operations under way: end some.
    NoTickets,
    /// The device is gone.
    DeviceGone,
    /// The device is suspended or on its way: try after resume.
    Suspended,
    /// The device is being reset: try when that is told.
    Resetting,
    /// The caller holds the device already.
    AlreadyHeld,
    /// The caller does not hold the device.
    NotHeld,
    /// No such interface in the active configuration.
    NoInterface,
    /// Another task claimed the interface.
    InterfaceBusy,
    /// The caller has not claimed the interface.
    NotClaimed,
    /// No such alternate setting.
    NoAlternate,
    /// No such endpoint in the alternate setting in force.
    NoEndpoint,
    /// The interface is being switched, or the system is on its way the other
    /// way: try again.
    Busy,
    /// The request is not for an interface or endpoint of the caller's.
    BadRequest,
    /// Not enough bandwidth: the old setting stands.
    Bandwidth,
    /// The controller has no memory or context for the endpoint.
    NoResources,
    /// The endpoint is a sideband's.
    EndpointBusy,
    /// The device stalled.
    Stall,
    /// The device did not answer, or babbled.
    Transaction,
    /// The operation did not end in time.
    TimedOut,
    /// The controller failed; every device is gone.
    ControllerDead,
    /// A transfer failed in a way not named here.
    TransferFailed,
    /// `usb_core` died during the call; every handle is void.
    #[idol(server_death)]
    ServerDied,
}

include!(concat!(env!("OUT_DIR"), "/client_stub.rs"));
