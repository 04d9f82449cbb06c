//! Tells Azure DevOps how far runs are, by statuses of the commit and of the pull request, and waits out its moods.
//! It never changes a run; what it has told, or why it could not, is kept beside the run.
//!
//! A message only says which run to look at: what is told is the state that the run has now. So a message that comes late or
//! twice changes nothing, and none has to come in order.

mod message;
mod status;

use std::{collections::BTreeMap, time::Duration};

use ado::{Ado, AdoError};
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use domain::{Run, RunId, RunState, Status, summary::plain};
use edge::config::{self, ConfigError};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use queues::{Queue, QueueError};
use secrets::{Secrets, SecretsError};
use store::{Report, Store, StoreError, Tables};

use message::Message;
use status::Told;

/// How long an answer of Azure DevOps is waited for. It delays callers for up to 30 s; what takes longer than this comes again.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is left of an invocation for what follows the calls.
const MARGIN: Duration = Duration::from_secs(10);
/// For how long a message waits for the iteration of its run's commit: Azure DevOps makes it a moment after the push.
const ITERATION_COMES: SignedDuration = SignedDuration::from_mins(10);
/// For how long Azure DevOps is tried again.
const GIVES_UP: SignedDuration = SignedDuration::from_hours(12);
/// How often one message follows a run that changes while it is told of.
const MOST_ROUNDS: u32 = 3;

/// The queues that `report` writes to.
#[derive(Clone, Debug)]
pub struct Queues {
    /// The one that its messages come from.
    pub own: Queue,
    /// Where goes what is given up, for a person to see.
    pub dead_letters: Queue,
}

/// The function with what it keeps between invocations.
#[derive(Debug)]
pub struct App {
    store: Store,
    secrets: Secrets,
    ado: Ado,
    azure_devops_url: String,
    queues: Queues,
    retention: SignedDuration,
}

/// What became of a message.
#[derive(Debug)]
enum Done {
    /// Azure DevOps shows the run's state; the log has a word more.
    Over(&'static str),
    /// It refuses, and will.
    Refused(String),
    /// It is to come again.
    Again(Again),
    /// It cannot be read.
    Unreadable,
}

/// Why a message is to come again.
#[derive(Clone, Debug)]
struct Again {
    why: String,
    /// For how long Azure DevOps asks to wait.
    asked: Option<u32>,
}

/// A failure on our side: the queue brings the message again.
#[derive(Debug, thiserror::Error)]
enum OursError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl App {
    /// The function as its environment configures it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable, or why no client of Azure DevOps can be made.
    pub async fn from_env() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let aws = edge::aws().await;
        let tables = Tables {
            integrations: config::required("INTEGRATIONS_TABLE")?,
            stacks: config::required("STACKS_TABLE")?,
            // This function has no business there, nor a right to it.
            events: String::new(),
        };
        // It removes no secret.
        let secrets = Secrets::new(&aws, config::required("SECRET_PREFIX")?, 0);
        let queue =
            |name| -> Result<Queue, ConfigError> { Ok(Queue::new(&aws, config::required(name)?)) };
        let queues = Queues {
            own: queue("REPORT_QUEUE_URL")?,
            dead_letters: queue("REPORT_DEAD_LETTER_QUEUE_URL")?,
        };
        let days: i64 = config::required("RUN_RETENTION_DAYS")?;
        Ok(Self::new(
            Store::new(&aws, tables),
            secrets,
            Ado::with_patience(PATIENCE)?,
            config::required("AZURE_DEVOPS_URL")?,
            queues,
            days,
        ))
    }

    /// The function on its parts.
    #[must_use]
    pub fn new(
        store: Store,
        secrets: Secrets,
        ado: Ado,
        azure_devops_url: String,
        queues: Queues,
        run_retention_days: i64,
    ) -> Self {
        Self {
            store,
            secrets,
            ado,
            azure_devops_url,
            queues,
            retention: SignedDuration::from_hours(24 * run_retention_days),
        }
    }

