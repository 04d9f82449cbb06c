//! The delivery log: what was received, in words, newest first, what each stack made of it, and each body exactly as it came.
//! It changes nothing of that; it can ask for a delivery to be dispatched again.

mod list;
mod view;

use edge::{
    Problem, ProblemKind,
    config::{self, ConfigError},
    http::{Answer, no_such_method, no_such_path},
};
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use lambda_http::{Body, Request, Response};
use serde::Deserialize;
use serde_json::json;
use store::{AskedAgain, Delivery, DeliveryId, Store, Tables};

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
            // This function has no business there, nor a right to it.
            stacks: String::new(),
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
                self.redeliver(request, id, now).await
            }
            (["deliveries"] | ["deliveries", _], _) => Err(no_such_method("GET")),
            (["deliveries", _, "redelivery"], _) => Err(no_such_method("POST")),
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

    /// `POST /deliveries/{id}/redelivery`: lets it be dispatched again. That makes the runs that were missed, and new ones only
    /// where `rerun` says so.
    async fn redeliver(&self, request: &Request, id: &str, now: Timestamp) -> Answer {
        let body: RedeliveryRequest = edge::http::optional_body(request)?;
        let request = request_id(body.request_id)?;
        let delivery = self.delivery(id).await?;
        if let Some(why) = view::no_event(delivery.head.kind) {
            return Err(Problem::new(ProblemKind::NotAnEvent, why));
        }
        let asked = AskedAgain {
            rerun: body.rerun,
            request: &request,
        };
        let asked = self
            .store
            .redeliver(&delivery.head, asked, self.retention, now)
            .await
            .map_err(Problem::ours)?;
        let body = json!({
            "id": delivery.head.id.to_string(),
            "redelivery": asked.number,
            "rerun": asked.rerun,
        });
        Ok((StatusCode::ACCEPTED, body))
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

/// The body of the request for one redelivery.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct RedeliveryRequest {
    rerun: bool,
    request_id: Option<String>,
}

/// What tells a wish from all others: what the caller calls it by, so that the same again is the same wish.
fn request_id(given: Option<String>) -> Result<String, Problem> {
    match given {
        Some(id) => edge::http::own_id(id, "the same redelivery"),
        None => Ok(uuid::Uuid::new_v4().to_string()),
    }
}
