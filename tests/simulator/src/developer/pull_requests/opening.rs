//! Opening a pull request: `created`, and the first trial merge (facts 4.3, 4.5).

use serde::Deserialize;
use uuid::Uuid;

use super::merging::{add_iteration, attempt_merge};
use super::{done, find, tell_merge};
use crate::developer::{Done, Refused, Scene, bad, not_found};
use crate::events::pull_request as rendered;
use crate::ledger::PublishedEvent;
use crate::state::git::{self, full_branch, short};
use crate::state::people::Person;
use crate::state::pull_requests::{Merge, PullRequest, PullRequestStatus, Reviewer};
use crate::state::take;

/// A pull request to open.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewPullRequest {
    pub(crate) source: String,
    /// The default branch if it is not said.
    pub(crate) target: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) draft: bool,
    /// The name of the fork that the source branch is in.
    pub(crate) fork: Option<String>,
    pub(crate) author: Option<String>,
    #[serde(default)]
    pub(crate) reviewers: Vec<String>,
    #[serde(default)]
    pub(crate) labels: Vec<String>,
    /// The trial merge conflicts, whatever the files say.
    #[serde(default)]
    pub(crate) conflict: bool,
}

/// Opens a pull request.
pub(crate) fn create(
    scene: &mut Scene<'_>,
    repository: Uuid,
    new: &NewPullRequest,
) -> Result<Done, Refused> {
    let by = scene.person(new.author.as_deref())?;
    let pull_request = prepare(scene, repository, new, &by)?;
    let id = pull_request.id;
    scene.organization_mut()?.pull_requests.push(pull_request);
    attempt_merge(scene, id)?;
    add_iteration(scene, id, by.id, "create", None, None)?;
    let created = rendered::created(
        scene.organization()?,
        find(scene, id)?,
        scene.created_date(),
    );
    let mut events: Vec<PublishedEvent> = created.iter().map(|it| scene.publish(it)).collect();
    events.extend(tell_merge(scene, id, by.id)?);
    done(scene, id, events)
}

fn prepare(
    scene: &mut Scene<'_>,
    repository: Uuid,
    new: &NewPullRequest,
    by: &Person,
) -> Result<PullRequest, Refused> {
    let target_repository = scene.repository(repository)?;
    let source_repository = match &new.fork {
        Some(name) => scene
            .organization()?
            .repositories
            .iter()
            .find(|it| it.fork_of == Some(repository) && it.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| not_found("fork", name))?,
        None => target_repository,
    };
    let source = full_branch(&new.source);
    let default = target_repository.default_branch.as_deref();
    let target = new
        .target
        .as_deref()
        .or(default)
        .map(full_branch)
        .ok_or_else(|| {
            Refused::Bad("The repository has no default branch: say the target.".to_owned())
        })?;
    let head = |repository: &git::Repository, name: &str| {
        let found = repository
            .head(name)
            .ok_or_else(|| not_found("branch", name))?;
        Ok(found.id.clone())
    };
    let merge = Merge {
        id: Uuid::new_v4(),
        source: head(source_repository, &source)?,
        target: head(target_repository, &target)?,
        commit: None,
    };
    if source == target && new.fork.is_none() {
        return bad("Source and target are the same branch.");
    }
    let source_repository = source_repository.id;
    let now = scene.now;
    let mut pull_request = PullRequest {
        id: 0,
        repository,
        source_repository,
        title: new
            .title
            .clone()
            .unwrap_or_else(|| format!("Merge {}", short(&source))),
        source,
        target,
        description: new.description.clone().filter(|it| !it.is_empty()),
        labels: new.labels.clone(),
        status: PullRequestStatus::Active,
        draft: new.draft,
        created_by: by.id,
        created: now,
        closed: None,
        merge,
        conflict: new.conflict,
        completion: None,
        reviewers: reviewers(scene, &new.reviewers, &[])?,
        iterations: Vec::new(),
        supports_iterations: true,
        threads: Vec::new(),
        statuses: Vec::new(),
    };
    pull_request.id = take(&mut scene.organization_mut()?.counters.pull_request);
    Ok(pull_request)
}

/// People as reviewers; those who were reviewers before keep their vote.
pub(super) fn reviewers(
    scene: &Scene<'_>,
    names: &[String],
    before: &[Reviewer],
) -> Result<Vec<Reviewer>, Refused> {
    let mut found = Vec::new();
    for name in names {
        let person = scene.person(Some(name))?.id;
        let vote = before
            .iter()
            .find(|it| it.person == person)
            .map_or(0, |it| it.vote);
        found.push(Reviewer {
            person,
            vote,
            required: false,
        });
    }
    Ok(found)
}
