//! ttlwheel, with its default clock.

use std::time::Duration;

use ttlwheel::{Pinned, TtlMap};

use crate::common::{Data, Hasher, Ops, Peer, Tally, Upkeep, Way, hasher};

pub type Ours<D> = TtlMap<<D as Data>::Key, <D as Data>::Value, Hasher>;
type Held<'a, D> = Pinned<'a, <D as Data>::Key, <D as Data>::Value, Hasher>;

impl<D: Data> Ops<D> for Ours<D> {
    #[inline(always)]
    fn get(&self, key: &D::Key) -> Option<u64> {
        self.read(key, D::weigh)
    }
    fn insert(&self, key: D::Key, value: D::Value) {
        drop(TtlMap::insert(self, key, value));
    }
    fn remove(&self, key: &D::Key) -> bool {
        TtlMap::remove(self, key).is_some()
    }
}

impl<D: Data> Ops<D> for Held<'_, D> {
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

impl<D: Data> Peer<D> for Ours<D> {
    const NAME: &'static str = "ttlwheel";
    const PACKAGE: &'static str = "ttlwheel";
    const WAYS: &'static [Way] = &[Way::Call, Way::PinEach, Way::Held, Way::Many];
    const UPKEEP: Upkeep = Upkeep::Itself;
    type Held<'a> = Held<'a, D>;

    fn new(ttl: Duration) -> Self {
        TtlMap::with_hasher(ttl, hasher())
    }
    fn hold(&self) -> Self::Held<'_> {
        self.pin()
    }
    #[inline(always)]
    fn get_by_pin(&self, key: &D::Key) -> Option<u64> {
        self.pin().get(key).map(D::weigh)
    }
    fn get_many(&self, keys: &[D::Key]) -> Tally {
        let (pinned, mut tally) = (self.pin(), Tally::default());
        for keys in keys.chunks(32) {
            pinned.get_many(keys, |_, value| tally.add(value.map(D::weigh)));
        }
        tally
    }
    fn sweep(&self) {
        while self.purge_expired(1_000).more {}
    }
    fn stored(&self) -> usize {
        self.stored_len()
    }
}
