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
