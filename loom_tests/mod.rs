//! Models of the map's lock-free parts, checked by loom on the crate's own types.
//!
//! Run them as `docs/verification.md` says. Bins have two slots of their own, one overflow slot and tails of two words
//! here, a batch of garbage one thing, and the collector is `garbage/spec.rs`; the code is the code.
//!
//! A model that can't fail proves nothing: `loom_tests/mutants.sh` breaks the code in one place at a time, and
//! demands that the model named for it goes red.

mod alter;
mod bin;
mod epoch;
mod events;
mod expire;
mod garbage;
mod growth;
mod listen;
mod load;
mod reaper;
mod resize;
mod shrink;
mod slide;
mod tail;
mod upkeep;
mod wheel;

use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use loom::cell::UnsafeCell;

use crate::garbage::{Garbage, Guard, pin};
use crate::sync::Pages;
use crate::table::{Array, Glance, Host, Occupied, Table, Tail, Wide};

/// Checks a model and prints how many executions that took. Nothing may cut the search short.
pub(crate) fn check(name: &str, bound: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let executions = StdArc::new(AtomicU64::new(0));
    let counter = StdArc::clone(&executions);
    let bound = match std::env::var("MODEL_BOUND") {
        Ok(other) => other.parse().ok(),
        Err(_) => bound,
    };
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound;
    builder.max_branches = 100_000;
    assert!(builder.max_duration.is_none() && builder.max_permutations.is_none(), "the search would end early");
    let start = Instant::now();
    builder.check(move || {
        counter.fetch_add(1, Relaxed);
        model();
    });
    let bound = bound.map_or("none".to_string(), |bound| bound.to_string());
    println!("model {name}: bound {bound}, {} executions, {:.1?}", executions.load(Relaxed), start.elapsed());
}

/// The same for both ways in which a glance looks at a bin: under its header, and at all words at once, as by AVX-512.
pub(crate) fn check_both_ways(name: &str, bound: Option<usize>, model: impl Fn() + Send + Sync + Copy + 'static) {
    check(name, bound, model);
    Wide::set(true);
    check(&format!("{name}, at once"), bound, model);
    Wide::set(false);
}

/// Something that loom watches: reading it and dropping it must be ordered, and it must be dropped once.
pub(crate) struct Watched {
    pub(crate) value: u8,
    alive: UnsafeCell<bool>,
    dropped: StdArc<AtomicUsize>,
}

// SAFETY: loom checks every access to the cell.
unsafe impl Sync for Watched {}

impl Watched {
    pub(crate) fn read(&self) -> u8 {
        // SAFETY: loom checks that nobody writes meanwhile.
        self.alive.with(|alive| assert!(unsafe { *alive }, "read after drop"));
        self.value
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // SAFETY: loom checks that nobody else reads or writes meanwhile.
        self.alive.with_mut(|alive| unsafe {
            assert!(*alive, "dropped twice");
            *alive = false;
        });
        self.dropped.fetch_add(1, Relaxed);
    }
}

/// Counts births and deaths of what it watches.
#[derive(Clone, Default)]
pub(crate) struct Census {
    born: StdArc<AtomicUsize>,
    dropped: StdArc<AtomicUsize>,
}

impl Census {
    pub(crate) fn birth(&self, value: u8) -> Watched {
        self.born.fetch_add(1, Relaxed);
        Watched { value, alive: UnsafeCell::new(true), dropped: StdArc::clone(&self.dropped) }
    }

    pub(crate) fn assert_all_dropped(&self) {
        assert_eq!(self.born.load(Relaxed), self.dropped.load(Relaxed), "born against dropped");
    }
}

/// An entry of the bare table: its hash, and a key of the upper half of it.
pub(crate) struct Item {
    pub(crate) key: u8,
    hash: u64,
    value: Watched,
}

/// A bare table: what it retires is kept, and freed when it goes, so that its own protocol is all that is modelled; or
/// freed as soon as may be, if it has garbage.
pub(crate) struct Bare {
    pub(crate) table: Table<Item>,
    garbage: Option<Garbage>,
    /// What was retired, as an address with its kind in the low bits.
    retired: std::sync::Mutex<Vec<usize>>,
    census: Census,
}

const ITEM: usize = 0;
const TAIL: usize = 1;
const ARRAY: usize = 2;

impl Host<Item> for Bare {
    fn hash_of(&self, item: &Item) -> u64 {
        item.hash
    }

    fn common_due(&self, dues: impl Iterator<Item = u32>) -> u32 {
        dues.min().unwrap_or(0)
    }

    fn remind_of(&self, _: (usize, u32), _: u32) {}

    fn is_swept(&self) -> bool {
        true
    }

    fn retire_tail(&self, tail: *mut Tail<Item>) {
        self.retire(tail, TAIL);
    }

    fn retire_array(&self, array: *mut Array<Item>) {
        self.retire(array, ARRAY);
    }
}

