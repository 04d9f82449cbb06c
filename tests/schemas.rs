//! The schemas of what is on the bus: each is one, and says what the types that are put there say. What `dispatch` tells of
//! deliveries is held against them, be they a simulator's, our samples, or what others captured.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use domain::{
    Run, RunState,
    run::{CancelReason, ChangedPaths, RunPullRequest, Trigger},
};
use reqwest::Method;
use serde_json::{Value, json};
use store::{BusEvent, DeliveryId};

use crate::support::{
    dispatching::Dispatching,
    now,
    schemas::{faults, file_of, schema_of},
};

const DETAIL_TYPES: [&str; 11] = [
    "Code Pushed",
    "Connection Failing",
    "Integration Silent",
    "Pull Request Commented On",
    "Pull Request Created",
    "Pull Request Merge Attempted",
    "Pull Request Updated",
    "Run Requested",
    "Run State Changed",
    "Service Hook Failing",
    "Token Expiring",
];

/// A run that has all that one can have.
fn whole(state: RunState) -> Result<Run> {
    let run = json!({
        "id": "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce", "kind": "proposed", "state": state, "version": 3,
        "stack": "harbor-prod", "integration": "acme",
        "project": { "id": "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce", "name": "Harbor" },
        "repository": { "id": "66e81d32-b0e8-44e2-a92a-55eb7b6ccdce", "name": "platform" },
        "commit": "0123456789012345678901234567890123456789", "refName": "refs/heads/feature/x", "projectRoot": "prod",
        "trigger": "pullRequest", "reason": "prod/main.tf is under prod/", "pushId": 7, "delivery": "d",
        "description": "Planning", "targetUrl": "https://example.org/1",
        "requestedAt": now(), "startedAt": now(), "endedAt": now(), "updatedAt": now(),
    });
    let mut run: Run = serde_json::from_value(run)?;
    run.changed_paths = ChangedPaths::of(&["prod/main.tf".to_owned()]);
    run.pull_request = Some(RunPullRequest {
        number: 318,
        title: Some("A title".to_owned()),
        source_ref: Some("refs/heads/feature/x".to_owned()),
        target_ref: Some("refs/heads/main".to_owned()),
        is_fork: false,
        supports_iterations: Some(true),
    });
    Ok(run)
}

fn detail(run: &Run, previous: Option<RunState>) -> Value {
    let mut detail = json!({ "run": run, "report": { "method": "PATCH", "url": format!("https://runs.example/runs/{}", run.id) } });
    if let Some(previous) = previous {
        detail["previousState"] = json!(previous);
    }
    detail
}

#[test]
fn every_schema_is_one_and_is_of_a_detail_type() -> Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/schemas");
    let files: BTreeSet<String> = std::fs::read_dir(folder)?
        .map(|entry| Ok(format!("schemas/{}", entry?.file_name().to_string_lossy())))
        .collect::<Result<_>>()?;
    let expected: BTreeSet<String> = DETAIL_TYPES.iter().map(|it| file_of(it)).collect();
    assert_eq!(files, expected);
    for detail_type in DETAIL_TYPES {
        let schema = schema_of(detail_type);
        assert!(jsonschema::meta::is_valid(&schema), "{detail_type}");
        assert_eq!(schema["title"], detail_type);
        // Whatever it is, an empty object and an unknown field are none of it.
        assert!(!faults(detail_type, &json!({})).is_empty(), "{detail_type}");
        assert_strict(&schema, detail_type);
    }
    Ok(())
}

/// Every object says what it has, with a description, and nothing else is let in.
fn assert_strict(schema: &Value, place: &str) {
    if let Some(fields) = schema["properties"].as_object() {
        assert_eq!(schema["additionalProperties"], false, "{place}");
        for (name, field) in fields {
            let is_told = ["description", "$ref", "const"]
                .iter()
                .any(|key| field.get(key).is_some());
            assert!(is_told, "{place}/{name} has no description");
        }
    }
    let parts: Vec<(String, &Value)> = match schema {
        Value::Object(fields) => fields.iter().map(|(at, it)| (at.clone(), it)).collect(),
        Value::Array(items) => items.iter().map(|it| ("-".to_owned(), it)).collect(),
        _ => Vec::new(),
    };
    for (at, part) in parts {
        assert_strict(part, &format!("{place}/{at}"));
    }
}