    /// Does with a batch what there is to do within `time_left`; answers with the messages that are to come again.
    #[expect(clippy::disallowed_methods, reason = "a handler asks the clock")]
    pub async fn handle(&self, batch: SqsEvent, time_left: Duration) -> SqsBatchResponse {
        let now = Timestamp::now();
        // What is about the same run goes one after the other, all else at once: an integration that is slow holds up nothing.
        let mut by_run: BTreeMap<Option<RunId>, Vec<Message>> = BTreeMap::new();
        for message in batch.records.into_iter().map(Message::of) {
            by_run.entry(message.run.clone()).or_default().push(message);
        }
        let budget = time_left.saturating_sub(MARGIN);
        let groups = by_run
            .into_values()
            .map(|messages| self.of_one_run(messages, budget, now));
        let mut answer = SqsBatchResponse::default();
        for id in join_all(groups).await.into_iter().flatten() {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            answer.batch_item_failures.push(failure);
        }
        answer
    }

    /// Handles the messages about one run; gives the ids of those that are to come again.
    async fn of_one_run(
        &self,
        messages: Vec<Message>,
        budget: Duration,
        now: Timestamp,
    ) -> Vec<String> {
        let end = tokio::time::Instant::now() + budget;
        let mut failed = Vec::new();
        let mut seen = None;
        let mut earlier: Option<Again> = None;
        for message in messages {
            let done = match &earlier {
                // It would wait for the same.
                Some(again) => Ok(Done::Again(again.clone())),
                None => tokio::time::timeout_at(end, self.report(&message, now, &mut seen))
                    .await
                    .unwrap_or_else(|_elapsed| {
                        let why = "no time was left to report it".to_owned();
                        Ok(Done::Again(Again { why, asked: None }))
                    }),
            };
            if let Ok(Done::Again(again)) = &done {
                earlier = Some(again.clone());
            }
            if !self.conclude(&message, seen.as_ref(), done, now).await {
                failed.push(message.id);
            }
        }
        failed
    }

    /// What a message asks for; `seen` is the run as it was found.
    async fn report(
        &self,
        message: &Message,
        now: Timestamp,
        seen: &mut Option<Run>,
    ) -> Result<Done, OursError> {
        let Some(id) = &message.run else {
            return Ok(Done::Unreadable);
        };
        let mut told: Option<(Done, u64)> = None;
        for _ in 0..MOST_ROUNDS {
            let Some(run) = self.store.run(id).await? else {
                return Ok(Done::Over("gone"));
            };
            let run = seen.insert(run);
            // If it has changed meanwhile, somebody else may have told that already, and been overtaken by us.
            if let Some((done, _)) = told.take_if(|(_, version)| *version >= run.version) {
                return Ok(done);
            }
            if run.state == RunState::Superseded {
                return Ok(Done::Over("superseded"));
            }
            // One that comes again may have sent something that arrived after what others told: it tells what is so once more.
            let may_have_sent = told.is_some() || message.receives > 1;
            if !may_have_sent && self.is_told(run).await? {
                return Ok(Done::Over("told before"));
            }
            let done = self.tell(run, message, now).await?;
            if matches!(done, Done::Again(_)) {
                return Ok(done);
            }
            told = Some((done, run.version));
        }
        // It changes faster than it is told of: its next message follows it.
        Ok(told.map_or(Done::Over("told"), |(done, _)| done))
    }

    async fn is_told(&self, run: &Run) -> Result<bool, StoreError> {
        let report = self.store.report_of(&run.id).await?;
        Ok(report.is_some_and(|it| {
            it.version >= run.version && (it.state.is_some() || it.refusal.is_some())
        }))
    }

