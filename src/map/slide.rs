//! The story of a read that moves a deadline: find, judge, and if the deadline would move by enough, move it by one CAS.
//!
//! As every change of a deadline, the CAS starts from the very deadline that was judged live, by a clock reading from
//! before it; if it fails, somebody else has moved, changed or ended it, and the read came before that. So it never brings
//! back what had lapsed, and never tries twice. A later deadline needs no reminder: the old one finds the entry live.

use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use equivalent::Equivalent;

use super::expiry::{AfterRead, Policy};
use super::lifetime::remaining;
use super::sweep::Upkeep;
use super::{Now, Retimed, TtlMap};
use crate::clock::{EXPIRED, NEVER, Reading, saturating_nanos};
use crate::entry::Entry;
use crate::garbage::Guard;

/// A read moves the deadline only if that is by this share of the idle time, or more.
const LEAST: u64 = 16;

impl<K, V, S> TtlMap<K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    /// What a read does to the entry that it has found, where reads move deadlines.
    #[cold]
    #[inline(never)]
    pub(super) fn slide(&self, entry: &Entry<K, V>, deadline: u64, hash: u64, now: &Now<'_>, guard: &Guard) {
        match (&self.policy, self.time_to_idle) {
            (Some(policy), _) => self.slide_by(policy, entry, deadline, hash, now, guard),
            (None, Some(idle)) => self.slide_for(idle, entry, deadline, hash, now, guard),
            (None, None) => {}
        }
    }

    /// As the idle time says.
    fn slide_for(&self, idle: Duration, entry: &Entry<K, V>, deadline: u64, hash: u64, now: &Now<'_>, guard: &Guard) {
        let nanos = saturating_nanos(idle);
        if now.is_live(deadline.saturating_sub(nanos - nanos / LEAST)) {
            return;
        }
        // The exact time, at which it may have lapsed while a pin's time stood still.
        let reading = now.exactly();
        if deadline <= reading.floor() {
            return;
        }
        let moved = reading.deadline_after(idle).min(self.bound_of(entry, hash, guard));
        if moved > deadline {
            // If it fails, somebody else was there first, and this read came before that.
            entry.change_deadline(deadline, moved);
        }
    }

    /// As a policy says, which may shorten lives, too.
    fn slide_by(
        &self,
        policy: &Policy<K, V>,
        entry: &Entry<K, V>,
        deadline: u64,
        hash: u64,
        now: &Now<'_>,
        guard: &Guard,
    ) {
        let answer = policy.after_read(&entry.key, &entry.value, remaining(deadline, now.reading.get()));
        let AfterRead::Set(ttl) = answer else { return };
        let reading = now.exactly();
        let new = end_of(ttl, reading);
        let least = ttl.map_or(0, |ttl| saturating_nanos(ttl) / LEAST).max(1);
        if deadline <= reading.floor() || new.abs_diff(deadline) < least {
            return;
        }
        if new <= self.bound_of(entry, hash, guard) {
            self.change(entry, (deadline, new), hash, now, guard);
        }
    }

    /// Lets a value live as a map's policy says of one that replaces it; None if there is no policy.
    pub(super) fn touch_by_policy<Q>(&self, key: &Q, now: &Now<'_>, guard: &Guard) -> Option<Retimed>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let policy = self.policy.as_ref()?;
        let hash = self.hash(key);
        loop {
            let reading = now.exactly();
            let Ok((entry, stamp)) = self.find_hashed(key, hash, now, guard) else { break Some(Retimed::Absent) };
            let present = stamp.deadline();
            let ttl = policy.of_new(&entry.key, &entry.value, Some(remaining(present, reading)));
            let ttl = ttl.map(|ttl| self.jitter.shorten(ttl, hash, reading));
            if self.change(entry, (present, end_of(ttl, reading)), hash, now, guard) {
                Upkeep { map: self, guard }.pay(now);
                break Some(Retimed::Changed { before: self.clock.deadline(present) });
            }
            // Somebody else was there first: start again.
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

/// The deadline of a life that goes on for this time: one to come, as lives end elsewhere.
fn end_of(ttl: Option<Duration>, reading: Reading) -> u64 {
    ttl.map_or(NEVER, |ttl| reading.deadline_after(ttl).max(reading.floor() + 1))
}
