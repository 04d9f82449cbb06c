//! What `make bench-loss` measures, on a schedule that is over sooner.

use std::time::Duration;

use anyhow::Result;
use integration_tests::{
    Stack,
    loss::{self, Schedule},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retries_can_bridge_costs_us_no_event_and_costs_a_receiver_that_answers_500_and_401_some()
-> Result<()> {
    let (stack, schedule) = (Stack::of_this_test()?, Schedule::short());
    let (ours, peer) = tokio::try_join!(
        loss::with_stackhook(&stack, &schedule, true),
        loss::with_a_peer(&schedule)
    )?;

    // The same happened to both, and they met it.
    assert_eq!(ours.happened, peer.happened);
    assert!(ours.happened > 150, "{ours:?}");
    let met = |status: u16| (ours.answers.get(&status), peer.answers.get(&status));
    assert!(matches!(met(503), (Some(_), None)), "{ours:?} {peer:?}");
    assert!(matches!(met(500), (None, Some(_))), "{ours:?} {peer:?}");
    assert!(matches!(met(401), (None, Some(_))), "{ours:?} {peer:?}");
    assert_eq!(met(502), (Some(&2), Some(&2)), "two processes died");

    assert_eq!((ours.absent(), ours.lost, ours.missed()), (0, 0, 0));
    assert_eq!((ours.twice, ours.on_probation), (0, Duration::ZERO));
    // Each quarter of an hour somebody looked for what is lost, and met nothing that was there already.
    let passes = ours.passes;
    assert_eq!((passes.passes, passes.unfinished), (7, 0), "{passes:?}");
    assert!(passes.calls > 0 && passes.runs.0 > 100, "{passes:?}");
    assert_eq!((passes.found, passes.dispatched), (0, 0), "{passes:?}");
    assert_eq!(passes.runs.1, 0, "{passes:?}");
    assert!(peer.lost > 0 && peer.missed() > 0, "{peer:?}");
    assert!(peer.twice > 0, "{peer:?}");
    Ok(())
}
