//! Results as JSON lines and as markdown.

use std::fmt::Write as _;
use std::process::Command;

use serde::Serialize;

use crate::common::peers::PEERS;
use crate::workloads::{Unit, WORKLOADS};

/// One peer in one case.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    pub workload: &'static str,
    pub entries: usize,
    pub threads: usize,
    pub peer: String,
    /// The median, in nanoseconds an operation as each thread sees it; none for a workload in bytes.
    pub ns: Option<f64>,
    /// The median of a workload in bytes an entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<f64>,
    pub min: f64,
    pub max: f64,
    /// Our median by theirs, both with the same way of pinning.
    pub ratio: f64,
}

impl Measurement {
    fn cell(&self) -> String {
        let median = self.ns.or(self.bytes).unwrap_or(f64::NAN);
        let (median, min, max) = (short(median), short(self.min), short(self.max));
        let spread = match self.bytes {
            Some(_) => String::new(),
            None => format!(" ({min}–{max})"),
        };
        match self.peer.starts_with(PEERS[0].name) {
            true => format!("{median}{spread}"),
            false => format!("{median}{spread} **{:.2}**", self.ratio),
        }
    }
}

/// Three digits are more than such a figure is worth.
fn short(figure: f64) -> String {
    match figure {
        f if f < 10.0 => format!("{f:.2}"),
        f if f < 100.0 => format!("{f:.1}"),
        f => format!("{f:.0}"),
    }
}

fn count(entries: usize) -> String {
    match entries {
        n if n >= 1_000_000 && n % 1_000_000 == 0 => format!("{} M", n / 1_000_000),
        n if n >= 1_000 && n % 1_000 == 0 => format!("{} k", n / 1_000),
        n => n.to_string(),
    }
}

/// A table a workload: a row a peer, a column a size and number of threads.
pub fn tables(measurements: &[Measurement]) -> String {
    let mut text = String::new();
    for workload in WORKLOADS {
        let rows: Vec<_> = measurements.iter().filter(|m| m.workload == workload.name).collect();
        let mut columns: Vec<_> = rows.iter().map(|m| (m.entries, m.threads)).collect();
        columns.sort_unstable();
        columns.dedup();
        let mut peers: Vec<&str> = Vec::new();
        for row in &rows {
            if !peers.contains(&row.peer.as_str()) {
                peers.push(&row.peer);
            }
        }
        if rows.is_empty() {
            continue;
        }
        let unit = match workload.unit {
            Unit::Nanos => "ns",
            Unit::Bytes => "bytes",
        };
        writeln!(text, "### {}\n\n{}; {unit}.\n", workload.name, workload.about).unwrap();
        let heads = columns.iter().map(|&(entries, threads)| {
            let plural = if threads == 1 { "" } else { "s" };
            format!(" {}, {threads} thread{plural} |", count(entries))
        });
        writeln!(text, "| |{}", heads.collect::<String>()).unwrap();
        writeln!(text, "|---|{}", "---|".repeat(columns.len())).unwrap();
        for peer in peers {
            let cells = columns.iter().map(|&(entries, threads)| {
                rows.iter()
                    .find(|m| m.peer == peer && m.entries == entries && m.threads == threads)
                    .map_or(" |".to_owned(), |m| format!(" {} |", m.cell()))
            });
            writeln!(text, "| {peer} |{}", cells.collect::<String>()).unwrap();
        }
        text.push('\n');
    }
    text
}

/// The tables with what they were measured on and how to read them.
pub fn page(measurements: &[Measurement], rounds: usize) -> String {
    format!(
        "## Side by side\n\n\
         Measured by `cargo bench --bench versus{}`: {}.\n\
         One process; within each of {rounds} rounds every peer in turn; the median, in brackets the least and the \
         greatest round, and **in bold our median over theirs** (below 1: we are faster or smaller), pin held against \
         pin held, else a pin an operation. Keys and values are `u64`, the hasher is foldhash (quality) for all. With \
         two threads the figure is the time an operation takes on each of them. Freed memory is kept by \
         the process, so that no map pays for page faults; but for `--quick`, all maps are made anew every third round.\n\n{}",
        std::env::args()
            .skip(1)
            .filter(|arg| arg != "--bench")
            .enumerate()
            .map(|(i, arg)| if i == 0 { format!(" -- {arg}") } else { format!(" {arg}") })
            .collect::<String>(),
        surroundings(),
        tables(measurements)
    )
}

/// Processor, compiler and the versions of the peers.
fn surroundings() -> String {
    let mut parts = vec![cpu()];
    parts.extend(rustc());
    let mut packages: Vec<_> = PEERS.iter().map(|peer| peer.package).collect();
    packages.push("foldhash");
    packages.dedup();
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock");
    let lock = std::fs::read_to_string(lock).unwrap_or_default();
    let versions = packages.into_iter().map(|package| {
        let version = version(&lock, package).unwrap_or("of unknown version");
        format!("{package} {version}")
    });
    parts.extend(versions);
    parts.join(", ")
}

fn version<'l>(lock: &'l str, package: &str) -> Option<&'l str> {
    let after = lock.split(&format!("name = \"{package}\"\nversion = \"")).nth(1)?;
    after.split('"').next()
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    let model = model.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    format!("{model} ({cores} cores seen)")
}

fn rustc() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split(" (").next()?.trim();
    (!version.is_empty()).then(|| version.to_owned())
}
