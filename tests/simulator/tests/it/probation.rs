//! The sender's state machine, seen from outside: retries, probation, and what people and owners do meanwhile.

use reqwest::Method;
use serde_json::json;
use simulator::NotificationResult::{Failed, Pending, Succeeded};

use crate::harness::Harness;

/// The waits before the retries of a transient failure, in seconds (facts 3.1).
const QUICK: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0];

/// The waits before the retries of a probation, in minutes (facts 3.1).
const PROBATION: [f64; 7] = [20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 900.0];

const A_MOMENT: f64 = 0.001;

/// Nothing is sent a moment before this has passed, and one request when it has.
async fn one_more_after(harness: &Harness, seconds: f64) {
    let before = harness.received().len();
    harness.pass(seconds - A_MOMENT).await;
    assert_eq!(harness.received().len(), before, "{seconds} s: too early");
    harness.pass(A_MOMENT).await;
    assert_eq!(harness.received().len(), before + 1, "{seconds} s");
}

#[tokio::test]
async fn a_receiver_that_only_answers_503_is_tried_for_183_seconds_and_36_hours_and_then_disabled()
{
    let harness = Harness::start_still().await;
    let id = harness.subscribe_to_pushes().await;
    harness.answer_with(&[503; 16]);
    harness.push_file("a").await;
    for wait in QUICK {
        assert_eq!(harness.status(), "enabled");
        one_more_after(&harness, wait).await;
    }
    for (retries, wait) in PROBATION.iter().enumerate() {
        assert_eq!(harness.status(), "onProbation");
        let stands = &harness.simulator.subscriptions()[0];
        assert_eq!(stands.probation_retries as usize, retries);
        let lost = harness.push_file(&format!("lost-{retries}")).await;
        assert_eq!(lost["lostTo"][0]["status"], "onProbation");
        one_more_after(&harness, wait * 60.0).await;
    }
    let path = format!("/_apis/hooks/subscriptions/{id}");
    let view = harness.get(&path).await;
    assert_eq!(view["status"], "disabledBySystem");
    assert_eq!(view["probationRetries"], 7);
    assert!(view["lastProbationRetryDate"].is_string());
    let history = harness.get(&format!("{path}/notifications/1")).await;
    assert_eq!(history["result"], "failed");
    assert_eq!(history["details"]["requestAttempts"], 16);
    let attempts: Vec<u32> = harness
        .simulator
        .deliveries()
        .iter()
        .map(|it| it.attempt)
        .collect();
    assert_eq!(attempts, (1..=16).collect::<Vec<u32>>());
    let events = harness.simulator.events();
    assert_eq!(harness.results()[0], [Failed]);
    assert_eq!(events[0].notifications[0].attempts, 16);
    assert!(events[1..].iter().all(|it| it.lost_to.len() == 1));
    let disabled = harness.push_file("b").await;
    assert_eq!(disabled["lostTo"][0]["status"], "disabledBySystem");
}

#[tokio::test]
async fn a_retry_that_succeeds_dates_itself_and_lets_new_events_pass() {
    let harness = Harness::start_still().await;
    let id = harness.subscribe_to_pushes().await;
    harness.answer_with(&[500]);
    harness.push_file("a").await;
    let path = format!("/_apis/hooks/subscriptions/{id}");
    let waiting = harness.get(&path).await;
    assert!(waiting["probationRetries"].is_null() && waiting["lastProbationRetryDate"].is_null());
    harness.pass(20.0 * 60.0).await;
    let restored = harness.get(&path).await;
    assert_eq!(restored["status"], "enabled");
    assert_eq!(restored["probationRetries"], 1);
    assert!(restored["lastProbationRetryDate"].is_string());
    assert_eq!(harness.push_file("b").await["lostTo"], json!([]));
    assert_eq!(harness.results(), [[Succeeded], [Succeeded]]);
}

#[tokio::test]
async fn gone_ends_it_among_quick_retries_and_on_probation() {
    for first in [503, 500] {
        let harness = Harness::start_still().await;
        harness.subscribe_to_pushes().await;
        harness.answer_with(&[first, 410]);
        harness.push_file("a").await;
        harness.pass(20.0 * 60.0).await;
        assert_eq!(harness.status(), "disabledBySystem", "after {first}");
        harness.pass(40.0 * 3600.0).await;
        assert_eq!(harness.received().len(), 2);
        assert_eq!(harness.results(), [[Failed]]);
    }
}

