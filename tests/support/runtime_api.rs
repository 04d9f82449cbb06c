//! An execution environment of Lambda: a process of the function and the Runtime API that it talks to, as
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html> describes it. One invocation at a time.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    task::JoinHandle,
};

use super::api_faults::{ApiFault, ApiFaults};

/// How long a process has until it asks for its first event.
const INIT: Duration = Duration::from_secs(10);

/// What becomes of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What the function answered.
    Answered(Bytes),
    /// It has none, for this reason. At a function URL this is a 502.
    Failed(String),
    /// No concurrency is left for it: a 429.
    Throttled,
    /// Its event is larger than Lambda takes: a 413.
    TooLarge,
}

/// The program, and everything that its process gets.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: std::path::PathBuf,
    /// The whole environment, but `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) variables: Vec<(String, String)>,
    /// How long an invocation may take; then the process is killed.
    pub(crate) timeout: Duration,
    pub(crate) function_arn: String,
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
    program: Program,
    faults: Arc<ApiFaults>,
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
        let router = router(Arc::clone(&environment));
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

    fn end(&self, why: String) {
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
    fn finish(&self) {
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

    /// Takes the outcome of the current invocation; false where it is another's.
    fn conclude(&self, id: &str, outcome: Outcome) -> bool {
        let mut work = locked(&self.state);
        let current = work.current.as_mut().filter(|current| current.id == id);
        let Some(waits) = current.and_then(|current| current.outcome.take()) else {
            return false;
        };
        let _told = waits.send(outcome);
        true
    }

    fn event(&self, id: &str, event: Bytes) -> Response {
        let deadline = SystemTime::now() + self.program.timeout;
        let deadline = deadline
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("lambda-runtime-aws-request-id", id.to_owned()),
            (
                "lambda-runtime-deadline-ms",
                deadline.as_millis().to_string(),
            ),
            (
                "lambda-runtime-invoked-function-arn",
                self.program.function_arn.clone(),
            ),
            (
                "lambda-runtime-trace-id",
                "Root=1-6afac1ac-b16357a714680e39f1e2a071;Parent=53995c3f42cd8ad8;Sampled=0"
                    .to_owned(),
            ),
        ];
        (headers.map(header), event).into_response()
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        if let Some(serving) = locked(&self.serving).take() {
            serving.abort();
        }
    }
}

fn header((name, value): (&'static str, String)) -> (http::HeaderName, http::HeaderValue) {
    let value = http::HeaderValue::try_from(value);
    (
        http::HeaderName::from_static(name),
        value.unwrap_or_else(|_never| http::HeaderValue::from_static("")),
    )
}

fn router(environment: Arc<Environment>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(answer))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(failure))
        .route("/2018-06-01/runtime/init/error", post(init_failure))
        .layer(DefaultBodyLimit::disable())
        .with_state(environment)
}

async fn next(State(environment): State<Arc<Environment>>) -> Response {
    environment.finish();
    environment.faults.called_next();
    if let Some(fault) = environment.faults.take(ApiFault::is_of_next) {
        return fault.answer();
    }
    let received = environment.waiting.lock().await.recv().await;
    let Some(Invocation { id, event, begun }) = received else {
        return StatusCode::GONE.into_response();
    };
    {
        let mut work = locked(&environment.state);
        let current = work.current.as_mut().filter(|current| current.id == id);
        if let Some(current) = current {
            current.begun = true;
        }
    }
    let _told = begun.send(());
    environment.event(&id, event)
}

async fn answer(
    State(environment): State<Arc<Environment>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    if let Some(fault) = environment.faults.take(ApiFault::is_of_response) {
        if fault == ApiFault::HoldResponse {
            environment.faults.hold().await;
        }
        return fault.answer();
    }
    accepted(environment.conclude(&id, Outcome::Answered(body)))
}

async fn failure(
    State(environment): State<Arc<Environment>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let kind = headers
        .get("lambda-runtime-function-error-type")
        .map(|kind| String::from_utf8_lossy(kind.as_bytes()).into_owned())
        .unwrap_or_default();
    let what = format!("{kind}: {}", String::from_utf8_lossy(&body));
    accepted(environment.conclude(&id, Outcome::Failed(what)))
}

async fn init_failure(State(environment): State<Arc<Environment>>, body: Bytes) -> Response {
    environment.end(format!(
        "Runtime.InitError: {}",
        String::from_utf8_lossy(&body)
    ));
    accepted(true)
}

fn accepted(known: bool) -> Response {
    if known {
        (StatusCode::ACCEPTED, "{\"status\":\"OK\"}").into_response()
    } else {
        let body = "{\"errorMessage\":\"Invalid request ID\",\"errorType\":\"InvalidRequestID\"}";
        (StatusCode::BAD_REQUEST, body).into_response()
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

/// A lock whose holder panicked is still good here.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
