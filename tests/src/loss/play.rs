//! Plays a schedule: the simulator's clock stands still but for the steps of a second that it is led through, so that a day
//! takes no longer than its deliveries and every retry meets the trouble of its own second. Its dates go along: the day is one that
//! is over, since nobody trusts a date that is to come.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use http::Method;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use simulator::{Config, Running, Sending, Simulator, SubscriptionStatus};
use store::keys::day_of;

use super::{
    peer::Peer,
    schedule::{Deed, Happening, MAIN, PROJECTS, Place, Schedule, What},
    tally::{Change, Delivered, Passes, Tally},
};
use crate::in_process::now;

const ORGANIZATION: &str = "organizations/tidewater";
/// How often `reconcile` is called, in seconds.
pub const RECONCILE_EVERY: u32 = 15 * 60;
/// How often it is looked which hooks are on probation, in seconds.
const LOOK_EVERY: u32 = 60;
/// How long a second may really take.
const PATIENCE: Duration = Duration::from_secs(120);
const A_DAY: SignedDuration = SignedDuration::from_hours(24);
/// How long a day's beginning may be over when it is played: a delivery's date counts for 48 hours.
const LATEST: SignedDuration = SignedDuration::from_mins(48 * 60 - 10);
/// Every so many-th notification comes twice, two seconds later.
const TWICE_EVERY: u32 = 51;

/// The switches of the simulator that decide what is lost; the bench leaves each as it is at the start.
const SWITCHES: [&str; 7] = [
    "probationLosesEvents",
    "probationKeepsWaiting",
    "probationRetryIsOneAttempt",
    "putEndsProbation",
    "restoringKeepsRetry",
    "retriesUseCurrentInputs",
    "retriesKeepCreatedDate",
];

/// What receives, and what can befall it.
pub(crate) trait Receiver {
    /// Where hooks send.
    fn endpoint(&self) -> &str;

    /// With which password, by now.
    fn password(&self) -> String;

    /// Something happens that is no deed.
    async fn befall(&self, happening: &Happening) -> Result<()>;

    /// A project is there with its repositories. Gives whether it has made its hooks, and will see to them: else people do.
    async fn take_up(
        &self,
        _project: &str,
        _repositories: &[&str],
        _now: Timestamp,
    ) -> Result<bool> {
        Ok(false)
    }

    /// A second has passed, and nothing is under way.
    async fn digest(&self, _azure_devops: &Running, _now: Timestamp) -> Result<()> {
        Ok(())
    }

    /// A quarter of an hour has passed: it may look for what it has not got.
    async fn reconcile(&self, _now: Timestamp) -> Result<()> {
        Ok(())
    }

    /// What that has come to.
    async fn passes(&self) -> Result<Passes> {
        Ok(Passes::default())
    }

    /// What it was told when it asked Azure DevOps, beside what it has stored.
    async fn has_read(&self) -> Result<Vec<Change>> {
        Ok(Vec::new())
    }

    /// What it has stored.
    async fn kept(&self) -> Result<Vec<Delivered>>;
}

/// What is assumed of Azure DevOps: the simulator's switches, with whether they hold.
///
/// # Errors
///
/// Where no simulator starts.
pub async fn relied_on() -> Result<BTreeMap<&'static str, bool>> {
    let mut all = Simulator::start(Config::default()).await?.assumptions();
    all.retain(|name, _| SWITCHES.contains(name));
    Ok(all)
}

