//! The REST API: who gets in, paging, diffs, statuses, what subscriptions are refused.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Harness, subscription};

const CONNECTION: &str = "/_apis/connectionData";
const PROJECTS: &str = "/_apis/projects";
const REPOSITORIES: &str = "/Harbor/_apis/git/repositories";
const HOOKS: &str = "/_apis/hooks/subscriptions?api-version=7.1";

#[tokio::test]
async fn each_token_gets_what_it_may() {
    let harness = Harness::start().await;
    for (kind, expected) in [
        ("good", [200, 200, 200]),
        ("older", [200, 200, 200]),
        ("readOnly", [200, 200, 200]),
        ("projectAdministrator", [200, 200, 200]),
        ("withoutHooks", [200, 200, 200]),
        ("withoutPermission", [200, 200, 404]),
        ("withoutProjects", [200, 200, 404]),
        ("withoutScope", [200, 401, 401]),
        ("expired", [401, 401, 401]),
        ("otherOrganization", [401, 401, 401]),
        ("unknown", [203, 203, 203]),
    ] {
        for (path, status) in [CONNECTION, PROJECTS, REPOSITORIES]
            .into_iter()
            .zip(expected)
        {
            let response = harness.rest(kind, Method::GET, path, None).await;
            assert_eq!(response.status(), status, "{kind} {path}");
        }
    }
    let none: Value = harness
        .rest("withoutProjects", Method::GET, PROJECTS, None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(none["count"], 0);
    let scope = harness
        .rest("withoutScope", Method::GET, PROJECTS, None)
        .await;
    assert_eq!(
        scope.bytes().await.unwrap().len(),
        0,
        "a missing scope says nothing"
    );
    let expired = harness.rest("expired", Method::GET, PROJECTS, None).await;
    assert!(
        expired.headers()["x-tfs-serviceerror"]
            .to_str()
            .unwrap()
            .contains("expired")
    );
    assert_eq!(
        expired.json::<Value>().await.unwrap()["typeKey"],
        "AccessCheckException"
    );
}

#[tokio::test]
async fn an_unknown_token_is_turned_away_cleanly_only_when_asked_to() {
    let harness = Harness::start().await;
    let url = format!("{}{PROJECTS}", harness.simulator.organization_url());
    let clean = harness
        .client
        .get(&url)
        .basic_auth("anybody", Some("garbled"))
        .header("X-TFS-FedAuthRedirect", "Suppress")
        .send()
        .await
        .unwrap();
    assert_eq!(clean.status(), 401);
    assert!(clean.text().await.unwrap().contains("TF400813"));
    harness.assume("invalidTokenGetsSignInPage", false);
    assert_eq!(
        harness
            .rest("unknown", Method::GET, PROJECTS, None)
            .await
            .status(),
        302
    );
    let stray = harness
        .client
        .get(&url)
        .header("Authorization", "Basic OmE==")
        .send()
        .await
        .unwrap();
    assert_eq!(stray.status(), 302, "a stray character is no token");
}

#[tokio::test]
async fn a_public_organization_lets_everybody_in_as_the_anonymous_identity() {
    let harness = Harness::start().await;
    let get = async |path: &str| {
        let url = format!("{}{path}", harness.simulator.url());
        harness.client.get(url).send().await.unwrap()
    };
    let data: Value = get("/lighthouse/_apis/connectionData")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        data["authenticatedUser"]["id"],
        "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
    );
    assert_eq!(get("/tidewater/_apis/connectionData").await.status(), 203);
    assert_eq!(get("/nobody/_apis/connectionData").await.status(), 404);
}

#[tokio::test]
async fn connection_data_is_in_preview_and_versions_are_checked() {
    let harness = Harness::start().await;
    for (version, status) in [
        ("", 200),
        ("?api-version=7.1", 400),
        ("?api-version=7.1-preview.1", 200),
        ("?api-version=6.0-preview", 200),
    ] {
        let response = harness
            .rest("good", Method::GET, &format!("{CONNECTION}{version}"), None)
            .await;
        assert_eq!(response.status(), status, "{version}");
    }
    for (version, status) in [
        ("7.1", 200),
        ("7.2", 400),
        ("7.2-preview", 200),
        ("9.0", 400),
        ("new", 400),
    ] {
        let response = harness
            .rest(
                "good",
                Method::GET,
                &format!("{PROJECTS}?api-version={version}"),
                None,
            )
            .await;
        assert_eq!(response.status(), status, "{version}");
    }
    let response = harness
        .rest(
            "good",
            Method::POST,
            "/_apis/hooks/subscriptions",
            Some(json!({})),
        )
        .await;
    assert_eq!(response.status(), 400);
    assert_eq!(
        response.json::<Value>().await.unwrap()["typeKey"],
        "VssVersionNotSpecifiedException"
    );
}

