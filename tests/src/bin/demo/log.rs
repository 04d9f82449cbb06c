//! The delivery log: what was received, what came of it, and what is odd.

use anyhow::{Context, Result, ensure};
use integration_tests::Function;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Demo, NAME, Webhook, says, shown};

impl Demo {
    pub(crate) async fn look(&self, webhook: &Webhook) -> Result<()> {
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

    pub(crate) async fn log(&self) -> Result<Vec<Value>> {
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

    pub(crate) async fn odd(&self, webhook: &Webhook) -> Result<()> {
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
}
