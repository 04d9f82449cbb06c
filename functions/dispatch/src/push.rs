//! Which stacks a push asks for a run: every ref of it, for every stack that follows the repository.

use std::collections::HashSet;

use ado::AdoClient;
use domain::{
    Changed, Compared, Stack, StackName,
    compared::Room,
    event::{Push, RefUpdate},
    outcome::ForStack,
    rules,
    run::{ChangedPaths, Identity, Rerun, Run, RunKind, Trigger},
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
impl App {
    /// Decides on a push. `stacks` follow its repository.
    pub(crate) async fn decide_push(
        &self,
        case: &Case<'_>,
        client: &AdoClient,
        push: &Push,
        stacks: &[Stack],
    ) -> Result<(Vec<ForStack>, Compared), Hindrance> {
        let (followed, aside) = rules::followed(push, stacks);
        let refs: Vec<RefCompared<'_>> = stream::iter(followed)
            .map(|(update, followers)| compare(case, client, push, update, followers))
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        let mut each: Vec<ForStack> = Vec::new();
        let mut wanted: Vec<Wanted<'_>> = Vec::new();
        let (mut compared, mut room) = (Compared::default(), Room::default());
        for RefCompared {
            update,
            followers,
            found,
        } in refs
        {
            let changed = found.as_ref().map(|(_, changed)| changed);
            compared.refs.extend(room.keep_ref(&update.name, changed));
            for stack in followers {
                let Some((commit, changed)) = &found else {
                    each.push(ForStack::nothing(stack, rules::is_gone(update)));
                    continue;
                };
                match rules::touched_by_push(stack, update, changed) {
                    Touch::Yes(reason) => wanted.push(Wanted {
                        stack,
                        run: run(case, push, update, stack, commit, changed, reason),
                        in_order_of: push.push_id.map(|_| update.name.clone()),
                        proposes: None,
                        is_rerun: case.rerun.is_some(),
                    }),
                    Touch::No(reason) => each.push(ForStack::nothing(stack, reason)),
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
                each.push(ForStack::nothing(stack, reason));
            }
        }
        Ok((each, compared))
    }
}

/// A ref that is followed, with what was found of it: the commit it is at and what changed; `None` where it is gone.
struct RefCompared<'a> {
    update: &'a RefUpdate,
    followers: Vec<&'a Stack>,
    found: Option<(String, Changed)>,
}

async fn compare<'a>(
    case: &Case<'_>,
    client: &AdoClient,
    push: &Push,
    update: &'a RefUpdate,
    followers: Vec<&'a Stack>,
) -> Result<RefCompared<'a>, Hindrance> {
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
    Ok(RefCompared {
        update,
        followers,
        found,
    })
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
    let delivery = case.id();
    let first = match push.push_id {
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
    let what = first.spelled();
    let identity = match case.rerun {
        Some(Rerun::Redelivery(redelivery)) => Identity::Rerun {
            delivery: &delivery,
            redelivery: *redelivery,
            ref_name: Some(&update.name),
        },
        Some(Rerun::Wish { wish, .. }) => Identity::Wish { wish, what: &what },
        None => first,
    };
    Run {
        ref_name: Some(update.name.clone()),
        reason: case.reason(reason),
        push_id: push.push_id,
        changed_paths: named(changed),
        delivery: Some(delivery.clone()),
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
