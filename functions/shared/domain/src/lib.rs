//! The words of Stackhook as types: integrations, organizations, passwords, events, and what they say in plain words.
//! It never knows AWS, HTTP, JSON or the clock: time and ids are arguments.
//!
//! | module | owns |
//! |---|---|
//! | [`ids`] | [`IntegrationName`], which the webhook endpoint is built from, [`StackName`], and Azure DevOps' own ids |
//! | [`organization`] | which organization URLs are accepted, and the one canonical organization they become |
//! | [`integration`] | an [`Integration`] and its [`Status`] |
//! | [`stack`] | a [`Stack`], which follows a repository: project root, globs, branch |
//! | [`touch`] | whether what changed concerns a stack, and why |
//! | [`rules`] | what an event asks of which stack, and why not |
//! | [`compared`] | what is kept of what a delivery changed |
//! | [`foresight`] | what a stack would make of a delivery, by that |
//! | [`run`] | a [`Run`], what makes two runs the same, and the states it goes through |
//! | [`outcome`] | what became of a delivery: a decision for each stack |
//! | [`labels`] | words to find things by |
//! | [`credential`] | the secrets, which do not show themselves |
//! | [`password`] | digests of webhook passwords, and the constant-time question whether one matches |
//! | [`event`] | what a service hook tells: pushes, pull requests, comments |
//! | [`moment()`] | when, as Azure DevOps writes it |
//! | [`summary`] | an event in words |

pub mod compared;
pub mod credential;
pub mod event;
pub mod foresight;
pub mod ids;
pub mod integration;
pub mod labels;
mod moment;
pub mod organization;
pub mod outcome;
pub mod password;
pub mod progress;
pub mod rules;
pub mod run;
pub mod service_hook;
pub mod stack;
pub mod summary;
pub mod touch;

pub use compared::Compared;
pub use credential::{Credential, PersonalAccessToken, WebhookPassword};
pub use event::{Event, EventType};
pub use ids::{Guid, IntegrationName, StackName};
pub use integration::{Connection, Integration, Status};
pub use labels::Labels;
pub use moment::moment;
pub use organization::{Organization, OrganizationName};
pub use outcome::{Outcome, OutcomeWord};
pub use password::PasswordDigest;
pub use progress::Progress;
pub use run::{Run, RunId, RunKind, RunState};
pub use service_hook::{HookStatus, ServiceHook};
pub use stack::{Branch, PathGlob, PathGlobs, ProjectRoot, Stack, StackKind};
pub use touch::Changed;
