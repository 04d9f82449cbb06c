//! `api-version`: in the query or in `Accept`. Left out it is tolerated on GET only, as the service does.

use axum::http::Method;

use crate::reply::Reply;
use crate::request::ApiRequest;

/// The version a request asks for.
pub(crate) fn of(request: &ApiRequest) -> Option<&str> {
    request.query("api-version").or_else(|| {
        request
            .header("accept")?
            .split([';', ','])
            .find_map(|part| part.trim().strip_prefix("api-version="))
    })
}

/// Refuses what the service refuses. `preview` is a resource that never left preview: `connectionData` (facts 6.1).
pub(crate) fn check(request: &ApiRequest, preview: bool) -> Result<(), Reply> {
    let Some(version) = of(request) else {
        if request.method == Method::GET {
            return Ok(());
        }
        return Err(Reply::error(
            400,
            "VssVersionNotSpecifiedException",
            &format!(
                "No api-version was supplied for the \"{}\" request. The version must be supplied either as part of the Accept header or as a query parameter.",
                request.method
            ),
        ));
    };
    match parse(version) {
        Some((tenths, is_preview)) if (60..=72).contains(&tenths) => {
            let preview_only = preview || tenths == 72;
            if preview_only && !is_preview {
                return Err(Reply::error(
                    400,
                    "VssInvalidPreviewVersionException",
                    &format!(
                        "The requested version \"{version}\" of the resource is under preview. The -preview flag must be supplied in the api-version for such requests."
                    ),
                ));
            }
            Ok(())
        }
        _ => Err(Reply::error(
            400,
            "VssVersionOutOfRangeException",
            &format!(
                "The requested REST API version of {version} is out of range for this server."
            ),
        )),
    }
}

/// Tenths of the version, and whether it is a preview.
fn parse(version: &str) -> Option<(u32, bool)> {
    let (number, preview) = match version.split_once('-') {
        Some((number, rest)) => (number, Some(rest)),
        None => (version, None),
    };
    if let Some(rest) = preview {
        let revision = rest.strip_prefix("preview")?;
        let revision = revision.strip_prefix('.').unwrap_or(revision);
        if !revision.chars().all(|it| it.is_ascii_digit()) {
            return None;
        }
    }
    let (major, minor) = number.split_once('.')?;
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    (minor < 10).then_some((major * 10 + minor, preview.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse("7.1"), Some((71, false)));
        assert_eq!(parse("7.1-preview"), Some((71, true)));
        assert_eq!(parse("7.2-preview.3"), Some((72, true)));
        assert_eq!(parse("seven"), None);
        assert_eq!(parse("7.1-beta"), None);
    }
}
