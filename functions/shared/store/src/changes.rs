//! Changes of an active integration: its credential, its passwords, what a person wrote about it.
//!
//! Whoever writes a secret holds a lease meanwhile, so that of two callers one waits, and unlinking does not remove what is
//! being written. A lease that was cut off ends by itself.

use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{AttributeValue, ReturnValue},
};
use domain::{Connection, Integration, IntegrationName, Labels, PasswordDigest, Status};
use jiff::{Timestamp, civil::Date};

use crate::{
    Store, StoreError,
    events::{from_item, to_item},
    integrations::{DigestItem, IntegrationItem, digests, is_condition, moment, status, text},
    lifecycle::{CLAIM, existing},
};

const MAY_LEASE: &str = "#status = :active AND (attribute_not_exists(claimed_until) OR claimed_until < :now OR claim = :claim)";
const LEASE_IT: &str = "SET claim = :claim, claimed_until = :until";
/// The claim stays when its time is over: so the same write again, after a lost answer, meets its own.
const IS_LEASED: &str = "#status = :active AND claim = :claim";
const RELEASE_IT: &str = "REMOVE claimed_until";
const BEGIN_ROTATION: &str =
    "SET digests = :digests, rotating = :rotating, rotating_since = :now, updated_at = :now";
const END_ROTATION: &str =
    "SET digests = :digests, updated_at = :now REMOVE rotating, rotating_since";
const IS_FREE: &str =
    "#status = :active AND (attribute_not_exists(claimed_until) OR claimed_until < :now)";
const IS_FREE_AND_AS_READ: &str = "#status = :active AND (attribute_not_exists(claimed_until) OR claimed_until < :now) AND updated_at IN (:read, :now)";

/// An integration whose secrets nobody else writes for two minutes.
#[derive(Clone, Debug)]
pub struct Leased {
    /// It.
    pub integration: Integration,
    /// The digests of its passwords.
    pub digests: Vec<PasswordDigest>,
    /// The earlier rotation that was cut off, if one was.
    pub unfinished: Option<Unfinished>,
}

/// A rotation that has begun and not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The digest of the password it has begun with.
    pub sha256: [u8; 32],
    /// When it began.
    pub since: Timestamp,
}

/// What became of asking for a lease.
#[derive(Clone, Debug)]
pub enum Lease {
    /// It is ours.
    Yes(Box<Leased>),
    /// Somebody else is changing it right now.
    Busy,
    /// It is not active.
    NotActive(Status),
    /// There is no such integration.
    Unknown,
}

/// What a person changes of an integration; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// What is written about it; an empty text removes it.
    pub description: Option<String>,
    /// The labels.
    pub labels: Option<Labels>,
    /// The day its credential ends; `Some(None)` where that is not known any more.
    pub token_expires_on: Option<Option<Date>>,
    /// How the connection went with its new credential.
    pub connection: Option<Connection>,
}

/// What a change of what is told stands under.
#[derive(Clone, Copy, Debug)]
pub enum Under<'a> {
    /// A lease that the caller holds.
    Lease(&'a str),
    /// None: nobody else may hold one.
    None {
        /// If given, nothing about the integration may have changed since that moment.
        read: Option<Timestamp>,
    },
}

/// What became of changing an integration.
#[derive(Clone, Debug)]
pub enum Changed {
    /// This is how it is now.
    Yes(Box<Integration>),
    /// It was changed since it was read, or is not active any more: this is how it is.
    No(Box<Integration>),
    /// Somebody else holds a lease on it.
    Busy,
    /// There is no such integration.
    Unknown,
}

