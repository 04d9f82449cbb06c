//! What is assumed of a delivery's request.

use reqwest::Method;
use serde_json::json;

use crate::harness::Harness;

/// `:open-sesame`, `:changed` and `:********` in Base64.
const OLD: &str = "Basic Om9wZW4tc2VzYW1l";
const NEW: &str = "Basic OmNoYW5nZWQ=";
const ASTERISKS: &str = "Basic OioqKioqKioq";

#[tokio::test]
async fn a_retry_keeps_its_created_date_or_gets_that_of_the_attempt() {
    for holds in [true, false] {
        let harness = Harness::start_still().await;
        harness.assume("retriesKeepCreatedDate", holds);
        harness.subscribe_to_pushes().await;
        harness.answer_with(&[503]);
        harness.push_file("a").await;
        harness.pass(1.0).await;
        let received = harness.received();
        let date = |at: usize| received[at].body["createdDate"].as_str().unwrap();
        assert_eq!(date(0) == date(1), holds);
        assert_eq!(received[0].body["id"], received[1].body["id"]);
    }
}

#[tokio::test]
async fn overlapping_subscriptions_share_the_created_date_or_have_their_own() {
    for holds in [true, false] {
        let harness = Harness::start_still().await;
        harness.assume("overlapsShareCreatedDate", holds);
        harness.subscribe_to_pushes().await;
        harness.subscribe_to_pushes().await;
        harness.push_file("a").await;
        let received = harness.received();
        assert_eq!(received[0].body["id"], received[1].body["id"]);
        let date = |at: usize| received[at].body["createdDate"].as_str().unwrap();
        assert_eq!(date(0) == date(1), holds);
    }
}

#[tokio::test]
async fn a_retry_takes_the_password_of_its_time_or_of_the_events() {
    for (holds, second) in [(true, NEW), (false, OLD)] {
        let harness = Harness::start_still().await;
        harness.assume("retriesUseCurrentInputs", holds);
        let id = harness.subscribe_to_pushes().await;
        harness.answer_with(&[503]);
        harness.push_file("a").await;
        let id = id.parse().unwrap();
        harness.simulator.set_password(id, "changed").await.unwrap();
        harness.pass(1.0).await;
        harness.push_file("b").await;
        let received = harness.received();
        let sent: Vec<&str> = received
            .iter()
            .map(|it| it.headers["authorization"].to_str().unwrap())
            .collect();
        assert_eq!(sent, [OLD, second, NEW]);
    }
}

#[tokio::test]
async fn a_password_that_the_service_would_not_take_is_refused_at_the_portal() {
    let harness = Harness::start_still().await;
    let id = harness.subscribe_to_pushes().await.parse().unwrap();
    let refused = harness.simulator.set_password(id, "with space").await;
    assert_eq!(refused.unwrap_err().status, 400);
    let nobody = harness.simulator.set_password(uuid::Uuid::nil(), "x").await;
    assert_eq!(nobody.unwrap_err().status, 404);
}

#[tokio::test]
async fn a_blank_user_sends_a_colon_and_the_password_or_nothing() {
    for holds in [true, false] {
        let harness = Harness::start_still().await;
        harness.assume("blankUserSendsBasic", holds);
        harness.subscribe_to_pushes().await;
        harness.push_file("a").await;
        let received = harness.received();
        let sent = received[0].headers.get("authorization");
        assert_eq!(sent.map(|it| it.to_str().unwrap()), holds.then_some(OLD));
    }
}

#[tokio::test]
async fn deliveries_carry_ids_in_their_headers_or_none() {
    for holds in [true, false] {
        let harness = Harness::start_still().await;
        harness.assume("idHeadersAreSent", holds);
        harness.subscribe_to_pushes().await;
        harness.push_file("a").await;
        for name in ["request-id", "x-vss-subscriptionid"] {
            assert_eq!(harness.received()[0].headers.contains_key(name), holds);
        }
    }
}

#[tokio::test]
async fn a_put_with_asterisks_keeps_the_password_or_stores_them() {
    for (holds, header) in [(true, OLD), (false, ASTERISKS)] {
        let harness = Harness::start_still().await;
        harness.assume("putKeepsMaskedPassword", holds);
        let id = harness.subscribe_to_pushes().await;
        harness.put_status("good", &id, "enabled").await;
        harness.push_file("a").await;
        assert_eq!(harness.received()[0].headers["authorization"], header);
    }
}

#[tokio::test]
async fn a_push_of_several_refs_is_one_event_or_several() {
    for (holds, events) in [(true, 1), (false, 2)] {
        let harness = Harness::start_still().await;
        harness.assume("multiRefPushIsOneEvent", holds);
        harness.subscribe_to_pushes().await;
        let refs = json!([
            { "ref": "main", "commits": [{ "files": { "a": "#" } }] },
            { "ref": "develop", "commits": [{ "files": { "b": "#" } }] },
        ]);
        harness.push(json!({ "refUpdates": refs })).await;
        harness.settle().await;
        assert_eq!(harness.received().len(), events);
    }
}

#[tokio::test]
async fn a_branch_filter_holds_back_tags_or_lets_them_pass() {
    for holds in [true, false] {
        let harness = Harness::start_still().await;
        harness.assume("branchFilterHoldsBackTags", holds);
        let form = json!({ "project": "Harbor", "eventType": "git.push", "url": harness.hook_url, "branch": "main" });
        harness.control(Method::POST, "/subscriptions", form).await;
        let path = "/projects/Harbor/repositories/platform/tags";
        let tag = json!({ "name": "v2", "commit": "main" });
        harness.control(Method::POST, path, tag).await;
        harness.settle().await;
        assert_eq!(harness.received().is_empty(), holds);
    }
}
