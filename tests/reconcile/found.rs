//! Events that never reached us: what a pass finds of them, and that nothing runs twice.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use domain::{Run, RunKind, RunState, StackName};
use jiff::SignedDuration;
use reconcile::Trigger;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    azure_devops,
    caring::{Caring, PASS, pass_of},
    json as body_of, now, post, send,
};

/// The door answers like that for ten minutes, after which the hooks are on probation; then `meanwhile` happens.
async fn while_it_answers<T>(
    caring: &Caring,
    status: u16,
    meanwhile: impl Future<Output = Result<T>>,
) -> Result<T> {
    caring.door.answers(Some(status));
    // A push and a pull request's events, which bring each hook that matters on probation.
    let first = open(caring, "first").await?;
    close(caring, first).await?;
    caring.ten_minutes_pass().await?;
    let done = meanwhile.await?;
    caring.settle().await?;
    caring.door.answers(None);
    Ok(done)
}

pub(super) async fn close(caring: &Caring, number: i64) -> Result<()> {
    let path = format!("pullRequests/{number}");
    let abandoned = json!({ "status": "abandoned" });
    caring.act(Method::PATCH, &path, abandoned).await?;
    Ok(())
}

fn statuses(caring: &Caring) -> BTreeSet<&'static str> {
    let all = caring.azure_devops.subscriptions().into_iter();
    all.map(|subscription| subscription.status).collect()
}

/// What happens in an outage: pushes to a tracked branch and to another, a new pull request, one that moves, one that closes.
async fn a_lot_happens(caring: &Caring, closing: i64) -> Result<i64> {
    for number in 0..3 {
        let file = format!("prod/{number}.tf");
        caring.push("main", json!({ file: "a\n" })).await?;
    }
    caring
        .push("develop", json!({ "prod/x.tf": "b\n" }))
        .await?;
    let opened = open(caring, "outage").await?;
    caring
        .push("moving", json!({ "prod/moving.tf": "c\n" }))
        .await?;
    close(caring, closing).await?;
    Ok(opened)
}

/// Runs that are not those of pushes behind a newer one.
fn in_earnest(runs: &[Run]) -> Vec<&Run> {
    let is_in_earnest = |run: &&Run| run.state != RunState::Superseded;
    runs.iter().filter(is_in_earnest).collect()
}

/// A pull request from a new branch, with a change in `prod/`; its number.
pub(super) async fn open(caring: &Caring, branch: &str) -> Result<i64> {
    let new = json!({ "branch": branch, "from": "main", "files": { format!("prod/{branch}.tf"): "x\n" }, "message": "m", "author": "Tom Eklund" });
    caring.act(Method::POST, "pushes", new).await?;
    let opened = caring
        .act(
            Method::POST,
            "pullRequests",
            json!({ "source": branch, "title": branch }),
        )
        .await?;
    let number = opened["pullRequest"]["pullRequestId"].as_i64();
    number.with_context(|| format!("no number: {opened}"))
}

