//! The `events` table: deliveries, stored once and never changed.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError},
    types::{
        AttributeValue, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem,
    },
};
use domain::{IntegrationName, OutcomeWord};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use crate::{
    Store, StoreError, body,
    keys::{self, ATTENTION, DeliveryId, PARTITION, SORT},
};

/// The largest body that is kept whole, 2 MB: the largest that Azure DevOps sends (facts/aws.md, section 1).
pub const LARGEST_BODY: usize = 2 * 1_024 * 1_024;
/// What is kept of a larger one.
pub const OVERSIZE_HEAD: usize = 64 * 1_024;
/// The most bytes of a stored body that lie in one item, whose own limit is 400 KB with its keys.
const MOST_IN_ITEM: usize = 380 * 1_024;
/// How many items are read at once to find any delivery.
const MOST_LISTENED: i32 = 50;
/// How often a transaction is tried that met another one writing the same delivery.
const CONFLICT_TRIES: u32 = 4;

/// The waits between tries of what a batch left unread, because it was throttled or larger than an answer may be.
pub(crate) const BATCH_WAITS: [Duration; 6] = [
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1_600),
];

const IS_NEW: &str = "attribute_not_exists(pk)";
/// Deliveries, and what became of them: an outcome is received with its delivery. Redeliveries are left out.
const RECEIVED_BY: &str =
    "(attribute_exists(kind) AND received <= :until) OR attribute_exists(outcome)";
const HEAD: &str = "pk, sk, kind, received, recovered, outcome";
const OF_KIND_RECEIVED: &str = "attention = :kind AND received BETWEEN :from AND :until";

/// What a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeliveryKind {
    /// An event.
    Event,
    /// A sample that the Test button sent.
    Test,
    /// A body larger than [`LARGEST_BODY`], of which the digest, the size and the first bytes are kept.
    Oversize,
    /// A body that is not understood, kept byte for byte. A kind that only a later version knows is read as this one.
    #[serde(other)]
    Quarantined,
}

impl DeliveryKind {
    /// The word used in logs and keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Test => "test",
            Self::Oversize => "oversize",
            Self::Quarantined => "quarantined",
        }
    }

    /// Whether a person should see it: it is listed by an index of its own then.
    #[must_use]
    pub fn wants_attention(self) -> bool {
        matches!(self, Self::Quarantined | Self::Oversize)
    }
}

/// A delivery to be stored.
#[derive(Clone, Debug)]
pub struct NewDelivery<'a> {
    /// Its keys.
    pub id: DeliveryId,
    /// What it is.
    pub kind: DeliveryKind,
    /// When it reached us.
    pub received: Timestamp,
    /// How long it is kept.
    pub retention: SignedDuration,
    /// The body as received; of an oversize one all of it.
    pub body: &'a [u8],
    /// Why it is quarantined or oversize, in words.
    pub reason: Option<String>,
    /// Whether it never reached us and was found again.
    pub recovered: bool,
}

/// What became of storing a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is stored now.
    New,
    /// These very bytes are stored already.
    Again,
    /// Another body is stored under its keys: this one, where it can be told (a large one is compared by its digest).
    Other(Option<Vec<u8>>),
}

/// What a list needs to know of a delivery before its body is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryHead {
    /// Its keys.
    pub id: DeliveryId,
    /// What it is.
    pub kind: DeliveryKind,
    /// When it reached us.
    pub received: Timestamp,
    /// What became of it, where it was read with that: a delivery that is read by its keys alone has `None`.
    pub outcome: Option<OutcomeWord>,
    /// Whether it never reached us and was found again.
    pub recovered: bool,
}

/// A delivery as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its keys, kind and receipt.
    pub head: DeliveryHead,
    /// The body as received; the first [`OVERSIZE_HEAD`] bytes of an oversize one.
    pub body: Vec<u8>,
    /// The size of the body as received, in bytes.
    pub size: usize,
    /// The SHA-256 digest of the body as received, where only a part of it is kept.
    pub sha256: Option<[u8; 32]>,
    /// Why it is quarantined or oversize, in words.
    pub reason: Option<String>,
}

