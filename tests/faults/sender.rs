//! Azure DevOps' own state machine in front of the real function: what it makes of our faults.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result};
use serde_json::json;
use simulator::{Config, Simulator};

use super::{Switch, stored};
use crate::support::{
    Bed, Fate, Fleet,
    answer::{GARBAGE, INTERNAL_ERROR, MISCONFIGURED, NOT_SIGNED, THROTTLED},
};

#[tokio::test]
async fn no_fault_of_ours_puts_a_hook_on_probation_and_its_retries_store_each_event_once()
-> Result<()> {
    let bed = Bed::new()?;
    let answers = [
        THROTTLED[0],
        INTERNAL_ERROR,
        MISCONFIGURED[1],
        NOT_SIGNED[0],
    ];
    let mut fates = answers.map(Fate::Answer).to_vec();
    fates.extend([Fate::ReplaceAnswer(GARBAGE), Fate::Cut]);
    let cases = fates.into_iter().map(|fate| outage(&bed, fate, None));
    futures::future::try_join_all(cases).await?;
    // And one in which processes are killed.
    outage(&bed, Fate::Hang, Some("KILL")).await
}

/// Pushes while writes have this fate, until each has failed once; then all is well again.
async fn outage(bed: &Bed, fate: Fate, signal: Option<&str>) -> Result<()> {
    const PUSHES: usize = 3;
    let linked = bed.linked().await?;
    let switch = Switch::new(fate);
    let tap = switch.tap(bed, "PutItem").await?;
    let fleet = Fleet::on(bed, &tap).await?;
    let endpoint = fleet.endpoint(linked.name.as_str());

    let azure_devops = Simulator::start(Config::default()).await?;
    let portal = crate::support::portal(&azure_devops)?;
    let keyboard = portal.repository("tidewater", "Outage", "platform").await?;
    portal
        .make_hooks("tidewater", "Outage", &endpoint, &linked.password)
        .await?;
    let mut events = BTreeSet::new();
    for number in 0..PUSHES {
        let push =
            json!({ "branch": "main", "files": { "a": number.to_string() }, "message": "m" });
        let pushed = keyboard.push(push).await?;
        let event = pushed["events"][0]["id"].as_str().context("no event")?;
        events.insert(event.to_owned());
    }
    let failed = || {
        let all = azure_devops.deliveries();
        let failed = all.iter().filter(|one| one.attempt == 1);
        failed.map(|one| one.status).collect::<Vec<_>>()
    };
    for _ in 0..3_000 {
        if failed().len() == PUSHES {
            break;
        }
        if let Some(signal) = signal {
            // From the first call that hangs on: the one at work, if one is; it may have ended by itself meanwhile.
            tap.held(1).await;
            let _killed = fleet.signal_one(signal);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let expected = if signal.is_some() { 502 } else { 503 };
    assert_eq!(failed(), [Some(expected); PUSHES], "{fate:?}");

    switch.set(Fate::Pass);
    azure_devops.set_time_scale(1_000.0);
    assert!(
        azure_devops.settle(Duration::from_secs(30)).await,
        "{fate:?}"
    );
    for hook in portal.hooks_to("tidewater", &endpoint).await? {
        assert_eq!(hook["status"], "enabled", "{fate:?}");
    }
    assert_eq!(stored(bed, &linked).await?, PUSHES, "{fate:?}");
    let log = bed.log_of(linked.name.as_str()).await?;
    let kept = log.iter().filter_map(|row| row["eventId"].as_str());
    assert_eq!(kept.map(str::to_owned).collect::<BTreeSet<_>>(), events);
    Ok(())
}
