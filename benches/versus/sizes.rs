//! Cost by size: what an operation takes, and an entry's bytes, from a thousand entries to ten million.

use std::fmt::Write as _;

use crate::common::{Data, Entry, Upkeep};
use crate::play::Measurement;
use crate::report::{case, cell};
use crate::workloads::{Volume, Workload};

const WORKLOADS: [&str; 7] =
    ["get hit", "get miss", "overwrite", "churn", "grow from empty", "reclaim lapsed", "bytes an entry"];

/// A power of ten each.
pub fn all(volume: Volume) -> &'static [usize] {
    match volume {
        Volume::Check => &[1_000, 10_000],
        Volume::Quick => &[1_000, 10_000, 100_000],
        Volume::Full => &[1_000, 10_000, 100_000, 1_000_000, 10_000_000],
    }
}

/// Whether it is asked at all sizes.
pub fn is_about<D: Data>(workload: &Workload<D>) -> bool {
    WORKLOADS.contains(&workload.name)
}

/// papaya and dashmap, without deadlines but where something is to lapse.
pub fn is_beside<D: Data>(workload: &Workload<D>, peer: &Entry<D>) -> bool {
    ["papaya", "dashmap"].contains(&peer.package) && (workload.peers)(Upkeep::NoTtl) == (peer.upkeep == Upkeep::NoTtl)
}

/// A table for each number of threads: a row a figure and peer, a column a size.
pub fn tables(measurements: &[Measurement]) -> String {
    let distinct = |of: fn(&Measurement) -> usize| {
        let mut all: Vec<_> = measurements.iter().map(of).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let sizes = distinct(|row| row.entries);
    let mut text = String::new();
    for threads in distinct(|row| row.threads) {
        let heads: String = sizes.iter().map(|&entries| format!(" {} |", case(entries, 1))).collect();
        let title = if threads == 1 { "A thread".to_owned() } else { format!("{threads} threads") };
        writeln!(text, "### {title}\n\n| | |{heads}\n|---|---|{}", "---|".repeat(sizes.len())).unwrap();
        let rows = || measurements.iter().filter(|row| row.threads == threads);
        let mut seen = Vec::new();
        // Sizes were played one after the other, so all that there is stands at the first one, too.
        for (figure, peer) in rows().map(|row| (&row.workload, &row.peer)) {
            if seen.contains(&(figure, peer)) {
                continue;
            }
            // The operation is named once, before the first of its peers.
            let name = if seen.iter().any(|(told, _)| *told == figure) { "" } else { figure.as_str() };
            let cells = sizes.iter().map(|&entries| {
                rows()
                    .find(|row| row.entries == entries && row.workload == *figure && row.peer == *peer)
                    .map_or(" |".to_owned(), |row| format!(" {} |", cell(row)))
            });
            writeln!(text, "| {name} | {peer} |{}", cells.collect::<String>()).unwrap();
            seen.push((figure, peer));
        }
        text.push('\n');
    }
    text
}