async fn everything_is_found_after(status: u16) -> Result<()> {
    let caring = Caring::start().await?;
    let stack = caring.stack(json!({ "projectRoot": "prod" })).await?;
    let (moving, closing) = (
        open(&caring, "moving").await?,
        open(&caring, "closing").await?,
    );
    caring.settle().await?;
    caring.dispatch().await?;
    caring.pass().await?;
    assert!(
        caring.dispatch().await?.is_empty(),
        "nothing was missed yet"
    );
    let before = caring.runs(&stack).await?;
    assert_eq!(before.len(), 2, "{before:?}");

    let opened = while_it_answers(&caring, status, a_lot_happens(&caring, closing)).await?;
    assert!(
        statuses(&caring).contains("onProbation"),
        "{:?}",
        caring.azure_devops.subscriptions()
    );
    assert!(
        caring
            .azure_devops
            .events()
            .iter()
            .any(|event| !event.lost_to.is_empty()),
        "some events were never even sent"
    );

    let did = caring.pass().await?;
    assert_eq!(statuses(&caring), BTreeSet::from(["enabled"]), "{did}");
    caring.dispatch().await?;
    let runs = caring.runs(&stack).await?;
    let tip = caring.tip("main").await?;
    let tracked: Vec<_> = runs
        .iter()
        .filter(|it| it.kind == RunKind::Tracked)
        .collect();
    assert!(
        tracked.iter().any(|run| run.commit == tip),
        "the tip of main runs: {tracked:?}"
    );
    let of = |number: i64| {
        let of_it = move |run: &&Run| {
            run.pull_request
                .as_ref()
                .is_some_and(|it| it.number == number)
        };
        runs.iter().filter(of_it).collect::<Vec<_>>()
    };
    let tip_of_moving = caring.tip("moving").await?;
    let tip_of_opened = caring.tip("outage").await?;
    assert!(of(moving).iter().any(|run| run.commit == tip_of_moving));
    assert_eq!(of(opened).len(), 1);
    assert_eq!(of(opened)[0].commit, tip_of_opened);
    assert_eq!(of(closing).len(), 1);
    assert_eq!(of(closing)[0].state, RunState::Canceled);

    // A second pass finds nothing more, and what comes late after all runs nothing again.
    let again = caring.pass().await?;
    assert_eq!(again["did"]["found"], 0, "{again}");
    caring
        .control(
            Method::POST,
            "settle?timeoutMs=60000&leap=true&includeProbation=true",
            json!({}),
        )
        .await?;
    caring.dispatch().await?;
    let after = caring.runs(&stack).await?;
    let ran = in_earnest(&after);
    let commits: BTreeSet<&str> = ran.iter().map(|it| it.commit.as_str()).collect();
    assert_eq!(commits.len(), ran.len(), "no commit ran twice: {ran:?}");
    assert_eq!(ran.len(), in_earnest(&runs).len());

    // What was found says so.
    let log = caring.bed.log_of(caring.linked.name.as_str()).await?;
    let recovered: Vec<&Value> = log.iter().filter(|it| it["recovered"] == true).collect();
    assert!(!recovered.is_empty());
    Ok(())
}

#[tokio::test]
async fn after_an_outage_that_outlasts_the_retries_every_missed_tip_and_pull_request_is_found_in_one_pass()
-> Result<()> {
    everything_is_found_after(503).await
}

#[tokio::test]
async fn r7_after_a_throttle_every_missed_tip_and_pull_request_is_found_in_one_pass() -> Result<()>
{
    everything_is_found_after(429).await
}

/// A push to `branch` whose event is lost; its number.
pub(super) async fn lost_push(caring: &Caring, branch: &str, files: Value) -> Result<i64> {
    let pushed = caring.silently(caring.push(branch, files)).await?;
    number_of(&pushed)
}

fn number_of(pushed: &Value) -> Result<i64> {
    let number = pushed["push"]["pushId"].as_i64();
    number.with_context(|| format!("no number: {pushed}"))
}

/// One integration with a stack of `prod/`, of which everything was compared.
pub(super) async fn compared() -> Result<(Caring, StackName)> {
    let caring = Caring::start().await?;
    let stack = caring.stack(json!({ "projectRoot": "prod" })).await?;
    caring.settle().await?;
    caring.dispatch().await?;
    let did = caring.pass().await?;
    assert_eq!(did["did"]["found"], 0, "{did}");
    Ok((caring, stack))
}

/// The commits and numbers of the pushes that tracked runs are of, the oldest first, but for those behind a newer one.
fn pushed(runs: &[Run]) -> Vec<i64> {
    let runs = in_earnest(runs).into_iter();
    runs.filter_map(|run| run.push_id).collect()
}

#[tokio::test]
async fn what_was_lost_without_a_word_is_found_once_a_day_and_not_before() -> Result<()> {
    let (caring, stack) = compared().await?;
    let push = lost_push(&caring, "main", json!({ "prod/a.tf": "1" })).await?;
    let did = caring.pass().await?;
    assert_eq!(
        did["did"]["found"], 0,
        "nothing says that it is missing: {did}"
    );
    assert_eq!(caring.next_day().await?, 1);
    assert_eq!(pushed(&caring.runs(&stack).await?), [push]);
    caring.is_all_found().await
}

