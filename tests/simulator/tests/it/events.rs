//! The bodies of the five events, held against the fields that real ones have (facts 4).

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Harness;

fn has(value: &Value, pointers: &str) {
    for pointer in pointers.split_whitespace() {
        assert!(
            value.pointer(pointer).is_some(),
            "{pointer} is missing in {value:#}"
        );
    }
}

const ENVELOPE: &str = "/subscriptionId /notificationId /id /eventType /publisherId /message /detailedMessage /resource
    /resourceVersion /resourceContainers/collection/id /resourceContainers/collection/baseUrl
    /resourceContainers/account/id /resourceContainers/account/baseUrl
    /resourceContainers/project/id /resourceContainers/project/baseUrl /createdDate";

const IDENTITY: &str =
    "/displayName /url /_links/avatar/href /id /uniqueName /imageUrl /descriptor";

const PULL_REQUEST: &str = "/repository/id /repository/name /repository/url /repository/project/id /repository/project/name
    /repository/project/url /repository/project/state /repository/project/revision /repository/project/visibility
    /repository/project/lastUpdateTime /repository/size /repository/remoteUrl /repository/sshUrl /repository/webUrl
    /repository/isDisabled /pullRequestId /codeReviewId /status /createdBy /creationDate /title /sourceRefName
    /targetRefName /mergeStatus /isDraft /mergeId /lastMergeSourceCommit/commitId /lastMergeSourceCommit/url
    /lastMergeTargetCommit/commitId /lastMergeTargetCommit/url /reviewers /url /_links/web/href /_links/statuses/href
    /supportsIterations /artifactId";

async fn only(harness: &Harness, event_type: &str) -> Value {
    harness.settle().await;
    let mut found = harness.received();
    found.retain(|it| it.body["eventType"] == event_type);
    assert_eq!(found.len(), 1, "{event_type}");
    found.remove(0).body
}

