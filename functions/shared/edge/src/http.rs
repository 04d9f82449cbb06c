//! Requests taken apart and answers put together, for all functions alike.

use std::time::Instant;

use ::http::{HeaderValue, StatusCode, header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use lambda_http::{Body, Request, RequestExt, Response};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Problem, ProblemKind};

/// The largest body that an operator's request may have: far more than any of them needs.
const LARGEST_REQUEST: usize = 64 * 1_024;
/// The most characters of the id that a caller gives a request.
const LONGEST_ID: usize = 64;
/// How many rows a page has where nothing is asked for, and at most.
const PAGE: (u16, u16) = (50, 100);

/// The path as the function URL got it, before anything has tidied it up.
#[must_use]
pub fn path(request: &Request) -> &str {
    match request.raw_http_path() {
        "" => request.uri().path(),
        raw => raw,
    }
}

/// The path's segments, percent-decoded; empty ones at the end are dropped.
#[must_use]
pub fn segments(request: &Request) -> Vec<String> {
    let path = path(request).trim_start_matches('/').trim_end_matches('/');
    let decode = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
    path.split('/')
        .filter(|_| !path.is_empty())
        .map(decode)
        .collect()
}

/// The id under which the platform logs this request; empty outside Lambda.
#[must_use]
pub(crate) fn request_id(request: &Request) -> String {
    request
        .lambda_context_ref()
        .map(|context| context.request_id.clone())
        .unwrap_or_default()
}

/// A query parameter; an empty one counts as absent.
#[must_use]
pub fn parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request
        .query_string_parameters_ref()?
        .first(name)
        .filter(|value| !value.is_empty())
}

/// A query parameter that is read as something else than text.
///
/// # Errors
///
/// [`ProblemKind::InvalidRequest`], which names the parameter and says how it is written.
pub fn parsed_parameter<T>(
    request: &Request,
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
    written: &str,
) -> Result<Option<T>, Problem> {
    parsed_text(parameter(request, name), name, parse, written)
}

/// A text that a caller may give under a name, as a query parameter or in a body, and that is read as something else.
///
/// # Errors
///
/// As [`parsed_parameter`].
pub fn parsed_text<T>(
    given: Option<&str>,
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
    written: &str,
) -> Result<Option<T>, Problem> {
    let Some(text) = given else {
        return Ok(None);
    };
    match parse(text) {
        Some(value) => Ok(Some(value)),
        None => {
            Err(Problem::new(ProblemKind::InvalidRequest, format!("{name} is {written}")).at(name))
        }
    }
}

/// `pageSize`, or what is usual.
///
/// # Errors
///
/// [`ProblemKind::InvalidRequest`] for what is no number from 1 to 100.
pub fn page_size(request: &Request) -> Result<u16, Problem> {
    let (usual, most) = PAGE;
    let in_bounds = |text: &str| text.parse().ok().filter(|size| (1..=most).contains(size));
    let size = parsed_parameter(request, "pageSize", in_bounds, "a number from 1 to 100")?;
    Ok(size.unwrap_or(usual))
}

/// The body as JSON.
///
/// # Errors
///
/// [`ProblemKind::InvalidRequest`], which names the field and never shows what stands in it.
pub fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    let bytes: &[u8] = request.body().as_ref();
    let invalid = |detail: String| Problem::new(ProblemKind::InvalidRequest, detail);
    if bytes.len() > LARGEST_REQUEST {
        return Err(invalid("the body is too large for this request".to_owned()));
    }
    let no_object = || {
        invalid("the body is a JSON object with the fields that the documentation names".to_owned())
    };
    // Serde takes a list for an object, too: its items for our fields, in whatever order those are declared.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(no_object());
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (message, path) = (error.inner().to_string(), error.path().to_string());
        let field = message.split('`').nth(1).unwrap_or_default().to_owned();
        if message.starts_with("missing field") {
            invalid(format!("the field {field} is missing")).at(field)
        } else if message.starts_with("unknown field") {
            invalid(format!("there is no field {field} here")).at(field)
        } else if error.inner().is_data() && path != "." {
            invalid(format!(
                "the field {path} has another type than it should have"
            ))
            .at(path)
        } else {
            no_object()
        }
    })?;
    json.end()
        .map_err(|_trailing| invalid("something follows the JSON object in the body".to_owned()))?;
    Ok(value)
}

/// The body as JSON; an empty one asks for what is usual.
///
/// # Errors
///
/// As [`body`].
pub fn optional_body<T: DeserializeOwned + Default>(request: &Request) -> Result<T, Problem> {
    let bytes: &[u8] = request.body().as_ref();
    if bytes.is_empty() {
        return Ok(T::default());
    }
    body(request)
}

/// Tells a field of a body that is `null` from one that is absent: for `deserialize_with`, beside `default`.
///
/// # Errors
///
/// Those of the field's own type.
pub fn present<'de, T, D>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(from).map(Some)
}

