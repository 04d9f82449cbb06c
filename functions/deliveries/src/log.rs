//! What was received, newest first by receipt, for whoever lists it, sends it again, or asks what a stack would make of it.
//!
//! Deliveries lie under the day they were created, lists are ordered by receipt, and a delivery may be received up to two days
//! after its creation (Azure DevOps retries a hook on probation for 36 h). So the deliveries received on one day are found by
//! reading the heads of that day, the two before and the one after, as far back as the integration's name goes; bodies are
//! read for the page alone, and, where a filter needs them, for at most `MOST_EXAMINED` deliveries a page. What takes longer than
//! `LONGEST` gives the page it has. In each case the page token says how far it got.
//!
//! What a person should see (quarantined, oversize, parked) has an index by receipt, and no day is read for it.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use domain::{IntegrationName, Outcome, OutcomeWord};
use edge::Problem;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use store::{
    DeliveryHead, DeliveryId, DeliveryKind, OutcomeRecord, Parked, Store, StoreError, keys,
};

use crate::view::{self, Read};

/// How many bodies a request reads for a filter before it gives the page it has.
const MOST_EXAMINED: usize = 400;
/// How many bodies are read together at the least, so that a small page with a filter is not one call a delivery.
pub(crate) const FEWEST_AT_ONCE: usize = 25;
/// How long days are read for one page: well below the function's time-out, for that is what an answer must not hit.
const LONGEST: Duration = Duration::from_secs(8);
/// How many days are read at once; eight queries each.
const DAYS_AT_ONCE: usize = 8;
/// How many outcomes are read at once, one call each.
const OUTCOMES_AT_ONCE: usize = 16;

/// An integration whose deliveries are wanted, and from when on it can have any.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name.
    pub name: IntegrationName,
    /// The first day on which something can have been received under it.
    pub since: Date,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The integrations.
    pub sources: Vec<Source>,
    /// Received at this moment or later.
    pub from: Timestamp,
    /// Received at this moment or before.
    pub to: Timestamp,
    /// Of this type alone.
    pub event_type: Option<String>,
    /// Of the repository of this id or name, or project and name, alone.
    pub repository: Option<String>,
    /// With this word for what became of it alone.
    pub outcome: Option<String>,
    /// How many at the most.
    pub size: usize,
    /// How many bodies are read together at the most.
    pub at_once: usize,
    /// Behind this one alone.
    pub after: Option<Cursor>,
}

/// The last delivery that a page looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    received: i64,
    id: String,
}

impl Cursor {
    /// When what it stands at was received.
    #[must_use]
    pub fn received(&self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.received).ok()
    }

    pub(crate) fn of(head: &DeliveryHead) -> Self {
        Self {
            received: head.received.as_microsecond(),
            id: head.id.to_string(),
        }
    }
}

/// What a person should see: the partitions of the index.
#[derive(Clone, Copy, Debug)]
enum Attention {
    Kind(DeliveryKind),
    Parked,
}

impl Attention {
    async fn newest(
        self,
        store: &Store,
        name: &IntegrationName,
        within: (Timestamp, Timestamp),
    ) -> Result<Vec<DeliveryHead>, StoreError> {
        match self {
            Self::Kind(kind) => {
                store
                    .heads_for_attention(name, kind, within, MOST_EXAMINED)
                    .await
            }
            Self::Parked => {
                let parked = store.parked(name, within, MOST_EXAMINED).await?;
                let head = |Parked { id, received }| DeliveryHead {
                    id,
                    kind: DeliveryKind::Event,
                    received,
                    outcome: Some(OutcomeWord::Parked),
                    // Told by the delivery itself, which is read for the page.
                    recovered: false,
                };
                Ok(parked.into_iter().map(head).collect())
            }
        }
    }
}

