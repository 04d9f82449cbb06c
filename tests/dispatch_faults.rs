//! Bad days of `dispatch`: what DynamoDB, Azure DevOps, the token, the stream and a delivery itself can do. Ids of the listed
//! faults are in the names.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use domain::{RunState, StackName, outcome::OutcomeWord, run::CancelReason};
use reqwest::Method;
use serde_json::{Value, json};
use store::DeliveryId;

use crate::support::{
    Fate, Tap, delivery as delivered,
    dispatching::{Dispatching, INVOCATION, drain, waiting},
    get, json as body_of, now, send,
};

/// Pushes to main that touch `prod/`, as bodies.
async fn pushes(harbor: &mut Dispatching, count: usize) -> Result<Vec<Value>> {
    for _ in 0..count {
        let content = uuid::Uuid::new_v4().to_string();
        harbor
            .push(json!({ "branch": "main", "files": { "prod/n.tf": content } }))
            .await?;
    }
    harbor.sent().await
}

/// Replaces the body that is stored of a delivery.
async fn store_body(harbor: &Dispatching, id: &DeliveryId, body: Vec<u8>) -> Result<()> {
    let aws = harbor
        .bed
        .aws_at(&harbor.bed.stack.description.endpoint_url)
        .await;
    aws_sdk_dynamodb::Client::new(&aws)
        .update_item()
        .table_name(harbor.bed.tables().events)
        .key("pk", AttributeValue::S(id.partition().to_owned()))
        .key("sk", AttributeValue::S(id.sort().to_owned()))
        .update_expression("SET body = :body")
        .expression_attribute_values(":body", AttributeValue::B(Blob::new(body)))
        .send()
        .await?;
    Ok(())
}

#[tokio::test]
async fn f1_of_a_thousand_deliveries_one_is_poison_and_the_others_make_their_runs() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let template = pushes(&mut harbor, 1).await?.remove(0);
    let first = template["resource"]["pushId"]
        .as_i64()
        .context("no number")?;
    let bodies: Vec<Value> = (0..1_000)
        .map(|number| {
            let mut body = template.clone();
            body["id"] = json!(uuid::Uuid::new_v4());
            body["resource"]["pushId"] = json!(first + number);
            body
        })
        .collect();
    let ids = harbor.stored(&bodies).await?;
    let poison = ids[400].clone();
    // p16: a form that no version has written.
    store_body(&harbor, &poison, vec![250, 1, 2, 3]).await?;
    for batch in harbor.records(&ids).await?.chunks(100) {
        assert_eq!(
            Dispatching::hand(&harbor.app, batch.to_vec()).await?,
            Vec::<String>::new()
        );
    }
    let outcome = harbor.outcome(&poison).await?.outcome;
    assert_eq!(outcome.word, OutcomeWord::Parked);
    assert!(
        outcome.note.context("no reason")?.contains("form"),
        "it says why"
    );
    let runs = harbor.runs(&stack).await?;
    assert_eq!(runs.len(), 999);
    let mut numbers: Vec<i64> = runs.iter().filter_map(|run| run.push_id).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(
        (numbers.len(), numbers.contains(&(first + 400))),
        (999, false)
    );

    // It can be sent again, and goes on once what was wrong is mended.
    let deliveries = harbor.bed.deliveries().await;
    let path = format!("/deliveries/{poison}");
    let shown = body_of(deliveries.handle(get(&path)).await)?;
    assert_eq!(shown["outcome"], "parked", "{shown}");
    store_body(
        &harbor,
        &poison,
        store::body::encode(&serde_json::to_vec(&bodies[400])?),
    )
    .await?;
    let asked = body_of(
        deliveries
            .handle(send("POST", &format!("{path}/redelivery"), &json!({})))
            .await,
    )?;
    assert_eq!(asked["redelivery"], 1, "{asked}");
    let sort = format!("{}#redelivery#000001", poison.sort());
    let record = harbor.record(poison.partition(), &sort).await?;
    assert!(
        Dispatching::hand(&harbor.app, vec![record])
            .await?
            .is_empty()
    );
    let outcome = harbor.outcome(&poison).await?.outcome;
    // Its turn is over: pushes with greater numbers have had theirs.
    assert_eq!(outcome.word, OutcomeWord::Ignored);
    assert_eq!(
        harbor
            .runs(&stack)
            .await?
            .iter()
            .filter(|run| run.state == RunState::Superseded)
            .count(),
        1
    );
    Ok(())
}

