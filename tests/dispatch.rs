//! What a delivery means for a stack: pushes, pull requests and comments, each as a simulator's hooks send them, in process.

use anyhow::{Context, Result};
use domain::{RunKind, RunState, outcome::OutcomeWord, run::CancelReason};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::dispatching::Dispatching;

const RUN: &str = "run";
const NONE: &str = "none";
const CANCELED: &str = "canceled";

fn of_type<'a>(bodies: &'a [Value], event_type: &str) -> Vec<&'a Value> {
    bodies
        .iter()
        .filter(|body| body["eventType"] == event_type)
        .collect()
}

#[tokio::test]
async fn a_push_makes_a_run_of_each_stack_that_it_touches_and_says_of_the_others_why_not()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let prod = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let whole = harbor.stack(json!({})).await?;
    let module = harbor
        .stack(json!({ "kind": "module", "globs": ["prod/*.tf"], "projectRoot": "modules/net" }))
        .await?;
    let staging = harbor
        .stack(json!({ "projectRoot": "staging", "globs": ["modules/**"] }))
        .await?;
    let develop = harbor.stack(json!({ "branch": "develop" })).await?;
    let elsewhere = harbor.stack(json!({ "repository": "website" })).await?;
    let asked = harbor.asked("/diffs/commits");

    let pushed = harbor
        .push(json!({ "branch": "main", "files": { "prod/new.tf": "a\n" } }))
        .await?;
    let ids = harbor.dispatch().await?;
    let id = ids.first().context("nothing was sent")?;
    assert_eq!(
        harbor.asked("/diffs/commits") - asked,
        1,
        "one comparison, however many stacks"
    );

    let outcome = harbor.outcome(id).await?;
    assert_eq!(outcome.outcome.word, OutcomeWord::Dispatched);
    for (stack, verdict, reason) in [
        (&prod, RUN, "`prod/new.tf` is in `prod/`"),
        (&whole, RUN, "`prod/new.tf` changed"),
        (&module, RUN, "`prod/new.tf` matches the glob `prod/*.tf`"),
        (
            &staging,
            NONE,
            "`prod/` is outside `staging/` and no glob matches",
        ),
        (&develop, NONE, "branch `main` is not tracked"),
    ] {
        assert_eq!(
            harbor.verdict(id, stack).await?,
            (verdict.to_owned(), reason.to_owned())
        );
    }
    assert!(
        harbor.verdict(id, &elsewhere).await.is_err(),
        "it follows another repository"
    );

    let runs = harbor.runs(&prod).await?;
    let [run] = runs.as_slice() else {
        panic!("{runs:?}")
    };
    assert_eq!(
        (run.kind, run.state, run.version),
        (RunKind::Tracked, RunState::Queued, 1)
    );
    assert_eq!(run.ref_name.as_deref(), Some("refs/heads/main"));
    assert_eq!(run.changed_paths.paths, ["prod/new.tf"]);
    assert_eq!(run.delivery, Some(id.to_string()));
    let commit = pushed["commits"][0]["commitId"]
        .as_str()
        .or(pushed["refUpdates"][0]["newObjectId"].as_str());
    if let Some(commit) = commit {
        assert_eq!(run.commit, commit);
    }
    assert_eq!(run.commit.len(), 40);
    assert_eq!(harbor.runs(&module).await?[0].kind, RunKind::Test);
    for stack in [&staging, &develop, &elsewhere] {
        assert!(harbor.runs(stack).await?.is_empty(), "{stack}");
    }

    // What the bus is told of it.
    let event = outcome.event.context("the bus is told nothing")?;
    assert_eq!(event.detail_type, "Code Pushed");
    assert_eq!(event.detail["runCount"], 3);
    assert_eq!(event.detail["refUpdates"][0]["name"], "refs/heads/main");
    Ok(())
}

