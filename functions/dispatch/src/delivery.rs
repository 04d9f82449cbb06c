//! One delivery: understood, decided, written down. A delivery that cannot be decided now is put off, or parked with its reason;
//! it holds up no other.

use std::time::{Duration, Instant};

use domain::{
    Integration, IntegrationName, Outcome, OutcomeWord, Stack, Status,
    compared::Compared,
    outcome::ForStack,
    rules::{self, Subject},
    run::{CancelReason, Rerun},
    summary::place,
};
use jiff::Timestamp;
use queues::Later;
use store::{Delivery, DeliveryId, DeliveryKind, OpenOf, OutcomeRecord, StoreError};

use crate::{App, Hindrance, batch::Door, told};

/// After how many puttings off what cannot be asked counts as not known: a quarter of an hour, with the waits of [`wait`].
const LAST_TRY: u32 = 7;
/// How often a sign-in page is taken for a bad moment.
const MOST_SIGN_INS: u32 = 3;
/// The first wait, which doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(15);
const LONGEST_WAIT: Duration = Duration::from_secs(240);

/// How a delivery comes to be dispatched.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) door: Door,
    /// How often it was put off before.
    pub(crate) tries: u32,
    /// Whether somebody asked for it anew.
    pub(crate) again: bool,
    /// Who asks for new runs, also of what has had its runs.
    pub(crate) rerun: Option<Rerun>,
}

impl Turn {
    /// The message by which a delivery comes again in this way.
    pub(crate) fn later(&self, id: &DeliveryId) -> Later {
        match self.rerun.clone() {
            Some(rerun) => Later::rerun(id, self.tries, rerun),
            None => Later::delivery(id, self.tries, self.again),
        }
    }
}

/// What time it is, from the moment that the handler was told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    told: Timestamp,
    then: Instant,
}

impl Clock {
    /// The clock of an invocation that begins.
    pub(crate) fn started(now: Timestamp) -> Self {
        Self {
            told: now,
            then: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.told + self.then.elapsed()
    }
}

/// A delivery that is being decided.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    pub(crate) delivery: &'a Delivery,
    pub(crate) integration: &'a Integration,
    /// When its turn began.
    pub(crate) now: Timestamp,
    pub(crate) clock: Clock,
    pub(crate) is_last_try: bool,
    pub(crate) door: Door,
    /// Who asks for new runs.
    pub(crate) rerun: Option<&'a Rerun>,
}

impl Case<'_> {
    pub(crate) fn id(&self) -> String {
        self.delivery.head.id.to_string()
    }

    /// Why there is a run: what touches its stack, and that it was asked for again where it was.
    pub(crate) fn reason(&self, touched: String) -> String {
        match self.rerun {
            Some(rerun) => format!(
                "asked for again (redelivery {}): {touched}",
                rerun.redelivery()
            ),
            None => touched,
        }
    }
}

/// What came of a delivery in this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Decided(OutcomeWord, usize),
    PutOff,
}

impl App {
    /// Dispatches a delivery, and logs what came of it.
    ///
    /// # Errors
    ///
    /// In words, where neither an outcome could be written nor the delivery be put off.
    pub(crate) async fn dispatch(
        &self,
        delivery: &Delivery,
        turn: &Turn,
        clock: Clock,
    ) -> Result<(), String> {
        let started = Instant::now();
        let done = self.decided_or_put_off(delivery, turn, clock).await;
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (id, integration) = (delivery.head.id.to_string(), delivery.head.id.integration());
        match done {
            Ok(done) => {
                let (outcome, runs) = match done {
                    Done::Decided(word, runs) => (word.as_str(), runs),
                    Done::PutOff => ("deferred", 0),
                };
                tracing::info!(
                    outcome,
                    integration,
                    delivery = id,
                    runs,
                    tries = turn.tries,
                    duration_ms,
                    "dispatched"
                );
                Ok(())
            }
            Err(why) => {
                tracing::error!(
                    integration,
                    delivery = id,
                    why,
                    duration_ms,
                    "a delivery could not be dispatched"
                );
                Err(why)
            }
        }
    }

