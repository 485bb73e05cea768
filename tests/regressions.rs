//! Defects that were found by stopping threads at single steps, and mended: each left the test that failed. Threads are
//! stopped in what the map calls of the user's: `Hash`, `Eq`. Section "What an order to break it found" of
//! `docs/verification.md` has the whole list; those that need an allocator are in `regressions_alloc`, one that needs a
//! thread at its end in `regressions_locals`. One test at a time: a thread that is stopped under a pin holds up what the
//! others would have freed.

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use common::fuse::{Fuse, Site as Spark, When};
use common::gate::{Event, Gate, Site, gated, pass};
use common::{Counted, Identity, manual_map, purge_all, serial, tally, tiny_map};
use ttlwheel::{Inserted, TtlMap};

thread_local! {
    static HASHES: Cell<u64> = const { Cell::new(0) };
}

/// Runs `work` on a thread that stops at the n-th call of a site, and `meanwhile` while it stands there.
fn stopped_at<R: Send>((site, n): (Site, u64), work: impl FnOnce() -> R + Send, meanwhile: impl FnOnce()) -> R {
    thread::scope(|scope| {
        let ((tell, told), (free, release)) = (channel(), channel());
        let stopped = scope.spawn(move || gated(Gate { site, calls_left: n, tell, release }, work));
        assert_eq!(told.recv(), Ok(Event::Stopped));
        meanwhile();
        free.send(()).expect("the thread waits");
        stopped.join().expect("the stopped thread ends well")
    })
}

/// A key whose hash is a part of it, so that keys can be made to collide.
#[derive(Clone, Copy, Debug)]
struct Key {
    hash: u64,
    id: u64,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        HASHES.set(HASHES.get() + 1);
        pass(Site::Hash);
        self.hash.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        pass(Site::Eq);
        self.id == other.id
    }
}

impl Eq for Key {}

/// A key that collides with no other.
fn lone(id: u64) -> Key {
    Key { hash: id, id }
}

/// Doubles the table a few times and halves it again.
fn resize_and_back(map: &TtlMap<Key, u64, Identity>, keys: u64) {
    (1_000..1_000 + keys).for_each(|key| drop(map.insert(lone(key), key)));
    let largest = map.capacity();
    (1_000..1_000 + keys).for_each(|key| drop(map.remove(&lone(key))));
    purge_all(map);
    assert!(map.capacity() < largest, "not resized: this shows nothing");
}

/// Each table that a walk has to come through used to double its ways, and what it met on them.
#[test]
fn walk_meets_each_key_once_however_often_the_table_was_resized() {
    let _serial = serial();
    for (permanent, keys) in [(2, 40), (6, 200)] {
        let map = tiny_map(Identity);
        (0..permanent).for_each(|key| drop(map.insert(lone(key), key)));
        for resizes in 0..8 {
            let walk = map.iter();
            (0..resizes).for_each(|_| resize_and_back(&map, keys));
            HASHES.set(0);
            let mut met: BTreeMap<u64, u64> = BTreeMap::new();
            walk.for_each(|entry| *met.entry(entry.key().id).or_default() += 1);
            assert!(met.into_iter().eq((0..permanent).map(|key| (key, 1))), "{resizes} times there and back");
            // Each way may ask each entry that it meets: there are as many ways as the widest table had bins.
            assert!(HASHES.get() <= 64 * permanent, "{} hashes, {resizes} times there and back", HASHES.get());
        }
    }
}

/// A get found a value, which was replaced while it lived; judged when it had lapsed, the key was reported absent.
#[test]
fn replaced_value_that_lapses_before_it_is_judged_hides_no_live_one() {
    let _serial = serial();
    // Stopped when it finds the value at a glance, and when it has looked closer.
    (1..=2).for_each(get_of_a_value_that_lapses_before_it_is_judged);
}

/// The get stops when it has compared the key for the nth time.
fn get_of_a_value_that_lapses_before_it_is_judged(n: u64) {
    // Real time: only between its two readings of the clock a get can be late. Where this thread was too late to
    // replace a live value, once more.
    for ttl in (1..).map(|round| Duration::from_millis(100 * round.min(9))) {
        let map: TtlMap<Key, u64, Identity> = TtlMap::<Key, u64>::builder().hasher(Identity).build();
        map.insert_with_ttl(lone(1), 1, ttl);
        let end = map.clock().now() + ttl;
        let mut replaced = false;
        let seen = stopped_at(
            (Site::Eq, n),
            || map.get_cloned(&lone(1)),
            || {
                replaced = matches!(map.insert(lone(1), 2), Inserted::Replaced(_));
                while map.clock().now() < end {
                    thread::yield_now();
                }
            },
        );
        if replaced {
            assert_eq!(seen, Some(2), "the key was live all the time");
            return;
        }
    }
}

