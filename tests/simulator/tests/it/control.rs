//! Control: faults, records, tokens, reset, and what it says to bad input.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Harness;

const PROJECTS: &str = "/_apis/projects";

async fn fault(harness: &Harness, fault: Value) {
    let (status, answer) = harness.try_control(Method::POST, "/faults", fault).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn faults_take_the_place_of_answers_as_often_as_they_say() {
    let harness = Harness::start().await;
    let get = async || harness.rest("good", Method::GET, PROJECTS, None).await;
    fault(&harness, json!({ "kind": "tooManyRequests", "path": "projects", "times": 1, "retryAfterSeconds": 7 })).await;
    let limited = get().await;
    assert_eq!(limited.status(), 429);
    assert_eq!(limited.headers()["retry-after"], "7");
    assert!(limited.text().await.unwrap().contains("TF400733"));
    assert_eq!(get().await.status(), 200);

    fault(
        &harness,
        json!({ "kind": "delayed", "times": 1, "milliseconds": 60 }),
    )
    .await;
    let began = Instant::now();
    let delayed = get().await;
    assert!(began.elapsed() >= Duration::from_millis(60));
    assert_eq!(delayed.status(), 200);
    assert!(delayed.headers().contains_key("x-ratelimit-remaining"));

    for (kind, status) in [
        ("signInPage", 203),
        ("redirect", 302),
        ("status", 503),
        ("notJson", 200),
        ("cutOff", 200),
    ] {
        fault(&harness, json!({ "kind": kind, "times": 1 })).await;
        let spoilt = get().await;
        assert_eq!(spoilt.status(), status, "{kind}");
        assert!(
            spoilt.json::<Value>().await.is_err() || status == 503,
            "{kind}"
        );
    }
    let seen: Vec<_> = harness
        .simulator
        .requests()
        .into_iter()
        .filter_map(|it| it.fault)
        .collect();
    assert_eq!(seen.len(), 7);
}

#[tokio::test]
async fn a_connection_can_be_dropped_or_left_hanging() {
    let harness = Harness::start().await;
    let url = format!("{}{PROJECTS}", harness.simulator.organization_url());
    let get = || {
        harness
            .client
            .get(&url)
            .basic_auth("", Some(harness.simulator.token("good")))
    };
    fault(&harness, json!({ "kind": "drop", "times": 1 })).await;
    assert!(get().send().await.is_err());
    fault(&harness, json!({ "kind": "hang", "times": 1 })).await;
    let error = get()
        .timeout(Duration::from_millis(100))
        .send()
        .await
        .unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(get().send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn requests_are_recorded_without_what_their_headers_say() {
    let harness = Harness::start().await;
    harness
        .rest("good", Method::GET, "/_apis/projects?$top=1", None)
        .await;
    let (_, answer) = harness
        .try_control(Method::GET, "/requests?path=projects", json!({}))
        .await;
    let request = &answer["requests"][0];
    assert_eq!(request["path"], "/tidewater/_apis/projects?$top=1");
    assert_eq!(request["token"], "good");
    assert_eq!(request["status"], 200);
    assert!(
        request["headers"]
            .as_array()
            .unwrap()
            .contains(&json!("authorization"))
    );
    assert!(!answer.to_string().contains(harness.simulator.token("good")));
}

#[tokio::test]
async fn a_token_expires_and_a_reset_restores_the_world() {
    let harness = Harness::start().await;
    harness.subscribe().await;
    harness
        .try_control(Method::POST, "/tokens/good/expire", json!({}))
        .await;
    assert_eq!(
        harness
            .rest("good", Method::GET, PROJECTS, None)
            .await
            .status(),
        401
    );
    harness.assume("forcedIsMarked", false);
    harness.try_control(Method::POST, "/reset", json!({})).await;
    assert_eq!(
        harness.get(PROJECTS).await["count"],
        7,
        "the same token again"
    );
    assert_eq!(harness.get("/_apis/hooks/subscriptions").await["count"], 0);
}

#[tokio::test]
async fn bad_input_is_said_to_be_bad() {
    let harness = Harness::start().await;
    let repository = "/organizations/tidewater/projects/Harbor/repositories/platform";
    for (method, path, body, status) in [
        (
            Method::POST,
            format!("{repository}/pushes"),
            json!({ "branch": "main", "fils": {} }),
            400,
        ),
        (Method::POST, format!("{repository}/pushes"), json!({}), 400),
        (
            Method::POST,
            format!("{repository}/pushes"),
            json!({ "branch": "main", "files": { "none": null } }),
            404,
        ),
        (
            Method::POST,
            format!("{repository}/pullRequests"),
            json!({ "source": "nowhere" }),
            404,
        ),
        (
            Method::PATCH,
            format!("{repository}/pullRequests/99"),
            json!({ "title": "x" }),
            404,
        ),
        (
            Method::POST,
            "/organizations/nobody/projects".to_owned(),
            json!({ "name": "x" }),
            404,
        ),
        (
            Method::POST,
            "/faults".to_owned(),
            json!({ "kind": "gremlin" }),
            400,
        ),
        (
            Method::PUT,
            "/clock".to_owned(),
            json!({ "scale": -1 }),
            400,
        ),
        (
            Method::PUT,
            "/assumptions/nothing".to_owned(),
            json!({ "holds": true }),
            404,
        ),
        (Method::GET, "/nonsense".to_owned(), json!({}), 404),
    ] {
        let (found, answer) = harness.try_control(method, &path, body).await;
        assert_eq!(found, status, "{path}: {answer}");
        assert!(answer["error"].is_string());
    }
}

#[tokio::test]
async fn a_refused_push_leaves_nothing_behind() {
    let harness = Harness::start().await;
    let path = "/organizations/tidewater/projects/Harbor/repositories/platform/pushes";
    let body =
        json!({ "refUpdates": [{ "ref": "brand-new" }, { "ref": "main", "kind": "create" }] });
    assert_eq!(harness.try_control(Method::POST, path, body).await.0, 400);
    let refs = harness
        .get("/Harbor/_apis/git/repositories/platform/refs?filter=heads/brand")
        .await;
    assert_eq!(refs["count"], 0);
}

#[tokio::test]
async fn a_thousand_repositories_are_made_by_one_call_each_with_its_push() {
    let harness = Harness::start().await;
    let at = "/organizations/tidewater/projects/Ferry/repositories";
    let (status, made) = harness
        .try_control(
            Method::POST,
            at,
            json!({ "count": 1000, "prefix": "service-" }),
        )
        .await;
    assert_eq!(status, 201, "{made}");
    let repositories = made["repositories"].as_array().unwrap();
    let events = made["events"].as_array().unwrap();
    assert_eq!((repositories.len(), events.len()), (1000, 1000));
    assert_eq!(repositories[999]["name"], "service-1000");

    let path = "/Ferry/_apis/git/repositories";
    let all = harness.rest("good", Method::GET, path, None).await;
    let all: Value = all.json().await.unwrap();
    assert_eq!(all["count"], 1000);
    assert_eq!(all["value"][0]["defaultBranch"], "refs/heads/main");
    let id = repositories[499]["id"].as_str().unwrap();
    let pushes = harness
        .rest("good", Method::GET, &format!("{path}/{id}/pushes"), None)
        .await;
    let pushes: Value = pushes.json().await.unwrap();
    assert_eq!(pushes["count"], 1);
    assert_eq!(pushes["value"][0]["pushId"], repositories[499]["pushId"]);

    for wrong in [
        json!({ "count": 2, "prefix": "service-" }),
        json!({ "count": 2, "prefix": "" }),
        json!({ "count": 10_001, "prefix": "x" }),
        json!({ "count": "2", "prefix": "x" }),
        json!({ "count": 2, "prefix": "x", "name": "x" }),
    ] {
        let (status, answer) = harness.try_control(Method::POST, at, wrong.clone()).await;
        assert_eq!(status, 400, "{wrong}: {answer}");
    }
}
