//! What nobody else sees to, on a schedule: the health of service hooks, tokens that end, deliveries that were never dispatched,
//! and events that never reached us.
//!
//! Each integration has its own pass, bounded in time and in calls of Azure DevOps, one call at a time; what does not fit goes
//! on in the next one. One integration in trouble does not hold up another.

use std::time::Duration;

use ado::Ado;
use bus::Bus;
use edge::config;
use jiff::{SignedDuration, Timestamp};
use queues::Queue;
use secrets::Secrets;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Store, Tables};

/// How long an answer of Azure DevOps is waited for: it delays callers for up to 30 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// The function with what it keeps between invocations.
#[derive(Debug)]
#[expect(dead_code, reason = "the parts of a pass follow")]
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
        /// What CloudWatch tells of it.
        #[serde(rename = "detail-type")]
        detail_type: String,
    },
    /// The schedule, whatever it sends.
    Scheduled(Value),
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
        };
        Ok(Self {
            store: Store::new(&aws, tables),
            // It removes no secret.
            secrets: Secrets::new(&aws, config::required("SECRET_PREFIX")?, 0),
            ado: Ado::with_patience(PATIENCE)?,
            bus: Bus::new(&aws, config::required("EVENT_BUS_NAME")?),
            dispatch: Queue::new(&aws, config::required("DISPATCH_QUEUE_URL")?),
            settings,
        })
    }

    /// One pass over all integrations, in `time`; gives what it did, for whoever invoked it by hand.
    pub async fn handle(&self, _trigger: Trigger, _time: Duration) -> Value {
        json!({ "integrations": 0 })
    }
}
