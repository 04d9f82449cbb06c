//! Stackhook as a receiver: the real `webhook` under the harness, on the local AWS; `setup` for the password; and, where it is cared
//! for, hooks that it has made itself, `dispatch` for what is stored, and `reconcile`.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ado::Ado;
use anyhow::{Context, Result, ensure};
use bus::Bus;
use domain::{IntegrationName, stack::Reference};
use hooks::How;
use jiff::{SignedDuration, Timestamp, ToSpan};
use queues::Queue;
use reconcile::Trigger;
use serde_json::{Value, json};
use simulator::Running;
use store::{
    DeliveryId, RunFilter, Store,
    keys::{EventIdentity, day_of},
};
use tokio::{sync::OwnedSemaphorePermit, task::JoinHandle};

use super::{
    play::Receiver,
    schedule::{Happening, MAIN},
    tally::{Change, Delivered, Passes},
};
use crate::{
    Stack,
    harness::{AwsStub, Fate, Fleet, FleetOptions, Tap, answer::INTERNAL_ERROR, aws_stub::SEND},
    in_process::{
        REST_SECONDS, RETENTION_DAYS, json as body_of, locked, new_name, now as real_now, send,
    },
};

/// Reserved concurrency, far above what comes at once.
const CONCURRENCY: usize = 100;
/// How long a delivery may take to meet the death that is planned for it.
const DEATH: Duration = Duration::from_secs(20);
/// The time of an invocation of `dispatch`, and of `reconcile`, as Lambda gives it.
const INVOCATION: Duration = Duration::from_secs(120);
const PASS: Duration = Duration::from_secs(300);
/// How long runs are kept, in days.
const RUN_RETENTION_DAYS: i64 = 365;
/// How many runs are listed at once.
const PAGE: i32 = 100;
/// How many deliveries `dispatch` is handed at once.
const BATCH: usize = 10;
/// As infra/ sets it: `in_flight_seconds`, and `UNDECIDED_SECONDS` of `reconcile`.
const IN_FLIGHT: SignedDuration = SignedDuration::from_secs(300);
const UNDECIDED: SignedDuration = SignedDuration::from_mins(10);
/// How old a delivery can be that a pass has found again.
const A_DAY_AND_MORE: SignedDuration = SignedDuration::from_hours(26);

pub(crate) struct Stackhook {
    stack: Stack,
    setup: setup::App,
    name: IntegrationName,
    password: Mutex<String>,
    endpoint: String,
    line: Arc<Line>,
    tap: Tap,
    fleet: Arc<Fleet>,
    /// All of the concurrency, while others have it.
    taken: Mutex<Option<OwnedSemaphorePermit>>,
    deaths: Mutex<Vec<JoinHandle<Result<()>>>>,
    cared: Option<Cared>,
}

/// What the line to DynamoDB does.
#[derive(Default)]
struct Line {
    is_away: AtomicBool,
    /// What becomes of the next write alone.
    next_write: Mutex<Option<Fate>>,
}

impl Line {
    fn judge(&self, call: &str) -> Fate {
        if self.is_away.load(Ordering::Relaxed) {
            return Fate::Answer(INTERNAL_ERROR);
        }
        let next = call
            .ends_with(".PutItem")
            .then(|| locked(&self.next_write).take());
        next.flatten().unwrap_or(Fate::Pass)
    }
}

/// What sees to it that nothing stays lost. All of it reaches AWS by the same line as `webhook`, but for the bus and the queue of
/// `dispatch`, which never fail.
struct Cared {
    ado: ado::AdoClient,
    store: Store,
    stacks: stacks::App,
    dispatch: dispatch::App,
    reconcile: reconcile::App,
    /// The bus and the queue.
    told: AwsStub,
    work: Mutex<Work>,
}

