//! Stacks and modules: created, listed, shown, changed, deleted; in process, each against a simulator
//! of its own.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use simulator::Running;

use crate::support::{
    Bed, Fate, Linked, Tap, azure_devops, get, json as body_of, new_name, parts, portal, problem,
    send,
};

/// A stack of the simulator's world.
pub(crate) fn wanted(name: &str, linked: &Linked) -> Value {
    json!({ "name": name, "integration": linked.name, "project": "Harbor", "repository": "platform", "branch": "main" })
}

pub(crate) async fn create(app: &stacks::App, wanted: &Value) -> Result<(u16, Value)> {
    parts(&app.handle(send("POST", "/stacks", wanted)).await)
}

pub(crate) async fn patch(app: &stacks::App, name: &str, changes: &Value) -> Result<(u16, Value)> {
    let request = send("PATCH", &format!("/stacks/{name}"), changes);
    parts(&app.handle(request).await)
}

pub(crate) async fn shown(app: &stacks::App, name: &str) -> Result<Value> {
    body_of(app.handle(get(&format!("/stacks/{name}"))).await)
}

pub(crate) async fn unlink(bed: &Bed, linked: &Linked) -> Result<Value> {
    let request = send(
        "DELETE",
        &format!("/integrations/{}", linked.name),
        &json!({}),
    );
    body_of(bed.unlink().await.handle(request).await)
}

pub(crate) async fn control(
    azure_devops: &Running,
    method: Method,
    path: &str,
    body: Value,
) -> Result<Value> {
    portal(azure_devops)?.control(method, path, body).await
}

/// An integration and the function, against one simulator.
pub(crate) async fn linked(bed: &Bed, azure_devops: &Running) -> Result<(stacks::App, Linked)> {
    let setup = bed.setup(azure_devops).await?;
    let linked = bed.set_up(&setup, azure_devops).await?;
    Ok((bed.stacks(azure_devops).await?, linked))
}

#[tokio::test]
async fn a_stack_keeps_the_ids_of_what_it_follows_and_the_names_as_they_are_now() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (app, linked) = linked(&bed, &azure_devops).await?;
    let name = new_name("stack");
    let mut wanted = wanted(&name, &linked);
    wanted["project"] = json!("harbor");
    wanted["repository"] = json!("PLATFORM");
    wanted["kind"] = json!("module");
    wanted["projectRoot"] = json!("/prod/");
    wanted["globs"] = json!(["/modules/net/**", "**/*.tfvars"]);
    wanted["allowForks"] = json!(true);
    wanted["labels"] = json!(["eu"]);
    let asked = azure_devops.requests().len();
    let (status, created) = create(&app, &wanted).await?;
    assert_eq!(status, 201, "{created}");
    // The repositories, the branch, the project root; and as it is the first one, its newest push and open pull requests.
    assert_eq!(azure_devops.requests().len() - asked, 5);
    assert!(created["notes"].is_null(), "{created}");
    assert_eq!(created, shown(&app, &name).await?);
    for (field, value) in [
        ("name", json!(name)),
        ("kind", json!("module")),
        ("integration", json!(linked.name)),
        ("detached", json!(false)),
        ("branch", json!("refs/heads/main")),
        ("projectRoot", json!("prod")),
        ("globs", json!(["modules/net/**", "**/*.tfvars"])),
        ("allowForks", json!(true)),
        ("runDrafts", json!(false)),
        ("labels", json!(["eu"])),
    ] {
        assert_eq!(created[field], value, "{field}");
    }
    assert_eq!(created["project"]["name"], "Harbor");
    assert_eq!(created["repository"]["name"], "platform");
    assert_eq!(created["updatedAt"], created["createdAt"]);

    // By their ids, too; and a name is taken once, which Azure DevOps need not be asked about.
    let mut by_id = wanted.clone();
    by_id["name"] = json!(new_name("by-id"));
    by_id["project"] = created["project"]["id"].clone();
    by_id["repository"] = created["repository"]["id"].clone();
    by_id["branch"] = json!("refs/heads/main");
    let (status, other) = create(&app, &by_id).await?;
    assert_eq!(status, 201, "{other}");
    assert_eq!(other["repository"], created["repository"]);
    let asked = azure_devops.requests().len();
    let (status, body) = create(&app, &wanted).await?;
    assert_eq!(
        (status, problem(&body), body["field"].as_str()),
        (409, "name-taken", Some("name"))
    );
    assert_eq!(azure_devops.requests().len(), asked);
    Ok(())
}

