//! Deliveries asked for again: one, or all that a range and filters mean; and what would come of it, without doing it.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use domain::{
    Guid, IntegrationName, Outcome, Stack, StackName, Status,
    foresight::{self, Foreseen, Would},
    outcome::Verdict,
    rules,
};
use edge::{Problem, ProblemKind, http::Answer};
use envelope::Notification;
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{AskedAgain, DeliveryHead, OutcomeRecord, Store};

use crate::{
    App,
    filters::{Extent, Filters},
    log::{self, Cursor},
    view,
};

/// How many deliveries one request sends again at the most.
const MOST: usize = 200;
/// How many bodies are read together: some have 2 MB.
const BODIES_AT_ONCE: usize = 50;
/// How many stacks one answer names at the most, give or take those of one delivery: it has to fit into 6 MB.
const MOST_TOLD: usize = 20_000;
/// How many deliveries are asked for at once; two calls each.
const AT_ONCE: usize = 16;
/// When a request stops to ask for more, with reading: well below the function's time-out.
const LONGEST: Duration = Duration::from_secs(20);

/// The body of the request for one redelivery.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct OneRequest {
    rerun: bool,
    request_id: Option<String>,
}

/// The body of the request for a range of them.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct RangeRequest {
    integration: Option<String>,
    from: Option<String>,
    to: Option<String>,
    event_type: Option<String>,
    repository: Option<String>,
    outcome: Option<String>,
    dry_run: bool,
    rerun: bool,
    request_id: Option<String>,
    page_token: Option<String>,
}

/// What a page token of a range is good for: the same wish, and no other.
#[derive(Serialize)]
struct Wish<'a> {
    filters: &'a Filters,
    dry_run: bool,
    rerun: bool,
    request_id: Option<&'a str>,
}

/// `POST /deliveries/{id}/redelivery`: lets it be dispatched again. That makes the runs that were missed, and new ones only where
/// `rerun` says so.
pub(crate) async fn one(app: &App, request: &Request, id: &str, now: Timestamp) -> Answer {
    let body: OneRequest = edge::http::optional_body(request)?;
    let name = request_id(body.request_id)?;
    let delivery = app.delivery(id).await?;
    if let Some(why) = view::no_event(delivery.head.kind) {
        return Err(Problem::new(ProblemKind::NotAnEvent, why));
    }
    let asked = AskedAgain {
        rerun: body.rerun,
        request: &name,
    };
    let asked = app
        .store
        .redeliver(&delivery.head, asked, app.retention, now)
        .await
        .map_err(Problem::ours)?;
    let body = json!({
        "id": delivery.head.id.to_string(),
        "redelivery": asked.number,
        "rerun": asked.rerun,
    });
    Ok((StatusCode::ACCEPTED, body))
}

/// What tells a wish from all others: what the caller calls it by, so that the same again is the same wish.
fn request_id(given: Option<String>) -> Result<String, Problem> {
    match given {
        Some(id) => edge::http::own_id(id, "the same redelivery"),
        None => Ok(uuid::Uuid::new_v4().to_string()),
    }
}

