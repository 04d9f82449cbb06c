//! Our client goes through all that it can ask, as the functions have it do, and is refused in each way.

use ado::{
    Ado, AdoClient, AdoError, NewStatus, NewSubscription, NotificationResult, NotificationsWanted,
    Since, StatusState, Version,
};
use anyhow::{Context, Result, ensure};
use domain::{Credential, Organization, PersonalAccessToken, WebhookPassword};
use integration_tests::Portal;
use reqwest::Method;
use serde_json::{Value, json};
use simulator::Running;

/// Asks everything of the simulator, through `url`. `receiver` takes deliveries.
pub(crate) async fn goes_through_all(
    simulator: &Running,
    portal: &Portal,
    url: &str,
    receiver: &str,
) -> Result<()> {
    let of = |organization: &str, kind: &str| client(url, organization, simulator.token(kind));
    let good = of("tidewater", "good")?;
    // Verifying a connection, then the picker: pages of projects, repositories of each, branches by prefix.
    good.connected_user().await?;
    let mut projects = Vec::new();
    let mut next = None;
    loop {
        let page = good.projects(3, next.as_deref()).await?;
        projects.extend(page.items);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    ensure!(projects.len() > 3, "one page of projects shows no paging");
    for project in &projects {
        for named in [&project.id, &project.name] {
            good.repositories(named).await?;
        }
    }
    let first = good
        .branches("Harbor", "platform", "feature/", 4, None)
        .await?;
    ensure!(first.items.len() == 4, "too few branches");
    let next = first.next.context("one page of branches shows no paging")?;
    good.branches("Harbor", "platform", "feature/", 4, Some(&next))
        .await?;
    good.branches("Quay Works", "tide tables", "", 1000, None)
        .await?;
    good.branches("Harbor", "empty", "", 10, None).await?;
    // What a stack follows: its branch, and whether its project root is there.
    for (name, is_there) in [("refs/heads/main", true), ("refs/heads/mai", false)] {
        let found = good.branch("Harbor", "platform", name).await?;
        ensure!(found.is_some() == is_there, "{name}");
    }
    for (path, expected) in [
        ("prod", Some(true)),
        ("prod/main.tf", Some(false)),
        ("nowhere", None),
    ] {
        let found = good.item("Harbor", "platform", "main", path).await?;
        ensure!(found.map(|item| item.is_folder) == expected, "{path}");
    }
    what_changed(portal, &good).await?;
    reports(portal, &good).await?;
    what_was_missed(portal, &good).await?;
    hooks(portal, &good, receiver).await?;

    refused(of("tidewater", "expired")?.connected_user().await, |it| {
        matches!(it, AdoError::TokenExpired)
    })?;
    refused(of("tidewater", "unknown")?.connected_user().await, |it| {
        matches!(it, AdoError::TokenRefused)
    })?;
    refused(
        of("tidewater", "otherOrganization")?.connected_user().await,
        |it| matches!(it, AdoError::TokenRefused),
    )?;
    refused(of("nobody", "good")?.connected_user().await, |it| {
        matches!(it, AdoError::NotFound(_))
    })?;
    let without_scope = of("tidewater", "withoutScope")?;
    without_scope.connected_user().await?;
    refused(without_scope.projects(5, None).await, |it| {
        matches!(it, AdoError::TokenRefused)
    })?;
    refused(without_scope.repositories("Harbor").await, |it| {
        matches!(it, AdoError::TokenRefused)
    })?;
    refused(
        of("tidewater", "withoutPermission")?
            .repositories("Harbor")
            .await,
        |it| matches!(it, AdoError::NotFound(_)),
    )?;
    ensure!(
        of("tidewater", "withoutProjects")?
            .projects(5, None)
            .await?
            .items
            .is_empty()
    );
    ensure!(good.project("harbor").await?.name == "Harbor");
    refused(good.project("Nowhere").await, |it| {
        matches!(it, AdoError::NotFound(_))
    })?;
    refused(good.repositories("Nowhere").await, |it| {
        matches!(it, AdoError::NotFound(_))
    })?;
    refused(
        good.branches("Harbor", "nowhere", "", 10, None).await,
        |it| matches!(it, AdoError::NotFound(_)),
    )?;
    refused(
        good.branches("Harbor", "retired", "", 10, None).await,
        |it| matches!(it, AdoError::NotFound(_)),
    )?;

    type Expected = fn(&AdoError) -> bool;
    let faults: [(&str, Expected); 4] = [
        ("signInPage", |it| matches!(it, AdoError::SignInPage)),
        ("redirect", |it| matches!(it, AdoError::SignInPage)),
        ("tooManyRequests", |it| {
            matches!(it, AdoError::SlowDown { .. })
        }),
        ("status", |it| matches!(it, AdoError::Unreachable(_))),
    ];
    for (kind, expected) in faults {
        portal
            .control(Method::POST, "faults", json!({ "kind": kind }))
            .await?;
        refused(good.connected_user().await, expected)?;
        refused(good.projects(5, None).await, expected)?;
        refused(good.repositories("Harbor").await, expected)?;
        refused(
            good.branches("Harbor", "platform", "", 10, None).await,
            expected,
        )?;
        portal
            .control(Method::DELETE, "faults", Value::Null)
            .await?;
    }
    Ok(())
}

const PLATFORM: (&str, &str) = ("Harbor", "platform");

const STATUS: NewStatus<'_> = NewStatus {
    state: StatusState::Pending,
    description: "Waiting for its turn",
    target_url: Some("https://example.org/runs/1"),
    genre: "stackhook",
    name: "prod",
};

