//! Undoes what `setup` did, in steps that can each be repeated: unlinking (deliveries are still stored) → the service hooks
//! that are ours deleted → both secrets removed → stacks detached → runs cancelled → unlinked (a tombstone, which answers 410
//! for 90 days).
//!
//! A call that was cut off is finished by the next one. Of the secrets it reads the credential, to delete the hooks with it, and
//! never the webhook password. That Azure DevOps is down, or the token is dead, holds nothing up: 410 takes care of what is left.

use std::{cmp::Reverse, time::Duration};

use ado::Ado;
use domain::{Integration, IntegrationName, Run, ServiceHook, Status, run::CancelReason};
use edge::{
    Problem, ProblemKind, config,
    http::{Answer, no_such_method, no_such_path},
};
use futures::{StreamExt, TryStreamExt, future, stream};
use hooks::Removed;
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use lambda_http::{Body, Request, Response};
use secrets::{Secrets, SecretsError};
use serde_json::{Value, json};
use store::{Begun, Detached, Finished, OpenOf, Store, Tables};
use tokio::time::{Instant, timeout_at};

/// What a person is told of the hooks that a person made.
const REMINDER: &str = "Service hooks that were made by hand, and those that could not be deleted, stay in Azure DevOps: remove them under Project settings, Service hooks. Until then they are answered with 410, which makes Azure DevOps disable them.";

/// How long deleting the service hooks, removing the secrets, detaching the stacks and cancelling the runs may take: less than a
/// call has that began to unlink.
const WORK: Duration = Duration::from_secs(40);
/// How much of that the service hooks may take, with reading the token, whatever Azure DevOps does.
const HOOKS: Duration = Duration::from_secs(20);
/// How long a call that finds the integration unlinked may go on with what an earlier one has missed.
const MISSED: Duration = Duration::from_secs(4);
/// How many stacks are detached, or runs cancelled, at once.
const AT_A_TIME: usize = 8;
/// How many runs a preview names; it counts all.
const NAMED_RUNS: usize = 50;

/// The function with what it keeps between invocations.
#[derive(Debug)]
pub struct App {
    store: Store,
    secrets: Secrets,
    ado: Ado,
    azure_devops_url: String,
    run_retention: SignedDuration,
    hooks_within: Duration,
}

/// What was done.
#[derive(Default)]
struct Done {
    hooks: Removed,
    secrets_removed: usize,
    stacks_detached: usize,
    runs_canceled: usize,
}

impl App {
    /// The function as its environment configures it.
    ///
    /// # Errors
    ///
    /// [`config::ConfigError`], which names the variable; [`ado::AdoError`] where no TLS can be set up.
    pub async fn from_env() -> Result<Self, lambda_http::Error> {
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
        let run_retention_days: i64 = config::required("RUN_RETENTION_DAYS")?;
        Ok(Self::new(
            Store::new(&aws, tables),
            secrets,
            Ado::with_patience(HOOKS)?,
            config::required("AZURE_DEVOPS_URL")?,
            run_retention_days,
        ))
    }

    /// The function on its parts; Azure DevOps is called at `azure_devops_url`, and runs are kept for `run_retention_days`.
    #[must_use]
    pub fn new(
        store: Store,
        secrets: Secrets,
        ado: Ado,
        azure_devops_url: String,
        run_retention_days: i64,
    ) -> Self {
        Self {
            store,
            secrets,
            ado,
            azure_devops_url,
            run_retention: SignedDuration::from_hours(run_retention_days * 24),
            hooks_within: HOOKS,
        }
    }

