//! What the Test button sends: not an event of the organization but a sample with constants that are the same everywhere (facts 3.4).
//! The constants are the service's; titles, comments and object names are our own wording.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::{Uuid, uuid};

use super::{Event, EventKind, Message};
use crate::ids::{guid_for, object_name};

const PUSH: Uuid = uuid!("03c164c2-8912-4d5e-8009-3707d5f83734");
const CREATED: Uuid = uuid!("2ab4e3d3-b7a6-425e-92b1-5a9982c1269e");
const MERGED: Uuid = uuid!("6872ee8c-b333-4eff-bfb9-0d5274943566");
/// Shared by `updated` and the comment event: an id alone is no key.
const UPDATED: Uuid = uuid!("af07be1b-f3ad-44c8-a7f1-c4835f2df06b");
const PROJECT: Uuid = uuid!("be9b3917-87e6-42a4-a549-2bc06a7a878f");
const REPOSITORY: Uuid = uuid!("4bc14d40-c903-45e2-872e-0462c7748079");
const PUSHED_REPOSITORY: Uuid = uuid!("278d5cd2-584d-4b63-824a-2ba458937249");
const HOST: &str = "https://fabrikam.visualstudio.com/DefaultCollection";
const PUSH_HOST: &str = "https://fabrikam-fiber-inc.visualstudio.com/DefaultCollection";
const AUTHOR: &str = "Jamal Hartnett";

/// The containers of a sample: without base URLs, which real ones have.
pub(crate) fn containers() -> Value {
    json!({
        "collection": { "id": "c12d0eb8-e382-443b-9f9c-c52cba5014c2" },
        "account": { "id": "f844ec47-a9db-4511-8281-8b63f4eaf94e" },
        "project": { "id": PROJECT },
    })
}

/// The sample of an event. Only its `createdDate` is today's.
pub(crate) fn event(kind: EventKind, now: Timestamp) -> Event {
    let (id, sentence, resource) = match kind {
        EventKind::Push => (
            PUSH,
            format!("{AUTHOR} pushed to a sample repository"),
            push(),
        ),
        EventKind::PullRequestCreated => (
            CREATED,
            format!("{AUTHOR} opened a sample pull request"),
            pull_request("active"),
        ),
        EventKind::PullRequestMerged => (
            MERGED,
            format!("{AUTHOR} had a sample merge attempted"),
            pull_request("completed"),
        ),
        EventKind::PullRequestUpdated => (
            UPDATED,
            format!("{AUTHOR} completed a sample pull request"),
            pull_request("completed"),
        ),
        EventKind::Comment => (
            UPDATED,
            format!("{AUTHOR} edited a sample comment"),
            json!({ "comment": comment(), "pullRequest": pull_request("active") }),
        ),
    };
    let message = Message::plain(&sentence);
    Event {
        id,
        kind,
        created: now,
        project: PROJECT,
        repository: REPOSITORY,
        refs: Vec::new(),
        actor: Uuid::nil(),
        creator: Uuid::nil(),
        reviewers: Vec::new(),
        merge_result: None,
        notification_type: None,
        detailed: message.with_paragraph("This is a sample that shows what an event looks like."),
        message,
        minimal: minimal(kind, &resource),
        resource,
    }
}

fn minimal(kind: EventKind, resource: &Value) -> Value {
    match kind {
        EventKind::Push => json!({ "pushId": resource["pushId"], "url": resource["url"] }),
        EventKind::Comment => json!({
            "comment": { "id": resource["comment"]["id"] },
            "pullRequest": { "pullRequestId": 1, "url": resource["pullRequest"]["url"] },
        }),
        _ => json!({ "pullRequestId": 1, "url": resource["url"] }),
    }
}

fn author() -> Value {
    let id = guid_for("sample/author");
    json!({
        "displayName": AUTHOR,
        "id": id,
        "uniqueName": "jamal.hartnett@fabrikam.example",
        "url": format!("https://fabrikam.vssps.visualstudio.com/_apis/Identities/{id}"),
        "imageUrl": format!("{HOST}/_api/_common/identityImage?id={id}"),
    })
}

