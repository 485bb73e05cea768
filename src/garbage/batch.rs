//! Batches of retired things: filled, sealed with a grace period, and emptied a few at a time.
//!
//! A [`Bag`] has one owner at a time ([`super::Shard`]), so nothing here is atomic.

use std::collections::LinkedList;
use std::{iter, ptr};

use super::pin::{Grace, Guard, Scan};
use super::{FREED_A_STEP, Free};
use crate::sync::{Witness, prefetch};

/// Things a batch. A batch costs a fence and a look at other threads' records, so the more there are, the larger batches
/// should be; but what is in an open batch waits until it is full.
pub(crate) const BATCH: usize = if cfg!(ttl_loom) { 1 } else { 64 };

/// A retired thing: its address, with the kind of thing in the low bits.
pub(crate) type Retired = *mut ();

struct Batch {
    grace: Grace,
    things: Things,
}

/// What one shard has retired and not freed. On lines of its own: what another core reads beside it would slow each write.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Bag {
    open: Things,
    /// What is left of the last batch of which the grace period was over.
    ready: Things,
    /// Oldest first. A list, as a longer array would have to be copied whole now and then.
    sealed: LinkedList<Batch>,
    sealed_len: usize,
    scan: Scan,
    /// How often something was asked for whose grace period isn't over.
    asked: usize,
    owned: Witness,
}

impl Bag {
    #[inline]
    pub(super) fn push(&mut self, thing: Retired, guard: &Guard) {
        self.owned.touch();
        self.open.push(thing);
        if self.open.len >= BATCH {
            self.seal(guard);
        }
    }

    /// Starts the grace period of what is in the open batch.
    #[cold]
    pub(super) fn seal(&mut self, guard: &Guard) {
        self.owned.touch();
        if self.open.len > 0 {
            let things = std::mem::take(&mut self.open);
            self.sealed_len += things.len;
            self.sealed.push_back(Batch { grace: guard.grace(&mut self.scan), things });
        }
    }

    /// Takes out a thing that may be freed.
    #[inline]
    pub(super) fn pop(&mut self, guard: &Guard) -> Option<Retired> {
        self.owned.touch();
        if self.ready.len == 0 {
            self.make_ready(guard);
        }
        let thing = self.ready.next()?;
        self.sealed_len -= 1;
        Some(thing)
    }

    /// Takes out as many more as a step may free.
    #[cold]
    pub(super) fn pop_more(&mut self, free: &mut Free, guard: &Guard) {
        while free.len() < FREED_A_STEP {
            let Some(thing) = self.pop(guard) else { break };
            free.push(thing);
        }
    }

    /// Takes out what is left of the batch that is being emptied, or else the next one if its grace period is over.
    pub(super) fn pop_batch(&mut self, guard: &Guard) -> Things {
        self.owned.touch();
        if self.ready.len == 0 {
            self.make_ready(guard);
        }
        self.sealed_len -= self.ready.len;
        std::mem::take(&mut self.ready)
    }

    /// Goes on to the oldest batch, if its grace period is over.
    #[cold]
    fn make_ready(&mut self, guard: &Guard) {
        match self.sealed.front() {
            Some(oldest) if oldest.grace.is_over() => {
                self.ready = self.sealed.pop_front().map(|oldest| oldest.things).unwrap_or_default();
                self.ready.top.iter().for_each(|piece| piece.fetch());
                self.ready.fetch();
            }
            Some(_) => {
                // Where nothing is retired any more no batch helps the grace period on.
                self.asked = (self.asked + 1) % BATCH;
                if self.asked == 0 {
                    guard.advance(&mut self.scan);
                }
            }
            None => {}
        }
    }

    /// Takes out everything, whoever may still hold a reference.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Retired> {
        self.owned.touch();
        let [ready, open] = [&mut self.ready, &mut self.open].map(std::mem::take);
        let sealed = std::mem::take(&mut self.sealed).into_iter().map(|batch| batch.things);
        let all = iter::once(ready).chain(sealed).chain([open]);
        all.flatten()
    }

    /// Things whose grace period has started, and all things.
    #[inline]
    pub(super) fn lens(&self) -> (usize, usize) {
        (self.sealed_len, self.sealed_len + self.open.len)
    }
}

/// Things in one piece of a batch. A batch in one would be a block of middling size, and when such a one is freed glibc now and
/// then puts together all the small ones that were freed before: 50 ms where a million entries have lapsed. It does not
/// for blocks of up to 120 bytes.
const IN_PIECE: usize = if cfg!(ttl_loom) { 1 } else { 13 };

/// The memory of a full batch's list, a thing.
#[cfg(any(test, feature = "stats"))]
pub(crate) const LISTED: usize = {
    // A node of the list of batches has two pointers.
    let list = size_of::<Batch>() + 2 * size_of::<usize>();
    (BATCH.div_ceil(IN_PIECE) * size_of::<Piece>() + list).div_ceil(BATCH)
};

/// A stack of things, in pieces.
#[derive(Default)]
pub(crate) struct Things {
    top: Option<Box<Piece>>,
    len: usize,
}

struct Piece {
    /// The first so many count; at least one.
    things: [Retired; IN_PIECE],
    len: usize,
    below: Option<Box<Piece>>,
}

impl Things {
    #[inline]
    fn push(&mut self, thing: Retired) {
        self.len += 1;
        match &mut self.top {
            Some(piece) if piece.len < IN_PIECE => {
                piece.things[piece.len] = thing;
                piece.len += 1;
            }
            _ => self.push_piece(thing),
        }
    }

    fn push_piece(&mut self, thing: Retired) {
        let mut things = [ptr::null_mut(); IN_PIECE];
        things[0] = thing;
        self.top = Some(Box::new(Piece { things, len: 1, below: self.top.take() }));
    }

    /// Has the things fetched of the piece below the top one, and where the piece below that is.
    fn fetch(&self) {
        if let Some(below) = self.top.as_ref().and_then(|piece| piece.below.as_ref()) {
            below.fetch();
        }
    }
}

impl Piece {
    /// The allocator writes to what it frees, and to what it may have in front of that.
    fn fetch(&self) {
        for &thing in self.things.iter().take(self.len) {
            prefetch(thing);
            prefetch(thing.wrapping_byte_sub(size_of::<usize>()));
        }
        if let Some(below) = &self.below {
            prefetch(ptr::from_ref(&**below));
        }
    }
}

impl Iterator for Things {
    type Item = Retired;

    #[inline]
    fn next(&mut self) -> Option<Retired> {
        let piece = self.top.as_mut()?;
        piece.len -= 1;
        let thing = piece.things[piece.len];
        if piece.len == 0 {
            self.top = piece.below.take();
            self.fetch();
        }
        self.len -= 1;
        Some(thing)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl ExactSizeIterator for Things {}
