//! The command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, value_parser};

use crate::generate::Order;
use crate::trace::Format;

/// Where the picture goes when nobody says.
const DEFAULT_SVG: &str = "replay.svg";
const DEFAULT_SEED: u64 = 1;

/// Replays a cache trace through a ttlwheel map, in the trace's own time.
///
/// Prints what happened as a table (or as JSON) and draws the entries over time as an SVG. Without arguments it
/// replays a small trace that the project generated and carries.
#[derive(Debug, Parser)]
#[command(version, after_long_help = SEMANTICS)]
pub struct Args {
    /// The trace to replay [default: the one that the project carries]
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,

    /// The trace's format [default: cloudphysics if the file begins with that format's header, else twemcache]
    #[arg(long, value_enum)]
    pub format: Option<Format>,

    /// Time to live of what a read or a cloudphysics write inserts: `300s`, `1h 30m`, `0s`, or `never`
    #[arg(long, value_name = "DURATION", default_value = "300s")]
    pub ttl: Ttl,

    /// Threads on the one map; the counts are the same for any number
    #[arg(long, value_name = "N", default_value = "1", value_parser = threads)]
    pub threads: usize,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,

    /// Where to draw live, stored and lapsed entries over time [default: replay.svg; with --json: nowhere]
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Make a twemcache trace like this cluster of --stats instead of replaying one
    #[arg(
        long,
        value_name = "CLUSTER",
        requires_all = ["stats", "requests"],
        conflicts_with_all = ["trace", "format", "ttl", "threads", "json", "svg"]
    )]
    generate: Option<String>,

    /// A CSV of cluster statistics, as published for Twitter's caches of March 2020
    #[arg(long, value_name = "FILE", requires = "generate")]
    stats: Option<PathBuf>,

    /// How many requests to generate
    #[arg(long, value_name = "N", requires = "generate")]
    requests: Option<u64>,

    /// The same seed makes the same trace [default: 1]
    #[arg(long, value_name = "S", requires = "generate")]
    seed: Option<u64>,

    /// Requests a second of trace time [default: the cluster's own rate]
    #[arg(long, value_name = "N", requires = "generate", value_parser = value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// Where the generated trace goes [default: standard output]
    #[arg(long, value_name = "FILE", requires = "generate")]
    out: Option<PathBuf>,
}

const SEMANTICS: &str = "\
Read-through:
  A read is a get, and on a miss an insert that lives for --ttl; a write is an insert.

cloudphysics  `version,time,op,size,lbn` with that header; time in whole seconds.
  28            a read of block lbn
  2a            a write of block lbn, which lives for --ttl

twemcache     `timestamp,key,key_size,value_size,client_id,op,ttl` without a header; times in whole seconds.
  get, gets, incr, decr           reads
  set                             inserts
  add                             inserts where no live entry is
  replace, cas, append, prepend   insert only over a live entry
  delete                          removes
  Inserts other than a read's live for the row's ttl, where 0 means for ever. Values have the row's size.

Time:
  The map's clock is manual and shows the trace's time. Where that goes back, the clock stands still.

The report:
  inserts = replaced_live + lapsed + removed + live_at_end, checked on every run: the left side counts calls, the
  right side how each value ended.
  lapsed                 entries that expired, whether or not their memory has been given back
  operations a second    requests over wall time, with the purging of what lapsed, without parsing and sampling
  bytes an entry         bytes that the map has asked of the allocator (keys and values included) over the entries it
                         stores, at that sample (of about 200 over the trace's time) where it stores most

Exit codes: 0 reported in full; 1 the input is wrong, and nothing is reported; 2 the map lost count.";

impl Args {
    /// The trace to make, if one is asked for.
    pub fn order(&self) -> Option<Order<'_>> {
        Some(Order {
            cluster: self.generate.as_deref()?,
            stats: self.stats.as_deref()?,
            requests: self.requests?,
            seed: self.seed.unwrap_or(DEFAULT_SEED),
            rate: self.rate,
            out: self.out.as_deref(),
        })
    }

    /// Where to draw, if at all.
    pub fn svg(&self) -> Option<PathBuf> {
        match &self.svg {
            None if self.json => None,
            None => Some(PathBuf::from(DEFAULT_SVG)),
            Some(path) => Some(path.clone()),
        }
    }
}

/// A time to live; `None` is for ever.
#[derive(Clone, Copy, Debug)]
pub struct Ttl(pub Option<Duration>);

impl FromStr for Ttl {
    type Err = humantime::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "never" => Ok(Ttl(None)),
            _ => humantime::parse_duration(text).map(|ttl| Ttl(Some(ttl))),
        }
    }
}

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=256) => Ok(threads),
        _ => Err("expected a number from 1 to 256".to_owned()),
    }
}
