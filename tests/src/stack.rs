//! A local stack, as `stack.json` describes it (tests/README.md).

use std::{collections::BTreeMap, path::PathBuf, time::SystemTime};

use anyhow::{Context, Result, bail};
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use reqwest::{Client, Method};
use serde::Deserialize;
use serde_json::Value;

use crate::Portal;

/// The functions that have a URL for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Integrations and the picker.
    Setup,
    /// Stacks and modules.
    Stacks,
    /// The delivery log.
    Deliveries,
    /// Unlinking.
    Unlink,
    /// Runs.
    Runs,
}

/// What `stack.json` says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// The AWS region.
    pub region: String,
    /// The key of a user who has the `operator` policy and nothing else.
    pub access_key_id: String,
    /// That user's secret key.
    pub secret_access_key: String,
    /// The base URL of each function.
    pub setup: String,
    /// The webhook's.
    pub webhook: String,
    /// The delivery log's.
    pub deliveries: String,
    /// Stacks' and modules'.
    pub stacks: String,
    /// Unlinking's.
    pub unlink: String,
    /// Runs'.
    pub runs: String,
    /// The keys of a user who has the `executor` policy and nothing else.
    pub executor: Keys,
    /// The simulator.
    pub azure_dev_ops: AzureDevOps,
    /// The local AWS.
    pub endpoint_url: String,
    /// The environment's name, which the functions' names have in them.
    pub environment: String,
    /// The keys of the account's root, for looking behind the functions.
    pub admin: Keys,
    /// The names of the tables.
    pub tables: BTreeMap<String, String>,
    /// The names of tables like those with nothing behind them, for functions that run in process.
    pub scratch_tables: BTreeMap<String, String>,
    /// The name of the bus that runs are announced on.
    pub event_bus: String,
    /// The queues.
    pub queues: Queues,
    /// What the names of all secrets start with.
    pub secret_prefix: String,
    /// The log group of each function.
    pub log_groups: BTreeMap<String, String>,
    /// The stack's folder: state, logs.
    pub directory: PathBuf,
}

/// Keys to sign with.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Keys {
    /// The key's id.
    pub access_key_id: String,
    /// The secret key.
    pub secret_access_key: String,
}

/// The URLs of the queues.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Queues {
    /// What `dispatch` is to do later.
    pub dispatch: String,
    /// What of that has failed too often.
    pub dispatch_dead_letter: String,
    /// Changes of runs, for `report`.
    pub report: String,
    /// What of these it gave up.
    pub report_dead_letter: String,
    /// What `announce` could not put on the bus.
    pub announce_failure: String,
}

/// The simulator of Azure DevOps.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AzureDevOps {
    /// Its address.
    pub url: String,
    /// The organization that is linked.
    pub organization_url: String,
    /// A token that it accepts.
    pub personal_access_token: String,
    /// Tokens of each kind, by the simulator's names for them.
    pub tokens: BTreeMap<String, String>,
}

/// A local stack, and a client for it.
#[derive(Clone, Debug)]
pub struct Stack {
    /// What `stack.json` says.
    pub description: Description,
    http: Client,
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub text: String,
}

impl Answer {
    /// Reads an answer whole.
    ///
    /// # Errors
    ///
    /// Where the connection breaks.
    pub async fn read(response: reqwest::Response) -> Result<Self> {
        Ok(Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await?,
        })
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// Where it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text)
            .with_context(|| format!("status {}, no JSON: {}", self.status, self.text))
    }

    /// The body as JSON, if the status is the expected one.
    ///
    /// # Errors
    ///
    /// Where it is another.
    pub fn expect(&self, status: u16) -> Result<Value> {
        if self.status != status {
            bail!(
                "expected status {status}, got {}: {}",
                self.status,
                self.text
            );
        }
        if self.text.is_empty() {
            Ok(Value::Null)
        } else {
            self.json()
        }
    }
}

