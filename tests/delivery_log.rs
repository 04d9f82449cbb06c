//! The delivery log: order, filters, pages, one delivery, and the words for each of our samples.

use anyhow::{Context, Result};
use jiff::SignedDuration;
use serde_json::{Value, json};
use store::{DeliveryId, DeliveryKind, NewDelivery, keys::EventIdentity};

use crate::support::{
    Bed, Linked, RETENTION_DAYS, Tap, delivery, get, json as body_of, new_event, now, parts, post,
    problem, sample_bytes,
};

/// Stores an event as if it had been created and received at other times than now.
async fn store_at(
    bed: &Bed,
    linked: &Linked,
    created: SignedDuration,
    received: SignedDuration,
) -> Result<Value> {
    let event = new_event("ado/git.push.json");
    let (body, id) = (
        event.to_string(),
        event["id"].as_str().context("no id")?.to_owned(),
    );
    let received = now() - received;
    let identity = EventIdentity {
        created_date: Some(now() - created),
        event_type: "git.push",
        event_id: Some(&id),
    };
    let new = NewDelivery {
        id: DeliveryId::of_event(&linked.name, identity, body.as_bytes(), received),
        kind: DeliveryKind::Event,
        received,
        retention: SignedDuration::from_hours(30 * 24),
        body: body.as_bytes(),
        reason: None,
        recovered: false,
    };
    bed.store().await.record_delivery(&new).await?;
    Ok(event)
}

async fn listed(bed: &Bed, path: &str) -> Result<Vec<Value>> {
    let body = body_of(bed.deliveries().await.handle(get(path)).await)?;
    body["deliveries"]
        .as_array()
        .cloned()
        .context("no deliveries")
}

#[tokio::test]
async fn deliveries_are_listed_by_receipt_newest_first_however_late_they_came() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed
        .linked_since(now() - SignedDuration::from_hours(600))
        .await?;
    let hours = SignedDuration::from_hours;
    // Created, received (hours ago): one came 40 hours late, one at once, one lies three weeks back.
    let late = store_at(&bed, &linked, hours(41), hours(1)).await?;
    let quick = store_at(&bed, &linked, hours(3), hours(3)).await?;
    let old = store_at(&bed, &linked, hours(500), hours(499)).await?;
    let newest = store_at(&bed, &linked, hours(0), hours(0)).await?;
    let rows = listed(&bed, &format!("/deliveries?integration={}", linked.name)).await?;
    let ids: Vec<&Value> = rows.iter().map(|row| &row["eventId"]).collect();
    assert_eq!(ids, [&newest["id"], &late["id"], &quick["id"], &old["id"]]);
    // `from` and `to` mean receipt.
    let from = now() - hours(2);
    let rows = listed(
        &bed,
        &format!("/deliveries?integration={}&from={from}", linked.name),
    )
    .await?;
    assert_eq!(rows.len(), 2);
    let to = now() - hours(2);
    let rows = listed(
        &bed,
        &format!("/deliveries?integration={}&to={to}", linked.name),
    )
    .await?;
    let ids: Vec<&Value> = rows.iter().map(|row| &row["eventId"]).collect();
    assert_eq!(ids, [&quick["id"], &old["id"]]);
    Ok(())
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap_or_a_double() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed
        .linked_since(now() - SignedDuration::from_hours(100))
        .await?;
    for hour in 0..25 {
        store_at(
            &bed,
            &linked,
            SignedDuration::from_hours(hour * 3),
            SignedDuration::from_hours(hour * 3),
        )
        .await?;
    }
    let app = bed.deliveries().await;
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let path = format!(
            "/deliveries?integration={}&pageSize=7&pageToken={token}",
            linked.name
        );
        let page = body_of(app.handle(get(&path)).await)?;
        let rows = page["deliveries"].as_array().context("no deliveries")?;
        seen.extend(rows.iter().map(|row| row["id"].to_string()));
        match page["nextPageToken"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    assert_eq!(seen.len(), 25);
    let mut unique = seen.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), 25);
    let all = listed(&bed, &format!("/deliveries?integration={}", linked.name)).await?;
    let all: Vec<String> = all.iter().map(|row| row["id"].to_string()).collect();
    assert_eq!(seen, all);
    Ok(())
}

