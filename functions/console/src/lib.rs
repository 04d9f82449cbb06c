//! The console: Stackhook's page, served on this machine, for one person.
//!
//! It is no Lambda function but a program for a person's machine. It serves the files of `page/` on 127.0.0.1, and hands the
//! page's calls on to the functions, signed with whatever credentials that person has; so the page may what that person may,
//! and no key ever reaches the browser.

mod forward;
mod guard;
mod options;
mod page;
mod problem;
#[cfg(test)]
mod tests;

use std::{
    fmt::Write as _,
    fs,
    io::{self, IsTerminal, Write},
    net::Ipv4Addr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use caller::{Person, Trouble};
use forward::Forward;
use guard::Guard;
use http::{HeaderValue, Method, header};
use problem::{Kind, Problem};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

pub use options::{Function, Options, USAGE, UsageError};

/// A code and the braces around it.
const MOST_OF_A_CODE: usize = 1024;

/// Why there is no console.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is another program's.
    #[error(
        "Port {0} of this machine is taken, perhaps by another console: end that, or leave --port out, which takes any that is free"
    )]
    PortTaken(u16),
    /// It cannot listen.
    #[error("It cannot listen on port {0}: {1}")]
    Port(u16, #[source] io::Error),
    /// Something about the calls.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// The ready file.
    #[error("The ready file {0} cannot be written: {1}")]
    ReadyFile(PathBuf, #[source] io::Error),
    /// Nothing random.
    #[error("There is nothing random to be had: {0}")]
    Random(getrandom::Error),
    /// Signals, or the listener.
    #[error("{0}")]
    Machine(#[from] io::Error),
}

/// Where the console writes to.
pub struct Terminal {
    /// Links, if they are to be printed.
    pub links: Option<Box<dyn Write + Send>>,
    /// Notes: a line for each call that failed.
    pub notes: Box<dyn Write + Send>,
}

/// A console that listens, and has not begun to answer.
pub struct Console {
    listener: TcpListener,
    site: Arc<Site>,
}

/// What all answers are made of.
struct Site {
    guard: Guard,
    forward: Forward,
    environment: Option<String>,
    ready_file: Option<PathBuf>,
    terminal: Mutex<Terminal>,
}

impl Console {
    /// Takes its port, and tells its first link.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn open(
        options: &Options,
        person: &Person,
        terminal: Terminal,
    ) -> Result<Self, StartError> {
        Self::open_with(options, person, terminal, forward::PATIENCE).await
    }

    async fn open_with(
        options: &Options,
        person: &Person,
        terminal: Terminal,
        patience: Duration,
    ) -> Result<Self, StartError> {
        let forward = Forward::new(&options.urls, person, patience).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
            .await
            .map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse => StartError::PortTaken(options.port),
                _ => StartError::Port(options.port, error),
            })?;
        let site = Site {
            guard: Guard::new(listener.local_addr()?.port()).map_err(StartError::Random)?,
            forward,
            environment: options.environment.clone(),
            ready_file: options.ready_file.clone(),
            terminal: Mutex::new(terminal),
        };
        site.tell_link()?;
        Ok(Self {
            listener,
            site: Arc::new(site),
        })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        self.site.guard.url()
    }

    /// The link that works next.
    #[must_use]
    pub fn link(&self) -> String {
        self.site.guard.link()
    }

    /// Answers for as long as this is awaited.
    ///
    /// # Errors
    ///
    /// Where it cannot listen any more.
    pub async fn serve(self) -> io::Result<()> {
        let router = Router::new().fallback(answer).with_state(self.site);
        axum::serve(self.listener, router).await
    }
}

async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response {
    let origin = site.guard.origin(request.uri(), request.headers());
    let (mut response, origin) = match origin {
        Ok(origin) => (site.answer(request).await, origin),
        Err(problem) => (problem.response(), site.guard.url()),
    };
    page::dress(&mut response, &origin);
    response
}

