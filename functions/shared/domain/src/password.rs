//! What is kept of a webhook password: its SHA-256 digest, and until when it counts.
//! Never the password itself (that lies in Secrets Manager, which the function facing the internet cannot read).

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

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

    /// A short name for the password, to tell whether a service hook was given this one. Nothing can be compared with a
    /// presented password by it.
    #[must_use]
    pub fn tag(&self) -> String {
        self.sha256[..6]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// The passwords of one integration as they are compared: always [`MOST_DIGESTS`] slots, empty ones among them.
///
/// So comparing is the same work whatever is kept; for an unknown integration that is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineup([Slot; MOST_DIGESTS]);

/// A digest and when it ends; an empty slot ended before time began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    sha256: [u8; 32],
    ends: Timestamp,
}

impl Default for Lineup {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Lineup {
    /// The first [`MOST_DIGESTS`] of `kept`.
    #[must_use]
    pub fn new(kept: &[PasswordDigest]) -> Self {
        Self(std::array::from_fn(|slot| {
            let kept = kept.get(slot);
            Slot {
                sha256: kept.map_or([0; 32], |digest| digest.sha256),
                ends: kept.map_or(Timestamp::MIN, |digest| {
                    digest.ends.unwrap_or(Timestamp::MAX)
                }),
            }
        }))
    }

    /// How many of these have no end: more than one while a rotation has begun and not ended.
    #[must_use]
    pub fn endless(&self) -> usize {
        let endless = self.0.iter().filter(|slot| slot.ends == Timestamp::MAX);
        endless.count()
    }

    /// Until when a password before the current one counts. The current one has no end.
    #[must_use]
    pub fn previous(&self, now: Timestamp) -> Previous {
        if self.endless() > 1 {
            return Previous::WithoutEnd;
        }
        let ends = self.0.iter().map(|slot| slot.ends);
        match ends.filter(|end| *end != Timestamp::MAX).max() {
            Some(end) if now < end => Previous::Until(end),
            _ => Previous::Ended,
        }
    }

    /// Whether `presented`, the digest of what a caller sent, is one of these and still counts at `now`. Every slot is
    /// compared, each in constant time, so that the time it takes tells a caller nothing.
    #[must_use]
    pub fn matches(&self, presented: &[u8; 32], now: Timestamp) -> bool {
        let mut found = Choice::from(0);
        for slot in &self.0 {
            found |= presented.ct_eq(&slot.sha256) & Choice::from(u8::from(now < slot.ends));
        }
        found.into()
    }
}

/// Until when a password before the current one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Previous {
    /// None counts any more.
    Ended,
    /// The last of them counts until then.
    Until(Timestamp),
    /// One has no end: a rotation has not ended.
    WithoutEnd,
}

/// [`MOST_DIGESTS`] passwords are alive already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_DIGESTS} passwords are valid already")]
pub struct TooManyPasswords {
    /// When the first of them ends.
    pub first_end: Option<Timestamp>,
}

/// The digests once `new` is added to those that are alive at `now`: how a rotation begins.
///
/// # Errors
///
/// [`TooManyPasswords`] where there is no room; with `force` the one that ends first makes room.
pub fn with_new(
    kept: &[PasswordDigest],
    new: PasswordDigest,
    now: Timestamp,
    force: bool,
) -> Result<Vec<PasswordDigest>, TooManyPasswords> {
    let mut alive: Vec<PasswordDigest> = kept
        .iter()
        .filter(|digest| digest.ends.is_none_or(|end| now < end))
        .cloned()
        .collect();
    alive.sort_by_key(|digest| digest.ends.unwrap_or(Timestamp::MAX));
    if alive.len() >= MOST_DIGESTS {
        if !force {
            let first_end = alive.first().and_then(|digest| digest.ends);
            return Err(TooManyPasswords { first_end });
        }
        alive.drain(..=alive.len() - MOST_DIGESTS);
    }
    alive.push(new);
    Ok(alive)
}

