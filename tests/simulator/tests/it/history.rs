//! The history of notifications, by the calls that `serviceHooks.json` has for it, and its seven days.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Harness;

async fn query(harness: &Harness, query: Value) -> Value {
    let path = "/_apis/hooks/notificationsquery?api-version=7.1";
    let response = harness.rest("good", Method::POST, path, Some(query)).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

fn ids(found: &Value) -> Vec<u64> {
    let all = found.as_array().unwrap();
    all.iter().map(|it| it["id"].as_u64().unwrap()).collect()
}

/// One notification that arrived, one that put its subscription on probation, and one that 410 ended.
async fn three_fates(harness: &Harness) -> String {
    let id = harness.subscribe_to_pushes().await;
    harness.answer_with(&[200, 500, 200, 410]);
    harness.push_file("a").await;
    harness.push_file("b").await;
    harness.pass(20.0 * 60.0).await;
    harness.push_file("c").await;
    id
}

#[tokio::test]
async fn the_list_is_narrowed_by_status_and_result_and_newest_first() {
    let harness = Harness::start_still().await;
    let id = three_fates(&harness).await;
    let list = async |query: &str| {
        let path = format!("/_apis/hooks/subscriptions/{id}/notifications?{query}");
        ids(&harness.get(&path).await["value"])
    };
    assert_eq!(list("").await, [3, 2, 1]);
    assert_eq!(list("result=failed").await, [3]);
    assert_eq!(list("status=completed&result=succeeded").await, [2, 1]);
    assert_eq!(list("status=queued").await, [0; 0]);
    assert_eq!(list("maxResults=1").await, [3]);
    let path = format!("/_apis/hooks/subscriptions/{id}/notifications?result=lost");
    let refused = harness.rest("good", Method::GET, &path, None).await;
    assert_eq!(refused.status(), 400);
}

#[tokio::test]
async fn a_notification_reads_as_what_the_sender_is_doing_with_it() {
    let harness = Harness::start_still().await;
    let id = harness.subscribe_to_pushes().await;
    let path = format!("/_apis/hooks/subscriptions/{id}/notifications/1");
    harness.answer_with(&[500, 503]);
    let mut seen = Vec::new();
    harness.push_file("a").await;
    for minutes in [20.0, 40.0, 0.0] {
        let it = harness.get(&path).await;
        seen.push((
            it["status"].clone(),
            it["details"]["requestAttempts"].clone(),
        ));
        let error = it["details"]["errorMessage"].clone();
        let expected = match seen.len() {
            1 => json!("Internal Server Error (500)"),
            2 => json!("Service Unavailable (503)"),
            _ => Value::Null,
        };
        assert_eq!(error, expected);
        harness.pass(minutes * 60.0).await;
    }
    let expected = [("queued", 1), ("queued", 2), ("completed", 3)];
    let expected = expected.map(|(status, attempts)| (json!(status), json!(attempts)));
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_query_finds_notifications_by_everything_it_may_ask_for() {
    let harness = Harness::start_still().await;
    let one = three_fates(&harness).await;
    let other = harness.subscribe_to_pushes().await;
    harness.push_file("d").await;

    let failed = json!({ "resultType": "failed", "includeDetails": true });
    let failed = query(&harness, failed).await;
    assert_eq!(failed["resultType"], "failed", "the query comes back");
    assert_eq!(failed["results"].as_array().unwrap().len(), 1);
    let found = &failed["results"][0];
    assert_eq!(found["subscriptionId"], json!(one));
    assert_eq!(found["details"]["event"]["eventType"], "git.push");
    assert!(found["details"]["event"]["resource"].is_object());
    let response = found["details"]["response"].as_str().unwrap();
    assert!(response.contains("Status Code: 410"));
    assert!(!failed.to_string().contains("open-sesame"));
    let associated = failed["associatedSubscriptions"].as_array().unwrap();
    assert_eq!(associated.len(), 1);
    assert_eq!(associated[0]["status"], "disabledBySystem");

    let details = |mut it: Value| {
        it["includeDetails"] = json!(true);
        it
    };
    for (asked, expected) in [
        (json!({}), vec![1, 3, 2, 1]),
        (json!({ "subscriptionIds": [one] }), vec![3, 2, 1]),
        (json!({ "subscriptionIds": [other] }), vec![1]),
        (
            json!({ "subscriptionIds": [one, other], "maxResultsPerSubscription": 1 }),
            vec![1, 3],
        ),
        (json!({ "maxResultsPerSubscription": 1 }), vec![1, 3, 2, 1]),
        (json!({ "maxResults": 2 }), vec![1, 3]),
        (json!({ "status": "queued" }), vec![]),
        (json!({ "publisherId": "rm" }), vec![]),
        (
            json!({ "minCreatedDate": found["createdDate"] }),
            vec![1, 3],
        ),
        (
            json!({ "maxCreatedDate": found["createdDate"] }),
            vec![3, 2, 1],
        ),
    ] {
        let answer = query(&harness, details(asked.clone())).await;
        assert_eq!(ids(&answer["results"]), expected, "{asked}");
    }
}

#[tokio::test]
async fn without_details_the_query_counts() {
    let harness = Harness::start_still().await;
    let id = three_fates(&harness).await;
    let answer = query(&harness, json!({ "subscriptionIds": [id] })).await;
    assert!(answer["results"].is_null());
    let counts = json!([
        { "result": "failed", "notificationCount": 1 },
        { "result": "succeeded", "notificationCount": 2 },
    ]);
    assert_eq!(
        answer["summary"],
        json!([{ "subscriptionId": id, "results": counts }])
    );
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_refused_and_one_may_ask_with_code_read() {
    let harness = Harness::start_still().await;
    let path = "/_apis/hooks/notificationsquery?api-version=7.1";
    let post = async |kind: &str, query: Value| {
        let response = harness.rest(kind, Method::POST, path, Some(query)).await;
        response.status()
    };
    for bad in [
        json!([]),
        json!({ "resultType": "lost" }),
        json!({ "minCreatedDate": "yesterday" }),
        json!({ "subscriptionIds": ["one"] }),
        json!({ "maxResults": -1 }),
    ] {
        assert_eq!(post("good", bad.clone()).await, 400, "{bad}");
    }
    harness.assume("codeReadMakesHooks", false);
    assert_eq!(post("readOnly", json!({})).await, 200);
    assert_eq!(post("withoutScope", json!({})).await, 401);
    let get = harness.rest("good", Method::GET, path, None).await;
    assert_eq!(get.status(), 405);
}

#[tokio::test]
async fn seven_days_later_the_history_is_gone_and_dates_are_still_today() {
    let harness = Harness::start_still().await;
    let id = three_fates(&harness).await;
    let path = format!("/_apis/hooks/subscriptions/{id}/notifications");
    harness.pass(7.0 * 86_400.0 - 1300.0).await;
    assert_eq!(harness.get(&path).await["count"], 3);
    harness.pass(200.0).await;
    assert_eq!(
        ids(&harness.get(&path).await["value"]),
        [3],
        "the last came 20 min later"
    );
    harness.pass(1200.0).await;
    assert_eq!(harness.get(&path).await["count"], 0);
    assert_eq!(query(&harness, json!({})).await["summary"], json!([]));

    harness.set_status(&id, "enabled").await;
    let before = harness.received()[0].body["createdDate"].clone();
    harness.push_file("d").await;
    let received = harness.received();
    let date = |it: &Value| {
        it.as_str().unwrap()[..10]
            .parse::<jiff::civil::Date>()
            .unwrap()
    };
    let after = &received.last().unwrap().body["createdDate"];
    assert!(date(after).since(date(&before)).unwrap().get_days() <= 1);
}
