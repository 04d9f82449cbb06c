//! What deliveries are authenticated against: integrations' records, kept for a while.
//!
//! A record is read again when a password does not fit, since that may be newer than what is kept; and never more often than
//! a flood of wrong ones may cost.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::{
    IntegrationName, Status,
    password::{self, REST},
};
use jiff::Timestamp;
use store::{Store, StoreError, WebhookRecord};

/// How many names without an integration are remembered.
const MOST_UNKNOWN: usize = 256;
/// How many reads of names that are not known an instance makes at once, and how soon it gets each of them back.
const BUDGET: (u32, Duration) = (20, Duration::from_millis(500));

/// Whether a delivery is authentic.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The password fits an integration in this state.
    Authentic(Status),
    /// It does not.
    Refused {
        /// Whether there is an integration of that name: for the log and its alarm, never for the answer.
        known: bool,
    },
    /// It cannot be told, since the record cannot be read.
    Unavailable(StoreError),
    /// It cannot be told, since nothing is known of the name and too many such names were looked up of late.
    Withheld,
}

/// The records of an instance.
#[derive(Debug)]
pub(crate) struct Records {
    /// How long a record is taken for true.
    fresh: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<IntegrationName, Kept>,
    /// Reads that were made from the budget, and when the first of them was.
    spent: u32,
    since: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Kept {
    record: Option<WebhookRecord>,
    read_at: Instant,
}

impl Records {
    pub(crate) fn new(fresh: Duration) -> Self {
        Self {
            fresh,
            state: Mutex::default(),
        }
    }

    /// Judges a password's digest. `now` is the time of day, `at` the same moment on the clock that only goes forward.
    pub(crate) async fn judge(
        &self,
        store: &Store,
        name: &IntegrationName,
        presented: &[u8; 32],
        now: Timestamp,
        at: Instant,
    ) -> Verdict {
        let kept = self.locked().kept.get(name).cloned();
        let record = kept.as_ref().and_then(|kept| kept.record.as_ref());
        // The same work whether there is a record or not.
        let digests = record
            .map(|record| record.digests.as_slice())
            .unwrap_or_default();
        let fits = password::matches(presented, digests, now);
        let age = kept
            .as_ref()
            .map(|kept| at.saturating_duration_since(kept.read_at));
        match (record, age) {
            (Some(record), Some(age)) if fits && age < self.fresh => {
                return Verdict::Authentic(record.status);
            }
            (record, Some(age)) if !fits && age < REST => {
                return Verdict::Refused {
                    known: record.is_some(),
                };
            }
            _ => {}
        }
        if record.is_none() && !self.may_read(at) {
            return Verdict::Withheld;
        }
        let read = match store.webhook_record(name).await {
            Ok(read) => read,
            Err(error) => return Verdict::Unavailable(error),
        };
        self.keep(name, read.clone(), at);
        match read {
            Some(record) if password::matches(presented, &record.digests, now) => {
                Verdict::Authentic(record.status)
            }
            Some(_) => Verdict::Refused { known: true },
            None => Verdict::Refused { known: false },
        }
    }

    /// Whether there is an integration of that name, as far as this instance has seen.
    pub(crate) fn knows(&self, name: &IntegrationName) -> bool {
        let state = self.locked();
        state
            .kept
            .get(name)
            .is_some_and(|kept| kept.record.is_some())
    }

    /// Takes one read from the budget, if there is one.
    fn may_read(&self, at: Instant) -> bool {
        let (most, each) = BUDGET;
        let mut state = self.locked();
        let since = *state.since.get_or_insert(at);
        let back = at.saturating_duration_since(since).as_millis() / each.as_millis();
        let back = u32::try_from(back).unwrap_or(u32::MAX);
        if back > 0 {
            state.spent = state.spent.saturating_sub(back);
            state.since = Some(at);
        }
        let may = state.spent < most;
        state.spent += u32::from(may);
        may
    }

    fn keep(&self, name: &IntegrationName, record: Option<WebhookRecord>, read_at: Instant) {
        let mut state = self.locked();
        if record.is_none() {
            let unknown = state.kept.iter().filter(|(_, kept)| kept.record.is_none());
            if unknown.clone().count() >= MOST_UNKNOWN {
                let oldest = unknown
                    .min_by_key(|(_, kept)| kept.read_at)
                    .map(|(name, _)| name.clone());
                oldest.and_then(|oldest| state.kept.remove(&oldest));
            }
        }
        state.kept.insert(name.clone(), Kept { record, read_at });
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_remembered_up_to_a_bound() {
        let records = Records::new(Duration::from_secs(60));
        let start = Instant::now();
        for number in 0..1_000_u64 {
            let name = format!("n{number}").parse().unwrap();
            records.keep(&name, None, start + Duration::from_millis(number));
        }
        let state = records.locked();
        assert_eq!(state.kept.len(), MOST_UNKNOWN);
        assert!(state.kept.contains_key(&"n999".parse().unwrap()));
    }

    #[test]
    fn reads_of_unknown_names_are_bounded_and_come_back() {
        let records = Records::new(Duration::from_secs(60));
        let start = Instant::now();
        let now = (0..1_000).filter(|_| records.may_read(start)).count();
        assert_eq!(now, 20);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..1_000).filter(|_| records.may_read(later)).count(), 2);
    }
}
