//! Runs shown, and their executors' reports of them; in process, on runs that are written to the store.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{Run, RunState, run::CancelReason};
use jiff::SignedDuration;
use serde_json::{Value, json};
use store::{
    Report,
    keys::{PARTITION, RUN, SORT},
};

use crate::{
    run_store::{RETENTION, asked, one, stack, written},
    support::{Bed, Fate, Tap, get, json as body_of, now, parts, problem, send},
};

async fn patch(app: &runs::App, run: &Run, report: &Value) -> Result<(u16, Value)> {
    let path = format!("/runs/{}", run.id);
    parts(&app.handle(send("PATCH", &path, report)).await)
}

async fn shown(app: &runs::App, run: &Run) -> Result<Value> {
    body_of(app.handle(get(&format!("/runs/{}", run.id))).await)
}

#[tokio::test]
async fn an_executor_reports_a_run_from_its_beginning_to_its_end() -> Result<()> {
    let bed = Bed::new()?;
    let (app, store) = (bed.runs().await, bed.store().await);
    let run = one(&store, "acme").await?;
    let queued = shown(&app, &run).await?;
    for (field, value) in [
        ("id", json!(run.id)),
        ("kind", json!("tracked")),
        ("state", json!("queued")),
        ("version", json!(1)),
        ("stack", json!(run.stack)),
        ("commit", json!(run.commit)),
        ("refName", json!("refs/heads/main")),
        ("trigger", json!("request")),
        ("requestedAt", json!(edge::http::moment(run.requested_at))),
        ("report", Value::Null),
        ("startedAt", Value::Null),
    ] {
        assert_eq!(queued[field], value, "{field}");
    }
    let begin = json!({ "state": "running", "description": "planning", "targetUrl": "https://ci.example.com/7" });
    let (status, running) = patch(&app, &run, &begin).await?;
    assert_eq!(status, 200, "{running}");
    for (field, value) in [
        ("state", "running"),
        ("description", "planning"),
        ("targetUrl", "https://ci.example.com/7"),
    ] {
        assert_eq!(running[field], value, "{field}");
    }
    assert!(running["startedAt"].is_string() && running["endedAt"].is_null());
    assert_eq!(running, shown(&app, &run).await?);
    let (status, told) = patch(&app, &run, &json!({ "description": "3 to add" })).await?;
    assert_eq!((status, &told["state"]), (200, &json!("running")), "{told}");
    assert_eq!(
        (&told["version"], &told["targetUrl"]),
        (&json!(3), &running["targetUrl"])
    );
    assert_eq!(told["startedAt"], running["startedAt"]);
    let (status, ended) = patch(
        &app,
        &run,
        &json!({ "state": "finished", "targetUrl": null }),
    )
    .await?;
    assert_eq!(
        (status, &ended["state"]),
        (200, &json!("finished")),
        "{ended}"
    );
    assert_eq!(
        (&ended["description"], &ended["targetUrl"]),
        (&json!("3 to add"), &Value::Null)
    );
    assert!(ended["endedAt"].is_string());
    let times = ended.as_object().context("no object")?;
    let times: BTreeSet<&str> = times
        .keys()
        .map(String::as_str)
        .filter(|name| name.ends_with("At"))
        .collect();
    assert_eq!(times, Run::TIMES.into(), "all of them are shown alike");
    Ok(())
}

#[tokio::test]
async fn a_missed_running_holds_no_end_up_and_giving_up_is_the_executors_own() -> Result<()> {
    let bed = Bed::new()?;
    let (app, store) = (bed.runs().await, bed.store().await);
    for end in ["finished", "failed", "canceled"] {
        let run = one(&store, "acme").await?;
        let (status, ended) = patch(&app, &run, &json!({ "state": end })).await?;
        assert_eq!((status, &ended["state"]), (200, &json!(end)), "{ended}");
        assert!(ended["startedAt"].is_null());
        let because = (end == "canceled").then_some("executor");
        assert_eq!(ended["canceledBecause"].as_str(), because);
    }
    Ok(())
}

