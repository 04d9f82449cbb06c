//! Signed calls of function URLs, by the programs on a person's machine: `tail` and `console`.
//!
//! Both may what that person may: each call is signed with SigV4, with whatever credentials the person has.

mod answer;
mod person;

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use domain::summary::plain;
use http::{Method, header};
use reqwest::{Client, Url, redirect};

pub use answer::Answer;
pub use person::Person;

/// The most of an answer that is read. Lambda lets none be larger than 6 MB.
const MOST_BYTES: usize = 8 * 1024 * 1024;

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
    /// What is asked for is no path below the function's URL.
    #[error(
        "This path cannot be called: it has an empty or a dotted part, or something that is to be encoded"
    )]
    Path,
    /// The function does not take the question.
    #[error("The function refuses the question: {0}")]
    Question(String),
    /// What may be over in a moment.
    #[error("The function does not answer ({0})")]
    Passing(String),
}

impl Trouble {
    /// Whether another try by itself would meet it again.
    #[must_use]
    pub fn lasts(&self) -> bool {
        !matches!(self, Self::Passing(_))
    }
}

/// What a function is asked.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// How.
    pub method: Method,
    /// The path below the function's URL and the query, encoded: they are sent as they stand here.
    pub path: &'a str,
    /// A body of JSON.
    pub json: Option<Vec<u8>>,
    /// How long an answer is waited for.
    pub patience: Duration,
}

/// Calls a function as somebody.
#[derive(Clone, Debug)]
pub struct Caller {
    http: Client,
    url: String,
    region: String,
    credentials: SharedCredentialsProvider,
}

impl Caller {
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
        let client = Client::builder().redirect(redirect::Policy::none());
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

