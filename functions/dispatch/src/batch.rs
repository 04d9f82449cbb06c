//! What the stream and the queue hand over: one record's failure is no other's, and what cannot be done now is put off.
//!
//! Deliveries of one repository go one after the other, in the order of their receipt; repositories do not wait for each other.
//! Since every step can be repeated, a batch that comes again, in whole or in part, changes nothing more.

use std::{
    collections::{BTreeMap, HashSet},
    panic::AssertUnwindSafe,
    sync::{MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws_lambda_events::event::{dynamodb, sqs};
use domain::{IntegrationName, OutcomeWord, run::Rerun};
use futures::{FutureExt, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use queues::Later;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::Value;
use store::{
    Delivery, DeliveryId, DeliveryKind, EventsImage, OutcomeRecord, Redelivery, StoreError,
    events_image, keys,
};

use crate::{
    App,
    delivery::{Clock, Turn},
};

/// How many repositories are at work at once.
const AT_A_TIME: usize = 16;
/// How long a delivery may take before it is put off, while the stream waits.
const IN_THE_STREAM: Duration = Duration::from_secs(30);
/// What an invocation keeps of its time for its answer, and for putting off what is not done.
const KEPT: Duration = Duration::from_secs(8);
/// With less than that left nothing new is begun.
const TOO_LITTLE: Duration = Duration::from_secs(15);
/// How often a message may be received before its delivery is parked: each time before, the process ended, or its time.
const MOST_RECEIVES: u32 = 4;
/// How often a delivery is put off because its time is over, or Azure DevOps did not answer, before that parks it.
const MOST_TIMES_OUT: u32 = 10;
/// After how long what failed for a reason of ours is tried again.
const OURS: Duration = Duration::from_secs(60);
/// After how long an integration's parked deliveries are looked for once more: the index is behind by less.
const SECOND_LOOK: Duration = Duration::from_secs(60);
/// The most parked deliveries that are woken at once.
const MOST_PARKED: usize = 10_000;
/// The stream tells of a delivery within so long of its receipt; and clocks differ by less.
const ABOUT: SignedDuration = SignedDuration::from_mins(1);

/// By which way a delivery comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The stream of the events table, in which others wait behind it.
    Stream,
    /// The function's own queue.
    Queue,
}

/// What the function is called with.
#[derive(Clone, Debug)]
pub enum Trigger {
    /// Records of the events table's stream.
    Stream(dynamodb::Event),
    /// Messages of the function's own queue.
    Queue(sqs::SqsEvent),
}

impl<'de> Deserialize<'de> for Trigger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let event = Value::deserialize(deserializer)?;
        let source = event["Records"][0]["eventSource"]
            .as_str()
            .unwrap_or_default();
        // Nothing of the event is shown: it has bodies in it.
        match source {
            "aws:dynamodb" => serde_json::from_value(event).map(Self::Stream),
            "aws:sqs" => serde_json::from_value(event).map(Self::Queue),
            _ => return Err(D::Error::custom("an event of neither a stream nor a queue")),
        }
        .map_err(|_may_show_it| D::Error::custom("an event of another shape than its source has"))
    }
}

/// Which records are to come again (`ReportBatchItemFailures`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Those that failed.
    pub batch_item_failures: Vec<Failure>,
}

/// A record that is to come again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Its sequence number, or a message's id.
    pub item_identifier: String,
}

/// What the service tells of a batch that it gave up (the on-failure destination of a stream).
#[derive(Debug, Deserialize)]
struct GivenUp {
    #[serde(rename = "DDBStreamBatchInfo")]
    batch: BatchInfo,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchInfo {
    approximate_arrival_of_first_record: Timestamp,
    approximate_arrival_of_last_record: Timestamp,
}

/// A delivery with the record that it came by.
struct Job {
    record: String,
    delivery: Delivery,
    turn: Turn,
}

impl App {
    /// Dispatches what the function was called with, in `time`; gives what is to come again.
    pub async fn handle(&self, trigger: Trigger, time: Duration, now: Timestamp) -> Answer {
        self.slow().clear();
        let (end, clock) = (Instant::now() + time, Clock::started(now));
        let failed = match trigger {
            Trigger::Stream(event) => self.records(event.records, end, clock).await,
            Trigger::Queue(event) => self.messages(event.records, end, clock).await,
        };
        Answer {
            batch_item_failures: failed
                .into_iter()
                .map(|item_identifier| Failure { item_identifier })
                .collect(),
        }
    }