#[test]
fn a_run_in_every_state_that_is_announced_is_as_its_schema_says() -> Result<()> {
    for state in RunState::ALL {
        let run = whole(state)?;
        let found = faults("Run State Changed", &detail(&run, Some(RunState::Queued)));
        if state == RunState::Superseded {
            assert!(!found.is_empty(), "it is never announced");
        } else {
            assert_eq!(found, Vec::<String>::new(), "{state}");
        }
    }
    let queued = detail(&whole(RunState::Queued)?, None);
    assert_eq!(faults("Run Requested", &queued), Vec::<String>::new());
    Ok(())
}

#[test]
fn every_word_of_a_run_is_in_its_schema() -> Result<()> {
    use CancelReason::{
        Executor, PullRequestClosed, PullRequestRetargeted, StackDeleted, StackMoved, Unlinked,
    };
    let mut run = whole(RunState::Canceled)?;
    let all = [
        PullRequestClosed,
        PullRequestRetargeted,
        Unlinked,
        StackDeleted,
        StackMoved,
        Executor,
    ];
    for because in all {
        // So that one more does not compile without a place above.
        match because {
            PullRequestClosed
            | PullRequestRetargeted
            | Unlinked
            | StackDeleted
            | StackMoved
            | Executor => {}
        }
        run.canceled_because = Some(because);
        let found = faults("Run State Changed", &detail(&run, None));
        assert_eq!(found, Vec::<String>::new(), "{because:?}");
    }
    for trigger in [
        Trigger::Push,
        Trigger::PullRequest,
        Trigger::Comment,
        Trigger::Request,
    ] {
        run.trigger = trigger;
        let found = faults("Run State Changed", &detail(&run, None));
        assert_eq!(found, Vec::<String>::new(), "{trigger:?}");
    }
    for kind in ["tracked", "proposed", "test"] {
        run.kind = serde_json::from_value(json!(kind))?;
        let found = faults("Run State Changed", &detail(&run, None));
        assert_eq!(found, Vec::<String>::new(), "{kind}");
    }
    Ok(())
}

