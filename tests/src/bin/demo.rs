//! `make demo`: the way of the seed page, step by step, on a local stack. Exits with 0 only if each step did what it should.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "saying what it does is what a demo is for"
)]

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use integration_tests::{Answer, Executor, Function, Portal, Stack};
use reqwest::Method;
use serde_json::{Value, json};

const NAME: &str = "acme";
const ORGANIZATION: &str = "tidewater";
const PROJECT: &str = "Harbor";
const STACK: &str = "harbor-prod";
/// How long the webhook may go on with what it has read of an integration on the local stack, and some.
const AT_MOST: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match demo().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a backtrace: what matters is which step did not do what it should.
            let reasons: Vec<String> = error.chain().map(ToString::to_string).collect();
            eprintln!("\nThe demo failed: {}", reasons.join(": "));
            ExitCode::FAILURE
        }
    }
}

async fn demo() -> Result<()> {
    let path = std::env::args().nth(1).context("usage: demo STACK_JSON")?;
    let stack = Stack::load(&path)?;
    let demo = Demo {
        portal: stack.portal(),
        stack,
    };
    demo.run().await
}

struct Demo {
    stack: Stack,
    portal: Portal,
}

/// What Azure DevOps is given.
struct Webhook {
    endpoint: String,
    password: String,
}

fn step(number: u8, title: &str) {
    println!("\n{number}. {title}");
}

fn says(text: &str) {
    println!("   {text}");
}

impl Demo {
    async fn run(&self) -> Result<()> {
        println!(
            "Stackhook: Azure DevOps (simulated) and AWS (local), with the real functions behind their URLs."
        );
        step(
            1,
            "Set up: a wrong organization URL and a wrong token are refused, and nothing is stored",
        );
        self.refusals().await?;
        step(2, "Set up: an organization URL and a personal access token");
        let webhook = self.set_up().await?;
        step(3, "The repository picker shows what the token can see");
        let repository = self.pick().await?;
        step(4, "A stack follows a repository chosen in the picker");
        self.follow(&repository).await?;
        step(
            5,
            "A person creates five service hooks in Azure DevOps, with the endpoint and the password, and presses Test",
        );
        self.hooks(&webhook).await?;
        let mut executor = Executor::listens(&self.stack, "demo-executor").await?;
        step(
            6,
            "A push becomes a tracked run; an executor hears of it on the bus and reports; the commit shows how it went",
        );
        self.push(&mut executor).await?;
        step(
            7,
            "A pull request becomes a proposed run, and `/stackhook run` in a comment another one; its statuses lie on its iteration",
        );
        self.propose(&mut executor).await?;
        step(
            8,
            "A developer pushes, opens a pull request, comments, rewrites, completes it, tags, and deletes the branch",
        );
        self.work().await?;
        step(9, "What was received, newest first, and what came of it");
        self.look(&webhook).await?;
        step(
            10,
            "The same delivery again is answered with 200 and stored once; strangers get 401; nonsense is kept aside",
        );
        self.odd(&webhook).await?;
        step(
            11,
            "A new token, tried before it takes the old one's place; a new password, while the hooks still have the old one",
        );
        let webhook = self.change(webhook).await?;
        step(12, "Unlink: the preview, then the removal");
        self.unlink(&webhook).await?;
        step(13, "The same name again: the old endpoint, a new password");
        self.again(&webhook).await?;
        println!("\nAll steps did what they should.");
        Ok(())
    }

