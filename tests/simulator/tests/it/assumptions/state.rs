//! What is assumed of the sender's state machine.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::json;
use simulator::NotificationResult::{Failed, Pending, Succeeded};
use simulator::Sending;

use crate::harness::Harness;

const TWENTY_MINUTES: f64 = 1200.0;

/// A subscription whose first notification has put it on probation.
async fn on_probation(harness: &Harness) -> String {
    let id = harness.subscribe_to_pushes().await;
    harness.answer_with(&[500]);
    harness.push_file("first").await;
    assert_eq!(harness.status(), "onProbation");
    id
}

#[tokio::test]
async fn new_events_are_lost_on_probation_or_sent() {
    for (holds, results) in [
        (true, [vec![Pending], vec![]]),
        (false, [vec![Pending], vec![Succeeded]]),
    ] {
        let harness = Harness::start_still().await;
        harness.assume("probationLosesEvents", holds);
        on_probation(&harness).await;
        let event = harness.push_file("second").await;
        assert_eq!(event["lostTo"].as_array().unwrap().is_empty(), !holds);
        assert_eq!(harness.results(), results);
        let expected = if holds { "onProbation" } else { "enabled" };
        assert_eq!(harness.status(), expected);
    }
}

#[tokio::test]
async fn a_put_ends_a_probation_or_does_not() {
    for (holds, status) in [(true, "enabled"), (false, "onProbation")] {
        let harness = Harness::start_still().await;
        harness.assume("putEndsProbation", holds);
        let id = on_probation(&harness).await;
        let view = harness.put_status("good", &id, "enabled").await;
        assert_eq!(view["status"], status);
        let event = harness.push_file("second").await;
        assert_eq!(event["lostTo"].as_array().unwrap().is_empty(), holds);
    }
}

#[tokio::test]
async fn what_waits_when_a_probation_begins_is_sent_or_has_failed() {
    for (holds, results) in [
        (true, [[Succeeded], [Succeeded]]),
        (false, [[Failed], [Pending]]),
    ] {
        let harness = Harness::start_still().await;
        harness.assume("probationKeepsWaiting", holds);
        let id = harness.subscribe_to_pushes().await;
        harness.answer_with(&[503, 500]);
        harness.push_file("waits").await;
        harness.push_file("fails").await;
        assert_eq!(harness.status(), "onProbation");
        harness.pass(1.0).await;
        assert_eq!(harness.results()[0], results[0]);
        let status = if holds { "enabled" } else { "onProbation" };
        assert_eq!(harness.status(), status, "a success restores it");
        let path = format!("/_apis/hooks/subscriptions/{id}/notifications/1");
        let first = harness.get(&path).await;
        assert_eq!(first["status"], "completed");
        if holds {
            harness.pass(TWENTY_MINUTES).await;
        }
        assert_eq!(harness.results(), results);
    }
}

#[tokio::test]
async fn a_restored_subscription_retries_what_put_it_on_probation_or_gives_it_up() {
    for (holds, result) in [(true, Succeeded), (false, Failed)] {
        for by_rest in [true, false] {
            let harness = Harness::start_still().await;
            harness.assume("restoringKeepsRetry", holds);
            let id = on_probation(&harness).await;
            if by_rest {
                harness.put_status("good", &id, "enabled").await;
            } else {
                harness.set_status(&id, "enabled").await;
            }
            harness.pass(TWENTY_MINUTES).await;
            assert_eq!(harness.results(), [[result]]);
            assert_eq!(harness.status(), "enabled");
        }
    }
}

#[tokio::test]
async fn a_probation_retry_is_one_attempt_or_has_quick_retries() {
    for (holds, requests) in [(true, 2), (false, 10)] {
        let harness = Harness::start_still().await;
        harness.assume("probationRetryIsOneAttempt", holds);
        on_probation(&harness).await;
        harness.answer_with(&[503; 9]);
        harness.pass(TWENTY_MINUTES).await;
        for wait in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            harness.pass(wait).await;
        }
        assert_eq!(harness.received().len(), requests);
        assert_eq!(harness.status(), "onProbation");
        assert_eq!(harness.simulator.subscriptions()[0].probation_retries, 1);
    }
}

