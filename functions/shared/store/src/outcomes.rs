//! What became of a delivery, in the `events` table beside it: its outcome, and the redeliveries that were asked for.

use std::collections::HashMap;

use aws_sdk_dynamodb::{operation::put_item::PutItemError, types::AttributeValue};
use domain::{Compared, IntegrationName, Outcome, OutcomeWord, run::Rerun};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{
    DeliveryHead, Store, StoreError, body,
    events::{from_item, to_item},
    integrations::text,
    keys::{self, ATTENTION, DeliveryId, PARTITION, SORT},
};

/// The word under which parked deliveries lie in the index of what a person should see.
const PARKED: &str = "parked";
/// What an outcome may grow to when it is unpacked: a decision for each of thousands of stacks.
const LARGEST: usize = 4 * 1_024 * 1_024;
/// The most redeliveries of one delivery.
pub const MOST_REDELIVERIES: u32 = 1_000;
/// How often a number is looked for that nobody else has taken meanwhile.
const MOST_TRIES: u32 = 50;

const IS_UNDECIDED: &str = "attribute_not_exists(pk) OR outcome = :parked";
const IS_NEW: &str = "attribute_not_exists(pk)";

/// What became of a delivery, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutcomeRecord {
    /// What became of it.
    pub outcome: Outcome,
    /// What was understood of it, as the bus is told it; `None` for what has no event of its own there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<BusEvent>,
    /// Of what is parked: who asked for new runs, which it goes on as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<Rerun>,
    /// What was found out about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
}

impl OutcomeRecord {
    /// What became of a delivery, and what the bus is told of it.
    #[must_use]
    pub fn new(outcome: Outcome, event: Option<BusEvent>) -> Self {
        Self {
            outcome,
            event,
            rerun: None,
            compared: None,
        }
    }
}

/// A redelivery, as it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct AskedAgain<'a> {
    /// Which runs it is to make.
    pub new_runs: NewRuns,
    /// What tells this wish from every other one for the same delivery: the same again is the same redelivery.
    pub request: &'a str,
}

/// Which runs a redelivery is to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewRuns {
    /// Those that were missed.
    None,
    /// New ones, also of what has had its runs.
    OfDelivery,
    /// The same; of what several deliveries of the wish tell of, one.
    OfWish,
}

/// A redelivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redelivery {
    /// Its number: redeliveries of one delivery are counted from 1.
    pub number: u32,
    /// Who asks for new runs by it; `None` where it makes those that were missed.
    pub rerun: Option<Rerun>,
}

/// What became of asking for a redelivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is asked for, or was before.
    Yes(Redelivery),
    /// It was asked for [as often as may be](MOST_REDELIVERIES).
    TooOften,
}

/// An event for the bus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BusEvent {
    /// The `detail-type`.
    pub detail_type: String,
    /// The `detail`, by its schema in `events/schemas`.
    pub detail: serde_json::Value,
}

/// A delivery that is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Its keys.
    pub id: DeliveryId,
    /// When it reached us.
    pub received: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
struct OutcomeItem {
    pk: String,
    sk: String,
    outcome: OutcomeWord,
    expires: i64,
    /// An [`OutcomeRecord`] as JSON, in the form that the `body` module writes.
    record: ByteBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attention: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    received: Option<i64>,
}

#[derive(Debug, Serialize)]
struct RedeliveryItem {
    pk: String,
    sk: String,
    /// Its number: the stream's filter knows a redelivery by it.
    redelivery: u32,
    rerun: bool,
    /// Whether the new runs are the wish's, not the delivery's.
    of_wish: bool,
    request: String,
    asked_at: i64,
    expires: i64,
}

/// What is read of a redelivery; the first had nothing but the number.
#[derive(Debug, Deserialize)]
struct RedeliveryRead {
    redelivery: u32,
    #[serde(default)]
    rerun: bool,
    #[serde(default)]
    of_wish: bool,
    #[serde(default)]
    request: String,
}

impl RedeliveryRead {
    fn is(&self) -> Redelivery {
        let redelivery = self.redelivery;
        let rerun = match self.of_wish {
            true => Rerun::Wish {
                redelivery,
                wish: self.request.clone(),
            },
            false => Rerun::Redelivery(redelivery),
        };
        Redelivery {
            number: redelivery,
            rerun: self.rerun.then_some(rerun),
        }
    }
}

#[derive(Debug, Deserialize)]
struct ParkedItem {
    pk: String,
    sk: String,
    received: i64,
}