/// `requestId`: what a caller calls a wish by, so that the same again is done once, and gives `what` it has given.
///
/// # Errors
///
/// A refusal of the field for what is none.
pub fn own_id(id: String, what: &str) -> Result<String, Problem> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(is_plain) {
        return Ok(id);
    }
    let is = format!(
        "1 to {LONGEST_ID} letters, digits, dots, underscores and hyphens, of your choice: the same one again gives {what}"
    );
    Err(Problem::field("requestId", &is))
}

/// A page token: where the next page of this very list begins.
///
/// It carries a digest of what it was made for, so that one that was made up, or made for another list or other filters, is
/// refused. It keeps no secret, and gives no right that the caller would not have without it.
#[must_use]
pub fn page_token<T: Serialize>(request: &Request, state: &T) -> String {
    token_for(&made_for(request), state)
}

/// What a page token says; `None` where the request has none.
///
/// # Errors
///
/// [`ProblemKind::InvalidPageToken`] for one that was not made for this list.
pub fn page_state<T: DeserializeOwned>(request: &Request) -> Result<Option<T>, Problem> {
    let Some(token) = parameter(request, "pageToken") else {
        return Ok(None);
    };
    said_by(token, &made_for(request)).map(Some)
}

/// A page token for a request whose filters are its body's, which `filters` has all of but the token.
#[must_use]
pub fn body_token<T: Serialize>(request: &Request, filters: &impl Serialize, state: &T) -> String {
    token_for(&made_for_body(request, filters), state)
}

/// What a page token in a body says.
///
/// # Errors
///
/// As [`page_state`].
pub fn body_state<T: DeserializeOwned>(
    request: &Request,
    filters: &impl Serialize,
    token: &str,
) -> Result<T, Problem> {
    said_by(token, &made_for_body(request, filters))
}

fn token_for<T: Serialize>(made_for: &str, state: &T) -> String {
    let state = URL_SAFE_NO_PAD.encode(serde_json::to_vec(state).unwrap_or_default());
    format!("{state}.{}", fingerprint(made_for, &state))
}

fn said_by<T: DeserializeOwned>(token: &str, made_for: &str) -> Result<T, Problem> {
    let state = token
        .rsplit_once('.')
        .filter(|(state, digest)| fingerprint(made_for, state) == *digest)
        .and_then(|(state, _)| URL_SAFE_NO_PAD.decode(state).ok())
        .and_then(|json| serde_json::from_slice(&json).ok());
    state.ok_or_else(|| {
        Problem::new(
            ProblemKind::InvalidPageToken,
            "pass the nextPageToken of the page before with the same filters, or none for the first page",
        )
        .at("pageToken")
    })
}

/// What a page token is made for: the path and the filters.
fn made_for(request: &Request) -> String {
    let mut filters = Vec::new();
    if let Some(parameters) = request.query_string_parameters_ref() {
        let of_the_page = ["pageToken", "pageSize"];
        let given = parameters
            .iter()
            .filter(|(name, value)| !of_the_page.contains(name) && !value.is_empty());
        filters.extend(given.map(|(name, value)| format!("\n{name}={value}")));
    }
    filters.sort_unstable();
    format!("{}{}", segments(request).join("/"), filters.concat())
}

/// The same where the filters are in the body.
fn made_for_body(request: &Request, filters: &impl Serialize) -> String {
    let filters = serde_json::to_string(filters).unwrap_or_default();
    format!("{}\n{filters}", segments(request).join("/"))
}

/// A digest of what a token is made for, and of its state.
fn fingerprint(made_for: &str, state: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(made_for);
    digest.update(format!("\n\n{state}"));
    URL_SAFE_NO_PAD.encode(&digest.finalize()[..12])
}

/// A moment as answers show it: UTC with six digits always, so that text sorts as time does.
#[must_use]
pub fn moment(moment: Timestamp) -> String {
    format!("{moment:.6}")
}

/// JSON of something of the domain, with the times of these names shown as [`moment`] shows them.
#[must_use]
pub fn with_moments(of: &impl Serialize, names: &[&str]) -> Value {
    let mut body = serde_json::to_value(of).unwrap_or_default();
    for name in names {
        let shown = body.get(name).and_then(Value::as_str);
        let shown = shown.and_then(|text| text.parse().ok()).map(moment);
        if let (Some(shown), Some(value)) = (shown, body.get_mut(name)) {
            *value = Value::String(shown);
        }
    }
    body
}

/// A JSON answer with the headers that every answer has.
#[must_use]
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Response<Body> {
    let text = serde_json::to_string(body).unwrap_or_default();
    let mut response = Response::new(Body::Text(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// What a route of an operator's function gives: a status and a JSON body, or a refusal.
pub type Answer = Result<(StatusCode, Value), Problem>;

/// Answers an operator's request by `route`, which is told the time, and logs it: method and path, but nothing of what was
/// sent.
#[expect(
    clippy::disallowed_methods,
    reason = "the handlers of all operators' functions ask the clock here, once"
)]
pub async fn answer<F>(request: &Request, route: impl FnOnce(Timestamp) -> F) -> Response<Body>
where
    F: Future<Output = Answer>,
{
    let started = Instant::now();
    let answer = route(Timestamp::now()).await;
    let request_id = request_id(request);
    let response = match answer {
        Ok((status, body)) => json(status, &body),
        Err(problem) => problem.into_response(&request_id),
    };
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (method, path, status) = (
        request.method().as_str(),
        path(request),
        response.status().as_u16(),
    );
    tracing::info!(method, path, status, duration_ms, request_id, "request");
    response
}

/// The refusal of a path that does not exist.
#[must_use]
pub fn no_such_path() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "there is nothing at this path; the README lists all of them",
    )
}