/// Whoever seals a bin calls for growth, when its own key is in. If another thread put that key in meanwhile it didn't,
/// nor did anyone after it, as the bin was sealed already: a chain that grew for ever.
#[test]
fn table_grows_though_who_sealed_the_bin_was_stopped() {
    let _serial = serial();
    let map = tiny_map(Identity);
    // The only bin has 13 slots.
    (0..13).for_each(|key| drop(map.insert(lone(key), key)));
    let capacity = map.capacity();
    let fourteenth = Key { hash: 0, id: 13 };
    // First it looks for its key under the header that shows no free slot, then under the sealed one.
    stopped_at((Site::Eq, 2), || drop(map.insert(fourteenth, 14)), || drop(map.insert(fourteenth, 13)));
    assert_eq!(map.get_cloned(&fourteenth), Some(14));
    (14..1_000).for_each(|key| drop(map.insert(lone(key), key)));
    assert!(map.capacity() >= 1_000, "room for {} where it was for {capacity}", map.capacity());
}

/// Above 256 bins a doubling asks for hashes. The step that it belonged to came between unlinking and retiring.
#[test]
fn replaced_entry_is_dropped_though_the_hash_of_another_panics_in_upkeep() {
    let _serial = serial();
    let tally = tally!();
    type Map = TtlMap<Counted<u64>, Counted<u64>, Identity>;
    let map: Map = tiny_map(Identity);
    let mut keys = 0;
    while map.capacity() < 4 * 256 {
        map.insert(tally.count(keys), tally.count(keys));
        keys += 1;
    }
    let (mut panics, mut came_out) = (0, false);
    for key in 0..keys {
        // The first call is for the key itself.
        let mut fuse = Fuse::new(Spark::Hash, When::At(2));
        let (new_key, new_value) = (tally.count(key), tally.count(key + 1));
        let outcome = fuse.run(|| drop(map.insert(new_key, new_value)));
        panics += u64::from(fuse.calls() > 1);
        // Later ones may be the write's own: of a bin that the first left half moved.
        came_out |= panics == 1 && outcome.is_err();
    }
    assert!(panics > 10, "hardly a hash was asked for: {panics} panics");
    assert!((0..keys).all(|key| map.contains_key(&key)));
    drop(map);
    tally.assert_balanced();
    assert!(!came_out, "upkeep's panic came out of the write");
}

/// Writes to its map when dropped.
struct Rewrite {
    map: Arc<TtlMap<u64, Option<Rewrite>, Identity>>,
    key: u64,
    deepest: Arc<AtomicUsize>,
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

impl Drop for Rewrite {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() + 1);
        self.deepest.fetch_max(DEPTH.get(), Relaxed);
        self.map.insert(self.key, None);
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// The write of a destructor freed values, whose destructors wrote, and so on: as deep as there was garbage.
#[test]
fn destructors_that_write_run_one_after_another() {
    let _serial = serial();
    let (map, deepest) = (Arc::new(tiny_map(Identity)), Arc::new(AtomicUsize::new(0)));
    let pinned = map.pin();
    for key in 0..2_000 {
        let (map, deepest) = (Arc::clone(&map), Arc::clone(&deepest));
        pinned.insert(key % 50, Some(Rewrite { map, key: key % 50, deepest }));
    }
    drop(pinned);
    (0..4_000).for_each(|key| drop(map.insert(key % 50, None)));
    assert_eq!(deepest.load(Relaxed), 1, "this deep");
    // Writes free one for one while so few wait.
    assert!(map.retired_len() < 600, "{} values wait", map.retired_len());
}

/// A table that is being filled looks emptier than it is: a full bin in it called for a smaller one.
#[test]
fn table_that_is_being_filled_is_not_halved() {
    let _serial = serial();
    for bins in [128, 512, 2_048] {
        let map = tiny_map(Identity);
        let mut keys = 1..;
        let mut insert = || keys.next().map_or((), |key| drop(map.insert(lone(key), key)));
        while map.capacity() < 4 * bins {
            insert();
        }
        let capacity = map.capacity();
        // Hash 0 is at home in the first bin, which is the first to move. A bin has 13 slots.
        insert();
        (0..14).for_each(|id| drop(map.insert(Key { hash: 0, id: u64::MAX - id }, id)));
        for _ in 0..bins {
            insert();
            assert!(map.capacity() >= capacity, "from room for {capacity} to room for {}", map.capacity());
        }
    }
}

/// Looks for key 1.
struct Probe;

impl Hash for Probe {
    fn hash<H: Hasher>(&self, state: &mut H) {
        pass(Site::Hash);
        1u64.hash(state);
    }
}

impl equivalent::Equivalent<u64> for Probe {
    fn equivalent(&self, key: &u64) -> bool {
        *key == 1
    }
}

/// A get that had read the clock earlier found a value live that was over when it was inserted.
#[test]
fn value_that_was_over_from_the_start_is_never_read() {
    let _serial = serial();
    for over in [Duration::ZERO, Duration::from_secs(1)] {
        let (map, clock) = manual_map(Duration::from_secs(60), Identity);
        map.insert(1, 1);
        let seen = stopped_at(
            // A pin's clock is read by then.
            (Site::Hash, 1),
            || map.pin().get(&Probe).copied(),
            || {
                clock.advance(Duration::from_secs(5));
                drop(map.insert_at(1, 7, clock.now() - over));
            },
        );
        assert_eq!(seen, None);
    }
}
