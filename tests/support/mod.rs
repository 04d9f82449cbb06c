//! What tests share: the functions in process on tables of the tests' own and the stack's secrets, with names of their own, so that tests
//! can run at the same time.

pub(crate) mod caring;
pub(crate) mod dispatching;
pub(crate) mod schemas;

use std::time::{Duration, Instant};

use ado::Ado;
use anyhow::{Context, Result, ensure};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{IntegrationName, Organization, OrganizationName, PasswordDigest, Status};
use integration_tests::{Answer, Portal, Stack};
use jiff::Timestamp;
use lambda_http::{Body, Request};
use secrets::Secrets;
use serde_json::Value;
use simulator::{Config as SimulatorConfig, Running, Simulator};
use store::{
    Claim, Store, Tables,
    keys::{INTEGRATION, PARTITION, SORT},
};

pub(crate) use integration_tests::{
    harness::{self, ApiFault, AwsStub, Fate, Fleet, FleetOptions, Outcome, Tap, answer},
    in_process::{
        CACHE_SECONDS, REST_SECONDS, RETENTION_DAYS, json, locked, new_name, now, parts, request,
        send,
    },
};

/// How many days runs are kept.
pub(crate) const RUN_RETENTION_DAYS: i64 = 365;

/// The local stack with what is needed to run functions on it in process.
pub(crate) struct Bed {
    pub(crate) stack: Stack,
    /// Where `setup` asks for parked deliveries to go on: the stack's own queue, unless a test looks at its own.
    pub(crate) setup_queue: String,
}

impl AsRef<Stack> for Bed {
    fn as_ref(&self) -> &Stack {
        &self.stack
    }
}

/// An integration that was made for a test, without Azure DevOps.
#[derive(Clone)]
pub(crate) struct Linked {
    pub(crate) name: IntegrationName,
    pub(crate) password: String,
}

impl Bed {
    pub(crate) fn new() -> Result<Self> {
        let stack = Stack::of_this_test()?;
        Ok(Self {
            setup_queue: stack.description.queues.dispatch.clone(),
            stack,
        })
    }

    /// The SDK's configuration against `endpoint`, as the account's root.
    pub(crate) async fn aws_at(&self, endpoint: &str) -> SdkConfig {
        self.stack.aws_at(endpoint).await
    }

    pub(crate) fn tables(&self) -> Tables {
        self.stack.scratch()
    }

    pub(crate) async fn store_at(&self, endpoint: &str) -> Store {
        self.stack.store_at(endpoint).await
    }

    pub(crate) async fn store(&self) -> Store {
        self.store_at(&self.stack.description.endpoint_url).await
    }

    pub(crate) async fn secrets_at(&self, endpoint: &str) -> Secrets {
        self.stack.secrets_at(endpoint).await
    }

    pub(crate) async fn secrets(&self) -> Secrets {
        self.secrets_at(&self.stack.description.endpoint_url).await
    }

    /// The webhook with DynamoDB at `endpoint`.
    pub(crate) async fn webhook_at(&self, endpoint: &str) -> webhook::App {
        let settings = webhook::Settings {
            retention_days: RETENTION_DAYS,
            integration_cache_seconds: CACHE_SECONDS,
            lookup_rest_seconds: REST_SECONDS,
        };
        webhook::App::new(self.store_at(endpoint).await, settings)
    }

    pub(crate) async fn webhook(&self) -> webhook::App {
        self.webhook_at(&self.stack.description.endpoint_url).await
    }

    pub(crate) async fn deliveries(&self) -> deliveries::App {
        deliveries::App::new(self.store().await, RETENTION_DAYS)
    }

    pub(crate) async fn unlink(&self) -> unlink::App {
        self.unlink_at(&self.stack.description.endpoint_url).await
    }

    /// `unlink` with AWS at `endpoint`, for integrations that have no service hooks.
    pub(crate) async fn unlink_at(&self, endpoint: &str) -> unlink::App {
        self.unlink_of(&self.stack.description.azure_dev_ops.url, endpoint)
            .await
    }

    /// `unlink` with Azure DevOps and AWS at these addresses.
    pub(crate) async fn unlink_of(&self, azure_devops: &str, endpoint: &str) -> unlink::App {
        unlink::App::new(
            self.store_at(endpoint).await,
            self.secrets_at(endpoint).await,
            Ado::with_patience(Duration::from_secs(5)).expect("TLS can be set up"),
            azure_devops.to_owned(),
            RUN_RETENTION_DAYS,
        )
    }

    pub(crate) async fn runs(&self) -> runs::App {
        self.runs_at(&self.stack.description.endpoint_url).await
    }

