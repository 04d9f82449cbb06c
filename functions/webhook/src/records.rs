//! What deliveries are authenticated against: integrations' records, kept for a while.
//!
//! A record is read again when a password does not fit, since that may be newer than what is kept; and never more often than
//! a flood of wrong ones may cost. Whether there is an integration of a name makes no difference to what is done.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::{
    IntegrationName, Status,
    password::{Lineup, REST},
};
use jiff::Timestamp;
use store::{Store, StoreError};

/// How many names without an integration are remembered.
const MOST_UNKNOWN: usize = 256;
/// How many reads for senders without a password that is known an instance makes at once, and how soon it gets each of them
/// back: 20 a second. A read costs less than the invocation that asks for it.
const BUDGET: (u32, Duration) = (40, Duration::from_millis(50));

/// A moment by both clocks: the one that tells the time of day, and the one that only goes forward.
///
/// A frozen environment may come back with the second standing where it stood, so an age is what the first says, too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) time: Timestamp,
    pub(crate) monotonic: Instant,
}

impl Moment {
    /// How long ago `earlier` was, by the clock that says more.
    fn since(self, earlier: Self) -> Duration {
        let by_time = self.time.duration_since(earlier.time).unsigned_abs();
        let monotonic = self.monotonic.saturating_duration_since(earlier.monotonic);
        by_time.max(monotonic)
    }
}

/// Whether a delivery is authentic.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The password fits an integration in this state.
    Authentic(Status),
    /// It does not.
    Refused(Refusal),
    /// It cannot be told, since the record cannot be read.
    Unavailable(StoreError),
    /// It cannot be told, since what is kept may be too old and too much was looked up of late.
    Withheld {
        /// How many such verdicts were not told yet; `None` where one was told just now.
        untold: Option<u32>,
    },
}

/// A refusal, for the log and its alarm; never for the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Whether there is an integration of that name, as far as this instance has seen.
    pub(crate) known: bool,
    /// How many refusals under that name were not told yet, this one among them; `None` where one was told just now.
    pub(crate) untold: Option<u32>,
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
    since: Option<Moment>,
    withheld: Untold,
}

/// What is to be told once in a while, with its number.
#[derive(Clone, Copy, Debug, Default)]
struct Untold {
    count: u32,
    told_at: Option<Moment>,
}

impl Untold {
    /// Counts one more; gives how many there were since the last time it was told, where that is long enough ago.
    fn count(&mut self, now: Moment) -> Option<u32> {
        self.count = self.count.saturating_add(1);
        let tell = self.told_at.is_none_or(|told| now.since(told) >= REST);
        let untold = tell.then_some(self.count);
        if tell {
            (self.count, self.told_at) = (0, Some(now));
        }
        untold
    }
}

/// What is kept under a name, whether or not there is an integration.
#[derive(Clone, Copy, Debug)]
struct Kept {
    status: Option<Status>,
    passwords: Lineup,
    read_at: Moment,
    refused: Untold,
}

impl Kept {
    fn refuse(&mut self, now: Moment) -> Refusal {
        Refusal {
            known: self.status.is_some(),
            untold: self.refused.count(now),
        }
    }
}

impl Records {
    pub(crate) fn new(fresh: Duration) -> Self {
        Self {
            fresh,
            state: Mutex::default(),
        }
    }

    /// Judges a password's digest.
    pub(crate) async fn judge(
        &self,
        store: &Store,
        name: &IntegrationName,
        presented: &[u8; 32],
        now: Moment,
    ) -> Verdict {
        if let Some(verdict) = self.judge_by_what_is_kept(name, presented, now) {
            return verdict;
        }
        let record = match store.webhook_record(name).await {
            Ok(record) => record,
            Err(error) => return Verdict::Unavailable(error),
        };
        let (status, passwords) = record.map_or((None, Lineup::default()), |record| {
            (Some(record.status), record.passwords)
        });
        let fits = passwords.matches(presented, now.time);
        let mut state = self.locked();
        let kept = state.keep(name, status, passwords, now);
        match status {
            Some(status) if fits => Verdict::Authentic(status),
            _ => Verdict::Refused(kept.refuse(now)),
        }
    }

    /// Notes that a delivery without a readable password was refused.
    pub(crate) fn refuse(&self, name: &IntegrationName, now: Moment) -> Refusal {
        let mut state = self.locked();
        state
            .kept
            .get_mut(name)
            .map(|kept| kept.refuse(now))
            .unwrap_or_default()
    }

