//! What we only assume of Azure DevOps, one switch each, so that tests can pass with it both ways (facts, section 12).
//! A switch never stands for something documented: that is simply built.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

macro_rules! assumptions {
    ($($variant:ident $name:literal $default:literal $holds:literal;)+) => {
        /// One assumption. The sentence beside its name says what is so while it holds.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub(crate) enum Assumption { $($variant),+ }

        impl Assumption {
            const ALL: &[Assumption] = &[$(Assumption::$variant),+];

            /// The name in `/_control/assumptions/{name}`.
            fn name(self) -> &'static str {
                match self { $(Assumption::$variant => $name),+ }
            }

            fn meaning(self) -> &'static str {
                match self { $(Assumption::$variant => $holds),+ }
            }

            fn by_default(self) -> bool {
                match self { $(Assumption::$variant => $default),+ }
            }
        }
    };
}

assumptions! {
    PutKeepsMaskedPassword "putKeepsMaskedPassword" true
        "A PUT with ******** keeps the stored password; otherwise the asterisks are stored (facts 5).";
    PutEndsProbation "putEndsProbation" true
        "A PUT with status enabled takes a subscription off probation; otherwise it stays there (design 9).";
    ProbationLosesEvents "probationLosesEvents" true
        "New events are lost while a subscription is on probation; otherwise they are sent (facts 3.1).";
    ProbationKeepsWaiting "probationKeepsWaiting" true
        "What was queued or waited for a retry when probation began is sent all the same; otherwise it has failed (facts 3.1: a subscription on probation is limited).";
    ProbationRetryIsOneAttempt "probationRetryIsOneAttempt" true
        "A probation's retry that fails transiently has failed; otherwise the eight quick retries come first (facts 3.1).";
    RestoringKeepsRetry "restoringKeepsRetry" true
        "A subscription that comes off its probation by other means than the notification that put it there retries that one at its time; otherwise that one has failed.";
    TimeoutIsTransient "timeoutIsTransient" true
        "No answer in time is a transient failure; otherwise an enduring one (facts 3.1, 12).";
    NoConnectionIsTransient "noConnectionIsTransient" true
        "A connection that is refused or breaks is a transient failure; otherwise an enduring one.";
    WaitingReadsPending "waitingReadsPending" true
        "The history shows a notification that waits for a retry as queued and pending; otherwise as completed and failed, until a retry succeeds.";
    RetriesUseCurrentInputs "retriesUseCurrentInputs" true
        "A retry goes to the URL and with the password that the subscription has by then; otherwise with those of the time of the event.";
    PutEndsInactivity "putEndsInactivity" true
        "Another person's PUT with status enabled ends disabledByInactiveIdentity; otherwise only its creator's return lets one end it.";
    ReturnEndsInactivity "returnEndsInactivity" false
        "A person's return enables the subscriptions that were disabled by their inactivity; otherwise somebody has to.";
    RetriesKeepCreatedDate "retriesKeepCreatedDate" true
        "A retry sends the same createdDate; otherwise the time of the attempt (facts 3.3).";
    OverlapsShareCreatedDate "overlapsShareCreatedDate" true
        "All subscriptions that match an event get the same createdDate; otherwise each its own (facts 3.3).";
    BlankUserSendsBasic "blankUserSendsBasic" true
        "A subscription with a password and no user name sends Basic ':password'; otherwise no Authorization at all (facts 3.2).";
    IdHeadersAreSent "idHeadersAreSent" true
        "Deliveries carry Request-Id and X-VSS-SubscriptionId; otherwise neither (facts 3.2).";
    ForcedIsMarked "forcedIsMarked" true
        "A force push has forced: true on its ref update; otherwise nothing tells it (facts 4.2).";
    MultiRefPushIsOneEvent "multiRefPushIsOneEvent" true
        "A push of several refs is one event; otherwise one for each ref (facts 4.2).";
    BranchFilterHoldsBackTags "branchFilterHoldsBackTags" true
        "A subscription's branch filter holds back tags; otherwise they pass (facts 4.2).";
    DraftAndRetargetAreStatusUpdates "draftAndRetargetAreStatusUpdates" true
        "Draft, ready, title and target changes pass the filter StatusUpdateNotification; otherwise no notificationType filter lets them pass (facts 4.4).";
    NoneLeavesKeys "noneLeavesKeys" true
        "Messages switched to none come as null; otherwise their keys are absent (facts 3.5).";
    MissingSwitchMeansMinimal "missingSwitchMeansMinimal" true
        "A subscription without resourceDetailsToSend gets minimal resources; otherwise all (facts 3.5).";
    InvalidTokenGetsSignInPage "invalidTokenGetsSignInPage" true
        "An unknown token, unless the redirect is suppressed, gets 203 and a sign-in page; otherwise 302 to one (facts 7).";
    ExpiredTokenGetsJson "expiredTokenGetsJson" true
        "The 401 of an expired token has a JSON body; otherwise plain text (facts 7).";
    UnknownOrganizationIs404 "unknownOrganizationIs404" true
        "An organization that does not exist answers 404 and HTML; otherwise 401 (facts 7, 12).";
    HiddenRepositoriesAre404 "hiddenRepositoriesAre404" true
        "Repositories one may not read answer 404 TF401019; otherwise 403 (facts 7).";
    CodeReadMakesHooks "codeReadMakesHooks" true
        "Code (Read) suffices, by scope, to make subscriptions (facts 6.2); otherwise it takes Code (Read & write).";
    PolicyNeedsIteration "policyNeedsIteration" false
        "A status policy with reset on new changes refuses pull request statuses without an iteration with 403 (facts 6.2).";
    RenamesAreDetected "renamesAreDetected" true
        "A moved file with the same content is a rename in diffs; otherwise an add and a delete.";
}

/// Which assumptions hold now.
#[derive(Clone, Debug)]
pub(crate) struct Assumptions {
    holding: BTreeSet<Assumption>,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self {
            holding: Assumption::ALL
                .iter()
                .copied()
                .filter(|it| it.by_default())
                .collect(),
        }
    }
}

impl Assumptions {
    pub(crate) fn hold(&self, assumption: Assumption) -> bool {
        self.holding.contains(&assumption)
    }

    /// Switches one by its name. False when there is none of that name.
    pub(crate) fn set(&mut self, name: &str, holds: bool) -> bool {
        let Some(found) = Assumption::ALL
            .iter()
            .find(|it| it.name().eq_ignore_ascii_case(name))
        else {
            return false;
        };
        if holds {
            self.holding.insert(*found);
        } else {
            self.holding.remove(found);
        }
        true
    }

    /// All of them by name, and whether they hold.
    pub(crate) fn all(&self) -> BTreeMap<&'static str, bool> {
        let all = Assumption::ALL.iter();
        all.map(|it| (it.name(), self.hold(*it))).collect()
    }

    pub(crate) fn view(&self) -> Value {
        let all: Vec<Value> = Assumption::ALL
            .iter()
            .map(|it| json!({ "name": it.name(), "holds": self.hold(*it), "default": it.by_default(), "meaning": it.meaning() }))
            .collect();
        json!({ "assumptions": all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_found_by_its_name_whatever_its_case() {
        let mut assumptions = Assumptions::default();
        assert!(assumptions.set("FORCEDISMARKED", false));
        assert!(!assumptions.hold(Assumption::ForcedIsMarked));
        assert!(!assumptions.set("nothing of ours", true));
    }
}
