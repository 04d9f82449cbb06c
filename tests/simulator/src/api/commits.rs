//! Commits: one of them, and lists.

use std::sync::Arc;

use serde_json::{Value, json};

use super::diffs::{changes_of, tree_id};
use super::pushes::{commits_of, find_push};
use super::{Answer, Call, USUAL_PAGE, page};
use crate::assumptions::Assumptions;
use crate::reply::Reply;
use crate::state::Organization;
use crate::state::git::{Commit, Repository};
use crate::views;

pub(crate) fn answer(
    organization: &Organization,
    repository: &Repository,
    call: &Call<'_>,
    rest: &[&str],
    assumptions: &Assumptions,
) -> Answer {
    match rest {
        [] => list(organization, repository, call),
        [id] => Ok(Reply::ok(full(
            organization,
            repository,
            find(repository, id)?,
        ))),
        [id, "changes"] => changes_of(
            organization,
            repository,
            find(repository, id)?,
            call,
            assumptions,
        ),
        _ => Err(call.no_such_route()),
    }
}

/// A commit by its id; what is no commit here is a 404 with the service's type.
pub(crate) fn find<'a>(repository: &'a Repository, id: &str) -> Result<&'a Arc<Commit>, Reply> {
    repository.commit(id).ok_or_else(|| {
        let message = format!(
            "TF401175: The commit {id} does not exist in the repository, or you may not see it."
        );
        Reply::error(404, "GitCommitDoesNotExistException", &message)
    })
}

pub(crate) fn unresolved(kind: &str, version: &str) -> Reply {
    let message = format!(
        "TF401175: The version descriptor <{kind}: {version} > could not be resolved to a version in the repository."
    );
    Reply::error(404, "GitUnresolvableToCommitException", &message)
}

fn full(organization: &Organization, repository: &Repository, commit: &Commit) -> Value {
    let view = views::commit(organization, repository, commit);
    let push = repository.push_of(&commit.id).map(|push| {
        json!({
            "pushId": push.id,
            "date": crate::clock::stamp(push.date),
            "pushedBy": views::identity_by_id(organization, push.by),
        })
    });
    let mut view = views::extended(
        view,
        json!({
            "comment": commit.comment,
            "treeId": tree_id(&commit.tree, ""),
            "parents": commit.parents,
            "push": push,
            "remoteUrl": format!("{}/commit/{}", views::web_url(organization, repository), commit.id),
        }),
    );
    if let Value::Object(fields) = &mut view {
        // One commit is shown whole, other than in lists.
        fields.remove("commentTruncated");
    }
    views::without_nulls(view)
}

/// The commits of a push, or those that lead to a branch.
fn list(organization: &Organization, repository: &Repository, call: &Call<'_>) -> Answer {
    let request = call.request;
    let found: Vec<Arc<Commit>> = if let Some(push) = request.query("pushId") {
        commits_of(repository, find_push(repository, push)?)
    } else {
        let version = request
            .query("searchCriteria.itemVersion.version")
            .or(repository.default_branch.as_deref());
        let kind = request
            .query("searchCriteria.itemVersion.versionType")
            .unwrap_or("branch");
        match version {
            Some(text) => {
                let head = repository
                    .version(kind, text)
                    .ok_or_else(|| unresolved(kind, text))?;
                repository.history(&head.id).into_iter().cloned().collect()
            }
            None => Vec::new(),
        }
    };
    let top = first_number(call, &["searchCriteria.$top", "$top", "top"])?.unwrap_or(USUAL_PAGE);
    let skip = first_number(call, &["searchCriteria.$skip", "$skip", "skip"])?.unwrap_or(0);
    Ok(commit_list(
        organization,
        repository,
        page(found, skip, top),
    ))
}

/// The first of these parameters that is there: old and new API versions spell paging differently.
pub(super) fn first_number(call: &Call<'_>, names: &[&str]) -> Result<Option<usize>, Reply> {
    for name in names {
        if let Some(found) = call.request.number(name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

pub(crate) fn commit_list(
    organization: &Organization,
    repository: &Repository,
    commits: Vec<Arc<Commit>>,
) -> Reply {
    let shown = commits
        .iter()
        .map(|it| views::commit(organization, repository, it))
        .collect();
    Reply::ok(views::list(shown))
}
