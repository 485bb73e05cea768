//! Growing, shrinking and rebuilding, a few bins at a time.
//!
//! A resize makes a second array, of twice, just or a half to an eighth of the size, and moves the bins to it one unit after another:
//! a bin and its one or two children, or two to eight bins and their common child. To move a unit, *freeze* its bins, *copy*
//! each word to the place in the children that its old place determines, *open* the children, say *moved*. Every
//! step is done by CAS from what it must find, all helpers compute the same, and a frozen bin never changes: so any
//! number of threads may do it at once, and one that wakes up an hour later changes nothing. Lookups that meet a
//! frozen bin read it. Writers that do move the unit, and go on in the child.
//!
//! Which child an entry goes to is read off the tag in its frozen word. Only when the window of the tags slides is
//! the user's hash asked again, and only for bits that are not used for placing: a hasher that changes its mind can
//! make a key unfindable, never stand in two places.
//!
//! Every write moves a few units. They are handed out by a cursor, so that writers don't meet; when it is at the
//! end, writers check from the front that all have moved, and move what a stopped thread has left.

use super::Host;
use super::array::{Array, MAX_BITS, place};
use super::bin::BinRef;
use super::header::{Header, SLOTS};
use super::insert::Pressure;
use super::tail::TailCell;
use super::word::{TAG_BITS, TAGGED, Tag, Word};
use std::ptr;

use crate::sync::{Ordering, fence_after_rmw};

/// Units that a write moves while a resize is under way. A table that nobody writes to, and no reaper watches, stays as it is, half moved, and is read
/// more slowly: where units are in the caches, more of them are moved in about the same time.
pub(crate) const UNITS_A_STEP: usize = 4;
const UNITS_A_STEP_IF_FEW: usize = 16;
/// Half of the larger of two tables is few: a quarter of a mebibyte of bins.
const FEW: usize = 1 << 12;
/// Units that a write checks, once all were handed out.
const CHECKS_A_STEP: usize = 64;
/// Bins looked at to tell how full the table is.
const SAMPLE: usize = 64;
/// A table that has lost nearly all it held is halved so often at once, where all that has lapsed was swept: each time all of its bins
/// are frozen, one by one. In the midst of a sweep a few bins tell too little of what would come together.
const HALVINGS_AT_ONCE: u32 = 3;

impl<E> Array<E> {
    /// Starts a resize if the bins around `index` say so. Does nothing where one is under way, or the memory can't
    /// be had: then tails grow instead.
    #[cold]
    pub(super) fn resize_if_due(
        &self,
        index: usize,
        pressure: Pressure,
        min_bits: u32,
        is_swept: impl FnOnce() -> bool,
    ) {
        if self.next().is_some() {
            return;
        }
        let Some(bits) = self.wanted_bits(index, pressure, min_bits, is_swept) else { return };
        if let Some(next) = Array::new(bits, self.place) {
            // Somebody else may have been faster; theirs will do.
            drop(self.start_moving_to(next));
        }
    }

    /// A table whose lines run out is doubled if it has two and a half entries a bin, else rebuilt: then lines have
    /// gone to bins that were full once. One full bin in a large table is chance, and has its tail: that calls for
    /// doubling only with five entries a bin. With less than three entries in four bins a table is halved, and once more while
    /// that is so, if they are spread as by chance: if half a table was swept, the other half's bins should not be put together.
    fn wanted_bits(
        &self,
        index: usize,
        pressure: Pressure,
        min_bits: u32,
        is_swept: impl FnOnce() -> bool,
    ) -> Option<u32> {
        let over_limit = self.arena.is_over_limit();
        let half_loads = match pressure {
            Pressure::Line | Pressure::Sealed if over_limit => 5,
            Pressure::Sealed => 10,
            Pressure::Freed => usize::MAX,
            Pressure::None | Pressure::Line => return None,
        };
        let (bits, sample) = (self.bits(), self.len().min(SAMPLE));
        let loads = self.sample(index, sample);
        let (load, taken) = loads.fold((0, 0), |(load, taken), bin| (load + bin, taken + usize::from(bin > 0)));
        if 2 * load >= half_loads.saturating_mul(sample) && bits < MAX_BITS {
            Some(bits + 1)
        } else if 4 * load < 3 * sample && load <= 2 * taken && bits > min_bits {
            // Asked after the look at the bins: a sample from before all was swept shows more than there is.
            let halvings = if is_swept() { HALVINGS_AT_ONCE } else { 1 };
            let more = (1..halvings).take_while(|more| (4 * load) << more < 3 * sample).count() as u32;
            Some(bits.saturating_sub(1 + more).max(min_bits))
        } else {
            (over_limit && pressure != Pressure::Freed).then_some(bits)
        }
    }

    /// How many entries there are in each of so many bins from all over the table.
    ///
    /// A walk that purges leaves its front empty and its back full, and a sweep by reminders that are older than the
    /// table empties bins whose numbers end alike. Multiples of the golden ratio (Knuth) are spread evenly in the former
    /// sense and mixed in the latter.
    fn sample(&self, index: usize, many: usize) -> impl Iterator<Item = usize> {
        let mixed =
            move |n: usize| (index.wrapping_add(n) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - self.bits());
        let place = move |n: usize| if many == self.len() { n } else { mixed(n) as usize };
        (0..many).map(move |n| self.bin(place(n)).header().live_count())
    }

