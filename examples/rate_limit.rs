//! A rate limiter by IP address: a bucket of tokens for each client, in a map that forgets who is gone.
//!
//!     cargo run --release --example rate_limit
//!
//! A bucket that nobody asked for so long that it is full again is worth no memory: an address without an entry has a full
//! bucket, too. So the time to live is the time in which an empty bucket fills, and expiry changes no answer.

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::{Duration, Instant};

use ttlwheel::{Clock, ManualClock, TtlMap};

/// How many requests may come at once.
const BURST: u32 = 10;
/// The time in which one more is earned.
const EARNED_IN: Duration = Duration::from_millis(100);

#[derive(Clone, Copy)]
struct Bucket {
    /// When the bucket is full again, if nobody asks until then.
    full_at: Instant,
    /// The answer to the request that made this bucket of the last one.
    admitted: bool,
}

struct Limiter {
    buckets: TtlMap<IpAddr, Bucket>,
}

impl Limiter {
    fn new(clock: impl Into<Clock>) -> Self {
        Limiter { buckets: TtlMap::builder().time_to_live(EARNED_IN * BURST).clock(clock).build() }
    }

    /// Says whether a request may pass. One atomic step for one address; others are not held up.
    fn admits(&self, client: IpAddr) -> bool {
        let now = self.buckets.clock().now();
        // Neither closure does anything but compute, so that either may run again.
        let take = |bucket: &Bucket| {
            let full_at = bucket.full_at.max(now) + EARNED_IN;
            let admitted = full_at <= now + EARNED_IN * BURST;
            Bucket { full_at: if admitted { full_at } else { bucket.full_at }, admitted }
        };
        let first = || Bucket { full_at: now + EARNED_IN, admitted: true };
        self.buckets.update_or_insert_with(client, take, first).admitted
    }
}

fn main() {
    let clock = ManualClock::new();
    let limiter = Limiter::new(&clock);
    let [alice, bob] = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));

    // Four connections of one client, at once: they share its bucket.
    let connection = || (0..25).filter(|_| limiter.admits(alice)).count();
    let admitted: usize = thread::scope(|scope| {
        let connections: Vec<_> = (0..4).map(|_| scope.spawn(connection)).collect();
        connections.into_iter().map(|connection| connection.join().expect("no connection fails")).sum()
    });
    println!("of 100 requests at once {admitted} passed");
    assert_eq!(admitted, BURST as usize);
    assert!(limiter.admits(bob), "another client has a bucket of its own");

    // Three tokens later.
    clock.advance(EARNED_IN * 3);
    let admitted = (0..10).filter(|_| limiter.admits(alice)).count();
    println!("of 10 requests after {:?} {admitted} passed", EARNED_IN * 3);
    assert_eq!(admitted, 3);
    let admitted = (0..100).filter(|_| limiter.admits(bob)).count();
    assert_eq!(admitted, BURST as usize, "a full bucket earns nothing");

    // Who has been away has a full bucket again, and costs nothing meanwhile.
    clock.advance(EARNED_IN * BURST);
    limiter.buckets.purge_expired(usize::MAX);
    assert_eq!(limiter.buckets.stored_len(), 0);
    let admitted = (0..100).filter(|_| limiter.admits(alice)).count();
    println!("of 100 requests after a long while {admitted} passed");
    assert_eq!(admitted, BURST as usize);
}
