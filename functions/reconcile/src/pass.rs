//! One pass over one integration: the order of its steps, what stops them, and what is kept and logged of it.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use ado::{AdoClient, AdoError, Pace};
use baseline::BaselineError;
use bus::{BusError, Entry};
use domain::{Integration, Progress, ServiceHook, progress::Gap};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use queues::QueueError;
use secrets::SecretsError;
use serde_json::{Value, json};
use store::StoreError;

use crate::App;

/// How much longer than its time a pass has its integration for itself.
const SLACK: SignedDuration = SignedDuration::from_secs(30);
/// The longest that a pass waits because Azure DevOps asks for it; what is longer ends it.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest that later passes keep away because Azure DevOps asks for it: what asks for more is mistaken, or was misread.
const LONGEST_PATIENCE: SignedDuration = SignedDuration::from_hours(1);
/// How long before an alarm its cause may have begun: its period, and what was tried again in vain.
const BEFORE_AN_ALARM: SignedDuration = SignedDuration::from_mins(20);

/// Why a step cannot go on in this pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Halt {
    /// Azure DevOps did not do it.
    #[error("{0}")]
    Ado(#[from] AdoError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("the bus did not take an event: {0}")]
    NotTaken(String),
    #[error("this pass took too long, and another one has begun")]
    Overtaken,
}

impl Halt {
    /// Whether it ends only this step, since it is about one thing and not about Azure DevOps as such.
    pub(crate) fn is_of_one_thing(&self) -> bool {
        match (self, self.of_azure_devops()) {
            (_, Some(error)) => !error.is_passing() && !error.is_about_the_token(),
            // What a later version wrote, for one.
            (
                Self::Store(StoreError::Unreadable(_))
                | Self::Baseline(BaselineError::Store(StoreError::Unreadable(_))),
                None,
            ) => true,
            _ => false,
        }
    }

    /// Whether nothing more can be done in this pass: another token is needed, Azure DevOps is to be left alone, or something of ours
    /// failed.
    pub(crate) fn ends_the_pass(&self) -> bool {
        match self {
            Self::NotTaken(_) | Self::Bus(_) => false,
            _ => self.of_azure_devops().is_none_or(ends_the_pass),
        }
    }

    /// Whether the calls of this pass are used up.
    pub(crate) fn is_spent(&self) -> bool {
        matches!(self.of_azure_devops(), Some(AdoError::Spent))
    }

    /// Whether Azure DevOps has failed, and has not asked for patience.
    pub(crate) fn is_of_its_side(&self) -> bool {
        let error = self.of_azure_devops();
        error.is_some_and(|it| matches!(it, AdoError::Unreachable(_) | AdoError::Garbled(_)))
    }

    fn of_azure_devops(&self) -> Option<&AdoError> {
        match self {
            Self::Ado(error) | Self::Baseline(BaselineError::Ado(error)) => Some(error),
            _ => None,
        }
    }
}

/// A pass that is under way.
pub(crate) struct Care<'a> {
    pub(crate) app: &'a App,
    pub(crate) integration: &'a Integration,
    pub(crate) progress: Progress,
    /// When the pass began.
    pub(crate) now: Timestamp,
    started: Instant,
    time: Duration,
    nonce: String,
    pub(crate) pace: Arc<Pace>,
    /// When the pass before began.
    pub(crate) before: Option<Timestamp>,
}

