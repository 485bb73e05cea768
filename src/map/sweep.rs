//! The story of upkeep: what a write does for the map beside its own work.
//!
//! Each write moves at most [so many](crate::table::grow) bins of a resize, looks at no more than 42 reminders and
//! entries, of which it retires a few that have lapsed, and frees as many as it retired and
//! [`FREED_A_STEP`](crate::garbage) more. None of these depends on how much there is to do.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash};
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::remind::Most;
use super::streams::List;
use super::{Now, RemovalCause, TtlMap, judge};
use crate::entry::{Entry, Form};
use crate::garbage::{FREED_A_STEP, Garbage, Guard, Retired, STEPS_A_VISIT};
use crate::sync::flag;
use crate::table::{Array, Host, Occupied, Tail};
use crate::unwind::discard;
use crate::wheel::{Due, FEW, Reminder, tick_at};

/// What is retired, by the low bits of its address.
const ENTRY: usize = 0;
const TAIL: usize = 1;
const ARRAY: usize = 2;
const LIST: usize = 3;
const KIND: usize = 3;

/// A write sweeps until it has retired so many entries: more than it adds.
const RETIRED_A_STEP: usize = 4;
/// Or until it has looked at so many reminders and entries. The last bucket may bring 13 more (and its tail, where hashes
/// are equal).
const LOOKED_AT_A_STEP: usize = 28;

/// One write's upkeep, on behalf of the map.
pub(super) struct Upkeep<'g, K, V, S> {
    pub(super) map: &'g TtlMap<K, V, S>,
    pub(super) guard: &'g Guard,
}

impl<K: Hash + Eq, V, S: BuildHasher> Host<Entry<K, V>> for Upkeep<'_, K, V, S> {
    fn hash_of(&self, entry: &Entry<K, V>) -> u64 {
        entry.kept_hash.get(|| self.map.hash(&entry.key))
    }

    fn common_due(&self, dues: impl Iterator<Item = u32>) -> u32 {
        let now = self.map.wheel.cursor();
        let earliest = dues.map(Due).reduce(|a, b| a.earlier(b, now)).unwrap_or(Due::NONE);
        // Another due than they had: their own reminders are superseded, and scrubbed, lest each halving add one.
        earliest.just_before(now).0
    }

    fn remind_of(&self, bin: (usize, u32), due: u32) {
        let wheel = &self.map.wheel;
        self.tell(Reminder { bucket: wheel.bucket(bin), due: Due(due), superseded: Due::NONE });
        // It may be overdue, and was filed for the next tick all the same.
        wheel.look_again();
    }

    fn is_swept(&self) -> bool {
        self.map.wheel.is_idle()
    }

    fn retire_tail(&self, tail: *mut Tail<Entry<K, V>>) {
        let is_first = self.map.garbage.retire(tagged(tail, TAIL), self.guard);
        self.map.note_retired(is_first, self.guard);
    }

    fn retire_array(&self, array: *mut Array<Entry<K, V>>) {
        let is_first = self.map.garbage.retire_large(tagged(array, ARRAY), self.guard);
        self.map.note_retired(is_first, self.guard);
        // Fewer buckets need fewer reminders.
        if self.map.wheel.len() > FEW {
            self.map.wheel.scrub();
        }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Upkeep<'_, K, V, S> {
    /// Pays the upkeep of a write that retired nothing.
    pub(super) fn pay(&self, now: &Now<'_>) {
        self.step();
        self.sweep_some(now);
        self.map.free(|garbage| garbage.collect_in_turn(self.guard));
        self.look_around();
    }

    /// Tells of an entry that leaves, retires it, and pays the upkeep of the write that unlinked it.
    ///
    /// # Safety
    ///
    /// The entry is unlinked, by the caller, who retires it only here.
    ///
    /// It was reachable through its slot word alone, in one bin (or tail) at a time: the word was swung away from it,
    /// and a copy of the word in a moved bin's frozen line is found only by threads that came to that bin before it
    /// moved. They, and all who hold a reference, were pinned before this call, which is what the grace period waits for.
    pub(super) unsafe fn pay_and_retire(&self, entry: *mut Entry<K, V>, cause: RemovalCause, now: &Now<'_>) {
        if is_freeing() {
            // SAFETY: as the caller says.
            unsafe { self.map.retire(entry, cause, self.guard) };
        } else {
            // SAFETY: unlinked by the caller, and not retired yet.
            self.map.tell(unsafe { &*entry }, cause, self.guard);
            let mut is_first = false;
            self.map.free(|garbage| garbage.exchange(tagged(entry, ENTRY), self.guard, &mut is_first));
            self.map.note_retired(is_first, self.guard);
        }
        self.step();
        self.sweep_some(now);
        self.look_around();
    }

    /// Retires some of what has lapsed, if anything is due.
    #[inline]
    fn sweep_some(&self, now: &Now<'_>) {
        if self.map.wheel.has_work(tick_at(now.floor())) && !is_freeing() && !self.map.is_telling() {
            self.sweep_a_step(now);
        }
    }

    #[cold]
    fn sweep_a_step(&self, now: &Now<'_>) {
        let most = Most { looked_at: LOOKED_AT_A_STEP, retired: RETIRED_A_STEP };
        let (done, _) = self.sweep(now, None, most);
        for _ in 0..done.retired.div_ceil(FREED_A_STEP) {
            self.map.free(|garbage| garbage.collect(self.guard));
        }
    }

    /// Moves a few bins of a resize, if one is under way.
    /// Says whether it did.
    pub(super) fn step(&self) -> bool {
        if !self.map.table.is_resizing(self.guard) {
            return false;
        }
        // The write is done by now: a panic of some other key's hash is not its caller's.
        let moved = catch_unwind(AssertUnwindSafe(|| self.map.table.step(self, self.guard)));
        moved.map_err(discard).is_ok()
    }

    /// Now and then frees what threads have retired that don't write any more.
    fn look_around(&self) {
        let Some(shard) = self.map.garbage.turn(self.guard) else { return };
        for _ in 0..STEPS_A_VISIT {
            if self.map.free(|garbage| garbage.flush(shard, self.guard)) == 0 {
                return;
            }
        }
    }

    /// Unlinks and retires an entry, wherever it has moved meanwhile; false if it is gone.
    pub(super) fn unlink<'g>(&'g self, mut found: Occupied<'g, Entry<K, V>>, cause: RemovalCause) -> bool {
        let same = found.as_ptr();
        while !found.unlink() {
            // It was replaced or removed, or is being moved: then it is moved first, and found again.
            let hash = self.hash_of(found.entry());
            let is = |entry: &Entry<K, V>| std::ptr::eq(entry, same);
            let Some(there) = self.map.table.find_mut(hash, is, self, self.guard) else { return false };
            found = there;
        }
        // SAFETY: unlinked by this very call.
        unsafe { self.map.retire(same, cause, self.guard) };
        true
    }

    /// A slot was freed: one in 256 times see whether the table is too large by now.
    pub(super) fn freed(&self, hash: u64) {
        if hash >> 56 == 0 {
            self.map.table.shrink_if_due(hash, || false, self.guard);
        }
    }
}

