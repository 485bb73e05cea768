//! The order of play: sizes, workloads, threads; within each, rounds in which every peer has its turn.

use std::io::Write as _;
use std::time::Instant;

use serde::Serialize;

use crate::common::{Data, Way, Words, peers};
use crate::heap::settle;
use crate::measure::Series;
use crate::workloads::{Case, Rounds, Seat, Sizes, Start, Unit, Volume, Workload};
use crate::{Args, Result};

/// From so many entries on there are three rounds at most, as it takes seconds to fill a map.
const LARGE: usize = 10_000_000;
/// After so many rounds all maps are made anew, but not in a quick run.
const ROUNDS_A_LAY: usize = 3;

/// One figure of one peer in one case.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    pub set: &'static str,
    /// The workload, and which of its figures.
    pub workload: String,
    pub entries: usize,
    pub threads: usize,
    pub peer: String,
    /// The median, in nanoseconds an operation as each thread sees it; none for bytes.
    pub ns: Option<f64>,
    /// The median, in bytes an entry; none for nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<f64>,
    pub min: f64,
    pub max: f64,
    /// The row of ours that this one is compared with.
    pub against: String,
    /// Ours over theirs, taken round by round: the median.
    pub ratio: f64,
    pub ratio_min: f64,
    pub ratio_max: f64,
    /// The rounds.
    #[serde(skip)]
    pub series: Series,
    #[serde(skip)]
    pub workload_name: &'static str,
}

