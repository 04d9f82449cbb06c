//! Which stacks a pull request asks for a run, and which of its runs are not wanted any more.
//!
//! An event only says that something may be different: what is acted upon is the pull request as it is now. So events that
//! come twice, late or in another order come to the same, and a vote or a reviewer to nothing.

use ado::AdoClient;
use domain::{
    Changed, Compared, Guid, Run, Stack,
    compared::{ComparedPullRequest, Room},
    event::{Comment, PullRequest},
    outcome::{ForStack, Verdict},
    rules::{self, AboutPullRequest},
    run::{CancelReason, Identity, Rerun, RunKind, RunPullRequest, Trigger},
    summary::plain,
    touch::Touch,
};
use jiff::Timestamp;
use store::{OpenOf, SeenPullRequest};

use crate::{
    App, Hindrance,
    asked::Wanted,
    changed::{self, Place},
    delivery::Case,
    push::{is_commit, named},
};

/// A pull request as it is now.
#[derive(Clone, Debug)]
struct Now {
    number: i64,
    title: Option<String>,
    status: String,
    is_draft: bool,
    is_fork: bool,
    source_ref: Option<String>,
    target_ref: String,
    commit: Option<String>,
    supports_iterations: Option<bool>,
    /// When it was read, or a little before; `None` where it is as the event has it.
    read_at: Option<Timestamp>,
}

impl App {
    /// Decides on a pull request. `stacks` follow its repository.
    ///
    /// How it was when it was read, for that is what is decided upon, counts as seen then, even if it cannot be decided now: the
    /// delivery goes on.
    pub(crate) async fn decide_pull_request(
        &self,
        case: &Case<'_>,
        client: &AdoClient,
        about: &AboutPullRequest<'_>,
        stacks: &[Stack],
    ) -> Result<(Vec<ForStack>, Compared), Hindrance> {
        let mut seen = None;
        let decided = self
            .decide_as_it_is(case, client, about, stacks, &mut seen)
            .await;
        if let Some(seen) = seen {
            let name = &case.integration.name;
            let repository = &about.repository;
            self.store.saw_pull_request(name, repository, &seen).await?;
        }
        decided
    }

    async fn decide_as_it_is(
        &self,
        case: &Case<'_>,
        client: &AdoClient,
        about: &AboutPullRequest<'_>,
        stacks: &[Stack],
        seen: &mut Option<SeenPullRequest>,
    ) -> Result<(Vec<ForStack>, Compared), Hindrance> {
        let AboutPullRequest {
            told: pull_request,
            number,
            comment,
            ref repository,
        } = *about;
        let Some(first) = stacks.first() else {
            return Ok((Vec::new(), Compared::default()));
        };
        let place = Place {
            project: first.project.id.as_str(),
            repository: repository.as_str(),
        };
        let now = now(case, client, place, pull_request, number).await?;
        *seen = now.seen();
        if let Some(why) = rules::is_closed(&now.status) {
            let reason = CancelReason::PullRequestClosed;
            let each = self
                .cancel(case, repository, &now, stacks, reason, &why)
                .await?;
            return Ok((each, now.compared(None)));
        }
        let mut each = Vec::new();
        let (mut others, mut why_elsewhere, mut willing) = (Vec::new(), None, Vec::new());
        for stack in stacks {
            if let Some(why) = rules::goes_elsewhere(stack, &now.target_ref) {
                others.push(stack.clone());
                why_elsewhere = Some(why);
            } else if let Some(why) = rules::is_not_wanted(stack, now.is_fork, now.is_draft) {
                each.push(ForStack::nothing(stack, why.to_owned()));
            } else {
                willing.push(stack);
            }
        }
        if let Some(why) = why_elsewhere {
            let reason = CancelReason::PullRequestRetargeted;
            each.extend(
                self.cancel(case, repository, &now, &others, reason, &why)
                    .await?,
            );
        }
        if willing.is_empty() {
            return Ok((each, now.compared(None)));
        }
        let Some(commit) = commit(case, client, place, &now).await? else {
            return Err(Hindrance::ForGood(
                "Azure DevOps does not say which commit the pull request is at".to_owned(),
            ));
        };
        if let Some(seen) = seen
            && !seen.commits.contains(&commit)
        {
            seen.commits.insert(0, commit.clone());
        }
        let changed =
            changed::by_pull_request(client, place, &now.target_ref, &commit, case.is_last_try)
                .await?;
        let mut wanted = Vec::new();
        for stack in willing {
            match changed.touch(stack) {
                Touch::No(reason) => each.push(ForStack::nothing(stack, reason)),
                Touch::Yes(reason) => {
                    let (identity, trigger) = identity(case, number, &commit, comment);
                    let run = Run {
                        ref_name: now.source_ref.clone(),
                        reason: case.reason(match trigger {
                            Trigger::Comment => rules::by_comment(&reason),
                            _ => reason,
                        }),
                        pull_request: Some(now.of_run()),
                        delivery: Some(case.id()),
                        changed_paths: named(&changed),
                        ..Run::new(
                            stack,
                            identity.as_identity(),
                            RunKind::of_pull_request(stack.kind),
                            trigger,
                            &commit,
                            case.now,
                        )
                    };
                    wanted.push(Wanted {
                        stack,
                        run,
                        in_order_of: None,
                        proposes: (comment.is_none() && case.rerun.is_none()).then_some(number),
                        is_rerun: case.rerun.is_some(),
                    });
                }
            }
        }
        let (asked, made) = self.ask(wanted).await?;
        let mut asked = asked;
        if !made.is_empty() {
            // The event that closed it may have been dispatched before these runs were there to be cancelled.
            let after = self::now(case, client, place, pull_request, number).await?;
            let because = match after {
                after if rules::is_closed(&after.status).is_some() => {
                    Some(CancelReason::PullRequestClosed)
                }
                after if after.target_ref != now.target_ref => {
                    Some(CancelReason::PullRequestRetargeted)
                }
                _ => None,
            };
            if let Some(because) = because {
                self.take_back(&made, because, &mut asked, case.now).await?;
            }
            self.take_back_what_is_gone(case.integration, stacks, &made, &mut asked, case.now)
                .await?;
        }
        each.extend(asked);
        Ok((each, now.compared(Some(&changed))))
    }

