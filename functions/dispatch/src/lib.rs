//! What each delivery means for each stack: one decision a stack, with its reason, and the runs that follow.
//!
//! | module | owns |
//! |---|---|
//! | `batch` | what the stream and the queue hand over, one record's failure being no other's, and what is put off |
//! | `delivery` | one delivery: understood, decided, written down |
//! | `push`, `pull_request` | which stacks a push, or a pull request, asks for a run |
//! | `changed` | what changed, as Azure DevOps says |
//! | `asked` | runs written, each once, and taken back where they came too late |
//! | `links` | an integration and a client of its organization |
//! | `told` | a delivery as the bus is told it |
//!
//! A run's item is the outbox: nothing here announces or reports anything.

mod asked;
mod batch;
mod changed;
mod delivery;
mod links;
mod pull_request;
mod push;
mod told;

use std::{collections::HashSet, sync::Mutex, time::Duration};

use ado::Ado;
use domain::IntegrationName;
use edge::config;
use jiff::{SignedDuration, Timestamp};
use queues::Queue;
use secrets::Secrets;
use store::{Store, Tables};

pub use batch::{Answer, Failure, Trigger};

/// How long Azure DevOps is waited for while the stream waits: others' deliveries stand behind this one.
const IN_THE_STREAM: Duration = Duration::from_secs(8);
/// How long where only the queue waits: Azure DevOps delays a call by up to 30 s before it refuses it (its page on limits).
const IN_THE_QUEUE: Duration = Duration::from_secs(35);

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Deliveries, and so what became of them: from their receipt.
    pub events: SignedDuration,
    /// Runs: from when they were asked for.
    pub runs: SignedDuration,
}

/// The function with what it keeps between invocations.
#[derive(Debug)]
pub struct App {
    store: Store,
    secrets: Secrets,
    queue: Queue,
    in_the_stream: Ado,
    in_the_queue: Ado,
    azure_devops_url: String,
    retention: Retention,
    links: links::Links,
    /// Integrations whose organization did not answer in this invocation: the others are not to wait for it.
    slow: Mutex<HashSet<IntegrationName>>,
}

impl App {
    /// The function as its environment configures it.
    ///
    /// # Errors
    ///
    /// [`config::ConfigError`], which names the variable; [`ado::AdoError`] where no TLS can be set up.
    pub async fn from_env() -> Result<Self, lambda_runtime::Error> {
        let aws = edge::aws().await;
        let tables = Tables {
            integrations: config::required("INTEGRATIONS_TABLE")?,
            events: config::required("EVENTS_TABLE")?,
            stacks: config::required("STACKS_TABLE")?,
        };
        let days =
            |name| config::required::<i64>(name).map(|days| SignedDuration::from_hours(days * 24));
        let retention = Retention {
            events: days("EVENT_RETENTION_DAYS")?,
            runs: days("RUN_RETENTION_DAYS")?,
        };
        // It removes no secret, so none has to be restorable.
        let secrets = Secrets::new(&aws, config::required("SECRET_PREFIX")?, 0);
        let queue = Queue::new(&aws, config::required("DISPATCH_QUEUE_URL")?);
        let url = config::required("AZURE_DEVOPS_URL")?;
        Ok(Self::new(
            Store::new(&aws, tables),
            secrets,
            queue,
            url,
            retention,
        )?)
    }

    /// The function on its parts; Azure DevOps is called at `azure_devops_url`.
    ///
    /// # Errors
    ///
    /// [`ado::AdoError`] where no TLS can be set up.
    pub fn new(
        store: Store,
        secrets: Secrets,
        queue: Queue,
        azure_devops_url: String,
        retention: Retention,
    ) -> Result<Self, ado::AdoError> {
        Ok(Self {
            store,
            secrets,
            queue,
            in_the_stream: Ado::with_patience(IN_THE_STREAM)?,
            in_the_queue: Ado::with_patience(IN_THE_QUEUE)?,
            azure_devops_url,
            retention,
            links: links::Links::default(),
            slow: Mutex::default(),
        })
    }
}

impl App {
    /// Does what Lambda calls it for, within the time that the invocation has.
    ///
    /// # Errors
    ///
    /// None: what failed is in the answer.
    #[expect(
        clippy::disallowed_methods,
        reason = "the handler asks the clock here, once"
    )]
    pub async fn invoked(
        &self,
        trigger: Trigger,
        context: lambda_runtime::Context,
    ) -> Result<Answer, lambda_runtime::Error> {
        let left = edge::time_left(&context);
        Ok(self.handle(trigger, left, Timestamp::now()).await)
    }
}

/// Why a delivery cannot be decided now.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hindrance {
    /// What is ours does not work: DynamoDB, Secrets Manager, SQS.
    Ours(String),
    /// This delivery would fail again for ever.
    ForGood(String),
    /// Azure DevOps does not take the token.
    Token(String),
    /// It shows a sign-in page: it does not take the token, or something stands between.
    SignIn(String),
    /// Azure DevOps is slow, limits, or is down; and after how long it asks to be called again.
    Passing(String, Option<Duration>),
}

impl From<store::StoreError> for Hindrance {
    fn from(error: store::StoreError) -> Self {
        let words = edge::problem::chain(&error);
        match error {
            store::StoreError::Refused { .. } | store::StoreError::Unreadable(_) => {
                Self::ForGood(words)
            }
            _ => Self::Ours(words),
        }
    }
}
