//! The story of a batch of gets: hash all, have their bins fetched, have their entries fetched, answer.
//!
//! A get at random waits for memory twice, for the bin and for the entry. Here the waits of some thirty gets go on at
//! once, as in DLHT (Zhang et al., HPDC'24).

use std::hash::{BuildHasher, Hash};

use equivalent::Equivalent;

use super::{Live, Now, TtlMap};
use crate::entry::Entry;
use crate::garbage::Guard;
use crate::table::Preview;

/// How many are under way at once: more than a processor's ten to sixteen misses, so that none of them waits for a turn.
const AT_ONCE: usize = 32;

impl<K, V, S> TtlMap<K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    /// Gets the live values of keys, in order, and hands each to `each`.
    pub(super) fn find_many<'k, 'g, Q>(
        &'g self,
        keys: impl IntoIterator<Item = &'k Q>,
        now: &Now<'_>,
        guard: &'g Guard,
        mut each: impl FnMut(&'k Q, Option<&'g V>),
    ) where
        Q: Hash + Equivalent<K> + ?Sized + 'k,
    {
        let mut keys = keys.into_iter();
        loop {
            let mut batch: [Option<(&Q, u64)>; AT_ONCE] = [None; AT_ONCE];
            for (place, key) in batch.iter_mut().zip(&mut keys) {
                let hash = self.hash(key);
                self.table.prefetch(hash, guard);
                *place = Some((key, hash));
            }
            let found = || batch.iter().map_while(|place| *place);
            let mut previews: [_; AT_ONCE] = [const { None }; AT_ONCE];
            for (place, (_, hash)) in previews.iter_mut().zip(found()) {
                *place = self.table.preview(hash, guard);
            }
            let mut reads = self.counters.reads();
            for ((key, hash), preview) in found().zip(&previews) {
                let read = match preview.as_ref().and_then(|preview| self.judge_preview(key, preview, now)) {
                    Some((entry, stamp)) => {
                        self.after_read(entry, stamp, hash, now, guard);
                        Ok(entry)
                    }
                    None => self.read_uncounted(key, hash, now, guard),
                };
                each(key, reads.read(read).map(|entry| &entry.value));
            }
            if batch[AT_ONCE - 1].is_none() {
                return;
            }
        }
    }

    /// The entry of a preview if it still stands there, is the key's and surely live; None where one must look closer.
    #[inline]
    fn judge_preview<'g, Q>(&self, key: &Q, preview: &Preview<'g, Entry<K, V>>, now: &Now<'_>) -> Option<Live<'g, K, V>>
    where
        Q: Equivalent<K> + ?Sized,
    {
        let entry = preview.entry().filter(|entry| key.equivalent(&entry.key))?;
        let stamp = entry.stamp();
        now.is_surely_live(stamp).then_some((entry, stamp))
    }
}
