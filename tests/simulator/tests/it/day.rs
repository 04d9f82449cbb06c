//! A day of two thousand pushes: whatever goes wrong, each event is accounted for, and the simulator keeps up.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use simulator::NotificationResult::Succeeded;
use simulator::{Config, Sending};
use uuid::Uuid;

use crate::harness::Harness;

const EVENTS: u32 = 2000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_two_thousand_events_is_delivered_or_known_to_be_lost() {
    let unruly = Sending {
        duplicate_every: 7,
        duplicate_after_milliseconds: 300,
        reorder_within_milliseconds: 90_000,
        seed: 1,
        ..Sending::default()
    };
    let harness = Harness::start_with(Config {
        time_scale: 0.0,
        sending: unruly.clone(),
        ..Config::default()
    })
    .await;
    let simulator = &harness.simulator;
    let id: Uuid = harness.subscribe_to_pushes().await.parse().unwrap();
    for number in 0..EVENTS {
        match number {
            500 => harness.answer_with(&[503, 504, 200, 408, 502]),
            1000 => simulator.set_password(id, "changed").await.unwrap(),
            // Nothing is late from here on, so that only the retry in twenty minutes can end the probation.
            1490 => simulator.set_sending(Sending::default()),
            1500 => harness.answer_with(&[500]),
            1600 => simulator.set_sending(unruly.clone()),
            _ => {}
        }
        let path = "organizations/tidewater/projects/Harbor/repositories/platform/pushes";
        let push = json!({ "branch": "main", "files": { "day": number.to_string() } });
        simulator.control(Method::POST, path, push).await.unwrap();
        simulator.advance(Duration::from_millis(86_400_000 / u64::from(EVENTS)));
        harness.settle().await;
    }
    assert!(simulator.run_out(Duration::from_secs(60)).await);

    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for one in harness.received() {
        let id = one.body["id"].as_str().unwrap().to_owned();
        *times.entry(id).or_default() += 1;
    }
    let events = simulator.events();
    assert_eq!(events.len(), EVENTS as usize);
    for event in &events {
        let arrived = times
            .get(&event.id.to_string())
            .copied()
            .unwrap_or_default();
        assert_eq!(event.notifications.len() + event.lost_to.len(), 1);
        assert_eq!(arrived == 0, !event.lost_to.is_empty());
        assert!(event.notifications.iter().all(|it| it.result == Succeeded));
    }
    let lost = events.iter().filter(|it| !it.lost_to.is_empty()).count();
    assert!(
        (26..=29).contains(&lost),
        "twenty minutes of events: {lost}"
    );
    let twice = times.values().filter(|it| **it > 1).count();
    assert!(twice > 250, "{twice} came twice");
    let changed = harness
        .received()
        .iter()
        .filter(|it| it.headers["authorization"] == "Basic OmNoYW5nZWQ=")
        .count();
    assert!(changed > 900, "{changed} with the new password");
    assert_eq!(simulator.subscriptions()[0].status, "enabled");
}
