//! Service hooks: made with one call, broken and mended, what was lost found again, and what was received sent again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration_tests::{Executor, Function};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Demo, NAME, ORGANIZATION, PROJECT, STACK, Webhook, says, shown};

/// How long an event may be on its way before it is missed, on the local stack, and some.
const IN_FLIGHT: Duration = Duration::from_secs(4);

impl Demo {
    pub(crate) async fn make_hooks(&self, webhook: &Webhook) -> Result<()> {
        let by_hand = json!({ "project": PROJECT, "url": webhook.endpoint, "password": "of-an-earlier-day", "eventType": "git.push" });
        let subscriptions = format!("organizations/{ORGANIZATION}/subscriptions");
        self.portal
            .control(Method::POST, &subscriptions, by_hand)
            .await?;
        let path = format!("/integrations/{NAME}/service-hooks/{PROJECT}");
        let make = async || {
            let made = self.call(Function::Setup, Method::PUT, &path, None).await?;
            made.expect(200)
        };
        let made = make().await?;
        for hook in made["hooks"].as_array().context("no hooks")? {
            says(&format!(
                "{:<44} {}",
                shown(&hook["eventType"]),
                shown(&hook["status"])
            ));
        }
        says(&format!(
            "{} made, {} taken over",
            made["created"], made["takenOver"]
        ));
        ensure!(
            made["created"] == 4 && made["takenOver"] == 1,
            "it is otherwise: {made}"
        );
        let again = make().await?;
        let hooks = self
            .portal
            .hooks_to(ORGANIZATION, &webhook.endpoint)
            .await?;
        ensure!(
            again["unchanged"] == 5 && hooks.len() == 5,
            "the same call again made more: {again}"
        );
        says("the same call again changes nothing");
        self.portal
            .press_test(
                ORGANIZATION,
                "git.push",
                &webhook.endpoint,
                &webhook.password,
            )
            .await?;
        self.portal.settle().await
    }

    /// Lets Azure DevOps put a hook on probation, and a person delete another; then something happens.
    pub(crate) async fn lose_and_find(&self, executor: &mut Executor) -> Result<()> {
        let push_hook = self.hook("git.push").await?;
        let comment_hook = self
            .hook("ms.vss-code.git-pullrequest-comment-event")
            .await?;
        let at = |id: &str| format!("organizations/{ORGANIZATION}/subscriptions/{id}");
        let probation = json!({ "status": "onProbation" });
        self.portal
            .control(Method::PATCH, &at(&push_hook), probation)
            .await?;
        self.portal
            .control(Method::DELETE, &at(&comment_hook), Value::Null)
            .await?;
        says("the hook for pushes is on probation, the one for comments was deleted by a person");
        let push = json!({ "branch": "main", "files": { "prod/rope.tf": "one\n" }, "message": "Add a rope" });
        let pushed = self.act(Method::POST, "pushes", push).await?;
        self.portal.settle().await?;
        let lost = &pushed["events"][0]["lostTo"];
        ensure!(
            lost.as_array().is_some_and(|lost| !lost.is_empty()),
            "the push was not lost: {pushed}"
        );
        says("a push to main: Azure DevOps does not even send it");
        tokio::time::sleep(IN_FLIGHT).await;

        let did = self.stack.invoke("reconcile", &json!({})).await?;
        let ours = did["integrations"]
            .as_array()
            .and_then(|all| all.iter().find(|it| it["integration"] == NAME))
            .with_context(|| format!("there was no pass over {NAME}: {did}"))?;
        let did = &ours["did"];
        says(&format!(
            "reconcile, as its schedule calls it: {} hooks looked at, {} failing, {} mended, {} lost change found, {} calls of Azure DevOps",
            did["hooks"], did["failing"], did["mended"], did["found"], did["calls"]
        ));
        ensure!(
            did["mended"] == 2 && did["failing"] == 2 && did["found"] == 1,
            "it did something else: {ours}"
        );
        for status in ["onProbation", "missing"] {
            let event = executor
                .hears("Service Hook Failing", |it| it["status"] == status)
                .await?;
            says(&format!(
                "the bus says “Service Hook Failing”: {}",
                shown(&event["detail"]["reason"])
            ));
        }
        let hooks = format!("/integrations/{NAME}/service-hooks");
        let hooks = self
            .call(Function::Setup, Method::GET, &hooks, None)
            .await?
            .expect(200)?;
        let text = hooks.to_string();
        ensure!(
            text.matches("\"status\":\"enabled\"").count() == 5,
            "they do not all send: {hooks}"
        );
        says("all five send again");
        let event = executor
            .hears("Run Requested", |it| {
                it["run"]["changedPaths"]["paths"] == json!(["prod/rope.tf"])
            })
            .await?;
        let run = &event["detail"]["run"];
        let delivery = format!("/deliveries/{}", shown(&run["delivery"]));
        let delivery = self
            .call(Function::Deliveries, Method::GET, &delivery, None)
            .await?
            .expect(200)?;
        ensure!(
            delivery["recovered"] == true,
            "it is not marked: {delivery}"
        );
        says(&format!(
            "the push that was lost has its run: {} ({}, recovered)",
            shown(&run["reason"]),
            shown(&delivery["summary"])
        ));
        Ok(())
    }

