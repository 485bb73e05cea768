//! More of the defects that `regressions` is about: those that show in what is allocated, and those that need a thread
//! stopped where the map calls nothing of the user's but the allocator.

mod common;

use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use common::fuse::{Fuse, Site, When, spark};
use common::watching::{Watching, blocks, stopped_at, tables};
use common::{Collide, Identity, Rng, serial, tiny_map};
use ttlwheel::{ManualClock, Pages, TtlMap};

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// What a stopped rebuild of a tail had frozen could not be purged, and each purge said that there was more to do.
#[test]
fn purge_ends_beside_a_thread_that_stopped_anywhere() {
    let _serial = serial();
    let ttl = Duration::from_secs(1);
    let mut stops = 0;
    // Keys of one hash: a bin has 13 slots, its first tail eight words. In the larger table no resize helps out.
    for (capacity, present) in [1, 1_000].into_iter().flat_map(|capacity| (12..40).map(move |keys| (capacity, keys))) {
        for n in 1.. {
            let clock = ManualClock::new();
            let builder = TtlMap::<u64, u64>::builder()
                .pages(Pages::Allocator)
                .initial_capacity(capacity)
                .time_to_live(ttl)
                .clock(&clock);
            let map = builder.hasher(Collide::<1>).build();
            (0..present).for_each(|key| drop(map.insert(key, key)));
            let stopped = stopped_at(
                n,
                || drop(map.insert_forever(present, present)),
                || {
                    clock.advance(ttl);
                    let calls = (0..1_000).take_while(|_| map.purge_expired(100).more).count();
                    assert!(calls < 1_000, "{present} keys, stopped at allocation {n}: purged for ever");
                    assert!(map.stored_len() <= 1, "{present} keys, stopped at allocation {n}: not all purged");
                },
            );
            assert!(map.contains_key(&present));
            if !stopped {
                break;
            }
            stops += 1;
        }
    }
    assert!(stops > 100, "hardly stopped anywhere: {stops} times");
}

/// Who seals a bin calls for growth. Where it was stopped before, a tail grew for ever.
#[test]
fn table_grows_beside_a_thread_that_stopped_anywhere() {
    let _serial = serial();
    let mut stops = 0;
    for present in 0..30 {
        for n in 1.. {
            let map = tiny_map(Identity);
            (0..present).for_each(|key| drop(map.insert(key, key)));
            let stopped = stopped_at(
                n,
                || drop(map.insert(present, present)),
                || {
                    (100..1_100).for_each(|key| drop(map.insert(key, key)));
                    let capacity = map.capacity();
                    assert!(capacity >= 1_000, "{present} keys, stopped at allocation {n}: room for {capacity}");
                },
            );
            if !stopped {
                break;
            }
            stops += 1;
        }
    }
    assert!(stops > 50, "hardly stopped anywhere: {stops} times");
}

/// Warms up what the process allocates once, so that blocks can be counted.
fn blocks_left_by(work: impl Fn()) -> i64 {
    work();
    let before = blocks();
    work();
    blocks() - before
}

/// Sends `N` keys each to one hash.
struct Group<const N: u64>;

impl<const N: u64> BuildHasher for Group<N> {
    type Hasher = <Identity as BuildHasher>::Hasher;

    fn build_hasher(&self) -> Self::Hasher {
        Identity.build_hasher()
    }

    fn hash_one<T: Hash>(&self, value: T) -> u64 {
        let hash = Identity.hash_one(value);
        hash - hash % N
    }
}

/// A table that was being filled was resized itself; of the three that there were then, a drop freed two.
#[test]
fn all_tables_are_freed_in_the_middle_of_any_resize() {
    let _serial = serial();
    let left = blocks_left_by(|| {
        for round in 0..500 {
            let (map, mut rng) = (tiny_map(Group::<20>), Rng(round));
            for _ in 0..3_000 {
                let (before, capacity) = (tables(), map.capacity());
                map.insert(rng.below(10_000), 0);
                // A table of the same size as the last, or one that comes after it.
                if tables() > before && map.capacity() == capacity {
                    break;
                }
            }
        }
    });
    assert!(left < 8, "{left} blocks are left of 500 maps");
}

/// A key whose hash may panic, and is a part of it.
#[derive(PartialEq, Eq)]
struct Key {
    hash: u64,
    id: u64,
}

impl Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        spark(Site::Hash);
        self.hash.hash(state);
    }
}

/// Above 256 bins a doubling asks for hashes. A panic then left a tail in a bin that was not opened yet, which the
/// drop of the map didn't look into.
#[test]
fn tail_is_freed_whose_bin_was_not_opened() {
    let _serial = serial();
    let left = blocks_left_by(|| {
        for round in 0..200 {
            // Some of them while the unit's second bin is filled, when the first one has its tail.
            let (map, mut rng, n) = (tiny_map(Identity), Rng(round), 20 + round % 10);
            // More than a bin holds, in the one that moves first.
            (0..20).for_each(|id| drop(map.insert(Key { hash: 0, id }, id)));
            for id in 20.. {
                // The first call is for the key itself. Until a doubling begins there are no others.
                let mut fuse = Fuse::new(Site::Hash, When::At(n));
                let _ = fuse.run(|| drop(map.insert(Key { hash: rng.next(), id }, id)));
                if fuse.calls() > 1 {
                    break;
                }
            }
            assert!(map.capacity() >= 4 * 256);
            assert_eq!(map.get_cloned(&Key { hash: 0, id: 19 }), Some(19));
        }
    });
    assert!(left < 8, "{left} blocks are left of 200 maps");
}

/// Ten keys of one hash need an overflow line wherever they go; a table in which the copy had taken more lines than it
/// had to spare was resized again at once.
#[test]
fn ten_keys_a_hash_do_not_resize_the_table_for_ever() {
    let _serial = serial();
    for live in [100, 400, 3_000] {
        let map: TtlMap<u64, u64, Group<10>> = tiny_map(Group);
        let writes = 30_000;
        let replace = |keys: std::ops::Range<u64>| {
            for key in keys {
                map.insert(key, key);
                assert!(key < live || map.remove(&(key - live)).is_some());
            }
        };
        replace(0..11 * live);
        let before = tables();
        replace(11 * live..11 * live + writes);
        let moved = (tables() - before) * map.capacity() as u64 / 4;
        assert!(moved < writes, "{moved} bins were moved by {writes} new keys, {live} of them live");
    }
}
