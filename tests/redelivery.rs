//! Deliveries that are sent again: what was missed is healed, and only who asks for new runs gets them, one for each time.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{RunState, outcome::OutcomeWord, run::Rerun};
use reqwest::Method;
use serde_json::{Value, json};
use store::DeliveryId;

use crate::support::{
    dispatching::{Dispatching, drain},
    json as body_of, parts, post, problem, send,
};

const RUN: &str = "run";
const NONE: &str = "none";

/// Asks for a delivery again; gives what the answer says.
async fn ask(harbor: &Dispatching, id: &DeliveryId, body: Value) -> Result<Value> {
    let deliveries = harbor.bed.deliveries().await;
    let path = format!("/deliveries/{id}/redelivery");
    body_of(deliveries.handle(send("POST", &path, &body)).await)
}

/// What the stream tells of a redelivery.
async fn told(harbor: &Dispatching, id: &DeliveryId, number: u64) -> Result<Value> {
    let sort = format!("{}#redelivery#{number:06}", id.sort());
    harbor.record(id.partition(), &sort).await
}

/// Asks for a delivery again, and dispatches it.
async fn again(harbor: &Dispatching, id: &DeliveryId, body: Value) -> Result<()> {
    let asked = ask(harbor, id, body).await?;
    let number = asked["redelivery"].as_u64().context("no number")?;
    let failed = Dispatching::hand(&harbor.app, vec![told(harbor, id, number).await?]).await?;
    ensure!(failed.is_empty(), "{failed:?}");
    Ok(())
}

/// Opens a pull request of a branch that changes `prod`; gives its path.
async fn pull_request(harbor: &Dispatching, branch: &str, draft: bool) -> Result<String> {
    let files = json!({ (format!("prod/{branch}.tf")): "1" });
    harbor
        .push(json!({ "branch": branch, "from": "main", "files": files }))
        .await?;
    let wanted = json!({ "source": branch, "target": "main", "title": branch, "draft": draft });
    let opened = harbor.act(Method::POST, "pullRequests", wanted).await?;
    Ok(format!(
        "pullRequests/{}",
        opened["pullRequest"]["pullRequestId"]
    ))
}

#[tokio::test]
async fn each_time_that_new_runs_are_asked_for_there_is_one_however_often_the_stream_tells_of_it()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let other = harbor.stack(json!({ "projectRoot": "docs" })).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "prod/a.tf": "1" } }))
        .await?;
    let ids = harbor.dispatch().await?;
    let id = ids.first().context("nothing was sent")?;
    let first = harbor.runs(&stack).await?.pop().context("no run")?;

    for asked_for in 1..=2_u64 {
        let asked = ask(&harbor, id, json!({ "rerun": true })).await?;
        assert_eq!(
            asked,
            json!({ "id": id.to_string(), "redelivery": asked_for, "rerun": true })
        );
        let record = told(&harbor, id, asked_for).await?;
        for batch in [vec![record.clone(), record.clone()], vec![record.clone()]] {
            assert!(Dispatching::hand(&harbor.app, batch).await?.is_empty());
        }
        let (one, two) = tokio::join!(
            Dispatching::hand(&harbor.app, vec![record.clone()]),
            Dispatching::hand(&harbor.app, vec![record])
        );
        assert!(one?.is_empty() && two?.is_empty());

        let runs = harbor.runs(&stack).await?;
        assert_eq!(runs.len() as u64, 1 + asked_for);
        let run = runs
            .iter()
            .find(|run| run.reason.contains(&format!("redelivery {asked_for})")))
            .context("no run says that it was asked for again")?;
        assert_eq!(
            run.reason,
            format!("asked for again (redelivery {asked_for}): `prod/a.tf` is in `prod/`")
        );
        assert_eq!(
            (run.state, &run.commit, run.push_id, &run.ref_name, run.kind),
            (
                RunState::Queued,
                &first.commit,
                first.push_id,
                &first.ref_name,
                first.kind
            )
        );
        let (verdict, _) = harbor.verdict(id, &stack).await?;
        assert_eq!(verdict, RUN);
        let outcome = harbor.outcome(id).await?.outcome;
        assert_eq!(outcome.runs().collect::<Vec<_>>(), [&run.id]);
    }
    assert!(
        harbor.runs(&other).await?.is_empty(),
        "what it did not touch it does not touch now"
    );
    Ok(())
}

