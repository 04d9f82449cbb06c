//! The history of notifications: of one subscription, one of them, or the query over all (facts 3.1, 6.1; `serviceHooks.json`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::USUAL_PAGE;
use super::input::refused;
use super::views::{notification_view, view};
use super::{Answer, Call};
use crate::reply::Reply;
use crate::state::Organization;
use crate::state::subscriptions::{Notification, Subscription};
use crate::views;

const STATUSES: [&str; 4] = ["queued", "processing", "requestInProgress", "completed"];
const RESULTS: [&str; 4] = ["pending", "succeeded", "failed", "filtered"];

/// The latest of one subscription, newest first.
pub(super) fn list(subscription: &Subscription, call: &Call<'_>) -> Answer {
    let request = call.request;
    let status = one_of(&STATUSES, request.query("status"), "status")?;
    let result = one_of(&RESULTS, request.query("result"), "result")?;
    let top = request.number("maxResults")?.unwrap_or(USUAL_PAGE);
    let found = subscription
        .notifications
        .iter()
        .rev()
        .filter(|it| status.is_none_or(|only| only == it.status))
        .filter(|it| result.is_none_or(|only| only == it.result))
        .take(top)
        .map(|it| notification_view(subscription, it, false))
        .collect();
    Ok(Reply::ok(views::list(found)))
}

/// One of them, with its event, request and response.
pub(super) fn one(subscription: &Subscription, number: u32) -> Answer {
    let found = subscription.notification(number).ok_or_else(|| {
        let message = format!(
            "The notification {number} could not be found. Notifications are kept for seven days."
        );
        Reply::error(404, "NotificationNotFoundException", &message)
    })?;
    Ok(Reply::ok(notification_view(subscription, found, true)))
}

/// A word out of an enumeration, whatever its case.
fn one_of(
    known: &[&'static str],
    given: Option<&str>,
    name: &str,
) -> Result<Option<&'static str>, Reply> {
    let Some(given) = given.filter(|it| !it.is_empty()) else {
        return Ok(None);
    };
    let found = known.iter().find(|it| it.eq_ignore_ascii_case(given));
    found
        .map(|it| Some(*it))
        .ok_or_else(|| refused(&format!("The value \"{given}\" is not valid for {name}.")))
}

/// A notification with whose it is.
type Found<'a> = (&'a Subscription, &'a Notification);

/// The query over all subscriptions: the answer is the query with what it found, in full or counted.
pub(super) fn query(organization: &Organization, mut query: Value) -> Answer {
    let filter = Filter::read(&query)?;
    let found = filter.find(organization);
    // Fields that only answers have come back as they are now, whatever was posted.
    for field in ["results", "summary", "associatedSubscriptions"] {
        query[field] = Value::Null;
    }
    if query["includeDetails"].as_bool().unwrap_or(false) {
        let results = found.iter().map(|(of, it)| notification_view(of, it, true));
        query["results"] = results.collect();
    } else {
        query["summary"] = summary(&found);
    }
    let associated = organization
        .subscriptions
        .iter()
        .filter(|it| found.iter().any(|(of, _)| of.id == it.id));
    query["associatedSubscriptions"] = associated.map(|it| view(organization, it)).collect();
    Ok(Reply::ok(views::without_nulls(query)))
}

/// What a query asks for.
struct Filter {
    subscriptions: Option<Vec<Uuid>>,
    publisher: Option<String>,
    status: Option<&'static str>,
    result: Option<&'static str>,
    created: (Option<Timestamp>, Option<Timestamp>),
    most: usize,
    most_of_each: usize,
}

impl Filter {
    fn read(query: &Value) -> Result<Self, Reply> {
        if !query.is_object() {
            return Err(refused("The query has to be an object."));
        }
        let date = |name: &str| -> Result<Option<Timestamp>, Reply> {
            let text = query[name].as_str().filter(|it| !it.is_empty());
            text.map(|it| it.parse().map_err(|_error| invalid(name)))
                .transpose()
        };
        let number = |name: &str| match &query[name] {
            Value::Null => Ok(None),
            value => value
                .as_u64()
                .and_then(|it| usize::try_from(it).ok())
                .map(Some)
                .ok_or_else(|| invalid(name)),
        };
        let subscriptions = match &query["subscriptionIds"] {
            Value::Null => None,
            Value::Array(ids) if ids.is_empty() => None,
            Value::Array(ids) => Some(ids.iter().map(guid).collect::<Result<Vec<_>, _>>()?),
            _ => return Err(invalid("subscriptionIds")),
        };
        let most_of_each = number("maxResultsPerSubscription")?;
        Ok(Self {
            // "Only takes effect when a list of subscription ids is supplied in the query."
            most_of_each: most_of_each
                .filter(|_| subscriptions.is_some())
                .unwrap_or(usize::MAX),
            subscriptions,
            publisher: query["publisherId"].as_str().map(str::to_owned),
            status: one_of(&STATUSES, query["status"].as_str(), "status")?,
            result: one_of(&RESULTS, query["resultType"].as_str(), "resultType")?,
            created: (date("minCreatedDate")?, date("maxCreatedDate")?),
            most: number("maxResults")?.unwrap_or(usize::MAX),
        })
    }

    /// What passes, newest first.
    fn find<'a>(&self, organization: &'a Organization) -> Vec<Found<'a>> {
        let is_ours = self
            .publisher
            .as_ref()
            .is_none_or(|it| it.is_empty() || it.eq_ignore_ascii_case("tfs"));
        let wanted = |it: &&Subscription| {
            let ids = self.subscriptions.as_ref();
            is_ours && ids.is_none_or(|ids| ids.contains(&it.id))
        };
        let mut found: Vec<Found<'a>> = organization
            .subscriptions
            .iter()
            .filter(wanted)
            .flat_map(|of| {
                let passing = of.notifications.iter().rev().filter(|it| self.passes(it));
                passing.take(self.most_of_each).map(move |it| (of, it))
            })
            .collect();
        found.sort_by_key(|(_, it)| std::cmp::Reverse(it.queued));
        found.truncate(self.most);
        found
    }

    fn passes(&self, it: &Notification) -> bool {
        let (from, to) = self.created;
        self.status.is_none_or(|only| only == it.status)
            && self.result.is_none_or(|only| only == it.result)
            && from.is_none_or(|from| from <= it.queued)
            && to.is_none_or(|to| it.queued <= to)
    }
}

fn invalid(name: &str) -> Reply {
    refused(&format!("The value of {name} is not valid."))
}

fn guid(value: &Value) -> Result<Uuid, Reply> {
    let parsed = value.as_str().and_then(|it| Uuid::parse_str(it).ok());
    parsed.ok_or_else(|| invalid("subscriptionIds"))
}

/// How many of each result each subscription has.
fn summary(found: &[Found<'_>]) -> Value {
    let mut counts: BTreeMap<Uuid, BTreeMap<&str, u32>> = BTreeMap::new();
    for (of, it) in found {
        let results = counts.entry(of.id).or_default();
        *results.entry(it.result).or_default() += 1;
    }
    let of_one = |(id, results): (&Uuid, &BTreeMap<&str, u32>)| {
        let results: Vec<Value> = results
            .iter()
            .map(|(result, count)| json!({ "result": result, "notificationCount": count }))
            .collect();
        json!({ "subscriptionId": id, "results": results })
    };
    counts.iter().map(of_one).collect()
}
