//! The rule tester: what a stack that is not saved would make of deliveries. It says what `dispatch` would, and stores nothing.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use store::DeliveryId;

use crate::support::{dispatching::Dispatching, json as body_of, new_event, parts, problem, send};

/// Asks about a stack of `Harbor/platform`, tracking main, with changes.
async fn ask(harbor: &Dispatching, changes: Value) -> Result<(u16, Value)> {
    let stacks = harbor.bed.stacks(&harbor.azure_devops).await?;
    let mut wanted = json!({ "integration": harbor.linked.name, "project": "Harbor", "repository": "platform", "branch": "main" });
    for (field, value) in changes.as_object().context("no fields")? {
        wanted[field] = value.clone();
    }
    parts(
        &stacks
            .handle(send("POST", "/stacks/preview", &wanted))
            .await,
    )
}

async fn preview(harbor: &Dispatching, changes: Value) -> Result<Value> {
    let stacks = harbor.bed.stacks(&harbor.azure_devops).await?;
    let mut wanted = json!({ "integration": harbor.linked.name, "project": "Harbor", "repository": "platform", "branch": "main" });
    for (field, value) in changes.as_object().context("no fields")? {
        wanted[field] = value.clone();
    }
    body_of(
        stacks
            .handle(send("POST", "/stacks/preview", &wanted))
            .await,
    )
}

/// The verdict, kind and reason of a delivery.
fn told(answer: &Value, id: &DeliveryId) -> Result<(String, Option<String>, String)> {
    let rows = answer["deliveries"].as_array().context("no deliveries")?;
    let row = rows.iter().find(|row| row["id"] == id.to_string());
    let row = row.with_context(|| format!("{answer} has no {id}"))?;
    let text = |field: &str| row[field].as_str().map(str::to_owned);
    Ok((
        text("verdict").context("no verdict")?,
        text("kind"),
        text("reason").context("no reason")?,
    ))
}

fn run(kind: &str, reason: &str) -> (String, Option<String>, String) {
    ("run".to_owned(), Some(kind.to_owned()), reason.to_owned())
}

fn none(reason: &str) -> (String, Option<String>, String) {
    ("none".to_owned(), None, reason.to_owned())
}

#[tokio::test]
async fn pushes_are_told_by_the_paths_that_were_kept_in_the_words_of_a_decision() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let whole = harbor.stack(json!({ "projectRoot": "nowhere" })).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "prod/a.tf": "1", "modules/net/x.tf": "1" } }))
        .await?;
    harbor
        .push(json!({ "branch": "fix", "from": "main", "files": { "prod/b.tf": "1" } }))
        .await?;
    harbor
        .push(json!({ "branch": "fix", "files": { "prod/b.tf": "2" } }))
        .await?;
    let ids = harbor.dispatch().await?;
    let [main, created, fix] = ids.as_slice() else {
        panic!("{ids:?}")
    };
    assert_eq!(harbor.verdict(main, &whole).await?.0, "none");

    // Named twice, it is told once, where it was named first.
    let twice = [fix, main, fix].map(ToString::to_string);
    let answer = preview(&harbor, json!({ "deliveries": twice })).await?;
    let rows = answer["deliveries"].as_array().context("no deliveries")?;
    let told_of: Vec<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
    assert_eq!(told_of, twice[..2]);
    let (store, same) = (harbor.bed.store().await, [main.clone(), main.clone()]);
    assert_eq!(store.deliveries(&same).await?.len(), 1);
    assert_eq!(store.outcomes(&same).await?.len(), 1);
    // Ends of time at which there is no week before, and nothing after.
    for time in [
        json!({ "to": "-009999-01-03T00:00:00Z" }),
        json!({ "from": "9999-12-30T00:00:00Z" }),
        json!({ "to": "-009999-01-01" }),
    ] {
        let answer = preview(&harbor, time).await?;
        assert_eq!(answer["deliveries"], json!([]), "{answer}");
        assert_eq!(answer["more"], false);
    }

    for (changes, expected) in [
        (
            json!({ "projectRoot": "prod" }),
            run("tracked", "`prod/a.tf` is in `prod/`"),
        ),
        (json!({}), run("tracked", "`modules/net/x.tf` changed")),
        (
            json!({ "projectRoot": "docs", "globs": ["modules/**/*.tf"] }),
            run(
                "tracked",
                "`modules/net/x.tf` matches the glob `modules/**/*.tf`",
            ),
        ),
        (
            json!({ "projectRoot": "docs", "globs": ["*.tf"] }),
            none("`modules/net/` and `prod/` are outside `docs/` and no glob matches"),
        ),
        (
            json!({ "projectRoot": "modules/net", "kind": "module" }),
            run("test", "`modules/net/x.tf` is in `modules/net/`"),
        ),
        (
            json!({ "branch": "fix" }),
            none("branch `main` is not tracked"),
        ),
    ] {
        let answer = preview(&harbor, changes.clone()).await?;
        assert_eq!(told(&answer, main)?, expected, "{changes}");
        let count = |field: &str| answer[field].as_u64().unwrap_or_default();
        assert_eq!(count("run") + count("none") + count("unknown"), 3);
        assert_eq!(answer["more"], false);
        // What dispatch makes of it for such a stack.
        if expected.1.as_deref() != Some("test") {
            let made = harbor.stack(changes).await?;
            let again = json!({ "kind": "delivery", "delivery": main.to_string(), "tries": 0, "again": true });
            Dispatching::hand(&harbor.app, vec![Dispatching::message(&again, 1)]).await?;
            let decided = harbor.verdict(main, &made).await?;
            assert_eq!(decided, (expected.0, expected.2), "dispatch says the same");
        }
    }
    // Of the branch that nobody followed nothing was kept; that it is new is told by the event.
    let answer = preview(&harbor, json!({ "branch": "fix", "projectRoot": "prod" })).await?;
    assert_eq!(told(&answer, created)?, run("tracked", "its branch is new"));
    let (verdict, kind, reason) = told(&answer, fix)?;
    assert_eq!((verdict.as_str(), kind), ("unknown", None));
    assert!(reason.contains("was not kept"), "{reason}");
    let module = preview(&harbor, json!({ "kind": "module", "projectRoot": "prod" })).await?;
    assert_eq!(told(&module, created)?.0, "unknown");
    assert_eq!(
        told(&module, main)?,
        run("test", "`prod/a.tf` is in `prod/`")
    );
    assert_eq!(
        (&module["run"], &module["none"], &module["unknown"]),
        (&json!(1), &json!(0), &json!(2))
    );
    Ok(())
}

