//! When a ticket is due, and where it stands until then: pure arithmetic.
//!
//! Levels as in the Linux timer wheel since 4.8 (Gleixner): each is coarser than the one below by a constant factor, a
//! ticket goes to the finest level that reaches its tick, its place is rounded up to that level's span, and there it
//! stays. So it is touched once, and comes late by at most 1/64 of the time that it was filed ahead.

/// Nanoseconds in a tick, as a power of two: 0.52 ms.
pub(crate) const TICK_BITS: u32 = 19;

/// Each level's spans are 2^this times as long as those of the one below.
const SHIFT: u32 = if cfg!(ttl_loom) { 1 } else { 2 };
/// A level reaches this many of its spans ahead.
pub(super) const REACH: u64 = if cfg!(ttl_loom) { 4 } else { 256 };
/// Slots in a level: more than it reaches, so that a ticket rounded up never meets the slot that is just being emptied.
pub(super) const SLOTS: usize = if cfg!(ttl_loom) { 8 } else { 320 };
/// Enough for every tick of a clock.
pub(super) const LEVELS: usize = if cfg!(ttl_loom) { 3 } else { 20 };

/// The last time that a clock shows.
const LAST: u64 = (1 << 63) - 2;

/// The last tick that has begun at this time.
#[inline]
pub(crate) fn tick_at(nanos: u64) -> u64 {
    nanos >> TICK_BITS
}

/// The first tick at whose start this deadline has passed.
#[inline]
pub(crate) fn tick_after(deadline: u64) -> u64 {
    (deadline >> TICK_BITS) + u64::from(deadline & ((1 << TICK_BITS) - 1) != 0)
}

/// The time at which a tick starts, or the last one that can be told.
pub(crate) fn start_of(tick: u64) -> u64 {
    if tick >= 1 << (63 - TICK_BITS) { LAST } else { tick << TICK_BITS }
}

/// Where a ticket stands: the level, and how many spans of it have passed, since the clock's origin, when it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) level: usize,
    pub(super) position: u64,
}

impl Place {
    /// The place for a tick that lies ahead of the cursor.
    pub(super) fn of(tick: u64, cursor: u64) -> Self {
        let ahead = tick.saturating_sub(cursor);
        let level = (0..LEVELS - 1).find(|&level| ahead >> span_bits(level) < REACH).unwrap_or(LEVELS - 1);
        let span = span_bits(level);
        // What not even the last level reaches comes early, and is filed again then.
        let position = (tick >> span) + u64::from(tick & ((1 << span) - 1) != 0);
        Place { level, position: position.min((cursor >> span) + REACH + 1) }
    }

    /// The tick at which it is taken.
    pub(super) fn tick(self) -> u64 {
        self.position << span_bits(self.level)
    }
}

/// Ticks in a span of a level, as a power of two.
pub(super) fn span_bits(level: usize) -> u32 {
    SHIFT * level as u32
}

/// The slot of a position.
#[inline]
pub(super) fn slot_of(position: u64) -> usize {
    (position % SLOTS as u64) as usize
}

/// The tick of a bucket's earliest ticket in four bytes, or none.
///
/// Two scales. The fine one counts ticks, modulo about 2^31, so it is good for what is near: three days to come, nine that
/// have passed (in a map where nobody writes for longer it may be mistaken for one to come: see `Wheel::turn`). The
/// coarse one counts 2^14 ticks (8.6 s) from the clock's origin, to its very end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due(pub(crate) u32);

const COARSE: u32 = 1 << 31;
const COARSE_BITS: u32 = 14;
/// The fine scale: all of 31 bits but UNSET and NONE.
const ROUND: u64 = (1 << 31) - 2;
/// What is nearer than this is told in ticks.
pub(super) const NEAR: u64 = 1 << 29;

impl Due {
    /// No ticket, ever yet: zeroes, as memory starts out.
    pub(crate) const UNSET: Due = Due(0);
    /// No ticket.
    pub(crate) const NONE: Due = Due(1);

    /// The tick itself, or if it is far off the last one that can be told, at or before it.
    #[inline]
    pub(crate) fn at(tick: u64, now: u64) -> Self {
        if tick.saturating_sub(now) < NEAR {
            Due(2 + (tick % ROUND) as u32)
        } else {
            Due(COARSE | u32::try_from(tick >> COARSE_BITS).map_or(!COARSE, |coarse| coarse.min(!COARSE)))
        }
    }