#[tokio::test]
async fn an_event_that_comes_twice_late_or_out_of_order_changes_nothing() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let mut pushes = Vec::new();
    for content in ["1", "2", "3"] {
        harbor
            .push(json!({ "branch": "main", "files": { "prod/a.tf": content } }))
            .await?;
        pushes.extend(harbor.sent().await?);
    }
    let number = |body: &Value| body["resource"]["pushId"].as_i64().unwrap_or_default();

    // The newest first, twice, and in one batch with itself.
    let newest = harbor.stored(&pushes[2..]).await?;
    let records = harbor.records(&newest).await?;
    for batch in [
        records.clone(),
        records.clone(),
        [records.clone(), records].concat(),
    ] {
        assert!(Dispatching::hand(&harbor.app, batch).await?.is_empty());
    }
    assert_eq!(harbor.runs(&stack).await?.len(), 1);
    assert_eq!(harbor.verdict(&newest[0], &stack).await?.0, RUN);

    let late = harbor.dispatched(&pushes[..1]).await?;
    let why = format!(
        "push {} is older than push {}, which already has a run",
        number(&pushes[0]),
        number(&pushes[2])
    );
    assert_eq!(
        harbor.verdict(&late[0], &stack).await?,
        (NONE.to_owned(), why.clone())
    );
    // Another subscription's copy of it, with an id of its own.
    let mut copy = pushes[0].clone();
    copy["id"] = json!(uuid::Uuid::new_v4());
    let copied = harbor.dispatched(&[copy]).await?;
    assert_eq!(
        harbor.verdict(&copied[0], &stack).await?,
        (NONE.to_owned(), why)
    );

    let runs = harbor.runs(&stack).await?;
    let states: Vec<RunState> = runs.iter().map(|run| run.state).collect();
    assert_eq!(
        states
            .iter()
            .filter(|state| **state == RunState::Queued)
            .count(),
        1,
        "{states:?}"
    );
    assert_eq!(
        states
            .iter()
            .filter(|state| **state == RunState::Superseded)
            .count(),
        1,
        "{states:?}"
    );

    // A copy of the newest is no run either, and says which it is.
    let mut copy = pushes[2].clone();
    copy["id"] = json!(uuid::Uuid::new_v4());
    let copied = harbor.dispatched(&[copy]).await?;
    let (verdict, reason) = harbor.verdict(&copied[0], &stack).await?;
    assert_eq!(
        (verdict.as_str(), reason),
        (
            NONE,
            format!("push {} already has its run", number(&pushes[2]))
        )
    );
    Ok(())
}

#[tokio::test]
async fn a_force_push_back_to_an_old_commit_runs_on_it() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "prod/a.tf": "1" } }))
        .await?;
    harbor
        .push(json!({ "branch": "main", "files": { "prod/a.tf": "2" } }))
        .await?;
    harbor.dispatch().await?;
    let first = harbor.runs(&stack).await?[0].commit.clone();
    harbor
        .push(json!({ "refUpdates": [{ "ref": "main", "kind": "force", "from": first }] }))
        .await?;
    let ids = harbor.dispatch().await?;
    assert_eq!(harbor.verdict(&ids[0], &stack).await?.0, RUN);
    let runs = harbor.runs(&stack).await?;
    assert_eq!(runs.len(), 3);
    assert_eq!(runs[2].commit, first);
    assert_ne!(runs[2].id, runs[0].id);
    Ok(())
}

