//! `GET /runs`: newest first, of one stack or of all, in one state or in any.

use std::time::{Duration, Instant};

use domain::{Run, RunState, StackName};
use edge::{
    Problem,
    http::{Answer, page_size, page_state, page_token, parsed_parameter},
};
use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use serde_json::{Value, json};
use store::{RunCursor, RunFilter};

use crate::{App, show};

/// How many runs one query goes through where those in one state are looked for.
const LOOKED_AT: i32 = 500;
/// How many queries a page may take: it then ends where it is, with a token. Each month has one at least.
const MOST_QUERIES: usize = 60;
/// How long a page may take before it ends in the same way.
const LONGEST: Duration = Duration::from_secs(8);

/// `GET /runs`.
pub(crate) async fn list(app: &App, request: &Request, now: Timestamp) -> Answer {
    let size = usize::from(page_size(request)?);
    let filter = RunFilter {
        stack: parsed_parameter(
            request,
            "stack",
            |text| text.parse::<StackName>().ok(),
            "the name of a stack",
        )?,
        state: parsed_parameter(
            request,
            "state",
            |text| text.parse::<RunState>().ok(),
            "queued, running, finished, failed, canceled or superseded",
        )?,
    };
    let start: Option<RunCursor> = page_state(request)?;
    let (mut runs, next) = found(app, &filter, start, size, now).await?;
    let mut token = next;
    if runs.len() > size {
        runs.truncate(size);
        token = runs.last().map(|last| RunCursor::after(last, &filter));
    }
    let shown: Vec<Value> = runs.iter().map(show::shown).collect();
    let mut body = json!({ "runs": shown });
    if let Some(token) = token {
        body["nextPageToken"] = json!(page_token(request, &token));
    }
    Ok((StatusCode::OK, body))
}

/// More than `size` runs, if there are more; and else where to go on, if it was not gone on to the end.
async fn found(
    app: &App,
    filter: &RunFilter,
    start: Option<RunCursor>,
    size: usize,
    now: Timestamp,
) -> Result<(Vec<Run>, Option<RunCursor>), Problem> {
    let (started, mut at, mut runs) = (Instant::now(), start, Vec::new());
    for _ in 0..MOST_QUERIES {
        let left = i32::try_from(size + 1 - runs.len()).unwrap_or(LOOKED_AT);
        let most = if filter.state.is_some() {
            LOOKED_AT
        } else {
            left
        };
        let page = app.store.runs(filter, at.as_ref(), most, now).await;
        let page = page.map_err(Problem::ours)?;
        runs.extend(page.runs);
        at = page
            .next
            // No run of those months is kept any more.
            .filter(|next| !next.is_before(now - app.retention));
        if at.is_none() || runs.len() > size || started.elapsed() > LONGEST {
            break;
        }
    }
    Ok((runs, at))
}
