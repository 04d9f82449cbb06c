//! Delivers notifications: the request as Azure DevOps makes it (facts 3.2), and the retries that `subscription_state` asks for.
//! It follows no redirect, and it keeps the password out of everything it records.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::assumptions::Assumption;
use crate::clock::stamp;
use crate::outgoing::{Outgoing, outgoing};
use crate::records::RecordedDelivery;
use crate::shared::Shared;
use crate::state::World;
use crate::state::subscriptions::{Notification, Subscription};
use crate::subscription_state::{Answer, Next};

/// `VSServices/<version>` is what receivers route on (facts 3.2).
pub(crate) const USER_AGENT: &str = "VSServices/19.264.36412.1 (simulator)";

/// So much of a response is kept in the history.
const KEPT_OF_RESPONSE: usize = 4096;

/// A notification to deliver.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) organization: String,
    pub(crate) subscription: Uuid,
    pub(crate) notification: u32,
    /// How long it takes before it is sent at all.
    pub(crate) lag: Duration,
}

/// What came of it.
pub(crate) struct Outcome {
    status: Option<u16>,
    response: Option<String>,
    error: Option<String>,
    took: Duration,
}

/// Delivers one notification, with all its retries.
pub(crate) async fn deliver(shared: Arc<Shared>, job: Job) {
    let wanted =
        || shared.peek(|world| is_wanted(world, &job)) && !shared.closed.load(Ordering::Relaxed);
    shared.clock.wait(job.lag, wanted).await;
    while let Some(outgoing) = shared.with(|world, now| prepare(world, &job, now)) {
        let outcome = send(&shared, &outgoing).await;
        match shared.with(|world, now| conclude(world, &job, &outgoing, outcome, now)) {
            Next::Delivered | Next::GivenUp => break,
            Next::Retry(wait) => shared.clock.wait(wait, wanted).await,
            Next::ProbationRetry(wait) => {
                shared.on_probation.fetch_add(1, Ordering::SeqCst);
                shared.pending.fetch_sub(1, Ordering::SeqCst);
                shared.clock.wait(wait, wanted).await;
                shared.pending.fetch_add(1, Ordering::SeqCst);
                shared.on_probation.fetch_sub(1, Ordering::SeqCst);
            }
        }
        if shared.closed.load(Ordering::Relaxed) {
            break;
        }
    }
    shared.pending.fetch_sub(1, Ordering::SeqCst);
}

fn subscription_mut<'a>(world: &'a mut World, job: &Job) -> Option<&'a mut Subscription> {
    world
        .organization_mut(&job.organization)?
        .subscription_mut(job.subscription)
}

fn is_wanted(world: &World, job: &Job) -> bool {
    world
        .organization(&job.organization)
        .and_then(|it| it.subscription(job.subscription))
        .is_some_and(|it| !it.state.status.is_disabled())
}

/// The request for a notification; none when its subscription is gone or disabled by now.
fn prepare(world: &mut World, job: &Job, now: Timestamp) -> Option<Outgoing> {
    let assumptions = world.assumptions.clone();
    let subscription = subscription_mut(world, job)?;
    let disabled = subscription.state.status.is_disabled();
    let notification = subscription.notification_mut(job.notification)?;
    notification.modified = now;
    if disabled {
        notification.status = "completed";
        notification.result = "failed";
        notification.completed = Some(now);
        return None;
    }
    notification.attempts += 1;
    notification.status = "processing";
    notification.dequeued = Some(now);
    if notification.attempts > 1 && !assumptions.hold(Assumption::RetriesKeepCreatedDate) {
        notification.body["createdDate"] = json!(stamp(now));
    }
    let outgoing = {
        let notification = subscription.notification(job.notification)?;
        outgoing(subscription, &notification.body, &assumptions)
    };
    subscription.notification_mut(job.notification)?.request = Some(outgoing.shown.clone());
    Some(outgoing)
}

