//! `GET /deliveries`: newest first by receipt.

use edge::http::Answer;
use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use serde_json::json;

use crate::{
    App,
    filters::{Extent, Filters},
    log,
};

/// `GET /deliveries`.
pub(crate) async fn list(app: &App, request: &Request, now: Timestamp) -> Answer {
    let parameter = |name| edge::http::parameter(request, name).map(str::to_owned);
    let filters = Filters {
        integration: parameter("integration"),
        from: parameter("from"),
        to: parameter("to"),
        event_type: parameter("eventType"),
        repository: parameter("repository"),
        outcome: parameter("outcome"),
    };
    let size = usize::from(edge::http::page_size(request)?);
    let extent = Extent {
        size,
        at_once: size.max(log::FEWEST_AT_ONCE),
        after: edge::http::page_state(request)?,
    };
    let wanted = filters.wanted(app, extent, now).await?;
    let found = log::find(&app.store, &wanted, |read, decided| read.row(decided)).await?;
    let mut body = json!({ "deliveries": found.rows });
    if let Some(next) = &found.next {
        body["nextPageToken"] = json!(edge::http::page_token(request, next));
    }
    Ok((StatusCode::OK, body))
}
