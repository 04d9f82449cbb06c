//! Who a request comes from, and how the service turns away whom it does not know (facts 7).
//! Scopes are the token's, rights are its owner's: the two fail differently, with 401 and with 403 or 404.

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::{Uuid, uuid};

use crate::assumptions::Assumption;
use crate::reply::Reply;
use crate::request::ApiRequest;
use crate::state::people::{Person, Scope, Token};
use crate::state::{Organization, World};

/// The identity of whoever does not say who they are.
pub(crate) const ANONYMOUS: Uuid = uuid!("aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa");

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Somebody without a token, in an organization that has public projects.
    Anonymous,
    Person(Person, Scope),
}

impl Caller {
    pub(crate) fn user_data(&self) -> String {
        match self {
            Caller::Anonymous => format!("{ANONYMOUS}:Anonymous"),
            Caller::Person(person, _) => format!("{}:{}", person.id, person.email),
        }
    }

    /// The person, for what nobody may do anonymously.
    pub(crate) fn person(&self) -> Result<&Person, Reply> {
        match self {
            Caller::Anonymous => Err(unauthorized()),
            Caller::Person(person, _) => Ok(person),
        }
    }

    /// `vso.code`, or what holds it.
    pub(crate) fn needs_code(&self) -> Result<&Person, Reply> {
        match self {
            Caller::Person(person, Scope::CodeRead | Scope::CodeWrite) => Ok(person),
            _ => Err(missing_scope()),
        }
    }

    /// `vso.code_write`.
    pub(crate) fn needs_code_write(&self) -> Result<&Person, Reply> {
        match self {
            Caller::Person(person, Scope::CodeWrite) => Ok(person),
            _ => Err(missing_scope()),
        }
    }
}

/// A token without the scope gets 401 and nothing else (facts 7).
fn missing_scope() -> Reply {
    Reply::empty(401)
}

/// A clean 401, as it comes when the redirect to the sign-in page is suppressed.
pub(crate) fn unauthorized() -> Reply {
    Reply::error(
        401,
        "UnauthorizedRequestException",
        "TF400813: The user 'aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa' is not authorized to access this resource.",
    )
    .with("WWW-Authenticate", "Basic realm=\"https://dev.azure.com/\"")
}

enum Credential {
    None,
    Token(String),
    /// Something that is no Basic value: another scheme, or a stray character in it (facts 7).
    Garbled,
}

/// Finds out who calls, or how they are turned away.
pub(crate) fn authenticate(
    world: &World,
    organization: &Organization,
    request: &ApiRequest,
) -> Result<Caller, Reply> {
    let value = match credential(request) {
        Credential::None if organization.has_public_projects() => return Ok(Caller::Anonymous),
        Credential::None | Credential::Garbled => return Err(turned_away(world, request)),
        Credential::Token(value) => value,
    };
    let Some((home, token)) = world.token(&value).filter(|(_, token)| !token.revoked) else {
        return Err(turned_away(world, request));
    };
    if token.expired {
        return Err(expired(world));
    }
    if home.name != organization.name {
        // Never a clean "wrong organization" (facts 7).
        return Err(unauthorized());
    }
    Ok(Caller::Person(
        home.person_by_id(token.person).clone(),
        token.scope,
    ))
}

/// The kind of the token that a request carries, for the record.
pub(crate) fn kind_of_token(world: &World, request: &ApiRequest) -> Option<&'static str> {
    match credential(request) {
        Credential::Token(value) => world.token(&value).map(|(_, Token { kind, .. })| *kind),
        _ => None,
    }
}

fn credential(request: &ApiRequest) -> Credential {
    let Some(header) = request.headers.get("authorization") else {
        return Credential::None;
    };
    let token = || {
        let (scheme, value) = header.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
        // Any user name will do.
        Some(decoded.split_once(':')?.1.to_owned())
    };
    token().map_or(Credential::Garbled, Credential::Token)
}

/// An unknown token: a browser's answer, unless the client asks for a clean one. PATCH always gets a clean one (facts 7).
fn turned_away(world: &World, request: &ApiRequest) -> Reply {
    let suppressed = request
        .header("x-tfs-fedauthredirect")
        .is_some_and(|it| it.eq_ignore_ascii_case("suppress"));
    if suppressed || request.method == Method::PATCH {
        return unauthorized();
    }
    if world
        .assumptions
        .hold(Assumption::InvalidTokenGetsSignInPage)
    {
        return Reply::sign_in_page();
    }
    Reply::sign_in_redirect(request.header("host").unwrap_or_default())
}

fn expired(world: &World) -> Reply {
    let message = "Access Denied: The Personal Access Token used has expired.";
    let reply = if world.assumptions.hold(Assumption::ExpiredTokenGetsJson) {
        Reply::error(401, "AccessCheckException", message)
    } else {
        Reply::text(401, message)
    };
    let header = utf8_percent_encode(message, NON_ALPHANUMERIC).to_string();
    reply.with("X-TFS-ServiceError", header)
}
