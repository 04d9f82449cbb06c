//! What the sender will do next, and when: each entry is one request that waits for its moment.
//! It knows nothing of subscriptions: who takes an entry out decides whether it is still wanted.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::clock::Moment;

/// Why a request will be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// The event has just been published.
    First,
    /// A transient failure is retried.
    Retry,
    /// A subscription's probation is tried for its end.
    ProbationRetry,
    /// The same request a second time, a fault of the sender.
    Copy,
}

/// One request that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub(crate) organization: String,
    pub(crate) subscription: Uuid,
    pub(crate) notification: u32,
    pub(crate) why: Why,
}

type Waiting = BTreeMap<(Moment, u64), Due>;

/// All requests that wait. Those of the same moment leave in the order they were added.
#[derive(Default)]
pub(crate) struct Schedule {
    /// What is waited for by whoever waits for quiet.
    soon: Waiting,
    /// Retries of a probation, up to 15 hours away.
    probation: Waiting,
    added: u64,
}

impl Schedule {
    pub(crate) fn add(&mut self, at: Moment, due: Due) {
        self.added += 1;
        let waiting = match due.why {
            Why::ProbationRetry => &mut self.probation,
            Why::First | Why::Retry | Why::Copy => &mut self.soon,
        };
        waiting.insert((at, self.added), due);
    }

    /// The moment of the next request.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.first().map(|(at, _)| at)
    }

    fn first(&self) -> Option<(Moment, u64)> {
        let first = |waiting: &Waiting| waiting.first_key_value().map(|(at, _)| *at);
        match (first(&self.soon), first(&self.probation)) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Takes out the next request, if its moment has come.
    pub(crate) fn take(&mut self, now: Moment) -> Option<Due> {
        let first = self.first().filter(|(at, _)| *at <= now)?;
        self.soon
            .remove(&first)
            .or_else(|| self.probation.remove(&first))
    }

    /// Takes out every request that is not wanted any more.
    pub(crate) fn drop_if(&mut self, unwanted: impl Fn(&Due) -> bool) -> Vec<Due> {
        let mut dropped = Vec::new();
        for waiting in [&mut self.soon, &mut self.probation] {
            dropped.extend(
                waiting
                    .extract_if(.., |_, due| unwanted(due))
                    .map(|(_, due)| due),
            );
        }
        dropped
    }

    /// How many requests are due or wait for seconds, and how many wait for longer: for hours, or for a clock that stands still.
    pub(crate) fn count(&self, now: Moment, is_still: bool) -> (usize, usize) {
        let over = |waiting: &Waiting| waiting.range(..=(now, u64::MAX)).count();
        let soon = if is_still {
            over(&self.soon)
        } else {
            self.soon.len()
        };
        let soon = soon + over(&self.probation);
        (soon, self.soon.len() + self.probation.len() - soon)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn due(notification: u32, why: Why) -> Due {
        Due {
            organization: "tidewater".to_owned(),
            subscription: Uuid::nil(),
            notification,
            why,
        }
    }

    #[test]
    fn requests_leave_by_their_moment_and_then_in_the_order_they_came() {
        let mut schedule = Schedule::default();
        let at = Duration::from_secs;
        schedule.add(at(2), due(1, Why::First));
        schedule.add(at(1), due(2, Why::ProbationRetry));
        schedule.add(at(1), due(3, Why::First));
        assert!(schedule.take(at(0)).is_none());
        let taken: Vec<u32> = std::iter::from_fn(|| schedule.take(at(2)))
            .map(|it| it.notification)
            .collect();
        assert_eq!(taken, [2, 3, 1]);
    }

    #[test]
    fn a_probation_counts_as_far_away_until_its_moment_has_come() {
        let mut schedule = Schedule::default();
        schedule.add(Duration::from_secs(1200), due(1, Why::ProbationRetry));
        schedule.add(Duration::from_secs(60), due(2, Why::Retry));
        assert_eq!(schedule.count(Duration::from_secs(0), false), (1, 1));
        assert_eq!(schedule.count(Duration::from_secs(0), true), (0, 2));
        assert_eq!(schedule.count(Duration::from_secs(1200), false), (2, 0));
        assert_eq!(schedule.drop_if(|it| it.notification == 2).len(), 1);
        assert_eq!(schedule.next(), Some(Duration::from_secs(1200)));
    }
}
