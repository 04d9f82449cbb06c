//! What a service hook tells, with what every field that may be absent being optional: absent means unknown, not
//! empty.
//!
//! It never knows how Azure DevOps spells any of it (that is the `envelope` crate's).

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The type of an event, in Azure DevOps' own spelling.
///
/// Source: <https://learn.microsoft.com/en-us/azure/devops/service-hooks/events>.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum EventType {
    /// `git.push`, "Code pushed".
    GitPush,
    /// `git.pullrequest.created`, "Pull request created".
    PullRequestCreated,
    /// `git.pullrequest.merged`, "Pull request merge attempted": every trial merge, not only the last one.
    PullRequestMergeAttempted,
    /// `git.pullrequest.updated`, "Pull request updated"; what changed is not told.
    PullRequestUpdated,
    /// `ms.vss-code.git-pullrequest-comment-event`, "Pull request commented on".
    PullRequestCommented,
    /// Any other; kept and shown, never acted upon.
    Other(String),
}

impl EventType {
    /// Azure DevOps' spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::GitPush => "git.push",
            Self::PullRequestCreated => "git.pullrequest.created",
            Self::PullRequestMergeAttempted => "git.pullrequest.merged",
            Self::PullRequestUpdated => "git.pullrequest.updated",
            Self::PullRequestCommented => "ms.vss-code.git-pullrequest-comment-event",
            Self::Other(name) => name,
        }
    }
}

impl FromStr for EventType {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "git.push" => Self::GitPush,
            "git.pullrequest.created" => Self::PullRequestCreated,
            "git.pullrequest.merged" => Self::PullRequestMergeAttempted,
            "git.pullrequest.updated" => Self::PullRequestUpdated,
            "ms.vss-code.git-pullrequest-comment-event" => Self::PullRequestCommented,
            other => Self::Other(other.to_owned()),
        })
    }
}

impl From<String> for EventType {
    fn from(text: String) -> Self {
        match text.parse() {
            Ok(event_type) => event_type,
            Err(never) => match never {},
        }
    }
}

impl From<EventType> for String {
    fn from(event_type: EventType) -> Self {
        event_type.as_str().to_owned()
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Refs of a repository changed.
    Push(Push),
    /// A pull request was created, updated, or a merge of it was attempted.
    PullRequest(PullRequestChange, PullRequest),
    /// A comment on a pull request was made, edited or deleted.
    Comment(Comment),
    /// An event without details: its subscription asks for none (`resourceDetailsToSend` is `none`).
    WithoutDetails,
    /// An event of a type that Stackhook does not act upon.
    Other,
}

impl Event {
    /// The repository it happened in, where that is known.
    #[must_use]
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Push(push) => push.repository.as_ref(),
            Self::PullRequest(_, pull_request) => pull_request.repository.as_ref(),
            Self::Comment(comment) => comment.pull_request.as_ref()?.repository.as_ref(),
            Self::WithoutDetails | Self::Other => None,
        }
    }
}

/// A repository as an event names it. The id is what counts: names and URLs change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    /// The repository's GUID.
    pub id: Option<String>,
    /// Its name at the time.
    pub name: Option<String>,
    /// The GUID of its project.
    pub project_id: Option<String>,
    /// The name of its project at the time.
    pub project_name: Option<String>,
}

/// A push: one or more refs of one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Push {
    /// The name of who pushed, for people.
    pub pushed_by: Option<String>,
    /// The repository pushed to.
    pub repository: Option<Repository>,
    /// Every ref that changed.
    pub ref_updates: Vec<RefUpdate>,
    /// How many commits the event lists; `None` where the list is absent, which says nothing about the push.
    pub commits: Option<usize>,
    /// The push's number in its repository.
    pub push_id: Option<i64>,
    /// The full name of the ref of the repository's default branch; absent while it is empty.
    pub default_branch: Option<String>,
}

/// One ref, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUpdate {
    /// The full ref name, such as `refs/heads/main`.
    pub name: String,
    /// The object it pointed to, forty hexadecimal digits; all zeros where it did not exist.
    pub old_object_id: Option<String>,
    /// The object it points to now; all zeros where it is gone.
    pub new_object_id: Option<String>,
    /// Whether the event says that history was rewritten. Azure DevOps says so only sometimes.
    pub forced: bool,
}

/// Whether the id of an object says that there is none. Source: facts 4.2, forty zeros.
#[must_use]
pub fn is_no_object(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte == b'0')
}

