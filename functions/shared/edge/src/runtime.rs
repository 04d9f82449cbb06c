//! A function's life: its log, its AWS configuration, and the loop of the Lambda runtime around its handler.

use std::{convert::Infallible, future::Future};

use aws_config::{BehaviorVersion, SdkConfig};
use lambda_http::{Adapter, Body, Error, Request, Response, service_fn};
use tracing::Level;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config;

/// Our own crates. Others log warnings at the most: what an HTTP client or an SDK tells at a finer level can have headers in
/// it, and those have secrets.
const OURS: [&str; 8] = [
    "setup",
    "webhook",
    "deliveries",
    "unlink",
    "ado",
    "edge",
    "secrets",
    "store",
];

/// Starts the log: one JSON object a line on standard output, as Lambda's `JSON` log format wants it, at the level that
/// Lambda was configured with (`AWS_LAMBDA_LOG_LEVEL`, else `INFO`).
pub fn init_logs() {
    let level = config::optional("AWS_LAMBDA_LOG_LEVEL").and_then(|level| level.parse().ok());
    let level: Level = level.unwrap_or(Level::INFO);
    let ours = Targets::new()
        .with_default(Level::WARN)
        .with_targets(OURS.map(|name| (name, level)));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .with_ansi(false)
        .with_current_span(false)
        .with_span_list(false);
    tracing_subscriber::registry().with(ours).with(lines).init();
}

/// The configuration of the AWS SDK: region and credentials as Lambda gives them, or `AWS_ENDPOINT_URL` for the local AWS.
pub async fn aws() -> SdkConfig {
    aws_config::load_defaults(BehaviorVersion::latest()).await
}

/// Runs a handler that always has an answer.
///
/// # Errors
///
/// Only when the Lambda runtime itself cannot go on.
pub async fn serve<H, F>(handler: H) -> Result<(), Error>
where
    H: Fn(Request) -> F,
    F: Future<Output = Response<Body>> + Send,
{
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    lambda_runtime::run(Adapter::from(service)).await
}
