//! The whole way of the seed page, through the real binaries behind their URLs, with an operator's rights.

use std::time::Duration;

use anyhow::{Context, Result};
use integration_tests::{Function, Stack};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{new_name, until};

/// The words of a delivery log.
fn summaries(log: &[Value]) -> Vec<&str> {
    log.iter()
        .filter_map(|row| row["summary"].as_str())
        .collect()
}

#[tokio::test]
async fn set_up_receive_look_and_unlink() -> Result<()> {
    let stack = Stack::of_this_test()?;
    let (portal, azure_devops) = (stack.portal(), stack.description.azure_dev_ops.clone());
    let (name, project) = (new_name("journey"), new_name("project"));
    let call = |function, method, path: String, body: Option<Value>| {
        let stack = stack.clone();
        async move { stack.call(function, method, &path, body.as_ref()).await }
    };

    // Set up.
    let wanted = json!({
        "name": name,
        "organizationUrl": azure_devops.organization_url,
        "personalAccessToken": azure_devops.personal_access_token,
    });
    let created = call(
        Function::Setup,
        Method::POST,
        "/integrations".to_owned(),
        Some(wanted.clone()),
    )
    .await?
    .expect(201)?;
    assert_eq!(
        created["notifications"],
        json!([
            "New integration was created",
            "Connecting to Azure DevOps succeeded"
        ])
    );
    let endpoint = created["webhook"]["endpoint"]
        .as_str()
        .context("no endpoint")?
        .to_owned();
    let password = created["webhook"]["password"]
        .as_str()
        .context("no password")?
        .to_owned();

    // A person at the portal makes the hooks and presses Test.
    let keyboard = portal.repository("tidewater", &project, "platform").await?;
    portal
        .make_hooks("tidewater", &project, &endpoint, &password)
        .await?;
    portal
        .press_test("tidewater", "git.push", &endpoint, &password)
        .await?;

    // A developer works.
    let change = |files: Value| json!({ "branch": "fix/anchor", "from": "main", "files": files, "message": "Secure the anchor", "author": "Tom Eklund" });
    keyboard
        .push(json!({ "branch": "main", "files": { "prod/main.tf": "one\n" }, "message": "Begin" }))
        .await?;
    keyboard
        .push(change(json!({ "prod/anchor.tf": "two\n" })))
        .await?;
    let opened = keyboard
        .call(
            Method::POST,
            "pullRequests",
            json!({ "source": "fix/anchor", "target": "main", "title": "Secure the anchor" }),
        )
        .await?;
    let number = opened["pullRequest"]["pullRequestId"]
        .as_u64()
        .context("no number")?;
    keyboard
        .call(
            Method::POST,
            &format!("pullRequests/{number}/comments"),
            json!({ "content": "Looks right" }),
        )
        .await?;
    keyboard
        .call(
            Method::PATCH,
            &format!("pullRequests/{number}"),
            json!({ "status": "completed" }),
        )
        .await?;
    keyboard
        .call(Method::POST, "tags", json!({ "name": "v1" }))
        .await?;
    keyboard
        .call(Method::DELETE, "branches/fix/anchor", Value::Null)
        .await?;
    portal.settle().await?;

    // Every attempt was answered with 200 and no hook is on probation.
    let attempts = portal.attempts_to(&endpoint).await?;
    assert!(
        attempts.iter().all(|attempt| attempt["status"] == 200),
        "{attempts:?}"
    );
    let hooks = portal.hooks_to("tidewater", &endpoint).await?;
    assert_eq!(hooks.len(), 5);
    assert!(
        hooks.iter().all(|hook| hook["status"] == "enabled"),
        "{hooks:?}"
    );

    // Look.
    let path = format!("/deliveries?integration={name}&pageSize=100");
    let log = call(Function::Deliveries, Method::GET, path.clone(), None)
        .await?
        .expect(200)?;
    let log = log["deliveries"]
        .as_array()
        .context("no deliveries")?
        .clone();
    assert_eq!(log.len(), attempts.len());
    let told = summaries(&log);
    let place = format!("{project}/platform");
    for words in [
        "created branch fix/anchor with 1 commit at".to_owned(),
        format!("opened pull request {number} “Secure the anchor” (fix/anchor → main) in {place}"),
        format!(
            "commented on pull request {number} “Secure the anchor” (fix/anchor → main) in {place}: “Looks right”"
        ),
        format!("merged pull request {number}"),
        format!("completed pull request {number}"),
        "created tag v1 at".to_owned(),
        "deleted branch fix/anchor (it was at".to_owned(),
        "The Test button sent a sample of git.push".to_owned(),
    ] {
        assert!(
            told.iter().any(|told| told.contains(&words)),
            "{words} is not told in {told:#?}"
        );
    }
    for (row, attempt) in log.iter().map(|row| {
        (
            row,
            attempts
                .iter()
                .find(|attempt| attempt["eventId"] == row["eventId"]),
        )
    }) {
        let id = row["id"].as_str().context("no id")?;
        let whole = call(
            Function::Deliveries,
            Method::GET,
            format!("/deliveries/{id}"),
            None,
        )
        .await?
        .expect(200)?;
        assert_eq!(
            whole["payload"],
            attempt.context("not sent")?["body"],
            "{id}"
        );
    }

    // Unlink, and set up again under the same name.
    let path = format!("/integrations/{name}");
    let preview = call(Function::Unlink, Method::GET, path.clone(), None)
        .await?
        .expect(200)?;
    assert_eq!(preview["status"], "active");
    let done = call(Function::Unlink, Method::DELETE, path.clone(), None)
        .await?
        .expect(200)?;
    assert_eq!(done["status"], "unlinked");
    let gone = until(
        Duration::from_secs(30),
        |answer| answer.status == 410,
        || stack.deliver(&endpoint, &password, "{}"),
    )
    .await?;
    assert_eq!(gone.status, 410);
    // The next event makes Azure DevOps disable its hook by itself.
    keyboard
        .push(
            json!({ "branch": "main", "files": { "prod/main.tf": "three\n" }, "message": "After" }),
        )
        .await?;
    portal.settle().await?;
    let hooks = portal.hooks_to("tidewater", &endpoint).await?;
    assert!(
        hooks
            .iter()
            .any(|hook| hook["status"] == "disabledBySystem"),
        "{hooks:?}"
    );

    let again = call(
        Function::Setup,
        Method::POST,
        "/integrations".to_owned(),
        Some(wanted),
    )
    .await?
    .expect(201)?;
    assert_eq!(again["webhook"]["endpoint"], endpoint);
    let renewed = again["webhook"]["password"]
        .as_str()
        .context("no password")?;
    assert_ne!(renewed, password);
    // No instance refuses it, whatever it has read of this name before.
    let answer = stack.deliver(&endpoint, renewed, "{}").await?;
    assert_eq!(answer.status, 200);
    call(Function::Unlink, Method::DELETE, path, None)
        .await?
        .expect(200)?;
    Ok(())
}

