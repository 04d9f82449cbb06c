//! `POST /stacks/{name}/runs`: a run that a person asks for.
//!
//! What it is to run on is looked for in Azure DevOps. It applies nothing by accident: only the head of the tracked branch is
//! tracked unless that is said. The same request, by its id, is one run.

use ado::AdoError;
use domain::{
    Branch, Integration, Run, RunKind, Stack, StackKind, Status,
    run::{CancelReason, Identity, Trigger},
};
use edge::{Problem, ProblemKind, http::Answer};
use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use serde::Deserialize;
use serde_json::Value;
use store::{Added, NewRun};

use crate::{App, fields, follow, problems};

/// The request's body; without one, the head of the tracked branch is meant.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RunRequest {
    branch: Option<String>,
    commit: Option<String>,
    kind: Option<String>,
    request_id: Option<String>,
}

/// The request, understood.
struct Wanted {
    branch: Option<Branch>,
    commit: Option<String>,
    kind: Option<RunKind>,
    request_id: Option<String>,
}

/// What is to be run on.
struct Place {
    commit: String,
    /// The ref that is shown with it.
    branch: Option<Branch>,
    is_tracked_head: bool,
}

/// `POST /stacks/{name}/runs`.
pub(crate) async fn run(app: &App, request: &Request, name: &str, now: Timestamp) -> Answer {
    let body: RunRequest = edge::http::optional_body(request)?;
    let wanted = body.understood()?;
    let stack = app.stack(name).await?;
    let id = wanted
        .request_id
        .clone()
        .unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let identity = Identity::Request(&id);
    if wanted.request_id.is_some() {
        let id = domain::RunId::of(&stack.name, &stack.repository.id, identity);
        if let Some(run) = app.store.run(&id).await.map_err(Problem::ours)? {
            return Ok((StatusCode::OK, shown(&run)));
        }
    }
    if stack.kind == StackKind::Module && wanted.kind.is_some() {
        return Err(Problem::field(
            "kind",
            &"a module's commits are tested: leave it out",
        ));
    }
    let integration = integration(app, &stack).await?;
    let place = look(app, &stack, &integration, &wanted).await?;
    let kind = match (stack.kind, wanted.kind) {
        (StackKind::Module, _) => RunKind::Test,
        (StackKind::Stack, Some(kind)) => kind,
        (StackKind::Stack, None) if place.is_tracked_head => RunKind::Tracked,
        (StackKind::Stack, None) => RunKind::Proposed,
    };
    let run = Run {
        ref_name: place.branch.map(|branch| branch.as_str().to_owned()),
        reason: "asked for by hand".to_owned(),
        ..Run::new(&stack, identity, kind, Trigger::Request, &place.commit, now)
    };
    let (status, run) = written(app, run).await?;
    let run = looked_at_again(app, run, &stack, &integration, now).await?;
    Ok((status, shown(&run)))
}

/// Writes the run, unless somebody else has with the same request's id; gives the one that is there.
async fn written(app: &App, run: Run) -> Result<(StatusCode, Run), Problem> {
    let new = [NewRun {
        run,
        in_order_of: None,
    }];
    let added = app.store.add_runs(&new, app.run_retention).await;
    let [NewRun { run, .. }] = new;
    match added.map_err(Problem::ours)?.pop() {
        // Never its own: a transaction that the SDK sends again, since its answer was lost, is taken for the same by DynamoDB.
        Some(Added::Existing(found)) => Ok((StatusCode::OK, *found)),
        _ => Ok((StatusCode::CREATED, run)),
    }
}

/// A run that was written while its integration was being unlinked, or its stack deleted, may have come too late to be cancelled
/// with the others. So both are looked at once more, after the write: either they are still what they were, and unlinking or
/// deleting will find the run, or the run is cancelled here.
async fn looked_at_again(
    app: &App,
    run: Run,
    stack: &Stack,
    integration: &Integration,
    now: Timestamp,
) -> Result<Run, Problem> {
    let (store, name) = (&app.store, &integration.name);
    let (stack_now, integration_now) =
        tokio::try_join!(store.stack(&stack.name), store.integration(name))
            .map_err(Problem::ours)?;
    let has_stack = stack_now.is_some_and(|it| it.created_at == stack.created_at);
    let has_integration = integration_now
        .is_some_and(|it| it.status == Status::Active && it.created_at == integration.created_at);
    let because = match (has_stack, has_integration) {
        (true, true) => return Ok(run),
        (false, _) => CancelReason::StackDeleted,
        (true, false) => CancelReason::Unlinked,
    };
    let canceled = store
        .cancel_run(&run.id, because, app.run_retention, now)
        .await
        .map_err(Problem::ours)?;
    if let Some(canceled) = canceled {
        return Ok(canceled);
    }
    // Unlinking or deleting came before, or its executor was that quick.
    let run_now = store.run(&run.id).await.map_err(Problem::ours)?;
    Ok(run_now.unwrap_or(run))
}

