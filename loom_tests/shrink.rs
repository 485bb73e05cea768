//! Bins that are put together while others read and write them.

use super::{Bare, both, check};

/// A table of two bins that hold keys 1 and 2, with a resize begun to one bin.
fn shrinking() -> loom::sync::Arc<Bare> {
    let bare = Bare::of_capacity(8);
    bare.put_at(0b01, 1, 10);
    bare.put_at(0b10, 2, 20);
    bare.table.start_resize(0);
    bare
}

#[test]
fn present_key_is_never_missed_while_bins_are_put_together() {
    check("get/shrink", None, || {
        let bare = shrinking();
        let (seen, _) = both(
            &bare,
            |bare| bare.get_at(0b01, 1),
            |bare| {
                bare.step();
                None
            },
        );
        assert_eq!(seen, Some(10));
        assert_eq!((bare.copies(1), bare.copies(2)), (1, 1));
    });
}

#[test]
fn walk_meets_a_key_once_while_bins_are_put_together() {
    check("walk/shrink", Some(3), || {
        let bare = shrinking();
        let (met, _) = both(
            &bare,
            |bare| (bare.copies(1), bare.copies(2)),
            |bare| {
                bare.step();
                (0, 0)
            },
        );
        assert_eq!(met, (1, 1));
    });
}

#[test]
fn key_purged_from_the_common_bin_is_not_found_in_its_old_one() {
    check("purge, get/shrink", Some(4), || {
        let bare = shrinking();
        let ((purged, seen), _) = both(
            &bare,
            |bare| (bare.purge(1), bare.get_at(0b01, 1)),
            |bare| {
                bare.step();
                (0, None)
            },
        );
        assert_eq!(seen, if purged == 0 { Some(10) } else { None });
    });
}

#[test]
fn writes_to_both_bins_survive_their_being_put_together() {
    check("insert/shrink, replace", Some(2), || {
        let bare = shrinking();
        both(
            &bare,
            |bare| bare.put_at(0b11, 3, 30),
            |bare| {
                bare.step();
                bare.put_at(0b10, 2, 21)
            },
        );
        assert_eq!(bare.get_at(0b01, 1), Some(10));
        assert_eq!((bare.get_at(0b10, 2), bare.get_at(0b11, 3)), (Some(21), Some(30)));
    });
}

/// A table of four bins of which two hold keys 1 and 2, with a resize begun to one bin.
fn quartering() -> loom::sync::Arc<Bare> {
    let bare = Bare::of_capacity(16);
    bare.put_at(0b01, 1, 10);
    bare.put_at(0b11, 2, 20);
    bare.table.start_resize(0);
    bare
}

#[test]
fn present_key_is_never_missed_while_four_bins_are_put_together() {
    check("get/shrink to a quarter", None, || {
        let bare = quartering();
        let (seen, _) = both(
            &bare,
            |bare| bare.get_at(0b11, 2),
            |bare| {
                bare.step();
                None
            },
        );
        assert_eq!(seen, Some(20));
        assert_eq!((bare.copies(1), bare.copies(2)), (1, 1));
    });
}

#[test]
fn key_purged_from_the_common_bin_is_not_found_in_any_of_four() {
    check("purge, get/shrink to a quarter", Some(2), || {
        let bare = quartering();
        let ((purged, seen), _) = both(
            &bare,
            |bare| (bare.purge(2), bare.get_at(0b11, 2)),
            |bare| {
                bare.step();
                (0, None)
            },
        );
        assert_eq!(seen, if purged == 0 { Some(20) } else { None });
    });
}

#[test]
fn writes_to_two_of_four_bins_survive_their_being_put_together() {
    check("insert/shrink to a quarter, replace", Some(2), || {
        let bare = quartering();
        both(
            &bare,
            |bare| bare.put_at(0b00, 3, 30),
            |bare| {
                bare.step();
                bare.put_at(0b11, 2, 21)
            },
        );
        assert_eq!(bare.get_at(0b01, 1), Some(10));
        assert_eq!((bare.get_at(0b11, 2), bare.get_at(0b00, 3)), (Some(21), Some(30)));
    });
}
