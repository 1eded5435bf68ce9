//! A first-in first-out queue of fixed capacity.
//!
//! For news, effects and datagrams that wait inside a task: no allocation, and
//! what has no place comes back to the caller, who decides what that means.

#![no_std]
#![forbid(unsafe_code)]

/// Up to `N` values, oldest first.
#[derive(Debug)]
pub struct Fifo<T, const N: usize> {
    places: [Option<T>; N],
    first: usize,
    len: usize,
}

impl<T, const N: usize> Fifo<T, N> {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self { places: core::array::from_fn(|_| None), first: 0, len: 0 }
    }

    /// Adds a value.
    ///
    /// # Errors
    /// The value, when the queue is full.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        if self.len == N {
            return Err(value);
        }
        self.places[(self.first + self.len) % N] = Some(value);
        self.len += 1;
        Ok(())
    }

    /// Takes the oldest value.
    pub fn pop(&mut self) -> Option<T> {
        let value = self.places[self.first].take()?;
        self.first = (self.first + 1) % N;
        self.len -= 1;
        Some(value)
    }

    /// The oldest value, which stays.
    #[must_use]
    pub const fn peek(&self) -> Option<&T> {
        self.places[self.first].as_ref()
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<T, const N: usize> Default for Fifo<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Fifo;

    #[test]
    fn values_come_out_in_order_and_the_one_too_many_comes_back() {
        let mut fifo = Fifo::<u8, 2>::new();
        for round in 0..5 {
            assert_eq!(fifo.pop(), None);
            assert_eq!(fifo.push(round), Ok(()));
            assert_eq!(fifo.push(round + 1), Ok(()));
            assert_eq!(fifo.push(9), Err(9));
            assert_eq!((fifo.peek(), fifo.is_empty()), (Some(&round), false));
            assert_eq!(fifo.pop(), Some(round));
            assert_eq!(fifo.pop(), Some(round + 1));
            assert_eq!((fifo.peek(), fifo.is_empty()), (None, true));
        }
    }
}