#[tokio::test]
async fn branches_that_are_new_or_deleted_tags_and_several_refs_at_once_are_told_apart()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let main = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let module = harbor
        .stack(json!({ "kind": "module", "projectRoot": "prod" }))
        .await?;

    // A module is tested on every branch that changes something of it; a stack on its own alone.
    harbor
        .push(json!({ "branch": "fix/x", "from": "main" }))
        .await?;
    let ids = harbor.dispatch().await?;
    assert_eq!(
        harbor.verdict(&ids[0], &module).await?,
        (NONE.to_owned(), "no file changed".to_owned())
    );
    assert_eq!(
        harbor.verdict(&ids[0], &main).await?,
        (NONE.to_owned(), "branch `fix/x` is not tracked".to_owned())
    );
    harbor
        .push(json!({ "branch": "fix/y", "from": "main", "files": { "prod/y.tf": "y" } }))
        .await?;
    let ids = harbor.dispatch().await?;
    assert_eq!(harbor.verdict(&ids[0], &module).await?.0, RUN);
    assert_eq!(harbor.runs(&module).await?[0].kind, RunKind::Test);

    harbor
        .act(
            Method::POST,
            "tags",
            json!({ "name": "v9", "commit": "main" }),
        )
        .await?;
    harbor
        .act(Method::DELETE, "branches/fix%2Fy", Value::Null)
        .await?;
    let ids = harbor.dispatch().await?;
    assert_eq!(
        harbor.verdict(&ids[0], &main).await?.1,
        "tag `v9` is no branch"
    );
    assert_eq!(
        harbor.verdict(&ids[1], &module).await?.1,
        "branch `fix/y` was deleted"
    );

    // A branch that is tracked and was not there: all of it is new.
    harbor
        .push(json!({ "branch": "release", "from": "main" }))
        .await?;
    harbor.sent().await?;
    let release = harbor
        .stack(json!({ "branch": "release", "projectRoot": "docs" }))
        .await?;
    harbor
        .act(Method::DELETE, "branches/release", Value::Null)
        .await?;
    harbor
        .push(json!({ "branch": "release", "from": "main" }))
        .await?;
    let ids = harbor.dispatch().await?;
    let last = ids.last().context("nothing was sent")?;
    assert_eq!(
        harbor.verdict(last, &release).await?,
        (RUN.to_owned(), "its branch is new".to_owned())
    );

    // Several refs: each is looked at; a stack hears of what concerns it.
    harbor
        .push(json!({ "refUpdates": [
            { "ref": "feature/gangway", "commits": [{ "files": { "prod/g.tf": "g" } }] },
            { "ref": "main", "commits": [{ "files": { "prod/m.tf": "m" } }] },
            { "ref": "v10", "kind": "tag" },
        ] }))
        .await?;
    let ids = harbor.dispatch().await?;
    assert_eq!(
        harbor.verdict(&ids[0], &main).await?.1,
        "`prod/m.tf` is in `prod/`"
    );
    let tested = harbor.runs(&module).await?;
    let mut refs: Vec<&str> = tested
        .iter()
        .filter_map(|run| run.ref_name.as_deref())
        .collect();
    refs.sort_unstable();
    assert_eq!(
        refs,
        [
            "refs/heads/feature/gangway",
            "refs/heads/fix/y",
            "refs/heads/main"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn moved_files_count_on_both_sides_and_more_changes_than_a_page_are_all_read() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let old = harbor.stack(json!({ "projectRoot": "attic" })).await?;
    let last = harbor.stack(json!({ "projectRoot": "zz" })).await?;
    // Whether Azure DevOps tells a move, or a file that went and one that came.
    for holds in [true, false] {
        harbor.azure_devops.assume("renamesAreDetected", holds)?;
        let text = format!("one and the same text, {holds}\n");
        let (before, after) = (format!("attic/{holds}.tf"), format!("cellar/{holds}.tf"));
        harbor
            .push(json!({ "branch": "main", "files": { before.as_str(): text } }))
            .await?;
        harbor.dispatch().await?;
        harbor
            .push(json!({ "branch": "main", "files": { before.as_str(): null, after.as_str(): text } }))
            .await?;
        let ids = harbor.dispatch().await?;
        let reason = format!("`{before}` is in `attic/`");
        assert_eq!(
            harbor.verdict(&ids[0], &old).await?,
            (RUN.to_owned(), reason)
        );
    }

    let mut files = serde_json::Map::new();
    for number in 0..2_300 {
        files.insert(format!("many/{number:04}.txt"), json!("x"));
    }
    files.insert("zz/last.tf".to_owned(), json!("x"));
    harbor
        .push(json!({ "branch": "main", "files": files }))
        .await?;
    let ids = harbor.dispatch().await?;
    assert_eq!(
        harbor.verdict(&ids[0], &last).await?.1,
        "`zz/last.tf` is in `zz/`"
    );
    let run = &harbor.runs(&last).await?[0];
    assert_eq!(
        (run.changed_paths.paths.len(), run.changed_paths.count),
        (100, Some(2_301))
    );
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_known_counts_as_touched_and_details_that_are_not_sent_are_asked_for()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "docs/a.md": "1" } }))
        .await?;
    let bodies = harbor.sent().await?;

    let mut no_longer_there = bodies[0].clone();
    no_longer_there["resource"]["refUpdates"][0]["oldObjectId"] = json!("1".repeat(40));
    let ids = harbor.dispatched(&[no_longer_there]).await?;
    let (verdict, reason) = harbor.verdict(&ids[0], &stack).await?;
    assert!(verdict == RUN && reason.contains("not known"), "{reason}");

    // One ref twice: what is said last counts, and no write is refused for it.
    let mut twice = bodies[0].clone();
    twice["id"] = json!(uuid::Uuid::new_v4());
    twice["resource"]["pushId"] =
        json!(bodies[0]["resource"]["pushId"].as_i64().unwrap_or_default() + 1);
    let update = twice["resource"]["refUpdates"][0].clone();
    twice["resource"]["refUpdates"] = json!([update.clone(), update]);
    let ids = harbor.dispatched(&[twice]).await?;
    assert_eq!(
        harbor.verdict(&ids[0], &stack).await?.1,
        "`docs/` is outside `prod/`"
    );

    // Without numbers, commits and the push's own number.
    let mut bare = bodies[0].clone();
    bare["id"] = json!(uuid::Uuid::new_v4());
    bare["resource"]["refUpdates"] = json!([{ "name": "refs/heads/main" }]);
    bare["resource"]["pushId"] = Value::Null;
    let ids = harbor.dispatched(&[bare]).await?;
    assert_eq!(harbor.verdict(&ids[0], &stack).await?.0, RUN);
    let runs = harbor.runs(&stack).await?;
    assert_eq!(runs.len(), 2);
    assert_eq!(
        runs[0].commit, runs[1].commit,
        "the branch's head was asked for"
    );
    Ok(())
}

