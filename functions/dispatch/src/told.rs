//! A delivery as the bus is told it: what was understood of it, by the schemas in `events/schemas`. Text that people wrote is
//! made harmless, and everything that has no end of its own is cut.

use domain::{
    Event, EventType, Outcome,
    event::{Comment, CommentChange, PullRequest, Push, RefChange, RefUpdate, Repository},
    summary::{self, plain},
};
use envelope::Notification;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use store::{BusEvent, Delivery};

/// The most refs and runs that an event names.
const MOST: usize = 100;
/// The most characters of a comment.
const LONGEST_COMMENT: usize = 1_000;
/// The most bytes of a ref's name. What is sent may be six times as long, where JSON escapes each; a hundred refs with
/// their ids still fit into the 256 KB that the bus takes.
const LONGEST_REF: usize = 200;
/// The most bytes of an object's id, or of a word.
const LONGEST_WORD: usize = 64;

/// What the bus is told of a delivery; `None` where it is of no event type that has an event of its own there.
pub(crate) fn understood(
    delivery: &Delivery,
    notification: &Notification,
    outcome: &Outcome,
) -> Option<BusEvent> {
    let (detail_type, more) = match (&notification.event_type, &notification.event) {
        (EventType::GitPush, Event::Push(push)) => ("Code Pushed", of_push(push)),
        (EventType::PullRequestCreated, Event::PullRequest(_, it)) => {
            ("Pull Request Created", of_pull_request(it))
        }
        (EventType::PullRequestMergeAttempted, Event::PullRequest(_, it)) => {
            ("Pull Request Merge Attempted", of_pull_request(it))
        }
        (EventType::PullRequestUpdated, Event::PullRequest(_, it)) => {
            ("Pull Request Updated", of_pull_request(it))
        }
        (EventType::PullRequestCommented, Event::Comment(it)) => {
            ("Pull Request Commented On", of_comment(it))
        }
        _ => return None,
    };
    let runs: Vec<&str> = outcome.runs().map(domain::RunId::as_str).collect();
    let mut detail = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            detail.insert(name.to_owned(), value);
        }
    };
    set("delivery", json!(delivery.head.id.to_string()));
    set("integration", json!(delivery.head.id.integration()));
    set(
        "eventId",
        json!(notification.event_id.as_deref().map(plain)),
    );
    set("eventType", json!(notification.event_type.as_str()));
    set(
        "receivedAt",
        json!(edge::http::moment(delivery.head.received)),
    );
    set(
        "summary",
        json!(summary::of(&notification.event_type, &notification.event)),
    );
    set("outcome", json!(outcome.word.as_str()));
    set("note", json!(outcome.note));
    set("repository", of_repository(notification.event.repository()));
    set("runs", json!(runs.iter().take(MOST).collect::<Vec<_>>()));
    set("runCount", json!(runs.len()));
    for (name, value) in more {
        set(name, value);
    }
    Some(BusEvent {
        detail_type: detail_type.to_owned(),
        detail: Value::Object(detail),
    })
}

/// What the bus is told where Azure DevOps does not take an integration's token.
pub(crate) fn connection_failing(delivery: &Delivery, reason: &str, now: Timestamp) -> BusEvent {
    BusEvent {
        detail_type: "Connection Failing".to_owned(),
        detail: json!({
            "integration": delivery.head.id.integration(),
            "reason": reason,
            "delivery": delivery.head.id.to_string(),
            "since": edge::http::moment(now),
        }),
    }
}

