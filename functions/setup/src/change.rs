//! `PATCH /integrations/{name}`: a new personal access token, which has to work before it takes the place of the old one; the
//! description; the labels.

use std::time::Instant;

use domain::{Connection, Credential, Integration, IntegrationName, Status};
use edge::http::Answer;
use edge::{Problem, ProblemKind};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use lambda_http::Request;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use store::{Changed, Changes, Under};

use crate::{App, fields, lease, problems, show, verify};

/// The request's body. What is absent stays as it is, `null` removes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangeRequest {
    #[serde(default, deserialize_with = "edge::http::present")]
    personal_access_token: Option<Option<SecretString>>,
    #[serde(default, deserialize_with = "edge::http::present")]
    personal_access_token_expires_on: Option<Option<String>>,
    #[serde(default, deserialize_with = "edge::http::present")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "edge::http::present")]
    labels: Option<Option<Vec<String>>>,
    /// When the caller read it, as `updatedAt` says; a change since then refuses this one.
    updated_at: Option<Timestamp>,
}

/// `PATCH /integrations/{name}`.
pub(crate) async fn change(app: &App, request: &Request, name: &str, now: Timestamp) -> Answer {
    let started = Instant::now();
    let body: ChangeRequest = edge::http::body(request)?;
    let (mut changes, credential, read) = body.understood(now)?;
    let integration = app.active(name).await?;
    let name = &integration.name;
    let Some(credential) = credential else {
        return saved(app, name, &changes, Under::None { read }, now).await;
    };
    if !is_as_read(&integration, read) {
        return Err(changed_since());
    }
    let client = app
        .ado
        .organization(
            &connection::organization(&app.config.azure_devops_url, &integration),
            &credential,
        )
        .map_err(connection::problems::of_azure_devops)?;
    let connected_as = verify::connection(&client).await?;
    // Verifying may have taken two minutes: the lease's life begins now.
    let now = now + SignedDuration::try_from(started.elapsed()).unwrap_or_default();
    changes.connection = Some(Connection {
        connected_as,
        checked_at: now,
        failure: None,
    });
    let (status, mut body) = lease::held(app, name, now, async |leased, held| {
        // Meanwhile somebody may have changed it, or set the name up for another organization.
        let now_is = &leased.integration;
        if !is_as_read(now_is, read) || now_is.created_at != integration.created_at {
            return Err(changed_since());
        }
        app.secrets
            .keep_credential(name, &credential)
            .await
            .map_err(Problem::ours)?;
        saved(app, name, &changes, Under::Lease(held.nonce()), now).await
    })
    .await?;
    body["notifications"] = json!([verify::SUCCEEDED]);
    app.wake(name, &mut body).await;
    Ok((status, body))
}

/// Whether nothing about an integration changed since the caller read it, as far as the caller wants to know.
fn is_as_read(integration: &Integration, read: Option<Timestamp>) -> bool {
    read.is_none_or(|read| read.as_microsecond() == integration.updated_at.as_microsecond())
}

async fn saved(
    app: &App,
    name: &IntegrationName,
    changes: &Changes,
    under: Under<'_>,
    now: Timestamp,
) -> Answer {
    let changed = app
        .store
        .change(name, changes, under, now)
        .await
        .map_err(Problem::ours)?;
    match changed {
        Changed::Yes(integration) => Ok((StatusCode::OK, show::shown(app, &integration))),
        Changed::Busy => Err(problems::being_changed()),
        Changed::No(integration) if integration.status == Status::Active => Err(changed_since()),
        Changed::No(integration) => Err(connection::problems::not_active(integration.status)),
        Changed::Unknown => Err(connection::problems::no_such_integration()),
    }
}

fn changed_since() -> Problem {
    Problem::new(
        ProblemKind::ChangedSince,
        "somebody has changed this integration since you read it: read it again, and send your change with the new updatedAt",
    )
    .at("updatedAt")
}

impl ChangeRequest {
    fn understood(
        self,
        now: Timestamp,
    ) -> Result<(Changes, Option<Credential>, Option<Timestamp>), Problem> {
        let is_empty = self.personal_access_token.is_none()
            && self.personal_access_token_expires_on.is_none()
            && self.description.is_none()
            && self.labels.is_none();
        if is_empty {
            return Err(Problem::new(
                ProblemKind::InvalidRequest,
                "nothing is to be changed: personalAccessToken, personalAccessTokenExpiresOn, description and labels can be",
            ));
        }
        let no_token = || {
            Problem::field(
                "personalAccessToken",
                &"an integration has one: unlink it to remove its token",
            )
        };
        let credential = self
            .personal_access_token
            .map(|token| fields::credential(&token.ok_or_else(no_token)?))
            .transpose()?;
        let expiry = self
            .personal_access_token_expires_on
            // The day of the old token says nothing of the new one.
            .or(credential.as_ref().map(|_| None))
            .map(|expiry| {
                expiry
                    .filter(|text| !text.is_empty())
                    .map(|text| fields::expiry(&text, now))
                    .transpose()
            });
        let description = self
            .description
            .map(|text| fields::description(text.unwrap_or_default()));
        let labels = self
            .labels
            .map(|labels| fields::labels(labels.unwrap_or_default()));
        let changes = Changes {
            description: description.transpose()?,
            labels: labels.transpose()?,
            token_expires_on: expiry.transpose()?,
            connection: None,
        };
        Ok((changes, credential, self.updated_at))
    }
}