#[tokio::test]
async fn the_same_request_is_one_redelivery_also_at_once_and_others_are_others() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({})).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "a": "1" } }))
        .await?;
    let ids = harbor.dispatch().await?;
    let named = json!({ "rerun": true, "requestId": "ticket-7" });
    let at_once = (0..4).map(|_| ask(&harbor, &ids[0], named.clone()));
    for asked in futures::future::join_all(at_once).await {
        assert_eq!(asked?["redelivery"], 1);
    }
    let other = json!({ "rerun": true, "requestId": "ticket-8" });
    assert_eq!(ask(&harbor, &ids[0], other).await?["redelivery"], 2);
    // What was asked for under the name stays what it was.
    let changed = json!({ "requestId": "ticket-7" });
    let asked = ask(&harbor, &ids[0], changed).await?;
    assert_eq!(
        (&asked["redelivery"], &asked["rerun"]),
        (&json!(1), &json!(true))
    );
    let record = told(&harbor, &ids[0], 1).await?;
    Dispatching::hand(&harbor.app, vec![record]).await?;
    assert_eq!(harbor.runs(&stack).await?.len(), 2);
    let deliveries = harbor.bed.deliveries().await;
    let path = format!("/deliveries/{}/redelivery", ids[0]);
    for bad in ["", "two words", &"x".repeat(65)] {
        let body = json!({ "requestId": bad });
        let status = deliveries
            .handle(send("POST", &path, &body))
            .await
            .status()
            .as_u16();
        assert_eq!(status, 422, "{bad:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_one_redelivery_would_make_can_be_asked_without_making_it() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let prod = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "prod/a.tf": "1", "docs/a.md": "1" } }))
        .await?;
    let ids = harbor.dispatch().await?;
    let docs = harbor.stack(json!({ "projectRoot": "docs" })).await?;

    let healing = ask(&harbor, &ids[0], json!({ "dryRun": true })).await?;
    assert_eq!(healing["id"], ids[0].to_string());
    assert_eq!(stacks_of(&healing, "runs"), [docs.as_str()], "{healing}");
    let anew = json!({ "dryRun": true, "rerun": true });
    let anew = ask(&harbor, &ids[0], anew).await?;
    let mut both = vec![prod.to_string(), docs.to_string()];
    both.sort_unstable();
    assert_eq!(stacks_of(&anew, "runs"), both, "{anew}");
    assert_eq!(harbor.runs(&prod).await?.len(), 1);
    // The first that is asked for in earnest is the first that there is.
    again(&harbor, &ids[0], json!({})).await?;
    assert_eq!(harbor.runs(&docs).await?.len(), 1);
    assert_eq!(harbor.runs(&prod).await?.len(), 1);
    let healed = ask(&harbor, &ids[0], json!({ "dryRun": true })).await?;
    assert!(stacks_of(&healed, "runs").is_empty(), "{healed}");
    assert_eq!(ask(&harbor, &ids[0], json!({})).await?["redelivery"], 2);
    Ok(())
}

#[tokio::test]
async fn without_being_asked_for_new_runs_nothing_runs_twice_and_what_was_missed_is_made()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "prod/a.tf": "1" } }))
        .await?;
    let seen = harbor.dispatch().await?;
    again(&harbor, &seen[0], json!({})).await?;
    again(&harbor, &seen[0], json!({ "rerun": false })).await?;
    assert_eq!(harbor.runs(&stack).await?.len(), 1);
    assert_eq!(harbor.verdict(&seen[0], &stack).await?.0, RUN);

    // One that the stream never told of.
    harbor
        .push(json!({ "branch": "main", "files": { "prod/b.tf": "1" } }))
        .await?;
    let missed = harbor.sent().await?;
    let missed = harbor.stored(&missed).await?;
    assert_eq!(harbor.runs(&stack).await?.len(), 1);
    again(&harbor, &missed[0], json!({})).await?;
    let runs = harbor.runs(&stack).await?;
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[1].reason, "`prod/b.tf` is in `prod/`");
    again(&harbor, &missed[0], json!({})).await?;
    // The stream tells of it after all.
    let late = harbor.records(&missed).await?;
    Dispatching::hand(&harbor.app, late).await?;
    assert_eq!(harbor.runs(&stack).await?.len(), 2);

    // A stack that was not there then.
    let late = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    again(&harbor, &missed[0], json!({})).await?;
    assert_eq!(harbor.runs(&late).await?.len(), 1);
    assert_eq!(harbor.runs(&stack).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn an_old_push_that_is_asked_for_again_runs_beside_newer_ones_and_moves_no_mark() -> Result<()>
{
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let mut pushes = Vec::new();
    for content in ["1", "2", "3", "4"] {
        harbor
            .push(json!({ "branch": "main", "files": { "prod/a.tf": content } }))
            .await?;
        pushes.extend(harbor.sent().await?);
    }
    let number = |body: &Value| body["resource"]["pushId"].as_i64();
    let first = harbor.dispatched(&pushes[..1]).await?;
    harbor.dispatched(&pushes[2..3]).await?;
    again(&harbor, &first[0], json!({ "rerun": true })).await?;
    let queued = |runs: Vec<domain::Run>| -> Vec<Option<i64>> {
        let open = runs.into_iter().filter(|run| run.state == RunState::Queued);
        let mut numbers: Vec<_> = open.map(|run| run.push_id).collect();
        numbers.sort_unstable();
        numbers
    };
    let [one, two, three, four] = [0, 1, 2, 3].map(|at| number(&pushes[at]));
    assert_eq!(queued(harbor.runs(&stack).await?), [one, one, three]);

    // The mark is where it was: the second comes too late, and an old one without `rerun`, too.
    let late = harbor.dispatched(&pushes[1..2]).await?;
    let (verdict, reason) = harbor.verdict(&late[0], &stack).await?;
    assert!(
        verdict == NONE && reason.contains("is older than push"),
        "{reason}"
    );
    again(&harbor, &late[0], json!({})).await?;
    assert_eq!(harbor.verdict(&late[0], &stack).await?.0, NONE);
    assert_eq!(queued(harbor.runs(&stack).await?), [one, one, three]);
    again(&harbor, &late[0], json!({ "rerun": true })).await?;
    assert_eq!(queued(harbor.runs(&stack).await?), [one, one, two, three]);
    // And forwards it goes.
    harbor.dispatched(&pushes[3..]).await?;
    assert_eq!(
        queued(harbor.runs(&stack).await?),
        [one, one, two, three, four]
    );
    Ok(())
}

#[tokio::test]
async fn a_rerun_that_is_put_off_or_parked_stays_one() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "prod/a.tf": "1" } }))
        .await?;
    let ids = harbor.dispatch().await?;

    // Put off: Azure DevOps has a bad moment.
    let limited =
        json!({ "kind": "tooManyRequests", "path": "/diffs/commits", "retryAfterSeconds": 1 });
    harbor.control(Method::POST, "faults", limited).await?;
    again(&harbor, &ids[0], json!({ "rerun": true })).await?;
    harbor
        .control(Method::DELETE, "faults", Value::Null)
        .await?;
    assert_eq!(harbor.runs(&stack).await?.len(), 1);
    let put_off: Vec<Value> = waited_for(&harbor).await?;
    let [message] = put_off.as_slice() else {
        panic!("{put_off:?}")
    };
    assert_eq!(
        (&message["again"], &message["rerun"], &message["tries"]),
        (&json!(true), &json!(1), &json!(1))
    );
    for _ in 0..2 {
        let failed = Dispatching::hand(&harbor.app, vec![Dispatching::message(message, 1)]).await?;
        ensure!(failed.is_empty(), "{failed:?}");
    }
    assert_eq!(harbor.runs(&stack).await?.len(), 2);

    // Parked: the token is refused. Asking without new runs meanwhile does not take them away.
    harbor
        .control(Method::POST, "tokens/good/expire", Value::Null)
        .await?;
    again(&harbor, &ids[0], json!({ "rerun": true })).await?;
    let parked = harbor.outcome(&ids[0]).await?;
    assert_eq!(
        (parked.outcome.word, parked.rerun),
        (OutcomeWord::Parked, Some(Rerun::Redelivery(2)))
    );
    again(&harbor, &ids[0], json!({})).await?;
    let parked = harbor.outcome(&ids[0]).await?;
    assert_eq!(parked.rerun, Some(Rerun::Redelivery(2)));
    harbor.new_token("older").await?;
    let unpark = json!({ "kind": "unpark", "integration": harbor.linked.name });
    Dispatching::hand(&harbor.app, vec![Dispatching::message(&unpark, 1)]).await?;
    let woken = waited_for(&harbor).await?;
    assert_eq!(woken.len(), 1);
    // Woken twice: the second time nothing is parked any more.
    for _ in 0..2 {
        let failed =
            Dispatching::hand(&harbor.app, vec![Dispatching::message(&woken[0], 1)]).await?;
        ensure!(failed.is_empty(), "{failed:?}");
    }
    let runs = harbor.runs(&stack).await?;
    assert_eq!(runs.len(), 3);
    assert!(
        runs.iter()
            .any(|run| run.reason.contains("asked for again (redelivery 2)")),
        "{runs:?}"
    );
    let record = harbor.outcome(&ids[0]).await?;
    assert_eq!(
        (record.outcome.word, record.rerun),
        (OutcomeWord::Dispatched, None)
    );
    Ok(())
}

