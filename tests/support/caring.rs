//! `reconcile` in process, with an integration whose hooks reach a real `webhook` in this process, and `dispatch` for what it stores.
//! A test breaks the way of an event, and sees what a pass makes of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use ado::Ado;
use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    body::{Body as HttpBody, Bytes},
    extract::State,
    http::{Response as HttpResponse, request::Parts},
    response::IntoResponse,
};
use bus::Bus;
use domain::{Organization, OrganizationName, Run, StackName};
use integration_tests::harness::aws_stub::{PUT_EVENTS, SEND};
use jiff::{SignedDuration, Timestamp};
use lambda_http::Body;
use queues::Queue;
use reconcile::{Settings, Trigger};
use reqwest::Method;
use serde_json::{Value, json};
use simulator::Running;
use store::{DeliveryId, Store};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    AwsStub, Bed, Linked, RETENTION_DAYS, azure_devops, dispatching, json as body_of, new_name,
    now, portal, request, send,
};

/// A pass's time, as Lambda gives it.
pub(crate) const PASS: Duration = Duration::from_secs(300);
/// The mood of a door that is open.
const OPEN: u16 = 0;

/// The webhook function's URL: `webhook` in process, behind an address that hooks can reach; or a status in its place.
pub(crate) struct Door {
    url: String,
    mood: Arc<AtomicU16>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Behind {
    webhook: Arc<webhook::App>,
    mood: Arc<AtomicU16>,
}

impl Door {
    pub(crate) async fn open(webhook: webhook::App) -> Result<Self> {
        let mood = Arc::new(AtomicU16::new(OPEN));
        let behind = Behind {
            webhook: Arc::new(webhook),
            mood: Arc::clone(&mood),
        };
        let router = Router::new().fallback(through).with_state(behind);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let serving = tokio::spawn(async move {
            let _ended = axum::serve(listener, router).await;
        });
        Ok(Self { url, mood, serving })
    }