#[tokio::test]
async fn what_asks_for_nothing_says_so() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({})).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "a": "1" } }))
        .await?;
    let body = harbor.sent().await?.remove(0);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut body = body.clone();
        body["id"] = json!(uuid::Uuid::new_v4());
        change(&mut body);
        body
    };
    let cases = [
        (
            changed(&|body| body["resource"] = Value::Null),
            "sends no details",
        ),
        (
            changed(&|body| body["eventType"] = json!("workitem.created")),
            "does not act upon workitem.created",
        ),
        (
            changed(&|body| body["resource"]["repository"] = Value::Null),
            "does not tell the repository",
        ),
        (
            changed(&|body| body["resource"]["repository"]["id"] = json!("x")),
            "an id that is none",
        ),
        (
            changed(&|body| body["resource"]["repository"]["id"] = json!(uuid::Uuid::new_v4())),
            "no stack follows Harbor/platform",
        ),
    ];
    let asked = harbor.azure_devops.requests().len();
    for (body, note) in cases {
        let ids = harbor.dispatched(&[body]).await?;
        let outcome = harbor.outcome(&ids[0]).await?.outcome;
        assert_eq!(outcome.word, OutcomeWord::Ignored);
        assert!(
            outcome.note.as_deref().unwrap_or_default().contains(note),
            "{outcome:?}"
        );
    }
    assert_eq!(
        harbor.azure_devops.requests().len(),
        asked,
        "and nobody is asked"
    );
    assert!(harbor.runs(&stack).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_pull_request_is_proposed_once_whatever_reviewers_do_and_again_when_its_source_moves()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let prod = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let docs = harbor.stack(json!({ "projectRoot": "docs" })).await?;
    let develop = harbor.stack(json!({ "branch": "develop" })).await?;
    harbor
        .push(json!({ "branch": "fix/p", "from": "main", "files": { "prod/p.tf": "1" } }))
        .await?;
    harbor.dispatch().await?;
    let opened = harbor
        .act(
            Method::POST,
            "pullRequests",
            json!({ "source": "fix/p", "target": "main", "title": "Mind the\u{1b}[31m gap" }),
        )
        .await?;
    let number = opened["pullRequest"]["pullRequestId"]
        .as_i64()
        .context("no number")?;
    let path = format!("pullRequests/{number}");
    let ids = harbor.dispatch().await?;
    assert_eq!(ids.len(), 2, "created, and the trial merge");
    assert_eq!(
        harbor.verdict(&ids[0], &prod).await?,
        (RUN.to_owned(), "`prod/p.tf` is in `prod/`".to_owned())
    );
    assert_eq!(
        harbor.verdict(&ids[0], &docs).await?.1,
        "`prod/` is outside `docs/`"
    );
    assert_eq!(
        harbor.verdict(&ids[0], &develop).await?.1,
        "the pull request goes into `main`, which is not tracked"
    );
    let (verdict, reason) = harbor.verdict(&ids[1], &prod).await?;
    assert!(
        verdict == NONE && reason.contains("already has its run"),
        "{reason}"
    );
    let runs = harbor.runs(&prod).await?;
    let [run] = runs.as_slice() else {
        panic!("{runs:?}")
    };
    assert_eq!((run.kind, run.state), (RunKind::Proposed, RunState::Queued));
    let pull_request = run.pull_request.clone().context("no pull request")?;
    assert_eq!(
        (pull_request.number, pull_request.title.as_deref()),
        (number, Some("Mind the [31m gap"))
    );
    assert_eq!(pull_request.supports_iterations, Some(true));

    for change in [
        json!({ "reviewers": ["Milo"] }),
        json!({ "vote": 10, "author": "Milo" }),
        json!({ "title": "Mind it" }),
        json!({ "description": "now" }),
    ] {
        harbor.act(Method::PATCH, &path, change).await?;
    }
    harbor.dispatch().await?;
    assert_eq!(harbor.runs(&prod).await?.len(), 1);

    harbor
        .push(json!({ "branch": "fix/p", "files": { "prod/p.tf": "2" } }))
        .await?;
    let ids = harbor.dispatch().await?;
    assert_eq!(ids.len(), 3, "the push, updated, the trial merge");
    let runs = harbor.runs(&prod).await?;
    assert_eq!(runs.len(), 2);
    assert_ne!(runs[0].commit, runs[1].commit);

    // Completed: what is open is cancelled, and the push to main makes the tracked run.
    harbor
        .act(Method::PATCH, &path, json!({ "status": "completed" }))
        .await?;
    harbor.dispatch().await?;
    let runs = harbor.runs(&prod).await?;
    let kinds: Vec<(RunKind, RunState)> = runs.iter().map(|run| (run.kind, run.state)).collect();
    assert_eq!(
        kinds,
        [
            (RunKind::Proposed, RunState::Canceled),
            (RunKind::Proposed, RunState::Canceled),
            (RunKind::Tracked, RunState::Queued)
        ]
    );
    assert_eq!(
        runs[0].canceled_because,
        Some(CancelReason::PullRequestClosed)
    );
    Ok(())
}

