//! The delivery log: what was received, in words, newest first, what each stack made of it, and each body exactly as it came.
//! It changes nothing of that; it can ask for a delivery to be dispatched again.

pub mod filters;
mod list;
pub mod log;
mod redeliveries;
pub mod view;

use edge::{
    Problem, ProblemKind,
    config::{self, ConfigError},
    http::{Answer, no_such_method, no_such_path},
};
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use lambda_http::{Body, Request, Response};
use store::{Delivery, DeliveryId, Store, Tables};

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
            integrations: config::required("INTEGRATIONS_TABLE")?,
            events: config::required("EVENTS_TABLE")?,
            stacks: config::required("STACKS_TABLE")?,
        };
        let days: i64 = config::required("EVENT_RETENTION_DAYS")?;
        Ok(Self::new(Store::new(&edge::aws().await, tables), days))
    }

    /// The function on a store that keeps deliveries for `retention_days`.
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
            (["deliveries"], &Method::GET) => list::list(self, request, now).await,
            (["deliveries", id], &Method::GET) => self.one(id).await,
            (["deliveries", id, "redelivery"], &Method::POST) => {
                redeliveries::one(self, request, id, now).await
            }
            (["redeliveries"], &Method::POST) => redeliveries::range(self, request, now).await,
            (["deliveries"] | ["deliveries", _], _) => Err(no_such_method("GET")),
            (["deliveries", _, "redelivery"] | ["redeliveries"], _) => Err(no_such_method("POST")),
            _ => Err(no_such_path()),
        }
    }

    /// `GET /deliveries/{id}`.
    async fn one(&self, id: &str) -> Answer {
        let delivery = self.delivery(id).await?;
        let record = self.store.outcome(&delivery.head.id).await;
        let outcome = record.map_err(Problem::ours)?.map(|record| record.outcome);
        Ok((StatusCode::OK, view::whole(&delivery, outcome.as_ref())))
    }

    async fn delivery(&self, id: &str) -> Result<Delivery, Problem> {
        let gone = |detail: String| Problem::new(ProblemKind::NotFound, detail);
        let id: DeliveryId = id
            .parse()
            .map_err(|error: store::keys::InvalidDeliveryId| gone(error.to_string()))?;
        let found = self.store.delivery(&id).await.map_err(Problem::ours)?;
        found.ok_or_else(|| {
            gone("there is no such delivery; it may have been kept long enough".to_owned())
        })
    }
}
