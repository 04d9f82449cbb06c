//! Runs that are new, in the `stacks` table: each is written once, many in one transaction, and in the order of their pushes.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        AttributeValue, CancellationReason, Put, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem, Update,
    },
};
use domain::Run;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::SignedDuration;
use serde::Deserialize;

use crate::{
    Store, StoreError,
    events::{from_item, to_item},
    integrations::text,
    keys::{self, PARTITION, SORT},
    runs::{ROUNDS, RunItem, expires},
};

/// The most actions of one transaction.
const MOST_ACTIONS: usize = 100;
/// How many transactions are under way at once.
const AT_A_TIME: usize = 4;
const IS_NEW: &str = "attribute_not_exists(pk)";
const IS_NEWEST: &str = "attribute_not_exists(pk) OR last_push < :push";
const NOW_LAST: &str = "SET last_push = :push";

/// A run to be written.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The run.
    pub run: Run,
    /// Of a push whose number is known: the full name of the ref. The run is written only if no newer push of it had one.
    pub in_order_of: Option<String>,
}

/// What became of writing a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is there now.
    Made,
    /// It was there before: this one.
    Existing(Box<Run>),
    /// A newer push, of this number, has had its run.
    Overtaken(i64),
}

/// What one transaction came to for one run.
#[derive(Clone, Debug)]
enum Try {
    Done(Added),
    /// Another run's condition, or somebody else's transaction, was in the way.
    Again,
    /// Its push is the last of its ref already.
    WithoutOrder,
}

#[derive(Debug, Deserialize)]
struct LastPush {
    last_push: i64,
}

impl Store {
    /// Writes runs, each once: many in one transaction, so that two hundred stacks take a handful of calls.
    ///
    /// What became of them, in their order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where some may or may not be written: the same call again is safe.
    pub async fn add_runs(
        &self,
        new: &[NewRun],
        retention: SignedDuration,
    ) -> Result<Vec<Added>, StoreError> {
        let mut new = new.to_vec();
        let mut added: Vec<Option<Added>> = vec![None; new.len()];
        for wait in ROUNDS {
            let left: Vec<usize> = (0..new.len()).filter(|at| added[*at].is_none()).collect();
            if left.is_empty() {
                break;
            }
            tokio::time::sleep(wait).await;
            let results: Vec<Vec<(usize, Try)>> = stream::iter(in_transactions(&left, &new))
                .map(|batch| self.add_together(batch, &new, retention))
                .buffer_unordered(AT_A_TIME)
                .try_collect()
                .await?;
            for (at, result) in results.into_iter().flatten() {
                match result {
                    Try::Done(result) => added[at] = Some(result),
                    Try::Again => {}
                    Try::WithoutOrder => new[at].in_order_of = None,
                }
            }
        }
        let all: Option<Vec<Added>> = added.into_iter().collect();
        all.ok_or(StoreError::Throttled("write runs"))
    }

