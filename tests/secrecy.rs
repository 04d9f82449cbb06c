//! Planted secrets: the token and the password of a whole journey are in no log line, no answer but the one that is there to
//! show it, no item of a table, no event of the bus, and not in Terraform's state.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use integration_tests::{Executor, Function, Stack};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{aws, new_name, problem};

/// Everything that the functions have logged.
async fn logged(stack: &Stack) -> Result<String> {
    let mut lines = String::new();
    for group in stack.description.log_groups.values() {
        let mut next = Value::Null;
        loop {
            let mut request = json!({ "logGroupName": group, "limit": 10_000 });
            if next.is_string() {
                request["nextToken"] = next.clone();
            }
            let page = aws(stack, "logs", "Logs_20140328.FilterLogEvents", request).await?;
            for event in page["events"].as_array().context("no events")? {
                lines.push_str(event["message"].as_str().unwrap_or_default());
                lines.push('\n');
            }
            next = page["nextToken"].clone();
            if !next.is_string() {
                break;
            }
        }
    }
    Ok(lines)
}

/// The same, once it has these: the emulator hands log lines over a little later.
async fn logged_until(stack: &Stack, wanted: &[&str]) -> Result<String> {
    for _ in 0..30 {
        let log = logged(stack).await?;
        if wanted.iter().all(|wanted| log.contains(wanted)) {
            // And what was written last.
            tokio::time::sleep(Duration::from_secs(2)).await;
            return logged(stack).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    bail!("the functions' logs do not have {wanted:?}: this test would prove nothing")
}

/// All items of a table as text, what is packed in them beside them unpacked.
async fn items_of(stack: &Stack, table: &str) -> Result<String> {
    let mut text = String::new();
    let mut start = Value::Null;
    loop {
        let mut request = json!({ "TableName": table });
        if start.is_object() {
            request["ExclusiveStartKey"] = start;
        }
        let page = aws(stack, "dynamodb", "DynamoDB_20120810.Scan", request).await?;
        for item in page["Items"].as_array().context("no items")? {
            text.push_str(&item.to_string());
            text.push('\n');
            for packed in ["body", "record"] {
                let Some(packed) = item[packed]["B"].as_str() else {
                    continue;
                };
                // A part of a body alone cannot be unpacked; its whole is an answer's.
                if let Ok(whole) = store::body::decode(&STANDARD.decode(packed)?, 16_000_000) {
                    text.push_str(&String::from_utf8_lossy(&whole));
                    text.push('\n');
                }
            }
        }
        start = page["LastEvaluatedKey"].clone();
        if !start.is_object() {
            return Ok(text);
        }
    }
}

/// A push becomes a run, which an executor ends: what all of that says, in answers and on the bus. Everything that somebody
/// may write has the canary in it. Gives the ids of the run and of its delivery, too.
async fn a_run(
    stack: &Stack,
    (integration, endpoint, password): (&str, &str, &str),
    canary: &str,
) -> Result<(Vec<String>, String, String)> {
    let (portal, project) = (stack.portal(), new_name("planted"));
    let keyboard = portal.repository("tidewater", &project, "platform").await?;
    let push = |content: &str| {
        let files = json!({ format!("prod/{canary}.tf"): content });
        json!({ "branch": "main", "files": files, "message": canary })
    };
    keyboard.push(push("one")).await?;
    portal
        .make_hooks("tidewater", &project, endpoint, password)
        .await?;
    let name = new_name("planted");
    let wanted = json!({ "name": name, "integration": integration, "project": project, "repository": "platform", "branch": "main", "projectRoot": "prod" });
    let call = async |function, method, path: String, body: Value| {
        let body = (!body.is_null()).then_some(&body);
        stack.call(function, method, &path, body).await
    };
    let mut answers = Vec::new();
    answers.push(call(Function::Stacks, Method::POST, "/stacks".to_owned(), wanted).await?);
    let mut executor = Executor::listens(stack, &new_name("executor")).await?;
    keyboard.push(push("two")).await?;
    let is_ours = |it: &Value| it["run"]["stack"] == name;
    let event = executor.hears("Run Requested", is_ours).await?;
    let end = json!({ "state": "finished", "description": canary, "targetUrl": format!("https://executor.example/{canary}") });
    answers.push(executor.reports(&event, end).await?);
    answers.push(executor.reports(&event, json!({ "state": canary })).await?);
    let ended = executor
        .hears("Run State Changed", |it| {
            is_ours(it) && it["run"]["state"] == "finished"
        })
        .await?;
    let pushed = executor
        .hears("Code Pushed", |it| it["integration"] == integration)
        .await?;
    let run = event["detail"]["run"]["id"].as_str().context("no run")?;
    let delivery = pushed["detail"]["delivery"].as_str().context("no id")?;
    for (function, method, path) in [
        (Function::Runs, Method::GET, format!("/runs/{run}")),
        (Function::Runs, Method::GET, format!("/runs?stack={name}")),
        (Function::Stacks, Method::GET, format!("/stacks/{name}")),
        (
            Function::Stacks,
            Method::POST,
            format!("/stacks/{name}/runs"),
        ),
        (
            Function::Deliveries,
            Method::GET,
            format!("/deliveries/{delivery}"),
        ),
        (
            Function::Deliveries,
            Method::POST,
            format!("/deliveries/{delivery}/redelivery"),
        ),
    ] {
        answers.push(call(function, method, path, Value::Null).await?);
    }
    for answer in &answers {
        let is_refusal = answer.status == 422;
        ensure!(answer.status < 300 || is_refusal, "{}", answer.text);
        if is_refusal {
            ensure!(
                problem(&answer.json()?) == "invalid-field",
                "{}",
                answer.text
            );
        }
    }
    let mut told: Vec<String> = answers.into_iter().map(|answer| answer.text).collect();
    told.extend(
        [&event, &ended, &pushed]
            .into_iter()
            .map(ToString::to_string),
    );
    told.extend(executor.everything().await?.iter().map(ToString::to_string));
    Ok((told, run.to_owned(), delivery.to_owned()))
}

/// Every file below a folder that may hold what is kept: state, logs.
fn files_below(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != ".terraform") {
                files_below(&path, found)?;
            }
        } else if path.extension().is_some_and(|kind| {
            ["log", "tfstate", "json", "backup", "tf", "url"]
                .iter()
                .any(|known| kind == *known)
        }) {
            found.push((path.display().to_string(), fs::read(&path)?));
        }
    }
    Ok(())
}

