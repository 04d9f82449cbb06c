//! The JSON shapes that the REST API and the events share: identities, projects and repositories here, the rest in its own file.
//! It only reads the world. A push's repository differs from a pull request's, as the service has it (facts 4.2, 4.3).

mod code;
mod pull_requests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::stamp;
use crate::state::git::Repository;
use crate::state::people::Person;
use crate::state::{Organization, Project};
pub(crate) use code::*;
pub(crate) use pull_requests::*;

/// The host of identity URLs: one of the service's regional ones, whatever the organization's URL is (facts 4.3).
const IDENTITY_HOST: &str = "https://spsprodeus9.vssps.visualstudio.com";

const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A name as one segment of a URL.
pub(crate) fn encode(segment: &str) -> String {
    utf8_percent_encode(segment, PATH_SEGMENT).to_string()
}

/// Leaves out of an object what is null: the service leaves absent fields out.
pub(crate) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter(|(_, it)| !it.is_null()).collect())
        }
        other => other,
    }
}

/// Adds the fields of one object to another.
pub(crate) fn extended(value: Value, more: Value) -> Value {
    match (value, more) {
        (Value::Object(mut fields), Value::Object(more)) => {
            fields.extend(more);
            Value::Object(fields)
        }
        (value, _) => value,
    }
}

/// A list as the API wraps it.
pub(crate) fn list(values: Vec<Value>) -> Value {
    json!({ "count": values.len(), "value": values })
}

/// A descriptor of a Microsoft Entra user: the id, in Base64.
pub(crate) fn descriptor(id: Uuid) -> String {
    format!("aad.{}", STANDARD_NO_PAD.encode(id.to_string()))
}

pub(crate) fn identity(organization: &Organization, person: &Person) -> Value {
    let url = &organization.url;
    json!({
        "displayName": person.name,
        "url": identity_url(organization, person.id),
        "_links": { "avatar": { "href": format!("{url}/_apis/GraphProfile/MemberAvatars/{}", descriptor(person.id)) } },
        "id": person.id,
        "uniqueName": person.email,
        "imageUrl": format!("{url}/_api/_common/identityImage?id={}", person.id),
        "descriptor": descriptor(person.id),
    })
}

pub(crate) fn identity_by_id(organization: &Organization, id: Uuid) -> Value {
    identity(organization, organization.person_by_id(id))
}

pub(crate) fn identity_url(organization: &Organization, id: Uuid) -> String {
    format!(
        "{IDENTITY_HOST}/A{}/_apis/Identities/{id}",
        organization.account
    )
}

pub(crate) fn project(organization: &Organization, project: &Project) -> Value {
    without_nulls(json!({
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "url": project_url(organization, project.id),
        "state": "wellFormed",
        "revision": project.revision,
        "visibility": if project.public { "public" } else { "private" },
        "lastUpdateTime": stamp(project.updated),
    }))
}

fn project_url(organization: &Organization, id: Uuid) -> String {
    format!("{}/_apis/projects/{id}", organization.url)
}

/// The URL of a repository in the API, by the project's GUID.
pub(crate) fn repository_url(organization: &Organization, repository: &Repository) -> String {
    format!(
        "{}/{}/_apis/git/repositories/{}",
        organization.url, repository.project, repository.id
    )
}

/// The same without the project, as pushes have it.
pub(crate) fn short_repository_url(organization: &Organization, repository: &Repository) -> String {
    format!(
        "{}/_apis/git/repositories/{}",
        organization.url, repository.id
    )
}

/// Where a person sees the repository.
pub(crate) fn web_url(organization: &Organization, repository: &Repository) -> String {
    let project = project_name(organization, repository);
    format!(
        "{}/{}/_git/{}",
        organization.url,
        encode(project),
        encode(&repository.name)
    )
}

fn project_name<'a>(organization: &'a Organization, repository: &Repository) -> &'a str {
    organization
        .project_of(repository)
        .map_or("", |project| project.name.as_str())
}

/// The clone URL, which has the organization as user everywhere but in pushes.
fn remote_url(organization: &Organization, repository: &Repository) -> String {
    let web = web_url(organization, repository);
    match web.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}@{rest}", organization.name),
        None => web,
    }
}

/// The repository of a push event: no project GUID in its URL, a default branch, an "unchanged" visibility and a date without zone.
pub(crate) fn pushed_repository(organization: &Organization, repository: &Repository) -> Value {
    without_nulls(json!({
        "id": repository.id,
        "name": repository.name,
        "url": short_repository_url(organization, repository),
        "project": {
            "id": repository.project,
            "name": project_name(organization, repository),
            "url": project_url(organization, repository.project),
            "state": "wellFormed",
            "visibility": "unchanged",
            "lastUpdateTime": "0001-01-01T00:00:00",
        },
        "defaultBranch": repository.default_branch,
        "remoteUrl": web_url(organization, repository),
    }))
}

/// The repository of a pull request: no default branch, the project's revision and real visibility.
pub(crate) fn merged_repository(organization: &Organization, repository: &Repository) -> Value {
    let name = project_name(organization, repository);
    json!({
        "id": repository.id,
        "name": repository.name,
        "url": repository_url(organization, repository),
        "project": organization.project_of(repository).map(|it| project(organization, it)),
        "size": repository.size,
        "remoteUrl": remote_url(organization, repository),
        "sshUrl": format!(
            "git@ssh.dev.azure.com:v3/{}/{}/{}",
            organization.name,
            encode(name),
            encode(&repository.name)
        ),
        "webUrl": web_url(organization, repository),
        "isDisabled": repository.disabled,
        "isInMaintenance": false,
    })
}

/// The repository as the API lists it: everything.
pub(crate) fn repository(organization: &Organization, repository: &Repository) -> Value {
    let parent = repository
        .fork_of
        .and_then(|id| organization.repository(id));
    let more = json!({
        "defaultBranch": repository.default_branch,
        "isFork": parent.map(|_| true),
        "parentRepository": parent.map(|it| json!({
            "id": it.id,
            "name": it.name,
            "isFork": it.fork_of.is_some(),
            "url": repository_url(organization, it),
            "project": organization.project_of(it).map(|it| project(organization, it)),
        })),
    });
    without_nulls(extended(merged_repository(organization, repository), more))
}
