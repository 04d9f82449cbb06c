//! The `integrations` table: integrations, from the claim on a name to the tombstone.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use domain::{
    Connection, Integration, IntegrationName, Organization, OrganizationName, PasswordDigest,
    Status,
};
use jiff::{SignedDuration, Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::HashMap;

use crate::{
    Store, StoreError,
    events::{from_item, to_item},
    keys::{DIRECTORY, INTEGRATION, PARTITION, SORT},
};

/// How long a claim on a name lasts, from the moment it is made. Whoever holds it writes nothing after that.
const CLAIM: SignedDuration = SignedDuration::from_mins(2);
/// How long a tombstone is kept, so that hooks that were left behind are told to stop.
const TOMBSTONE: SignedDuration = SignedDuration::from_hours(90 * 24);

const MAY_CLAIM: &str = "attribute_not_exists(pk) OR (#status IN (:pending, :unlinked) AND (attribute_not_exists(claimed_until) OR claimed_until < :now OR claim = :claim))";
const CLAIM_IT: &str = "SET #status = if_not_exists(#status, :pending), claim = :claim, claimed_until = :until, directory = :directory, organization = if_not_exists(organization, :organization), organization_url = if_not_exists(organization_url, :url), name_since = if_not_exists(name_since, :now), created_at = if_not_exists(created_at, :now), updated_at = :now REMOVE expires";
const RELEASE_IT: &str = "SET expires = :expires REMOVE claim, claimed_until";
const IS_RELEASABLE: &str = "claim = :claim AND attribute_exists(claimed_until)";
const IS_CLAIMED: &str = "claim = :claim";
const IS_CLAIMED_AND_PENDING: &str = "claim = :claim AND #status = :pending";
const MAY_UNLINK: &str = "#status IN (:active, :unlinking) OR (#status IN (:pending, :unlinked) AND claimed_until < :now)";
const UNLINK_IT: &str =
    "SET #status = :unlinking, updated_at = :now REMOVE claim, claimed_until, expires";
const IS_UNLINKING: &str = "#status = :unlinking";
const BURY_IT: &str = "SET #status = :unlinked, updated_at = :now, expires = :expires REMOVE description, labels, token_expires_on, connected_as, checked_at, connection_failure";
const IS_ACTIVE: &str = "#status = :active";
const NOTE_CONNECTION: &str =
    "SET connected_as = :who, checked_at = :now, updated_at = :now, connection_failure = :failure";
const NOTE_CONNECTED: &str =
    "SET connected_as = :who, checked_at = :now, updated_at = :now REMOVE connection_failure";

/// What a delivery is authenticated against, and nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRecord {
    /// Where the integration is in its life.
    pub status: Status,
    /// The passwords that count, or counted until it was unlinked.
    pub digests: Vec<PasswordDigest>,
}

/// A claim on a name while it is being set up.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// The name.
    pub name: &'a IntegrationName,
    /// What tells this claim from every other.
    pub nonce: &'a str,
    /// The organization it is for.
    pub organization: &'a Organization,
}

/// What became of claiming a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is ours for two minutes.
    Yes {
        /// When the name was first set up, if that was not now.
        known_since: Option<Timestamp>,
    },
    /// It belongs to an integration in this state.
    Taken(Status),
    /// Somebody else is setting it up right now.
    Busy,
}

/// What became of activating an integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activated {
    /// It is active.
    Yes,
    /// The claim had run out and somebody else holds the name.
    ClaimLost,
}

/// What became of beginning to unlink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Unlinking goes on from here; also where an earlier try was cut off.
    Yes(Box<Integration>),
    /// It is unlinked already.
    Already(Box<Integration>),
    /// It is being set up right now.
    Busy,
    /// There is no such integration.
    Unknown,
}

/// What became of finishing to unlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It is unlinked now.
    Now,
    /// Another call, or an earlier try of this one, has finished it.
    Already,
    /// Another call has finished it, and the name has been set up again since.
    SetUpAgain,
}

/// A page of the list of integrations.
#[derive(Clone, Debug)]
pub struct DirectoryPage {
    /// Integrations by name, tombstones among them. Read from an index, so a moment behind.
    pub integrations: Vec<Integration>,
    /// The name after which the next page begins.
    pub next: Option<IntegrationName>,
}