    /// One transaction of [`Store::add_runs`].
    async fn add_together(
        &self,
        batch: Vec<usize>,
        new: &[NewRun],
        retention: SignedDuration,
    ) -> Result<Vec<(usize, Try)>, StoreError> {
        let mut actions = Vec::new();
        // Which run each action is of, and whether it is the one of the order.
        let mut owners = Vec::new();
        for at in batch.iter().copied() {
            let NewRun { run, in_order_of } = &new[at];
            if let (Some(ref_name), Some(push)) = (in_order_of, run.push_id) {
                actions.push(self.order(run, ref_name, push)?);
                owners.push((at, true));
            }
            actions.push(self.put_run(run, retention)?);
            owners.push((at, false));
        }
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(actions))
            .send()
            .await;
        let error = match sent {
            Ok(_) => {
                return Ok(batch
                    .into_iter()
                    .map(|at| (at, Try::Done(Added::Made)))
                    .collect());
            }
            Err(error) => error,
        };
        let Some(reasons) = cancellation_reasons(&error) else {
            return Err(StoreError::from_sdk("write runs", error));
        };
        let mut results: HashMap<usize, Try> = batch.iter().map(|at| (*at, Try::Again)).collect();
        // The run's own action comes behind that of its order, and says more: that the run exists.
        for ((at, is_order), reason) in owners.iter().zip(reasons) {
            let item = || reason.item.clone().unwrap_or_default();
            let result = match (reason.code(), is_order) {
                (Some("ConditionalCheckFailed"), true) => {
                    let last = from_item::<LastPush>(item())?.last_push;
                    if Some(last) == new[*at].run.push_id {
                        // This very push: its run is there, or was until it expired.
                        Try::WithoutOrder
                    } else {
                        Try::Done(Added::Overtaken(last))
                    }
                }
                (Some("ConditionalCheckFailed"), false) => {
                    Try::Done(Added::Existing(Box::new(from_item::<RunItem>(item())?.run)))
                }
                (Some("TransactionConflict"), _) => Try::Again,
                (Some("ThrottlingError" | "ProvisionedThroughputExceeded"), _) => {
                    return Err(StoreError::Throttled("write runs"));
                }
                (None | Some("None"), _) => continue,
                (Some(_), _) => return Err(StoreError::from_sdk("write runs", error)),
            };
            results.insert(*at, result);
        }
        Ok(results.into_iter().collect())
    }

    fn order(&self, run: &Run, ref_name: &str, push: i64) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.tables.stacks)
            .key(PARTITION, text(&keys::stack(&run.stack)))
            .key(SORT, text(&keys::pushed(&run.repository.id, ref_name)))
            .update_expression(NOW_LAST)
            .condition_expression(IS_NEWEST)
            .expression_attribute_values(":push", AttributeValue::N(push.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|error| StoreError::Unreadable(error.to_string()))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn put_run(
        &self,
        run: &Run,
        retention: SignedDuration,
    ) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&self.tables.stacks)
            .set_item(Some(to_item(&RunItem::new(run, expires(run, retention)))?))
            .condition_expression(IS_NEW)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|error| StoreError::Unreadable(error.to_string()))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
}

/// Runs in batches that each fit a transaction.
fn in_transactions(left: &[usize], new: &[NewRun]) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for at in left.iter().copied() {
        let actions = if new[at].in_order_of.is_some() { 2 } else { 1 };
        if room < actions {
            batches.push(Vec::new());
            room = MOST_ACTIONS;
        }
        room -= actions;
        if let Some(batch) = batches.last_mut() {
            batch.push(at);
        }
    }
    batches
}

fn cancellation_reasons(
    error: &SdkError<TransactWriteItemsError>,
) -> Option<Vec<CancellationReason>> {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
            Some(canceled.cancellation_reasons().to_vec())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use domain::{RunId, StackName, run::Identity};

    use super::*;

    #[test]
    fn no_transaction_has_more_than_a_hundred_actions() {
        let stack: StackName = "a".parse().unwrap();
        let run: Run = serde_json::from_value(serde_json::json!({
            "id": RunId::of(&stack, &"56e81d32-b0e8-44e2-a92a-55eb7b6ccdce".parse().unwrap(), Identity::Request("x")),
            "kind": "tracked", "state": "queued", "version": 1, "stack": "a", "integration": "acme",
            "project": {"id": "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce", "name": "Harbor"},
            "repository": {"id": "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce", "name": "platform"},
            "commit": "1", "projectRoot": "", "trigger": "push", "reason": "", "requestedAt": "2026-11-25T00:00:00Z", "updatedAt": "2026-11-25T00:00:00Z"
        }))
        .unwrap();
        let of = |ordered: bool| NewRun {
            run: run.clone(),
            in_order_of: ordered.then(|| "refs/heads/main".to_owned()),
        };
        let new: Vec<NewRun> = (0..201).map(|at| of(at % 3 != 0)).collect();
        let left: Vec<usize> = (0..new.len()).collect();
        let batches = in_transactions(&left, &new);
        for batch in &batches {
            let actions: usize = batch
                .iter()
                .map(|at| if new[*at].in_order_of.is_some() { 2 } else { 1 })
                .sum();
            assert!(actions <= MOST_ACTIONS, "{actions}");
        }
        assert_eq!(batches.concat(), left);
    }
}
