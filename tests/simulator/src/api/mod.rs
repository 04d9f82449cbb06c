//! The REST API: which handler answers a path. Everything lies under `/{organization}`, with or without a project before `_apis`.
//! The order of checks is the service's: organization, token, version, then the thing itself.

mod archive;
pub(crate) mod auth;
mod commits;
mod core;
mod diffs;
mod git;
pub(crate) mod hooks;
mod items;
mod pull_requests;
mod pushes;
pub(crate) mod routes;
mod statuses;
pub(crate) mod version;

use axum::http::Method;
use jiff::Timestamp;

use crate::assumptions::Assumption;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::state::{Organization, World};
use auth::Caller;
use routes::Known;

/// What becomes of a request.
pub(crate) enum Handled {
    Reply(Reply),
    /// A test notification: it has to be sent before it can be answered.
    Test(Box<hooks::test_sends::TestSend>),
}

/// A request with who makes it.
pub(crate) struct Call<'a> {
    pub(crate) request: &'a ApiRequest,
    pub(crate) organization: String,
    pub(crate) caller: Caller,
    pub(crate) now: Timestamp,
}

type Answer = Result<Reply, Reply>;

/// The service's own page when nothing is said.
const USUAL_PAGE: usize = 100;

/// Answers a request.
pub(crate) fn answer(world: &mut World, request: &ApiRequest, now: Timestamp) -> Handled {
    match admitted(world, request, now) {
        Ok(call) => {
            let user = call.caller.user_data();
            match route(world, &call) {
                Ok(Handled::Reply(reply)) => Handled::Reply(reply.with("X-VSS-UserData", user)),
                Ok(test) => test,
                Err(reply) => Handled::Reply(reply.with("X-VSS-UserData", user)),
            }
        }
        Err(reply) => Handled::Reply(reply),
    }
}

/// Lets a request in: its organization exists and its token is good there.
fn admitted<'a>(world: &World, request: &'a ApiRequest, now: Timestamp) -> Result<Call<'a>, Reply> {
    let Some(name) = request.segments.first() else {
        return Err(Reply::html(404, NOT_FOUND_PAGE));
    };
    if name == "_signin" {
        return Err(Reply::sign_in_page());
    }
    let organization = world
        .organization(name)
        .ok_or_else(|| unknown_organization(world))?;
    let caller = auth::authenticate(world, organization, request)?;
    Ok(Call {
        request,
        organization: organization.name.clone(),
        caller,
        now,
    })
}

const NOT_FOUND_PAGE: &str = "<!DOCTYPE html>\r\n<html lang=\"en-US\"><head><title>Azure DevOps Services | 404 Not Found</title></head><body>The resource cannot be found.</body></html>";

/// What the service really answers here is unknown (facts 12): its own tools report misleading 401s, a browser sees a 404 page.
fn unknown_organization(world: &World) -> Reply {
    if world.assumptions.hold(Assumption::UnknownOrganizationIs404) {
        Reply::html(404, NOT_FOUND_PAGE)
    } else {
        auth::unauthorized()
    }
}

fn route(world: &mut World, call: &Call<'_>) -> Result<Handled, Reply> {
    let segments: Vec<&str> = call.request.segments.iter().map(String::as_str).collect();
    let (project, resource) = match segments.get(1..) {
        Some(["_apis", resource @ ..]) => (None, resource),
        Some([project, "_apis", resource @ ..]) => (Some(*project), resource),
        _ => return Err(Reply::html(404, NOT_FOUND_PAGE)),
    };
    version::check(
        call.request,
        resource.first().copied() == Some("connectiondata"),
    )?;
    match routes::look_up(&call.request.method, &call.request.segments) {
        Known::Operation => {}
        Known::Path => return Err(call.no_such_method()),
        Known::Nothing => return Err(call.no_such_route()),
    }
    match resource {
        ["hooks", resource @ ..] => hooks::answer(world, call, resource),
        ["git", resource @ ..] => git::answer(world, call, project, resource).map(Handled::Reply),
        _ => core::answer(world, call, resource).map(Handled::Reply),
    }
}

impl Call<'_> {
    pub(crate) fn is_get(&self) -> bool {
        self.request.method == Method::GET
    }

    pub(crate) fn organization<'w>(&self, world: &'w World) -> Result<&'w Organization, Reply> {
        world
            .organization(&self.organization)
            .ok_or_else(|| Reply::html(404, NOT_FOUND_PAGE))
    }

    pub(crate) fn organization_mut<'w>(
        &self,
        world: &'w mut World,
    ) -> Result<&'w mut Organization, Reply> {
        world
            .organization_mut(&self.organization)
            .ok_or_else(|| Reply::html(404, NOT_FOUND_PAGE))
    }

    fn no_such_method(&self) -> Reply {
        let method = &self.request.method;
        let message = format!("The requested resource does not support http method '{method}'.");
        Reply::framework_error(405, &message)
    }

    /// What is not in the table of routes, or has no handler.
    pub(crate) fn no_such_route(&self) -> Reply {
        Reply::error(
            404,
            "VssResourceNotFoundException",
            "The simulator has no such resource. The real service may.",
        )
    }
}

/// A number in a path.
fn number(text: &str) -> Result<u32, Reply> {
    text.parse().map_err(|_error| {
        Reply::framework_error(400, &format!("The value '{text}' is not a number."))
    })
}

/// A page of a list.
fn page<T>(all: Vec<T>, skip: usize, top: usize) -> Vec<T> {
    all.into_iter().skip(skip).take(top).collect()
}
