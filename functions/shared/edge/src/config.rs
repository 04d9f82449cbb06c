//! A function's environment variables, read once at its start; an error names the variable.

use std::{fmt::Display, str::FromStr};

/// A variable that is missing or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not set.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// It is set to something else than it should be.
    #[error("the environment variable {name} cannot be read: {reason}")]
    Unreadable {
        /// The variable.
        name: &'static str,
        /// Why not.
        reason: String,
    },
}

/// A variable that must be there.
///
/// # Errors
///
/// [`ConfigError`].
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the environment is read"
)]
pub fn required<T>(name: &'static str) -> Result<T, ConfigError>
where
    T: FromStr,
    T::Err: Display,
{
    let value = std::env::var(name).map_err(|_absent| ConfigError::Missing(name))?;
    value
        .parse()
        .map_err(|error: T::Err| ConfigError::Unreadable {
            name,
            reason: error.to_string(),
        })
}

/// A variable that may be missing.
#[must_use]
pub fn optional(name: &'static str) -> Option<String> {
    required(name).ok()
}
