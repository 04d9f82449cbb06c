//! `…/integrations/{name}/service-hooks`: the hooks of a project made or mended, shown, and removed again. How they have to look
//! is decided in `hooks`; here is what a person is told, and what to do by hand where the token may not.

use std::time::Duration;

use ado::{AdoClient, AdoError};
use domain::{
    EventType, Integration, IntegrationName, ServiceHook, WebhookPassword,
    service_hook::{EVENTS, missing_events},
    stack::Reference,
    summary::plain,
};
use edge::http::{Answer, moment, with_moments};
use edge::{Problem, ProblemKind};
use futures::{StreamExt, stream};
use hooks::{Finished, HooksError, How, Late, Made, Removed, Wanted};
use http::StatusCode;
use jiff::Timestamp;
use secrets::SecretsError;
use serde::Deserialize;
use serde_json::{Value, json};
use store::Leased;
use tokio::time::{Instant, timeout_at};

use crate::{
    App,
    lease::{self, Held},
    note, problems, rotate, show,
};

/// The most projects that one call names.
const MOST_NAMED: usize = 200;
/// The most projects that `all` means, and how many are read at once.
const MOST_OF_ALL: (usize, u32) = (500, 100);
/// How long removing the hooks of a project may take.
const REMOVING: Duration = Duration::from_secs(60);
/// What a person does about what there was no time for, or what failed for a moment.
const AGAIN: &str = "PUT …/service-hooks/{project} makes them";

/// `serviceHookProjects`: the projects whose hooks are made when an integration is set up.
#[derive(Debug)]
pub(crate) enum Projects {
    /// All that the token sees.
    All,
    /// These, by name or id.
    Named(Vec<String>),
}

/// As it is sent.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum ProjectsSent {
    Word(String),
    Names(Vec<String>),
}

impl TryFrom<ProjectsSent> for Projects {
    type Error = Problem;

    fn try_from(sent: ProjectsSent) -> Result<Self, Self::Error> {
        let refused = || {
            Problem::field(
                "serviceHookProjects",
                &format!("1 to {MOST_NAMED} names or ids of projects, or \"all\""),
            )
        };
        let names = match sent {
            ProjectsSent::Word(word) if word == "all" => return Ok(Self::All),
            ProjectsSent::Word(_) => return Err(refused()),
            ProjectsSent::Names(names) => names,
        };
        let mut names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
        if names.is_empty() || names.len() > MOST_NAMED || names.iter().any(String::is_empty) {
            return Err(refused());
        }
        names.sort_unstable();
        names.dedup();
        Ok(Self::Named(names))
    }
}

/// `PUT /integrations/{name}/service-hooks/{project}`.
pub(crate) async fn make(app: &App, name: &str, project: &str, now: Timestamp) -> Answer {
    let integration = app.active(name).await?;
    lease::held(app, &integration.name, now, async |leased, held| {
        let integration = &leased.integration;
        let client = app.client(integration).await?;
        let project = project_of(&client, project).await?;
        // Once they have it, events come with it.
        show::until_it_is_taken(app, integration, now).await;
        let password = app.secrets.password(&integration.name).await;
        let password = password.map_err(Problem::ours)?;
        let made = made(app, &client, integration, &password, &project, now).await?;
        let mut body = shown_made(&project, &made);
        finish_rotation(app, &leased, held, &mut body, now).await?;
        Ok((StatusCode::OK, body))
    })
    .await
}

/// `GET /integrations/{name}/service-hooks`: as they were when they were last looked at.
pub(crate) async fn list(app: &App, name: &str) -> Answer {
    let name = app.integration(name).await?.name;
    let mut hooks = app.store.hooks_of(&name).await.map_err(Problem::ours)?;
    let progress = app.store.progress(&name).await.map_err(Problem::ours)?;
    let place = |hook: &ServiceHook| {
        EVENTS
            .iter()
            .position(|(known, _)| *known == hook.event_type)
    };
    hooks.sort_by_cached_key(|hook| {
        let project = (hook.project.name.to_lowercase(), hook.project.id.clone());
        (project, place(hook), hook.since)
    });
    let projects = hooks.chunk_by(|one, next| one.project.id == next.project.id);
    let projects: Vec<Value> = projects
        .map(|hooks| {
            let project = hooks.first().map(|hook| &hook.project);
            json!({
                "project": project,
                "hooks": hooks.iter().map(shown).collect::<Vec<_>>(),
                "missingEvents": missing_events(hooks),
            })
        })
        .collect();
    let mut body = json!({ "integration": name, "projects": projects });
    if let Some(passed_at) = progress.passed_at {
        body["lastPass"] = json!(progress.last);
        body["lastPass"]["at"] = json!(moment(passed_at));
    }
    if let Some(gap) = &progress.gap {
        body["gap"] = with_moments(gap, &["since", "until"]);
    }
    Ok((StatusCode::OK, body))
}