/// # Safety
///
/// Something that was retired, once, and is out of reach.
unsafe fn free(thing: *mut ()) {
    let kind = thing.addr() & 3;
    let thing = thing.map_addr(|address| address & !3);
    // SAFETY: made from a box of its kind; the caller vouches for the rest.
    unsafe {
        match kind {
            TAIL => drop(Box::from_raw(thing.cast::<Tail<Item>>())),
            ARRAY => drop(Box::from_raw(thing.cast::<Array<Item>>())),
            _ => drop(Box::from_raw(thing.cast::<Item>())),
        }
    }
}

/// What an insert into the bare table did.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Put {
    New,
    Replaced(u8),
}

impl Bare {
    pub(crate) fn new() -> loom::sync::Arc<Self> {
        Bare::of_capacity(0)
    }

    pub(crate) fn of_capacity(capacity: usize) -> loom::sync::Arc<Self> {
        Bare::with(capacity, None)
    }

    /// A table that frees what it retires.
    pub(crate) fn freeing(capacity: usize) -> loom::sync::Arc<Self> {
        Bare::with(capacity, Some(Garbage::new()))
    }

    fn with(capacity: usize, garbage: Option<Garbage>) -> loom::sync::Arc<Self> {
        let table = Table::with_capacity(capacity, Pages::Allocator);
        loom::sync::Arc::new(Bare { table, garbage, retired: Default::default(), census: Census::default() })
    }

    /// Inserts or replaces; all keys share a hash unless [`Bare::put_at`] says otherwise.
    pub(crate) fn put(&self, key: u8, value: u8) -> Put {
        self.put_at(0, key, value)
    }

    pub(crate) fn put_at(&self, hash: u64, key: u8, value: u8) -> Put {
        let guard = pin();
        let new = Box::into_raw(Box::new(Item { key, hash, value: self.census.birth(value) }));
        loop {
            let Some(old) = self.table.insert(hash, new, |item| item.key == key, self, &guard) else {
                return Put::New;
            };
            let seen = old.entry().value.read();
            if old.replace(new) {
                self.retire(old.as_ptr(), ITEM);
                return Put::Replaced(seen);
            }
        }
    }

    /// Inserts unless the key is there; whether it wasn't. What is refused is freed at once.
    pub(crate) fn offer(&self, key: u8, value: u8) -> bool {
        let guard = pin();
        let new = Box::into_raw(Box::new(Item { key, hash: 0, value: self.census.birth(value) }));
        let is_new = self.table.insert(0, new, |item| item.key == key, self, &guard).is_none();
        if !is_new {
            // SAFETY: made from a box above, and not in the table.
            drop(unsafe { Box::from_raw(new) });
        }
        is_new
    }

    pub(crate) fn get(&self, key: u8) -> Option<u8> {
        self.get_at(0, key)
    }

    /// Whether a glance is enough to find the key.
    pub(crate) fn is_plain_at(&self, hash: u64, key: u8) -> bool {
        matches!(self.table.glance(hash, |item| item.key == key, &pin()), Glance::Found(_))
    }

    pub(crate) fn get_at(&self, hash: u64, key: u8) -> Option<u8> {
        let guard = pin();
        let found = match self.table.glance(hash, |item| item.key == key, &guard) {
            Glance::Found(item) => item,
            Glance::Absent => return None,
            Glance::Unclear => self.table.find(hash, |item| item.key == key, &guard)?.entry(),
        };
        Some(found.value.read())
    }

    /// The same from where a glance was unclear, of which nothing is kept.
    pub(crate) fn get_further_at(&self, hash: u64, key: u8) -> Option<u8> {
        let guard = pin();
        let found = match self.table.glance_further(hash, |item| item.key == key, &guard) {
            Glance::Found(item) => item,
            Glance::Absent => return None,
            Glance::Unclear => self.table.find(hash, |item| item.key == key, &guard)?.entry(),
        };
        Some(found.value.read())
    }

    /// As one of a batch does.
    pub(crate) fn get_in_batch_at(&self, hash: u64, key: u8) -> Option<u8> {
        let guard = pin();
        let preview = self.table.preview(hash, &guard);
        let found = preview.and_then(|preview| preview.entry()).filter(|item| item.key == key);
        found.map(|item| item.value.read()).or_else(|| self.get_at(hash, key))
    }

    /// As one of a batch does, if `between` comes between its look into the bin and its answer; None: look again, thoroughly.
    pub(crate) fn get_around(&self, hash: u64, between: impl FnOnce()) -> Option<u8> {
        let guard = pin();
        let preview = self.table.preview(hash, &guard)?;
        between();
        preview.entry().map(|item| item.value.read())
    }

    pub(crate) fn remove(&self, key: u8) -> Option<u8> {
        self.remove_at(0, key)
    }