/// A delivery's own item. Names are short, since every item has them and a write unit has 1,024 bytes.
#[derive(Debug, Serialize, Deserialize)]
struct DeliveryItem {
    pk: String,
    sk: String,
    kind: DeliveryKind,
    /// Microseconds since 1970: nine bytes of an item, where the same as text is twenty-eight.
    received: i64,
    expires: i64,
    /// In the form that the `body` module writes; absent where it lies in parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<ByteBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<ByteBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Where a person should see this delivery: its partition in the index of those.
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<String>,
    /// There only where it is true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    recovered: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct HeadItem {
    pk: String,
    sk: String,
    kind: DeliveryKind,
    received: i64,
    #[serde(default)]
    recovered: bool,
}

#[derive(Debug, Deserialize)]
struct OutcomeHead {
    pk: String,
    sk: String,
    outcome: OutcomeWord,
}

#[derive(Debug, Serialize, Deserialize)]
struct PartItem {
    pk: String,
    sk: String,
    expires: i64,
    body: ByteBuf,
}

type Item = HashMap<String, AttributeValue>;

impl Store {
    /// Stores a delivery once: in one conditional write, or, where its body does not fit an item, in one transaction with
    /// the parts.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] where it may or may not be stored: the same call again is safe.
    pub async fn record_delivery(
        &self,
        delivery: &NewDelivery<'_>,
    ) -> Result<Recorded, StoreError> {
        let kept = match delivery.kind {
            DeliveryKind::Oversize => &delivery.body[..delivery.body.len().min(OVERSIZE_HEAD)],
            _ => delivery.body,
        };
        let stored = body::encode(kept);
        let expires = delivery.received.as_second() + delivery.retention.as_secs();
        let mut item = DeliveryItem {
            pk: delivery.id.partition().to_owned(),
            sk: delivery.id.sort().to_owned(),
            kind: delivery.kind,
            received: delivery.received.as_microsecond(),
            expires,
            body: None,
            parts: None,
            size: None,
            sha256: None,
            reason: delivery.reason.clone(),
            attention: delivery
                .kind
                .wants_attention()
                .then(|| keys::attention(delivery.id.integration(), delivery.kind.as_str())),
            recovered: delivery.recovered,
        };
        let whole = kept.len() == delivery.body.len();
        let in_parts = stored.len() > MOST_IN_ITEM;
        if in_parts || !whole {
            item.size = Some(delivery.body.len());
            item.sha256 = Some(ByteBuf::from(Sha256::digest(delivery.body).to_vec()));
        }
        if !in_parts {
            item.body = Some(ByteBuf::from(stored));
            let existing = self.put_new(to_item(&item)?).await?;
            return Ok(existing.map_or(Recorded::New, |existing| compare(existing, delivery.body)));
        }
        let chunks: Vec<&[u8]> = stored.chunks(MOST_IN_ITEM).collect();
        item.parts = Some(chunks.len());
        let mut items = vec![to_item(&item)?];
        for (number, chunk) in chunks.iter().enumerate() {
            items.push(to_item(&PartItem {
                pk: delivery.id.part(number),
                sk: keys::PART.to_owned(),
                expires,
                body: ByteBuf::from(chunk.to_vec()),
            })?);
        }
        let existing = self.put_new_together(items).await?;
        Ok(existing.map_or(Recorded::New, |existing| compare(existing, delivery.body)))
    }

