//! A tap on the line between a function and the local AWS, or the simulator: it counts what is called, and can hold a call back,
//! cut it off or
//! answer it in DynamoDB's place.
//!
//! It reads the SDK's requests as they pass and changes none of them, so that signatures stay good; what passes, passes byte
//! for byte.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

use super::answer::Answer;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It passes.
    Pass,
    /// It passes, this much later.
    Delay(Duration),
    /// The connection is cut before the call goes out.
    Cut,
    /// It goes out and is done; the connection is cut when its answer comes.
    CutAnswer,
    /// It never goes out, and nothing ever comes back.
    Hang,
    /// It goes out and is done, and its answer never comes back.
    HangAnswer,
    /// It never goes out; this comes back.
    Answer(Answer),
    /// It goes out and is done; this comes back instead of the real answer.
    ReplaceAnswer(Answer),
}

type Judge = dyn Fn(&str, usize) -> Fate + Send + Sync;

/// A tap. Calls are named as the SDK names them, `DynamoDB_20120810.PutItem`, `secretsmanager.CreateSecret`; those of anybody else
/// by method and path, `GET /tidewater/_apis/projects`.
pub struct Tap {
    address: SocketAddr,
    line: Arc<Line>,
    accepting: JoinHandle<()>,
}

struct Line {
    upstream: String,
    calls: Mutex<BTreeMap<String, usize>>,
    judge: Box<Judge>,
    connections: AtomicUsize,
    /// How many calls hang by now.
    held: watch::Sender<usize>,
    /// How many connections are open and idle.
    idle: watch::Sender<usize>,
    /// How often idle connections were reset.
    resets: watch::Sender<usize>,
}

impl Tap {
    /// A tap in front of `endpoint`; `judge` gets each call's name and its number from 1 on.
    ///
    /// # Errors
    ///
    /// Where `endpoint` is not plain HTTP, or no port is to be had.
    pub async fn on(
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
            connections: AtomicUsize::new(0),
            held: watch::Sender::new(0),
            idle: watch::Sender::new(0),
            resets: watch::Sender::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let carrying = Arc::clone(&line);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let line = Arc::clone(&carrying);
                tokio::spawn(async move { line.carry(client).await });
            }
        });
        Ok(Self {
            address,
            line,
            accepting,
        })
    }

    /// A tap that only counts.
    ///
    /// # Errors
    ///
    /// As [`Tap::on`].
    pub async fn counting(endpoint: &str) -> Result<Self> {
        Self::on(endpoint, |_, _| Fate::Pass).await
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often each call was made.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, usize> {
        self.line
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How often one of DynamoDB's operations was called.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        let name = format!("DynamoDB_20120810.{operation}");
        self.calls().get(&name).copied().unwrap_or_default()
    }

    /// How many connections were opened.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.line.connections.load(Ordering::SeqCst)
    }

    /// Until one call more hangs than do now.
    pub fn hangs(&self) -> impl Future<Output = ()> + use<> {
        let mut held = self.line.held.subscribe();
        let before = *held.borrow();
        async move {
            // Fails only when the tap is gone.
            let _held = held.wait_for(|held| *held > before).await;
        }
    }

    /// Until so many calls hang: those that do not go out have come, those whose answer is withheld are done.
    pub async fn held(&self, calls: usize) {
        let mut held = self.line.held.subscribe();
        // Fails only when the sender is gone, which is `self`.
        let _held = held.wait_for(|held| *held >= calls).await;
    }

    /// Resets (RST) each connection that is open and on which nothing is outstanding, as the network does with what a
    /// frozen instance left behind. Gives how many those were.
    pub async fn reset_connections(&self) -> usize {
        let idle = *self.line.idle.borrow();
        self.line.resets.send_modify(|times| *times += 1);
        let mut left = self.line.idle.subscribe();
        let _reset = left.wait_for(|left| *left == 0).await;
        idle
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What is still owed to the client of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Nothing,
    Answer,
    /// The real answer does not pass: this happens when it comes.
    Instead(Fate),
}

/// A count of a connection that is idle, for as long as it lives.
struct Idle<'a>(&'a watch::Sender<usize>);