#[tokio::test]
async fn filters_by_type_repository_and_outcome() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let app = bed.webhook().await;
    for sample in [
        "git.push.json",
        "git.pullrequest.created.json",
        "workitem.updated.json",
    ] {
        let event = new_event(&format!("ado/{sample}")).to_string();
        assert_eq!(post(&app, &linked, event).await, 200);
    }
    app.handle(delivery(&linked, "no json")).await;
    // An old date: such a delivery does not have its type in its key.
    app.handle(delivery(&linked, sample_bytes("ado/git.push.tag.json")))
        .await;
    let count = async |filter: &str| -> Result<usize> {
        Ok(listed(
            &bed,
            &format!("/deliveries?integration={}&{filter}", linked.name),
        )
        .await?
        .len())
    };
    assert_eq!(count("eventType=git.push").await?, 2);
    assert_eq!(count("eventType=git.pullrequest.created").await?, 1);
    assert_eq!(count("eventType=nothing").await?, 0);
    assert_eq!(count("repository=platform").await?, 3);
    assert_eq!(count("repository=harbor/platform").await?, 3);
    assert_eq!(
        count("repository=7ceec88a-9469-49ef-be62-ba2aae940ed1").await?,
        3
    );
    assert_eq!(count("outcome=quarantined").await?, 1);
    assert_eq!(count("outcome=stored").await?, 4);
    Ok(())
}

#[tokio::test]
async fn what_a_person_should_see_is_found_by_one_query_and_paged() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let webhook = bed.webhook().await;
    for number in 0..5 {
        post(&webhook, &linked, format!("no json {number}")).await;
        let event = new_event("ado/git.push.json").to_string();
        post(&webhook, &linked, event).await;
    }
    let over = "x".repeat(store::LARGEST_BODY + 1);
    assert_eq!(post(&webhook, &linked, over).await, 200);

    let tap = Tap::counting(&bed.stack.description.endpoint_url).await?;
    let app = deliveries::App::new(bed.store_at(&tap.url()).await, RETENTION_DAYS);
    let page = async |filter: &str| -> Result<Value> {
        let path = format!("/deliveries?integration={}&{filter}", linked.name);
        body_of(app.handle(get(&path)).await)
    };
    let oversize = page("outcome=oversize").await?;
    assert_eq!(oversize["deliveries"].as_array().map(Vec::len), Some(1));
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let body = page(&format!("outcome=quarantined&pageSize=2{next}")).await?;
        let rows = body["deliveries"].as_array().context("no deliveries")?;
        assert!(rows.len() <= 2);
        seen.extend(rows.iter().map(|row| row["receivedAt"].to_string()));
        let Some(token) = body["nextPageToken"].as_str() else {
            break;
        };
        next = format!("&pageToken={token}");
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|one, other| one > other), "{seen:?}");
    // One for the integration and one for the index, each time; no day is read.
    assert_eq!(tap.calls()["DynamoDB_20120810.Query"], 8);
    Ok(())
}

