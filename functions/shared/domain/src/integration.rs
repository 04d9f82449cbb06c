//! An integration and the states it goes through. Never its secrets.

use std::fmt;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{IntegrationName, Labels, Organization};

/// Where an integration is in its life: pending → active → unlinking → unlinked, and from unlinked to active again when its
/// name is set up anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// Being set up for the first time: it has no password yet, so every delivery is refused.
    Pending,
    /// Deliveries are stored.
    Active,
    /// Unlinking has begun; deliveries are still stored until it has ended.
    Unlinking,
    /// A tombstone: a delivery with the old password is told that the endpoint is gone.
    Unlinked,
}

impl Status {
    /// The word used in answers, logs and the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Unlinking => "unlinking",
            Self::Unlinked => "unlinked",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The link to one Azure DevOps organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// Its name, for ever.
    pub name: IntegrationName,
    /// The organization it is linked to.
    pub organization: Organization,
    /// Where it is in its life.
    pub status: Status,
    /// What a person wrote about it.
    pub description: Option<String>,
    /// Words to find it by.
    pub labels: Labels,
    /// The day the personal access token ends, as a person told it: it cannot be read from Azure DevOps.
    pub token_expires_on: Option<Date>,
    /// The last time the connection was tried, and how it went; `None` while it is pending, and of a tombstone.
    pub connection: Option<Connection>,
    /// When its name was first set up: no delivery of this name is older.
    pub name_since: Timestamp,
    /// When it was set up.
    pub created_at: Timestamp,
    /// When anything about it last changed.
    pub updated_at: Timestamp,
}

/// How the last try of a connection went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Whose token it is, as Azure DevOps shows that person.
    pub connected_as: String,
    /// When it was tried.
    pub checked_at: Timestamp,
    /// Why it failed, in words; `None` where it succeeded.
    pub failure: Option<String>,
}
