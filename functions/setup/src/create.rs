//! Setting an integration up: verify, then claim the name, then the secrets, then make it active, then its service hooks.
//!
//! A step that fails leaves nothing behind that looks like an integration; a crash leaves a claim that ends by itself
//! and can be taken over.

use std::time::{Duration, Instant};

use domain::{
    Connection, Credential, Integration, IntegrationName, Labels, Organization, PasswordDigest,
    Status, WebhookPassword,
};
use edge::http::Answer;
use edge::{Problem, ProblemKind};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp, civil::Date};
use lambda_http::Request;
use secrecy::SecretString;
use secrets::SecretsError;
use serde::Deserialize;
use serde_json::json;
use store::{Activated, Claim, Claimed};

use crate::{
    App, fields, lease, note,
    service_hooks::{self, Projects, ProjectsSent},
    show, verify,
};

/// What a person is told when the integration is there; word for word the seed page's notification.
const CREATED: &str = "New integration was created";
/// How long writing the secrets may take: with removing them again, less than a claim lasts.
const SECRETS: Duration = Duration::from_secs(60);

/// How long making service hooks may take, and how long all of it: less than an invocation of the function does.
const SERVICE_HOOKS: Duration = Duration::from_secs(60);
const ALL: Duration = Duration::from_secs(140);

/// The request's body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateRequest {
    name: String,
    organization_url: String,
    personal_access_token: SecretString,
    personal_access_token_expires_on: Option<String>,
    description: Option<String>,
    labels: Option<Vec<String>>,
    service_hook_projects: Option<ProjectsSent>,
}

/// The request, understood.
struct Wanted {
    name: IntegrationName,
    organization: Organization,
    credential: Credential,
    token_expires_on: Option<Date>,
    description: Option<String>,
    labels: Labels,
    /// Whose service hooks are made.
    projects: Option<Projects>,
}

/// `POST /integrations`.
pub(crate) async fn create(app: &App, request: &Request, began: Timestamp) -> Answer {
    let started = Instant::now();
    let body: CreateRequest = edge::http::body(request)?;
    let wanted = body.understood(&app.config.azure_devops_url, began)?;
    // Tells of a taken name before anything is asked of Azure DevOps; the claim below is what decides.
    if let Some(taken) = app
        .store
        .integration(&wanted.name)
        .await
        .map_err(Problem::ours)?
        && matches!(taken.status, Status::Active | Status::Unlinking)
    {
        return Err(name_taken(taken.status));
    }
    let client = app
        .ado
        .organization(&wanted.organization, &wanted.credential)
        .map_err(connection::problems::of_azure_devops)?;
    let connected_as = verify::connection(&client).await?;
    let nonce = uuid::Uuid::new_v4().to_string();
    let claim = Claim {
        name: &wanted.name,
        nonce: &nonce,
        organization: &wanted.organization,
    };
    // Verifying may have taken two minutes: the claim's life begins now.
    let now = began + SignedDuration::try_from(started.elapsed()).unwrap_or_default();
    let known_since = match app.store.claim(&claim, now).await.map_err(Problem::ours)? {
        Claimed::Yes { known_since } => known_since,
        Claimed::Taken(status) => return Err(name_taken(status)),
        Claimed::Busy => {
            return Err(Problem::new(
                ProblemKind::InProgress,
                "an integration of this name is being set up or unlinked right now; look again in two minutes",
            )
            .at("name"));
        }
    };
    let name_since = known_since.unwrap_or(now);
    let password = secure(app, &wanted, &nonce, now).await?;
    // What is shown as its beginning is when its password begins to count.
    let now = began + SignedDuration::try_from(started.elapsed()).unwrap_or_default();
    let integration = wanted.integration(connected_as, name_since, now);
    let digest = PasswordDigest::of(password.expose().as_bytes());
    // Where this answer is lost the integration may be active all the same: its secrets must not be touched any more.
    let activated = app
        .store
        .activate(&integration, &digest, &nonce)
        .await
        .map_err(Problem::ours)?;
    if activated == Activated::ClaimLost {
        return Err(Problem::new(
            ProblemKind::InProgress,
            "setting up took too long and somebody else has begun with this name; look at GET /integrations",
        ));
    }
    let mut body = show::shown(app, &integration);
    if known_since.is_some() {
        // What was parked in an earlier life of the name waits for a token that works, too.
        app.wake(&integration.name, &mut body).await;
    }
    // Instances of the webhook may just have looked at what stood under this name before, or that nothing did.
    tokio::time::sleep(app.config.lookup_rest).await;
    body["webhook"] =
        json!({ "endpoint": app.endpoint(&integration.name), "password": password.expose() });
    body["notifications"] = json!([CREATED, verify::SUCCEEDED]);
    if let Some(projects) = &wanted.projects {
        let took = started.elapsed();
        let time = SERVICE_HOOKS
            .min(ALL.saturating_sub(took))
            .min(app.hooks_within);
        let now = began + SignedDuration::try_from(took).unwrap_or_default();
        let (hooks, is_under_way) =
            service_hooks::make_many(app, &integration, &client, &password, projects, time, now)
                .await;
        if hooks["failed"] != json!([]) {
            note(
                &mut body,
                "the service hooks of some projects could not be made: serviceHooks.failed says which, and why",
            );
        }
        if is_under_way {
            note(&mut body, lease::STAYS);
        }
        body["serviceHooks"] = hooks;
    }
    Ok((StatusCode::CREATED, body))
}

