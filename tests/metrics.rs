//! What is published through the crate `metrics` is what the statistics say.

mod common;

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::time::Duration;

use common::{manual_map, purge_all};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use ttlwheel::TtlMap;

const TTL: Duration = Duration::from_secs(60);

/// What was published, by name and labels; each has a description.
fn published(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let metrics = snapshotter.snapshot().into_vec().into_iter();
    metrics
        .map(|(metric, _, description, value)| {
            let key = metric.key();
            let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            assert!(description.is_some(), "{}", key.name());
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(value) => value.into_inner(),
                DebugValue::Histogram(_) => panic!("{} is a histogram", key.name()),
            };
            (format!("{}{{{}}}", key.name(), labels.join(",")), value)
        })
        .collect()
}

/// A map of which no two statistics are equal, but for those of upkeep.
fn busy() -> TtlMap<u64, u64> {
    let (map, clock) = manual_map(TTL, RandomState::new());
    (0..40).for_each(|key| drop(map.insert(key, key)));
    (0..7).for_each(|key| drop(map.insert(key, key)));
    (0..17).for_each(|key| drop(map.get(&key)));
    (100..111).for_each(|key| drop(map.get(&key)));
    (0..5).for_each(|key| drop(map.remove(&key)));
    (5..8).for_each(|key| drop(map.insert_with_ttl(key, key, Duration::from_secs(1))));
    clock.advance(Duration::from_secs(3));
    (5..7).for_each(|key| drop(map.get(&key)));
    clock.advance(Duration::from_secs(1));
    purge_all(&map);
    map
}

#[test]
fn what_is_published_is_what_the_statistics_say() {
    let map = busy();
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || map.publish_metrics("busy"));
    let told = published(&recorder.snapshotter());
    let stats = map.stats();
    let expected = [
        ("hits_total{map=busy}", 17.0),
        ("misses_total{map=busy,entry=absent}", 11.0),
        ("misses_total{map=busy,entry=expired}", 2.0),
        ("inserts_total{map=busy}", 50.0),
        ("removals_total{map=busy,cause=replaced}", 10.0),
        ("removals_total{map=busy,cause=expired}", 3.0),
        ("removals_total{map=busy,cause=explicit}", 5.0),
        ("reminders_filed_total{map=busy}", stats.upkeep.filed as f64),
        ("reminders_fired_total{map=busy}", stats.upkeep.fired as f64),
        ("reminders_stale_total{map=busy}", stats.upkeep.stale as f64),
        ("entries_examined_total{map=busy}", stats.upkeep.examined as f64),
        ("stored{map=busy}", 32.0),
        ("retired{map=busy}", stats.retired as f64),
        ("reminders{map=busy}", stats.upkeep.reminders as f64),
        ("bytes{map=busy}", stats.bytes as f64),
        ("lag_seconds{map=busy,quantile=0.5}", stats.lag.p50.as_secs_f64()),
        ("lag_seconds{map=busy,quantile=0.99}", 3.0),
        ("lag_seconds{map=busy,quantile=1}", 3.0),
    ];
    let expected = expected.map(|(name, value)| (format!("ttlwheel_{name}"), value));
    assert_eq!(told, BTreeMap::from(expected));
    assert!((2.0..2.25).contains(&stats.lag.p50.as_secs_f64()));
}

#[test]
fn publishing_again_sets_what_is_there() {
    let (busy, quiet) = (busy(), TtlMap::<u64, u64>::new(TTL));
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        busy.publish_metrics("busy");
        quiet.publish_metrics("quiet");
        busy.get(&20);
        busy.remove(&20);
        busy.publish_metrics("busy");
    });
    let told = published(&recorder.snapshotter());
    assert_eq!(told["ttlwheel_hits_total{map=busy}"], 18.0);
    assert_eq!(told["ttlwheel_stored{map=busy}"], 31.0);
    assert_eq!(told["ttlwheel_hits_total{map=quiet}"], 0.0);
    assert_eq!(told["ttlwheel_stored{map=quiet}"], 0.0);
}

#[test]
fn without_a_recorder_nothing_happens() {
    let map = busy();
    let before = map.stats();
    map.publish_metrics("busy");
    assert_eq!(map.stats(), before);
}
