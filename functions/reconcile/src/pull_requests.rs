//! The pull requests of a project that are not as they were seen last.

use std::collections::HashMap;

use ado::{AdoClient, AdoError, PullRequest};
use domain::Guid;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use store::SeenPullRequest;

use crate::{
    compare::Followed,
    pass::{Care, Halt},
    recovered,
};

/// How many pull requests are asked for at once.
const PAGE: u32 = 100;
/// How many pages are read of one project: as many as `baseline` notes.
const MOST_PAGES: u32 = 10;
/// How many repositories' marks are read at once.
const AT_A_TIME: usize = 8;
/// The state of a pull request that is open.
const ACTIVE: &str = "active";
/// How it was seen is known for 90 days: of one that stays as it is, it is noted again after so long.
const STALE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What is open in a repository, by number.
type Open = HashMap<i64, PullRequest>;

/// The open pull requests of a project.
#[derive(Debug, Default)]
struct Listed {
    /// By repository.
    open: HashMap<Guid, Open>,
    /// The lowest number that was listed, where there are more than are read: of what is lower nothing is known.
    from: Option<i64>,
}

impl Care<'_> {
    /// Compares the open pull requests of a project's repositories with how they were seen, and finds out of those that were open
    /// what has become of them. Where `is_stopped`, a person does not want them: they only count as seen.
    pub(crate) async fn compare_pull_requests(
        &mut self,
        client: &AdoClient,
        of_project: &[&Followed],
        is_stopped: bool,
    ) -> Result<(), Halt> {
        let Some(first) = of_project.first() else {
            return Ok(());
        };
        let mut listed = self.open(client, first.project.id.as_str()).await?;
        let (store, name) = (&self.app.store, &self.integration.name);
        let seen: Vec<Vec<SeenPullRequest>> = stream::iter(of_project)
            .map(async |one| store.pull_requests_seen(name, &one.repository.id).await)
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        for (one, seen) in of_project.iter().zip(seen) {
            let open = listed.open.remove(&one.repository.id).unwrap_or_default();
            if is_stopped {
                self.count_as_seen(one, &open).await?;
                continue;
            }
            self.compare_open(one, &open, &seen).await?;
            let gone = |it: &&SeenPullRequest| {
                it.status == ACTIVE
                    && of_those(one, it)
                    && !open.contains_key(&it.number)
                    && listed.from.is_none_or(|from| it.number >= from)
            };
            let gone: Vec<&SeenPullRequest> = seen.iter().filter(gone).collect();
            let compared = self.compare_closed(client, one, &gone).await;
            self.passed_over(one, compared)?;
        }
        Ok(())
    }

    /// Those that are open and not as they were seen.
    async fn compare_open(
        &mut self,
        of: &Followed,
        open: &Open,
        seen: &[SeenPullRequest],
    ) -> Result<(), Halt> {
        let seen: HashMap<i64, &SeenPullRequest> =
            seen.iter().map(|seen| (seen.number, seen)).collect();
        for (number, now) in open {
            let before = seen.get(number).copied();
            let target = now.target_ref.as_deref().unwrap_or_default();
            // One that went into a tracked branch and does not any more has runs that are not wanted.
            let was_wanted = before.is_some_and(|before| of_those(of, before));
            let is_wanted = of.wants_pull_request(target) || was_wanted;
            match before {
                _ if !is_wanted => {}
                None if self.may_be_on_its_way(now.created) => {}
                Some(before) if !differs(before, now) => self.see_again(of, before).await?,
                before => self.recover_pull_request(of, *number, now, before).await?,
            }
        }
        Ok(())
    }

    /// Those that were seen open, and are not among the open ones. Nobody can delete a single one: where one is not to be had, its
    /// repository is gone, or may not be seen any more.
    async fn compare_closed(
        &mut self,
        client: &AdoClient,
        of: &Followed,
        gone: &[&SeenPullRequest],
    ) -> Result<(), Halt> {
        let (project, repository) = (of.project.id.as_str(), of.repository.id.as_str());
        for before in gone {
            let asked = client
                .pull_request(project, repository, before.number)
                .await;
            let now = match asked {
                Ok(now) => now,
                Err(error @ (AdoError::NotFound(_) | AdoError::Denied(_))) => {
                    return Err(error.into());
                }
                Err(error) => {
                    self.passed_over(of, Err(error.into()))?;
                    continue;
                }
            };
            // One that was opened again, or moved from page to page, while they were listed is as it was.
            if differs(before, &now) && !self.may_be_on_its_way(now.closed) {
                self.recover_pull_request(of, before.number, &now, Some(before))
                    .await?;
            }
        }
        Ok(())
    }

    async fn recover_pull_request(
        &mut self,
        of: &Followed,
        number: i64,
        now: &PullRequest,
        before: Option<&SeenPullRequest>,
    ) -> Result<(), Halt> {
        let place = (&of.project, &of.repository);
        let since = before.map(|before| before.read_at);
        let body = recovered::pull_request(place, number, now, since, self.now);
        self.recover(&body).await
    }

    /// Whether what happened then may have an event that is still on its way.
    fn may_be_on_its_way(&self, happened: Option<Timestamp>) -> bool {
        happened.is_some_and(|happened| happened > self.now - self.app.settings.in_flight)
    }

    /// Notes once more how a pull request is that stays as it is: forgotten, it would be taken for a new one.
    async fn see_again(&self, of: &Followed, before: &SeenPullRequest) -> Result<(), Halt> {
        if self.now.duration_since(before.read_at) > STALE {
            let seen = SeenPullRequest {
                read_at: self.now,
                ..before.clone()
            };
            let (store, name) = (&self.app.store, &self.integration.name);
            store
                .saw_pull_request(name, &of.repository.id, &seen)
                .await?;
        }
        Ok(())
    }

    async fn count_as_seen(&self, of: &Followed, open: &Open) -> Result<(), Halt> {
        let seen: Vec<SeenPullRequest> = open
            .iter()
            .map(|(number, now)| SeenPullRequest {
                number: *number,
                commits: now.source_commit.iter().cloned().collect(),
                status: ACTIVE.to_owned(),
                is_draft: now.is_draft,
                target_ref: now.target_ref.clone().unwrap_or_default(),
                read_at: self.now,
            })
            .collect();
        let (store, name) = (&self.app.store, &self.integration.name);
        store
            .begin_with_pull_requests(name, &of.repository.id, &seen)
            .await?;
        Ok(())
    }

    /// The open pull requests of a project, the latest ones.
    async fn open(&self, client: &AdoClient, project: &str) -> Result<Listed, Halt> {
        let mut listed = Listed::default();
        let mut lowest: Option<i64> = None;
        for page in 0..MOST_PAGES {
            let found = client
                .pull_requests(project, ACTIVE, PAGE, page * PAGE)
                .await?;
            let is_last = found.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            for one in found {
                let repository = one.repository_id.as_deref().and_then(|id| id.parse().ok());
                if let (Some(repository), Some(number)) = (repository, one.pull_request.number) {
                    lowest = Some(lowest.map_or(number, |lowest| lowest.min(number)));
                    let of_repository = listed.open.entry(repository).or_default();
                    of_repository.insert(number, one.pull_request);
                }
            }
            if is_last {
                return Ok(listed);
            }
        }
        tracing::warn!(
            integration = self.integration.name.as_str(),
            project,
            "there are more open pull requests than are compared; older ones are not"
        );
        listed.from = lowest;
        Ok(listed)
    }
}