    async fn decided_or_put_off(
        &self,
        delivery: &Delivery,
        turn: &Turn,
        clock: Clock,
    ) -> Result<Done, String> {
        let decided = match self.decide(delivery, turn, clock).await {
            // Found out with a token that was kept: it may have been replaced.
            Err((Hindrance::Token(_) | Hindrance::SignIn(_), true)) => {
                let name = name_of(delivery);
                if let Some(name) = &name {
                    self.has_a_new_token(name).await.map_err(words)?;
                }
                self.decide(delivery, turn, clock).await
            }
            decided => decided,
        };
        match decided {
            Ok(record) => self.write(delivery, turn, record).await,
            // A token that is good meets one, too, while Azure DevOps, or a proxy before it, has a bad moment.
            Err((Hindrance::SignIn(why), _)) if turn.tries < MOST_SIGN_INS => {
                self.asked_later(delivery, turn, &why, None).await
            }
            Err((Hindrance::Passing(why, after), _)) => {
                if let (Door::Stream, Some(name)) = (turn.door, name_of(delivery)) {
                    self.slow().insert(name);
                }
                self.asked_later(delivery, turn, &why, after).await
            }
            Err((Hindrance::Token(why) | Hindrance::SignIn(why), _)) => {
                self.park_for_the_token(delivery, turn, &why, clock.now())
                    .await
            }
            Err((Hindrance::ForGood(why), _)) => self.park(delivery, turn, &why, clock.now()).await,
            Err((Hindrance::Ours(why), _)) => Err(why),
        }
    }

    /// Puts a delivery off, for as long as Azure DevOps says, and not shorter than is usual for so many tries.
    async fn asked_later(
        &self,
        delivery: &Delivery,
        turn: &Turn,
        why: &str,
        after: Option<Duration>,
    ) -> Result<Done, String> {
        let id = delivery.head.id.to_string();
        tracing::warn!(delivery = id, why, "Azure DevOps is asked again later");
        let usual = wait(turn.tries);
        let wait = after.map_or(usual, |after| after.max(usual));
        let tries = turn.tries + 1;
        self.put_off(
            delivery,
            &Turn {
                tries,
                ..turn.clone()
            },
            wait,
        )
        .await
    }

    /// Parks a delivery that would fail again: a person sees it, and can have it sent again.
    ///
    /// # Errors
    ///
    /// In words, where that cannot be written.
    async fn park(
        &self,
        delivery: &Delivery,
        turn: &Turn,
        why: &str,
        now: Timestamp,
    ) -> Result<Done, String> {
        let outcome = Outcome::parked(why, now);
        self.write(delivery, turn, OutcomeRecord::new(outcome, None))
            .await
    }

    /// Parks a delivery whose dispatching ended more than once without a word.
    ///
    /// # Errors
    ///
    /// In words, where that cannot be written.
    pub(crate) async fn give_up(
        &self,
        delivery: &Delivery,
        turn: &Turn,
        why: &str,
        now: Timestamp,
    ) -> Result<(), String> {
        tracing::error!(
            delivery = delivery.head.id.to_string(),
            why,
            outcome = "parked",
            "dispatched"
        );
        self.park(delivery, turn, why, now).await.map(drop)
    }

    /// Parks a delivery until the token is another one. If it is already, the delivery goes on: whoever replaced it may have
    /// looked for what is parked before this was.
    async fn park_for_the_token(
        &self,
        delivery: &Delivery,
        turn: &Turn,
        why: &str,
        now: Timestamp,
    ) -> Result<Done, String> {
        let note = format!(
            "{why}: give the integration a new one (PATCH /integrations/{{name}} on the setup function), and this delivery goes on by itself"
        );
        let event = Some(told::connection_failing(delivery, why, now));
        let outcome = Outcome::parked(note, now);
        let done = self
            .write(delivery, turn, OutcomeRecord::new(outcome, event))
            .await?;
        if let Some(name) = name_of(delivery)
            && self.has_a_new_token(&name).await.map_err(words)?
        {
            return self
                .put_off(
                    delivery,
                    &Turn {
                        tries: 0,
                        ..turn.clone()
                    },
                    Duration::ZERO,
                )
                .await;
        }
        Ok(done)
    }