/// What an item of the events table is that its stream tells of.
#[derive(Clone, Debug, PartialEq)]
pub enum EventsImage {
    /// A delivery's own item.
    Delivery(DeliveryId),
    /// A redelivery of this one.
    Redelivery(DeliveryId, Redelivery),
    /// What became of this one.
    Outcome(DeliveryId, Box<OutcomeRecord>),
    /// A part of a large body.
    Other,
}

/// What an image of the table's stream is.
///
/// # Errors
///
/// [`StoreError::Unreadable`] for an outcome or a redelivery that this version cannot read.
pub fn events_image(image: &serde_dynamo::Item) -> Result<EventsImage, StoreError> {
    let item: HashMap<String, AttributeValue> = image.clone().into();
    let part = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
    let (Some(pk), Some(sk)) = (part(PARTITION), part(SORT)) else {
        return Ok(EventsImage::Other);
    };
    if item.contains_key("outcome") {
        let Some(id) = DeliveryId::beside_which(&pk, &sk) else {
            return Ok(EventsImage::Other);
        };
        let record = unpack(&from_item::<OutcomeItem>(item)?.record)?;
        return Ok(EventsImage::Outcome(id, Box::new(record)));
    }
    if item.contains_key("redelivery") {
        let Some(id) = DeliveryId::beside_which(&pk, &sk) else {
            return Ok(EventsImage::Other);
        };
        let redelivery = from_item::<RedeliveryRead>(item)?.is();
        return Ok(EventsImage::Redelivery(id, redelivery));
    }
    if item.contains_key("kind") {
        return Ok(EventsImage::Delivery(DeliveryId::stored(pk, sk)));
    }
    Ok(EventsImage::Other)
}

fn unpack(stored: &[u8]) -> Result<OutcomeRecord, StoreError> {
    let json =
        body::decode(stored, LARGEST).map_err(|error| StoreError::Unreadable(error.to_string()))?;
    serde_json::from_slice(&json).map_err(|error| StoreError::Unreadable(error.to_string()))
}

