//! A signed call of the delivery log, and what stands in its way.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use aws_config::{BehaviorVersion, Region, meta::region::RegionProviderChain};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use domain::summary::plain;
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{Client, StatusCode, header, redirect};
use serde_json::Value;

use crate::Options;

/// How long an answer is waited for: the function's own time and some.
const PATIENCE: Duration = Duration::from_secs(40);

/// What stands in the way of an answer.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// There are no credentials, or they cannot be had now.
    #[error(
        "There are no AWS credentials to sign with ({0}): set AWS_PROFILE, sign in (aws sso login), or put AWS_ACCESS_KEY_ID and its companions into the environment"
    )]
    NoCredentials(String),
    /// Nobody knows in which region the function is.
    #[error(
        "In which region is the function? Its URL does not say it: give --region, or set AWS_REGION"
    )]
    NoRegion,
    /// AWS does not let this caller call.
    #[error(
        "AWS refuses the call ({0}): you need the policy stackhook-<environment>-operator (infra/README.md), and credentials that have not expired, of the right account"
    )]
    Refused(String),
    /// The function does not take the question.
    #[error("The delivery log refuses the question: {0}")]
    Question(String),
    /// What may be over in a moment.
    #[error("The delivery log does not answer ({0})")]
    Passing(String),
}

impl Trouble {
    /// Whether another try by itself would meet it again.
    #[must_use]
    pub fn lasts(&self) -> bool {
        !matches!(self, Self::Passing(_))
    }
}

/// An answer that is one.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: String,
    /// When it was given, by the clock of whoever gave it.
    pub(crate) at: Option<Timestamp>,
}

/// Calls the delivery log as somebody.
#[derive(Clone, Debug)]
pub struct Caller {
    http: Client,
    url: String,
    region: String,
    credentials: SharedCredentialsProvider,
}

impl Caller {
    /// With the credentials of whoever runs this: AWS' usual chain.
    ///
    /// # Errors
    ///
    /// [`Trouble::NoCredentials`] or [`Trouble::NoRegion`].
    pub async fn of_this_person(options: &Options) -> Result<Self, Trouble> {
        let known = options.region.clone().or_else(|| region_of(&options.url));
        let region = RegionProviderChain::first_try(known.map(Region::new)).or_default_provider();
        let aws = aws_config::defaults(BehaviorVersion::latest())
            .region(region)
            .load()
            .await;
        let region = aws.region().ok_or(Trouble::NoRegion)?.to_string();
        let credentials = aws
            .credentials_provider()
            .ok_or_else(|| Trouble::NoCredentials("no provider".to_owned()))?;
        Self::new(options.url.clone(), region, credentials)
    }

    /// With given credentials.
    ///
    /// # Errors
    ///
    /// [`Trouble::Passing`] where there can be no client, for want of certificates for one.
    pub fn new(
        url: String,
        region: String,
        credentials: SharedCredentialsProvider,
    ) -> Result<Self, Trouble> {
        // A signature is for one address.
        let client = Client::builder()
            .timeout(PATIENCE)
            .redirect(redirect::Policy::none());
        // No proxy knows this machine's own.
        let client = if url.starts_with("http://") {
            client.no_proxy()
        } else {
            client
        };
        Ok(Self {
            http: client
                .build()
                .map_err(|error| Trouble::Passing(causes(&error)))?,
            url,
            region,
            credentials,
        })
    }

    /// Asks for a path with a query.
    pub(crate) async fn get(&self, question: &str) -> Result<Answer, Trouble> {
        let request = self.signed(&format!("{}{question}", self.url)).await?;
        let response = self
            .http
            .execute(request)
            .await
            .map_err(|error| Trouble::Passing(causes(&error.without_url())))?;
        let (status, at) = (response.status(), date(response.headers()));
        let body = response
            .text()
            .await
            .map_err(|error| Trouble::Passing(causes(&error.without_url())))?;
        if status == StatusCode::OK {
            return Ok(Answer { body, at });
        }
        let said = said(status, &body);
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Trouble::Refused(said),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Trouble::Passing(said),
            status if status.is_client_error() => Trouble::Question(said),
            _ => Trouble::Passing(said),
        })
    }

    async fn signed(&self, url: &str) -> Result<reqwest::Request, Trouble> {
        // Asked for each call: whoever provides them knows when they expire.
        let credentials = self
            .credentials
            .provide_credentials()
            .await
            .map_err(|error| no_credentials(&error))?;
        self.sign(url, credentials)
            .map_err(|error| Trouble::Passing(causes(error.as_ref())))
    }

    fn sign(
        &self,
        url: &str,
        credentials: Credentials,
    ) -> Result<reqwest::Request, Box<dyn Error + Send + Sync>> {
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("lambda")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?;
        let signable =
            SignableRequest::new("GET", url, std::iter::empty(), SignableBody::Bytes(&[]))?;
        let (instructions, _) = sign(signable, &parameters.into())?.into_parts();
        let mut request = http::Request::get(url).body("")?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request.try_into()?)
    }
}

