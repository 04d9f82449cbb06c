//! Runs that a person asks for: of what Azure DevOps has, once for each request, and none that outlives its integration or its
//! stack.

use anyhow::{Context, Result, ensure};
use domain::{RunState, run::CancelReason};
use integration_tests::portal::Repository;
use reqwest::Method;
use serde_json::{Value, json};
use simulator::Running;
use store::Report;

use crate::{
    run_store::RETENTION,
    stacks::{control, create, linked, patch, unlink, wanted},
    support::{
        Bed, Fate, Linked, Tap, azure_devops, get, json as body_of, new_name, now, parts, portal,
        problem, send,
    },
};

/// A stack that follows `main`, its function, and somebody who pushes to its repository.
struct Scene {
    bed: Bed,
    azure_devops: Running,
    app: stacks::App,
    linked: Linked,
    name: String,
    keyboard: Repository,
}

impl Scene {
    async fn new() -> Result<Self> {
        Self::of_kind("stack").await
    }

    async fn of_kind(kind: &str) -> Result<Self> {
        let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
        let (app, linked) = linked(&bed, &azure_devops).await?;
        let name = new_name("by-hand");
        let mut new = wanted(&name, &linked);
        new["kind"] = json!(kind);
        let (status, body) = create(&app, &new).await?;
        ensure!(status == 201, "{body}");
        let keyboard = portal(&azure_devops)?.keyboard("tidewater", "Harbor", "platform");
        Ok(Self {
            bed,
            azure_devops,
            app,
            linked,
            name,
            keyboard,
        })
    }

    /// Pushes a commit to a branch; gives the commits before and after.
    async fn push(&self, branch: &str) -> Result<(String, String)> {
        let push = json!({ "branch": branch, "files": { "prod/main.tf": format!("# {}", uuid::Uuid::new_v4()) } });
        let made = self.keyboard.push(push).await?;
        let update = &made["push"]["refUpdates"][0];
        let id = |name: &str| update[name].as_str().map(str::to_owned);
        Ok((
            id("oldObjectId").context("no old id")?,
            id("newObjectId").context("no new id")?,
        ))
    }

    async fn ask(&self, wanted: &Value) -> Result<(u16, Value)> {
        asked(&self.app, &self.name, wanted).await
    }

    /// The runs of the stack, newest first.
    async fn runs(&self) -> Result<Vec<Value>> {
        let app = self.bed.runs().await;
        let list = body_of(app.handle(get(&format!("/runs?stack={}", self.name))).await)?;
        Ok(list["runs"].as_array().context("no runs")?.clone())
    }
}

async fn asked(app: &stacks::App, name: &str, wanted: &Value) -> Result<(u16, Value)> {
    let path = format!("/stacks/{name}/runs");
    parts(&app.handle(send("POST", &path, wanted)).await)
}

#[tokio::test]
async fn what_is_asked_for_is_a_run_of_what_azure_devops_has() -> Result<()> {
    let scene = Scene::new().await?;
    let (before, head) = scene.push("main").await?;
    let (_, other) = scene.push("develop").await?;
    let main = Some("refs/heads/main");
    let develop = Some("refs/heads/develop");
    let upper = head.to_uppercase();
    for (wanted, kind, commit, shown_ref) in [
        (json!({}), "tracked", &head, main),
        (json!({ "branch": "main" }), "tracked", &head, main),
        (
            json!({ "branch": "refs/heads/main", "kind": "proposed" }),
            "proposed",
            &head,
            main,
        ),
        (json!({ "branch": "develop" }), "proposed", &other, develop),
        (
            json!({ "branch": "develop", "kind": "tracked" }),
            "tracked",
            &other,
            develop,
        ),
        // A commit that somebody names is never applied by itself, be it the head.
        (json!({ "commit": upper }), "proposed", &head, None),
        (
            json!({ "commit": before, "branch": "main" }),
            "proposed",
            &before,
            main,
        ),
        (
            json!({ "commit": before, "kind": "tracked" }),
            "tracked",
            &before,
            None,
        ),
    ] {
        let (status, run) = scene.ask(&wanted).await?;
        assert_eq!(status, 201, "{wanted}: {run}");
        for (field, value) in [
            ("kind", json!(kind)),
            ("state", json!("queued")),
            ("commit", json!(commit)),
            ("refName", json!(shown_ref)),
            ("stack", json!(scene.name)),
            ("integration", json!(scene.linked.name)),
            ("trigger", json!("request")),
            ("reason", json!("asked for by hand")),
            ("pushId", Value::Null),
        ] {
            assert_eq!(run[field], value, "{wanted}: {field}");
        }
        assert_eq!(run["project"]["name"], "Harbor");
        assert_eq!(run["repository"]["name"], "platform");
        assert_eq!(scene.runs().await?[0], run, "it is kept as it is shown");
    }
    assert_eq!(scene.runs().await?.len(), 8, "each is a run of its own");

    // A request without any body asks for the usual.
    let path = format!("/stacks/{}/runs", scene.name);
    let bare = crate::support::request("POST", &path, &[], lambda_http::Body::Empty);
    let (status, run) = parts(&scene.app.handle(bare).await)?;
    assert_eq!((status, &run["commit"]), (201, &json!(head)), "{run}");
    Ok(())
}

