//! Runs: work that an event, a comment or a person asks for. Stackhook announces it; an executor does it and reports back.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Guid, IntegrationName, ProjectRoot, StackKind, StackName,
    ids::{checked_text, guid},
    stack::{Reference, Stack},
};

/// The most changed paths that a run names, and the most bytes of them: two hundred runs of one push are written at once, into
/// one partition of an index, and what needs all paths can ask for the diff itself.
const MOST_PATHS: usize = 100;
const MOST_PATH_BYTES: usize = 2 * 1_024;

/// A text that is no run's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a run's id has the form 00000000-0000-0000-0000-000000000000; take one from the list of runs"
)]
pub struct InvalidRunId;

checked_text! {
    /// The id of a run: a digest of what makes two runs the same, so that whoever asks for the same run meets the first one.
    RunId, InvalidRunId, run_id
}

fn run_id(text: &str) -> Result<String, InvalidRunId> {
    guid(text).map_err(|_other_words| InvalidRunId)
}

/// What makes two runs the same.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'a> {
    /// A push of one ref: the push's number in its repository.
    Push {
        /// The full name of the ref.
        ref_name: &'a str,
        /// The push's number.
        push_id: i64,
    },
    /// A push that does not tell its number: what the ref pointed to, before and after.
    UnnumberedPush {
        /// The full name of the ref.
        ref_name: &'a str,
        /// The object before.
        old: &'a str,
        /// The object after.
        new: &'a str,
    },
    /// A source commit of a pull request; a further attempt only where the one before was cancelled by us.
    PullRequest {
        /// The pull request's number.
        number: i64,
        /// The source commit.
        commit: &'a str,
        /// 0, and 1 more for each cancelled one.
        attempt: u32,
    },
    /// A comment on a pull request.
    Comment {
        /// The pull request's number.
        number: i64,
        /// The thread that it is in; comments are numbered within theirs.
        thread: i64,
        /// The comment's number.
        comment: i64,
    },
    /// A request by hand.
    Request(&'a str),
    /// What a delivery asks for, asked for anew: by the number of its redelivery, whatever the event says by now.
    Rerun {
        /// The delivery.
        delivery: &'a str,
        /// The number of its redelivery.
        redelivery: u32,
        /// Of a push, which has a run for each ref: the full name of the ref.
        ref_name: Option<&'a str>,
    },
    /// What a wish for many deliveries asks for anew: once, however many of them tell of it.
    Wish {
        /// What tells the wish from every other.
        wish: &'a str,
        /// The identity of what is to run again, as it is [spelled](Identity::spelled).
        what: &'a str,
    },
}

impl Identity<'_> {
    /// It as a text that no other has.
    #[must_use]
    pub fn spelled(&self) -> String {
        match self {
            Self::Push { ref_name, push_id } => format!("push\n{ref_name}\n{push_id}"),
            Self::UnnumberedPush { ref_name, old, new } => {
                format!("unnumbered push\n{ref_name}\n{old}\n{new}")
            }
            Self::PullRequest {
                number,
                commit,
                attempt,
            } => format!("pull request\n{number}\n{commit}\n{attempt}"),
            Self::Comment {
                number,
                thread,
                comment,
            } => format!("comment\n{number}\n{thread}\n{comment}"),
            Self::Request(id) => format!("request\n{id}"),
            Self::Rerun {
                delivery,
                redelivery,
                ref_name,
            } => format!(
                "rerun\n{delivery}\n{redelivery}\n{}",
                ref_name.unwrap_or_default()
            ),
            Self::Wish { wish, what } => format!("wish\n{wish}\n{what}"),
        }
    }
}

/// Who asks for new runs of what a delivery tells of. On the wire the first is a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Rerun {
    /// The redelivery of this number, for its delivery alone.
    Redelivery(u32),
    /// The same as a part of a wish for many deliveries, of which several may tell of one push or pull request.
    Wish {
        /// The number of the redelivery.
        redelivery: u32,
        /// What tells the wish from every other.
        wish: String,
    },
}