    /// `runs` with DynamoDB at `endpoint`.
    pub(crate) async fn runs_at(&self, endpoint: &str) -> runs::App {
        runs::App::new(self.store_at(endpoint).await, RUN_RETENTION_DAYS)
    }

    /// `stacks` against a simulator.
    pub(crate) async fn stacks(&self, azure_devops: &Running) -> Result<stacks::App> {
        self.stacks_at(azure_devops, &self.stack.description.endpoint_url)
            .await
    }

    /// The same with AWS at `endpoint`.
    pub(crate) async fn stacks_at(
        &self,
        azure_devops: &Running,
        endpoint: &str,
    ) -> Result<stacks::App> {
        Ok(stacks::App::new(
            self.store_at(endpoint).await,
            self.secrets_at(endpoint).await,
            Ado::new()?,
            azure_devops.url().to_owned(),
            RUN_RETENTION_DAYS,
        ))
    }

    /// `setup` against a simulator.
    pub(crate) async fn setup(&self, azure_devops: &Running) -> Result<setup::App> {
        self.setup_at(azure_devops, &self.stack.description.endpoint_url)
            .await
    }

    /// The same with AWS at `endpoint`.
    pub(crate) async fn setup_at(
        &self,
        azure_devops: &Running,
        endpoint: &str,
    ) -> Result<setup::App> {
        let queue = self.setup_queue.clone();
        self.stack
            .setup_at(endpoint, azure_devops.url(), queue)
            .await
    }

    /// An integration that `setup` has made, against a simulator.
    pub(crate) async fn set_up(
        &self,
        setup: &setup::App,
        azure_devops: &Running,
    ) -> Result<Linked> {
        self.set_up_as(setup, azure_devops, &new_name("set-up"))
            .await
    }

    /// The same under a name.
    pub(crate) async fn set_up_as(
        &self,
        setup: &setup::App,
        azure_devops: &Running,
        name: &str,
    ) -> Result<Linked> {
        let wanted = serde_json::json!({
            "name": name,
            "organizationUrl": azure_devops.organization_url(),
            "personalAccessToken": azure_devops.token("good"),
        });
        let created = json(setup.handle(send("POST", "/integrations", &wanted)).await)?;
        let password = created["webhook"]["password"].as_str();
        Ok(Linked {
            name: name.parse()?,
            password: password.context("no password")?.to_owned(),
        })
    }

    /// What a process that died holds ends by itself after two minutes; for a test, now.
    pub(crate) async fn two_minutes_pass(&self, name: &str) -> Result<()> {
        let aws = self.aws_at(&self.stack.description.endpoint_url).await;
        let client = aws_sdk_dynamodb::Client::new(&aws);
        for attribute in ["claimed_until", "removing_until"] {
            let past = AttributeValue::S("2026-01-01T00:00:00.0000000Z".to_owned());
            let update = client
                .update_item()
                .table_name(self.tables().integrations)
                .key(PARTITION, AttributeValue::S(name.to_owned()))
                .key(SORT, AttributeValue::S(INTEGRATION.to_owned()))
                .update_expression("SET #until = :past")
                .condition_expression("attribute_exists(#until)")
                .expression_attribute_names("#until", attribute)
                .expression_attribute_values(":past", past);
            if let Err(error) = update.send().await {
                let is_absent = error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception());
                ensure!(is_absent, "{error:?}");
            }
        }
        Ok(())
    }

    /// An active integration with a password, written to the store alone.
    pub(crate) async fn linked(&self) -> Result<Linked> {
        self.linked_since(now()).await
    }

    /// The same, as if it had been set up at another time.
    pub(crate) async fn linked_since(&self, at: Timestamp) -> Result<Linked> {
        let store = self.store().await;
        let name: IntegrationName = new_name("linked").parse()?;
        let organization = Organization::new(
            "https://dev.azure.com",
            "tidewater".parse::<OrganizationName>()?,
        );
        let nonce = uuid::Uuid::new_v4().to_string();
        let claim = Claim {
            name: &name,
            nonce: &nonce,
            organization: &organization,
        };
        ensure!(
            matches!(store.claim(&claim, at).await?, store::Claimed::Yes { .. }),
            "the name is taken"
        );
        let integration = domain::Integration {
            name: name.clone(),
            organization,
            status: Status::Active,
            description: None,
            labels: domain::Labels::default(),
            token_expires_on: None,
            connection: None,
            name_since: at,
            created_at: at,
            updated_at: at,
        };
        let password = secrets::generate_password()?.expose().to_owned();
        store
            .activate(
                &integration,
                &PasswordDigest::of(password.as_bytes()),
                &nonce,
            )
            .await?;
        Ok(Linked { name, password })
    }

    /// The deliveries of an integration, newest first, as the delivery log shows them.
    pub(crate) async fn log_of(&self, name: &str) -> Result<Vec<Value>> {
        let app = self.deliveries().await;
        let path = format!("/deliveries?integration={name}&pageSize=100");
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let body = json(app.handle(get(&format!("{path}{token}"))).await)?;
            let page = body["deliveries"].as_array().context("no deliveries")?;
            all.extend(page.iter().cloned());
            let Some(next) = body["nextPageToken"].as_str() else {
                return Ok(all);
            };
            token = format!("&pageToken={next}");
        }
    }

    /// One delivery, with its payload.
    pub(crate) async fn delivery(&self, row: &Value) -> Result<Value> {
        let id = row["id"].as_str().context("no id")?;
        json(
            self.deliveries()
                .await
                .handle(get(&format!("/deliveries/{id}")))
                .await,
        )
    }
}

