//! The story of upkeep: what a write does for the map beside its own work, and how what has lapsed is purged.
//!
//! Each write moves at most [`UNITS_A_STEP`](crate::table::grow) bins of a resize and frees at most
//! [`FREED_A_STEP`](crate::garbage) things; both constants are small, and neither depends on how much there is to do.

use std::any::Any;
use std::cell::Cell;
use std::hash::{BuildHasher, Hash};
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::iter::Entries;
use super::{Now, TtlMap, judge};
use crate::clock::NEVER;
use crate::entry::Entry;
use crate::garbage::{Free, Garbage, Guard, Retired, STEPS_A_VISIT, pin};
use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use crate::table::{Array, Host, Occupied, Tail};

/// What [`TtlMap::purge_expired`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    /// Expired entries that this call removed.
    pub removed: usize,
    /// Whether there is more to do: entries not looked at, or memory not given back.
    pub more: bool,
}

/// What is retired, by the low bits of its address.
const ENTRY: usize = 0;
const TAIL: usize = 1;
const ARRAY: usize = 2;
const KIND: usize = 3;

/// One write's upkeep, on behalf of the map.
pub(super) struct Upkeep<'g, K, V, S> {
    pub(super) map: &'g TtlMap<K, V, S>,
    pub(super) guard: &'g Guard,
}

impl<K: Hash + Eq, V, S: BuildHasher> Host<Entry<K, V>> for Upkeep<'_, K, V, S> {
    fn hash_of(&self, entry: &Entry<K, V>) -> u64 {
        entry.kept_hash.get(|| self.map.hash(&entry.key))
    }

    fn retire_tail(&self, tail: *mut Tail<Entry<K, V>>) {
        self.map.garbage.retire(tagged(tail, TAIL), self.guard);
    }

    fn retire_array(&self, array: *mut Array<Entry<K, V>>) {
        self.map.garbage.retire_large(tagged(array, ARRAY), self.guard);
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Upkeep<'_, K, V, S> {
    /// Pays the upkeep of a write that retired nothing.
    pub(super) fn pay(&self) {
        self.step();
        self.map.free(|garbage| garbage.collect(self.guard));
        self.look_around();
    }

    /// Retires an entry, and pays the upkeep of the write that unlinked it.
    ///
    /// # Safety
    ///
    /// The entry is unlinked, by the caller, who retires it only here.
    ///
    /// It was reachable through its slot word alone, in one bin (or tail) at a time: the word was swung away from it,
    /// and a copy of the word in a moved bin's frozen line is found only by threads that came to that bin before it
    /// moved. They, and all who hold a reference, were pinned before this call, which is what the grace period waits for.
    pub(super) unsafe fn pay_and_retire(&self, entry: *mut Entry<K, V>) {
        let entry = tagged(entry, ENTRY);
        if is_freeing() {
            self.map.garbage.retire(entry, self.guard);
        } else {
            self.map.free(|garbage| garbage.exchange(entry, self.guard));
        }
        self.step();
        self.look_around();
    }

    /// Moves a few bins of a resize, if one is under way.
    pub(super) fn step(&self) {
        if self.map.table.is_resizing(self.guard) {
            // The write is done by now: a panic of some other key's hash is not its caller's.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.map.table.step(self, self.guard))) {
                discard(panic);
            }
        }
    }

    /// Now and then frees what threads have retired that don't write any more.
    fn look_around(&self) {
        let Some(shard) = self.map.garbage.turn() else { return };
        for _ in 0..STEPS_A_VISIT {
            if self.map.free(|garbage| garbage.flush(shard, self.guard)) == 0 {
                return;
            }
        }
    }

    /// Unlinks and retires an entry, wherever it has moved meanwhile; false if it is gone.
    fn unlink<'g>(&'g self, mut found: Occupied<'g, Entry<K, V>>) -> bool {
        let hash = self.hash_of(found.entry());
        let same = found.as_ptr();
        while !found.unlink() {
            // It was replaced or removed, or is being moved: then it is moved first, and found again.
            let is = |entry: &Entry<K, V>| std::ptr::eq(entry, same);
            let Some(there) = self.map.table.find_mut(hash, is, self, self.guard) else { return false };
            found = there;
        }
        // SAFETY: unlinked by this very call.
        unsafe { self.map.retire(same, self.guard) };
        true
    }

    /// A slot was freed: one in 256 times see whether the table is too large by now.
    pub(super) fn freed(&self, hash: u64) {
        if hash >> 56 == 0 {
            self.map.table.shrink_if_due(hash, self.guard);
        }
    }
}

fn tagged<T>(pointer: *mut T, kind: usize) -> Retired {
    pointer.map_addr(|address| address | kind).cast()
}

