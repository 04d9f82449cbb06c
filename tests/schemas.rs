//! The schemas of what is on the bus: each is one, and says what the types that are put there say.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use domain::{
    Run, RunState,
    run::{CancelReason, ChangedPaths, RunPullRequest, Trigger},
};
use serde_json::{Value, json};

use crate::support::{
    now,
    schemas::{faults, file_of, schema_of},
};

const DETAIL_TYPES: [&str; 9] = [
    "Code Pushed",
    "Connection Failing",
    "Pull Request Commented On",
    "Pull Request Created",
    "Pull Request Merge Attempted",
    "Pull Request Updated",
    "Run Requested",
    "Run State Changed",
    "Service Hook Failing",
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
    use CancelReason::{Executor, PullRequestClosed, PullRequestRetargeted, Unlinked};
    let mut run = whole(RunState::Canceled)?;
    for because in [PullRequestClosed, PullRequestRetargeted, Unlinked, Executor] {
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
