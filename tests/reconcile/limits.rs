//! What a pass may cost and what may stop one: however it ends, the next one goes on, and nothing is lost or done twice.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use domain::{Guid, Run, RunState, Stack, StackName, stack::Reference};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use reconcile::Trigger;
use reqwest::Method;
use serde_json::{Value, json};

use super::found::{close, compared, lost_push, open};
use crate::support::{
    Bed, Fate, Tap,
    answer::{INTERNAL_ERROR, THROTTLED},
    aws, azure_devops,
    caring::{Caring, PASS, pass_of},
    json as body_of, new_name, now, send,
};

/// By then whatever a pass that died had for itself is free again.
const LATER: SignedDuration = SignedDuration::from_mins(6);

fn count(did: &Value, what: &str) -> u64 {
    did["did"][what].as_u64().unwrap_or(u64::MAX)
}

fn trouble(at: Timestamp) -> Result<Trigger> {
    let alarm = json!({ "time": at, "detail-type": "CloudWatch Alarm State Change" });
    Ok(serde_json::from_value(alarm)?)
}

/// Of many repositories of `Harbor`, each with a stack that follows it, each tenth has a push that nobody has seen.
async fn many(caring: &Caring, repositories: u32) -> Result<()> {
    let prefix = new_name("service");
    let made = caring
        .control(
            Method::POST,
            "organizations/tidewater/projects/Harbor/repositories",
            json!({ "count": repositories, "prefix": prefix }),
        )
        .await?;
    let hook = caring.store.hooks_of(&caring.linked.name).await?;
    let project = hook.first().context("no hook")?.project.clone();
    let made = made["repositories"].as_array().context("none were made")?;
    stream::iter(made.iter().enumerate())
        .map(async |(at, one)| {
            let text = |field: &str| one[field].as_str().map(str::to_owned);
            let repository = Reference {
                id: text("id").context("no id")?.parse()?,
                name: text("name").context("no name")?,
            };
            let push = one["pushId"].as_i64().context("no push")?;
            let compared = push - i64::from(at % 10 == 0);
            let (store, name) = (&caring.store, &caring.linked.name);
            let id = repository.id.clone();
            store
                .create_stack(&stack(caring, &project, repository)?)
                .await?;
            store
                .set_compared(name, &id, compared, false, now())
                .await?;
            Ok::<_, anyhow::Error>(())
        })
        .buffer_unordered(32)
        .try_collect::<Vec<()>>()
        .await?;
    caring.settle().await
}

fn stack(caring: &Caring, project: &Reference, repository: Reference) -> Result<Stack> {
    Ok(Stack {
        name: repository.name.parse()?,
        kind: domain::StackKind::Stack,
        integration: caring.linked.name.clone(),
        project: project.clone(),
        repository,
        branch: "main".parse()?,
        project_root: domain::ProjectRoot::default(),
        globs: domain::PathGlobs::default(),
        allow_forks: false,
        run_drafts: false,
        labels: domain::Labels::default(),
        detached_at: None,
        created_at: now(),
        updated_at: now(),
    })
}

#[tokio::test]
async fn a_thousand_repositories_are_compared_within_the_limits_and_from_where_it_stopped()
-> Result<()> {
    let caring = Caring::start().await?;
    // Nobody is told of the pushes that make them.
    caring.silently(many(&caring, 1_000)).await?;
    let (mut found, mut passes) = (0, 0);
    loop {
        let before = caring.azure_devops.requests().len();
        let did = caring.pass().await?;
        passes += 1;
        let made = caring.azure_devops.requests().len() - before;
        assert_eq!(count(&did, "calls"), u64::try_from(made)?, "{did}");
        assert!(made <= 250, "{did}");
        found += count(&did, "found");
        if did["did"]["unfinished"] == false {
            break;
        }
        assert_eq!(made, 250, "it goes on as long as it may: {did}");
        assert!(passes < 9, "{did}");
    }
    assert_eq!(found, 100);
    // A thousand lists of pushes, one of pull requests, and nine calls for five hooks each time.
    assert_eq!(passes, 5);
    Ok(())
}

