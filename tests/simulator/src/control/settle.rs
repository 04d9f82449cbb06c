//! Waiting until nothing is under way any more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Answer, bad};
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::shared::Shared;

const USUALLY: usize = 30_000;
const LONGEST: usize = 600_000;

/// How long is waited between two looks.
const LOOK: Duration = Duration::from_millis(5);

pub(super) async fn answer(shared: &Arc<Shared>, request: &ApiRequest) -> Answer {
    let milliseconds = request
        .number("timeoutMs")
        .map_err(|_error| bad("timeoutMs has to be a number."))?
        .unwrap_or(USUALLY)
        .min(LONGEST);
    let with_probation = request.is_true("includeProbation");
    let settled = settled(
        shared,
        Duration::from_millis(milliseconds as u64),
        with_probation,
    )
    .await;
    Ok(Reply::ok(json!({
        "settled": settled,
        "pending": shared.pending.load(Ordering::SeqCst),
        "onProbation": shared.on_probation.load(Ordering::SeqCst),
    })))
}

/// Waits for quiet. Retries of a probation are up to 15 hours away and do not count, unless they are asked for.
pub(crate) async fn settled(shared: &Shared, at_most: Duration, with_probation: bool) -> bool {
    let until = Instant::now() + at_most;
    loop {
        let open = shared.pending.load(Ordering::SeqCst)
            + if with_probation {
                shared.on_probation.load(Ordering::SeqCst)
            } else {
                0
            };
        if open == 0 {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
}
