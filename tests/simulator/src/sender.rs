//! Delivers notifications, each attempt at its moment on the schedule, and asks `subscription_state` what its answer means.
//! One task looks at the schedule; no request that waits has a task of its own, and the world is not locked while one is on the wire.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::assumptions::{Assumption, Assumptions};
use crate::clock::stamp;
use crate::ledger::NotificationResult;
use crate::outgoing::{Outcome, Outgoing, outgoing};
use crate::records::RecordedDelivery;
use crate::schedule::{Due, Why};
use crate::shared::Shared;
use crate::state::World;
use crate::state::subscriptions::{Notification, Subscription};
use crate::subscription_state::{Answer, Next, Rules};

/// `VSServices/<version>` is what receivers route on (facts 3.2).
pub(crate) const USER_AGENT: &str = "VSServices/19.264.36412.1 (simulator)";

/// How many deliveries are on the wire at a time.
const AT_ONCE: usize = 64;

/// The longest sleep; what changes meanwhile ends it.
const LONGEST: Duration = Duration::from_secs(3600);

/// Sends what is due, until the simulator is closed.
pub(crate) async fn run(shared: Arc<Shared>) {
    let wire = Arc::new(Semaphore::new(AT_ONCE));
    let mut changes = shared.changes.subscribe();
    while !shared.closed.load(Ordering::Relaxed) {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&wire).acquire_owned().await else {
            return;
        };
        // Before looking: a change that comes while it is looked at must not be missed.
        changes.borrow_and_update();
        if let Some((due, request)) = take(&shared) {
            let under_way = UnderWay(Arc::clone(&shared));
            tokio::spawn(async move {
                attempt(&under_way.0, &due, &request).await;
                drop(permit);
                drop(under_way);
            });
            continue;
        }
        drop(permit);
        let next = shared.peek(|world| world.schedule.next());
        let wait = next.and_then(|at| shared.clock.until(at));
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep(wait.unwrap_or(LONGEST).min(LONGEST)) => {}
        }
    }
}

/// Counts a request as under way, until it is dropped.
struct UnderWay(Arc<Shared>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        self.0.changed();
    }
}

/// Takes the next request whose moment has come.
fn take(shared: &Shared) -> Option<(Due, Outgoing)> {
    // Only looked at first: taking nothing must not count as a change, or the one task would wake itself for ever.
    let next = shared.peek(|world| world.schedule.next());
    next.filter(|at| *at <= shared.clock.passed())?;
    shared.alter(|world, now| {
        while let Some(due) = world.schedule.take(world.clock.passed()) {
            if let Some(request) = prepare(world, &due, now) {
                // Counted before the lock is released: whoever waits for quiet must not slip in between.
                shared.under_way.fetch_add(1, Ordering::SeqCst);
                return Some((due, request));
            }
        }
        None
    })
}

async fn attempt(shared: &Shared, due: &Due, request: &Outgoing) {
    let patience = shared.peek(|world| world.sending.timeout());
    let outcome = request.send(&shared.client, patience).await;
    shared.alter(|world, now| conclude(world, due, request, outcome, now));
}

fn subscription_mut<'a>(world: &'a mut World, due: &Due) -> Option<&'a mut Subscription> {
    world
        .organization_mut(&due.organization)?
        .subscription_mut(due.subscription)
}

/// The request for a notification; none when its subscription is gone.
fn prepare(world: &mut World, due: &Due, now: Timestamp) -> Option<Outgoing> {
    let assumptions = world.assumptions.clone();
    let subscription = subscription_mut(world, due)?;
    if due.why == Why::ProbationRetry && subscription.state.is_probing(due.notification) {
        subscription.state.retry_probation();
        subscription.last_probation_retry = Some(now);
    }
    let notification = subscription.notification_mut(due.notification)?;
    if due.why != Why::Copy {
        begin(notification, &assumptions, now);
    }
    let notification = subscription.notification(due.notification)?;
    let request = outgoing(subscription, notification, &assumptions);
    if due.why != Why::Copy {
        subscription.notification_mut(due.notification)?.request = Some(request.shown.clone());
        world.ledger.attempted(due.subscription, due.notification);
    }
    Some(request)
}

