//! Statuses, posted on a commit or a pull request. They are only ever added, and the latest of a genre and name counts; none
//! is read.
//!
//! Sources: Microsoft's `git.json` (`GitStatus`, `GitPullRequestStatus`), facts 6.1 and 6.2.

use serde::Serialize;

use crate::{AdoClient, AdoError, Operation};

/// A status to post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewStatus<'a> {
    /// What it says.
    pub state: StatusState,
    /// The same in words.
    pub description: &'a str,
    /// Where a person reads more.
    pub target_url: Option<&'a str>,
    /// Whose it is; with the name, what it is a status of.
    pub genre: &'a str,
    /// What it is a status of.
    pub name: &'a str,
}

/// What a status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StatusState {
    /// It is not over.
    Pending,
    /// It went well.
    Succeeded,
    /// It did not go well.
    Failed,
    /// It could not be found out.
    Error,
    /// It does not concern this.
    NotApplicable,
}

impl AdoClient {
    /// Adds a status to a commit.
    ///
    /// # Errors
    ///
    /// [`AdoError`].
    pub async fn set_commit_status(
        &self,
        project: &str,
        repository: &str,
        commit: &str,
        status: &NewStatus<'_>,
    ) -> Result<(), AdoError> {
        let names = [project, repository, commit];
        self.tell(Operation::CommitStatus, &names, &body(status, None))
            .await
    }

    /// Adds a status to a pull request, of an iteration if it has them.
    ///
    /// # Errors
    ///
    /// [`AdoError`]; where a policy wants an iteration and none is given, [`AdoError::Denied`] (facts 6.2).
    pub async fn set_pull_request_status(
        &self,
        project: &str,
        repository: &str,
        number: i64,
        iteration: Option<i64>,
        status: &NewStatus<'_>,
    ) -> Result<(), AdoError> {
        let number = number.to_string();
        let names = [project, repository, &number];
        self.tell(
            Operation::PullRequestStatus,
            &names,
            &body(status, iteration),
        )
        .await
    }
}

/// `GitPullRequestStatus`, and `GitStatus` where no iteration is given.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    state: StatusState,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_url: Option<&'a str>,
    context: Context<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iteration_id: Option<i64>,
}

#[derive(Serialize)]
struct Context<'a> {
    genre: &'a str,
    name: &'a str,
}

const fn body<'a>(status: &NewStatus<'a>, iteration: Option<i64>) -> Body<'a> {
    Body {
        state: status.state,
        description: status.description,
        target_url: status.target_url,
        context: Context {
            genre: status.genre,
            name: status.name,
        },
        iteration_id: iteration,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_spelled_as_azure_devops_spells_it() {
        let mut status = NewStatus {
            state: StatusState::NotApplicable,
            description: "No file of it changed",
            target_url: Some("https://example.org/1"),
            genre: "stackhook",
            name: "prod",
        };
        assert_eq!(
            json!(body(&status, Some(2))),
            json!({
                "state": "notApplicable",
                "description": "No file of it changed",
                "targetUrl": "https://example.org/1",
                "context": { "genre": "stackhook", "name": "prod" },
                "iterationId": 2,
            })
        );
        status.target_url = None;
        let bare = json!(body(&status, None));
        assert!(bare.get("targetUrl").is_none() && bare.get("iterationId").is_none());
        for (state, word) in [
            (StatusState::Pending, "pending"),
            (StatusState::Succeeded, "succeeded"),
            (StatusState::Failed, "failed"),
            (StatusState::Error, "error"),
        ] {
            assert_eq!(json!(state), word);
        }
    }
}
