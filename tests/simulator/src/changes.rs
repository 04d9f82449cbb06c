//! What happens to a subscription from outside, by a person, by REST or to its owner, and what that does to what still waits to be sent.
//! It never sends: it takes off the schedule what will not be.

use jiff::Timestamp;
use uuid::Uuid;

use crate::assumptions::Assumption;
use crate::ledger::NotificationResult;
use crate::schedule::{Due, Why};
use crate::state::subscriptions::Subscription;
use crate::state::{Organization, World};
use crate::subscription_state::{Status, SubscriptionState};

impl World {
    /// Gives a subscription a status. False when there is no such subscription.
    pub(crate) fn set_status(
        &mut self,
        organization: &str,
        id: Uuid,
        status: Status,
        now: Timestamp,
    ) -> bool {
        let Some(subscription) = self
            .organization_mut(organization)
            .and_then(|it| it.subscription_mut(id))
        else {
            return false;
        };
        let before = subscription.state;
        subscription.state.become_status(status);
        self.follow_up(organization, id, before, now);
        true
    }

    /// Deletes a subscription with its history. False when there is none.
    pub(crate) fn delete_subscription(&mut self, organization: &str, id: Uuid) -> bool {
        let Some(subscriptions) = self
            .organization_mut(organization)
            .map(|it| &mut it.subscriptions)
        else {
            return false;
        };
        let before = subscriptions.len();
        subscriptions.retain(|it| it.id != id);
        let is_deleted = subscriptions.len() < before;
        for due in self.schedule.drop_if(|due| due.subscription == id) {
            self.failed(&due);
        }
        is_deleted
    }

    /// A person becomes inactive, or comes back. What they made is disabled at once (facts 3.1, 5). False when there is no such person.
    pub(crate) fn set_inactive(
        &mut self,
        organization: &str,
        person: Uuid,
        is_inactive: bool,
        now: Timestamp,
    ) -> bool {
        let returns = self.assumptions.hold(Assumption::ReturnEndsInactivity);
        let Some(found) = self.organization_mut(organization) else {
            return false;
        };
        let Some(somebody) = found.people.iter_mut().find(|it| it.id == person) else {
            return false;
        };
        somebody.is_inactive = is_inactive;
        for (id, status) in touched(found, person, is_inactive, returns) {
            self.set_status(organization, id, status, now);
        }
        true
    }

    /// What follows from a subscription's state being another one than before.
    pub(crate) fn follow_up(
        &mut self,
        organization: &str,
        id: Uuid,
        before: SubscriptionState,
        now: Timestamp,
    ) {
        let Some(after) = self
            .organization(organization)
            .and_then(|it| it.subscription(id))
            .map(|it| it.state)
        else {
            return;
        };
        let was_probing = before
            .probing
            .filter(|_| before.status == Status::OnProbation);
        if after.status.is_disabled() {
            self.give_up(organization, now, "The subscription is disabled.", |due| {
                due.subscription == id
            });
        } else if after.probing.is_some()
            && after.probing != was_probing
            && !self.assumptions.hold(Assumption::ProbationKeepsWaiting)
        {
            self.give_up(
                organization,
                now,
                "The subscription is on probation.",
                |due| due.subscription == id && Some(due.notification) != after.probing,
            );
        } else if after.status == Status::Enabled
            && was_probing.is_some()
            && !self.assumptions.hold(Assumption::RestoringKeepsRetry)
        {
            self.give_up(organization, now, "The subscription was restored.", |due| {
                due.subscription == id && Some(due.notification) == was_probing
            });
        }
    }

    /// Takes requests off the schedule, and gives their notifications up.
    fn give_up(
        &mut self,
        organization: &str,
        now: Timestamp,
        why: &str,
        unwanted: impl Fn(&Due) -> bool,
    ) {
        for due in self.schedule.drop_if(unwanted) {
            // A copy is of a notification that may well have been delivered.
            if due.why == Why::Copy {
                continue;
            }
            self.failed(&due);
            if let Some(notification) = self
                .organization_mut(organization)
                .and_then(|it| it.subscription_mut(due.subscription))
                .and_then(|it| it.notification_mut(due.notification))
            {
                notification.give_up(why, now);
            }
        }
    }

    fn failed(&mut self, due: &Due) {
        if due.why != Why::Copy {
            let how = NotificationResult::Failed;
            self.ledger.ended(due.subscription, due.notification, how);
        }
    }
}

/// The subscriptions that a person's going or coming gives another status.
fn touched(
    organization: &Organization,
    person: Uuid,
    is_inactive: bool,
    returns: bool,
) -> Vec<(Uuid, Status)> {
    let change = |it: &Subscription| match it.state.status {
        Status::Enabled | Status::OnProbation if is_inactive => {
            Some((it.id, Status::DisabledByInactiveIdentity))
        }
        Status::DisabledByInactiveIdentity if !is_inactive && returns => {
            Some((it.id, Status::Enabled))
        }
        _ => None,
    };
    organization
        .subscriptions
        .iter()
        .filter(|it| it.belongs_to(person))
        .filter_map(change)
        .collect()
}
