//! The page's calls, handed on to the functions as whoever runs the console.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use caller::{Answer, Call, Caller, Person, Trouble};
use http::{HeaderMap, Method, StatusCode, header};
use tokio::sync::Semaphore;

use crate::{
    Function,
    problem::{Kind, Problem},
};

/// The most of a body that is taken.
const MOST_BYTES: usize = 1024 * 1024;
/// As many calls at once: more would take a person's account for a load test.
const MOST_CALLS: usize = 16;
/// The longest of the functions takes 150 s (infra/functions.tf).
pub(crate) const PATIENCE: Duration = Duration::from_secs(160);

/// The functions, and how many calls may be under way.
pub(crate) struct Forward {
    callers: Vec<(Function, Caller)>,
    seats: Semaphore,
    patience: Duration,
}

impl Forward {
    pub(crate) async fn new(
        urls: &[(Function, String)],
        person: &Person,
        patience: Duration,
    ) -> Result<Self, Trouble> {
        let mut callers = Vec::new();
        for (function, url) in urls {
            callers.push((*function, person.caller(url.clone()).await?));
        }
        Ok(Self {
            callers,
            seats: Semaphore::new(MOST_CALLS),
            patience,
        })
    }

    /// Where the functions are.
    pub(crate) fn region(&self) -> &str {
        self.callers
            .first()
            .map_or("", |(_, caller)| caller.region())
    }

    /// Hands on what is asked of `/api/<function>`; `asked` is what follows that: path and query, as they were sent.
    pub(crate) async fn call(
        &self,
        name: &str,
        asked: &str,
        request: Request,
    ) -> Result<Response, Problem> {
        let known = self.callers.iter().find(|(it, _)| it.name() == name);
        let (_, caller) = known.ok_or_else(|| {
            Problem::new(Kind::NotFound, "There is no such function for the page.")
        })?;
        let (parts, body) = request.into_parts();
        let method = parts.method;
        if !is_passed_on(&method) {
            let detail = "The functions take GET, POST, PUT, PATCH and DELETE.";
            return Err(Problem::new(Kind::WrongMethod, detail));
        }
        let json = json_of(&parts.headers, read(body, MOST_BYTES).await?)?;
        let may_have_been_done = method != Method::GET;
        let path = path_of(asked);
        let call = Call {
            method,
            path: &path,
            json,
            patience: self.patience,
        };
        // Never closed, so there is always one at last.
        let _seat = self.seats.acquire().await;
        match caller.call(call).await {
            Ok(answer) => passed_on(answer),
            Err(trouble) => Err(problem_of(trouble, may_have_been_done)),
        }
    }
}

fn is_passed_on(method: &Method) -> bool {
    [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ]
    .contains(method)
}

/// What may be written in two ways in a query, in the one that a signature is made for: a `+` is a space to whoever reads it, and
/// not agreed upon between those who sign.
fn path_of(asked: &str) -> String {
    match asked.split_once('?') {
        Some((path, query)) => {
            let query = query.replace('+', "%20").replace('\'', "%27");
            format!("{path}?{query}")
        }
        None => asked.to_owned(),
    }
}

/// A whole body, if it is not too large.
pub(crate) async fn read(body: Body, most: usize) -> Result<Bytes, Problem> {
    axum::body::to_bytes(body, most).await.map_err(|_error| {
        let detail = format!("A body has at most {most} bytes, and has to come whole.");
        Problem::new(Kind::TooLarge, detail)
    })
}

/// A body that says that it is JSON, or none. Whether it is one the function tells.
pub(crate) fn json_of(headers: &HeaderMap, body: Bytes) -> Result<Option<Vec<u8>>, Problem> {
    if body.is_empty() {
        return Ok(None);
    }
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok())
        .map(|it| it.split(';').next().unwrap_or(it).trim());
    if kind.is_some_and(|it| it.eq_ignore_ascii_case("application/json")) {
        return Ok(Some(body.to_vec()));
    }
    Err(Problem::new(
        Kind::NotJson,
        "Send JSON, and say so: Content-Type: application/json.",
    ))
}

/// Of a function's answer, what is the page's business.
fn passed_on(answer: Answer) -> Result<Response, Problem> {
    if let Some(said) = answer.refusal() {
        let detail = Trouble::Refused(said).to_string();
        return Err(Problem::new(Kind::Refused, detail));
    }
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    for name in [header::CONTENT_TYPE, header::RETRY_AFTER] {
        if let Some(value) = answer.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    // Without a kind a browser would look for one.
    response
        .headers_mut()
        .entry(header::CONTENT_TYPE)
        .or_insert(header::HeaderValue::from_static("application/octet-stream"));
    if answer.status == StatusCode::NO_CONTENT {
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    Ok(response)
}

fn problem_of(trouble: Trouble, may_have_been_done: bool) -> Problem {
    let words = trouble.to_string();
    match trouble {
        Trouble::NoCredentials(_) => Problem::new(Kind::NoCredentials, words),
        Trouble::Path => Problem::new(Kind::WrongPath, words),
        Trouble::Refused(_) => Problem::new(Kind::Refused, words),
        Trouble::NoRegion | Trouble::Question(_) => Problem::new(Kind::Failed, words),
        Trouble::Passing(_) if may_have_been_done => Problem::new(
            Kind::NoAnswer,
            format!("{words}. It may have been done all the same: look before you try again."),
        ),
        Trouble::Passing(_) => {
            Problem::new(Kind::NoAnswer, format!("{words}. Trying again may help."))
        }
    }
}