/// The messages about deliveries that are in the queue, also those that are to wait.
async fn waited_for(harbor: &Dispatching) -> Result<Vec<Value>> {
    for _ in 0..120 {
        let all = drain(&harbor.bed, &harbor.queue).await?;
        let of_deliveries: Vec<Value> = all
            .into_iter()
            .filter(|body| body["kind"] == "delivery")
            .collect();
        if !of_deliveries.is_empty() {
            return Ok(of_deliveries);
        }
        if crate::support::dispatching::waiting(&harbor.bed, &harbor.queue).await? == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    Ok(Vec::new())
}

#[tokio::test]
async fn a_pull_request_that_is_asked_for_again_runs_as_it_is_now_and_a_closed_one_does_not()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let path = pull_request(&harbor, "fix", false).await?;
    let ids = harbor.dispatch().await?;
    let created = &ids[1];
    assert_eq!(harbor.runs(&stack).await?.len(), 1);
    again(&harbor, created, json!({})).await?;
    assert_eq!(harbor.runs(&stack).await?.len(), 1);
    again(&harbor, created, json!({ "rerun": true })).await?;
    let runs = harbor.runs(&stack).await?;
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[0].commit, runs[1].commit);

    // It has another commit when the stream tells of the same redelivery once more.
    harbor
        .push(json!({ "branch": "fix", "files": { "prod/fix.tf": "2" } }))
        .await?;
    let record = told(&harbor, created, 2).await?;
    Dispatching::hand(&harbor.app, vec![record]).await?;
    assert_eq!(harbor.runs(&stack).await?.len(), 2);
    again(&harbor, created, json!({ "rerun": true })).await?;
    let runs = harbor.runs(&stack).await?;
    assert_eq!(runs.len(), 3);
    assert!(
        runs.iter().any(|run| run.commit != runs[0].commit),
        "the pull request is at another commit by now"
    );
    harbor.sent().await?;

    harbor
        .act(Method::PATCH, &path, json!({ "status": "completed" }))
        .await?;
    again(&harbor, created, json!({ "rerun": true })).await?;
    let (verdict, reason) = harbor.verdict(created, &stack).await?;
    assert_eq!(
        (verdict.as_str(), reason.as_str()),
        ("canceled", "the pull request is completed")
    );
    again(&harbor, created, json!({ "rerun": true })).await?;
    assert_eq!(
        harbor.verdict(created, &stack).await?,
        (NONE.to_owned(), "the pull request is completed".to_owned())
    );
    let runs = harbor.runs(&stack).await?;
    assert_eq!(runs.len(), 3);
    assert!(runs.iter().all(|run| run.state == RunState::Canceled));
    Ok(())
}

