//! Runs as they are shown.

use domain::Run;
use edge::{
    Problem,
    http::{Answer, moment, with_moments},
};
use http::StatusCode;
use serde_json::{Value, json};
use store::Report;

use crate::{App, parsed};

/// `GET /runs/{id}`: with what Azure DevOps shows of it, as far as anything was reported there.
pub(crate) async fn one(app: &App, id: &str) -> Answer {
    let id = parsed(id)?;
    let run = app.run(&id).await?;
    let reported = app.store.report_of(&id).await.map_err(Problem::ours)?;
    let mut body = shown(&run);
    if let Some(report) = reported {
        body["report"] = report_shown(&report);
    }
    Ok((StatusCode::OK, body))
}

/// A run in JSON.
pub(crate) fn shown(run: &Run) -> Value {
    with_moments(run, &Run::TIMES)
}

fn report_shown(report: &Report) -> Value {
    let mut body = json!({ "reportedAt": moment(report.reported_at) });
    if let Some(state) = report.state {
        body["state"] = json!(state);
    }
    if let Some(iteration) = report.iteration {
        body["iteration"] = json!(iteration);
    }
    if let Some(refusal) = &report.refusal {
        body["refusal"] = json!(refusal);
    }
    body
}
