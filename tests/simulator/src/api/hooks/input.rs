//! What the service takes as a subscription, and what it refuses (facts 3.2, 3.5, 5).
//! Not refused here, though the real one does: http with a password, and targets on localhost, since every receiver of a test is one.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use crate::events::EventKind;
use crate::reply::Reply;
use crate::state::Organization;
use crate::state::people::Person;
use crate::subscription_state::Status;

/// The three payload switches. They want a literal: an empty one is refused, although the metadata lists it as "All".
const SWITCHES: [(&str, &[&str]); 3] = [
    ("resourceDetailsToSend", &["all", "minimal", "none"]),
    (
        "messagesToSend",
        &["all", "minimal", "text", "html", "markdown", "none"],
    ),
    (
        "detailedMessagesToSend",
        &["all", "minimal", "text", "html", "markdown", "none"],
    ),
];

const OTHER_CONSUMER_INPUTS: [&str; 5] = [
    "url",
    "basicAuthUsername",
    "basicAuthPassword",
    "httpHeaders",
    "acceptUntrustedCerts",
];

/// A subscription that was asked for, checked.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) event: EventKind,
    pub(crate) resource_version: Option<String>,
    pub(crate) publisher_inputs: BTreeMap<String, String>,
    pub(crate) consumer_inputs: BTreeMap<String, String>,
    pub(crate) status: Option<Status>,
}

/// Reads and checks a subscription's body.
pub(crate) fn read(
    body: &Value,
    organization: &Organization,
    person: &Person,
) -> Result<Input, Reply> {
    for (name, only) in [
        ("publisherId", "tfs"),
        ("consumerId", "webHooks"),
        ("consumerActionId", "httpRequest"),
    ] {
        let given = body[name].as_str().unwrap_or_default();
        if !given.eq_ignore_ascii_case(only) {
            return Err(refused(&format!(
                "The {name} \"{given}\" is not known: it has to be \"{only}\" here."
            )));
        }
    }
    let name = body["eventType"].as_str().unwrap_or_default();
    let event = EventKind::from_wire(name)
        .ok_or_else(|| refused(&format!("The event type \"{name}\" is not known.")))?;
    let input = Input {
        event,
        resource_version: body["resourceVersion"]
            .as_str()
            .filter(|it| !it.is_empty())
            .map(str::to_owned),
        publisher_inputs: strings(&body["publisherInputs"], "publisherInputs")?,
        consumer_inputs: strings(&body["consumerInputs"], "consumerInputs")?,
        status: status(&body["status"])?,
    };
    check_publisher(&input, organization, person)?;
    check_consumer(&input.consumer_inputs)?;
    Ok(input)
}

pub(crate) fn refused(message: &str) -> Reply {
    Reply::error(400, "SubscriptionInputException", message)
}

/// Inputs are strings and nothing else, numbers and booleans too.
fn strings(value: &Value, what: &str) -> Result<BTreeMap<String, String>, Reply> {
    let Value::Object(fields) = value else {
        return Err(refused(&format!("{what} is missing.")));
    };
    fields
        .iter()
        .filter(|(_, it)| !it.is_null())
        .map(|(name, it)| {
            let text = it.as_str().ok_or_else(|| {
                refused(&format!("The value of {what}.{name} has to be a string."))
            })?;
            Ok((name.clone(), text.to_owned()))
        })
        .collect()
}

fn status(value: &Value) -> Result<Option<Status>, Reply> {
    let Some(text) = value.as_str() else {
        return Ok(None);
    };
    Status::from_wire(text)
        .map(Some)
        .ok_or_else(|| refused(&format!("The status \"{text}\" is not known.")))
}