    pub(crate) fn slow(&self) -> MutexGuard<'_, HashSet<IntegrationName>> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn records(
        &self,
        records: Vec<dynamodb::EventRecord>,
        end: Instant,
        clock: Clock,
    ) -> Vec<String> {
        let loaded: Vec<Result<Option<Job>, String>> = stream::iter(records)
            .map(|record| self.load(record))
            .buffered(AT_A_TIME)
            .collect()
            .await;
        let (mut jobs, mut failed) = (Vec::new(), Vec::new());
        for one in loaded {
            match one {
                Ok(job) => jobs.extend(job),
                Err(record) => failed.push(record),
            }
        }
        failed.extend(self.all(jobs, end, clock).await);
        failed
    }

    /// The delivery that a record is about; `None` for a record of something else. The record, where it cannot be had.
    async fn load(&self, record: dynamodb::EventRecord) -> Result<Option<Job>, String> {
        let number = record.change.sequence_number.unwrap_or_default();
        let image = record.change.new_image;
        let of = |delivery: Option<Delivery>, (again, rerun): (bool, Option<Rerun>)| {
            delivery.map(|delivery| Job {
                record: number.clone(),
                delivery,
                turn: Turn {
                    door: Door::Stream,
                    tries: 0,
                    again,
                    rerun,
                },
            })
        };
        let loaded = match events_image(&image) {
            Ok(EventsImage::Delivery(_)) => self
                .store
                .delivery_of_image(image)
                .await
                .map(|delivery| of(Some(delivery), (false, None))),
            Ok(EventsImage::Redelivery(id, redelivery)) => self
                .asked_again(&id, redelivery)
                .await
                .map(|(delivery, rerun)| of(delivery, (true, rerun))),
            Ok(EventsImage::Outcome(..) | EventsImage::Other) => Ok(None),
            Err(error) => Err(error),
        };
        loaded.map_err(|error| {
            tracing::error!(
                record = number,
                error = edge::problem::chain(&error),
                "a record of the stream cannot be read"
            );
            number.clone()
        })
    }

    /// The delivery of a redelivery, and who asks for new runs: this one, or one that is parked and goes on by it.
    async fn asked_again(
        &self,
        id: &DeliveryId,
        redelivery: Redelivery,
    ) -> Result<(Option<Delivery>, Option<Rerun>), StoreError> {
        let rerun = match redelivery.rerun {
            Some(rerun) => Some(rerun),
            None => self.store.outcome(id).await?.and_then(parked_rerun),
        };
        Ok((self.store.delivery(id).await?, rerun))
    }

    /// Dispatches deliveries; gives the records of those that are to come again.
    async fn all(&self, mut jobs: Vec<Job>, end: Instant, clock: Clock) -> Vec<String> {
        jobs.sort_by_key(|job| job.delivery.head.received);
        let mut lanes: BTreeMap<String, Vec<Job>> = BTreeMap::new();
        for job in jobs {
            lanes.entry(lane(&job.delivery)).or_default().push(job);
        }
        let failed: Vec<Vec<String>> = stream::iter(lanes.into_values())
            .map(|lane| async move {
                let mut failed = Vec::new();
                for job in lane {
                    if !self.one(&job, end, clock).await {
                        failed.push(job.record);
                    }
                }
                failed
            })
            .buffer_unordered(AT_A_TIME)
            .collect()
            .await;
        failed.concat()
    }

