//! Every key, index and attribute name of the tables, and the rules that keys are made by. Nothing here calls DynamoDB.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Guid, IntegrationName, RunId, StackName};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use sha2::{Digest, Sha256};

/// The partition key of all tables.
pub const PARTITION: &str = "pk";
/// The sort key of all tables.
pub const SORT: &str = "sk";

/// The sort key of an integration's own item; its partition is its name.
pub const INTEGRATION: &str = "integration";
/// What the sort keys of an integration's service hooks begin with; the subscription's id follows.
pub(crate) const SERVICE_HOOKS: &str = "service-hook#";
/// The sort key, in an integration's partition, of how far the care for it has got.
pub(crate) const PROGRESS: &str = "progress";
/// The sort key of a stack's own item; its partition is `stack#<name>`.
pub const STACK: &str = "stack";
/// The sparse index that lists integrations in their table and stacks in theirs, and its partition attribute: an own item of
/// either has it with the value of its sort key, [`INTEGRATION`] or [`STACK`].
pub const DIRECTORY: &str = "directory";

/// The sparse index of the stacks table that has what is linked to an integration.
///
/// Its partition attribute is [`LINKED`], with the integration's name, which a detached stack does not have; its sort attribute
/// is made by `follows`.
pub const FOLLOWERS: &str = "followers";
/// The partition attribute of the index [`FOLLOWERS`].
pub const LINKED: &str = "linked";

/// The sort key of a run's own item; its partition is `run#<id>`.
pub const RUN: &str = "run";
/// The sort key of what was reported of a run, in the run's partition.
pub(crate) const REPORT: &str = "report";
/// The sparse index that lists the runs of a stack: `run_of`, the stack's name, and `requested`.
pub const RUNS: &str = "runs";
/// The sparse index that lists all runs: `month`, and `requested`.
pub const TIMELINE: &str = "timeline";
/// The sparse index of the runs that are queued or running: `open`, the integration's name, and `concerns`, which `concerns`
/// makes.
pub const OPEN: &str = "open";
/// The month in which the first run can have been: nothing reads further back.
pub(crate) const FIRST_MONTH: &str = "2026-11";

/// The sort key, in the partition that `seen` makes, of the push up to which a repository was compared.
pub(crate) const COMPARED: &str = "compared";
/// What the sort keys of pull requests that were seen begin with.
pub(crate) const SEEN_PULL_REQUESTS: &str = "pull-request#";
/// What the sort keys of pushes that were seen begin with.
const SEEN_PUSHES: &str = "push#";

/// What the sort key of a delivery's outcome ends in, after the delivery's own.
const OUTCOME: &str = "#outcome";
/// What the sort key of a redelivery has between the delivery's own and its number.
const REDELIVERY: &str = "#redelivery#";

/// The sparse index of the events table that has what a person should see, and its partition attribute, which `attention`
/// makes; it is sorted by receipt.
pub const ATTENTION: &str = "attention";

/// How many partitions a day of an integration has: enough for 8,000 deliveries in one second.
pub const SHARDS: u8 = 8;
/// A `createdDate` older than this at receipt gives way to the day of receipt: a list could not find it otherwise.
const OLDEST: SignedDuration = SignedDuration::from_hours(48);
/// A `createdDate` further ahead than this at receipt gives way, too: it is wrong.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);
/// The most days between the day a delivery is filed under and the day of its receipt, which follows from `OLDEST`.
pub const DAYS_FILED_BEFORE_RECEIPT: i8 = 2;
/// Event types longer than this, or of other characters than `A-Z a-z 0-9 . _ -`, stand in a key as their digest.
const LONGEST_EVENT_TYPE: usize = 128;

/// The keys of a delivery; as text, their base64url: opaque to callers, and checked when it comes back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    partition: String,
    sort: String,
}

/// A text that is no delivery's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no delivery's id; take one from the list of deliveries")]
pub struct InvalidDeliveryId;

/// What an event says of itself: the part of a payload that is the same each time it is sent.
#[derive(Clone, Copy, Debug)]
pub struct EventIdentity<'a> {
    /// When Azure DevOps made the notification.
    pub created_date: Option<Timestamp>,
    /// The event's type.
    pub event_type: &'a str,
    /// The event's id.
    pub event_id: Option<&'a str>,
}

