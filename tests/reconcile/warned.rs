//! What a person is told of before it is too late, deliveries that nobody dispatched, and passes that meet each other, or die.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result};
use domain::{HookStatus, IntegrationName, ServiceHook, service_hook::Health, stack::Reference};
use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};
use reconcile::Trigger;
use reqwest::Method;
use serde_json::{Value, json};

use super::health::{fault, no_faults};
use crate::{
    alarms::{self, Log},
    support::{
        Linked,
        caring::{Caring, PASS, pass_of},
        get, json as body_of, new_event, now, post, schemas, send,
    },
};

/// What the schedule sends.
const SCHEDULED: Trigger = Trigger::Scheduled(Value::Null);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);
const CONNECTION: &str = "Connection Failing";
const TOKEN: &str = "Token Expiring";
const SILENT: &str = "Integration Silent";

/// What the bus was told of this integration, valid by its schema.
fn told(caring: &Caring, detail_type: &str) -> Vec<Value> {
    let told = caring.told(detail_type);
    for detail in &told {
        let faults = schemas::faults(detail_type, detail);
        assert_eq!(faults, [""; 0], "{detail}");
    }
    told
}

/// `expire`, `revoke` or `restore` what the integration's token is.
async fn token(caring: &Caring, act: &str) -> Result<()> {
    let path = format!("tokens/good/{act}");
    caring.control(Method::POST, &path, Value::Null).await?;
    Ok(())
}

/// How the connection is shown to a person.
async fn connection(caring: &Caring) -> Result<Value> {
    let path = format!("/integrations/{}", caring.linked.name);
    let shown = body_of(caring.setup.handle(get(&path)).await)?;
    Ok(shown["connection"].clone())
}

