//! A simulator that runs, as a test in the same process holds it. What is not here is a control call, which `control` makes without HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::Method;
use jiff::SignedDuration;
use serde::Serialize;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::clock::is_scale;
use crate::control;
use crate::control::settle::{Quiet, settled};
use crate::ledger::PublishedEvent;
use crate::records::{RecordedDelivery, RecordedRequest};
use crate::reply::Body;
use crate::request::ApiRequest;
use crate::sending::Sending;
use crate::shared::Shared;
use crate::state::seed;

/// A simulator that runs, until this is dropped.
pub struct Running {
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

/// What is written to the ready file: where the simulator is, and the tokens it takes.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// The simulator's address.
    pub url: String,
    /// The organization that tests and demos use.
    pub organization_url: String,
    /// A token that may do everything in it: the same as `tokens.good`.
    pub personal_access_token: String,
    /// A token of each kind; the README says what each is for.
    pub tokens: BTreeMap<&'static str, String>,
}

/// Where a subscription stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubscriptionStatus {
    /// The organization it is in.
    pub organization: String,
    /// Its id.
    pub id: Uuid,
    /// The event it asks for.
    pub event_type: &'static str,
    /// Where it sends.
    pub url: String,
    /// `enabled`, `onProbation`, `disabledByUser`, `disabledBySystem` or `disabledByInactiveIdentity`.
    pub status: &'static str,
    /// How many retries its latest probation has made.
    pub probation_retries: u32,
}

/// What control says of a call that it does not make.
#[derive(Error, Clone, PartialEq, Eq, Debug)]
#[error("the simulator answers {status}: {error}")]
pub struct Refusal {
    /// 400 or 404.
    pub status: u16,
    /// What is wrong.
    pub error: String,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Running")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        self.shared.changed();
    }
}

impl Running {
    pub(crate) fn new(shared: Arc<Shared>, stop: oneshot::Sender<()>) -> Self {
        Self {
            shared,
            _stop: stop,
        }
    }

