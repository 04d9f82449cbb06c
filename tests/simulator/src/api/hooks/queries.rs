//! Finding subscriptions: the list with its filters, and the query by inputs (facts 5).

use serde_json::{Value, json};

use super::input::refused;
use super::views::view;
use super::{Answer, Call};
use crate::reply::Reply;
use crate::state::Organization;
use crate::state::subscriptions::Subscription;
use crate::views;

/// All subscriptions, narrowed by the four filters there are.
pub(super) fn list(organization: &Organization, call: &Call<'_>) -> Answer {
    let request = call.request;
    let is = |name: &str, value: &str| {
        request
            .query(name)
            .is_none_or(|it| it.eq_ignore_ascii_case(value))
    };
    let found = organization
        .subscriptions
        .iter()
        .filter(|it| {
            is("publisherId", "tfs")
                && is("eventType", it.event.wire())
                && is("consumerId", "webHooks")
                && is("consumerActionId", "httpRequest")
        })
        .map(|it| view(organization, it))
        .collect();
    Ok(Reply::ok(views::list(found)))
}

/// A query by inputs: the answer is the query with its results.
pub(super) fn query(organization: &Organization, mut query: Value) -> Answer {
    if !query.is_object() {
        return Err(refused("The query has to be an object."));
    }
    let results: Vec<Value> = organization
        .subscriptions
        .iter()
        .filter(|it| answers(it, &query))
        .map(|it| view(organization, it))
        .collect();
    query["results"] = json!(results);
    Ok(Reply::ok(query))
}

fn answers(subscription: &Subscription, query: &Value) -> bool {
    let is = |name: &str, value: &str| {
        query[name]
            .as_str()
            .is_none_or(|it| it.is_empty() || it.eq_ignore_ascii_case(value))
    };
    is("publisherId", "tfs")
        && is("eventType", subscription.event.wire())
        && is("consumerId", "webHooks")
        && is("consumerActionId", "httpRequest")
        && passes(&query["publisherInputFilters"], |name| {
            subscription.publisher_inputs.get(name)
        })
        && passes(&query["consumerInputFilters"], |name| {
            subscription.consumer_inputs.get(name)
        })
}

/// One of the filters, all of its conditions.
fn passes<'a>(filters: &Value, input: impl Fn(&str) -> Option<&'a String>) -> bool {
    let Some(filters) = filters.as_array().filter(|it| !it.is_empty()) else {
        return true;
    };
    filters.iter().any(|filter| {
        filter["conditions"].as_array().is_none_or(|conditions| {
            conditions.iter().all(|it| {
                let value =
                    input(it["inputId"].as_str().unwrap_or_default()).map_or("", String::as_str);
                let wanted = it["inputValue"].as_str().unwrap_or_default();
                let same = if it["caseSensitive"].as_bool().unwrap_or(false) {
                    value == wanted
                } else {
                    value.eq_ignore_ascii_case(wanted)
                };
                same != it["operator"]
                    .as_str()
                    .is_some_and(|it| it.eq_ignore_ascii_case("notEquals"))
            })
        })
    })
}
