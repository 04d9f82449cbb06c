//! Runs written, each once, and taken back where what asked for them was gone meanwhile.

use std::collections::BTreeSet;

use domain::{
    Integration, Run, RunState, Stack, Status,
    outcome::{ForStack, Verdict},
    run::{CancelReason, Identity},
    summary::plain,
};
use jiff::Timestamp;
use store::{Added, NewRun};

use crate::{App, Hindrance};

/// How often a pull request's commit is proposed again after having been cancelled, at the most.
const MOST_ATTEMPTS: u32 = 50;

/// A run that a stack is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) run: Run,
    /// Of a push whose number is known: its ref.
    pub(crate) in_order_of: Option<String>,
    /// Of a pull request's commit: its number. A further attempt is made where the last was cancelled by us.
    pub(crate) proposes: Option<i64>,
    /// Whether somebody asked for it again: then no newer push is in its way.
    pub(crate) is_rerun: bool,
}

impl App {
    /// Writes runs; tells what that comes to for each stack, in order, and the runs that were made.
    pub(crate) async fn ask(
        &self,
        mut wanted: Vec<Wanted<'_>>,
    ) -> Result<(Vec<ForStack>, Vec<Run>), Hindrance> {
        let mut results: Vec<Option<ForStack>> = vec![None; wanted.len()];
        let mut made = Vec::new();
        for attempt in 1..=MOST_ATTEMPTS {
            let left: Vec<usize> = (0..wanted.len())
                .filter(|at| results[*at].is_none())
                .collect();
            if left.is_empty() {
                break;
            }
            let new: Vec<NewRun> = left
                .iter()
                .map(|at| NewRun {
                    run: wanted[*at].run.clone(),
                    in_order_of: wanted[*at].in_order_of.clone(),
                })
                .collect();
            let added = self.store.add_runs(&new, self.retention.runs).await?;
            for (at, added) in left.into_iter().zip(added) {
                let Wanted {
                    stack,
                    run,
                    in_order_of,
                    proposes,
                    is_rerun,
                } = &mut wanted[at];
                results[at] = match added {
                    Added::Made if run.state == RunState::Superseded => Some(overtaken(run)),
                    Added::Made => {
                        made.push(run.clone());
                        Some(verdict(run, Verdict::Run, run.reason.clone()))
                    }
                    // The newer push stays the last of its ref.
                    Added::Overtaken(_) if *is_rerun => {
                        *in_order_of = None;
                        None
                    }
                    // For the record; it is never announced.
                    Added::Overtaken(by) => {
                        run.state = RunState::Superseded;
                        run.superseded_by = Some(by);
                        run.ended_at = Some(run.requested_at);
                        *in_order_of = None;
                        None
                    }
                    Added::Existing(found) if found.state == RunState::Superseded => {
                        Some(overtaken(&found))
                    }
                    Added::Existing(found) => match proposes {
                        Some(number) if was_taken_back(&found) => {
                            let (number, commit) = (*number, run.commit.clone());
                            run.id = domain::RunId::of(
                                &stack.name,
                                &stack.repository.id,
                                Identity::PullRequest {
                                    number,
                                    commit: &commit,
                                    attempt,
                                },
                            );
                            None
                        }
                        // A record that was handed over twice, or got stuck on the way, meets its own work.
                        _ if found.delivery == run.delivery => {
                            if found.state.is_open() {
                                made.push((*found).clone());
                            }
                            Some(verdict(&found, Verdict::Run, found.reason.clone()))
                        }
                        _ => Some(verdict(&found, Verdict::None, has_its_run(&found))),
                    },
                };
            }
        }
        let all: Option<Vec<ForStack>> = results.into_iter().collect();
        let all = all.ok_or_else(|| {
            Hindrance::ForGood("a commit was proposed and cancelled too often".to_owned())
        })?;
        Ok((all, made))
    }

    /// Takes back runs that were made while their integration was being unlinked, or their stack deleted, moved or detached:
    /// whoever did that may not have seen them any more.
    pub(crate) async fn take_back_what_is_gone(
        &self,
        integration: &Integration,
        stacks: &[Stack],
        made: &[Run],
        each: &mut [ForStack],
        now: Timestamp,
    ) -> Result<(), Hindrance> {
        if made.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = made
            .iter()
            .map(|run| run.stack.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let stacks_now = self.store.stacks_now(&names).await?;
        for before in stacks.iter().filter(|stack| names.contains(&stack.name)) {
            let because = match stacks_now.get(&before.name) {
                None => CancelReason::StackDeleted,
                Some(now) if now.created_at != before.created_at => CancelReason::StackDeleted,
                Some(now) if now.detached_at.is_some() => CancelReason::Unlinked,
                Some(now)
                    if now.integration != before.integration
                        || now.repository.id != before.repository.id =>
                {
                    CancelReason::StackMoved
                }
                Some(_) => continue,
            };
            let of_it: Vec<Run> = made
                .iter()
                .filter(|run| run.stack == before.name)
                .cloned()
                .collect();
            self.take_back(&of_it, because, each, now).await?;
        }
        let is_now = self.store.integration(&integration.name).await?;
        let is_the_same = is_now.is_some_and(|it| {
            it.status == Status::Active && it.created_at == integration.created_at
        });
        if is_the_same {
            return Ok(());
        }
        self.take_back(made, CancelReason::Unlinked, each, now)
            .await
    }

    /// Cancels runs that were just made, and says so in the decisions.
    pub(crate) async fn take_back(
        &self,
        made: &[Run],
        because: CancelReason,
        each: &mut [ForStack],
        now: Timestamp,
    ) -> Result<(), Hindrance> {
        for run in made {
            self.store
                .cancel_run(&run.id, because, self.retention.runs, now)
                .await?;
            for one in each
                .iter_mut()
                .filter(|one| one.run.as_ref() == Some(&run.id))
            {
                one.verdict = Verdict::Canceled;
                one.reason = because.words().to_owned();
            }
        }
        Ok(())
    }
}

fn was_taken_back(run: &Run) -> bool {
    run.state == RunState::Canceled
        && run
            .canceled_because
            .is_some_and(CancelReason::may_run_again)
}

fn verdict(run: &Run, verdict: Verdict, reason: String) -> ForStack {
    ForStack {
        stack: run.stack.clone(),
        verdict,
        reason,
        run: Some(run.id.clone()),
    }
}

/// The decision on a push that is understood after a newer one.
fn overtaken(run: &Run) -> ForStack {
    let number = |push: Option<i64>| push.map_or_else(|| "?".to_owned(), |push| push.to_string());
    let (this, newer) = (number(run.push_id), number(run.superseded_by));
    let reason = format!("push {this} is older than push {newer}, which already has a run");
    verdict(run, Verdict::None, reason)
}

fn has_its_run(run: &Run) -> String {
    let what = match (&run.pull_request, run.push_id) {
        (_, Some(push)) => format!("push {push}"),
        (Some(pull_request), None) => {
            format!(
                "commit {} of pull request {}",
                short(&run.commit),
                pull_request.number
            )
        }
        (None, None) => format!("commit {}", short(&run.commit)),
    };
    format!("{what} already has its run")
}

/// A commit's id as people read it.
fn short(commit: &str) -> String {
    plain(commit.get(..8).unwrap_or(commit))
}