#[tokio::test]
async fn a_project_root_that_is_not_there_yet_is_said_and_no_error() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (app, linked) = linked(&bed, &azure_devops).await?;
    let name = new_name("early");
    let mut early = wanted(&name, &linked);
    early["projectRoot"] = json!("next/eu");
    let (status, created) = create(&app, &early).await?;
    assert_eq!(status, 201, "{created}");
    let notes = json!(["next/eu is not there yet on branch main"]);
    assert_eq!(created["notes"], notes);
    assert!(
        shown(&app, &name).await?["notes"].is_null(),
        "it is not kept"
    );
    let (status, changed) = patch(&app, &name, &json!({ "projectRoot": "prod" })).await?;
    assert_eq!((status, changed["notes"].is_null()), (200, true));
    let (status, changed) = patch(&app, &name, &json!({ "projectRoot": null })).await?;
    assert_eq!((status, changed["projectRoot"].as_str()), (200, Some("")));
    Ok(())
}

#[tokio::test]
async fn fields_that_cannot_be_are_refused_by_name_without_any_call() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (app, linked) = linked(&bed, &azure_devops).await?;
    let name = new_name("field");
    let (status, body) = create(&app, &wanted(&name, &linked)).await?;
    assert_eq!(status, 201, "{body}");
    let asked = azure_devops.requests().len();
    for (field, value) in [
        ("name", json!("Not A Slug")),
        ("integration", json!("Not A Slug")),
        ("project", json!(" ")),
        ("repository", json!("")),
        ("branch", json!("refs/tags/v1")),
        ("branch", json!("a..b")),
        ("kind", json!("blueprint")),
        ("projectRoot", json!("../prod")),
        ("globs", json!(["prod/**", "a["])),
        ("globs", json!(vec!["*"; 51])),
        ("labels", json!([""])),
    ] {
        let mut new = wanted(&new_name("field"), &linked);
        new[field] = value.clone();
        let changed = json!({ field: value });
        let answers = match field {
            "name" => vec![create(&app, &new).await?],
            _ => vec![
                create(&app, &new).await?,
                patch(&app, &name, &changed).await?,
            ],
        };
        for (status, body) in answers {
            assert_eq!(
                (status, problem(&body), body["field"].as_str()),
                (422, "invalid-field", Some(field)),
                "{value}: {body}"
            );
        }
    }
    for (changes, status, field) in [
        (json!({}), 400, None),
        (json!({ "updatedAt": "2026-11-23T12:00:00Z" }), 400, None),
        (json!({ "name": "other" }), 400, Some("name")),
        (json!({ "allowForks": "yes" }), 400, Some("allowForks")),
        (json!({ "integration": null }), 422, Some("integration")),
        (json!({ "project": null }), 422, Some("project")),
        (json!({ "repository": null }), 422, Some("repository")),
        (json!({ "branch": null }), 422, Some("branch")),
    ] {
        let (answer, body) = patch(&app, &name, &changes).await?;
        assert_eq!(
            (answer, body["field"].as_str()),
            (status, field),
            "{changes}: {body}"
        );
    }
    assert_eq!(azure_devops.requests().len(), asked);
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_to_be_followed_is_a_422_at_its_field_and_nothing_is_stored() -> Result<()>
{
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (app, linked) = linked(&bed, &azure_devops).await?;
    let kept = new_name("kept");
    let (_, before) = create(&app, &wanted(&kept, &linked)).await?;
    let fault = |kind: &str, path: &str| json!({ "kind": kind, "path": path });
    let cases = [
        ("integration", "nobody", Value::Null, "invalid-field"),
        ("project", "Nowhere", Value::Null, "invalid-field"),
        ("repository", "nowhere", Value::Null, "invalid-field"),
        ("repository", "retired", Value::Null, "invalid-field"),
        ("repository", "tide tables", Value::Null, "invalid-field"),
        ("branch", "mai", Value::Null, "invalid-field"),
        ("branch", "Main", Value::Null, "invalid-field"),
        ("projectRoot", "prod/main.tf", Value::Null, "invalid-field"),
        (
            "integration",
            "",
            fault("signInPage", "/repositories"),
            "token-refused",
        ),
        (
            "integration",
            "",
            fault("redirect", "/refs"),
            "token-refused",
        ),
        (
            "",
            "",
            fault("tooManyRequests", "/refs"),
            "azure-devops-slow-down",
        ),
        (
            "",
            "",
            fault("drop", "/repositories"),
            "azure-devops-unreachable",
        ),
        ("", "", fault("cutOff", "/items"), "azure-devops-unexpected"),
    ];
    for (field, value, fault, expected) in cases {
        if !fault.is_null() {
            control(&azure_devops, Method::POST, "faults", fault.clone()).await?;
        }
        let name = new_name("refused");
        let mut new = wanted(&name, &linked);
        new["projectRoot"] = json!("prod");
        let mut changes = json!({ "branch": "develop", "projectRoot": "prod" });
        if !value.is_empty() {
            new[field] = json!(value);
            changes[field] = json!(value);
        }
        for (status, body) in [
            create(&app, &new).await?,
            patch(&app, &kept, &changes).await?,
        ] {
            assert_eq!(
                (status, problem(&body), body["field"].as_str().unwrap_or("")),
                (422, expected, field),
                "{value} {fault}: {body}"
            );
        }
        let (status, _) = parts(&app.handle(get(&format!("/stacks/{name}"))).await)?;
        assert_eq!(status, 404, "{value} {fault}");
        control(&azure_devops, Method::DELETE, "faults", Value::Null).await?;
    }
    assert_eq!(shown(&app, &kept).await?, before, "it was changed");
    Ok(())
}

