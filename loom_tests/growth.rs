//! A unit that moves while others read and write it.

use super::{Bare, Put, both, check};

/// A table of one bin that holds keys 1 and 2, with a resize begun to two bins.
fn growing() -> loom::sync::Arc<Bare> {
    let bare = Bare::new();
    bare.put_at(0b01, 1, 10);
    bare.put_at(0b10, 2, 20);
    bare.table.start_resize(1);
    bare
}

#[test]
fn present_key_is_never_missed_while_its_bin_moves() {
    check("get/move", None, || {
        let bare = growing();
        let (seen, _) = both(
            &bare,
            |bare| bare.get_at(0b01, 1),
            |bare| {
                bare.step();
                None
            },
        );
        assert_eq!(seen, Some(10));
    });
}

#[test]
fn replaced_value_survives_the_move() {
    check("replace/move", Some(4), || {
        let bare = growing();
        let (put, _) = both(
            &bare,
            |bare| Some(bare.put_at(0b01, 1, 11)),
            |bare| {
                bare.step();
                None
            },
        );
        assert_eq!(put, Some(Put::Replaced(10)));
        assert_eq!((bare.get_at(0b01, 1), bare.get_at(0b10, 2)), (Some(11), Some(20)));
        assert_eq!(bare.copies(1), 1);
    });
}

#[test]
fn removed_key_is_not_brought_back_by_the_move() {
    check("remove/move", Some(4), || {
        let bare = growing();
        let (removed, _) = both(
            &bare,
            |bare| bare.remove_at(0b01, 1),
            |bare| {
                bare.step();
                None
            },
        );
        assert_eq!(removed, Some(10));
        assert_eq!((bare.copies(1), bare.get_at(0b10, 2)), (0, Some(20)));
    });
}

#[test]
fn key_inserted_on_both_sides_of_the_move_is_there_once() {
    check("insert/move, insert same key", Some(3), || {
        let bare = Bare::new();
        bare.put_at(0b01, 1, 10);
        bare.table.start_resize(1);
        let outcome = both(
            &bare,
            |bare| bare.put_at(0b11, 3, 30),
            |bare| {
                bare.step();
                bare.put_at(0b11, 3, 31)
            },
        );
        assert!(matches!(outcome, (Put::New, Put::Replaced(30)) | (Put::Replaced(31), Put::New)), "{outcome:?}");
        assert_eq!((bare.copies(3), bare.copies(1)), (1, 1));
    });
}

#[test]
fn two_movers_move_a_unit_once() {
    check("move/move", Some(4), || {
        let bare = growing();
        both(&bare, |bare| bare.table.move_all(bare), |bare| bare.table.move_all(bare));
        assert_eq!((bare.copies(1), bare.copies(2)), (1, 1));
        assert_eq!((bare.get_at(0b01, 1), bare.get_at(0b10, 2)), (Some(10), Some(20)));
    });
}

#[test]
fn late_mover_changes_nothing() {
    check("move/move, remove, insert", Some(3), || {
        let bare = growing();
        both(
            &bare,
            |bare| bare.table.move_all(bare),
            |bare| {
                bare.table.move_all(bare);
                bare.remove_at(0b01, 1);
                bare.put_at(0b11, 3, 30);
            },
        );
        assert_eq!((bare.copies(1), bare.copies(2), bare.copies(3)), (0, 1, 1));
        assert_eq!((bare.get_at(0b10, 2), bare.get_at(0b11, 3)), (Some(20), Some(30)));
    });
}

#[test]
fn table_is_handed_over_once() {
    check("last step/last step/get", Some(2), || {
        let bare = growing();
        let reader = loom::sync::Arc::clone(&bare);
        let thread = loom::thread::spawn(move || reader.get_at(0b01, 1));
        let steps = |bare: &Bare| {
            bare.step();
            bare.step();
            bare.step();
        };
        both(&bare, steps, steps);
        assert_eq!(thread.join().unwrap(), Some(10));
        assert_eq!((bare.copies(1), bare.copies(2)), (1, 1));
    });
}

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
fn writes_to_both_bins_survive_their_being_put_together() {
    check("insert/shrink, replace", Some(3), || {
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

#[test]
fn sealed_bin_moves_with_its_tail() {
    check("append/move of a sealed bin", Some(3), || {
        let bare = Bare::new();
        for key in 1..=4 {
            bare.put_at(u64::from(key), key, 10 * key);
        }
        bare.table.start_resize(1);
        both(
            &bare,
            |bare| bare.put_at(5, 5, 50),
            |bare| {
                bare.step();
                Put::New
            },
        );
        for key in 1..=5 {
            assert_eq!((bare.copies(key), bare.get_at(u64::from(key), key)), (1, Some(10 * key)));
        }
    });
}

#[test]
fn tail_rebuilt_while_its_bin_moves_loses_nothing() {
    check("tail rebuild/move", Some(2), || {
        let bare = Bare::new();
        for key in 1..=5 {
            bare.put_at(u64::from(key), key, 10 * key);
        }
        bare.table.start_resize(1);
        both(
            &bare,
            |bare| bare.put_at(6, 6, 60),
            |bare| {
                bare.step();
                Put::New
            },
        );
        for key in 1..=6 {
            assert_eq!((bare.copies(key), bare.get_at(u64::from(key), key)), (1, Some(10 * key)));
        }
    });
}