impl DeliveryId {
    /// The keys of an event: made of the payload alone, so that a retry, or the same event through another subscription,
    /// meets its own record.
    #[must_use]
    pub fn of_event(
        integration: &IntegrationName,
        identity: EventIdentity<'_>,
        body: &[u8],
        received: Timestamp,
    ) -> Self {
        let event_id = match identity.event_id {
            Some(id) if is_guid(id) => id.to_ascii_lowercase(),
            Some(id) if !is_nothing(id) => hex_digest(id.as_bytes()),
            _ => hex_digest(body),
        };
        let created = identity.created_date.filter(|created| {
            received.duration_since(*created) <= OLDEST && created.duration_since(received) <= AHEAD
        });
        let Some(created) = created else {
            return Self::of_bytes(integration, body, received);
        };
        let event_type = if is_plain_event_type(identity.event_type) {
            identity.event_type.to_owned()
        } else {
            hex_digest(identity.event_type.as_bytes())
        };
        let shard = Sha256::digest(event_id.as_bytes())[0] % SHARDS;
        Self {
            partition: partition(integration, day_of(created), shard),
            sort: format!("{}#{event_type}#{event_id}", seven_digits(created)),
        }
    }

    /// The keys of bytes that do not tell what they are: their digest, on the day of their receipt.
    #[must_use]
    pub fn of_bytes(integration: &IntegrationName, body: &[u8], received: Timestamp) -> Self {
        let digest = Sha256::digest(body);
        Self {
            partition: partition(integration, day_of(received), digest[0] % SHARDS),
            sort: format!("~{}", hex(&digest)),
        }
    }

    /// The keys of a send by the Test button, which repeats its ids: they carry the time of receipt, so that each is shown.
    #[must_use]
    pub fn at_receipt(self, received: Timestamp) -> Self {
        Self {
            sort: format!("{}#{}", self.sort, seven_digits(received)),
            ..self
        }
    }

    /// The keys beside these, for a delivery that has these keys but says something else.
    #[must_use]
    pub fn beside(self, body: &[u8]) -> Self {
        Self {
            sort: format!("{}#~{}", self.sort, hex_digest(body)),
            ..self
        }
    }

    /// The partition key.
    #[must_use]
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// The sort key.
    #[must_use]
    pub fn sort(&self) -> &str {
        &self.sort
    }

    /// The integration it belongs to, as the partition key says.
    #[must_use]
    pub fn integration(&self) -> &str {
        self.partition.split('#').next().unwrap_or_default()
    }

    /// The event type, where the sort key has it in clear.
    #[must_use]
    pub fn event_type(&self) -> Option<&str> {
        let event_type = self
            .sort
            .strip_prefix(|first: char| first.is_ascii_digit())?
            .split('#')
            .nth(1)?;
        (!is_hex_digest(event_type)).then_some(event_type)
    }

    /// The sort key of what became of it, in its partition.
    #[must_use]
    pub(crate) fn outcome_sort(&self) -> String {
        format!("{}{OUTCOME}", self.sort)
    }

    /// The sort key of its `number`th redelivery, in its partition.
    #[must_use]
    pub(crate) fn redelivery_sort(&self, number: u32) -> String {
        format!("{}{REDELIVERY}{number:06}", self.sort)
    }

    /// What the sort keys of its redeliveries begin with.
    #[must_use]
    pub(crate) fn redeliveries(&self) -> String {
        format!("{}{REDELIVERY}", self.sort)
    }

    /// The delivery that an item lies beside, by that item's keys: its outcome, or a redelivery.
    #[must_use]
    pub(crate) fn beside_which(partition: &str, sort: &str) -> Option<Self> {
        let own = sort
            .strip_suffix(OUTCOME)
            .or_else(|| sort.split_once(REDELIVERY).map(|(own, _)| own))?;
        Some(Self::stored(partition.to_owned(), own.to_owned()))
    }

    /// The partition key of part `number` of a large body: each part has a partition of its own.
    #[must_use]
    pub fn part(&self, number: usize) -> String {
        let digest = hex_digest(format!("{}\n{}", self.partition, self.sort).as_bytes());
        format!("{digest}#part#{number}")
    }

