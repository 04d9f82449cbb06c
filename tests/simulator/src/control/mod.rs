//! The control API: what stands in for a person at the portal, a developer at a keyboard, and a test that wants to see or to spoil things.
//! JSON, on loopback, without a token. It publishes events, but never answers for Azure DevOps.
//!
//! `O` is `/_control/organizations/{organization}`, `R` is `O/projects/{project}/repositories/{repository}`; names in paths may be GUIDs.
//!
//! | call | body | does |
//! |---|---|---|
//! | `GET /_control/health` | | says that it is up |
//! | `GET /_control/world` | | organizations, projects, repositories, people, pull requests, subscriptions |
//! | `POST O/projects` | `{name, description?, public?}` | makes a project |
//! | `POST O/projects/{project}/repositories` | `{name, forkOf?}` | makes an empty repository, or a fork |
//! | `PATCH R` | `{name?, disabled?, defaultBranch?}` | renames, disables, sets the default branch |
//! | `DELETE R` | | deletes it |
//! | `POST R/pushes` | `{branch, files?, message?, author?, from?, force?, commits?, delete?}` or `{refUpdates: [{ref, kind?, from?, commits?}], author?}` | pushes |
//! | `DELETE R/branches/{branch}` | | deletes a branch (a push) |
//! | `POST R/tags` | `{name, commit?}` | makes a tag (a push) |
//! | `POST R/pullRequests` | `{source, target?, title?, description?, draft?, fork?, author?, reviewers?, labels?, conflict?}` | opens a pull request |
//! | `PATCH R/pullRequests/{n}` | `{title?, description?, target?, draft?, conflict?, reviewers?, vote?, status?, squash?, deleteSourceBranch?, author?}` | changes it, one event for each |
//! | `POST R/pullRequests/{n}/comments` | `{content, thread?, author?}` | comments |
//! | `PATCH`, `DELETE R/pullRequests/{n}/comments/{thread}[.{comment}]` | `{content}` | edits, deletes a comment |
//! | `GET O/subscriptions` | | subscriptions with their state |
//! | `POST O/subscriptions` | `{project?, eventType?, url, password?, username?, repository?, branch?, …}` | a person at the portal: one event, or all five |
//! | `PATCH O/subscriptions/{id}` | `{status}` | sets any status |
//! | `DELETE O/subscriptions/{id}` | | deletes it |
//! | `POST O/subscriptions/{id}/test` | | the Test button at a saved subscription |
//! | `POST O/test` | `{eventType, url, password?, …}` | the Test button before it is saved |
//! | `GET`, `DELETE /_control/deliveries` | | every attempt (`?subscriptionId=&eventType=`); forgets them |
//! | `GET`, `DELETE /_control/requests` | | every REST request (`?path=`); forgets them |
//! | `GET`, `POST`, `DELETE /_control/faults` | `{kind, path?, method?, times?, milliseconds?, retryAfterSeconds?, status?}` | faults of the REST API |
//! | `GET`, `PUT /_control/clock` | `{scale?, skewMilliseconds?, publishLagMilliseconds?}` | how fast waits pass |
//! | `GET /_control/assumptions` | | all switches |
//! | `PUT /_control/assumptions/{name}` | `{holds}` | switches one |
//! | `GET /_control/tokens` | | the kinds of tokens and their state, never their values |
//! | `POST /_control/tokens/{kind}/{expire, revoke, restore}` | | what happens to a token |
//! | `POST /_control/settle` | | waits until nothing is under way (`?timeoutMs=&includeProbation=`) |
//! | `POST /_control/reset` | | the default world again, with the same tokens |

mod code;
mod hooks;
mod knobs;
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
        ["organizations", organization, "projects", rest @ ..] => {
            shared.with(|world, now| code::answer(world, now, request, organization, rest))
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
