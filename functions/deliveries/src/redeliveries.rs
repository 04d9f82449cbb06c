//! Deliveries asked for again: one, or all that a range and filters mean; and what would come of it, without doing it.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use domain::{
    Event, Guid, IntegrationName, Outcome, Stack, StackName, Status,
    foresight::{self, Foreseen, Would},
    outcome::Verdict,
    rules::{self, Subject},
};
use edge::{Problem, ProblemKind, http::Answer};
use envelope::Notification;
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Asked, AskedAgain, DeliveryHead, MOST_REDELIVERIES, NewRuns, OutcomeRecord, Store};

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
    dry_run: bool,
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

/// Where a page of a range ended.
#[derive(Serialize, Deserialize)]
struct Place {
    #[serde(flatten)]
    after: Cursor,
    /// What the wish is called: it is one wish on all of its pages.
    #[serde(default)]
    name: Option<String>,
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
/// `rerun` says so. With `dryRun` nothing is written, and the answer is what would come of it.
pub(crate) async fn one(app: &App, request: &Request, id: &str, now: Timestamp) -> Answer {
    let body: OneRequest = edge::http::optional_body(request)?;
    let name = request_id(body.request_id)?;
    let delivery = app.delivery(id).await?;
    if let Some(why) = view::no_event(delivery.head.kind) {
        return Err(Problem::new(ProblemKind::NotAnEvent, why));
    }
    if body.dry_run {
        let candidate = Candidate {
            head: delivery.head.clone(),
            notification: view::Read::new(&delivery).into_notification(),
        };
        // One that is asked for by itself runs anew whatever it has made.
        let told = told(&app.store, vec![candidate], |_, _| body.rerun).await?;
        let shown = told.iter().map(Told::shown).next();
        return Ok((StatusCode::OK, shown.unwrap_or_default()));
    }
    let asked = AskedAgain {
        new_runs: match body.rerun {
            true => NewRuns::OfDelivery,
            false => NewRuns::None,
        },
        request: &name,
    };
    let asked = app
        .store
        .redeliver(&delivery.head, asked, app.retention, now)
        .await
        .map_err(Problem::ours)?;
    let Asked::Yes(redelivery) = asked else {
        return Err(Problem::new(ProblemKind::TooManyRedeliveries, too_often()));
    };
    let body = json!({
        "id": delivery.head.id.to_string(),
        "redelivery": redelivery.number,
        "rerun": redelivery.rerun.is_some(),
    });
    Ok((StatusCode::ACCEPTED, body))
}

fn too_often() -> String {
    format!("it was sent again {MOST_REDELIVERIES} times, which is the most")
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
    let place = after.map(|token| edge::http::body_state::<Place>(request, &wish, token));
    let place = place.transpose()?;
    let (after, name) = place.map_or((None, None), |place| (Some(place.after), place.name));
    let extent = Extent {
        size: MOST,
        at_once: BODIES_AT_ONCE,
        after,
    };
    let name = request_id(body.request_id.clone().or(name))?;
    let wanted = filters.clone().wanted(app, extent, now).await?;
    let found = log::find(&app.store, &wanted, |read, _| Candidate {
        head: read.head().clone(),
        notification: read.into_notification(),
    })
    .await?;
    let mut next = found.next;
    let runs_anew = |record: Option<&OutcomeRecord>, notification: Option<&Notification>| {
        body.rerun && record.is_some_and(|it| has_made_runs(&it.outcome, notification))
    };
    let mut told = told(&app.store, found.rows, runs_anew).await?;
    if let Some(last) = cut(&mut told) {
        next = Some(last);
    }
    let mut redelivered = 0;
    if !body.dry_run {
        let done = ask_for_all(app, &mut told, &name, started, now).await?;
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
        let place = Place {
            after: next.clone(),
            name: Some(name),
        };
        answer["nextPageToken"] = json!(edge::http::body_token(request, &wish, &place));
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
    skipped: Option<Cow<'static, str>>,
    /// Why it would ask no stack for anything.
    note: Option<String>,
    /// Whether it asks for new runs.
    rerun: bool,
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
        if let Some(skipped) = &self.skipped {
            shown["skipped"] = json!(skipped);
            return shown;
        }
        if self.rerun {
            shown["rerun"] = json!(true);
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
    name: &str,
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
            let asked = AskedAgain {
                new_runs: match one.rerun {
                    true => NewRuns::OfWish,
                    false => NewRuns::None,
                },
                request: name,
            };
            async move {
                let Some(head) = head else {
                    return Ok(None);
                };
                let written = app.store.redeliver(&head, asked, app.retention, now).await;
                written.map(Some).map_err(Problem::ours)
            }
        };
        let asks: Vec<_> = chunk.iter().map(ask).collect();
        let asked: Vec<Option<Asked>> = stream::iter(asks).buffered(AT_ONCE).try_collect().await?;
        for (one, asked) in chunk.iter_mut().zip(asked) {
            match asked {
                Some(Asked::Yes(redelivery)) => one.redelivery = Some(redelivery.number),
                Some(Asked::TooOften) => one.skip(too_often()),
                None => {}
            }
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

/// What would come of each, by what was kept of it, the rules of `dispatch`, and the stacks as they are now. `runs_anew` says
/// which ask for new runs.
async fn told(
    store: &Store,
    candidates: Vec<Candidate>,
    runs_anew: impl Fn(Option<&OutcomeRecord>, Option<&Notification>) -> bool,
) -> Result<Vec<Told>, Problem> {
    let ids: Vec<_> = candidates.iter().map(|one| one.head.id.clone()).collect();
    let mut records = store.outcomes(&ids).await.map_err(Problem::ours)?;
    let mut following = Following::default();
    let mut counted = Counted::default();
    let mut all = Vec::with_capacity(candidates.len());
    for Candidate {
        mut head,
        notification,
    } in candidates
    {
        let record = records.remove(&head.id);
        head.outcome = record.as_ref().map(|record| record.outcome.word);
        let mut one = Told {
            skipped: view::no_event(head.kind).map(Cow::Borrowed),
            note: None,
            rerun: runs_anew(record.as_ref(), notification.as_ref()),
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
                Ok((what, all)) => {
                    let decided = record.as_ref().map(|it| &it.outcome);
                    one.take(&what, all, decided, &mut counted);
                }
                Err(note) => one.note = Some(note),
            }
        }
        all.push(one);
    }
    Ok(all)
}

/// Whether a delivery has made runs of its own. One that met those of others tells of nothing that they do not tell of, so new
/// runs are asked for by them.
fn has_made_runs(outcome: &Outcome, notification: Option<&Notification>) -> bool {
    // A push ends no runs, so those were its own, and taken back.
    let is_push = notification.is_some_and(|it| matches!(it.event, Event::Push(_)));
    outcome.decisions.iter().any(|it| {
        let is_own = it.verdict == Verdict::Run || (is_push && it.verdict == Verdict::Canceled);
        is_own && !it.runs.is_empty()
    })
}

/// What an event is about, where others may be about the same.
fn what(subject: &Subject<'_>) -> String {
    let repository = subject.repository();
    match subject {
        Subject::Push(push, _) => match push.push_id {
            Some(id) => format!("{repository} push {id}"),
            None => format!("{repository} {:?}", push.ref_updates),
        },
        Subject::PullRequest(about) => {
            let comment = about.comment.map(|comment| (comment.thread, comment.id));
            format!("{repository} pull request {} {comment:?}", about.number)
        }
    }
}

/// The runs that were counted, each by its stack, the ref, and what it is about.
#[derive(Default)]
struct Counted {
    runs: HashSet<(StackName, Option<String>, String)>,
    unknown: HashSet<(StackName, Option<String>, String)>,
}

/// What stacks would make of one, and of what; in words why it asks none for anything.
async fn foresee(
    store: &Store,
    following: &mut Following,
    head: &DeliveryHead,
    notification: Option<&Notification>,
    record: Option<&OutcomeRecord>,
) -> Result<Result<(String, Vec<Foreseen>), String>, Problem> {
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
    let foreseen = foresight::foreseen(&subject, compared, stacks);
    Ok(Ok((what(&subject), foreseen)))
}

impl Told {
    /// Takes what would run, and what may: where no new runs are asked for not what has had its run, and nothing that a newer
    /// delivery makes.
    fn take(
        &mut self,
        what: &str,
        foreseen: Vec<Foreseen>,
        decided: Option<&Outcome>,
        counted: &mut Counted,
    ) {
        let decisions = decided
            .map(|it| it.decisions.as_slice())
            .unwrap_or_default();
        let is_rerun = self.rerun;
        let has_run: HashSet<&StackName> = decisions
            .iter()
            .filter(|it| !is_rerun && !it.runs.is_empty() && it.verdict != Verdict::Canceled)
            .flat_map(|it| &it.stacks)
            .collect();
        let mut are_of_others = false;
        for one in foreseen {
            let run = (one.stack.clone(), one.ref_name.clone(), what.to_owned());
            match one.would {
                Would::Nothing => {}
                _ if has_run.contains(&one.stack) => {}
                _ if counted.runs.contains(&run) => are_of_others = true,
                Would::Run(_) => {
                    counted.runs.insert(run);
                    self.runs.push(one);
                }
                Would::Unknown if counted.unknown.insert(run) => self.unknown.push(one),
                Would::Unknown => are_of_others = true,
            }
        }
        if are_of_others && self.runs.is_empty() && self.unknown.is_empty() {
            self.note = Some("what it asks for, a newer delivery asks for too".to_owned());
        }
    }

    fn skip(&mut self, why: String) {
        self.skipped = Some(Cow::Owned(why));
        self.runs.clear();
        self.unknown.clear();
    }
}
