//! The end: unlinking, and the same name again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use integration_tests::Function;
use reqwest::Method;
use serde_json::json;

use crate::{AT_MOST, Demo, NAME, ORGANIZATION, STACK, Webhook, says, shown};

/// A project in which a person makes hooks by hand, and a repository of it.
const OTHER_PROJECT: &str = "Quay%20Works";
const OTHER_REPOSITORY: &str = "tide%20tables";

impl Demo {
    pub(crate) async fn unlink(&self, webhook: &Webhook) -> Result<()> {
        let path = format!("/integrations/{NAME}");
        // Somebody has made hooks by hand as well: of those nothing is known.
        self.portal
            .make_hooks(
                ORGANIZATION,
                "Quay Works",
                &webhook.endpoint,
                &webhook.password,
            )
            .await?;
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
            "unlinked; {} service hooks and {} secrets removed, {} stack detached, {} runs canceled",
            done["serviceHooksRemoved"],
            done["secretsRemoved"],
            done["stacksDetached"],
            done["runsCanceled"]
        ));
        ensure!(
            done["serviceHooksRemoved"] == json!(5),
            "its hooks are not all removed: {done}"
        );
        let left = self
            .portal
            .hooks_to(ORGANIZATION, &webhook.endpoint)
            .await?;
        ensure!(left.len() == 5, "those of a person are not left alone");
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
        let at = format!(
            "organizations/{ORGANIZATION}/projects/{OTHER_PROJECT}/repositories/{OTHER_REPOSITORY}/pushes"
        );
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

    pub(crate) async fn again(&self, old: &Webhook) -> Result<()> {
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

    pub(crate) async fn wait_for(&self, status: u16, webhook: &Webhook) -> Result<()> {
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
