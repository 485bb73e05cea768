//! The summary, for people and programs.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::run::{Outcome, RECORD, Rival};

#[derive(Serialize)]
struct Report<'a> {
    modes: &'a [Outcome],
    others: &'a [Rival],
}

pub fn json(modes: &[Outcome], others: &[Rival]) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Report { modes, others }).map(|json| json + "\n")
}

pub fn table(outcomes: &[Outcome], rivals: &[Rival]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["", "maps", "ns a map", "threads: start, most, end", "heap: start", "most", "end", "left"]);
    let threads = |threads: Option<usize>| threads.map_or("?".to_string(), |threads| threads.to_string());
    for outcome in outcomes {
        let counts = [outcome.threads_at_start, outcome.most_threads, outcome.threads_at_end].map(threads).join(", ");
        table.add_row([
            outcome.mode.to_string(),
            outcome.maps.to_string(),
            outcome.ns_per_map.to_string(),
            counts,
            outcome.heap_at_start.to_string(),
            outcome.most_heap.to_string(),
            outcome.heap_at_end.to_string(),
            outcome.left().to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("{table}\n");
    // Writing to a string can't fail, here and below.
    let rivals: Vec<_> = rivals.iter().map(|rival| format!("{} {} ns", rival.name, rival.ns_per_map)).collect();
    let _ = writeln!(text, "the same life elsewhere (new, insert, get, drop): {}", rivals.join(", "));
    let _ = writeln!(
        text,
        "left: records of {RECORD} bytes that the collector keeps for the threads to come, as many as there were at once at \
         most{}",
        match outcomes.iter().find(|outcome| outcome.mode.ends_with("forgotten")) {
            Some(forgotten) => format!("; and {} a forgotten guard", forgotten.left_per_map),
            None => String::new(),
        }
    );
    text
}
