//! Comments on pull requests: made, edited, deleted, each with its event (facts 4.5).

use serde_json::json;

use super::{Done, Refused, Scene, bad, not_found};
use crate::events;
use crate::state::people::Person;
use crate::state::pull_requests::{Comment, Thread};
use crate::state::take;
use crate::views;

/// Where a comment is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CommentPlace {
    pub(crate) pull_request: u32,
    pub(crate) thread: u32,
    pub(crate) comment: u32,
}

/// Writes a comment: a new thread, or an answer in one.
pub(crate) fn add(
    scene: &mut Scene<'_>,
    pull_request: u32,
    thread: Option<u32>,
    by: &Person,
    content: &str,
    status: &str,
) -> Result<(CommentPlace, Done), Refused> {
    let now = scene.now;
    let organization = scene.organization_mut()?;
    let next = organization.counters.thread;
    let found = organization
        .pull_request_mut(pull_request)
        .ok_or_else(|| not_found("pull request", &pull_request.to_string()))?;
    let id = thread.unwrap_or(next);
    if thread.is_none() {
        found.threads.push(Thread {
            id,
            status: status.to_owned(),
            published: now,
            updated: now,
            comments: Vec::new(),
        });
    }
    let in_thread = found
        .threads
        .iter_mut()
        .find(|it| it.id == id)
        .ok_or_else(|| not_found("thread", &id.to_string()))?;
    let comment = in_thread.comments.len() as u32 + 1;
    in_thread.updated = now;
    in_thread.comments.push(Comment {
        id: comment,
        parent: u32::from(comment > 1),
        author: by.id,
        content: content.to_owned(),
        published: now,
        updated: now,
        content_updated: now,
        deleted: false,
    });
    if thread.is_none() {
        take(&mut organization.counters.thread);
    }
    let place = CommentPlace {
        pull_request,
        thread: id,
        comment,
    };
    Ok((place, tell(scene, place, "commented on")?))
}

/// Writes a comment anew.
pub(crate) fn edit(
    scene: &mut Scene<'_>,
    place: CommentPlace,
    content: &str,
) -> Result<Done, Refused> {
    let now = scene.now;
    change(scene, place, |comment| {
        content.clone_into(&mut comment.content);
        comment.updated = now;
        comment.content_updated = now;
    })?;
    tell(scene, place, "edited")
}

/// Deletes a comment: it stays, marked, without its content.
pub(crate) fn delete(scene: &mut Scene<'_>, place: CommentPlace) -> Result<Done, Refused> {
    let now = scene.now;
    change(scene, place, |comment| {
        comment.deleted = true;
        comment.updated = now;
    })?;
    tell(scene, place, "deleted")
}

fn change(
    scene: &mut Scene<'_>,
    place: CommentPlace,
    how: impl FnOnce(&mut Comment),
) -> Result<(), Refused> {
    let now = scene.now;
    let (updated, comment) = scene
        .organization_mut()?
        .pull_request_mut(place.pull_request)
        .and_then(|it| it.comment_mut(place.thread, place.comment))
        .ok_or_else(|| not_found("comment", &format!("{}.{}", place.thread, place.comment)))?;
    if comment.deleted {
        return bad("The comment is deleted.");
    }
    *updated = now;
    how(comment);
    Ok(())
}

fn tell(scene: &mut Scene<'_>, place: CommentPlace, done: &str) -> Result<Done, Refused> {
    let organization = scene.organization()?;
    let missing = || not_found("comment", &format!("{}.{}", place.thread, place.comment));
    let pull_request = organization
        .pull_request(place.pull_request)
        .ok_or_else(missing)?;
    let comment = pull_request
        .thread(place.thread)
        .and_then(|it| it.comments.iter().find(|it| it.id == place.comment))
        .ok_or_else(missing)?;
    let created = scene.created_date();
    let event = events::comment::event(
        organization,
        pull_request,
        place.thread,
        comment,
        done,
        created,
    );
    let repository = organization
        .repository(pull_request.repository)
        .ok_or_else(missing)?;
    let base = views::pull_request_url(organization, repository, place.pull_request);
    let result = json!({
        "id": format!("{}.{}", place.thread, place.comment),
        "threadId": place.thread,
        "commentId": place.comment,
        "comment": views::comment(organization, &base, place.thread, comment),
    });
    let events = event.map(|it| scene.publish(&it)).into_iter().collect();
    Ok(Done { result, events })
}
