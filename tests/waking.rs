//! `setup` lets what is parked go on once a token works, and says so where it cannot.

use std::time::Duration;

use anyhow::Result;
use queues::Later;
use serde_json::{Value, json};
use simulator::Running;

use crate::alarms::Log;
use crate::support::{
    Bed, Linked, REST_SECONDS, azure_devops,
    dispatching::{drain, queue},
    get, json as body_of, parts, problem, send,
};

/// An integration whose `setup` has a queue of the test's own.
struct Waking {
    bed: Bed,
    azure_devops: Running,
    setup: setup::App,
    linked: Linked,
}

impl Waking {
    async fn start() -> Result<Self> {
        let mut bed = Bed::new()?;
        bed.setup_queue = queue(&bed).await?;
        Self::on(bed).await
    }

    async fn on(bed: Bed) -> Result<Self> {
        let azure_devops = azure_devops().await?;
        let setup = bed.setup(&azure_devops).await?;
        let linked = bed.set_up(&setup, &azure_devops).await?;
        Ok(Self {
            bed,
            azure_devops,
            setup,
            linked,
        })
    }

    async fn patch(&self, wanted: &Value) -> Result<(u16, Value)> {
        let path = format!("/integrations/{}", self.linked.name);
        parts(&self.setup.handle(send("PATCH", &path, wanted)).await)
    }

    async fn verify(&self) -> Result<(u16, Value)> {
        let path = format!("/integrations/{}/verification", self.linked.name);
        parts(&self.setup.handle(send("POST", &path, &json!({}))).await)
    }

    /// `setup` where nobody is at SQS' address.
    async fn without_sqs(&self) -> Result<setup::App> {
        let nowhere = self.bed.aws_at("http://127.0.0.1:1").await;
        let config = setup::Config {
            azure_devops_url: self.azure_devops.url().to_owned(),
            webhook_url: self.bed.stack.description.webhook.clone(),
            lookup_rest: Duration::from_secs(REST_SECONDS),
        };
        Ok(setup::App::new(
            self.bed.store().await,
            self.bed.secrets().await,
            ado::Ado::new()?,
            queues::Queue::new(&nowhere, self.bed.setup_queue.clone()),
            config,
        ))
    }

    fn token(&self, kind: &str) -> Value {
        json!({ "personalAccessToken": self.azure_devops.token(kind) })
    }

    /// Unlinks the name, and sets it up again with `setup`.
    async fn set_up_again(&self, setup: &setup::App) -> Result<Value> {
        let path = format!("/integrations/{}", self.linked.name);
        let request = send("DELETE", &path, &json!({}));
        body_of(self.bed.unlink().await.handle(request).await)?;
        self.bed.two_minutes_pass(self.linked.name.as_str()).await?;
        let mut wanted = self.token("good");
        wanted["name"] = json!(self.linked.name);
        wanted["organizationUrl"] = json!(self.azure_devops.organization_url());
        body_of(setup.handle(send("POST", "/integrations", &wanted)).await)
    }

    /// What is on the queue since it was looked at last.
    async fn asked(&self) -> Result<Vec<Later>> {
        let bodies = drain(&self.bed, &self.bed.setup_queue).await?;
        let read = bodies.into_iter().map(serde_json::from_value);
        Ok(read.collect::<Result<_, _>>()?)
    }
}

