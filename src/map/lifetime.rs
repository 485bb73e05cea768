//! How long an entry lives: as its insert says, or as the map's settings or its policy do.

use std::time::Duration;

use super::TtlMap;
use super::expiry::Policy;
use crate::clock::{EXPIRED, NEVER, Reading, Stamp};
use crate::entry::{Entry, Form};

/// How long an insert's entry lives.
#[derive(Clone, Copy)]
pub(super) enum Lifetime {
    /// As the map's settings say, or its policy.
    OfMap,
    For(Duration),
    Until(u64),
    Forever,
}

/// What a lifetime comes to.
#[derive(Clone, Copy)]
pub(super) struct Term {
    /// The deadline: closed if it is over from the start.
    pub(super) stamp: Stamp,
    /// Where reads move deadlines: the latest one that they may give the entry.
    pub(super) bound: Option<u64>,
}

impl Term {
    fn new(deadline: u64, bound: u64, reading: Reading, form: Form) -> Self {
        // What is over from the start must not be read by those whose clock reading is older.
        let stamp = if deadline <= reading.floor() { Stamp::closed(deadline) } else { Stamp::open(deadline) };
        Term { stamp, bound: (form == Form::Bounded).then_some(bound) }
    }
}

/// How long it is from a reading to a deadline; None if for ever.
pub(super) fn remaining(deadline: u64, reading: Reading) -> Option<Duration> {
    (deadline != NEVER).then(|| Duration::from_nanos(deadline.saturating_sub(reading.floor())))
}

impl<K, V, S> TtlMap<K, V, S> {
    /// The term that the settings make of a lifetime, from this (exact) reading on.
    pub(super) fn term(&self, lifetime: Lifetime, reading: Reading, hash: u64) -> Term {
        let (deadline, bound) = match lifetime {
            Lifetime::OfMap => {
                let deadline_of = |ttl| reading.deadline_after(self.jitter.shorten(ttl, hash, reading));
                let bound = self.time_to_live.map_or(NEVER, deadline_of);
                (self.time_to_idle.map_or(bound, |idle| bound.min(reading.deadline_after(idle))), bound)
            }
            Lifetime::For(ttl) => (reading.deadline_after(ttl), EXPIRED),
            Lifetime::Until(deadline) => (deadline, EXPIRED),
            Lifetime::Forever => (NEVER, EXPIRED),
        };
        Term::new(deadline, bound, reading, self.form)
    }

    /// The term of a new value, which is put where nothing is live.
    #[inline]
    pub(super) fn term_of_new(&self, lifetime: Lifetime, (key, value): (&K, &V), reading: Reading, hash: u64) -> Term {
        self.term_over(lifetime, (key, value), None, reading, hash)
    }

    /// The term of a new value, which takes the place of a live one with this deadline.
    #[inline]
    pub(super) fn term_over(
        &self,
        lifetime: Lifetime,
        (key, value): (&K, &V),
        live: Option<u64>,
        reading: Reading,
        hash: u64,
    ) -> Term {
        match (&self.policy, lifetime) {
            (Some(policy), Lifetime::OfMap) => self.term_by(policy, (key, value), live, reading, hash),
            _ => self.term(lifetime, reading, hash),
        }
    }

    #[cold]
    fn term_by(
        &self,
        policy: &Policy<K, V>,
        (key, value): (&K, &V),
        live: Option<u64>,
        reading: Reading,
        hash: u64,
    ) -> Term {
        let ttl = policy.of_new(key, value, live.map(|deadline| remaining(deadline, reading)));
        let deadline = ttl.map_or(NEVER, |ttl| reading.deadline_after(self.jitter.shorten(ttl, hash, reading)));
        Term::new(deadline, NEVER, reading, self.form)
    }

    /// Has a policy say anew how long an entry lives that is not published yet, as it is about to replace another; returns
    /// its deadline.
    #[inline]
    pub(super) fn reterm(
        &self,
        new: &Entry<K, V>,
        lifetime: Lifetime,
        live: Option<u64>,
        reading: Reading,
        hash: u64,
    ) -> u64 {
        if let (Some(policy), Lifetime::OfMap, Some(_)) = (&self.policy, lifetime, live) {
            new.set_stamp(self.term_by(policy, (&new.key, &new.value), live, reading, hash).stamp);
        }
        new.deadline()
    }
}