/// `DELETE /integrations/{name}/service-hooks/{project}`: those that are ours, and no others. The project need not be there any
/// more.
pub(crate) async fn remove(app: &App, name: &str, project: &str, now: Timestamp) -> Answer {
    let integration = app.active(name).await?;
    lease::held(app, &integration.name, now, async |leased, held| {
        let integration = &leased.integration;
        let mut hooks = app
            .store
            .hooks_of(&integration.name)
            .await
            .map_err(Problem::ours)?;
        let is_it = |of: &Reference| {
            of.id.as_str().eq_ignore_ascii_case(project)
                || of.name.to_lowercase() == project.to_lowercase()
        };
        hooks.retain(|hook| is_it(&hook.project));
        let mut done = Removed::default();
        if !hooks.is_empty() {
            let client = app.client(integration).await?;
            let name = &integration.name;
            let time = REMOVING.min(app.hooks_within);
            done = hooks::remove(&client, &app.store, name, hooks, time).await;
            for (hook, _) in &mut done.left {
                // So that nobody makes the others again, as where making them was cut off.
                hook.unwanted = true;
                let kept = app.store.keep_hook_if_there(name, hook).await;
                kept.map_err(Problem::ours)?;
            }
        }
        let left = done.left.iter();
        let mut body = json!({
            "serviceHooksRemoved": done.removed.len(),
            "serviceHooksLeft": left.map(|(hook, why)| shown_left(hook, why)).collect::<Vec<_>>(),
        });
        if done.cut_off {
            held.leave();
            note(&mut body, lease::STAYS);
        }
        finish_rotation(app, &leased, held, &mut body, now).await?;
        Ok((StatusCode::OK, body))
    })
    .await
}

/// Ends the passwords before the current one where a rotation could not, since some hook was not given it: perhaps that one has
/// it now, or is not there any more. Adds to the answer when they end.
async fn finish_rotation(
    app: &App,
    leased: &Leased,
    held: &Held,
    body: &mut Value,
    now: Timestamp,
) -> Result<(), Problem> {
    let endless = leased.digests.iter().filter(|it| it.ends.is_none());
    // As a rule nothing has to be read for that.
    if endless.count() < 2 {
        return Ok(());
    }
    let name = &leased.integration.name;
    let password = match app.secrets.password(name).await {
        Ok(password) => password,
        Err(SecretsError::Missing(_) | SecretsError::Unreadable(_)) => return Ok(()),
        Err(error) => return Err(Problem::ours(error)),
    };
    let (store, nonce) = (&app.store, held.nonce());
    let hooks = store.hooks_of(name).await.map_err(Problem::ours)?;
    let finished =
        hooks::finish_rotation(store, &password, leased, nonce, &hooks, rotate::GRACE, now).await;
    match finished.map_err(Problem::ours)? {
        Finished::Now(end) => body["previousPasswordValidUntil"] = json!(moment(end)),
        Finished::Already | Finished::NotYet => {}
        Finished::LeaseLost => return Err(problems::lease_lost()),
    }
    Ok(())
}

/// Makes the hooks of projects for an integration that was just set up, within `time`. It never fails: it says which could not
/// be made and why, and whether some may still be on their way (then the lease stays).
pub(crate) async fn make_many(
    app: &App,
    integration: &Integration,
    client: &AdoClient,
    password: &WebhookPassword,
    projects: &Projects,
    time: Duration,
    now: Timestamp,
) -> (Value, bool) {
    let deadline = Instant::now() + time;
    let (mut made_of, mut failed) = (Vec::new(), Vec::new());
    let mut is_under_way = false;
    let work = async |leased: Leased, held: &Held| {
        if leased.integration.created_at != integration.created_at {
            return Err(problems::being_changed());
        }
        let (found, not_found) = resolved(client, projects, deadline).await;
        failed = not_found;
        let ended: Vec<_> = stream::iter(found)
            .map(|project| async move {
                let making = made(app, client, integration, password, &project, now);
                let ended = hooks::in_time(deadline, making).await;
                (project, ended)
            })
            .buffer_unordered(hooks::AT_A_TIME)
            .collect()
            .await;
        for (project, ended) in ended {
            match ended {
                Ok(Ok(made)) => made_of.push((project, made)),
                Ok(Err(problem)) => failed.push(failure(json!(project), &problem)),
                Err(late) => {
                    is_under_way |= late == Late::CutOff;
                    failed.push(too_late(json!(project), late));
                }
            }
        }
        if is_under_way {
            held.leave();
        }
        Ok((StatusCode::OK, Value::Null))
    };
    let held = lease::held(app, &integration.name, now, work).await;
    if let Err(problem) = held {
        let all = match projects {
            Projects::All => vec![json!("all")],
            Projects::Named(names) => names.iter().map(|name| json!(name)).collect(),
        };
        failed = all.into_iter().map(|of| failure(of, &problem)).collect();
    }
    made_of.sort_by_cached_key(|(project, _)| project.name.to_lowercase());
    let made_of = made_of.iter().map(|(project, made)| {
        let mut shown = shown_made(project, made);
        // They are shown by GET; here a hundred projects may stand.
        shown.as_object_mut().map(|shown| shown.remove("hooks"));
        shown
    });
    let shown = json!({ "made": made_of.collect::<Vec<_>>(), "failed": failed });
    (shown, is_under_way)
}

