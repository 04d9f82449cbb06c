//! Who is told of an event: one notification for each subscription that matches.
//! It queues; `sender` delivers.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::assumptions::Assumption;
use crate::clock::{Moment, stamp};
use crate::events::{self, Event};
use crate::ledger::{EventNotification, Lost, NotificationResult, PublishedEvent};
use crate::schedule::{Due, Why};
use crate::sending::Sending;
use crate::state::subscriptions::Notification;
use crate::state::{World, take};

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
    ) -> PublishedEvent {
        let mut published = PublishedEvent {
            id: event.id,
            event_type: event.kind.wire(),
            created_date: stamp(event.created),
            notifications: Vec::new(),
            lost_to: Vec::new(),
        };
        let assumptions = self.assumptions.clone();
        let at = self.clock.passed();
        let Some(organization) = self.organization_mut(organization) else {
            return published;
        };
        let containers = events::containers(organization, event.project);
        let name = organization.name.clone();
        for subscription in &mut organization.subscriptions {
            if !subscription.matches(event, &assumptions) {
                continue;
            }
            if !subscription
                .state
                .takes_new_events(assumptions.hold(Assumption::ProbationLosesEvents))
            {
                published.lost_to.push(Lost {
                    subscription_id: subscription.id,
                    status: subscription.state.status.wire(),
                });
                continue;
            }
            let event = if assumptions.hold(Assumption::OverlapsShareCreatedDate) {
                event.clone()
            } else {
                later(event, published.notifications.len())
            };
            let id = take(&mut subscription.next_notification);
            let body = events::body(&event, subscription, id, containers.clone(), &assumptions);
            let inputs = &subscription.consumer_inputs;
            let notification = Notification::queued(id, event.id, body, inputs, (now, at));
            subscription.forget_old(at);
            subscription.notifications.push(notification);
            published.notifications.push(EventNotification {
                subscription_id: subscription.id,
                notification_id: id,
                result: NotificationResult::Pending,
                attempts: 0,
            });
        }
        for it in &published.notifications {
            self.send_off(&name, it.subscription_id, it.notification_id, at);
        }
        self.ledger.published(published.clone());
        published
    }

    /// Puts a notification on the schedule, where the sender's faults say: later than others, or twice.
    fn send_off(&mut self, organization: &str, subscription: Uuid, notification: u32, now: Moment) {
        self.sent_off += 1;
        let due = |why| Due {
            organization: organization.to_owned(),
            subscription,
            notification,
            why,
        };
        let lag = self.publish_lag + self.sending.lag(self.sent_off);
        let at = now.saturating_add(lag);
        self.schedule.add(at, due(Why::First));
        if let Some(after) = self.sending.duplicate(self.sent_off) {
            self.schedule.add(at.saturating_add(after), due(Why::Copy));
        }
    }

    /// Sets how the sender behaves from now on; what it draws begins anew.
    pub(crate) fn set_sending(&mut self, sending: Sending) {
        self.sending = sending;
        self.sent_off = 0;
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
