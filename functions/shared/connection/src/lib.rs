//! From an integration's name to a client of its organization, for the functions that call Azure DevOps while a person waits
//! for the answer; and every refusal on the way, as that person is told it.
//!
//! It joins what may not know each other: the store has the integration, `secrets` the token, `ado` the client, and `edge` the
//! form of a refusal.

pub mod problems;

use ado::{Ado, AdoClient};
use domain::{Integration, IntegrationName, Organization, Status};
use edge::Problem;
use secrets::Secrets;
use store::Store;

/// The integration of that name, as long as it is not unlinked.
///
/// # Errors
///
/// [`problems::no_such_integration`], or a problem of ours.
pub async fn integration(store: &Store, name: &IntegrationName) -> Result<Integration, Problem> {
    let found = store.integration(name).await.map_err(Problem::ours)?;
    found
        .filter(|integration| integration.status != Status::Unlinked)
        .ok_or_else(problems::no_such_integration)
}

/// The integration of that name, as long as it is active.
///
/// # Errors
///
/// As [`integration`]; [`problems::not_active`].
pub async fn active(store: &Store, name: &IntegrationName) -> Result<Integration, Problem> {
    let integration = integration(store, name).await?;
    match integration.status {
        Status::Active => Ok(integration),
        status => Err(problems::not_active(status)),
    }
}

/// A client of an integration's organization, with the token that is kept for it.
///
/// # Errors
///
/// [`problems::of_azure_devops`], or a problem of ours.
pub async fn client(
    ado: &Ado,
    secrets: &Secrets,
    azure_devops_url: &str,
    integration: &Integration,
) -> Result<AdoClient, Problem> {
    let credential = secrets
        .credential(&integration.name)
        .await
        .map_err(Problem::ours)?;
    ado.organization(&organization(azure_devops_url, integration), &credential)
        .map_err(problems::of_azure_devops)
}

/// An integration's organization, where it is called now, whatever the URL was when it was set up.
#[must_use]
pub fn organization(azure_devops_url: &str, integration: &Integration) -> Organization {
    Organization::new(azure_devops_url, integration.organization.name().clone())
}
