//! Notifications that Azure DevOps could not bring, out of its history of seven days: real bodies, which come in through the door
//! that `webhook` has, under the keys that they would have had.

use std::collections::HashMap;

use ado::{AdoClient, Notification, NotificationResult, NotificationsWanted};
use domain::{ServiceHook, progress::Reading};
use jiff::{SignedDuration, Timestamp};
use webhook::{Arrival, Kept};

use crate::pass::{Care, Halt};

/// How long Azure DevOps keeps its history (facts 3.1).
const HISTORY: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What is looked at again: a notification has failed for good up to 183 s after it was made.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
/// How many notifications are asked for at once, each with its body.
const PAGE: u32 = 100;
/// How many subscriptions one question names.
const AT_ONCE: usize = 50;
/// Which part of a pass's calls it may use: the rest is for what follows.
const SHARE: u32 = 8;
/// Older than this at its receipt, a `createdDate` gives way in a delivery's keys: what is older is filed as if it had come then.
const FRESH: SignedDuration = SignedDuration::from_hours(47);

impl Care<'_> {
    /// Takes what failed since it was last looked; where there is a gap, and once a day, of all seven days. What is too much for a
    /// pass is read on in the next.
    pub(crate) async fn take_failed_notifications(
        &mut self,
        client: &AdoClient,
        hooks: &mut [ServiceHook],
    ) -> Result<(), Halt> {
        let oldest = self.now - HISTORY;
        let is_whole = self.progress.gap.is_some() || self.is_daily_due();
        let begun = self.progress.reading.take();
        let mut reading = begun.unwrap_or_else(|| Reading {
            began: self.now,
            since: match self.progress.history_until {
                Some(before) if !is_whole => (before - OVERLAP).max(oldest),
                _ => oldest,
            },
            is_whole,
            hook: None,
            until: None,
            count: 0,
        });
        let mut hooks: Vec<&mut ServiceHook> = hooks.iter_mut().collect();
        hooks.sort_by(|one, other| one.id.cmp(&other.id));
        let read = self.read_on(client, &mut hooks, &mut reading).await;
        if matches!(read, Ok(true)) {
            self.progress.history_until = Some(reading.began);
        } else {
            self.progress.last.unfinished = true;
            self.progress.reading = Some(reading);
        }
        read.map(drop)
    }

    /// Reads on; whether it is through. Where an answer is full it is not told of which hooks something was left out: each of them is
    /// asked alone then, down to its oldest.
    async fn read_on(
        &mut self,
        client: &AdoClient,
        hooks: &mut [&mut ServiceHook],
        reading: &mut Reading,
    ) -> Result<bool, Halt> {
        let after =
            |hook: &&mut ServiceHook| reading.hook.as_ref().is_some_and(|it| hook.id <= *it);
        let mut at = hooks.partition_point(after);
        let mut alone = at + usize::from(reading.until.is_some());
        for _ in 0..(self.app.settings.most_calls / SHARE).max(1) {
            if at >= hooks.len() {
                return Ok(true);
            }
            let many = if at < alone { 1 } else { AT_ONCE };
            let end = (at + many).min(hooks.len());
            let ids: Vec<&str> = hooks[at..end].iter().map(|hook| hook.id.as_str()).collect();
            let wanted = NotificationsWanted {
                subscriptions: &ids,
                result: NotificationResult::Failed,
                since: reading.since,
                until: reading.until,
                most: PAGE,
                most_of_each: PAGE,
            };
            let page = client.notifications(&wanted).await?;
            for notification in &page {
                self.take(notification).await?;
            }
            let is_full = page.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
            if is_full && ids.len() > 1 {
                alone = end;
                continue;
            }
            let count = |hook: &ServiceHook| {
                let of_it = page
                    .iter()
                    .filter(|it| it.subscription_id == hook.id.as_str());
                u32::try_from(of_it.count()).unwrap_or(u32::MAX)
            };
            // The newest come first, and what was made at the same moment may be on the next page as well: the bound is itself
            // met again, and changes nothing.
            let first = page.iter().filter_map(|it| it.created).min();
            if is_full && first.is_some() && first != reading.until {
                reading.until = first;
                reading.count += count(&*hooks[at]);
                continue;
            }
            let counts: Vec<u32> = hooks[at..end].iter().map(|hook| count(hook)).collect();
            if reading.is_whole {
                self.take_those_that_wait(client, &ids).await?;
            }
            let succeeded = self.last_successes(client, &ids).await?;
            for (hook, count) in hooks[at..end].iter_mut().zip(counts) {
                let before = hook.health.clone();
                if reading.is_whole {
                    hook.health.failed_notifications = reading.count + count;
                }
                let last = succeeded.get(hook.id.as_str()).copied();
                hook.health.last_success = before.last_success.max(last);
                if hook.health != before {
                    self.keep(hook).await?;
                }
                reading.hook = Some(hook.id.clone());
            }
            (reading.until, reading.count) = (None, 0);
            at = end;
        }
        Ok(at >= hooks.len())
    }

    /// Takes what has waited for another try for longer than events are on their way: after a probation that may be a day, and
    /// whether it is tried at all once its hook is mended is not known. Should it come, it is stored already.
    async fn take_those_that_wait(
        &mut self,
        client: &AdoClient,
        hooks: &[&str],
    ) -> Result<(), Halt> {
        let wanted = NotificationsWanted {
            subscriptions: hooks,
            result: NotificationResult::Pending,
            since: self.now - HISTORY,
            until: Some(self.now - self.app.settings.in_flight),
            most: PAGE,
            most_of_each: PAGE,
        };
        for notification in client.notifications(&wanted).await? {
            self.take(&notification).await?;
        }
        Ok(())
    }

    /// Keeps one notification's event as the delivery that it would have been.
    async fn take(&mut self, notification: &Notification) -> Result<(), Halt> {
        let Some(body) = body(notification) else {
            return Ok(());
        };
        let read = envelope::parse(&body).ok();
        if read.as_ref().is_some_and(|it| it.is_test) {
            return Ok(());
        }
        let created = notification.created.unwrap_or(self.now);
        // What has no date that counts is filed under the day of its receipt: that has to be the same whenever it is found.
        let is_fresh =
            |date| (SignedDuration::ZERO..=FRESH).contains(&self.now.duration_since(date));
        let dated = read.and_then(|it| it.created_date);
        let arrival = Arrival {
            name: &self.integration.name,
            body: &body,
            received: if dated.is_some_and(is_fresh) {
                self.now
            } else {
                created
            },
            retention: self.app.settings.retention,
            recovered: true,
        };
        match webhook::keep(&self.app.store, &arrival).await? {
            Kept::Stored(_) | Kept::Beside(_) => {
                self.progress.last.notifications += 1;
                self.gap(created, self.now, "notifications were in vain");
            }
            Kept::Duplicate(_) => {}
        }
        Ok(())
    }

    /// When the last notification of each hook was taken, as far as the history tells.
    async fn last_successes(
        &self,
        client: &AdoClient,
        hooks: &[&str],
    ) -> Result<HashMap<String, Timestamp>, Halt> {
        let wanted = NotificationsWanted {
            subscriptions: hooks,
            result: NotificationResult::Succeeded,
            since: self.now - HISTORY,
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