#[tokio::test]
async fn two_hundred_stacks_are_decided_in_one_invocation_with_a_dozen_calls() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let first = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let template = harbor.store.stack(&first).await?.context("no stack")?;
    let mut names: Vec<StackName> = vec![first];
    for number in 1..200 {
        let mut stack = template.clone();
        stack.name = format!("{}-{number}", template.name).parse()?;
        harbor.store.create_stack(&stack).await?;
        names.push(stack.name);
    }
    let bodies = pushes(&mut harbor, 1).await?;
    let ids = harbor.stored(&bodies).await?;
    let records = harbor.records(&ids).await?;
    let tap = Tap::counting(&harbor.bed.stack.description.endpoint_url).await?;
    let app = harbor.app_at(&tap.url()).await?;
    let asked = harbor.azure_devops.requests().len();
    assert!(Dispatching::hand(&app, records).await?.is_empty());
    let calls: BTreeMap<String, usize> = tap.calls();
    assert_eq!(
        harbor.azure_devops.requests().len() - asked,
        1,
        "one comparison"
    );
    let of = |operation: &str| {
        calls
            .iter()
            .filter(|(name, _)| name.ends_with(operation))
            .map(|(_, count)| count)
            .sum::<usize>()
    };
    assert_eq!(of(".TransactWriteItems"), 4, "{calls:?}");
    assert_eq!(of(".Query"), 1, "{calls:?}");
    // The integration and the stacks once more after the runs; that the push was seen, and the outcome; the token.
    assert_eq!(
        (
            of(".GetItem"),
            of(".BatchGetItem"),
            of(".PutItem"),
            of(".GetSecretValue")
        ),
        (2, 2, 2, 1),
        "{calls:?}"
    );
    assert_eq!(calls.values().sum::<usize>(), 12, "{calls:?}");
    let outcome = harbor.outcome(&ids[0]).await?.outcome;
    assert_eq!(outcome.runs().count(), 200);
    assert_eq!(
        outcome.decisions.len(),
        1,
        "the same reason is written once"
    );
    for name in [&names[0], &names[99], &names[199]] {
        assert_eq!(harbor.runs(name).await?.len(), 1, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn f2_f3_a_batch_that_comes_again_whole_in_part_and_at_the_same_time_makes_each_run_once()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stacks = [
        harbor.stack(json!({ "projectRoot": "prod" })).await?,
        harbor.stack(json!({})).await?,
    ];
    let bodies = pushes(&mut harbor, 6).await?;
    let ids = harbor.stored(&bodies).await?;
    let records = harbor.records(&ids).await?;
    let other = harbor
        .app_at(&harbor.bed.stack.description.endpoint_url)
        .await?;
    let third = harbor
        .app_at(&harbor.bed.stack.description.endpoint_url)
        .await?;
    let (whole, first_half, rest) = (
        records.clone(),
        records[..3].to_vec(),
        records[2..].to_vec(),
    );
    let all = tokio::try_join!(
        Dispatching::hand(&harbor.app, whole.clone()),
        Dispatching::hand(&other, first_half),
        Dispatching::hand(&third, rest)
    )?;
    assert!(
        all.0.is_empty() && all.1.is_empty() && all.2.is_empty(),
        "{all:?}"
    );
    Dispatching::hand(&other, whole).await?;
    for stack in &stacks {
        let runs = harbor.runs(stack).await?;
        let mut pushes: Vec<i64> = runs.iter().filter_map(|run| run.push_id).collect();
        let all = pushes.len();
        pushes.sort_unstable();
        pushes.dedup();
        assert_eq!((all, pushes.len()), (6, 6), "each push has one");
        let newest = runs.iter().max_by_key(|run| run.push_id).context("none")?;
        assert_eq!(
            newest.state,
            RunState::Queued,
            "the newest is never passed over"
        );
    }
    Ok(())
}

#[tokio::test]
async fn f2_whatever_call_fails_or_loses_its_answer_the_batch_comes_again_and_ends_the_same()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let count = pushes(&mut harbor, 1).await?;
    harbor.dispatched(&count).await?;
    let mut walked = 0;
    for (kind, cut_answer) in [("fails", false), ("loses its answer", true)] {
        for call in 1..=12 {
            let bodies = pushes(&mut harbor, 1).await?;
            let ids = harbor.stored(&bodies).await?;
            let records = harbor.records(&ids).await?;
            let seen = std::sync::Arc::new(AtomicUsize::new(0));
            let counted = seen.clone();
            // The SDK tries three times: the call fails for as long as that.
            let tap = Tap::on(&harbor.bed.stack.description.endpoint_url, move |_, _| {
                let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
                match number {
                    _ if cut_answer && number == call => Fate::CutAnswer,
                    _ if !cut_answer && (call..call + 3).contains(&number) => Fate::Cut,
                    _ => Fate::Pass,
                }
            })
            .await?;
            let app = harbor.app_at(&tap.url()).await?;
            let failed = Dispatching::hand(&app, records.clone()).await?;
            if seen.load(Ordering::SeqCst) < call {
                break; // there are no more calls
            }
            walked += 1;
            if !failed.is_empty() {
                let again = harbor
                    .app_at(&harbor.bed.stack.description.endpoint_url)
                    .await?;
                assert!(Dispatching::hand(&again, records).await?.is_empty());
            }
            // Or it was put off, because a secret could not be read.
            let runs = harbor.runs(&stack).await?;
            let number = bodies[0]["resource"]["pushId"].as_i64();
            let of_push: Vec<RunState> = runs
                .iter()
                .filter(|run| run.push_id == number)
                .map(|run| run.state)
                .collect();
            let outcome = harbor.store.outcome(&ids[0]).await?;
            assert_eq!(
                of_push,
                [RunState::Queued],
                "call {call} {kind}: {outcome:?}, {failed:?}"
            );
            assert_eq!(
                harbor.outcome(&ids[0]).await?.outcome.word,
                OutcomeWord::Dispatched,
                "call {call} {kind}"
            );
        }
    }
    assert!(walked >= 8, "{walked}");
    Ok(())
}