/// The integration that the stack is linked to, if it is active.
async fn integration(app: &App, stack: &Stack) -> Result<Integration, Problem> {
    if stack.detached_at.is_some() {
        return Err(problems::detached());
    }
    let found = connection::active(&app.store, &stack.integration).await;
    found.map_err(|problem| match problem.kind() {
        // It is unlinked, and the stack about to be detached.
        ProblemKind::NotFound => problems::detached(),
        _ => problem,
    })
}

/// Looks for the commit in Azure DevOps.
async fn look(
    app: &App,
    stack: &Stack,
    integration: &Integration,
    wanted: &Wanted,
) -> Result<Place, Problem> {
    let client = connection::client(&app.ado, &app.secrets, &app.azure_devops_url, integration);
    let client = client.await?;
    let (project, repository) = (stack.project.id.as_str(), stack.repository.id.as_str());
    let branch = match (&wanted.commit, wanted.branch.clone()) {
        (Some(_), None) => None,
        (_, branch) => Some(branch.unwrap_or_else(|| stack.branch.clone())),
    };
    let mut head = None;
    if let Some(branch) = &branch {
        let found = client.branch(project, repository, branch.as_str()).await;
        let found = found.map_err(refused)?.ok_or_else(|| {
            let detail = format!(
                "there is no branch {} in {}: push it first, or name another one (upper and lower case count)",
                branch.short(),
                stack.repository
            );
            Problem::field("branch", &detail)
        })?;
        head = Some(found.object_id);
    }
    if let Some(commit) = &wanted.commit {
        let found = client.commit(project, repository, commit).await;
        let found = found.map_err(refused)?.ok_or_else(|| {
            let detail = format!(
                "there is no such commit in {}: push it first",
                stack.repository
            );
            Problem::field("commit", &detail)
        })?;
        head = Some(found.id);
    }
    let commit = head.ok_or_else(|| {
        let what = AdoError::Unexpected("a branch without its commit".to_owned());
        connection::problems::of_azure_devops(what)
    })?;
    Ok(Place {
        commit,
        is_tracked_head: wanted.commit.is_none() && branch.as_ref() == Some(&stack.branch),
        branch,
    })
}

fn refused(error: AdoError) -> Problem {
    let absent = "the repository that this stack follows is not there any more, is disabled, or the token's user may not see it";
    follow::refused(error, "repository", absent)
}

impl RunRequest {
    fn understood(self) -> Result<Wanted, Problem> {
        let kind = match self.kind.as_deref() {
            None => None,
            Some("tracked") => Some(RunKind::Tracked),
            Some("proposed") => Some(RunKind::Proposed),
            Some(_) => {
                return Err(Problem::field(
                    "kind",
                    &"a run by hand of a stack is tracked or proposed; a module's is a test by itself",
                ));
            }
        };
        let branch = self.branch.map(|text| fields::text("branch", &text));
        let commit = self.commit.map(|text| commit(&text));
        let request_id = self
            .request_id
            .map(|id| edge::http::own_id(id, "the same run"));
        Ok(Wanted {
            branch: branch.transpose()?,
            commit: commit.transpose()?,
            kind,
            request_id: request_id.transpose()?,
        })
    }
}

fn commit(text: &str) -> Result<String, Problem> {
    if text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        let what = "a commit is its whole id, 40 hexadecimal digits; for the head of a branch, name the branch";
        Err(Problem::field("commit", &what))
    }
}

/// A run in JSON.
pub(crate) fn shown(run: &Run) -> Value {
    edge::http::with_moments(run, &Run::TIMES)
}
