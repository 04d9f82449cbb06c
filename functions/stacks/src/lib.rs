//! Stacks and modules: created, listed, shown, changed, deleted; and run by hand.
//!
//! What one follows is looked at in Azure DevOps when it is saved, with its integration's token; ids are kept, and names as they
//! are then.
//!
//! | path | module |
//! |---|---|
//! | `POST /stacks` | `create.rs` |
//! | `GET /stacks`, `GET /stacks/{name}`, `DELETE /stacks/{name}` | `show.rs` |
//! | `PATCH /stacks/{name}` | `change.rs` |
//! | `POST /stacks/{name}/runs` | `run.rs` |
//! | `POST /stacks/preview` | `preview.rs` |

mod change;
mod create;
mod fields;
mod follow;
mod preview;
mod problems;
mod run;
mod save;
mod show;

use ado::Ado;
use domain::{Stack, StackName};
use edge::{
    Problem, config,
    http::{Answer, no_such_method, no_such_path},
};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use lambda_http::{Body, Request, Response};
use secrets::Secrets;
use store::{Store, Tables};

/// The function with what it keeps between invocations.
#[derive(Debug)]
pub struct App {
    store: Store,
    secrets: Secrets,
    ado: Ado,
    azure_devops_url: String,
    run_retention: SignedDuration,
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
            events: config::required("EVENTS_TABLE")?,
        };
        let prefix: String = config::required("SECRET_PREFIX")?;
        let recovery_days: i64 = config::required("SECRET_RECOVERY_DAYS")?;
        let secrets = Secrets::new(&aws, prefix, recovery_days);
        let url: String = config::required("AZURE_DEVOPS_URL")?;
        Ok(Self::new(
            Store::new(&aws, tables),
            secrets,
            Ado::new()?,
            url,
            config::required("RUN_RETENTION_DAYS")?,
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
            (["stacks"], &Method::GET) => show::list(self, request).await,
            (["stacks"], &Method::POST) => create::create(self, request, now).await,
            // No other POST goes to a stack's own path, so one may have this name.
            (["stacks", "preview"], &Method::POST) => preview::preview(self, request, now).await,
            (["stacks", name], &Method::GET) => show::one(self, name).await,
            (["stacks", name], &Method::PATCH) => change::change(self, request, name, now).await,
            (["stacks", name], &Method::DELETE) => show::delete(self, name, now).await,
            (["stacks", name, "runs"], &Method::POST) => run::run(self, request, name, now).await,
            (["stacks"], _) => Err(no_such_method("GET, POST")),
            (["stacks", _, "runs"], _) => Err(no_such_method("POST")),
            (["stacks", _], _) => Err(no_such_method("GET, PATCH, DELETE")),
            _ => Err(no_such_path()),
        }
    }

    /// The stack of that name.
    async fn stack(&self, name: &str) -> Result<Stack, Problem> {
        let name: StackName = name.parse().map_err(|_slug| problems::no_such_stack())?;
        let found = self.store.stack(&name).await.map_err(Problem::ours)?;
        found.ok_or_else(problems::no_such_stack)
    }
}
