//! Merges: the trial one of every change, the real one of a completion, and the iterations that reviewers see.

use std::sync::Arc;

use uuid::Uuid;

use super::{Change, STATUS_UPDATE, find, find_mut, tell, tell_merge};
use crate::developer::push::{record, sign};
use crate::developer::{Refused, Scene, bad, not_found};
use crate::ids::ZERO;
use crate::ledger::PublishedEvent;
use crate::state::git::{self, Commit, RefUpdate, short};
use crate::state::people::Person;
use crate::state::pull_requests::{Completion, Iteration, PullRequest, PullRequestStatus};
use crate::state::take;
use crate::state::trees::{Tree, merge};

/// Merges for good: the target moves, and push, updated and merged tell of it (facts 4.4, 4.5).
pub(super) fn complete(
    scene: &mut Scene<'_>,
    id: u32,
    by: &Person,
    change: &Change,
) -> Result<Vec<PublishedEvent>, Refused> {
    attempt_merge(scene, id)?;
    let it = find(scene, id)?.clone();
    let Some(trial) = &it.merge.commit else {
        return bad("It cannot be completed: the merge has conflicts.");
    };
    let message = match &it.description {
        Some(description) => format!("Merged PR {id}: {}\n\n{description}", it.title),
        None => format!("Merged PR {id}: {}", it.title),
    };
    let parents = if change.squash {
        vec![it.merge.target.clone()]
    } else {
        vec![it.merge.target.clone(), it.merge.source.clone()]
    };
    let merged = make_commit(
        scene,
        it.repository,
        Arc::clone(&trial.tree),
        parents,
        by,
        &message,
    )?;
    let brought: Vec<String> = scene
        .repository(it.repository)?
        .new_commits(&merged.id, std::slice::from_ref(&it.merge.target))
        .into_iter()
        .map(|one| one.id.clone())
        .collect();
    let now = scene.now;
    let closed = find_mut(scene, id)?;
    closed.status = PullRequestStatus::Completed;
    closed.closed = Some((by.id, now));
    closed.merge.commit = Some(Arc::clone(&merged));
    closed.completion = Some(Completion {
        message,
        squash: change.squash,
        delete_source: change.delete_source_branch,
        queued: now,
    });
    let mut events = move_ref(
        scene,
        it.repository,
        by,
        &it.target,
        Some(&merged.id),
        brought,
    )?;
    if change.delete_source_branch {
        events.extend(move_ref(
            scene,
            it.source_repository,
            by,
            &it.source,
            None,
            Vec::new(),
        )?);
    }
    events.extend(tell(
        scene,
        id,
        by.id,
        "completed",
        "",
        Some(STATUS_UPDATE),
    )?);
    events.extend(tell_merge(scene, id, by.id)?);
    Ok(events)
}

fn move_ref(
    scene: &mut Scene<'_>,
    repository: Uuid,
    by: &Person,
    name: &str,
    new: Option<&str>,
    commits: Vec<String>,
) -> Result<Vec<PublishedEvent>, Refused> {
    let refs = &mut scene
        .organization_mut()?
        .repository_mut(repository)
        .ok_or_else(|| not_found("repository", &repository.to_string()))?
        .refs;
    let old = match new {
        Some(new) => refs.insert(name.to_owned(), new.to_owned()),
        None => refs.remove(name),
    };
    let update = RefUpdate {
        name: name.to_owned(),
        old: old.unwrap_or_else(|| ZERO.to_owned()),
        new: new.unwrap_or(ZERO).to_owned(),
        forced: false,
    };
    Ok(record(scene, repository, by, vec![update], commits)?.events)
}

/// Tries the merge of the branches as they are now and keeps the outcome. A branch that is gone leaves the last attempt standing.
pub(super) fn attempt_merge(scene: &mut Scene<'_>, id: u32) -> Result<(), Refused> {
    let it = find(scene, id)?.clone();
    let (target_repository, source_repository) = (
        scene.repository(it.repository)?,
        scene.repository(it.source_repository)?,
    );
    let (Some(target), Some(source)) = (
        target_repository.head(&it.target),
        source_repository.head(&it.source),
    ) else {
        return Ok(());
    };
    let (target, source) = (Arc::clone(target), Arc::clone(source));
    if it.source_repository != it.repository {
        adopt_commits(scene, &it, &source.id)?;
    }
    let by = scene.organization()?.person_by_id(it.created_by).clone();
    let base = scene
        .repository(it.repository)?
        .merge_base(&target.id, &source.id);
    let base = base.map(|it| Arc::clone(&it.tree)).unwrap_or_default();
    let merged = match merge(&base, &target.tree, &source.tree) {
        Ok(tree) if !it.conflict => {
            let comment = format!(
                "Merge pull request {id} from {} into {}",
                short(&it.source),
                short(&it.target)
            );
            let parents = vec![target.id.clone(), source.id.clone()];
            Some(make_commit(
                scene,
                it.repository,
                Arc::new(tree),
                parents,
                &by,
                &comment,
            )?)
        }
        _ => None,
    };
    let merge = &mut find_mut(scene, id)?.merge;
    merge.source.clone_from(&source.id);
    merge.target.clone_from(&target.id);
    merge.commit = merged;
    Ok(())
}

/// A fork's commits become readable in the repository that the pull request is for.
fn adopt_commits(scene: &mut Scene<'_>, it: &PullRequest, source: &str) -> Result<(), Refused> {
    let commits: Vec<Arc<Commit>> = scene
        .repository(it.source_repository)?
        .history(source)
        .into_iter()
        .cloned()
        .collect();
    if let Some(target) = scene.organization_mut()?.repository_mut(it.repository) {
        target
            .commits
            .extend(commits.into_iter().map(|one| (one.id.clone(), one)));
    }
    Ok(())
}

fn make_commit(
    scene: &mut Scene<'_>,
    repository: Uuid,
    tree: Arc<Tree>,
    parents: Vec<String>,
    by: &Person,
    comment: &str,
) -> Result<Arc<Commit>, Refused> {
    let signature = sign(by, scene.now);
    let organization = scene.organization_mut()?;
    let sequence = take(&mut organization.counters.commit);
    let made = Arc::new(git::commit(tree, parents, signature, comment, sequence));
    if let Some(repository) = organization.repository_mut(repository) {
        repository.add_commit(Arc::clone(&made));
    }
    Ok(made)
}

/// A new state to review.
pub(super) fn add_iteration(
    scene: &mut Scene<'_>,
    id: u32,
    author: Uuid,
    reason: &'static str,
    push: Option<u32>,
    retarget: Option<(String, String)>,
) -> Result<(), Refused> {
    let it = find(scene, id)?;
    let iteration = Iteration {
        id: it.iterations.len() as u32 + 1,
        reason,
        author,
        created: scene.now,
        source: it.merge.source.clone(),
        target: it.merge.target.clone(),
        common: scene
            .repository(it.repository)?
            .merge_base(&it.merge.target, &it.merge.source)
            .map(|base| base.id.clone()),
        push,
        retarget,
    };
    find_mut(scene, id)?.iterations.push(iteration);
    Ok(())
}
