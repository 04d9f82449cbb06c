//! What a day with troubles costs, with Stackhook and with a receiver that answers as others do.
//!
//! One schedule of a team's work and of troubles that happen to everybody is played by the simulator of Azure DevOps against each.
//! It follows from a seed, so that whatever differs is the receivers'.

mod peer;
mod play;
mod schedule;
mod stackhook;
mod tally;

use anyhow::Result;

use crate::Stack;

pub use play::{RECONCILE_EVERY, relied_on};
pub use schedule::{Happening, Schedule, clock};
pub use tally::{Passes, Tally, table};

/// Plays a schedule against the real functions on the scratch tables of a stack.
///
/// With `is_cared_for` Stackhook has made its hooks itself, and `reconcile` is called every quarter of an hour; without it people have made them, and nobody looks for what is lost.
///
/// # Errors
///
/// Where the bench itself fails; what is lost is no error.
pub async fn with_stackhook(
    stack: &Stack,
    schedule: &Schedule,
    is_cared_for: bool,
) -> Result<Tally> {
    play::play(schedule, async |azure_devops| {
        stackhook::Stackhook::start(stack, azure_devops, is_cared_for).await
    })
    .await
}

/// Plays a schedule against a receiver that answers as others do.
///
/// # Errors
///
/// Where the bench itself fails.
pub async fn with_a_peer(schedule: &Schedule) -> Result<Tally> {
    play::play(schedule, async |_azure_devops| peer::Peer::start().await).await
}