#[tokio::test]
async fn a_pass_waits_where_azure_devops_asks_for_a_moment_and_ends_where_it_asks_for_more()
-> Result<()> {
    let (caring, stack) = compared().await?;
    lost_push(&caring, "main", json!({ "prod/a.tf": "1" })).await?;
    caring.a_day_passes().await?;
    let fault = async |kind: &str, seconds: u32| {
        let fault = json!({ "kind": kind, "path": "/pushes", "times": 1, "retryAfterSeconds": seconds, "milliseconds": 1 });
        caring.control(Method::POST, "faults", fault).await
    };
    fault("tooManyRequests", 100).await?;
    let before = caring.azure_devops.requests().len();
    let did = caring.pass().await?;
    assert_eq!(
        (count(&did, "found"), &did["did"]["unfinished"]),
        (0, &json!(true))
    );
    let made = caring.azure_devops.requests().len();
    assert!(made > before);
    let waits = caring
        .pass_at(now() + SignedDuration::from_secs(60))
        .await?;
    assert_eq!(count(&waits, "calls"), 0);
    assert_eq!(
        caring.azure_devops.requests().len(),
        made,
        "nothing is asked before"
    );

    // An answer that is good may ask for it, too: then the wait is over before the next call.
    fault("delayed", 1).await?;
    let did = caring
        .pass_at(now() + SignedDuration::from_secs(120))
        .await?;
    assert_eq!(
        (count(&did, "found"), &did["did"]["unfinished"]),
        (1, &json!(false)),
        "{did}"
    );
    caring.dispatch().await?;
    assert_eq!(caring.runs(&stack).await?.len(), 1);
    caring.is_all_found().await
}

#[tokio::test]
async fn an_integration_has_one_call_under_way_at_a_time() -> Result<()> {
    let (caring, _) = compared().await?;
    caring.a_day_passes().await?;
    let slow = json!({ "kind": "latency", "path": "/", "milliseconds": 40 });
    caring.control(Method::POST, "faults", slow).await?;
    let before = caring.azure_devops.requests().len();
    caring.pass().await?;
    let requests = caring.azure_devops.requests().split_off(before);
    let came: Vec<Timestamp> = requests
        .iter()
        .map(|it| it.at.parse())
        .collect::<Result<_, _>>()?;
    assert!(came.len() > 8, "{}", came.len());
    for two in came.windows(2) {
        let between = two[1].duration_since(two[0]);
        assert!(between >= SignedDuration::from_millis(40), "{between:?}");
    }
    Ok(())
}

/// Which runs a stack has, but for those behind a newer one; none of them is of the same change.
async fn commits(caring: &Caring, stack: &StackName) -> Result<Vec<String>> {
    let runs = caring.runs(stack).await?;
    let in_earnest = |run: &Run| run.state != RunState::Superseded;
    let commits: Vec<String> = runs
        .into_iter()
        .filter(in_earnest)
        .map(|it| it.commit)
        .collect();
    let unique: BTreeSet<&String> = commits.iter().collect();
    ensure!(unique.len() == commits.len(), "twice: {commits:?}");
    Ok(commits)
}

