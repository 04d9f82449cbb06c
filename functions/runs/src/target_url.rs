//! Where a person sees more of a run, as its executor says: a link that Azure DevOps will show to people.

use http::Uri;

/// The longest.
const LONGEST: usize = 2_048;

/// A text that is no such link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no link for people: it begins with https:// or http:// and a host, has no user or password in it, is at most {LONGEST} bytes long, and whatever is no plain ASCII is percent-encoded"
)]
pub(crate) struct InvalidTargetUrl;

/// The link, as it was given.
pub(crate) fn parsed(text: &str) -> Result<String, InvalidTargetUrl> {
    // What RFC 3986 leaves out of every part of a URL; browsers turn a backslash into a slash.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte);
    if text.len() > LONGEST || !text.bytes().all(is_plain) {
        return Err(InvalidTargetUrl);
    }
    let url: Uri = text.parse().map_err(|_how| InvalidTargetUrl)?;
    let is_web = matches!(url.scheme_str(), Some("http" | "https"));
    let has_host = url.authority().is_some_and(|authority| {
        let has_port = authority.as_str().len() > authority.host().len();
        let port_is_right = !has_port || authority.port_u16().is_some();
        !authority.host().is_empty() && !authority.as_str().contains('@') && port_is_right
    });
    if is_web && has_host {
        Ok(text.to_owned())
    } else {
        Err(InvalidTargetUrl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_for_people_are_taken_as_they_are() {
        for text in [
            "https://ci.example.com/runs/7?tab=plan#L3",
            "HTTPS://CI.example.com",
            "http://127.0.0.1:8080/%C3%A4",
            "https://[2001:db8::1]:443/a",
            "https://ci.example.com/@ines/a:b@c",
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(text), "{text}");
        }
        let at_most = format!("https://a/{}", "x".repeat(LONGEST - 10));
        assert!(parsed(&at_most).is_ok());
        assert!(parsed(&format!("{at_most}x")).is_err());
    }

    #[test]
    fn what_a_person_should_not_click_on_is_refused() {
        for text in [
            "",
            "ci.example.com/runs/7",
            "/runs/7",
            "//ci.example.com/runs/7",
            "javascript:alert(1)",
            "data:text/html,x",
            "ftp://ci.example.com",
            "https:ci.example.com",
            "https://",
            "https:///runs/7",
            "https://:443/runs",
            "https://?a",
            "https://ines:secret@ci.example.com",
            "https://ines@ci.example.com",
            "https://ci.example.com@evil.example",
            "https://ci.example.com\\@evil.example",
            "https://ci.example.com:99999/",
            "https://ci.example.com:/",
            "https://ci.example.com:x/",
            "https://ci.example.com/a b",
            "https://ci.example.com/a\nb",
            "https://ci.example.com/\u{202e}b",
            "https://ci.ex\u{430}mple.com/",
            "https://ci.example.com/<script>",
            " https://ci.example.com",
        ] {
            assert_eq!(parsed(text), Err(InvalidTargetUrl), "{text:?}");
        }
    }
}
