//! Who may call. The page alone may, opened by whoever can read what the console prints.
//!
//! Any page of any site can send requests to this machine, and any program of any user of it can: so a request has to be for
//! this address (a name that was made to point here is another), from the console's own page, and with a token that only
//! somebody with a link gets.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, Uri, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::problem::{Kind, Problem};

/// The header with the session token.
pub(crate) const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-stackhook-console");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// As many pages can be open at once. Who opens another ends the oldest one's session.
const MOST_SESSIONS: usize = 32;

/// 32 random bytes, in base64url.
struct Secret(SecretString);

impl Secret {
    fn new() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(bytes).into()))
    }

    fn is(&self, given: &[u8]) -> bool {
        self.0.expose_secret().as_bytes().ct_eq(given).into()
    }
}

/// What it takes to be let in.
pub(crate) struct Guard {
    port: u16,
    code: Mutex<Secret>,
    tokens: Mutex<VecDeque<Secret>>,
}

impl Guard {
    pub(crate) fn new(port: u16) -> Result<Self, getrandom::Error> {
        Ok(Self {
            port,
            code: Mutex::new(Secret::new()?),
            tokens: Mutex::default(),
        })
    }

    /// The address with the code that works next.
    pub(crate) fn link(&self) -> String {
        let code = locked(&self.code);
        format!("{}/#{}", self.url(), code.0.expose_secret())
    }

    /// The address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The origin that was asked, if it is this one and nobody else's page asks.
    pub(crate) fn origin(&self, uri: &Uri, headers: &HeaderMap) -> Result<String, Problem> {
        let host = only(headers, &header::HOST);
        let host = host.filter(|host| {
            // A whole address in the request line goes before the header, for whoever believes it.
            let is_meant = uri.authority().is_none_or(|it| it.as_str() == *host);
            is_meant && self.is_own(host)
        });
        let Some(host) = host else {
            let detail = format!("The console is {} and nothing else. Open that.", self.url());
            return Err(Problem::new(Kind::WrongHost, detail));
        };
        let own = format!("http://{host}");
        let is_from_here = !headers.contains_key(header::ORIGIN)
            || only(headers, &header::ORIGIN) == Some(own.as_str());
        let is_fetched_here = !headers.contains_key(SEC_FETCH_SITE)
            || matches!(only(headers, &SEC_FETCH_SITE), Some("same-origin" | "none"));
        if is_from_here && is_fetched_here {
            return Ok(own);
        }
        Err(Problem::new(
            Kind::WrongOrigin,
            "Only the console's own page may call it. If you followed a link to it, type or paste its address instead.",
        ))
    }

    fn is_own(&self, host: &str) -> bool {
        ["127.0.0.1", "localhost"].iter().any(|name| {
            host == format!("{name}:{}", self.port) || (self.port == 80 && host == *name)
        })
    }

    /// A session token for a code, which is spent by it; there is another from then on.
    pub(crate) fn session(&self, code: &str) -> Result<SecretString, Problem> {
        let mut next = locked(&self.code);
        if !next.is(code.as_bytes()) {
            return Err(Problem::new(
                Kind::LinkUsed,
                "A link works once, and so does its code. Open the newest link of the console, which its terminal has.",
            ));
        }
        let failed = |error| {
            Problem::new(
                Kind::Failed,
                format!("There is nothing random to be had: {error}"),
            )
        };
        let (token, following) = (
            Secret::new().map_err(failed)?,
            Secret::new().map_err(failed)?,
        );
        *next = following;
        let given = token.0.clone();
        let mut tokens = locked(&self.tokens);
        tokens.push_back(token);
        if tokens.len() > MOST_SESSIONS {
            tokens.pop_front();
        }
        Ok(given)
    }

    /// Whether a request is of a session.
    pub(crate) fn check_token(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let given = headers.get(TOKEN_HEADER).map(|it| it.as_bytes());
        // All are compared, so that the time tells of none.
        let is_known = given.is_some_and(|given| {
            let tokens = locked(&self.tokens);
            tokens.iter().fold(false, |is, token| is | token.is(given))
        });
        if is_known {
            return Ok(());
        }
        Err(Problem::new(
            Kind::NoSession,
            "The console was started anew, or this page was not opened by its link. Open the newest link, which its terminal has.",
        ))
    }
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn guard() -> Guard {
        Guard::new(8420).unwrap()
    }

