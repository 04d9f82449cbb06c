//! EventBridge and nothing else: one call, and which of its entries were taken.

use std::time::Duration;

use aws_sdk_eventbridge::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    error::DisplayErrorContext,
    primitives::DateTime,
    types::PutEventsRequestEntry,
};
use jiff::Timestamp;

/// Where all events come from.
const SOURCE: &str = "stackhook";
/// The most entries of one call.
pub const MOST_ENTRIES: usize = 10;
/// The largest call, as EventBridge measures its entries.
pub const LARGEST_CALL: usize = 256 * 1_024;
/// What EventBridge counts for an entry's time.
const SIZE_OF_TIME: usize = 14;

/// How long one try of a call may take.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long a call may take with its retries.
pub const PATIENCE: Duration = Duration::from_secs(6);

/// One event.
#[derive(Clone, Debug)]
pub struct Entry {
    detail_type: String,
    detail: String,
    time: Timestamp,
}

impl Entry {
    /// An event of a kind, with its JSON.
    #[must_use]
    pub fn new(detail_type: &str, detail: String, time: Timestamp) -> Self {
        Self {
            detail_type: detail_type.to_owned(),
            detail,
            time,
        }
    }

    /// Its size, as EventBridge measures it.
    #[must_use]
    pub fn size(&self) -> usize {
        SIZE_OF_TIME + SOURCE.len() + self.detail_type.len() + self.detail.len()
    }

    /// Its kind and its JSON, as text.
    #[must_use]
    pub fn parts(&self) -> (&str, &str) {
        (&self.detail_type, &self.detail)
    }
}

/// Why the bus could not be called at all.
#[derive(Debug, thiserror::Error)]
#[error("EventBridge could not put events: {0}")]
pub struct BusError(String);

/// One bus.
#[derive(Debug)]
pub struct Bus {
    client: Client,
    name: String,
}

impl Bus {
    /// The bus of that name.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, name: String) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(PATIENCE)
            .build();
        let config = aws_sdk_eventbridge::config::Builder::from(config)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(100)))
            .build();
        Self {
            client: Client::from_conf(config),
            name,
        }
    }

    /// Puts events on it, in one call of at most [`MOST_ENTRIES`] and [`LARGEST_CALL`]. For each one `None` where it was taken,
    /// else the code of the refusal.
    ///
    /// # Errors
    ///
    /// [`BusError`] where any of them may or may not be taken.
    pub async fn put(&self, entries: &[&Entry]) -> Result<Vec<Option<String>>, BusError> {
        let requests = entries.iter().map(|entry| {
            let time = entry.time;
            let nanoseconds = u32::try_from(time.subsec_nanosecond()).unwrap_or_default();
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(SOURCE)
                .detail_type(&entry.detail_type)
                .detail(&entry.detail)
                .time(DateTime::from_secs_and_nanos(time.as_second(), nanoseconds))
                .build()
        });
        let answer = self
            .client
            .put_events()
            .set_entries(Some(requests.collect()))
            .send()
            .await
            .map_err(|error| BusError(DisplayErrorContext(error).to_string()))?;
        let results = answer.entries();
        Ok((0..entries.len())
            .map(|at| match results.get(at) {
                Some(result) if result.event_id().is_some() => None,
                Some(result) => Some(result.error_code().unwrap_or("no code").to_owned()),
                None => Some("no answer".to_owned()),
            })
            .collect())
    }
}
