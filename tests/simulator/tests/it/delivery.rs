//! Deliveries: credentials, retries, probation, the history.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Harness, subscription};

/// `:open-sesame` in Base64.
const BASIC: &str = "Basic Om9wZW4tc2VzYW1l";

async fn subscribe_by_rest(harness: &Harness) -> String {
    let project = harness.get("/_apis/projects/Harbor").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let body = subscription(&project, &harness.hook_url);
    let path = "/_apis/hooks/subscriptions?api-version=7.1";
    let response = harness.rest("good", Method::POST, path, Some(body)).await;
    assert_eq!(response.status(), 200);
    let made: Value = response.json().await.unwrap();
    assert_eq!(made["status"], "enabled");
    assert_eq!(made["consumerInputs"]["basicAuthPassword"], "********");
    made["id"].as_str().unwrap().to_owned()
}

async fn status(harness: &Harness, id: &str) -> String {
    let view = harness
        .get(&format!("/_apis/hooks/subscriptions/{id}"))
        .await;
    view["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_push_reaches_its_subscriber_with_the_password_and_a_503_is_retried() {
    let harness = Harness::start().await;
    let id = subscribe_by_rest(&harness).await;
    harness.answer_with(&[503]);
    let done = harness
        .push(json!({ "branch": "main", "files": { "prod/main.tf": "# new" } }))
        .await;
    harness.settle().await;

    let received = harness.received();
    assert_eq!(received.len(), 2);
    assert_eq!(
        received[0].body, received[1].body,
        "a retry sends the same bytes"
    );
    for one in &received {
        assert_eq!(one.headers["authorization"], BASIC);
        assert_eq!(
            one.headers["content-type"],
            "application/json; charset=utf-8"
        );
        assert!(
            one.headers["user-agent"]
                .to_str()
                .unwrap()
                .starts_with("VSServices/")
        );
    }
    assert_eq!(received[0].body["id"], done["events"][0]["id"]);
    assert_eq!(status(&harness, &id).await, "enabled");

    let deliveries = harness.simulator.deliveries();
    let attempts: Vec<_> = deliveries
        .iter()
        .map(|it| (it.attempt, it.status))
        .collect();
    assert_eq!(attempts, [(1, Some(503)), (2, Some(200))]);

    let history = harness
        .get(&format!("/_apis/hooks/subscriptions/{id}/notifications/1"))
        .await;
    assert_eq!(history["status"], "completed");
    assert_eq!(history["result"], "succeeded");
    assert_eq!(history["details"]["requestAttempts"], 2);
    assert_eq!(history["details"]["event"]["id"], done["events"][0]["id"]);
    assert!(
        history["details"]["request"]
            .as_str()
            .unwrap()
            .contains("authorization: ********")
    );
    assert!(!history.to_string().contains("open-sesame"));
}

#[tokio::test]
async fn an_enduring_failure_means_probation_in_which_new_events_are_lost() {
    let harness = Harness::start().await;
    let id = subscribe_by_rest(&harness).await;
    harness.answer_with(&[500]);
    harness
        .push(json!({ "branch": "main", "files": { "a": "1" } }))
        .await;
    harness.settle().await;
    assert_eq!(status(&harness, &id).await, "onProbation");

    let lost = harness
        .push(json!({ "branch": "main", "files": { "a": "2" } }))
        .await;
    assert_eq!(
        lost["events"][0]["lostTo"],
        json!([{ "subscriptionId": id, "status": "onProbation" }])
    );
    harness.assume("probationLosesEvents", false);
    harness
        .push(json!({ "branch": "main", "files": { "a": "3" } }))
        .await;
    harness.settle().await;
    assert_eq!(
        status(&harness, &id).await,
        "enabled",
        "a success restores it"
    );
    assert_eq!(harness.received().len(), 2);
}

#[tokio::test]
async fn a_probation_retry_that_succeeds_restores_the_subscription() {
    let harness = Harness::start().await;
    let id = subscribe_by_rest(&harness).await;
    harness.answer_with(&[401, 401]);
    harness
        .push(json!({ "branch": "main", "files": { "a": "1" } }))
        .await;
    harness.settle().await;
    harness.simulator.set_time_scale(1e9);
    let (_, answer) = harness
        .try_control(Method::POST, "/settle?includeProbation=true", json!({}))
        .await;
    assert_eq!(answer["settled"], true);
    assert_eq!(harness.received().len(), 3);
    let view = harness
        .get(&format!("/_apis/hooks/subscriptions/{id}"))
        .await;
    assert_eq!(view["status"], "enabled");
    assert_eq!(view["probationRetries"], 2, "a number on the wire");
    assert!(view["lastProbationRetryDate"].is_string());
}

#[tokio::test]
async fn gone_disables_the_subscription_at_once() {
    let harness = Harness::start().await;
    let id = subscribe_by_rest(&harness).await;
    harness.answer_with(&[410]);
    harness
        .push(json!({ "branch": "main", "files": { "a": "1" } }))
        .await;
    harness.settle().await;
    assert_eq!(status(&harness, &id).await, "disabledBySystem");
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_a_transient_failure() {
    let harness = Harness::start().await;
    let form =
        json!({ "project": "Harbor", "eventType": "git.push", "url": "http://127.0.0.1:9/hook" });
    harness.control(Method::POST, "/subscriptions", form).await;
    harness
        .push(json!({ "branch": "main", "files": { "a": "1" } }))
        .await;
    harness.settle().await;
    let deliveries = harness.simulator.deliveries();
    assert_eq!(deliveries.len(), 9, "once, and eight retries");
    assert!(
        deliveries
            .iter()
            .all(|it| it.status.is_none() && it.error.is_some())
    );
}

#[tokio::test]
async fn what_a_put_with_asterisks_stores_is_a_switch() {
    let harness = Harness::start().await;
    let id = subscribe_by_rest(&harness).await;
    let path = format!("/_apis/hooks/subscriptions/{id}?api-version=7.1");
    let read: Value = harness.get(&path).await;
    for (keeps, header) in [(true, BASIC), (false, "Basic OioqKioqKioq")] {
        harness.assume("putKeepsMaskedPassword", keeps);
        let response = harness
            .rest("good", Method::PUT, &path, Some(read.clone()))
            .await;
        assert_eq!(response.status(), 200);
        harness.forget();
        harness
            .push(json!({ "branch": "main", "files": { "a": header } }))
            .await;
        harness.settle().await;
        assert_eq!(harness.received()[0].headers["authorization"], header);
    }
}

#[tokio::test]
async fn a_deleted_subscription_gets_nothing_more() {
    let harness = Harness::start().await;
    let id = subscribe_by_rest(&harness).await;
    let path = format!("/_apis/hooks/subscriptions/{id}?api-version=7.1");
    assert_eq!(
        harness
            .rest("good", Method::DELETE, &path, None)
            .await
            .status(),
        204
    );
    assert_eq!(
        harness
            .rest("good", Method::GET, &path, None)
            .await
            .status(),
        404
    );
    harness
        .push(json!({ "branch": "main", "files": { "a": "1" } }))
        .await;
    assert!(harness.simulator.settle(Duration::from_secs(5)).await);
    assert!(harness.received().is_empty());
}

#[tokio::test]
async fn the_test_button_sends_the_constants_and_changes_no_state() {
    let harness = Harness::start().await;
    let form =
        json!({ "eventType": "git.push", "url": harness.hook_url, "password": "open-sesame" });
    harness.answer_with(&[500]);
    let sent = harness.control(Method::POST, "/test", form).await;
    assert_eq!(sent["result"], "failed");
    let id = subscribe_by_rest(&harness).await;
    harness.answer_with(&[500]);
    harness
        .control(
            Method::POST,
            &format!("/subscriptions/{id}/test"),
            json!({}),
        )
        .await;
    assert_eq!(status(&harness, &id).await, "enabled");

    let bodies: Vec<Value> = harness.received().into_iter().map(|it| it.body).collect();
    assert_eq!(
        bodies[0]["subscriptionId"],
        "00000000-0000-0000-0000-000000000000"
    );
    assert_eq!(bodies[1]["subscriptionId"], json!(id));
    for body in bodies {
        assert_eq!(body["id"], "03c164c2-8912-4d5e-8009-3707d5f83734");
        let account = json!({ "id": "f844ec47-a9db-4511-8281-8b63f4eaf94e" });
        assert_eq!(
            body["resourceContainers"]["account"], account,
            "without a base URL"
        );
        assert_eq!(
            body["resource"]["pushedBy"]["id"],
            "00067FFED5C7AF52@Live.com"
        );
    }
}
