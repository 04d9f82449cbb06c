//! Being modest: one call at a time, so many of them and no more, and none before Azure DevOps wants one again.
//! It never calls again by itself, and knows no date but the ones that an answer carries.
//!
//! Source: <https://learn.microsoft.com/en-us/azure/devops/integrate/concepts/rate-limits> (facts 8): Azure DevOps delays the
//! calls of an identity first, and says `Retry-After` on answers that are good; who goes on regardless is refused.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderMap};
use tokio::{sync, time, time::Instant};

use crate::{AdoError, answer};

/// What is left of an identity's allowance; comes near its end only.
const REMAINING: &str = "x-ratelimit-remaining";
/// When nothing of the allowance would be used any more, in seconds since 1970.
const RESET: &str = "x-ratelimit-reset";

/// How many calls may still be made, and when. Clients that share one are modest together.
#[derive(Debug)]
pub struct Pace {
    most_calls: u32,
    longest_wait: Duration,
    turn: sync::Mutex<()>,
    so_far: Mutex<SoFar>,
}

#[derive(Debug, Default)]
struct SoFar {
    calls: u32,
    not_before: Option<Instant>,
}

impl Pace {
    /// Allows `most_calls`, and waits before a call for as long as Azure DevOps asks, but not for longer than `longest_wait`.
    #[must_use]
    pub fn new(most_calls: u32, longest_wait: Duration) -> Self {
        Self {
            most_calls,
            longest_wait,
            turn: sync::Mutex::default(),
            so_far: Mutex::default(),
        }
    }

    /// How many calls were made, whatever came of them.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.so_far().calls
    }

    /// For how long, from now on, Azure DevOps still asks not to be called; `None` where it does not. Who has to stop asks
    /// this for when to go on.
    #[must_use]
    pub fn wait_asked(&self) -> Option<Duration> {
        let left = self
            .so_far()
            .not_before?
            .checked_duration_since(Instant::now())?;
        Some(left).filter(|left| !left.is_zero())
    }

    /// Waits until a call may be made, and counts it. The turn is the caller's until it lets go of it.
    pub(crate) async fn turn(&self) -> Result<sync::MutexGuard<'_, ()>, AdoError> {
        let turn = self.turn.lock().await;
        if self.calls() >= self.most_calls {
            return Err(AdoError::Spent);
        }
        if let Some(wait) = self.wait_asked() {
            if wait > self.longest_wait {
                return Err(AdoError::SlowDown {
                    retry_after: Some(whole_seconds(wait)),
                });
            }
            time::sleep(wait).await;
        }
        self.so_far().calls += 1;
        Ok(turn)
    }

    /// Takes note of what an answer says about the next call.
    pub(crate) fn heard(&self, headers: &HeaderMap) {
        let Some(wait) = wait_told(headers) else {
            return;
        };
        let not_before = Instant::now().checked_add(Duration::from_secs(wait.into()));
        let mut so_far = self.so_far();
        so_far.not_before = so_far.not_before.max(not_before);
    }

    fn so_far(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For how many seconds an answer asks not to be called. `Retry-After` is what Azure DevOps means by that; the reset is when
/// *all* is forgotten, later than need be, and is what there is where only that was said.
///
/// The reset is a date by the clock of whom it comes from, and so is the date of the answer that has it.
fn wait_told(headers: &HeaderMap) -> Option<u32> {
    if let Some(seconds) = answer::retry_after(headers) {
        return Some(seconds);
    }
    let remaining: f64 = text(headers, REMAINING)?.parse().ok()?;
    let reset: i64 = text(headers, RESET)?.parse().ok()?;
    let date = rfc2822::parse(text(headers, DATE.as_str())?).ok()?;
    let wait = reset.saturating_sub(date.timestamp().as_second());
    (remaining <= 0.0 && wait > 0).then(|| u32::try_from(wait).unwrap_or(u32::MAX))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Rounded up: who waits for that long has waited enough.
fn whole_seconds(wait: Duration) -> u32 {
    let begun = u64::from(wait.subsec_nanos() > 0);
    u32::try_from(wait.as_secs().saturating_add(begun)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn headers(told: &[(&'static str, &'static str)]) -> HeaderMap {
        told.iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn how_long_to_wait_is_told_in_two_ways() {
        let date = ("date", "Tue, 01 Dec 2026 10:00:00 GMT");
        // 2026-12-01T10:00:40Z.
        let reset = (RESET, "1796119240");
        for (told, expected) in [
            (vec![], None),
            (vec![("retry-after", "7")], Some(7)),
            (vec![("retry-after", "soon")], None),
            (vec![(REMAINING, "0"), reset, date], Some(40)),
            (
                vec![("retry-after", "7"), (REMAINING, "0"), reset, date],
                Some(7),
            ),
            (vec![(REMAINING, "3"), reset, date], None),
            (vec![(REMAINING, "0"), reset], None),
            (vec![(REMAINING, "0"), date], None),
            (vec![reset, date], None),
            (vec![(REMAINING, "0"), (RESET, "12"), date], None),
            (
                vec![(REMAINING, "0"), (RESET, "9223372036854775807"), date],
                Some(u32::MAX),
            ),
        ] {
            assert_eq!(wait_told(&headers(&told)), expected, "{told:?}");
        }
    }

    #[tokio::test]
    async fn calls_are_counted_and_end() {
        let pace = Pace::new(2, MINUTE);
        for made in 0..2 {
            assert_eq!(pace.calls(), made);
            assert!(pace.turn().await.is_ok());
        }
        assert!(matches!(pace.turn().await, Err(AdoError::Spent)));
        assert_eq!(pace.calls(), 2);
    }

    #[tokio::test]
    async fn there_is_one_turn_at_a_time() {
        let pace = Pace::new(9, MINUTE);
        let first = pace.turn().await.unwrap();
        let second = time::timeout(Duration::from_millis(1), pace.turn()).await;
        assert!(second.is_err() && pace.calls() == 1);
        drop(first);
        assert!(pace.turn().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_wait_is_waited_for_and_a_long_one_is_not() {
        let pace = Pace::new(9, MINUTE);
        pace.heard(&headers(&[("retry-after", "60")]));
        pace.heard(&headers(&[("retry-after", "5")]));
        assert_eq!(pace.wait_asked(), Some(MINUTE));
        let begun = Instant::now();
        drop(pace.turn().await.unwrap());
        assert!(begun.elapsed() >= MINUTE && pace.wait_asked().is_none());

        pace.heard(&headers(&[("retry-after", "90")]));
        time::advance(Duration::from_millis(500)).await;
        let begun = Instant::now();
        let refused = pace.turn().await.map(drop);
        assert!(
            matches!(
                refused,
                Err(AdoError::SlowDown {
                    retry_after: Some(90)
                })
            ),
            "{refused:?}"
        );
        assert_eq!((begun.elapsed(), pace.calls()), (Duration::ZERO, 1));
        assert_eq!(pace.wait_asked(), Some(Duration::from_millis(89_500)));
        // What is left of it is short enough.
        time::advance(Duration::from_secs(30)).await;
        assert!(pace.turn().await.is_ok());
    }
}