    pub(crate) fn remove_at(&self, hash: u64, key: u8) -> Option<u8> {
        let guard = pin();
        loop {
            let found = self.table.find_mut(hash, |item| item.key == key, self, &guard)?;
            let value = found.entry().value.read();
            if found.unlink() {
                self.retire(found.as_ptr(), ITEM);
                return Some(value);
            }
        }
    }

    /// Unlinks an entry where it is found, as a read that finds it lapsed does; it may be about to move.
    pub(crate) fn expire_at(&self, hash: u64, key: u8) -> bool {
        let guard = pin();
        let found = self.table.find(hash, |item| item.key == key, &guard).filter(Occupied::unlink);
        found.map(|found| self.retire(found.as_ptr(), ITEM)).is_some()
    }

    /// Moves what is to be moved, in one step.
    pub(crate) fn step(&self) {
        self.table.step(self, &pin());
    }

    fn retire<T>(&self, thing: *mut T, kind: usize) {
        let thing = thing.map_addr(|address| address | kind).cast::<()>();
        let Some(garbage) = &self.garbage else {
            return self.retired.lock().unwrap().push(thing.expose_provenance());
        };
        // SAFETY: handed out once, after its grace period.
        garbage.exchange(thing, &pin(), &mut false).into_iter().for_each(|thing| unsafe { free(thing) });
    }

    /// Unlinks what a walk over the table meets of a key, as a purge does.
    pub(crate) fn purge(&self, key: u8) -> usize {
        let guard = pin();
        let mut found = Vec::new();
        let mut bins = self.table.bins(&guard);
        while bins.next_into(&mut found, self).is_some() {}
        let of_key = found.iter().filter(|found| found.entry().key == key);
        of_key.filter(|found| found.unlink()).map(|found| self.retire(found.as_ptr(), ITEM)).count()
    }

    /// How often a key is stored.
    pub(crate) fn copies(&self, key: u8) -> usize {
        self.values(key).len()
    }

    /// The values of a key that a walk over the table meets.
    pub(crate) fn values(&self, key: u8) -> Vec<u8> {
        let guard: Guard = pin();
        let mut found = Vec::new();
        let mut bins = self.table.bins(&guard);
        while bins.next_into(&mut found, self).is_some() {}
        let items = found.iter().map(|found| found.entry());
        items.filter(|item| item.key == key).map(|item| item.value.read()).collect()
    }

    /// How many bins had a tail. All that is stored has moved then.
    pub(crate) fn tails(&self) -> usize {
        let tails = || self.retired.lock().unwrap().iter().filter(|&thing| thing & 3 == TAIL).count();
        let before = tails();
        self.table.start_resize(0);
        self.finish();
        tails() - before
    }

    /// Moves all that is to be moved.
    pub(crate) fn finish(&self) {
        while self.table.is_resizing(&pin()) {
            self.step();
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.table.drain(&mut |item| {
            // SAFETY: the table's entries were made from boxes, and each is handed out once.
            drop(unsafe { Box::from_raw(item) });
        });
        if let Some(garbage) = &mut self.garbage {
            // SAFETY: handed out once, and nobody is left who reads it.
            garbage.drain(&mut |thing| unsafe { free(thing) });
        }
        let retired = std::mem::take(self.retired.get_mut().unwrap());
        let unique: std::collections::HashSet<_> = retired.iter().collect();
        assert_eq!(unique.len(), retired.len(), "retired twice");
        // SAFETY: retired once each, as was just seen; nobody is left who reads it.
        retired.into_iter().for_each(|thing| unsafe { free(std::ptr::with_exposed_provenance_mut(thing)) });
        self.census.assert_all_dropped();
    }
}

/// Runs both at once, each under one pin, and returns what they return. Within a pin no fence of the collector's orders
/// what the table itself must order.
///
/// Loom remembers only the last access to an object when it looks for accesses to reorder, so that a load followed by
/// another thread's load and CAS is not seen as a race with the CAS. Let the one that only reads be `one`, on a thread
/// of its own: loom runs the main thread first, and a load after a CAS is a race that it does see.
pub(crate) fn both<T: Send + 'static>(
    bare: &loom::sync::Arc<Bare>,
    one: impl FnOnce(&Bare) -> T + Send + 'static,
    other: impl FnOnce(&Bare) -> T,
) -> (T, T) {
    let pinned = |bare: &Bare| {
        let _pin = pin();
        one(bare)
    };
    let mine = |bare: &Bare| {
        let _pin = pin();
        other(bare)
    };
    both_unpinned(bare, pinned, mine)
}

/// As [`both`], where each pins for itself, so that what the other retires can be freed meanwhile.
pub(crate) fn both_unpinned<T: Send + 'static>(
    bare: &loom::sync::Arc<Bare>,
    one: impl FnOnce(&Bare) -> T + Send + 'static,
    other: impl FnOnce(&Bare) -> T,
) -> (T, T) {
    let theirs = loom::sync::Arc::clone(bare);
    let thread = loom::thread::spawn(move || one(&theirs));
    let mine = other(bare);
    (thread.join().unwrap(), mine)
}
