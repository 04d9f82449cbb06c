//! What an event asks of the stacks that follow its repository, and why not.
//!
//! Nothing here asks anybody: what changed, and how a pull request is now, are arguments. Whoever decides on a delivery, and
//! whoever only wants to know what would be decided, goes by these rules and their words.

use std::collections::{BTreeMap, HashMap};

use crate::{
    Changed, Event, EventType, Guid, Stack, StackKind, StackName,
    event::{Comment, CommentChange, PullRequest, Push, RefChange, RefUpdate, Repository},
    stack::HEADS,
    summary::plain,
    touch::Touch,
};

/// How many refs of one push that no stack tracks are looked at for the sake of modules.
pub const MOST_UNTRACKED: usize = 50;

/// What a comment says that asks for a run.
const COMMAND: [&str; 2] = ["/stackhook", "run"];

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A push, and the repository pushed to.
    Push(&'a Push, Guid),
    /// A pull request.
    PullRequest(AboutPullRequest<'a>),
}

/// A pull request that an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AboutPullRequest<'a> {
    /// As the event tells it.
    pub told: &'a PullRequest,
    /// Its number.
    pub number: i64,
    /// The comment that asks for a run.
    pub comment: Option<&'a Comment>,
    /// The repository it goes into.
    pub repository: Guid,
}

impl Subject<'_> {
    /// The repository that it is about.
    #[must_use]
    pub fn repository(&self) -> &Guid {
        match self {
            Self::Push(_, repository) => repository,
            Self::PullRequest(about) => &about.repository,
        }
    }
}

/// What an event is about.
///
/// # Errors
///
/// In words why it asks no stack for anything.
pub fn subject<'a>(
    event_type: &EventType,
    event: &'a Event,
    is_test: bool,
) -> Result<Subject<'a>, String> {
    if is_test {
        return Err("it is a sample of the Test button".to_owned());
    }
    let (told, comment, repository) = match event {
        Event::Push(push) => {
            return Ok(Subject::Push(push, repository(push.repository.as_ref())?));
        }
        Event::PullRequest(_, it) => (it, None, repository(it.repository.as_ref())?),
        Event::Comment(comment) if !asks(comment) => {
            return Err(
                "the comment does not ask for a run: that is `/stackhook run` in its first line"
                    .to_owned(),
            );
        }
        Event::Comment(comment) => {
            let it = comment.pull_request.as_ref();
            let it = it.ok_or("the event does not tell the pull request: its subscription needs resource version 2.0")?;
            let repository = repository(it.repository.as_ref())
                .map_err(|_absent| "the event does not tell the repository: its subscription needs resource version 2.0")?;
            (it, Some(comment), repository)
        }
        Event::WithoutDetails => {
            return Err(
                "the subscription sends no details: set its “Resource details to send” to All"
                    .to_owned(),
            );
        }
        Event::Other => {
            return Err(format!(
                "Stackhook does not act upon {}",
                plain(event_type.as_str())
            ));
        }
    };
    let number = told
        .number
        .ok_or("the event does not tell the pull request's number")?;
    Ok(Subject::PullRequest(AboutPullRequest {
        told,
        number,
        comment,
        repository,
    }))
}

fn repository(told: Option<&Repository>) -> Result<Guid, String> {
    let id = told.and_then(|repository| repository.id.as_deref());
    let id =
        id.ok_or("the event does not tell the repository: set “Resource details to send” to All")?;
    id.parse()
        .map_err(|_guid| "the event's repository has an id that is none".to_owned())
}

/// Whether a comment asks for a run: its first line that says anything is the command.
fn asks(comment: &Comment) -> bool {
    let content = comment.content.as_deref().unwrap_or_default();
    let first = content.lines().map(str::trim).find(|line| !line.is_empty());
    comment.change != CommentChange::Deleted
        && first.is_some_and(|line| line.split_whitespace().eq(COMMAND))
}

/// The reason for a run that a comment asks for.
#[must_use]
pub fn by_comment(reason: &str) -> String {
    format!("`{}` in a comment; {reason}", COMMAND.join(" "))
}

/// Refs, each with the stacks that follow it.
pub type Followed<'a> = Vec<(&'a RefUpdate, Vec<&'a Stack>)>;
/// Stacks, each with why a ref is none that it follows.
pub type Aside<'a> = Vec<(&'a Stack, String)>;

