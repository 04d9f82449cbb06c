//! From a body to what is stored: its keys, its kind, and the reason where it is not understood. Whatever is stored as a delivery
//! comes through here, also what `reconcile` finds again.

use std::panic::AssertUnwindSafe;

use domain::IntegrationName;
use envelope::Notification;
use jiff::{SignedDuration, Timestamp};
use store::{
    DeliveryId, DeliveryKind, LARGEST_BODY, NewDelivery, OVERSIZE_HEAD, Recorded, Store,
    StoreError, keys::EventIdentity,
};

/// A body that is to be kept as a delivery.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The integration that it is for.
    pub name: &'a IntegrationName,
    /// It, byte for byte.
    pub body: &'a [u8],
    /// When it reached us, or was found.
    pub received: Timestamp,
    /// How long it is kept.
    pub retention: SignedDuration,
    /// Whether it never reached us and was found again.
    pub recovered: bool,
}

/// What became of keeping a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is stored now.
    Stored(DeliveryKind),
    /// It is stored beside another delivery that has the same keys and says something else.
    Beside(DeliveryKind),
    /// It was stored before.
    Duplicate(DeliveryKind),
}

/// Keeps a body, whatever it is: understood, quarantined, or of what is too large the beginning. Gives its keys, too.
///
/// # Errors
///
/// [`StoreError`] where it may or may not be stored: the same call again is safe.
pub async fn keep(store: &Store, arrival: &Arrival<'_>) -> Result<(Kept, DeliveryId), StoreError> {
    let body = arrival.body;
    // A body that made it panic would do so each time it is sent again.
    let understood = std::panic::catch_unwind(AssertUnwindSafe(|| understand(arrival)));
    let mut delivery = understood.unwrap_or_else(|_panic| {
        tracing::error!("a body made the parser panic; it is kept as quarantined");
        quarantined(arrival, "understanding it failed")
    });
    let recorded = match store.record_delivery(&delivery).await {
        // It would come again for ever: what is kept instead has keys that cannot be wrong.
        Err(StoreError::Refused { source, .. }) => {
            tracing::error!(cause = %source, "DynamoDB refuses a delivery; it is kept as quarantined");
            delivery = quarantined(arrival, "the store refused its keys");
            store.record_delivery(&delivery).await?
        }
        recorded => recorded?,
    };
    let kept = match recorded {
        Recorded::New => Kept::Stored(delivery.kind),
        Recorded::Again => Kept::Duplicate(delivery.kind),
        Recorded::Other(Some(existing)) if envelope::same_resource(&existing, body) => {
            Kept::Duplicate(delivery.kind)
        }
        Recorded::Other(_) => {
            tracing::warn!("another delivery has the same keys; this one is stored beside it");
            delivery.id = delivery.id.beside(body);
            match store.record_delivery(&delivery).await? {
                Recorded::New => Kept::Beside(delivery.kind),
                Recorded::Again | Recorded::Other(_) => Kept::Duplicate(delivery.kind),
            }
        }
    };
    Ok((kept, delivery.id))
}

/// What is stored of a body.
fn understand<'a>(arrival: &Arrival<'a>) -> NewDelivery<'a> {
    let Arrival {
        name,
        body,
        received,
        retention,
        recovered,
    } = *arrival;
    if body.len() > LARGEST_BODY {
        let reason = format!(
            "the body has {} bytes, more than the {LARGEST_BODY} that are kept whole; the first {OVERSIZE_HEAD} are there",
            body.len()
        );
        return NewDelivery {
            kind: DeliveryKind::Oversize,
            ..quarantined(arrival, &reason)
        };
    }
    match envelope::parse(body) {
        Ok(notification) => NewDelivery {
            id: keys(name, &notification, body, received),
            kind: if notification.is_test {
                DeliveryKind::Test
            } else {
                DeliveryKind::Event
            },
            received,
            retention,
            body,
            reason: None,
            recovered,
        },
        Err(unreadable) => quarantined(arrival, &unreadable.to_string()),
    }
}

/// A body that is kept byte for byte, with the reason why nothing else is done with it.
fn quarantined<'a>(arrival: &Arrival<'a>, reason: &str) -> NewDelivery<'a> {
    NewDelivery {
        id: DeliveryId::of_bytes(arrival.name, arrival.body, arrival.received),
        kind: DeliveryKind::Quarantined,
        received: arrival.received,
        retention: arrival.retention,
        body: arrival.body,
        reason: Some(reason.to_owned()),
        recovered: arrival.recovered,
    }
}

fn keys(
    name: &IntegrationName,
    notification: &Notification,
    body: &[u8],
    received: Timestamp,
) -> DeliveryId {
    let identity = EventIdentity {
        created_date: notification.created_date,
        event_type: notification.event_type.as_str(),
        event_id: notification.event_id.as_deref(),
    };
    let id = DeliveryId::of_event(name, identity, body, received);
    if notification.is_test {
        id.at_receipt(received)
    } else {
        id
    }
}
