//! Extents of device addresses out of one region.
//!
//! The policy is that of the Linux driver (facts I4 to I10), because a DSP may
//! have come to expect the addresses that follow from it: extents that were
//! given back are kept as they were cut; the first one of exactly the right
//! length is taken again; else the first run of neighbours that adds up exactly;
//! else the address after all others. Its defects are not kept: a run is found
//! wherever it starts (I7), the region is never left (I8, D-18), and no extent
//! is empty (I9). Where Linux would leave the region or give up, free neighbours
//! are merged and a longer free extent is cut.
//!
//! Each extent is followed by `guard` pages that belong to it and are never
//! given out, so that whoever runs over its end hits nothing.

use addr::{Bus, PAGE, Peer};
use scarce::{Scarce, spent};

/// Device addresses that can be given out.
pub trait Address: Copy + Eq + Ord {
    /// The address with this number.
    fn from_number(number: u64) -> Self;

    /// The address's number.
    fn number(self) -> u64;
}

impl Address for Bus {
    fn from_number(number: u64) -> Self {
        Self(number)
    }

    fn number(self) -> u64 {
        self.0
    }
}

impl Address for Peer {
    fn from_number(number: u64) -> Self {
        Self(number)
    }

    fn number(self) -> u64 {
        self.0
    }
}

/// Why an extent is not given out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No extent is empty.
    Empty,
    /// The length is not a multiple of the page.
    Unaligned,
    /// No hole is long enough.
    Exhausted,
    /// The region is cut into as many pieces as there is place for.
    TooManyPieces,
}

/// What a release found at the address.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// An extent in use, now free.
    Freed,
    /// Nothing that is in use: unknown, or released before. Nothing changed.
    NotInUse,
}

/// A piece of the region, guard included. Pieces lie one behind the other.
#[derive(Copy, Clone, Debug, Hash)]
struct Piece {
    span: u32,
    used: bool,
}

/// The extents of one region, in at most `N` pieces.
#[derive(Clone, Debug, Hash)]
pub struct Allocator<A, const N: usize> {
    base: A,
    /// Pages of the region.
    room: u32,
    /// Pages behind each extent.
    guard: u32,
    pieces: [Piece; N],
    len: usize,
    /// Pages not in use, guards counted with their extents.
    left: u32,
}

impl<A: Address, const N: usize> Allocator<A, N> {
    /// The region of `pages` pages from `base`, with `guard` pages behind each
    /// extent.
    ///
    /// # Panics
    /// When `base` is not at a page, or the region reaches beyond 64 bits: chip
    /// data is wrong.
    #[must_use]
    pub fn new(base: A, pages: u32, guard: u32) -> Self {
        let page = u64::from(PAGE);
        assert!(base.number().is_multiple_of(page), "a region starts at a page");
        assert!(
            base.number().checked_add(u64::from(pages) * page).is_some(),
            "a region ends within 64 bits"
        );
        Self {
            base,
            room: pages,
            guard,
            pieces: [Piece { span: 0, used: false }; N],
            len: 0,
            left: pages,
        }
    }

