//! Stacks and modules: what follows a repository, and each thing that a person says of it.

use std::{fmt, str::FromStr};

use globset::GlobBuilder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    IntegrationName, Labels, StackName,
    ids::{Guid, checked_text},
};

/// The longest path, glob or ref, in bytes: far above what people write, far below what an item holds.
const LONGEST: usize = 400;
/// The most globs of a stack.
const MOST_GLOBS: usize = 50;
/// What the ref of every branch begins with.
pub const HEADS: &str = "refs/heads/";

/// What kind of thing follows a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StackKind {
    /// Pushes to its branch are applied, pull requests into it proposed.
    #[default]
    Stack,
    /// A stack whose every commit is tested.
    Module,
}

/// A text that is no kind of stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("kind is stack or module")]
pub struct InvalidStackKind;

impl FromStr for StackKind {
    type Err = InvalidStackKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "stack" => Ok(Self::Stack),
            "module" => Ok(Self::Module),
            _ => Err(InvalidStackKind),
        }
    }
}

/// Why a text is no directory of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a project root is a directory in the repository, such as prod/eu: parts divided by single slashes, none of them . or .., no backslash or control character, at most {LONGEST} bytes; leave it empty for the repository's root"
)]
pub struct InvalidProjectRoot;

checked_text! {
    /// A directory in a repository, without a slash at either end; empty for the repository's root.
    #[derive(Default)]
    ProjectRoot, InvalidProjectRoot, directory
}

impl ProjectRoot {
    /// Whether it is the repository's root.
    #[must_use]
    pub fn is_repository(&self) -> bool {
        self.as_str().is_empty()
    }
}

fn directory(text: &str) -> Result<String, InvalidProjectRoot> {
    let inner = text.strip_prefix('/').unwrap_or(text);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    let is_directory = inner.is_empty() || inner.split('/').all(is_part);
    if is_directory && inner.len() <= LONGEST && is_plain(inner) {
        Ok(inner.to_owned())
    } else {
        Err(InvalidProjectRoot)
    }
}

fn is_plain(path: &str) -> bool {
    !path.chars().any(|char| char == '\\' || char.is_control())
}

/// Why a text is no glob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPathGlob {
    /// It is no path at all.
    #[error(
        "a glob is a path from the repository's root with *, **, ?, [a-z] or {{a,b}} in it, such as modules/**/*.tf: 1 to {LONGEST} bytes, no backslash or control character"
    )]
    NotAPath,
    /// Its wildcards cannot be understood.
    #[error("this is no glob: {0}")]
    NotAGlob(String),
}

checked_text! {
    /// Paths of a repository that concern a stack besides its project root: `*` stays within a directory, `**` does not.
    PathGlob, InvalidPathGlob, glob
}

/// The glob without the slash at its beginning that Azure DevOps puts before paths.
fn glob(text: &str) -> Result<String, InvalidPathGlob> {
    let inner = text.strip_prefix('/').unwrap_or(text);
    if inner.is_empty() || inner.len() > LONGEST || !is_plain(inner) {
        return Err(InvalidPathGlob::NotAPath);
    }
    let built = GlobBuilder::new(inner).literal_separator(true).build();
    match built {
        Ok(_) => Ok(inner.to_owned()),
        Err(error) => Err(InvalidPathGlob::NotAGlob(error.kind().to_string())),
    }
}

/// The globs of a stack: at most 50.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<PathGlob>", into = "Vec<PathGlob>")]
pub struct PathGlobs(Vec<PathGlob>);

/// There are more globs than a stack may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stack has at most {MOST_GLOBS} globs")]
pub struct TooManyGlobs;

impl PathGlobs {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<PathGlob>> for PathGlobs {
    type Error = TooManyGlobs;

    fn try_from(globs: Vec<PathGlob>) -> Result<Self, Self::Error> {
        if globs.len() > MOST_GLOBS {
            return Err(TooManyGlobs);
        }
        Ok(Self(globs))
    }
}

impl From<PathGlobs> for Vec<PathGlob> {
    fn from(globs: PathGlobs) -> Self {
        globs.0
    }
}

/// Why a text is no branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a branch is given by its name, such as main, or by its ref, such as refs/heads/main, as git allows them, in at most {LONGEST} bytes"
)]
pub struct InvalidBranch;

checked_text! {
    /// A branch, by the full name of its ref: `refs/heads/…`.
    Branch, InvalidBranch, branch
}

impl Branch {
    /// The name that people know it by.
    #[must_use]
    pub fn short(&self) -> &str {
        self.as_str().strip_prefix(HEADS).unwrap_or_default()
    }
}

