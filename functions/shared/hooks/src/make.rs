//! The five hooks of a project, made where they are missing and mended where they differ. Repeating it changes nothing.

use ado::{AdoClient, AdoError, Subscription};
use domain::{
    EventType, Guid, HookStatus, IntegrationName, ServiceHook, WebhookPassword,
    service_hook::{EVENTS, Health},
    stack::Reference,
};
use jiff::Timestamp;
use store::Store;

use crate::{HooksError, differs, id_of, is_ours, password::tag, wanted, why};

/// Whose hooks are made, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The integration.
    pub integration: &'a IntegrationName,
    /// The project, as Azure DevOps has it.
    pub project: &'a Reference,
    /// The integration's webhook endpoint.
    pub endpoint: &'a str,
    /// The password that the endpoint takes.
    pub password: &'a WebhookPassword,
}

/// Why hooks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A person asks for it: what a person has disabled is enabled, too.
    Asked,
    /// They are cared for: what a person has disabled stays so.
    Mending,
}

/// What became of making the hooks of a project. Each of the five is counted once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// The hooks, as they are now, in the order of [`EVENTS`].
    pub hooks: Vec<ServiceHook>,
    /// How many were made; one that took the place of another that could not be enabled is one of them.
    pub created: u32,
    /// How many were ours, and had to be written anew.
    pub mended: u32,
    /// How many were made by a person and are ours now.
    pub taken_over: u32,
    /// How many were as they should be, or were left because a person has disabled them.
    pub unchanged: u32,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Makes the five hooks of a project, or mends them.
///
/// A hook of ours stays where it is as wanted. It is written anew where it differs, was given another password, or does not
/// send; where it does not send even then, another takes its place, and it is deleted. Where we have none, one that a person
/// made to our endpoint is taken over (written anew, since its password cannot be read); only where there is none, either, one
/// is made. Further ones of ours are deleted, further ones of a person left and told.
///
/// What was ill is [seen in passing](Health::seen_in_passing): whoever looks for lost events finds since when they are.
///
/// # Errors
///
/// [`HooksError`]. Where the project's subscriptions cannot be listed nothing is made: taken for "there are none", a listing
/// that failed has made others make theirs over and over (facts 5). What was done before an error is kept.
pub async fn make(
    client: &AdoClient,
    store: &Store,
    what: &Wanted<'_>,
    how: How,
    now: Timestamp,
) -> Result<Made, HooksError> {
    let all = store.hooks_of(what.integration).await?;
    let listed = client
        .subscriptions_of_project(what.project.id.as_str())
        .await
        .map_err(HooksError::of_reading)?;
    let (mut known, mut strangers) = (Vec::new(), Vec::new());
    for subscription in listed {
        // Whatever has another kind of id was not made by us.
        let Ok(id) = id_of(&subscription) else {
            continue;
        };
        if all.iter().any(|hook| hook.id == id) {
            known.push((id, subscription));
        } else if is_ours(&subscription, what.endpoint) {
            strangers.push((id, subscription));
        }
    }
    let mut making = Making {
        client,
        store,
        what,
        how,
        now,
        tag: tag(what.password),
        listed: known,
        strangers,
        made: Made::default(),
    };
    let of_project = |hook: &ServiceHook| hook.project.id == what.project.id;
    let mut hooks: Vec<ServiceHook> = all.into_iter().filter(of_project).collect();
    for (event_type, _) in EVENTS {
        let of_event = hooks.extract_if(.., |hook| hook.event_type == event_type);
        let of_event = of_event.collect();
        making.event(&event_type, of_event).await?;
    }
    Ok(making.made)
}

/// Making the hooks of one project.
struct Making<'a> {
    client: &'a AdoClient,
    store: &'a Store,
    what: &'a Wanted<'a>,
    how: How,
    now: Timestamp,
    /// The tag of the password.
    tag: String,
    /// What the listing has of hooks that are ours.
    listed: Vec<(Guid, Subscription)>,
    /// What it has besides that is sent to our endpoint.
    strangers: Vec<(Guid, Subscription)>,
    made: Made,
}

/// What became of a hook of ours that is there.
enum Tended {
    /// It is as it should be, or is left.
    Kept(ServiceHook),
    /// It does not send, whatever is written.
    Useless(ServiceHook),
    /// It is not there any more.
    Gone,
}

