//! The statistics through the facade of the crate `metrics`.

use ::metrics::{Label, Unit, counter, describe_counter, describe_gauge, gauge};

use super::TtlMap;
use super::stats::Stats;

/// A name and what it means.
type About = (&'static str, &'static str);
/// A label beside that of the map; none if the key is empty.
type Extra = (&'static str, &'static str);

const NONE: Extra = ("", "");

type Counter = (About, Extra, fn(&Stats) -> u64);
type Gauge = (About, Unit, Extra, fn(&Stats) -> f64);

/// What only grows.
const COUNTERS: [Counter; 11] = [
    (("ttlwheel_hits_total", "Reads that found a live value"), NONE, |stats| stats.hits),
    (MISSES, ("entry", "absent"), |stats| stats.misses - stats.misses_expired),
    (MISSES, ("entry", "expired"), |stats| stats.misses_expired),
    (("ttlwheel_inserts_total", "Values put into the map"), NONE, |stats| stats.inserts),
    (REMOVALS, ("cause", "replaced"), |stats| stats.replaced),
    (REMOVALS, ("cause", "expired"), |stats| stats.expired),
    (REMOVALS, ("cause", "explicit"), |stats| stats.explicit),
    (("ttlwheel_reminders_filed_total", "Reminders filed in the wheel"), NONE, |stats| stats.upkeep.filed),
    (("ttlwheel_reminders_fired_total", "Reminders whose bucket was visited"), NONE, |stats| stats.upkeep.fired),
    (("ttlwheel_reminders_stale_total", "Reminders that were superseded"), NONE, |stats| stats.upkeep.stale),
    (("ttlwheel_entries_examined_total", "Entries looked at by sweeps"), NONE, |stats| stats.upkeep.examined),
];

const MISSES: About = ("ttlwheel_misses_total", "Reads that found no live value");
const REMOVALS: About = ("ttlwheel_removals_total", "Values that left the map");

/// What goes up and down.
const GAUGES: [Gauge; 7] = [
    (("ttlwheel_stored", "Entries in the table, live or not"), Unit::Count, NONE, |stats| stats.stored as f64),
    (("ttlwheel_retired", "What was unlinked and waits to be freed"), Unit::Count, NONE, |stats| stats.retired as f64),
    (("ttlwheel_reminders", "Reminders in the wheel"), Unit::Count, NONE, |stats| stats.upkeep.reminders as f64),
    (("ttlwheel_bytes", "The map's memory, about"), Unit::Bytes, NONE, |stats| stats.bytes as f64),
    (LAG, Unit::Seconds, ("quantile", "0.5"), |stats| stats.lag.p50.as_secs_f64()),
    (LAG, Unit::Seconds, ("quantile", "0.99"), |stats| stats.lag.p99.as_secs_f64()),
    (LAG, Unit::Seconds, ("quantile", "1"), |stats| stats.lag.max.as_secs_f64()),
];

const LAG: About = ("ttlwheel_lag_seconds", "How long after their deadline expired entries left");

impl<K, V, S> TtlMap<K, V, S> {
    /// Hands the [statistics](TtlMap::stats) as they are now to the recorder of the crate `metrics`, with the name of this
    /// map as the label `map`. Needs the feature `metrics`.
    ///
    /// It is for the caller to do so as often as the numbers shall be fresh: before each scrape, or by a timer. Counters are
    /// set, not added to, so it may be called at any time and by any thread. Where no recorder is installed nothing happens.
    ///
    /// | name | kind | labels |
    /// |---|---|---|
    /// | `ttlwheel_hits_total` | counter | |
    /// | `ttlwheel_misses_total` | counter | `entry`: `absent`, `expired` |
    /// | `ttlwheel_inserts_total` | counter | |
    /// | `ttlwheel_removals_total` | counter | `cause`: `replaced`, `expired`, `explicit` |
    /// | `ttlwheel_reminders_filed_total`, `_fired_total`, `_stale_total` | counter | |
    /// | `ttlwheel_entries_examined_total` | counter | |
    /// | `ttlwheel_stored`, `ttlwheel_retired`, `ttlwheel_reminders`, `ttlwheel_bytes` | gauge | |
    /// | `ttlwheel_lag_seconds` | gauge | `quantile`: `0.5`, `0.99`, `1` |
    ///
    /// # Complexity
    ///
    /// That of [`stats`](TtlMap::stats), and what the recorder takes.
    ///
    /// ```
    /// use metrics_util::debugging::{DebugValue, DebuggingRecorder};
    ///
    /// let map = ttlwheel::TtlMap::new(std::time::Duration::from_secs(60));
    /// map.insert("a", 1);
    /// assert!(map.get("a").is_some());
    ///
    /// let recorder = DebuggingRecorder::new();
    /// metrics::with_local_recorder(&recorder, || map.publish_metrics("sessions"));
    /// let published = recorder.snapshotter().snapshot().into_vec();
    /// let hits = published.iter().find(|(metric, ..)| metric.key().name() == "ttlwheel_hits_total").unwrap();
    /// assert!(matches!(hits.3, DebugValue::Counter(1)));
    /// ```
    pub fn publish_metrics(&self, map: &str) {
        let stats = self.stats();
        let labels = |(key, value): Extra| {
            let mut labels = vec![Label::new("map", map.to_owned())];
            if !key.is_empty() {
                labels.push(Label::from_static_parts(key, value));
            }
            labels
        };
        for ((name, meaning), extra, of) in COUNTERS {
            describe_counter!(name, Unit::Count, meaning);
            counter!(name, labels(extra)).absolute(of(&stats));
        }
        for ((name, meaning), unit, extra, of) in GAUGES {
            describe_gauge!(name, unit, meaning);
            gauge!(name, labels(extra)).set(of(&stats));
        }
    }
}
