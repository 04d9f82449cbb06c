//! What nobody else sees to, on a schedule: the health of service hooks, tokens that end, deliveries that were never dispatched,
//! and events that never reached us.
//!
//! Each integration has a pass of its own, bounded in time and in calls of Azure DevOps, one call at a time; what does not fit
//! goes on in the next one. One integration in trouble does not hold up another.
//!
//! | step | module |
//! |---|---|
//! | one integration's pass: the order of the steps, and what stops them | `pass.rs` |
//! | deliveries without an outcome, integrations gone silent, tokens that end | `forgotten.rs`, `warnings.rs` |
//! | whether the connection works | `connected.rs` |
//! | service hooks: looked at, mended, told of | `health.rs`, `mending.rs` |
//! | failed notifications out of Azure DevOps' history | `history.rs` |
//! | pushes and pull requests that nobody has seen | `compare.rs`, `pushes.rs`, `pull_requests.rs`; the deliveries that are made of them, `recovered.rs` |

mod compare;
mod connected;
mod forgotten;
mod health;
mod history;
mod mending;
mod pass;
mod pull_requests;
mod pushes;
mod recovered;
mod warnings;

use std::time::{Duration, Instant};

use ado::Ado;
use bus::Bus;
use domain::{Integration, IntegrationName, Status};
use edge::config;
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use queues::Queue;
use secrets::Secrets;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Store, StoreError, Tables};

/// How long an answer of Azure DevOps is waited for: it delays callers for up to 30 s.
const PATIENCE: Duration = Duration::from_secs(40);
/// How many integrations are seen to at once; each has one call of Azure DevOps under way.
const AT_A_TIME: usize = 8;
/// The longest pass over one integration, so that others have their turn in the same invocation. Where the schedule is quicker, the
/// next pass over it does nothing while this one is under way.
const LONGEST_PASS: Duration = Duration::from_secs(240);
/// What an invocation keeps of its time for what follows the passes.
const KEPT: Duration = Duration::from_secs(20);
/// How many integrations are listed at once.
const PAGE: i32 = 100;

/// The function with what it keeps between invocations.
#[derive(Debug)]
pub struct App {
    store: Store,
    secrets: Secrets,
    ado: Ado,
    bus: Bus,
    /// Where deliveries are put that are to be dispatched.
    dispatch: Queue,
    settings: Settings,
}

/// What a deployer decides, and where things are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where Azure DevOps is called.
    pub azure_devops_url: String,
    /// The webhook function's URL, to which an integration's name is appended.
    pub webhook_url: String,
    /// How long a delivery is kept.
    pub retention: SignedDuration,
    /// Whether service hooks are mended.
    pub mends: bool,
    /// The most calls of Azure DevOps that a pass makes for one integration.
    pub most_calls: u32,
    /// For how long an event may be on its way: what is younger is not missed yet. Azure DevOps publishes within seconds and tries
    /// again for 183 s (facts 3.1).
    pub in_flight: SignedDuration,
    /// For how long a delivery may be without an outcome before it counts as forgotten.
    pub undecided: SignedDuration,
}

/// What the function is called with.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Trigger {
    /// An alarm of ours changed its state (EventBridge, `CloudWatch Alarm State Change`): `webhook` could not store, or was
    /// throttled, at about that time.
    Trouble {
        /// When.
        time: Timestamp,
        /// What CloudWatch tells.
        #[serde(rename = "detail-type")]
        detail_type: AlarmChange,
    },
    /// The schedule, or a person, whatever it sends.
    Scheduled(Value),
}

/// The `detail-type` of an alarm's change.
#[derive(Clone, Copy, Debug, Deserialize)]
pub enum AlarmChange {
    /// As CloudWatch spells it.
    #[serde(rename = "CloudWatch Alarm State Change")]
    StateChange,
}

/// Why an invocation counts as failed.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// Which integrations there are is not known.
    #[error("the integrations cannot be listed")]
    Listing(#[from] StoreError),
    /// So many could not be begun with.
    #[error("{0} integrations could not be seen to; the log says which")]
    Some(usize),
}

impl Trigger {
    /// When `webhook` had trouble, if that is what it is about.
    fn trouble(&self) -> Option<Timestamp> {
        match self {
            Self::Trouble { time, .. } => Some(*time),
            Self::Scheduled(_) => None,
        }
    }
}

