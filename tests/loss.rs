//! What `make bench-loss` measures, on schedules that are over sooner.

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
        loss::with_stackhook(&stack, &schedule, false),
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
    assert!(peer.lost > 0 && peer.missed() > 0, "{peer:?}");
    assert!(peer.twice > 0, "{peer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retries_cannot_bridge_is_made_good_by_the_next_passes_of_reconcile_and_by_nobody_for_a_receiver_that_has_none()
-> Result<()> {
    let (stack, schedule) = (Stack::of_this_test()?, Schedule::broken());
    let (ours, peer) = tokio::try_join!(
        loss::with_stackhook(&stack, &schedule, true),
        loss::with_a_peer(&schedule)
    )?;

    // Ours was put on probation as well, by what nobody could have helped, and events were lost to it.
    assert_eq!(ours.happened, peer.happened);
    assert!(ours.happened > 100, "{ours:?}");
    assert!(ours.answers.contains_key(&503), "{ours:?}");
    assert!(ours.answers.contains_key(&429), "{ours:?}");
    assert!(!ours.answers.contains_key(&401), "{ours:?}");
    assert!(ours.absent() > 0, "{ours:?}");

    // A pass mended the hooks, and what is there at the end is known; of nothing twice.
    let passes = ours.passes;
    assert_eq!((passes.passes, passes.unfinished), (5, 0), "{passes:?}");
    assert_eq!(passes.dispatched, 0, "{passes:?}");
    assert!(passes.mended > 0 && passes.found > 0, "{passes:?}");
    assert_eq!(ours.tips_missed.0, 0, "{ours:?}");
    assert_eq!(ours.twice, 0, "{ours:?}");
    // One that was opened and closed while nobody told of it asks for nothing.
    let unseen = ours.opened_and_closed_unseen;
    assert_eq!(ours.pull_requests_missed.0, unseen, "{ours:?}");
    assert!(passes.runs.0 > 0, "{passes:?}");
    assert_eq!(passes.runs.1, 0, "{passes:?}");
    let no_longer = Duration::from_secs(u64::from(loss::RECONCILE_EVERY)) * 2;
    let hooks = u32::try_from(ours.hooks)?;
    assert!(ours.on_probation <= no_longer * hooks, "{ours:?}");

    assert!(peer.missed() > 5 * ours.missed(), "{peer:?}");
    assert!(peer.on_probation > ours.on_probation, "{peer:?} {ours:?}");
    Ok(())
}