/// Plays workloads, prints as it goes, and hands out the rows of each.
pub fn all<D: Data>(
    args: &Args,
    workloads: &[Workload<D>],
    mut hand_out: impl FnMut(Vec<Measurement>) -> Result,
) -> Result {
    let mut sizes: Vec<usize> = workloads.iter().flat_map(|workload| sizes(args, workload)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for entries in sizes {
        let mut table: Option<(&Workload<D>, Vec<Seat<D>>)> = None;
        for workload in workloads.iter().filter(|&workload| self::sizes(args, workload).contains(&entries)) {
            let start = Instant::now();
            // The old maps go before the new are made. In a quick run writers take over the readers' maps.
            let kept = table.take().filter(|(before, _)| {
                before.start == workload.start
                    && workload.start == Start::Filled
                    && !before_writes(args, before, workload)
            });
            let seats = kept.map_or_else(|| seats(args, workload, entries), |(_, seats)| seats);
            let (_, seats) = table.insert((workload, seats));
            let mut all_rows = Vec::new();
            for &threads in workload.threads {
                let spared = args.quick && workload.writes && entries > 100_000 && threads > 1;
                if spared || !(args.threads.is_empty() || args.threads.contains(&threads)) {
                    continue;
                }
                let ops = (args.gets() / workload.weight).max(1);
                let case = Case { entries, threads, way: Way::Call, ops, round: 0, volume: args.volume() };
                let rows = rounds(args, workload, seats, case);
                if args.json {
                    print_json(&rows);
                }
                all_rows.extend(rows);
            }
            hand_out(all_rows)?;
            let seconds = start.elapsed().as_secs_f64();
            eprintln!("{seconds:6.1} s  {}, {}, {entries} entries", D::NAME, workload.name);
        }
    }
    Ok(())
}

fn before_writes<D: Data>(args: &Args, before: &Workload<D>, workload: &Workload<D>) -> bool {
    !args.quick && (before.writes || workload.writes)
}

fn sizes<D: Data>(args: &Args, workload: &Workload<D>) -> Vec<usize> {
    // The second set is for the full run to ask at all sizes.
    let most = match args.volume() {
        Volume::Check => 10_000,
        Volume::Quick if D::NAME != Words::NAME => 10_000,
        Volume::Quick | Volume::Full => usize::MAX,
    };
    match workload.entries {
        Sizes::One(full, _) if args.volume() == Volume::Full => vec![full],
        Sizes::One(_, quick) if args.volume() == Volume::Quick => vec![quick],
        Sizes::One(_, quick) => vec![quick.min(10_000)],
        Sizes::Any(..) if !args.entries.is_empty() => args.entries.clone(),
        Sizes::Any(..) if args.sizes => crate::sizes::all(args.volume()).to_vec(),
        Sizes::Any(full, quick) => {
            let sizes = if args.volume() == Volume::Quick { quick } else { full };
            // All peers at once would not have room for as many of the second set.
            let large = (args.large && D::NAME == Words::NAME).then_some(LARGE);
            let mut sizes: Vec<_> = sizes.iter().copied().chain(large).map(|entries| entries.min(most)).collect();
            sizes.dedup();
            sizes
        }
    }
}

fn seats<D: Data>(args: &Args, workload: &Workload<D>, entries: usize) -> Vec<Seat<D>> {
    let peers = peers::all::<D>().into_iter().enumerate();
    let wanted = peers.filter(|(i, peer)| *i == 0 || args.wants_peer(workload, peer));
    let mut seats: Vec<_> = wanted.map(|(_, peer)| Seat::new(peer)).collect();
    Seat::lay(&mut seats, workload.start, entries, 0);
    seats
}

/// A peer asked in one way, and what came of it: a series a figure.
struct Chair {
    seat: usize,
    way: Way,
    figures: Vec<Series>,
}

/// Plays all rounds of a case: in each every seat in turn, a seat with several ways once for each, the first one moving
/// on each round. Where all rounds count, one more comes before them that does not.
fn rounds<D: Data>(args: &Args, workload: &Workload<D>, seats: &mut [Seat<D>], case: Case) -> Vec<Measurement> {
    let mut chairs: Vec<Chair> = Vec::new();
    for (seat, of) in seats.iter().enumerate() {
        let wanted = |way: Way| (workload.ways)(way) && (!args.sizes || matches!(way, Way::Call | Way::Held));
        let ways = of.entry.ways.iter().filter(|&&way| wanted(way));
        let figures = vec![Series::default(); workload.figures.len()];
        chairs.extend(ways.map(|&way| Chair { seat, way, figures: figures.clone() }));
    }
    let most = if case.entries >= LARGE { args.rounds().min(3) } else { args.rounds() };
    let (first, last) = match workload.rounds {
        Rounds::All => (0, most),
        Rounds::Five => (1, most.min(if args.quick { 3 } else { 5 })),
        Rounds::One => (1, 1),
    };
    for round in first..=last {
        if round > 1 && round % ROUNDS_A_LAY == 1 && !args.quick && workload.start == Start::Filled {
            Seat::lay(seats, workload.start, case.entries, round / ROUNDS_A_LAY);
        }
        let case = Case { round, ..case };
        let keys = (workload.keys)(&case);
        for turn in 0..chairs.len() {
            let count = chairs.len();
            let chair = &mut chairs[(turn + round) % count];
            let case = Case { way: chair.way, ..case };
            settle();
            let samples = (workload.round)(&mut seats[chair.seat], &case, &keys);
            assert_eq!(samples.len(), chair.figures.len(), "a sample of each figure");
            if round > 0 {
                chair.figures.iter_mut().zip(samples).for_each(|(series, sample)| series.0.push(sample));
            }
        }
    }
    let figures = 0..workload.figures.len();
    figures.flat_map(|figure| tell(workload, seats, case, &chairs, figure)).collect()
}

/// The rows of one figure.
fn tell<D: Data>(
    workload: &Workload<D>,
    seats: &[Seat<D>],
    case: Case,
    chairs: &[Chair],
    figure: usize,
) -> Vec<Measurement> {
    let told = workload.figures[figure];
    let row = |chair: &Chair| {
        let series = &chair.figures[figure];
        let way = chair.way.rival();
        let ours = chairs.iter().find(|chair| chair.seat == 0 && chair.way == way).expect("our own row");
        let ratios = ours.figures[figure].over(series);
        let median = series.median();
        Measurement {
            set: D::NAME,
            workload: match told.name {
                "" => workload.name.to_owned(),
                name => format!("{}: {name}", workload.name),
            },
            entries: case.entries,
            threads: case.threads,
            peer: chair.way.label(seats[chair.seat].entry.name),
            ns: (told.unit == Unit::Nanos).then_some(median),
            bytes: (told.unit == Unit::Bytes).then_some(median),
            min: series.min(),
            max: series.max(),
            against: way.label(seats[0].entry.name),
            ratio: ratios.median(),
            ratio_min: ratios.min(),
            ratio_max: ratios.max(),
            series: series.clone(),
            workload_name: workload.name,
        }
    };
    chairs.iter().map(row).collect()
}

fn print_json(rows: &[Measurement]) {
    let mut out = std::io::stdout().lock();
    for row in rows {
        let line = serde_json::to_string(row).expect("plain fields");
        // A reader that has seen enough may close the pipe.
        let _ = writeln!(out, "{line}");
    }
}