#[tokio::test]
async fn drafts_stay_out_and_comments_run_again_where_that_is_asked_for() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let strict = harbor.stack(json!({})).await?;
    let open = harbor.stack(json!({ "runDrafts": true })).await?;
    let path = pull_request(&harbor, "draft", true).await?;
    harbor.sent().await?;
    let comment = json!({ "content": "/stackhook run" });
    harbor
        .act(Method::POST, &format!("{path}/comments"), comment)
        .await?;
    let ids = harbor.dispatch().await?;
    for (count, body) in [(1, json!({})), (2, json!({ "rerun": true }))] {
        again(&harbor, &ids[0], body).await?;
        assert_eq!(
            harbor.verdict(&ids[0], &strict).await?,
            (NONE.to_owned(), "draft pull request".to_owned())
        );
        assert_eq!(harbor.runs(&open).await?.len(), count);
    }
    let runs = harbor.runs(&open).await?;
    assert!(
        runs.iter().any(|run| run
            .reason
            .starts_with("asked for again (redelivery 2): `/stackhook run` in a comment; ")),
        "{runs:?}"
    );
    assert!(harbor.runs(&strict).await?.is_empty());
    Ok(())
}

/// Asks for a range of deliveries again.
async fn range(harbor: &Dispatching, body: &Value) -> Result<(u16, Value)> {
    let deliveries = harbor.bed.deliveries().await;
    parts(&deliveries.handle(send("POST", "/redeliveries", body)).await)
}

/// Dispatches what was asked for by an answer.
async fn dispatched(harbor: &Dispatching, answer: &Value) -> Result<()> {
    for row in answer["deliveries"].as_array().context("no deliveries")? {
        if let Some(number) = row["redelivery"].as_u64() {
            let id: DeliveryId = row["id"].as_str().context("no id")?.parse()?;
            let record = told(harbor, &id, number).await?;
            let failed = Dispatching::hand(&harbor.app, vec![record]).await?;
            ensure!(failed.is_empty(), "{failed:?}");
        }
    }
    Ok(())
}

