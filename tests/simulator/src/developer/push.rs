//! Pushes: commits made, refs moved, the event published, and the pull requests that follow the refs brought up to date.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{Done, Refused, Scene, bad, not_found, pull_requests};
use crate::assumptions::Assumption;
use crate::clock::stamp;
use crate::events;
use crate::ids::ZERO;
use crate::ledger::PublishedEvent;
use crate::state::git::{
    self, Commit, Push, RefUpdate, Repository, Signature, full_branch, full_tag,
};
use crate::state::people::Person;
use crate::state::trees::Tree;
use crate::state::{Organization, take};

/// What happens to a ref.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RefKind {
    /// A new branch; with or without commits of its own.
    Create,
    /// New commits on a branch that exists.
    Update,
    /// History rewritten: the last commit is replaced, or whatever comes after `from`.
    Force,
    Delete,
    /// A tag on `from`, the default branch's head if it is not said.
    Tag,
}

/// One ref of a push.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RefChange {
    #[serde(rename = "ref")]
    pub(crate) name: String,
    /// Left out: created if it is not there, updated if it is.
    pub(crate) kind: Option<RefKind>,
    /// A branch, tag or commit to begin with.
    pub(crate) from: Option<String>,
    #[serde(default)]
    pub(crate) commits: Vec<NewCommit>,
}

/// A commit to make.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewCommit {
    /// Path to new content; null deletes the file.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, Option<String>>,
    pub(crate) message: Option<String>,
    pub(crate) author: Option<String>,
}

/// Pushes, as this person.
pub(crate) fn push(
    scene: &mut Scene<'_>,
    repository: Uuid,
    by: &Person,
    changes: &[RefChange],
) -> Result<Done, Refused> {
    if changes.is_empty() {
        return bad("A push moves at least one ref.");
    }
    let known: Vec<String> = scene
        .repository(repository)?
        .refs
        .values()
        .cloned()
        .collect();
    let updates = move_refs(scene, repository, by, changes)?;
    let commits = brought(scene.repository(repository)?, &updates, &known);
    record(scene, repository, by, updates, commits)
}

/// Makes the commits and moves the refs; a refused push leaves every ref where it was.
fn move_refs(
    scene: &mut Scene<'_>,
    id: Uuid,
    by: &Person,
    changes: &[RefChange],
) -> Result<Vec<RefUpdate>, Refused> {
    // Taken out meanwhile, since making commits asks the organization for people and numbers.
    let mut taken = {
        let place = repository_mut(scene, id)?;
        std::mem::replace(place, Repository::new(id, place.project, ""))
    };
    let before = taken.refs.clone();
    let moved: Result<Vec<RefUpdate>, Refused> = changes
        .iter()
        .map(|change| apply(scene, &mut taken, by, change))
        .collect();
    match &moved {
        Ok(updates) => adopt_default_branch(&mut taken, updates),
        Err(_) => taken.refs = before,
    }
    *repository_mut(scene, id)? = taken;
    moved
}

fn repository_mut<'a>(scene: &'a mut Scene<'_>, id: Uuid) -> Result<&'a mut Repository, Refused> {
    scene
        .organization_mut()?
        .repository_mut(id)
        .ok_or_else(|| not_found("repository", &id.to_string()))
}

/// Writes down a push that has been made to the refs, and publishes what follows from it.
pub(crate) fn record(
    scene: &mut Scene<'_>,
    repository: Uuid,
    by: &Person,
    updates: Vec<RefUpdate>,
    commits: Vec<String>,
) -> Result<Done, Refused> {
    let date = scene.now;
    let organization = scene.organization_mut()?;
    let push = Push {
        id: take(&mut organization.counters.push),
        by: by.id,
        date,
        updates,
        commits,
    };
    organization
        .repository_mut(repository)
        .ok_or_else(|| not_found("repository", &repository.to_string()))?
        .pushes
        .push(push.clone());
    let mut events = publish(scene, repository, &push)?;
    events.extend(follow(scene, repository, by, &push)?);
    let result = json!({
        "push": {
            "pushId": push.id,
            "date": stamp(push.date),
            "commits": push.commits,
            "refUpdates": push.updates.iter().map(|it| json!({
                "name": it.name,
                "oldObjectId": it.old,
                "newObjectId": it.new,
            })).collect::<Vec<_>>(),
        }
    });
    Ok(Done { result, events })
}

