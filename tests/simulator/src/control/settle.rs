//! Waiting until nothing is under way any more.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::{Answer, bad};
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::shared::Shared;

const USUALLY: usize = 30_000;
const LONGEST: usize = 600_000;

/// A retry of a probation becomes due by the mere passing of time, which nobody tells.
const LOOK: Duration = Duration::from_millis(50);

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Quiet {
    /// Nothing is due, on the wire or waiting for a quick retry. A probation's retries are up to 15 hours away and do not count, nor
    /// does any wait while the clock stands still.
    ForNow,
    /// Nothing waits at all.
    Altogether,
    /// The same, and no wait is sat out: when nothing is under way the clock leaps to what comes next.
    Leaping,
}

pub(super) async fn answer(shared: &Shared, request: &ApiRequest) -> Answer {
    let milliseconds = request
        .number("timeoutMs")
        .map_err(|_error| bad("timeoutMs has to be a number."))?
        .unwrap_or(USUALLY)
        .min(LONGEST);
    let quiet = if request.is_true("leap") {
        Quiet::Leaping
    } else if request.is_true("includeProbation") {
        Quiet::Altogether
    } else {
        Quiet::ForNow
    };
    let at_most = Duration::from_millis(milliseconds as u64);
    let settled = settled(shared, at_most, quiet).await;
    let (pending, later) = open(shared);
    Ok(Reply::ok(json!({
        "settled": settled,
        "pending": pending,
        "later": later,
    })))
}

/// Waits for quiet. False when it takes longer than this.
pub(crate) async fn settled(shared: &Shared, at_most: Duration, quiet: Quiet) -> bool {
    tokio::time::timeout(at_most, until(shared, quiet))
        .await
        .is_ok()
}

async fn until(shared: &Shared, quiet: Quiet) {
    let mut changes = shared.changes.subscribe();
    loop {
        // Before looking: a change that comes while it is looked at must not be missed.
        changes.borrow_and_update();
        let (pending, later) = open(shared);
        if pending == 0 && (later == 0 || quiet == Quiet::ForNow) {
            return;
        }
        if quiet == Quiet::Leaping {
            leap(shared);
        }
        tokio::select! {
            // The simulator outlives whoever waits for it.
            _ = changes.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// How much is still to happen for now, and how much later.
fn open(shared: &Shared) -> (usize, usize) {
    shared.peek(|world| {
        let (soon, later) = world
            .schedule
            .count(shared.clock.passed(), shared.clock.scale() == 0.0);
        (soon + shared.under_way.load(Ordering::SeqCst), later)
    })
}

/// Leaps to the next moment on the schedule, unless something is still to happen at this one.
fn leap(shared: &Shared) {
    let leapt = shared.peek(|world| {
        let now = shared.clock.passed();
        let next = world.schedule.next().filter(|at| *at > now);
        let is_idle = shared.under_way.load(Ordering::SeqCst) == 0;
        next.filter(|_| is_idle)
            .map(|at| shared.clock.advance_to(at))
    });
    if leapt.is_some() {
        shared.changed();
    }
}
