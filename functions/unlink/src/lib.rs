//! Undoes what `setup` did, in steps that can each be repeated: unlinking (deliveries are still stored) → both
//! secrets removed → stacks detached → unlinked (a tombstone, which answers 410 for 90 days).
//!
//! A call that was cut off is finished by the next one. It reads no secret, and does not call Azure DevOps yet:
//! removing the service hooks comes with making them.

use std::time::{Duration, Instant};

use domain::{Integration, IntegrationName, Status};
use edge::{
    Problem, ProblemKind,
    config::{self, ConfigError},
    http::{Answer, no_such_method, no_such_path},
};
use futures::{StreamExt, TryStreamExt, future, stream};
use http::{Method, StatusCode};
use jiff::Timestamp;
use lambda_http::{Body, Request, Response};
use secrets::Secrets;
use serde_json::{Value, json};
use store::{Begun, Detached, Finished, Store, Tables};

/// What a person is told of the hooks that a person made.
const REMINDER: &str = "Service hooks that were made by hand stay in Azure DevOps: remove them under Project settings, Service hooks. Until then they are answered with 410, which makes Azure DevOps disable them.";

/// How long removing the secrets and detaching the stacks may take: less than a call has that began to unlink.
const WORK: Duration = Duration::from_secs(40);
/// How long a call that finds the integration unlinked may go on detaching what an earlier one has missed.
const MISSED: Duration = Duration::from_secs(4);
/// How many stacks are detached at once.
const AT_A_TIME: usize = 8;

/// The function with what it keeps between invocations.
#[derive(Debug)]
pub struct App {
    store: Store,
    secrets: Secrets,
}

impl App {
    /// The function as its environment configures it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub async fn from_env() -> Result<Self, ConfigError> {
        let aws = edge::aws().await;
        let tables = Tables {
            integrations: config::required("INTEGRATIONS_TABLE")?,
            stacks: config::required("STACKS_TABLE")?,
            // This function has no business there, nor a right to it.
            events: String::new(),
        };
        let prefix: String = config::required("SECRET_PREFIX")?;
        let recovery_days: i64 = config::required("SECRET_RECOVERY_DAYS")?;
        let secrets = Secrets::new(&aws, prefix, recovery_days);
        Ok(Self::new(Store::new(&aws, tables), secrets))
    }

    /// The function on its parts.
    #[must_use]
    pub fn new(store: Store, secrets: Secrets) -> Self {
        Self { store, secrets }
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request) -> Response<Body> {
        edge::http::answer(&request, |now| self.route(&request, now)).await
    }

    async fn route(&self, request: &Request, now: Timestamp) -> Answer {
        let segments = edge::http::segments(request);
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (segments.as_slice(), request.method()) {
            (["integrations", name], &Method::GET) => self.preview(&parsed(name)?).await,
            (["integrations", name], &Method::DELETE) => self.unlink(&parsed(name)?, now).await,
            (["integrations", _], _) => Err(no_such_method("GET, DELETE")),
            _ => Err(no_such_path()),
        }
    }

    /// `GET /integrations/{name}`: what unlinking would do.
    async fn preview(&self, name: &IntegrationName) -> Answer {
        let integration = self
            .store
            .integration(name)
            .await
            .map_err(Problem::ours)?
            .ok_or_else(unknown)?;
        let mut body = described(&integration);
        body["wouldRemove"] = match integration.status {
            Status::Unlinked => json!([]),
            _ => json!([
                "the personal access token",
                "the webhook password",
                "the integration"
            ]),
        };
        body["stacks"] = json!(self.store.stacks_of(name).await.map_err(Problem::ours)?);
        body["reminder"] = json!(REMINDER);
        Ok((StatusCode::OK, body))
    }

    /// `DELETE /integrations/{name}`: does it, or goes on with it.
    async fn unlink(&self, name: &IntegrationName, now: Timestamp) -> Answer {
        let nonce = uuid::Uuid::new_v4().to_string();
        let integration = match self
            .store
            .begin_unlink(name, &nonce, now)
            .await
            .map_err(Problem::ours)?
        {
            Begun::Yes(integration) => integration,
            // A stack that was saved at the very end of the call before may have been missed by it.
            Begun::Already(integration) => {
                let detached = tokio::time::timeout(MISSED, self.detach_stacks(name, now))
                    .await
                    .map_err(Problem::ours)??;
                return Ok((StatusCode::OK, done(&integration, 0, detached)));
            }
            Begun::Busy => {
                let detail = "this integration is being set up or changed right now; unlink it when that is done, two minutes from now at the latest";
                return Err(Problem::new(ProblemKind::InProgress, detail));
            }
            Begun::Unknown => return Err(unknown()),
        };
        let started = Instant::now();
        // No secret is removed and no stack detached later than that: the name may have been set up again by then.
        let work = async {
            let removed = self.secrets.remove(name).await.map_err(Problem::ours)?;
            Ok((removed, self.detach_stacks(name, now).await?))
        };
        let (removed, detached) = tokio::time::timeout(WORK, work)
            .await
            .map_err(Problem::ours)??;
        let finished = self
            .store
            .finish_unlink(name, &nonce, started.elapsed() < secrets::AT_ONCE, now)
            .await
            .map_err(Problem::ours)?;
        if finished == Finished::SetUpAgain {
            let detail = "while this call was under way another one unlinked the integration, and it was set up again: nothing of the new one was touched";
            return Err(Problem::new(ProblemKind::InProgress, detail));
        }
        let unlinked = Integration {
            status: Status::Unlinked,
            ..*integration
        };
        Ok((StatusCode::OK, done(&unlinked, removed, detached)))
    }

    /// Detaches what is linked to an integration; gives how many stacks that were.
    async fn detach_stacks(
        &self,
        integration: &IntegrationName,
        now: Timestamp,
    ) -> Result<usize, Problem> {
        let linked = self.store.stacks_of(integration).await;
        let detached = stream::iter(linked.map_err(Problem::ours)?)
            .map(async |name| self.store.detach(&name, integration, now).await)
            .buffer_unordered(AT_A_TIME)
            .try_filter(|detached| future::ready(*detached == Detached::Now));
        let detached = detached.try_collect::<Vec<_>>().await;
        Ok(detached.map_err(Problem::ours)?.len())
    }
}

fn parsed(name: &str) -> Result<IntegrationName, Problem> {
    name.parse().map_err(|_slug| unknown())
}

fn unknown() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "there is no integration of this name; GET /integrations on the setup function lists them",
    )
}

fn described(integration: &Integration) -> Value {
    json!({
        "name": integration.name,
        "organization": integration.organization.name().as_str(),
        "organizationUrl": integration.organization.url(),
        "status": integration.status,
    })
}

/// Nothing makes service hooks or runs yet, so unlinking ends none of them.
fn done(integration: &Integration, secrets_removed: usize, stacks_detached: usize) -> Value {
    let mut body = described(integration);
    body["secretsRemoved"] = json!(secrets_removed);
    body["serviceHooksRemoved"] = json!(0);
    body["stacksDetached"] = json!(stacks_detached);
    body["runsCanceled"] = json!(0);
    body["reminder"] = json!(REMINDER);
    body
}
