//! Every event that was published, and what became of it with each subscription that asked for it.
//! It outlives subscriptions and their histories, so that a test can account for each event.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;
use uuid::Uuid;

/// How a notification ended, in the service's words.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub enum NotificationResult {
    /// It is not over: queued, under way, or waiting for a retry.
    Pending,
    /// An attempt was answered with 2xx.
    Succeeded,
    /// It was given up.
    Failed,
}

/// One event on its way to one subscription.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct EventNotification {
    /// The subscription.
    pub subscription_id: Uuid,
    /// The notification's number.
    pub notification_id: u32,
    /// How it ended.
    pub result: NotificationResult,
    /// How often it was sent, duplicates not counted.
    pub attempts: u32,
}

/// A subscription that asked for an event and never got it.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// The subscription.
    pub subscription_id: Uuid,
    /// Why: `onProbation`, or one of the ways to be disabled.
    pub status: &'static str,
}

/// An event that was published.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct PublishedEvent {
    /// The event's id.
    pub id: Uuid,
    /// Its type.
    pub event_type: &'static str,
    /// The envelope's date.
    pub created_date: String,
    /// Who it was sent to.
    pub notifications: Vec<EventNotification>,
    /// Who it was lost to.
    pub lost_to: Vec<Lost>,
}

/// The latest events.
pub(crate) struct Ledger {
    keep: usize,
    events: VecDeque<PublishedEvent>,
    /// How many are forgotten; places count from the very first.
    forgotten: usize,
    /// Where an event stands that a notification is of.
    places: HashMap<(Uuid, u32), usize>,
}

impl Ledger {
    pub(crate) fn new(keep: usize) -> Self {
        Self {
            keep,
            events: VecDeque::new(),
            forgotten: 0,
            places: HashMap::new(),
        }
    }

    pub(crate) fn published(&mut self, event: PublishedEvent) {
        let place = self.forgotten + self.events.len();
        for it in &event.notifications {
            self.places
                .insert((it.subscription_id, it.notification_id), place);
        }
        self.events.push_back(event);
        while self.events.len() > self.keep {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.events.pop_front() {
            self.forgotten += 1;
            for it in first.notifications {
                self.places
                    .remove(&(it.subscription_id, it.notification_id));
            }
        }
    }

    pub(crate) fn attempted(&mut self, subscription: Uuid, notification: u32) {
        if let Some(it) = self.find(subscription, notification) {
            it.attempts += 1;
        }
    }

    pub(crate) fn ended(&mut self, subscription: Uuid, notification: u32, how: NotificationResult) {
        if let Some(it) = self.find(subscription, notification) {
            it.result = how;
        }
    }

    fn find(&mut self, subscription: Uuid, notification: u32) -> Option<&mut EventNotification> {
        let place = self.places.get(&(subscription, notification))?;
        let event = self.events.get_mut(place.checked_sub(self.forgotten)?)?;
        event
            .notifications
            .iter_mut()
            .find(|it| it.subscription_id == subscription && it.notification_id == notification)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &PublishedEvent> {
        self.events.iter()
    }

    pub(crate) fn forgotten(&self) -> usize {
        self.forgotten
    }

    /// Forgets what is over; what is pending stays, since its end is still to be written down.
    pub(crate) fn clear(&mut self) {
        let kept: Vec<PublishedEvent> = self
            .events
            .drain(..)
            .filter(|event| {
                let mut results = event.notifications.iter().map(|it| it.result);
                results.any(|it| it == NotificationResult::Pending)
            })
            .collect();
        *self = Self::new(self.keep);
        for event in kept {
            self.published(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(notification: u32) -> PublishedEvent {
        PublishedEvent {
            id: Uuid::new_v4(),
            event_type: "git.push",
            created_date: String::new(),
            notifications: vec![EventNotification {
                subscription_id: Uuid::nil(),
                notification_id: notification,
                result: NotificationResult::Pending,
                attempts: 0,
            }],
            lost_to: Vec::new(),
        }
    }

    #[test]
    fn an_end_finds_its_event_after_older_ones_were_forgotten() {
        let mut ledger = Ledger::new(2);
        (1..=3).for_each(|number| ledger.published(event(number)));
        ledger.ended(Uuid::nil(), 1, NotificationResult::Failed);
        ledger.ended(Uuid::nil(), 3, NotificationResult::Succeeded);
        let results: Vec<_> = ledger.all().map(|it| it.notifications[0].result).collect();
        assert_eq!(ledger.forgotten(), 1);
        assert_eq!(
            results,
            [NotificationResult::Pending, NotificationResult::Succeeded]
        );
        ledger.clear();
        assert_eq!(ledger.all().count(), 1, "what is pending stays");
    }
}
