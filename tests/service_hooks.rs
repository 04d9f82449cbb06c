//! Service hooks that Stackhook makes, mends, gives another password and removes, with every bad day of Azure DevOps on the way.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ado::Ado;
use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, header},
};
use domain::{
    HookStatus, Organization, PasswordDigest, ServiceHook, WebhookPassword, service_hook::EVENTS,
    stack::Reference,
};
use futures::{StreamExt, TryStreamExt, stream};
use hooks::{Finished, How, Made, Wanted};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use simulator::Running;
use store::{Lease, Leased};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::support::{
    Bed, Fate, Fleet, FleetOptions, Linked, REST_SECONDS, Tap, azure_devops, basic, get,
    http_client, json as body_of, locked, new_event, new_name, now, parts, portal, post, problem,
    send,
};

const HARBOR: &str = "organizations/tidewater/projects/Harbor/repositories/platform";
const SUBSCRIPTIONS: &str = "organizations/tidewater/subscriptions";

/// An integration, its organization, and where its hooks are sent.
struct Site {
    bed: Bed,
    azure_devops: Running,
    setup: setup::App,
    linked: Linked,
    webhook_url: String,
}

impl Site {
    async fn start() -> Result<Self> {
        Self::on(azure_devops().await?, "http://127.0.0.1:9/nobody").await
    }

    async fn on(azure_devops: Running, webhook_url: &str) -> Result<Self> {
        Self::with(Bed::new()?, azure_devops, webhook_url, "good").await
    }

    async fn with(bed: Bed, azure_devops: Running, webhook_url: &str, token: &str) -> Result<Self> {
        let endpoint = bed.stack.description.endpoint_url.clone();
        let setup = setup_at(&bed, azure_devops.url(), webhook_url, &endpoint).await?;
        let name = new_name("hooked");
        let wanted = json!({
            "name": name,
            "organizationUrl": azure_devops.organization_url(),
            "personalAccessToken": azure_devops.token(token),
        });
        let created = body_of(setup.handle(send("POST", "/integrations", &wanted)).await)?;
        let password = created["webhook"]["password"].as_str().context("none")?;
        Ok(Self {
            linked: Linked {
                name: name.parse()?,
                password: password.to_owned(),
            },
            webhook_url: webhook_url.to_owned(),
            bed,
            azure_devops,
            setup,
        })
    }

    fn endpoint(&self) -> String {
        format!("{}/{}", self.webhook_url, self.linked.name)
    }

    async fn call(&self, method: &str, rest: &str, body: Value) -> Result<(u16, Value)> {
        call(&self.setup, self.linked.name.as_str(), method, rest, &body).await
    }

    /// A call that succeeds.
    async fn does(&self, method: &str, rest: &str, body: Value) -> Result<Value> {
        let (status, body) = self.call(method, rest, body).await?;
        ensure!(status == 200, "{method} {rest}: {status} {body}");
        Ok(body)
    }

    async fn make(&self, project: &str) -> Result<Value> {
        self.does("PUT", &format!("service-hooks/{project}"), Value::Null)
            .await
    }

    async fn control(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        Ok(self.azure_devops.control(method, path, body).await?)
    }

    /// Every subscription of the organization.
    async fn subscriptions(&self) -> Result<Vec<Value>> {
        let all = self
            .control(Method::GET, SUBSCRIPTIONS, Value::Null)
            .await?;
        Ok(all["subscriptions"].as_array().context("none")?.clone())
    }

    /// Those that are sent to our endpoint.
    async fn ours(&self) -> Result<Vec<Value>> {
        let endpoint = self.endpoint();
        let all = self.subscriptions().await?.into_iter();
        Ok(all
            .filter(|it| it["consumerInputs"]["url"] == endpoint.as_str())
            .collect())
    }

    async fn one_of_ours(&self, event_type: &str) -> Result<Value> {
        let ours = self.ours().await?.into_iter();
        let mut ours = ours.filter(|it| it["eventType"] == event_type);
        ours.next().context("no such hook")
    }

    /// What is known of hooks.
    async fn known(&self) -> Result<Vec<ServiceHook>> {
        Ok(self.bed.store().await.hooks_of(&self.linked.name).await?)
    }

    /// A person at the REST API writes a subscription as it reads back, with changes.
    async fn edit(
        &self,
        subscription: &Value,
        publisher: Value,
        consumer: Value,
        more: Value,
    ) -> Result<()> {
        let mut body = subscription.clone();
        for (at, changes) in [("publisherInputs", publisher), ("consumerInputs", consumer)] {
            for (name, value) in changes.as_object().context("no changes")? {
                body[at][name] = value.clone();
            }
        }
        for (name, value) in more.as_object().context("no changes")? {
            body[name] = value.clone();
        }
        let id = subscription["id"].as_str().context("no id")?;
        let url = format!(
            "{}/_apis/hooks/subscriptions/{id}?api-version=7.1",
            self.azure_devops.organization_url()
        );
        let put = http_client()
            .put(url)
            .basic_auth("", Some(self.azure_devops.token("older")))
            .json(&body);
        let answer = put.send().await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
        Ok(())
    }

    async fn set_status(&self, id: &str, status: &str) -> Result<()> {
        let path = format!("{SUBSCRIPTIONS}/{id}");
        self.control(Method::PATCH, &path, json!({ "status": status }))
            .await?;
        Ok(())
    }

    /// The requests for hooks that were made since they were last forgotten, those that only ask apart.
    fn writes(&self) -> Vec<String> {
        let requests = self.azure_devops.requests().into_iter();
        requests
            .filter(|it| it.path.contains("_apis/hooks/subscriptions"))
            .filter(|it| it.method != "GET" && !it.path.contains("subscriptionsquery"))
            .map(|it| format!("{} {}", it.method, it.path))
            .collect()
    }

    async fn forget_requests(&self) -> Result<()> {
        self.control(Method::DELETE, "requests", Value::Null)
            .await
            .map(drop)
    }

    async fn fault(&self, fault: Value) -> Result<()> {
        self.control(Method::POST, "faults", fault).await.map(drop)
    }

    async fn no_faults(&self) -> Result<()> {
        self.control(Method::DELETE, "faults", Value::Null)
            .await
            .map(drop)
    }

    async fn client(&self) -> Result<ado::AdoClient> {
        let url = self.azure_devops.url();
        let organization =
            Organization::from_pasted_url(&self.azure_devops.organization_url(), url)?;
        let secrets = self.bed.secrets().await;
        let credential = secrets.credential(&self.linked.name).await?;
        Ok(Ado::new()?.organization(&organization, &credential)?)
    }

    async fn password(&self) -> Result<WebhookPassword> {
        Ok(self.bed.secrets().await.password(&self.linked.name).await?)
    }

    async fn harbor(&self) -> Result<Reference> {
        let project = self.client().await?.project("Harbor").await?;
        Ok(Reference {
            id: project.id.parse()?,
            name: project.name,
        })
    }

    /// Makes the hooks of Harbor as whoever cares for them does.
    async fn care(&self) -> Result<Made> {
        let (project, password) = (self.harbor().await?, self.password().await?);
        let wanted = Wanted {
            integration: &self.linked.name,
            project: &project,
            endpoint: &self.endpoint(),
            password: &password,
        };
        let (client, store) = (self.client().await?, self.bed.store().await);
        Ok(hooks::make(&client, &store, &wanted, How::Mending, now()).await?)
    }

    /// Five hooks as they should be, each known by its id.
    async fn is_well(&self) -> Result<()> {
        let (ours, known) = (self.ours().await?, self.known().await?);
        let ids =
            |all: Vec<&str>| -> BTreeSet<String> { all.into_iter().map(str::to_owned).collect() };
        let there = ids(ours.iter().filter_map(|it| it["id"].as_str()).collect());
        ensure!(there.len() == 5, "{ours:#?}");
        let of_known = ids(known.iter().map(|hook| hook.id.as_str()).collect());
        ensure!(there == of_known, "{there:?} {of_known:?}");
        let tag = hooks::tag(&self.password().await?);
        for (event_type, version) in EVENTS {
            let hook = ours
                .iter()
                .find(|it| it["eventType"] == event_type.as_str())
                .context("one is missing")?;
            let expected = json!({
                "url": self.endpoint(),
                "basicAuthPassword": "********",
                "acceptUntrustedCerts": "false",
                "resourceDetailsToSend": "all",
                "messagesToSend": "all",
                "detailedMessagesToSend": "all",
            });
            ensure!(hook["consumerInputs"] == expected, "{hook:#}");
            ensure!(hook["resourceVersion"] == version, "{hook:#}");
            ensure!(hook["status"] == "enabled", "{hook:#}");
            let inputs = hook["publisherInputs"].as_object().context("no inputs")?;
            let names: BTreeSet<&str> = inputs.keys().map(String::as_str).collect();
            ensure!(
                names == BTreeSet::from(["projectId", "tfsSubscriptionId"]),
                "{hook:#}"
            );
            let known = known.iter().find(|it| it.event_type == event_type);
            let known = known.context("one is not known")?;
            ensure!(known.health.is_well(), "{known:?}");
            ensure!(known.password.as_deref() == Some(tag.as_str()), "{known:?}");
        }
        Ok(())
    }

