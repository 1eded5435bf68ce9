//! A configured device: what it is, who uses what of it.

use abi::TaskId;
use usb_core_api::{DeviceInfo, PowerState, UsbCoreError};
use usb_desc::{AlternateNumber, Config, Header, InterfaceNumber, MAX_INTERFACES};
use usb_types::{EndpointAddress, Speed};
use xhci_api::SlotHandle;

use crate::change::Change;
use crate::controllers::ControllerNumber;
use crate::endpoint::{Specs, dci, dcis, specs};
use crate::power::Power;
use crate::switch::Standing;
use crate::{MAX_PORTS, ROOT_PORTS};

/// One interface of the active configuration.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Interface {
    /// Who claimed it.
    pub(crate) owner: Option<TaskId>,
    /// Somebody let go of it for another, who is to be told when it is free again.
    pub(crate) was_taken: bool,
    /// The alternate setting in force and its endpoints.
    pub(crate) standing: Standing,
}

/// A configured device.
#[derive(Debug)]
pub(crate) struct Device {
    /// Which place of the store has its configuration.
    pub(crate) store: StoreIndex,
    pub(crate) slot: Slot,
    pub(crate) port: PortNumber,
    pub(crate) speed: Speed,
    pub(crate) descriptor: usb_desc::Device,
    pub(crate) header: Header,
    /// Bytes of its configuration's descriptors.
    pub(crate) length: u16,
    pub(crate) power: Power,
    pub(crate) change: Change,
    interfaces: [Option<Interface>; MAX_INTERFACES],
}

/// A place that holds one configuration's descriptors.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoreIndex(pub(crate) u8);

/// A device's slot.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) handle: SlotHandle,
    /// As the controller numbers it.
    pub(crate) number: u8,
}

/// A port. Root ports of the first controller have their own numbers, from 1; those
/// of its hubs go on where [`ROOT_PORTS`] ends, and those of the next controller
/// where [`MAX_PORTS`] does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct PortNumber(pub(crate) u8);

impl PortNumber {
    /// Port `root` of `controller`, from 1; `None` of one that is not looked at.
    pub(crate) fn new(controller: ControllerNumber, root: u8) -> Option<Self> {
        let looked_at = (1..=ROOT_PORTS as u8).contains(&root);
        looked_at.then(|| Self(controller.0 * MAX_PORTS as u8 + root))
    }

    /// The port at a place in [`Ports`](crate::controllers::Ports).
    pub(crate) const fn at(index: usize) -> Self {
        Self(index as u8 + 1)
    }

    /// Its place there.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize - 1
    }

    /// Whose port it is.
    pub(crate) const fn controller(self) -> ControllerNumber {
        ControllerNumber((self.0 - 1) / MAX_PORTS as u8)
    }

    /// Its number at its controller.
    pub(crate) const fn root(self) -> u8 {
        (self.0 - 1) % MAX_PORTS as u8 + 1
    }
}

impl Device {
    /// A device fresh from enumeration, with `bytes` its configuration.
    pub(crate) fn new(
        (port, slot, store): (PortNumber, Slot, StoreIndex),
        speed: Speed,
        descriptor: usb_desc::Device,
        header: Header,
        bytes: &[u8],
    ) -> Self {
        let mut interfaces = [None; MAX_INTERFACES];
        let mut configured = 0;
        let settings = Config::parse(bytes, speed)
            .into_iter()
            .flat_map(|config| config.settings().filter_map(Result::ok));
        for setting in settings {
            let InterfaceNumber(number) = setting.interface.number();
            let place = &mut interfaces[usize::from(number)];
            let interface = place.get_or_insert(Interface {
                owner: None,
                was_taken: false,
                standing: Standing { alternate: 0, specs: Specs::new() },
            });
            if setting.interface.alternate() == AlternateNumber(0) {
                // As enumeration configured them: of two interfaces with one
                // address the first has it.
                for spec in specs(&setting, speed).unwrap_or_default().iter() {
                    if configured & 1 << spec.dci == 0 {
                        configured |= 1 << spec.dci;
                        // As many places as `specs` has.
                        let _ = interface.standing.specs.push(*spec);
                    }
                }
            }
        }
        let length = bytes.len() as u16;
        let (power, change) = (Power::new(), Change::default());
        Self { store, slot, port, speed, descriptor, header, length, power, change, interfaces }
    }

