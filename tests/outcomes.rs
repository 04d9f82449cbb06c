//! What became of a delivery, as the delivery log shows it, and asking for a delivery to be dispatched anew.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Outcome, RunId, outcome::ForStack, outcome::Verdict};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use store::{DeliveryId, OutcomeRecord, Store};

use crate::support::{
    Bed, Linked, RETENTION_DAYS, Tap, delivery, get, json as body_of, new_event, now, parts, post,
    problem, send,
};

/// The delivery log of one integration.
struct Log {
    linked: Linked,
    store: Store,
    app: deliveries::App,
    webhook: webhook::App,
    bed: Bed,
}

impl Log {
    async fn new() -> Result<Self> {
        let bed = Bed::new()?;
        Ok(Self {
            linked: bed.linked().await?,
            store: bed.store().await,
            app: bed.deliveries().await,
            webhook: bed.webhook().await,
            bed,
        })
    }

    /// A push is delivered.
    async fn push(&self) -> Result<DeliveryId> {
        self.deliver(&new_event("ado/git.push.json").to_string())
            .await
    }

    /// Something is delivered; gives the id that the log has for it.
    async fn deliver(&self, body: &str) -> Result<DeliveryId> {
        let status = post(&self.webhook, &self.linked, body).await;
        anyhow::ensure!(status == 200, "status {status}");
        let newest = self.list("pageSize=1").await?.pop();
        let id = newest.context("nothing is listed")?["id"].clone();
        Ok(id.as_str().context("no id")?.parse()?)
    }

    async fn decide(&self, id: &DeliveryId, outcome: Outcome, again: bool) -> Result<bool> {
        let received = self.store.delivery(id).await?.context("no delivery")?;
        let record = OutcomeRecord::new(outcome, None);
        let retention = SignedDuration::from_hours(24 * RETENTION_DAYS);
        let written = self
            .store
            .record_outcome(id, received.head.received, &record, retention, again)
            .await?;
        Ok(written)
    }

    async fn list(&self, filter: &str) -> Result<Vec<Value>> {
        let body = self.page(filter).await?;
        body["deliveries"]
            .as_array()
            .cloned()
            .context("no deliveries")
    }

    async fn page(&self, filter: &str) -> Result<Value> {
        let path = format!("/deliveries?integration={}&{filter}", self.linked.name);
        body_of(self.app.handle(get(&path)).await)
    }

    /// A delivery in the list.
    async fn row(&self, id: &DeliveryId) -> Result<Value> {
        let rows = self.list("pageSize=100").await?;
        let row = rows.into_iter().find(|row| row["id"] == id.to_string());
        row.context("it is not listed")
    }

    /// A delivery alone.
    async fn one(&self, id: &DeliveryId) -> Result<Value> {
        body_of(self.app.handle(get(&format!("/deliveries/{id}"))).await)
    }

    async fn redeliver(&self, id: &str, body: &Value) -> Result<(u16, Value)> {
        let path = format!("/deliveries/{id}/redelivery");
        parts(&self.app.handle(send("POST", &path, body)).await)
    }

    /// The sort keys of everything that lies beside a delivery.
    async fn beside(&self, id: &DeliveryId) -> Result<Vec<String>> {
        let aws = self
            .bed
            .aws_at(&self.bed.stack.description.endpoint_url)
            .await;
        let found = aws_sdk_dynamodb::Client::new(&aws)
            .query()
            .table_name(self.bed.tables().events)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", AttributeValue::S(id.partition().to_owned()))
            .expression_attribute_values(":sk", AttributeValue::S(format!("{}#", id.sort())))
            .send()
            .await?;
        let sort = |item: &std::collections::HashMap<String, AttributeValue>| {
            item.get("sk").and_then(|sk| sk.as_s().ok()).cloned()
        };
        Ok(found.items().iter().filter_map(sort).collect())
    }
}

fn for_stack(stack: &str, verdict: Verdict, reason: &str, run: Option<RunId>) -> Result<ForStack> {
    Ok(ForStack {
        stack: stack.parse()?,
        verdict,
        reason: reason.to_owned(),
        run,
    })
}

fn dispatched() -> Result<Outcome> {
    let run: RunId = uuid::Uuid::new_v4().to_string().parse()?;
    let each = vec![
        for_stack("prod", Verdict::Run, "`prod/a.tf` is in `prod/`", Some(run))?,
        for_stack("docs", Verdict::None, "`prod/` is outside `docs/`", None)?,
        for_stack("home", Verdict::None, "`prod/` is outside `docs/`", None)?,
    ];
    Ok(Outcome::decided(each, now()))
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().filter_map(|row| row["id"].as_str()).collect()
}

