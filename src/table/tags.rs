//! Which slots have a word with a tag. Without a branch, as which slot it is can't be predicted.

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

pub(super) use vectors::Wide;

#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", not(any(ttl_loom, miri, target_os = "android")))))]
mod vectors {
    use super::{Bin, Tag, with_tag};

    /// Nothing: words are compared one by one.
    #[derive(Clone, Copy)]
    pub(in crate::table) struct Wide;

    impl Wide {
        pub(in crate::table) fn detect() -> Self {
            Wide
        }

        #[cfg(all(test, not(ttl_loom)))]
        pub(super) fn no() -> Self {
            Wide
        }
    }

    #[inline]
    pub(super) fn main_with_tag<E>(bin: &Bin<E>, tag: Tag, _: Wide) -> u64 {
        with_tag(&bin.slots, tag)
    }
}

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(any(ttl_loom, miri, target_os = "android"))))]
mod vectors {
    use std::arch::asm;
    use std::arch::x86_64::{__m128i, _mm_set1_epi64x};
    use std::mem::offset_of;

    use super::super::word::TAG_SHIFT;
    use super::{Bin, Tag};

    /// Whether the processor compares all words of a line at once.
    ///
    /// How many reads it has under way while they wait for memory goes by their instructions, and most by those that wait, too:
    /// with 10 M entries a hit takes a tenth less by this. What it costs is that the thread has these registers in use from
    /// then on, a KiB more for the system to save.
    #[derive(Clone, Copy)]
    pub(in crate::table) struct Wide(bool);

    impl Wide {
        /// From where the registers of 512 bits don't slow a processor down: Ice Lake and Zen 4, which have this. (Not under
        /// ThreadSanitizer, so that the other way has its share of the stress, too.)
        pub(in crate::table) fn detect() -> Self {
            let is_wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vbmi2");
            Wide(is_wide && !cfg!(ttl_tsan))
        }

        #[cfg(test)]
        pub(super) fn no() -> Self {
            Wide(false)
        }
    }

    /// What reads the words is taken for what six relaxed loads would be: that of a load of more than a word each word of an
    /// aligned line is read whole is how processors do it, if not what their makers promise of all instructions.
    #[inline]
    pub(super) fn main_with_tag<E>(bin: &Bin<E>, tag: Tag, wide: Wide) -> u64 {
        const { assert!(offset_of!(Bin<E>, slots) == 16 && size_of::<Bin<E>>() == 64 && align_of::<Bin<E>>() == 64) };
        // By way of the slots, whose address callers need: two instructions less a read.
        let line = bin.slots.as_ptr().cast::<u64>().wrapping_sub(2);
        // SAFETY: a line, of which the slots are the last six words; and who has found the processor wide has said so.
        unsafe { if wide.0 { by_line(line, tag) } else { by_pairs(line, tag) } }
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
                tag = in(reg) u64::from(tag),
                matches = lateout(reg) matches,
                out("k1") _,
                out("xmm16") _,
                out("xmm17") _,
                options(nostack, readonly, preserves_flags),
            );
        }
        matches >> 2
    }

    /// Two words at a time, by SSE2.
    ///
    /// # Safety
    ///
    /// `line` is a bin's.
    #[inline(always)]
    unsafe fn by_pairs(line: *const u64, tag: Tag) -> u64 {
        let (low, high): (u64, u64);
        // SAFETY: SSE2 is part of the target. The block reads the line's last six words and nothing else.
        unsafe {
            let tags: __m128i = _mm_set1_epi64x((u64::from(tag) << TAG_SHIFT) as i64);
            // Compares words of 16 bits, of which the highest of each slot becomes that slot's sign.
            asm!(
                "movdqa {one}, {tags}",
                "pcmpeqw {one}, [{line} + 16]",
                "movdqa {two}, {tags}",
                "pcmpeqw {two}, [{line} + 32]",
                "pcmpeqw {tags}, [{line} + 48]",
                "shufps {one}, {two}, 0xDD",
                "movmskpd {high:e}, {tags}",
                "movmskps {low:e}, {one}",
                line = in(reg) line,
                tags = inout(xmm_reg) tags => _,
                one = out(xmm_reg) _,
                two = out(xmm_reg) _,
                high = lateout(reg) high,
                low = lateout(reg) low,
                options(nostack, readonly, preserves_flags),
            );
        }
        low | high << 4
    }
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::super::word::Word;
    use super::*;

    #[test]
    fn all_ways_find_the_same_slots() {
        let mut entry = 7u64;
        let entry: *mut u64 = &mut entry;
        let tags = [0, 1, 0x3FFF, 0x4000, 0x7FFE, 0x7FFF];
        for first in 0..tags.len() {
            for frozen in [false, true] {
                let bin: Bin<u64> = Bin::default();
                for (n, slot) in bin.slots.iter().enumerate() {
                    let word = Word::new(entry, tags[(first + n / 2) % tags.len()]);
                    slot.store(if frozen { word.frozen() } else { word });
                }
                for tag in tags.into_iter().chain([2, 0x1234]) {
                    let one_by_one = with_tag(&bin.slots, tag);
                    assert_eq!(main_with_tag(&bin, tag, Wide::no()), one_by_one);
                    assert_eq!(main_with_tag(&bin, tag, Wide::detect()), one_by_one);
                }
            }
        }
        let words = [Word::VIRGIN, Word::DEAD, Word::VIRGIN.frozen()];
        let bin: Bin<u64> = Bin::default();
        bin.slots.iter().zip(words).for_each(|(slot, word)| slot.store(word));
        for tag in tags {
            assert_eq!(main_with_tag(&bin, tag, Wide::detect()), with_tag(&bin.slots, tag));
        }
    }
}