#[tokio::test]
async fn an_abandoned_pull_request_loses_its_open_runs_and_a_reactivated_one_is_proposed_again()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    harbor
        .push(json!({ "branch": "fix/r", "from": "main", "files": { "prod/r.tf": "1" } }))
        .await?;
    let opened = harbor
        .act(
            Method::POST,
            "pullRequests",
            json!({ "source": "fix/r", "target": "main", "title": "r" }),
        )
        .await?;
    let path = format!("pullRequests/{}", opened["pullRequest"]["pullRequestId"]);
    let created = harbor.sent().await?;
    harbor.dispatched(&created).await?;
    for round in 1..=3 {
        harbor
            .act(Method::PATCH, &path, json!({ "status": "abandoned" }))
            .await?;
        let ids = harbor.dispatch().await?;
        let (verdict, reason) = harbor.verdict(&ids[0], &stack).await?;
        assert_eq!(
            (verdict.as_str(), reason.as_str()),
            (CANCELED, "the pull request is abandoned")
        );
        // What was told before comes once more: it is closed now, whatever that says.
        let mut copies: Vec<Value> = created.clone();
        for copy in &mut copies {
            copy["id"] = json!(uuid::Uuid::new_v4());
        }
        harbor.dispatched(&copies).await?;
        let runs = harbor.runs(&stack).await?;
        assert!(
            runs.iter().all(|run| run.state == RunState::Canceled),
            "{runs:?}"
        );
        harbor
            .act(Method::PATCH, &path, json!({ "status": "active" }))
            .await?;
        harbor.dispatch().await?;
        let runs = harbor.runs(&stack).await?;
        assert_eq!(runs.len(), round + 1);
        assert_eq!(
            runs.iter()
                .filter(|run| run.state == RunState::Queued)
                .count(),
            1
        );
    }
    // One that its executor gave up is not proposed again by itself.
    let open = harbor.runs(&stack).await?.pop().context("no run")?;
    let given_up = open.canceled(CancelReason::Executor, open.updated_at);
    harbor
        .store
        .change_run(
            &given_up,
            open.version,
            jiff::SignedDuration::from_hours(24),
        )
        .await?;
    harbor
        .act(
            Method::PATCH,
            &path,
            json!({ "vote": -5, "author": "Milo" }),
        )
        .await?;
    harbor.dispatch().await?;
    let runs = harbor.runs(&stack).await?;
    assert!(runs.iter().all(|run| !run.state.is_open()), "{runs:?}");
    Ok(())
}