#[tokio::test]
async fn gone_takes_along_what_else_waits() {
    let harness = Harness::start_still().await;
    let id = harness.subscribe_to_pushes().await;
    harness.answer_with(&[503, 410]);
    harness.push_file("a").await;
    harness.push_file("b").await;
    assert_eq!(harness.results(), [[Failed], [Failed]]);
    let path = format!("/_apis/hooks/subscriptions/{id}/notifications/1");
    let first = harness.get(&path).await;
    assert_eq!(first["result"], "failed");
    harness.pass(60.0).await;
    assert_eq!(harness.received().len(), 2);
}

#[tokio::test]
async fn a_subscription_that_is_disabled_drops_its_retries_even_if_it_is_enabled_at_once() {
    for status in ["disabledByUser", "disabledByInactiveIdentity"] {
        let harness = Harness::start_still().await;
        let id = harness.subscribe_to_pushes().await;
        harness.answer_with(&[503]);
        harness.push_file("a").await;
        assert_eq!(harness.results(), [[Pending]]);
        harness.set_status(&id, status).await;
        let lost = harness.push_file("b").await;
        assert_eq!(lost["lostTo"][0]["status"], status);
        harness.set_status(&id, "enabled").await;
        harness.pass(60.0).await;
        assert_eq!(harness.results(), [vec![Failed], vec![]]);
        assert_eq!(harness.received().len(), 1);
        harness.push_file("c").await;
        assert_eq!(harness.received().len(), 2);
    }
}

#[tokio::test]
async fn a_delete_takes_along_what_waits_by_rest_and_at_the_portal() {
    for answer in [503, 500] {
        let harness = Harness::start_still().await;
        let (by_rest, at_the_portal) = (
            harness.subscribe_to_pushes().await,
            harness.subscribe_to_pushes().await,
        );
        harness.answer_with(&[answer; 2]);
        harness.push_file("a").await;
        let path = format!("/_apis/hooks/subscriptions/{by_rest}?api-version=7.1");
        let response = harness.rest("good", Method::DELETE, &path, None).await;
        assert_eq!(response.status(), 204);
        let path = format!("/subscriptions/{at_the_portal}");
        harness.control(Method::DELETE, &path, json!(null)).await;
        assert_eq!(harness.results(), [[Failed, Failed]]);
        harness.pass(40.0 * 3600.0).await;
        assert_eq!(harness.received().len(), 2);
        let path = format!("/_apis/hooks/subscriptions/{by_rest}/notifications/1");
        let history = harness.rest("good", Method::GET, &path, None).await;
        assert_eq!(history.status(), 404);
    }
}

#[tokio::test]
async fn a_read_record_that_is_written_back_stays_on_probation() {
    let harness = Harness::start_still().await;
    let id = harness.subscribe_to_pushes().await;
    harness.answer_with(&[500]);
    harness.push_file("a").await;
    let view = harness.put_status("good", &id, "onProbation").await;
    assert_eq!(view["status"], "onProbation");
    harness.pass(20.0 * 60.0).await;
    assert_eq!(harness.results(), [[Succeeded]]);
}

#[tokio::test]
async fn a_probation_after_another_begins_with_the_first_wait() {
    let harness = Harness::start_still().await;
    let id = harness.subscribe_to_pushes().await;
    harness.answer_with(&[500, 500]);
    harness.push_file("a").await;
    harness.pass(20.0 * 60.0).await;
    harness.set_status(&id, "enabled").await;
    harness.answer_with(&[500]);
    harness.push_file("b").await;
    assert_eq!(harness.status(), "onProbation");
    one_more_after(&harness, 20.0 * 60.0).await;
    assert_eq!(harness.status(), "enabled");
    one_more_after(&harness, 20.0 * 60.0).await;
    assert_eq!(harness.results(), [[Succeeded], [Succeeded]]);
}

#[tokio::test]
async fn whoever_leaves_leaves_no_token_and_no_subscription_that_works() {
    let harness = Harness::start_still().await;
    let id = harness.subscribe_to_pushes().await;
    harness.answer_with(&[500]);
    harness.push_file("a").await;
    let person = "/people/Ines%20Varga";
    harness
        .control(Method::PATCH, person, json!({ "inactive": true }))
        .await;
    assert_eq!(harness.status(), "disabledByInactiveIdentity");
    assert_eq!(harness.results(), [[Failed]]);
    let path = "/_apis/projects";
    let refused = harness.rest("good", Method::GET, path, None).await;
    assert_eq!(refused.status(), 203);
    harness
        .control(Method::PATCH, person, json!({ "inactive": false }))
        .await;
    assert_eq!(harness.status(), "disabledByInactiveIdentity");
    let enabled = harness.put_status("good", &id, "enabled").await;
    assert_eq!(enabled["status"], "enabled");
    harness.push_file("b").await;
    assert_eq!(harness.results(), [[Failed], [Succeeded]]);
}
