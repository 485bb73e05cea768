//! papaya, without expiry and with a deadline beside each value.

use std::time::Duration;

use papaya::{HashMap, HashMapRef, LocalGuard};

use super::{Timed, coarse_nanos};
use crate::common::{Data, Hasher, Ops, Peer, Upkeep, Way, hasher};

// ---- without expiry

pub type Papaya<D> = HashMap<<D as Data>::Key, <D as Data>::Value, Hasher>;
type Held<'a, K, V> = HashMapRef<'a, K, V, Hasher, LocalGuard<'a>>;

impl<D: Data> Ops<D> for Papaya<D> {
    #[inline(always)]
    fn get(&self, key: &D::Key) -> Option<u64> {
        self.pin().get(key).map(D::weigh)
    }
    fn insert(&self, key: D::Key, value: D::Value) {
        self.pin().insert(key, value);
    }
    fn remove(&self, key: &D::Key) -> bool {
        self.pin().remove(key).is_some()
    }
}

impl<D: Data> Ops<D> for Held<'_, D::Key, D::Value> {
    #[inline(always)]
    fn get(&self, key: &D::Key) -> Option<u64> {
        self.get(key).map(D::weigh)
    }
    fn insert(&self, key: D::Key, value: D::Value) {
        self.insert(key, value);
    }
    fn remove(&self, key: &D::Key) -> bool {
        self.remove(key).is_some()
    }
}

impl<D: Data> Peer<D> for Papaya<D> {
    const NAME: &'static str = "papaya, no TTL";
    const PACKAGE: &'static str = "papaya";
    const WAYS: &'static [Way] = &[Way::Call, Way::Held];
    const UPKEEP: Upkeep = Upkeep::NoTtl;
    type Held<'a> = Held<'a, D::Key, D::Value>;

    fn new(_ttl: Duration) -> Self {
        HashMap::with_hasher(hasher())
    }
    fn hold(&self) -> Self::Held<'_> {
        self.pin()
    }
    fn stored(&self) -> usize {
        self.len()
    }
}

// ---- with a deadline

pub struct PapayaDeadline<D: Data> {
    map: HashMap<D::Key, Timed<D::Value>, Hasher>,
    ttl: Duration,
}

/// A pin with the time at which it was made, as ours takes one reading a pin.
pub struct HeldDeadline<'a, D: Data> {
    map: Held<'a, D::Key, Timed<D::Value>>,
    ttl: Duration,
    now: u64,
}

impl<D: Data> Ops<D> for PapayaDeadline<D> {
    #[inline(always)]
    fn get(&self, key: &D::Key) -> Option<u64> {
        let now = coarse_nanos();
        self.map.pin().get(key).and_then(|timed| timed.live(now)).map(D::weigh)
    }
    fn insert(&self, key: D::Key, value: D::Value) {
        self.map.pin().insert(key, Timed::new(value, self.ttl));
    }
    fn remove(&self, key: &D::Key) -> bool {
        self.hold().remove(key)
    }
}

impl<D: Data> Ops<D> for HeldDeadline<'_, D> {
    #[inline(always)]
    fn get(&self, key: &D::Key) -> Option<u64> {
        self.map.get(key).and_then(|timed| timed.live(self.now)).map(D::weigh)
    }
    fn insert(&self, key: D::Key, value: D::Value) {
        self.map.insert(key, Timed::new(value, self.ttl));
    }
    fn remove(&self, key: &D::Key) -> bool {
        self.map.remove(key).is_some_and(|timed| timed.live(self.now).is_some())
    }
}

impl<D: Data> Peer<D> for PapayaDeadline<D> {
    const NAME: &'static str = "papaya + deadline, coarse clock";
    const PACKAGE: &'static str = "papaya";
    const WAYS: &'static [Way] = &[Way::Call, Way::Held];
    const UPKEEP: Upkeep = Upkeep::ByHand;
    type Held<'a> = HeldDeadline<'a, D>;

    fn new(ttl: Duration) -> Self {
        PapayaDeadline { map: HashMap::with_hasher(hasher()), ttl }
    }
    fn hold(&self) -> Self::Held<'_> {
        HeldDeadline { map: self.map.pin(), ttl: self.ttl, now: coarse_nanos() }
    }
    fn sweep(&self) {
        let now = coarse_nanos();
        self.map.pin().retain(|_, timed| timed.live(now).is_some());
    }
    fn stored(&self) -> usize {
        self.map.len()
    }
}