    /// The simulator's address, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.shared.base
    }

    /// The address of the organization `tidewater`.
    pub fn organization_url(&self) -> String {
        format!("{}/{}", self.shared.base, seed::MAIN)
    }

    /// A token of this kind (`good`, `expired`, …); empty when there is no such kind.
    pub fn token(&self, kind: &str) -> &str {
        self.shared
            .tokens
            .all()
            .get(kind)
            .map_or("", String::as_str)
    }

    /// All of it, as the ready file has it.
    pub fn ready(&self) -> Ready {
        Ready {
            url: self.url().to_owned(),
            organization_url: self.organization_url(),
            personal_access_token: self.token("good").to_owned(),
            tokens: self.shared.tokens.all().clone(),
        }
    }

    /// The REST requests that came in, oldest first: the latest `keep_records` of them.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared
            .peek(|world| world.records.requests.iter().cloned().collect())
    }

    /// Every attempt to deliver a notification, oldest first: the latest `keep_records` of them.
    pub fn deliveries(&self) -> Vec<RecordedDelivery> {
        self.shared
            .peek(|world| world.records.deliveries.iter().cloned().collect())
    }

    /// The same from the attempt on that has this number, counted from 0, of those that are kept.
    pub fn deliveries_from(&self, first: usize) -> Vec<RecordedDelivery> {
        self.shared.peek(|world| {
            let all = world.records.deliveries.iter();
            all.skip(first).cloned().collect()
        })
    }

    /// Every event that was published, with each notification's result and the subscriptions it was lost to, oldest first: the latest
    /// `keep_records` of them.
    pub fn events(&self) -> Vec<PublishedEvent> {
        self.shared
            .peek(|world| world.ledger.all().cloned().collect())
    }

    /// Where each subscription stands, of all organizations.
    pub fn subscriptions(&self) -> Vec<SubscriptionStatus> {
        self.shared.peek(|world| {
            let all = world
                .organizations
                .iter()
                .flat_map(|it| it.subscriptions.iter().map(move |one| (it, one)));
            all.map(|(organization, it)| SubscriptionStatus {
                organization: organization.name.clone(),
                id: it.id,
                event_type: it.event.wire(),
                url: it.url().to_owned(),
                status: it.state.status.wire(),
                probation_retries: it.state.probation_retries,
            })
            .collect()
        })
    }

    /// Changes a subscription's password as a person at the portal does: what is not filled in anew, and the status, stay.
    ///
    /// # Errors
    ///
    /// When there is no such subscription, or the service would not take the password.
    pub async fn set_password(&self, subscription: Uuid, password: &str) -> Result<(), Refusal> {
        let all = self.subscriptions();
        let found = all.into_iter().find(|it| it.id == subscription);
        let organization = found.map(|it| it.organization).unwrap_or_default();
        let path = format!("organizations/{organization}/subscriptions/{subscription}");
        self.control(Method::PATCH, &path, json!({ "password": password }))
            .await?;
        Ok(())
    }

    /// Every assumption with whether it holds.
    pub fn assumptions(&self) -> BTreeMap<&'static str, bool> {
        self.shared.peek(|world| world.assumptions.all())
    }

    /// Switches an assumption.
    ///
    /// # Errors
    ///
    /// When there is none of that name.
    pub fn assume(&self, name: &str, holds: bool) -> Result<(), Refusal> {
        let is_known = self
            .shared
            .alter(|world, _| world.assumptions.set(name, holds));
        is_known.then_some(()).ok_or_else(|| Refusal {
            status: 404,
            error: format!("There is no assumption \"{name}\"."),
        })
    }

    /// Sets how the sender behaves from now on; what it draws from its seed begins anew.
    pub fn set_sending(&self, sending: Sending) {
        self.shared.alter(|world, _| world.set_sending(sending));
    }

    /// Sets how many simulated seconds pass in a real one. At 0 the clock stands still, and only `advance` and `run_out` move it; less
    /// than that is not understood and changes nothing.
    pub fn set_time_scale(&self, scale: f64) {
        if is_scale(scale) {
            self.shared.clock.set_scale(scale);
            self.shared.changed();
        }
    }

    /// How far its dates are from the machine's: for one who leads it through a day that is over, date by date.
    pub fn set_skew(&self, skew: SignedDuration) {
        let millis = i64::try_from(skew.as_millis()).unwrap_or(i64::MAX);
        self.shared.clock.set_skew_millis(millis);
    }

    /// Lets so much simulated time pass at once: waits end, histories age, dates stay.
    pub fn advance(&self, span: Duration) {
        self.shared.clock.advance(span);
        self.shared.changed();
    }

    /// Waits until no delivery is due, on the wire or waiting for a quick retry. False when that takes longer than this.
    pub async fn settle(&self, at_most: Duration) -> bool {
        settled(&self.shared, at_most, Quiet::ForNow).await
    }

    /// Waits until nothing is left to send, probations included, and leaps over every wait. False when that takes longer than this.
    pub async fn run_out(&self, at_most: Duration) -> bool {
        settled(&self.shared, at_most, Quiet::Leaping).await
    }

    /// Any call of the control API, without HTTP: `control(Method::POST, "organizations/tidewater/projects", json!({ … }))`.
    ///
    /// # Errors
    ///
    /// When control refuses it.
    pub async fn control(&self, method: Method, path: &str, body: Value) -> Result<Value, Refusal> {
        let path = format!("/_control/{}", path.trim_start_matches('/'));
        let request = ApiRequest::made(method, &path, &body);
        let reply = control::answer(&self.shared, &request).await;
        let body = match reply.body {
            Body::Json(body) => body,
            _ => Value::Null,
        };
        if (200..300).contains(&reply.status) {
            return Ok(body);
        }
        // Control's own refusals, or the API's where the portal's form went through its checks.
        let error = body["error"].as_str().or(body["message"].as_str());
        Err(Refusal {
            status: reply.status,
            error: error.unwrap_or_default().to_owned(),
        })
    }
}