#[tokio::test]
async fn a_pull_request_is_told_as_it_was_and_nothing_is_stored_or_compared() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    harbor.stack(json!({ "projectRoot": "docs" })).await?;
    harbor
        .push(json!({ "branch": "fix", "from": "main", "files": { "prod/p.tf": "1" } }))
        .await?;
    let draft = json!({ "source": "fix", "target": "main", "title": "p", "draft": true });
    let opened = harbor.act(Method::POST, "pullRequests", draft).await?;
    let path = format!("pullRequests/{}", opened["pullRequest"]["pullRequestId"]);
    let as_draft = harbor.dispatch().await?;
    harbor
        .act(Method::PATCH, &path, json!({ "draft": false }))
        .await?;
    let published = harbor.dispatch().await?;
    harbor
        .act(
            Method::POST,
            &format!("{path}/comments"),
            json!({ "content": "/stackhook run" }),
        )
        .await?;
    harbor
        .act(
            Method::POST,
            &format!("{path}/comments"),
            json!({ "content": "nice" }),
        )
        .await?;
    let comments = harbor.dispatch().await?;
    harbor
        .act(Method::PATCH, &path, json!({ "status": "abandoned" }))
        .await?;
    let closed = harbor.dispatch().await?;
    let asked = harbor.asked("/diffs/commits");

    let prod = preview(&harbor, json!({ "projectRoot": "prod", "name": "prod-eu" })).await?;
    let [_, created, ..] = as_draft.as_slice() else {
        panic!("{as_draft:?}")
    };
    assert_eq!(told(&prod, created)?, none("draft pull request"));
    let published = published.last().context("nothing was sent")?;
    assert_eq!(
        told(&prod, published)?,
        run("proposed", "`prod/p.tf` is in `prod/`")
    );
    assert_eq!(
        told(&prod, &comments[0])?,
        run(
            "proposed",
            "`/stackhook run` in a comment; `prod/p.tf` is in `prod/`"
        )
    );
    let (verdict, _, reason) = told(&prod, &comments[1])?;
    assert_eq!(verdict, "none");
    assert!(reason.contains("does not ask for a run"), "{reason}");
    assert_eq!(
        told(&prod, &closed[0])?,
        none("the pull request is abandoned")
    );
    let develop = preview(&harbor, json!({ "branch": "fix" })).await?;
    assert_eq!(
        told(&develop, published)?,
        none("the pull request goes into `main`, which is not tracked")
    );
    let drafts = json!({ "projectRoot": "prod", "runDrafts": true });
    let (verdict, _, reason) = told(&preview(&harbor, drafts).await?, created)?;
    assert!(
        verdict == "unknown" && reason.contains("was not kept"),
        "{reason}"
    );
    assert_eq!(harbor.asked("/diffs/commits"), asked);
    let stacks = harbor.bed.stacks(&harbor.azure_devops).await?;
    let path = format!("/stacks?integration={}", harbor.linked.name);
    let listed = body_of(stacks.handle(crate::support::get(&path)).await)?;
    assert_eq!(listed["stacks"].as_array().map(Vec::len), Some(1));
    assert_eq!(prod["stack"]["projectRoot"], "prod");
    assert!(prod["stack"].get("name").is_none());
    Ok(())
}

