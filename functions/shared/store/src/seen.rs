//! What the stacks have seen of a repository, in the `stacks` table: its pushes and its pull requests, as `dispatch` met them. What
//! Azure DevOps has beyond that never reached us.
//!
//! Each push is an item of its own, so that one which comes late, or not at all, is told from those around it.

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest};
use domain::{Guid, IntegrationName, Stack};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Store, StoreError,
    events::{from_item, to_item},
    integrations::{as_compared, is_condition, moment, text},
    keys::{self, COMPARED, FOLLOWERS, LINKED, PARTITION, SEEN_PULL_REQUESTS, SORT},
    stacks::StackItem,
};

/// How long it is known that a push or a pull request was seen. Comparing looks back a day, and no further than a week.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// The most refs of one push that are kept by name; a push of more counts as seen in all of them.
const MOST_REFS: usize = 1_000;
/// The most bytes of their names, of which each costs; what does not fit an item would be refused.
const MOST_OF_REFS: usize = 64 * 1_024;
/// The most items of one batch.
const MOST_WRITES: usize = 25;

const IS_NEW: &str = "attribute_not_exists(pk)";
const IS_NOT_OLDER: &str = "attribute_not_exists(pk) OR read_at <= :read";

/// A push that the stacks have seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPush {
    /// Its number in the repository.
    pub push_id: i64,
    /// The full names of its refs; `None` where they were too many to be kept.
    pub refs: Option<Vec<String>>,
}

/// A pull request as the stacks have last seen it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenPullRequest {
    /// Its number.
    pub number: i64,
    /// What was taken for its source commit: that of its latest iteration, and that of the last trial merge, which lags.
    pub commits: Vec<String>,
    /// `active`, `abandoned` or `completed`.
    pub status: String,
    /// Whether it is a draft.
    pub is_draft: bool,
    /// The full name of the ref that it goes into.
    pub target_ref: String,
    /// When it was read.
    #[serde(serialize_with = "as_compared")]
    pub read_at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
