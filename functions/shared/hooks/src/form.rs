//! How a subscription of ours has to look, and in what one differs from that. Decides nothing and calls nobody.

use ado::{NewSubscription, Subscription};
use domain::{EventType, Guid, WebhookPassword, service_hook::EVENTS};

/// The consumer and its action that our hooks have: they cannot be changed afterwards (facts 5).
const CONSUMER: (&str, &str) = ("webHooks", "httpRequest");
/// What is sent of an event; ours have the literal `all` (facts 3.5).
const SWITCHES: [&str; 3] = [
    "resourceDetailsToSend",
    "messagesToSend",
    "detailedMessagesToSend",
];
/// What holds events back (facts 5); ours have none. What else Azure DevOps adds to a subscription (`tfsSubscriptionId`, `hostId`)
/// is nobody's wish.
const FILTERS: [&str; 7] = [
    "repository",
    "branch",
    "pushedBy",
    "pullrequestCreatedBy",
    "pullrequestReviewersContains",
    "notificationType",
    "mergeResult",
];

/// The subscription that sends events of this type of a project to `endpoint`.
#[must_use]
pub fn wanted<'a>(
    event_type: &'a EventType,
    project: &'a Guid,
    endpoint: &'a str,
    password: &'a WebhookPassword,
) -> NewSubscription<'a> {
    NewSubscription {
        event_type: event_type.as_str(),
        resource_version: version_of(event_type),
        project_id: project.as_str(),
        url: endpoint,
        password,
    }
}

/// The version of an event's resource that has what is needed.
fn version_of(event_type: &EventType) -> &'static str {
    let known = EVENTS.iter().find(|(known, _)| known == event_type);
    known.map_or("1.0", |(_, version)| version)
}

/// In what a subscription differs from the one that is [`wanted`]: the names of the inputs, in Azure DevOps' spelling.
///
/// Of a password only its absence can be seen (it reads back as asterisks); which one a hook was given is kept with it. A user
/// name is harmless, since nobody looks at it, and is gone with the next PUT. So are headers, unless they replace the password.
#[must_use]
pub fn differs(
    subscription: &Subscription,
    event_type: &EventType,
    project: &Guid,
    endpoint: &str,
) -> Vec<String> {
    let publisher = |name: &str| {
        let input = subscription.publisher_inputs.get(name);
        input.map_or("", String::as_str)
    };
    let consumer = |name: &str| {
        let input = subscription.consumer_inputs.get(name);
        input.map_or("", String::as_str)
    };
    let mut differing = Vec::new();
    let mut unless = |is_as_wanted: bool, name: &str| {
        if !is_as_wanted {
            differing.push(name.to_owned());
        }
    };
    unless(
        subscription.event_type.as_deref() == Some(event_type.as_str()),
        "eventType",
    );
    // Metadata of Azure DevOps has `1.0-preview.1` for what is asked for as `1.0` (facts 4.1).
    let version = subscription.resource_version.as_deref().unwrap_or_default();
    let version = version
        .split_once('-')
        .map_or(version, |(stable, _)| stable);
    unless(version == version_of(event_type), "resourceVersion");
    unless(
        publisher("projectId").eq_ignore_ascii_case(project.as_str()),
        "projectId",
    );
    for filter in FILTERS {
        unless(publisher(filter).is_empty(), filter);
    }
    unless(routed(consumer("url")) == routed(endpoint), "url");
    unless(
        !consumer("basicAuthPassword").is_empty(),
        "basicAuthPassword",
    );
    unless(
        !consumer("acceptUntrustedCerts").eq_ignore_ascii_case("true"),
        "acceptUntrustedCerts",
    );
    for switch in SWITCHES {
        unless(consumer(switch).eq_ignore_ascii_case("all"), switch);
    }
    let is_authorization = |line: &str| {
        let name = line.split(':').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("authorization")
    };
    unless(
        !consumer("httpHeaders").lines().any(is_authorization),
        "httpHeaders",
    );
    differing
}

/// Whether a subscription is sent to our endpoint, as the webhook takes it: the case of the name, and a slash at the end, do
/// not matter there.
#[must_use]
pub fn is_ours(subscription: &Subscription, endpoint: &str) -> bool {
    let is = |has: &Option<String>, wanted: &str| {
        has.as_deref()
            .is_some_and(|has| has.eq_ignore_ascii_case(wanted))
    };
    let url = subscription.consumer_inputs.get("url");
    is(&subscription.consumer_id, CONSUMER.0)
        && is(&subscription.consumer_action_id, CONSUMER.1)
        && url.is_some_and(|url| routed(url) == routed(endpoint))
}