#[tokio::test]
async fn a_repeat_is_answered_with_the_run_and_writes_nothing() -> Result<()> {
    let bed = Bed::new()?;
    let run = one(&bed.store().await, "acme").await?;
    let tap = Tap::counting(&bed.stack.description.endpoint_url).await?;
    let app = bed.runs_at(&tap.url()).await;
    for state in ["running", "finished"] {
        let report = json!({ "state": state, "description": state });
        let (_, first) = patch(&app, &run, &report).await?;
        let puts = tap.count("PutItem");
        let same = json!({ "state": state });
        for again in [&report, &same] {
            let (status, body) = patch(&app, &run, again).await?;
            assert_eq!((status, &body), (200, &first), "{again}");
        }
        assert_eq!(tap.count("PutItem"), puts, "{state}");
    }
    // Of an end stays what was said first.
    let other = json!({ "state": "finished", "description": "other", "targetUrl": "https://ci.example.com" });
    let (status, body) = patch(&app, &run, &other).await?;
    assert_eq!((status, &body["description"]), (200, &json!("finished")));
    assert_eq!(tap.count("PutItem"), 2);
    Ok(())
}

#[tokio::test]
async fn no_report_takes_a_run_on_from_its_end_and_each_is_told_what_it_is() -> Result<()> {
    let bed = Bed::new()?;
    let (app, store) = (bed.runs().await, bed.store().await);
    let refused = async |run: &Run, report: Value, words: &str| -> Result<()> {
        let before = shown(&app, run).await?;
        let (status, body) = patch(&app, run, &report).await?;
        assert_eq!(
            (status, problem(&body)),
            (409, "run-ended"),
            "{report}: {body}"
        );
        let detail = body["detail"].as_str().context("no detail")?;
        assert!(detail.contains(words), "{report}: {detail}");
        assert_eq!(shown(&app, run).await?, before, "{report}");
        Ok(())
    };
    for (end, words) in [
        ("finished", "has finished already"),
        ("failed", "has failed already"),
    ] {
        let run = one(&store, "acme").await?;
        patch(&app, &run, &json!({ "state": end })).await?;
        let other = if end == "failed" {
            "finished"
        } else {
            "failed"
        };
        for report in [
            json!({ "state": "running" }),
            json!({ "state": other }),
            json!({ "state": "canceled" }),
            json!({ "description": "too late" }),
        ] {
            refused(&run, report, words).await?;
        }
    }
    for (because, words) in [
        (
            CancelReason::PullRequestClosed,
            "this run was canceled: the pull request was closed; stop working on it",
        ),
        (CancelReason::Unlinked, "the integration was unlinked; stop"),
        (CancelReason::StackDeleted, "its stack was deleted; stop"),
    ] {
        let run = one(&store, "acme").await?;
        store.cancel_run(&run.id, because, RETENTION, now()).await?;
        for report in [
            json!({ "state": "running" }),
            json!({ "state": "finished" }),
            json!({ "targetUrl": "https://ci.example.com" }),
        ] {
            refused(&run, report, words).await?;
        }
        let (status, body) = patch(&app, &run, &json!({ "state": "canceled" })).await?;
        assert_eq!(
            (status, &body["canceledBecause"]),
            (200, &json!(because)),
            "it stays so"
        );
    }
    let superseded = Run {
        state: RunState::Superseded,
        superseded_by: Some(44),
        ..asked(&stack("acme")?, "1", now())
    };
    written(&store, std::slice::from_ref(&superseded)).await?;
    for report in [json!({ "state": "running" }), json!({ "description": "x" })] {
        refused(&superseded, report, "superseded by push 44").await?;
    }
    Ok(())
}

