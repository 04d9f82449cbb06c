//! An event in words, for people: what was pushed where by whom, which pull request changed and how.
//!
//! Every name in it comes from a payload and is text that anybody may have written: it is cut to a bearable length and rid
//! of what could steer a terminal or turn a line around. It is plain text and never HTML.

use crate::event::{
    Comment, CommentChange, Event, EventType, PullRequest, PullRequestChange, Push, RefChange,
    RefUpdate, Repository, UpdateHint,
};
use crate::stack::HEADS;

/// How many characters of a title, name or comment are shown.
const MOST_CHARACTERS: usize = 120;
/// How many refs of one push are named.
const MOST_REFS: usize = 5;

/// What happened, in one line.
#[must_use]
pub fn of(event_type: &EventType, event: &Event) -> String {
    match event {
        Event::Push(push) => of_push(push),
        Event::PullRequest(change, pull_request) => of_pull_request(*change, pull_request),
        Event::Comment(comment) => of_comment(comment),
        Event::WithoutDetails => without_details(event_type),
        Event::Other => format!(
            "{}, an event that Stackhook does not act upon",
            plain(event_type.as_str())
        ),
    }
}

/// What a send by the Test button says, in one line.
#[must_use]
pub fn of_test(event_type: &EventType, event: &Event) -> String {
    format!(
        "The Test button sent a sample of {}: {}",
        plain(event_type.as_str()),
        of(event_type, event)
    )
}

fn without_details(event_type: &EventType) -> String {
    let what = match event_type {
        EventType::GitPush => "Code was pushed",
        EventType::PullRequestCreated => "A pull request was created",
        EventType::PullRequestMergeAttempted => "A merge of a pull request was attempted",
        EventType::PullRequestUpdated => "A pull request was updated",
        EventType::PullRequestCommented => "A pull request was commented on",
        EventType::Other(name) => {
            return format!("{}, an event that Stackhook does not act upon", plain(name));
        }
    };
    format!("{what}; the subscription sends no details")
}

fn of_push(push: &Push) -> String {
    let who = person(push.pushed_by.as_deref());
    let place = place(push.repository.as_ref());
    match push.ref_updates.as_slice() {
        [] => format!("{who} pushed to {place}"),
        [update] => format!("{who} {} {place}", one_ref(update, push.commits)),
        several => {
            let mut named: Vec<String> = several.iter().take(MOST_REFS).map(short_change).collect();
            if several.len() > MOST_REFS {
                named.push(format!("{} more", several.len() - MOST_REFS));
            }
            format!(
                "{who} changed {} refs of {place}: {}",
                several.len(),
                named.join(", ")
            )
        }
    }
}

/// The verb and object of a push to one ref, up to the word before the place.
fn one_ref(update: &RefUpdate, commits: Option<usize>) -> String {
    let name = ref_name(&update.name);
    match update.change() {
        RefChange::Created => {
            let with = match commits {
                Some(count) if count > 0 => format!(" with {}", counted(count)),
                _ => String::new(),
            };
            format!(
                "created {name}{with} at {} in",
                short_id(update.new_object_id.as_deref())
            )
        }
        RefChange::Deleted => {
            format!(
                "deleted {name} (it was at {}) in",
                short_id(update.old_object_id.as_deref())
            )
        }
        RefChange::Moved => {
            let from_to = format!(
                "from {} to {}",
                short_id(update.old_object_id.as_deref()),
                short_id(update.new_object_id.as_deref())
            );
            match (update.forced, commits) {
                (true, _) => format!("force-pushed {name} {from_to} in"),
                (false, Some(count)) if count > 0 => {
                    format!("pushed {} to {name} of", counted(count))
                }
                (false, _) => format!("moved {name} {from_to} in"),
            }
        }
    }
}

fn short_change(update: &RefUpdate) -> String {
    let verb = match update.change() {
        RefChange::Created => "created",
        RefChange::Deleted => "deleted",
        RefChange::Moved if update.forced => "force-pushed",
        RefChange::Moved => "updated",
    };
    format!("{verb} {}", ref_name(&update.name))
}