type More = Vec<(&'static str, Value)>;

fn of_push(push: &Push) -> More {
    let updates: Vec<Value> = push
        .ref_updates
        .iter()
        .take(MOST)
        .map(of_ref_update)
        .collect();
    vec![
        ("pushId", json!(push.push_id)),
        ("pushedBy", json!(push.pushed_by.as_deref().map(plain))),
        ("refUpdates", json!(updates)),
        ("refUpdateCount", json!(push.ref_updates.len())),
    ]
}

fn of_ref_update(update: &RefUpdate) -> Value {
    let change = match update.change() {
        RefChange::Created => "created",
        RefChange::Deleted => "deleted",
        RefChange::Moved => "moved",
    };
    let of = |text: &Option<String>| json!(text.as_deref().map(|it| cut(it, LONGEST_WORD)));
    without_nulls(json!({
        "name": cut(&update.name, LONGEST_REF),
        "oldObjectId": of(&update.old_object_id),
        "newObjectId": of(&update.new_object_id),
        "change": change,
    }))
}

fn of_pull_request(it: &PullRequest) -> More {
    vec![("pullRequest", pull_request(it))]
}

fn pull_request(it: &PullRequest) -> Value {
    let of = |text: &Option<String>, longest| json!(text.as_deref().map(|text| cut(text, longest)));
    // Of one that is told by its number alone nobody knows whether it is a draft, or comes from a fork.
    let is_told = it.source_ref.is_some();
    without_nulls(json!({
        "number": it.number,
        "title": it.title.as_deref().map(plain),
        "status": of(&it.status, LONGEST_WORD),
        "isDraft": is_told.then_some(it.is_draft),
        "sourceRef": of(&it.source_ref, LONGEST_REF),
        "targetRef": of(&it.target_ref, LONGEST_REF),
        "sourceCommit": of(&it.source_commit, LONGEST_WORD),
        "mergeStatus": of(&it.merge_status, LONGEST_WORD),
        "isFork": is_told.then(|| it.fork.is_some()),
    }))
}

fn of_comment(comment: &Comment) -> More {
    let change = match comment.change {
        CommentChange::Made => "made",
        CommentChange::Edited => "edited",
        CommentChange::Deleted => "deleted",
    };
    let content = comment.content.as_deref();
    let content = content.map(|content| content.chars().take(LONGEST_COMMENT).collect::<String>());
    vec![
        (
            "pullRequest",
            comment
                .pull_request
                .as_ref()
                .map(pull_request)
                .unwrap_or_default(),
        ),
        (
            "comment",
            without_nulls(json!({
                "id": comment.id,
                "author": comment.author.as_deref().map(plain),
                "content": content,
                "change": change,
            })),
        ),
    ]
}

fn of_repository(repository: Option<&Repository>) -> Value {
    let Some(repository) = repository else {
        return Value::Null;
    };
    let of = |text: &Option<String>| json!(text.as_deref().map(plain));
    without_nulls(json!({
        "id": of(&repository.id),
        "name": of(&repository.name),
        "projectId": of(&repository.project_id),
        "projectName": of(&repository.project_name),
    }))
}

/// The first characters of a text that are no more bytes than `longest`.
fn cut(text: &str, longest: usize) -> &str {
    &text[..text.floor_char_boundary(longest)]
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .collect(),
        ),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_its_bytes_and_never_within_a_character() {
        assert_eq!(cut("refs/heads/main", LONGEST_REF), "refs/heads/main");
        assert_eq!(cut(&"x".repeat(64), LONGEST_WORD), "x".repeat(64));
        assert_eq!(cut(&"x".repeat(65), LONGEST_WORD), "x".repeat(64));
        assert_eq!(cut(&"€".repeat(100), LONGEST_REF), "€".repeat(66));
        assert_eq!(cut(&"𝄞".repeat(100), LONGEST_REF), "𝄞".repeat(50));
    }

    #[test]
    fn the_largest_push_leaves_room_for_the_rest_of_its_event() {
        // Four bytes for a character; and one byte of which JSON makes six.
        for text in ["𝄞", "\u{1}"] {
            let text = text.repeat(1_000);
            let update = RefUpdate {
                name: text.clone(),
                old_object_id: Some(text.clone()),
                new_object_id: Some(text.clone()),
                forced: false,
            };
            let push = Push {
                pushed_by: Some(text),
                repository: None,
                ref_updates: vec![update; 2 * MOST],
                commits: None,
                push_id: Some(i64::MAX),
                default_branch: None,
            };
            let told: Map<String, Value> = of_push(&push)
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            assert_eq!(told["refUpdates"].as_array().map(Vec::len), Some(MOST));
            let size = Value::Object(told).to_string().len();
            assert!(size < 224 * 1_024, "{size} bytes");
        }
    }
}
