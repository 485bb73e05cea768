//! How fast and how small beside the others? Every workload on every peer in one process, in strict alternation.
//!
//! `cargo bench --bench versus` takes some ten minutes; `-- --quick` less than one, with more noise. See `-- --help`.

#[path = "../common/mod.rs"]
mod common;
mod measure;
mod report;
mod workloads;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use common::Pin;
use common::peers::PEERS;
use measure::{Counting, Series, keep};
use report::Measurement;
use workloads::{Case, Seat, Unit, WORKLOADS, Workload};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// After so many rounds all maps are made anew, but not in a quick run.
const ROUNDS_A_LAY: usize = 3;

/// Measures ttlwheel beside other maps, in one process and in strict alternation.
#[derive(Parser)]
struct Args {
    /// Fewer operations a round: under 50 seconds in all
    #[arg(long)]
    quick: bool,
    /// One JSON object a line for each measurement, instead of tables
    #[arg(long)]
    json: bool,
    /// Write the tables here too, with the versions and the machine
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Only workloads whose name contains this (may be given again)
    #[arg(long, value_name = "PART")]
    workload: Vec<String>,
    /// Only peers whose name contains this, beside ourselves (may be given again)
    #[arg(long, value_name = "PART")]
    peer: Vec<String>,
    /// Only these sizes
    #[arg(long, value_name = "COUNT", value_delimiter = ',')]
    entries: Vec<usize>,
    /// Only these numbers of threads
    #[arg(long, value_name = "COUNT", value_delimiter = ',')]
    threads: Vec<usize>,
    /// Rounds, at least 5 [default: 9, quick: 5]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(5..))]
    rounds: Option<u16>,
    /// Given by cargo bench; without it this is a short run that checks the answers
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    fn rounds(&self) -> usize {
        match self.rounds {
            Some(rounds) => rounds.into(),
            None if !self.bench => 1,
            None if self.quick => 5,
            None => 9,
        }
    }

    /// How many gets a thread makes in a round.
    fn gets(&self, entries: usize) -> usize {
        match (self.bench, self.quick, entries) {
            (false, ..) => 1_000,
            (_, true, ..=100_000) => 200_000,
            (_, true, _) => 100_000,
            (_, false, ..) => 1_000_000,
        }
    }

    fn wants<T: PartialEq>(wanted: &[T], value: &T) -> bool {
        wanted.is_empty() || wanted.contains(value)
    }

    fn wants_name(wanted: &[String], name: &str) -> bool {
        wanted.is_empty() || wanted.iter().any(|part| name.contains(part))
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let started = Instant::now();
    keep();
    let measurements = measure_all(&args);
    if !args.json {
        print!("{}", report::tables(&measurements));
    }
    eprintln!("{:6.1} s  in all", started.elapsed().as_secs_f64());
    if let Some(file) = &args.markdown {
        let page = report::page(&measurements, args.rounds());
        if let Err(error) = std::fs::write(file, page) {
            eprintln!("{}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure_all(args: &Args) -> Vec<Measurement> {
    let mut sizes: Vec<usize> = WORKLOADS.iter().flat_map(|w| w.entries).copied().collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes.retain(|&size| Args::wants(&args.entries, &size) && (args.bench || size <= 100_000));

    let mut measurements = Vec::new();
    for entries in sizes {
        let mut table: Option<(&Workload, Vec<Seat>)> = None;
        let workloads = WORKLOADS
            .iter()
            .filter(|workload| workload.entries.contains(&entries) && Args::wants_name(&args.workload, workload.name));
        for workload in workloads {
            let start = Instant::now();
            // The old maps go before the new are made. In a quick run writers take over the readers' maps.
            let kept = table.take().filter(|(before, _)| {
                before.start == workload.start && (args.quick || !(before.writes || workload.writes))
            });
            let seats = kept.map_or_else(|| seats(args, workload, entries), |(_, seats)| seats);
            let (_, seats) = table.insert((workload, seats));
            for &threads in workload.threads {
                if !Args::wants(&args.threads, &threads)
                    || (args.quick && workload.slow && entries > 100_000 && threads > 1)
                {
                    continue;
                }
                let case = Case {
                    entries,
                    threads,
                    pin: Pin::PerOp,
                    ops: (args.gets(entries) / workload.weight).max(1),
                    round: 0,
                };
                let rows = play(args, workload, seats, case);
                if args.json {
                    print_json(&rows);
                }
                measurements.extend(rows);
            }
            let seconds = start.elapsed().as_secs_f64();
            eprintln!("{seconds:6.1} s  {}, {entries} entries", workload.name);
        }
    }
    measurements
}

fn seats(args: &Args, workload: &Workload, entries: usize) -> Vec<Seat> {
    let peers = PEERS.iter().enumerate();
    let wanted = peers.filter(|(i, peer)| *i == 0 || Args::wants_name(&args.peer, peer.name));
    let mut seats: Vec<_> = wanted.map(|(_, peer)| Seat::new(peer)).collect();
    Seat::lay(&mut seats, workload.start, entries, 0);
    seats
}

/// Plays all rounds of a case: in each every seat in turn, a seat with both ways of pinning twice, the first one moving
/// on each round. One more round comes before them and does not count.
fn play(args: &Args, workload: &Workload, seats: &mut [Seat], case: Case) -> Vec<Measurement> {
    let mut chairs: Vec<(usize, Pin, Series)> = Vec::new();
    for (i, seat) in seats.iter().enumerate() {
        let pins = seat.entry.pins.iter();
        let pins = pins.filter(|&&pin| pin == Pin::PerOp || workload.held);
        chairs.extend(pins.map(|&pin| (i, pin, Series::default())));
    }
    let first = match workload.unit {
        Unit::Nanos => 0,
        Unit::Bytes => args.rounds(),
    };
    for round in first..=args.rounds() {
        if round > 1 && round % ROUNDS_A_LAY == 1 && !args.quick {
            Seat::lay(seats, workload.start, case.entries, round / ROUNDS_A_LAY);
        }
        let case = Case { round, ..case };
        let keys = (workload.keys)(&case);
        for turn in 0..chairs.len() {
            let chair = (turn + round) % chairs.len();
            let (seat, pin, series) = &mut chairs[chair];
            let case = Case { pin: *pin, ..case };
            let sample = (workload.round)(&mut seats[*seat], &case, &keys);
            if round > 0 {
                series.push(sample);
            }
        }
    }
    let ours = |pin| {
        let ours = chairs.iter().find(|chair| chair.0 == 0 && chair.1 == pin);
        ours.map_or(f64::NAN, |chair| chair.2.median())
    };
    chairs
        .iter()
        .map(|(seat, pin, series)| {
            let median = series.median();
            Measurement {
                workload: workload.name,
                entries: case.entries,
                threads: case.threads,
                peer: pin.label(seats[*seat].entry.name),
                ns: (workload.unit == Unit::Nanos).then_some(median),
                bytes: (workload.unit == Unit::Bytes).then_some(median),
                min: series.min(),
                max: series.max(),
                ratio: ours(*pin) / median,
            }
        })
        .collect()
}

fn print_json(rows: &[Measurement]) {
    let mut out = std::io::stdout().lock();
    for row in rows {
        let line = serde_json::to_string(row).expect("plain fields");
        // A reader that has seen enough may close the pipe.
        let _ = writeln!(out, "{line}");
    }
}