/// What a ref's objects say happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefChange {
    /// It did not exist before.
    Created,
    /// It exists no more.
    Deleted,
    /// It points to another object than before, or that is not told.
    Moved,
}

impl RefUpdate {
    /// What happened to the ref.
    #[must_use]
    pub fn change(&self) -> RefChange {
        let is_nothing = |id: &Option<String>| id.as_deref().is_some_and(is_no_object);
        match (
            is_nothing(&self.old_object_id),
            is_nothing(&self.new_object_id),
        ) {
            (_, true) => RefChange::Deleted,
            (true, false) => RefChange::Created,
            (false, false) => RefChange::Moved,
        }
    }
}

/// What kind of event a pull request's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullRequestChange {
    /// It was opened.
    Created,
    /// Azure DevOps tried to merge it, for a test or for good.
    MergeAttempted,
    /// Something about it changed; the payload does not say what, its message gives a hint.
    Updated(UpdateHint),
}

/// What the message of an "updated" event hints at. For showing to people only: the message is localised, and nothing may
/// be decided by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateHint {
    /// The source branch was pushed to.
    SourceBranch,
    /// Reviewers were added or removed.
    Reviewers,
    /// A reviewer voted for it.
    Approved,
    /// A reviewer voted for it, with suggestions.
    ApprovedWithSuggestions,
    /// A reviewer waits for its author.
    WaitingForAuthor,
    /// A reviewer voted against it.
    Rejected,
    /// A vote that is not told, or taken back.
    Vote,
    /// It was reactivated after having been abandoned.
    Reactivated,
    /// A draft was published.
    Published,
    /// It was made a draft again.
    MadeDraft,
    /// Its target branch was changed.
    TargetBranch,
    /// Nothing is known.
    #[default]
    None,
}

/// A pull request at the moment of the event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number, `pullRequestId`.
    pub number: Option<i64>,
    /// Its title: text that anybody may write.
    pub title: Option<String>,
    /// `active`, `abandoned`, `completed` or `notSet`.
    pub status: Option<String>,
    /// Whether it is a draft.
    pub is_draft: bool,
    /// The full name of the ref it comes from.
    pub source_ref: Option<String>,
    /// The full name of the ref it goes into.
    pub target_ref: Option<String>,
    /// The head of the source at the last trial merge (`lastMergeSourceCommit`); it can lag a push.
    pub source_commit: Option<String>,
    /// The commit that the last merge made (`lastMergeCommit`).
    pub merge_commit: Option<String>,
    /// `notSet`, `queued`, `conflicts`, `succeeded`, `rejectedByPolicy` or `failure`.
    pub merge_status: Option<String>,
    /// Who opened it, for people.
    pub created_by: Option<String>,
    /// Who completed or abandoned it, for people.
    pub closed_by: Option<String>,
    /// The repository it goes into.
    pub repository: Option<Repository>,
    /// The fork it comes from, where it comes from one.
    pub fork: Option<Repository>,
    /// Whether Azure DevOps counts its iterations.
    pub supports_iterations: Option<bool>,
}

/// A comment on a pull request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comment {
    /// The comment's number in its thread.
    pub id: Option<i64>,
    /// The number of its thread in the pull request.
    pub thread: Option<i64>,
    /// Who wrote it, for people.
    pub author: Option<String>,
    /// What it says; absent in a deleted one.
    pub content: Option<String>,
    /// What happened to it.
    pub change: CommentChange,
    /// The pull request; absent in resource version 1.0, which sends the bare comment.
    pub pull_request: Option<PullRequest>,
}

/// What happened to a comment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommentChange {
    /// It is new.
    #[default]
    Made,
    /// Its text was changed.
    Edited,
    /// It was deleted.
    Deleted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_zeros_say_whether_a_ref_was_created_or_deleted() {
        let update = |old: &str, new: &str| RefUpdate {
            name: "refs/heads/a".to_owned(),
            old_object_id: Some(old.to_owned()),
            new_object_id: Some(new.to_owned()),
            forced: false,
        };
        let (none, some) = ("0".repeat(40), "1a".repeat(20));
        assert_eq!(update(&none, &some).change(), RefChange::Created);
        assert_eq!(update(&some, &none).change(), RefChange::Deleted);
        assert_eq!(update(&some, &some).change(), RefChange::Moved);
    }
}
