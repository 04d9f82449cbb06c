//! Every way in which a call is refused, as RFC 9457 has it, and the only place where an error becomes an HTTP
//! answer.
//!
//! A caller's fault says what to do; ours says nothing but a request id, under which the log has the cause.

use std::{borrow::Cow, collections::BTreeMap, error::Error};

use ::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Response};
use serde::Serialize;
use serde_json::Value;

/// What kind of problem it is. Each has a status, a title and a `type` that stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The body is not JSON, a field is missing, unknown or of the wrong type, or a query parameter cannot be read.
    InvalidRequest,
    /// A field has a value that it cannot have.
    InvalidField,
    /// A page token that we did not make.
    InvalidPageToken,
    /// No such integration, stack, run, delivery or path.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The name is taken.
    NameTaken,
    /// Somebody else is doing the same right now.
    InProgress,
    /// It was changed since the caller read it.
    ChangedSince,
    /// As many webhook passwords as there can be are valid.
    TooManyPasswords,
    /// The run has come to its end.
    RunEnded,
    /// The stack follows nothing any more.
    StackDetached,
    /// The delivery is no event.
    NotAnEvent,
    /// The delivery was asked for again as often as may be.
    TooManyRedeliveries,
    /// The organization URL is none.
    NotAnOrganizationUrl,
    /// The organization cannot be found.
    OrganizationNotFound,
    /// The token was refused or has expired.
    TokenRefused,
    /// The token lacks Code (Read & write).
    TokenLacksScope,
    /// The token's user may not make service hooks; everything else works.
    ServiceHooksDenied,
    /// Azure DevOps cannot be reached.
    AzureDevOpsUnreachable,
    /// Azure DevOps asks to slow down.
    AzureDevOpsSlowDown,
    /// Azure DevOps gave an answer that is not understood.
    AzureDevOpsUnexpected,
    /// Something of ours failed; trying again may help.
    Unavailable,
}

impl ProblemKind {
    /// Every kind, for the test that pins them.
    pub const ALL: [Self; 22] = [
        Self::InvalidRequest,
        Self::InvalidField,
        Self::InvalidPageToken,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NameTaken,
        Self::InProgress,
        Self::ChangedSince,
        Self::TooManyPasswords,
        Self::RunEnded,
        Self::StackDetached,
        Self::NotAnEvent,
        Self::TooManyRedeliveries,
        Self::NotAnOrganizationUrl,
        Self::OrganizationNotFound,
        Self::TokenRefused,
        Self::TokenLacksScope,
        Self::ServiceHooksDenied,
        Self::AzureDevOpsUnreachable,
        Self::AzureDevOpsSlowDown,
        Self::AzureDevOpsUnexpected,
        Self::Unavailable,
    ];

    /// Status, the last part of `type`, and title.
    #[must_use]
    pub fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidRequest => (
                StatusCode::BAD_REQUEST,
                "invalid-request",
                "The request cannot be read",
            ),
            Self::InvalidField => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-field",
                "A field cannot have this value",
            ),
            Self::InvalidPageToken => (
                StatusCode::BAD_REQUEST,
                "invalid-page-token",
                "The page token is not one of ours",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "The method does not exist here",
            ),
            Self::NameTaken => (StatusCode::CONFLICT, "name-taken", "The name is taken"),
            Self::InProgress => (
                StatusCode::CONFLICT,
                "in-progress",
                "Somebody is doing the same right now",
            ),
            Self::ChangedSince => (
                StatusCode::CONFLICT,
                "changed-since",
                "It was changed since you read it",
            ),
            Self::TooManyPasswords => (
                StatusCode::CONFLICT,
                "too-many-passwords",
                "Too many passwords are valid",
            ),
            Self::RunEnded => (
                StatusCode::CONFLICT,
                "run-ended",
                "The run has come to its end",
            ),
            Self::StackDetached => (
                StatusCode::CONFLICT,
                "stack-detached",
                "The stack follows nothing",
            ),
            Self::NotAnEvent => (
                StatusCode::CONFLICT,
                "not-an-event",
                "The delivery is no event",
            ),
            Self::TooManyRedeliveries => (
                StatusCode::CONFLICT,
                "too-many-redeliveries",
                "The delivery was asked for again too often",
            ),
            Self::NotAnOrganizationUrl => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "not-an-organization-url",
                "This is no organization URL",
            ),
            Self::OrganizationNotFound => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "organization-not-found",
                "The organization cannot be found",
            ),
            Self::TokenRefused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "token-refused",
                "The token was refused or has expired",
            ),
            Self::TokenLacksScope => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "token-lacks-scope",
                "The token lacks Code (Read & write)",
            ),
            Self::ServiceHooksDenied => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "service-hooks-denied",
                "The token's user may not make service hooks",
            ),
            Self::AzureDevOpsUnreachable => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "azure-devops-unreachable",
                "Azure DevOps cannot be reached",
            ),
            Self::AzureDevOpsSlowDown => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "azure-devops-slow-down",
                "Azure DevOps asks to slow down",
            ),
            Self::AzureDevOpsUnexpected => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "azure-devops-unexpected",
                "Azure DevOps gave an answer that is not understood",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Stackhook could not do this right now",
            ),
        }
    }
}

