//! `git.pullrequest.created`, `.merged` ("merge attempted") and `.updated` (facts 4.3 to 4.5). The three share one resource.

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{Event, EventKind, Message, escape};
use crate::state::Organization;
use crate::state::git::Repository;
use crate::state::pull_requests::PullRequest;
use crate::views;

/// What `git.pullrequest.updated` is about; it shows in the text only (facts 4.4 b).
#[derive(Clone, Debug)]
pub(crate) struct Update {
    /// What the sentence says before "pull request N (title) in repository", the name of who did it left out.
    pub(crate) says: String,
    /// What it says after that.
    pub(crate) then: String,
    /// The value of the filter that lets it pass. It is not in the payload.
    pub(crate) notification_type: Option<&'static str>,
}

/// A pull request was made.
pub(crate) fn created(
    organization: &Organization,
    pull_request: &PullRequest,
    at: Timestamp,
) -> Option<Event> {
    let who = &organization.person_by_id(pull_request.created_by).name;
    let message = about(organization, pull_request, &format!("{who} created "), "")?;
    event(
        organization,
        pull_request,
        EventKind::PullRequestCreated,
        pull_request.created_by,
        message,
        at,
    )
}

/// A merge was attempted: the trial one of an active pull request, or the real one.
pub(crate) fn merged(
    organization: &Organization,
    pull_request: &PullRequest,
    by: Uuid,
    at: Timestamp,
) -> Option<Event> {
    // The two spaces are the service's (facts 4.5).
    let message = about(organization, pull_request, "Merge attempted  for ", "")?;
    let mut event = event(
        organization,
        pull_request,
        EventKind::PullRequestMerged,
        by,
        message,
        at,
    )?;
    event.merge_result = Some(pull_request.merge.result());
    Some(event)
}

/// Something about a pull request changed.
pub(crate) fn updated(
    organization: &Organization,
    pull_request: &PullRequest,
    by: Uuid,
    update: &Update,
    at: Timestamp,
) -> Option<Event> {
    let who = &organization.person_by_id(by).name;
    let message = about(
        organization,
        pull_request,
        &format!("{who} {} ", update.says),
        &update.then,
    )?;
    let mut event = event(
        organization,
        pull_request,
        EventKind::PullRequestUpdated,
        by,
        message,
        at,
    )?;
    event.notification_type = update.notification_type;
    Some(event)
}

fn event(
    organization: &Organization,
    pull_request: &PullRequest,
    kind: EventKind,
    actor: Uuid,
    message: Message,
    created: Timestamp,
) -> Option<Event> {
    let repository = organization.repository(pull_request.repository)?;
    let detailed = message.with_paragraph(pull_request.description.as_deref().unwrap_or_default());
    let url = views::pull_request_url(organization, repository, pull_request.id);
    Some(Event {
        id: Uuid::new_v4(),
        kind,
        created,
        project: repository.project,
        repository: repository.id,
        refs: vec![pull_request.target.clone()],
        actor,
        creator: pull_request.created_by,
        reviewers: pull_request.reviewers.iter().map(|it| it.person).collect(),
        merge_result: None,
        notification_type: None,
        message,
        detailed,
        resource: views::pull_request(organization, pull_request),
        minimal: json!({ "pullRequestId": pull_request.id, "title": pull_request.title, "url": url }),
    })
}

/// A sentence about a pull request, with its links.
fn about(
    organization: &Organization,
    pull_request: &PullRequest,
    before: &str,
    after: &str,
) -> Option<Message> {
    let repository = organization.repository(pull_request.repository)?;
    let PullRequest { id, title, .. } = pull_request;
    let (web, name) = (views::web_url(organization, repository), &repository.name);
    Some(Message {
        text: format!("{before}pull request {id} ({title}) in {name}{after}\r\n{web}/"),
        html: format!(
            "{}<a href=\"{web}/pullrequest/{id}\">pull request {id}</a> ({}) in <a href=\"{web}/\">{}</a>{}",
            escape(before),
            escape(title),
            escape(name),
            escape(after)
        ),
        markdown: format!(
            "{before}[pull request {id}]({web}/pullrequest/{id}) ({title}) in [{name}]({web}/){after}"
        ),
    })
}

/// Where a person reads a comment.
pub(crate) fn discussion_url(
    organization: &Organization,
    repository: &Repository,
    id: u32,
    thread: u32,
) -> String {
    format!(
        "{}/pullrequest/{id}?discussionId={thread}",
        views::web_url(organization, repository)
    )
}
