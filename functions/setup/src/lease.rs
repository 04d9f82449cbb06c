//! The lease under which secrets of an active integration are written: one caller at a time, and never beyond its end.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use domain::IntegrationName;
use edge::http::Answer;
use edge::{Problem, ProblemKind};
use jiff::Timestamp;
use store::{Lease, Leased};

use crate::{App, problems};

/// How long the work under a lease may take: less than the lease lasts.
const LONGEST: Duration = Duration::from_secs(90);

/// What a person is told where a lease stays though the work is done.
pub(crate) const STAYS: &str = "the time was over while something was being written in Azure DevOps, which may still arrive: until two minutes from now the token, the password and the service hooks of this integration cannot be changed (409), so call again after that";

/// A lease that is ours.
#[derive(Debug)]
pub(crate) struct Held {
    nonce: String,
    is_left: AtomicBool,
}

impl Held {
    /// What the store knows it by.
    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Leaves it to end by itself though the work is answered: something that was sent may still be on its way.
    pub(crate) fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }
}

/// Does `work` under a lease that began at `now`. A second caller is refused meanwhile.
///
/// Work that is done, or that the caller has to repeat otherwise, gives the lease back. Where something of ours failed, or the
/// work says so ([`Held::leave`]), it is left to end by itself, in two minutes: what was sent then may still be on its way, and
/// must not overtake a second try.
pub(crate) async fn held(
    app: &App,
    name: &IntegrationName,
    now: Timestamp,
    work: impl AsyncFnOnce(Leased, &Held) -> Answer,
) -> Answer {
    let held = Held {
        nonce: uuid::Uuid::new_v4().to_string(),
        is_left: AtomicBool::new(false),
    };
    let leased = match app.store.lease(name, held.nonce(), now).await {
        Ok(lease) => lease,
        Err(error) => {
            // It may be ours all the same.
            release(app, name, held.nonce()).await;
            return Err(Problem::ours(error));
        }
    };
    let leased = match leased {
        Lease::Yes(leased) => *leased,
        Lease::Busy => return Err(problems::being_changed()),
        Lease::NotActive(status) => return Err(connection::problems::not_active(status)),
        Lease::Unknown => return Err(connection::problems::no_such_integration()),
    };
    let answer = match tokio::time::timeout(LONGEST, work(leased, &held)).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(Problem::ours(elapsed)),
    };
    let is_ours = |problem: &Problem| problem.kind() == ProblemKind::Unavailable;
    if answer.as_ref().is_err_and(is_ours) {
        return answer.map_err(|problem| problem.retry_after(Some(120)));
    }
    if !held.is_left.into_inner() {
        release(app, name, &held.nonce).await;
    }
    answer
}

async fn release(app: &App, name: &IntegrationName, nonce: &str) {
    if let Err(error) = app.store.release(name, nonce).await {
        tracing::warn!(
            cause = edge::problem::chain(&error),
            "a lease is left to end by itself"
        );
    }
}
