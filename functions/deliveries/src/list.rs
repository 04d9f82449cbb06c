//! `GET /deliveries`: newest first by receipt.
//!
//! Deliveries lie under the day they were created, lists are ordered by receipt, and a delivery may be received up to two days
//! after its creation (Azure DevOps retries a hook on probation for 36 h). So the deliveries received on one day are found by
//! reading the heads of that day, the two before and the one after, as far back as the integration's name goes; bodies are
//! read for the page alone, and, where a filter needs them, for at most [`MOST_EXAMINED`] deliveries a request. A request that
//! takes longer than [`LONGEST`] gives the page it has. In each case the page token says how far it got.
//!
//! What a person should see (quarantined, oversize, parked) has an index by receipt, and no day is read for it.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use domain::{IntegrationName, Outcome, OutcomeWord};
use edge::http::Answer;
use edge::{Problem, ProblemKind};
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use lambda_http::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    DeliveryHead, DeliveryId, DeliveryKind, OutcomeRecord, Parked, Store, StoreError, keys,
};

use crate::{
    App,
    view::{self, Read},
};

/// How many bodies a request reads for a filter before it gives the page it has.
const MOST_EXAMINED: usize = 400;
/// How many bodies are read together at the least, so that a small page with a filter is not one call a delivery.
const FEWEST_AT_ONCE: usize = 25;
/// How long days are read for one page: well below the function's time-out, for that is what an answer must not hit.
const LONGEST: Duration = Duration::from_secs(8);
/// How many days are read at once; eight queries each.
const DAYS_AT_ONCE: usize = 8;
/// How many outcomes are read at once, one call each.
const OUTCOMES_AT_ONCE: usize = 16;

/// An integration whose deliveries are wanted, and from when on it can have any.
struct Source {
    name: IntegrationName,
    since: Date,
}

/// What is asked for.
struct Wanted {
    sources: Vec<Source>,
    from: Timestamp,
    to: Timestamp,
    event_type: Option<String>,
    repository: Option<String>,
    outcome: Option<String>,
    size: usize,
    after: Option<Cursor>,
}

/// The last delivery that a page looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Cursor {
    received: i64,
    id: String,
}

impl Cursor {
    fn of(head: &DeliveryHead) -> Self {
        Self {
            received: head.received.as_microsecond(),
            id: head.id.to_string(),
        }
    }
}

