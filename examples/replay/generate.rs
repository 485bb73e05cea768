//! Makes a twemcache trace from a cluster's statistics.
//!
//! Requests come at an even rate. Each draws its key by popularity (Zipf), its operation and, if it stores, its time
//! to live, all independently: a trace with the cluster's mixes and skew, not with its correlations. The number of
//! keys is what gives the cluster's mean frequency if every key is asked for. A key's value has one size, spread
//! evenly over half to one and a half times the mean.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rand::SeedableRng;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Distribution, Zipf};

use crate::cluster::Cluster;
use crate::failure::{self, Failure};

/// What is to be made.
#[derive(Debug)]
pub struct Order<'a> {
    pub cluster: &'a str,
    pub stats: &'a Path,
    pub requests: u64,
    pub seed: u64,
    /// Requests a second, if not the cluster's own rate.
    pub rate: Option<u32>,
    /// The file to write, if not standard output.
    pub out: Option<&'a Path>,
}

/// Carries out an order.
pub fn run(order: &Order<'_>) -> Result<(), Failure> {
    let cluster = Cluster::find(order.stats, order.cluster)?;
    let generator = Generator::new(&cluster, order)
        .map_err(|reason| Failure::in_file(order.stats.display(), format!("{}: {reason}", order.cluster)))?;
    match order.out {
        None => {
            let written = generator.write(BufWriter::new(io::stdout().lock()));
            failure::unless_reader_left(Path::new("standard output"), written)
        }
        Some(path) => {
            let written = File::create(path).and_then(|file| generator.write(BufWriter::new(file)));
            failure::unless_reader_left(path, written)
        }
    }
}

struct Generator<'a> {
    cluster: &'a Cluster,
    requests: u64,
    seed: u64,
    rate: f64,
    popularity: Zipf<f64>,
    ops: WeightedIndex<f64>,
    ttls: WeightedIndex<f64>,
}

impl<'a> Generator<'a> {
    fn new(cluster: &'a Cluster, order: &Order<'_>) -> Result<Self, String> {
        let rate = order.rate.map_or(cluster.requests_per_second, f64::from);
        if rate <= 0.0 {
            return Err("kqps is 0; --rate can replace it".to_owned());
        }
        let keys = (order.requests as f64 / cluster.mean_frequency.max(1.0)).round().max(1.0);
        Ok(Generator {
            cluster,
            requests: order.requests,
            seed: order.seed,
            rate,
            popularity: Zipf::new(keys, cluster.zipf_alpha).map_err(|error| format!("zipf_alpha: {error}"))?,
            ops: shares(&cluster.op_mix).map_err(|error| format!("op_mix: {error}"))?,
            ttls: shares(&cluster.ttl_mix).map_err(|error| format!("ttl_mix: {error}"))?,
        })
    }

    fn write(&self, mut out: impl Write) -> io::Result<()> {
        // This generator's numbers are the same on every platform and in every release.
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        for index in 0..self.requests {
            let time = (index as f64 / self.rate) as u64;
            let id = self.popularity.sample(&mut random) as u64;
            let (op, _) = self.cluster.op_mix[self.ops.sample(&mut random)];
            let ttl = if op.stores { self.cluster.ttl_mix[self.ttls.sample(&mut random)].0 } else { 0 };
            let key = format!("k{id:0width$}", width = self.cluster.key_bytes.saturating_sub(1));
            let value_size = self.value_size(id);
            writeln!(out, "{time},{key},{},{value_size},0,{},{ttl}", key.len(), op.name)?;
        }
        out.flush()
    }

    /// The size of a key's value: always the same one.
    fn value_size(&self, id: u64) -> u64 {
        let mean = u64::from(self.cluster.value_bytes);
        (mean / 2 + mix64(self.seed ^ id) % (mean + 1)).max(1)
    }
}

fn shares<T>(mix: &[(T, f64)]) -> Result<WeightedIndex<f64>, rand::distr::weighted::Error> {
    WeightedIndex::new(mix.iter().map(|&(_, share)| share))
}

/// The finalizer of splitmix64.
fn mix64(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
