//! Subscriptions and notifications as the API shows them: never a password.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::stamp;
use crate::state::Organization;
use crate::state::subscriptions::{MASK, Notification, Subscription};
use crate::views;

/// A subscription as the API shows it: confidential inputs masked, `probationRetries` a number (facts 3.1, 5).
pub(crate) fn view(organization: &Organization, it: &Subscription) -> Value {
    let url = format!("{}/_apis/hooks/subscriptions/{}", organization.url, it.id);
    let hooks = format!("{}/_apis/hooks", organization.url);
    let by = |id: Uuid| {
        let person = organization.person_by_id(id);
        json!({
            "displayName": person.name,
            "id": person.id,
            "uniqueName": person.email,
            "descriptor": views::descriptor(person.id),
        })
    };
    let mut view = json!({
        "id": it.id,
        "url": url,
        "status": it.state.status.wire(),
        "publisherId": "tfs",
        "eventType": it.event.wire(),
        "subscriber": null,
        "eventDescription": describe(organization, it),
        "consumerId": "webHooks",
        "consumerActionId": "httpRequest",
        "actionDescription": format!("To host {}", host(it.url())),
        "createdBy": by(it.created.0),
        "createdDate": stamp(it.created.1),
        "modifiedBy": by(it.modified.0),
        "modifiedDate": stamp(it.modified.1),
        "publisherInputs": it.publisher_inputs,
        "consumerInputs": masked(it),
        "_links": {
            "self": { "href": url },
            "consumer": { "href": format!("{hooks}/consumers/webHooks") },
            "actions": { "href": format!("{hooks}/consumers/webHooks/actions") },
            "notifications": { "href": format!("{url}/notifications") },
            "publisher": { "href": format!("{hooks}/publishers/tfs") },
        },
    });
    if let Some(version) = &it.resource_version {
        view["resourceVersion"] = json!(version);
    }
    if it.state.probation_retries > 0 {
        view["probationRetries"] = json!(it.state.probation_retries);
    }
    if let Some(at) = it.last_probation_retry {
        view["lastProbationRetryDate"] = json!(stamp(at));
    }
    view
}

fn describe(organization: &Organization, it: &Subscription) -> String {
    let repository = it
        .filter("repository")
        .and_then(|id| organization.repository(Uuid::parse_str(id).ok()?));
    match repository {
        Some(repository) => format!("Repository {}", repository.name),
        None => "Any repository".to_owned(),
    }
}

fn host(url: &str) -> String {
    reqwest::Url::parse(url)
        .ok()
        .and_then(|it| it.host_str().map(str::to_owned))
        .unwrap_or_default()
}

fn masked(it: &Subscription) -> Value {
    it.consumer_inputs
        .iter()
        .map(|(name, value)| {
            let value = if name == "basicAuthPassword" {
                MASK
            } else {
                value
            };
            (name.clone(), json!(value))
        })
        .collect()
}

/// A notification. The event, the request and the response are shown of one, not of a list.
pub(crate) fn notification_view(
    subscription: &Subscription,
    it: &Notification,
    whole: bool,
) -> Value {
    let mut details = json!({
        "publisherId": "tfs",
        "eventType": subscription.event.wire(),
        "consumerId": "webHooks",
        "consumerActionId": "httpRequest",
        "publisherInputs": subscription.publisher_inputs,
        "consumerInputs": masked(subscription),
        "requestAttempts": it.attempts,
        "queuedDate": stamp(it.queued),
        "dequeuedDate": it.dequeued.map(stamp),
        // Just before the request is sent, says the document.
        "processedDate": it.dequeued.map(stamp),
        "completedDate": it.completed.map(stamp),
        "requestDuration": it.duration_seconds,
        "errorMessage": it.error,
    });
    if whole {
        details["event"] = event_view(&it.body);
        details["request"] = json!(it.request);
        details["response"] = json!(it.response);
    }
    json!({
        "id": it.id,
        "subscriptionId": subscription.id,
        // The last who touched the subscription, or who tests one that is not saved.
        "subscriberId": subscription.modified.0,
        "eventId": it.event_id,
        "status": it.status,
        "result": it.result,
        "createdDate": stamp(it.queued),
        "modifiedDate": stamp(it.modified),
        "details": views::without_nulls(details),
    })
}

/// The event within a notification: the body without what is the notification's own.
fn event_view(body: &Value) -> Value {
    let mut event = body.clone();
    if let Value::Object(fields) = &mut event {
        fields.remove("subscriptionId");
        fields.remove("notificationId");
    }
    event
}
