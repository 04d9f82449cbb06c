//! What an answer of Azure DevOps means: data, or one of the ways in which it refuses.
//! Nothing of an answer's text is passed on but Azure DevOps' own message of an error.

use reqwest::{
    Response, StatusCode,
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
    /// No connection, no answer in time, or a failure on its side.
    #[error("Azure DevOps cannot be reached: {0}")]
    Unreachable(String),
    /// An answer that is not understood.
    #[error("Azure DevOps gave an answer that is not understood: {0}")]
    Unexpected(String),
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
        Self::Unreachable(what)
    }
}

/// Reads an answer.
///
/// An authentication failure is a 401, a 203, any redirect, or a 2xx that is not JSON (facts 7).
pub(crate) async fn read<T: DeserializeOwned>(
    answer: Response,
) -> Result<(T, HeaderMap), AdoError> {
    let status = answer.status();
    let headers = answer.headers().clone();
    if status.is_redirection() || status == StatusCode::NON_AUTHORITATIVE_INFORMATION {
        return Err(AdoError::SignInPage);
    }
    let body = body(answer).await?;
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
    if !status.is_success() {
        return Err(refusal(status, &headers, text));
    }
    if !is_json(&headers) {
        return Err(AdoError::SignInPage);
    }
    let data = serde_json::from_slice(text).map_err(|error| {
        // Where it is wrong, and not what stands there.
        AdoError::Unexpected(format!("line {}, column {}", error.line(), error.column()))
    })?;
    Ok((data, headers))
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
            retry_after: headers
                .get(RETRY_AFTER)
                .and_then(|seconds| seconds.to_str().ok()?.parse().ok()),
        },
        _ if status.is_server_error() => {
            AdoError::Unreachable(format!("it failed with status {}", status.as_u16()))
        }
        _ => AdoError::Unexpected(format!("status {} {message}", status.as_u16())),
    }
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
