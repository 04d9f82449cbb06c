//! What `announce` puts on the bus, and what it does where the bus takes only some of it, or nothing. All but the last need
//! no local stack.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use announce::App;
use anyhow::{Context, Result};
use aws_config::SdkConfig;
use aws_lambda_events::dynamodb::Event;
use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{Outcome, Run, RunState};
use jiff::SignedDuration;
use queues::Queue;
use serde_json::{Value, json};
use store::{BusEvent, NewRun, OutcomeRecord};

use crate::support::{AwsStub, Bed, aws, locked, new_name, now, schemas::faults};

const PUT_EVENTS: &str = "AWSEvents.PutEvents";
const SEND: &str = "AmazonSQS.SendMessage";
const URL: &str = "https://runs.example/";
const FAILURES: &str = "https://sqs.example/announce-failure";
const STREAM: &str = "arn:aws:dynamodb:eu-central-1:123456789012:table/t/stream/s";
const ENOUGH: Duration = Duration::from_secs(60);

fn run(stack: &str) -> Result<Run> {
    let id = uuid::Uuid::new_v4();
    Ok(serde_json::from_value(json!({
        "id": id, "kind": "tracked", "state": "queued", "version": 1, "stack": stack, "integration": "acme",
        "project": { "id": "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce", "name": "Harbor" },
        "repository": { "id": "66e81d32-b0e8-44e2-a92a-55eb7b6ccdce", "name": "platform" },
        "commit": "0123456789012345678901234567890123456789", "projectRoot": "prod", "trigger": "push", "reason": "why",
        "requestedAt": now(), "updatedAt": now(),
    }))?)
}

/// A value as DynamoDB writes it.
fn attribute(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, it)| (name.clone(), attribute(it)));
            json!({ "M": Value::Object(fields.collect()) })
        }
        Value::Array(items) => json!({ "L": items.iter().map(attribute).collect::<Vec<_>>() }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::Bool(is) => json!({ "BOOL": is }),
        Value::String(text) => json!({ "S": text }),
        Value::Null => json!({ "NULL": true }),
    }
}

fn image(run: &Run) -> Value {
    let item = json!({
        "pk": format!("run#{}", run.id), "sk": "run", "run_of": run.stack, "month": "2026-11", "requested": "x",
        "version": run.version, "state": run.state, "expires": 7, "run": run,
    });
    attribute(&item)["M"].clone()
}

fn record(number: usize, new: &Value, old: Option<&Value>) -> Value {
    let change = json!({
        "SequenceNumber": number.to_string(), "SizeBytes": 1, "Keys": { "pk": new["pk"], "sk": new["sk"] },
        "NewImage": new, "OldImage": old,
    });
    json!({
        "awsRegion": "eu-central-1", "eventID": number.to_string(), "eventSourceARN": STREAM,
        "eventName": if old.is_some() { "MODIFY" } else { "INSERT" }, "dynamodb": change,
    })
}

/// The records of one change after the other.
fn batch(records: Vec<Value>) -> Result<Event> {
    Ok(serde_json::from_value(json!({ "Records": records }))?)
}

/// A batch of new runs.
fn requested(runs: &[Run]) -> Result<Event> {
    let records = runs.iter().enumerate();
    batch(
        records
            .map(|(at, run)| record(at, &image(run), None))
            .collect(),
    )
}

async fn announce(app: &App, event: Event) -> Vec<String> {
    let answer = app.handle(event, ENOUGH).await;
    let failures = answer.batch_item_failures.into_iter();
    failures.filter_map(|it| it.item_identifier).collect()
}

/// A bus that takes an entry or not, by the id of its run and how often that was sent before; and a queue.
async fn bus(
    takes: impl Fn(&str, usize) -> bool + Send + Sync + 'static,
) -> Result<(AwsStub, App)> {
    bus_and_queue(takes, |_| true).await
}