#[tokio::test]
async fn pushes_in_a_row_are_one_change_and_one_between_two_that_were_seen_is_its_own() -> Result<()>
{
    let (caring, stack) = compared().await?;
    // The first touches the stack, the one behind it does not.
    lost_push(&caring, "main", json!({ "prod/a.tf": "1" })).await?;
    let last = lost_push(&caring, "main", json!({ "docs/a.md": "1" })).await?;
    assert_eq!(caring.next_day().await?, 1);
    assert_eq!(pushed(&caring.runs(&stack).await?), [last]);
    assert_eq!(
        caring.runs(&stack).await?[0].commit,
        caring.tip("main").await?
    );

    caring.push("main", json!({ "docs/a.md": "2" })).await?;
    let between = lost_push(&caring, "main", json!({ "prod/a.tf": "2" })).await?;
    caring.push("main", json!({ "docs/a.md": "3" })).await?;
    caring.settle().await?;
    caring.dispatch().await?;
    assert_eq!(caring.next_day().await?, 1);
    assert_eq!(pushed(&caring.runs(&stack).await?), [last, between]);
    caring.is_all_found().await
}

#[tokio::test]
async fn only_branches_that_somebody_follows_are_looked_for_and_no_tags_and_nothing_that_is_gone()
-> Result<()> {
    let (caring, stack) = compared().await?;
    caring
        .silently(async {
            caring.push("develop", json!({ "prod/a.tf": "1" })).await?;
            let tag = json!({ "name": "v9", "commit": "main" });
            caring.act(Method::POST, "tags", tag).await?;
            let gone = json!({ "branch": "gone", "from": "main", "files": { "prod/g.tf": "1" } });
            caring.act(Method::POST, "pushes", gone).await?;
            caring
                .act(Method::DELETE, "branches/gone", Value::Null)
                .await
        })
        .await?;
    assert_eq!(caring.next_day().await?, 0);
    assert!(caring.runs(&stack).await?.is_empty());

    let module = caring
        .stack(json!({ "kind": "module", "projectRoot": "modules/net" }))
        .await?;
    let new = json!({ "branch": "net", "from": "main", "files": { "modules/net/n.tf": "1" } });
    let first = caring
        .silently(caring.act(Method::POST, "pushes", new))
        .await?;
    let first = number_of(&first)?;
    let push = lost_push(&caring, "develop", json!({ "modules/net/m.tf": "1" })).await?;
    caring
        .silently(caring.act(
            Method::POST,
            "tags",
            json!({ "name": "v10", "commit": "main" }),
        ))
        .await?;
    assert_eq!(caring.next_day().await?, 2);
    let mut of_module = pushed(&caring.runs(&module).await?);
    of_module.sort_unstable();
    assert_eq!(of_module, [first, push]);
    assert!(caring.runs(&stack).await?.is_empty());
    caring.is_all_found().await
}

#[tokio::test]
async fn whatever_becomes_of_a_pull_request_is_found() -> Result<()> {
    let (caring, stack) = compared().await?;
    let mut numbers = Vec::new();
    for branch in ["moved", "retargeted", "completed", "abandoned", "draft"] {
        numbers.push(open(&caring, branch).await?);
    }
    let [moved, retargeted, completed, abandoned, draft] = numbers[..] else {
        unreachable!("five were opened");
    };
    let set = async |number: i64, change: Value| {
        let path = format!("pullRequests/{number}");
        caring.act(Method::PATCH, &path, change).await
    };
    set(draft, json!({ "draft": true })).await?;
    caring.settle().await?;
    caring.dispatch().await?;
    let of = async |number: i64| -> Result<Vec<(RunState, String)>> {
        let runs = caring.runs(&stack).await?.into_iter();
        let is_of_it = |run: &Run| {
            run.pull_request
                .as_ref()
                .is_some_and(|it| it.number == number)
        };
        Ok(runs
            .filter(is_of_it)
            .map(|run| (run.state, run.commit))
            .collect())
    };
    let before = of(draft).await?.len();
    let opened = caring
        .silently(async {
            let opened = open(&caring, "opened").await?;
            caring
                .push("moved", json!({ "prod/moved.tf": "2" }))
                .await?;
            set(retargeted, json!({ "target": "develop" })).await?;
            set(completed, json!({ "status": "completed" })).await?;
            set(abandoned, json!({ "status": "abandoned" })).await?;
            caring
                .push("draft", json!({ "prod/draft.tf": "2" }))
                .await?;
            set(draft, json!({ "draft": false })).await?;
            Ok(opened)
        })
        .await?;
    // Completing one is a push, too.
    assert_eq!(caring.next_day().await?, 7);
    assert_eq!(of(opened).await?.len(), 1);
    let tip = caring.tip("moved").await?;
    assert!(of(moved).await?.iter().any(|(_, commit)| *commit == tip));
    for number in [retargeted, completed, abandoned] {
        let runs = of(number).await?;
        assert!(!runs.is_empty());
        assert!(
            runs.iter().all(|(state, _)| *state == RunState::Canceled),
            "{number}: {runs:?}"
        );
    }
    assert_eq!(of(draft).await?.len(), before + 1);
    assert!(
        in_earnest(&caring.runs(&stack).await?)
            .iter()
            .any(|run| run.kind == RunKind::Tracked)
    );
    caring.is_all_found().await?;

    // Twice on one day to the same state.
    let runs = caring.runs(&stack).await?.len();
    set(abandoned, json!({ "status": "active" })).await?;
    caring.settle().await?;
    caring.dispatch().await?;
    assert_eq!(caring.runs(&stack).await?.len(), runs + 1);
    let closed = set(abandoned, json!({ "status": "abandoned" }));
    caring.silently(closed).await?;
    assert_eq!(caring.next_day().await?, 1);
    let again = of(abandoned).await?;
    assert!(
        again.iter().all(|(state, _)| *state == RunState::Canceled),
        "{again:?}"
    );
    caring.is_all_found().await
}