/// The projects, as Azure DevOps has them, and what could not be found or read.
async fn resolved(
    client: &AdoClient,
    projects: &Projects,
    deadline: Instant,
) -> (Vec<Reference>, Vec<Value>) {
    let (mut found, failed) = match projects {
        Projects::All => all(client, deadline).await,
        Projects::Named(names) => {
            let mut asked = stream::iter(names.clone())
                .map(|name| async move {
                    let asked = timeout_at(deadline, project_of(client, &name)).await;
                    (name, asked)
                })
                .buffered(hooks::AT_A_TIME);
            let (mut found, mut failed) = (Vec::new(), Vec::new());
            while let Some((name, answer)) = asked.next().await {
                match answer {
                    Ok(Ok(project)) => found.push(project),
                    Ok(Err(problem)) => failed.push(failure(json!(name), &problem)),
                    Err(_elapsed) => failed.push(no_time(json!(name))),
                }
            }
            (found, failed)
        }
    };
    found.sort_by(|one, other| one.id.as_str().cmp(other.id.as_str()));
    found.dedup_by(|one, other| one.id == other.id);
    (found, failed)
}

/// All projects that the token sees, as far as they can be read, but no more than `all` means: of the others those that were read are
/// named, and it is said if there are more.
async fn all(client: &AdoClient, deadline: Instant) -> (Vec<Reference>, Vec<Value>) {
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    let mut next: Option<String> = None;
    loop {
        let page = timeout_at(deadline, client.projects(MOST_OF_ALL.1, next.as_deref())).await;
        let page = match page {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => {
                let problem = connection::problems::of_azure_devops(error);
                failed.push(failure(json!("all"), &problem));
                break;
            }
            Err(_elapsed) => {
                failed.push(no_time(json!("all")));
                break;
            }
        };
        for project in page.items {
            match reference(project) {
                Ok(project) => found.push(project),
                Err(problem) => failed.push(failure(json!("all"), &problem)),
            }
        }
        next = page.next;
        // One page more than is made, so that what is left out is named as a rule.
        if next.is_none() || found.len() > MOST_OF_ALL.0 {
            break;
        }
    }
    let beyond = found.drain(found.len().min(MOST_OF_ALL.0)..);
    let most = MOST_OF_ALL.0;
    let not_meant = format!("\"all\" means the first {most} projects that Azure DevOps lists");
    let beyond: Vec<Value> = beyond
        .map(|project| json!({ "project": project, "why": format!("{not_meant}: {AGAIN}") }))
        .collect();
    if next.is_some() && !beyond.is_empty() {
        let why = format!(
            "{not_meant}, and there are more than are named here: GET …/projects lists them, {AGAIN}"
        );
        failed.push(json!({ "project": "all", "why": why }));
    }
    failed.extend(beyond);
    (found, failed)
}

async fn project_of(client: &AdoClient, project: &str) -> Result<Reference, Problem> {
    let found = client.project(project).await.map_err(|error| match error {
        AdoError::NotFound(_) => Problem::new(
            ProblemKind::NotFound,
            format!(
                "Azure DevOps has no project \"{}\", or the token's user may not see it; GET …/projects lists those that it sees",
                plain(project)
            ),
        ),
        error => connection::problems::of_azure_devops(error),
    });
    reference(found?)
}

fn reference(project: ado::Project) -> Result<Reference, Problem> {
    let id = project.id.parse().map_err(|_form| {
        let what = AdoError::Unexpected("a project whose id is no GUID".to_owned());
        connection::problems::of_azure_devops(what)
    })?;
    Ok(Reference {
        id,
        name: project.name,
    })
}

