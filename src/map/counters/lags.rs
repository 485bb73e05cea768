//! How late things were, as a histogram: the numbers below eight one by one, and above them eight ranges to each power of
//! two, so that the end of a range is less than an eighth beyond what is in it.
//!
//! Fixed in size, as it is written to by whoever comes: HdrHistogram's recorder (the shape is its) wants a lock, or a
//! histogram a thread.

use std::sync::atomic::Ordering::Relaxed;

use crate::sync::Count;

/// Ranges to a power of two, and how many bits tell them apart.
const RANGES: usize = 1 << RANGE_BITS;
const RANGE_BITS: u32 = 3;

/// For the whole of `u64`.
const BUCKETS: usize = (65 - RANGE_BITS as usize) * RANGES;

pub(in crate::map) struct Lags {
    buckets: Box<[Count; BUCKETS]>,
    max: Count,
}

impl Default for Lags {
    fn default() -> Self {
        Lags { buckets: Box::new([const { Count::new(0) }; BUCKETS]), max: Count::new(0) }
    }
}

// Relaxed, all: statistics.
impl Lags {
    pub(in crate::map) fn record(&self, lag: u64) {
        self.buckets[bucket(lag)].fetch_add(1, Relaxed);
        // A line that all share is written only by what beats all.
        if self.max.load(Relaxed) < lag {
            self.max.fetch_max(lag, Relaxed);
        }
    }

    pub(in crate::map) fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// The lag that so many percent, rounded up to a number of lags, don't exceed; late by less than an eighth.
    pub(in crate::map) fn percentiles<const N: usize>(&self, percents: [u64; N]) -> [u64; N] {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let all: u128 = counts.iter().map(|&count| u128::from(count)).sum();
        percents.map(|percent| {
            let rank = (all * u128::from(percent)).div_ceil(100).max(1);
            let mut seen = 0;
            let reached = counts.iter().position(|&count| {
                seen += u128::from(count);
                seen >= rank
            });
            reached.map_or(0, |n| end(n).min(self.max()))
        })
    }
}

/// The range that a number is in.
fn bucket(n: u64) -> usize {
    match n.checked_ilog2().and_then(|log| log.checked_sub(RANGE_BITS)) {
        // The leading one, which `shift` counts, is cut off.
        Some(shift) => (shift as usize + 1) * RANGES + ((n >> shift) as usize - RANGES),
        None => n as usize,
    }
}

/// The last number of a range.
fn end(bucket: usize) -> u64 {
    match (bucket / RANGES).checked_sub(1) {
        Some(shift) => {
            let first = ((RANGES + bucket % RANGES) as u64) << shift;
            first + ((1 << shift) - 1)
        }
        None => bucket as u64,
    }
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_each_other_and_are_an_eighth_wide_at_most() {
        let mut first = 0;
        for n in 0..BUCKETS {
            let last = end(n);
            assert_eq!((bucket(first), bucket(last)), (n, n));
            assert!(last - first <= first / 8, "{first}..={last}");
            first = last.wrapping_add(1);
        }
        assert_eq!(first, 0, "the last range ends with u64");
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_list_within_an_eighth() {
        let lags = Lags::default();
        assert_eq!((lags.percentiles([50, 99]), lags.max()), ([0, 0], 0));
        let mut list = Vec::new();
        for n in 0..1_000u64 {
            let lag = n * n * n % 7_919 * (n % 11);
            lags.record(lag);
            list.push(lag);
            list.sort_unstable();
            let rank = |percent: usize| list[(list.len() * percent).div_ceil(100).max(1) - 1];
            for percent in [0, 1, 50, 90, 99, 100] {
                let ([told], exact) = (lags.percentiles([percent as u64]), rank(percent));
                assert!((exact..=exact + exact / 8).contains(&told), "{percent} %: {told}, not {exact}");
            }
            assert_eq!(lags.max(), list[list.len() - 1]);
        }
    }
}
