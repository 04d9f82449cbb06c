//! Service hooks that do not send are mended, but those that a person has stopped: under the lease that whoever writes a password
//! holds, since what a hook is given is the password that counts now.

use ado::AdoClient;
use domain::{ServiceHook, stack::Reference};
use hooks::{HooksError, How, Wanted, tag};
use jiff::SignedDuration;
use store::{Lease, Leased};

use crate::pass::{Care, Halt, is_stopped};

/// For how long the password before a rotation still counts where that was cut off: as long as where nothing is asked for.
const GRACE: SignedDuration = SignedDuration::from_hours(24);

/// Whether a hook is to be mended: it does not send, or was given another password than the one that counts.
fn needs_it(hook: &ServiceHook, tag: &str) -> bool {
    !is_stopped(hook) && (!hook.health.is_well() || hook.password.as_deref() != Some(tag))
}

impl Care<'_> {
    /// Mends what is ill, and gives the password that counts to those that have another: a rotation may have been cut off.
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
        if !hooks.iter().any(|hook| needs_it(hook, &tag)) {
            return Ok(());
        }
        let nonce = uuid::Uuid::new_v4().to_string();
        let leased = match app.store.lease(name, &nonce, self.now).await? {
            Lease::Yes(leased) => *leased,
            // Somebody is changing the password, or unlinks it: the next pass sees to what is left.
            Lease::Busy | Lease::NotActive(_) | Lease::Unknown => {
                self.progress.last.unfinished = true;
                return Ok(());
            }
        };
        let mended = self.mend_leased(client, hooks, &leased, &nonce).await;
        // After a failure of ours what was sent may still arrive: the lease ends by itself then.
        if !matches!(mended, Err(Halt::Store(_) | Halt::Secrets(_))) {
            app.store.release(name, &nonce).await?;
        }
        mended
    }

    async fn mend_leased(
        &mut self,
        client: &AdoClient,
        hooks: &mut Vec<ServiceHook>,
        leased: &Leased,
        nonce: &str,
    ) -> Result<(), Halt> {
        let (app, name) = (self.app, &self.integration.name);
        // Read once more: it may have been changed before the lease was ours.
        let password = app.secrets.password(name).await?;
        let tag = tag(&password);
        let mut projects: Vec<Reference> = Vec::new();
        for hook in hooks.iter().filter(|hook| needs_it(hook, &tag)) {
            if !projects.iter().any(|project| project.id == hook.project.id) {
                projects.push(hook.project.clone());
            }
        }
        for project in &projects {
            let endpoint = app.endpoint(self.integration);
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
                Err(HooksError::AzureDevOps(error))
                    if error.is_passing() || error.is_about_the_token() =>
                {
                    return Err(error.into());
                }
                Err(error) => {
                    let why = error.to_string();
                    self.cannot_mend(hooks, project, &tag, &why).await?;
                }
            }
        }
        *hooks = app.store.hooks_of(name).await?;
        self.count(hooks);
        let store = &app.store;
        hooks::finish_rotation(store, &password, leased, nonce, hooks, GRACE, self.now).await?;
        Ok(())
    }

    /// Keeps why the hooks of a project could not be mended.
    async fn cannot_mend(
        &self,
        hooks: &mut [ServiceHook],
        project: &Reference,
        tag: &str,
        why: &str,
    ) -> Result<(), Halt> {
        let of_project = |hook: &&mut ServiceHook| hook.project.id == project.id;
        for hook in hooks.iter_mut().filter(of_project) {
            if needs_it(hook, tag) {
                hook.health.trouble = Some(why.to_owned());
                self.keep(hook).await?;
            }
        }
        Ok(())
    }
}
