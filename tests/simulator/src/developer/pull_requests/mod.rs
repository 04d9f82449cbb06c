//! Pull requests: opened, pushed to, changed, voted on, completed, abandoned, each with the events of facts 4.3 to 4.5.
//! A trial merge is attempted whenever source or target change, and every attempt is an event of its own.

mod merging;
mod opening;

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{Done, Refused, Scene, bad, not_found};
use crate::assumptions::Assumption;
use crate::events::pull_request::{self as rendered, Update};
use crate::ledger::PublishedEvent;
use crate::state::git::{full_branch, short};
use crate::state::people::Person;
use crate::state::pull_requests::{PullRequest, PullRequestStatus, Reviewer};
use crate::views;
use merging::{add_iteration, attempt_merge, complete};
pub(crate) use opening::create;
use opening::reviewers;

/// What to change about a pull request. Each thing that is given is an event of its own, in this order.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Change {
    /// Who does it; the usual developer if it is not said.
    #[serde(alias = "as")]
    pub(crate) author: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) draft: Option<bool>,
    pub(crate) conflict: Option<bool>,
    pub(crate) reviewers: Option<Vec<String>>,
    /// 10, 5, 0, -5 or -10.
    pub(crate) vote: Option<i32>,
    /// Nobody does it at the portal, and no event tells of it.
    pub(crate) supports_iterations: Option<bool>,
    /// `completed`, `abandoned` or `active`.
    pub(crate) status: Option<String>,
    #[serde(default)]
    pub(crate) squash: bool,
    #[serde(default)]
    pub(crate) delete_source_branch: bool,
}

const STATUS_UPDATE: &str = "StatusUpdateNotification";

/// The source branch of a pull request was pushed to.
pub(crate) fn source_pushed(
    scene: &mut Scene<'_>,
    id: u32,
    by: &Person,
    push: u32,
    forced: bool,
) -> Result<Vec<PublishedEvent>, Refused> {
    attempt_merge(scene, id)?;
    let reason = if forced { "forcePush" } else { "push" };
    add_iteration(scene, id, by.id, reason, Some(push), None)?;
    let mut events = tell(
        scene,
        id,
        by.id,
        "updated the source branch of",
        "",
        Some("PushNotification"),
    )?;
    events.extend(tell_merge(scene, id, by.id)?);
    Ok(events)
}

/// Changes a pull request.
pub(crate) fn change(scene: &mut Scene<'_>, id: u32, change: &Change) -> Result<Done, Refused> {
    let by = scene.person(change.author.as_deref())?;
    find(scene, id)?;
    let mut events = change_texts(scene, id, &by, change)?;
    events.extend(change_merge(scene, id, &by, change)?);
    events.extend(change_people(scene, id, &by, change)?);
    if let Some(status) = &change.status {
        events.extend(set_status(scene, id, &by, status, change)?);
    }
    if let Some(supports) = change.supports_iterations {
        find_mut(scene, id)?.supports_iterations = supports;
    } else if events.is_empty() {
        return bad("Nothing to change was given.");
    }
    done(scene, id, events)
}

fn change_texts(
    scene: &mut Scene<'_>,
    id: u32,
    by: &Person,
    change: &Change,
) -> Result<Vec<PublishedEvent>, Refused> {
    let mut events = Vec::new();
    if let Some(title) = &change.title {
        find_mut(scene, id)?.title.clone_from(title);
        events.extend(tell(
            scene,
            id,
            by.id,
            "changed the title of",
            "",
            loose(scene),
        )?);
    }
    if let Some(description) = &change.description {
        let description = Some(description.clone()).filter(|it| !it.is_empty());
        find_mut(scene, id)?.description = description;
        let says = "changed the description of";
        events.extend(tell(scene, id, by.id, says, "", loose(scene))?);
    }
    Ok(events)
}

fn change_merge(
    scene: &mut Scene<'_>,
    id: u32,
    by: &Person,
    change: &Change,
) -> Result<Vec<PublishedEvent>, Refused> {
    let mut events = Vec::new();
    if let Some(target) = &change.target {
        events.extend(retarget(scene, id, by, &full_branch(target))?);
    }
    if let Some(draft) = change.draft {
        find_mut(scene, id)?.draft = draft;
        let says = if draft {
            "marked as a draft"
        } else {
            "published"
        };
        events.extend(tell(scene, id, by.id, says, "", loose(scene))?);
    }
    if let Some(conflict) = change.conflict {
        find_mut(scene, id)?.conflict = conflict;
        attempt_merge(scene, id)?;
        events.extend(tell_merge(scene, id, by.id)?);
    }
    Ok(events)
}

fn change_people(
    scene: &mut Scene<'_>,
    id: u32,
    by: &Person,
    change: &Change,
) -> Result<Vec<PublishedEvent>, Refused> {
    let mut events = Vec::new();
    if let Some(names) = &change.reviewers {
        let found = reviewers(scene, names, &find(scene, id)?.reviewers)?;
        find_mut(scene, id)?.reviewers = found;
        let kind = Some("ReviewersUpdateNotification");
        events.extend(tell(
            scene,
            id,
            by.id,
            "changed the reviewer list on",
            "",
            kind,
        )?);
    }
    if let Some(vote) = change.vote {
        events.extend(cast_vote(scene, id, by, vote)?);
    }
    Ok(events)
}

