//! The controllers below, and what there is once for each.
//!
//! Every controller numbers its ports, slots and tickets by itself, so a number
//! of one says nothing without knowing whose it is: ports are numbered through
//! here ([`PortNumber`]), and what a driver's answer belongs to is looked for
//! among its own controller's only. An image with one controller pays nothing
//! for that.

use core::ops::{Index, IndexMut};

use crate::MAX_PORTS;
use crate::device::PortNumber;
use crate::ports::Port;

/// A controller of the image, numbered from 0 as its driver's events name it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct ControllerNumber(pub(crate) u8);

/// The drivers of all controllers.
#[derive(Debug)]
pub(crate) struct Controllers<C, const N: usize>(pub(crate) [C; N]);

impl<C, const N: usize> Controllers<C, N> {
    /// All there are.
    pub(crate) fn numbers() -> impl Iterator<Item = ControllerNumber> {
        const { assert!(N > 0 && N * MAX_PORTS < 256, "a port's number has 8 bits") };
        (0..N as u8).map(ControllerNumber)
    }

    /// The driver of a controller.
    pub(crate) fn get(&self, controller: ControllerNumber) -> &C {
        &self.0[place::<N>(controller)]
    }

    /// The driver of the controller that a port belongs to.
    pub(crate) fn of(&self, port: PortNumber) -> &C {
        self.get(port.controller())
    }

    /// Whether a port is one of `controller`'s.
    pub(crate) fn has(controller: ControllerNumber, port: PortNumber) -> bool {
        N == 1 || port.controller() == controller
    }
}

/// Where in an array of one for each controller its own is.
pub(crate) const fn place<const N: usize>(controller: ControllerNumber) -> usize {
    if N == 1 { 0 } else { controller.0 as usize }
}

/// What goes on at each port; the index is [`PortNumber::index`].
#[derive(Debug)]
pub(crate) struct Ports<const N: usize>([[Port; MAX_PORTS]; N]);

impl<const N: usize> Ports<N> {
    pub(crate) const fn new() -> Self {
        Self([[Port::Empty; MAX_PORTS]; N])
    }

    /// How many there are, of all controllers together.
    pub(crate) const fn len() -> usize {
        N * MAX_PORTS
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Port> {
        self.0.as_flattened().iter()
    }
}

impl<const N: usize> Index<usize> for Ports<N> {
    type Output = Port;

    fn index(&self, index: usize) -> &Port {
        &self.0.as_flattened()[index]
    }
}

impl<const N: usize> IndexMut<usize> for Ports<N> {
    fn index_mut(&mut self, index: usize) -> &mut Port {
        &mut self.0.as_flattened_mut()[index]
    }
}
