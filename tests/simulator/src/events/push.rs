//! `git.push`, with every field of the captured one (facts 4.2).

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Event, EventKind, Message, escape};
use crate::assumptions::{Assumption, Assumptions};
use crate::clock::stamp;
use crate::ids::ZERO;
use crate::state::Organization;
use crate::state::git::{Push, RefUpdate, Repository, short};
use crate::views;

/// Renders a push, or the part of it that is about these ref updates.
pub(crate) fn event(
    organization: &Organization,
    repository: &Repository,
    push: &Push,
    updates: &[RefUpdate],
    created: Timestamp,
    assumptions: &Assumptions,
) -> Event {
    let (message, detailed) = messages(organization, repository, push, updates);
    let url = format!(
        "{}/pushes/{}",
        views::short_repository_url(organization, repository),
        push.id
    );
    Event {
        id: Uuid::new_v4(),
        kind: EventKind::Push,
        created,
        project: repository.project,
        repository: repository.id,
        refs: updates.iter().map(|it| it.name.clone()).collect(),
        actor: push.by,
        creator: push.by,
        reviewers: Vec::new(),
        merge_result: None,
        notification_type: None,
        message,
        detailed,
        resource: resource(organization, repository, push, updates, &url, assumptions),
        minimal: json!({ "pushId": push.id, "url": url }),
    }
}

fn resource(
    organization: &Organization,
    repository: &Repository,
    push: &Push,
    updates: &[RefUpdate],
    url: &str,
    assumptions: &Assumptions,
) -> Value {
    let commits: Vec<Value> = push
        .commits
        .iter()
        .filter_map(|id| repository.commit(id))
        .map(|it| views::pushed_commit(organization, repository, it))
        .collect();
    // The key is absent, not empty, when a push brings no commits (facts 4.2).
    let commits = (!commits.is_empty()).then_some(commits);
    views::without_nulls(json!({
        "commits": commits,
        "refUpdates": updates.iter().map(|it| ref_update(it, assumptions)).collect::<Vec<_>>(),
        "repository": views::pushed_repository(organization, repository),
        "pushedBy": views::identity_by_id(organization, push.by),
        "pushId": push.id,
        "date": stamp(push.date),
        "url": url,
        "_links": links(organization, repository, push, updates, url),
    }))
}

fn ref_update(update: &RefUpdate, assumptions: &Assumptions) -> Value {
    let mut view = Map::new();
    view.insert("name".to_owned(), json!(update.name));
    view.insert("oldObjectId".to_owned(), json!(update.old));
    view.insert("newObjectId".to_owned(), json!(update.new));
    if update.forced && assumptions.hold(Assumption::ForcedIsMarked) {
        view.insert("forced".to_owned(), json!(true));
    }
    Value::Object(view)
}

fn links(
    organization: &Organization,
    repository: &Repository,
    push: &Push,
    updates: &[RefUpdate],
    url: &str,
) -> Value {
    let repository_url = views::repository_url(organization, repository);
    let refs = match updates {
        [only] => format!("{repository_url}/{}", only.name),
        _ => format!("{repository_url}/refs"),
    };
    json!({
        "self": { "href": url },
        "repository": { "href": repository_url },
        "commits": { "href": format!("{url}/commits") },
        "pusher": { "href": views::identity_url(organization, push.by) },
        "refs": { "href": refs },
    })
}

fn messages(
    organization: &Organization,
    repository: &Repository,
    push: &Push,
    updates: &[RefUpdate],
) -> (Message, Message) {
    let who = &organization.person_by_id(push.by).name;
    let names: Vec<&str> = updates.iter().map(|it| short(&it.name)).collect();
    let names = names.join(", ");
    let did = match updates {
        [only] if only.new == ZERO => "deleted",
        [only] if only.old == ZERO && push.commits.is_empty() => "created",
        _ => "pushed updates to",
    };
    let web = views::web_url(organization, repository);
    let link = format!("{web}/#version={}", version(updates));
    let message = Message {
        text: format!("{who} {did} {}:{names}\r\n({link})", repository.name),
        html: format!(
            "{} {did} <a href=\"{web}/\">{}</a>:<a href=\"{link}\">{names}</a>",
            escape(who),
            escape(&repository.name)
        ),
        markdown: format!(
            "{who} {did} [{}]({web}/):[{names}]({link})",
            repository.name
        ),
    };
    let detailed = message.with_paragraph(&commit_lines(repository, push));
    (message, detailed)
}

/// The first ref in the web interface's spelling: a branch or a tag.
fn version(updates: &[RefUpdate]) -> String {
    let name = updates.first().map_or("", |it| it.name.as_str());
    let kind = if name.starts_with("refs/tags/") {
        "GT"
    } else {
        "GB"
    };
    format!("{kind}{}", short(name))
}

fn commit_lines(repository: &Repository, push: &Push) -> String {
    let lines: Vec<String> = push
        .commits
        .iter()
        .filter_map(|id| repository.commit(id))
        .map(|it| {
            format!(
                "* {} {}",
                it.comment.lines().next().unwrap_or_default(),
                &it.id[..8]
            )
        })
        .collect();
    lines.join("\r\n")
}
