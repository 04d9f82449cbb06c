//! How the sender behaves beyond the rules: what it sends twice, in what order, and how long it waits for an answer.
//! Whatever is drawn here is drawn from a seed: the same notifications in the same order fare the same again.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The sender's faults and its patience. At-least-once delivery in no order is what the real service is known for; how often is not.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Sending {
    /// Every n-th notification is sent twice; 0 is never. The answer to the second request is not looked at.
    pub duplicate_every: u32,
    /// How long after the first request the second one leaves, in simulated time; with 0 both are on the wire together.
    pub duplicate_after_milliseconds: u64,
    /// Each notification leaves up to so much later than its event, in simulated time, so that they overtake each other.
    pub reorder_within_milliseconds: u64,
    /// What the lags are drawn from.
    pub seed: u64,
    /// After this, in real time, a request without an answer has failed. The real service's is unknown.
    pub timeout_milliseconds: u64,
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            duplicate_every: 0,
            duplicate_after_milliseconds: 0,
            reorder_within_milliseconds: 0,
            seed: 0,
            timeout_milliseconds: 20_000,
        }
    }
}

impl Sending {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_milliseconds)
    }

    /// How much later the notification of this number leaves, counted from when this was switched on.
    pub(crate) fn lag(&self, number: u64) -> Duration {
        let most = self.reorder_within_milliseconds.saturating_mul(1000);
        let mut seed = [0; 16];
        seed[..8].copy_from_slice(&self.seed.to_be_bytes());
        seed[8..].copy_from_slice(&number.to_be_bytes());
        let drawn = Sha256::digest(seed)[..8]
            .iter()
            .fold(0, |all, byte| all << 8 | u64::from(*byte));
        Duration::from_micros(drawn.checked_rem(most).unwrap_or_default())
    }

    /// How long after it the notification of this number, counted from 1, is sent again; none when it is not.
    pub(crate) fn duplicate(&self, number: u64) -> Option<Duration> {
        let every = u64::from(self.duplicate_every);
        (number.checked_rem(every) == Some(0))
            .then(|| Duration::from_millis(self.duplicate_after_milliseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_are_the_same_for_the_same_seed_and_within_their_bound() {
        let one = Sending {
            reorder_within_milliseconds: 500,
            seed: 7,
            ..Sending::default()
        };
        let other = Sending {
            seed: 8,
            ..one.clone()
        };
        let lags = |of: &Sending| (1..=50).map(|it| of.lag(it)).collect::<Vec<_>>();
        assert_eq!(lags(&one), lags(&one.clone()));
        assert_ne!(lags(&one), lags(&other));
        assert!(lags(&one).iter().all(|it| *it < Duration::from_millis(500)));
        assert!(!lags(&one).is_sorted(), "some overtake others");
        assert_eq!(Sending::default().lag(3), Duration::ZERO);
    }

    #[test]
    fn every_third_is_sent_twice() {
        let sending = Sending {
            duplicate_every: 3,
            ..Sending::default()
        };
        let twice: Vec<u64> = (1..=7)
            .filter(|it| sending.duplicate(*it).is_some())
            .collect();
        assert_eq!(twice, [3, 6]);
        assert_eq!(Sending::default().duplicate(3), None);
    }
}
