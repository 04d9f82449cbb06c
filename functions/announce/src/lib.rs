//! Puts every change of a run, and what was understood of every delivery, on the bus: one event each, at least once.
//! It decides nothing about runs, and reads and writes no table: all it knows is in the stream's images.
//!
//! Changes of one item keep their order. A stream's batch is made again from the first record that is reported as failed, so
//! what follows it may be announced twice; consumers go by a run's id and version, and by a delivery's id. So what would fail
//! each time is not reported: it is handed over to a queue for a person to see.

mod mapping;

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use aws_lambda_events::{
    dynamodb::{Event, EventRecord},
    streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse},
};
use edge::config::{self, ConfigError};
use queues::Queue;
use serde_json::json;

use bus::{Bus, Entry, PATIENCE};
use mapping::MappingError;

/// The waits before each round of sending what the bus did not take.
const ROUNDS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(400),
];

/// The function with what it keeps between invocations.
#[derive(Debug)]
pub struct App {
    bus: Bus,
    runs_url: String,
    failures: Queue,
}

/// An entry that is to be sent.
struct Waiting {
    /// The record that it is of, by its place in the batch.
    at: usize,
    /// The item that it is of: its changes keep their order.
    item: String,
    entry: Entry,
}

impl App {
    /// The function as its environment configures it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub async fn from_env() -> Result<Self, ConfigError> {
        let bus: String = config::required("EVENT_BUS_NAME")?;
        let runs_url: String = config::required("RUNS_URL")?;
        let failures: String = config::required("ANNOUNCE_FAILURE_QUEUE_URL")?;
        let aws = edge::aws().await;
        let failures = Queue::new(&aws, failures);
        Ok(Self::new(&aws, bus, &runs_url, failures))
    }

    /// The function on its parts: the bus by name, where runs are reported, and the queue for what can never be announced.
    #[must_use]
    pub fn new(aws: &aws_config::SdkConfig, bus: String, runs_url: &str, failures: Queue) -> Self {
        Self {
            bus: Bus::new(aws, bus),
            runs_url: runs_url.trim_end_matches('/').to_owned(),
            failures,
        }
    }

    /// Announces a batch, within `time_left`; answers with the records of which that failed.
    pub async fn handle(&self, batch: Event, time_left: Duration) -> DynamoDbEventResponse {
        let started = Instant::now();
        let end = started + time_left;
        let (waiting, hopeless) = self.announcements(&batch.records);
        let (announcements, unannounceable) = (waiting.len(), hopeless.len());
        let mut failed = self.send(waiting, end).await;
        let first_failed = failed.iter().min().copied();
        failed.extend(
            self.hand_over(&batch.records, &hopeless, first_failed, end)
                .await,
        );
        tracing::info!(
            records = batch.records.len(),
            announcements,
            unannounceable,
            failed = failed.len(),
            duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "batch"
        );
        failed.sort_unstable();
        let mut answer = DynamoDbEventResponse::default();
        // Where one had no number, Lambda would take the whole batch for failed.
        answer
            .batch_item_failures
            .extend(failed.into_iter().map(|at| {
                let mut failure = DynamoDbBatchItemFailure::default();
                failure
                    .item_identifier
                    .clone_from(&batch.records[at].change.sequence_number);
                failure
            }));
        answer
    }

    /// What a batch has to announce, in its order, and the records that can never be announced, with the reason.
    fn announcements(&self, records: &[EventRecord]) -> (Vec<Waiting>, Vec<(usize, MappingError)>) {
        let (mut waiting, mut hopeless) = (Vec::new(), Vec::new());
        for (at, record) in records.iter().enumerate() {
            let item = item_of(record);
            match mapping::announcement(record, &self.runs_url) {
                Ok(None) => {}
                Ok(Some(entry)) => waiting.push(Waiting { at, item, entry }),
                Err(error) => {
                    tracing::error!(error = %error, item, "a change that cannot be announced");
                    hopeless.push((at, error));
                }
            }
        }
        (waiting, hopeless)
    }

    /// Hands what can never be announced over to the queue whose alarm shows it, and gives the records of which that is not done.
    ///
    /// Skipped, such a change would be lost without anybody knowing. Failed, all that is behind it would be announced again at
    /// each of a hundred tries. Behind one that failed it is left alone: it comes again with that, and is handed over once.
    async fn hand_over(
        &self,
        records: &[EventRecord],
        hopeless: &[(usize, MappingError)],
        first_failed: Option<usize>,
        end: Instant,
    ) -> Vec<usize> {
        let comes_again = |at: usize| first_failed.is_some_and(|first| first < at);
        for (done, (at, error)) in hopeless.iter().enumerate() {
            if comes_again(*at) || !self.is_handed_over(&records[*at], error, end).await {
                return hopeless[done..].iter().map(|(at, _)| *at).collect();
            }
        }
        Vec::new()
    }

    /// Hands one over: where it is and why, never what it holds.
    async fn is_handed_over(&self, record: &EventRecord, why: &MappingError, end: Instant) -> bool {
        if Instant::now() + queues::PATIENCE > end {
            tracing::error!("no time is left to hand over what cannot be announced");
            return false;
        }
        let message = json!({
            "eventSourceARN": record.event_source_arn,
            "keys": serde_json::to_value(&record.change.keys).unwrap_or_default(),
            "sequenceNumber": record.change.sequence_number,
            "reason": why.in_words(),
        });
        let sent = self.failures.send(message.to_string(), Duration::ZERO);
        match sent.await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(error = %error, "a change that could not be handed over");
                false
            }
        }
    }

    /// Sends all that is waiting, and gives the records of what the bus has not taken.
    async fn send(&self, mut waiting: Vec<Waiting>, end: Instant) -> Vec<usize> {
        let mut failed = Vec::new();
        while !waiting.is_empty() {
            let (call, rest) = next_call(waiting);
            waiting = rest;
            let (left, is_bus_there) = self.send_together(call, end).await;
            let stuck: HashSet<String> = left.iter().map(|it| it.item.clone()).collect();
            failed.extend(left.iter().map(|it| it.at));
            let waits = |it: &Waiting| is_bus_there && !stuck.contains(&it.item);
            failed.extend(waiting.iter().filter(|it| !waits(it)).map(|it| it.at));
            waiting.retain(waits);
        }
        failed
    }

    /// Sends entries in one call, and again what of them is not taken. Gives what is left of them, and whether it is worth
    /// while to go on.
    async fn send_together(&self, mut call: Vec<Waiting>, end: Instant) -> (Vec<Waiting>, bool) {
        for wait in ROUNDS {
            tokio::time::sleep(wait).await;
            if Instant::now() + PATIENCE > end {
                tracing::error!("no time is left to announce the rest of a batch");
                return (call, false);
            }
            let entries: Vec<&Entry> = call.iter().map(|it| &it.entry).collect();
            let refusals = match self.bus.put(&entries).await {
                Ok(refusals) => refusals,
                Err(error) => {
                    // The SDK has tried it again by itself.
                    tracing::error!(error = %error, "the bus takes nothing");
                    return (call, false);
                }
            };
            let mut refusals = refusals.into_iter();
            call.retain(|it| {
                let refusal = refusals.next().flatten();
                if let Some(code) = &refusal {
                    tracing::warn!(item = it.item, code, "an event that the bus did not take");
                }
                refusal.is_some()
            });
            if call.is_empty() {
                break;
            }
        }
        (call, true)
    }
}

