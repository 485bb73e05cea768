//! Bytes, counted by the allocator: what was needed for a while is given back (P7, P8, P13).
//!
//! One test at a time: the counter is the process's.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hash::RandomState;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use common::{Identity, manual_map, purge_all, race, scaled, serial, tiny_map};
use ttlwheel::{Pages, TtlMap};

/// The system's allocator, with the bytes that are out.
struct Counting;

static BYTES: AtomicI64 = AtomicI64::new(0);
/// The most there were since it was set.
static PEAK: AtomicI64 = AtomicI64::new(0);

thread_local! {
    /// The largest blocks that this thread has asked for and freed since they were set. Not the process's: whoever runs the
    /// tests ends threads and prints meanwhile.
    static LARGEST_ASKED: Cell<usize> = const { Cell::new(0) };
    static LARGEST_FREED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let bytes = BYTES.fetch_add(layout.size() as i64, Relaxed) + layout.size() as i64;
        PEAK.fetch_max(bytes, Relaxed);
        LARGEST_ASKED.set(LARGEST_ASKED.get().max(layout.size()));
        // SAFETY: the caller's promise is the system allocator's demand.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as i64, Relaxed);
        LARGEST_FREED.set(LARGEST_FREED.get().max(layout.size()));
        // SAFETY: every block comes from the system allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KIB: i64 = 1 << 10;
const TTL: Duration = Duration::from_secs(1);

fn bytes() -> i64 {
    BYTES.load(Relaxed)
}

/// Writes and purges until no more than `bound` bytes are out, at most so many times that a table of the sizes
/// here can be halved to nothing bucket by bucket.
fn settle(map: &TtlMap<u64, u64>, bound: i64) {
    for _ in 0..1_000 {
        if bytes() <= bound {
            return;
        }
        for key in 0..500 {
            map.insert(key % 8, key);
            map.purge_expired(16);
        }
    }
    panic!("{} KiB are out, {} KiB wanted, {} stored", bytes() / KIB, bound / KIB, map.stored_len());
}

/// Fills and empties the map again and again; each time the memory comes back, and never does it get more.
fn fill_and_drain(drain: impl Fn(&TtlMap<u64, u64>, u64, &ttlwheel::ManualClock)) {
    let many = 100_000;
    let (map, clock) = manual_map(TTL, RandomState::new());
    (0..8).for_each(|key| drop(map.insert_forever(key, key)));
    let empty = bytes();
    let mut first_peak = 0;
    for cycle in 0..4 {
        (8..many).for_each(|key| drop(map.insert(key, key)));
        let peak = bytes() - empty;
        assert!(peak > 16 * many as i64, "{peak} bytes cannot hold {many} entries");
        first_peak = if cycle == 0 { peak } else { first_peak };
        assert!(peak <= first_peak * 3 / 2, "cycle {cycle} took {peak} bytes, the first one {first_peak}");
        drain(&map, many, &clock);
        settle(&map, empty + first_peak / 8);
        assert!(map.len() <= 8);
    }
}

#[test]
fn memory_comes_back_after_each_mass_expiry() {
    let _serial = serial();
    fill_and_drain(|map, _, clock| {
        clock.advance(TTL);
        assert!(purge_all(map) > 0);
    });
}

/// The reminders of a table that has grown are older than most of its bins: what they sweep first are bins whose numbers
/// end alike. Judged by those, the table was halved while the others were full; memory rose instead of falling.
#[test]
fn a_table_swept_by_old_reminders_is_not_halved_too_soon() {
    let _serial = serial();
    for (first, then) in [(3, 3_000), (60, 20_000), (1, scaled(30_000, 200_000)), (200, scaled(30_000, 200_000))] {
        let (map, clock) = manual_map(TTL, Identity);
        // Reminders of a table of so many keys, which come one after another.
        (0..first).for_each(|key| drop(map.insert_forever(key, key)));
        for key in first..4 * first {
            map.insert(key, key);
            clock.advance(TTL / 100);
        }
        (4 * first..then).for_each(|key| drop(map.insert(key, key)));
        let full = bytes();
        PEAK.store(full, Relaxed);
        let mut stored = map.stored_len();
        while stored > first as usize {
            let purged = map.purge_expired(100);
            stored -= purged.removed;
            // Halved, a table holds two entries a bin at most, give or take what a sample of it may be wrong by.
            assert!(stored <= map.capacity(), "{stored} of {then} entries in a table for {}", map.capacity());
            if !purged.more {
                clock.advance(TTL / 100);
            }
        }
        let peak = PEAK.load(Relaxed);
        assert!(peak < full + full / 2, "{peak} bytes meanwhile, {full} before");
    }
}

#[test]
fn memory_comes_back_after_removals_and_clears() {
    let _serial = serial();
    fill_and_drain(|map, many, _| (8..many).for_each(|key| drop(map.remove(&key))));
    fill_and_drain(|map, _, _| map.clear());
}

/// New keys for ever, few at a time, at every load of a small table: slots are freed, not buried.
#[test]
fn churn_of_ever_new_keys_needs_no_more_and_no_more_memory() {
    let _serial = serial();
    for live in [1, 5, 6, 7, 11, 12, 13, 90, 1_000] {
        let map: TtlMap<u64, u64, Identity> = tiny_map(Identity);
        let mut next = 0;
        let mut churn = |times: u64| {
            for _ in 0..times {
                map.insert(next, next);
                assert!(next < live || map.remove(&(next - live)).is_some());
                assert!(!map.contains_key(&(next + 1)));
                next += 1;
            }
        };
        churn(30_000);
        let before = bytes();
        churn(scaled(60_000, 1_000_000));
        // What waits to be freed comes and goes.
        assert!(bytes() <= before + 1_024 * KIB, "{live} live: {} KiB, then {} KiB", before / KIB, bytes() / KIB);
        assert_eq!((map.len() as u64, map.stored_len() as u64), (live, live));
    }
}

#[test]
fn a_hot_key_adds_nothing() {
    let _serial = serial();
    let (map, clock): (TtlMap<u64, u64>, _) = manual_map(TTL, RandomState::new());
    let overwrite = |times: u64| {
        for round in 0..times {
            map.insert_with_ttl(1, round, TTL + Duration::from_millis(round % 5_000));
            clock.advance(Duration::from_micros(10));
        }
    };
    overwrite(30_000);
    let before = bytes();
    overwrite(scaled(100_000, 3_000_000));
    assert!(bytes() <= before + 1_024 * KIB, "{} KiB, then {} KiB", before / KIB, bytes() / KIB);
}

#[test]
fn short_threads_leave_nothing_behind() {
    let _serial = serial();
    let map: TtlMap<u64, u64> = tiny_map(RandomState::new());
    let churn = |threads: u64| {
        for thread in 0..threads {
            thread::scope(|scope| {
                scope.spawn(|| {
                    (0..8).for_each(|key| drop(map.insert(key, thread)));
                    assert!(map.get(&(thread % 8)).is_some() && map.remove(&8).is_none());
                });
            });
        }
    };
    churn(1_000);
    let before = bytes();
    churn(scaled(2_000, 20_000));
    assert!(bytes() <= before + 512 * KIB, "{} KiB, then {} KiB", before / KIB, bytes() / KIB);
}

#[test]
fn maps_that_come_and_go_leave_nothing_behind() {
    let _serial = serial();
    let lives = |maps: u64| {
        for _ in 0..maps {
            let map: TtlMap<u64, u64> = tiny_map(RandomState::new());
            (0..200).for_each(|key| drop(map.insert(key % 100, key)));
            (0..50).for_each(|key| drop(map.remove(&key)));
        }
    };
    lives(500);
    let before = bytes();
    lives(scaled(2_000, 50_000));
    assert!(bytes() <= before + 256 * KIB, "{} KiB, then {} KiB", before / KIB, bytes() / KIB);
}

/// Whoever is pinned meanwhile, and whatever was retired by other threads.
#[test]
fn a_drop_gives_all_memory_back_before_it_returns() {
    let _serial = serial();
    let other: TtlMap<u64, u64> = tiny_map(RandomState::new());
    other.insert(1, 1);
    (0..10).for_each(|_| drop(other.pin()));
    for _ in 0..3 {
        let before = bytes();
        let pin = other.pin();
        let map: TtlMap<u64, u64> = tiny_map(RandomState::new());
        race(2, |_| (0..50_000).for_each(|key| drop(map.insert(key % 20_000, key))));
        (0..10_000).for_each(|key| drop(map.remove(&key)));
        let full = bytes() - before;
        drop(map);
        let left = bytes() - before;
        // What the collector notes for a reader who is still there is not the map's.
        assert!(left <= full / 2, "{left} bytes of {full} are still out");
        drop(pin);
        (0..50_000).for_each(|key| drop(other.insert(key % 2, key)));
        let left = bytes() - before;
        assert!(left <= full / 16, "{left} bytes of {full} are still out when nobody is pinned");
    }
}

/// The bytes of 1,000 entries, beside the table's, and those that are left when they are gone, in one way or another.
fn bytes_of_entries(builder: impl FnOnce() -> ttlwheel::Builder<u64, u64>) -> (i64, i64) {
    let before = bytes();
    let clock = ttlwheel::ManualClock::new();
    let map = builder().hasher(Identity).initial_capacity(10_000).clock(&clock).build();
    map.insert(1_000, 0);
    let empty = bytes();
    (0..1_000).for_each(|key| drop(map.insert(key, key)));
    let entries = bytes() - empty;
    assert!(map.try_insert(1, 2).is_err());
    (0..1_000).for_each(|key| drop(map.get(&key)));
    (0..100).for_each(|key| drop(map.remove(&key)));
    (100..300).for_each(|key| drop(map.insert(key, key)));
    clock.advance(TTL);
    purge_all(&map);
    (0..10).for_each(|key| drop(map.insert(key, key)));
    drop((map, clock));
    (entries, bytes() - before)
}

/// Asserts that it is so once in a few times: what the first map makes the process keeps, and whoever runs the tests may
/// allocate meanwhile.
fn assert_bytes(builder: impl Fn() -> ttlwheel::Builder<u64, u64>, expected: i64) {
    let found: Vec<_> = (0..20).map(|_| bytes_of_entries(&builder)).collect();
    assert!(found.contains(&(expected, 0)), "not {expected} bytes that all come back, but {found:?}");
}

#[test]
fn entries_pay_for_a_bound_only_where_reads_move_deadlines() {
    let _serial = serial();
    let builder = || TtlMap::builder().time_to_live(TTL).pages(Pages::Allocator);
    let mut runs: Vec<_> = (0..21).map(|_| bytes_of_entries(builder).0).collect();
    runs.sort_unstable();
    let plain = runs[10];
    assert_bytes(builder, plain);
    assert_bytes(|| builder().time_to_idle(TTL), plain + 8 * 1_000);
    assert_bytes(|| builder().expiry(|_: &u64, _: &u64| Some(TTL)), plain + 8 * 1_000);
}

/// glibc may put together all small blocks that were freed before, which takes long, whenever one of more than 120 bytes is
/// freed: upkeep, which comes again and again, frees none.
#[test]
fn upkeep_frees_small_blocks_only() {
    let _serial = serial();
    let clock = ttlwheel::ManualClock::new();
    let builder = TtlMap::<u64, u64>::builder().time_to_live(TTL).initial_capacity(50_000).clock(&clock);
    let map = builder.pages(Pages::Allocator).build();
    let mut next = 0;
    let mut churn = |writes: u64| {
        for _ in 0..writes {
            map.insert(next, next);
            map.insert(next, next + 1);
            map.remove(&(next / 2));
            next += 1;
            clock.advance(TTL / 4_000);
        }
    };
    churn(10_000);
    LARGEST_FREED.set(0);
    churn(30_000);
    let largest = LARGEST_FREED.get();
    assert!((1..=120).contains(&largest), "{largest} bytes");
    assert!(map.stored_len() < 10_000, "{} stored", map.stored_len());
}

/// Nor does glibc's allocator put them together in a table that shrinks after a mass expiry, or grows again: it does where it
/// is asked for a block of 1 KiB.
#[test]
fn a_table_that_was_large_asks_for_small_blocks_only() {
    if !cfg!(target_os = "linux") {
        return eprintln!("skipped: nothing is mapped here");
    }
    let _serial = serial();
    let clock = ttlwheel::ManualClock::new();
    let map = TtlMap::<u64, u64>::builder().time_to_live(TTL).clock(&clock).build();
    (0..50_000).for_each(|key| drop(map.insert(key, key)));
    let large = map.capacity();
    clock.advance(TTL);
    LARGEST_ASKED.set(0);
    LARGEST_FREED.set(0);
    purge_all(&map);
    (0..20_000).for_each(|key| drop(map.insert(key % 8, key)));
    let small = map.capacity();
    assert!(small * 256 < large, "{small} beside {large}");
    (0..5_000).for_each(|key| drop(map.insert(key, key)));
    assert!(map.capacity() > small * 16);
    let (asked, freed) = (LARGEST_ASKED.get(), LARGEST_FREED.get());
    assert!((1..1_000).contains(&asked) && (1..1_000).contains(&freed), "{asked} bytes asked for, {freed} freed");
}

/// What the statistics say of a map's memory is what the allocator says, but for the statistics' own and small change.
#[cfg(feature = "stats")]
#[test]
fn bytes_are_those_that_were_asked_for() {
    let _serial = serial();
    let assert_right = |map: &TtlMap<u64, u64>, before: i64, what: &str| {
        let (told, out) = (map.stats().bytes as i64, bytes() - before);
        // What is small and does not grow: shards of counters and garbage.
        assert!((told - out).abs() < out / 64 + 24 * KIB, "{what}: {told} bytes instead of {out}");
    };
    let idle = || {
        let builder = TtlMap::<u64, u64>::builder().pages(Pages::Allocator).time_to_idle(TTL);
        builder.clock(ttlwheel::ManualClock::new()).build()
    };
    for make in [|| manual_map(TTL, RandomState::new()).0, idle] {
        let before = bytes();
        let map = Box::new(make());
        assert_right(&map, before, "empty");
        (0..100_000).for_each(|key| drop(map.insert_forever(key, key)));
        assert_right(&map, before, "full");
        (0..100_000).for_each(|key| drop(map.insert_with_ttl(key, key, TTL * (1 + key as u32 % 1_000))));
        assert_right(&map, before, "with many reminders");
        let pinned = map.pin();
        (0..100_000).for_each(|key| drop(map.insert(key, key)));
        assert!(map.stats().retired >= 100_000);
        assert_right(&map, before, "replaced, and held by a reader");
        drop(pinned);
    }
}
