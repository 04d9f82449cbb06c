//! What differs between two versions, a page at a time: files, and the folders that hold them (facts 6.1).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::commits::{first_number, unresolved};
use super::{Answer, Call, USUAL_PAGE, page};
use crate::assumptions::{Assumption, Assumptions};
use crate::ids::object_name;
use crate::reply::Reply;
use crate::state::Organization;
use crate::state::git::{Commit, Repository};
use crate::state::trees::{Change, ChangeKind, Tree, changes};
use crate::views;

/// What differs between two versions (facts 6.1), a page at a time.
pub(super) fn diff(
    organization: &Organization,
    repository: &Repository,
    call: &Call<'_>,
    assumptions: &Assumptions,
) -> Answer {
    let request = call.request;
    let base = version(repository, call, "base")?;
    let target = version(repository, call, "target")?;
    let common = repository.merge_base(&base.id, &target.id);
    let from = match common {
        Some(common) if request.is_true("diffCommonCommit") => common,
        _ => base,
    };
    let all = changes(
        &from.tree,
        &target.tree,
        assumptions.hold(Assumption::RenamesAreDetected),
    );
    let (ahead, behind) = repository.ahead_behind(&base.id, &target.id);
    let (top, skip) = (
        request.number("$top")?.unwrap_or(USUAL_PAGE),
        request.number("$skip")?.unwrap_or(0),
    );
    let counts = counts(&all);
    // True on the last page too: nothing follows it.
    let included = all.len() <= skip.saturating_add(top);
    let shown = page(all, skip, top);
    let view = json!({
        "allChangesIncluded": included,
        "changeCounts": counts,
        "changes": views_of(organization, repository, &shown, from, target),
        "commonCommit": common.map(|it| it.id.clone()),
        "baseCommit": base.id,
        "targetCommit": target.id,
        "aheadCount": ahead,
        "behindCount": behind,
    });
    Ok(Reply::ok(views::without_nulls(view)))
}

/// The version that a diff's parameters name; the default branch if they name none.
fn version<'a>(
    repository: &'a Repository,
    call: &Call<'_>,
    side: &str,
) -> Result<&'a Arc<Commit>, Reply> {
    let query = |name: String| call.request.query(&name);
    let text = query(format!("{side}Version"))
        .or_else(|| query(format!("{side}VersionDescriptor.{side}Version")))
        .or_else(|| query(format!("{side}VersionDescriptor.version")))
        .or(repository.default_branch.as_deref())
        .unwrap_or_default();
    let kind = query(format!("{side}VersionType"))
        .or_else(|| query(format!("{side}VersionDescriptor.{side}VersionType")))
        .or_else(|| query(format!("{side}VersionDescriptor.versionType")))
        .unwrap_or("branch");
    repository
        .version(kind, text)
        .ok_or_else(|| unresolved(kind, text))
}

/// What a commit changed beside its first parent.
pub(super) fn changes_of(
    organization: &Organization,
    repository: &Repository,
    commit: &Arc<Commit>,
    call: &Call<'_>,
    assumptions: &Assumptions,
) -> Answer {
    let parent = commit.parents.first().and_then(|it| repository.commit(it));
    let empty = Tree::new();
    let before = parent.map_or(&empty, |it| it.tree.as_ref());
    let all = changes(
        before,
        &commit.tree,
        assumptions.hold(Assumption::RenamesAreDetected),
    );
    let counts = counts(&all);
    let top = first_number(call, &["$top", "top"])?.unwrap_or(USUAL_PAGE);
    let skip = first_number(call, &["$skip", "skip"])?.unwrap_or(0);
    let shown = page(all, skip, top);
    let changes = views_of(
        organization,
        repository,
        &shown,
        parent.unwrap_or(commit),
        commit,
    );
    Ok(Reply::ok(
        json!({ "changeCounts": counts, "changes": changes }),
    ))
}

fn counts(changes: &[Change]) -> Map<String, Value> {
    let mut counts = Map::new();
    for change in changes {
        let name = match change.kind {
            ChangeKind::Add => "Add",
            ChangeKind::Edit => "Edit",
            ChangeKind::Delete => "Delete",
            ChangeKind::Rename(_) => "Rename",
            ChangeKind::SourceRename => "Delete, SourceRename",
        };
        let before = counts.get(name).and_then(Value::as_u64).unwrap_or(0);
        counts.insert(name.to_owned(), json!(before + 1));
    }
    counts
}

fn views_of(
    organization: &Organization,
    repository: &Repository,
    changes: &[Change],
    from: &Commit,
    to: &Commit,
) -> Vec<Value> {
    changes
        .iter()
        .map(|it| change_view(organization, repository, it, from, to))
        .collect()
}

fn change_view(
    organization: &Organization,
    repository: &Repository,
    change: &Change,
    from: &Commit,
    to: &Commit,
) -> Value {
    let (kind, source) = match &change.kind {
        ChangeKind::Add => ("add", None),
        ChangeKind::Edit => ("edit", None),
        ChangeKind::Delete => ("delete", None),
        ChangeKind::Rename(source) => ("rename", Some(source)),
        // Both at once (azure-devops-node-api #386: 1040, which is 16 and 1024).
        ChangeKind::SourceRename => ("delete, sourceRename", None),
    };
    let gone = matches!(change.kind, ChangeKind::Delete | ChangeKind::SourceRename);
    let (after, at) = if gone { (None, from) } else { (Some(to), to) };
    let id = |commit: &Commit, path: &str| {
        if change.folder {
            tree_id(&commit.tree, path)
        } else {
            blob_id(&commit.tree, path)
        }
    };
    let added = change.kind == ChangeKind::Add;
    let before = source.map_or(change.path.as_str(), String::as_str);
    views::without_nulls(json!({
        "item": views::without_nulls(json!({
            "objectId": after.map(|it| id(it, &change.path)),
            "originalObjectId": (!added).then(|| id(from, before)),
            "gitObjectType": if change.folder { "tree" } else { "blob" },
            "commitId": at.id,
            "path": format!("/{}", change.path),
            "isFolder": change.folder.then_some(true),
            "url": item_url(organization, repository, &change.path, &at.id),
        })),
        "changeType": kind,
        "sourceServerItem": source.map(|it| format!("/{it}")),
    }))
}

pub(crate) fn item_url(
    organization: &Organization,
    repository: &Repository,
    path: &str,
    commit: &str,
) -> String {
    let base = views::repository_url(organization, repository);
    format!(
        "{base}/items?path={}&versionType=Commit&version={commit}",
        views::encode(&format!("/{path}"))
    )
}

pub(crate) fn blob_id(tree: &Tree, path: &str) -> String {
    object_name(tree.get(path).map(String::as_bytes).unwrap_or_default())
}

/// The object name of a folder: it changes when anything below it does.
pub(crate) fn tree_id(tree: &Tree, folder: &str) -> String {
    let prefix = if folder.is_empty() {
        String::new()
    } else {
        format!("{folder}/")
    };
    let below: Vec<_> = tree
        .iter()
        .filter(|(path, _)| path.starts_with(&prefix))
        .collect();
    object_name(format!("tree {below:?}").as_bytes())
}
