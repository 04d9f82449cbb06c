//! The HTTP side: reads a request, lets faults strike, has it answered by the API or by control, records it.

use std::future::pending;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use uuid::Uuid;

use crate::api::{self, Handled};
use crate::control;
use crate::faults::{Fault, FaultKind};
use crate::listener::Cutter;
use crate::records::RecordedRequest;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::shared::Shared;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(handle).with_state(shared)
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    request: Request,
) -> Response {
    let Some(request) = ApiRequest::read(request).await else {
        return Reply::framework_error(413, "The request is too large.").into_response("");
    };
    if request.segments.first().is_some_and(|it| it == "_control") {
        return control::answer(&shared, &request).await.into_response("");
    }
    serve(&shared, &cutter, &request).await
}

async fn serve(shared: &Arc<Shared>, cutter: &Cutter, request: &ApiRequest) -> Response {
    let strike = shared.alter(|world, _| {
        world
            .faults
            .take(request.method.as_str(), &request.path_and_query)
    });
    tokio::time::sleep(strike.delay).await;
    let fault = strike.fault.as_ref();
    let version = api::version::of(request).unwrap_or("7.1").to_owned();
    let reply = match fault.map(Fault::kind) {
        Some(FaultKind::Drop) => {
            record(shared, request, fault, None);
            cutter.cut();
            return Response::new(Body::empty());
        }
        Some(FaultKind::Hang) => {
            record(shared, request, fault, None);
            pending().await
        }
        _ => answer(shared, request, fault).await,
    };
    record(shared, request, fault, Some(reply.status));
    with_usual_headers(reply).into_response(&version)
}

async fn answer(shared: &Arc<Shared>, request: &ApiRequest, fault: Option<&Fault>) -> Reply {
    let host = request.header("host").unwrap_or_default();
    if let Some(reply) = fault.and_then(|it| it.reply(host, &shared.clock)) {
        return reply;
    }
    let reply = match shared.alter(|world, now| api::answer(world, request, now)) {
        Handled::Reply(reply) => reply,
        Handled::Test(test) => test.send(shared).await,
    };
    match fault {
        Some(fault) if fault.kind() == FaultKind::Delayed => fault.limited(reply, &shared.clock),
        _ => reply,
    }
}

fn record(shared: &Arc<Shared>, request: &ApiRequest, fault: Option<&Fault>, status: Option<u16>) {
    let mut headers: Vec<String> = request
        .headers
        .keys()
        .map(|it| it.as_str().to_owned())
        .collect();
    headers.sort();
    let at = crate::clock::stamp(shared.clock.now());
    shared.alter(|world, _| {
        let record = RecordedRequest {
            at,
            method: request.method.to_string(),
            path: request.path_and_query.clone(),
            headers,
            token: api::auth::kind_of_token(world, request).map(str::to_owned),
            status,
            fault: fault.map(Fault::name),
        };
        world.records.request(record);
    });
}

/// Headers that every answer of the service has.
fn with_usual_headers(reply: Reply) -> Reply {
    let activity = Uuid::new_v4().to_string();
    reply
        .with("ActivityId", activity.clone())
        .with("X-VSS-E2EID", activity)
        .with(
            "X-TFS-ProcessId",
            crate::ids::guid_for("process").to_string(),
        )
        .with("Cache-Control", "no-cache, no-store, must-revalidate")
        .with("X-Content-Type-Options", "nosniff")
}
