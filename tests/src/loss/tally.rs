//! What came, what of it is kept, and what is missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    time::Duration,
};

use serde_json::Value;

/// The status of a pull request that is open.
const OPEN: &str = "active";

/// What somebody who watches a repository has to learn of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// A branch is at a commit.
    Tip {
        repository: String,
        branch: String,
        commit: String,
    },
    /// A pull request has a status, and a commit at its source.
    PullRequest {
        number: u64,
        status: String,
        commit: String,
    },
}

/// Of which thing a change is the state: of a later change of the same thing it is outdated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Branch(String, String),
    PullRequest(u64),
}

impl Change {
    fn of(&self) -> Thing {
        match self {
            Self::Tip {
                repository, branch, ..
            } => Thing::Branch(repository.clone(), branch.clone()),
            Self::PullRequest { number, .. } => Thing::PullRequest(*number),
        }
    }
}

/// A delivery as somebody keeps it: its event, and what it says has changed.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    event: String,
    changes: Vec<Change>,
}

impl Delivered {
    /// What a body says. Comments change nothing.
    pub(crate) fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let resource = &body["resource"];
        let changes = match body["eventType"].as_str().unwrap_or_default() {
            "git.push" => {
                let updates = resource["refUpdates"].as_array();
                let tip = |update: &Value| Change::Tip {
                    repository: text(&resource["repository"]["id"]),
                    branch: text(&update["name"]),
                    commit: text(&update["newObjectId"]),
                };
                updates.into_iter().flatten().map(tip).collect()
            }
            "git.pullrequest.created" | "git.pullrequest.updated" | "git.pullrequest.merged" => {
                vec![Change::PullRequest {
                    number: resource["pullRequestId"].as_u64().unwrap_or_default(),
                    status: text(&resource["status"]),
                    commit: text(&resource["lastMergeSourceCommit"]["commitId"]),
                }]
            }
            _ => Vec::new(),
        };
        Self {
            event: text(&body["id"]),
            changes,
        }
    }
}

/// What looking for what is lost has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passes {
    /// How many passes there were.
    pub passes: usize,
    /// Those of them that could not do all that they wanted.
    pub unfinished: usize,
    /// Calls of Azure DevOps, of all together.
    pub calls: u64,
    /// The most of one pass.
    pub most_calls: u64,
    /// How often a hook was mended.
    pub mended: u64,
    /// Failed notifications that were taken out of Azure DevOps' history.
    pub notifications: u64,
    /// Changes that were found by comparing.
    pub found: u64,
    /// Deliveries that had to be dispatched once more.
    pub dispatched: u64,
    /// Runs that were asked for, and those of them that say what another one says: of the same commit of the same branch or pull
    /// request, for the same stack.
    pub runs: (usize, usize),
}

impl std::fmt::Display for Passes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let average = self.calls / u64::try_from(self.passes).unwrap_or(u64::MAX).max(1);
        write!(
            formatter,
            "reconcile: {} passes, {} of them unfinished; {average} calls of Azure DevOps in one, {} at the most; \
             {} times a hook mended; {} failed notifications taken, {} changes found by comparing, {} deliveries dispatched again; \
             {} runs, {} of them twice.",
            self.passes,
            self.unfinished,
            self.most_calls,
            self.mended,
            self.notifications,
            self.found,
            self.dispatched,
            self.runs.0,
            self.runs.1
        )
    }
}

/// What a schedule has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that happened.
    pub happened: usize,
    /// Of these, those that the receiver has stored.
    pub stored: usize,
    /// Of the others, those of whose change nothing that is stored tells: lost for good.
    pub lost: usize,
    /// Of these, comments: they change nothing, and nobody looks for them.
    pub comments_lost: usize,
    /// Events that are stored more than once.
    pub twice: usize,
    /// Branches whose tip at the end nothing that is stored or was read tells of, and how many branches there are.
    pub tips_missed: (usize, usize),
    /// The same of pull requests, and their status and source commit.
    pub pull_requests_missed: (usize, usize),
    /// Of these pull requests, those that are closed by now and of which nothing at all was told: whoever did not know that they
    /// were open has begun nothing that a closing would end.
    pub opened_and_closed_unseen: usize,
    /// How long hooks were on probation, all of them together.
    pub on_probation: Duration,
    /// How many hooks there are.
    pub hooks: usize,
    /// What was done to find what is lost.
    pub passes: Passes,
    /// How many attempts were answered with each status.
    pub answers: BTreeMap<u16, usize>,
}