#[tokio::test]
async fn a_pull_request_from_a_fork_a_draft_and_one_that_was_there_before_ask_for_nothing()
-> Result<()> {
    let caring = Caring::start().await?;
    let there = open(&caring, "there").await?;
    caring.settle().await?;
    caring.dispatch().await?;
    let stack = caring.stack(json!({ "projectRoot": "prod" })).await?;
    let fork = json!({ "name": "platform.asha", "forkOf": "platform" });
    let project = "organizations/tidewater/projects/Harbor/repositories";
    caring.control(Method::POST, project, fork).await?;
    caring
        .silently(async {
            let of_fork = format!("{project}/platform.asha/pushes");
            let push = json!({ "branch": "theirs", "from": "main", "files": { "prod/f.tf": "1" } });
            caring.control(Method::POST, &of_fork, push).await?;
            let from = json!({ "source": "theirs", "fork": "platform.asha", "title": "f" });
            caring.act(Method::POST, "pullRequests", from).await?;
            let push = json!({ "branch": "draft", "from": "main", "files": { "prod/d.tf": "1" } });
            caring.act(Method::POST, "pushes", push).await?;
            let draft = json!({ "source": "draft", "title": "d", "draft": true });
            caring.act(Method::POST, "pullRequests", draft).await
        })
        .await?;
    let did = caring.pass().await?;
    assert_eq!(
        did["did"]["found"], 2,
        "the fork's and the draft, not {there}: {did}"
    );
    caring.dispatch().await?;
    assert!(caring.runs(&stack).await?.is_empty());
    caring.is_all_found().await
}

/// What was sent of an event and lost.
fn sent(caring: &Caring, event_type: &str) -> Vec<Vec<u8>> {
    let all = caring.azure_devops.deliveries().into_iter();
    all.filter(|it| it.event_type == event_type && it.url.contains(caring.linked.name.as_str()))
        .map(|it| it.body)
        .collect()
}

#[tokio::test]
async fn an_event_and_what_was_found_of_its_change_meet_in_one_run_whichever_comes_first()
-> Result<()> {
    let (caring, stack) = compared().await?;
    let module = caring
        .stack(json!({ "kind": "module", "projectRoot": "prod" }))
        .await?;
    let number = caring.silently(open(&caring, "late")).await?;
    lost_push(&caring, "main", json!({ "prod/a.tf": "1" })).await?;
    let push = lost_push(&caring, "main", json!({ "prod/a.tf": "2" })).await?;
    assert_eq!(caring.next_day().await?, 3);
    let webhook = caring.bed.webhook().await;
    let late = [
        "git.push",
        "git.pullrequest.created",
        "git.pullrequest.merged",
    ];
    let bodies: Vec<Vec<u8>> = late.iter().flat_map(|it| sent(&caring, it)).collect();
    assert!(bodies.len() >= 5, "{}", bodies.len());
    for body in bodies.clone() {
        assert_eq!(post(&webhook, &caring.linked, body).await, 200);
    }
    assert!(caring.dispatch().await?.len() >= 5);
    let runs = caring.runs(&stack).await?;
    assert_eq!(pushed(&runs), [push], "{runs:?}");
    let proposed = |it: &&Run| {
        it.pull_request
            .as_ref()
            .is_some_and(|it| it.number == number)
    };
    assert_eq!(runs.iter().filter(proposed).count(), 1);
    let of_module = caring.runs(&module).await?;
    let ids: BTreeSet<String> = of_module.iter().map(|it| it.id.to_string()).collect();
    assert_eq!(ids.len(), of_module.len());
    caring.is_all_found().await?;

    // The other way round: it came, and is dispatched only after what was found.
    let push = lost_push(&caring, "main", json!({ "prod/a.tf": "3" })).await?;
    let body = sent(&caring, "git.push").pop().context("none was sent")?;
    assert_eq!(post(&webhook, &caring.linked, body).await, 200);
    assert_eq!(caring.next_day().await?, 1, "nobody has seen it yet");
    assert_eq!(pushed(&caring.runs(&stack).await?).last(), Some(&push));
    assert_eq!(pushed(&caring.runs(&stack).await?).len(), 2);
    caring.is_all_found().await
}

