//! Runs as the store keeps them: each once, in the order of the pushes, changed by nobody unseen, and found again.

use anyhow::{Context, Result};
use domain::{
    Guid, IntegrationName, Labels, PathGlobs, ProjectRoot, Run, RunId, RunKind, RunState, Stack,
    StackKind, StackName,
    run::{CancelReason, Identity, RunPullRequest, Trigger},
    stack::Reference,
};
use jiff::{SignedDuration, Timestamp};
use store::{Added, Advanced, NewRun, OpenOf, Report, RunCursor, RunFilter, Store};

use crate::support::{Bed, Fate, RUN_RETENTION_DAYS, Tap, new_name, now};

pub(crate) const RETENTION: SignedDuration = SignedDuration::from_hours(RUN_RETENTION_DAYS * 24);
const MAIN: &str = "refs/heads/main";
const COMMIT: &str = "0123456789012345678901234567890123456789";

fn new_guid() -> Result<Guid> {
    Ok(uuid::Uuid::new_v4().to_string().parse()?)
}

/// A stack that nobody has saved, of an integration of that name.
pub(crate) fn stack(integration: &str) -> Result<Stack> {
    let reference = |name: &str| -> Result<Reference> {
        Ok(Reference {
            id: new_guid()?,
            name: name.to_owned(),
        })
    };
    Ok(Stack {
        name: new_name("runs").parse()?,
        kind: StackKind::Stack,
        integration: integration.parse()?,
        project: reference("Harbor")?,
        repository: reference("platform")?,
        branch: MAIN.parse()?,
        project_root: ProjectRoot::default(),
        globs: PathGlobs::default(),
        allow_forks: false,
        run_drafts: false,
        labels: Labels::default(),
        detached_at: None,
        created_at: now(),
        updated_at: now(),
    })
}

/// A run of a stack by hand, asked for at a moment.
pub(crate) fn asked(stack: &Stack, id: &str, at: Timestamp) -> Run {
    let (identity, trigger) = (Identity::Request(id), Trigger::Request);
    Run {
        ref_name: Some(MAIN.to_owned()),
        reason: "asked for by hand".to_owned(),
        ..Run::new(stack, identity, RunKind::Tracked, trigger, COMMIT, at)
    }
}

/// Writes runs by hand, which are new.
pub(crate) async fn written(store: &Store, runs: &[Run]) -> Result<()> {
    let new: Vec<NewRun> = runs.iter().cloned().map(unordered).collect();
    let added = store.add_runs(&new, RETENTION).await?;
    anyhow::ensure!(added.iter().all(|added| *added == Added::Made), "{added:?}");
    Ok(())
}

/// The same of one run of a stack of its own.
pub(crate) async fn one(store: &Store, integration: &str) -> Result<Run> {
    let run = asked(&stack(integration)?, "1", now());
    written(store, std::slice::from_ref(&run)).await?;
    Ok(run)
}

fn unordered(run: Run) -> NewRun {
    NewRun {
        run,
        in_order_of: None,
    }
}

fn pushed(stack: &Stack, push_id: i64) -> NewRun {
    let identity = Identity::Push {
        ref_name: MAIN,
        push_id,
    };
    let (kind, trigger) = (RunKind::Tracked, Trigger::Push);
    NewRun {
        run: Run::new(stack, identity, kind, trigger, COMMIT, now()),
        in_order_of: Some(MAIN.to_owned()),
    }
}

fn proposed(stack: &Stack, number: i64) -> NewRun {
    let identity = Identity::PullRequest {
        number,
        commit: COMMIT,
        attempt: 0,
    };
    let (kind, trigger) = (RunKind::Proposed, Trigger::PullRequest);
    unordered(Run {
        pull_request: Some(RunPullRequest {
            number,
            title: None,
            source_ref: None,
            target_ref: None,
            is_fork: false,
            supports_iterations: None,
        }),
        ..Run::new(stack, identity, kind, trigger, COMMIT, now())
    })
}

async fn added(store: &Store, new: NewRun) -> Result<Added> {
    let mut added = store.add_runs(&[new], RETENTION).await?;
    added.pop().context("nothing became of it")
}

