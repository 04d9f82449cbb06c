//! An execution environment of Lambda: a process of the function, its Runtime API and its log. One invocation at a time.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use axum::{body::Bytes, serve::ListenerExt};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    task::JoinHandle,
};

use super::{api_faults::ApiFaults, program::Program, runtime_api};
use crate::in_process::locked;

/// How long a process has until it asks for its first event.
const INIT: Duration = Duration::from_secs(10);

/// What becomes of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What the function answered.
    Answered(Bytes),
    /// It has none, for this reason. At a function URL this is a 502.
    Failed(String),
    /// No concurrency is left for it: a 429.
    Throttled,
    /// Its event is larger than Lambda takes: a 413.
    TooLarge,
}

/// Where a process writes its log; in the order of the lines.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// What a fleet lends for the time of an invocation: reserved concurrency, and the process's place.
pub(crate) type Lease = (Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>);

/// What an environment has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Now {
    /// It has done an invocation and waits for the next.
    Idle,
    /// Its process is gone.
    Ended,
}

/// What is called then.
pub(crate) type Changed = Box<dyn Fn(Now) + Send + Sync>;

/// An execution environment.
pub(crate) struct Environment {
    pub(super) program: Program,
    pub(super) faults: Arc<ApiFaults>,
    child: Mutex<Option<Child>>,
    events: mpsc::UnboundedSender<Invocation>,
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    state: Mutex<Work>,
    changed: Changed,
    serving: Mutex<Option<JoinHandle<()>>>,
}

struct Invocation {
    id: String,
    event: Bytes,
    begun: oneshot::Sender<()>,
}

#[derive(Default)]
struct Work {
    current: Option<Current>,
    /// Why there is no process any more.
    ended: Option<String>,
}

/// The invocation that an environment is at, or that waits for it to start.
struct Current {
    id: String,
    begun: bool,
    outcome: Option<oneshot::Sender<Outcome>>,
    _lease: Lease,
}

