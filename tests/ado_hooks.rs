//! Service hooks as our client makes and watches them, what it finds that a hook should have told, and how modest it is; against the
//! simulator alone: it needs no local stack.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ado::{
    Ado, AdoClient, AdoError, ListedPullRequest, NewSubscription, Notification, NotificationResult,
    NotificationsWanted, Pace, Push, Subscription,
};
use anyhow::{Context, Result};
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use domain::WebhookPassword;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::ado_changes::{Bed, PROJECT, REPOSITORY, client_of};

const PASSWORD: &str = "open-sesame";
const NONE: &str = "0000000000000000000000000000000000000000";
const A_MINUTE: Duration = Duration::from_secs(60);

/// Where hooks send: it answers as it is told, and remembers the passwords it was sent.
#[derive(Clone, Default)]
struct Receiver {
    url: String,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    answer: StatusCode,
    passwords: Vec<String>,
}

impl Receiver {
    async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let receiver = Self {
            url: format!("http://{}/hook", listener.local_addr()?),
            ..Self::default()
        };
        let told = Arc::clone(&receiver.told);
        let answer = async move |headers: HeaderMap| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.passwords.extend(password(&headers));
            told.answer
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        Ok(receiver)
    }

    fn answers(&self, status: StatusCode) {
        self.told().answer = status;
    }

    fn passwords(&self) -> Vec<String> {
        self.told().passwords.clone()
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands behind the colon, with an empty user name.
fn password(headers: &HeaderMap) -> Option<String> {
    let basic = headers.get("authorization")?.to_str().ok()?;
    let text = STANDARD.decode(basic.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(text).ok()?;
    text.strip_prefix(':').map(str::to_owned)
}

async fn id_of(client: &AdoClient, project: &str) -> Result<String> {
    let projects = client.projects(100, None).await?.items;
    let found = projects.into_iter().find(|it| it.name == project);
    Ok(found.context("no project")?.id)
}

/// A project with a hook for its pushes.
struct Hooked {
    bed: Bed,
    receiver: Receiver,
    project: String,
    hook: Subscription,
}

impl Hooked {
    async fn new() -> Result<Self> {
        let (bed, receiver) = (Bed::new().await?, Receiver::start().await?);
        let project = id_of(&bed.client, PROJECT).await?;
        let password = WebhookPassword::new(PASSWORD.to_owned());
        let wanted = pushes_of(&project, &receiver.url, &password);
        let hook = bed.client.create_subscription(&wanted).await?;
        Ok(Self {
            bed,
            receiver,
            project,
            hook,
        })
    }

    /// Pushes, and waits until that is told or lost.
    async fn push(&self, file: &str) -> Result<()> {
        let push = json!({ "branch": "main", "files": { file: "#" } });
        self.bed.push(push).await?;
        self.bed.portal.settle().await
    }

    async fn set_status(&self, status: &str) -> Result<()> {
        let path = format!("organizations/tidewater/subscriptions/{}", self.hook.id);
        let change = json!({ "status": status });
        self.bed
            .portal
            .control(Method::PATCH, &path, change)
            .await?;
        Ok(())
    }

    async fn status(&self) -> Result<Option<String>> {
        Ok(self.bed.client.subscription(&self.hook.id).await?.status)
    }

    async fn notifications(
        &self,
        result: NotificationResult,
        since: Timestamp,
        most: u32,
    ) -> Result<Vec<Notification>> {
        let wanted = NotificationsWanted {
            subscriptions: &[&self.hook.id],
            result,
            since,
            until: None,
            most,
            most_of_each: 100,
        };
        Ok(self.bed.client.notifications(&wanted).await?)
    }
}

const fn pushes_of<'a>(
    project_id: &'a str,
    url: &'a str,
    password: &'a WebhookPassword,
) -> NewSubscription<'a> {
    NewSubscription {
        event_type: "git.push",
        resource_version: "1.0",
        project_id,
        url,
        password,
    }
}

fn numbers(notifications: &[Notification]) -> Vec<i64> {
    notifications.iter().map(|it| it.id).collect()
}

