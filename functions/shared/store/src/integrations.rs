//! The `integrations` table: what is read of integrations, and how their items look. How they come and go: `lifecycle.rs`.

use aws_sdk_dynamodb::{
    error::SdkError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use domain::{
    Connection, Integration, IntegrationName, Labels, Organization, OrganizationName,
    PasswordDigest, Status, password::Lineup,
};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::HashMap;

use crate::{
    Store, StoreError,
    events::from_item,
    keys::{DIRECTORY, INTEGRATION, PARTITION, SORT},
};

/// A try that took long does not hide what a later one found.
const IS_ACTIVE_AND_TRIED_BEFORE: &str =
    "#status = :active AND (attribute_not_exists(checked_at) OR checked_at <= :now)";
const NOTE_CONNECTION: &str =
    "SET connected_as = :who, checked_at = :now, connection_failure = :failure";
const NOTE_CONNECTED: &str = "SET connected_as = :who, checked_at = :now REMOVE connection_failure";

/// What a delivery is authenticated against, and nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRecord {
    /// Where the integration is in its life.
    pub status: Status,
    /// The passwords that count, or counted until it was unlinked.
    pub passwords: Lineup,
}

/// A page of the list of integrations.
#[derive(Clone, Debug)]
pub struct DirectoryPage {
    /// Integrations by name, tombstones among them. Read from an index, so a moment behind.
    pub integrations: Vec<Integration>,
    /// The name after which the next page begins.
    pub next: Option<IntegrationName>,
    /// How many of the page this version cannot read, as after going back to an earlier one: they do not hide the others.
    pub unreadable: usize,
}

/// An integration's own item.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct IntegrationItem {
    pk: IntegrationName,
    sk: String,
    directory: String,
    status: Status,
    organization: String,
    organization_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    labels: Labels,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_expires_on: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connected_as: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "as_compared"
    )]
    checked_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection_failure: Option<String>,
    name_since: Timestamp,
    created_at: Timestamp,
    #[serde(serialize_with = "as_compared")]
    updated_at: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) digests: Vec<DigestItem>,
    /// Until when somebody may be setting it up, or changing it. Written by conditional updates alone.
    #[serde(default, skip_serializing)]
    pub(crate) claimed_until: Option<Timestamp>,
    /// The digest whose rotation has begun and not ended, and when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotating: Option<ByteBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotating_since: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DigestItem {
    sha256: ByteBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct WebhookItem {
    status: Status,
    #[serde(default)]
    digests: Vec<DigestItem>,
}

type Item = HashMap<String, AttributeValue>;

impl Store {
    /// What a delivery for `name` is authenticated against, as it is now.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be read, which must not look like a wrong password.
    pub async fn webhook_record(
        &self,
        name: &IntegrationName,
    ) -> Result<Option<WebhookRecord>, StoreError> {
        let item = self.read(name, Some("#status, digests")).await?;
        let Some(item) = item else { return Ok(None) };
        let item: WebhookItem = from_item(item)?;
        Ok(Some(WebhookRecord {
            status: item.status,
            passwords: Lineup::new(&digests(item.digests)?),
        }))
    }

    /// One integration, also a pending one or a tombstone.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be read.
    pub async fn integration(
        &self,
        name: &IntegrationName,
    ) -> Result<Option<Integration>, StoreError> {
        let item = self.read(name, None).await?;
        item.map(|item| from_item::<IntegrationItem>(item)?.try_into())
            .transpose()
    }

    async fn read(
        &self,
        name: &IntegrationName,
        projection: Option<&str>,
    ) -> Result<Option<Item>, StoreError> {
        let mut get = self
            .client
            .get_item()
            .table_name(&self.tables.integrations)
            .set_key(Some(key(name)))
            .consistent_read(true);
        if let Some(projection) = projection {
            get = get
                .projection_expression(projection)
                .expression_attribute_names("#status", "status");
        }
        let answer = get
            .send()
            .await
            .map_err(|error| StoreError::from_sdk("read an integration", error))?;
        Ok(answer.item)
    }

