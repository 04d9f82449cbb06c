//! How tests, the demo and the benches reach a local stack: its addresses, calls signed as an operator signs them, deliveries as
//! Azure DevOps sends them, the people at the simulator's portal, and functions that run in process or under a harness.
//!
//! What it knows of how the functions work is how each is started.

pub mod executor;
pub mod harness;
pub mod in_process;
pub mod loss;
pub mod portal;
pub mod stack;

pub use executor::Executor;
pub use portal::Portal;
pub use stack::{Answer, Function, Keys, Stack};
