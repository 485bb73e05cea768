//! Results as markdown.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::common::{Data, Texts, Words};
use crate::machine::{Neighbours, command, surroundings};
use crate::play::Measurement;
use crate::targets;
use crate::workloads;
use crate::{Args, Result, sizes};

/// Three digits are more than such a figure is worth.
fn short(figure: f64) -> String {
    match figure {
        f if f < 10.0 => format!("{f:.2}"),
        f if f < 100.0 => format!("{f:.1}"),
        f if f < 10_000.0 => format!("{f:.0}"),
        f if f < 10_000_000.0 => format!("{:.0} k", f / 1e3),
        f => format!("{:.0} M", f / 1e6),
    }
}

/// A case in words; nothing if there is no more than one.
pub fn case(entries: usize, threads: usize) -> String {
    let entries = match entries {
        0 | 1 => None,
        n if n % 1_000_000 == 0 => Some(format!("{} M", n / 1_000_000)),
        n if n % 1_000 == 0 => Some(format!("{} k", n / 1_000)),
        n => Some(n.to_string()),
    };
    let threads = (threads > 1).then(|| format!("{threads} threads"));
    entries.into_iter().chain(threads).collect::<Vec<_>>().join(", ")
}

pub fn cell(row: &Measurement) -> String {
    let median = row.ns.or(row.bytes).unwrap_or(f64::NAN);
    let spread = match row.min == row.max {
        true => String::new(),
        false => format!(" ({}–{})", short(row.min), short(row.max)),
    };
    match row.peer == row.against {
        true => format!("{}{spread}", short(median)),
        false => format!("{}{spread} **{:.2}**", short(median), row.ratio),
    }
}

/// The targets, then a table a workload: a row a peer, a column a case or figure. Or cost by size, if that was asked for.
pub fn tables(args: &Args, measurements: &[Measurement]) -> String {
    if args.sizes {
        return sizes::tables(measurements);
    }
    let mut text = targets::table(measurements);
    text.push_str(&set::<Words>(measurements));
    text.push_str(&set::<Texts>(measurements));
    text
}

fn set<D: Data>(measurements: &[Measurement]) -> String {
    let mut text = String::new();
    for workload in workloads::all::<D>() {
        let rows = measurements.iter().filter(|row| row.set == D::NAME && row.workload_name == workload.name);
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() {
            continue;
        }
        writeln!(text, "### {}, {}\n\n{}.\n", workload.name, D::NAME, capital(workload.about)).unwrap();
        let mut columns: Vec<_> = rows.iter().map(|row| (row.entries, row.threads, &row.workload)).collect();
        columns.dedup();
        let mut peers: Vec<&str> = Vec::new();
        for row in &rows {
            if !peers.contains(&row.peer.as_str()) {
                peers.push(&row.peer);
            }
        }
        let heads = columns.iter().map(|&(entries, threads, name)| {
            let figure = name.split_once(": ").map(|(_, figure)| figure.to_owned());
            let case = Some(case(entries, threads)).filter(|case| !case.is_empty());
            format!(" {} |", case.into_iter().chain(figure).collect::<Vec<_>>().join(", "))
        });
        writeln!(text, "| |{}", heads.collect::<String>()).unwrap();
        writeln!(text, "|---|{}", "---|".repeat(columns.len())).unwrap();
        for peer in peers {
            let cells = columns.iter().map(|&(entries, threads, name)| {
                rows.iter()
                    .find(|m| m.peer == peer && m.entries == entries && m.threads == threads && m.workload == *name)
                    .map_or(" |".to_owned(), |m| format!(" {} |", cell(m)))
            });
            writeln!(text, "| {peer} |{}", cells.collect::<String>()).unwrap();
        }
        text.push('\n');
    }
    text
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

/// The tables with what they were measured on and how to read them.
fn page(args: &Args, measurements: &[Measurement], neighbours: &Neighbours) -> String {
    format!(
        "Measured by `{}`:\n{}. {}\n\n\
         Nanoseconds an operation, or bytes an entry. In each round every peer has its turn, in one process; the figure is \
         the median of the rounds, in brackets the least and the greatest, and **in bold ours over theirs**, the median of \
         the ratios taken round by round (below 1: we are faster or smaller). Pins that are held are compared with our \
         held pin, all else with `read` of ours, or a pin an operation for writes; our rows in other ways are \
         compared with those, too. With two threads the figure is the time an operation takes on each of them. One hasher \
         for all, foldhash (quality). Ours has its default clock, exact to the nanosecond. Upkeep that a peer puts off \
         is in the time of the round. Freed memory is kept by the process, so that no map pays for page faults, and put together between rounds, so that none pays for what another left.\n\n{}",
        command(),
        surroundings(),
        neighbours.told(),
        tables(args, measurements)
    )
}

/// Puts the page between the markers of a file; at its end, if there are none.
pub fn write(args: &Args, file: &Path, measurements: &[Measurement], neighbours: &Neighbours) -> Result {
    let at = |error: std::io::Error| format!("{}: {error}", file.display());
    let old = if file.exists() { fs::read_to_string(file).map_err(at)? } else { String::new() };
    let name = if args.sizes { "sizes" } else { "versus" };
    Ok(fs::write(file, between(name, &old, &page(args, measurements, neighbours))).map_err(at)?)
}

/// What is between the lines of this name is replaced.
fn between(name: &str, old: &str, page: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let (before, after) = match (old.find(&begin), old.find(&end)) {
        (Some(from), Some(to)) if from < to => (&old[..from], &old[to + end.len()..]),
        _ => (old, "\n"),
    };
    format!("{before}{begin}\n\n{}\n\n{end}{after}", page.trim_end())
}
