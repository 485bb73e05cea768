//! Large memory, mapped by ourselves: zeroes that nobody has to write, and that the system has back as soon as we do.
//!
//! Not by the allocator. glibc's, asked for a large block or given one back, first puts together all small blocks that were
//! freed before: 50 to 100 ms where a million entries have lapsed. It writes the zeroes of a block that it had before, all at once,
//! and for an alignment of 2 MiB std does in any case. A block is large to it from 1 KiB on, so what a table is given while it
//! shrinks, after just such a lapse, is mapped, too.

/// Where a table has its large arrays: those of 128 KiB and more, and once it has had one such, those of 1 KiB and more.
///
/// Only Linux and Android know a difference. Elsewhere, and where the system refuses, all memory is the allocator's.
///
/// ```
/// use ttlwheel::{Pages, TtlMap};
///
/// let map: TtlMap<u64, u64> = TtlMap::builder().pages(Pages::Huge).build();
/// map.insert(1, 1);
/// assert_eq!(map.get_cloned(&1), Some(1));
/// assert_eq!(Pages::default(), Pages::Mapped);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pages {
    /// In memory of the program's global allocator, like all else: for programs that count what that hands out, or whose
    /// allocator serves large blocks without delay.
    Allocator,
    /// Mapped from the system, and given back to it whole. The allocator doesn't know of them.
    #[default]
    Mapped,
    /// Mapped, and if they are of 8 MiB or more on huge pages; see [`Builder::pages`](crate::Builder::pages).
    Huge,
}

#[cfg(not(ttl_loom))]
pub(super) use system::{map, unmap};

/// Where arrays are, by their size.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "where nothing can be mapped, nobody asks")]
pub(crate) struct Place {
    pages: Pages,
    /// Those of less bytes are left to the allocator.
    least: usize,
}

impl Place {
    /// By glibc's own rule, until that has had a larger one back.
    pub(crate) fn new(pages: Pages) -> Self {
        Place { pages, least: 128 << 10 }
    }

    /// The same for what takes over from a large array: of its entries many were freed by then.
    #[cfg(not(ttl_loom))]
    pub(super) fn after_large(self) -> Self {
        Place { least: 1 << 10, ..self }
    }
}

#[cfg(all(any(target_os = "linux", target_os = "android"), not(any(miri, ttl_loom))))]
mod system {
    use std::ptr;

    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

    use super::{Pages, Place};

    /// Where usual pages are of 4 KiB. Where huge ones are longer than that, to align to this is of no use, and no harm.
    const HUGE: usize = 2 << 20;
    /// So long must memory be for huge pages.
    const LEAST_HUGE: usize = 4 * HUGE;

    /// So many zeroes, aligned to a page; None where they are left to the allocator.
    pub(in super::super) fn map(place: Place, bytes: usize) -> Option<*mut u8> {
        match place.pages {
            Pages::Allocator => None,
            _ if bytes < place.least => None,
            Pages::Huge if bytes >= LEAST_HUGE && bytes % HUGE == 0 => map_huge(bytes),
            Pages::Mapped | Pages::Huge => map_any(bytes),
        }
    }

    fn map_any(bytes: usize) -> Option<*mut u8> {
        // SAFETY: a new mapping, at a place of the system's choice.
        let first =
            unsafe { mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) };
        first.ok().map(<*mut _>::cast)
    }

    fn map_huge(bytes: usize) -> Option<*mut u8> {
        let base = map_any(bytes.checked_add(HUGE)?)?;
        let before = base.align_offset(HUGE);
        let first = base.wrapping_add(before);
        // SAFETY: nobody knows of the mapping yet, and what is in front of the bytes and behind them is a part of it.
        unsafe {
            unmap(base, before);
            unmap(first.wrapping_add(bytes), HUGE - before);
        }
        // SAFETY: advice changes nothing of what is there. Where it is refused, the pages are usual ones.
        let _ = unsafe { madvise(first.cast(), bytes, Advice::LinuxHugepage) };
        Some(first)
    }

    /// Gives back what was mapped.
    ///
    /// # Safety
    ///
    /// The bytes come from [`map`], all of them, or are a part of a mapping that nobody knows of. Nothing may use them any more.
    pub(in super::super) unsafe fn unmap(first: *mut u8, bytes: usize) {
        if bytes > 0 {
            // Fails only if that makes two mappings of one and the process may have no more. Then the addresses stay, and what
            // was written there goes.
            // SAFETY: by the contract.
            unsafe {
                munmap(first.cast(), bytes).or_else(|_| madvise(first.cast(), bytes, Advice::LinuxDontNeed)).ok()
            };
        }
    }
}

#[cfg(all(any(miri, not(any(target_os = "linux", target_os = "android"))), not(ttl_loom)))]
mod system {
    pub(in super::super) fn map(_place: super::Place, _bytes: usize) -> Option<*mut u8> {
        None
    }

    pub(in super::super) unsafe fn unmap(_first: *mut u8, _bytes: usize) {}
}
