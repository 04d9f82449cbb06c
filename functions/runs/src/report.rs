//! `PATCH /runs/{id}`: how far its executor is with a run.
//!
//! A report may come twice, late, or from two executors at once. A run goes on and never back, and each of them is told what it
//! is: whoever repeats what is so already meets it, whoever is behind learns that there is nothing left to do.

use std::{borrow::Cow, time::Duration};

use domain::{
    Run, RunId, RunState,
    run::{CancelReason, InvalidRunState, Step},
    summary::plain_within,
};
use edge::{Problem, ProblemKind, http::Answer};
use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use serde::Deserialize;
use store::{Advanced, StoreError};

use crate::{App, parsed, show, target_url};

/// How many characters of a description are kept, with the one that says that there were more.
const LONGEST_DESCRIPTION: usize = 400;
/// The waits before a run that somebody else has changed is read again.
const ROUNDS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(10),
    Duration::from_millis(40),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(600),
];

/// The request's body. What is absent stays as it is; `null` removes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReportRequest {
    state: Option<String>,
    #[serde(default, deserialize_with = "edge::http::present")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "edge::http::present")]
    target_url: Option<Option<String>>,
}

/// The request, understood: what is `None` stays.
#[derive(Debug)]
struct Reported {
    state: Option<RunState>,
    description: Option<Option<String>>,
    target_url: Option<Option<String>>,
}

/// What a report comes to.
#[derive(Debug)]
enum Verdict {
    /// The run becomes this.
    Write(Box<Run>),
    /// It is so already.
    IsSo,
    /// The run has ended.
    Ended,
}

/// `PATCH /runs/{id}`.
pub(crate) async fn report(app: &App, request: &Request, id: &str, now: Timestamp) -> Answer {
    let body: ReportRequest = edge::http::body(request)?;
    let reported = body.understood()?;
    let run = told(app, &parsed(id)?, &reported, now).await?;
    Ok((StatusCode::OK, show::shown(&run)))
}

/// Writes down what was reported of a run; gives the run as it is then.
async fn told(app: &App, id: &RunId, reported: &Reported, now: Timestamp) -> Result<Run, Problem> {
    for wait in ROUNDS {
        tokio::time::sleep(wait).await;
        let run = app.run(id).await?;
        let next = match reported.judged(&run, now) {
            Verdict::Write(next) => next,
            Verdict::IsSo => return Ok(run),
            Verdict::Ended => return Err(ended(&run)),
        };
        let written = app.store.change_run(&next, run.version, app.retention);
        match written.await.map_err(Problem::ours)? {
            Advanced::Yes => return Ok(*next),
            // Somebody else was quicker: what the run is now decides.
            Advanced::ChangedSince => {}
        }
    }
    Err(Problem::ours(StoreError::Throttled("change a run")))
}

impl Reported {
    fn judged(&self, run: &Run, now: Timestamp) -> Verdict {
        // Never before anything that is known of it, whatever the clock says.
        let now = now.max(run.updated_at);
        let step = self.state.map_or(Step::Same, |state| run.state.step(state));
        let next = match (step, self.state) {
            (Step::Forward, Some(RunState::Canceled)) => run.canceled(CancelReason::Executor, now),
            (Step::Forward, Some(state)) => run.stepped(state, now),
            (Step::Same, _) if run.state.is_open() => run.clone(),
            // A repeat. What was said first of an end stays, or two executors would argue for ever.
            (Step::Same, Some(_)) => return Verdict::IsSo,
            _ => return Verdict::Ended,
        };
        let next = Run {
            description: self
                .description
                .clone()
                .unwrap_or_else(|| next.description.clone()),
            target_url: self
                .target_url
                .clone()
                .unwrap_or_else(|| next.target_url.clone()),
            ..next
        };
        if next == *run {
            Verdict::IsSo
        } else {
            Verdict::Write(Box::new(Run {
                version: run.version + 1,
                updated_at: now,
                ..next
            }))
        }
    }
}

impl ReportRequest {
    fn understood(self) -> Result<Reported, Problem> {
        let state = match self.state.as_deref() {
            None => None,
            Some("queued" | "superseded") => {
                return Err(Problem::field(
                    "state",
                    &"an executor reports running, finished, failed or canceled; queued and superseded are Stackhook's own",
                ));
            }
            Some(text) => Some(text.parse().map_err(|_state: InvalidRunState| {
                Problem::field(
                    "state",
                    &"an executor reports running, finished, failed or canceled",
                )
            })?),
        };
        let target_url = self.target_url.map(|given| {
            let url = given.map(|text| target_url::parsed(&text)).transpose();
            url.map_err(|error| Problem::field("targetUrl", &error))
        });
        let reported = Reported {
            state,
            description: self.description.map(|given| {
                let line = given.map(|text| plain_within(&text, LONGEST_DESCRIPTION - 1));
                line.filter(|line| !line.is_empty())
            }),
            target_url: target_url.transpose()?,
        };
        if reported.state.is_none()
            && reported.description.is_none()
            && reported.target_url.is_none()
        {
            return Err(Problem::new(
                ProblemKind::InvalidRequest,
                "nothing is reported: say how far the run is, running, finished, failed or canceled; or, while it is open, its description or targetUrl",
            )
            .at("state"));
        }
        Ok(reported)
    }
}