#[tokio::test]
async fn forks_and_drafts_ask_for_nothing_unless_the_stack_allows_them_and_no_comment_changes_that()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let strict = harbor.stack(json!({})).await?;
    let open = harbor
        .stack(json!({ "allowForks": true, "runDrafts": true }))
        .await?;
    harbor
        .push(json!({ "branch": "fix/d", "from": "main", "files": { "d": "1" } }))
        .await?;
    let draft = json!({ "source": "fix/d", "target": "main", "title": "d", "draft": true });
    let opened = harbor.act(Method::POST, "pullRequests", draft).await?;
    let path = format!("pullRequests/{}", opened["pullRequest"]["pullRequestId"]);
    harbor.sent().await?;
    harbor
        .act(
            Method::POST,
            &format!("{path}/comments"),
            json!({ "content": "/stackhook run" }),
        )
        .await?;
    let ids = harbor.dispatch().await?;
    assert_eq!(
        harbor.verdict(&ids[0], &strict).await?,
        (NONE.to_owned(), "draft pull request".to_owned())
    );
    assert_eq!(harbor.verdict(&ids[0], &open).await?.0, RUN);
    // Published, it is as any other.
    harbor
        .act(Method::PATCH, &path, json!({ "draft": false }))
        .await?;
    let ids = harbor.dispatch().await?;
    assert_eq!(harbor.verdict(&ids[0], &strict).await?.0, RUN);

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
    let new = json!({ "source": "fix/f", "target": "main", "title": "f", "fork": "platform.asha" });
    let opened = harbor.act(Method::POST, "pullRequests", new).await?;
    harbor.sent().await?;
    let path = format!(
        "pullRequests/{}/comments",
        opened["pullRequest"]["pullRequestId"]
    );
    harbor
        .act(Method::POST, &path, json!({ "content": "/stackhook run" }))
        .await?;
    let ids = harbor.dispatch().await?;
    assert_eq!(
        harbor.verdict(&ids[0], &strict).await?,
        (
            NONE.to_owned(),
            "the pull request comes from a fork".to_owned()
        )
    );
    assert_eq!(harbor.verdict(&ids[0], &open).await?.0, RUN);
    assert!(
        harbor
            .runs(&open)
            .await?
            .last()
            .is_some_and(|run| run.pull_request.as_ref().is_some_and(|it| it.is_fork))
    );
    Ok(())
}

#[tokio::test]
async fn a_retargeted_pull_request_changes_the_stacks_that_it_concerns() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let main = harbor.stack(json!({})).await?;
    let develop = harbor.stack(json!({ "branch": "develop" })).await?;
    harbor
        .push(json!({ "branch": "fix/t", "from": "main", "files": { "t": "1" } }))
        .await?;
    let opened = harbor
        .act(
            Method::POST,
            "pullRequests",
            json!({ "source": "fix/t", "target": "main", "title": "t" }),
        )
        .await?;
    let path = format!("pullRequests/{}", opened["pullRequest"]["pullRequestId"]);
    harbor.dispatch().await?;
    harbor
        .act(Method::PATCH, &path, json!({ "target": "develop" }))
        .await?;
    harbor.dispatch().await?;
    let (before, after) = (harbor.runs(&main).await?, harbor.runs(&develop).await?);
    assert_eq!(
        before[0].canceled_because,
        Some(CancelReason::PullRequestRetargeted)
    );
    assert_eq!((after.len(), after[0].state), (1, RunState::Queued));
    harbor
        .act(Method::PATCH, &path, json!({ "target": "main" }))
        .await?;
    harbor.dispatch().await?;
    assert_eq!(harbor.runs(&main).await?.len(), 2);
    assert!(!harbor.runs(&develop).await?[0].state.is_open());
    Ok(())
}

