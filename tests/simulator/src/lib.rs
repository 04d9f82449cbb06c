//! A simulator of Azure DevOps: its REST API as far as Stackhook uses it, its service hooks with their retries, and the people who push.
//!
//! It shares no type with the product: what it answers and sends is built from `facts/azure-devops.md` and Microsoft's `OpenAPI` documents alone,
//! so that a misunderstanding on one side does not repeat itself on the other. What is only assumed is a switch (`assumptions.rs`).
//!
//! `README.md` beside this crate has the control API: how a test pushes, opens pull requests, switches faults on and looks at what was sent.

mod api;
mod assumptions;
mod clock;
mod control;
mod developer;
mod events;
mod faults;
mod ids;
mod listener;
mod outgoing;
mod publish;
mod records;
mod reply;
mod request;
mod sender;
mod server;
mod shared;
mod state;
mod subscription_state;
mod views;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use api::routes::ROUTES;
pub use records::{RecordedDelivery, RecordedRequest};
use shared::Shared;

/// How a simulator is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// How many simulated seconds of waiting pass in a real one. Retries wait on this clock.
    pub time_scale: f64,
    /// Time between a deed and the `createdDate` of its event: about 7 s on the real service, nothing here, so that demos are quick.
    pub publish_lag: Duration,
    /// After this a delivery without an answer counts as failed. The real one is unknown.
    pub delivery_timeout: Duration,
    /// How many requests and deliveries are kept.
    pub keep_records: usize,
    /// The address that is written into payloads and answers, if not the simulator's own.
    pub public_url: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            time_scale: 1.0,
            publish_lag: Duration::ZERO,
            delivery_timeout: Duration::from_secs(20),
            keep_records: 10_000,
            public_url: None,
        }
    }
}

/// Why a simulator could not be started.
#[derive(Error, Debug)]
pub enum StartError {
    /// The port is taken, or not ours to take.
    #[error("the simulator cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// What the system says.
        source: std::io::Error,
    },
    /// The sender's HTTP client could not be made.
    #[error("the simulator's HTTP client cannot be made")]
    Client(#[from] reqwest::Error),
}

/// What is written to the ready file: where the simulator is, and the tokens it takes.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// The simulator's address.
    pub url: String,
    /// The organization that tests and demos use.
    pub organization_url: String,
    /// A token that may do everything in it: the same as `tokens.good`.
    pub personal_access_token: String,
    /// A token of each kind; the README says what each is for.
    pub tokens: BTreeMap<&'static str, String>,
}

/// Starts simulators.
#[derive(Debug)]
pub struct Simulator;

impl Simulator {
    /// Starts one with the default world. It listens when this returns.
    ///
    /// # Errors
    ///
    /// When the port cannot be had.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let port = config.port;
        let listen = |source| StartError::Listen { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(listen)?;
        let address: SocketAddr = listener.local_addr().map_err(listen)?;
        let client = reqwest::Client::builder()
            .user_agent(sender::USER_AGENT)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(config.delivery_timeout)
            .build()?;
        let shared = Arc::new(Shared::new(config, format!("http://{address}"), client));
        let (stop, stopped) = oneshot::channel::<()>();
        let service = server::router(Arc::clone(&shared))
            .into_make_service_with_connect_info::<listener::Cutter>();
        tokio::spawn(async move {
            let serving = axum::serve(listener::CuttableListener(listener), service);
            // Whichever way the sender goes, dropped or used, it is time to stop.
            let until = async {
                let _ = stopped.await;
            };
            if let Err(error) = serving.with_graceful_shutdown(until).await {
                tracing::error!(%error, "the simulator stopped serving");
            }
        });
        Ok(Running {
            shared,
            _stop: stop,
        })
    }
}

/// A simulator that runs, until this is dropped.
pub struct Running {
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Running")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
    }
}

impl Running {
    /// The simulator's address, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.shared.base
    }

    /// The address of the organization `tidewater`.
    pub fn organization_url(&self) -> String {
        format!("{}/{}", self.shared.base, state::seed::MAIN)
    }

    /// A token of this kind (`good`, `expired`, …); empty when there is no such kind.
    pub fn token(&self, kind: &str) -> &str {
        self.shared
            .tokens
            .all()
            .get(kind)
            .map_or("", String::as_str)
    }

    /// All of it, as the ready file has it.
    pub fn ready(&self) -> Ready {
        Ready {
            url: self.url().to_owned(),
            organization_url: self.organization_url(),
            personal_access_token: self.token("good").to_owned(),
            tokens: self.shared.tokens.all().clone(),
        }
    }

    /// The REST requests that came in, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared
            .peek(|world| world.records.requests.iter().cloned().collect())
    }

    /// Every attempt to deliver a notification, oldest first.
    pub fn deliveries(&self) -> Vec<RecordedDelivery> {
        self.shared
            .peek(|world| world.records.deliveries.iter().cloned().collect())
    }

    /// Sets how many simulated seconds of waiting pass in a real one.
    pub fn set_time_scale(&self, scale: f64) {
        self.shared.clock.set_scale(scale);
    }

    /// Waits until no delivery is queued, on the wire or waiting for a quick retry. False when that takes longer than this.
    pub async fn settle(&self, at_most: Duration) -> bool {
        control::settle::settled(&self.shared, at_most, false).await
    }

    /// Ends it. Dropping does the same.
    pub fn shutdown(self) {}
}