/// A pass over an integration, in `time`; what it did, or `None` where somebody else is at it.
///
/// # Errors
///
/// [`StoreError`] where it could not even begin.
pub(crate) async fn over(
    app: &App,
    integration: &Integration,
    time: Duration,
    now: Timestamp,
) -> Result<Option<Value>, StoreError> {
    let name = &integration.name;
    let (nonce, started) = (uuid::Uuid::new_v4().to_string(), Instant::now());
    let until = now + SignedDuration::try_from(time).unwrap_or(SLACK) + SLACK;
    let Some(begun) = app.store.begin_pass(name, &nonce, until, now).await? else {
        tracing::info!(integration = name.as_str(), "another pass is under way");
        return Ok(None);
    };
    let mut care = Care {
        app,
        integration,
        progress: begun.progress,
        now,
        started,
        time,
        nonce,
        pace: Arc::new(Pace::new(app.settings.most_calls, LONGEST_WAIT)),
        before: None,
    };
    care.before = care.progress.passed_at;
    care.progress.last = Default::default();
    care.progress.passed_at = Some(now);
    if begun.trouble > care.progress.trouble
        && let Some(at) = begun.trouble
    {
        care.progress.trouble = Some(at);
        let why = "deliveries could not be stored, or were throttled";
        care.gap(at - BEFORE_AN_ALARM, at.max(now), why);
    }
    let pace = Arc::clone(&care.pace);
    let steps = AssertUnwindSafe(care.steps()).catch_unwind();
    match tokio::time::timeout(time, steps).await {
        Ok(Ok(())) => {}
        Ok(Err(_panic)) => {
            care.progress.last.unfinished = true;
            tracing::error!(
                integration = name.as_str(),
                "a panic was caught; the next pass begins anew"
            );
        }
        Err(_elapsed) => care.progress.last.unfinished = true,
    }
    care.progress.last.calls = pace.calls();
    let asked = pace
        .wait_asked()
        .and_then(|wait| SignedDuration::try_from(wait).ok());
    if let Some(wait) = asked {
        care.progress.not_before = Some(care.moment() + wait.min(LONGEST_PATIENCE));
    }
    let kept = app
        .store
        .keep_progress(name, &care.nonce, &care.progress, true)
        .await;
    match kept {
        Ok(true) => {}
        Ok(false) => tracing::warn!(
            integration = name.as_str(),
            "a pass took too long: another one has begun"
        ),
        Err(error) => {
            let cause = edge::problem::chain(&error);
            tracing::error!(
                integration = name.as_str(),
                cause,
                "how far a pass has got is not kept"
            );
        }
    }
    care.log();
    let last = &care.progress.last;
    Ok(Some(
        json!({ "integration": name, "did": last, "gap": care.progress.gap }),
    ))
}

