//! Repositories, and the way to what is in them. Refs and branches are here too.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Call, commits, core, diffs, items, pull_requests, pushes, statuses};
use crate::assumptions::Assumption;
use crate::reply::Reply;
use crate::state::git::{Repository, full_branch, short};
use crate::state::{Organization, World};
use crate::views;

/// More refs than this are never given at once (facts 6.1).
const LARGEST_PAGE: usize = 1000;

pub(crate) fn answer(
    world: &mut World,
    call: &Call<'_>,
    project: Option<&str>,
    resource: &[&str],
) -> Answer {
    call.caller.needs_code()?;
    match resource {
        ["repositories"] => list(world, call, project),
        ["repositories", repository, rest @ ..] => {
            let id = find(world, call, project, repository, rest.is_empty())?;
            in_repository(world, call, id, rest)
        }
        ["pullrequests", rest @ ..] => {
            pull_requests::without_repository(world, call, project, rest)
        }
        _ => Err(call.no_such_route()),
    }
}

fn in_repository(world: &mut World, call: &Call<'_>, id: Uuid, rest: &[&str]) -> Answer {
    match rest {
        ["pullrequests", rest @ ..] => return pull_requests::answer(world, call, id, rest),
        ["commits", commit, "statuses"] => return statuses::of_commit(world, call, id, commit),
        _ => {}
    }
    let organization = call.organization(world)?;
    let repository = organization
        .repository(id)
        .ok_or_else(|| missing(&id.to_string()))?;
    match rest {
        [] => Ok(Reply::ok(views::repository(organization, repository))),
        ["refs"] => refs(organization, repository, call),
        ["stats", "branches"] => branch_stats(organization, repository, call),
        ["items"] => items::answer(organization, repository, call),
        ["diffs", "commits"] => diffs::diff(organization, repository, call, &world.assumptions),
        ["commits", rest @ ..] => {
            commits::answer(organization, repository, call, rest, &world.assumptions)
        }
        ["pushes", rest @ ..] => pushes::answer(organization, repository, call, rest),
        _ => Err(call.no_such_route()),
    }
}

/// All repositories of a project or of the organization: no paging, disabled ones included (facts 6.1).
fn list(world: &World, call: &Call<'_>, project: Option<&str>) -> Answer {
    let organization = call.organization(world)?;
    let project = match project {
        Some(text) => Some(core::visible_project(organization, &call.caller, text)?.id),
        None => None,
    };
    let person = call.caller.person()?;
    if !person.rights.reads_code {
        return Err(hidden(world, "of the project"));
    }
    let found = organization
        .repositories
        .iter()
        .filter(|it| {
            project.is_none_or(|project| it.project == project) && person.rights.sees_projects
        })
        .map(|it| views::repository(organization, it))
        .collect();
    Ok(Reply::ok(views::list(found)))
}

/// A repository by name or id. Disabled ones can be looked at, but nothing in them read.
fn find(
    world: &World,
    call: &Call<'_>,
    project: Option<&str>,
    text: &str,
    itself: bool,
) -> Result<Uuid, Reply> {
    let organization = call.organization(world)?;
    let project = match project {
        Some(project) => Some(core::visible_project(organization, &call.caller, project)?.id),
        None => None,
    };
    let rights = call.caller.person()?.rights;
    if !rights.reads_code || !rights.sees_projects {
        return Err(hidden(world, text));
    }
    organization
        .find_repository(project, text)
        .filter(|it| itself || !it.disabled)
        .map(|it| it.id)
        .ok_or_else(|| missing(text))
}

pub(crate) fn missing(name: &str) -> Reply {
    Reply::error(404, "GitRepositoryNotFoundException", &not_there(name))
}

fn hidden(world: &World, name: &str) -> Reply {
    let status = if world.assumptions.hold(Assumption::HiddenRepositoriesAre404) {
        404
    } else {
        403
    };
    Reply::error(status, "GitRepositoryNotFoundException", &not_there(name))
}

fn not_there(name: &str) -> String {
    format!(
        "TF401019: The Git repository with name or identifier {name} does not exist or you do not have permissions for the operation you are attempting."
    )
}

fn refs(organization: &Organization, repository: &Repository, call: &Call<'_>) -> Answer {
    let request = call.request;
    // "heads/feature" and "refs/heads/feature" both begin with it; nothing is said about what follows.
    let prefix = request.query("filter").unwrap_or_default();
    let prefix = format!("refs/{}", prefix.strip_prefix("refs/").unwrap_or(prefix));
    let part = request
        .query("filterContains")
        .unwrap_or_default()
        .to_lowercase();
    let after = request
        .query("continuationToken")
        .map(decode_token)
        .transpose()?;
    let top = request
        .number("$top")?
        .unwrap_or(LARGEST_PAGE)
        .min(LARGEST_PAGE);
    let found: Vec<&String> = repository
        .refs
        .keys()
        .filter(|name| name.starts_with(&prefix) && name.to_lowercase().contains(&part))
        .filter(|name| after.as_ref().is_none_or(|after| *name > after))
        .collect();
    let next = (found.len() > top && top > 0).then(|| URL_SAFE_NO_PAD.encode(found[top - 1]));
    let shown = super::page(found, 0, top)
        .into_iter()
        .map(|name| reference(organization, repository, name))
        .collect();
    let reply = Reply::ok(views::list(shown));
    Ok(match next {
        Some(token) => reply.with("X-MS-ContinuationToken", token),
        None => reply,
    })
}

fn decode_token(token: &str) -> Result<String, Reply> {
    URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|it| String::from_utf8(it).ok())
        .filter(|it| it.starts_with("refs/"))
        .ok_or_else(|| {
            Reply::error(
                400,
                "InvalidArgumentValueException",
                "The continuation token is not valid.",
            )
        })
}

fn reference(organization: &Organization, repository: &Repository, name: &str) -> Value {
    let creator = repository
        .pushes
        .iter()
        .find(|push| push.updates.iter().any(|update| update.name == name))
        .map_or(organization.people[0].id, |push| push.by);
    json!({
        "name": name,
        "objectId": repository.refs.get(name),
        "creator": views::identity_by_id(organization, creator),
        "url": format!(
            "{}/refs?filter={}",
            views::repository_url(organization, repository),
            views::encode(name.trim_start_matches("refs/"))
        ),
    })
}

/// Every branch beside the base branch, which is the default branch; or the one that `name` says.
fn branch_stats(organization: &Organization, repository: &Repository, call: &Call<'_>) -> Answer {
    let base_name = call
        .request
        .query("baseVersionDescriptor.version")
        .map(full_branch)
        .or_else(|| repository.default_branch.clone())
        .unwrap_or_default();
    let base = repository.refs.get(&base_name).cloned().unwrap_or_default();
    let stats = |name: &String, head: &String| {
        let commit = repository.commit(head)?;
        let (ahead, behind) = repository.ahead_behind(&base, head);
        Some(json!({
            "commit": views::commit(organization, repository, commit),
            "name": short(name),
            "aheadCount": ahead,
            "behindCount": behind,
            "isBaseVersion": *name == base_name,
        }))
    };
    if let Some(name) = call.request.query("name").map(full_branch) {
        let head = repository
            .refs
            .get(&name)
            .ok_or_else(|| commits::unresolved("Branch", &name))?;
        return Ok(stats(&name, head).map_or_else(|| Reply::empty(404), Reply::ok));
    }
    let all = repository
        .refs
        .iter()
        .filter(|(name, _)| name.starts_with("refs/heads/"))
        .filter_map(|(name, head)| stats(name, head))
        .collect();
    Ok(Reply::ok(views::list(all)))
}