impl Tally {
    /// Compares what happened, in its order, with what is kept of it.
    ///
    /// `read` is what the receiver has been told beside that: how things were when it asked.
    pub(crate) fn of(happened: &[Delivered], kept: &[Delivered], read: &[Change]) -> Self {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for one in kept {
            *times.entry(&one.event).or_default() += 1;
        }
        let known: BTreeSet<&Change> = kept.iter().flat_map(|it| &it.changes).collect();
        let events: BTreeMap<&str, &[Change]> = happened
            .iter()
            .map(|it| (it.event.as_str(), it.changes.as_slice()))
            .collect();
        let is_known = |changes: &[Change]| {
            !changes.is_empty() && changes.iter().all(|change| known.contains(change))
        };
        let absent = events.iter().filter(|(id, _)| !times.contains_key(*id));
        let lost: Vec<_> = absent.filter(|(_, it)| !is_known(it)).collect();
        let latest: BTreeMap<Thing, &Change> = happened
            .iter()
            .flat_map(|it| &it.changes)
            .map(|change| (change.of(), change))
            .collect();
        let missed = |is_wanted: fn(&Thing) -> bool| {
            let all = || latest.iter().filter(|(thing, _)| is_wanted(thing));
            let missing = all().filter(|(_, change)| !known.contains(**change));
            let missing = missing.filter(|(_, change)| !read.contains(*change));
            (missing.count(), all().count())
        };
        let told_of: BTreeSet<Thing> = known.iter().map(|it| it.of()).collect();
        let unseen = latest.iter().filter(|(thing, change)| {
            let is_closed = matches!(change, Change::PullRequest { status, .. } if status != OPEN);
            is_closed && !told_of.contains(thing) && !read.iter().any(|it| it.of() == **thing)
        });
        Self {
            happened: events.len(),
            stored: events.keys().filter(|id| times.contains_key(*id)).count(),
            lost: lost.len(),
            comments_lost: lost.iter().filter(|(_, it)| it.is_empty()).count(),
            twice: times.values().filter(|times| **times > 1).count(),
            opened_and_closed_unseen: unseen.count(),
            tips_missed: missed(|thing| matches!(thing, Thing::Branch(..))),
            pull_requests_missed: missed(|thing| matches!(thing, Thing::PullRequest(_))),
            ..Self::default()
        }
    }

    /// Events that never arrived.
    #[must_use]
    pub fn absent(&self) -> usize {
        self.happened - self.stored
    }

    /// Branches and pull requests whose last state nothing tells of.
    #[must_use]
    pub fn missed(&self) -> usize {
        self.tips_missed.0 + self.pull_requests_missed.0
    }

