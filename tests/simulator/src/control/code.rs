//! Control over code: projects, repositories, pushes, pull requests, comments.

use axum::http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

use super::{Answer, bad, body, no_such_call, refused};
use crate::developer::comments::{self, CommentPlace};
use crate::developer::push::{self, NewCommit, RefChange, RefKind};
use crate::developer::{Done, Scene, not_found, pull_requests};
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::state::World;
use crate::state::git::full_branch;
use crate::views;

/// The most repositories that one call makes.
const MOST_REPOSITORIES: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewProject {
    name: String,
    description: Option<String>,
    #[serde(default)]
    public: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewRepository {
    name: String,
    fork_of: Option<String>,
    default_branch: Option<String>,
}

/// Many repositories at once, each with one push of one file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewRepositories {
    count: usize,
    prefix: String,
}

/// One or many.
#[derive(Deserialize)]
struct HowMany {
    count: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RepositoryChange {
    name: Option<String>,
    disabled: Option<bool>,
    default_branch: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewPush {
    #[serde(alias = "ref")]
    branch: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, Option<String>>,
    message: Option<String>,
    author: Option<String>,
    from: Option<String>,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    commits: Vec<NewCommit>,
    /// Branches that the same push deletes.
    #[serde(default)]
    delete: Vec<String>,
    #[serde(default)]
    ref_updates: Vec<RefChange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewTag {
    name: String,
    commit: Option<String>,
    author: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewComment {
    content: String,
    thread: Option<u32>,
    author: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CommentChange {
    content: Option<String>,
}

pub(super) fn answer(
    world: &mut World,
    now: Timestamp,
    request: &ApiRequest,
    organization: &str,
    rest: &[&str],
) -> Answer {
    let mut scene = Scene::new(world, organization, now).map_err(refused)?;
    match (&request.method, rest) {
        (&Method::POST, []) => make_project(&mut scene, &body(request)?),
        (&Method::POST, [project, "repositories"]) => {
            let many: HowMany = body(request)?;
            if many.count.is_some() {
                make_repositories(&mut scene, project, &body(request)?)
            } else {
                make_repository(&mut scene, project, &body(request)?)
            }
        }
        (_, [project, "repositories", repository, rest @ ..]) => {
            let id = find_repository(&scene, project, repository)?;
            in_repository(&mut scene, request, id, rest)
        }
        _ => Err(no_such_call(request)),
    }
}

fn find_repository(scene: &Scene<'_>, project: &str, repository: &str) -> Result<Uuid, Reply> {
    let organization = scene.organization().map_err(refused)?;
    let project = organization
        .project(project)
        .ok_or_else(|| refused(not_found("project", project)))?;
    organization
        .find_repository(Some(project.id), repository)
        .map(|it| it.id)
        .ok_or_else(|| refused(not_found("repository", repository)))
}

fn make_project(scene: &mut Scene<'_>, new: &NewProject) -> Answer {
    let now = scene.now;
    let organization = scene.organization_mut().map_err(refused)?;
    if organization.project(&new.name).is_some() || new.name.is_empty() {
        return Err(bad("A project needs a name that no other has."));
    }
    let id = organization.add_project(&new.name, new.description.as_deref(), new.public, now);
    let made = organization.projects.iter().find(|it| it.id == id);
    Ok(Reply::json(
        201,
        json!(made.map(|it| views::project(organization, it))),
    ))
}

fn make_repository(scene: &mut Scene<'_>, project: &str, new: &NewRepository) -> Answer {
    let organization = scene.organization_mut().map_err(refused)?;
    let project = organization
        .project(project)
        .map(|it| it.id)
        .ok_or_else(|| refused(not_found("project", project)))?;
    if organization
        .find_repository(Some(project), &new.name)
        .is_some()
        || new.name.is_empty()
    {
        return Err(bad(
            "A repository needs a name that no other of the project has.",
        ));
    }
    let id = match &new.fork_of {
        Some(original) => {
            let original = organization
                .find_repository(Some(project), original)
                .map(|it| it.id)
                .ok_or_else(|| refused(not_found("repository", original)))?;
            let id = Uuid::new_v4();
            push::fork(organization, original, id, &new.name).map_err(refused)?;
            id
        }
        None => organization.add_repository(project, &new.name),
    };
    if let (Some(made), Some(branch)) = (organization.repository_mut(id), &new.default_branch) {
        made.default_branch = Some(full_branch(branch));
    }
    Ok(Reply::json(
        201,
        json!(
            organization
                .repository(id)
                .map(|it| views::repository(organization, it))
        ),
    ))
}

fn make_repositories(scene: &mut Scene<'_>, project: &str, new: &NewRepositories) -> Answer {
    if new.count > MOST_REPOSITORIES || new.prefix.is_empty() {
        return Err(bad(&format!(
            "Up to {MOST_REPOSITORIES} repositories are made at once, and need a prefix."
        )));
    }
    let by = scene.person(None).map_err(refused)?;
    let organization = scene.organization_mut().map_err(refused)?;
    let project = organization
        .project(project)
        .map(|it| it.id)
        .ok_or_else(|| refused(not_found("project", project)))?;
    let names: Vec<String> = (1..=new.count)
        .map(|number| format!("{}{number}", new.prefix))
        .collect();
    let taken = |name: &String| organization.find_repository(Some(project), name).is_some();
    if let Some(taken) = names.iter().find(|name| taken(name)) {
        return Err(bad(&format!("There is a repository {taken} already.")));
    }
    let (mut repositories, mut events) = (Vec::new(), Vec::new());
    for name in names {
        let organization = scene.organization_mut().map_err(refused)?;
        let id = organization.add_repository(project, &name);
        let readme = ("README.md".to_owned(), Some(format!("# {name}\n")));
        let begin = RefChange {
            name: "main".to_owned(),
            kind: Some(RefKind::Create),
            from: None,
            commits: vec![NewCommit {
                files: BTreeMap::from([readme]),
                message: Some("Begin".to_owned()),
                author: None,
            }],
        };
        let done = push::push(scene, id, &by, &[begin]).map_err(refused)?;
        repositories
            .push(json!({ "id": id, "name": name, "pushId": done.result["push"]["pushId"] }));
        events.extend(done.events);
    }
    let result = json!({ "repositories": repositories });
    Ok(made(&Done { result, events }))
}

fn in_repository(scene: &mut Scene<'_>, request: &ApiRequest, id: Uuid, rest: &[&str]) -> Answer {
    match (&request.method, rest) {
        (&Method::PATCH, []) => change_repository(scene, id, body(request)?),
        (&Method::DELETE, []) => {
            let organization = scene.organization_mut().map_err(refused)?;
            organization.repositories.retain(|it| it.id != id);
            Ok(Reply::empty(204))
        }
        (&Method::POST, ["pushes"]) => make_push(scene, id, body(request)?),
        (&Method::POST, ["tags"]) => make_tag(scene, id, body(request)?),
        // A branch may have slashes in it, encoded or not, and its case counts.
        (&Method::DELETE, ["branches", _, ..]) => {
            delete_branch(scene, id, &request.cased_rest("branches"))
        }
        (&Method::POST, ["pullrequests"]) => {
            let done = pull_requests::create(scene, id, &body(request)?).map_err(refused)?;
            Ok(made(&done))
        }
        (_, ["pullrequests", number, rest @ ..]) => {
            let number = number
                .parse()
                .map_err(|_error| bad("A pull request has a number."))?;
            let known = scene.organization().map_err(refused)?.pull_request(number);
            known
                .filter(|it| it.repository == id)
                .ok_or_else(|| refused(not_found("pull request", &number.to_string())))?;
            in_pull_request(scene, request, number, rest)
        }
        _ => Err(no_such_call(request)),
    }
}

fn made(done: &Done) -> Reply {
    Reply::json(201, json!(done))
}

fn change_repository(scene: &mut Scene<'_>, id: Uuid, change: RepositoryChange) -> Answer {
    let organization = scene.organization_mut().map_err(refused)?;
    if let Some(repository) = organization.repository_mut(id) {
        if let Some(name) = change.name {
            repository.name = name;
        }
        if let Some(disabled) = change.disabled {
            repository.disabled = disabled;
        }
        if let Some(branch) = change.default_branch {
            repository.default_branch = Some(full_branch(&branch));
        }
    }
    Ok(Reply::ok(json!(
        organization
            .repository(id)
            .map(|it| views::repository(organization, it))
    )))
}

fn make_push(scene: &mut Scene<'_>, id: Uuid, new: NewPush) -> Answer {
    let by = scene.person(new.author.as_deref()).map_err(refused)?;
    let mut changes = new.ref_updates;
    let mut commits = new.commits;
    if !new.files.is_empty() {
        commits.push(NewCommit {
            files: new.files,
            message: new.message,
            author: None,
        });
    }
    match new.branch {
        Some(name) => changes.push(RefChange {
            name,
            kind: new.force.then_some(RefKind::Force),
            from: new.from,
            commits,
        }),
        None if changes.is_empty() && new.delete.is_empty() => {
            return Err(bad("A push needs a branch, refUpdates, or delete."));
        }
        None if !commits.is_empty() => return Err(bad("Files need a branch to go to.")),
        None => {}
    }
    changes.extend(new.delete.into_iter().map(deletion));
    push::push(scene, id, &by, &changes)
        .map_err(refused)
        .map(|done| made(&done))
}

fn deletion(name: String) -> RefChange {
    RefChange {
        name,
        kind: Some(RefKind::Delete),
        from: None,
        commits: Vec::new(),
    }
}

fn delete_branch(scene: &mut Scene<'_>, id: Uuid, name: &str) -> Answer {
    let by = scene.person(None).map_err(refused)?;
    let done = push::push(scene, id, &by, &[deletion(name.to_owned())]).map_err(refused)?;
    Ok(Reply::ok(json!(done)))
}

fn make_tag(scene: &mut Scene<'_>, id: Uuid, new: NewTag) -> Answer {
    let by = scene.person(new.author.as_deref()).map_err(refused)?;
    let change = RefChange {
        name: new.name,
        kind: Some(RefKind::Tag),
        from: new.commit,
        commits: Vec::new(),
    };
    push::push(scene, id, &by, &[change])
        .map_err(refused)
        .map(|done| made(&done))
}

fn in_pull_request(scene: &mut Scene<'_>, request: &ApiRequest, id: u32, rest: &[&str]) -> Answer {
    match (&request.method, rest) {
        (&Method::PATCH, []) => {
            let done = pull_requests::change(scene, id, &body(request)?).map_err(refused)?;
            Ok(Reply::ok(json!(done)))
        }
        (&Method::POST, ["comments"]) => {
            let new: NewComment = body(request)?;
            let by = scene.person(new.author.as_deref()).map_err(refused)?;
            let (_, done) = comments::add(scene, id, new.thread, &by, &new.content, "active")
                .map_err(refused)?;
            Ok(made(&done))
        }
        (&Method::PATCH, ["comments", place]) => {
            let change: CommentChange = body(request)?;
            let content = change
                .content
                .ok_or_else(|| bad("A comment needs content."))?;
            let done =
                comments::edit(scene, comment_place(id, place)?, &content).map_err(refused)?;
            Ok(Reply::ok(json!(done)))
        }
        (&Method::DELETE, ["comments", place]) => {
            let done = comments::delete(scene, comment_place(id, place)?).map_err(refused)?;
            Ok(Reply::ok(json!(done)))
        }
        _ => Err(no_such_call(request)),
    }
}

/// `{thread}` for its first comment, or `{thread}.{comment}`.
fn comment_place(pull_request: u32, text: &str) -> Result<CommentPlace, Reply> {
    let (thread, comment) = text.split_once('.').unwrap_or((text, "1"));
    let number = |text: &str| {
        text.parse()
            .map_err(|_error| bad("A comment goes by its thread's number, or by thread.comment."))
    };
    Ok(CommentPlace {
        pull_request,
        thread: number(thread)?,
        comment: number(comment)?,
    })
}