#[tokio::test]
async fn a_hook_is_made_as_wanted_and_shows_everything_but_its_password() -> Result<()> {
    let it = Hooked::new().await?;
    let hook = it.bed.client.subscription(&it.hook.id).await?;
    assert_eq!(hook, it.hook);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    assert_eq!(
        [
            &hook.status,
            &hook.publisher_id,
            &hook.consumer_id,
            &hook.consumer_action_id,
            &hook.event_type,
            &hook.resource_version,
            &hook.created_by
        ]
        .map(text),
        [
            "enabled",
            "tfs",
            "webHooks",
            "httpRequest",
            "git.push",
            "1.0",
            "Ines Varga"
        ]
    );
    assert!(hook.created_date.is_some() && hook.modified_date.is_some());
    assert_eq!(hook.probation_retries, None);
    let input = |name: &str| hook.publisher_inputs.get(name).map(String::as_str);
    assert_eq!(input("projectId"), Some(it.project.as_str()));
    // What the service adds is given as it is.
    assert!(input("tfsSubscriptionId").is_some());
    let consumer: Vec<(&str, &str)> = hook
        .consumer_inputs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        consumer,
        [
            ("acceptUntrustedCerts", "false"),
            ("basicAuthPassword", "********"),
            ("detailedMessagesToSend", "all"),
            ("messagesToSend", "all"),
            ("resourceDetailsToSend", "all"),
            ("url", it.receiver.url.as_str()),
        ]
    );
    it.push("told.tf").await?;
    assert_eq!(it.receiver.passwords(), [PASSWORD]);
    Ok(())
}

#[tokio::test]
async fn the_hooks_of_a_project_are_everybodys_and_no_other_projects() -> Result<()> {
    let it = Hooked::new().await?;
    it.bed
        .portal
        .make_hooks("tidewater", PROJECT, "http://127.0.0.1:9/other", "p")
        .await?;
    let client = &it.bed.client;
    let found = client.subscriptions_of_project(&it.project).await?;
    assert_eq!(found.len(), 6);
    assert!(found.contains(&it.hook));
    let other = id_of(client, "Quay Works").await?;
    assert_eq!(client.subscriptions_of_project(&other).await?, []);
    Ok(())
}

