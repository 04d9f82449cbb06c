//! The JSON shapes that the REST API and the events share: identities, repositories, commits, pull requests.
//! It only reads the world. A push's repository differs from a pull request's, as the service has it (facts 4.2, 4.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::clock::{seconds, stamp};
use crate::state::git::{Commit, Push, Repository};
use crate::state::people::Person;
use crate::state::pull_requests::{Comment, Iteration, PullRequest, Reviewer, Status, Thread};
use crate::state::{Organization, Project};

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
        "size": repository.size(),
        "remoteUrl": remote_url(organization, repository),
        "sshUrl": format!(
            "git@ssh.dev.azure.com:v3/{}/{}/{}",
            organization.name,
            encode(name),
            encode(&repository.name)
        ),
        "webUrl": web_url(organization, repository),
        "isDisabled": repository.disabled,
    })
}

/// The repository as the API lists it: everything.
pub(crate) fn repository(organization: &Organization, repository: &Repository) -> Value {
    let parent = repository
        .fork_of
        .and_then(|id| organization.repository(id));
    let more = json!({
        "defaultBranch": repository.default_branch,
        "isInMaintenance": false,
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

pub(crate) fn commit_url(organization: &Organization, repository: &Repository, id: &str) -> String {
    format!("{}/commits/{id}", repository_url(organization, repository))
}

/// A commit in a push event: its URL has no project.
pub(crate) fn pushed_commit(
    organization: &Organization,
    repository: &Repository,
    commit: &Commit,
) -> Value {
    let url = format!(
        "{}/commits/{}",
        short_repository_url(organization, repository),
        commit.id
    );
    signed(commit, &commit.comment, url)
}

/// A commit with its signatures and the first line of its comment.
pub(crate) fn commit(
    organization: &Organization,
    repository: &Repository,
    commit: &Commit,
) -> Value {
    let first = commit.comment.lines().next().unwrap_or_default();
    let view = signed(
        commit,
        first,
        commit_url(organization, repository, &commit.id),
    );
    if first == commit.comment {
        view
    } else {
        extended(view, json!({ "commentTruncated": true }))
    }
}

fn signed(commit: &Commit, comment: &str, url: String) -> Value {
    let signature = json!({
        "name": commit.author.name,
        "email": commit.author.email,
        "date": seconds(commit.author.date),
    });
    json!({ "commitId": commit.id, "author": signature, "committer": signature, "comment": comment, "url": url })
}

fn bare_commit(organization: &Organization, repository: &Repository, id: &str) -> Value {
    json!({ "commitId": id, "url": commit_url(organization, repository, id) })
}

/// A push as the API lists it, without commits and ref updates.
pub(crate) fn push(organization: &Organization, repository: &Repository, push: &Push) -> Value {
    json!({
        "repository": merged_repository(organization, repository),
        "pushedBy": identity_by_id(organization, push.by),
        "pushId": push.id,
        "date": stamp(push.date),
        "url": format!("{}/pushes/{}", repository_url(organization, repository), push.id),
    })
}

pub(crate) fn pull_request_url(
    organization: &Organization,
    repository: &Repository,
    pull_request: u32,
) -> String {
    format!(
        "{}/pullRequests/{pull_request}",
        repository_url(organization, repository)
    )
}

/// A pull request, the same in the API and in events. Nothing when its repository is gone.
pub(crate) fn pull_request(organization: &Organization, it: &PullRequest) -> Value {
    let Some(target) = organization.repository(it.repository) else {
        return Value::Null;
    };
    let url = pull_request_url(organization, target, it.id);
    let view = json!({
        "repository": merged_repository(organization, target),
        "pullRequestId": it.id,
        "codeReviewId": it.id,
        "status": it.status.wire(),
        "createdBy": identity_by_id(organization, it.created_by),
        "creationDate": stamp(it.created),
        "closedDate": it.closed.map(|(_, at)| stamp(at)),
        "closedBy": it.closed.map(|(by, _)| identity_by_id(organization, by)),
        "title": it.title,
        "description": it.description,
        "labels": labels(it),
        "sourceRefName": it.source,
        "targetRefName": it.target,
        "mergeStatus": it.merge.status(),
        "isDraft": it.draft,
        "mergeId": it.merge.id,
        "lastMergeSourceCommit": bare_commit(organization, target, &it.merge.source),
        "lastMergeTargetCommit": bare_commit(organization, target, &it.merge.target),
        "lastMergeCommit": it.merge.commit.as_ref().map(|merged| commit(organization, target, merged)),
        "reviewers": it.reviewers.iter().map(|one| reviewer(organization, &url, one)).collect::<Vec<_>>(),
        "url": url,
        "_links": {
            "web": { "href": format!("{}/pullrequest/{}", web_url(organization, target), it.id) },
            "statuses": { "href": format!("{url}/statuses") },
        },
        "completionOptions": completion_options(it),
        "completionQueueTime": it.completion.as_ref().map(|done| stamp(done.queued)),
        "supportsIterations": true,
        "artifactId": format!("vstfs:///Git/PullRequestId/{}%2f{}%2f{}", target.project, target.id, it.id),
        "forkSource": fork_source(organization, it),
    });
    without_nulls(view)
}

fn labels(pull_request: &PullRequest) -> Option<Vec<Value>> {
    let label = |name: &String| json!({ "id": crate::ids::guid_for(&format!("label/{name}")), "name": name, "active": true });
    (!pull_request.labels.is_empty()).then(|| pull_request.labels.iter().map(label).collect())
}

fn reviewer(organization: &Organization, pull_request_url: &str, reviewer: &Reviewer) -> Value {
    let person = identity_by_id(organization, reviewer.person);
    let vote = json!({
        "reviewerUrl": format!("{pull_request_url}/reviewers/{}", reviewer.person),
        "vote": reviewer.vote,
        "hasDeclined": false,
        "isFlagged": false,
        "isRequired": reviewer.required.then_some(true),
    });
    // A reviewer is the one identity that comes without its descriptor.
    let mut view = extended(person, without_nulls(vote));
    if let Value::Object(fields) = &mut view {
        fields.remove("descriptor");
    }
    view
}

fn completion_options(pull_request: &PullRequest) -> Option<Value> {
    let done = pull_request.completion.as_ref()?;
    Some(without_nulls(json!({
        "mergeCommitMessage": done.message,
        "mergeStrategy": if done.squash { "squash" } else { "noFastForward" },
        "squashMerge": done.squash.then_some(true),
        "deleteSourceBranch": done.delete_source.then_some(true),
        "transitionWorkItems": true,
        "autoCompleteIgnoreConfigIds": [],
    })))
}

fn fork_source(organization: &Organization, pull_request: &PullRequest) -> Option<Value> {
    if pull_request.source_repository == pull_request.repository {
        return None;
    }
    let source = organization.repository(pull_request.source_repository)?;
    Some(without_nulls(json!({
        "name": pull_request.source,
        "objectId": source.refs.get(&pull_request.source),
        "creator": identity_by_id(organization, pull_request.created_by),
        "url": format!("{}/refs/{}", repository_url(organization, source), pull_request.source.trim_start_matches("refs/")),
        "repository": merged_repository(organization, source),
    })))
}

/// An iteration of a pull request.
pub(crate) fn iteration(
    organization: &Organization,
    pull_request: &PullRequest,
    it: &Iteration,
) -> Value {
    let Some(repository) = organization.repository(pull_request.repository) else {
        return Value::Null;
    };
    let url = pull_request_url(organization, repository, pull_request.id);
    let (old_target, new_target) = it.retarget.clone().unzip();
    without_nulls(json!({
        "id": it.id,
        "description": repository.commit(&it.source).map(|head| head.comment.clone()),
        "author": identity_by_id(organization, it.author),
        "createdDate": stamp(it.created),
        "updatedDate": stamp(it.created),
        "sourceRefCommit": { "commitId": it.source },
        "targetRefCommit": { "commitId": it.target },
        "commonRefCommit": it.common.as_ref().map(|id| json!({ "commitId": id })),
        "hasMoreCommits": false,
        "reason": it.reason,
        "push": it.push.map(|id| json!({ "pushId": id })),
        "oldTargetRefName": old_target,
        "newTargetRefName": new_target,
        "_links": { "self": { "href": format!("{url}/iterations/{}", it.id) } },
    }))
}

/// A status of a commit or a pull request.
pub(crate) fn status(organization: &Organization, of: &str, it: &Status) -> Value {
    let mut context = Map::new();
    context.insert("name".to_owned(), json!(it.name));
    if let Some(genre) = &it.genre {
        context.insert("genre".to_owned(), json!(genre));
    }
    without_nulls(json!({
        "id": it.id,
        "state": it.state,
        "description": it.description,
        "targetUrl": it.target_url,
        "context": context,
        "iterationId": it.iteration,
        "creationDate": stamp(it.created),
        "updatedDate": stamp(it.created),
        "createdBy": identity_by_id(organization, it.by),
        "_links": { "self": { "href": format!("{of}/statuses/{}", it.id) } },
    }))
}

/// A thread with its comments. `base` is the pull request's URL.
pub(crate) fn thread(organization: &Organization, base: &str, it: &Thread) -> Value {
    let comments: Vec<Value> = it
        .comments
        .iter()
        .map(|one| comment(organization, base, it.id, one))
        .collect();
    json!({
        "id": it.id,
        "publishedDate": stamp(it.published),
        "lastUpdatedDate": stamp(it.updated),
        "comments": comments,
        "status": it.status,
        "threadContext": null,
        "isDeleted": it.comments.iter().all(|one| one.deleted),
        "_links": { "self": { "href": format!("{base}/threads/{}", it.id) } },
    })
}

/// A comment. A deleted one has no content any more (facts 4.5); the thread's id stands in its links only.
pub(crate) fn comment(organization: &Organization, base: &str, thread: u32, it: &Comment) -> Value {
    let repository = base.split("/pullRequests/").next().unwrap_or(base);
    without_nulls(json!({
        "id": it.id,
        "parentCommentId": it.parent,
        "author": identity_by_id(organization, it.author),
        "content": (!it.deleted).then_some(&it.content),
        "publishedDate": stamp(it.published),
        "lastUpdatedDate": stamp(it.updated),
        "lastContentUpdatedDate": stamp(it.content_updated),
        "commentType": "text",
        "isDeleted": it.deleted.then_some(true),
        "_links": {
            "self": { "href": format!("{base}/threads/{thread}/comments/{}", it.id) },
            "repository": { "href": repository },
            "threads": { "href": format!("{base}/threads/{thread}") },
        },
    }))
}
