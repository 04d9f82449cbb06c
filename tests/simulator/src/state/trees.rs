//! Trees of files: what differs between two of them, and how three are merged. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// Path (without a leading slash) to content.
pub(crate) type Tree = BTreeMap<String, String>;

/// How a path changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ChangeKind {
    Add,
    Edit,
    Delete,
    /// The new place of a moved file; with the old one.
    Rename(String),
    /// The old place of a moved file.
    SourceRename,
}

/// One changed path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    pub(crate) path: String,
    pub(crate) kind: ChangeKind,
    pub(crate) folder: bool,
}

/// What differs between two trees, sorted by path; folders that hold a change are listed too, as the service does.
pub(crate) fn changes(base: &Tree, target: &Tree, detect_renames: bool) -> Vec<Change> {
    let mut found: BTreeMap<String, ChangeKind> = BTreeMap::new();
    for (path, content) in target {
        match base.get(path) {
            None => found.insert(path.clone(), ChangeKind::Add),
            Some(before) if before != content => found.insert(path.clone(), ChangeKind::Edit),
            Some(_) => None,
        };
    }
    for path in base.keys().filter(|path| !target.contains_key(*path)) {
        found.insert(path.clone(), ChangeKind::Delete);
    }
    if detect_renames {
        pair_renames(&mut found, base, target);
    }
    let folders = changed_folders(&found, base, target);
    let files = found.into_iter().map(|(path, kind)| Change {
        path,
        kind,
        folder: false,
    });
    let mut all: Vec<Change> = folders.into_iter().chain(files).collect();
    all.sort_by(|one, other| one.path.cmp(&other.path));
    all
}

/// Turns an added and a deleted file of the same content into the two halves of a rename.
fn pair_renames(found: &mut BTreeMap<String, ChangeKind>, base: &Tree, target: &Tree) {
    let mut deleted: Vec<String> = of_kind(found, &ChangeKind::Delete);
    for path in of_kind(found, &ChangeKind::Add) {
        let Some(at) = deleted
            .iter()
            .position(|old| base.get(old) == target.get(&path))
        else {
            continue;
        };
        let old = deleted.remove(at);
        found.insert(old.clone(), ChangeKind::SourceRename);
        found.insert(path, ChangeKind::Rename(old));
    }
}

fn of_kind(found: &BTreeMap<String, ChangeKind>, kind: &ChangeKind) -> Vec<String> {
    found
        .iter()
        .filter(|(_, it)| *it == kind)
        .map(|(path, _)| path.clone())
        .collect()
}

fn changed_folders(
    found: &BTreeMap<String, ChangeKind>,
    base: &Tree,
    target: &Tree,
) -> Vec<Change> {
    let touched: BTreeSet<&str> = found.keys().flat_map(|path| folders_of(path)).collect();
    touched
        .into_iter()
        .map(|folder| {
            let kind = match (has_folder(base, folder), has_folder(target, folder)) {
                (false, _) => ChangeKind::Add,
                (true, false) => ChangeKind::Delete,
                (true, true) => ChangeKind::Edit,
            };
            Change {
                path: folder.to_owned(),
                kind,
                folder: true,
            }
        })
        .collect()
}

fn folders_of(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// Whether a tree has files under a folder.
pub(crate) fn has_folder(tree: &Tree, folder: &str) -> bool {
    let prefix = format!("{folder}/");
    tree.range(prefix.clone()..)
        .next()
        .is_some_and(|(path, _)| path.starts_with(&prefix))
}

/// Merges by whole files. Gives the paths that both sides changed differently when that cannot be done.
pub(crate) fn merge(base: &Tree, ours: &Tree, theirs: &Tree) -> Result<Tree, Vec<String>> {
    let mut merged = ours.clone();
    let mut conflicts = Vec::new();
    let paths: BTreeSet<&String> = base.keys().chain(theirs.keys()).collect();
    for path in paths {
        let (before, our, their) = (base.get(path), ours.get(path), theirs.get(path));
        if their == before || their == our {
            continue;
        }
        if our != before {
            conflicts.push(path.clone());
        } else if let Some(content) = their {
            merged.insert(path.clone(), content.clone());
        } else {
            merged.remove(path);
        }
    }
    if conflicts.is_empty() {
        Ok(merged)
    } else {
        Err(conflicts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), (*content).to_owned()))
            .collect()
    }

    #[test]
    fn a_diff_lists_files_and_the_folders_that_hold_them() {
        let base = tree(&[("prod/main.tf", "1"), ("README.md", "r"), ("old/x", "x")]);
        let target = tree(&[("prod/main.tf", "2"), ("README.md", "r"), ("new/y", "y")]);
        let found: Vec<(String, ChangeKind, bool)> = changes(&base, &target, true)
            .into_iter()
            .map(|it| (it.path, it.kind, it.folder))
            .collect();
        let expected = [
            ("new", ChangeKind::Add, true),
            ("new/y", ChangeKind::Add, false),
            ("old", ChangeKind::Delete, true),
            ("old/x", ChangeKind::Delete, false),
            ("prod", ChangeKind::Edit, true),
            ("prod/main.tf", ChangeKind::Edit, false),
        ];
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(path, kind, folder)| (path.to_owned(), kind, folder))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_moved_file_is_a_rename_with_two_halves() {
        let found = changes(&tree(&[("a", "same")]), &tree(&[("b", "same")]), true);
        assert_eq!(found[0].kind, ChangeKind::SourceRename);
        assert_eq!(found[1].kind, ChangeKind::Rename("a".to_owned()));
        let plain = changes(&tree(&[("a", "same")]), &tree(&[("b", "same")]), false);
        assert_eq!(plain[0].kind, ChangeKind::Delete);
    }

    #[test]
    fn a_merge_takes_both_sides_and_refuses_what_both_changed() {
        let base = tree(&[("a", "1"), ("b", "1")]);
        let merged = merge(
            &base,
            &tree(&[("a", "2"), ("b", "1")]),
            &tree(&[("a", "1")]),
        );
        assert_eq!(merged, Ok(tree(&[("a", "2")])));
        let refused = merge(
            &base,
            &tree(&[("a", "2"), ("b", "1")]),
            &tree(&[("a", "3"), ("b", "1")]),
        );
        assert_eq!(refused, Err(vec!["a".to_owned()]));
    }
}
