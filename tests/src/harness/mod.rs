//! The real `webhook` as the Lambda service runs it: a [`Fleet`] of processes behind a function URL, and a [`Tap`] on their line
//! to the local AWS. Each part of it can be made to fail.
//!
//! It knows of the function its name, its environment variables and its time-out, and nothing of how it works.

pub mod answer;
mod api_faults;
pub mod aws_stub;
mod environment;
mod fleet;
mod function_url;
mod program;
mod runtime_api;
mod tap;

pub use api_faults::{ApiFault, ApiFaults};
pub use aws_stub::AwsStub;
pub use environment::Outcome;
pub use fleet::{Fleet, FleetOptions};
pub use function_url::event;
pub use program::{MEMORY, TIMEOUT};
pub use tap::{Fate, Tap};