#[test]
fn a_run_with_nothing_that_may_be_absent_is_as_its_schema_says() -> Result<()> {
    let run = whole(RunState::Queued)?;
    let bare = Run {
        ref_name: None,
        push_id: None,
        pull_request: Some(RunPullRequest {
            title: None,
            source_ref: None,
            target_ref: None,
            supports_iterations: None,
            ..run.pull_request.clone().context("no pull request")?
        }),
        delivery: None,
        changed_paths: ChangedPaths::default(),
        description: None,
        target_url: None,
        started_at: None,
        ended_at: None,
        project_root: domain::ProjectRoot::default(),
        ..run
    };
    let found = faults("Run Requested", &detail(&bare, None));
    assert_eq!(found, Vec::<String>::new());
    let without = Run {
        pull_request: None,
        ..bare
    };
    let found = faults("Run Requested", &detail(&without, None));
    assert_eq!(found, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_schema_of_runs_refuses_what_no_run_has() -> Result<()> {
    let good = detail(&whole(RunState::Running)?, Some(RunState::Queued));
    let spoiled = |pointer: &str, value: Value| -> Result<Value> {
        let mut detail = good.clone();
        *detail.pointer_mut(pointer).context("no such place")? = value;
        Ok(detail)
    };
    for (pointer, value) in [
        ("/run/state", json!("done")),
        ("/run/version", json!(0)),
        ("/run/commit", json!("main")),
        ("/run/id", json!("1")),
        ("/run/stack", json!("Harbor")),
        ("/run/updatedAt", json!("yesterday")),
        ("/report/method", json!("POST")),
        ("/report/url", json!("no url")),
        ("/run/pullRequest", json!({ "number": 1 })),
    ] {
        let found = faults("Run State Changed", &spoiled(pointer, value)?);
        assert!(!found.is_empty(), "{pointer}");
    }
    let mut more = good;
    more["run"]["token"] = json!("x");
    assert!(!faults("Run State Changed", &more).is_empty());
    Ok(())
}

/// What the looks at integrations tell, whole and with nothing that may be absent; and what is none of it.
#[test]
fn a_schema_of_warnings_takes_what_an_integration_is_in_want_of_and_nothing_else() {
    let id = "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce";
    let project = json!({ "id": id, "name": "Harbor" });
    let hook = |status: &str| json!({ "integration": "acme", "project": project, "subscription": id, "eventType": "git.push", "status": status, "reason": "r", "since": now() });
    let token =
        |days: i64, on: &str| json!({ "integration": "acme", "expiresOn": on, "daysLeft": days });
    let silent = json!({ "integration": "acme", "since": now() });
    let connection = json!({ "integration": "acme", "reason": "r", "since": now() });
    for (detail_type, good) in [
        ("Service Hook Failing", hook("disabledBySystem")),
        ("Service Hook Failing", hook("missing")),
        ("Service Hook Failing", hook("unknown")),
        ("Token Expiring", token(30, "2026-12-24")),
        ("Token Expiring", token(0, "2026-11-24")),
        // It has expired.
        ("Token Expiring", token(-1, "2026-11-23")),
        ("Integration Silent", silent),
        ("Connection Failing", connection.clone()),
    ] {
        let found = faults(detail_type, &good);
        assert_eq!(found, Vec::<String>::new(), "{detail_type}: {good}");
        for field in good.as_object().into_iter().flatten().map(|(name, _)| name) {
            let mut spoiled = good.clone();
            spoiled[field] = json!({ "of": "no such kind" });
            let found = faults(detail_type, &spoiled);
            assert!(!found.is_empty(), "{detail_type}: {field} is anything");
        }
    }
    for (detail_type, bad) in [
        ("Token Expiring", token(7, "2026-12-24T00:00:00Z")),
        ("Integration Silent", json!({ "integration": "acme" })),
        ("Service Hook Failing", hook("asleep")),
        ("Connection Failing", json!({ "integration": "acme" })),
    ] {
        assert!(
            !faults(detail_type, &bad).is_empty(),
            "{detail_type}: {bad}"
        );
    }
}

/// A comment's event of resource version 1.0, which has no pull request in it.
const OLD_COMMENT: &str = "ms.vss-code.git-pullrequest-comment-event.v1.json";

/// What the bus is told of deliveries, each of which was dispatched and has to hold against the schema of its type.
async fn told(harbor: &Dispatching, ids: &[DeliveryId]) -> Result<Vec<BusEvent>> {
    let mut events = Vec::new();
    for id in ids {
        let record = harbor.outcome(id).await?;
        let Some(event) = record.event else {
            continue;
        };
        let found = faults(&event.detail_type, &event.detail);
        ensure!(
            found.is_empty(),
            "{}: {found:?} in {}",
            event.detail_type,
            event.detail
        );
        ensure!(event.detail["delivery"] == id.to_string());
        events.push(event);
    }
    Ok(events)
}

/// The same of bodies that are no simulator's: they come with ids and dates of their own. Those of the Test button are left
/// out, as the stream's filter does. By the names that they were given.
async fn told_of_bodies(
    bodies: impl IntoIterator<Item = (String, Value)>,
) -> Result<BTreeMap<String, Option<BusEvent>>> {
    let harbor = Dispatching::start().await?;
    let mut all = BTreeMap::new();
    for (name, mut body) in bodies {
        let parsed = envelope::parse(&serde_json::to_vec(&body)?);
        if parsed.is_ok_and(|it| !it.is_test) {
            body["id"] = json!(uuid::Uuid::new_v4());
            body["createdDate"] = json!(store::keys::seven_digits(now()));
            let ids = harbor.dispatched(&[body]).await?;
            let told = told(&harbor, &ids)
                .await
                .with_context(|| format!("of {name}"))?;
            all.insert(name, told.into_iter().next());
        }
    }
    Ok(all)
}

/// The JSON files of a folder.
fn bodies_in(folder: &Path) -> Result<Vec<(String, Value)>> {
    let files = std::fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    let mut bodies = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|it| it == "json") {
            let name = path.file_name().context("no name")?.to_string_lossy();
            let bytes = std::fs::read(&path)?;
            let body = serde_json::from_slice(&bytes).with_context(|| name.clone().into_owned())?;
            bodies.push((name.into_owned(), body));
        }
    }
    Ok(bodies)
}

/// The values at a place of each event.
fn all_at<'a>(events: &'a [BusEvent], pointer: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter_map(|event| event.detail.pointer(pointer))
        .collect()
}

