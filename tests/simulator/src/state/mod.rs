//! The simulated world: organizations and what is in them. Plain data and lookups.
//! It never answers a request nor sends anything: the API, the developers and the sender do, each holding the lock.

pub(crate) mod git;
pub(crate) mod people;
pub(crate) mod pull_requests;
pub(crate) mod seed;
pub(crate) mod subscriptions;
pub(crate) mod trees;

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::assumptions::Assumptions;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::ledger::Ledger;
use crate::records::Records;
use crate::schedule::Schedule;
use crate::sending::Sending;
use git::Repository;
use people::{Person, Token};
use pull_requests::PullRequest;
use subscriptions::Subscription;

/// Everything the simulator knows.
pub(crate) struct World {
    pub(crate) organizations: Vec<Organization>,
    pub(crate) assumptions: Assumptions,
    pub(crate) faults: Faults,
    pub(crate) records: Records,
    pub(crate) clock: Arc<Clock>,
    /// What the sender will do next.
    pub(crate) schedule: Schedule,
    /// What was published, and what became of it.
    pub(crate) ledger: Ledger,
    pub(crate) sending: Sending,
    /// Notifications that were put on the schedule since `sending` was set.
    pub(crate) sent_off: u64,
    /// Time from what happened to the envelope's `createdDate`; 6.6 to 7.8 s on the real service (facts 3.1).
    pub(crate) publish_lag: std::time::Duration,
}

/// One organization: a collection with projects, repositories, people and subscriptions.
pub(crate) struct Organization {
    pub(crate) name: String,
    pub(crate) collection: Uuid,
    pub(crate) account: Uuid,
    /// `http://…/{name}`, without a trailing slash.
    pub(crate) url: String,
    pub(crate) people: Vec<Person>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) projects: Vec<Project>,
    pub(crate) repositories: Vec<Repository>,
    pub(crate) pull_requests: Vec<PullRequest>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) counters: Counters,
}

/// The numbers an organization gives out.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    pub(crate) push: u32,
    pub(crate) pull_request: u32,
    pub(crate) thread: u32,
    pub(crate) status: u32,
    /// Orders commits: a parent's is always smaller than its child's.
    pub(crate) commit: u64,
    /// Test sends of subscriptions that are not saved (facts 3.3: they have numbers too).
    pub(crate) test: u32,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            push: 1,
            pull_request: 1,
            thread: 1,
            status: 1,
            commit: 1,
            test: 1,
        }
    }
}

/// Gives out the next number of a counter.
pub(crate) fn take<T: Copy + From<u8> + std::ops::AddAssign>(counter: &mut T) -> T {
    let number = *counter;
    *counter += T::from(1);
    number
}

/// A project.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) public: bool,
    pub(crate) revision: u32,
    pub(crate) updated: Timestamp,
}

/// Whether something goes by this id or, whatever its case, by this name.
pub(crate) fn is_called(id: Uuid, name: &str, text: &str) -> bool {
    Uuid::parse_str(text).is_ok_and(|given| given == id)
        || name.to_lowercase() == text.to_lowercase()
}

impl World {
    pub(crate) fn organization(&self, name: &str) -> Option<&Organization> {
        self.organizations
            .iter()
            .find(|it| it.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn organization_mut(&mut self, name: &str) -> Option<&mut Organization> {
        self.organizations
            .iter_mut()
            .find(|it| it.name.eq_ignore_ascii_case(name))
    }

    /// The token of this value and the organization it belongs to. An inactive person's token is nobody's.
    pub(crate) fn token(&self, value: &str) -> Option<(&Organization, &Token)> {
        self.organizations.iter().find_map(|organization| {
            let token = organization.tokens.iter().find(|it| it.value == value)?;
            let is_inactive = organization.person_by_id(token.person).is_inactive;
            (!is_inactive).then_some((organization, token))
        })
    }

    /// Forgets the notifications that the service would not show any more.
    pub(crate) fn forget_old_notifications(&mut self) {
        let now = self.clock.passed();
        for organization in &mut self.organizations {
            for subscription in &mut organization.subscriptions {
                subscription.forget_old(now);
            }
        }
    }
}

impl Organization {
    pub(crate) fn project(&self, text: &str) -> Option<&Project> {
        self.projects
            .iter()
            .find(|it| is_called(it.id, &it.name, text))
    }

    pub(crate) fn project_of(&self, repository: &Repository) -> Option<&Project> {
        self.projects.iter().find(|it| it.id == repository.project)
    }

    /// A repository by id, or by name within a project. Without a project only the id will do, as with the service.
    pub(crate) fn find_repository(&self, project: Option<Uuid>, text: &str) -> Option<&Repository> {
        self.repositories.iter().find(|it| match project {
            Some(project) => it.project == project && is_called(it.id, &it.name, text),
            None => Uuid::parse_str(text).is_ok_and(|given| given == it.id),
        })
    }

    pub(crate) fn repository(&self, id: Uuid) -> Option<&Repository> {
        self.repositories.iter().find(|it| it.id == id)
    }

    pub(crate) fn repository_mut(&mut self, id: Uuid) -> Option<&mut Repository> {
        self.repositories.iter_mut().find(|it| it.id == id)
    }

    pub(crate) fn pull_request(&self, id: u32) -> Option<&PullRequest> {
        self.pull_requests.iter().find(|it| it.id == id)
    }

    pub(crate) fn pull_request_mut(&mut self, id: u32) -> Option<&mut PullRequest> {
        self.pull_requests.iter_mut().find(|it| it.id == id)
    }

    pub(crate) fn subscription(&self, id: Uuid) -> Option<&Subscription> {
        self.subscriptions.iter().find(|it| it.id == id)
    }

    pub(crate) fn subscription_mut(&mut self, id: Uuid) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|it| it.id == id)
    }

    /// A person by id, display name, e-mail address, or the first part of one of them.
    pub(crate) fn person(&self, text: &str) -> Option<&Person> {
        let text = text.to_lowercase();
        self.people
            .iter()
            .find(|it| it.is_called(&text))
            .or_else(|| {
                self.people
                    .iter()
                    .find(|it| it.name.to_lowercase().starts_with(&text))
            })
    }

    /// The person of this id; the first one where it is nobody's, since every organization has an owner.
    pub(crate) fn person_by_id(&self, id: Uuid) -> &Person {
        self.people
            .iter()
            .find(|it| it.id == id)
            .unwrap_or(&self.people[0])
    }

    pub(crate) fn has_public_projects(&self) -> bool {
        self.projects.iter().any(|it| it.public)
    }
}
