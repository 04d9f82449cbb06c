//! A simulator with a client and a receiver of webhooks that answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use simulator::{Config, NotificationResult, Running, Simulator};

/// What the receiver got.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

#[derive(Default)]
struct Mailbox {
    received: Vec<Received>,
    /// What to answer next; 200 when there is nothing.
    answers: VecDeque<u16>,
}

pub(crate) struct Harness {
    pub(crate) simulator: Running,
    pub(crate) client: reqwest::Client,
    pub(crate) hook_url: String,
    mailbox: Arc<Mutex<Mailbox>>,
}

impl Harness {
    /// Waits pass a thousand times as fast, so that retries take milliseconds.
    pub(crate) async fn start() -> Self {
        Self::start_with(Config {
            time_scale: 1000.0,
            ..Config::default()
        })
        .await
    }

    /// The clock stands still: nothing is retried before a test says that it is time.
    pub(crate) async fn start_still() -> Self {
        Self::start_with(Config {
            time_scale: 0.0,
            ..Config::default()
        })
        .await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        let mailbox = Arc::new(Mutex::new(Mailbox::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hook_url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&mailbox));
        tokio::spawn(async move { axum::serve(listener, receiver).await.unwrap() });
        Self {
            simulator: Simulator::start(config).await.unwrap(),
            client: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            hook_url,
            mailbox,
        }
    }

    /// What the receiver answers next; 0 is no answer ever.
    pub(crate) fn answer_with(&self, statuses: &[u16]) {
        self.mailbox.lock().unwrap().answers.extend(statuses);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.mailbox.lock().unwrap().received.clone()
    }

    /// The event types that came, sorted, since nothing promises an order.
    pub(crate) fn types(&self) -> Vec<String> {
        let mut types: Vec<String> = self
            .received()
            .iter()
            .map(|it| it.body["eventType"].as_str().unwrap().to_owned())
            .collect();
        types.sort();
        types
    }

    pub(crate) fn forget(&self) {
        self.mailbox.lock().unwrap().received.clear();
    }

    /// A REST call with the token of this kind.
    pub(crate) async fn rest(
        &self,
        kind: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Response {
        let url = format!("{}{path}", self.simulator.organization_url());
        let mut request = self
            .client
            .request(method, url)
            .basic_auth("", Some(self.simulator.token(kind)));
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.rest("good", Method::GET, path, None).await;
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    /// A control call below the organization; it has to succeed.
    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self
            .try_control(method, &format!("/organizations/tidewater{path}"), body)
            .await;
        assert!((200..300).contains(&status), "{path}: {answer}");
        answer
    }

    pub(crate) async fn try_control(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let url = format!("{}/_control{path}", self.simulator.url());
        let response = self
            .client
            .request(method, url)
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    pub(crate) fn assume(&self, name: &str, holds: bool) {
        self.simulator.assume(name, holds).unwrap();
    }

    /// Lets simulated time pass, and sends what has become due.
    pub(crate) async fn pass(&self, seconds: f64) {
        self.simulator.advance(Duration::from_secs_f64(seconds));
        self.settle().await;
    }

    /// One subscription to pushes to Harbor, as a person makes it at the portal.
    pub(crate) async fn subscribe_to_pushes(&self) -> String {
        let form = json!({ "project": "Harbor", "eventType": "git.push", "url": self.hook_url, "password": "open-sesame" });
        let made = self.control(Method::POST, "/subscriptions", form).await;
        made["subscriptions"][0]["id"].as_str().unwrap().to_owned()
    }

    /// A push to main, with what control says of its event.
    pub(crate) async fn push_file(&self, name: &str) -> Value {
        let pushed = self
            .push(json!({ "branch": "main", "files": { name: "#" } }))
            .await;
        self.settle().await;
        pushed["events"][0].clone()
    }

    /// The status of the only subscription.
    pub(crate) fn status(&self) -> &'static str {
        self.simulator.subscriptions()[0].status
    }

    /// A person gives a subscription a status.
    pub(crate) async fn set_status(&self, id: &str, status: &str) {
        let path = format!("/subscriptions/{id}");
        self.control(Method::PATCH, &path, json!({ "status": status }))
            .await;
    }

    /// What is written back by REST of a subscription that was read: the same, with another status.
    pub(crate) async fn put_status(&self, kind: &str, id: &str, status: &str) -> Value {
        let path = format!("/_apis/hooks/subscriptions/{id}?api-version=7.1");
        let mut read = self.get(&path).await;
        read["status"] = json!(status);
        let response = self.rest(kind, Method::PUT, &path, Some(read)).await;
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    /// How the notifications of each event ended, in the order of events.
    pub(crate) fn results(&self) -> Vec<Vec<NotificationResult>> {
        let events = self.simulator.events();
        let results = events
            .iter()
            .map(|event| event.notifications.iter().map(|it| it.result).collect());
        results.collect()
    }

    /// All five subscriptions of the project Harbor, as a person makes them at the portal.
    pub(crate) async fn subscribe(&self) -> Vec<String> {
        let form = json!({ "project": "Harbor", "url": self.hook_url, "password": "open-sesame" });
        let made = self.control(Method::POST, "/subscriptions", form).await;
        let all = made["subscriptions"].as_array().unwrap();
        all.iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) async fn push(&self, body: Value) -> Value {
        self.control(
            Method::POST,
            "/projects/Harbor/repositories/platform/pushes",
            body,
        )
        .await
    }

    pub(crate) async fn pull_request(&self, body: Value) -> u64 {
        let path = "/projects/Harbor/repositories/platform/pullRequests";
        let made = self.control(Method::POST, path, body).await;
        made["pullRequest"]["pullRequestId"].as_u64().unwrap()
    }

    pub(crate) async fn change_pull_request(&self, id: u64, body: Value) -> Value {
        let path = format!("/projects/Harbor/repositories/platform/pullRequests/{id}");
        self.control(Method::PATCH, &path, body).await
    }

    pub(crate) async fn settle(&self) {
        assert!(self.simulator.settle(Duration::from_secs(20)).await);
    }
}

/// The body of a subscription to pushes of Harbor, as the product posts it.
pub(crate) fn subscription(project: &str, url: &str) -> Value {
    json!({
        "publisherId": "tfs",
        "eventType": "git.push",
        "resourceVersion": "1.0",
        "consumerId": "webHooks",
        "consumerActionId": "httpRequest",
        "publisherInputs": { "projectId": project },
        "consumerInputs": {
            "url": url,
            "basicAuthPassword": "open-sesame",
            "resourceDetailsToSend": "all",
            "messagesToSend": "none",
            "detailedMessagesToSend": "none",
        },
    })
}

async fn receive(
    State(mailbox): State<Arc<Mutex<Mailbox>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let answer = {
        let mut mailbox = mailbox.lock().unwrap();
        let body = serde_json::from_slice(&body).unwrap();
        mailbox.received.push(Received { headers, body });
        mailbox.answers.pop_front().unwrap_or(200)
    };
    if answer == 0 {
        std::future::pending::<()>().await;
    }
    StatusCode::from_u16(answer).unwrap()
}