    /// Keys as they stand in an item.
    #[must_use]
    pub(crate) fn stored(partition: String, sort: String) -> Self {
        Self { partition, sort }
    }
}

/// Between which sort keys deliveries lie whose `createdDate` is in a time, with what lies beside them.
#[must_use]
pub(crate) fn created_between(from: Timestamp, until: Timestamp) -> (String, String) {
    (seven_digits(from), format!("{}~", seven_digits(until)))
}

/// The partition of an integration, a day and a shard.
#[must_use]
pub fn partition(integration: &IntegrationName, day: Date, shard: u8) -> String {
    format!("{integration}#{day}#{shard}")
}

/// The partition of an integration and a kind of deliveries, `quarantined` for one, in the index [`ATTENTION`].
#[must_use]
pub(crate) fn attention(integration: &str, kind: &str) -> String {
    format!("{integration}#{kind}")
}

/// The partition key of a stack.
#[must_use]
pub(crate) fn stack(name: &StackName) -> String {
    format!("{STACK}#{name}")
}

/// The sort attribute of a stack in the index [`FOLLOWERS`]: what follows one repository lies together.
#[must_use]
pub(crate) fn follows(repository: &Guid, name: &StackName) -> String {
    format!("{repository}#{name}")
}

/// What the sort attributes of all stacks that follow a repository begin with.
#[must_use]
pub(crate) fn followed(repository: &Guid) -> String {
    format!("{repository}#")
}

/// The partition key of a run.
#[must_use]
pub(crate) fn run(id: &RunId) -> String {
    format!("{RUN}#{id}")
}

/// The sort key, in a stack's partition, of the last push of a ref that had a run.
#[must_use]
pub(crate) fn pushed(repository: &Guid, ref_name: &str) -> String {
    // A ref has no length that git or Azure DevOps would promise; a key has.
    let named = if ref_name.len() <= 800 {
        ref_name.to_owned()
    } else {
        hex_digest(ref_name.as_bytes())
    };
    format!("pushed#{repository}#{named}")
}

/// The sort key of a service hook, in its integration's partition.
#[must_use]
pub(crate) fn service_hook(id: &Guid) -> String {
    format!("{SERVICE_HOOKS}{id}")
}

/// The partition of what the stacks of an integration have seen of a repository.
#[must_use]
pub(crate) fn seen(integration: &IntegrationName, repository: &Guid) -> String {
    format!("seen#{integration}#{repository}")
}

/// The sort key of a push that was seen: in the order of pushes, and one for each set of refs, since it is not known whether a
/// push of several refs is one event or several.
#[must_use]
pub(crate) fn seen_push(push_id: i64, refs: &[String]) -> String {
    let mut refs = refs.to_vec();
    refs.sort_unstable();
    let digest = hex_digest(refs.join("\n").as_bytes());
    format!("{SEEN_PUSHES}{push_id:019}#{}", &digest[..16])
}

/// Between which sort keys the pushes lie that were seen and have numbers above `after`.
#[must_use]
pub(crate) fn seen_pushes_after(after: i64) -> (String, String) {
    let from = after.saturating_add(1).max(0);
    (
        format!("{SEEN_PUSHES}{from:019}"),
        format!("{SEEN_PUSHES}~"),
    )
}

/// The sort key of a pull request that was seen.
#[must_use]
pub(crate) fn seen_pull_request(number: i64) -> String {
    format!("{SEEN_PULL_REQUESTS}{number:019}")
}

/// What the `concerns` of all open runs of a pull request begin with.
#[must_use]
pub(crate) fn concerns_pull_request(repository: &Guid, number: i64) -> String {
    format!("{repository}#pull-request#{number}#")
}

/// The sort attribute of an open run: the runs of one pull request lie together.
#[must_use]
pub(crate) fn concerns(repository: &Guid, pull_request: Option<i64>, id: &RunId) -> String {
    match pull_request {
        Some(number) => format!("{}{id}", concerns_pull_request(repository, number)),
        None => format!("{repository}#push#{id}"),
    }
}

/// The month of a moment, in UTC, as `2026-11`.
#[must_use]
pub(crate) fn month_of(moment: Timestamp) -> String {
    month(day_of(moment))
}

