//! Pushes of a repository, newest first.

use std::sync::Arc;

use serde_json::{Value, json};

use super::commits::{commit_list, first_number};
use super::{Answer, Call, USUAL_PAGE, number, page};
use crate::reply::Reply;
use crate::state::Organization;
use crate::state::git::{Commit, Push, Repository, full_branch};
use crate::views;

pub(super) fn answer(
    organization: &Organization,
    repository: &Repository,
    call: &Call<'_>,
    rest: &[&str],
) -> Answer {
    match rest {
        [] => list_pushes(organization, repository, call),
        [id] => {
            let push = find_push(repository, id)?;
            let limit = call.request.number("includeCommits")?.unwrap_or(USUAL_PAGE);
            let commits: Vec<Value> = page(commits_of(repository, push), 0, limit)
                .iter()
                .map(|it| views::commit(organization, repository, it))
                .collect();
            let more = json!({ "commits": commits, "refUpdates": ref_updates(repository, push) });
            Ok(Reply::ok(views::extended(
                views::push(organization, repository, push),
                more,
            )))
        }
        [id, "commits"] => {
            let found = commits_of(repository, find_push(repository, id)?);
            let top = first_number(call, &["$top", "top"])?.unwrap_or(USUAL_PAGE);
            let skip = first_number(call, &["$skip", "skip"])?.unwrap_or(0);
            Ok(commit_list(
                organization,
                repository,
                page(found, skip, top),
            ))
        }
        _ => Err(call.no_such_route()),
    }
}

/// A push by its number.
pub(super) fn find_push<'a>(repository: &'a Repository, id: &str) -> Result<&'a Push, Reply> {
    repository.push(number(id)?).ok_or_else(|| {
        let message = format!("TF401187: The push {id} does not exist in the repository.");
        Reply::error(404, "GitPushNotFoundException", &message)
    })
}

fn ref_updates(repository: &Repository, push: &Push) -> Vec<Value> {
    push.updates
        .iter()
        .map(|it| {
            json!({
                "repositoryId": repository.id,
                "name": it.name,
                "oldObjectId": it.old,
                "newObjectId": it.new,
            })
        })
        .collect()
}

fn list_pushes(organization: &Organization, repository: &Repository, call: &Call<'_>) -> Answer {
    let request = call.request;
    let reference = request.query("searchCriteria.refName").map(full_branch);
    let pusher = request.query("searchCriteria.pusherId");
    let with_updates = request.is_true("searchCriteria.includeRefUpdates");
    // No more is looked at than is shown, and left out before that.
    let found = repository
        .pushes
        .iter()
        .rev()
        .filter(|push| {
            reference
                .as_ref()
                .is_none_or(|name| push.updates.iter().any(|it| it.name == *name))
        })
        .filter(|push| pusher.is_none_or(|it| it.eq_ignore_ascii_case(&push.by.to_string())));
    let (top, skip) = (
        request.number("$top")?.unwrap_or(USUAL_PAGE),
        request.number("$skip")?.unwrap_or(0),
    );
    let shown = found
        .skip(skip)
        .take(top)
        .map(|push| {
            let view = views::push(organization, repository, push);
            if with_updates {
                views::extended(view, json!({ "refUpdates": ref_updates(repository, push) }))
            } else {
                view
            }
        })
        .collect();
    Ok(Reply::ok(views::list(shown)))
}

/// The commits a push brought, newest first.
pub(super) fn commits_of(repository: &Repository, push: &Push) -> Vec<Arc<Commit>> {
    push.commits
        .iter()
        .filter_map(|id| repository.commit(id).cloned())
        .collect()
}
