//! What changed, as Azure DevOps says: one comparison for each ref that was updated, however many stacks follow the repository.

use ado::{AdoClient, AdoError, Change, Changes, Since, Version};
use domain::{
    Changed,
    event::{RefChange, RefUpdate},
    summary::plain,
};

use crate::Hindrance;

/// Where a comparison is made: a project and a repository, by their ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) project: &'a str,
    pub(crate) repository: &'a str,
}

/// What a push of one ref changed.
///
/// What is compared are the trees before and after, so a force push, in whichever direction, tells just what is different now. A
/// new branch is compared with what it left the default branch at.
pub(crate) async fn by_push(
    client: &AdoClient,
    place: Place<'_>,
    update: &RefUpdate,
    commit: &str,
    default_branch: Option<&str>,
    is_last_try: bool,
) -> Result<Changed, Hindrance> {
    let (base, since) = match (update.change(), &update.old_object_id) {
        (RefChange::Created, _) => {
            let Some(default) = default_branch.filter(|default| *default != update.name) else {
                return Ok(Changed::Unknown(
                    "it is the first push of this branch".to_owned(),
                ));
            };
            (Version::Branch(short(default)), Since::CommonCommit)
        }
        (_, Some(old)) if !old.is_empty() => (Version::Commit(old), Since::Base),
        _ => {
            return Ok(Changed::Unknown(
                "the event does not say where the branch was before".to_owned(),
            ));
        }
    };
    let asked = client
        .changes(
            place.project,
            place.repository,
            base,
            Version::Commit(commit),
            since,
        )
        .await;
    understood(asked, is_last_try)
}

/// What a pull request would change: since the last commit that its source and its target have in common.
pub(crate) async fn by_pull_request(
    client: &AdoClient,
    place: Place<'_>,
    target: &str,
    commit: &str,
    is_last_try: bool,
) -> Result<Changed, Hindrance> {
    let (base, head) = (Version::Branch(short(target)), Version::Commit(commit));
    let asked = client
        .changes(
            place.project,
            place.repository,
            base,
            head,
            Since::CommonCommit,
        )
        .await;
    understood(asked, is_last_try)
}

/// A branch's name as people know it.
fn short(branch: &str) -> &str {
    branch.strip_prefix(domain::stack::HEADS).unwrap_or(branch)
}

/// An answer to what changed. What passes is asked for again, until the last try; what stays counts as not known.
fn understood(asked: Result<Changes, AdoError>, is_last_try: bool) -> Result<Changed, Hindrance> {
    match asked {
        Ok(changes) => Ok(paths(changes)),
        Err(error) if error.is_about_the_token() => Err(error.into()),
        Err(error) if error.is_passing() && !is_last_try => Err(error.into()),
        Err(error) => Ok(Changed::Unknown(plain(&error.to_string()))),
    }
}

/// The paths of files. Folders stand in the list beside what is in them; one that was moved or deleted, and of which no file is
/// listed, says that something is not told.
fn paths(changes: Changes) -> Changed {
    if !changes.is_complete {
        return Changed::Unknown("more changed than Azure DevOps lists".to_owned());
    }
    let both = |change: &Change| [Some(change.path.clone()), change.original_path.clone()];
    let (folders, files): (Vec<Change>, Vec<Change>) = changes
        .changes
        .into_iter()
        .partition(|change| change.is_folder);
    let mut paths: Vec<String> = files.iter().flat_map(both).flatten().collect();
    paths.sort_unstable();
    paths.dedup();
    let is_told = |folder: &String| {
        let within = format!("{folder}/");
        paths.iter().any(|path| path.starts_with(&within))
    };
    let opaque = folders
        .iter()
        .filter(|folder| !folder.is_edit)
        .flat_map(both)
        .flatten()
        .find(|folder| !folder.is_empty() && !is_told(folder));
    match opaque {
        Some(folder) => Changed::Unknown(format!(
            "Azure DevOps lists `{}` and nothing in it",
            plain(&folder)
        )),
        None => Changed::Paths(paths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: &str, original: Option<&str>, is_folder: bool, is_edit: bool) -> Change {
        Change {
            path: path.to_owned(),
            original_path: original.map(str::to_owned),
            is_folder,
            is_edit,
        }
    }

    fn told(changes: Vec<Change>) -> Changed {
        paths(Changes {
            changes,
            is_complete: true,
        })
    }

    #[test]
    fn a_moved_file_counts_where_it_was_and_where_it_is() {
        let moved = change("prod/a.tf", Some("old/a.tf"), false, false);
        let folder = change("prod", None, true, true);
        let all = vec!["old/a.tf".to_owned(), "prod/a.tf".to_owned()];
        assert_eq!(told(vec![folder, moved]), Changed::Paths(all));
    }

    #[test]
    fn a_folder_of_which_nothing_is_listed_makes_what_changed_unknown() {
        let gone = || change("prod", None, true, false);
        assert!(matches!(told(vec![gone()]), Changed::Unknown(_)));
        let file = change("prod/a.tf", None, false, false);
        assert_eq!(
            told(vec![gone(), file]),
            Changed::Paths(vec!["prod/a.tf".to_owned()])
        );
    }

    #[test]
    fn what_passes_is_asked_again_until_the_last_try_and_what_stays_is_unknown() {
        let slow = || {
            Err(AdoError::SlowDown {
                retry_after: Some(7),
            })
        };
        assert!(matches!(
            understood(slow(), false),
            Err(Hindrance::Passing(_, Some(_)))
        ));
        assert!(matches!(understood(slow(), true), Ok(Changed::Unknown(_))));
        let gone = Err(AdoError::NotFound("TF401".to_owned()));
        assert!(matches!(understood(gone, false), Ok(Changed::Unknown(_))));
        for is_last in [false, true] {
            let refused = Err(AdoError::TokenRefused);
            assert!(matches!(
                understood(refused, is_last),
                Err(Hindrance::Token(_))
            ));
        }
    }
}
