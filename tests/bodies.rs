//! What an authentic body may do: nothing but be kept. And what is kept may be old or damaged.

use std::io::Write;

use anyhow::{Context, Result};
use flate2::{Compression, write::GzEncoder};
use jiff::SignedDuration;
use serde_json::{Value, json};
use store::{DeliveryId, DeliveryKind, NewDelivery, keys::EventIdentity};
use tokio::net::TcpListener;

use crate::support::{
    Bed, aws, azure_devops, delivery, new_event, now, parts, post, problem, send,
};

#[tokio::test]
async fn p6_whatever_text_can_hold_comes_back_byte_for_byte() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let app = bed.webhook().await;
    let mut event = new_event("ado/git.pullrequest.created.json");
    event["resource"]["title"] = json!("PLACE");
    let texts = [
        r"\ud800 alone",
        r"\u0000 and \u001b[31m",
        "\u{202e}right to left, \u{200b}no width, \u{1f6a2}\u{fe0f}",
        "a\u{301} combined, \u{fdfd}",
    ];
    let mut sent = Vec::new();
    for text in texts {
        event["id"] = json!(uuid::Uuid::new_v4().to_string());
        let body = event.to_string().replace("PLACE", text);
        assert_eq!(post(&app, &linked, body.clone()).await, 200, "{text}");
        sent.push(body);
    }
    let mut kept = Vec::new();
    for row in bed.log_of(linked.name.as_str()).await? {
        let summary = row["summary"].as_str().context("no summary")?;
        let is_harmful = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!summary.chars().any(is_harmful), "{summary:?}");
        let whole = bed.delivery(&row).await?;
        kept.push(whole["payload"].as_str().context("no payload")?.to_owned());
    }
    sent.sort();
    kept.sort();
    assert_eq!(kept, sent);
    Ok(())
}

#[tokio::test]
async fn p11_what_is_compressed_is_kept_as_it_came_and_never_inflated() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let app = bed.webhook().await;
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..16 {
        bomb.write_all(&[b' '; 1_024 * 1_024])?;
    }
    let bomb = bomb.finish()?;
    assert!(bomb.len() < 20_000, "16 MB in {} bytes", bomb.len());
    let mut request = delivery(&linked, bomb.clone());
    let headers = request.headers_mut();
    headers.insert("content-encoding", http::HeaderValue::from_static("gzip"));
    assert_eq!(app.handle(request).await.status(), 200);
    let log = bed.log_of(linked.name.as_str()).await?;
    assert_eq!(log[0]["outcome"], "quarantined");
    let whole = bed.delivery(&log[0]).await?;
    assert_eq!(whole["payloadSize"], bomb.len());
    assert_eq!(whole["payloadEncoding"], "base64");
    Ok(())
}

#[tokio::test]
async fn p14_nothing_that_a_payload_names_is_ever_fetched() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let trap = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/latest/meta-data", trap.local_addr()?);
    let mut event = new_event("ado/git.push.json");
    fn set_urls(value: &mut Value, url: &str) {
        match value {
            Value::String(text) if text.starts_with("http") => *text = url.to_owned(),
            Value::Array(all) => all.iter_mut().for_each(|one| set_urls(one, url)),
            Value::Object(all) => all.values_mut().for_each(|one| set_urls(one, url)),
            _ => {}
        }
    }
    set_urls(&mut event, &url);
    event["resource"]["url"] = json!(url);
    assert!(event.to_string().matches("meta-data").count() > 3);
    let answer = post(&bed.webhook().await, &linked, event.to_string()).await;
    assert_eq!(answer, 200);
    for row in bed.log_of(linked.name.as_str()).await? {
        bed.delivery(&row).await?;
    }
    let visitor = tokio::time::timeout(std::time::Duration::from_millis(200), trap.accept());
    assert!(visitor.await.is_err(), "somebody called");
    Ok(())
}