impl Rerun {
    /// The number of the redelivery.
    #[must_use]
    pub fn redelivery(&self) -> u32 {
        match self {
            Self::Redelivery(number) => *number,
            Self::Wish { redelivery, .. } => *redelivery,
        }
    }
}

impl RunId {
    /// The id of a stack's run in a repository.
    #[must_use]
    pub fn of(stack: &StackName, repository: &Guid, identity: Identity<'_>) -> Self {
        let what = identity.spelled();
        let digest = Sha256::digest(format!("{stack}\n{repository}\n{what}"));
        let hex: String = digest[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self(format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        ))
    }
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunKind {
    /// A push to the tracked branch: what it says is to be applied.
    Tracked,
    /// A pull request into the tracked branch: what it says is to be planned.
    Proposed,
    /// A commit of a module: it is to be tested.
    Test,
}

impl RunKind {
    /// The kind of a run of a push.
    #[must_use]
    pub fn of_push(stack: StackKind) -> Self {
        match stack {
            StackKind::Stack => Self::Tracked,
            StackKind::Module => Self::Test,
        }
    }

    /// The kind of a run of a pull request.
    #[must_use]
    pub fn of_pull_request(stack: StackKind) -> Self {
        match stack {
            StackKind::Stack => Self::Proposed,
            StackKind::Module => Self::Test,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tracked => "tracked",
            Self::Proposed => "proposed",
            Self::Test => "test",
        }
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunState {
    /// It is asked for.
    Queued,
    /// An executor is at it.
    Running,
    /// It went well.
    Finished,
    /// It did not.
    Failed,
    /// It is not wanted any more, or its executor gave it up.
    Canceled,
    /// A newer push had a run before this one was understood; it is kept for the record, and never announced.
    Superseded,
}

/// A text that is no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a state is queued, running, finished, failed, canceled or superseded")]
pub struct InvalidRunState;

/// What a wish to change a state comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It goes on.
    Forward,
    /// It is there already: a repeat.
    Same,
    /// It would go back, or on from an end.
    Backward,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Finished,
        Self::Failed,
        Self::Canceled,
        Self::Superseded,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Superseded => "superseded",
        }
    }

    /// Whether something may still come of it.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }

    /// What going to `next` would be. A missed `running` holds nothing up; an end is an end.
    #[must_use]
    pub fn step(self, next: Self) -> Step {
        match (self, next) {
            (here, there) if here == there => Step::Same,
            (Self::Queued, Self::Running) => Step::Forward,
            (Self::Queued | Self::Running, Self::Finished | Self::Failed | Self::Canceled) => {
                Step::Forward
            }
            _ => Step::Backward,
        }
    }
}

impl FromStr for RunState {
    type Err = InvalidRunState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or(InvalidRunState)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What asked for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    /// A push.
    Push,
    /// A pull request.
    PullRequest,
    /// `/stackhook run` in a comment.
    Comment,
    /// A person, by hand.
    Request,
}

/// Why a run was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CancelReason {
    /// Its pull request was completed or abandoned.
    PullRequestClosed,
    /// Its pull request goes into another branch now.
    PullRequestRetargeted,
    /// Its integration was unlinked.
    Unlinked,
    /// Its stack was deleted.
    StackDeleted,
    /// Its stack follows another repository, or the same through another integration, now.
    StackMoved,
    /// Its executor says so.
    Executor,
}

impl CancelReason {
    /// Whether the same commit may be proposed again: it was not the executor who gave it up, but the reason to run it went.
    #[must_use]
    pub fn may_run_again(self) -> bool {
        !matches!(self, Self::Executor)
    }

