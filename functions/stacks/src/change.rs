//! `PATCH /stacks/{name}`: anything but the name. Where it changes what is followed, that is looked for in Azure DevOps again.

use domain::{
    Branch, IntegrationName, Labels, PathGlobs, ProjectRoot, Run, Stack, StackKind,
    run::CancelReason,
};
use edge::http::Answer;
use edge::{Problem, ProblemKind};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use lambda_http::Request;
use serde::Deserialize;
use store::Saved;

use crate::{
    App, fields,
    follow::{self, Wanted},
    problems, save, show,
};

/// The request's body. What is absent stays as it is, `null` removes it, or gives what is usual in its place.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangeRequest {
    #[serde(default, deserialize_with = "edge::http::present")]
    integration: Option<Option<String>>,
    #[serde(default, deserialize_with = "edge::http::present")]
    project: Option<Option<String>>,
    #[serde(default, deserialize_with = "edge::http::present")]
    repository: Option<Option<String>>,
    #[serde(default, deserialize_with = "edge::http::present")]
    branch: Option<Option<String>>,
    #[serde(default, deserialize_with = "edge::http::present")]
    kind: Option<Option<String>>,
    #[serde(default, deserialize_with = "edge::http::present")]
    project_root: Option<Option<String>>,
    #[serde(default, deserialize_with = "edge::http::present")]
    globs: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "edge::http::present")]
    allow_forks: Option<Option<bool>>,
    #[serde(default, deserialize_with = "edge::http::present")]
    run_drafts: Option<Option<bool>>,
    #[serde(default, deserialize_with = "edge::http::present")]
    labels: Option<Option<Vec<String>>>,
    /// When the caller read it, as `updatedAt` says; a change since then refuses this one.
    updated_at: Option<Timestamp>,
}

/// The request, understood: what is `None` stays.
#[derive(Default)]
struct Changes {
    integration: Option<IntegrationName>,
    project: Option<String>,
    repository: Option<String>,
    branch: Option<Branch>,
    project_root: Option<ProjectRoot>,
    kind: Option<StackKind>,
    globs: Option<PathGlobs>,
    allow_forks: Option<bool>,
    run_drafts: Option<bool>,
    labels: Option<Labels>,
}

/// `PATCH /stacks/{name}`.
pub(crate) async fn change(app: &App, request: &Request, name: &str, now: Timestamp) -> Answer {
    let body: ChangeRequest = edge::http::body(request)?;
    let (changes, as_read) = body.understood()?;
    let mut stack = app.stack(name).await?;
    let (before, read) = (stack.clone(), stack.updated_at);
    if as_read.is_some_and(|as_read| as_read.as_microsecond() != read.as_microsecond()) {
        return Err(problems::changed_since());
    }
    let found = match changes.wanted(&stack)? {
        Some(wanted) => {
            let found = follow::look(app, &wanted).await?;
            let is_followed = before.detached_at.is_none()
                && before.integration == wanted.integration
                && before.repository.id == found.repository.id;
            if !is_followed {
                follow::begin(app, &found, now).await?;
            }
            stack.integration = wanted.integration;
            stack.project = found.project.clone();
            stack.repository = found.repository.clone();
            stack.branch = wanted.branch;
            stack.project_root = wanted.project_root;
            stack.detached_at = None;
            Some(found)
        }
        None => None,
    };
    changes.told(&mut stack);
    // Never the moment that was read, whatever the clock says: the next one who read that one is refused.
    stack.updated_at = now.max(read + SignedDuration::from_micros(1));
    let saved = app.store.change_stack(&stack, read).await;
    match saved.map_err(Problem::ours)? {
        Saved::Yes => {
            // What it followed asks for nothing any more: nobody else would find its runs again.
            let moved = stack.integration != before.integration
                || stack.repository.id != before.repository.id;
            if moved {
                let is_meant = |run: &Run| {
                    run.integration != stack.integration || run.repository.id != stack.repository.id
                };
                let because = CancelReason::StackMoved;
                show::cancel_runs(app, &stack.name, because, is_meant, now).await?;
            }
            let notes = found.as_ref().map_or(&[][..], |found| &found.notes);
            let linked_to = found.as_ref().map(|found| &found.integration);
            save::saved(app, StatusCode::OK, stack, linked_to, notes, now).await
        }
        Saved::ChangedSince => Err(problems::changed_since()),
        Saved::Gone => Err(problems::no_such_stack()),
    }
}

