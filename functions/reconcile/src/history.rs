//! Notifications that Azure DevOps could not bring, out of its history of seven days: real bodies, which come in through the door
//! that `webhook` has, under the keys that they would have had.

use std::{collections::HashMap, time::Duration};

use ado::{AdoClient, Notification, NotificationResult, NotificationsWanted};
use domain::{Event, Guid, ServiceHook, event::Push, progress::Reading};
use jiff::{SignedDuration, Timestamp};
use queues::Later;
use webhook::{Arrival, Kept};

use crate::pass::{Care, Halt, ends_the_pass};

/// How long Azure DevOps keeps its history (facts 3.1).
const HISTORY: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What is looked at again: a notification has failed for good up to 183 s after it was made.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
/// How many notifications are asked for at once, each with its body.
const PAGE: u32 = 100;
/// How many subscriptions one question names.
const AT_ONCE: usize = 50;
/// By how much fewer notifications are asked for where so many get no answer: an answer has their bodies in it.
const FEWER: u32 = 10;
/// Up to which part of a pass's time it goes, in percent.
const TIME: u32 = 60;
/// Which part of a pass's calls its questions about what failed may be. Two more go with one at most (what waits, what succeeded): so
/// it is three eighths of the calls at most, and the rest is for what follows.
const SHARE: u32 = 8;
/// Less than this is between no two dates of Azure DevOps'.
const A_MOMENT: SignedDuration = SignedDuration::from_nanos(100);
/// How often all of the history is read, whatever happens.
const WHOLE: SignedDuration = SignedDuration::from_hours(24);
/// Older than this at its receipt, a `createdDate` gives way in a delivery's keys: what is older is filed as if it had come then.
const FRESH: SignedDuration = SignedDuration::from_hours(47);

