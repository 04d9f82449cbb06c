//! The alarms count lines of the log: each pattern of `infra/alarms.tf` has to fit a line that the function writes.

use std::{
    collections::BTreeSet,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use jiff::{SignedDuration, ToSpan, civil::Date};
use reconcile::Trigger;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Bed, Linked,
    caring::{Caring, pass_of},
    dispatching::Dispatching,
    new_event, new_name, now, post, send, with_password,
};

/// One condition of a pattern: where it looks, and what it wants to see.
#[derive(Debug)]
struct Condition {
    path: Vec<String>,
    wanted: Wanted,
}

#[derive(Debug)]
enum Wanted {
    Text(String),
    MoreThan(i64),
    AtMost(i64),
}

/// The patterns of one list of alarms by their names, as far as this project writes them: `{ $.a.b = "text" && $.a.c > 0 }`, and
/// the one constant in them in place.
fn patterns(list: &str) -> Result<Vec<(String, Vec<Condition>)>> {
    let mut name = String::new();
    let mut patterns = Vec::new();
    let mut is_listed = false;
    for line in include_str!("../infra/alarms.tf").lines().map(str::trim) {
        if let Some(begun) = line.strip_suffix(" = {") {
            name = begun.to_owned();
            if begun.ends_with("_alarms") {
                is_listed = begun == list;
            }
        }
        if !is_listed {
            continue;
        }
        let Some(pattern) = line
            .strip_prefix("pattern")
            .and_then(|it| it.split_once('"'))
        else {
            continue;
        };
        let pattern = pattern.1.replace("\\\"", "\"");
        let pattern = pattern.replace("${local.token_days_that_alarm}", "7");
        let inner = pattern
            .strip_prefix("{ ")
            .and_then(|it| it.strip_suffix(" }\""))
            .with_context(|| format!("another form: {pattern}"))?;
        let conditions = inner.split(" && ").map(condition).collect::<Result<_>>()?;
        patterns.push((name.clone(), conditions));
    }
    Ok(patterns)
}

fn condition(text: &str) -> Result<Condition> {
    let mut words = text.splitn(3, ' ');
    let (path, operator, value) = (words.next(), words.next(), words.next());
    let path = path
        .and_then(|path| path.strip_prefix("$."))
        .context("no path")?;
    let value = value.context("no value")?;
    let wanted = match operator {
        Some("=") => Wanted::Text(value.trim_matches('"').to_owned()),
        Some(">") => Wanted::MoreThan(value.parse()?),
        Some("<=") => Wanted::AtMost(value.parse()?),
        other => anyhow::bail!("another operator: {other:?}"),
    };
    Ok(Condition {
        path: path.split('.').map(str::to_owned).collect(),
        wanted,
    })
}

impl Condition {
    fn fits(&self, line: &Value) -> bool {
        let found = self
            .path
            .iter()
            .fold(line, |value, name| &value[name.as_str()]);
        match &self.wanted {
            Wanted::Text(text) => found == text,
            Wanted::MoreThan(least) => found.as_i64().is_some_and(|number| number > *least),
            Wanted::AtMost(most) => found.as_i64().is_some_and(|number| number <= *most),
        }
    }
}

/// The fields that the alarms of a list look at, apart from the line's message.
pub(crate) fn fields_of(list: &str) -> Result<BTreeSet<String>> {
    let conditions = patterns(list)?.into_iter().flat_map(|(_, all)| all);
    let fields = conditions.filter_map(|it| it.path.last().cloned());
    Ok(fields.filter(|it| it != "message").collect())
}

/// A log in memory.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// What was written since this was asked last.
    pub(crate) fn lines(&self) -> Result<Vec<Value>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&std::mem::take(&mut *kept)).into_owned();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")))
            .collect()
    }
}

