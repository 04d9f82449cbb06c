//! Integrations: set up, shown, verified; their service hooks; and the picker of projects, repositories and branches.
//!
//! It stores nothing before Azure DevOps has accepted the connection, and shows a secret only where it is asked for.
//!
//! | path | module |
//! |---|---|
//! | `POST /integrations` | `create.rs` |
//! | `PATCH /integrations/{name}` | `change.rs` |
//! | `GET /integrations`, `GET /integrations/{name}`, `…/webhook` | `show.rs` |
//! | `POST /integrations/{name}/webhook/rotation` | `rotate.rs` |
//! | `POST /integrations/{name}/verification` | `verify.rs` |
//! | `GET /integrations/{name}/projects…` | `picker.rs` |
//! | `GET /integrations/{name}/service-hooks`, `PUT`, `DELETE …/service-hooks/{project}` | `service_hooks.rs` |

mod change;
mod create;
mod fields;
mod lease;
mod picker;
mod problems;
mod rotate;
mod service_hooks;
mod show;
mod verify;

use std::time::Duration;

use ado::Ado;
use domain::{Integration, IntegrationName};
use edge::{
    Problem, config,
    http::{Answer, no_such_method, no_such_path},
};
use http::Method;
use jiff::Timestamp;
use lambda_http::{Body, Request, Response};
use queues::{Later, Queue};
use secrets::Secrets;
use serde_json::{Value, json};
use store::{Store, Tables};

/// The function with what it keeps between invocations.
#[derive(Debug)]
pub struct App {
    store: Store,
    secrets: Secrets,
    ado: Ado,
    /// What `dispatch` is asked to do later.
    queue: Queue,
    config: Config,
    /// No longer than that is worked on service hooks in one call, whatever the kind of work may take.
    hooks_within: Duration,
}

