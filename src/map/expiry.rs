//! Times to live that are made per entry: by a policy of the user's, and by chance.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use super::mix;
use crate::clock::{Reading, saturating_nanos};

/// Says how long each entry of a map lives; see [`Builder::expiry`](crate::Builder::expiry).
///
/// A time to live of None is for ever; zero is over at once. A closure from key and value to a time is a policy, too.
///
/// The map asks while it holds no lock, so a policy may use it; one that reads the map in
/// [`after_read`](Expiry::after_read) is asked for that read as well. It may be asked more often than there are entries:
/// about a value that is not inserted in the end, or once more if another thread was first; the answer for what is done in
/// the end counts. If it panics, the caller gets the panic, and nothing was done.
///
/// ```
/// use std::time::Duration;
/// use ttlwheel::{AfterRead, Expiry, ManualClock, TtlMap};
///
/// /// Guests are gone after ten minutes; whoever is logged in, after an hour without a request.
/// struct Sessions;
///
/// impl Expiry<String, Option<u32>> for Sessions {
///     fn after_create(&self, _: &String, user: &Option<u32>) -> Option<Duration> {
///         Some(Duration::from_secs(if user.is_some() { 3600 } else { 600 }))
///     }
///
///     fn after_read(&self, key: &String, user: &Option<u32>, _: Option<Duration>) -> AfterRead {
///         if user.is_some() { AfterRead::Set(self.after_create(key, user)) } else { AfterRead::Keep }
///     }
/// }
///
/// let clock = ManualClock::new();
/// let map = TtlMap::builder().expiry(Sessions).clock(&clock).build();
/// map.insert("guest".to_string(), None);
/// map.insert("alice".to_string(), Some(1));
/// clock.advance(Duration::from_secs(600));
/// assert!(map.get("guest").is_none());
/// assert!(map.get("alice").is_some());
/// assert_eq!(map.ttl("alice"), Some(Duration::from_secs(3600)));
/// ```
pub trait Expiry<K, V>: Send + Sync {
    /// The time to live of a value whose key has no live one, from its insert on.
    fn after_create(&self, key: &K, value: &V) -> Option<Duration>;

    /// The time to live of a value that takes the place of a live one, which would have lived for `remaining`; also that of
    /// a value that is touched. As for a new one, unless you say otherwise.
    fn after_update(&self, key: &K, value: &V, remaining: Option<Duration>) -> Option<Duration> {
        let _ = remaining;
        self.after_create(key, value)
    }

    /// What becomes of the time to live of a value that is read, and would live for `remaining` (by the map's clock as the
    /// read has seen it, which may lag by the system's timer tick). It stays, unless you say otherwise.
    ///
    /// Asked at each read that would count for an [idle time](crate::Builder::time_to_idle). An entry that was inserted with a
    /// time of its own keeps that, whatever the answer.
    fn after_read(&self, key: &K, value: &V, remaining: Option<Duration>) -> AfterRead {
        let _ = (key, value, remaining);
        AfterRead::Keep
    }
}

impl<K, V, F> Expiry<K, V> for F
where
    F: Fn(&K, &V) -> Option<Duration> + Send + Sync,
{
    fn after_create(&self, key: &K, value: &V) -> Option<Duration> {
        self(key, value)
    }
}

/// What a read does to a time to live; see [`Expiry::after_read`].
///
/// ```
/// use std::time::Duration;
/// use ttlwheel::AfterRead;
///
/// assert_ne!(AfterRead::Keep, AfterRead::Set(Some(Duration::ZERO)));
/// assert_eq!(AfterRead::default(), AfterRead::Keep);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterRead {
    /// The entry's deadline stays.
    #[default]
    Keep,
    /// The entry lives for this time from the read on; None is for ever. Changes of less than a sixteenth of the time are
    /// not made, so that a hot key isn't written at each read. Zero ends it a nanosecond after the read.
    Set(Option<Duration>),
}

/// A policy, as builders and maps hold it.
pub(super) struct Policy<K, V>(Arc<dyn Expiry<K, V>>);

impl<K, V> Policy<K, V> {
    pub(super) fn new(policy: impl Expiry<K, V> + 'static) -> Self {
        Policy(Arc::new(policy))
    }

    /// The time to live of a value, in place of a live one that would have lived for `remaining`, or of none.
    pub(super) fn of_new(&self, key: &K, value: &V, replaces: Option<Option<Duration>>) -> Option<Duration> {
        match replaces {
            None => self.0.after_create(key, value),
            Some(remaining) => self.0.after_update(key, value, remaining),
        }
    }

    pub(super) fn after_read(&self, key: &K, value: &V, remaining: Option<Duration>) -> AfterRead {
        self.0.after_read(key, value, remaining)
    }
}

// A panic of the policy's leaves the map as it was.
impl<K, V> UnwindSafe for Policy<K, V> {}
impl<K, V> RefUnwindSafe for Policy<K, V> {}

impl<K, V> Clone for Policy<K, V> {
    fn clone(&self) -> Self {
        Policy(Arc::clone(&self.0))
    }
}

impl<K, V> fmt::Debug for Policy<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policy")
    }
}

/// By how much times to live are shortened at most: a share from 0 to 1.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Jitter(f64);

impl Jitter {
    pub(super) fn new(share: f64) -> Self {
        // What is no number is no jitter.
        Jitter(if share > 0.0 { share.min(1.0) } else { 0.0 })
    }

    /// Shortens a time by a random part of the share; what decides is the key's hash, and the time.
    #[inline]
    pub(super) fn shorten(self, ttl: Duration, hash: u64, reading: Reading) -> Duration {
        if self.0 > 0.0 { self.shorten_by_chance(ttl, hash, reading) } else { ttl }
    }

    #[cold]
    fn shorten_by_chance(self, ttl: Duration, hash: u64, reading: Reading) -> Duration {
        let chance = mix(hash ^ mix(reading.floor())) >> 32;
        let part = self.0 * (chance as f64 / f64::from(u32::MAX));
        let nanos = saturating_nanos(ttl);
        // Never longer, whatever the rounding.
        Duration::from_nanos(nanos.saturating_sub((nanos as f64 * part) as u64))
    }
}