/// Plays a schedule against a receiver that `start` starts, and counts.
pub(crate) async fn play<R: Receiver>(
    schedule: &Schedule,
    start: impl AsyncFnOnce(&Running) -> Result<R>,
) -> Result<Tally> {
    let azure_devops = Simulator::start(Config {
        time_scale: 0.0,
        sending: Sending {
            duplicate_every: TWICE_EVERY,
            duplicate_after_milliseconds: 2_000,
            // Real time, and a busy machine is no trouble of the schedule's.
            timeout_milliseconds: 60_000,
            ..Sending::default()
        },
        keep_records: 100_000,
        ..Config::default()
    })
    .await?;
    let receiver = start(&azure_devops).await?;
    let mut play = Play {
        begins: day_before(now(), schedule.seconds)?,
        passed: 0,
        has_made_hooks: false,
        azure_devops,
        receiver,
        witness: Peer::start().await?,
        pull_requests: BTreeMap::new(),
        branches: BTreeSet::new(),
    };
    play.begin().await?;
    let mut looks_on_probation = 0;
    for second in 0..schedule.seconds {
        play.live(schedule.at(second)).await?;
        let passed = second + 1;
        if passed % RECONCILE_EVERY == 0 {
            play.reconcile().await?;
        }
        if passed % LOOK_EVERY == 0 {
            let hooks = play.hooks().into_iter();
            looks_on_probation += hooks.filter(|hook| hook.status == "onProbation").count();
        }
    }
    let on_probation = Duration::from_secs(u64::from(LOOK_EVERY) * looks_on_probation as u64);
    play.end(on_probation).await
}

/// The midnight that a schedule begins at: all of it is over by now.
fn day_before(now: Timestamp, seconds: u32) -> Result<Timestamp> {
    let (day, midnight) = (day_of(now), jiff::civil::Time::midnight());
    let today = TimeZone::UTC.to_timestamp(day.to_datetime(midnight))?;
    let is_over = today + SignedDuration::from_secs(seconds.into()) <= now;
    let begins = if is_over { today } else { today - A_DAY };
    ensure!(
        now.duration_since(begins) < LATEST,
        "in some minutes it is another day in UTC: begin then"
    );
    Ok(begins)
}

struct Play<R> {
    /// The date of the first second.
    begins: Timestamp,
    /// How many seconds have passed.
    passed: u32,
    /// Whether the receiver has made its hooks, and sees to them.
    has_made_hooks: bool,
    azure_devops: Running,
    receiver: R,
    /// A second receiver of everything, whom nothing befalls: it knows what has happened.
    witness: Peer,
    /// The number of a branch's pull request.
    pull_requests: BTreeMap<(Place, String), u64>,
    branches: BTreeSet<(Place, String)>,
}

impl<R: Receiver> Play<R> {
    /// Night: the projects, a branch in each repository, and then the hooks.
    async fn begin(&mut self) -> Result<()> {
        self.set_dates();
        for (at, (project, repositories)) in PROJECTS.iter().enumerate() {
            let projects = format!("{ORGANIZATION}/projects");
            self.post(&projects, json!({ "name": project })).await?;
            for (repository_at, repository) in repositories.iter().enumerate() {
                let path = format!("{projects}/{project}/repositories");
                self.post(&path, json!({ "name": repository })).await?;
                self.push((at, repository_at), MAIN).await?;
            }
            let night = self.now();
            let takes_up = self.receiver.take_up(project, repositories, night);
            self.has_made_hooks = takes_up.await?;
            let hooks = [
                (self.receiver.endpoint(), self.receiver.password()),
                (self.witness.endpoint(), self.witness.password()),
            ];
            for (url, password) in hooks.into_iter().skip(self.has_made_hooks.into()) {
                let form = json!({ "project": project, "url": url, "password": password });
                let path = format!("{ORGANIZATION}/subscriptions");
                self.post(&path, form).await?;
            }
        }
        Ok(())
    }

    /// The date.
    fn now(&self) -> Timestamp {
        self.begins + SignedDuration::from_secs(self.passed.into())
    }

    /// Lets Azure DevOps have that date.
    fn set_dates(&self) {
        let skew = self.now().duration_since(now());
        self.azure_devops.set_skew(skew);
    }

    async fn reconcile(&self) -> Result<()> {
        self.receiver.reconcile(self.now()).await?;
        self.receiver.digest(&self.azure_devops, self.now()).await
    }

    /// One second.
    async fn live(&mut self, happenings: &[Happening]) -> Result<()> {
        self.set_dates();
        for happening in happenings {
            match happening {
                Happening::Deed(deed) => self.work(deed).await?,
                Happening::HooksGetPassword if self.has_made_hooks => {}
                Happening::HooksGetPassword => self.hand_out_password().await?,
                trouble => self.receiver.befall(trouble).await?,
            }
        }
        self.azure_devops.advance(Duration::from_secs(1));
        let is_quiet = self.azure_devops.settle(PATIENCE).await;
        ensure!(is_quiet, "deliveries are still under way");
        self.passed += 1;
        self.receiver.digest(&self.azure_devops, self.now()).await
    }

