//! The control API: what stands in for a person at the portal, a developer at a keyboard, and a test that wants to see or to spoil things.
//! JSON, on loopback, without a token. It publishes events, but never answers for Azure DevOps.
//!
//! `README.md` beside this crate has the calls.

mod code;
mod hooks;
mod knobs;
mod people;
pub(crate) mod settle;

use std::sync::Arc;

use axum::http::Method;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::developer::Refused;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::shared::Shared;

type Answer = Result<Reply, Reply>;

/// Answers a control call.
pub(crate) async fn answer(shared: &Arc<Shared>, request: &ApiRequest) -> Reply {
    let segments: Vec<&str> = request.segments[1..].iter().map(String::as_str).collect();
    let answered = match segments.as_slice() {
        ["settle"] if request.method == Method::POST => settle::answer(shared, request).await,
        ["organizations", organization, "subscriptions" | "test", ..] => {
            hooks::answer(shared, request, organization, &segments[2..]).await
        }
        ["organizations", organization, "people", person] if request.method == Method::PATCH => {
            people::change(shared, request, organization, person)
        }
        ["organizations", organization, "projects", rest @ ..] => {
            shared.alter(|world, now| code::answer(world, now, request, organization, rest))
        }
        other => knobs::answer(shared, request, other),
    };
    answered.unwrap_or_else(|reply| reply)
}

/// The body as this type; what is wrong with it is said.
fn body<T: DeserializeOwned>(request: &ApiRequest) -> Result<T, Reply> {
    request
        .json()
        .map_err(|error| bad(&format!("The body cannot be read: {error}")))
}

fn bad(message: &str) -> Reply {
    Reply::json(400, json!({ "error": message }))
}

fn not_found(message: &str) -> Reply {
    Reply::json(404, json!({ "error": message }))
}

fn no_such_call(request: &ApiRequest) -> Reply {
    not_found(&format!(
        "Control has no {} {}. See tests/simulator/README.md.",
        request.method, request.path_and_query
    ))
}

fn refused(refused: Refused) -> Reply {
    match refused {
        Refused::NotFound(message) => not_found(&message),
        Refused::Bad(message) => bad(&message),
    }
}