fn row<'a>(answer: &'a Value, id: &DeliveryId) -> Result<&'a Value> {
    let rows = answer["deliveries"].as_array().context("no deliveries")?;
    let row = rows.iter().find(|row| row["id"] == id.to_string());
    row.with_context(|| format!("{answer} has no {id}"))
}

fn stacks_of(row: &Value, field: &str) -> Vec<String> {
    let all = row[field].as_array().cloned().unwrap_or_default();
    let mut names: Vec<String> = all
        .iter()
        .filter_map(|one| one["stack"].as_str().map(str::to_owned))
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_range_says_first_what_would_run_and_then_makes_just_that() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let prod = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "prod/a.tf": "1", "docs/a.md": "1" } }))
        .await?;
    pull_request(&harbor, "fix", false).await?;
    let seen = harbor.dispatch().await?;
    assert_eq!(seen.len(), 4, "two pushes, created, the trial merge");
    harbor
        .push(json!({ "branch": "main", "files": { "prod/b.tf": "1" } }))
        .await?;
    let missed = harbor.sent().await?;
    let missed = harbor.stored(&missed).await?;
    // Stacks that were not there then; of one all is kept that has to be known.
    let docs = harbor.stack(json!({ "projectRoot": "docs" })).await?;
    let fix = harbor.stack(json!({ "branch": "fix" })).await?;

    let of_all = json!({ "integration": harbor.linked.name, "dryRun": true });
    let (status, dry) = range(&harbor, &of_all).await?;
    assert_eq!(status, 200, "{dry}");
    assert_eq!(
        (&dry["matched"], &dry["redelivered"], &dry["skipped"]),
        (&json!(5), &json!(0), &json!(0))
    );
    assert!(dry.get("nextPageToken").is_none());
    let push = row(&dry, &seen[0])?;
    assert_eq!(stacks_of(push, "runs"), [docs.as_str()], "{push}");
    assert_eq!(
        push["runs"][0],
        json!({ "stack": docs, "kind": "tracked", "reason": "`docs/a.md` is in `docs/`" })
    );
    assert!(stacks_of(push, "unknown").is_empty());
    // The branch is new, so whatever changed; nobody followed it then.
    assert_eq!(stacks_of(row(&dry, &seen[1])?, "runs"), [fix.as_str()]);
    // Each has its run, of one by the other.
    for id in &seen[2..] {
        assert!(stacks_of(row(&dry, id)?, "runs").is_empty());
    }
    let lost = row(&dry, &missed[0])?;
    assert_eq!(lost["outcome"], "stored");
    let mut all = vec![docs.to_string(), prod.to_string()];
    all.sort_unstable();
    assert_eq!(stacks_of(lost, "unknown"), all, "{lost}");
    let counted: usize = [&seen[..], &missed[..]]
        .concat()
        .iter()
        .map(|id| stacks_of(row(&dry, id).unwrap_or(&Value::Null), "runs").len())
        .sum();
    assert_eq!(dry["runs"], counted);
    // With new runs also those that have had theirs.
    let reruns = json!({ "integration": harbor.linked.name, "dryRun": true, "rerun": true });
    let (_, reruns) = range(&harbor, &reruns).await?;
    assert_eq!(stacks_of(row(&reruns, &seen[0])?, "runs"), all);
    assert_eq!(stacks_of(row(&reruns, &seen[2])?, "runs"), [prod.as_str()]);
    assert_eq!(
        row(&reruns, &seen[2])?["runs"][0]["kind"],
        json!("proposed")
    );

    let before = harbor.runs(&prod).await?.len();
    assert_eq!(before, 2, "and nothing was done by all that");
    let (status, done) = range(&harbor, &json!({ "integration": harbor.linked.name })).await?;
    assert_eq!(status, 202, "{done}");
    assert_eq!(
        (&done["matched"], &done["redelivered"], &done["runs"]),
        (&json!(5), &json!(5), &dry["runs"])
    );
    dispatched(&harbor, &done).await?;
    assert_eq!(harbor.runs(&docs).await?.len(), 1);
    assert_eq!(harbor.runs(&fix).await?.len(), 1);
    let runs = harbor.runs(&prod).await?;
    assert_eq!(runs.len(), before + 1, "the one that was missed");
    // Once more: there is nothing left to heal.
    let (_, twice) = range(&harbor, &json!({ "integration": harbor.linked.name })).await?;
    assert_eq!(
        (&twice["runs"], &twice["redelivered"]),
        (&json!(0), &json!(5))
    );
    dispatched(&harbor, &twice).await?;
    assert_eq!(harbor.runs(&prod).await?.len(), before + 1);
    assert_eq!(harbor.runs(&docs).await?.len(), 1);
    Ok(())
}