/// Compares versions, of either type and from either beginning, and looks commits up.
async fn what_changed(portal: &Portal, good: &AdoClient) -> Result<()> {
    let (project, repository) = PLATFORM;
    let made = portal
        .keyboard("tidewater", project, repository)
        .push(json!({ "branch": "main", "files": { "prod/judged.tf": "# new" } }))
        .await?;
    let update = &made["push"]["refUpdates"][0];
    let old = update["oldObjectId"].as_str().context("no old")?;
    let new = update["newObjectId"].as_str().context("no new")?;
    for (base, target, since) in [
        (Version::Commit(old), Version::Commit(new), Since::Base),
        (
            Version::Branch("main"),
            Version::Branch("feature/gangway"),
            Since::CommonCommit,
        ),
        (
            Version::Branch("main"),
            Version::Commit(old),
            Since::CommonCommit,
        ),
    ] {
        let found = good
            .changes(project, repository, base, target, since)
            .await?;
        ensure!(found.is_complete, "{base:?} to {target:?}: {found:?}");
    }
    let unknown = "0123456789012345678901234567890123456789";
    let nowhere = Version::Commit(unknown);
    refused(
        good.changes(project, repository, nowhere, nowhere, Since::Base)
            .await,
        |it| matches!(it, AdoError::NotFound(_)),
    )?;
    for (id, expected) in [(new, Some(new)), (unknown, None)] {
        let found = good.commit(project, repository, id).await?;
        ensure!(found.map(|it| it.id).as_deref() == expected, "{id}");
    }
    Ok(())
}

/// Reads a pull request, and posts statuses on its iteration, on itself and on a commit.
async fn reports(portal: &Portal, good: &AdoClient) -> Result<()> {
    let (project, repository) = PLATFORM;
    let made = portal
        .keyboard("tidewater", project, repository)
        .call(
            Method::POST,
            "pullRequests",
            json!({ "source": "feature/harbor-map" }),
        )
        .await?;
    let number = made["pullRequest"]["pullRequestId"]
        .as_i64()
        .context("no number")?;
    let found = good.pull_request(project, repository, number).await?;
    ensure!(found.number == Some(number) && found.supports_iterations == Some(true));
    let head = found.source_commit.context("no head")?;
    let iterations = good.iterations(project, repository, number).await?;
    let last = iterations.last().context("no iteration")?;
    ensure!(last.source_commit.as_ref() == Some(&head), "another head");
    for iteration in [Some(last.id), None] {
        good.set_pull_request_status(project, repository, number, iteration, &STATUS)
            .await?;
    }
    good.set_commit_status(project, repository, &head, &STATUS)
        .await?;
    refused(
        good.set_pull_request_status(project, repository, number, Some(99), &STATUS)
            .await,
        |it| matches!(it, AdoError::Refused(message) if message.contains("iteration 99")),
    )?;
    refused(
        good.pull_request(project, repository, number + 1_000).await,
        |it| matches!(it, AdoError::NotFound(_)),
    )
}

