//! Maps with locks inside or around: dashmap, scc, and the standard one.

use std::collections::HashMap;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use super::{Timed, coarse_nanos};
use crate::common::{Data, Hasher, Ops, Peer, Upkeep, hasher};

// ---- dashmap, without expiry

pub type Dashmap<D> = dashmap::DashMap<<D as Data>::Key, <D as Data>::Value, Hasher>;

impl<D: Data> Ops<D> for Dashmap<D> {
    #[inline(always)]
    fn get(&self, key: &D::Key) -> Option<u64> {
        self.get(key).map(|value| D::weigh(&value))
    }
    fn insert(&self, key: D::Key, value: D::Value) {
        self.insert(key, value);
    }
    fn remove(&self, key: &D::Key) -> bool {
        self.remove(key).is_some()
    }
}

impl<D: Data> Peer<D> for Dashmap<D> {
    const NAME: &'static str = "dashmap, no TTL";
    const PACKAGE: &'static str = "dashmap";
    const UPKEEP: Upkeep = Upkeep::NoTtl;
    type Held<'a> = &'a Self;

    fn new(_ttl: Duration) -> Self {
        dashmap::DashMap::with_hasher(hasher())
    }
    fn hold(&self) -> Self::Held<'_> {
        self
    }
    fn stored(&self) -> usize {
        self.len()
    }
}

// ---- dashmap with a deadline

pub struct DashmapDeadline<D: Data> {
    map: dashmap::DashMap<D::Key, Timed<D::Value>, Hasher>,
    ttl: Duration,
}

impl<D: Data> Ops<D> for DashmapDeadline<D> {
    #[inline(always)]
    fn get(&self, key: &D::Key) -> Option<u64> {
        let now = coarse_nanos();
        self.map.get(key).and_then(|timed| timed.live(now).map(D::weigh))
    }
    fn insert(&self, key: D::Key, value: D::Value) {
        self.map.insert(key, Timed::new(value, self.ttl));
    }
    fn remove(&self, key: &D::Key) -> bool {
        let now = coarse_nanos();
        self.map.remove(key).is_some_and(|(_, timed)| timed.live(now).is_some())
    }
}

impl<D: Data> Peer<D> for DashmapDeadline<D> {
    const NAME: &'static str = "dashmap + deadline, coarse clock";
    const PACKAGE: &'static str = "dashmap";
    const UPKEEP: Upkeep = Upkeep::ByHand;
    type Held<'a> = &'a Self;

    fn new(ttl: Duration) -> Self {
        DashmapDeadline { map: dashmap::DashMap::with_hasher(hasher()), ttl }
    }
    fn hold(&self) -> Self::Held<'_> {
        self
    }
    fn sweep(&self) {
        let now = coarse_nanos();
        self.map.retain(|_, timed| timed.live(now).is_some());
    }
    fn stored(&self) -> usize {
        self.map.len()
    }
}

// ---- scc, without expiry

pub type Scc<D> = scc::HashMap<<D as Data>::Key, <D as Data>::Value, Hasher>;

impl<D: Data> Ops<D> for Scc<D> {
    #[inline(always)]
    fn get(&self, key: &D::Key) -> Option<u64> {
        self.read_sync(key, |_, value| D::weigh(value))
    }
    fn insert(&self, key: D::Key, value: D::Value) {
        self.upsert_sync(key, value);
    }
    fn remove(&self, key: &D::Key) -> bool {
        self.remove_sync(key).is_some()
    }
}

impl<D: Data> Peer<D> for Scc<D> {
    const NAME: &'static str = "scc HashMap, no TTL";
    const PACKAGE: &'static str = "scc";
    const UPKEEP: Upkeep = Upkeep::NoTtl;
    type Held<'a> = &'a Self;

    fn new(_ttl: Duration) -> Self {
        scc::HashMap::with_hasher(hasher())
    }
    fn hold(&self) -> Self::Held<'_> {
        self
    }
    fn stored(&self) -> usize {
        self.len()
    }
}

// ---- the standard map in a lock, with an instant beside each value

type Standard<D> = HashMap<<D as Data>::Key, (<D as Data>::Value, Instant), Hasher>;

pub struct StdInstant<D: Data> {
    map: RwLock<Standard<D>>,
    ttl: Duration,
}

const UNPOISONED: &str = "nobody panics under the lock";

impl<D: Data> Ops<D> for StdInstant<D> {
    #[inline(always)]
    fn get(&self, key: &D::Key) -> Option<u64> {
        let now = Instant::now();
        let map = self.map.read().expect(UNPOISONED);
        map.get(key).filter(|timed| now < timed.1).map(|timed| D::weigh(&timed.0))
    }
    fn insert(&self, key: D::Key, value: D::Value) {
        let deadline = Instant::now() + self.ttl;
        // The old value is dropped outside the lock.
        let _old = self.map.write().expect(UNPOISONED).insert(key, (value, deadline));
    }
    fn remove(&self, key: &D::Key) -> bool {
        let now = Instant::now();
        let old = self.map.write().expect(UNPOISONED).remove(key);
        old.is_some_and(|timed| now < timed.1)
    }
}

impl<D: Data> Peer<D> for StdInstant<D> {
    const NAME: &'static str = "RwLock<HashMap> + Instant";
    const PACKAGE: &'static str = "std";
    const UPKEEP: Upkeep = Upkeep::ByHand;
    type Held<'a> = &'a Self;

    fn new(ttl: Duration) -> Self {
        StdInstant { map: RwLock::new(HashMap::with_hasher(hasher())), ttl }
    }
    fn hold(&self) -> Self::Held<'_> {
        self
    }
    fn sweep(&self) {
        let now = Instant::now();
        self.map.write().expect(UNPOISONED).retain(|_, timed| now < timed.1);
    }
    fn stored(&self) -> usize {
        self.map.read().expect(UNPOISONED).len()
    }
}