#[tokio::test]
async fn of_two_executors_at_once_the_slower_is_judged_by_what_the_quicker_made_of_the_run()
-> Result<()> {
    let bed = Bed::new()?;
    let (app, store) = (bed.runs().await, bed.store().await);
    for (quicker, expected, end, version) in [
        ("finished", 409, "finished", 2),
        ("failed", 200, "failed", 2),
        ("running", 200, "failed", 3),
    ] {
        let tap = Tap::on(&bed.stack.description.endpoint_url, |call, number| {
            if call.ends_with("PutItem") && number == 1 {
                Fate::Delay(std::time::Duration::from_millis(700))
            } else {
                Fate::Pass
            }
        })
        .await?;
        let slower_app = bed.runs_at(&tap.url()).await;
        let run = one(&store, "acme").await?;
        let (slow, quick) = (json!({ "state": "failed" }), json!({ "state": quicker }));
        // The slower one has read the run, and its write is under way.
        let meanwhile = async {
            while tap.count("PutItem") == 0 {
                tokio::task::yield_now().await;
            }
            patch(&app, &run, &quick).await
        };
        let (slower, quick) = tokio::join!(patch(&slower_app, &run, &slow), meanwhile);
        assert_eq!(quick?.0, 200, "{quicker}");
        let (status, body) = slower?;
        assert_eq!(status, expected, "{quicker}: {body}");
        if status == 409 {
            assert_eq!(problem(&body), "run-ended", "{quicker}");
        }
        let run = shown(&app, &run).await?;
        let (state, counted) = (&run["state"], &run["version"]);
        assert_eq!(
            (state, counted),
            (&json!(end), &json!(version)),
            "{quicker}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_run_that_changes_all_the_time_is_a_503_in_the_end_and_no_wrong_state() -> Result<()> {
    let bed = Bed::new()?;
    let store = bed.store().await;
    let run = one(&store, "acme").await?;
    let refusal = crate::support::answer::Answer::error(400, "ConditionalCheckFailedException");
    let tap = Tap::on(&bed.stack.description.endpoint_url, move |call, _| {
        if call.ends_with("PutItem") {
            Fate::Answer(refusal)
        } else {
            Fate::Pass
        }
    })
    .await?;
    let app = bed.runs_at(&tap.url()).await;
    let (status, body) = patch(&app, &run, &json!({ "state": "running" })).await?;
    assert_eq!((status, problem(&body)), (503, "unavailable"), "{body}");
    assert!(tap.count("PutItem") > 1);
    assert_eq!(store.run(&run.id).await?, Some(run));
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_at_any_call_is_no_failure() -> Result<()> {
    let bed = Bed::new()?;
    let run = one(&bed.store().await, "acme").await?;
    let steps = [
        (json!({ "state": "running" }), "GetItem", 2),
        (json!({ "description": "on it" }), "PutItem", 3),
        (json!({ "state": "failed" }), "PutItem", 4),
    ];
    for (report, lost, version) in steps {
        let judge = move |call: &str, number: usize| {
            if call.ends_with(lost) && number == 1 {
                Fate::CutAnswer
            } else {
                Fate::Pass
            }
        };
        let tap = Tap::on(&bed.stack.description.endpoint_url, judge).await?;
        let (status, body) = patch(&bed.runs_at(&tap.url()).await, &run, &report).await?;
        assert_eq!(
            (status, &body["version"]),
            (200, &json!(version)),
            "{report}: {body}"
        );
        assert!(tap.count(lost) > 1, "{report}");
    }
    Ok(())
}

#[tokio::test]
async fn what_dynamodb_cannot_do_is_a_503_that_shows_no_cause() -> Result<()> {
    let bed = Bed::new()?;
    let run = one(&bed.store().await, "acme").await?;
    let tap = Tap::on(&bed.stack.description.endpoint_url, |_, _| Fate::Cut).await?;
    let app = bed.runs_at(&tap.url()).await;
    for answer in [
        patch(&app, &run, &json!({ "state": "running" })).await?,
        parts(&app.handle(get(&format!("/runs/{}", run.id))).await)?,
        parts(&app.handle(get("/runs")).await)?,
    ] {
        let (status, body) = answer;
        assert_eq!((status, problem(&body)), (503, "unavailable"), "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn a_report_that_cannot_be_is_refused_by_its_field_and_changes_nothing() -> Result<()> {
    let bed = Bed::new()?;
    let (app, store) = (bed.runs().await, bed.store().await);
    let run = one(&store, "acme").await?;
    let long = format!("https://ci.example.com/{}", "x".repeat(2_048));
    let url = |url: &str| {
        (
            json!({ "state": "running", "targetUrl": url }),
            422,
            Some("targetUrl"),
        )
    };
    for (report, status, field) in [
        (json!({}), 400, Some("state")),
        (json!({ "state": null }), 400, Some("state")),
        (json!({ "state": 7 }), 400, Some("state")),
        (
            json!({ "state": "running", "version": 7 }),
            400,
            Some("version"),
        ),
        (
            json!({ "state": "running", "canceledBecause": "unlinked" }),
            400,
            Some("canceledBecause"),
        ),
        (json!({ "description": ["x"] }), 400, Some("description")),
        (json!([]), 400, None),
        (json!({ "state": "queued" }), 422, Some("state")),
        (json!({ "state": "superseded" }), 422, Some("state")),
        (json!({ "state": "done" }), 422, Some("state")),
        (json!({ "state": "Running" }), 422, Some("state")),
        url("javascript:alert(document.domain)"),
        url("https://ines:secret@ci.example.com/"),
        url("/runs/7"),
        url("https://ci.example.com/a\r\nSet-Cookie: a=b"),
        url(" "),
        url(&long),
    ] {
        let (answer, body) = patch(&app, &run, &report).await?;
        assert_eq!(
            (answer, body["field"].as_str()),
            (status, field),
            "{report}: {body}"
        );
    }
    assert_eq!(store.run(&run.id).await?, Some(run.clone()));
    let hostile = "\u{202e}\u{0}<script>\n\u{1b}]0;x\u{7} 😀".to_owned() + &"a".repeat(9_000);
    let (status, body) = patch(&app, &run, &json!({ "description": hostile })).await?;
    assert_eq!(status, 200, "{body}");
    let description = body["description"].as_str().context("none")?;
    assert!(
        description.starts_with("<script> ]0;x 😀a"),
        "{description}"
    );
    assert_eq!(description.chars().count(), 400);
    Ok(())
}

#[tokio::test]
async fn a_report_leaves_in_the_table_what_the_run_is_and_nothing_else() -> Result<()> {
    let bed = Bed::new()?;
    let (app, store) = (bed.runs().await, bed.store().await);
    let run = one(&store, "acme").await?;
    let aws = bed.aws_at(&bed.stack.description.endpoint_url).await;
    let client = aws_sdk_dynamodb::Client::new(&aws);
    let item = async || -> Result<_> {
        let key = AttributeValue::S(format!("run#{}", run.id));
        let read = client
            .get_item()
            .table_name(bed.tables().stacks)
            .key(PARTITION, key)
            .key(SORT, AttributeValue::S(RUN.to_owned()))
            .consistent_read(true);
        read.send().await?.item.context("no item")
    };
    let before = item().await?;
    patch(
        &app,
        &run,
        &json!({ "state": "running", "description": "on it" }),
    )
    .await?;
    let running = item().await?;
    let names = |item: &std::collections::HashMap<String, AttributeValue>| -> BTreeSet<String> {
        item.keys().cloned().collect()
    };
    assert_eq!(names(&running), names(&before));
    for (name, value) in &running {
        let may_change = ["run", "version", "state"].contains(&name.as_str());
        assert!(may_change || before[name] == *value, "{name}");
    }
    patch(&app, &run, &json!({ "state": "finished" })).await?;
    let mut open = names(&before);
    let of_the_open = ["open", "concerns"];
    open.retain(|name| !of_the_open.contains(&name.as_str()));
    assert_eq!(names(&item().await?), open, "it is out of the index");
    let stored = store.run(&run.id).await?.context("no run")?;
    let expected = Run {
        state: RunState::Finished,
        version: 3,
        description: Some("on it".to_owned()),
        started_at: stored.started_at,
        ended_at: stored.ended_at,
        updated_at: stored.updated_at,
        ..run
    };
    assert_eq!(stored, expected);
    Ok(())
}

#[tokio::test]
async fn a_run_is_shown_with_what_azure_devops_shows_of_it() -> Result<()> {
    let bed = Bed::new()?;
    let (app, store) = (bed.runs().await, bed.store().await);
    let run = one(&store, "acme").await?;
    let mut report = Report {
        version: 1,
        state: Some(RunState::Queued),
        iteration: Some(3),
        refusal: None,
        reported_at: now(),
    };
    let at = edge::http::moment(report.reported_at);
    store.record_report(&run, &report, RETENTION).await?;
    let expected = json!({ "state": "queued", "iteration": 3, "reportedAt": at });
    assert_eq!(shown(&app, &run).await?["report"], expected);
    report = Report {
        state: None,
        iteration: None,
        refusal: Some("the token's user may not post statuses".to_owned()),
        version: 2,
        ..report
    };
    store.record_report(&run, &report, RETENTION).await?;
    let expected = json!({ "refusal": report.refusal, "reportedAt": at });
    assert_eq!(shown(&app, &run).await?["report"], expected);
    Ok(())
}

#[tokio::test]
async fn an_id_that_is_no_runs_is_a_404_and_other_paths_and_methods_are_refused() -> Result<()> {
    let bed = Bed::new()?;
    let app = bed.runs().await;
    let unknown = asked(&stack("acme")?, "1", now());
    for id in [unknown.id.as_str(), "x", "run%230", "..%2F..", "%00"] {
        for method in ["GET", "PATCH"] {
            let request = send(
                method,
                &format!("/runs/{id}"),
                &json!({ "state": "running" }),
            );
            let (status, body) = parts(&app.handle(request).await)?;
            assert_eq!(
                (status, problem(&body)),
                (404, "not-found"),
                "{method} {id}"
            );
        }
    }
    for (method, path, expected) in [
        ("POST", "/runs", 405),
        ("DELETE", "/runs/x", 405),
        ("PUT", "/runs/x", 405),
        ("GET", "/", 404),
        ("GET", "/runs/x/y", 404),
        ("GET", "/stacks", 404),
    ] {
        let answer = app.handle(send(method, path, &json!({}))).await;
        assert_eq!(answer.status(), expected, "{method} {path}");
    }
    Ok(())
}

/// All pages of a list, as ids; and how many rows each page has.
async fn pages(app: &runs::App, path: &str) -> Result<(Vec<String>, Vec<usize>)> {
    let (mut ids, mut sizes, mut token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = body_of(app.handle(get(&format!("{path}{token}"))).await)?;
        let rows = page["runs"].as_array().context("no runs")?;
        sizes.push(rows.len());
        ids.extend(
            rows.iter()
                .filter_map(|row| row["id"].as_str().map(str::to_owned)),
        );
        let Some(next) = page["nextPageToken"].as_str() else {
            return Ok((ids, sizes));
        };
        token = format!("&pageToken={next}");
    }
}

#[tokio::test]
async fn runs_are_listed_newest_first_by_stack_and_state_and_over_pages() -> Result<()> {
    let bed = Bed::new()?;
    let (app, store) = (bed.runs().await, bed.store().await);
    let (stack, begin) = (stack("acme")?, now());
    let runs: Vec<Run> = (0..12_i64)
        .map(|age| {
            asked(
                &stack,
                &age.to_string(),
                begin - SignedDuration::from_secs(age),
            )
        })
        .collect();
    written(&store, &runs).await?;
    let mut failed = Vec::new();
    for run in runs.iter().skip(3).step_by(4) {
        let (status, body) = patch(&app, run, &json!({ "state": "failed" })).await?;
        assert_eq!(status, 200, "{body}");
        failed.push(run.id.to_string());
    }
    let all: Vec<String> = runs.iter().map(|run| run.id.to_string()).collect();
    let of_stack = format!("/runs?stack={}", stack.name);

    let (ids, sizes) = pages(&app, &format!("{of_stack}&pageSize=5")).await?;
    assert_eq!((ids, sizes), (all.clone(), vec![5, 5, 2]));
    // A page that ends with the last run has no next one.
    let (ids, sizes) = pages(&app, &format!("{of_stack}&pageSize=6")).await?;
    assert_eq!((ids, sizes), (all.clone(), vec![6, 6]));
    let (ids, sizes) = pages(&app, &format!("{of_stack}&state=failed&pageSize=2")).await?;
    assert_eq!(
        (ids, sizes),
        (failed.clone(), vec![2, 1]),
        "no short page, no empty one"
    );
    let (ids, sizes) = pages(&app, &format!("{of_stack}&state=running")).await?;
    assert_eq!((ids, sizes), (vec![], vec![0]));

    // Among all others' runs, of this test's stack or not.
    for (filter, expected) in [("", &all), ("&state=failed", &failed)] {
        let (ids, _) = pages(&app, &format!("/runs?pageSize=100{filter}")).await?;
        let distinct: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "each once");
        let ours: Vec<String> = ids.into_iter().filter(|id| all.contains(id)).collect();
        assert_eq!(ours, *expected, "{filter}");
    }
    let row = body_of(app.handle(get(&format!("{of_stack}&pageSize=1"))).await)?["runs"][0].clone();
    assert_eq!(row, shown(&app, &runs[0]).await?, "as one is shown");
    Ok(())
}

#[tokio::test]
async fn a_state_that_few_of_many_runs_are_in_fills_its_page() -> Result<()> {
    let bed = Bed::new()?;
    let (app, store) = (bed.runs().await, bed.store().await);
    let (stack, begin) = (stack("acme")?, now());
    let mut runs: Vec<Run> = (0..1_100_i64)
        .map(|age| {
            asked(
                &stack,
                &age.to_string(),
                begin - SignedDuration::from_secs(age),
            )
        })
        .collect();
    // The oldest ones: more than one query's worth of others lies before them.
    let oldest: Vec<String> = runs[1_090..].iter().map(|run| run.id.to_string()).collect();
    for run in &mut runs[1_090..] {
        *run = Run {
            version: 1,
            ..run.stepped(RunState::Failed, begin)
        };
    }
    written(&store, &runs).await?;
    let path = format!("/runs?stack={}&state=failed&pageSize=6", stack.name);
    let (ids, sizes) = pages(&app, &path).await?;
    assert_eq!((ids, sizes), (oldest, vec![6, 4]));
    Ok(())
}

#[tokio::test]
async fn a_filter_that_cannot_be_and_a_token_of_another_list_are_refused() -> Result<()> {
    let bed = Bed::new()?;
    let (app, store) = (bed.runs().await, bed.store().await);
    let (stack, begin) = (stack("acme")?, now());
    let runs = ["1", "2"].map(|id| asked(&stack, id, begin));
    written(&store, &runs).await?;
    for (query, field) in [
        ("state=done", "state"),
        ("state=Queued", "state"),
        ("stack=Not%20A%20Slug", "stack"),
        ("stack=a%23b", "stack"),
        ("pageSize=0", "pageSize"),
        ("pageSize=101", "pageSize"),
    ] {
        let (status, body) = parts(&app.handle(get(&format!("/runs?{query}"))).await)?;
        assert_eq!(
            (status, problem(&body), body["field"].as_str()),
            (400, "invalid-request", Some(field)),
            "{query}: {body}"
        );
        if field == "state" {
            let detail = body["detail"].as_str().unwrap_or_default();
            let names_all = RunState::ALL.iter().all(|it| detail.contains(it.as_str()));
            assert!(names_all, "{detail}");
        }
    }
    let list = format!("/runs?stack={}&pageSize=1", stack.name);
    let page = body_of(app.handle(get(&list)).await)?;
    let token = page["nextPageToken"].as_str().context("there are two")?;
    let (state, digest) = token.split_once('.').context("no digest")?;
    for forged in [
        format!("/runs?pageToken={token}"),
        format!("/runs?stack={}&state=queued&pageToken={token}", stack.name),
        format!("/runs?stack=other&pageToken={token}"),
        format!("{list}&pageToken={state}x.{digest}"),
        format!("{list}&pageToken=x.{digest}"),
        format!("{list}&pageToken={state}"),
        format!("{list}&pageToken=!!"),
    ] {
        let (status, body) = parts(&app.handle(get(&forged)).await)?;
        assert_eq!(
            (status, problem(&body)),
            (400, "invalid-page-token"),
            "{forged}: {body}"
        );
    }
    // One that a caller has made whole, with a digest that fits, is a place like any other, or none.
    for (cursor, expected) in [
        (json!({ "month": "2026-99-01", "last": null }), 400),
        (
            json!({ "month": null, "last": ["2026-11-25T00:00:00Z", "run#x"] }),
            400,
        ),
        (json!({ "month": null, "last": ["", ""] }), 400),
        (
            json!({ "month": null, "last": ["2026-11-25T00:00:00Z", runs[0].id] }),
            200,
        ),
        (json!({ "month": "9999-12-31", "last": null }), 200),
        (json!({ "month": "-009999-01-01", "last": null }), 200),
    ] {
        for list in [list.as_str(), "/runs?state=failed"] {
            let made = edge::http::page_token(&get(list), &cursor);
            let (status, body) =
                parts(&app.handle(get(&format!("{list}&pageToken={made}"))).await)?;
            assert_eq!(status, expected, "{list} {cursor}: {body}");
        }
    }
    Ok(())
}