    async fn call(
        &self,
        function: Function,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer> {
        self.stack.call(function, method, path, body.as_ref()).await
    }

    fn wanted(&self, url: &str, token: &str) -> Value {
        json!({ "name": NAME, "organizationUrl": url, "personalAccessToken": token, "description": "The platform team's" })
    }

    async fn refusals(&self) -> Result<()> {
        let azure_devops = &self.stack.description.azure_dev_ops;
        let (url, token) = (
            &azure_devops.organization_url,
            &azure_devops.personal_access_token,
        );
        let wrong_token = format!("{}AZDO0000", "0".repeat(76));
        for (url, token) in [
            ("https://dev.azure.com.evil.example/tidewater", token),
            (url.as_str(), &wrong_token),
        ] {
            let refused = self
                .call(
                    Function::Setup,
                    Method::POST,
                    "/integrations",
                    Some(self.wanted(url, token)),
                )
                .await?;
            let problem = refused.expect(422)?;
            says(&format!(
                "422 {}: {}",
                shown(&problem["title"]),
                shown(&problem["detail"])
            ));
        }
        self.call(
            Function::Setup,
            Method::GET,
            &format!("/integrations/{NAME}"),
            None,
        )
        .await?
        .expect(404)?;
        says("404 for the integration: nothing was stored");
        Ok(())
    }

    async fn set_up(&self) -> Result<Webhook> {
        let azure_devops = &self.stack.description.azure_dev_ops;
        let wanted = self.wanted(
            &azure_devops.organization_url,
            &azure_devops.personal_access_token,
        );
        let created = self
            .call(Function::Setup, Method::POST, "/integrations", Some(wanted))
            .await?
            .expect(201)?;
        for notification in created["notifications"]
            .as_array()
            .context("no notifications")?
        {
            says(&format!("✓ {}", shown(notification)));
        }
        ensure!(
            created["notifications"]
                == json!([
                    "New integration was created",
                    "Connecting to Azure DevOps succeeded"
                ]),
            "the notifications are others: {}",
            created["notifications"]
        );
        let webhook = Webhook {
            endpoint: shown(&created["webhook"]["endpoint"]).to_owned(),
            password: shown(&created["webhook"]["password"]).to_owned(),
        };
        ensure!(
            webhook.endpoint.ends_with(&format!("/{NAME}")),
            "the endpoint does not end in the name"
        );
        says(&format!("webhook endpoint  {}", webhook.endpoint));
        says(&format!(
            "webhook password  {} characters, shown to the operator and kept as a digest",
            webhook.password.len()
        ));
        let list = self
            .call(Function::Setup, Method::GET, "/integrations", None)
            .await?
            .expect(200)?;
        ensure!(
            list["integrations"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["name"] == NAME)),
            "it is not listed"
        );
        Ok(webhook)
    }

    /// Gives the id of the repository that is chosen.
    async fn pick(&self) -> Result<String> {
        let base = format!("/integrations/{NAME}/projects");
        let projects = self
            .call(Function::Setup, Method::GET, &base, None)
            .await?
            .expect(200)?;
        says(&format!("projects      {}", names(&projects["projects"])));
        let path = format!("{base}/{PROJECT}/repositories");
        let repositories = self
            .call(Function::Setup, Method::GET, &path, None)
            .await?
            .expect(200)?;
        says(&format!(
            "repositories  {}",
            names(&repositories["repositories"])
        ));
        let path = format!("{path}/platform/branches?pageSize=3&prefix=feature/");
        let branches = self
            .call(Function::Setup, Method::GET, &path, None)
            .await?
            .expect(200)?;
        says(&format!("branches      {} …", names(&branches["branches"])));
        ensure!(
            names(&branches["branches"]).starts_with("feature/"),
            "the branches do not start with the prefix"
        );
        let all = repositories["repositories"].as_array();
        let chosen = all.and_then(|all| all.iter().find(|one| one["name"] == "platform"));
        Ok(shown(&chosen.context("no repository platform")?["id"]).to_owned())
    }

