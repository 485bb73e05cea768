//! One bin: claims, publishes, replaces, removes, frees, seals.

use super::{Bare, Put, both, check, check_both_ways};

#[test]
fn one_of_two_inserts_of_a_key_is_new() {
    check("insert/insert same key", None, || {
        let bare = Bare::new();
        let (mine, theirs) = both(&bare, |bare| bare.put(1, 10), |bare| bare.put(1, 20));
        match (mine, theirs) {
            (Put::New, Put::Replaced(10)) => assert_eq!(bare.get(1), Some(20)),
            (Put::Replaced(20), Put::New) => assert_eq!(bare.get(1), Some(10)),
            other => panic!("{other:?}"),
        }
        assert_eq!(bare.copies(1), 1);
    });
}

#[test]
fn two_new_keys_both_stay() {
    check("insert/insert two keys", None, || {
        let bare = Bare::new();
        let outcome = both(&bare, |bare| bare.put(1, 10), |bare| bare.put(2, 20));
        assert_eq!(outcome, (Put::New, Put::New));
        assert_eq!((bare.get(1), bare.get(2)), (Some(10), Some(20)));
    });
}

#[test]
fn present_key_is_never_missed_while_replaced() {
    check_both_ways("get/replace", None, || {
        let bare = Bare::new();
        bare.put(1, 10);
        let (seen, _) = both(
            &bare,
            |bare| bare.get(1),
            |bare| {
                bare.put(1, 11);
                bare.put(1, 12);
                None
            },
        );
        assert!(matches!(seen, Some(10..=12)), "{seen:?}");
    });
}

#[test]
fn present_key_is_never_missed_while_others_come_and_go() {
    check_both_ways("get/churn of another key", Some(3), || {
        let bare = Bare::new();
        bare.put(1, 10);
        bare.put(2, 20);
        let (seen, _) = both(
            &bare,
            |bare| bare.get(2),
            |bare| {
                bare.remove(1);
                bare.put(3, 30);
                None
            },
        );
        assert_eq!(seen, Some(20));
    });
}

/// One gets a key twice, first in this way, while another removes and inserts it.
fn entry_is_seen_when_it_is_published(name: &str, bound: Option<usize>, get: fn(&Bare) -> Option<u8>) {
    check_both_ways(name, bound, move || {
        let bare = Bare::new();
        bare.put(1, 10);
        let ((first, second), _) = both(
            &bare,
            move |bare| (get(bare), bare.get(1)),
            |bare| {
                bare.remove(1);
                bare.put(1, 11);
                (None, None)
            },
        );
        assert!(matches!((first, second), (Some(10), _) | (None, None | Some(11)) | (Some(11), Some(11))));
    });
}

#[test]
fn entry_is_not_seen_before_it_is_published() {
    entry_is_seen_when_it_is_published("get, get/remove, insert", Some(4), |bare| bare.get(1));
}

#[test]
fn entry_is_not_seen_by_a_batch_before_it_is_published() {
    entry_is_seen_when_it_is_published("get in a batch, get/remove, insert", Some(3), |bare| {
        bare.get_in_batch_at(0, 1)
    });
}

#[test]
fn what_a_batch_has_looked_for_is_not_answered_once_it_was_replaced_or_removed() {
    check("get around a replace and a removal", None, || {
        let bare = Bare::new();
        bare.put(1, 10);
        let seen = both(
            &bare,
            |bare| bare.get_around(0, || assert!(matches!(bare.put(1, 11), Put::Replaced(10 | 20)))),
            |bare| {
                bare.put(1, 20);
                bare.get_around(0, || ())
            },
        );
        assert!(matches!(seen, (None | Some(20), None | Some(11 | 20))), "{seen:?}");
        assert_eq!(bare.get_around(0, || assert!(bare.remove(1).is_some())), None);
    });
}

