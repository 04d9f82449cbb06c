//! What a developer does becomes runs, and an executor reports how they went.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use integration_tests::{Executor, Function};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{AT_MOST, Demo, ORGANIZATION, PROJECT, STACK, says, shown};

impl Demo {
    pub(crate) async fn act(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        let at = format!("organizations/{ORGANIZATION}/projects/{PROJECT}/repositories/platform");
        self.portal
            .control(method, &format!("{at}/{path}"), body)
            .await
    }

    pub(crate) async fn push(&self, executor: &mut Executor) -> Result<()> {
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

    pub(crate) async fn propose(&self, executor: &mut Executor) -> Result<()> {
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

    pub(crate) async fn commit_shows(&self, run: &Value, state: &str) -> Result<()> {
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

    pub(crate) async fn pull_request_shows(&self, number: u64, state: &str) -> Result<()> {
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

    pub(crate) async fn status_at(&self, path: &str, state: &str) -> Result<Value> {
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

    pub(crate) async fn work(&self) -> Result<()> {
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
}