/// The newest heads of what has an index, of all integrations that are asked for, in order; and where there are more,
/// behind which of them.
async fn indexed(
    store: &Store,
    wanted: &Wanted,
    index: Attention,
) -> Result<(Vec<DeliveryHead>, Option<Cursor>), Problem> {
    let newest = |source: &Source| {
        let (store, name) = (store.clone(), source.name.clone());
        let within = (wanted.from, wanted.to);
        async move { index.newest(&store, &name, within).await }
    };
    let reads: Vec<_> = wanted.sources.iter().map(newest).collect();
    let heads: Vec<Vec<DeliveryHead>> = stream::iter(reads)
        .buffer_unordered(DAYS_AT_ONCE)
        .try_collect()
        .await
        .map_err(Problem::ours)?;
    let are_cut = heads.iter().filter(|heads| heads.len() >= MOST_EXAMINED);
    let end = are_cut
        .filter_map(|heads| heads.last())
        .map(Cursor::of)
        .max();
    let mut heads: Vec<DeliveryHead> = heads.into_iter().flatten().collect();
    heads.retain(|head| end.as_ref().is_none_or(|end| Cursor::of(head) >= *end));
    heads.sort_unstable_by_key(|head| std::cmp::Reverse(Cursor::of(head)));
    Ok((heads, end))
}

/// A page of the log.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// What is wanted, newest first.
    pub rows: Vec<T>,
    /// Behind which delivery the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// Finds what is wanted; `keep` makes of each delivery what is kept of it, told what became of it where it is parked.