impl Site {
    async fn answer(&self, request: Request) -> Response {
        let path = request.uri().path();
        let methods = match path.split('/').nth(1) {
            Some("session") if path == "/session" => "POST",
            Some("api") => "",
            _ => "GET, HEAD",
        };
        let answered = match methods {
            "POST" if request.method() == Method::POST => self.session(request).await,
            "" => self.api(request).await,
            "GET, HEAD" if [Method::GET, Method::HEAD].contains(request.method()) => {
                match path.strip_prefix("/assets/") {
                    Some(asset) => page::asset(asset),
                    None => page::shown_at(path),
                }
            }
            _ => Err(Problem::new(
                Kind::WrongMethod,
                format!("This address takes {methods}."),
            )),
        };
        answered.unwrap_or_else(|problem| {
            let mut response = problem.response();
            if problem.kind == Kind::WrongMethod && !methods.is_empty() {
                let allowed = HeaderValue::from_static(methods);
                response.headers_mut().insert(header::ALLOW, allowed);
            }
            response
        })
    }

    /// A session for a code.
    async fn session(&self, request: Request) -> Result<Response, Problem> {
        #[derive(Deserialize)]
        struct Wanted {
            code: String,
        }

        let (parts, body) = request.into_parts();
        let body = forward::read(body, MOST_OF_A_CODE).await?;
        let not_json = || Problem::new(Kind::NotJson, "Send {\"code\": \"…\"} as JSON.");
        let body = forward::json_of(&parts.headers, body)?.ok_or_else(not_json)?;
        let wanted: Wanted = serde_json::from_slice(&body).map_err(|_error| not_json())?;
        let token = self.guard.session(&wanted.code)?;
        if let Err(error) = self.tell_link() {
            self.note(&error.to_string());
        }
        Ok(json_response(&json!({ "token": token.expose_secret() })))
    }

    /// What a session may ask.
    async fn api(&self, request: Request) -> Result<Response, Problem> {
        self.guard.check_token(request.headers())?;
        let method = request.method().clone();
        let asked = request.uri().path_and_query().map_or("/", |it| it.as_str());
        let asked = asked.strip_prefix("/api/").unwrap_or_default().to_owned();
        if asked == "console" {
            return self.about(&method);
        }
        let end = asked.find(['/', '?']).unwrap_or(asked.len());
        let (name, rest) = asked.split_at(end);
        let answered = self.forward.call(name, rest, request).await;
        self.note_failure(&method, &asked, &answered);
        answered
    }

    fn about(&self, method: &Method) -> Result<Response, Problem> {
        if method != Method::GET {
            return Err(Problem::new(Kind::WrongMethod, "This address takes GET."));
        }
        let mut about = json!({ "region": self.forward.region() });
        if let Some(environment) = &self.environment {
            about["environment"] = json!(environment);
        }
        Ok(json_response(&about))
    }

    /// One line about a call that did not work for a reason that is not the page's.
    fn note_failure(&self, method: &Method, asked: &str, answered: &Result<Response, Problem>) {
        // A query has what a person looks for, and page tokens.
        let path = asked.split('?').next().unwrap_or_default();
        match answered {
            Ok(response) if response.status().is_server_error() => {
                self.note(&format!("{method} {path}: {}", response.status().as_u16()));
            }
            Err(problem)
                if matches!(
                    problem.kind,
                    Kind::NoCredentials | Kind::Refused | Kind::NoAnswer | Kind::Failed
                ) =>
            {
                let (name, detail) = (problem.name(), &problem.detail);
                self.note(&format!("{method} {path}: {name}. {detail}"));
            }
            _ => {}
        }
    }

    fn note(&self, line: &str) {
        let mut terminal = self.terminal.lock().unwrap_or_else(PoisonError::into_inner);
        // Where even that cannot be said, the page says it.
        let _unsaid = writeln!(terminal.notes, "· {line}");
    }