#[tokio::test]
async fn planted_secrets_appear_in_no_log_answer_table_or_state() -> Result<()> {
    let stack = Stack::of_this_test()?;
    let azure_devops = &stack.description.azure_dev_ops;
    let (name, token) = (
        new_name("planted"),
        azure_devops.personal_access_token.clone(),
    );
    let wanted = json!({ "name": name, "organizationUrl": azure_devops.organization_url, "personalAccessToken": token });
    let created = stack
        .call(
            Function::Setup,
            Method::POST,
            "/integrations",
            Some(&wanted),
        )
        .await?
        .expect(201)?;
    let password = created["webhook"]["password"]
        .as_str()
        .context("no password")?
        .to_owned();
    let endpoint = created["webhook"]["endpoint"]
        .as_str()
        .context("no endpoint")?
        .to_owned();
    // What a sender may put where it does not belong.
    let canary = new_name("canary");
    let mut answers = Vec::new();
    answers.push(
        stack
            .deliver(&endpoint, &password, format!("{{\"eventType\":\"{canary}"))
            .await?
            .text,
    );
    answers.push(
        stack
            .deliver(&endpoint, &format!("{canary}-wrong"), "{}")
            .await?
            .text,
    );
    answers.push(stack.deliver(&endpoint, &password, "{}").await?.text);
    for body in [
        json!({ "name": "Not A Slug", "organizationUrl": azure_devops.organization_url, "personalAccessToken": token }),
        json!({ "name": name, "organizationUrl": "https://evil.tld/x", "personalAccessToken": token }),
        json!({ "name": new_name("refused"), "organizationUrl": format!("{}/elsewhere", azure_devops.url), "personalAccessToken": token }),
        json!({ "name": 7, "personalAccessToken": token }),
        wanted.clone(),
    ] {
        answers.push(
            stack
                .call(Function::Setup, Method::POST, "/integrations", Some(&body))
                .await?
                .text,
        );
    }
    for (function, method, path) in [
        (
            Function::Setup,
            Method::GET,
            "/integrations?pageSize=100".to_owned(),
        ),
        (
            Function::Setup,
            Method::GET,
            format!("/integrations/{name}"),
        ),
        (
            Function::Setup,
            Method::GET,
            format!("/integrations/{name}/projects"),
        ),
        (
            Function::Setup,
            Method::POST,
            format!("/integrations/{name}/verification"),
        ),
        (
            Function::Deliveries,
            Method::GET,
            format!("/deliveries?integration={name}"),
        ),
        (
            Function::Unlink,
            Method::GET,
            format!("/integrations/{name}"),
        ),
    ] {
        answers.push(stack.call(function, method, &path, None).await?.text);
    }
    let (told, run, delivery) = a_run(&stack, (&name, &endpoint, &password), &canary).await?;
    answers.extend(told);
    // This answer is there to show the password, and does; the token it does not.
    let webhook = stack
        .call(
            Function::Setup,
            Method::GET,
            &format!("/integrations/{name}/webhook"),
            None,
        )
        .await?;
    ensure!(
        webhook.text.contains(&password),
        "the webhook's password is not shown"
    );
    ensure!(!webhook.text.contains(&token), "the token is shown");
    answers.push(
        stack
            .call(
                Function::Unlink,
                Method::DELETE,
                &format!("/integrations/{name}"),
                None,
            )
            .await?
            .text,
    );

    for answer in &answers {
        for secret in [&token, &password] {
            assert!(
                !answer.contains(secret.as_str()),
                "a secret is in an answer: {}",
                &answer[..answer.len().min(60)]
            );
        }
    }
    let log = logged_until(
        &stack,
        &[
            "\"kind\":\"quarantined\"",
            &format!("/integrations/{name}"),
            // What dispatch, announce, report and runs each write.
            &format!("\"delivery\":\"{delivery}\""),
            "\"announcements\":",
            &format!("\"run\":\"{run}\""),
            &format!("/runs/{run}"),
        ],
    )
    .await?;
    for secret in [&token, &password, &canary] {
        let line = log.lines().find(|line| line.contains(secret.as_str()));
        assert!(
            line.is_none(),
            "a secret or a part of a payload is in a log line"
        );
    }
    for (table, name) in &stack.description.tables {
        let items = items_of(&stack, name).await?;
        ensure!(
            items.contains("\"pk\""),
            "the table {table} is empty: this test would prove nothing"
        );
        // What is packed was unpacked: the run's path, and the delivery's with what became of it.
        ensure!(
            items.contains(&canary) || table == "integrations",
            "the table {table} does not have what was sent: this test would prove nothing"
        );
        assert!(
            !items.contains(&token) && !items.contains(&password),
            "a secret is in {table}"
        );
    }
    let mut files = Vec::new();
    files_below(&stack.description.directory, &mut files)?;
    ensure!(
        files
            .iter()
            .any(|(path, _)| path.ends_with("terraform.tfstate")),
        "no state was looked at"
    );
    for (path, bytes) in files {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(&password), "the password is in {path}");
        // Where the simulator's own tokens are told to the tests.
        let tells = path.ends_with("simulator.json") || path.ends_with("stack.json");
        assert!(tells || !text.contains(&token), "the token is in {path}");
    }
    Ok(())
}
