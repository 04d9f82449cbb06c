//! Pull requests with their iterations, threads and comments.

use serde_json::{Value, json};

use super::{
    bare_commit, commit, extended, identity_by_id, merged_repository, repository_url, web_url,
    without_nulls,
};
use crate::clock::stamp;
use crate::state::Organization;
use crate::state::git::Repository;
use crate::state::pull_requests::{Comment, Iteration, PullRequest, Reviewer, Thread};

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
        "supportsIterations": it.supports_iterations,
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
