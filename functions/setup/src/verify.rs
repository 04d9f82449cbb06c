//! Whether a connection works: whose token it is, whether it sees a project, and whether it can list that project's
//! repositories. Read-only, three calls as a rule.

use ado::{AdoClient, AdoError};
use domain::Connection;
use edge::Problem;
use edge::http::{Answer, moment};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use crate::{App, problems};

/// What a person is told when the connection works; word for word the seed page's notification.
pub(crate) const SUCCEEDED: &str = "Connecting to Azure DevOps succeeded";

/// How many projects are tried: in one the repositories may be switched off, or hidden from the token's user.
const MOST_PROJECTS: u32 = 5;

/// Tries the connection; gives whose token it is.
pub(crate) async fn connection(client: &AdoClient) -> Result<String, Problem> {
    let user = client.connected_user().await.map_err(|error| match error {
        // Nothing but the organization is in the path of this call.
        AdoError::NotFound(_) => problems::no_such_organization(),
        AdoError::Denied(message) => connection::problems::lacks_scope(&message),
        error => connection::problems::of_azure_devops(error),
    })?;
    let projects = client.projects(MOST_PROJECTS, None).await.map_err(scope)?;
    let mut refusal = connection::problems::lacks_scope("the token sees no project");
    for project in &projects.items {
        refusal = match client.repositories(&project.id).await {
            Ok(_) => return Ok(user),
            Err(error @ (AdoError::Denied(_) | AdoError::NotFound(_))) => scope(error),
            Err(error) => return Err(scope(error)),
        };
    }
    Err(refusal)
}

/// A refusal of a token that is known to be good: a 401 means that it lacks the scope (facts 7).
fn scope(error: AdoError) -> Problem {
    match error {
        AdoError::TokenRefused => connection::problems::lacks_scope(""),
        AdoError::NotFound(message) => connection::problems::lacks_scope(&message),
        error => connection::problems::of_azure_devops(error),
    }
}

/// `POST /integrations/{name}/verification`: tries the connection now and notes how it went.
pub(crate) async fn verification(app: &App, name: &str, now: Timestamp) -> Answer {
    let integration = app.active(name).await?;
    let client = app.client(&integration).await?;
    let tried = connection(&client).await;
    let noted = Connection {
        connected_as: match &tried {
            Ok(user) => user.clone(),
            Err(_) => integration
                .connection
                .map(|before| before.connected_as)
                .unwrap_or_default(),
        },
        checked_at: now,
        failure: tried
            .as_ref()
            .err()
            .map(|problem| problem.detail().to_owned()),
    };
    app.store
        .record_connection(&integration.name, &noted)
        .await
        .map_err(Problem::ours)?;
    let connected_as = tried?;
    let mut body = json!({
        "integration": integration.name,
        "connectedAs": connected_as,
        "checkedAt": moment(now),
        "notifications": [SUCCEEDED],
    });
    app.wake(&integration.name, &mut body).await;
    Ok((StatusCode::OK, body))
}
