//! `POST /stacks/preview`: what a stack that is not saved would make of deliveries, and why. Nothing is stored.
//!
//! What it follows is looked for in Azure DevOps as when a stack is saved; of the deliveries nothing is asked there: it is told by
//! what was kept when they were dispatched, and by the rules that `dispatch` goes by. Where nothing was kept it is unknown.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use deliveries::{
    filters,
    log::{self, Cursor, Source, Wanted},
    view::{self, Read},
};
use domain::{
    Integration, Stack,
    foresight::{self, Foreseen, Would},
    rules,
};
use edge::{Problem, ProblemKind, http::Answer};
use envelope::Notification;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use lambda_http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Delivery, DeliveryHead, DeliveryId, OutcomeRecord, keys};

use crate::{App, create::CreateRequest, follow, show};

/// How many deliveries are looked at at the most.
const MOST: usize = 100;
/// How many bodies are read together: some have 2 MB.
const BODIES_AT_ONCE: usize = 25;
/// How far back is looked where nothing is said.
const USUAL: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long deliveries of the repository are looked for among those of others.
const LONGEST: Duration = Duration::from_secs(15);
/// What a stack without a name is called here; nothing shows it.
const NAMELESS: &str = "preview";

/// The request's body: a stack as it is created, and which deliveries.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PreviewRequest {
    name: Option<String>,
    integration: String,
    project: String,
    repository: String,
    branch: String,
    kind: Option<String>,
    project_root: Option<String>,
    globs: Option<Vec<String>>,
    allow_forks: Option<bool>,
    run_drafts: Option<bool>,
    labels: Option<Vec<String>>,
    deliveries: Option<Vec<String>>,
    from: Option<String>,
    to: Option<String>,
}

/// Which deliveries.
enum Selection {
    These(Vec<DeliveryId>),
    /// The newest of the stack's repository.
    Within(Timestamp, Timestamp),
}

/// `POST /stacks/preview`.
pub(crate) async fn preview(app: &App, request: &Request, now: Timestamp) -> Answer {
    let body: PreviewRequest = edge::http::body(request)?;
    let (create, selection) = body.understood(now)?;
    let new = create.understood()?;
    let found = follow::look(app, &new.wanted).await?;
    let notes = found.notes.clone();
    let stack = new.stack(&found, now);
    let (seen, more) = match selection {
        Selection::These(ids) => (these(app, &stack, &ids).await?, false),
        Selection::Within(from, to) => newest(app, &stack, &found.integration, (from, to)).await?,
    };
    let ids: Vec<DeliveryId> = seen.iter().map(|one| one.head.id.clone()).collect();
    let records = app.store.outcomes(&ids).await.map_err(Problem::ours)?;
    let told: Vec<Told> = seen
        .iter()
        .map(|one| Told::of(&stack, one, records.get(&one.head.id)))
        .collect();
    let count = |would: fn(&Would) -> bool| told.iter().filter(|one| would(&one.would)).count();
    let mut follows = show::shown(&stack);
    if let Some(follows) = follows.as_object_mut() {
        for field in ["name", "detached", "createdAt", "updatedAt"] {
            follows.remove(field);
        }
    }
    let rows = seen.iter().zip(&told).map(|(one, told)| told.shown(one));
    let mut answer = json!({
        "stack": follows,
        "run": count(|would| matches!(would, Would::Run(_))),
        "none": count(|would| matches!(would, Would::Nothing)),
        "unknown": count(|would| matches!(would, Would::Unknown)),
        "more": more,
        "deliveries": rows.collect::<Vec<_>>(),
    });
    if !notes.is_empty() {
        answer["notes"] = json!(notes);
    }
    Ok((StatusCode::OK, answer))
}

impl PreviewRequest {
    fn understood(self, now: Timestamp) -> Result<(CreateRequest, Selection), Problem> {
        let (from, to) = (self.from.as_deref(), self.to.as_deref());
        let selection = match self.deliveries {
            Some(_) if from.is_some() || to.is_some() => {
                let detail = "say which deliveries, or from when to when, and not both";
                return Err(Problem::new(ProblemKind::InvalidRequest, detail).at("deliveries"));
            }
            Some(texts) => Selection::These(ids(&texts)?),
            None => {
                let (from, to) = filters::within(from, to)?;
                let to = to.unwrap_or(now).min(now);
                let from = from.or_else(|| to.checked_sub(USUAL).ok());
                Selection::Within(from.unwrap_or(Timestamp::MIN), to)
            }
        };
        let create = CreateRequest {
            name: self.name.unwrap_or_else(|| NAMELESS.to_owned()),
            integration: self.integration,
            project: self.project,
            repository: self.repository,
            branch: self.branch,
            kind: self.kind,
            project_root: self.project_root,
            globs: self.globs,
            allow_forks: self.allow_forks,
            run_drafts: self.run_drafts,
            labels: self.labels,
        };
        Ok((create, selection))
    }
}

/// The deliveries that are named, each once.
fn ids(texts: &[String]) -> Result<Vec<DeliveryId>, Problem> {
    if texts.is_empty() || texts.len() > MOST {
        let detail = format!("name 1 to {MOST} deliveries, or none for the newest ones");
        return Err(Problem::field("deliveries", &detail));
    }
    let parsed = texts.iter().enumerate().map(|(at, text)| {
        text.parse::<DeliveryId>()
            .map_err(|error| refused(at, &error.to_string()))
    });
    let mut ids: Vec<DeliveryId> = parsed.collect::<Result<_, _>>()?;
    let mut named = HashSet::new();
    ids.retain(|id| named.insert(id.clone()));
    Ok(ids)
}

