//! Git as far as it matters: commits, refs, pushes.
//! It holds whole trees, not packs: repositories here are small.

use std::collections::{BTreeMap, HashMap, HashSet};
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
    /// In bytes, as the API says it; nothing is ever packed.
    pub(crate) size: usize,
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
            size: 0,
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
    ///
    /// Walks back from the newest and stops where nothing new can follow, so that a long history costs nothing.
    pub(crate) fn new_commits(&self, to: &str, without: &[String]) -> Vec<Arc<Commit>> {
        let mut walk = Walk::default();
        walk.visit(self, to, false);
        for id in without {
            walk.visit(self, id, true);
        }
        let mut found = Vec::new();
        while walk.new > 0 {
            let Some((commit, known)) = walk.next() else {
                break;
            };
            if !known {
                found.push(Arc::clone(commit));
            }
            for parent in &commit.parents {
                walk.visit(self, parent, known);
            }
        }
        found
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

    /// Keeps a commit, and counts the files that it brought.
    pub(crate) fn add_commit(&mut self, commit: Arc<Commit>) {
        let parent = commit.parents.first().and_then(|it| self.commits.get(it));
        let brought = commit
            .tree
            .iter()
            .filter(|(path, content)| parent.is_none_or(|it| it.tree.get(*path) != Some(*content)));
        self.size += brought.map(|(_, content)| content.len()).sum::<usize>();
        self.commits.insert(commit.id.clone(), commit);
    }
}

/// Commits still to be looked at, by their sequence, each with whether it is known already.
#[derive(Default)]
struct Walk<'a> {
    open: BTreeMap<u64, (&'a Arc<Commit>, bool)>,
    /// How many of them are not known.
    new: usize,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, repository: &'a Repository, id: &str, known: bool) {
        let Some(commit) = repository.commits.get(id) else {
            return;
        };
        let new = &mut self.new;
        let (_, is_known) = self.open.entry(commit.sequence).or_insert_with(|| {
            *new += 1;
            (commit, false)
        });
        if known && !*is_known {
            *is_known = true;
            *new -= 1;
        }
    }

    /// The newest. A commit never comes twice, since its parents are older than itself.
    fn next(&mut self) -> Option<(&'a Arc<Commit>, bool)> {
        let (_, (commit, known)) = self.open.pop_last()?;
        if !known {
            self.new -= 1;
        }
        Some((commit, known))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository whose commits are named by their sequence, with these parents.
    fn repository(commits: &[(u64, &[u64])]) -> Repository {
        let mut it = Repository::new(Uuid::nil(), Uuid::nil(), "x");
        for (sequence, parents) in commits {
            let author = Signature {
                name: String::new(),
                email: String::new(),
                date: Timestamp::UNIX_EPOCH,
            };
            let parents = parents.iter().map(u64::to_string).collect();
            let mut made = commit(Arc::default(), parents, author, "", *sequence);
            made.id = sequence.to_string();
            it.add_commit(Arc::new(made));
        }
        it
    }

    fn names(commits: &[Arc<Commit>]) -> Vec<u64> {
        commits.iter().map(|it| it.sequence).collect()
    }

    #[test]
    fn new_commits_are_those_that_no_other_branch_leads_to() {
        // 1 - 2 - 4 - 6 (merge of 4 and 5), and 3 - 5 beside it from 2.
        let it = repository(&[
            (1, &[]),
            (2, &[1]),
            (3, &[2]),
            (4, &[2]),
            (5, &[3]),
            (6, &[4, 5]),
        ]);
        let new = |to: &str, without: &[&str]| {
            let without: Vec<String> = without.iter().map(|it| (*it).to_owned()).collect();
            names(&it.new_commits(to, &without))
        };
        assert_eq!(new("6", &["4"]), [6, 5, 3]);
        assert_eq!(new("6", &["3"]), [6, 5, 4]);
        assert_eq!(new("6", &["4", "5"]), [6]);
        assert_eq!(new("4", &["6"]), Vec::<u64>::new());
        assert_eq!(new("2", &[]), [2, 1]);
        assert_eq!(it.ahead_behind("4", "5"), (2, 1));
        assert_eq!(it.merge_base("4", "5").map(|it| it.sequence), Some(2));
    }
}
