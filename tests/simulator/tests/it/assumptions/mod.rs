//! Each assumption, both ways: what the simulator does while it holds, and otherwise.

mod payloads;
mod refusals;
mod sending;
mod state;

use std::collections::BTreeSet;

use crate::harness::Harness;

/// The sources that switch them, and the page that lists them.
const TESTS: [&str; 4] = [
    include_str!("payloads.rs"),
    include_str!("refusals.rs"),
    include_str!("sending.rs"),
    include_str!("state.rs"),
];
const README: &str = include_str!("../../../../README.md");

#[tokio::test]
async fn every_assumption_is_in_the_readme_and_has_a_test_that_switches_it() {
    let harness = Harness::start().await;
    let known: BTreeSet<&str> = harness.simulator.assumptions().into_keys().collect();
    for name in &known {
        assert!(README.contains(&format!("| `{name}` |")), "{name}: README");
        let quoted = format!("\"{name}\"");
        assert!(TESTS.iter().any(|it| it.contains(&quoted)), "{name}: test");
    }
    let (_, listed) = README.split_once("\n## Assumptions\n").unwrap();
    let (listed, _) = listed.split_once("\n## ").unwrap();
    let rows = listed.lines().filter(|it| it.starts_with("| `")).count();
    assert_eq!(rows, known.len(), "nothing else is listed");
}