/// An integration's own item.
#[derive(Debug, Serialize, Deserialize)]
struct IntegrationItem {
    pk: IntegrationName,
    sk: String,
    directory: String,
    status: Status,
    organization: String,
    organization_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_expires_on: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connected_as: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checked_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection_failure: Option<String>,
    name_since: Timestamp,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    digests: Vec<DigestItem>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DigestItem {
    sha256: ByteBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct KnownItem {
    name_since: Timestamp,
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
            digests: item
                .digests
                .into_iter()
                .map(PasswordDigest::try_from)
                .collect::<Result<_, _>>()?,
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
        let integrations: Vec<Integration> = items
            .into_iter()
            .map(|item| from_item::<IntegrationItem>(item)?.try_into())
            .collect::<Result<_, StoreError>>()?;
        let next = answer
            .last_evaluated_key
            .and_then(|last| last.get(PARTITION)?.as_s().ok()?.parse().ok());
        Ok(DirectoryPage { integrations, next })
    }

    /// Claims a name for two minutes, so that it can be set up: a new name, one whose setting up was cut off, or an unlinked
    /// one, whose tombstone goes on answering meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that could not be written.
    pub async fn claim(&self, claim: &Claim<'_>, now: Timestamp) -> Result<Claimed, StoreError> {
        let update = self
            .update(claim.name, CLAIM_IT, MAY_CLAIM)
            .expression_attribute_values(":pending", status(Status::Pending))
            .expression_attribute_values(":unlinked", status(Status::Unlinked))
            .expression_attribute_values(":claim", text(claim.nonce))
            .expression_attribute_values(":until", moment(now + CLAIM))
            .expression_attribute_values(":directory", text(INTEGRATION))
            .expression_attribute_values(":organization", text(claim.organization.name().as_str()))
            .expression_attribute_values(":url", text(claim.organization.url()))
            .expression_attribute_values(":now", moment(now))
            .return_values(ReturnValue::AllOld);
        match update.send().await {
            Ok(answer) => {
                let before = answer.attributes.filter(|item| !item.is_empty());
                let before = before.map(from_item::<KnownItem>).transpose()?;
                Ok(Claimed::Yes {
                    known_since: before.map(|item| item.name_since),
                })
            }
            Err(error) => {
                let existing: WebhookItem = from_item(existing("claim a name", error)?)?;
                Ok(match existing.status {
                    Status::Active | Status::Unlinking => Claimed::Taken(existing.status),
                    Status::Pending | Status::Unlinked => Claimed::Busy,
                })
            }
        }
    }

    /// Makes a claimed name an active integration: from now on its deliveries are stored.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written: the same call again is safe.
    pub async fn activate(
        &self,
        integration: &Integration,
        password: &PasswordDigest,
        nonce: &str,
    ) -> Result<Activated, StoreError> {
        let mut item = to_item(&IntegrationItem::new(
            integration,
            std::slice::from_ref(password),
        ))?;
        // Kept, so that the same write again after a lost answer meets its own claim.
        item.insert("claim".to_owned(), text(nonce));
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.integrations)
            .set_item(Some(item))
            .condition_expression(IS_CLAIMED)
            .expression_attribute_values(":claim", text(nonce));
        match put.send().await {
            Ok(_) => Ok(Activated::Yes),
            Err(error) if is_condition(&error) => Ok(Activated::ClaimLost),
            Err(error) => Err(StoreError::from_sdk("activate an integration", error)),
        }
    }

