//! Sealed bins and their tails.

use super::{Bare, Put, both, check};

/// A table whose one bin has all its three slots taken, by keys 1 to 3.
fn full() -> loom::sync::Arc<Bare> {
    let bare = Bare::new();
    for key in 1..=3 {
        bare.put(key, 10 * key);
    }
    bare
}

#[test]
fn one_of_two_appends_of_a_key_is_new() {
    check("seal, append/append same key", None, || {
        let bare = full();
        let outcome = both(&bare, |bare| bare.put(4, 40), |bare| bare.put(4, 41));
        assert!(matches!(outcome, (Put::New, Put::Replaced(40)) | (Put::Replaced(41), Put::New)), "{outcome:?}");
        assert_eq!(bare.copies(4), 1);
    });
}

#[test]
fn key_freed_while_the_bin_is_sealed_comes_back_once() {
    check("seal/remove", None, || {
        let bare = full();
        let (_, removed) = both(
            &bare,
            |bare| {
                bare.put(4, 40);
                None
            },
            |bare| bare.remove(1),
        );
        assert_eq!(removed, Some(10));
        assert_eq!(bare.put(1, 11), Put::New);
        assert_eq!((bare.values(1), bare.values(4)), (vec![11], vec![40]));
        assert_eq!((bare.get(1), bare.get(4)), (Some(11), Some(40)));
    });
}

#[test]
fn two_inserts_of_a_key_around_the_sealing_leave_one_copy() {
    check("claim of the last slot/seal, append", Some(3), || {
        let bare = full();
        bare.remove(3);
        // One takes the last slot; the other finds none, seals the bin, and goes to the tail.
        let outcome = both(&bare, |bare| bare.put(4, 40), |bare| bare.put(4, 41));
        assert!(matches!(outcome, (Put::New, Put::Replaced(40)) | (Put::Replaced(41), Put::New)), "{outcome:?}");
        assert_eq!(bare.copies(4), 1);
    });
}

#[test]
fn rebuilt_tail_keeps_what_is_replaced_meanwhile() {
    check("tail rebuild/replace", None, || {
        let bare = full();
        bare.put(4, 40);
        bare.put(5, 50);
        // The tail has two words: the third key rebuilds it.
        both(&bare, |bare| bare.put(6, 60), |bare| bare.put(4, 41));
        assert_eq!((bare.get(4), bare.get(5), bare.get(6)), (Some(41), Some(50), Some(60)));
        assert_eq!(bare.copies(4), 1);
    });
}

#[test]
fn rebuilt_tail_does_not_bring_back_what_is_removed() {
    check("tail rebuild/remove", None, || {
        let bare = full();
        bare.put(4, 40);
        bare.put(5, 50);
        let (_, removed) = both(
            &bare,
            |bare| {
                bare.put(6, 60);
                None
            },
            |bare| bare.remove(4),
        );
        assert_eq!(removed, Some(40));
        assert_eq!((bare.copies(4), bare.get(5), bare.get(6)), (0, Some(50), Some(60)));
    });
}

#[test]
fn key_in_a_tail_is_never_missed_while_it_is_rebuilt() {
    check("get/tail rebuild", None, || {
        let bare = full();
        bare.put(4, 40);
        bare.put(5, 50);
        let (seen, _) = both(
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

#[test]
fn two_rebuilds_retire_the_old_tail_once() {
    check("tail rebuild/tail rebuild", None, || {
        let bare = full();
        bare.put(4, 40);
        bare.put(5, 50);
        both(&bare, |bare| bare.put(6, 60), |bare| bare.put(7, 70));
        for key in 1..=7 {
            assert_eq!((bare.copies(key), bare.get(key)), (1, Some(10 * key)));
        }
    });
}