impl Care<'_> {
    /// What time it is by now, by how long the pass has taken.
    pub(crate) fn moment(&self) -> Timestamp {
        self.now + SignedDuration::try_from(self.started.elapsed()).unwrap_or_default()
    }

    /// Keeps what the pass has found out so far, before something is written that would hide it from the next one.
    pub(crate) async fn keep_so_far(&self) -> Result<(), Halt> {
        let (store, name) = (&self.app.store, &self.integration.name);
        let is_kept = store
            .keep_progress(name, &self.nonce, &self.progress, false)
            .await?;
        if is_kept {
            Ok(())
        } else {
            Err(Halt::Overtaken)
        }
    }

    /// The steps: first what needs no Azure DevOps, then what the rest depends on. Service hooks are mended before anything is
    /// compared, so that nothing is lost between the two.
    async fn steps(&mut self) {
        let forgotten = self.dispatch_what_was_forgotten().await;
        self.note(
            "deliveries without an outcome are not all dispatched",
            forgotten,
        );
        let silence = self.listen().await;
        self.note("whether anything is received is not known", silence);
        let token = self.warn_of_the_token().await;
        self.note("that the token ends is not told", token);
        let hooks = match self.known_hooks().await {
            Ok(hooks) => hooks,
            Err(halt) => return self.note("the service hooks cannot be read", Err(halt)),
        };
        if self
            .progress
            .not_before
            .is_some_and(|moment| self.now < moment)
        {
            self.progress.last.unfinished = true;
            tracing::info!(
                integration = self.integration.name.as_str(),
                "Azure DevOps has asked to wait"
            );
            return;
        }
        self.progress.not_before = None;
        let client = match self.connect().await {
            Ok(Some(client)) => client,
            Ok(None) => return,
            Err(halt) => return self.note("the connection is not tried", Err(halt)),
        };
        let asked = self.with_azure_devops(&client, hooks).await;
        self.note("the rest is for the next pass", asked);
    }

    /// The service hooks as they were seen last: where nobody can look, that is what is counted.
    async fn known_hooks(&mut self) -> Result<Vec<ServiceHook>, Halt> {
        let hooks = self.app.store.hooks_of(&self.integration.name).await?;
        self.count(&hooks);
        Ok(hooks)
    }

    async fn with_azure_devops(
        &mut self,
        client: &AdoClient,
        mut hooks: Vec<ServiceHook>,
    ) -> Result<(), Halt> {
        // Each step does what it can, whatever the one before could not, unless nothing more can be done at all.
        let looked = self.look(client, &mut hooks).await;
        // Whatever stopped it, what was seen is told; and before it is mended, so that everybody hears of each change.
        let told = self.tell_of(&mut hooks).await;
        self.go_on("not all service hooks were looked at", looked)?;
        self.go_on("not all changes of service hooks are told", told)?;
        // What was in vain waits for its retry with the hook, and may be lost when that is mended: so it is taken first.
        let taken = self.take_failed_notifications(client, &mut hooks).await;
        self.go_on("not all failed notifications were taken", taken)?;
        let mended = self.mend(client, &mut hooks).await;
        if self.progress.last.mended > 0
            && let by_now = self.moment()
            && let Some(gap) = &mut self.progress.gap
        {
            gap.until = gap.until.max(by_now);
        }
        let told = self.tell_of(&mut hooks).await;
        self.go_on("not all service hooks were mended", mended)?;
        self.go_on("not all changes of service hooks are told", told)?;
        // What was stored and not dispatched is not noted as seen: it would be found once more, as another change.
        self.progress.awaits_dispatch =
            self.progress.last.dispatched > 0 && !self.progress.awaits_dispatch;
        if self.progress.awaits_dispatch {
            self.progress.last.unfinished = true;
            return Ok(());
        }
        self.compare(client, &hooks).await
    }

    /// Notes what a step could not do, and lets the next one begin where that is of use.
    fn go_on(&mut self, what: &'static str, result: Result<(), Halt>) -> Result<(), Halt> {
        match result {
            Err(halt) if halt.ends_the_pass() => Err(halt),
            result => {
                self.note(what, result);
                Ok(())
            }
        }
    }

    /// Whether a part of the pass's time, in percent, is not over yet.
    pub(crate) fn is_within(&self, percent: u32) -> bool {
        self.started.elapsed() < self.time * percent / 100
    }

    /// Whether a part of the pass's calls, in percent, is not used up yet.
    pub(crate) fn may_call(&self, percent: u32) -> bool {
        u64::from(self.pace.calls()) * 100
            < u64::from(self.app.settings.most_calls) * u64::from(percent)
    }

    /// Events may have been lost since `since`, and up to `until`.
    pub(crate) fn gap(&mut self, since: Timestamp, until: Timestamp, why: &str) {
        self.progress.gap = Some(match self.progress.gap.take() {
            None => Gap {
                since,
                until,
                why: why.to_owned(),
            },
            Some(before) => Gap {
                since: before.since.min(since),
                until: before.until.max(until),
                why: if before.why.contains(why) {
                    before.why
                } else {
                    format!("{}; {why}", before.why)
                },
            },
        });
    }

    /// Puts one event on the bus.
    pub(crate) async fn tell(&self, detail_type: &str, detail: &Value) -> Result<(), Halt> {
        let entry = Entry::new(detail_type, detail.to_string(), self.now);
        let refused = self.app.bus.put(&[&entry]).await?;
        match refused.into_iter().flatten().next() {
            None => Ok(()),
            Some(code) => Err(Halt::NotTaken(code)),
        }
    }

    /// Logs what stopped a step: that Azure DevOps wants to be asked later is no error.
    fn note(&mut self, what: &'static str, result: Result<(), Halt>) {
        let Err(halt) = result else { return };
        self.progress.last.unfinished = true;
        let integration = self.integration.name.as_str();
        let cause = edge::problem::chain(&halt);
        match halt {
            Halt::Ado(error) if error.is_passing() || error.is_about_the_token() => {
                tracing::info!(integration, cause, "{what}");
            }
            _ => tracing::error!(integration, cause, "{what}"),
        }
    }

    /// The line that the metrics and alarms are made of.
    fn log(&self) {
        let (progress, last) = (&self.progress, &self.progress.last);
        let ends = self.integration.token_expires_on;
        let token_days = ends.map(|ends| crate::warnings::days_until(ends, self.now));
        tracing::info!(
            integration = self.integration.name.as_str(),
            calls = last.calls,
            hooks = last.hooks,
            failing = last.failing,
            stopped = last.stopped,
            missing = last.missing,
            mended = last.mended,
            dispatched = last.dispatched,
            recovered = last.notifications + last.found,
            connection_failing = u8::from(progress.told.connection_failure.is_some()),
            silent = u8::from(progress.told.silent_since.is_some()),
            token_days,
            unfinished = last.unfinished,
            "reconciled"
        );
    }
}

/// Whether nothing more can be asked for in this pass.
pub(crate) fn ends_the_pass(error: &AdoError) -> bool {
    error.is_about_the_token() || matches!(error, AdoError::SlowDown { .. } | AdoError::Spent)
}

/// Whether a person has disabled a service hook, which stays so.
pub(crate) fn is_stopped(hook: &ServiceHook) -> bool {
    hook.health.status == domain::HookStatus::DisabledByUser
}