#[tokio::test]
async fn what_is_told_of_pushes_is_as_its_schema_says() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    for push in [
        json!({ "branch": "fix/s", "from": "main", "files": { "prod/s.tf": "1" } }),
        json!({ "branch": "fix/s", "files": { "prod/s.tf": "2" } }),
        json!({ "branch": "main", "files": { "prod/s.tf": "3" } }),
    ] {
        harbor.push(push).await?;
    }
    let tag = json!({ "name": "v1", "commit": "main" });
    harbor.act(Method::POST, "tags", tag).await?;
    harbor
        .act(Method::DELETE, "branches/fix%2Fs", Value::Null)
        .await?;
    let ids = harbor.dispatch().await?;
    let events = told(&harbor, &ids).await?;
    assert!(events.iter().all(|it| it.detail_type == "Code Pushed"));
    let changes: Vec<(&Value, &Value)> = all_at(&events, "/refUpdates/0/name")
        .into_iter()
        .zip(all_at(&events, "/refUpdates/0/change"))
        .collect();
    let told = json!([
        ["refs/heads/fix/s", "created"],
        ["refs/heads/fix/s", "moved"],
        ["refs/heads/main", "moved"],
        ["refs/tags/v1", "created"],
        ["refs/heads/fix/s", "deleted"],
    ]);
    assert_eq!(json!(changes), told);
    let run = &harbor.runs(&stack).await?[0];
    assert_eq!(
        (&events[2].detail["runs"], &events[2].detail["outcome"]),
        (&json!([run.id]), &json!("dispatched"))
    );

    let refs: Vec<Value> = (0..150)
        .map(|number| json!({ "ref": format!("many/{number}"), "kind": "tag" }))
        .collect();
    harbor.push(json!({ "refUpdates": refs })).await?;
    let ids = harbor.dispatch().await?;
    let event = &self::told(&harbor, &ids).await?[0];
    let named = event.detail["refUpdates"].as_array().map(Vec::len);
    assert_eq!(
        (named, &event.detail["refUpdateCount"]),
        (Some(100), &json!(150))
    );
    Ok(())
}