fn publish(
    scene: &mut Scene<'_>,
    repository: Uuid,
    push: &Push,
) -> Result<Vec<PublishedEvent>, Refused> {
    let together = scene
        .world
        .assumptions
        .hold(Assumption::MultiRefPushIsOneEvent);
    let size = if together {
        push.updates.len().max(1)
    } else {
        1
    };
    let mut published = Vec::new();
    for updates in push.updates.chunks(size) {
        let event = events::push::event(
            scene.organization()?,
            scene.repository(repository)?,
            push,
            updates,
            scene.created_date(),
            &scene.world.assumptions,
        );
        published.push(scene.publish(&event));
    }
    Ok(published)
}

/// Brings the pull requests up to date whose source branch was pushed to.
fn follow(
    scene: &mut Scene<'_>,
    repository: Uuid,
    by: &Person,
    push: &Push,
) -> Result<Vec<PublishedEvent>, Refused> {
    let mut published = Vec::new();
    for update in push.updates.iter().filter(|it| it.new != ZERO) {
        let fed: Vec<u32> = scene
            .organization()?
            .pull_requests
            .iter()
            .filter(|it| it.follows(repository, update))
            .map(|it| it.id)
            .collect();
        for pull_request in fed {
            published.extend(pull_requests::source_pushed(
                scene,
                pull_request,
                by,
                push.id,
                update.forced,
            )?);
        }
    }
    Ok(published)
}

fn apply(
    scene: &mut Scene<'_>,
    repository: &mut Repository,
    by: &Person,
    change: &RefChange,
) -> Result<RefUpdate, Refused> {
    let exists = |name: &str| repository.refs.contains_key(name);
    let kind = change.kind.unwrap_or_else(|| {
        if exists(&full_branch(&change.name)) {
            RefKind::Update
        } else {
            RefKind::Create
        }
    });
    let name = if kind == RefKind::Tag {
        full_tag(&change.name)
    } else {
        full_branch(&change.name)
    };
    match kind {
        RefKind::Create | RefKind::Tag if exists(&name) => {
            return bad(format!("{name} exists already."));
        }
        RefKind::Update | RefKind::Force | RefKind::Delete if !exists(&name) => {
            return Err(not_found("ref", &name));
        }
        _ => {}
    }
    let old = repository.refs.get(&name).cloned();
    if kind == RefKind::Delete {
        repository.refs.remove(&name);
        return Ok(ref_update(name, old, None, false));
    }
    let mut tip = start(repository, kind, change, &name)?;
    for new in &change.commits {
        tip = Some(make_commit(scene, repository, by, tip.as_ref(), new)?);
    }
    let Some(tip) = tip else {
        return bad("The repository is empty: a first push needs files.");
    };
    if old.as_deref() == Some(&tip.id) {
        return bad(format!("The push does not change {name}."));
    }
    repository.refs.insert(name.clone(), tip.id.clone());
    Ok(ref_update(
        name,
        old,
        Some(tip.id.clone()),
        kind == RefKind::Force,
    ))
}

fn ref_update(name: String, old: Option<String>, new: Option<String>, forced: bool) -> RefUpdate {
    RefUpdate {
        name,
        old: old.unwrap_or_else(|| ZERO.to_owned()),
        new: new.unwrap_or_else(|| ZERO.to_owned()),
        forced,
    }
}