impl AsRef<Self> for Stack {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Stack {
    /// The stack that a `stack.json` describes.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read.
    pub fn load(path: &str) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("no stack at {path}: start one with `make up`"))?;
        Ok(Self {
            description: serde_json::from_str(&text)
                .with_context(|| format!("{path} is not understood"))?,
            http: Client::builder().no_proxy().build()?,
        })
    }

    /// The stack that `STACKHOOK_STACK` names, which `make test` starts.
    ///
    /// # Errors
    ///
    /// Where there is none.
    #[expect(
        clippy::disallowed_methods,
        reason = "tests are no function: edge::config is not for them"
    )]
    pub fn of_this_test() -> Result<Self> {
        let path = std::env::var("STACKHOOK_STACK")
            .context("these tests need a local stack: run them with `make test`, or `make up` and STACKHOOK_STACK=.local/stack.json")?;
        Self::load(&path)
    }

    /// The simulator's people.
    #[must_use]
    pub fn portal(&self) -> Portal {
        Portal::new(self.http.clone(), &self.description.azure_dev_ops.url)
    }

    /// Calls a function as an operator does: signed with SigV4.
    ///
    /// # Errors
    ///
    /// Where no answer comes.
    pub async fn call(
        &self,
        function: Function,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let base = match function {
            Function::Setup => &self.description.setup,
            Function::Stacks => &self.description.stacks,
            Function::Deliveries => &self.description.deliveries,
            Function::Unlink => &self.description.unlink,
            Function::Runs => &self.description.runs,
        };
        let keys = Keys {
            access_key_id: self.description.access_key_id.clone(),
            secret_access_key: self.description.secret_access_key.clone(),
        };
        let body = body.map(ToString::to_string).unwrap_or_default();
        self.signed(
            &keys,
            "lambda",
            method,
            &format!("{base}{path}"),
            &[("content-type", "application/json")],
            body,
        )
        .await
    }

    /// A signed call of any service.
    ///
    /// # Errors
    ///
    /// Where it cannot be signed, or no answer comes.
    pub async fn signed(
        &self,
        keys: &Keys,
        service: &str,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Answer> {
        let identity = Credentials::new(
            &keys.access_key_id,
            &keys.secret_access_key,
            None,
            None,
            "stack.json",
        )
        .into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.description.region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?;
        let signable = SignableRequest::new(
            method.as_str(),
            url,
            headers.iter().copied(),
            SignableBody::Bytes(body.as_bytes()),
        )?;
        let (instructions, _) = sign(signable, &parameters.into())?.into_parts();
        let mut request = http::Request::builder()
            .method(method)
            .uri(url)
            .body(body)?;
        for (name, value) in headers {
            request.headers_mut().insert(
                http::HeaderName::try_from(*name)?,
                http::HeaderValue::from_str(value)?,
            );
        }
        instructions.apply_to_request_http1x(&mut request);
        Answer::read(self.http.execute(request.try_into()?).await?).await
    }

    /// Invokes a function that has no URL, as its schedule does, and waits for what it answers.
    ///
    /// # Errors
    ///
    /// Where the local AWS refuses, or the function fails.
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Value> {
        let Description {
            endpoint_url,
            environment,
            admin,
            ..
        } = &self.description;
        let url = format!(
            "{endpoint_url}/2015-03-31/functions/stackhook-{environment}-{function}/invocations"
        );
        let body = event.to_string();
        let answer = self
            .signed(admin, "lambda", Method::POST, &url, &[], body)
            .await?;
        if answer.headers.contains_key("x-amz-function-error") {
            bail!("{function} failed: {}", answer.text);
        }
        answer.expect(200)
    }

    /// Sends a delivery to an endpoint as Azure DevOps does: Basic authentication with an empty username.
    ///
    /// # Errors
    ///
    /// Where no answer comes.
    pub async fn deliver(
        &self,
        endpoint: &str,
        password: &str,
        body: impl Into<Vec<u8>>,
    ) -> Result<Answer> {
        let request = self
            .http
            .post(endpoint)
            .basic_auth("", Some(password))
            .header("content-type", "application/json; charset=utf-8")
            .body(body.into());
        Answer::read(request.send().await?).await
    }

    /// A call without any signature or password.
    ///
    /// # Errors
    ///
    /// Where no answer comes.
    pub async fn stranger(&self, method: Method, url: &str) -> Result<Answer> {
        Answer::read(self.http.request(method, url).send().await?).await
    }
}
