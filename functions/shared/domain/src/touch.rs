//! Whether what changed concerns a stack: a path under its project root, or one that a glob of it matches. What cannot be known
//! counts as touched, since a run too many costs less than one too few.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use crate::{Stack, summary::plain};

/// How many places a reason names.
const MOST_PLACES: usize = 3;

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Changed {
    /// These paths, without a slash at the beginning; of a moved file both.
    Paths(Vec<String>),
    /// It is not known, and why.
    Unknown(String),
}

/// Whether a stack is touched, and why, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touch {
    /// It is.
    Yes(String),
    /// It is not.
    No(String),
}

impl Changed {
    /// Whether it concerns a stack.
    #[must_use]
    pub fn touch(&self, stack: &Stack) -> Touch {
        let paths = match self {
            Self::Unknown(why) => {
                return Touch::Yes(format!(
                    "what changed is not known ({why}), which counts as touched"
                ));
            }
            Self::Paths(paths) if paths.is_empty() => {
                return Touch::No("no file changed".to_owned());
            }
            Self::Paths(paths) => paths,
        };
        if stack.project_root.is_repository() {
            return Touch::Yes(format!("{} changed", named(&paths[0])));
        }
        let root = format!("{}/", stack.project_root);
        let is_within =
            |path: &&String| path.starts_with(&root) || **path == stack.project_root.as_str();
        if let Some(path) = paths.iter().find(is_within) {
            return Touch::Yes(format!("{} is in {}", named(path), named(&root)));
        }
        match globs(stack) {
            // Each was checked when it was made; a version that cannot read it any more must not lose a run.
            None => {
                return Touch::Yes("its globs cannot be read, which counts as touched".to_owned());
            }
            Some(globs) => {
                for path in paths {
                    if let Some(glob) = globs.matches(path).first() {
                        let all: Vec<_> = stack.globs.clone().into();
                        let glob = all.get(*glob).map(ToString::to_string).unwrap_or_default();
                        return Touch::Yes(format!(
                            "{} matches the glob {}",
                            named(path),
                            named(&glob)
                        ));
                    }
                }
            }
        }
        let verb = if places(paths).len() == 1 {
            "is"
        } else {
            "are"
        };
        let and = if stack.globs.is_empty() {
            ""
        } else {
            " and no glob matches"
        };
        Touch::No(format!(
            "{} {verb} outside {}{and}",
            in_words(paths),
            named(&root)
        ))
    }
}

fn globs(stack: &Stack) -> Option<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for glob in Vec::from(stack.globs.clone()) {
        let glob = GlobBuilder::new(glob.as_str())
            .literal_separator(true)
            .build();
        set.add(glob.ok()?);
    }
    set.build().ok()
}

/// The directories that paths lie in, each once; a file of the repository's root stands for itself.
fn places(paths: &[String]) -> Vec<String> {
    let place = |path: &String| match path.rsplit_once('/') {
        Some((directory, _)) => format!("{directory}/"),
        None => path.clone(),
    };
    let mut places: Vec<String> = paths.iter().map(place).collect();
    places.sort_unstable();
    places.dedup();
    places
}

fn in_words(paths: &[String]) -> String {
    let places = places(paths);
    let mut words: Vec<String> = places
        .iter()
        .take(MOST_PLACES)
        .map(|place| named(place))
        .collect();
    let others = places.len().saturating_sub(MOST_PLACES);
    match others {
        0 => {}
        1 => words.push("1 other place".to_owned()),
        others => words.push(format!("{others} other places")),
    }
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

fn named(path: &str) -> String {
    format!("`{}`", plain(path))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{StackKind, stack::Reference};

    fn stack(root: &str, globs: &[&str]) -> Stack {
        let reference = || Reference {
            id: "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce".parse().unwrap(),
            name: "platform".to_owned(),
        };
        let globs: Vec<crate::PathGlob> = globs.iter().map(|glob| glob.parse().unwrap()).collect();
        Stack {
            name: "a".parse().unwrap(),
            kind: StackKind::Stack,
            integration: "acme".parse().unwrap(),
            project: reference(),
            repository: reference(),
            branch: "main".parse().unwrap(),
            project_root: root.parse().unwrap(),
            globs: globs.try_into().unwrap(),
            allow_forks: false,
            run_drafts: false,
            labels: crate::Labels::default(),
            detached_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn touch(root: &str, globs: &[&str], paths: &[&str]) -> Touch {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Changed::Paths(paths).touch(&stack(root, globs))
    }

    #[test]
    fn a_path_in_the_project_root_touches_and_its_neighbours_do_not() {
        assert_eq!(
            touch("prod", &[], &["docs/a.md", "prod/main.tf"]),
            Touch::Yes("`prod/main.tf` is in `prod/`".to_owned())
        );
        assert!(
            matches!(touch("prod", &[], &["prod"]), Touch::Yes(_)),
            "a file or a submodule of that name"
        );
        assert!(matches!(touch("", &[], &["README.md"]), Touch::Yes(_)));
        assert_eq!(
            touch("prod", &[], &["production/main.tf"]),
            Touch::No("`production/` is outside `prod/`".to_owned())
        );
        assert!(
            matches!(touch("prod", &[], &["Prod/main.tf"]), Touch::No(_)),
            "git tells upper from lower case"
        );
    }

    #[test]
    fn a_glob_touches_and_says_which() {
        assert_eq!(
            touch("prod", &["docs/*", "modules/**"], &["modules/net/main.tf"]),
            Touch::Yes("`modules/net/main.tf` matches the glob `modules/**`".to_owned())
        );
        assert!(matches!(
            touch("prod", &["modules/*"], &["modules/net/main.tf"]),
            Touch::No(_)
        ));
        assert_eq!(
            touch("prod", &["docs/*"], &["modules/net/main.tf"]),
            Touch::No("`modules/net/` is outside `prod/` and no glob matches".to_owned())
        );
    }

    #[test]
    fn a_reason_names_some_places_and_counts_the_others() {
        assert_eq!(
            touch("prod", &[], &["a/1", "a/2", "README.md"]),
            Touch::No("`README.md` and `a/` are outside `prod/`".to_owned())
        );
        assert_eq!(
            touch("prod", &[], &["a/1", "b/2", "c/3", "d/4", "e/5"]),
            Touch::No("`a/`, `b/`, `c/` and 2 other places are outside `prod/`".to_owned())
        );
        assert_eq!(
            touch("prod", &[], &[]),
            Touch::No("no file changed".to_owned())
        );
    }

    #[test]
    fn what_is_not_known_counts_as_touched() {
        let unknown = Changed::Unknown("it is a first push".to_owned());
        assert!(
            matches!(unknown.touch(&stack("prod", &[])), Touch::Yes(why) if why.contains("first push"))
        );
    }

    #[test]
    fn p15_a_path_cannot_steer_a_terminal() {
        let Touch::No(words) = touch("prod", &[], &["a\u{1b}[31m/x"]) else {
            panic!("touched")
        };
        assert!(!words.contains('\u{1b}'), "{words}");
    }
}