/// A simulator of this test's own.
pub(crate) async fn azure_devops() -> Result<Running> {
    Ok(Simulator::start(SimulatorConfig::default()).await?)
}

/// A client for what listens on this machine: no proxy is asked, whatever the environment says.
pub(crate) fn http_client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy();
    client.build().expect("a client of known parts")
}

/// The people and the portal of a simulator.
pub(crate) fn portal(azure_devops: &Running) -> Result<Portal> {
    Ok(Portal::new(http_client(), azure_devops.url()))
}

/// A call of the local AWS by its JSON protocol, as the account's root.
pub(crate) async fn aws(stack: &Stack, service: &str, target: &str, body: Value) -> Result<Value> {
    let headers = [
        ("x-amz-target", target),
        ("content-type", "application/x-amz-json-1.1"),
    ];
    let (keys, url) = (
        &stack.description.admin,
        format!("{}/", stack.description.endpoint_url),
    );
    stack
        .signed(
            keys,
            service,
            reqwest::Method::POST,
            &url,
            &headers,
            body.to_string(),
        )
        .await?
        .expect(200)
}

/// A delivery as the function URL hands it over.
pub(crate) fn delivery(linked: &Linked, body: impl Into<Vec<u8>>) -> Request {
    with_password(linked.name.as_str(), &linked.password, body)
}

/// Hands a delivery to the webhook; gives the status it is answered with.
pub(crate) async fn post(
    app: &webhook::App,
    linked: &Linked,
    body: impl Into<Vec<u8>>,
) -> http::StatusCode {
    app.handle(delivery(linked, body)).await.status()
}

/// A delivery for any name with any password.
pub(crate) fn with_password(name: &str, password: &str, body: impl Into<Vec<u8>>) -> Request {
    let authorization = basic(password);
    request(
        "POST",
        &format!("/{name}"),
        &[("authorization", &authorization)],
        Body::Binary(body.into()),
    )
}

/// The event of a delivery.
pub(crate) fn url_event(linked: &Linked, body: &str) -> Value {
    let request = http::Request::post(format!("/{}", linked.name.as_str()))
        .header(http::header::AUTHORIZATION, basic(&linked.password))
        .header(
            http::header::CONTENT_TYPE,
            "application/json; charset=utf-8",
        )
        .body(())
        .expect("a request of known parts");
    harness::event(&request.into_parts().0, body.as_bytes())
}

/// What Azure DevOps authenticates with: the password, and no user.
pub(crate) fn basic(password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!(":{password}")))
}

pub(crate) fn get(path: &str) -> Request {
    request("GET", path, &[], Body::Empty)
}

/// The last part of a problem's type.
pub(crate) fn problem(body: &Value) -> &str {
    body["type"]
        .as_str()
        .and_then(|kind| kind.rsplit(':').next())
        .unwrap_or("no problem")
}

/// An event that is new: a sample from `events/ado` with an id and a creation date of its own.
pub(crate) fn new_event(sample: &str) -> Value {
    let mut event: Value = serde_json::from_slice(&sample_bytes(sample)).expect("samples are JSON");
    event["id"] = uuid::Uuid::new_v4().to_string().into();
    event["createdDate"] = store::keys::seven_digits(now()).into();
    event
}

/// A file of `events/`.
pub(crate) fn sample_bytes(path: &str) -> Vec<u8> {
    let file = format!("{}/../events/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Asks again until the answer is as wanted; gives the last one where it never is.
pub(crate) async fn until<F, Fut>(
    at_most: Duration,
    wanted: impl Fn(&Answer) -> bool,
    ask: F,
) -> Result<Answer>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Answer>>,
{
    let end = Instant::now() + at_most;
    loop {
        let answer = ask().await?;
        if wanted(&answer) || Instant::now() > end {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
