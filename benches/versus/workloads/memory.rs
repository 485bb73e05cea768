//! Bytes an entry.

use super::alone::{Alone, ask};
use super::{Figure, Rounds, Sizes, Unit, Workload};
use crate::common::{Data, Entry, keys};
use crate::heap::{Counting, keep, mapped, resident};

const BYTES: &[Figure] = &[
    Figure { name: "asked", unit: Unit::Bytes },
    Figure { name: "taken", unit: Unit::Bytes },
    Figure { name: "resident", unit: Unit::Bytes },
];

impl<D: Data> Workload<D> {
    pub const BYTES: Self = Workload {
        name: "bytes an entry",
        about: "after growing from empty: as asked from the allocator (or the system), as glibc's chunks (8 bytes more, \
                then a multiple of 16, at least 32), and as resident pages of a process that does nothing else",
        figures: BYTES,
        entries: Sizes::Any(&[10_000, 1_000_000], &[10_000, 1_000_000]),
        threads: &[1],
        texts: true,
        rounds: Rounds::One,
        keys: |_| Vec::new(),
        round: |seat, case, _| ask(seat, case, Alone::Grow),
        ..Self::GROW
    };
}

/// Grows a peer's map in this process, which has made none before.
pub fn grow<D: Data>(entry: Entry<D>, entries: usize) -> Vec<f64> {
    let keys = keys::<D>(0..entries);
    keep();
    let (before, mapped_before) = (resident(), mapped());
    Counting::start();
    let map = entry.empty();
    map.insert(&keys, 0);
    map.settle();
    Counting::stop();
    let (bytes, resident, mapped) = (Counting::now(), resident() - before, mapped() - mapped_before);
    assert_eq!(map.stored(), entries, "{}", entry.name);
    [bytes.asked + mapped, bytes.taken + mapped, resident].map(|bytes| bytes / entries as f64).to_vec()
}
