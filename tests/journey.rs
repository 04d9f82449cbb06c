//! The whole way of the seed page, through the real binaries behind their URLs, with an operator's rights.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration_tests::{Answer, Executor, Function, Stack, portal::Repository};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{new_name, schemas, until};

/// How long what lies behind streams and queues may take on a local stack that others use as well.
const PATIENCE: Duration = Duration::from_secs(30);

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
    let why = "its role lets it tell dispatch";
    assert!(changed["notes"].is_null(), "{why}: {changed}");
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

/// An integration of a project of its own, with hooks at the real webhook, a stack, and an executor that listens.
struct Site {
    stack: Stack,
    project: String,
    integration: String,
    follower: String,
    keyboard: Repository,
    executor: Executor,
}

impl Site {
    async fn new() -> Result<Self> {
        let stack = Stack::of_this_test()?;
        let (portal, azure_devops) = (stack.portal(), stack.description.azure_dev_ops.clone());
        let project = new_name("site");
        let (integration, follower) = (new_name("linked"), new_name("stack"));
        let keyboard = portal.repository("tidewater", &project, "platform").await?;
        let site = Self {
            executor: Executor::listens(&stack, &new_name("executor")).await?,
            stack,
            project,
            integration,
            follower,
            keyboard,
        };
        site.push("main", json!({ "prod/main.tf": "zero\n" }))
            .await?;
        let wanted = json!({
            "name": site.integration,
            "organizationUrl": azure_devops.organization_url,
            "personalAccessToken": azure_devops.personal_access_token,
        });
        let created = site
            .call(Function::Setup, Method::POST, "/integrations", wanted, 201)
            .await?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no webhook");
        let webhook = &created["webhook"];
        let (endpoint, password) = (text(&webhook["endpoint"])?, text(&webhook["password"])?);
        portal
            .make_hooks("tidewater", &site.project, &endpoint, &password)
            .await?;
        let wanted = json!({
            "name": site.follower,
            "integration": site.integration,
            "project": site.project,
            "repository": "platform",
            "branch": "main",
            "projectRoot": "prod",
        });
        site.call(Function::Stacks, Method::POST, "/stacks", wanted, 201)
            .await?;
        Ok(site)
    }

    /// Somebody pushes, to a branch that is there.
    async fn push(&self, branch: &str, files: Value) -> Result<Value> {
        let push = json!({ "branch": branch, "files": files, "message": "Work on it" });
        self.keyboard.push(push).await
    }

    /// What an operator is answered.
    async fn call(
        &self,
        function: Function,
        method: Method,
        path: &str,
        body: Value,
        status: u16,
    ) -> Result<Value> {
        let body = (!body.is_null()).then_some(&body);
        self.stack
            .call(function, method, path, body)
            .await?
            .expect(status)
    }

    async fn get(&self, function: Function, path: &str) -> Result<Value> {
        self.call(function, Method::GET, path, Value::Null, 200)
            .await
    }

    /// What the executor hears of a run of this stack, as its schema says.
    async fn hears(&mut self, detail_type: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let name = self.follower.clone();
        let event = self
            .executor
            .hears(detail_type, |it| {
                it["run"]["stack"] == name && wanted(&it["run"])
            })
            .await?;
        let found = schemas::faults(detail_type, &event["detail"]);
        ensure!(found.is_empty(), "{detail_type}: {found:?}");
        Ok(event)
    }

    /// The executor reports, and hears that what it said is announced.
    async fn reports(&mut self, event: &Value, report: Value) -> Result<Value> {
        let run = self
            .executor
            .reports(event, report.clone())
            .await?
            .expect(200)?;
        ensure!(run["state"] == report["state"], "{run}");
        let is_it = |it: &Value| it["id"] == run["id"] && it["version"] == run["version"];
        let announced = self.hears("Run State Changed", is_it).await?;
        ensure!(
            announced["detail"]["run"]["state"] == report["state"],
            "{announced}"
        );
        Ok(run)
    }