    /// Units of work from this array to `next`.
    fn units(&self, next: &Array<E>) -> usize {
        1 << self.unit_bits(next)
    }

    fn unit_bits(&self, next: &Array<E>) -> u32 {
        self.bits().min(next.bits())
    }

    /// Moves a few units; true if they were the last.
    pub(super) fn step(&self, next: &Array<E>, host: &impl Host<E>) -> bool {
        let units = self.units(next);
        // Relaxed: hands out work; whoever gets none, or dies of it, is made up for below.
        let is_small = self.len().max(next.len()) / 2 <= FEW;
        let count = self.units_in(next, if is_small { UNITS_A_STEP_IF_FEW } else { UNITS_A_STEP });
        let from = self.moving.cursor.fetch_add(count, Ordering::Relaxed);
        if from < units {
            (from..units.min(from + count)).for_each(|unit| self.move_unit(unit, next, host));
            return false;
        }
        // Acquire: whoever advanced the frontier saw these units moved; so whoever makes `next` current on its word
        // hands on that they are (O11).
        let mut unit = self.moving.frontier.load(Ordering::Acquire);
        let end = units.min(unit + self.units_in(next, CHECKS_A_STEP));
        while unit < end {
            if !self.has_moved(unit, next) {
                self.move_unit(unit, next, host);
            }
            unit += 1;
        }
        // Release: the MOVED bins seen above. Acquire: those that others saw (O11).
        self.moving.frontier.fetch_max(unit, Ordering::AcqRel);
        unit >= units
    }

    /// So many units, but no more bins than where two are put together.
    fn units_in(&self, next: &Array<E>, count: usize) -> usize {
        ((2 * count * self.units(next)) >> self.bits()).clamp(1, count)
    }

    fn has_moved(&self, unit: usize, next: &Array<E>) -> bool {
        self.sources(unit, next).all(|bin| bin.header().is_moved())
    }

    /// The bins of a unit: one, or the two to eight that a smaller table puts together.
    fn sources<'g>(&'g self, unit: usize, next: &Array<E>) -> impl Iterator<Item = BinRef<'g, E>> + use<'g, E> {
        // By shifts: a division takes as long as all of them.
        let bits = self.unit_bits(next);
        (0..self.len() >> bits).map(move |n| self.bin(unit + (n << bits)))
    }

    /// The bins of `next` that take over from the bin at `index`.
    pub(super) fn children(&self, index: usize, next: &Array<E>) -> impl Iterator<Item = usize> + use<E> {
        let bits = self.unit_bits(next);
        let unit = index & ((1 << bits) - 1);
        (0..next.len() >> bits).map(move |n| unit + (n << bits))
    }

    /// Moves the unit that the bin at `index` belongs to. Any number of threads may do so at once.
    pub(super) fn move_unit(&self, index: usize, next: &Array<E>, host: &impl Host<E>) {
        let unit = index & (self.units(next) - 1);
        // All is copied before anything is opened: a panic of the user's hash leaves the unit as it was, for others.
        let opened = self.copy(unit, next, host).map(Header::copied);
        let due = self.inherited_due(unit, next, host);
        for (child, header) in self.children(unit, next).zip(opened) {
            // Once, before the child is opened: fails for a helper who comes later.
            let is_set = next.bin(child).change_due(0, due).is_ok();
            next.bin(child).open(header);
            if is_set && due != Self::NOT_DUE && next.len() < self.len() {
                host.remind_of((child, next.bits()), due);
            }
        }
        let mut tails = [ptr::null_mut(); 1 << HALVINGS_AT_ONCE];
        for (bin, tail) in self.sources(unit, next).zip(&mut tails) {
            if bin.set_moved() {
                *tail = bin.tail().map_or(ptr::null_mut(), TailCell::as_ptr);
            }
        }
        // Not before all sources have moved: until then whoever comes to one of them copies the tails of all.
        tails.into_iter().filter(|tail| !tail.is_null()).for_each(|tail| host.retire_tail(tail));
    }

    /// When the children are to be looked at: whenever one of their sources was.
    fn inherited_due(&self, unit: usize, next: &Array<E>, host: &impl Host<E>) -> u32 {
        // The freezing before the look at what is due: who lowers that later sees the bin frozen, and goes on to the
        // children (W6).
        fence_after_rmw();
        let mut dues = self.sources(unit, next).map(BinRef::due);
        let due = if next.len() < self.len() { host.common_due(dues) } else { dues.next().unwrap_or(0) };
        due.max(Self::NOT_DUE)
    }

    /// What a child inherits of bins that are not to be looked at. Not zero, which it was before.
    const NOT_DUE: u32 = 1;

    /// Sees to it that all bins of a unit have moved. Nothing may be unlinked from a child before: the entry could
    /// still be found by way of another source.
    pub(super) fn finish_unit(&self, index: usize, next: &Array<E>, host: &impl Host<E>) {
        if !self.has_moved(index & (self.units(next) - 1), next) {
            self.move_unit(index, next, host);
        }
    }

    /// Copies the words of `unit`, in order, to the slots of its children and then to their tails; returns how many
    /// there are in each.
    #[inline]
    fn copy(&self, unit: usize, next: &Array<E>, host: &impl Host<E>) -> [usize; 2] {
        let (mut counts, mut rests) = ([0; 2], [Vec::new(), Vec::new()]);
        let children = [0, self.units(next)].map(|side| next.bin(unit + side));
        let (is_growth, is_same_window) = (next.len() > self.len(), next.window() == self.window());
        for bin in self.sources(unit, next) {
            bin.freeze(&mut |word| {
                let side = if is_growth { self.side(word, host) } else { 0 };
                let copy = word.thawed();
                let copy = if is_same_window { copy } else { copy.with_tag(self.retag(word, bin.index, next, host)) };
                if counts[side] >= SLOTS {
                    rests[side].push(copy);
                } else if !children[side].copy_into(counts[side], copy) {
                    out_of_memory();
                }
                counts[side] += 1;
            });
        }
        for (side, rest) in rests.iter().enumerate().filter(|(_, rest)| !rest.is_empty()) {
            // A bin of more than six entries has a line.
            children[side].tail().into_iter().for_each(|tail| tail.fill(rest));
        }
        counts
    }

    /// Which of the two children a word goes to.
    #[inline]
    fn side(&self, word: Word<E>, host: &impl Host<E>) -> usize {
        let bits = match TAGGED {
            true => word.tag().bits() >> (self.bits() - self.window()),
            false => place(host.hash_of(entry_of(word))) >> self.bits(),
        };
        (bits & 1) as usize
    }

    /// The tag in `next`, of another window, of a word of bin `index`.
    #[cold]
    fn retag(&self, word: Word<E>, index: usize, next: &Array<E>, host: &impl Host<E>) -> Tag {
        let (from, to) = (self.window(), next.window());
        if !TAGGED {
            word.tag()
        } else if to > from {
            // The low bits fall out, and the entry has the high ones.
            let fresh = place(host.hash_of(entry_of(word))) >> (from + TAG_BITS);
            Tag::of(word.tag().bits() >> (to - from) | fresh << (TAG_BITS - (to - from)))
        } else {
            // The high bits fall out, and the bin's index has the low ones.
            let known = (index >> to) as u64 & ((1 << (from - to)) - 1);
            Tag::of(word.tag().bits() << (from - to) | known)
        }
    }
}

