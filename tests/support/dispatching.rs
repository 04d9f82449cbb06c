//! `dispatch` in process, from what a simulator's hooks send to the records of the stream: the events that happen in the
//! simulator are collected, stored by the real webhook, and handed over when a test says so, in the order that it says.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use domain::{Run, StackName};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use simulator::Running;
use store::{
    DeliveryId, OutcomeRecord, RunFilter, Store,
    keys::{EventIdentity, PARTITION, SORT},
};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    Bed, Linked, RETENTION_DAYS, aws, azure_devops, json as body_of, new_name, now, portal, post,
    send,
};

/// The time of an invocation, as Lambda gives it.
pub(crate) const INVOCATION: Duration = Duration::from_secs(120);

/// A listener that takes whatever hooks send, and says 200.
pub(crate) struct Sink {
    pub(crate) url: String,
    serving: JoinHandle<()>,
}

impl Sink {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let router = Router::new().fallback(async || "");
        let serving = tokio::spawn(async move {
            let _ended = axum::serve(listener, router).await;
        });
        Ok(Self { url, serving })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A queue of this test's own.
pub(crate) async fn queue(bed: &Bed) -> Result<String> {
    let name = new_name("queue");
    let made = aws(
        &bed.stack,
        "sqs",
        "AmazonSQS.CreateQueue",
        json!({ "QueueName": name }),
    )
    .await?;
    let url = made["QueueUrl"].as_str().context("no queue")?;
    Ok(url.to_owned())
}

/// The bodies of the messages in a queue that can be received now, which are then gone.
pub(crate) async fn drain(bed: &Bed, queue: &str) -> Result<Vec<Value>> {
    let mut bodies = Vec::new();
    loop {
        let ask = json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10 });
        let got = aws(&bed.stack, "sqs", "AmazonSQS.ReceiveMessage", ask).await?;
        let messages = got["Messages"].as_array().cloned().unwrap_or_default();
        if messages.is_empty() {
            return Ok(bodies);
        }
        for message in messages {
            let text = message["Body"].as_str().context("no body")?;
            bodies.push(serde_json::from_str(text)?);
            let done = json!({ "QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"] });
            aws(&bed.stack, "sqs", "AmazonSQS.DeleteMessage", done).await?;
        }
    }
}

/// How many messages are in a queue, those that are delayed too.
pub(crate) async fn waiting(bed: &Bed, queue: &str) -> Result<i64> {
    let ask = json!({ "QueueUrl": queue, "AttributeNames": ["All"] });
    let got = aws(&bed.stack, "sqs", "AmazonSQS.GetQueueAttributes", ask).await?;
    let count = |name: &str| {
        got["Attributes"][name]
            .as_str()
            .and_then(|count| count.parse::<i64>().ok())
    };
    Ok(count("ApproximateNumberOfMessages").unwrap_or_default()
        + count("ApproximateNumberOfMessagesDelayed").unwrap_or_default())
}

/// One integration with its organization, and `dispatch`.
pub(crate) struct Dispatching {
    pub(crate) bed: Bed,
    pub(crate) azure_devops: Running,
    pub(crate) linked: Linked,
    pub(crate) app: dispatch::App,
    pub(crate) store: Store,
    pub(crate) queue: String,
    stacks: stacks::App,
    webhook: webhook::App,
    sink: Sink,
    taken: usize,
}

pub(crate) fn retention() -> dispatch::Retention {
    dispatch::Retention {
        events: SignedDuration::from_hours(24 * RETENTION_DAYS),
        runs: SignedDuration::from_hours(24 * 365),
    }
}

impl Dispatching {
    /// An integration with hooks on the project `Harbor`.
    pub(crate) async fn start() -> Result<Self> {
        Self::on(azure_devops().await?).await
    }

    pub(crate) async fn on(azure_devops: Running) -> Result<Self> {
        let bed = Bed::new()?;
        let setup = bed.setup(&azure_devops).await?;
        let linked = bed.set_up(&setup, &azure_devops).await?;
        let (sink, queue) = (Sink::start().await?, queue(&bed).await?);
        portal(&azure_devops)?
            .make_hooks("tidewater", "Harbor", &sink.url, &linked.password)
            .await?;
        Ok(Self {
            app: app(
                &bed,
                &azure_devops,
                &queue,
                &bed.stack.description.endpoint_url,
            )
            .await?,
            store: bed.store().await,
            stacks: bed.stacks(&azure_devops).await?,
            webhook: bed.webhook().await,
            bed,
            azure_devops,
            linked,
            queue,
            sink,
            taken: 0,
        })
    }

