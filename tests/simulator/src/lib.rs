//! A simulator of Azure DevOps: its REST API as far as Stackhook uses it, its service hooks with their retries, and the people who push.
//!
//! It shares no type with the product: what it answers and sends is built from `facts/azure-devops.md` and Microsoft's `OpenAPI` documents alone,
//! so that a misunderstanding on one side does not repeat itself on the other. What is only assumed is a switch (`assumptions.rs`).
//!
//! `README.md` beside this crate has the control API: how a test pushes, opens pull requests, switches faults on and looks at what was sent.

mod api;
mod assumptions;
mod changes;
mod clock;
mod control;
mod developer;
mod events;
mod faults;
mod ids;
mod ledger;
mod listener;
mod outgoing;
mod publish;
mod records;
mod reply;
mod request;
mod running;
mod schedule;
mod sender;
mod sending;
mod server;
mod shared;
mod state;
mod subscription_state;
mod views;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use api::routes::ROUTES;
pub use ledger::{EventNotification, Lost, NotificationResult, PublishedEvent};
pub use records::{RecordedDelivery, RecordedRequest};
pub use running::{Ready, Refusal, Running, SubscriptionStatus};
pub use sending::Sending;
use shared::Shared;

/// How a simulator is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// How many simulated seconds pass in a real one: waits and the seven days of history pass on this clock. At 0 it stands still.
    pub time_scale: f64,
    /// Time between a deed and the `createdDate` of its event: about 7 s on the real service, nothing here, so that demos are quick.
    pub publish_lag: Duration,
    /// The sender's faults and its patience, at the start and after a reset.
    pub sending: Sending,
    /// How many requests, deliveries and events are kept.
    pub keep_records: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            time_scale: 1.0,
            publish_lag: Duration::ZERO,
            sending: Sending::default(),
            keep_records: 10_000,
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
    /// Time passes forwards, or not at all.
    #[error("the simulator's clock cannot run at a scale of {0}")]
    Scale(f64),
    /// The sender's HTTP client could not be made.
    #[error("the simulator's HTTP client cannot be made")]
    Client(#[from] reqwest::Error),
}

/// Starts simulators.
#[derive(Debug)]
pub struct Simulator;

impl Simulator {
    /// Starts one with the default world. It listens when this returns.
    ///
    /// # Errors
    ///
    /// When the port cannot be had, or the clock's scale is no scale.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        if !clock::is_scale(config.time_scale) {
            return Err(StartError::Scale(config.time_scale));
        }
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
        tokio::spawn(sender::run(Arc::clone(&shared)));
        Ok(Running::new(shared, stop))
    }
}