fn tagged<T>(pointer: *mut T, kind: usize) -> Retired {
    pointer.map_addr(|address| address | kind).cast()
}

impl<K, V, S> TtlMap<K, V, S> {
    /// Tells of an unlinked entry, and retires it; frees nothing.
    ///
    /// # Safety
    ///
    /// As for [`Upkeep::pay_and_retire`].
    pub(super) unsafe fn retire(&self, entry: *mut Entry<K, V>, cause: RemovalCause, guard: &Guard) {
        // SAFETY: unlinked by the caller, and not retired yet.
        self.tell(unsafe { &*entry }, cause, guard);
        let is_first = self.garbage.retire(tagged(entry, ENTRY), guard);
        self.note_retired(is_first, guard);
    }

    /// The same for several, which are told of before any is retired.
    ///
    /// # Safety
    ///
    /// As for [`Upkeep::pay_and_retire`], for each.
    pub(super) unsafe fn retire_all(
        &self,
        entries: impl Iterator<Item = *mut Entry<K, V>> + Clone,
        cause: RemovalCause,
        guard: &Guard,
    ) {
        if self.counters.is_counting() || !self.leaving.is_unheard() {
            // SAFETY: unlinked by the caller, and not retired yet.
            entries.clone().for_each(|entry| self.tell(unsafe { &*entry }, cause, guard));
        }
        let is_first = self.garbage.retire_all(entries.map(|entry| tagged(entry, ENTRY)), guard);
        self.note_retired(is_first, guard);
    }

    /// Counts an entry that was unlinked, and tells those who want to know of it.
    #[inline]
    fn tell(&self, entry: &Entry<K, V>, cause: RemovalCause, guard: &Guard) {
        self.counters.left(entry, cause, &self.clock);
        self.retire_list(self.leaving.leaves(entry, cause, &self.clock), guard);
    }

    /// Retires a list of streams that was replaced.
    #[inline]
    pub(super) fn retire_list(&self, list: Option<*mut List<K, V>>, guard: &Guard) {
        if let Some(list) = list {
            let is_first = self.garbage.retire_large(tagged(list, LIST), guard);
            self.note_retired(is_first, guard);
        }
    }

    /// Tells the reapers of what was retired where nothing had waited.
    #[inline]
    fn note_retired(&self, is_first: bool, guard: &Guard) {
        if is_first {
            self.alarm.note_retired(guard);
        }
    }

    /// Frees what `of` hands out; returns how much. Does nothing inside a destructor that such a call runs: what that
    /// one retires waits for the next write, as else collections would nest without end.
    pub(super) fn free<T: ExactSizeIterator<Item = Retired>>(&self, of: impl FnOnce(&Garbage) -> T) -> usize {
        if is_freeing() {
            return 0;
        }
        let mut free = of(&self.garbage);
        let (freed, form) = (free.len(), self.form);
        if freed > 0 {
            let _freeing = Freeing::begin();
            // Where it is: a processor waits for what is copied just after it was written, by more at once.
            for thing in &mut free {
                // SAFETY: handed out once, after its grace period.
                if let Err(panic) = unsafe { free_one::<K, V>(thing, form) } {
                    discard(panic);
                }
            }
        }
        freed
    }
}