#[tokio::test]
async fn a_delivery_is_stored_until_it_is_decided_and_then_shows_what_and_why() -> Result<()> {
    let log = Log::new().await?;
    let id = log.push().await?;
    let (row, one) = (log.row(&id).await?, log.one(&id).await?);
    for shown in [&row, &one] {
        assert_eq!(shown["outcome"], "stored");
        for field in ["reason", "note", "decisions", "decidedAt"] {
            assert!(shown[field].is_null(), "{field}: {shown}");
        }
    }

    let outcome = dispatched()?;
    assert!(log.decide(&id, outcome.clone(), false).await?);
    let one = log.one(&id).await?;
    assert_eq!(log.row(&id).await?["outcome"], "dispatched");
    assert_eq!(one["outcome"], "dispatched");
    let run = outcome.runs().next().context("no run")?;
    assert_eq!(
        one["decisions"],
        json!([
            { "verdict": "run", "reason": "`prod/a.tf` is in `prod/`", "stacks": ["prod"], "runs": [run] },
            { "verdict": "none", "reason": "`prod/` is outside `docs/`", "stacks": ["docs", "home"] },
        ])
    );
    assert_eq!(
        one["decidedAt"],
        edge::http::moment(outcome.decided_at),
        "{one}"
    );
    assert!(one["note"].is_null(), "{one}");
    assert!(
        one["payload"].as_str().is_some_and(|it| !it.is_empty()),
        "and what was received is there as ever"
    );

    for (outcome, word, note) in [
        (
            Outcome::ignored("no stack follows Harbor/platform", now()),
            "ignored",
            "no stack follows Harbor/platform",
        ),
        (
            Outcome::parked("the token has expired", now()),
            "parked",
            "the token has expired",
        ),
    ] {
        let id = log.push().await?;
        assert!(log.decide(&id, outcome, false).await?);
        let one = log.one(&id).await?;
        assert_eq!(log.row(&id).await?["outcome"], word);
        assert_eq!(
            (&one["outcome"], &one["note"], &one["decisions"]),
            (&json!(word), &json!(note), &json!([]))
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_is_parked_is_found_with_its_reason_until_something_else_becomes_of_it() -> Result<()>
{
    let log = Log::new().await?;
    let mut parked = Vec::new();
    for number in 0..3 {
        let id = log.push().await?;
        let outcome = Outcome::parked(format!("reason {number}"), now());
        assert!(log.decide(&id, outcome, false).await?);
        let other = log.push().await?;
        assert!(log.decide(&other, dispatched()?, false).await?);
        parked.push(id);
    }
    let rows = log.list("outcome=parked").await?;
    let told: Vec<(&str, &str)> = rows
        .iter()
        .filter_map(|row| Some((row["id"].as_str()?, row["reason"].as_str()?)))
        .collect();
    let texts: Vec<String> = parked.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            (texts[2].as_str(), "reason 2"),
            (texts[1].as_str(), "reason 1"),
            (texts[0].as_str(), "reason 0"),
        ]
    );
    assert!(rows.iter().all(|row| row["outcome"] == "parked"));
    // In the list of all it says so as well.
    assert_eq!(log.row(&parked[1]).await?["reason"], "reason 1");
    assert_eq!(log.one(&parked[1]).await?["reason"], "reason 1");
    // Page by page it is the same.
    let first = log.page("outcome=parked&pageSize=2").await?;
    let token = first["nextPageToken"].as_str().context("no token")?;
    let second = log
        .list(&format!("outcome=parked&pageSize=2&pageToken={token}"))
        .await?;
    assert_eq!(ids(&second), [texts[0].as_str()]);

    assert!(log.decide(&parked[1], dispatched()?, false).await?);
    let nothing = Outcome::ignored("the integration is not active any more", now());
    assert!(log.decide(&parked[2], nothing, false).await?);
    let rows = log.list("outcome=parked").await?;
    assert_eq!(ids(&rows), [texts[0].as_str()]);
    let row = log.row(&parked[1]).await?;
    assert_eq!(row["outcome"], "dispatched");
    assert!(row["reason"].is_null(), "{row}");
    assert!(
        log.one(&parked[1]).await?["note"].is_null(),
        "the reason to park it is over"
    );
    Ok(())
}

#[tokio::test]
async fn what_the_index_still_calls_parked_is_shown_as_what_it_has_become() -> Result<()> {
    let log = Log::new().await?;
    let id = log.push().await?;
    assert!(
        log.decide(&id, Outcome::ignored("nothing", now()), false)
            .await?
    );
    // What an index that is behind looks like: it lists what has another outcome by now.
    let aws = log
        .bed
        .aws_at(&log.bed.stack.description.endpoint_url)
        .await;
    let received = log.store.delivery(&id).await?.context("none")?;
    let received = received.head.received.as_microsecond().to_string();
    let text = |text: String| AttributeValue::S(text);
    aws_sdk_dynamodb::Client::new(&aws)
        .update_item()
        .table_name(log.bed.tables().events)
        .key("pk", text(id.partition().to_owned()))
        .key("sk", text(format!("{}#outcome", id.sort())))
        .update_expression("SET attention = :parked, received = :received")
        .condition_expression("attribute_exists(pk)")
        .expression_attribute_values(":parked", text(format!("{}#parked", log.linked.name)))
        .expression_attribute_values(":received", AttributeValue::N(received))
        .send()
        .await?;
    let within = (Timestamp::UNIX_EPOCH, now());
    let indexed = log.store.parked(&log.linked.name, within, 10).await?;
    assert_eq!(indexed.len(), 1, "the index has it");
    assert!(log.list("outcome=parked").await?.is_empty());
    assert_eq!(
        ids(&log.list("outcome=ignored").await?),
        [id.to_string().as_str()]
    );
    Ok(())
}

#[tokio::test]
async fn each_word_finds_what_it_says_and_nothing_else() -> Result<()> {
    let log = Log::new().await?;
    let (made, none, waits) = (log.push().await?, log.push().await?, log.push().await?);
    let nothing = Outcome::ignored("nothing", now());
    assert!(log.decide(&made, dispatched()?, false).await?);
    assert!(log.decide(&none, nothing, false).await?);
    let outcome = Outcome::parked("the token has expired", now());
    assert!(log.decide(&waits, outcome, false).await?);
    for (word, id) in [
        ("dispatched", made),
        ("ignored", none),
        ("parked", waits),
        ("stored", log.push().await?),
        (
            "test",
            log.deliver(&new_event("ado/git.push.test.json").to_string())
                .await?,
        ),
        ("quarantined", log.deliver("no json").await?),
        (
            "oversize",
            log.deliver(&"x".repeat(store::LARGEST_BODY + 1)).await?,
        ),
    ] {
        let rows = log.list(&format!("outcome={word}")).await?;
        assert_eq!(ids(&rows), [id.to_string().as_str()], "{word}");
        assert_eq!(rows[0]["outcome"], word);
    }
    Ok(())
}

#[tokio::test]
async fn the_first_decision_counts_unless_it_was_to_park_or_somebody_asked_anew() -> Result<()> {
    let log = Log::new().await?;
    let words = async |id: &DeliveryId| -> Result<(String, Value)> {
        let one = log.one(id).await?;
        Ok((
            one["outcome"].as_str().unwrap_or_default().to_owned(),
            one["note"].clone(),
        ))
    };
    let ignored = |note: &str| Outcome::ignored(note, now());
    let parked = |note: &str| Outcome::parked(note, now());

    let id = log.push().await?;
    assert!(log.decide(&id, ignored("first"), false).await?);
    for later in [ignored("second"), parked("second"), dispatched()?] {
        assert!(!log.decide(&id, later, false).await?);
        assert_eq!(words(&id).await?, ("ignored".to_owned(), json!("first")));
    }
    assert!(
        log.list("outcome=parked").await?.is_empty(),
        "a refused decision leaves no trace"
    );

    let id = log.push().await?;
    assert!(log.decide(&id, parked("one"), false).await?);
    assert!(log.decide(&id, parked("two"), false).await?);
    assert_eq!(words(&id).await?, ("parked".to_owned(), json!("two")));
    assert!(log.decide(&id, ignored("three"), false).await?);
    assert!(!log.decide(&id, parked("four"), false).await?);
    assert_eq!(words(&id).await?, ("ignored".to_owned(), json!("three")));

    // Somebody asks anew: what is decided then counts, even to park it.
    assert!(log.decide(&id, parked("five"), true).await?);
    assert_eq!(words(&id).await?, ("parked".to_owned(), json!("five")));
    assert_eq!(
        ids(&log.list("outcome=parked").await?),
        [id.to_string().as_str()]
    );
    assert!(log.decide(&id, dispatched()?, true).await?);
    assert_eq!(words(&id).await?, ("dispatched".to_owned(), Value::Null));
    assert!(log.list("outcome=parked").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn the_ignored_among_many_are_paged_without_a_gap_or_a_double() -> Result<()> {
    let log = Log::new().await?;
    let mut ignored = Vec::new();
    for number in 0..36 {
        let id = log.push().await?;
        match number % 3 {
            0 => {
                assert!(
                    log.decide(&id, Outcome::ignored("nothing", now()), false)
                        .await?
                );
                ignored.push(id.to_string());
            }
            1 => assert!(log.decide(&id, dispatched()?, false).await?),
            _ => {}
        }
    }
    ignored.reverse();
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = log
            .page(&format!("outcome=ignored&pageSize=3{token}"))
            .await?;
        let rows = page["deliveries"].as_array().context("no deliveries")?;
        assert!(rows.len() <= 3 && rows.iter().all(|row| row["outcome"] == "ignored"));
        seen.extend(ids(rows).into_iter().map(str::to_owned));
        let Some(next) = page["nextPageToken"].as_str() else {
            break;
        };
        token = format!("&pageToken={next}");
    }
    assert_eq!(seen, ignored, "each once, newest first");
    // What the heads tell is asked of them: of 36 bodies those that are shown are read, in one call, and no outcome is.
    let tap = Tap::counting(&log.bed.stack.description.endpoint_url).await?;
    let counted = deliveries::App::new(log.bed.store_at(&tap.url()).await, RETENTION_DAYS);
    let path = format!(
        "/deliveries?integration={}&outcome=ignored&pageSize=20",
        log.linked.name
    );
    let page = body_of(counted.handle(get(&path)).await)?;
    assert_eq!(page["deliveries"].as_array().map(Vec::len), Some(12));
    assert_eq!((tap.count("BatchGetItem"), tap.count("GetItem")), (1, 0));
    assert_eq!(log.list("outcome=dispatched").await?.len(), 12);
    assert_eq!(log.list("outcome=stored").await?.len(), 12);
    let path = format!(
        "/deliveries?integration={}&outcome=dispatched{token}",
        log.linked.name
    );
    let (status, body) = parts(&log.app.handle(get(&path)).await)?;
    assert_eq!(
        (status, problem(&body)),
        (400, "invalid-page-token"),
        "a token is of the list that gave it"
    );
    let unknown = "/deliveries?outcome=forgotten";
    let (status, body) = parts(&log.app.handle(get(unknown)).await)?;
    assert_eq!((status, problem(&body)), (400, "invalid-request"));
    Ok(())
}

#[tokio::test]
async fn redeliveries_are_numbered_also_those_that_are_asked_for_at_once() -> Result<()> {
    let log = Log::new().await?;
    let id = log.push().await?;
    let text = id.to_string();
    for number in 1..=2 {
        let (status, body) = log.redeliver(&text, &json!({})).await?;
        assert_eq!(status, 202);
        assert_eq!(
            body,
            json!({ "id": text, "redelivery": number, "rerun": false })
        );
    }
    // Without a body at all.
    let path = format!("/deliveries/{text}/redelivery");
    let bare = crate::support::request("POST", &path, &[], lambda_http::Body::Empty);
    let (status, body) = parts(&log.app.handle(bare).await)?;
    assert_eq!((status, &body["redelivery"]), (202, &json!(3)));
    let no_fields = json!({});
    let at_once = (0..5).map(|_| log.redeliver(&text, &no_fields));
    let mut numbers = BTreeSet::new();
    for answer in futures::future::join_all(at_once).await {
        let (status, body) = answer?;
        assert_eq!(status, 202, "{body}");
        numbers.insert(body["redelivery"].as_u64());
    }
    let expected: BTreeSet<Option<u64>> = (4..=8).map(Some).collect();
    assert_eq!(numbers, expected);
    assert_eq!(log.beside(&id).await?.len(), 8);
    // Whatever became of it before, it can be asked for.
    assert!(log.decide(&id, dispatched()?, false).await?);
    assert_eq!(log.redeliver(&text, &json!({})).await?.0, 202);
    assert_eq!(
        log.one(&id).await?["outcome"],
        "dispatched",
        "until something else is decided"
    );
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_dispatched_is_not_delivered_again() -> Result<()> {
    let log = Log::new().await?;
    let mut test = new_event("ado/git.push.test.json");
    test["id"] = json!("00000000-0000-0000-0000-000000000000");
    let test = log.deliver(&test.to_string()).await?;
    assert_eq!(log.row(&test).await?["outcome"], "test");
    let oversize = "x".repeat(store::LARGEST_BODY + 1);
    let oversize = log.deliver(&oversize).await?;
    assert_eq!(log.row(&oversize).await?["outcome"], "oversize");
    let quarantined = log.deliver("no json").await?;
    assert_eq!(log.row(&quarantined).await?["outcome"], "quarantined");
    for (id, what) in [
        (&test, "Test button"),
        (&oversize, "too large"),
        (&quarantined, "not be understood"),
    ] {
        let (status, body) = log.redeliver(&id.to_string(), &json!({})).await?;
        assert_eq!((status, problem(&body)), (409, "not-an-event"), "{body}");
        assert!(
            body["detail"].as_str().is_some_and(|it| it.contains(what)),
            "{body}"
        );
        assert!(log.beside(id).await?.is_empty(), "nothing is written");
    }

    let event = log.push().await?;
    for body in [
        json!({ "rerun": "yes" }),
        json!({ "dryRun": "yes" }),
        json!([]),
        json!(1),
    ] {
        let (status, answer) = log.redeliver(&event.to_string(), &body).await?;
        assert_eq!(
            (status, problem(&answer)),
            (400, "invalid-request"),
            "{body}: {answer}"
        );
    }
    assert!(log.beside(&event).await?.is_empty());
    for method in ["GET", "DELETE", "PATCH"] {
        let path = format!("/deliveries/{event}/redelivery");
        let answer = log.app.handle(send(method, &path, &Value::Null)).await;
        assert_eq!(answer.status(), 405, "{method}");
    }
    Ok(())
}

#[tokio::test]
async fn what_lies_beside_a_delivery_is_no_delivery_and_no_forged_id_makes_it_one() -> Result<()> {
    let log = Log::new().await?;
    let id = log.push().await?;
    // One whose keys have a digest, too.
    let mut old = new_event("ado/git.push.json");
    old["createdDate"] = json!("2026-01-01T00:00:00Z");
    let old = log.deliver(&old.to_string()).await?;
    assert!(old.sort().starts_with('~'), "{old:?}");
    for (id, outcome) in [
        (&id, Outcome::parked("a reason", now())),
        (&old, dispatched()?),
    ] {
        assert!(log.decide(id, outcome, false).await?);
        assert_eq!(log.redeliver(&id.to_string(), &json!({})).await?.0, 202);
    }
    let (one, other) = (id.to_string(), old.to_string());
    let all = log.list("pageSize=100").await?;
    assert_eq!(
        ids(&all).into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from([one.as_str(), other.as_str()])
    );
    assert_eq!(ids(&log.list("outcome=parked").await?), [one.as_str()]);
    assert!(log.list("outcome=stored").await?.is_empty());
    for filter in ["eventType=git.push", "repository=platform"] {
        assert_eq!(log.list(filter).await?.len(), 2, "{filter}");
    }

    // Each item that is there, by an id that names it; and what is not there.
    let mut forged = vec![one.replace('a', "b"), format!("{one}AA")];
    for id in [&id, &old] {
        let beside = log.beside(id).await?;
        assert_eq!(beside.len(), 2, "{beside:?}");
        for sort in beside {
            let keys = format!("{}\n{sort}", id.partition());
            forged.push(URL_SAFE_NO_PAD.encode(keys));
        }
        let unknown = format!("{}\n{}0", id.partition(), id.sort());
        forged.push(URL_SAFE_NO_PAD.encode(unknown));
    }
    for forged in forged {
        let shown = log.app.handle(get(&format!("/deliveries/{forged}"))).await;
        let (status, body) = parts(&shown)?;
        assert_eq!((status, problem(&body)), (404, "not-found"), "{body}");
        let (status, body) = log.redeliver(&forged, &json!({})).await?;
        assert_eq!((status, problem(&body)), (404, "not-found"), "{body}");
    }
    for id in [&id, &old] {
        assert_eq!(log.beside(id).await?.len(), 2, "and nothing was written");
    }
    // The same event again meets its record, whatever lies beside it.
    let whole = log.one(&id).await?;
    let body = whole["payload"].as_str().context("no payload")?;
    log.webhook.handle(delivery(&log.linked, body)).await;
    assert_eq!(log.list("pageSize=100").await?.len(), 2);
    Ok(())
}
