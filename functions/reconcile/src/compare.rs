//! What Azure DevOps has against what the stacks have seen: after a gap, and once a day without one. It goes from repository to
//! repository and then from project to project, and where a pass ends the next one goes on.

use std::collections::{BTreeMap, HashMap};

use ado::AdoClient;
use domain::{EventType, Guid, ServiceHook, Stack, progress::Comparison, rules, stack::Reference};
use jiff::{SignedDuration, Timestamp};
use webhook::{Arrival, Kept};

use crate::pass::{Care, Halt, is_stopped};

/// How often it is compared without a gap.
const DAILY: SignedDuration = SignedDuration::from_hours(24);
/// The events that tell of pull requests, each of which the others nearly stand in for.
const OF_PULL_REQUESTS: [EventType; 3] = [
    EventType::PullRequestCreated,
    EventType::PullRequestMergeAttempted,
    EventType::PullRequestUpdated,
];

/// A repository with the stacks that follow it.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    pub(crate) project: Reference,
    pub(crate) repository: Reference,
    stacks: Vec<Stack>,
}

impl Followed {
    /// Whether a push of a ref means anything to a stack: the branch of one; to a module every branch.
    pub(crate) fn wants_push(&self, name: &str) -> bool {
        self.stacks.iter().any(|stack| rules::follows(stack, name))
    }

    /// Whether a ref is the branch of a stack.
    pub(crate) fn tracks(&self, name: &str) -> bool {
        self.stacks.iter().any(|stack| rules::tracks(stack, name))
    }

    /// Whether a pull request into a ref means anything to a stack.
    pub(crate) fn wants_pull_request(&self, target: &str) -> bool {
        self.tracks(target)
    }
}

