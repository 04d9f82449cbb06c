//! What a function URL does in front of a function: a request becomes an event (payload format 2.0), and the function's
//! answer a response. <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::environment::Outcome;
use crate::in_process::now;

/// The host that a function behind a URL sees, whatever name it was called by here.
const HOST: &str = "5uggiqhegynnkyopgaaqcoevbvcophbd.lambda-url.eu-west-1.on.aws";

/// What a client was told about where it comes from is not believed: these are the URL's own.
const FORWARDED: [(&str, &str); 4] = [
    ("host", HOST),
    ("x-forwarded-for", "203.0.113.24"),
    ("x-forwarded-port", "443"),
    ("x-forwarded-proto", "https"),
];

/// The event of a request.
pub fn event(parts: &Parts, body: &[u8]) -> Value {
    let (mut headers, cookies) = headers(&parts.headers);
    for (name, value) in FORWARDED {
        headers.insert(name.to_owned(), value.into());
    }
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let (api, at) = (HOST.split('.').next().unwrap_or_default(), now());
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": api,
            "authentication": null,
            "domainName": HOST,
            "domainPrefix": api,
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.24",
                "userAgent": headers.get("user-agent").cloned().unwrap_or_default(),
            },
            "requestId": uuid::Uuid::new_v4().to_string(),
            "routeKey": "$default",
            "stage": "$default",
            "time": at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": at.as_millisecond(),
        },
        "isBase64Encoded": false,
        "headers": headers,
    });
    if !cookies.is_empty() {
        event["cookies"] = cookies.into();
    }
    if !body.is_empty() {
        let as_text = is_text(&parts.headers);
        event["isBase64Encoded"] = (!as_text).into();
        event["body"] = if as_text {
            // What a URL does with bytes that are no text is not documented; this is the worst, and what the emulator does.
            String::from_utf8_lossy(body).into()
        } else {
            STANDARD.encode(body).into()
        };
    }
    event
}

/// Headers as an event has them: names in lower case, repeated ones joined by a comma, cookies apart.
fn headers(of: &HeaderMap) -> (Map<String, Value>, Vec<String>) {
    let (mut headers, mut cookies) = (Map::new(), Vec::new());
    for name in of.keys() {
        let values = of.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        if name == header::COOKIE {
            for value in values {
                cookies.extend(value.split("; ").map(str::to_owned));
            }
        } else {
            let joined = values.collect::<Vec<_>>().join(",");
            headers.insert(name.as_str().to_owned(), joined.into());
        }
    }
    (headers, cookies)
}

/// Whether a body of this type is put into an event as text; all else is base64, and so is what has no type.
fn is_text(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.starts_with("text/")
        || [
            "application/json",
            "application/xml",
            "application/javascript",
        ]
        .contains(&kind)
}

/// The response of an outcome.
pub(crate) fn response(outcome: Outcome) -> Response {
    match outcome {
        Outcome::Answered(payload) => answered(&payload).unwrap_or_else(|| {
            (
                StatusCode::BAD_GATEWAY,
                "{\"Message\":\"Internal Server Error\"}",
            )
                .into_response()
        }),
        // What went wrong is told to nobody outside.
        Outcome::Failed(_) => {
            (StatusCode::BAD_GATEWAY, "Internal Server Error").into_response()
        }
        Outcome::Throttled => (
            StatusCode::TOO_MANY_REQUESTS,
            "{\"Reason\":\"ReservedFunctionConcurrentInvocationLimitExceeded\",\"Type\":\"User\",\"message\":\"Rate Exceeded.\"}",
        )
            .into_response(),
        Outcome::TooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large").into_response()
        }
    }
}

/// The response that a function's answer describes; `None` where it describes none.
fn answered(payload: &[u8]) -> Option<Response> {
    let answer: Value = serde_json::from_slice(payload).ok()?;
    let Some(status) = answer["statusCode"].as_u64() else {
        // Whatever else a function answers is the body of a 200.
        let json = [(header::CONTENT_TYPE, "application/json")];
        return Some((json, payload.to_vec()).into_response());
    };
    let text = answer["body"].as_str().unwrap_or_default();
    let body = if answer["isBase64Encoded"] == true {
        STANDARD.decode(text).ok()?
    } else {
        text.as_bytes().to_vec()
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(u16::try_from(status).ok()?).ok()?;
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        let (name, value) = (name.parse::<HeaderName>().ok()?, value.as_str()?);
        response.headers_mut().append(name, value.parse().ok()?);
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        let cookie: HeaderValue = cookie.as_str()?.parse().ok()?;
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Some(response)
}
