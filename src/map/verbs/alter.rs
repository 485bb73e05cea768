//! The story of a change by what is there: find, judge, decide, then link, replace or unlink, by one CAS.
//!
//! The CAS succeeds only if the very entry stands there by which was decided, or none as before. If it fails, somebody
//! else has changed the key: start again. Until then nothing has been done, so a decision may panic.

use std::hash::{BuildHasher, Hash};

use crate::entry::Entry;
use crate::garbage::Guard;
use crate::map::sweep::Upkeep;
use crate::map::unpublished::Unpublished;
use crate::map::{Lifetime, Now, Pinned, RemovalCause, Term, TtlMap, judge};
use crate::table::Occupied;
use crate::wheel::tick_at;

/// What is decided on a key.
pub(super) enum Step<V> {
    Put(V),
    /// What is there leaves, if anything is.
    Take,
    /// All stays as it is; the value that was not needed is handed back.
    Leave(Option<V>),
}

/// What became of a key.
pub(super) enum Altered<'g, K, V> {
    /// An entry was published, in place of this one if a live one was there.
    Put(Option<&'g Entry<K, V>>, &'g Entry<K, V>),
    Taken(&'g Entry<K, V>),
    /// This stays, if a live one is there; key and value come back.
    Left(Option<&'g Entry<K, V>>, K, Option<V>),
}

impl<K: Hash + Eq, V, S: BuildHasher> TtlMap<K, V, S> {
    /// `decide` gets the live entry that is there, and the value at hand: `value`, or what it wanted to put when somebody
    /// else was first.
    pub(super) fn alter<'g>(
        &self,
        mut key: K,
        mut value: Option<V>,
        lifetime: Lifetime,
        mut decide: impl FnMut(Option<&'g Entry<K, V>>, Option<V>) -> Step<V>,
        now: &Now<'_>,
        guard: &'g Guard,
    ) -> Altered<'g, K, V> {
        let hash = self.hash(&key);
        let upkeep = Upkeep { map: self, guard };
        self.table.prefetch(hash, guard);
        loop {
            let reading = now.exactly();
            let tick = tick_at(reading.floor());
            self.wheel.turn_to(tick);
            let found = self.table.find_mut(hash, |entry| entry.key == key, &upkeep, guard);
            let judged = found.as_ref().and_then(|found| judge(found.entry(), now));
            let live = found.as_ref().map(|found| found.entry()).filter(|_| judged.is_some());
            match decide(live, value.take()) {
                Step::Put(value_to_put) => {
                    let Term { stamp, bound } = self.term_over(lifetime, (&key, &value_to_put), judged, reading, hash);
                    let new = Unpublished::new(Entry::new(key, value_to_put, hash, stamp), bound);
                    if self.link(hash, &new, found.as_ref(), &upkeep) {
                        // SAFETY: an entry is freed only after all who were pinned when it was unlinked, as we are.
                        let published = unsafe { &*new.as_ptr() };
                        new.publish();
                        self.counters.inserted();
                        upkeep.remind(hash, stamp.deadline(), tick);
                        match found {
                            Some(old) => {
                                let cause = RemovalCause::Replaced.unless_lapsed(judged);
                                // SAFETY: replaced by this very call.
                                unsafe { upkeep.pay_and_retire(old.as_ptr(), cause, now) };
                            }
                            None => upkeep.pay(now),
                        }
                        return Altered::Put(live, published);
                    }
                    let unused = new.take_back();
                    (key, value) = (unused.key, Some(unused.value));
                }
                Step::Take => match found {
                    Some(found) if self.unlink_and_pay(hash, &found, judged, &upkeep, now) => match live {
                        Some(taken) => return Altered::Taken(taken),
                        None => return Altered::Left(None, key, None),
                    },
                    Some(_) => {}
                    None => {
                        upkeep.pay(now);
                        return Altered::Left(None, key, None);
                    }
                },
                Step::Leave(left) => match found {
                    // What lapsed leaves: a write that had judged it live must not replace it once it was reported absent.
                    Some(lapsed) if live.is_none() => {
                        if self.unlink_and_pay(hash, &lapsed, judged, &upkeep, now) {
                            return Altered::Left(None, key, left);
                        }
                        value = left;
                    }
                    _ => {
                        upkeep.pay(now);
                        return Altered::Left(live, key, left);
                    }
                },
            }
        }
    }

    /// Puts a new entry where another was found, or none; false if that has changed.
    fn link(
        &self,
        hash: u64,
        new: &Unpublished<K, V>,
        found: Option<&Occupied<'_, Entry<K, V>>>,
        upkeep: &Upkeep<'_, K, V, S>,
    ) -> bool {
        match found {
            Some(old) => old.replace(new.as_ptr()),
            None => {
                let is = |entry: &Entry<K, V>| entry.key == new.entry().key;
                self.table.insert(hash, new.as_ptr(), is, upkeep, upkeep.guard).is_none()
            }
        }
    }

    /// Unlinks what was found, and pays a write's upkeep; false if it no longer stands there.
    fn unlink_and_pay(
        &self,
        hash: u64,
        found: &Occupied<'_, Entry<K, V>>,
        judged: Option<u64>,
        upkeep: &Upkeep<'_, K, V, S>,
        now: &Now<'_>,
    ) -> bool {
        let was_there = found.unlink();
        if was_there {
            // SAFETY: unlinked by this very call.
            unsafe { upkeep.pay_and_retire(found.as_ptr(), RemovalCause::Explicit.unless_lapsed(judged), now) };
            upkeep.freed(hash);
        }
        was_there
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Pinned<'_, K, V, S> {
    pub(super) fn alter<'g>(
        &'g self,
        key: K,
        value: Option<V>,
        lifetime: Lifetime,
        decide: impl FnMut(Option<&'g Entry<K, V>>, Option<V>) -> Step<V>,
    ) -> Altered<'g, K, V> {
        self.map.alter(key, value, lifetime, decide, &self.now, &self.guard)
    }
}
