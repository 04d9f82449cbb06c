//! What a tap answers in DynamoDB's place.

/// An answer that DynamoDB did not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    content_type: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// An error's type, in the envelope that DynamoDB puts it in.
    Error(&'static str),
    Bytes(&'static [u8]),
}

const AWS_JSON: &str = "application/x-amz-json-1.0";

/// Errors that end with the load, or with somebody at AWS: the SDK or the sender tries again.
pub const THROTTLED: [Answer; 3] = [
    Answer::error(400, "ProvisionedThroughputExceededException"),
    Answer::error(400, "ThrottlingException"),
    Answer::error(400, "RequestLimitExceeded"),
];
/// A fault of the service.
pub const INTERNAL_ERROR: Answer = Answer::error(500, "InternalServerError");
/// What is deployed does not fit together.
pub const MISCONFIGURED: [Answer; 2] = [
    Answer::error(400, "ResourceNotFoundException"),
    Answer::error(400, "AccessDeniedException"),
];
/// The request itself is refused, as often as it comes.
pub const INVALID: Answer = Answer::error(400, "ValidationException");
/// Credentials that have run out, that nobody knows (any more), or that were used by a clock that is wrong.
pub const NOT_SIGNED: [Answer; 4] = [
    Answer::error(400, "ExpiredTokenException"),
    Answer::error(400, "UnrecognizedClientException"),
    Answer::error(400, "InvalidSignatureException"),
    Answer::error(403, "RequestExpired"),
];
/// A 200 that is none of DynamoDB's language.
pub const GARBAGE: Answer = Answer::ok(b"\x00\xff<html>", &[]);
/// A 200 whose body ends in the middle.
pub const TRUNCATED: Answer = Answer::ok(b"{\"Attributes\":{\"pk\":{\"S\":\"a", &[]);
/// A 200 whose checksum belongs to another body.
pub const WRONG_CHECKSUM: Answer = Answer::ok(b"{}", &[("x-amz-crc32", "1")]);
/// What a proxy or load balancer in between says.
pub const NO_JSON_503: Answer = Answer {
    status: 503,
    content_type: "text/html",
    headers: &[],
    body: Body::Bytes(b"<html><body>Service Unavailable</body></html>"),
};

impl Answer {
    /// An error of DynamoDB's.
    pub const fn error(status: u16, kind: &'static str) -> Self {
        Self {
            status,
            content_type: AWS_JSON,
            headers: &[],
            body: Body::Error(kind),
        }
    }

    /// A success of DynamoDB's.
    pub const fn ok(body: &'static [u8], headers: &'static [(&'static str, &'static str)]) -> Self {
        Self {
            status: 200,
            content_type: AWS_JSON,
            headers,
            body: Body::Bytes(body),
        }
    }

    /// The answer as it goes over the line.
    pub(super) fn bytes(self) -> Vec<u8> {
        let body = match self.body {
            Body::Error(kind) => {
                format!("{{\"__type\":\"com.amazonaws.dynamodb.v20120810#{kind}\",\"message\":\"planted by a test\"}}").into_bytes()
            }
            Body::Bytes(bytes) => bytes.to_vec(),
        };
        let mut head = format!(
            "HTTP/1.1 {} Planted\r\ncontent-type: {}\r\ncontent-length: {}\r\nx-amzn-requestid: PLANTED\r\n",
            self.status,
            self.content_type,
            body.len()
        );
        for (name, value) in self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        [head.into_bytes(), body].concat()
    }
}
