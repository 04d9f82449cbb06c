//! Answers: JSON as the service writes it, its error bodies, and the pages it gives to browsers.

use axum::body::Body as HttpBody;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

/// What an answer carries.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Empty,
    Json(Value),
    Text(String),
    Html(String),
    Bytes(Vec<u8>),
    /// Says it is JSON and is not.
    Broken(&'static str),
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

impl Reply {
    pub(crate) fn json(status: u16, value: Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Json(value),
        }
    }

    pub(crate) fn ok(value: Value) -> Self {
        Self::json(200, value)
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Empty,
        }
    }

    pub(crate) fn html(status: u16, page: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Html(page.to_owned()),
        }
    }

    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Text(text.to_owned()),
        }
    }

    /// An error in the service's body shape (facts 7). Clients tell errors apart by `typeKey`.
    pub(crate) fn error(status: u16, type_key: &str, message: &str) -> Self {
        let namespace = "Microsoft.VisualStudio.Services.Common";
        Self::json(
            status,
            json!({
                "$id": "1",
                "innerException": null,
                "message": message,
                "typeName": format!("{namespace}.{type_key}, {namespace}"),
                "typeKey": type_key,
                "errorCode": 0,
                "eventId": 3000,
            }),
        )
    }

    /// The other error shape: what the web framework says before the service does (facts 7).
    pub(crate) fn framework_error(status: u16, message: &str) -> Self {
        Self::json(
            status,
            json!({ "count": 1, "value": { "Message": message } }),
        )
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// What a browser would be shown: 203, which a careless client takes for data (facts 7, 10).
    pub(crate) fn sign_in_page() -> Self {
        Self::html(
            203,
            "<!DOCTYPE html>\r\n<html lang=\"en-US\"><head><title>Azure DevOps Services | Sign In</title></head><body></body></html>",
        )
    }

    pub(crate) fn sign_in_redirect(host: &str) -> Self {
        Self::html(
            302,
            "<html><head><title>Object moved</title></head><body></body></html>",
        )
        .with(
            "Location",
            format!("http://{host}/_signin?realm=dev.azure.com"),
        )
    }

    /// The same answer, but of JSON that ends in the middle.
    pub(crate) fn cut_off(mut self) -> Self {
        self.body = Body::Broken("{\"count\":1,\"value\":[{\"id\":\"");
        self
    }

    pub(crate) fn into_response(self, api_version: &str) -> Response<HttpBody> {
        let json_type = if api_version.is_empty() {
            "application/json; charset=utf-8".to_owned()
        } else {
            format!("application/json; charset=utf-8; api-version={api_version}")
        };
        let (content_type, body) = match self.body {
            Body::Empty => (None, Vec::new()),
            Body::Json(value) => (Some(json_type), value.to_string().into_bytes()),
            Body::Broken(text) => (Some(json_type), text.as_bytes().to_vec()),
            Body::Text(text) => (
                Some("text/plain; charset=utf-8".to_owned()),
                text.into_bytes(),
            ),
            Body::Html(page) => (
                Some("text/html; charset=utf-8".to_owned()),
                page.into_bytes(),
            ),
            Body::Bytes(bytes) => (Some("application/octet-stream".to_owned()), bytes),
        };
        let mut response = Response::new(HttpBody::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = self
            .headers
            .into_iter()
            .chain(content_type.map(|it| ("Content-Type", it)));
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