    async fn write(
        &self,
        delivery: &Delivery,
        turn: &Turn,
        record: OutcomeRecord,
    ) -> Result<Done, String> {
        let record = OutcomeRecord {
            // It is still the same one when it goes on.
            rerun: turn
                .rerun
                .clone()
                .filter(|_| record.outcome.word == OutcomeWord::Parked),
            ..record
        };
        let (word, runs) = (record.outcome.word, record.outcome.runs().count());
        let head = &delivery.head;
        let write = async |record: &OutcomeRecord| {
            let (retention, again) = (self.retention.events, turn.again);
            self.store
                .record_outcome(&head.id, head.received, record, retention, again)
                .await
        };
        let too_large = |written: &Result<bool, StoreError>| {
            matches!(
                written,
                Err(StoreError::Refused { .. } | StoreError::Unreadable(_))
            )
        };
        let mut record = record;
        let mut written = write(&record).await;
        if too_large(&written) && record.compared.take().is_some() {
            written = write(&record).await;
        }
        let written = match written {
            // Thousands of runs by one delivery: that they are there counts, and they name the delivery themselves.
            Err(StoreError::Refused { .. } | StoreError::Unreadable(_)) => {
                let note = format!("{runs} runs: the decisions are too many to be kept");
                let outcome = Outcome {
                    note: Some(note),
                    decisions: Vec::new(),
                    ..record.outcome.clone()
                };
                write(&OutcomeRecord { outcome, ..record }).await
            }
            written => written,
        };
        written.map_err(|error| edge::problem::chain(&error))?;
        Ok(Done::Decided(word, runs))
    }

    async fn put_off(
        &self,
        delivery: &Delivery,
        turn: &Turn,
        wait: Duration,
    ) -> Result<Done, String> {
        let later = turn.later(&delivery.head.id);
        let sent = self.queue.put_off(&later, wait).await;
        sent.map(|()| Done::PutOff)
            .map_err(|error| error.to_string())
    }

    /// Puts a delivery off for what is ours.
    ///
    /// # Errors
    ///
    /// In words, where not even that can be done.
    pub(crate) async fn try_later(
        &self,
        delivery: &Delivery,
        turn: &Turn,
        wait: Duration,
    ) -> Result<(), String> {
        self.put_off(delivery, turn, wait).await.map(drop)
    }

