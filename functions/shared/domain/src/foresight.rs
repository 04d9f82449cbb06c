//! What stacks would make of a delivery, told from what was kept of it: nothing is asked, and nothing done.

use std::collections::HashMap;

use crate::{
    RunKind, Stack, StackName,
    compared::{Compared, ComparedPullRequest, ComparedRef, KeptChanges},
    event::{Push, RefUpdate},
    rules::{self, AboutPullRequest, Subject},
    touch::Touch,
};

/// What a stack would make of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Would {
    /// A run.
    Run(RunKind),
    /// Nothing.
    Nothing,
    /// It depends on what changed, and that was not kept.
    Unknown,
}

/// What a stack would make of a delivery, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// The stack.
    pub stack: StackName,
    /// What it would make of it.
    pub would: Would,
    /// Why, in the words of a decision.
    pub reason: String,
    /// Of a push: the full name of the ref that a run would be of.
    pub ref_name: Option<String>,
}

impl Foreseen {
    fn new(stack: &Stack, would: Would, reason: String) -> Self {
        Self {
            stack: stack.name.clone(),
            would,
            reason,
            ref_name: None,
        }
    }

    fn touched(stack: &Stack, kind: RunKind, touch: Result<Touch, usize>) -> Self {
        match touch {
            Ok(Touch::Yes(reason)) => Self::new(stack, Would::Run(kind), reason),
            Ok(Touch::No(reason)) => Self::new(stack, Would::Nothing, reason),
            Err(more) => {
                let reason = format!("{more} paths changed beyond those that were kept");
                Self::new(stack, Would::Unknown, reason)
            }
        }
    }

    fn unknown(stack: &Stack) -> Self {
        let reason = "which paths changed was not kept: no stack asked for it when this was dispatched, or it is not dispatched yet";
        Self::new(stack, Would::Unknown, reason.to_owned())
    }
}

/// What stacks that follow its repository would make of a delivery: one answer for each stack, or of a push with several refs
/// that a stack follows one for each of them.
#[must_use]
pub fn foreseen(
    subject: &Subject<'_>,
    compared: Option<&Compared>,
    stacks: &[Stack],
) -> Vec<Foreseen> {
    match subject {
        Subject::Push(push, _) => {
            let refs = compared.map(|it| it.refs.as_slice()).unwrap_or_default();
            of_push(push, refs, stacks)
        }
        Subject::PullRequest(about) => {
            let known = compared.and_then(|it| it.pull_request.clone());
            let known = known.or_else(|| as_told(about));
            let of = |stack| of_pull_request(about, known.as_ref(), stack);
            stacks.iter().map(of).collect()
        }
    }
}

fn of_push(push: &Push, refs: &[ComparedRef], stacks: &[Stack]) -> Vec<Foreseen> {
    let refs: HashMap<&str, &ComparedRef> = refs.iter().map(|it| (it.name.as_str(), it)).collect();
    let (followed, aside) = rules::followed(push, stacks);
    let mut all = Vec::new();
    for (update, followers) in followed {
        let known = refs.get(update.name.as_str()).copied();
        all.extend(
            followers
                .into_iter()
                .map(|stack| of_ref(update, known, stack))
                .map(|one| Foreseen {
                    ref_name: Some(update.name.clone()),
                    ..one
                }),
        );
    }
    for (stack, reason) in aside {
        if !all.iter().any(|one| one.stack == stack.name) {
            all.push(Foreseen::new(stack, Would::Nothing, reason));
        }
    }
    all
}

fn of_ref(update: &RefUpdate, known: Option<&ComparedRef>, stack: &Stack) -> Foreseen {
    let kind = RunKind::of_push(stack.kind);
    match known {
        Some(ComparedRef { changed: None, .. }) => {
            Foreseen::new(stack, Would::Nothing, rules::is_gone(update))
        }
        _ if rules::is_all_new(stack, update) => {
            // Whatever changed.
            let unknown = crate::Changed::Paths(Vec::new());
            let touch = rules::touched_by_push(stack, update, &unknown);
            Foreseen::touched(stack, kind, Ok(touch))
        }
        Some(ComparedRef {
            changed: Some(changed),
            ..
        }) => {
            let touch = changed.touch(|changed| rules::touched_by_push(stack, update, changed));
            Foreseen::touched(stack, kind, touch)
        }
        None => Foreseen::unknown(stack),
    }
}

/// A pull request as the event tells it, where nobody looked at it; `None` where the event does not tell, either.
fn as_told(about: &AboutPullRequest<'_>) -> Option<ComparedPullRequest> {
    Some(ComparedPullRequest {
        status: about.told.status.clone()?,
        target_ref: about.told.target_ref.clone()?,
        is_draft: about.told.is_draft,
        is_fork: about.told.fork.is_some(),
        changed: None,
    })
}

fn of_pull_request(
    about: &AboutPullRequest<'_>,
    known: Option<&ComparedPullRequest>,
    stack: &Stack,
) -> Foreseen {
    let Some(known) = known else {
        return Foreseen::unknown(stack);
    };
    let not_wanted = || rules::is_not_wanted(stack, known.is_fork, known.is_draft);
    let why_not = rules::is_closed(&known.status)
        .or_else(|| rules::goes_elsewhere(stack, &known.target_ref))
        .or_else(|| not_wanted().map(str::to_owned));
    if let Some(why) = why_not {
        return Foreseen::new(stack, Would::Nothing, why);
    }
    let Some(changed) = &known.changed else {
        return Foreseen::unknown(stack);
    };
    let kind = RunKind::of_pull_request(stack.kind);
    let mut foreseen = Foreseen::touched(stack, kind, by_paths(changed, stack));
    if let (Would::Run(_), Some(_)) = (foreseen.would, about.comment) {
        foreseen.reason = rules::by_comment(&foreseen.reason);
    }
    foreseen
}

