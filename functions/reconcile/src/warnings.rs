//! What a person has to see to before it is too late: a token that ends, an integration that nothing is heard of. The bus is told
//! once of each.

use domain::IntegrationName;
use jiff::{SignedDuration, Timestamp, civil::Date};
use serde_json::json;

use crate::pass::{Care, Halt};

/// How many days before a token ends that is told, and once it has ended. The date is what a person said: it cannot be read from
/// Azure DevOps (facts 8).
const WARNINGS: [i32; 4] = [30, 7, 1, -1];
/// After how long without a delivery an integration counts as silent.
const SILENT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How many days there are from `now` until a day, in UTC; less than 0 once it is over.
pub(crate) fn days_until(day: Date, now: Timestamp) -> i32 {
    let today = store::keys::day_of(now);
    today.until(day).map_or(i32::MAX, |span| span.get_days())
}

/// The warning that is due with so many days left, if one is.
fn due(days_left: i32) -> Option<i32> {
    WARNINGS.into_iter().rev().find(|days| days_left <= *days)
}

impl Care<'_> {
    /// Tells that the token ends in 30, in 7 days, in one, or has.
    pub(crate) async fn warn_of_the_token(&mut self) -> Result<(), Halt> {
        let Some(ends) = self.integration.token_expires_on else {
            self.progress.told.token = None;
            return Ok(());
        };
        let days_left = days_until(ends, self.now);
        let Some(due) = due(days_left) else {
            return Ok(());
        };
        let is_told = |(date, days): &(Date, i32)| *date == ends && *days <= due;
        if self.progress.told.token.as_ref().is_some_and(is_told) {
            return Ok(());
        }
        let name: &IntegrationName = &self.integration.name;
        let detail = json!({ "integration": name, "expiresOn": ends, "daysLeft": days_left });
        self.tell("Token Expiring", &detail).await?;
        self.progress.told.token = Some((ends, due));
        Ok(())
    }

    /// Once a day, and while it is so: tells that nothing was received for a week, though there is something to hear of.
    pub(crate) async fn listen(&mut self) -> Result<(), Halt> {
        let today = store::keys::day_of(self.now);
        // One that is silent is listened to each time, so that it is known when it is heard again.
        let is_silent = self.progress.told.silent_since.is_some();
        if self.progress.listened_on == Some(today) && !is_silent {
            return Ok(());
        }
        let (store, integration) = (&self.app.store, self.integration);
        let since = self.now - SILENT;
        let is_young = integration.created_at > since;
        let hears = is_young
            || store
                .has_received_since(&integration.name, since, self.now)
                .await?
            || (store.hooks_of(&integration.name).await?.is_empty()
                && store.stacks_of(&integration.name).await?.is_empty());
        if hears {
            self.progress.told.silent_since = None;
        } else if self.progress.told.silent_since.is_none() {
            let detail = json!({ "integration": integration.name, "since": since });
            self.tell("Integration Silent", &detail).await?;
            self.progress.told.silent_since = Some(since);
        }
        self.progress.listened_on = Some(today);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_warned_of_thirty_seven_and_one_day_before_and_after_its_end() {
        for (days_left, expected) in [
            (400, None),
            (31, None),
            (30, Some(30)),
            (8, Some(30)),
            (7, Some(7)),
            (2, Some(7)),
            (1, Some(1)),
            (0, Some(1)),
            (-1, Some(-1)),
            (-300, Some(-1)),
        ] {
            assert_eq!(due(days_left), expected, "{days_left}");
        }
        let now = "2026-11-25T23:59:59Z".parse().unwrap();
        assert_eq!(days_until("2026-12-25".parse().unwrap(), now), 30);
        assert_eq!(days_until("2026-11-24".parse().unwrap(), now), -1);
    }
}
