//! Whether an integration's connection works, and a client that is modest.

use std::{sync::Arc, time::Duration};

use ado::{AdoClient, AdoError};
use domain::Connection;
use jiff::SignedDuration;
use queues::Later;
use serde_json::json;

use crate::pass::{Care, Halt};

/// How long before the pass before a delivery may have come that was parked since: `dispatch` tries for a quarter of an hour.
const LATELY: SignedDuration = SignedDuration::from_mins(20);

impl Care<'_> {
    /// A client of the integration's organization, once it has been asked who we are; `None` where the token does not work, which
    /// is told once.
    pub(crate) async fn connect(&mut self) -> Result<Option<AdoClient>, Halt> {
        let (app, integration) = (self.app, self.integration);
        let credential = app.secrets.credential(&integration.name).await?;
        let organization = connection::organization(&app.settings.azure_devops_url, integration);
        let client = app
            .ado
            .organization(&organization, &credential)
            .map(|client| client.paced(Arc::clone(&self.pace)));
        let tried = match client {
            Ok(client) => client.connected_user().await.map(|user| (client, user)),
            Err(error) => Err(error),
        };
        match tried {
            Ok((client, user)) => {
                self.connected(user).await?;
                Ok(Some(client))
            }
            Err(error) if error.is_passing() => Err(error.into()),
            // A sign-in page comes to a good token, too, in a bad moment: it counts when it comes again.
            Err(AdoError::SignInPage) if !self.had_a_sign_in_page() => {
                Err(AdoError::SignInPage.into())
            }
            Err(error) => {
                self.disconnected(error).await?;
                Ok(None)
            }
        }
    }

    /// Whether the pass before met a sign-in page as well; notes that this one did.
    fn had_a_sign_in_page(&mut self) -> bool {
        std::mem::replace(&mut self.progress.told.sign_in_page, true)
    }

    async fn connected(&mut self, user: String) -> Result<(), Halt> {
        let (store, name) = (&self.app.store, &self.integration.name);
        self.progress.told.sign_in_page = false;
        let works = Connection {
            connected_as: user,
            checked_at: self.now,
            failure: None,
        };
        store.record_connection(name, &works).await?;
        if self.progress.told.connection_failure.is_some() || self.was_parked_lately().await? {
            // What waits for a token that works goes on.
            let later = Later::unpark(name);
            self.app.dispatch.put_off(&later, Duration::ZERO).await?;
        }
        if self.progress.told.connection_failure.is_some() {
            self.progress.told.connection_failure = None;
            // Nothing could be looked at meanwhile.
            let since = self.progress.compared_at.unwrap_or(self.now);
            self.gap(since, self.now, "the connection did not work");
        }
        Ok(())
    }

    /// Whether a delivery was parked since the pass before, as for a token that was refused for a moment. Looked at once more:
    /// each is woken so for half an hour, and not for ever, since some are parked for good.
    async fn was_parked_lately(&self) -> Result<bool, Halt> {
        let (store, name) = (&self.app.store, &self.integration.name);
        let since = self.before.unwrap_or(self.now) - LATELY;
        let parked = store.parked(name, (since, self.now), 1).await?;
        Ok(!parked.is_empty())
    }

    async fn disconnected(&mut self, error: AdoError) -> Result<(), Halt> {
        let (store, integration) = (&self.app.store, self.integration);
        let problem = connection::problems::of_azure_devops(error);
        let problem = problem.detail().to_owned();
        let before = integration.connection.clone();
        let broken = Connection {
            connected_as: before.map(|it| it.connected_as).unwrap_or_default(),
            checked_at: self.now,
            failure: Some(problem.clone()),
        };
        store.record_connection(&integration.name, &broken).await?;
        self.progress.last.unfinished = true;
        if self.progress.told.connection_failure.is_none() {
            let detail =
                json!({ "integration": integration.name, "reason": problem, "since": self.now });
            self.tell("Connection Failing", &detail).await?;
        }
        self.progress.told.connection_failure = Some(problem);
        Ok(())
    }
}
