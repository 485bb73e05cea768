//! A row of cluster statistics, as published for Twitter's caches (Yang, Yue and Vinayak, OSDI'20).

use std::path::Path;

use serde::Deserialize;

use crate::failure::Failure;
use crate::trace::LARGEST_VALUE;

/// memcached's limit.
const LONGEST_KEY: u32 = 250;

/// What the generator needs to know of a cluster.
#[derive(Debug)]
pub struct Cluster {
    /// Key length in bytes.
    pub key_bytes: usize,
    /// Mean value length in bytes.
    pub value_bytes: u32,
    pub requests_per_second: f64,
    /// Requests a key, on average.
    pub mean_frequency: f64,
    /// The exponent of the keys' popularity; 0 is uniform.
    pub zipf_alpha: f64,
    /// Operations and their shares.
    pub op_mix: Vec<(Op, f64)>,
    /// Times to live in seconds (0 is for ever) and their shares.
    pub ttl_mix: Vec<(u64, f64)>,
}

/// A cache operation of the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    pub name: &'static str,
    /// Whether it stores a value, and so carries a TTL.
    pub stores: bool,
}

const OPS: [Op; 11] = {
    const fn op(name: &'static str, stores: bool) -> Op {
        Op { name, stores }
    }
    [
        op("get", false),
        op("gets", false),
        op("incr", false),
        op("decr", false),
        op("delete", false),
        op("set", true),
        op("add", true),
        op("cas", true),
        op("replace", true),
        op("append", true),
        op("prepend", true),
    ]
};

/// The columns that are read; what they hold is checked only where a cluster is asked for.
#[derive(Deserialize)]
struct Row {
    cluster: String,
    key_bytes: String,
    value_bytes: String,
    kqps: String,
    mean_frequency: String,
    ttl_mix: String,
    op_mix: String,
    zipf_alpha: String,
}

impl Cluster {
    /// Finds a cluster by its name, `cluster4`, or its number, `4`.
    pub fn find(stats: &Path, wanted: &str) -> Result<Self, Failure> {
        let file = stats.display();
        let malformed = |error: csv::Error| match error.position() {
            Some(position) => Failure::at_line(&file, position.line(), &error),
            None => Failure::in_file(&file, &error),
        };
        let mut reader = csv::Reader::from_path(stats).map_err(malformed)?;
        let headers = reader.headers().map_err(malformed)?.clone();
        for record in reader.records() {
            let record = record.map_err(malformed)?;
            let row: Row = record.deserialize(Some(&headers)).map_err(malformed)?;
            if row.cluster == wanted || row.cluster.strip_prefix("cluster") == Some(wanted) {
                let line = record.position().map_or(0, csv::Position::line);
                return Cluster::from_row(&row).map_err(|reason| Failure::at_line(&file, line, reason));
            }
        }
        Err(Failure::in_file(&file, format!("there is no cluster `{wanted}`")))
    }

    fn from_row(row: &Row) -> Result<Self, String> {
        Ok(Cluster {
            key_bytes: at_most(LONGEST_KEY, "key_bytes", &row.key_bytes)? as usize,
            value_bytes: at_most(LARGEST_VALUE, "value_bytes", &row.value_bytes)? as u32,
            requests_per_second: 1000.0 * number("kqps", &row.kqps)?,
            mean_frequency: number("mean_frequency", &row.mean_frequency)?,
            zipf_alpha: if known(&row.zipf_alpha) { number("zipf_alpha", &row.zipf_alpha)? } else { 0.0 },
            op_mix: mix("op_mix", &row.op_mix, op)?,
            ttl_mix: if known(&row.ttl_mix) { mix("ttl_mix", &row.ttl_mix, seconds)? } else { vec![(0, 1.0)] },
        })
    }
}

/// Whether a field says anything.
fn known(field: &str) -> bool {
    !matches!(field.trim(), "" | "NA" | "N/A")
}

fn number(name: &str, field: &str) -> Result<f64, String> {
    match field.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err(format!("{name} `{field}` is not a number of 0 or more")),
    }
}

fn at_most(limit: u32, name: &str, field: &str) -> Result<f64, String> {
    match number(name, field)? {
        number if number <= f64::from(limit) => Ok(number),
        _ => Err(format!("{name} `{field}` is over {limit}")),
    }
}

/// Reads `what:share` pairs, set apart by spaces or commas. The shares need not add up to one.
fn mix<T>(name: &str, field: &str, what: impl Fn(&str) -> Option<T>) -> Result<Vec<(T, f64)>, String> {
    let mix = field
        .split([',', ' '])
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (left, right) = pair.split_once(':')?;
            Some((what(left)?, number(name, right).ok()?))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| format!("{name} `{field}` can't be understood"))?;
    if mix.iter().all(|&(_, share)| share == 0.0) {
        return Err(format!("{name} `{field}` has no shares"));
    }
    Ok(mix)
}

fn op(name: &str) -> Option<Op> {
    OPS.into_iter().find(|op| op.name == name)
}

/// A time to live such as `1.8h`, in whole seconds and not below one.
fn seconds(text: &str) -> Option<u64> {
    let unit = match text.chars().last()? {
        's' => 1.0,
        'm' => 60.0,
        'h' => 3600.0,
        'd' => 86400.0,
        _ => return None,
    };
    let count = number("", &text[..text.len() - 1]).ok()?;
    Some((count * unit).round().max(1.0) as u64)
}
