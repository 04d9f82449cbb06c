//! A request as the API looks at it: decoded path segments, decoded query, headers, body.
//! Paths are compared without regard to case, and empty segments do not count: a leading `//` is tolerated.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::reply::Reply;

/// More than any client of ours sends.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// A request that came in whole.
#[derive(Debug)]
pub(crate) struct ApiRequest {
    pub(crate) method: Method,
    /// As it was sent, for the record.
    pub(crate) path_and_query: String,
    /// Decoded, in lower case.
    pub(crate) segments: Vec<String>,
    /// Decoded, as they were sent.
    cased: Vec<String>,
    query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl ApiRequest {
    pub(crate) async fn read(request: axum::http::Request<Body>) -> Option<Self> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, LARGEST_BODY).await.ok()?;
        let query = parts.uri.query().unwrap_or_default();
        let cased = segments(parts.uri.path());
        Some(Self {
            method: parts.method,
            path_and_query: parts
                .uri
                .path_and_query()
                .map(|it| it.as_str().to_owned())
                .unwrap_or_default(),
            segments: cased.iter().map(|it| it.to_lowercase()).collect(),
            cased,
            query: pairs(query),
            headers: parts.headers,
            body,
        })
    }

    /// A request that was not sent over HTTP, but asked for in process.
    pub(crate) fn made(method: Method, path_and_query: &str, body: &Value) -> Self {
        let (path, query) = path_and_query
            .split_once('?')
            .unwrap_or((path_and_query, ""));
        let cased = segments(path);
        Self {
            method,
            path_and_query: path_and_query.to_owned(),
            segments: cased.iter().map(|it| it.to_lowercase()).collect(),
            cased,
            query: pairs(query),
            headers: HeaderMap::new(),
            body: if body.is_null() {
                Bytes::new()
            } else {
                body.to_string().into()
            },
        }
    }

    /// The value of a query parameter, whatever the case of its name. An empty one counts as absent.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .filter(|it| !it.is_empty())
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.query(name)
            .is_some_and(|it| it.eq_ignore_ascii_case("true"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<usize>, Reply> {
        let parse = |text: &str| {
            text.parse().map_err(|_error| {
                Reply::framework_error(
                    400,
                    &format!("The value '{text}' is not valid for '{name}'."),
                )
            })
        };
        self.query(name).map(parse).transpose()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What follows a segment, joined again, in its own case: a ref may have slashes, and its case counts.
    pub(crate) fn cased_rest(&self, after: &str) -> String {
        let at = self
            .segments
            .iter()
            .position(|it| it == after)
            .map_or(self.cased.len(), |at| at + 1);
        self.cased[at..].join("/")
    }

    /// The body as JSON of this type.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        if self.body.is_empty() {
            return serde_json::from_slice(b"{}");
        }
        serde_json::from_slice(&self.body)
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn segments(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|it| !it.is_empty())
        .map(decoded)
        .collect()
}

fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|it| !it.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                decoded(&name.replace('+', " ")),
                decoded(&value.replace('+', " ")),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_after_it_is_split_and_doubled_slashes_do_not_count() {
        assert_eq!(
            segments("//Tidewater//Quay%20Works/_apis/a%2Fb/"),
            ["Tidewater", "Quay Works", "_apis", "a/b"]
        );
    }

    #[test]
    fn a_query_is_decoded() {
        assert_eq!(
            pairs("%24top=2&filter=heads%2Ffeature+x"),
            [
                ("$top".to_owned(), "2".to_owned()),
                ("filter".to_owned(), "heads/feature x".to_owned())
            ]
        );
    }
}