impl Care<'_> {
    /// Whether a day is over since a comparison.
    pub(crate) fn is_daily_due(&self) -> bool {
        self.progress
            .compared_at
            .is_none_or(|before| self.now.duration_since(before) >= DAILY)
    }

    /// Compares, if there is a reason to; goes on with what an earlier pass has begun.
    pub(crate) async fn compare(
        &mut self,
        client: &AdoClient,
        hooks: &[ServiceHook],
    ) -> Result<(), Halt> {
        if self.progress.comparison.is_none() {
            if self.progress.gap.is_none() && !self.is_daily_due() {
                return Ok(());
            }
            self.progress.comparison = Some(Comparison {
                began: self.now,
                repository: None,
                project: None,
                pushes_done: false,
                stuck: None,
            });
        }
        let followed = self.followed().await?;
        self.compare_all(client, hooks, &followed).await?;
        let Some(comparison) = self.progress.comparison.take() else {
            return Ok(());
        };
        self.progress.compared_at = Some(comparison.began);
        // What was on its way when it began may be missing yet.
        let certain = comparison.began - self.app.settings.in_flight;
        self.progress
            .enabled_again
            .retain(|_, seen_at| *seen_at > certain);
        if self
            .progress
            .gap
            .as_ref()
            .is_some_and(|gap| gap.until <= certain)
        {
            self.progress.gap = None;
        }
        Ok(())
    }

    async fn compare_all(
        &mut self,
        client: &AdoClient,
        hooks: &[ServiceHook],
        followed: &[Followed],
    ) -> Result<(), Halt> {
        let stopped = Stopped::of(hooks, &self.progress.enabled_again);
        let at = |care: &Self| care.progress.comparison.clone();
        if at(self).is_some_and(|it| !it.pushes_done) {
            let after = at(self).and_then(|it| it.repository);
            for one in followed {
                if after
                    .as_ref()
                    .is_some_and(|after| one.repository.id <= *after)
                {
                    continue;
                }
                let after = stopped.pushes.get(&one.project.id).copied();
                let compared = self.compare_pushes(client, one, after).await;
                let compared = self.passed_over(one, compared);
                self.or_stuck(&one.repository.id, one, compared)?;
                self.note_comparison(|it| it.repository = Some(one.repository.id.clone()));
            }
            self.note_comparison(|it| it.pushes_done = true);
        }
        let mut projects: BTreeMap<&Guid, Vec<&Followed>> = BTreeMap::new();
        for one in followed {
            projects.entry(&one.project.id).or_default().push(one);
        }
        let after = at(self).and_then(|it| it.project);
        for (project, of_project) in projects {
            if after.as_ref().is_some_and(|after| project <= after) {
                continue;
            }
            // Of pull requests it is not told when they changed: as they are now, they are what a person did not want to hear of.
            let began = at(self).map(|it| it.began);
            let after = stopped.pull_requests.get(project);
            let is_stopped = after.is_some_and(|after| began.is_none_or(|began| *after >= began));
            let compared = self
                .compare_pull_requests(client, &of_project, is_stopped)
                .await;
            if let Some(first) = of_project.first() {
                let compared = self.passed_over(first, compared);
                self.or_stuck(project, first, compared)?;
            }
            self.note_comparison(|it| it.project = Some(project.clone()));
        }
        Ok(())
    }

    /// One repository, or one project, that cannot be read does not keep the others from being compared.
    pub(crate) fn passed_over(
        &self,
        one: &Followed,
        compared: Result<(), Halt>,
    ) -> Result<(), Halt> {
        match compared {
            Err(halt) if halt.is_of_one_thing() => {
                self.pass_over(one, &halt);
                Ok(())
            }
            compared => compared,
        }
    }

    fn pass_over(&self, one: &Followed, halt: &Halt) {
        tracing::warn!(
            integration = self.integration.name.as_str(),
            repository = one.repository.id.as_str(),
            project = one.project.id.as_str(),
            cause = edge::problem::chain(halt),
            "what cannot be read is not compared"
        );
    }

    /// What Azure DevOps fails to read ends a pass, since it may fail at everything; a second time it keeps nothing else from being
    /// compared. It is found in the next comparison, since up to where it was compared is as before.
    fn or_stuck(
        &mut self,
        at: &Guid,
        one: &Followed,
        compared: Result<(), Halt>,
    ) -> Result<(), Halt> {
        let Err(halt) = compared else { return Ok(()) };
        // What takes more calls than are left of a pass, even of one that began with it, is no reason to stand still either.
        if !halt.is_of_its_side() && !halt.is_spent() {
            return Err(halt);
        }
        let before = self.progress.comparison.as_ref();
        let is_second = before.is_some_and(|it| it.stuck.as_ref() == Some(at));
        self.note_comparison(|it| it.stuck = (!is_second).then(|| at.clone()));
        if is_second {
            self.pass_over(one, &halt);
            return Ok(());
        }
        Err(halt)
    }

    fn note_comparison(&mut self, note: impl FnOnce(&mut Comparison)) {
        if let Some(comparison) = &mut self.progress.comparison {
            note(comparison);
        }
    }

    /// The repositories that stacks of the integration follow, by their ids.
    async fn followed(&self) -> Result<Vec<Followed>, Halt> {
        let mut followed: BTreeMap<Guid, Followed> = BTreeMap::new();
        for stack in self.app.store.linked(&self.integration.name).await? {
            let one = followed
                .entry(stack.repository.id.clone())
                .or_insert_with(|| Followed {
                    project: stack.project.clone(),
                    repository: stack.repository.clone(),
                    stacks: Vec::new(),
                });
            one.stacks.push(stack);
        }
        Ok(followed.into_values().collect())
    }

    /// Keeps what was found as the delivery that it would have been; counts it if it is new.
    pub(crate) async fn recover(&mut self, body: &[u8]) -> Result<(), Halt> {
        let arrival = Arrival {
            name: &self.integration.name,
            body,
            received: self.moment(),
            retention: self.app.settings.retention,
            recovered: true,
        };
        let (kept, _) = webhook::keep(&self.app.store, &arrival).await?;
        if matches!(kept, Kept::Stored(_) | Kept::Beside(_)) {
            self.progress.last.found += 1;
        }
        Ok(())
    }
}

/// The projects of which a person has stopped what would tell of a kind of change, and until when: that is left alone, and nothing is
/// looked for in its place, nor afterwards.
#[derive(Debug, Default)]
struct Stopped {
    pushes: HashMap<Guid, Timestamp>,
    pull_requests: HashMap<Guid, Timestamp>,
}

impl Stopped {
    /// By hooks that are stopped, or were until they were seen enabled again.
    fn of(hooks: &[ServiceHook], enabled_again: &BTreeMap<String, Timestamp>) -> Self {
        let until = |hook: &ServiceHook| {
            let is_now = is_stopped(hook).then_some(Timestamp::MAX);
            is_now.or_else(|| enabled_again.get(hook.id.as_str()).copied())
        };
        let mut stopped = Self::default();
        // One that was not stopped has told of it.
        let of_project = |project: &Guid, events: &[EventType]| {
            let told = hooks
                .iter()
                .filter(|hook| hook.project.id == *project && events.contains(&hook.event_type));
            told.map(until).min().flatten()
        };
        for hook in hooks {
            let project = &hook.project.id;
            if let Some(until) = of_project(project, &[EventType::GitPush]) {
                stopped.pushes.insert(project.clone(), until);
            }
            if let Some(until) = of_project(project, &OF_PULL_REQUESTS) {
                stopped.pull_requests.insert(project.clone(), until);
            }
        }
        stopped
    }
}