    /// An extent of `bytes` bytes.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn allocate(&mut self, bytes: u64) -> Result<A, Refused> {
        let span = self.span(bytes)?;
        if span > self.left || spent(Scarce::Addresses) {
            return Err(Refused::Exhausted);
        }
        let found = self.exact(span).or_else(|| self.append(span));
        let found = match found {
            Some(at) => Some(at),
            None => {
                self.merge();
                self.exact(span).or_else(|| self.append(span)).or_else(|| self.cut(span))
            }
        };
        match found {
            Some(page) => {
                self.left -= span;
                Ok(self.address(page))
            }
            None if self.len == N => Err(Refused::TooManyPieces),
            None => Err(Refused::Exhausted),
        }
    }

    /// Gives the extent of `bytes` bytes at `at` back.
    ///
    /// With another length than was allocated it does what the Linux driver
    /// does: whole pieces are freed until the length is reached (I10).
    pub fn release(&mut self, at: A, bytes: u64) -> Release {
        let Ok(span) = self.span(bytes) else { return Release::NotInUse };
        let Some(first) = self.piece_at(at).filter(|&index| self.pieces[index].used) else {
            return Release::NotInUse;
        };
        let mut rest = span;
        for piece in &mut self.pieces[first..self.len] {
            if rest == 0 {
                break;
            }
            piece.used = false;
            rest = rest.saturating_sub(piece.span);
        }
        self.left = self.left.saturating_add(span).min(self.room);
        Release::Freed
    }

    /// The address behind all pieces.
    #[must_use]
    pub fn bump(&self) -> A {
        self.address(self.taken())
    }

    /// Bytes not in use, guards counted as in use.
    #[must_use]
    pub fn left(&self) -> u64 {
        u64::from(self.left) * u64::from(PAGE)
    }

    fn span(&self, bytes: u64) -> Result<u32, Refused> {
        if bytes == 0 {
            return Err(Refused::Empty);
        }
        if !bytes.is_multiple_of(u64::from(PAGE)) {
            return Err(Refused::Unaligned);
        }
        u32::try_from(bytes / u64::from(PAGE))
            .ok()
            .and_then(|pages| pages.checked_add(self.guard))
            .ok_or(Refused::Exhausted)
    }

    fn address(&self, page: u32) -> A {
        A::from_number(self.base.number() + u64::from(page) * u64::from(PAGE))
    }

    fn taken(&self) -> u32 {
        self.pieces[..self.len].iter().map(|piece| piece.span).sum()
    }

    fn piece_at(&self, at: A) -> Option<usize> {
        let offset = at.number().checked_sub(self.base.number())?;
        let mut start = 0;
        for (index, piece) in self.pieces[..self.len].iter().enumerate() {
            if start * u64::from(PAGE) == offset {
                return Some(index);
            }
            start += u64::from(piece.span);
        }
        None
    }

    /// Takes the first free piece of this span, else the first run of free
    /// neighbours that add up to it. The answer is the first page.
    fn exact(&mut self, span: u32) -> Option<u32> {
        let mut start = 0;
        for piece in &mut self.pieces[..self.len] {
            if !piece.used && piece.span == span {
                piece.used = true;
                return Some(start);
            }
            start += piece.span;
        }
        // A window over free neighbours: grows at its end, shrinks at its start
        // while it is too long, so no start is missed.
        let (mut first, mut first_page, mut sum) = (0, 0, 0);
        for last in 0..self.len {
            let piece = self.pieces[last];
            sum += piece.span;
            while first <= last && (piece.used || sum > span) {
                sum -= self.pieces[first].span;
                first_page += self.pieces[first].span;
                first += 1;
            }
            if first <= last && sum == span {
                for piece in &mut self.pieces[first..=last] {
                    piece.used = true;
                }
                return Some(first_page);
            }
        }
        None
    }

    /// Adds a piece behind all others.
    fn append(&mut self, span: u32) -> Option<u32> {
        let taken = self.taken();
        if self.len == N || span > self.room - taken {
            return None;
        }
        self.pieces[self.len] = Piece { span, used: true };
        self.len += 1;
        Some(taken)
    }

    /// Makes one of each row of free neighbours, and forgets the one behind the
    /// last piece in use.
    fn merge(&mut self) {
        let mut kept = 0;
        for index in 0..self.len {
            let piece = self.pieces[index];
            if kept > 0 && !piece.used && !self.pieces[kept - 1].used {
                self.pieces[kept - 1].span += piece.span;
            } else {
                self.pieces[kept] = piece;
                kept += 1;
            }
        }
        if kept > 0 && !self.pieces[kept - 1].used {
            kept -= 1;
        }
        self.len = kept;
    }

    /// Takes the front of the first free piece that is longer, if what remains
    /// can still hold an extent.
    fn cut(&mut self, span: u32) -> Option<u32> {
        let mut start = 0;
        for index in 0..self.len {
            let piece = self.pieces[index];
            if !piece.used && piece.span > span + self.guard && self.len < N {
                self.pieces.copy_within(index..self.len, index + 1);
                self.len += 1;
                self.pieces[index] = Piece { span, used: true };
                self.pieces[index + 1].span = piece.span - span;
                return Some(start);
            }
            start += piece.span;
        }
        None
    }
}
