//! Service hooks that do not send are mended, but those that a person has stopped, and a project's that were not all made are
//! completed: under the lease that whoever writes a password holds, since what a hook is given is the password that counts now.

use std::{collections::BTreeMap, time::Duration};

use ado::{AdoClient, AdoError};
use domain::{
    Guid, HookStatus, ServiceHook, WebhookPassword, service_hook::missing_events, stack::Reference,
    summary::plain_within,
};
use hooks::{HooksError, How, NewPassword, Wanted, tag};
use jiff::{SignedDuration, Timestamp};
use store::{Lease, Leased};

use crate::pass::{Care, Halt, ends_the_pass, is_stopped};

/// For how long the password before a rotation still counts where that was cut off: as long as where nothing is asked for.
const GRACE: SignedDuration = SignedDuration::from_hours(24);
/// How long mending may take: less than the lease lasts, so that nobody has changed the password meanwhile.
const LONGEST: Duration = Duration::from_secs(90);

/// Up to which part of a pass's calls, in percent: where much cannot be mended, comparing is all that there is.
const SHARE: u32 = 75;
/// How many characters are kept of why something could not be mended.
const LONGEST_WHY: usize = 400;
/// How many projects may get no answer before no more of them are mended.
const MOST_SILENT: usize = 2;

/// For how long after its newest hook the others of a project may be on their way: who makes them has the lease no longer.
const MAKING: SignedDuration = SignedDuration::from_mins(2);

/// A project that has hooks of ours, but not for each of the events.
pub(crate) struct PartlyMade {
    project: Reference,
    /// Since when it has some.
    pub(crate) since: Timestamp,
    /// For how many events it has none.
    pub(crate) missing: usize,
}

/// The projects whose hooks were not all made, since that was cut off. Where a person has stopped or deleted them on purpose,
/// none is missing.
pub(crate) fn partly_made(hooks: &[ServiceHook], now: Timestamp) -> Vec<PartlyMade> {
    let mut projects: BTreeMap<&Guid, Vec<&ServiceHook>> = BTreeMap::new();
    for hook in hooks {
        projects.entry(&hook.project.id).or_default().push(hook);
    }
    let of_project = projects.into_values().filter_map(|hooks| {
        let newest = hooks.iter().map(|hook| hook.since).max()?;
        let oldest = hooks.iter().min_by_key(|hook| hook.since)?;
        let is_left =
            hooks.iter().all(|hook| is_stopped(hook)) || hooks.iter().any(|hook| hook.unwanted);
        let missing = missing_events(hooks.iter().copied()).len();
        let is_partly = missing > 0 && !is_left && now.duration_since(newest) >= MAKING;
        is_partly.then(|| PartlyMade {
            project: oldest.project.clone(),
            since: oldest.since,
            missing,
        })
    });
    of_project.collect()
}

/// Whether a hook does not send, though nobody has stopped it.
fn is_ill(hook: &ServiceHook) -> bool {
    !is_stopped(hook) && !hook.health.is_well()
}

/// Whether a hook was given another password than the one that counts.
fn lacks(hook: &ServiceHook, tag: &str) -> bool {
    hook.health.status != HookStatus::Missing && hook.password.as_deref() != Some(tag)
}

/// Whether a hook is to be mended.
fn needs_it(hook: &ServiceHook, tag: &str) -> bool {
    is_ill(hook) || (!is_stopped(hook) && lacks(hook, tag))
}

/// Whether Azure DevOps gave no answer.
fn is_silence(error: &HooksError) -> bool {
    matches!(
        error,
        HooksError::AzureDevOps(AdoError::Unreachable(_) | AdoError::Garbled(_))
    )
}