async fn runs_of(store: &Store, stack: &Stack) -> Result<Vec<RunId>> {
    let filter = RunFilter {
        stack: Some(stack.name.clone()),
        state: None,
    };
    let page = store.runs(&filter, None, 100, now()).await?;
    Ok(page.runs.into_iter().map(|run| run.id).collect())
}

#[tokio::test]
async fn the_same_run_is_written_once_and_who_comes_second_is_given_the_first() -> Result<()> {
    let (bed, stack) = (Bed::new()?, stack("acme")?);
    let store = bed.store().await;
    let first = asked(&stack, "1", now());
    let second = Run {
        reason: "asked for again".to_owned(),
        requested_at: now(),
        ..first.clone()
    };
    assert_eq!(added(&store, unordered(first.clone())).await?, Added::Made);
    let running = first.stepped(RunState::Running, now());
    assert_eq!(
        store.change_run(&running, 1, RETENTION).await?,
        Advanced::Yes
    );
    let found = added(&store, unordered(second)).await?;
    assert_eq!(found, Added::Existing(Box::new(running)), "as it is now");
    assert_eq!(runs_of(&store, &stack).await?, [first.id]);
    Ok(())
}

#[tokio::test]
async fn a_push_that_comes_after_a_newer_one_is_overtaken_and_one_that_comes_again_is_there()
-> Result<()> {
    let (bed, stack) = (Bed::new()?, stack("acme")?);
    let store = bed.store().await;
    let (first, newer) = (pushed(&stack, 7), pushed(&stack, 44));
    assert_eq!(added(&store, first.clone()).await?, Added::Made);
    assert_eq!(added(&store, newer.clone()).await?, Added::Made);
    let late = added(&store, pushed(&stack, 41)).await?;
    assert_eq!(late, Added::Overtaken(44));
    // A push that is told again, be it the newest or an older one, meets its run.
    for again in [&newer, &first] {
        let found = added(&store, again.clone()).await?;
        assert_eq!(found, Added::Existing(Box::new(again.run.clone())));
    }
    assert_eq!(
        runs_of(&store, &stack).await?,
        [newer.run.id, first.run.id.clone()]
    );
    // Another ref has an order of its own, and so has another stack.
    let mut of_another_ref = pushed(&stack, 8);
    of_another_ref.in_order_of = Some("refs/heads/other".to_owned());
    assert_eq!(added(&store, of_another_ref).await?, Added::Made);
    let another = crate::run_store::stack("acme")?;
    assert_eq!(added(&store, pushed(&another, 1)).await?, Added::Made);
    Ok(())
}