#[tokio::test]
async fn f4_what_is_no_delivery_is_passed_over() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({})).await?;
    let bodies = pushes(&mut harbor, 1).await?;
    let ids = harbor.dispatched(&bodies).await?;
    let outcome = harbor
        .record(ids[0].partition(), &format!("{}#outcome", ids[0].sort()))
        .await?;
    let mut removed = harbor.record(ids[0].partition(), ids[0].sort()).await?;
    removed["eventName"] = json!("REMOVE");
    removed["dynamodb"]
        .as_object_mut()
        .context("no change")?
        .remove("NewImage");
    assert!(
        Dispatching::hand(&harbor.app, vec![outcome, removed])
            .await?
            .is_empty()
    );
    assert_eq!(harbor.runs(&stack).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_refused_parks_deliveries_and_they_go_on_when_it_is_replaced() -> Result<()>
{
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let bodies = pushes(&mut harbor, 3).await?;
    harbor
        .control(Method::POST, "tokens/good/expire", Value::Null)
        .await?;
    let ids = harbor.dispatched(&bodies).await?;
    for id in &ids {
        let record = harbor.outcome(id).await?;
        assert_eq!(record.outcome.word, OutcomeWord::Parked);
        let event = record.event.context("nobody is told")?;
        assert_eq!(
            (
                event.detail_type.as_str(),
                event.detail["integration"].as_str()
            ),
            ("Connection Failing", Some(harbor.linked.name.as_str()))
        );
    }
    assert!(harbor.runs(&stack).await?.is_empty());
    // As long as it is the same, waking them changes nothing.
    let unpark = json!({ "kind": "unpark", "integration": harbor.linked.name });
    let wake = async |harbor: &Dispatching| {
        let failed = Dispatching::hand(&harbor.app, vec![Dispatching::message(&unpark, 1)]).await?;
        ensure!(failed.is_empty(), "{failed:?}");
        let messages = drain(&harbor.bed, &harbor.queue).await?;
        let messages: Vec<Value> = messages
            .iter()
            .filter(|body| body["kind"] == "delivery")
            .map(|body| Dispatching::message(body, 1))
            .collect();
        let count = messages.len();
        let failed = Dispatching::hand(&harbor.app, messages).await?;
        ensure!(failed.is_empty(), "{failed:?}");
        Ok(count)
    };
    assert_eq!(wake(&harbor).await?, 3);
    assert!(harbor.runs(&stack).await?.is_empty());

    harbor.new_token("older").await?;
    assert_eq!(wake(&harbor).await?, 3);
    for id in &ids {
        let word = harbor.outcome(id).await?.outcome.word;
        assert_ne!(word, OutcomeWord::Parked);
    }
    let runs = harbor.runs(&stack).await?;
    assert_eq!(runs.len(), 3, "each push, in whatever order they woke");
    assert!(runs.iter().any(|run| run.state == RunState::Queued));
    assert_eq!(wake(&harbor).await?, 0, "nothing is parked any more");
    Ok(())
}

#[tokio::test]
async fn one_integration_whose_organization_hangs_holds_up_no_other() -> Result<()> {
    let mut slow = Dispatching::start().await?;
    let mut others = [Dispatching::start().await?, Dispatching::start().await?];
    let stuck = slow.stack(json!({ "projectRoot": "prod" })).await?;
    // One function for all: it calls one address, where each integration's organization answers for itself.
    let mut records = Vec::new();
    let mut stacks = Vec::new();
    for other in &mut others {
        stacks.push(other.stack(json!({ "projectRoot": "prod" })).await?);
    }
    let bodies = pushes(&mut slow, 4).await?;
    let stuck_ids = slow.stored(&bodies).await?;
    records.extend(slow.records(&stuck_ids).await?);
    slow.control(
        Method::POST,
        "faults",
        json!({ "kind": "hang", "path": "/diffs/commits" }),
    )
    .await?;
    assert!(
        Dispatching::hand(&slow.app, records).await?.is_empty(),
        "they are put off, and not failed"
    );
    assert_eq!(waiting(&slow.bed, &slow.queue).await?, 4);
    assert_eq!(
        slow.asked("/diffs/commits"),
        1,
        "the others of the batch do not ask again"
    );
    for id in &stuck_ids {
        assert!(
            slow.store.outcome(id).await?.is_none(),
            "nothing is decided yet"
        );
    }
    for (other, stack) in others.iter_mut().zip(&stacks) {
        let bodies = pushes(other, 1).await?;
        other.dispatched(&bodies).await?;
        assert_eq!(other.runs(stack).await?.len(), 1);
    }
    // It answers again.
    slow.control(Method::DELETE, "faults", Value::Null).await?;
    for id in &stuck_ids {
        assert!(slow.later(id, 1).await?.is_empty());
    }
    assert_eq!(slow.runs(&stuck).await?.len(), 4);
    Ok(())
}

#[tokio::test]
async fn in_one_batch_the_integrations_that_answer_do_not_wait_for_the_one_that_hangs() -> Result<()>
{
    let mut harbor = Dispatching::start().await?;
    let quick = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    // A second integration of the same organization, whose repository hangs.
    let setup = harbor.bed.setup(&harbor.azure_devops).await?;
    let second = harbor.bed.set_up(&setup, &harbor.azure_devops).await?;
    let slow = harbor
        .stack(json!({ "integration": second.name, "repository": "website" }))
        .await?;
    let repository = harbor
        .store
        .stack(&slow)
        .await?
        .context("no stack")?
        .repository
        .id;
    let fault = json!({ "kind": "hang", "path": format!("{repository}/diffs") });
    harbor.control(Method::POST, "faults", fault).await?;
    let website = "organizations/tidewater/projects/Harbor/repositories/website/pushes";
    let push =
        json!({ "branch": "main", "files": { "a": "1" }, "message": "m", "author": "Tom Eklund" });
    harbor.control(Method::POST, website, push).await?;
    let hanging = harbor.sent().await?;
    let bytes = serde_json::to_vec(&hanging[0])?;
    let webhook = harbor.bed.webhook().await;
    ensure!(
        webhook
            .handle(delivered(&second, bytes.clone()))
            .await
            .status()
            == 200,
        "not stored"
    );
    let notification = envelope::parse(&bytes)?;
    let identity = store::keys::EventIdentity {
        created_date: notification.created_date,
        event_type: notification.event_type.as_str(),
        event_id: notification.event_id.as_deref(),
    };
    let stuck = DeliveryId::of_event(&second.name, identity, &bytes, now());
    let bodies = pushes(&mut harbor, 2).await?;
    let mut ids = harbor.stored(&bodies).await?;
    ids.insert(0, stuck.clone());
    assert!(
        Dispatching::hand(&harbor.app, harbor.records(&ids).await?)
            .await?
            .is_empty()
    );
    assert_eq!(harbor.runs(&quick).await?.len(), 2);
    assert!(harbor.store.outcome(&stuck).await?.is_none());
    assert_eq!(waiting(&harbor.bed, &harbor.queue).await?, 1);
    Ok(())
}

#[tokio::test]
async fn after_a_quarter_of_an_hour_without_an_answer_the_stack_counts_as_touched() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "docs/a.md": "1" } }))
        .await?;
    let bodies = harbor.sent().await?;
    let ids = harbor.stored(&bodies).await?;
    let limited =
        json!({ "kind": "tooManyRequests", "path": "/diffs/commits", "retryAfterSeconds": 60 });
    harbor.control(Method::POST, "faults", limited).await?;
    for tries in 0..7 {
        assert!(harbor.later(&ids[0], tries).await?.is_empty());
        assert!(harbor.store.outcome(&ids[0]).await?.is_none(), "{tries}");
    }
    assert_eq!(waiting(&harbor.bed, &harbor.queue).await?, 7);
    assert!(harbor.later(&ids[0], 7).await?.is_empty());
    let (verdict, reason) = harbor.verdict(&ids[0], &stack).await?;
    assert!(
        verdict == "run" && reason.contains("slow down") && reason.contains("counts as touched"),
        "{reason}"
    );
    // A pull request, too: by what the event tells of it.
    harbor
        .control(Method::DELETE, "faults", Value::Null)
        .await?;
    harbor
        .push(json!({ "branch": "fix/q", "from": "main", "files": { "docs/b.md": "1" } }))
        .await?;
    harbor
        .act(
            Method::POST,
            "pullRequests",
            json!({ "source": "fix/q", "target": "main", "title": "q" }),
        )
        .await?;
    let bodies = harbor.sent().await?;
    harbor
        .control(
            Method::POST,
            "faults",
            json!({ "kind": "status", "path": "/git/" }),
        )
        .await?;
    let created: Vec<Value> = bodies
        .into_iter()
        .filter(|body| body["eventType"] == "git.pullrequest.created")
        .collect();
    let ids = harbor.stored(&created).await?;
    assert!(harbor.later(&ids[0], 7).await?.is_empty());
    assert_eq!(harbor.verdict(&ids[0], &stack).await?.0, "run");
    Ok(())
}

