//! A function's life: its log, its AWS configuration, and the loop of the Lambda runtime around its handler.

use std::{
    convert::Infallible,
    future::Future,
    time::{Duration, SystemTime},
};

use aws_config::{BehaviorVersion, SdkConfig};
use base64::{Engine, engine::general_purpose::STANDARD};
use lambda_http::{
    Adapter, Body, Context, Error, LambdaEvent, Request, Response, Service, request::LambdaRequest,
    service_fn,
};
use percent_encoding::{AsciiSet, CONTROLS};
use serde::{Serialize, de::DeserializeOwned};
use tracing::{Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    filter::Targets, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config;

/// Our own crates. Others log warnings at the most: what an HTTP client or an SDK tells at a finer level can have headers in
/// it, and those have secrets.
const OURS: [&str; 19] = [
    "setup",
    "webhook",
    "deliveries",
    "stacks",
    "dispatch",
    "announce",
    "runs",
    "report",
    "reconcile",
    "unlink",
    "ado",
    "baseline",
    "bus",
    "connection",
    "edge",
    "hooks",
    "queues",
    "secrets",
    "store",
];

/// What may not stand in a URI's query (RFC 3986), as far as the `http` crate refuses it. A percent sign stays: what is encoded
/// already is left alone.
const NOT_IN_A_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// Starts the log: on standard output, at the level that Lambda was configured with (`AWS_LAMBDA_LOG_LEVEL`, else `INFO`).
///
/// A panic is a line of it too: where it was, and not what it says, since that may quote what was received.
pub fn init_logs() {
    let level = config::optional("AWS_LAMBDA_LOG_LEVEL").and_then(|level| level.parse().ok());
    log_to(std::io::stdout, level.unwrap_or(Level::INFO)).init();
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        tracing::error!(at, "a panic");
    }));
}

/// A log that is written to `writer`: one JSON object a line, as Lambda's `JSON` log format wants it.
pub fn log_to<W>(writer: W, level: Level) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let levels = Targets::new()
        .with_default(Level::WARN)
        .with_targets(OURS.map(|name| (name, level)))
        // It tells of an error that another one takes the place of, with all that is in it.
        .with_target("aws_smithy_runtime_api", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .with_writer(writer)
        .with_ansi(false)
        .with_current_span(false)
        .with_span_list(false);
    tracing_subscriber::registry().with(levels).with(lines)
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
    H: Fn(Request) -> F + Clone,
    F: Future<Output = Response<Body>> + Send,
{
    serve_until(handler, || false).await
}

/// As [`serve`], until the instance is worn out: then it ends when it is called next.
///
/// The platform starts another one. The caller gets a 502 for that, as for any crash, which Azure DevOps answers by trying again.
///
/// # Errors
///
/// As [`serve`].
pub async fn serve_until<H, F>(handler: H, is_worn_out: impl Fn() -> bool) -> Result<(), Error>
where
    H: Fn(Request) -> F + Clone,
    F: Future<Output = Response<Body>> + Send,
{
    let adapter = Adapter::from(service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    }));
    let tidied = service_fn(move |mut event: LambdaEvent<LambdaRequest>| {
        if is_worn_out() {
            tracing::error!("this instance is worn out; it makes room for another one");
            std::process::exit(1);
        }
        tidy(&mut event.payload);
        adapter.clone().call(event)
    });
    lambda_runtime::run(tidied).await
}

/// Runs the handler of a function without HTTP: an event comes in by its type, what it answers is said to whoever called.
///
/// An error, as a panic, is an answer too: whoever called sends the same event again, as far as it does that.
///
/// # Errors
///
/// Only when the Lambda runtime itself cannot go on.
pub async fn serve_events<H, F, E, R>(handler: H) -> Result<(), Error>
where
    H: Fn(E, Context) -> F,
    F: Future<Output = Result<R, Error>>,
    E: DeserializeOwned,
    R: Serialize,
{
    lambda_runtime::run(service_fn(|event: LambdaEvent<E>| {
        handler(event.payload, event.context)
    }))
    .await
}

/// How long an invocation may still take until the platform ends it.
#[must_use]
pub fn time_left(context: &Context) -> Duration {
    let left = context.deadline().duration_since(SystemTime::now());
    left.unwrap_or_default()
}

/// Makes of an event what `lambda_http` 1.3.2 can turn into a request. It puts the raw query string into a URI as it is, and
/// decodes a body that is said to be base64; where that fails it panics, which would be before any handler.
fn tidy(request: &mut LambdaRequest) {
    let LambdaRequest::ApiGatewayV2(event) = request else {
        return;
    };
    if let Some(query) = &mut event.raw_query_string {
        *query = percent_encoding::utf8_percent_encode(query, NOT_IN_A_QUERY).to_string();
    }
    let body = event.body.as_deref().unwrap_or_default();
    // What is none is passed on as it came.
    event.is_base64_encoded = event.is_base64_encoded && STANDARD.decode(body).is_ok();
}

#[cfg(test)]
mod tests {
    use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;

    use super::*;

    #[test]
    fn a_query_that_is_no_part_of_a_uri_becomes_one() {
        let mut event = ApiGatewayV2httpRequest::default();
        event.raw_query_string = Some("a=<b c>&d=%41\"".to_owned());
        let mut request = LambdaRequest::ApiGatewayV2(event);
        tidy(&mut request);
        let LambdaRequest::ApiGatewayV2(event) = request else {
            panic!("another event")
        };
        let query = event.raw_query_string.unwrap();
        assert_eq!(query, "a=%3Cb%20c%3E&d=%41%22");
        assert!(format!("https://x.y/?{query}").parse::<http::Uri>().is_ok());
    }

    #[test]
    fn p10_a_body_that_is_no_base64_is_not_decoded() {
        for (body, is_base64) in [("e30=", true), ("e30", false), ("{}", false), ("", true)] {
            let mut event = ApiGatewayV2httpRequest::default();
            event.body = Some(body.to_owned());
            event.is_base64_encoded = true;
            let mut request = LambdaRequest::ApiGatewayV2(event);
            tidy(&mut request);
            let LambdaRequest::ApiGatewayV2(event) = request else {
                panic!("another event")
            };
            assert_eq!(event.is_base64_encoded, is_base64, "{body}");
            assert_eq!(event.body.as_deref(), Some(body));
        }
    }
}
