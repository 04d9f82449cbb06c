//! Subscriptions of service hooks: how they look, and making, replacing and deleting them. Which ones there should be is decided
//! elsewhere, and a password that was given is never shown again.
//!
//! Sources: Microsoft's `serviceHooks.json` (`Subscription`, `SubscriptionsQuery`), facts 3.2, 3.5 and 5.

use std::collections::BTreeMap;

use domain::WebhookPassword;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::{AdoClient, AdoError, Operation, wire};

const PUBLISHER: &str = "tfs";
const CONSUMER: &str = "webHooks";
const ACTION: &str = "httpRequest";

/// A subscription, as Azure DevOps shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SubscriptionView")]
pub struct Subscription {
    /// Its GUID.
    pub id: String,
    /// `enabled`, `onProbation`, `disabledByUser`, `disabledBySystem` or `disabledByInactiveIdentity`.
    pub status: Option<String>,
    /// Whose events they are: `tfs`.
    pub publisher_id: Option<String>,
    /// Who is told: `webHooks`.
    pub consumer_id: Option<String>,
    /// How: `httpRequest`.
    pub consumer_action_id: Option<String>,
    /// The type of its events.
    pub event_type: Option<String>,
    /// In which form what happened is told.
    pub resource_version: Option<String>,
    /// The project, and filters; also what Azure DevOps adds (`tfsSubscriptionId`, `hostId`), which is nobody's wish (facts 5).
    pub publisher_inputs: BTreeMap<String, String>,
    /// The URL and what is sent there. What is confidential is masked: `********`.
    pub consumer_inputs: BTreeMap<String, String>,
    /// The name of the person whose it is: with that person it goes (facts 5).
    pub created_by: Option<String>,
    /// When it was made.
    pub created_date: Option<Timestamp>,
    /// When it was last changed.
    pub modified_date: Option<Timestamp>,
    /// How often it was tried again during its last probation.
    pub probation_retries: Option<i64>,
    /// When it was last tried again during a probation, also one that is over.
    pub last_probation_retry: Option<Timestamp>,
}

/// A web hook to make, for one type of event in one project.
#[derive(Clone, Copy, Debug)]
pub struct NewSubscription<'a> {
    /// The type of its events.
    pub event_type: &'a str,
    /// In which form what happened is told.
    pub resource_version: &'a str,
    /// The project's GUID.
    pub project_id: &'a str,
    /// Where events are sent.
    pub url: &'a str,
    /// What they are sent with.
    pub password: &'a WebhookPassword,
}

impl AdoClient {
    /// A subscription, by its id.
    ///
    /// # Errors
    ///
    /// [`AdoError`]; one that is not there is [`AdoError::NotFound`].
    pub async fn subscription(&self, id: &str) -> Result<Subscription, AdoError> {
        let (subscription, _) = self.ask(Operation::Subscription, &[id], &[]).await?;
        Ok(subscription)
    }

    /// The web hooks for events of a project, which is given by its GUID: everybody's, and for every event.
    ///
    /// # Errors
    ///
    /// [`AdoError`]. An answer that says nothing is [`AdoError::Unexpected`]: taken for "there are none", it has made others
    /// make theirs over and over (facts 5).
    pub async fn subscriptions_of_project(
        &self,
        project_id: &str,
    ) -> Result<Vec<Subscription>, AdoError> {
        let condition =
            json!({ "inputId": "projectId", "operator": "equals", "inputValue": project_id });
        let query = json!({
            "publisherId": PUBLISHER,
            "consumerId": CONSUMER,
            "publisherInputFilters": [{ "conditions": [condition] }],
        });
        let found: Found = self
            .ask_with(Operation::SubscriptionsQuery, &[], &query)
            .await?;
        found.subscriptions()
    }

    /// Makes a subscription. Azure DevOps sends nothing to try it.
    ///
    /// # Errors
    ///
    /// [`AdoError`], which never has the password; a user who may not edit subscriptions is [`AdoError::Denied`], and for some
    /// [`AdoError::Refused`] (facts 5).
    pub async fn create_subscription(
        &self,
        wanted: &NewSubscription<'_>,
    ) -> Result<Subscription, AdoError> {
        let body = Body::new(wanted, None);
        self.ask_with(Operation::CreateSubscription, &[], &body)
            .await
            .map_err(|error| error.without(wanted.password.expose()))
    }

