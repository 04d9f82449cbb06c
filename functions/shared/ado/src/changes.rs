//! What differs between two versions of a repository, and whether a commit is there. It reads every page, up to a limit,
//! and says where that was not all; it never decides what a change means to anybody.
//!
//! Sources: Microsoft's `git.json` (`Diffs_Get`, `Commits_Get`), facts 6.1; azure-devops-node-api #386 for what
//! `allChangesIncluded` is worth and for changes that are of two kinds at once.

use serde::Deserialize;

use crate::{AdoClient, AdoError, Operation};

/// The changes that are asked for at once. Azure DevOps gives a hundred where nothing is asked for, and has given 400,000
/// (vsts-rest-api-specs #425); a thousand have about 1 MB.
const PAGE: usize = 1_000;
/// The most pages that are read: what differs in more is not looked at one by one.
const MOST_PAGES: usize = 20;

/// A version of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version<'a> {
    /// A branch, by its short name.
    Branch(&'a str),
    /// A commit, by its id.
    Commit(&'a str),
}

impl<'a> Version<'a> {
    /// How Azure DevOps spells it: the version, and its type.
    const fn spelled(self) -> (&'a str, &'static str) {
        match self {
            Self::Branch(name) => (name, "branch"),
            Self::Commit(id) => (id, "commit"),
        }
    }
}

/// What a comparison begins at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// The base itself: a push, from old to new.
    Base,
    /// The last commit that both have: a pull request.
    CommonCommit,
}

/// What differs between two versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The paths that differ, in Azure DevOps' order.
    pub changes: Vec<Change>,
    /// Whether these are all: false where there were more pages than are read, where Azure DevOps says that it left some
    /// out, and where one came without its path.
    pub is_complete: bool,
}

/// A path that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it is, or was before it was deleted; without the slash at its beginning.
    pub path: String,
    /// Where it was, if it was moved; without the slash at its beginning.
    pub original_path: Option<String>,
    /// Whether it is a folder. A folder is named beside what changed in it.
    pub is_folder: bool,
    /// Whether it was edited and nothing else, neither moved nor added nor deleted. Of a folder that only says that something
    /// within it changed.
    pub is_edit: bool,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: String,
}

impl AdoClient {
    /// What differs between two versions of a repository.
    ///
    /// # Errors
    ///
    /// [`AdoError`]; a version that is not there is [`AdoError::NotFound`].
    pub async fn changes(
        &self,
        project: &str,
        repository: &str,
        base: Version<'_>,
        target: Version<'_>,
        since: Since,
    ) -> Result<Changes, AdoError> {
        let (base, target) = (base.spelled(), target.spelled());
        let top = PAGE.to_string();
        let mut read = Vec::new();
        for _ in 0..MOST_PAGES {
            let skip = read.len().to_string();
            let query = [
                ("baseVersion", base.0),
                ("baseVersionType", base.1),
                ("targetVersion", target.0),
                ("targetVersionType", target.1),
                (
                    "diffCommonCommit",
                    match since {
                        Since::Base => "false",
                        Since::CommonCommit => "true",
                    },
                ),
                ("$top", top.as_str()),
                ("$skip", skip.as_str()),
            ];
            let (page, _) = self
                .ask::<DiffPage>(Operation::Diffs, &[project, repository], &query)
                .await?;
            let end = page.end();
            read.extend(page.changes.unwrap_or_default());
            if let Some(is_complete) = end {
                return Ok(changes(read, is_complete));
            }
        }
        Ok(changes(read, false))
    }

