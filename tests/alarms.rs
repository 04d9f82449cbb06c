//! The alarms count lines of the log: each pattern of `infra/alarms.tf` has to fit a line that the function writes.

use std::{
    collections::BTreeSet,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Bed, Linked, dispatching::Dispatching, new_event, new_name, post, with_password,
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

/// The line is the one that infra/ was told of, since what matters here is which of its fields are counted.
#[test]
fn the_alarms_on_integrations_count_what_is_wrong_with_one_and_nothing_of_a_healthy_one()
-> Result<()> {
    let patterns = patterns("reconcile_alarms")?;
    let counted = |field: &str, value: i64| -> Vec<String> {
        let mut line = json!({ "level": "INFO", "fields": {
            "message": "reconciled", "integration": "acme", "hooks": 5, "failing": 0, "mended": 0, "recovered": 0, "missing": 0, "calls": 9,
            "connection_failing": 0, "silent": 0,
        } });
        line["fields"][field] = json!(value);
        let fits = |conditions: &[Condition]| conditions.iter().all(|it| it.fits(&line));
        let alarms = patterns.iter().filter(|(_, conditions)| fits(conditions));
        alarms.map(|(alarm, _)| alarm.clone()).collect()
    };
    for healthy in ["hooks", "mended", "calls"] {
        assert_eq!(counted(healthy, 3), Vec::<String>::new(), "{healthy}");
    }
    for days in [8, 30] {
        assert_eq!(counted("token_days", days), Vec::<String>::new(), "{days}");
    }
    for (field, value, alarm) in [
        ("failing", 1, "hooks-failing"),
        ("missing", 2, "hooks-missing"),
        ("connection_failing", 1, "connection-failing"),
        ("token_days", 7, "token-expiring"),
        ("token_days", 0, "token-expiring"),
        ("silent", 1, "silent"),
        ("recovered", 40, "recovered"),
    ] {
        assert_eq!(counted(field, value), [alarm], "{field} {value}");
    }
    assert_eq!(patterns.len(), 6);
    Ok(())
}