    /// Makes a subscription as wanted, and enabled, whatever it was. A type of event or a project may change by it.
    ///
    /// # Errors
    ///
    /// As [`create_subscription`](Self::create_subscription); one that is not there is [`AdoError::NotFound`].
    pub async fn replace_subscription(
        &self,
        id: &str,
        wanted: &NewSubscription<'_>,
    ) -> Result<Subscription, AdoError> {
        let body = Body::new(wanted, Some("enabled"));
        self.ask_with(Operation::ReplaceSubscription, &[id], &body)
            .await
            .map_err(|error| error.without(wanted.password.expose()))
    }

    /// Makes a subscription as wanted, and leaves it disabled, as a person has it.
    ///
    /// # Errors
    ///
    /// As [`replace_subscription`](Self::replace_subscription).
    pub async fn replace_disabled_subscription(
        &self,
        id: &str,
        wanted: &NewSubscription<'_>,
    ) -> Result<Subscription, AdoError> {
        let body = Body::new(wanted, Some("disabledByUser"));
        self.ask_with(Operation::ReplaceSubscription, &[id], &body)
            .await
            .map_err(|error| error.without(wanted.password.expose()))
    }

    /// Deletes a subscription. What it has not sent yet is never sent.
    ///
    /// # Errors
    ///
    /// [`AdoError`]; one that is not there is [`AdoError::NotFound`].
    pub async fn delete_subscription(&self, id: &str) -> Result<(), AdoError> {
        self.tell_nothing(Operation::DeleteSubscription, &[id])
            .await
    }
}

/// `Subscription`, as it is asked for. All inputs are strings, also those that are none at heart (facts 5).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    publisher_id: &'static str,
    event_type: &'a str,
    resource_version: &'a str,
    consumer_id: &'static str,
    consumer_action_id: &'static str,
    publisher_inputs: PublisherInputs<'a>,
    consumer_inputs: ConsumerInputs<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PublisherInputs<'a> {
    project_id: &'a str,
}

/// Without `basicAuthUsername`: an empty one has to be left out (facts 3.2). `all` has to be said: left out, some events come
/// without what they are about (facts 3.5).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConsumerInputs<'a> {
    url: &'a str,
    basic_auth_password: &'a str,
    accept_untrusted_certs: &'static str,
    resource_details_to_send: &'static str,
    messages_to_send: &'static str,
    detailed_messages_to_send: &'static str,
}

impl<'a> Body<'a> {
    fn new(wanted: &NewSubscription<'a>, status: Option<&'static str>) -> Self {
        Self {
            publisher_id: PUBLISHER,
            event_type: wanted.event_type,
            resource_version: wanted.resource_version,
            consumer_id: CONSUMER,
            consumer_action_id: ACTION,
            publisher_inputs: PublisherInputs {
                project_id: wanted.project_id,
            },
            consumer_inputs: ConsumerInputs {
                url: wanted.url,
                basic_auth_password: wanted.password.expose(),
                accept_untrusted_certs: "false",
                resource_details_to_send: "all",
                messages_to_send: "all",
                detailed_messages_to_send: "all",
            },
            status,
        }
    }
}

/// `SubscriptionsQuery`: the answer is the query with its results.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    publisher_id: Option<String>,
    results: Option<Vec<Subscription>>,
}

impl Found {
    fn subscriptions(self) -> Result<Vec<Subscription>, AdoError> {
        wire::results(self.results, self.publisher_id.is_some())
    }
}

/// `Subscription`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionView {
    id: Option<String>,
    status: Option<String>,
    publisher_id: Option<String>,
    consumer_id: Option<String>,
    consumer_action_id: Option<String>,
    event_type: Option<String>,
    resource_version: Option<String>,
    #[serde(default, deserialize_with = "strings")]
    publisher_inputs: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "strings")]
    consumer_inputs: BTreeMap<String, String>,
    created_by: Option<wire::Identity>,
    #[serde(default, deserialize_with = "wire::date")]
    created_date: Option<Timestamp>,
    #[serde(default, deserialize_with = "wire::date")]
    modified_date: Option<Timestamp>,
    #[serde(default, deserialize_with = "number")]
    probation_retries: Option<i64>,
    #[serde(default, deserialize_with = "wire::date")]
    last_probation_retry_date: Option<Timestamp>,
}

impl TryFrom<SubscriptionView> for Subscription {
    type Error = &'static str;

    fn try_from(view: SubscriptionView) -> Result<Self, Self::Error> {
        Ok(Self {
            // Left out of a list, it would be made a second time.
            id: view.id.ok_or("a subscription without its id")?,
            status: view.status,
            publisher_id: view.publisher_id,
            consumer_id: view.consumer_id,
            consumer_action_id: view.consumer_action_id,
            event_type: view.event_type,
            resource_version: view.resource_version,
            publisher_inputs: view.publisher_inputs,
            consumer_inputs: view.consumer_inputs,
            created_by: view.created_by.and_then(|it| it.display_name),
            created_date: view.created_date,
            modified_date: view.modified_date,
            probation_retries: view.probation_retries,
            last_probation_retry: view.last_probation_retry_date,
        })
    }
}

