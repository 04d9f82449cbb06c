//! What deliveries are authenticated against: integrations' records, kept for a while.
//!
//! A record is read again when a password does not fit, since that may be newer than what is kept; and never more often than
//! a flood of wrong ones may cost. Whether there is an integration of a name, and whether it is called by others, makes no
//! difference to what is done for a stranger.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::{IntegrationName, Status, password::Lineup};
use jiff::Timestamp;
use store::{Store, StoreError};

/// How many names without an integration are remembered: more than the budget lets an instance look at while one of them
/// rests, so that none is forgotten sooner than a name with an integration is looked at again.
const MOST_UNKNOWN: usize = 1_024;
/// How many reads for senders without a password that is known an instance makes at once, and how soon it gets each of them
/// back: 100 a second. A read costs less than the invocation that asks for it, and those of a flood are many more than that.
const BUDGET: (u32, Duration) = (100, Duration::from_millis(10));
/// For how long a password that fits what is kept is taken, where the record cannot be read again.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a record may take to be read again that is there, but old: the delivery has still to be stored in time.
const AGAIN: Duration = Duration::from_millis(1_500);
/// How often refusals, and what was withheld, are told at most.
const TOLD: Duration = Duration::from_secs(5);

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
    Refused,
    /// It cannot be told, since the record cannot be read.
    Unavailable(StoreError),
    /// It cannot be told, since what is kept may be too old and too much was looked up of late.
    Withheld,
}

/// The records of an instance.
#[derive(Debug)]
pub(crate) struct Records {
    /// How long a record is taken for true.
    fresh: Duration,
    /// How long a name is not looked at again for a password that did not fit.
    rest: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<IntegrationName, Kept>,
    /// Reads that were made from the budget, and when the first of them was.
    spent: u32,
    since: Option<Moment>,
    untold: Untold,
    told_at: Option<Moment>,
}

/// What strangers were answered since that was last told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Untold {
    /// Refusals under names of integrations, as far as this instance has seen.
    pub(crate) known: u32,
    /// The first of those names.
    pub(crate) name: Option<IntegrationName>,
    /// All other refusals.
    pub(crate) unknown: u32,
    /// Answers that were neither yes nor no.
    pub(crate) withheld: u32,
}

/// What is kept under a name, whether or not there is an integration.
#[derive(Clone, Copy, Debug)]
struct Kept {
    status: Option<Status>,
    passwords: Lineup,
    read_at: Moment,
    /// When reading it again last failed: that is not tried for every delivery.
    failed_at: Option<Moment>,
    /// When it was last read for a password that did not fit. Reads for others do not count: a stranger would see by the
    /// answer that there are others.
    looked_at: Option<Moment>,
}

