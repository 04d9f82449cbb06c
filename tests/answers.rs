//! The answer table of the webhook: a test for each row, with the function in process on the real local DynamoDB.

use std::collections::BTreeSet;

use anyhow::Result;
use domain::PasswordDigest;
use lambda_http::{Body, Response};
use serde_json::json;

use crate::support::{
    Bed, Fate, Linked, Tap, delivery, new_event, new_name, now, post, request, sample_bytes,
    with_password,
};

/// Status, headers and body: everything of an answer that a sender can see.
fn seen(response: &Response<Body>) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let headers = response.headers().iter().map(|(name, value)| {
        (
            name.to_string(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    (
        response.status().as_u16(),
        headers.collect(),
        response.body().as_ref().to_vec(),
    )
}

#[tokio::test]
async fn an_authentic_event_is_stored_and_answered_with_200() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let event = new_event("ado/git.push.json");
    let answer = bed
        .webhook()
        .await
        .handle(delivery(&linked, event.to_string()))
        .await;
    assert_eq!(answer.status(), 200);
    let log = bed.log_of(linked.name.as_str()).await?;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0]["eventId"], event["id"]);
    assert_eq!(log[0]["outcome"], "stored");
    Ok(())
}

#[tokio::test]
async fn s1_the_same_event_again_is_answered_with_200_and_stored_once() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let app = bed.webhook().await;
    let mut event = new_event("ado/git.pullrequest.created.json");
    assert_eq!(post(&app, &linked, event.to_string()).await, 200);
    assert_eq!(post(&app, &linked, event.to_string()).await, 200);
    // Through another, overlapping subscription: another envelope, the same event.
    event["subscriptionId"] = json!(uuid::Uuid::new_v4().to_string());
    event["notificationId"] = json!(4_711);
    assert_eq!(post(&app, &linked, event.to_string()).await, 200);
    assert_eq!(bed.log_of(linked.name.as_str()).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn s2_the_same_event_fifty_times_at_once_is_stored_once() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let event = new_event("ado/git.push.json").to_string();
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let app = bed.webhook().await;
        let request = delivery(&linked, event.clone());
        senders.spawn(async move { app.handle(request).await.status().as_u16() });
    }
    let answers = senders.join_all().await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert_eq!(bed.log_of(linked.name.as_str()).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn s2_the_same_keys_with_another_resource_are_stored_beside_the_first() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let app = bed.webhook().await;
    let mut event = new_event("ado/git.push.json");
    assert_eq!(post(&app, &linked, event.to_string()).await, 200);
    event["resource"]["pushId"] = json!(99_999);
    assert_eq!(post(&app, &linked, event.to_string()).await, 200);
    assert_eq!(post(&app, &linked, event.to_string()).await, 200);
    assert_eq!(bed.log_of(linked.name.as_str()).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn whatever_an_authentic_body_is_it_is_kept_byte_for_byte_and_answered_with_200() -> Result<()>
{
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let app = bed.webhook().await;
    let files = [
        "array.json",
        "deep.json",
        "duplicate-id.json",
        "empty.txt",
        "invalid-utf8.bin",
        "no-resource.json",
        "not-json.txt",
        "null.json",
        "trailing-garbage.json",
        "truncated.json",
        "utf16.bin",
    ];
    for file in files {
        let body = sample_bytes(&format!("broken/{file}"));
        assert_eq!(post(&app, &linked, body).await, 200, "{file}");
    }
    let log = bed.log_of(linked.name.as_str()).await?;
    assert_eq!(log.len(), files.len());
    let mut kept = BTreeSet::new();
    for row in &log {
        assert_eq!(row["outcome"], "quarantined", "{row}");
        assert!(
            row["reason"]
                .as_str()
                .is_some_and(|reason| reason.len() > 10),
            "{row}"
        );
        let whole = bed.delivery(row).await?;
        kept.insert(payload(&whole));
    }
    let sent: BTreeSet<Vec<u8>> = files
        .iter()
        .map(|file| sample_bytes(&format!("broken/{file}")))
        .collect();
    assert!(kept == sent, "what is kept is not what was sent");
    Ok(())
}

fn payload(whole: &serde_json::Value) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = whole["payload"].as_str().unwrap_or_default();
    match whole["payloadEncoding"].as_str() {
        Some("base64") => STANDARD.decode(text).unwrap_or_default(),
        _ => text.as_bytes().to_vec(),
    }
}

#[tokio::test]
async fn an_unknown_event_type_and_another_organization_are_stored_like_any_other() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let app = bed.webhook().await;
    assert_eq!(
        post(
            &app,
            &linked,
            new_event("ado/workitem.updated.json").to_string()
        )
        .await,
        200
    );
    let mut foreign = new_event("ado/git.push.json");
    foreign["resourceContainers"]["account"]["id"] = json!(uuid::Uuid::new_v4().to_string());
    assert_eq!(post(&app, &linked, foreign.to_string()).await, 200);
    let log = bed.log_of(linked.name.as_str()).await?;
    assert_eq!(log.len(), 2);
    assert!(log.iter().all(|row| row["outcome"] == "stored"));
    Ok(())
}