/// Inputs are strings and nothing else; what is not is none that we know.
fn strings<'de, D: Deserializer<'de>>(value: D) -> Result<BTreeMap<String, String>, D::Error> {
    let Value::Object(inputs) = Value::deserialize(value)? else {
        return Ok(BTreeMap::new());
    };
    let string = |(name, value)| match value {
        Value::String(text) => Some((name, text)),
        _ => None,
    };
    Ok(inputs.into_iter().filter_map(string).collect())
}

/// A string says the document, of format byte; a number says the wire (facts 3.1).
fn number<'de, D: Deserializer<'de>>(value: D) -> Result<Option<i64>, D::Error> {
    Ok(match Value::deserialize(value)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(view: Value) -> Subscription {
        serde_json::from_value(view).unwrap()
    }

    #[test]
    fn a_subscription_is_asked_for_as_azure_devops_spells_it() {
        let password = WebhookPassword::new("planted".to_owned());
        let wanted = NewSubscription {
            event_type: "git.push",
            resource_version: "1.0",
            project_id: "p",
            url: "https://example.org/w",
            password: &password,
        };
        let mut expected = json!({
            "publisherId": "tfs",
            "eventType": "git.push",
            "resourceVersion": "1.0",
            "consumerId": "webHooks",
            "consumerActionId": "httpRequest",
            "publisherInputs": { "projectId": "p" },
            "consumerInputs": {
                "url": "https://example.org/w",
                "basicAuthPassword": "planted",
                "acceptUntrustedCerts": "false",
                "resourceDetailsToSend": "all",
                "messagesToSend": "all",
                "detailedMessagesToSend": "all",
            },
        });
        assert_eq!(json!(Body::new(&wanted, None)), expected);
        expected["status"] = json!("enabled");
        assert_eq!(json!(Body::new(&wanted, Some("enabled"))), expected);
        let shown = format!("{wanted:?}");
        assert!(shown.contains("git.push") && !shown.contains("planted"));
    }

    #[test]
    fn every_field_of_a_subscription_but_its_id_may_be_absent_or_null() {
        let bare = Subscription {
            id: "s".to_owned(),
            ..Subscription::default()
        };
        for view in [
            json!({ "id": "s" }),
            json!({
                "id": "s", "status": null, "publisherInputs": null, "consumerInputs": null, "createdBy": null,
                "createdDate": null, "modifiedDate": "", "probationRetries": null, "subscriber": null,
            }),
            json!({ "id": "s", "createdBy": {}, "publisherInputs": [], "createdDate": 1, "probationRetries": "AA==" }),
        ] {
            assert_eq!(read(view.clone()), bare, "{view}");
        }
        for view in [json!({}), json!({ "id": null })] {
            assert!(serde_json::from_value::<Subscription>(view).is_err());
        }
    }

    #[test]
    fn what_is_spelled_in_more_than_one_way_is_read_in_each() {
        for retries in [json!(3), json!("3")] {
            let read = read(json!({
                "id": "s",
                "probationRetries": retries,
                "createdDate": "2026-12-01T10:00:00.123",
                "modifiedDate": "2026-12-01T10:00:00.123Z",
                "publisherInputs": { "projectId": "p", "hostId": null, "count": 1 },
                "createdBy": { "displayName": "Ines Varga" },
            }));
            assert_eq!(read.probation_retries, Some(3));
            assert!(read.created_date.is_some() && read.created_date == read.modified_date);
            assert_eq!(
                read.publisher_inputs,
                BTreeMap::from([("projectId".to_owned(), "p".to_owned())])
            );
            assert_eq!(read.created_by.as_deref(), Some("Ines Varga"));
        }
    }

    #[test]
    fn none_are_found_only_where_the_query_was_answered() {
        let found = |answer| {
            serde_json::from_value::<Found>(answer)
                .unwrap()
                .subscriptions()
        };
        assert!(matches!(found(json!({})), Err(AdoError::Unexpected(_))));
        for answer in [
            json!({ "results": [] }),
            json!({ "publisherId": "tfs", "results": null }),
        ] {
            assert_eq!(found(answer).unwrap(), []);
        }
        assert_eq!(
            found(json!({ "results": [{ "id": "s" }] })).unwrap().len(),
            1
        );
    }
}