fn repository(id: Uuid, name: &str, host: &str) -> Value {
    json!({
        "id": id,
        "name": name,
        "url": format!("{host}/_apis/git/repositories/{id}"),
        "project": {
            "id": PROJECT,
            "name": name,
            "url": format!("{host}/_apis/projects/{PROJECT}"),
            "state": "wellFormed",
            "visibility": "unchanged",
            "lastUpdateTime": "0001-01-01T00:00:00",
        },
        "defaultBranch": "refs/heads/main",
        "remoteUrl": format!("{host}/_git/{name}"),
    })
}

fn commit(name: &str) -> Value {
    let id = object_name(name.as_bytes());
    json!({ "commitId": id, "url": format!("{HOST}/_apis/git/repositories/{REPOSITORY}/commits/{id}") })
}

fn push() -> Value {
    let (old, new) = (object_name(b"sample/old"), object_name(b"sample/new"));
    let by = json!({ "name": AUTHOR, "email": "jamal.hartnett@fabrikam.example", "date": "2015-03-02T10:20:00Z" });
    let url = format!("{PUSH_HOST}/_apis/git/repositories/{PUSHED_REPOSITORY}");
    json!({
        "commits": [{
            "commitId": new,
            "author": by,
            "committer": by,
            "comment": "A sample commit",
            "url": format!("{url}/commits/{new}"),
        }],
        "refUpdates": [{ "name": "refs/heads/main", "oldObjectId": old, "newObjectId": new }],
        "repository": repository(PUSHED_REPOSITORY, "Samples", PUSH_HOST),
        // Not a GUID, other than in every real push.
        "pushedBy": { "displayName": AUTHOR, "id": "00067FFED5C7AF52@Live.com", "uniqueName": "jamal.hartnett@fabrikam.example" },
        "pushId": 7,
        "date": "2015-03-02T10:20:30.1234567Z",
        "url": format!("{url}/pushes/7"),
    })
}

fn pull_request(status: &str) -> Value {
    let url = format!("{HOST}/_apis/git/repositories/{REPOSITORY}/pullRequests/1");
    let closed = (status == "completed").then_some("2014-07-01T09:08:07.6543210Z");
    crate::views::without_nulls(json!({
        "repository": repository(REPOSITORY, "Sample", HOST),
        "pullRequestId": 1,
        "status": status,
        "createdBy": author(),
        "creationDate": "2014-06-30T09:08:07.6543210Z",
        "closedDate": closed,
        "title": "A sample pull request",
        "description": "What a description looks like.",
        "sourceRefName": "refs/heads/sample",
        "targetRefName": "refs/heads/main",
        "mergeStatus": "succeeded",
        "mergeId": guid_for("sample/merge"),
        "lastMergeSourceCommit": commit("sample/source"),
        "lastMergeTargetCommit": commit("sample/target"),
        "lastMergeCommit": commit("sample/merge"),
        "reviewers": [{
            "reviewerUrl": null,
            "vote": 0,
            "displayName": "[Sample]\\Reviewers",
            "id": guid_for("sample/team"),
            "uniqueName": "vstfs:///Classification/TeamProject/sample\\Reviewers",
            "isContainer": true,
        }],
        "commits": [commit("sample/source")],
        "url": url,
        "_links": {
            "web": { "href": format!("{HOST}/_git/Sample/pullrequest/1#view=discussion") },
            "statuses": { "href": format!("{url}/statuses") },
        },
    }))
}

fn comment() -> Value {
    let thread = format!("{HOST}/_apis/git/repositories/{REPOSITORY}/pullRequests/1/threads/5");
    json!({
        "id": 2,
        "parentCommentId": 1,
        "author": author(),
        "content": "A sample comment.",
        "publishedDate": "2014-06-30T10:00:00.1234567Z",
        "lastUpdatedDate": "2014-06-30T10:05:00.1234567Z",
        "lastContentUpdatedDate": "2014-06-30T10:05:00.1234567Z",
        "commentType": "text",
        "_links": {
            "self": { "href": format!("{thread}/comments/2") },
            "repository": { "href": format!("{HOST}/_apis/git/repositories/{REPOSITORY}") },
            "threads": { "href": thread },
        },
    })
}
