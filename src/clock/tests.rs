use super::*;

/// The constructor took only a second of lag for granted: stopped in it for longer, a thread made a clock by which
/// entries lived that much too long.
#[test]
fn hybrid_judges_right_wherever_its_thread_was_stopped_in_the_constructor() {
    for stop in [0, 1, 4, 60].map(Duration::from_secs) {
        let (Some(raw), now) = (system::monotonic(), Instant::now()) else { return };
        // As if these readings had been made before the stop. A machine that has not run so long shows nothing.
        let (Some(raw_then), Some(then)) = (raw.checked_sub(saturating_nanos(stop)), now.checked_sub(stop)) else {
            return;
        };
        for origin in [then, now] {
            let clock = Clock::hybrid_from(Some(raw_then), origin, system::monotonic());
            let lapsed = clock.nanos();
            let reading = clock.read();
            let live = clock.nanos() + 1;
            assert_ne!(reading.judge(lapsed), Verdict::Live, "stopped for {stop:?}");
            assert_ne!(reading.judge(live), Verdict::Lapsed, "stopped for {stop:?}");
        }
    }
}

/// A raw reading from before the origin, as the coarse clock gives it at first (or for longer, where the machine was stopped), and one
/// from past the end of the scale.
#[test]
fn hybrid_judges_right_at_both_ends_of_its_scale() {
    let Some(raw) = system::monotonic() else { return };
    let at = |origin: u64| Clock::hybrid_from(Some(origin), Instant::now(), Some(origin)).read();
    for ahead in [COARSE_LAG / 2, COARSE_LAG + COARSE_LAG / 2, 3 * COARSE_LAG, 1 << 62] {
        let young = at(raw + ahead);
        assert!(young.floor() < COARSE_LAG, "no time has passed");
        assert_eq!(young.judge(3 * COARSE_LAG), Verdict::Live, "{ahead} ahead");
        assert_ne!(young.judge(COARSE_LAG), Verdict::Lapsed, "{ahead} ahead");
        assert_eq!(young.judge(EXPIRED), Verdict::Lapsed);
    }
    // The clock is made now, whatever its coarse part says: off the scale that is not asked.
    for old in [at(raw.wrapping_sub(LATEST)), at(raw.wrapping_sub(LATEST - COARSE_LAG / 2))] {
        assert_eq!(old.judge(LATEST), Verdict::Live);
        assert_ne!(old.judge(COARSE_LAG), Verdict::Lapsed);
    }
    let old = at(raw.wrapping_sub(LATEST - 2 * COARSE_LAG));
    assert_eq!(old.judge(LATEST / 2), Verdict::Lapsed);
    assert_eq!(old.judge(NEVER), Verdict::Live);
}

#[test]
fn later_of_two_readings_keeps_what_has_surely_come() {
    let coarse = Reading { ceiling: Stamp::open(2 * COARSE_LAG), lag: COARSE_LAG };
    let exact = Reading::exactly(COARSE_LAG + 7);
    assert_eq!(coarse.floor(), COARSE_LAG);
    assert_eq!(coarse.after(exact).floor(), COARSE_LAG + 7);
    assert_eq!(coarse.after(exact).judge(2 * COARSE_LAG), Verdict::Near);
    assert_eq!(coarse.after(Reading::UNREAD), coarse);
    let later = Reading::exactly(5 * COARSE_LAG);
    assert_eq!(coarse.after(later), later, "a coarse clock that stands still");
}
