//! One simulated day: Azure DevOps' own state machine sends two thousand events through the real function, with duplicates,
//! out of order, through faults of DynamoDB, killed processes and a change of the password. Nothing is lost, nothing is there
//! twice, and no hook is on probation in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use integration_tests::Portal;
use jiff::ToSpan;
use reqwest::Method;
use serde_json::json;
use simulator::{Config, NotificationResult, Running, Sending, Simulator};
use store::keys::day_of;
use tokio::sync::Notify;

use crate::support::{
    Bed, Fate, Fleet, FleetOptions, Linked, Tap,
    answer::{GARBAGE, INTERNAL_ERROR, MISCONFIGURED, THROTTLED, WRONG_CHECKSUM},
    now, parts, send,
};

/// A day's events, how many of them are on their way at once, and the time between two.
const EVENTS: u64 = 2_000;
const AT_ONCE: u64 = 20;
const STEP: Duration = Duration::from_millis(86_400_000 / EVENTS);
/// The same seed gives the same faults for the same calls.
const SEED: u64 = 20_261_123;

/// What the day's DynamoDB does to a call: one in ten goes wrong in some way; in an outage all do.
fn fate(draw: u64, is_outage: bool) -> Fate {
    if is_outage {
        return Fate::Answer(INTERNAL_ERROR);
    }
    match draw % 100 {
        0..=2 => Fate::Answer(THROTTLED[0]),
        3 => Fate::Answer(INTERNAL_ERROR),
        4 => Fate::Answer(MISCONFIGURED[1]),
        5 => Fate::Cut,
        6..=7 => Fate::CutAnswer,
        8 => Fate::ReplaceAnswer(GARBAGE),
        9 => Fate::ReplaceAnswer(WRONG_CHECKSUM),
        _ => Fate::Pass,
    }
}