impl Store {
    /// Takes a lease of two minutes on an active integration, or meets the same one again.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that could not be written.
    pub async fn lease(
        &self,
        name: &IntegrationName,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Lease, StoreError> {
        let update = self
            .update(name, LEASE_IT, MAY_LEASE)
            .expression_attribute_values(":active", status(Status::Active))
            .expression_attribute_values(":claim", text(nonce))
            .expression_attribute_values(":until", moment(now + CLAIM))
            .expression_attribute_values(":now", moment(now))
            .return_values(ReturnValue::AllNew);
        match update.send().await {
            Ok(answer) => {
                let mut item: IntegrationItem = from_item(answer.attributes.unwrap_or_default())?;
                let (rotating, since) = (item.rotating.take(), item.rotating_since);
                Ok(Lease::Yes(Box::new(Leased {
                    digests: digests(std::mem::take(&mut item.digests))?,
                    unfinished: rotating.zip(since).and_then(|(digest, since)| {
                        let sha256 = digest.as_slice().try_into().ok()?;
                        Some(Unfinished { sha256, since })
                    }),
                    integration: item.try_into()?,
                })))
            }
            Err(error) => {
                let item = existing("lease an integration", error)?;
                if item.is_empty() {
                    return Ok(Lease::Unknown);
                }
                let integration: Integration = from_item::<IntegrationItem>(item)?.try_into()?;
                Ok(match integration.status {
                    Status::Active => Lease::Busy,
                    status => Lease::NotActive(status),
                })
            }
        }
    }

    /// Ends a lease, also one that has ended; one that somebody else holds is left alone.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that could not be written; the lease ends by itself then.
    pub async fn release(&self, name: &IntegrationName, nonce: &str) -> Result<(), StoreError> {
        let update = self.update(name, RELEASE_IT, IS_LEASED);
        self.under_lease("end a lease", update, nonce)
            .await
            .map(|_| ())
    }

    /// Notes that a rotation has begun: these digests count, `rotating` among them. `false` where the lease is lost.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written: the same call again is safe.
    pub async fn begin_rotation(
        &self,
        name: &IntegrationName,
        nonce: &str,
        digests: &[PasswordDigest],
        rotating: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = self
            .update(name, BEGIN_ROTATION, IS_LEASED)
            .expression_attribute_values(":digests", list(digests)?)
            .expression_attribute_values(":rotating", AttributeValue::B(rotating.to_vec().into()))
            .expression_attribute_values(":now", moment(now));
        self.under_lease("begin a rotation", update, nonce).await
    }

    /// Notes that a rotation has ended. `false` where the lease is lost.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written.
    pub async fn end_rotation(
        &self,
        name: &IntegrationName,
        nonce: &str,
        digests: &[PasswordDigest],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = self
            .update(name, END_ROTATION, IS_LEASED)
            .expression_attribute_values(":digests", list(digests)?)
            .expression_attribute_values(":now", moment(now));
        self.under_lease("end a rotation", update, nonce).await
    }

    async fn under_lease(
        &self,
        doing: &'static str,
        update: UpdateItemFluentBuilder,
        nonce: &str,
    ) -> Result<bool, StoreError> {
        let update = update
            .expression_attribute_values(":active", status(Status::Active))
            .expression_attribute_values(":claim", text(nonce));
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(StoreError::from_sdk(doing, error)),
        }
    }

    /// Changes what is told of an active integration.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that could not be written.
    pub async fn change(
        &self,
        name: &IntegrationName,
        changes: &Changes,
        under: Under<'_>,
        now: Timestamp,
    ) -> Result<Changed, StoreError> {
        let (mut set, mut remove) = (vec!["updated_at = :now"], Vec::new());
        let mut values = vec![(":now", moment(now)), (":active", status(Status::Active))];
        match changes.description.as_deref() {
            Some("") => remove.push("description"),
            Some(description) => {
                set.push("description = :description");
                values.push((":description", text(description)));
            }
            None => {}
        }
        if let Some(labels) = &changes.labels {
            set.push("labels = :labels");
            let labels = labels.iter().map(text).collect();
            values.push((":labels", AttributeValue::L(labels)));
        }
        match changes.token_expires_on {
            Some(None) => remove.push("token_expires_on"),
            Some(Some(date)) => {
                set.push("token_expires_on = :expiry");
                values.push((":expiry", text(&date.to_string())));
            }
            None => {}
        }
        if let Some(connection) = &changes.connection {
            set.push("connected_as = :who, checked_at = :checked");
            values.push((":who", text(&connection.connected_as)));
            values.push((":checked", moment(connection.checked_at)));
            remove.push("connection_failure");
        }
        let condition = match under {
            Under::Lease(nonce) => {
                values.push((":claim", text(nonce)));
                IS_LEASED
            }
            Under::None { read: None } => IS_FREE,
            Under::None { read: Some(read) } => {
                values.push((":read", moment(read)));
                IS_FREE_AND_AS_READ
            }
        };
        let mut expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            expression.push_str(" REMOVE ");
            expression.push_str(&remove.join(", "));
        }
        let mut update = self
            .update(name, &expression, condition)
            .return_values(ReturnValue::AllNew);
        for (name, value) in values {
            update = update.expression_attribute_values(name, value);
        }
        let (item, is_changed) = match update.send().await {
            Ok(answer) => (answer.attributes.unwrap_or_default(), true),
            Err(error) => (existing("change an integration", error)?, false),
        };
        if item.is_empty() {
            return Ok(Changed::Unknown);
        }
        let item: IntegrationItem = from_item(item)?;
        let is_leased = item.claimed_until.is_some_and(|until| now <= until);
        let integration: Box<Integration> = Box::new(item.try_into()?);
        Ok(match (is_changed, integration.status) {
            (true, _) => Changed::Yes(integration),
            (false, Status::Active) if is_leased => Changed::Busy,
            (false, _) => Changed::No(integration),
        })
    }
}

fn list(digests: &[PasswordDigest]) -> Result<AttributeValue, StoreError> {
    let items = digests
        .iter()
        .map(|digest| to_item(&DigestItem::from(digest)).map(AttributeValue::M));
    Ok(AttributeValue::L(items.collect::<Result<_, _>>()?))
}
