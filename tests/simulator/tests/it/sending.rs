//! The sender's faults and its patience: duplicates, reordering, time-outs; and the clock they pass on.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use simulator::NotificationResult::Succeeded;
use simulator::{Config, Sending, Simulator, StartError};

use crate::harness::Harness;

fn numbers(harness: &Harness) -> Vec<u64> {
    let received = harness.received();
    let numbers = received
        .iter()
        .map(|it| it.body["notificationId"].as_u64().unwrap());
    numbers.collect()
}

#[tokio::test]
async fn every_second_notification_can_be_sent_twice_together_or_later() {
    for (after, straight_away) in [(0, 3), (5000, 2)] {
        let harness = Harness::start_still().await;
        harness.subscribe_to_pushes().await;
        let sending = json!({ "duplicateEvery": 2, "duplicateAfterMilliseconds": after });
        let (status, answer) = harness.try_control(Method::PUT, "/sender", sending).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["timeoutMilliseconds"], 20_000);
        harness.push_file("a").await;
        harness.push_file("b").await;
        assert_eq!(harness.received().len(), straight_away);
        harness.pass(5.0).await;
        assert_eq!(numbers(&harness), [1, 2, 2]);
        let received = harness.received();
        assert_eq!(received[1].body, received[2].body);
        let copies: Vec<bool> = harness
            .simulator
            .deliveries()
            .iter()
            .map(|it| it.duplicate)
            .collect();
        assert_eq!(copies.iter().filter(|it| **it).count(), 1);
        assert_eq!(harness.simulator.events()[1].notifications[0].attempts, 1);
    }
}

#[tokio::test]
async fn the_answer_to_a_copy_changes_nothing() {
    let harness = Harness::start_still().await;
    harness.subscribe_to_pushes().await;
    harness.simulator.set_sending(Sending {
        duplicate_every: 1,
        duplicate_after_milliseconds: 1000,
        ..Sending::default()
    });
    harness.answer_with(&[200, 500]);
    harness.push_file("a").await;
    harness.pass(1.0).await;
    assert_eq!(harness.received().len(), 2);
    assert_eq!(harness.status(), "enabled");
    assert_eq!(harness.results(), [[Succeeded]]);
}

#[tokio::test]
async fn notifications_overtake_each_other_the_same_way_for_the_same_seed() {
    let order = async |seed: u64| {
        let harness = Harness::start_still().await;
        harness.subscribe_to_pushes().await;
        harness.simulator.set_sending(Sending {
            reorder_within_milliseconds: 10_000,
            seed,
            ..Sending::default()
        });
        for number in 0..8 {
            harness.push_file(&format!("file-{number}")).await;
        }
        // A moment at a time: what is due together may arrive in any order.
        for _ in 0..10_000 {
            if harness.received().len() == 8 {
                break;
            }
            harness.pass(0.01).await;
        }
        numbers(&harness)
    };
    let (one, again, other) = (order(1).await, order(1).await, order(2).await);
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert!(!one.is_sorted());
    let mut all = one;
    all.sort_unstable();
    assert_eq!(all, (1..=8).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_given_up_after_the_time_out_and_tried_again() {
    let harness = Harness::start_with(Config {
        time_scale: 1000.0,
        sending: Sending {
            timeout_milliseconds: 500,
            ..Sending::default()
        },
        ..Config::default()
    })
    .await;
    harness.subscribe_to_pushes().await;
    harness.answer_with(&[0]);
    harness.push_file("a").await;
    assert!(harness.received().len() > 1);
    assert_eq!(harness.results(), [[Succeeded]]);
    let first = &harness.simulator.deliveries()[0];
    assert_eq!(first.status, None);
    assert!(first.error.is_some());
}

#[tokio::test]
async fn waits_can_be_leapt_over_until_nothing_is_left_to_send() {
    let harness = Harness::start_still().await;
    harness.subscribe_to_pushes().await;
    harness.answer_with(&[500; 8]);
    harness.push_file("a").await;
    assert!(harness.simulator.run_out(Duration::from_secs(20)).await);
    assert_eq!(harness.status(), "disabledBySystem");
    let (_, clock) = harness
        .try_control(Method::GET, "/clock", Value::Null)
        .await;
    assert_eq!(clock["passedSeconds"], 36.0 * 3600.0);
    let (_, answer) = harness
        .try_control(Method::POST, "/settle?leap=true", Value::Null)
        .await;
    assert_eq!(answer, json!({ "settled": true, "pending": 0, "later": 0 }));
}

#[tokio::test]
async fn a_wait_that_has_begun_follows_the_clock_when_it_changes_its_pace() {
    let harness = Harness::start_still().await;
    harness.subscribe_to_pushes().await;
    harness.answer_with(&[503; 2]);
    harness.push_file("a").await;
    let (_, answer) = harness
        .try_control(Method::POST, "/settle", Value::Null)
        .await;
    assert_eq!(answer, json!({ "settled": true, "pending": 0, "later": 1 }));
    let advance = json!({ "advanceSeconds": 1 });
    harness.try_control(Method::PUT, "/clock", advance).await;
    harness.settle().await;
    assert_eq!(harness.received().len(), 2);
    harness.simulator.set_time_scale(1000.0);
    harness.settle().await;
    assert_eq!(harness.results(), [[Succeeded]]);
}

#[tokio::test]
async fn a_reset_forgets_what_waits() {
    let harness = Harness::start_still().await;
    harness.subscribe_to_pushes().await;
    harness.simulator.set_sending(Sending {
        duplicate_every: 1,
        ..Sending::default()
    });
    harness.answer_with(&[503, 503]);
    harness.push_file("a").await;
    harness
        .try_control(Method::POST, "/reset", Value::Null)
        .await;
    harness.pass(60.0).await;
    assert_eq!(harness.received().len(), 2, "the first and its copy");
    assert!(harness.simulator.events().is_empty());
    harness.subscribe_to_pushes().await;
    harness.push_file("b").await;
    assert_eq!(
        harness.received().len(),
        3,
        "nothing is sent twice any more"
    );
}

#[tokio::test]
async fn time_that_would_run_backwards_is_refused() {
    for time_scale in [-1.0, f64::NAN, f64::INFINITY] {
        let config = Config {
            time_scale,
            ..Config::default()
        };
        let refused = Simulator::start(config).await.unwrap_err();
        assert!(matches!(refused, StartError::Scale(_)));
    }
}
