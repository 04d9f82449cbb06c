//! The wire form, as Azure DevOps spells it, with only the fields that are used; every one of them may be absent.

use domain::{
    EventType,
    event::{self, CommentChange, PullRequestChange, UpdateHint},
};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Envelope<'a> {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) id: Option<String>,
    pub(crate) event_type: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) subscription_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) notification_id: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) created_date: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    message: Option<Message>,
    /// Required, though it may be `null`: what has none is no notification.
    #[serde(borrow)]
    pub(crate) resource: &'a RawValue,
    #[serde(default, deserialize_with = "lenient")]
    resource_containers: Option<Containers>,
}

impl Envelope<'_> {
    pub(crate) fn account_id(&self) -> Option<&str> {
        self.resource_containers
            .as_ref()?
            .account
            .as_ref()?
            .id
            .as_deref()
    }

    pub(crate) fn message_text(&self) -> &str {
        self.message
            .as_ref()
            .and_then(|message| message.text.as_deref())
            .unwrap_or_default()
    }
}

/// A field that is only shown: of another type than expected it counts as absent, rather than to make all else unreadable.
fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

#[derive(Deserialize)]
struct Message {
    text: Option<String>,
}

#[derive(Deserialize)]
struct Containers {
    account: Option<Container>,
}

#[derive(Deserialize)]
struct Container {
    id: Option<String>,
}

/// Whether two bodies have the same `resource`: to the letter, or with its fields in another order.
pub(crate) fn same_resource(one: &[u8], other: &[u8]) -> bool {
    let (Some(one), Some(other)) = (resource(one), resource(other)) else {
        return false;
    };
    let value = |text: &RawValue| serde_json::from_str::<serde_json::Value>(text.get()).ok();
    one.get() == other.get() || value(one).is_some_and(|one| value(other) == Some(one))
}

fn resource(body: &[u8]) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Bare<'a> {
        #[serde(borrow)]
        resource: &'a RawValue,
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    Some(serde_json::from_slice::<Bare<'_>>(body).ok()?.resource)
}

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "displayName")]
    display_name: Option<String>,
}

