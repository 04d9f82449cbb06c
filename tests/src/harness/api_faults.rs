//! Faults of the Runtime API itself: what a process of the function meets when the environment around it is not well.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use anyhow::{Context, Result};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tokio::sync::watch;

use crate::in_process::locked;

/// What the next call of the Runtime API meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiFault {
    /// `invocation/next` answers with this status, and no event.
    NextStatus(u16),
    /// `invocation/next` answers 200 with something that is no event, and none of the headers.
    NextGarbage,
    /// `invocation/next` answers 200 with the headers, and something that is no event.
    NextNoEvent,
    /// An answer is refused with this status, so that nobody gets it.
    ResponseStatus(u16),
    /// An answer is not taken, and nothing ever comes back.
    HoldResponse,
}

/// The faults to come, and what was called.
pub struct ApiFaults {
    to_come: Mutex<VecDeque<ApiFault>>,
    next_calls: watch::Sender<usize>,
    held: watch::Sender<usize>,
}

impl ApiFaults {
    pub(crate) fn new() -> Self {
        Self {
            to_come: Mutex::default(),
            next_calls: watch::Sender::new(0),
            held: watch::Sender::new(0),
        }
    }

    pub(crate) fn add(&self, fault: ApiFault) {
        locked(&self.to_come).push_back(fault);
    }

    /// The first fault to come that is one of these.
    pub(crate) fn take(&self, of: impl Fn(ApiFault) -> bool) -> Option<ApiFault> {
        let mut to_come = locked(&self.to_come);
        let at = to_come.iter().position(|fault| of(*fault))?;
        to_come.remove(at)
    }

    pub(crate) fn called_next(&self) {
        self.next_calls.send_modify(|calls| *calls += 1);
    }

    /// How often `invocation/next` was called.
    #[must_use]
    pub fn next_calls(&self) -> usize {
        *self.next_calls.borrow()
    }

    /// Until it was called so often.
    ///
    /// # Errors
    ///
    /// Where that never happens.
    pub async fn called_next_until(&self, calls: usize) -> Result<()> {
        let mut made = self.next_calls.subscribe();
        let made = made.wait_for(|made| *made >= calls);
        let made = tokio::time::timeout(Duration::from_secs(20), made).await;
        made.context("nobody asks for an event")??;
        Ok(())
    }

    pub(crate) async fn hold(&self) {
        self.held.send_modify(|held| *held += 1);
        std::future::pending().await
    }

    /// Until so many answers are held.
    pub async fn held(&self, answers: usize) {
        let mut held = self.held.subscribe();
        // Fails only when the sender is gone, which is `self`.
        let _held = held.wait_for(|held| *held >= answers).await;
    }
}

impl ApiFault {
    pub(crate) fn is_of_next(self) -> bool {
        matches!(
            self,
            Self::NextStatus(_) | Self::NextGarbage | Self::NextNoEvent
        )
    }

    pub(crate) fn is_of_response(self) -> bool {
        matches!(self, Self::ResponseStatus(_) | Self::HoldResponse)
    }

    pub(crate) fn answer(self) -> Response {
        const NO_EVENT: &str = "\u{fffd}<html>";
        match self {
            Self::NextStatus(status) | Self::ResponseStatus(status) => {
                let status = StatusCode::from_u16(status);
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, "{\"errorType\":\"Planted\"}").into_response()
            }
            Self::NextNoEvent => (
                [
                    ("lambda-runtime-aws-request-id", "planted"),
                    ("lambda-runtime-deadline-ms", "1"),
                ],
                NO_EVENT,
            )
                .into_response(),
            Self::NextGarbage | Self::HoldResponse => NO_EVENT.into_response(),
        }
    }
}