impl<K, V, S> TtlMap<K, V, S> {
    /// Retires an unlinked entry, and frees nothing.
    ///
    /// # Safety
    ///
    /// As for [`Upkeep::pay_and_retire`].
    pub(super) unsafe fn retire(&self, entry: *mut Entry<K, V>, guard: &Guard) {
        self.garbage.retire(tagged(entry, ENTRY), guard);
    }

    /// Frees what `of` hands out; returns how much. Does nothing inside a destructor that such a call runs: what that
    /// one retires waits for the next write, as else collections would nest without end.
    fn free(&self, of: impl FnOnce(&Garbage) -> Free) -> usize {
        if is_freeing() {
            return 0;
        }
        let free = of(&self.garbage);
        let freed = free.len();
        if freed > 0 {
            let _freeing = Freeing::begin();
            for thing in free.into_iter() {
                // SAFETY: handed out once, after its grace period.
                if let Err(panic) = unsafe { free_one::<K, V>(thing) } {
                    discard(panic);
                }
            }
        }
        freed
    }
}

std::thread_local! {
    static FREEING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a destructor that upkeep runs.
fn is_freeing() -> bool {
    FREEING.with(Cell::get)
}

struct Freeing(());

impl Freeing {
    fn begin() -> Self {
        // Models don't re-enter, and their threads share this one.
        FREEING.with(|freeing| freeing.set(!cfg!(ttl_loom)));
        Freeing(())
    }
}

impl Drop for Freeing {
    fn drop(&mut self) {
        FREEING.with(|freeing| freeing.set(false));
    }
}

/// Frees a retired thing; a panic of the user's destructor is returned, not passed on.
///
/// # Safety
///
/// `thing` comes from [`tagged`], and nobody can reach it any more.
unsafe fn free_one<K, V>(thing: Retired) -> std::thread::Result<()> {
    let kind = thing.addr() & KIND;
    let thing = thing.map_addr(|address| address & !KIND);
    // SAFETY: made by `Box::into_raw` of the kind that the low bits tell; likewise below.
    unsafe {
        match kind {
            TAIL => drop(Box::from_raw(thing.cast::<Tail<Entry<K, V>>>())),
            ARRAY => drop(Box::from_raw(thing.cast::<Array<Entry<K, V>>>())),
            _ => return drop_entry(*Box::from_raw(thing.cast::<Entry<K, V>>())),
        }
    }
    Ok(())
}

/// Drops key and value, each whatever the other's destructor does.
fn drop_entry<K, V>(entry: Entry<K, V>) -> std::thread::Result<()> {
    if !needs_drop::<Entry<K, V>>() {
        return Ok(());
    }
    let Entry { key, value, .. } = entry;
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(key)));
    match (dropped, catch_unwind(AssertUnwindSafe(|| drop(value)))) {
        (Err(first), Err(second)) => {
            discard(second);
            Err(first)
        }
        (dropped, Ok(())) => dropped,
        (Ok(()), panicked) => panicked,
    }
}

/// Lets a destructor's panic end here.
fn discard(panic: Box<dyn Any + Send>) {
    if cfg!(ttl_loom) {
        // A model's own findings are panics, too.
        resume_unwind(panic);
    }
    // The payload's own destructor may panic in turn; what that one throws is leaked.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
}

impl<K, V, S> Drop for TtlMap<K, V, S> {
    /// Drops every key and value that the map holds or has not freed yet, whatever guards were forgotten. If
    /// destructors panic, the rest is dropped all the same, and the first panic passed on at the end.
    fn drop(&mut self) {
        let mut first_panic = None;
        let mut free = |thing: Retired| {
            // SAFETY: `&mut self`: nobody holds a reference into the map, and each thing is handed out once.
            if let Err(panic) = unsafe { free_one::<K, V>(thing) } {
                match first_panic {
                    None => first_panic = Some(panic),
                    Some(_) => discard(panic),
                }
            }
        };
        self.table.drain(&mut |entry| free(tagged(entry, ENTRY)));
        self.garbage.drain(&mut free);
        match first_panic {
            Some(panic) if std::thread::panicking() => discard(panic),
            Some(panic) => resume_unwind(panic),
            None => {}
        }
    }
}

/// Where the walk that purges stands; all who purge share it.
pub(super) struct Walk {
    next_bin: AtomicUsize,
    /// How many bins there were.
    of_len: AtomicUsize,
    /// The earliest deadline that the walk has left behind or that came since it began, so that it is done only when
    /// nothing is overdue.
    earliest: AtomicU64,
}

impl Walk {
    pub(super) fn new() -> Self {
        Walk { next_bin: AtomicUsize::new(0), of_len: AtomicUsize::new(0), earliest: AtomicU64::new(NEVER) }
    }