impl Care<'_> {
    /// Takes what failed since it was last looked; where there is a gap that was not looked through yet, and once a day, of all seven
    /// days. What is too much for a pass is read on in the next.
    pub(crate) async fn take_failed_notifications(
        &mut self,
        client: &AdoClient,
        hooks: &mut [ServiceHook],
    ) -> Result<(), Halt> {
        let oldest = self.now - HISTORY;
        if self.progress.reading.is_none() {
            let is_whole = self.is_gap_unread() || self.is_history_old();
            let since = match self.progress.history_until {
                Some(before) if !is_whole => (before - OVERLAP).max(oldest),
                _ => oldest,
            };
            self.progress.reading = Some(Reading {
                began: self.now,
                since,
                is_whole,
                hook: None,
                within: None,
                until: None,
                count: 0,
            });
        }
        let mut hooks: Vec<&mut ServiceHook> = hooks.iter_mut().collect();
        hooks.sort_by(|one, other| one.id.cmp(&other.id));
        if self.read_on(client, &mut hooks).await? {
            if let Some(reading) = self.progress.reading.take() {
                self.progress.history_until = Some(reading.began);
                if reading.is_whole {
                    self.progress.history_read_at = Some(reading.began);
                }
            }
        } else {
            self.progress.last.unfinished = true;
        }
        Ok(())
    }

    /// Whether there is a gap that began after all of the history was read last. That is so once while a gap lasts: what fails
    /// meanwhile is among the newest.
    fn is_gap_unread(&self) -> bool {
        let read_at = self.progress.history_read_at;
        self.progress
            .gap
            .as_ref()
            .is_some_and(|gap| read_at.is_none_or(|read_at| read_at <= gap.since))
    }

    /// Whether all of the history was last read a day ago: how many notifications failed in seven days is known by that.
    fn is_history_old(&self) -> bool {
        let read_at = self.progress.history_read_at;
        read_at.is_none_or(|read_at| self.now.duration_since(read_at) >= WHOLE)
    }

    /// Reads on; whether it is through. Where an answer is full it is not told of which hooks something was left out: each of them is
    /// asked alone then, down to its oldest. So is each where a question about many gets no answer, with ever fewer bodies in one;
    /// what gets none even so is passed over. How far it got stands in the progress all the time: the pass may end at any point.
    async fn read_on(
        &mut self,
        client: &AdoClient,
        hooks: &mut [&mut ServiceHook],
    ) -> Result<bool, Halt> {
        let Some(mut reading) = self.progress.reading.clone() else {
            return Ok(true);
        };
        let after =
            |hook: &&mut ServiceHook| reading.hook.as_ref().is_some_and(|it| hook.id <= *it);
        let mut at = hooks.partition_point(after);
        if hooks.get(at).map(|hook| &hook.id) != reading.within.as_ref() {
            // It was in the middle of another, which is gone.
            (reading.within, reading.until, reading.count) = (None, None, 0);
        }
        let mut alone = at + usize::from(reading.within.is_some());
        let mut most = PAGE;
        for _ in 0..(self.app.settings.most_calls / SHARE).max(1) {
            if at >= hooks.len() {
                return Ok(true);
            }
            if !self.is_within(TIME) {
                return Ok(false);
            }
            let many = if at < alone { 1 } else { AT_ONCE };
            let end = (at + many).min(hooks.len());
            let ids: Vec<&str> = hooks[at..end].iter().map(|hook| hook.id.as_str()).collect();
            let wanted = NotificationsWanted {
                subscriptions: &ids,
                result: NotificationResult::Failed,
                since: reading.since,
                until: reading.until,
                most,
                most_of_each: most,
            };
            let page = match client.notifications(&wanted).await {
                Ok(page) => page,
                Err(error) if ends_the_pass(&error) => return Err(error.into()),
                Err(_no_answer) if ids.len() > 1 => {
                    alone = end;
                    continue;
                }
                Err(_no_answer) if most > 1 => {
                    most = (most / FEWER).max(1);
                    continue;
                }
                Err(error) => {
                    let id = hooks[at].id.clone();
                    tracing::warn!(
                        integration = self.integration.name.as_str(),
                        subscription = id.as_str(),
                        cause = edge::problem::chain(&error),
                        "what failed of a service hook cannot be read"
                    );
                    (reading.within, reading.until, reading.count) = (None, None, 0);
                    reading.hook = Some(id);
                    self.progress.reading = Some(reading.clone());
                    (at, most) = (end, PAGE);
                    continue;
                }
            };
            for notification in &page {
                self.take_of(&hooks[at..end], notification).await?;
            }
            let is_full = page.len() >= usize::try_from(most).unwrap_or(usize::MAX);
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
            // met again, and changes nothing. Where a page has nothing but what was met, the next one begins before it.
            let first = page.iter().filter_map(|it| it.created).min();
            if let Some(first) = first.filter(|_| is_full) {
                let was_met = reading.until == Some(first);
                reading.within = Some(hooks[at].id.clone());
                reading.until = Some(if was_met { first - A_MOMENT } else { first });
                reading.count += count(&*hooks[at]);
                self.progress.reading = Some(reading.clone());
                continue;
            }
            let counts: Vec<u32> = hooks[at..end].iter().map(|hook| count(hook)).collect();
            if reading.is_whole || self.progress.gap.is_some() {
                let waiting = self.take_those_that_wait(client, &hooks[at..end]).await;
                if let Err(halt) = waiting
                    && halt.ends_the_pass()
                {
                    return Err(halt);
                }
            }
            let succeeded = match self.last_successes(client, &ids).await {
                Err(halt) if halt.ends_the_pass() => return Err(halt),
                // It is only shown.
                succeeded => succeeded.unwrap_or_default(),
            };
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
            (reading.within, reading.until, reading.count) = (None, None, 0);
            self.progress.reading = Some(reading.clone());
            (at, most) = (end, PAGE);
        }
        Ok(at >= hooks.len())
    }

    /// Takes what has waited for another try for longer than events are on their way: after a probation that may be a day, and
    /// whether it is tried at all once its hook is mended is not known. Should it come, it is stored already.
    async fn take_those_that_wait(
        &mut self,
        client: &AdoClient,
        hooks: &[&mut ServiceHook],
    ) -> Result<(), Halt> {
        let ids: Vec<&str> = hooks.iter().map(|hook| hook.id.as_str()).collect();
        let wanted = NotificationsWanted {
            subscriptions: &ids,
            result: NotificationResult::Pending,
            since: self.now - HISTORY,
            until: Some(self.now - self.app.settings.in_flight),
            most: PAGE,
            most_of_each: PAGE,
        };
        for notification in client.notifications(&wanted).await? {
            self.take_of(hooks, &notification).await?;
        }
        Ok(())
    }

    /// Takes a notification of one of some hooks.
    async fn take_of(
        &mut self,
        hooks: &[&mut ServiceHook],
        notification: &Notification,
    ) -> Result<(), Halt> {
        let of = |hook: &&&mut ServiceHook| hook.id.as_str() == notification.subscription_id;
        match hooks.iter().find(of).map(|hook| hook.since) {
            Some(since) => self.take(notification, since).await,
            None => Ok(()),
        }
    }

    /// Keeps one notification's event as the delivery that it would have been. What is older than that the hook is ours is not: what
    /// the stacks missed before they were there is no news to them.
    async fn take(&mut self, notification: &Notification, since: Timestamp) -> Result<(), Halt> {
        let created = notification.created.unwrap_or(self.now);
        let Some(body) = body(notification).filter(|_| created >= since) else {
            return Ok(());
        };
        let read = envelope::parse(&body).ok();
        if read.as_ref().is_some_and(|it| it.is_test) {
            return Ok(());
        }
        // What has no date that counts is filed under the day of its receipt: that has to be the same whenever it is found.
        let is_fresh =
            |date| (SignedDuration::ZERO..=FRESH).contains(&self.now.duration_since(date));
        let dated = read.as_ref().and_then(|it| it.created_date);
        let is_fresh = dated.is_some_and(is_fresh);
        let arrival = Arrival {
            name: &self.integration.name,
            body: &body,
            received: if is_fresh { self.moment() } else { created },
            retention: self.app.settings.retention,
            recovered: true,
        };
        let (kept, id) = webhook::keep(&self.app.store, &arrival).await?;
        let is_new = matches!(kept, Kept::Stored(_) | Kept::Beside(_));
        if let Some(Event::Push(push)) = read.map(|it| it.event) {
            // The delivery is there to go on: comparing, which follows at once, must not find it a second time.
            self.note_push(&push).await?;
        }
        if is_new {
            self.progress.last.notifications += 1;
            self.gap(created, self.now, "notifications were in vain");
        }
        if is_new && !is_fresh {
            // It lies too far back for whoever looks for what has no outcome, should the stream not tell of it.
            let later = Later::delivery(&id, 0, false);
            let wait = Duration::from_secs(60);
            self.app.dispatch.put_off(&later, wait).await?;
        }
        Ok(())
    }

    async fn note_push(&self, push: &Push) -> Result<(), Halt> {
        let repository = push.repository.as_ref().and_then(|it| it.id.as_deref());
        let repository: Option<Guid> = repository.and_then(|id| id.parse().ok());
        if let (Some(repository), Some(push_id)) = (repository, push.push_id) {
            let refs: Vec<String> = push.ref_updates.iter().map(|it| it.name.clone()).collect();
            let (store, name) = (&self.app.store, &self.integration.name);
            store
                .saw_push(name, &repository, push_id, &refs, self.now)
                .await?;
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