#[tokio::test]
async fn a_token_that_ran_out_is_told_at_the_integration() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (app, linked) = linked(&bed, &azure_devops).await?;
    control(
        &azure_devops,
        Method::POST,
        "tokens/good/expire",
        Value::Null,
    )
    .await?;
    let (status, body) = create(&app, &wanted(&new_name("expired"), &linked)).await?;
    assert_eq!(
        (status, problem(&body), body["field"].as_str()),
        (422, "token-refused", Some("integration")),
        "{body}"
    );
    assert!(!body.to_string().contains(azure_devops.token("good")));
    Ok(())
}

#[tokio::test]
async fn everything_but_the_name_can_be_changed_and_a_new_name_in_azure_devops_is_taken_on()
-> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (app, linked) = linked(&bed, &azure_devops).await?;
    let name = new_name("change");
    let (_, created) = create(&app, &wanted(&name, &linked)).await?;
    let asked = azure_devops.requests().len();
    let told = json!({ "kind": "module", "globs": ["docs/**"], "allowForks": true, "runDrafts": true, "labels": ["a"] });
    let (status, changed) = patch(&app, &name, &told).await?;
    assert_eq!(status, 200, "{changed}");
    let usual = json!({ "kind": null, "globs": null, "allowForks": null, "runDrafts": null, "labels": null });
    let (status, back) = patch(&app, &name, &usual).await?;
    assert_eq!(status, 200, "{back}");
    assert_eq!(azure_devops.requests().len(), asked, "nothing to look for");
    for (field, before) in created.as_object().context("no object")? {
        match field.as_str() {
            "updatedAt" => assert_ne!(back[field], *before),
            _ => assert_eq!(back[field], *before, "{field}"),
        }
        if let Some(value) = told.get(field) {
            assert_eq!(changed[field], *value, "{field}");
        }
    }
    let repository = "organizations/tidewater/projects/Harbor/repositories/platform";
    let renamed = json!({ "name": "foundation" });
    control(&azure_devops, Method::PATCH, repository, renamed).await?;
    assert_eq!(shown(&app, &name).await?["repository"]["name"], "platform");
    let (status, changed) = patch(&app, &name, &json!({ "branch": "develop" })).await?;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["branch"], "refs/heads/develop");
    assert_eq!(changed["repository"]["name"], "foundation");
    assert_eq!(changed["repository"]["id"], created["repository"]["id"]);
    let other = json!({ "project": "Quay Works", "repository": "tide tables", "branch": "main" });
    let (status, changed) = patch(&app, &name, &other).await?;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["project"]["name"], "Quay Works");
    Ok(())
}