    pub(crate) async fn send_again(&self, executor: &mut Executor) -> Result<()> {
        let tester = json!({
            "integration": NAME, "project": PROJECT, "repository": "platform", "branch": "main", "projectRoot": "docs",
        });
        let preview = self
            .call(
                Function::Stacks,
                Method::POST,
                "/stacks/preview",
                Some(tester),
            )
            .await?
            .expect(200)?;
        let rows = preview["deliveries"].as_array().context("no deliveries")?;
        let text = preview.to_string();
        says(&format!(
            "a stack of docs/ that is not there yet, tried on {} deliveries: {} of them would run",
            rows.len(),
            text.matches("\"verdict\":\"run\"").count()
        ));
        ensure!(!rows.is_empty(), "nothing is said: {preview}");
        let range = json!({ "integration": NAME, "eventType": "git.push", "outcome": "dispatched", "dryRun": true });
        let dry = self
            .call(
                Function::Deliveries,
                Method::POST,
                "/redeliveries",
                Some(range),
            )
            .await?
            .expect(200)?;
        says(&format!(
            "all dispatched pushes sent again would be {} deliveries; nothing was sent",
            dry["matched"]
        ));
        ensure!(
            dry["matched"].as_u64() > Some(0) && dry["redelivered"] == 0,
            "it is otherwise: {dry}"
        );
        let first = dry["deliveries"][0]["id"]
            .as_str()
            .context("no delivery is named")?;
        let path = format!("/deliveries/{first}/redelivery");
        let rerun = Some(json!({ "rerun": true }));
        self.call(Function::Deliveries, Method::POST, &path, rerun)
            .await?
            .expect(202)?;
        let event = executor
            .hears("Run Requested", |it| it["run"]["delivery"] == first)
            .await?;
        says(&format!(
            "one of them with `rerun`: a new run of {STACK}, because {}",
            shown(&event["detail"]["run"]["reason"])
        ));
        Ok(())
    }

    /// The id of the hook of the project for an event.
    async fn hook(&self, event_type: &str) -> Result<String> {
        let path = format!("/integrations/{NAME}/service-hooks/{PROJECT}");
        let hooks = self
            .call(Function::Setup, Method::PUT, &path, None)
            .await?
            .expect(200)?;
        let hooks = hooks["hooks"].as_array().context("no hooks")?;
        let hook = hooks.iter().find(|hook| hook["eventType"] == event_type);
        let id = hook.and_then(|hook| hook["subscription"].as_str());
        Ok(id.context("there is no such hook")?.to_owned())
    }

    pub(crate) async fn change(&self, webhook: Webhook) -> Result<Webhook> {
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
        says(&format!(
            "{} service hooks were given the new password",
            rotated["serviceHooks"]["updated"]
        ));
        ensure!(
            rotated["serviceHooks"]["updated"] == 5,
            "they were not: {rotated}"
        );
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
}
