//! Pull requests, their iterations and threads. They are opened and closed through control: Stackhook never does.

use axum::http::Method;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Answer, Call, commits, core, number, page, statuses};
use crate::developer::comments::{self, CommentPlace};
use crate::developer::{Refused, Scene};
use crate::reply::Reply;
use crate::state::git::full_branch;
use crate::state::pull_requests::PullRequest;
use crate::state::{Organization, World};
use crate::views;

/// The service's own page when nothing is said.
const USUAL_PAGE: usize = 101;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewThread {
    #[serde(default)]
    comments: Vec<NewComment>,
    status: Option<Value>,
}

#[derive(Deserialize)]
struct NewComment {
    content: Option<String>,
}

/// `pullrequests` without a repository: of a project or the whole organization.
pub(crate) fn without_repository(
    world: &World,
    call: &Call<'_>,
    project: Option<&str>,
    rest: &[&str],
) -> Answer {
    let organization = call.organization(world)?;
    let project = match project {
        Some(text) => Some(core::visible_project(organization, &call.caller, text)?.id),
        None => None,
    };
    let rights = call.caller.person()?.rights;
    let is_visible = |it: &PullRequest| {
        let repository = organization.repository(it.repository);
        let inside = |home: Uuid| project.is_none_or(|project| project == home);
        rights.reads_code && rights.sees_projects && repository.is_some_and(|it| inside(it.project))
    };
    match rest {
        [] => list(organization, call, is_visible),
        [id] => {
            let id = number(id)?;
            let found = organization
                .pull_request(id)
                .filter(|it| is_visible(it))
                .ok_or_else(|| missing(id))?;
            Ok(Reply::ok(views::pull_request(organization, found)))
        }
        _ => Err(call.no_such_route()),
    }
}

pub(crate) fn answer(
    world: &mut World,
    call: &Call<'_>,
    repository: Uuid,
    rest: &[&str],
) -> Answer {
    let [id, rest @ ..] = rest else {
        return list(call.organization(world)?, call, |it| {
            it.repository == repository
        });
    };
    let id = number(id)?;
    call.organization(world)?
        .pull_request(id)
        .filter(|it| it.repository == repository)
        .ok_or_else(|| missing(id))?;
    match rest {
        ["statuses"] => statuses::of_pull_request(world, call, id, None),
        ["iterations", iteration, "statuses"] => {
            statuses::of_pull_request(world, call, id, Some(iteration))
        }
        ["threads", rest @ ..] if !call.is_get() => write_thread(world, call, id, rest),
        _ => read(call.organization(world)?, call, id, rest),
    }
}

fn missing(id: u32) -> Reply {
    let message = format!("TF401180: The requested pull request was not found: {id}.");
    Reply::error(404, "GitPullRequestNotFoundException", &message)
}

fn list(
    organization: &Organization,
    call: &Call<'_>,
    is_meant: impl Fn(&PullRequest) -> bool,
) -> Answer {
    let request = call.request;
    let status = request
        .query("searchCriteria.status")
        .unwrap_or("active")
        .to_lowercase();
    let (source, target) = (
        request
            .query("searchCriteria.sourceRefName")
            .map(full_branch),
        request
            .query("searchCriteria.targetRefName")
            .map(full_branch),
    );
    let found: Vec<&PullRequest> = organization
        .pull_requests
        .iter()
        .rev()
        .filter(|it| is_meant(it) && (status == "all" || it.status.wire() == status))
        .filter(|it| source.as_ref().is_none_or(|name| *name == it.source))
        .filter(|it| target.as_ref().is_none_or(|name| *name == it.target))
        .collect();
    let (top, skip) = (
        request.number("$top")?.unwrap_or(USUAL_PAGE),
        request.number("$skip")?.unwrap_or(0),
    );
    let shown = page(found, skip, top)
        .into_iter()
        .map(|it| views::pull_request(organization, it))
        .collect();
    Ok(Reply::ok(views::list(shown)))
}