fn check_publisher(
    input: &Input,
    organization: &Organization,
    person: &Person,
) -> Result<(), Reply> {
    let given = |name: &str| input.publisher_inputs.get(name).map_or("", String::as_str);
    let known = |name: &str| {
        // What a read record has more than what was written (facts 5): it comes back with a PUT.
        ["projectId", "repository", "tfsSubscriptionId", "hostId"].contains(&name)
            || input.event.filters().contains(&name)
    };
    if let Some(unknown) = input.publisher_inputs.keys().find(|it| !known(it)) {
        let event = input.event.wire();
        return Err(refused(&format!(
            "The input \"{unknown}\" is not supported by the event {event}."
        )));
    }
    let project = given("projectId");
    if project.is_empty() && !person.rights.administers_collection {
        // Seen as a 400, not a 403 (facts 5).
        return Err(refused(
            "The input projectId is missing: subscriptions for all projects take the permissions of a collection administrator.",
        ));
    }
    let project = guid(project, "projectId")?;
    if let Some(project) = project
        && !organization.projects.iter().any(|it| it.id == project)
    {
        return Err(refused(&format!(
            "TF200016: The following project does not exist: {project}."
        )));
    }
    if let Some(repository) = guid(given("repository"), "repository")? {
        let known = organization
            .repository(repository)
            .is_some_and(|it| project.is_none_or(|project| project == it.project));
        if !known {
            return Err(refused(&format!(
                "TF401019: The Git repository with name or identifier {repository} does not exist."
            )));
        }
    }
    Ok(())
}

fn guid(text: &str, name: &str) -> Result<Option<Uuid>, Reply> {
    if text.is_empty() {
        return Ok(None);
    }
    Uuid::parse_str(text).map(Some).map_err(|_error| {
        refused(&format!(
            "The input {name} has to be a GUID, not \"{text}\"."
        ))
    })
}

fn check_consumer(inputs: &BTreeMap<String, String>) -> Result<(), Reply> {
    let known = |name: &str| {
        OTHER_CONSUMER_INPUTS.contains(&name) || SWITCHES.iter().any(|(switch, _)| *switch == name)
    };
    if let Some(unknown) = inputs.keys().find(|it| !known(it)) {
        return Err(refused(&format!(
            "The input \"{unknown}\" is not supported by the action httpRequest."
        )));
    }
    check_url(inputs.get("url").map_or("", String::as_str))?;
    for (switch, values) in SWITCHES {
        match inputs.get(switch).map(String::as_str) {
            Some("") => return Err(missing_value(switch)),
            Some(value) if !values.contains(&value) => {
                return Err(refused(&format!(
                    "The input {switch} cannot be \"{value}\"."
                )));
            }
            _ => {}
        }
    }
    // Left blank means left out, not sent as "" (facts 3.2).
    if inputs
        .get("basicAuthUsername")
        .is_some_and(String::is_empty)
    {
        return Err(missing_value("basicAuthUsername"));
    }
    for name in ["basicAuthUsername", "basicAuthPassword"] {
        check_credential(name, inputs.get(name).map(String::as_str))?;
    }
    match inputs.get("acceptUntrustedCerts").map(String::as_str) {
        None | Some("true" | "false") => Ok(()),
        Some(_) => Err(refused(
            "The input acceptUntrustedCerts has to be \"true\" or \"false\".",
        )),
    }
}

fn missing_value(name: &str) -> Reply {
    refused(&format!(
        "Subscription is missing ConsumerInput.Value for input {name}."
    ))
}

fn check_url(url: &str) -> Result<(), Reply> {
    let parsed = reqwest::Url::parse(url).ok();
    let is_web = parsed.is_some_and(|it| matches!(it.scheme(), "http" | "https") && it.has_host());
    if is_web {
        Ok(())
    } else {
        Err(refused(
            "The input url has to be an absolute http or https URL.",
        ))
    }
}

pub(crate) fn check_credential(name: &str, value: Option<&str>) -> Result<(), Reply> {
    let Some(value) = value else {
        return Ok(());
    };
    let length = value.chars().count();
    if (1..=256).contains(&length) && !value.chars().any(char::is_whitespace) {
        Ok(())
    } else {
        Err(refused(&format!(
            "The input {name} has to be 1 to 256 characters without white space."
        )))
    }
}
