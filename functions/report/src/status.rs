//! What Azure DevOps is told of a run: in which state, in which words, and where. Nothing here is kept.

use ado::{AdoClient, AdoError, NewStatus, StatusState};
use domain::{Run, RunState, run::RunPullRequest, summary::plain};

/// Whose the statuses are; with the stack's name, what they are a status of.
const GENRE: &str = "stackhook";

/// What became of telling Azure DevOps.
#[derive(Debug)]
pub(crate) enum Told {
    /// It shows the state: everywhere, or but where it refuses for good, for these reasons.
    Shown {
        /// The iteration that the pull request's status belongs to.
        iteration: Option<i64>,
        /// What it refuses, in words.
        refusals: Vec<String>,
    },
    /// It refuses, for good.
    Refused(String),
    /// The pull request has no iteration of the run's commit, or not yet.
    NoIteration,
    /// It may take it later.
    Later(AdoError),
}

/// Tells Azure DevOps the state of a run. `is_patient`: an iteration that is not there yet is waited for.
pub(crate) async fn tell(client: &AdoClient, run: &Run, is_patient: bool) -> Told {
    let iteration = match &run.pull_request {
        Some(pull_request) => match iteration_of(client, run, pull_request).await {
            Ok(None) if is_patient && has_iterations(pull_request) => return Told::NoIteration,
            Ok(iteration) => Ok(iteration),
            Err(error) if is_lasting(&error) => Err(error),
            Err(error) => return Told::Later(error),
        },
        None => Ok(None),
    };
    let description = words(run);
    let status = NewStatus {
        state: state(run.state),
        description: &description,
        target_url: run.target_url.as_deref(),
        genre: GENRE,
        name: run.stack.as_str(),
    };
    let (project, repository) = (run.project.id.as_str(), run.repository.id.as_str());
    let (mut refusals, mut shown) = (Vec::new(), false);
    // The commit of a fork may lie in another repository, which is not ours to write to.
    if !run.pull_request.as_ref().is_some_and(|it| it.is_fork) {
        // Pushes and pull requests of one commit have a status each: the end of one must not hide the other's.
        let proposed = format!("{}/proposed", run.stack);
        let of_commit = NewStatus {
            name: if run.pull_request.is_some() {
                &proposed
            } else {
                run.stack.as_str()
            },
            ..status
        };
        let told = client.set_commit_status(project, repository, &run.commit, &of_commit);
        match told.await {
            Ok(()) => shown = true,
            Err(error) if is_lasting(&error) => {
                refusals.push(refusal("commit", &error));
            }
            Err(error) => return Told::Later(error),
        }
    }
    let mut shown_at = None;
    if let Some(pull_request) = &run.pull_request {
        let told = match iteration {
            Ok(iteration) => {
                shown_at = iteration;
                let number = pull_request.number;
                client
                    .set_pull_request_status(project, repository, number, iteration, &status)
                    .await
            }
            Err(error) => Err(error),
        };
        match told {
            Ok(()) => shown = true,
            Err(error) if is_lasting(&error) => {
                refusals.push(refusal("pull request", &error));
                shown_at = None;
            }
            Err(error) => return Told::Later(error),
        }
    }
    if shown {
        Told::Shown {
            iteration: shown_at,
            refusals,
        }
    } else {
        Told::Refused(refusals.join("; "))
    }
}

/// The newest iteration whose source is the run's commit; `None` where there is none, or where a status belongs to none.
async fn iteration_of(
    client: &AdoClient,
    run: &Run,
    pull_request: &RunPullRequest,
) -> Result<Option<i64>, AdoError> {
    if !has_iterations(pull_request) {
        return Ok(None);
    }
    let (project, repository) = (run.project.id.as_str(), run.repository.id.as_str());
    let iterations = client
        .iterations(project, repository, pull_request.number)
        .await?;
    Ok(iterations
        .into_iter()
        .filter(|it| {
            let source = it.source_commit.as_deref();
            source.is_some_and(|commit| commit.eq_ignore_ascii_case(&run.commit))
        })
        .map(|it| it.id)
        .max())
}

fn has_iterations(pull_request: &RunPullRequest) -> bool {
    pull_request.supports_iterations != Some(false)
}

/// Whether Azure DevOps would say the same again, whoever asks and whenever.
fn is_lasting(error: &AdoError) -> bool {
    !error.is_passing() && !error.is_about_the_token()
}

/// A refusal in words, with Azure DevOps' own made harmless.
fn refusal(of: &str, error: &AdoError) -> String {
    format!("the status of the {of}: {}", plain(&error.to_string()))
}

/// The state as Azure DevOps has it. What was cancelled is an error: it must satisfy no policy.
fn state(state: RunState) -> StatusState {
    match state {
        RunState::Queued | RunState::Running => StatusState::Pending,
        RunState::Finished => StatusState::Succeeded,
        RunState::Failed => StatusState::Failed,
        // What is superseded is never told.
        RunState::Canceled | RunState::Superseded => StatusState::Error,
    }
}

/// The state in words: the executor's, where it has any.
fn words(run: &Run) -> String {
    if let Some(said) = &run.description {
        return plain(said);
    }
    match (run.state, run.canceled_because) {
        (RunState::Queued, _) => "Queued".to_owned(),
        (RunState::Running, _) => "Running".to_owned(),
        (RunState::Finished, _) => "Finished".to_owned(),
        (RunState::Failed, _) => "Failed".to_owned(),
        (RunState::Canceled, Some(because)) => format!("Canceled: {}", because.words()),
        (RunState::Canceled, None) => "Canceled".to_owned(),
        (RunState::Superseded, _) => "Superseded".to_owned(),
    }
}