fn read(organization: &Organization, call: &Call<'_>, id: u32, rest: &[&str]) -> Answer {
    let it = organization.pull_request(id).ok_or_else(|| missing(id))?;
    let repository = organization
        .repository(it.repository)
        .ok_or_else(|| missing(id))?;
    let base = views::pull_request_url(organization, repository, id);
    match rest {
        [] => Ok(Reply::ok(views::pull_request(organization, it))),
        ["iterations"] => {
            let all = it
                .iterations
                .iter()
                .map(|one| views::iteration(organization, it, one))
                .collect();
            Ok(Reply::ok(views::list(all)))
        }
        ["iterations", number_of] => {
            let found = it
                .iteration(number(number_of)?)
                .ok_or_else(|| missing(id))?;
            Ok(Reply::ok(views::iteration(organization, it, found)))
        }
        ["commits"] => {
            let without = [it.merge.target.clone()];
            let all = repository.new_commits(&it.merge.source, &without);
            Ok(commits::commit_list(organization, repository, all))
        }
        ["threads"] => {
            let all = it
                .threads
                .iter()
                .map(|one| views::thread(organization, &base, one))
                .collect();
            Ok(Reply::ok(views::list(all)))
        }
        ["threads", thread] => {
            let found = it.thread(number(thread)?).ok_or_else(|| missing(id))?;
            Ok(Reply::ok(views::thread(organization, &base, found)))
        }
        _ => Err(call.no_such_route()),
    }
}

/// Threads and comments: a comment of ours is an event too, as with the service.
fn write_thread(world: &mut World, call: &Call<'_>, id: u32, rest: &[&str]) -> Answer {
    let by = call.caller.needs_code_write()?.clone();
    let mut scene = Scene::new(world, &call.organization, call.now).map_err(refused)?;
    match (&call.request.method, rest) {
        (&Method::POST, []) => {
            let new: NewThread = body(call)?;
            let status = new
                .status
                .as_ref()
                .and_then(Value::as_str)
                .unwrap_or("active")
                .to_owned();
            let mut thread = None;
            for comment in &new.comments {
                let content = comment.content.as_deref().unwrap_or_default();
                let (place, _) = comments::add(&mut scene, id, thread, &by, content, &status)
                    .map_err(refused)?;
                thread = Some(place.thread);
            }
            let thread = thread.ok_or_else(|| bad("A thread needs a comment."))?;
            shown(&scene, id, thread)
        }
        (&Method::POST, [thread, "comments"]) => {
            let new: NewComment = body(call)?;
            let content = new.content.as_deref().unwrap_or_default();
            let (_, done) = comments::add(
                &mut scene,
                id,
                Some(number(thread)?),
                &by,
                content,
                "active",
            )
            .map_err(refused)?;
            Ok(Reply::ok(done.result["comment"].clone()))
        }
        (&Method::PATCH, [thread, "comments", comment]) => {
            let new: NewComment = body(call)?;
            let place = CommentPlace {
                pull_request: id,
                thread: number(thread)?,
                comment: number(comment)?,
            };
            let content = new.content.unwrap_or_default();
            let done = comments::edit(&mut scene, place, &content).map_err(refused)?;
            Ok(Reply::ok(done.result["comment"].clone()))
        }
        _ => Err(call.no_such_route()),
    }
}

fn shown(scene: &Scene<'_>, id: u32, thread: u32) -> Answer {
    let organization = scene.organization().map_err(refused)?;
    let found = organization
        .pull_request(id)
        .and_then(|it| Some((organization.repository(it.repository)?, it.thread(thread)?)));
    let (repository, found) = found.ok_or_else(|| missing(id))?;
    let base = views::pull_request_url(organization, repository, id);
    Ok(Reply::ok(views::thread(organization, &base, found)))
}

fn body<T: serde::de::DeserializeOwned>(call: &Call<'_>) -> Result<T, Reply> {
    call.request
        .json()
        .map_err(|error| bad(&format!("The body cannot be read: {error}")))
}

fn bad(message: &str) -> Reply {
    Reply::error(400, "InvalidArgumentValueException", message)
}

fn refused(refused: Refused) -> Reply {
    match refused {
        Refused::NotFound(message) => Reply::error(
            404,
            "GitPullRequestCommentThreadNotFoundException",
            &message,
        ),
        Refused::Bad(message) => bad(&message),
    }
}
