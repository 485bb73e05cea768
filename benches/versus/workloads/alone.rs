//! Rounds that are played in a process of their own, so that its memory is the peer's alone: what an earlier map has
//! left to be freed later, or pages that it has left resident, would be counted else.

use std::process::Command;

use clap::ValueEnum;

use super::{Case, Seat, Volume, expiry, memory};
use crate::common::{Data, Entry, peers};

/// What is asked of such a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Alone {
    Grow,
    Steady,
}

/// Plays a round in another process; the samples.
pub fn ask<D: Data>(seat: &Seat<D>, case: &Case, question: Alone) -> Vec<f64> {
    let mut process = Command::new(std::env::current_exe().expect("a program"));
    let value = question.to_possible_value().expect("none is hidden");
    process.args(["--alone", value.get_name(), "--peer", seat.entry.name, "--set", D::NAME]);
    process.args(["--entries", &case.entries.to_string()]);
    match case.volume {
        Volume::Check => {}
        Volume::Quick => drop(process.args(["--bench", "--quick"])),
        Volume::Full => drop(process.arg("--bench")),
    }
    let output = process.output().expect("a process of its own");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the samples that it printed")
}

/// Plays the round, in this process.
pub fn answer<D: Data>(question: Alone, peer: &str, entries: usize, volume: Volume) -> Vec<f64> {
    let entry = find::<D>(peer);
    match question {
        Alone::Grow => memory::grow(entry, entries),
        Alone::Steady => expiry::steady(entry, volume),
    }
}

fn find<D: Data>(peer: &str) -> Entry<D> {
    peers::all().into_iter().find(|entry| entry.name == peer).expect("a peer of that name")
}