#[test]
fn what_a_get_has_seen_is_there_for_an_insert() {
    check_both_ways("get, insert/insert", Some(3), || {
        let bare = Bare::new();
        let ((seen, put), _) = both(
            &bare,
            |bare| (bare.get(1), bare.put(1, 20)),
            |bare| {
                bare.put(1, 10);
                (None, Put::New)
            },
        );
        assert!(seen.is_none() || (seen, put) == (Some(10), Put::Replaced(10)), "{seen:?} {put:?}");
        assert_eq!(bare.copies(1), 1);
    });
}

#[test]
fn what_a_get_has_seen_is_there_for_a_walk() {
    check_both_ways("get, walk/remove, insert", Some(3), || {
        let bare = Bare::new();
        bare.put(1, 10);
        let ((seen, met), _) = both(
            &bare,
            |bare| (bare.get(1), bare.values(1)),
            |bare| {
                bare.remove(1);
                bare.put(1, 11);
                (None, Vec::new())
            },
        );
        assert!(seen != Some(11) || met == [11], "{seen:?} {met:?}");
    });
}

#[test]
fn entry_that_is_refused_is_never_seen() {
    check_both_ways("insert if absent, get/insert if absent", Some(3), || {
        let bare = Bare::new();
        let (mine, theirs) =
            both(&bare, |bare| (bare.offer(1, 20), bare.get(1)), |bare| (bare.offer(1, 10), bare.get(1)));
        let expected = (theirs.0 != mine.0).then_some(if mine.0 { 20 } else { 10 });
        assert!(expected.is_some() && (mine.1, theirs.1) == (expected, expected), "{mine:?} {theirs:?}");
    });
}

#[test]
fn entry_that_was_seen_is_removed_at_the_first_try() {
    check("insert/get, remove", None, || {
        let bare = Bare::new();
        let (was_removed, _) = both(
            &bare,
            |bare| bare.get(1).is_none() || bare.expire_at(0, 1),
            |bare| {
                bare.put(1, 10);
                false
            },
        );
        assert!(was_removed);
    });
}

#[test]
fn walk_meets_no_entry_before_it_is_published() {
    check("walk, get/remove, insert", Some(4), || {
        let bare = Bare::new();
        bare.put(1, 10);
        let ((first, second), _) = both(
            &bare,
            |bare| (bare.values(1), bare.get(1)),
            |bare| {
                bare.remove(1);
                bare.put(1, 11);
                (Vec::new(), None)
            },
        );
        let first = match first[..] {
            [] => None,
            [value] => Some(value),
            _ => panic!("{first:?}"),
        };
        assert!(matches!((first, second), (Some(10), _) | (None, None | Some(11)) | (Some(11), Some(11))));
    });
}

#[test]
fn walk_meets_a_key_once_though_it_changes_its_slot() {
    check("walk/remove two, insert one", Some(3), || {
        let bare = Bare::new();
        bare.put(2, 20);
        bare.put(1, 10);
        let (met, _) = both(
            &bare,
            |bare| bare.values(1),
            |bare| {
                bare.remove(2);
                bare.remove(1);
                bare.put(1, 11);
                Vec::new()
            },
        );
        assert!(matches!(met[..], [] | [10] | [11]), "{met:?}");
    });
}

#[test]
fn one_of_two_removes_gets_the_value() {
    check("remove/remove", None, || {
        let bare = Bare::new();
        bare.put(1, 10);
        let outcome = both(&bare, |bare| bare.remove(1), |bare| bare.remove(1));
        assert!(matches!(outcome, (Some(10), None) | (None, Some(10))), "{outcome:?}");
        assert_eq!(bare.get(1), None);
    });
}

