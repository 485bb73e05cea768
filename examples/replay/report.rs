//! What a replay came to, for people (a table) and programs (JSON).

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::failure::Failure;
use crate::play::{Outcome, Sample, Settings};
use crate::trace::Format;

/// The report, with JSON's names.
#[derive(Debug, Serialize)]
pub struct Report {
    trace: String,
    format: String,
    #[serde(skip)]
    ttl: Option<Duration>,
    /// `null` is for ever.
    ttl_seconds: Option<f64>,
    threads: usize,
    operations: usize,
    gets: u64,
    hits: u64,
    misses: u64,
    inserts: u64,
    replaced_live: u64,
    lapsed: u64,
    removed: u64,
    live_at_end: u64,
    operations_per_second: f64,
    bytes_per_entry: f64,
}

impl Report {
    /// Sums a replay up.
    pub fn new(trace: &str, format: Format, settings: &Settings, outcome: &Outcome) -> Self {
        let counts = &outcome.counts;
        Report {
            trace: trace.to_owned(),
            format: format.to_string(),
            ttl: settings.ttl,
            ttl_seconds: settings.ttl.map(|ttl| ttl.as_secs_f64()),
            threads: settings.threads,
            operations: outcome.requests,
            gets: counts.gets,
            hits: counts.hits,
            misses: counts.gets - counts.hits,
            inserts: counts.inserts,
            replaced_live: counts.replaced_live,
            lapsed: outcome.lapsed,
            removed: counts.removed,
            live_at_end: outcome.live_at_end,
            operations_per_second: ratio(outcome.requests as f64, outcome.elapsed.as_secs_f64()).round(),
            bytes_per_entry: bytes_per_entry(&outcome.samples),
        }
    }

    /// The run in one line.
    pub fn title(&self) -> String {
        let ttl = match self.ttl {
            Some(ttl) => humantime::format_duration(ttl).to_string(),
            None => "never".to_owned(),
        };
        let threads = if self.threads == 1 { "thread" } else { "threads" };
        format!("{} ({}), ttl {ttl}, {} {threads}", self.trace, self.format, self.threads)
    }

    /// The report as a table, with its title and where the picture is.
    pub fn table(&self, svg: Option<&Path>) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        for (name, number) in [
            ("gets", self.gets),
            ("hits", self.hits),
            ("misses", self.misses),
            ("inserts", self.inserts),
            ("replaced_live", self.replaced_live),
            ("lapsed", self.lapsed),
            ("removed", self.removed),
            ("live_at_end", self.live_at_end),
            ("operations a second", self.operations_per_second as u64),
            ("bytes an entry", self.bytes_per_entry.round() as u64),
        ] {
            table.add_row([name.to_owned(), number.to_string()]);
        }
        if let Some(numbers) = table.column_mut(1) {
            numbers.set_cell_alignment(CellAlignment::Right);
        }
        let mut text = format!("{}\n{table}\n", self.title());
        if let Some(svg) = svg {
            // Writing to a string can't fail.
            let _ = writeln!(text, "live, stored and lapsed entries over time: {}", svg.display());
        }
        text
    }

    /// The report as one JSON object.
    pub fn json(&self) -> Result<String, Failure> {
        match serde_json::to_string(self) {
            Ok(json) => Ok(json + "\n"),
            Err(error) => Err(Failure::Broken(format!("the report is no JSON: {error}"))),
        }
    }
}

/// At the sample with most stored entries, to a tenth of a byte.
fn bytes_per_entry(samples: &[Sample]) -> f64 {
    let fullest = samples.iter().max_by_key(|sample| sample.stored);
    fullest.map_or(0.0, |sample| (10.0 * ratio(sample.bytes as f64, sample.stored as f64)).round() / 10.0)
}

/// Zero where there is nothing to divide by.
fn ratio(dividend: f64, divisor: f64) -> f64 {
    if divisor == 0.0 { 0.0 } else { dividend / divisor }
}
