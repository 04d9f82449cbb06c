//! Service hook subscriptions, their notifications, and test notifications (facts 5, 6.1).

pub(crate) mod input;
mod notifications;
mod queries;
pub(crate) mod test_sends;
pub(crate) mod views;

use axum::http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Call, Handled};
use crate::assumptions::{Assumption, Assumptions};
use crate::events::EventKind;
use crate::reply::Reply;
use crate::state::people::Person;
use crate::state::subscriptions::{MASK, Subscription};
use crate::state::{Organization, World};
use crate::subscription_state::{Status, SubscriptionState};
use input::{Input, refused};
use queries::{list, query};
use views::view;

pub(crate) fn answer(
    world: &mut World,
    call: &Call<'_>,
    resource: &[&str],
) -> Result<Handled, Reply> {
    let method = &call.request.method;
    // vso.code holds vso.hooks_write (facts 6.2); not everybody is sure of that.
    let only_asks = matches!(resource, ["subscriptionsquery" | "notificationsquery"]);
    let writes = !call.is_get() && !only_asks;
    if writes && !world.assumptions.hold(Assumption::CodeReadMakesHooks) {
        call.caller.needs_code_write()?;
    }
    let person = call.caller.needs_code()?;
    world.forget_old_notifications();
    let reply = match (method, resource) {
        (&Method::POST, ["testnotifications"]) => {
            return test_sends::test(world, call).map(|it| Handled::Test(Box::new(it)));
        }
        (&Method::GET, ["subscriptions"]) => list(call.organization(world)?, call),
        (&Method::POST, ["subscriptions"]) => {
            let body = body(call)?;
            let organization = call.organization_mut(world)?;
            create(organization, person, &body, call.now).map(Reply::ok)
        }
        (&Method::POST, ["subscriptionsquery"]) => query(call.organization(world)?, body(call)?),
        (&Method::POST, ["notificationsquery"]) => {
            notifications::query(call.organization(world)?, body(call)?)
        }
        (_, ["subscriptions", id, rest @ ..]) => one(world, call, person, id, rest),
        _ => Err(call.no_such_route()),
    };
    reply.map(Handled::Reply)
}

pub(super) fn body(call: &Call<'_>) -> Result<Value, Reply> {
    call.request
        .json()
        .map_err(|error| refused(&format!("The body cannot be read: {error}")))
}

fn one(world: &mut World, call: &Call<'_>, person: &Person, id: &str, rest: &[&str]) -> Answer {
    let id = Uuid::parse_str(id).map_err(|_error| missing(id))?;
    let assumptions = world.assumptions.clone();
    let organization = call.organization_mut(world)?;
    let found = organization
        .subscription(id)
        .ok_or_else(|| missing(&id.to_string()))?;
    match (&call.request.method, rest) {
        (&Method::GET, []) => {}
        (&Method::PUT, []) => {
            let (body, before) = (body(call)?, found.state);
            put(organization, person, id, &body, &assumptions, call.now)?;
            world.follow_up(&call.organization, id, before, call.now);
        }
        (&Method::DELETE, []) => {
            may_edit(person, organization, id)?;
            world.delete_subscription(&call.organization, id);
            return Ok(Reply::empty(204));
        }
        (&Method::GET, ["notifications"]) => return notifications::list(found, call),
        (&Method::GET, ["notifications", number]) => {
            return notifications::one(found, super::number(number)?);
        }
        _ => return Err(call.no_such_route()),
    }
    let organization = call.organization(world)?;
    let found = organization
        .subscription(id)
        .ok_or_else(|| missing(&id.to_string()))?;
    Ok(Reply::ok(view(organization, found)))
}

pub(super) fn missing(id: &str) -> Reply {
    let message = format!("The subscription {id} could not be found.");
    Reply::error(404, "SubscriptionNotFoundException", &message)
}

/// Makes a subscription, by REST or by a person at the portal: both go through the same checks.
pub(crate) fn create(
    organization: &mut Organization,
    person: &Person,
    body: &Value,
    now: Timestamp,
) -> Result<Value, Reply> {
    may_edit_project(
        person,
        body["publisherInputs"]["projectId"]
            .as_str()
            .unwrap_or_default(),
    )?;
    let input = input::read(body, organization, person)?;
    let subscription = subscription(Uuid::new_v4(), input, person.id, now);
    let view = view(organization, &subscription);
    organization.subscriptions.push(subscription);
    Ok(view)
}

