//! The plain map: a value, a deadline and a bound by key, and how long values live by the map's settings.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use ttlwheel::{AfterRead, Deadline, Expiry, ManualClock, TtlMap};

use crate::steps::When;

pub const TTL: Duration = Duration::from_millis(50);
pub const IDLE: Duration = Duration::from_millis(16);

/// Nanoseconds since the test's start; `NEVER` is past all that the clock can show.
pub type Time = i128;
pub const NEVER: Time = Time::MAX;

/// How a map is built.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    pub time_to_live: Option<Duration>,
    pub time_to_idle: Option<Duration>,
    /// [`ByValue`], in place of both times.
    pub has_policy: bool,
    pub jitter: f64,
}

impl Settings {
    pub fn fixed() -> Self {
        Settings { time_to_live: Some(TTL), ..Settings::default() }
    }

    pub fn map<S>(self, hasher: S, clock: &ManualClock) -> TtlMap<u64, u64, S> {
        let mut builder = TtlMap::<u64, u64>::builder().jitter(self.jitter).clock(clock).hasher(hasher);
        if let Some(ttl) = self.time_to_live {
            builder = builder.time_to_live(ttl);
        }
        if let Some(idle) = self.time_to_idle {
            builder = builder.time_to_idle(idle);
        }
        if self.has_policy {
            builder = builder.expiry(ByValue);
        }
        builder.build()
    }

    /// Whether reads move deadlines.
    pub fn slides(self) -> bool {
        self.time_to_idle.is_some() || self.has_policy
    }
}

/// A policy of which each answer comes in all kinds, by the value.
pub struct ByValue;

impl Expiry<u64, u64> for ByValue {
    fn after_create(&self, _: &u64, value: &u64) -> Option<Duration> {
        [None, Some(Duration::ZERO), Some(TTL / 2), Some(TTL * 2)][*value as usize % 4]
    }

    fn after_update(&self, _: &u64, value: &u64, remaining: Option<Duration>) -> Option<Duration> {
        match value % 4 {
            0 => remaining,
            1 => Some(TTL),
            2 => Some(Duration::ZERO),
            _ => None,
        }
    }