    /// Dispatches one delivery, whatever happens to it. Whether it is done with.
    async fn one(&self, job: &Job, end: Instant, clock: Clock) -> bool {
        let Job { delivery, turn, .. } = job;
        let left = end.saturating_duration_since(Instant::now());
        if left < TOO_LITTLE {
            return false;
        }
        let most = match turn.door {
            Door::Stream => IN_THE_STREAM.min(left - KEPT),
            Door::Queue => left - KEPT,
        };
        let dispatched = AssertUnwindSafe(self.dispatch(delivery, turn, clock)).catch_unwind();
        let done = match tokio::time::timeout(most, dispatched).await {
            Ok(Ok(done)) => done,
            Ok(Err(_panic)) => {
                let why = "dispatching it failed for a reason that the log has (a panic)";
                self.give_up(delivery, turn, why, clock.now()).await
            }
            Err(_elapsed) => {
                tracing::warn!(
                    delivery = delivery.head.id.to_string(),
                    outcome = "deferred",
                    "dispatched"
                );
                let tries = turn.tries + 1;
                if tries > MOST_TIMES_OUT {
                    let why = "dispatching it takes longer than an invocation may";
                    self.give_up(delivery, turn, why, clock.now()).await
                } else {
                    self.try_later(
                        delivery,
                        &Turn {
                            tries,
                            ..turn.clone()
                        },
                        OURS,
                    )
                    .await
                }
            }
        };
        match (done, turn.door) {
            (Ok(()), _) => true,
            // In the stream it comes again by itself, with those behind it.
            (Err(_), Door::Stream) => false,
            // In the queue each time it comes is counted, and this was no fault of the delivery's.
            (Err(_), Door::Queue) => self.try_later(delivery, turn, OURS).await.is_ok(),
        }
    }

    async fn messages(
        &self,
        messages: Vec<sqs::SqsMessage>,
        end: Instant,
        clock: Clock,
    ) -> Vec<String> {
        let failed: Vec<Option<String>> = stream::iter(messages)
            .map(|message| async move {
                let id = message.message_id.clone().unwrap_or_default();
                let done = AssertUnwindSafe(self.message(&message, end, clock))
                    .catch_unwind()
                    .await;
                match done {
                    Ok(Ok(())) => None,
                    Ok(Err(why)) => {
                        tracing::error!(message = id, why, "a message could not be dealt with");
                        Some(id)
                    }
                    Err(_panic) => Some(id),
                }
            })
            .buffer_unordered(AT_A_TIME)
            .collect()
            .await;
        failed.into_iter().flatten().collect()
    }

    async fn message(
        &self,
        message: &sqs::SqsMessage,
        end: Instant,
        clock: Clock,
    ) -> Result<(), String> {
        let body = message.body.as_deref().unwrap_or_default();
        if let Ok(given_up) = serde_json::from_str::<GivenUp>(body) {
            return self.sweep(&given_up.batch, clock.now()).await;
        }
        let later: Later =
            serde_json::from_str(body).map_err(|_shown| "it is none of ours".to_owned())?;
        match later {
            Later::Delivery {
                delivery,
                tries,
                again,
                rerun,
            } => {
                let mut turn = Turn {
                    door: Door::Queue,
                    tries,
                    again,
                    rerun,
                };
                let id: DeliveryId = delivery
                    .parse()
                    .map_err(|_shown| "it names no delivery".to_owned())?;
                // What became of it says whether there is anything left to do: it may have been found twice.
                let read = async {
                    let record = match again {
                        true => None,
                        false => self.store.outcome(&id).await?,
                    };
                    let is_done = record
                        .as_ref()
                        .is_some_and(|it| it.outcome.word != OutcomeWord::Parked);
                    let found = if is_done {
                        None
                    } else {
                        self.store.delivery(&id).await?
                    };
                    Ok::<_, StoreError>((found, record.and_then(parked_rerun)))
                };
                let found = match read.await {
                    Ok((found, None)) => found,
                    Ok((found, parked)) => {
                        (turn.again, turn.rerun) = (true, parked);
                        found
                    }
                    Err(error) => {
                        tracing::warn!(
                            delivery,
                            cause = edge::problem::chain(&error),
                            "a delivery cannot be read now"
                        );
                        let sent = self.queue.put_off(&turn.later(&id), OURS).await;
                        return sent.map_err(|error| error.to_string());
                    }
                };
                let Some(delivery) = found else {
                    return Ok(()); // done, or kept long enough
                };
                let receives = message.attributes.get("ApproximateReceiveCount");
                let receives: u32 = receives.and_then(|count| count.parse().ok()).unwrap_or(1);
                if receives >= MOST_RECEIVES {
                    let why = format!(
                        "dispatching it ended without a word {} times: the log has more",
                        receives - 1
                    );
                    return self.give_up(&delivery, &turn, &why, clock.now()).await;
                }
                let job = Job {
                    record: String::new(),
                    delivery,
                    turn,
                };
                if self.one(&job, end, clock).await {
                    Ok(())
                } else {
                    Err("there was no time for it, or it could not be put off".to_owned())
                }
            }
            Later::Unpark {
                integration,
                second,
            } => self.unpark(&integration, second, clock.now()).await,
        }
    }