flag!(FREEING);

/// Whether this thread is in a destructor that upkeep runs.
#[inline]
fn is_freeing() -> bool {
    FREEING.with(Cell::get)
}

struct Freeing(());

impl Freeing {
    #[inline]
    fn begin() -> Self {
        FREEING.with(|freeing| freeing.set(true));
        Freeing(())
    }
}

impl Drop for Freeing {
    #[inline]
    fn drop(&mut self) {
        FREEING.with(|freeing| freeing.set(false));
    }
}

/// Frees a retired thing; a panic of the user's destructor is returned, not passed on.
///
/// # Safety
///
/// `thing` comes from [`tagged`], and nobody can reach it any more. `form` is that of the map's entries.
unsafe fn free_one<K, V>(thing: Retired, form: Form) -> std::thread::Result<()> {
    let kind = thing.addr() & KIND;
    let thing = thing.map_addr(|address| address & !KIND);
    // SAFETY: made by `Box::into_raw` of the kind that the low bits tell; likewise below.
    unsafe {
        match kind {
            TAIL => drop(Box::from_raw(thing.cast::<Tail<Entry<K, V>>>())),
            ARRAY => drop(Box::from_raw(thing.cast::<Array<Entry<K, V>>>())),
            // What nobody has received is dropped with it, panic by panic.
            LIST => drop(Box::from_raw(thing.cast::<List<K, V>>())),
            _ => return drop_entry(Entry::from_raw(thing.cast::<Entry<K, V>>(), form)),
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

impl<K, V, S> Drop for TtlMap<K, V, S> {
    /// Drops every key and value that the map holds or has not freed yet, whatever guards were forgotten. If
    /// destructors panic, the rest is dropped all the same, and the first panic passed on at the end.
    fn drop(&mut self) {
        let (mut first_panic, form) = (None, self.form);
        let mut end = |freed: std::thread::Result<()>| {
            if let Err(panic) = freed {
                match first_panic {
                    None => first_panic = Some(panic),
                    Some(_) => discard(panic),
                }
            }
        };
        // SAFETY: `&mut self`: nobody holds a reference into the map, and each thing is handed out once.
        let free = |thing: Retired| unsafe { free_one::<K, V>(thing, form) };
        let (leaving, now) = (&self.leaving, Now::unread(&self.clock));
        self.table.drain(&mut |entry| {
            if !leaving.is_unheard() {
                // SAFETY: `&mut self`, and freed only after this.
                let entry = unsafe { &*entry };
                let cause = RemovalCause::Explicit.unless_lapsed(judge(entry, &now));
                let list = leaving.leaves(entry, cause, &self.clock);
                list.into_iter().for_each(|list| end(free(tagged(list, LIST))));
            }
            end(free(tagged(entry, ENTRY)));
        });
        self.garbage.drain(&mut |thing| end(free(thing)));
        self.flights.drain(&mut |key| end(catch_unwind(AssertUnwindSafe(|| drop(key)))));
        self.leaving.end();
        match first_panic {
            Some(panic) if std::thread::panicking() => discard(panic),
            Some(panic) => resume_unwind(panic),
            None => {}
        }
    }
}

#[cfg(all(test, ttl_loom))]
impl<K: Hash + Eq, V, S: BuildHasher> TtlMap<K, V, S> {
    /// Begins a resize, as a full bin would.
    pub(crate) fn start_resize(&self, bits: u32) {
        self.table.start_resize(bits);
    }

    /// Moves what is to be moved, as writes do, until the new table is current.
    pub(crate) fn resize(&self) {
        let guard = &crate::garbage::pin();
        while self.table.is_resizing(guard) {
            Upkeep { map: self, guard }.step();
        }
    }

    /// Moves every bin, as if each had been met frozen.
    pub(crate) fn move_all(&self) {
        let guard = &crate::garbage::pin();
        self.table.move_all(&Upkeep { map: self, guard });
    }

    /// Sweeps what a write would, and does nothing else; `most` reminders and entries.
    pub(crate) fn sweep(&self, most: usize) {
        let guard = &crate::garbage::pin();
        let now = Now::new(&self.clock);
        self.wheel.turn_to(tick_at(now.exactly().floor()));
        Upkeep { map: self, guard }.sweep(&now, None, Most { looked_at: most, retired: usize::MAX });
    }

    /// What a write does when it has linked an entry of this key which lapses at this tick.
    pub(crate) fn remind(&self, key: &K, tick: u64, now: u64) {
        let guard = &crate::garbage::pin();
        Upkeep { map: self, guard }.remind(self.hash(key), tick << crate::wheel::TICK_BITS, now);
    }

    /// Starts a scrub, as one reminder too many would.
    pub(crate) fn scrub(&self) {
        self.wheel.scrub();
    }
}
