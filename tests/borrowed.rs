//! Keys and values need not be `'static`: nothing of theirs survives the map's drop, so they may borrow what does.

mod common;

use std::cell::Cell;
use std::hash::RandomState;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::{manual_map, race, tiny_map};
use ttlwheel::{Inserted, Pinned, Ref, TtlMap};

/// Reports its drop to a counter on somebody's stack.
#[derive(Debug)]
struct Reports<'c>(&'c AtomicU64, u64);

impl Drop for Reports<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn borrowed_strings_are_keys_and_values() {
    let text = String::from("one two three two one two");
    let (map, clock) = manual_map(Duration::from_secs(1), RandomState::new());
    for (place, word) in text.split(' ').enumerate() {
        map.insert(word, &text[..place]);
    }
    assert_eq!(map.get("one").map(|prefix| prefix.len()), Some(4));
    assert_eq!(map.get_cloned("two"), Some("one t"));
    assert_eq!(map.remove("three").map(|prefix| prefix.len()), Some(2));
    let borrowed: &str = map.pin().get_key_value("two").map(|(key, _)| *key).unwrap();
    clock.advance(Duration::from_secs(1));
    assert!(map.is_empty());
    drop(map);
    assert_eq!(borrowed, "two", "what was borrowed outlives the map");
}

#[test]
fn all_is_dropped_before_what_it_borrows() {
    let dropped = AtomicU64::new(0);
    {
        let map = tiny_map(RandomState::new());
        for key in 0..1_000u64 {
            map.insert(key, Reports(&dropped, key));
            map.insert(key, Reports(&dropped, key + 1));
        }
        for key in 0..100 {
            assert_eq!(map.remove(&key).map(|value| value.1), Some(key + 1));
        }
        std::mem::forget(map.get(&500));
    }
    assert_eq!(dropped.load(Ordering::Relaxed), 2_000);
}

#[test]
fn not_sync_values_may_be_borrowed_on_one_thread() {
    let cell = Cell::new(0);
    let map: TtlMap<u8, &Cell<u32>> = tiny_map(RandomState::new());
    map.insert(1, &cell);
    map.get(&1).unwrap().set(5);
    map.pin().get(&1).unwrap().set(cell.get() + 1);
    drop(map);
    assert_eq!(cell.get(), 6);
}

#[test]
fn scoped_threads_share_a_map_of_borrowed_data() {
    let dropped = AtomicU64::new(0);
    let words: Vec<String> = (0..500).map(|word| format!("word {word}")).collect();
    let map: TtlMap<&str, Reports<'_>> = tiny_map(RandomState::new());
    let inserted: u64 = race(4, |thread| {
        let mut inserted = 0;
        for word in words.iter().skip(thread).step_by(2) {
            let met = map.insert(word, Reports(&dropped, word.len() as u64));
            inserted += 1;
            if let Inserted::Replaced(old) = met {
                assert_eq!(old.1, word.len() as u64);
            }
        }
        inserted
    })
    .into_iter()
    .sum();
    assert_eq!(map.len(), 500);
    thread::scope(|scope| drop(scope.spawn(|| drop(map)).join()));
    assert_eq!(dropped.load(Ordering::Relaxed), inserted);
}

/// Maps, pins and references can be held by structs and handed on, with the lifetimes that one expects.
#[test]
fn handles_live_in_structs_and_shrink_their_lifetimes() {
    struct Reader<'m, 'd> {
        pin: Pinned<'m, &'d str, &'d str, RandomState>,
        last: Option<Ref<'m, &'d str, &'d str>>,
    }
    fn lookup<'p, 'd>(pin: &'p Pinned<'_, &'d str, &'d str, RandomState>, key: &str) -> Option<&'p &'d str> {
        pin.get(key)
    }
    fn shorter<'m, 's>(map: &'m TtlMap<&'static str, &'static str>) -> Option<Ref<'m, &'s str, &'s str>>
    where
        'static: 's,
    {
        map.get("k")
    }
    let text = String::from("v");
    let map: TtlMap<&str, &str> = tiny_map(RandomState::new());
    map.insert("k", &text);
    let reader = Reader { pin: map.pin(), last: map.get("k") };
    assert_eq!(lookup(&reader.pin, "k"), Some(&"v"));
    assert_eq!(reader.last.as_deref(), Some(&"v"));
    let constant: TtlMap<&'static str, &'static str> = tiny_map(RandomState::new());
    constant.insert("k", "v");
    assert_eq!(shorter(&constant).as_deref(), Some(&"v"));
}
