//! The page: its files, and the headers of every answer.

use axum::{body::Body, response::Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use rust_embed::Embed;

use crate::problem::{Kind, Problem};

/// What lies in `page/`: read from there as long as one works on it, in the binary of a release.
#[derive(Embed)]
#[folder = "page/"]
struct Files;

/// The page at a path, whatever it then shows.
pub(crate) fn shown_at(path: &str) -> Result<Response, Problem> {
    let mut segments = path.trim_start_matches('/').split('/');
    let is_page = match segments.next() {
        Some("") => path == "/",
        Some("integrations" | "stacks" | "deliveries") => true,
        Some("runs") => segments.next().is_some_and(|it| !it.is_empty()),
        _ => false,
    };
    let mut response = file("index.html").ok_or_else(|| {
        Problem::new(
            Kind::Failed,
            "The page is not in this console: build it anew.",
        )
    })?;
    if !is_page {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

/// A file of it.
pub(crate) fn asset(path: &str) -> Result<Response, Problem> {
    // Names as ours are: no way out of the folder, whatever reads it.
    let is_name = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it))
    };
    path.split('/')
        .all(is_name)
        .then(|| file(path))
        .flatten()
        .ok_or_else(|| Problem::new(Kind::NotFound, "The page has no such file."))
}

fn file(path: &str) -> Option<Response> {
    let file = Files::get(path)?;
    let mut response = Response::new(Body::from(file.data.into_owned()));
    let kind = HeaderValue::from_static(content_type(path));
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Some(response)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml; charset=utf-8",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// What every answer has: nothing is kept, nothing but our own files runs, and nobody else may show or read it.
pub(crate) fn dress(response: &mut Response, origin: &str) {
    // Of `origin` only what was compared with our own addresses comes here, so it is a header's value.
    let policy = HeaderValue::try_from(policy(origin))
        .unwrap_or_else(|_other| HeaderValue::from_static("default-src 'none'"));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn policy(origin: &str) -> String {
    [
        "default-src 'none'".to_owned(),
        format!("script-src {origin}/assets/"),
        format!("style-src {origin}/assets/"),
        format!("img-src {origin}/assets/"),
        format!("connect-src {origin}/api/ {origin}/session"),
        "base-uri 'none'".to_owned(),
        "form-action 'none'".to_owned(),
        "frame-ancestors 'none'".to_owned(),
        "require-trusted-types-for 'script'".to_owned(),
        "trusted-types 'none'".to_owned(),
    ]
    .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file of the page with its text.
    fn texts() -> Vec<(String, String)> {
        let texts: Vec<_> = Files::iter()
            .map(|name| {
                let file = Files::get(&name).unwrap();
                (
                    name.into_owned(),
                    String::from_utf8_lossy(&file.data).into_owned(),
                )
            })
            .collect();
        assert!(texts.iter().any(|(name, _)| name == "index.html"));
        texts
    }

    /// What stands in quotes behind each of these beginnings.
    fn quoted_behind<'a>(text: &'a str, beginnings: &[&str]) -> Vec<&'a str> {
        let mut found = Vec::new();
        for beginning in beginnings {
            for (at, _) in text.match_indices(beginning) {
                let rest = &text[at + beginning.len()..];
                let Some(quote) = rest.chars().next().filter(|it| "\"'".contains(*it)) else {
                    continue;
                };
                found.extend(rest[1..].split(quote).next());
            }
        }
        found
    }

    /// Where a reference of a file leads to, of those that are files.
    fn target(from: &str, reference: &str) -> Option<String> {
        if let Some(path) = reference.strip_prefix("/assets/") {
            return Some(path.to_owned());
        }
        let mut folders: Vec<&str> = from.split('/').collect();
        folders.pop();
        if !reference.starts_with('.') {
            return None;
        }
        for part in reference.split('/') {
            match part {
                "." => {}
                ".." => drop(folders.pop()),
                part => folders.push(part),
            }
        }
        Some(folders.join("/"))
    }

    #[test]
    fn whatever_a_file_of_the_page_refers_to_is_there() {
        let mut found = 0;
        for (name, text) in texts() {
            let references = match name.rsplit_once('.').unwrap().1 {
                "html" => quoted_behind(&text, &["src=", "href="]),
                "js" => quoted_behind(&text, &[" from ", "import ", "import("]),
                "css" => quoted_behind(&text, &["url(", "@import "]),
                _ => vec![],
            };
            for reference in references {
                let is_within = reference.starts_with('#')
                    || shown_at(reference).is_ok_and(|it| it.status() == StatusCode::OK);
                if is_within && name.ends_with(".html") {
                    continue;
                }
                found += 1;
                let target = target(&name, reference);
                let path = target.unwrap_or_else(|| panic!("{name}: {reference} is no asset"));
                assert!(asset(&path).is_ok(), "{name}: {reference}");
            }
        }
        assert!(
            found >= 3,
            "a style, a module and what that imports: {found}"
        );
    }

    #[test]
    fn references_are_found_as_files_write_them() {
        let html = r#"<link href="/assets/style.css"><script type="module" src='/assets/a.js'>"#;
        assert_eq!(
            quoted_behind(html, &["src=", "href="]),
            ["/assets/a.js", "/assets/style.css"]
        );
        let module = "import { a } from \"./a.js\";\nimport './b.js';\nimport(\"../c.js\")";
        let found = quoted_behind(module, &[" from ", "import ", "import("]);
        let targets: Vec<_> = found.iter().map(|it| target("x/y.js", it)).collect();
        assert_eq!(
            targets,
            ["x/a.js", "x/b.js", "c.js"].map(|it| Some(it.to_owned()))
        );
        assert_eq!(target("a.js", "https://example.org/x.js"), None);
    }

    /// Why a file may not be in the page.
    fn fault(text: &str) -> Option<String> {
        let forbidden = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "createContextualFragment",
            "setHTMLUnsafe",
            "javascript:",
            "style=",
            "@import",
        ];
        if let Some(found) = forbidden.iter().find(|it| text.contains(**it)) {
            return Some((*found).to_owned());
        }
        // A handler as an attribute: ` onclick=`.
        let is_handler = |word: &str| {
            word.strip_prefix("on")
                .and_then(|rest| rest.split_once('='))
                .is_some_and(|(event, _)| {
                    !event.is_empty() && event.bytes().all(|it| it.is_ascii_lowercase())
                })
        };
        if let Some(found) = text.split_whitespace().find(|it| is_handler(it)) {
            return Some(found.to_owned());
        }
        let from_elsewhere = quoted_behind(
            text,
            &["src=", "href=", "url(", " from ", "import ", "import("],
        )
        .into_iter()
        .find(|it| it.contains("://") || it.starts_with("//"));
        from_elsewhere.map(str::to_owned)
    }

    #[test]
    fn nothing_in_the_page_makes_markup_or_code_of_text() {
        for (name, text) in texts() {
            assert_eq!(fault(&text), None, "{name}");
        }
        for bad in [
            "node.innerHTML = text",
            "<p onclick=\"x()\">",
            "<p\n onload=x>",
            "<p style=\"color: red\">",
            "<script src=\"https://example.org/x.js\">",
            "<link href='//example.org/x.css'>",
            "import { h } from \"https://example.org/x.js\"",
            "a{background:url('http://example.org/x.png')}",
            "new Function(text)",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
        for good in [
            "h(\"button\", { onclick: save })",
            "const only = 1",
            "once(x)",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
    }

    #[test]
    fn every_file_has_a_content_type_of_its_own() {
        for (name, _) in texts() {
            assert_ne!(content_type(&name), "application/octet-stream", "{name}");
        }
        assert_eq!(content_type("a/b.js"), "text/javascript; charset=utf-8");
        assert_eq!(content_type("style.css"), "text/css; charset=utf-8");
    }

    #[test]
    fn nothing_but_the_page_is_an_asset() {
        for path in [
            "",
            "/",
            "..",
            "../Cargo.toml",
            "../src/lib.rs",
            "x/../index.html",
            "./index.html",
            "/index.html",
            "//index.html",
            "..%2fCargo.toml",
            "%2e%2e/Cargo.toml",
            "..\\Cargo.toml",
            "/etc/passwd",
            "no-such-file.js",
        ] {
            assert_eq!(asset(path).unwrap_err().kind, Kind::NotFound, "{path}");
        }
        assert!(asset("index.html").is_ok());
    }

    #[test]
    fn the_page_is_shown_at_its_paths_and_with_404_at_any_other() {
        for (path, status) in [
            ("/", 200),
            ("/integrations", 200),
            ("/integrations/acme/edit", 200),
            ("/stacks", 200),
            ("/deliveries/x", 200),
            ("/runs/x", 200),
            ("/runs", 404),
            ("/runs/", 404),
            ("//", 404),
            ("/integrationsx", 404),
            ("/favicon.ico", 404),
            ("/apix", 404),
        ] {
            assert_eq!(shown_at(path).unwrap().status(), status, "{path}");
        }
    }
}
