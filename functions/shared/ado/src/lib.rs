//! A small client of Azure DevOps' REST API 7.1: the calls that Stackhook makes, and every way in which they go
//! wrong.
//!
//! It follows no redirect, calls nothing but the organization it was made for, and keeps no state.
//!
//! Sources: Microsoft's OpenAPI documents (`core.json`, `git.json`), facts/azure-devops.md sections 6 to 8.
//! Why not `azure_devops_rust_api`: functions/README.md, *Decisions*.

mod answer;
mod changes;
mod notifications;
mod operation;
mod pace;
mod pull_requests;
mod pushes;
mod statuses;
mod subscriptions;
mod wire;

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{Credential, Organization};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    RequestBuilder, Response,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::MutexGuard;

pub use answer::{AdoError, Outage};
pub use changes::{Change, Changes, Commit, Since, Version};
pub use notifications::{Notification, NotificationResult, NotificationsWanted};
pub use operation::Operation;
pub use pace::Pace;
pub use pull_requests::{Iteration, ListedPullRequest, PullRequest};
pub use pushes::{Push, PushedRef};
pub use statuses::{NewStatus, StatusState};
pub use subscriptions::{NewSubscription, Subscription};
pub use wire::{Branch, Item, Project, ProjectReference, Repository};

/// Azure DevOps delays calls for up to 30 s before it refuses them (its rate limits page): waiting less would give up on
/// answers that come.
const ANSWER: Duration = Duration::from_secs(40);
/// A host that cannot be connected to within this is not there.
const CONNECT: Duration = Duration::from_secs(10);
/// The identity that Azure DevOps takes a caller without valid credentials for, where an organization has public projects.
const ANONYMOUS: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";

/// The most refs that Azure DevOps gives at once (facts 6.1).
const LARGEST_PAGE: u32 = 1_000;
/// The most pages of refs that are read to find one: a repository with more branches of one beginning is not met.
const MOST_PAGES: usize = 20;

/// What stays as it is in a path segment (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Calls organizations; holds the connections.
#[derive(Clone, Debug)]
pub struct Ado {
    http: reqwest::Client,
}

/// Calls one organization with one credential.
#[derive(Clone, Debug)]
pub struct AdoClient {
    http: reqwest::Client,
    url: String,
    authorization: HeaderValue,
    pace: Option<Arc<Pace>>,
}

/// A page of a listing, and what to ask the next one with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What the page has.
    pub items: Vec<T>,
    /// Azure DevOps' continuation token.
    pub next: Option<String>,
}

impl Ado {
    /// A client with the limits that calling Azure DevOps needs.
    ///
    /// # Errors
    ///
    /// [`AdoError::Unreachable`] where no TLS can be set up.
    pub fn new() -> Result<Self, AdoError> {
        Self::with_patience(ANSWER)
    }

