//! Faults of the Lambda service around the function. What `lambda_runtime` 1.5.0 does: an answer of `next` that is an error or
//! has not the headers ends the process; an event that it cannot read is reported as an error, and it goes on; an answer that
//! is refused is logged, and it goes on.

use anyhow::Result;

use super::{push, stored};
use crate::support::{ApiFault, Bed, Fleet, FleetOptions, Tap};

#[tokio::test]
async fn r5_a_next_that_fails_ends_the_process_and_a_new_one_serves() -> Result<()> {
    let bed = Bed::new()?;
    for fault in [
        ApiFault::NextStatus(500),
        ApiFault::NextStatus(503),
        ApiFault::NextStatus(403),
        ApiFault::NextGarbage,
    ] {
        let linked = bed.linked().await?;
        let tap = Tap::counting(&bed.stack.description.endpoint_url).await?;
        let fleet = Fleet::on(&bed, &tap).await?;
        let endpoint = fleet.endpoint(linked.name.as_str());
        let deliver = || bed.stack.deliver(&endpoint, &linked.password, push());
        fleet.warm(1).await?;
        fleet.runtime_api().called_next_until(1).await?;
        // It is met by the call that follows the first delivery.
        fleet.plant(fault);
        assert_eq!(deliver().await?.status, 200, "{fault:?}");
        fleet.until_alive(0).await?;
        assert_eq!(
            fleet.runtime_api().next_calls(),
            2,
            "{fault:?}: tried again and again"
        );
        assert_eq!(deliver().await?.status, 200, "{fault:?}");
        assert_eq!(fleet.instances_started(), 2, "{fault:?}");
        assert_eq!(stored(&bed, &linked).await?, 2, "{fault:?}");
        assert_eq!(tap.count("PutItem"), 2, "{fault:?}");
        // It says where it ended, in the log's own form.
        let log = fleet.end().await?;
        let lines = log.iter().map(|line| serde_json::from_str(line));
        let lines: Vec<serde_json::Value> = lines.collect::<Result<_, _>>()?;
        let panics = lines.iter().filter(|line| {
            line["fields"]["message"] == "a panic" && line["fields"]["at"].is_string()
        });
        assert_eq!(panics.count(), 1, "{fault:?}: {log:?}");
    }
    Ok(())
}

#[tokio::test]
async fn r5_an_event_that_is_none_is_passed_over_and_the_process_goes_on() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
    let endpoint = fleet.endpoint(linked.name.as_str());
    fleet.plant(ApiFault::NextNoEvent);
    fleet.plant(ApiFault::NextNoEvent);
    let deliver = || bed.stack.deliver(&endpoint, &linked.password, push());
    assert_eq!(deliver().await?.status, 200);
    assert_eq!(deliver().await?.status, 200);
    assert_eq!(fleet.instances_started(), 1);
    assert_eq!(stored(&bed, &linked).await?, 2);
    Ok(())
}

#[tokio::test]
async fn r5_an_answer_that_the_runtime_api_refuses_is_no_acknowledgement_and_a_retry_is_stored_once()
-> Result<()> {
    let bed = Bed::new()?;
    for status in [400, 403, 410, 413, 500, 503] {
        let linked = bed.linked().await?;
        let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
        let endpoint = fleet.endpoint(linked.name.as_str());
        let body = push();
        let deliver = || bed.stack.deliver(&endpoint, &linked.password, body.clone());
        fleet.plant(ApiFault::ResponseStatus(status));
        assert_eq!(deliver().await?.status, 502, "{status}");
        assert_eq!(deliver().await?.status, 200, "{status}");
        assert_eq!(fleet.instances_started(), 1, "{status}");
        assert_eq!(stored(&bed, &linked).await?, 1, "{status}");
    }
    Ok(())
}

#[tokio::test]
async fn r5_an_environment_that_takes_no_start_fails_each_delivery_and_stores_none() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
    let endpoint = fleet.endpoint(linked.name.as_str());
    for number in 1..=5 {
        fleet.plant(ApiFault::NextStatus(500));
        let answer = bed.stack.deliver(&endpoint, &linked.password, push());
        assert_eq!(answer.await?.status, 502);
        assert_eq!(fleet.runtime_api().next_calls(), number);
    }
    assert_eq!(fleet.instances_alive(), 0);
    assert_eq!(stored(&bed, &linked).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_function_that_is_not_configured_does_not_start_and_says_which_variable() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let options = FleetOptions {
        variables: vec![("EVENT_RETENTION_DAYS", "soon".to_owned())],
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(&bed, options).await?;
    let endpoint = fleet.endpoint(linked.name.as_str());
    let answer = bed.stack.deliver(&endpoint, &linked.password, push());
    assert_eq!(answer.await?.status, 502);
    let log = fleet.end().await?.join("\n");
    assert!(log.contains("EVENT_RETENTION_DAYS"), "{log}");
    Ok(())
}

#[test]
fn the_harness_gives_a_process_the_time_and_memory_that_infra_gives_the_function() -> Result<()> {
    let infra = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/functions.tf");
    let text = std::fs::read_to_string(infra)?;
    let (_, webhook) = text.split_once("webhook = {").unwrap_or_default();
    let setting = |name: &str| {
        let line = webhook.lines().find(|line| line.trim().starts_with(name));
        line.and_then(|line| line.split('=').nth(1)?.trim().parse::<u64>().ok())
    };
    let timeout = crate::support::harness::TIMEOUT.as_secs();
    assert_eq!(setting("timeout"), Some(timeout));
    let memory = crate::support::harness::MEMORY;
    assert_eq!(setting("memory"), Some(u64::from(memory)));
    Ok(())
}