fn by_paths(changed: &KeptChanges, stack: &Stack) -> Result<Touch, usize> {
    changed.touch(|changed| changed.touch(stack))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{Changed, Guid, StackKind, compared::Room, event::PullRequest, stack::Reference};

    const ID: &str = "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce";

    fn stack(kind: StackKind, branch: &str, root: &str) -> Stack {
        let reference = || Reference {
            id: ID.parse().unwrap(),
            name: "platform".to_owned(),
        };
        Stack {
            name: "a".parse().unwrap(),
            kind,
            integration: "acme".parse().unwrap(),
            project: reference(),
            repository: reference(),
            branch: branch.parse().unwrap(),
            project_root: root.parse().unwrap(),
            globs: crate::PathGlobs::default(),
            allow_forks: false,
            run_drafts: false,
            labels: crate::Labels::default(),
            detached_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn update(branch: &str, old: &str) -> RefUpdate {
        RefUpdate {
            name: format!("refs/heads/{branch}"),
            old_object_id: Some(old.repeat(40)),
            new_object_id: Some("a".repeat(40)),
            forced: false,
        }
    }

    fn changed(path: &str) -> Changed {
        Changed::Paths(vec![path.to_owned()])
    }

    #[test]
    fn a_push_is_foreseen_by_what_was_kept_of_each_ref_and_unknown_without() {
        let push = Push {
            ref_updates: vec![
                update("main", "1"),
                update("fix", "1"),
                update("gone", "1"),
                update("new", "0"),
            ],
            ..Push::default()
        };
        let mut room = Room::default();
        let refs = [
            ("refs/heads/main", Some(changed("prod/a"))),
            ("refs/heads/gone", None),
        ];
        let compared = Compared {
            refs: refs
                .iter()
                .filter_map(|(name, changed)| room.keep_ref(name, changed.as_ref()))
                .collect(),
            pull_request: None,
        };
        let subject = Subject::Push(&push, ID.parse::<Guid>().unwrap());
        let of = |stack: Stack| {
            let all = foreseen(&subject, Some(&compared), &[stack]);
            all.into_iter()
                .map(|one| (one.would, one.reason))
                .collect::<Vec<_>>()
        };
        let one = |would, reason: &str| vec![(would, reason.to_owned())];
        let tracked = Would::Run(RunKind::Tracked);
        assert_eq!(
            of(stack(StackKind::Stack, "main", "prod")),
            one(tracked, "`prod/a` is in `prod/`")
        );
        assert_eq!(
            of(stack(StackKind::Stack, "main", "docs")),
            one(Would::Nothing, "`prod/` is outside `docs/`")
        );
        assert_eq!(
            of(stack(StackKind::Stack, "gone", "")),
            one(Would::Nothing, "branch `gone` is not there any more")
        );
        assert_eq!(
            of(stack(StackKind::Stack, "new", "docs")),
            one(tracked, "its branch is new")
        );
        assert_eq!(
            of(stack(StackKind::Stack, "other", "")),
            one(Would::Nothing, "branch `main` is not tracked")
        );
        let unknown = of(stack(StackKind::Stack, "fix", ""));
        assert_eq!(unknown[0].0, Would::Unknown);
        let module: Vec<Would> = of(stack(StackKind::Module, "main", "prod"))
            .into_iter()
            .map(|(would, _)| would)
            .collect();
        assert_eq!(
            module,
            [
                Would::Run(RunKind::Test),
                Would::Unknown,
                Would::Nothing,
                Would::Unknown
            ]
        );
    }

    #[test]
    fn a_pull_request_is_foreseen_as_it_was_and_as_it_is_told_where_nobody_looked() {
        let told = PullRequest {
            status: Some("active".to_owned()),
            target_ref: Some("refs/heads/main".to_owned()),
            ..PullRequest::default()
        };
        let about = AboutPullRequest {
            told: &told,
            number: 7,
            comment: None,
            repository: ID.parse().unwrap(),
        };
        let subject = Subject::PullRequest(about);
        let known = |status: &str, is_draft, changed: Option<Changed>| Compared {
            refs: Vec::new(),
            pull_request: Some(ComparedPullRequest {
                status: status.to_owned(),
                target_ref: "refs/heads/main".to_owned(),
                is_draft,
                is_fork: false,
                changed: changed.map(|changed| Room::default().keep(&changed)),
            }),
        };
        let main = stack(StackKind::Stack, "main", "prod");
        let of = |compared: Option<&Compared>, stack: &Stack| {
            let one = foreseen(&subject, compared, std::slice::from_ref(stack)).remove(0);
            (one.would, one.reason)
        };
        let open = known("active", false, Some(changed("prod/a")));
        assert_eq!(of(Some(&open), &main).0, Would::Run(RunKind::Proposed));
        let develop = stack(StackKind::Stack, "develop", "prod");
        let elsewhere = "the pull request goes into `main`, which is not tracked".to_owned();
        assert_eq!(
            of(Some(&open), &develop),
            (Would::Nothing, elsewhere.clone())
        );
        assert_eq!(of(None, &develop), (Would::Nothing, elsewhere));
        assert_eq!(of(None, &main).0, Would::Unknown);
        let closed = known("completed", false, None);
        assert_eq!(
            of(Some(&closed), &main),
            (Would::Nothing, "the pull request is completed".to_owned())
        );
        let draft = known("active", true, None);
        assert_eq!(
            of(Some(&draft), &main),
            (Would::Nothing, "draft pull request".to_owned())
        );
        let mut drafts = main.clone();
        drafts.run_drafts = true;
        assert_eq!(of(Some(&draft), &drafts).0, Would::Unknown);
    }
}