#[tokio::test]
async fn of_two_people_who_edit_what_they_have_read_the_second_is_told() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (app, linked) = linked(&bed, &azure_devops).await?;
    let name = new_name("edited");
    let (_, created) = create(&app, &wanted(&name, &linked)).await?;
    let read = &created["updatedAt"];
    let mine = json!({ "labels": ["mine"], "updatedAt": read });
    let (status, changed) = patch(&app, &name, &mine).await?;
    assert_eq!(status, 200, "{changed}");
    for theirs in [
        json!({ "labels": ["theirs"], "updatedAt": read }),
        json!({ "branch": "develop", "updatedAt": read }),
    ] {
        let (status, body) = patch(&app, &name, &theirs).await?;
        assert_eq!((status, problem(&body)), (409, "changed-since"), "{body}");
    }
    assert_eq!(shown(&app, &name).await?, changed);
    let again = json!({ "labels": ["theirs"], "updatedAt": changed["updatedAt"] });
    assert_eq!(patch(&app, &name, &again).await?.0, 200);

    // Who does not say what they read does not mix their change with another one either, made while Azure DevOps was asked.
    let slow = json!({ "kind": "latency", "path": "/refs", "milliseconds": 2_000, "times": 1 });
    control(&azure_devops, Method::POST, "faults", slow).await?;
    let branch = json!({ "branch": "develop" });
    let meanwhile = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        patch(&app, &name, &json!({ "labels": ["between"] })).await
    };
    let (slower, quicker) = tokio::join!(patch(&app, &name, &branch), meanwhile);
    let (status, body) = slower?;
    assert_eq!((status, problem(&body)), (409, "changed-since"), "{body}");
    assert_eq!(quicker?.0, 200);
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_at_any_call_is_no_failure() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (_, linked) = linked(&bed, &azure_devops).await?;
    for lost in 1..=6 {
        let name = new_name("unheard");
        for (method, path, body, expected) in [
            ("POST", "/stacks".to_owned(), wanted(&name, &linked), 201),
            (
                "PATCH",
                format!("/stacks/{name}"),
                json!({ "branch": "develop" }),
                200,
            ),
            ("DELETE", format!("/stacks/{name}"), json!({}), 200),
        ] {
            let calls = std::sync::atomic::AtomicUsize::new(0);
            let judge = move |_: &str, _| {
                let call = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                if call == lost {
                    Fate::CutAnswer
                } else {
                    Fate::Pass
                }
            };
            let tap = Tap::on(&bed.stack.description.endpoint_url, judge).await?;
            let app = bed.stacks_at(&azure_devops, &tap.url()).await?;
            let (status, body) = parts(&app.handle(send(method, &path, &body)).await)?;
            ensure!(
                status == expected,
                "{method}, the answer of call {lost}: {status} {body}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn lists_are_by_name_in_pages_and_can_be_an_integrations() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (app, linked) = linked(&bed, &azure_devops).await?;
    let mut names: Vec<String> = (0..5).map(|_| new_name("listed")).collect();
    for name in &names {
        create(&app, &wanted(name, &linked)).await?;
    }
    names.sort_unstable();
    let list = format!("/stacks?integration={}&pageSize=2", linked.name);
    let (mut seen, mut path) = (Vec::new(), list.clone());
    loop {
        let page = body_of(app.handle(get(&path)).await)?;
        let stacks = page["stacks"].as_array().context("no stacks")?;
        assert!(stacks.len() <= 2);
        seen.extend(
            stacks
                .iter()
                .filter_map(|stack| stack["name"].as_str().map(str::to_owned)),
        );
        let Some(token) = page["nextPageToken"].as_str() else {
            break;
        };
        let other = format!("/stacks?integration=other&pageToken={token}");
        let (status, body) = parts(&app.handle(get(&other)).await)?;
        assert_eq!((status, problem(&body)), (400, "invalid-page-token"));
        path = format!("{list}&pageToken={token}");
    }
    assert_eq!(seen, names);
    let all = body_of(app.handle(get("/stacks?pageSize=100")).await)?;
    assert!(all["stacks"].as_array().is_some_and(|all| all.len() >= 5));
    let (status, body) = parts(&app.handle(get("/stacks?integration=No")).await)?;
    assert_eq!((status, body["field"].as_str()), (400, Some("integration")));
    Ok(())
}

#[tokio::test]
async fn a_stack_that_is_deleted_is_gone_and_its_name_free() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (app, linked) = linked(&bed, &azure_devops).await?;
    let name = new_name("gone");
    let path = format!("/stacks/{name}");
    let (_, mut created) = create(&app, &wanted(&name, &linked)).await?;
    let deleted = body_of(app.handle(send("DELETE", &path, &json!({}))).await)?;
    created["runsCanceled"] = json!(0);
    assert_eq!(deleted, created);
    for method in ["GET", "DELETE", "PATCH"] {
        let body = json!({ "labels": ["x"] });
        let (status, body) = parts(&app.handle(send(method, &path, &body)).await)?;
        assert_eq!((status, problem(&body)), (404, "not-found"), "{method}");
    }
    assert_eq!(unlink(&bed, &linked).await?["stacksDetached"], 0);
    let second = bed
        .set_up(&bed.setup(&azure_devops).await?, &azure_devops)
        .await?;
    assert_eq!(create(&app, &wanted(&name, &second)).await?.0, 201);
    Ok(())
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let app = bed.stacks(&azure_devops).await?;
    for (method, path, expected) in [
        ("PUT", "/stacks", 405),
        ("POST", "/stacks/x", 405),
        ("GET", "/", 404),
        ("GET", "/stacks/x/y", 404),
        ("GET", "/stacks/Not%20A%20Slug", 404),
    ] {
        let answer = app.handle(send(method, path, &json!({}))).await;
        assert_eq!(answer.status(), expected, "{method} {path}");
    }
    Ok(())
}
