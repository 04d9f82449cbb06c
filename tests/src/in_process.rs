//! Functions in process, on the scratch tables and the secrets of a local stack: what tests and the benches share of it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ado::Ado;
use anyhow::{Result, ensure};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use jiff::Timestamp;
use lambda_http::{Body, Request, RequestExt, Response};
use secrets::Secrets;
use serde_json::Value;
use store::{Store, Tables};

use crate::{Stack, stack::Keys};

/// How long a warm instance goes on with what it has read, in tests that do not wait for it.
pub const CACHE_SECONDS: u64 = 60;
/// How long an instance does not look again for a password that did not fit: what is waited for whenever a password is given
/// away. Five seconds where it is deployed.
pub const REST_SECONDS: u64 = 1;
/// How many days deliveries are kept.
pub const RETENTION_DAYS: i64 = 30;

/// A lock whose holder panicked is still good here.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The moment of a test; the one place where tests ask the clock.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "tests have to know the time, as handlers do"
)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A name that no other test has.
#[must_use]
pub fn new_name(purpose: &str) -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    format!("{purpose}-{}", &id[..12])
}

impl Stack {
    /// The SDK's configuration against `endpoint`, as the account's root.
    pub async fn aws_at(&self, endpoint: &str) -> SdkConfig {
        let Keys {
            access_key_id,
            secret_access_key,
        } = self.description.admin.clone();
        aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(self.description.region.clone()))
            .credentials_provider(Credentials::new(
                access_key_id,
                secret_access_key,
                None,
                None,
                "stack.json",
            ))
            .endpoint_url(endpoint)
            .load()
            .await
    }

    /// The tables with no stream.
    #[must_use]
    pub fn scratch(&self) -> Tables {
        let table = |name: &str| self.description.scratch_tables[name].clone();
        Tables {
            integrations: table("integrations"),
            events: table("events"),
            stacks: table("stacks"),
        }
    }

    /// The scratch tables with DynamoDB at `endpoint`.
    pub async fn store_at(&self, endpoint: &str) -> Store {
        Store::new(&self.aws_at(endpoint).await, self.scratch())
    }

    /// The secrets, at `endpoint`.
    pub async fn secrets_at(&self, endpoint: &str) -> Secrets {
        Secrets::new(
            &self.aws_at(endpoint).await,
            self.description.secret_prefix.clone(),
            7,
        )
    }

    /// `setup` with AWS at `endpoint`, Azure DevOps at `azure_devops`, and the queue where it asks for parked deliveries to go on.
    ///
    /// # Errors
    ///
    /// Where no client of Azure DevOps can be made.
    pub async fn setup_at(
        &self,
        endpoint: &str,
        azure_devops: &str,
        queue: String,
    ) -> Result<setup::App> {
        let config = setup::Config {
            azure_devops_url: azure_devops.to_owned(),
            webhook_url: self.description.webhook.clone(),
            lookup_rest: Duration::from_secs(REST_SECONDS),
        };
        Ok(setup::App::new(
            self.store_at(endpoint).await,
            self.secrets_at(endpoint).await,
            Ado::new()?,
            queues::Queue::new(&self.aws_at(endpoint).await, queue),
            config,
        ))
    }
}

/// Any request, as a function behind a URL gets it.
///
/// # Panics
///
/// Where these are no parts of a request.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut request = http::Request::builder().method(method).uri("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body).expect("a request of known parts");
    let query: aws_lambda_events::query_map::QueryMap = query.parse().expect("never fails");
    request
        .with_raw_http_path(path)
        .with_query_string_parameters(query)
}

/// A request with a JSON body.
#[must_use]
pub fn send(method: &str, path: &str, body: &Value) -> Request {
    request(method, path, &[], Body::from(body.to_string()))
}

/// The body of a successful answer.
///
/// # Errors
///
/// Where it is another answer, or no JSON.
pub fn json(response: Response<Body>) -> Result<Value> {
    let (status, body) = parts(&response)?;
    ensure!((200..300).contains(&status), "status {status}: {body}");
    Ok(body)
}

/// Status and JSON body of any answer.
///
/// # Errors
///
/// Where the body is no JSON.
pub fn parts(response: &Response<Body>) -> Result<(u16, Value)> {
    let bytes: &[u8] = response.body().as_ref();
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(bytes)?
    };
    Ok((response.status().as_u16(), body))
}
