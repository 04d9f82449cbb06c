//! What every function does at its rim: configuration, logs, the Lambda runtime, HTTP in and out, and problems.
//! It knows nothing of integrations, deliveries or Azure DevOps.

pub mod config;
pub mod http;
pub mod problem;
mod runtime;

pub use problem::{Problem, ProblemKind};
pub use runtime::{aws, init_logs, log_to, serve, serve_events, serve_until, time_left};
