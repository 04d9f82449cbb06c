//! The simulator's clock: what date it is, and how fast spans of time pass.
//! It never makes the date run ahead: speeding up shortens spans only, since a receiver compares `createdDate` with its own clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// A moment on the simulated time: so much of it has passed since the start. Waits end at one, and histories are kept until one.
pub(crate) type Moment = Duration;

pub(crate) struct Clock {
    pace: Mutex<Pace>,
    skew_millis: AtomicI64,
}

/// How fast simulated time passes, and since when.
struct Pace {
    since: Instant,
    passed: Moment,
    scale: f64,
}

impl Pace {
    fn now(&self) -> Moment {
        let passed = self.since.elapsed().as_secs_f64() * self.scale;
        // Standing still has to be exact: what is due in a second is due after a leap of a second.
        let passed = Duration::try_from_secs_f64(passed).unwrap_or(Duration::MAX);
        self.passed.saturating_add(passed)
    }

    fn go_on(&mut self, from: Moment, scale: f64) {
        *self = Self {
            since: Instant::now(),
            passed: from,
            scale,
        };
    }
}

impl Clock {
    pub(crate) fn new(scale: f64) -> Self {
        Self {
            pace: Mutex::new(Pace {
                since: Instant::now(),
                passed: Duration::ZERO,
                scale,
            }),
            skew_millis: AtomicI64::new(0),
        }
    }

    /// The date, in the service's own precision of 100 ns.
    pub(crate) fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_millis(self.skew_millis.load(Ordering::Relaxed));
        let now = system_time().checked_add(skew).unwrap_or(Timestamp::MAX);
        let ticks = now.as_nanosecond() / 100;
        Timestamp::from_nanosecond(ticks * 100).unwrap_or(now)
    }

    /// How much simulated time has passed.
    pub(crate) fn passed(&self) -> Moment {
        self.pace().now()
    }

    /// How long it really takes until a moment; none while the clock stands still.
    pub(crate) fn until(&self, moment: Moment) -> Option<Duration> {
        let pace = self.pace();
        let left = moment.saturating_sub(pace.now());
        Duration::try_from_secs_f64(left.as_secs_f64() / pace.scale).ok()
    }

    pub(crate) fn scale(&self) -> f64 {
        self.pace().scale
    }

    /// Sets how many simulated seconds pass in a real one. At 0 it stands still, and only leaps move it.
    pub(crate) fn set_scale(&self, scale: f64) {
        let mut pace = self.pace();
        let now = pace.now();
        pace.go_on(now, scale);
    }

    /// Leaps ahead: so much passes at once.
    pub(crate) fn advance(&self, span: Duration) {
        let mut pace = self.pace();
        let (now, scale) = (pace.now(), pace.scale);
        pace.go_on(now.saturating_add(span), scale);
    }

    /// Leaps to a moment, unless it is over.
    pub(crate) fn advance_to(&self, moment: Moment) {
        let mut pace = self.pace();
        let (now, scale) = (pace.now(), pace.scale);
        pace.go_on(now.max(moment), scale);
    }

    pub(crate) fn skew_millis(&self) -> i64 {
        self.skew_millis.load(Ordering::Relaxed)
    }

    pub(crate) fn set_skew_millis(&self, skew: i64) {
        self.skew_millis.store(skew, Ordering::Relaxed);
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a clock can run at this scale.
pub(crate) fn is_scale(scale: f64) -> bool {
    scale.is_finite() && scale >= 0.0
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the simulator asks what time it is"
)]
fn system_time() -> Timestamp {
    Timestamp::now()
}

/// A date as the service writes most of them: up to seven digits of a second, trailing zeros left out.
pub(crate) fn stamp(at: Timestamp) -> String {
    let ticks = at.subsec_nanosecond().unsigned_abs() / 100;
    let fraction = format!(".{ticks:07}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{}{fraction}Z", at.strftime("%Y-%m-%dT%H:%M:%S"))
}

/// A date as Git knows it: whole seconds.
pub(crate) fn seconds(at: Timestamp) -> String {
    format!("{}Z", at.strftime("%Y-%m-%dT%H:%M:%S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_carry_up_to_seven_digits_and_no_trailing_zeros() {
        let at = |text: &str| stamp(text.parse().unwrap());
        assert_eq!(
            at("2026-03-04T05:06:07.1234567Z"),
            "2026-03-04T05:06:07.1234567Z"
        );
        assert_eq!(at("2026-03-04T05:06:07.114Z"), "2026-03-04T05:06:07.114Z");
        assert_eq!(at("2026-03-04T05:06:07Z"), "2026-03-04T05:06:07Z");
    }

    #[test]
    fn a_clock_that_stands_still_moves_by_leaps_alone() {
        let clock = Clock::new(0.0);
        assert_eq!(clock.passed(), Duration::ZERO);
        assert_eq!(clock.until(Duration::from_secs(1)), None);
        clock.advance(Duration::from_secs(60));
        assert_eq!(clock.passed(), Duration::from_secs(60));
        clock.advance_to(Duration::from_secs(30));
        assert_eq!(clock.passed(), Duration::from_secs(60), "never back");
    }

    #[test]
    fn a_faster_clock_shortens_spans_and_leaves_the_date_alone() {
        let clock = Clock::new(1e6);
        let until = clock.until(Duration::from_secs(3600)).unwrap();
        assert!(until <= Duration::from_micros(3600));
        let before = clock.now();
        clock.advance(Duration::from_secs(7 * 86_400));
        let date = clock.now().duration_since(before);
        assert!(date < SignedDuration::from_hours(24));
    }
}
