//! A tap on the line between a function and the local AWS: it counts what is called, and can cut a call off.
//!
//! It reads the SDK's requests as they pass and changes none of them, so that signatures stay good.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It passes.
    Pass,
    /// The connection is cut before the call goes out.
    Cut,
    /// It goes out, and its answer is cut off.
    CutAnswer,
    /// It never goes out, and nothing ever comes back.
    Hang,
}

type Judge = dyn Fn(&str, usize) -> Fate + Send + Sync;

/// A tap. Calls are named as the SDK names them: `DynamoDB_20120810.PutItem`, `secretsmanager.CreateSecret`.
pub(crate) struct Tap {
    address: SocketAddr,
    line: Arc<Line>,
}

struct Line {
    upstream: String,
    calls: Mutex<BTreeMap<String, usize>>,
    judge: Box<Judge>,
}

impl Tap {
    /// A tap in front of `endpoint`; `judge` gets each call's name and its number from 1 on.
    pub(crate) async fn on(
        endpoint: &str,
        judge: impl Fn(&str, usize) -> Fate + Send + Sync + 'static,
    ) -> Result<Self> {
        let upstream = endpoint
            .strip_prefix("http://")
            .context("the local AWS speaks plain HTTP")?;
        let line = Arc::new(Line {
            upstream: upstream.to_owned(),
            calls: Mutex::default(),
            judge: Box::new(judge),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let accepting = Arc::clone(&line);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let line = Arc::clone(&accepting);
                tokio::spawn(async move { line.carry(client).await });
            }
        });
        Ok(Self { address, line })
    }

    /// A tap that only counts.
    pub(crate) async fn counting(endpoint: &str) -> Result<Self> {
        Self::on(endpoint, |_, _| Fate::Pass).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often each call was made.
    pub(crate) fn calls(&self) -> BTreeMap<String, usize> {
        self.line
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Line {
    async fn carry(&self, client: TcpStream) {
        let Ok(server) = TcpStream::connect(&self.upstream).await else {
            return;
        };
        let (from_client, mut to_client) = client.into_split();
        let (mut from_server, to_server) = server.into_split();
        let answers = tokio::spawn(async move {
            let _until_closed = copy(&mut from_server, &mut to_client).await;
        });
        let fate = self
            .pass_on(from_client, to_server, || answers.abort())
            .await;
        match fate {
            Fate::Pass => {
                let _ended = answers.await;
            }
            Fate::Cut | Fate::CutAnswer => answers.abort(),
            Fate::Hang => std::future::pending().await,
        }
    }

    /// Passes requests on until one of them has another fate, or the client is done.
    async fn pass_on(
        &self,
        mut client: OwnedReadHalf,
        mut server: OwnedWriteHalf,
        mute: impl Fn(),
    ) -> Fate {
        let mut buffer = vec![0; 64 * 1_024];
        loop {
            let read = match client.read(&mut buffer).await {
                Ok(read) if read > 0 => read,
                _ => return Fate::Pass,
            };
            // The SDK writes a request's head at once, so a name is never split.
            let fate = name(&buffer[..read]).map_or(Fate::Pass, |name| self.judged(&name));
            match fate {
                Fate::Cut | Fate::Hang => return fate,
                Fate::CutAnswer => mute(),
                Fate::Pass => {}
            }
            if server.write_all(&buffer[..read]).await.is_err() {
                return Fate::Cut;
            }
            if fate == Fate::CutAnswer {
                // Long enough for the local AWS to have done what it was asked for.
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                return fate;
            }
        }
    }

    fn judged(&self, name: &str) -> Fate {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let number = calls.entry(name.to_owned()).or_default();
        *number += 1;
        (self.judge)(name, *number)
    }
}

/// The value of `x-amz-target` in a request's head.
fn name(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(8_192)]).to_ascii_lowercase();
    let at = text.find("x-amz-target: ")? + "x-amz-target: ".len();
    let end = at + text[at..].find("\r\n")?;
    Some(String::from_utf8_lossy(&bytes[at..end]).into_owned())
}