#[tokio::test]
async fn what_is_told_of_pull_requests_and_comments_is_as_its_schema_says() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    harbor.stack(json!({})).await?;
    harbor
        .control(
            Method::POST,
            "organizations/tidewater/projects/Harbor/repositories",
            json!({ "name": "platform.asha", "forkOf": "platform" }),
        )
        .await?;
    let fork = "organizations/tidewater/projects/Harbor/repositories/platform.asha/pushes";
    let push = json!({ "branch": "fix/f", "from": "main", "files": { "f": "1" }, "message": "m", "author": "Asha Rao" });
    harbor.control(Method::POST, fork, push).await?;
    harbor
        .push(json!({ "branch": "fix/o", "from": "main", "files": { "o": "1" } }))
        .await?;
    harbor.sent().await?;

    let title = "<script>alert(1)</script> \u{1b}[31m \u{202e}txt.exe";
    let mut numbers = Vec::new();
    for new in [
        json!({ "source": "fix/o", "target": "main", "title": title, "draft": true }),
        json!({ "source": "fix/f", "target": "main", "title": "f", "fork": "platform.asha" }),
    ] {
        let opened = harbor.act(Method::POST, "pullRequests", new).await?;
        numbers.push(opened["pullRequest"]["pullRequestId"].clone());
    }
    let path = format!("pullRequests/{}", numbers[0]);
    for change in [
        json!({ "draft": false }),
        json!({ "vote": 10, "author": "Milo" }),
        json!({ "status": "abandoned" }),
    ] {
        harbor.act(Method::PATCH, &path, change).await?;
    }
    let ids = harbor.dispatch().await?;
    let events = told(&harbor, &ids).await?;
    let types: BTreeSet<&str> = events.iter().map(|it| it.detail_type.as_str()).collect();
    let expected = [
        "Pull Request Created",
        "Pull Request Merge Attempted",
        "Pull Request Updated",
    ];
    assert_eq!(types, BTreeSet::from(expected));
    for event in &events {
        let told = &event.detail["pullRequest"];
        assert_eq!(told["isFork"], told["number"] == numbers[1], "{told}");
        let title = told["title"].as_str().context("no title")?;
        assert!(
            !title.contains(['\u{1b}', '\u{202e}']),
            "what could steer a terminal is gone: {title:?}"
        );
    }
    let states: BTreeSet<&str> = all_at(&events, "/pullRequest/status")
        .into_iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(states, BTreeSet::from(["abandoned", "active"]));

    // A comment, made, edited and deleted.
    let hostile =
        "é<img src=x onerror=alert(1)>\u{202e}\u{1b}]0;x\u{7}'; DROP TABLE --\r\n=1+1|€😀";
    let content: String = hostile.chars().cycle().take(5_000).collect();
    let comments = format!("pullRequests/{}/comments", numbers[1]);
    harbor
        .act(Method::POST, &comments, json!({ "content": content }))
        .await?;
    let bodies = harbor.sent().await?;
    let resource = &bodies[0]["resource"];
    let thread = resource["comment"]["_links"]["threads"]["href"]
        .as_str()
        .and_then(|href| href.rsplit('/').next())
        .context("no thread")?;
    let place = format!("{comments}/{thread}.{}", resource["comment"]["id"]);
    let edited = json!({ "content": format!("edited {content}") });
    harbor.act(Method::PATCH, &place, edited).await?;
    harbor.act(Method::DELETE, &place, Value::Null).await?;
    let mut ids = harbor.dispatched(&bodies).await?;
    ids.extend(harbor.dispatch().await?);
    let events = told(&harbor, &ids).await?;
    assert!(
        events
            .iter()
            .all(|it| it.detail_type == "Pull Request Commented On")
    );
    assert_eq!(
        json!(all_at(&events, "/comment/change")),
        json!(["made", "edited", "deleted"])
    );
    let first: String = content.chars().take(1_000).collect();
    assert_eq!(
        events[0].detail["comment"]["content"],
        json!(first),
        "as it was written, but for its length"
    );
    assert!(
        events[2].detail["comment"]["content"].is_null(),
        "a deleted comment says nothing"
    );
    for event in &events {
        assert_eq!(event.detail["pullRequest"]["number"], numbers[1]);
        let words = event.detail["summary"].as_str().context("no summary")?;
        assert!(!words.chars().any(char::is_control), "{words:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_told_of_a_token_that_is_refused_is_as_its_schema_says() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    harbor.stack(json!({})).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "a": "1" } }))
        .await?;
    harbor
        .control(Method::POST, "tokens/good/expire", Value::Null)
        .await?;
    let ids = harbor.dispatch().await?;
    let events = told(&harbor, &ids).await?;
    let [event] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(event.detail_type, "Connection Failing");
    assert_eq!(event.detail["integration"], harbor.linked.name.as_str());
    let shown = harbor.outcome(&ids[0]).await?.outcome.note;
    let reason = event.detail["reason"].as_str().context("no reason")?;
    assert!(
        shown.as_deref().is_some_and(|note| note.contains(reason)),
        "{shown:?}: {reason}"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_told_of_our_samples_is_as_its_schema_says() -> Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/ado");
    let mut bodies = bodies_in(Path::new(folder))?;
    let sample = |file: &str| {
        let found = bodies.iter().find(|(name, _)| name == file);
        found.map(|(_, body)| body.clone()).context("no sample")
    };
    // What a subscription may leave of a pull request, too.
    let mut minimal = sample("git.pullrequest.created.json")?;
    minimal["resource"] = json!({ "pullRequestId": 318, "url": minimal["resource"]["url"] });
    let mut nameless = sample(OLD_COMMENT)?;
    nameless["resource"]["_links"] = Value::Null;
    bodies.push(("minimal".to_owned(), minimal));
    bodies.push(("nameless".to_owned(), nameless));
    let told = told_of_bodies(bodies).await?;
    // Of each that has details and is of a known type the bus is told something, and of no other.
    for (file, event) in &told {
        let is_silent = ["git.push.none.json", "workitem.updated.json"].contains(&file.as_str());
        assert_eq!(event.is_none(), is_silent, "{file}");
    }
    let types: BTreeSet<&str> = told
        .values()
        .flatten()
        .map(|event| event.detail_type.as_str())
        .collect();
    assert_eq!(types.len(), 5, "{types:?}");
    let of = |file: &str| told.get(file).cloned().flatten().context("not told");
    // What is not told of a pull request is not claimed of it: that it comes from no fork, for one.
    for (file, known) in [
        ("minimal", json!({ "number": 318 })),
        (OLD_COMMENT, json!({ "number": 319 })),
        ("nameless", Value::Null),
    ] {
        assert_eq!(of(file)?.detail["pullRequest"], known, "{file}");
    }
    for (file, is_fork) in [
        ("git.pullrequest.created.json", false),
        ("git.pullrequest.created.fork.json", true),
    ] {
        assert_eq!(of(file)?.detail["pullRequest"]["isFork"], is_fork, "{file}");
    }
    let hostile = of("git.pullrequest.created.hostile.json")?;
    let title = hostile.detail["pullRequest"]["title"].as_str();
    assert!(title.is_some_and(|title| !title.chars().any(char::is_control)));
    Ok(())
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "where the corpus lies is told by the environment"
)]
async fn what_is_told_of_the_corpus_is_as_its_schema_says() -> Result<()> {
    let Ok(folder) = std::env::var("PAYLOAD_CORPUS") else {
        crate::corpus::say_that_only_our_samples_are_run();
        return Ok(());
    };
    let told = told_of_bodies(bodies_in(Path::new(&folder))?).await?;
    ensure!(told.values().any(Option::is_some), "nothing is told of any");
    Ok(())
}
