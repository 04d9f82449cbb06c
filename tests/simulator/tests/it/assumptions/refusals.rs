//! What is assumed of how the REST API refuses.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Harness, subscription};

const PROJECTS: &str = "/_apis/projects";

async fn status(harness: &Harness, kind: &str, path: &str) -> u16 {
    let response = harness.rest(kind, Method::GET, path, None).await;
    response.status().as_u16()
}

#[tokio::test]
async fn an_unknown_token_gets_the_sign_in_page_or_a_redirect_to_it() {
    let harness = Harness::start().await;
    for (holds, expected) in [(true, 203), (false, 302)] {
        harness.assume("invalidTokenGetsSignInPage", holds);
        assert_eq!(status(&harness, "unknown", PROJECTS).await, expected);
    }
}

#[tokio::test]
async fn an_expired_token_gets_json_or_text() {
    let harness = Harness::start().await;
    for (holds, expected) in [(true, "application/json"), (false, "text/plain")] {
        harness.assume("expiredTokenGetsJson", holds);
        let response = harness.rest("expired", Method::GET, PROJECTS, None).await;
        assert_eq!(response.status(), 401);
        let content_type = response.headers()["content-type"].to_str().unwrap();
        assert!(content_type.starts_with(expected), "{content_type}");
    }
}

#[tokio::test]
async fn an_unknown_organization_is_not_found_or_not_authorized() {
    let harness = Harness::start().await;
    for (holds, expected) in [(true, 404), (false, 401)] {
        harness.assume("unknownOrganizationIs404", holds);
        let url = format!("{}/nobody/_apis/projects", harness.simulator.url());
        let request = harness
            .client
            .get(url)
            .basic_auth("", Some(harness.simulator.token("good")));
        assert_eq!(request.send().await.unwrap().status(), expected);
    }
}

#[tokio::test]
async fn a_hidden_repository_is_not_found_or_forbidden() {
    let harness = Harness::start().await;
    let path = "/Harbor/_apis/git/repositories/platform";
    for (holds, expected) in [(true, 404), (false, 403)] {
        harness.assume("hiddenRepositoriesAre404", holds);
        assert_eq!(status(&harness, "withoutPermission", path).await, expected);
    }
}

#[tokio::test]
async fn code_read_makes_hooks_or_does_not() {
    let harness = Harness::start().await;
    let project = harness.get("/_apis/projects/Harbor").await["id"].clone();
    let body = subscription(project.as_str().unwrap(), &harness.hook_url);
    for (holds, expected) in [(true, 200), (false, 401)] {
        harness.assume("codeReadMakesHooks", holds);
        let path = "/_apis/hooks/subscriptions?api-version=7.1";
        let response = harness
            .rest("readOnly", Method::POST, path, Some(body.clone()))
            .await;
        assert_eq!(response.status(), expected);
    }
}

#[tokio::test]
async fn a_policy_refuses_a_status_without_its_iteration_or_takes_it() {
    let harness = Harness::start().await;
    let id = harness
        .pull_request(json!({ "source": "feature/berth-plan" }))
        .await;
    let path = format!(
        "/Harbor/_apis/git/repositories/platform/pullRequests/{id}/statuses?api-version=7.1"
    );
    let body = json!({ "state": "pending", "context": { "name": "prod", "genre": "stackhook" } });
    for (holds, expected) in [(true, 403), (false, 200)] {
        harness.assume("policyNeedsIteration", holds);
        let response = harness
            .rest("good", Method::POST, &path, Some(body.clone()))
            .await;
        assert_eq!(response.status(), expected);
    }
}