fn name(identity: Option<Identity>) -> Option<String> {
    identity?.display_name
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Repository {
    id: Option<String>,
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    default_branch: Option<String>,
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Project {
    id: Option<String>,
    name: Option<String>,
}

impl From<Repository> for event::Repository {
    fn from(wire: Repository) -> Self {
        let (project_id, project_name) = wire
            .project
            .map_or((None, None), |project| (project.id, project.name));
        Self {
            id: wire.id,
            name: wire.name,
            project_id,
            project_name,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Push {
    #[serde(default, deserialize_with = "lenient")]
    pushed_by: Option<Identity>,
    repository: Option<Repository>,
    ref_updates: Option<Vec<RefUpdate>>,
    commits: Option<Vec<serde::de::IgnoredAny>>,
    push_id: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefUpdate {
    name: Option<String>,
    old_object_id: Option<String>,
    new_object_id: Option<String>,
    forced: Option<bool>,
}

impl From<Push> for event::Push {
    fn from(wire: Push) -> Self {
        let ref_updates = wire
            .ref_updates
            .unwrap_or_default()
            .into_iter()
            .map(|update| event::RefUpdate {
                name: update.name.unwrap_or_default(),
                old_object_id: update.old_object_id,
                new_object_id: update.new_object_id,
                forced: update.forced.unwrap_or_default(),
            });
        let default_branch = wire
            .repository
            .as_ref()
            .and_then(|repository| repository.default_branch.clone());
        Self {
            default_branch,
            pushed_by: name(wire.pushed_by),
            repository: wire.repository.map(Into::into),
            ref_updates: ref_updates.collect(),
            commits: wire.commits.map(|commits| commits.len()),
            push_id: wire.push_id,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PullRequest {
    pull_request_id: Option<i64>,
    title: Option<String>,
    status: Option<String>,
    is_draft: Option<bool>,
    source_ref_name: Option<String>,
    target_ref_name: Option<String>,
    last_merge_source_commit: Option<Commit>,
    last_merge_commit: Option<Commit>,
    merge_status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    created_by: Option<Identity>,
    #[serde(default, deserialize_with = "lenient")]
    closed_by: Option<Identity>,
    repository: Option<Repository>,
    fork_source: Option<Fork>,
    #[serde(default, deserialize_with = "lenient")]
    supports_iterations: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Commit {
    commit_id: Option<String>,
}

#[derive(Deserialize)]
struct Fork {
    repository: Option<Repository>,
}

impl From<PullRequest> for event::PullRequest {
    fn from(wire: PullRequest) -> Self {
        let fork = wire.fork_source.map(|fork| {
            fork.repository
                .map_or_else(event::Repository::default, Into::into)
        });
        Self {
            number: wire.pull_request_id,
            title: wire.title,
            status: wire.status,
            is_draft: wire.is_draft.unwrap_or_default(),
            source_ref: wire.source_ref_name,
            target_ref: wire.target_ref_name,
            source_commit: wire
                .last_merge_source_commit
                .and_then(|commit| commit.commit_id),
            merge_commit: wire.last_merge_commit.and_then(|commit| commit.commit_id),
            merge_status: wire.merge_status,
            created_by: name(wire.created_by),
            closed_by: name(wire.closed_by),
            repository: wire.repository.map(Into::into),
            fork,
            supports_iterations: wire.supports_iterations,
        }
    }
}

/// What kind of pull request event it is; `message` gives the hint for an update (facts 4.4, way b: for showing only).
pub(crate) fn change(
    event_type: &EventType,
    message: &str,
    pull_request: &event::PullRequest,
) -> PullRequestChange {
    match event_type {
        EventType::PullRequestCreated => PullRequestChange::Created,
        EventType::PullRequestMergeAttempted => PullRequestChange::MergeAttempted,
        _ => PullRequestChange::Updated(hint(message, pull_request.title.as_deref())),
    }
}

/// The first phrase that Azure DevOps' message has, the title left out, which may say anything.
fn hint(message: &str, title: Option<&str>) -> UpdateHint {
    const PHRASES: [(&str, UpdateHint); 11] = [
        ("updated the source branch", UpdateHint::SourceBranch),
        ("changed the reviewer list", UpdateHint::Reviewers),
        (
            "has approved and left suggestions",
            UpdateHint::ApprovedWithSuggestions,
        ),
        ("approved pull request", UpdateHint::Approved),
        ("is waiting for the author", UpdateHint::WaitingForAuthor),
        ("rejected pull request", UpdateHint::Rejected),
        ("voted on pull request", UpdateHint::Vote),
        ("reactivated", UpdateHint::Reactivated),
        ("published", UpdateHint::Published),
        ("as a draft", UpdateHint::MadeDraft),
        ("target branch", UpdateHint::TargetBranch),
    ];
    let message = match title {
        Some(title) if !title.is_empty() => message.replace(title, ""),
        _ => message.to_owned(),
    };
    let found = PHRASES.iter().find(|(phrase, _)| message.contains(phrase));
    found.map_or(UpdateHint::None, |(_, hint)| *hint)
}

/// Resource version 2.0 wraps the comment; 1.0 is the bare comment.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommentResource {
    comment: Option<Comment>,
    pull_request: Option<PullRequest>,
    #[serde(flatten)]
    bare: Comment,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Comment {
    id: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    author: Option<Identity>,
    content: Option<String>,
    published_date: Option<String>,
    last_updated_date: Option<String>,
    last_content_updated_date: Option<String>,
    is_deleted: Option<bool>,
    #[serde(rename = "_links")]
    links: Option<CommentLinks>,
}

#[derive(Deserialize)]
struct CommentLinks {
    #[serde(rename = "self")]
    itself: Option<Link>,
    threads: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: Option<String>,
}

impl From<CommentResource> for event::Comment {
    fn from(wire: CommentResource) -> Self {
        let comment = wire.comment.unwrap_or(wire.bare);
        let change = comment.change();
        let linked = comment
            .pull_request_number()
            .map(|number| event::PullRequest {
                number: Some(number),
                ..event::PullRequest::default()
            });
        Self {
            id: comment.id,
            thread: comment.thread_number(),
            author: name(comment.author),
            content: comment.content,
            change,
            pull_request: wire.pull_request.map(Into::into).or(linked),
        }
    }
}

impl Comment {
    /// Source: facts 4.5. A new comment's dates agree; an edited one's do not.
    fn change(&self) -> CommentChange {
        let published = self.published_date.as_deref();
        let differs = |date: &Option<String>| date.is_some() && date.as_deref() != published;
        if self.is_deleted == Some(true) {
            CommentChange::Deleted
        } else if published.is_some()
            && (differs(&self.last_updated_date) || differs(&self.last_content_updated_date))
        {
            CommentChange::Edited
        } else {
            CommentChange::Made
        }
    }

    /// The number in `…/threads/{number}`, which stands in the links alone (facts 4.5).
    fn thread_number(&self) -> Option<i64> {
        let links = self.links.as_ref()?;
        let of = |link: &Option<Link>| {
            let href = link.as_ref()?.href.as_deref()?.to_ascii_lowercase();
            let (_, after) = href.rsplit_once("/threads/")?;
            after.split('/').next()?.parse().ok()
        };
        of(&links.threads).or_else(|| of(&links.itself))
    }

    /// The number in `…/pullRequests/{number}/threads/…`. Read for showing; nothing named in a payload is ever fetched.
    fn pull_request_number(&self) -> Option<i64> {
        let href = self
            .links
            .as_ref()?
            .itself
            .as_ref()?
            .href
            .as_deref()?
            .to_ascii_lowercase();
        let (_, after) = href.split_once("/pullrequests/")?;
        after.split('/').next()?.parse().ok()
    }
}
