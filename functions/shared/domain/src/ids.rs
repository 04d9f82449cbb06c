//! Names that people choose, and the ids that Azure DevOps makes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The most letters and digits a name may have; hyphens between them are not counted.
const MOST_LETTERS: usize = 48;

/// Why a text is no name of an integration or a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to 48 lower-case letters and digits, with single hyphens between them, such as \"acme\" or \"acme-platform\""
)]
pub struct InvalidName;

/// A text that is no GUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has the form 00000000-0000-0000-0000-000000000000, in hexadecimal digits")]
pub struct InvalidGuid;

/// A text with one door: `FromStr`, which everything that reads it goes through.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $error:ty, $parse:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// It as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $parse(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(it: $name) -> Self {
                it.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(crate) use checked_text;

checked_text! {
    /// The name of an integration: a slug, `^[a-z0-9](-?[a-z0-9]){0,47}$`.
    ///
    /// It never changes, since the webhook endpoint ends in it: an integration set up again under its old name gets its old
    /// endpoint back.
    IntegrationName, InvalidName, slug
}

checked_text! {
    /// The name of a stack: a slug as an integration's is. It never changes: statuses in Azure DevOps are told apart by it.
    StackName, InvalidName, slug
}

checked_text! {
    /// The id of a project or repository: it stays when that is renamed. In lower case, so that two spellings are one id.
    Guid, InvalidGuid, guid
}

fn slug(text: &str) -> Result<String, InvalidName> {
    let mut letters = 0;
    let mut after_hyphen = true;
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => {
                letters += 1;
                after_hyphen = false;
            }
            b'-' if !after_hyphen => after_hyphen = true,
            _ => return Err(InvalidName),
        }
    }
    if after_hyphen || letters > MOST_LETTERS {
        return Err(InvalidName);
    }
    Ok(text.to_owned())
}

pub(crate) fn guid(text: &str) -> Result<String, InvalidGuid> {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    if text.len() == 36 && text.bytes().enumerate().all(fits) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(InvalidGuid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_names() {
        for good in ["a", "7", "acme", "acme-platform", "a-b-c", &"x".repeat(48)] {
            assert!(good.parse::<IntegrationName>().is_ok(), "{good}");
            assert!(good.parse::<StackName>().is_ok(), "{good}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        for bad in [
            "",
            "-a",
            "a-",
            "a--b",
            "Acme",
            "a_b",
            "a b",
            "ä",
            "a/b",
            "a#b",
            "..",
            &"x".repeat(49),
        ] {
            assert!(bad.parse::<IntegrationName>().is_err(), "{bad}");
            assert!(bad.parse::<StackName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn two_spellings_of_an_id_are_one() {
        let id: Guid = "56E81D32-b0e8-44e2-a92a-55eb7b6ccdce".parse().unwrap();
        assert_eq!(id.as_str(), "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce");
        for bad in [
            "",
            "56e81d32",
            "56e81d32#b0e8-44e2-a92a-55eb7b6ccdce",
            "56e81d32-b0e8-44e2-a92a-55eb7b6ccdcg",
        ] {
            assert!(bad.parse::<Guid>().is_err(), "{bad}");
        }
    }
}