    /// `dispatch` with AWS at another address.
    pub(crate) async fn app_at(&self, endpoint: &str) -> Result<dispatch::App> {
        app(&self.bed, &self.azure_devops, &self.queue, endpoint).await
    }

    /// A stack of `Harbor/platform`, tracking main, with changes.
    pub(crate) async fn stack(&self, changes: Value) -> Result<StackName> {
        let name = new_name("stack");
        let mut wanted = json!({ "name": name, "integration": self.linked.name, "project": "Harbor", "repository": "platform", "branch": "main" });
        for (field, value) in changes.as_object().context("no fields")? {
            wanted[field] = value.clone();
        }
        body_of(self.stacks.handle(send("POST", "/stacks", &wanted)).await)?;
        Ok(name.parse()?)
    }

    /// Something happens in `Harbor/platform`.
    pub(crate) async fn act(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        let at = format!("organizations/tidewater/projects/Harbor/repositories/platform/{path}");
        self.control(method, &at, body).await
    }

    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        portal(&self.azure_devops)?
            .control(method, path, body)
            .await
    }

    pub(crate) async fn push(&self, body: Value) -> Result<Value> {
        let mut push = json!({ "message": "m", "author": "Tom Eklund" });
        for (field, value) in body.as_object().context("no fields")? {
            push[field] = value.clone();
        }
        self.act(Method::POST, "pushes", push).await
    }

    /// What the hooks have sent since this was asked last, in the order in which it happened.
    pub(crate) async fn sent(&mut self) -> Result<Vec<Value>> {
        ensure!(
            self.azure_devops.settle(Duration::from_secs(20)).await,
            "hooks are still at it"
        );
        let all = self.azure_devops.deliveries();
        let new = all
            .iter()
            .skip(self.taken)
            .filter(|it| it.url == self.sink.url);
        let mut bodies: Vec<Value> = new
            .map(|delivery| serde_json::from_slice(&delivery.body).map_err(Into::into))
            .collect::<Result<_>>()?;
        self.taken = all.len();
        bodies.sort_by_key(|body| body["createdDate"].as_str().unwrap_or_default().to_owned());
        Ok(bodies)
    }

    /// Stores deliveries as the webhook does; gives their ids, in order.
    pub(crate) async fn stored(&self, bodies: &[Value]) -> Result<Vec<DeliveryId>> {
        let mut ids = Vec::new();
        for body in bodies {
            let bytes = serde_json::to_vec(body)?;
            let status = post(&self.webhook, &self.linked, bytes.clone()).await;
            ensure!(status == 200, "status {status}");
            let notification = envelope::parse(&bytes)?;
            let identity = EventIdentity {
                created_date: notification.created_date,
                event_type: notification.event_type.as_str(),
                event_id: notification.event_id.as_deref(),
            };
            ids.push(DeliveryId::of_event(
                &self.linked.name,
                identity,
                &bytes,
                now(),
            ));
        }
        Ok(ids)
    }

    /// What the stream tells of an item of the events table.
    pub(crate) async fn record(&self, partition: &str, sort: &str) -> Result<Value> {
        let aws = self
            .bed
            .aws_at(&self.bed.stack.description.endpoint_url)
            .await;
        let got = aws_sdk_dynamodb::Client::new(&aws)
            .get_item()
            .table_name(self.bed.tables().events)
            .key(PARTITION, AttributeValue::S(partition.to_owned()))
            .key(SORT, AttributeValue::S(sort.to_owned()))
            .consistent_read(true)
            .send()
            .await?;
        let item: HashMap<String, AttributeValue> = got.item.context("no such item")?;
        let image: serde_dynamo::Item = item.into();
        Ok(json!({
            "eventID": uuid::Uuid::new_v4(),
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": self.bed.stack.description.region,
            "dynamodb": {
                "ApproximateCreationDateTime": now().as_second(),
                "Keys": { "pk": { "S": partition }, "sk": { "S": sort } },
                "NewImage": serde_json::to_value(image)?,
                "SequenceNumber": format!("{:030}", uuid::Uuid::new_v4().as_u128() % 1_000_000_007),
                "SizeBytes": 1,
                "StreamViewType": "NEW_IMAGE",
            },
        }))
    }

    pub(crate) async fn records(&self, ids: &[DeliveryId]) -> Result<Vec<Value>> {
        let mut records = Vec::new();
        for id in ids {
            records.push(self.record(id.partition(), id.sort()).await?);
        }
        Ok(records)
    }

    /// Hands records to an instance of the function.
    pub(crate) async fn hand(app: &dispatch::App, records: Vec<Value>) -> Result<Vec<String>> {
        if records.is_empty() {
            return Ok(Vec::new()); // Lambda calls with none, neither
        }
        let trigger = serde_json::from_value(json!({ "Records": records }))?;
        let answer = app.handle(trigger, INVOCATION, now()).await;
        Ok(answer
            .batch_item_failures
            .into_iter()
            .map(|failure| failure.item_identifier)
            .collect())
    }

    /// Stores deliveries and dispatches them in one batch; none may fail.
    pub(crate) async fn dispatched(&self, bodies: &[Value]) -> Result<Vec<DeliveryId>> {
        let ids = self.stored(bodies).await?;
        let failed = Self::hand(&self.app, self.records(&ids).await?).await?;
        ensure!(failed.is_empty(), "{failed:?}");
        Ok(ids)
    }

    /// What happened since the last time, stored and dispatched.
    pub(crate) async fn dispatch(&mut self) -> Result<Vec<DeliveryId>> {
        let bodies = self.sent().await?;
        self.dispatched(&bodies).await
    }

    /// A message of the function's own queue.
    pub(crate) fn message(body: &Value, receives: u32) -> Value {
        json!({
            "messageId": uuid::Uuid::new_v4(),
            "receiptHandle": "r",
            "body": body.to_string(),
            "attributes": { "ApproximateReceiveCount": receives.to_string() },
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "awsRegion": "eu-west-1",
        })
    }

    /// Dispatches a delivery by the queue, after it was put off so many times.
    pub(crate) async fn later(&self, id: &DeliveryId, tries: u32) -> Result<Vec<String>> {
        let body = json!({ "kind": "delivery", "delivery": id.to_string(), "tries": tries });
        Self::hand(&self.app, vec![Self::message(&body, 1)]).await
    }

    pub(crate) async fn outcome(&self, id: &DeliveryId) -> Result<OutcomeRecord> {
        self.store
            .outcome(id)
            .await?
            .context("nothing became of it yet")
    }

    /// What a delivery meant for a stack: the verdict and why.
    pub(crate) async fn verdict(
        &self,
        id: &DeliveryId,
        stack: &StackName,
    ) -> Result<(String, String)> {
        let outcome = self.outcome(id).await?.outcome;
        let decision = outcome
            .decisions
            .iter()
            .find(|decision| decision.stacks.contains(stack))
            .with_context(|| format!("{outcome:?} says nothing of {stack}"))?;
        let verdict = serde_json::to_value(decision.verdict)?;
        Ok((
            verdict.as_str().unwrap_or_default().to_owned(),
            decision.reason.clone(),
        ))
    }

    /// The runs of a stack, the oldest first.
    pub(crate) async fn runs(&self, stack: &StackName) -> Result<Vec<Run>> {
        let filter = RunFilter {
            stack: Some(stack.clone()),
            state: None,
        };
        let page = self.store.runs(&filter, None, 1_000, now()).await?;
        let mut runs = page.runs;
        // Those of one batch have the same moment.
        runs.sort_by_key(|run| (run.requested_at, run.push_id));
        Ok(runs)
    }

    /// How often Azure DevOps was asked for something with this in its path.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.azure_devops
            .requests()
            .iter()
            .filter(|request| request.path.contains(path))
            .count()
    }

    /// What an instance of `setup` does with a new token.
    pub(crate) async fn new_token(&self, kind: &str) -> Result<()> {
        let setup = self.bed.setup(&self.azure_devops).await?;
        let body = json!({ "personalAccessToken": self.azure_devops.token(kind) });
        let path = format!("/integrations/{}", self.linked.name);
        body_of(setup.handle(send("PATCH", &path, &body)).await)?;
        Ok(())
    }
}

pub(crate) async fn app(
    bed: &Bed,
    azure_devops: &Running,
    queue: &str,
    endpoint: &str,
) -> Result<dispatch::App> {
    let aws = bed.aws_at(endpoint).await;
    // The queue itself is not what a tap is for.
    let direct = bed.aws_at(&bed.stack.description.endpoint_url).await;
    Ok(dispatch::App::new(
        bed.store_at(endpoint).await,
        secrets::Secrets::new(&aws, bed.stack.description.secret_prefix.clone(), 0),
        queues::Queue::new(&direct, queue.to_owned()),
        azure_devops.url().to_owned(),
        retention(),
    )?)
}
