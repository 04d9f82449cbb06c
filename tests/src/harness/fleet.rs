//! The real `webhook` as the Lambda service runs it: as many processes as there are invocations at once, each with a Runtime
//! API of its own, and a function URL in front. It costs a fraction of a millisecond a call, where the emulator's URLs cost
//! a hundred, and each part of it can be made to fail.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    response::Response,
    serve::ListenerExt,
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};

use super::{
    Tap,
    api_faults::{ApiFault, ApiFaults},
    environment::{Changed, Environment, Log, Now, Outcome},
    function_url,
    program::Program,
};
use crate::{
    Stack,
    in_process::{CACHE_SECONDS, locked},
};

/// The largest event that Lambda takes, 6 MB: the body's own base64 and quoting count.
const LARGEST_EVENT: usize = 6 * 1_024 * 1_024;
/// What the URL reads of a body. More than it passes on, so that a client has sent it all when it is told that it is too large.
const LARGEST_BODY: usize = 32 * 1_024 * 1_024;

/// How a fleet is.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// The most processes at once. Lambda has no such limit to speak of; what comes in above it waits.
    pub most_instances: usize,
    /// The AWS that the function calls: a tap's, or the stack's own.
    pub endpoint: Option<String>,
    /// `INTEGRATION_CACHE_SECONDS`.
    pub cache_seconds: u64,
    /// Reserved concurrency: what comes in above it is throttled.
    pub concurrency_ceiling: Option<usize>,
    /// Environment variables in place of those that are usually there, or beside them.
    pub variables: Vec<(&'static str, String)>,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            most_instances: 4,
            endpoint: None,
            cache_seconds: CACHE_SECONDS,
            concurrency_ceiling: None,
            variables: Vec::new(),
        }
    }
}

/// Processes of the function and the URL in front of them. All of it ends when this is dropped.
pub struct Fleet {
    service: Arc<Service>,
    url: String,
    serving: JoinHandle<()>,
}

struct Service {
    program: Program,
    faults: Arc<ApiFaults>,
    log: Log,
    slots: Arc<Semaphore>,
    ceiling: Option<(usize, Arc<Semaphore>)>,
    pool: Mutex<Pool>,
    /// Told whenever a process becomes idle or ends.
    changed: Notify,
}

#[derive(Default)]
struct Pool {
    /// In the order in which they were started; the ended ones too.
    started: Vec<Arc<Environment>>,
    /// The one that was used last is used next.
    idle: Vec<Arc<Environment>>,
}

impl Fleet {
    /// A fleet on the stack's tables. No process is started before there is something to do.
    ///
    /// # Errors
    ///
    /// Where the function is not built, or no port is to be had.
    pub async fn start(stack: impl AsRef<Stack>, options: FleetOptions) -> Result<Self> {
        let service = Arc::new(Service {
            program: Program::webhook(stack.as_ref(), &options)?,
            faults: Arc::new(ApiFaults::new()),
            log: Log::default(),
            slots: Arc::new(Semaphore::new(options.most_instances)),
            ceiling: options
                .concurrency_ceiling
                .map(|ceiling| (ceiling, Arc::new(Semaphore::new(ceiling)))),
            pool: Mutex::default(),
            changed: Notify::new(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let listener = listener.tap_io(|connection| {
            // Where it cannot be set, an answer takes longer.
            let _set = connection.set_nodelay(true);
        });
        let router = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&service));
        let serving = tokio::spawn(async move {
            let _ended = axum::serve(listener, router).await;
        });
        Ok(Self {
            service,
            url,
            serving,
        })
    }

    /// A fleet on the other side of a tap.
    ///
    /// # Errors
    ///
    /// As [`Fleet::start`].
    pub async fn on(stack: impl AsRef<Stack>, tap: &Tap) -> Result<Self> {
        let options = FleetOptions {
            endpoint: Some(tap.url()),
            ..FleetOptions::default()
        };
        Self::start(stack, options).await
    }

    /// The function's URL, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of an integration's webhook endpoint.
    #[must_use]
    pub fn endpoint(&self, integration: &str) -> String {
        format!("{}/{integration}", self.url)
    }

    /// Invokes the function with an event, past the URL.
    pub async fn invoke(&self, event: &Value) -> Outcome {
        self.service.invoke(event.to_string().into()).await
    }

    /// Starts processes until there are so many, all at once.
    ///
    /// # Errors
    ///
    /// Where one does not start.
    pub async fn warm(&self, instances: usize) -> Result<()> {
        let starts = (0..instances).map(|_| self.service.start());
        for environment in futures::future::try_join_all(starts).await? {
            locked(&self.service.pool).idle.push(environment);
        }
        Ok(())
    }

    /// Sends a signal (`KILL`, `TERM`, `STOP`, `CONT`) to the process that is at an invocation, or to the first that runs.
    ///
    /// # Errors
    ///
    /// Where none runs, or it takes no signal.
    pub fn signal_one(&self, name: &str) -> Result<()> {
        let pool = locked(&self.service.pool);
        let busy = pool.started.iter().find(|one| one.is_busy());
        let alive = || pool.started.iter().find(|one| one.is_alive());
        let one = busy.or_else(alive).context("no process runs")?;
        if name == "KILL" {
            one.kill();
            return Ok(());
        }
        one.signal(name)
    }

    /// How many processes were started, those that have ended among them.
    #[must_use]
    pub fn instances_started(&self) -> usize {
        locked(&self.service.pool).started.len()
    }

    /// How many processes run.
    #[must_use]
    pub fn instances_alive(&self) -> usize {
        let pool = locked(&self.service.pool);
        pool.started.iter().filter(|one| one.is_alive()).count()
    }

    /// Until so many processes are at an invocation.
    ///
    /// # Errors
    ///
    /// Where half a minute is not enough.
    pub async fn until_busy(&self, instances: usize) -> Result<()> {
        until(|| {
            let pool = locked(&self.service.pool);
            pool.started.iter().filter(|one| one.is_busy()).count() >= instances
        })
        .await
        .context("that many processes are never at work")
    }

    /// Until so many processes run.
    ///
    /// # Errors
    ///
    /// Where half a minute is not enough.
    pub async fn until_alive(&self, instances: usize) -> Result<()> {
        until(|| self.instances_alive() == instances)
            .await
            .context("that many processes never run")
    }

    /// Others take all of the reserved concurrency, until what this gives is dropped. Where there is a ceiling.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub async fn take_concurrency(&self) -> Result<OwnedSemaphorePermit> {
        let (all, ceiling) = self.service.ceiling.as_ref().context("no ceiling")?;
        let all = u32::try_from(*all)?;
        Ok(Arc::clone(ceiling).acquire_many_owned(all).await?)
    }