    /// The latest status of this stack at a place of its repository in Azure DevOps, as soon as it has this state.
    async fn status(&self, place: &str, state: &str) -> Result<Value> {
        let latest = |answer: &Answer| -> Value {
            let all = answer.json().unwrap_or_default();
            let all = all["value"].as_array().cloned().unwrap_or_default();
            all.into_iter()
                .filter(|it| it["context"]["name"] == self.follower.as_str())
                .max_by_key(|it| it["id"].as_u64())
                .unwrap_or_default()
        };
        let azure_devops = &self.stack.description.azure_dev_ops;
        let path = format!(
            "{}/tidewater/{}/_apis/git/repositories/platform/{place}/statuses?api-version=7.1",
            azure_devops.url, self.project
        );
        let ask = || async {
            let asked = crate::support::http_client()
                .get(&path)
                .basic_auth("", Some(&azure_devops.personal_access_token))
                .send()
                .await?;
            Answer::read(asked).await
        };
        let answer = until(PATIENCE, |answer| latest(answer)["state"] == state, ask).await?;
        let latest = latest(&answer);
        ensure!(latest["state"] == state, "not {state}: {latest}");
        Ok(latest)
    }

    /// A run, as soon as it shows that Azure DevOps was told this state of it.
    async fn reported(&self, run: &Value, state: &str) -> Result<Value> {
        let path = format!("/runs/{}", run["id"].as_str().context("no id")?);
        let ask = || async {
            self.stack
                .call(Function::Runs, Method::GET, &path, None)
                .await
        };
        let is_told = |answer: &Answer| {
            answer
                .json()
                .is_ok_and(|run| run["report"]["state"] == state)
        };
        let run = until(PATIENCE, is_told, ask).await?.expect(200)?;
        ensure!(run["report"]["state"] == state, "{run}");
        Ok(run)
    }

    async fn unlink(&self) -> Result<Value> {
        let path = format!("/integrations/{}", self.integration);
        let done = self
            .call(Function::Unlink, Method::DELETE, &path, Value::Null, 200)
            .await?;
        let path = format!("/stacks/{}", self.follower);
        self.call(Function::Stacks, Method::DELETE, &path, Value::Null, 200)
            .await?;
        Ok(done)
    }
}