    async fn leased(&self, nonce: &str) -> Result<Leased> {
        match self
            .bed
            .store()
            .await
            .lease(&self.linked.name, nonce, now())
            .await?
        {
            Lease::Yes(leased) => Ok(*leased),
            other => anyhow::bail!("no lease: {other:?}"),
        }
    }

    async fn unlink(&self) -> Result<Value> {
        let unlink = self
            .bed
            .unlink_of(
                self.azure_devops.url(),
                &self.bed.stack.description.endpoint_url,
            )
            .await;
        let path = format!("/integrations/{}", self.linked.name);
        body_of(unlink.handle(send("DELETE", &path, &Value::Null)).await)
    }
}

/// `setup` with Azure DevOps, the webhook and AWS at these addresses.
async fn setup_at(
    bed: &Bed,
    azure_devops: &str,
    webhook_url: &str,
    aws: &str,
) -> Result<setup::App> {
    let config = setup::Config {
        azure_devops_url: azure_devops.to_owned(),
        webhook_url: webhook_url.to_owned(),
        lookup_rest: Duration::from_secs(REST_SECONDS),
    };
    Ok(setup::App::new(
        bed.store_at(aws).await,
        bed.secrets_at(aws).await,
        Ado::with_patience(Duration::from_secs(3))?,
        queues::Queue::new(&bed.aws_at(aws).await, bed.setup_queue.clone()),
        config,
    ))
}

async fn call(
    app: &setup::App,
    name: &str,
    method: &str,
    rest: &str,
    body: &Value,
) -> Result<(u16, Value)> {
    let path = format!("/integrations/{name}/{rest}");
    let request = match body {
        Value::Null => crate::support::request(method, &path, &[], lambda_http::Body::Empty),
        body => send(method, &path, body),
    };
    parts(&app.handle(request).await)
}

fn counts(made: &Value) -> [u64; 4] {
    ["created", "mended", "takenOver", "unchanged"]
        .map(|name| made[name].as_u64().unwrap_or(u64::MAX))
}

const fn numbers(made: &Made) -> [u32; 4] {
    [made.created, made.mended, made.taken_over, made.unchanged]
}

/// Takes whatever is sent, and remembers what it was sent with.
struct Ears {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Ears {
    async fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let hears = async |State(heard): State<Arc<Mutex<Vec<String>>>>, request: Request| {
            let headers: &HeaderMap = request.headers();
            let sent = headers.get(header::AUTHORIZATION);
            let sent = sent.and_then(|it| it.to_str().ok()).unwrap_or_default();
            locked(&heard).push(sent.to_owned());
        };
        let router = Router::new().fallback(hears).with_state(Arc::clone(&heard));
        let serving = tokio::spawn(async move {
            let _ended = axum::serve(listener, router).await;
        });
        Ok(Self {
            url,
            heard,
            serving,
        })
    }

