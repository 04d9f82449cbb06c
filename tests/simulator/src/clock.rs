//! The simulator's clock: what time it is, and how fast waits pass.
//! It never makes the date run ahead by itself: speeding up shortens waits only, since a receiver compares `createdDate` with its own clock.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How long a wait sleeps at a time before it looks again whether it is still wanted and how fast time passes.
const SLICE: Duration = Duration::from_millis(50);

pub(crate) struct Clock {
    scale: AtomicU64,
    skew_millis: AtomicI64,
}

impl Clock {
    pub(crate) fn new(scale: f64) -> Self {
        Self {
            scale: AtomicU64::new(scale.to_bits()),
            skew_millis: AtomicI64::new(0),
        }
    }

    /// Now, in the service's own precision of 100 ns.
    pub(crate) fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_millis(self.skew_millis.load(Ordering::Relaxed));
        let now = system_time().checked_add(skew).unwrap_or(Timestamp::MAX);
        let ticks = now.as_nanosecond() / 100;
        Timestamp::from_nanosecond(ticks * 100).unwrap_or(now)
    }

    pub(crate) fn scale(&self) -> f64 {
        f64::from_bits(self.scale.load(Ordering::Relaxed))
    }

    pub(crate) fn set_scale(&self, scale: f64) {
        self.scale.store(scale.to_bits(), Ordering::Relaxed);
    }

    pub(crate) fn skew_millis(&self) -> i64 {
        self.skew_millis.load(Ordering::Relaxed)
    }

    pub(crate) fn set_skew_millis(&self, skew: i64) {
        self.skew_millis.store(skew, Ordering::Relaxed);
    }

    /// Waits for a span of simulated time, or until it is no longer wanted. A change of the scale takes effect while it waits.
    pub(crate) async fn wait(&self, span: Duration, wanted: impl Fn() -> bool) {
        let mut remaining = span.as_secs_f64();
        while remaining > 0.0 && wanted() {
            let scale = self.scale();
            let real = Duration::try_from_secs_f64(remaining / scale).unwrap_or(SLICE);
            let slice = real.min(SLICE);
            tokio::time::sleep(slice).await;
            remaining -= slice.as_secs_f64() * scale;
            if real <= SLICE {
                return;
            }
        }
    }
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

    #[tokio::test]
    async fn a_faster_clock_shortens_waits() {
        let clock = Clock::new(1_000_000.0);
        let began = std::time::Instant::now();
        clock.wait(Duration::from_secs(3600), || true).await;
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}