    /// Lets what is parked of an integration be dispatched again.
    async fn unpark(
        &self,
        integration: &IntegrationName,
        second: bool,
        now: Timestamp,
    ) -> Result<(), String> {
        let all = (Timestamp::UNIX_EPOCH, now + ABOUT);
        let parked = self.store.parked(integration, all, MOST_PARKED).await;
        let parked = parked.map_err(|error| edge::problem::chain(&error))?;
        tracing::info!(
            integration = integration.as_str(),
            parked = parked.len(),
            "what is parked goes on"
        );
        let ids = parked.into_iter().rev().map(|parked| parked.id);
        self.put_off_all(ids.collect()).await?;
        if second {
            return Ok(());
        }
        let again = Later::Unpark {
            integration: integration.clone(),
            second: true,
        };
        self.queue
            .put_off(&again, SECOND_LOOK)
            .await
            .map_err(|error| error.to_string())
    }

    /// Looks for what has no outcome of the time of a batch that the service gave up: it tells times, and no deliveries.
    async fn sweep(&self, batch: &BatchInfo, now: Timestamp) -> Result<(), String> {
        let causes = |error: StoreError| edge::problem::chain(&error);
        let from = batch.approximate_arrival_of_first_record - ABOUT;
        let until = batch.approximate_arrival_of_last_record + ABOUT;
        let until = until.min(now + ABOUT);
        let (mut after, mut undone) = (None, Vec::new());
        loop {
            let page = self
                .store
                .integrations(after.as_ref(), 100)
                .await
                .map_err(causes)?;
            for integration in &page.integrations {
                let first = keys::day_of(from)
                    .saturating_sub(jiff::Span::new().days(keys::DAYS_FILED_BEFORE_RECEIPT));
                let mut day = first;
                while day <= keys::newest_day(until) {
                    let heads = self
                        .store
                        .heads_of_day(&integration.name, day, until)
                        .await
                        .map_err(causes)?;
                    let is_undone = |head: &store::DeliveryHead| {
                        head.kind == DeliveryKind::Event
                            && head.outcome.is_none()
                            && head.received >= from
                    };
                    undone.extend(heads.into_iter().filter(is_undone).map(|head| head.id));
                    day = day.saturating_add(jiff::Span::new().days(1));
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        tracing::warn!(
            undone = undone.len(),
            "a batch was given up; what was not dispatched is"
        );
        self.put_off_all(undone).await
    }

    async fn put_off_all(&self, ids: Vec<DeliveryId>) -> Result<(), String> {
        let sent: Vec<Result<(), String>> = stream::iter(ids)
            .map(|id| async move {
                let later = Later::delivery(&id, 0, false);
                self.queue
                    .put_off(&later, Duration::ZERO)
                    .await
                    .map_err(|error| error.to_string())
            })
            .buffer_unordered(AT_A_TIME)
            .collect()
            .await;
        sent.into_iter().collect()
    }
}

/// Who asks for new runs by what a delivery is parked as.
fn parked_rerun(record: OutcomeRecord) -> Option<Rerun> {
    let is_parked = record.outcome.word == OutcomeWord::Parked;
    record.rerun.filter(|_| is_parked)
}

/// What must go one after the other: the deliveries of one repository. One that tells none has a lane of its own.
fn lane(delivery: &Delivery) -> String {
    let integration = delivery.head.id.integration();
    let parsed = envelope::parse(&delivery.body).ok();
    let repository = parsed
        .as_ref()
        .and_then(|notification| notification.event.repository()?.id.clone());
    match repository {
        Some(repository) => format!("{integration}#{}", repository.to_ascii_lowercase()),
        None => delivery.head.id.to_string(),
    }
}