    /// Takes note of a deadline that the walk may not meet. Mostly it is no news, and nothing is written.
    pub(super) fn note(&self, deadline: u64) {
        // Relaxed: an entry that is overlooked costs memory until the next walk, nothing else.
        if deadline < self.earliest.load(Ordering::Relaxed) {
            self.earliest.fetch_min(deadline, Ordering::Relaxed);
        }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> TtlMap<K, V, S> {
    /// Removes expired entries and gives memory back, looking at about `budget` entries.
    ///
    /// Calls go on where the last one, on any thread, ended. `more` says whether another call would find something to
    /// do, so `while map.purge_expired(1000).more {}` purges all that has expired, frees what no reader holds, and
    /// lets the table shrink. Entries inserted meanwhile may wait for the next walk.
    ///
    /// # Complexity
    ///
    /// In proportion to `budget`; at least one bucket is visited.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{ManualClock, TtlMap};
    ///
    /// let clock = ManualClock::new();
    /// let map = TtlMap::builder().time_to_live(Duration::from_secs(1)).clock(&clock).build();
    /// for n in 0..100 {
    ///     map.insert(n, n);
    /// }
    /// clock.advance(Duration::from_secs(1));
    /// assert_eq!((map.len(), map.stored_len()), (0, 100));
    /// let mut removed = 0;
    /// loop {
    ///     let purged = map.purge_expired(10);
    ///     removed += purged.removed;
    ///     if !purged.more {
    ///         break;
    ///     }
    /// }
    /// assert_eq!((removed, map.stored_len()), (100, 0));
    /// ```
    pub fn purge_expired(&self, budget: usize) -> Purged {
        let purged = self.purge_entries(budget);
        let unfreed = self.give_back(budget);
        Purged { more: purged.more || unfreed, ..purged }
    }

    fn purge_entries(&self, budget: usize) -> Purged {
        let guard = &pin();
        let now = Now::new(&self.clock);
        now.exactly();
        let upkeep = Upkeep { map: self, guard };
        // Relaxed: where walks start; two that start at the same bin do some work twice.
        let bins = self.table.bins(guard);
        let start = match self.walk.of_len.swap(bins.len(), Ordering::Relaxed) {
            len if len == bins.len() => self.walk.next_bin.load(Ordering::Relaxed),
            // In a table of another size a bin's number means something else.
            _ => 0,
        };
        if start == 0 {
            self.walk.earliest.store(NEVER, Ordering::Relaxed);
        }
        let mut bins = bins.starting_at(start);
        let (mut removed, mut looked_at, mut visited, mut ended) = (0, 0, 0, false);
        let mut entries = Vec::new();
        while looked_at < budget.max(1) {
            if bins.next_into(&mut entries, &upkeep).is_none() {
                ended = true;
                break;
            }
            visited += 1;
            looked_at += entries.len().max(1);
            for found in entries.drain(..) {
                match judge(found.entry(), &now) {
                    Some(deadline) => self.walk.note(deadline),
                    None => removed += usize::from(upkeep.unlink(found)),
                }
            }
        }
        self.walk.next_bin.store(if ended { 0 } else { start + visited }, Ordering::Relaxed);
        for _ in 0..=visited {
            upkeep.step();
        }
        let overdue = !now.is_live(self.walk.earliest.load(Ordering::Relaxed));
        self.table.shrink_if_due(0, guard);
        let resizing = self.table.is_resizing(guard);
        Purged { removed, more: !ended || overdue || resizing }
    }

    /// Unlinks every entry that a walk over all bins meets.
    pub(super) fn remove_all(&self) {
        let guard = &pin();
        let upkeep = Upkeep { map: self, guard };
        for found in Entries::new(self, guard) {
            let hash = upkeep.hash_of(found.entry());
            upkeep.unlink(found);
            upkeep.pay();
            upkeep.freed(hash);
        }
    }

    /// Frees up to about `budget` of what was retired, as far as no reader holds it; says whether that was not all.
    fn give_back(&self, budget: usize) -> bool {
        let shards = self.garbage.shard_count();
        for shard in 0..shards {
            self.free(|garbage| garbage.flush(shard, &pin()));
        }
        // Where nobody else is pinned, three pins see a grace period through.
        (0..3).for_each(|_| pin().flush());
        let (mut shard, mut idle, mut freed) = (0, 0, 0);
        while idle < shards && freed < budget.max(1) {
            let some = self.free(|garbage| garbage.flush(shard, &pin()));
            (shard, freed) = ((shard + 1) % shards, freed + some);
            idle = if some == 0 { idle + 1 } else { 0 };
        }
        idle < shards
    }
}

#[cfg(ttl_loom)]
impl<K, V, S> TtlMap<K, V, S> {
    /// Begins a resize, as a full bin would.
    pub(crate) fn start_resize(&self, bits: u32) {
        self.table.start_resize(bits);
    }
}
