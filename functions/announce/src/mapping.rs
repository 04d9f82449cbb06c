//! From a record of a table's stream to the event that it asks for, if any. Nothing here is sent.

use aws_lambda_events::dynamodb::EventRecord;
use domain::{OutcomeWord, Run, RunState};
use serde::Serialize;
use store::{EventsImage, OutcomeRecord, StoreError, events_image, run_of_image};

use bus::{Entry, LARGEST_CALL};

const REQUESTED: &str = "Run Requested";
const CHANGED: &str = "Run State Changed";

/// Why a record cannot be announced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MappingError {
    /// Its image cannot be read.
    #[error(transparent)]
    Image(#[from] StoreError),
    /// Its event cannot be written.
    #[error("an event that is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Its event is larger than the bus takes, whatever is left out.
    #[error("an event of {0} bytes")]
    TooLarge(usize),
}

impl MappingError {
    /// Why, without a word of what the record holds.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Image(_) => "this version cannot read its image".to_owned(),
            Self::Json(_) => "its event cannot be written".to_owned(),
            Self::TooLarge(size) => {
                format!("its event has {size} bytes, which is more than the bus takes")
            }
        }
    }
}

/// The `detail` of an event about a run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Detail<'a> {
    run: &'a Run,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_state: Option<RunState>,
    report: ReportBack,
}

/// How the executor says how far it is.
#[derive(Serialize)]
struct ReportBack {
    method: &'static str,
    url: String,
}

/// The event that a record asks for; `None` where it asks for none.
pub(crate) fn announcement(
    record: &EventRecord,
    runs_url: &str,
) -> Result<Option<Entry>, MappingError> {
    let is_new = match record.event_name.as_str() {
        "INSERT" => true,
        "MODIFY" => false,
        _ => return Ok(None),
    };
    let (new, old) = (&record.change.new_image, &record.change.old_image);
    if let Some(run) = run_of_image(new.clone())? {
        // An old image that is not there, or that an earlier version wrote otherwise, is no reason to keep a change quiet.
        let before = run_of_image(old.clone()).ok().flatten();
        return of_run(run, is_new, before.as_ref(), runs_url);
    }
    match events_image(new)? {
        EventsImage::Outcome(_, outcome) => {
            // The stream of this table has no old images, unless somebody asks for them. Without one a change is announced: what
            // was parked has been dispatched, or a person has asked anew.
            let before = match events_image(old) {
                Ok(EventsImage::Outcome(_, before)) => Some(before),
                _ => None,
            };
            of_outcome(*outcome, before.as_deref())
        }
        EventsImage::Delivery(_) | EventsImage::Redelivery(..) | EventsImage::Other => Ok(None),
    }
}

fn of_run(
    mut run: Run,
    is_new: bool,
    before: Option<&Run>,
    runs_url: &str,
) -> Result<Option<Entry>, MappingError> {
    let detail_type = if is_new { REQUESTED } else { CHANGED };
    let is_news = match before {
        _ if is_new => run.state == RunState::Queued,
        Some(before) => run.version > before.version,
        None => true,
    };
    if !is_news {
        return Ok(None);
    }
    let entry = |run: &Run| -> Result<Entry, MappingError> {
        let detail = Detail {
            run,
            previous_state: before.map(|before| before.state),
            report: ReportBack {
                method: "PATCH",
                url: format!("{runs_url}/runs/{}", run.id),
            },
        };
        let detail = serde_json::to_string(&detail)?;
        Ok(Entry::new(detail_type, detail, run.updated_at))
    };
    let whole = entry(&run)?;
    if whole.size() <= LARGEST_CALL {
        return Ok(Some(whole));
    }
    // A run's texts are bounded well below this; if one is not, its paths are what can be asked for again.
    run.changed_paths.paths.clear();
    bounded(entry(&run)?).map(Some)
}

fn of_outcome(
    record: OutcomeRecord,
    before: Option<&OutcomeRecord>,
) -> Result<Option<Entry>, MappingError> {
    let Some(event) = record.event else {
        return Ok(None);
    };
    let is_told = |before: &OutcomeRecord| {
        before.outcome.word != OutcomeWord::Parked && before.event.as_ref() == Some(&event)
    };
    if before.is_some_and(is_told) {
        return Ok(None);
    }
    let detail = event.detail.to_string();
    bounded(Entry::new(
        &event.detail_type,
        detail,
        record.outcome.decided_at,
    ))
    .map(Some)
}