/// A refusal.
#[derive(Debug)]
pub struct Problem {
    kind: ProblemKind,
    detail: String,
    field: Option<Cow<'static, str>>,
    allow: Option<&'static str>,
    retry_after: Option<u32>,
    member: Option<Box<(&'static str, Value)>>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// The body of a refusal (`application/problem+json`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProblemBody<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
    /// What a kind has besides (RFC 9457, 3.2).
    #[serde(flatten)]
    members: BTreeMap<&'static str, Value>,
}

impl Problem {
    /// A problem of the caller's: `detail` says what to do.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            field: None,
            allow: None,
            retry_after: None,
            member: None,
            cause: None,
        }
    }

    /// A field has a value that it cannot have; `what` says which it can.
    #[must_use]
    pub fn field(field: &'static str, what: &dyn std::fmt::Display) -> Self {
        Self::new(ProblemKind::InvalidField, what.to_string()).at(field)
    }

    /// A problem of ours: the caller learns the request id, the log the cause.
    pub fn ours(cause: impl Error + Send + Sync + 'static) -> Self {
        Self {
            retry_after: Some(5),
            cause: Some(Box::new(cause)),
            ..Self::new(
                ProblemKind::Unavailable,
                "Try again in a moment. If it stays so, look for the request id in the function's log.",
            )
        }
    }

    /// Names the field of the request that it is about.
    #[must_use]
    pub fn at(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Names the methods that the path takes.
    #[must_use]
    pub fn allowing(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// Says after how many seconds to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: Option<u32>) -> Self {
        self.retry_after = seconds;
        self
    }

    /// Adds a member of its kind's own to the body.
    #[must_use]
    pub fn with(mut self, member: &'static str, value: Value) -> Self {
        self.member = Some(Box::new((member, value)));
        self
    }

    /// The member of its kind's own.
    #[must_use]
    pub fn member(&self) -> Option<&(&'static str, Value)> {
        self.member.as_deref()
    }

    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// What to do about it.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Tells the log the cause, if it is ours. For what is only a part of an answer; [`Problem::into_response`] does it, too.
    pub fn log(&self, request_id: &str) {
        if let Some(cause) = &self.cause {
            tracing::error!(
                problem = self.kind.parts().1,
                cause = chain(cause.as_ref()),
                request_id,
                "problem"
            );
        }
    }

    /// The answer to the caller; the cause, if it is ours, goes to the log here and nowhere else.
    #[must_use]
    pub fn into_response(self, request_id: &str) -> Response<Body> {
        self.log(request_id);
        let (status, kind, title) = self.kind.parts();
        let body = ProblemBody {
            kind: format!("urn:stackhook:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            field: self.field.as_deref(),
            request_id,
            members: self.member.map(|member| *member).into_iter().collect(),
        };
        let mut response = crate::http::json(status, &body);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An error with all its causes, in one line.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_type_of_its_own() {
        let mut types: Vec<&str> = ProblemKind::ALL.iter().map(|kind| kind.parts().1).collect();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), ProblemKind::ALL.len());
    }

    #[test]
    fn a_problem_of_ours_shows_no_cause() {
        let response = Problem::ours(std::io::Error::other("table stackhook-secret-name"))
            .into_response("r-1");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let Body::Text(body) = response.body() else {
            panic!("no text")
        };
        assert!(
            !body.contains("stackhook-secret-name") && body.contains("r-1"),
            "{body}"
        );
        assert!(response.headers().contains_key("retry-after"));
    }
}
