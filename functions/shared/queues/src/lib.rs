//! SQS and nothing else: what is put off until later, and how long.
//! It never decides what is put off, nor knows what a message is about beyond its form.

use std::time::Duration;

use aws_sdk_sqs::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    error::DisplayErrorContext,
};
use domain::{IntegrationName, run::Rerun};
use serde::{Deserialize, Serialize};
use store::DeliveryId;

/// SQS delays a message for no longer than this.
pub const LONGEST_DELAY: Duration = Duration::from_secs(900);
/// How long a call may take with its retries.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// What `dispatch` is asked to do outside its stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Later {
    /// Dispatch a delivery that could not be dispatched at once.
    #[serde(rename_all = "camelCase")]
    Delivery {
        /// Its id.
        delivery: String,
        /// How often it was put off before.
        tries: u32,
        /// Whether somebody has asked for it anew: what is decided now counts then, whatever was before.
        #[serde(default)]
        again: bool,
        /// Who asks for new runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rerun: Option<Rerun>,
    },
    /// Dispatch what is parked of an integration: its token is a new one, or works again.
    Unpark {
        /// The integration.
        integration: IntegrationName,
        /// Whether this is the second look, for what the index did not show at the first.
        #[serde(default)]
        second: bool,
    },
}

impl Later {
    /// A delivery, put off for the `tries`th time.
    #[must_use]
    pub fn delivery(id: &DeliveryId, tries: u32, again: bool) -> Self {
        Self::Delivery {
            delivery: id.to_string(),
            tries,
            again,
            rerun: None,
        }
    }

    /// A delivery of which somebody asks for new runs, put off for the `tries`th time.
    #[must_use]
    pub fn rerun(id: &DeliveryId, tries: u32, rerun: Rerun) -> Self {
        Self::Delivery {
            delivery: id.to_string(),
            tries,
            again: true,
            rerun: Some(rerun),
        }
    }

    /// What is parked of an integration.
    #[must_use]
    pub fn unpark(integration: &IntegrationName) -> Self {
        Self::Unpark {
            integration: integration.clone(),
            second: false,
        }
    }
}

/// Why a message could not be sent, or its time not be changed.
#[derive(Debug, thiserror::Error)]
#[error("SQS could not {doing}: {cause}")]
pub struct QueueError {
    doing: &'static str,
    cause: String,
}

/// One queue.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    /// The queue at `url`.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, url: String) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(Duration::from_secs(3))
            .operation_timeout(PATIENCE)
            .build();
        let config = aws_sdk_sqs::config::Builder::from(config)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard())
            .build();
        Self {
            client: Client::from_conf(config),
            url,
        }
    }

    /// Sends what `dispatch` is to do, to be received after `delay`.
    ///
    /// # Errors
    ///
    /// [`QueueError`] where it may or may not be sent.
    pub async fn put_off(&self, later: &Later, delay: Duration) -> Result<(), QueueError> {
        let body = serde_json::to_string(later).map_err(|error| QueueError {
            doing: "send a message",
            cause: error.to_string(),
        })?;
        self.send(body, delay).await
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`QueueError`] where it may or may not be sent.
    pub async fn send(&self, body: String, delay: Duration) -> Result<(), QueueError> {
        let sent = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .delay_seconds(seconds(delay.min(LONGEST_DELAY)))
            .send()
            .await;
        sent.map(drop).map_err(|error| QueueError {
            doing: "send a message",
            cause: DisplayErrorContext(error).to_string(),
        })
    }

    /// Lets a received message come again after `wait`, and not before.
    ///
    /// # Errors
    ///
    /// [`QueueError`]; it comes again when the queue's own time is over, then.
    pub async fn come_again(&self, receipt: &str, wait: Duration) -> Result<(), QueueError> {
        let changed = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt)
            .visibility_timeout(seconds(wait))
            .send()
            .await;
        changed.map(drop).map_err(|error| QueueError {
            doing: "change when a message comes again",
            cause: DisplayErrorContext(error).to_string(),
        })
    }
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_new_runs_reads_as_it_was_written_also_by_an_earlier_version() {
        let of = |rerun| Later::Delivery {
            delivery: "d".to_owned(),
            tries: 1,
            again: true,
            rerun: Some(rerun),
        };
        let wish = Rerun::Wish {
            redelivery: 2,
            wish: "outage-3".to_owned(),
        };
        for rerun in [Rerun::Redelivery(2), wish] {
            assert_eq!(rerun.redelivery(), 2);
            let text = serde_json::to_string(&of(rerun.clone())).unwrap();
            assert_eq!(serde_json::from_str::<Later>(&text).unwrap(), of(rerun));
        }
        let before = r#"{"kind":"delivery","delivery":"d","tries":1,"again":true,"rerun":2}"#;
        let read = serde_json::from_str::<Later>(before).unwrap();
        assert_eq!(read, of(Rerun::Redelivery(2)));
    }

    #[test]
    fn what_is_put_off_reads_as_it_was_written() {
        let unpark = Later::unpark(&"acme".parse().unwrap());
        let text = serde_json::to_string(&unpark).unwrap();
        assert_eq!(serde_json::from_str::<Later>(&text).unwrap(), unpark);
        let short = r#"{"kind":"unpark","integration":"acme"}"#;
        assert_eq!(serde_json::from_str::<Later>(short).unwrap(), unpark);
    }
}
