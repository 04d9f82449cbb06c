//! Which stacks a push asks for a run: every ref of it, for every stack that follows the repository.

use ado::AdoClient;
use domain::{
    Changed, Stack, StackKind,
    event::{Push, RefChange, RefUpdate},
    outcome::{ForStack, Verdict},
    run::{ChangedPaths, Identity, Run, Trigger},
    summary::plain,
    touch::Touch,
};

use crate::{
    App, Hindrance,
    asked::{Wanted, kind},
    changed::{self, Place},
    delivery::Case,
};

/// What a ref that was updated is to a stack.
enum Concern {
    /// It is followed.
    Followed,
    /// It is not, and why.
    No(String),
}

impl App {
    /// Decides on a push. `stacks` follow its repository.
    pub(crate) async fn decide_push(
        &self,
        case: &Case<'_>,
        client: &AdoClient,
        push: &Push,
        stacks: &[Stack],
    ) -> Result<Vec<ForStack>, Hindrance> {
        let mut each: Vec<ForStack> = Vec::new();
        let mut wanted: Vec<Wanted<'_>> = Vec::new();
        let mut aside: Vec<(&Stack, String)> = Vec::new();
        for update in &push.ref_updates {
            let mut followers = Vec::new();
            for stack in stacks {
                match concern(stack, update) {
                    Concern::Followed => followers.push(stack),
                    Concern::No(reason) => aside.push((stack, reason)),
                }
            }
            let Some(first) = followers.first() else {
                continue;
            };
            let place = Place {
                project: first.project.id.as_str(),
                repository: first.repository.id.as_str(),
            };
            let Some(commit) = commit(client, place, update, case.is_last_try).await? else {
                let gone = format!("{} is not there any more", branch_in_words(&update.name));
                aside.extend(followers.into_iter().map(|stack| (stack, gone.clone())));
                continue;
            };
            let default = push.default_branch.as_deref();
            let changed =
                changed::by_push(client, place, update, &commit, default, case.is_last_try).await?;
            for stack in followers {
                // A branch that a stack tracks and that was not there before: all of it is new to the stack.
                let touch =
                    if stack.kind == StackKind::Stack && update.change() == RefChange::Created {
                        Touch::Yes("its branch is new".to_owned())
                    } else {
                        changed.touch(stack)
                    };
                match touch {
                    Touch::Yes(reason) => wanted.push(Wanted {
                        stack,
                        run: run(case, push, update, stack, &commit, &changed, reason),
                        in_order_of: push.push_id.map(|_| update.name.clone()),
                        proposes: None,
                    }),
                    Touch::No(reason) => each.push(ForStack {
                        stack: stack.name.clone(),
                        verdict: Verdict::None,
                        reason,
                        run: None,
                    }),
                }
            }
        }
        let (asked, made) = self.ask(wanted).await?;
        each.extend(asked);
        self.take_back_if_unlinked(case.integration, &made, &mut each, case.now)
            .await?;
        // What is not followed is said of a stack only where nothing else is.
        for (stack, reason) in aside {
            if !each.iter().any(|one| one.stack == stack.name) {
                each.push(ForStack {
                    stack: stack.name.clone(),
                    verdict: Verdict::None,
                    reason,
                    run: None,
                });
            }
        }
        Ok(each)
    }
}

fn concern(stack: &Stack, update: &RefUpdate) -> Concern {
    let Some(branch) = update.name.strip_prefix("refs/heads/") else {
        return Concern::No(format!("{} is no branch", branch_in_words(&update.name)));
    };
    if update.change() == RefChange::Deleted {
        return Concern::No(format!("branch `{}` was deleted", plain(branch)));
    }
    if stack.kind == StackKind::Module || update.name == stack.branch.as_str() {
        Concern::Followed
    } else {
        Concern::No(format!("branch `{}` is not tracked", plain(branch)))
    }
}

fn branch_in_words(name: &str) -> String {
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
            kind(stack, false),
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
