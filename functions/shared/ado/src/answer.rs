//! What an answer of Azure DevOps means: data, or one of the ways in which it refuses.
//! Nothing of an answer's text is passed on but Azure DevOps' own message of an error.

use std::fmt;

use reqwest::{
    RequestBuilder, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER},
};
use serde::de::DeserializeOwned;

use crate::wire::ErrorBody;

/// The largest answer that is read. The largest of our listings, a thousand refs, has about 1 MB.
const LARGEST_ANSWER: usize = 16 * 1_024 * 1_024;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum AdoError {
    /// A 401 without a better reason: the token is unknown, revoked, or belongs elsewhere; or, where it was good for another
    /// call, it lacks the scope for this one (facts 7).
    #[error("Azure DevOps refuses the token")]
    TokenRefused,
    /// A sign-in page in place of an answer (203, a redirect, or a 2xx that is not JSON): the token is not taken for one.
    #[error("Azure DevOps answers with its sign-in page")]
    SignInPage,
    /// The token has expired.
    #[error("the token has expired")]
    TokenExpired,
    /// The token is good, and its user may not do this.
    #[error("Azure DevOps denies access: {0}")]
    Denied(String),
    /// What was asked for is not there, or may not be seen.
    #[error("Azure DevOps does not have it: {0}")]
    NotFound(String),
    /// Too many calls (429).
    #[error("Azure DevOps asks to slow down")]
    SlowDown {
        /// For how many seconds, where it said so.
        retry_after: Option<u32>,
    },
    /// This many calls and no more were allowed, and they are made ([`Pace`](crate::Pace)): nothing was asked.
    #[error("no more calls to Azure DevOps are allowed for now")]
    Spent,
    /// It does not take what was sent (400, 409, 422 or another 4xx), in its own words: asked again, it says the same.
    #[error("Azure DevOps refuses the request: {0}")]
    Refused(String),
    /// No connection, no answer in time, or a failure on its side.
    #[error("Azure DevOps cannot be reached: {0}")]
    Unreachable(Outage),
    /// An answer that is no JSON though it says so, or breaks off: something between broke it.
    #[error("Azure DevOps gave an answer that is not understood: {0}")]
    Garbled(String),
    /// An answer that is not understood.
    #[error("Azure DevOps gave an answer that is not understood: {0}")]
    Unexpected(String),
}

/// How Azure DevOps could not be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    what: String,
    retry_after: Option<u32>,
}

impl fmt::Display for Outage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl AdoError {
    /// A failure to get an answer at all. Nothing of the HTTP client's error is passed on: it names the URL, and
    /// no header.
    pub(crate) fn unreachable(error: &reqwest::Error) -> Self {
        let what = if error.is_timeout() {
            "it gave no answer in time".to_owned()
        } else if error.is_connect() {
            "no connection".to_owned()
        } else {
            "the connection broke".to_owned()
        };
        Self::Unreachable(Outage {
            what,
            retry_after: None,
        })
    }

    /// For how many seconds Azure DevOps asks to wait, where it said so.
    #[must_use]
    pub const fn retry_after(&self) -> Option<u32> {
        match self {
            Self::SlowDown { retry_after } | Self::Unreachable(Outage { retry_after, .. }) => {
                *retry_after
            }
            _ => None,
        }
    }

    /// Whether the same call may well succeed later, with nothing done about it.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::SlowDown { .. } | Self::Spent | Self::Unreachable(_) | Self::Garbled(_) => true,
            Self::TokenRefused
            | Self::SignInPage
            | Self::TokenExpired
            | Self::Denied(_)
            | Self::NotFound(_)
            | Self::Refused(_)
            | Self::Unexpected(_) => false,
        }
    }

    /// Whether another token would help: this one is not taken.
    #[must_use]
    pub const fn is_about_the_token(&self) -> bool {
        matches!(
            self,
            Self::TokenRefused | Self::SignInPage | Self::TokenExpired
        )
    }

    /// The same error, but without a secret that was sent: Azure DevOps' own words may have it.
    pub(crate) fn without(self, secret: &str) -> Self {
        if secret.is_empty() {
            return self;
        }
        let masked = |said: String| said.replace(secret, "********");
        match self {
            Self::Denied(said) => Self::Denied(masked(said)),
            Self::NotFound(said) => Self::NotFound(masked(said)),
            Self::Refused(said) => Self::Refused(masked(said)),
            Self::Unexpected(said) => Self::Unexpected(masked(said)),
            Self::TokenRefused
            | Self::SignInPage
            | Self::TokenExpired
            | Self::SlowDown { .. }
            | Self::Spent
            | Self::Unreachable(_)
            | Self::Garbled(_) => self,
        }
    }
}

/// Sends a request and gives what it is answered, whatever that is.
pub(crate) async fn of(request: RequestBuilder) -> Result<Response, AdoError> {
    request
        .send()
        .await
        .map_err(|error| AdoError::unreachable(&error))
}

/// Reads an answer.
///
/// An authentication failure is a 401, a 203, any redirect, or a 2xx that is not JSON (facts 7).
pub(crate) async fn read<T: DeserializeOwned>(
    answer: Response,
) -> Result<(T, HeaderMap), AdoError> {
    let headers = answer.headers().clone();
    let answer = succeeded(answer).await?;
    let body = body(answer).await?;
    let data = serde_json::from_slice(text(&body)).map_err(|error| {
        // Where it is wrong, and not what stands there.
        let place = format!("line {}, column {}", error.line(), error.column());
        if error.is_data() {
            AdoError::Unexpected(place)
        } else {
            AdoError::Garbled(place)
        }
    })?;
    Ok((data, headers))
}

