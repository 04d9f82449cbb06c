//! From a body to what is stored: its keys, its kind, and the reason where it is not understood.

use domain::IntegrationName;
use envelope::Notification;
use jiff::{SignedDuration, Timestamp};
use store::{
    DeliveryId, DeliveryKind, LARGEST_BODY, NewDelivery, OVERSIZE_HEAD, keys::EventIdentity,
};

/// What is stored of a body.
pub(crate) fn understand<'a>(
    name: &IntegrationName,
    body: &'a [u8],
    received: Timestamp,
    retention: SignedDuration,
) -> NewDelivery<'a> {
    if body.len() > LARGEST_BODY {
        let reason = format!(
            "the body has {} bytes, more than the {LARGEST_BODY} that are kept whole; the first {OVERSIZE_HEAD} are there",
            body.len()
        );
        return NewDelivery {
            kind: DeliveryKind::Oversize,
            ..quarantined(name, body, received, retention, &reason)
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
        },
        Err(unreadable) => quarantined(name, body, received, retention, &unreadable.to_string()),
    }
}

/// A body that is kept byte for byte, with the reason why nothing else is done with it.
pub(crate) fn quarantined<'a>(
    name: &IntegrationName,
    body: &'a [u8],
    received: Timestamp,
    retention: SignedDuration,
    reason: &str,
) -> NewDelivery<'a> {
    NewDelivery {
        id: DeliveryId::of_bytes(name, body, received),
        kind: DeliveryKind::Quarantined,
        received,
        retention,
        body,
        reason: Some(reason.to_owned()),
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