#[tokio::test]
async fn a_modules_commit_is_tested_whatever_it_is() -> Result<()> {
    let scene = Scene::of_kind("module").await?;
    let (_, head) = scene.push("main").await?;
    for wanted in [
        json!({}),
        json!({ "branch": "develop" }),
        json!({ "commit": head }),
    ] {
        let (status, run) = scene.ask(&wanted).await?;
        assert_eq!(
            (status, &run["kind"]),
            (201, &json!("test")),
            "{wanted}: {run}"
        );
    }
    for kind in ["tracked", "proposed", "test"] {
        let (status, body) = scene.ask(&json!({ "kind": kind })).await?;
        assert_eq!(
            (status, body["field"].as_str()),
            (422, Some("kind")),
            "{body}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_same_request_is_one_run_and_azure_devops_is_asked_about_it_once() -> Result<()> {
    let scene = Scene::new().await?;
    let wanted = json!({ "requestId": "nightly_2026.11-25" });
    let (status, first) = scene.ask(&wanted).await?;
    assert_eq!(status, 201, "{first}");
    scene.push("main").await?;
    let calls = scene.azure_devops.requests().len();
    let (status, again) = scene.ask(&wanted).await?;
    assert_eq!((status, &again), (200, &first), "of the head as it was");
    // As it is by now, though there is nothing to run on any more.
    let report = json!({ "state": "failed" });
    let path = format!("/runs/{}", first["id"].as_str().context("no id")?);
    body_of(
        scene
            .bed
            .runs()
            .await
            .handle(send("PATCH", &path, &report))
            .await,
    )?;
    unlink(&scene.bed, &scene.linked).await?;
    let (status, again) = scene.ask(&wanted).await?;
    assert_eq!(
        (status, &again["state"]),
        (200, &json!("failed")),
        "{again}"
    );
    assert_eq!(scene.azure_devops.requests().len(), calls);
    assert_eq!(scene.runs().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn the_same_request_twice_at_once_is_one_run() -> Result<()> {
    let scene = Scene::new().await?;
    let wanted = json!({ "requestId": "1" });
    let (one, other) = tokio::join!(scene.ask(&wanted), scene.ask(&wanted));
    let (one, other) = (one?, other?);
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201]);
    assert_eq!(one.1, other.1);
    assert_eq!(scene.runs().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_request_that_cannot_be_is_refused_by_its_field_and_makes_no_run() -> Result<()> {
    let scene = Scene::new().await?;
    let unknown = "0123456789012345678901234567890123456789";
    let calls = scene.azure_devops.requests().len();
    for (wanted, status, field) in [
        (json!({ "ref": "main" }), 400, "ref"),
        (json!({ "branch": 7 }), 400, "branch"),
        (json!({ "branch": "a..b" }), 422, "branch"),
        (json!({ "branch": "refs/tags/v1" }), 422, "branch"),
        (json!({ "commit": "0123456" }), 422, "commit"),
        (json!({ "commit": "main" }), 422, "commit"),
        (json!({ "commit": "é".repeat(20) }), 422, "commit"),
        (
            json!({ "commit": "../../../../../../../../../../../../../x" }),
            422,
            "commit",
        ),
        (json!({ "kind": "test" }), 422, "kind"),
        (json!({ "kind": "Tracked" }), 422, "kind"),
        (json!({ "requestId": "" }), 422, "requestId"),
        (json!({ "requestId": "a b" }), 422, "requestId"),
        (json!({ "requestId": "a\nb" }), 422, "requestId"),
        (json!({ "requestId": "x".repeat(65) }), 422, "requestId"),
    ] {
        let (answer, body) = scene.ask(&wanted).await?;
        assert_eq!(
            (answer, body["field"].as_str()),
            (status, Some(field)),
            "{wanted}: {body}"
        );
    }
    assert_eq!(scene.azure_devops.requests().len(), calls);
    for (wanted, field) in [
        (json!({ "branch": "nowhere" }), "branch"),
        (json!({ "branch": "Main" }), "branch"),
        (json!({ "commit": unknown }), "commit"),
        (json!({ "commit": unknown, "branch": "main" }), "commit"),
    ] {
        let (answer, body) = scene.ask(&wanted).await?;
        assert_eq!(
            (answer, body["field"].as_str()),
            (422, Some(field)),
            "{wanted}: {body}"
        );
    }
    let fault = |kind: &str| json!({ "kind": kind, "path": "/refs" });
    for (fault, kind) in [
        (fault("tooManyRequests"), "azure-devops-slow-down"),
        (fault("signInPage"), "token-refused"),
        (fault("drop"), "azure-devops-unreachable"),
    ] {
        control(&scene.azure_devops, Method::POST, "faults", fault).await?;
        let (status, body) = scene.ask(&json!({})).await?;
        assert_eq!((status, problem(&body)), (422, kind), "{body}");
        control(&scene.azure_devops, Method::DELETE, "faults", Value::Null).await?;
    }
    for name in [new_name("nobody"), "Not%20A%20Slug".to_owned()] {
        let (status, body) = asked(&scene.app, &name, &json!({})).await?;
        assert_eq!((status, problem(&body)), (404, "not-found"), "{body}");
    }
    let answer = scene
        .app
        .handle(get(&format!("/stacks/{}/runs", scene.name)))
        .await;
    assert_eq!(answer.status(), 405);
    assert_eq!(scene.runs().await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_detached_stack_runs_nothing_until_it_is_attached() -> Result<()> {
    let scene = Scene::new().await?;
    unlink(&scene.bed, &scene.linked).await?;
    let (status, body) = scene.ask(&json!({})).await?;
    assert_eq!((status, problem(&body)), (409, "stack-detached"), "{body}");
    let detail = body["detail"].as_str().context("no detail")?;
    assert!(
        detail.contains("PATCH") && detail.contains("integration"),
        "{detail}"
    );
    let setup = scene.bed.setup(&scene.azure_devops).await?;
    let other = scene.bed.set_up(&setup, &scene.azure_devops).await?;
    patch(
        &scene.app,
        &scene.name,
        &json!({ "integration": other.name }),
    )
    .await?;
    let (status, run) = scene.ask(&json!({})).await?;
    assert_eq!(
        (status, &run["integration"]),
        (201, &json!(other.name)),
        "{run}"
    );
    Ok(())
}

#[tokio::test]
async fn a_run_that_is_asked_for_while_its_integration_is_unlinked_or_its_stack_deleted_ends_canceled()
-> Result<()> {
    for (because, word) in [
        (CancelReason::Unlinked, "unlinked"),
        (CancelReason::StackDeleted, "stackDeleted"),
    ] {
        let scene = Scene::new().await?;
        // The run is about to be written when the other one finishes.
        let tap = Tap::on(&scene.bed.stack.description.endpoint_url, |call, _| {
            if call.ends_with("TransactWriteItems") {
                Fate::Delay(std::time::Duration::from_millis(900))
            } else {
                Fate::Pass
            }
        })
        .await?;
        let slower = scene.bed.stacks_at(&scene.azure_devops, &tap.url()).await?;
        let meanwhile = async {
            while tap.count("TransactWriteItems") == 0 {
                tokio::task::yield_now().await;
            }
            match because {
                CancelReason::Unlinked => unlink(&scene.bed, &scene.linked).await,
                _ => {
                    let path = format!("/stacks/{}", scene.name);
                    body_of(scene.app.handle(send("DELETE", &path, &json!({}))).await)
                }
            }
        };
        let wanted = json!({});
        let (run, done) = tokio::join!(asked(&slower, &scene.name, &wanted), meanwhile);
        let ((status, run), done) = (run?, done?);
        assert_eq!(done["runsCanceled"], 0, "it was not there yet: {done}");
        let told = (
            status,
            run["state"].as_str(),
            run["canceledBecause"].as_str(),
        );
        assert_eq!(told, (201, Some("canceled"), Some(word)), "{run}");
        assert_eq!(scene.runs().await?, [run]);
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_at_any_call_makes_one_run() -> Result<()> {
    let scene = Scene::new().await?;
    let mut made = 0;
    for lost in 1..=8 {
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let judge = move |_: &str, _| {
            let call = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            if call == lost {
                Fate::CutAnswer
            } else {
                Fate::Pass
            }
        };
        let tap = Tap::on(&scene.bed.stack.description.endpoint_url, judge).await?;
        let app = scene.bed.stacks_at(&scene.azure_devops, &tap.url()).await?;
        let wanted = json!({ "requestId": format!("{lost}") });
        let (status, body) = asked(&app, &scene.name, &wanted).await?;
        assert_eq!(status, 201, "the answer of call {lost}: {body}");
        made += 1;
        assert_eq!(scene.runs().await?.len(), made, "call {lost}");
    }
    Ok(())
}

#[tokio::test]
async fn the_runs_of_a_stack_that_is_deleted_are_canceled_and_no_others() -> Result<()> {
    let scene = Scene::new().await?;
    let kept = new_name("kept");
    create(&scene.app, &wanted(&kept, &scene.linked)).await?;
    asked(&scene.app, &kept, &json!({})).await?;
    let mut ids = Vec::new();
    for _ in ["queued", "running", "finished", "reported"] {
        let (_, run) = scene.ask(&json!({})).await?;
        ids.push(run["id"].as_str().context("no id")?.to_owned());
    }
    let runs = scene.bed.runs().await;
    for (id, state) in [(&ids[1], "running"), (&ids[2], "finished")] {
        let request = send("PATCH", &format!("/runs/{id}"), &json!({ "state": state }));
        body_of(runs.handle(request).await)?;
    }
    // What lies beside a run is no run.
    let store = scene.bed.store().await;
    let reported = store.run(&ids[3].parse()?).await?.context("no run")?;
    let report = Report {
        version: 1,
        state: Some(reported.state),
        iteration: None,
        refusal: None,
        reported_at: now(),
    };
    store.record_report(&reported, &report, RETENTION).await?;

    let path = format!("/stacks/{}", scene.name);
    let deleted = body_of(scene.app.handle(send("DELETE", &path, &json!({}))).await)?;
    assert_eq!(deleted["runsCanceled"], 3, "{deleted}");
    let mut states = Vec::new();
    for id in &ids {
        let run = body_of(runs.handle(get(&format!("/runs/{id}"))).await)?;
        let because = run["canceledBecause"].as_str().unwrap_or("").to_owned();
        states.push((run["state"].as_str().unwrap_or("").to_owned(), because));
    }
    let canceled = ("canceled".to_owned(), "stackDeleted".to_owned());
    let finished = ("finished".to_owned(), String::new());
    assert_eq!(
        states,
        [canceled.clone(), canceled.clone(), finished, canceled]
    );
    let list = body_of(runs.handle(get(&format!("/runs?stack={kept}"))).await)?;
    assert_eq!(list["runs"][0]["state"], "queued", "another stack's");
    Ok(())
}

#[tokio::test]
async fn what_a_deletion_that_was_cut_off_has_missed_is_canceled_by_the_same_call_again()
-> Result<()> {
    let scene = Scene::new().await?;
    scene.ask(&json!({})).await?;
    // The stack is gone, and no run can be read.
    let tap = Tap::on(&scene.bed.stack.description.endpoint_url, |call, _| {
        if call.ends_with("Query") {
            Fate::Cut
        } else {
            Fate::Pass
        }
    })
    .await?;
    let cut = scene.bed.stacks_at(&scene.azure_devops, &tap.url()).await?;
    let delete = || send("DELETE", &format!("/stacks/{}", scene.name), &json!({}));
    let (status, body) = parts(&cut.handle(delete()).await)?;
    assert_eq!((status, problem(&body)), (503, "unavailable"), "{body}");
    assert_eq!(scene.runs().await?[0]["state"], "queued");
    let (status, body) = parts(&scene.app.handle(delete()).await)?;
    assert_eq!((status, problem(&body)), (404, "not-found"), "{body}");
    assert_eq!(scene.runs().await?[0]["state"], "canceled");
    Ok(())
}

#[tokio::test]
async fn a_stack_that_is_moved_to_another_repository_leaves_no_run_open_behind() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (app, linked) = linked(&bed, &azure_devops).await?;
    let name = new_name("moved");
    let (status, body) = create(&app, &wanted(&name, &linked)).await?;
    assert_eq!(status, 201, "{body}");
    let asked = || send("POST", &format!("/stacks/{name}/runs"), &json!({}));
    let run = body_of(app.handle(asked()).await)?;
    // Another branch is followed, and the same repository: it stays.
    let (status, _) = patch(&app, &name, &json!({ "branch": "develop" })).await?;
    let id = run["id"].as_str().context("no id")?.parse()?;
    let store = bed.store().await;
    let state = async || anyhow::Ok(store.run(&id).await?.context("no run")?);
    assert_eq!((status, state().await?.state), (200, RunState::Queued));
    let website = json!({ "repository": "website", "branch": "main" });
    let (status, body) = patch(&app, &name, &website).await?;
    assert_eq!(status, 200, "{body}");
    let canceled = state().await?.canceled_because;
    assert_eq!(canceled, Some(CancelReason::StackMoved));
    Ok(())
}