    /// The function that has no more than `within` for the service hooks; what there is no time for is left and told.
    #[must_use]
    pub fn with_hooks_within(self, within: Duration) -> Self {
        Self {
            hooks_within: within,
            ..self
        }
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
        let hooks = self.store.hooks_of(name).await.map_err(Problem::ours)?;
        body["serviceHooks"] = hooks.iter().map(shown_hook).collect();
        body["stacks"] = json!(self.store.stacks_of(name).await.map_err(Problem::ours)?);
        let mut runs = self.open_runs(name).await?;
        body["runsCount"] = json!(runs.len());
        runs.sort_unstable_by_key(|run| Reverse(run.requested_at));
        let runs = runs.iter().take(NAMED_RUNS);
        let named = runs.map(|run| json!({ "id": run.id, "stack": run.stack, "state": run.state }));
        body["runs"] = named.collect();
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
            // What was saved at the very end of the call before may have been missed by it.
            Begun::Already(integration) => {
                let missed = self.end_what_follows(name, now);
                let done = tokio::time::timeout(MISSED, missed)
                    .await
                    .map_err(Problem::ours)??;
                return Ok((StatusCode::OK, shown(&integration, &done)));
            }
            Begun::Busy => {
                let detail = "this integration is being set up or changed right now; unlink it when that is done, two minutes from now at the latest";
                return Err(Problem::new(ProblemKind::InProgress, detail));
            }
            Begun::Unknown => return Err(unknown()),
        };
        // No secret is removed, no stack detached and no run cancelled later than that: the name may have been set up again by
        // then.
        let work = async {
            let hooks = self.remove_hooks(&integration).await?;
            let started = Instant::now();
            let secrets_removed = self.secrets.remove(name).await.map_err(Problem::ours)?;
            let done = Done {
                hooks,
                secrets_removed,
                ..self.end_what_follows(name, now).await?
            };
            // Nothing can be done about those that are left any more, and the name may be another's soon.
            for (hook, _) in &done.hooks.left {
                let forgotten = self.store.forget_hook(name, &hook.id).await;
                forgotten.map_err(Problem::ours)?;
            }
            let forgotten = self.store.forget_progress(name).await;
            forgotten.map_err(Problem::ours)?;
            Ok::<_, Problem>((done, started.elapsed() < secrets::AT_ONCE))
        };
        let (done, is_clean) = tokio::time::timeout(WORK, work)
            .await
            .map_err(Problem::ours)??;
        let finished = self
            .store
            .finish_unlink(name, &nonce, is_clean, now)
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
        Ok((StatusCode::OK, shown(&unlinked, &done)))
    }

    /// Deletes the service hooks that are ours, as far as that can be done: whatever stands in the way is told with them. Only
    /// where the token cannot be read for the moment nothing goes on: without it none of them could ever be deleted.
    async fn remove_hooks(&self, integration: &Integration) -> Result<Removed, Problem> {
        let name = &integration.name;
        let known = self.store.hooks_of(name).await.map_err(Problem::ours)?;
        if known.is_empty() {
            return Ok(Removed::default());
        }
        let deadline = Instant::now() + self.hooks_within;
        let credential = timeout_at(deadline, self.secrets.credential(name)).await;
        let client = match credential.map_err(Problem::ours)? {
            Ok(credential) => {
                let url = &self.azure_devops_url;
                let organization = connection::organization(url, integration);
                self.ado.organization(&organization, &credential).ok()
            }
            // An earlier call has removed it already, or it is none of ours.
            Err(SecretsError::Missing(_) | SecretsError::Unreadable(_)) => None,
            Err(error) => return Err(Problem::ours(error)),
        };
        let Some(client) = client else {
            tracing::warn!(
                integration = name.as_str(),
                "the service hooks are left: no credential can be read"
            );
            let why = "the personal access token could not be read".to_owned();
            let left = known.into_iter().map(|hook| (hook, why.clone()));
            return Ok(Removed {
                left: left.collect(),
                ..Removed::default()
            });
        };
        let time = deadline.saturating_duration_since(Instant::now());
        Ok(hooks::remove(&client, &self.store, name, known, time).await)
    }

    /// Detaches the stacks, which asks for no new runs from then on, and cancels the runs.
    async fn end_what_follows(
        &self,
        integration: &IntegrationName,
        now: Timestamp,
    ) -> Result<Done, Problem> {
        Ok(Done {
            stacks_detached: self.detach_stacks(integration, now).await?,
            runs_canceled: self.cancel_runs(integration, now).await?,
            ..Done::default()
        })
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

    /// Cancels what is queued or running of an integration; gives how many runs that were.
    async fn cancel_runs(
        &self,
        integration: &IntegrationName,
        now: Timestamp,
    ) -> Result<usize, Problem> {
        let open = self.open_runs(integration).await?;
        let canceled = stream::iter(open)
            .map(async |run| {
                let (store, because) = (&self.store, CancelReason::Unlinked);
                store
                    .cancel_run(&run.id, because, self.run_retention, now)
                    .await
            })
            .buffer_unordered(AT_A_TIME)
            .try_filter(|canceled| future::ready(canceled.is_some()));
        let canceled = canceled.try_collect::<Vec<_>>().await;
        Ok(canceled.map_err(Problem::ours)?.len())
    }

    async fn open_runs(&self, integration: &IntegrationName) -> Result<Vec<Run>, Problem> {
        let open = self.store.open_runs(integration, OpenOf::Integration).await;
        open.map_err(Problem::ours)
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

fn shown_hook(hook: &ServiceHook) -> Value {
    json!({
        "subscription": hook.id,
        "project": hook.project,
        "eventType": hook.event_type,
        "status": hook.health.status,
    })
}

fn shown(integration: &Integration, done: &Done) -> Value {
    let mut body = described(integration);
    body["secretsRemoved"] = json!(done.secrets_removed);
    body["serviceHooksRemoved"] = json!(done.hooks.removed.len());
    let left = done.hooks.left.iter();
    let left = left.map(|(hook, why)| {
        json!({ "subscription": hook.id, "project": hook.project, "eventType": hook.event_type, "why": why })
    });
    body["serviceHooksLeft"] = left.collect();
    body["stacksDetached"] = json!(done.stacks_detached);
    body["runsCanceled"] = json!(done.runs_canceled);
    body["reminder"] = json!(REMINDER);
    body
}
