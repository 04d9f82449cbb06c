//! Runs, in the `stacks` table. A run's item is the outbox: whoever writes it does nothing else, its stream tells the rest.
//!
//! A run is written once under an id that is made of what makes two runs the same; every change of it is written whole, under
//! the condition that its version is the one that was read. Beside a stack stands, for each ref, the last push that had a run.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use domain::{Guid, IntegrationName, Run, RunId, RunState, Stack, StackName, run::CancelReason};
use jiff::{SignedDuration, Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    Store, StoreError,
    events::{from_item, to_item},
    integrations::text,
    keys::{self, FOLLOWERS, OPEN, PARTITION, REPORT, RUN, RUNS, SORT, TIMELINE},
    stacks::StackItem,
};

/// The waits between rounds of what others' transactions were in the way of.
pub(crate) const ROUNDS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(20),
    Duration::from_millis(60),
    Duration::from_millis(150),
    Duration::from_millis(400),
    Duration::from_millis(900),
];

const IS_AS_READ: &str = "version = :read";
const FOLLOWS: &str = "linked = :integration AND begins_with(follows, :repository)";
const IS_OPEN: &str = "#open = :integration AND begins_with(concerns, :concerns)";
const OF_STATE: &str = "#state = :state";

/// What became of changing a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advanced {
    /// It is as it was wanted.
    Yes,
    /// Somebody has changed it since it was read, or it is gone.
    ChangedSince,
}

/// What was reported of a run to Azure DevOps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The run's version that this is about.
    pub version: u64,
    /// The state that Azure DevOps shows of it, where it took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RunState>,
    /// The iteration of the pull request that the status belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iteration: Option<i64>,
    /// Why Azure DevOps refuses it, where it does and will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// When that was.
    pub reported_at: Timestamp,
}

/// Which runs are listed.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Of this stack alone.
    pub stack: Option<StackName>,
    /// In this state alone.
    pub state: Option<RunState>,
}

/// Where a page of runs ended. Whatever stands in one, it is a place in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCursor {
    /// A day of the month that is read; `None` where the runs of one stack are.
    month: Option<Date>,
    /// The run before, by its time and id; `None` at the beginning of a month.
    last: Option<(Timestamp, RunId)>,
}

impl RunCursor {
    /// The place behind a run of a list.
    #[must_use]
    pub fn after(run: &Run, filter: &RunFilter) -> Self {
        let of_all = filter.stack.is_none();
        Self {
            month: of_all.then(|| keys::day_of(run.requested_at)),
            last: Some((run.requested_at, run.id.clone())),
        }
    }

    /// Whether all that follows was asked for in an earlier month than that of `moment`. Of one stack's runs it is never known.
    #[must_use]
    pub fn is_before(&self, moment: Timestamp) -> bool {
        self.month
            .is_some_and(|day| day < keys::day_of(moment).first_of_month())
    }
}

/// A page of runs, newest first.
#[derive(Clone, Debug)]
pub struct RunPage {
    /// The runs. Read from an index, so a moment behind.
    pub runs: Vec<Run>,
    /// Where the next page begins.
    pub next: Option<RunCursor>,
}

/// Whose open runs.
#[derive(Clone, Copy, Debug)]
pub enum OpenOf<'a> {
    /// All of an integration.
    Integration,
    /// Of one pull request.
    PullRequest(&'a Guid, i64),
}

/// A run's own item.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunItem {
    pk: String,
    sk: String,
    run_of: StackName,
    month: String,
    requested: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<IntegrationName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    concerns: Option<String>,
    version: u64,
    state: RunState,
    expires: i64,
    pub(crate) run: Run,
}

#[derive(Debug, Serialize, Deserialize)]
struct ReportItem {
    pk: String,
    sk: String,
    expires: i64,
    report: Report,
}

type Item = HashMap<String, AttributeValue>;