    /// Cancels the runs of a delivery whose integration was unlinked before its process, which died, could look again.
    async fn end_what_it_made(
        &self,
        name: &IntegrationName,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<(), Hindrance> {
        let id = Some(delivery.head.id.to_string());
        for run in self.store.open_runs(name, OpenOf::Integration).await? {
            if run.delivery == id {
                let because = CancelReason::Unlinked;
                self.store
                    .cancel_run(&run.id, because, self.retention.runs, now)
                    .await?;
            }
        }
        Ok(())
    }

    /// What a delivery means; beside a hindrance, whether the token was one that had been kept.
    async fn decide(
        &self,
        delivery: &Delivery,
        turn: &Turn,
        clock: Clock,
    ) -> Result<OutcomeRecord, (Hindrance, bool)> {
        let now = clock.now();
        let fresh = |hindrance: Hindrance| (hindrance, false);
        if let Some(why) = unfit(delivery) {
            return Err(fresh(why));
        }
        let notification = envelope::parse(&delivery.body).map_err(|error| {
            fresh(Hindrance::ForGood(format!(
                "the body cannot be understood: {error}"
            )))
        })?;
        let tell = |outcome: Outcome| {
            let event = told::understood(delivery, &notification, &outcome);
            OutcomeRecord::new(outcome, event)
        };
        let subject = rules::subject(
            &notification.event_type,
            &notification.event,
            notification.is_test,
        );
        let subject = match subject {
            Ok(subject) => subject,
            Err(note) => return Ok(tell(Outcome::ignored(note, now))),
        };
        let Some(name) = name_of(delivery) else {
            return Err(fresh(Hindrance::ForGood(
                "its keys name no integration".to_owned(),
            )));
        };
        let integration = self
            .store
            .integration(&name)
            .await
            .map_err(|error| fresh(error.into()))?;
        let integration = match integration {
            Some(integration) if integration.status == Status::Active => integration,
            _ => {
                self.end_what_it_made(&name, delivery, now)
                    .await
                    .map_err(fresh)?;
                return Ok(tell(Outcome::ignored(
                    "the integration is not active any more",
                    now,
                )));
            }
        };
        let repository = subject.repository();
        let stacks = self
            .store
            .followers(&name, repository)
            .await
            .map_err(|error| fresh(error.into()))?;
        if stacks.is_empty() {
            let note = format!(
                "no stack follows {}",
                place(notification.event.repository())
            );
            return Ok(tell(Outcome::ignored(note, now)));
        }
        let case = Case {
            delivery,
            integration: &integration,
            now,
            clock,
            is_last_try: turn.tries >= LAST_TRY,
            door: turn.door,
            rerun: turn.rerun.as_ref(),
        };
        let (seen, each) = tokio::join!(
            self.note_push(&case, &subject),
            self.decide_subject(&case, &subject, &stacks)
        );
        // A delivery that is put off, or parked, is there to go on: its push is not missing.
        seen.map_err(fresh)?;
        let (each, compared) = each?;
        Ok(OutcomeRecord {
            compared: Some(compared),
            ..tell(Outcome::decided(each, now))
        })
    }

    /// Asks Azure DevOps what a delivery means for the stacks; beside a hindrance, whether the token was one that had been kept.
    async fn decide_subject(
        &self,
        case: &Case<'_>,
        subject: &Subject<'_>,
        stacks: &[Stack],
    ) -> Result<(Vec<ForStack>, Compared), (Hindrance, bool)> {
        let name = &case.integration.name;
        if case.door == Door::Stream && self.slow().contains(name) {
            let why = "Azure DevOps did not answer for this integration a moment ago".to_owned();
            return Err((Hindrance::Passing(why, None), false));
        }
        let (client, was_kept) = self
            .client(case.integration, case.door)
            .await
            .map_err(|hindrance| (hindrance, false))?;
        let each = match subject {
            Subject::Push(push, _) => self.decide_push(case, &client, push, stacks).await,
            Subject::PullRequest(about) => {
                self.decide_pull_request(case, &client, about, stacks).await
            }
        };
        each.map_err(|hindrance| (hindrance, was_kept))
    }

    /// Notes that the stacks have seen a push; one without a number cannot be missed either.
    async fn note_push(&self, case: &Case<'_>, subject: &Subject<'_>) -> Result<(), Hindrance> {
        let Subject::Push(push, repository) = subject else {
            return Ok(());
        };
        let Some(push_id) = push.push_id else {
            return Ok(());
        };
        let names = push.ref_updates.iter().map(|update| update.name.clone());
        let refs: Vec<String> = names.collect();
        let name = &case.integration.name;
        Ok(self
            .store
            .saw_push(name, repository, push_id, &refs, case.now)
            .await?)
    }
}

/// Why a delivery is none that can be dispatched.
fn unfit(delivery: &Delivery) -> Option<Hindrance> {
    match delivery.head.kind {
        DeliveryKind::Event => None,
        kind => {
            let reason = delivery.reason.as_deref().unwrap_or_else(|| kind.as_str());
            Some(Hindrance::ForGood(format!("it cannot be read: {reason}")))
        }
    }
}

fn name_of(delivery: &Delivery) -> Option<IntegrationName> {
    delivery.head.id.integration().parse().ok()
}

fn wait(tries: u32) -> Duration {
    FIRST_WAIT
        .saturating_mul(1 << tries.min(8))
        .min(LONGEST_WAIT)
}

fn words(hindrance: Hindrance) -> String {
    match hindrance {
        Hindrance::Ours(why)
        | Hindrance::ForGood(why)
        | Hindrance::Token(why)
        | Hindrance::SignIn(why)
        | Hindrance::Passing(why, _) => why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azure_devops_is_asked_for_a_quarter_of_an_hour() {
        let all: Duration = (0..LAST_TRY).map(wait).sum();
        assert!((900..1_000).contains(&all.as_secs()), "{all:?}");
        assert_eq!(wait(u32::MAX), LONGEST_WAIT);
    }
}
