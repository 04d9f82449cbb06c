//! Stacks and runs whose integration is unlinked, at any moment: detached, and attached again by a person alone; cancelled.

use anyhow::{Context, Result};
use domain::{Run, RunState, run::CancelReason};
use reqwest::Method;
use serde_json::json;
use store::{Detached, Saved, Store};

use crate::{
    run_store::{RETENTION, asked, one, stack, written},
    stacks::{control, create, linked, patch, shown, unlink, wanted},
    support::{Bed, azure_devops, get, json as body_of, new_name, now, problem},
};

#[tokio::test]
async fn an_integration_that_is_not_active_cannot_be_followed_by() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let app = bed.stacks(&azure_devops).await?;
    let linked = bed.linked().await?;
    bed.store()
        .await
        .begin_unlink(&linked.name, "one", now())
        .await?;
    let (status, body) = create(&app, &wanted(&new_name("late"), &linked)).await?;
    assert_eq!(
        (status, problem(&body), body["field"].as_str()),
        (409, "in-progress", Some("integration")),
        "{body}"
    );
    unlink(&bed, &linked).await?;
    let (status, body) = create(&app, &wanted(&new_name("late"), &linked)).await?;
    assert_eq!(
        (status, problem(&body), body["field"].as_str()),
        (422, "invalid-field", Some("integration")),
        "{body}"
    );
    assert!(azure_devops.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn two_writes_of_one_reading_are_one_change_whatever_the_clock_says() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (app, linked) = linked(&bed, &azure_devops).await?;
    let (name, store) = (new_name("twice"), bed.store().await);
    create(&app, &wanted(&name, &linked)).await?;
    let read = store.stack(&name.parse()?).await?.context("no stack")?;
    let at = now();
    let with = |labels: &[&str]| -> Result<domain::Stack> {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        let mut stack = read.clone();
        stack.labels = labels.try_into()?;
        stack.updated_at = at;
        Ok(stack)
    };
    let (mine, theirs) = (with(&["mine"])?, with(&["theirs"])?);
    let write = async |stack| store.change_stack(stack, read.updated_at).await;
    assert_eq!(write(&mine).await?, Saved::Yes);
    assert_eq!(write(&mine).await?, Saved::Yes, "the same write again");
    assert_eq!(write(&theirs).await?, Saved::ChangedSince);
    store.delete_stack(&read.name).await?;
    assert_eq!(write(&mine).await?, Saved::Gone);
    Ok(())
}

#[tokio::test]
async fn unlinking_detaches_and_only_a_person_attaches_again() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (app, linked) = linked(&bed, &azure_devops).await?;
    let (one, other) = (new_name("a"), new_name("b"));
    let (_, created) = create(&app, &wanted(&one, &linked)).await?;
    create(&app, &wanted(&other, &linked)).await?;
    let path = format!("/integrations/{}", linked.name);
    let preview = body_of(bed.unlink().await.handle(get(&path)).await)?;
    assert_eq!(preview["stacks"], json!([one, other]));
    assert_eq!(shown(&app, &one).await?, created, "a preview");

    let done = unlink(&bed, &linked).await?;
    assert_eq!(
        (&done["status"], &done["stacksDetached"]),
        (&json!("unlinked"), &json!(2))
    );
    assert_eq!(unlink(&bed, &linked).await?["stacksDetached"], 0);
    let preview = body_of(bed.unlink().await.handle(get(&path)).await)?;
    assert_eq!(preview["stacks"], json!([]));
    let detached = shown(&app, &one).await?;
    assert_eq!(detached["detached"], true);
    assert!(detached["detachedAt"].is_string());
    for field in ["integration", "project", "repository", "branch"] {
        assert_eq!(detached[field], created[field], "{field}");
    }
    let list = format!("/stacks?integration={}", linked.name);
    let listed = body_of(app.handle(get(&list)).await)?;
    assert_eq!(listed["stacks"].as_array().map(Vec::len), Some(2));

    // What is not followed by anybody's token can be said of it, but not looked for.
    let (status, _) = patch(&app, &one, &json!({ "labels": ["kept"] })).await?;
    assert_eq!(status, 200);
    let (status, body) = patch(&app, &one, &json!({ "branch": "develop" })).await?;
    assert_eq!((status, body["field"].as_str()), (422, Some("integration")));
    let (status, body) = patch(&app, &one, &json!({ "integration": linked.name })).await?;
    assert_eq!(
        (status, body["field"].as_str()),
        (422, Some("integration")),
        "{body}"
    );

    // The same name again attaches nothing by itself.
    let setup = bed.setup(&azure_devops).await?;
    bed.two_minutes_pass(linked.name.as_str()).await?;
    bed.set_up_as(&setup, &azure_devops, linked.name.as_str())
        .await?;
    assert_eq!(shown(&app, &one).await?["detached"], true);
    let (status, attached) = patch(&app, &one, &json!({ "integration": linked.name })).await?;
    assert_eq!(
        (status, &attached["detached"]),
        (200, &json!(false)),
        "{attached}"
    );
    assert!(attached["detachedAt"].is_null());
    assert_eq!(attached["labels"], json!(["kept"]));

    // To another integration of the same organization, while it is attached.
    let second = bed.set_up(&setup, &azure_devops).await?;
    let (status, moved) = patch(&app, &one, &json!({ "integration": second.name })).await?;
    assert_eq!(
        (status, &moved["integration"]),
        (200, &json!(second.name)),
        "{moved}"
    );
    assert_eq!(unlink(&bed, &linked).await?["stacksDetached"], 0);
    assert_eq!(unlink(&bed, &second).await?["stacksDetached"], 1);
    Ok(())
}