/// What is to be dispatched, and what was done.
#[derive(Default)]
struct Work {
    /// How many attempts of Azure DevOps' have been looked at.
    looked_at: usize,
    dispatched: HashSet<DeliveryId>,
    /// Messages for `dispatch`, each with when it is due.
    messages: Vec<(Timestamp, Value)>,
    passes: Passes,
}

impl Stackhook {
    /// With `is_cared_for` it makes its hooks itself, and looks for what is lost.
    pub(crate) async fn start(
        stack: &Stack,
        azure_devops: &Running,
        is_cared_for: bool,
    ) -> Result<Self> {
        let aws = &stack.description.endpoint_url;
        let line = Arc::new(Line::default());
        let judge = Arc::clone(&line);
        let tap = Tap::on(aws, move |call, _| judge.judge(call)).await?;
        let options = FleetOptions {
            endpoint: Some(tap.url()),
            concurrency_ceiling: Some(CONCURRENCY),
            ..FleetOptions::default()
        };
        let fleet = Fleet::start(stack, options).await?;
        let setup = setup_at(stack, azure_devops, fleet.url()).await?;
        let wanted = json!({
            "name": new_name("loss"),
            "organizationUrl": azure_devops.organization_url(),
            "personalAccessToken": azure_devops.token("good"),
        });
        let made = body_of(setup.handle(send("POST", "/integrations", &wanted)).await)?;
        let name: IntegrationName = made["name"].as_str().context("no name")?.parse()?;
        let cared = if is_cared_for {
            Some(Cared::start(stack, azure_devops, &tap, fleet.url(), &name).await?)
        } else {
            None
        };
        Ok(Self {
            stack: stack.clone(),
            setup,
            password: Mutex::new(password_in(&made["webhook"])?),
            endpoint: fleet.endpoint(name.as_str()),
            name,
            line,
            tap,
            fleet: Arc::new(fleet),
            taken: Mutex::default(),
            deaths: Mutex::default(),
            cared,
        })
    }

    /// The process that gets the next delivery dies at its write.
    async fn kill(&self, is_stored: bool) {
        let fate = if is_stored {
            Fate::HangAnswer
        } else {
            Fate::Hang
        };
        *locked(&self.line.next_write) = Some(fate);
        let hangs = self.tap.hangs();
        let fleet = Arc::clone(&self.fleet);
        let death = tokio::spawn(async move {
            let hangs = tokio::time::timeout(DEATH, hangs).await;
            hangs.context("a process was to die and no delivery came")?;
            fleet.signal_one("KILL")
        });
        locked(&self.deaths).push(death);
    }

    async fn rotate(&self) -> Result<()> {
        let path = format!("/integrations/{}/webhook/rotation", self.name);
        let rotated = body_of(self.setup.handle(send("POST", &path, &json!({}))).await)?;
        *locked(&self.password) = password_in(&rotated)?;
        Ok(())
    }
}

fn password_in(answer: &Value) -> Result<String> {
    let password = answer["password"].as_str().context("no password")?;
    Ok(password.to_owned())
}

/// `setup` on the local AWS itself, which knows the fleet as its webhook.
async fn setup_at(stack: &Stack, azure_devops: &Running, webhook: &str) -> Result<setup::App> {
    let aws = &stack.description.endpoint_url;
    let config = setup::Config {
        azure_devops_url: azure_devops.url().to_owned(),
        webhook_url: webhook.to_owned(),
        lookup_rest: Duration::from_secs(REST_SECONDS),
    };
    let queue = stack.description.queues.dispatch.clone();
    Ok(setup::App::new(
        stack.store_at(aws).await,
        stack.secrets_at(aws).await,
        Ado::new()?,
        Queue::new(&stack.aws_at(aws).await, queue),
        config,
    ))
}

impl Receiver for Stackhook {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn password(&self) -> String {
        locked(&self.password).clone()
    }

