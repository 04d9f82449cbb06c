//! `ms.vss-code.git-pullrequest-comment-event`: a comment was made, edited or deleted (facts 4.5).
//! Which of the three it was shows in the comment's dates and `isDeleted`, and in the text.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::pull_request::discussion_url;
use super::{Event, EventKind, Message, escape};
use crate::state::Organization;
use crate::state::pull_requests::{Comment, PullRequest};
use crate::views;

/// Renders what was done ("commented on", "edited", "deleted") to a comment.
pub(crate) fn event(
    organization: &Organization,
    pull_request: &PullRequest,
    thread: u32,
    comment: &Comment,
    done: &str,
    created: Timestamp,
) -> Option<Event> {
    let repository = organization.repository(pull_request.repository)?;
    // The comment's own links go without the project, other than the pull request's.
    let base = format!(
        "{}/pullRequests/{}",
        views::short_repository_url(organization, repository),
        pull_request.id
    );
    let message = message(
        &organization.person_by_id(comment.author).name,
        done,
        &discussion_url(organization, repository, pull_request.id, thread),
    );
    let content = if comment.deleted {
        ""
    } else {
        comment.content.as_str()
    };
    let view = views::comment(organization, &base, thread, comment);
    Some(Event {
        id: Uuid::new_v4(),
        kind: EventKind::Comment,
        created,
        project: repository.project,
        repository: repository.id,
        refs: vec![pull_request.target.clone()],
        actor: comment.author,
        creator: pull_request.created_by,
        reviewers: pull_request.reviewers.iter().map(|it| it.person).collect(),
        merge_result: None,
        notification_type: None,
        detailed: message.with_paragraph(content),
        message,
        minimal: minimal(&view, pull_request, &base),
        resource: json!({ "comment": view, "pullRequest": with_head(organization, pull_request) }),
    })
}

/// The pull request, with the one commit that only this event lists.
fn with_head(organization: &Organization, pull_request: &PullRequest) -> Value {
    let view = views::pull_request(organization, pull_request);
    let head = view["lastMergeSourceCommit"].clone();
    views::extended(view, json!({ "commits": [head] }))
}

fn minimal(comment: &Value, pull_request: &PullRequest, base: &str) -> Value {
    json!({
        "comment": { "id": comment["id"], "_links": comment["_links"] },
        "pullRequest": { "pullRequestId": pull_request.id, "title": pull_request.title, "url": base },
    })
}

fn message(who: &str, done: &str, url: &str) -> Message {
    let rest = if done == "commented on" {
        "a pull request"
    } else {
        "a pull request comment"
    };
    Message {
        text: format!("{who} has {done} {rest}"),
        html: format!("{} has <a href=\"{url}\">{done}</a> {rest}", escape(who)),
        markdown: format!("{who} has [{done}]({url}) {rest}"),
    }
}
