//! The request of a delivery, as Azure DevOps makes it (facts 3.2), and as its history shows it: without the password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use uuid::Uuid;

use crate::assumptions::{Assumption, Assumptions};
use crate::state::subscriptions::{MASK, Subscription};

/// A request that is ready to be sent.
pub(crate) struct Outgoing {
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The request as text, with the secrets masked, as the history shows it.
    pub(crate) shown: String,
}

/// Makes the request that carries this body to a subscription.
pub(crate) fn outgoing(
    subscription: &Subscription,
    body: &Value,
    assumptions: &Assumptions,
) -> Outgoing {
    let (headers, shown_headers) = headers(subscription, assumptions);
    let body = body.to_string().into_bytes();
    let shown = shown(subscription.url(), &shown_headers, &body);
    Outgoing {
        url: subscription.url().to_owned(),
        headers,
        body,
        shown,
    }
}

/// The headers, and the same as they are shown: credentials and custom values masked (facts 3.2).
fn headers(subscription: &Subscription, assumptions: &Assumptions) -> (HeaderMap, String) {
    let mut all: Vec<(String, String, bool)> = vec![(
        CONTENT_TYPE.to_string(),
        "application/json; charset=utf-8".to_owned(),
        false,
    )];
    if assumptions.hold(Assumption::IdHeadersAreSent) {
        all.push(("request-id".to_owned(), Uuid::new_v4().to_string(), false));
        let id = subscription.id.to_string();
        all.push(("x-vss-subscriptionid".to_owned(), id, false));
    }
    let custom = subscription
        .consumer_input("httpHeaders")
        .unwrap_or_default();
    for (name, value) in custom.lines().filter_map(|line| line.split_once(':')) {
        all.push((name.trim().to_owned(), value.trim().to_owned(), true));
    }
    if let Some(basic) = authorization(subscription, assumptions) {
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
fn authorization(subscription: &Subscription, assumptions: &Assumptions) -> Option<String> {
    let user = subscription
        .consumer_input("basicAuthUsername")
        .unwrap_or_default();
    let password = subscription
        .consumer_input("basicAuthPassword")
        .unwrap_or_default();
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
