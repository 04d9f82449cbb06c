//! Pull requests and their iterations, as far as they say what to plan and where to report. Nothing here is kept, and nothing
//! is changed.
//!
//! Sources: Microsoft's `git.json` (`GitPullRequest`, `GitPullRequestIteration`), facts 4.3, 6.1 and 6.2.

use jiff::Timestamp;
use serde::Deserialize;

use crate::{AdoClient, AdoError, Operation, wire};

/// A pull request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "PullRequestView")]
pub struct PullRequest {
    /// Its number.
    pub number: Option<i64>,
    /// Its title.
    pub title: Option<String>,
    /// `active`, `abandoned`, `completed` or `notSet`.
    pub status: Option<String>,
    /// Whether it is a draft.
    pub is_draft: bool,
    /// The full name of the ref that it merges.
    pub source_ref: Option<String>,
    /// The full name of the ref that it merges into.
    pub target_ref: Option<String>,
    /// The head of the source when Azure DevOps last tried the merge, which may be later than the push.
    pub source_commit: Option<String>,
    /// Whether the source is in a fork.
    pub is_fork: bool,
    /// Whether a status may name an iteration.
    pub supports_iterations: Option<bool>,
    /// When it was opened.
    pub created: Option<Timestamp>,
    /// When it was completed or abandoned.
    pub closed: Option<Timestamp>,
}

/// A pull request of a list, which may be of several repositories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "PullRequestView")]
pub struct ListedPullRequest {
    /// The pull request.
    pub pull_request: PullRequest,
    /// The id of the repository that it merges into.
    pub repository_id: Option<String>,
}

/// A state of a pull request's source that there is to review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iteration {
    /// Its number within the pull request.
    pub id: i64,
    /// The head of the source in it.
    pub source_commit: Option<String>,
}

impl AdoClient {
    /// A pull request of a repository.
    ///
    /// # Errors
    ///
    /// [`AdoError`].
    pub async fn pull_request(
        &self,
        project: &str,
        repository: &str,
        number: i64,
    ) -> Result<PullRequest, AdoError> {
        let number = number.to_string();
        let (pull_request, _) = self
            .ask(Operation::PullRequest, &[project, repository, &number], &[])
            .await?;
        Ok(pull_request)
    }

    /// Up to `most` pull requests of all of a project's repositories, the latest first, after `skip` that are later still.
    /// `status` is `active`, `abandoned`, `completed` or `all`.
    ///
    /// # Errors
    ///
    /// [`AdoError`].
    pub async fn pull_requests(
        &self,
        project: &str,
        status: &str,
        most: u32,
        skip: u32,
    ) -> Result<Vec<ListedPullRequest>, AdoError> {
        self.list(
            Operation::PullRequestsOfProject,
            &[project],
            status,
            most,
            skip,
        )
        .await
    }

    /// The same of one repository.
    ///
    /// # Errors
    ///
    /// [`AdoError`].
    pub async fn pull_requests_of(
        &self,
        project: &str,
        repository: &str,
        status: &str,
        most: u32,
        skip: u32,
    ) -> Result<Vec<ListedPullRequest>, AdoError> {
        let names = [project, repository];
        self.list(
            Operation::PullRequestsOfRepository,
            &names,
            status,
            most,
            skip,
        )
        .await
    }

    async fn list(
        &self,
        operation: Operation,
        names: &[&str],
        status: &str,
        most: u32,
        skip: u32,
    ) -> Result<Vec<ListedPullRequest>, AdoError> {
        let (most, skip) = (most.to_string(), skip.to_string());
        let query = [
            ("searchCriteria.status", status),
            ("$top", most.as_str()),
            ("$skip", skip.as_str()),
        ];
        Ok(self.page(operation, names, &query).await?.items)
    }

    /// The iterations of a pull request, the first one first. Azure DevOps does not page them.
    ///
    /// # Errors
    ///
    /// [`AdoError`].
    pub async fn iterations(
        &self,
        project: &str,
        repository: &str,
        number: i64,
    ) -> Result<Vec<Iteration>, AdoError> {
        let number = number.to_string();
        let page = self
            .page::<IterationView>(Operation::Iterations, &[project, repository, &number], &[])
            .await?;
        Ok(page
            .items
            .into_iter()
            .filter_map(IterationView::iteration)
            .collect())
    }
}

