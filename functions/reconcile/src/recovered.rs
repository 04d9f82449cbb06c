//! What never reached us, as a delivery: the event that Azure DevOps would have sent, as far as it can be told from what there is.
//! Its id is made of what makes two of them the same, so that finding one twice keeps one.

use ado::{PullRequest, Push, PushedRef};
use domain::{EventType, stack::Reference};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Who made the event: not Azure DevOps' own publisher (`tfs`).
const PUBLISHER: &str = "stackhook";

/// Pushes of one ref, one after the other, none of which was seen: together they are one change.
#[derive(Clone, Debug)]
pub(crate) struct Missed<'a> {
    /// The newest of them.
    pub(crate) push: &'a Push,
    /// What it did to the ref.
    pub(crate) newest: &'a PushedRef,
    /// What the oldest did.
    pub(crate) oldest: &'a PushedRef,
    /// The numbers of all but the newest.
    pub(crate) older: Vec<i64>,
}

/// The body of a `git.push` for what was missed of a ref.
pub(crate) fn push(
    (project, repository): (&Reference, &Reference),
    missed: &Missed<'_>,
    now: Timestamp,
) -> Vec<u8> {
    let name = &missed.newest.name;
    let number = missed.push.id;
    let mut resource = json!({
        "refUpdates": [{ "name": name, "oldObjectId": missed.oldest.old, "newObjectId": missed.newest.new }],
        "repository": repository_of(project, repository),
        "pushId": number,
        "date": missed.push.date,
    });
    if let Some(by) = &missed.push.pushed_by {
        resource["pushedBy"] = json!({ "displayName": by });
    }
    let identity = format!("push\n{}\n{name}\n{number}", repository.id);
    event(
        &EventType::GitPush,
        &identity,
        missed.push.date,
        resource,
        now,
    )
}

/// The body of a `git.pullrequest.updated` for a pull request that is in another state than it was seen in, which was read
/// `since`: it may come to the same state more than once.
pub(crate) fn pull_request(
    (project, repository): (&Reference, &Reference),
    number: i64,
    it: &PullRequest,
    since: Option<Timestamp>,
    now: Timestamp,
) -> Vec<u8> {
    let commit = it.source_commit.as_deref().unwrap_or_default();
    let status = it.status.as_deref().unwrap_or_default();
    let target = it.target_ref.as_deref().unwrap_or_default();
    let since = since.map_or_else(String::new, |since| since.to_string());
    let identity = format!(
        "pull request\n{}\n{number}\n{commit}\n{status}\n{}\n{target}\n{since}",
        repository.id, it.is_draft
    );
    let mut resource = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            resource.insert(name.to_owned(), value);
        }
    };
    set("repository", repository_of(project, repository));
    set("pullRequestId", json!(number));
    set("status", json!(it.status));
    set("isDraft", json!(it.is_draft));
    set("title", json!(it.title));
    set("sourceRefName", json!(it.source_ref));
    set("targetRefName", json!(it.target_ref));
    set("supportsIterations", json!(it.supports_iterations));
    // Whose it is counts where Azure DevOps cannot be asked anew.
    if it.is_fork {
        set("forkSource", json!({}));
    }
    if let Some(commit) = &it.source_commit {
        set("lastMergeSourceCommit", json!({ "commitId": commit }));
    }
    event(
        &EventType::PullRequestUpdated,
        &identity,
        None,
        Value::Object(resource),
        now,
    )
}

fn repository_of(project: &Reference, repository: &Reference) -> Value {
    json!({ "id": repository.id, "name": repository.name, "project": project })
}

/// It is dated to when it happened, if that was today: else to the beginning of today. Its keys are made of the date, and so the
/// same change that is found twice in a day is kept once.
fn event(
    event_type: &EventType,
    identity: &str,
    happened: Option<Timestamp>,
    resource: Value,
    now: Timestamp,
) -> Vec<u8> {
    let day = store::keys::day_of(now);
    let midnight = day.to_datetime(jiff::civil::Time::midnight());
    let today = TimeZone::UTC.to_timestamp(midnight).unwrap_or(now);
    let created = happened.map_or(today, |happened| happened.clamp(today, now));
    json!({
        "id": guid_of(identity),
        "eventType": event_type,
        "publisherId": PUBLISHER,
        "resource": resource,
        "resourceVersion": "1.0",
        "createdDate": created,
    })
    .to_string()
    .into_bytes()
}

