//! Control over the simulator itself: records, faults, clock, assumptions, tokens, reset.

use std::sync::Arc;

use axum::http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, bad, body, no_such_call, not_found};
use crate::faults::Fault;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::shared::Shared;
use crate::state::people::Token;
use crate::state::{Organization, World};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClockChange {
    scale: Option<f64>,
    skew_milliseconds: Option<i64>,
    publish_lag_milliseconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    holds: bool,
}

pub(super) fn answer(shared: &Arc<Shared>, request: &ApiRequest, segments: &[&str]) -> Answer {
    match (&request.method, segments) {
        (&Method::GET, ["health"]) => Ok(Reply::ok(json!({ "status": "up" }))),
        (&Method::GET, ["world"]) => Ok(Reply::ok(shared.peek(world_view))),
        (_, ["deliveries"]) => deliveries(shared, request),
        (_, ["requests"]) => requests(shared, request),
        (_, ["faults"]) => faults(shared, request),
        (_, ["clock"]) => clock(shared, request),
        (&Method::GET, ["assumptions"]) => {
            Ok(Reply::ok(shared.peek(|world| world.assumptions.view())))
        }
        (&Method::PUT, ["assumptions", name]) => {
            let switch: Switch = body(request)?;
            if shared.with(|world, _| world.assumptions.set(name, switch.holds)) {
                Ok(Reply::ok(json!({ "name": name, "holds": switch.holds })))
            } else {
                Err(not_found(&format!("There is no assumption \"{name}\".")))
            }
        }
        (&Method::GET, ["tokens"]) => Ok(Reply::ok(shared.peek(tokens))),
        (&Method::POST, ["tokens", kind, act]) => change_token(shared, request, kind, act),
        (&Method::POST, ["reset"]) => {
            shared.reset();
            Ok(Reply::ok(json!({ "reset": true })))
        }
        _ => Err(no_such_call(request)),
    }
}

fn deliveries(shared: &Arc<Shared>, request: &ApiRequest) -> Answer {
    match request.method {
        Method::GET => Ok(Reply::ok(shared.peek(|world| {
            let is = |name: &str, value: &str| {
                request
                    .query(name)
                    .is_none_or(|it| it.eq_ignore_ascii_case(value))
            };
            let found: Vec<_> = world
                .records
                .deliveries
                .iter()
                .filter(|it| {
                    is("subscriptionId", &it.subscription_id.to_string())
                        && is("eventType", &it.event_type)
                })
                .filter(|it| is("eventId", &it.event_id.to_string()))
                .collect();
            json!({ "deliveries": found })
        }))),
        Method::DELETE => {
            shared.with(|world, _| world.records.deliveries.clear());
            Ok(Reply::empty(204))
        }
        _ => Err(no_such_call(request)),
    }
}

fn requests(shared: &Arc<Shared>, request: &ApiRequest) -> Answer {
    match request.method {
        Method::GET => Ok(Reply::ok(shared.peek(|world| {
            let part = request.query("path").unwrap_or_default().to_lowercase();
            let found: Vec<_> = world
                .records
                .requests
                .iter()
                .filter(|it| it.path.to_lowercase().contains(&part))
                .collect();
            json!({ "requests": found })
        }))),
        Method::DELETE => {
            shared.with(|world, _| world.records.requests.clear());
            Ok(Reply::empty(204))
        }
        _ => Err(no_such_call(request)),
    }
}

fn faults(shared: &Arc<Shared>, request: &ApiRequest) -> Answer {
    match request.method {
        Method::GET => {}
        Method::POST => {
            let fault: Fault = body(request)?;
            shared.with(|world, _| world.faults.add(fault));
        }
        Method::DELETE => shared.with(|world, _| world.faults.clear()),
        _ => return Err(no_such_call(request)),
    }
    Ok(Reply::ok(
        shared.peek(|world| json!({ "faults": world.faults.all() })),
    ))
}

fn clock(shared: &Arc<Shared>, request: &ApiRequest) -> Answer {
    if request.method == Method::PUT {
        let change: ClockChange = body(request)?;
        if let Some(scale) = change.scale {
            if !(scale.is_finite() && scale > 0.0) {
                return Err(bad("A scale is a number above zero."));
            }
            shared.clock.set_scale(scale);
        }
        if let Some(skew) = change.skew_milliseconds {
            shared.clock.set_skew_millis(skew);
        }
        if let Some(lag) = change.publish_lag_milliseconds {
            shared.with(|world, _| world.publish_lag = std::time::Duration::from_millis(lag));
        }
    } else if request.method != Method::GET {
        return Err(no_such_call(request));
    }
    let lag = shared.peek(|world| world.publish_lag.as_millis());
    Ok(Reply::ok(json!({
        "now": crate::clock::stamp(shared.clock.now()),
        "scale": shared.clock.scale(),
        "skewMilliseconds": shared.clock.skew_millis(),
        "publishLagMilliseconds": u64::try_from(lag).unwrap_or(u64::MAX),
    })))
}

fn tokens(world: &World) -> Value {
    let all: Vec<Value> = world
        .organizations
        .iter()
        .flat_map(|organization| {
            organization
                .tokens
                .iter()
                .map(move |token| token_view(organization, token))
        })
        .collect();
    json!({ "tokens": all })
}

fn token_view(organization: &Organization, token: &Token) -> Value {
    json!({
        "kind": token.kind,
        "organization": organization.name,
        "person": organization.person_by_id(token.person).name,
        "expired": token.expired,
        "revoked": token.revoked,
    })
}

fn change_token(shared: &Arc<Shared>, request: &ApiRequest, kind: &str, act: &str) -> Answer {
    let (expired, revoked) = match act {
        "expire" => (true, false),
        "revoke" => (false, true),
        "restore" => (false, false),
        _ => return Err(no_such_call(request)),
    };
    shared.with(|world, _| {
        let found = world
            .organizations
            .iter_mut()
            .flat_map(|it| &mut it.tokens)
            .find(|it| it.kind.eq_ignore_ascii_case(kind));
        let token = found.ok_or_else(|| not_found(&format!("There is no token \"{kind}\".")))?;
        token.expired = expired;
        token.revoked = revoked;
        Ok(Reply::ok(
            json!({ "kind": token.kind, "expired": expired, "revoked": revoked }),
        ))
    })
}

/// An overview, for whoever wants to find their way.
fn world_view(world: &World) -> Value {
    let organizations: Vec<Value> = world.organizations.iter().map(organization_view).collect();
    json!({ "organizations": organizations })
}

fn organization_view(organization: &Organization) -> Value {
    let repositories: Vec<Value> = organization
        .repositories
        .iter()
        .map(|it| {
            json!({
                "id": it.id,
                "name": it.name,
                "project": organization.project_of(it).map(|it| &it.name),
                "defaultBranch": it.default_branch,
                "disabled": it.disabled,
                "refs": it.refs,
            })
        })
        .collect();
    let pull_requests: Vec<Value> = organization
        .pull_requests
        .iter()
        .map(|it| json!({ "id": it.id, "repository": it.repository, "status": it.status.wire(), "title": it.title }))
        .collect();
    json!({
        "name": organization.name,
        "url": organization.url,
        "projects": organization.projects.iter().map(|it| json!({ "id": it.id, "name": it.name })).collect::<Vec<_>>(),
        "repositories": repositories,
        "people": organization.people.iter().map(|it| json!({ "id": it.id, "name": it.name })).collect::<Vec<_>>(),
        "pullRequests": pull_requests,
        "subscriptions": organization.subscriptions.len(),
    })
}
