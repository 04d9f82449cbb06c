//! Statuses on commits and pull requests: added, never changed; the latest of a genre and name counts (facts 6.1, 6.2).

use axum::http::Method;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Answer, Call, commits, git, number};
use crate::assumptions::Assumption;
use crate::reply::Reply;
use crate::state::pull_requests::Status;
use crate::state::{Organization, World, take};
use crate::views;

const STATES: [&str; 6] = [
    "notSet",
    "pending",
    "succeeded",
    "failed",
    "error",
    "notApplicable",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewStatus {
    state: Option<String>,
    description: Option<String>,
    target_url: Option<String>,
    context: Option<Context>,
    iteration_id: Option<u32>,
}

#[derive(Deserialize)]
struct Context {
    name: Option<String>,
    genre: Option<String>,
}

/// `commits/{sha}/statuses`.
pub(crate) fn of_commit(
    world: &mut World,
    call: &Call<'_>,
    repository: Uuid,
    commit: &str,
) -> Answer {
    {
        let organization = call.organization(world)?;
        let found = organization
            .repository(repository)
            .ok_or_else(|| git::missing(""))?;
        commits::find(found, commit)?;
    }
    match call.request.method {
        Method::GET => {
            let organization = call.organization(world)?;
            let found = organization
                .repository(repository)
                .ok_or_else(|| git::missing(""))?;
            let url = views::commit_url(organization, found, commit);
            let all = found
                .statuses
                .iter()
                .filter(|(of, _)| of == commit)
                .map(|(_, status)| status);
            Ok(list(
                organization,
                &url,
                all,
                call.request.is_true("latestOnly"),
            ))
        }
        Method::POST => {
            let status = read(world, call)?;
            let organization = call.organization_mut(world)?;
            if let Some(repository) = organization.repository_mut(repository) {
                repository
                    .statuses
                    .push((commit.to_owned(), status.clone()));
            }
            let found = organization
                .repository(repository)
                .ok_or_else(|| git::missing(""))?;
            let url = views::commit_url(organization, found, commit);
            Ok(Reply::json(201, views::status(organization, &url, &status)))
        }
        _ => Err(call.no_such_route()),
    }
}

/// `pullRequests/{n}/statuses`, and the same of one iteration.
pub(crate) fn of_pull_request(
    world: &mut World,
    call: &Call<'_>,
    id: u32,
    iteration: Option<&str>,
) -> Answer {
    let iteration = iteration.map(number).transpose()?;
    let url = url(call.organization(world)?, id)?;
    match call.request.method {
        Method::GET => {
            let organization = call.organization(world)?;
            let all = organization
                .pull_request(id)
                .into_iter()
                .flat_map(|it| &it.statuses);
            let all =
                all.filter(|it| iteration.is_none_or(|iteration| it.iteration == Some(iteration)));
            Ok(list(organization, &url, all, false))
        }
        Method::POST => {
            let mut status = read(world, call)?;
            status.iteration = iteration.or(status.iteration);
            check_iteration(world, call, id, status.iteration)?;
            let organization = call.organization_mut(world)?;
            if let Some(pull_request) = organization.pull_request_mut(id) {
                pull_request.statuses.push(status.clone());
            }
            Ok(Reply::ok(views::status(organization, &url, &status)))
        }
        _ => Err(call.no_such_route()),
    }
}

fn url(organization: &Organization, id: u32) -> Result<String, Reply> {
    organization
        .pull_request(id)
        .and_then(|it| organization.repository(it.repository))
        .map(|it| views::pull_request_url(organization, it, id))
        .ok_or_else(|| git::missing(&id.to_string()))
}

fn list<'a>(
    organization: &Organization,
    of: &str,
    all: impl Iterator<Item = &'a Status>,
    latest_only: bool,
) -> Reply {
    let mut shown: Vec<&Status> = Vec::new();
    for status in all {
        if latest_only {
            shown.retain(|it| (&it.name, &it.genre) != (&status.name, &status.genre));
        }
        shown.push(status);
    }
    let shown: Vec<Value> = shown
        .into_iter()
        .map(|it| views::status(organization, of, it))
        .collect();
    Reply::ok(views::list(shown))
}

fn refused(message: &str) -> Reply {
    Reply::error(400, "InvalidArgumentValueException", message)
}

fn read(world: &mut World, call: &Call<'_>) -> Result<Status, Reply> {
    let by = call.caller.needs_code_write()?.id;
    let new: NewStatus = call
        .request
        .json()
        .map_err(|error| refused(&format!("The body cannot be read: {error}")))?;
    let state = new.state.unwrap_or_else(|| "notSet".to_owned());
    let state = STATES
        .iter()
        .find(|it| it.eq_ignore_ascii_case(&state))
        .ok_or_else(|| refused(&format!("A status cannot be \"{state}\".")))?;
    let context = new
        .context
        .ok_or_else(|| refused("Value cannot be null. Parameter name: status.Context"))?;
    let name = context.name.filter(|it| !it.is_empty()).ok_or_else(|| {
        refused("Value cannot be null or empty. Parameter name: status.Context.Name")
    })?;
    let now = call.now;
    let organization = call.organization_mut(world)?;
    Ok(Status {
        id: take(&mut organization.counters.status),
        state: (*state).to_owned(),
        description: new.description,
        target_url: new.target_url,
        name,
        genre: context.genre,
        iteration: new.iteration_id,
        by,
        created: now,
    })
}

fn check_iteration(
    world: &World,
    call: &Call<'_>,
    id: u32,
    iteration: Option<u32>,
) -> Result<(), Reply> {
    let organization = call.organization(world)?;
    let found = organization
        .pull_request(id)
        .ok_or_else(|| git::missing(&id.to_string()))?;
    match iteration {
        Some(_) if !found.supports_iterations => Err(refused(&format!(
            "Pull request {id} does not support iterations."
        ))),
        Some(iteration) if found.iteration(iteration).is_none() => Err(refused(&format!(
            "Pull request {id} has no iteration {iteration}."
        ))),
        None if world.assumptions.hold(Assumption::PolicyNeedsIteration) => Err(Reply::error(
            403,
            "GitPullRequestStatusRejectedByPolicyException",
            "Policy configuration requires status to be posted on iteration",
        )),
        _ => Ok(()),
    }
}