impl Records {
    pub(crate) fn new(fresh: Duration, rest: Duration) -> Self {
        Self {
            fresh,
            rest,
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
        let reason = match self.judge_by_what_is_kept(name, presented, now) {
            Kind::Verdict(verdict) => return verdict,
            Kind::Read(reason) => reason,
        };
        let read = store.webhook_record(name);
        let read = match reason {
            Reason::Unfit => read.await,
            Reason::Old(status) => match tokio::time::timeout(AGAIN, read).await {
                Ok(Ok(record)) => Ok(record),
                failed => {
                    let cause = match failed {
                        Ok(Err(error)) => edge::problem::chain(&error),
                        _ => "it took too long".to_owned(),
                    };
                    tracing::error!(
                        cause,
                        "the integration cannot be read; what is kept is taken for true"
                    );
                    self.locked().failed(name, now);
                    return Verdict::Authentic(status);
                }
            },
        };
        let record = match read {
            Ok(record) => record,
            Err(error) => return Verdict::Unavailable(error),
        };
        let (status, passwords) = record.map_or((None, Lineup::default()), |record| {
            (Some(record.status), record.passwords)
        });
        let fits = passwords.matches(presented, now.time);
        let looked = (!fits).then_some(now);
        self.locked().keep(name, status, passwords, now, looked);
        match status {
            Some(status) if fits => Verdict::Authentic(status),
            _ => Verdict::Refused,
        }
    }

    /// The verdict, where no read is needed or none may be made.
    fn judge_by_what_is_kept(
        &self,
        name: &IntegrationName,
        presented: &[u8; 32],
        now: Moment,
    ) -> Kind {
        let mut state = self.locked();
        if let Some(kept) = state.kept.get(name) {
            let age = now.since(kept.read_at);
            let looked = kept.looked_at.map(|looked| now.since(looked));
            match (kept.passwords.matches(presented, now.time), kept.status) {
                (true, Some(status)) if age < self.fresh => {
                    return Kind::Verdict(Verdict::Authentic(status));
                }
                (true, Some(status)) if age < STALE => {
                    let failed = kept.failed_at.map(|failed| now.since(failed));
                    if failed.is_some_and(|age| age < self.rest) {
                        return Kind::Verdict(Verdict::Authentic(status));
                    }
                    // Whoever knows what was a password a minute ago may make us look again.
                    return Kind::Read(Reason::Old(status));
                }
                _ if looked.is_some_and(|age| age < self.rest) => {
                    return Kind::Verdict(Verdict::Refused);
                }
                _ => {}
            }
        }
        if state.may_read(now) {
            Kind::Read(Reason::Unfit)
        } else {
            Kind::Verdict(Verdict::Withheld)
        }
    }

    /// What is to be told of strangers, where there is anything and it is not too soon.
    pub(crate) fn untold(&self, now: Moment) -> Option<Untold> {
        let mut state = self.locked();
        if state.untold == Untold::default() {
            return None;
        }
        state.tell(now)
    }

    /// Counts a refusal; gives what is to be told, where that is not too soon. What is done is the same for every name.
    pub(crate) fn refused(&self, name: &IntegrationName, now: Moment) -> Option<Untold> {
        let mut state = self.locked();
        let is_known = state
            .kept
            .get(name)
            .is_some_and(|kept| kept.status.is_some());
        let untold = &mut state.untold;
        untold.known += u32::from(is_known);
        untold.unknown += u32::from(!is_known);
        // Once a line: a copy each time is what a stranger could measure.
        if is_known && untold.name.is_none() {
            untold.name = Some(name.clone());
        }
        state.tell(now)
    }

    /// Counts what was withheld, likewise.
    pub(crate) fn withheld(&self, now: Moment) -> Option<Untold> {
        let mut state = self.locked();
        state.untold.withheld += 1;
        state.tell(now)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept says it, or it has to be read.
enum Kind {
    Verdict(Verdict),
    Read(Reason),
}

/// Why a record is read.
#[derive(Clone, Copy)]
enum Reason {
    /// The password fits what is kept, which is too old.
    Old(Status),
    /// The password does not fit, or nothing is kept.
    Unfit,
}

impl State {
    /// What was not told yet, where the last time is long enough ago.
    fn tell(&mut self, now: Moment) -> Option<Untold> {
        if self.told_at.is_some_and(|told| now.since(told) < TOLD) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }

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
        looked: Option<Moment>,
    ) {
        if status.is_none() && !self.kept.contains_key(name) {
            self.forget_an_unknown_name();
        }
        let kept = self.kept.entry(name.clone()).or_insert(Kept {
            status,
            passwords,
            read_at,
            failed_at: None,
            looked_at: None,
        });
        (kept.status, kept.passwords, kept.read_at) = (status, passwords, read_at);
        kept.failed_at = None;
        kept.looked_at = looked.or(kept.looked_at);
    }

    fn failed(&mut self, name: &IntegrationName, now: Moment) {
        if let Some(kept) = self.kept.get_mut(name) {
            kept.failed_at = Some(now);
        }
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
        for number in 0..3_000 {
            let name = format!("n{number}").parse().unwrap();
            state.keep(&name, None, Lineup::default(), after(start, number), None);
        }
        assert_eq!(state.kept.len(), MOST_UNKNOWN);
        assert!(state.kept.contains_key(&"n2999".parse().unwrap()));
    }

    #[test]
    fn known_names_are_not_forgotten_for_unknown_ones() {
        let mut state = State::default();
        let start = moment();
        let known = "acme".parse().unwrap();
        state.keep(&known, Some(Status::Active), Lineup::default(), start, None);
        for number in 0..3_000 {
            let name = format!("n{number}").parse().unwrap();
            state.keep(&name, None, Lineup::default(), after(start, number), None);
        }
        assert!(state.kept.contains_key(&known));
    }

    #[test]
    fn reads_for_strangers_are_bounded_and_come_back() {
        let mut state = State::default();
        let start = moment();
        assert_eq!((0..1_000).filter(|_| state.may_read(start)).count(), 100);
        let later = after(start, 500);
        assert_eq!((0..1_000).filter(|_| state.may_read(later)).count(), 50);
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
    fn when_the_budget_is_spent_a_known_name_with_a_wrong_password_fares_as_an_unknown_one() {
        let records = Records::new(Duration::from_secs(60), Duration::from_secs(5));
        let start = moment();
        let (known, unknown) = ("acme".parse().unwrap(), "nobody".parse().unwrap());
        let passwords = Lineup::new(&[domain::PasswordDigest::of(b"right")]);
        let right = domain::PasswordDigest::of(b"right").sha256;
        records
            .locked()
            .keep(&known, Some(Status::Active), passwords, start, None);
        while records.locked().may_read(start) {}
        for name in [&known, &unknown] {
            assert!(matches!(
                records.judge_by_what_is_kept(name, &[7; 32], start),
                Kind::Verdict(Verdict::Withheld)
            ));
        }
        assert!(matches!(
            records.judge_by_what_is_kept(&known, &right, start),
            Kind::Verdict(Verdict::Authentic(Status::Active))
        ));
        assert!(
            matches!(
                records.judge_by_what_is_kept(&known, &right, after(start, 60_000)),
                Kind::Read(Reason::Old(Status::Active))
            ),
            "who knows a password needs no budget"
        );
    }

    #[test]
    fn what_is_kept_is_taken_for_true_for_a_day_and_not_read_again_at_once_after_a_failure() {
        let records = Records::new(Duration::from_secs(60), Duration::from_secs(5));
        let start = moment();
        let name = "acme".parse().unwrap();
        let passwords = Lineup::new(&[domain::PasswordDigest::of(b"right")]);
        let right = domain::PasswordDigest::of(b"right").sha256;
        records
            .locked()
            .keep(&name, Some(Status::Active), passwords, start, None);
        let judge = |seconds: u64| {
            records.judge_by_what_is_kept(&name, &right, after(start, seconds * 1_000))
        };
        assert!(matches!(judge(60), Kind::Read(Reason::Old(_))));
        records.locked().failed(&name, after(start, 60_000));
        assert!(matches!(
            judge(64),
            Kind::Verdict(Verdict::Authentic(Status::Active))
        ));
        assert!(matches!(judge(65), Kind::Read(Reason::Old(_))));
        assert!(matches!(judge(86_399), Kind::Read(Reason::Old(_))));
        assert!(matches!(judge(86_400), Kind::Read(Reason::Unfit)));
    }

    #[test]
    fn a_read_for_an_authentic_delivery_does_not_change_what_a_stranger_is_answered() {
        let records = Records::new(Duration::from_secs(60), Duration::from_secs(5));
        let start = moment();
        let name = "acme".parse().unwrap();
        let keep = |looked| {
            let (status, none) = (Some(Status::Active), Lineup::default());
            records.locked().keep(&name, status, none, start, looked);
        };
        let judge = |milliseconds| {
            records.judge_by_what_is_kept(&name, &[7; 32], after(start, milliseconds))
        };
        keep(None);
        assert!(matches!(judge(1), Kind::Read(Reason::Unfit)));
        keep(Some(start));
        keep(None);
        assert!(matches!(judge(4_999), Kind::Verdict(Verdict::Refused)));
        assert!(matches!(judge(5_000), Kind::Read(Reason::Unfit)));
    }

    #[test]
    fn refusals_are_told_once_in_a_while_with_their_number_whatever_their_names() {
        let records = Records::new(Duration::from_secs(60), Duration::from_secs(5));
        let start = moment();
        let (known, unknown) = ("acme".parse().unwrap(), "nobody".parse().unwrap());
        let (active, none) = (Some(Status::Active), Lineup::default());
        records.locked().keep(&known, active, none, start, None);
        let mut told = Vec::new();
        for (milliseconds, name) in [
            (0, &unknown),
            (1, &known),
            (2, &unknown),
            (4_999, &known),
            (5_000, &unknown),
            (5_001, &known),
        ] {
            let untold = records.refused(name, after(start, milliseconds));
            told.push(untold.map(|untold| (untold.known, untold.unknown, untold.name)));
        }
        let [first, .., last, _] = told.as_slice() else {
            panic!("{told:?}")
        };
        assert_eq!(*first, Some((0, 1, None)));
        assert_eq!(*last, Some((2, 2, Some(known))));
        assert_eq!(told.iter().flatten().count(), 2);
    }
}
