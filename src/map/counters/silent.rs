//! Counters that count nothing: not an instruction is left of them.

use crate::clock::Clock;
use crate::entry::Entry;
use crate::map::RemovalCause;
use crate::map::remind::Tally;

/// Why a read finds nothing, which nobody asks.
#[derive(Clone, Copy, Debug)]
pub(in crate::map) struct Miss(());

impl Miss {
    pub(in crate::map) const ABSENT: Self = Miss(());
    pub(in crate::map) const EXPIRED: Self = Miss(());
}

#[derive(Default)]
pub(in crate::map) struct Counters(());

impl Counters {
    #[inline]
    pub(in crate::map) fn read<T>(&self, found: Result<T, Miss>) -> Option<T> {
        found.ok()
    }
    #[inline]
    pub(in crate::map) fn reads(&self) -> Reads {
        Reads(())
    }
    #[inline]
    pub(in crate::map) fn hit(&self) {}
    #[inline]
    pub(in crate::map) fn missed(&self, _: Miss) {}
    #[inline]
    pub(in crate::map) fn is_counting(&self) -> bool {
        false
    }
    pub(in crate::map) fn inserted(&self) {}
    #[inline]
    pub(in crate::map) fn left<K, V>(&self, _: &Entry<K, V>, _: RemovalCause, _: &Clock) {}
    pub(in crate::map) fn filed(&self) {}
    pub(in crate::map) fn swept(&self, _: Tally) {}
}

pub(in crate::map) struct Reads(());

impl Reads {
    #[inline]
    pub(in crate::map) fn read<T>(&mut self, found: Result<T, Miss>) -> Option<T> {
        found.ok()
    }
}
