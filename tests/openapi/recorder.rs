//! A pass-through before the simulator that keeps what went through it. Never a credential: `authorization` is left out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};

/// Who made a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Our client of Azure DevOps.
    Client,
    /// The test, which drives what the simulator serves.
    Test,
}

/// A request and what it was answered.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) caller: Caller,
    pub(crate) method: String,
    /// As it was sent.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Bytes,
    pub(crate) status: u16,
    pub(crate) answer_headers: BTreeMap<String, String>,
    pub(crate) answer: Bytes,
}

/// A pass-through on a port of its own.
pub(crate) struct Recorder {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    caller: Caller,
    target: String,
    http: reqwest::Client,
    exchanges: Mutex<Vec<Exchange>>,
}

impl Recorder {
    /// Passes everything on to `target`.
    pub(crate) async fn before(target: &str, caller: Caller) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let shared = Arc::new(Shared {
            caller,
            target: target.to_owned(),
            http,
            exchanges: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, shared })
    }

    /// What went through so far.
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.shared.exchanges).clone()
    }
}

fn lock(exchanges: &Mutex<Vec<Exchange>>) -> MutexGuard<'_, Vec<Exchange>> {
    exchanges.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    passed(&shared, request).await.unwrap_or_else(|error| {
        let mut failed = Response::new(Body::from(format!("{error:#}")));
        *failed.status_mut() = StatusCode::BAD_GATEWAY;
        failed
    })
}

async fn passed(shared: &Shared, request: Request) -> Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await?;
    let mut headers = parts.headers;
    headers.remove("host");
    headers.remove("content-length");
    let answer = shared
        .http
        .request(
            parts.method.clone(),
            format!("{}{}", shared.target, parts.uri),
        )
        .headers(headers.clone())
        .body(body.clone())
        .send()
        .await?;
    let (status, mut answer_headers) = (answer.status(), answer.headers().clone());
    let bytes = answer.bytes().await?;
    headers.remove("authorization");
    answer_headers.remove("transfer-encoding");
    lock(&shared.exchanges).push(Exchange {
        caller: shared.caller,
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: as_text(&headers),
        body,
        status: status.as_u16(),
        answer_headers: as_text(&answer_headers),
        answer: bytes.clone(),
    });
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    *response.headers_mut() = answer_headers;
    Ok(response)
}

fn as_text(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}
