//! Which slots have a word with a tag. Without a branch, as which slot it is can't be predicted.

use std::ptr::NonNull;

use super::bin::Bin;
use super::word::{Slot, Tag};

/// Which of these slots have a word with this tag: slot n is bit n.
#[inline]
pub(super) fn with_tag<E>(slots: &[Slot<E>], tag: Tag) -> u64 {
    slots.iter().rev().fold(0, |matches, slot| (matches << 1) | (slot.hint().difference(tag) >> 63))
}

/// The same for the slots of a bin's own line.
#[inline]
pub(super) fn main_with_tag<E>(bin: &Bin<E>, tag: Tag, wide: Wide) -> u64 {
    vectors::main_with_tag(bin, tag, wide)
}

/// The first entry among the slots of a bin's own line whose word has this tag, and no flag. None if there is none, or if
/// words are not compared at once.
#[inline(always)]
pub(super) fn first_entry<E>(bin: &Bin<E>, tag: Tag, wide: &Wide) -> Option<NonNull<E>> {
    vectors::first_entry(bin, tag, wide)
}

/// The same, one word after the other.
#[cfg(any(test, ttl_loom))]
fn first_one_by_one<E>(slots: &[Slot<E>], tag: Tag) -> Option<NonNull<E>> {
    let word = slots.iter().map(Slot::load).find(|word| word.has_tag(tag) && !word.is_flagged())?;
    NonNull::new(word.entry())
}

pub(crate) use vectors::Wide;

/// In models as many ways as there are.
#[cfg(ttl_loom)]
mod vectors {
    use std::cell::Cell;
    use std::ptr::NonNull;

    use super::{Bin, Tag, first_one_by_one, with_tag};

    std::thread_local! {
        static IS_WIDE: Cell<bool> = const { Cell::new(false) };
    }

    /// Whether all words of a line are compared at once, for what a model sees of that.
    #[derive(Clone, Copy)]
    pub(crate) struct Wide(bool);

    impl Wide {
        pub(in crate::table) fn detect() -> Self {
            Wide(IS_WIDE.get())
        }

        pub(in crate::table) fn is_so(self) -> bool {
            self.0
        }

        /// The tables that this thread makes from now on.
        #[cfg(test)]
        pub(crate) fn set(is_wide: bool) {
            IS_WIDE.set(is_wide);
        }
    }

    pub(super) fn main_with_tag<E>(bin: &Bin<E>, tag: Tag, _: Wide) -> u64 {
        with_tag(&bin.slots, tag)
    }

    pub(super) fn first_entry<E>(bin: &Bin<E>, tag: Tag, wide: &Wide) -> Option<NonNull<E>> {
        if wide.0 { first_one_by_one(&bin.slots, tag) } else { None }
    }
}

#[cfg(not(any(
    ttl_loom,
    all(target_arch = "x86_64", target_pointer_width = "64", not(any(miri, target_os = "android")))
)))]
mod vectors {
    use std::ptr::NonNull;

    use super::{Bin, Tag, with_tag};

    /// Nothing: words are compared one by one.
    #[derive(Clone, Copy)]
    pub(crate) struct Wide;

    impl Wide {
        pub(in crate::table) fn detect() -> Self {
            Wide
        }

        #[cfg(test)]
        pub(super) fn no() -> Self {
            Wide
        }

        #[inline(always)]
        pub(in crate::table) fn is_so(self) -> bool {
            false
        }
    }

    #[inline]
    pub(super) fn main_with_tag<E>(bin: &Bin<E>, tag: Tag, _: Wide) -> u64 {
        with_tag(&bin.slots, tag)
    }

    #[inline(always)]
    pub(super) fn first_entry<E>(_: &Bin<E>, _: Tag, _: &Wide) -> Option<NonNull<E>> {
        None
    }
}

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(any(ttl_loom, miri, target_os = "android"))))]
mod vectors {
    use std::arch::asm;
    use std::arch::x86_64::{__m128i, _mm_cvtsi64_si128, _mm_shuffle_epi32};
    use std::mem::offset_of;
    use std::ptr::NonNull;

    use super::super::word::{FLAGS, TAG_SHIFT};
    use super::{Bin, Tag};
    use crate::sync::Ordering;

    /// Whether the processor compares all words of a line at once, and what it needs for it, which it has from memory with fewer
    /// instructions than out of registers.
    ///
    /// How many reads it has under way while they wait for memory goes by their instructions, and most by those that wait, too:
    /// with 10 M entries a hit takes a tenth less by this. What it costs is that the thread has these registers in use from
    /// then on, a KiB more for the system to save.
    #[derive(Clone, Copy)]
    #[repr(C)]
    pub(crate) struct Wide {
        /// The bits of a word that a tag and flags have, and one more; zero where words are not compared at once.
        tag_and_flags: u64,
        /// A bit for each word of a bin's line that is a slot's.
        slots: u16,
    }

