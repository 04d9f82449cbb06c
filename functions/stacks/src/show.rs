//! Stacks as they are shown; and deleted.

use domain::{IntegrationName, Run, Stack, StackName, run::CancelReason};
use edge::Problem;
use edge::http::{Answer, moment};
use futures::{StreamExt, TryStreamExt, future, stream};
use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use serde_json::{Value, json};
use store::{RunCursor, RunFilter};

use crate::{App, problems};

/// How many stacks or runs are read at once.
const READ_AT_ONCE: i32 = 200;
/// How many runs are cancelled at once.
const AT_A_TIME: usize = 8;

/// `GET /stacks?integration=`. A detached stack is listed with the integration that it followed its repository by.
pub(crate) async fn list(app: &App, request: &Request) -> Answer {
    let size = usize::from(edge::http::page_size(request)?);
    let integration = edge::http::parsed_parameter(
        request,
        "integration",
        |text| text.parse::<IntegrationName>().ok(),
        "the name of an integration",
    )?;
    let mut after: Option<StackName> = edge::http::page_state(request)?;
    let mut found = Vec::new();
    // Reading goes on until the page is full of those that are asked for.
    loop {
        let page = app
            .store
            .stacks(after.as_ref(), READ_AT_ONCE)
            .await
            .map_err(Problem::ours)?;
        let wanted = page.stacks.into_iter().filter(|stack| {
            integration
                .as_ref()
                .is_none_or(|integration| stack.integration == *integration)
        });
        found.extend(wanted);
        after = page.next;
        if after.is_none() || found.len() > size {
            break;
        }
    }
    let more = found.len() > size;
    found.truncate(size);
    let mut body = json!({ "stacks": found.iter().map(shown).collect::<Vec<_>>() });
    if let (true, Some(last)) = (more, found.last()) {
        body["nextPageToken"] = json!(edge::http::page_token(request, &last.name));
    }
    Ok((StatusCode::OK, body))
}

/// `GET /stacks/{name}`.
pub(crate) async fn one(app: &App, name: &str) -> Answer {
    let stack = app.stack(name).await?;
    Ok((StatusCode::OK, shown(&stack)))
}

/// `DELETE /stacks/{name}`; answers with what it was, and how many runs were cancelled.
///
/// A call that finds it gone cancels what an earlier one has missed, which was cut off.
pub(crate) async fn delete(app: &App, name: &str, now: Timestamp) -> Answer {
    let name: StackName = name.parse().map_err(|_slug| problems::no_such_stack())?;
    let found = app.store.stack(&name).await.map_err(Problem::ours)?;
    let Some(stack) = found else {
        // What was asked for since is another stack's, which has got the name a moment ago.
        let because = CancelReason::StackDeleted;
        cancel_runs(app, &name, because, |run| run.requested_at < now, now).await?;
        return Err(problems::no_such_stack());
    };
    app.store.delete_stack(&name).await.map_err(Problem::ours)?;
    let mut body = shown(&stack);
    let canceled = cancel_runs(app, &name, CancelReason::StackDeleted, |_| true, now).await?;
    body["runsCanceled"] = json!(canceled);
    Ok((StatusCode::OK, body))
}

/// Cancels the open runs of a stack that are meant; gives how many those were.
pub(crate) async fn cancel_runs(
    app: &App,
    stack: &StackName,
    because: CancelReason,
    is_meant: impl Fn(&Run) -> bool,
    now: Timestamp,
) -> Result<usize, Problem> {
    let filter = RunFilter {
        stack: Some(stack.clone()),
        state: None,
    };
    let is_open = |run: &Run| run.state.is_open() && is_meant(run);
    let (mut canceled, mut after): (usize, Option<RunCursor>) = (0, None);
    loop {
        let page = app
            .store
            .runs(&filter, after.as_ref(), READ_AT_ONCE, now)
            .await;
        let page = page.map_err(Problem::ours)?;
        let ended = stream::iter(page.runs.into_iter().filter(&is_open))
            .map(async |run| {
                app.store
                    .cancel_run(&run.id, because, app.run_retention, now)
                    .await
            })
            .buffer_unordered(AT_A_TIME)
            .try_filter(|ended| future::ready(ended.is_some()));
        let ended = ended.try_collect::<Vec<_>>().await;
        canceled += ended.map_err(Problem::ours)?.len();
        after = page.next;
        if after.is_none() {
            return Ok(canceled);
        }
    }
}

/// A stack in JSON. A detached one keeps saying what it followed.
pub(crate) fn shown(stack: &Stack) -> Value {
    let mut body = json!({
        "name": stack.name,
        "kind": stack.kind,
        "integration": stack.integration,
        "detached": stack.detached_at.is_some(),
        "project": stack.project,
        "repository": stack.repository,
        "branch": stack.branch,
        "projectRoot": stack.project_root,
        "globs": stack.globs,
        "allowForks": stack.allow_forks,
        "runDrafts": stack.run_drafts,
        "labels": stack.labels,
        "createdAt": moment(stack.created_at),
        "updatedAt": moment(stack.updated_at),
    });
    if let Some(detached_at) = stack.detached_at {
        body["detachedAt"] = json!(moment(detached_at));
    }
    body
}