/// Takes in what came back: the notification's history, the subscription's state, the record.
fn conclude(
    world: &mut World,
    job: &Job,
    outgoing: &Outgoing,
    outcome: Outcome,
    now: Timestamp,
) -> Next {
    let Some(subscription) = subscription_mut(world, job) else {
        return Next::GivenUp;
    };
    let before = subscription.state.probation_retries;
    let mut state = subscription.state;
    let Some(notification) = subscription.notification_mut(job.notification) else {
        return Next::GivenUp;
    };
    let next = state.after(&mut notification.progress, Answer::of(outcome.status));
    let record = record(
        job.organization.clone(),
        job.subscription,
        notification,
        outgoing,
        &outcome,
        false,
        now,
    );
    note(notification, outcome, next, now);
    subscription.state = state;
    if state.probation_retries > before && before > 0 {
        subscription.last_probation_retry = Some(now);
    }
    world.records.delivery(record);
    next
}

/// Writes an attempt into a notification.
fn note(notification: &mut Notification, outcome: Outcome, next: Next, now: Timestamp) {
    notification.modified = now;
    notification.response = outcome.response;
    notification.error = outcome.error;
    notification.duration_seconds = Some(outcome.took.as_secs_f64());
    let (status, result) = match next {
        Next::Delivered => ("completed", "succeeded"),
        Next::GivenUp => ("completed", "failed"),
        Next::Retry(_) | Next::ProbationRetry(_) => ("queued", "pending"),
    };
    notification.status = status;
    notification.result = result;
    notification.completed = (status == "completed").then_some(now);
}

fn record(
    organization: String,
    subscription: Uuid,
    notification: &Notification,
    outgoing: &Outgoing,
    outcome: &Outcome,
    test: bool,
    now: Timestamp,
) -> RecordedDelivery {
    RecordedDelivery {
        at: stamp(now),
        organization,
        subscription_id: subscription,
        notification_id: notification.id,
        event_id: notification.event_id,
        event_type: notification.body["eventType"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        attempt: notification.attempts,
        test,
        url: outgoing.url.clone(),
        body: outgoing.body.clone(),
        status: outcome.status,
        error: outcome.error.clone(),
        milliseconds: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Sends what the Test button sends: once, whatever comes back, and without a word to the subscription's state.
pub(crate) async fn send_test(
    shared: &Arc<Shared>,
    organization: &str,
    subscription: &Subscription,
    mut notification: Notification,
) -> Notification {
    let outgoing =
        shared.peek(|world| outgoing(subscription, &notification.body, &world.assumptions));
    notification.attempts = 1;
    notification.request = Some(outgoing.shown.clone());
    notification.dequeued = Some(shared.clock.now());
    let outcome = send(shared, &outgoing).await;
    shared.with(|world, now| {
        let delivered = Answer::of(outcome.status) == Answer::Success;
        let next = if delivered {
            Next::Delivered
        } else {
            Next::GivenUp
        };
        let id = subscription.id;
        let record = record(
            organization.to_owned(),
            id,
            &notification,
            &outgoing,
            &outcome,
            true,
            now,
        );
        world.records.delivery(record);
        note(&mut notification, outcome, next, now);
        if let Some(saved) = world
            .organization_mut(organization)
            .and_then(|it| it.subscription_mut(id))
        {
            saved.notifications.push(notification.clone());
        }
    });
    notification
}

async fn send(shared: &Shared, outgoing: &Outgoing) -> Outcome {
    // The semaphore is never closed; were it, sending unlimited would be right.
    let _permit = shared.on_the_wire.acquire().await.ok();
    let began = Instant::now();
    let answer = shared
        .client
        .post(&outgoing.url)
        .headers(outgoing.headers.clone())
        .body(outgoing.body.clone())
        .send()
        .await;
    match answer {
        Ok(response) => received(response, began).await,
        Err(error) => Outcome {
            status: None,
            response: None,
            error: Some(explain(&error)),
            took: began.elapsed(),
        },
    }
}

async fn received(response: reqwest::Response, began: Instant) -> Outcome {
    let status = response.status();
    let mut text = format!(
        "Status Code: {}\r\nReason Phrase: {}\r\nContent:\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default()
    );
    let body = response.text().await.unwrap_or_default();
    text.extend(body.chars().take(KEPT_OF_RESPONSE));
    Outcome {
        status: Some(status.as_u16()),
        response: Some(text),
        error: (!status.is_success()).then(|| {
            format!(
                "{} ({})",
                status.canonical_reason().unwrap_or("Failed"),
                status.as_u16()
            )
        }),
        took: began.elapsed(),
    }
}

/// An error with its causes, since the first line alone never says why.
fn explain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