#[test]
fn replace_and_remove_agree_on_who_was_first() {
    check("replace/remove", None, || {
        let bare = Bare::new();
        bare.put(1, 10);
        let (put, removed) = both(&bare, |bare| Some(bare.put(1, 11)), |bare| bare.remove(1).map(Put::Replaced));
        match (put, removed) {
            (Some(Put::Replaced(10)), Some(Put::Replaced(11))) => assert_eq!(bare.get(1), None),
            (Some(Put::New), Some(Put::Replaced(10))) => assert_eq!(bare.get(1), Some(11)),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn remove_and_insert_of_the_same_key_leave_one_copy() {
    check("remove, insert/insert same key", Some(4), || {
        let bare = Bare::new();
        bare.put(1, 10);
        both(
            &bare,
            |bare| {
                bare.remove(1);
                bare.put(1, 11)
            },
            |bare| bare.put(1, 12),
        );
        assert_eq!(bare.copies(1), 1);
        assert!(matches!(bare.get(1), Some(11 | 12)));
    });
}

#[test]
fn claim_is_given_back_when_the_key_has_come() {
    check("claim given back", None, || {
        let bare = Bare::new();
        both(&bare, |bare| bare.put(1, 10), |bare| bare.put(1, 11));
        // Two slots are left, of which one was claimed in vain, perhaps.
        assert_eq!((bare.put(2, 20), bare.put(3, 30)), (Put::New, Put::New));
        assert_eq!(bare.tails(), 0);
        assert_eq!((bare.copies(1), bare.copies(2), bare.copies(3)), (1, 1, 1));
    });
}

#[test]
fn three_inserts_of_a_key_leave_one_copy() {
    check("insert x 3 same key", Some(1), || {
        let bare = Bare::new();
        let second = loom::sync::Arc::clone(&bare);
        let thread = loom::thread::spawn(move || second.put(1, 30));
        both(&bare, |bare| bare.put(1, 10), |bare| bare.put(1, 20));
        thread.join().unwrap();
        assert_eq!(bare.copies(1), 1);
    });
}

#[test]
fn overflow_line_is_there_once_its_number_is() {
    check("overflow line/replace", None, || {
        let bare = Bare::new();
        bare.put(1, 10);
        bare.put(2, 20);
        both(&bare, |bare| bare.put(1, 11), |bare| bare.put(3, 30));
        assert_eq!((bare.get(1), bare.get(2), bare.get(3)), (Some(11), Some(20), Some(30)));
    });
}

#[test]
fn key_in_a_line_is_never_missed_while_the_bins_own_slots_change() {
    check("get from a line/remove, insert", None, || {
        let bare = Bare::new();
        // Their tags differ.
        (1..=3).for_each(|key| _ = bare.put_at(key.into(), key, 10 * key));
        let (found, _) = both(
            &bare,
            |bare| bare.get_further_at(3, 3),
            |bare| {
                bare.remove_at(1, 1);
                bare.put_at(4, 4, 40);
                None
            },
        );
        assert_eq!(found, Some(30));
    });
}

#[test]
fn lines_of_one_chunk_are_there_for_both_bins() {
    check("overflow line/overflow line of another bin", None, || {
        let bare = Bare::of_capacity(16);
        // Bins 0 and 1 use up the first two chunks of one line each; the third has two.
        for key in [0, 4, 8, 1, 5, 9, 2, 6, 3, 7] {
            bare.put_at(u64::from(key), key, key);
        }
        let outcome = both(&bare, |bare| bare.put_at(10, 10, 10), |bare| bare.put_at(11, 11, 11));
        assert_eq!(outcome, (Put::New, Put::New));
        assert_eq!((bare.get_at(10, 10), bare.get_at(11, 11)), (Some(10), Some(11)));
    });
}

#[test]
fn overflow_line_is_shared_by_all_who_need_it() {
    check("overflow line/overflow line of one bin", Some(2), || {
        let bare = Bare::new();
        bare.put(1, 10);
        bare.put(2, 20);
        both(&bare, |bare| bare.put(3, 30), |bare| bare.put(3, 31));
        for key in 1..=3 {
            assert_eq!(bare.copies(key), 1);
        }
    });
}