    /// A commit of a repository by its id; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`AdoError`].
    pub async fn commit(
        &self,
        project: &str,
        repository: &str,
        id: &str,
    ) -> Result<Option<Commit>, AdoError> {
        let found = self
            .ask::<CommitView>(Operation::Commit, &[project, repository, id], &[])
            .await;
        match found {
            Ok((commit, _)) => Ok(Some(Commit {
                id: commit.commit_id.unwrap_or_else(|| id.to_owned()),
            })),
            Err(AdoError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn changes(read: Vec<ChangeView>, is_complete: bool) -> Changes {
    let count = read.len();
    let changes: Vec<Change> = read.into_iter().filter_map(ChangeView::change).collect();
    Changes {
        is_complete: is_complete && changes.len() == count,
        changes,
    }
}

/// `GitCommitDiffs`, a page of them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DiffPage {
    all_changes_included: Option<bool>,
    changes: Option<Vec<ChangeView>>,
}

impl DiffPage {
    /// Whether all is read, where nothing follows this page.
    ///
    /// A full page is never the last: Azure DevOps has said that all changes are included where it was asked for none of
    /// 2441 (azure-devops-node-api #386). A page that is not full is the last unless Azure DevOps says that it is not, and
    /// one with nothing is in any case.
    fn end(&self) -> Option<bool> {
        let says_more = self.all_changes_included == Some(false);
        match self.changes.as_ref().map_or(0, Vec::len) {
            0 => Some(!says_more),
            PAGE.. => None,
            _ if says_more => None,
            _ => Some(true),
        }
    }
}

/// `GitChange`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangeView {
    item: Option<ItemView>,
    /// A word, or several with commas between them: `delete, sourceRename`.
    change_type: Option<String>,
    source_server_item: Option<String>,
    original_path: Option<String>,
}

/// `GitItem`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemView {
    path: Option<String>,
    is_folder: Option<bool>,
    git_object_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitView {
    commit_id: Option<String>,
}

impl ChangeView {
    fn change(self) -> Option<Change> {
        let item = self.item?;
        let path = without_slash(item.path?);
        let original_path = self
            .source_server_item
            .or(self.original_path)
            .map(without_slash)
            .filter(|original| *original != path);
        Some(Change {
            is_folder: item
                .is_folder
                .unwrap_or_else(|| item.git_object_type.as_deref() == Some("tree")),
            is_edit: original_path.is_none() && self.change_type.as_deref() == Some("edit"),
            path,
            original_path,
        })
    }
}

fn without_slash(path: String) -> String {
    path.strip_prefix('/').map(str::to_owned).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn page(count: usize, says_all: Option<bool>) -> DiffPage {
        let one = json!({ "item": { "path": "/a" }, "changeType": "edit" });
        let mut page = json!({ "changes": vec![one; count] });
        if let Some(says_all) = says_all {
            page["allChangesIncluded"] = json!(says_all);
        }
        serde_json::from_value(page).unwrap()
    }

    fn change(view: Value) -> Option<Change> {
        serde_json::from_value::<ChangeView>(view).unwrap().change()
    }

    #[test]
    fn a_page_is_the_last_one_when_nothing_can_follow_it() {
        for (count, says_all, end) in [
            (0, Some(true), Some(true)),
            (0, None, Some(true)),
            (0, Some(false), Some(false)),
            (3, Some(true), Some(true)),
            (3, None, Some(true)),
            (3, Some(false), None),
            (PAGE, Some(true), None),
            (PAGE, Some(false), None),
            (PAGE, None, None),
        ] {
            assert_eq!(page(count, says_all).end(), end, "{count} {says_all:?}");
        }
        let empty: DiffPage = serde_json::from_value(json!({ "changes": null })).unwrap();
        assert_eq!(empty.end(), Some(true));
    }

    #[test]
    fn a_move_has_both_paths_however_the_old_one_is_spelled() {
        for old in ["sourceServerItem", "originalPath"] {
            let mut view =
                json!({ "item": { "path": "/new/main.tf" }, "changeType": "edit, rename" });
            view[old] = json!("/old/main.tf");
            let moved = Change {
                path: "new/main.tf".to_owned(),
                original_path: Some("old/main.tf".to_owned()),
                is_folder: false,
                is_edit: false,
            };
            assert_eq!(change(view), Some(moved), "{old}");
        }
        let left = change(
            json!({ "item": { "path": "/old/main.tf" }, "changeType": "delete, sourceRename" }),
        );
        assert_eq!(left.map(|it| it.is_edit), Some(false));
    }

    #[test]
    fn an_edited_folder_is_known_from_one_that_came_or_went() {
        for (item, kind, expected) in [
            (
                json!({ "path": "/prod", "isFolder": true }),
                "edit",
                (true, true),
            ),
            (
                json!({ "path": "/prod", "gitObjectType": "tree" }),
                "edit",
                (true, true),
            ),
            (
                json!({ "path": "/prod", "isFolder": true }),
                "add",
                (true, false),
            ),
            (
                json!({ "path": "/prod", "isFolder": true }),
                "delete",
                (true, false),
            ),
            (
                json!({ "path": "/prod", "gitObjectType": "blob" }),
                "edit",
                (false, true),
            ),
            (
                json!({ "path": "/prod", "isFolder": null }),
                "edit, encoding",
                (false, false),
            ),
        ] {
            let found = change(json!({ "item": item, "changeType": kind })).unwrap();
            assert_eq!((found.is_folder, found.is_edit), expected, "{item} {kind}");
        }
    }

    #[test]
    fn a_change_without_a_path_leaves_the_rest_and_says_that_it_is_not_all() {
        let views = vec![
            json!({ "changeType": "edit" }),
            json!({ "item": { "path": "/a" } }),
        ];
        let read: Vec<ChangeView> = serde_json::from_value(json!(views)).unwrap();
        let found = changes(read, true);
        assert_eq!((found.changes.len(), found.is_complete), (1, false));
    }
}