#[tokio::test]
async fn p16_a_stored_body_that_cannot_be_read_is_told_and_hides_no_other() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let app = bed.webhook().await;
    for _ in 0..3 {
        let event = new_event("ado/git.push.json").to_string();
        assert_eq!(post(&app, &linked, event).await, 200);
    }
    let rows = bed.log_of(linked.name.as_str()).await?;
    // A form that only a later version knows, and one that is damaged.
    for (row, stored) in rows.iter().zip(["CQEC", "AXicAAAA"]) {
        let id: DeliveryId = row["id"].as_str().context("no id")?.parse()?;
        let update = json!({
            "TableName": bed.stack.description.scratch_tables["events"],
            "Key": { "pk": { "S": id.partition() }, "sk": { "S": id.sort() } },
            "UpdateExpression": "SET body = :body",
            "ExpressionAttributeValues": { ":body": { "B": stored } },
        });
        let target = "DynamoDB_20120810.UpdateItem";
        aws(&bed.stack, "dynamodb", target, update).await?;
    }
    let rows = bed.log_of(linked.name.as_str()).await?;
    assert_eq!(rows.len(), 3);
    for row in &rows[..2] {
        assert_eq!(row["outcome"], "quarantined");
        assert!(
            row["reason"]
                .as_str()
                .is_some_and(|why| why.contains("stored"))
        );
        assert_eq!(bed.delivery(row).await?["payload"], "");
    }
    assert_eq!(rows[2]["outcome"], "stored");
    Ok(())
}

#[tokio::test]
async fn s16_what_has_expired_and_is_still_there_is_not_shown_and_in_nobodys_way() -> Result<()> {
    let bed = Bed::new()?;
    let long_ago = now() - SignedDuration::from_hours(31 * 24);
    let linked = bed.linked_since(long_ago).await?;
    let mut event = new_event("ado/git.push.json");
    event["createdDate"] = json!(store::keys::seven_digits(long_ago));
    let body = event.to_string();
    let identity = EventIdentity {
        created_date: Some(long_ago),
        event_type: "git.push",
        event_id: event["id"].as_str(),
    };
    let expired = NewDelivery {
        id: DeliveryId::of_event(&linked.name, identity, body.as_bytes(), long_ago),
        kind: DeliveryKind::Event,
        received: long_ago,
        retention: SignedDuration::from_hours(30 * 24),
        body: body.as_bytes(),
        reason: None,
        recovered: false,
    };
    bed.store().await.record_delivery(&expired).await?;
    assert!(bed.log_of(linked.name.as_str()).await?.is_empty());
    // The same event again is a new delivery: its date is too old to be a key.
    let app = bed.webhook().await;
    assert_eq!(post(&app, &linked, body).await, 200);
    assert_eq!(bed.log_of(linked.name.as_str()).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn k2_k3_a_secret_that_is_gone_or_damaged_holds_up_no_delivery_and_a_new_token_mends_it()
-> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let webhook = bed.webhook().await;
    for value in [
        None,
        Some(""),
        Some("{\"kind\":"),
        Some("{\"kind\":\"other\"}"),
    ] {
        let linked = bed.set_up(&setup, &azure_devops).await?;
        let path = format!("/integrations/{}", linked.name);
        match value {
            None => {
                bed.secrets().await.remove(&linked.name).await?;
            }
            Some(value) => {
                let prefix = &bed.stack.description.secret_prefix;
                let id = format!("{prefix}/{}/personal-access-token", linked.name);
                // AWS takes no empty value; a blank one is as empty as it gets.
                let value = if value.is_empty() { " " } else { value };
                let put = json!({ "SecretId": id, "SecretString": value });
                let target = "secretsmanager.PutSecretValue";
                aws(&bed.stack, "secretsmanager", target, put).await?;
            }
        }
        let event = || new_event("ado/git.push.json").to_string();
        assert_eq!(post(&webhook, &linked, event()).await, 200, "{value:?}");
        let verify = || send("POST", &format!("{path}/verification"), &json!({}));
        let (status, body) = parts(&setup.handle(verify()).await)?;
        assert_eq!((status, problem(&body)), (503, "unavailable"), "{value:?}");
        let token = json!({ "personalAccessToken": azure_devops.token("older") });
        let (status, body) = parts(&setup.handle(send("PATCH", &path, &token)).await)?;
        assert_eq!(status, 200, "{value:?}: {body}");
        let (status, body) = parts(&setup.handle(verify()).await)?;
        assert_eq!(status, 200, "{value:?}: {body}");
    }
    Ok(())
}
