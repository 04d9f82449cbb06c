//! Faults between the function and its world: DynamoDB, the network, the Lambda service around it, its own process. The
//! function is in process where nothing else is needed, else the real binary in a fleet.

mod dynamodb;
mod life;
mod network;
mod runtime_api;
mod sender;
mod url;

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use http::StatusCode;

use crate::support::{Bed, Fate, Linked, Tap, delivery, new_event};

/// A push that is new.
fn push() -> String {
    new_event("ado/git.push.json").to_string()
}

/// What a test decides of one operation's calls while it runs; all others pass.
#[derive(Clone)]
struct Switch(Arc<Mutex<Fate>>);

impl Switch {
    fn new(fate: Fate) -> Self {
        Self(Arc::new(Mutex::new(fate)))
    }

    fn set(&self, fate: Fate) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fate;
    }

    fn get(&self) -> Fate {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A tap where each call of this operation has the fate that is set.
    async fn tap(&self, bed: &Bed, operation: &'static str) -> Result<Tap> {
        let switch = self.clone();
        let judge = move |call: &str, _| {
            if call.ends_with(operation) {
                switch.get()
            } else {
                Fate::Pass
            }
        };
        Tap::on(&bed.stack.description.endpoint_url, judge).await
    }
}

/// A tap where these fates meet the first calls of an operation, one each; all others pass.
async fn tap_with(bed: &Bed, operation: &'static str, fates: &[Fate]) -> Result<Tap> {
    let fates = fates.to_vec();
    let judge = move |call: &str, number: usize| match fates.get(number - 1) {
        Some(fate) if call.ends_with(operation) => *fate,
        _ => Fate::Pass,
    };
    Tap::on(&bed.stack.description.endpoint_url, judge).await
}

/// Hands a delivery to the function in process; gives the status, having seen that a 503 says when to try again.
async fn post(app: &webhook::App, linked: &Linked, body: &str) -> StatusCode {
    let answer = app.handle(delivery(linked, body)).await;
    let is_503 = answer.status() == StatusCode::SERVICE_UNAVAILABLE;
    assert_eq!(is_503, answer.headers().contains_key("retry-after"));
    answer.status()
}

/// How many deliveries an integration has.
async fn stored(bed: &Bed, linked: &Linked) -> Result<usize> {
    Ok(bed.log_of(linked.name.as_str()).await?.len())
}
