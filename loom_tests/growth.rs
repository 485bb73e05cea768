//! A unit that moves while others read and write it.

use super::{Bare, Put, both, both_unpinned, check, check_both_ways};

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
    check_both_ways("get/move", None, || {
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
    check_both_ways("replace/move", Some(3), || {
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
        assert_eq!((bare.get_in_batch_at(0b01, 1), bare.get_in_batch_at(0b10, 2)), (Some(11), Some(20)));
        assert_eq!(bare.copies(1), 1);
    });
}

#[test]
fn removed_key_is_not_brought_back_by_the_move() {
    check("remove/move", Some(3), || {
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
fn expired_key_is_not_brought_back_by_the_move() {
    check("expire/move", None, || {
        let bare = growing();
        let (expired, _) = both(
            &bare,
            |bare| bare.expire_at(0b01, 1),
            |bare| {
                bare.step();
                false
            },
        );
        assert_eq!(bare.copies(1), usize::from(!expired));
    });
}

#[test]
fn key_inserted_while_its_bin_moves_is_there() {
    check("insert/move", Some(4), || {
        let bare = Bare::new();
        bare.put_at(0b01, 1, 10);
        bare.table.start_resize(1);
        both(
            &bare,
            |bare| bare.put_at(0b11, 3, 30),
            |bare| {
                bare.step();
                Put::New
            },
        );
        assert_eq!((bare.get_at(0b01, 1), bare.get_at(0b11, 3)), (Some(10), Some(30)));
        bare.finish();
        assert!(bare.is_plain_at(0b01, 1) && bare.is_plain_at(0b11, 3), "a draft for ever");
    });
}

#[test]
fn key_inserted_while_its_bin_and_a_line_move_is_there() {
    check("insert/move of a bin with a line", Some(3), || {
        let bare = Bare::new();
        for key in 1..=3 {
            bare.put_at(0b01, key, 10 * key);
        }
        bare.remove_at(0b01, 1);
        bare.table.start_resize(1);
        both(
            &bare,
            |bare| bare.put_at(0b11, 4, 40),
            |bare| {
                bare.step();
                Put::New
            },
        );
        assert_eq!((bare.get_at(0b01, 3), bare.get_at(0b11, 4)), (Some(30), Some(40)));
        assert_eq!((bare.get_further_at(0b01, 3), bare.get_further_at(0b11, 4)), (Some(30), Some(40)));
    });
}

#[test]
fn walk_meets_a_key_once_while_its_bin_moves() {
    check("walk/move", None, || {
        let bare = growing();
        let (met, _) = both(
            &bare,
            |bare| bare.copies(1),
            |bare| {
                bare.step();
                0
            },
        );
        assert_eq!(met, 1);
    });
}

#[test]
fn slot_reused_before_the_bin_is_frozen_is_not_lost() {
    check("insert, move/move", Some(4), || {
        let bare = Bare::new();
        bare.put_at(0, 1, 10);
        bare.remove_at(0, 1);
        bare.table.start_resize(0);
        both(
            &bare,
            |bare| bare.table.move_all(bare),
            |bare| {
                bare.put_at(0, 2, 20);
                bare.table.move_all(bare);
            },
        );
        assert_eq!(bare.get_at(0, 2), Some(20));
    });
}

#[test]
fn next_table_is_there_for_all_who_see_it() {
    check("start a resize/move", None, || {
        let bare = Bare::new();
        bare.put_at(0b01, 1, 10);
        let (seen, _) = both(
            &bare,
            |bare| {
                bare.step();
                bare.get_at(0b01, 1)
            },
            |bare| {
                bare.table.start_resize(1);
                None
            },
        );
        assert_eq!(seen, Some(10));
    });
}

#[test]
fn one_of_two_resizes_is_made() {
    check("start a resize, move/the same", Some(3), || {
        let bare = Bare::new();
        bare.put_at(0b01, 1, 10);
        let resize = |bare: &Bare| {
            bare.table.start_resize(1);
            bare.step();
            bare.get_at(0b01, 1)
        };
        assert_eq!(both(&bare, resize, resize), (Some(10), Some(10)));
    });
}

#[test]
fn new_table_is_there_for_all_who_start_at_it() {
    check("get/a whole resize", None, || {
        let bare = Bare::new();
        bare.put_at(0b01, 1, 10);
        let (seen, _) = both(
            &bare,
            |bare| bare.get_at(0b01, 1),
            |bare| {
                bare.table.start_resize(1);
                bare.step();
                bare.step();
                None
            },
        );
        assert_eq!(seen, Some(10));
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
        let last = match outcome {
            (Put::New, Put::Replaced(30)) => 31,
            (Put::Replaced(31), Put::New) => 30,
            _ => panic!("{outcome:?}"),
        };
        assert_eq!((bare.get_at(0b11, 3), bare.copies(3), bare.copies(1)), (Some(last), 1, 1));
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

/// Two move all; one goes on to remove a key of hash 0b01, and to insert one, with ten times its value.
fn move_late(bare: &loom::sync::Arc<Bare>, removed: u8, (hash, inserted): (u64, u8)) {
    both(
        bare,
        |bare| bare.table.move_all(bare),
        |bare| {
            bare.table.move_all(bare);
            bare.remove_at(0b01, removed);
            bare.put_at(hash, inserted, 10 * inserted);
        },
    );
}

#[test]
fn late_mover_changes_nothing() {
    check("move/move, remove, insert", Some(3), || {
        let bare = growing();
        move_late(&bare, 1, (0b11, 3));
        assert_eq!((bare.copies(1), bare.copies(2), bare.copies(3)), (0, 1, 1));
        assert_eq!((bare.get_at(0b10, 2), bare.get_at(0b11, 3)), (Some(20), Some(30)));
    });
}

#[test]
fn late_mover_changes_nothing_in_a_line() {
    check("move/move of a line, remove, insert", Some(2), || {
        let bare = Bare::new();
        for key in 1..=3 {
            bare.put_at(0b01, key, 10 * key);
        }
        bare.table.start_resize(1);
        move_late(&bare, 3, (0b01, 4));
        assert_eq!((bare.copies(3), bare.copies(4)), (0, 1));
        assert_eq!((bare.get_at(0b01, 1), bare.get_at(0b01, 4)), (Some(10), Some(40)));
    });
}

#[test]
fn late_mover_opens_nothing_again() {
    check("move/move, insert", Some(4), || {
        let bare = Bare::new();
        bare.put_at(0b01, 1, 10);
        bare.table.start_resize(1);
        both(
            &bare,
            |bare| bare.table.move_all(bare),
            |bare| {
                bare.table.move_all(bare);
                bare.put_at(0b11, 3, 30);
            },
        );
        assert_eq!((bare.copies(1), bare.get_at(0b01, 1), bare.get_at(0b11, 3)), (1, Some(10), Some(30)));
    });
}

#[test]
fn one_who_skips_what_others_checked_sees_all_that_moved() {
    check("step, get/step, step", Some(2), || {
        let bare = growing();
        let (seen, _) = both(
            &bare,
            |bare| {
                bare.step();
                bare.get_at(0b01, 1)
            },
            |bare| {
                bare.step();
                bare.step();
                None
            },
        );
        assert_eq!(seen, Some(10));
    });
}

#[test]
fn table_is_handed_over_once() {
    check("last step/last step", Some(2), || {
        let bare = growing();
        let steps = |bare: &Bare| {
            bare.step();
            bare.step();
        };
        both(&bare, steps, steps);
        assert_eq!((bare.copies(1), bare.copies(2)), (1, 1));
    });
}

/// A sealed bin whose slots are empty, with keys 4 to `last` in its tail, and a resize begun to one bin again.
fn sealed(last: u8) -> loom::sync::Arc<Bare> {
    let bare = Bare::new();
    for key in 1..=last {
        bare.put(key, 10 * key);
    }
    for key in 1..4 {
        bare.remove(key);
    }
    bare.table.start_resize(0);
    bare
}

#[test]
fn key_appended_while_its_bin_moves_is_there() {
    check("append/move of a tail", Some(3), || {
        let bare = sealed(4);
        both(
            &bare,
            |bare| bare.put(5, 50),
            |bare| {
                bare.step();
                Put::New
            },
        );
        for key in 4..=5 {
            assert_eq!((bare.copies(key), bare.get(key)), (1, Some(10 * key)));
        }
    });
}

#[test]
fn value_replaced_in_a_tail_survives_the_move() {
    check("replace/move of a tail", Some(3), || {
        let bare = sealed(4);
        let (put, _) = both(
            &bare,
            |bare| bare.put(4, 41),
            |bare| {
                bare.step();
                Put::New
            },
        );
        assert_eq!((put, bare.values(4), bare.get(4)), (Put::Replaced(40), vec![41], Some(41)));
    });
}

#[test]
fn key_in_a_tail_is_never_missed_while_its_bin_moves() {
    check("get/move of a tail", None, || {
        let bare = sealed(4);
        let (seen, _) = both(
            &bare,
            |bare| bare.get(4),
            |bare| {
                bare.step();
                None
            },
        );
        assert_eq!(seen, Some(40));
    });
}

#[test]
fn two_movers_retire_a_tail_once() {
    check("move/move of a tail", Some(4), || {
        let bare = sealed(4);
        both(&bare, |bare| bare.table.move_all(bare), |bare| bare.table.move_all(bare));
        assert_eq!((bare.copies(4), bare.get(4)), (1, Some(40)));
    });
}

#[test]
fn tail_rebuilt_while_its_bin_moves_loses_nothing() {
    check("tail rebuild/move", Some(3), || {
        let bare = sealed(5);
        both(
            &bare,
            |bare| bare.put(6, 60),
            |bare| {
                bare.step();
                Put::New
            },
        );
        for key in 4..=6 {
            assert_eq!((bare.copies(key), bare.get(key)), (1, Some(10 * key)));
        }
    });
}

#[test]
fn four_keys_move_to_a_tail_once() {
    check("move/move to a tail", Some(1), || {
        let bare = Bare::new();
        for key in 1..=4 {
            bare.put(key, 10 * key);
        }
        bare.table.start_resize(0);
        both(&bare, |bare| bare.table.move_all(bare), |bare| bare.table.move_all(bare));
        for key in 1..=4 {
            assert_eq!((bare.copies(key), bare.get(key)), (1, Some(10 * key)));
        }
    });
}

#[test]
fn tail_is_freed_when_both_bins_have_moved() {
    check("insert/shrink with a tail", Some(2), || {
        let bare = Bare::freeing(8);
        // Bin 0 is sealed, and has key 4 in its tail; bin 1 is empty.
        for key in 1..=4 {
            bare.put_at(0, key, 10 * key);
        }
        for key in 1..4 {
            bare.remove_at(0, key);
        }
        bare.table.start_resize(0);
        both_unpinned(
            &bare,
            |bare| bare.put_at(1, 5, 50),
            |bare| {
                bare.step();
                // May free the tail.
                bare.put_at(0, 4, 41)
            },
        );
        assert_eq!((bare.get_at(0, 4), bare.get_at(1, 5)), (Some(41), Some(50)));
    });
}

#[test]
fn rebuilt_tail_is_freed_after_its_last_reader() {
    check("get/tail rebuild that frees", None, || {
        let bare = Bare::freeing(0);
        for key in 1..=5 {
            bare.put(key, 10 * key);
        }
        let (seen, _) = both_unpinned(
            &bare,
            |bare| bare.get(4),
            |bare| {
                bare.put(6, 60);
                None
            },
        );
        assert_eq!(seen, Some(40));
    });
}
