//! The console on a free port, with a small server in the place of the functions.

use std::{
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicUsize, Ordering},
};

use aws_credential_types::{
    Credentials,
    credential_fn::provide_credentials_fn,
    provider::{SharedCredentialsProvider, error::CredentialsError},
};
use axum::body::Bytes;
use http::{HeaderMap, HeaderName};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// How long an answer is waited for, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);
/// And where none is to come in time.
const SHORT: Duration = Duration::from_secs(1);
const MIB: usize = 1024 * 1024;

/// What was written somewhere.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// What a function was asked.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A server in the place of a function. What it answers goes by the last part of the path.
#[derive(Default)]
struct Function {
    asked: Mutex<Vec<Asked>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl Function {
    async fn start() -> (Arc<Self>, String) {
        let function = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(answer_as_function)
            .with_state(function.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (function, url)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer_as_function(State(function): State<Arc<Function>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 2 * MIB).await.unwrap();
    let path = parts.uri.path().to_owned();
    function.asked.lock().unwrap().push(Asked {
        method: parts.method,
        target: parts.uri.to_string(),
        headers: parts.headers,
        body,
    });
    let answer = |status: u16, kind: &str, body: &str| {
        Response::builder()
            .status(status)
            .header("content-type", kind)
            .body(Body::from(body.to_owned()))
            .unwrap()
    };
    match path.rsplit('/').next().unwrap() {
        "forbidden" => answer(403, "application/json", r#"{"Message":"Forbidden"}"#),
        "expired" => answer(
            403,
            "application/json",
            r#"{"message":"The security token included in the request is expired"}"#,
        ),
        "problem" => answer(
            403,
            "application/problem+json",
            r#"{"type":"urn:x","detail":"no"}"#,
        ),
        "broken" => answer(502, "text/plain", "Internal Server Error"),
        "nothing" => Response::builder().status(204).body(Body::empty()).unwrap(),
        "talkative" => {
            let mut response = answer(429, "application/json; charset=utf-8", "{}");
            for (name, value) in [
                ("retry-after", "7"),
                ("set-cookie", "a=b"),
                ("location", "https://example.org"),
                ("access-control-allow-origin", "*"),
                ("content-security-policy", "default-src *"),
                ("cache-control", "public"),
                ("link", "<https://example.org/x.css>; rel=stylesheet"),
                ("refresh", "0; url=https://example.org"),
                ("x-amzn-requestid", "x"),
            ] {
                response.headers_mut().insert(
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
            }
            response
        }
        "elsewhere" => Response::builder()
            .status(302)
            .header("location", "/base/landed")
            .body(Body::empty())
            .unwrap(),
        "slow" => {
            tokio::time::sleep(PATIENCE).await;
            answer(200, "application/json", "{}")
        }
        "counted" => {
            let now = function.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            function.most_under_way.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            function.under_way.fetch_sub(1, Ordering::SeqCst);
            answer(200, "application/json", "{}")
        }
        _ => answer(200, "application/json", r#"{"is":"<b>text</b>"}"#),
    }
}

/// A console that runs, with one function in the place of all.
struct Bed {
    function: Arc<Function>,
    url: String,
    link: String,
    links: Paper,
    notes: Paper,
    http: Client,
}

impl Bed {
    async fn start() -> Self {
        let (function, url) = Function::start().await;
        Self::with(function, url, keys(), None).await
    }

    /// One that does not wait for long.
    async fn start_hasty() -> Self {
        let (function, url) = Function::start().await;
        Self::waiting(SHORT, function, url, keys(), None).await
    }

    async fn with(
        function: Arc<Function>,
        url: String,
        keys: SharedCredentialsProvider,
        ready_file: Option<PathBuf>,
    ) -> Self {
        Self::waiting(PATIENCE, function, url, keys, ready_file).await
    }

    async fn waiting(
        patience: Duration,
        function: Arc<Function>,
        url: String,
        keys: SharedCredentialsProvider,
        ready_file: Option<PathBuf>,
    ) -> Self {
        let (links, notes) = (Paper::default(), Paper::default());
        let terminal = Terminal {
            links: Some(Box::new(links.clone())),
            notes: Box::new(notes.clone()),
        };
        let person = Person::new(Some("eu-west-1".to_owned()), keys);
        let options = Options {
            ready_file,
            ..options(url)
        };
        let console = Console::open_with(&options, &person, terminal, patience)
            .await
            .unwrap();
        let (url, link) = (console.url(), console.link());
        tokio::spawn(console.serve());
        Self {
            function,
            url,
            link,
            links,
            notes,
            http: Client::builder().no_proxy().build().unwrap(),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    async fn session(&self, link: &str) -> Told {
        let code = link.split_once('#').unwrap().1;
        let request = self.request(Method::POST, "/session");
        told(
            request
                .header("content-type", "application/json")
                .body(json!({ "code": code }).to_string()),
        )
        .await
    }

    /// As no client of ours would write it.
    async fn raw(&self, head: &str, body: &str) -> String {
        let host = self.url.strip_prefix("http://").unwrap();
        let stream = tokio::net::TcpStream::connect(host).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let request = format!("{head}\r\nhost: {host}\r\nconnection: close\r\n\r\n{body}");
        // It may be answered, and the connection ended, before all of it is sent.
        let writing = tokio::spawn(async move {
            let _cut_off = writer.write_all(request.as_bytes()).await;
            writer
        });
        let mut answer = String::new();
        reader.read_to_string(&mut answer).await.unwrap();
        drop(writing.await);
        answer
    }

    /// A session, and calls in it.
    async fn page(&self) -> Page<'_> {
        let link = self.links.lines().last().unwrap().trim().to_owned();
        let opened = self.session(&link).await;
        Page {
            bed: self,
            token: opened.body["token"].as_str().unwrap().to_owned(),
        }
    }
}

struct Page<'a> {
    bed: &'a Bed,
    token: String,
}

impl Page<'_> {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.bed.request(method, path);
        request.header("x-stackhook-console", &self.token)
    }

    async fn get(&self, path: &str) -> Told {
        told(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, kind: Option<&str>, body: impl Into<reqwest::Body>) -> Told {
        let request = self.request(Method::POST, path).body(body);
        told(match kind {
            Some(kind) => request.header("content-type", kind),
            None => request,
        })
        .await
    }
}

/// An answer of the console.
#[derive(Debug)]
struct Told {
    status: u16,
    headers: HeaderMap,
    body: Value,
    text: String,
}

impl Told {
    /// The last part of the problem's `type`, with its status, if it is one of the console's own.
    fn problem(&self) -> String {
        let kind = self.body["type"].as_str().unwrap_or_default();
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], self.status, "{}", self.text);
        let kind = kind.strip_prefix("urn:stackhook:console:");
        format!(
            "{} {}",
            self.status,
            kind.expect("a problem of the console")
        )
    }

    fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap()
    }
}

async fn told(request: RequestBuilder) -> Told {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    Told {
        status,
        headers,
        body: serde_json::from_str(&text).unwrap_or_default(),
        text,
    }
}

fn options(url: String) -> Options {
    Options {
        port: 0,
        ready_file: None,
        region: None,
        environment: Some("local".to_owned()),
        urls: crate::Function::ALL.map(|it| (it, url.clone())),
    }
}

fn keys() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new("AKID", "kept-secret", None, None, "test"))
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("console-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test]
async fn every_answer_has_the_policy_and_keeps_itself_to_the_page() {
    let bed = Bed::start().await;
    let page = bed.page().await;
    let host = bed.url.strip_prefix("http://").unwrap();
    let port = host.rsplit(':').next().unwrap();
    let own = bed.url.clone();
    let local = format!("http://localhost:{port}");
    let get = |path: &str| bed.request(Method::GET, path);
    let of_local = format!("localhost:{port}");
    for (what, origin, status, request) in [
        ("page", &own, 200, get("/")),
        (
            "page under its other name",
            &local,
            200,
            get("/").header("host", &of_local),
        ),
        ("page elsewhere", &own, 404, get("/nowhere")),
        ("head", &own, 200, bed.request(Method::HEAD, "/stacks")),
        ("asset", &own, 200, get("/assets/index.html")),
        ("no asset", &own, 404, get("/assets/nothing.js")),
        ("host", &own, 403, get("/").header("host", "example.org")),
        ("origin", &own, 403, get("/").header("origin", "null")),
        ("method", &own, 405, bed.request(Method::POST, "/")),
        ("no session", &own, 401, get("/api/setup/x")),
        ("no code", &own, 415, bed.request(Method::POST, "/session")),
        (
            "about",
            &own,
            200,
            page.request(Method::GET, "/api/console"),
        ),
        (
            "answer",
            &own,
            200,
            page.request(Method::GET, "/api/setup/x"),
        ),
        (
            "answer with headers",
            &own,
            429,
            page.request(Method::GET, "/api/setup/talkative"),
        ),
        (
            "refused",
            &own,
            403,
            page.request(Method::GET, "/api/runs/forbidden"),
        ),
        (
            "no function",
            &own,
            404,
            page.request(Method::GET, "/api/webhook/x"),
        ),
    ] {
        let answer = told(request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        let header = |name: &str| {
            let all: Vec<_> = answer.headers.get_all(name).iter().collect();
            assert_eq!(all.len(), 1, "{what}: {name}");
            all[0].to_str().unwrap()
        };
        assert_eq!(
            header("content-security-policy"),
            format!(
                "default-src 'none'; script-src {origin}/assets/; style-src {origin}/assets/; img-src {origin}/assets/; \
                 connect-src {origin}/api/ {origin}/session; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                 require-trusted-types-for 'script'; trusted-types 'none'"
            ),
            "{what}"
        );
        assert_eq!(header("cache-control"), "no-store", "{what}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{what}");
        assert_eq!(
            header("cross-origin-opener-policy"),
            "same-origin",
            "{what}"
        );
        assert_eq!(
            header("cross-origin-resource-policy"),
            "same-origin",
            "{what}"
        );
        let is_shared = answer
            .headers
            .keys()
            .any(|it| it.as_str().starts_with("access-control-"));
        assert!(!is_shared, "{what}");
    }
}

#[tokio::test]
async fn the_page_comes_to_get_and_head_alone() {
    let bed = Bed::start().await;
    let page = told(bed.request(Method::GET, "/integrations/acme")).await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.text.starts_with("<!doctype html>"), "{}", page.text);
    let head = told(bed.request(Method::HEAD, "/integrations/acme")).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"], page.text.len().to_string());
    for (method, path, allowed) in [
        (Method::POST, "/", "GET, HEAD"),
        (Method::DELETE, "/integrations/acme", "GET, HEAD"),
        (Method::OPTIONS, "/nowhere", "GET, HEAD"),
        (Method::PUT, "/assets/index.html", "GET, HEAD"),
        (Method::GET, "/session", "POST"),
        (Method::HEAD, "/session", "POST"),
    ] {
        let answer = told(bed.request(method.clone(), path)).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.headers["allow"], allowed, "{method} {path}");
    }
    assert_eq!(
        bed.link,
        bed.links.lines()[0].trim(),
        "and no code is spent"
    );
}

#[tokio::test]
async fn a_link_opens_one_session_and_the_next_one_is_told() {
    let ready_file = folder("ready").join("console.json");
    let (function, url) = Function::start().await;
    let bed = Bed::with(function, url, keys(), Some(ready_file.clone())).await;
    let ready = || {
        let mode = fs::metadata(&ready_file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        serde_json::from_slice::<Value>(&fs::read(&ready_file).unwrap()).unwrap()
    };
    assert_eq!(ready(), json!({ "url": bed.url, "link": bed.link }));

    let wrong = bed.session("#wrong").await;
    assert_eq!(wrong.problem(), "403 link-used");
    assert_eq!(ready()["link"], bed.link, "a wrong code spends nothing");
    let opened = bed.session(&bed.link).await;
    assert_eq!(opened.status, 200);
    assert_eq!(opened.body["token"].as_str().map(str::len), Some(43));
    assert_eq!(bed.session(&bed.link).await.problem(), "403 link-used");

    let links = bed.links.lines();
    assert_eq!(links.len(), 2, "{links:?}");
    assert_ne!(links[1].trim(), bed.link);
    assert_eq!(ready(), json!({ "url": bed.url, "link": links[1].trim() }));
    assert_eq!(bed.session(&links[1]).await.status, 200);
    // Nothing is left beside it.
    let files = fs::read_dir(ready_file.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1);
    fs::remove_dir_all(ready_file.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn a_code_comes_as_a_small_json_body_from_the_own_page() {
    let bed = Bed::start().await;
    let code = bed.link.split_once('#').unwrap().1;
    let body = json!({ "code": code }).to_string();
    let post = || bed.request(Method::POST, "/session");
    let json = || post().header("content-type", "application/json");
    for (request, expected) in [
        (post().body(body.clone()), "415 not-json"),
        (
            post()
                .header("content-type", "text/plain")
                .body(body.clone()),
            "415 not-json",
        ),
        (json().body("{}"), "415 not-json"),
        (json().body("[]"), "415 not-json"),
        (json().body("x".repeat(1025)), "413 too-large"),
        (
            json()
                .header("origin", "https://example.org")
                .body(body.clone()),
            "403 wrong-origin",
        ),
        (
            json()
                .header("sec-fetch-site", "cross-site")
                .body(body.clone()),
            "403 wrong-origin",
        ),
        (
            json()
                .header("host", "rebound.example.org")
                .body(body.clone()),
            "403 wrong-host",
        ),
        (
            json().body(body.replace("\":\"", "\":\"x")),
            "403 link-used",
        ),
    ] {
        assert_eq!(told(request).await.problem(), expected);
    }
    assert_eq!(
        told(json().body(body)).await.status,
        200,
        "nothing has spent it"
    );
}

#[tokio::test]
async fn nobody_without_a_token_reaches_a_function() {
    let bed = Bed::start().await;
    let page = bed.page().await;
    let with = |token: &str| {
        bed.request(Method::GET, "/api/setup/x")
            .header("x-stackhook-console", token)
    };
    for (request, expected) in [
        (bed.request(Method::GET, "/api/setup/x"), "401 no-session"),
        (
            bed.request(Method::DELETE, "/api/unlink/integrations/x"),
            "401 no-session",
        ),
        (bed.request(Method::GET, "/api/console"), "401 no-session"),
        (
            bed.request(
                Method::GET,
                &format!("/api/setup/x?x-stackhook-console={}", page.token),
            ),
            "401 no-session",
        ),
        (
            bed.request(Method::GET, "/api/setup/x")
                .header("cookie", format!("x-stackhook-console={}", page.token)),
            "401 no-session",
        ),
        (with("wrong"), "401 no-session"),
        (with(""), "401 no-session"),
        (with(bed.link.split_once('#').unwrap().1), "401 no-session"),
        (
            with(&page.token).header("origin", "https://example.org"),
            "403 wrong-origin",
        ),
        (
            with(&page.token).header("sec-fetch-site", "same-site"),
            "403 wrong-origin",
        ),
        (
            with(&page.token).header("host", "localhost"),
            "403 wrong-host",
        ),
    ] {
        assert_eq!(told(request).await.problem(), expected);
    }
    assert!(bed.function.asked().is_empty());
    assert_eq!(told(with(&page.token)).await.status, 200);
    assert_eq!(bed.function.asked().len(), 1);
}

#[tokio::test]
async fn what_the_page_asks_is_handed_on_as_it_was_sent() {
    let bed = Bed::start().await;
    let page = bed.page().await;
    for (method, path, target) in [
        (Method::GET, "/api/setup", None),
        (Method::GET, "/api/setup/", Some("/base/")),
        (
            Method::GET,
            "/api/setup/integrations",
            Some("/base/integrations"),
        ),
        (
            Method::GET,
            "/api/setup/integrations/x/projects/Quay%20Works/repositories?search=a%2Fb%26c&page=2",
            Some("/base/integrations/x/projects/Quay%20Works/repositories?search=a%2Fb%26c&page=2"),
        ),
        (
            Method::GET,
            "/api/stacks/a/feature%2Fx/%C3%A9%25",
            Some("/base/a/feature%2Fx/%C3%A9%25"),
        ),
        (
            Method::GET,
            "/api/runs/r?q=a+b%2B",
            Some("/base/r?q=a%20b%2B"),
        ),
        (Method::PUT, "/api/setup/p", Some("/base/p")),
        (Method::PATCH, "/api/runs/p", Some("/base/p")),
        (
            Method::DELETE,
            "/api/unlink/integrations/x?force=true",
            Some("/base/integrations/x?force=true"),
        ),
    ] {
        let before = bed.function.asked().len();
        let answer = told(page.request(method.clone(), path)).await;
        let Some(target) = target else {
            assert_eq!(answer.problem(), "400 wrong-path", "{path}");
            continue;
        };
        assert_eq!(
            (answer.status, answer.text.as_str()),
            (200, r#"{"is":"<b>text</b>"}"#),
            "{path}"
        );
        let asked = bed.function.asked()[before].clone();
        assert_eq!((asked.method, asked.target.as_str()), (method, target));
        let signature = asked.headers["authorization"].to_str().unwrap();
        assert!(
            signature.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"),
            "{signature}"
        );
        assert!(
            signature.contains("/eu-west-1/lambda/aws4_request"),
            "{signature}"
        );
    }
    let body = r#"{"name": "a",  "é": 1}"#;
    let answer = page
        .post(
            "/api/setup/integrations",
            Some("application/json; charset=utf-8"),
            body,
        )
        .await;
    assert_eq!(answer.status, 200);
    let asked = bed.function.asked().pop().unwrap();
    assert_eq!(
        (asked.method, asked.body.as_ref()),
        (Method::POST, body.as_bytes())
    );
    assert_eq!(asked.headers["content-type"], "application/json");
    assert!(bed.notes.lines().is_empty(), "{:?}", bed.notes.lines());
}

#[tokio::test]
async fn methods_and_functions_that_the_page_does_not_have_are_refused() {
    let bed = Bed::start().await;
    let page = bed.page().await;
    for method in [Method::HEAD, Method::OPTIONS, Method::TRACE] {
        let answer = told(page.request(method.clone(), "/api/setup/x")).await;
        assert_eq!(answer.status, 405, "{method}");
    }
    for path in [
        "/api/webhook/x",
        "/api/",
        "/api",
        "/api/Setup/x",
        "/api/setupx",
        "/api/console/x",
    ] {
        assert_eq!(page.get(path).await.problem(), "404 not-found", "{path}");
    }
    let about = page.get("/api/console").await;
    assert_eq!(
        about.body,
        json!({ "environment": "local", "region": "eu-west-1" })
    );
    let answer = told(page.request(Method::POST, "/api/console")).await;
    assert_eq!(answer.problem(), "405 wrong-method");
    assert!(bed.function.asked().is_empty());
}

#[tokio::test]
async fn no_path_leads_out_of_a_functions_url() {
    let bed = Bed::start().await;
    let token = bed.page().await.token;
    for path in [
        "/api/setup/../x",
        "/api/setup/..",
        "/api/setup/a/../../../x",
        "/api/setup/%2e%2e/x",
        "/api/setup/.%2E/x",
        "/api/setup/./x",
        "/api/setup//example.org/x",
        "/api/setup/a//b",
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nx-stackhook-console: {token}");
        let answer = bed.raw(&head, "").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
        assert!(
            answer.contains("urn:stackhook:console:wrong-path"),
            "{path}"
        );
    }
    assert!(bed.function.asked().is_empty());
}

#[tokio::test]
async fn of_headers_only_what_is_needed_passes() {
    let bed = Bed::start().await;
    let page = bed.page().await;
    let request = page
        .request(Method::GET, "/api/setup/talkative")
        .header("cookie", "other=1")
        .header("authorization", "Bearer other")
        .header("x-forwarded-for", "1.2.3.4")
        .header("x-amz-security-token", "other")
        .header("referer", "http://127.0.0.1/#code")
        .header("accept-language", "cy");
    let answer = told(request).await;
    let asked = bed.function.asked().pop().unwrap();
    let mut names: Vec<_> = asked.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "authorization", "host", "x-amz-date"]);
    assert!(!format!("{:?}", asked.headers).contains(&page.token));

    assert_eq!(answer.status, 429);
    let mut names: Vec<_> = answer.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "cache-control",
            "content-length",
            "content-security-policy",
            "content-type",
            "cross-origin-opener-policy",
            "cross-origin-resource-policy",
            "date",
            "referrer-policy",
            "retry-after",
            "x-content-type-options",
        ]
    );
    assert_eq!(answer.headers["retry-after"], "7");
    assert_eq!(
        answer.headers["content-type"],
        "application/json; charset=utf-8"
    );

    let nothing = page.get("/api/setup/nothing").await;
    assert_eq!((nothing.status, nothing.text.as_str()), (204, ""));
    assert!(!nothing.headers.contains_key("content-type"));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_a_signature() {
    let bed = Bed::start().await;
    let answer = bed.page().await.get("/api/setup/elsewhere").await;
    assert_eq!(answer.status, 302);
    assert!(!answer.headers.contains_key("location"));
    assert_eq!(bed.function.asked().len(), 1);
}

#[tokio::test]
async fn a_body_is_json_and_has_a_mebibyte_at_most() {
    let bed = Bed::start().await;
    let page = bed.page().await;
    let json = Some("application/json");
    let full = "x".repeat(MIB);
    assert_eq!(
        page.post("/api/setup/x", json, full.clone()).await.status,
        200
    );
    assert_eq!(bed.function.asked()[0].body.len(), MIB);
    let answer = page.post("/api/setup/x", json, format!("{full}x")).await;
    assert_eq!(answer.problem(), "413 too-large");
    // And where nobody says beforehand how much comes.
    let head = format!(
        "POST /api/setup/x HTTP/1.1\r\nx-stackhook-console: {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked",
        page.token
    );
    let chunks = format!("{MIB:x}\r\n{full}\r\n1\r\nx\r\n0\r\n\r\n");
    let answer = bed.raw(&head, &chunks).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/jsonx"),
    ] {
        let answer = page.post("/api/setup/x", kind, "{}").await;
        assert_eq!(answer.problem(), "415 not-json", "{kind:?}");
    }
    assert_eq!(bed.function.asked().len(), 1);
    // Nothing is no JSON, and needs to be none.
    assert_eq!(page.post("/api/setup/x", None, "").await.status, 200);
}

#[tokio::test]
async fn what_aws_refuses_is_told_with_the_policy_that_is_needed() {
    let bed = Bed::start().await;
    let page = bed.page().await;
    for (path, words) in [
        ("forbidden", "403: Forbidden"),
        ("expired", "token included in the request is expired"),
    ] {
        let answer = page.get(&format!("/api/setup/{path}")).await;
        assert_eq!(answer.problem(), "403 refused");
        assert!(answer.detail().contains(words), "{}", answer.detail());
        assert!(
            answer.detail().contains("stackhook-<environment>-operator"),
            "{}",
            answer.detail()
        );
    }
    // What the function itself refuses is its own.
    let answer = page.get("/api/setup/problem").await;
    assert_eq!(
        (answer.status, answer.body["type"].as_str()),
        (403, Some("urn:x"))
    );
    let answer = page.get("/api/setup/broken").await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (502, "Internal Server Error")
    );
}

