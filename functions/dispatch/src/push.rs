//! Which stacks a push asks for a run: every ref of it, for every stack that follows the repository.

use std::collections::{BTreeMap, HashMap, HashSet};

use ado::AdoClient;
use domain::{
    Changed, Stack, StackKind, StackName,
    event::{Push, RefChange, RefUpdate},
    outcome::{ForStack, Verdict},
    run::{ChangedPaths, Identity, Run, RunKind, Trigger},
    summary::plain,
    touch::Touch,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    App, Hindrance,
    asked::Wanted,
    changed::{self, Place},
    delivery::Case,
};

/// How many refs of one push are compared at once.
const AT_A_TIME: usize = 4;
/// How many refs of one push that no stack tracks are looked at for the sake of modules.
const MOST_UNTRACKED: usize = 50;

/// What the ref of every branch begins with.
const HEADS: &str = "refs/heads/";

impl App {
    /// Decides on a push. `stacks` follow its repository.
    pub(crate) async fn decide_push(
        &self,
        case: &Case<'_>,
        client: &AdoClient,
        push: &Push,
        stacks: &[Stack],
    ) -> Result<Vec<ForStack>, Hindrance> {
        let (followed, aside) = followed(push, stacks);
        let compared: Vec<Compared<'_>> = stream::iter(followed)
            .map(|(update, followers)| compare(case, client, push, update, followers))
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        let mut each: Vec<ForStack> = Vec::new();
        let mut wanted: Vec<Wanted<'_>> = Vec::new();
        for Compared {
            update,
            followers,
            found,
        } in compared
        {
            for stack in followers {
                let Some((commit, changed)) = &found else {
                    each.push(nothing(
                        stack,
                        format!("{} is not there any more", in_words(&update.name)),
                    ));
                    continue;
                };
                // A branch that a stack tracks and that was not there before: all of it is new to the stack.
                let is_new =
                    stack.kind == StackKind::Stack && update.change() == RefChange::Created;
                let touch = if is_new {
                    Touch::Yes("its branch is new".to_owned())
                } else {
                    changed.touch(stack)
                };
                match touch {
                    Touch::Yes(reason) => wanted.push(Wanted {
                        stack,
                        run: run(case, push, update, stack, commit, changed, reason),
                        in_order_of: push.push_id.map(|_| update.name.clone()),
                        proposes: None,
                    }),
                    Touch::No(reason) => each.push(nothing(stack, reason)),
                }
            }
        }
        let (asked, made) = self.ask(wanted).await?;
        each.extend(asked);
        self.take_back_what_is_gone(case.integration, stacks, &made, &mut each, case.now)
            .await?;
        // What is not followed is said of a stack only where nothing else is.
        let told: HashSet<StackName> = each.iter().map(|one| one.stack.clone()).collect();
        for (stack, reason) in aside {
            if !told.contains(&stack.name) {
                each.push(nothing(stack, reason));
            }
        }
        Ok(each)
    }
}

/// A ref that is followed, with what was found of it: the commit it is at and what changed; `None` where it is gone.
struct Compared<'a> {
    update: &'a RefUpdate,
    followers: Vec<&'a Stack>,
    found: Option<(String, Changed)>,
}

type Followed<'a> = Vec<(&'a RefUpdate, Vec<&'a Stack>)>;
type Aside<'a> = Vec<(&'a Stack, String)>;

/// The refs of a push that are followed, and by whom; and of each stack why the first ref that it does not follow is none.
///
/// Whoever imports a repository pushes all its branches at once: the tracked ones are all looked at, and of the others, which
/// modules alone follow, so many.
fn followed<'a>(push: &'a Push, stacks: &'a [Stack]) -> (Followed<'a>, Aside<'a>) {
    let mut followed: Followed<'a> = Vec::new();
    let mut aside: BTreeMap<&StackName, (&Stack, String)> = BTreeMap::new();
    let mut only_by_modules = 0;
    // No ref is updated twice by one push; if an event says so, what it says last counts.
    let last: HashMap<&str, usize> = push
        .ref_updates
        .iter()
        .enumerate()
        .map(|(at, update)| (update.name.as_str(), at))
        .collect();
    for (at, update) in push.ref_updates.iter().enumerate() {
        if last.get(update.name.as_str()) != Some(&at) {
            continue;
        }
        let mut followers = Vec::new();
        for stack in stacks {
            if follows(stack, update) {
                followers.push(stack);
            } else if !aside.contains_key(&stack.name) {
                aside.insert(&stack.name, (stack, why_not(update)));
            }
        }
        if followers.is_empty() {
            continue;
        }
        let is_tracked = |stack: &&&Stack| stack.branch.as_str() == update.name;
        if !followers.iter().any(|stack| is_tracked(&stack)) {
            only_by_modules += 1;
            if only_by_modules > MOST_UNTRACKED {
                for stack in followers {
                    let reason = format!(
                        "of the branches of one push that nobody tracks, the first {MOST_UNTRACKED} are tested"
                    );
                    aside.entry(&stack.name).or_insert((stack, reason));
                }
                continue;
            }
        }
        followed.push((update, followers));
    }
    (followed, aside.into_values().collect())
}

