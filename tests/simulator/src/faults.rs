//! Faults that can be switched on: what goes wrong between a client and the REST API (facts 7, 8).
//! They strike before a request is looked at, and never touch control.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock::Clock;
use crate::reply::{Body, Reply};

/// What goes wrong.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) enum FaultKind {
    /// The answer comes later.
    Latency,
    /// 429 with `Retry-After`.
    TooManyRequests,
    /// A true answer that comes later and says so: `Retry-After` and `X-RateLimit-*` on a 200.
    Delayed,
    /// 203 and the sign-in page.
    SignInPage,
    /// 302 to the sign-in page.
    Redirect,
    /// Any status, 503 if none is given, with an error body.
    Status,
    /// 200 and HTML.
    NotJson,
    /// 200 and JSON that is cut off.
    CutOff,
    /// The connection is closed without an answer.
    Drop,
    /// No answer ever.
    Hang,
}

/// A fault, and which requests it strikes.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Fault {
    kind: FaultKind,
    /// A part of the path with its query, whatever its case. All requests if it is left out.
    path: Option<String>,
    method: Option<String>,
    /// How often; for ever if it is left out.
    times: Option<u32>,
    /// Only every n-th of the requests it would strike.
    every: Option<u32>,
    #[serde(skip)]
    passed_by: u32,
    #[serde(default)]
    milliseconds: u64,
    #[serde(default = "one")]
    retry_after_seconds: u64,
    status: Option<u16>,
}

fn one() -> u64 {
    1
}

/// The faults that are switched on.
#[derive(Default)]
pub(crate) struct Faults {
    list: Vec<Fault>,
}

/// What to do to one request.
#[derive(Default)]
pub(crate) struct Strike {
    pub(crate) delay: Duration,
    pub(crate) fault: Option<Fault>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.list.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }

    pub(crate) fn all(&self) -> &[Fault] {
        &self.list
    }

    /// Takes what strikes a request: every latency, and the first other fault.
    pub(crate) fn take(&mut self, method: &str, path: &str) -> Strike {
        let mut strike = Strike::default();
        for fault in &mut self.list {
            let taken = strike.fault.is_some() && fault.kind != FaultKind::Latency;
            if taken || !fault.strikes(method, path) || !fault.is_its_turn() {
                continue;
            }
            fault.times = fault.times.map(|times| times.saturating_sub(1));
            strike.delay += Duration::from_millis(fault.milliseconds);
            if fault.kind != FaultKind::Latency {
                strike.fault = Some(fault.clone());
            }
        }
        self.list.retain(|it| it.times != Some(0));
        strike
    }
}

impl Fault {
    fn strikes(&self, method: &str, path: &str) -> bool {
        let path = path.to_lowercase();
        self.times != Some(0)
            && self
                .path
                .as_ref()
                .is_none_or(|part| path.contains(&part.to_lowercase()))
            && self
                .method
                .as_ref()
                .is_none_or(|it| it.eq_ignore_ascii_case(method))
    }

    fn is_its_turn(&mut self) -> bool {
        self.passed_by += 1;
        self.every
            .is_none_or(|every| self.passed_by.is_multiple_of(every.max(1)))
    }

    pub(crate) fn kind(&self) -> FaultKind {
        self.kind
    }

    pub(crate) fn name(&self) -> String {
        serde_json::to_value(self.kind)
            .ok()
            .and_then(|it| it.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// The answer that takes the place of the true one, if there is one.
    pub(crate) fn reply(&self, host: &str, clock: &Clock) -> Option<Reply> {
        match self.kind {
            FaultKind::TooManyRequests => Some(self.limited(Reply::error(
                429,
                "RequestBlockedException",
                "TF400733: The request has been canceled: Request was blocked due to exceeding usage of resource 'Concurrency' in namespace 'User'.",
            ), clock)),
            FaultKind::SignInPage => Some(Reply::sign_in_page()),
            FaultKind::Redirect => Some(Reply::sign_in_redirect(host)),
            FaultKind::Status => Some(Reply::error(
                self.status.unwrap_or(503),
                "ServiceUnavailableException",
                "TF400898: An internal error occurred, switched on by a fault of the simulator.",
            )),
            FaultKind::NotJson => Some(Reply::html(200, "<!DOCTYPE html><html><body>We are doing some maintenance.</body></html>")),
            FaultKind::CutOff => Some(Reply {
                status: 200,
                headers: Vec::new(),
                body: Body::Json(json!(null)),
            }.cut_off()),
            FaultKind::Latency | FaultKind::Delayed | FaultKind::Drop | FaultKind::Hang => None,
        }
    }

    /// Adds what the service says of its limits (facts 8) to an answer.
    pub(crate) fn limited(&self, mut reply: Reply, clock: &Clock) -> Reply {
        let wait = self.retry_after_seconds;
        let reset = clock.now().as_second() + i64::try_from(wait).unwrap_or(0);
        reply.headers.extend([
            ("Retry-After", wait.to_string()),
            ("X-RateLimit-Resource", "Concurrency".to_owned()),
            ("X-RateLimit-Delay", format!("{:.3}", wait as f64)),
            ("X-RateLimit-Limit", "200".to_owned()),
            ("X-RateLimit-Remaining", "0".to_owned()),
            ("X-RateLimit-Reset", reset.to_string()),
        ]);
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: serde_json::Value) -> Fault {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_fault_strikes_as_often_as_it_says_where_it_says() {
        let mut faults = Faults::default();
        faults.add(fault(
            json!({ "kind": "status", "path": "/_APIS/projects", "times": 2 }),
        ));
        assert!(
            faults
                .take("GET", "/tidewater/_apis/connectionData")
                .fault
                .is_none()
        );
        assert!(
            faults
                .take("GET", "/tidewater/_apis/projects?x=1")
                .fault
                .is_some()
        );
        assert!(
            faults
                .take("GET", "/tidewater/_apis/projects")
                .fault
                .is_some()
        );
        assert!(
            faults
                .take("GET", "/tidewater/_apis/projects")
                .fault
                .is_none()
        );
        assert!(faults.all().is_empty());
    }

    #[test]
    fn a_fault_may_strike_every_third_request() {
        let mut faults = Faults::default();
        faults.add(fault(json!({ "kind": "tooManyRequests", "every": 3 })));
        let struck: Vec<bool> = (0..6)
            .map(|_| faults.take("GET", "/").fault.is_some())
            .collect();
        assert_eq!(struck, [false, false, true, false, false, true]);
    }

    #[test]
    fn latencies_add_up_beside_another_fault() {
        let mut faults = Faults::default();
        faults.add(fault(json!({ "kind": "latency", "milliseconds": 20 })));
        faults.add(fault(json!({ "kind": "latency", "milliseconds": 30 })));
        faults.add(fault(json!({ "kind": "drop" })));
        let strike = faults.take("GET", "/");
        assert_eq!(strike.delay, Duration::from_millis(50));
        assert_eq!(strike.fault.map(|it| it.kind()), Some(FaultKind::Drop));
    }
}
