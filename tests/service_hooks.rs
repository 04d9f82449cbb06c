//! Service hooks that Stackhook makes, mends, gives another password and removes.

#[path = "service_hooks/died.rs"]
mod died;
#[path = "service_hooks/made.rs"]
mod made;
#[path = "service_hooks/removed.rs"]
mod removed;
#[path = "service_hooks/rotated.rs"]
mod rotated;
#[path = "service_hooks/set_up.rs"]
mod set_up;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use ado::Ado;
use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, header},
};
use domain::{Organization, ServiceHook, WebhookPassword, service_hook::EVENTS, stack::Reference};
use hooks::{How, Made, Wanted};
use reqwest::Method;
use serde_json::{Value, json};
use simulator::Running;
use store::{Lease, Leased};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::support::{
    Bed, Linked, REST_SECONDS, azure_devops, http_client, json as body_of, locked, new_name, now,
    parts, send,
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
