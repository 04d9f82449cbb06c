//! Whether what a stack is to follow is there: its integration, the project, the repository, the branch, the project root.
//! Read-only; as a rule two calls of Azure DevOps, three with a project root; more where a thousand branches begin alike. Where
//! nothing follows the repository yet, two more: what is there.

use ado::{AdoClient, AdoError, Repository};
use baseline::BaselineError;
use domain::{
    Branch, Guid, Integration, IntegrationName, ProjectRoot, ids::InvalidGuid, stack::Reference,
};
use edge::{Problem, ProblemKind};
use jiff::Timestamp;

use crate::App;

/// What a stack is to follow, as a person names it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) integration: IntegrationName,
    pub(crate) project: String,
    pub(crate) repository: String,
    pub(crate) branch: Branch,
    pub(crate) project_root: ProjectRoot,
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The integration, as it was before the first look.
    pub(crate) integration: Integration,
    client: AdoClient,
    pub(crate) project: Reference,
    pub(crate) repository: Reference,
    /// What a person should know of it, and what is no reason to refuse.
    pub(crate) notes: Vec<String>,
}

/// Looks for all of it.
pub(crate) async fn look(app: &App, wanted: &Wanted) -> Result<Found, Problem> {
    let integration = integration(app, &wanted.integration).await?;
    let client = connection::client(&app.ado, &app.secrets, &app.azure_devops_url, &integration)
        .await
        .map_err(of_the_integration)?;
    let repositories = client
        .repositories(&wanted.project)
        .await
        .map_err(|error| {
            refused(error, "project", "there is no such project in the organization, or the token's user may not see it: take one of the picker, by its name or its id")
        })?;
    let repository = one_of(repositories, &wanted.repository)?;
    let project = repository.project.ok_or_else(|| {
        let what = AdoError::Unexpected("a repository without its project".to_owned());
        connection::problems::of_azure_devops(what)
    })?;
    let project = reference(&project.id, project.name)?;
    let repository = reference(&repository.id, repository.name)?;
    let (in_project, in_repository) = (project.id.as_str(), repository.id.as_str());
    let branch = client
        .branch(in_project, in_repository, wanted.branch.as_str())
        .await
        .map_err(|error| {
            refused(
                error,
                "repository",
                "this repository cannot be read: the token's user needs Read on it",
            )
        })?;
    if branch.is_none() {
        let detail = format!(
            "there is no branch {} in {repository}: push it first, or take one of the picker (upper and lower case count)",
            wanted.branch.short()
        );
        return Err(Problem::field("branch", &detail));
    }
    let notes = if wanted.project_root.is_repository() {
        Vec::new()
    } else {
        let (branch, root) = (wanted.branch.short(), wanted.project_root.as_str());
        let item = client
            .item(in_project, in_repository, branch, root)
            .await
            .map_err(|error| refused(error, "projectRoot", "it cannot be read"))?;
        match item {
            Some(item) if item.is_folder => Vec::new(),
            Some(_) => {
                let detail = "this is a file: a project root is a directory";
                return Err(Problem::field("projectRoot", &detail));
            }
            None => vec![format!("{root} is not there yet on branch {branch}")],
        }
    };
    Ok(Found {
        integration,
        client,
        project,
        repository,
        notes,
    })
}

/// Lets comparing what was found with what was seen of it begin, before a stack that follows it is written.
pub(crate) async fn begin(app: &App, found: &Found, now: Timestamp) -> Result<(), Problem> {
    let (name, project) = (&found.integration.name, found.project.id.as_str());
    let repository = &found.repository.id;
    baseline::begin(&found.client, &app.store, name, project, repository, now)
        .await
        .map_err(|error| match error {
            BaselineError::Ado(error) => refused(
                error,
                "repository",
                "its pushes and pull requests cannot be read: the token's user needs Read on it",
            ),
            BaselineError::Store(error) => Problem::ours(error),
        })
}

/// The integration, if it is active.
async fn integration(app: &App, name: &IntegrationName) -> Result<Integration, Problem> {
    connection::active(&app.store, name)
        .await
        .map_err(|problem| match problem.kind() {
            ProblemKind::NotFound => Problem::field("integration", &problem.detail()),
            _ => of_the_integration(problem),
        })
}

/// A refusal at the integration's field; a failure of ours is none of the caller's fields' fault.
fn of_the_integration(problem: Problem) -> Problem {
    match problem.kind() {
        ProblemKind::Unavailable => problem,
        _ => problem.at("integration"),
    }
}

/// The repository of that id or name, in which Azure DevOps tells no case.
fn one_of(repositories: Vec<Repository>, wanted: &str) -> Result<Repository, Problem> {
    let is_id = |it: &Repository| it.id.eq_ignore_ascii_case(wanted);
    let is_name = |it: &Repository| it.name.to_lowercase() == wanted.to_lowercase();
    let found = repositories
        .iter()
        .find(|it| is_id(it))
        .or_else(|| repositories.iter().find(|it| is_name(it)));
    match found {
        Some(repository) if repository.is_disabled => Err(Problem::field(
            "repository",
            &"this repository is disabled: enable it in Azure DevOps (Project settings, Repositories), or take another one",
        )),
        Some(repository) => Ok(repository.clone()),
        None => Err(Problem::field(
            "repository",
            &"there is no such repository in the project, or the token's user may not see it: take one of the picker, by its name or its id",
        )),
    }
}

fn reference(id: &str, name: String) -> Result<Reference, Problem> {
    let id: Guid = id.parse().map_err(|error: InvalidGuid| {
        connection::problems::of_azure_devops(AdoError::Unexpected(error.to_string()))
    })?;
    Ok(Reference { id, name })
}

/// A refusal of Azure DevOps, at the field that it is about: what was asked for, or the integration, whose token it is.
pub(crate) fn refused(error: AdoError, field: &'static str, absent: &str) -> Problem {
    match error {
        AdoError::NotFound(_) => Problem::field(field, &absent),
        AdoError::Denied(_) => connection::problems::of_azure_devops(error).at(field),
        AdoError::TokenRefused | AdoError::TokenExpired | AdoError::SignInPage => {
            of_the_integration(connection::problems::of_azure_devops(error))
        }
        error => connection::problems::of_azure_devops(error),
    }
}