impl Making<'_> {
    /// Sees to one type of event, of which these hooks are known.
    async fn event(
        &mut self,
        event_type: &EventType,
        known: Vec<ServiceHook>,
    ) -> Result<(), HooksError> {
        // Since then none of them is known to have sent: what takes their place goes on from there.
        let healthy_at = known.iter().map(|hook| hook.health.healthy_at).max();
        let (mut there, mut gone) = (Vec::new(), Vec::new());
        for hook in known {
            match self.found(&hook.id).await? {
                Some(subscription) => there.push((hook, subscription)),
                None => gone.push(hook),
            }
        }
        there.sort_by_key(|(hook, subscription)| {
            let is_well = self.is_well(hook, subscription);
            (!is_well, !sends(subscription), hook.since)
        });
        let mut useless = Vec::new();
        let mut there = there.into_iter();
        let mut kept = None;
        if let Some((hook, subscription)) = there.next() {
            let before = hook.clone();
            match self.tend(hook, &subscription).await? {
                Tended::Kept(hook) => kept = Some(hook),
                Tended::Useless(hook) => useless.push(hook),
                Tended::Gone => gone.push(before),
            }
        }
        let kept = match kept {
            Some(kept) => kept,
            None => self.obtain(event_type, healthy_at).await?,
        };
        self.made.hooks.push(kept);
        for hook in gone {
            self.store
                .forget_hook(self.what.integration, &hook.id)
                .await?;
        }
        let further = there.map(|(hook, _)| hook);
        for hook in further.chain(useless) {
            self.drop(hook).await?;
        }
        let left = self.strangers.iter().filter(|(_, subscription)| {
            sends(subscription) && subscription.event_type.as_deref() == Some(event_type.as_str())
        });
        for (id, _) in left {
            self.made.notes.push(format!(
                "the service hook {id} also sends {event_type} to this endpoint: a person made it, so it was left; delete it in Azure DevOps (one event that comes twice is stored once)"
            ));
        }
        Ok(())
    }

    /// The subscription of a hook of ours; `None` where there is none. Who is not in the listing is asked for: a listing that
    /// lacks one must not make a second one.
    async fn found(&mut self, id: &Guid) -> Result<Option<Subscription>, HooksError> {
        if let Some(at) = self.listed.iter().position(|(listed, _)| listed == id) {
            return Ok(Some(self.listed.swap_remove(at).1));
        }
        match self.client.subscription(id.as_str()).await {
            Ok(subscription) => Ok(Some(subscription)),
            Err(AdoError::NotFound(_)) => Ok(None),
            Err(error) => Err(HooksError::of_reading(error)),
        }
    }

    /// Whether nothing has to be written.
    fn is_well(&self, hook: &ServiceHook, subscription: &Subscription) -> bool {
        sends(subscription)
            && hook.password.as_ref() == Some(&self.tag)
            && self.differs(subscription, &hook.event_type).is_empty()
    }

    fn differs(&self, subscription: &Subscription, event_type: &EventType) -> Vec<String> {
        let Wanted {
            project, endpoint, ..
        } = self.what;
        differs(subscription, event_type, &project.id, endpoint)
    }

    async fn tend(
        &mut self,
        hook: ServiceHook,
        subscription: &Subscription,
    ) -> Result<Tended, HooksError> {
        let is_left = self.is_left(subscription);
        let is_well = self.is_well(&hook, subscription);
        let hook = self.seen(hook, subscription);
        if is_left || is_well {
            self.keep(&hook).await?;
            if is_left {
                self.made.notes.push(format!(
                    "the service hook for {} was disabled by a person, and stays so: ask for the project's service hooks to enable it (PUT …/service-hooks/{})",
                    hook.event_type, hook.project.id
                ));
            }
            self.made.unchanged += 1;
            return Ok(Tended::Kept(hook));
        }
        let Some(written) = self.write(&hook.id, &hook.event_type).await? else {
            return Ok(Tended::Gone);
        };
        let hook = ServiceHook {
            password: Some(self.tag.clone()),
            ..self.seen(hook, &written)
        };
        self.keep(&hook).await?;
        if !sends(&written) {
            return Ok(Tended::Useless(hook));
        }
        self.made.mended += 1;
        self.tell_what_stays(&hook);
        Ok(Tended::Kept(hook))
    }

    /// Takes over what a person made, or makes one.
    async fn obtain(
        &mut self,
        event_type: &EventType,
        healthy_at: Option<Timestamp>,
    ) -> Result<ServiceHook, HooksError> {
        while let Some((id, subscription)) = self.next_stranger(event_type) {
            let Some(written) = self.write(&id, event_type).await? else {
                continue;
            };
            if sends(&written) {
                self.made.taken_over += 1;
                return self.begin(id, event_type, &written, true, healthy_at).await;
            }
            self.made.notes.push(format!(
                "the service hook {id}, which a person made{}, cannot be enabled: delete it in Azure DevOps",
                subscription
                    .created_by
                    .map(|name| format!(" ({})", domain::summary::plain(&name)))
                    .unwrap_or_default()
            ));
        }
        let Wanted {
            project,
            endpoint,
            password,
            ..
        } = self.what;
        let new = wanted(event_type, &project.id, endpoint, password);
        let made = self
            .client
            .create_subscription(&new)
            .await
            .map_err(HooksError::of_writing)?;
        let id = id_of(&made).map_err(HooksError::AzureDevOps)?;
        self.made.created += 1;
        self.begin(id, event_type, &made, false, healthy_at).await
    }

    /// The next hook for an event that a person made, those that send first. It is none of the strangers any more.
    fn next_stranger(&mut self, event_type: &EventType) -> Option<(Guid, Subscription)> {
        let candidates = self.strangers.iter().enumerate();
        let (at, _) = candidates
            .filter(|(_, (_, it))| it.event_type.as_deref() == Some(event_type.as_str()))
            .filter(|(_, (_, it))| !self.is_left(it))
            .min_by_key(|(_, (_, it))| (!sends(it), it.created_date))?;
        Some(self.strangers.swap_remove(at))
    }

    /// Whether a subscription stays disabled because a person wanted it so.
    fn is_left(&self, subscription: &Subscription) -> bool {
        self.how == How::Mending && status_of(subscription) == HookStatus::DisabledByUser
    }

    /// Writes a subscription as it should be, and enabled; `None` where it is not there any more.
    async fn write(
        &self,
        id: &Guid,
        event_type: &EventType,
    ) -> Result<Option<Subscription>, HooksError> {
        let Wanted {
            project,
            endpoint,
            password,
            ..
        } = self.what;
        let new = wanted(event_type, &project.id, endpoint, password);
        match self.client.replace_subscription(id.as_str(), &new).await {
            Ok(written) => Ok(Some(written)),
            Err(AdoError::NotFound(_)) => Ok(None),
            Err(error) => Err(HooksError::of_writing(error)),
        }
    }

    /// Begins to keep a hook that was made or taken over.
    async fn begin(
        &mut self,
        id: Guid,
        event_type: &EventType,
        subscription: &Subscription,
        taken_over: bool,
        healthy_at: Option<Timestamp>,
    ) -> Result<ServiceHook, HooksError> {
        let health = Health::enabled(self.now, None);
        let hook = ServiceHook {
            id,
            project: self.what.project.clone(),
            event_type: event_type.clone(),
            since: self.now,
            taken_over,
            unwanted: false,
            password: Some(self.tag.clone()),
            health: Health {
                healthy_at: healthy_at.unwrap_or(self.now),
                ..health
            },
        };
        let hook = self.seen(hook, subscription);
        self.keep(&hook).await?;
        self.tell_what_stays(&hook);
        Ok(hook)
    }

    fn tell_what_stays(&mut self, hook: &ServiceHook) {
        if !hook.health.is_well() {
            self.made.notes.push(format!(
                "Azure DevOps did not take all of the service hook for {}: it is {}{}{}",
                hook.event_type,
                hook.health.status.as_str(),
                if hook.health.differs.is_empty() {
                    ""
                } else {
                    ", with another "
                },
                hook.health.differs.join(", "),
            ));
        }
    }

    /// A hook as it looks now.
    fn seen(&self, hook: ServiceHook, subscription: &Subscription) -> ServiceHook {
        let differs = self.differs(subscription, &hook.event_type);
        let health = hook
            .health
            .seen_in_passing(status_of(subscription), differs, self.now);
        ServiceHook {
            project: self.what.project.clone(),
            unwanted: hook.unwanted && self.how == How::Mending,
            health: Health {
                owner: subscription.created_by.clone().or(health.owner.clone()),
                ..health
            },
            ..hook
        }
    }

    async fn keep(&self, hook: &ServiceHook) -> Result<(), HooksError> {
        self.store.keep_hook(self.what.integration, hook).await?;
        Ok(())
    }

    /// Deletes a hook of ours that another one has taken the place of. What cannot be deleted stays known, so that it is tried
    /// again, and removed with the others.
    async fn drop(&mut self, mut hook: ServiceHook) -> Result<(), HooksError> {
        match self.client.delete_subscription(hook.id.as_str()).await {
            Ok(()) | Err(AdoError::NotFound(_)) => {
                self.store
                    .forget_hook(self.what.integration, &hook.id)
                    .await?;
            }
            Err(error) => {
                let trouble = format!(
                    "another one has taken its place, and it could not be deleted: {}",
                    why(&error)
                );
                self.made
                    .notes
                    .push(format!("the service hook {}: {trouble}", hook.id));
                hook.health.trouble = Some(trouble);
                self.keep(&hook).await?;
            }
        }
        Ok(())
    }
}

fn status_of(subscription: &Subscription) -> HookStatus {
    HookStatus::of_wire(subscription.status.as_deref())
}

fn sends(subscription: &Subscription) -> bool {
    status_of(subscription) == HookStatus::Enabled
}