#[tokio::test]
async fn a_function_that_does_not_answer_is_waited_for_and_told() {
    let bed = Bed::start_hasty().await;
    let page = bed.page().await;
    let answer = page.get("/api/setup/slow").await;
    assert_eq!(answer.problem(), "504 no-answer");
    assert!(
        answer.detail().contains("Trying again may help"),
        "{}",
        answer.detail()
    );
    let answer = page
        .post("/api/setup/slow", Some("application/json"), "{}")
        .await;
    assert_eq!(answer.problem(), "504 no-answer");
    assert!(
        answer.detail().contains("look before you try again"),
        "{}",
        answer.detail()
    );

    // Where nobody listens.
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let away = Bed::with(Arc::default(), format!("http://{port}"), keys(), None).await;
    assert_eq!(
        away.page().await.get("/api/runs/runs").await.problem(),
        "504 no-answer"
    );
}

#[tokio::test]
async fn without_credentials_it_says_how_to_have_some_and_calls_nobody() {
    let (function, url) = Function::start().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    // There are some by the third time.
    let provider = SharedCredentialsProvider::new(provide_credentials_fn(move || {
        let times = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match times {
                0 | 1 => Err(CredentialsError::not_loaded("no profile")),
                _ => Ok(Credentials::new("AKID", "kept-secret", None, None, "test")),
            }
        }
    }));
    let bed = Bed::with(function, url, provider, None).await;
    let page = bed.page().await;
    for _ in 0..2 {
        let answer = page.get("/api/setup/x").await;
        assert_eq!(answer.problem(), "502 no-credentials");
        for words in ["no profile", "aws sso login"] {
            assert!(answer.detail().contains(words), "{}", answer.detail());
        }
    }
    assert!(bed.function.asked().is_empty());
    assert_eq!(page.get("/api/setup/x").await.status, 200);
}