    /// Writes an item if its keys are free; gives the item that has them where they are not.
    async fn put_new(&self, item: Item) -> Result<Option<Item>, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.events)
            .set_item(Some(item))
            .condition_expression(IS_NEW)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => Ok(None),
            Err(SdkError::ServiceError(error))
                if error.err().is_conditional_check_failed_exception() =>
            {
                let PutItemError::ConditionalCheckFailedException(failed) = error.into_err() else {
                    return Ok(Some(Item::new()));
                };
                Ok(Some(failed.item.unwrap_or_default()))
            }
            Err(error) => Err(StoreError::from_sdk("store a delivery", error)),
        }
    }

    /// Writes items in one transaction if the first one's keys are free; gives the item that has them where they are not.
    async fn put_new_together(&self, items: Vec<Item>) -> Result<Option<Item>, StoreError> {
        let mut writes = Vec::with_capacity(items.len());
        for (number, item) in items.into_iter().enumerate() {
            let put = Put::builder()
                .table_name(&self.tables.events)
                .set_item(Some(item));
            let put = if number == 0 {
                put.condition_expression(IS_NEW)
                    .return_values_on_condition_check_failure(
                        ReturnValuesOnConditionCheckFailure::AllOld,
                    )
            } else {
                put
            };
            let put = put
                .build()
                .map_err(|error| StoreError::Unreadable(error.to_string()))?;
            writes.push(TransactWriteItem::builder().put(put).build());
        }
        let mut tried = 0;
        loop {
            tried += 1;
            let sent = self
                .client
                .transact_write_items()
                .set_transact_items(Some(writes.clone()))
                .send()
                .await;
            let Err(error) = sent else { return Ok(None) };
            match cancellation(&error) {
                Some(Cancelled::Exists(item)) => return Ok(Some(item)),
                Some(Cancelled::Conflict) if tried < CONFLICT_TRIES => {
                    tokio::time::sleep(Duration::from_millis(40 * u64::from(tried))).await;
                }
                _ => return Err(StoreError::from_sdk("store a large delivery", error)),
            }
        }
    }

    /// The heads of everything that is filed under a day and was received by `until`; in no order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn heads_of_day(
        &self,
        integration: &IntegrationName,
        day: Date,
        until: Timestamp,
    ) -> Result<Vec<DeliveryHead>, StoreError> {
        let shards = stream::iter(0..keys::SHARDS)
            .map(|shard| self.heads_of_shard(integration, day, shard, until));
        let heads: Vec<Vec<DeliveryHead>> = shards
            .buffer_unordered(usize::from(keys::SHARDS))
            .try_collect()
            .await?;
        Ok(heads.into_iter().flatten().collect())
    }

    /// The events of an integration that have no outcome, created from `from` to `until` as they say themselves. Those that do not
    /// tell when are found as long as their day is one of that time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub async fn undecided(
        &self,
        integration: &IntegrationName,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let (mut undecided, mut day) = (Vec::new(), keys::day_of(from));
        while day <= keys::day_of(until) {
            let shards = stream::iter(0..keys::SHARDS).map(async |shard| {
                let created = keys::created_between(from, until);
                let undated = ("~".to_owned(), "~~".to_owned());
                let of_shard =
                    |between| self.heads_between(integration, day, shard, until, between);
                let mut heads = of_shard(Some(created)).await?;
                heads.extend(of_shard(Some(undated)).await?);
                Ok::<_, StoreError>(heads)
            });
            let heads: Vec<Vec<DeliveryHead>> = shards
                .buffer_unordered(usize::from(keys::SHARDS))
                .try_collect()
                .await?;
            let is_undecided =
                |head: &DeliveryHead| head.kind == DeliveryKind::Event && head.outcome.is_none();
            let heads = heads.into_iter().flatten().filter(is_undecided);
            undecided.extend(heads.map(|head| head.id));
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
        Ok(undecided)
    }

    /// Whether a delivery of an integration reached us on the day of `from` or later. What was found again did not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that cannot be read.
    pub async fn has_received_since(
        &self,
        integration: &IntegrationName,
        from: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut day = keys::newest_day(now);
        while day >= keys::day_of(from) {
            for shard in 0..keys::SHARDS {
                let partition = keys::partition(integration, day, shard);
                let mut items = self
                    .client
                    .query()
                    .table_name(&self.tables.events)
                    .key_condition_expression("pk = :partition")
                    .expression_attribute_values(":partition", AttributeValue::S(partition))
                    .filter_expression("attribute_exists(kind) AND attribute_not_exists(recovered)")
                    .projection_expression("pk")
                    .limit(MOST_LISTENED)
                    .into_paginator()
                    .items()
                    .send();
                if let Some(item) = items.next().await {
                    item.map_err(|error| StoreError::from_sdk("look for any delivery", error))?;
                    return Ok(true);
                }
            }
            let Ok(before) = day.yesterday() else { break };
            day = before;
        }
        Ok(false)
    }

    async fn heads_of_shard(
        &self,
        integration: &IntegrationName,
        day: Date,
        shard: u8,
        until: Timestamp,
    ) -> Result<Vec<DeliveryHead>, StoreError> {
        self.heads_between(integration, day, shard, until, None)
            .await
    }

    /// The heads of a shard, or of those of it whose sort keys lie between two.
    async fn heads_between(
        &self,
        integration: &IntegrationName,
        day: Date,
        shard: u8,
        until: Timestamp,
        between: Option<(String, String)>,
    ) -> Result<Vec<DeliveryHead>, StoreError> {
        let mut query = self.client.query().table_name(&self.tables.events);
        query = match between {
            None => query.key_condition_expression("pk = :partition"),
            Some((first, last)) => query
                .key_condition_expression("pk = :partition AND sk BETWEEN :first AND :last")
                .expression_attribute_values(":first", AttributeValue::S(first))
                .expression_attribute_values(":last", AttributeValue::S(last)),
        };
        let mut items = query
            .expression_attribute_values(
                ":partition",
                AttributeValue::S(keys::partition(integration, day, shard)),
            )
            .filter_expression(RECEIVED_BY)
            .expression_attribute_values(":until", micros(until))
            .projection_expression(HEAD)
            .into_paginator()
            .items()
            .send();
        let mut heads: Vec<DeliveryHead> = Vec::new();
        let mut outcomes: HashMap<DeliveryId, OutcomeWord> = HashMap::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| StoreError::from_sdk("list deliveries", error))?;
            if item.contains_key("outcome") {
                let OutcomeHead { pk, sk, outcome } = from_item(item)?;
                outcomes.extend(DeliveryId::beside_which(&pk, &sk).map(|id| (id, outcome)));
            } else {
                heads.push(from_item::<HeadItem>(item)?.try_into()?);
            }
        }
        for head in &mut heads {
            head.outcome = outcomes.remove(&head.id);
        }
        Ok(heads)
    }

    /// The heads of an integration's newest deliveries of a kind that wants attention, received from `from` to `until`: at
    /// most `most`, newest first. Read from an index, so a moment behind.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn heads_for_attention(
        &self,
        integration: &IntegrationName,
        kind: DeliveryKind,
        (from, until): (Timestamp, Timestamp),
        most: usize,
    ) -> Result<Vec<DeliveryHead>, StoreError> {
        let kind = keys::attention(integration.as_str(), kind.as_str());
        let mut items = self
            .client
            .query()
            .table_name(&self.tables.events)
            .index_name(ATTENTION)
            .key_condition_expression(OF_KIND_RECEIVED)
            .expression_attribute_values(":kind", AttributeValue::S(kind))
            .expression_attribute_values(":from", micros(from))
            .expression_attribute_values(":until", micros(until))
            .scan_index_forward(false)
            .into_paginator()
            .items()
            .send();
        let mut heads = Vec::new();
        while heads.len() < most
            && let Some(item) = items.next().await
        {
            let item =
                item.map_err(|error| StoreError::from_sdk("list what wants attention", error))?;
            heads.push(from_item::<HeadItem>(item)?.try_into()?);
        }
        Ok(heads)
    }

    /// Deliveries whole, each once, in the order asked for; what is gone in the meantime is left out.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], or [`StoreError::Unreadable`] for one that cannot be read.
    pub async fn deliveries(&self, ids: &[DeliveryId]) -> Result<Vec<Delivery>, StoreError> {
        let keys = ids.iter().map(key).collect();
        let items = self
            .batch(&self.tables.events, keys, "read deliveries")
            .await?;
        let mut found: HashMap<DeliveryId, Item> = items
            .into_iter()
            .filter_map(|item| Some((id_of(&item)?, item)))
            .collect();
        let mut deliveries = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(item) = found.remove(id) {
                deliveries.push(self.whole(item).await?);
            }
        }
        Ok(deliveries)
    }

    /// The items of a table that have these keys, each once, in no order.
    pub(crate) async fn batch(
        &self,
        table: &str,
        mut keys: Vec<Item>,
        doing: &'static str,
    ) -> Result<Vec<Item>, StoreError> {
        // A request with the same key twice is refused.
        let mut asked = HashSet::new();
        keys.retain(|key| {
            let part = |name: &str| key.get(name).and_then(|it| it.as_s().ok()).cloned();
            asked.insert((part(PARTITION), part(SORT)))
        });
        let mut items = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(100) {
            let mut wanted = chunk.to_vec();
            let mut waits = BATCH_WAITS.iter();
            while !wanted.is_empty() {
                let request = KeysAndAttributes::builder()
                    .set_keys(Some(wanted))
                    // What was listed must not seem to be gone because another replica is behind.
                    .consistent_read(true)
                    .build()
                    .map_err(|error| StoreError::Unreadable(error.to_string()))?;
                let answer = self
                    .client
                    .batch_get_item()
                    .request_items(table, request)
                    .send()
                    .await
                    .map_err(|error| StoreError::from_sdk(doing, error))?;
                let mut found = answer.responses.unwrap_or_default();
                items.extend(found.remove(table).unwrap_or_default());
                let mut left = answer.unprocessed_keys.unwrap_or_default();
                let left = left.remove(table).map(|left| left.keys);
                wanted = left.unwrap_or_default();
                if !wanted.is_empty() {
                    let Some(wait) = waits.next() else {
                        return Err(StoreError::Throttled(doing));
                    };
                    tokio::time::sleep(*wait).await;
                }
            }
        }
        Ok(items)
    }

    /// One delivery whole.
    ///
    /// # Errors
    ///
    /// As [`Store::deliveries`].
    pub async fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>, StoreError> {
        Ok(self.deliveries(std::slice::from_ref(id)).await?.pop())
    }

    /// A delivery as it stands in an image of the table's stream. The parts of a large body are read.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where its item, or a part of it, cannot be read.
    pub async fn delivery_of_image(
        &self,
        image: serde_dynamo::Item,
    ) -> Result<Delivery, StoreError> {
        self.whole(image.into()).await
    }

    async fn whole(&self, item: Item) -> Result<Delivery, StoreError> {
        let item: DeliveryItem = from_item(item)?;
        let head = HeadItem {
            pk: item.pk,
            sk: item.sk,
            kind: item.kind,
            received: item.received,
            recovered: item.recovered,
        };
        let mut head: DeliveryHead = head.try_into()?;
        let stored = match (item.body, item.parts) {
            (Some(stored), _) => Some(stored.into_vec()),
            (None, parts) => self.parts(&head.id, parts.unwrap_or_default()).await?,
        };
        let body = stored
            .ok_or(body::BodyError::Damaged)
            .and_then(|stored| body::decode(&stored, LARGEST_BODY));
        let (body, reason) = match body {
            Ok(body) => (body, item.reason),
            // One damaged delivery must not hide the others.
            Err(damage) => {
                head.kind = DeliveryKind::Quarantined;
                (Vec::new(), Some(damage.to_string()))
            }
        };
        Ok(Delivery {
            size: item.size.unwrap_or(body.len()),
            sha256: item
                .sha256
                .and_then(|digest| digest.as_slice().try_into().ok()),
            reason,
            head,
            body,
        })
    }

    /// The stored form of a body that lies in parts; `None` where a part is gone, as time to live takes them one by one.
    async fn parts(&self, id: &DeliveryId, count: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let mut stored = Vec::with_capacity(count * MOST_IN_ITEM);
        for number in 0..count {
            let answer = self
                .client
                .get_item()
                .table_name(&self.tables.events)
                .key(PARTITION, AttributeValue::S(id.part(number)))
                .key(SORT, AttributeValue::S(keys::PART.to_owned()))
                .consistent_read(true)
                .send()
                .await
                .map_err(|error| StoreError::from_sdk("read a part of a delivery", error))?;
            let Some(item) = answer.item else {
                return Ok(None);
            };
            stored.extend_from_slice(&from_item::<PartItem>(item)?.body);
        }
        Ok(Some(stored))
    }
}