/// How many runs a stack gets by a range that is sent again for new runs; the answer tells that before.
async fn reruns(harbor: &Dispatching, stack: &domain::StackName, more: Value) -> Result<usize> {
    let mut wish = json!({ "integration": harbor.linked.name, "rerun": true, "dryRun": true });
    for (field, value) in more.as_object().context("no fields")? {
        wish[field] = value.clone();
    }
    let before = harbor.runs(stack).await?.len();
    let (_, dry) = range(harbor, &wish).await?;
    wish["dryRun"] = json!(false);
    let (status, done) = range(harbor, &wish).await?;
    ensure!(status == 202, "{done}");
    ensure!(done["runs"] == dry["runs"], "{done} {dry}");
    dispatched(harbor, &done).await?;
    let made = harbor.runs(stack).await?.len() - before;
    let foretold: usize = done["deliveries"]
        .as_array()
        .context("no deliveries")?
        .iter()
        .flat_map(|row| stacks_of(row, "runs"))
        .filter(|name| name == stack.as_str())
        .count();
    ensure!(foretold == made, "{made} runs: {done}");
    Ok(made)
}

#[tokio::test]
async fn what_several_deliveries_of_a_range_tell_of_has_one_new_run() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    pull_request(&harbor, "fix", false).await?;
    harbor.dispatch().await?;
    for content in ["2", "3"] {
        harbor
            .push(json!({ "branch": "fix", "files": { "prod/fix.tf": content } }))
            .await?;
        harbor.dispatch().await?;
    }
    let before = harbor.runs(&stack).await?;
    assert_eq!(before.len(), 3, "one for each commit");
    let of_pull_requests = json!({ "repository": "platform" });
    assert_eq!(reruns(&harbor, &stack, of_pull_requests.clone()).await?, 1);
    let runs = harbor.runs(&stack).await?;
    let new = runs.iter().find(|run| !before.contains(run));
    let tip = before.iter().max_by_key(|run| run.requested_at);
    assert_eq!(
        new.map(|run| (&run.commit, run.state)),
        tip.map(|run| (&run.commit, RunState::Queued))
    );
    // Again is again: whose run the one before was does not matter.
    assert_eq!(reruns(&harbor, &stack, of_pull_requests).await?, 1);

    // A push that came by itself, and was found as well.
    let main = harbor.stack(json!({ "projectRoot": "docs" })).await?;
    let mut told = Vec::new();
    for content in ["1", "2"] {
        harbor
            .push(json!({ "branch": "main", "files": { "docs/a.md": content } }))
            .await?;
        told.extend(harbor.sent().await?);
    }
    let mut found = told[1].clone();
    found["id"] = json!(uuid::Uuid::new_v4());
    // The newer one first, so the older one is superseded: a range does not bring that back.
    for body in [&told[1], &found, &told[0]] {
        harbor.dispatched(std::slice::from_ref(body)).await?;
    }
    let is_of = |run: &domain::Run| run.push_id == told[1]["resource"]["pushId"].as_i64();
    let pushes = json!({ "eventType": "git.push", "requestId": "outage-3" });
    assert_eq!(reruns(&harbor, &main, pushes.clone()).await?, 1);
    let runs = harbor.runs(&main).await?;
    assert_eq!(runs.iter().filter(|run| is_of(run)).count(), 2);
    assert_eq!(runs.len(), 3, "{runs:?}");
    // The same wish once more is the same wish.
    let (_, same) = range(&harbor, &{
        let mut same = pushes;
        same["integration"] = json!(harbor.linked.name);
        same["rerun"] = json!(true);
        same
    })
    .await?;
    dispatched(&harbor, &same).await?;
    assert_eq!(harbor.runs(&main).await?.len(), 3);

    // Each alone is asked for on purpose.
    let ids = harbor.stored(&[told[1].clone(), found]).await?;
    for id in &ids {
        again(&harbor, id, json!({ "rerun": true })).await?;
    }
    assert_eq!(harbor.runs(&main).await?.len(), 5);
    // Both have a run of their own now, and the push has one more.
    let pushes = json!({ "eventType": "git.push", "requestId": "outage-4" });
    assert_eq!(reruns(&harbor, &main, pushes).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_delivery_is_sent_again_a_thousand_times_and_no_more() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    harbor
        .push(json!({ "branch": "main", "files": { "a": "1" } }))
        .await?;
    harbor
        .push(json!({ "branch": "main", "files": { "a": "2" } }))
        .await?;
    let ids = harbor.dispatch().await?;
    let named = json!({ "requestId": "the-first" });
    assert_eq!(ask(&harbor, &ids[0], named.clone()).await?["redelivery"], 1);
    let endpoint = &harbor.bed.stack.description.endpoint_url;
    let text = |text: String| AttributeValue::S(text);
    let number = AttributeValue::N(store::MOST_REDELIVERIES.to_string());
    let sort = format!("{}#redelivery#001000", ids[0].sort());
    aws_sdk_dynamodb::Client::new(&harbor.bed.aws_at(endpoint).await)
        .put_item()
        .table_name(harbor.bed.tables().events)
        .item("pk", text(ids[0].partition().to_owned()))
        .item("sk", text(sort))
        .item("redelivery", number)
        .send()
        .await?;
    let deliveries = harbor.bed.deliveries().await;
    let path = format!("/deliveries/{}/redelivery", ids[0]);
    let (status, refused) = parts(&deliveries.handle(send("POST", &path, &json!({}))).await)?;
    assert_eq!(
        (status, problem(&refused)),
        (409, "too-many-redeliveries"),
        "{refused}"
    );
    // A wish that was granted is granted still.
    assert_eq!(ask(&harbor, &ids[0], named).await?["redelivery"], 1);

    let (status, answer) = range(&harbor, &json!({ "integration": harbor.linked.name })).await?;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(
        (
            &answer["matched"],
            &answer["redelivered"],
            &answer["skipped"]
        ),
        (&json!(2), &json!(1), &json!(1))
    );
    let why = row(&answer, &ids[0])?["skipped"].as_str();
    assert!(why.is_some_and(|why| why.contains("1000 times")), "{why:?}");
    assert_eq!(row(&answer, &ids[1])?["redelivery"], 1);
    Ok(())
}

