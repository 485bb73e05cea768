//! Replays a cache trace through [`ttlwheel::TtlMap`], in the trace's own time.
//!
//! ```text
//! cargo run --release --example replay                                        # the trace that the project carries
//! cargo run --release --example replay -- --trace FILE --ttl 300s --threads 4
//! cargo run --release --example replay -- --generate cluster4 --stats STATS.csv --requests 100000 --seed 1 --out FILE
//! cargo run --release --example replay -- --help
//! ```
//!
//! ```text
//!  args ─▶ trace (file to requests) ─▶ play (requests to counts) ─▶ report (table, JSON), chart (SVG)
//!    │                                   ├ ledger: each value says how it ended
//!    │                                   └ memory: bytes asked of the allocator
//!    └──▶ cluster (row of statistics) ─▶ generate (row to a trace)
//! ```
//!
//! A run either reports in full (exit code 0) or says on standard error why it can't, with nothing on standard
//! output: 1 for what it was given (an argument, a file, a line), 2 for what must never be (an entry that the map
//! lost or counted twice).

mod args;
mod chart;
mod cluster;
mod failure;
mod generate;
mod key;
mod ledger;
mod memory;
mod play;
mod report;
mod striped;
mod trace;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use args::Args;
use failure::Failure;
use play::Settings;
use report::Report;
use trace::{Requests, Source};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(usage) => {
            // Nobody is left to tell if this can't be printed.
            let _ = usage.print();
            return ExitCode::from(u8::from(usage.use_stderr()));
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "error: {failure}");
            failure.exit_code()
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    match args.order() {
        Some(order) => generate::run(&order),
        None => replay(args),
    }
}

fn replay(args: &Args) -> Result<(), Failure> {
    let source = match &args.trace {
        Some(path) => Source::open(path)?,
        None => Source::carried(),
    };
    let (format, requests) = source.parse(args.format)?;
    let settings = Settings { ttl: args.ttl.0, threads: args.threads };
    let outcome = match requests {
        Requests::CloudPhysics(requests) => play::play(requests, &settings)?,
        Requests::Twemcache(requests) => play::play(requests, &settings)?,
    };
    let report = Report::new(&source.name, format, &settings, &outcome);

    // The picture first: should it fail, nothing has been reported yet.
    let svg = args.svg();
    if let Some(path) = &svg {
        chart::write(path, &format!("Entries over time: {}", report.title()), &outcome.samples)?;
    }
    let text = if args.json { report.json()? } else { report.table(svg.as_deref()) };
    print(&text)
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    failure::unless_reader_left(Path::new("standard output"), written)
}