/// The refusal of a method, naming those that exist, as in `"GET, POST"`.
#[must_use]
pub fn no_such_method(allowed: &'static str) -> Problem {
    Problem::new(
        ProblemKind::MethodNotAllowed,
        format!("this path takes {allowed}"),
    )
    .allowing(allowed)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::*;

    fn request(path: &str) -> Request {
        Request::new(Body::Empty).with_raw_http_path(path)
    }

    #[test]
    fn paths_are_taken_apart_and_decoded() {
        assert_eq!(
            segments(&request("/integrations/acme/")),
            ["integrations", "acme"]
        );
        assert_eq!(segments(&request("/a/My%20Project")), ["a", "My Project"]);
        assert_eq!(segments(&request("/a/My Project")), ["a", "My Project"]);
        assert!(segments(&request("/")).is_empty());
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Named {
        #[expect(dead_code, reason = "only its presence is tested")]
        name: String,
    }

    #[test]
    fn a_body_that_cannot_be_read_is_refused_without_showing_it() {
        for (json, detail) in [
            ("{}", "the field name is missing"),
            (
                r#"{"name":1}"#,
                "the field name has another type than it should have",
            ),
            (
                r#"{"name":"x","token":"planted"}"#,
                "there is no field token here",
            ),
            (
                r#"{"name":"x"} planted"#,
                "something follows the JSON object in the body",
            ),
            (
                "planted",
                "the body is a JSON object with the fields that the documentation names",
            ),
            (
                r#"["planted"]"#,
                "the body is a JSON object with the fields that the documentation names",
            ),
        ] {
            let request = Request::new(Body::from(json));
            let problem = body::<Named>(&request).unwrap_err();
            assert_eq!(problem.detail(), detail, "{json}");
        }
    }

    #[test]
    fn a_page_token_is_good_for_the_list_it_was_made_for_and_no_other() {
        let with = |path: &str, parameters: &[(&str, &str)]| {
            let parameters: HashMap<String, Vec<String>> = parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
                .collect();
            request(path).with_query_string_parameters(parameters)
        };
        let made_for = with("/deliveries", &[("integration", "acme"), ("pageSize", "5")]);
        let token = page_token(&made_for, &7_u8);
        let same = with(
            "/deliveries/",
            &[
                ("integration", "acme"),
                ("pageSize", "9"),
                ("pageToken", &token),
            ],
        );
        assert_eq!(page_state::<u8>(&same).unwrap(), Some(7));
        assert_eq!(page_state::<u8>(&made_for).unwrap(), None);
        let eight = page_token(&made_for, &8_u8);
        let crossed = format!(
            "{}.{}",
            token.split('.').next().unwrap(),
            eight.split('.').nth(1).unwrap()
        );
        for forged in [
            with(
                "/deliveries",
                &[("integration", "other"), ("pageToken", &token)],
            ),
            with(
                "/integrations",
                &[("integration", "acme"), ("pageToken", &token)],
            ),
            with("/deliveries", &[("pageToken", &token)]),
            with(
                "/deliveries",
                &[("integration", "acme"), ("pageToken", "Nw")],
            ),
            with(
                "/deliveries",
                &[("integration", "acme"), ("pageToken", &crossed)],
            ),
            with(
                "/deliveries",
                &[("integration", "acme"), ("pageToken", "!!")],
            ),
        ] {
            let problem = page_state::<u8>(&forged).unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::InvalidPageToken);
        }
    }

    #[test]
    fn the_times_that_are_named_are_shown_alike_and_nothing_else_is_touched() {
        let of = serde_json::json!({ "at": "2026-11-23T15:00:00Z", "note": "2026-11-23T15:00:00Z", "word": "soon" });
        let shown = with_moments(&of, &["at", "word", "absent"]);
        assert_eq!(shown["at"], "2026-11-23T15:00:00.000000Z");
        assert_eq!((&shown["note"], &shown["word"]), (&of["note"], &of["word"]));
        assert_eq!(shown.as_object().map(serde_json::Map::len), Some(3));
    }

    #[test]
    fn moments_have_the_same_length_always() {
        for text in [
            "2026-11-23T15:00:00Z",
            "2026-11-23T15:00:00.1Z",
            "2026-11-23T15:00:00.123456789Z",
        ] {
            assert_eq!(
                moment(text.parse().unwrap()).len(),
                "2026-11-23T15:00:00.000000Z".len()
            );
        }
    }
}
