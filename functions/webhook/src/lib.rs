//! Receives one delivery: authenticate, understand, store once, answer.
//!
//! The answers are the ones that Azure DevOps' rules of retry and probation ask for (functions/README.md has the
//! table). It reads no secret, calls nothing but DynamoDB, and acts on nothing that it receives.

mod credential;
mod delivery;
mod records;

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use domain::{IntegrationName, Status};
use edge::config::{self, ConfigError};
use futures::FutureExt;
use http::{HeaderValue, Method, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use lambda_http::{Body, Request, Response};
use store::{DeliveryKind, Store, StoreError, Tables};

pub use delivery::{Arrival, Kept, keep};
use records::{Moment, Records, Untold, Verdict};

/// An answer has gone out by then, whatever DynamoDB does: the sender's own patience is not known, and 5 s is what is promised.
const BUDGET: Duration = Duration::from_millis(4_500);
/// When to try again after a 503. Azure DevOps has its own waits; other senders read it.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");
/// How often in a row AWS may refuse this instance's credentials before a new instance has to take its place.
const MOST_CREDENTIAL_FAILURES: u32 = 3;

/// The function with what it keeps between invocations.
#[derive(Debug)]
pub struct App {
    store: Store,
    records: Records,
    retention: SignedDuration,
    /// How often in a row AWS has refused this instance's credentials.
    credential_failures: AtomicU32,
}

/// What a deployer decides.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many days a delivery is kept.
    pub retention_days: i64,
    /// How long an instance goes on with what it has read of an integration: as long as that, an integration that is
    /// unlinked, or a password that has been ended at once, may go on being taken.
    pub integration_cache_seconds: u64,
    /// How long an instance does not look again for a password that did not fit.
    pub lookup_rest_seconds: u64,
}

/// What became of a request; each has one answer and one word in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Stored(DeliveryKind),
    /// Stored beside another delivery that has the same keys and says something else.
    Beside(DeliveryKind),
    Duplicate(DeliveryKind),
    Refused,
    Gone,
    Unavailable,
    /// The budget for looking up names is spent: the password may be a new one, so it is not refused.
    Withheld,
    NotPost,
    NoName,
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
        let settings = Settings {
            retention_days: config::required("EVENT_RETENTION_DAYS")?,
            integration_cache_seconds: config::required("INTEGRATION_CACHE_SECONDS")?,
            lookup_rest_seconds: config::required("LOOKUP_REST_SECONDS")?,
        };
        Ok(Self::new(Store::new(&edge::aws().await, tables), settings))
    }

    /// The function on a store.
    #[must_use]
    pub fn new(store: Store, settings: Settings) -> Self {
        Self {
            store,
            records: Records::new(
                Duration::from_secs(settings.integration_cache_seconds),
                Duration::from_secs(settings.lookup_rest_seconds),
            ),
            retention: SignedDuration::from_hours(settings.retention_days * 24),
            credential_failures: AtomicU32::new(0),
        }
    }

    /// Whether this instance should end, so that another one takes its place: AWS goes on refusing its credentials.
    #[must_use]
    pub fn is_worn_out(&self) -> bool {
        self.credential_failures.load(Ordering::Relaxed) >= MOST_CREDENTIAL_FAILURES
    }

    /// Answers one request. Whatever fails in here, an authentic delivery is stored or answered with 503.
    #[expect(clippy::disallowed_methods, reason = "a handler asks the clock, once")]
    pub async fn handle(&self, request: Request) -> Response<Body> {
        let now = Moment {
            time: Timestamp::now(),
            monotonic: Instant::now(),
        };
        let name = integration_name(&request);
        let outcome = guarded(self.outcome(&request, name.as_ref(), now)).await;
        self.log(name.as_ref(), outcome, now);
        outcome.answer()
    }

    async fn outcome(
        &self,
        request: &Request,
        name: Option<&IntegrationName>,
        now: Moment,
    ) -> Outcome {
        if request.method() != Method::POST {
            return Outcome::NotPost;
        }
        let Some(name) = name else {
            return Outcome::NoName;
        };
        let Some(presented) = credential::password_digest(request.headers()) else {
            return Outcome::Refused;
        };
        match self.records.judge(&self.store, name, &presented, now).await {
            Verdict::Authentic(Status::Unlinked) => Outcome::Gone,
            Verdict::Authentic(_) => self.keep(name, request.body().as_ref(), now.time).await,
            Verdict::Refused => Outcome::Refused,
            Verdict::Withheld => Outcome::Withheld,
            Verdict::Unavailable(error) => self.failed(&error, "the integration cannot be read"),
        }
    }

    /// Tells the log what the sender must not know.
    fn failed(&self, error: &StoreError, what: &'static str) -> Outcome {
        tracing::error!(cause = edge::problem::chain(error), "{what}");
        if matches!(error, StoreError::Credentials { .. }) {
            self.credential_failures.fetch_add(1, Ordering::Relaxed);
        } else {
            self.credential_failures.store(0, Ordering::Relaxed);
        }
        Outcome::Unavailable
    }

    /// Stores an authentic delivery, whatever its body is.
    async fn keep(&self, name: &IntegrationName, body: &[u8], received: Timestamp) -> Outcome {
        let arrival = Arrival {
            name,
            body,
            received,
            retention: self.retention,
            recovered: false,
        };
        match keep(&self.store, &arrival).await {
            Ok((kept, _)) => {
                self.credential_failures.store(0, Ordering::Relaxed);
                match kept {
                    Kept::Stored(kind) => Outcome::Stored(kind),
                    Kept::Beside(kind) => Outcome::Beside(kind),
                    Kept::Duplicate(kind) => Outcome::Duplicate(kind),
                }
            }
            Err(error) => self.failed(&error, "a delivery is not stored"),
        }
    }
}