///
/// # Errors
///
/// A [`Problem`] of ours where something cannot be read.
pub async fn find<T>(
    store: &Store,
    wanted: &Wanted,
    keep: impl Fn(Read<'_>, Option<&Outcome>) -> T,
) -> Result<Found<T>, Problem> {
    let started = Instant::now();
    let mut page = Page {
        keep,
        rows: Vec::new(),
        examined: 0,
        last: None,
        is_full: false,
    };
    match wanted.attention() {
        // Nothing was received after the end, and DynamoDB refuses to look.
        _ if wanted.from > wanted.to => {}
        Some(index) => page.fill_by_index(store, wanted, index).await?,
        None => page.fill_by_days(store, wanted, started).await?,
    }
    let is_full = page.is_full;
    Ok(Found {
        rows: page.rows,
        next: page.last.filter(|_| is_full),
    })
}

/// The page as it grows.
struct Page<T, F> {
    keep: F,
    rows: Vec<T>,
    examined: usize,
    last: Option<Cursor>,
    is_full: bool,
}

impl<T, F: Fn(Read<'_>, Option<&Outcome>) -> T> Page<T, F> {
    /// Adds what is wanted of what has an index, until the page is full or as many were examined as may be.
    async fn fill_by_index(
        &mut self,
        store: &Store,
        wanted: &Wanted,
        index: Attention,
    ) -> Result<(), Problem> {
        let (heads, end) = indexed(store, wanted, index).await?;
        self.fill(store, wanted, &heads).await?;
        if let (false, Some(end)) = (self.is_full, end) {
            (self.last, self.is_full) = (Some(end), true);
        }
        Ok(())
    }

    /// Adds what is wanted day by day, the newest first, until the page is full.
    async fn fill_by_days(
        &mut self,
        store: &Store,
        wanted: &Wanted,
        started: Instant,
    ) -> Result<(), Problem> {
        let mut filed = Filed::default();
        let mut day = keys::day_of(wanted.to);
        let oldest = wanted.sources.iter().map(|source| source.since).min();
        let last = keys::day_of(wanted.from).max(oldest.unwrap_or(day));
        while day >= last && !self.is_full {
            let mut heads = filed.received_on(store, wanted, day).await?;
            heads.sort_unstable_by_key(|head| std::cmp::Reverse(Cursor::of(head)));
            self.fill(store, wanted, &heads).await?;
            if !self.is_full && day > last && started.elapsed() > LONGEST {
                self.stop_before(day);
            }
            day = before(day, 1);
        }
        Ok(())
    }

    fn has_enough(&mut self, wanted: &Wanted) -> bool {
        self.is_full |= self.rows.len() >= wanted.size || self.examined >= MOST_EXAMINED;
        self.is_full
    }

    /// Ends the page after all of `day`: the next one begins with the last moment of the day before.
    fn stop_before(&mut self, day: Date) {
        let begin = TimeZone::UTC
            .to_timestamp(day.at(0, 0, 0, 0))
            .unwrap_or(Timestamp::MIN);
        self.last = Some(Cursor {
            received: begin.as_microsecond() - 1,
            // Behind every id, which is base64url: whatever was received in that microsecond comes on the next page.
            id: "~".to_owned(),
        });
        self.is_full = true;
    }

    /// Adds what is wanted of `heads`, which are in order, until the page is full.
    async fn fill(
        &mut self,
        store: &Store,
        wanted: &Wanted,
        heads: &[DeliveryHead],
    ) -> Result<(), Problem> {
        let candidates: Vec<&DeliveryHead> =
            heads.iter().filter(|head| wanted.may_be(head)).collect();
        for chunk in candidates.chunks(wanted.size.clamp(FEWEST_AT_ONCE, wanted.at_once)) {
            if self.has_enough(wanted) {
                return Ok(());
            }
            let ids: Vec<_> = chunk.iter().map(|head| head.id.clone()).collect();
            let words: HashMap<&DeliveryId, OutcomeWord> = chunk
                .iter()
                .filter_map(|head| Some((&head.id, head.outcome?)))
                .collect();
            let parked = parked_now(store, chunk).await?;
            for mut delivery in store.deliveries(&ids).await.map_err(Problem::ours)? {
                if self.has_enough(wanted) {
                    return Ok(());
                }
                delivery.head.outcome = words.get(&delivery.head.id).copied();
                let decided = parked.get(&delivery.head.id);
                let read = Read::new(&delivery);
                if wanted.is(&read) && wanted.is_still(decided) {
                    self.rows.push((self.keep)(read, decided));
                }
                self.examined += 1;
                self.last = Some(Cursor::of(&delivery.head));
            }
        }
        Ok(())
    }
}

impl Wanted {
    /// What is asked for, where it has an index.
    fn attention(&self) -> Option<Attention> {
        let outcome = self.outcome.as_deref()?;
        if outcome == OutcomeWord::Parked.as_str() {
            return Some(Attention::Parked);
        }
        [DeliveryKind::Quarantined, DeliveryKind::Oversize]
            .into_iter()
            .find(|kind| outcome == view::undecided(*kind))
            .map(Attention::Kind)
    }

    /// What the head alone tells: the cursor, the time, the kind, and the type where the key has it.
    fn may_be(&self, head: &DeliveryHead) -> bool {
        (self.from..=self.to).contains(&head.received)
            && self
                .after
                .as_ref()
                .is_none_or(|after| Cursor::of(head) < *after)
            && self
                .outcome
                .as_ref()
                .is_none_or(|outcome| outcome == view::outcome(head))
            && match (&self.event_type, head.id.event_type()) {
                (Some(wanted), Some(known)) => wanted == known,
                _ => true,
            }
    }

    /// Whether what became of a delivery is what is asked for, now that it was read again.
    fn is_still(&self, decided: Option<&Outcome>) -> bool {
        decided.is_none_or(|decided| {
            self.outcome
                .as_ref()
                .is_none_or(|outcome| outcome == decided.word.as_str())
        })
    }

    /// What only the body tells.
    fn is(&self, read: &Read<'_>) -> bool {
        self.event_type
            .as_ref()
            .is_none_or(|wanted| read.is_of_type(wanted))
            && self
                .repository
                .as_ref()
                .is_none_or(|wanted| read.is_in(wanted))
    }
}

/// What became of those that are parked, as it is by now: the head was read in an index, or with others, a moment before.
async fn parked_now(
    store: &Store,
    heads: &[&DeliveryHead],
) -> Result<HashMap<DeliveryId, Outcome>, Problem> {
    let parked = heads
        .iter()
        .filter(|head| head.outcome == Some(OutcomeWord::Parked));
    let reads: Vec<_> = parked
        .map(|head| {
            let (store, id) = (store.clone(), head.id.clone());
            async move { store.outcome(&id).await.map(|record| (id, record)) }
        })
        .collect();
    let read: Vec<(DeliveryId, Option<OutcomeRecord>)> = stream::iter(reads)
        .buffer_unordered(OUTCOMES_AT_ONCE)
        .try_collect()
        .await
        .map_err(Problem::ours)?;
    let known = read.into_iter();
    Ok(known
        .filter_map(|(id, record)| Some((id, record?.outcome)))
        .collect())
}

impl Source {
    /// Whether a delivery can be filed under that day.
    fn may_have(&self, filed: Date) -> bool {
        filed >= before(self.since, keys::DAYS_FILED_BEFORE_RECEIPT)
    }
}

/// Heads by the day they are filed under, each day read once a request.
#[derive(Default)]
struct Filed {
    days: HashMap<Date, Vec<DeliveryHead>>,
}

impl Filed {
    async fn received_on(
        &mut self,
        store: &Store,
        wanted: &Wanted,
        day: Date,
    ) -> Result<Vec<DeliveryHead>, Problem> {
        let oldest = before(day, keys::DAYS_FILED_BEFORE_RECEIPT);
        let newest = before(day, -1).min(keys::newest_day(wanted.to));
        self.days.retain(|filed, _| *filed <= newest);
        let missing: Vec<Date> = newest
            .series(-(1.day()))
            .take_while(|filed| *filed >= oldest)
            .filter(|filed| !self.days.contains_key(filed))
            .collect();
        let mut reads = Vec::new();
        for filed in &missing {
            for source in wanted
                .sources
                .iter()
                .filter(|source| source.may_have(*filed))
            {
                reads.push(heads_of_day(store, source.name.clone(), *filed, wanted.to));
            }
        }
        let read: Vec<(Date, Vec<DeliveryHead>)> = stream::iter(reads)
            .buffer_unordered(DAYS_AT_ONCE)
            .try_collect()
            .await?;
        for filed in missing {
            self.days.entry(filed).or_default();
        }
        for (filed, heads) in read {
            self.days.entry(filed).or_default().extend(heads);
        }
        let of_day = |head: &&DeliveryHead| keys::day_of(head.received) == day;
        Ok(self
            .days
            .values()
            .flatten()
            .filter(of_day)
            .cloned()
            .collect())
    }
}

async fn heads_of_day(
    store: &Store,
    name: IntegrationName,
    filed: Date,
    until: Timestamp,
) -> Result<(Date, Vec<DeliveryHead>), Problem> {
    let heads = store
        .heads_of_day(&name, filed, until)
        .await
        .map_err(Problem::ours)?;
    Ok((filed, heads))
}

/// The day `days` before another; the calendar's end stands for what lies beyond it.
fn before(day: Date, days: i8) -> Date {
    day.saturating_sub(i32::from(days).days())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_ends_after_a_day_is_followed_by_the_day_before() {
        let mut page = Page {
            keep: |_: Read<'_>, _: Option<&Outcome>| (),
            rows: Vec::new(),
            examined: 0,
            last: None,
            is_full: false,
        };
        let day = Date::constant(2026, 11, 23);
        page.stop_before(day);
        let last = page.last.unwrap();
        let next = Timestamp::from_microsecond(last.received).unwrap();
        assert_eq!(keys::day_of(next), before(day, 1));
        let of_that_day = Cursor {
            received: last.received,
            id: "YWNtZQ".to_owned(),
        };
        assert!(of_that_day < last, "nothing of the day before is left out");
    }
}
