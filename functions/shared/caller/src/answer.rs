//! What came back, and what a refusal says.

use http::{HeaderMap, StatusCode, header};
use jiff::{Timestamp, fmt::rfc2822};
use serde_json::Value;

use domain::summary::plain;

use crate::Trouble;

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// When it was given, by the clock of whoever gave it.
    #[must_use]
    pub fn date(&self) -> Option<Timestamp> {
        let text = self.headers.get(header::DATE)?.to_str().ok()?;
        rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
    }

    /// That AWS did not let the call through, in its words. A problem is the function's own.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let kind = self.headers.get(header::CONTENT_TYPE);
        let is_problem =
            kind.is_some_and(|it| it.as_bytes().starts_with(b"application/problem+json"));
        let is_refused = matches!(
            self.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        );
        (is_refused && !is_problem).then(|| self.said())
    }

    /// Itself, if it is what was asked for.
    ///
    /// # Errors
    ///
    /// [`Trouble`] where its status is not 200.
    pub fn taken(self) -> Result<Self, Trouble> {
        if self.status == StatusCode::OK {
            return Ok(self);
        }
        if let Some(said) = self.refusal() {
            return Err(Trouble::Refused(said));
        }
        let said = self.said();
        Err(match self.status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Trouble::Passing(said),
            status if status.is_client_error() => Trouble::Question(said),
            _ => Trouble::Passing(said),
        })
    }

    /// What a refusal says of itself: a problem's `detail`, or AWS' own `message`; in words that can do a terminal no harm.
    fn said(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let words = ["detail", "title", "message", "Message"]
            .iter()
            .find_map(|name| body[name].as_str());
        match words {
            Some(words) => format!("{}: {}", self.status.as_u16(), plain(words)),
            None => self.status.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: StatusCode, body: &str) -> Answer {
        Answer {
            status,
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_refusal_is_told_in_its_own_words_and_without_what_steers_a_terminal() {
        for (status, body, expected) in [
            (
                StatusCode::FORBIDDEN,
                r#"{"Message":"Forbidden"}"#,
                "403: Forbidden",
            ),
            (
                StatusCode::FORBIDDEN,
                r#"{"message":"The security token included in the request is expired"}"#,
                "403: The security token included in the request is expired",
            ),
            (
                StatusCode::BAD_REQUEST,
                r#"{"title":"t","detail":"from is after to"}"#,
                "400: from is after to",
            ),
            (
                StatusCode::BAD_REQUEST,
                r#"{"detail":"\u001b[31mred\r\nline"}"#,
                "400: [31mred line",
            ),
            (
                StatusCode::BAD_GATEWAY,
                "Internal Server Error",
                "502 Bad Gateway",
            ),
        ] {
            assert_eq!(answer(status, body).said(), expected);
        }
    }

    #[test]
    fn what_aws_refuses_is_told_from_a_problem_of_the_function() {
        let mut forbidden = answer(StatusCode::FORBIDDEN, r#"{"Message":"Forbidden"}"#);
        assert_eq!(forbidden.refusal().as_deref(), Some("403: Forbidden"));
        assert!(matches!(
            forbidden.clone().taken(),
            Err(Trouble::Refused(_))
        ));
        let kind = header::HeaderValue::from_static("application/problem+json");
        forbidden.headers.insert(header::CONTENT_TYPE, kind);
        assert_eq!(forbidden.refusal(), None);
        assert!(matches!(forbidden.taken(), Err(Trouble::Question(_))));
        assert_eq!(answer(StatusCode::NOT_FOUND, "").refusal(), None);
    }

    #[test]
    fn the_time_of_an_answer_is_read_as_http_writes_it() {
        let mut answer = answer(StatusCode::OK, "");
        assert_eq!(answer.date(), None);
        answer.headers.insert(
            header::DATE,
            header::HeaderValue::from_static("Tue, 24 Nov 2026 10:14:59 GMT"),
        );
        assert_eq!(answer.date(), "2026-11-24T10:14:59Z".parse().ok());
    }
}