    /// One integration or tombstone out of the index that lists all: without anything that authenticates, and a moment
    /// behind.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be read.
    pub async fn listed_integration(
        &self,
        name: &IntegrationName,
    ) -> Result<Option<Integration>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.tables.integrations)
            .index_name(DIRECTORY)
            .key_condition_expression("directory = :directory AND pk = :name")
            .expression_attribute_values(":directory", text(INTEGRATION))
            .expression_attribute_values(":name", text(name.as_str()))
            .send()
            .await
            .map_err(|error| StoreError::from_sdk("look an integration up", error))?;
        let item = answer.items.unwrap_or_default().pop();
        item.map(|item| from_item::<IntegrationItem>(item)?.try_into())
            .transpose()
    }

    /// A page of all integrations, by name.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub async fn integrations(
        &self,
        after: Option<&IntegrationName>,
        most: i32,
    ) -> Result<DirectoryPage, StoreError> {
        let start = after.map(|name| {
            let mut start = key(name);
            start.insert(
                DIRECTORY.to_owned(),
                AttributeValue::S(INTEGRATION.to_owned()),
            );
            start
        });
        let answer = self
            .client
            .query()
            .table_name(&self.tables.integrations)
            .index_name(DIRECTORY)
            .key_condition_expression("directory = :directory")
            .expression_attribute_values(":directory", AttributeValue::S(INTEGRATION.to_owned()))
            .set_exclusive_start_key(start)
            .limit(most)
            .send()
            .await
            .map_err(|error| StoreError::from_sdk("list integrations", error))?;
        let items = answer.items.unwrap_or_default();
        let found = items.len();
        let integrations: Vec<Integration> = items
            .into_iter()
            .filter_map(|item| from_item::<IntegrationItem>(item).ok()?.try_into().ok())
            .collect();
        let next = answer
            .last_evaluated_key
            .and_then(|last| last.get(PARTITION)?.as_s().ok()?.parse().ok());
        let unreadable = found - integrations.len();
        Ok(DirectoryPage {
            integrations,
            next,
            unreadable,
        })
    }

    /// Notes how a try of the connection of an active integration went; `false` where it is not active, or was tried again
    /// since. It counts as no change of the integration.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that could not be written.
    pub async fn record_connection(
        &self,
        name: &IntegrationName,
        connection: &Connection,
    ) -> Result<bool, StoreError> {
        let expression = if connection.failure.is_some() {
            NOTE_CONNECTION
        } else {
            NOTE_CONNECTED
        };
        let mut update = self
            .update(name, expression, IS_ACTIVE_AND_TRIED_BEFORE)
            .expression_attribute_values(":active", status(Status::Active))
            .expression_attribute_values(":who", text(&connection.connected_as))
            .expression_attribute_values(":now", moment(connection.checked_at));
        if let Some(failure) = &connection.failure {
            update = update.expression_attribute_values(":failure", text(failure));
        }
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(StoreError::from_sdk("note how a connection went", error)),
        }
    }

    /// An update of an integration's own item under a condition that speaks of its status.
    pub(crate) fn update(
        &self,
        name: &IntegrationName,
        expression: &str,
        condition: &str,
    ) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.tables.integrations)
            .set_key(Some(key(name)))
            .update_expression(expression)
            .condition_expression(condition)
            .expression_attribute_names("#status", "status")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}

pub(crate) fn is_condition<E: aws_sdk_dynamodb::error::ProvideErrorMetadata>(
    error: &SdkError<E>,
) -> bool {
    error.as_service_error().and_then(|error| error.code())
        == Some("ConditionalCheckFailedException")
}

pub(crate) fn key(name: &IntegrationName) -> Item {
    Item::from([
        (PARTITION.to_owned(), text(name.as_str())),
        (SORT.to_owned(), text(INTEGRATION)),
    ])
}

pub(crate) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub(crate) fn status(status: Status) -> AttributeValue {
    text(status.as_str())
}