#[tokio::test]
async fn a_stack_that_is_saved_while_its_integration_is_unlinked_ends_detached() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (app, linked) = linked(&bed, &azure_devops).await?;
    let slow = json!({ "kind": "latency", "path": "/refs", "milliseconds": 3_000, "times": 1 });
    control(&azure_devops, Method::POST, "faults", slow).await?;
    let name = new_name("race");
    let new = wanted(&name, &linked);
    let meanwhile = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        unlink(&bed, &linked).await
    };
    let (saved, done) = tokio::join!(create(&app, &new), meanwhile);
    assert_eq!(done?["stacksDetached"], 0, "it was not there yet");
    let (status, saved) = saved?;
    assert_eq!((status, &saved["detached"]), (201, &json!(true)), "{saved}");
    assert_eq!(shown(&app, &name).await?, saved);
    Ok(())
}

#[tokio::test]
async fn what_an_earlier_unlinking_missed_is_detached_by_the_next() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (app, linked) = linked(&bed, &azure_devops).await?;
    let (name, store) = (new_name("missed"), bed.store().await);
    create(&app, &wanted(&name, &linked)).await?;
    let stack = store.stack(&name.parse()?).await?.context("no stack")?;
    unlink(&bed, &linked).await?;
    // As if its process had ended right after the write.
    let detached = store.stack(&stack.name).await?.context("no stack")?;
    store.change_stack(&stack, detached.updated_at).await?;
    assert_eq!(unlink(&bed, &linked).await?["stacksDetached"], 1);
    let again = store.detach(&stack.name, &linked.name, now()).await?;
    assert_eq!(again, Detached::Before);
    Ok(())
}

/// The states of runs, and why those are cancelled that are.
async fn states(store: &Store, runs: &[Run]) -> Result<Vec<(RunState, Option<CancelReason>)>> {
    let mut states = Vec::new();
    for run in runs {
        let run = store.run(&run.id).await?.context("no run")?;
        states.push((run.state, run.canceled_because));
    }
    Ok(states)
}

#[tokio::test]
async fn unlinking_cancels_what_is_open_of_the_integration_and_the_preview_says_so() -> Result<()> {
    let bed = Bed::new()?;
    let (linked, other) = (bed.linked().await?, bed.linked().await?);
    let (store, path) = (bed.store().await, format!("/integrations/{}", linked.name));
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(one(&store, linked.name.as_str()).await?);
    }
    for (run, state) in [(0, RunState::Running), (1, RunState::Finished)] {
        let next = runs[run].stepped(state, now());
        store.change_run(&next, 1, RETENTION).await?;
    }
    let others = one(&store, other.name.as_str()).await?;
    let preview = async || body_of(bed.unlink().await.handle(get(&path)).await);
    let shown = preview().await?;
    assert_eq!(shown["runsCount"], 2);
    let row = |run: &Run, state| json!({ "id": run.id, "stack": run.stack, "state": state });
    let newest_first = [row(&runs[2], "queued"), row(&runs[0], "running")];
    assert_eq!(shown["runs"], json!(newest_first));
    assert_eq!(shown, preview().await?, "a preview");

    let done = unlink(&bed, &linked).await?;
    assert_eq!(
        (&done["runsCanceled"], &done["serviceHooksRemoved"]),
        (&json!(2), &json!(0))
    );
    let canceled = (RunState::Canceled, Some(CancelReason::Unlinked));
    let expected = [canceled, (RunState::Finished, None), canceled];
    assert_eq!(states(&store, &runs).await?, expected);
    assert_eq!(states(&store, &[others]).await?, [(RunState::Queued, None)]);
    let shown = preview().await?;
    assert_eq!(
        (&shown["runs"], &shown["runsCount"]),
        (&json!([]), &json!(0))
    );

    // One that was written at the very end of that is met by the same call again.
    let missed = one(&store, linked.name.as_str()).await?;
    let again = unlink(&bed, &linked).await?;
    assert_eq!(again["runsCanceled"], 1, "what was done by this call");
    assert_eq!(states(&store, &[missed]).await?, [canceled]);
    assert_eq!(unlink(&bed, &linked).await?["runsCanceled"], 0);
    Ok(())
}

#[tokio::test]
async fn a_preview_names_fifty_runs_and_counts_all_and_unlinking_cancels_all() -> Result<()> {
    let bed = Bed::new()?;
    let (linked, store) = (bed.linked().await?, bed.store().await);
    let stack = stack(linked.name.as_str())?;
    let runs: Vec<Run> = (0..120)
        .map(|number| asked(&stack, &number.to_string(), now()))
        .collect();
    written(&store, &runs).await?;
    let path = format!("/integrations/{}", linked.name);
    let preview = body_of(bed.unlink().await.handle(get(&path)).await)?;
    assert_eq!(preview["runsCount"], 120);
    assert_eq!(preview["runs"].as_array().map(Vec::len), Some(50));
    assert_eq!(preview["runs"][0]["id"], json!(runs[119].id), "the newest");
    assert_eq!(unlink(&bed, &linked).await?["runsCanceled"], 120);
    let canceled = (RunState::Canceled, Some(CancelReason::Unlinked));
    assert_eq!(states(&store, &runs).await?, vec![canceled; 120]);
    Ok(())
}