#[tokio::test]
async fn p13_each_send_of_the_test_button_is_shown() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let app = bed.webhook().await;
    let body = sample_bytes("ado/git.push.test.json");
    for _ in 0..3 {
        assert_eq!(post(&app, &linked, body.clone()).await, 200);
    }
    let log = bed.log_of(linked.name.as_str()).await?;
    assert_eq!(log.len(), 3);
    for row in log {
        assert_eq!(row["outcome"], "test");
        assert!(row["summary"].as_str().is_some_and(|words| words.starts_with("The Test button sent a sample of git.push")));
    }
    Ok(())
}

#[tokio::test]
async fn s13_p9_a_body_that_fits_no_item_is_kept_whole_and_one_over_2_mb_with_its_digest()
-> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let app = bed.webhook().await;
    let mut event = new_event("ado/git.push.json");
    event["filler"] = json!(noise(1_900_000));
    let large = event.to_string();
    assert_eq!(post(&app, &linked, large.clone()).await, 200);
    assert_eq!(post(&app, &linked, large.clone()).await, 200, "again");
    let over = noise(2_200_000);
    assert_eq!(post(&app, &linked, over.clone()).await, 200);
    let log = bed.log_of(linked.name.as_str()).await?;
    assert_eq!(log.len(), 2);
    let (oversize, whole) = (bed.delivery(&log[0]).await?, bed.delivery(&log[1]).await?);
    assert!(
        payload(&whole) == large.as_bytes(),
        "the large body did not come back as it went"
    );
    assert_eq!(oversize["outcome"], "oversize");
    assert_eq!(oversize["payloadSize"], 2_200_000);
    assert!(payload(&oversize) == over.as_bytes()[..64 * 1_024]);
    let digest = PasswordDigest::of(over.as_bytes()).sha256;
    assert_eq!(oversize["payloadSha256"], store::keys::hex(&digest));
    Ok(())
}

/// Text that hardly shrinks.
fn noise(length: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + u8::try_from(state % 90).unwrap_or_default())
    };
    (0..length)
        .map(|_| next())
        .filter(|c| *c != '"' && *c != '\\')
        .chain(std::iter::repeat('x'))
        .take(length)
        .collect()
}

#[tokio::test]
async fn a_warm_delivery_costs_one_aws_call_and_a_refused_one_whose_name_is_cached_none()
-> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let tap = Tap::counting(&bed.stack.description.endpoint_url).await?;
    let app = bed.webhook_at(&tap.url()).await;
    for _ in 0..10 {
        let event = new_event("ado/git.push.json").to_string();
        assert_eq!(post(&app, &linked, event).await, 200);
    }
    for _ in 0..10 {
        let wrong = with_password(linked.name.as_str(), "wrong", "{}");
        assert_eq!(app.handle(wrong).await.status(), 401);
    }
    let calls = tap.calls();
    assert_eq!(
        calls.get("DynamoDB_20120810.PutItem"),
        Some(&10),
        "{calls:?}"
    );
    assert_eq!(
        calls.get("DynamoDB_20120810.GetItem"),
        Some(&2),
        "one for the first delivery, one for the first wrong password: {calls:?}"
    );
    assert_eq!(calls.len(), 2, "{calls:?}");
    Ok(())
}