fn of_pull_request(change: PullRequestChange, pull_request: &PullRequest) -> String {
    let what = described(pull_request);
    let status = pull_request.status.as_deref();
    match change {
        PullRequestChange::Created => {
            let draft = if pull_request.is_draft { "draft " } else { "" };
            let fork = pull_request.fork.as_ref().map_or_else(String::new, |fork| {
                format!(", from the fork {}", place(Some(fork)))
            });
            format!(
                "{} opened {draft}{what}{fork}",
                person(pull_request.created_by.as_deref())
            )
        }
        PullRequestChange::MergeAttempted => of_merge(pull_request, &what),
        PullRequestChange::Updated(UpdateHint::None) if status == Some("completed") => {
            format!(
                "{} completed {what}",
                person(pull_request.closed_by.as_deref())
            )
        }
        PullRequestChange::Updated(UpdateHint::None) if status == Some("abandoned") => {
            format!(
                "{} abandoned {what}",
                person(pull_request.closed_by.as_deref())
            )
        }
        PullRequestChange::Updated(hint) => {
            let how = match hint {
                UpdateHint::SourceBranch => {
                    format!(
                        "its source branch was pushed to and is at {}",
                        short_id(pull_request.source_commit.as_deref())
                    )
                }
                UpdateHint::Reviewers => "its reviewers changed".to_owned(),
                UpdateHint::Approved => "a reviewer approved it".to_owned(),
                UpdateHint::ApprovedWithSuggestions => {
                    "a reviewer approved it with suggestions".to_owned()
                }
                UpdateHint::WaitingForAuthor => "a reviewer waits for the author".to_owned(),
                UpdateHint::Rejected => "a reviewer rejected it".to_owned(),
                UpdateHint::Vote => "a reviewer voted".to_owned(),
                UpdateHint::Reactivated => "it was reactivated".to_owned(),
                UpdateHint::Published => "it is no draft any more".to_owned(),
                UpdateHint::MadeDraft => "it was made a draft".to_owned(),
                UpdateHint::TargetBranch => {
                    format!(
                        "its target is now {}",
                        optional_ref(pull_request.target_ref.as_deref())
                    )
                }
                UpdateHint::None => "what changed is not told".to_owned(),
            };
            format!("{} was updated: {how}", capitalised(&what))
        }
    }
}

fn of_merge(pull_request: &PullRequest, what: &str) -> String {
    let how = match (
        pull_request.status.as_deref(),
        pull_request.merge_status.as_deref(),
    ) {
        (Some("completed"), Some("succeeded") | None) => {
            return format!(
                "{} merged {what} as {}",
                person(pull_request.closed_by.as_deref()),
                short_id(pull_request.merge_commit.as_deref())
            );
        }
        (_, Some("succeeded")) => "it can be merged".to_owned(),
        (_, Some("conflicts")) => "it has conflicts".to_owned(),
        (_, Some("rejectedByPolicy")) => "a policy rejected it".to_owned(),
        (_, Some("failure")) => "it failed".to_owned(),
        (_, Some("queued")) => "it is queued".to_owned(),
        (_, Some(other)) => format!("its merge status is {}", plain(other)),
        (_, None) => "how it went is not told".to_owned(),
    };
    format!("A merge of {what} was attempted: {how}")
}

fn of_comment(comment: &Comment) -> String {
    let who = person(comment.author.as_deref());
    let on = comment
        .pull_request
        .as_ref()
        .map_or_else(|| "a pull request that is not told".to_owned(), described);
    match (comment.change, &comment.content) {
        (CommentChange::Deleted, _) => format!("{who} deleted a comment on {on}"),
        (CommentChange::Edited, Some(content)) => {
            format!("{who} edited a comment on {on}: “{}”", plain(content))
        }
        (CommentChange::Edited, None) => format!("{who} edited a comment on {on}"),
        (CommentChange::Made, Some(content)) => {
            format!("{who} commented on {on}: “{}”", plain(content))
        }
        (CommentChange::Made, None) => format!("{who} commented on {on}"),
    }
}

/// `pull request 7 “Title” (feature → main) in Project/repository`
fn described(pull_request: &PullRequest) -> String {
    let mut text = "pull request".to_owned();
    if let Some(number) = pull_request.number {
        text.push_str(&format!(" {number}"));
    }
    if let Some(title) = &pull_request.title {
        text.push_str(&format!(" “{}”", plain(title)));
    }
    if pull_request.source_ref.is_some() || pull_request.target_ref.is_some() {
        text.push_str(&format!(
            " ({} → {})",
            optional_ref(pull_request.source_ref.as_deref()),
            optional_ref(pull_request.target_ref.as_deref())
        ));
    }
    format!("{text} in {}", place(pull_request.repository.as_ref()))
}

/// `Project/repository`, or what is known of it.
#[must_use]
pub fn place(repository: Option<&Repository>) -> String {
    let Some(repository) = repository else {
        return "a repository that is not told".to_owned();
    };
    let name = repository.name.as_deref().or(repository.id.as_deref());
    match (repository.project_name.as_deref(), name) {
        (Some(project), Some(name)) => format!("{}/{}", plain(project), plain(name)),
        (None, Some(name)) => plain(name),
        (Some(project), None) => format!("a repository of {}", plain(project)),
        (None, None) => "a repository that is not told".to_owned(),
    }
}

fn optional_ref(name: Option<&str>) -> String {
    name.map_or_else(
        || "?".to_owned(),
        |name| plain(name.strip_prefix(HEADS).unwrap_or(name)),
    )
}