    fn after_read(&self, _: &u64, value: &u64, remaining: Option<Duration>) -> AfterRead {
        match value % 5 {
            0 => AfterRead::Keep,
            1 => AfterRead::Set(None),
            2 => AfterRead::Set(Some(TTL)),
            3 => AfterRead::Set(remaining.map(|remaining| remaining / 2)),
            _ => AfterRead::Set(Some(IDLE)),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Life {
    pub value: u64,
    pub deadline: Time,
    /// How far reads may move the deadline: `NOWHERE`, or later than now.
    pub bound: Time,
}

const NOWHERE: Time = 0;

/// Lapsed entries stay in it, as they may be stored, until something is known to have removed them.
pub struct Model {
    settings: Settings,
    start: Instant,
    /// The last time that the clock can show.
    end: Time,
    pub now: Time,
    pub lives: BTreeMap<u64, Life>,
    next_value: u64,
}

impl Model {
    pub fn new(settings: Settings, clock: &ManualClock) -> Self {
        let probe = ManualClock::new();
        let start = probe.now();
        probe.advance(Duration::MAX);
        let end = (probe.now() - start).as_nanos() as Time;
        Model { settings, start: clock.now(), end, now: 0, lives: BTreeMap::new(), next_value: 0 }
    }

    pub fn next_value(&mut self) -> u64 {
        self.next_value += 1;
        self.next_value
    }

    pub fn advance(&mut self, by: Duration) {
        self.now = self.now.saturating_add(by.as_nanos() as Time).min(self.end);
    }

    pub fn instant(&self, at: Time) -> Instant {
        let by = Duration::from_secs((at.unsigned_abs() / 1_000_000_000) as u64)
            + Duration::from_nanos((at.unsigned_abs() % 1_000_000_000) as u64);
        if at < 0 { self.start.checked_sub(by).unwrap_or(self.start) } else { self.start + by }
    }

    pub fn told(&self, deadline: Time) -> Deadline {
        if deadline == NEVER { Deadline::Never } else { Deadline::At(self.instant(deadline)) }
    }

    /// Live at `now`.
    pub fn live_at(&self, now: Time) -> Vec<(u64, u64)> {
        self.lives.iter().filter(|(_, life)| now < life.deadline).map(|(key, life)| (*key, life.value)).collect()
    }

    pub fn life(&self, key: u64) -> Option<Life> {
        self.lives.get(&key).copied().filter(|life| self.now < life.deadline)
    }

    pub fn live(&self, key: u64) -> Option<u64> {
        self.life(key).map(|life| life.value)
    }

    fn on_scale(&self, at: Time) -> Time {
        if at > self.end { NEVER } else { at }
    }

    fn after(&self, ttl: Option<Duration>) -> Time {
        ttl.map_or(NEVER, |ttl| self.on_scale(self.now + ttl.as_nanos() as Time))
    }

    fn remaining(&self, deadline: Time) -> Option<Duration> {
        (deadline != NEVER).then(|| Duration::from_nanos((deadline - self.now) as u64))
    }

    /// The time to live that the settings give: from the one as it is to the most that jitter leaves of it.
    fn jittered(&self, ttl: Option<Duration>) -> RangeInclusive<Time> {
        let last = self.after(ttl);
        if self.settings.jitter == 0.0 || last == NEVER {
            return last..=last;
        }
        // And a bit for what floats are short of.
        let most = (last - self.now) as f64 * self.settings.jitter;
        last - (most * (1.0 + 1e-9)) as Time - 1..=last
    }

    /// The deadline that `when` means for this value, over one with that deadline or none.
    pub fn deadline(&self, when: When, value: u64, over: Option<Time>) -> RangeInclusive<Time> {
        let at = match when {
            When::Default if self.settings.has_policy => {
                return self.jittered(match over {
                    None => ByValue.after_create(&0, &value),
                    Some(deadline) => ByValue.after_update(&0, &value, self.remaining(deadline)),
                });
            }
            When::Default => {
                let live = self.jittered(self.settings.time_to_live);
                let idle = self.settings.time_to_idle.map_or(NEVER, |idle| self.after(Some(idle)));
                return (*live.start()).min(idle)..=(*live.end()).min(idle);
            }
            When::Ttl(ttl) => self.after(Some(ttl)),
            When::At(at) => self.on_scale(at),
            When::Never => NEVER,
        };
        at..=at
    }

    /// A value is put; `told` is the deadline that the map says it has by now.
    pub fn put(&mut self, key: u64, value: u64, when: When, told: impl FnOnce() -> Option<Deadline>) {
        let over = self.life(key).map(|life| life.deadline);
        let deadline = self.adopt(self.deadline(when, value, over), told);
        let bound = match when {
            When::Default if self.settings.has_policy => NEVER,
            When::Default if self.settings.time_to_idle.is_some() => self.after(self.settings.time_to_live),
            _ => NOWHERE,
        };
        self.lives.insert(key, Life { value, deadline, bound });
    }

    /// The deadline of those allowed that the map has chosen.
    pub fn adopt(&self, allowed: RangeInclusive<Time>, told: impl FnOnce() -> Option<Deadline>) -> Time {
        if allowed.start() == allowed.end() {
            return *allowed.start();
        }
        let chosen = match told() {
            Some(Deadline::At(at)) => at.duration_since(self.start).as_nanos() as Time,
            Some(Deadline::Never) => NEVER,
            // It has lapsed.
            None => self.now.min(*allowed.end()),
        };
        assert!(allowed.contains(&chosen), "{chosen} is none of {allowed:?}");
        chosen
    }

    /// What a read does to a live value.
    pub fn read(&mut self, key: u64) {
        let Some(Life { value, deadline, bound }) = self.life(key) else { return };
        let moved = match (self.settings.has_policy, self.settings.time_to_idle) {
            (true, _) => {
                let AfterRead::Set(ttl) = ByValue.after_read(&0, &value, self.remaining(deadline)) else { return };
                let new = self.not_yet(self.after(ttl));
                let least = ttl.map_or(0, |ttl| ttl.as_nanos() as Time / 16).max(1);
                if new.abs_diff(deadline) < least as u128 || new > bound {
                    return;
                }
                new
            }
            (false, Some(idle)) => {
                let nanos = idle.as_nanos() as Time;
                let moved = self.after(Some(idle)).min(bound);
                // By a sixteenth at least, were there no bound.
                if self.now < deadline - (nanos - nanos / 16) || moved <= deadline {
                    return;
                }
                moved
            }
            (false, None) => return,
        };
        self.lives.insert(key, Life { value, deadline: moved, bound });
    }

    /// What a touch gives a live value; policies end nothing.
    pub fn touched(&self, life: Life) -> RangeInclusive<Time> {
        let allowed = self.deadline(When::Default, life.value, Some(life.deadline));
        if !self.settings.has_policy {
            return allowed;
        }
        self.not_yet(*allowed.start())..=self.not_yet(*allowed.end())
    }

    fn not_yet(&self, deadline: Time) -> Time {
        self.on_scale(deadline.max(self.now + 1))
    }

    /// A live value has another deadline from now on.
    pub fn set(&mut self, key: u64, deadline: Time) {
        if deadline <= self.now {
            self.lives.remove(&key);
        } else if let Some(life) = self.lives.get_mut(&key) {
            life.deadline = deadline;
        }
    }
}