/// The commit that a change builds on.
fn start(
    repository: &Repository,
    kind: RefKind,
    change: &RefChange,
    name: &str,
) -> Result<Option<Arc<Commit>>, Refused> {
    if let Some(from) = &change.from {
        let found = repository
            .lookup(from)
            .ok_or_else(|| not_found("branch, tag or commit", from))?;
        return Ok(Some(Arc::clone(found)));
    }
    let head = repository.head(name);
    let found = match kind {
        RefKind::Update => head,
        RefKind::Force => head.and_then(|it| repository.commit(it.parents.first()?)),
        _ => repository
            .default_branch
            .as_deref()
            .and_then(|it| repository.head(it)),
    };
    Ok(found.map(Arc::clone))
}

fn make_commit(
    scene: &mut Scene<'_>,
    repository: &mut Repository,
    by: &Person,
    parent: Option<&Arc<Commit>>,
    new: &NewCommit,
) -> Result<Arc<Commit>, Refused> {
    let mut tree: Tree = parent.map(|it| Tree::clone(&it.tree)).unwrap_or_default();
    for (path, content) in &new.files {
        let path = path.trim_matches('/').to_owned();
        match content {
            Some(content) => tree.insert(path, content.clone()),
            None => Some(tree.remove(&path).ok_or_else(|| not_found("file", &path))?),
        };
    }
    let author = match &new.author {
        Some(name) => scene.person(Some(name))?,
        None => by.clone(),
    };
    let comment = new.message.clone().unwrap_or_else(|| describe(&new.files));
    let signature = sign(&author, scene.now);
    let sequence = take(&mut scene.organization_mut()?.counters.commit);
    let parents = parent.map(|it| it.id.clone()).into_iter().collect();
    let made = Arc::new(git::commit(
        Arc::new(tree),
        parents,
        signature,
        &comment,
        sequence,
    ));
    repository.add_commit(Arc::clone(&made));
    Ok(made)
}

fn describe(files: &BTreeMap<String, Option<String>>) -> String {
    match files.keys().next() {
        Some(path) if files.len() == 1 => format!("Change {path}"),
        Some(path) => format!("Change {path} and {} more", files.len() - 1),
        None => "An empty commit".to_owned(),
    }
}

/// A person's signature on a commit.
pub(crate) fn sign(person: &Person, date: jiff::Timestamp) -> Signature {
    Signature {
        name: person.name.clone(),
        email: person.email.clone(),
        date,
    }
}

/// The first branch of an empty repository becomes its default branch.
fn adopt_default_branch(repository: &mut Repository, updates: &[RefUpdate]) {
    let first = updates
        .iter()
        .find(|it| it.new != ZERO && it.name.starts_with("refs/heads/"));
    if let (None, Some(first)) = (&repository.default_branch, first) {
        repository.default_branch = Some(first.name.clone());
    }
}

/// What a push brought that no ref had before, newest first.
fn brought(repository: &Repository, updates: &[RefUpdate], known: &[String]) -> Vec<String> {
    let mut found: Vec<Arc<Commit>> = updates
        .iter()
        .filter(|it| it.new != ZERO)
        .flat_map(|it| repository.new_commits(&it.new, known))
        .collect();
    found.sort_by_key(|it| std::cmp::Reverse(it.sequence));
    found.dedup_by(|one, other| one.id == other.id);
    found.into_iter().map(|it| it.id.clone()).collect()
}

/// Makes a fork of a repository: its own refs, the same commits.
pub(crate) fn fork(
    organization: &mut Organization,
    of: Uuid,
    id: Uuid,
    name: &str,
) -> Result<(), Refused> {
    let original = organization
        .repository(of)
        .ok_or_else(|| not_found("repository", &of.to_string()))?;
    let mut fork = original.clone();
    fork.id = id;
    name.clone_into(&mut fork.name);
    fork.fork_of = Some(of);
    fork.pushes = Vec::new();
    fork.statuses = Vec::new();
    fork.refs
        .retain(|reference, _| reference.starts_with("refs/heads/"));
    organization.repositories.push(fork);
    Ok(())
}
