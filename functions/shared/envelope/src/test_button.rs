//! What gives away a send by the Test button of Azure DevOps' service hooks page: its samples carry constant ids.
//! Source: facts 3.4, from captured test sends.

use crate::wire::Envelope;

/// The account of every sample.
const ACCOUNT: &str = "f844ec47-a9db-4511-8281-8b63f4eaf94e";

/// The event ids of the samples: push; pull request created, merged, updated (and, with the same id, commented on).
const EVENT_IDS: [&str; 4] = [
    "03c164c2-8912-4d5e-8009-3707d5f83734",
    "2ab4e3d3-b7a6-425e-92b1-5a9982c1269e",
    "6872ee8c-b333-4eff-bfb9-0d5274943566",
    "af07be1b-f3ad-44c8-a7f1-c4835f2df06b",
];

/// Whether the Test button sent it.
pub(crate) fn sent(envelope: &Envelope<'_>) -> bool {
    envelope
        .account_id()
        .is_some_and(|id| id.eq_ignore_ascii_case(ACCOUNT))
        || envelope.id.as_deref().is_some_and(|id| {
            EVENT_IDS
                .iter()
                .any(|sample| id.eq_ignore_ascii_case(sample))
        })
}
