//! `make tail`: the lines of a tail that runs, on the delivery log in process, and once on the real one behind its URL.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ::tail::{Caller, End, Style, Terminal, Trouble, Watch};
use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{IntegrationName, Outcome};
use futures::{StreamExt, TryStreamExt};
use integration_tests::{Function, Stack};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use reqwest::Method;
use serde_json::json;
use store::OutcomeRecord;
use tokio::task::JoinHandle;

use crate::support::{Bed, Linked, RETENTION_DAYS, get, locked, new_event, new_name, now, post};

/// How long is waited for a line. Nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// What a terminal shows.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        locked(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&locked(&self.0)).into_owned();
        text.lines().map(str::to_owned).collect()
    }

    /// All lines, once there are so many.
    async fn of(&self, wanted: usize) -> Result<Vec<String>> {
        until(|| self.lines().len() >= wanted)
            .await
            .with_context(|| format!("{:?}", self.lines()))?;
        Ok(self.lines())
    }
}

async fn until(wanted: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !wanted() {
        ensure!(Instant::now() < end, "it does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// The delivery log in process behind an address, and what it is to answer instead.
struct Served {
    app: deliveries::App,
    faults: Mutex<Vec<StatusCode>>,
    answered: Mutex<u32>,
}

impl Served {
    async fn start(app: deliveries::App) -> Result<(Arc<Self>, String)> {
        let served = Arc::new(Self {
            app,
            faults: Mutex::default(),
            answered: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(served.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((served, url))
    }

    fn fail_with(&self, faults: &[StatusCode]) {
        locked(&self.faults).extend(faults);
    }

    /// Some more whole answers.
    async fn looks(&self, more: u32) -> Result<()> {
        let before = *locked(&self.answered);
        until(|| *locked(&self.answered) >= before + more).await
    }
}

async fn answer(State(served): State<Arc<Served>>, request: Request) -> Response {
    let signature = request.headers().get(header::AUTHORIZATION);
    let signature = signature.and_then(|it| it.to_str().ok());
    let is_signed = signature.is_some_and(|it| {
        it.starts_with("AWS4-HMAC-SHA256 Credential=AKID/")
            && it.contains("/eu-west-1/lambda/aws4_request")
    });
    if !is_signed {
        return StatusCode::FORBIDDEN.into_response();
    }
    let fault = locked(&served.faults).pop();
    if let Some(status) = fault {
        return status.into_response();
    }
    let question = request.uri().to_string();
    let answer = served.app.handle(get(&question)).await;
    *locked(&served.answered) += 1;
    let (parts, body) = answer.into_parts();
    Response::from_parts(parts, Body::from(body.to_vec()))
}

fn keys() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new("AKID", "secret", None, None, "test"))
}

/// A tail that runs, until it is dropped.
struct Tail {
    out: Paper,
    notes: Paper,
    task: JoinHandle<Result<(), End>>,
}

impl Tail {
    fn start(caller: Caller, name: &IntegrationName) -> Self {
        Self::since(caller, name, None)
    }

    fn since(caller: Caller, name: &IntegrationName, since: Option<Timestamp>) -> Self {
        let (out, notes) = (Paper::default(), Paper::default());
        // Some other day, so that the day is told whenever this runs.
        let style = Style::new(TimeZone::UTC, false, true, Timestamp::UNIX_EPOCH);
        let mut terminal = Terminal {
            out: out.clone(),
            notes: notes.clone(),
            style,
        };
        let watch = Watch::new(Some(name.clone()), since, now());
        let run = async move { ::tail::run(&caller, watch, PAUSE, &mut terminal).await };
        Self {
            out,
            notes,
            task: tokio::spawn(run),
        }
    }

    /// Why it ended.
    async fn end(mut self) -> Result<Trouble> {
        let end = tokio::time::timeout(PATIENCE, &mut self.task).await??;
        match end {
            Err(End::Trouble(trouble)) => Ok(trouble),
            other => anyhow::bail!("{other:?}"),
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An integration with a tail on it that has looked once.
struct Watched {
    bed: Bed,
    linked: Linked,
    webhook: webhook::App,
    served: Arc<Served>,
    tail: Tail,
}

impl Watched {
    async fn start() -> Result<Self> {
        let bed = Bed::new()?;
        let linked = bed.linked().await?;
        let (served, url) = Served::start(bed.deliveries().await).await?;
        let caller = Caller::new(url, "eu-west-1".to_owned(), keys())?;
        let tail = Tail::start(caller, &linked.name);
        served.looks(1).await?;
        Ok(Self {
            webhook: bed.webhook().await,
            bed,
            linked,
            served,
            tail,
        })
    }

    async fn deliver(&self, sample: &str) -> Result<()> {
        let status = post(&self.webhook, &self.linked, new_event(sample).to_string()).await;
        ensure!(status == 200, "status {status}");
        Ok(())
    }

    async fn decide(&self, outcome: Outcome) -> Result<()> {
        let log = self.bed.log_of(self.linked.name.as_str()).await?;
        let id = log[0]["id"].as_str().context("no id")?.parse()?;
        let record = OutcomeRecord::new(outcome, None);
        let retention = SignedDuration::from_hours(24 * RETENTION_DAYS);
        let written = self
            .bed
            .store()
            .await
            .record_outcome(&id, now(), &record, retention, false)
            .await?;
        ensure!(written, "it was decided before");
        Ok(())
    }
}

/// A line without its day and time, its integration and the blanks between.
fn told(line: &str, name: &IntegrationName) -> String {
    let words: Vec<&str> = line.split_whitespace().skip(2).collect();
    words.join(" ").replace(&format!("{name} "), "")
}

#[tokio::test]
async fn each_delivery_is_one_line_and_what_becomes_of_it_another() -> Result<()> {
    let watched = Watched::start().await?;
    let (name, out) = (watched.linked.name.clone(), watched.tail.out.clone());
    assert!(out.lines().is_empty());

    watched.deliver("ado/git.push.json").await?;
    let push = told(&out.of(1).await?[0], &name);
    assert!(push.starts_with("stored Harbor/platform "), "{push}");
    watched.served.looks(3).await?;
    assert_eq!(out.lines().len(), 1, "and no further one for each look");

    watched
        .decide(Outcome::ignored("nobody follows it", now()))
        .await?;
    let became = told(&out.of(2).await?[1], &name);
    assert_eq!(became, push.replace("stored ", "→ ignored "));

    // Whatever its title is.
    watched
        .deliver("ado/git.pullrequest.created.hostile.json")
        .await?;
    let lines = out.of(3).await?;
    assert!(told(&lines[2], &name).starts_with("stored "), "{lines:?}");
    watched.served.looks(3).await?;
    assert_eq!(out.lines(), lines, "nothing comes twice");
    let shown = lines.concat();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert!(watched.tail.notes.lines().is_empty());
    Ok(())
}

#[tokio::test]
async fn trouble_in_between_is_told_once_and_loses_nothing() -> Result<()> {
    let watched = Watched::start().await?;
    let (out, notes) = (watched.tail.out.clone(), watched.tail.notes.clone());
    watched.deliver("ado/git.push.json").await?;
    out.of(1).await?;

    watched.served.fail_with(&[
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS,
        // Credentials that ended, too, once it has worked: whoever signs in again need not start again.
        StatusCode::FORBIDDEN,
        StatusCode::BAD_GATEWAY,
    ]);
    watched.deliver("ado/git.push.tag.json").await?;
    out.of(2).await?;
    watched.served.looks(2).await?;
    assert_eq!(out.lines().len(), 2, "{:?}", out.lines());
    let notes = notes.lines();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("502"), "the first of them: {notes:?}");
    assert!(notes[1].contains("answers again"), "{notes:?}");
    Ok(())
}

#[tokio::test]
async fn more_deliveries_than_a_page_has_come_in_one_look_in_order_and_each_once() -> Result<()> {
    let watched = Watched::start().await?;
    let all = (0..130).map(|_| watched.deliver("ado/git.push.json"));
    let all = futures::stream::iter(all).buffer_unordered(10);
    all.try_collect::<()>().await?;
    // All of them at once, to one that begins only now.
    let (served, url) = Served::start(watched.bed.deliveries().await).await?;
    let caller = Caller::new(url, "eu-west-1".to_owned(), keys())?;
    let an_hour_ago = now() - SignedDuration::from_hours(1);
    let late = Tail::since(caller, &watched.linked.name, Some(an_hour_ago));
    let lines = late.out.of(130).await?;
    served.looks(4).await?;
    assert_eq!(late.out.lines(), lines, "and no more of them");
    assert!(lines.is_sorted(), "by the time they begin with: {lines:?}");
    // And to the one that saw them come.
    watched.tail.out.of(130).await?;
    watched.served.looks(4).await?;
    assert_eq!(watched.tail.out.lines().len(), 130);
    Ok(())
}

#[tokio::test]
async fn at_the_start_what_a_person_has_to_mend_ends_it_with_what_to_do() -> Result<()> {
    let bed = Bed::new()?;
    let name: IntegrationName = new_name("tail").parse()?;
    let (served, url) = Served::start(bed.deliveries().await).await?;
    let caller = |keys| Caller::new(url.clone(), "eu-west-1".to_owned(), keys);

    // Whoever provides credentials has none.
    let none = aws_credential_types::provider::error::CredentialsError::not_loaded("no profile");
    let none = Arc::new(Mutex::new(Some(none)));
    let provider = aws_credential_types::credential_fn::provide_credentials_fn(move || {
        let none = none.clone();
        async move { Err(locked(&none).take().expect("asked once")) }
    });
    let nobody = caller(SharedCredentialsProvider::new(provider))?;
    let trouble = Tail::start(nobody, &name).end().await?;
    assert!(matches!(trouble, Trouble::NoCredentials(_)), "{trouble:?}");
    assert!(trouble.to_string().contains("no profile"), "{trouble}");

    served.fail_with(&[StatusCode::BAD_REQUEST]);
    let trouble = Tail::start(caller(keys())?, &name).end().await?;
    assert!(matches!(trouble, Trouble::Question(_)), "{trouble:?}");

    // Where nobody listens, it waits.
    let port = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await?
        .local_addr()?;
    let away = Caller::new(format!("http://{port}"), "eu-west-1".to_owned(), keys())?;
    let tail = Tail::start(away, &name);
    let notes = tail.notes.of(1).await?;
    assert!(notes[0].contains("does not answer"), "{notes:?}");
    assert!(!tail.task.is_finished());
    Ok(())
}

#[tokio::test]
async fn an_operator_sees_the_real_log_and_whoever_may_not_is_told_so() -> Result<()> {
    let stack = Stack::of_this_test()?;
    let (name, description) = (new_name("tail"), stack.description.clone());
    let wanted = json!({
        "name": name,
        "organizationUrl": description.azure_dev_ops.organization_url,
        "personalAccessToken": description.azure_dev_ops.personal_access_token,
    });
    let created = stack
        .call(
            Function::Setup,
            Method::POST,
            "/integrations",
            Some(&wanted),
        )
        .await?
        .expect(201)?;
    let webhook = |field: &str| created["webhook"][field].as_str().context("no webhook");
    let (endpoint, password) = (webhook("endpoint")?, webhook("password")?);

    let name: IntegrationName = name.parse()?;
    let tail_as = |id: &str, secret: &str| -> Result<Tail> {
        let keys = Credentials::new(id, secret, None, None, "stack.json");
        let caller = Caller::new(
            description.deliveries.clone(),
            description.region.clone(),
            SharedCredentialsProvider::new(keys),
        )?;
        Ok(Tail::start(caller, &name))
    };
    let executor = &description.executor;
    let trouble = tail_as(&executor.access_key_id, &executor.secret_access_key)?
        .end()
        .await?;
    assert!(matches!(trouble, Trouble::Refused(_)), "{trouble:?}");
    assert!(trouble.to_string().contains("operator"), "{trouble}");

    // It comes until a look that begins afterwards has seen it: when the first one is over is not to be seen from here.
    let tail = tail_as(&description.access_key_id, &description.secret_access_key)?;
    let mut sent = 0;
    let end = Instant::now() + PATIENCE;
    while tail.out.lines().is_empty() {
        ensure!(Instant::now() < end, "{:?}", tail.notes.lines());
        let event = new_event("ado/git.push.json").to_string();
        stack
            .deliver(endpoint, password, event)
            .await?
            .expect(200)?;
        sent += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let line = told(&tail.out.lines()[0], &name);
    assert!(line.contains("Harbor/platform"), "{line} after {sent}");

    drop(tail);
    stack
        .call(
            Function::Unlink,
            Method::DELETE,
            &format!("/integrations/{name}"),
            None,
        )
        .await?
        .expect(200)?;
    Ok(())
}
