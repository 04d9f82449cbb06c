//! `POST /stacks`: looked for in Azure DevOps, then stored if the name is free.

use domain::{Branch, IntegrationName, Labels, PathGlobs, Stack, StackKind, StackName};
use edge::Problem;
use edge::http::Answer;
use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use serde::Deserialize;
use store::Created;

use crate::{
    App, fields,
    follow::{self, Found, Wanted},
    problems, save,
};

/// The request's body: a stack as a person describes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CreateRequest {
    pub(crate) name: String,
    pub(crate) integration: String,
    pub(crate) project: String,
    pub(crate) repository: String,
    pub(crate) branch: String,
    pub(crate) kind: Option<String>,
    pub(crate) project_root: Option<String>,
    pub(crate) globs: Option<Vec<String>>,
    pub(crate) allow_forks: Option<bool>,
    pub(crate) run_drafts: Option<bool>,
    pub(crate) labels: Option<Vec<String>>,
}

/// The request, understood.
pub(crate) struct New {
    name: StackName,
    kind: StackKind,
    pub(crate) wanted: Wanted,
    globs: PathGlobs,
    allow_forks: bool,
    run_drafts: bool,
    labels: Labels,
}

/// `POST /stacks`.
pub(crate) async fn create(app: &App, request: &Request, now: Timestamp) -> Answer {
    let body: CreateRequest = edge::http::body(request)?;
    let new = body.understood()?;
    // Tells of a taken name before anything is asked of Azure DevOps; the write below is what decides.
    let taken = app.store.stack(&new.name).await.map_err(Problem::ours)?;
    if taken.is_some() {
        return Err(problems::name_taken());
    }
    let found = follow::look(app, &new.wanted).await?;
    follow::begin(app, &found, now).await?;
    let stack = new.stack(&found, now);
    match app
        .store
        .create_stack(&stack)
        .await
        .map_err(Problem::ours)?
    {
        Created::Yes => {
            let linked_to = Some(&found.integration);
            save::saved(
                app,
                StatusCode::CREATED,
                stack,
                linked_to,
                &found.notes,
                now,
            )
            .await
        }
        Created::Taken => Err(problems::name_taken()),
    }
}

impl CreateRequest {
    pub(crate) fn understood(self) -> Result<New, Problem> {
        Ok(New {
            name: fields::text("name", &self.name)?,
            kind: fields::optional("kind", self.kind)?,
            wanted: Wanted {
                integration: fields::text::<IntegrationName>("integration", &self.integration)?,
                project: fields::named("project", self.project)?,
                repository: fields::named("repository", self.repository)?,
                branch: fields::text::<Branch>("branch", &self.branch)?,
                project_root: fields::optional("projectRoot", self.project_root)?,
            },
            globs: fields::globs(self.globs.unwrap_or_default())?,
            allow_forks: self.allow_forks.unwrap_or_default(),
            run_drafts: self.run_drafts.unwrap_or_default(),
            labels: fields::labels(self.labels.unwrap_or_default())?,
        })
    }
}

impl New {
    pub(crate) fn stack(self, found: &Found, now: Timestamp) -> Stack {
        Stack {
            name: self.name,
            kind: self.kind,
            integration: self.wanted.integration,
            project: found.project.clone(),
            repository: found.repository.clone(),
            branch: self.wanted.branch,
            project_root: self.wanted.project_root,
            globs: self.globs,
            allow_forks: self.allow_forks,
            run_drafts: self.run_drafts,
            labels: self.labels,
            detached_at: None,
            created_at: now,
            updated_at: now,
        }
    }
}