struct PushItem {
    pk: String,
    sk: String,
    push_id: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refs: Option<Vec<String>>,
    expires: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct PullRequestItem {
    pk: String,
    sk: String,
    #[serde(flatten)]
    seen: SeenPullRequest,
    expires: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct ComparedItem {
    pk: String,
    sk: String,
    compared: i64,
    expires: i64,
}

impl Store {
    /// Notes that a push was seen, with these refs of it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written: the same call again is safe.
    pub async fn saw_push(
        &self,
        name: &IntegrationName,
        repository: &Guid,
        push_id: i64,
        refs: &[String],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let item = to_item(&PushItem {
            pk: keys::seen(name, repository),
            sk: keys::seen_push(push_id, refs),
            push_id,
            refs: are_few(refs).then(|| refs.to_vec()),
            expires: (now + KEPT).as_second(),
        })?;
        self.client
            .put_item()
            .table_name(&self.tables.stacks)
            .set_item(Some(item))
            .send()
            .await
            .map(drop)
            .map_err(|error| StoreError::from_sdk("note that a push was seen", error))
    }

    /// The pushes of a repository that were seen, with numbers above `after`, in their order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub async fn pushes_seen(
        &self,
        name: &IntegrationName,
        repository: &Guid,
        after: i64,
    ) -> Result<Vec<SeenPush>, StoreError> {
        let (from, to) = keys::seen_pushes_after(after);
        let mut items = self
            .client
            .query()
            .table_name(&self.tables.stacks)
            .key_condition_expression("pk = :seen AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":seen", text(&keys::seen(name, repository)))
            .expression_attribute_values(":from", text(&from))
            .expression_attribute_values(":to", text(&to))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut pushes = Vec::new();
        while let Some(item) = items.next().await {
            let item =
                item.map_err(|error| StoreError::from_sdk("list pushes that were seen", error))?;
            let PushItem { push_id, refs, .. } = from_item(item)?;
            pushes.push(SeenPush { push_id, refs });
        }
        Ok(pushes)
    }

    /// Notes how a pull request was seen, unless it was read later than that by somebody else.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written: the same call again is safe.
    pub async fn saw_pull_request(
        &self,
        name: &IntegrationName,
        repository: &Guid,
        seen: &SeenPullRequest,
    ) -> Result<(), StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.stacks)
            .set_item(Some(pull_request(name, repository, seen)?))
            .condition_expression(IS_NOT_OLDER)
            .expression_attribute_values(":read", moment(seen.read_at));
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_condition(&error) => Ok(()),
            Err(error) => Err(StoreError::from_sdk("note how a pull request was", error)),
        }
    }

    /// Notes how pull requests are that nobody has seen before: where comparing begins. It overwrites what was seen.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where some may or may not be written: the same call again is safe.
    pub async fn begin_with_pull_requests(
        &self,
        name: &IntegrationName,
        repository: &Guid,
        seen: &[SeenPullRequest],
    ) -> Result<(), StoreError> {
        for chunk in seen.chunks(MOST_WRITES) {
            let mut writes = Vec::with_capacity(chunk.len());
            for one in chunk {
                let put = PutRequest::builder()
                    .set_item(Some(pull_request(name, repository, one)?))
                    .build()
                    .map_err(|error| StoreError::Unreadable(error.to_string()))?;
                writes.push(WriteRequest::builder().put_request(put).build());
            }
            self.write_batch(writes, "note how pull requests are")
                .await?;
        }
        Ok(())
    }

    /// Forgets pull requests that were seen: where comparing begins anew, they are no part of it any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where some may or may not be forgotten: the same call again is safe.
    pub async fn forget_pull_requests(
        &self,
        name: &IntegrationName,
        repository: &Guid,
        numbers: &[i64],
    ) -> Result<(), StoreError> {
        for chunk in numbers.chunks(MOST_WRITES) {
            let mut writes = Vec::with_capacity(chunk.len());
            for number in chunk {
                let delete = DeleteRequest::builder()
                    .key(PARTITION, text(&keys::seen(name, repository)))
                    .key(SORT, text(&keys::seen_pull_request(*number)))
                    .build()
                    .map_err(|error| StoreError::Unreadable(error.to_string()))?;
                writes.push(WriteRequest::builder().delete_request(delete).build());
            }
            self.write_batch(writes, "forget pull requests that were seen")
                .await?;
        }
        Ok(())
    }

    /// Writes a batch of items of the stacks table, and what is left undone of it again.
    async fn write_batch(
        &self,
        writes: Vec<WriteRequest>,
        doing: &'static str,
    ) -> Result<(), StoreError> {
        let table = &self.tables.stacks;
        let mut left = writes;
        for wait in crate::events::BATCH_WAITS {
            let answer = self
                .client
                .batch_write_item()
                .request_items(table, left)
                .send()
                .await
                .map_err(|error| StoreError::from_sdk(doing, error))?;
            let mut undone = answer.unprocessed_items.unwrap_or_default();
            left = undone.remove(table).unwrap_or_default();
            if left.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(wait).await;
        }
        Err(StoreError::Throttled(doing))
    }

    /// The pull requests of a repository as they were last seen, by number.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub async fn pull_requests_seen(
        &self,
        name: &IntegrationName,
        repository: &Guid,
    ) -> Result<Vec<SeenPullRequest>, StoreError> {
        let mut items = self
            .client
            .query()
            .table_name(&self.tables.stacks)
            .key_condition_expression("pk = :seen AND begins_with(sk, :pull_requests)")
            .expression_attribute_values(":seen", text(&keys::seen(name, repository)))
            .expression_attribute_values(":pull_requests", text(SEEN_PULL_REQUESTS))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut seen = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| {
                StoreError::from_sdk("list pull requests that were seen", error)
            })?;
            seen.push(from_item::<PullRequestItem>(item)?.seen);
        }
        Ok(seen)
    }

    /// The number of the push up to which a repository was compared; `None` where it never was, and comparing has no beginning.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be read.
    pub async fn compared(
        &self,
        name: &IntegrationName,
        repository: &Guid,
    ) -> Result<Option<i64>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.stacks)
            .key(PARTITION, text(&keys::seen(name, repository)))
            .key(SORT, text(COMPARED))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::from_sdk("read up to where was compared", error))?;
        answer
            .item
            .map(|item| from_item::<ComparedItem>(item).map(|item| item.compared))
            .transpose()
    }

    /// Notes up to which push a repository was compared; with `only_first` only where it never was. Whether it was written.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written: the same call again is safe.
    pub async fn set_compared(
        &self,
        name: &IntegrationName,
        repository: &Guid,
        push_id: i64,
        only_first: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let item = to_item(&ComparedItem {
            pk: keys::seen(name, repository),
            sk: COMPARED.to_owned(),
            compared: push_id,
            expires: (now + KEPT).as_second(),
        })?;
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.stacks)
            .set_item(Some(item))
            .set_condition_expression(only_first.then(|| IS_NEW.to_owned()));
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(StoreError::from_sdk("note up to where was compared", error)),
        }
    }

    /// The stacks that are linked to an integration, by repository. Read from an index, so a moment behind.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub async fn linked(&self, name: &IntegrationName) -> Result<Vec<Stack>, StoreError> {
        let mut items = self
            .client
            .query()
            .table_name(&self.tables.stacks)
            .index_name(FOLLOWERS)
            .key_condition_expression("#linked = :integration")
            .expression_attribute_names("#linked", LINKED)
            .expression_attribute_values(":integration", text(name.as_str()))
            .into_paginator()
            .items()
            .send();
        let mut stacks = Vec::new();
        while let Some(item) = items.next().await {
            let item =
                item.map_err(|error| StoreError::from_sdk("list an integration's stacks", error))?;
            stacks.push(from_item::<StackItem>(item)?.into());
        }
        Ok(stacks)
    }
}

/// Whether the names of refs can be kept.
fn are_few(refs: &[String]) -> bool {
    refs.len() <= MOST_REFS && refs.iter().map(String::len).sum::<usize>() <= MOST_OF_REFS
}

fn pull_request(
    name: &IntegrationName,
    repository: &Guid,
    seen: &SeenPullRequest,
) -> Result<std::collections::HashMap<String, AttributeValue>, StoreError> {
    to_item(&PullRequestItem {
        pk: keys::seen(name, repository),
        sk: keys::seen_pull_request(seen.number),
        seen: seen.clone(),
        expires: (seen.read_at + KEPT).as_second(),
    })
}
