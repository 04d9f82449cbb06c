//! How a process of the function begins and ends: cold starts, and what is left of a delivery when it is killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use anyhow::{Context, Result};
use futures::future::join_all;

use super::{push, stored, tap_with};
use crate::support::{ApiFault, Bed, Fate, Fleet, FleetOptions, Linked, Outcome, Tap, url_event};

/// A moment of a delivery.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The integration's record is being read.
    Reading,
    /// The write has not gone out.
    BeforeTheWrite,
    /// It is done, and its answer has not arrived.
    BeforeItsAnswer,
    /// Its answer has arrived, and the function's own is on its way.
    BeforeOurAnswer,
}

impl Moment {
    async fn tap(self, bed: &Bed) -> Result<Tap> {
        match self {
            Self::Reading => tap_with(bed, "GetItem", &[Fate::Hang]).await,
            Self::BeforeTheWrite => tap_with(bed, "PutItem", &[Fate::Hang]).await,
            Self::BeforeItsAnswer => tap_with(bed, "PutItem", &[Fate::HangAnswer]).await,
            Self::BeforeOurAnswer => Tap::counting(&bed.stack.description.endpoint_url).await,
        }
    }

    /// How many deliveries are stored when the process ends then.
    fn stored(self) -> usize {
        match self {
            Self::Reading | Self::BeforeTheWrite => 0,
            Self::BeforeItsAnswer | Self::BeforeOurAnswer => 1,
        }
    }
}