/// Takes a success for all that there is to know: JSON, or nothing at all. What else the answer says is read so that the connection can be used again,
/// and dropped: what was sent is taken even where that breaks off.
pub(crate) async fn accepted(answer: Response) -> Result<(), AdoError> {
    if is_nothing(&answer) {
        return Ok(());
    }
    let answer = succeeded(answer).await?;
    let _ = body(answer).await;
    Ok(())
}

/// A success that says nothing, not even of what kind it is: no page, then. A deletion is one, answered 204, which the document
/// has as 200 (facts 6.1).
fn is_nothing(answer: &Response) -> bool {
    match answer.status() {
        StatusCode::NO_CONTENT => true,
        StatusCode::OK => {
            answer.content_length() == Some(0) && !answer.headers().contains_key(CONTENT_TYPE)
        }
        _ => false,
    }
}

/// Lets an answer through that is a success and no page, of which the body is still to be read.
async fn succeeded(answer: Response) -> Result<Response, AdoError> {
    let status = answer.status();
    if status.is_redirection() || status == StatusCode::NON_AUTHORITATIVE_INFORMATION {
        return Err(AdoError::SignInPage);
    }
    if !status.is_success() {
        let headers = answer.headers().clone();
        // The status says what it is, even where the rest breaks off.
        let body = body(answer).await.unwrap_or_default();
        return Err(refusal(status, &headers, text(&body)));
    }
    if !is_json(answer.headers()) {
        return Err(AdoError::SignInPage);
    }
    Ok(answer)
}

/// Without the byte order mark that some answers begin with.
fn text(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

async fn body(mut answer: Response) -> Result<Vec<u8>, AdoError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|error| AdoError::unreachable(&error))?
    {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(AdoError::Unexpected("it is too large".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> AdoError {
    let told: Option<ErrorBody> = serde_json::from_slice(body).ok();
    let message = told.unwrap_or_default().into_message();
    match status {
        StatusCode::UNAUTHORIZED if says_expired(headers, body) => AdoError::TokenExpired,
        StatusCode::UNAUTHORIZED => AdoError::TokenRefused,
        StatusCode::FORBIDDEN => AdoError::Denied(message),
        StatusCode::NOT_FOUND => AdoError::NotFound(message),
        StatusCode::TOO_MANY_REQUESTS => AdoError::SlowDown {
            retry_after: retry_after(headers),
        },
        StatusCode::REQUEST_TIMEOUT => AdoError::Unreachable(Outage {
            what: "it gave up on waiting for the request".to_owned(),
            retry_after: retry_after(headers),
        }),
        _ if status.is_server_error() => AdoError::Unreachable(Outage {
            what: format!("it failed with status {}", status.as_u16()),
            retry_after: retry_after(headers),
        }),
        _ if status.is_client_error() && message.is_empty() => {
            AdoError::Refused(format!("status {}", status.as_u16()))
        }
        _ if status.is_client_error() => AdoError::Refused(message),
        _ => AdoError::Unexpected(format!("status {} {message}", status.as_u16())),
    }
}

/// For how many seconds an answer asks to wait.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<u32> {
    headers
        .get(RETRY_AFTER)
        .and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok())
}

/// Azure DevOps says it in the body, which is JSON or plain text, and url-encoded in a header.
fn says_expired(headers: &HeaderMap, body: &[u8]) -> bool {
    let header = headers
        .get("x-tfs-serviceerror")
        .map(reqwest::header::HeaderValue::as_bytes)
        .unwrap_or_default();
    [header, body].iter().any(|text| {
        let text = String::from_utf8_lossy(text)
            .to_ascii_lowercase()
            .replace(['+', ' '], "%20");
        text.contains("token%20used%20has%20expired")
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    content_type
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> AdoError {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, "7".parse().unwrap())]);
        refusal(
            StatusCode::from_u16(status).unwrap(),
            &headers,
            body.as_bytes(),
        )
    }

    #[test]
    fn a_refusal_is_about_the_token_passes_or_stays() {
        for (status, is_about_the_token, is_passing, retry_after) in [
            (400, false, false, None),
            (401, true, false, None),
            (403, false, false, None),
            (404, false, false, None),
            (408, false, true, Some(7)),
            (409, false, false, None),
            (422, false, false, None),
            (429, false, true, Some(7)),
            (500, false, true, Some(7)),
            (503, false, true, Some(7)),
        ] {
            let error = refused(status, "");
            assert_eq!(
                (
                    error.is_about_the_token(),
                    error.is_passing(),
                    error.retry_after()
                ),
                (is_about_the_token, is_passing, retry_after),
                "{status}: {error:?}"
            );
        }
    }

    #[test]
    fn a_secret_that_azure_devops_repeats_is_masked() {
        let body = r#"{"message":"The password \"planted\" of planted is too short"}"#;
        for status in [302, 400, 403, 404, 422] {
            let error = refused(status, body).without("planted");
            let shown = format!("{error} {error:?}");
            assert!(
                shown.contains("********") && !shown.contains("planted"),
                "{shown}"
            );
        }
        assert!(
            refused(400, body)
                .without("")
                .to_string()
                .contains("planted")
        );
    }

    #[test]
    fn a_refused_request_says_what_azure_devops_says() {
        let message = r#"{"message":"TF400898: no such iteration"}"#;
        for status in [400, 405, 409, 413, 422] {
            assert!(
                matches!(refused(status, message), AdoError::Refused(said) if said == "TF400898: no such iteration"),
                "{status}"
            );
        }
        assert!(matches!(refused(400, "<html>"), AdoError::Refused(said) if said == "status 400"));
    }
}