    async fn befall(&self, happening: &Happening) -> Result<()> {
        match happening {
            Happening::StoreGoes => self.line.is_away.store(true, Ordering::Relaxed),
            Happening::StoreReturns => self.line.is_away.store(false, Ordering::Relaxed),
            Happening::ThrottlingBegins => {
                let all = self.fleet.take_concurrency().await?;
                *locked(&self.taken) = Some(all);
            }
            Happening::ThrottlingEnds => *locked(&self.taken) = None,
            Happening::Kill { is_stored } => self.kill(*is_stored).await,
            Happening::PasswordRotates => self.rotate().await?,
            Happening::Deed(_) | Happening::HooksGetPassword => {}
        }
        Ok(())
    }

    async fn take_up(&self, project: &str, repositories: &[&str], now: Timestamp) -> Result<bool> {
        let Some(cared) = &self.cared else {
            return Ok(false);
        };
        cared.follow(&self.name, project, repositories).await?;
        cared.make_hooks(self, project, now).await?;
        Ok(true)
    }

    async fn digest(&self, azure_devops: &Running, now: Timestamp) -> Result<()> {
        let Some(cared) = &self.cared else {
            return Ok(());
        };
        cared.take_what_came(&self.name, &self.endpoint, azure_devops, now)?;
        cared.dispatch(now).await
    }

    async fn reconcile(&self, now: Timestamp) -> Result<()> {
        let Some(cared) = &self.cared else {
            return Ok(());
        };
        cared.pass(&self.name, now).await
    }

    async fn passes(&self) -> Result<Passes> {
        let Some(cared) = &self.cared else {
            return Ok(Passes::default());
        };
        let runs = cared.runs(&self.name).await?;
        Ok(Passes {
            runs,
            ..locked(&cared.work).passes
        })
    }

    /// A pull request is decided upon as it is when its event is dispatched, however late that came.
    async fn has_read(&self) -> Result<Vec<Change>> {
        let Some(cared) = &self.cared else {
            return Ok(Vec::new());
        };
        let mut read = Vec::new();
        for stack in cared.store.linked(&self.name).await? {
            let repository = &stack.repository.id;
            let seen = cared
                .store
                .pull_requests_seen(&self.name, repository)
                .await?;
            for it in seen {
                let number = u64::try_from(it.number)?;
                read.extend(it.commits.into_iter().map(|commit| Change::PullRequest {
                    number,
                    status: it.status.clone(),
                    commit,
                }));
            }
        }
        Ok(read)
    }

    async fn kept(&self) -> Result<Vec<Delivered>> {
        let deaths = std::mem::take(&mut *locked(&self.deaths));
        for death in deaths {
            death.await??;
        }
        let aws = &self.stack.description.endpoint_url;
        let store = self.stack.store_at(aws).await;
        let now = real_now();
        let mut ids: Vec<DeliveryId> = Vec::new();
        // It happened on a day that was over by now, and midnight may have been meanwhile.
        for ago in 0..=2 {
            let day = day_of(now).saturating_sub(ago.days());
            let heads = store.heads_of_day(&self.name, day, now).await?;
            ids.extend(heads.into_iter().map(|head| head.id));
        }
        let all = store.deliveries(&ids).await?;
        Ok(all.iter().map(|it| Delivered::read(&it.body)).collect())
    }
}