    /// Cancels the open runs of a pull request that these stacks have; the others of them it concerns for `why`.
    async fn cancel(
        &self,
        case: &Case<'_>,
        repository: &Guid,
        now: &Now,
        stacks: &[Stack],
        because: CancelReason,
        why: &str,
    ) -> Result<Vec<ForStack>, Hindrance> {
        let of = OpenOf::PullRequest(repository, now.number);
        let open = self.store.open_runs(&case.integration.name, of).await?;
        let mut each: Vec<ForStack> = Vec::new();
        for run in open {
            let is_ours = stacks.iter().any(|stack| stack.name == run.stack);
            if !is_ours {
                continue;
            }
            let canceled = self
                .store
                .cancel_run(&run.id, because, self.retention.runs, case.now)
                .await?;
            if let Some(canceled) = canceled {
                each.push(ForStack {
                    stack: canceled.stack,
                    verdict: Verdict::Canceled,
                    reason: why.to_owned(),
                    run: Some(canceled.id),
                });
            }
        }
        for stack in stacks {
            if !each.iter().any(|one| one.stack == stack.name) {
                each.push(ForStack::nothing(stack, why.to_owned()));
            }
        }
        Ok(each)
    }
}

/// The pull request as Azure DevOps has it; as the event has it, where it cannot be asked at the last try, or will not tell.
async fn now(
    case: &Case<'_>,
    client: &AdoClient,
    place: Place<'_>,
    told: &PullRequest,
    number: i64,
) -> Result<Now, Hindrance> {
    // What is asked before it is read: whatever happened before this moment is in what is read.
    let read_at = case.clock.now();
    let asked = client
        .pull_request(place.project, place.repository, number)
        .await;
    let current = match asked {
        Ok(current) => Some(current),
        Err(error) if error.is_about_the_token() => return Err(error.into()),
        Err(error) if error.is_passing() && !case.is_last_try => return Err(error.into()),
        Err(_stays) => None,
    };
    let (is_told_draft, is_told_fork) = (told.is_draft, told.fork.is_some());
    let told = told.clone();
    Ok(match current {
        Some(current) => Now {
            number,
            title: current.title.or(told.title),
            status: current
                .status
                .or(told.status)
                .unwrap_or_else(|| "active".to_owned()),
            is_draft: current.is_draft,
            is_fork: current.is_fork || is_told_fork,
            source_ref: current.source_ref.or(told.source_ref),
            target_ref: current.target_ref.or(told.target_ref).unwrap_or_default(),
            commit: current.source_commit.or(told.source_commit),
            supports_iterations: current.supports_iterations.or(told.supports_iterations),
            read_at: Some(read_at),
        },
        None => Now {
            number,
            title: told.title,
            status: told.status.unwrap_or_else(|| "active".to_owned()),
            is_draft: is_told_draft,
            is_fork: is_told_fork,
            source_ref: told.source_ref,
            target_ref: told.target_ref.unwrap_or_default(),
            commit: told.source_commit,
            supports_iterations: told.supports_iterations,
            read_at: None,
        },
    })
}

