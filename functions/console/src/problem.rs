//! What the console itself answers instead of a function, as RFC 9457 has it. What a function refuses is passed on as it is.

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// What kind of problem it is. Each has a status, a title and a `type` that stay as they are: the page goes by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No session token, or one of another console.
    NoSession,
    /// A code that is wrong, or was used.
    LinkUsed,
    /// Asked for under a name that is not this machine's own.
    WrongHost,
    /// Asked by another page.
    WrongOrigin,
    /// A path that would not be called as it stands there.
    WrongPath,
    /// The path exists, the method does not.
    WrongMethod,
    /// No such asset, and no such function.
    NotFound,
    /// A body that is no JSON.
    NotJson,
    /// A body that is too large.
    TooLarge,
    /// Nothing to sign with.
    NoCredentials,
    /// AWS did not let the call through.
    Refused,
    /// No answer, or not in time.
    NoAnswer,
    /// Something of the console's own.
    Failed,
}

impl Kind {
    /// Status, the last part of `type`, and title.
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NoSession => (
                StatusCode::UNAUTHORIZED,
                "no-session",
                "There is no session",
            ),
            Self::LinkUsed => (
                StatusCode::FORBIDDEN,
                "link-used",
                "The link was used, or is none",
            ),
            Self::WrongHost => (
                StatusCode::FORBIDDEN,
                "wrong-host",
                "The console has another address",
            ),
            Self::WrongOrigin => (StatusCode::FORBIDDEN, "wrong-origin", "Another page asks"),
            Self::WrongPath => (
                StatusCode::BAD_REQUEST,
                "wrong-path",
                "The path cannot be called",
            ),
            Self::WrongMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "wrong-method",
                "The method does not exist here",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-json",
                "The body is no JSON",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too large",
            ),
            Self::NoCredentials => (
                StatusCode::BAD_GATEWAY,
                "no-credentials",
                "There are no AWS credentials",
            ),
            Self::Refused => (StatusCode::FORBIDDEN, "refused", "AWS refuses the call"),
            Self::NoAnswer => (
                StatusCode::GATEWAY_TIMEOUT,
                "no-answer",
                "The function does not answer",
            ),
            Self::Failed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "failed",
                "The console failed",
            ),
        }
    }
}

/// A problem with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// For the one line that is written about it.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.parts().1
    }

    pub(crate) fn response(&self) -> Response {
        let (status, name, title) = self.kind.parts();
        let body = json!({
            "type": format!("urn:stackhook:console:{name}"),
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail,
        });
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}
