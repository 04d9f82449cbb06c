//! One message of the queue: which run it is about, and what SQS says of it. What the run was when it was sent does not matter.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use aws_lambda_events::sqs::SqsMessage;
use domain::RunId;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// The first wait, which doubles from time to time.
const FIRST_WAIT: Duration = Duration::from_secs(15);
/// The longest wait that is our own idea.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// The longest wait that Azure DevOps may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// What it is reported as where it failed.
    pub(crate) id: String,
    /// What to change its time with.
    pub(crate) receipt: String,
    /// As it came.
    pub(crate) body: String,
    /// The run; `None` where that cannot be read.
    pub(crate) run: Option<RunId>,
    /// How often it was received, this time included.
    pub(crate) receives: u32,
    sent: Option<Timestamp>,
}

/// An event of EventBridge, as far as it counts here.
#[derive(Deserialize)]
struct BusEvent {
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    run: OfRun,
}

#[derive(Deserialize)]
struct OfRun {
    id: RunId,
}

impl Message {
    /// A message as Lambda hands it over.
    pub(crate) fn of(message: SqsMessage) -> Self {
        let body = message.body.unwrap_or_default();
        let number = |name: &str| -> Option<i64> { message.attributes.get(name)?.parse().ok() };
        let receives = number("ApproximateReceiveCount").and_then(|count| count.try_into().ok());
        Self {
            id: message.message_id.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
            run: serde_json::from_str::<BusEvent>(&body)
                .ok()
                .map(|event| event.detail.run.id),
            receives: receives.unwrap_or(1),
            sent: number("SentTimestamp").and_then(|sent| Timestamp::from_millisecond(sent).ok()),
            body,
        }
    }

    /// How long it has been on its way.
    pub(crate) fn age(&self, now: Timestamp) -> SignedDuration {
        self.sent
            .map_or(SignedDuration::ZERO, |sent| now.duration_since(sent))
    }

    /// How long to wait until it comes again: longer each time, as long as Azure DevOps asks for at least; and a part more, so
    /// that what failed together does not come together.
    ///
    /// Not as short as Azure DevOps allows: a queue brings a message only so many times before it takes it for dead.
    pub(crate) fn wait(&self, asked: Option<u32>) -> Duration {
        let doublings = self.receives.saturating_sub(1).min(16);
        let own = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
        let asked = Duration::from_secs(asked.unwrap_or_default().into()).min(LONGEST_ASKED);
        let wait = own.max(asked);
        let mut hasher = DefaultHasher::new();
        (&self.id, self.receives).hash(&mut hasher);
        let part = u32::try_from(hasher.finish() % 256).unwrap_or_default();
        wait + wait.mul_f64(f64::from(part) / 1_024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str, receives: u32) -> Message {
        let message = serde_json::json!({
            "messageId": "m", "receiptHandle": "r", "body": body, "messageAttributes": {},
            "attributes": { "ApproximateReceiveCount": receives.to_string(), "SentTimestamp": "1000" },
        });
        Message::of(serde_json::from_value(message).unwrap())
    }

    #[test]
    fn a_message_names_its_run_whatever_else_it_says() {
        let body = r#"{"detail-type":"x","detail":{"run":{"id":"56e81d32-b0e8-44e2-a92a-55eb7b6ccdce","more":1}}}"#;
        assert!(message(body, 1).run.is_some());
        for body in ["", "{", "{}", r#"{"detail":{"run":{"id":"1"}}}"#] {
            assert!(message(body, 1).run.is_none(), "{body}");
        }
    }

    #[test]
    fn it_waits_twice_as_long_each_time_up_to_a_quarter_of_an_hour() {
        for (receives, least) in [(1, 15), (2, 30), (3, 60), (6, 480), (7, 900), (1_000, 900)] {
            let wait = message("", receives).wait(None);
            let least = Duration::from_secs(least);
            assert!(
                least <= wait && wait < least.mul_f64(1.25),
                "{receives}: {wait:?}"
            );
        }
    }

    #[test]
    fn it_waits_as_long_as_azure_devops_asks_for_at_least_and_an_hour_at_most() {
        for (asked, least) in [(0, 60), (7, 60), (1_200, 1_200), (1_000_000, 3_600)] {
            let wait = message("", 3).wait(Some(asked));
            let least = Duration::from_secs(least);
            assert!(
                least <= wait && wait <= least.mul_f64(1.25),
                "{asked}: {wait:?}"
            );
        }
    }

    #[test]
    fn its_age_is_counted_from_when_it_was_sent_first() {
        let now = Timestamp::from_millisecond(61_000).unwrap();
        assert_eq!(message("", 5).age(now), SignedDuration::from_mins(1));
    }
}
