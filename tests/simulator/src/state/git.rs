//! Git as far as it matters: commits, refs, pushes.
//! It holds whole trees, not packs: repositories here are small.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::pull_requests::Status;
use super::trees::Tree;
use crate::ids::object_name;

/// A commit.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) id: String,
    pub(crate) tree: Arc<Tree>,
    pub(crate) parents: Vec<String>,
    pub(crate) author: Signature,
    pub(crate) comment: String,
    /// Greater than that of its parents.
    pub(crate) sequence: u64,
}

/// Who made a commit, and when. Author and committer are one here.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) date: Timestamp,
}

/// A ref that a push moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RefUpdate {
    pub(crate) name: String,
    pub(crate) old: String,
    pub(crate) new: String,
    pub(crate) forced: bool,
}

/// A push.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    pub(crate) id: u32,
    pub(crate) by: Uuid,
    pub(crate) date: Timestamp,
    pub(crate) updates: Vec<RefUpdate>,
    /// What it brought, newest first (facts 4.2).
    pub(crate) commits: Vec<String>,
}

/// A repository.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    pub(crate) id: Uuid,
    pub(crate) project: Uuid,
    pub(crate) name: String,
    /// Absent for an empty repository (facts 4.2).
    pub(crate) default_branch: Option<String>,
    pub(crate) disabled: bool,
    pub(crate) fork_of: Option<Uuid>,
    pub(crate) refs: BTreeMap<String, String>,
    pub(crate) commits: HashMap<String, Arc<Commit>>,
    pub(crate) pushes: Vec<Push>,
    pub(crate) statuses: Vec<(String, Status)>,
}

impl Repository {
    pub(crate) fn new(id: Uuid, project: Uuid, name: &str) -> Self {
        Self {
            id,
            project,
            name: name.to_owned(),
            default_branch: None,
            disabled: false,
            fork_of: None,
            refs: BTreeMap::new(),
            commits: HashMap::new(),
            pushes: Vec::new(),
            statuses: Vec::new(),
        }
    }

    pub(crate) fn head(&self, reference: &str) -> Option<&Arc<Commit>> {
        self.commits.get(self.refs.get(reference)?)
    }

    /// A commit by its full name.
    pub(crate) fn commit(&self, id: &str) -> Option<&Arc<Commit>> {
        self.commits.get(id)
    }

    /// A commit by what the API calls a version: a branch, a tag or a commit.
    pub(crate) fn version(&self, kind: &str, text: &str) -> Option<&Arc<Commit>> {
        match kind.to_lowercase().as_str() {
            "commit" => self.commit(&text.to_lowercase()),
            "tag" => self.head(&full_tag(text)),
            _ => self.head(&full_branch(text)),
        }
    }

    /// A commit by branch, tag, full ref or id, for people who write requests by hand.
    pub(crate) fn lookup(&self, text: &str) -> Option<&Arc<Commit>> {
        self.commit(text)
            .or_else(|| self.head(&full_branch(text)))
            .or_else(|| self.head(&full_tag(text)))
    }

    /// A commit and everything before it, newest first.
    pub(crate) fn history(&self, from: &str) -> Vec<&Arc<Commit>> {
        let mut seen = HashSet::new();
        let mut open = vec![from];
        let mut found = Vec::new();
        while let Some(id) = open.pop() {
            let Some(commit) = self
                .commits
                .get(id)
                .filter(|it| seen.insert(it.id.as_str()))
            else {
                continue;
            };
            open.extend(commit.parents.iter().map(String::as_str));
            found.push(commit);
        }
        found.sort_by_key(|commit| std::cmp::Reverse(commit.sequence));
        found
    }

    /// What `to` has and none of `without` has, newest first.
    pub(crate) fn new_commits(&self, to: &str, without: &[String]) -> Vec<Arc<Commit>> {
        let known: HashSet<&str> = without
            .iter()
            .flat_map(|id| self.history(id))
            .map(|commit| commit.id.as_str())
            .collect();
        self.history(to)
            .into_iter()
            .filter(|commit| !known.contains(commit.id.as_str()))
            .cloned()
            .collect()
    }

    /// The newest commit that both have.
    pub(crate) fn merge_base(&self, one: &str, other: &str) -> Option<&Arc<Commit>> {
        let ours: HashSet<&str> = self
            .history(one)
            .into_iter()
            .map(|it| it.id.as_str())
            .collect();
        self.history(other)
            .into_iter()
            .find(|it| ours.contains(it.id.as_str()))
    }

    /// How many commits `of` has that `base` has not, and the other way round.
    pub(crate) fn ahead_behind(&self, base: &str, of: &str) -> (usize, usize) {
        (
            self.new_commits(of, &[base.to_owned()]).len(),
            self.new_commits(base, &[of.to_owned()]).len(),
        )
    }

    pub(crate) fn push(&self, id: u32) -> Option<&Push> {
        self.pushes.iter().find(|it| it.id == id)
    }

    pub(crate) fn push_of(&self, commit: &str) -> Option<&Push> {
        self.pushes
            .iter()
            .find(|it| it.commits.iter().any(|id| id == commit))
    }

    pub(crate) fn size(&self) -> usize {
        let blobs: BTreeSet<&str> = self
            .commits
            .values()
            .flat_map(|it| it.tree.values().map(String::as_str))
            .collect();
        blobs.iter().map(|it| it.len()).sum()
    }
}

/// Makes a commit. Its name follows from what is in it.
pub(crate) fn commit(
    tree: Arc<Tree>,
    parents: Vec<String>,
    author: Signature,
    comment: &str,
    sequence: u64,
) -> Commit {
    let id = object_name(format!("{tree:?}{parents:?}{author:?}{comment}{sequence}").as_bytes());
    Commit {
        id,
        tree,
        parents,
        author,
        comment: comment.to_owned(),
        sequence,
    }
}

pub(crate) fn full_branch(text: &str) -> String {
    full("refs/heads/", text)
}

pub(crate) fn full_tag(text: &str) -> String {
    full("refs/tags/", text)
}

fn full(prefix: &str, text: &str) -> String {
    if text.starts_with("refs/") {
        text.to_owned()
    } else {
        format!("{prefix}{text}")
    }
}

/// The name of a ref as people say it.
pub(crate) fn short(reference: &str) -> &str {
    reference
        .strip_prefix("refs/heads/")
        .or_else(|| reference.strip_prefix("refs/tags/"))
        .unwrap_or(reference)
}