/// Where things are.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where Azure DevOps is called: `https://dev.azure.com`, or what the deployer put in its place.
    pub azure_devops_url: String,
    /// The webhook function's URL, to which an integration's name is appended.
    pub webhook_url: String,
    /// For how long an instance of the webhook refuses, unlooked, what was not there when it last looked: whoever is given
    /// a new password is given it that much later than it counts.
    pub lookup_rest: Duration,
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
            // This function has no business in these, nor a right to them.
            events: String::new(),
            stacks: String::new(),
        };
        let prefix: String = config::required("SECRET_PREFIX")?;
        let recovery_days: i64 = config::required("SECRET_RECOVERY_DAYS")?;
        let config = Config {
            azure_devops_url: config::required("AZURE_DEVOPS_URL")?,
            webhook_url: config::required("WEBHOOK_URL")?,
            lookup_rest: Duration::from_secs(config::required("LOOKUP_REST_SECONDS")?),
        };
        let secrets = Secrets::new(&aws, prefix, recovery_days);
        let queue = Queue::new(&aws, config::required("DISPATCH_QUEUE_URL")?);
        Ok(Self::new(
            Store::new(&aws, tables),
            secrets,
            Ado::new()?,
            queue,
            config,
        ))
    }

    /// The function on its parts.
    #[must_use]
    pub fn new(store: Store, secrets: Secrets, ado: Ado, queue: Queue, config: Config) -> Self {
        Self {
            store,
            secrets,
            ado,
            queue,
            config,
            hooks_within: Duration::MAX,
        }
    }

    /// The function that works on service hooks for no longer than `within` in one call; what there is no time for is named.
    #[must_use]
    pub fn with_hooks_within(self, within: Duration) -> Self {
        Self {
            hooks_within: within,
            ..self
        }
    }

    /// Lets what is parked of an integration go on, now that its token works; adds a note to the answer where that cannot be
    /// asked for, which is no reason to take the token back.
    async fn wake(&self, name: &IntegrationName, body: &mut Value) {
        let asked = self
            .queue
            .put_off(&Later::unpark(name), Duration::ZERO)
            .await;
        if let Err(error) = asked {
            tracing::warn!(
                integration = name.as_str(),
                cause = error.to_string(),
                "what is parked was not woken"
            );
            note(
                body,
                "deliveries that are parked were not woken: POST …/verification does it",
            );
        }
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request) -> Response<Body> {
        edge::http::answer(&request, |now| self.route(&request, now)).await
    }

    async fn route(&self, request: &Request, now: Timestamp) -> Answer {
        let segments = edge::http::segments(request);
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = request.method();
        match (segments.as_slice(), method) {
            (["integrations"], &Method::GET) => show::list(self, request).await,
            (["integrations"], &Method::POST) => create::create(self, request, now).await,
            (["integrations", name], &Method::GET) => show::one(self, name, now).await,
            (["integrations", name], &Method::PATCH) => {
                change::change(self, request, name, now).await
            }
            (["integrations", name, "webhook"], &Method::GET) => {
                show::webhook(self, name, now).await
            }
            (["integrations", name, "webhook", "rotation"], &Method::POST) => {
                rotate::rotation(self, request, name, now).await
            }
            (["integrations", name, "verification"], &Method::POST) => {
                verify::verification(self, name, now).await
            }
            (["integrations", name, "service-hooks"], &Method::GET) => {
                service_hooks::list(self, name).await
            }
            (["integrations", name, "service-hooks", project], &Method::PUT) => {
                service_hooks::make(self, name, project, now).await
            }
            (["integrations", name, "service-hooks", project], &Method::DELETE) => {
                service_hooks::remove(self, name, project, now).await
            }
            (["integrations", name, "projects"], &Method::GET) => {
                picker::projects(self, request, name).await
            }
            (["integrations", name, "projects", project, "repositories"], &Method::GET) => {
                picker::repositories(self, name, project).await
            }
            (
                [
                    "integrations",
                    name,
                    "projects",
                    project,
                    "repositories",
                    repository,
                    "branches",
                ],
                &Method::GET,
            ) => picker::branches(self, request, name, project, repository).await,
            (["integrations"], _) => Err(no_such_method("GET, POST")),
            (["integrations", _], _) => Err(no_such_method("GET, PATCH")),
            (
                ["integrations", _, "verification"] | ["integrations", _, "webhook", "rotation"],
                _,
            ) => Err(no_such_method("POST")),
            (["integrations", _, "service-hooks", _], _) => Err(no_such_method("PUT, DELETE")),
            (
                ["integrations", _, "webhook"]
                | ["integrations", _, "service-hooks"]
                | ["integrations", _, "projects"]
                | ["integrations", _, "projects", _, "repositories"],
                _,
            )
            | (
                [
                    "integrations",
                    _,
                    "projects",
                    _,
                    "repositories",
                    _,
                    "branches",
                ],
                _,
            ) => Err(no_such_method("GET")),
            _ => Err(no_such_path()),
        }
    }

    /// The integration of that name, as long as it is not unlinked.
    async fn integration(&self, name: &str) -> Result<Integration, Problem> {
        connection::integration(&self.store, &parsed(name)?).await
    }

    /// The integration of that name, as long as it is active.
    async fn active(&self, name: &str) -> Result<Integration, Problem> {
        connection::active(&self.store, &parsed(name)?).await
    }

    /// A client of an integration's organization, with the token that is kept for it.
    async fn client(&self, integration: &Integration) -> Result<ado::AdoClient, Problem> {
        let url = &self.config.azure_devops_url;
        connection::client(&self.ado, &self.secrets, url, integration).await
    }

    /// The URL that Azure DevOps is given.
    fn endpoint(&self, name: &IntegrationName) -> String {
        format!("{}/{name}", self.config.webhook_url.trim_end_matches('/'))
    }
}

/// Adds to what a person is told beside an answer.
fn note(body: &mut Value, note: &str) {
    match &mut body["notes"] {
        Value::Array(notes) => notes.push(json!(note)),
        none => *none = json!([note]),
    }
}

/// A name that cannot be one names no integration.
fn parsed(name: &str) -> Result<IntegrationName, Problem> {
    name.parse()
        .map_err(|_slug| connection::problems::no_such_integration())
}
