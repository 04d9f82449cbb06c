//! A new password for all hooks of an integration, and the end of the one before, once all of them have it.

use std::{sync::OnceLock, time::Duration};

use ado::{AdoClient, AdoError, Subscription};
use domain::{
    HookStatus, IntegrationName, PasswordDigest, ServiceHook, WebhookPassword, password::with_end,
};
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use store::{Leased, Store, StoreError};
use tokio::time::Instant;

use crate::{AT_A_TIME, Late, differs, in_time, wanted, why};

/// The password that hooks are to have.
#[derive(Clone, Copy, Debug)]
pub struct NewPassword<'a> {
    /// The integration.
    pub integration: &'a IntegrationName,
    /// The integration's webhook endpoint.
    pub endpoint: &'a str,
    /// The password, which the endpoint takes already.
    pub password: &'a WebhookPassword,
}

/// What became of giving hooks a password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Those that have it, and those that are not there any more.
    pub updated: Vec<ServiceHook>,
    /// Those that may still have another, and why, in words.
    pub failed: Vec<(ServiceHook, String)>,
    /// Whether time was over while one of those was being given it ([`Late::CutOff`]).
    pub cut_off: bool,
}

/// What became of finishing a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The older passwords end then.
    Now(Timestamp),
    /// Nothing was left to finish.
    Already,
    /// They go on counting: some hook still has another password, or a rotation was cut off, whose caller does not know the new
    /// one. Only the same rotation, called again, or a later one, ends them then.
    NotYet,
    /// The lease is lost.
    LeaseLost,
}

/// The tag of a password, as it is kept with the hooks that have it.
#[must_use]
pub fn tag(password: &WebhookPassword) -> String {
    PasswordDigest::of(password.expose().as_bytes()).tag()
}

/// Whether every hook has a password, those apart that are not there any more.
#[must_use]
pub fn all_have(hooks: &[ServiceHook], password: &WebhookPassword) -> bool {
    let tag = tag(password);
    hooks.iter().all(|hook| {
        hook.health.status == HookStatus::Missing || hook.password.as_ref() == Some(&tag)
    })
}

/// Gives these hooks of an integration a password, a few at once, within `time`.
///
/// What a person has disabled stays disabled, and has it, too. It never fails: what could not be given it is told with the reason.
pub async fn give_password(
    client: &AdoClient,
    store: &Store,
    new: &NewPassword<'_>,
    hooks: Vec<ServiceHook>,
    time: Duration,
    now: Timestamp,
) -> Given {
    let giving = Giving {
        client,
        store,
        new,
        tag: tag(new.password),
        now,
        refused: OnceLock::new(),
    };
    let deadline = Instant::now() + time;
    let mut ended: Vec<_> = stream::iter(hooks.into_iter().enumerate())
        .map(async |(at, hook)| {
            let given = in_time(deadline, giving.given(&hook)).await;
            (at, hook, given)
        })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    ended.sort_by_key(|(at, ..)| *at);
    let mut given = Given::default();
    for (_, hook, ended) in ended {
        match ended {
            Ok(Ok(hook)) => given.updated.push(hook),
            Ok(Err(why)) => given.failed.push((hook, why)),
            Err(late) => {
                given.cut_off |= late == Late::CutOff;
                given.failed.push((hook, late.to_string()));
            }
        }
    }
    given
}

struct Giving<'a> {
    client: &'a AdoClient,
    store: &'a Store,
    new: &'a NewPassword<'a>,
    tag: String,
    now: Timestamp,
    /// Why the token is not taken: then it is not tried again and again.
    refused: OnceLock<String>,
}

impl Giving<'_> {
    async fn given(&self, hook: &ServiceHook) -> Result<ServiceHook, String> {
        if hook.password.as_ref() == Some(&self.tag) {
            return Ok(hook.clone());
        }
        if let Some(refused) = self.refused.get() {
            return Err(refused.clone());
        }
        let given = self.written(hook).await.map_err(|error| {
            let told = why(&error);
            if error.is_about_the_token() {
                // Another may have been told meanwhile.
                let _first = self.refused.set(told.clone());
            }
            told
        })?;
        let kept = self.store.keep_hook_if_there(self.new.integration, &given);
        // It has the password; that this is not known makes it be given once more.
        kept.await.map_err(|error| error.to_string())?;
        Ok(given)
    }

    /// The hook with the password, or without its subscription where that is not there any more. How it is has to be known
    /// first: a PUT says whether it is enabled.
    async fn written(&self, hook: &ServiceHook) -> Result<ServiceHook, AdoError> {
        let id = hook.id.as_str();
        let new = wanted(
            &hook.event_type,
            &hook.project.id,
            self.new.endpoint,
            self.new.password,
        );
        let there = match self.client.subscription(id).await {
            Err(AdoError::NotFound(_)) => return Ok(self.missing(hook.clone())),
            there => there?,
        };
        let hook = self.seen(hook.clone(), &there);
        let written = match hook.health.status {
            HookStatus::DisabledByUser => self.client.replace_disabled_subscription(id, &new).await,
            _ => self.client.replace_subscription(id, &new).await,
        };
        match written {
            Ok(written) => Ok(ServiceHook {
                password: Some(self.tag.clone()),
                ..self.seen(hook, &written)
            }),
            Err(AdoError::NotFound(_)) => Ok(self.missing(hook)),
            Err(error) => Err(error),
        }
    }

    fn seen(&self, hook: ServiceHook, subscription: &Subscription) -> ServiceHook {
        let status = HookStatus::of_wire(subscription.status.as_deref());
        let project = &hook.project.id;
        let differs = differs(subscription, &hook.event_type, project, self.new.endpoint);
        ServiceHook {
            health: hook.health.seen_in_passing(status, differs, self.now),
            ..hook
        }
    }

    fn missing(&self, hook: ServiceHook) -> ServiceHook {
        let health = hook.health;
        ServiceHook {
            health: health.seen_in_passing(HookStatus::Missing, Vec::new(), self.now),
            ..hook
        }
    }
}

/// Lets the passwords before the current one end after `grace`, once all hooks have the current one.
///
/// That is the end of a rotation that could not reach all of them, and said so. One that was cut off ([`Leased::unfinished`]) is
/// not ended here, however far it got: its caller was told that it failed, and whoever keeps hooks by hand does not know that there
/// is another password. `password` is what is written in the secret, and `hooks` are all of the integration's.
///
/// # Errors
///
/// [`StoreError`] where that may or may not be written: the same call again is safe.
pub async fn finish_rotation(
    store: &Store,
    password: &WebhookPassword,
    leased: &Leased,
    nonce: &str,
    hooks: &[ServiceHook],
    grace: SignedDuration,
    now: Timestamp,
) -> Result<Finished, StoreError> {
    let current = PasswordDigest::of(password.expose().as_bytes()).sha256;
    let digests = &leased.digests;
    let is_open = |digest: &PasswordDigest| digest.sha256 != current && digest.ends.is_none();
    if !digests.iter().any(is_open) {
        return Ok(Finished::Already);
    }
    let is_told = leased.unfinished.is_none();
    let counts = digests.iter().any(|digest| digest.sha256 == current);
    if !is_told || !counts || !all_have(hooks, password) {
        return Ok(Finished::NotYet);
    }
    let end = now + grace;
    let digests = with_end(digests, &current, end, now);
    let name = &leased.integration.name;
    let is_ours = store.end_rotation(name, nonce, &digests, now).await?;
    Ok(if is_ours {
        Finished::Now(end)
    } else {
        Finished::LeaseLost
    })
}
