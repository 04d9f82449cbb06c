//! How tests and the demo reach a local stack: its addresses, calls signed as an operator signs them, deliveries as
//! Azure DevOps sends them, and the people at the simulator's portal.
//!
//! It knows nothing of how the functions work.

pub mod executor;
pub mod portal;
pub mod stack;

pub use executor::Executor;
pub use portal::Portal;
pub use stack::{Answer, Function, Stack};
