//! The service hooks of a project: the five subscriptions that send its events to our endpoint. How they have to look
//! (`form.rs`), how they are made and mended (`make.rs`), given another password (`password.rs`) and removed (`remove.rs`).
//!
//! It touches no subscription that is not ours by its id, unless it is sent to our endpoint: whoever made that is helped, and
//! Stackhook takes it over. It knows no secret but the password it is given, asks no clock, and leaves it to its caller that
//! nobody else does the same at once: callers hold the integration's lease (`Store::lease`), as for whatever else changes it.
//!
//! Each hook is kept right after the call that made it, and what a caller that was cut off has made is found by its URL: so the
//! same call again finishes the job, at whatever point the one before ended.

mod form;
mod make;
mod password;
mod remove;
mod time;

use ado::AdoError;
use domain::{Guid, summary::plain};
use store::StoreError;

pub use form::{differs, is_ours, wanted};
pub use make::{How, Made, Wanted, make};
pub use password::{Finished, Given, NewPassword, all_have, finish_rotation, give_password, tag};
pub use remove::{Removed, remove};
pub use time::{Late, in_time};

/// How many calls of Azure DevOps are under way at once, where the order does not matter.
pub const AT_A_TIME: usize = 4;

/// Why service hooks could not be made.
#[derive(Debug, thiserror::Error)]
pub enum HooksError {
    /// The token's user may not see or edit subscriptions: a right of its own, which the token's scope does not give (facts 5).
    /// With Azure DevOps' own words, made harmless.
    #[error("the token's user lacks the permission \"Edit subscriptions\": {0}")]
    Denied(String),
    /// The token was good for reading, and is refused for writing: it lacks the scope (facts 7).
    #[error("the token lacks the scope Code (Read & write)")]
    LacksScope,
    /// Azure DevOps could not be asked, or refused for another reason.
    #[error(transparent)]
    AzureDevOps(AdoError),
    /// What is known of the hooks could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HooksError {
    /// Of a call that only reads.
    fn of_reading(error: AdoError) -> Self {
        match error {
            AdoError::Denied(said) => Self::Denied(plain(&said)),
            error => Self::AzureDevOps(error),
        }
    }

    /// Of a call that writes, after one that reads was answered.
    ///
    /// The permission is missed with a 403 as a rule, and has been seen missed with a 400 (facts 5).
    fn of_writing(error: AdoError) -> Self {
        match error {
            AdoError::Refused(said) if said.to_ascii_lowercase().contains("permission") => {
                Self::Denied(plain(&said))
            }
            AdoError::TokenRefused => Self::LacksScope,
            error => Self::of_reading(error),
        }
    }

    /// Whether a person has to give the token or its user a right, or make the hooks by hand.
    #[must_use]
    pub const fn is_about_rights(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::LacksScope)
    }
}

/// A subscription's id; one that is no GUID is nothing that we can keep.
fn id_of(subscription: &ado::Subscription) -> Result<Guid, AdoError> {
    let id = subscription.id.parse();
    id.map_err(|_form| AdoError::Unexpected("a subscription whose id is no GUID".to_owned()))
}

/// What Azure DevOps said, as a person is told it.
fn why(error: &AdoError) -> String {
    plain(&error.to_string())
}
