//! Deliveries that were stored and never dispatched: the stream was off, or a batch of it was given up. They go to `dispatch`'s own
//! queue, which meets what was decided meanwhile.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::SignedDuration;
use queues::Later;

use crate::pass::{Care, Halt};

/// What is read again each time: a delivery that was sent again for a while says when it was created, not when it came.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
/// What is read once a day: as old as a delivery may be when it comes, by its own date (48 h), and a day more, since it may have come
/// right after the last time.
const WHOLE: SignedDuration = SignedDuration::from_hours(73);
/// The most deliveries of a pass.
const MOST: usize = 10_000;
/// How many messages are sent at once.
const AT_A_TIME: usize = 16;

impl Care<'_> {
    /// Dispatches what has had no outcome for too long.
    pub(crate) async fn dispatch_what_was_forgotten(&mut self) -> Result<(), Halt> {
        let until = self.now - self.app.settings.undecided;
        let today = store::keys::day_of(self.now);
        let is_first = self.progress.swept_on != Some(today);
        let from = match self.progress.swept_until {
            Some(before) if !is_first => before - OVERLAP,
            _ => until - WHOLE,
        };
        let name = &self.integration.name;
        let mut undecided = self.app.store.undecided(name, (from, until)).await?;
        let is_all = undecided.len() <= MOST;
        undecided.truncate(MOST);
        let count = u32::try_from(undecided.len()).unwrap_or(u32::MAX);
        let queue = &self.app.dispatch;
        stream::iter(undecided)
            .map(async |id| {
                let later = Later::delivery(&id, 0, false);
                queue.put_off(&later, Duration::ZERO).await
            })
            .buffer_unordered(AT_A_TIME)
            .try_collect::<Vec<()>>()
            .await?;
        self.progress.last.dispatched = count;
        if is_all {
            self.progress.swept_until = Some(until);
            self.progress.swept_on = Some(today);
        } else {
            self.progress.last.unfinished = true;
        }
        Ok(())
    }
}