impl Care<'_> {
    /// Mends what is ill, makes what is missing, and gives the password that counts to those that have another: a rotation may have been cut off.
    pub(crate) async fn mend(
        &mut self,
        client: &AdoClient,
        hooks: &mut Vec<ServiceHook>,
    ) -> Result<(), Halt> {
        let (app, name) = (self.app, &self.integration.name);
        if !app.settings.mends || hooks.is_empty() {
            return Ok(());
        }
        let tag = tag(&app.secrets.password(name).await?);
        let is_needed = hooks.iter().any(|hook| is_ill(hook) || lacks(hook, &tag))
            || !partly_made(hooks, self.now).is_empty();
        if !is_needed && !self.is_rotating().await? {
            return Ok(());
        }
        let nonce = uuid::Uuid::new_v4().to_string();
        let leased = match app.store.lease(name, &nonce, self.moment()).await? {
            Lease::Yes(leased) => *leased,
            // Somebody is changing the password, or unlinks it: the next pass sees to what is left.
            Lease::Busy | Lease::NotActive(_) | Lease::Unknown => {
                self.progress.last.unfinished = true;
                return Ok(());
            }
        };
        let mending = self.mend_leased(client, hooks, &leased, &nonce);
        let Ok(mended) = tokio::time::timeout(LONGEST, mending).await else {
            // The lease ends by itself: what was sent last may still arrive.
            self.progress.last.unfinished = true;
            *hooks = app.store.hooks_of(name).await?;
            self.progress.last.hooks = u32::try_from(hooks.len()).unwrap_or(u32::MAX);
            return Ok(());
        };
        // After a failure of ours what was sent may still arrive: the lease ends by itself then.
        if !matches!(mended, Err(Halt::Store(_) | Halt::Secrets(_))) {
            app.store.release(name, &nonce).await?;
        }
        mended
    }

    /// Whether a rotation has begun and not ended: several passwords count without an end.
    async fn is_rotating(&self) -> Result<bool, Halt> {
        let record = self
            .app
            .store
            .webhook_record(&self.integration.name)
            .await?;
        Ok(record.is_some_and(|record| record.passwords.endless() > 1))
    }

    async fn mend_leased(
        &mut self,
        client: &AdoClient,
        hooks: &mut Vec<ServiceHook>,
        leased: &Leased,
        nonce: &str,
    ) -> Result<(), Halt> {
        let (app, name) = (self.app, &self.integration.name);
        // Read once more: it may have been changed, and hooks removed, before the lease was ours.
        let password = app.secrets.password(name).await?;
        let tag = tag(&password);
        *hooks = app.store.hooks_of(name).await?;
        let mut projects: Vec<Reference> = Vec::new();
        let ill = hooks.iter().filter(|hook| needs_it(hook, &tag));
        projects.extend(ill.map(|hook| hook.project.clone()));
        let partly_made = partly_made(hooks, self.now).into_iter();
        projects.extend(partly_made.map(|partly| partly.project));
        projects.sort_by(|one, other| one.id.cmp(&other.id));
        projects.dedup_by(|one, other| one.id == other.id);
        let after = self.progress.mended_at.take();
        let first = after.map_or(0, |id| projects.partition_point(|project| project.id <= id));
        let count = projects.len().max(1);
        projects.rotate_left(first % count);
        let endpoint = app.endpoint(self.integration);
        let mut silent = 0;
        for project in &projects {
            if !self.may_call(SHARE) || silent >= MOST_SILENT {
                self.progress.last.unfinished = true;
                break;
            }
            self.progress.mended_at = Some(project.id.clone());
            let wanted = Wanted {
                integration: name,
                project,
                endpoint: &endpoint,
                password: &password,
            };
            match hooks::make(client, &app.store, &wanted, How::Mending, self.now).await {
                Ok(made) => {
                    self.progress.last.mended += made.created + made.mended + made.taken_over;
                }
                Err(HooksError::Store(error)) => return Err(error.into()),
                Err(HooksError::AzureDevOps(error)) if ends_the_pass(&error) => {
                    return Err(error.into());
                }
                Err(error) => {
                    if is_silence(&error) {
                        silent += 1;
                        self.progress.last.unfinished = true;
                    }
                    let why = plain_within(&error.to_string(), LONGEST_WHY);
                    self.cannot_mend(hooks, project, &tag, &why).await?;
                }
            }
        }
        *hooks = app.store.hooks_of(name).await?;
        self.give_to_stopped(client, hooks, &password, &endpoint)
            .await?;
        self.progress.last.hooks = u32::try_from(hooks.len()).unwrap_or(u32::MAX);
        self.count_as_looked_for(hooks).await?;
        let (store, moment) = (&app.store, self.moment());
        hooks::finish_rotation(store, &password, leased, nonce, hooks, GRACE, moment).await?;
        Ok(())
    }

    /// What a person has disabled stays so, and has the password that counts for when it is enabled.
    async fn give_to_stopped(
        &self,
        client: &AdoClient,
        hooks: &mut Vec<ServiceHook>,
        password: &WebhookPassword,
        endpoint: &str,
    ) -> Result<(), Halt> {
        let (store, integration) = (&self.app.store, &self.integration.name);
        let tag = tag(password);
        let without = |hook: &&ServiceHook| is_stopped(hook) && lacks(hook, &tag);
        let without: Vec<ServiceHook> = hooks.iter().filter(without).cloned().collect();
        if without.is_empty() {
            return Ok(());
        }
        let new = NewPassword {
            integration,
            endpoint,
            password,
        };
        let given = hooks::give_password(client, store, &new, without, LONGEST, self.now).await;
        for (mut hook, why) in given.failed {
            hook.health.trouble = Some(why);
            self.keep(&hook).await?;
        }
        *hooks = store.hooks_of(integration).await?;
        Ok(())
    }

    /// What was lost before it was mended is a gap: once that is kept, the hooks need not say it any more.
    async fn count_as_looked_for(&mut self, hooks: &mut [ServiceHook]) -> Result<(), Halt> {
        let now = self.now;
        let is_mended =
            |hook: &&mut ServiceHook| hook.health.is_well() && hook.health.checked_at == now;
        let mut lost = Vec::new();
        for hook in hooks.iter_mut().filter(is_mended) {
            if let Some(since) = hook.health.lost_since() {
                self.gap(since, now, "a service hook did not send for a while");
                lost.push(hook);
            }
        }
        if !lost.is_empty() {
            self.keep_so_far().await?;
        }
        for hook in lost {
            hook.health.healthy_at = now;
            self.keep(hook).await?;
        }
        Ok(())
    }

    /// Keeps why the hooks of a project could not be mended; what has no hook to be kept with is logged.
    async fn cannot_mend(
        &self,
        hooks: &mut [ServiceHook],
        project: &Reference,
        tag: &str,
        why: &str,
    ) -> Result<(), Halt> {
        let mut is_kept = false;
        let of_project = |hook: &&mut ServiceHook| hook.project.id == project.id;
        for hook in hooks.iter_mut().filter(of_project) {
            if needs_it(hook, tag) {
                hook.health.trouble = Some(why.to_owned());
                self.keep(hook).await?;
                is_kept = true;
            }
        }
        if !is_kept {
            tracing::warn!(
                integration = self.integration.name.as_str(),
                project = project.id.as_str(),
                cause = why,
                "the service hooks that a project lacks cannot be made"
            );
        }
        Ok(())
    }
}
