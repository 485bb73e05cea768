//! The story of a read: find and judge, move the deadline where there is an idle time, count a hit or a miss.
//!
//! How many reads a processor has under way while they wait for memory goes by their instructions. So what nearly all
//! of them do is compiled into each, and what is rare is in functions apart.

use std::hash::{BuildHasher, Hash};
use std::ptr::NonNull;

use equivalent::Equivalent;

use super::pinned::Hold;
use super::{Miss, Now, Ref, TtlMap};
use crate::clock::Stamp;
use crate::entry::{Entry, Form};
use crate::garbage::{Guard, pin};
use crate::table::Glance;

impl<K, V, S> TtlMap<K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    /// A read: what [`find_live`](TtlMap::find_live) finds, counted, and with its deadline moved where there is an idle time.
    #[inline(always)]
    pub(super) fn read_pinned<'g, Q>(&self, key: &Q, now: &Now<'_>, guard: &'g Guard) -> Option<&'g Entry<K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        if self.form == Form::Plain {
            let is_live = |entry: &Entry<K, V>| key.equivalent(&entry.key) && now.is_surely_live(entry.stamp());
            match self.table.glance(self.hash(key), is_live, guard) {
                Glance::Found(found) => {
                    self.counters.hit();
                    return Some(found);
                }
                Glance::Absent => {
                    self.counters.missed(Miss::ABSENT);
                    return None;
                }
                Glance::Unclear => {}
            }
        }
        self.read_apart(key, now, guard)
    }

    /// What a glance was not enough for, or where reads move deadlines. Nothing is left to do after it, and it hashes the key
    /// itself, so that for its sake nothing is kept while others are read.
    #[cold]
    #[inline(never)]
    fn read_apart<'g, Q>(&self, key: &Q, now: &Now<'_>, guard: &'g Guard) -> Option<&'g Entry<K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash = self.hash(key);
        self.counters.read(match self.form {
            Form::Plain => self.find_slowly(key, hash, now, guard).map(|(found, _)| found),
            Form::Bounded => self.read_uncounted(key, hash, now, guard),
        })
    }

    /// The same under a pin that is made for this read alone; `then` is called with what is found.
    ///
    /// To the function apart all is given by value, so that nothing needs a place in memory for its sake.
    #[inline(always)]
    pub(super) fn read_once<'m, Q, R>(&'m self, key: &Q, then: impl FnOnce(Ref<'m, K, V>) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let guard = pin();
        if self.form == Form::Plain {
            match self.glance_once(key, &guard) {
                Glance::Found(found) => {
                    self.counters.hit();
                    let found = NonNull::from(found);
                    return Some(then(Ref::new(found, Hold::Own(guard))));
                }
                Glance::Absent => {
                    self.counters.missed(Miss::ABSENT);
                    return None;
                }
                Glance::Unclear => {}
            }
        }
        self.read_once_apart(key, guard, then)
    }

    /// What a glance was not enough for, or where reads move deadlines.
    #[cold]
    #[inline(never)]
    fn read_once_apart<'m, Q, R>(&'m self, key: &Q, guard: Guard, then: impl FnOnce(Ref<'m, K, V>) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let now = Now::new(&self.clock);
        let found = NonNull::from(self.read_apart(key, &now, &guard)?);
        Some(then(Ref::new(found, Hold::Own(guard))))
    }

    /// As [`read_once`](Self::read_once), but no deadline moves, and nothing is counted.
    #[inline(always)]
    pub(super) fn find_once<'m, Q, R>(&'m self, key: &Q, then: impl FnOnce(Ref<'m, K, V>) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let guard = pin();
        match self.glance_once(key, &guard) {
            Glance::Found(found) => {
                let found = NonNull::from(found);
                Some(then(Ref::new(found, Hold::Own(guard))))
            }
            Glance::Absent => None,
            Glance::Unclear => self.find_once_apart(key, guard, then),
        }
    }

    /// What a glance was not enough for.
    #[cold]
    #[inline(never)]
    fn find_once_apart<'m, Q, R>(&'m self, key: &Q, guard: Guard, then: impl FnOnce(Ref<'m, K, V>) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let found = NonNull::from(self.find_slowly(key, self.hash(key), &Now::new(&self.clock), &guard).ok()?.0);
        Some(then(Ref::new(found, Hold::Own(guard))))
    }

    /// A glance that reads the clock itself, once an entry is found: a key that isn't there is so at any time. An entry that is
    /// live by then had not lapsed when it was found, as deadlines move only from one that was judged live; and it was there.
    #[inline(always)]
    fn glance_once<'g, Q>(&self, key: &Q, guard: &'g Guard) -> Glance<'g, Entry<K, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let is_live =
            |entry: &Entry<K, V>| key.equivalent(&entry.key) && self.clock.read().is_surely_before(entry.stamp());
        self.table.glance(self.hash(key), is_live, guard)
    }

    /// As [`read_pinned`](Self::read_pinned), with the key's hash at hand, for who counts himself.
    #[inline]
    pub(super) fn read_uncounted<'g, Q>(
        &self,
        key: &Q,
        hash: u64,
        now: &Now<'_>,
        guard: &'g Guard,
    ) -> Result<&'g Entry<K, V>, Miss>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let (entry, stamp) = self.find_hashed(key, hash, now, guard)?;
        self.after_read(entry, stamp, hash, now, guard);
        Ok(entry)
    }

    /// What a read does to the entry that it has found and judged live by this stamp.
    #[inline]
    pub(super) fn after_read(&self, entry: &Entry<K, V>, stamp: Stamp, hash: u64, now: &Now<'_>, guard: &Guard) {
        if self.form == Form::Bounded {
            self.slide(entry, stamp.deadline(), hash, now, guard);
        }
    }
}
