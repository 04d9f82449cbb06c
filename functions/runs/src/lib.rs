//! Runs shown, and what their executors report of them: the only URL that an executor may call.
//!
//! It makes no run, and calls nothing but DynamoDB. A report is written under the condition that the run is as it was read; that
//! write is all there is to it, its stream tells the rest.
//!
//! | path | module |
//! |---|---|
//! | `GET /runs?stack=&state=` | `list.rs` |
//! | `GET /runs/{id}` | `show.rs` |
//! | `PATCH /runs/{id}` | `report.rs`, `target_url.rs` |

mod list;
mod report;
mod show;
mod target_url;

use domain::{Run, RunId};
use edge::{
    Problem, ProblemKind,
    config::{self, ConfigError},
    http::{Answer, no_such_method, no_such_path},
};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use lambda_http::{Body, Request, Response};
use store::{Store, Tables};

/// The function with what it keeps between invocations.
#[derive(Debug)]
pub struct App {
    store: Store,
    retention: SignedDuration,
}

impl App {
    /// The function as its environment configures it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub async fn from_env() -> Result<Self, ConfigError> {
        let tables = Tables {
            stacks: config::required("STACKS_TABLE")?,
            // This function has no business in these, nor a right to them.
            integrations: String::new(),
            events: String::new(),
        };
        let days: i64 = config::required("RUN_RETENTION_DAYS")?;
        Ok(Self::new(Store::new(&edge::aws().await, tables), days))
    }

    /// The function on a store that keeps runs for `retention_days`.
    #[must_use]
    pub fn new(store: Store, retention_days: i64) -> Self {
        Self {
            store,
            retention: SignedDuration::from_hours(retention_days * 24),
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
            (["runs"], &Method::GET) => list::list(self, request, now).await,
            (["runs", id], &Method::GET) => show::one(self, id).await,
            (["runs", id], &Method::PATCH) => report::report(self, request, id, now).await,
            (["runs"], _) => Err(no_such_method("GET")),
            (["runs", _], _) => Err(no_such_method("GET, PATCH")),
            _ => Err(no_such_path()),
        }
    }

    /// The run of that id.
    async fn run(&self, id: &RunId) -> Result<Run, Problem> {
        let found = self.store.run(id).await.map_err(Problem::ours)?;
        found.ok_or_else(no_such_run)
    }
}

fn parsed(id: &str) -> Result<RunId, Problem> {
    id.parse().map_err(|_form| no_such_run())
}

fn no_such_run() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "there is no such run; it may have been kept long enough. GET /runs lists those that are there",
    )
}