impl Store {
    /// Writes what became of a delivery: the first decision counts, unless that was to park it, or `again` says that somebody
    /// has asked anew. Whether it was written.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written: the same call again is safe.
    pub async fn record_outcome(
        &self,
        id: &DeliveryId,
        received: Timestamp,
        record: &OutcomeRecord,
        retention: SignedDuration,
        again: bool,
    ) -> Result<bool, StoreError> {
        let json = serde_json::to_vec(record)
            .map_err(|error| StoreError::Unreadable(error.to_string()))?;
        if json.len() > LARGEST {
            return Err(StoreError::Unreadable(
                "the outcome is too large".to_owned(),
            ));
        }
        let word = record.outcome.word;
        let is_parked = word == OutcomeWord::Parked;
        let item = to_item(&OutcomeItem {
            pk: id.partition().to_owned(),
            sk: id.outcome_sort(),
            outcome: word,
            expires: received.as_second() + retention.as_secs(),
            record: ByteBuf::from(body::encode(&json)),
            attention: is_parked.then(|| keys::attention(id.integration(), PARKED)),
            received: is_parked.then(|| received.as_microsecond()),
        })?;
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.events)
            .set_item(Some(item));
        let put = if again {
            put
        } else {
            put.condition_expression(IS_UNDECIDED)
                .expression_attribute_values(":parked", text(PARKED))
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(StoreError::from_sdk(
                "write what became of a delivery",
                error,
            )),
        }
    }

    /// What became of a delivery; `None` while nothing has.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be read.
    pub async fn outcome(&self, id: &DeliveryId) -> Result<Option<OutcomeRecord>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.events)
            .key(PARTITION, text(id.partition()))
            .key(SORT, text(&id.outcome_sort()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::from_sdk("read what became of a delivery", error))?;
        let Some(item) = answer.item else {
            return Ok(None);
        };
        unpack(&from_item::<OutcomeItem>(item)?.record).map(Some)
    }

    /// What became of several deliveries; of which nothing has is left out.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where they cannot be read.
    pub async fn outcomes(
        &self,
        ids: &[DeliveryId],
    ) -> Result<HashMap<DeliveryId, OutcomeRecord>, StoreError> {
        let key = |id: &DeliveryId| {
            HashMap::from([
                (PARTITION.to_owned(), text(id.partition())),
                (SORT.to_owned(), text(&id.outcome_sort())),
            ])
        };
        let keys = ids.iter().map(key).collect();
        let doing = "read what became of deliveries";
        let mut records = HashMap::new();
        for item in self.batch(&self.tables.events, keys, doing).await? {
            let item: OutcomeItem = from_item(item)?;
            if let Some(id) = DeliveryId::beside_which(&item.pk, &item.sk) {
                records.insert(id, unpack(&item.record)?);
            }
        }
        Ok(records)
    }

    /// What is parked of an integration, newest first, received from `from` to `until`: at most `most`. Read from an index, so a
    /// moment behind.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where it cannot be read.
    pub async fn parked(
        &self,
        integration: &IntegrationName,
        (from, until): (Timestamp, Timestamp),
        most: usize,
    ) -> Result<Vec<Parked>, StoreError> {
        let number = |moment: Timestamp| AttributeValue::N(moment.as_microsecond().to_string());
        let mut items = self
            .client
            .query()
            .table_name(&self.tables.events)
            .index_name(ATTENTION)
            .key_condition_expression("attention = :kind AND received BETWEEN :from AND :until")
            .expression_attribute_values(
                ":kind",
                text(&keys::attention(integration.as_str(), PARKED)),
            )
            .expression_attribute_values(":from", number(from))
            .expression_attribute_values(":until", number(until))
            .scan_index_forward(false)
            .into_paginator()
            .items()
            .send();
        let mut parked = Vec::new();
        while parked.len() < most
            && let Some(item) = items.next().await
        {
            let item = item.map_err(|error| StoreError::from_sdk("list what is parked", error))?;
            let item: ParkedItem = from_item(item)?;
            let received = Timestamp::from_microsecond(item.received)
                .map_err(|error| StoreError::Unreadable(error.to_string()))?;
            parked.extend(
                DeliveryId::beside_which(&item.pk, &item.sk).map(|id| Parked { id, received }),
            );
        }
        Ok(parked)
    }

    /// Asks for a delivery to be dispatched again, by an item beside it, which the stream tells of. The same request again
    /// gives the redelivery that it has made; requests at the same time have numbers of their own.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where that may or may not be written: the same call again is safe.
    pub async fn redeliver(
        &self,
        delivery: &DeliveryHead,
        asked: AskedAgain<'_>,
        retention: SignedDuration,
        now: Timestamp,
    ) -> Result<Asked, StoreError> {
        let id = &delivery.id;
        for _try in 0..MOST_TRIES {
            let before = self.redeliveries(id).await?;
            if let Some(same) = before.iter().find(|it| it.request == asked.request) {
                return Ok(Asked::Yes(same.is()));
            }
            let last = before.iter().map(|it| it.redelivery).max();
            let number = last.unwrap_or_default() + 1;
            if number > MOST_REDELIVERIES {
                return Ok(Asked::TooOften);
            }
            let item = RedeliveryItem {
                pk: id.partition().to_owned(),
                sk: id.redelivery_sort(number),
                redelivery: number,
                rerun: asked.new_runs != NewRuns::None,
                of_wish: asked.new_runs == NewRuns::OfWish,
                request: asked.request.to_owned(),
                asked_at: now.as_microsecond(),
                expires: delivery.received.as_second() + retention.as_secs(),
            };
            let put = self
                .client
                .put_item()
                .table_name(&self.tables.events)
                .set_item(Some(to_item(&item)?))
                .condition_expression(IS_NEW);
            match put.send().await {
                Ok(_) => {
                    let written = RedeliveryRead {
                        redelivery: number,
                        rerun: item.rerun,
                        of_wish: item.of_wish,
                        request: item.request,
                    };
                    return Ok(Asked::Yes(written.is()));
                }
                // By somebody else, or by this very call, whose first answer was lost: the next look tells.
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(PutItemError::is_conditional_check_failed_exception) => {}
                Err(error) => return Err(StoreError::from_sdk("ask for a redelivery", error)),
            }
        }
        Err(StoreError::Unreadable(
            "every number that was tried was taken meanwhile".to_owned(),
        ))
    }

    /// The redeliveries of a delivery.
    async fn redeliveries(&self, id: &DeliveryId) -> Result<Vec<RedeliveryRead>, StoreError> {
        let mut items = self
            .client
            .query()
            .table_name(&self.tables.events)
            .key_condition_expression("pk = :partition AND begins_with(sk, :redeliveries)")
            .expression_attribute_values(":partition", text(id.partition()))
            .expression_attribute_values(":redeliveries", text(&id.redeliveries()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut all = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| StoreError::from_sdk("count redeliveries", error))?;
            all.push(from_item(item)?);
        }
        Ok(all)
    }
}