/// Whether a pull request went into a branch of a stack when it was seen.
fn of_those(of: &Followed, seen: &SeenPullRequest) -> bool {
    of.wants_pull_request(&seen.target_ref)
}

/// Whether a pull request is another than it was seen; what is not told is not another. The commit of its last trial merge lags,
/// and so does not tell that it is when it is one that was seen.
fn differs(before: &SeenPullRequest, now: &PullRequest) -> bool {
    let is_known = |commit: &String| before.commits.contains(commit);
    let status = now.status.as_ref();
    status.is_some_and(|it| *it != before.status)
        || before.is_draft != now.is_draft
        || now
            .target_ref
            .as_ref()
            .is_some_and(|it| *it != before.target_ref)
        || now.source_commit.as_ref().is_some_and(|it| !is_known(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_request_is_another_by_its_commit_target_draft_or_status() {
        let before = SeenPullRequest {
            number: 3,
            commits: vec!["latest".to_owned(), "merged".to_owned()],
            status: ACTIVE.to_owned(),
            is_draft: false,
            target_ref: "refs/heads/main".to_owned(),
            read_at: "2026-11-25T08:00:00Z".parse().unwrap(),
        };
        let now = |change: fn(&mut PullRequest)| {
            let mut now = PullRequest {
                status: Some(ACTIVE.to_owned()),
                source_commit: Some("merged".to_owned()),
                target_ref: Some("refs/heads/main".to_owned()),
                ..PullRequest::default()
            };
            change(&mut now);
            now
        };
        for same in [
            now(|_| {}),
            now(|it| it.source_commit = Some("latest".to_owned())),
            now(|it| it.source_commit = None),
            now(|it| it.title = Some("another".to_owned())),
            now(|it| it.target_ref = None),
            now(|it| it.status = None),
        ] {
            assert!(!differs(&before, &same), "{same:?}");
        }
        for other in [
            now(|it| it.source_commit = Some("new".to_owned())),
            now(|it| it.is_draft = true),
            now(|it| it.target_ref = Some("refs/heads/develop".to_owned())),
            now(|it| it.status = Some("completed".to_owned())),
        ] {
            assert!(differs(&before, &other), "{other:?}");
        }
        let closed = SeenPullRequest {
            status: "abandoned".to_owned(),
            ..before
        };
        assert!(differs(&closed, &now(|_| {})));
    }
}
