//! Trace files: two formats, read to the same requests.
//!
//! A file is read and checked as a whole before anything is replayed, so that a malformed line leaves nothing
//! half-reported. Keys borrow from the text: a request costs 48 bytes and no allocation.

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::path::Path;
use std::str;

use clap::ValueEnum;

use crate::failure::Failure;

/// The formats that can be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Block reads and writes: version,time,op,size,lbn
    #[value(name = "cloudphysics")]
    CloudPhysics,
    /// Cache requests: timestamp,key,key_size,value_size,client_id,op,ttl
    Twemcache,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::CloudPhysics => "cloudphysics",
            Format::Twemcache => "twemcache",
        })
    }
}

/// What a request does to the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Gets, and inserts on a miss.
    Read,
    /// Inserts.
    Write,
    /// Inserts where no live entry is.
    Add,
    /// Inserts only over a live entry.
    Overwrite,
    /// Removes.
    Remove,
}

/// How long the entry lives that a request inserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The map's own time to live.
    Default,
    /// This many seconds.
    Seconds(u64),
    /// It does not expire.
    Forever,
}

/// One line of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Request<K> {
    /// Seconds since the trace's first request; never less than the request's before.
    pub time: u64,
    pub key: K,
    /// Of the value that the request inserts, in bytes.
    pub size: u32,
    pub verb: Verb,
    pub life: Life,
}

/// A trace's requests, by the format's kind of key.
#[derive(Debug)]
pub enum Requests<'t> {
    CloudPhysics(Vec<Request<u64>>),
    Twemcache(Vec<Request<&'t str>>),
}

/// A trace's text and what to call it.
pub struct Source {
    /// The file's name as the user gave it.
    pub name: String,
    text: Cow<'static, [u8]>,
}

impl Source {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        match fs::read(path) {
            Ok(text) => Ok(Source { name, text: Cow::Owned(text) }),
            Err(error) => Err(Failure::in_file(name, error)),
        }
    }

    /// The trace that the project carries: 24,000 requests like Twitter's cluster 23 at 40 a second, made by
    /// `--generate cluster23 --requests 24000 --rate 40 --seed 1`.
    pub fn carried() -> Self {
        Source {
            name: "examples/replay/sample.twemcache.csv".to_owned(),
            text: Cow::Borrowed(include_bytes!("sample.twemcache.csv")),
        }
    }

    /// Reads all requests, in `format` or in the one that the first line shows.
    pub fn parse(&self, format: Option<Format>) -> Result<(Format, Requests<'_>), Failure> {
        let format = match format {
            Some(format) => format,
            None if self.text.is_empty() => {
                return Err(Failure::in_file(&self.name, "the file is empty"));
            }
            None if self.has_cloudphysics_header() => Format::CloudPhysics,
            None => Format::Twemcache,
        };
        let requests = match format {
            Format::CloudPhysics if !self.has_cloudphysics_header() => {
                let reason = format!("expected the header `{CLOUDPHYSICS_HEADER}`");
                return Err(Failure::at_line(&self.name, 1, reason));
            }
            Format::CloudPhysics => Requests::CloudPhysics(self.requests(format, 1, cloudphysics)?),
            Format::Twemcache => Requests::Twemcache(self.requests(format, 0, twemcache)?),
        };
        Ok((format, requests))
    }

    fn has_cloudphysics_header(&self) -> bool {
        lines(&self.text).next() == Some(CLOUDPHYSICS_HEADER.as_bytes())
    }

    fn requests<'t, K>(
        &'t self,
        format: Format,
        header_lines: usize,
        parse: impl Fn(&'t str) -> Result<Request<K>, String>,
    ) -> Result<Vec<Request<K>>, Failure> {
        let mut timeline = Timeline::default();
        let mut number = 0;
        lines(&self.text)
            .inspect(|_| number += 1)
            .skip(header_lines)
            .map(|line| {
                let line = str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
                let request = parse(line)?;
                Ok(Request { time: timeline.place(request.time)?, ..request })
            })
            .collect::<Result<_, String>>()
            .map_err(|reason| Failure::at_line(&self.name, number, format!("no {format} request: {reason}")))
    }
}

/// The lines of a text, the last one with or without a line feed, without carriage returns.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    })
}

/// Turns a trace's timestamps into seconds since its start that never go back.
#[derive(Default)]
struct Timeline {
    first: Option<u64>,
    latest: u64,
}

impl Timeline {
    /// Below the 584 years at which the map's clock ends. A trace that is longer does not count in seconds.
    const LONGEST: u64 = 500 * 366 * 24 * 60 * 60;

    /// The place of a timestamp. Real traces are slightly unordered: where time goes back, it stands still.
    fn place(&mut self, timestamp: u64) -> Result<u64, String> {
        let first = *self.first.get_or_insert(timestamp);
        self.latest = self.latest.max(timestamp.saturating_sub(first));
        if self.latest > Self::LONGEST {
            return Err(format!("time {timestamp} is 500 years after the first, {first}: is it in seconds?"));
        }
        Ok(self.latest)
    }
}

const CLOUDPHYSICS_HEADER: &str = "version,time,op,size,lbn";

fn cloudphysics(line: &str) -> Result<Request<u64>, String> {
    let [version, time, op, size, lbn] = fields(line)?;
    let _: u64 = number("version", version)?;
    Ok(Request {
        time: number("time", time)?,
        key: number("lbn", lbn)?,
        size: number("size", size)?,
        verb: match op {
            "28" => Verb::Read,
            "2a" => Verb::Write,
            _ => return Err(format!("unknown op `{op}`: expected 28 (read) or 2a (write)")),
        },
        life: Life::Default,
    })
}

/// The largest value that memcached can be told to take.
pub const LARGEST_VALUE: u32 = 1 << 30;

fn twemcache(line: &str) -> Result<Request<&str>, String> {
    let [timestamp, key, key_size, value_size, client_id, op, ttl] = fields(line)?;
    let _: u32 = number("key_size", key_size)?;
    let _: u64 = number("client_id", client_id)?;
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    let size = number("value_size", value_size)?;
    if size > LARGEST_VALUE {
        return Err(format!("value_size `{value_size}` is over 1 GiB"));
    }
    let verb = match op {
        "get" | "gets" | "incr" | "decr" => Verb::Read,
        "set" => Verb::Write,
        "add" => Verb::Add,
        "replace" | "cas" | "append" | "prepend" => Verb::Overwrite,
        "delete" => Verb::Remove,
        _ => return Err(format!("unknown op `{op}`")),
    };
    let life = match (verb, number("ttl", ttl)?) {
        (Verb::Read, _) => Life::Default,
        (_, 0) => Life::Forever,
        (_, seconds) => Life::Seconds(seconds),
    };
    Ok(Request { time: number("timestamp", timestamp)?, key, size, verb, life })
}

fn fields<const N: usize>(line: &str) -> Result<[&str; N], String> {
    let found = line.split(',').count();
    if found != N {
        return Err(format!("expected {N} fields, found {found}"));
    }
    let mut fields = line.split(',');
    Ok([(); N].map(|()| fields.next().unwrap_or_default()))
}

/// A field of decimal digits that fits.
fn number<T: str::FromStr>(name: &str, field: &str) -> Result<T, String> {
    let digits = !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
    match field.parse() {
        Ok(number) if digits => Ok(number),
        _ if digits => Err(format!("{name} `{field}` is too large")),
        _ => Err(format!("{name} `{field}` is not a whole number")),
    }
}