/// Writes both secrets. Where one is refused, both are removed and the claim is given up. Where nothing is known of one, the
/// claim runs out by itself: what is still on its way arrives before that.
async fn secure(
    app: &App,
    wanted: &Wanted,
    nonce: &str,
    now: Timestamp,
) -> Result<WebhookPassword, Problem> {
    let name = &wanted.name;
    let began = Instant::now();
    let password = secrets::generate_password().map_err(Problem::ours)?;
    let both = async {
        app.secrets
            .keep_credential(name, &wanted.credential)
            .await?;
        app.secrets.keep_password(name, &password).await
    };
    // No secret is written when the claim may have run out: the name may be somebody else's by then.
    let (failed, is_refused) = match tokio::time::timeout(SECRETS, both).await {
        Ok(Ok(())) => return Ok(password),
        Ok(Err(error)) => {
            // Where it took long, an earlier try of the SDK's may still be on its way.
            let is_refused = began.elapsed() < secrets::AT_ONCE
                && matches!(
                    error,
                    SecretsError::Unavailable {
                        is_refused: true,
                        ..
                    }
                );
            (Problem::ours(error), is_refused)
        }
        Err(elapsed) => (Problem::ours(elapsed), false),
    };
    match app.secrets.remove(name).await {
        Ok(_) if !is_refused => {}
        Ok(_) => {
            if let Err(error) = app.store.abandon(name, nonce, now).await {
                tracing::warn!(
                    cause = edge::problem::chain(&error),
                    "a claim is left to end by itself"
                );
            }
        }
        // The claim stays, so that unlinking the name, or setting it up again, finds what is left.
        Err(error) => tracing::warn!(
            cause = edge::problem::chain(&error),
            "secrets are left until the name is used again"
        ),
    }
    Err(failed)
}

fn name_taken(status: Status) -> Problem {
    let detail = match status {
        Status::Unlinking => {
            "the integration of this name is being unlinked: finish that first (DELETE on the unlink function)"
        }
        _ => {
            "there is an integration of this name already: take another name, or unlink that one first"
        }
    };
    Problem::new(ProblemKind::NameTaken, detail).at("name")
}

impl CreateRequest {
    fn understood(self, azure_devops_url: &str, now: Timestamp) -> Result<Wanted, Problem> {
        let name: IntegrationName = self
            .name
            .parse()
            .map_err(|error: domain::ids::InvalidName| Problem::field("name", &error))?;
        let organization = Organization::from_pasted_url(&self.organization_url, azure_devops_url)
            .map_err(|error| {
                Problem::new(ProblemKind::NotAnOrganizationUrl, error.to_string())
                    .at("organizationUrl")
            })?;
        let credential = fields::credential(&self.personal_access_token)?;
        let token_expires_on = self
            .personal_access_token_expires_on
            .filter(|text| !text.is_empty())
            .map(|text| fields::expiry(&text, now))
            .transpose()?;
        let description = self.description.filter(|text| !text.is_empty());
        let description = description.map(fields::description).transpose()?;
        let labels = fields::labels(self.labels.unwrap_or_default())?;
        let projects = self.service_hook_projects.map(Projects::try_from);
        let projects = projects.transpose()?;
        Ok(Wanted {
            name,
            organization,
            credential,
            token_expires_on,
            description,
            labels,
            projects,
        })
    }
}

impl Wanted {
    fn integration(
        &self,
        connected_as: String,
        name_since: Timestamp,
        now: Timestamp,
    ) -> Integration {
        Integration {
            name: self.name.clone(),
            organization: self.organization.clone(),
            status: Status::Active,
            description: self.description.clone(),
            labels: self.labels.clone(),
            token_expires_on: self.token_expires_on,
            connection: Some(Connection {
                connected_as,
                checked_at: now,
                failure: None,
            }),
            name_since,
            created_at: now,
            updated_at: now,
        }
    }
}
