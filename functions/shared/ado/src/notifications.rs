//! The history of what service hooks sent, with the events themselves. It is kept for seven days (facts 3.1), has only what was
//! sent or tried, and nothing is sent again by asking for it.
//!
//! Sources: Microsoft's `serviceHooks.json` (`NotificationsQuery`, `Notification`), facts 3.1 and 3.3.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{AdoClient, AdoError, Operation, wire};

/// Which notifications are asked for.
#[derive(Clone, Copy, Debug)]
pub struct NotificationsWanted<'a> {
    /// Of these subscriptions, by their ids; of none where there is none.
    pub subscriptions: &'a [&'a str],
    /// With this result.
    pub result: NotificationResult,
    /// Made at this moment or later.
    pub since: Timestamp,
    /// Made at this moment or earlier; how those behind the newest are reached.
    pub until: Option<Timestamp>,
    /// The most of all, the newest. Azure DevOps has no pages of them.
    pub most: u32,
    /// The most of each subscription.
    pub most_of_each: u32,
}

/// What came of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum NotificationResult {
    /// It was taken.
    Succeeded,
    /// It was not taken, and is not sent again.
    Failed,
    /// It is on its way, or waits for another try: of one that a probation is over with, for up to 36 hours.
    Pending,
}

/// A notification, with its event.
#[derive(Clone)]
pub struct Notification {
    /// Its number within its subscription.
    pub id: i64,
    /// The subscription that it is of.
    pub subscription_id: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The event as it is: the body that was sent, but for `subscriptionId` and `notificationId`.
    pub event: Option<Box<RawValue>>,
    /// `queued`, `processing`, `requestInProgress` or `completed`.
    pub status: Option<String>,
    /// `pending`, `succeeded`, `failed` or `filtered`.
    pub result: Option<String>,
}

/// Without the event, which is a body.
impl fmt::Debug for Notification {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Notification")
            .field("id", &self.id)
            .field("subscription_id", &self.subscription_id)
            .field("created", &self.created)
            .field("event_bytes", &self.event.as_ref().map(|it| it.get().len()))
            .field("status", &self.status)
            .field("result", &self.result)
            .finish()
    }
}

impl AdoClient {
    /// Notifications with their events. One that does not say which it is is left out.
    ///
    /// # Errors
    ///
    /// [`AdoError`].
    pub async fn notifications(
        &self,
        wanted: &NotificationsWanted<'_>,
    ) -> Result<Vec<Notification>, AdoError> {
        // Without any subscription named, Azure DevOps would look at all of the organization.
        if wanted.subscriptions.is_empty() {
            return Ok(Vec::new());
        }
        let found: Found = self
            .ask_with(Operation::NotificationsQuery, &[], &Query::from(wanted))
            .await?;
        found.notifications()
    }
}

/// `NotificationsQuery`, as it is asked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Query<'a> {
    subscription_ids: &'a [&'a str],
    result_type: NotificationResult,
    min_created_date: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_created_date: Option<Timestamp>,
    max_results: u32,
    max_results_per_subscription: u32,
    /// Without them, the answer only counts.
    include_details: bool,
}

impl<'a> From<&NotificationsWanted<'a>> for Query<'a> {
    fn from(wanted: &NotificationsWanted<'a>) -> Self {
        Self {
            subscription_ids: wanted.subscriptions,
            result_type: wanted.result,
            min_created_date: wanted.since,
            max_created_date: wanted.until,
            max_results: wanted.most,
            max_results_per_subscription: wanted.most_of_each,
            include_details: true,
        }
    }
}

/// `NotificationsQuery`: the answer is the query with its results.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    include_details: Option<bool>,
    results: Option<Vec<NotificationView>>,
}

impl Found {
    fn notifications(self) -> Result<Vec<Notification>, AdoError> {
        let found = wire::results(self.results, self.include_details.is_some())?;
        Ok(found
            .into_iter()
            .filter_map(NotificationView::notification)
            .collect())
    }
}

/// `Notification`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NotificationView {
    id: Option<i64>,
    subscription_id: Option<String>,
    #[serde(default, deserialize_with = "wire::date")]
    created_date: Option<Timestamp>,
    status: Option<String>,
    result: Option<String>,
    details: Option<Details>,
}

/// `NotificationDetails`.
#[derive(Deserialize)]
struct Details {
    event: Option<Box<RawValue>>,
}

impl NotificationView {
    /// Nothing can be said of one that does not say which it is.
    fn notification(self) -> Option<Notification> {
        Some(Notification {
            id: self.id?,
            subscription_id: self.subscription_id?,
            created: self.created_date,
            event: self.details.and_then(|it| it.event),
            status: self.status,
            result: self.result,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// From text: an event is kept as it is written.
    fn found(answer: &str) -> Result<Vec<Notification>, AdoError> {
        serde_json::from_str::<Found>(answer)
            .unwrap()
            .notifications()
    }

    #[test]
    fn a_query_is_spelled_as_azure_devops_spells_it() {
        let wanted = NotificationsWanted {
            subscriptions: &["a", "b"],
            result: NotificationResult::Failed,
            since: "2026-12-01T10:00:00Z".parse().unwrap(),
            until: None,
            most: 500,
            most_of_each: 100,
        };
        assert_eq!(
            json!(Query::from(&wanted)),
            json!({
                "subscriptionIds": ["a", "b"],
                "resultType": "failed",
                "minCreatedDate": "2026-12-01T10:00:00Z",
                "maxResults": 500,
                "maxResultsPerSubscription": 100,
                "includeDetails": true,
            })
        );
        assert_eq!(json!(NotificationResult::Succeeded), "succeeded");
        assert_eq!(json!(NotificationResult::Pending), "pending");
    }

    #[test]
    fn an_event_is_given_as_it_is_written_and_shown_to_nobody() {
        let event = r#"{ "id":"e",  "resource": {"planted":1.50} }"#;
        let answer = format!(
            r#"{{ "results": [{{ "id": 7, "subscriptionId": "s", "createdDate": "2026-12-01T10:00:00", "details": {{ "event": {event} }} }}] }}"#
        );
        let notifications = found(&answer).unwrap();
        let [one] = notifications.as_slice() else {
            panic!("{notifications:?}");
        };
        assert_eq!((one.id, one.subscription_id.as_str()), (7, "s"));
        assert_eq!(one.created, "2026-12-01T10:00:00Z".parse().ok());
        assert_eq!(one.event.as_ref().map(|it| it.get()), Some(event));
        assert!(!format!("{one:?}").contains("planted"));
    }

    #[test]
    fn every_field_of_a_notification_but_which_it_is_may_be_absent_or_null() {
        for details in ["null", "{}", r#"{ "event": null }"#] {
            let answer = format!(
                r#"{{ "results": [{{}}, {{ "id": 1 }}, {{ "subscriptionId": "s" }}, {{ "id": 2, "subscriptionId": "s", "createdDate": null, "status": null, "details": {details} }}] }}"#
            );
            let notifications = found(&answer).unwrap();
            let [one] = notifications.as_slice() else {
                panic!("{notifications:?}");
            };
            assert!(one.id == 2 && one.created.is_none() && one.event.is_none());
        }
        assert!(matches!(found("{}"), Err(AdoError::Unexpected(_))));
        assert!(found(r#"{ "includeDetails": true }"#).unwrap().is_empty());
    }
}
