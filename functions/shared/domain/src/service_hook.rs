//! A service hook of ours: one subscription of a project, and how it fares. Azure DevOps has the subscription; what is known of it
//! here was read from there.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{EventType, Guid, stack::Reference};

/// The events that a project's service hooks send, each with the version of its resource that has what is needed.
///
/// Source: facts 4.1. 2.0 of the first four has been seen to come without a resource; 1.0 of the comment is the bare comment,
/// without its pull request.
pub const EVENTS: [(EventType, &str); 5] = [
    (EventType::GitPush, "1.0"),
    (EventType::PullRequestCreated, "1.0"),
    (EventType::PullRequestMergeAttempted, "1.0"),
    (EventType::PullRequestUpdated, "1.0"),
    (EventType::PullRequestCommented, "2.0"),
];

/// The events that a project has no hook for, by the hooks that are known of it.
#[must_use]
pub fn missing_events<'a>(of_project: impl IntoIterator<Item = &'a ServiceHook>) -> Vec<EventType> {
    let mut missing = EVENTS.map(|(event, _)| event).to_vec();
    for hook in of_project {
        missing.retain(|event| *event != hook.event_type);
    }
    missing
}

/// A subscription that Stackhook made, or took over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceHook {
    /// The subscription's id.
    pub id: Guid,
    /// The project whose events it sends.
    pub project: Reference,
    /// The type of the events.
    pub event_type: EventType,
    /// Since when it is ours.
    pub since: Timestamp,
    /// Whether a person made it, to our endpoint, before Stackhook took it over.
    #[serde(default)]
    pub taken_over: bool,
    /// Whether a person wanted it deleted, which could not be: none is made beside it until a person asks for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unwanted: bool,
    /// The tag of the password that it was last given ([`crate::PasswordDigest::tag`]): what reads back is asterisks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// How it was when it was last looked at.
    pub health: Health,
}

/// How a subscription was when it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// How Azure DevOps has it.
    pub status: HookStatus,
    /// What of it is not as Stackhook made it: the names of its inputs, in Azure DevOps' spelling.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
    /// When it was first seen like that.
    pub since: Timestamp,
    /// When it was last looked at.
    pub checked_at: Timestamp,
    /// When it was last seen to send as it should: after that, events may have been lost.
    pub healthy_at: Timestamp,
    /// Whose it is, as Azure DevOps shows that person: it stops when they leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// When a notification of it last succeeded, as far as Azure DevOps' history of seven days tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Timestamp>,
    /// How many of its notifications failed in the seven days before, as far as was looked.
    #[serde(default)]
    pub failed_notifications: u32,
    /// Why it could not be looked at or mended, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The status that the bus was last told of: one event for each change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<HookStatus>,
}

/// How Azure DevOps has a subscription, in its own spelling; `missing` is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HookStatus {
    /// It sends.
    Enabled,
    /// A notification failed for good: it sends hardly anything, and new events are lost (facts 3.1).
    OnProbation,
    /// Probation is over without a success, or we answered 410.
    DisabledBySystem,
    /// A person disabled it.
    DisabledByUser,
    /// Its owner has left, or lost the permission.
    DisabledByInactiveIdentity,
    /// It is not there any more.
    Missing,
    /// Anything else.
    #[serde(other)]
    Unknown,
}

impl HookStatus {
    /// What Azure DevOps says; what it does not say counts as unknown.
    #[must_use]
    pub fn of_wire(text: Option<&str>) -> Self {
        match text {
            Some("enabled") => Self::Enabled,
            Some("onProbation") => Self::OnProbation,
            Some("disabledBySystem") => Self::DisabledBySystem,
            Some("disabledByUser") => Self::DisabledByUser,
            Some("disabledByInactiveIdentity") => Self::DisabledByInactiveIdentity,
            _ => Self::Unknown,
        }
    }

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::OnProbation => "onProbation",
            Self::DisabledBySystem => "disabledBySystem",
            Self::DisabledByUser => "disabledByUser",
            Self::DisabledByInactiveIdentity => "disabledByInactiveIdentity",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

impl Health {
    /// Of a subscription that was just made, or found to be as it should.
    #[must_use]
    pub fn enabled(now: Timestamp, owner: Option<String>) -> Self {
        Self {
            status: HookStatus::Enabled,
            differs: Vec::new(),
            since: now,
            checked_at: now,
            healthy_at: now,
            owner,
            last_success: None,
            failed_notifications: 0,
            trouble: None,
            told: None,
        }
    }