impl App {
    /// The function as its environment configures it.
    ///
    /// # Errors
    ///
    /// [`config::ConfigError`], which names the variable, or why no client of Azure DevOps can be made.
    pub async fn from_env() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let aws = edge::aws().await;
        let tables = Tables {
            integrations: config::required("INTEGRATIONS_TABLE")?,
            events: config::required("EVENTS_TABLE")?,
            stacks: config::required("STACKS_TABLE")?,
        };
        let days: i64 = config::required("EVENT_RETENTION_DAYS")?;
        let settings = Settings {
            azure_devops_url: config::required("AZURE_DEVOPS_URL")?,
            webhook_url: config::required("WEBHOOK_URL")?,
            retention: SignedDuration::from_hours(days * 24),
            mends: config::required("MEND_SERVICE_HOOKS")?,
            most_calls: config::required("CALLS_PER_PASS")?,
            in_flight: SignedDuration::from_secs(config::required("IN_FLIGHT_SECONDS")?),
            undecided: SignedDuration::from_secs(config::required("UNDECIDED_SECONDS")?),
        };
        // It removes no secret.
        let secrets = Secrets::new(&aws, config::required("SECRET_PREFIX")?, 0);
        let bus = Bus::new(&aws, config::required("EVENT_BUS_NAME")?);
        let dispatch = Queue::new(&aws, config::required("DISPATCH_QUEUE_URL")?);
        let store = Store::new(&aws, tables);
        let ado = Ado::with_patience(PATIENCE)?;
        Ok(Self::new(store, secrets, ado, (bus, dispatch), settings))
    }

    /// The function on its parts: of the two it tells things to, the bus and the queue of `dispatch`.
    #[must_use]
    pub fn new(
        store: Store,
        secrets: Secrets,
        ado: Ado,
        (bus, dispatch): (Bus, Queue),
        settings: Settings,
    ) -> Self {
        Self {
            store,
            secrets,
            ado,
            bus,
            dispatch,
            settings,
        }
    }

    /// One pass over all integrations, in `time`; gives what it did, for whoever invoked it by hand.
    ///
    /// # Errors
    ///
    /// As [`App::pass`].
    #[expect(
        clippy::disallowed_methods,
        reason = "a pass begins now, and nothing below asks the clock"
    )]
    pub async fn handle(&self, trigger: Trigger, time: Duration) -> Result<Value, PassError> {
        self.pass(trigger, time, Timestamp::now()).await
    }

    /// The same at a given moment.
    ///
    /// # Errors
    ///
    /// [`PassError`] where some integration could not even be begun with: then the service calls up to twice more, and the alarms tell.
    pub async fn pass(
        &self,
        trigger: Trigger,
        time: Duration,
        now: Timestamp,
    ) -> Result<Value, PassError> {
        let began = Instant::now();
        let end = began + time.saturating_sub(KEPT);
        let integrations = self.integrations().await.inspect_err(|error| {
            let cause = edge::problem::chain(error);
            tracing::error!(cause, "the integrations cannot be listed");
        })?;
        let trouble = trigger.trouble();
        let passes = stream::iter(integrations).map(async |integration: Integration| {
            let left = end.saturating_duration_since(Instant::now());
            // Its turn may come minutes later than the invocation: until when it is this one's alone is counted from then.
            let now = now + began.elapsed();
            self.one(&integration, trouble, left, now).await
        });
        let did: Vec<Result<Option<Value>, StoreError>> =
            passes.buffer_unordered(AT_A_TIME).collect().await;
        let failed = did.iter().filter(|did| did.is_err()).count();
        if failed > 0 {
            return Err(PassError::Some(failed));
        }
        let did: Vec<Value> = did.into_iter().flatten().flatten().collect();
        Ok(json!({ "integrations": did }))
    }

    /// A pass over one integration, wherever it is in the list; `None` where there was none: it is not active, or somebody else's
    /// turn.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it could not even be begun with.
    pub async fn pass_over(
        &self,
        name: &IntegrationName,
        trigger: Trigger,
        time: Duration,
        now: Timestamp,
    ) -> Result<Option<Value>, StoreError> {
        let integration = self.store.integration(name).await?;
        match integration.filter(|it| it.status == Status::Active) {
            Some(integration) => self.one(&integration, trigger.trouble(), time, now).await,
            None => Ok(None),
        }
    }

    async fn one(
        &self,
        integration: &Integration,
        trouble: Option<Timestamp>,
        left: Duration,
        now: Timestamp,
    ) -> Result<Option<Value>, StoreError> {
        let name = integration.name.as_str();
        let begun = async {
            if let Some(at) = trouble {
                self.store.note_trouble(&integration.name, at).await?;
            }
            if left.is_zero() {
                tracing::warn!(
                    integration = name,
                    "no time is left; the next pass begins elsewhere"
                );
                return Ok(None);
            }
            pass::over(self, integration, left.min(LONGEST_PASS), now).await
        };
        begun.await.inspect_err(|error| {
            let cause = edge::problem::chain(error);
            tracing::error!(integration = name, cause, "a pass cannot begin");
        })
    }

    /// The URL that Azure DevOps was given.
    fn endpoint(&self, integration: &Integration) -> String {
        let url = self.settings.webhook_url.trim_end_matches('/');
        format!("{url}/{}", integration.name)
    }

    /// The active integrations, from any of them on, so that where time is short not the same ones go without each time.
    async fn integrations(&self) -> Result<Vec<Integration>, StoreError> {
        let (mut active, mut after, mut unreadable) = (Vec::new(), None, 0);
        loop {
            let page = self.store.integrations(after.as_ref(), PAGE).await?;
            let of_page = page.integrations.into_iter();
            active.extend(of_page.filter(|it| it.status == Status::Active));
            unreadable += page.unreadable;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if unreadable > 0 {
            tracing::error!(unreadable, "integrations that this version cannot read");
        }
        let any = uuid::Uuid::new_v4().as_u128();
        let first = u128::try_from(active.len())
            .ok()
            .and_then(|count| any.checked_rem(count));
        active.rotate_left(
            first
                .and_then(|it| usize::try_from(it).ok())
                .unwrap_or_default(),
        );
        Ok(active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_told_from_the_schedule() {
        let alarm = json!({
            "version": "0", "source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change",
            "time": "2026-11-25T08:00:00Z", "detail": { "state": { "value": "ALARM" } },
        });
        let read: Trigger = serde_json::from_value(alarm).unwrap();
        assert!(matches!(read, Trigger::Trouble { .. }));
        for other in [
            json!({}),
            json!(null),
            json!({ "time": "2026-11-25T08:00:00Z", "detail-type": "Scheduled Event" }),
        ] {
            let read: Trigger = serde_json::from_value(other).unwrap();
            assert!(matches!(read, Trigger::Scheduled(_)));
        }
    }
}