/// `GET /deliveries`.
pub(crate) async fn list(app: &App, request: &Request, now: Timestamp) -> Answer {
    let started = Instant::now();
    let wanted = wanted(app, request, now).await?;
    let mut page = Page::default();
    match wanted.attention() {
        Some(index) => page.fill_by_index(app, &wanted, index).await?,
        None => page.fill_by_days(app, &wanted, started).await?,
    }
    let mut body = json!({ "deliveries": page.rows });
    if let (true, Some(last)) = (page.is_full, &page.last) {
        body["nextPageToken"] = json!(edge::http::page_token(request, last));
    }
    Ok((StatusCode::OK, body))
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
    app: &App,
    wanted: &Wanted,
    index: Attention,
) -> Result<(Vec<DeliveryHead>, Option<Cursor>), Problem> {
    let newest = |source: &Source| {
        let (store, name) = (app.store.clone(), source.name.clone());
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

/// The page as it grows.
#[derive(Default)]
struct Page {
    rows: Vec<Value>,
    examined: usize,
    last: Option<Cursor>,
    is_full: bool,
}

impl Page {
    /// Adds what is wanted of what has an index, until the page is full or as many were examined as may be.
    async fn fill_by_index(
        &mut self,
        app: &App,
        wanted: &Wanted,
        index: Attention,
    ) -> Result<(), Problem> {
        let (heads, end) = indexed(app, wanted, index).await?;
        self.fill(app, wanted, &heads).await?;
        if let (false, Some(end)) = (self.is_full, end) {
            (self.last, self.is_full) = (Some(end), true);
        }
        Ok(())
    }

    /// Adds what is wanted day by day, the newest first, until the page is full.
    async fn fill_by_days(
        &mut self,
        app: &App,
        wanted: &Wanted,
        started: Instant,
    ) -> Result<(), Problem> {
        let mut filed = Filed::default();
        let mut day = keys::day_of(wanted.to);
        let oldest = wanted.sources.iter().map(|source| source.since).min();
        let last = keys::day_of(wanted.from).max(oldest.unwrap_or(day));
        while day >= last && !self.is_full {
            let mut heads = filed.received_on(app, wanted, day).await?;
            heads.sort_unstable_by_key(|head| std::cmp::Reverse(Cursor::of(head)));
            self.fill(app, wanted, &heads).await?;
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
        app: &App,
        wanted: &Wanted,
        heads: &[DeliveryHead],
    ) -> Result<(), Problem> {
        let candidates: Vec<&DeliveryHead> =
            heads.iter().filter(|head| wanted.may_be(head)).collect();
        for chunk in candidates.chunks(wanted.size.max(FEWEST_AT_ONCE)) {
            if self.has_enough(wanted) {
                return Ok(());
            }
            let ids: Vec<_> = chunk.iter().map(|head| head.id.clone()).collect();
            let words: HashMap<&DeliveryId, OutcomeWord> = chunk
                .iter()
                .filter_map(|head| Some((&head.id, head.outcome?)))
                .collect();
            let parked = parked_now(app, chunk).await?;
            for mut delivery in app.store.deliveries(&ids).await.map_err(Problem::ours)? {
                if self.has_enough(wanted) {
                    return Ok(());
                }
                delivery.head.outcome = words.get(&delivery.head.id).copied();
                let decided = parked.get(&delivery.head.id);
                let read = Read::new(&delivery);
                if wanted.is(&read) && wanted.is_still(decided) {
                    self.rows.push(read.row(decided));
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
    app: &App,
    heads: &[&DeliveryHead],
) -> Result<HashMap<DeliveryId, Outcome>, Problem> {
    let parked = heads
        .iter()
        .filter(|head| head.outcome == Some(OutcomeWord::Parked));
    let reads: Vec<_> = parked
        .map(|head| {
            let (store, id) = (app.store.clone(), head.id.clone());
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
        app: &App,
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
                reads.push(heads_of_day(app, source.name.clone(), *filed, wanted.to));
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
    app: &App,
    name: IntegrationName,
    filed: Date,
    until: Timestamp,
) -> Result<(Date, Vec<DeliveryHead>), Problem> {
    let heads = app
        .store
        .heads_of_day(&name, filed, until)
        .await
        .map_err(Problem::ours)?;
    Ok((filed, heads))
}

/// The day `days` before another; the calendar's end stands for what lies beyond it.
fn before(day: Date, days: i8) -> Date {
    day.saturating_sub(i32::from(days).days())
}

async fn wanted(app: &App, request: &Request, now: Timestamp) -> Result<Wanted, Problem> {
    let parameter = |name| edge::http::parameter(request, name).map(str::to_owned);
    let outcome = |text: &str| view::OUTCOMES.contains(&text).then(|| text.to_owned());
    let one_of = format!("one of {}", view::OUTCOMES.join(", "));
    let oldest = now - app.retention;
    let after: Option<Cursor> = edge::http::page_state(request)?;
    let from = moment(request, "from", Edge::Start)?;
    let to = moment(request, "to", Edge::End)?;
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(Problem::new(ProblemKind::InvalidRequest, "from is after to").at("from"));
    }
    let to = to.unwrap_or(now).min(now);
    let read_up_to = after
        .as_ref()
        .and_then(|after| Timestamp::from_microsecond(after.received).ok());
    Ok(Wanted {
        sources: sources(app, request).await?,
        from: from.unwrap_or(oldest).max(oldest),
        to: read_up_to.map_or(to, |received| to.min(received)),
        event_type: parameter("eventType"),
        repository: parameter("repository"),
        outcome: edge::http::parsed_parameter(request, "outcome", outcome, &one_of)?,
        size: usize::from(edge::http::page_size(request)?),
        after,
    })
}

/// The one that is asked for, else all of them, also unlinked ones: their deliveries are kept.
async fn sources(app: &App, request: &Request) -> Result<Vec<Source>, Problem> {
    let source = |integration: domain::Integration| Source {
        name: integration.name,
        since: keys::day_of(integration.name_since),
    };
    let slug = |text: &str| text.parse::<IntegrationName>().ok();
    if let Some(name) =
        edge::http::parsed_parameter(request, "integration", slug, "an integration's name")?
    {
        let known = app
            .store
            .listed_integration(&name)
            .await
            .map_err(Problem::ours)?;
        // Not in the index yet, or not any more: then nothing is known of how far back it goes.
        let unknown = Source {
            name,
            since: Date::MIN,
        };
        return Ok(vec![known.map_or(unknown, source)]);
    }
    let mut sources = Vec::new();
    let mut after = None;
    loop {
        let page = app
            .store
            .integrations(after.as_ref(), 1_000)
            .await
            .map_err(Problem::ours)?;
        sources.extend(page.integrations.into_iter().map(source));
        after = page.next;
        if after.is_none() {
            return Ok(sources);
        }
    }
}

/// Which end of a day is meant where only a day is given.
#[derive(Clone, Copy)]
enum Edge {
    Start,
    End,
}

/// A moment (`2026-11-23T15:00:00Z`) or a day in UTC (`2026-11-23`).
fn moment(request: &Request, name: &'static str, edge: Edge) -> Result<Option<Timestamp>, Problem> {
    let of_day = |day: Date| {
        let time = match edge {
            Edge::Start => day.at(0, 0, 0, 0),
            Edge::End => day.at(23, 59, 59, 999_999_999),
        };
        // A day that no moment can stand for is further away than anything that is kept.
        TimeZone::UTC.to_timestamp(time).unwrap_or(Timestamp::MAX)
    };
    let parse = |text: &str| {
        text.parse::<Timestamp>()
            .ok()
            .or_else(|| text.parse().ok().map(of_day))
    };
    edge::http::parsed_parameter(
        request,
        name,
        parse,
        "a time as 2026-11-23T15:00:00Z, or a day as 2026-11-23",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_ends_after_a_day_is_followed_by_the_day_before() {
        let mut page = Page::default();
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
