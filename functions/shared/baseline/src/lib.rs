//! What stacks have seen of a repository before anything was missed: where comparing it begins.
//!
//! What is there when the first stack begins to follow a repository is no news to it; whatever comes after that, and is not met
//! by a delivery, is missing. It never compares anything.

use std::collections::BTreeMap;

use ado::{AdoClient, AdoError, ListedPullRequest};
use domain::{Guid, IntegrationName};
use jiff::Timestamp;
use store::{SeenPullRequest, Store, StoreError};

/// How many pull requests are asked for at once.
const PAGE: u32 = 100;
/// How many open pull requests of a repository are looked at, at the most.
const MOST_PULL_REQUESTS: u32 = 1_000;

/// Why comparing a repository could not begin.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// Azure DevOps does not tell what is there.
    #[error("what is there in the repository cannot be read")]
    Ado(#[from] AdoError),
    /// It cannot be kept.
    #[error("what is there in the repository cannot be kept")]
    Store(#[from] StoreError),
}

/// Lets comparing a repository begin with what is there now: its newest push, and its active pull requests as they are. As a
/// rule two calls of Azure DevOps.
///
/// Where stacks follow it already, and comparing has begun, nothing is asked and nothing changes. What was begun for stacks that
/// are all gone is begun anew: nobody has looked since. A stack is to be written after this, so that a push in between is found
/// to be missing rather than never missed. The mark that comparing has begun is written last: where that does not happen, it is
/// begun anew the next time.
///
/// # Errors
///
/// [`BaselineError`]: the same call again is safe.
pub async fn begin(
    client: &AdoClient,
    store: &Store,
    integration: &IntegrationName,
    project: &str,
    repository: &Guid,
    now: Timestamp,
) -> Result<(), BaselineError> {
    let has_begun = store.compared(integration, repository).await?.is_some();
    if has_begun && !store.followers(integration, repository).await?.is_empty() {
        return Ok(());
    }
    let pushes = client.pushes(project, repository.as_str(), 1, 0).await?;
    let newest = pushes.first().map_or(0, |push| push.id);
    let open = open(client, project, repository, now).await?;
    if has_begun {
        let seen = store.pull_requests_seen(integration, repository).await?;
        let numbers = seen.into_iter().map(|seen| seen.number);
        let gone: Vec<i64> = numbers
            .filter(|number| !open.contains_key(number))
            .collect();
        store
            .forget_pull_requests(integration, repository, &gone)
            .await?;
    }
    let open: Vec<SeenPullRequest> = open.into_values().collect();
    store
        .begin_with_pull_requests(integration, repository, &open)
        .await?;
    // Of two that begin at the same time, the first one's is the older.
    let is_first = !has_begun;
    store
        .set_compared(integration, repository, newest, is_first, now)
        .await?;
    Ok(())
}

/// The active pull requests of a repository, by number: one that moves while they are paged is met twice.
async fn open(
    client: &AdoClient,
    project: &str,
    repository: &Guid,
    now: Timestamp,
) -> Result<BTreeMap<i64, SeenPullRequest>, AdoError> {
    let mut open = BTreeMap::new();
    let mut skip = 0;
    while skip < MOST_PULL_REQUESTS {
        let page = client
            .pull_requests_of(project, repository.as_str(), "active", PAGE, skip)
            .await?;
        let is_last = page.len() < PAGE as usize;
        let seen = page.into_iter().filter_map(|listed| seen(listed, now));
        open.extend(seen.map(|seen| (seen.number, seen)));
        if is_last {
            break;
        }
        skip += PAGE;
    }
    Ok(open)
}

/// Nothing can be kept of one without its number.
fn seen(listed: ListedPullRequest, now: Timestamp) -> Option<SeenPullRequest> {
    let it = listed.pull_request;
    Some(SeenPullRequest {
        number: it.number?,
        commits: it.source_commit.into_iter().collect(),
        status: it.status.unwrap_or_else(|| "active".to_owned()),
        is_draft: it.is_draft,
        target_ref: it.target_ref.unwrap_or_default(),
        read_at: now,
    })
}