    async fn work(&mut self, deed: &Deed) -> Result<()> {
        let key = (deed.place, deed.branch.clone());
        match deed.what {
            What::Push => return self.push(deed.place, &deed.branch).await,
            What::Open => {
                let form = json!({ "source": deed.branch, "target": MAIN, "title": deed.branch });
                let path = format!("{}/pullRequests", repository(deed.place));
                let opened = self.post(&path, form).await?;
                let number = opened["pullRequest"]["pullRequestId"].as_u64();
                self.pull_requests.insert(key, number.context("no number")?);
                return Ok(());
            }
            What::Comment | What::Complete | What::Abandon => {}
        }
        let number = self.pull_requests.get(&key).context("no pull request")?;
        let path = format!("{}/pullRequests/{number}", repository(deed.place));
        match deed.what {
            What::Comment => {
                let comment = json!({ "content": "look" });
                self.post(&format!("{path}/comments"), comment).await?;
            }
            what => {
                let is_completed = what == What::Complete;
                let status = ["abandoned", "completed"][usize::from(is_completed)];
                let change = json!({ "status": status });
                self.azure_devops
                    .control(Method::PATCH, &path, change)
                    .await?;
            }
        }
        Ok(())
    }

    async fn push(&mut self, place: Place, branch: &str) -> Result<()> {
        let is_new = self.branches.insert((place, branch.to_owned()));
        let mut push = json!({ "branch": branch, "files": { branch: "#" }, "message": "m" });
        if is_new && branch != MAIN {
            push["from"] = MAIN.into();
        }
        self.post(&format!("{}/pushes", repository(place)), push)
            .await?;
        Ok(())
    }

    /// People go through the hooks.
    async fn hand_out_password(&self) -> Result<()> {
        for hook in self.hooks() {
            let change = json!({ "password": self.receiver.password(), "status": "enabled" });
            let path = format!("{ORGANIZATION}/subscriptions/{}", hook.id);
            self.azure_devops
                .control(Method::PATCH, &path, change)
                .await?;
        }
        Ok(())
    }

    /// The receiver's hooks.
    fn hooks(&self) -> Vec<SubscriptionStatus> {
        let mut all = self.azure_devops.subscriptions();
        all.retain(|hook| hook.url == self.receiver.endpoint());
        all
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        Ok(self.azure_devops.control(Method::POST, path, body).await?)
    }

    /// All that still waits is sent, there is a last pass, and it is counted.
    async fn end(mut self, on_probation: Duration) -> Result<Tally> {
        let is_over = self.azure_devops.run_out(PATIENCE).await;
        ensure!(is_over, "something is still to be sent");
        self.passed += RECONCILE_EVERY;
        self.receiver.digest(&self.azure_devops, self.now()).await?;
        self.reconcile().await?;
        let happened = self.witness.kept().await?;
        let published = self.azure_devops.events().len();
        let mut tally = Tally::of(
            &happened,
            &self.receiver.kept().await?,
            &self.receiver.has_read().await?,
        );
        // Those of the night came before there was a hook.
        let at_night = PROJECTS.iter().map(|(_, repositories)| repositories.len());
        ensure!(
            published == tally.happened + at_night.sum::<usize>(),
            "the witness saw {} of {published} events",
            tally.happened
        );
        for attempt in self.azure_devops.deliveries() {
            if attempt.url == self.receiver.endpoint() {
                let status = attempt.status.unwrap_or_default();
                *tally.answers.entry(status).or_default() += 1;
            }
        }
        tally.hooks = self.hooks().len();
        tally.on_probation = on_probation;
        tally.passes = self.receiver.passes().await?;
        Ok(tally)
    }
}

/// A repository's place in the control API.
fn repository((project, repository): Place) -> String {
    let (project, repositories) = PROJECTS[project];
    format!(
        "{ORGANIZATION}/projects/{project}/repositories/{}",
        repositories[repository]
    )
}