#[tokio::test]
async fn f8_f10_what_a_batch_that_was_given_up_had_is_found_by_its_time_and_dispatched()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let bodies = pushes(&mut harbor, 3).await?;
    let done = harbor.dispatched(&bodies[..1]).await?;
    let ids = harbor.stored(&bodies[1..]).await?;
    let given_up = json!({
        "requestContext": { "condition": "RecordAgeExceeded", "approximateInvokeCount": 11 },
        "version": "1.0",
        "DDBStreamBatchInfo": {
            "shardId": "shardId-1", "startSequenceNumber": "1", "endSequenceNumber": "2", "batchSize": 2, "streamArn": "arn",
            "approximateArrivalOfFirstRecord": now().to_string(),
            "approximateArrivalOfLastRecord": now().to_string(),
        },
    });
    assert!(
        Dispatching::hand(&harbor.app, vec![Dispatching::message(&given_up, 1)])
            .await?
            .is_empty()
    );
    let found = drain(&harbor.bed, &harbor.queue).await?;
    let found: Vec<&str> = found
        .iter()
        .filter_map(|body| body["delivery"].as_str())
        .collect();
    for id in &ids {
        assert!(
            found.contains(&id.to_string().as_str()),
            "{id} is not found"
        );
        assert!(harbor.later(id, 0).await?.is_empty());
    }
    assert!(
        !found.contains(&done[0].to_string().as_str()),
        "that one is done"
    );
    assert_eq!(harbor.runs(&stack).await?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn a_delivery_that_ends_the_process_each_time_is_parked_and_nonsense_is_left_to_the_dead_letters()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({})).await?;
    let bodies = pushes(&mut harbor, 1).await?;
    let ids = harbor.stored(&bodies).await?;
    let body = json!({ "kind": "delivery", "delivery": ids[0].to_string(), "tries": 0 });
    assert!(
        Dispatching::hand(&harbor.app, vec![Dispatching::message(&body, 4)])
            .await?
            .is_empty()
    );
    let outcome = harbor.outcome(&ids[0]).await?.outcome;
    assert_eq!(outcome.word, OutcomeWord::Parked);
    assert!(harbor.runs(&stack).await?.is_empty());
    let nonsense = Dispatching::message(&json!({ "kind": "other" }), 1);
    let id = nonsense["messageId"].as_str().context("no id")?.to_owned();
    assert_eq!(Dispatching::hand(&harbor.app, vec![nonsense]).await?, [id]);
    Ok(())
}