enum Cancelled {
    Exists(Item),
    Conflict,
}

/// Why a transaction was cancelled: the first item is the delivery's own, the only one with a condition.
fn cancellation(error: &SdkError<TransactWriteItemsError>) -> Option<Cancelled> {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
        error.as_service_error()
    else {
        return None;
    };
    let reasons = cancelled.cancellation_reasons();
    if let Some(first) = reasons.first()
        && first.code() == Some("ConditionalCheckFailed")
    {
        return Some(Cancelled::Exists(first.item.clone().unwrap_or_default()));
    }
    let conflict = reasons
        .iter()
        .any(|reason| reason.code() == Some("TransactionConflict"));
    conflict.then_some(Cancelled::Conflict)
}

/// Whether the delivery that has the keys has the same body. One that cannot be read, as a later version may have written it,
/// counts as another.
fn compare(existing: Item, received: &[u8]) -> Recorded {
    let Ok(existing) = from_item::<DeliveryItem>(existing) else {
        return Recorded::Other(None);
    };
    if let Some(sha256) = existing.sha256 {
        let same = sha256.as_slice() == Sha256::digest(received).as_slice();
        return if same {
            Recorded::Again
        } else {
            Recorded::Other(None)
        };
    }
    let stored = existing.body.unwrap_or_default();
    match body::decode(&stored, LARGEST_BODY) {
        Ok(body) if body == received => Recorded::Again,
        Ok(body) => Recorded::Other(Some(body)),
        Err(_unreadable) => Recorded::Other(None),
    }
}