/// Where a URL leads: two that are the same here reach the same integration.
fn routed(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = url.get(..end).unwrap_or_default().trim();
    let url = url.strip_suffix('/').unwrap_or(url).to_ascii_lowercase();
    let Some(rest) = url.strip_prefix("https://") else {
        return url;
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.strip_suffix(":443").unwrap_or(host);
    format!("https://{host}/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: &str = "56e81d32-b0e8-44e2-a92a-55eb7b6ccdce";
    const ENDPOINT: &str = "https://abc.lambda-url.eu-west-1.on.aws/acme";

    /// As Azure DevOps shows what we made.
    fn read_back(event_type: &EventType) -> Subscription {
        let inputs = |inputs: &[(&str, &str)]| {
            inputs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        Subscription {
            id: "0d2b6d0e-0000-4000-8000-000000000000".to_owned(),
            status: Some("enabled".to_owned()),
            publisher_id: Some("tfs".to_owned()),
            consumer_id: Some("webHooks".to_owned()),
            consumer_action_id: Some("httpRequest".to_owned()),
            event_type: Some(event_type.as_str().to_owned()),
            resource_version: Some(version_of(event_type).to_owned()),
            publisher_inputs: inputs(&[
                ("projectId", &PROJECT.to_uppercase()),
                ("tfsSubscriptionId", "9c3f0f6e-0000-4000-8000-000000000000"),
                ("hostId", "c12d0eb8-0000-4000-8000-000000000000"),
                ("somethingNew", "x"),
                ("branch", ""),
            ]),
            consumer_inputs: inputs(&[
                ("url", ENDPOINT),
                ("basicAuthPassword", "********"),
                ("acceptUntrustedCerts", "false"),
                ("resourceDetailsToSend", "all"),
                ("messagesToSend", "all"),
                ("detailedMessagesToSend", "all"),
            ]),
            ..Subscription::default()
        }
    }

    fn of(subscription: &Subscription, event_type: &EventType) -> Vec<String> {
        differs(
            subscription,
            event_type,
            &PROJECT.parse().unwrap(),
            ENDPOINT,
        )
    }

    #[test]
    fn what_azure_devops_adds_is_no_difference() {
        for (event_type, _) in EVENTS {
            let mut there = read_back(&event_type);
            assert_eq!(of(&there, &event_type), [""; 0]);
            let mut put = |name: &str, value: &str| {
                there
                    .consumer_inputs
                    .insert(name.to_owned(), value.to_owned())
            };
            put("basicAuthUsername", "somebody");
            put("httpHeaders", "X-Team: harbor");
            put("url", "HTTPS://ABC.lambda-url.eu-west-1.on.aws:443/Acme/");
            there.consumer_inputs.remove("acceptUntrustedCerts");
            assert_eq!(of(&there, &event_type), [""; 0]);
        }
    }

    #[test]
    fn whatever_keeps_events_back_or_sends_them_elsewhere_is_a_difference() {
        let push = EventType::GitPush;
        for filter in FILTERS {
            let mut there = read_back(&push);
            there
                .publisher_inputs
                .insert(filter.to_owned(), "x".to_owned());
            assert_eq!(of(&there, &push), [filter]);
        }
        for (name, value) in [
            ("url", "https://elsewhere.example/acme"),
            ("url", "https://abc.lambda-url.eu-west-1.on.aws/acme//"),
            ("acceptUntrustedCerts", "true"),
            ("resourceDetailsToSend", "minimal"),
            ("messagesToSend", "none"),
            ("detailedMessagesToSend", ""),
            ("httpHeaders", "X-Team: harbor\nauthorization: Bearer x"),
        ] {
            let mut there = read_back(&push);
            there
                .consumer_inputs
                .insert(name.to_owned(), value.to_owned());
            assert_eq!(of(&there, &push), [name], "{value}");
        }
        let mut bare = read_back(&push);
        bare.consumer_inputs.clear();
        bare.publisher_inputs.clear();
        bare.resource_version = None;
        bare.event_type = None;
        assert_eq!(
            of(&bare, &push),
            [
                "eventType",
                "resourceVersion",
                "projectId",
                "url",
                "basicAuthPassword",
                "resourceDetailsToSend",
                "messagesToSend",
                "detailedMessagesToSend",
            ]
        );
    }

    #[test]
    fn a_preview_of_the_version_is_the_version_and_another_is_not() {
        let (push, comment) = (EventType::GitPush, EventType::PullRequestCommented);
        let mut there = read_back(&push);
        there.resource_version = Some("1.0-preview.1".to_owned());
        assert_eq!(of(&there, &push), [""; 0]);
        there.resource_version = Some("2.0".to_owned());
        assert_eq!(of(&there, &push), ["resourceVersion"]);
        let mut there = read_back(&comment);
        there.resource_version = Some("1.0".to_owned());
        assert_eq!(of(&there, &comment), ["resourceVersion"]);
    }

    #[test]
    fn what_is_sent_to_our_endpoint_is_ours_however_that_is_spelled() {
        for (url, expected) in [
            (ENDPOINT, true),
            ("https://abc.lambda-url.eu-west-1.on.aws/ACME/", true),
            ("https://abc.lambda-url.eu-west-1.on.aws/acme?x=1", true),
            ("https://abc.lambda-url.eu-west-1.on.aws/acme-two", false),
            ("https://abc.lambda-url.eu-west-1.on.aws/", false),
            ("http://abc.lambda-url.eu-west-1.on.aws/acme", false),
            ("https://abd.lambda-url.eu-west-1.on.aws/acme", false),
            ("", false),
        ] {
            let mut there = read_back(&EventType::GitPush);
            there
                .consumer_inputs
                .insert("url".to_owned(), url.to_owned());
            assert_eq!(is_ours(&there, ENDPOINT), expected, "{url}");
        }
        let mut other = read_back(&EventType::GitPush);
        other.consumer_id = Some("slack".to_owned());
        assert!(!is_ours(&other, ENDPOINT));
    }
}
