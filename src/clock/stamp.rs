//! A deadline as entries keep it: one word that also says whether the lapse is final.

use super::{EXPIRED, LATEST, NEVER};

/// Set while the entry may be live. No finite deadline reaches it.
const OPEN: u64 = LATEST + 2;

/// A deadline, *open* while its entry may be live, *closed* once its end is final.
///
/// Closing clears the top bit and leaves the rest. A closed stamp is below every open one, so one comparison still says
/// that an entry is live, and what it was is there to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

impl Stamp {
    /// Of no entry: closed, and never anything else.
    pub(crate) const UNKNOWN: Self = Stamp(0);

    #[inline]
    pub(crate) const fn open(deadline: u64) -> Self {
        Stamp(deadline | OPEN)
    }

    pub(crate) fn closed(deadline: u64) -> Self {
        Stamp(deadline & !OPEN)
    }

    #[inline]
    pub(crate) fn of_word(word: u64) -> Self {
        Stamp(word)
    }

    #[inline]
    pub(crate) fn word(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn is_open(self) -> bool {
        self.0 & OPEN != 0
    }

    /// The deadline; [`EXPIRED`] if the end is final.
    #[inline]
    pub(crate) fn deadline(self) -> u64 {
        if self.is_open() { self.last() } else { EXPIRED }
    }

    /// The deadline that it has, or had, where that is not [`NEVER`].
    #[inline]
    pub(super) fn last_finite(self) -> u64 {
        self.0 & !OPEN
    }

    /// The deadline that it has, or had.
    #[inline]
    pub(crate) fn last(self) -> u64 {
        match self.0 & !OPEN {
            deadline if deadline > LATEST => NEVER,
            deadline => deadline,
        }
    }
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;

    #[test]
    fn closed_stamp_is_below_every_open_one_and_keeps_its_deadline() {
        let deadlines = [EXPIRED, 1, LATEST - 1, LATEST, NEVER];
        for deadline in deadlines {
            let (open, closed) = (Stamp::open(deadline), Stamp::closed(deadline));
            assert_eq!((open.deadline(), open.last()), (deadline, deadline));
            assert_eq!((closed.deadline(), closed.last()), (EXPIRED, deadline));
            assert!(deadlines.iter().all(|&other| closed.word() < Stamp::open(other).word()));
        }
        assert!(deadlines.is_sorted_by_key(|&deadline| Stamp::open(deadline).word()));
    }
}
