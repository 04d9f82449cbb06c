//! The pull requests of a project that are not as they were seen last.

use std::collections::HashMap;

use ado::{AdoClient, AdoError, PullRequest};
use domain::Guid;
use futures::{StreamExt, TryStreamExt, stream};
use store::SeenPullRequest;

use crate::{
    compare::Followed,
    pass::{Care, Halt},
    recovered,
};

/// How many pull requests are asked for at once.
const PAGE: u32 = 100;
/// How many pages are read of one project.
const MOST_PAGES: u32 = 20;
/// How many repositories' marks are read at once.
const AT_A_TIME: usize = 8;
/// The state of a pull request that is open.
const ACTIVE: &str = "active";

/// What is open in a repository, by number.
type Open = HashMap<i64, PullRequest>;

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
        let mut open = open(client, first.project.id.as_str()).await?;
        let (store, name) = (&self.app.store, &self.integration.name);
        let seen: Vec<Vec<SeenPullRequest>> = stream::iter(of_project)
            .map(async |one| store.pull_requests_seen(name, &one.repository.id).await)
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        for (one, seen) in of_project.iter().zip(seen) {
            let open = open.remove(&one.repository.id).unwrap_or_default();
            if is_stopped {
                self.count_as_seen(one, &open).await?;
            } else {
                self.compare_open(one, &open, &seen).await?;
                self.compare_closed(client, one, &open, &seen).await?;
            }
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
            let before = seen.get(number);
            let target = now.target_ref.as_deref().unwrap_or_default();
            // One that went into a tracked branch and does not any more has runs that are not wanted.
            let was_wanted = before.is_some_and(|it| of.wants_pull_request(&it.target_ref));
            let is_wanted = of.wants_pull_request(target) || was_wanted;
            if is_wanted && before.is_none_or(|before| differs(before, now)) {
                let body =
                    recovered::pull_request((&of.project, &of.repository), *number, now, self.now);
                self.recover(&body).await?;
            }
        }
        Ok(())
    }

    /// Those that were seen open, and are not among the open ones.
    async fn compare_closed(
        &mut self,
        client: &AdoClient,
        of: &Followed,
        open: &Open,
        seen: &[SeenPullRequest],
    ) -> Result<(), Halt> {
        for before in seen {
            let number = before.number;
            let was_wanted = before.status == ACTIVE && of.wants_pull_request(&before.target_ref);
            if !was_wanted || open.contains_key(&number) {
                continue;
            }
            let (project, repository) = (of.project.id.as_str(), of.repository.id.as_str());
            match client.pull_request(project, repository, number).await {
                Ok(now) => {
                    let place = (&of.project, &of.repository);
                    let body = recovered::pull_request(place, number, &now, self.now);
                    self.recover(&body).await?;
                }
                // Gone with its repository, or not to be seen any more.
                Err(AdoError::NotFound(_) | AdoError::Denied(_)) => {}
                Err(error) => return Err(error.into()),
            }
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
}

/// The open pull requests of a project, by repository.
async fn open(client: &AdoClient, project: &str) -> Result<HashMap<Guid, Open>, Halt> {
    let mut open: HashMap<Guid, Open> = HashMap::new();
    for page in 0..MOST_PAGES {
        let found = client
            .pull_requests(project, ACTIVE, PAGE, page * PAGE)
            .await?;
        let is_last = found.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        for one in found {
            let repository = one.repository_id.as_deref().and_then(|id| id.parse().ok());
            if let (Some(repository), Some(number)) = (repository, one.pull_request.number) {
                let of_repository = open.entry(repository).or_default();
                of_repository.insert(number, one.pull_request);
            }
        }
        if is_last {
            break;
        }
    }
    Ok(open)
}

/// Whether a pull request is another than it was seen. The commit of its last trial merge lags, and so does not tell that it is
/// when it is one that was seen.
fn differs(before: &SeenPullRequest, now: &PullRequest) -> bool {
    let is_known = |commit: &String| before.commits.contains(commit);
    before.status != ACTIVE
        || before.is_draft != now.is_draft
        || now.target_ref.as_ref() != Some(&before.target_ref)
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
        ] {
            assert!(!differs(&before, &same), "{same:?}");
        }
        for other in [
            now(|it| it.source_commit = Some("new".to_owned())),
            now(|it| it.is_draft = true),
            now(|it| it.target_ref = Some("refs/heads/develop".to_owned())),
            now(|it| it.target_ref = None),
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