impl<'a> Idle<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Line {
    async fn carry(&self, client: TcpStream) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let Ok(server) = TcpStream::connect(&self.upstream).await else {
            return;
        };
        // Small packets each way: waiting for more to send only costs time. Where it cannot be set, it does.
        let _set = (client.set_nodelay(true), server.set_nodelay(true));
        // An error is the end of a connection, and told to the other side by closing its own.
        let _closed = self.relay(client, server).await;
    }

    /// Passes requests and answers on until a call has a fate that ends its connection, or a side is done.
    async fn relay(&self, client: TcpStream, server: TcpStream) -> std::io::Result<()> {
        let mut resets = self.resets.subscribe();
        // Stands before the connection, so that it is dropped after it: only what is closed is not idle any more.
        let mut idle = Some(Idle::new(&self.idle));
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let mut requests = Requests::default();
        let mut buffer = vec![0; 64 * 1_024];
        let mut owed = Owed::Nothing;
        loop {
            tokio::select! {
                request = requests.next(&mut from_client) => {
                    let Some(request) = request? else { return Ok(()) };
                    idle = None;
                    owed = self.dispatch(&request, &mut to_server, &mut to_client).await?;
                }
                read = from_server.read(&mut buffer) => {
                    let read = read?;
                    if read == 0 {
                        return Ok(());
                    }
                    if let Owed::Instead(fate) = owed {
                        return self.replace(fate, &mut to_client).await;
                    }
                    to_client.write_all(&buffer[..read]).await?;
                    owed = Owed::Nothing;
                }
                _ = resets.changed(), if idle.is_some() => {
                    // Closing sends a reset then.
                    return from_client.as_ref().set_zero_linger();
                }
            }
            if owed == Owed::Nothing && idle.is_none() {
                resets.mark_unchanged();
                idle = Some(Idle::new(&self.idle));
            }
        }
    }

    /// Does with a request what its fate is.
    async fn dispatch(
        &self,
        request: &[u8],
        server: &mut OwnedWriteHalf,
        client: &mut OwnedWriteHalf,
    ) -> std::io::Result<Owed> {
        let fate = name(request).map_or(Fate::Pass, |name| self.judged(&name));
        match fate {
            Fate::Cut => return Err(std::io::ErrorKind::ConnectionAborted.into()),
            Fate::Hang => self.hang().await,
            Fate::Answer(answer) => {
                client.write_all(&answer.bytes()).await?;
                return Ok(Owed::Nothing);
            }
            Fate::Delay(time) => tokio::time::sleep(time).await,
            Fate::Pass | Fate::CutAnswer | Fate::HangAnswer | Fate::ReplaceAnswer(_) => {}
        }
        server.write_all(request).await?;
        Ok(match fate {
            Fate::CutAnswer | Fate::HangAnswer | Fate::ReplaceAnswer(_) => Owed::Instead(fate),
            _ => Owed::Answer,
        })
    }

    /// The real answer has come, so the call is done.
    async fn replace(&self, fate: Fate, client: &mut OwnedWriteHalf) -> std::io::Result<()> {
        match fate {
            Fate::HangAnswer => self.hang().await,
            Fate::ReplaceAnswer(answer) => client.write_all(&answer.bytes()).await?,
            _ => {}
        }
        Ok(())
    }

    async fn hang(&self) {
        self.held.send_modify(|held| *held += 1);
        std::future::pending().await
    }

    fn judged(&self, name: &str) -> Fate {
        let number = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let number = calls.entry(name.to_owned()).or_default();
            *number += 1;
            *number
        };
        (self.judge)(name, number)
    }
}

/// Requests as they come out of a connection, in whatever pieces.
#[derive(Default)]
struct Requests {
    read: Vec<u8>,
}

impl Requests {
    /// The next one whole, its bytes as they came; `None` where the client is done. Loses nothing when it is dropped.
    async fn next(&mut self, client: &mut OwnedReadHalf) -> std::io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(length) = length(&self.read)
                && self.read.len() >= length
            {
                let rest = self.read.split_off(length);
                return Ok(Some(std::mem::replace(&mut self.read, rest)));
            }
            self.read.reserve(64 * 1_024);
            if client.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// How long the request is that these bytes begin with, where its head is there.
fn length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let body = header(&bytes[..head], "content-length").and_then(|length| length.parse().ok());
    Some(head + body.unwrap_or(0))
}

/// The value of `x-amz-target` in a request's head; without one its method and path.
fn name(request: &[u8]) -> Option<String> {
    let head = request.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = &request[..head + 2];
    header(head, "x-amz-target").or_else(|| {
        let text = String::from_utf8_lossy(head);
        let end = text.find(['?', '\r']).unwrap_or(text.len());
        Some(text[..end].trim_end_matches(" HTTP/1.1").to_owned())
    })
}

fn header(head: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    Some(value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_only_with_its_body() {
        let request =
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\nX-Amz-Target: DynamoDB_20120810.PutItem\r\n\r\nabc";
        assert_eq!(length(&request[..request.len() - 4]), None);
        assert_eq!(length(&request[..request.len() - 3]), Some(request.len()));
        assert_eq!(length(request), Some(request.len()));
        assert_eq!(name(request).as_deref(), Some("DynamoDB_20120810.PutItem"));
        for line in ["GET /a/b HTTP/1.1", "GET /a/b?c=d HTTP/1.1"] {
            let request = format!("{line}\r\nhost: x\r\n\r\n");
            assert_eq!(name(request.as_bytes()).as_deref(), Some("GET /a/b"));
        }
    }
}
