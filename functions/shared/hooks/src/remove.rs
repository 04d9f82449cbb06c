//! Removing hooks: those that are ours by their ids, and no others.

use std::{sync::OnceLock, time::Duration};

use ado::{AdoClient, AdoError};
use domain::{IntegrationName, ServiceHook};
use futures::{StreamExt, stream};
use store::Store;
use tokio::time::Instant;

use crate::{AT_A_TIME, Late, in_time, why};

/// What became of removing hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Those that are gone, also those that were gone before.
    pub removed: Vec<ServiceHook>,
    /// Those that are not, or of which nothing is known, and why, in words. They stay known.
    pub left: Vec<(ServiceHook, String)>,
    /// Whether one of those is left because time was over while it was being deleted ([`Late::CutOff`]).
    pub cut_off: bool,
}

/// Deletes these hooks of an integration, a few at once, within `time`, and forgets each that is gone. It never fails: what
/// cannot be deleted is left with the reason.
pub async fn remove(
    client: &AdoClient,
    store: &Store,
    integration: &IntegrationName,
    hooks: Vec<ServiceHook>,
    time: Duration,
) -> Removed {
    let deadline = Instant::now() + time;
    // A token that is not taken is not tried again and again.
    let refused = OnceLock::new();
    let mut ended: Vec<_> = stream::iter(hooks.into_iter().enumerate())
        .map(async |(at, hook)| {
            let deleting = deleted(client, store, integration, &hook, &refused);
            let ended = in_time(deadline, deleting).await;
            (at, hook, ended)
        })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    ended.sort_by_key(|(at, ..)| *at);
    let mut removed = Removed::default();
    for (_, hook, ended) in ended {
        match ended {
            Ok(Ok(())) => removed.removed.push(hook),
            Ok(Err(why)) => removed.left.push((hook, why)),
            Err(late) => {
                removed.cut_off |= late == Late::CutOff;
                removed.left.push((hook, late.to_string()));
            }
        }
    }
    removed
}

async fn deleted(
    client: &AdoClient,
    store: &Store,
    integration: &IntegrationName,
    hook: &ServiceHook,
    refused: &OnceLock<String>,
) -> Result<(), String> {
    if let Some(refused) = refused.get() {
        return Err(refused.clone());
    }
    match client.delete_subscription(hook.id.as_str()).await {
        Ok(()) | Err(AdoError::NotFound(_)) => {}
        Err(error) => {
            let told = why(&error);
            if error.is_about_the_token() {
                // Another may have been told meanwhile.
                let _first = refused.set(told.clone());
            }
            return Err(told);
        }
    }
    // It is gone all the same: the next who looks finds that.
    if let Err(error) = store.forget_hook(integration, &hook.id).await {
        tracing::warn!(
            integration = integration.as_str(),
            cause = error.to_string(),
            "a service hook that is gone is still known"
        );
    }
    Ok(())
}
