//! The `stacks` table: stacks and modules.
//!
//! Each is one item. Whoever changes it writes it whole, under the condition that it is as it was read, so that two edits are
//! never mixed. A write that the SDK makes again, because the first answer was lost, finds its own work and says so.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use domain::{
    Branch, IntegrationName, Labels, PathGlobs, ProjectRoot, Stack, StackKind, StackName,
    stack::Reference,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

use crate::{
    Store, StoreError,
    events::{from_item, to_item},
    integrations::{as_compared, moment, text},
    keys::{self, DIRECTORY, FOLLOWERS, LINKED, PARTITION, SORT, STACK},
    lifecycle::existing,
};

const IS_NEW: &str = "attribute_not_exists(pk)";
const IS_AS_READ: &str = "updated_at = :read";
const IS_LINKED_TO: &str = "linked = :integration";
const DETACH_IT: &str = "SET detached_at = :now, updated_at = :now REMOVE linked";

/// A page of the list of stacks.
#[derive(Clone, Debug)]
pub struct StackPage {
    /// Stacks by name. Read from an index, so a moment behind.
    pub stacks: Vec<Stack>,
    /// The name after which the next page begins.
    pub next: Option<StackName>,
}

/// What became of creating a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is there.
    Yes,
    /// There was one of this name before.
    Taken,
}

/// What became of changing a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is as it was wanted.
    Yes,
    /// Somebody has changed it since it was read.
    ChangedSince,
    /// It is gone.
    Gone,
}

/// What became of detaching a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detached {
    /// It is detached now.
    Now,
    /// It is not linked to that integration any more, or gone.
    Before,
}

/// A stack's own item.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StackItem {
    pk: String,
    sk: String,
    directory: String,
    follows: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    linked: Option<IntegrationName>,
    name: StackName,
    kind: StackKind,
    integration: IntegrationName,
    project: Reference,
    repository: Reference,
    branch: Branch,
    project_root: ProjectRoot,
    globs: PathGlobs,
    allow_forks: bool,
    run_drafts: bool,
    labels: Labels,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "as_compared"
    )]
    detached_at: Option<Timestamp>,
    #[serde(serialize_with = "as_compared")]
    created_at: Timestamp,
    #[serde(serialize_with = "as_compared")]
    updated_at: Timestamp,
}

#[derive(Debug, Deserialize)]
struct NameItem {
    name: StackName,
}

type Item = HashMap<String, AttributeValue>;

