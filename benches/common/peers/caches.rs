//! Caches: moka and mini-moka with a time to live, quick_cache, which has none, all without a bound that matters.

use std::time::Duration;

use mini_moka::sync::ConcurrentCacheExt as _;
use quick_cache::UnitWeighter;
use quick_cache::sync::DefaultLifecycle;

use crate::common::{Data, Hasher, Ops, Peer, Upkeep, hasher};

// ---- moka

pub type Moka<D> = moka::sync::Cache<<D as Data>::Key, <D as Data>::Value, Hasher>;

impl<D: Data> Ops<D> for Moka<D> {
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

impl<D: Data> Peer<D> for Moka<D> {
    const NAME: &'static str = "moka + TTL";
    const PACKAGE: &'static str = "moka";
    const UPKEEP: Upkeep = Upkeep::Itself;
    type Held<'a> = &'a Self;

    fn new(ttl: Duration) -> Self {
        moka::sync::Cache::builder().time_to_live(ttl).build_with_hasher(hasher())
    }
    fn hold(&self) -> Self::Held<'_> {
        self
    }
    fn settle(&self) {
        self.run_pending_tasks();
    }
    fn sweep(&self) {
        while {
            let before = self.entry_count();
            self.run_pending_tasks();
            self.entry_count() != before
        } {}
    }
    fn stored(&self) -> usize {
        self.entry_count() as usize
    }
}

// ---- mini-moka

pub type MiniMoka<D> = mini_moka::sync::Cache<<D as Data>::Key, <D as Data>::Value, Hasher>;

impl<D: Data> Ops<D> for MiniMoka<D> {
    #[inline(always)]
    fn get(&self, key: &D::Key) -> Option<u64> {
        self.get(key).map(|value| D::weigh(&value))
    }
    fn insert(&self, key: D::Key, value: D::Value) {
        self.insert(key, value);
    }
    fn remove(&self, key: &D::Key) -> bool {
        // It does not tell.
        let there = self.contains_key(key);
        self.invalidate(key);
        there
    }
}

impl<D: Data> Peer<D> for MiniMoka<D> {
    const NAME: &'static str = "mini-moka + TTL";
    const PACKAGE: &'static str = "mini-moka";
    const UPKEEP: Upkeep = Upkeep::Itself;
    type Held<'a> = &'a Self;

    fn new(ttl: Duration) -> Self {
        mini_moka::sync::Cache::builder().time_to_live(ttl).build_with_hasher(hasher())
    }
    fn hold(&self) -> Self::Held<'_> {
        self
    }
    fn settle(&self) {
        self.sync();
    }
    fn sweep(&self) {
        while {
            let before = self.entry_count();
            self.sync();
            self.entry_count() != before
        } {}
    }
    fn stored(&self) -> usize {
        self.entry_count() as usize
    }
}

// ---- quick_cache

pub type QuickCache<D> = quick_cache::sync::Cache<<D as Data>::Key, <D as Data>::Value, UnitWeighter, Hasher>;

/// Far above what any bench inserts: nothing is evicted.
const CAPACITY: u64 = 1 << 32;

impl<D: Data> Ops<D> for QuickCache<D> {
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

impl<D: Data> Peer<D> for QuickCache<D> {
    const NAME: &'static str = "quick_cache, no TTL";
    const PACKAGE: &'static str = "quick_cache";
    const UPKEEP: Upkeep = Upkeep::NoTtl;
    type Held<'a> = &'a Self;

    fn new(_ttl: Duration) -> Self {
        quick_cache::sync::Cache::with(0, CAPACITY, UnitWeighter, hasher(), DefaultLifecycle::default())
    }
    fn hold(&self) -> Self::Held<'_> {
        self
    }
    fn stored(&self) -> usize {
        self.len()
    }
}
