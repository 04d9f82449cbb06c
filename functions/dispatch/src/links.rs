//! An integration and a client of its organization, with the token that is kept for it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ado::{AdoClient, AdoError};
use domain::{Credential, Integration, IntegrationName};
use secrets::SecretsError;

use crate::{App, Hindrance, batch::Door};

/// How long a token that was read is used without looking again. One that Azure DevOps refuses is looked for anew at once.
const FRESH: Duration = Duration::from_secs(60);

/// The tokens that were read.
#[derive(Debug, Default)]
pub(crate) struct Links {
    tokens: Mutex<HashMap<IntegrationName, (Credential, Instant)>>,
}

impl Links {
    fn tokens(&self) -> MutexGuard<'_, HashMap<IntegrationName, (Credential, Instant)>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the next one who asks look anew; gives what was kept.
    fn forget(&self, name: &IntegrationName) -> Option<Credential> {
        self.tokens().remove(name).map(|(credential, _)| credential)
    }

    fn kept(&self, name: &IntegrationName) -> Option<Credential> {
        let tokens = self.tokens();
        let (credential, read) = tokens.get(name)?;
        (read.elapsed() < FRESH).then(|| credential.clone())
    }
}

impl App {
    /// A client of an integration's organization, and whether its token was kept from before.
    pub(crate) async fn client(
        &self,
        integration: &Integration,
        door: Door,
    ) -> Result<(AdoClient, bool), Hindrance> {
        let name = &integration.name;
        let (credential, was_kept) = match self.links.kept(name) {
            Some(credential) => (credential, true),
            None => (self.read_credential(name).await?, false),
        };
        let ado = match door {
            Door::Stream => &self.in_the_stream,
            Door::Queue => &self.in_the_queue,
        };
        let organization = connection::organization(&self.azure_devops_url, integration);
        let client = ado
            .organization(&organization, &credential)
            .map_err(|error| Hindrance::Token(error.to_string()))?;
        Ok((client, was_kept))
    }

    async fn read_credential(&self, name: &IntegrationName) -> Result<Credential, Hindrance> {
        let read = self.secrets.credential(name).await;
        let credential = read.map_err(|error| match error {
            SecretsError::Missing(_) => {
                Hindrance::Token("its personal access token is not there".to_owned())
            }
            error => Hindrance::Ours(edge::problem::chain(&error)),
        })?;
        let entry = (credential.clone(), Instant::now());
        self.links.tokens().insert(name.clone(), entry);
        Ok(credential)
    }

    /// Looks at an integration's token anew; whether it is another one than was used.
    pub(crate) async fn has_a_new_token(&self, name: &IntegrationName) -> Result<bool, Hindrance> {
        let Some(Credential::PersonalAccessToken(used)) = self.links.forget(name) else {
            return Ok(false);
        };
        match self.read_credential(name).await {
            Ok(Credential::PersonalAccessToken(now)) => Ok(now.expose() != used.expose()),
            Err(Hindrance::Token(_)) => Ok(false),
            Err(hindrance) => Err(hindrance),
        }
    }
}

impl From<AdoError> for Hindrance {
    fn from(error: AdoError) -> Self {
        let words = domain::summary::plain(&error.to_string());
        if matches!(error, AdoError::SignInPage) {
            Self::SignIn(words)
        } else if error.is_about_the_token() {
            Self::Token(words)
        } else {
            let after = error
                .retry_after()
                .map(|seconds| Duration::from_secs(seconds.into()));
            Self::Passing(words, after)
        }
    }
}
