//! What developers do: push, open and change pull requests, comment. Each deed changes the world and publishes the events it causes.
//! It knows nothing of HTTP: control stands in for the keyboard, and the REST API uses it where a call causes an event.

pub(crate) mod comments;
pub(crate) mod pull_requests;
pub(crate) mod push;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

use crate::ledger::PublishedEvent;
use crate::state::git::Repository;
use crate::state::people::Person;
use crate::state::{Organization, World};

/// Why something was not done.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Bad(String),
}

/// What was done: the thing as it is now, and the events published for it.
#[derive(Serialize, Debug)]
pub(crate) struct Done {
    #[serde(flatten)]
    pub(crate) result: Value,
    pub(crate) events: Vec<PublishedEvent>,
}

/// Where and when something is done. The world's lock is held.
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a mut World,
    /// The organization's name as it is spelled.
    pub(crate) organization: String,
    pub(crate) now: Timestamp,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(
        world: &'a mut World,
        organization: &str,
        now: Timestamp,
    ) -> Result<Self, Refused> {
        let found = world
            .organization(organization)
            .ok_or_else(|| not_found("organization", organization))?;
        let organization = found.name.clone();
        Ok(Self {
            world,
            organization,
            now,
        })
    }

    pub(crate) fn organization(&self) -> Result<&Organization, Refused> {
        self.world
            .organization(&self.organization)
            .ok_or_else(|| not_found("organization", &self.organization))
    }

    pub(crate) fn organization_mut(&mut self) -> Result<&mut Organization, Refused> {
        let Self {
            world,
            organization,
            ..
        } = self;
        world
            .organization_mut(organization)
            .ok_or_else(|| not_found("organization", organization))
    }

    pub(crate) fn repository(&self, id: Uuid) -> Result<&Repository, Refused> {
        self.organization()?
            .repository(id)
            .ok_or_else(|| not_found("repository", &id.to_string()))
    }

    /// The person who does it: the one that is named, or else the organization's usual developer.
    pub(crate) fn person(&self, name: Option<&str>) -> Result<Person, Refused> {
        let organization = self.organization()?;
        match name {
            Some(name) => organization
                .person(name)
                .cloned()
                .ok_or_else(|| not_found("person", name)),
            None => Ok(organization
                .people
                .get(1)
                .unwrap_or(&organization.people[0])
                .clone()),
        }
    }

    /// When the envelope of what happens now is dated.
    pub(crate) fn created_date(&self) -> Timestamp {
        self.world.created_date(self.now)
    }

    pub(crate) fn publish(&mut self, event: &crate::events::Event) -> PublishedEvent {
        self.world.publish(&self.organization, event, self.now)
    }
}

pub(crate) fn not_found(what: &str, name: &str) -> Refused {
    Refused::NotFound(format!("There is no {what} \"{name}\"."))
}

pub(crate) fn bad<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Bad(message.into()))
}