/// The notification type of changes for which nobody knows it (facts 4.4).
fn loose(scene: &Scene<'_>) -> Option<&'static str> {
    scene
        .world
        .assumptions
        .hold(Assumption::DraftAndRetargetAreStatusUpdates)
        .then_some(STATUS_UPDATE)
}

fn retarget(
    scene: &mut Scene<'_>,
    id: u32,
    by: &Person,
    target: &str,
) -> Result<Vec<PublishedEvent>, Refused> {
    let pull_request = find(scene, id)?;
    let (repository, old) = (pull_request.repository, pull_request.target.clone());
    if scene.repository(repository)?.head(target).is_none() {
        return Err(not_found("branch", target));
    }
    target.clone_into(&mut find_mut(scene, id)?.target);
    attempt_merge(scene, id)?;
    add_iteration(
        scene,
        id,
        by.id,
        "retarget",
        None,
        Some((old, target.to_owned())),
    )?;
    let to = format!(" to {}", short(target));
    let mut events = tell(
        scene,
        id,
        by.id,
        "changed the target branch of",
        &to,
        loose(scene),
    )?;
    events.extend(tell_merge(scene, id, by.id)?);
    Ok(events)
}

fn cast_vote(
    scene: &mut Scene<'_>,
    id: u32,
    by: &Person,
    vote: i32,
) -> Result<Vec<PublishedEvent>, Refused> {
    let says = match vote {
        10 => "approved",
        5 => "has approved and left suggestions on",
        0 => "reset the vote, that is, voted on",
        -5 => "is waiting for the author of",
        -10 => "rejected",
        _ => return bad("A vote is 10, 5, 0, -5 or -10."),
    };
    let voters = &mut find_mut(scene, id)?.reviewers;
    match voters.iter_mut().find(|it| it.person == by.id) {
        Some(found) => found.vote = vote,
        None => voters.push(Reviewer {
            person: by.id,
            vote,
            required: false,
        }),
    }
    tell(scene, id, by.id, says, "", Some("ReviewerVoteNotification"))
}

fn set_status(
    scene: &mut Scene<'_>,
    id: u32,
    by: &Person,
    status: &str,
    change: &Change,
) -> Result<Vec<PublishedEvent>, Refused> {
    let now = scene.now;
    let current = find(scene, id)?.status;
    match (current, status.to_lowercase().as_str()) {
        (PullRequestStatus::Active, "completed") => complete(scene, id, by, change),
        (PullRequestStatus::Active, "abandoned") => {
            let it = find_mut(scene, id)?;
            it.status = PullRequestStatus::Abandoned;
            it.closed = Some((by.id, now));
            tell(scene, id, by.id, "abandoned", "", Some(STATUS_UPDATE))
        }
        (PullRequestStatus::Abandoned, "active") => {
            let it = find_mut(scene, id)?;
            it.status = PullRequestStatus::Active;
            it.closed = None;
            attempt_merge(scene, id)?;
            let mut events = tell(scene, id, by.id, "reactivated", "", Some(STATUS_UPDATE))?;
            events.extend(tell_merge(scene, id, by.id)?);
            Ok(events)
        }
        (_, "completed" | "abandoned" | "active") => bad(format!(
            "A pull request that is {} cannot become {status}.",
            current.wire()
        )),
        _ => bad("A status is completed, abandoned or active."),
    }
}

fn tell(
    scene: &mut Scene<'_>,
    id: u32,
    by: Uuid,
    says: &str,
    then: &str,
    notification_type: Option<&'static str>,
) -> Result<Vec<PublishedEvent>, Refused> {
    let update = Update {
        says: says.to_owned(),
        then: then.to_owned(),
        notification_type,
    };
    let event = rendered::updated(
        scene.organization()?,
        find(scene, id)?,
        by,
        &update,
        scene.created_date(),
    );
    Ok(event.iter().map(|it| scene.publish(it)).collect())
}

fn tell_merge(scene: &mut Scene<'_>, id: u32, by: Uuid) -> Result<Vec<PublishedEvent>, Refused> {
    let event = rendered::merged(
        scene.organization()?,
        find(scene, id)?,
        by,
        scene.created_date(),
    );
    Ok(event.iter().map(|it| scene.publish(it)).collect())
}

fn done(scene: &Scene<'_>, id: u32, events: Vec<PublishedEvent>) -> Result<Done, Refused> {
    let result =
        json!({ "pullRequest": views::pull_request(scene.organization()?, find(scene, id)?) });
    Ok(Done { result, events })
}

fn find<'a>(scene: &'a Scene<'_>, id: u32) -> Result<&'a PullRequest, Refused> {
    scene
        .organization()?
        .pull_request(id)
        .ok_or_else(|| not_found("pull request", &id.to_string()))
}

fn find_mut<'a>(scene: &'a mut Scene<'_>, id: u32) -> Result<&'a mut PullRequest, Refused> {
    scene
        .organization_mut()?
        .pull_request_mut(id)
        .ok_or_else(|| not_found("pull request", &id.to_string()))
}