#[tokio::test]
async fn failed_notifications_are_taken_once_with_their_bodies_more_than_a_page_of_them()
-> Result<()> {
    let caring = Caring::with(azure_devops().await?, |it| it.mends = false).await?;
    caring.stack(json!({ "projectRoot": "prod" })).await?;
    caring.pass().await?;
    caring.door.answers(Some(503));
    for number in 0..105 {
        let file = json!({ "docs/a.md": number.to_string() });
        caring.push("develop", file).await?;
    }
    caring
        .control(
            Method::POST,
            &format!(
                "organizations/tidewater/subscriptions/{}/test",
                caring.hook("git.push").await?
            ),
            Value::Null,
        )
        .await?;
    caring.ten_minutes_pass().await?;
    caring.door.answers(None);
    // One of them was stored though it was answered with 503.
    let bodies = sent(&caring, "git.push");
    let webhook = caring.bed.webhook().await;
    let first = bodies.first().context("nothing was sent")?;
    assert_eq!(post(&webhook, &caring.linked, first.clone()).await, 200);
    let did = caring.pass().await?;
    assert_eq!(did["did"]["notifications"], 104, "{did}");
    let log = caring.bed.log_of(caring.linked.name.as_str()).await?;
    assert_eq!(log.len(), 105);
    let recovered = log.iter().filter(|it| it["recovered"] == true).count();
    assert_eq!(recovered, 104);
    // A retry of the probation comes at last.
    for body in bodies.iter().skip(60).take(5) {
        assert_eq!(post(&webhook, &caring.linked, body.clone()).await, 200);
    }
    assert_eq!(
        caring.bed.log_of(caring.linked.name.as_str()).await?.len(),
        105
    );
    let again = caring.pass().await?;
    assert_eq!(again["did"]["notifications"], 0, "{again}");
    Ok(())
}

#[tokio::test]
async fn failed_notifications_of_days_ago_are_filed_as_if_they_had_come_then() -> Result<()> {
    let (caring, stack) = compared().await?;
    let ago = |days: i64| SignedDuration::from_hours(24 * days);
    // The hooks are a week old.
    for mut hook in caring.store.hooks_of(&caring.linked.name).await? {
        hook.since -= ago(7);
        caring.store.keep_hook(&caring.linked.name, &hook).await?;
    }
    let skew = async |days: i64| {
        let clock = json!({ "skewMilliseconds": -ago(days).as_millis() });
        caring.control(Method::PUT, "clock", clock).await
    };
    // Each waits for a retry that is tomorrow, and its hook is well again.
    let mut pushes = Vec::new();
    for days in [6, 4, 1] {
        skew(days).await?;
        caring.door.answers(Some(400));
        let pushed = caring
            .push("main", json!({ "prod/a.tf": days.to_string() }))
            .await?;
        pushes.push(number_of(&pushed)?);
        caring.settle().await?;
        caring.door.answers(None);
        let hook = caring.hook("git.push").await?;
        let path = format!("organizations/tidewater/subscriptions/{hook}");
        caring
            .control(Method::PATCH, &path, json!({ "status": "enabled" }))
            .await?;
    }
    skew(0).await?;
    caring.a_day_passes().await?;
    let did = caring.pass().await?;
    assert_eq!(did["did"]["notifications"], 3, "{did}");
    let within = (now() - ago(8), now() + ago(1));
    let ids = caring.store.undecided(&caring.linked.name, within).await?;
    let mut stored = caring.store.deliveries(&ids).await?;
    stored.sort_by_key(|it| it.head.received);
    let days: Vec<i64> = stored
        .iter()
        .map(|it| now().duration_since(it.head.received).as_hours() / 24)
        .collect();
    // What is younger than two days came now. That they were stored is enough for comparing not to find the tip once more.
    assert_eq!(days, [6, 4, 0]);
    assert!(stored.iter().all(|it| it.head.recovered));
    caring.dispatch_of(8).await?;
    assert_eq!(pushed(&caring.runs(&stack).await?).last(), pushes.last());
    caring.is_all_found().await
}

