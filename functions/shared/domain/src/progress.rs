//! How far the care for an integration has got: what a pass has found, and where the next one goes on.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::Guid;

/// How far the care for one integration has got. Whatever is absent was never done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    /// When the last pass began.
    pub passed_at: Option<Timestamp>,
    /// Azure DevOps has asked not to be called before that.
    pub not_before: Option<Timestamp>,
    /// The service hook that was looked at last: the next pass begins behind it, where there are too many for one.
    pub looked_at: Option<Guid>,
    /// Whether some service hooks gave no answer, so that the next pass looks at all of them.
    pub look_again: bool,
    /// Up to when deliveries without an outcome were looked for.
    pub swept_until: Option<Timestamp>,
    /// The day on which all that may lack one was looked through, however old.
    pub swept_on: Option<Date>,
    /// Up to when failed notifications were taken from Azure DevOps' history.
    pub history_until: Option<Timestamp>,
    /// When the last reading of all of that history that was finished had begun.
    pub history_read_at: Option<Timestamp>,
    /// The reading of that history that is under way.
    pub reading: Option<Reading>,
    /// Where events may have been lost and nothing was compared since.
    pub gap: Option<Gap>,
    /// Whether deliveries were found that nobody had dispatched, and comparing waits for a pass until they are.
    pub awaits_dispatch: bool,
    /// The project whose service hooks were mended last: the next pass begins behind it, where they are too many for one.
    pub mended_at: Option<Guid>,
    /// The comparison that is under way.
    pub comparison: Option<Comparison>,
    /// When the last comparison that was finished had begun.
    pub compared_at: Option<Timestamp>,
    /// The last trouble of `webhook` that was taken for a gap.
    pub trouble: Option<Timestamp>,
    /// The day on which it was looked whether anything is received at all.
    pub listened_on: Option<Date>,
    /// The service hooks, by their ids, that a person had disabled and that were seen enabled again: when. Until all was compared
    /// once after that, what happened before is left alone.
    pub enabled_again: BTreeMap<String, Timestamp>,
    /// What the bus was told of, so that it is told once.
    pub told: Told,
    /// What the last pass did.
    pub last: Pass,
}

/// A time in which events may have been lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// When it may have begun.
    pub since: Timestamp,
    /// When it was last seen to go on: a comparison that began before does not close it.
    pub until: Timestamp,
    /// Why, in words.
    pub why: String,
}

/// A reading of Azure DevOps' history, which goes from hook to hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// When it began.
    pub began: Timestamp,
    /// From when on it reads.
    pub since: Timestamp,
    /// Whether that is all that there is.
    pub is_whole: bool,
    /// The hook that it was through with last; the next pass goes on behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<Guid>,
    /// The hook that it is in the middle of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Guid>,
    /// Down to when the notifications of the next hook are read, where it is in the middle of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How many of those it has read.
    #[serde(default)]
    pub count: u32,
}

/// A comparison of what Azure DevOps has with what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// When it began.
    pub began: Timestamp,
    /// The repository that it was at last; the next pass goes on behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Guid>,
    /// The project whose pull requests it compared last, once it is through with the repositories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Guid>,
    /// Whether it is through with the repositories.
    #[serde(default)]
    pub pushes_done: bool,
    /// The repository or project at which a pass ended because Azure DevOps failed: if it does once more, it is passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<Guid>,
}

/// What the bus was told of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Told {
    /// Why the connection does not work, as it was told; absent while it does.
    pub connection_failure: Option<String>,
    /// Whether the last answer was a sign-in page, which counts once it comes again.
    pub sign_in_page: bool,
    /// The day on which the token ends, and the last number of days before it that was told.
    pub token: Option<(Date, i32)>,
    /// Since when nothing was received, as it was told.
    pub silent_since: Option<Timestamp>,
}

/// What a pass did, as numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pass {
    /// Calls of Azure DevOps.
    pub calls: u32,
    /// Service hooks that are ours.
    pub hooks: u32,
    /// Those that did not send as they should when they were looked at, whatever was mended then; but for those that a person
    /// stopped.
    pub failing: u32,
    /// Those that a person stopped.
    pub stopped: u32,
    /// Those that are not there any more, or that were never made since making a project's was cut off.
    pub missing: u32,
    /// Those that were mended.
    pub mended: u32,
    /// Deliveries that were never dispatched, and are now.
    pub dispatched: u32,
    /// Failed notifications that were taken from Azure DevOps' history and were not there yet.
    pub notifications: u32,
    /// Changes that never reached us, found by comparing.
    pub found: u32,
    /// Whether there is more to do than this pass could.
    pub unfinished: bool,
}