    /// From now on each delivery is answered with this, as the platform does that throttles (429), or a function without its store
    /// (503); `None` opens it again.
    pub(crate) fn answers(&self, status: Option<u16>) {
        self.mood.store(status.unwrap_or(OPEN), Ordering::SeqCst);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn through(State(behind): State<Behind>, parts: Parts, body: Bytes) -> impl IntoResponse {
    let mood = behind.mood.load(Ordering::SeqCst);
    let respond = |status: u16, bytes: Vec<u8>| {
        HttpResponse::builder()
            .status(status)
            .body(HttpBody::from(bytes))
            .unwrap_or_default()
    };
    if mood != OPEN {
        return respond(mood, Vec::new());
    }
    let authorization = parts.headers.get("authorization");
    let authorization = authorization
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let event = request(
        parts.method.as_str(),
        parts.uri.path(),
        &[("authorization", authorization)],
        Body::Binary(body.to_vec()),
    );
    let answer = behind.webhook.handle(event).await;
    let bytes: &[u8] = answer.body().as_ref();
    respond(answer.status().as_u16(), bytes.to_vec())
}

/// One integration with hooks that `setup` made, and everything that its events go through.
pub(crate) struct Caring {
    pub(crate) bed: Bed,
    pub(crate) azure_devops: Running,
    pub(crate) linked: Linked,
    pub(crate) store: Store,
    pub(crate) door: Door,
    pub(crate) setup: setup::App,
    pub(crate) reconcile: reconcile::App,
    /// What stands in for the bus and for the queue of `dispatch`.
    pub(crate) told: AwsStub,
    dispatch: dispatch::App,
    stacks: stacks::App,
}

impl Caring {
    /// An integration with hooks on the project `Harbor`.
    pub(crate) async fn start() -> Result<Self> {
        Self::with(azure_devops().await?, |_| {}).await
    }

    /// The same, on a simulator, with settings of its own.
    pub(crate) async fn with(
        azure_devops: Running,
        change: impl FnOnce(&mut Settings),
    ) -> Result<Self> {
        let bed = Bed::new()?;
        let webhook = bed.webhook().await;
        Self::behind(webhook, bed, azure_devops, change).await
    }

    /// The same behind a `webhook` that is told from the usual one.
    pub(crate) async fn behind(
        webhook: webhook::App,
        bed: Bed,
        azure_devops: Running,
        change: impl FnOnce(&mut Settings),
    ) -> Result<Self> {
        let door = Door::open(webhook).await?;
        let setup = setup_at(&bed, &azure_devops, &door.url).await?;
        let linked = bed.set_up(&setup, &azure_devops).await?;
        let told = AwsStub::that_takes_all().await?;
        let mut settings = settings(&azure_devops, &door.url);
        change(&mut settings);
        let endpoint = bed.stack.description.endpoint_url.clone();
        let reconcile = reconcile_on(&bed, &endpoint, &told, settings).await?;
        let queue = dispatching::queue(&bed).await?;
        let caring = Self {
            store: bed.store().await,
            dispatch: dispatching::app(&bed, &azure_devops, &queue, &endpoint).await?,
            stacks: bed.stacks(&azure_devops).await?,
            bed,
            azure_devops,
            linked,
            door,
            setup,
            reconcile,
            told,
        };
        caring.make_hooks("Harbor").await?;
        Ok(caring)
    }

    /// Another instance of `reconcile` with other settings.
    pub(crate) async fn another(
        &self,
        change: impl FnOnce(&mut Settings),
    ) -> Result<reconcile::App> {
        let mut settings = settings(&self.azure_devops, &self.door.url);
        change(&mut settings);
        let endpoint = &self.bed.stack.description.endpoint_url;
        reconcile_on(&self.bed, endpoint, &self.told, settings).await
    }

    /// Another instance of `reconcile`, with AWS at `endpoint`.
    pub(crate) async fn at(&self, endpoint: &str) -> Result<reconcile::App> {
        let settings = settings(&self.azure_devops, &self.door.url);
        reconcile_on(&self.bed, endpoint, &self.told, settings).await
    }

    /// Does `work`, whose events are taken and lost: nobody is told that anything is amiss.
    pub(crate) async fn silently<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.settle().await?;
        self.door.answers(Some(200));
        let done = work.await?;
        self.settle().await?;
        self.door.answers(None);
        Ok(done)
    }

    /// A day passes for what is done once a day.
    pub(crate) async fn a_day_passes(&self) -> Result<()> {
        let (name, nonce) = (&self.linked.name, "a-day-passes");
        let until = now() + SignedDuration::from_mins(1);
        let begun = self.store.begin_pass(name, nonce, until, now()).await?;
        let mut progress = begun.context("another pass is under way")?.progress;
        let day = SignedDuration::from_hours(25);
        progress.compared_at = progress.compared_at.map(|before| before - day);
        progress.history_read_at = progress.history_read_at.map(|before| before - day);
        let kept = self.store.keep_progress(name, nonce, &progress, true);
        ensure!(kept.await?);
        Ok(())
    }

    /// The next day's pass, with what came of it dispatched; how many changes it found.
    pub(crate) async fn next_day(&self) -> Result<u64> {
        self.a_day_passes().await?;
        let did = self.pass().await?;
        self.dispatch().await?;
        did["did"]["found"].as_u64().context("no number")
    }

    /// That two more comparisons find nothing.
    pub(crate) async fn is_all_found(&self) -> Result<()> {
        for _ in 0..2 {
            self.a_day_passes().await?;
            let did = self.pass().await?;
            let count = |what: &str| did["did"][what].as_u64();
            ensure!(count("found") == Some(0), "found again: {did}");
            ensure!(count("notifications") == Some(0), "taken again: {did}");
            let undecided = self.dispatch().await?;
            ensure!(undecided.is_empty(), "{undecided:?}");
        }
        Ok(())
    }

    /// The hooks of a project, as `setup` makes them when a person asks for them.
    pub(crate) async fn make_hooks(&self, project: &str) -> Result<hooks::Made> {
        let token =
            domain::PersonalAccessToken::from_pasted(&self.azure_devops.token("good").into())?;
        let organization = Organization::new(
            self.azure_devops.url(),
            "tidewater".parse::<OrganizationName>()?,
        );
        let credential = domain::Credential::PersonalAccessToken(token);
        let client = Ado::new()?.organization(&organization, &credential)?;
        let projects = client.projects(100, None).await?.items;
        let found = projects.iter().find(|it| it.name == project);
        let found = found.context("no such project")?;
        let project = domain::stack::Reference {
            id: found.id.parse()?,
            name: found.name.clone(),
        };
        let secrets = self.bed.secrets().await;
        let password = secrets.password(&self.linked.name).await?;
        let wanted = hooks::Wanted {
            integration: &self.linked.name,
            project: &project,
            endpoint: &format!("{}/{}", self.door.url, self.linked.name),
            password: &password,
        };
        Ok(hooks::make(&client, &self.store, &wanted, hooks::How::Asked, now()).await?)
    }

    /// `GET …/service-hooks`.
    pub(crate) async fn hooks(&self) -> Result<Value> {
        let path = format!("/integrations/{}/service-hooks", self.linked.name);
        body_of(self.setup.handle(super::get(&path)).await)
    }

    /// The id of the hook of `Harbor` for an event.
    pub(crate) async fn hook(&self, event_type: &str) -> Result<String> {
        let hooks = self.store.hooks_of(&self.linked.name).await?;
        let hook = hooks
            .iter()
            .find(|hook| hook.event_type.as_str() == event_type && hook.project.name == "Harbor");
        Ok(hook.context("there is no such hook")?.id.to_string())
    }

    /// One pass, now; what it did for this integration.
    pub(crate) async fn pass(&self) -> Result<Value> {
        self.pass_at(now()).await
    }

    /// One pass at another moment.
    pub(crate) async fn pass_at(&self, at: Timestamp) -> Result<Value> {
        pass_of(
            &self.reconcile,
            &self.linked,
            Trigger::Scheduled(Value::Null),
            at,
        )
        .await
    }

    /// What the bus was told under a `detail-type`, of this integration.
    pub(crate) fn told(&self, detail_type: &str) -> Vec<Value> {
        let calls = self.told.asked(PUT_EVENTS).into_iter();
        let entries =
            calls.flat_map(|call| call["Entries"].as_array().cloned().unwrap_or_default());
        entries
            .filter(|entry| entry["DetailType"] == detail_type)
            .filter_map(|entry| serde_json::from_str(entry["Detail"].as_str()?).ok())
            .filter(|detail: &Value| detail["integration"] == self.linked.name.as_str())
            .collect()
    }

    /// What the queue of `dispatch` was sent.
    pub(crate) fn put_off(&self) -> Vec<Value> {
        let messages = self.told.asked(SEND).into_iter();
        messages
            .filter_map(|it| serde_json::from_str(it["MessageBody"].as_str()?).ok())
            .collect()
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
        portal(&self.azure_devops)?.control(method, &at, body).await
    }

    /// A push of files to a branch.
    pub(crate) async fn push(&self, branch: &str, files: Value) -> Result<Value> {
        let push =
            json!({ "branch": branch, "files": files, "message": "m", "author": "Tom Eklund" });
        self.act(Method::POST, "pushes", push).await
    }

    /// A person's work at the portal.
    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        portal(&self.azure_devops)?
            .control(method, path, body)
            .await
    }

