//! Drives every operation that the simulator serves, with requests as the documents have them: what the product will ask
//! one day, and what only tests ask. Things are made to happen at the simulator's control, since nothing but subscriptions,
//! statuses and threads is made by REST.

use anyhow::{Context, Result, ensure};
use integration_tests::Portal;
use integration_tests::portal::Repository;
use reqwest::Method;
use serde_json::{Value, json};
use simulator::Running;

/// Asks the simulator, through a recorder, as the holder of a good token.
struct Asker {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Asker {
    /// Gives the body of a successful answer.
    async fn ask(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = format!("{}/tidewater{path}{separator}api-version=7.1", self.url);
        let mut request = self
            .http
            .request(method.clone(), url)
            .header("accept", "application/json")
            .basic_auth("", Some(&self.token));
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(
            status.is_success(),
            "{method} {path} is answered {status}: {text}"
        );
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        self.ask(Method::GET, path, Value::Null).await
    }
}

/// Drives all of it, through `url`. `receiver` takes deliveries, and fails at `/broken`.
pub(crate) async fn is_driven(
    simulator: &Running,
    portal: &Portal,
    url: &str,
    receiver: &str,
) -> Result<()> {
    let asker = Asker {
        http: reqwest::Client::builder().no_proxy().build()?,
        url: url.to_owned(),
        token: simulator.token("good").to_owned(),
    };
    projects(&asker).await?;
    let taken = subscriptions(&asker, receiver, "all").await?;
    let broken = subscriptions(&asker, &format!("{receiver}/broken"), "none").await?;
    let platform = portal.keyboard("tidewater", "Harbor", "platform");
    let push = pushes(&asker, &platform).await?;
    code(&asker, &push).await?;
    pull_requests(&asker, portal, &platform).await?;
    // Over the 36 hours of a probation by leaps: on a clock that runs, a slow machine would meet the end of the seven days'
    // history.
    let settle = "settle?includeProbation=true&leap=true";
    portal.control(Method::POST, settle, Value::Null).await?;
    for (subscription, status) in [(&taken, "enabled"), (&broken, "disabledBySystem")] {
        let path = format!("{HOOKS}/{subscription}");
        let shown = asker.get(&path).await?;
        ensure!(shown["status"] == status, "not {status}: {shown}");
        notifications(&asker, &path).await?;
        asker.ask(Method::DELETE, &path, Value::Null).await?;
    }
    Ok(())
}

const HOOKS: &str = "/_apis/hooks/subscriptions";
const REPOSITORY: &str = "/Harbor/_apis/git/repositories/platform";

async fn projects(asker: &Asker) -> Result<()> {
    for path in [
        "/_apis/projects?stateFilter=wellFormed&$top=2&$skip=1",
        "/_apis/projects?$top=2&continuationToken=2&getDefaultTeamImageUrl=false",
        "/_apis/projects/Harbor?includeCapabilities=false",
        "/_apis/projects/Quay%20Works",
        "/_apis/git/repositories",
        "/Harbor/_apis/git/repositories?includeLinks=false",
        "/Harbor/_apis/git/repositories/empty",
        "/Harbor/_apis/git/repositories/retired",
    ] {
        asker.get(path).await?;
    }
    Ok(())
}

/// Makes one, changes it, finds it in each way; gives its id.
async fn subscriptions(asker: &Asker, receiver: &str, messages: &str) -> Result<String> {
    let project = text(&asker.get("/_apis/projects/Harbor").await?, "/id")?;
    let repository = text(&asker.get(REPOSITORY).await?, "/id")?;
    let mut body = json!({
        "publisherId": "tfs",
        "eventType": "git.push",
        "resourceVersion": "1.0",
        "consumerId": "webHooks",
        "consumerActionId": "httpRequest",
        "publisherInputs": { "projectId": project, "repository": repository, "branch": "main" },
        "consumerInputs": {
            "url": receiver,
            "basicAuthPassword": "open-sesame",
            "acceptUntrustedCerts": "false",
            "resourceDetailsToSend": "all",
            "messagesToSend": "text",
            "detailedMessagesToSend": "text",
        },
    });
    let made = asker.ask(Method::POST, HOOKS, body.clone()).await?;
    let id = text(&made, "/id")?;
    let path = format!("{HOOKS}/{id}");
    asker.get(&path).await?;
    for switch in ["messagesToSend", "detailedMessagesToSend"] {
        body["consumerInputs"][switch] = json!(messages);
    }
    body["publisherInputs"] = json!({ "projectId": project });
    asker.ask(Method::PUT, &path, body.clone()).await?;
    // Read and written back, as it stands: what the service shows it has to take.
    let mut read = asker.get(&path).await?;
    read["consumerInputs"]["basicAuthPassword"] = json!("open-sesame");
    asker.ask(Method::PUT, &path, read).await?;
    asker.get(&format!("{HOOKS}?publisherId=tfs&eventType=git.push&consumerId=webHooks&consumerActionId=httpRequest")).await?;
    let condition = json!({ "inputId": "projectId", "operator": "equals", "inputValue": project, "caseSensitive": false });
    let query =
        json!({ "publisherId": "tfs", "publisherInputFilters": [{ "conditions": [condition] }] });
    let found = asker
        .ask(Method::POST, "/_apis/hooks/subscriptionsquery", query)
        .await?;
    ensure!(
        found["results"].as_array().is_some_and(|it| !it.is_empty()),
        "the query finds nothing"
    );
    for details in [true, false] {
        let query = json!({ "subscriptionIds": [id], "includeDetails": details, "maxResults": 5 });
        let found = asker
            .ask(Method::POST, "/_apis/hooks/notificationsquery", query)
            .await?;
        let told = if details { "results" } else { "summary" };
        ensure!(found[told].is_array(), "the query tells no {told}: {found}");
    }
    // The Test button, of the saved one and before saving.
    let test = "/_apis/hooks/testnotifications";
    asker
        .ask(Method::POST, test, json!({ "subscriptionId": id }))
        .await?;
    // The details of a notification have no version of the resource.
    body.as_object_mut().map(|it| it.remove("resourceVersion"));
    let unsaved = json!({ "details": body });
    asker
        .ask(Method::POST, &format!("{test}?useRealData=false"), unsaved)
        .await?;
    Ok(id)
}

/// A push of two commits, and how it is shown.
async fn pushes(asker: &Asker, platform: &Repository) -> Result<Value> {
    let made = platform
        .push(json!({
            "branch": "main",
            "commits": [
                { "files": { "prod/new.tf": "#", "modules/net/outputs.tf": null, "modules/net/out.tf": "# what it gives\n" }, "message": "Outputs\n\nmoved" },
                { "files": { "prod/new.tf": "# again", "docs/runbook.md": null } },
            ],
        }))
        .await?;
    platform
        .call(
            Method::POST,
            "tags",
            json!({ "name": "v1", "commit": "main" }),
        )
        .await?;
    let push = made["push"].clone();
    let id = &push["pushId"];
    let shown = asker.get(&format!("{REPOSITORY}/pushes/{id}")).await?;
    let pusher = text(&shown, "/pushedBy/id")?;
    for path in [
        format!(
            "/pushes?$top=3&$skip=0&searchCriteria.includeRefUpdates=true&searchCriteria.refName=refs/heads/main&searchCriteria.pusherId={pusher}"
        ),
        "/pushes".to_owned(),
        format!("/pushes/{id}?includeCommits=10&includeRefUpdates=true"),
        format!("/pushes/{id}/commits?top=1&skip=1"),
        format!("/commits?pushId={id}&top=1&skip=0"),
    ] {
        asker.get(&format!("{REPOSITORY}{path}")).await?;
    }
    Ok(push)
}

/// Commits, refs, diffs, files and statuses.
async fn code(asker: &Asker, push: &Value) -> Result<()> {
    let (old, new) = (
        text(push, "/refUpdates/0/oldObjectId")?,
        text(push, "/refUpdates/0/newObjectId")?,
    );
    let diff = format!(
        "/diffs/commits?baseVersion={old}&baseVersionType=commit&targetVersion={new}&targetVersionType=commit"
    );
    for path in [
        "/commits".to_owned(),
        "/commits?searchCriteria.itemVersion.version=main&searchCriteria.itemVersion.versionType=branch&searchCriteria.$top=2&searchCriteria.$skip=1".to_owned(),
        format!("/commits/{new}"),
        format!("/commits/{new}/changes?top=3&skip=1"),
        "/refs".to_owned(),
        "/refs?filter=tags&peelTags=true".to_owned(),
        "/refs?filter=heads/feature&filterContains=ice&$top=5&includeLinks=false".to_owned(),
        "/stats/branches".to_owned(),
        "/stats/branches?baseVersionDescriptor.version=develop&baseVersionDescriptor.versionType=branch".to_owned(),
        "/stats/branches?name=develop".to_owned(),
        diff.clone(),
        format!("{diff}&$top=2&$skip=1&diffCommonCommit=true"),
        "/items?recursionLevel=full".to_owned(),
        "/items?scopePath=/prod&recursionLevel=oneLevel&versionDescriptor.version=main&versionDescriptor.versionType=branch".to_owned(),
        format!("/items?path=/prod/new.tf&includeContent=true&versionDescriptor.version={new}&versionDescriptor.versionType=commit"),
        "/items?path=/prod/main.tf&$format=json".to_owned(),
        "/items?path=/prod".to_owned(),
        "?includeParent=true".to_owned(),
    ] {
        asker.get(&format!("{REPOSITORY}{path}")).await?;
    }
    let raw = asker
        .http
        .get(format!(
            "{}/tidewater{REPOSITORY}/items?path=/prod/main.tf&api-version=7.1",
            asker.url
        ))
        .header("accept", "application/octet-stream")
        .basic_auth("", Some(&asker.token));
    ensure!(raw.send().await?.status() == 200, "no file as it is");
    let statuses = format!("{REPOSITORY}/commits/{new}/statuses");
    asker.ask(Method::POST, &statuses, status()).await?;
    asker
        .get(&format!("{statuses}?latestOnly=true&top=10&skip=0"))
        .await?;
    Ok(())
}

fn status() -> Value {
    json!({
        "state": "pending",
        "description": "Waiting for its turn",
        "targetUrl": "https://example.org/runs/1",
        "context": { "name": "prod", "genre": "stackhook" },
    })
}

/// One of each kind, each looked at in all ways.
async fn pull_requests(asker: &Asker, portal: &Portal, platform: &Repository) -> Result<()> {
    portal
        .control(
            Method::POST,
            "organizations/tidewater/projects/Harbor/repositories",
            json!({ "name": "platform.asha", "forkOf": "platform" }),
        )
        .await?;
    asker
        .get("/Harbor/_apis/git/repositories/platform.asha")
        .await?;
    let mut opened = Vec::new();
    for wanted in [
        json!({ "source": "feature/gangway", "title": "t", "description": "d", "draft": true, "reviewers": ["Milo"], "labels": ["net"] }),
        json!({ "source": "feature/berth-plan", "conflict": true }),
        json!({ "source": "feature/ice-watch", "reviewers": ["Asha Rao"] }),
        json!({ "source": "develop", "fork": "platform.asha" }),
    ] {
        let made = platform.call(Method::POST, "pullRequests", wanted).await?;
        opened.push(
            made["pullRequest"]["pullRequestId"]
                .as_u64()
                .context("no number")?,
        );
    }
    let [first, conflict, completed, fork] = opened[..] else {
        anyhow::bail!("{opened:?}");
    };
    platform
        .push(json!({ "branch": "feature/gangway", "files": { "prod/gangway.tf": "# wider" } }))
        .await?;
    for change in [
        json!({ "vote": 10, "author": "Milo" }),
        json!({ "target": "develop" }),
    ] {
        platform
            .call(Method::PATCH, &format!("pullRequests/{first}"), change)
            .await?;
    }
    let end = json!({ "status": "completed", "squash": true, "deleteSourceBranch": true });
    platform
        .call(Method::PATCH, &format!("pullRequests/{completed}"), end)
        .await?;
    platform
        .call(
            Method::PATCH,
            &format!("pullRequests/{conflict}"),
            json!({ "status": "abandoned" }),
        )
        .await?;
    for number in [first, conflict, completed, fork] {
        pull_request(asker, platform, number).await?;
    }
    let criteria =
        "searchCriteria.status=all&searchCriteria.targetRefName=refs/heads/main&$top=10&$skip=0";
    asker
        .get(&format!(
            "{REPOSITORY}/pullRequests?{criteria}&searchCriteria.sourceRefName=refs/heads/develop"
        ))
        .await?;
    asker
        .get(&format!("/Harbor/_apis/git/pullrequests?{criteria}"))
        .await?;
    asker
        .get(&format!("/Harbor/_apis/git/pullrequests/{first}"))
        .await?;
    asker
        .get(&format!("/_apis/git/pullrequests/{first}"))
        .await?;
    Ok(())
}

async fn pull_request(asker: &Asker, platform: &Repository, number: u64) -> Result<()> {
    let path = format!("{REPOSITORY}/pullRequests/{number}");
    for one in ["", "/commits", "/iterations", "/iterations/1"] {
        asker.get(&format!("{path}{one}")).await?;
    }
    let mut of_first = status();
    of_first["iterationId"] = json!(1);
    asker
        .ask(Method::POST, &format!("{path}/statuses"), of_first)
        .await?;
    asker
        .ask(
            Method::POST,
            &format!("{path}/iterations/1/statuses"),
            status(),
        )
        .await?;
    asker.get(&format!("{path}/statuses")).await?;
    asker.get(&format!("{path}/iterations/1/statuses")).await?;
    // A thread of ours, answered in, written anew; and a comment that somebody deletes.
    let comment =
        json!({ "parentCommentId": 0, "content": "Planned: 2 to add", "commentType": "text" });
    let thread = asker
        .ask(
            Method::POST,
            &format!("{path}/threads"),
            json!({ "comments": [comment], "status": "active" }),
        )
        .await?;
    let comments = format!("{path}/threads/{}/comments", thread["id"]);
    let answer = json!({ "parentCommentId": 1, "content": "Applied", "commentType": "text" });
    asker.ask(Method::POST, &comments, answer).await?;
    asker
        .ask(
            Method::PATCH,
            &format!("{comments}/1"),
            json!({ "content": "Planned: 3 to add" }),
        )
        .await?;
    platform
        .call(
            Method::DELETE,
            &format!("pullRequests/{number}/comments/{}.2", thread["id"]),
            Value::Null,
        )
        .await?;
    asker.get(&format!("{path}/threads")).await?;
    asker
        .get(&format!("{path}/threads/{}", thread["id"]))
        .await?;
    Ok(())
}

/// What became of the deliveries: the list with its filters, and each of them whole.
async fn notifications(asker: &Asker, subscription: &str) -> Result<()> {
    let path = format!("{subscription}/notifications");
    let all = asker.get(&path).await?;
    let all = all["value"].as_array().context("no list")?;
    ensure!(!all.is_empty(), "nothing was delivered");
    for one in all {
        asker.get(&format!("{path}/{}", one["id"])).await?;
    }
    asker
        .get(&format!(
            "{path}?maxResults=1&status=completed&result=succeeded"
        ))
        .await?;
    Ok(())
}

fn text(value: &Value, pointer: &str) -> Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found
        .with_context(|| format!("no {pointer} in {value}"))?
        .to_owned())
}