/// The refusal of a report on a run that has ended otherwise: it tells the executor what to do now.
fn ended(run: &Run) -> Problem {
    let what: Cow<'static, str> = match run.state {
        RunState::Finished => "this run has finished already".into(),
        RunState::Failed => "this run has failed already".into(),
        RunState::Canceled => {
            let because = run
                .canceled_because
                .map_or("somebody canceled it", CancelReason::words);
            format!("this run was canceled: {because}; stop working on it").into()
        }
        _ => match run.superseded_by {
            Some(push) => {
                format!("this run was superseded by push {push}; stop working on it").into()
            }
            None => "this run was superseded by a newer push; stop working on it".into(),
        },
    };
    Problem::new(
        ProblemKind::RunEnded,
        format!("{what}. What was said of it first stays."),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const BEGIN: &str = "2026-11-25T00:00:00Z";

    fn run(state: RunState) -> Run {
        let id = "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce";
        serde_json::from_value(json!({
            "id": id, "kind": "tracked", "state": state, "version": 2, "stack": "a", "integration": "acme",
            "project": {"id": id, "name": "Harbor"}, "repository": {"id": id, "name": "platform"},
            "commit": "1", "projectRoot": "", "trigger": "push", "reason": "", "description": "as it was",
            "requestedAt": BEGIN, "updatedAt": BEGIN
        }))
        .unwrap()
    }

    fn judged(body: Value, run: &Run) -> Verdict {
        let body: ReportRequest = serde_json::from_value(body).unwrap();
        let now = "2026-11-24T23:59:59Z".parse().unwrap();
        body.understood().unwrap().judged(run, now)
    }

    #[test]
    fn a_clock_that_is_behind_does_not_end_a_run_before_it_began() {
        let Verdict::Write(next) = judged(json!({ "state": "finished" }), &run(RunState::Running))
        else {
            panic!("not written")
        };
        let begin = BEGIN.parse().ok();
        assert_eq!((next.version, next.ended_at), (3, begin));
        assert_eq!(next.description.as_deref(), Some("as it was"));
    }

    #[test]
    fn a_repeat_changes_nothing_but_what_is_new_of_an_open_run() {
        let running = run(RunState::Running);
        for nothing_new in [
            json!({ "state": "running" }),
            json!({ "state": "running", "description": " as it\twas " }),
            json!({ "description": "as it was", "targetUrl": null }),
        ] {
            assert!(
                matches!(judged(nothing_new.clone(), &running), Verdict::IsSo),
                "{nothing_new}"
            );
        }
        for new in [
            json!({ "state": "running", "description": "on it" }),
            json!({ "description": null }),
            json!({ "description": " \u{202e}" }),
            json!({ "targetUrl": "https://ci.example.com" }),
        ] {
            let Verdict::Write(next) = judged(new.clone(), &running) else {
                panic!("not written: {new}")
            };
            assert_eq!((next.state, next.version), (RunState::Running, 3), "{new}");
            assert_eq!(next.started_at, running.started_at, "{new}");
        }
    }

    #[test]
    fn an_end_stays_as_it_was_told_first() {
        for state in RunState::ALL.into_iter().filter(|state| !state.is_open()) {
            let ended = run(state);
            for other in [
                RunState::Running,
                RunState::Finished,
                RunState::Failed,
                RunState::Canceled,
            ] {
                let verdict = judged(json!({ "state": other, "description": "new" }), &ended);
                let is_right = match verdict {
                    Verdict::IsSo => other == state,
                    Verdict::Ended => other != state,
                    Verdict::Write(_) => false,
                };
                assert!(is_right, "{state} {other}");
            }
            let verdict = judged(json!({ "description": "new" }), &ended);
            assert!(matches!(verdict, Verdict::Ended), "{state}");
        }
    }

    #[test]
    fn a_description_is_one_harmless_line_of_bearable_length() {
        let long = format!("\u{1b}[31mred\u{7}\n\u{202e}{}", "é".repeat(9_000));
        let Verdict::Write(next) = judged(json!({ "description": long }), &run(RunState::Queued))
        else {
            panic!("not written")
        };
        let description = next.description.unwrap();
        assert!(description.starts_with("[31mred é"), "{description}");
        assert_eq!(description.chars().count(), LONGEST_DESCRIPTION);
    }
}
