//! Control over people: who leaves, and who comes back.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::{Answer, body, not_found};
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::shared::Shared;

/// What happens to a person.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// Inactive people's tokens are nobody's, and what they subscribed to is disabled.
    inactive: bool,
}

pub(super) fn change(
    shared: &Arc<Shared>,
    request: &ApiRequest,
    organization: &str,
    name: &str,
) -> Answer {
    let change: Change = body(request)?;
    shared.alter(|world, now| {
        let found = world
            .organization(organization)
            .and_then(|it| it.person(name))
            .ok_or_else(|| not_found(&format!("There is no person \"{name}\" there.")))?;
        let (id, name) = (found.id, found.name.clone());
        world.set_inactive(organization, id, change.inactive, now);
        let answer = json!({ "id": id, "name": name, "inactive": change.inactive });
        Ok(Reply::ok(answer))
    })
}
