//! Integrations as they are shown: never a secret, but on the one path that is there to show the webhook password.

use domain::{Integration, IntegrationName, Status, password::Previous};
use edge::Problem;
use edge::http::{Answer, moment};
use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use serde_json::{Value, json};

use crate::App;

/// How many integrations and tombstones are read at once.
const READ_AT_ONCE: i32 = 200;

/// `GET /integrations`. Tombstones are no integrations any more: reading goes on until the page is full without them.
pub(crate) async fn list(app: &App, request: &Request) -> Answer {
    let size = usize::from(edge::http::page_size(request)?);
    let mut after: Option<IntegrationName> = edge::http::page_state(request)?;
    let mut linked = Vec::new();
    loop {
        let page = app
            .store
            .integrations(after.as_ref(), READ_AT_ONCE)
            .await
            .map_err(Problem::ours)?;
        let live = page
            .integrations
            .into_iter()
            .filter(|one| one.status != Status::Unlinked);
        linked.extend(live);
        after = page.next;
        if after.is_none() || linked.len() > size {
            break;
        }
    }
    let more = linked.len() > size;
    linked.truncate(size);
    let mut body =
        json!({ "integrations": linked.iter().map(|one| shown(app, one)).collect::<Vec<_>>() });
    if let (true, Some(last)) = (more, linked.last()) {
        body["nextPageToken"] = json!(edge::http::page_token(request, &last.name));
    }
    Ok((StatusCode::OK, body))
}

/// `GET /integrations/{name}`.
pub(crate) async fn one(app: &App, name: &str, now: Timestamp) -> Answer {
    let integration = app.integration(name).await?;
    let mut body = shown(app, &integration);
    say_previous(app, &integration.name, &mut body, now).await?;
    Ok((StatusCode::OK, body))
}

/// Adds until when the webhook password before still counts: null while it does so without an end, nothing once it does not.
async fn say_previous(
    app: &App,
    name: &IntegrationName,
    body: &mut Value,
    now: Timestamp,
) -> Result<(), Problem> {
    let record = app
        .store
        .webhook_record(name)
        .await
        .map_err(Problem::ours)?;
    let until = match record.map(|record| record.passwords.previous(now)) {
        None | Some(Previous::Ended) => return Ok(()),
        Some(Previous::Until(end)) => json!(moment(end)),
        Some(Previous::WithoutEnd) => Value::Null,
    };
    body["previousPasswordValidUntil"] = until;
    Ok(())
}

/// `GET /integrations/{name}/webhook`: what the service hooks page of Azure DevOps asks for, and how long hooks that have the password
/// before are still heard.
pub(crate) async fn webhook(app: &App, name: &str, now: Timestamp) -> Answer {
    let integration = app.active(name).await?;
    until_it_is_taken(app, &integration, now).await;
    let password = app
        .secrets
        .password(&integration.name)
        .await
        .map_err(Problem::ours)?;
    let mut body =
        json!({ "endpoint": app.endpoint(&integration.name), "password": password.expose() });
    say_previous(app, &integration.name, &mut body, now).await?;
    Ok((StatusCode::OK, body))
}

/// Waits until every instance of the webhook takes an integration's password: it may be younger than what they have looked at;
/// and writing it took a while, too.
pub(crate) async fn until_it_is_taken(app: &App, integration: &Integration, now: Timestamp) {
    let age = now.duration_since(integration.created_at).unsigned_abs();
    let wait = app.config.lookup_rest + store::OPERATION;
    tokio::time::sleep(wait.saturating_sub(age)).await;
}

/// An integration in JSON. What is not known is left out.
pub(crate) fn shown(app: &App, integration: &Integration) -> Value {
    let mut body = json!({
        "name": integration.name,
        "organization": integration.organization.name().as_str(),
        "organizationUrl": integration.organization.url(),
        "status": integration.status,
        "webhookEndpoint": app.endpoint(&integration.name),
        "labels": integration.labels,
        "createdAt": moment(integration.created_at),
        "updatedAt": moment(integration.updated_at),
    });
    if let Some(description) = &integration.description {
        body["description"] = json!(description);
    }
    if let Some(date) = integration.token_expires_on {
        body["personalAccessTokenExpiresOn"] = json!(date);
    }
    if let Some(connection) = &integration.connection {
        body["connection"] = json!({
            "status": if connection.failure.is_none() { "succeeded" } else { "failed" },
            "connectedAs": connection.connected_as,
            "checkedAt": moment(connection.checked_at),
        });
        if let Some(failure) = &connection.failure {
            body["connection"]["failure"] = json!(failure);
        }
    }
    body
}
