//! The wheel: filing, claiming, lanes, levels, and the slots' hints.
//!
//! Under loom it has three levels of eight slots, the finest reaching four ticks, and two lanes.

use loom::sync::Arc;

use super::check;
use crate::wheel::{Due, Reminder, Sweep, Wheel};

/// A reminder of the bucket of this number.
fn reminder(wheel: &Wheel, bucket: usize, tick: u64) -> Reminder {
    Reminder { bucket: wheel.bucket((bucket, 4)), due: Due::at(tick, 0), superseded: Due::NONE }
}

fn file(wheel: &Wheel, bucket: usize, tick: u64) {
    wheel.file(reminder(wheel, bucket, tick));
}

/// The buckets of what one sweep finds at this tick, at most so many.
fn sweep(wheel: &Wheel, tick: u64, most: usize) -> Vec<usize> {
    wheel.turn_to(tick);
    let Some(mut sweep) = wheel.sweep() else { return Vec::new() };
    std::iter::from_fn(|| sweep.next(None)).take(most).map(|reminder| reminder.bucket.number().0).collect()
}

const ALL: usize = usize::MAX;

/// Runs both at once, the first on a thread of its own; returns what they found, together and sorted.
fn both(
    wheel: &Arc<Wheel>,
    one: impl FnOnce(&Wheel) -> Vec<usize> + Send + 'static,
    other: impl FnOnce(&Wheel) -> Vec<usize>,
) -> Vec<usize> {
    let theirs = Arc::clone(wheel);
    let thread = loom::thread::spawn(move || one(&theirs));
    let mut found = other(wheel);
    found.extend(thread.join().unwrap());
    found.sort_unstable();
    found
}

/// What was found, and what is found as soon as the cursor has moved on a little.
fn with_the_rest(wheel: &Wheel, mut found: Vec<usize>) -> Vec<usize> {
    found.extend(sweep(wheel, wheel.cursor() + 3, ALL));
    found.sort_unstable();
    // One that was filed twice may be found when the wheel has come round.
    sweep(wheel, wheel.cursor() + 16, ALL);
    assert_eq!((wheel.len(), wheel.reminders().len()), (0, 0), "what is counted is what there is");
    found
}

#[test]
fn ticket_filed_while_the_cursor_passes_is_found() {
    check("file/sweep", Some(4), || {
        let wheel = Arc::new(Wheel::new(0));
        // The level is there, and so is the slot's bit.
        file(&wheel, 1, 1);
        let found = both(
            &wheel,
            |wheel| sweep(wheel, 1, ALL),
            |wheel| {
                file(wheel, 2, 1);
                Vec::new()
            },
        );
        let mut found = with_the_rest(&wheel, found);
        // Who wasn't sure that it would be found has filed it once more.
        found.dedup();
        assert_eq!(found, [1, 2]);
    });
}

#[test]
fn ticket_filed_at_a_level_just_made_is_found() {
    check("file on a new level/sweep", None, || {
        let wheel = Arc::new(Wheel::new(0));
        let found = both(
            &wheel,
            |wheel| sweep(wheel, 1, ALL),
            |wheel| {
                file(wheel, 1, 1);
                Vec::new()
            },
        );
        let mut found = with_the_rest(&wheel, found);
        found.dedup();
        assert_eq!(found, [1]);
    });
}

#[test]
fn level_made_by_two_is_one() {
    check("file/file on a new level", None, || {
        let wheel = Arc::new(Wheel::new(0));
        both(
            &wheel,
            |wheel| {
                file(wheel, 1, 1);
                Vec::new()
            },
            |wheel| {
                file(wheel, 2, 1);
                Vec::new()
            },
        );
        assert_eq!(with_the_rest(&wheel, Vec::new()), [1, 2]);
    });
}

#[test]
fn ticket_goes_to_one_of_two_sweepers() {
    check("sweep/sweep", Some(3), || {
        let wheel = Arc::new(Wheel::new(0));
        file(&wheel, 1, 1);
        file(&wheel, 2, 2);
        let found = both(&wheel, |wheel| sweep(wheel, 2, ALL), |wheel| sweep(wheel, 2, ALL));
        assert_eq!(with_the_rest(&wheel, found), [1, 2]);
    });
}

#[test]
fn what_a_sweeper_leaves_is_found_by_others() {
    check("sweep of one/sweep of one", Some(4), || {
        let wheel = Arc::new(Wheel::new(0));
        (1..=3).for_each(|bucket| file(&wheel, bucket, 1));
        let found = both(&wheel, |wheel| sweep(wheel, 1, 1), |wheel| sweep(wheel, 1, 1));
        // What the other one has in its hands is left to it.
        assert!(matches!(found.len(), 1 | 2));
        assert_eq!(with_the_rest(&wheel, found), [1, 2, 3]);
    });
}

/// What one sweeper leaves, of what it has made and perhaps found, is for the next.
fn left_by_a_sweeper(name: &str, work: fn(&Wheel, &mut Sweep<'_>) -> Vec<usize>, all: &'static [usize]) {
    check(name, None, move || {
        let wheel = Arc::new(Wheel::new(0));
        let found = both(
            &wheel,
            |wheel| sweep(wheel, 1, ALL),
            |wheel| {
                let Some(mut sweep) = wheel.sweep() else { unreachable!("there are two lanes") };
                work(wheel, &mut sweep)
            },
        );
        assert_eq!(with_the_rest(&wheel, found), all);
    });
}

#[test]
fn ticket_made_by_a_sweeper_is_read_by_the_next() {
    let push = |wheel: &Wheel, sweep: &mut Sweep<'_>| {
        sweep.push(reminder(wheel, 1, 1));
        Vec::new()
    };
    left_by_a_sweeper("sweep that pushes/sweep", push, &[1]);
}

#[test]
fn parts_left_by_a_sweeper_are_found_by_the_next() {
    let take_one = |wheel: &Wheel, sweep: &mut Sweep<'_>| {
        sweep.push_parts(reminder(wheel, 1, 1), 1);
        vec![sweep.next(None).map_or(0, |part| part.bucket.number().0)]
    };
    left_by_a_sweeper("sweep of parts/sweep", take_one, &[1, 17]);
}

#[test]
fn ticket_filed_while_its_slot_is_scrubbed_is_found() {
    check("file/scrub", None, || {
        let wheel = Arc::new(Wheel::new(0));
        file(&wheel, 1, 2);
        wheel.scrub();
        let found = both(
            &wheel,
            |wheel| sweep(wheel, 0, ALL),
            |wheel| {
                file(wheel, 2, 2);
                Vec::new()
            },
        );
        assert_eq!(with_the_rest(&wheel, found), [1, 2]);
    });
}

#[test]
fn ticket_filed_while_its_slot_is_emptied_is_known_to_be_due() {
    check("file/sweep ahead", None, || {
        let wheel = Arc::new(Wheel::new(0));
        file(&wheel, 1, 1);
        let ahead = |wheel: &Wheel, nanos: u64| {
            let mut sweep = wheel.sweep().expect("there are two lanes");
            std::iter::from_fn(|| sweep.next(Some(nanos)))
                .map(|reminder| reminder.bucket.number().0)
                .collect::<Vec<_>>()
        };
        let mut found = both(
            &wheel,
            move |wheel| ahead(wheel, 10),
            |wheel| {
                file(wheel, 2, 1);
                Vec::new()
            },
        );
        found.extend(ahead(&wheel, 11));
        found.sort_unstable();
        assert_eq!(found, [1, 2]);
    });
}
