//! A list of at most `N` values that says so when it is full.
//!
//! Descriptor tables have a capacity, and a device decides how much it claims
//! to have: the one thing that must not happen is that the excess is dropped
//! silently or ends in a panic. [`List::push`] gives the value back instead.

use core::fmt;
use core::ops::Deref;

/// At most `N` values, in the order they were pushed.
#[derive(Copy, Clone)]
pub struct List<T, const N: usize> {
    slots: [T; N],
    used: usize,
}

impl<T: Copy + Default, const N: usize> List<T, N> {
    /// A list without entries.
    #[must_use]
    pub fn new() -> Self {
        // Made one by one: an image would hold all N as a constant otherwise.
        let empty = core::hint::black_box(T::default());
        Self { slots: [empty; N], used: 0 }
    }

    /// Appends `value`.
    ///
    /// # Errors
    /// Gives `value` back when all `N` places are taken.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        match self.slots.get_mut(self.used) {
            Some(slot) => {
                *slot = value;
                self.used += 1;
                Ok(())
            }
            None => Err(value),
        }
    }

    /// The entries.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        self.slots.get(..self.used).unwrap_or(&[])
    }

    /// The entries, to change in place.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self.slots.get_mut(..self.used).unwrap_or(&mut [])
    }
}

impl<T: Copy + Default, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy + Default, const N: usize> Deref for List<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: Copy + Default + PartialEq, const N: usize> PartialEq for List<T, N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<T: Copy + Default + Eq, const N: usize> Eq for List<T, N> {}

impl<T: Copy + Default + fmt::Debug, const N: usize> fmt::Debug for List<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::List;

    #[test]
    fn a_full_list_gives_the_value_back_and_keeps_what_it_has() {
        let mut list = List::<u8, 2>::new();
        assert_eq!(list.push(1), Ok(()));
        assert_eq!(list.push(2), Ok(()));
        assert_eq!(list.push(3), Err(3));
        assert_eq!(list.as_slice(), [1, 2]);
    }
}