    /// Its configuration's descriptors in the store `bytes`.
    pub(crate) fn descriptors<'s>(&self, bytes: &'s [u8]) -> &'s [u8] {
        bytes.get(..usize::from(self.length)).unwrap_or(bytes)
    }

    /// How many rules its configuration breaks.
    pub(crate) fn issues(&self, bytes: &[u8]) -> u16 {
        let Ok(config) = Config::parse(bytes, self.speed) else { return 0 };
        config.settings().filter(Result::is_err).count() as u16
    }

    /// What clients are told of it.
    pub(crate) fn info(&self) -> DeviceInfo {
        DeviceInfo {
            controller: self.port.controller().0,
            slot: self.slot.handle,
            slot_number: self.slot.number,
            port: self.port.root(),
            speed: self.speed,
            vendor: self.descriptor.vendor,
            product: self.descriptor.product,
            release: self.descriptor.release,
            configuration: self.header.value,
            configuration_length: self.length,
            power: self.power.state(),
        }
    }

    /// It was reset, and is as `fresh` now: no endpoints but those of alternate
    /// settings 0, nothing owed. Who claimed what stands.
    pub(crate) fn renew(&mut self, fresh: &Self) {
        let fresh = fresh.interfaces.iter().flatten();
        for (interface, fresh) in self.interfaces.iter_mut().flatten().zip(fresh) {
            interface.standing = fresh.standing;
        }
        self.power.end_reset();
        self.change.resets = self.change.resets.wrapping_add(1);
        self.change.owed = 0;
    }

    /// Whether it is neither suspended nor on its way there or back.
    pub(crate) fn is_up(&self) -> bool {
        self.power.state() == PowerState::Active
    }

    /// An interface.
    pub(crate) fn interface(&mut self, number: u8) -> Result<&mut Interface, UsbCoreError> {
        self.interfaces
            .get_mut(usize::from(number))
            .and_then(Option::as_mut)
            .ok_or(UsbCoreError::NoInterface)
    }

    /// An interface that `caller` claimed.
    pub(crate) fn claimed(
        &mut self,
        number: u8,
        caller: TaskId,
    ) -> Result<&mut Interface, UsbCoreError> {
        let interface = self.interface(number)?;
        match interface.owner {
            Some(owner) if owner == caller => Ok(interface),
            Some(_) => Err(UsbCoreError::InterfaceBusy),
            None => Err(UsbCoreError::NotClaimed),
        }
    }

    /// Every interface there is.
    pub(crate) fn interfaces(&mut self) -> impl Iterator<Item = &mut Interface> {
        self.interfaces.iter_mut().flatten()
    }

    /// The same with their numbers.
    pub(crate) fn numbered(&mut self) -> impl Iterator<Item = (u8, &mut Interface)> {
        (0..).zip(&mut self.interfaces).filter_map(|(n, place)| Some((n, place.as_mut()?)))
    }

    /// The DCI of a configured endpoint of an interface that `caller` claimed.
    pub(crate) fn endpoint(
        &mut self,
        address: EndpointAddress,
        caller: TaskId,
    ) -> Result<u8, UsbCoreError> {
        let dci = dci(address).ok_or(UsbCoreError::NoEndpoint)?;
        let has = |interface: &&mut Interface| dcis(&interface.standing.specs) & dci.bit() != 0;
        let interface = self.interfaces().find(has).ok_or(UsbCoreError::NoEndpoint)?;
        match interface.owner {
            Some(owner) if owner == caller => Ok(dci.index()),
            Some(_) => Err(UsbCoreError::InterfaceBusy),
            None => Err(UsbCoreError::NotClaimed),
        }
    }

    /// Who claimed the interface with the endpoint `dci`.
    pub(crate) fn endpoint_owner(&mut self, dci: u8) -> Option<TaskId> {
        self.interfaces()
            .find(|interface| dcis(&interface.standing.specs) & 1 << (dci & 31) != 0)
            .and_then(|interface| interface.owner)
    }

    /// The alternate setting `alternate` of an interface, out of `bytes`, the
    /// configuration.
    pub(crate) fn setting(
        &self,
        number: u8,
        alternate: u8,
        bytes: &[u8],
    ) -> Result<Standing, UsbCoreError> {
        let config = Config::parse(bytes, self.speed).map_err(|_| UsbCoreError::NoAlternate)?;
        let setting = config
            .setting(InterfaceNumber(number), AlternateNumber(alternate))
            .ok_or(UsbCoreError::NoAlternate)?;
        let specs = specs(&setting, self.speed).map_err(|_| UsbCoreError::NoResources)?;
        Ok(Standing { alternate, specs })
    }

    /// Whether an interface other than `number` uses an endpoint of `wanted`.
    pub(crate) fn clashes(&self, number: u8, wanted: &Standing) -> bool {
        let others = self.interfaces.iter().enumerate().filter_map(|(index, interface)| {
            interface.as_ref().filter(|_| index != usize::from(number))
        });
        let used = others.fold(0, |used, other| used | dcis(&other.standing.specs));
        used & dcis(&wanted.specs) != 0
    }
}
