//! Snapshots: what is live, with what is left of its time to live, in any format of serde.
//!
//! Time to live is kept as what was left on the map's clock when the snapshot was made, and the wall clock tells how much
//! of it was spent since: nothing else goes on while no process runs. Loading reads all first, checks it, then inserts.

mod seal;

use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::time::{Duration, SystemTime};

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

use super::iter::Entries;
use super::{Lifetime, Pinned, TtlMap};
use crate::clock::{EXPIRED, NEVER, Reading, Verdict, saturating_nanos};
use seal::{crc, open, sealed};

/// Counts up when what is written changes.
const FORMAT: u32 = 1;

/// The entries of a map that were live at one instant, with what was left of their times to live.
///
/// [`Pinned::snapshot`] makes one of references; with the feature `serde` it implements `Serialize`, and a snapshot of owned
/// keys and values `Deserialize`, for any format. Most callers want [`TtlMap::save_snapshot`] and
/// [`TtlMap::load_snapshot`], which also notice whatever was altered.
///
/// # What is noticed
///
/// Deserializing by itself notices what the format does (one that is cut short, as a rule), a changed number of entries, and
/// any change of the time of saving or of the times to live, by a checksum. It does not notice that a key or a value was
/// altered to another that the format takes.
///
/// ```
/// use std::time::Duration;
/// use ttlwheel::{ManualClock, Snapshot, TtlMap};
///
/// let map = TtlMap::builder().time_to_live(Duration::from_secs(60)).clock(ManualClock::new()).build();
/// map.insert("a".to_string(), 1);
/// let json = serde_json::to_string(&map.pin().snapshot())?;
///
/// let snapshot: Snapshot<String, u32> = serde_json::from_str(&json)?;
/// let later = snapshot.saved_at() + Duration::from_secs(20);
/// let loaded = TtlMap::builder().clock(ManualClock::new()).build();
/// assert_eq!(snapshot.load_into_at(&loaded, later), 1);
/// assert_eq!(loaded.ttl("a"), Some(Duration::from_secs(40)));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub struct Snapshot<K, V> {
    /// Nanoseconds since 1970; at least 0 and at most 584 years.
    saved_at: u64,
    /// With the nanoseconds that were left to live, or [`NEVER`].
    entries: Vec<(K, V, u64)>,
}