async fn compare<'a>(
    case: &Case<'_>,
    client: &AdoClient,
    push: &Push,
    update: &'a RefUpdate,
    followers: Vec<&'a Stack>,
) -> Result<Compared<'a>, Hindrance> {
    let mut found = None;
    if let Some(first) = followers.first() {
        let place = Place {
            project: first.project.id.as_str(),
            repository: first.repository.id.as_str(),
        };
        if let Some(commit) = commit(client, place, update, case.is_last_try).await? {
            let default = push.default_branch.as_deref();
            let changed =
                changed::by_push(client, place, update, &commit, default, case.is_last_try).await?;
            found = Some((commit, changed));
        }
    }
    Ok(Compared {
        update,
        followers,
        found,
    })
}

fn nothing(stack: &Stack, reason: String) -> ForStack {
    ForStack {
        stack: stack.name.clone(),
        verdict: Verdict::None,
        reason,
        run: None,
    }
}

/// Whether a ref that was updated is one that a stack follows: its branch; of a module every branch.
fn follows(stack: &Stack, update: &RefUpdate) -> bool {
    update.name.starts_with(HEADS)
        && update.change() != RefChange::Deleted
        && (stack.kind == StackKind::Module || update.name == stack.branch.as_str())
}

/// Why a ref that was updated is none that a stack follows.
fn why_not(update: &RefUpdate) -> String {
    match (update.name.strip_prefix(HEADS), update.change()) {
        (None, _) => format!("{} is no branch", in_words(&update.name)),
        (Some(branch), RefChange::Deleted) => format!("branch `{}` was deleted", plain(branch)),
        (Some(branch), _) => format!("branch `{}` is not tracked", plain(branch)),
    }
}

fn in_words(name: &str) -> String {
    let kinds = [("refs/heads/", "branch"), ("refs/tags/", "tag")];
    let named = kinds
        .iter()
        .find_map(|(prefix, kind)| Some(format!("{kind} `{}`", plain(name.strip_prefix(prefix)?))));
    named.unwrap_or_else(|| format!("ref `{}`", plain(name)))
}

/// The commit that a ref points to now: as the event says, or as Azure DevOps does, where the event has no details.
async fn commit(
    client: &AdoClient,
    place: Place<'_>,
    update: &RefUpdate,
    is_last_try: bool,
) -> Result<Option<String>, Hindrance> {
    if let Some(commit) = update
        .new_object_id
        .clone()
        .filter(|commit| is_commit(commit))
    {
        return Ok(Some(commit));
    }
    match client
        .branch(place.project, place.repository, &update.name)
        .await
    {
        Ok(branch) => Ok(branch.map(|branch| branch.object_id)),
        Err(error) if error.is_about_the_token() || (error.is_passing() && !is_last_try) => {
            Err(error.into())
        }
        Err(error) => Err(Hindrance::ForGood(format!(
            "which commit was pushed is not told, and cannot be asked: {}",
            plain(&error.to_string())
        ))),
    }
}

fn run(
    case: &Case<'_>,
    push: &Push,
    update: &RefUpdate,
    stack: &Stack,
    commit: &str,
    changed: &Changed,
    reason: String,
) -> Run {
    let identity = match push.push_id {
        Some(push_id) => Identity::Push {
            ref_name: &update.name,
            push_id,
        },
        None => Identity::UnnumberedPush {
            ref_name: &update.name,
            old: update.old_object_id.as_deref().unwrap_or_default(),
            new: commit,
        },
    };
    Run {
        ref_name: Some(update.name.clone()),
        reason,
        delivery: Some(case.id()),
        changed_paths: named(changed),
        ..Run::new(
            stack,
            identity,
            RunKind::of_push(stack.kind),
            Trigger::Push,
            commit,
            case.now,
        )
    }
}

/// Whether a text is a commit's id: what a run is announced with, and asked for by, must be nothing else.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The paths that a run names.
pub(crate) fn named(changed: &Changed) -> ChangedPaths {
    match changed {
        Changed::Paths(paths) => ChangedPaths::of(paths),
        Changed::Unknown(_) => ChangedPaths::default(),
    }
}

#[cfg(test)]
mod tests {
    use domain::stack::Reference;
    use jiff::Timestamp;

    use super::*;

    fn stack(name: &str, kind: StackKind, branch: &str) -> Stack {
        let reference = || Reference {
            id: "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce".parse().unwrap(),
            name: "platform".to_owned(),
        };
        Stack {
            name: name.parse().unwrap(),
            kind,
            integration: "acme".parse().unwrap(),
            project: reference(),
            repository: reference(),
            branch: branch.parse().unwrap(),
            project_root: domain::ProjectRoot::default(),
            globs: domain::PathGlobs::default(),
            allow_forks: false,
            run_drafts: false,
            labels: domain::Labels::default(),
            detached_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn of_the_branches_of_an_imported_repository_the_tracked_ones_are_all_looked_at() {
        let stacks = [
            stack("module", StackKind::Module, "main"),
            stack("last", StackKind::Stack, "branch-19999"),
        ];
        let push = Push {
            ref_updates: (0..20_000)
                .map(|number| RefUpdate {
                    name: format!("refs/heads/branch-{number}"),
                    old_object_id: Some("0".repeat(40)),
                    new_object_id: Some("1".repeat(40)),
                    forced: false,
                })
                .collect(),
            ..Push::default()
        };
        let (followed, aside) = followed(&push, &stacks);
        assert_eq!(followed.len(), MOST_UNTRACKED + 1);
        let (update, followers) = followed.last().unwrap();
        assert_eq!(
            (update.name.as_str(), followers.len()),
            ("refs/heads/branch-19999", 2)
        );
        assert_eq!(aside.len(), 2, "one reason for each stack");
    }
}