    /// The same for a caller that cannot wait as long for an answer: it gives up on one that takes longer than `answer`.
    ///
    /// # Errors
    ///
    /// [`AdoError::Unreachable`] where no TLS can be set up.
    pub fn with_patience(answer: Duration) -> Result<Self, AdoError> {
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(answer)
            .user_agent(concat!("stackhook/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| AdoError::unreachable(&error))?;
        Ok(Self { http })
    }

    /// A client of one organization.
    ///
    /// # Errors
    ///
    /// [`AdoError::TokenRefused`] for a token that cannot be sent at all.
    pub fn organization(
        &self,
        organization: &Organization,
        credential: &Credential,
    ) -> Result<AdoClient, AdoError> {
        let Credential::PersonalAccessToken(token) = credential;
        let basic = STANDARD.encode(format!(":{}", token.expose()));
        let mut authorization = HeaderValue::from_str(&format!("Basic {basic}"))
            .map_err(|_may_show_it| AdoError::TokenRefused)?;
        authorization.set_sensitive(true);
        Ok(AdoClient {
            http: self.http.clone(),
            url: organization.url().to_owned(),
            authorization,
            pace: None,
        })
    }
}

impl AdoClient {
    /// The same client, as modest as `pace` has it: every call is one of those that it allows.
    #[must_use]
    pub fn paced(mut self, pace: Arc<Pace>) -> Self {
        self.pace = Some(pace);
        self
    }

    /// Whose credential it is, as Azure DevOps shows that person: the first question to a new organization.
    ///
    /// # Errors
    ///
    /// [`AdoError`]; an organization that takes the caller for anonymous has refused the token.
    pub async fn connected_user(&self) -> Result<String, AdoError> {
        let (data, _) = self
            .ask::<wire::ConnectionData>(Operation::ConnectionData, &[], &[])
            .await?;
        let user = data.authenticated_user.ok_or(AdoError::TokenRefused)?;
        match user.id {
            Some(id) if !id.eq_ignore_ascii_case(ANONYMOUS) => Ok(user
                .custom_display_name
                .or(user.provider_display_name)
                .unwrap_or(id)),
            _ => Err(AdoError::TokenRefused),
        }
    }

    /// A page of the projects that the credential can see.
    ///
    /// # Errors
    ///
    /// [`AdoError`].
    pub async fn projects(
        &self,
        most: u32,
        continuation: Option<&str>,
    ) -> Result<Page<Project>, AdoError> {
        let most = most.to_string();
        let mut query = vec![("$top", most.as_str())];
        query.extend(continuation.map(|token| ("continuationToken", token)));
        self.page(Operation::Projects, &[], &query).await
    }

    /// A project, given by name or id.
    ///
    /// # Errors
    ///
    /// [`AdoError`]; one that is not there, or may not be seen, is [`AdoError::NotFound`].
    pub async fn project(&self, project: &str) -> Result<Project, AdoError> {
        let (project, _) = self.ask(Operation::Project, &[project], &[]).await?;
        Ok(project)
    }

    /// The repositories of a project, given by name or id. Azure DevOps does not page them.
    ///
    /// # Errors
    ///
    /// [`AdoError`].
    pub async fn repositories(&self, project: &str) -> Result<Vec<Repository>, AdoError> {
        Ok(self
            .page(Operation::Repositories, &[project], &[])
            .await?
            .items)
    }

    /// A page of the branches of a repository whose names start with `prefix`.
    ///
    /// # Errors
    ///
    /// [`AdoError`].
    pub async fn branches(
        &self,
        project: &str,
        repository: &str,
        prefix: &str,
        most: u32,
        continuation: Option<&str>,
    ) -> Result<Page<Branch>, AdoError> {
        let filter = format!("heads/{prefix}");
        let most = most.to_string();
        let mut query = vec![("filter", filter.as_str()), ("$top", most.as_str())];
        query.extend(continuation.map(|token| ("continuationToken", token)));
        self.page(Operation::Refs, &[project, repository], &query)
            .await
    }

    /// The branch of a repository whose ref has this very name, `refs/heads/…`; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`AdoError`].
    pub async fn branch(
        &self,
        project: &str,
        repository: &str,
        name: &str,
    ) -> Result<Option<Branch>, AdoError> {
        let prefix = name.strip_prefix(domain::stack::HEADS).unwrap_or(name);
        let mut continuation: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let page = self
                .branches(
                    project,
                    repository,
                    prefix,
                    LARGEST_PAGE,
                    continuation.as_deref(),
                )
                .await?;
            // The filter only says how a name begins, and its case need not count.
            let found = page.items.into_iter().find(|branch| branch.name == name);
            if found.is_some() || page.next.is_none() {
                return Ok(found);
            }
            continuation = page.next;
        }
        Err(AdoError::Unexpected("it has too many branches".to_owned()))
    }

    /// What stands at a path of a branch, which is given by its short name; `None` where nothing does.
    ///
    /// # Errors
    ///
    /// [`AdoError`].
    pub async fn item(
        &self,
        project: &str,
        repository: &str,
        branch: &str,
        path: &str,
    ) -> Result<Option<Item>, AdoError> {
        // As a scope: a path alone would give a file's content.
        let scope = format!("/{path}");
        let query = [
            ("scopePath", scope.as_str()),
            ("recursionLevel", "none"),
            ("versionDescriptor.version", branch),
            ("versionDescriptor.versionType", "branch"),
        ];
        match self
            .page(Operation::Items, &[project, repository], &query)
            .await
        {
            Ok(page) => Ok(page.items.into_iter().next()),
            Err(AdoError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn page<T: DeserializeOwned>(
        &self,
        operation: Operation,
        names: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Page<T>, AdoError> {
        let (list, headers) = self.ask::<wire::List<T>>(operation, names, query).await?;
        let next = headers
            .get("x-ms-continuationtoken")
            .and_then(|token| token.to_str().ok());
        Ok(Page {
            items: list.value,
            next: next.filter(|token| !token.is_empty()).map(str::to_owned),
        })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        operation: Operation,
        names: &[&str],
        query: &[(&str, &str)],
    ) -> Result<(T, HeaderMap), AdoError> {
        let request = self.request(operation, names, query)?;
        let (answer, _turn) = self.answer(request).await?;
        answer::read(answer).await
    }

    /// Sends `body`, and wants an answer to it.
    async fn ask_with<T: DeserializeOwned>(
        &self,
        operation: Operation,
        names: &[&str],
        body: &impl Serialize,
    ) -> Result<T, AdoError> {
        let request = self.request(operation, names, &[])?.json(body);
        let (answer, _turn) = self.answer(request).await?;
        let (data, _) = answer::read(answer).await?;
        Ok(data)
    }

    /// Sends `body`, and takes any success for an answer.
    async fn tell(
        &self,
        operation: Operation,
        names: &[&str],
        body: &impl Serialize,
    ) -> Result<(), AdoError> {
        let request = self.request(operation, names, &[])?.json(body);
        let (answer, _turn) = self.answer(request).await?;
        answer::accepted(answer).await
    }

    /// The same without a body.
    async fn tell_nothing(&self, operation: Operation, names: &[&str]) -> Result<(), AdoError> {
        let request = self.request(operation, names, &[])?;
        let (answer, _turn) = self.answer(request).await?;
        answer::accepted(answer).await
    }

    /// Sends a request when it may be sent. No other is until the turn is given back, which is when the answer is read.
    async fn answer(
        &self,
        request: RequestBuilder,
    ) -> Result<(Response, Option<MutexGuard<'_, ()>>), AdoError> {
        let Some(pace) = &self.pace else {
            return Ok((answer::of(request).await?, None));
        };
        let turn = pace.turn().await?;
        let answer = answer::of(request).await?;
        pace.heard(answer.headers());
        Ok((answer, Some(turn)))
    }

    fn request(
        &self,
        operation: Operation,
        names: &[&str],
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder, AdoError> {
        Ok(self
            .http
            .request(operation.method(), self.target(operation, names, query)?)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, "application/json")
            // Asks for a plain 401 where a sign-in page would come.
            .header(HeaderName::from_static("x-tfs-fedauthredirect"), "Suppress"))
    }

    /// The URL of a call: `names` take the places of the path's `{…}`, in order.
    fn target(
        &self,
        operation: Operation,
        names: &[&str],
        query: &[(&str, &str)],
    ) -> Result<String, AdoError> {
        let mut target = self.url.clone();
        let mut names = names.iter();
        for segment in operation.path().split('/') {
            target.push('/');
            if segment.starts_with('{') {
                target.push_str(&named(names.next().unwrap_or(&""))?);
            } else {
                target.push_str(segment);
            }
        }
        target.push_str("?api-version=");
        target.push_str(operation.version());
        for (key, value) in query {
            target.push('&');
            target.push_str(key);
            target.push('=');
            target.push_str(&encoded(value));
        }
        Ok(target)
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A name or id as a path segment. The two that a URL parser takes for a step upwards, even when encoded, name nothing.
fn named(name: &str) -> Result<String, AdoError> {
    match name {
        "" | "." | ".." => Err(AdoError::NotFound(String::new())),
        _ => Ok(encoded(name)),
    }
}

#[cfg(test)]
mod tests {
    use domain::{PersonalAccessToken, credential::Credential};

    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_the_url() {
        let organization =
            Organization::from_pasted_url("https://dev.azure.com/acme", "https://dev.azure.com")
                .unwrap();
        let pasted = "x".repeat(52).into();
        let credential =
            Credential::PersonalAccessToken(PersonalAccessToken::from_pasted(&pasted).unwrap());
        let client = Ado::new()
            .unwrap()
            .organization(&organization, &credential)
            .unwrap();
        assert_eq!(
            client
                .target(
                    Operation::Refs,
                    &["../..//evil?x#y z%2f", "a/b"],
                    &[("filter", "heads/a&b=c")]
                )
                .unwrap(),
            "https://dev.azure.com/acme/..%2F..%2F%2Fevil%3Fx%23y%20z%252f/_apis/git/repositories/a%2Fb/refs?api-version=7.1&filter=heads%2Fa%26b%3Dc"
        );
        for step in ["", ".", ".."] {
            assert!(
                client
                    .target(Operation::Refs, &["Harbor", step], &[])
                    .is_err(),
                "{step}"
            );
        }
        assert!(!format!("{client:?}").contains("xxxx"));
    }
}
