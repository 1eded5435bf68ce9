//! The numbers by which a controller names things, each of its own type.

/// A device slot, 1 and up.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u8);

impl SlotId {
    /// Where a table of slots holds it; `None` for slot 0, which is none.
    pub(crate) const fn index(self) -> Option<usize> {
        (self.0 as usize).checked_sub(1)
    }
}

/// A device context index: 1 for endpoint 0, twice the number plus 1 for IN for
/// the others (xHCI 1.2, 4.5.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dci(pub u8);

impl Dci {
    /// Endpoint 0.
    pub(crate) const CONTROL: Self = Self(1);
    /// The greatest index.
    pub(crate) const LAST: u8 = 31;

    pub(crate) const fn is_in(self) -> bool {
        self.0 & 1 == 1
    }

    pub(crate) const fn endpoint(self) -> usb_model::Endpoint {
        if self.is_in() {
            usb_model::Endpoint::input(self.0 / 2)
        } else {
            usb_model::Endpoint::output(self.0 / 2)
        }
    }
}

/// An interrupter, 0 and up.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterrupterId(pub u16);

impl InterrupterId {
    /// The one that gets command completions, port changes and host events.
    pub(crate) const PRIMARY: Self = Self(0);

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A root hub port, 1 and up.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootPort(pub u8);

impl RootPort {
    pub(crate) const fn index(self) -> Option<usize> {
        (self.0 as usize).checked_sub(1)
    }
}

/// The way from a root port through hubs: a port in four bits per hub, the first
/// hub's lowest (xHCI 1.2, 6.2.2; USB 3.2, 8.9).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route(pub u32);

impl Route {
    /// No hub.
    pub const ROOT: Self = Self(0);

    /// The ports on the way.
    pub fn ports(self) -> impl Iterator<Item = u8> {
        (0..5).map(move |tier| (self.0 >> (4 * tier) & 0xF) as u8).take_while(|&port| port != 0)
    }

    /// On through `port` of the hub there.
    ///
    /// # Panics
    /// When a route string has no room for that.
    #[must_use]
    pub fn through(self, port: u8) -> Self {
        let tier = self.ports().count();
        assert!(tier < 5 && (1..=15).contains(&port), "no route string says that");
        Self(self.0 | u32::from(port) << (4 * tier))
    }

    /// Whether `other` is this one, or goes on from here.
    pub(crate) fn leads_to(self, other: Self) -> bool {
        other.0 & ((1 << (4 * self.ports().count())) - 1) == self.0
    }
}

/// Where a device is plugged in.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The root port.
    pub port: RootPort,
    /// The way on from there.
    pub route: Route,
}

impl Place {
    /// The hub that it is a port of, and which one; `None` of a root port.
    pub(crate) fn hub(self) -> Option<(Self, u8)> {
        let tier = self.route.ports().count().checked_sub(1)?;
        let above = Route(self.route.0 & ((1 << (4 * tier)) - 1));
        let port = (self.route.0 >> (4 * tier)) as u8;
        Some((Self { port: self.port, route: above }, port))
    }
}

impl From<RootPort> for Place {
    fn from(port: RootPort) -> Self {
        Self { port, route: Route::ROOT }
    }
}
