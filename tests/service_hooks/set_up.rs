//! Integrations that are created with the hooks of projects.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Site, call, counts, create_with, names_in, setup_at};
use crate::support::{get, new_name, parts};

#[tokio::test]
async fn an_integration_is_created_with_the_hooks_of_projects_that_are_named() -> Result<()> {
    let site = Site::start().await?;
    let id = site.harbor().await?.id;
    let name = new_name("with-hooks");
    let projects = json!(["Quay Works", id, " harbor ", "Nowhere"]);
    let (status, body) = create_with(&site, &name, "good", projects).await?;
    assert_eq!(status, 201, "{body}");
    let hooks = &body["serviceHooks"];
    assert_eq!(
        names_in(&hooks["made"]),
        ["Harbor", "Quay Works"],
        "{hooks}"
    );
    for made in hooks["made"].as_array().context("none")? {
        assert_eq!(counts(made), [5, 0, 0, 0]);
    }
    assert_eq!(names_in(&hooks["failed"]), ["Nowhere"], "{hooks}");
    assert!(
        hooks["failed"][0]["why"]
            .as_str()
            .is_some_and(|why| why.contains("no project"))
    );
    assert!(
        body["notes"].to_string().contains("serviceHooks.failed"),
        "{body}"
    );
    assert_eq!(site.subscriptions().await?.len(), 10);
    let known = site.bed.store().await.hooks_of(&name.parse()?).await?;
    assert_eq!(known.len(), 10);
    Ok(())
}

#[tokio::test]
async fn all_means_each_project_that_the_token_sees() -> Result<()> {
    let site = Site::start().await?;
    let name = new_name("with-all");
    // Some of them fail for a moment, and are named.
    site.fault(json!({ "kind": "status", "path": "subscriptionsquery", "every": 4, "times": 1 }))
        .await?;
    let (status, body) = create_with(&site, &name, "good", json!("all")).await?;
    assert_eq!(status, 201, "{body}");
    let hooks = &body["serviceHooks"];
    let (made, failed) = (names_in(&hooks["made"]), names_in(&hooks["failed"]));
    assert_eq!((made.len(), failed.len()), (6, 1), "{hooks}");
    assert_eq!(site.subscriptions().await?.len(), 30);
    let failed = failed[0].replace(' ', "%20");
    let rest = format!("service-hooks/{failed}");
    let (status, body) = call(&site.setup, &name, "PUT", &rest, &Value::Null).await?;
    assert_eq!((status, counts(&body)), (200, [5, 0, 0, 0]), "{body}");
    Ok(())
}

#[tokio::test]
async fn of_more_than_all_means_some_are_named_and_it_is_said_that_there_are_others() -> Result<()>
{
    let mut site = Site::start().await?;
    for number in 0..700 {
        let project = json!({ "name": format!("Berth {number}") });
        let path = "organizations/tidewater/projects";
        site.control(Method::POST, path, project).await?;
    }
    let endpoint = site.bed.stack.description.endpoint_url.clone();
    let (azure_devops, webhook) = (site.azure_devops.url(), &site.webhook_url);
    let hurried = setup_at(&site.bed, azure_devops, webhook, &endpoint).await?;
    // All are listed, and most hooks have to wait.
    site.setup = hurried.with_hooks_within(Duration::from_secs(3));
    let (status, body) = create_with(&site, &new_name("harbors"), "good", json!("all")).await?;
    assert_eq!(status, 201, "{body}");
    let (made, failed) = (
        &body["serviceHooks"]["made"],
        &body["serviceHooks"]["failed"],
    );
    let failed = failed.as_array().context("no list")?;
    let (beyond, in_vain): (Vec<&Value>, Vec<&Value>) = failed.iter().partition(|it| {
        let why = it["why"].as_str().unwrap_or_default();
        why.contains("means the first 500 projects")
    });
    assert_eq!(names_in(made).len() + in_vain.len(), 500);
    let (others, named): (Vec<&Value>, Vec<&Value>) =
        beyond.iter().partition(|it| it["project"] == "all");
    assert_eq!((others.len(), named.len()), (1, 100));
    let why = others[0]["why"].as_str().unwrap_or_default();
    assert!(why.contains("GET …/projects lists them"), "{why}");
    Ok(())
}

#[tokio::test]
async fn an_integration_whose_hooks_are_denied_is_created_and_says_what_to_do() -> Result<()> {
    let site = Site::start().await?;
    let name = new_name("denied");
    let (status, body) = create_with(&site, &name, "withoutHooks", json!(["Harbor"])).await?;
    assert_eq!(status, 201, "{body}");
    assert!(body["webhook"]["password"].is_string());
    let failed = &body["serviceHooks"]["failed"][0];
    assert_eq!(failed["project"]["name"], "Harbor");
    let endpoint = format!("{}/{name}", site.webhook_url);
    assert_eq!(failed["manualSteps"]["endpoint"], endpoint);
    let (status, _) = call(&site.setup, &name, "POST", "verification", &Value::Null).await?;
    assert_eq!(status, 200);

    for (projects, status, field) in [
        (json!("some"), 422, "serviceHookProjects"),
        (json!([]), 422, "serviceHookProjects"),
        (json!(["Harbor", " "]), 422, "serviceHookProjects"),
        (json!(7), 400, "serviceHookProjects"),
        (json!({ "name": "Harbor" }), 400, "serviceHookProjects"),
    ] {
        let name = new_name("refused");
        let (got, body) = create_with(&site, &name, "good", projects.clone()).await?;
        assert_eq!(
            (got, &body["field"]),
            (status, &json!(field)),
            "{projects}: {body}"
        );
        let shown = site
            .setup
            .handle(get(&format!("/integrations/{name}")))
            .await;
        assert_eq!(parts(&shown)?.0, 404, "{projects}");
    }
    Ok(())
}
