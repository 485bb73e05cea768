//! The failures of other maps and caches that concern table, reclamation and time, each with the tests that would
//! show it here: what stands behind the number is in section 5 of the project's page on verification. Those that
//! have no test elsewhere are below the table. Tests of the crate's own modules are in `src`, models in `loom_tests`.
//!
//! | failure | test |
//! |---|---|
//! | 1 use after free: retired while reachable | `drops.rs::held_references_outlive_replace_remove_clear_and_growth` |
//! | 2 the epoch advances though a thread is pinned | `garbage.rs::a_value_outlives_a_million_writes_of_others_while_its_ref_is_held` |
//! | 3 a stalled reader stops all reclamation, unseen | `garbage.rs::garbage_is_visible_while_a_guard_is_held_and_falls_after_it` |
//! | 4 values not dropped at the map's drop | `drops.rs::each_way_out_drops_once` |
//! | 4 nor while another is pinned | `drops.rs::dropped_while_another_map_is_pinned` |
//! | 4 nor after a forgotten guard | `forgotten.rs::pin_forgotten` |
//! | 5 removed values are never dropped | `garbage.rs::unreachable_values_are_dropped_within_bounded_writes` |
//! | 6 leaks at drop and on eviction | `memory.rs::a_drop_gives_all_memory_back_before_it_returns` |
//! | 6 nor map by map | `memory.rs::maps_that_come_and_go_leave_nothing_behind` |
//! | 7 exiting threads leak | `memory.rs::short_threads_leave_nothing_behind` |
//! | 7 nor values | `threads.rs::short_threads_come_and_go` |
//! | 8 the epoch is used after thread-locals are gone | `drops.rs::used_in_a_thread_local_destructor` |
//! | 8 and the map dropped there | `drops.rs::dropped_in_a_thread_local_destructor` |
//! | 9 concurrent removals leak a node | `threads.rs::outcomes_add_up_for_contended_keys` |
//! | 10 a value is dropped twice | `drops.rs::random_lives_balance` |
//! | 11 garbage deferred on an unprotected guard | `failures.rs::no_unprotected_guard_outside_drop` |
//! | 12 a reference outlives its entry | `compile_fail.rs::unsound_uses_do_not_compile` |
//! | 13 unsound lifetimes of references and locks | `compile_fail.rs::unsound_uses_do_not_compile` |
//! | 13 and data races | `compile_fail.rs::what_is_shared_between_threads_is_as_safe_as_its_parts` |
//! | 14 updates lost in a resize | `threads.rs::outcomes_add_up_while_the_table_grows` |
//! | 14 and found by the checker | `linearizable.rs::phases_are_linearizable` |
//! | 15 a stale size in a resize misses an entry | `threads.rs::always_present_keys_are_never_missed` |
//! | 16 migration bugs: flags, livelock, bounds | `threads.rs::all_verbs_at_once_break_no_assertion` |
//! | 17 paths nobody tests: abort and claim given back | `panics.rs::eq_panics_at_each_call` |
//! | 17 and of a stopped thread | `lockfree.rs::a_thread_stopped_in_eq_stops_no_other` |
//! | 18 races of a bin that changes its kind | `linearizable.rs::phases_with_poor_hashers_are_linearizable` |
//! | 18 at every place | `linearizable.rs::phases_with_threads_stopped_inside_are_linearizable` |
//! | 19 lookups that never end in a table of tombstones | `failures.rs::churn_at_full_load_terminates` |
//! | 20 a key that is always present is missed | `threads.rs::an_always_present_key_is_never_missed` |
//! | 21 version counters wrap | in `src`, with counters started near their end |
//! | 22 never shrinks | `memory.rs::memory_comes_back_after_each_mass_expiry` |
//! | 22 nor after removals | `memory.rs::memory_comes_back_after_removals_and_clears` |
//! | 23 quadratic insertion in another map's order | `failures.rs::insertion_in_the_order_of_another_map_is_not_quadratic` |
//! | 23 colliding keys | `failures.rs::thousands_of_colliding_keys_are_told_apart` |
//! | 23 a hasher that can be attacked by default | `failures.rs::the_default_hasher_is_seeded` |
//! | 24 access beside a clear panics | `threads.rs::clear_races_gets_and_inserts` |
//! | 25 an update is lost between read and write | `threads.rs::a_removed_token_belongs_to_one_thread` |
//! | 26 an allocation fails, and a key is doubled | `oom.rs::inserts_go_on_when_a_bigger_table_cannot_be_had` |
//! | 26 beside other threads | `oom.rs::threads_lose_and_double_nothing_when_growth_fails_under_them` |
//! | 33 off by one tick, overflow | `time.rs::every_ttl_is_exact_to_the_nanosecond` |
//! | 33 at random | `model/main.rs::few_keys_behave_like_the_model` |
//! | 34 a stale clock after idling | `time.rs::an_entry_inserted_after_an_idle_hour_lives_its_time` |
//! | 35 the longest durations panic or wrap | `time.rs::ttls_past_the_clocks_end_mean_never` |
//! | 35 and instants | `time.rs::instants_of_any_age_are_deadlines` |
//! | 36 the clock goes back | `time.rs::a_clock_set_back_stands_still` |
//! | 37 a suspended machine | `time.rs::a_jump_of_thirty_days_is_worked_off_in_bounded_steps` |
//! | 38 sub-second times ignored | `time.rs::every_ttl_is_exact_to_the_nanosecond` |
//! | 38 by the coarse clock | `time.rs::real_clocks_end_an_entry_at_its_deadline` |
//! | 39 judged by two readings | `linearizable.rs::histories_with_a_running_clock_are_linearizable` |
//! | 39 of which the checker would tell | `checker.rs::the_checker_rejects_what_is_wrong` |
//! | 42 a thread outlives its map | `reaper.rs::a_thousand_maps_with_forgotten_guards_leave_no_thread` |
//! | 43 closed twice, and by many | `reaper.rs::closed_from_many_threads` |
//! | 43 and in a panic | `reaper.rs::closed_twice_and_dropped_in_a_panic` |
//! | 44 stopped from its own thread | `reaper.rs::a_destructor_closes_its_own_reaper` |
//! | 44 or each from the other's | `reaper.rs::two_reapers_that_own_each_other` |
//! | 45 the guard is forgotten | `reaper.rs::guard_forgotten_and_the_map_dropped` |
//! | 48 the user's code panics | `panics.rs::hash_panics_at_each_call` |
//! | 48 in a destructor | `panics.rs::drop_panics_at_each_call` |
//! | 48 in the map's drop | `panics.rs::a_panicking_destructor_in_the_maps_drop_spares_no_other` |
//! | 48 on the reaper's thread | `reaper.rs::panicking_destructors_are_counted_and_the_sweep_goes_on` |
//! | 49 unreachable code is reached under load | `threads.rs::all_verbs_at_once_break_no_assertion` |
//! | 50 a forked child has no reaper | `reaper.rs::in_a_forked_child_a_guard_does_nothing` |

