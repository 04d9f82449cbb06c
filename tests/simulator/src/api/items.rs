//! Files: one of them, as JSON or as it is, the list of a folder, or all of them as an archive.

use serde_json::{Value, json};

use super::archive;
use super::commits::unresolved;
use super::diffs::{blob_id, item_url, tree_id};
use super::{Answer, Call};
use crate::reply::{Body, Reply};
use crate::state::Organization;
use crate::state::git::{Commit, Repository};
use crate::state::trees::has_folder;
use crate::views;

pub(crate) fn answer(
    organization: &Organization,
    repository: &Repository,
    call: &Call<'_>,
) -> Answer {
    let commit = version(repository, call)?;
    let request = call.request;
    let Some(path) = request.query("path") else {
        let folder = request.query("scopePath").unwrap_or("/");
        let format = request.query("$format").unwrap_or_default();
        if format.eq_ignore_ascii_case("zip") && folder == "/" {
            let body = Body::Bytes(archive::zip(&commit.tree));
            return Ok(Reply {
                status: 200,
                headers: Vec::new(),
                body,
            });
        }
        return list(organization, repository, commit, folder, call);
    };
    let inner = path.trim_matches('/');
    let Some(content) = commit.tree.get(inner) else {
        // A path is one item, a folder too: only a scope path gives what is in it.
        return if inner.is_empty() || has_folder(&commit.tree, inner) {
            Ok(Reply::ok(item(
                organization,
                repository,
                commit,
                inner,
                true,
            )))
        } else {
            Err(missing(path, commit))
        };
    };
    let json = request
        .query("$format")
        .is_some_and(|it| it.eq_ignore_ascii_case("json"))
        || request.is_true("includeContent")
        || request
            .header("accept")
            .is_some_and(|it| it.contains("application/json"));
    if !json {
        return Ok(Reply {
            status: 200,
            headers: Vec::new(),
            body: Body::Bytes(content.clone().into_bytes()),
        });
    }
    let view = item(organization, repository, commit, inner, false);
    Ok(Reply::ok(if request.is_true("includeContent") {
        views::extended(view, json!({ "content": content }))
    } else {
        view
    }))
}

fn missing(path: &str, commit: &Commit) -> Reply {
    let message = format!(
        "TF401174: The item '{path}' could not be found in the repository at the version '{}'.",
        commit.id
    );
    Reply::error(404, "GitItemNotFoundException", &message)
}

fn version<'a>(repository: &'a Repository, call: &Call<'_>) -> Result<&'a Commit, Reply> {
    let request = call.request;
    let text = request
        .query("versionDescriptor.version")
        .or_else(|| request.query("version"))
        .or(repository.default_branch.as_deref())
        .unwrap_or_default();
    let kind = request
        .query("versionDescriptor.versionType")
        .or_else(|| request.query("versionType"))
        .unwrap_or("branch");
    let found = repository
        .version(kind, text)
        .ok_or_else(|| unresolved(kind, text))?;
    Ok(found)
}

/// A folder, what is in it, or everything below it, as `recursionLevel` says.
fn list(
    organization: &Organization,
    repository: &Repository,
    commit: &Commit,
    folder: &str,
    call: &Call<'_>,
) -> Answer {
    let inner = folder.trim_matches('/');
    if !inner.is_empty() && !has_folder(&commit.tree, inner) && !commit.tree.contains_key(inner) {
        return Err(missing(folder, commit));
    }
    let depth = match call
        .request
        .query("recursionLevel")
        .unwrap_or("none")
        .to_lowercase()
        .as_str()
    {
        "full" => usize::MAX,
        "none" => 0,
        _ => 1,
    };
    let prefix = if inner.is_empty() {
        String::new()
    } else {
        format!("{inner}/")
    };
    let mut paths: Vec<(String, bool)> = vec![(inner.to_owned(), !commit.tree.contains_key(inner))];
    for path in commit.tree.keys().filter(|it| it.starts_with(&prefix)) {
        let rest = &path[prefix.len()..];
        let ends = rest
            .match_indices('/')
            .map(|(at, _)| (at, true))
            .chain([(rest.len(), false)]);
        for (level, (end, is_folder)) in ends.enumerate() {
            let found = (format!("{prefix}{}", &rest[..end]), is_folder);
            if level < depth && !paths.contains(&found) {
                paths.push(found);
            }
        }
    }
    let shown = paths
        .iter()
        .map(|(path, is_folder)| item(organization, repository, commit, path, *is_folder))
        .collect();
    Ok(Reply::ok(views::list(shown)))
}

fn item(
    organization: &Organization,
    repository: &Repository,
    commit: &Commit,
    path: &str,
    is_folder: bool,
) -> Value {
    let id = if is_folder {
        tree_id(&commit.tree, path)
    } else {
        blob_id(&commit.tree, path)
    };
    views::without_nulls(json!({
        "objectId": id,
        "gitObjectType": if is_folder { "tree" } else { "blob" },
        "commitId": commit.id,
        "path": format!("/{path}"),
        "isFolder": is_folder.then_some(true),
        "url": item_url(organization, repository, path, &commit.id),
    }))
}