/// The month of a day, as `2026-11`.
#[must_use]
pub(crate) fn month(day: Date) -> String {
    format!("{:04}-{:02}", day.year(), day.month())
}

/// The last day of the month before.
#[must_use]
pub(crate) fn month_before(day: Date) -> Option<Date> {
    day.first_of_month().yesterday().ok()
}

/// The sort attribute of a run in the indexes [`RUNS`] and [`TIMELINE`]; it is the time, and tells apart what is of the same.
#[must_use]
pub(crate) fn requested(at: Timestamp, id: &RunId) -> String {
    format!("{}#{id}", seven_digits(at))
}

/// What [`requested`] was made of, to a ten-millionth of a second.
#[must_use]
pub(crate) fn requested_of(key: &str) -> Option<(Timestamp, RunId)> {
    let (at, id) = key.split_once('#')?;
    Some((at.parse().ok()?, id.parse().ok()?))
}

/// The sort key of a part, which is alone in its partition.
pub const PART: &str = "part";

/// The day of a moment, in UTC.
#[must_use]
pub fn day_of(moment: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(moment).date()
}

/// The newest day that something received at `moment` can be filed under.
#[must_use]
pub fn newest_day(moment: Timestamp) -> Date {
    day_of(moment.saturating_add(AHEAD).unwrap_or(moment))
}

/// A moment as it stands in keys: UTC with seven digits, as Azure DevOps writes it, so that text sorts as time does.
#[must_use]
pub fn seven_digits(moment: Timestamp) -> String {
    let time = TimeZone::UTC.to_datetime(moment);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:07}Z",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.subsec_nanosecond() / 100
    )
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(format!("{}\n{}", self.partition, self.sort)))
    }
}

impl FromStr for DeliveryId {
    type Err = InvalidDeliveryId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_base64| InvalidDeliveryId)?;
        let keys = String::from_utf8(bytes).map_err(|_utf8| InvalidDeliveryId)?;
        let (partition, sort) = keys.split_once('\n').ok_or(InvalidDeliveryId)?;
        let mut parts = partition.split('#');
        let (Some(name), Some(day), Some(shard), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidDeliveryId);
        };
        let in_order = name.parse::<IntegrationName>().is_ok()
            && day.len() == 10
            && day.parse::<Date>().is_ok()
            && shard.len() == 1
            && shard.parse::<u8>().is_ok_and(|shard| shard < SHARDS)
            && !sort.is_empty()
            && sort.len() <= 1_024
            && sort.bytes().all(|byte| byte.is_ascii_graphic())
            && Self::beside_which(partition, sort).is_none();
        if !in_order {
            return Err(InvalidDeliveryId);
        }
        Ok(Self {
            partition: partition.to_owned(),
            sort: sort.to_owned(),
        })
    }
}

fn is_plain_event_type(text: &str) -> bool {
    (1..=LONGEST_EVENT_TYPE).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && !is_hex_digest(text)
}