impl<K, V> Snapshot<K, V> {
    /// When the snapshot was made, by the wall clock.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<u32, u32> = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert!(map.pin().snapshot().saved_at() > std::time::SystemTime::UNIX_EPOCH);
    /// ```
    pub fn saved_at(&self) -> SystemTime {
        let since = Duration::from_nanos(self.saved_at);
        SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// How many entries there are, those that have lapsed since it was made among them.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert_eq!(map.pin().snapshot().len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Says whether no entry was live.
    ///
    /// ```
    /// let map: ttlwheel::TtlMap<u32, u32> = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// assert!(map.pin().snapshot().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Inserts the entries that are still live into a map, and returns how many there were.
    ///
    /// What was left of an entry's time to live is less by the time since the snapshot was made, by the wall clock
    /// ([`SystemTime`]); if that went back, by nothing. What lapsed on the way is dropped. An entry is inserted as by
    /// [`insert_at`](TtlMap::insert_at): it replaces what stands under its key, and each insert is linearizable, but not all
    /// of them together. A panic in `Hash`, `Eq` or `Drop` of yours leaves in the map what was inserted so far.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{Snapshot, TtlMap};
    ///
    /// let map = TtlMap::new(Duration::from_secs(60));
    /// map.insert("a".to_string(), 1);
    /// map.insert_forever("b".to_string(), 2);
    /// let snapshot: Snapshot<String, u32> = serde_json::from_str(&serde_json::to_string(&map.pin().snapshot())?)?;
    ///
    /// let loaded = TtlMap::new(Duration::from_secs(5));
    /// assert_eq!(snapshot.load_into(&loaded), 2);
    /// assert!(loaded.ttl("a").unwrap() <= Duration::from_secs(60));
    /// assert_eq!(loaded.ttl("b"), Some(Duration::MAX));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn load_into<S>(self, map: &TtlMap<K, V, S>) -> usize
    where
        K: Hash + Eq,
        S: BuildHasher,
    {
        // The map's clock first: no entry lives longer than it would have, wherever this thread is stopped.
        let reading = map.clock.read_exact();
        self.insert_all(map, reading, SystemTime::now())
    }

    /// The same as if it were `now` by the wall clock; for tests, and for who keeps time another way.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{Snapshot, TtlMap};
    ///
    /// let map = TtlMap::new(Duration::from_secs(60));
    /// map.insert(1, 1);
    /// let snapshot: Snapshot<u32, u32> = serde_json::from_str(&serde_json::to_string(&map.pin().snapshot())?)?;
    /// let now = snapshot.saved_at() + Duration::from_secs(60);
    /// assert_eq!(snapshot.load_into_at(&map, now), 0, "lapsed on the way");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn load_into_at<S>(self, map: &TtlMap<K, V, S>, now: SystemTime) -> usize
    where
        K: Hash + Eq,
        S: BuildHasher,
    {
        let reading = map.clock.read_exact();
        self.insert_all(map, reading, now)
    }

    fn insert_all<S>(self, map: &TtlMap<K, V, S>, reading: Reading, now: SystemTime) -> usize
    where
        K: Hash + Eq,
        S: BuildHasher,
    {
        let spent = now.duration_since(self.saved_at()).map_or(0, saturating_nanos);
        let mut inserted = 0;
        for (key, value, left) in self.entries {
            let deadline = deadline(left, spent, reading);
            if deadline != EXPIRED {
                // A pin each: one for all would hold up what they replace.
                drop(map.put_ref(key, value, Lifetime::Until(deadline)));
                inserted += 1;
            }
        }
        inserted
    }

    /// Over all but keys and values.
    fn check(&self) -> u64 {
        let head = [self.entries.len() as u64, self.saved_at].into_iter();
        crc(head.chain(self.entries.iter().map(|entry| entry.2)).flat_map(u64::to_le_bytes))
    }
}

/// When an entry expires that had so much left, and has spent some.
fn deadline(left: u64, spent: u64, reading: Reading) -> u64 {
    match left {
        NEVER => NEVER,
        left if left <= spent => EXPIRED,
        left => reading.deadline_after(Duration::from_nanos(left - spent)),
    }
}

fn wall_nanos() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, saturating_nanos)
}

