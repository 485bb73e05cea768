//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::mode::Mode;

const DEFAULT_SVG: &str = "leak.svg";

/// Makes and drops maps as fast as possible, and watches memory and threads.
///
/// Prints a line a second (maps made, heap in use, threads) and a summary, and draws both over time as an SVG. Exits with
/// 2 if a thread is left, or more memory than the summary explains.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {
    /// Maps to make in each mode
    #[arg(long, value_name = "N", default_value = "50000")]
    pub maps: u64,

    /// Only this mode; may be given more than once [default: all]
    #[arg(long, value_enum)]
    mode: Vec<Mode>,

    /// Print one JSON object, and no lines
    #[arg(long)]
    pub json: bool,

    /// Where to draw heap and threads over time [default: leak.svg; with --json: nowhere]
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Args {
    pub fn modes(&self) -> Vec<Mode> {
        if self.mode.is_empty() { Mode::ALL.to_vec() } else { self.mode.clone() }
    }

    pub fn svg(&self) -> Option<PathBuf> {
        self.svg.clone().or_else(|| (!self.json).then(|| PathBuf::from(DEFAULT_SVG)))
    }
}