/// A run as it stands in an image of the table's stream; `None` for any other item.
///
/// # Errors
///
/// [`StoreError::Unreadable`] for a run's item that this version cannot read.
pub fn run_of_image(image: serde_dynamo::Item) -> Result<Option<Run>, StoreError> {
    let item: Item = image.into();
    let is_run = item.get(SORT).and_then(|sort| sort.as_s().ok()) == Some(&RUN.to_owned());
    if !is_run {
        return Ok(None);
    }
    from_item::<RunItem>(item).map(|item| Some(item.run))
}

impl Store {
    /// The stacks that follow a repository through an integration, by name. Read from an index, so a moment behind.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub async fn followers(
        &self,
        integration: &IntegrationName,
        repository: &Guid,
    ) -> Result<Vec<Stack>, StoreError> {
        let mut items = self
            .client
            .query()
            .table_name(&self.tables.stacks)
            .index_name(FOLLOWERS)
            .key_condition_expression(FOLLOWS)
            .expression_attribute_values(":integration", text(integration.as_str()))
            .expression_attribute_values(":repository", text(&keys::followed(repository)))
            .into_paginator()
            .items()
            .send();
        let mut stacks = Vec::new();
        while let Some(item) = items.next().await {
            let item = item
                .map_err(|error| StoreError::from_sdk("list what follows a repository", error))?;
            stacks.push(from_item::<StackItem>(item)?.into());
        }
        Ok(stacks)
    }

    /// One run.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be read.
    pub async fn run(&self, id: &RunId) -> Result<Option<Run>, StoreError> {
        let item = self.run_part(id, RUN, "read a run").await?;
        item.map(|item| from_item::<RunItem>(item).map(|item| item.run))
            .transpose()
    }

    /// What was reported of a run.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be read.
    pub async fn report_of(&self, id: &RunId) -> Result<Option<Report>, StoreError> {
        let item = self
            .run_part(id, REPORT, "read what was reported of a run")
            .await?;
        item.map(|item| from_item::<ReportItem>(item).map(|item| item.report))
            .transpose()
    }

    async fn run_part(
        &self,
        id: &RunId,
        sort: &str,
        doing: &'static str,
    ) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.stacks)
            .key(PARTITION, text(&keys::run(id)))
            .key(SORT, text(sort))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(doing, error))?;
        Ok(answer.item)
    }

    /// Writes a run in the place of what it was when its version was `read`. Its end of life is kept.
    ///
    /// A write that the SDK makes again, because the first answer was lost, finds its own work and says so.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written.
    pub async fn change_run(
        &self,
        run: &Run,
        read: u64,
        retention: SignedDuration,
    ) -> Result<Advanced, StoreError> {
        let item = to_item(&RunItem::new(run, expires(run, retention)))?;
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.stacks)
            .set_item(Some(item.clone()))
            .condition_expression(IS_AS_READ)
            .expression_attribute_values(":read", AttributeValue::N(read.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => Ok(Advanced::Yes),
            Err(SdkError::ServiceError(service))
                if service.err().is_conditional_check_failed_exception() =>
            {
                let found = match service.into_err() {
                    PutItemError::ConditionalCheckFailedException(failed) => failed.item,
                    _ => None,
                };
                Ok(if found == Some(item) {
                    Advanced::Yes
                } else {
                    Advanced::ChangedSince
                })
            }
            Err(error) => Err(StoreError::from_sdk("change a run", error)),
        }
    }

    /// Cancels a run as long as it is open; gives it as it is then, `None` where it has ended before, or is gone.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be done: the same call again is safe.
    pub async fn cancel_run(
        &self,
        id: &RunId,
        because: CancelReason,
        retention: SignedDuration,
        now: Timestamp,
    ) -> Result<Option<Run>, StoreError> {
        for wait in ROUNDS {
            tokio::time::sleep(wait).await;
            let Some(run) = self.run(id).await? else {
                return Ok(None);
            };
            if !run.state.is_open() {
                return Ok(None);
            }
            let canceled = run.canceled(because, now);
            if self.change_run(&canceled, run.version, retention).await? == Advanced::Yes {
                return Ok(Some(canceled));
            }
        }
        Err(StoreError::Throttled("cancel a run"))
    }

    /// The runs that are queued or running, of an integration or of one of its pull requests. Read from an index, so a moment
    /// behind.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub async fn open_runs(
        &self,
        integration: &IntegrationName,
        of: OpenOf<'_>,
    ) -> Result<Vec<Run>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.tables.stacks)
            .index_name(OPEN)
            .expression_attribute_names("#open", "open")
            .expression_attribute_values(":integration", text(integration.as_str()));
        let query = match of {
            OpenOf::Integration => query.key_condition_expression("#open = :integration"),
            OpenOf::PullRequest(repository, number) => query
                .key_condition_expression(IS_OPEN)
                .expression_attribute_values(
                    ":concerns",
                    text(&keys::concerns_pull_request(repository, number)),
                ),
        };
        let mut items = query.into_paginator().items().send();
        let mut runs = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| StoreError::from_sdk("list open runs", error))?;
            runs.push(from_item::<RunItem>(item)?.run);
        }
        Ok(runs)
    }

    /// A page of runs, newest first: of one stack, or of all, in which case a page ends at the latest with the month it is in.
    /// With a state, a page may have fewer runs than asked for, or none, and yet a next one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub async fn runs(
        &self,
        filter: &RunFilter,
        after: Option<&RunCursor>,
        most: i32,
        now: Timestamp,
    ) -> Result<RunPage, StoreError> {
        let day = after
            .and_then(|cursor| cursor.month)
            .unwrap_or_else(|| keys::day_of(now));
        let month = keys::month(day);
        let query = self
            .client
            .query()
            .table_name(&self.tables.stacks)
            .scan_index_forward(false)
            .limit(most);
        let query = match &filter.stack {
            Some(stack) => query
                .index_name(RUNS)
                .key_condition_expression("run_of = :stack")
                .expression_attribute_values(":stack", text(stack.as_str())),
            None => query
                .index_name(TIMELINE)
                .key_condition_expression("#month = :month")
                .expression_attribute_names("#month", "month")
                .expression_attribute_values(":month", text(&month)),
        };
        let query = match filter.state {
            Some(state) => query
                .filter_expression(OF_STATE)
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":state", text(state.as_str())),
            None => query,
        };
        let start = after
            .and_then(|cursor| cursor.last.as_ref())
            .map(|(at, id)| {
                let (name, value) = match &filter.stack {
                    Some(stack) => ("run_of", text(stack.as_str())),
                    None => ("month", text(&month)),
                };
                Item::from([
                    (PARTITION.to_owned(), text(&keys::run(id))),
                    (SORT.to_owned(), text(RUN)),
                    ("requested".to_owned(), text(&keys::requested(*at, id))),
                    (name.to_owned(), value),
                ])
            });
        let answer = query
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| StoreError::from_sdk("list runs", error))?;
        let items = answer.items.unwrap_or_default().into_iter();
        let runs: Vec<Run> = items
            .map(|item| from_item::<RunItem>(item).map(|item| item.run))
            .collect::<Result<_, _>>()?;
        let day = filter.stack.is_none().then_some(day);
        let next = match answer.last_evaluated_key {
            Some(last) => {
                let key = last.get("requested").and_then(|value| value.as_s().ok());
                let last = key.and_then(|key| keys::requested_of(key)).ok_or_else(|| {
                    StoreError::Unreadable("where a page of runs ends is not told".to_owned())
                })?;
                Some(RunCursor {
                    month: day,
                    last: Some(last),
                })
            }
            // The month before, as long as anything can be that old.
            None => day
                .and_then(keys::month_before)
                .filter(|day| keys::month(*day).as_str() >= keys::FIRST_MONTH)
                .map(|day| RunCursor {
                    month: Some(day),
                    last: None,
                }),
        };
        Ok(RunPage { runs, next })
    }

    /// Keeps what was reported of a run, unless something newer was.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written: the same call again is safe.
    pub async fn record_report(
        &self,
        run: &Run,
        report: &Report,
        retention: SignedDuration,
    ) -> Result<(), StoreError> {
        let item = to_item(&ReportItem {
            pk: keys::run(&run.id),
            sk: REPORT.to_owned(),
            expires: expires(run, retention),
            report: report.clone(),
        })?;
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.stacks)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR report.version <= :version")
            .expression_attribute_values(":version", AttributeValue::N(report.version.to_string()));
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(StoreError::from_sdk(
                "keep what was reported of a run",
                error,
            )),
        }
    }
}

