//! Notifications that Azure DevOps could not bring, out of its history of seven days: real bodies, which come in through the door
//! that `webhook` has, under the keys that they would have had.

use std::collections::HashMap;

use ado::{AdoClient, Notification, NotificationResult, NotificationsWanted};
use domain::ServiceHook;
use jiff::{SignedDuration, Timestamp};
use webhook::{Arrival, Kept};

use crate::pass::{Care, Halt};

/// How long Azure DevOps keeps its history (facts 3.1).
const HISTORY: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What is looked at again: a notification has failed for good up to 183 s after it was made.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
/// How many notifications are asked for at once, each with its body.
const PAGE: u32 = 100;
/// How many pages are read of one question.
const MOST_PAGES: u32 = 10;
/// How many subscriptions one question names.
const AT_ONCE: usize = 50;
/// Older than this at its receipt, a `createdDate` gives way in a delivery's keys: what is older is filed as if it had come then.
const FRESH: SignedDuration = SignedDuration::from_hours(47);

impl Care<'_> {
    /// Takes what failed since it was last looked; where there is a gap, and once a day, of all seven days.
    pub(crate) async fn take_failed_notifications(
        &mut self,
        client: &AdoClient,
        hooks: &mut [ServiceHook],
    ) -> Result<(), Halt> {
        let oldest = self.now - HISTORY;
        let is_whole = self.progress.gap.is_some() || self.is_daily_due();
        let since = match self.progress.history_until {
            Some(before) if !is_whole => (before - OVERLAP).max(oldest),
            _ => oldest,
        };
        for chunk in hooks.chunks_mut(AT_ONCE) {
            let failed = self.take_from(client, chunk, since).await?;
            let succeeded = self.last_successes(client, chunk, oldest).await?;
            for hook in chunk {
                let before = hook.health.clone();
                if is_whole {
                    let count = failed.get(hook.id.as_str()).copied();
                    hook.health.failed_notifications = count.unwrap_or_default();
                }
                let last = succeeded.get(hook.id.as_str()).copied();
                hook.health.last_success = before.last_success.max(last);
                if hook.health != before {
                    self.keep(hook).await?;
                }
            }
        }
        self.progress.history_until = Some(self.now);
        Ok(())
    }

    /// Takes what failed of some hooks; how many notifications of each that were.
    async fn take_from(
        &mut self,
        client: &AdoClient,
        hooks: &[ServiceHook],
        since: Timestamp,
    ) -> Result<HashMap<String, u32>, Halt> {
        let ids: Vec<&str> = hooks.iter().map(|hook| hook.id.as_str()).collect();
        let mut counts: HashMap<String, u32> = HashMap::new();
        let (mut until, mut pages) = (None, 0);
        loop {
            let wanted = NotificationsWanted {
                subscriptions: &ids,
                result: NotificationResult::Failed,
                since,
                until,
                most: PAGE,
                most_of_each: PAGE,
            };
            let page = client.notifications(&wanted).await?;
            pages += 1;
            for notification in &page {
                let count = counts
                    .entry(notification.subscription_id.clone())
                    .or_default();
                *count += 1;
                self.take(notification).await?;
            }
            // The newest come first, and what was made at the same moment may be on the next page as well: the bound is itself
            // met again, and changes nothing.
            let first = page.iter().filter_map(|it| it.created).min();
            let is_full = page.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
            if !is_full || first.is_none() || first == until {
                return Ok(counts);
            }
            if pages >= MOST_PAGES {
                self.progress.last.unfinished = true;
                return Ok(counts);
            }
            until = first;
        }
    }

    /// Keeps one notification's event as the delivery that it would have been.
    async fn take(&mut self, notification: &Notification) -> Result<(), Halt> {
        let Some(body) = body(notification) else {
            return Ok(());
        };
        let is_sample = envelope::parse(&body).is_ok_and(|it| it.is_test);
        if is_sample {
            return Ok(());
        }
        let created = notification.created.unwrap_or(self.now);
        let is_fresh = self.now.duration_since(created) <= FRESH;
        let arrival = Arrival {
            name: &self.integration.name,
            body: &body,
            received: if is_fresh { self.now } else { created },
            retention: self.app.settings.retention,
            recovered: true,
        };
        match webhook::keep(&self.app.store, &arrival).await? {
            Kept::Stored(_) | Kept::Beside(_) => {
                self.progress.last.notifications += 1;
                self.gap(created, self.now, "notifications failed");
            }
            Kept::Duplicate(_) => {}
        }
        Ok(())
    }

    /// When the last notification of each hook was taken, as far as the history tells.
    async fn last_successes(
        &self,
        client: &AdoClient,
        hooks: &[ServiceHook],
        since: Timestamp,
    ) -> Result<HashMap<String, Timestamp>, Halt> {
        let ids: Vec<&str> = hooks.iter().map(|hook| hook.id.as_str()).collect();
        let wanted = NotificationsWanted {
            subscriptions: &ids,
            result: NotificationResult::Succeeded,
            since,
            until: None,
            most: PAGE,
            most_of_each: 1,
        };
        let last = client.notifications(&wanted).await?;
        let last = last.into_iter();
        Ok(last
            .filter_map(|it| Some((it.subscription_id, it.created?)))
            .collect())
    }
}

/// The body of a notification: its event, and what is the notification's own before it. The event stays as it is, byte for byte.
fn body(notification: &Notification) -> Option<Vec<u8>> {
    let event = notification.event.as_ref()?.get().trim();
    let fields = event.strip_prefix('{')?.trim_start();
    let comma = if fields.starts_with('}') { "" } else { "," };
    let subscription = serde_json::to_string(&notification.subscription_id).ok()?;
    let number = notification.id;
    Some(
        format!("{{\"subscriptionId\":{subscription},\"notificationId\":{number}{comma}{fields}")
            .into_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, value::RawValue};

    use super::*;

    #[test]
    fn a_notification_becomes_the_body_that_was_sent() {
        for (event, more) in [
            (
                r#" {"id":"a","eventType":"git.push","n":1e400} "#,
                r#","id":"a","eventType":"git.push","n":1e400}"#,
            ),
            ("{}", "}"),
        ] {
            let notification = Notification {
                id: 7,
                subscription_id: "s\"".to_owned(),
                created: None,
                event: Some(RawValue::from_string(event.trim().to_owned()).unwrap()),
                status: None,
                result: None,
            };
            let body = String::from_utf8(body(&notification).unwrap()).unwrap();
            assert_eq!(
                body,
                format!(r#"{{"subscriptionId":"s\"","notificationId":7{more}"#)
            );
        }
        let other = Notification {
            id: 7,
            subscription_id: String::new(),
            created: None,
            event: Some(RawValue::from_string(Value::Null.to_string()).unwrap()),
            status: None,
            result: None,
        };
        assert_eq!(body(&other), None);
    }
}
