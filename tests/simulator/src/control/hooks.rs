//! Control over subscriptions: a person at the portal, who fills in the same form that the REST API reads.

use std::sync::Arc;

use axum::http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Answer, bad, body, no_such_call, not_found};
use crate::api::hooks as api;
use crate::api::hooks::test_sends::TestSend;
use crate::api::hooks::views::view;
use crate::events::EventKind;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::shared::Shared;
use crate::state::Organization;
use crate::state::people::Person;
use crate::subscription_state::Status;

/// What a person fills in. What is left out is what the portal offers: everything sent, any repository, any branch.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    /// By name or id; left out, it is for all projects.
    project: Option<String>,
    /// One event; all five if it is left out.
    event_type: Option<String>,
    url: String,
    password: Option<String>,
    username: Option<String>,
    repository: Option<String>,
    branch: Option<String>,
    resource_version: Option<String>,
    resource_details_to_send: Option<String>,
    messages_to_send: Option<String>,
    detailed_messages_to_send: Option<String>,
    http_headers: Option<String>,
    /// Further filters (`pushedBy`, `notificationType`, …), as the REST API has them.
    #[serde(default)]
    filters: Map<String, Value>,
    /// Who fills it in; the organization's owner if it is left out.
    author: Option<String>,
}

/// What a person changes of a subscription, or what the service does to it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    status: Option<String>,
    password: Option<String>,
}

pub(super) async fn answer(
    shared: &Arc<Shared>,
    request: &ApiRequest,
    organization: &str,
    rest: &[&str],
) -> Answer {
    match (&request.method, rest) {
        (&Method::GET, ["subscriptions"]) => shared.peek(|world| {
            let organization = world
                .organization(organization)
                .ok_or_else(|| no_organization(organization))?;
            let all: Vec<Value> = organization
                .subscriptions
                .iter()
                .map(|it| view(organization, it))
                .collect();
            Ok(Reply::ok(json!({ "subscriptions": all })))
        }),
        (&Method::POST, ["subscriptions"]) => create(shared, organization, &body(request)?),
        (&Method::PATCH, ["subscriptions", id]) => {
            change(shared, organization, id, &body(request)?)
        }
        (&Method::DELETE, ["subscriptions", id]) => delete(shared, organization, id),
        (&Method::POST, ["subscriptions", id, "test"]) => {
            let id = parse(id)?;
            let test = shared.alter(|world, now| TestSend::saved(world, organization, id, now));
            let test = test.ok_or_else(|| no_subscription(id))?;
            Ok(Reply::ok(test.result(shared).await))
        }
        (&Method::POST, ["test"]) => {
            let test = prepare_unsaved(shared, organization, &body(request)?)?;
            Ok(Reply::ok(test.result(shared).await))
        }
        _ => Err(no_such_call(request)),
    }
}

fn no_organization(name: &str) -> Reply {
    not_found(&format!("There is no organization \"{name}\"."))
}

fn no_subscription(id: Uuid) -> Reply {
    not_found(&format!("There is no subscription {id}."))
}

fn parse(id: &str) -> Result<Uuid, Reply> {
    Uuid::parse_str(id).map_err(|_error| bad("A subscription goes by its GUID."))
}

fn create(shared: &Arc<Shared>, organization: &str, form: &Form) -> Answer {
    shared.alter(|world, now| {
        let organization = world
            .organization_mut(organization)
            .ok_or_else(|| no_organization(organization))?;
        let person = person(organization, form)?;
        let mut made = Vec::new();
        for kind in kinds(form)? {
            let body = filled_in(organization, form, kind)?;
            made.push(api::create(organization, &person, &body, now)?);
        }
        Ok(Reply::json(201, json!({ "subscriptions": made })))
    })
}

fn person(organization: &Organization, form: &Form) -> Result<Person, Reply> {
    match &form.author {
        Some(name) => organization
            .person(name)
            .cloned()
            .ok_or_else(|| not_found(&format!("There is no person \"{name}\"."))),
        None => Ok(organization.people[0].clone()),
    }
}