impl Environment {
    /// Starts the program.
    pub(crate) async fn start(
        program: Program,
        faults: Arc<ApiFaults>,
        log: &Log,
        changed: impl FnOnce(Weak<Self>) -> Changed,
    ) -> Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (events, waiting) = mpsc::unbounded_channel();
        let environment = Arc::new_cyclic(|this| Self {
            program,
            faults,
            child: Mutex::default(),
            events,
            waiting: tokio::sync::Mutex::new(waiting),
            state: Mutex::default(),
            changed: changed(this.clone()),
            serving: Mutex::default(),
        });
        let listener = listener.tap_io(|connection| {
            // Where it cannot be set, an answer takes longer.
            let _set = connection.set_nodelay(true);
        });
        let router = runtime_api::router(Arc::clone(&environment));
        let serving = tokio::spawn(async move {
            let _ended = axum::serve(listener, router).await;
        });
        *locked(&environment.serving) = Some(serving);
        environment.spawn(&address.to_string(), log)?;
        Ok(environment)
    }

    fn spawn(self: &Arc<Self>, runtime_api: &str, log: &Log) -> Result<()> {
        let path = &self.program.path;
        let mut child = Command::new(path)
            .env_clear()
            .envs(self.program.variables.iter().cloned())
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", path.display()))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        *locked(&self.child) = Some(child);
        let readers = [out.map(|out| keep(out, log)), err.map(|err| keep(err, log))];
        // Both pipes end when the process does: it starts no other.
        let this = Arc::clone(self);
        std::thread::spawn(move || {
            for reader in readers.into_iter().flatten() {
                let _read = reader.join();
            }
            let status = locked(&this.child).as_mut().map(Child::wait);
            this.end(match status {
                Some(Ok(status)) => format!("Runtime.ExitError: {status}"),
                _ => "the process cannot be waited for".to_owned(),
            });
        });
        Ok(())
    }

    /// Hands an event to the process and waits for its outcome; gives the lease back where the process is gone already.
    pub(crate) async fn run(&self, event: Bytes, lease: Lease) -> Result<Outcome, Lease> {
        let id = uuid::Uuid::new_v4().to_string();
        let (begun, begins) = oneshot::channel();
        let (outcome, mut comes) = oneshot::channel();
        {
            let mut work = locked(&self.state);
            if work.ended.is_some() {
                return Err(lease);
            }
            work.current = Some(Current {
                id: id.clone(),
                begun: false,
                outcome: Some(outcome),
                _lease: lease,
            });
        }
        // The receiver lives as long as `self`.
        let _sent = self.events.send(Invocation { id, event, begun });
        let begun = async move {
            // An error is an end before it began, which the outcome tells.
            let begins = tokio::time::timeout(INIT, begins).await;
            begins.map_err(|_elapsed| "Sandbox.Timedout: no init in time")
        };
        let late = tokio::select! {
            biased;
            outcome = &mut comes => return Ok(told(outcome)),
            begun = begun => match begun {
                Ok(_) => match tokio::time::timeout(self.program.timeout, comes).await {
                    Ok(outcome) => return Ok(told(outcome)),
                    Err(_elapsed) => "Sandbox.Timedout: no answer in time",
                },
                Err(late) => late,
            },
        };
        self.kill();
        Ok(Outcome::Failed(late.to_owned()))
    }

    /// Whether its process runs.
    pub(crate) fn is_alive(&self) -> bool {
        locked(&self.state).ended.is_none()
    }

    /// Whether it is at an invocation.
    pub(crate) fn is_busy(&self) -> bool {
        let work = locked(&self.state);
        work.ended.is_none() && work.current.as_ref().is_some_and(|current| current.begun)
    }

    /// Whether it has answered and not yet asked for its next event.
    pub(crate) fn has_answered(&self) -> bool {
        let work = locked(&self.state);
        let answered = |current: &Current| current.begun && current.outcome.is_none();
        work.current.as_ref().is_some_and(answered)
    }

    /// Ends the process at once (SIGKILL).
    pub(crate) fn kill(&self) {
        if let Some(child) = locked(&self.child).as_mut() {
            // An error means that it has ended.
            let _killed = child.kill();
        }
    }

    /// Sends a signal: `TERM`, `STOP`, `CONT`. Nothing where the process has ended.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let mut child = locked(&self.child);
        // As long as nobody has waited for it, its id is no other process's.
        let Some(child) = child.as_mut() else {
            return Ok(());
        };
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        let command = format!("kill -{name} {}", child.id());
        let sent = Command::new("/bin/sh").args(["-c", &command]).status()?;
        ensure!(sent.success(), "{command} failed");
        Ok(())
    }

    /// There is no process any more, for this reason.
    pub(super) fn end(&self, why: String) {
        let current = {
            let mut work = locked(&self.state);
            work.ended = Some(why.clone());
            work.current.take()
        };
        if let Some(serving) = locked(&self.serving).take() {
            serving.abort();
        }
        if let Some(outcome) = current.and_then(|current| current.outcome) {
            // Nobody waits where the invocation was late.
            let _told = outcome.send(Outcome::Failed(why));
        }
        (self.changed)(Now::Ended);
    }

    /// The process asks for its next event, so it is done with what it had.
    pub(super) fn finish(&self) {
        let mut work = locked(&self.state);
        let Some(mut current) = work.current.take_if(|current| current.begun) else {
            return;
        };
        drop(work);
        if let Some(outcome) = current.outcome.take() {
            let silent = "the runtime went on without an answer".to_owned();
            let _told = outcome.send(Outcome::Failed(silent));
        }
        (self.changed)(Now::Idle);
    }

    /// The next invocation, when there is one: its id and its event. From now on its time runs.
    pub(super) async fn next(&self) -> Option<(String, Bytes)> {
        let Invocation { id, event, begun } = self.waiting.lock().await.recv().await?;
        if let Some(current) = locked(&self.state).current.as_mut() {
            current.begun = true;
        }
        let _told = begun.send(());
        Some((id, event))
    }

    /// Takes the outcome of the current invocation; false where it is another's.
    pub(super) fn conclude(&self, id: &str, outcome: Outcome) -> bool {
        let mut work = locked(&self.state);
        let current = work.current.as_mut().filter(|current| current.id == id);
        let Some(waits) = current.and_then(|current| current.outcome.take()) else {
            return false;
        };
        let _told = waits.send(outcome);
        true
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        if let Some(serving) = locked(&self.serving).take() {
            serving.abort();
        }
    }
}

fn told(outcome: Result<Outcome, oneshot::error::RecvError>) -> Outcome {
    outcome.unwrap_or_else(|_gone| Outcome::Failed("the harness lost an invocation".to_owned()))
}

/// Keeps what comes out of a pipe, line by line, until it ends.
fn keep(pipe: impl Read + Send + 'static, log: &Log) -> std::thread::JoinHandle<()> {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            locked(&log).push(String::from_utf8_lossy(&line).into_owned());
        }
    })
}