#[tokio::test]
async fn without_enough_time_nothing_is_begun_and_the_record_comes_again() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({})).await?;
    let bodies = pushes(&mut harbor, 1).await?;
    let ids = harbor.stored(&bodies).await?;
    let records = harbor.records(&ids).await?;
    let number = records[0]["dynamodb"]["SequenceNumber"]
        .as_str()
        .context("no number")?
        .to_owned();
    let trigger = serde_json::from_value(json!({ "Records": records.clone() }))?;
    let answer = harbor
        .app
        .handle(trigger, Duration::from_secs(5), now())
        .await;
    assert_eq!(answer.batch_item_failures[0].item_identifier, number);
    assert!(harbor.runs(&stack).await?.is_empty());
    let trigger = serde_json::from_value(json!({ "Records": records }))?;
    assert!(
        harbor
            .app
            .handle(trigger, INVOCATION, now())
            .await
            .batch_item_failures
            .is_empty()
    );
    assert_eq!(harbor.runs(&stack).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_sign_in_page_is_taken_for_a_bad_moment_three_times_and_then_for_a_refusal() -> Result<()>
{
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let bodies = pushes(&mut harbor, 2).await?;
    let page = json!({ "kind": "signInPage", "path": "/diffs/commits" });
    harbor.control(Method::POST, "faults", page).await?;
    let ids = harbor.dispatched(&bodies).await?;
    for tries in 1..3 {
        assert!(harbor.store.outcome(&ids[0]).await?.is_none(), "{tries}");
        assert!(harbor.later(&ids[0], tries).await?.is_empty());
    }
    assert!(harbor.later(&ids[0], 3).await?.is_empty());
    assert_eq!(
        harbor.outcome(&ids[0]).await?.outcome.word,
        OutcomeWord::Parked
    );
    harbor
        .control(Method::DELETE, "faults", Value::Null)
        .await?;
    assert!(harbor.later(&ids[1], 1).await?.is_empty());
    assert_eq!(harbor.runs(&stack).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_run_that_comes_too_late_for_its_stack_or_its_integration_is_taken_back() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let deleted = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let kept = harbor.stack(json!({})).await?;
    let bodies = pushes(&mut harbor, 2).await?;
    let ids = harbor.stored(&bodies).await?;
    // The stack goes while its run is on its way to the table.
    let tap = Tap::on(
        &harbor.bed.stack.description.endpoint_url,
        |call, _| match call.ends_with("TransactWriteItems") {
            true => Fate::Delay(Duration::from_secs(1)),
            false => Fate::Pass,
        },
    )
    .await?;
    let app = harbor.app_at(&tap.url()).await?;
    let records = harbor.records(&ids[..1]).await?;
    let deletes = async {
        while tap.count("TransactWriteItems") == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        harbor.store.delete_stack(&deleted).await?;
        anyhow::Ok(())
    };
    let (failed, ()) = tokio::try_join!(Dispatching::hand(&app, records), deletes)?;
    assert!(failed.is_empty());
    let canceled = harbor.runs(&deleted).await?;
    assert_eq!(
        canceled[0].canceled_because,
        Some(CancelReason::StackDeleted)
    );
    assert_eq!(harbor.verdict(&ids[0], &deleted).await?.0, "canceled");
    assert_eq!(harbor.runs(&kept).await?[0].state, RunState::Queued);

    // A process that died after writing its runs: by the time the record comes again, the integration is unlinked.
    let made = harbor.runs(&kept).await?;
    let unlink = harbor.bed.unlink().await;
    let path = format!("/integrations/{}", harbor.linked.name);
    body_of(unlink.handle(send("DELETE", &path, &json!({}))).await)?;
    let mut late = made[0].clone();
    let identity = domain::run::Identity::Push {
        ref_name: "refs/heads/main",
        push_id: 1_000_000,
    };
    late.id = domain::RunId::of(&late.stack, &late.repository.id, identity);
    late.delivery = Some(ids[1].to_string());
    let new = store::NewRun {
        run: late.clone(),
        in_order_of: None,
    };
    let retention = jiff::SignedDuration::from_hours(24);
    harbor.store.add_runs(&[new], retention).await?;
    let records = harbor.records(&ids[1..]).await?;
    assert!(Dispatching::hand(&harbor.app, records).await?.is_empty());
    let run = harbor.store.run(&late.id).await?.context("no run")?;
    assert_eq!(run.canceled_because, Some(CancelReason::Unlinked));
    Ok(())
}