#[tokio::test]
async fn two_pull_requests_of_one_commit_each_have_a_run_and_a_push_hides_neither() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let main = harbor.stack(json!({})).await?;
    let develop = harbor.stack(json!({ "branch": "develop" })).await?;
    let tracked = harbor.stack(json!({ "branch": "feature/gangway" })).await?;
    harbor
        .push(json!({ "branch": "feature/gangway", "files": { "two": "1" } }))
        .await?;
    for target in ["main", "develop"] {
        let new = json!({ "source": "feature/gangway", "target": target, "title": target });
        harbor.act(Method::POST, "pullRequests", new).await?;
    }
    harbor.dispatch().await?;
    let (one, other, pushed) = (
        harbor.runs(&main).await?,
        harbor.runs(&develop).await?,
        harbor.runs(&tracked).await?,
    );
    assert_eq!((one.len(), other.len(), pushed.len()), (1, 1, 1));
    assert!(one[0].commit == other[0].commit && one[0].commit == pushed[0].commit);
    assert_eq!(
        (one[0].kind, pushed[0].kind),
        (RunKind::Proposed, RunKind::Tracked)
    );
    Ok(())
}

#[tokio::test]
async fn a_comment_asks_for_one_run_however_often_it_is_edited_and_others_ask_for_none()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    harbor
        .push(json!({ "branch": "fix/c", "from": "main", "files": { "prod/c.tf": "1" } }))
        .await?;
    let opened = harbor
        .act(
            Method::POST,
            "pullRequests",
            json!({ "source": "fix/c", "target": "main", "title": "c" }),
        )
        .await?;
    let path = format!(
        "pullRequests/{}/comments",
        opened["pullRequest"]["pullRequestId"]
    );
    harbor.dispatch().await?;
    assert_eq!(harbor.runs(&stack).await?.len(), 1);

    harbor
        .act(Method::POST, &path, json!({ "content": "Looks right" }))
        .await?;
    let ids = harbor.dispatch().await?;
    let outcome = harbor.outcome(&ids[0]).await?;
    assert!(
        outcome
            .outcome
            .note
            .is_some_and(|note| note.contains("/stackhook run"))
    );
    assert_eq!(
        outcome.event.map(|event| event.detail_type),
        Some("Pull Request Commented On".to_owned())
    );
    assert_eq!(harbor.runs(&stack).await?.len(), 1);

    harbor
        .act(Method::POST, &path, json!({ "content": "/stackhook run" }))
        .await?;
    let bodies = harbor.sent().await?;
    let ids = harbor.dispatched(&bodies).await?;
    assert_eq!(
        harbor.verdict(&ids[0], &stack).await?,
        (
            RUN.to_owned(),
            "`/stackhook run` in a comment; `prod/c.tf` is in `prod/`".to_owned()
        )
    );
    assert_eq!(harbor.runs(&stack).await?.len(), 2, "on the same commit");
    let resource = &of_type(&bodies, "ms.vss-code.git-pullrequest-comment-event")[0]["resource"];
    let thread = resource["comment"]["_links"]["threads"]["href"]
        .as_str()
        .and_then(|href| href.rsplit('/').next());
    let place = format!(
        "{path}/{}.{}",
        thread.context("no thread")?,
        resource["comment"]["id"]
    );
    harbor
        .act(
            Method::PATCH,
            &place,
            json!({ "content": "/stackhook run\nplease" }),
        )
        .await?;
    harbor.dispatch().await?;
    harbor.act(Method::DELETE, &place, Value::Null).await?;
    harbor.dispatch().await?;
    assert_eq!(harbor.runs(&stack).await?.len(), 2);
    harbor
        .act(Method::POST, &path, json!({ "content": "/stackhook run" }))
        .await?;
    harbor.dispatch().await?;
    assert_eq!(harbor.runs(&stack).await?.len(), 3, "another comment");
    Ok(())
}
