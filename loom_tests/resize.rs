//! Reminders while bins are split and put together, superseded, scrubbed.

use super::check;
use super::upkeep::Model;
use crate::map::check::check as check_reminders;

/// Keys whose hashes end in 0 and in 1.
const EVEN: u8 = 4;
const ODD: u8 = 1;

#[test]
fn entries_swept_while_their_bin_is_split_leave() {
    check("sweep/growth", Some(2), || {
        let model = Model::new();
        model.put(EVEN, 1);
        model.put(ODD, 3);
        model.map.start_resize(1);
        model.pass(2);
        model.both(|map| map.sweep(2), |map| map.move_all());
        model.end();
    });
}

#[test]
fn entry_inserted_while_its_bin_is_split_has_a_reminder() {
    check("insert/growth", Some(3), || {
        let model = Model::new();
        model.put(EVEN, 3);
        model.map.start_resize(1);
        model.both(model.putter(ODD, 1), |map| {
            map.move_all();
            None
        });
        model.end();
    });
}

/// A sweep while one bin is made of all that a table of this capacity has.
fn swept_while_put_together(name: &str, bound: usize, capacity: usize) {
    check(name, Some(bound), move || {
        let model = Model::of_capacity(capacity);
        model.put(EVEN, 1);
        model.put(ODD, 3);
        model.map.start_resize(0);
        model.pass(2);
        model.both(|map| map.sweep(2), |map| map.move_all());
        model.end();
    });
}

#[test]
fn entries_swept_while_their_bins_are_put_together_leave() {
    swept_while_put_together("sweep/halving", 2, 8);
}

#[test]
fn entries_swept_while_four_bins_are_put_together_leave() {
    swept_while_put_together("sweep/move of a quartering", 1, 16);
}

#[test]
fn bins_put_together_and_split_again_have_reminders() {
    check("move/move of a halving, then growth", Some(2), || {
        let model = Model::of_capacity(8);
        model.put(EVEN, 2);
        model.put(ODD, 3);
        model.map.start_resize(0);
        model.both(|map| map.move_all(), |map| map.move_all());
        check_reminders(&model.map);
        model.map.resize();
        model.map.start_resize(1);
        model.map.resize();
        model.end();
    });
}

#[test]
fn child_of_a_split_bin_keeps_its_reminder_while_the_other_is_written() {
    check("remind/growth/sweep", Some(2), || {
        let model = Model::new();
        model.put(EVEN, 2);
        model.map.start_resize(1);
        model.pass(3);
        // A write that read the clock long ago, and has linked its entry.
        let writer = super::garbage::spawn(&model.map, |map| map.remind(&ODD, 2, 0));
        let mover = super::garbage::spawn(&model.map, |map| map.move_all());
        model.map.sweep(1);
        writer.join().unwrap();
        mover.join().unwrap();
        model.end();
    });
}

#[test]
fn superseded_reminder_is_not_relied_on_once_it_was_taken() {
    check("sweep/sweep of a superseded reminder", Some(3), || {
        let model = Model::new();
        model.put(1, 3);
        model.put(2, 1);
        model.pass(2);
        model.both(
            |map| map.sweep(1),
            |map| {
                model.pass(2);
                map.sweep(1);
            },
        );
        model.end();
    });
}

#[test]
fn superseded_reminder_is_not_relied_on_once_it_was_scrubbed() {
    check("sweep/scrub of a superseded reminder", Some(2), || {
        let model = Model::new();
        model.put(1, 4);
        model.put(2, 1);
        model.pass(2);
        model.both(
            |map| map.sweep(1),
            |map| {
                map.scrub();
                map.sweep(2);
            },
        );
        model.end();
    });
}

#[test]
fn reminder_superseded_before_the_end_of_a_scrub_is_not_relied_on() {
    check("scrub/remind", None, || {
        let model = Model::new();
        model.put(1, 4);
        model.map.scrub();
        model.both(|map| map.remind(&2, 2, 0), |map| map.sweep(2));
        model.end();
    });
}

#[test]
fn reminder_superseded_after_the_end_of_a_scrub_is_not_dropped() {
    check("scrub/scrub/remind", Some(2), || {
        let model = Model::new();
        model.put(1, 4);
        model.map.scrub();
        let threads = [
            super::garbage::spawn(&model.map, |map| map.remind(&2, 2, 0)),
            super::garbage::spawn(&model.map, |map| map.sweep(1)),
            super::garbage::spawn(&model.map, |map| map.sweep(1)),
        ];
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        model.end();
    });
}

#[test]
fn reminder_scrubbed_while_another_is_filed_again_is_not_relied_on() {
    check("sweep that files again/scrub", Some(2), || {
        let model = Model::new();
        model.put(1, 5);
        model.put(2, 1);
        model.put(3, 3);
        model.pass(2);
        model.both(
            |map| map.sweep(1),
            |map| {
                map.scrub();
                map.sweep(2);
            },
        );
        model.end();
    });
}

#[test]
fn superseded_reminder_is_not_relied_on_while_others_scrub() {
    check("sweep/sweep/scrub", Some(2), || {
        let model = Model::new();
        model.put(1, 4);
        model.put(2, 1);
        model.pass(2);
        let threads = [
            super::garbage::spawn(&model.map, |map| map.sweep(1)),
            super::garbage::spawn(&model.map, |map| map.sweep(1)),
        ];
        model.map.scrub();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        model.end();
    });
}
