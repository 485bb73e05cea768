//! The maps: ours first, then the others. A new one is a block here and a line in [`PEERS`].

use papaya::{HashMapRef, LocalGuard};
use ttlwheel::{Pinned, TtlMap};

use super::{Entry, Hasher, Ops, Peer, TTL, hasher};

/// Every peer; ours first.
pub static PEERS: &[Entry] = &[
    Entry::of::<Ours>(),
    Entry::of::<Papaya>(),
    Entry::of::<PapayaDeadline>(),
    Entry::of::<Dashmap>(),
    Entry::of::<Moka>(),
];

// ---- ttlwheel, with its default clock

type Ours = TtlMap<u64, u64, Hasher>;

impl Ops for Ours {
    fn get(&self, key: u64) -> Option<u64> {
        // One call: it has the bin fetched before it pins.
        self.get_cloned(&key)
    }
    fn insert(&self, key: u64, value: u64) {
        self.pin().insert(key, value);
    }
    fn remove(&self, key: u64) -> bool {
        self.pin().remove(&key).is_some()
    }
}

impl Ops for Pinned<'_, u64, u64, Hasher> {
    fn get(&self, key: u64) -> Option<u64> {
        self.get(&key).copied()
    }
    fn insert(&self, key: u64, value: u64) {
        self.insert(key, value);
    }
    fn remove(&self, key: u64) -> bool {
        self.remove(&key).is_some()
    }
}

impl Peer for Ours {
    const NAME: &'static str = "ttlwheel";
    const PACKAGE: &'static str = "ttlwheel";
    const PINS: bool = true;
    type Held<'a> = Pinned<'a, u64, u64, Hasher>;

    fn new() -> Self {
        TtlMap::with_hasher(TTL, hasher())
    }
    fn hold(&self) -> Self::Held<'_> {
        self.pin()
    }
}

// ---- papaya, without expiry

type Papaya = papaya::HashMap<u64, u64, Hasher>;
type PapayaRef<'a, V> = HashMapRef<'a, u64, V, Hasher, LocalGuard<'a>>;

impl Ops for Papaya {
    fn get(&self, key: u64) -> Option<u64> {
        self.pin().get(&key).copied()
    }
    fn insert(&self, key: u64, value: u64) {
        self.pin().insert(key, value);
    }
    fn remove(&self, key: u64) -> bool {
        self.pin().remove(&key).is_some()
    }
}

impl Ops for PapayaRef<'_, u64> {
    fn get(&self, key: u64) -> Option<u64> {
        self.get(&key).copied()
    }
    fn insert(&self, key: u64, value: u64) {
        self.insert(key, value);
    }
    fn remove(&self, key: u64) -> bool {
        self.remove(&key).is_some()
    }
}

impl Peer for Papaya {
    const NAME: &'static str = "papaya, no TTL";
    const PACKAGE: &'static str = "papaya";
    const PINS: bool = true;
    type Held<'a> = PapayaRef<'a, u64>;

    fn new() -> Self {
        papaya::HashMap::with_hasher(hasher())
    }
    fn hold(&self) -> Self::Held<'_> {
        self.pin()
    }
}

// ---- papaya with a deadline beside each value, judged by the coarse clock: what a user would write

struct PapayaDeadline(papaya::HashMap<u64, Timed, Hasher>);

#[derive(Clone, Copy)]
struct Timed {
    value: u64,
    /// Nanoseconds of the coarse clock.
    deadline: u64,
}

impl Timed {
    fn live(&self, now: u64) -> Option<u64> {
        (now < self.deadline).then_some(self.value)
    }
    fn new(value: u64, now: u64) -> Self {
        let deadline = now.saturating_add(TTL.as_nanos() as u64);
        Timed { value, deadline }
    }
}

/// A pin with the time at which it was made, as ours takes one reading a pin.
struct PapayaDeadlineHeld<'a> {
    map: PapayaRef<'a, Timed>,
    now: u64,
}

impl Ops for PapayaDeadline {
    fn get(&self, key: u64) -> Option<u64> {
        let now = coarse_nanos();
        self.0.pin().get(&key).and_then(|timed| timed.live(now))
    }
    fn insert(&self, key: u64, value: u64) {
        self.0.pin().insert(key, Timed::new(value, coarse_nanos()));
    }
    fn remove(&self, key: u64) -> bool {
        self.hold().remove(key)
    }
}

impl Ops for PapayaDeadlineHeld<'_> {
    fn get(&self, key: u64) -> Option<u64> {
        self.map.get(&key).and_then(|timed| timed.live(self.now))
    }
    fn insert(&self, key: u64, value: u64) {
        self.map.insert(key, Timed::new(value, coarse_nanos()));
    }
    fn remove(&self, key: u64) -> bool {
        let old = self.map.remove(&key);
        old.is_some_and(|timed| timed.live(self.now).is_some())
    }
}

impl Peer for PapayaDeadline {
    const NAME: &'static str = "papaya + deadline";
    const PACKAGE: &'static str = "papaya";
    const PINS: bool = true;
    type Held<'a> = PapayaDeadlineHeld<'a>;

    fn new() -> Self {
        PapayaDeadline(papaya::HashMap::with_hasher(hasher()))
    }
    fn hold(&self) -> Self::Held<'_> {
        PapayaDeadlineHeld { map: self.0.pin(), now: coarse_nanos() }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn coarse_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn coarse_nanos() -> u64 {
    static ORIGIN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    ORIGIN.elapsed().as_nanos() as u64
}

// ---- dashmap, without expiry

type Dashmap = dashmap::DashMap<u64, u64, Hasher>;

impl Ops for Dashmap {
    fn get(&self, key: u64) -> Option<u64> {
        self.get(&key).map(|value| *value)
    }
    fn insert(&self, key: u64, value: u64) {
        self.insert(key, value);
    }
    fn remove(&self, key: u64) -> bool {
        self.remove(&key).is_some()
    }
}

impl Peer for Dashmap {
    const NAME: &'static str = "dashmap, no TTL";
    const PACKAGE: &'static str = "dashmap";
    const PINS: bool = false;
    type Held<'a> = &'a Self;

    fn new() -> Self {
        dashmap::DashMap::with_hasher(hasher())
    }
    fn hold(&self) -> Self::Held<'_> {
        self
    }
}

// ---- moka, with a time to live

type Moka = moka::sync::Cache<u64, u64, Hasher>;

impl Ops for Moka {
    fn get(&self, key: u64) -> Option<u64> {
        self.get(&key)
    }
    fn insert(&self, key: u64, value: u64) {
        self.insert(key, value);
    }
    fn remove(&self, key: u64) -> bool {
        self.remove(&key).is_some()
    }
}

impl Peer for Moka {
    const NAME: &'static str = "moka + TTL";
    const PACKAGE: &'static str = "moka";
    const PINS: bool = false;
    type Held<'a> = &'a Self;

    fn new() -> Self {
        moka::sync::Cache::builder().time_to_live(TTL).build_with_hasher(hasher())
    }
    fn hold(&self) -> Self::Held<'_> {
        self
    }
    fn settle(&self) {
        self.run_pending_tasks();
    }
}