/// Begins an attempt.
fn begin(notification: &mut Notification, assumptions: &Assumptions, now: Timestamp) {
    notification.attempts += 1;
    notification.status = "processing";
    notification.result = "pending";
    notification.completed = None;
    notification.modified = now;
    notification.dequeued = Some(now);
    if notification.attempts > 1 && !assumptions.hold(Assumption::RetriesKeepCreatedDate) {
        notification.body["createdDate"] = json!(stamp(now));
    }
}

/// Takes in what came back: the record, the notification's history, the subscription's state, what comes next.
fn conclude(world: &mut World, due: &Due, request: &Outgoing, outcome: Outcome, now: Timestamp) {
    let record = record(&due.organization, due.subscription, request, &outcome, now);
    world.records.delivery(RecordedDelivery {
        duplicate: due.why == Why::Copy,
        ..record
    });
    // Nobody looks at the answer to a copy: the real sender would not know that it sent one.
    if due.why == Why::Copy {
        return;
    }
    let rules = Rules::of(&world.assumptions);
    let reads_pending = world.assumptions.hold(Assumption::WaitingReadsPending);
    let answer = Answer::of(outcome.came, rules);
    let Some(subscription) = subscription_mut(world, due) else {
        end(world, due, answer == Answer::Success);
        return;
    };
    let before = subscription.state;
    let mut state = before;
    let Some(notification) = subscription.notification_mut(due.notification) else {
        return;
    };
    let next = state.after(due.notification, &mut notification.progress, answer, rules);
    note(notification, outcome);
    match next {
        Next::Delivered => notification.complete("succeeded", true, now),
        Next::GivenUp => notification.complete("failed", true, now),
        Next::Retry(_) | Next::ProbationRetry(_) if reads_pending => notification.wait(now),
        Next::Retry(_) | Next::ProbationRetry(_) => notification.complete("failed", false, now),
    }
    subscription.state = state;
    match next {
        Next::Delivered => end(world, due, true),
        Next::GivenUp => end(world, due, false),
        Next::Retry(wait) => wait_for(world, due, Why::Retry, wait),
        Next::ProbationRetry(wait) => wait_for(world, due, Why::ProbationRetry, wait),
    }
    world.follow_up(&due.organization, due.subscription, before, now);
}

fn end(world: &mut World, due: &Due, is_delivered: bool) {
    let how = if is_delivered {
        NotificationResult::Succeeded
    } else {
        NotificationResult::Failed
    };
    world.ledger.ended(due.subscription, due.notification, how);
}

fn wait_for(world: &mut World, due: &Due, why: Why, wait: Duration) {
    let at = world.clock.passed().saturating_add(wait);
    world.schedule.add(at, Due { why, ..due.clone() });
}

/// Writes what came of an attempt into a notification.
fn note(notification: &mut Notification, outcome: Outcome) {
    notification.response = outcome.response;
    notification.error = outcome.error;
    notification.duration_seconds = Some(outcome.took.as_secs_f64());
}

fn record(
    organization: &str,
    subscription: Uuid,
    request: &Outgoing,
    outcome: &Outcome,
    now: Timestamp,
) -> RecordedDelivery {
    RecordedDelivery {
        at: stamp(now),
        organization: organization.to_owned(),
        subscription_id: subscription,
        notification_id: request.notification,
        event_id: request.event_id,
        event_type: request.event_type.to_owned(),
        attempt: request.attempt,
        duplicate: false,
        test: false,
        url: request.url.clone(),
        body: request.body.clone(),
        status: outcome.status(),
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
    notification.attempts = 1;
    notification.dequeued = Some(shared.clock.now());
    let (request, patience) = shared.peek(|world| {
        let request = outgoing(subscription, &notification, &world.assumptions);
        (request, world.sending.timeout())
    });
    notification.request = Some(request.shown.clone());
    let outcome = request.send(&shared.client, patience).await;
    shared.alter(|world, now| {
        let id = subscription.id;
        world.records.delivery(RecordedDelivery {
            test: true,
            ..record(organization, id, &request, &outcome, now)
        });
        let rules = Rules::of(&world.assumptions);
        let result = match Answer::of(outcome.came, rules) {
            Answer::Success => "succeeded",
            Answer::Transient | Answer::Terminal | Answer::Enduring => "failed",
        };
        note(&mut notification, outcome);
        notification.complete(result, true, now);
        if let Some(saved) = world
            .organization_mut(organization)
            .and_then(|it| it.subscription_mut(id))
        {
            saved.notifications.push(notification.clone());
        }
    });
    notification
}
