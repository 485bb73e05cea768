//! Makes maps with a five-minute time to live in a tight loop, sets and reads one key, drops them, as fast as possible,
//! and watches memory and threads: a map that leaves its thread behind shows at once.
//!
//! ```text
//! cargo run --release --example leak                       # all ways to own a reaper, some seconds
//! cargo run --release --example leak -- --maps 1000000 --mode none --mode shared
//! cargo run --release --example leak -- --json
//! ```
//!
//! ```text
//!  args ─▶ run (a mode's maps to samples) ─▶ report (table, JSON), chart (SVG)
//!            ├ mode: how a map lives
//!            └ memory, threads: what is watched
//! ```

mod args;
mod chart;
mod memory;
mod mode;
mod report;
mod run;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use args::Args;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

fn main() -> ExitCode {
    let args = Args::parse();
    match leak(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(1)
        }
    }
}

/// Runs all that is asked for; false if something was left behind that shouldn't be.
fn leak(args: &Args) -> Result<bool, Box<dyn std::error::Error>> {
    let mut outcomes = Vec::new();
    for mode in args.modes() {
        outcomes.push(run::run(mode, args.maps, !args.json)?);
    }
    let rivals = run::rivals(args.maps.min(100_000));
    if let Some(svg) = args.svg() {
        chart::write(&svg, &outcomes)?;
    }
    let text = if args.json { report::json(&outcomes, &rivals)? } else { report::table(&outcomes, &rivals) };
    let written = io::stdout().write_all(text.as_bytes());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error)?,
        _ => Ok(outcomes.iter().all(run::Outcome::is_clean)),
    }
}