/// Times are compared in conditions, as text: so they all have the same length, and no more than the microseconds that
/// answers show, since callers send them back.
pub(crate) fn moment(moment: Timestamp) -> AttributeValue {
    AttributeValue::S(compared(moment))
}

fn compared(moment: Timestamp) -> String {
    let shown = Timestamp::from_microsecond(moment.as_microsecond()).unwrap_or(moment);
    crate::keys::seven_digits(shown)
}

pub(crate) fn as_compared<T, S>(moment: &T, to: S) -> Result<S::Ok, S::Error>
where
    T: Copy + Into<Option<Timestamp>>,
    S: serde::Serializer,
{
    let moment: Option<Timestamp> = (*moment).into();
    moment.map(compared).serialize(to)
}

impl IntegrationItem {
    pub(crate) fn new(integration: &Integration, digests: &[PasswordDigest]) -> Self {
        let connection = integration.connection.clone();
        let (connected_as, checked_at, connection_failure) =
            connection.map_or((None, None, None), |connection| {
                (
                    Some(connection.connected_as),
                    Some(connection.checked_at),
                    connection.failure,
                )
            });
        Self {
            pk: integration.name.clone(),
            sk: INTEGRATION.to_owned(),
            directory: INTEGRATION.to_owned(),
            status: integration.status,
            organization: integration.organization.name().to_string(),
            organization_url: integration.organization.url().to_owned(),
            description: integration.description.clone(),
            labels: integration.labels.clone(),
            token_expires_on: integration.token_expires_on,
            connected_as,
            checked_at,
            connection_failure,
            name_since: integration.name_since,
            created_at: integration.created_at,
            updated_at: integration.updated_at,
            digests: digests.iter().map(DigestItem::from).collect(),
            claimed_until: None,
            rotating: None,
            rotating_since: None,
        }
    }
}

impl TryFrom<IntegrationItem> for Integration {
    type Error = StoreError;

    fn try_from(item: IntegrationItem) -> Result<Self, Self::Error> {
        let name: OrganizationName = item.organization.parse().map_err(
            |error: domain::organization::InvalidOrganization| {
                StoreError::Unreadable(error.to_string())
            },
        )?;
        let connection = match (item.connected_as, item.checked_at) {
            (Some(connected_as), Some(checked_at)) => Some(Connection {
                connected_as,
                checked_at,
                failure: item.connection_failure,
            }),
            _ => None,
        };
        let base = item
            .organization_url
            .strip_suffix(name.as_str())
            .unwrap_or_default()
            .to_owned();
        // Over a tombstone, too, setting up can have been begun and cut off: then there is something to finish.
        let status = match (item.status, item.claimed_until) {
            (Status::Unlinked, Some(_)) => Status::Pending,
            (status, _) => status,
        };
        Ok(Self {
            name: item.pk,
            organization: Organization::new(&base, name),
            status,
            description: item.description,
            labels: item.labels,
            token_expires_on: item.token_expires_on,
            connection,
            name_since: item.name_since,
            created_at: item.created_at,
            updated_at: item.updated_at,
        })
    }
}

impl From<&PasswordDigest> for DigestItem {
    fn from(digest: &PasswordDigest) -> Self {
        Self {
            sha256: ByteBuf::from(digest.sha256.to_vec()),
            ends: digest.ends,
        }
    }
}

pub(crate) fn digests(items: Vec<DigestItem>) -> Result<Vec<PasswordDigest>, StoreError> {
    items.into_iter().map(PasswordDigest::try_from).collect()
}

impl TryFrom<DigestItem> for PasswordDigest {
    type Error = StoreError;

    fn try_from(item: DigestItem) -> Result<Self, Self::Error> {
        let sha256 = item.sha256.as_slice().try_into();
        Ok(Self {
            sha256: sha256.map_err(|_length| {
                StoreError::Unreadable("a digest is not 32 bytes long".to_owned())
            })?,
            ends: item.ends,
        })
    }
}
