//! Which organization URLs are accepted, and the one canonical organization that each of them names.
//!
//! This is the guard against being sent somewhere else with a token: the URL that is called is never the one a person
//! pasted, but one built here from the parsed name. It resolves nothing and calls nothing.

use std::{fmt, str::FromStr};

/// The longest URL that is looked at. A pasted link to a file in a repository stays far below it.
const LONGEST_URL: usize = 2_048;

/// Hosts of `visualstudio.com` that are Microsoft's own services and no organization.
const SERVICES: [&str; 8] = [
    "app",
    "login",
    "marketplace",
    "my",
    "ssh",
    "vs-ssh",
    "vssps",
    "www",
];
/// Names that Azure DevOps reserves (its naming restrictions page); each stands where an organization's name would.
const RESERVED: [&str; 3] = ["defaultcollection", "web", "signalr"];

/// An organization's name: letters, digits and hyphens, starting and ending with a letter or digit, at most 50, kept in
/// lower case since Azure DevOps ignores case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OrganizationName(String);

/// Why a text is no organization URL; each says what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrganization {
    /// Nothing was given.
    #[error("paste the organization URL, such as https://dev.azure.com/my-organization")]
    Empty,
    /// Longer than any organization URL.
    #[error(
        "this is too long for an organization URL; it looks like https://dev.azure.com/my-organization"
    )]
    TooLong,
    /// Control characters, spaces inside, backslashes or characters outside ASCII.
    #[error("the organization URL has a character that does not belong there; type it out by hand")]
    Character,
    /// Not `https://`.
    #[error("the organization URL starts with https://")]
    Scheme,
    /// A host that is not Azure DevOps.
    #[error(
        "the organization URL is https://dev.azure.com/my-organization or https://my-organization.visualstudio.com"
    )]
    Host,
    /// A user name before the host that is not the organization's.
    #[error("leave off what stands before the @ in the organization URL")]
    UserInfo,
    /// A query or fragment where none belongs.
    #[error("leave off everything from the ? or # on in the organization URL")]
    QueryOrFragment,
    /// The host alone, without an organization.
    #[error("the organization's name is missing: https://dev.azure.com/my-organization")]
    NoName,
    /// A name that no organization can have.
    #[error(
        "an organization's name has letters, digits and hyphens, at most 50, and starts and ends with a letter or digit"
    )]
    Name,
}

impl OrganizationName {
    /// The name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrganizationName {
    type Err = InvalidOrganization;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.to_ascii_lowercase();
        let bytes = name.as_bytes();
        let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
            return Err(InvalidOrganization::NoName);
        };
        let well_formed = bytes.len() <= 50
            && first.is_ascii_alphanumeric()
            && last.is_ascii_alphanumeric()
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        // `xn--` would be another script's name in disguise; no organization has one.
        if !well_formed || name.starts_with("xn--") || RESERVED.contains(&name.as_str()) {
            return Err(InvalidOrganization::Name);
        }
        Ok(Self(name))
    }
}

impl fmt::Display for OrganizationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An organization and where it is called: `{base}/{name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    name: OrganizationName,
    url: String,
}

impl Organization {
    /// The organization `name` at `base`, which is `https://dev.azure.com` or what the deployer put in its place.
    #[must_use]
    pub fn new(base: &str, name: OrganizationName) -> Self {
        let url = format!("{}/{name}", base.trim_end_matches('/'));
        Self { name, url }
    }

    /// Reads an organization URL as people paste it; `base` is where Azure DevOps is called.
    ///
    /// Accepted: `https://dev.azure.com/{org}` and `https://{org}.visualstudio.com`, with a trailing slash,
    /// `/DefaultCollection`, a project, or a link into a repository behind it, in any case, with spaces around, and with
    /// `{org}@` before `dev.azure.com`, as clone URLs have it; and `{base}/{org}`. All of them name the same organization,
    /// and it is called at `base` alone.
    ///
    /// # Errors
    ///
    /// [`InvalidOrganization`], which says what to do, for everything else.
    pub fn from_pasted_url(text: &str, base: &str) -> Result<Self, InvalidOrganization> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.is_empty() {
            return Err(InvalidOrganization::Empty);
        }
        if text.len() > LONGEST_URL {
            return Err(InvalidOrganization::TooLong);
        }
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        {
            return Err(InvalidOrganization::Character);
        }
        let name = match strip_base(text, base) {
            Some(path) => name_in_path(path, None)?,
            None => name_in_https(text)?,
        };
        Ok(Self::new(base, name))
    }

    /// The organization's name.
    #[must_use]
    pub fn name(&self) -> &OrganizationName {
        &self.name
    }

    /// The canonical URL, which is the one that is called: no trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// What follows `base` in `text`, where it starts with it (in any case) and a `/` or nothing comes next.
