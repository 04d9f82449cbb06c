//! A stand-in for an executor: it hears of runs by a rule on the bus, as any consumer does, and reports with the keys of a user
//! who has the `executor` policy and nothing else.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Answer, Stack};

/// How long a run may take to be heard of: four functions and two queues lie on the way, each of them maybe cold.
const PATIENCE: Duration = Duration::from_secs(30);

/// An executor that listens.
pub struct Executor {
    stack: Stack,
    queue: String,
    heard: Vec<Value>,
}

impl Executor {
    /// Listens for what is on the bus from now on, under a name of its own.
    ///
    /// # Errors
    ///
    /// Where the local AWS refuses.
    pub async fn listens(stack: &Stack, name: &str) -> Result<Self> {
        let executor = Self {
            stack: stack.clone(),
            queue: String::new(),
            heard: Vec::new(),
        };
        let made = executor
            .aws("sqs", "AmazonSQS.CreateQueue", json!({ "QueueName": name }))
            .await?;
        let queue = made["QueueUrl"].as_str().context("no queue")?.to_owned();
        let asked = json!({ "QueueUrl": queue, "AttributeNames": ["QueueArn"] });
        let attributes = executor
            .aws("sqs", "AmazonSQS.GetQueueAttributes", asked)
            .await?;
        let bus = &stack.description.event_bus;
        let pattern = json!({ "source": ["stackhook"] }).to_string();
        let rule = json!({ "Name": name, "EventBusName": bus, "EventPattern": pattern });
        executor.aws("events", "AWSEvents.PutRule", rule).await?;
        let target = json!({ "Id": "queue", "Arn": attributes["Attributes"]["QueueArn"] });
        let targets = json!({ "Rule": name, "EventBusName": bus, "Targets": [target] });
        executor
            .aws("events", "AWSEvents.PutTargets", targets)
            .await?;
        Ok(Self { queue, ..executor })
    }

    /// The first event that is as wanted, and was not taken before: waits for it.
    ///
    /// # Errors
    ///
    /// Where it does not come.
    pub async fn hears(
        &mut self,
        detail_type: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let fits =
                |event: &Value| event["detail-type"] == detail_type && wanted(&event["detail"]);
            if let Some(at) = self.heard.iter().position(fits) {
                return Ok(self.heard.remove(at));
            }
            if Instant::now() > end {
                let types: Vec<&Value> = self
                    .heard
                    .iter()
                    .map(|event| &event["detail-type"])
                    .collect();
                bail!("no “{detail_type}” came as wanted; what came: {types:?}");
            }
            self.listen().await?;
        }
    }

    /// Everything that has come and was not taken.
    ///
    /// # Errors
    ///
    /// Where the local AWS refuses.
    pub async fn everything(&mut self) -> Result<Vec<Value>> {
        while self.listen().await? {}
        Ok(std::mem::take(&mut self.heard))
    }

    /// Whether anything came.
    async fn listen(&mut self) -> Result<bool> {
        let ask =
            json!({ "QueueUrl": self.queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1 });
        let got = self.aws("sqs", "AmazonSQS.ReceiveMessage", ask).await?;
        let messages = got["Messages"].as_array().cloned().unwrap_or_default();
        for message in &messages {
            let text = message["Body"].as_str().context("no body")?;
            self.heard.push(serde_json::from_str(text)?);
            let done = json!({ "QueueUrl": self.queue, "ReceiptHandle": message["ReceiptHandle"] });
            self.aws("sqs", "AmazonSQS.DeleteMessage", done).await?;
        }
        Ok(!messages.is_empty())
    }

    /// Reports how far a run is, as the event of it says: method and URL stand there.
    ///
    /// # Errors
    ///
    /// Where no answer comes.
    pub async fn reports(&self, event: &Value, report: Value) -> Result<Answer> {
        let to = &event["detail"]["report"];
        let method: Method = to["method"].as_str().context("no method")?.parse()?;
        self.calls(method, to["url"].as_str().context("no URL")?, Some(&report))
            .await
    }

    /// Any call with the executor's keys.
    ///
    /// # Errors
    ///
    /// Where no answer comes.
    pub async fn calls(&self, method: Method, url: &str, body: Option<&Value>) -> Result<Answer> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let headers = [("content-type", "application/json")];
        let keys = &self.stack.description.executor;
        self.stack
            .signed(keys, "lambda", method, url, &headers, body)
            .await
    }

    /// The rule and the queue are a user's; the account's root makes them here.
    async fn aws(&self, service: &str, target: &str, body: Value) -> Result<Value> {
        let headers = [
            ("x-amz-target", target),
            ("content-type", "application/x-amz-json-1.1"),
        ];
        let description = &self.stack.description;
        let url = format!("{}/", description.endpoint_url);
        self.stack
            .signed(
                &description.admin,
                service,
                Method::POST,
                &url,
                &headers,
                body.to_string(),
            )
            .await?
            .expect(200)
    }
}
