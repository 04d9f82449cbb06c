//! The words of Stackhook as types: integrations, organizations, passwords, events, and what they say in plain words.
//! It never knows AWS, HTTP, JSON or the clock: time and ids are arguments.
//!
//! | module | owns |
//! |---|---|
//! | [`ids`] | [`IntegrationName`], which the webhook endpoint is built from, [`StackName`], and Azure DevOps' own ids |
//! | [`organization`] | which organization URLs are accepted, and the one canonical organization they become |
//! | [`integration`] | an [`Integration`] and its [`Status`] |
//! | [`stack`] | a [`Stack`], which follows a repository: project root, globs, branch |
//! | [`labels`] | words to find things by |
//! | [`credential`] | the secrets, which do not show themselves |
//! | [`password`] | digests of webhook passwords, and the constant-time question whether one matches |
//! | [`event`] | what a service hook tells: pushes, pull requests, comments |
//! | [`summary`] | an event in words |

pub mod credential;
pub mod event;
pub mod ids;
pub mod integration;
pub mod labels;
pub mod organization;
pub mod password;
pub mod stack;
pub mod summary;

pub use credential::{Credential, PersonalAccessToken, WebhookPassword};
pub use event::{Event, EventType};
pub use ids::{Guid, IntegrationName, StackName};
pub use integration::{Connection, Integration, Status};
pub use labels::Labels;
pub use organization::{Organization, OrganizationName};
pub use password::PasswordDigest;
pub use stack::{Branch, PathGlob, PathGlobs, ProjectRoot, Stack, StackKind};