fn strip_base<'a>(text: &'a str, base: &str) -> Option<&'a str> {
    let base = base.trim_end_matches('/');
    let head = text.get(..base.len())?;
    let rest = text.get(base.len()..)?;
    (head.eq_ignore_ascii_case(base) && (rest.is_empty() || rest.starts_with('/'))).then_some(rest)
}

fn name_in_https(text: &str) -> Result<OrganizationName, InvalidOrganization> {
    let rest = match text.get(..8) {
        Some(scheme) if scheme.eq_ignore_ascii_case("https://") => &text[8..],
        _ => return Err(InvalidOrganization::Scheme),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host.to_ascii_lowercase()),
        None => (None, authority.to_ascii_lowercase()),
    };
    if host == "dev.azure.com" {
        return name_in_path(path, user);
    }
    let Some(label) = host.strip_suffix(".visualstudio.com") else {
        return Err(InvalidOrganization::Host);
    };
    let name: OrganizationName = label.parse().map_err(|_name| InvalidOrganization::Host)?;
    if SERVICES.contains(&name.as_str()) {
        return Err(InvalidOrganization::Host);
    }
    if path.starts_with(['?', '#']) {
        return Err(InvalidOrganization::QueryOrFragment);
    }
    if user.is_some_and(|user| !user.eq_ignore_ascii_case(name.as_str())) {
        return Err(InvalidOrganization::UserInfo);
    }
    Ok(name)
}

