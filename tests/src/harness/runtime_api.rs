//! Lambda's Runtime API, as <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html> describes it, for the process of
//! one environment.

use std::{sync::Arc, time::SystemTime};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode},
    response::{AppendHeaders, IntoResponse, Response},
    routing::{get, post},
};

use super::{
    api_faults::ApiFault,
    environment::{Environment, Outcome},
};

const TRACE: &str = "Root=1-6afac1ac-b16357a714680e39f1e2a071;Parent=53995c3f42cd8ad8;Sampled=0";

/// The Runtime API of one environment.
pub(super) fn router(environment: Arc<Environment>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(answer))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(failure))
        .route("/2018-06-01/runtime/init/error", post(init_failure))
        .layer(DefaultBodyLimit::disable())
        .with_state(environment)
}

async fn next(State(environment): State<Arc<Environment>>) -> Response {
    environment.finish();
    environment.faults.called_next();
    if let Some(fault) = environment.faults.take(ApiFault::is_of_next) {
        return fault.answer();
    }
    let Some((id, event)) = environment.next().await else {
        return StatusCode::GONE.into_response();
    };
    let deadline = SystemTime::now() + environment.program.timeout;
    let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH);
    let deadline = deadline.unwrap_or_default().as_millis();
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            environment.program.function_arn.clone(),
        ),
        ("lambda-runtime-trace-id", TRACE.to_owned()),
    ];
    (AppendHeaders(headers), event).into_response()
}

async fn answer(
    State(environment): State<Arc<Environment>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    if let Some(fault) = environment.faults.take(ApiFault::is_of_response) {
        if fault == ApiFault::HoldResponse {
            environment.faults.hold().await;
        }
        return fault.answer();
    }
    accepted(environment.conclude(&id, Outcome::Answered(body)))
}

async fn failure(
    State(environment): State<Arc<Environment>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let kind = headers
        .get("lambda-runtime-function-error-type")
        .map(|kind| String::from_utf8_lossy(kind.as_bytes()).into_owned())
        .unwrap_or_default();
    let what = format!("{kind}: {}", String::from_utf8_lossy(&body));
    accepted(environment.conclude(&id, Outcome::Failed(what)))
}

async fn init_failure(State(environment): State<Arc<Environment>>, body: Bytes) -> Response {
    environment.end(format!(
        "Runtime.InitError: {}",
        String::from_utf8_lossy(&body)
    ));
    accepted(true)
}

fn accepted(known: bool) -> Response {
    if known {
        (StatusCode::ACCEPTED, "{\"status\":\"OK\"}").into_response()
    } else {
        let body = "{\"errorMessage\":\"Invalid request ID\",\"errorType\":\"InvalidRequestID\"}";
        (StatusCode::BAD_REQUEST, body).into_response()
    }
}
