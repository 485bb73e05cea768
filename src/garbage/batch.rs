//! Batches of retired things: filled, sealed with a grace period, and emptied a few at a time.
//!
//! A [`Bag`] has one owner at a time ([`super::Shard`]), so nothing here is atomic.

use std::collections::LinkedList;

use super::pin::{Grace, Guard, Scan};
use crate::sync::Witness;

/// Things a batch. A batch costs a fence and a look at other threads' records, so the more there are, the larger batches
/// should be; but what is in an open batch waits until it is full.
pub(super) const BATCH: usize = if cfg!(ttl_loom) { 1 } else { 64 };

/// A retired thing: its address, with the kind of thing in the low bits.
pub(crate) type Retired = *mut ();

struct Batch {
    grace: Grace,
    things: Vec<Retired>,
}

/// What one shard has retired and not freed.
#[derive(Default)]
pub(super) struct Bag {
    open: Vec<Retired>,
    /// Oldest first. A list, as a longer array would have to be copied whole now and then.
    sealed: LinkedList<Batch>,
    sealed_len: usize,
    /// An emptied batch's memory, for the next.
    spare: Vec<Retired>,
    scan: Scan,
    /// How often something was asked for whose grace period isn't over.
    asked: usize,
    owned: Witness,
}

impl Bag {
    #[inline]
    pub(super) fn push(&mut self, thing: Retired, guard: &Guard) {
        self.owned.touch();
        if self.open.capacity() == 0 {
            self.open.reserve_exact(BATCH);
        }
        self.open.push(thing);
        if self.open.len() >= BATCH {
            self.seal(guard);
        }
    }

    /// Starts the grace period of what is in the open batch.
    #[cold]
    pub(super) fn seal(&mut self, guard: &Guard) {
        self.owned.touch();
        if !self.open.is_empty() {
            let things = std::mem::replace(&mut self.open, std::mem::take(&mut self.spare));
            self.sealed_len += things.len();
            self.sealed.push_back(Batch { grace: guard.grace(&mut self.scan), things });
        }
    }

    /// Takes out a thing that may be freed.
    #[inline]
    pub(super) fn pop(&mut self, guard: &Guard) -> Option<Retired> {
        self.owned.touch();
        let oldest = self.sealed.front_mut()?;
        if !oldest.grace.is_over() {
            // Where nothing is retired any more no batch helps the grace period on.
            self.asked = (self.asked + 1) % BATCH;
            if self.asked == 0 {
                guard.advance(&mut self.scan);
            }
            return None;
        }
        let thing = oldest.things.pop();
        self.sealed_len -= 1;
        if oldest.things.is_empty() {
            self.spare = self.sealed.pop_front().map(|batch| batch.things).unwrap_or_default();
        }
        thing
    }

    /// Takes out everything, whoever may still hold a reference.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Retired> {
        self.owned.touch();
        let open = std::mem::take(&mut self.open);
        std::mem::take(&mut self.sealed).into_iter().flat_map(|batch| batch.things).chain(open)
    }

    /// Things whose grace period has started, and all things.
    #[inline]
    pub(super) fn lens(&self) -> (usize, usize) {
        (self.sealed_len, self.sealed_len + self.open.len())
    }
}
