//! What the map holds for each format: blocks by number, cache items by name.

use std::hash::Hash;

use equivalent::Equivalent;

/// A trace's key: how it is looked up and what the map stores for it.
pub trait Key: Copy + Hash + Send + Sync {
    type Query: Hash + Equivalent<Self::Stored> + ?Sized;
    type Stored: Hash + Eq + Send + Sync + 'static;
    type Payload: Send + Sync + 'static;

    fn query(&self) -> &Self::Query;
    fn to_stored(self) -> Self::Stored;
    fn payload(size: u32) -> Self::Payload;
}

/// A block number. The blocks themselves would be gigabytes; the size stands for them.
impl Key for u64 {
    type Query = u64;
    type Stored = u64;
    type Payload = u32;

    fn query(&self) -> &u64 {
        self
    }
    fn to_stored(self) -> u64 {
        self
    }
    fn payload(size: u32) -> u32 {
        size
    }
}

/// A cache key, with values of their real size.
impl Key for &str {
    type Query = str;
    type Stored = Box<str>;
    type Payload = Box<[u8]>;

    fn query(&self) -> &str {
        self
    }
    fn to_stored(self) -> Box<str> {
        self.into()
    }
    fn payload(size: u32) -> Box<[u8]> {
        vec![0; size as usize].into()
    }
}