    impl Wide {
        /// From where the registers of 512 bits don't slow a processor down: Ice Lake and Zen 4, which have this. (Not under
        /// ThreadSanitizer, so that the other way has its share of the stress, too.)
        pub(in crate::table) fn detect() -> Self {
            let is_wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vbmi2");
            if is_wide && !cfg!(ttl_tsan) { Self::SO } else { Self::NOT_SO }
        }

        const SO: Self = Wide { tag_and_flags: (u16::MAX as u64) << TAG_SHIFT | FLAGS as u64, slots: 0b1111_1100 };
        const NOT_SO: Self = Wide { tag_and_flags: 0, slots: 0 };

        #[cfg(test)]
        pub(super) fn no() -> Self {
            Self::NOT_SO
        }

        #[inline(always)]
        pub(in crate::table) fn is_so(self) -> bool {
            self.tag_and_flags != 0
        }
    }

    /// A bin's line, of which the slots are the last six words.
    ///
    /// What reads it at once is taken for what six loads would be, relaxed ones where the words are compared only and acquire ones
    /// where one is followed: that of a load of more than a word each word of an aligned line is read whole is how processors do it,
    /// if not what their makers promise of all instructions; and x86 keeps the order of loads.
    #[inline(always)]
    fn line_of<E>(bin: &Bin<E>) -> *const u64 {
        const { assert!(offset_of!(Bin<E>, slots) == 16 && size_of::<Bin<E>>() == 64 && align_of::<Bin<E>>() == 64) };
        // By way of the slots, whose address callers need: two instructions less a read.
        bin.slots.as_ptr().cast::<u64>().wrapping_sub(2)
    }

    #[inline]
    pub(super) fn main_with_tag<E>(bin: &Bin<E>, tag: Tag, wide: Wide) -> u64 {
        // SAFETY: who has found the processor wide has said so.
        unsafe { if wide.is_so() { by_line(line_of(bin), tag) } else { by_pairs(line_of(bin), tag) } }
    }

    #[inline(always)]
    pub(super) fn first_entry<E>(bin: &Bin<E>, tag: Tag, wide: &Wide) -> Option<NonNull<E>> {
        if !wide.is_so() {
            return None;
        }
        // SAFETY: as above.
        let entry = unsafe { first_by_line(line_of(bin), tag, wide) };
        // Acquire, for the compiler: no load that follows comes before.
        std::sync::atomic::compiler_fence(Ordering::Acquire);
        NonNull::new(entry.cast())
    }

    /// What is left of the first word with this tag and no flag: its entry's address. Null if there is none.
    ///
    /// # Safety
    ///
    /// `line` is a bin's, and the processor is [wide](Wide::detect).
    #[inline(always)]
    unsafe fn first_by_line(line: *const u64, tag: Tag, wide: &Wide) -> *mut u64 {
        const { assert!(offset_of!(Wide, tag_and_flags) == 0 && offset_of!(Wide, slots) == 8) };
        let entry: *mut u64;
        // SAFETY: as in `by_line`; it reads `wide`, too. (VIRGIN is zero, and so is what is left of it where the tag is zero: none, though a word with the
        // tag may follow.)
        unsafe {
            asm!(
                "kmovw k1, word ptr [{wide} + 8]",
                "vpbroadcastq zmm16, {tag}",
                "vpxorq zmm16, zmm16, [{line}]",
                "vptestnmq k1 {{k1}}, zmm16, qword ptr [{wide}]{{1to8}}",
                "vpcompressq zmm16 {{k1}} {{z}}, zmm16",
                "vmovq {entry}, xmm16",
                wide = in(reg) wide,
                line = in(reg) line,
                tag = in(reg) tag.as_word(),
                entry = lateout(reg) entry,
                out("k1") _,
                out("xmm16") _,
                options(nostack, readonly, preserves_flags),
            );
        }
        entry
    }

    /// All eight words at once, by AVX-512.
    ///
    /// # Safety
    ///
    /// `line` is a bin's, and the processor is [wide](Wide::detect).
    #[inline(always)]
    unsafe fn by_line(line: *const u64, tag: Tag) -> u64 {
        let matches: u64;
        // SAFETY: the caller says so. The block reads the line and nothing else. Registers above the sixteenth have no lower
        // part in common with those of SSE, so that nothing is to be cleared afterwards.
        unsafe {
            asm!(
                "vpbroadcastq zmm16, {tag}",
                "vpsrlq zmm17, [{line}], 48",
                "vpcmpeqq k1, zmm16, zmm17",
                "kmovw {matches:e}, k1",
                line = in(reg) line,
                tag = in(reg) tag.bits(),
                matches = lateout(reg) matches,
                out("k1") _,
                out("xmm16") _,
                out("xmm17") _,
                options(nostack, readonly, preserves_flags),
            );
        }
        matches >> 2
    }

