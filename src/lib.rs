//! A lock-free concurrent map whose entries expire.
//!
//! [`TtlMap`] answers a read at the price of a bare map's, judges every entry by its own deadline to the nanosecond,
//! needs no thread, and gives memory back in small constant steps. Nothing in it locks, nothing stops the world, and
//! when a map is dropped every key and value that it ever held has been dropped.
//!
//! ```
//! use std::time::Duration;
//! use ttlwheel::{ManualClock, TtlMap};
//!
//! let clock = ManualClock::new();
//! let sessions = TtlMap::builder().time_to_live(Duration::from_secs(1800)).clock(&clock).build();
//! sessions.insert("alice", 1);
//! sessions.insert_with_ttl("bob", 2, Duration::from_secs(60));
//!
//! clock.advance(Duration::from_secs(60));
//! let pinned = sessions.pin();
//! assert_eq!(pinned.get("alice"), Some(&1));
//! assert_eq!(pinned.get("bob"), None);
//! ```
//!
//! # Which way to call
//!
//! Every verb stands on the map itself and on [`Pinned`], which [`TtlMap::pin`] gives. A pin makes a run of calls
//! cheaper and their results plain references; see [`Pinned`] for what it holds up while it is held. What is nothing but
//! references stands on the pin alone: [`entry`](Pinned::entry), [`keys`](Pinned::keys), [`values`](Pinned::values). What
//! may wait for others stands on the map alone: [`get_or_insert_with`](TtlMap::get_or_insert_with) and its like, the only
//! verbs that do.
//!
//! Verbs that take a closure never run it under a lock; where several threads change one key at once it may run again,
//! and its docs say so.
//!
//! # Time
//!
//! An entry is live while `now < deadline` on the map's [`Clock`]. Relative times are [`Duration`](std::time::Duration)s,
//! absolute ones [`Instant`](std::time::Instant)s. A zero time to live is over at once; one that reaches past the
//! clock's scale (292 years after its start) never ends. No duration, instant or uptime panics or wraps.
//!
//! # Panics
//!
//! The map itself panics on nothing. A panic in `Hash`, `Eq` or `Clone` of yours reaches the caller and leaves the map
//! sound, with the entry in question in or out; one in a closure reaches the caller, too, and nothing was done; a panic in a `Drop` of yours stays with what it came from: the map
//! goes on freeing, and only the map's own drop passes the first such panic on, after everything is dropped. One in a
//! [listener](Builder::on_removal) is counted, and that is all.

mod clock;
mod entry;
mod events;
mod garbage;
mod map;
mod reaper;
mod sync;
mod table;
mod unwind;
mod wheel;

pub use clock::{Clock, Deadline, ManualClock, TickedClock};
pub use map::{
    AfterRead, Builder, Computed, Condition, Drain, Events, Expiry, Inserted, Iter, MapEntry, NotInserted,
    OccupiedEntry, Operation, Pinned, PinnedDrain, PinnedIter, Purged, Ref, Removal, RemovalCause, RemovalInfo,
    Retimed, TtlMap, VacantEntry,
};
#[cfg(any(test, feature = "stats"))]
pub use map::{Census, Lag, Stats, UpkeepStats};
#[cfg(feature = "serde")]
pub use map::{LoadError, Snapshot};
pub use reaper::{Reaper, ReaperBuilder, ReaperReport};
pub use sync::Pages;
#[cfg(ttl_loom)]
pub use sync::{Arc, Weak};

#[cfg(all(test, ttl_loom))]
#[path = "../loom_tests/mod.rs"]
mod loom_tests;