async fn made(
    app: &App,
    client: &AdoClient,
    integration: &Integration,
    password: &WebhookPassword,
    project: &Reference,
    now: Timestamp,
) -> Result<Made, Problem> {
    let endpoint = app.endpoint(&integration.name);
    let wanted = Wanted {
        integration: &integration.name,
        project,
        endpoint: &endpoint,
        password,
    };
    let made = hooks::make(client, &app.store, &wanted, How::Asked, now).await;
    made.map_err(|error| refusal(error, &integration.name, &endpoint, project))
}

/// Why hooks could not be made, as a person is told it.
fn refusal(
    error: HooksError,
    name: &IntegrationName,
    endpoint: &str,
    project: &Reference,
) -> Problem {
    let detail = match error {
        HooksError::Store(error) => return Problem::ours(error),
        HooksError::AzureDevOps(error) => return connection::problems::of_azure_devops(error),
        HooksError::Denied(said) => format!(
            "The personal access token works, but its user may not edit the service hooks of {}: that takes the permission \"Edit subscriptions\" (with \"View subscriptions\" and \"Delete subscriptions\"), which the Project Administrators have by default (Project settings, Permissions). Add the user there and call this again, or make the hooks by hand as manualSteps says; everything else works. Azure DevOps says: {said}",
            plain(&project.name)
        ),
        HooksError::LacksScope => "The personal access token may read, and is refused where service hooks are to be made: that takes the scope Code (Read & write). Replace the token and call this again, or make the hooks by hand as manualSteps says; everything else works.".to_owned(),
    };
    Problem::new(ProblemKind::ServiceHooksDenied, detail)
        .with("manualSteps", manual_steps(name, endpoint, project))
}

/// What a person does by hand, for each of the events.
fn manual_steps(name: &IntegrationName, endpoint: &str, project: &Reference) -> Value {
    let subscriptions = EVENTS.map(|(event, version)| {
        json!({ "trigger": trigger(&event), "eventType": event, "resourceVersion": version })
    });
    json!({
        "endpoint": endpoint,
        "password": format!("GET /integrations/{name}/webhook shows it"),
        "subscriptions": subscriptions,
        "steps": [
            format!("In Azure DevOps open the project {}, then Project settings, Service hooks, and choose Create subscription.", plain(&project.name)),
            "Choose Web Hooks in the list of services, then Next.",
            "On the page Trigger choose the event and leave every filter at [Any], then Next.",
            "On the page Action put the endpoint into URL; leave Accept untrusted SSL certificates off; leave Basic authentication username empty and put the webhook password into Basic authentication password; leave Resource details to send, Messages to send and Detailed messages to send at All; choose the Resource version.",
            "Choose Finish, and do the same for each of the subscriptions.",
        ],
    })
}

/// What the portal calls an event.
fn trigger(event: &EventType) -> &str {
    match event {
        EventType::GitPush => "Code pushed",
        EventType::PullRequestCreated => "Pull request created",
        EventType::PullRequestMergeAttempted => "Pull request merge attempted",
        EventType::PullRequestUpdated => "Pull request updated",
        EventType::PullRequestCommented => "Pull request commented on",
        EventType::Other(other) => other,
    }
}

fn shown_made(project: &Reference, made: &Made) -> Value {
    json!({
        "project": project,
        "hooks": made.hooks.iter().map(shown).collect::<Vec<_>>(),
        "created": made.created,
        "mended": made.mended,
        "takenOver": made.taken_over,
        "unchanged": made.unchanged,
        "notes": made.notes,
    })
}

/// A hook, as it was when it was last looked at. What is not known is left out.
fn shown(hook: &ServiceHook) -> Value {
    let times = ["since", "checkedAt", "healthyAt", "lastSuccess"];
    let mut shown = with_moments(&hook.health, &times);
    if let Some(fields) = shown.as_object_mut() {
        // What the bus was told is nobody's matter here.
        fields.remove("told");
    }
    shown["subscription"] = json!(hook.id);
    shown["eventType"] = json!(hook.event_type);
    shown["differs"] = json!(hook.health.differs);
    shown["ours"] = json!({ "since": moment(hook.since), "takenOver": hook.taken_over });
    shown
}

/// A hook that something could not be done to.
pub(crate) fn shown_left(hook: &ServiceHook, why: &str) -> Value {
    json!({
        "subscription": hook.id,
        "project": hook.project,
        "eventType": hook.event_type,
        "why": why,
    })
}

fn failure(project: Value, problem: &Problem) -> Value {
    problem.log("");
    let mut failure = json!({ "project": project, "why": problem.detail() });
    if let Some((member, value)) = problem.member() {
        failure[*member] = value.clone();
    }
    failure
}

fn no_time(project: Value) -> Value {
    too_late(project, Late::NotBegun)
}

fn too_late(project: Value, late: Late) -> Value {
    json!({ "project": project, "why": format!("{late}: {AGAIN}") })
}
