//! The lives that a map may have.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use ttlwheel::{Reaper, TtlMap};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

/// Who sweeps the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Nobody: a map needs no thread
    None,
    /// One reaper watches all maps
    Shared,
    /// Each map has a reaper, whose guard is dropped
    Dropped,
    /// Each map has a reaper, whose guard is forgotten
    Forgotten,
}

impl Mode {
    pub const ALL: [Mode; 4] = [Mode::None, Mode::Shared, Mode::Dropped, Mode::Forgotten];

    pub fn name(self) -> &'static str {
        match self {
            Mode::None => "no reaper",
            Mode::Shared => "one shared reaper",
            Mode::Dropped => "a reaper a map, dropped",
            Mode::Forgotten => "a reaper a map, forgotten",
        }
    }

    /// The reaper that all maps of the mode share.
    pub fn shared(self) -> io::Result<Option<Reaper>> {
        match self {
            Mode::Shared => Reaper::builder().name("leak-shared").spawn().map(Some),
            _ => Ok(None),
        }
    }

    /// One map's whole life.
    pub fn live(self, shared: Option<&Reaper>, n: u64) -> io::Result<()> {
        let map = TtlMap::new(FIVE_MINUTES);
        if self == Mode::None {
            return use_once(&map, n);
        }
        let map = Arc::new(map);
        let own = match shared {
            Some(reaper) => {
                reaper.watch(&map)?;
                None
            }
            None => Some(map.spawn_reaper()?),
        };
        use_once(&map, n)?;
        drop(map);
        match self {
            Mode::Forgotten => mem::forget(own),
            _ => drop(own),
        }
        Ok(())
    }
}

fn use_once(map: &TtlMap<u64, u64>, n: u64) -> io::Result<()> {
    map.insert(n, n);
    match map.get_cloned(&n) {
        Some(value) if value == n => Ok(()),
        other => Err(io::Error::other(format!("{n} was inserted and reads as {other:?}"))),
    }
}

/// The same life in papaya, which has no expiry, and in moka.
pub fn live_in_papaya(n: u64) {
    let map = papaya::HashMap::new();
    map.pin().insert(n, n);
    assert_eq!(map.pin().get(&n), Some(&n));
}

pub fn live_in_moka(n: u64) {
    let cache = moka::sync::Cache::builder().time_to_live(FIVE_MINUTES).build();
    cache.insert(n, n);
    assert_eq!(cache.get(&n), Some(n));
}
