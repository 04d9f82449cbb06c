//! What DynamoDB may answer, and not answer.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::{Switch, post, push, stored, tap_with};
use crate::support::{
    Bed, Fate, Fleet, FleetOptions, Linked, REST_SECONDS, RETENTION_DAYS,
    answer::{
        Answer, GARBAGE, INTERNAL_ERROR, INVALID, MISCONFIGURED, NO_JSON_503, NOT_SIGNED,
        THROTTLED, TRUNCATED, WRONG_CHECKSUM,
    },
};

#[tokio::test]
async fn s4_a_throttle_that_ends_at_once_is_not_seen_by_the_sender() -> Result<()> {
    let bed = Bed::new()?;
    for answer in THROTTLED {
        for operation in ["GetItem", "PutItem"] {
            let linked = bed.linked().await?;
            let tap = tap_with(&bed, operation, &[Fate::Answer(answer)]).await?;
            let app = bed.webhook_at(&tap.url()).await;
            let case = format!("{operation} {answer:?}");
            assert_eq!(post(&app, &linked, &push()).await, 200, "{case}");
            assert_eq!(tap.count(operation), 2, "{case}");
            assert_eq!(stored(&bed, &linked).await?, 1, "{case}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn s5_throttled_throughout_is_503_with_nothing_stored_and_a_later_retry_stores() -> Result<()>
{
    let bed = Bed::new()?;
    for answer in THROTTLED {
        for operation in ["GetItem", "PutItem"] {
            let linked = bed.linked().await?;
            let switch = Switch::new(Fate::Answer(answer));
            let tap = switch.tap(&bed, operation).await?;
            let app = bed.webhook_at(&tap.url()).await;
            let (body, case) = (push(), format!("{operation} {answer:?}"));
            assert_eq!(post(&app, &linked, &body).await, 503, "{case}");
            assert_eq!(tap.count(operation), 3, "{case}");
            assert_eq!(stored(&bed, &linked).await?, 0, "{case}");
            switch.set(Fate::Pass);
            assert_eq!(post(&app, &linked, &body).await, 200, "{case}");
            assert_eq!(stored(&bed, &linked).await?, 1, "{case}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn s5_an_instance_that_was_throttled_for_long_serves_again_as_soon_as_it_is_not() -> Result<()>
{
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let switch = Switch::new(Fate::Pass);
    let tap = switch.tap(&bed, "PutItem").await?;
    let app = bed.webhook_at(&tap.url()).await;
    assert_eq!(post(&app, &linked, &push()).await, 200);
    // More than the SDK's budget for retries has.
    switch.set(Fate::Answer(THROTTLED[0]));
    let bodies: Vec<String> = (0..80).map(|_| push()).collect();
    let statuses = bodies.iter().map(|body| post(&app, &linked, body));
    let statuses = futures::future::join_all(statuses).await;
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    let tries = tap.count("PutItem") - 1;
    assert!(tries < 3 * 80, "{tries} tries: the budget was not spent");
    switch.set(Fate::Pass);
    for body in &bodies {
        assert_eq!(post(&app, &linked, body).await, 200);
    }
    assert_eq!(stored(&bed, &linked).await?, 81);
    Ok(())
}

#[tokio::test]
async fn s6_a_call_that_is_slow_is_waited_for_and_one_that_hangs_is_tried_again() -> Result<()> {
    let bed = Bed::new()?;
    let slow = Fate::Delay(Duration::from_millis(700));
    for (fate, calls) in [(slow, 1), (Fate::Hang, 2), (Fate::HangAnswer, 2)] {
        let linked = bed.linked().await?;
        let tap = tap_with(&bed, "PutItem", &[fate]).await?;
        let app = bed.webhook_at(&tap.url()).await;
        assert_eq!(post(&app, &linked, &push()).await, 200, "{fate:?}");
        assert_eq!(tap.count("PutItem"), calls, "{fate:?}");
        assert_eq!(stored(&bed, &linked).await?, 1, "{fate:?}");
    }
    Ok(())
}

#[tokio::test]
async fn s6_a_hanging_dynamodb_is_answered_with_503_and_never_runs_into_the_platforms_timeout()
-> Result<()> {
    let bed = Bed::new()?;
    let case = |operation: &'static str, fate: Fate, times: usize| {
        let bed = &bed;
        async move {
            let linked = bed.linked().await?;
            let tap = tap_with(bed, operation, &vec![fate; times]).await?;
            let fleet = Fleet::on(bed, &tap).await?;
            let endpoint = fleet.endpoint(linked.name.as_str());
            let answer = bed.stack.deliver(&endpoint, &linked.password, push());
            let answer = answer.await?;
            assert_eq!(answer.status, 503, "{operation} {fate:?}");
            assert!(answer.headers.contains_key("retry-after"));
            // The process lives: it answered by itself.
            assert_eq!((fleet.instances_started(), fleet.instances_alive()), (1, 1));
            anyhow::Ok(())
        }
    };
    // In the last one reading takes most of the time, and the budget of the whole ends the write.
    tokio::try_join!(
        case("GetItem", Fate::Hang, 9),
        case("PutItem", Fate::Hang, 9),
        case("PutItem", Fate::HangAnswer, 9),
        case("Item", Fate::Hang, 2),
    )?;
    Ok(())
}

#[tokio::test]
async fn s8_what_does_not_fit_together_is_503_with_its_cause_in_the_log_and_one_call_a_delivery()
-> Result<()> {
    let bed = Bed::new()?;
    for (answer, code) in MISCONFIGURED
        .into_iter()
        .zip(["ResourceNotFoundException", "AccessDeniedException"])
    {
        for operation in ["GetItem", "PutItem"] {
            let linked = bed.linked().await?;
            let tap = Switch::new(Fate::Answer(answer))
                .tap(&bed, operation)
                .await?;
            let fleet = Fleet::on(&bed, &tap).await?;
            let endpoint = fleet.endpoint(linked.name.as_str());
            for number in 1..=3 {
                let answer = bed.stack.deliver(&endpoint, &linked.password, push());
                assert_eq!(answer.await?.status, 503, "{operation} {code}");
                assert_eq!(tap.count(operation), number, "{operation} {code}");
            }
            let log = fleet.end().await?;
            let causes = log
                .iter()
                .filter(|line| line.contains("\"ERROR\"") && line.contains(code));
            assert_eq!(causes.count(), 3, "{operation} {code}: {log:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn s8_a_delivery_whose_keys_dynamodb_refuses_is_kept_as_quarantined() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let tap = tap_with(&bed, "PutItem", &[Fate::Answer(INVALID)]).await?;
    let app = bed.webhook_at(&tap.url()).await;
    let body = push();
    assert_eq!(post(&app, &linked, &body).await, 200);
    assert_eq!(tap.count("PutItem"), 2);
    let log = bed.log_of(linked.name.as_str()).await?;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0]["outcome"], "quarantined");
    assert_eq!(bed.delivery(&log[0]).await?["payload"], json!(body));
    Ok(())
}

#[tokio::test]
async fn s8_what_dynamodb_refuses_whatever_its_keys_are_is_503_after_two_calls() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    for (operation, calls) in [("PutItem", 2), ("GetItem", 1)] {
        let switch = Switch::new(Fate::Answer(INVALID));
        let tap = switch.tap(&bed, operation).await?;
        let app = bed.webhook_at(&tap.url()).await;
        assert_eq!(post(&app, &linked, &push()).await, 503, "{operation}");
        assert_eq!(tap.count(operation), calls, "{operation}");
    }
    assert_eq!(stored(&bed, &linked).await?, 0);
    Ok(())
}

#[tokio::test]
async fn s9_a_service_that_fails_twice_and_then_works_is_not_seen_by_the_sender() -> Result<()> {
    let bed = Bed::new()?;
    for answer in [INTERNAL_ERROR, NO_JSON_503] {
        for operation in ["GetItem", "PutItem"] {
            let linked = bed.linked().await?;
            let tap = tap_with(&bed, operation, &[Fate::Answer(answer); 2]).await?;
            let app = bed.webhook_at(&tap.url()).await;
            let case = format!("{operation} {answer:?}");
            assert_eq!(post(&app, &linked, &push()).await, 200, "{case}");
            assert_eq!(tap.count(operation), 3, "{case}");
            assert_eq!(stored(&bed, &linked).await?, 1, "{case}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn s9_a_service_that_goes_on_failing_is_503_and_a_later_retry_stores() -> Result<()> {
    let bed = Bed::new()?;
    for answer in [INTERNAL_ERROR, NO_JSON_503] {
        let linked = bed.linked().await?;
        let tap = tap_with(&bed, "PutItem", &[Fate::Answer(answer); 3]).await?;
        let app = bed.webhook_at(&tap.url()).await;
        let body = push();
        assert_eq!(post(&app, &linked, &body).await, 503, "{answer:?}");
        assert_eq!(stored(&bed, &linked).await?, 0, "{answer:?}");
        assert_eq!(post(&app, &linked, &body).await, 200, "{answer:?}");
        assert_eq!(stored(&bed, &linked).await?, 1, "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn s10_a_200_that_is_none_acknowledges_nothing_and_a_retry_stores_once() -> Result<()> {
    let bed = Bed::new()?;
    for answer in [GARBAGE, TRUNCATED, WRONG_CHECKSUM] {
        for (fate, kept) in [(Fate::Answer(answer), 0), (Fate::ReplaceAnswer(answer), 1)] {
            let linked = bed.linked().await?;
            let tap = tap_with(&bed, "PutItem", &[fate; 3]).await?;
            let app = bed.webhook_at(&tap.url()).await;
            let body = push();
            assert_eq!(post(&app, &linked, &body).await, 503, "{fate:?}");
            assert_eq!(stored(&bed, &linked).await?, kept, "{fate:?}");
            let healed = bed.webhook().await;
            assert_eq!(post(&healed, &linked, &body).await, 200, "{fate:?}");
            assert_eq!(stored(&bed, &linked).await?, 1, "{fate:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn s10_a_record_that_comes_corrupted_is_503_and_not_a_refusal() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    // The last one is JSON, and no record of ours.
    let strange = Answer::ok(
        b"{\"Item\":{\"pk\":{\"S\":\"x\"},\"digests\":{\"N\":\"7\"}}}",
        &[],
    );
    for answer in [GARBAGE, TRUNCATED, WRONG_CHECKSUM, strange] {
        let tap = tap_with(&bed, "GetItem", &[Fate::Answer(answer); 3]).await?;
        let app = bed.webhook_at(&tap.url()).await;
        assert_eq!(post(&app, &linked, &push()).await, 503, "{answer:?}");
    }
    assert_eq!(stored(&bed, &linked).await?, 0);
    Ok(())
}

#[tokio::test]
async fn s11_credentials_that_do_not_hold_are_503_and_a_later_retry_stores() -> Result<()> {
    let bed = Bed::new()?;
    for answer in NOT_SIGNED {
        for operation in ["GetItem", "PutItem"] {
            let linked = bed.linked().await?;
            let switch = Switch::new(Fate::Answer(answer));
            let tap = switch.tap(&bed, operation).await?;
            let app = bed.webhook_at(&tap.url()).await;
            let (body, case) = (push(), format!("{operation} {answer:?}"));
            assert_eq!(post(&app, &linked, &body).await, 503, "{case}");
            let calls = tap.count(operation);
            assert!(calls <= 3, "{case}: {calls} calls");
            assert_eq!(stored(&bed, &linked).await?, 0, "{case}");
            switch.set(Fate::Pass);
            assert_eq!(post(&app, &linked, &body).await, 200, "{case}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn s11_an_instance_whose_credentials_go_on_being_refused_makes_room_for_another() -> Result<()>
{
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let switch = Switch::new(Fate::Answer(NOT_SIGNED[0]));
    let tap = switch.tap(&bed, "GetItem").await?;
    let options = FleetOptions {
        endpoint: Some(tap.url()),
        most_instances: 1,
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(&bed, options).await?;
    let endpoint = fleet.endpoint(linked.name.as_str());
    let body = push();
    let deliver = || bed.stack.deliver(&endpoint, &linked.password, body.clone());
    for _ in 0..3 {
        assert_eq!(deliver().await?.status, 503);
    }
    switch.set(Fate::Pass);
    assert_eq!(deliver().await?.status, 502, "which is retried, too");
    assert_eq!(deliver().await?.status, 200);
    assert_eq!(fleet.instances_started(), 2);
    assert_eq!(stored(&bed, &linked).await?, 1);
    Ok(())
}

#[tokio::test]
async fn k1_a_password_that_fits_is_taken_on_while_the_record_cannot_be_read_again() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let switch = Switch::new(Fate::Pass);
    let tap = switch.tap(&bed, "GetItem").await?;
    let settings = webhook::Settings {
        retention_days: RETENTION_DAYS,
        // Every delivery reads the record again.
        integration_cache_seconds: 0,
        lookup_rest_seconds: REST_SECONDS,
    };
    let app = webhook::App::new(bed.store_at(&tap.url()).await, settings);
    assert_eq!(post(&app, &linked, &push()).await, 200);
    for fate in [
        Fate::Answer(INTERNAL_ERROR),
        Fate::Answer(THROTTLED[0]),
        Fate::Cut,
    ] {
        switch.set(fate);
        assert_eq!(post(&app, &linked, &push()).await, 200, "{fate:?}");
        let wrong = Linked {
            password: "wrong".to_owned(),
            ..linked.clone()
        };
        assert_eq!(post(&app, &wrong, &push()).await, 503, "{fate:?}");
    }
    assert_eq!(stored(&bed, &linked).await?, 4);
    Ok(())
}