/// However a pass ends at its calls of AWS, of each three one, the next finds what was lost, once.
async fn whatever_becomes_of_a_call(first: usize) -> Result<()> {
    let (caring, stack) = compared().await?;
    let (calls, at) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let judge = {
        let (calls, at) = (Arc::clone(&calls), Arc::clone(&at));
        move |_: &str, _| {
            let is_it = calls.fetch_add(1, Ordering::SeqCst) + 1 == at.load(Ordering::SeqCst);
            // By turns before it goes out, and when it is done.
            let is_even = at.load(Ordering::SeqCst).is_multiple_of(2);
            match (is_it, is_even) {
                (false, _) => Fate::Pass,
                (true, true) => Fate::Hang,
                (true, false) => Fate::HangAnswer,
            }
        }
    };
    let tap = Tap::on(&caring.bed.stack.description.endpoint_url, judge).await?;
    let (mut expected, mut died) = (0, 0);
    for call in (first..).step_by(3) {
        let branch = format!("change-{call}");
        // A pull request, and two pushes in a row, of which only the first touches the stack.
        let work = async {
            open(&caring, &branch).await?;
            let text = call.to_string();
            caring.push("main", json!({ "prod/a.tf": text })).await?;
            caring.push("main", json!({ "docs/a.md": text })).await
        };
        caring.silently(work).await?;
        expected += 2;
        caring.a_day_passes().await?;
        calls.store(0, Ordering::SeqCst);
        at.store(call, Ordering::SeqCst);
        let app = caring.at(&tap.url()).await?;
        let held = died + 1;
        let pass = app.pass_over(
            &caring.linked.name,
            Trigger::Scheduled(Value::Null),
            PASS,
            now(),
        );
        let ended = tokio::select! {
            did = pass => did?,
            () = tap.held(held) => { died += 1; None }
        };
        let made = calls.load(Ordering::SeqCst);
        // Whoever died may have left something to dispatch, which is, before anybody goes on.
        caring.dispatch().await?;
        let did = caring.pass_at(now() + LATER).await?;
        ensure!(did["did"]["unfinished"] == false, "{call}: {did}");
        caring.dispatch().await?;
        let commits = commits(&caring, &stack).await?;
        ensure!(commits.len() == expected, "{call}: {expected} {commits:?}");
        let tip = caring.tip("main").await?;
        ensure!(commits.contains(&tip), "{call}: the tip of main");
        if made < call {
            ensure!(ended.is_some(), "it ends by itself");
            ensure!(call > 15, "a pass makes more calls than {call}");
            break;
        }
    }
    caring.is_all_found().await
}

#[tokio::test]
async fn wherever_a_pass_dies_the_next_finds_each_change_once_first_third() -> Result<()> {
    whatever_becomes_of_a_call(1).await
}

#[tokio::test]
async fn wherever_a_pass_dies_the_next_finds_each_change_once_second_third() -> Result<()> {
    whatever_becomes_of_a_call(2).await
}

#[tokio::test]
async fn wherever_a_pass_dies_the_next_finds_each_change_once_third_third() -> Result<()> {
    whatever_becomes_of_a_call(3).await
}

#[tokio::test]
async fn dynamodb_that_fails_or_throttles_in_the_middle_of_a_pass_loses_nothing() -> Result<()> {
    let (caring, stack) = compared().await?;
    let mut expected = 0;
    for answer in [INTERNAL_ERROR, THROTTLED[0]] {
        for good in [3, 12, 16] {
            lost_push(
                &caring,
                "main",
                json!({ "prod/a.tf": format!("{answer:?}{good}") }),
            )
            .await?;
            expected += 1;
            caring.a_day_passes().await?;
            let calls = AtomicUsize::new(0);
            let struck = Arc::new(AtomicUsize::new(0));
            let strikes = Arc::clone(&struck);
            let judge = move |name: &str, _| {
                let is_late = calls.fetch_add(1, Ordering::SeqCst) >= good;
                let fails = is_late && name.starts_with("DynamoDB");
                if fails {
                    strikes.fetch_add(1, Ordering::SeqCst);
                    Fate::Answer(answer)
                } else {
                    Fate::Pass
                }
            };
            let tap = Tap::on(&caring.bed.stack.description.endpoint_url, judge).await?;
            let app = caring.at(&tap.url()).await?;
            let nothing = Trigger::Scheduled(Value::Null);
            let _cut_off = app
                .pass_over(&caring.linked.name, nothing, PASS, now())
                .await;
            let struck = struck.load(Ordering::SeqCst);
            assert!(struck > 0, "no call failed after {good}");
            caring.pass_at(now() + LATER).await?;
            caring.dispatch().await?;
            assert_eq!(commits(&caring, &stack).await?.len(), expected);
        }
    }
    caring.is_all_found().await
}

#[tokio::test]
async fn trouble_of_ours_is_a_gap_for_each_integration_though_all_hooks_look_well() -> Result<()> {
    let (caring, stack) = compared().await?;
    lost_push(&caring, "main", json!({ "prod/a.tf": "1" })).await?;
    let did = pass_of(&caring.reconcile, &caring.linked, trouble(now())?, now()).await?;
    assert_eq!(
        (count(&did, "failing"), count(&did, "found")),
        (0, 1),
        "{did}"
    );
    caring.dispatch().await?;
    assert_eq!(caring.runs(&stack).await?.len(), 1);
    caring.is_all_found().await
}

