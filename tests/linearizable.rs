//! Histories of real threads, held against the sequential specification by a linearizability checker (P4).
//!
//! Two ways to know what time an operation saw. In *phases* the clock moves only while all threads stand at a
//! barrier, so that each operation's reading is known exactly. With a *running* clock its ticks are operations of
//! the history, and the checker finds the place of each. `checker.rs` holds the checker itself against broken
//! histories and broken maps.

mod common;

use common::history::assert_linearizable;
use common::record::{Logs, Stopping, Subject, Trial, map_on, phases, running};
use common::{Chosen, Collide, HighBits, Identity, scaled};
use ttlwheel::TtlMap;

/// Counts the operations of a batch, and the pairs of them that overlap: without these nothing is shown.
fn volume(batch: &Logs) -> (u64, u64) {
    let (mut operations, mut overlaps) = (0, 0);
    for logs in batch {
        let mut spans: Vec<_> = logs.iter().flat_map(|log| log.0.iter().map(|event| (event.call, event.ret))).collect();
        spans.sort_unstable();
        operations += spans.len() as u64;
        overlaps += spans.windows(2).filter(|pair| pair[1].0 < pair[0].1).count() as u64;
    }
    (operations, overlaps)
}

/// Histories of phases until `operations` are checked; returns how many overlapped.
fn check_phases<K>(hasher: fn() -> Chosen, operations: u64) -> u64
where
    TtlMap<K, u64, Chosen>: Subject,
{
    // The cores are for the threads of one history.
    let _serial = common::serial();
    let (mut checked, mut overlapped) = (0, 0);
    for seed in 0.. {
        let trials = Trial::batch(&|clock| map_on::<K, _>(clock, hasher()));
        let batch = phases(&trials, seed, [2, 2, 3, 4][seed as usize % 4], 60);
        batch.iter().for_each(|logs| assert_linearizable(logs, &[], &format!("seed {seed}")));
        let (all, overlaps) = volume(&batch);
        (checked, overlapped) = (checked + all, overlapped + overlaps);
        if checked >= operations {
            break;
        }
    }
    println!("{checked} operations checked, {overlapped} of them overlapping the next");
    overlapped
}

#[test]
fn phases_are_linearizable() {
    check_phases::<u64>(Chosen::std, scaled(200_000, 6_000_000));
}

/// Whatever the machine's cores are busy with, these do overlap.
fn check_stopped(hasher: fn() -> Chosen, operations: u64) {
    let overlapped = check_phases::<Stopping>(hasher, operations);
    assert!(overlapped > operations / 1_000, "the threads hardly ran at once");
}

#[test]
fn phases_with_threads_stopped_inside_are_linearizable() {
    check_stopped(Chosen::std, scaled(100_000, 2_000_000));
    check_stopped(|| Identity.into(), scaled(20_000, 300_000));
    check_stopped(|| HighBits.into(), scaled(20_000, 300_000));
    check_stopped(|| Collide::<4>.into(), scaled(20_000, 300_000));
    check_stopped(|| Collide::<1>.into(), scaled(20_000, 300_000));
}

#[test]
fn phases_with_poor_hashers_are_linearizable() {
    check_phases::<u64>(|| Identity.into(), scaled(20_000, 600_000));
    check_phases::<u64>(|| HighBits.into(), scaled(20_000, 600_000));
    check_phases::<u64>(|| Collide::<4>.into(), scaled(20_000, 400_000));
    check_phases::<u64>(|| Collide::<1>.into(), scaled(20_000, 400_000));
}

fn check_running<K>(hasher: fn() -> Chosen, operations: u64)
where
    TtlMap<K, u64, Chosen>: Subject,
{
    let _serial = common::serial();
    let (mut checked, mut ticked) = (0, 0);
    for seed in 0.. {
        let trials = Trial::batch(&|clock| map_on::<K, _>(clock, hasher()));
        for mut logs in running(&trials, seed, 2 + seed as usize % 2, 150) {
            let ticks = logs.pop().unwrap().0;
            assert_linearizable(&logs, &ticks, &format!("seed {seed}"));
            checked += logs.iter().map(|log| log.0.len() as u64).sum::<u64>();
            ticked += ticks.len() as u64;
        }
        if checked >= operations {
            break;
        }
    }
    println!("{checked} operations checked, beside {ticked} ticks");
    assert!(ticked > checked / 10_000, "the clock hardly ran");
}

#[test]
fn histories_with_a_running_clock_are_linearizable() {
    check_running::<u64>(Chosen::std, scaled(20_000, 400_000));
    check_running::<Stopping>(Chosen::std, scaled(20_000, 300_000));
}
