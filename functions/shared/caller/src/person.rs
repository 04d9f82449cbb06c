//! Whoever runs the program: AWS' usual chain of credentials.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_config::{
    Region,
    default_provider::{credentials::DefaultCredentialsChain, region::DefaultRegionChain},
    meta::region::RegionProviderChain,
};
use aws_credential_types::{
    Credentials,
    provider::{
        ProvideCredentials, Result as Provided, SharedCredentialsProvider,
        future::ProvideCredentials as Providing,
    },
};
use tokio::sync::Mutex;

use crate::{Caller, Trouble, causes, region_of};

/// How long before their end credentials are asked for anew.
const MARGIN: Duration = Duration::from_secs(60);
/// For how long those are kept that do not say when they end: a person may replace them while the program runs.
const KEPT: Duration = Duration::from_secs(30);

/// Whoever runs the program.
#[derive(Clone, Debug)]
pub struct Person {
    region: Option<String>,
    credentials: SharedCredentialsProvider,
}

impl Person {
    /// With AWS' usual chain: the environment, a profile, SSO, a role. `region` is the one that was given, if any; a role is
    /// asked for in that one, or in the one of the `url` that is to be called.
    #[must_use]
    pub fn of_this_machine(region: Option<String>, url: &str) -> Self {
        let chain = Chain {
            region: region.clone().or_else(|| region_of(url)),
            kept: Arc::default(),
        };
        Self::new(region, SharedCredentialsProvider::new(chain))
    }

    /// With given credentials.
    #[must_use]
    pub fn new(region: Option<String>, credentials: SharedCredentialsProvider) -> Self {
        Self {
            region,
            credentials,
        }
    }

    /// Calls what has this URL, in the region that was given, or that the URL says, or that is usual for this person.
    ///
    /// # Errors
    ///
    /// [`Trouble::NoRegion`], or as [`Caller::new`].
    pub async fn caller(&self, url: String) -> Result<Caller, Trouble> {
        let region = match self.region.clone().or_else(|| region_of(&url)) {
            Some(region) => region,
            None => DefaultRegionChain::builder()
                .build()
                .region()
                .await
                .ok_or(Trouble::NoRegion)?
                .to_string(),
        };
        Caller::new(url, region, self.credentials.clone())
    }

    /// Whether there are credentials now.
    ///
    /// # Errors
    ///
    /// [`Trouble::NoCredentials`].
    pub async fn has_credentials(&self) -> Result<(), Trouble> {
        match self.credentials.provide_credentials().await {
            Ok(_credentials) => Ok(()),
            Err(error) => Err(Trouble::NoCredentials(causes(&error))),
        }
    }
}

/// AWS' usual chain, begun anew whenever it is asked: one that has read a profile once does not see that it has changed, or
/// that there is one by now. What it gave is kept for a while, since it may be a call of SSO or a program to start.
#[derive(Clone, Debug)]
struct Chain {
    region: Option<String>,
    kept: Arc<Mutex<Option<Kept>>>,
}

#[derive(Debug)]
struct Kept {
    credentials: Credentials,
    until: SystemTime,
}

impl Kept {
    fn new(credentials: Credentials, now: SystemTime) -> Self {
        let until = match credentials.expiry() {
            Some(end) => end.checked_sub(MARGIN),
            None => now.checked_add(KEPT),
        };
        Self {
            credentials,
            until: until.unwrap_or(now),
        }
    }
}

impl ProvideCredentials for Chain {
    fn provide_credentials<'a>(&'a self) -> Providing<'a>
    where
        Self: 'a,
    {
        Providing::new(self.provide())
    }
}

impl Chain {
    async fn provide(&self) -> Provided {
        // Whoever comes meanwhile waits, and is given the same.
        let mut kept = self.kept.lock().await;
        let now = SystemTime::now();
        if let Some(kept) = kept.as_ref().filter(|it| it.until > now) {
            return Ok(kept.credentials.clone());
        }
        let region = self.region.clone().map(Region::new);
        let credentials = DefaultCredentialsChain::builder()
            .region(RegionProviderChain::first_try(region).or_default_provider())
            .build()
            .await
            .provide_credentials()
            .await?;
        *kept = Some(Kept::new(credentials.clone(), now));
        Ok(credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept_for(expiry: Option<Duration>) -> Duration {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let expiry = expiry.map(|it| now + it);
        let credentials = Credentials::new("AKID", "secret", None, expiry, "test");
        let kept = Kept::new(credentials, now);
        kept.until.duration_since(now).unwrap_or_default()
    }

    #[test]
    fn credentials_are_kept_until_shortly_before_they_end() {
        assert_eq!(kept_for(None), KEPT);
        let hour = Duration::from_secs(3_600);
        assert_eq!(kept_for(Some(hour)), hour - MARGIN);
        assert_eq!(kept_for(Some(MARGIN / 2)), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_region_that_is_given_goes_before_the_one_of_the_url() {
        let keys = Credentials::new("AKID", "secret", None, None, "test");
        let keys = SharedCredentialsProvider::new(keys);
        let url = "https://abc.lambda-url.eu-central-1.on.aws";
        for (given, expected) in [(None, "eu-central-1"), (Some("eu-west-2"), "eu-west-2")] {
            let person = Person::new(given.map(str::to_owned), keys.clone());
            let caller = person.caller(url.to_owned()).await.unwrap();
            assert_eq!(caller.region(), expected);
        }
    }
}