mod common;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::path::{Path, PathBuf};

use common::{Chosen, Collide, HighBits, Identity, scaled, tiny_map};
use ttlwheel::{Inserted, TtlMap};

/// The rows of the table above: number and test.
fn rows() -> Vec<(u32, &'static str)> {
    include_str!("failures.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .filter_map(|row| {
            let (failure, test) = row.split_once(" | ")?;
            Some((failure.split(' ').next()?.parse().ok()?, test.trim_end_matches(" |")))
        })
        .collect()
}

#[test]
fn every_failure_has_a_test_that_exists() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for (number, test) in rows() {
        let Some((file, name)) = test.trim_matches('`').split_once("::") else {
            assert_eq!(number, 21, "{test} is not a test");
            continue;
        };
        let text = fs::read_to_string(tests.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(&format!("fn {name}")), "failure {number}: no test {name} in {file}");
    }
    let covered: BTreeSet<u32> = rows().into_iter().map(|row| row.0).collect();
    assert!(covered.iter().copied().eq((1..=26).chain(33..=39).chain(42..=45).chain(48..=50)), "{covered:?}");
}

/// All files below `directory` whose names end in `.rs`.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory of sources");
    entries
        .map(|entry| entry.expect("an entry").path())
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// What is deferred on an unprotected guard is run at once, or leaks: only a drop by `&mut` may use one.
#[test]
fn no_unprotected_guard_outside_drop() {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        let mut function = "";
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains("fn ") {
                function = code;
            }
            let allowed = function.contains("fn drop") || function.contains("fn drain");
            assert!(allowed || !code.contains("unprotected("), "{}:{}: unprotected", file.display(), number + 1);
        }
    }
}