/// Lists what was pushed and what is open, of a repository and of its project, a page at a time.
async fn what_was_missed(portal: &Portal, good: &AdoClient) -> Result<()> {
    let (project, repository) = PLATFORM;
    portal
        .keyboard("tidewater", project, repository)
        .push(json!({ "branch": "missed", "from": "main", "files": { "prod/missed.tf": "# new" } }))
        .await?;
    for skip in [0, 1] {
        let found = good.pushes(project, repository, 1, skip).await?;
        ensure!(
            found.len() == 1 && !found[0].ref_updates.is_empty(),
            "{found:?}"
        );
    }
    for status in ["active", "abandoned", "completed", "all"] {
        for skip in [0, 50] {
            good.pull_requests(project, status, 50, skip).await?;
            good.pull_requests_of(project, repository, status, 50, skip)
                .await?;
        }
    }
    let active = good.pull_requests(project, "active", 50, 0).await?;
    ensure!(!active.is_empty(), "no pull request is judged");
    Ok(())
}

/// Makes a service hook, looks at it in each way, replaces and deletes it.
async fn hooks(portal: &Portal, good: &AdoClient, receiver: &str) -> Result<()> {
    let (project, repository) = PLATFORM;
    let projects = good.projects(100, None).await?.items;
    let harbor = projects.iter().find(|it| it.name == project);
    let password = WebhookPassword::new("open-sesame".to_owned());
    let wanted = NewSubscription {
        event_type: "git.push",
        resource_version: "1.0",
        project_id: &harbor.context("no project")?.id,
        url: receiver,
        password: &password,
    };
    let made = good.create_subscription(&wanted).await?;
    good.replace_subscription(&made.id, &wanted).await?;
    let found = good.subscriptions_of_project(wanted.project_id).await?;
    ensure!(found.iter().any(|it| it.id == made.id), "it is not found");
    good.subscription(&made.id).await?;
    portal
        .keyboard("tidewater", project, repository)
        .push(json!({ "branch": "main", "files": { "prod/told.tf": "# new" } }))
        .await?;
    portal.settle().await?;
    for (result, count) in [
        (NotificationResult::Succeeded, 1),
        (NotificationResult::Failed, 0),
        (NotificationResult::Pending, 0),
    ] {
        let wanted = NotificationsWanted {
            subscriptions: &[&made.id],
            result,
            since: "2026-01-01T00:00:00Z".parse()?,
            until: None,
            most: 100,
            most_of_each: 50,
        };
        let found = good.notifications(&wanted).await?;
        let whole = found.iter().filter(|it| it.event.is_some()).count();
        ensure!(whole == count, "{result:?}: {found:?}");
    }
    good.delete_subscription(&made.id).await?;
    refused(good.delete_subscription(&made.id).await, |it| {
        matches!(it, AdoError::NotFound(_))
    })?;
    refused(good.subscription(&made.id).await, |it| {
        matches!(it, AdoError::NotFound(_))
    })?;
    let nowhere = NewSubscription {
        url: "nowhere",
        ..wanted
    };
    refused(
        good.create_subscription(&nowhere).await,
        |it| matches!(it, AdoError::Refused(message) if message.contains("url")),
    )
}

fn client(url: &str, organization: &str, token: &str) -> Result<AdoClient> {
    let organization = Organization::from_pasted_url(&format!("{url}/{organization}"), url)?;
    let token = PersonalAccessToken::from_pasted(&token.into())?;
    Ok(Ado::new()?.organization(&organization, &Credential::PersonalAccessToken(token))?)
}

fn refused<T>(result: Result<T, AdoError>, expected: impl Fn(&AdoError) -> bool) -> Result<()> {
    let error = result.err().context("it was not refused")?;
    ensure!(expected(&error), "it was refused otherwise: {error:?}");
    Ok(())
}
