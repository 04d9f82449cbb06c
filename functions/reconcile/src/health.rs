//! How our service hooks fare: each is read by its id, what is wrong is a gap, and the bus is told once of each change.

use ado::{AdoClient, AdoError, Subscription};
use domain::{HookStatus, ServiceHook, service_hook::Health, summary::plain};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    mending::partly_made,
    pass::{Care, Halt, is_stopped},
};

/// Which part of a pass's calls looking at hooks may use: the rest is for what follows.
const SHARE: u32 = 2;
/// Which part of its time, in percent.
const TIME: u32 = 33;
/// How many hooks may get no answer before no more of them are asked for.
const MOST_SILENT: usize = 3;
/// How far clocks may differ.
const ABOUT: SignedDuration = SignedDuration::from_mins(1);

impl Care<'_> {
    /// Looks at each hook, beginning behind the one that was looked at last where they are too many for one pass.
    pub(crate) async fn look(
        &mut self,
        client: &AdoClient,
        hooks: &mut [ServiceHook],
    ) -> Result<(), Halt> {
        let most = usize::try_from(self.app.settings.most_calls / SHARE).unwrap_or(usize::MAX);
        let after = self.progress.looked_at.take();
        let first = after.map_or(0, |id| hooks.partition_point(|hook| hook.id <= id));
        let first = first % hooks.len().max(1);
        // A round that was broken off is finished, and no other one begun with it: what follows would never have its turn where
        // Azure DevOps takes few calls at a time.
        let left = if std::mem::take(&mut self.progress.look_again) {
            hooks.len()
        } else {
            hooks.len() - first
        };
        hooks.rotate_left(first);
        let endpoint = self.app.endpoint(self.integration);
        let (mut looked, mut silent) = (0, 0);
        for hook in hooks.iter_mut().take(most.min(left)) {
            if !self.is_within(TIME) || silent >= MOST_SILENT {
                break;
            }
            looked += 1;
            let before = hook.health.clone();
            let probation = match client.subscription(hook.id.as_str()).await {
                Ok(found) => {
                    let probation = found.last_probation_retry;
                    hook.health = seen(hook, &found, &endpoint, self.now);
                    probation
                }
                Err(AdoError::NotFound(_)) => {
                    let health = before.clone();
                    hook.health = health.seen(HookStatus::Missing, Vec::new(), self.now);
                    None
                }
                // It may be there: that it cannot be read is a trouble, and nothing is known anew.
                Err(
                    error @ (AdoError::Denied(_) | AdoError::Refused(_) | AdoError::Unexpected(_)),
                ) => {
                    hook.health.trouble = Some(plain(&error.to_string()));
                    None
                }
                // That one gets no answer is no reason to look at no other: it is noted, and asked for again in the next pass.
                Err(error @ (AdoError::Unreachable(_) | AdoError::Garbled(_))) => {
                    silent += 1;
                    hook.health.trouble = Some(plain(&error.to_string()));
                    None
                }
                Err(error) => return Err(error.into()),
            };
            let known = (
                self.progress.gap.clone(),
                self.progress.enabled_again.clone(),
            );
            self.note_what_is_lost(hook, &before, probation);
            if known.0 != self.progress.gap || known.1 != self.progress.enabled_again {
                // Once the hook is kept it does not tell any more.
                self.keep_so_far().await?;
            }
            self.keep(hook).await?;
            self.progress.looked_at = Some(hook.id.clone());
        }
        for partly in partly_made(hooks, self.now) {
            let why = "a project has not all of its service hooks";
            self.gap(partly.since, self.now, why);
        }
        if looked == left {
            self.progress.looked_at = None;
        }
        self.progress.look_again = silent > 0;
        self.progress.last.unfinished |= looked < left || silent > 0;
        self.count(hooks);
        Ok(())
    }

    /// Notes a gap where events of a hook may be lost: it does not send, or did not when it was last looked at, or was on
    /// probation in between. What a person has stopped is no gap, neither then nor once it sends again.
    fn note_what_is_lost(
        &mut self,
        hook: &ServiceHook,
        before: &Health,
        probation: Option<Timestamp>,
    ) {
        if is_stopped(hook) {
            return;
        }
        let is_by_user = |status| status == HookStatus::DisabledByUser;
        if is_by_user(before.status) || before.told.is_some_and(is_by_user) {
            let (id, at) = (hook.id.to_string(), self.now);
            self.progress.enabled_again.insert(id, at);
            self.gap(at, at, "a person has enabled a service hook again");
            return;
        }
        let is_well = hook.health.is_well();
        let had_a_probation = probation.is_some_and(|at| at > before.healthy_at - ABOUT);
        let was_ill = before.lost_since().is_some();
        if !is_well || was_ill || had_a_probation {
            let why = if is_well {
                "a service hook did not send for a while".to_owned()
            } else {
                format!("a service hook is {}", in_words(&hook.health))
            };
            self.gap(before.healthy_at, self.now, &why);
        }
    }

    /// Keeps what is known of a hook, unless it was removed meanwhile.
    pub(crate) async fn keep(&self, hook: &ServiceHook) -> Result<(), Halt> {
        let (store, name) = (&self.app.store, &self.integration.name);
        store.keep_hook_if_there(name, hook).await?;
        Ok(())
    }

    /// How many hooks there are, how many of them do not send though nobody stopped them, and how many are missing. What is mended afterwards counts all
    /// the same: it did not send.
    pub(crate) fn count(&mut self, hooks: &[ServiceHook]) {
        let count = |is: &dyn Fn(&&ServiceHook) -> bool| {
            u32::try_from(hooks.iter().filter(is).count()).unwrap_or(u32::MAX)
        };
        let last = &mut self.progress.last;
        last.hooks = count(&|_| true);
        last.stopped = count(&|hook| is_stopped(hook));
        last.failing = count(&|hook| !hook.health.is_well() && !is_stopped(hook));
        let partly_made = partly_made(hooks, self.now).into_iter();
        let never_made: usize = partly_made.map(|partly| partly.missing).sum();
        last.missing = count(&|hook| hook.health.status == HookStatus::Missing)
            + u32::try_from(never_made).unwrap_or(u32::MAX);
    }

    /// Tells the bus of each hook whose state is another than it was told last; of one that is well again nothing.
    pub(crate) async fn tell_of(&self, hooks: &mut [ServiceHook]) -> Result<(), Halt> {
        for hook in hooks {
            let status = hook.health.status;
            let is_told = if hook.health.is_well() {
                hook.health.told.is_none()
            } else {
                hook.health.told == Some(status)
            };
            if is_told {
                continue;
            }
            if hook.health.is_well() {
                hook.health.told = None;
            } else {
                self.tell_failing(hook).await?;
                hook.health.told = Some(status);
            }
            self.keep(hook).await?;
        }
        Ok(())
    }

    /// Tells the bus that a hook does not send.
    async fn tell_failing(&self, hook: &ServiceHook) -> Result<(), Halt> {
        let detail = json!({
            "integration": self.integration.name,
            "project": hook.project,
            "subscription": hook.id,
            "eventType": hook.event_type,
            "status": hook.health.status,
            "reason": advice(hook, self.app.settings.mends),
            "since": hook.health.since,
        });
        self.tell("Service Hook Failing", &detail).await
    }
}