/// `GitPullRequest`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PullRequestView {
    pull_request_id: Option<i64>,
    title: Option<String>,
    status: Option<String>,
    is_draft: Option<bool>,
    source_ref_name: Option<String>,
    target_ref_name: Option<String>,
    last_merge_source_commit: Option<CommitReference>,
    fork_source: Option<ForkSource>,
    supports_iterations: Option<bool>,
    repository: Option<RepositoryReference>,
    #[serde(default, deserialize_with = "wire::date")]
    creation_date: Option<Timestamp>,
    #[serde(default, deserialize_with = "wire::date")]
    closed_date: Option<Timestamp>,
}

/// `GitRepository`.
#[derive(Deserialize)]
struct RepositoryReference {
    id: Option<String>,
}

/// That it is there is what counts.
#[derive(Deserialize)]
struct ForkSource {}

/// `GitPullRequestIteration`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IterationView {
    id: Option<i64>,
    source_ref_commit: Option<CommitReference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitReference {
    commit_id: Option<String>,
}

impl From<PullRequestView> for PullRequest {
    fn from(view: PullRequestView) -> Self {
        Self {
            number: view.pull_request_id,
            title: view.title,
            status: view.status,
            is_draft: view.is_draft.unwrap_or_default(),
            source_ref: view.source_ref_name,
            target_ref: view.target_ref_name,
            source_commit: view.last_merge_source_commit.and_then(|it| it.commit_id),
            is_fork: view.fork_source.is_some(),
            supports_iterations: view.supports_iterations,
            created: view.creation_date,
            closed: view.closed_date,
        }
    }
}

impl From<PullRequestView> for ListedPullRequest {
    fn from(mut view: PullRequestView) -> Self {
        Self {
            repository_id: view.repository.take().and_then(|it| it.id),
            pull_request: view.into(),
        }
    }
}

impl IterationView {
    /// Nothing can be said of one without its number.
    fn iteration(self) -> Option<Iteration> {
        Some(Iteration {
            id: self.id?,
            source_commit: self.source_ref_commit.and_then(|it| it.commit_id),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_of_a_pull_request_may_be_absent_or_null() {
        for view in [
            json!({}),
            json!({ "isDraft": null, "lastMergeSourceCommit": null, "forkSource": null, "title": null }),
            json!({ "lastMergeSourceCommit": {}, "reviewers": [], "more": 1 }),
        ] {
            let read: PullRequest = serde_json::from_value(view).unwrap();
            assert_eq!(read, PullRequest::default());
        }
    }

    #[test]
    fn a_listed_pull_request_says_whose_it_is_where_that_is_said() {
        for (view, expected) in [
            (json!({ "pullRequestId": 7 }), None),
            (json!({ "pullRequestId": 7, "repository": null }), None),
            (json!({ "pullRequestId": 7, "repository": {} }), None),
            (
                json!({ "pullRequestId": 7, "repository": { "id": "r" } }),
                Some("r"),
            ),
        ] {
            let read: ListedPullRequest = serde_json::from_value(view).unwrap();
            assert_eq!(
                (read.pull_request.number, read.repository_id.as_deref()),
                (Some(7), expected)
            );
        }
    }

    #[test]
    fn a_pull_request_of_a_fork_says_so() {
        let view = json!({
            "pullRequestId": 7, "isDraft": true, "supportsIterations": true,
            "lastMergeSourceCommit": { "commitId": "c" }, "forkSource": { "name": "refs/heads/main" },
        });
        let read: PullRequest = serde_json::from_value(view).unwrap();
        assert!(read.is_fork && read.is_draft);
        assert_eq!(
            (
                read.number,
                read.source_commit.as_deref(),
                read.supports_iterations
            ),
            (Some(7), Some("c"), Some(true))
        );
    }

    #[test]
    fn an_iteration_without_its_number_is_left_out() {
        let read = |view| serde_json::from_value::<IterationView>(view).unwrap();
        assert_eq!(
            read(json!({ "sourceRefCommit": { "commitId": "c" } })).iteration(),
            None
        );
        let bare = read(json!({ "id": 2 })).iteration();
        assert_eq!(bare.map(|it| (it.id, it.source_commit)), Some((2, None)));
    }
}