impl Changes {
    /// What the stack is to follow, where that is another thing than before.
    fn wanted(&self, stack: &Stack) -> Result<Option<Wanted>, Problem> {
        let is_asked_for = self.integration.is_some()
            || self.project.is_some()
            || self.repository.is_some()
            || self.branch.is_some()
            || self.project_root.is_some();
        if !is_asked_for {
            return Ok(None);
        }
        if stack.detached_at.is_some() && self.integration.is_none() {
            return Err(Problem::field(
                "integration",
                &"this stack is detached, since its integration was unlinked: name the integration that it is to follow its repository by",
            ));
        }
        let id_or =
            |given: &Option<String>, id: &str| given.clone().unwrap_or_else(|| id.to_owned());
        Ok(Some(Wanted {
            integration: self
                .integration
                .clone()
                .unwrap_or_else(|| stack.integration.clone()),
            project: id_or(&self.project, stack.project.id.as_str()),
            repository: id_or(&self.repository, stack.repository.id.as_str()),
            branch: self.branch.clone().unwrap_or_else(|| stack.branch.clone()),
            project_root: self
                .project_root
                .clone()
                .unwrap_or_else(|| stack.project_root.clone()),
        }))
    }

    /// Writes down what Azure DevOps need not be asked about.
    fn told(self, stack: &mut Stack) {
        if let Some(kind) = self.kind {
            stack.kind = kind;
        }
        if let Some(globs) = self.globs {
            stack.globs = globs;
        }
        if let Some(allow_forks) = self.allow_forks {
            stack.allow_forks = allow_forks;
        }
        if let Some(run_drafts) = self.run_drafts {
            stack.run_drafts = run_drafts;
        }
        if let Some(labels) = self.labels {
            stack.labels = labels;
        }
    }

    fn is_empty(&self) -> bool {
        self.integration.is_none()
            && self.project.is_none()
            && self.repository.is_none()
            && self.branch.is_none()
            && self.project_root.is_none()
            && self.kind.is_none()
            && self.globs.is_none()
            && self.allow_forks.is_none()
            && self.run_drafts.is_none()
            && self.labels.is_none()
    }
}

impl ChangeRequest {
    fn understood(self) -> Result<(Changes, Option<Timestamp>), Problem> {
        let required = |field: &'static str, given: Option<Option<String>>| {
            let value = given.map(|value| {
                value.ok_or_else(|| {
                    Problem::field(field, &"a stack has one: name another one, or leave it out")
                })
            });
            value.transpose()
        };
        let integration = required("integration", self.integration)?;
        let project = required("project", self.project)?;
        let repository = required("repository", self.repository)?;
        let branch = required("branch", self.branch)?;
        let changes = Changes {
            integration: integration
                .map(|text| fields::text("integration", &text))
                .transpose()?,
            project: project
                .map(|name| fields::named("project", name))
                .transpose()?,
            repository: repository
                .map(|name| fields::named("repository", name))
                .transpose()?,
            branch: branch
                .map(|text| fields::text("branch", &text))
                .transpose()?,
            project_root: self
                .project_root
                .map(|text| fields::optional("projectRoot", text))
                .transpose()?,
            kind: self
                .kind
                .map(|text| fields::optional("kind", text))
                .transpose()?,
            globs: self
                .globs
                .map(|globs| fields::globs(globs.unwrap_or_default()))
                .transpose()?,
            allow_forks: self.allow_forks.map(Option::unwrap_or_default),
            run_drafts: self.run_drafts.map(Option::unwrap_or_default),
            labels: self
                .labels
                .map(|labels| fields::labels(labels.unwrap_or_default()))
                .transpose()?,
        };
        if changes.is_empty() {
            return Err(Problem::new(
                ProblemKind::InvalidRequest,
                "nothing is to be changed: everything of a stack can be but its name",
            ));
        }
        Ok((changes, self.updated_at))
    }
}