fn is_guid(text: &str) -> bool {
    !is_nothing(text)
        && text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// An id that says nothing: empty, or zeros alone.
fn is_nothing(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0' || byte == b'-')
}

fn is_hex_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hex_digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GUID: &str = "56E81D32-b0e8-44e2-a92a-55eb7b6ccdce";

    fn acme() -> IntegrationName {
        "acme".parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn id(created: Option<&str>, event_type: &str, event_id: Option<&str>) -> DeliveryId {
        let identity = EventIdentity {
            created_date: created.map(at),
            event_type,
            event_id,
        };
        DeliveryId::of_event(&acme(), identity, b"{}", at("2026-11-23T12:00:00Z"))
    }

    #[test]
    fn an_event_is_filed_under_its_created_date_type_and_id() {
        let id = id(Some("2026-11-22T23:59:59.5Z"), "git.push", Some(GUID));
        assert!(id.partition().starts_with("acme#2026-11-22#"));
        assert_eq!(
            id.sort(),
            "2026-11-22T23:59:59.5000000Z#git.push#56e81d32-b0e8-44e2-a92a-55eb7b6ccdce"
        );
        assert_eq!(id.integration(), "acme");
        assert_eq!(id.event_type(), Some("git.push"));
    }

    #[test]
    fn a_date_that_is_absent_or_off_gives_way_to_the_day_of_receipt() {
        for created in [
            None,
            Some("2026-11-21T11:59:59Z"),
            Some("2026-11-23T12:10:01Z"),
            Some("0001-01-01T00:00:00Z"),
        ] {
            let id = id(created, "git.push", Some(GUID));
            assert!(
                id.partition().starts_with("acme#2026-11-23#"),
                "{created:?}"
            );
            assert!(
                id.sort().starts_with('~') && id.sort().len() == 65,
                "{created:?}"
            );
            assert_eq!(id.event_type(), None);
        }
        for created in ["2026-11-21T12:00:00Z", "2026-11-23T12:10:00Z"] {
            assert!(
                id(Some(created), "git.push", Some(GUID))
                    .sort()
                    .starts_with("2026"),
                "{created}"
            );
        }
    }

    #[test]
    fn p8_components_outside_their_grammar_are_replaced_by_digests() {
        let now = Some("2026-11-23T12:00:00Z");
        let long = "x".repeat(1_000_000);
        for event_id in [
            Some("not a guid"),
            Some("a#b"),
            Some(long.as_str()),
            Some(""),
            None,
            Some("00000000-0000-0000-0000-000000000000"),
        ] {
            let sort = id(now, "git.push", event_id).sort;
            assert_eq!(
                sort.len(),
                "2026-11-23T12:00:00.0000000Z#git.push#".len() + 64,
                "{event_id:?}"
            );
        }
        let sort = id(now, "a#b\nc", Some(GUID)).sort;
        assert_eq!(sort.matches('#').count(), 2);
        assert!(id(now, &long, Some(GUID)).sort.len() < 1_024);
    }

    #[test]
    fn test_sends_and_other_resources_have_keys_of_their_own() {
        let one = id(Some("2026-11-23T12:00:00Z"), "git.push", Some(GUID));
        let received = one.clone().at_receipt(at("2026-11-23T12:00:00.0000001Z"));
        assert!(received.sort().ends_with("#2026-11-23T12:00:00.0000001Z"));
        assert_ne!(one.clone().beside(b"a"), one.clone().beside(b"b"));
        assert_eq!(received.event_type(), Some("git.push"));
    }

    #[test]
    fn s15_the_events_of_one_repository_spread_over_all_shards() {
        let mut counts = [0_u32; SHARDS as usize];
        for number in 0..8_000 {
            let guid = format!("56e81d32-b0e8-44e2-a92a-{number:012x}");
            let id = id(Some("2026-11-23T12:00:00Z"), "git.push", Some(&guid));
            let shard: usize = id.partition().rsplit('#').next().unwrap().parse().unwrap();
            counts[shard] += 1;
        }
        assert!(
            counts.iter().all(|count| (850..1_150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn forged_ids_are_refused() {
        let forge = |keys: &str| URL_SAFE_NO_PAD.encode(keys).parse::<DeliveryId>();
        assert!(forge("acme#2026-11-23#0\n~ab").is_ok());
        for keys in [
            "",
            "acme",
            "acme#2026-11-23#9\n~ab",
            "ACME#2026-11-23#0\n~ab",
            "acme#x#0\n~ab",
            "acme#2026-11-23#0\n",
            "acme#2026-11-23#0\na\nb",
        ] {
            assert!(forge(keys).is_err(), "{keys:?}");
        }
        assert!("%%%".parse::<DeliveryId>().is_err());
    }

    proptest! {
        #[test]
        fn ids_come_back_as_they_went(event_type in ".{0,40}", event_id in ".{0,60}", body in ".{0,20}", seconds in 1_700_000_000_i64..1_900_000_000) {
            let identity = EventIdentity { created_date: Timestamp::from_second(seconds).ok(), event_type: &event_type, event_id: Some(&event_id) };
            let received = Timestamp::from_second(seconds + 5).unwrap();
            let id = DeliveryId::of_event(&acme(), identity, body.as_bytes(), received);
            prop_assert_eq!(id.to_string().parse::<DeliveryId>().unwrap(), id);
        }
    }
}