pub(super) fn subscription(id: Uuid, input: Input, by: Uuid, now: Timestamp) -> Subscription {
    let tfs_id = Uuid::new_v4();
    let mut state = SubscriptionState::new();
    if input.status == Some(Status::DisabledByUser) {
        state.become_status(Status::DisabledByUser);
    }
    let mut subscription = Subscription {
        id,
        tfs_id,
        event: input.event,
        resource_version: input.resource_version,
        publisher_inputs: input.publisher_inputs,
        consumer_inputs: input.consumer_inputs,
        state,
        last_probation_retry: None,
        created: (by, now),
        modified: (by, now),
        next_notification: 1,
        notifications: Vec::new(),
    };
    add_tfs_id(&mut subscription);
    subscription
}

fn add_tfs_id(subscription: &mut Subscription) {
    let id = subscription.tfs_id.to_string();
    subscription
        .publisher_inputs
        .insert("tfsSubscriptionId".to_owned(), id);
}

/// The permission that scopes do not give (facts 5), with the service's wording.
pub(super) fn may_edit_project(person: &Person, project: &str) -> Result<(), Reply> {
    if person.rights.edits_subscriptions {
        return Ok(());
    }
    let message = format!(
        "Access Denied: {} needs the following permission(s) on the resource PublisherSecurity/{project} to perform this action: Edit Subscription",
        person.name
    );
    Err(Reply::error(403, "AccessCheckException", &message))
}

fn may_edit(person: &Person, organization: &Organization, id: Uuid) -> Result<(), Reply> {
    let project = organization
        .subscription(id)
        .and_then(|it| it.filter("projectId"))
        .unwrap_or_default();
    may_edit_project(person, project)
}

fn put(
    organization: &mut Organization,
    person: &Person,
    id: Uuid,
    body: &Value,
    assumptions: &Assumptions,
    now: Timestamp,
) -> Result<(), Reply> {
    may_edit(person, organization, id)?;
    let mut input = input::read(body, organization, person)?;
    let subscription = organization
        .subscription_mut(id)
        .ok_or_else(|| missing(&id.to_string()))?;
    let password = "basicAuthPassword";
    let is_masked = input
        .consumer_inputs
        .get(password)
        .is_some_and(|it| it == MASK);
    if is_masked
        && assumptions.hold(Assumption::PutKeepsMaskedPassword)
        && let Some(stored) = subscription.consumer_input(password)
    {
        input
            .consumer_inputs
            .insert(password.to_owned(), stored.to_owned());
    }
    // The enumeration's first value is `enabled`: a status that is left out asks for it.
    set_status(
        subscription,
        input.status.unwrap_or(Status::Enabled),
        person.id,
        assumptions,
    );
    subscription.event = input.event;
    subscription.resource_version = input.resource_version;
    subscription.publisher_inputs = input.publisher_inputs;
    subscription.consumer_inputs = input.consumer_inputs;
    subscription.modified = (person.id, now);
    add_tfs_id(subscription);
    Ok(())
}

fn set_status(
    subscription: &mut Subscription,
    wanted: Status,
    person: Uuid,
    assumptions: &Assumptions,
) {
    let stays = match (subscription.state.status, wanted) {
        (Status::OnProbation, Status::Enabled) => !assumptions.hold(Assumption::PutEndsProbation),
        (Status::DisabledByInactiveIdentity, Status::Enabled) => {
            !subscription.belongs_to(person) && !assumptions.hold(Assumption::PutEndsInactivity)
        }
        (_, Status::Enabled | Status::DisabledByUser) => false,
        // The other states are the service's to give: a record that is read and written back keeps its own.
        _ => true,
    };
    if !stays {
        subscription.state.become_status(wanted);
    }
}

/// The body a person's choices at the portal come down to; each event with the version that carries the most (facts 4.1).
pub(crate) fn portal_body(
    event: EventKind,
    publisher_inputs: &Value,
    consumer_inputs: &Value,
    version: Option<&str>,
) -> Value {
    json!({
        "publisherId": "tfs",
        "eventType": event.wire(),
        "resourceVersion": version.unwrap_or(event.latest_version()),
        "consumerId": "webHooks",
        "consumerActionId": "httpRequest",
        "publisherInputs": publisher_inputs,
        "consumerInputs": consumer_inputs,
    })
}
