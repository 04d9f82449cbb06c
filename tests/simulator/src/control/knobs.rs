//! Control over the simulator itself: records, faults, clock, assumptions, tokens, reset.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, bad, body, no_such_call, not_found};
use crate::clock::is_scale;
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
    advance_seconds: Option<f64>,
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
        (_, ["sender"]) => sender(shared, request),
        (_, ["events"]) => events(shared, request),
        (&Method::GET, ["assumptions"]) => {
            Ok(Reply::ok(shared.peek(|world| world.assumptions.view())))
        }
        (&Method::PUT, ["assumptions", name]) => {
            let switch: Switch = body(request)?;
            if shared.alter(|world, _| world.assumptions.set(name, switch.holds)) {
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
            json!({ "deliveries": found, "forgotten": world.records.forgotten_deliveries })
        }))),
        Method::DELETE => {
            shared.alter(|world, _| world.records.clear_deliveries());
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
            json!({ "requests": found, "forgotten": world.records.forgotten_requests })
        }))),
        Method::DELETE => {
            shared.alter(|world, _| world.records.clear_requests());
            Ok(Reply::empty(204))
        }
        _ => Err(no_such_call(request)),
    }
}

/// What was published and what became of it; `?result=` and `?lost=true` narrow.
fn events(shared: &Arc<Shared>, request: &ApiRequest) -> Answer {
    match request.method {
        Method::GET => Ok(Reply::ok(shared.peek(|world| {
            let found: Vec<_> = world
                .ledger
                .all()
                .map(|it| json!(it))
                .filter(|it| is_asked_for(it, request))
                .collect();
            json!({ "events": found, "forgotten": world.ledger.forgotten() })
        }))),
        Method::DELETE => {
            shared.alter(|world, _| world.ledger.clear());
            Ok(Reply::empty(204))
        }
        _ => Err(no_such_call(request)),
    }
}

fn is_asked_for(event: &Value, request: &ApiRequest) -> bool {
    let is = |value: &Value, wanted: &str| {
        value
            .as_str()
            .is_some_and(|it| it.eq_ignore_ascii_case(wanted))
    };
    let any = |list: &Value, test: &dyn Fn(&Value) -> bool| {
        list.as_array().is_some_and(|all| all.iter().any(test))
    };
    request
        .query("eventType")
        .is_none_or(|wanted| is(&event["eventType"], wanted))
        && request
            .query("result")
            .is_none_or(|wanted| any(&event["notifications"], &|it| is(&it["result"], wanted)))
        && (!request.is_true("lost") || any(&event["lostTo"], &|_| true))
}

fn sender(shared: &Arc<Shared>, request: &ApiRequest) -> Answer {
    match request.method {
        Method::GET => {}
        Method::PUT => {
            let sending = body(request)?;
            shared.alter(|world, _| world.set_sending(sending));
        }
        _ => return Err(no_such_call(request)),
    }
    Ok(Reply::ok(shared.peek(|world| json!(world.sending))))
}

fn faults(shared: &Arc<Shared>, request: &ApiRequest) -> Answer {
    match request.method {
        Method::GET => {}
        Method::POST => {
            let fault: Fault = body(request)?;
            shared.alter(|world, _| world.faults.add(fault));
        }
        Method::DELETE => shared.alter(|world, _| world.faults.clear()),
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
            if !is_scale(scale) {
                return Err(bad("A scale is a number that is not below zero."));
            }
            shared.clock.set_scale(scale);
        }
        if let Some(seconds) = change.advance_seconds {
            let span = Duration::try_from_secs_f64(seconds)
                .map_err(|_error| bad("Time goes ahead by a number of seconds, not below zero."))?;
            shared.clock.advance(span);
        }
        if let Some(skew) = change.skew_milliseconds {
            shared.clock.set_skew_millis(skew);
        }
        if let Some(lag) = change.publish_lag_milliseconds {
            shared.alter(|world, _| world.publish_lag = Duration::from_millis(lag));
        }
        shared.changed();
    } else if request.method != Method::GET {
        return Err(no_such_call(request));
    }
    let lag = shared.peek(|world| world.publish_lag.as_millis());
    Ok(Reply::ok(json!({
        "now": crate::clock::stamp(shared.clock.now()),
        "passedSeconds": shared.clock.passed().as_secs_f64(),
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
    shared.alter(|world, _| {
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
