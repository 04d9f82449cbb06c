//! Service hooks that are ours, beside their integration in the `integrations` table, and how far the care for it has got.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{Guid, IntegrationName, Progress, ServiceHook};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Store, StoreError,
    events::{from_item, to_item},
    integrations::{is_condition, moment, text},
    keys::{self, PARTITION, PROGRESS, SERVICE_HOOKS, SORT},
};

const IS_THERE: &str = "attribute_exists(pk)";
/// Also for whoever has it already: the answer to its first try was lost.
const IS_FREE: &str = "attribute_not_exists(pass_until) OR pass_until < :now OR pass = :pass";
const TAKE: &str = "SET pass = :pass, pass_until = :until";
const IS_OURS: &str = "pass = :pass";

#[derive(Debug, Serialize, Deserialize)]
struct HookItem {
    pk: IntegrationName,
    sk: String,
    hook: ServiceHook,
}

#[derive(Debug, Deserialize)]
struct ProgressItem {
    #[serde(default)]
    progress: Progress,
    #[serde(default)]
    trouble: Option<Timestamp>,
}

/// A pass over an integration, begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// How far the care for it has got.
    pub progress: Progress,
    /// When `webhook` had trouble last, as far as anybody noted it.
    pub trouble: Option<Timestamp>,
}

impl Store {
    /// Keeps a service hook, whatever was known of it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written: the same call again is safe.
    pub async fn keep_hook(
        &self,
        name: &IntegrationName,
        hook: &ServiceHook,
    ) -> Result<(), StoreError> {
        self.put_hook(name, hook, None).await.map(drop)
    }

    /// Keeps what is known of a service hook, unless it was forgotten meanwhile. Whether it was kept.
    ///
    /// # Errors
    ///
    /// As [`Store::keep_hook`].
    pub async fn keep_hook_if_there(
        &self,
        name: &IntegrationName,
        hook: &ServiceHook,
    ) -> Result<bool, StoreError> {
        self.put_hook(name, hook, Some(IS_THERE)).await
    }

    async fn put_hook(
        &self,
        name: &IntegrationName,
        hook: &ServiceHook,
        condition: Option<&str>,
    ) -> Result<bool, StoreError> {
        let item = to_item(&HookItem {
            pk: name.clone(),
            sk: keys::service_hook(&hook.id),
            hook: hook.clone(),
        })?;
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.integrations)
            .set_item(Some(item))
            .set_condition_expression(condition.map(str::to_owned));
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(StoreError::from_sdk("keep a service hook", error)),
        }
    }

    /// The service hooks of an integration that are ours, by their ids.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub async fn hooks_of(&self, name: &IntegrationName) -> Result<Vec<ServiceHook>, StoreError> {
        let mut items = self
            .client
            .query()
            .table_name(&self.tables.integrations)
            .key_condition_expression("pk = :name AND begins_with(sk, :hooks)")
            .expression_attribute_values(":name", text(name.as_str()))
            .expression_attribute_values(":hooks", text(SERVICE_HOOKS))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut hooks = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| StoreError::from_sdk("list service hooks", error))?;
            hooks.push(from_item::<HookItem>(item)?.hook);
        }
        Ok(hooks)
    }

    /// Forgets a service hook. One that is not there is forgotten already.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written: the same call again is safe.
    pub async fn forget_hook(&self, name: &IntegrationName, id: &Guid) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.tables.integrations)
            .key(PARTITION, text(name.as_str()))
            .key(SORT, text(&keys::service_hook(id)))
            .send()
            .await
            .map(drop)
            .map_err(|error| StoreError::from_sdk("forget a service hook", error))
    }

    /// How far the care for an integration has got; nowhere, where that cannot be read any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be read.
    pub async fn progress(&self, name: &IntegrationName) -> Result<Progress, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.integrations)
            .key(PARTITION, text(name.as_str()))
            .key(SORT, text(PROGRESS))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::from_sdk("read how far the care has got", error))?;
        let item = answer.item.unwrap_or_default();
        Ok(from_item::<ProgressItem>(item)
            .map_or_else(|_unreadable| Progress::default(), |item| item.progress))
    }

    /// Begins a pass over an integration, which is this caller's alone until `until`; `None` while it is somebody else's. What
    /// cannot be read any more is begun anew.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written.
    pub async fn begin_pass(
        &self,
        name: &IntegrationName,
        nonce: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Begun>, StoreError> {
        let update = self
            .update_progress(name, TAKE, IS_FREE)
            .expression_attribute_values(":pass", text(nonce))
            .expression_attribute_values(":until", moment(until))
            .expression_attribute_values(":now", moment(now))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew);
        match update.send().await {
            Ok(answer) => {
                let item = answer.attributes.unwrap_or_default();
                let begun = from_item::<ProgressItem>(item).map(|item| Begun {
                    progress: item.progress,
                    trouble: item.trouble,
                });
                Ok(Some(begun.unwrap_or_default()))
            }
            Err(error) if is_condition(&error) => Ok(None),
            Err(error) => Err(StoreError::from_sdk("begin a pass", error)),
        }
    }

    /// Keeps how far a pass has got, as long as it is this caller's; `ends` gives it up. Whether it was kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written: the same call again is safe.
    pub async fn keep_progress(
        &self,
        name: &IntegrationName,
        nonce: &str,
        progress: &Progress,
        ends: bool,
    ) -> Result<bool, StoreError> {
        let expression = if ends {
            "SET progress = :progress REMOVE pass_until"
        } else {
            "SET progress = :progress"
        };
        let document = to_item(progress)?;
        let update = self
            .update_progress(name, expression, IS_OURS)
            .expression_attribute_values(":pass", text(nonce))
            .expression_attribute_values(":progress", AttributeValue::M(document));
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(StoreError::from_sdk("keep how far a pass has got", error)),
        }
    }

    /// Notes that `webhook` had trouble: what it could not store may be lost. The next pass takes it for a gap.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written: the same call again is safe.
    pub async fn note_trouble(
        &self,
        name: &IntegrationName,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(&self.tables.integrations)
            .key(PARTITION, text(name.as_str()))
            .key(SORT, text(PROGRESS))
            .update_expression("SET trouble = :at")
            .expression_attribute_values(":at", moment(at))
            .send()
            .await
            .map(drop)
            .map_err(|error| StoreError::from_sdk("note trouble", error))
    }

    /// Forgets how far the care for an integration has got: its name may be another's soon.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written: the same call again is safe.
    pub async fn forget_progress(&self, name: &IntegrationName) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.tables.integrations)
            .key(PARTITION, text(name.as_str()))
            .key(SORT, text(PROGRESS))
            .send()
            .await
            .map(drop)
            .map_err(|error| StoreError::from_sdk("forget how far the care has got", error))
    }

    fn update_progress(
        &self,
        name: &IntegrationName,
        expression: &str,
        condition: &str,
    ) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.tables.integrations)
            .key(PARTITION, text(name.as_str()))
            .key(SORT, text(PROGRESS))
            .update_expression(expression)
            .condition_expression(condition)
    }
}