/// New keys for ever at every load of a small table: whatever they leave behind, each lookup comes to an end.
#[test]
fn churn_at_full_load_terminates() {
    fn churn<S: BuildHasher + Clone>(hasher: S) {
        for live in (1..=20).chain([31, 32, 33, 48, 64, 100]) {
            let map: TtlMap<u64, u64, S> = tiny_map(hasher.clone());
            for key in 0..scaled(3_000, 50_000) {
                assert!(matches!(map.insert(key, key), Inserted::New));
                assert!(!map.contains_key(&(key + 1)) && map.contains_key(&key.saturating_sub(live - 1)));
                if key >= live {
                    assert_eq!(map.remove(&(key - live)).map(|value| *value), Some(key - live));
                }
            }
            assert_eq!((map.len() as u64, map.stored_len() as u64), (live, live));
        }
    }
    churn(Chosen::std());
    churn(Chosen::from(Identity));
    churn(Chosen::from(Collide::<1>));
    churn(Chosen::from(Collide::<4>));
}

#[test]
fn thousands_of_colliding_keys_are_told_apart() {
    fn collide<S: BuildHasher>(hasher: S, keys: u64) {
        let map: TtlMap<u64, u64, S> = tiny_map(hasher);
        (0..keys).for_each(|key| assert!(matches!(map.insert(key, key), Inserted::New)));
        assert!((0..keys).all(|key| map.get_cloned(&key) == Some(key)));
        assert!((keys..keys + 100).all(|key| !map.contains_key(&key)));
        assert_eq!(map.iter().map(|value| *value).collect::<BTreeSet<_>>().len() as u64, keys);
        (0..keys).step_by(2).for_each(|key| assert!(map.remove(&key).is_some()));
        (0..keys).for_each(|key| assert_eq!(map.contains_key(&key), key % 2 == 1));
        (0..keys).for_each(|key| assert_eq!(map.insert(key, key + 1).replaced().is_some(), key % 2 == 1));
        assert!((0..keys).all(|key| map.get_cloned(&key) == Some(key + 1)));
        map.clear();
        assert_eq!(map.stored_len(), 0);
    }
    collide(Chosen::from(Collide::<1>), 3_000);
    collide(Chosen::from(Collide::<4>), 3_000);
    collide(Chosen::from(HighBits), 3_000);
}

/// A key that counts how often it is compared, in place of a stopwatch.
#[derive(Clone)]
struct Compared(u64);

thread_local! {
    static COMPARISONS: Cell<u64> = const { Cell::new(0) };
}

impl Hash for Compared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialEq for Compared {
    fn eq(&self, other: &Self) -> bool {
        COMPARISONS.set(COMPARISONS.get() + 1);
        self.0 == other.0
    }
}

impl Eq for Compared {}

/// In a table that is probed in the order of its hashes, keys that come in that very order pile up at its start.
#[test]
fn insertion_in_the_order_of_another_map_is_not_quadratic() {
    fn copy<S: BuildHasher + Clone>(hasher: S) {
        let many = 20_000;
        let from: TtlMap<Compared, u64, S> = tiny_map(hasher.clone());
        (0..many).for_each(|key| drop(from.insert(Compared(key), key)));
        let to: TtlMap<Compared, u64, S> = tiny_map(hasher);
        COMPARISONS.set(0);
        for entry in from.iter() {
            to.insert(entry.key().clone(), *entry.value());
        }
        assert_eq!(to.len() as u64, many);
        assert!(COMPARISONS.get() < 2 * many, "{} comparisons for {many} new keys", COMPARISONS.get());
        assert!((0..many).all(|key| to.get_cloned(&Compared(key)) == Some(key)));
        assert!(COMPARISONS.get() < 4 * many, "{} comparisons with as many hits", COMPARISONS.get());
    }
    copy(Chosen::std());
    copy(Chosen::from(Identity));
    copy(Chosen::from(HighBits));
}

#[test]
fn the_default_hasher_is_seeded() {
    // The type itself, and that each map has a seed of its own.
    let map: TtlMap<u64, u64, RandomState> = TtlMap::<u64, u64>::builder().build();
    let other: TtlMap<u64, u64> = TtlMap::new(std::time::Duration::from_secs(1));
    assert!((0..100u64).any(|key| map.hasher().hash_one(key) != other.hasher().hash_one(key)));
}