#[tokio::test]
async fn sixteen_calls_are_under_way_at_once_and_the_others_wait() {
    let bed = Bed::start().await;
    let page = bed.page().await;
    let all = (0..40).map(|_| page.get("/api/stacks/counted"));
    let answers = futures::future::join_all(all).await;
    assert!(answers.iter().all(|it| it.status == 200));
    assert_eq!(bed.function.most_under_way.load(Ordering::SeqCst), 16);
}

#[tokio::test]
async fn a_failure_is_one_line_without_what_was_sent_or_asked_for() {
    let bed = Bed::start_hasty().await;
    let page = bed.page().await;
    let secret = r#"{"personalAccessToken":"planted-token"}"#;
    let json = Some("application/json");
    for path in ["broken", "forbidden", "slow"] {
        let path = format!("/api/setup/integrations/{path}?search=planted-query");
        page.post(&path, json, secret).await;
    }
    // These are the page's own matter.
    page.get("/api/setup/problem").await;
    page.get("/api/setup/x?search=planted-query").await;
    page.get("/api/nothing").await;
    let notes = bed.notes.lines();
    assert_eq!(notes.len(), 3, "{notes:?}");
    for (line, start) in notes.iter().zip([
        "· POST setup/integrations/broken: 502",
        "· POST setup/integrations/forbidden: refused. ",
        "· POST setup/integrations/slow: no-answer. ",
    ]) {
        assert!(line.starts_with(start), "{line}");
    }
    let all = notes.concat();
    for hidden in [
        "planted",
        "kept-secret",
        &page.token,
        bed.link.split_once('#').unwrap().1,
    ] {
        assert!(!all.contains(hidden), "{all}");
    }
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_told_with_what_to_do() {
    let terminal = || Terminal {
        links: None,
        notes: Box::new(io::sink()),
    };
    let person = Person::new(Some("eu-west-1".to_owned()), keys());
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let url = "https://x.example.org".to_owned();
    let start = async |options: Options| match Console::open(&options, &person, terminal()).await {
        Ok(console) => panic!("it started at {}", console.url()),
        Err(error) => error.to_string(),
    };
    let error = start(Options {
        port,
        ..options(url.clone())
    })
    .await;
    assert!(
        error.contains(&port.to_string()) && error.contains("--port"),
        "{error}"
    );
    let nowhere = PathBuf::from("/nowhere/console.json");
    let error = start(Options {
        ready_file: Some(nowhere),
        ..options(url)
    })
    .await;
    assert!(error.contains("/nowhere/console.json"), "{error}");
}