fn bounded(entry: Entry) -> Result<Entry, MappingError> {
    match entry.size() {
        size if size > LARGEST_CALL => Err(MappingError::TooLarge(size)),
        _ => Ok(entry),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const URL: &str = "https://runs.example";

    fn run(state: &str, version: u64) -> Value {
        json!({
            "id": "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce", "kind": "tracked", "state": state, "version": version,
            "stack": "prod", "integration": "acme",
            "project": { "id": "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce", "name": "Harbor" },
            "repository": { "id": "66e81d32-b0e8-44e2-a92a-55eb7b6ccdce", "name": "platform" },
            "commit": "1a", "projectRoot": "prod", "trigger": "push", "reason": "why",
            "requestedAt": "2026-11-25T00:00:00Z", "updatedAt": "2026-11-25T00:00:01Z",
        })
    }

    fn attribute(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, it)| (name.clone(), attribute(it)));
                json!({ "M": Value::Object(fields.collect()) })
            }
            Value::Array(items) => json!({ "L": items.iter().map(attribute).collect::<Vec<_>>() }),
            Value::Number(number) => json!({ "N": number.to_string() }),
            Value::Bool(is) => json!({ "BOOL": is }),
            Value::String(text) => json!({ "S": text }),
            Value::Null => json!({ "NULL": true }),
        }
    }

    fn run_image(run: &Value) -> Value {
        let id = run["id"].as_str().unwrap();
        let mut item = json!({
            "pk": format!("run#{id}"), "sk": "run", "run_of": run["stack"], "month": "2026-11", "requested": "x",
            "version": run["version"], "state": run["state"], "expires": 7, "run": run,
        });
        if run["version"].is_null() {
            item = json!({ "pk": format!("run#{id}"), "sk": "run" });
        }
        attribute(&item)["M"].clone()
    }

    fn record(name: &str, new: Value, old: Value) -> EventRecord {
        serde_json::from_value(json!({
            "awsRegion": "eu-central-1", "eventID": "1", "eventName": name,
            "dynamodb": { "SequenceNumber": "1", "SizeBytes": 1, "Keys": {}, "NewImage": new, "OldImage": old },
        }))
        .unwrap()
    }

    fn of_runs(name: &str, new: &Value, old: Option<&Value>) -> Option<(String, Value)> {
        let old = old.map_or(json!({}), run_image);
        let entry = announcement(&record(name, run_image(new), old), URL).unwrap()?;
        let (detail_type, detail) = entry.parts();
        let detail: Value = serde_json::from_str(detail).unwrap();
        Some((detail_type.to_owned(), detail))
    }

    #[test]
    fn a_new_run_is_announced_with_where_to_report() {
        let new = run("queued", 1);
        let (detail_type, detail) = of_runs("INSERT", &new, None).unwrap();
        assert_eq!(detail_type, "Run Requested");
        assert_eq!(detail["run"]["id"], new["id"]);
        assert_eq!(detail["run"]["stack"], "prod");
        assert!(detail.get("previousState").is_none());
        let url = "https://runs.example/runs/56e81d32-b0e8-44e2-a92a-55eb7b6ccdce";
        assert_eq!(detail["report"], json!({ "method": "PATCH", "url": url }));
    }

    #[test]
    fn a_superseded_run_is_never_announced() {
        assert_eq!(of_runs("INSERT", &run("superseded", 1), None), None);
    }

    #[test]
    fn a_change_is_announced_with_the_state_before_it() {
        let (old, new) = (run("queued", 1), run("running", 2));
        let (detail_type, detail) = of_runs("MODIFY", &new, Some(&old)).unwrap();
        assert_eq!(detail_type, "Run State Changed");
        assert_eq!(detail["previousState"], "queued");
        assert_eq!(detail["run"]["state"], "running");
    }

    #[test]
    fn a_write_that_changes_no_version_is_not_announced() {
        let same = run("running", 2);
        assert_eq!(of_runs("MODIFY", &same, Some(&same)), None);
        assert_eq!(of_runs("REMOVE", &same, Some(&same)), None);
    }

    #[test]
    fn a_run_that_cannot_be_read_is_an_error_and_not_silence() {
        let torn = json!({ "id": "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce" });
        let record = record("INSERT", run_image(&torn), json!({}));
        assert!(matches!(
            announcement(&record, URL),
            Err(MappingError::Image(_))
        ));
    }

    #[test]
    fn other_items_of_the_tables_are_not_announced() {
        for item in [
            json!({ "pk": "stack#prod", "sk": "stack", "name": "prod" }),
            json!({ "pk": "run#1", "sk": "report" }),
            json!({ "pk": "acme#2026-11-25#1", "sk": "a#b#c", "kind": "event" }),
            json!({ "pk": "acme#2026-11-25#1", "sk": "a#b#c#redelivery#000001", "redelivery": 1 }),
        ] {
            let image = attribute(&item)["M"].clone();
            let found = announcement(&record("INSERT", image, json!({})), URL).unwrap();
            assert!(found.is_none(), "{item}");
        }
    }

    #[test]
    fn a_run_that_is_too_large_is_announced_without_its_paths() {
        let mut new = run("queued", 1);
        let paths: Vec<String> = (0..100)
            .map(|at| format!("{at}/{}", "x".repeat(3_000)))
            .collect();
        new["changedPaths"] = json!({ "paths": paths, "count": 100 });
        let (_, detail) = of_runs("INSERT", &new, None).unwrap();
        assert_eq!(
            detail["run"]["changedPaths"],
            json!({ "paths": [], "count": 100 })
        );
    }

    fn outcome(word: OutcomeWord, event: Option<&str>) -> OutcomeRecord {
        let detail_type = event.map(str::to_owned);
        let outcome = domain::Outcome {
            word,
            ..domain::Outcome::ignored("note", jiff::Timestamp::UNIX_EPOCH)
        };
        let event = detail_type.map(|detail_type| store::BusEvent {
            detail_type,
            detail: json!({ "delivery": "d" }),
        });
        OutcomeRecord::new(outcome, event)
    }

    #[test]
    fn what_was_understood_of_a_delivery_is_announced_once() {
        use OutcomeWord::{Dispatched, Ignored, Parked};
        let told = |new: &OutcomeRecord, old: Option<&OutcomeRecord>| {
            let entry = of_outcome(new.clone(), old).unwrap();
            entry.map(|entry| entry.parts().0.to_owned())
        };
        let pushed = Some("Code Pushed".to_owned());
        let new = outcome(Dispatched, Some("Code Pushed"));
        assert_eq!(told(&new, None), pushed);
        assert_eq!(told(&new, Some(&new)), None);
        assert_eq!(told(&new, Some(&outcome(Parked, None))), pushed);
        assert_eq!(
            told(&new, Some(&outcome(Parked, Some("Code Pushed")))),
            pushed
        );
        assert_eq!(told(&new, Some(&outcome(Ignored, Some("Other")))), pushed);
        assert_eq!(told(&outcome(Ignored, None), None), None);
    }
}