    /// Tells Azure DevOps of a run, and keeps what came of it.
    async fn tell(&self, run: &Run, message: &Message, now: Timestamp) -> Result<Done, OursError> {
        let again = |why: String, asked| Ok(Done::Again(Again { why, asked }));
        let integration = self.store.integration(&run.integration).await?;
        let integration = match integration {
            Some(integration) if integration.status == Status::Active => integration,
            Some(integration) if integration.status != Status::Unlinked => {
                return again(format!("the integration is {}", integration.status), None);
            }
            _ => {
                let refusal = "the integration was unlinked".to_owned();
                return self.refused(run, refusal, now).await;
            }
        };
        let credential = match self.secrets.credential(&run.integration).await {
            Ok(credential) => credential,
            Err(error @ SecretsError::Unavailable { .. }) => return Err(error.into()),
            Err(error) => return again(error.to_string(), None),
        };
        let organization = connection::organization(&self.azure_devops_url, &integration);
        let client = match self.ado.organization(&organization, &credential) {
            Ok(client) => client,
            Err(error) => return again(error.to_string(), None),
        };
        let is_patient = message.age(now) < ITERATION_COMES;
        match status::tell(&client, run, is_patient).await {
            Told::Shown {
                iteration,
                refusals,
            } => {
                let refusal = (!refusals.is_empty()).then(|| refusals.join("; "));
                let report = Report {
                    version: run.version,
                    state: Some(run.state),
                    iteration,
                    refusal: refusal.clone(),
                    reported_at: now,
                };
                self.store
                    .record_report(run, &report, self.retention)
                    .await?;
                Ok(refusal.map_or(Done::Over("told"), Done::Refused))
            }
            Told::Refused(refusal) => self.refused(run, refusal, now).await,
            Told::NoIteration => {
                let why = "the pull request has no iteration of this commit yet".to_owned();
                again(why, None)
            }
            Told::Later(error) => again(in_words(&error), error.retry_after()),
        }
    }

    /// Keeps why a run's state is not shown.
    async fn refused(&self, run: &Run, why: String, now: Timestamp) -> Result<Done, OursError> {
        let report = Report {
            version: run.version,
            state: None,
            iteration: None,
            refusal: Some(why.clone()),
            reported_at: now,
        };
        self.store
            .record_report(run, &report, self.retention)
            .await?;
        Ok(Done::Refused(why))
    }

    /// Ends a message, or lets it come again; whether it is over.
    async fn conclude(
        &self,
        message: &Message,
        seen: Option<&Run>,
        done: Result<Done, OursError>,
        now: Timestamp,
    ) -> bool {
        let run = message.run.as_ref().map(RunId::as_str);
        let state = seen.map(|run| run.state.as_str());
        match done {
            Ok(Done::Over(outcome)) => {
                tracing::info!(run, state, outcome, "report");
                true
            }
            Ok(Done::Refused(why)) => {
                tracing::warn!(run, state, outcome = "refused", why, "report");
                true
            }
            Ok(Done::Unreadable) => {
                tracing::error!(message_id = message.id, outcome = "unreadable", "report");
                self.hand_over(message).await
            }
            Ok(Done::Again(again)) if message.age(now) >= GIVES_UP => {
                tracing::error!(run, state, outcome = "given up", why = again.why, "report");
                if let Err(error) = self.give_up(seen, &again, now).await {
                    tracing::error!(run, error = %error, "a report that could not be given up");
                    return false;
                }
                self.hand_over(message).await
            }
            Ok(Done::Again(again)) => {
                let wait = message.wait(again.asked);
                tracing::warn!(
                    run,
                    state,
                    outcome = "waits",
                    why = again.why,
                    seconds = wait.as_secs(),
                    "report"
                );
                if let Err(error) = self.queues.own.come_again(&message.receipt, wait).await {
                    // It comes when the queue's own time is over.
                    tracing::warn!(run, error = %error, "a message whose time could not be set");
                }
                false
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                let cause = error.source().map(ToString::to_string);
                tracing::error!(run, state, outcome = "failed", error = %error, cause, "report");
                false
            }
        }
    }

    /// Shows on the run what stood in the way to the end, unless another message has got through.
    async fn give_up(
        &self,
        run: Option<&Run>,
        again: &Again,
        now: Timestamp,
    ) -> Result<(), OursError> {
        if let Some(run) = run
            && !self.is_told(run).await?
        {
            let why = format!("it was tried for twelve hours; the last time {}", again.why);
            self.refused(run, why, now).await?;
        }
        Ok(())
    }

    /// Hands a message over to where a person sees it; whether that is done.
    async fn hand_over(&self, message: &Message) -> bool {
        let sent = self
            .queues
            .dead_letters
            .send(message.body.clone(), Duration::ZERO);
        match sent.await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(message_id = message.id, error = %error, "a message that could not be handed over");
                false
            }
        }
    }
}

fn in_words(error: &AdoError) -> String {
    plain(&error.to_string())
}