#[tokio::test]
async fn what_is_overtaken_holds_nothing_up_that_is_written_with_it() -> Result<()> {
    let (bed, behind, ahead) = (Bed::new()?, stack("acme")?, stack("acme")?);
    let store = bed.store().await;
    let there = asked(&behind, "there", now());
    written(&store, std::slice::from_ref(&there)).await?;
    added(&store, pushed(&behind, 9)).await?;
    let new = [
        pushed(&behind, 8),
        pushed(&ahead, 8),
        unordered(there.clone()),
        unordered(asked(&ahead, "1", now())),
    ];
    let expected = [
        Added::Overtaken(9),
        Added::Made,
        Added::Existing(Box::new(there)),
        Added::Made,
    ];
    assert_eq!(store.add_runs(&new, RETENTION).await?, expected);
    assert_eq!(runs_of(&store, &ahead).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn two_hundred_stacks_of_one_push_take_four_transactions() -> Result<()> {
    let bed = Bed::new()?;
    let tap = Tap::counting(&bed.stack.description.endpoint_url).await?;
    let store = bed.store_at(&tap.url()).await;
    let stacks: Vec<Stack> = (0..200).map(|_| stack("acme")).collect::<Result<_>>()?;
    let new: Vec<NewRun> = stacks.iter().map(|stack| pushed(stack, 1)).collect();
    let added = store.add_runs(&new, RETENTION).await?;
    assert!(added.iter().all(|added| *added == Added::Made));
    assert!(tap.count("TransactWriteItems") <= 4, "{:?}", tap.calls());
    assert_eq!(tap.calls().len(), 1, "{:?}", tap.calls());
    Ok(())
}

#[tokio::test]
async fn two_who_write_the_same_sixty_runs_at_once_make_each_once() -> Result<()> {
    let bed = Bed::new()?;
    let stacks: Vec<Stack> = (0..60).map(|_| stack("acme")).collect::<Result<_>>()?;
    let new: Vec<NewRun> = stacks.iter().map(|stack| pushed(stack, 1)).collect();
    // In another order, so that their transactions cross.
    let reversed: Vec<NewRun> = new.iter().rev().cloned().collect();
    let (one, other) = (bed.store().await, bed.store().await);
    let (one, other) = tokio::join!(
        one.add_runs(&new, RETENTION),
        other.add_runs(&reversed, RETENTION)
    );
    let (one, mut other) = (one?, other?);
    other.reverse();
    for (at, pair) in one.into_iter().zip(other).enumerate() {
        let existing = Added::Existing(Box::new(new[at].run.clone()));
        let is_right = pair == (Added::Made, existing.clone()) || pair == (existing, Added::Made);
        assert!(is_right, "{at}: {pair:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_of_a_transaction_makes_no_second_run_and_loses_none() -> Result<()> {
    let (bed, stack) = (Bed::new()?, stack("acme")?);
    let judge = |call: &str, number: usize| match (call, number) {
        ("DynamoDB_20120810.TransactWriteItems", 1) => Fate::CutAnswer,
        _ => Fate::Pass,
    };
    let tap = Tap::on(&bed.stack.description.endpoint_url, judge).await?;
    let store = bed.store_at(&tap.url()).await;
    let new = [pushed(&stack, 1), unordered(asked(&stack, "1", now()))];
    for (added, new) in store.add_runs(&new, RETENTION).await?.into_iter().zip(&new) {
        let own = Added::Existing(Box::new(new.run.clone()));
        assert!([Added::Made, own].contains(&added), "{added:?}");
    }
    assert!(tap.count("TransactWriteItems") > 1);
    assert_eq!(runs_of(&bed.store().await, &stack).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_change_is_made_by_who_has_read_the_run_as_it_is_and_a_repeat_of_it_is_no_other()
-> Result<()> {
    let bed = Bed::new()?;
    let store = bed.store().await;
    let run = one(&store, "acme").await?;
    let (mine, theirs) = (
        run.stepped(RunState::Running, now()),
        run.stepped(RunState::Failed, now()),
    );
    let write = async |next: &Run| store.change_run(next, run.version, RETENTION).await;
    assert_eq!(write(&mine).await?, Advanced::Yes);
    assert_eq!(write(&mine).await?, Advanced::Yes, "the same write again");
    assert_eq!(write(&theirs).await?, Advanced::ChangedSince);
    assert_eq!(store.run(&run.id).await?, Some(mine));
    let unknown = asked(&stack("acme")?, "1", now());
    let gone = store.change_run(&unknown, 1, RETENTION).await?;
    assert_eq!(gone, Advanced::ChangedSince);
    assert_eq!(store.run(&unknown.id).await?, None, "it makes none");
    Ok(())
}

#[tokio::test]
async fn a_run_is_cancelled_once_and_never_after_its_end() -> Result<()> {
    let bed = Bed::new()?;
    let store = bed.store().await;
    let run = one(&store, "acme").await?;
    let cancel = async |id: &RunId| {
        let because = CancelReason::PullRequestClosed;
        store.cancel_run(id, because, RETENTION, now()).await
    };
    let canceled = cancel(&run.id).await?.context("it was open")?;
    assert_eq!(
        (canceled.state, canceled.canceled_because, canceled.version),
        (RunState::Canceled, Some(CancelReason::PullRequestClosed), 2)
    );
    assert_eq!(store.run(&run.id).await?, Some(canceled));
    assert_eq!(cancel(&run.id).await?, None, "once");
    let unknown = asked(&stack("acme")?, "1", now());
    assert_eq!(cancel(&unknown.id).await?, None);

    // Somebody who changes it between the read and the write is met, not overwritten.
    let run = one(&store, "acme").await?;
    let tap = Tap::on(&bed.stack.description.endpoint_url, |call, number| {
        if call.ends_with("PutItem") && number == 1 {
            Fate::Delay(std::time::Duration::from_millis(700))
        } else {
            Fate::Pass
        }
    })
    .await?;
    let slower = bed.store_at(&tap.url()).await;
    let finish = async {
        while tap.count("PutItem") == 0 {
            tokio::task::yield_now().await;
        }
        let finished = run.stepped(RunState::Finished, now());
        store.change_run(&finished, 1, RETENTION).await
    };
    let cancel = slower.cancel_run(&run.id, CancelReason::Unlinked, RETENTION, now());
    let (canceled, finished) = tokio::join!(cancel, finish);
    assert_eq!((canceled?, finished?), (None, Advanced::Yes));
    let state = store.run(&run.id).await?.map(|run| run.state);
    assert_eq!(state, Some(RunState::Finished));
    Ok(())
}

#[tokio::test]
async fn open_runs_are_found_until_they_end_by_integration_and_by_pull_request() -> Result<()> {
    let bed = Bed::new()?;
    let store = bed.store().await;
    let name = new_name("open");
    let integration: IntegrationName = name.parse()?;
    let stack = stack(&name)?;
    let new = [
        pushed(&stack, 1),
        proposed(&stack, 7),
        proposed(&stack, 77),
        unordered(asked(&stack, "1", now())),
    ];
    store.add_runs(&new, RETENTION).await?;
    let other = crate::run_store::stack(&new_name("open"))?;
    added(&store, proposed(&other, 7)).await?;
    let open = async |of: OpenOf<'_>| -> Result<Vec<RunId>> {
        let runs = store.open_runs(&integration, of).await?;
        let mut ids: Vec<RunId> = runs.into_iter().map(|run| run.id).collect();
        ids.sort_unstable();
        Ok(ids)
    };
    let sorted = |runs: &[&NewRun]| {
        let mut ids: Vec<RunId> = runs.iter().map(|new| new.run.id.clone()).collect();
        ids.sort_unstable();
        ids
    };
    let [push, seven, seventy_seven, by_hand] = &new;
    let all = sorted(&[push, seven, seventy_seven, by_hand]);
    assert_eq!(open(OpenOf::Integration).await?, all);
    let of_seven = OpenOf::PullRequest(&stack.repository.id, 7);
    assert_eq!(open(of_seven).await?, sorted(&[seven]));
    for (new, end) in [(push, RunState::Running), (by_hand, RunState::Failed)] {
        let next = new.run.stepped(end, now());
        store.change_run(&next, 1, RETENTION).await?;
    }
    let because = CancelReason::PullRequestClosed;
    store
        .cancel_run(&seven.run.id, because, RETENTION, now())
        .await?;
    assert_eq!(open(of_seven).await?, []);
    let left = sorted(&[push, seventy_seven]);
    assert_eq!(open(OpenOf::Integration).await?, left, "running is open");
    Ok(())
}

#[tokio::test]
async fn what_follows_a_repository_is_found_by_it_and_as_long_as_it_is_attached() -> Result<()> {
    let bed = Bed::new()?;
    let store = bed.store().await;
    let name = new_name("followed");
    let integration: IntegrationName = name.parse()?;
    let first = stack(&name)?;
    let second = Stack {
        name: new_name("second").parse()?,
        ..first.clone()
    };
    let elsewhere = stack(&name)?;
    for stack in [&first, &second, &elsewhere] {
        store.create_stack(stack).await?;
    }
    let followers = async |of: &Stack| -> Result<Vec<StackName>> {
        let found = store.followers(&integration, &of.repository.id).await?;
        Ok(found.into_iter().map(|stack| stack.name).collect())
    };
    let names = vec![first.name.clone(), second.name.clone()];
    assert_eq!(followers(&first).await?, names);
    assert_eq!(followers(&elsewhere).await?, vec![elsewhere.name.clone()]);
    store.detach(&second.name, &integration, now()).await?;
    assert_eq!(followers(&first).await?, vec![first.name.clone()]);
    let found = store.followers(&integration, &first.repository.id).await?;
    let whole = store.stack(&first.name).await?.context("no stack")?;
    assert_eq!(found, [whole]);
    Ok(())
}

#[tokio::test]
async fn a_report_of_an_older_version_never_takes_the_place_of_a_newer_ones() -> Result<()> {
    let bed = Bed::new()?;
    let store = bed.store().await;
    let run = one(&store, "acme").await?;
    assert_eq!(store.report_of(&run.id).await?, None);
    let report = |version: u64, refusal: Option<&str>| Report {
        version,
        state: refusal.is_none().then_some(RunState::Running),
        iteration: Some(2),
        refusal: refusal.map(str::to_owned),
        reported_at: now(),
    };
    let (first, second) = (report(1, None), report(2, Some("no permission")));
    let again = report(2, None);
    for (written, kept) in [
        (&first, &first),
        (&second, &second),
        (&first, &second),
        (&again, &again),
    ] {
        store.record_report(&run, written, RETENTION).await?;
        assert_eq!(store.report_of(&run.id).await?.as_ref(), Some(kept));
    }
    assert_eq!(store.run(&run.id).await?, Some(run), "the run is as it was");
    Ok(())
}

/// A moment in a month that no other test has runs in.
fn in_a_month_of_its_own() -> Result<Timestamp> {
    let random = uuid::Uuid::new_v4().as_u128() % 6_000;
    Ok(format!("{}-03-15T12:00:00Z", 3_000 + random).parse()?)
}

#[tokio::test]
async fn all_runs_are_listed_newest_first_over_months_and_a_page_goes_on_behind_any_run()
-> Result<()> {
    let bed = Bed::new()?;
    let store = bed.store().await;
    let (stack, end) = (stack("acme")?, in_a_month_of_its_own()?);
    let (day, hour) = (24, SignedDuration::from_hours(1));
    let ages = [0, 1, 2, 20 * day, 21 * day, 22 * day];
    let mut runs = Vec::new();
    for (number, age) in ages.into_iter().enumerate() {
        let requested = end - hour * age;
        runs.push(asked(&stack, &number.to_string(), requested));
    }
    written(&store, &runs).await?;
    let finished = runs[4].stepped(RunState::Finished, end);
    store.change_run(&finished, 1, RETENTION).await?;
    let newest_first: Vec<RunId> = runs.iter().map(|run| run.id.clone()).collect();

    let filter = RunFilter::default();
    let (mut seen, mut sizes, mut at) = (Vec::new(), Vec::new(), None);
    while seen.len() < runs.len() {
        let page = store.runs(&filter, at.as_ref(), 2, end).await?;
        sizes.push(page.runs.len());
        seen.extend(page.runs.into_iter().map(|run| run.id));
        at = Some(page.next.context("there was more")?);
    }
    assert_eq!(seen, newest_first);
    assert!(sizes.iter().all(|size| *size <= 2), "{sizes:?}");

    // The place behind a run is where the list goes on, whatever page it was on.
    for (number, run) in runs.iter().enumerate() {
        let place = RunCursor::after(run, &filter);
        let page = store.runs(&filter, Some(&place), 100, end).await?;
        let month = if number < 3 { 3 } else { runs.len() };
        let rest: Vec<RunId> = page.runs.into_iter().map(|run| run.id).collect();
        assert_eq!(rest, newest_first[number + 1..month], "{number}");
    }
    let finished_alone = RunFilter {
        state: Some(RunState::Finished),
        ..RunFilter::default()
    };
    let page = store.runs(&finished_alone, None, 100, end).await?;
    assert!(page.runs.is_empty(), "none of this month");
    let page = store
        .runs(&finished_alone, page.next.as_ref(), 100, end)
        .await?;
    assert_eq!(page.runs, [finished]);
    Ok(())
}

#[tokio::test]
async fn a_push_whose_run_has_expired_can_have_it_again() -> Result<()> {
    let bed = Bed::new()?;
    let store = bed.store().await;
    let new = pushed(&stack(&new_name("expired"))?, 7);
    let add = || store.add_runs(std::slice::from_ref(&new), RETENTION);
    assert_eq!(add().await?, [Added::Made]);
    let aws = bed.aws_at(&bed.stack.description.endpoint_url).await;
    let text = |text: String| aws_sdk_dynamodb::types::AttributeValue::S(text);
    aws_sdk_dynamodb::Client::new(&aws)
        .delete_item()
        .table_name(bed.tables().stacks)
        .key("pk", text(format!("run#{}", new.run.id)))
        .key("sk", text("run".to_owned()))
        .send()
        .await?;
    assert_eq!(add().await?, [Added::Made], "time to live has taken it");
    assert!(matches!(add().await?.as_slice(), [Added::Existing(_)]));
    Ok(())
}