    /// Ten minutes pass: whatever hooks try again by then they have, and no probation's retry is due yet.
    pub(crate) async fn ten_minutes_pass(&self) -> Result<()> {
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60, 120, 120, 117] {
            // What waits for its next try keeps it from being quiet: then that is leapt to.
            self.azure_devops.settle(Duration::from_millis(250)).await;
            self.azure_devops.advance(Duration::from_secs(seconds));
        }
        self.settle().await
    }

    /// Until nothing is on its way from the hooks.
    pub(crate) async fn settle(&self) -> Result<()> {
        let is_quiet = self.azure_devops.settle(Duration::from_secs(30)).await;
        ensure!(is_quiet, "hooks are still at it");
        Ok(())
    }

    /// Dispatches what has no outcome yet, as the stream would; gives what that was.
    pub(crate) async fn dispatch(&self) -> Result<Vec<DeliveryId>> {
        self.dispatch_of(1).await
    }

    /// The same of what was created in the last so many days.
    pub(crate) async fn dispatch_of(&self, days: i32) -> Result<Vec<DeliveryId>> {
        let hour = SignedDuration::from_hours(1);
        let within = (now() - hour * 24 * days, now() + hour);
        let ids = self.store.undecided(&self.linked.name, within).await?;
        for id in &ids {
            let body = json!({ "kind": "delivery", "delivery": id.to_string(), "tries": 0 });
            let message = dispatching::Dispatching::message(&body, 1);
            let failed = dispatching::Dispatching::hand(&self.dispatch, vec![message]).await?;
            ensure!(failed.is_empty(), "{failed:?}");
        }
        Ok(ids)
    }