#[tokio::test]
async fn trouble_that_is_noted_while_a_pass_is_under_way_is_seen_to_by_the_next() -> Result<()> {
    let (caring, _) = compared().await?;
    let slow =
        json!({ "kind": "latency", "path": "/connectionData", "times": 1, "milliseconds": 500 });
    caring.control(Method::POST, "faults", slow).await?;
    let before = caring.azure_devops.requests().len();
    let other = caring.another(|_| {}).await?;
    let noted = async {
        // It has begun once it asks who we are.
        while caring.azure_devops.requests().len() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let name = &caring.linked.name;
        let second = other.pass_over(name, trouble(now())?, PASS, now()).await?;
        ensure!(second.is_none(), "a pass is one's own: {second:?}");
        Ok(())
    };
    let (did, noted) = tokio::join!(caring.pass(), noted);
    noted?;
    assert!(did?["gap"].is_null());
    lost_push(&caring, "main", json!({ "prod/a.tf": "1" })).await?;
    let did = caring.pass().await?;
    assert_eq!(count(&did, "found"), 1, "{did}");
    Ok(())
}

#[tokio::test]
async fn how_far_it_had_got_that_cannot_be_read_any_more_is_begun_anew() -> Result<()> {
    let (caring, stack) = compared().await?;
    lost_push(&caring, "main", json!({ "prod/a.tf": "1" })).await?;
    let bed = &caring.bed;
    let damaged = json!({
        "TableName": bed.tables().integrations,
        "Key": { "pk": { "S": caring.linked.name }, "sk": { "S": "progress" } },
        "UpdateExpression": "SET progress = :what",
        "ConditionExpression": "attribute_exists(progress)",
        "ExpressionAttributeValues": { ":what": { "M": { "gap": { "S": "what a later version keeps" } } } },
    });
    aws(
        &bed.stack,
        "dynamodb",
        "DynamoDB_20120810.UpdateItem",
        damaged,
    )
    .await?;
    caring.hooks().await?;
    let did = caring.pass().await?;
    assert_eq!(count(&did, "found"), 1, "{did}");
    caring.dispatch().await?;
    assert_eq!(caring.runs(&stack).await?.len(), 1);
    caring.is_all_found().await
}

#[tokio::test]
async fn what_is_gone_denied_or_broken_keeps_nothing_else_from_being_compared() -> Result<()> {
    let (caring, stack) = compared().await?;
    let repositories = "organizations/tidewater/projects/Harbor/repositories";
    let mut others = Vec::new();
    for name in ["first", "second", "third"] {
        let made = json!({ "name": name });
        let made = caring.control(Method::POST, repositories, made).await?;
        let id = made["repository"]["id"]
            .as_str()
            .or_else(|| made["id"].as_str());
        let id: Guid = id.with_context(|| format!("no id: {made}"))?.parse()?;
        let push = json!({ "branch": "main", "files": { "a.tf": "1" } });
        let path = format!("{repositories}/{name}/pushes");
        caring.control(Method::POST, &path, push).await?;
        caring.stack(json!({ "repository": name })).await?;
        others.push(id);
    }
    caring.settle().await?;
    let quay = json!({ "project": "Quay Works", "repository": "tide tables" });
    caring.stack(quay).await?;
    // One is gone, one is disabled, and of one Azure DevOps cannot tell anything; its pull requests are those of its project.
    caring
        .control(
            Method::DELETE,
            &format!("{repositories}/first"),
            Value::Null,
        )
        .await?;
    let disabled = json!({ "disabled": true });
    caring
        .control(Method::PATCH, &format!("{repositories}/second"), disabled)
        .await?;
    let broken =
        json!({ "kind": "status", "status": 500, "path": format!("{}/pushes", others[2]) });
    caring.control(Method::POST, "faults", broken).await?;
    let denied =
        json!({ "kind": "status", "status": 403, "path": "Quay%20Works/_apis/git/pullrequests" });
    caring.control(Method::POST, "faults", denied).await?;
    let number = caring.silently(open(&caring, "lost")).await?;
    let closing = open(&caring, "closing").await?;
    caring.settle().await?;
    caring.dispatch().await?;
    caring.silently(close(&caring, closing)).await?;
    lost_push(&caring, "main", json!({ "prod/a.tf": "1" })).await?;
    caring.a_day_passes().await?;
    let mut passes = 0;
    let mut found = 0;
    loop {
        let did = caring.pass().await?;
        found += count(&did, "found");
        passes += 1;
        if did["did"]["unfinished"] == false {
            break;
        }
        assert!(passes < 4, "{did}");
    }
    assert_eq!((passes, found), (2, 3), "the broken one ends the first");
    caring.dispatch().await?;
    let runs = caring.runs(&stack).await?;
    assert!(runs.iter().any(|it| {
        it.pull_request
            .as_ref()
            .is_some_and(|it| it.number == number)
    }));
    Ok(())
}

