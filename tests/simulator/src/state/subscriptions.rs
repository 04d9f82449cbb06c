//! Service hook subscriptions and their notifications. Data, and which events a subscription asks for.
//! It never sends and never judges an answer: the sender and `subscription_state` do.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::assumptions::{Assumption, Assumptions};
use crate::clock::Moment;
use crate::events::{Event, EventKind};
use crate::state::git::full_branch;
use crate::subscription_state::{Progress, SubscriptionState};

/// How long the service keeps the history of a notification (facts 3.1), in simulated time.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// So many notifications of a subscription are kept at least.
const KEPT_AT_LEAST: usize = 5000;

/// What confidential inputs read back as (facts 5).
pub(crate) const MASK: &str = "********";

/// A subscription.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) id: Uuid,
    /// The publisher's own id of it, which it adds to the publisher inputs.
    pub(crate) tfs_id: Uuid,
    pub(crate) event: EventKind,
    pub(crate) resource_version: Option<String>,
    pub(crate) publisher_inputs: BTreeMap<String, String>,
    pub(crate) consumer_inputs: BTreeMap<String, String>,
    pub(crate) state: SubscriptionState,
    pub(crate) last_probation_retry: Option<Timestamp>,
    pub(crate) created: (Uuid, Timestamp),
    pub(crate) modified: (Uuid, Timestamp),
    /// Counts 1, 2, 3 … (facts 3.3).
    pub(crate) next_notification: u32,
    pub(crate) notifications: Vec<Notification>,
}

/// One event on its way to one subscription.
#[derive(Clone, Debug)]
pub(crate) struct Notification {
    pub(crate) id: u32,
    pub(crate) event_id: Uuid,
    pub(crate) body: Value,
    /// What the subscription's consumer inputs were when it was queued.
    pub(crate) consumer_inputs: BTreeMap<String, String>,
    pub(crate) status: &'static str,
    pub(crate) result: &'static str,
    /// Nothing more will come of it, whatever its status reads.
    pub(crate) is_over: bool,
    pub(crate) progress: Progress,
    pub(crate) attempts: u32,
    pub(crate) queued: Timestamp,
    /// The same on the simulated time: it is kept for seven days of that.
    pub(crate) queued_at: Moment,
    pub(crate) dequeued: Option<Timestamp>,
    pub(crate) completed: Option<Timestamp>,
    pub(crate) modified: Timestamp,
    /// The latest request and response as text, the password masked.
    pub(crate) request: Option<String>,
    pub(crate) response: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) duration_seconds: Option<f64>,
}

impl Notification {
    /// A notification of this subscription that has not been sent yet.
    pub(crate) fn queued(
        id: u32,
        event_id: Uuid,
        body: Value,
        consumer_inputs: &BTreeMap<String, String>,
        (now, at): (Timestamp, Moment),
    ) -> Self {
        Self {
            id,
            event_id,
            body,
            consumer_inputs: consumer_inputs.clone(),
            status: "queued",
            result: "pending",
            is_over: false,
            progress: Progress::default(),
            attempts: 0,
            queued: now,
            queued_at: at,
            dequeued: None,
            completed: None,
            modified: now,
            request: None,
            response: None,
            error: None,
            duration_seconds: None,
        }
    }

    /// It ended, or an attempt at it did.
    pub(crate) fn complete(&mut self, result: &'static str, is_over: bool, now: Timestamp) {
        self.status = "completed";
        self.result = result;
        self.is_over = is_over;
        self.completed = Some(now);
        self.modified = now;
    }

    /// It waits for its next attempt.
    pub(crate) fn wait(&mut self, now: Timestamp) {
        self.status = "queued";
        self.result = "pending";
        self.completed = None;
        self.modified = now;
    }

    /// It will not be sent any more: why is said where no attempt has said it already.
    pub(crate) fn give_up(&mut self, why: &str, now: Timestamp) {
        self.error.get_or_insert_with(|| why.to_owned());
        self.complete("failed", true, now);
    }
}

impl Subscription {
    pub(crate) fn url(&self) -> &str {
        self.consumer_input("url").unwrap_or_default()
    }

    /// Who it stops with when they become inactive: the person who made it (facts 5).
    pub(crate) fn belongs_to(&self, person: Uuid) -> bool {
        self.created.0 == person
    }

    pub(crate) fn consumer_input(&self, name: &str) -> Option<&str> {
        self.consumer_inputs.get(name).map(String::as_str)
    }

    /// A publisher input that narrows: absent and "" both mean any.
    pub(crate) fn filter(&self, name: &str) -> Option<&str> {
        self.publisher_inputs
            .get(name)
            .map(String::as_str)
            .filter(|it| !it.is_empty())
    }

    /// A notification. The wanted one is nearly always one of the latest.
    pub(crate) fn notification(&self, id: u32) -> Option<&Notification> {
        self.notifications.iter().rev().find(|it| it.id == id)
    }

    pub(crate) fn notification_mut(&mut self, id: u32) -> Option<&mut Notification> {
        self.notifications.iter_mut().rev().find(|it| it.id == id)
    }

    /// Forgets what the service would no longer show, and what a flood would fill the memory with. What is not over stays.
    pub(crate) fn forget_old(&mut self, now: Moment) {
        let is_old = |it: &Notification| it.is_over && now.saturating_sub(it.queued_at) >= KEPT;
        if self.notifications.iter().any(is_old) {
            self.notifications.retain(|it| !is_old(it));
        }
        if self.notifications.len() > 2 * KEPT_AT_LEAST {
            let first = self.next_notification.saturating_sub(KEPT_AT_LEAST as u32);
            self.notifications
                .retain(|it| it.id >= first || !it.is_over);
        }
    }

    /// Whether the subscription asks for this event.
    pub(crate) fn matches(&self, event: &Event, assumptions: &Assumptions) -> bool {
        let is = |input: &str, id: Uuid| {
            self.filter(input)
                .is_none_or(|given| given.eq_ignore_ascii_case(&id.to_string()))
        };
        let says = |input: &str, word: Option<&str>| {
            self.filter(input)
                .is_none_or(|given| word.is_some_and(|word| word.eq_ignore_ascii_case(given)))
        };
        self.event == event.kind
            && is("projectId", event.project)
            && is("repository", event.repository)
            && is("pushedBy", event.actor)
            && is("pullrequestCreatedBy", event.creator)
            && self.matches_branch(event, assumptions)
            && self.matches_reviewer(event)
            && says("mergeResult", event.merge_result)
            && says("notificationType", event.notification_type)
    }

    fn matches_branch(&self, event: &Event, assumptions: &Assumptions) -> bool {
        let Some(branch) = self.filter("branch").map(full_branch) else {
            return true;
        };
        event.refs.iter().any(|name| {
            *name == branch
                || (name.starts_with("refs/tags/")
                    && !assumptions.hold(Assumption::BranchFilterHoldsBackTags))
        })
    }

    fn matches_reviewer(&self, event: &Event) -> bool {
        self.filter("pullrequestReviewersContains")
            .is_none_or(|given| {
                event
                    .reviewers
                    .iter()
                    .any(|id| given.eq_ignore_ascii_case(&id.to_string()))
            })
    }
}