/// `POST /redeliveries`: the deliveries that are meant, at most [`MOST`] a request and in about [`LONGEST`], the newest first; the
/// page token goes on with the others. With `dryRun` nothing is written.
pub(crate) async fn range(app: &App, request: &Request, now: Timestamp) -> Answer {
    let started = Instant::now();
    let body: RangeRequest = edge::http::body(request)?;
    let filters = Filters {
        integration: body.integration,
        from: body.from,
        to: body.to,
        event_type: body.event_type,
        repository: body.repository,
        outcome: body.outcome,
    };
    let filters = filters.tidied();
    if filters.is_everything() {
        let detail = "say which deliveries are meant, by one of integration, from, to, eventType, repository and outcome at the least: from with the day of the first that is kept means all of them";
        return Err(Problem::new(ProblemKind::InvalidRequest, detail).at("from"));
    }
    let wish = Wish {
        filters: &filters,
        dry_run: body.dry_run,
        rerun: body.rerun,
        request_id: body.request_id.as_deref(),
    };
    let after = body.page_token.as_deref().filter(|token| !token.is_empty());
    let after = after.map(|token| edge::http::body_state(request, &wish, token));
    let extent = Extent {
        size: MOST,
        at_once: BODIES_AT_ONCE,
        after: after.transpose()?,
    };
    let name = request_id(body.request_id.clone())?;
    let wanted = filters.clone().wanted(app, extent, now).await?;
    let found = log::find(&app.store, &wanted, |read, _| Candidate {
        head: read.head().clone(),
        notification: read.into_notification(),
    })
    .await?;
    let mut next = found.next;
    let mut told = told(&app.store, found.rows, body.rerun).await?;
    if let Some(last) = cut(&mut told) {
        next = Some(last);
    }
    let mut redelivered = 0;
    if !body.dry_run {
        let asked = AskedAgain {
            rerun: body.rerun,
            request: &name,
        };
        let done = ask_for_all(app, &mut told, asked, started, now).await?;
        if done < told.len() {
            // Those that were not reached any more come on the next page.
            told.truncate(done);
            next = told.last().map(|one| Cursor::of(&one.head)).or(next);
        }
        redelivered = told.iter().filter(|one| one.redelivery.is_some()).count();
    }
    let skipped = told.iter().filter(|one| one.skipped.is_some()).count();
    let runs: usize = told.iter().map(|one| one.runs.len()).sum();
    let mut answer = json!({
        "matched": told.len(),
        "redelivered": redelivered,
        "skipped": skipped,
        "runs": runs,
        "deliveries": told.iter().map(Told::shown).collect::<Vec<_>>(),
    });
    if let Some(next) = &next {
        answer["nextPageToken"] = json!(edge::http::body_token(request, &wish, next));
    }
    let status = match body.dry_run {
        true => StatusCode::OK,
        false => StatusCode::ACCEPTED,
    };
    Ok((status, answer))
}

/// A delivery that is meant.
struct Candidate {
    head: DeliveryHead,
    notification: Option<Notification>,
}

/// A delivery with what would come of it.
struct Told {
    head: DeliveryHead,
    /// Why it cannot be dispatched.
    skipped: Option<&'static str>,
    /// Why it would ask no stack for anything.
    note: Option<String>,
    runs: Vec<Foreseen>,
    unknown: Vec<Foreseen>,
    redelivery: Option<u32>,
}

impl Told {
    fn shown(&self) -> Value {
        let of = |foreseen: &Foreseen| match foreseen.would {
            Would::Run(kind) => {
                json!({ "stack": foreseen.stack, "kind": kind, "reason": foreseen.reason })
            }
            _ => json!({ "stack": foreseen.stack, "reason": foreseen.reason }),
        };
        let mut shown = json!({
            "id": self.head.id.to_string(),
            "receivedAt": edge::http::moment(self.head.received),
            "outcome": view::outcome(&self.head),
        });
        if let Some(skipped) = self.skipped {
            shown["skipped"] = json!(skipped);
            return shown;
        }
        shown["runs"] = json!(self.runs.iter().map(of).collect::<Vec<_>>());
        if !self.unknown.is_empty() {
            shown["unknown"] = json!(self.unknown.iter().map(of).collect::<Vec<_>>());
        }
        if let Some(note) = &self.note {
            shown["note"] = json!(note);
        }
        if let Some(number) = self.redelivery {
            shown["redelivery"] = json!(number);
        }
        shown
    }
}

/// Cuts what an answer has no room for; gives where it ends then.
fn cut(told: &mut Vec<Told>) -> Option<Cursor> {
    let mut named = 0;
    let fits = told.iter().take_while(|one| {
        let has_room = named < MOST_TOLD;
        named += one.runs.len() + one.unknown.len();
        has_room
    });
    let fits = fits.count();
    if fits == told.len() {
        return None;
    }
    told.truncate(fits);
    told.last().map(|one| Cursor::of(&one.head))
}

/// Asks for all of them, the newest first; gives how many were reached before the time was over.
async fn ask_for_all(
    app: &App,
    told: &mut [Told],
    asked: AskedAgain<'_>,
    started: Instant,
    now: Timestamp,
) -> Result<usize, Problem> {
    let mut done = 0;
    for chunk in told.chunks_mut(AT_ONCE) {
        if done > 0 && started.elapsed() > LONGEST {
            break;
        }
        let ask = |one: &Told| {
            let head = one.skipped.is_none().then(|| one.head.clone());
            async move {
                let Some(head) = head else {
                    return Ok(None);
                };
                let written = app.store.redeliver(&head, asked, app.retention, now).await;
                written.map(|it| Some(it.number)).map_err(Problem::ours)
            }
        };
        let asks: Vec<_> = chunk.iter().map(ask).collect();
        let numbers: Vec<Option<u32>> = stream::iter(asks).buffered(AT_ONCE).try_collect().await?;
        for (one, number) in chunk.iter_mut().zip(numbers) {
            one.redelivery = number;
        }
        done += chunk.len();
    }
    Ok(done)
}

