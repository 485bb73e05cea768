//! How fast and how small beside the others? Every workload on every peer in one process, in strict alternation.
//!
//! `cargo bench --bench versus` takes some twenty minutes; `-- --quick` less than one, with more noise. See `-- --help`.

#[path = "../common/mod.rs"]
mod common;
mod heap;
mod machine;
mod measure;
mod play;
mod plots;
mod report;
mod sizes;
mod targets;
mod timeline;
mod workloads;

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use common::{Data, Texts, Words};
use heap::{Counting, keep};
use machine::Neighbours;
use play::Measurement;
use workloads::{Alone, Volume, Workload};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Measures ttlwheel beside other maps, in one process and in strict alternation.
#[derive(Parser)]
struct Args {
    /// Fewer operations and smaller maps: under 50 seconds in all
    #[arg(long)]
    quick: bool,
    /// 10 M entries as well, of u64 to u64, in three rounds
    #[arg(long)]
    large: bool,
    /// Cost by size instead: what there is to know of it at 1 k to 10 M entries (quick: 100 k), u64 to u64, beside papaya and dashmap
    #[arg(long, conflicts_with_all = ["large", "plots", "set"])]
    sizes: bool,
    /// One JSON object a line for each measurement, instead of tables
    #[arg(long)]
    json: bool,
    /// Write the tables here too, between two markers: all else in the file stays
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Draw plots into this folder too
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,
    /// Only workloads whose name contains this (may be given again)
    #[arg(long, value_name = "PART")]
    workload: Vec<String>,
    /// Only peers whose name contains this, beside ourselves (may be given again)
    #[arg(long, value_name = "PART")]
    peer: Vec<String>,
    /// Only the set of keys and values whose name contains this: u64 or String
    #[arg(long, value_name = "PART")]
    set: Option<String>,
    /// These sizes instead of 10 k and 1 M, where the size is free
    #[arg(long, value_name = "COUNT", value_delimiter = ',')]
    entries: Vec<usize>,
    /// Only these numbers of threads
    #[arg(long, value_name = "COUNT", value_delimiter = ',')]
    threads: Vec<usize>,
    /// Rounds, at least 5 [default: 9, quick: 5]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(5..))]
    rounds: Option<u16>,
    /// Gets a thread makes in a round, of which other operations are a part [default: 1000000, quick: 30000]
    #[arg(long, value_name = "COUNT")]
    ops: Option<usize>,
    /// Given by cargo bench; without it this is a short run that checks the answers
    #[arg(long, hide = true)]
    bench: bool,
    /// Play this round on the peer and print the samples: for a process of its own
    #[arg(long, hide = true)]
    alone: Option<Alone>,
}

impl Args {
    fn volume(&self) -> Volume {
        match (self.bench, self.quick) {
            (false, _) => Volume::Check,
            (true, true) => Volume::Quick,
            (true, false) => Volume::Full,
        }
    }

    fn rounds(&self) -> usize {
        match (self.rounds, self.volume()) {
            (Some(rounds), _) => rounds.into(),
            (None, Volume::Check) => 1,
            (None, Volume::Quick) => 5,
            (None, Volume::Full) => 9,
        }
    }

    /// How many gets a thread makes in a round.
    fn gets(&self) -> usize {
        self.ops.unwrap_or(match self.volume() {
            Volume::Check => 1_000,
            Volume::Quick => 30_000,
            Volume::Full => 1_000_000,
        })
    }

    fn wants_name(wanted: &[String], name: &str) -> bool {
        wanted.is_empty() || wanted.iter().any(|part| name.contains(part))
    }

    fn wants_workload<D: Data>(&self, workload: &Workload<D>) -> bool {
        Args::wants_name(&self.workload, workload.name) && (!self.sizes || sizes::is_about(workload))
    }

    fn wants_peer<D: Data>(&self, workload: &Workload<D>, peer: &common::Entry<D>) -> bool {
        (workload.peers)(peer.upkeep)
            && Args::wants_name(&self.peer, peer.name)
            && (!self.sizes || sizes::is_beside(workload, peer))
    }

    fn wants_set(&self, name: &str) -> bool {
        if self.sizes {
            return name == Words::NAME;
        }
        self.set.as_ref().is_none_or(|part| name.contains(part))
    }
}

fn main() -> ExitCode {
    // Cargo starts a benchmark in its package's folder; files are named as seen from the one above.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    if env::current_dir().ok() == package.canonicalize().ok() {
        package.parent().map(env::set_current_dir);
    }
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result {
    if let Some(question) = args.alone {
        let answer = if args.wants_set(Words::NAME) { workloads::answer::<Words> } else { workloads::answer::<Texts> };
        let samples = answer(question, &args.peer[0], args.entries[0], args.volume());
        println!("{}", serde_json::to_string(&samples)?);
        return Ok(());
    }
    let (started, neighbours) = (Instant::now(), Neighbours::watch());
    keep();
    let mut measurements = Vec::new();
    set::<Words>(args, &mut measurements, &neighbours, |_| true)?;
    if let Some(folder) = &args.plots {
        plots::draw(folder, &measurements, &timeline::record(args.volume()))?;
    }
    set::<Texts>(args, &mut measurements, &neighbours, |workload| workload.texts)?;
    if !args.json {
        print!("{}", report::tables(args, &measurements));
    }
    eprintln!("{:6.1} s  in all", started.elapsed().as_secs_f64());
    Ok(())
}

/// All that is asked of one set of keys and values. The file of tables is written anew after each workload.
fn set<D: Data>(
    args: &Args,
    measurements: &mut Vec<Measurement>,
    neighbours: &Neighbours,
    wanted: fn(&Workload<D>) -> bool,
) -> Result {
    if !args.wants_set(D::NAME) {
        return Ok(());
    }
    let mut workloads = workloads::all::<D>();
    workloads.retain(|workload| wanted(workload) && args.wants_workload(workload));
    play::all(args, &workloads, |rows| {
        measurements.extend(rows);
        args.markdown.iter().try_for_each(|file| report::write(args, file, measurements, neighbours))
    })
}
