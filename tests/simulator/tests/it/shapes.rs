//! What one operation answers and another does not, where the two share a path.

use reqwest::Method;

use crate::harness::Harness;

const ITEMS: &str = "/Harbor/_apis/git/repositories/platform/items";

#[tokio::test]
async fn a_path_is_one_item_and_a_scope_path_is_a_list() {
    let harness = Harness::start().await;
    let folder = harness.get(&format!("{ITEMS}?path=/prod")).await;
    assert_eq!(
        (folder["path"].as_str(), folder["isFolder"].as_bool()),
        (Some("/prod"), Some(true))
    );
    let file = harness
        .get(&format!("{ITEMS}?path=/prod/main.tf&$format=json"))
        .await;
    assert_eq!(file["gitObjectType"], "blob");
    let list = harness
        .get(&format!("{ITEMS}?scopePath=/prod&recursionLevel=oneLevel"))
        .await;
    assert!(list["count"].as_u64().unwrap() > 1, "{list}");
    let nothing = format!("{ITEMS}?path=/nowhere");
    let answer = harness.rest("good", Method::GET, &nothing, None).await;
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn a_whole_commit_is_had_as_an_archive() {
    let harness = Harness::start().await;
    let archive = format!("{ITEMS}?scopePath=/&recursionLevel=full&$format=zip");
    let answer = harness.rest("good", Method::GET, &archive, None).await;
    assert_eq!(answer.status(), 200);
    let bytes = answer.bytes().await.unwrap();
    let name = b"prod/main.tf";
    // Once before the content, once in the directory.
    let found = bytes.windows(name.len()).filter(|it| it == name).count();
    assert!(bytes.starts_with(b"PK\x03\x04") && found == 2, "{found}");
}

#[tokio::test]
async fn pull_requests_are_listed_for_a_project_and_one_is_found_without() {
    let harness = Harness::start().await;
    let id = harness
        .pull_request(serde_json::json!({ "source": "feature/berth-plan" }))
        .await;
    let listed = harness.get("/Harbor/_apis/git/pullrequests").await;
    assert_eq!(listed["value"][0]["pullRequestId"], id);
    let one = harness.get(&format!("/_apis/git/pullrequests/{id}")).await;
    assert_eq!(one["pullRequestId"], id);
    let everywhere = "/_apis/git/pullrequests";
    let answer = harness.rest("good", Method::GET, everywhere, None).await;
    assert_eq!(answer.status(), 404);
}