/// The same, and a queue that takes what it is sent or not, by how often that was before.
async fn bus_and_queue(
    takes: impl Fn(&str, usize) -> bool + Send + Sync + 'static,
    queue_takes: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> Result<(AwsStub, App)> {
    let sent: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let messages = AtomicUsize::new(0);
    let stub = AwsStub::start(move |name, asked| {
        if name == SEND {
            let before = messages.fetch_add(1, Ordering::Relaxed);
            return if queue_takes(before) {
                (200, json!({ "MessageId": "m" }))
            } else {
                (400, json!({ "__type": "planted" }))
            };
        }
        let judged = asked["Entries"].as_array().map_or(&[][..], Vec::as_slice);
        let judged = judged.iter().map(|entry| {
            let id = run_of(entry);
            let mut sent = locked(&sent);
            let before = sent.entry(id.clone()).or_default();
            *before += 1;
            if takes(&id, *before - 1) {
                json!({ "EventId": "e" })
            } else {
                json!({ "ErrorCode": "InternalFailure", "ErrorMessage": "planted" })
            }
        });
        let entries: Vec<Value> = judged.collect();
        let failed = entries.iter().filter(|it| it["EventId"].is_null()).count();
        (
            200,
            json!({ "FailedEntryCount": failed, "Entries": entries }),
        )
    })
    .await?;
    let app = app(&stub.config().await, "the-bus");
    Ok((stub, app))
}

fn app(config: &SdkConfig, bus: &str) -> App {
    let failures = Queue::new(config, FAILURES.to_owned());
    App::new(config, bus.to_owned(), URL, failures)
}

/// What was sent to the queue.
fn handed_over(stub: &AwsStub) -> Vec<Value> {
    let messages = stub.asked(SEND).into_iter();
    messages
        .map(|it| {
            assert_eq!(it["QueueUrl"], FAILURES);
            serde_json::from_str(it["MessageBody"].as_str().unwrap_or_default()).unwrap_or_default()
        })
        .collect()
}

/// The message about a record, by its number.
fn message(number: usize, image: &Value, reason: &str) -> Value {
    json!({
        "eventSourceARN": STREAM, "keys": { "pk": image["pk"], "sk": image["sk"] },
        "sequenceNumber": number.to_string(), "reason": reason,
    })
}

/// The image of a run that nobody can read.
fn torn(run: &Run) -> Value {
    let mut torn = image(run);
    torn["run"] = json!({ "S": "torn" });
    torn
}

fn detail_of(entry: &Value) -> Value {
    let detail = entry["Detail"].as_str().unwrap_or_default();
    serde_json::from_str(detail).unwrap_or_default()
}

fn run_of(entry: &Value) -> String {
    let detail = detail_of(entry);
    detail["run"]["id"].as_str().unwrap_or_default().to_owned()
}

/// The runs of each call, and their versions.
fn calls(stub: &AwsStub) -> Vec<Vec<(String, u64)>> {
    let of_entry = |entry: &Value| {
        let version = detail_of(entry)["run"]["version"].as_u64();
        (run_of(entry), version.unwrap_or_default())
    };
    let calls = stub.asked(PUT_EVENTS).into_iter();
    calls
        .map(|call| {
            let entries = call["Entries"].as_array().cloned().unwrap_or_default();
            entries.iter().map(of_entry).collect()
        })
        .collect()
}

#[tokio::test]
async fn what_is_put_on_the_bus_is_as_its_schema_says() -> Result<()> {
    let (stub, app) = bus(|_, _| true).await?;
    let new = run("prod")?;
    let started = new.stepped(RunState::Running, now());
    let records = vec![
        record(0, &image(&new), None),
        record(1, &image(&started), Some(&image(&new))),
    ];
    assert_eq!(announce(&app, batch(records)?).await, Vec::<String>::new());
    let calls = stub.asked(PUT_EVENTS);
    let entries: Vec<&Value> = calls.iter().map(|call| &call["Entries"][0]).collect();
    assert_eq!(entries.len(), 2);
    for (entry, detail_type) in entries.iter().zip(["Run Requested", "Run State Changed"]) {
        assert_eq!(entry["DetailType"], detail_type);
        assert_eq!(entry["Source"], "stackhook");
        assert_eq!(entry["EventBusName"], "the-bus");
        let detail = detail_of(entry);
        assert_eq!(faults(detail_type, &detail), Vec::<String>::new());
        let url = format!("https://runs.example/runs/{}", new.id);
        assert_eq!(detail["report"]["url"], url.as_str());
    }
    assert_eq!(detail_of(entries[1])["previousState"], "queued");
    Ok(())
}

#[tokio::test]
async fn f6_of_several_entries_only_the_one_that_failed_is_sent_again() -> Result<()> {
    let runs: Vec<Run> = (0..5).map(|_| run("prod")).collect::<Result<_>>()?;
    let unlucky = runs[2].id.to_string();
    let (stub, app) = bus(move |id, before| id != unlucky || before > 0).await?;
    let failed = announce(&app, requested(&runs)?).await;
    assert_eq!(failed, Vec::<String>::new());
    let all: Vec<(String, u64)> = runs.iter().map(|run| (run.id.to_string(), 1)).collect();
    assert_eq!(calls(&stub), [all.clone(), vec![all[2].clone()]]);
    Ok(())
}

#[tokio::test]
async fn f6_what_the_bus_never_takes_is_reported_and_what_follows_of_its_run_waits() -> Result<()> {
    let (stuck, other) = (run("prod")?, run("staging")?);
    let (later, last) = (
        stuck.stepped(RunState::Running, now()),
        other.stepped(RunState::Running, now()),
    );
    let records = vec![
        record(0, &image(&stuck), None),
        record(1, &image(&other), None),
        record(2, &image(&later), Some(&image(&stuck))),
        record(3, &image(&last), Some(&image(&other))),
    ];
    let never = stuck.id.to_string();
    let (stub, app) = bus(move |id, _| id != never).await?;
    assert_eq!(announce(&app, batch(records)?).await, ["0", "2"]);
    let (a, b) = (stuck.id.to_string(), other.id.to_string());
    assert_eq!(
        calls(&stub),
        [
            vec![(a.clone(), 1), (b.clone(), 1)],
            vec![(a.clone(), 1)],
            vec![(a, 1)],
            vec![(b, 2)]
        ]
    );
    Ok(())
}

#[tokio::test]
async fn f7_changes_of_one_run_are_sent_one_after_the_other() -> Result<()> {
    let first = run("prod")?;
    let second = first.stepped(RunState::Running, now());
    let third = second.stepped(RunState::Finished, now());
    let records = vec![
        record(0, &image(&first), None),
        record(1, &image(&second), Some(&image(&first))),
        record(2, &image(&third), Some(&image(&second))),
    ];
    // The second is not taken at once: the third has to wait for it.
    let (stub, app) = bus(|_, before| before != 1).await?;
    assert_eq!(announce(&app, batch(records)?).await, Vec::<String>::new());
    let versions: Vec<u64> = calls(&stub).concat().iter().map(|(_, it)| *it).collect();
    assert_eq!(versions, [1, 2, 2, 3]);
    Ok(())
}

const UNREADABLE: &str = "this version cannot read its image";

#[tokio::test]
async fn f1_an_image_that_cannot_be_read_is_handed_over_and_holds_up_nothing() -> Result<()> {
    let (first, other) = (run("prod")?, run("staging")?);
    let unreadable = torn(&first);
    let later = first.stepped(RunState::Running, now());
    let records = vec![
        record(0, &unreadable, None),
        record(1, &image(&other), None),
        record(2, &image(&later), Some(&unreadable)),
    ];
    let (stub, app) = bus(|_, _| true).await?;
    assert_eq!(announce(&app, batch(records)?).await, Vec::<String>::new());
    let expected = [(other.id.to_string(), 1), (later.id.to_string(), 2)];
    assert_eq!(calls(&stub), [expected]);
    assert_eq!(handed_over(&stub), [message(0, &unreadable, UNREADABLE)]);
    Ok(())
}

#[tokio::test]
async fn f1_an_event_that_is_larger_than_the_bus_takes_is_handed_over() -> Result<()> {
    let (mut large, other) = (run("prod")?, run("staging")?);
    large.reason = "x".repeat(300_000);
    let records = vec![
        record(0, &image(&large), None),
        record(1, &image(&other), None),
    ];
    let (stub, app) = bus(|_, _| true).await?;
    assert_eq!(announce(&app, batch(records)?).await, Vec::<String>::new());
    assert_eq!(calls(&stub), [[(other.id.to_string(), 1)]]);
    let told = handed_over(&stub);
    let reason = told[0]["reason"].as_str().unwrap_or_default();
    assert!(reason.ends_with("which is more than the bus takes"));
    assert_eq!(told, [message(0, &image(&large), reason)]);
    Ok(())
}

#[tokio::test]
async fn f1_what_cannot_be_handed_over_either_is_reported() -> Result<()> {
    let (first, second, third, other) = (run("prod")?, run("prod")?, run("prod")?, run("staging")?);
    let records = vec![
        record(0, &torn(&first), None),
        record(1, &torn(&second), None),
        record(2, &image(&other), None),
        record(3, &torn(&third), None),
    ];
    // The last comes again with the second, and is not even tried.
    let (stub, app) = bus_and_queue(|_, _| true, |before| before == 0).await?;
    assert_eq!(announce(&app, batch(records)?).await, ["1", "3"]);
    assert_eq!(calls(&stub), [[(other.id.to_string(), 1)]]);
    let expected = [
        message(0, &torn(&first), UNREADABLE),
        message(1, &torn(&second), UNREADABLE),
    ];
    assert_eq!(handed_over(&stub), expected);
    Ok(())
}

#[tokio::test]
async fn f1_what_comes_again_behind_a_failure_is_handed_over_then_and_not_each_time() -> Result<()>
{
    let (before, stuck, behind) = (run("prod")?, run("staging")?, run("prod")?);
    let records = vec![
        record(0, &torn(&before), None),
        record(1, &image(&stuck), None),
        record(2, &torn(&behind), None),
    ];
    let (stub, app) = bus(|_, _| false).await?;
    assert_eq!(announce(&app, batch(records)?).await, ["1", "2"]);
    assert_eq!(handed_over(&stub), [message(0, &torn(&before), UNREADABLE)]);
    Ok(())
}

#[tokio::test]
async fn where_there_is_no_bus_the_whole_batch_comes_again() -> Result<()> {
    let runs: Vec<Run> = (0..12).map(|_| run("prod")).collect::<Result<_>>()?;
    let stub = AwsStub::start(|_, _| (500, json!({ "__type": "InternalException" }))).await?;
    let app = app(&stub.config().await, "the-bus");
    let mut failed = announce(&app, requested(&runs)?).await;
    failed.sort_unstable_by_key(|number| number.parse::<usize>().ok());
    let all: Vec<String> = (0..12).map(|at: usize| at.to_string()).collect();
    assert_eq!(failed, all);
    // Ten of them, as often as the SDK tries: the rest is not even tried.
    assert_eq!(calls(&stub).concat().len() % 10, 0);
    Ok(())
}

#[tokio::test]
async fn where_no_time_is_left_nothing_is_sent_and_all_comes_again() -> Result<()> {
    let (stub, app) = bus(|_, _| true).await?;
    let event = requested(&[run("prod")?, run("prod")?])?;
    let answer = app.handle(event, Duration::from_secs(1)).await;
    assert_eq!(answer.batch_item_failures.len(), 2);
    assert_eq!(calls(&stub), Vec::<Vec<_>>::new());
    Ok(())
}

#[tokio::test]
async fn what_was_understood_of_a_delivery_is_announced_as_it_stands() -> Result<()> {
    let event = BusEvent {
        detail_type: "Code Pushed".to_owned(),
        detail: json!({ "delivery": "d", "runs": [], "hostile": "\u{202e}<script>" }),
    };
    let outcome = Outcome::ignored("no stack follows this repository", now());
    let outcome = OutcomeRecord::new(outcome, Some(event.clone()));
    let kept = store::body::encode(&serde_json::to_vec(&outcome)?);
    let mut new = json!({
        "pk": "acme#2026-11-25#1", "sk": "2026-11-25T00:00:00.0000000Z#git.push#1#outcome", "outcome": "ignored", "expires": 7,
    });
    new = attribute(&new)["M"].clone();
    new["record"] = json!({ "B": STANDARD.encode(kept) });
    let (stub, app) = bus(|_, _| true).await?;
    let records = vec![
        record(0, &new, None),
        // Nothing has changed of it.
        record(1, &new, Some(&new)),
    ];
    assert_eq!(announce(&app, batch(records)?).await, Vec::<String>::new());
    let calls = stub.asked(PUT_EVENTS);
    assert_eq!(calls.len(), 1);
    let entry = &calls[0]["Entries"][0];
    assert_eq!(entry["DetailType"], "Code Pushed");
    assert_eq!(detail_of(entry), event.detail);
    Ok(())
}

#[tokio::test]
async fn a_rule_on_the_bus_gets_what_a_real_runs_images_say() -> Result<()> {
    let bed = Bed::new()?;
    let stack = &bed.stack;
    let name = new_name("announce");
    let made = aws(
        stack,
        "events",
        "AWSEvents.CreateEventBus",
        json!({ "Name": name }),
    )
    .await;
    made?;
    let queue = aws(
        stack,
        "sqs",
        "AmazonSQS.CreateQueue",
        json!({ "QueueName": name }),
    )
    .await?;
    let queue = queue["QueueUrl"].as_str().context("no queue")?.to_owned();
    let asked = json!({ "QueueUrl": queue, "AttributeNames": ["QueueArn"] });
    let told = aws(stack, "sqs", "AmazonSQS.GetQueueAttributes", asked).await?;
    let pattern = json!({ "source": ["stackhook"], "detail": { "run": { "stack": [name] } } });
    let rule = json!({ "Name": name, "EventBusName": name, "EventPattern": pattern.to_string() });
    aws(stack, "events", "AWSEvents.PutRule", rule).await?;
    let targets = json!([{ "Id": "queue", "Arn": told["Attributes"]["QueueArn"] }]);
    let targets = json!({ "Rule": name, "EventBusName": name, "Targets": targets });
    aws(stack, "events", "AWSEvents.PutTargets", targets).await?;

    let store = bed.store().await;
    let retention = SignedDuration::from_hours(24);
    let new = NewRun {
        run: run(&name)?,
        in_order_of: None,
    };
    store
        .add_runs(std::slice::from_ref(&new), retention)
        .await?;
    let image = async || -> Result<Value> {
        let key = json!({ "pk": { "S": format!("run#{}", new.run.id) }, "sk": { "S": "run" } });
        let asked = json!({ "TableName": bed.tables().stacks, "Key": key });
        let told = aws(stack, "dynamodb", "DynamoDB_20120810.GetItem", asked).await?;
        Ok(told["Item"].clone())
    };
    let first = image().await?;
    let running = new.run.stepped(RunState::Running, now());
    store.change_run(&running, 1, retention).await?;
    let second = image().await?;

    let config = bed.aws_at(&stack.description.endpoint_url).await;
    let app = app(&config, &name);
    let records = vec![record(0, &first, None), record(1, &second, Some(&first))];
    assert_eq!(announce(&app, batch(records)?).await, Vec::<String>::new());

    let mut came = Vec::new();
    for _ in 0..50 {
        let asked = json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1 });
        let told = aws(stack, "sqs", "AmazonSQS.ReceiveMessage", asked).await?;
        for message in told["Messages"].as_array().into_iter().flatten() {
            came.push(serde_json::from_str::<Value>(
                message["Body"].as_str().unwrap_or_default(),
            )?);
        }
        if came.len() >= 2 {
            break;
        }
    }
    came.sort_by_key(|event| event["detail"]["run"]["version"].as_u64());
    let came: Vec<(&str, &Value)> = came
        .iter()
        .map(|event| {
            (
                event["detail-type"].as_str().unwrap_or_default(),
                &event["detail"],
            )
        })
        .collect();
    assert_eq!(came.len(), 2);
    for ((found, detail), (detail_type, run)) in came
        .iter()
        .zip([("Run Requested", &new.run), ("Run State Changed", &running)])
    {
        assert_eq!((*found, &detail["run"]), (detail_type, &json!(run)));
        assert_eq!(faults(detail_type, detail), Vec::<String>::new());
    }
    Ok(())
}
