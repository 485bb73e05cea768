//! A bin's header: the state of each slot, three flags and a version, in one word that arbitrates new keys.
//!
//! ```text
//!  63                    32 31   30     29     28       26 25      13 12       0
//! ┌────────────────────────┬────┬──────┬──────┬──────┬────┬──────────┬──────────┐
//! │ version                │    │SEALED│MOVED │FROZEN│    │ claimed  │ live     │
//! └────────────────────────┴────┴──────┴──────┴──────┴────┴──────────┴──────────┘
//! ```
//!
//! A slot is free, claimed or live, by a bit for each of the latter two; the bits of the live ones are lowest, where they
//! match those of [`with_tag`](super::tags::with_tag).
//!
//! The version counts each publish, each free and each sealing. It skips 0: a header of version 0 is that of a bin to
//! which nothing was copied yet (or of a first table, where it means the same as any other).

/// Slots in a bin's own line.
pub(crate) const MAIN: usize = if cfg!(ttl_loom) { 2 } else { 6 };
/// Slots in its overflow line.
pub(crate) const OVER: usize = if cfg!(ttl_loom) { 1 } else { 7 };
/// Slots that one header governs.
pub(crate) const SLOTS: usize = MAIN + OVER;

const LIVE: u64 = 1;
const CLAIMED: u64 = 1 << 13;
const ALL_LIVE: u64 = (1 << SLOTS) - 1;
const MAIN_LIVE: u64 = (1 << MAIN) - 1;

const FROZEN: u64 = 1 << 28;
const MOVED: u64 = 1 << 29;
const SEALED: u64 = 1 << 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header(pub(crate) u64);

/// Some of a bin's slots: slot n is bit n.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Slots(u64);

impl Slots {
    #[inline]
    pub(crate) fn add(&mut self, number: usize) {
        self.0 |= 1 << number;
    }

    pub(crate) fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Their numbers, in order.
    #[inline]
    pub(crate) fn numbers(self) -> impl Iterator<Item = usize> + Clone {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let slot = rest.trailing_zeros() as usize;
            rest &= rest.wrapping_sub(1);
            (slot < SLOTS).then_some(slot)
        })
    }
}

impl Header {
    /// The header of a bin to which `count` entries were copied, in its first slots.
    pub(crate) fn copied(count: usize) -> Self {
        let states = (LIVE << count.min(SLOTS)) - LIVE;
        Header(states | (1 << 32)).with(if count > SLOTS { SEALED } else { 0 })
    }

    #[inline]
    pub(crate) fn version(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    pub(crate) fn is_live(self, slot: usize) -> bool {
        self.0 & (LIVE << slot) != 0
    }

    /// Those of some slots that hold a published entry (or one just unlinked): slot n is bit n.
    #[inline]
    pub(crate) fn live_among(self, slots: u64) -> u64 {
        self.0 & slots
    }

    /// How many slots hold a published entry (or one just unlinked).
    pub(crate) fn live_count(self) -> usize {
        (self.0 & ALL_LIVE).count_ones() as usize
    }

    /// The slots that hold a published entry (or one just unlinked), in order.
    #[inline]
    pub(crate) fn live_slots(self) -> impl Iterator<Item = usize> {
        Slots(self.0 & ALL_LIVE).numbers()
    }

    /// The first free slot below `limit`.
    #[inline]
    pub(crate) fn first_free(self, limit: usize) -> Option<usize> {
        let taken = self.0 | (self.0 / CLAIMED);
        let slot = (!taken & ALL_LIVE).trailing_zeros() as usize;
        (slot < limit).then_some(slot)
    }

    #[inline]
    pub(crate) fn is_moved(self) -> bool {
        self.0 & MOVED != 0
    }

    #[inline]
    pub(crate) fn is_frozen(self) -> bool {
        self.0 & FROZEN != 0
    }

    #[inline]
    pub(crate) fn is_sealed(self) -> bool {
        self.0 & SEALED != 0
    }

    /// Entries may stand outside the bin's own line.
    #[inline]
    pub(crate) fn has_more(self) -> bool {
        self.0 & (SEALED | (ALL_LIVE & !MAIN_LIVE)) != 0
    }

    /// The bin's own line does not say which keys are absent.
    #[inline]
    pub(crate) fn has_more_or_moved(self) -> bool {
        self.0 & (MOVED | SEALED | (ALL_LIVE & !MAIN_LIVE)) != 0
    }

    #[inline]
    pub(crate) fn claimed(self, slot: usize) -> Self {
        self.with(CLAIMED << slot)
    }

    #[inline]
    pub(crate) fn unclaimed(self, slot: usize) -> Self {
        Header(self.0 & !((LIVE | CLAIMED) << slot))
    }

    #[inline]
    pub(crate) fn published(self, slot: usize) -> Self {
        self.unclaimed(slot).with(LIVE << slot).bumped()
    }

    #[inline]
    pub(crate) fn freed(self, slot: usize) -> Self {
        self.unclaimed(slot).bumped()
    }

    pub(crate) fn sealed(self) -> Self {
        self.with(SEALED).bumped()
    }

    pub(crate) fn frozen(self) -> Self {
        self.with(FROZEN)
    }

    pub(crate) const MOVED: u64 = MOVED;

    #[inline]
    fn with(self, bits: u64) -> Self {
        Header(self.0 | bits)
    }

    #[inline]
    fn bumped(self) -> Self {
        let version = match self.version().wrapping_add(1) {
            0 => 1,
            version => version,
        };
        Header((self.0 & u64::from(u32::MAX)) | (u64::from(version) << 32))
    }
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;

    #[test]
    fn slot_goes_from_free_to_claimed_to_live_to_free() {
        let free = Header(0);
        for slot in 0..SLOTS {
            let claimed = free.claimed(slot);
            assert!(!claimed.is_live(slot));
            assert_eq!(claimed.version(), 0);
            let live = claimed.published(slot);
            assert!(live.is_live(slot));
            assert_eq!((live.version(), live.live_count()), (1, 1));
            assert_eq!(live.has_more(), slot >= MAIN);
            let freed = live.freed(slot);
            assert_eq!((freed.version(), freed.live_count()), (2, 0));
            assert_eq!(claimed.unclaimed(slot), free);
        }
    }

    #[test]
    fn first_free_passes_over_claimed_and_live_slots() {
        let mut header = Header(0);
        for slot in 0..SLOTS {
            assert_eq!(header.first_free(SLOTS), Some(slot));
            header = if slot % 2 == 0 { header.claimed(slot) } else { header.claimed(slot).published(slot) };
        }
        assert_eq!(header.first_free(SLOTS), None);
        assert_eq!(Header(0).claimed(0).first_free(1), None);
    }

    #[test]
    fn version_wraps_past_zero() {
        let last = Header(u64::from(u32::MAX) << 32).claimed(3);
        assert_eq!(last.published(3).version(), 1);
        assert!(last.published(3).is_live(3));
    }

    #[test]
    fn copied_header_has_its_slots_live() {
        for count in 0..=SLOTS + 2 {
            let header = Header::copied(count);
            assert_eq!(header.live_count(), count.min(SLOTS));
            assert_eq!(header.is_sealed(), count > SLOTS);
            assert_eq!(header.version(), 1);
        }
    }
}