impl<K, V> fmt::Debug for Snapshot<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Snapshot");
        shown.field("saved_at", &self.saved_at()).field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<K: Serialize, V: Serialize> Serialize for Snapshot<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (FORMAT, self.saved_at, &self.entries, self.check()).serialize(serializer)
    }
}

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Snapshot<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (format, saved_at, entries, check): (u32, u64, Vec<(K, V, u64)>, u64) =
            Deserialize::deserialize(deserializer)?;
        let snapshot = Snapshot { saved_at, entries };
        if format != FORMAT {
            Err(D::Error::custom(format_args!("a snapshot of format {format}, not {FORMAT}")))
        } else if check != snapshot.check() {
            Err(D::Error::custom("the snapshot was altered"))
        } else {
            Ok(snapshot)
        }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Pinned<'_, K, V, S> {
    /// Takes a snapshot of the entries that are live now, as of one instant: that of this call.
    ///
    /// It holds nobody up. Each entry that is there all the time is in it exactly once; see [`iter`](Pinned::iter) for those
    /// that come and go meanwhile. Keys and values are referred to, not cloned, so it lasts no longer than the pin.
    ///
    /// # Complexity
    ///
    /// In proportion to the table, and some 24 bytes an entry while it lasts.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// map.insert_with_ttl("b", 2, std::time::Duration::ZERO);
    /// let pinned = map.pin();
    /// assert_eq!(pinned.snapshot().len(), 1);
    /// ```
    pub fn snapshot(&self) -> Snapshot<&K, &V> {
        // The wall clock first, as no entry is to live longer than it would have.
        let saved_at = wall_nanos();
        let now = self.map.clock.read_exact();
        let live = Entries::new(self.map, &self.guard).filter_map(|found| {
            let entry = found.entry();
            let deadline = entry.deadline();
            let left = if deadline == NEVER { NEVER } else { deadline.saturating_sub(now.floor()) };
            (now.judge(deadline) == Verdict::Live).then_some((&entry.key, &entry.value, left))
        });
        Snapshot { saved_at, entries: live.collect() }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> TtlMap<K, V, S> {
    /// Writes what is live, with what is left of its time to live, in the format of `write`, and seals the bytes.
    ///
    /// It stops nobody, and is as of one instant, like [`Pinned::snapshot`]. The seal is 16 bytes at the end, by which
    /// [`load_snapshot`](TtlMap::load_snapshot) notices what was altered.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    ///
    /// # Complexity
    ///
    /// In proportion to the table and what is written. While it lasts the thread is pinned; see [`Pinned`] for what that costs.
    ///
    /// ```
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a".to_string(), 1);
    /// let bytes = map.save_snapshot(|snapshot| serde_json::to_vec(snapshot))?;
    /// assert!(bytes.len() > 16);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn save_snapshot<E>(&self, write: impl FnOnce(&Snapshot<&K, &V>) -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
        write(&self.pin().snapshot()).map(sealed)
    }

    /// Reads what [`save_snapshot`](TtlMap::save_snapshot) wrote, by `read`, and inserts what is still live; returns how many
    /// entries that were.
    ///
    /// All is read and checked before anything is inserted, which is done as by [`Snapshot::load_into`]: time spent on disk
    /// counts, and what lapsed on the way is dropped. What the map holds under other keys stays.
    ///
    /// # Errors
    ///
    /// Then the map is as it was. [`LoadError::Altered`] if a part is missing or was changed: always for a burst of up
    /// to 64 bits, else but for one chance in 2^64 (a CRC; it is no defence from who alters on purpose). [`LoadError::Format`]
    /// if `read` fails: another format, other types.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ttlwheel::{LoadError, TtlMap};
    ///
    /// let map = TtlMap::new(Duration::from_secs(60));
    /// map.insert("a".to_string(), 1);
    /// let mut bytes = map.save_snapshot(|snapshot| serde_json::to_vec(snapshot))?;
    ///
    /// let loaded: TtlMap<String, u32> = TtlMap::new(Duration::from_secs(5));
    /// assert_eq!(loaded.load_snapshot(&bytes, serde_json::from_slice)?, 1);
    /// assert_eq!(loaded.get_cloned("a"), Some(1));
    ///
    /// bytes[4] ^= 1;
    /// let failed = loaded.load_snapshot(&bytes, serde_json::from_slice);
    /// assert!(matches!(failed, Err(LoadError::Altered)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load_snapshot<'b, E>(
        &self,
        bytes: &'b [u8],
        read: impl FnOnce(&'b [u8]) -> Result<Snapshot<K, V>, E>,
    ) -> Result<usize, LoadError<E>> {
        let snapshot = read(open(bytes).ok_or(LoadError::Altered)?).map_err(LoadError::Format)?;
        Ok(snapshot.load_into(self))
    }
}

/// Why a snapshot was not loaded; the map is as it was.
///
/// ```
/// use ttlwheel::{LoadError, TtlMap};
///
/// let map: TtlMap<u32, u32> = TtlMap::new(std::time::Duration::from_secs(60));
/// let failed = map.load_snapshot(b"[]", serde_json::from_slice);
/// assert_eq!(failed.unwrap_err().to_string(), "the snapshot is not whole, or was altered");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError<E> {
    /// A part is missing, or was changed.
    Altered,
    /// The format could not be read.
    Format(E),
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Altered => f.write_str("the snapshot is not whole, or was altered"),
            LoadError::Format(error) => write!(f, "the snapshot can't be read: {error}"),
        }
    }
}

impl<E: Error + 'static> Error for LoadError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            LoadError::Altered => None,
            LoadError::Format(error) => Some(error),
        }
    }
}
