//! The five events, as the envelope and the resources of facts 4 and 5 have them.
//! It renders what has happened; who is told, and how, is `publish` and `sender`.

pub(crate) mod comment;
pub(crate) mod pull_request;
pub(crate) mod push;
pub(crate) mod sample;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::assumptions::{Assumption, Assumptions};
use crate::clock::stamp;
use crate::state::Organization;
use crate::state::subscriptions::Subscription;

/// The events that can be subscribed to here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EventKind {
    Push,
    PullRequestCreated,
    PullRequestMerged,
    PullRequestUpdated,
    Comment,
}

impl EventKind {
    pub(crate) const ALL: [EventKind; 5] = [
        EventKind::Push,
        EventKind::PullRequestCreated,
        EventKind::PullRequestMerged,
        EventKind::PullRequestUpdated,
        EventKind::Comment,
    ];

    pub(crate) fn wire(self) -> &'static str {
        match self {
            EventKind::Push => "git.push",
            EventKind::PullRequestCreated => "git.pullrequest.created",
            EventKind::PullRequestMerged => "git.pullrequest.merged",
            EventKind::PullRequestUpdated => "git.pullrequest.updated",
            EventKind::Comment => "ms.vss-code.git-pullrequest-comment-event",
        }
    }

    pub(crate) fn from_wire(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.wire().eq_ignore_ascii_case(text))
    }

    /// The version whose resource the service sends when none is asked for.
    pub(crate) fn latest_version(self) -> &'static str {
        match self {
            EventKind::Comment => "2.0",
            _ => "1.0",
        }
    }

    /// The inputs that narrow a subscription to this event, beside `projectId` and `repository` (facts 5).
    pub(crate) fn filters(self) -> &'static [&'static str] {
        match self {
            EventKind::Push => &["branch", "pushedBy"],
            EventKind::PullRequestCreated => &[
                "branch",
                "pullrequestCreatedBy",
                "pullrequestReviewersContains",
            ],
            EventKind::PullRequestMerged => &[
                "branch",
                "mergeResult",
                "pullrequestCreatedBy",
                "pullrequestReviewersContains",
            ],
            EventKind::PullRequestUpdated => &[
                "branch",
                "notificationType",
                "pullrequestCreatedBy",
                "pullrequestReviewersContains",
            ],
            EventKind::Comment => &["branch"],
        }
    }
}

/// Something that happened, rendered at that moment.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: Uuid,
    pub(crate) kind: EventKind,
    pub(crate) created: Timestamp,
    pub(crate) project: Uuid,
    pub(crate) repository: Uuid,
    /// The refs a `branch` filter looks at: those that were pushed, or a pull request's target.
    pub(crate) refs: Vec<String>,
    pub(crate) actor: Uuid,
    /// Who made the pull request.
    pub(crate) creator: Uuid,
    pub(crate) reviewers: Vec<Uuid>,
    pub(crate) merge_result: Option<&'static str>,
    pub(crate) notification_type: Option<&'static str>,
    pub(crate) message: Message,
    pub(crate) detailed: Message,
    pub(crate) resource: Value,
    /// What is left of the resource when a subscription asks for little: ids, names and URLs (facts 3.5).
    pub(crate) minimal: Value,
}

/// A message in its three spellings.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) markdown: String,
}

impl Message {
    pub(crate) fn plain(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            html: text.to_owned(),
            markdown: text.to_owned(),
        }
    }

    /// The detailed form: with a paragraph after it, if there is anything to say.
    pub(crate) fn with_paragraph(&self, paragraph: &str) -> Self {
        if paragraph.is_empty() {
            return self.clone();
        }
        Self {
            text: format!("{}\r\n{paragraph}\r\n", self.text),
            html: format!("{}<p>{}</p>", self.html, escape(paragraph)),
            markdown: format!("{}\r\n{paragraph}\r\n", self.markdown),
        }
    }

    fn view(&self, switch: &str) -> Value {
        match switch {
            "none" => Value::Null,
            "text" | "minimal" => json!({ "text": self.text }),
            "html" => json!({ "html": self.html }),
            "markdown" => json!({ "markdown": self.markdown }),
            _ => json!({ "text": self.text, "html": self.html, "markdown": self.markdown }),
        }
    }
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The containers of a real event, each with the organization's URL (the Test button's have none).
pub(crate) fn containers(organization: &Organization, project: Uuid) -> Value {
    let url = format!("{}/", organization.url);
    json!({
        "collection": { "id": organization.collection, "baseUrl": url },
        "account": { "id": organization.account, "baseUrl": url },
        "project": { "id": project, "baseUrl": url },
    })
}

/// The body that one subscription gets of an event.
pub(crate) fn body(
    event: &Event,
    subscription: &Subscription,
    notification: u32,
    containers: Value,
    assumptions: &Assumptions,
) -> Value {
    let (resource, version) = resource(event, subscription, assumptions);
    let mut body = json!({
        "subscriptionId": subscription.id,
        "notificationId": notification,
        "id": event.id,
        "eventType": event.kind.wire(),
        "publisherId": "tfs",
        "message": event.message.view(subscription.consumer_input("messagesToSend").unwrap_or("all")),
        "detailedMessage": event.detailed.view(subscription.consumer_input("detailedMessagesToSend").unwrap_or("all")),
        "resource": resource,
        "resourceVersion": version,
        "resourceContainers": containers,
        "createdDate": stamp(event.created),
    });
    if let Value::Object(fields) = &mut body
        && !assumptions.hold(Assumption::NoneLeavesKeys)
    {
        fields.retain(|name, value| !(value.is_null() && name.to_lowercase().ends_with("message")));
    }
    body
}

/// The resource in the detail and the version that the subscription asks for. Both are null where it asks for what there is not (facts 3.5, 4.1).
fn resource(
    event: &Event,
    subscription: &Subscription,
    assumptions: &Assumptions,
) -> (Value, Value) {
    let asked = subscription.resource_version.as_deref().unwrap_or("latest");
    let version = if asked.eq_ignore_ascii_case("latest") {
        event.kind.latest_version()
    } else {
        asked
    };
    let by_default = if assumptions.hold(Assumption::MissingSwitchMeansMinimal) {
        "minimal"
    } else {
        "all"
    };
    let shape = match subscription
        .consumer_input("resourceDetailsToSend")
        .unwrap_or(by_default)
    {
        "none" => return (Value::Null, Value::Null),
        "minimal" => &event.minimal,
        _ => &event.resource,
    };
    match (event.kind, version) {
        // Version 1.0 of a comment is the bare comment, with no pull request in it.
        (EventKind::Comment, "1.0" | "1.0-preview.1") => (shape["comment"].clone(), json!(version)),
        (EventKind::Comment, "2.0" | "2.0-preview.1") => (shape.clone(), json!(version)),
        (EventKind::Comment, _) => (Value::Null, Value::Null),
        (_, "1.0" | "1.0-preview.1") => (shape.clone(), json!(version)),
        _ => (Value::Null, Value::Null),
    }
}
