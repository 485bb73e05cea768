//! One bin: claims, publishes, replaces, removes, frees, seals.

use super::{Bare, Put, both, check};

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
    check("get/replace", None, || {
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
    check("get/churn of another key", Some(4), || {
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

#[test]
fn slot_with_a_new_tenant_is_not_taken_for_the_old_one() {
    check("get/slot reuse", Some(4), || {
        let bare = Bare::new();
        bare.put(1, 10);
        let (seen, _) = both(
            &bare,
            |bare| bare.get(1),
            |bare| {
                bare.remove(1);
                bare.put(2, 20);
                None
            },
        );
        assert!(matches!(seen, None | Some(10)), "{seen:?}");
        assert_eq!((bare.get(1), bare.get(2)), (None, Some(20)));
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
        bare.put(1, 10);
        // One slot of the line is left; whoever comes second must give its claim back, and key 3 finds room after.
        both(&bare, |bare| bare.put(2, 20), |bare| bare.put(2, 21));
        bare.remove(1);
        assert_eq!(bare.put(3, 30), Put::New);
        assert_eq!((bare.copies(2), bare.copies(3)), (1, 1));
    });
}

#[test]
fn three_inserts_of_a_key_leave_one_copy() {
    check("insert x 3 same key", Some(3), || {
        let bare = Bare::new();
        let second = loom::sync::Arc::clone(&bare);
        let thread = loom::thread::spawn(move || second.put(1, 30));
        both(&bare, |bare| bare.put(1, 10), |bare| bare.put(1, 20));
        thread.join().unwrap();
        assert_eq!(bare.copies(1), 1);
    });
}

#[test]
fn overflow_line_is_shared_by_all_who_need_it() {
    check("overflow line installed by two", Some(4), || {
        let bare = Bare::new();
        bare.put(1, 10);
        bare.put(2, 20);
        both(&bare, |bare| bare.put(3, 30), |bare| bare.put(4, 40));
        for key in 1..=4 {
            assert_eq!((bare.copies(key), bare.get(key)), (1, Some(10 * key)));
        }
    });
}
