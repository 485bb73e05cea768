//! The maps: ours first, then the others. A new one is a block in one of the files and a line in [`all`].

mod caches;
mod locked;
mod ours;
mod papaya;

use std::time::Duration;

use super::{Data, Entry};

/// Every peer; ours first.
pub fn all<D: Data>() -> Vec<Entry<D>> {
    vec![
        Entry::of::<ours::Ours<D>>(),
        Entry::of::<papaya::Papaya<D>>(),
        Entry::of::<papaya::PapayaDeadline<D>>(),
        Entry::of::<locked::Dashmap<D>>(),
        Entry::of::<locked::DashmapDeadline<D>>(),
        Entry::of::<locked::Scc<D>>(),
        Entry::of::<locked::StdInstant<D>>(),
        Entry::of::<caches::Moka<D>>(),
        Entry::of::<caches::MiniMoka<D>>(),
        Entry::of::<caches::QuickCache<D>>(),
    ]
}

/// A value with a deadline beside it, judged by the coarse clock: what a user would write around a map without expiry.
/// Milliseconds late, where ours is exact.
pub struct Timed<V> {
    value: V,
    /// Nanoseconds of the coarse clock.
    deadline: u64,
}

impl<V> Timed<V> {
    #[inline]
    fn live(&self, now: u64) -> Option<&V> {
        (now < self.deadline).then_some(&self.value)
    }

    fn new(value: V, ttl: Duration) -> Self {
        let deadline = coarse_nanos().saturating_add(ttl.as_nanos() as u64);
        Timed { value, deadline }
    }
}

/// The coarse monotonic clock.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn coarse_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The exact clock, where there is no coarse one.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn coarse_nanos() -> u64 {
    static ORIGIN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    ORIGIN.elapsed().as_nanos() as u64
}
