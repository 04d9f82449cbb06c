//! A receiver that answers as others do: 200 when it has stored, 500 when its store fails, 401 to any password but the current one.
//! It stores what comes and does not look whether it has it; what it has not got it does not look for.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{play::Receiver, schedule::Happening, tally::Delivered};
use crate::in_process::{locked, new_name};

/// The receiver, and what stands between it and Azure DevOps. It ends when it is dropped.
pub(crate) struct Peer {
    inner: Arc<Inner>,
    url: String,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Inner {
    password: Mutex<String>,
    is_store_away: AtomicBool,
    is_throttled: AtomicBool,
    /// Whether its process dies at the next delivery, and then whether that is stored by then.
    dies: Mutex<Option<bool>>,
    kept: Mutex<Vec<Delivered>>,
}

impl Peer {
    pub(crate) async fn start() -> Result<Self> {
        let inner = Arc::new(Inner::default());
        *locked(&inner.password) = new_name("password");
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let router = Router::new().fallback(take).with_state(Arc::clone(&inner));
        let serving = tokio::spawn(async move {
            let _ended = axum::serve(listener, router).await;
        });
        Ok(Self {
            inner,
            url,
            serving,
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    // The first two are the service's answers, and the same for whatever receiver.
    if inner.is_throttled.load(Ordering::Relaxed) {
        return StatusCode::TOO_MANY_REQUESTS;
    }
    let dies = locked(&inner.dies).take();
    if dies == Some(false) {
        return StatusCode::BAD_GATEWAY;
    }
    if !is_authenticated(&headers, &locked(&inner.password)) {
        return StatusCode::UNAUTHORIZED;
    }
    if inner.is_store_away.load(Ordering::Relaxed) {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    locked(&inner.kept).push(Delivered::read(&body));
    match dies {
        Some(_is_stored) => StatusCode::BAD_GATEWAY,
        None => StatusCode::OK,
    }
}

fn is_authenticated(headers: &HeaderMap, password: &str) -> bool {
    let sent = || {
        let sent = headers.get(AUTHORIZATION)?.to_str().ok()?;
        String::from_utf8(STANDARD.decode(sent.strip_prefix("Basic ")?).ok()?).ok()
    };
    let password_of = |sent: String| sent.split_once(':').map(|(_, sent)| sent.to_owned());
    sent().and_then(password_of).as_deref() == Some(password)
}

impl Receiver for Peer {
    fn endpoint(&self) -> &str {
        &self.url
    }

    fn password(&self) -> String {
        locked(&self.inner.password).clone()
    }

    async fn befall(&self, happening: &Happening) -> Result<()> {
        let inner = &self.inner;
        match happening {
            Happening::StoreGoes => inner.is_store_away.store(true, Ordering::Relaxed),
            Happening::StoreReturns => inner.is_store_away.store(false, Ordering::Relaxed),
            Happening::ThrottlingBegins => inner.is_throttled.store(true, Ordering::Relaxed),
            Happening::ThrottlingEnds => inner.is_throttled.store(false, Ordering::Relaxed),
            Happening::Kill { is_stored } => *locked(&inner.dies) = Some(*is_stored),
            Happening::PasswordRotates => *locked(&inner.password) = new_name("password"),
            Happening::Deed(_) | Happening::HooksGetPassword => {}
        }
        Ok(())
    }

    async fn kept(&self) -> Result<Vec<Delivered>> {
        let met = locked(&self.inner.dies).is_none();
        met.then(|| locked(&self.inner.kept).clone())
            .context("a process was to die and no delivery came")
    }
}
