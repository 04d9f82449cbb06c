//! Test notifications: the Test button, by REST or at the portal (facts 3.4).

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::input::{self, refused};
use super::views::notification_view;
use super::{Call, body, may_edit_project, missing, subscription};
use crate::assumptions::Assumptions;
use crate::clock::Moment;
use crate::events::{self, sample};
use crate::reply::Reply;
use crate::shared::Shared;
use crate::state::people::Person;
use crate::state::subscriptions::{Notification, Subscription};
use crate::state::{World, take};

/// A test notification, ready to be sent.
pub(crate) struct TestSend {
    organization: String,
    subscription: Subscription,
    notification: Notification,
}

impl TestSend {
    /// Sends it and answers with what came of it.
    pub(crate) async fn send(self, shared: &Arc<Shared>) -> Reply {
        Reply::ok(self.result(shared).await)
    }

    /// The notification as it is after it was sent.
    pub(crate) async fn result(self, shared: &Arc<Shared>) -> Value {
        let Self {
            organization,
            subscription,
            notification,
        } = self;
        let sent =
            crate::sender::send_test(shared, &organization, &subscription, notification).await;
        notification_view(&subscription, &sent, true)
    }

    /// The Test button at a saved subscription: its own id and its next number.
    pub(crate) fn saved(
        world: &mut World,
        organization: &str,
        id: Uuid,
        now: Timestamp,
    ) -> Option<Self> {
        let (assumptions, at) = (world.assumptions.clone(), world.clock.passed());
        let organization = world.organization_mut(organization)?;
        let saved = organization.subscription_mut(id)?;
        let number = take(&mut saved.next_notification);
        let subscription = saved.clone();
        Some(Self::new(
            &organization.name,
            subscription,
            number,
            &assumptions,
            (now, at),
        ))
    }

    /// The Test button before the subscription is saved: an id of zeros (facts 3.4).
    pub(crate) fn unsaved(
        world: &mut World,
        organization: &str,
        body: &Value,
        person: &Person,
        now: Timestamp,
    ) -> Result<Self, Reply> {
        let (assumptions, at) = (world.assumptions.clone(), world.clock.passed());
        let organization = world
            .organization_mut(organization)
            .ok_or_else(|| refused("There is no such organization."))?;
        let input = input::read(body, organization, person)?;
        let subscription = subscription(Uuid::nil(), input, person.id, now);
        let number = take(&mut organization.counters.test);
        Ok(Self::new(
            &organization.name,
            subscription,
            number,
            &assumptions,
            (now, at),
        ))
    }

    fn new(
        organization: &str,
        subscription: Subscription,
        number: u32,
        assumptions: &Assumptions,
        now: (Timestamp, Moment),
    ) -> Self {
        let event = sample::event(subscription.event, now.0);
        let body = events::body(
            &event,
            &subscription,
            number,
            sample::containers(),
            assumptions,
        );
        Self {
            organization: organization.to_owned(),
            notification: Notification::queued(
                number,
                event.id,
                body,
                &subscription.consumer_inputs,
                now,
            ),
            subscription,
        }
    }
}

/// `testnotifications`: of a saved subscription, or of one that is described in the details.
pub(super) fn test(world: &mut World, call: &Call<'_>) -> Result<TestSend, Reply> {
    let person = call.caller.person()?;
    let body = body(call)?;
    let id = body["subscriptionId"]
        .as_str()
        .and_then(|it| Uuid::parse_str(it).ok());
    let details = &body["details"];
    may_edit_project(
        person,
        details["publisherInputs"]["projectId"]
            .as_str()
            .unwrap_or_default(),
    )?;
    match id.filter(|it| !it.is_nil()) {
        Some(id) => TestSend::saved(world, &call.organization, id, call.now)
            .ok_or_else(|| missing(&id.to_string())),
        None => TestSend::unsaved(world, &call.organization, details, person, call.now),
    }
}