/// A GUID that is made of what it names (RFC 9562, version 8).
fn guid_of(identity: &str) -> uuid::Uuid {
    let digest = Sha256::digest(identity.as_bytes());
    let bytes: [u8; 16] = std::array::from_fn(|at| digest[at]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(id: char, name: &str) -> Reference {
        let id = format!("{}-0000-4000-8000-000000000000", String::from(id).repeat(8));
        Reference {
            id: id.parse().unwrap(),
            name: name.to_owned(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn pushed(id: i64, date: &str) -> Push {
        Push {
            id,
            date: Some(at(date)),
            pushed_by: Some("Asha Rao".to_owned()),
            ref_updates: vec![PushedRef {
                name: "refs/heads/main".to_owned(),
                old: Some("a".repeat(40)),
                new: Some("b".repeat(40)),
            }],
        }
    }

    #[test]
    fn what_is_found_reads_as_the_event_that_was_missed() {
        let (project, repository) = (reference('a', "Harbor"), reference('b', "platform"));
        let push_7 = pushed(7, "2026-11-25T08:00:00Z");
        let missed = Missed {
            push: &push_7,
            newest: &push_7.ref_updates[0],
            oldest: &push_7.ref_updates[0],
            older: Vec::new(),
        };
        let now = at("2026-11-25T09:00:00Z");
        let body = push((&project, &repository), &missed, now);
        let read = envelope::parse(&body).unwrap();
        assert_eq!(read.created_date, Some(at("2026-11-25T08:00:00Z")));
        let domain::Event::Push(it) = &read.event else {
            panic!("{read:?}");
        };
        assert_eq!((it.push_id, it.ref_updates.len()), (Some(7), 1));
        let named = it.repository.clone().unwrap();
        assert_eq!(named.id.as_deref(), Some(repository.id.as_str()));
        assert_eq!(named.project_name.as_deref(), Some("Harbor"));
        assert!(!read.is_test);
    }

    #[test]
    fn what_comes_from_a_fork_says_so() {
        let place = (&reference('a', "Harbor"), &reference('b', "platform"));
        for is_fork in [false, true] {
            let it = PullRequest {
                is_fork,
                ..PullRequest::default()
            };
            let body = pull_request(place, 3, &it, None, at("2026-11-25T09:00:00Z"));
            let read = envelope::parse(&body).unwrap();
            let domain::Event::PullRequest(_, read) = &read.event else {
                panic!("{read:?}");
            };
            assert_eq!(read.fork.is_some(), is_fork);
        }
    }

    #[test]
    fn the_same_change_found_twice_in_a_day_is_the_same_event_and_another_is_not() {
        let place = (&reference('a', "Harbor"), &reference('b', "platform"));
        let closed = PullRequest {
            status: Some("completed".to_owned()),
            ..PullRequest::default()
        };
        let seen = Some(at("2026-11-25T08:00:00Z"));
        let of = |it: &PullRequest, since, now: &str| {
            let read = envelope::parse(&pull_request(place, 3, it, since, at(now))).unwrap();
            (read.event_id, read.created_date)
        };
        let first = of(&closed, seen, "2026-11-25T09:00:00Z");
        assert_eq!(of(&closed, seen, "2026-11-25T23:00:00Z"), first);
        let active = PullRequest {
            status: Some("active".to_owned()),
            ..PullRequest::default()
        };
        assert_ne!(of(&active, seen, "2026-11-25T09:00:00Z").0, first.0);
        // Closed, opened again, which was seen, and closed once more.
        let later = Some(at("2026-11-25T10:00:00Z"));
        assert_ne!(of(&closed, later, "2026-11-25T11:00:00Z").0, first.0);
        // What happened days ago is dated to today: older dates are not trusted by the one who keeps it.
        let push_7 = pushed(7, "2026-11-20T08:00:00Z");
        let missed = Missed {
            push: &push_7,
            newest: &push_7.ref_updates[0],
            oldest: &push_7.ref_updates[0],
            older: Vec::new(),
        };
        let body = push(place, &missed, at("2026-11-25T09:00:00Z"));
        let read = envelope::parse(&body).unwrap();
        assert_eq!(read.created_date, Some(at("2026-11-25T00:00:00Z")));
    }
}
