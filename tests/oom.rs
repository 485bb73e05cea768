//! An allocator that refuses: growth that cannot be had is put off, and nothing is lost or doubled by it.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::hash::{BuildHasher, RandomState};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use common::{Identity, race, serial, tiny_map};
use ttlwheel::{Inserted, TtlMap};

/// The system's allocator, without the requests above a limit.
struct Refusing;

static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
static REFUSED: AtomicU64 = AtomicU64::new(0);

fn is_refused(size: usize) -> bool {
    let refused = size > LIMIT.load(Relaxed);
    if refused {
        REFUSED.fetch_add(1, Relaxed);
    }
    refused
}

// SAFETY: all that is not refused is the system allocator's, and null is how an allocator refuses.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return null_mut();
        }
        // SAFETY: the caller's promise is the system allocator's demand.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: every block comes from the system allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_refused(size) {
            return null_mut();
        }
        // SAFETY: every block comes from the system allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

/// Refuses requests above `limit` while `work` runs, which must provoke some.
fn with_limit(limit: usize, work: impl FnOnce()) {
    /// Lifts the limit also when `work` panics, for the sake of the message.
    struct Lift;
    impl Drop for Lift {
        fn drop(&mut self) {
            LIMIT.store(usize::MAX, Relaxed);
        }
    }
    let before = REFUSED.load(Relaxed);
    LIMIT.store(limit, Relaxed);
    let lift = Lift;
    work();
    drop(lift);
    assert!(REFUSED.load(Relaxed) > before, "nothing was refused: this shows nothing");
}

const KEYS: u64 = 30_000;

/// Each key in `0..present` appears once with its value; those above are absent.
fn check<S: BuildHasher>(map: &TtlMap<u64, u64, S>, present: u64, value: impl Fn(u64) -> u64) {
    let mut seen = vec![0u8; present as usize];
    for entry in map.iter() {
        assert_eq!(*entry, value(*entry.key()));
        seen[*entry.key() as usize] += 1;
    }
    assert!(seen.iter().all(|&times| times == 1), "a key is lost or doubled");
    assert!((0..present).all(|key| map.get_cloned(&key) == Some(value(key))));
    assert!((present..present + 100).all(|key| !map.contains_key(&key)));
    assert_eq!((map.len() as u64, map.stored_len() as u64), (present, present));
}

fn survive<S: BuildHasher>(limit: usize, hasher: S) {
    let map: TtlMap<u64, u64, S> = tiny_map(hasher);
    with_limit(limit, || {
        for key in 0..KEYS {
            assert!(matches!(map.insert(key, key), Inserted::New), "key {key}");
        }
        for key in 0..KEYS {
            assert_eq!(map.insert(key, key + 1).replaced().map(|old| *old), Some(key));
        }
        assert!((0..KEYS).all(|key| map.get_cloned(&key) == Some(key + 1)));
    });
    check(&map, KEYS, |key| key + 1);
    // Memory has come back: so does growth, and nothing gets lost in it.
    for key in KEYS..2 * KEYS {
        assert!(matches!(map.insert(key, key + 1), Inserted::New));
    }
    check(&map, 2 * KEYS, |key| key + 1);
    assert!(map.capacity() as u64 >= KEYS, "{} stored, room for {}", map.stored_len(), map.capacity());
    // A table that cannot be had cannot be shrunk to either.
    let before = REFUSED.load(Relaxed);
    LIMIT.store(limit, Relaxed);
    for key in 100..2 * KEYS {
        assert_eq!(map.remove(&key).map(|old| *old), Some(key + 1));
    }
    LIMIT.store(usize::MAX, Relaxed);
    assert!(REFUSED.load(Relaxed) >= before);
    check(&map, 100, |key| key + 1);
}

#[test]
fn inserts_go_on_when_a_bigger_table_cannot_be_had() {
    let _serial = serial();
    survive(64 << 10, RandomState::new());
    survive(64 << 10, Identity);
}

#[test]
fn inserts_go_on_when_hardly_anything_can_be_had() {
    let _serial = serial();
    survive(16 << 10, RandomState::new());
}

#[test]
fn threads_lose_and_double_nothing_when_growth_fails_under_them() {
    let _serial = serial();
    for _ in 0..4 {
        let map: TtlMap<u64, u64> = tiny_map(RandomState::new());
        with_limit(64 << 10, || {
            let news: u64 = race(3, |thread| {
                let mut news = 0;
                for i in 0..KEYS {
                    let key = (i + thread as u64 * KEYS / 3) % KEYS;
                    news += u64::from(matches!(map.insert(key, key), Inserted::New));
                    assert!(map.get(&key).is_some_and(|value| *value == key));
                }
                news
            })
            .into_iter()
            .sum();
            assert_eq!(news, KEYS, "each key is new once");
        });
        check(&map, KEYS, |key| key);
    }
}