    /// It in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::PullRequestClosed => "the pull request was closed",
            Self::PullRequestRetargeted => "the pull request goes into another branch now",
            Self::Unlinked => "the integration was unlinked",
            Self::StackDeleted => "its stack was deleted",
            Self::StackMoved => "its stack follows something else now",
            Self::Executor => "the executor canceled it",
        }
    }
}

/// The pull request of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunPullRequest {
    /// Its number.
    pub number: i64,
    /// Its title, harmless: one line, cut to a bearable length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The full name of the ref it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<String>,
    /// The full name of the ref it goes into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<String>,
    /// Whether it comes from a fork.
    #[serde(default)]
    pub is_fork: bool,
    /// Whether Azure DevOps counts its iterations, which a status then belongs to; `None` where that is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supports_iterations: Option<bool>,
}

/// The paths that a run is about, as far as they are named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedPaths {
    /// At most 100 of them, and at most 2 KB.
    pub paths: Vec<String>,
    /// How many there are; `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
}

impl ChangedPaths {
    /// As many as fit.
    #[must_use]
    pub fn of(all: &[String]) -> Self {
        let mut room = MOST_PATH_BYTES;
        let fits = |path: &&String| {
            let has_room = path.len() <= room;
            room = room.saturating_sub(path.len());
            has_room
        };
        Self {
            paths: all
                .iter()
                .take(MOST_PATHS)
                .take_while(fits)
                .cloned()
                .collect(),
            count: Some(all.len()),
        }
    }
}

/// Work that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// What it is for.
    pub kind: RunKind,
    /// How far it is.
    pub state: RunState,
    /// Counts its changes from 1; of two announcements the one with the greater version is the newer.
    pub version: u64,
    /// The stack.
    pub stack: StackName,
    /// The integration that it came through.
    pub integration: IntegrationName,
    /// The project.
    pub project: Reference,
    /// The repository.
    pub repository: Reference,
    /// The commit to run on.
    pub commit: String,
    /// The full name of the ref that the commit is, or was, the head of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_name: Option<String>,
    /// The directory that it is about; empty for the repository's root.
    pub project_root: ProjectRoot,
    /// What asked for it.
    pub trigger: Trigger,
    /// Why it is there, in words.
    pub reason: String,
    /// The push that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_id: Option<i64>,
    /// The pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<RunPullRequest>,
    /// The delivery that told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// What changed.
    #[serde(default)]
    pub changed_paths: ChangedPaths,
    /// What the executor says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where a person sees more, as the executor says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_url: Option<String>,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canceled_because: Option<CancelReason>,
    /// The push that came before it though it is newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<i64>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When it began to run, as it was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it came to its end, as it was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When anything about it last changed.
    pub updated_at: Timestamp,
}

impl Run {
    /// What its times are called where it is JSON.
    pub const TIMES: [&str; 4] = ["requestedAt", "startedAt", "endedAt", "updatedAt"];

    /// A run of a stack that is asked for now, without what only some have.
    #[must_use]
    pub fn new(
        stack: &Stack,
        identity: Identity<'_>,
        kind: RunKind,
        trigger: Trigger,
        commit: &str,
        now: Timestamp,
    ) -> Self {
        let push_id = match identity {
            Identity::Push { push_id, .. } => Some(push_id),
            _ => None,
        };
        Self {
            id: RunId::of(&stack.name, &stack.repository.id, identity),
            kind,
            state: RunState::Queued,
            version: 1,
            stack: stack.name.clone(),
            integration: stack.integration.clone(),
            project: stack.project.clone(),
            repository: stack.repository.clone(),
            commit: commit.to_owned(),
            ref_name: None,
            project_root: stack.project_root.clone(),
            trigger,
            reason: String::new(),
            push_id,
            pull_request: None,
            delivery: None,
            changed_paths: ChangedPaths::default(),
            description: None,
            target_url: None,
            canceled_because: None,
            superseded_by: None,
            requested_at: now,
            started_at: None,
            ended_at: None,
            updated_at: now,
        }
    }

