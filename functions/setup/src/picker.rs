//! The repository picker: what the token can see in Azure DevOps, now. Nothing of it is kept.

use edge::http::Answer;
use http::StatusCode;
use lambda_http::Request;
use serde_json::json;

use crate::App;

/// `GET /integrations/{name}/projects`.
pub(crate) async fn projects(app: &App, request: &Request, name: &str) -> Answer {
    let size = edge::http::page_size(request)?;
    let continuation: Option<String> = edge::http::page_state(request)?;
    let client = app.client(&app.active(name).await?).await?;
    let page = client
        .projects(u32::from(size), continuation.as_deref())
        .await
        .map_err(connection::problems::of_azure_devops)?;
    let mut body = json!({ "projects": page.items });
    if let Some(next) = page.next {
        body["nextPageToken"] = json!(edge::http::page_token(request, &next));
    }
    Ok((StatusCode::OK, body))
}

/// `GET /integrations/{name}/projects/{project}/repositories`.
pub(crate) async fn repositories(app: &App, name: &str, project: &str) -> Answer {
    let client = app.client(&app.active(name).await?).await?;
    let repositories = client
        .repositories(project)
        .await
        .map_err(connection::problems::of_azure_devops)?;
    Ok((StatusCode::OK, json!({ "repositories": repositories })))
}

/// `GET /integrations/{name}/projects/{project}/repositories/{repository}/branches?prefix=`.
pub(crate) async fn branches(
    app: &App,
    request: &Request,
    name: &str,
    project: &str,
    repository: &str,
) -> Answer {
    let size = edge::http::page_size(request)?;
    let continuation: Option<String> = edge::http::page_state(request)?;
    let prefix = edge::http::parameter(request, "prefix").unwrap_or_default();
    let client = app.client(&app.active(name).await?).await?;
    let page = client
        .branches(
            project,
            repository,
            prefix,
            u32::from(size),
            continuation.as_deref(),
        )
        .await
        .map_err(connection::problems::of_azure_devops)?;
    // The name people know, and the commit at its head.
    let branches = page.items.iter().filter_map(|branch| {
        let name = branch.name.strip_prefix(domain::stack::HEADS)?;
        Some(json!({ "name": name, "ref": branch.name, "commit": branch.object_id }))
    });
    let mut body = json!({ "branches": branches.collect::<Vec<_>>() });
    if let Some(next) = page.next {
        body["nextPageToken"] = json!(edge::http::page_token(request, &next));
    }
    Ok((StatusCode::OK, body))
}
