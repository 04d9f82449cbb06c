//! The request of a delivery, as Azure DevOps makes it (facts 3.2), and as its history shows it: without the password.
//! It follows no redirect, and judges no answer.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::assumptions::{Assumption, Assumptions};
use crate::state::subscriptions::{MASK, Notification, Subscription};
use crate::subscription_state::Came;

/// So much of a response is kept in the history.
const KEPT_OF_RESPONSE: usize = 4096;

/// A request that is ready to be sent.
pub(crate) struct Outgoing {
    pub(crate) notification: u32,
    pub(crate) event_id: Uuid,
    pub(crate) event_type: &'static str,
    /// Counts from 1 within a notification.
    pub(crate) attempt: u32,
    pub(crate) url: String,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The request as text, with the secrets masked, as the history shows it.
    pub(crate) shown: String,
}

/// What came of a request.
pub(crate) struct Outcome {
    pub(crate) came: Came,
    pub(crate) response: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) took: Duration,
}

impl Outcome {
    pub(crate) fn status(&self) -> Option<u16> {
        match self.came {
            Came::Status(status) => Some(status),
            Came::Timeout | Came::NoConnection => None,
        }
    }
}

/// Makes the request for the next attempt at a notification.
pub(crate) fn outgoing(
    subscription: &Subscription,
    notification: &Notification,
    assumptions: &Assumptions,
) -> Outgoing {
    let is_first = notification.attempts <= 1;
    let inputs = if is_first || assumptions.hold(Assumption::RetriesUseCurrentInputs) {
        &subscription.consumer_inputs
    } else {
        &notification.consumer_inputs
    };
    let input = |name: &str| inputs.get(name).map_or("", String::as_str);
    let (headers, shown_headers) = headers(subscription.id, input, assumptions);
    let body = notification.body.to_string().into_bytes();
    Outgoing {
        notification: notification.id,
        event_id: notification.event_id,
        event_type: subscription.event.wire(),
        attempt: notification.attempts,
        url: input("url").to_owned(),
        headers,
        shown: shown(input("url"), &shown_headers, &body),
        body,
    }
}

impl Outgoing {
    /// Sends it, and waits so long for the answer.
    pub(crate) async fn send(&self, client: &reqwest::Client, patience: Duration) -> Outcome {
        let began = Instant::now();
        let answer = client
            .post(&self.url)
            .headers(self.headers.clone())
            .body(self.body.clone())
            .timeout(patience)
            .send()
            .await;
        match answer {
            Ok(response) => received(response, began).await,
            Err(error) => Outcome {
                came: if error.is_timeout() {
                    Came::Timeout
                } else {
                    Came::NoConnection
                },
                response: None,
                error: Some(explain(&error)),
                took: began.elapsed(),
            },
        }
    }
}

async fn received(response: reqwest::Response, began: Instant) -> Outcome {
    let status = response.status();
    let reason = status.canonical_reason();
    let mut text = format!(
        "Status Code: {}\r\nReason Phrase: {}\r\nContent:\r\n",
        status.as_u16(),
        reason.unwrap_or_default()
    );
    let body = response.text().await.unwrap_or_default();
    text.extend(body.chars().take(KEPT_OF_RESPONSE));
    Outcome {
        came: Came::Status(status.as_u16()),
        response: Some(text),
        error: (!status.is_success())
            .then(|| format!("{} ({})", reason.unwrap_or("Failed"), status.as_u16())),
        took: began.elapsed(),
    }
}

/// An error with its causes, since the first line alone never says why.
fn explain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The headers, and the same as they are shown: credentials and custom values masked (facts 3.2).
fn headers<'a>(
    subscription: Uuid,
    input: impl Fn(&str) -> &'a str,
    assumptions: &Assumptions,
) -> (HeaderMap, String) {
    let mut all: Vec<(String, String, bool)> = vec![(
        CONTENT_TYPE.to_string(),
        "application/json; charset=utf-8".to_owned(),
        false,
    )];
    if assumptions.hold(Assumption::IdHeadersAreSent) {
        all.push(("request-id".to_owned(), Uuid::new_v4().to_string(), false));
        let id = subscription.to_string();
        all.push(("x-vss-subscriptionid".to_owned(), id, false));
    }
    let custom = input("httpHeaders").lines();
    for (name, value) in custom.filter_map(|line| line.split_once(':')) {
        all.push((name.trim().to_owned(), value.trim().to_owned(), true));
    }
    let (user, password) = (input("basicAuthUsername"), input("basicAuthPassword"));
    if let Some(basic) = authorization(user, password, assumptions) {
        all.push((AUTHORIZATION.to_string(), basic, true));
    }
    let mut headers = HeaderMap::new();
    let mut shown = String::new();
    for (name, value, is_secret) in all {
        let shown_value = if is_secret { MASK } else { value.as_str() };
        shown.push_str(&format!("  {name}: {shown_value}\r\n"));
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    (headers, shown)
}

/// `Basic` with the user name in front of the colon, or nothing there when it was left blank (facts 3.2).
fn authorization(user: &str, password: &str, assumptions: &Assumptions) -> Option<String> {
    if password.is_empty() && user.is_empty() {
        return None;
    }
    if user.is_empty() && !assumptions.hold(Assumption::BlankUserSendsBasic) {
        return None;
    }
    Some(format!(
        "Basic {}",
        STANDARD.encode(format!("{user}:{password}"))
    ))
}

fn shown(url: &str, headers: &str, body: &[u8]) -> String {
    let content = String::from_utf8_lossy(body);
    format!(
        "Method: POST\r\nURI: {url}\r\nHTTP Version: 1.1\r\nHeaders:\r\n{{\r\n{headers}}}\r\nContent:\r\n{content}"
    )
}