#[tokio::test]
async fn a1_a2_a3_strangers_get_401_with_the_same_bytes_and_nothing_is_stored() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let app = bed.webhook().await;
    let name = linked.name.as_str();
    let event = new_event("ado/git.push.json").to_string();
    let path = format!("/{name}");
    let refusals = [
        (
            "no password",
            request("POST", &path, &[], Body::from(event.clone())),
        ),
        (
            "malformed",
            request(
                "POST",
                &path,
                &[("authorization", "Basic %%%")],
                Body::from(event.clone()),
            ),
        ),
        (
            "another scheme",
            request(
                "POST",
                &path,
                &[("authorization", "Bearer abc")],
                Body::from(event.clone()),
            ),
        ),
        (
            "a wrong password",
            with_password(name, "wrong", event.clone()),
        ),
        (
            "an extended password",
            with_password(name, &format!("{}x", linked.password), event.clone()),
        ),
        (
            "a cut password",
            with_password(name, &linked.password[..42], event.clone()),
        ),
        (
            "an unknown integration",
            with_password(&new_name("nobody"), &linked.password, event.clone()),
        ),
    ];
    let mut answers = BTreeSet::new();
    for (case, request) in refusals {
        let answer = app.handle(request).await;
        assert_eq!(answer.status(), 401, "{case}");
        answers.insert(seen(&answer));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(bed.log_of(name).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_new_integration_is_seen_at_once_by_an_instance_that_did_not_know_it() -> Result<()> {
    let bed = Bed::new()?;
    let app = bed.webhook().await;
    let linked = bed.linked().await?;
    assert_eq!(post(&app, &linked, "{}").await, 200);
    Ok(())
}

#[tokio::test]
async fn s5_s6_what_cannot_be_stored_is_answered_with_503_and_retry_after() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    for fate in [Fate::Cut, Fate::Hang] {
        let judge = move |call: &str, _| {
            if call.ends_with("PutItem") {
                fate
            } else {
                Fate::Pass
            }
        };
        let tap = Tap::on(&bed.stack.description.endpoint_url, judge).await?;
        let app = bed.webhook_at(&tap.url()).await;
        let answer = app
            .handle(delivery(
                &linked,
                new_event("ado/git.push.json").to_string(),
            ))
            .await;
        assert_eq!(answer.status(), 503, "{fate:?}");
        assert!(answer.headers().contains_key("retry-after"), "{fate:?}");
    }
    assert!(bed.log_of(linked.name.as_str()).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn s3_a_write_whose_answer_was_lost_is_answered_with_200_and_there_once() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let judge = |call: &str, number| {
        if call.ends_with("PutItem") && number == 1 {
            Fate::CutAnswer
        } else {
            Fate::Pass
        }
    };
    let tap = Tap::on(&bed.stack.description.endpoint_url, judge).await?;
    let app = bed.webhook_at(&tap.url()).await;
    let answer = app
        .handle(delivery(
            &linked,
            new_event("ado/git.push.json").to_string(),
        ))
        .await;
    assert_eq!(answer.status(), 200);
    assert_eq!(tap.calls()["DynamoDB_20120810.PutItem"], 2);
    assert_eq!(bed.log_of(linked.name.as_str()).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_503_so_that_a_blip_does_not_look_like_a_wrong_password()
-> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let tap = Tap::on(&bed.stack.description.endpoint_url, |_, _| Fate::Cut).await?;
    let app = bed.webhook_at(&tap.url()).await;
    assert_eq!(post(&app, &linked, "{}").await, 503);
    let nobody = bed.webhook_at("http://127.0.0.1:1").await;
    assert_eq!(post(&nobody, &linked, "{}").await, 503);
    Ok(())
}

#[tokio::test]
async fn unlinking_stores_unlinked_is_gone_and_a_stranger_learns_of_neither() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let store = bed.store().await;
    store.begin_unlink(&linked.name, "one", now()).await?;
    let event = new_event("ado/git.push.json").to_string();
    assert_eq!(
        post(&bed.webhook().await, &linked, event.clone()).await,
        200,
        "being unlinked"
    );
    store
        .finish_unlink(&linked.name, "one", true, now())
        .await?;
    let app = bed.webhook().await;
    assert_eq!(post(&app, &linked, event).await, 410, "unlinked");
    let wrong = with_password(linked.name.as_str(), "wrong", "{}");
    assert_eq!(app.handle(wrong).await.status(), 401);
    assert_eq!(bed.log_of(linked.name.as_str()).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a12_not_post_is_405_and_a_path_that_is_no_name_404_without_any_aws_call() -> Result<()> {
    let bed = Bed::new()?;
    let tap = Tap::counting(&bed.stack.description.endpoint_url).await?;
    let app = bed.webhook_at(&tap.url()).await;
    for method in ["GET", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH"] {
        let answer = app.handle(request(method, "/acme", &[], Body::Empty)).await;
        assert_eq!(answer.status(), 405, "{method}");
        assert!(
            !answer
                .headers()
                .keys()
                .any(|name| name.as_str().starts_with("access-control")),
            "{method}"
        );
    }
    for path in ["/", "//", "/Ä", "/acme/events", "/%2e%2e", "/-acme"] {
        let answer = app
            .handle(request(
                "POST",
                path,
                &[("authorization", "Basic Ong=")],
                Body::Empty,
            ))
            .await;
        assert_eq!(answer.status(), 404, "{path}");
    }
    assert!(tap.calls().is_empty());
    Ok(())
}

#[tokio::test]
async fn case_and_a_trailing_slash_in_the_path_do_not_matter() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let app = bed.webhook().await;
    let path = format!("{}/", linked.name.as_str().to_uppercase());
    let answer = app
        .handle(with_password(
            &path,
            &linked.password,
            new_event("ado/git.push.json").to_string(),
        ))
        .await;
    assert_eq!(answer.status(), 200);
    assert_eq!(bed.log_of(linked.name.as_str()).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_password_of_another_integration_is_refused() -> Result<()> {
    let bed = Bed::new()?;
    let (one, other) = (bed.linked().await?, bed.linked().await?);
    let crossed = Linked {
        password: other.password,
        ..one
    };
    assert_eq!(post(&bed.webhook().await, &crossed, "{}").await, 401);
    Ok(())
}
