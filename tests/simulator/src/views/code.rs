//! Commits, pushes and statuses.

use serde_json::{Map, Value, json};

use super::{
    extended, identity_by_id, merged_repository, repository_url, short_repository_url,
    without_nulls,
};
use crate::clock::{seconds, stamp};
use crate::state::Organization;
use crate::state::git::{Commit, Push, Repository};
use crate::state::pull_requests::Status;

pub(crate) fn commit_url(organization: &Organization, repository: &Repository, id: &str) -> String {
    format!("{}/commits/{id}", repository_url(organization, repository))
}

/// A commit in a push event: its URL has no project.
pub(crate) fn pushed_commit(
    organization: &Organization,
    repository: &Repository,
    commit: &Commit,
) -> Value {
    let url = format!(
        "{}/commits/{}",
        short_repository_url(organization, repository),
        commit.id
    );
    signed(commit, &commit.comment, url)
}

/// A commit with its signatures and the first line of its comment.
pub(crate) fn commit(
    organization: &Organization,
    repository: &Repository,
    commit: &Commit,
) -> Value {
    let first = commit.comment.lines().next().unwrap_or_default();
    let view = signed(
        commit,
        first,
        commit_url(organization, repository, &commit.id),
    );
    if first == commit.comment {
        view
    } else {
        extended(view, json!({ "commentTruncated": true }))
    }
}

fn signed(commit: &Commit, comment: &str, url: String) -> Value {
    let signature = json!({
        "name": commit.author.name,
        "email": commit.author.email,
        "date": seconds(commit.author.date),
    });
    json!({ "commitId": commit.id, "author": signature, "committer": signature, "comment": comment, "url": url })
}

/// A commit by its name alone.
pub(super) fn bare_commit(organization: &Organization, repository: &Repository, id: &str) -> Value {
    json!({ "commitId": id, "url": commit_url(organization, repository, id) })
}

/// A push as the API lists it, without commits and ref updates.
pub(crate) fn push(organization: &Organization, repository: &Repository, push: &Push) -> Value {
    json!({
        "repository": merged_repository(organization, repository),
        "pushedBy": identity_by_id(organization, push.by),
        "pushId": push.id,
        "date": stamp(push.date),
        "url": format!("{}/pushes/{}", repository_url(organization, repository), push.id),
    })
}

/// A status of a commit or a pull request.
pub(crate) fn status(organization: &Organization, of: &str, it: &Status) -> Value {
    let mut context = Map::new();
    context.insert("name".to_owned(), json!(it.name));
    if let Some(genre) = &it.genre {
        context.insert("genre".to_owned(), json!(genre));
    }
    without_nulls(json!({
        "id": it.id,
        "state": it.state,
        "description": it.description,
        "targetUrl": it.target_url,
        "context": context,
        "iterationId": it.iteration,
        "creationDate": stamp(it.created),
        "updatedDate": stamp(it.created),
        "createdBy": identity_by_id(organization, it.by),
        "_links": { "self": { "href": format!("{of}/statuses/{}", it.id) } },
    }))
}