    /// The runs of a stack, the oldest first.
    pub(crate) async fn runs(&self, stack: &StackName) -> Result<Vec<Run>> {
        let filter = store::RunFilter {
            stack: Some(stack.clone()),
            state: None,
        };
        let page = self.store.runs(&filter, None, 1_000, now()).await?;
        let mut runs = page.runs;
        runs.sort_by_key(|run| (run.requested_at, run.push_id));
        Ok(runs)
    }

    /// The commit that a branch of `Harbor/platform` is at.
    pub(crate) async fn tip(&self, branch: &str) -> Result<String> {
        let path = format!(
            "/tidewater/Harbor/_apis/git/repositories/platform/refs?filter=heads/{branch}&api-version=7.1"
        );
        let token = self.azure_devops.token("good").to_owned();
        let refs = portal(&self.azure_devops)?.shows(&token, &path).await?;
        let name = format!("refs/heads/{branch}");
        let refs = refs["value"].as_array().cloned().unwrap_or_default();
        let tip = refs.iter().find(|it| it["name"] == name.as_str());
        let tip = tip.and_then(|it| it["objectId"].as_str());
        Ok(tip.context("no such branch")?.to_owned())
    }
}

/// One pass of an instance; what it did for one integration.
pub(crate) async fn pass_of(
    app: &reconcile::App,
    linked: &Linked,
    trigger: Trigger,
    at: Timestamp,
) -> Result<Value> {
    let did = app.pass_over(&linked.name, trigger, PASS, at).await?;
    did.with_context(|| format!("there was no pass over {}", linked.name))
}

fn settings(azure_devops: &Running, url: &str) -> Settings {
    Settings {
        azure_devops_url: azure_devops.url().to_owned(),
        webhook_url: url.to_owned(),
        retention: SignedDuration::from_hours(24 * RETENTION_DAYS),
        mends: true,
        most_calls: 250,
        in_flight: SignedDuration::ZERO,
        undecided: SignedDuration::from_mins(10),
    }
}

async fn setup_at(bed: &Bed, azure_devops: &Running, url: &str) -> Result<setup::App> {
    let aws = bed.aws_at(&bed.stack.description.endpoint_url).await;
    let config = setup::Config {
        azure_devops_url: azure_devops.url().to_owned(),
        webhook_url: url.to_owned(),
        lookup_rest: Duration::from_secs(super::REST_SECONDS),
    };
    Ok(setup::App::new(
        bed.store().await,
        bed.secrets().await,
        Ado::new()?,
        Queue::new(&aws, bed.setup_queue.clone()),
        config,
    ))
}

async fn reconcile_on(
    bed: &Bed,
    endpoint: &str,
    told: &AwsStub,
    settings: Settings,
) -> Result<reconcile::App> {
    let stub = told.config().await;
    let bus = Bus::new(&stub, "the-bus".to_owned());
    let queue = Queue::new(&stub, "http://queue.test/dispatch".to_owned());
    Ok(reconcile::App::new(
        bed.store_at(endpoint).await,
        bed.secrets_at(endpoint).await,
        Ado::new()?,
        (bus, queue),
        settings,
    ))
}