#[tokio::test]
async fn no_answer_in_time_is_transient_or_enduring() {
    for (holds, status) in [(true, "enabled"), (false, "onProbation")] {
        let harness = Harness::start_still().await;
        harness.assume("timeoutIsTransient", holds);
        harness.subscribe_to_pushes().await;
        harness.simulator.set_sending(Sending {
            timeout_milliseconds: 100,
            ..Sending::default()
        });
        harness.answer_with(&[0]);
        harness.push_file("a").await;
        assert_eq!(harness.status(), status);
    }
}

#[tokio::test]
async fn a_refused_connection_is_transient_or_enduring() {
    for (holds, status) in [(true, "enabled"), (false, "onProbation")] {
        let harness = Harness::start_still().await;
        harness.assume("noConnectionIsTransient", holds);
        let form = json!({ "project": "Harbor", "eventType": "git.push", "url": "http://127.0.0.1:9/hook" });
        harness.control(Method::POST, "/subscriptions", form).await;
        harness.push_file("a").await;
        assert_eq!(harness.status(), status);
    }
}

#[tokio::test]
async fn a_waiting_notification_reads_pending_or_failed() {
    for (holds, reads) in [
        (true, ("queued", "pending")),
        (false, ("completed", "failed")),
    ] {
        for (answer, wait) in [(503, 1.0), (500, TWENTY_MINUTES)] {
            let harness = Harness::start_still().await;
            harness.assume("waitingReadsPending", holds);
            let id = harness.subscribe_to_pushes().await;
            harness.answer_with(&[answer]);
            harness.push_file("a").await;
            let path = format!("/_apis/hooks/subscriptions/{id}/notifications/1");
            let read = harness.get(&path).await;
            assert_eq!(
                (&read["status"], &read["result"]),
                (&json!(reads.0), &json!(reads.1))
            );
            harness.pass(wait).await;
            assert_eq!(harness.get(&path).await["result"], "succeeded");
        }
    }
}

async fn leaves(harness: &Harness, is_gone: bool) {
    let path = "/people/milo%20brandt";
    harness
        .control(Method::PATCH, path, json!({ "inactive": is_gone }))
        .await;
}

/// A subscription that somebody made who then left.
async fn orphan(harness: &Harness) -> String {
    let form = json!({ "project": "Harbor", "eventType": "git.push", "url": harness.hook_url, "author": "Milo Brandt" });
    let made = harness.control(Method::POST, "/subscriptions", form).await;
    leaves(harness, true).await;
    assert_eq!(harness.status(), "disabledByInactiveIdentity");
    made["subscriptions"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn another_persons_put_ends_inactivity_or_does_not() {
    for (holds, status) in [(true, "enabled"), (false, "disabledByInactiveIdentity")] {
        let harness = Harness::start_still().await;
        harness.assume("putEndsInactivity", holds);
        let id = orphan(&harness).await;
        let view = harness.put_status("good", &id, "enabled").await;
        assert_eq!(view["status"], status);
        leaves(&harness, false).await;
        let kind = "projectAdministrator";
        let view = harness.put_status(kind, &id, "enabled").await;
        assert_eq!(view["status"], "enabled", "its creator always may");
    }
}

#[tokio::test]
async fn a_return_ends_inactivity_or_does_not() {
    for (holds, status) in [(true, "enabled"), (false, "disabledByInactiveIdentity")] {
        let harness = Harness::start_still().await;
        harness.assume("returnEndsInactivity", holds);
        orphan(&harness).await;
        leaves(&harness, false).await;
        assert_eq!(harness.status(), status);
    }
}

#[tokio::test]
async fn a_switch_that_there_is_not_is_refused_and_each_can_be_read_back() {
    let harness = Harness::start().await;
    assert_eq!(
        harness
            .simulator
            .assume("nothing", true)
            .unwrap_err()
            .status,
        404
    );
    let before: BTreeMap<_, _> = harness.simulator.assumptions();
    for (name, holds) in &before {
        harness.assume(name, !holds);
    }
    let after = harness.simulator.assumptions();
    assert!(before.iter().all(|(name, holds)| after[name] != *holds));
}
