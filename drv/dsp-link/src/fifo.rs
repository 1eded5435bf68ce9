//! A first-in first-out queue of fixed capacity.

/// Up to `N` values, oldest first.
#[derive(Debug)]
pub(crate) struct Fifo<T, const N: usize> {
    places: [Option<T>; N],
    first: usize,
    len: usize,
}

impl<T, const N: usize> Fifo<T, N> {
    /// An empty queue.
    pub(crate) const fn new() -> Self {
        Self { places: [const { None }; N], first: 0, len: 0 }
    }

    /// Adds a value, or hands it back when the queue is full.
    pub(crate) fn push(&mut self, value: T) -> Result<(), T> {
        if self.len == N {
            return Err(value);
        }
        self.places[(self.first + self.len) % N] = Some(value);
        self.len += 1;
        Ok(())
    }

    /// Takes the oldest value.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let value = self.places[self.first].take()?;
        self.first = (self.first + 1) % N;
        self.len -= 1;
        Some(value)
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
            assert_eq!(fifo.pop(), Some(round));
            assert_eq!(fifo.pop(), Some(round + 1));
        }
    }
}