impl Cared {
    async fn start(
        stack: &Stack,
        azure_devops: &Running,
        tap: &Tap,
        webhook: &str,
        name: &IntegrationName,
    ) -> Result<Self> {
        let (direct, tapped) = (&stack.description.endpoint_url, &tap.url());
        let url = azure_devops.url().to_owned();
        let told = AwsStub::that_takes_all().await?;
        let stub = told.config().await;
        let queue = || Queue::new(&stub, "http://queue.test/dispatch".to_owned());
        let store = stack.store_at(direct).await;
        let integration = store.integration(name).await?.context("no integration")?;
        let credential = stack.secrets_at(direct).await.credential(name).await?;
        let retention = dispatch::Retention {
            events: days(RETENTION_DAYS),
            runs: days(RUN_RETENTION_DAYS),
        };
        let settings = reconcile::Settings {
            azure_devops_url: url.clone(),
            webhook_url: webhook.to_owned(),
            retention: days(RETENTION_DAYS),
            mends: true,
            most_calls: 250,
            in_flight: IN_FLIGHT,
            undecided: UNDECIDED,
        };
        Ok(Self {
            ado: Ado::new()?.organization(&integration.organization, &credential)?,
            stacks: stacks::App::new(
                stack.store_at(direct).await,
                stack.secrets_at(direct).await,
                Ado::new()?,
                url.clone(),
                RUN_RETENTION_DAYS,
            ),
            dispatch: dispatch::App::new(
                stack.store_at(tapped).await,
                stack.secrets_at(tapped).await,
                queue(),
                url,
                retention,
            )?,
            reconcile: reconcile::App::new(
                stack.store_at(tapped).await,
                stack.secrets_at(tapped).await,
                Ado::new()?,
                (Bus::new(&stub, "the-bus".to_owned()), queue()),
                settings,
            ),
            store,
            told,
            work: Mutex::default(),
        })
    }

    /// A stack for each repository. It is a module's: to one that is tracked only its branch matters, and here every branch counts.
    async fn follow(
        &self,
        integration: &IntegrationName,
        project: &str,
        repositories: &[&str],
    ) -> Result<()> {
        for repository in repositories {
            let wanted = json!({
                "name": new_name(repository), "kind": "module", "integration": integration,
                "project": project, "repository": repository, "branch": MAIN,
            });
            body_of(self.stacks.handle(send("POST", "/stacks", &wanted)).await)?;
        }
        Ok(())
    }

    /// The hooks of a project, as `setup` makes them; only that the date is the day's.
    async fn make_hooks(&self, of: &Stackhook, project: &str, now: Timestamp) -> Result<()> {
        let projects = self.ado.projects(100, None).await?.items;
        let found = projects.iter().find(|it| it.name == project);
        let found = found.context("no such project")?;
        let project = Reference {
            id: found.id.parse()?,
            name: found.name.clone(),
        };
        let secrets = of
            .stack
            .secrets_at(&of.stack.description.endpoint_url)
            .await;
        let wanted = hooks::Wanted {
            integration: &of.name,
            project: &project,
            endpoint: &of.endpoint,
            password: &secrets.password(&of.name).await?,
        };
        hooks::make(&self.ado, &self.store, &wanted, How::Asked, now).await?;
        Ok(())
    }

    /// What the stream would tell `dispatch` of: each delivery that came and was stored.
    fn take_what_came(
        &self,
        integration: &IntegrationName,
        endpoint: &str,
        azure_devops: &Running,
        now: Timestamp,
    ) -> Result<()> {
        let mut work = locked(&self.work);
        let attempts = azure_devops.deliveries_from(work.looked_at);
        work.looked_at += attempts.len();
        for attempt in attempts {
            if attempt.url != endpoint || attempt.status != Some(200) {
                continue;
            }
            let notification = envelope::parse(&attempt.body)?;
            let identity = EventIdentity {
                created_date: notification.created_date,
                event_type: notification.event_type.as_str(),
                event_id: notification.event_id.as_deref(),
            };
            let id = DeliveryId::of_event(integration, identity, &attempt.body, real_now());
            work.is_stored(id, now);
        }
        Ok(())
    }

    /// Dispatches what is due.
    async fn dispatch(&self, now: Timestamp) -> Result<()> {
        loop {
            let batch = {
                let mut work = locked(&self.work);
                work.take_put_off(&self.told, now);
                work.due(now)
            };
            if batch.is_empty() {
                return Ok(());
            }
            let records: Vec<Value> = batch.iter().map(message).collect();
            let trigger = serde_json::from_value(json!({ "Records": records }))?;
            let answer = self.dispatch.handle(trigger, INVOCATION, now).await;
            ensure!(
                answer.batch_item_failures.is_empty(),
                "what was stored could not be dispatched"
            );
        }
    }