    async fn follow(&self, repository: &str) -> Result<()> {
        let wanted = |branch: &str| json!({ "name": STACK, "integration": NAME, "project": PROJECT, "repository": repository, "branch": branch, "projectRoot": "prod", "globs": ["modules/**"] });
        let create = async |branch: &str| {
            let body = Some(wanted(branch));
            self.call(Function::Stacks, Method::POST, "/stacks", body)
                .await
        };
        let refused = create("nowhere").await?.expect(422)?;
        says(&format!(
            "422 at {}: {}",
            shown(&refused["field"]),
            shown(&refused["detail"])
        ));
        ensure!(refused["field"] == "branch", "it is another field");
        let created = create("main").await?.expect(201)?;
        says(&format!(
            "{STACK} follows {} of {}/{} in {}, and modules/**",
            shown(&created["branch"]),
            shown(&created["project"]["name"]),
            shown(&created["repository"]["name"]),
            shown(&created["projectRoot"]),
        ));
        let path = format!("/stacks/{STACK}");
        let change = json!({ "projectRoot": "next", "updatedAt": created["updatedAt"] });
        let changed = self
            .call(Function::Stacks, Method::PATCH, &path, Some(change.clone()))
            .await?
            .expect(200)?;
        says(&format!("changed; {}", shown(&changed["notes"][0])));
        ensure!(
            changed["notes"] == json!(["next is not there yet on branch main"]),
            "nothing is said of the project root"
        );
        let late = self
            .call(Function::Stacks, Method::PATCH, &path, Some(change))
            .await?
            .expect(409)?;
        says(&format!(
            "409 for who read it before: {}",
            shown(&late["title"])
        ));
        let back = json!({ "projectRoot": "prod" });
        self.call(Function::Stacks, Method::PATCH, &path, Some(back))
            .await?
            .expect(200)?;
        Ok(())
    }

    /// Something happens in the stack's repository.
    async fn act(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        let at = format!("organizations/{ORGANIZATION}/projects/{PROJECT}/repositories/platform");
        self.portal
            .control(method, &format!("{at}/{path}"), body)
            .await
    }

    async fn push(&self, executor: &mut Executor) -> Result<()> {
        let push = json!({ "branch": "main", "files": { "prod/winch.tf": "one\n" }, "message": "Add a winch" });
        self.act(Method::POST, "pushes", push).await?;
        let event = executor
            .hears("Run Requested", |it| it["run"]["kind"] == "tracked")
            .await?;
        let run = &event["detail"]["run"];
        says(&format!(
            "the bus says “Run Requested”: {} of {}, commit {}, because {}",
            shown(&run["kind"]),
            shown(&run["stack"]),
            &shown(&run["commit"])[..8],
            shown(&run["reason"])
        ));
        let list = format!("/runs?stack={STACK}&state=queued");
        let queued = self
            .call(Function::Runs, Method::GET, &list, None)
            .await?
            .expect(200)?;
        ensure!(
            queued["runs"][0]["id"] == run["id"],
            "it is not listed: {queued}"
        );
        self.commit_shows(run, "pending").await?;
        let log = "https://executor.example/logs/1";
        for (report, status) in [
            (json!({ "state": "running" }), "pending"),
            (
                json!({ "state": "finished", "description": "Applied: 1 added", "targetUrl": log }),
                "succeeded",
            ),
        ] {
            executor
                .reports(&event, report.clone())
                .await?
                .expect(200)?;
            says(&format!("the executor reports {}", shown(&report["state"])));
            self.commit_shows(run, status).await?;
        }
        let backwards = executor
            .reports(&event, json!({ "state": "running" }))
            .await?
            .expect(409)?;
        says(&format!(
            "409 for a step back: {}",
            shown(&backwards["detail"])
        ));
        let others = executor
            .calls(
                Method::GET,
                &format!("{}/stacks", self.stack.description.stacks),
                None,
            )
            .await?;
        says(&format!(
            "{} for the executor at any other function",
            others.status
        ));
        ensure!(others.status == 403, "the executor may call more than runs");

        let push = json!({ "branch": "main", "files": { "docs/winch.md": "how\n" }, "message": "Document the winch" });
        self.act(Method::POST, "pushes", push).await?;
        let told = executor
            .hears("Code Pushed", |it| it["runCount"] == 0)
            .await?;
        let path = format!("/deliveries/{}", shown(&told["detail"]["delivery"]));
        let delivery = self
            .call(Function::Deliveries, Method::GET, &path, None)
            .await?
            .expect(200)?;
        let decision = &delivery["decisions"][0];
        says(&format!(
            "a push to docs/ is {}: {}",
            shown(&delivery["outcome"]),
            shown(&decision["reason"])
        ));
        ensure!(
            delivery["outcome"] == "ignored"
                && decision["reason"] == "`docs/` is outside `prod/` and no glob matches",
            "it is decided otherwise: {delivery}"
        );
        Ok(())
    }