/// How a hook is, now that it was read.
fn seen(hook: &ServiceHook, found: &Subscription, endpoint: &str, now: Timestamp) -> Health {
    let status = HookStatus::of_wire(found.status.as_deref());
    let differs = hooks::differs(found, &hook.event_type, &hook.project.id, endpoint);
    let mut health = hook.health.clone().seen(status, differs, now);
    health.owner = found.created_by.clone().or(health.owner);
    health
}

/// A state in words, behind "is".
fn in_words(health: &Health) -> String {
    match health.status {
        HookStatus::Enabled => format!("changed ({})", health.differs.join(", ")),
        HookStatus::OnProbation => "on probation".to_owned(),
        HookStatus::DisabledBySystem => "disabled by Azure DevOps".to_owned(),
        HookStatus::DisabledByUser => "disabled by a person".to_owned(),
        HookStatus::DisabledByInactiveIdentity => {
            "disabled, since its owner is inactive".to_owned()
        }
        HookStatus::Missing => "gone".to_owned(),
        HookStatus::Unknown => "in a state that is not known".to_owned(),
    }
}

/// What is wrong, and what to do.
fn advice(hook: &ServiceHook, mends: bool) -> String {
    let health = &hook.health;
    let what = in_words(health);
    let then = match (health.status, &health.trouble) {
        (HookStatus::DisabledByUser, _) => {
            "it stays so: enable it in Azure DevOps, or make it again with PUT /integrations/{name}/service-hooks/{project}".to_owned()
        }
        (_, Some(trouble)) => format!("it could not be looked at or mended: {trouble}"),
        (_, None) if mends => "it is mended as soon as it can be".to_owned(),
        (_, None) => "mend it with PUT /integrations/{name}/service-hooks/{project}: mend_service_hooks is off".to_owned(),
    };
    format!("the service hook is {what}; {then}")
}