/// The entry of a frozen word of a bin that was current when the caller, who is pinned, came to it.
fn entry_of<'g, E>(word: Word<E>) -> &'g E {
    // SAFETY: a word of a frozen bin is that of a published entry. It may have been replaced in the child since, but
    // the caller was pinned before the bin moved, so it isn't freed.
    unsafe { &*word.entry() }
}

/// A bin can't be moved without the line that its child needs.
pub(super) fn out_of_memory() -> ! {
    std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u64; 8]>())
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;
    use crate::sync::{Pages, Place};

    /// Pairs of arrays, of which the second may take over from the first.
    fn resizes() -> impl Iterator<Item = [Box<Array<u64>>; 2]> {
        let array = |bits| Array::new(bits, Place::new(Pages::default())).expect("memory");
        let least = |from: u32| from.saturating_sub(HALVINGS_AT_ONCE);
        (0..9).flat_map(move |from| (least(from)..=from + 1).map(move |to| [from, to].map(array)))
    }

    #[test]
    fn each_bin_is_moved_once_and_to_each_once() {
        for [from, to] in resizes() {
            let (mut sources, mut children) = (vec![0; from.len()], vec![0; to.len()]);
            for unit in 0..from.units(&to) {
                let of_unit: Vec<_> = from.sources(unit, &to).map(|bin| bin.index).collect();
                for &source in &of_unit {
                    sources[source] += 1;
                    assert!(from.children(source, &to).eq(from.children(unit, &to)), "of bin {source}");
                }
                from.children(unit, &to).for_each(|child| children[child] += 1);
            }
            assert!(sources.into_iter().chain(children).all(|times| times == 1), "{} to {}", from.len(), to.len());
        }
    }

    #[test]
    fn a_write_moves_no_more_bins_than_where_two_are_put_together() {
        for [from, to] in resizes() {
            for count in [UNITS_A_STEP, UNITS_A_STEP_IF_FEW, CHECKS_A_STEP] {
                let (units, bins_a_unit) = (from.units_in(&to, count), from.len() / from.units(&to));
                assert!((1..=count).contains(&units) && units * bins_a_unit <= 2 * count, "{units} of {bins_a_unit}");
                // And not fewer, as far as whole units go.
                assert!(units == count || (units + 1) * bins_a_unit > 2 * count, "{units} of {bins_a_unit}");
            }
        }
    }
}
