//! When something happened at Azure DevOps, from its own writing of it.
//! It never asks the clock.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// A date of Azure DevOps, which writes UTC, mostly with a `Z` and sometimes without any zone; `None` where it is no date.
#[must_use]
pub fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(local).ok()
    })
}