/// `https://<id>.lambda-url.<region>.on.aws`.
fn region_of(url: &str) -> Option<String> {
    let uri = url.parse::<http::Uri>().ok()?;
    let (_, region) = uri
        .host()?
        .strip_suffix(".on.aws")?
        .split_once(".lambda-url.")?;
    (!region.contains('.')).then(|| region.to_owned())
}

fn no_credentials(error: &CredentialsError) -> Trouble {
    Trouble::NoCredentials(causes(error))
}

/// What a refusal says of itself: a problem's `detail`, or AWS' own `message`; in words that can do a terminal no harm.
fn said(status: StatusCode, body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let words = ["detail", "title", "message", "Message"]
        .iter()
        .find_map(|name| body[name].as_str());
    match words {
        Some(words) => format!("{}: {}", status.as_u16(), plain(words)),
        None => status.to_string(),
    }
}

/// An error with what is behind it.
fn causes(error: &dyn Error) -> String {
    let mut words = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_words = cause.to_string();
        // Many say what their cause says.
        if words.last().is_none_or(|last| !last.contains(&cause_words)) {
            words.push(cause_words);
        }
        next = cause.source();
    }
    plain(&words.join(": "))
}

fn date(headers: &header::HeaderMap) -> Option<Timestamp> {
    let text = headers.get(header::DATE)?.to_str().ok()?;
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_url_says_its_region_and_another_address_does_not() {
        for (url, region) in [
            (
                "https://abc.lambda-url.eu-central-1.on.aws",
                Some("eu-central-1"),
            ),
            (
                "https://abc.lambda-url.eu-central-1.on.aws/x",
                Some("eu-central-1"),
            ),
            ("http://127.0.0.1:4566/_aws/lambda-url/abc", None),
            ("https://deliveries.example.org", None),
            ("https://a.lambda-url.b.c.on.aws", None),
        ] {
            assert_eq!(region_of(url).as_deref(), region, "{url}");
        }
    }

    #[test]
    fn what_was_lent_for_a_session_is_signed_with_its_token() {
        let keys = |token: Option<&str>| {
            Credentials::new("AKID", "secret", token.map(str::to_owned), None, "test")
        };
        let url = "https://abc.lambda-url.eu-west-1.on.aws";
        let caller = Caller::new(
            url.to_owned(),
            "eu-west-1".to_owned(),
            SharedCredentialsProvider::new(keys(None)),
        )
        .unwrap();
        for token in [None, Some("lent")] {
            let request = caller
                .sign(&format!("{url}/deliveries?a=b%3Ac"), keys(token))
                .unwrap();
            let header = |name: &str| request.headers().get(name).map(|it| it.to_str().unwrap());
            assert_eq!(header("x-amz-security-token"), token);
            assert!(
                header("authorization")
                    .unwrap()
                    .contains("/eu-west-1/lambda/aws4_request")
            );
            assert_eq!(request.url().as_str(), format!("{url}/deliveries?a=b%3Ac"));
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
            assert_eq!(said(status, body), expected);
        }
    }

    #[test]
    fn the_time_of_an_answer_is_read_as_http_writes_it() {
        let mut headers = header::HeaderMap::new();
        assert_eq!(date(&headers), None);
        headers.insert(
            header::DATE,
            header::HeaderValue::from_static("Tue, 24 Nov 2026 10:14:59 GMT"),
        );
        assert_eq!(date(&headers), "2026-11-24T10:14:59Z".parse().ok());
    }
}
