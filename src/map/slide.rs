//! The story of a read that moves a deadline: find, judge, and if the deadline would move by enough, move it by one CAS.
//!
//! As every change of a deadline, the CAS starts from the very deadline that was judged live, by a clock reading from
//! before it; if it fails, somebody else has moved, changed or ended it, and the read came before that. So it never brings
//! back what had lapsed, and never tries twice. A later deadline needs no reminder: the old one finds the entry live.

use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use equivalent::Equivalent;

use super::{Now, TtlMap};
use crate::clock::{EXPIRED, saturating_nanos};
use crate::entry::Entry;
use crate::garbage::Guard;

/// A read moves the deadline only if that is by this share of the idle time, or more.
const LEAST: u64 = 16;

impl<K, V, S> TtlMap<K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    /// The story of get where there may be an idle time.
    #[inline]
    pub(super) fn read_hashed<'g, Q>(
        &self,
        key: &Q,
        hash: u64,
        now: &Now<'_>,
        guard: &'g Guard,
    ) -> Option<&'g Entry<K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let (entry, deadline) = self.find_hashed(key, hash, now, guard)?;
        self.after_read(entry, deadline, hash, now, guard);
        Some(entry)
    }

    /// What a read does to the entry that it has found and judged live by this deadline.
    #[inline]
    pub(super) fn after_read(&self, entry: &Entry<K, V>, deadline: u64, hash: u64, now: &Now<'_>, guard: &Guard) {
        if let Some(idle) = self.time_to_idle {
            self.slide(entry, deadline, hash, idle, now, guard);
        }
    }

    #[cold]
    #[inline(never)]
    fn slide(&self, entry: &Entry<K, V>, deadline: u64, hash: u64, idle: Duration, now: &Now<'_>, guard: &Guard) {
        let nanos = saturating_nanos(idle);
        if now.is_live(deadline.saturating_sub(nanos - nanos / LEAST)) {
            return;
        }
        // The exact time, at which it may have lapsed while a pin's time stood still.
        let reading = now.exactly();
        if deadline <= reading.floor {
            return;
        }
        let moved = reading.deadline_after(idle).min(self.bound_of(entry, hash, guard));
        if moved > deadline {
            // If it fails, somebody else was there first, and this read came before that.
            entry.change_deadline(deadline, moved);
        }
    }

    /// How far reads may move an entry's deadline.
    fn bound_of(&self, entry: &Entry<K, V>, hash: u64, guard: &Guard) -> u64 {
        match self.table.find(hash, |other| std::ptr::eq(other, entry), guard) {
            // SAFETY: the entries of a map whose reads come here have bounds; the pointer is that of the table's word, and
            // the guard keeps what it leads to.
            Some(found) => unsafe { Entry::bound(found.as_ptr()) },
            // It was replaced or removed meanwhile.
            None => EXPIRED,
        }
    }
}