    async fn propose(&self, executor: &mut Executor) -> Result<()> {
        let push = json!({ "branch": "fix/winch", "from": "main", "files": { "prod/winch.tf": "two\n" }, "message": "Turn it" });
        self.act(Method::POST, "pushes", push).await?;
        let new = json!({ "source": "fix/winch", "target": "main", "title": "Turn the winch" });
        let opened = self.act(Method::POST, "pullRequests", new).await?;
        let number = opened["pullRequest"]["pullRequestId"]
            .as_u64()
            .context("no pull request")?;
        let is_of_it = |it: &Value| it["run"]["pullRequest"]["number"] == json!(number);
        let event = executor.hears("Run Requested", is_of_it).await?;
        let run = &event["detail"]["run"];
        says(&format!(
            "{} run of pull request {number}: {}",
            shown(&run["kind"]),
            shown(&run["reason"])
        ));
        ensure!(run["kind"] == "proposed", "it is another kind: {run}");
        executor
            .reports(
                &event,
                json!({ "state": "failed", "description": "1 to destroy" }),
            )
            .await?
            .expect(200)?;
        self.pull_request_shows(number, "failed").await?;

        let path = format!("pullRequests/{number}/comments");
        self.act(Method::POST, &path, json!({ "content": "/stackhook run" }))
            .await?;
        let event = executor.hears("Run Requested", is_of_it).await?;
        says(&format!(
            "commented: {}",
            shown(&event["detail"]["run"]["reason"])
        ));
        ensure!(
            event["detail"]["run"]["trigger"] == "comment",
            "it is not the comment's"
        );
        executor
            .reports(
                &event,
                json!({ "state": "finished", "description": "Plan: 1 to change" }),
            )
            .await?
            .expect(200)?;
        self.pull_request_shows(number, "succeeded").await?;
        self.act(
            Method::PATCH,
            &format!("pullRequests/{number}"),
            json!({ "status": "abandoned" }),
        )
        .await?;
        Ok(())
    }

    async fn commit_shows(&self, run: &Value, state: &str) -> Result<()> {
        let path = format!("commits/{}/statuses", shown(&run["commit"]));
        let status = self.status_at(&path, state).await?;
        says(&format!(
            "   on the commit: {}/{} {} — {}",
            shown(&status["context"]["genre"]),
            shown(&status["context"]["name"]),
            shown(&status["state"]),
            shown(&status["description"])
        ));
        Ok(())
    }

    async fn pull_request_shows(&self, number: u64, state: &str) -> Result<()> {
        let status = self
            .status_at(&format!("pullRequests/{number}/statuses"), state)
            .await?;
        ensure!(
            status["iterationId"] == json!(1),
            "it lies on no iteration: {status}"
        );
        says(&format!(
            "   on the pull request, iteration {}: {} — {}",
            status["iterationId"],
            shown(&status["state"]),
            shown(&status["description"])
        ));
        Ok(())
    }