#[tokio::test]
async fn a_push_has_every_field_and_its_commits_newest_first() {
    let harness = Harness::start().await;
    harness.subscribe().await;
    let commits = json!([{ "files": { "a": "1" }, "message": "first" }, { "files": { "a": "2" }, "message": "second" }]);
    let done = harness
        .push(json!({ "branch": "main", "commits": commits }))
        .await;
    let body = only(&harness, "git.push").await;
    has(&body, ENVELOPE);
    let resource = &body["resource"];
    has(resource, "/commits/0/commitId /commits/0/author/name /commits/0/author/email /commits/0/author/date
        /commits/0/committer/date /commits/0/comment /commits/0/url /refUpdates/0/name /refUpdates/0/oldObjectId
        /refUpdates/0/newObjectId /pushId /date /url /_links/self/href /_links/repository/href /_links/commits/href
        /_links/pusher/href /_links/refs/href");
    has(&resource["pushedBy"], IDENTITY);
    assert_eq!(resource["commits"][0]["comment"], "second");
    assert_eq!(
        resource["commits"][0]["commitId"],
        resource["refUpdates"][0]["newObjectId"]
    );
    assert_eq!(body["createdDate"], done["events"][0]["createdDate"]);
    assert_eq!(body["resourceVersion"], "1.0");
}

#[tokio::test]
async fn the_repository_of_a_push_is_not_that_of_a_pull_request() {
    let harness = Harness::start().await;
    harness.subscribe().await;
    harness
        .push(json!({ "branch": "main", "files": { "a": "1" } }))
        .await;
    harness
        .pull_request(json!({ "source": "feature/gangway" }))
        .await;
    let pushed = only(&harness, "git.push").await["resource"]["repository"].clone();
    let merged = only(&harness, "git.pullrequest.created").await["resource"]["repository"].clone();
    assert_eq!(pushed["id"], merged["id"]);
    assert_eq!(pushed["defaultBranch"], "refs/heads/main");
    assert_eq!(pushed["project"]["visibility"], "unchanged");
    assert_eq!(pushed["project"]["lastUpdateTime"], "0001-01-01T00:00:00");
    assert!(merged.get("defaultBranch").is_none());
    assert_eq!(merged["project"]["visibility"], "private");
    let project = merged["project"]["id"].as_str().unwrap();
    assert!(
        merged["url"]
            .as_str()
            .unwrap()
            .contains(&format!("/tidewater/{project}/_apis/"))
    );
    assert!(!pushed["url"].as_str().unwrap().contains(project));
    assert!(merged["remoteUrl"].as_str().unwrap().contains("tidewater@"));
    assert!(!pushed["remoteUrl"].as_str().unwrap().contains('@'));
}

#[tokio::test]
async fn pushes_without_new_commits_have_no_commits_key() {
    let harness = Harness::start().await;
    harness.subscribe().await;
    harness.push(json!({ "branch": "feature/new-quay" })).await;
    let created = only(&harness, "git.push").await["resource"].clone();
    assert!(created.get("commits").is_none());
    assert_eq!(created["refUpdates"][0]["oldObjectId"], "0".repeat(40));
    harness.forget();
    let path = "/projects/Harbor/repositories/platform/branches/feature%2Fnew-quay";
    harness.control(Method::DELETE, path, json!({})).await;
    let deleted = only(&harness, "git.push").await["resource"].clone();
    assert!(deleted.get("commits").is_none());
    assert_eq!(deleted["refUpdates"][0]["newObjectId"], "0".repeat(40));
    harness.forget();
    let path = "/projects/Harbor/repositories/platform/tags";
    harness
        .control(Method::POST, path, json!({ "name": "v9" }))
        .await;
    let tagged = only(&harness, "git.push").await["resource"].clone();
    assert_eq!(tagged["refUpdates"][0]["name"], "refs/tags/v9");
}

#[tokio::test]
async fn a_push_of_several_refs_is_one_event_or_several_and_a_force_push_is_marked_or_not() {
    let harness = Harness::start().await;
    harness.subscribe().await;
    for (assumed, events) in [(true, 1), (false, 2)] {
        harness.assume("multiRefPushIsOneEvent", assumed);
        harness.assume("forcedIsMarked", assumed);
        harness.forget();
        let refs = json!([
            { "ref": "main", "commits": [{ "files": { "a": events.to_string() } }] },
            { "ref": "feature/dredging", "kind": "force", "commits": [{ "files": { "b": events.to_string() } }] },
        ]);
        harness.push(json!({ "refUpdates": refs })).await;
        harness.settle().await;
        let received = harness.received();
        assert_eq!(received.len(), events);
        let forced = received
            .iter()
            .flat_map(|it| it.body["resource"]["refUpdates"].as_array().unwrap())
            .any(|it| it["forced"] == true);
        assert_eq!(forced, assumed);
    }
}

#[tokio::test]
async fn the_life_of_a_pull_request_is_told_event_by_event() {
    let harness = Harness::start().await;
    harness.subscribe().await;
    let (push, created, merged, updated) = (
        "git.push",
        "git.pullrequest.created",
        "git.pullrequest.merged",
        "git.pullrequest.updated",
    );
    let id = harness
        .pull_request(json!({ "source": "feature/ice-watch", "title": "Watch", "description": "Ice.", "reviewers": ["Milo"] }))
        .await;
    harness.settle().await;
    assert_eq!(harness.types(), [created, merged]);
    for one in harness.received() {
        has(&one.body, ENVELOPE);
        has(&one.body["resource"], PULL_REQUEST);
        has(&one.body["resource"]["createdBy"], IDENTITY);
        has(
            &one.body["resource"],
            "/description /lastMergeCommit/author/date /lastMergeCommit/comment /reviewers/0/vote",
        );
        assert_eq!(one.body["resource"]["status"], "active");
    }

    harness.forget();
    harness
        .push(json!({ "branch": "feature/ice-watch", "files": { "prod/ice.tf": "#" } }))
        .await;
    harness.settle().await;
    assert_eq!(harness.types(), [merged, updated, push]);

    for (change, expected) in [
        (json!({ "draft": true }), vec![updated]),
        (json!({ "title": "Watch it" }), vec![updated]),
        (json!({ "vote": 10, "as": "Asha Rao" }), vec![updated]),
        (json!({ "conflict": true }), vec![merged]),
        (json!({ "conflict": false }), vec![merged]),
        (json!({ "target": "develop" }), vec![merged, updated]),
        (json!({ "status": "abandoned" }), vec![updated]),
        (json!({ "status": "active" }), vec![merged, updated]),
        (
            json!({ "status": "completed" }),
            vec![merged, updated, push],
        ),
    ] {
        harness.forget();
        harness.change_pull_request(id, change.clone()).await;
        harness.settle().await;
        assert_eq!(harness.types(), expected, "{change}");
        for one in harness
            .received()
            .iter()
            .filter(|it| it.body["eventType"] == merged)
        {
            let resource = &one.body["resource"];
            let conflicts = change["conflict"] == true;
            assert_eq!(resource.get("lastMergeCommit").is_none(), conflicts);
            assert_eq!(
                resource["mergeStatus"],
                if conflicts { "conflicts" } else { "succeeded" }
            );
            let text = one.body["message"]["text"].as_str().unwrap();
            assert!(text.starts_with("Merge attempted  for pull request"));
        }
    }
    let view = harness
        .get(&format!(
            "/Harbor/_apis/git/repositories/platform/pullRequests/{id}"
        ))
        .await;
    assert_eq!(view["status"], "completed");
    has(
        &view,
        "/closedBy/id /closedDate /completionOptions/mergeStrategy /completionQueueTime",
    );
    let iterations = harness
        .get(&format!(
            "/Harbor/_apis/git/repositories/platform/pullRequests/{id}/iterations"
        ))
        .await;
    let reasons: Vec<&str> = iterations["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["create", "push", "retarget"]);
}

#[tokio::test]
async fn a_comment_is_made_edited_and_deleted() {
    let harness = Harness::start().await;
    harness.subscribe().await;
    let id = harness
        .pull_request(json!({ "source": "feature/jetty-lights" }))
        .await;
    let base = format!("/projects/Harbor/repositories/platform/pullRequests/{id}/comments");
    let made = harness
        .control(Method::POST, &base, json!({ "content": "/stackhook run" }))
        .await;
    let place = format!("{base}/{}", made["id"].as_str().unwrap());
    harness
        .control(Method::PATCH, &place, json!({ "content": "never mind" }))
        .await;
    harness.control(Method::DELETE, &place, json!({})).await;
    harness.settle().await;
    let mut told = harness.received();
    told.retain(|it| it.body["eventType"] == "ms.vss-code.git-pullrequest-comment-event");
    told.sort_by_key(|it| it.body["notificationId"].as_u64());
    for one in &told {
        has(&one.body, ENVELOPE);
        has(&one.body["resource"]["pullRequest"], PULL_REQUEST);
        has(&one.body["resource"]["comment"], "/id /parentCommentId /author/id /publishedDate /lastUpdatedDate
            /lastContentUpdatedDate /commentType /_links/self/href /_links/repository/href /_links/threads/href");
        assert_eq!(one.body["resourceVersion"], "2.0");
    }
    let comment = |at: usize| &told[at].body["resource"]["comment"];
    assert_eq!(comment(0)["publishedDate"], comment(0)["lastUpdatedDate"]);
    assert_ne!(comment(1)["publishedDate"], comment(1)["lastUpdatedDate"]);
    assert_eq!(comment(2)["isDeleted"], true);
    assert!(comment(2).get("content").is_none());
}

#[tokio::test]
async fn a_fork_is_named_as_the_source() {
    let harness = Harness::start().await;
    harness.subscribe().await;
    let fork = json!({ "name": "platform.asha", "forkOf": "platform" });
    harness
        .control(Method::POST, "/projects/Harbor/repositories", fork)
        .await;
    let path = "/projects/Harbor/repositories/platform.asha/pushes";
    harness
        .control(
            Method::POST,
            path,
            json!({ "branch": "mine", "files": { "prod/x.tf": "#" } }),
        )
        .await;
    harness.forget();
    let id = harness
        .pull_request(json!({ "source": "mine", "fork": "platform.asha", "author": "Asha" }))
        .await;
    let created = only(&harness, "git.pullrequest.created").await;
    assert_eq!(
        created["resource"]["forkSource"]["repository"]["name"],
        "platform.asha"
    );
    assert_eq!(created["resource"]["pullRequestId"], id);
    harness.forget();
    harness
        .control(
            Method::POST,
            path,
            json!({ "branch": "mine", "files": { "prod/x.tf": "##" } }),
        )
        .await;
    only(&harness, "git.pullrequest.updated").await;
}

#[tokio::test]
async fn the_switches_cut_the_payload_and_a_wrong_version_empties_it() {
    let harness = Harness::start().await;
    let form = |more: Value| {
        let mut form =
            json!({ "project": "Harbor", "eventType": "git.push", "url": harness.hook_url });
        form.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        form
    };
    let none = json!({ "resourceDetailsToSend": "none", "messagesToSend": "none", "detailedMessagesToSend": "none" });
    for (more, check) in [
        (none, "/resource /resourceVersion /message /detailedMessage"),
        (
            json!({ "resourceVersion": "2.0" }),
            "/resource /resourceVersion",
        ),
        (json!({ "resourceDetailsToSend": "minimal" }), ""),
    ] {
        let made = harness
            .control(Method::POST, "/subscriptions", form(more))
            .await;
        harness.forget();
        harness
            .push(json!({ "branch": "main", "files": { "a": check } }))
            .await;
        let body = only(&harness, "git.push").await;
        for pointer in check.split_whitespace() {
            assert_eq!(body.pointer(pointer), Some(&Value::Null), "{pointer}");
        }
        if check.is_empty() {
            assert!(body["resource"]["pushId"].is_number());
            assert!(body["resource"].get("refUpdates").is_none());
        }
        let id = made["subscriptions"][0]["id"].as_str().unwrap();
        harness
            .control(Method::DELETE, &format!("/subscriptions/{id}"), json!({}))
            .await;
    }
}

#[tokio::test]
async fn overlapping_subscriptions_share_the_event_and_count_for_themselves() {
    let harness = Harness::start().await;
    for more in [
        json!({}),
        json!({ "repository": "platform", "branch": "main" }),
        json!({ "branch": "develop" }),
    ] {
        let mut form =
            json!({ "project": "Harbor", "eventType": "git.push", "url": harness.hook_url });
        form.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        harness.control(Method::POST, "/subscriptions", form).await;
    }
    harness
        .push(json!({ "branch": "feature/gangway", "files": { "a": "1" } }))
        .await;
    harness.settle().await;
    assert_eq!(harness.received().len(), 1, "only the one without a branch");
    harness.forget();
    harness
        .push(json!({ "branch": "main", "files": { "a": "1" } }))
        .await;
    harness.settle().await;
    let received = harness.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].body["id"], received[1].body["id"]);
    assert_eq!(
        received[0].body["createdDate"],
        received[1].body["createdDate"]
    );
    assert_ne!(
        received[0].body["subscriptionId"],
        received[1].body["subscriptionId"]
    );
    let mut numbers: Vec<u64> = received
        .iter()
        .map(|it| it.body["notificationId"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
}