#[tokio::test]
async fn a_push_becomes_a_run_that_an_executor_ends_and_the_commit_shows_how() -> Result<()> {
    let mut site = Site::new().await?;
    site.push("main", json!({ "prod/main.tf": "one\n" }))
        .await?;
    let event = site.hears("Run Requested", |_| true).await?;
    let run = event["detail"]["run"].clone();
    assert_eq!(
        (&run["kind"], &run["trigger"], &run["state"]),
        (&json!("tracked"), &json!("push"), &json!("queued"))
    );
    assert_eq!(run["reason"], "`prod/main.tf` is in `prod/`");
    let commit = format!("commits/{}", run["commit"].as_str().context("no commit")?);
    assert_eq!(
        site.status(&commit, "pending").await?["context"]["genre"],
        "stackhook"
    );

    // Nobody but who may reports: not unsigned, and the executor nowhere else.
    let url = event["detail"]["report"]["url"]
        .as_str()
        .context("no URL")?;
    for method in [Method::GET, Method::PATCH] {
        assert_eq!(
            site.stack.stranger(method.clone(), url).await?.status,
            403,
            "{method}"
        );
    }
    let description = &site.stack.description;
    let (setup, stacks) = (&description.setup, &description.stacks);
    let name = &site.integration;
    for (method, url) in [
        (Method::GET, format!("{setup}/integrations/{name}/webhook")),
        (
            Method::POST,
            format!("{stacks}/stacks/{}/runs", site.follower),
        ),
        (
            Method::GET,
            format!("{}/deliveries", description.deliveries),
        ),
        (
            Method::DELETE,
            format!("{}/integrations/{name}", description.unlink),
        ),
    ] {
        let answer = site.executor.calls(method, &url, None).await?;
        assert_eq!(answer.status, 403, "{url}");
    }

    site.reports(&event, json!({ "state": "running" })).await?;
    let target = "https://executor.example/logs/1";
    let end =
        json!({ "state": "finished", "description": "Applied: 1 added", "targetUrl": target });
    site.reports(&event, end.clone()).await?;
    let status = site.status(&commit, "succeeded").await?;
    assert_eq!(
        (&status["targetUrl"], &status["description"]),
        (&json!(target), &json!("Applied: 1 added"))
    );
    let shown = site.reported(&run, "finished").await?;
    assert_eq!(
        (&shown["state"], &shown["targetUrl"]),
        (&json!("finished"), &json!(target))
    );
    assert!(shown["report"]["refusal"].is_null(), "{shown}");
    // A repeat does no harm, a step back is refused.
    site.executor.reports(&event, end).await?.expect(200)?;
    let back = json!({ "state": "running" });
    site.executor.reports(&event, back).await?.expect(409)?;

    // The delivery says what came of it, and the bus as well.
    let integration = site.integration.clone();
    let is_ours = |it: &Value| it["integration"] == integration;
    let told = site.executor.hears("Code Pushed", is_ours).await?["detail"].clone();
    assert_eq!(schemas::faults("Code Pushed", &told), Vec::<String>::new());
    assert_eq!(told["runs"], json!([run["id"]]));
    assert_eq!(told["delivery"], run["delivery"]);
    let path = format!("/deliveries/{}", told["delivery"].as_str().context("none")?);
    let delivery = site.get(Function::Deliveries, &path).await?;
    assert_eq!(delivery["outcome"], "dispatched");
    assert_eq!(delivery["decisions"][0]["stacks"], json!([site.follower]));
    assert_eq!(delivery["decisions"][0]["runs"], json!([run["id"]]));

    // Asked for anew it is decided anew, and there is no second run.
    let again = format!("{path}/redelivery");
    let asked = site
        .call(Function::Deliveries, Method::POST, &again, json!({}), 202)
        .await?;
    assert_eq!(asked["redelivery"], 1);
    let is_decided = |answer: &Answer| {
        answer
            .json()
            .is_ok_and(|it| it["decidedAt"] != delivery["decidedAt"])
    };
    let ask = || {
        site.stack
            .call(Function::Deliveries, Method::GET, &path, None)
    };
    let decided = until(PATIENCE, is_decided, ask).await?.expect(200)?;
    assert_ne!(decided["decidedAt"], delivery["decidedAt"]);
    let list = format!("/runs?stack={}", site.follower);
    let runs = site.get(Function::Runs, &list).await?;
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1), "{runs}");

    // What would run if it were asked for once more, and what another stack would make of it: each function may read that.
    let wish = json!({ "integration": integration, "rerun": true, "dryRun": true });
    let dry = site
        .call(
            Function::Deliveries,
            Method::POST,
            "/redeliveries",
            wish,
            200,
        )
        .await?;
    assert_eq!((&dry["runs"], &dry["redelivered"]), (&json!(1), &json!(0)));
    let another = json!({ "integration": integration, "project": site.project, "repository": "platform", "branch": "main", "projectRoot": "docs" });
    let preview = site
        .call(
            Function::Stacks,
            Method::POST,
            "/stacks/preview",
            another,
            200,
        )
        .await?;
    assert_eq!(
        (&preview["none"], &preview["unknown"]),
        (&json!(1), &json!(0)),
        "{preview}"
    );
    assert_eq!(site.unlink().await?["runsCanceled"], 0);
    Ok(())
}

#[tokio::test]
async fn a_pull_request_becomes_a_proposed_run_and_its_iteration_shows_how_it_went() -> Result<()> {
    let mut site = Site::new().await?;
    let branch = json!({ "branch": "fix/winch", "from": "main", "files": { "prod/winch.tf": "one\n" }, "message": "Turn it" });
    site.keyboard.push(branch).await?;
    let new = json!({ "source": "fix/winch", "target": "main", "title": "Turn the winch" });
    let opened = site
        .keyboard
        .call(Method::POST, "pullRequests", new)
        .await?;
    let number = &opened["pullRequest"]["pullRequestId"];
    let place = format!("pullRequests/{number}");
    let event = site.hears("Run Requested", |_| true).await?;
    let run = event["detail"]["run"].clone();
    assert_eq!(
        (&run["kind"], &run["trigger"], &run["pullRequest"]["number"]),
        (&json!("proposed"), &json!("pullRequest"), number)
    );
    site.status(&place, "pending").await?;
    let end = json!({ "state": "failed", "description": "1 to destroy" });
    site.reports(&event, end).await?;
    let status = site.status(&place, "failed").await?;
    assert_eq!(
        (&status["iterationId"], &status["description"]),
        (&json!(1), &json!("1 to destroy"))
    );
    let shown = site.reported(&run, "failed").await?;
    assert_eq!(shown["report"]["iteration"], 1, "{shown}");

    // Another commit is another iteration, with a run of its own.
    site.push("fix/winch", json!({ "prod/winch.tf": "two\n" }))
        .await?;
    let event = site.hears("Run Requested", |_| true).await?;
    let next = &event["detail"]["run"];
    assert_ne!(next["commit"], run["commit"]);
    site.reports(&event, json!({ "state": "finished" })).await?;
    assert_eq!(site.status(&place, "succeeded").await?["iterationId"], 2);

    // Abandoned while a run of it is open: who is at it hears that.
    let comments = format!("{place}/comments");
    let ask = json!({ "content": "/stackhook run" });
    site.keyboard.call(Method::POST, &comments, ask).await?;
    let event = site.hears("Run Requested", |_| true).await?;
    assert_eq!(event["detail"]["run"]["trigger"], "comment");
    let abandon = json!({ "status": "abandoned" });
    site.keyboard.call(Method::PATCH, &place, abandon).await?;
    let canceled = site
        .hears("Run State Changed", |it| it["state"] == "canceled")
        .await?;
    assert_eq!(
        canceled["detail"]["run"]["canceledBecause"],
        "pullRequestClosed"
    );
    assert_eq!(site.unlink().await?["runsCanceled"], 0);
    Ok(())
}

