//! The password in an `Authorization: Basic` header (RFC 7617), as its digest. The username is ignored: Azure DevOps leaves
//! it empty. Nothing that was sent is kept.

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::PasswordDigest;
use http::{HeaderMap, header::AUTHORIZATION};

/// The longest value that is looked at; ours has 66 characters.
const LONGEST: usize = 1_024;

/// The SHA-256 digest of the password; `None` where there is none, or more than one, or it is malformed.
pub(crate) fn password_digest(headers: &HeaderMap) -> Option<[u8; 32]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?.as_bytes(), values.next()) else {
        return None;
    };
    if value.len() > LONGEST {
        return None;
    }
    let (scheme, encoded) = value.split_at_checked(b"Basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let decoded = STANDARD.decode(encoded).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(PasswordDigest::of(&decoded[colon + 1..]).sha256)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn digest_of(values: &[&[u8]]) -> Option<[u8; 32]> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        password_digest(&headers)
    }

    fn basic(scheme: &str, text: &[u8]) -> Vec<u8> {
        format!("{scheme} {}", STANDARD.encode(text)).into_bytes()
    }

    #[test]
    fn a4_a6_the_scheme_has_no_case_the_user_is_ignored_and_the_first_colon_splits() {
        let expected = Some(PasswordDigest::of(b"pass:word").sha256);
        for value in [
            basic("Basic", b":pass:word"),
            basic("basic", b"anybody:pass:word"),
            basic("BASIC", b":pass:word"),
        ] {
            assert_eq!(digest_of(&[&value]), expected);
        }
    }

    #[test]
    fn a1_a4_a5_a7_anything_malformed_is_no_password() {
        assert_eq!(digest_of(&[]), None);
        let good = basic("Basic", b":password");
        assert_eq!(digest_of(&[&good, &good]), None, "two headers");
        let joined = [good.clone(), b", ".to_vec(), good.clone()].concat();
        let long = basic("Basic", &vec![b'x'; 8_192]);
        let colon = STANDARD.encode(b":password");
        let bearer = format!("Bearer {colon}").into_bytes();
        let signature = b"AWS4-HMAC-SHA256 Credential=x".to_vec();
        let double_space = format!("Basic  {colon}").into_bytes();
        let tab = format!("Basic\t{colon}").into_bytes();
        let no_colon = basic("Basic", b"password");
        let no_base64 = b"Basic %%%%".to_vec();
        let stray = format!("Basic {colon}=").into_bytes();
        let bytes = b"Basic \xff\xfe".to_vec();
        for value in [
            joined,
            long,
            bearer,
            signature,
            double_space,
            tab,
            no_colon,
            no_base64,
            stray,
            bytes,
            b"Basic".to_vec(),
            b"".to_vec(),
        ] {
            assert_eq!(
                digest_of(&[&value]),
                None,
                "{}",
                String::from_utf8_lossy(&value)
            );
        }
    }
}