    /// It after a step forward at `now`.
    #[must_use]
    pub fn stepped(&self, state: RunState, now: Timestamp) -> Self {
        let mut next = Self {
            state,
            version: self.version + 1,
            updated_at: now,
            ..self.clone()
        };
        if state == RunState::Running {
            next.started_at = Some(now);
        } else if !state.is_open() {
            next.ended_at = Some(now);
        }
        next
    }

    /// It cancelled by us.
    #[must_use]
    pub fn canceled(&self, because: CancelReason, now: Timestamp) -> Self {
        Self {
            canceled_because: Some(because),
            ..self.stepped(RunState::Canceled, now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_goes_on_and_never_back() {
        use RunState::{Canceled, Failed, Finished, Queued, Running, Superseded};
        for (here, there) in [
            (Queued, Running),
            (Queued, Finished),
            (Running, Finished),
            (Running, Failed),
            (Queued, Canceled),
            (Running, Canceled),
        ] {
            assert_eq!(here.step(there), Step::Forward, "{here} {there}");
            assert_eq!(there.step(here), Step::Backward, "{there} {here}");
        }
        for state in RunState::ALL {
            assert_eq!(state.step(state), Step::Same);
            assert_eq!(state.as_str().parse(), Ok(state));
            assert!(state.is_open() || state.step(Running) == Step::Backward);
        }
        assert_eq!(Finished.step(Failed), Step::Backward);
        assert_eq!(Queued.step(Superseded), Step::Backward);
    }

    #[test]
    fn runs_are_the_same_where_all_of_their_identity_is() {
        let stack: StackName = "a".parse().unwrap();
        let repository: Guid = "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce".parse().unwrap();
        let of = |identity| RunId::of(&stack, &repository, identity);
        let push = |ref_name, push_id| of(Identity::Push { ref_name, push_id });
        assert_eq!(push("refs/heads/a", 1), push("refs/heads/a", 1));
        let proposed = |number, commit, attempt| {
            of(Identity::PullRequest {
                number,
                commit,
                attempt,
            })
        };
        let rerun = |delivery, redelivery, ref_name| {
            of(Identity::Rerun {
                delivery,
                redelivery,
                ref_name,
            })
        };
        assert_eq!(rerun("d", 1, None), rerun("d", 1, None));
        let wish = |wish, what| of(Identity::Wish { wish, what });
        let mut all = vec![
            push("refs/heads/a", 1),
            push("refs/heads/a", 2),
            push("refs/heads/b", 1),
            proposed(1, "c", 0),
            proposed(1, "c", 1),
            proposed(2, "c", 0),
            proposed(1, "d", 0),
            of(Identity::Comment {
                number: 1,
                thread: 1,
                comment: 2,
            }),
            of(Identity::Comment {
                number: 1,
                thread: 2,
                comment: 2,
            }),
            of(Identity::Request("1")),
            rerun("d", 1, None),
            rerun("d", 2, None),
            rerun("e", 1, None),
            rerun("d", 1, Some("refs/heads/a")),
            rerun("d", 1, Some("refs/heads/b")),
            wish("1", "a"),
            wish("2", "a"),
            wish("1", "b"),
            RunId::of(&"b".parse().unwrap(), &repository, Identity::Request("1")),
        ];
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|id| id.as_str().parse::<RunId>().is_ok()));
    }

    #[test]
    fn a_run_names_as_many_paths_as_fit_and_says_how_many_there_are() {
        let many: Vec<String> = (0..500).map(|number| format!("a/{number}")).collect();
        let named = ChangedPaths::of(&many);
        assert_eq!((named.paths.len(), named.count), (MOST_PATHS, Some(500)));
        let long = vec!["x".repeat(1_500), "y".repeat(1_500), "z".to_owned()];
        let named = ChangedPaths::of(&long);
        assert_eq!((named.paths.len(), named.count), (1, Some(3)));
    }
}
