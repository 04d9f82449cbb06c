//! Events that never reached us: what a pass finds of them, and that nothing runs twice.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use domain::{Run, RunKind, RunState};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::caring::Caring;

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

async fn close(caring: &Caring, number: i64) -> Result<()> {
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
async fn open(caring: &Caring, branch: &str) -> Result<i64> {
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