#[tokio::test]
async fn a_wish_without_a_name_is_one_wish_on_all_of_its_pages() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    harbor
        .push(json!({ "branch": "main", "files": { "a": "1" } }))
        .await?;
    let template = harbor.sent().await?.remove(0);
    let bodies: Vec<Value> = (0..201)
        .map(|number| {
            let mut body = template.clone();
            body["id"] = json!(uuid::Uuid::new_v4());
            body["resource"]["pushId"] = json!(1_000 + number);
            body
        })
        .collect();
    harbor.stored(&bodies).await?;
    let mut wish = json!({ "integration": harbor.linked.name, "rerun": true });
    let (_, first) = range(&harbor, &wish).await?;
    wish["pageToken"] = first["nextPageToken"].clone();
    for _ in 0..2 {
        let (_, second) = range(&harbor, &wish).await?;
        assert_eq!(second["deliveries"][0]["redelivery"], 1, "{second}");
    }
    let asked = async |id: &Value| -> Result<Value> {
        let id: DeliveryId = id.as_str().context("no id")?.parse()?;
        let record = told(&harbor, &id, 1).await?;
        Ok(record["dynamodb"]["NewImage"]["request"].clone())
    };
    let (_, second) = range(&harbor, &wish).await?;
    let of_both = [&first, &second].map(|page| &page["deliveries"][0]["id"]);
    assert_eq!(asked(of_both[0]).await?, asked(of_both[1]).await?);
    Ok(())
}

#[tokio::test]
async fn a_range_goes_on_page_by_page_and_a_named_wish_is_one_wish() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    harbor
        .push(json!({ "branch": "main", "files": { "a": "1" } }))
        .await?;
    let template = harbor.sent().await?.remove(0);
    let bodies: Vec<Value> = (0..230)
        .map(|number| {
            let mut body = template.clone();
            body["id"] = json!(uuid::Uuid::new_v4());
            body["resource"]["pushId"] = json!(1_000 + number);
            body
        })
        .collect();
    let ids = harbor.stored(&bodies).await?;
    let expected: BTreeSet<String> = ids.iter().map(ToString::to_string).collect();
    for round in 0..2 {
        let mut wish =
            json!({ "integration": harbor.linked.name, "rerun": true, "requestId": "outage-3" });
        let (mut seen, mut pages) = (BTreeSet::new(), Vec::new());
        loop {
            let (status, answer) = range(&harbor, &wish).await?;
            assert_eq!(status, 202, "{answer}");
            for row in answer["deliveries"].as_array().context("none")? {
                assert_eq!(row["redelivery"], 1, "round {round}");
                let id = row["id"].as_str().context("no id")?.to_owned();
                assert!(seen.insert(id), "one comes on two pages");
            }
            pages.push(answer["matched"].as_u64());
            let Some(token) = answer["nextPageToken"].as_str() else {
                break;
            };
            wish["pageToken"] = json!(token);
            // It is good for this wish and no other.
            for (field, value) in [
                ("dryRun", json!(true)),
                ("rerun", json!(false)),
                ("requestId", json!("other")),
                ("eventType", json!("git.push")),
            ] {
                let mut other = wish.clone();
                other[field] = value;
                let (status, refused) = range(&harbor, &other).await?;
                assert_eq!(
                    (status, problem(&refused)),
                    (400, "invalid-page-token"),
                    "{field}"
                );
            }
        }
        assert_eq!(seen, expected);
        assert_eq!(pages, [Some(200), Some(30)]);
    }
    Ok(())
}

