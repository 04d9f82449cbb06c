//! What is kept of a webhook password: its SHA-256 digest, and until when it counts.
//! Never the password itself (that lies in Secrets Manager, which the function facing the internet cannot read).

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// How long an instance of the webhook goes without reading an integration again after a password that did not fit.
///
/// Whoever changes what fits (setting up under a known name, a rotation) waits as long before the new password is used: then
/// no instance refuses it.
pub const REST: Duration = Duration::from_secs(5);

/// How many digests of one integration can be alive at once: a rotation adds one before it ends another.
pub const MOST_DIGESTS: usize = 4;

/// The SHA-256 digest of one webhook password.
///
/// A fast hash is enough: the password is 32 random bytes that we made, so there is nothing to guess at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordDigest {
    /// SHA-256 of the password's bytes.
    pub sha256: [u8; 32],
    /// From when on the password is refused; `None` while it has no end.
    pub ends: Option<Timestamp>,
}

impl PasswordDigest {
    /// The digest of a password that has no end.
    #[must_use]
    pub fn of(password: &[u8]) -> Self {
        Self {
            sha256: Sha256::digest(password).into(),
            ends: None,
        }
    }
}

/// Whether `presented`, the digest of what a caller sent, is one of `kept` and still counts at `now`.
///
/// The same [`MOST_DIGESTS`] comparisons are made whatever is kept (nothing, for an unknown integration), each in constant
/// time, so that the time it takes tells a caller nothing.
#[must_use]
pub fn matches(presented: &[u8; 32], kept: &[PasswordDigest], now: Timestamp) -> bool {
    let mut found = Choice::from(0);
    for slot in 0..MOST_DIGESTS {
        let (sha256, counts) = match kept.get(slot) {
            Some(digest) => (digest.sha256, digest.ends.is_none_or(|end| now < end)),
            None => ([0; 32], false),
        };
        found |= presented.ct_eq(&sha256) & Choice::from(u8::from(counts));
    }
    found.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_kept_password_matches_until_its_end() {
        let mut old = PasswordDigest::of(b"old");
        old.ends = Some(at("2026-11-23T12:00:00Z"));
        let kept = [PasswordDigest::of(b"new"), old];
        let presented = |password: &[u8]| PasswordDigest::of(password).sha256;
        assert!(matches(
            &presented(b"new"),
            &kept,
            at("2026-11-24T00:00:00Z")
        ));
        assert!(matches(
            &presented(b"old"),
            &kept,
            at("2026-11-23T11:59:59Z")
        ));
        assert!(!matches(
            &presented(b"old"),
            &kept,
            at("2026-11-23T12:00:00Z")
        ));
        assert!(!matches(
            &presented(b"other"),
            &kept,
            at("2026-11-23T11:00:00Z")
        ));
    }

    #[test]
    fn nothing_matches_where_nothing_is_kept_not_even_the_filler() {
        assert!(!matches(&[0; 32], &[], Timestamp::UNIX_EPOCH));
    }
}