impl TryFrom<HeadItem> for DeliveryHead {
    type Error = StoreError;

    fn try_from(item: HeadItem) -> Result<Self, Self::Error> {
        let received = Timestamp::from_microsecond(item.received)
            .map_err(|error| StoreError::Unreadable(error.to_string()))?;
        Ok(Self {
            id: DeliveryId::stored(item.pk, item.sk),
            kind: item.kind,
            received,
            outcome: None,
            recovered: item.recovered,
        })
    }
}

fn micros(moment: Timestamp) -> AttributeValue {
    AttributeValue::N(moment.as_microsecond().to_string())
}

fn key(id: &DeliveryId) -> Item {
    Item::from([
        (
            PARTITION.to_owned(),
            AttributeValue::S(id.partition().to_owned()),
        ),
        (SORT.to_owned(), AttributeValue::S(id.sort().to_owned())),
    ])
}

fn id_of(item: &Item) -> Option<DeliveryId> {
    let text = |name| item.get(name)?.as_s().ok().cloned();
    Some(DeliveryId::stored(text(PARTITION)?, text(SORT)?))
}

pub(crate) fn to_item<T: Serialize>(record: &T) -> Result<Item, StoreError> {
    serde_dynamo::to_item(record).map_err(|error| StoreError::Unreadable(error.to_string()))
}

pub(crate) fn from_item<T: serde::de::DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    serde_dynamo::from_item(item).map_err(|error| StoreError::Unreadable(error.to_string()))
}