#[tokio::test]
async fn a_run_asked_for_by_hand_is_executed_and_unlinking_cancels_what_is_open() -> Result<()> {
    let mut site = Site::new().await?;
    let path = format!("/stacks/{}/runs", site.follower);
    let mut events = Vec::new();
    for request in ["first", "second", "third"] {
        let wanted = json!({ "requestId": request });
        let run = site
            .call(Function::Stacks, Method::POST, &path, wanted.clone(), 201)
            .await?;
        assert_eq!(
            (&run["kind"], &run["trigger"]),
            (&json!("tracked"), &json!("request"))
        );
        let same = site
            .call(Function::Stacks, Method::POST, &path, wanted, 200)
            .await?;
        assert_eq!(same["id"], run["id"]);
        events.push(
            site.hears("Run Requested", |it| it["id"] == run["id"])
                .await?,
        );
    }
    site.reports(&events[0], json!({ "state": "finished" }))
        .await?;
    site.reports(&events[1], json!({ "state": "running" }))
        .await?;

    let open: Vec<&Value> = events[1..]
        .iter()
        .map(|event| &event["detail"]["run"])
        .collect();
    let preview = format!("/integrations/{}", site.integration);
    let preview = site.get(Function::Unlink, &preview).await?;
    assert_eq!(preview["runsCount"], 2, "{preview}");
    let mut named: Vec<(&Value, &Value)> = preview["runs"]
        .as_array()
        .context("no runs")?
        .iter()
        .map(|run| (&run["id"], &run["state"]))
        .collect();
    named.reverse();
    assert_eq!(
        named,
        [
            (&open[0]["id"], &json!("running")),
            (&open[1]["id"], &json!("queued"))
        ]
    );
    let done = site.unlink().await?;
    assert_eq!(
        (&done["runsCanceled"], &done["stacksDetached"]),
        (&json!(2), &json!(1)),
        "{done}"
    );
    for run in &open {
        let canceled = site
            .hears("Run State Changed", |it| {
                it["id"] == run["id"] && it["state"] == "canceled"
            })
            .await?;
        assert_eq!(canceled["detail"]["run"]["canceledBecause"], "unlinked");
        let end = json!({ "state": "finished" });
        site.executor.reports(&canceled, end).await?.expect(409)?;
        let path = format!("/runs/{}", run["id"].as_str().context("no id")?);
        let shown = site.get(Function::Runs, &path).await?;
        assert_eq!(
            (&shown["state"], &shown["canceledBecause"]),
            (&json!("canceled"), &json!("unlinked"))
        );
    }
    let first = format!(
        "/runs/{}",
        events[0]["detail"]["run"]["id"].as_str().context("no id")?
    );
    assert_eq!(site.get(Function::Runs, &first).await?["state"], "finished");
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
        for (method, path) in [
            (Method::GET, "integrations"),
            (Method::GET, "runs"),
            (Method::PATCH, "runs/1c5e7c40-5a4c-4d2a-9d0e-3a8f5b2c7d10"),
            (Method::POST, "stacks/harbor-prod/runs"),
            (Method::DELETE, "integrations/tidewater"),
        ] {
            let answer = stack.stranger(method, &format!("{url}/{path}")).await?;
            assert_eq!(answer.status, 403, "{url}/{path}");
        }
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