#[tokio::test]
async fn change_the_token_and_the_password_with_an_operators_rights() -> Result<()> {
    let stack = Stack::of_this_test()?;
    let azure_devops = &stack.description.azure_dev_ops;
    let path = format!("/integrations/{}", new_name("changes"));
    let name = path.rsplit('/').next().context("no name")?;
    let wanted = json!({
        "name": name,
        "organizationUrl": azure_devops.organization_url,
        "personalAccessToken": azure_devops.personal_access_token,
    });
    let setup = async |method, path: &str, body: &Value| {
        let body = (!body.is_null()).then_some(body);
        stack.call(Function::Setup, method, path, body).await
    };
    let created = setup(Method::POST, "/integrations", &wanted)
        .await?
        .expect(201)?;
    let endpoint = created["webhook"]["endpoint"].as_str().context("none")?;
    let old = created["webhook"]["password"].as_str().context("none")?;

    let token = json!({ "personalAccessToken": azure_devops.tokens["older"], "updatedAt": created["updatedAt"] });
    let changed = setup(Method::PATCH, &path, &token).await?.expect(200)?;
    assert_ne!(changed["updatedAt"], created["updatedAt"]);
    setup(Method::PATCH, &path, &token).await?.expect(409)?;
    setup(Method::POST, &format!("{path}/verification"), &Value::Null)
        .await?
        .expect(200)?;

    let rotation = format!("{path}/webhook/rotation");
    let rotated = setup(Method::POST, &rotation, &Value::Null)
        .await?
        .expect(200)?;
    let new = rotated["password"].as_str().context("none")?;
    for password in [old, new] {
        assert_eq!(stack.deliver(endpoint, password, "{}").await?.status, 200);
    }
    let log = format!("/deliveries?integration={name}&outcome=quarantined");
    let log = stack
        .call(Function::Deliveries, Method::GET, &log, None)
        .await?
        .expect(200)?;
    // The same bytes twice are one delivery.
    assert_eq!(log["deliveries"].as_array().map(Vec::len), Some(1));
    stack
        .call(Function::Unlink, Method::DELETE, &path, None)
        .await?
        .expect(200)?;
    Ok(())
}