/// The digests once all but `current` end at `end`, or before where they did already: how a rotation ends. What has ended
/// by `now` is gone.
#[must_use]
pub fn with_end(
    kept: &[PasswordDigest],
    current: &[u8; 32],
    end: Timestamp,
    now: Timestamp,
) -> Vec<PasswordDigest> {
    let ended = kept.iter().map(|digest| {
        let ends = if digest.sha256 == *current {
            None
        } else {
            Some(digest.ends.map_or(end, |before| before.min(end)))
        };
        PasswordDigest {
            sha256: digest.sha256,
            ends,
        }
    });
    ended
        .filter(|digest| digest.ends.is_none_or(|end| now < end))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn digest(password: &str, ends: Option<&str>) -> PasswordDigest {
        PasswordDigest {
            ends: ends.map(at),
            ..PasswordDigest::of(password.as_bytes())
        }
    }

    #[test]
    fn a_rotation_that_has_not_ended_is_told_by_two_passwords_without_an_end() {
        let at = "2026-11-25T08:00:00Z".parse().unwrap();
        let (old, new) = (PasswordDigest::of(b"old"), PasswordDigest::of(b"new"));
        let begun = with_new(&[old], new.clone(), at, false).unwrap();
        assert_eq!(Lineup::new(&begun).endless(), 2);
        let ended = with_end(
            &begun,
            &new.sha256,
            at + jiff::SignedDuration::from_hours(1),
            at,
        );
        assert_eq!(Lineup::new(&ended).endless(), 1);
        assert_eq!(Lineup::default().endless(), 0);
    }

    #[test]
    fn a8_a_kept_password_matches_until_its_end() {
        let lineup = Lineup::new(&[
            digest("new", None),
            digest("old", Some("2026-11-23T12:00:00Z")),
        ]);
        let matches = |password: &str, now| {
            lineup.matches(&PasswordDigest::of(password.as_bytes()).sha256, at(now))
        };
        assert!(matches("new", "2026-11-24T00:00:00Z"));
        assert!(matches("old", "2026-11-23T11:59:59Z"));
        assert!(!matches("old", "2026-11-23T12:00:00Z"));
        assert!(!matches("other", "2026-11-23T11:00:00Z"));
    }

    #[test]
    fn of_the_passwords_before_the_current_one_the_last_end_counts_until_it_has_come() {
        let until = |ends: &[Option<&str>]| {
            let before = ends.iter().map(|end| digest("before", *end));
            let kept: Vec<_> = before.chain([digest("current", None)]).collect();
            Lineup::new(&kept).previous(at("2026-11-23T12:00:00Z"))
        };
        let (past, soon, later) = (
            Some("2026-11-23T12:00:00Z"),
            Some("2026-11-23T13:00:00Z"),
            Some("2026-11-23T14:00:00Z"),
        );
        assert_eq!(until(&[]), Previous::Ended);
        assert_eq!(until(&[past]), Previous::Ended);
        let last = Previous::Until(at("2026-11-23T14:00:00Z"));
        assert_eq!(until(&[past, later, soon]), last);
        assert_eq!(until(&[soon, None]), Previous::WithoutEnd);
    }

    #[test]
    fn a9_a_password_of_the_same_length_that_differs_in_its_last_byte_does_not_match() {
        let lineup = Lineup::new(&[digest("0123456789abcdef", None)]);
        let now = at("2026-11-23T12:00:00Z");
        for wrong in [
            "0123456789abcdeg",
            "0123456789abcde",
            "0123456789abcdeff",
            "",
        ] {
            assert!(!lineup.matches(&PasswordDigest::of(wrong.as_bytes()).sha256, now));
        }
    }

    #[test]
    fn nothing_matches_where_nothing_is_kept_not_even_the_filler() {
        for now in [Timestamp::UNIX_EPOCH, Timestamp::MIN, Timestamp::MAX] {
            assert!(!Lineup::default().matches(&[0; 32], now));
        }
    }

    #[test]
    fn a_rotation_adds_a_password_and_then_ends_the_others() {
        let now = at("2026-11-23T12:00:00Z");
        let kept = [
            digest("ended", Some("2026-11-23T11:00:00Z")),
            digest("ending", Some("2026-11-23T13:00:00Z")),
            digest("current", None),
        ];
        let new = digest("new", None);
        let both = with_new(&kept, new.clone(), now, false).unwrap();
        assert_eq!(both, [kept[1].clone(), kept[2].clone(), new.clone()]);
        let tomorrow = at("2026-11-24T12:00:00Z");
        assert_eq!(
            with_end(&both, &new.sha256, tomorrow, now),
            [
                kept[1].clone(),
                digest("current", Some("2026-11-24T12:00:00Z")),
                new.clone()
            ],
            "an end that was promised is not put off"
        );
        assert_eq!(with_end(&both, &new.sha256, now, now), [new]);
    }

    #[test]
    fn a_fifth_password_takes_force_and_then_the_place_of_the_one_that_ends_first() {
        let now = at("2026-11-23T12:00:00Z");
        let kept: Vec<PasswordDigest> = (1..=3)
            .map(|hour| digest("old", Some(&format!("2026-11-24T0{hour}:00:00Z"))))
            .chain([digest("current", None)])
            .collect();
        let refused = with_new(&kept, digest("new", None), now, false).unwrap_err();
        assert_eq!(refused.first_end, Some(at("2026-11-24T01:00:00Z")));
        let forced = with_new(&kept, digest("new", None), now, true).unwrap();
        assert_eq!(forced.len(), MOST_DIGESTS);
        assert_eq!(forced[0], kept[1]);
    }
}
