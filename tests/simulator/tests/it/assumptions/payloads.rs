//! What is assumed of payloads and diffs.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Harness;

#[tokio::test]
async fn a_force_push_is_marked_or_not() {
    for holds in [true, false] {
        let harness = Harness::start_still().await;
        harness.assume("forcedIsMarked", holds);
        harness.subscribe_to_pushes().await;
        let push = json!({ "branch": "main", "force": true, "files": { "a": "#" } });
        harness.push(push).await;
        harness.settle().await;
        let body = &harness.received()[0].body;
        let update = &body["resource"]["refUpdates"][0];
        assert_eq!(update.get("forced"), holds.then_some(&json!(true)));
    }
}

#[tokio::test]
async fn a_draft_made_ready_passes_the_filter_for_status_updates_or_none() {
    for holds in [true, false] {
        let harness = Harness::start_still().await;
        harness.assume("draftAndRetargetAreStatusUpdates", holds);
        let form = json!({
            "project": "Harbor", "eventType": "git.pullrequest.updated", "url": harness.hook_url,
            "filters": { "notificationType": "StatusUpdateNotification" },
        });
        harness.control(Method::POST, "/subscriptions", form).await;
        let id = harness
            .pull_request(json!({ "source": "feature/gangway", "draft": true }))
            .await;
        harness
            .change_pull_request(id, json!({ "draft": false }))
            .await;
        harness.settle().await;
        assert_eq!(harness.received().len(), usize::from(holds));
    }
}

#[tokio::test]
async fn messages_that_are_switched_off_are_null_or_absent() {
    for holds in [true, false] {
        let harness = Harness::start_still().await;
        harness.assume("noneLeavesKeys", holds);
        let form = json!({
            "project": "Harbor", "eventType": "git.push", "url": harness.hook_url,
            "messagesToSend": "none", "detailedMessagesToSend": "none",
        });
        harness.control(Method::POST, "/subscriptions", form).await;
        harness.push_file("a").await;
        for name in ["message", "detailedMessage"] {
            let found = harness.received()[0].body.get(name).cloned();
            assert_eq!(found, holds.then_some(Value::Null));
        }
    }
}

#[tokio::test]
async fn a_subscription_without_the_switch_gets_minimal_resources_or_all() {
    for holds in [true, false] {
        let harness = Harness::start_still().await;
        harness.assume("missingSwitchMeansMinimal", holds);
        let project = harness.get("/_apis/projects/Harbor").await["id"].clone();
        let mut body = crate::harness::subscription(project.as_str().unwrap(), &harness.hook_url);
        let inputs = body["consumerInputs"].as_object_mut().unwrap();
        inputs.remove("resourceDetailsToSend");
        let path = "/_apis/hooks/subscriptions?api-version=7.1";
        let made = harness.rest("good", Method::POST, path, Some(body)).await;
        assert_eq!(made.status(), 200);
        harness.push_file("a").await;
        let resource = harness.received()[0].body["resource"].clone();
        assert_eq!(resource.get("refUpdates").is_none(), holds);
    }
}

#[tokio::test]
async fn a_moved_file_is_a_rename_or_an_add_and_a_delete() {
    for holds in [true, false] {
        let harness = Harness::start_still().await;
        harness.assume("renamesAreDetected", holds);
        let files =
            json!({ "modules/net/outputs.tf": null, "modules/net/out.tf": "# what it gives\n" });
        let push = harness
            .push(json!({ "branch": "main", "files": files }))
            .await;
        let update = &push["push"]["refUpdates"][0];
        let path = format!(
            "/Harbor/_apis/git/repositories/platform/diffs/commits?baseVersion={}&baseVersionType=commit&targetVersion={}&targetVersionType=commit",
            update["oldObjectId"].as_str().unwrap(),
            update["newObjectId"].as_str().unwrap()
        );
        let diff = harness.get(&path).await;
        assert_eq!(diff.to_string().contains("rename"), holds);
    }
}