/// A number that follows from the seed and a count (splitmix64).
fn drawn(count: u64) -> u64 {
    let mut mixed = SEED.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Everything that a day needs.
struct Day {
    bed: Bed,
    azure_devops: Running,
    setup: setup::App,
    linked: Linked,
    fleet: Fleet,
    portal: Portal,
    is_outage: Arc<AtomicBool>,
    is_rotated: AtomicBool,
    is_over: AtomicBool,
    /// Held as long as the day: the line to DynamoDB.
    _tap: Tap,
}

impl Day {
    /// Morning: an integration, five hooks of a project, and one more that overlaps with the first.
    async fn begin(assumed: &[(&str, bool)]) -> Result<Self> {
        let bed = Bed::new()?;
        let sending = Sending {
            duplicate_every: 7,
            duplicate_after_milliseconds: 300,
            reorder_within_milliseconds: 90_000,
            seed: SEED,
            // On a machine that is busy the real function may take long.
            timeout_milliseconds: 60_000,
        };
        let azure_devops = Simulator::start(Config {
            time_scale: 0.0,
            sending,
            ..Config::default()
        })
        .await?;
        for (name, holds) in assumed {
            azure_devops.assume(name, *holds)?;
        }
        let setup = bed.setup(&azure_devops).await?;
        let linked = bed.set_up(&setup, &azure_devops).await?;
        let is_outage = Arc::new(AtomicBool::new(false));
        let (judged, calls) = (Arc::clone(&is_outage), AtomicU64::new(0));
        let tap = Tap::on(&bed.stack.description.endpoint_url, move |_, _| {
            let count = calls.fetch_add(1, Ordering::Relaxed);
            fate(drawn(count), judged.load(Ordering::Relaxed))
        })
        .await?;
        let options = FleetOptions {
            endpoint: Some(tap.url()),
            // So that records are read again now and then.
            cache_seconds: 5,
            ..FleetOptions::default()
        };
        let fleet = Fleet::start(&bed, options).await?;
        let portal = crate::support::portal(&azure_devops)?;
        let endpoint = fleet.endpoint(linked.name.as_str());
        portal.repository("tidewater", "Day", "platform").await?;
        for form in [
            json!({ "project": "Day", "url": endpoint, "password": linked.password }),
            json!({ "project": "Day", "url": endpoint, "password": linked.password, "eventType": "git.push", "username": "anybody" }),
        ] {
            let path = "organizations/tidewater/subscriptions";
            portal.control(Method::POST, path, form).await?;
        }
        Ok(Self {
            bed,
            azure_devops,
            setup,
            linked,
            fleet,
            portal,
            is_outage,
            is_rotated: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            _tap: tap,
        })
    }

    /// People push, and talk about a pull request, for so many events.
    async fn work(&self, events: u64, noon: &Notify) -> Result<()> {
        let keyboard = self.portal.keyboard("tidewater", "Day", "platform");
        let push = |branch: &str, number: u64| json!({ "branch": branch, "files": { "day": number.to_string() }, "message": "m" });
        keyboard.push(push("main", 0)).await?;
        keyboard
            .push(json!({ "branch": "feature", "from": "main", "files": { "a": "b" } }))
            .await?;
        let form = json!({ "source": "feature", "target": "main", "title": "t" });
        keyboard.call(Method::POST, "pullRequests", form).await?;
        let mut number = 0;
        let is_missing = |azure_devops: &Running| azure_devops.events().len() < events as usize;
        while is_missing(&self.azure_devops) || !self.is_rotated.load(Ordering::Relaxed) {
            // Now and then DynamoDB is away for all of what is sent at once.
            let is_outage = (number / AT_ONCE) % 30 == 5;
            self.is_outage.store(is_outage, Ordering::Relaxed);
            for _ in 0..AT_ONCE {
                number += 1;
                match number % 10 {
                    3 => {
                        let comment = json!({ "content": format!("look at {number}") });
                        let path = "pullRequests/1/comments";
                        keyboard.call(Method::POST, path, comment).await?;
                    }
                    7 => {
                        let title = json!({ "title": format!("t{number}") });
                        keyboard
                            .call(Method::PATCH, "pullRequests/1", title)
                            .await?;
                    }
                    _ => {
                        keyboard.push(push("main", number)).await?;
                    }
                }
                self.azure_devops.advance(STEP);
            }
            if number >= events / 2 {
                noon.notify_one();
            }
            let settled = self.azure_devops.settle(Duration::from_secs(60)).await;
            ensure!(settled, "deliveries are still under way");
        }
        self.is_outage.store(false, Ordering::Relaxed);
        self.is_over.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Processes die, mostly in the middle of a delivery.
    async fn die(&self) -> Result<()> {
        while !self.is_over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(500)).await;
            // Where none runs, none dies.
            let _killed = self.fleet.signal_one("KILL");
        }
        Ok(())
    }

    /// Noon: the password changes; people put the new one into one hook after the other. Gives how many attempts there were by
    /// then.
    async fn rotate(&self, noon: &Notify) -> Result<usize> {
        noon.notified().await;
        let path = format!("/integrations/{}/webhook/rotation", self.linked.name);
        let rotation = send("POST", &path, &json!({}));
        let (status, answer) = parts(&self.setup.handle(rotation).await)?;
        ensure!(status == 200, "{answer}");
        let password = answer["password"].as_str().context("no password")?;
        for subscription in self.azure_devops.subscriptions() {
            self.azure_devops
                .set_password(subscription.id, password)
                .await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let before = self.azure_devops.deliveries().len();
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.is_rotated.store(true, Ordering::Relaxed);
        Ok(before)
    }

    /// How often each event is in the log.
    async fn stored(&self) -> Result<BTreeMap<String, usize>> {
        let store = self.bed.store().await;
        let today = day_of(now());
        let mut times = BTreeMap::new();
        for day in [today.saturating_sub(1.day()), today] {
            for head in store.heads_of_day(&self.linked.name, day, now()).await? {
                let event = head.id.sort().split('#').nth(2).context("no event id")?;
                *times.entry(event.to_owned()).or_default() += 1;
            }
        }
        Ok(times)
    }
}

/// Lives through a day; gives how often each event is stored.
pub(crate) async fn live(events: u64, assumed: &[(&str, bool)]) -> Result<BTreeMap<String, usize>> {
    let day = Day::begin(assumed).await?;
    let noon = Notify::new();
    let (before, (), ()) = tokio::try_join!(day.rotate(&noon), day.work(events, &noon), day.die())?;
    let is_over = day.azure_devops.run_out(Duration::from_secs(60)).await;
    ensure!(is_over, "something is still to be sent");

    let published = day.azure_devops.events();
    ensure!(published.len() >= usize::try_from(events)?);
    let mut retried = 0;
    for event in &published {
        ensure!(event.lost_to.is_empty(), "lost: {event:?}");
        for notification in &event.notifications {
            ensure!(
                notification.result == NotificationResult::Succeeded,
                "{event:?}"
            );
            retried += usize::from(notification.attempts > 1);
        }
    }
    ensure!(retried > 10, "{retried} were retried: nothing went wrong");
    for subscription in day.azure_devops.subscriptions() {
        ensure!(subscription.status == "enabled", "{subscription:?}");
        ensure!(subscription.probation_retries == 0, "{subscription:?}");
    }
    let attempts = day.azure_devops.deliveries();
    let twice = attempts.iter().filter(|one| one.duplicate).count();
    ensure!(twice > 10, "{twice} were sent twice");
    let after = attempts.len() - before;
    ensure!(
        before > 20 && after > 20,
        "{before} attempts with the old password, {after} later"
    );

    let stored = day.stored().await?;
    let sent: BTreeSet<String> = published.iter().map(|event| event.id.to_string()).collect();
    let kept: BTreeSet<String> = stored.keys().cloned().collect();
    ensure!(
        kept == sent,
        "lost or invented: {:?}",
        kept.symmetric_difference(&sent)
    );
    Ok(stored)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_k4_of_a_days_two_thousand_events_none_is_lost_and_none_is_there_twice() -> Result<()> {
    let stored = live(EVENTS, &[]).await?;
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times > 1).collect();
    ensure!(twice.is_empty(), "{twice:?}");
    Ok(())
}
