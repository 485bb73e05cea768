//! What was promised of the ratios, and what came of it.

use std::fmt::Write as _;

use crate::play::Measurement;

/// Our row over theirs, in one case.
struct Target {
    workload: &'static str,
    entries: &'static [usize],
    threads: &'static [usize],
    ours: &'static str,
    theirs: &'static str,
    at_most: f64,
}

const OURS: &str = "ttlwheel";
const HELD: &str = "ttlwheel, pin held";
const MANY: &str = "ttlwheel, pin held, get_many of 32";
const PAPAYA: &str = "papaya, no TTL";
const PAPAYA_HELD: &str = "papaya, no TTL, pin held";
const DEADLINE: &str = "papaya + deadline, coarse clock";
const DEADLINE_HELD: &str = "papaya + deadline, coarse clock, pin held";
const MOKA: &str = "moka + TTL";
const MINI_MOKA: &str = "mini-moka + TTL";
const DASHMAP: &str = "dashmap, no TTL";

const fn target(
    workload: &'static str,
    entries: &'static [usize],
    threads: &'static [usize],
    ours: &'static str,
    theirs: &'static str,
    at_most: f64,
) -> Target {
    Target { workload, entries, threads, ours, theirs, at_most }
}

const K10: &[usize] = &[10_000];
const M1: &[usize] = &[1_000_000];
const BOTH: &[usize] = &[10_000, 1_000_000];
/// What is measured at one size, which a quick run makes smaller.
const ITS_OWN: &[usize] = &[0, 1, 50_000, 1_000_000];

const TARGETS: &[Target] = &[
    target("get hit", BOTH, &[1, 2], OURS, MOKA, 0.14),
    target("get hit", M1, &[1, 2], OURS, DEADLINE, 0.85),
    target("get hit", M1, &[1, 2], HELD, DEADLINE_HELD, 0.85),
    target("get hit", K10, &[1, 2], HELD, PAPAYA_HELD, 1.0),
    target("get hit", M1, &[1, 2], HELD, PAPAYA_HELD, 0.95),
    target("get hit, zipf", K10, &[2], OURS, DASHMAP, 0.5),
    target("get miss", BOTH, &[1, 2], OURS, PAPAYA, 0.5),
    target("get hit", M1, &[1], MANY, HELD, 0.45),
    target("grow from empty", M1, &[1], OURS, PAPAYA, 0.6),
    target("grow from empty", M1, &[1], OURS, MOKA, 0.2),
    target("overwrite", K10, &[2], OURS, PAPAYA, 0.2),
    target("50/50 zipf", M1, &[2], OURS, DEADLINE, 0.4),
    target("50/50 zipf", M1, &[2], OURS, MOKA, 0.12),
    target("churn", M1, &[1, 2], OURS, PAPAYA, 0.5),
    target("reclaim lapsed", ITS_OWN, &[1], OURS, MINI_MOKA, 0.12),
    target("reclaim lapsed", ITS_OWN, &[1], OURS, MOKA, 0.04),
    target("steady state: p99.99", ITS_OWN, &[1], OURS, MOKA, 0.05),
    target("steady state: worst", ITS_OWN, &[1], OURS, MOKA, 0.05),
    target("while the table grows: get p99.9", ITS_OWN, &[2], OURS, PAPAYA, 1.0),
    target("while the table grows: insert p99.9", ITS_OWN, &[2], OURS, PAPAYA, 0.2),
    target("bytes an entry: asked", M1, &[1], OURS, PAPAYA, 0.85),
    target("bytes an entry: resident", M1, &[1], OURS, PAPAYA, 0.85),
    target("bytes an entry: asked", M1, &[1], OURS, MOKA, 0.18),
    target("bytes an entry: resident", M1, &[1], OURS, MOKA, 0.18),
    target("map life", ITS_OWN, &[1], OURS, PAPAYA, 0.4),
];

/// The table of targets, as far as they were measured.
pub fn table(measurements: &[Measurement]) -> String {
    let mut text = String::new();
    for target in TARGETS {
        for ours in measurements.iter().filter(|row| target.is_about(row, target.ours)) {
            let beside = |row: &&Measurement| row.entries == ours.entries && row.threads == ours.threads;
            let rival = measurements.iter().filter(|row| target.is_about(row, target.theirs)).find(beside);
            let Some(theirs) = rival else { continue };
            let ratios = ours.series.over(&theirs.series);
            let met = if ratios.median() <= target.at_most { "met" } else { "**missed**" };
            let case = crate::report::case(ours.entries, ours.threads);
            writeln!(
                text,
                "| {}{}{case} | {} | {} | {} | {:.2} ({:.2} to {:.2}) | {met} |",
                target.workload,
                if case.is_empty() { "" } else { ", " },
                target.ours,
                target.theirs,
                target.at_most,
                ratios.median(),
                ratios.min(),
                ratios.max(),
            )
            .unwrap();
        }
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "### Targets\n\n| workload | of ours | against | at most | measured | |\n|---|---|---|---|---|---|\n{text}\n"
    )
}

impl Target {
    fn is_about(&self, row: &Measurement, peer: &str) -> bool {
        row.workload == self.workload
            && row.set.starts_with("u64")
            && row.peer == peer
            && self.entries.contains(&row.entries)
            && self.threads.contains(&row.threads)
    }
}
