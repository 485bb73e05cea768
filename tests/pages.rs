//! Where large arrays are: mapped and given back, and on huge pages where that was wanted, if they are long enough.
//!
//! One test at a time: mappings are the process's.

mod common;

use std::time::Duration;

use common::{Identity, purge_all, serial};
use ttlwheel::{ManualClock, Pages, TtlMap};

/// Enough for an array of 2^17 bins at least, which is 8 MiB.
const MANY: u64 = 600_000;
const LEAST: usize = 8 << 20;
const TTL: Duration = Duration::from_secs(1);

/// Bytes of mappings that were advised to be on huge pages; None where the system doesn't tell.
fn advised() -> Option<usize> {
    let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
    let (mut size, mut told, mut sum) = (0, false, 0);
    for line in maps.lines() {
        if let Some(rest) = line.strip_prefix("Size:") {
            size = rest.trim().strip_suffix(" kB")?.parse().ok()?;
        } else if let Some(flags) = line.strip_prefix("VmFlags:") {
            told = true;
            sum += if flags.split_whitespace().any(|flag| flag == "hg") { size << 10 } else { 0 };
        }
    }
    told.then_some(sum)
}

fn map(pages: Pages, capacity: usize) -> (TtlMap<u64, u64, Identity>, ManualClock) {
    let clock = ManualClock::new();
    let builder = TtlMap::builder().time_to_live(TTL).pages(pages).initial_capacity(capacity);
    // The hasher last: what was set before must survive the change of type.
    (builder.clock(&clock).hasher(Identity).build(), clock)
}

fn fill(map: &TtlMap<u64, u64, Identity>) {
    (0..MANY).for_each(|key| drop(map.insert(key, !key)));
    assert!((0..MANY).all(|key| map.get_cloned(&key) == Some(!key)));
    assert_eq!(map.len() as u64, MANY);
}

/// Asserts that so many bytes more than before are advised, if the system tells.
fn expect(bytes: impl Fn(usize) -> bool, before: Option<usize>, when: &str) {
    match (before, advised()) {
        (Some(before), Some(now)) => assert!(bytes(now - before), "{now} bytes {when}, {before} before"),
        _ => eprintln!("skipped: no VmFlags in /proc/self/smaps"),
    }
}

#[test]
fn entries_survive_growth_onto_huge_pages_and_the_memory_comes_back() {
    let _serial = serial();
    let before = advised();
    let (map, clock) = map(Pages::Huge, 0);
    fill(&map);
    expect(|bytes| bytes >= LEAST, before, "in a table that has grown");
    clock.advance(TTL);
    purge_all(&map);
    assert_eq!(map.stored_len(), 0);
    // Halved until it is short: a few bins a write.
    for _ in 0..100 {
        for key in 0..5_000 {
            map.insert(key % 8, key);
        }
    }
    expect(|bytes| bytes == 0, before, "in a table that has shrunk");
    fill(&map);
    drop(map);
    expect(|bytes| bytes == 0, before, "after the map");
}

#[test]
fn a_table_made_large_is_on_huge_pages_from_the_start() {
    let _serial = serial();
    let before = advised();
    let (map, _) = map(Pages::Huge, MANY as usize);
    expect(|bytes| bytes >= LEAST, before, "in a new table");
    fill(&map);
    drop(map);
    expect(|bytes| bytes == 0, before, "after the map");
}

/// Bytes that the process has mapped; None where the system doesn't tell.
fn mapped() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split(' ').next()?.parse::<usize>().ok()? << 12)
}

#[test]
fn what_was_mapped_is_given_back() {
    let _serial = serial();
    let lives = |pages| (0..100).for_each(|_| drop(map(pages, MANY as usize)));
    for pages in [Pages::Mapped, Pages::Huge] {
        lives(pages);
        let Some(before) = mapped() else { return eprintln!("skipped: no /proc/self/statm") };
        lives(pages);
        let kept = mapped().unwrap_or(before).saturating_sub(before);
        assert!(kept < 10 * LEAST, "{kept} bytes of a hundred maps of {LEAST} or more, {pages:?}");
    }
}

#[test]
fn nobody_is_asked_for_huge_pages_that_are_not_wanted() {
    let _serial = serial();
    let before = advised();
    let (map, _) = map(Pages::Mapped, MANY as usize);
    fill(&map);
    expect(|bytes| bytes == 0, before, "without the option");
}