pub(crate) fn expires(run: &Run, retention: SignedDuration) -> i64 {
    run.requested_at.as_second() + retention.as_secs()
}

impl RunItem {
    pub(crate) fn new(run: &Run, expires: i64) -> Self {
        let is_open = run.state.is_open();
        Self {
            pk: keys::run(&run.id),
            sk: RUN.to_owned(),
            run_of: run.stack.clone(),
            month: keys::month_of(run.requested_at),
            requested: keys::requested(run.requested_at, &run.id),
            open: is_open.then(|| run.integration.clone()),
            concerns: is_open.then(|| {
                let number = run.pull_request.as_ref().map(|it| it.number);
                keys::concerns(&run.repository.id, number, &run.id)
            }),
            version: run.version,
            state: run.state,
            expires,
            run: run.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_list_is_the_key_that_dynamodb_would_give() {
        let id: RunId = "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce".parse().unwrap();
        let at: Timestamp = "2026-12-01T00:00:00.123456789Z".parse().unwrap();
        let key = keys::requested(at, &id);
        let (read, same) = keys::requested_of(&key).unwrap();
        assert_eq!(keys::requested(read, &same), key);
        let place = |month: &str| RunCursor {
            month: Some(month.parse().unwrap()),
            last: None,
        };
        assert!(place("2026-11-30").is_before(at));
        assert!(!place("2026-12-31").is_before(at));
        let before = keys::month_before("2027-01-31".parse().unwrap()).unwrap();
        assert_eq!(keys::month(before), "2026-12");
    }

    #[test]
    fn a_run_reads_as_it_was_written() {
        let text = r#"{"id":"56e81d32-b0e8-44e2-a92a-55eb7b6ccdce","kind":"proposed","state":"running","version":2,"stack":"a","integration":"acme","project":{"id":"56e81d32-b0e8-44e2-a92a-55eb7b6ccdce","name":"Harbor"},"repository":{"id":"56e81d32-b0e8-44e2-a92a-55eb7b6ccdce","name":"platform"},"commit":"1a","refName":"refs/heads/x","projectRoot":"prod","trigger":"pullRequest","reason":"why","pullRequest":{"number":7,"title":"t","isFork":false,"supportsIterations":true},"delivery":"d","changedPaths":{"paths":["prod/a"],"count":1},"requestedAt":"2026-11-25T01:02:03.123456Z","updatedAt":"2026-11-25T01:02:03.123456Z"}"#;
        let run: Run = serde_json::from_str(text).unwrap();
        let item = to_item(&RunItem::new(&run, 7)).unwrap();
        assert!(item.contains_key("open"));
        assert_eq!(from_item::<RunItem>(item).unwrap().run, run);
        let ended = run.stepped(RunState::Finished, run.updated_at);
        assert!(
            !to_item(&RunItem::new(&ended, 7))
                .unwrap()
                .contains_key("open")
        );
        assert_eq!((ended.version, ended.ended_at), (3, Some(run.updated_at)));
    }
}
