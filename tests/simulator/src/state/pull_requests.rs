//! Pull requests: state, iterations, reviewers, threads, statuses. Data only.
//! What happens to them is in `developer::pull_requests`.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::git::{Commit, RefUpdate};

/// A pull request.
#[derive(Clone, Debug)]
pub(crate) struct PullRequest {
    pub(crate) id: u32,
    /// The repository it merges into.
    pub(crate) repository: Uuid,
    /// The repository its source branch is in: another one for a fork.
    pub(crate) source_repository: Uuid,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) status: PullRequestStatus,
    pub(crate) draft: bool,
    pub(crate) created_by: Uuid,
    pub(crate) created: Timestamp,
    pub(crate) closed: Option<(Uuid, Timestamp)>,
    pub(crate) merge: Merge,
    /// Asked for by control: the trial merge conflicts whatever the trees say.
    pub(crate) conflict: bool,
    pub(crate) completion: Option<Completion>,
    pub(crate) reviewers: Vec<Reviewer>,
    pub(crate) iterations: Vec<Iteration>,
    /// Whether a status may name an iteration (facts 6.2).
    pub(crate) supports_iterations: bool,
    pub(crate) threads: Vec<Thread>,
    pub(crate) statuses: Vec<Status>,
}

/// Where a pull request stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PullRequestStatus {
    Active,
    Abandoned,
    Completed,
}

impl PullRequestStatus {
    pub(crate) fn wire(self) -> &'static str {
        match self {
            PullRequestStatus::Active => "active",
            PullRequestStatus::Abandoned => "abandoned",
            PullRequestStatus::Completed => "completed",
        }
    }
}

/// The latest merge attempt.
#[derive(Clone, Debug)]
pub(crate) struct Merge {
    pub(crate) id: Uuid,
    pub(crate) source: String,
    pub(crate) target: String,
    /// Absent on a conflict (facts 4.3).
    pub(crate) commit: Option<Arc<Commit>>,
}

impl Merge {
    pub(crate) fn status(&self) -> &'static str {
        if self.commit.is_some() {
            "succeeded"
        } else {
            "conflicts"
        }
    }

    /// The word a subscription's `mergeResult` filter has for it.
    pub(crate) fn result(&self) -> &'static str {
        if self.commit.is_some() {
            "Succeeded"
        } else {
            "Conflicts"
        }
    }
}

/// How it was completed.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    pub(crate) message: String,
    pub(crate) squash: bool,
    pub(crate) delete_source: bool,
    pub(crate) queued: Timestamp,
}

/// A reviewer with a vote: 10 approved, 5 with suggestions, 0 none, -5 waiting for the author, -10 rejected.
#[derive(Clone, Debug)]
pub(crate) struct Reviewer {
    pub(crate) person: Uuid,
    pub(crate) vote: i32,
    pub(crate) required: bool,
}

/// One state of the source branch that was reviewed.
#[derive(Clone, Debug)]
pub(crate) struct Iteration {
    pub(crate) id: u32,
    pub(crate) reason: &'static str,
    pub(crate) author: Uuid,
    pub(crate) created: Timestamp,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) common: Option<String>,
    pub(crate) push: Option<u32>,
    /// The targets before and after, where that is the reason.
    pub(crate) retarget: Option<(String, String)>,
}

/// A thread of comments.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) id: u32,
    pub(crate) status: String,
    pub(crate) published: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) comments: Vec<Comment>,
}

/// A comment.
#[derive(Clone, Debug)]
pub(crate) struct Comment {
    /// Counts from 1 within its thread.
    pub(crate) id: u32,
    pub(crate) parent: u32,
    pub(crate) author: Uuid,
    pub(crate) content: String,
    pub(crate) published: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) content_updated: Timestamp,
    pub(crate) deleted: bool,
}

/// A status on a commit or a pull request. They are only ever added (facts 6.2).
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) id: u32,
    pub(crate) state: String,
    pub(crate) description: Option<String>,
    pub(crate) target_url: Option<String>,
    pub(crate) name: String,
    pub(crate) genre: Option<String>,
    pub(crate) iteration: Option<u32>,
    pub(crate) by: Uuid,
    pub(crate) created: Timestamp,
}

impl PullRequest {
    /// Whether an active pull request is fed by a ref that moved.
    pub(crate) fn follows(&self, repository: Uuid, update: &RefUpdate) -> bool {
        self.status == PullRequestStatus::Active
            && self.source_repository == repository
            && self.source == update.name
    }

    pub(crate) fn iteration(&self, id: u32) -> Option<&Iteration> {
        self.iterations.iter().find(|it| it.id == id)
    }

    pub(crate) fn thread(&self, id: u32) -> Option<&Thread> {
        self.threads.iter().find(|it| it.id == id)
    }

    pub(crate) fn comment_mut(
        &mut self,
        thread: u32,
        comment: u32,
    ) -> Option<(&mut Timestamp, &mut Comment)> {
        let thread = self.threads.iter_mut().find(|it| it.id == thread)?;
        let comment = thread.comments.iter_mut().find(|it| it.id == comment)?;
        Some((&mut thread.updated, comment))
    }
}