    /// The region that calls are signed for.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Whatever is answered.
    ///
    /// # Errors
    ///
    /// [`Trouble::NoCredentials`], [`Trouble::Path`], or [`Trouble::Passing`] where there is no whole answer.
    pub async fn call(&self, call: Call<'_>) -> Result<Answer, Trouble> {
        let url = self.address_of(call.path)?;
        // Asked for each call: whoever provides them knows when they expire.
        let credentials = self
            .credentials
            .provide_credentials()
            .await
            .map_err(|error| Trouble::NoCredentials(causes(&error)))?;
        let patience = call.patience;
        let mut request = self
            .sign(&url, call, credentials)
            .map_err(|error| Trouble::Passing(causes(error.as_ref())))?;
        *request.timeout_mut() = Some(patience);
        let mut response = self.http.execute(request).await.map_err(passing)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(passing)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(Trouble::Passing("the answer is too large".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// The address of a path, if it is sent as it stands there: another would not fit its signature, and may lie elsewhere.
    fn address_of(&self, path: &str) -> Result<Url, Trouble> {
        let (route, query) = match path.split_once('?') {
            Some((route, query)) => (route, Some(query)),
            None => (path, None),
        };
        // Signing takes empty parts out, so that the signature would fit another path.
        if !route.starts_with('/') || route.contains("//") {
            return Err(Trouble::Path);
        }
        let base = Url::parse(&self.url).map_err(|_other| Trouble::Path)?;
        let url = Url::parse(&format!("{}{path}", self.url)).map_err(|_other| Trouble::Path)?;
        let wanted = format!("{}{route}", base.path().trim_end_matches('/'));
        if url.path() == wanted && url.query() == query && url.fragment().is_none() {
            Ok(url)
        } else {
            Err(Trouble::Path)
        }
    }

    fn sign(
        &self,
        url: &Url,
        call: Call<'_>,
        credentials: Credentials,
    ) -> Result<reqwest::Request, Box<dyn Error + Send + Sync>> {
        let identity = credentials.into();
        // Its settings are those of all services but S3: what is encoded in the path is encoded once more for the signature.
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("lambda")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?;
        let kind = call.json.is_some().then_some("application/json");
        let body = call.json.unwrap_or_default();
        let headers = kind.map(|kind| (header::CONTENT_TYPE.as_str(), kind));
        let signable = SignableRequest::new(
            call.method.as_str(),
            url.as_str(),
            headers.into_iter(),
            SignableBody::Bytes(&body),
        )?;
        let (instructions, _) = sign(signable, &parameters.into())?.into_parts();
        let mut request = http::Request::builder()
            .method(call.method)
            .uri(url.as_str());
        if let Some((name, kind)) = headers {
            request = request.header(name, kind);
        }
        let mut request = request.body(body)?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request.try_into()?)
    }
}

/// The base URL of a function, without a slash at its end, if it is one: what is signed with somebody's credentials goes
/// nowhere in the clear, but to this machine.
#[must_use]
pub fn address(given: &str) -> Option<String> {
    let trimmed = given.trim_end_matches('/');
    let uri = trimmed.parse::<http::Uri>().ok()?;
    let is_here = matches!(uri.host(), Some("127.0.0.1" | "localhost"));
    let scheme = uri.scheme_str();
    let is_safe = scheme == Some("https") || (scheme == Some("http") && is_here);
    let is_good = is_safe
        && uri.query().is_none()
        && uri.authority().is_some_and(|it| !it.as_str().contains('@'));
    is_good.then(|| trimmed.to_owned())
}

/// What [`address`] takes, in words.
pub const ADDRESS_WANTED: &str = "an https address (http only of this machine)";

/// `https://<id>.lambda-url.<region>.on.aws`.
fn region_of(url: &str) -> Option<String> {
    let uri = url.parse::<http::Uri>().ok()?;
    let (_, region) = uri
        .host()?
        .strip_suffix(".on.aws")?
        .split_once(".lambda-url.")?;
    (!region.contains('.')).then(|| region.to_owned())
}

fn passing(error: reqwest::Error) -> Trouble {
    Trouble::Passing(causes(&error.without_url()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(token: Option<&str>) -> Credentials {
        Credentials::new("AKID", "secret", token.map(str::to_owned), None, "test")
    }

    fn caller(url: &str) -> Caller {
        let keys = SharedCredentialsProvider::new(keys(None));
        Caller::new(url.to_owned(), "eu-west-1".to_owned(), keys).unwrap()
    }

    fn get(path: &str) -> Call<'_> {
        Call {
            method: Method::GET,
            path,
            json: None,
            patience: Duration::from_secs(1),
        }
    }

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
        let url = "https://abc.lambda-url.eu-west-1.on.aws";
        let caller = caller(url);
        for token in [None, Some("lent")] {
            let path = "/deliveries?a=b%3Ac";
            let address = caller.address_of(path).unwrap();
            let request = caller.sign(&address, get(path), keys(token)).unwrap();
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
    fn a_body_is_signed_with_what_it_is() {
        let caller = caller("https://abc.lambda-url.eu-west-1.on.aws");
        let call = Call {
            method: Method::PATCH,
            json: Some(b"{}".to_vec()),
            ..get("/x")
        };
        let address = caller.address_of("/x").unwrap();
        let request = caller.sign(&address, call, keys(None)).unwrap();
        let signature = request.headers()["authorization"].to_str().unwrap();
        assert!(
            signature.contains("SignedHeaders=content-type;host;"),
            "{signature}"
        );
        assert_eq!(request.headers()["content-type"], "application/json");
        assert_eq!(request.method(), Method::PATCH);
        assert_eq!(request.body().unwrap().as_bytes(), Some(b"{}".as_slice()));
    }

    #[test]
    fn a_path_is_called_as_it_stands_there_or_not_at_all() {
        for base in ["https://Abc.example.org", "http://127.0.0.1:1/_aws/x"] {
            let caller = caller(base);
            for path in [
                "/",
                "/integrations/acme/projects/Quay%20Works/repositories",
                "/a/feature%2Fx?page=%2B&b=c%20d&e",
                "/a%25b?",
                "/a/",
                "/a?next=//b/../c",
            ] {
                let url = caller.address_of(path).map(|it| it.to_string());
                let expected = format!("{}{path}", base.to_lowercase());
                assert_eq!(url.unwrap(), expected, "{path}");
            }
            for path in [
                "",
                "x",
                "@example.org/",
                ".example.org/",
                ":1/",
                "//example.org/x",
                "/a//b",
                "/..",
                "/../x",
                "/a/../../x",
                "/a/./b",
                "/%2e%2e/x",
                "/%2E./x",
                "/a\\..\\b",
                "/a b",
                "/a#b",
                "/é",
                "/a\tb",
            ] {
                assert!(
                    matches!(caller.address_of(path), Err(Trouble::Path)),
                    "{path}"
                );
            }
        }
    }

    #[test]
    fn credentials_are_used_over_https_or_on_this_machine_alone() {
        for url in [
            "http://example.org",
            "ftp://127.0.0.1",
            "https://",
            "https://user@example.org",
            "https://x/?a=b",
            "x",
            "",
            "http://127.0.0.1.example.org",
            "http://localhost.example.org",
        ] {
            assert_eq!(address(url), None, "{url}");
        }
        for url in ["https://x.example.org/", "http://127.0.0.1:4566/x//"] {
            assert_eq!(address(url).as_deref(), Some(url.trim_end_matches('/')));
        }
    }
}
