//! The body that a service hook sends, and what it means in the words of the domain.
//! It never keeps, fetches or decides anything; a body it cannot understand gets a reason, never a panic.
//!
//! Sources: the captured payloads behind `PAYLOAD_CORPUS` (tests/README.md), and
//! <https://learn.microsoft.com/en-us/azure/devops/service-hooks/events>.

mod test_button;
mod wire;

use domain::{Event, EventType, moment};
use jiff::Timestamp;
use serde_json::error::Category;

/// How deep a body may nest: what readers in other languages can be trusted with, and the limit of `serde_json` itself.
const DEEPEST_NESTING: usize = 128;

/// One notification, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The event's id, the same for every subscription that the event matches. Usually a GUID, never trusted to be one.
    pub event_id: Option<String>,
    /// The event's type.
    pub event_type: EventType,
    /// When Azure DevOps made the notification; `None` where that is absent or unreadable.
    pub created_date: Option<Timestamp>,
    /// The subscription that sent it; all zeros for a test of one that is not saved yet.
    pub subscription_id: Option<String>,
    /// The notification's number in its subscription.
    pub notification_id: Option<i64>,
    /// Whether it was sent by the Test button.
    pub is_test: bool,
    /// What happened.
    pub event: Event,
}

/// Why a body is not understood. It names places in the body and never shows what stands there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Nothing, or white space alone.
    #[error("the body is empty")]
    Empty,
    /// Bytes that are no text.
    #[error("the body is not UTF-8 text")]
    NotText,
    /// Text that is no JSON.
    #[error("the body is not JSON (line {line}, column {column})")]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// JSON that ends too early.
    #[error("the body is cut off: its JSON ends too early")]
    CutOff,
    /// More levels than 128.
    #[error("the body nests more than {DEEPEST_NESTING} levels deep")]
    TooDeep,
    /// JSON of another shape than a notification's.
    #[error("the body is not a service hook's notification: {0}")]
    Shape(String),
}

/// Understands a body.
///
/// # Errors
///
/// [`Unreadable`] for everything that is not a notification. An event type that is not known is no error.
pub fn parse(body: &[u8]) -> Result<Notification, Unreadable> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|_position| Unreadable::NotText)?;
    if text.trim().is_empty() {
        return Err(Unreadable::Empty);
    }
    if nests_too_deep(text.as_bytes()) {
        return Err(Unreadable::TooDeep);
    }
    if text
        .trim_start()
        .starts_with(|c| matches!(c, '[' | '"' | 'n' | 't' | 'f' | '-' | '0'..='9'))
    {
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| reason(&error, ""))?;
        return Err(Unreadable::Shape("it is not a JSON object".to_owned()));
    }
    let envelope: wire::Envelope<'_> = read(text, "")?;
    if envelope.event_type.trim().is_empty() {
        return Err(Unreadable::Shape("its `eventType` is empty".to_owned()));
    }
    let event_type: EventType = match envelope.event_type.parse() {
        Ok(event_type) => event_type,
        Err(never) => match never {},
    };
    let event = event(&event_type, &envelope)?;
    Ok(Notification {
        is_test: test_button::sent(&envelope),
        event_id: envelope.id,
        event_type,
        created_date: envelope.created_date.as_deref().and_then(moment),
        subscription_id: envelope.subscription_id,
        notification_id: envelope.notification_id,
        event,
    })
}

/// Whether two bodies carry the same `resource`: the same event may reach us twice in different envelopes (another
/// subscription, another attempt), but what happened is in the resource.
///
/// Bodies without one are compared as they are.
#[must_use]
pub fn same_resource(one: &[u8], other: &[u8]) -> bool {
    one == other || wire::same_resource(one, other)
}

fn event(event_type: &EventType, envelope: &wire::Envelope<'_>) -> Result<Event, Unreadable> {
    let resource = envelope.resource.get();
    if resource == "null" {
        return Ok(match event_type {
            EventType::Other(_) => Event::Other,
            _ => Event::WithoutDetails,
        });
    }
    Ok(match event_type {
        EventType::GitPush => Event::Push(read::<wire::Push>(resource, "resource")?.into()),
        EventType::PullRequestCreated
        | EventType::PullRequestMergeAttempted
        | EventType::PullRequestUpdated => {
            let pull_request = read::<wire::PullRequest>(resource, "resource")?.into();
            let change = wire::change(event_type, envelope.message_text(), &pull_request);
            Event::PullRequest(change, pull_request)
        }
        EventType::PullRequestCommented => {
            Event::Comment(read::<wire::CommentResource>(resource, "resource")?.into())
        }
        EventType::Other(_) => Event::Other,
    })
}