#[tokio::test]
async fn what_is_young_is_not_missed_yet_and_the_gap_stays_open_until_it_is_certain() -> Result<()>
{
    let in_flight = SignedDuration::from_mins(5);
    let caring = Caring::with(azure_devops().await?, |it| it.in_flight = in_flight).await?;
    let stack = caring.stack(json!({ "projectRoot": "prod" })).await?;
    caring.pass().await?;
    let number = caring.silently(open(&caring, "young")).await?;
    let push = lost_push(&caring, "main", json!({ "prod/a.tf": "1" })).await?;
    let trouble = json!({ "time": now(), "detail-type": "CloudWatch Alarm State Change" });
    let trouble = serde_json::from_value(trouble)?;
    let did = pass_of(&caring.reconcile, &caring.linked, trouble, now()).await?;
    assert_eq!(did["did"]["found"], 0, "{did}");
    assert!(did["gap"].is_object(), "{did}");
    let did = caring
        .pass_at(now() + in_flight - SignedDuration::from_mins(2))
        .await?;
    assert_eq!(did["did"]["found"], 0, "{did}");
    assert!(did["gap"].is_object(), "{did}");
    let did = caring
        .pass_at(now() + in_flight + SignedDuration::from_secs(1))
        .await?;
    assert_eq!(did["did"]["found"], 2, "{did}");
    assert!(did["gap"].is_null(), "{did}");
    caring.dispatch().await?;
    let runs = caring.runs(&stack).await?;
    assert_eq!(pushed(&runs), [push]);
    assert!(runs.iter().any(|it| {
        it.pull_request
            .as_ref()
            .is_some_and(|it| it.number == number)
    }));
    Ok(())
}

#[tokio::test]
async fn to_a_stack_is_missing_what_came_after_it_and_one_repository_is_compared_once() -> Result<()>
{
    let caring = Caring::start().await?;
    caring.push("main", json!({ "prod/a.tf": "0" })).await?;
    caring.settle().await?;
    caring.dispatch().await?;
    let first = caring.stack(json!({ "projectRoot": "prod" })).await?;
    let docs = lost_push(&caring, "main", json!({ "docs/a.md": "1" })).await?;
    let second = caring.stack(json!({ "projectRoot": "prod" })).await?;
    let push = lost_push(&caring, "main", json!({ "prod/a.tf": "1" })).await?;
    let did = caring.pass().await?;
    assert_eq!(did["did"]["found"], 1, "{did}");
    let asked = caring.azure_devops.requests().into_iter();
    // As stacks are made the newest one is asked for, and no more.
    let compared = asked.filter(|it| it.path.contains("/pushes?") && it.path.contains("top=100"));
    assert_eq!(compared.count(), 1);
    caring.dispatch().await?;
    for stack in [&first, &second] {
        assert_eq!(pushed(&caring.runs(stack).await?), [push], "{docs}");
    }
    caring.is_all_found().await
}

#[tokio::test]
async fn an_integration_that_is_unlinked_has_no_pass() -> Result<()> {
    let (caring, _) = compared().await?;
    let name = &caring.linked.name;
    let unlink = caring
        .bed
        .unlink_of(
            caring.azure_devops.url(),
            &caring.bed.stack.description.endpoint_url,
        )
        .await;
    let path = format!("/integrations/{name}");
    body_of(unlink.handle(send("DELETE", &path, &json!({}))).await)?;
    let before = caring.azure_devops.requests().len();
    let did = caring
        .reconcile
        .pass_over(name, Trigger::Scheduled(Value::Null), PASS, now())
        .await?;
    assert_eq!((did, caring.azure_devops.requests().len()), (None, before));
    Ok(())
}