    /// Four words at a time, and two, by SSE2.
    ///
    /// # Safety
    ///
    /// `line` is a bin's.
    #[inline(always)]
    unsafe fn by_pairs(line: *const u64, tag: Tag) -> u64 {
        let (two, four): (u64, u64);
        // SAFETY: SSE2 is part of the target. The block reads the line's last six words and nothing else.
        unsafe {
            // Compares words of 16 bits, of which the highest of each slot becomes that slot's sign.
            let tags: __m128i = _mm_shuffle_epi32::<0x55>(_mm_cvtsi64_si128(tag.as_word() as i64));
            asm!(
                "movaps {others}, [{line} + 32]",
                "shufps {others}, [{line} + 48], 0xDD",
                "pcmpeqw {others}, {tags}",
                "pcmpeqw {tags}, [{line} + 16]",
                "movmskps {four:e}, {others}",
                "movmskpd {two:e}, {tags}",
                line = in(reg) line,
                tags = inout(xmm_reg) tags => _,
                others = out(xmm_reg) _,
                two = lateout(reg) two,
                four = lateout(reg) four,
                options(nostack, readonly, preserves_flags),
            );
        }
        // A sum, as one instruction does it.
        two + 4 * four
    }
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::super::word::Word;
    use super::*;
    use crate::sync::AtomicU64;

    #[test]
    fn all_ways_find_the_same_slots() {
        let mut entry = AtomicU64::new(7);
        let entry: *mut AtomicU64 = &mut entry;
        let tags = [0, 1, 0x3FFF, 0x4000, 0x7FFE, 0x7FFF].map(Tag::of);
        for first in 0..tags.len() {
            for frozen in [false, true] {
                let bin: Bin<AtomicU64> = Bin::default();
                for (n, slot) in bin.slots.iter().enumerate() {
                    let word = Word::new(entry, tags[(first + n / 2) % tags.len()]);
                    slot.store(if frozen { word.frozen() } else { word });
                }
                for tag in tags.into_iter().chain([2, 0x1234].map(Tag::of)) {
                    let one_by_one = with_tag(&bin.slots, tag);
                    assert_eq!(main_with_tag(&bin, tag, Wide::no()), one_by_one);
                    assert_eq!(main_with_tag(&bin, tag, Wide::detect()), one_by_one);
                }
            }
        }
        let words = [Word::VIRGIN, Word::DEAD, Word::VIRGIN.frozen()];
        let bin: Bin<AtomicU64> = Bin::default();
        bin.slots.iter().zip(words).for_each(|(slot, word)| slot.store(word));
        for tag in tags {
            assert_eq!(main_with_tag(&bin, tag, Wide::detect()), with_tag(&bin.slots, tag));
        }
    }

    /// What the wide way finds is what one word after the other would; elsewhere nothing is.
    fn assert_first(bin: &Bin<AtomicU64>, tag: Tag) {
        let expected = first_one_by_one(&bin.slots, tag).filter(|_| Wide::detect().is_so());
        assert_eq!(first_entry(bin, tag, &Wide::detect()), expected, "{tag:?}");
        assert_eq!(first_entry(bin, tag, &Wide::no()), None);
    }

    #[test]
    fn first_entry_is_that_of_the_first_word_without_a_flag() {
        let mut entries = [const { AtomicU64::new(0) }; 6];
        let entries = entries.each_mut().map(|entry| entry as *mut AtomicU64);
        let states = [|word: Word<AtomicU64>| word, Word::frozen, Word::draft, |_| Word::DEAD, |_| Word::VIRGIN];
        // A digit a slot: in one of five states, with one of two tags. Every seventh number will do.
        for digits in (0..10usize.pow(6)).step_by(7) {
            let bin: Bin<AtomicU64> = Bin::default();
            let mut rest = digits;
            for (slot, entry) in bin.slots.iter().zip(entries) {
                slot.store(states[rest % 5](Word::new(entry, Tag::of(if rest % 10 < 5 { 0 } else { 0x7FFF }))));
                rest /= 10;
            }
            [0, 1, 0x7FFF].into_iter().for_each(|bits| assert_first(&bin, Tag::of(bits)));
        }
    }
}
