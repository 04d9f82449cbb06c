//! Stackhook as a receiver: the real `webhook` under the harness, on the local AWS, and `setup` for the password.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use domain::IntegrationName;
use jiff::ToSpan;
use serde_json::{Value, json};
use simulator::Running;
use store::{DeliveryId, keys::day_of};
use tokio::{sync::OwnedSemaphorePermit, task::JoinHandle};

use super::{play::Receiver, schedule::Happening, tally::Delivered};
use crate::{
    Stack,
    harness::{Fate, Fleet, FleetOptions, Tap, answer::INTERNAL_ERROR},
    in_process::{json as body_of, locked, new_name, now, send},
};

/// Reserved concurrency, far above what comes at once.
const CONCURRENCY: usize = 100;
/// How long a delivery may take to meet the death that is planned for it.
const DEATH: Duration = Duration::from_secs(20);

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

impl Stackhook {
    pub(crate) async fn start(stack: &Stack, azure_devops: &Running) -> Result<Self> {
        let description = &stack.description;
        let (aws, queue) = (
            &description.endpoint_url,
            description.queues.dispatch.clone(),
        );
        let setup = stack.setup_at(aws, azure_devops.url(), queue).await?;
        let wanted = json!({
            "name": new_name("loss"),
            "organizationUrl": azure_devops.organization_url(),
            "personalAccessToken": azure_devops.token("good"),
        });
        let made = body_of(setup.handle(send("POST", "/integrations", &wanted)).await)?;
        let name: IntegrationName = made["name"].as_str().context("no name")?.parse()?;
        let line = Arc::new(Line::default());
        let judge = Arc::clone(&line);
        let tap = Tap::on(aws, move |call, _| judge.judge(call)).await?;
        let options = FleetOptions {
            endpoint: Some(tap.url()),
            concurrency_ceiling: Some(CONCURRENCY),
            ..FleetOptions::default()
        };
        let fleet = Fleet::start(stack, options).await?;
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

    /// What `reconcile` does when its schedule calls it. So far that is nothing: it has no pass yet.
    async fn reconcile(&self) -> Result<()> {
        Ok(())
    }

    async fn kept(&self) -> Result<Vec<Delivered>> {
        let deaths = std::mem::take(&mut *locked(&self.deaths));
        for death in deaths {
            death.await??;
        }
        let aws = &self.stack.description.endpoint_url;
        let store = self.stack.store_at(aws).await;
        let today = day_of(now());
        let mut ids: Vec<DeliveryId> = Vec::new();
        // It may have become midnight meanwhile.
        for day in [today.saturating_sub(1.day()), today] {
            let heads = store.heads_of_day(&self.name, day, now()).await?;
            ids.extend(heads.into_iter().map(|head| head.id));
        }
        let all = store.deliveries(&ids).await?;
        Ok(all.iter().map(|it| Delivered::read(&it.body)).collect())
    }
}