async fn pages(harness: &Harness, path: &str) -> (usize, Vec<String>) {
    let mut names = Vec::new();
    let mut token = String::new();
    for page in 1.. {
        let response = harness
            .rest("good", Method::GET, &format!("{path}{token}"), None)
            .await;
        assert_eq!(response.status(), 200);
        let next = response.headers().get("x-ms-continuationtoken").cloned();
        let body: Value = response.json().await.unwrap();
        let values = body["value"].as_array().unwrap();
        names.extend(
            values
                .iter()
                .map(|it| it["name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = next else {
            return (page, names);
        };
        token = format!("&continuationToken={}", next.to_str().unwrap());
    }
    unreachable!()
}

#[tokio::test]
async fn projects_and_refs_come_in_pages() {
    let harness = Harness::start().await;
    let (count, projects) = pages(&harness, "/_apis/projects?$top=3").await;
    assert_eq!((count, projects.len()), (3, 7));
    let (count, branches) = pages(
        &harness,
        &format!("{REPOSITORIES}/platform/refs?filter=heads/feature&%24top=4"),
    )
    .await;
    assert_eq!((count, branches.len()), (3, 10));
    assert!(
        branches
            .iter()
            .all(|it| it.starts_with("refs/heads/feature/"))
    );
    let (_, some) = pages(
        &harness,
        &format!("{REPOSITORIES}/platform/refs?filterContains=ICE&$top=9"),
    )
    .await;
    assert_eq!(some, ["refs/heads/feature/ice-watch"]);
}

#[tokio::test]
async fn names_are_taken_in_any_case_and_with_spaces() {
    let harness = Harness::start().await;
    let list = harness.get("//QUAY%20works/_apis/git/repositories").await;
    assert_eq!(list["value"][0]["name"], "tide tables");
    let by_name = harness
        .get("/Quay%20Works/_apis/git/repositories/Tide%20Tables")
        .await;
    let project = by_name["project"]["id"].as_str().unwrap();
    let id = by_name["id"].as_str().unwrap();
    assert_eq!(
        harness
            .get(&format!("/{project}/_apis/git/repositories/{id}"))
            .await,
        by_name
    );
    let empty = harness.get("/Harbor/_apis/git/repositories/empty").await;
    assert!(empty.get("defaultBranch").is_none());
    let retired = harness.get("/Harbor/_apis/git/repositories/retired").await;
    assert_eq!(retired["isDisabled"], true);
    let inside = harness
        .rest(
            "good",
            Method::GET,
            "/Harbor/_apis/git/repositories/retired/refs",
            None,
        )
        .await;
    assert_eq!(inside.status(), 404);
}

#[tokio::test]
async fn a_diff_says_what_changed_a_page_at_a_time() {
    let harness = Harness::start().await;
    let files = json!({ "prod/new.tf": "#", "modules/net/outputs.tf": null, "modules/net/out.tf": "# what it gives\n" });
    let push = harness
        .push(json!({ "branch": "main", "files": files }))
        .await;
    let update = &push["push"]["refUpdates"][0];
    let path = format!(
        "{REPOSITORIES}/platform/diffs/commits?baseVersion={}&baseVersionType=commit&targetVersion={}&targetVersionType=commit",
        update["oldObjectId"].as_str().unwrap(),
        update["newObjectId"].as_str().unwrap()
    );
    let whole = harness.get(&path).await;
    let seen = |diff: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let changes = diff["changes"].as_array().unwrap();
        changes
            .iter()
            .map(|it| (text(&it["changeType"]), text(&it["item"]["path"])))
            .collect()
    };
    let expected = [
        ("edit", "/modules"),
        ("edit", "/modules/net"),
        ("rename", "/modules/net/out.tf"),
        ("delete, sourceRename", "/modules/net/outputs.tf"),
        ("edit", "/prod"),
        ("add", "/prod/new.tf"),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(kind, path)| ((*kind).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(seen(&whole), expected);
    assert_eq!(whole["allChangesIncluded"], true);
    assert_eq!(
        whole["changes"][2]["sourceServerItem"],
        "/modules/net/outputs.tf"
    );
    let first = harness.get(&format!("{path}&$top=4")).await;
    assert_eq!(first["allChangesIncluded"], false);
    let rest = harness.get(&format!("{path}&$top=4&$skip=4")).await;
    assert_eq!([seen(&first), seen(&rest)].concat(), expected);
    let missing = path.replace("baseVersionType=commit", "baseVersionType=branch");
    assert_eq!(
        harness
            .rest("good", Method::GET, &missing, None)
            .await
            .status(),
        404
    );
}

#[tokio::test]
async fn statuses_are_added_to_commits_and_iterations() {
    let harness = Harness::start().await;
    let id = harness
        .pull_request(json!({ "source": "feature/berth-plan" }))
        .await;
    let base = format!("{REPOSITORIES}/platform");
    let view = harness.get(&format!("{base}/pullRequests/{id}")).await;
    let head = view["lastMergeSourceCommit"]["commitId"].as_str().unwrap();
    let status = json!({ "state": "pending", "context": { "name": "prod", "genre": "stackhook" } });
    let commit = format!("{base}/commits/{head}/statuses?api-version=7.1");
    let iteration = format!("{base}/pullRequests/{id}/iterations/1/statuses?api-version=7.1");
    let whole = format!("{base}/pullRequests/{id}/statuses?api-version=7.1");
    for (path, made) in [(&commit, 201), (&iteration, 200), (&whole, 200)] {
        let post = async |kind| {
            harness
                .rest(kind, Method::POST, path, Some(status.clone()))
                .await
                .status()
        };
        assert_eq!(post("good").await, made);
        assert_eq!(post("readOnly").await, 401);
        assert_eq!(
            harness.get(path).await["value"][0]["context"]["genre"],
            "stackhook"
        );
    }
    harness.assume("policyNeedsIteration", true);
    let refused = harness
        .rest("good", Method::POST, &whole, Some(status))
        .await;
    assert_eq!(refused.status(), 403);
}

#[tokio::test]
async fn a_pull_request_without_iterations_takes_a_status_of_none() {
    let harness = Harness::start().await;
    let id = harness
        .pull_request(json!({ "source": "feature/berth-plan" }))
        .await;
    let path = format!("{REPOSITORIES}/platform/pullRequests/{id}");
    assert_eq!(harness.get(&path).await["supportsIterations"], true);
    let change = json!({ "supportsIterations": false });
    let changed = harness.change_pull_request(id, change).await;
    assert_eq!(changed["events"], json!([]));
    assert_eq!(harness.get(&path).await["supportsIterations"], false);
    for (iteration, expected) in [(Some(1), 400), (None, 200)] {
        let status =
            json!({ "state": "failed", "context": { "name": "prod" }, "iterationId": iteration });
        let answer = harness
            .rest(
                "good",
                Method::POST,
                &format!("{path}/statuses?api-version=7.1"),
                Some(status),
            )
            .await;
        assert_eq!(answer.status(), expected, "{iteration:?}");
    }
}

#[tokio::test]
async fn a_subscription_that_the_service_would_not_take_is_refused() {
    let harness = Harness::start().await;
    let project = harness.get("/_apis/projects/Harbor").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let good = subscription(&project, &harness.hook_url);
    let post = async |kind: &str, body: Value| {
        let response = harness.rest(kind, Method::POST, HOOKS, Some(body)).await;
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap_or_default())
    };
    for (pointer, value) in [
        ("/publisherId", json!("rm")),
        ("/consumerId", json!("slack")),
        ("/eventType", json!("git.nothing")),
        (
            "/publisherInputs/projectId",
            json!("6f0e9a35-52a1-4b5f-8e0a-3d2f6f3b2b1c"),
        ),
        ("/publisherInputs/repository", json!("platform")),
        ("/consumerInputs/url", json!("ftp://example.org")),
        ("/consumerInputs/resourceDetailsToSend", json!("")),
        ("/consumerInputs/messagesToSend", json!("")),
        ("/consumerInputs/basicAuthUsername", json!("")),
        ("/consumerInputs/basicAuthPassword", json!("two words")),
        ("/consumerInputs/basicAuthPassword", json!("x".repeat(257))),
        ("/consumerInputs/acceptUntrustedCerts", json!(false)),
    ] {
        let mut bad = good.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        bad.pointer_mut(parent).unwrap()[name] = value;
        let (status, body) = post("good", bad).await;
        assert_eq!(status, 400, "{pointer}");
        assert!(body["typeKey"].is_string() && body["message"].is_string());
    }
    let mut everywhere = good.clone();
    everywhere["publisherInputs"] = json!({});
    assert_eq!(post("good", everywhere.clone()).await.0, 200);
    assert_eq!(post("projectAdministrator", everywhere).await.0, 400);
    assert_eq!(post("projectAdministrator", good.clone()).await.0, 200);
    let (status, body) = post("withoutHooks", good.clone()).await;
    assert_eq!(status, 403);
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("needs the following permission(s)")
    );
    assert_eq!(post("readOnly", good.clone()).await.0, 200);
    harness.assume("codeReadMakesHooks", false);
    assert_eq!(post("readOnly", good).await.0, 401);
}

#[tokio::test]
async fn subscriptions_are_found_by_their_inputs() {
    let harness = Harness::start().await;
    harness.subscribe().await;
    let project = harness.get("/_apis/projects/Harbor").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let query = async |value: &str| {
        let condition =
            json!({ "inputId": "projectId", "operator": "equals", "inputValue": value });
        let body = json!({ "publisherId": "tfs", "publisherInputFilters": [{ "conditions": [condition] }] });
        let path = "/_apis/hooks/subscriptionsquery?api-version=7.1";
        let answer: Value = harness
            .rest("good", Method::POST, path, Some(body))
            .await
            .json()
            .await
            .unwrap();
        answer["results"].as_array().unwrap().len()
    };
    assert_eq!(query(&project.to_uppercase()).await, 5);
    assert_eq!(query("6f0e9a35-52a1-4b5f-8e0a-3d2f6f3b2b1c").await, 0);
    let listed = harness
        .get("/_apis/hooks/subscriptions?publisherId=tfs&eventType=git.push")
        .await;
    assert_eq!(listed["count"], 1);
}