impl Store {
    /// Creates a stack, if its name is free.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written.
    pub async fn create_stack(&self, stack: &Stack) -> Result<Created, StoreError> {
        let item = to_item(&StackItem::from(stack))?;
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.stacks)
            .set_item(Some(item.clone()))
            .condition_expression(IS_NEW)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let found = match put.send().await {
            Ok(_) => return Ok(Created::Yes),
            Err(error) => in_the_way("create a stack", error)?,
        };
        Ok(if found == item {
            Created::Yes
        } else {
            Created::Taken
        })
    }

    /// One stack.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be read.
    pub async fn stack(&self, name: &StackName) -> Result<Option<Stack>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.stacks)
            .set_key(Some(key(name)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::from_sdk("read a stack", error))?;
        answer
            .item
            .map(|item| from_item::<StackItem>(item).map(Stack::from))
            .transpose()
    }

    /// Several stacks as they are now; what is gone is left out.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub async fn stacks_now(
        &self,
        names: &[StackName],
    ) -> Result<HashMap<StackName, Stack>, StoreError> {
        let keys = names.iter().map(key).collect();
        let items = self
            .batch(&self.tables.stacks, keys, "read stacks")
            .await?
            .into_iter();
        items
            .map(|item| {
                let stack = Stack::from(from_item::<StackItem>(item)?);
                Ok((stack.name.clone(), stack))
            })
            .collect()
    }

    /// A page of all stacks, by name.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub async fn stacks(
        &self,
        after: Option<&StackName>,
        most: i32,
    ) -> Result<StackPage, StoreError> {
        let start = after.map(|name| {
            let mut start = key(name);
            start.insert(DIRECTORY.to_owned(), text(STACK));
            start
        });
        let answer = self
            .client
            .query()
            .table_name(&self.tables.stacks)
            .index_name(DIRECTORY)
            .key_condition_expression("directory = :directory")
            .expression_attribute_values(":directory", text(STACK))
            .set_exclusive_start_key(start)
            .limit(most)
            .send()
            .await
            .map_err(|error| StoreError::from_sdk("list stacks", error))?;
        let items = answer.items.unwrap_or_default().into_iter();
        let stacks: Vec<Stack> = items
            .map(|item| from_item::<StackItem>(item).map(Stack::from))
            .collect::<Result<_, _>>()?;
        let is_last = answer.last_evaluated_key.is_none();
        let next = stacks.last().map(|stack| stack.name.clone());
        Ok(StackPage {
            next: next.filter(|_| !is_last),
            stacks,
        })
    }

    /// Writes a stack that was read as `read` says, its `updated_at`, in the place of what it was.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written.
    pub async fn change_stack(&self, stack: &Stack, read: Timestamp) -> Result<Saved, StoreError> {
        let item = to_item(&StackItem::from(stack))?;
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.stacks)
            .set_item(Some(item.clone()))
            .condition_expression(IS_AS_READ)
            .expression_attribute_values(":read", moment(read))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let found = match put.send().await {
            Ok(_) => return Ok(Saved::Yes),
            Err(error) => in_the_way("change a stack", error)?,
        };
        Ok(match found {
            found if found.is_empty() => Saved::Gone,
            found if found == item => Saved::Yes,
            _ => Saved::ChangedSince,
        })
    }

    /// Deletes a stack; one that is gone is no error.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be done: the same call again is safe.
    pub async fn delete_stack(&self, name: &StackName) -> Result<(), StoreError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.tables.stacks)
            .set_key(Some(key(name)));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::from_sdk("delete a stack", error)),
        }
    }

    /// The names of all stacks that are linked to an integration. Read from an index, so a moment behind.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub async fn stacks_of(
        &self,
        integration: &IntegrationName,
    ) -> Result<Vec<StackName>, StoreError> {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let answer = self
                .client
                .query()
                .table_name(&self.tables.stacks)
                .index_name(FOLLOWERS)
                .key_condition_expression("#linked = :integration")
                .projection_expression("#name")
                .expression_attribute_names("#linked", LINKED)
                .expression_attribute_names("#name", "name")
                .expression_attribute_values(":integration", text(integration.as_str()))
                .set_exclusive_start_key(after)
                .send()
                .await
                .map_err(|error| StoreError::from_sdk("list an integration's stacks", error))?;
            for item in answer.items.unwrap_or_default() {
                names.push(from_item::<NameItem>(item)?.name);
            }
            after = answer.last_evaluated_key;
            if after.is_none() {
                names.sort_unstable();
                return Ok(names);
            }
        }
    }

    /// Detaches a stack from an integration, if that is still the one that it is linked to. It keeps saying what it followed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written: the same call again is safe.
    pub async fn detach(
        &self,
        name: &StackName,
        integration: &IntegrationName,
        now: Timestamp,
    ) -> Result<Detached, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.stacks)
            .set_key(Some(key(name)))
            .update_expression(DETACH_IT)
            .condition_expression(IS_LINKED_TO)
            .expression_attribute_values(":integration", text(integration.as_str()))
            .expression_attribute_values(":now", moment(now))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let found = match update.send().await {
            Ok(_) => return Ok(Detached::Now),
            Err(error) => existing("detach a stack", error)?,
        };
        // Where the first answer was lost, this is what the first try wrote.
        Ok(if found.get("detached_at") == Some(&moment(now)) {
            Detached::Now
        } else {
            Detached::Before
        })
    }
}

/// The item that stood in the way of a condition; empty where there was none.
fn in_the_way(doing: &'static str, error: SdkError<PutItemError>) -> Result<Item, StoreError> {
    match error {
        SdkError::ServiceError(service)
            if service.err().is_conditional_check_failed_exception() =>
        {
            let PutItemError::ConditionalCheckFailedException(failed) = service.into_err() else {
                return Ok(Item::new());
            };
            Ok(failed.item.unwrap_or_default())
        }
        error => Err(StoreError::from_sdk(doing, error)),
    }
}

fn key(name: &StackName) -> Item {
    Item::from([
        (PARTITION.to_owned(), text(&keys::stack(name))),
        (SORT.to_owned(), text(STACK)),
    ])
}

impl From<&Stack> for StackItem {
    fn from(stack: &Stack) -> Self {
        let stack = stack.clone();
        let is_linked = stack.detached_at.is_none();
        Self {
            pk: keys::stack(&stack.name),
            sk: STACK.to_owned(),
            directory: STACK.to_owned(),
            follows: keys::follows(&stack.repository.id, &stack.name),
            linked: is_linked.then(|| stack.integration.clone()),
            name: stack.name,
            kind: stack.kind,
            integration: stack.integration,
            project: stack.project,
            repository: stack.repository,
            branch: stack.branch,
            project_root: stack.project_root,
            globs: stack.globs,
            allow_forks: stack.allow_forks,
            run_drafts: stack.run_drafts,
            labels: stack.labels,
            detached_at: stack.detached_at,
            created_at: stack.created_at,
            updated_at: stack.updated_at,
        }
    }
}

impl From<StackItem> for Stack {
    fn from(item: StackItem) -> Self {
        Self {
            name: item.name,
            kind: item.kind,
            integration: item.integration,
            project: item.project,
            repository: item.repository,
            branch: item.branch,
            project_root: item.project_root,
            globs: item.globs,
            allow_forks: item.allow_forks,
            run_drafts: item.run_drafts,
            labels: item.labels,
            detached_at: item.detached_at,
            created_at: item.created_at,
            updated_at: item.updated_at,
        }
    }
}