fn read<'a, T: serde::Deserialize<'a>>(text: &'a str, at: &str) -> Result<T, Unreadable> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let path = match (at, path.as_str()) {
            (at, ".") => at.to_owned(),
            ("", path) => path.to_owned(),
            (at, path) => format!("{at}.{path}"),
        };
        reason(error.inner(), &path)
    })?;
    json.end().map_err(|error| reason(&error, at))?;
    Ok(value)
}

/// A reason in words; of the message of `serde_json` only what names a field is kept, since the rest shows the payload.
fn reason(error: &serde_json::Error, path: &str) -> Unreadable {
    match error.classify() {
        Category::Eof => Unreadable::CutOff,
        Category::Syntax | Category::Io => Unreadable::NotJson {
            line: error.line(),
            column: error.column(),
        },
        Category::Data => {
            let message = error.to_string();
            let field = message.split('`').nth(1).unwrap_or_default();
            Unreadable::Shape(if message.starts_with("missing field") {
                format!("it has no `{field}`")
            } else if message.starts_with("duplicate field") {
                format!("it has `{field}` twice")
            } else {
                format!("`{path}` is not what it should be")
            })
        }
    }
}

/// Whether brackets and braces outside strings open deeper than [`DEEPEST_NESTING`].
fn nests_too_deep(text: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > DEEPEST_NESTING {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use domain::{event::RefChange, summary};
    use proptest::prelude::*;

    use super::*;

    fn words(body: &str) -> String {
        let notification = parse(body.as_bytes()).unwrap();
        summary::of(&notification.event_type, &notification.event)
    }

    #[test]
    fn p1_bodies_that_are_no_object_have_a_reason() {
        assert_eq!(parse(b""), Err(Unreadable::Empty));
        assert_eq!(parse(b" \r\n"), Err(Unreadable::Empty));
        for body in ["null", "[]", "\"x\"", "0", "true", "-0"] {
            assert!(
                matches!(parse(body.as_bytes()), Err(Unreadable::Shape(_))),
                "{body}"
            );
        }
    }

    #[test]
    fn p2_broken_text_has_a_reason_and_a_byte_order_mark_does_no_harm() {
        assert_eq!(parse(br#"{"id":"#), Err(Unreadable::CutOff));
        assert!(matches!(
            parse(br#"{"eventType":"x","resource":null} tail"#),
            Err(Unreadable::NotJson { .. })
        ));
        assert_eq!(parse(b"\xff\xfe{\0}\0"), Err(Unreadable::NotText));
        assert!(parse(b"\xef\xbb\xbf{\"eventType\":\"x\",\"resource\":null}").is_ok());
    }

    #[test]
    fn p3_nesting_is_bounded_without_recursion() {
        let deep = |levels: usize| {
            format!(
                r#"{{"eventType":"x","resource":{}{}}}"#,
                "[".repeat(levels),
                "]".repeat(levels)
            )
        };
        assert!(parse(deep(100).as_bytes()).is_ok());
        assert_eq!(parse(deep(10_000).as_bytes()), Err(Unreadable::TooDeep));
        assert_eq!(
            parse("[".repeat(1_000_000).as_bytes()),
            Err(Unreadable::TooDeep)
        );
    }

    #[test]
    fn p4_p5_p8_doubled_keys_and_numbers_that_do_not_fit_are_not_guessed_at() {
        assert_eq!(
            parse(br#"{"id":"a","id":"b","eventType":"x","resource":null}"#),
            Err(Unreadable::Shape("it has `id` twice".to_owned()))
        );
        let body = br#"{"eventType":"git.push","resource":{"pushId":12345678901234567890123}}"#;
        assert_eq!(
            parse(body),
            Err(Unreadable::Shape(
                "`resource.pushId` is not what it should be".to_owned()
            ))
        );
        let empty = parse(br#"{"eventType":" ","resource":{}}"#);
        assert!(matches!(empty, Err(Unreadable::Shape(_))));
        let missing = parse(br#"{"eventType":"git.push"}"#);
        assert_eq!(
            missing,
            Err(Unreadable::Shape("it has no `resource`".to_owned()))
        );
    }

    #[test]
    fn p7_an_unknown_type_and_unknown_fields_are_understood_as_such() {
        let notification =
            parse(br#"{"id":"a","eventType":"workitem.updated","resource":{"rev":2},"new":[1]}"#)
                .unwrap();
        assert_eq!(
            notification.event_type,
            EventType::Other("workitem.updated".to_owned())
        );
        assert_eq!(notification.event, Event::Other);
    }

    #[test]
    fn dates_are_read_with_and_without_a_zone() {
        let expected: Timestamp = "2026-11-23T15:16:17.1234567Z".parse().unwrap();
        for text in [
            "2026-11-23T15:16:17.1234567Z",
            "2026-11-23T15:16:17.1234567",
            "2026-11-23T16:16:17.1234567+01:00",
        ] {
            assert_eq!(moment(text), Some(expected), "{text}");
        }
        assert_eq!(moment("yesterday"), None);
    }

    #[test]
    fn a_push_keeps_every_ref() {
        let body = r#"{"eventType":"git.push","resource":{"refUpdates":[
            {"name":"refs/heads/a","oldObjectId":"0000000000000000000000000000000000000000","newObjectId":"1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"},
            {"name":"refs/tags/v1","newObjectId":"1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"}],"pushId":3}}"#;
        let Event::Push(push) = parse(body.as_bytes()).unwrap().event else {
            panic!("not a push")
        };
        assert_eq!(push.ref_updates.len(), 2);
        assert_eq!(push.ref_updates[0].change(), RefChange::Created);
        assert_eq!(push.commits, None, "an absent list is unknown, not empty");
    }

    #[test]
    fn a_comment_of_version_1_has_no_pull_request_but_its_link_tells_the_number() {
        let body = r#"{"eventType":"ms.vss-code.git-pullrequest-comment-event","resourceVersion":"1.0","resource":{
            "id":2,"author":{"displayName":"Ines Moreau"},"content":"Looks right",
            "_links":{"self":{"href":"https://dev.azure.com/tidewater/_apis/git/repositories/r/pullRequests/12/threads/5/comments/2"}}}}"#;
        assert_eq!(
            words(body),
            "Ines Moreau commented on pull request 12 in a repository that is not told: “Looks right”"
        );
    }

    #[test]
    fn a_deleted_comment_without_text_is_told_as_such() {
        let body = r#"{"eventType":"ms.vss-code.git-pullrequest-comment-event","resource":{
            "comment":{"id":2,"isDeleted":true,"author":{"displayName":"Ines Moreau"}},"pullRequest":{"pullRequestId":1}}}"#;
        assert_eq!(
            words(body),
            "Ines Moreau deleted a comment on pull request 1 in a repository that is not told"
        );
    }

    #[test]
    fn what_a_title_says_is_no_hint_at_what_changed() {
        let update = |text: &str, status: &str| {
            let title = "Make the target branch configurable";
            let body = serde_json::json!({
                "eventType": "git.pullrequest.updated",
                "message": { "text": text.replace("TITLE", title) },
                "resource": { "pullRequestId": 4, "title": title, "status": status },
            });
            words(&body.to_string())
        };
        assert!(
            update("Ines updated pull request 4 (TITLE) in x", "active")
                .contains("what changed is not told")
        );
        assert!(
            update(
                "Ines changed the target branch of pull request 4 (TITLE) in x",
                "active"
            )
            .contains("its target is now")
        );
        // A vote on one that is completed already is a vote.
        assert!(
            update("Ines approved pull request 4 (TITLE) in x", "completed")
                .contains("a reviewer approved it")
        );
        assert!(
            update("Ines marked the pull request as completed", "completed")
                .starts_with("Somebody completed")
        );
    }

    #[test]
    fn fields_that_are_only_shown_make_nothing_unreadable() {
        let body =
            r#"{"eventType":"git.push","message":"text","resource":{"pushedBy":7,"pushId":3}}"#;
        assert_eq!(
            words(body),
            "Somebody pushed to a repository that is not told"
        );
    }

    #[test]
    fn the_same_resource_in_another_envelope_is_the_same() {
        let one = br#"{"notificationId":1,"resource":{"a":1,"b":[2]}}"#;
        let two = br#"{"notificationId":2,"resource":{"b":[2], "a":1}}"#;
        let other = br#"{"notificationId":1,"resource":{"a":1,"b":[3]}}"#;
        assert!(same_resource(one, two));
        assert!(!same_resource(one, other));
        let odd = br#"{"notificationId":2,"resource":{"a":"\ud800","b":1e400}}"#;
        let odd_too = br#"{"notificationId":3,"resource":{"a":"\ud800","b":1e400}}"#;
        assert!(same_resource(odd, odd_too));
        assert!(!same_resource(b"x", b"y"));
        assert!(same_resource(b"x", b"x"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(body in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&body);
        }

        #[test]
        fn no_json_shape_makes_the_parser_panic(
            kind in prop_oneof![Just("git.push"), Just("git.pullrequest.updated"), Just("ms.vss-code.git-pullrequest-comment-event")],
            resource in "[\\[\\]{}\",:0-9a-z]{0,60}",
        ) {
            let _ = parse(format!(r#"{{"eventType":"{kind}","resource":{resource}}}"#).as_bytes());
        }
    }
}
