//! A delivery as it is shown. Summary and repository are read out of the body here; nothing of them is stored.

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{Outcome, OutcomeWord, event::Repository, summary};
use envelope::Notification;
use serde_json::{Value, json};
use store::{Delivery, DeliveryHead, DeliveryKind, keys};

/// A delivery with its body understood, once.
pub struct Read<'a> {
    delivery: &'a Delivery,
    notification: Option<Notification>,
}

impl<'a> Read<'a> {
    /// Understands its body.
    #[must_use]
    pub fn new(delivery: &'a Delivery) -> Self {
        Self {
            delivery,
            notification: envelope::parse(&delivery.body).ok(),
        }
    }

    /// Its keys, kind and receipt.
    #[must_use]
    pub fn head(&self) -> &'a DeliveryHead {
        &self.delivery.head
    }

    /// What was understood of it; `None` where nothing was.
    #[must_use]
    pub fn notification(&self) -> Option<&Notification> {
        self.notification.as_ref()
    }

    /// The same, to be kept.
    #[must_use]
    pub fn into_notification(self) -> Option<Notification> {
        self.notification
    }

    /// Whether it happened in the repository that `wanted` names: by id, name, or project and name.
    pub(crate) fn is_in(&self, wanted: &str) -> bool {
        let Some(repository) = self.repository() else {
            return false;
        };
        let is = |known: &Option<String>| {
            known
                .as_deref()
                .is_some_and(|known| known.eq_ignore_ascii_case(wanted))
        };
        is(&repository.id)
            || is(&repository.name)
            || full_name(repository).eq_ignore_ascii_case(wanted)
    }

    /// Whether it is an event of that type.
    pub(crate) fn is_of_type(&self, wanted: &str) -> bool {
        self.notification
            .as_ref()
            .is_some_and(|notification| notification.event_type.as_str() == wanted)
    }

    fn repository(&self) -> Option<&Repository> {
        self.notification.as_ref()?.event.repository()
    }

    /// It in words.
    #[must_use]
    pub fn summary(&self) -> String {
        let kind = self.delivery.head.kind;
        match (kind, &self.notification) {
            (DeliveryKind::Event, Some(notification)) => {
                summary::of(&notification.event_type, &notification.event)
            }
            (DeliveryKind::Test, Some(notification)) => {
                summary::of_test(&notification.event_type, &notification.event)
            }
            (DeliveryKind::Oversize, _) => format!("Too large to be kept whole: {}", self.reason()),
            _ => format!("Quarantined: {}", self.reason()),
        }
    }

    fn reason(&self) -> &str {
        self.delivery
            .reason
            .as_deref()
            .unwrap_or("the body cannot be understood")
    }

    /// The row of a list. `decided` is what became of it, where more is known of that than the word at its head.
    pub(crate) fn row(&self, decided: Option<&Outcome>) -> Value {
        let head = &self.delivery.head;
        let mut row = json!({
            "id": head.id.to_string(),
            "integration": head.id.integration(),
            "receivedAt": edge::http::moment(head.received),
            "summary": self.summary(),
            "outcome": outcome(head),
        });
        if head.recovered {
            row["recovered"] = json!(true);
        }
        if let Some(notification) = &self.notification {
            row["eventType"] = json!(summary::plain(notification.event_type.as_str()));
            row["eventId"] = json!(notification.event_id.as_deref().map(summary::plain));
        }
        if let Some(repository) = self.repository() {
            row["repository"] = json!(summary::plain(&full_name(repository)));
            row["repositoryId"] = json!(repository.id.as_deref().map(summary::plain));
        }
        if self.delivery.reason.is_some() {
            row["reason"] = json!(self.reason());
        }
        if let Some(decided) = decided {
            row["outcome"] = json!(decided.word.as_str());
            if let (OutcomeWord::Parked, Some(note)) = (decided.word, &decided.note) {
                row["reason"] = json!(note);
            }
        }
        row
    }
}

/// Every word for what becomes of a delivery.
pub(crate) const OUTCOMES: [&str; 7] = [
    "stored",
    "dispatched",
    "ignored",
    "quarantined",
    "oversize",
    "parked",
    "test",
];

/// The word for what became of a delivery: what was decided, or as long as nothing is, what it is.
pub(crate) fn outcome(head: &DeliveryHead) -> &'static str {
    match head.outcome {
        Some(word) => word.as_str(),
        None => undecided(head.kind),
    }
}

/// The word for a delivery on which nothing is decided.
pub(crate) fn undecided(kind: DeliveryKind) -> &'static str {
    match kind {
        DeliveryKind::Event => "stored",
        DeliveryKind::Test => "test",
        DeliveryKind::Quarantined => "quarantined",
        DeliveryKind::Oversize => "oversize",
    }
}

/// Why a delivery cannot be dispatched again; `None` for an event.
#[must_use]
pub fn no_event(kind: DeliveryKind) -> Option<&'static str> {
    match kind {
        DeliveryKind::Event => None,
        DeliveryKind::Test => {
            Some("only an event can be dispatched: this is a sample that the Test button sent")
        }
        DeliveryKind::Quarantined => Some(
            "only an event can be dispatched: this could not be understood, and its reason says why",
        ),
        DeliveryKind::Oversize => Some(
            "only an event can be dispatched: this was too large to be kept whole, and its reason says how large",
        ),
    }
}

/// The longest payload that is shown as text, in bytes of the answer: a function URL's has at most 6 MB.
const LONGEST_TEXT: usize = 5_000_000;

/// Whether a text may stand in an answer, where it is escaped twice: in the body's JSON, and that in the Lambda runtime's.
fn fits_an_answer(text: &str) -> bool {
    let twice = serde_json::to_string(text).and_then(|once| serde_json::to_string(&once));
    twice.is_ok_and(|twice| twice.len() <= LONGEST_TEXT)
}

/// A delivery with what became of it, and its body exactly as received: as text where it is text and fits, else as base64.
pub(crate) fn whole(delivery: &Delivery, decided: Option<&Outcome>) -> Value {
    let read = Read::new(delivery);
    let mut body = read.row(decided);
    if let Some(decided) = decided {
        body["decidedAt"] = json!(edge::http::moment(decided.decided_at));
        body["decisions"] = json!(decided.decisions);
        if let Some(note) = &decided.note {
            body["note"] = json!(note);
        }
    }
    let (payload, encoding) = match std::str::from_utf8(&delivery.body) {
        Ok(text) if fits_an_answer(text) => (text.to_owned(), "utf-8"),
        _ => (STANDARD.encode(&delivery.body), "base64"),
    };
    body["payload"] = json!(payload);
    body["payloadEncoding"] = json!(encoding);
    body["payloadSize"] = json!(delivery.size);
    if let Some(sha256) = &delivery.sha256 {
        body["payloadSha256"] = json!(keys::hex(sha256));
    }
    if let Some(notification) = &read.notification {
        body["createdDate"] = json!(notification.created_date.map(edge::http::moment));
        body["subscriptionId"] = json!(notification.subscription_id);
        body["notificationId"] = json!(notification.notification_id);
    }
    body
}

/// `Project/repository`, as far as it is known.
fn full_name(repository: &Repository) -> String {
    let parts = [&repository.project_name, &repository.name];
    let known: Vec<&str> = parts
        .into_iter()
        .filter_map(|part| part.as_deref())
        .collect();
    known.join("/")
}
