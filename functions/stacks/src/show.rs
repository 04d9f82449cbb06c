//! Stacks as they are shown; and deleted.

use domain::{IntegrationName, Stack, StackName};
use edge::Problem;
use edge::http::{Answer, moment};
use http::StatusCode;
use lambda_http::Request;
use serde_json::{Value, json};

use crate::App;

/// How many stacks are read at once.
const READ_AT_ONCE: i32 = 200;

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

/// `DELETE /stacks/{name}`; answers with what it was.
pub(crate) async fn delete(app: &App, name: &str) -> Answer {
    let stack = app.stack(name).await?;
    app.store
        .delete_stack(&stack.name)
        .await
        .map_err(Problem::ours)?;
    Ok((StatusCode::OK, shown(&stack)))
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
