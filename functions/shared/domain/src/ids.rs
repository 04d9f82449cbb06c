//! Names that people choose. Never an id that Azure DevOps or AWS made.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The most letters and digits an integration's name may have; hyphens between them are not counted.
const MOST_LETTERS: usize = 48;

/// The name of an integration: a slug, `^[a-z0-9](-?[a-z0-9]){0,47}$`.
///
/// It never changes, since the webhook endpoint ends in it: an integration set up again under its old name gets its old
/// endpoint back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IntegrationName(String);

/// Why a text is no integration name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to 48 lower-case letters and digits, with single hyphens between them, such as \"acme\" or \"acme-platform\""
)]
pub struct InvalidIntegrationName;

impl IntegrationName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IntegrationName {
    type Err = InvalidIntegrationName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut letters = 0;
        let mut after_hyphen = true;
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' => {
                    letters += 1;
                    after_hyphen = false;
                }
                b'-' if !after_hyphen => after_hyphen = true,
                _ => return Err(InvalidIntegrationName),
            }
        }
        if after_hyphen || letters > MOST_LETTERS {
            return Err(InvalidIntegrationName);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for IntegrationName {
    type Error = InvalidIntegrationName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<IntegrationName> for String {
    fn from(name: IntegrationName) -> Self {
        name.0
    }
}

impl fmt::Display for IntegrationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_names() {
        for good in ["a", "7", "acme", "acme-platform", "a-b-c", &"x".repeat(48)] {
            assert!(good.parse::<IntegrationName>().is_ok(), "{good}");
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
        }
    }
}