#[tokio::test]
async fn whoever_begins_a_pass_has_it_alone_until_it_ends_or_its_time_is_over() -> Result<()> {
    let bed = Bed::new()?;
    let (store, name) = (bed.store().await, new_name("alone").parse()?);
    let minute = SignedDuration::from_mins(1);
    let begin =
        async |nonce: &str, at: Timestamp| store.begin_pass(&name, nonce, at + minute, at).await;
    let at = now();
    assert!(begin("one", at).await?.is_some());
    assert!(
        begin("one", at).await?.is_some(),
        "its answer may have been lost"
    );
    assert!(begin("two", at).await?.is_none());
    let progress = domain::Progress::default();
    assert!(!store.keep_progress(&name, "two", &progress, true).await?);
    assert!(store.keep_progress(&name, "one", &progress, false).await?);
    assert!(begin("two", at).await?.is_none());
    assert!(begin("two", at + minute + minute).await?.is_some());
    assert!(
        !store.keep_progress(&name, "one", &progress, true).await?,
        "it has lost it"
    );
    assert!(store.keep_progress(&name, "two", &progress, true).await?);
    assert!(begin("three", at).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn s9_after_ten_minutes_without_dynamodb_what_the_webhook_could_not_store_is_found()
-> Result<()> {
    let bed = Bed::new()?;
    let is_down = Arc::new(AtomicBool::new(false));
    let judge = {
        let is_down = Arc::clone(&is_down);
        move |_: &str, _| match is_down.load(Ordering::SeqCst) {
            true => Fate::Answer(INTERNAL_ERROR),
            false => Fate::Pass,
        }
    };
    let tap = Tap::on(&bed.stack.description.endpoint_url, judge).await?;
    let webhook = bed.webhook_at(&tap.url()).await;
    let caring = Caring::behind(webhook, bed, azure_devops().await?, |_| {}).await?;
    let stack = caring.stack(json!({ "projectRoot": "prod" })).await?;
    caring.pass().await?;
    is_down.store(true, Ordering::SeqCst);
    caring.push("main", json!({ "prod/a.tf": "1" })).await?;
    caring.ten_minutes_pass().await?;
    let failed = caring.azure_devops.deliveries();
    assert!(failed.iter().all(|it| it.status == Some(503)), "{failed:?}");
    assert!(failed.len() >= 9, "{}", failed.len());
    let lost = caring.push("main", json!({ "prod/a.tf": "2" })).await?;
    assert_eq!(
        lost["events"][0]["lostTo"][0]["status"], "onProbation",
        "{lost}"
    );
    caring.settle().await?;
    is_down.store(false, Ordering::SeqCst);
    let did = caring.pass().await?;
    assert_eq!(
        (count(&did, "notifications"), count(&did, "found")),
        (1, 1),
        "{did}"
    );
    caring.dispatch().await?;
    let tip = caring.tip("main").await?;
    assert!(commits(&caring, &stack).await?.contains(&tip));
    caring.is_all_found().await
}

/// A bed with integrations of its own: a pass over all of them meets those of no other test.
async fn bed_of_its_own() -> Result<Bed> {
    let mut bed = Bed::new()?;
    let dynamodb = async |target: &str, body: Value| {
        aws(
            &bed.stack,
            "dynamodb",
            &format!("DynamoDB_20120810.{target}"),
            body,
        )
        .await
    };
    let like = json!({ "TableName": bed.tables().integrations });
    let like = dynamodb("DescribeTable", like).await?;
    let like = &like["Table"];
    let indexes = like["GlobalSecondaryIndexes"]
        .as_array()
        .context("no indexes")?;
    let indexes: Vec<Value> = indexes
        .iter()
        .map(|it| json!({ "IndexName": it["IndexName"], "KeySchema": it["KeySchema"], "Projection": it["Projection"] }))
        .collect();
    let name = new_name("integrations");
    let table = json!({
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": like["KeySchema"],
        "AttributeDefinitions": like["AttributeDefinitions"],
        "GlobalSecondaryIndexes": indexes,
    });
    dynamodb("CreateTable", table).await?;
    let tables = &mut bed.stack.description.scratch_tables;
    tables.insert("integrations".to_owned(), name);
    Ok(bed)
}

#[tokio::test]
async fn integrations_in_trouble_do_not_keep_another_from_being_cared_for() -> Result<()> {
    let bed = bed_of_its_own().await?;
    let webhook = bed.webhook().await;
    let caring = Caring::behind(webhook, bed, azure_devops().await?, |_| {}).await?;
    let stack = caring.stack(json!({ "projectRoot": "prod" })).await?;
    let mut faults = Vec::new();
    // More than are seen to at once.
    let kinds = ["drop", "status", "cutOff"];
    for kind in kinds.into_iter().cycle().take(9) {
        let broken = json!({
            "name": new_name("broken"),
            "organizationUrl": format!("{}/breakwater", caring.azure_devops.url()),
            "personalAccessToken": caring.azure_devops.token("otherOrganization"),
        });
        body_of(
            caring
                .setup
                .handle(send("POST", "/integrations", &broken))
                .await,
        )?;
        // One for each of them, the first that they call.
        faults.push(json!({ "kind": kind, "path": "/breakwater/", "times": 1 }));
    }
    for fault in faults {
        caring.control(Method::POST, "faults", fault).await?;
    }
    lost_push(&caring, "main", json!({ "prod/a.tf": "1" })).await?;
    let nothing = Trigger::Scheduled(Value::Null);
    let did = caring.reconcile.pass(nothing, PASS, now()).await?;
    let all = did["integrations"].as_array().context("none")?;
    assert_eq!(all.len(), 10, "{did}");
    for one in all {
        let is_well = one["integration"] == caring.linked.name.as_str();
        assert_eq!(one["did"]["unfinished"], !is_well, "{one}");
        assert_eq!(count(one, "found"), u64::from(is_well), "{one}");
    }
    caring.dispatch().await?;
    assert_eq!(caring.runs(&stack).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn where_only_a_few_calls_are_taken_at_a_time_all_that_a_pass_does_has_its_turn() -> Result<()>
{
    let (caring, stack) = compared().await?;
    lost_push(&caring, "main", json!({ "prod/a.tf": "1" })).await?;
    caring.a_day_passes().await?;
    // Each second look at a hook is followed by a wait that is too long for a pass.
    let fault = json!({ "kind": "delayed", "path": "/subscriptions/", "every": 2, "retryAfterSeconds": 60, "milliseconds": 1 });
    caring.control(Method::POST, "faults", fault).await?;
    let mut passes = 0;
    loop {
        let at = now() + SignedDuration::from_secs(90) * passes;
        passes += 1;
        let did = caring.pass_at(at).await?;
        if did["did"]["unfinished"] == false {
            assert_eq!(count(&did, "found"), 1, "{did}");
            break;
        }
        assert!(passes < 5, "two, two and one of five hooks: {did}");
    }
    caring.dispatch().await?;
    assert_eq!(caring.runs(&stack).await?.len(), 1);
    Ok(())
}