    fn headers(given: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        let mut headers = HeaderMap::new();
        for (name, value) in given.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    fn asked(given: &[(&str, &str)]) -> Result<String, Kind> {
        let uri = Uri::from_static("/");
        guard()
            .origin(&uri, &headers(given))
            .map_err(|problem| problem.kind)
    }

    fn code_of(guard: &Guard) -> String {
        let link = guard.link();
        link.strip_prefix("http://127.0.0.1:8420/#")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn the_own_page_may_call_under_either_name_of_this_machine() {
        for host in ["127.0.0.1:8420", "localhost:8420"] {
            let own = format!("http://{host}");
            for more in [
                vec![],
                vec![("origin", own.as_str())],
                vec![("sec-fetch-site", "none")],
                vec![("origin", own.as_str()), ("sec-fetch-site", "same-origin")],
            ] {
                let given = [vec![("host", host)], more].concat();
                assert_eq!(asked(&given).as_deref(), Ok(own.as_str()), "{given:?}");
            }
        }
    }

    #[test]
    fn a_name_that_was_made_to_point_here_is_another_host() {
        for host in [
            "rebound.example.org",
            "rebound.example.org:8420",
            "127.0.0.1",
            "127.0.0.1:8421",
            "127.0.0.1:08420",
            "127.0.0.1:8420.example.org",
            "localhost.:8420",
            "[::1]:8420",
            "0.0.0.0:8420",
            "2130706433:8420",
            "x@127.0.0.1:8420",
            "",
        ] {
            assert_eq!(asked(&[("host", host)]), Err(Kind::WrongHost), "{host}");
        }
        assert_eq!(asked(&[]), Err(Kind::WrongHost));
        let both = [("host", "127.0.0.1:8420"), ("host", "example.org")];
        assert_eq!(asked(&both), Err(Kind::WrongHost));
        let line = Uri::from_static("http://example.org/");
        let problem = guard().origin(&line, &headers(&[("host", "127.0.0.1:8420")]));
        assert_eq!(problem.unwrap_err().kind, Kind::WrongHost);
    }

    #[test]
    fn a_page_of_somebody_else_may_not_call() {
        for (name, value) in [
            ("origin", "https://example.org"),
            ("origin", "null"),
            ("origin", ""),
            ("origin", "http://127.0.0.1:8421"),
            ("origin", "https://127.0.0.1:8420"),
            // Ours by another name: for a browser that is another origin.
            ("origin", "http://localhost:8420"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "None"),
        ] {
            let given = [("host", "127.0.0.1:8420"), (name, value)];
            assert_eq!(asked(&given), Err(Kind::WrongOrigin), "{name}: {value}");
            let own = if name == "origin" {
                "http://127.0.0.1:8420"
            } else {
                "none"
            };
            let twice = [given[0], (name, own), given[1]];
            assert_eq!(asked(&twice), Err(Kind::WrongOrigin), "{twice:?}");
        }
    }

    #[test]
    fn a_code_works_once_and_there_is_another_afterwards() {
        let guard = guard();
        let first = code_of(&guard);
        assert_eq!(first.len(), 43);
        for wrong in ["", "x", &first[1..], &format!("{first}A")] {
            let refused = guard.session(wrong).unwrap_err();
            assert_eq!(refused.kind, Kind::LinkUsed, "{wrong}");
        }
        assert_eq!(code_of(&guard), first, "a wrong one spends nothing");
        let token = guard.session(&first).unwrap();
        assert_eq!(guard.session(&first).unwrap_err().kind, Kind::LinkUsed);
        let second = code_of(&guard);
        assert_ne!(first, second);
        assert_ne!(token.expose_secret(), second);
        assert!(guard.session(&second).is_ok());
    }

    #[test]
    fn a_session_has_a_token_and_the_oldest_of_too_many_ends() {
        let guard = guard();
        let check = |token: &str| guard.check_token(&headers(&[("x-stackhook-console", token)]));
        let refused =
            |problem: Result<(), Problem>| problem.map_err(|it| it.kind) == Err(Kind::NoSession);
        assert!(refused(guard.check_token(&HeaderMap::new())));
        let token = guard.session(&code_of(&guard)).unwrap();
        assert!(check(token.expose_secret()).is_ok());
        for wrong in ["", "x", &code_of(&guard), &token.expose_secret()[1..]] {
            assert!(refused(check(wrong)), "{wrong}");
        }
        // One of another console, or of this one before it was started anew.
        let other = Guard::new(8420).unwrap();
        let of_other = other.session(&code_of(&other)).unwrap();
        assert!(refused(check(of_other.expose_secret())));
        for _ in 1..MOST_SESSIONS {
            guard.session(&code_of(&guard)).unwrap();
        }
        assert!(check(token.expose_secret()).is_ok());
        guard.session(&code_of(&guard)).unwrap();
        assert!(refused(check(token.expose_secret())));
    }
}