#[tokio::test]
async fn a_new_token_and_a_verification_wake_what_is_parked_once_and_nothing_else_does()
-> Result<()> {
    let waking = Waking::start().await?;
    let unpark = [Later::unpark(&waking.linked.name)];
    assert!(waking.asked().await?.is_empty(), "setting up parks nothing");

    let (status, body) = waking.patch(&waking.token("older")).await?;
    assert_eq!(status, 200, "{body}");
    assert!(body["notes"].is_null(), "{body}");
    assert_eq!(waking.asked().await?, unpark);
    let (status, body) = waking.verify().await?;
    assert_eq!(status, 200, "{body}");
    assert!(body["notes"].is_null(), "{body}");
    assert_eq!(waking.asked().await?, unpark);

    for wanted in [
        json!({ "description": "the harbour" }),
        json!({ "labels": ["prod"] }),
        json!({ "personalAccessTokenExpiresOn": "2031-01-31" }),
    ] {
        assert_eq!(waking.patch(&wanted).await?.0, 200, "{wanted}");
    }
    assert!(waking.asked().await?.is_empty());

    // A token that does not work wakes nothing, nor does a verification that fails.
    let (status, body) = waking.patch(&waking.token("expired")).await?;
    assert_eq!((status, problem(&body)), (422, "token-refused"));
    let mut late = waking.token("good");
    late["updatedAt"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(waking.patch(&late).await?.0, 409);
    let revoked = "tokens/older/revoke";
    crate::support::portal(&waking.azure_devops)?
        .control(reqwest::Method::POST, revoked, Value::Null)
        .await?;
    assert_eq!(waking.verify().await?.0, 422);
    assert!(waking.asked().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_queue_that_cannot_be_reached_fails_nothing_and_is_said() -> Result<()> {
    for is_there in [true, false] {
        let mut bed = Bed::new()?;
        bed.setup_queue.push_str("-that-nobody-made");
        let mut waking = Waking::on(bed).await?;
        if !is_there {
            waking.setup = waking.without_sqs().await?;
        }
        let note =
            json!(["deliveries that are parked were not woken: POST …/verification does it"]);
        let (status, body) = waking.patch(&waking.token("older")).await?;
        assert_eq!((status, &body["notes"]), (200, &note), "{is_there}: {body}");
        let path = format!("/integrations/{}", waking.linked.name);
        let shown = body_of(waking.setup.handle(get(&path)).await)?;
        assert_eq!(
            body["updatedAt"], shown["updatedAt"],
            "the token is kept all the same"
        );
        let kept = waking.bed.secrets().await;
        let domain::Credential::PersonalAccessToken(kept) =
            kept.credential(&waking.linked.name).await?;
        assert_eq!(kept.expose(), waking.azure_devops.token("older"));
        let (status, body) = waking.verify().await?;
        assert_eq!((status, &body["notes"]), (200, &note), "{is_there}: {body}");
        // What wakes nothing has nothing to say about it.
        let (status, body) = waking.patch(&json!({ "description": "x" })).await?;
        assert_eq!(status, 200);
        assert!(body["notes"].is_null(), "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn setting_an_unlinked_name_up_again_wakes_what_was_parked_under_it() -> Result<()> {
    let waking = Waking::start().await?;
    let created = waking.set_up_again(&waking.setup).await?;
    assert!(created["notes"].is_null(), "{created}");
    assert_eq!(
        waking.asked().await?,
        [Later::unpark(&waking.linked.name)],
        "once: unlinking wakes nothing"
    );

    let log = Log::default();
    let writer = log.clone();
    let logging = edge::log_to(move || writer.clone(), tracing::Level::INFO);
    let _logging = tracing::subscriber::set_default(logging);
    let created = waking.set_up_again(&waking.without_sqs().await?).await?;
    let note = json!(["deliveries that are parked were not woken: POST …/verification does it"]);
    assert_eq!(created["notes"], note, "{created}");
    assert!(created["webhook"]["password"].is_string(), "it is set up");
    assert!(waking.asked().await?.is_empty());
    let lines = log.lines()?;
    let warnings = lines.iter().filter(|line| {
        line["level"] == "WARN"
            && line["fields"]["message"] == "what is parked was not woken"
            && line["fields"]["integration"] == waking.linked.name.as_str()
    });
    assert_eq!(warnings.count(), 1, "{lines:?}");

    // What the note says is true.
    assert_eq!(waking.verify().await?.0, 200);
    assert_eq!(waking.asked().await?, [Later::unpark(&waking.linked.name)]);
    Ok(())
}
