//! What was found out about a delivery when it was dispatched, as far as it is kept: what changed of each ref that was compared,
//! and how a pull request was.
//!
//! By it anybody can tell later, without asking Azure DevOps, what a stack would make of the delivery.

use serde::{Deserialize, Serialize};

use crate::{Changed, touch::Touch};

/// The most paths that are kept of a delivery, and the most bytes of them and of the names of refs. Compressed they are a few
/// dozen KB as a rule, and never too much for an item of 400 KB with the decisions for thousands of stacks.
const MOST_PATHS: usize = 2_000;
const MOST_BYTES: usize = 128 * 1_024;

/// What was found out about a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// Of a push: the refs that were compared, which are those that somebody followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<ComparedRef>,
    /// The pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<ComparedPullRequest>,
}

/// A ref of a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparedRef {
    /// Its full name.
    pub name: String,
    /// What changed; `None` where the ref was gone by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<KeptChanges>,
}

/// A pull request, as Azure DevOps had it when the delivery was dispatched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparedPullRequest {
    /// `active`, `abandoned`, `completed` or `notSet`.
    pub status: String,
    /// The full name of the ref it went into.
    pub target_ref: String,
    /// Whether it was a draft.
    pub is_draft: bool,
    /// Whether it comes from a fork.
    pub is_fork: bool,
    /// What it would change; `None` where that was not asked, since no stack wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<KeptChanges>,
}

/// What changed, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptChanges {
    /// The first paths, or why none are known.
    changed: Changed,
    /// How many paths more there were.
    #[serde(default, skip_serializing_if = "is_zero")]
    more: usize,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference over"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl KeptChanges {
    /// What is said by `touch` of what changed; the count of paths that are not kept where those may say something else.
    ///
    /// # Errors
    ///
    /// That count.
    pub fn touch(&self, touch: impl FnOnce(&Changed) -> Touch) -> Result<Touch, usize> {
        match touch(&self.changed) {
            Touch::No(_) if self.more > 0 => Err(self.more),
            told => Ok(told),
        }
    }
}

/// How much may still be kept of one delivery.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    paths: usize,
    bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            paths: MOST_PATHS,
            bytes: MOST_BYTES,
        }
    }
}

impl Room {
    /// What is kept of a ref; `None` where not even its name fits.
    #[must_use]
    pub fn keep_ref(&mut self, name: &str, changed: Option<&Changed>) -> Option<ComparedRef> {
        self.bytes = self.bytes.checked_sub(name.len())?;
        Some(ComparedRef {
            name: name.to_owned(),
            changed: changed.map(|changed| self.keep(changed)),
        })
    }

    /// What is kept of what changed.
    #[must_use]
    pub fn keep(&mut self, changed: &Changed) -> KeptChanges {
        let Changed::Paths(paths) = changed else {
            return KeptChanges {
                changed: changed.clone(),
                more: 0,
            };
        };
        let mut kept = Vec::new();
        for path in paths.iter().take(self.paths) {
            // A quote and a comma each, in JSON.
            let Some(left) = self.bytes.checked_sub(path.len() + 3) else {
                break;
            };
            self.bytes = left;
            kept.push(path.clone());
        }
        self.paths -= kept.len();
        KeptChanges {
            more: paths.len() - kept.len(),
            changed: Changed::Paths(kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(count: usize, length: usize) -> Changed {
        Changed::Paths(
            (0..count)
                .map(|number| format!("{number:0length$}"))
                .collect(),
        )
    }

    #[test]
    fn what_is_kept_of_a_delivery_has_an_end_by_count_and_by_bytes() {
        let mut room = Room::default();
        let first = room.keep(&paths(1_500, 10));
        let second = room.keep(&paths(1_500, 10));
        assert_eq!((first.more, second.more), (0, 1_000));
        assert_eq!(room.keep(&paths(1, 10)).more, 1);
        let long = Room::default().keep(&paths(2_000, 400));
        let Changed::Paths(kept) = &long.changed else {
            panic!("{long:?}")
        };
        assert_eq!(kept.len(), MOST_BYTES / 403);
        assert_eq!(kept.len() + long.more, 2_000);
        let name = "x".repeat(MOST_BYTES + 1);
        assert_eq!(Room::default().keep_ref(&name, None), None);
    }

    #[test]
    fn what_is_not_kept_may_touch_and_what_is_kept_tells() {
        let yes = |_: &Changed| Touch::Yes("y".to_owned());
        let no = |_: &Changed| Touch::No("n".to_owned());
        let whole = Room::default().keep(&paths(3, 5));
        assert_eq!(whole.touch(no), Ok(Touch::No("n".to_owned())));
        let cut = Room::default().keep(&paths(2_007, 5));
        assert_eq!(cut.touch(no), Err(7));
        assert_eq!(cut.touch(yes), Ok(Touch::Yes("y".to_owned())));
    }
}
