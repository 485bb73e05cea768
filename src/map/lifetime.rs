//! How long an entry lives: as its insert says, or as the map's settings do.

use std::time::Duration;

use super::TtlMap;
use crate::clock::{EXPIRED, NEVER, Reading};
use crate::entry::Form;

/// How long an insert's entry lives.
#[derive(Clone, Copy)]
pub(super) enum Lifetime {
    /// As the map's settings say.
    OfMap,
    For(Duration),
    Until(u64),
    Forever,
}

/// What a lifetime comes to.
#[derive(Clone, Copy)]
pub(super) struct Term {
    pub(super) deadline: u64,
    /// Where reads move deadlines: the latest one that they may give the entry.
    pub(super) bound: Option<u64>,
}

impl<K, V, S> TtlMap<K, V, S> {
    /// Whether entries have a bound.
    #[inline]
    pub(super) fn form(&self) -> Form {
        if self.time_to_idle.is_some() { Form::Bounded } else { Form::Plain }
    }

    /// The term of an entry that begins to live so at this (exact) reading.
    pub(super) fn term(&self, lifetime: Lifetime, reading: Reading) -> Term {
        let (end, bound) = match lifetime {
            Lifetime::OfMap => {
                let end = self.time_to_live.map_or(NEVER, |ttl| reading.deadline_after(ttl));
                (end, end)
            }
            Lifetime::For(ttl) => (reading.deadline_after(ttl), EXPIRED),
            Lifetime::Until(deadline) => (deadline, EXPIRED),
            Lifetime::Forever => (NEVER, EXPIRED),
        };
        let deadline = match (lifetime, self.time_to_idle) {
            (Lifetime::OfMap, Some(idle)) => end.min(reading.deadline_after(idle)),
            _ => end,
        };
        // What is over from the start must not be read by those whose clock reading is older.
        let deadline = if deadline <= reading.floor { EXPIRED } else { deadline };
        Term { deadline, bound: (self.form() == Form::Bounded).then_some(bound) }
    }
}