#[tokio::test]
async fn a_connection_that_stops_working_is_told_once_and_shown_until_it_works_again() -> Result<()>
{
    let caring = Caring::start().await?;
    caring.pass().await?;
    for (number, act) in ["expire", "revoke"].into_iter().enumerate() {
        token(&caring, act).await?;
        for _ in 0..2 {
            let did = caring.pass().await?;
            assert_eq!(did["did"]["unfinished"], true, "{did}");
            assert_eq!(did["did"]["hooks"], 5, "what is known is counted: {did}");
            assert_eq!(told(&caring, CONNECTION).len(), number + 1, "{act}");
        }
        let shown = connection(&caring).await?;
        assert_eq!(shown["status"], "failed");
        assert_eq!(
            shown["failure"],
            told(&caring, CONNECTION)[number]["reason"]
        );
        assert_eq!(caring.put_off().len(), number);

        token(&caring, "restore").await?;
        let at = now();
        caring.pass_at(at).await?;
        assert_eq!(connection(&caring).await?["status"], "succeeded");
        let woken = caring.put_off();
        assert_eq!(woken.len(), number + 1, "what is parked goes on");
        assert_eq!(woken[number]["kind"], "unpark");
        assert_eq!(woken[number]["integration"], caring.linked.name.as_str());
        let progress = caring.store.progress(&caring.linked.name).await?;
        assert_eq!(progress.compared_at, Some(at), "the gap was looked through");
    }
    caring.pass().await?;
    assert_eq!(caring.put_off().len(), 2, "woken once");
    assert_eq!(told(&caring, CONNECTION).len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_stops_the_pass_and_the_next_one_tells() -> Result<()> {
    let caring = Caring::start().await?;
    // The third hook cannot be read any more.
    let refused =
        json!({ "kind": "status", "status": 401, "path": "/hooks/subscriptions/", "every": 3 });
    fault(&caring, refused).await?;
    let at = now();
    let did = caring.pass_at(at).await?;
    assert_eq!(did["did"]["unfinished"], true, "{did}");
    assert_eq!(told(&caring, CONNECTION).len(), 0);
    let hooks = caring.store.hooks_of(&caring.linked.name).await?;
    let looked_at = hooks.iter().filter(|hook| hook.health.checked_at == at);
    assert_eq!(looked_at.count(), 2, "what was seen is kept");
    assert!(hooks.iter().all(|hook| hook.health.is_well()));

    token(&caring, "expire").await?;
    no_faults(&caring).await?;
    let did = caring.pass().await?;
    assert_eq!(did["did"]["calls"], 1, "{did}");
    assert_eq!(told(&caring, CONNECTION).len(), 1);
    token(&caring, "restore").await?;
    let did = caring.pass().await?;
    assert_eq!(did["did"]["unfinished"], false, "{did}");
    Ok(())
}

#[tokio::test]
async fn a_sign_in_page_is_a_failure_when_it_comes_twice_in_a_row() -> Result<()> {
    let caring = Caring::start().await?;
    let page = json!({ "kind": "signInPage", "path": "connectionData", "times": 1 });
    // Once, and then all is well, twice over.
    for _ in 0..2 {
        fault(&caring, page.clone()).await?;
        let did = caring.pass().await?;
        assert_eq!(did["did"]["unfinished"], true, "{did}");
        caring.pass().await?;
    }
    assert_eq!(told(&caring, CONNECTION).len(), 0);
    assert_eq!(connection(&caring).await?["status"], "succeeded");
    for told_by_then in [0, 1, 1] {
        fault(&caring, page.clone()).await?;
        caring.pass().await?;
        assert_eq!(told(&caring, CONNECTION).len(), told_by_then);
    }
    assert_eq!(connection(&caring).await?["status"], "failed");
    Ok(())
}

/// A day's noon.
fn noon(day: Date) -> Result<Timestamp> {
    Ok(TimeZone::UTC.to_timestamp(day.at(12, 0, 0, 0))?)
}

#[tokio::test]
async fn that_a_token_ends_is_told_once_thirty_seven_and_one_day_before_and_after_it() -> Result<()>
{
    let caring = Caring::start().await?;
    let ends_on = async |day: Date| {
        let path = format!("/integrations/{}", caring.linked.name);
        let change = json!({ "personalAccessTokenExpiresOn": day });
        body_of(caring.setup.handle(send("PATCH", &path, &change)).await).map(drop)
    };
    let today = store::keys::day_of(now());
    let first = today.checked_add(40.days())?;
    ends_on(first).await?;
    let mut expected = Vec::new();
    for (days_left, is_told) in [
        (31, false),
        (30, true),
        (29, false),
        (7, true),
        (1, true),
        (0, false),
        (-1, true),
        (-2, false),
    ] {
        caring
            .pass_at(noon(first.checked_sub(days_left.days())?)?)
            .await?;
        if is_told {
            expected.push((json!(first), json!(days_left)));
        }
        let told = told(&caring, TOKEN).into_iter();
        let told: Vec<(Value, Value)> = told
            .map(|it| (it["expiresOn"].clone(), it["daysLeft"].clone()))
            .collect();
        assert_eq!(told, expected, "{days_left}");
    }
    // Another date begins anew; and of several warnings that are due the last one is told.
    let second = today.checked_add(100.days())?;
    ends_on(second).await?;
    for (days_left, more) in [(50, 0), (20, 1), (5, 2)] {
        caring
            .pass_at(noon(second.checked_sub(days_left.days())?)?)
            .await?;
        assert_eq!(
            told(&caring, TOKEN).len(),
            expected.len() + more,
            "{days_left}"
        );
    }
    Ok(())
}

/// How often the bus was told that an integration is silent.
fn silences(caring: &Caring, name: &IntegrationName) -> usize {
    let calls = caring.told.asked("AWSEvents.PutEvents").into_iter();
    let entries = calls.flat_map(|call| call["Entries"].as_array().cloned().unwrap_or_default());
    let of_it = entries.filter(|entry| {
        entry["DetailType"] == SILENT
            && entry["Detail"]
                .as_str()
                .is_some_and(|it| it.contains(&format!("\"{name}\"")))
    });
    of_it.count()
}

/// Something that an integration should be hearing of.
async fn with_a_hook(caring: &Caring, linked: &Linked) -> Result<()> {
    let hook = ServiceHook {
        id: uuid::Uuid::new_v4().to_string().parse()?,
        project: Reference {
            id: uuid::Uuid::new_v4().to_string().parse()?,
            name: "Harbor".to_owned(),
        },
        event_type: domain::EventType::GitPush,
        since: now(),
        taken_over: false,
        unwanted: false,
        password: None,
        health: Health::enabled(now(), None),
    };
    caring.store.keep_hook(&linked.name, &hook).await?;
    Ok(())
}

#[tokio::test]
async fn an_integration_that_hears_nothing_for_a_week_is_told_once_until_it_hears_again()
-> Result<()> {
    let caring = Caring::start().await?;
    let old = caring.bed.linked_since(now() - DAY * 10).await?;
    with_a_hook(&caring, &old).await?;
    let young = caring.bed.linked_since(now() - DAY * 6).await?;
    with_a_hook(&caring, &young).await?;
    let without = caring.bed.linked_since(now() - DAY * 10).await?;
    let listen = async |linked: &Linked, at: Timestamp| {
        let did = pass_of(&caring.reconcile, linked, SCHEDULED, at).await?;
        anyhow::Ok((silences(&caring, &linked.name), did))
    };
    let begun = now();
    assert_eq!(listen(&young, begun).await?.0, 0, "it is young");
    assert_eq!(
        listen(&without, begun).await?.0,
        0,
        "there is nothing to hear of"
    );
    for hours in [0, 1, 25] {
        assert_eq!(listen(&old, begun + HOUR * hours).await?.0, 1, "{hours}");
    }
    assert_eq!(
        listen(&young, begun + DAY * 2).await?.0,
        1,
        "it is old by then"
    );

    let event = new_event("ado/git.push.json").to_string();
    assert_eq!(post(&caring.bed.webhook().await, &old, event).await, 200);
    listen(&old, begun + DAY * 2).await?;
    let progress = caring.store.progress(&old.name).await?;
    assert_eq!(progress.told.silent_since, None, "it is heard again");
    assert_eq!(listen(&old, begun + DAY * 6).await?.0, 1);
    assert_eq!(
        listen(&old, begun + DAY * 9).await?.0,
        2,
        "and silent again"
    );

    // A stack alone is something to hear of, too.
    caring.stack(json!({})).await?;
    let (name, store) = (&caring.linked.name, &caring.store);
    for hook in store.hooks_of(name).await? {
        store.forget_hook(name, &hook.id).await?;
    }
    caring.pass_at(begun + DAY * 6).await?;
    assert_eq!(told(&caring, SILENT).len(), 0);
    caring.pass_at(begun + DAY * 8).await?;
    assert_eq!(told(&caring, SILENT).len(), 1);
    Ok(())
}

#[tokio::test]
async fn deliveries_without_an_outcome_go_to_dispatch_after_ten_minutes_and_no_others() -> Result<()>
{
    let caring = Caring::start().await?;
    let webhook = caring.bed.webhook().await;
    let arrive = async || {
        let event = new_event("ado/git.push.json").to_string();
        assert_eq!(post(&webhook, &caring.linked, event).await, 200);
    };
    arrive().await;
    caring.dispatch().await?;
    arrive().await;
    arrive().await;
    let within = (now() - HOUR, now() + HOUR);
    let undecided = caring.store.undecided(&caring.linked.name, within).await?;
    let undecided: BTreeSet<String> = undecided.iter().map(ToString::to_string).collect();
    assert_eq!(undecided.len(), 2, "one of three is decided");

    let did = caring.pass_at(now() + MINUTE * 9).await?;
    assert_eq!(did["did"]["dispatched"], 0, "they are young: {did}");
    for minutes in [11, 26] {
        let before = caring.put_off().len();
        let did = caring.pass_at(now() + MINUTE * minutes).await?;
        assert_eq!(did["did"]["dispatched"], 2, "{did}");
        let messages = caring.put_off().split_off(before);
        let sent = messages.iter().filter_map(|it| it["delivery"].as_str());
        let sent: BTreeSet<String> = sent.map(str::to_owned).collect();
        assert_eq!(sent, undecided, "{messages:?}");
        assert!(messages.iter().all(|it| it["kind"] == "delivery"));
    }
    caring.dispatch().await?;
    let did = caring.pass_at(now() + MINUTE * 41).await?;
    assert_eq!(did["did"]["dispatched"], 0, "all are decided: {did}");
    Ok(())
}

#[tokio::test]
async fn a_pass_that_died_keeps_others_away_until_its_time_is_over() -> Result<()> {
    let caring = Caring::start().await?;
    let (store, name) = (&caring.store, &caring.linked.name);
    let (begun, until) = (now(), now() + MINUTE * 5);
    let taken = store
        .begin_pass(name, "one that dies", until, begun)
        .await?;
    assert!(taken.is_some());
    let at = |at| caring.reconcile.pass_over(name, SCHEDULED, PASS, at);
    assert_eq!(at(begun + MINUTE * 4).await?, None);
    assert!(at(begun + MINUTE * 6).await?.is_some());
    assert!(
        at(begun + MINUTE * 6).await?.is_some(),
        "that one has ended"
    );
    Ok(())
}

#[tokio::test]
async fn of_two_passes_at_once_one_works() -> Result<()> {
    let caring = Caring::start().await?;
    let slow = json!({ "kind": "latency", "path": "connectionData", "milliseconds": 300 });
    fault(&caring, slow).await?;
    let before = caring.azure_devops.requests().len();
    let (one, other) = tokio::join!(caring.pass(), caring.pass());
    let did: Vec<Value> = [one, other].into_iter().flatten().collect();
    assert_eq!(did.len(), 1, "{did:?}");
    let calls = caring.azure_devops.requests().len() - before;
    assert_eq!(did[0]["did"]["calls"], calls);
    Ok(())
}

#[tokio::test]
async fn an_integration_that_gets_no_answers_leaves_the_others_alone() -> Result<()> {
    let caring = Caring::start().await?;
    let other = caring
        .bed
        .set_up(&caring.setup, &caring.azure_devops)
        .await?;
    let hook = caring.hook("git.push").await?;
    fault(
        &caring,
        json!({ "kind": "hang", "path": format!("/hooks/subscriptions/{hook}") }),
    )
    .await?;
    let (app, name) = (&caring.reconcile, &caring.linked.name);
    let (one, other) = tokio::join!(
        app.pass_over(name, SCHEDULED, Duration::from_secs(2), now()),
        app.pass_over(&other.name, SCHEDULED, PASS, now()),
    );
    let (one, other) = (one?.context("no pass")?, other?.context("no pass")?);
    assert_eq!(
        (&one["did"]["unfinished"], &other["did"]["unfinished"]),
        (&json!(true), &json!(false))
    );
    no_faults(&caring).await?;
    let did = caring.pass().await?;
    assert_eq!(did["did"]["unfinished"], false, "it has ended, too: {did}");
    Ok(())
}

#[tokio::test]
async fn each_pass_writes_the_line_that_the_alarms_count() -> Result<()> {
    let caring = Caring::start().await?;
    let path = format!("/integrations/{}", caring.linked.name);
    let soon = store::keys::day_of(now()).checked_add(5.days())?;
    let change = json!({ "personalAccessTokenExpiresOn": soon });
    body_of(caring.setup.handle(send("PATCH", &path, &change)).await)?;
    let log = Log::default();
    let writer = log.clone();
    let logging = edge::log_to(move || writer.clone(), tracing::Level::INFO);
    let _logging = tracing::subscriber::set_default(logging);
    let pass = async |app: &reconcile::App| {
        pass_of(app, &caring.linked, SCHEDULED, now()).await?;
        let lines = log.lines()?.into_iter();
        let mut lines = lines.filter(|line| line["fields"]["message"] == "reconciled");
        let line = lines.next().context("no line")?["fields"].clone();
        assert_eq!(
            (lines.next(), &line["integration"]),
            (None, &json!(caring.linked.name))
        );
        for field in alarms::fields_of("reconcile_alarms")? {
            assert!(line[&field].is_i64(), "{field} of {line}");
        }
        anyhow::Ok(line)
    };
    let line = pass(&caring.reconcile).await?;
    for (field, value) in [
        ("hooks", 5),
        ("failing", 0),
        ("missing", 0),
        ("mended", 0),
        ("connection_failing", 0),
        ("silent", 0),
        ("recovered", 0),
        ("token_days", 5),
    ] {
        assert_eq!(line[field], value, "{field}");
    }
    // One is gone, one is ill.
    let path = "organizations/tidewater/subscriptions";
    let (gone, ill) = (
        caring.hook("git.push").await?,
        caring.hook("git.pullrequest.created").await?,
    );
    caring
        .control(Method::DELETE, &format!("{path}/{gone}"), Value::Null)
        .await?;
    let change = json!({ "status": HookStatus::DisabledBySystem.as_str() });
    caring
        .control(Method::PATCH, &format!("{path}/{ill}"), change)
        .await?;
    let watching = caring.another(|settings| settings.mends = false).await?;
    let line = pass(&watching).await?;
    assert_eq!(
        (&line["failing"], &line["missing"]),
        (&json!(2), &json!(1)),
        "{line}"
    );
    token(&caring, "expire").await?;
    let line = pass(&caring.reconcile).await?;
    assert_eq!(line["connection_failing"], 1, "{line}");
    assert_eq!(
        (&line["failing"], &line["missing"]),
        (&json!(2), &json!(1)),
        "it goes on: {line}"
    );
    token(&caring, "restore").await?;
    let line = pass(&caring.reconcile).await?;
    for (field, value) in [
        ("failing", 2),
        ("missing", 1),
        ("mended", 2),
        ("connection_failing", 0),
    ] {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    Ok(())
}