#[tokio::test]
async fn follow_a_repository_with_an_operators_rights() -> Result<()> {
    let stack = Stack::of_this_test()?;
    let azure_devops = &stack.description.azure_dev_ops;
    let (name, integration) = (new_name("follows"), new_name("followed"));
    let (path, linked) = (
        format!("/stacks/{name}"),
        format!("/integrations/{integration}"),
    );
    let call = async |function, method, path: &str, body: Value, status| {
        let body = (!body.is_null()).then_some(&body);
        stack
            .call(function, method, path, body)
            .await?
            .expect(status)
    };
    let setup = json!({ "name": integration, "organizationUrl": azure_devops.organization_url, "personalAccessToken": azure_devops.personal_access_token });
    call(
        Function::Setup,
        Method::POST,
        "/integrations",
        setup.clone(),
        201,
    )
    .await?;
    let wanted = json!({ "name": name, "integration": integration, "project": "Harbor", "repository": "website", "branch": "main", "projectRoot": "nowhere" });
    let created = call(Function::Stacks, Method::POST, "/stacks", wanted, 201).await?;
    assert_eq!(
        created["notes"],
        json!(["nowhere is not there yet on branch main"])
    );
    let nowhere = json!({ "branch": "nowhere" });
    let refused = call(Function::Stacks, Method::PATCH, &path, nowhere, 422).await?;
    assert_eq!(refused["field"], "branch");
    let change = json!({ "globs": ["docs/**"], "updatedAt": created["updatedAt"] });
    let changed = call(Function::Stacks, Method::PATCH, &path, change.clone(), 200).await?;
    assert_eq!(changed["globs"], json!(["docs/**"]));
    call(Function::Stacks, Method::PATCH, &path, change, 409).await?;
    let list = format!("/stacks?integration={integration}");
    let list = call(Function::Stacks, Method::GET, &list, Value::Null, 200).await?;
    assert_eq!(list["stacks"], json!([changed]));

    let preview = call(Function::Unlink, Method::GET, &linked, Value::Null, 200).await?;
    assert_eq!(preview["stacks"], json!([name]));
    let done = call(Function::Unlink, Method::DELETE, &linked, Value::Null, 200).await?;
    assert_eq!(done["stacksDetached"], 1);
    let detached = call(Function::Stacks, Method::GET, &path, Value::Null, 200).await?;
    assert_eq!(detached["detached"], true);
    call(Function::Setup, Method::POST, "/integrations", setup, 201).await?;
    let attach = json!({ "integration": integration });
    let attached = call(Function::Stacks, Method::PATCH, &path, attach, 200).await?;
    assert_eq!(attached["detached"], false);
    call(Function::Stacks, Method::DELETE, &path, Value::Null, 200).await?;
    call(Function::Stacks, Method::GET, &path, Value::Null, 404).await?;
    call(Function::Unlink, Method::DELETE, &linked, Value::Null, 200).await?;
    Ok(())
}

#[tokio::test]
async fn u7_an_unsigned_call_of_an_operators_function_is_refused_by_the_platform() -> Result<()> {
    let stack = Stack::of_this_test()?;
    let description = &stack.description;
    for url in [
        &description.setup,
        &description.deliveries,
        &description.stacks,
        &description.unlink,
        &description.runs,
    ] {
        let answer = stack
            .stranger(Method::GET, &format!("{url}/integrations"))
            .await?;
        assert_eq!(answer.status, 403, "{url}");
    }
    Ok(())
}

#[tokio::test]
async fn an_executor_may_call_runs_and_nothing_else() -> Result<()> {
    let stack = Stack::of_this_test()?;
    let description = &stack.description;
    let call = |base: &str| {
        let (stack, url) = (stack.clone(), format!("{base}/runs"));
        async move {
            let keys = &stack.description.executor;
            stack
                .signed(keys, "lambda", Method::GET, &url, &[], String::new())
                .await
        }
    };
    for url in [
        &description.setup,
        &description.deliveries,
        &description.stacks,
        &description.unlink,
    ] {
        assert_eq!(call(url).await?.status, 403, "{url}");
    }
    // The platform lets it pass; what the function answers is another matter.
    assert_ne!(call(&description.runs).await?.status, 403);
    Ok(())
}
