//! How fast what was retired is freed, and a table that is too large given back.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ttlwheel::{ManualClock, TtlMap};

const SECOND: Duration = Duration::from_secs(1);

/// All maps of a process have one collector, so a guard of another test would hold up what is counted here.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whichever writes take turns, and whichever was first.
#[test]
fn what_has_piled_up_is_freed_among_removals_and_inserts() {
    let _alone = alone();
    for before in 0..4 {
        let map: TtlMap<u64, u64> = TtlMap::new(SECOND * 3600);
        let (mut old, mut new) = (0, 0);
        let mut insert = |map: &TtlMap<u64, u64>| {
            map.insert(new, new);
            new += 1;
        };
        (0..1_000 + before).for_each(|_| insert(&map));
        let mut churn = |times: u64| {
            for _ in 0..times {
                map.remove(&old);
                insert(&map);
                old += 1;
            }
        };
        {
            let _reader = map.pin();
            churn(5_000);
        }
        assert!(map.retired_len() > 4_000);
        churn(20_000);
        assert!(map.retired_len() < 200, "{} wait, after {before} more", map.retired_len());
    }
}

#[test]
fn a_map_that_was_drained_shrinks() {
    let _alone = alone();
    let map: TtlMap<u64, u64> = TtlMap::new(SECOND * 3600);
    (0..50_000).for_each(|key| drop(map.insert(key, key)));
    assert_eq!(map.drain().count(), 50_000);
    (0..50_000).for_each(|n| drop(map.insert(1, n)));
    assert!(map.capacity() < 100, "{}", map.capacity());
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Whatever waits to be freed, in however many shards.
#[test]
fn a_purge_frees_about_as_much_as_its_budget() {
    let _alone = alone();
    let clock = ManualClock::new();
    let map: TtlMap<u64, Counted> = TtlMap::builder().time_to_live(SECOND).clock(&clock).build();
    let dropped = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..16u64 {
            let (map, dropped) = (&map, &dropped);
            scope.spawn(move || {
                (0..300).for_each(|n| drop(map.insert(thread << 32 | n, Counted(Arc::clone(dropped)))));
                (0..300).for_each(|n| _ = map.remove(&(thread << 32 | n)));
            });
        }
    });
    for budget in [1, 10, 100] {
        let before = dropped.load(Relaxed);
        map.purge_expired(budget);
        let freed = dropped.load(Relaxed) - before;
        assert!(freed <= budget + 4, "{freed} by a budget of {budget}");
    }
    while map.purge_expired(100).more {}
    assert_eq!(dropped.load(Relaxed), 16 * 300);
}