    /// Whether it sends, and what it should, where it should.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.status == HookStatus::Enabled && self.differs.is_empty()
    }

    /// What is known once it was looked at: how it is now, and since when.
    #[must_use]
    pub fn seen(self, status: HookStatus, differs: Vec<String>, now: Timestamp) -> Self {
        let is_the_same = self.status == status && self.differs == differs;
        let mut seen = Self {
            status,
            differs,
            since: if is_the_same { self.since } else { now },
            checked_at: now,
            ..self
        };
        if seen.is_well() {
            seen.healthy_at = now;
            seen.trouble = None;
        }
        seen
    }

    /// The same for one who does not look for what was lost meanwhile: where it was ill, `healthy_at` stays, so that whoever
    /// does finds from when on ([`Health::lost_since`]).
    #[must_use]
    pub fn seen_in_passing(self, status: HookStatus, differs: Vec<String>, now: Timestamp) -> Self {
        let healthy_at = self.healthy_at;
        let was_well = self.is_well() && self.lost_since().is_none();
        let mut seen = self.seen(status, differs, now);
        if !was_well {
            seen.healthy_at = healthy_at;
        }
        seen
    }

    /// From when on events may have been lost, where nobody has looked for them yet: it is ill, or it was and
    /// [was mended in passing](Health::seen_in_passing). [`Health::seen`] takes for granted that its caller looks.
    #[must_use]
    pub fn lost_since(&self) -> Option<Timestamp> {
        (!self.is_well() || self.healthy_at < self.since).then_some(self.healthy_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_hook_is_ill_since_it_was_first_seen_so_and_was_well_when_it_was_last_seen_well() {
        let (one, two, three) = (
            at("2026-11-25T08:00:00Z"),
            at("2026-11-25T08:15:00Z"),
            at("2026-11-25T08:30:00Z"),
        );
        let well = Health::enabled(one, None);
        let ill = well.seen(HookStatus::OnProbation, Vec::new(), two).seen(
            HookStatus::OnProbation,
            Vec::new(),
            three,
        );
        assert_eq!(
            (ill.since, ill.checked_at, ill.healthy_at),
            (two, three, one)
        );
        assert!(!ill.is_well());
        let well = ill.seen(HookStatus::Enabled, Vec::new(), three);
        assert_eq!((well.since, well.healthy_at), (three, three));
        let changed = well.seen(HookStatus::Enabled, vec!["url".to_owned()], three);
        assert!(!changed.is_well());
    }

    #[test]
    fn what_is_mended_in_passing_still_tells_since_when_events_may_be_lost() {
        let (one, two, three, four) = (
            at("2026-11-25T08:00:00Z"),
            at("2026-11-25T08:15:00Z"),
            at("2026-11-25T08:30:00Z"),
            at("2026-11-25T08:45:00Z"),
        );
        let well = Health::enabled(one, None);
        assert_eq!(well.lost_since(), None);
        let well = well.seen_in_passing(HookStatus::Enabled, Vec::new(), two);
        assert_eq!((well.healthy_at, well.lost_since()), (two, None));
        let ill = well.seen_in_passing(HookStatus::OnProbation, Vec::new(), three);
        assert_eq!(ill.lost_since(), Some(two));
        let mended = ill.seen_in_passing(HookStatus::Enabled, Vec::new(), four);
        assert!(mended.is_well());
        assert_eq!(mended.lost_since(), Some(two));
        let again = mended
            .clone()
            .seen_in_passing(HookStatus::Enabled, Vec::new(), four);
        assert_eq!(again.lost_since(), Some(two));
        let looked = mended.seen(HookStatus::Enabled, Vec::new(), four);
        assert_eq!(looked.lost_since(), None);
    }

    #[test]
    fn a_status_is_written_as_azure_devops_writes_it() {
        for status in [
            HookStatus::Enabled,
            HookStatus::OnProbation,
            HookStatus::DisabledBySystem,
            HookStatus::DisabledByUser,
            HookStatus::DisabledByInactiveIdentity,
        ] {
            assert_eq!(HookStatus::of_wire(Some(status.as_str())), status);
        }
        assert_eq!(HookStatus::of_wire(Some("new")), HookStatus::Unknown);
        assert_eq!(HookStatus::of_wire(None), HookStatus::Unknown);
    }
}