    /// The verdict, where no read is needed or none may be made.
    fn judge_by_what_is_kept(
        &self,
        name: &IntegrationName,
        presented: &[u8; 32],
        now: Moment,
    ) -> Option<Verdict> {
        let mut state = self.locked();
        if let Some(kept) = state.kept.get_mut(name) {
            let age = now.since(kept.read_at);
            match (kept.passwords.matches(presented, now.time), kept.status) {
                (true, Some(status)) if age < self.fresh => {
                    return Some(Verdict::Authentic(status));
                }
                // Whoever knows what was a password a minute ago may make us look again.
                (true, _) => return None,
                (false, _) if age < REST => return Some(Verdict::Refused(kept.refuse(now))),
                (false, _) => {}
            }
        }
        if state.may_read(now) {
            return None;
        }
        let untold = state.withheld.count(now);
        Some(Verdict::Withheld { untold })
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes one read from the budget, if there is one.
    fn may_read(&mut self, now: Moment) -> bool {
        let (most, each) = BUDGET;
        let since = *self.since.get_or_insert(now);
        let back = now.since(since).as_millis() / each.as_millis();
        let back = u32::try_from(back).unwrap_or(u32::MAX);
        if back > 0 {
            self.spent = self.spent.saturating_sub(back);
            self.since = Some(now);
        }
        let may = self.spent < most;
        self.spent += u32::from(may);
        may
    }

    fn keep(
        &mut self,
        name: &IntegrationName,
        status: Option<Status>,
        passwords: Lineup,
        read_at: Moment,
    ) -> &mut Kept {
        if status.is_none() && !self.kept.contains_key(name) {
            self.forget_an_unknown_name();
        }
        let kept = self.kept.entry(name.clone()).or_insert(Kept {
            status,
            passwords,
            read_at,
            refused: Untold::default(),
        });
        (kept.status, kept.passwords, kept.read_at) = (status, passwords, read_at);
        kept
    }

    /// Makes room for another name without an integration, where there are too many.
    fn forget_an_unknown_name(&mut self) {
        let unknown = self.kept.iter().filter(|(_, kept)| kept.status.is_none());
        if unknown.clone().count() < MOST_UNKNOWN {
            return;
        }
        let oldest = unknown.min_by_key(|(_, kept)| kept.read_at.monotonic);
        let oldest = oldest.map(|(name, _)| name.clone());
        oldest.and_then(|oldest| self.kept.remove(&oldest));
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn moment() -> Moment {
        Moment {
            time: "2026-11-23T12:00:00Z".parse().unwrap(),
            monotonic: Instant::now(),
        }
    }

    fn after(earlier: Moment, milliseconds: u64) -> Moment {
        let wait = Duration::from_millis(milliseconds);
        Moment {
            time: earlier.time + wait,
            monotonic: earlier.monotonic + wait,
        }
    }

    #[test]
    fn unknown_names_are_remembered_up_to_a_bound() {
        let mut state = State::default();
        let start = moment();
        for number in 0..1_000 {
            let name = format!("n{number}").parse().unwrap();
            state.keep(&name, None, Lineup::default(), after(start, number));
        }
        assert_eq!(state.kept.len(), MOST_UNKNOWN);
        assert!(state.kept.contains_key(&"n999".parse().unwrap()));
    }

    #[test]
    fn known_names_are_not_forgotten_for_unknown_ones() {
        let mut state = State::default();
        let start = moment();
        let known = "acme".parse().unwrap();
        state.keep(&known, Some(Status::Active), Lineup::default(), start);
        for number in 0..1_000 {
            let name = format!("n{number}").parse().unwrap();
            state.keep(&name, None, Lineup::default(), after(start, number));
        }
        assert!(state.kept.contains_key(&known));
    }

    #[test]
    fn reads_for_strangers_are_bounded_and_come_back() {
        let mut state = State::default();
        let start = moment();
        assert_eq!((0..1_000).filter(|_| state.may_read(start)).count(), 40);
        let later = after(start, 1_000);
        assert_eq!((0..1_000).filter(|_| state.may_read(later)).count(), 20);
    }

    #[test]
    fn an_age_is_what_the_clock_says_that_went_on_while_the_environment_was_frozen() {
        let start = moment();
        let thawed = Moment {
            time: start.time + SignedDuration::from_mins(20),
            monotonic: start.monotonic + Duration::from_millis(1),
        };
        assert_eq!(thawed.since(start), Duration::from_mins(20));
        let set_back = Moment {
            time: start.time - SignedDuration::from_mins(20),
            ..thawed
        };
        assert_eq!(set_back.since(start), Duration::from_mins(20));
    }

    #[test]
    fn refusals_of_a_name_are_told_once_in_a_while_with_their_number() {
        let mut state = State::default();
        let start = moment();
        let name = "acme".parse().unwrap();
        let kept = state.keep(&name, Some(Status::Active), Lineup::default(), start);
        let told: Vec<Option<u32>> = [0, 1, 2, 4_999, 5_000, 5_001]
            .map(|milliseconds| kept.refuse(after(start, milliseconds)).untold)
            .to_vec();
        assert_eq!(told, [Some(1), None, None, None, Some(4), None]);
    }
}