/// The refusal of one of the deliveries that are named.
fn refused(at: usize, why: &str) -> Problem {
    Problem::field("deliveries", &format!("delivery {}: {why}", at + 1))
}

/// A delivery with what was understood of it.
struct Seen {
    head: DeliveryHead,
    notification: Option<Notification>,
    summary: String,
}

impl Seen {
    fn of(read: Read<'_>) -> Self {
        Self {
            head: read.head().clone(),
            summary: read.summary(),
            notification: read.into_notification(),
        }
    }
}

/// The deliveries that are named, in that order.
async fn these(app: &App, stack: &Stack, ids: &[DeliveryId]) -> Result<Vec<Seen>, Problem> {
    let of_another = |id: &DeliveryId| id.integration() != stack.integration.as_str();
    if let Some(at) = ids.iter().position(of_another) {
        return Err(refused(at, "it came through another integration"));
    }
    let mut seen: Vec<Seen> = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(BODIES_AT_ONCE) {
        let read: Vec<Delivery> = app.store.deliveries(chunk).await.map_err(Problem::ours)?;
        seen.extend(read.iter().map(|delivery| Seen::of(Read::new(delivery))));
    }
    let missing = ids
        .iter()
        .position(|id| !seen.iter().any(|one| one.head.id == *id));
    match missing {
        Some(at) => Err(refused(
            at,
            "there is no such delivery; it may have been kept long enough",
        )),
        None => Ok(seen),
    }
}

/// The newest of the stack's repository that were received within a time, and whether there may be more.
async fn newest(
    app: &App,
    stack: &Stack,
    integration: &Integration,
    (from, to): (Timestamp, Timestamp),
) -> Result<(Vec<Seen>, bool), Problem> {
    let started = Instant::now();
    let mut wanted = Wanted {
        sources: vec![Source {
            name: stack.integration.clone(),
            since: keys::day_of(integration.name_since),
        }],
        from,
        to,
        event_type: None,
        repository: Some(stack.repository.id.as_str().to_owned()),
        outcome: None,
        size: MOST,
        at_once: BODIES_AT_ONCE,
        after: None,
    };
    let mut seen = Vec::new();
    loop {
        let found = log::find(&app.store, &wanted, |read, _| Seen::of(read)).await?;
        seen.extend(found.rows);
        let Some(next) = found.next else {
            return Ok((seen, false));
        };
        if seen.len() >= MOST || started.elapsed() > LONGEST {
            return Ok((seen, true));
        }
        wanted.size = MOST - seen.len();
        wanted.to = Cursor::received(&next).map_or(wanted.to, |received| wanted.to.min(received));
        wanted.after = Some(next);
    }
}

/// What the stack would make of a delivery.
struct Told {
    would: Would,
    reason: String,
    /// How many runs, where a module tests several branches of one push.
    runs: usize,
}

impl Told {
    fn of(stack: &Stack, seen: &Seen, record: Option<&OutcomeRecord>) -> Self {
        match asked(stack, seen, record) {
            Ok(all) => Self::strongest(all),
            Err(reason) => Self {
                would: Would::Nothing,
                reason,
                runs: 0,
            },
        }
    }

    /// A run before what is unknown, that before nothing.
    fn strongest(all: Vec<Foreseen>) -> Self {
        let is_run = |one: &&Foreseen| matches!(one.would, Would::Run(_));
        let runs = all.iter().filter(is_run).count();
        let found = all
            .iter()
            .find(is_run)
            .or_else(|| all.iter().find(|one| one.would == Would::Unknown))
            .or_else(|| all.first());
        Self {
            would: found.map_or(Would::Nothing, |one| one.would),
            reason: found.map_or_else(|| "no ref changed".to_owned(), |one| one.reason.clone()),
            runs,
        }
    }

    fn shown(&self, seen: &Seen) -> Value {
        let mut shown = json!({
            "id": seen.head.id.to_string(),
            "receivedAt": edge::http::moment(seen.head.received),
            "summary": seen.summary,
            "verdict": match self.would {
                Would::Run(_) => "run",
                Would::Nothing => "none",
                Would::Unknown => "unknown",
            },
            "reason": self.reason,
        });
        if let Some(notification) = &seen.notification {
            let event_type = domain::summary::plain(notification.event_type.as_str());
            shown["eventType"] = json!(event_type);
        }
        if let Would::Run(kind) = self.would {
            shown["kind"] = json!(kind);
        }
        if self.runs > 1 {
            shown["runs"] = json!(self.runs);
        }
        shown
    }
}

/// What a delivery asks the stack for; in words why for nothing.
fn asked(
    stack: &Stack,
    seen: &Seen,
    record: Option<&OutcomeRecord>,
) -> Result<Vec<Foreseen>, String> {
    if let Some(why) = view::no_event(seen.head.kind) {
        return Err(why.to_owned());
    }
    let notification = seen.notification.as_ref();
    let notification = notification.ok_or("the body cannot be understood")?;
    let subject = rules::subject(
        &notification.event_type,
        &notification.event,
        notification.is_test,
    )?;
    if subject.repository() != &stack.repository.id {
        return Err("it is about another repository".to_owned());
    }
    let compared = record.and_then(|record| record.compared.as_ref());
    Ok(foresight::foreseen(
        &subject,
        compared,
        std::slice::from_ref(stack),
    ))
}