#[tokio::test]
async fn a_replaced_hook_has_the_new_password_and_is_enabled_whatever_it_was() -> Result<()> {
    let it = Hooked::new().await?;
    let password = WebhookPassword::new("close-sesame".to_owned());
    for status in ["disabledByUser", "disabledBySystem", "onProbation"] {
        it.set_status(status).await?;
        assert_eq!(it.status().await?.as_deref(), Some(status));
        let wanted = NewSubscription {
            resource_version: "1.0-preview.1",
            ..pushes_of(&it.project, &it.receiver.url, &password)
        };
        let replaced = it
            .bed
            .client
            .replace_subscription(&it.hook.id, &wanted)
            .await?;
        assert_eq!(replaced.id, it.hook.id);
        assert_eq!(replaced.resource_version.as_deref(), Some("1.0-preview.1"));
        assert_eq!(replaced.status.as_deref(), Some("enabled"), "{status}");
    }
    it.push("told.tf").await?;
    assert_eq!(it.receiver.passwords(), ["close-sesame"]);
    let found = it.bed.client.subscriptions_of_project(&it.project).await?;
    assert_eq!(found.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_deleted_hook_sends_nothing_and_is_not_there_to_be_read_replaced_or_deleted() -> Result<()>
{
    let it = Hooked::new().await?;
    let (client, id) = (&it.bed.client, &it.hook.id);
    client.delete_subscription(id).await?;
    it.push("told.tf").await?;
    assert_eq!(it.receiver.passwords(), [""; 0]);
    let password = WebhookPassword::new(PASSWORD.to_owned());
    let wanted = pushes_of(&it.project, &it.receiver.url, &password);
    for refused in [
        client.subscription(id).await.map(drop),
        client.replace_subscription(id, &wanted).await.map(drop),
        client.delete_subscription(id).await,
    ] {
        assert!(matches!(refused, Err(AdoError::NotFound(_))), "{refused:?}");
    }
    assert_eq!(client.subscriptions_of_project(&it.project).await?, []);
    Ok(())
}

#[tokio::test]
async fn a_hook_that_is_refused_says_why_without_the_password() -> Result<()> {
    let it = Hooked::new().await?;
    let password = WebhookPassword::new("planted with spaces".to_owned());
    let wanted = pushes_of(&it.project, &it.receiver.url, &password);
    let id = &it.hook.id;
    // The token, of whom; whether it is denied, or refused in words.
    for (token, is_denied) in [("withoutHooks", true), ("good", false)] {
        let client = client_of(&it.bed.simulator, &Ado::new()?, token)?;
        for refused in [
            client.create_subscription(&wanted).await,
            client.replace_subscription(id, &wanted).await,
        ] {
            let error = refused.unwrap_err();
            let said = match &error {
                AdoError::Denied(said) if is_denied => said,
                AdoError::Refused(said) if !is_denied => said,
                _ => panic!("{token}: {error:?}"),
            };
            assert!(!said.is_empty());
            assert!(!format!("{error:?}{error}").contains("planted"), "{token}");
        }
    }
    let client = client_of(&it.bed.simulator, &Ado::new()?, "withoutHooks")?;
    let kept = client.delete_subscription(id).await;
    assert!(matches!(kept, Err(AdoError::Denied(_))), "{kept:?}");
    assert_eq!(it.status().await?.as_deref(), Some("enabled"));
    Ok(())
}

#[tokio::test]
async fn a_failed_notification_has_the_event_that_was_sent() -> Result<()> {
    let it = Hooked::new().await?;
    it.push("one.tf").await?;
    it.receiver.answers(StatusCode::GONE);
    it.push("two.tf").await?;
    // The hook is off: nothing is sent, and nothing stands in the history.
    it.push("three.tf").await?;
    assert_eq!(it.status().await?.as_deref(), Some("disabledBySystem"));

    let ever = Timestamp::UNIX_EPOCH;
    let failed = it
        .notifications(NotificationResult::Failed, ever, 100)
        .await?;
    let [one] = failed.as_slice() else {
        anyhow::bail!("{failed:?}");
    };
    assert_eq!((one.id, &one.subscription_id), (2, &it.hook.id));
    assert_eq!(one.status.as_deref(), Some("completed"));
    assert_eq!(one.result.as_deref(), Some("failed"));
    let deliveries = it.bed.simulator.deliveries();
    let sent = deliveries
        .iter()
        .find(|sent| sent.notification_id == 2)
        .context("not sent")?;
    let mut sent: Value = serde_json::from_slice(&sent.body)?;
    let fields = sent.as_object_mut().context("no object")?;
    assert_eq!(fields.remove("notificationId"), Some(json!(2)));
    assert_eq!(fields.remove("subscriptionId"), Some(json!(it.hook.id)));
    let event: Value = serde_json::from_str(one.event.as_ref().context("no event")?.get())?;
    assert_eq!(event, sent);

    let taken = it
        .notifications(NotificationResult::Succeeded, ever, 100)
        .await?;
    assert_eq!(numbers(&taken), [1]);
    Ok(())
}

#[tokio::test]
async fn notifications_are_asked_for_since_a_moment_and_up_to_a_number() -> Result<()> {
    let it = Hooked::new().await?;
    for file in ["one.tf", "two.tf", "three.tf"] {
        it.push(file).await?;
    }
    let taken = NotificationResult::Succeeded;
    let ever = Timestamp::UNIX_EPOCH;
    let all = it.notifications(taken, ever, 100).await?;
    assert_eq!(numbers(&all), [3, 2, 1]);
    assert_eq!(numbers(&it.notifications(taken, ever, 2).await?), [3, 2]);
    let second = all[1].created.context("no date")?;
    let since = it.notifications(taken, second, 100).await?;
    assert_eq!(numbers(&since), [3, 2]);
    // Of no subscription there is none, though the service would give all that there are.
    let wanted = NotificationsWanted {
        subscriptions: &[],
        result: taken,
        since: ever,
        until: None,
        most: 100,
        most_of_each: 100,
    };
    let asked = it.bed.simulator.requests().len();
    assert!(it.bed.client.notifications(&wanted).await?.is_empty());
    assert_eq!(it.bed.simulator.requests().len(), asked);
    Ok(())
}

#[tokio::test]
async fn a_notification_of_a_probation_has_failed_only_when_it_is_given_up() -> Result<()> {
    let it = Hooked::new().await?;
    it.receiver.answers(StatusCode::INTERNAL_SERVER_ERROR);
    it.push("one.tf").await?;
    // Lost, and in no history.
    it.push("two.tf").await?;
    let hook = it.bed.client.subscription(&it.hook.id).await?;
    assert_eq!(hook.status.as_deref(), Some("onProbation"));
    let failed = async || {
        it.notifications(NotificationResult::Failed, Timestamp::UNIX_EPOCH, 100)
            .await
    };
    assert_eq!(numbers(&failed().await?), [0; 0]);
    assert!(it.bed.simulator.run_out(A_MINUTE).await);
    assert_eq!(numbers(&failed().await?), [1]);
    let hook = it.bed.client.subscription(&it.hook.id).await?;
    assert_eq!(hook.status.as_deref(), Some("disabledBySystem"));
    assert_eq!(hook.probation_retries, Some(7));
    Ok(())
}

#[tokio::test]
async fn pushes_come_newest_first_a_page_at_a_time_with_what_they_did_to_refs() -> Result<()> {
    let bed = Bed::new().await?;
    let (old, new) = bed
        .push(json!({ "branch": "main", "files": { "prod/one.tf": "#" } }))
        .await?;
    bed.push(json!({ "branch": "lock", "from": "main" }))
        .await?;
    bed.push(json!({ "delete": ["lock"] })).await?;
    let pushes = async |most, skip| bed.client.pushes(PROJECT, REPOSITORY, most, skip).await;
    let latest = pushes(3, 0).await?;
    let seen: Vec<(&str, Option<&str>, Option<&str>)> = latest
        .iter()
        .flat_map(|push| &push.ref_updates)
        .map(|it| (it.name.as_str(), it.old.as_deref(), it.new.as_deref()))
        .collect();
    let (old, new) = (Some(old.as_str()), Some(new.as_str()));
    assert_eq!(
        seen,
        [
            ("refs/heads/lock", new, Some(NONE)),
            ("refs/heads/lock", Some(NONE), new),
            ("refs/heads/main", old, new),
        ]
    );
    assert!(latest.iter().all(|it| it.date.is_some()));
    assert!(latest.iter().all(|it| it.pushed_by.is_some()));
    assert!(latest.is_sorted_by(|newer, older| newer.id > older.id));

    let all = pushes(1_000, 0).await?;
    assert!(all.len() > 3 && all.len() < 1_000);
    let mut paged: Vec<Push> = Vec::new();
    for page in 0_u32.. {
        let found = pushes(2, page * 2).await?;
        if found.is_empty() {
            break;
        }
        paged.extend(found);
    }
    assert_eq!(paged, all);
    let empty = bed.client.pushes(PROJECT, "empty", 10, 0).await?;
    assert_eq!(empty, []);
    let nowhere = bed.client.pushes(PROJECT, "nowhere", 10, 0).await;
    assert!(matches!(nowhere, Err(AdoError::NotFound(_))), "{nowhere:?}");
    Ok(())
}

#[tokio::test]
async fn the_pull_requests_of_a_project_say_whose_they_are_and_come_a_page_at_a_time() -> Result<()>
{
    let bed = Bed::new().await?;
    let website = bed.portal.keyboard("tidewater", PROJECT, "website");
    website
        .push(json!({ "branch": "tide", "from": "main", "files": { "tide.html": "#" } }))
        .await?;
    let first = bed.open(json!({ "source": "feature/gangway" })).await?;
    website
        .call(Method::POST, "pullRequests", json!({ "source": "tide" }))
        .await?;
    let (second, third) = (first + 1, first + 2);
    let opened = bed.open(json!({ "source": "feature/ice-watch" })).await?;
    assert_eq!(opened, third);
    let end = json!({ "status": "abandoned" });
    bed.keyboard
        .call(Method::PATCH, &format!("pullRequests/{first}"), end)
        .await?;

    let numbers = |found: &[ListedPullRequest]| -> Vec<i64> {
        let all = found.iter();
        all.filter_map(|it| it.pull_request.number).collect()
    };
    let of_project = async |status, most, skip| {
        let found = bed.client.pull_requests(PROJECT, status, most, skip).await;
        found.map(|it| numbers(&it))
    };
    assert_eq!(of_project("active", 100, 0).await?, [third, second]);
    assert_eq!(of_project("abandoned", 100, 0).await?, [first]);
    assert_eq!(of_project("all", 100, 0).await?, [third, second, first]);
    assert_eq!(of_project("all", 2, 0).await?, [third, second]);
    assert_eq!(of_project("all", 2, 2).await?, [first]);
    let of_website = bed
        .client
        .pull_requests_of(PROJECT, "website", "all", 100, 0)
        .await?;
    assert_eq!(numbers(&of_website), [second]);

    let repositories = bed.client.repositories(PROJECT).await?;
    let id = |name: &str| {
        let found = repositories.iter().find(|it| it.name == name);
        found.map(|it| it.id.as_str())
    };
    let active = bed.client.pull_requests(PROJECT, "active", 100, 0).await?;
    let whose: Vec<Option<&str>> = active
        .iter()
        .map(|it| it.repository_id.as_deref())
        .collect();
    assert_eq!(whose, [id(REPOSITORY), id("website")]);
    assert!(whose.iter().all(Option::is_some));
    // A list has of one what asking for it alone has.
    let alone = bed.client.pull_request(PROJECT, REPOSITORY, third).await?;
    assert_eq!(active[0].pull_request, alone);
    assert!(alone.source_commit.is_some());
    Ok(())
}

/// A client that is modest, and how much so.
fn modest(bed: &Bed, most_calls: u32) -> (AdoClient, Arc<Pace>) {
    let pace = Arc::new(Pace::new(most_calls, Duration::from_secs(5)));
    (bed.client.clone().paced(Arc::clone(&pace)), pace)
}

async fn fault(bed: &Bed, fault: Value) -> Result<()> {
    bed.portal.control(Method::POST, "faults", fault).await?;
    Ok(())
}

#[tokio::test]
async fn a_modest_client_makes_so_many_calls_and_no_more() -> Result<()> {
    let bed = Bed::new().await?;
    let (client, pace) = modest(&bed, 3);
    let asked = bed.simulator.requests().len();
    let other = client.clone();
    client.connected_user().await?;
    // What is refused counts: it was asked.
    assert!(other.repositories("Nowhere").await.is_err());
    assert_eq!(pace.calls(), 2);
    let (one, two, three) = tokio::join!(
        client.connected_user(),
        other.connected_user(),
        other.delete_subscription("0123"),
    );
    assert!(one.is_ok(), "{one:?}");
    let spent = [two.unwrap_err(), three.unwrap_err()];
    for error in spent {
        assert!(matches!(error, AdoError::Spent), "{error:?}");
        assert!(error.is_passing() && !error.is_about_the_token());
        assert_eq!(error.retry_after(), None);
    }
    assert_eq!(pace.calls(), 3);
    assert_eq!(bed.simulator.requests().len(), asked + 3);
    assert_eq!(pace.wait_asked(), None);
    Ok(())
}

#[tokio::test]
async fn a_modest_client_stops_where_it_is_asked_to_wait_for_long() -> Result<()> {
    for (kind, is_answered) in [("delayed", true), ("tooManyRequests", false)] {
        let bed = Bed::new().await?;
        let (client, pace) = modest(&bed, 100);
        let asked = bed.simulator.requests().len();
        fault(
            &bed,
            json!({ "kind": kind, "times": 1, "retryAfterSeconds": 600 }),
        )
        .await?;
        // The second was not to be sent before the first was answered.
        let (first, second) = tokio::join!(client.connected_user(), client.connected_user());
        assert_eq!(first.is_ok(), is_answered, "{kind}: {first:?}");
        let error = second.unwrap_err();
        assert!(matches!(error, AdoError::SlowDown { .. }), "{error:?}");
        let told = error.retry_after().context("no time to wait")?;
        assert!((1..=600).contains(&told), "{kind}: {told}");
        assert_eq!(
            (pace.calls(), bed.simulator.requests().len()),
            (1, asked + 1)
        );
        let wait = pace.wait_asked().context("nothing was asked")?;
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(600));
        // Who is not modest is not stopped by it.
        bed.client.connected_user().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_modest_client_waits_where_it_is_asked_to_wait_a_moment() -> Result<()> {
    for kind in ["delayed", "tooManyRequests"] {
        let bed = Bed::new().await?;
        let (client, pace) = modest(&bed, 100);
        fault(
            &bed,
            json!({ "kind": kind, "times": 1, "retryAfterSeconds": 1 }),
        )
        .await?;
        let first = client.connected_user().await;
        assert_eq!(first.is_ok(), kind == "delayed", "{first:?}");
        client.connected_user().await?;
        // Nothing of the wait is left when the second is answered.
        assert_eq!((pace.calls(), pace.wait_asked()), (2, None));
    }
    Ok(())
}