/// `branch main`, `tag v1`, or the full name of any other ref.
fn ref_name(name: &str) -> String {
    if let Some(branch) = name.strip_prefix(HEADS) {
        format!("branch {}", plain(branch))
    } else if let Some(tag) = name.strip_prefix("refs/tags/") {
        format!("tag {}", plain(tag))
    } else {
        plain(name)
    }
}

fn person(name: Option<&str>) -> String {
    name.map_or_else(|| "Somebody".to_owned(), plain)
}

fn counted(commits: usize) -> String {
    if commits == 1 {
        "1 commit".to_owned()
    } else {
        format!("{commits} commits")
    }
}

fn short_id(id: Option<&str>) -> String {
    match id {
        Some(id) if id.len() >= 8 && id.is_ascii() => plain(&id[..8]),
        Some(id) => plain(id),
        None => "an unknown commit".to_owned(),
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

/// One line of harmless text: control and direction-changing characters become spaces, runs of space one, the rest is cut
/// at `MOST_CHARACTERS`.
#[must_use]
pub fn plain(text: &str) -> String {
    plain_within(text, MOST_CHARACTERS)
}

/// The same, cut at `most` characters.
#[must_use]
pub fn plain_within(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut shown = 0;
    for word in text
        .split(|c: char| c.is_whitespace() || is_steering(c))
        .filter(|word| !word.is_empty())
    {
        if shown > 0 {
            line.push(' ');
            shown += 1;
        }
        for character in word.chars() {
            if shown >= most {
                line.push('…');
                return line;
            }
            line.push(character);
            shown += 1;
        }
    }
    line
}

/// Control characters and the invisible ones that change direction or hide (Unicode's bidirectional and zero-width ones).
fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> Option<Repository> {
        Some(Repository {
            name: Some("platform".to_owned()),
            project_name: Some("Harbor".to_owned()),
            ..Repository::default()
        })
    }

    fn push(updates: &[(&str, &str, &str, bool)], commits: Option<usize>) -> String {
        let event = Event::Push(Push {
            pushed_by: Some("Ines Moreau".to_owned()),
            repository: repository(),
            ref_updates: updates
                .iter()
                .map(|(name, old, new, forced)| RefUpdate {
                    name: (*name).to_owned(),
                    old_object_id: Some(old.repeat(40)),
                    new_object_id: Some(new.repeat(40)),
                    forced: *forced,
                })
                .collect(),
            commits,
            push_id: Some(7),
            default_branch: None,
        });
        of(&EventType::GitPush, &event)
    }

    #[test]
    fn a_push_says_who_pushed_what_where() {
        assert_eq!(
            push(&[("refs/heads/main", "1", "2", false)], Some(2)),
            "Ines Moreau pushed 2 commits to branch main of Harbor/platform"
        );
        assert_eq!(
            push(&[("refs/heads/fix/x", "0", "2", false)], Some(1)),
            "Ines Moreau created branch fix/x with 1 commit at 22222222 in Harbor/platform"
        );
        assert_eq!(
            push(&[("refs/heads/fix/x", "2", "0", false)], None),
            "Ines Moreau deleted branch fix/x (it was at 22222222) in Harbor/platform"
        );
        assert_eq!(
            push(&[("refs/heads/main", "1", "2", true)], Some(1)),
            "Ines Moreau force-pushed branch main from 11111111 to 22222222 in Harbor/platform"
        );
        assert_eq!(
            push(&[("refs/tags/v1", "0", "2", false)], None),
            "Ines Moreau created tag v1 at 22222222 in Harbor/platform"
        );
        assert_eq!(
            push(
                &[
                    ("refs/heads/main", "1", "2", false),
                    ("refs/tags/v1", "0", "2", false),
                    ("refs/heads/a", "1", "0", false)
                ],
                Some(1)
            ),
            "Ines Moreau changed 3 refs of Harbor/platform: updated branch main, created tag v1, deleted branch a"
        );
    }

    #[test]
    fn what_is_not_told_is_said_to_be_unknown() {
        let event = Event::Push(Push::default());
        assert_eq!(
            of(&EventType::GitPush, &event),
            "Somebody pushed to a repository that is not told"
        );
        let event = Event::PullRequest(
            PullRequestChange::Updated(UpdateHint::None),
            PullRequest::default(),
        );
        assert_eq!(
            of(&EventType::PullRequestUpdated, &event),
            "Pull request in a repository that is not told was updated: what changed is not told"
        );
    }

    #[test]
    fn p15_text_that_somebody_wrote_cannot_steer_a_terminal_or_grow_without_end() {
        assert_eq!(plain("a\r\nb\u{1b}[31mc\u{202e}d"), "a b [31mc d");
        let long = plain(&"é".repeat(500));
        assert_eq!(long.chars().count(), MOST_CHARACTERS + 1);
        assert!(long.ends_with('…'));
    }
}