    /// The latest status of the stack at a path of its repository, as soon as it has this state.
    async fn status_at(&self, path: &str, state: &str) -> Result<Value> {
        let token = &self.stack.description.azure_dev_ops.personal_access_token;
        let path = format!(
            "{ORGANIZATION}/{PROJECT}/_apis/git/repositories/platform/{path}?api-version=7.1"
        );
        let begun = Instant::now();
        loop {
            let all = self.portal.shows(token, &path).await?;
            let ours = all["value"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|it| it["context"]["name"] == STACK);
            let latest = ours
                .max_by_key(|it| it["id"].as_u64())
                .cloned()
                .unwrap_or_default();
            if latest["state"] == state {
                return Ok(latest);
            }
            ensure!(
                begun.elapsed() < AT_MOST,
                "it does not show {state}: {latest}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn hooks(&self, webhook: &Webhook) -> Result<()> {
        self.portal
            .make_hooks(ORGANIZATION, PROJECT, &webhook.endpoint, &webhook.password)
            .await?;
        self.portal
            .press_test(
                ORGANIZATION,
                "git.push",
                &webhook.endpoint,
                &webhook.password,
            )
            .await?;
        self.portal.settle().await?;
        let hooks = self
            .portal
            .hooks_to(ORGANIZATION, &webhook.endpoint)
            .await?;
        ensure!(hooks.len() == 5, "there are {} hooks", hooks.len());
        for hook in &hooks {
            says(&format!(
                "{:<44} {}",
                shown(&hook["eventType"]),
                shown(&hook["status"])
            ));
        }
        Ok(())
    }

    async fn work(&self) -> Result<()> {
        let at = format!("organizations/{ORGANIZATION}/projects/{PROJECT}/repositories/platform");
        let act = async |method: Method, path: &str, body: Value| {
            self.portal
                .control(method, &format!("{at}/{path}"), body)
                .await
        };
        let push = |content: &str, force: bool| json!({ "branch": "fix/anchor", "from": "main", "force": force, "files": { "prod/anchor.tf": content }, "message": "Secure the anchor" });
        act(Method::POST, "pushes", push("one\n", false)).await?;
        let new = json!({ "source": "fix/anchor", "target": "main", "title": "Secure the anchor" });
        let opened = act(Method::POST, "pullRequests", new).await?;
        let number = opened["pullRequest"]["pullRequestId"]
            .as_u64()
            .context("no pull request")?;
        act(
            Method::POST,
            &format!("pullRequests/{number}/comments"),
            json!({ "content": "Looks right" }),
        )
        .await?;
        act(Method::POST, "pushes", push("two\n", true)).await?;
        act(
            Method::PATCH,
            &format!("pullRequests/{number}"),
            json!({ "status": "completed" }),
        )
        .await?;
        act(Method::POST, "tags", json!({ "name": "v2026.11" })).await?;
        act(Method::DELETE, "branches/fix/anchor", Value::Null).await?;
        self.portal.settle().await
    }

    async fn change(&self, webhook: Webhook) -> Result<Webhook> {
        let path = format!("/integrations/{NAME}");
        let tokens = &self.stack.description.azure_dev_ops.tokens;
        let patch = |kind: &str| json!({ "personalAccessToken": tokens.get(kind) });
        let expired = self
            .call(
                Function::Setup,
                Method::PATCH,
                &path,
                Some(patch("expired")),
            )
            .await?
            .expect(422)?;
        says(&format!("422 {}", shown(&expired["detail"])));
        let changed = self
            .call(Function::Setup, Method::PATCH, &path, Some(patch("older")))
            .await?
            .expect(200)?;
        says(&format!("✓ {}", shown(&changed["notifications"][0])));
        let rotation = format!("{path}/webhook/rotation");
        let rotated = self
            .call(Function::Setup, Method::POST, &rotation, Some(json!({})))
            .await?
            .expect(200)?;
        let new = Webhook {
            endpoint: shown(&rotated["endpoint"]).to_owned(),
            password: shown(&rotated["password"]).to_owned(),
        };
        ensure!(new.password != webhook.password, "the password is the same");
        ensure!(new.endpoint == webhook.endpoint, "the endpoint is another");
        for (which, password) in [("old", &webhook.password), ("new", &new.password)] {
            let answer = self
                .stack
                .deliver(&webhook.endpoint, password, "{}")
                .await?;
            says(&format!("{} with the {which} password", answer.status));
            ensure!(answer.status == 200, "it is refused");
        }
        says(&format!(
            "the old one counts until {}",
            shown(&rotated["previousPasswordValidUntil"])
        ));
        Ok(new)
    }

    async fn look(&self, webhook: &Webhook) -> Result<()> {
        let attempts = self.portal.attempts_to(&webhook.endpoint).await?;
        ensure!(
            attempts.iter().all(|attempt| attempt["status"] == 200),
            "an attempt was not answered with 200"
        );
        let log = self.log().await?;
        for row in &log {
            says(&format!(
                "{:<9} {}",
                shown(&row["outcome"]),
                shown(&row["summary"])
            ));
        }
        ensure!(
            log.len() == attempts.len(),
            "{} were sent, {} are listed",
            attempts.len(),
            log.len()
        );
        let expected = [
            "created branch fix/anchor with 1 commit",
            "opened pull request",
            "commented on pull request",
            "force-pushed branch fix/anchor",
            "completed pull request",
            "merged pull request",
            "created tag v2026.11",
            "deleted branch fix/anchor",
            "The Test button sent a sample",
        ];
        for words in expected {
            ensure!(
                log.iter().any(|row| shown(&row["summary"]).contains(words)),
                "nothing says “{words}”"
            );
        }
        let path = format!("/deliveries/{}", shown(&log[0]["id"]));
        let whole = self
            .call(Function::Deliveries, Method::GET, &path, None)
            .await?
            .expect(200)?;
        let sent = attempts
            .iter()
            .find(|attempt| attempt["eventId"] == whole["eventId"])
            .context("it was not sent")?;
        ensure!(
            whole["payload"] == sent["body"],
            "the payload is not what was sent"
        );
        says(&format!(
            "the newest one's payload, {} bytes, is byte for byte what was sent",
            whole["payloadSize"]
        ));
        Ok(())
    }

    async fn log(&self) -> Result<Vec<Value>> {
        let path = format!("/deliveries?integration={NAME}&pageSize=100");
        let log = self
            .call(Function::Deliveries, Method::GET, &path, None)
            .await?
            .expect(200)?;
        log["deliveries"]
            .as_array()
            .cloned()
            .context("no deliveries")
    }

    async fn odd(&self, webhook: &Webhook) -> Result<()> {
        let before = self.log().await?.len();
        let attempts = self.portal.attempts_to(&webhook.endpoint).await?;
        let sent = attempts
            .iter()
            .find(|attempt| attempt["test"] == json!(false))
            .context("nothing was sent")?;
        let again = self
            .stack
            .deliver(&webhook.endpoint, &webhook.password, shown(&sent["body"]))
            .await?;
        says(&format!("the same delivery again: {}", again.status));
        ensure!(
            again.status == 200 && self.log().await?.len() == before,
            "it was stored twice"
        );
        let stranger = self
            .stack
            .deliver(&webhook.endpoint, "not-the-password", "{}")
            .await?;
        let unknown = self
            .stack
            .deliver(
                &webhook.endpoint.replace(NAME, "nobody"),
                &webhook.password,
                "{}",
            )
            .await?;
        says(&format!(
            "a wrong password: {}; an unknown integration: {}; the same bytes",
            stranger.status, unknown.status
        ));
        ensure!(
            (stranger.status, unknown.status) == (401, 401) && stranger.text == unknown.text,
            "strangers are told something"
        );
        let nonsense = self
            .stack
            .deliver(&webhook.endpoint, &webhook.password, "not JSON at all")
            .await?;
        let log = self.log().await?;
        says(&format!(
            "nonsense with the right password: {}, {}",
            nonsense.status,
            shown(&log[0]["summary"])
        ));
        ensure!(
            nonsense.status == 200 && log[0]["outcome"] == "quarantined",
            "it was not kept aside"
        );
        Ok(())
    }

    async fn unlink(&self, webhook: &Webhook) -> Result<()> {
        let path = format!("/integrations/{NAME}");
        let preview = self
            .call(Function::Unlink, Method::GET, &path, None)
            .await?
            .expect(200)?;
        let what = preview["wouldRemove"].as_array().context("no preview")?;
        says(&format!(
            "would remove: {}",
            what.iter().map(shown).collect::<Vec<_>>().join(", ")
        ));
        ensure!(
            preview["stacks"] == json!([STACK]),
            "the stack is not named"
        );
        says(&format!("would detach: {STACK}"));
        says(&format!("would cancel: {}", preview["runs"]));
        let done = self
            .call(Function::Unlink, Method::DELETE, &path, None)
            .await?
            .expect(200)?;
        ensure!(
            done["status"] == "unlinked" && done["secretsRemoved"] == json!(2),
            "it is not unlinked: {done}"
        );
        says(&format!(
            "unlinked; {} secrets removed, {} stack detached, {} run canceled",
            done["secretsRemoved"], done["stacksDetached"], done["runsCanceled"]
        ));
        let stack = self
            .call(
                Function::Stacks,
                Method::GET,
                &format!("/stacks/{STACK}"),
                None,
            )
            .await?
            .expect(200)?;
        ensure!(
            done["stacksDetached"] == json!(1) && stack["detached"] == true,
            "the stack is not detached: {stack}"
        );
        says(&format!(
            "{STACK} is detached, and still says what it followed: {}/{}",
            shown(&stack["project"]["name"]),
            shown(&stack["repository"]["name"])
        ));
        self.call(Function::Unlink, Method::DELETE, &path, None)
            .await?
            .expect(200)?;
        says("unlinking again changes nothing");
        self.wait_for(410, webhook).await?;
        let push = json!({ "branch": "main", "files": { "docs/after.md": "after\n" }, "message": "After" });
        let at =
            format!("organizations/{ORGANIZATION}/projects/{PROJECT}/repositories/platform/pushes");
        self.portal.control(Method::POST, &at, push).await?;
        self.portal.settle().await?;
        let hooks = self
            .portal
            .hooks_to(ORGANIZATION, &webhook.endpoint)
            .await?;
        let disabled = hooks
            .iter()
            .find(|hook| hook["status"] == "disabledBySystem")
            .context("no hook was disabled")?;
        says(&format!(
            "the hook that was left behind for {} is told 410, and Azure DevOps disables it",
            shown(&disabled["eventType"])
        ));
        Ok(())
    }

    async fn again(&self, old: &Webhook) -> Result<()> {
        let new = self.set_up().await?;
        ensure!(
            new.endpoint == old.endpoint && new.password != old.password,
            "the endpoint changed, or the password did not"
        );
        self.wait_for(200, &new).await?;
        let refused = self
            .stack
            .deliver(&old.endpoint, &old.password, "{}")
            .await?;
        says(&format!(
            "the new password: 200; the old one: {}",
            refused.status
        ));
        ensure!(refused.status == 401, "the old password still counts");
        let path = format!("/stacks/{STACK}");
        let stack = self
            .call(Function::Stacks, Method::GET, &path, None)
            .await?
            .expect(200)?;
        ensure!(stack["detached"] == true, "it was attached by itself");
        let attach = json!({ "integration": NAME, "projectRoot": "prod" });
        let attached = self
            .call(Function::Stacks, Method::PATCH, &path, Some(attach))
            .await?
            .expect(200)?;
        ensure!(attached["detached"] == false, "it is still detached");
        says(&format!(
            "{STACK} stays detached until a person gives it the integration; then it follows {} again",
            shown(&attached["repository"]["name"])
        ));
        self.call(Function::Stacks, Method::DELETE, &path, None)
            .await?
            .expect(200)?;
        says(&format!("{STACK} is deleted"));
        self.call(
            Function::Unlink,
            Method::DELETE,
            &format!("/integrations/{NAME}"),
            None,
        )
        .await?
        .expect(200)?;
        says("unlinked again");
        Ok(())
    }

    /// A warm instance goes on for some seconds with what it has read of an integration.
    async fn wait_for(&self, status: u16, webhook: &Webhook) -> Result<()> {
        let begun = Instant::now();
        loop {
            let answer = self
                .stack
                .deliver(&webhook.endpoint, &webhook.password, "{}")
                .await?;
            if answer.status == status {
                says(&format!(
                    "{status} on the endpoint, after {:.1} s",
                    begun.elapsed().as_secs_f32()
                ));
                return Ok(());
            }
            if begun.elapsed() > AT_MOST {
                bail!(
                    "the endpoint still answers {} and not {status}",
                    answer.status
                );
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

fn shown(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn names(list: &Value) -> String {
    let names = list.as_array().map(|list| {
        list.iter()
            .map(|one| shown(&one["name"]))
            .collect::<Vec<_>>()
    });
    names.unwrap_or_default().join(", ")
}