    /// Plants a fault of the Runtime API: the next call of its kind meets it.
    pub fn plant(&self, fault: ApiFault) {
        self.service.faults.add(fault);
    }

    /// The faults of the Runtime API, and what was called of it.
    #[must_use]
    pub fn runtime_api(&self) -> &ApiFaults {
        &self.service.faults
    }

    /// What the processes have logged so far. The last lines may be on their way: [`Fleet::end`] has all.
    #[must_use]
    pub fn logs(&self) -> Vec<String> {
        locked(&self.service.log).clone()
    }

    /// Ends all processes; gives everything that they have logged.
    ///
    /// # Errors
    ///
    /// Where they do not end.
    pub async fn end(self) -> Result<Vec<String>> {
        let environments = locked(&self.service.pool).started.clone();
        for environment in &environments {
            environment.kill();
        }
        // Ended means that its pipes are read to their end.
        self.until_alive(0).await?;
        Ok(self.logs())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.serving.abort();
        for environment in &locked(&self.service.pool).started {
            environment.kill();
        }
    }
}

impl Service {
    async fn invoke(self: &Arc<Self>, event: Bytes) -> Outcome {
        if event.len() > LARGEST_EVENT {
            return Outcome::TooLarge;
        }
        let reserved = match &self.ceiling {
            Some((_, ceiling)) => match Arc::clone(ceiling).try_acquire_owned() {
                Ok(reserved) => Some(reserved),
                Err(_none_left) => return Outcome::Throttled,
            },
            None => None,
        };
        // Both come back when the process asks for its next event, or ends.
        let mut lease = (reserved, Arc::clone(&self.slots).acquire_owned().await.ok());
        loop {
            let environment = match self.idle().await {
                Some(environment) => environment,
                None => match self.start().await {
                    Ok(environment) => environment,
                    Err(error) => return Outcome::Failed(format!("{error:#}")),
                },
            };
            match environment.run(event.clone(), lease).await {
                Ok(outcome) => return outcome,
                // It ended while it was idle: it is replaced, and nobody notices.
                Err(unused) => lease = unused,
            }
        }
    }

    /// An environment that waits for an event. One that has answered is all but idle and is waited for, so that calls one
    /// after the other meet one process.
    async fn idle(&self) -> Option<Arc<Environment>> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut pool = locked(&self.pool);
                if let Some(environment) = pool.idle.pop() {
                    return Some(environment);
                }
                if !pool.started.iter().any(|one| one.has_answered()) {
                    return None;
                }
            }
            changed.await;
        }
    }

    async fn start(self: &Arc<Self>) -> Result<Arc<Environment>> {
        let service = Arc::downgrade(self);
        let changed = |environment: Weak<Environment>| -> Changed {
            Box::new(move |now| {
                let Some(service) = service.upgrade() else {
                    return;
                };
                if let (Now::Idle, Some(environment)) = (now, environment.upgrade()) {
                    locked(&service.pool).idle.push(environment);
                }
                service.changed.notify_waiters();
            })
        };
        let (program, faults) = (self.program.clone(), Arc::clone(&self.faults));
        let environment = Environment::start(program, faults, &self.log, changed).await?;
        locked(&self.pool).started.push(Arc::clone(&environment));
        Ok(environment)
    }
}

/// Looks until it is so, for half a minute at the most.
async fn until(it_is: impl Fn() -> bool) -> Result<()> {
    for _ in 0..15_000 {
        if it_is() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    anyhow::bail!("waited for nothing")
}

async fn serve(State(service): State<Arc<Service>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let outcome = match to_bytes(body, LARGEST_BODY).await {
        Ok(body) => {
            let event = function_url::event(&parts, &body).to_string();
            service.invoke(event.into()).await
        }
        Err(_too_large_or_gone) => Outcome::TooLarge,
    };
    function_url::response(outcome)
}
