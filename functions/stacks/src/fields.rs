//! The fields of a stack that a person fills in, each with its one rule; a refusal names the field.

use std::{fmt::Display, str::FromStr};

use domain::{Labels, PathGlob, PathGlobs};
use edge::Problem;

/// A field whose text is one of the domain's types.
pub(crate) fn text<T>(field: &'static str, text: &str) -> Result<T, Problem>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse()
        .map_err(|error: T::Err| Problem::field(field, &error))
}

/// A field whose text may be absent, which means what is usual.
pub(crate) fn optional<T>(field: &'static str, given: Option<String>) -> Result<T, Problem>
where
    T: FromStr + Default,
    T::Err: Display,
{
    given.map_or_else(|| Ok(T::default()), |given| text(field, &given))
}

/// `globs`. A refusal counts which of them it is about.
pub(crate) fn globs(globs: Vec<String>) -> Result<PathGlobs, Problem> {
    let parsed = globs.iter().enumerate().map(|(at, glob)| {
        glob.parse::<PathGlob>()
            .map_err(|error| Problem::field("globs", &format!("glob {}: {error}", at + 1)))
    });
    let globs: Vec<PathGlob> = parsed.collect::<Result<_, _>>()?;
    PathGlobs::try_from(globs).map_err(|error| Problem::field("globs", &error))
}

/// `labels`.
pub(crate) fn labels(labels: Vec<String>) -> Result<Labels, Problem> {
    Labels::try_from(labels).map_err(|error| Problem::field("labels", &error))
}

/// `project` or `repository`: a name or an id, which Azure DevOps knows.
pub(crate) fn named(field: &'static str, name: String) -> Result<String, Problem> {
    if name.trim().is_empty() {
        return Err(Problem::field(field, &"name it, by its name or its id"));
    }
    Ok(name)
}