    /// How many runs there are, and how many of them say the same as another one.
    async fn runs(&self, name: &IntegrationName) -> Result<(usize, usize)> {
        let (mut all, mut distinct) = (0, HashSet::new());
        for stack in self.store.linked(name).await? {
            let filter = RunFilter {
                stack: Some(stack.name),
                state: None,
            };
            let mut after = None;
            loop {
                let page = self.store.runs(&filter, after.as_ref(), PAGE, real_now());
                let page = page.await?;
                all += page.runs.len();
                distinct.extend(page.runs.into_iter().map(|run| {
                    let pull_request = run.pull_request.map(|it| it.number);
                    (run.stack, run.commit, run.ref_name, pull_request)
                }));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok((all, all - distinct.len()))
    }

    /// One pass; what it finds is for `dispatch`.
    async fn pass(&self, name: &IntegrationName, now: Timestamp) -> Result<()> {
        let trigger = Trigger::Scheduled(Value::Null);
        let passed = self.reconcile.pass_over(name, trigger, PASS, now).await;
        let found = {
            let mut work = locked(&self.work);
            work.passes.passes += 1;
            match &passed {
                Ok(Some(passed)) => work.passes.count(&passed["did"]),
                // It could not even begin.
                Ok(None) | Err(_) => {
                    work.passes.unfinished += 1;
                    return Ok(());
                }
            }
        };
        if found > 0 {
            // The pass itself took some real time.
            let within = (now - A_DAY_AND_MORE, now + PASS);
            let ids = self.store.undecided(name, within).await?;
            let mut work = locked(&self.work);
            for id in ids {
                work.is_stored(id, now);
            }
        }
        Ok(())
    }
}

impl Work {
    /// It is to be dispatched, unless it was.
    fn is_stored(&mut self, id: DeliveryId, now: Timestamp) {
        let body = json!({ "kind": "delivery", "delivery": id.to_string(), "tries": 0 });
        if self.dispatched.insert(id) {
            self.messages.push((now, body));
        }
    }

    /// What was put into the queue of `dispatch` meanwhile.
    fn take_put_off(&mut self, queue: &AwsStub, now: Timestamp) {
        for sent in queue.take(SEND) {
            let wait = sent["DelaySeconds"].as_i64().unwrap_or_default();
            let body = sent["MessageBody"].as_str().unwrap_or_default();
            let body = serde_json::from_str(body).unwrap_or_default();
            let due = now + SignedDuration::from_secs(wait);
            self.messages.push((due, body));
        }
    }

    /// The next messages that are due.
    fn due(&mut self, now: Timestamp) -> Vec<Value> {
        let due = self.messages.extract_if(.., |(due, _)| *due <= now);
        due.take(BATCH).map(|(_, body)| body).collect()
    }
}

impl Passes {
    /// Counts what a pass did; how many deliveries it has found.
    fn count(&mut self, did: &Value) -> u64 {
        let number = |name: &str| did[name].as_u64().unwrap_or_default();
        self.unfinished += usize::from(did["unfinished"] == true);
        self.calls += number("calls");
        self.most_calls = self.most_calls.max(number("calls"));
        self.mended += number("mended");
        self.notifications += number("notifications");
        self.found += number("found");
        self.dispatched += number("dispatched");
        number("notifications") + number("found")
    }
}

const fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// A message of the queue of `dispatch`.
fn message(body: &Value) -> Value {
    json!({
        "messageId": uuid::Uuid::new_v4(),
        "receiptHandle": "r",
        "body": body.to_string(),
        "attributes": { "ApproximateReceiveCount": "1" },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "awsRegion": "eu-west-1",
    })
}