    #[inline]
    pub(crate) fn is_none(self) -> bool {
        self.0 <= Self::NONE.0
    }

    /// The tick, seen from `now`; none is now.
    #[inline]
    pub(crate) fn tick(self, now: u64) -> u64 {
        if self.is_none() {
            now
        } else if self.0 & COARSE != 0 {
            u64::from(self.0 & !COARSE) << COARSE_BITS
        } else {
            let ahead = u64::from(self.0) - 2 + ROUND - now % ROUND;
            let ahead = if ahead >= ROUND { ahead - ROUND } else { ahead };
            if ahead < NEAR + NEAR / 8 { now + ahead } else { (now + ahead).saturating_sub(ROUND) }
        }
    }

    /// The earlier of two, none being the latest.
    pub(crate) fn earlier(self, other: Due, now: u64) -> Due {
        match (self.is_none(), other.is_none()) {
            (true, true) => Due::NONE,
            (true, false) => other,
            (false, true) => self,
            _ if self.tick(now) <= other.tick(now) => self,
            _ => other,
        }
    }

    /// The last due before this one, if it is to come: another one, so that the reminders of this one are stale.
    pub(crate) fn just_before(self, now: u64) -> Due {
        let before = match self.0 & COARSE {
            0 => Due::at(self.tick(now).saturating_sub(1), now),
            _ => Due(COARSE | (self.0 & !COARSE).saturating_sub(1)),
        };
        if self.is_none() || before.tick(now) <= now { self } else { before }
    }

    /// What a bucket's due becomes when an entry of it lapses at `tick`; none if it stays as it is.
    #[inline]
    pub(crate) fn lowered_to(self, tick: u64, now: u64) -> Option<Due> {
        let tick = tick.max(now + 1);
        self.is_after(tick, now).then(|| Due::at(tick, now))
    }

    /// Whether it comes after `tick`, if ever.
    #[inline]
    pub(crate) fn is_after(self, tick: u64, now: u64) -> bool {
        self.is_none() || self.tick(now) > tick
    }
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn place_is_never_early_and_late_by_a_64th(cursor in 0u64..1 << 45, ahead_bits in 0u32..45, random: u64) {
            let tick = (cursor + 1 + random % (1 << ahead_bits)).min(1 << 45);
            let place = Place::of(tick, cursor);
            let late = place.tick() - tick;
            prop_assert!(late <= (tick - cursor) / 64, "late by {late} of {}", tick - cursor);
            prop_assert!(place.position - (cursor >> span_bits(place.level)) < SLOTS as u64);
        }

        #[test]
        fn due_is_told_as_it_is_or_a_little_early(now in 0u64..1 << 45, ahead_bits in 0u32..45, random: u64) {
            let tick = (now + random % (1 << ahead_bits)).min(1 << 45);
            let due = Due::at(tick, now);
            let told = due.tick(now);
            prop_assert!(!due.is_none() && told >= now && told <= tick, "{tick} told {told}");
            prop_assert!(told == tick || tick - now >= NEAR && tick - told <= 1 << COARSE_BITS, "{tick} told {told}");
            let before = due.just_before(now);
            prop_assert!(before.tick(now) < told || before == due && told <= now + (1 << COARSE_BITS));
            prop_assert!(before == due || before.tick(now) > now && told - before.tick(now) <= 1 << COARSE_BITS);
            // It is the same seen from any moment until then.
            prop_assert_eq!(due.tick(now + (told - now) / 2), told);
            prop_assert_eq!(due.tick(told), told);
        }
    }

    #[test]
    fn ticks_are_whole_or_rounded_up() {
        assert_eq!((tick_at(0), tick_after(0)), (0, 0));
        assert_eq!((tick_at(1), tick_after(1)), (0, 1));
        assert_eq!((tick_at(1 << TICK_BITS), tick_after(1 << TICK_BITS)), (1, 1));
        assert_eq!(tick_after(LAST), 1 << 44);
        assert_eq!(start_of(tick_after(LAST)), LAST);
        assert_eq!(start_of(u64::MAX), LAST);
        assert_eq!(start_of(1), 1 << TICK_BITS);
    }
}