    /// Gives up a claim: a pending integration is gone, a tombstone stays. A claim that is lost is left alone.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that could not be written; the claim ends by itself then.
    pub async fn abandon(
        &self,
        name: &IntegrationName,
        nonce: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.tables.integrations)
            .set_key(Some(key(name)))
            .condition_expression(IS_CLAIMED_AND_PENDING)
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":claim", text(nonce))
            .expression_attribute_values(":pending", status(Status::Pending));
        match delete.send().await {
            Ok(_) => return Ok(()),
            Err(error) if !is_condition(&error) => {
                return Err(StoreError::from_sdk("give up a claim", error));
            }
            Err(_not_pending) => {}
        }
        let release = self
            .client
            .update_item()
            .table_name(&self.tables.integrations)
            .set_key(Some(key(name)))
            .update_expression(RELEASE_IT)
            .condition_expression(IS_RELEASABLE)
            .expression_attribute_values(":claim", text(nonce))
            .expression_attribute_values(":expires", end_of_tombstone(now));
        match release.send().await {
            Err(error) if !is_condition(&error) => {
                Err(StoreError::from_sdk("give up a claim", error))
            }
            _ => Ok(()),
        }
    }

    /// Notes how a try of the connection of an active integration went; `false` where it is not active.
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
            .update(name, expression, IS_ACTIVE)
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

    /// Begins to unlink, or goes on with it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that could not be written.
    pub async fn begin_unlink(
        &self,
        name: &IntegrationName,
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        let update = self
            .update(name, UNLINK_IT, MAY_UNLINK)
            .expression_attribute_values(":active", status(Status::Active))
            .expression_attribute_values(":unlinking", status(Status::Unlinking))
            .expression_attribute_values(":pending", status(Status::Pending))
            .expression_attribute_values(":unlinked", status(Status::Unlinked))
            .expression_attribute_values(":now", moment(now))
            .return_values(ReturnValue::AllNew);
        let item = match update.send().await {
            Ok(answer) => answer.attributes.unwrap_or_default(),
            Err(error) => {
                let item = existing("begin to unlink", error)?;
                if item.is_empty() {
                    return Ok(Begun::Unknown);
                }
                if item.contains_key("claimed_until") {
                    return Ok(Begun::Busy);
                }
                return Ok(Begun::Already(Box::new(
                    from_item::<IntegrationItem>(item)?.try_into()?,
                )));
            }
        };
        Ok(Begun::Yes(Box::new(
            from_item::<IntegrationItem>(item)?.try_into()?,
        )))
    }

    /// Finishes unlinking: what is left is a tombstone with the password's digests, for 90 days.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that could not be written.
    pub async fn finish_unlink(
        &self,
        name: &IntegrationName,
        now: Timestamp,
    ) -> Result<Finished, StoreError> {
        let update = self
            .update(name, BURY_IT, IS_UNLINKING)
            .expression_attribute_values(":unlinking", status(Status::Unlinking))
            .expression_attribute_values(":unlinked", status(Status::Unlinked))
            .expression_attribute_values(":now", moment(now))
            .expression_attribute_values(":expires", end_of_tombstone(now));
        match update.send().await {
            Ok(_) => Ok(Finished::Now),
            Err(error) => {
                let item = existing("finish unlinking", error)?;
                let is_unlinked = item.get("status") == Some(&status(Status::Unlinked));
                Ok(if is_unlinked && !item.contains_key("claimed_until") {
                    Finished::Already
                } else {
                    Finished::SetUpAgain
                })
            }
        }
    }

    /// An update of an integration's own item under a condition that speaks of its status.
    fn update(
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

/// The item that stood in the way of a condition; empty where there was none.
fn existing(doing: &'static str, error: SdkError<UpdateItemError>) -> Result<Item, StoreError> {
    match error {
        SdkError::ServiceError(service)
            if service.err().is_conditional_check_failed_exception() =>
        {
            let UpdateItemError::ConditionalCheckFailedException(failed) = service.into_err()
            else {
                return Ok(Item::new());
            };
            Ok(failed.item.unwrap_or_default())
        }
        error => Err(StoreError::from_sdk(doing, error)),
    }
}

fn is_condition<E: aws_sdk_dynamodb::error::ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.as_service_error().and_then(|error| error.code())
        == Some("ConditionalCheckFailedException")
}

fn key(name: &IntegrationName) -> Item {
    Item::from([
        (PARTITION.to_owned(), text(name.as_str())),
        (SORT.to_owned(), text(INTEGRATION)),
    ])
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn status(status: Status) -> AttributeValue {
    text(status.as_str())
}

/// When a tombstone made now is gone, as DynamoDB's time to live reads it.
fn end_of_tombstone(now: Timestamp) -> AttributeValue {
    AttributeValue::N((now + TOMBSTONE).as_second().to_string())
}

/// Times are compared in conditions, as text; so they all have the same length.
fn moment(moment: Timestamp) -> AttributeValue {
    AttributeValue::S(crate::keys::seven_digits(moment))
}

impl IntegrationItem {
    fn new(integration: &Integration, digests: &[PasswordDigest]) -> Self {
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
            digests: digests
                .iter()
                .map(|digest| DigestItem {
                    sha256: ByteBuf::from(digest.sha256.to_vec()),
                    ends: digest.ends,
                })
                .collect(),
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
        Ok(Self {
            name: item.pk,
            organization: Organization::new(&base, name),
            status: item.status,
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