/// The source commit: that of the latest iteration. What the pull request itself says, the head at the last trial merge, can lag
/// a push, or be absent while a merge is under way (facts 4.3); it stands in where iterations are not counted, or not told.
async fn commit(
    case: &Case<'_>,
    client: &AdoClient,
    place: Place<'_>,
    now: &Now,
) -> Result<Option<String>, Hindrance> {
    let told = now.commit.clone().filter(|commit| is_commit(commit));
    if now.supports_iterations == Some(false) {
        return Ok(told);
    }
    match client
        .iterations(place.project, place.repository, now.number)
        .await
    {
        Ok(iterations) => {
            let latest = iterations.into_iter().max_by_key(|iteration| iteration.id);
            let commit = latest.and_then(|iteration| iteration.source_commit);
            Ok(commit.filter(|commit| is_commit(commit)).or(told))
        }
        Err(error) if error.is_about_the_token() || (error.is_passing() && !case.is_last_try) => {
            Err(error.into())
        }
        Err(_stays) => Ok(told),
    }
}

/// An identity that owns what it is made of.
enum Owned {
    PullRequest(i64, String),
    Comment(i64, i64, i64),
    Request(String),
    Rerun(String, u32),
    Wish(String, String),
}

impl Owned {
    fn as_identity(&self) -> Identity<'_> {
        match self {
            Self::PullRequest(number, commit) => Identity::PullRequest {
                number: *number,
                commit,
                attempt: 0,
            },
            Self::Comment(number, thread, comment) => Identity::Comment {
                number: *number,
                thread: *thread,
                comment: *comment,
            },
            Self::Request(id) => Identity::Request(id),
            Self::Rerun(delivery, redelivery) => Identity::Rerun {
                delivery,
                redelivery: *redelivery,
                ref_name: None,
            },
            Self::Wish(wish, what) => Identity::Wish { wish, what },
        }
    }
}

/// What makes the run the same as another. A comment whose numbers are not told goes by its delivery. What is asked for again
/// goes by that alone, or by the wish and the pull request's number: it may have another commit when it is tried once more.
fn identity(
    case: &Case<'_>,
    number: i64,
    commit: &str,
    comment: Option<&Comment>,
) -> (Owned, Trigger) {
    let trigger = match comment {
        None => Trigger::PullRequest,
        Some(_) => Trigger::Comment,
    };
    let comment = comment.map(|comment| (comment.thread, comment.id));
    let first = |commit: &str| match comment {
        None => Owned::PullRequest(number, commit.to_owned()),
        Some((Some(thread), Some(id))) => Owned::Comment(number, thread, id),
        Some(_) => Owned::Request(case.id()),
    };
    let owned = match case.rerun {
        Some(Rerun::Redelivery(redelivery)) => Owned::Rerun(case.id(), *redelivery),
        Some(Rerun::Wish { wish, .. }) => {
            Owned::Wish(wish.clone(), first("").as_identity().spelled())
        }
        None => first(commit),
    };
    (owned, trigger)
}

impl Now {
    /// What is kept of it as seen. The commit that is taken for its source's is added once it is known.
    fn seen(&self) -> Option<SeenPullRequest> {
        let commit = self.commit.clone().filter(|commit| is_commit(commit));
        Some(SeenPullRequest {
            number: self.number,
            commits: commit.into_iter().collect(),
            status: self.status.clone(),
            is_draft: self.is_draft,
            target_ref: self.target_ref.clone(),
            read_at: self.read_at?,
        })
    }

    /// It as it is kept, with what it would change.
    fn compared(&self, changed: Option<&Changed>) -> Compared {
        Compared {
            refs: Vec::new(),
            pull_request: Some(ComparedPullRequest {
                status: self.status.clone(),
                target_ref: self.target_ref.clone(),
                is_draft: self.is_draft,
                is_fork: self.is_fork,
                changed: changed.map(|changed| Room::default().keep(changed)),
            }),
        }
    }

    fn of_run(&self) -> RunPullRequest {
        RunPullRequest {
            number: self.number,
            title: self.title.as_deref().map(plain),
            source_ref: self.source_ref.clone(),
            target_ref: Some(self.target_ref.clone()),
            is_fork: self.is_fork,
            supports_iterations: self.supports_iterations,
        }
    }
}