/// The organization in `/{org}` or `/{org}/{more}?{query}`; `user` is what stood before the host, which may only be the
/// organization's own name.
///
/// A query or fragment is let pass behind a link into the organization, as a browser's address bar has it, and nowhere else.
fn name_in_path(path: &str, user: Option<&str>) -> Result<OrganizationName, InvalidOrganization> {
    let Some(path) = path.strip_prefix('/') else {
        return Err(if path.is_empty() {
            InvalidOrganization::NoName
        } else {
            InvalidOrganization::QueryOrFragment
        });
    };
    let end = path.find(['/', '?', '#']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    if rest.starts_with(['?', '#']) || rest.starts_with("/?") || rest.starts_with("/#") {
        return Err(InvalidOrganization::QueryOrFragment);
    }
    let name: OrganizationName = name.parse()?;
    if user.is_some_and(|user| !user.eq_ignore_ascii_case(name.as_str())) {
        return Err(InvalidOrganization::UserInfo);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://dev.azure.com";

    #[test]
    fn every_form_that_people_paste_names_the_same_organization() {
        for pasted in [
            "https://dev.azure.com/Acme-Labs",
            "https://dev.azure.com/acme-labs/",
            "  https://DEV.azure.com/ACME-LABS\n",
            "HTTPS://dev.azure.com/acme-labs/DefaultCollection",
            "https://dev.azure.com/acme-labs/My%20Project",
            "https://dev.azure.com/acme-labs/My%20Project/_git/repo?path=/main.tf&version=GBmain#L3",
            "https://acme-labs@dev.azure.com/acme-labs/Project/_git/repo",
            "https://acme-labs.visualstudio.com",
            "https://Acme-Labs.VisualStudio.com/",
            "https://acme-labs.visualstudio.com/DefaultCollection",
            "https://acme-labs.visualstudio.com/DefaultCollection/Project/_git/repo",
        ] {
            let organization = Organization::from_pasted_url(pasted, BASE);
            let organization = organization.unwrap_or_else(|error| panic!("{pasted}: {error}"));
            assert_eq!(
                organization.url(),
                "https://dev.azure.com/acme-labs",
                "{pasted}"
            );
            assert_eq!(organization.name().as_str(), "acme-labs");
        }
    }

    #[test]
    fn u1_hostile_urls_are_refused() {
        let long = format!("https://dev.azure.com/{}", "a".repeat(4_096));
        for hostile in [
            "",
            "http://dev.azure.com/acme",
            "https://dev.azure.com.evil.tld/acme",
            "https://evil@dev.azure.com",
            "https://evil@dev.azure.com/acme",
            "https://dev.azure.com@evil/acme",
            "https://dev.azure.com:443@evil.tld/acme",
            "https://dev.azure.com:444/acme",
            "https://dev.azure.com:443/acme",
            "https://dev.azure.com%2eevil/acme",
            "https://dev%2eazure%2ecom/acme",
            "//dev.azure.com/acme",
            "dev.azure.com/acme",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "\\\\host\\share",
            "https:\\\\dev.azure.com\\acme",
            "https://[::ffff:169.254.169.254]/acme",
            "https://[::1]/acme",
            "http://2130706433",
            "https://2130706433/acme",
            "https://0x7f.1/acme",
            "https://169.254.169.254/latest/meta-data",
            "https://localhost/acme",
            "https://dev.azure.com./acme",
            "https://acme.visualstudio.com.",
            "https://dеv.azure.com/acme",
            "https://xn--dv-vfz.azure.com/acme",
            "https://xn--acme.visualstudio.com",
            "https://dev.azure.com/xn--acme",
            "https://dev.azure.com/acme\r\nHost: evil",
            "https://dev.azure.com/ac\nme",
            "https://dev.azure.com?.evil.tld/acme",
            "https://dev.azure.com#@evil.tld/acme",
            "https://evil.tld/?https://dev.azure.com/acme",
            "https://evil.tld/#dev.azure.com/acme",
            "https://dev.azure.com/acme?x=https://evil.tld",
            "https://dev.azure.com/acme#@evil.tld",
            "https://acme.visualstudio.com?x",
            "https://a.b.visualstudio.com",
            "https://vs-ssh.visualstudio.com/v3/acme/project/repository",
            "https://.visualstudio.com",
            "https://visualstudio.com/acme",
            "https://evilvisualstudio.com/acme",
            "https://dev.azure.com/",
            "https://dev.azure.com",
            "https://dev.azure.com/../evil",
            "https://dev.azure.com//acme",
            "https://dev.azure.com/_apis/projects",
            "https://dev.azure.com/DefaultCollection",
            "https://dev.azure.com/-acme",
            "https://dev.azure.com/acme-",
            &long,
        ] {
            assert!(
                Organization::from_pasted_url(hostile, BASE).is_err(),
                "{hostile}"
            );
        }
    }

    #[test]
    fn the_deployers_own_base_is_called_whatever_form_was_pasted() {
        let base = "http://127.0.0.1:7100/";
        for pasted in [
            "http://127.0.0.1:7100/Acme",
            "https://dev.azure.com/acme",
            "https://acme.visualstudio.com",
        ] {
            let organization = Organization::from_pasted_url(pasted, base).unwrap();
            assert_eq!(organization.url(), "http://127.0.0.1:7100/acme", "{pasted}");
        }
        for hostile in [
            "http://127.0.0.1:71000/acme",
            "http://127.0.0.1:7100@evil/acme",
            "http://127.0.0.1:7101/acme",
            "http://127.0.0.1:7100.evil.tld/acme",
            "http://127.0.0.1:7100?acme",
        ] {
            assert!(
                Organization::from_pasted_url(hostile, base).is_err(),
                "{hostile}"
            );
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let error = Organization::from_pasted_url("https://github.com/acme", BASE).unwrap_err();
        assert_eq!(error, InvalidOrganization::Host);
        assert!(
            error
                .to_string()
                .contains("https://dev.azure.com/my-organization")
        );
    }
}
