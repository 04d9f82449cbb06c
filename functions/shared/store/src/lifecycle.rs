//! How integrations come and go: the claim on a name, activating, giving up, unlinking, the tombstone.
//!
//! Every step is one conditional write, so that of two callers one wins, and a step that was cut off can be repeated.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValue},
};
use domain::{Integration, IntegrationName, Organization, PasswordDigest, Status};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::collections::HashMap;

use crate::{
    Store, StoreError,
    events::{from_item, to_item},
    integrations::{IntegrationItem, is_condition, key, moment, status, text},
    keys::INTEGRATION,
};

/// How long a claim on a name lasts, from the moment it is made. Whoever holds it writes nothing after that.
pub(crate) const CLAIM: SignedDuration = SignedDuration::from_mins(2);
/// How long a call that unlinks may go on removing secrets.
const REMOVING: SignedDuration = SignedDuration::from_secs(60);
/// How long a tombstone is kept, so that hooks that were left behind are told to stop.
const TOMBSTONE: SignedDuration = SignedDuration::from_hours(90 * 24);

const MAY_CLAIM: &str = "attribute_not_exists(pk) OR (#status IN (:pending, :unlinked) AND (attribute_not_exists(claimed_until) OR claimed_until < :now OR claim = :claim) AND (attribute_not_exists(removing_until) OR removing_until < :now))";
const CLAIM_IT: &str = "SET #status = if_not_exists(#status, :pending), claim = :claim, claimed_until = :until, directory = :directory, organization = if_not_exists(organization, :organization), organization_url = if_not_exists(organization_url, :url), name_since = if_not_exists(name_since, :now), created_at = if_not_exists(created_at, :now), updated_at = :now REMOVE expires, removing_until";
const RELEASE_IT: &str = "SET expires = :expires REMOVE claim, claimed_until";
const IS_RELEASABLE: &str = "claim = :claim AND attribute_exists(claimed_until)";
const IS_CLAIMED: &str = "claim = :claim";
const IS_CLAIMED_AND_PENDING: &str = "claim = :claim AND #status = :pending";
const MAY_UNLINK: &str = "#status = :unlinking OR (#status = :active AND (attribute_not_exists(claimed_until) OR claimed_until < :now)) OR (#status IN (:pending, :unlinked) AND claimed_until < :now)";
const UNLINK_IT: &str = "SET #status = :unlinking, updated_at = :now, removing_until = :until REMOVE claim, claimed_until, expires, rotating, rotating_since ADD unlinkers :me";
const IS_UNLINKING: &str = "#status = :unlinking";
const IS_UNLINKED_BY_ONE: &str = "#status = :unlinking AND unlinkers = :me";
const BURY_IT: &str = "SET #status = :unlinked, updated_at = :now, expires = :expires REMOVE unlinkers, description, labels, token_expires_on, connected_as, checked_at, connection_failure";

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
    /// It is being set up, or changed, right now.
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

#[derive(Debug, Deserialize)]
struct KnownItem {
    name_since: Timestamp,
}

/// What a condition asks about.
#[derive(Debug, Deserialize)]
struct StatusItem {
    status: Status,
}

type Item = HashMap<String, AttributeValue>;

impl Store {
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
                let existing: StatusItem = from_item(existing("claim a name", error)?)?;
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

    /// Begins to unlink, or goes on with it; `nonce` tells this call from every other.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that could not be written.
    pub async fn begin_unlink(
        &self,
        name: &IntegrationName,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        let update = self
            .update(name, UNLINK_IT, MAY_UNLINK)
            .expression_attribute_values(":active", status(Status::Active))
            .expression_attribute_values(":unlinking", status(Status::Unlinking))
            .expression_attribute_values(":pending", status(Status::Pending))
            .expression_attribute_values(":unlinked", status(Status::Unlinked))
            .expression_attribute_values(":now", moment(now))
            .expression_attribute_values(":until", moment(now + REMOVING))
            .expression_attribute_values(":me", only(nonce))
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
    /// Where two calls unlinked at once, or this one may have sent something that is still on its way (`is_clean` is false),
    /// the name cannot be set up again before there is no time left for that: the new secrets must not be removed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that could not be written.
    pub async fn finish_unlink(
        &self,
        name: &IntegrationName,
        nonce: &str,
        is_clean: bool,
        now: Timestamp,
    ) -> Result<Finished, StoreError> {
        let alone = self
            .update(
                name,
                &format!("{BURY_IT}, removing_until"),
                IS_UNLINKED_BY_ONE,
            )
            .expression_attribute_values(":me", only(nonce));
        let among_others = self.update(name, BURY_IT, IS_UNLINKING);
        let mut in_the_way = Item::new();
        let updates = [is_clean.then_some(alone), Some(among_others)];
        for update in updates.into_iter().flatten() {
            let update = update
                .expression_attribute_values(":unlinking", status(Status::Unlinking))
                .expression_attribute_values(":unlinked", status(Status::Unlinked))
                .expression_attribute_values(":now", moment(now))
                .expression_attribute_values(":expires", end_of_tombstone(now));
            match update.send().await {
                Ok(_) => return Ok(Finished::Now),
                Err(error) => in_the_way = existing("finish unlinking", error)?,
            }
        }
        let is_unlinked = in_the_way.get("status") == Some(&status(Status::Unlinked));
        Ok(
            if is_unlinked && !in_the_way.contains_key("claimed_until") {
                Finished::Already
            } else {
                Finished::SetUpAgain
            },
        )
    }
}

/// The item that stood in the way of a condition; empty where there was none.
pub(crate) fn existing(
    doing: &'static str,
    error: SdkError<UpdateItemError>,
) -> Result<Item, StoreError> {
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

/// When a tombstone made now is gone, as DynamoDB's time to live reads it.
fn end_of_tombstone(now: Timestamp) -> AttributeValue {
    AttributeValue::N((now + TOMBSTONE).as_second().to_string())
}

/// The set of those who unlink, with one in it.
fn only(nonce: &str) -> AttributeValue {
    AttributeValue::Ss(vec![nonce.to_owned()])
}
