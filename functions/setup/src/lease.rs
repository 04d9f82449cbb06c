//! The lease under which secrets of an active integration are written: one caller at a time, and never beyond its end.

use std::time::Duration;

use domain::IntegrationName;
use edge::Problem;
use edge::http::Answer;
use jiff::Timestamp;
use store::{Lease, Leased};

use crate::{App, problems};

/// How long the work under a lease may take: less than the lease lasts.
const LONGEST: Duration = Duration::from_secs(90);

/// Does `work` under a lease that began at `now`. A second caller is refused meanwhile. Work that fails gives the lease back,
/// so that it can be repeated at once; work that dies leaves it to end by itself, in two minutes.
pub(crate) async fn held(
    app: &App,
    name: &IntegrationName,
    now: Timestamp,
    work: impl AsyncFnOnce(Leased, &str) -> Answer,
) -> Answer {
    let nonce = uuid::Uuid::new_v4().to_string();
    let leased = match app
        .store
        .lease(name, &nonce, now)
        .await
        .map_err(Problem::ours)?
    {
        Lease::Yes(leased) => *leased,
        Lease::Busy => return Err(problems::being_changed()),
        Lease::NotActive(status) => return Err(problems::not_active(status)),
        Lease::Unknown => return Err(problems::no_such_integration()),
    };
    let answer = match tokio::time::timeout(LONGEST, work(leased, &nonce)).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(Problem::ours(elapsed)),
    };
    // Also after success, which may have ended it already: that is no error.
    if let Err(error) = app.store.release(name, &nonce).await {
        tracing::warn!(
            cause = edge::problem::chain(&error),
            "a lease is left to end by itself"
        );
    }
    answer
}
