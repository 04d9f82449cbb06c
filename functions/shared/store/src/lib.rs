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
//! | take and end a lease, change what is told | [`Store::lease`], [`Store::release`], [`Store::change`] | integrations | conditional |
//! | begin and end a rotation of the password | [`Store::begin_rotation`], [`Store::end_rotation`] | integrations | conditional |
//! | begin and finish unlinking | [`Store::begin_unlink`], [`Store::finish_unlink`] | integrations | conditional |
//! | one stack | [`Store::stack`] | stacks | `stack#<name>`, `stack`; consistent |
//! | several stacks as they are now | [`Store::stacks_now`] | stacks | a batch of keys; consistent |
//! | all stacks by name | [`Store::stacks`] | stacks / `directory` | `stack`, `stack#<name>` |
//! | create, change, delete a stack | [`Store::create_stack`], [`Store::change_stack`], [`Store::delete_stack`] | stacks | the first two conditional |
//! | the stacks of an integration, detach one | [`Store::stacks_of`], [`Store::detach`] | stacks / `followers` | name; conditional |
//! | what follows a repository | [`Store::followers`] | stacks / `followers` | name, `<repository>#`; one query |
//! | write runs, each once and in order | [`Store::add_runs`] | stacks | transactions of up to 100 actions, conditional |
//! | one run, what was reported of it | [`Store::run`], [`Store::report_of`] | stacks | `run#<id>`, `run` or `report`; consistent |
//! | change a run, cancel one | [`Store::change_run`], [`Store::cancel_run`] | stacks | conditional |
//! | keep what was reported | [`Store::record_report`] | stacks | conditional |
//! | the open runs of an integration, of a pull request | [`Store::open_runs`] | stacks / `open` | name; name, `<repository>#pull-request#<number>#` |
//! | the runs of a stack, all runs, newest first | [`Store::runs`] | stacks / `runs`, `timeline` | stack; month |
//! | the service hooks of an integration, keep one, forget one | [`Store::hooks_of`], [`Store::keep_hook`], [`Store::keep_hook_if_there`], [`Store::forget_hook`] | integrations | name, `service-hook#<id>`; consistent |
//! | how far the care for an integration has got | [`Store::progress`], [`Store::begin_pass`], [`Store::keep_progress`], [`Store::note_trouble`], [`Store::forget_progress`] | integrations | name, `progress`; conditional |
//! | all stacks of an integration | [`Store::linked`] | stacks / `followers` | name |
//! | what was seen of a repository's pushes and pull requests | [`Store::saw_push`], [`Store::pushes_seen`], [`Store::saw_pull_request`], [`Store::begin_with_pull_requests`], [`Store::forget_pull_requests`], [`Store::pull_requests_seen`] | stacks | `seen#<name>#<repository>`, `push#…` or `pull-request#…` |
//! | up to where a repository was compared | [`Store::compared`], [`Store::set_compared`] | stacks | `seen#<name>#<repository>`, `compared` |
//! | write what became of a delivery, read it, read several | [`Store::record_outcome`], [`Store::outcome`], [`Store::outcomes`] | events | the delivery's keys and `#outcome` |
//! | what is parked of an integration | [`Store::parked`] | events / `attention` | name, receipt |
//! | ask for a delivery to be dispatched again | [`Store::redeliver`] | events | the delivery's keys and `#redelivery#<n>` |
//! | store a delivery once | [`Store::record_delivery`] | events | conditional put, or one transaction with its parts |
//! | what was created on one day | [`Store::heads_of_day`] | events | `<name>#<day>#<shard>`, 8 queries at once |
//! | what has no outcome | [`Store::undecided`] | events | `<name>#<day>#<shard>`, `createdDate` |
//! | what a person should see of an integration | [`Store::heads_for_attention`] | events / `attention` | name, receipt |
//! | whether anything was received lately | [`Store::has_received_since`] | events | `<name>#<day>#<shard>`, one item |
//! | several deliveries whole, one whole | [`Store::deliveries`], [`Store::delivery`] | events | the delivery's keys |
//!
//! Keys, indexes and what they are made of are spelled in [`keys`] alone, the form of a stored body in [`body`], the further
//! attributes of an item beside the methods that use them.

pub mod body;
mod changes;
mod checksum;
mod events;
mod integrations;
pub mod keys;
mod lifecycle;
mod new_runs;
mod outcomes;
mod runs;
mod seen;
mod service_hooks;
mod stacks;

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
};

pub use changes::{Changed, Changes, Lease, Leased, Under, Unfinished};
pub use events::{
    Delivery, DeliveryHead, DeliveryKind, LARGEST_BODY, NewDelivery, OVERSIZE_HEAD, Recorded,
};
pub use integrations::{DirectoryPage, WebhookRecord};
pub use keys::DeliveryId;
pub use lifecycle::{Activated, Begun, Claim, Claimed, Finished};
pub use new_runs::{Added, NewRun};
pub use outcomes::{
    Asked, AskedAgain, BusEvent, EventsImage, MOST_REDELIVERIES, NewRuns, OutcomeRecord, Parked,
    Redelivery, events_image,
};
pub use runs::{Advanced, OpenOf, Report, RunCursor, RunFilter, RunPage, run_of_image};
pub use seen::{SeenPullRequest, SeenPush};
pub use service_hooks::Begun as BegunPass;
pub use stacks::{Created, Detached, Saved, StackPage};

/// How long one try may take. DynamoDB answers in single-digit milliseconds; what takes longer is lost.
const ATTEMPT: Duration = Duration::from_millis(1_400);
/// How long a call may take with its retries: below the 5 s in which the webhook must have answered.
pub const OPERATION: Duration = Duration::from_secs(4);

/// The codes by which AWS refuses a request for its signature (the common errors of its APIs), whatever it asks for.
const CREDENTIALS: [&str; 7] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// The names of the tables, as the function's environment gives them.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Integrations and their tombstones.
    pub integrations: String,
    /// Deliveries.
    pub events: String,
    /// Stacks and modules.
    pub stacks: String,
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
    /// AWS does not take the function's own credentials: they have expired, or its clock is off. A new instance has new ones.
    #[error("AWS refuses the function's credentials while trying to {doing}")]
    Credentials {
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
        let code = error
            .as_service_error()
            .and_then(ProvideErrorMetadata::code)
            .unwrap_or_default()
            .to_owned();
        let source = Box::new(error);
        match code.as_str() {
            "ValidationException" => Self::Refused { doing, source },
            code if CREDENTIALS.contains(&code) => Self::Credentials { doing, source },
            _ => Self::Unavailable { doing, source },
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
            .interceptor(checksum::Checksum)
            .build();
        Self {
            client: Client::from_conf(config),
            tables,
        }
    }
}