/// The rules of `git check-ref-format --branch`.
fn branch(text: &str) -> Result<String, InvalidBranch> {
    let name = text.strip_prefix(HEADS).unwrap_or(text);
    let is_part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let is_forbidden = |char: char| char.is_control() || " ~^:?*[\\".contains(char);
    let is_branch = name.split('/').all(is_part)
        && !name.contains(is_forbidden)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && !name.starts_with('-')
        // Another ref's full name, which git would take for a branch of that name below refs/heads/.
        && !name.starts_with("refs/")
        && !matches!(name, "@" | "HEAD");
    if is_branch && HEADS.len() + name.len() <= LONGEST {
        Ok(format!("{HEADS}{name}"))
    } else {
        Err(InvalidBranch)
    }
}

/// A project or a repository of Azure DevOps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Its id, which stays.
    pub id: Guid,
    /// Its name, as it was when it was last looked at.
    pub name: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What follows a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Its name, for ever.
    pub name: StackName,
    /// Whether its every commit is tested.
    pub kind: StackKind,
    /// The integration it is linked by, or was until it was detached.
    pub integration: IntegrationName,
    /// The project that the repository is in.
    pub project: Reference,
    /// The repository that it follows.
    pub repository: Reference,
    /// The branch that is tracked.
    pub branch: Branch,
    /// The directory that it is about.
    pub project_root: ProjectRoot,
    /// What concerns it beyond that.
    pub globs: PathGlobs,
    /// Whether pull requests from forks may ask for runs.
    pub allow_forks: bool,
    /// Whether pull requests that are drafts may.
    pub run_drafts: bool,
    /// Words to find it by.
    pub labels: Labels,
    /// When its integration was unlinked; `None` while it is linked.
    pub detached_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When anything about it last changed: different after each change.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_root_is_normalised() {
        for (given, kept) in [
            ("", ""),
            ("/", ""),
            ("prod", "prod"),
            ("/prod/", "prod"),
            ("prod/eu west/ä", "prod/eu west/ä"),
            ("...", "..."),
        ] {
            assert_eq!(given.parse::<ProjectRoot>().unwrap().as_str(), kept);
        }
        assert!("".parse::<ProjectRoot>().unwrap().is_repository());
    }

    #[test]
    fn what_leads_elsewhere_is_no_project_root() {
        let long = "x".repeat(LONGEST + 1);
        for bad in [
            ".", "..", "./prod", "prod/..", "a/../b", "a//b", "//prod", "prod//", "a\\b", "a\nb",
            "a\0b", &long,
        ] {
            assert!(bad.parse::<ProjectRoot>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn globs_are_checked_when_they_are_made() {
        for (given, kept) in [
            ("modules/**", "modules/**"),
            ("/modules/net/*.tf", "modules/net/*.tf"),
            ("**/*.{tf,tfvars}", "**/*.{tf,tfvars}"),
            ("a[0-9]?", "a[0-9]?"),
        ] {
            assert_eq!(given.parse::<PathGlob>().unwrap().as_str(), kept);
        }
        let long = "x".repeat(LONGEST + 1);
        for bad in ["", "/", "a[", "{a,b", "a[z-a]", "a\\*", "a\u{7}", &long] {
            assert!(bad.parse::<PathGlob>().is_err(), "{bad:?}");
        }
        let globs = |count| PathGlobs::try_from(vec!["*".parse::<PathGlob>().unwrap(); count]);
        assert!(globs(MOST_GLOBS).is_ok() && globs(MOST_GLOBS + 1).is_err());
    }

    #[test]
    fn a_branch_is_known_by_its_name_and_by_its_ref() {
        for name in [
            "main",
            "feature/x",
            "fix-1.2",
            "ä",
            "a@b",
            "@a",
            "lock",
            "heads/main",
        ] {
            let branch: Branch = name.parse().unwrap();
            assert_eq!(
                (branch.as_str(), branch.short()),
                (format!("refs/heads/{name}").as_str(), name)
            );
            assert_eq!(branch.as_str().parse::<Branch>().unwrap(), branch);
        }
    }

    #[test]
    fn what_git_does_not_allow_is_no_branch() {
        let long = "x".repeat(LONGEST);
        for bad in [
            "",
            "refs/heads/",
            "refs/tags/v1",
            "/main",
            "main/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a..b",
            "a.",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[b",
            "a\\b",
            "a@{1}",
            "@",
            "HEAD",
            "-a",
            "a\u{7f}",
            "a\n",
            &long,
        ] {
            assert!(bad.parse::<Branch>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_kind_is_one_of_two() {
        assert_eq!("module".parse(), Ok(StackKind::Module));
        assert!("Module".parse::<StackKind>().is_err());
        assert_eq!(StackKind::default(), StackKind::Stack);
    }
}