#[tokio::test]
async fn s14_r2_r4_what_is_killed_at_any_moment_of_a_delivery_acknowledges_nothing_and_is_replaced()
-> Result<()> {
    let bed = Bed::new()?;
    for signal in ["KILL", "TERM"] {
        for moment in [
            Moment::Reading,
            Moment::BeforeTheWrite,
            Moment::BeforeItsAnswer,
            Moment::BeforeOurAnswer,
        ] {
            let case = format!("{signal} {moment:?}");
            let linked = bed.linked().await?;
            let tap = moment.tap(&bed).await?;
            let fleet = Fleet::on(&bed, &tap).await?;
            if matches!(moment, Moment::BeforeOurAnswer) {
                fleet.plant(ApiFault::HoldResponse);
            }
            let body = push();
            let endpoint = fleet.endpoint(linked.name.as_str());
            let deliver = || bed.stack.deliver(&endpoint, &linked.password, body.clone());
            let end = async {
                match moment {
                    Moment::BeforeOurAnswer => fleet.runtime_api().held(1).await,
                    _ => tap.held(1).await,
                }
                fleet.signal_one(signal)
            };
            let (answer, ()) = tokio::try_join!(deliver(), end)?;
            assert_eq!(answer.status, 502, "{case}");
            assert_eq!(stored(&bed, &linked).await?, moment.stored(), "{case}");

            assert_eq!(deliver().await?.status, 200, "{case}");
            assert_eq!(fleet.instances_started(), 2, "{case}");
            assert_eq!(fleet.instances_alive(), 1, "{case}");
            assert_eq!(stored(&bed, &linked).await?, 1, "{case}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn s14_whenever_processes_are_killed_each_200_is_in_the_table() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let tap = Tap::counting(&bed.stack.description.endpoint_url).await?;
    let fleet = Fleet::on(&bed, &tap).await?;
    let endpoint = fleet.endpoint(linked.name.as_str());
    let deliver = |body: &str| {
        let sent = bed
            .stack
            .deliver(&endpoint, &linked.password, body.to_owned());
        async move { anyhow::Ok(sent.await?.status) }
    };
    let (body, begun) = (push(), Instant::now());
    let mut answers = BTreeMap::from([(body.clone(), deliver(&body).await?)]);
    // From before a process is there until after it has answered, however long that takes here.
    let step = begun.elapsed() / 30;
    let mut unharmed = 0;
    for number in 0..90 {
        let body = push();
        let kill = async {
            tokio::time::sleep(step * number).await;
            // There may be none at that moment.
            let _killed = fleet.signal_one("KILL");
            Ok(())
        };
        let (status, ()) = tokio::try_join!(deliver(&body), kill)?;
        unharmed = if status == 200 { unharmed + 1 } else { 0 };
        answers.insert(body, status);
        if number > 30 && unharmed > 5 {
            break;
        }
    }
    let seen: BTreeSet<u16> = answers.values().copied().collect();
    assert_eq!(
        seen,
        BTreeSet::from([200, 502]),
        "nothing was killed in time"
    );
    let kept = payloads(&bed, &linked).await?;
    for (body, status) in &answers {
        assert!(
            *status != 200 || kept.contains(body),
            "a 200 was not stored"
        );
    }
    for body in answers.keys() {
        assert_eq!(deliver(body).await?, 200);
    }
    assert_eq!(stored(&bed, &linked).await?, answers.len());
    let sent: BTreeSet<String> = answers.into_keys().collect();
    assert_eq!(payloads(&bed, &linked).await?, sent);
    Ok(())
}

#[tokio::test]
async fn s14_a_fleet_that_loses_processes_under_load_loses_no_delivery_that_it_acknowledged()
-> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let tap = Tap::counting(&bed.stack.description.endpoint_url).await?;
    let fleet = Fleet::on(&bed, &tap).await?;
    let endpoint = fleet.endpoint(linked.name.as_str());
    let bodies: Vec<String> = (0..96).map(|_| push()).collect();
    let acknowledged = tokio::sync::watch::Sender::new(0);
    let send = |bodies: Vec<String>| {
        let (bed, linked, endpoint) = (&bed, &linked, &endpoint);
        let acknowledged = &acknowledged;
        async move {
            for body in bodies {
                // As Azure DevOps does after a 502.
                for attempt in 1.. {
                    let sent = bed.stack.deliver(endpoint, &linked.password, body.clone());
                    match sent.await?.status {
                        200 => break,
                        status => assert!(status == 502 && attempt < 50, "{status}"),
                    }
                }
                acknowledged.send_modify(|deliveries| *deliveries += 1);
            }
            anyhow::Ok(())
        }
    };
    let senders = bodies.chunks(12).map(|chunk| send(chunk.to_vec()));
    let kill = async {
        let mut acknowledged = acknowledged.subscribe();
        for deliveries in (4..80).step_by(4) {
            acknowledged.wait_for(|now| *now >= deliveries).await?;
            fleet.until_busy(1).await?;
            // It may have ended by itself meanwhile.
            let _killed = fleet.signal_one("KILL");
        }
        anyhow::Ok(())
    };
    tokio::try_join!(futures::future::try_join_all(senders), kill)?;
    assert!(fleet.instances_started() > 4, "none was replaced");
    assert_eq!(payloads(&bed, &linked).await?, BTreeSet::from_iter(bodies));
    Ok(())
}

#[tokio::test]
async fn r3_a_cold_start_calls_nothing_before_it_can_serve() -> Result<()> {
    let bed = Bed::new()?;
    let tap = Tap::counting(&bed.stack.description.endpoint_url).await?;
    let fleet = Fleet::on(&bed, &tap).await?;
    fleet.warm(2).await?;
    fleet.runtime_api().called_next_until(2).await?;
    assert!(tap.calls().is_empty(), "{:?}", tap.calls());
    assert_eq!(tap.connections(), 0);
    Ok(())
}

#[tokio::test]
async fn r6_many_cold_starts_at_once_make_one_read_and_one_write_each_and_need_no_secret()
-> Result<()> {
    const INSTANCES: usize = 12;
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let tap = Tap::counting(&bed.stack.description.endpoint_url).await?;
    let options = FleetOptions {
        most_instances: INSTANCES,
        endpoint: Some(tap.url()),
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(&bed, options).await?;
    let events: Vec<_> = (0..INSTANCES)
        .map(|_| url_event(&linked, &push()))
        .collect();
    let outcomes = join_all(events.iter().map(|event| fleet.invoke(event))).await;
    for outcome in outcomes {
        let Outcome::Answered(answer) = outcome else {
            anyhow::bail!("{outcome:?}");
        };
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        assert_eq!(answer["statusCode"], 200);
    }
    assert_eq!(fleet.instances_started(), INSTANCES);
    // On a busy machine a call may take so long that the SDK makes it again.
    for operation in ["GetItem", "PutItem"] {
        let made = tap.count(operation);
        assert!(
            (INSTANCES..=2 * INSTANCES).contains(&made),
            "{operation}: {made}"
        );
    }
    assert_eq!(tap.calls().len(), 2, "{:?}", tap.calls());
    assert_eq!(stored(&bed, &linked).await?, INSTANCES);
    Ok(())
}

/// What is stored of an integration, as it was received.
async fn payloads(bed: &Bed, linked: &Linked) -> Result<BTreeSet<String>> {
    let mut payloads = BTreeSet::new();
    for row in bed.log_of(linked.name.as_str()).await? {
        let payload = bed.delivery(&row).await?["payload"].take();
        payloads.insert(payload.as_str().context("no text")?.to_owned());
    }
    Ok(payloads)
}