impl App {
    /// One line a delivery; one in a while about all strangers together, so that they cannot buy log lines.
    fn log(&self, name: Option<&IntegrationName>, outcome: Outcome, started: Moment) {
        let (status, word) = outcome.parts();
        let status = status.as_u16();
        let took = started.monotonic.elapsed();
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let untold = match (outcome, name) {
            (Outcome::Refused, Some(name)) => self.records.refused(name, started),
            (Outcome::Withheld, _) => self.records.withheld(started),
            _ => self.records.untold(started),
        };
        if let Some(untold) = untold {
            log_strangers(&untold);
        }
        let integration = name.map_or("", IntegrationName::as_str);
        match outcome {
            Outcome::Refused | Outcome::Withheld | Outcome::NotPost | Outcome::NoName => {
                tracing::debug!(outcome = word, status, duration_ms, "request");
            }
            Outcome::Stored(kind) | Outcome::Beside(kind) | Outcome::Duplicate(kind) => {
                let kind = kind.as_str();
                tracing::info!(
                    outcome = word,
                    kind,
                    status,
                    duration_ms,
                    integration,
                    "request"
                );
            }
            Outcome::Gone | Outcome::Unavailable => {
                tracing::info!(outcome = word, status, duration_ms, integration, "request");
            }
        }
    }
}

/// The outcome of `work`, or that there is none: in time, and whatever happens in it.
async fn guarded(work: impl Future<Output = Outcome>) -> Outcome {
    let in_time = tokio::time::timeout(BUDGET, work);
    match AssertUnwindSafe(in_time).catch_unwind().await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_elapsed)) => {
            tracing::error!("nothing was decided in time");
            Outcome::Unavailable
        }
        Err(_panic) => {
            tracing::error!("a panic was caught; the delivery is answered with 503");
            Outcome::Unavailable
        }
    }
}

/// The integration in `/{name}`; case and a trailing slash do not matter.
fn integration_name(request: &Request) -> Option<IntegrationName> {
    let path = edge::http::path(request).strip_prefix('/')?;
    path.strip_suffix('/')
        .unwrap_or(path)
        .to_ascii_lowercase()
        .parse()
        .ok()
}

impl Outcome {
    /// The status, and the word in the log.
    fn parts(self) -> (StatusCode, &'static str) {
        match self {
            Self::Stored(_) => (StatusCode::OK, "stored"),
            Self::Beside(_) => (StatusCode::OK, "beside"),
            Self::Duplicate(_) => (StatusCode::OK, "duplicate"),
            Self::Refused => (StatusCode::UNAUTHORIZED, "refused"),
            Self::Gone => (StatusCode::GONE, "gone"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Withheld => (StatusCode::SERVICE_UNAVAILABLE, "withheld"),
            Self::NotPost => (StatusCode::METHOD_NOT_ALLOWED, "method"),
            Self::NoName => (StatusCode::NOT_FOUND, "path"),
        }
    }

    /// The answer: no body, so that all refusals are the same bytes.
    fn answer(self) -> Response<Body> {
        let (status, _) = self.parts();
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let more = match status {
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, RETRY_AFTER)),
            StatusCode::METHOD_NOT_ALLOWED => {
                Some((header::ALLOW, HeaderValue::from_static("POST")))
            }
            // RFC 9110 asks for it. Whether a function URL passes it on under this name is not known (facts/aws.md, 8).
            StatusCode::UNAUTHORIZED => Some((
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"Stackhook\", charset=\"UTF-8\""),
            )),
            _ => None,
        };
        headers.extend(more.map(|(name, value)| (Some(name), value)));
        response
    }
}

/// One line about what strangers were answered: whatever their names, so that the time an answer takes tells nothing.
fn log_strangers(untold: &Untold) {
    let Untold {
        known,
        unknown,
        withheld,
        ..
    } = *untold;
    let integration = untold.name.as_ref().map_or("", IntegrationName::as_str);
    tracing::info!(
        refused_known = known,
        refused = unknown,
        withheld,
        integration,
        "strangers"
    );
}

#[cfg(test)]
mod tests {
    use lambda_http::RequestExt;

    use super::*;

    #[test]
    fn the_name_is_read_from_the_path_and_nowhere_else() {
        let name = |path: &str| {
            integration_name(&Request::new(Body::Empty).with_raw_http_path(path)).map(String::from)
        };
        for path in ["/acme", "/acme/", "/ACME", "/Acme/"] {
            assert_eq!(name(path).as_deref(), Some("acme"), "{path}");
        }
        let long = format!("/{}", "a".repeat(8_192));
        for path in [
            "/", "//", "//acme", "/acme//", "/acme/x", "/..", "/%2e%2e", "/../acme", "/a%62c",
            "/acme?x", "acme", &long,
        ] {
            assert_eq!(name(path), None, "{path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn s6_r1_what_never_ends_and_what_panics_is_answered_with_503() {
        let never = guarded(std::future::pending()).await;
        let panics = guarded(async { panic!("planted") }).await;
        for outcome in [never, panics] {
            let answer = outcome.answer();
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(answer.headers().contains_key(header::RETRY_AFTER));
        }
    }
}