#[tokio::test]
async fn of_a_time_that_ends_before_it_begins_there_is_nothing_to_see_and_nothing_is_asked()
-> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let webhook = bed.webhook().await;
    for number in 0..2 {
        post(&webhook, &linked, format!("no json {number}")).await;
    }
    let tap = Tap::counting(&bed.stack.description.endpoint_url).await?;
    let kept_for = async |days| deliveries::App::new(bed.store_at(&tap.url()).await, days);
    let page = async |app: &deliveries::App, filter: &str| -> Result<Value> {
        let path = format!("/deliveries?integration={}&{filter}", linked.name);
        body_of(app.handle(get(&path)).await)
    };
    let app = kept_for(RETENTION_DAYS).await;
    let first = page(&app, "outcome=quarantined&pageSize=1").await?;
    let token = first["nextPageToken"].as_str().context("no more")?;
    let before = tap.count("Query");
    let mut asked = 0;
    let later = (now() + SignedDuration::from_hours(1)).to_string();
    for outcome in ["parked", "quarantined", "oversize", "dispatched", ""] {
        for time in [
            format!("from={later}"),
            "to=2020-01-01".to_owned(),
            "to=-009999-01-03T00:00:00Z".to_owned(),
            "from=9999-12-31".to_owned(),
        ] {
            let nothing = page(&app, &format!("outcome={outcome}&{time}")).await?;
            assert_eq!(nothing, json!({ "deliveries": [] }), "{outcome} {time}");
            asked += 1;
        }
    }
    // What a page ended with is kept no longer when the next one is asked for.
    let forgetful = kept_for(0).await;
    let filter = format!("outcome=quarantined&pageSize=1&pageToken={token}");
    let nothing = page(&forgetful, &filter).await?;
    assert_eq!(nothing, json!({ "deliveries": [] }));
    // One for the integration each time.
    assert_eq!(tap.count("Query"), before + asked + 1);
    // And a time that is as wide as can be is no trouble.
    let all = page(&app, "outcome=quarantined&from=-009999-01-01&to=9999-12-31").await?;
    assert_eq!(all["deliveries"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[tokio::test]
async fn without_an_integration_the_deliveries_of_all_are_listed_also_of_unlinked_ones()
-> Result<()> {
    let bed = Bed::new()?;
    let (one, other) = (bed.linked().await?, bed.linked().await?);
    let from = now();
    let app = bed.webhook().await;
    for linked in [&one, &other] {
        app.handle(delivery(linked, new_event("ado/git.push.json").to_string()))
            .await;
    }
    let store = bed.store().await;
    store.begin_unlink(&other.name, "one", now()).await?;
    store.finish_unlink(&other.name, "one", true, now()).await?;
    let rows = listed(&bed, &format!("/deliveries?from={from}&pageSize=100")).await?;
    for linked in [one, other] {
        assert!(
            rows.iter()
                .any(|row| row["integration"] == linked.name.as_str()),
            "{}",
            linked.name
        );
    }
    Ok(())
}

#[tokio::test]
async fn one_delivery_has_its_body_exactly_as_received() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let body = sample_bytes("ado/git.pullrequest.created.hostile.json");
    bed.webhook()
        .await
        .handle(delivery(&linked, body.clone()))
        .await;
    let rows = bed.log_of(linked.name.as_str()).await?;
    let whole = bed.delivery(&rows[0]).await?;
    assert_eq!(
        whole["payload"].as_str().context("no payload")?.as_bytes(),
        body
    );
    assert_eq!(whole["payloadEncoding"], "utf-8");
    let sent: Value = serde_json::from_slice(&body)?;
    assert_eq!(whole["subscriptionId"], sent["subscriptionId"]);
    assert_eq!(whole["notificationId"], sent["notificationId"]);
    let summary = whole["summary"].as_str().context("no summary")?;
    assert!(!summary.chars().any(char::is_control), "{summary:?}");
    Ok(())
}

#[tokio::test]
async fn u9_u10_forged_ids_tokens_and_times_are_refused() -> Result<()> {
    let bed = Bed::new()?;
    let app = bed.deliveries().await;
    for (path, expected) in [
        ("/deliveries/forged", (404, "not-found")),
        (
            "/deliveries/YWNtZSMyMDI2LTExLTIzIzAKfmFi",
            (404, "not-found"),
        ),
        (
            "/deliveries?integration=acme&pageToken=forged",
            (400, "invalid-page-token"),
        ),
        (
            "/deliveries?integration=Not%20A%20Slug",
            (400, "invalid-request"),
        ),
        (
            "/deliveries?integration=acme&from=yesterday",
            (400, "invalid-request"),
        ),
        (
            "/deliveries?integration=acme&pageSize=101",
            (400, "invalid-request"),
        ),
        ("/", (404, "not-found")),
    ] {
        let (status, body) = parts(&app.handle(get(path)).await)?;
        assert_eq!((status, problem(&body)), expected, "{path}: {body}");
    }
    let (status, _) = parts(
        &app.handle(crate::support::send("DELETE", "/deliveries", &json!({})))
            .await,
    )?;
    assert_eq!(status, 405);
    Ok(())
}
