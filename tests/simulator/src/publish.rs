//! Who is told of an event: one notification for each subscription that matches.
//! It queues; `sender` delivers.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::assumptions::Assumption;
use crate::clock::stamp;
use crate::events::{self, Event};
use crate::sender::Job;
use crate::state::subscriptions::Notification;
use crate::state::{World, take};

/// What control says of a published event.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Published {
    id: Uuid,
    event_type: &'static str,
    created_date: String,
    /// The notifications that were queued.
    notifications: Vec<Queued>,
    /// Subscriptions that match but are on probation or disabled: to them the event is lost (facts 3.1).
    lost_to: Vec<Uuid>,
}

#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
struct Queued {
    subscription_id: Uuid,
    notification_id: u32,
}

impl World {
    /// When the envelope of something that happens now is dated.
    pub(crate) fn created_date(&self, now: Timestamp) -> Timestamp {
        SignedDuration::try_from(self.publish_lag)
            .ok()
            .and_then(|lag| now.checked_add(lag).ok())
            .unwrap_or(now)
    }

    /// Queues an event for everyone who subscribed to it.
    pub(crate) fn publish(
        &mut self,
        organization: &str,
        event: &Event,
        now: Timestamp,
    ) -> Published {
        let mut published = Published {
            id: event.id,
            event_type: event.kind.wire(),
            created_date: stamp(event.created),
            notifications: Vec::new(),
            lost_to: Vec::new(),
        };
        let (assumptions, lag) = (self.assumptions.clone(), self.publish_lag);
        let Some(organization) = self.organization_mut(organization) else {
            return published;
        };
        let containers = events::containers(organization, event.project);
        let mut jobs: Vec<Job> = Vec::new();
        for subscription in &mut organization.subscriptions {
            if !subscription.matches(event, &assumptions) {
                continue;
            }
            if !subscription
                .state
                .takes_new_events(assumptions.hold(Assumption::ProbationLosesEvents))
            {
                published.lost_to.push(subscription.id);
                continue;
            }
            let event = if assumptions.hold(Assumption::OverlapsShareCreatedDate) {
                event.clone()
            } else {
                later(event, jobs.len())
            };
            let id = take(&mut subscription.next_notification);
            let body = events::body(&event, subscription, id, containers.clone(), &assumptions);
            subscription.forget_old(now);
            subscription
                .notifications
                .push(Notification::queued(id, event.id, body, now));
            jobs.push(Job {
                organization: organization.name.clone(),
                subscription: subscription.id,
                notification: id,
                lag,
            });
            published.notifications.push(Queued {
                subscription_id: subscription.id,
                notification_id: id,
            });
        }
        self.outbox.extend(jobs);
        published
    }
}

/// The event, dated a little later for each subscription that has had it.
fn later(event: &Event, place: usize) -> Event {
    let shift = Duration::from_micros(place as u64);
    let created = SignedDuration::try_from(shift)
        .ok()
        .and_then(|shift| event.created.checked_add(shift).ok())
        .unwrap_or(event.created);
    Event {
        created,
        ..event.clone()
    }
}