#[tokio::test]
async fn every_alarm_on_deliveries_counts_a_line_that_the_webhook_writes() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let log = Log::default();
    let writer = log.clone();
    let logging = edge::log_to(move || writer.clone(), tracing::Level::INFO);
    let _logging = tracing::subscriber::set_default(logging);

    // All that is stored, and a wrong password.
    let app = bed.webhook().await;
    let mut event = new_event("ado/git.push.json");
    let over = "x".repeat(store::LARGEST_BODY + 1);
    for body in [event.to_string(), "no json".to_owned(), over] {
        assert_eq!(post(&app, &linked, body).await, 200);
    }
    event["resource"]["pushId"] = json!(99_999);
    assert_eq!(post(&app, &linked, event.to_string()).await, 200);
    let wrong = Linked {
        password: "wrong".to_owned(),
        ..linked.clone()
    };
    assert_eq!(post(&app, &wrong, "{}").await, 401);

    // Without DynamoDB.
    let away = bed.webhook_at("http://127.0.0.1:1").await;
    assert_eq!(post(&away, &linked, "{}").await, 503);

    // More strangers at once than may be looked up.
    let app = bed.webhook().await;
    let strangers = (0..300).map(|_| app.handle(with_password(&new_name("nobody"), "guess", "{}")));
    futures::future::join_all(strangers).await;

    let lines = log.lines()?;
    let patterns = patterns("delivery_alarms")?;
    assert!(patterns.len() >= 6, "{patterns:?}");
    for (alarm, conditions) in patterns {
        let is_counted = |line: &Value| conditions.iter().all(|condition| condition.fits(line));
        assert!(
            lines.iter().any(is_counted),
            "{alarm}: no line fits {conditions:?} of {lines:#?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_alarm_on_parked_deliveries_counts_a_line_of_each_and_of_no_other() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let mut bodies = Vec::new();
    for path in ["prod/a.tf", "docs/a.md", "prod/b.tf", "prod/c.tf"] {
        let push = json!({ "branch": "main", "files": { path: "1" } });
        harbor.push(push).await?;
        bodies.extend(harbor.sent().await?);
    }
    let patterns = patterns("dispatch_alarms")?;
    let [(alarm, conditions)] = patterns.as_slice() else {
        panic!("{patterns:?}")
    };
    assert_eq!(alarm, "parked");
    let log = Log::default();
    let writer = log.clone();
    let logging = edge::log_to(move || writer.clone(), tracing::Level::INFO);
    let _logging = tracing::subscriber::set_default(logging);
    let counted = || -> Result<usize> {
        let lines = log.lines()?;
        let is_counted = |line: &&Value| conditions.iter().all(|condition| condition.fits(line));
        Ok(lines.iter().filter(is_counted).count())
    };

    harbor.dispatched(&bodies[..2]).await?;
    assert_eq!(counted()?, 0, "dispatched and ignored");
    harbor
        .control(Method::POST, "tokens/good/revoke", Value::Null)
        .await?;
    let ids = harbor.dispatched(&bodies[2..]).await?;
    assert_eq!(counted()?, 2, "the token is refused");
    // One that ends the process each time.
    let body = json!({ "kind": "delivery", "delivery": ids[0].to_string(), "tries": 0 });
    let message = Dispatching::message(&body, 9);
    assert!(
        Dispatching::hand(&harbor.app, vec![message])
            .await?
            .is_empty()
    );
    assert_eq!(counted()?, 1, "given up");
    Ok(())
}

#[tokio::test]
async fn the_alarms_on_integrations_count_what_is_wrong_with_one_and_nothing_of_a_healthy_one()
-> Result<()> {
    let caring = Caring::start().await?;
    let patterns = patterns("reconcile_alarms")?;
    let log = Log::default();
    let writer = log.clone();
    let logging = edge::log_to(move || writer.clone(), tracing::Level::INFO);
    let _logging = tracing::subscriber::set_default(logging);
    let name = caring.linked.name.as_str();
    // The alarms that count the one line of a pass.
    let counted = || -> Result<BTreeSet<String>> {
        let lines = log.lines()?;
        let is_of_the_pass = |line: &&Value| {
            line["fields"]["message"] == "reconciled" && line["fields"]["integration"] == name
        };
        let of_the_pass: Vec<&Value> = lines.iter().filter(is_of_the_pass).collect();
        let [line] = of_the_pass.as_slice() else {
            anyhow::bail!("not one line: {lines:#?}")
        };
        let fits = |conditions: &[Condition]| conditions.iter().all(|it| it.fits(line));
        let alarms = patterns.iter().filter(|(_, conditions)| fits(conditions));
        Ok(alarms.map(|(alarm, _)| alarm.clone()).collect())
    };
    let alarms = |names: &[&str]| {
        names
            .iter()
            .map(|it| (*it).to_owned())
            .collect::<BTreeSet<_>>()
    };
    let expires = |on: Option<Date>| {
        let change = json!({ "personalAccessTokenExpiresOn": on });
        caring
            .setup
            .handle(send("PATCH", &format!("/integrations/{name}"), &change))
    };
    let mut seen = BTreeSet::new();
    let mut sees = |expected: &[&str]| -> Result<()> {
        let expected = alarms(expected);
        assert_eq!(counted()?, expected);
        seen.extend(expected);
        Ok(())
    };

    caring.pass().await?;
    sees(&[])?;

    // Hooks that it finds ill, whether it mends them or not; and one that a person has stopped, which is nobody else's matter.
    let hook = caring.hook("git.push").await?;
    let subscription = format!("organizations/tidewater/subscriptions/{hook}");
    let status = |status: &str| json!({ "status": status });
    caring
        .control(Method::PATCH, &subscription, status("disabledBySystem"))
        .await?;
    caring.pass().await?;
    sees(&["hooks-failing"])?;
    caring
        .control(Method::PATCH, &subscription, status("disabledByUser"))
        .await?;
    caring.pass().await?;
    sees(&[])?;
    caring
        .control(Method::PATCH, &subscription, status("enabled"))
        .await?;
    caring
        .control(Method::DELETE, &subscription, Value::Null)
        .await?;
    let watching = caring.another(|settings| settings.mends = false).await?;
    pass_of(
        &watching,
        &caring.linked,
        Trigger::Scheduled(Value::Null),
        now(),
    )
    .await?;
    sees(&["hooks-failing", "hooks-missing"])?;
    caring.pass().await?;
    sees(&["hooks-failing", "hooks-missing"])?;

    // What did not come, and is found.
    caring.stack(json!({ "projectRoot": "prod" })).await?;
    caring.pass().await?;
    sees(&[])?;
    caring.door.answers(Some(500));
    for file in ["prod/failed.tf", "prod/lost.tf"] {
        caring.push("main", json!({ file: "x\n" })).await?;
        caring.settle().await?;
    }
    caring.door.answers(None);
    caring.pass().await?;
    sees(&["hooks-failing", "recovered"])?;

    // The token: long before its end, and shortly.
    for (days, expected) in [(30, &[][..]), (8, &[]), (6, &["token-expiring"])] {
        let on = store::keys::day_of(now()).saturating_add(days.days());
        assert_eq!(expires(Some(on)).await.status(), 200);
        caring.pass().await?;
        sees(expected)?;
    }
    assert_eq!(expires(None).await.status(), 200);
    caring
        .control(Method::POST, "tokens/good/revoke", Value::Null)
        .await?;
    caring.pass().await?;
    sees(&["connection-failing"])?;

    // A week without a word.
    caring
        .pass_at(now() + SignedDuration::from_hours(24 * 8))
        .await?;
    sees(&["connection-failing", "silent"])?;

    let all = patterns.iter().map(|(alarm, _)| alarm.clone()).collect();
    assert_eq!(seen, all, "each alarm was seen");
    Ok(())
}
