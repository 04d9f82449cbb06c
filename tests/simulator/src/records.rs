//! What the simulator saw and sent, kept for tests to look at.
//! Never a credential: of requests only the names of their headers are kept, and deliveries are kept without theirs.

use std::collections::VecDeque;

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// A REST request that came in.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct RecordedRequest {
    /// When it came, on the simulator's clock.
    pub at: String,
    /// The HTTP method.
    pub method: String,
    /// The path with its query, as it was sent.
    pub path: String,
    /// The names of its headers, in lower case. Never their values.
    pub headers: Vec<String>,
    /// The kind of token it came with, if it is one that is known.
    pub token: Option<String>,
    /// The status it was answered with; none when the connection was dropped.
    pub status: Option<u16>,
    /// The fault that was switched on for it.
    pub fault: Option<String>,
}

/// One attempt to deliver a notification.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct RecordedDelivery {
    /// When it was sent, on the simulator's clock.
    pub at: String,
    /// The organization it was sent for.
    pub organization: String,
    /// The subscription, all zeros for an unsaved one's test.
    pub subscription_id: Uuid,
    /// The notification's number.
    pub notification_id: u32,
    /// The event's id.
    pub event_id: Uuid,
    /// The event's type.
    pub event_type: String,
    /// Counts from 1 within a notification.
    pub attempt: u32,
    /// Whether it is the second of two requests for the same attempt, a fault of the sender.
    pub duplicate: bool,
    /// Whether the Test button sent it.
    pub test: bool,
    /// Where it was sent.
    pub url: String,
    /// The bytes that were sent.
    #[serde(serialize_with = "as_text")]
    pub body: Vec<u8>,
    /// The status that came back; none when no answer did.
    pub status: Option<u16>,
    /// Why no answer came.
    pub error: Option<String>,
    /// How long the answer took.
    pub milliseconds: u64,
}

fn as_text<S: Serializer>(body: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}

/// The latest requests and deliveries.
pub(crate) struct Records {
    keep: usize,
    pub(crate) requests: VecDeque<RecordedRequest>,
    pub(crate) deliveries: VecDeque<RecordedDelivery>,
    /// How many of either were dropped for younger ones since they were last cleared.
    pub(crate) forgotten_requests: usize,
    pub(crate) forgotten_deliveries: usize,
}

impl Records {
    pub(crate) fn new(keep: usize) -> Self {
        Self {
            keep,
            requests: VecDeque::new(),
            deliveries: VecDeque::new(),
            forgotten_requests: 0,
            forgotten_deliveries: 0,
        }
    }

    pub(crate) fn request(&mut self, it: RecordedRequest) {
        self.forgotten_requests += push(&mut self.requests, it, self.keep);
    }

    pub(crate) fn delivery(&mut self, it: RecordedDelivery) {
        self.forgotten_deliveries += push(&mut self.deliveries, it, self.keep);
    }

    pub(crate) fn clear_requests(&mut self) {
        self.requests.clear();
        self.forgotten_requests = 0;
    }

    pub(crate) fn clear_deliveries(&mut self) {
        self.deliveries.clear();
        self.forgotten_deliveries = 0;
    }
}

/// Adds one, and says how many had to make room for it.
fn push<T>(list: &mut VecDeque<T>, it: T, keep: usize) -> usize {
    list.push_back(it);
    let too_many = list.len().saturating_sub(keep);
    list.drain(..too_many);
    too_many
}