fn kinds(form: &Form) -> Result<Vec<EventKind>, Reply> {
    match &form.event_type {
        Some(name) => {
            Ok(vec![EventKind::from_wire(name).ok_or_else(|| {
                bad(&format!("There is no event \"{name}\"."))
            })?])
        }
        None => Ok(EventKind::ALL.to_vec()),
    }
}

fn filled_in(organization: &Organization, form: &Form, kind: EventKind) -> Result<Value, Reply> {
    let mut publisher = form.filters.clone();
    if let Some(text) = &form.project {
        let project = organization
            .project(text)
            .ok_or_else(|| not_found(&format!("There is no project \"{text}\".")))?;
        publisher.insert("projectId".to_owned(), json!(project.id));
        if let Some(text) = &form.repository {
            let repository = organization
                .find_repository(Some(project.id), text)
                .ok_or_else(|| not_found(&format!("There is no repository \"{text}\".")))?;
            publisher.insert("repository".to_owned(), json!(repository.id));
        }
    }
    if let Some(branch) = &form.branch {
        publisher.insert("branch".to_owned(), json!(branch));
    }
    let all = || Some("all".to_owned());
    let consumer: Map<String, Value> = [
        ("url", Some(form.url.clone())),
        ("basicAuthUsername", form.username.clone()),
        ("basicAuthPassword", form.password.clone()),
        ("httpHeaders", form.http_headers.clone()),
        (
            "resourceDetailsToSend",
            form.resource_details_to_send.clone().or_else(all),
        ),
        ("messagesToSend", form.messages_to_send.clone().or_else(all)),
        (
            "detailedMessagesToSend",
            form.detailed_messages_to_send.clone().or_else(all),
        ),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
    .collect();
    Ok(api::portal_body(
        kind,
        &Value::Object(publisher),
        &Value::Object(consumer),
        form.resource_version.as_deref(),
    ))
}

fn prepare_unsaved(
    shared: &Arc<Shared>,
    organization: &str,
    form: &Form,
) -> Result<TestSend, Reply> {
    let kind = match kinds(form)?.as_slice() {
        [only] => *only,
        _ => return Err(bad("A test is of one event: say its eventType.")),
    };
    shared.alter(|world, now| {
        let found = world
            .organization(organization)
            .ok_or_else(|| no_organization(organization))?;
        let person = person(found, form)?;
        let body = filled_in(found, form, kind)?;
        TestSend::unsaved(world, organization, &body, &person, now)
    })
}

fn change(shared: &Arc<Shared>, organization: &str, id: &str, change: &Change) -> Answer {
    let id = parse(id)?;
    let status = change
        .status
        .as_ref()
        .map(|text| {
            Status::from_wire(text).ok_or_else(|| bad(&format!("There is no status \"{text}\".")))
        })
        .transpose()?;
    shared.alter(|world, now| {
        let found = world
            .organization_mut(organization)
            .ok_or_else(|| no_organization(organization))?
            .subscription_mut(id)
            .ok_or_else(|| no_subscription(id))?;
        if let Some(password) = &change.password {
            let name = "basicAuthPassword";
            api::input::check_credential(name, Some(password))?;
            let inputs = &mut found.consumer_inputs;
            inputs.insert(name.to_owned(), password.clone());
            found.modified.1 = now;
        }
        if let Some(status) = status {
            world.set_status(organization, id, status, now);
        }
        let organization = world
            .organization(organization)
            .ok_or_else(|| no_organization(organization))?;
        let shown = organization
            .subscription(id)
            .ok_or_else(|| no_subscription(id))?;
        Ok(Reply::ok(view(organization, shown)))
    })
}

fn delete(shared: &Arc<Shared>, organization: &str, id: &str) -> Answer {
    let id = parse(id)?;
    if shared.alter(|world, _| world.delete_subscription(organization, id)) {
        Ok(Reply::empty(204))
    } else {
        Err(no_subscription(id))
    }
}