#[tokio::test]
async fn what_nobody_followed_is_unknown_and_what_is_not_this_repositorys_is_left_out() -> Result<()>
{
    let mut harbor = Dispatching::start().await?;
    harbor
        .push(json!({ "branch": "main", "files": { "prod/a.tf": "1" } }))
        .await?;
    let ids = harbor.dispatch().await?;
    harbor
        .push(json!({ "branch": "main", "files": { "prod/b.tf": "1" } }))
        .await?;
    let bodies = harbor.sent().await?;
    let stored = harbor.stored(&bodies).await?;
    let elsewhere = harbor.stored(&[new_event("ado/git.push.json")]).await?;
    let answer = preview(&harbor, json!({ "projectRoot": "prod" })).await?;
    assert_eq!(answer["deliveries"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer["unknown"], 2);
    assert_eq!(answer["deliveries"][0]["id"], stored[0].to_string());
    assert_eq!(answer["deliveries"][1]["id"], ids[0].to_string());
    for gone in [
        json!({ "from": "2026-01-01", "to": "2026-01-02" }),
        json!({ "from": crate::support::now().to_string() }),
    ] {
        let answer = preview(&harbor, gone).await?;
        assert_eq!(answer["deliveries"], json!([]));
    }

    // By their ids, in that order.
    let named = json!({ "deliveries": [elsewhere[0].to_string(), ids[0].to_string()] });
    let answer = preview(&harbor, named).await?;
    assert_eq!(
        told(&answer, &elsewhere[0])?,
        none("it is about another repository")
    );
    assert_eq!(answer["deliveries"][1]["id"], ids[0].to_string());
    let of_another = ids[0].to_string();
    let other = Dispatching::start().await?;
    for (deliveries, why) in [
        (json!([]), "name 1 to 100"),
        (json!(vec![ids[0].to_string(); 101]), "name 1 to 100"),
        (json!([ids[0].to_string(), "x"]), "delivery 2: this is no"),
    ] {
        let (status, refused) = ask(&harbor, json!({ "deliveries": deliveries })).await?;
        assert_eq!((status, problem(&refused)), (422, "invalid-field"));
        assert!(
            refused["detail"]
                .as_str()
                .is_some_and(|it| it.contains(why)),
            "{refused}"
        );
    }
    let (status, refused) = ask(&other, json!({ "deliveries": [of_another] })).await?;
    assert_eq!(status, 422);
    assert!(
        refused["detail"]
            .as_str()
            .is_some_and(|it| it.contains("another integration")),
        "{refused}"
    );
    let both = json!({ "deliveries": [ids[0].to_string()], "from": "2026-11-23" });
    let (status, refused) = ask(&harbor, both).await?;
    assert_eq!((status, problem(&refused)), (400, "invalid-request"));
    let (status, refused) = ask(&harbor, json!({ "branch": "nowhere" })).await?;
    assert_eq!((status, &refused["field"]), (422, &json!("branch")));
    Ok(())
}

#[tokio::test]
async fn of_a_push_that_changes_more_than_is_kept_what_is_not_told_by_the_rest_is_unknown()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    harbor.stack(json!({ "projectRoot": "zoo" })).await?;
    let mut files = json!({ "zoo/last.tf": "1" });
    for number in 0..2_100 {
        files[format!("big/{number:05}.tf")] = json!("1");
    }
    harbor
        .push(json!({ "branch": "main", "files": files }))
        .await?;
    let ids = harbor.dispatch().await?;
    let big = preview(&harbor, json!({ "projectRoot": "big" })).await?;
    assert_eq!(
        told(&big, &ids[0])?,
        run("tracked", "`big/00000.tf` is in `big/`")
    );
    let other = preview(&harbor, json!({ "projectRoot": "zoo" })).await?;
    let (verdict, _, reason) = told(&other, &ids[0])?;
    assert_eq!(
        (verdict.as_str(), reason.as_str()),
        ("unknown", "101 paths changed beyond those that were kept")
    );
    Ok(())
}
