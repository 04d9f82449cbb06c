//! DynamoDB and nothing else: what is kept, under which keys, and every way it is read and written.
//! It decides nothing about what it keeps; a condition that fails is an outcome here, never an error.
//!
//! | pattern | method | table or index | key |
//! |---|---|---|---|
//! | what a delivery is authenticated against | [`Store::webhook_record`] | integrations | name, `integration`; consistent |
//! | one integration | [`Store::integration`] | integrations | name, `integration`; consistent |
//! | all integrations by name, one of them | [`Store::integrations`], [`Store::listed_integration`] | integrations / `directory` | `integration`, name |
//! | begin to set up, activate, give up | [`Store::claim`], [`Store::activate`], [`Store::abandon`] | integrations | conditional |
//! | how a connection went | [`Store::record_connection`] | integrations | conditional |
//! | begin and finish unlinking | [`Store::begin_unlink`], [`Store::finish_unlink`] | integrations | conditional |
//! | store a delivery once | [`Store::record_delivery`] | events | conditional put, or one transaction with its parts |
//! | what was created on one day | [`Store::heads_of_day`] | events | `<name>#<day>#<shard>`, 8 queries at once |
//! | several deliveries whole, one whole | [`Store::deliveries`], [`Store::delivery`] | events | the delivery's keys |
//!
//! Keys, indexes and what they are made of are spelled in [`keys`] alone, the form of a stored body in [`body`], the further
//! attributes of an item beside the methods that use them.

pub mod body;
mod events;
mod integrations;
pub mod keys;
mod lifecycle;

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
};

pub use events::{
    Delivery, DeliveryHead, DeliveryKind, LARGEST_BODY, NewDelivery, OVERSIZE_HEAD, Recorded,
};
pub use integrations::{DirectoryPage, WebhookRecord};
pub use keys::DeliveryId;
pub use lifecycle::{Activated, Begun, Claim, Claimed, Finished};

/// How long one try may take. DynamoDB answers in single-digit milliseconds; what takes longer is lost.
const ATTEMPT: Duration = Duration::from_millis(1_400);
/// How long a call may take with its retries: below the 5 s in which the webhook must have answered.
const OPERATION: Duration = Duration::from_secs(4);

/// The names of the tables, as the function's environment gives them.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Integrations and their tombstones.
    pub integrations: String,
    /// Deliveries.
    pub events: String,
}

/// What is kept, in DynamoDB.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    tables: Tables,
}

/// Why the store could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB could not be reached, was too slow, throttled, or failed: trying again later may help.
    #[error("DynamoDB is unavailable while trying to {doing}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// What the SDK says of it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// DynamoDB refuses this very request and would refuse it again.
    #[error("DynamoDB refuses to {doing}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// What the SDK says of it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// DynamoDB went on leaving something undone.
    #[error("DynamoDB throttles while trying to {0}")]
    Throttled(&'static str),
    /// What is stored cannot be read any more.
    #[error("an item cannot be read: {0}")]
    Unreadable(String),
}

impl StoreError {
    fn from_sdk<E>(doing: &'static str, error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let refused = error
            .as_service_error()
            .and_then(ProvideErrorMetadata::code)
            == Some("ValidationException");
        let source = Box::new(error);
        if refused {
            Self::Refused { doing, source }
        } else {
            Self::Unavailable { doing, source }
        }
    }
}

impl Store {
    /// A store on the tables, with the time limits that a caller waiting for an answer needs.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, tables: Tables) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(3)
            .with_initial_backoff(Duration::from_millis(100));
        let config = aws_sdk_dynamodb::config::Builder::from(config)
            .timeout_config(timeouts)
            .retry_config(retries)
            .build();
        Self {
            client: Client::from_conf(config),
            tables,
        }
    }
}
