//! The first pin of the process, which makes what all maps share: so one test, in a process of its own.

mod common;

use common::watching::{Watching, stopped_at};
use common::{Identity, tiny_map};

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Whoever came second waited for the first to have made the collector.
#[test]
fn thread_stopped_in_the_first_pin_stops_no_other() {
    let map = tiny_map(Identity);
    let stopped = stopped_at(
        1,
        || assert!(!map.contains_key(&2)),
        || {
            map.insert(1, 1);
            assert_eq!(map.get_cloned(&1), Some(1));
        },
    );
    assert!(stopped, "the first pin allocates nothing");
}