/// What follows a repository, each read once a request; `None` for an integration that is not active.
#[derive(Default)]
struct Following {
    active: HashMap<IntegrationName, bool>,
    stacks: HashMap<(IntegrationName, Guid), Vec<Stack>>,
}

impl Following {
    async fn of(
        &mut self,
        store: &Store,
        name: &IntegrationName,
        repository: &Guid,
    ) -> Result<Option<&[Stack]>, Problem> {
        let is_active = match self.active.get(name) {
            Some(is_active) => *is_active,
            None => {
                let listed = store.listed_integration(name).await;
                let listed = listed.map_err(Problem::ours)?;
                let is_active = listed.is_some_and(|it| it.status == Status::Active);
                self.active.insert(name.clone(), is_active);
                is_active
            }
        };
        if !is_active {
            return Ok(None);
        }
        let key = (name.clone(), repository.clone());
        if !self.stacks.contains_key(&key) {
            let stacks = store.followers(name, repository).await;
            self.stacks
                .insert(key.clone(), stacks.map_err(Problem::ours)?);
        }
        Ok(self.stacks.get(&key).map(Vec::as_slice))
    }
}

/// What would come of each, by what was kept of it, the rules of `dispatch`, and the stacks as they are now.
async fn told(
    store: &Store,
    candidates: Vec<Candidate>,
    rerun: bool,
) -> Result<Vec<Told>, Problem> {
    let ids: Vec<_> = candidates.iter().map(|one| one.head.id.clone()).collect();
    let mut records = store.outcomes(&ids).await.map_err(Problem::ours)?;
    let mut following = Following::default();
    let mut all = Vec::with_capacity(candidates.len());
    for Candidate {
        mut head,
        notification,
    } in candidates
    {
        let record = records.remove(&head.id);
        head.outcome = record.as_ref().map(|record| record.outcome.word);
        let mut one = Told {
            skipped: view::no_event(head.kind),
            note: None,
            runs: Vec::new(),
            unknown: Vec::new(),
            redelivery: None,
            head,
        };
        if one.skipped.is_none() {
            let foreseen = foresee(
                store,
                &mut following,
                &one.head,
                notification.as_ref(),
                record.as_ref(),
            );
            match foreseen.await? {
                Ok(all) => one.take(all, record.as_ref().map(|it| &it.outcome), rerun),
                Err(note) => one.note = Some(note),
            }
        }
        all.push(one);
    }
    Ok(all)
}

/// What stacks would make of one; in words why it asks none for anything.
async fn foresee(
    store: &Store,
    following: &mut Following,
    head: &DeliveryHead,
    notification: Option<&Notification>,
    record: Option<&OutcomeRecord>,
) -> Result<Result<Vec<Foreseen>, String>, Problem> {
    let (Some(notification), Ok(name)) = (notification, head.id.integration().parse()) else {
        return Ok(Err("the body cannot be understood".to_owned()));
    };
    let subject = rules::subject(
        &notification.event_type,
        &notification.event,
        notification.is_test,
    );
    let subject = match subject {
        Ok(subject) => subject,
        Err(note) => return Ok(Err(note)),
    };
    let stacks = following.of(store, &name, subject.repository()).await?;
    let Some(stacks) = stacks else {
        return Ok(Err("the integration is not active any more".to_owned()));
    };
    let compared = record.and_then(|record| record.compared.as_ref());
    Ok(Ok(foresight::foreseen(&subject, compared, stacks)))
}

impl Told {
    /// Takes what would run, and what may: without `rerun` not what has had its run.
    fn take(&mut self, foreseen: Vec<Foreseen>, decided: Option<&Outcome>, rerun: bool) {
        let decisions = decided
            .map(|it| it.decisions.as_slice())
            .unwrap_or_default();
        let has_run: HashSet<&StackName> = decisions
            .iter()
            .filter(|it| !rerun && !it.runs.is_empty() && it.verdict != Verdict::Canceled)
            .flat_map(|it| &it.stacks)
            .collect();
        for one in foreseen {
            match one.would {
                _ if has_run.contains(&one.stack) => {}
                Would::Run(_) => self.runs.push(one),
                Would::Unknown => self.unknown.push(one),
                Would::Nothing => {}
            }
        }
    }
}
