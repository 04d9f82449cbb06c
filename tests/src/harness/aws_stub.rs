//! Something in the place of an AWS service with a JSON protocol: it keeps what it was asked, and answers as a test wants.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    routing::post,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::in_process::locked;

/// How the bus is called.
pub const PUT_EVENTS: &str = "AWSEvents.PutEvents";
/// How a queue is called.
pub const SEND: &str = "AmazonSQS.SendMessage";

/// A call: its name, as `AWSEvents.PutEvents`, and what it asked.
pub type Call = (String, Value);

/// A service. It ends when it is dropped.
pub struct AwsStub {
    url: String,
    calls: Arc<Mutex<Vec<Call>>>,
    serving: JoinHandle<()>,
}

impl AwsStub {
    /// A service that answers each call, by its name and what it asked, with a status and a body.
    ///
    /// # Errors
    ///
    /// Where no port is to be had.
    pub async fn start(
        answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
    ) -> Result<Self> {
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let answer = Arc::new(answer);
        let kept = Arc::clone(&calls);
        let router = Router::new().route(
            "/",
            post(move |headers: HeaderMap, body: Bytes| {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                async move {
                    let name = headers.get("x-amz-target").and_then(|it| it.to_str().ok());
                    let name = name.unwrap_or_default().to_owned();
                    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
                    let (status, told) = answer(&name, &asked);
                    locked(&kept).push((name, asked));
                    (
                        StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
                        [(CONTENT_TYPE, "application/x-amz-json-1.0")],
                        told.to_string(),
                    )
                }
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let serving = tokio::spawn(async move {
            let _ended = axum::serve(listener, router).await;
        });
        Ok(Self {
            url,
            calls,
            serving,
        })
    }

    /// A bus and a queue that take whatever they are given.
    ///
    /// # Errors
    ///
    /// Where no port is to be had.
    pub async fn that_takes_all() -> Result<Self> {
        Self::start(|name, asked| {
            if name == SEND {
                return (200, json!({ "MessageId": "m" }));
            }
            let entries = asked["Entries"].as_array().map_or(0, Vec::len);
            let taken = vec![json!({ "EventId": "e" }); entries];
            (200, json!({ "FailedEntryCount": 0, "Entries": taken }))
        })
        .await
    }

    /// The SDK's configuration for it.
    pub async fn config(&self) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("stub", "stub", None, None, "stub"))
            .endpoint_url(&self.url)
            .load()
            .await
    }

    /// The same, which is then forgotten.
    #[must_use]
    pub fn take(&self, name: &str) -> Vec<Value> {
        let mut calls = locked(&self.calls);
        let of_name = calls.extract_if(.., |(found, _)| found == name);
        of_name.map(|(_, asked)| asked).collect()
    }

    /// What it was asked under a name, in order.
    #[must_use]
    pub fn asked(&self, name: &str) -> Vec<Value> {
        let calls = locked(&self.calls);
        let of_name = calls.iter().filter(|(found, _)| found == name);
        of_name.map(|(_, asked)| asked.clone()).collect()
    }
}

impl Drop for AwsStub {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