    /// The link that works next, to whoever waits for it.
    fn tell_link(&self) -> Result<(), StartError> {
        // One at a time: of two links that follow each other the second is to stay.
        let mut terminal = self.terminal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.ready_file {
            write_private(path, &self.ready())
                .map_err(|error| StartError::ReadyFile(path.clone(), error))?;
        }
        if let Some(links) = &mut terminal.links {
            writeln!(links, "  {}", self.guard.link())?;
            links.flush()?;
        }
        Ok(())
    }

    /// What stands in the ready file.
    fn ready(&self) -> String {
        json!({ "url": self.guard.url(), "link": self.guard.link() }).to_string()
    }

    /// A link that leads nowhere any more goes, if it is not another console's by now.
    fn forget_link(&self) {
        if let Some(path) = &self.ready_file
            && fs::read_to_string(path).is_ok_and(|it| it == self.ready())
        {
            // What is left there opens nothing.
            let _gone = fs::remove_file(path);
        }
    }
}

fn json_response(body: &serde_json::Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// Written beside and moved there, for this user's eyes: whoever waits for the file must not read half of it.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    let _infallible = write!(beside, ".{}", std::process::id());
    let beside = PathBuf::from(beside);
    // One that was left there may be somebody else's to read.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&beside, path)
}

/// The program: reads what it is called with, and serves until Ctrl-C or SIGTERM.
pub async fn from_the_command_line(arguments: impl Iterator<Item = String>) -> ExitCode {
    let mut notes = io::stderr();
    let options = match options::read(arguments, variable) {
        Ok(Some(options)) => options,
        Ok(None) => {
            // Nobody who asked for it and closed the pipe wants to be told.
            let _unread = io::stdout().write_all(USAGE.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(error) => return ended(&mut notes, &format!("{error}\n\n{USAGE}"), 2),
    };
    let ended_by = run(&options).await;
    match ended_by {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ended(&mut notes, &error.to_string(), 1),
    }
}

async fn run(options: &Options) -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let [(_, url), ..] = &options.urls;
    let person = Person::of_this_machine(options.region.clone(), url);
    let mut out = io::stdout();
    // A link is a key: in a ready file nobody else can read it, in whatever this is redirected to they may.
    let has_links = options.ready_file.is_none() || out.is_terminal();
    let terminal = Terminal {
        links: has_links.then(|| Box::new(io::stdout()) as Box<dyn Write + Send>),
        notes: Box::new(io::stderr()),
    };
    let opening = async {
        writeln!(out, "{}", connected(options, has_links))?;
        Console::open(options, &person, terminal).await
    };
    let console = tokio::select! {
        console = opening => console?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let site = console.site.clone();
    let looking = async {
        if let Err(trouble) = person.has_credentials().await {
            site.note(&format!(
                "{trouble}. The console need not be started again for it."
            ));
        }
        std::future::pending::<()>().await;
    };
    let ended_by = tokio::select! {
        served = console.serve() => served.map_err(StartError::from),
        () = looking => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    site.forget_link();
    ended_by
}

/// What the console is for.
fn connected(options: &Options, has_links: bool) -> String {
    let name = options.environment.as_deref().unwrap_or("Stackhook");
    let mut lines =
        format!("· The console of {name}, as whoever you are for AWS. Ctrl-C ends it.\n");
    for (function, url) in &options.urls {
        let _infallible = writeln!(lines, "    {:<11} {url}", function.name());
    }
    match &options.ready_file {
        Some(path) if !has_links => {
            lines.push_str("· The link, which works once, and each that follows it: ");
            lines.push_str(&path.to_string_lossy());
        }
        _ => lines.push_str(
            "· Open this link. It works once, and the next one follows here when it was used:",
        ),
    }
    lines
}

fn ended(notes: &mut impl Write, reason: &str, code: u8) -> ExitCode {
    // Where even that cannot be said, the code says it.
    let _unsaid = writeln!(notes, "{}", reason.trim_end());
    ExitCode::from(code)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program of its own: edge::config is for functions"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