    fn rows(&self) -> [(&'static str, String); 12] {
        let of = |(missed, all): (usize, usize)| format!("{missed} of {all}");
        let minutes = self.on_probation.as_secs() / 60;
        let answers = self.answers.iter();
        let answers = answers.map(|(status, times)| format!("{times} × {status}"));
        [
            ("events that happened", self.happened.to_string()),
            ("  delivered and stored", self.stored.to_string()),
            ("  never arrived", self.absent().to_string()),
            ("  … and lost for good", self.lost.to_string()),
            ("  … of these, comments", self.comments_lost.to_string()),
            ("  stored twice", self.twice.to_string()),
            ("changes missed at the end", self.missed().to_string()),
            ("  branch tips", of(self.tips_missed)),
            ("  pull request states", of(self.pull_requests_missed)),
            (
                "  … opened, closed unseen",
                self.opened_and_closed_unseen.to_string(),
            ),
            (
                "hooks' time on probation",
                format!("{} h {:02} min", minutes / 60, minutes % 60),
            ),
            ("answers", answers.collect::<Vec<_>>().join(", ")),
        ]
    }
}

/// Tallies side by side, each under its name.
#[must_use]
pub fn table(columns: &[(&str, &Tally)]) -> String {
    let mut text = format!("{:<28}", "");
    for (name, _) in columns {
        let _written = write!(text, "{name:<44}");
    }
    let rows: Vec<_> = columns.iter().map(|(_, tally)| tally.rows()).collect();
    let names = Tally::default().rows();
    for (at, (name, _)) in names.iter().enumerate() {
        let _written = write!(text, "\n{name:<28}");
        for column in &rows {
            let _written = write!(text, "{:<44}", column[at].1);
        }
    }
    let lines = text.lines().map(str::trim_end);
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn push(event: &str, branch: &str, commit: &str) -> Delivered {
        let update = json!({ "name": branch, "newObjectId": commit });
        let resource = json!({ "repository": { "id": "r" }, "refUpdates": [update] });
        let body = json!({ "id": event, "eventType": "git.push", "resource": resource });
        Delivered::read(body.to_string().as_bytes())
    }

    fn pull_request(event: &str, status: &str) -> Delivered {
        let resource = json!({ "pullRequestId": 7, "status": status, "lastMergeSourceCommit": { "commitId": "c" } });
        let body =
            json!({ "id": event, "eventType": "git.pullrequest.updated", "resource": resource });
        Delivered::read(body.to_string().as_bytes())
    }

    #[test]
    fn what_a_later_change_covers_is_lost_but_not_missed() {
        let happened = [push("1", "main", "a"), push("2", "main", "b")];
        let tally = Tally::of(&happened, &happened[1..], &[]);
        assert_eq!((tally.absent(), tally.lost), (1, 1));
        assert_eq!(tally.tips_missed, (0, 1));
        let tally = Tally::of(&happened, &happened[..1], &[]);
        assert_eq!(tally.tips_missed, (1, 1));
    }

    #[test]
    fn a_change_that_was_found_again_under_another_id_is_not_lost() {
        let happened = [push("1", "main", "a"), pull_request("2", "completed")];
        let found = [push("recovered", "main", "a")];
        let tally = Tally::of(&happened, &found, &[]);
        assert_eq!((tally.stored, tally.absent(), tally.lost), (0, 2, 1));
        assert_eq!(
            (tally.tips_missed, tally.pull_requests_missed),
            ((0, 1), (1, 1))
        );
    }

    #[test]
    fn a_pull_request_that_was_closed_before_anything_told_of_it_is_missed_and_counted_as_such() {
        let (open, closed) = (pull_request("1", "active"), pull_request("2", "abandoned"));
        let happened = [open.clone(), closed];
        let counted = |happened: &[Delivered], kept: &[Delivered]| {
            let tally = Tally::of(happened, kept, &[]);
            (tally.missed(), tally.opened_and_closed_unseen)
        };
        assert_eq!(counted(&happened, &[]), (1, 1));
        assert_eq!(counted(&happened, &happened[..1]), (1, 0));
        assert_eq!(counted(&[open], &[]), (1, 0));
    }

    #[test]
    fn what_was_read_is_lost_as_an_event_but_not_missed() {
        let happened = [pull_request("1", "completed")];
        let tally = Tally::of(&happened, &[], &happened[0].changes);
        assert_eq!((tally.lost, tally.pull_requests_missed), (1, (0, 1)));
    }

    #[test]
    fn an_event_that_is_there_twice_is_counted_once() {
        let one = pull_request("1", "active");
        let tally = Tally::of(std::slice::from_ref(&one), &[one.clone(), one.clone()], &[]);
        assert_eq!((tally.stored, tally.twice, tally.absent()), (1, 1, 0));
    }
}