    /// With what each of these is sent, as the Test button shows.
    async fn sent_with(&self, site: &Site, subscriptions: &[Value]) -> Result<BTreeSet<String>> {
        locked(&self.heard).clear();
        for subscription in subscriptions {
            let id = subscription["id"].as_str().context("no id")?;
            let path = format!("{SUBSCRIPTIONS}/{id}/test");
            site.control(Method::POST, &path, Value::Null).await?;
        }
        let heard = locked(&self.heard).clone();
        ensure!(heard.len() == subscriptions.len(), "{heard:?}");
        Ok(heard.into_iter().collect())
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test]
async fn one_call_makes_the_five_hooks_of_a_project_and_another_makes_none() -> Result<()> {
    let ears = Ears::open().await?;
    let site = Site::on(azure_devops().await?, &ears.url).await?;
    let made = site.make("harbor").await?;
    assert_eq!(counts(&made), [5, 0, 0, 0], "{made}");
    assert_eq!(made["project"]["name"], "Harbor");
    assert_eq!(made["notes"], json!([]));
    let types: Vec<&str> = made["hooks"]
        .as_array()
        .context("no hooks")?
        .iter()
        .filter_map(|hook| hook["eventType"].as_str())
        .collect();
    let expected = EVENTS.map(|(event_type, _)| event_type.as_str().to_owned());
    assert_eq!(types, expected);
    site.is_well().await?;
    assert_eq!(site.subscriptions().await?.len(), 5, "no other project");
    let with = ears.sent_with(&site, &site.ours().await?).await?;
    assert_eq!(with, BTreeSet::from([basic(&site.linked.password)]));
    assert!(!made.to_string().contains(&site.linked.password));

    for project in ["Harbor", made["project"]["id"].as_str().context("no id")?] {
        site.forget_requests().await?;
        let again = site.make(project).await?;
        assert_eq!(counts(&again), [0, 0, 0, 5], "{again}");
        assert_eq!(site.writes(), [""; 0]);
    }
    site.is_well().await?;
    let (status, body) = site
        .call("PUT", "service-hooks/Nowhere", Value::Null)
        .await?;
    assert_eq!((status, problem(&body)), (404, "not-found"), "{body}");
    let nobody = call(
        &site.setup,
        "nobody-here",
        "PUT",
        "service-hooks/Harbor",
        &Value::Null,
    )
    .await?;
    assert_eq!(nobody.0, 404);
    assert_eq!(site.subscriptions().await?.len(), 5);
    Ok(())
}

#[tokio::test]
async fn the_hooks_of_an_integration_are_shown_by_project_as_they_were_last_seen() -> Result<()> {
    let site = Site::start().await?;
    let none = site.does("GET", "service-hooks", Value::Null).await?;
    assert_eq!(
        none,
        json!({ "integration": site.linked.name, "projects": [] })
    );
    site.make("Quay%20Works").await?;
    site.make("Harbor").await?;
    let mut ill = site.known().await?.remove(0);
    ill.health = ill
        .health
        .seen(HookStatus::OnProbation, vec!["url".to_owned()], now());
    ill.health.trouble = Some("denied".to_owned());
    let store = site.bed.store().await;
    store.keep_hook(&site.linked.name, &ill).await?;
    let until = now() + SignedDuration::from_mins(1);
    let mut progress = store
        .begin_pass(&site.linked.name, "n", until, now())
        .await?
        .context("busy")?
        .progress;
    progress.passed_at = Some("2026-11-25T08:00:00Z".parse()?);
    progress.last.calls = 17;
    progress.gap = Some(domain::progress::Gap {
        since: "2026-11-25T07:00:00Z".parse()?,
        until: "2026-11-25T07:30:00Z".parse()?,
        why: "a hook was on probation".to_owned(),
    });
    store
        .keep_progress(&site.linked.name, "n", &progress, true)
        .await?;

    let shown = site.does("GET", "service-hooks", Value::Null).await?;
    let projects = shown["projects"].as_array().context("no projects")?;
    let names: Vec<&Value> = projects.iter().map(|it| &it["project"]["name"]).collect();
    assert_eq!(names, ["Harbor", "Quay Works"]);
    let hooks: Vec<&Value> = projects
        .iter()
        .filter_map(|it| it["hooks"].as_array())
        .flatten()
        .collect();
    assert_eq!(hooks.len(), 10);
    for hook in hooks {
        let is_ill = hook["subscription"] == ill.id.as_str();
        assert_eq!(
            hook["status"],
            if is_ill { "onProbation" } else { "enabled" }
        );
        assert_eq!(
            hook["differs"],
            if is_ill { json!(["url"]) } else { json!([]) }
        );
        assert_eq!(
            hook["trouble"],
            if is_ill { json!("denied") } else { Value::Null }
        );
        assert_eq!(hook["owner"], "Ines Varga", "{hook}");
        assert!(
            hook["checkedAt"]
                .as_str()
                .is_some_and(|at| at.ends_with('Z')),
            "{hook}"
        );
        assert_eq!(hook.get("password").or(hook.get("told")), None, "{hook}");
    }
    assert_eq!(shown["lastPass"]["calls"], 17);
    assert_eq!(shown["lastPass"]["at"], "2026-11-25T08:00:00.000000Z");
    assert_eq!(shown["gap"]["why"], "a hook was on probation");
    Ok(())
}

#[tokio::test]
async fn of_two_who_make_hooks_at_once_one_gets_409_and_there_are_five() -> Result<()> {
    let site = Site::start().await?;
    let put = || site.call("PUT", "service-hooks/Harbor", Value::Null);
    let (one, other) = tokio::join!(put(), put());
    let mut answers = [one?, other?];
    answers.sort_by_key(|(status, _)| *status);
    let [(first, _), (second, refusal)] = &answers;
    assert_eq!((*first, *second), (200, 409), "{refusal}");
    assert_eq!(problem(refusal), "in-progress");
    site.is_well().await
}

#[tokio::test]
async fn hooks_that_a_person_made_to_our_endpoint_are_taken_over_and_others_left_alone()
-> Result<()> {
    let ears = Ears::open().await?;
    let site = Site::on(azure_devops().await?, &ears.url).await?;
    let by_hand = async |project: &str, url: &str, more: Value| -> Result<Value> {
        let mut form = json!({ "project": project, "url": url, "password": "wrong" });
        for (name, value) in more.as_object().context("no form")? {
            form[name] = value.clone();
        }
        site.control(Method::POST, SUBSCRIPTIONS, form).await
    };
    let endpoint = site.endpoint();
    let shouted = format!("{}/{}/", ears.url, site.linked.name.as_str().to_uppercase());
    by_hand(
        "Harbor",
        &shouted,
        json!({ "username": "somebody", "author": "Milo Brandt" }),
    )
    .await?;
    let others = [
        ("Harbor", "http://127.0.0.1:9/another".to_owned()),
        ("Harbor", format!("{endpoint}-two")),
        ("Quay Works", endpoint.clone()),
    ];
    for (project, url) in &others {
        by_hand(project, url, json!({})).await?;
    }
    let is_other = |it: &Value| {
        others
            .iter()
            .any(|(_, url)| it["consumerInputs"]["url"] == url.as_str())
    };
    let others_of = |all: Vec<Value>| -> Vec<Value> { all.into_iter().filter(is_other).collect() };
    let before = others_of(site.subscriptions().await?);
    assert_eq!(before.len(), 15);

    let made = site.make("Harbor").await?;
    assert_eq!(counts(&made), [0, 0, 5, 0], "{made}");
    let all = site.subscriptions().await?;
    let harbor = made["project"]["id"].as_str().context("no id")?;
    let ours: Vec<Value> = all
        .iter()
        .filter(|it| it["publisherInputs"]["projectId"] == harbor)
        .filter(|it| it["consumerInputs"]["url"] == endpoint.as_str())
        .cloned()
        .collect();
    assert_eq!(ours.len(), 5);
    for hook in &ours {
        assert_eq!(hook["consumerInputs"].get("basicAuthUsername"), None);
        assert_eq!(hook["createdBy"]["displayName"], "Milo Brandt");
    }
    let with = ears.sent_with(&site, &ours).await?;
    assert_eq!(with, BTreeSet::from([basic(&site.linked.password)]));
    let known = site.known().await?;
    assert!(known.iter().all(|hook| hook.taken_over), "{known:?}");
    assert_eq!(known.len(), 5);
    let after: Vec<Value> = others_of(all)
        .into_iter()
        .filter(|it| {
            it["publisherInputs"]["projectId"] != harbor
                || it["consumerInputs"]["url"] != endpoint.as_str()
        })
        .collect();
    assert_eq!(after, before, "byte for byte");

    // A second set of a person's stays theirs.
    by_hand("Harbor", &endpoint, json!({})).await?;
    let again = site.make("Harbor").await?;
    assert_eq!(counts(&again), [0, 0, 0, 5], "{again}");
    let notes = again["notes"].as_array().context("no notes")?;
    assert_eq!(notes.len(), 5, "{again}");
    let is_told = |note: &Value| {
        note.as_str()
            .is_some_and(|it| it.contains("a person made it"))
    };
    assert!(notes.iter().all(is_told), "{again}");
    assert_eq!(site.subscriptions().await?.len(), 25);
    Ok(())
}

#[tokio::test]
async fn whatever_a_person_has_edited_of_a_hook_is_mended() -> Result<()> {
    let ears = Ears::open().await?;
    let site = Site::on(azure_devops().await?, &ears.url).await?;
    site.make("Harbor").await?;
    let repository = {
        let url = "tidewater/Harbor/_apis/git/repositories?api-version=7.1";
        let portal = portal(&site.azure_devops)?;
        let shown = portal.shows(site.azure_devops.token("good"), url).await?;
        let all = shown["value"].as_array().context("none")?.clone();
        all.first().context("none")?["id"].clone()
    };
    let (push, updated) = ("git.push", "git.pullrequest.updated");
    let (merged, created) = ("git.pullrequest.merged", "git.pullrequest.created");
    let comment = "ms.vss-code.git-pullrequest-comment-event";
    let nothing = || json!({});
    for (event_type, publisher, consumer, more) in [
        (
            push,
            json!({ "repository": repository }),
            nothing(),
            nothing(),
        ),
        (push, json!({ "branch": "main" }), nothing(), nothing()),
        (
            created,
            json!({ "pullrequestCreatedBy": "x" }),
            nothing(),
            nothing(),
        ),
        (
            updated,
            json!({ "notificationType": "PushNotification" }),
            nothing(),
            nothing(),
        ),
        (
            merged,
            json!({ "mergeResult": "Conflicts" }),
            nothing(),
            nothing(),
        ),
        (
            push,
            nothing(),
            json!({ "url": "http://127.0.0.1:9/elsewhere" }),
            nothing(),
        ),
        (
            push,
            nothing(),
            json!({ "resourceDetailsToSend": "minimal" }),
            nothing(),
        ),
        (
            push,
            nothing(),
            json!({ "messagesToSend": "none" }),
            nothing(),
        ),
        (
            push,
            nothing(),
            json!({ "acceptUntrustedCerts": "true" }),
            nothing(),
        ),
        (
            comment,
            nothing(),
            nothing(),
            json!({ "resourceVersion": "1.0" }),
        ),
        (push, nothing(), nothing(), json!({ "eventType": created })),
    ] {
        let what = format!("{event_type} {publisher} {consumer} {more}");
        let hook = site.one_of_ours(event_type).await?;
        site.edit(&hook, publisher, consumer, more).await?;
        let made = site.make("Harbor").await?;
        assert_eq!(counts(&made), [0, 1, 0, 4], "{what}: {made}");
        site.is_well().await.context(what)?;
    }
    // Nobody's wish, and nothing to mend.
    let hook = site.one_of_ours(push).await?;
    site.edit(
        &hook,
        json!({ "branch": "" }),
        json!({ "basicAuthUsername": "somebody" }),
        nothing(),
    )
    .await?;
    let made = site.make("Harbor").await?;
    assert_eq!(counts(&made), [0, 0, 0, 5], "{made}");
    // A hook that a person deleted is made again.
    let id = hook["id"].as_str().context("no id")?;
    let path = format!("{SUBSCRIPTIONS}/{id}");
    site.control(Method::DELETE, &path, Value::Null).await?;
    let made = site.make("Harbor").await?;
    assert_eq!(counts(&made), [1, 0, 0, 4], "{made}");
    site.is_well().await?;
    // And a whole project of them.
    let with = ears.sent_with(&site, &site.ours().await?).await?;
    assert_eq!(with, BTreeSet::from([basic(&site.linked.password)]));
    Ok(())
}

#[tokio::test]
async fn a_listing_that_lacks_a_hook_of_ours_makes_no_second_one() -> Result<()> {
    let site = Site::start().await?;
    site.make("Harbor").await?;
    // It sends the events of another project now, so the listing of its own does not have it.
    let hook = site.one_of_ours("git.push").await?;
    let quay = site.client().await?.project("Quay Works").await?;
    site.edit(&hook, json!({ "projectId": quay.id }), json!({}), json!({}))
        .await?;
    let made = site.make("Harbor").await?;
    assert_eq!(counts(&made), [0, 1, 0, 4], "{made}");
    site.is_well().await
}

#[tokio::test]
async fn a_hook_that_does_not_send_is_enabled_but_for_one_that_a_person_disabled_unless_asked()
-> Result<()> {
    let site = Site::start().await?;
    site.make("Harbor").await?;
    let id = site.one_of_ours("git.push").await?["id"].clone();
    let id = id.as_str().context("no id")?;
    for status in [
        "onProbation",
        "disabledBySystem",
        "disabledByInactiveIdentity",
        "disabledByUser",
    ] {
        site.set_status(id, status).await?;
        let healthy_at = |known: &[ServiceHook]| {
            let hook = known.iter().find(|hook| hook.id.as_str() == id);
            hook.map(|hook| (hook.health.healthy_at, hook.health.lost_since()))
        };
        let before = healthy_at(&site.known().await?);
        let cared = site.care().await?;
        if status == "disabledByUser" {
            assert_eq!(numbers(&cared), [0, 0, 0, 5], "{cared:?}");
            assert_eq!(cared.hooks[0].health.status, HookStatus::DisabledByUser);
            assert!(cared.notes[0].contains("disabled by a person"), "{cared:?}");
            let made = site.make("Harbor").await?;
            assert_eq!(counts(&made), [0, 1, 0, 4], "{made}");
        } else {
            assert_eq!(numbers(&cared), [0, 1, 0, 4], "{status}: {cared:?}");
        }
        site.is_well().await.context(status)?;
        // Nobody has looked for what was lost meanwhile: since when, is still known.
        let after = healthy_at(&site.known().await?);
        let (before, after) = (before.context("none")?.0, after.context("none")?);
        assert_eq!(after, (before, Some(before)), "{status}");
    }
    // A person's own that is disabled is none to take over unasked.
    let path = format!("{SUBSCRIPTIONS}/{id}");
    site.control(Method::DELETE, &path, Value::Null).await?;
    let form = json!({ "project": "Harbor", "eventType": "git.push", "url": site.endpoint(), "password": "p" });
    let made = site.control(Method::POST, SUBSCRIPTIONS, form).await?;
    let theirs = made["subscriptions"][0]["id"]
        .as_str()
        .context("none")?
        .to_owned();
    site.set_status(&theirs, "disabledByUser").await?;
    let cared = site.care().await?;
    assert_eq!(numbers(&cared), [1, 0, 0, 4], "{cared:?}");
    let all = site.ours().await?;
    let theirs = all.iter().find(|it| it["id"] == theirs.as_str());
    assert_eq!(theirs.context("it is gone")?["status"], "disabledByUser");
    Ok(())
}

/// A receiver that refuses puts a hook on probation; a PUT ends that, or it does not. What is still to be retried comes again,
/// or it does not.
#[tokio::test]
async fn a_hook_on_probation_sends_again_whether_a_put_ends_that_or_not() -> Result<()> {
    for (holds, keeps_retry) in [(true, true), (false, true), (true, false), (false, false)] {
        let bed = Bed::new()?;
        let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
        let simulator = azure_devops().await?;
        simulator.assume("putEndsProbation", holds)?;
        simulator.assume("restoringKeepsRetry", keeps_retry)?;
        let site = Site::with(bed, simulator, fleet.url(), "good").await?;
        site.make("Harbor").await?;
        let hook = site.one_of_ours("git.push").await?;
        let id = hook["id"].as_str().context("no id")?.parse()?;
        site.azure_devops.set_password(id, "wrong").await?;
        let push = json!({ "branch": "main", "files": { "prod/a.tf": "#" }, "message": "m" });
        let path = format!("{HARBOR}/pushes");
        site.control(Method::POST, &path, push.clone()).await?;
        ensure!(site.azure_devops.settle(Duration::from_secs(20)).await);
        assert_eq!(site.one_of_ours("git.push").await?["status"], "onProbation");

        let cared = site.care().await?;
        let expected = if holds { [0, 1, 0, 4] } else { [1, 0, 0, 4] };
        assert_eq!(numbers(&cared), expected, "{holds}: {cared:?}");
        site.is_well().await?;
        let is_same = site.one_of_ours("git.push").await?["id"] == hook["id"];
        assert_eq!(is_same, holds);
        let lost_since = site
            .known()
            .await?
            .iter()
            .filter_map(|it| it.health.lost_since())
            .count();
        assert_eq!(lost_since, 1, "what takes its place inherits the gap");

        site.control(
            Method::POST,
            &path,
            json!({ "branch": "main", "files": { "prod/b.tf": "#" }, "message": "m" }),
        )
        .await?;
        ensure!(site.azure_devops.run_out(Duration::from_secs(30)).await);
        site.is_well().await?;
        let pushes = site.bed.log_of(site.linked.name.as_str()).await?;
        let pushes = pushes
            .iter()
            .filter(|it| it["eventType"] == "git.push")
            .count();
        // The hook that was deleted takes along what it has not sent: that is what is looked for afterwards.
        let expected = if holds && keeps_retry { 2 } else { 1 };
        assert_eq!(pushes, expected, "{holds} {keeps_retry}");
    }
    Ok(())
}

#[tokio::test]
async fn the_hooks_of_somebody_who_left_send_again_whether_a_put_ends_that_or_not() -> Result<()> {
    for (put_ends, return_ends) in [(true, false), (false, false), (true, true), (false, true)] {
        let site = Site::start().await?;
        site.azure_devops.assume("putEndsInactivity", put_ends)?;
        site.azure_devops
            .assume("returnEndsInactivity", return_ends)?;
        let form = json!({ "project": "Harbor", "url": site.endpoint(), "password": "p", "author": "Milo Brandt" });
        site.control(Method::POST, SUBSCRIPTIONS, form).await?;
        assert_eq!(counts(&site.make("Harbor").await?), [0, 0, 5, 0]);
        let milo = "organizations/tidewater/people/Milo%20Brandt";
        site.control(Method::PATCH, milo, json!({ "inactive": true }))
            .await?;
        let cared = site.care().await?;
        let expected = if put_ends { [0, 5, 0, 0] } else { [5, 0, 0, 0] };
        assert_eq!(numbers(&cared), expected, "{put_ends}: {cared:?}");
        site.is_well().await?;
        let owner = if put_ends {
            "Milo Brandt"
        } else {
            "Ines Varga"
        };
        for hook in site.known().await? {
            assert_eq!(hook.health.owner.as_deref(), Some(owner));
        }
        // Back again: nothing of that is doubled.
        site.control(Method::PATCH, milo, json!({ "inactive": false }))
            .await?;
        let cared = site.care().await?;
        assert_eq!(numbers(&cared), [0, 0, 0, 5], "{cared:?}");
        site.is_well().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_hook_that_was_written_back_with_asterisks_sends_our_password_again() -> Result<()> {
    for keeps in [true, false] {
        let bed = Bed::new()?;
        let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
        let simulator = azure_devops().await?;
        simulator.assume("putKeepsMaskedPassword", keeps)?;
        let site = Site::with(bed, simulator, fleet.url(), "good").await?;
        site.make("Harbor").await?;
        let hook = site.one_of_ours("git.push").await?;
        // Nothing can be seen of it until it is refused.
        site.edit(&hook, json!({}), json!({}), json!({})).await?;
        assert_eq!(numbers(&site.care().await?), [0, 0, 0, 5]);
        let path = format!("{HARBOR}/pushes");
        let push = |file: &str| json!({ "branch": "main", "files": { file: "#" }, "message": "m" });
        site.control(Method::POST, &path, push("a")).await?;
        ensure!(site.azure_devops.settle(Duration::from_secs(20)).await);
        let mended = if keeps { [0, 0, 0, 5] } else { [0, 1, 0, 4] };
        assert_eq!(numbers(&site.care().await?), mended, "{keeps}");
        site.control(Method::POST, &path, push("b")).await?;
        ensure!(site.azure_devops.run_out(Duration::from_secs(30)).await);
        let statuses: Vec<Option<u16>> = {
            let attempts = site.azure_devops.deliveries().into_iter();
            let pushes = attempts.filter(|it| it.event_type == "git.push");
            pushes.map(|it| it.status).collect()
        };
        assert_eq!(statuses.last(), Some(&Some(200)), "{statuses:?}");
        assert_eq!(statuses.contains(&Some(401)), !keeps, "{statuses:?}");
        site.is_well().await?;
    }
    Ok(())
}

#[tokio::test]
async fn where_the_listing_fails_in_any_way_nothing_is_made() -> Result<()> {
    let site = Site::start().await?;
    for (fault, expected) in [
        (json!({ "kind": "status" }), "azure-devops-unreachable"),
        (
            json!({ "kind": "tooManyRequests" }),
            "azure-devops-slow-down",
        ),
        (json!({ "kind": "signInPage" }), "token-refused"),
        (json!({ "kind": "redirect" }), "token-refused"),
        (json!({ "kind": "notJson" }), "token-refused"),
        (json!({ "kind": "cutOff" }), "azure-devops-unexpected"),
        (json!({ "kind": "drop" }), "azure-devops-unreachable"),
        (json!({ "kind": "hang" }), "azure-devops-unreachable"),
        (
            json!({ "kind": "status", "status": 403 }),
            "service-hooks-denied",
        ),
    ] {
        let mut fault = fault;
        fault["path"] = json!("subscriptionsquery");
        site.fault(fault.clone()).await?;
        let (status, body) = site
            .call("PUT", "service-hooks/Harbor", Value::Null)
            .await?;
        assert_eq!((status, problem(&body)), (422, expected), "{fault}: {body}");
        site.no_faults().await?;
    }
    assert_eq!(site.writes(), [""; 0]);
    assert_eq!(site.subscriptions().await?.len(), 0);
    assert_eq!(counts(&site.make("Harbor").await?), [5, 0, 0, 0]);
    site.is_well().await
}

#[tokio::test]
async fn what_fails_in_the_middle_is_gone_on_with() -> Result<()> {
    let site = Site::start().await?;
    // The third of the five.
    site.fault(json!({ "kind": "status", "method": "POST", "path": "_apis/hooks/subscriptions?", "every": 3, "times": 1 }))
        .await?;
    let (status, body) = site
        .call("PUT", "service-hooks/Harbor", Value::Null)
        .await?;
    assert_eq!(
        (status, problem(&body)),
        (422, "azure-devops-unreachable"),
        "{body}"
    );
    assert_eq!(site.ours().await?.len(), 2);
    site.no_faults().await?;
    let made = site.make("Harbor").await?;
    assert_eq!(counts(&made), [3, 0, 0, 2], "{made}");
    site.is_well().await
}

#[tokio::test]
async fn a_token_whose_user_may_not_edit_hooks_gets_the_steps_to_do_it_by_hand() -> Result<()> {
    let simulator = azure_devops().await?;
    let site = Site::with(
        Bed::new()?,
        simulator,
        "http://127.0.0.1:9/nobody",
        "withoutHooks",
    )
    .await?;
    let (status, body) = site
        .call("PUT", "service-hooks/Harbor", Value::Null)
        .await?;
    assert_eq!(
        (status, problem(&body)),
        (422, "service-hooks-denied"),
        "{body}"
    );
    let detail = body["detail"].as_str().context("no detail")?;
    assert!(
        detail.contains("\"Edit subscriptions\"") && detail.contains("Project Administrators"),
        "{detail}"
    );
    let steps = &body["manualSteps"];
    assert_eq!(steps["endpoint"], site.endpoint());
    let password = format!("GET /integrations/{}/webhook shows it", site.linked.name);
    assert_eq!(steps["password"], password);
    assert!(
        steps["steps"]
            .as_array()
            .is_some_and(|steps| steps.len() == 5)
    );
    assert!(!body.to_string().contains(&site.linked.password));
    // A person follows them; everything else works.
    for one in steps["subscriptions"].as_array().context("none")? {
        let form = json!({
            "project": "Harbor", "eventType": one["eventType"], "resourceVersion": one["resourceVersion"],
            "url": steps["endpoint"], "password": site.linked.password,
            "resourceDetailsToSend": "all", "messagesToSend": "all", "detailedMessagesToSend": "all",
        });
        site.control(Method::POST, SUBSCRIPTIONS, form).await?;
    }
    site.does("POST", "verification", Value::Null).await?;
    site.does("GET", "projects/Harbor/repositories", Value::Null)
        .await?;
    let (status, body) = site
        .call("PUT", "service-hooks/Harbor", Value::Null)
        .await?;
    assert_eq!(
        (status, problem(&body)),
        (422, "service-hooks-denied"),
        "{body}"
    );
    let hooks = site.does("GET", "service-hooks", Value::Null).await?;
    assert_eq!(hooks["projects"], json!([]));
    // With a token that may, they are ours.
    let path = format!("/integrations/{}", site.linked.name);
    let token = json!({ "personalAccessToken": site.azure_devops.token("projectAdministrator") });
    body_of(site.setup.handle(send("PATCH", &path, &token)).await)?;
    let made = site.make("Harbor").await?;
    assert_eq!(counts(&made), [0, 0, 5, 0], "{made}");
    site.is_well().await
}

#[tokio::test]
async fn a_token_that_may_only_read_makes_hooks_where_azure_devops_lets_it() -> Result<()> {
    for holds in [true, false] {
        let simulator = azure_devops().await?;
        simulator.assume("codeReadMakesHooks", holds)?;
        let site = Site::with(
            Bed::new()?,
            simulator,
            "http://127.0.0.1:9/nobody",
            "readOnly",
        )
        .await?;
        let (status, body) = site
            .call("PUT", "service-hooks/Harbor", Value::Null)
            .await?;
        if holds {
            assert_eq!((status, counts(&body)), (200, [5, 0, 0, 0]), "{body}");
            site.is_well().await?;
        } else {
            assert_eq!(
                (status, problem(&body)),
                (422, "service-hooks-denied"),
                "{body}"
            );
            let detail = body["detail"].as_str().context("no detail")?;
            assert!(detail.contains("Code (Read & write)"), "{detail}");
            assert!(body["manualSteps"]["steps"].is_array());
            assert_eq!(site.subscriptions().await?.len(), 0);
        }
    }
    Ok(())
}

async fn create_with(
    site: &Site,
    name: &str,
    token: &str,
    projects: Value,
) -> Result<(u16, Value)> {
    let wanted = json!({
        "name": name,
        "organizationUrl": site.azure_devops.organization_url(),
        "personalAccessToken": site.azure_devops.token(token),
        "serviceHookProjects": projects,
    });
    parts(
        &site
            .setup
            .handle(send("POST", "/integrations", &wanted))
            .await,
    )
}

fn names_in(list: &Value) -> Vec<String> {
    let name = |it: &Value| {
        let project = &it["project"];
        let name = project["name"].as_str().or(project.as_str());
        name.unwrap_or_default().to_owned()
    };
    list.as_array()
        .map(|list| list.iter().map(name).collect())
        .unwrap_or_default()
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k4_a_rotation_gives_the_hooks_the_new_password_and_no_delivery_is_refused_meanwhile()
-> Result<()> {
    let bed = Bed::new()?;
    let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
    let site = Site::with(bed, azure_devops().await?, fleet.url(), "good").await?;
    site.make("Harbor").await?;
    let is_over = AtomicBool::new(false);
    let pushes = async {
        let mut pushed = 0;
        while !is_over.load(Ordering::Relaxed) {
            let file = format!("prod/{pushed}.tf");
            let push = json!({ "branch": "main", "files": { file: "#" }, "message": "m" });
            site.control(Method::POST, &format!("{HARBOR}/pushes"), push)
                .await?;
            pushed += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(pushed)
    };
    let rotations = async {
        for _ in 0..2 {
            let rotated = site
                .does("POST", "webhook/rotation", json!({ "graceHours": 1 }))
                .await?;
            ensure!(
                rotated["serviceHooks"] == json!({ "updated": 5, "failed": [] }),
                "{rotated}"
            );
            ensure!(
                rotated["previousPasswordValidUntil"].is_string(),
                "{rotated}"
            );
        }
        is_over.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let (pushed, rotated) = tokio::join!(pushes, rotations);
    rotated?;
    let pushed = pushed?;
    ensure!(pushed > 20, "{pushed}");
    ensure!(site.azure_devops.run_out(Duration::from_secs(60)).await);
    let answers: Vec<Option<u16>> = site
        .azure_devops
        .deliveries()
        .iter()
        .map(|it| it.status)
        .collect();
    ensure!(
        answers.iter().all(|status| *status == Some(200)),
        "{answers:?}"
    );
    assert_eq!(
        site.bed.log_of(site.linked.name.as_str()).await?.len(),
        pushed
    );
    site.is_well().await?;

    // At once: they have the new one before the old one ends.
    let wanted = json!({ "graceHours": 0, "force": true });
    let rotated = site.does("POST", "webhook/rotation", wanted).await?;
    assert_eq!(rotated["serviceHooks"]["updated"], 5);
    site.control(
        Method::POST,
        &format!("{HARBOR}/pushes"),
        json!({ "branch": "main", "files": { "x": "#" }, "message": "m" }),
    )
    .await?;
    ensure!(site.azure_devops.run_out(Duration::from_secs(60)).await);
    site.is_well().await?;
    assert_eq!(
        site.bed.log_of(site.linked.name.as_str()).await?.len(),
        pushed + 1
    );
    Ok(())
}

#[tokio::test]
async fn a_hook_that_cannot_be_given_the_password_keeps_the_old_one_valid_until_it_has_it()
-> Result<()> {
    let ears = Ears::open().await?;
    let site = Site::on(azure_devops().await?, &ears.url).await?;
    site.make("Harbor").await?;
    let stuck = site.one_of_ours("git.push").await?;
    let id = stuck["id"].as_str().context("no id")?;
    let disabled = site.one_of_ours("git.pullrequest.created").await?;
    site.set_status(disabled["id"].as_str().context("no id")?, "disabledByUser")
        .await?;
    let deleted = site.one_of_ours("git.pullrequest.merged").await?;
    let path = format!(
        "{SUBSCRIPTIONS}/{}",
        deleted["id"].as_str().context("no id")?
    );
    site.control(Method::DELETE, &path, Value::Null).await?;
    site.fault(json!({ "kind": "status", "method": "PUT", "path": id }))
        .await?;

    let rotated = site.does("POST", "webhook/rotation", Value::Null).await?;
    assert_eq!(
        rotated["previousPasswordValidUntil"],
        Value::Null,
        "{rotated}"
    );
    assert_eq!(rotated["serviceHooks"]["updated"], 4, "{rotated}");
    let failed = rotated["serviceHooks"]["failed"]
        .as_array()
        .context("none")?;
    assert_eq!(failed.len(), 1, "{rotated}");
    assert_eq!(
        (&failed[0]["subscription"], &failed[0]["eventType"]),
        (&stuck["id"], &json!("git.push"))
    );
    assert!(
        failed[0]["why"]
            .as_str()
            .is_some_and(|why| why.contains("503")),
        "{rotated}"
    );
    assert!(
        rotated["notes"]
            .to_string()
            .contains("counts without an end"),
        "{rotated}"
    );
    let new = basic(rotated["password"].as_str().context("none")?);
    let old = basic(&site.linked.password);
    let ours = site.ours().await?;
    assert_eq!(
        ears.sent_with(&site, &ours).await?,
        BTreeSet::from([new.clone(), old])
    );
    let is_left = ours
        .iter()
        .find(|it| it["id"] == disabled["id"])
        .context("gone")?;
    assert_eq!(is_left["status"], "disabledByUser", "and has the new one");

    // A second rotation is a rotation like any other, and does not end the oldest, either.
    let again = site.does("POST", "webhook/rotation", Value::Null).await?;
    assert_eq!(again["previousPasswordValidUntil"], Value::Null, "{again}");
    let password = site.password().await?;
    let (store, grace) = (site.bed.store().await, SignedDuration::from_hours(24));
    let finish = async || -> Result<Finished> {
        let nonce = new_name("lease");
        let (leased, hooks) = (site.leased(&nonce).await?, site.known().await?);
        assert!(leased.unfinished.is_none());
        let finished =
            hooks::finish_rotation(&store, &password, &leased, &nonce, &hooks, grace, now())
                .await?;
        store.release(&site.linked.name, &nonce).await?;
        Ok(finished)
    };
    let webhook = site.bed.webhook().await;
    let event = || new_event("ado/git.push.json").to_string();
    assert_eq!(finish().await?, Finished::NotYet);
    assert_eq!(post(&webhook, &site.linked, event()).await, 200);
    // Whoever cares for the hooks gives it to the last one, and finishes.
    site.no_faults().await?;
    let cared = site.care().await?;
    assert_eq!(
        numbers(&cared),
        [1, 1, 0, 3],
        "the deleted, the stuck one: {cared:?}"
    );
    let Finished::Now(end) = finish().await? else {
        anyhow::bail!("it is not finished");
    };
    assert!(end.duration_since(now()) > SignedDuration::from_hours(23));
    assert_eq!(finish().await?, Finished::Already);
    let digests = site.leased("look").await?.digests;
    let open: Vec<_> = digests
        .iter()
        .filter(|digest| digest.ends.is_none())
        .collect();
    assert_eq!(open, [&PasswordDigest::of(password.expose().as_bytes())]);
    Ok(())
}

/// Whether the old and the new password of a rotation count at a moment.
async fn counting(site: &Site, old: &str, at: jiff::Timestamp) -> Result<[bool; 2]> {
    let store = site.bed.store().await;
    let record = store.webhook_record(&site.linked.name).await?;
    let passwords = record.context("no record")?.passwords;
    let new = site.password().await?;
    let of = |password: &str| {
        let digest = PasswordDigest::of(password.as_bytes());
        passwords.matches(&digest.sha256, at)
    };
    Ok([of(old), of(new.expose())])
}

#[tokio::test]
async fn a_rotation_that_did_not_reach_all_hooks_ends_once_a_person_has_made_or_removed_them()
-> Result<()> {
    for (method, project) in [("PUT", "Harbor"), ("DELETE", "Harbor")] {
        let site = Site::start().await?;
        site.make("Harbor").await?;
        site.make("Quay%20Works").await?;
        let stuck = site.one_of_ours("git.push").await?;
        let id = stuck["id"].as_str().context("no id")?;
        site.fault(json!({ "kind": "status", "method": "PUT", "path": id }))
            .await?;
        let rotated = site.does("POST", "webhook/rotation", json!({})).await?;
        assert_eq!(rotated["serviceHooks"]["updated"], 9, "{rotated}");
        assert_eq!(rotated["previousPasswordValidUntil"], Value::Null);
        let old = site.linked.password.clone();
        let month = now() + SignedDuration::from_hours(24 * 30);
        // What leaves that hook as it was ends nothing.
        let of_both = if stuck["publisherInputs"]["projectId"] == site.harbor().await?.id.as_str() {
            ["Quay%20Works", "Harbor"]
        } else {
            ["Harbor", "Quay%20Works"]
        };
        let other = site
            .does(method, &format!("service-hooks/{}", of_both[0]), json!({}))
            .await?;
        assert_eq!(other.get("previousPasswordValidUntil"), None, "{project}");
        assert_eq!(counting(&site, &old, month).await?, [true; 2]);
        site.no_faults().await?;
        let done = site
            .does(method, &format!("service-hooks/{}", of_both[1]), json!({}))
            .await?;
        let until = done["previousPasswordValidUntil"].as_str();
        let until: jiff::Timestamp = until.with_context(|| format!("{done}"))?.parse()?;
        let hour = SignedDuration::from_hours(1);
        assert!((hour * 23..hour * 25).contains(&until.duration_since(now())));
        assert_eq!(counting(&site, &old, until - hour).await?, [true; 2]);
        assert_eq!(counting(&site, &old, until + hour).await?, [false, true]);
        // It is ended once.
        let again = site
            .does(method, &format!("service-hooks/{}", of_both[1]), json!({}))
            .await?;
        assert_eq!(again.get("previousPasswordValidUntil"), None, "{again}");
    }
    Ok(())
}

#[tokio::test]
async fn a_rotation_that_was_cut_off_is_not_ended_by_making_or_removing_hooks() -> Result<()> {
    let site = Site::start().await?;
    let (store, name) = (site.bed.store().await, &site.linked.name);
    let leased = site.leased("rotation").await?;
    let password = secrets::generate_password()?;
    let digest = PasswordDigest::of(password.expose().as_bytes());
    let sha256 = digest.sha256;
    let digests = domain::password::with_new(&leased.digests, digest, now(), false)?;
    let began = store.begin_rotation(name, "rotation", &digests, &sha256, now());
    ensure!(began.await?);
    let secrets = site.bed.secrets().await;
    secrets.keep_password(name, &password).await?;
    store.release(name, "rotation").await?;
    let month = now() + SignedDuration::from_hours(24 * 30);
    for method in ["PUT", "DELETE"] {
        let done = site.does(method, "service-hooks/Harbor", json!({})).await?;
        assert_eq!(done.get("previousPasswordValidUntil"), None, "{done}");
        let both = counting(&site, &site.linked.password, month).await?;
        assert_eq!(both, [true; 2], "{method}");
    }
    // Whoever calls it again is told the password, and until when the one before counts.
    let rotated = site.does("POST", "webhook/rotation", json!({})).await?;
    assert_eq!(rotated["password"], password.expose());
    assert!(rotated["previousPasswordValidUntil"].is_string());
    let both = counting(&site, &site.linked.password, month).await?;
    assert_eq!(both, [false, true]);
    Ok(())
}

#[tokio::test]
async fn where_time_is_over_while_hooks_are_written_nobody_may_follow_at_once() -> Result<()> {
    let hurry = Duration::from_millis(1_500);
    let mut site = Site::start().await?;
    site.make("Harbor").await?;
    let endpoint = site.bed.stack.description.endpoint_url.clone();
    let hurried = setup_at(
        &site.bed,
        site.azure_devops.url(),
        &site.webhook_url,
        &endpoint,
    );
    site.setup = hurried.await?.with_hooks_within(hurry);
    let store = site.bed.store().await;
    let slow = |method: &str| json!({ "kind": "latency", "method": method, "path": "/hooks/subscriptions/", "milliseconds": 2_500 });
    for (method, rest, of) in [
        ("POST", "webhook/rotation", "PUT"),
        ("DELETE", "service-hooks/Harbor", "DELETE"),
    ] {
        site.fault(slow(of)).await?;
        let done = site.does(method, rest, json!({})).await?;
        site.no_faults().await?;
        let failed = done["serviceHooks"].get("failed");
        let failed = failed.unwrap_or(&done["serviceHooksLeft"]).to_string();
        assert!(failed.contains("may still arrive"), "{done}");
        assert!(failed.contains("no time left"), "{done}");
        assert!(done["notes"].to_string().contains("two minutes"), "{done}");
        for (method, rest) in [
            ("PUT", "service-hooks/Harbor"),
            ("POST", "webhook/rotation"),
        ] {
            let (status, body) = site.call(method, rest, json!({})).await?;
            assert_eq!((status, problem(&body)), (409, "in-progress"), "{body}");
        }
        // The two minutes are over.
        let later = now() + SignedDuration::from_mins(3);
        let free = store.lease(&site.linked.name, "later", later).await?;
        assert!(matches!(free, Lease::Yes(_)), "{free:?}");
        store.release(&site.linked.name, "later").await?;
    }

    let slow = json!({ "kind": "latency", "method": "POST", "path": "/hooks/subscriptions?", "milliseconds": 2_500 });
    site.fault(slow).await?;
    let name = new_name("hurried");
    let (status, body) = create_with(&site, &name, "good", json!(["Harbor"])).await?;
    assert_eq!(status, 201, "{body}");
    let failed = body["serviceHooks"]["failed"].to_string();
    assert!(failed.contains("may still arrive"), "{body}");
    assert!(body["notes"].to_string().contains("two minutes"), "{body}");
    site.no_faults().await?;
    let rest = "service-hooks/Harbor";
    let (status, body) = call(&site.setup, &name, "PUT", rest, &Value::Null).await?;
    assert_eq!((status, problem(&body)), (409, "in-progress"), "{body}");
    Ok(())
}

#[tokio::test]
async fn a_rotation_with_a_token_that_is_dead_goes_on_and_the_old_password_counts_unless_forced()
-> Result<()> {
    let site = Site::start().await?;
    site.make("Harbor").await?;
    site.control(Method::POST, "tokens/good/expire", Value::Null)
        .await?;
    let rotated = site
        .does(
            "POST",
            "webhook/rotation",
            json!({ "graceHours": 0, "force": true }),
        )
        .await?;
    assert_eq!(rotated["serviceHooks"]["updated"], 0);
    assert_eq!(
        rotated["serviceHooks"]["failed"].as_array().map(Vec::len),
        Some(5)
    );
    assert!(
        rotated["previousPasswordValidUntil"].is_string(),
        "{rotated}"
    );
    assert!(
        rotated["notes"].to_string().contains("are refused until"),
        "{rotated}"
    );
    let webhook = site.bed.webhook().await;
    assert_eq!(post(&webhook, &site.linked, "{}").await, 401);

    let newest = Linked {
        password: rotated["password"].as_str().context("none")?.to_owned(),
        ..site.linked.clone()
    };
    let rotated = site.does("POST", "webhook/rotation", Value::Null).await?;
    assert_eq!(
        rotated["previousPasswordValidUntil"],
        Value::Null,
        "{rotated}"
    );
    assert_eq!(post(&webhook, &newest, "{}").await, 200);
    Ok(())
}

#[tokio::test]
async fn the_hooks_of_one_project_are_removed_and_a_persons_are_not() -> Result<()> {
    let site = Site::start().await?;
    site.make("Harbor").await?;
    site.make("Quay%20Works").await?;
    let form = json!({ "project": "Harbor", "eventType": "git.push", "url": site.endpoint(), "password": "p" });
    let theirs = site.control(Method::POST, SUBSCRIPTIONS, form).await?;
    // One is gone already, one cannot be deleted.
    let known = site.known().await?;
    let of_harbor: Vec<_> = known
        .iter()
        .filter(|it| it.project.name == "Harbor")
        .collect();
    let path = format!("{SUBSCRIPTIONS}/{}", of_harbor[0].id);
    site.control(Method::DELETE, &path, Value::Null).await?;
    site.fault(
        json!({ "kind": "status", "method": "DELETE", "path": of_harbor[1].id, "status": 403 }),
    )
    .await?;
    let removed = site
        .does("DELETE", "service-hooks/HARBOR", Value::Null)
        .await?;
    assert_eq!(removed["serviceHooksRemoved"], 4, "{removed}");
    let left = removed["serviceHooksLeft"].as_array().context("none")?;
    assert_eq!(left.len(), 1, "{removed}");
    assert_eq!(left[0]["subscription"], of_harbor[1].id.as_str());
    assert!(
        left[0]["why"]
            .as_str()
            .is_some_and(|why| why.contains("denies")),
        "{removed}"
    );
    site.no_faults().await?;
    let id = of_harbor[0].project.id.to_string();
    for expected in [1, 0] {
        let removed = site
            .does("DELETE", &format!("service-hooks/{id}"), Value::Null)
            .await?;
        assert_eq!(removed["serviceHooksRemoved"], expected, "{removed}");
        assert_eq!(removed["serviceHooksLeft"], json!([]));
    }
    let left = site.subscriptions().await?;
    assert_eq!(left.len(), 6, "{left:#?}");
    assert!(
        left.iter()
            .any(|it| it["id"] == theirs["subscriptions"][0]["id"])
    );
    let known = site.known().await?;
    assert_eq!(known.len(), 5);
    assert!(known.iter().all(|it| it.project.name == "Quay Works"));
    Ok(())
}

#[tokio::test]
async fn unlinking_deletes_exactly_our_hooks_and_410_takes_care_of_the_rest() -> Result<()> {
    let bed = Bed::new()?;
    let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
    let site = Site::with(bed, azure_devops().await?, fleet.url(), "good").await?;
    let ears = Ears::open().await?;
    site.make("Harbor").await?;
    site.make("Quay%20Works").await?;
    for url in [site.endpoint(), ears.url.clone()] {
        let form = json!({ "project": "Harbor", "eventType": "git.push", "url": url, "password": site.linked.password });
        site.control(Method::POST, SUBSCRIPTIONS, form).await?;
    }
    let unlink = site.bed.unlink().await;
    let path = format!("/integrations/{}", site.linked.name);
    let preview = body_of(unlink.handle(get(&path)).await)?;
    let would = preview["serviceHooks"].as_array().context("none")?;
    assert_eq!(would.len(), 10, "{preview}");
    assert!(
        would
            .iter()
            .all(|it| it["status"] == "enabled" && it["project"]["name"].is_string())
    );

    let done = site.unlink().await?;
    assert_eq!(
        (&done["status"], &done["serviceHooksRemoved"]),
        (&json!("unlinked"), &json!(10)),
        "{done}"
    );
    assert_eq!(done["serviceHooksLeft"], json!([]));
    assert_eq!(site.known().await?, []);
    let left = site.subscriptions().await?;
    assert_eq!(left.len(), 2, "{left:#?}");
    let again = site.unlink().await?;
    assert_eq!(
        (&again["serviceHooksRemoved"], &again["serviceHooksLeft"]),
        (&json!(0), &json!([]))
    );

    let push = json!({ "branch": "main", "files": { "a": "b" }, "message": "m" });
    site.control(Method::POST, &format!("{HARBOR}/pushes"), push)
        .await?;
    ensure!(site.azure_devops.settle(Duration::from_secs(20)).await);
    let endpoint = site.endpoint();
    let by_hand = site.azure_devops.subscriptions();
    let by_hand = by_hand
        .iter()
        .find(|it| it.url == endpoint)
        .context("gone")?;
    assert_eq!(by_hand.status, "disabledBySystem");
    Ok(())
}

#[tokio::test]
async fn where_the_token_cannot_be_read_for_a_moment_nothing_is_removed_and_the_next_call_goes_on()
-> Result<()> {
    let site = Site::start().await?;
    site.make("Harbor").await?;
    let read = |call: &str, _: usize| match call {
        "secretsmanager.GetSecretValue" => Fate::Cut,
        _ => Fate::Pass,
    };
    let tap = Tap::on(&site.bed.stack.description.endpoint_url, read).await?;
    let unlink = site
        .bed
        .unlink_of(site.azure_devops.url(), &tap.url())
        .await;
    let path = format!("/integrations/{}", site.linked.name);
    let tried = unlink.handle(send("DELETE", &path, &Value::Null)).await;
    let (status, body) = parts(&tried)?;
    assert_eq!((status, problem(&body)), (503, "unavailable"), "{body}");
    assert!(tried.headers().contains_key("retry-after"));
    assert_eq!(tap.calls().get("secretsmanager.DeleteSecret"), None);
    assert_eq!(site.ours().await?.len(), 5);
    assert_eq!(site.known().await?.len(), 5);
    let webhook = site.bed.webhook().await;
    assert_eq!(post(&webhook, &site.linked, "{}").await, 200);
    let unlinked = site.unlink().await?;
    assert_eq!(
        (&unlinked["status"], &unlinked["serviceHooksRemoved"]),
        (&json!("unlinked"), &json!(5)),
        "{unlinked}"
    );
    assert_eq!(unlinked["secretsRemoved"], 2);
    assert_eq!(site.ours().await?, [Value::Null; 0]);
    Ok(())
}

#[tokio::test]
async fn reading_the_token_counts_towards_the_time_that_unlinking_has_for_hooks() -> Result<()> {
    let site = Site::start().await?;
    site.make("Harbor").await?;
    // Either would have had the time alone.
    let two = Duration::from_secs(2);
    let read = move |call: &str, _: usize| match call {
        "secretsmanager.GetSecretValue" => Fate::Delay(two),
        _ => Fate::Pass,
    };
    let slow = json!({ "kind": "latency", "method": "DELETE", "milliseconds": 2_000 });
    site.fault(slow).await?;
    let tap = Tap::on(&site.bed.stack.description.endpoint_url, read).await?;
    let unlink = site
        .bed
        .unlink_of(site.azure_devops.url(), &tap.url())
        .await
        .with_hooks_within(Duration::from_millis(3_500));
    let path = format!("/integrations/{}", site.linked.name);
    let unlinked = body_of(unlink.handle(send("DELETE", &path, &Value::Null)).await)?;
    assert_eq!(unlinked["serviceHooksRemoved"], 0, "{unlinked}");
    let left = unlinked["serviceHooksLeft"].as_array().context("none")?;
    assert_eq!(left.len(), 5, "{unlinked}");
    assert_eq!(unlinked["status"], "unlinked");
    Ok(())
}

#[tokio::test]
async fn unlinking_goes_on_whatever_azure_devops_does_and_names_what_it_leaves() -> Result<()> {
    for (fault, token, why) in [
        (json!({ "kind": "status", "method": "DELETE" }), None, "503"),
        (
            json!({ "kind": "drop", "method": "DELETE" }),
            None,
            "cannot be reached",
        ),
        (
            json!({ "kind": "hang", "method": "DELETE" }),
            None,
            "no answer in time",
        ),
        (
            json!({ "kind": "tooManyRequests", "method": "DELETE" }),
            None,
            "slow down",
        ),
        (
            json!({ "kind": "status", "method": "DELETE", "status": 403 }),
            None,
            "denies",
        ),
        (Value::Null, Some("tokens/good/expire"), "expired"),
        (Value::Null, Some("tokens/good/revoke"), "token"),
    ] {
        let site = Site::start().await?;
        site.make("Harbor").await?;
        if let Some(path) = token {
            site.control(Method::POST, path, Value::Null).await?;
        } else {
            site.fault(fault.clone()).await?;
        }
        let store = site.bed.store().await;
        let until = now() + SignedDuration::from_mins(1);
        store
            .begin_pass(&site.linked.name, "n", until, now())
            .await?
            .context("busy")?;
        let done = site.unlink().await?;
        let case = format!("{fault} {token:?}: {done}");
        assert_eq!(done["status"], "unlinked", "{case}");
        assert_eq!(
            (&done["serviceHooksRemoved"], &done["secretsRemoved"]),
            (&json!(0), &json!(2)),
            "{case}"
        );
        let left = done["serviceHooksLeft"].as_array().context("none")?;
        assert_eq!(left.len(), 5, "{case}");
        for hook in left {
            assert!(
                hook["why"].as_str().is_some_and(|it| it.contains(why)),
                "{case}"
            );
            assert_eq!(hook["project"]["name"], "Harbor", "{case}");
        }
        assert!(
            done["reminder"]
                .as_str()
                .is_some_and(|it| it.contains("410")),
            "{case}"
        );
        assert_eq!(site.known().await?, [], "{case}");
        let again = store
            .begin_pass(&site.linked.name, "m", until, now())
            .await?;
        assert!(
            again.is_some(),
            "how far the care had got is forgotten, too: {case}"
        );
        assert_eq!(
            post(&site.bed.webhook().await, &site.linked, "{}").await,
            410,
            "{case}"
        );
        assert_eq!(site.subscriptions().await?.len(), 5, "{case}");
    }
    Ok(())
}

/// The doors to AWS and to Azure DevOps, of which the `call`th call dies: before it goes out, or when it was done.
struct Doors {
    aws: Tap,
    azure_devops: Tap,
}

impl Doors {
    async fn at(site: &Site, call: usize, done: bool) -> Result<Self> {
        let calls = Arc::new(AtomicUsize::new(0));
        let judge = || {
            let calls = Arc::clone(&calls);
            move |_: &str, _| {
                let is_it = calls.fetch_add(1, Ordering::SeqCst) + 1 == call;
                match (is_it, done) {
                    (false, _) => Fate::Pass,
                    (true, false) => Fate::Hang,
                    (true, true) => Fate::HangAnswer,
                }
            }
        };
        Ok(Self {
            aws: Tap::on(&site.bed.stack.description.endpoint_url, judge()).await?,
            azure_devops: Tap::on(site.azure_devops.url(), judge()).await?,
        })
    }

    /// The answer of `work`; `None` where it died.
    async fn dying<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            answer = work => Some(answer),
            () = self.aws.held(1) => None,
            () = self.azure_devops.held(1) => None,
        }
    }
}

/// Lets `dies` die at each call that it makes; gives how often it died.
async fn walk<F: Future<Output = Result<bool>>>(
    most: usize,
    dies: impl Fn(usize, bool) -> F,
) -> Result<usize> {
    let deaths = (1..=most).flat_map(|call| [(call, false), (call, true)]);
    let died = deaths.map(|(call, done)| {
        let dies = dies(call, done);
        async move {
            dies.await
                .with_context(|| format!("call {call}, done: {done}"))
        }
    });
    // More at once than that is too much for the local AWS.
    let died: Vec<bool> = stream::iter(died).buffer_unordered(8).try_collect().await?;
    Ok(died.into_iter().filter(|died| *died).count())
}

async fn making_dies(call_number: usize, done: bool) -> Result<bool> {
    let site = Site::start().await?;
    let name = site.linked.name.as_str();
    let doors = Doors::at(&site, call_number, done).await?;
    let rest = "service-hooks/Harbor";
    let dying = setup_at(
        &site.bed,
        &doors.azure_devops.url(),
        &site.webhook_url,
        &doors.aws.url(),
    )
    .await?;
    let answer = doors
        .dying(call(&dying, name, "PUT", rest, &Value::Null))
        .await;
    if let Some(answer) = answer {
        let (status, body) = answer?;
        ensure!((status, counts(&body)) == (200, [5, 0, 0, 0]), "{body}");
        return Ok(false);
    }
    site.bed.two_minutes_pass(name).await?;
    let made = site.make("Harbor").await?;
    let [created, mended, taken_over, unchanged] = counts(&made);
    ensure!(
        created + taken_over + unchanged == 5 && mended == 0,
        "{made}"
    );
    ensure!(taken_over <= 1, "the one that was not kept: {made}");
    ensure!(made["notes"] == json!([]), "{made}");
    site.is_well().await?;
    ensure!(counts(&site.make("Harbor").await?) == [0, 0, 0, 5]);
    Ok(true)
}

#[tokio::test]
async fn making_hooks_that_dies_at_any_call_is_finished_by_the_next_and_doubles_none() -> Result<()>
{
    // A look, the lease, the token, the project, the password, what is known, the listing, five times a hook made and kept,
    // the lease's end.
    let died = walk(20, making_dies).await?;
    ensure!((35..=38).contains(&died), "{died}");
    Ok(())
}

/// A hook on probation that no PUT takes off it, so that another takes its place.
async fn replacing_dies(call_number: usize, done: bool) -> Result<bool> {
    let site = Site::start().await?;
    let name = site.linked.name.as_str();
    site.make("Harbor").await?;
    site.azure_devops.assume("putEndsProbation", false)?;
    let ill = site.one_of_ours("git.push").await?;
    site.set_status(ill["id"].as_str().context("no id")?, "onProbation")
        .await?;
    let doors = Doors::at(&site, call_number, done).await?;
    let dying = setup_at(
        &site.bed,
        &doors.azure_devops.url(),
        &site.webhook_url,
        &doors.aws.url(),
    )
    .await?;
    let answer = doors
        .dying(call(
            &dying,
            name,
            "PUT",
            "service-hooks/Harbor",
            &Value::Null,
        ))
        .await;
    if let Some(answer) = answer {
        let (status, body) = answer?;
        ensure!((status, counts(&body)) == (200, [1, 0, 0, 4]), "{body}");
        return Ok(false);
    }
    site.bed.two_minutes_pass(name).await?;
    site.make("Harbor").await?;
    site.is_well().await?;
    ensure!(counts(&site.make("Harbor").await?) == [0, 0, 0, 5]);
    Ok(true)
}

#[tokio::test]
async fn a_hook_that_is_replaced_by_a_process_that_dies_at_any_call_is_there_once_in_the_end()
-> Result<()> {
    // As above without the making; one is written and kept, another made and kept, the first deleted and forgotten; four kept.
    let died = walk(20, replacing_dies).await?;
    ensure!((33..=37).contains(&died), "{died}");
    Ok(())
}

async fn rotation_dies(call_number: usize, done: bool) -> Result<bool> {
    let site = Site::start().await?;
    let name = site.linked.name.as_str();
    site.make("Harbor").await?;
    let doors = Doors::at(&site, call_number, done).await?;
    let dying = setup_at(
        &site.bed,
        &doors.azure_devops.url(),
        &site.webhook_url,
        &doors.aws.url(),
    )
    .await?;
    let answer = doors
        .dying(call(&dying, name, "POST", "webhook/rotation", &json!({})))
        .await;
    if let Some(answer) = answer {
        let (status, body) = answer?;
        ensure!(
            status == 200 && body["serviceHooks"]["updated"] == 5,
            "{body}"
        );
        return Ok(false);
    }
    // Whatever hooks have is taken.
    let event = || new_event("ado/git.push.json").to_string();
    ensure!(post(&site.bed.webhook().await, &site.linked, event()).await == 200);
    ensure!(
        post(
            &site.bed.webhook().await,
            &Linked {
                password: site.password().await?.expose().to_owned(),
                ..site.linked.clone()
            },
            event()
        )
        .await
            == 200
    );
    site.bed.two_minutes_pass(name).await?;
    let rotated = site.does("POST", "webhook/rotation", json!({})).await?;
    ensure!(rotated["serviceHooks"]["updated"] == 5, "{rotated}");
    ensure!(
        rotated["previousPasswordValidUntil"].is_string(),
        "{rotated}"
    );
    site.is_well().await?;
    Ok(true)
}

#[tokio::test]
async fn a_rotation_with_hooks_that_dies_at_any_call_is_finished_by_the_next() -> Result<()> {
    // A look, the lease, what is known, the new digest, the secret (create, write), the token, five times a hook read, written
    // and kept, the end of the old digest, the lease's end.
    let died = walk(26, rotation_dies).await?;
    ensure!((45..=50).contains(&died), "{died}");
    Ok(())
}

async fn unlinking_dies(call_number: usize, done: bool) -> Result<bool> {
    let site = Site::start().await?;
    site.make("Harbor").await?;
    let doors = Doors::at(&site, call_number, done).await?;
    let unlink = site
        .bed
        .unlink_of(&doors.azure_devops.url(), &doors.aws.url())
        .await;
    let path = format!("/integrations/{}", site.linked.name);
    let answer = doors
        .dying(unlink.handle(send("DELETE", &path, &json!({}))))
        .await;
    if let Some(answer) = answer {
        let done = body_of(answer)?;
        ensure!(done["serviceHooksRemoved"] == 5, "{done}");
        return Ok(false);
    }
    let finished = site.unlink().await?;
    ensure!(finished["status"] == "unlinked", "{finished}");
    ensure!(site.known().await?.is_empty());
    ensure!(
        site.subscriptions().await?.is_empty(),
        "the hooks go before the token"
    );
    ensure!(post(&site.bed.webhook().await, &site.linked, "{}").await == 410);
    Ok(true)
}

#[tokio::test]
async fn unlinking_with_hooks_that_dies_at_any_call_leaves_none_of_them() -> Result<()> {
    // The beginning, what is known, the token, five times a hook deleted and forgotten, two secrets, looks for stacks and for
    // runs, what was remembered of the care, the tombstone.
    let died = walk(21, unlinking_dies).await?;
    ensure!((35..=40).contains(&died), "{died}");
    Ok(())
}