/// Takes from what waits as many entries as fit one call, each of another item: what is sent together has no order.
fn next_call(waiting: Vec<Waiting>) -> (Vec<Waiting>, Vec<Waiting>) {
    let mut room = bus::LARGEST_CALL;
    let (mut call, mut rest) = (Vec::new(), Vec::new());
    let mut items = HashSet::new();
    for one in waiting {
        let is_first_of_item = items.insert(one.item.clone());
        let fits = call.is_empty() || (call.len() < bus::MOST_ENTRIES && one.entry.size() <= room);
        if is_first_of_item && fits {
            room = room.saturating_sub(one.entry.size());
            call.push(one);
        } else {
            rest.push(one);
        }
    }
    (call, rest)
}

/// The keys of a record's item, as text.
fn item_of(record: &EventRecord) -> String {
    serde_json::to_value(&record.change.keys)
        .map(|keys| keys.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(at: usize, item: &str, size: usize) -> Waiting {
        let entry = Entry::new(
            "Run Requested",
            "x".repeat(size),
            jiff::Timestamp::UNIX_EPOCH,
        );
        Waiting {
            at,
            item: item.to_owned(),
            entry,
        }
    }

    fn calls(mut all: Vec<Waiting>) -> Vec<Vec<usize>> {
        let mut calls = Vec::new();
        while !all.is_empty() {
            let (call, rest) = next_call(all);
            assert!(call.len() <= 10);
            let size: usize = call.iter().map(|it| it.entry.size()).sum();
            assert!(size <= 262_144 || call.len() == 1);
            calls.push(call.iter().map(|it| it.at).collect());
            all = rest;
        }
        calls
    }

    #[test]
    fn a_call_has_ten_entries_at_the_most() {
        let all = (0..23).map(|at| waiting(at, &at.to_string(), 10)).collect();
        let lengths: Vec<usize> = calls(all).iter().map(Vec::len).collect();
        assert_eq!(lengths, [10, 10, 3]);
    }

    #[test]
    fn a_call_has_256_kb_at_the_most() {
        let all = (0..5)
            .map(|at| waiting(at, &at.to_string(), 100_000))
            .collect();
        assert_eq!(calls(all), [vec![0, 1], vec![2, 3], vec![4]]);
    }

    #[test]
    fn changes_of_one_item_are_never_in_one_call() {
        let all = [(0, "a"), (1, "b"), (2, "a"), (3, "a"), (4, "b")];
        let all = all.map(|(at, item)| waiting(at, item, 10)).into();
        assert_eq!(calls(all), [vec![0, 1], vec![2, 4], vec![3]]);
    }

    #[test]
    fn a_change_does_not_pass_an_earlier_one_that_had_no_room() {
        let all = vec![
            waiting(0, "a", 200_000),
            waiting(1, "b", 200_000),
            waiting(2, "b", 10),
        ];
        assert_eq!(calls(all), [vec![0], vec![1], vec![2]]);
    }
}