#[tokio::test]
async fn a_range_is_what_its_filters_mean_and_what_is_no_event_is_skipped() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({})).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "a": "1" } }))
        .await?;
    pull_request(&harbor, "fix", false).await?;
    let ids = harbor.dispatch().await?;
    let bed = &harbor.bed;
    let webhook = bed.webhook().await;
    assert_eq!(
        post(&webhook, &harbor.linked, b"no json".to_vec()).await,
        200
    );
    let name = json!(harbor.linked.name);
    for (more, matched, skipped) in [
        (json!({}), 5, 1),
        (json!({ "eventType": "git.push" }), 2, 0),
        (json!({ "eventType": "git.pullrequest.created" }), 1, 0),
        (json!({ "repository": "platform" }), 4, 0),
        (json!({ "repository": "Harbor/PLATFORM" }), 4, 0),
        (json!({ "repository": "website" }), 0, 0),
        (json!({ "outcome": "quarantined" }), 1, 1),
        (json!({ "outcome": "parked" }), 0, 0),
        (json!({ "from": "2026-01-01", "to": "2026-01-02" }), 0, 0),
        (json!({ "from": crate::support::now().to_string() }), 0, 0),
        (json!({ "outcome": "parked", "from": "9999-01-01" }), 0, 0),
        (
            json!({ "outcome": "quarantined", "to": "2020-01-01" }),
            0,
            0,
        ),
    ] {
        let mut wish = more.clone();
        wish["integration"] = name.clone();
        wish["dryRun"] = json!(true);
        let (status, answer) = range(&harbor, &wish).await?;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(
            (&answer["matched"], &answer["skipped"]),
            (&json!(matched), &json!(skipped)),
            "{more}"
        );
    }
    let (_, answer) = range(
        &harbor,
        &json!({ "integration": name, "outcome": "quarantined" }),
    )
    .await?;
    assert_eq!(
        (&answer["redelivered"], &answer["skipped"]),
        (&json!(0), &json!(1))
    );
    let why = &answer["deliveries"][0]["skipped"];
    assert!(why.as_str().is_some_and(|why| why.contains("understood")));

    // Nobody sends everything again by mistake.
    for everything in [
        json!({}),
        json!({ "rerun": true }),
        json!({ "dryRun": true, "integration": "" }),
    ] {
        let (status, refused) = range(&harbor, &everything).await?;
        assert_eq!((status, problem(&refused)), (400, "invalid-request"));
    }
    for (bad, field) in [
        (json!({ "integration": "No Name" }), "integration"),
        (json!({ "from": "yesterday" }), "from"),
        (json!({ "from": "2026-11-24", "to": "2026-11-23" }), "from"),
        (json!({ "outcome": "lost" }), "outcome"),
        (json!({ "everything": true }), "everything"),
    ] {
        let (status, refused) = range(&harbor, &bad).await?;
        assert_eq!(
            (status, problem(&refused), &refused["field"]),
            (400, "invalid-request", &json!(field)),
            "{refused}"
        );
    }
    // At once, and each is dispatched: one run a push, whoever asked.
    let wish = json!({ "integration": name, "eventType": "git.push" });
    let (one, two) = tokio::join!(range(&harbor, &wish), range(&harbor, &wish));
    for (status, answer) in [one?, two?] {
        assert_eq!((status, &answer["redelivered"]), (202, &json!(2)));
        dispatched(&harbor, &answer).await?;
    }
    let of_pushes = harbor.runs(&stack).await?;
    let of_pushes = of_pushes.iter().filter(|run| run.pull_request.is_none());
    assert_eq!(of_pushes.count(), 1);
    assert_eq!(harbor.verdict(&ids[0], &stack).await?.0, RUN);
    Ok(())
}
