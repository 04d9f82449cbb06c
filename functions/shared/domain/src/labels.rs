//! Words to find integrations and stacks by.

use serde::{Deserialize, Serialize};

/// The most labels, and the longest of them in characters.
const LABELS: (usize, usize) = (50, 100);

/// Labels: at most 50, each of 1 to 100 characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Labels(Vec<String>);

/// Why texts cannot be labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at most {most} labels, each of 1 to {longest} characters", most = LABELS.0, longest = LABELS.1)]
pub struct InvalidLabels;

impl Labels {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl TryFrom<Vec<String>> for Labels {
    type Error = InvalidLabels;

    fn try_from(labels: Vec<String>) -> Result<Self, Self::Error> {
        let (most, longest) = LABELS;
        let fits = |label: &String| (1..=longest).contains(&label.chars().count());
        if labels.len() <= most && labels.iter().all(fits) {
            Ok(Self(labels))
        } else {
            Err(InvalidLabels)
        }
    }
}

impl From<Labels> for Vec<String> {
    fn from(labels: Labels) -> Self {
        labels.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_bounds() {
        let labels =
            |count: usize, length: usize| Labels::try_from(vec!["ä".repeat(length); count]);
        assert!(labels(0, 1).is_ok_and(|none| none.is_empty()));
        assert!(labels(50, 100).is_ok_and(|all| all.iter().count() == 50));
        for (count, length) in [(51, 1), (1, 0), (1, 101)] {
            assert!(labels(count, length).is_err(), "{count} of {length}");
        }
    }
}