/// The refs of a push that are followed, and by whom; and of each stack why the first ref that it does not follow is none.
///
/// Whoever imports a repository pushes all its branches at once: the tracked ones are all looked at, and of the others, which
/// modules alone follow, so many.
#[must_use]
pub fn followed<'a>(push: &'a Push, stacks: &'a [Stack]) -> (Followed<'a>, Aside<'a>) {
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
            if follows(stack, &update.name) && update.change() != RefChange::Deleted {
                followers.push(stack);
            } else if !aside.contains_key(&stack.name) {
                aside.insert(&stack.name, (stack, why_not(update)));
            }
        }
        if followers.is_empty() {
            continue;
        }
        let is_tracked = |stack: &&&Stack| tracks(stack, &update.name);
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

/// Whether what a push changed of a ref concerns a stack that follows it.
#[must_use]
pub fn touched_by_push(stack: &Stack, update: &RefUpdate, changed: &Changed) -> Touch {
    match is_all_new(stack, update) {
        true => Touch::Yes("its branch is new".to_owned()),
        false => changed.touch(stack),
    }
}

/// Whether an update is of a branch that a stack tracks and that was not there before: all of it is new to the stack.
#[must_use]
pub fn is_all_new(stack: &Stack, update: &RefUpdate) -> bool {
    stack.kind == StackKind::Stack && update.change() == RefChange::Created
}

/// Why a ref that was pushed, and is gone by now, asks for nothing.
#[must_use]
pub fn is_gone(update: &RefUpdate) -> String {
    format!("{} is not there any more", in_words(&update.name))
}

/// Why a pull request in such a state asks for nothing, and its open runs are not wanted any more; `None` for an open one.
#[must_use]
pub fn is_closed(status: &str) -> Option<String> {
    (status != "active").then(|| format!("the pull request is {}", plain(status)))
}

/// Why a pull request into `target`, the full name of a ref, does not concern a stack.
#[must_use]
pub fn goes_elsewhere(stack: &Stack, target: &str) -> Option<String> {
    (!tracks(stack, target)).then(|| {
        let target = target.strip_prefix(HEADS).unwrap_or(target);
        format!(
            "the pull request goes into `{}`, which is not tracked",
            plain(target)
        )
    })
}

/// Why a pull request into its branch asks a stack for nothing all the same, whatever it changes.
#[must_use]
pub fn is_not_wanted(stack: &Stack, is_fork: bool, is_draft: bool) -> Option<&'static str> {
    if is_fork && !stack.allow_forks {
        Some("the pull request comes from a fork")
    } else if is_draft && !stack.run_drafts {
        Some("draft pull request")
    } else {
        None
    }
}

/// Whether a ref, by its full name, is the branch of a stack.
#[must_use]
pub fn tracks(stack: &Stack, name: &str) -> bool {
    stack.branch.as_str() == name
}

/// Whether a ref, by its full name, is one whose pushes mean anything to a stack: its branch; to a module every branch.
#[must_use]
pub fn follows(stack: &Stack, name: &str) -> bool {
    name.starts_with(HEADS) && (stack.kind == StackKind::Module || tracks(stack, name))
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
    let kinds = [(HEADS, "branch"), ("refs/tags/", "tag")];
    let named = kinds
        .iter()
        .find_map(|(prefix, kind)| Some(format!("{kind} `{}`", plain(name.strip_prefix(prefix)?))));
    named.unwrap_or_else(|| format!("ref `{}`", plain(name)))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::stack::Reference;

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
            project_root: crate::ProjectRoot::default(),
            globs: crate::PathGlobs::default(),
            allow_forks: false,
            run_drafts: false,
            labels: crate::Labels::default(),
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

    #[test]
    fn only_the_command_itself_asks_for_a_run() {
        let comment = |content: &str, change| Comment {
            content: Some(content.to_owned()),
            change,
            ..Comment::default()
        };
        for content in [
            "/stackhook run",
            "  /stackhook   run \r\nplease",
            "\n\n/stackhook run",
        ] {
            assert!(asks(&comment(content, CommentChange::Made)), "{content:?}");
        }
        for content in [
            "",
            "/stackhook",
            "/stackhook run prod",
            "please /stackhook run",
            "> /stackhook run",
            "/Stackhook Run",
            "x\n/stackhook run",
        ] {
            assert!(!asks(&comment(content, CommentChange::Made)), "{content:?}");
        }
        assert!(
            asks(&comment("/stackhook run", CommentChange::Edited)),
            "its id makes it run once"
        );
        assert!(!asks(&comment("/stackhook run", CommentChange::Deleted)));
    }
}
