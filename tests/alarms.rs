//! The alarms count lines of the log: each pattern of `infra/alarms.tf` has to fit a line that the real function writes.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::support::{
    Bed, Fate, Fleet, FleetOptions, Linked, Tap, answer::Answer, new_event, new_name,
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
    MoreThan(u64),
}

/// The patterns by the names of their alarms, as far as this project writes them: `{ $.a.b = "text" && $.a.c > 0 }`.
fn patterns() -> Result<Vec<(String, Vec<Condition>)>> {
    let mut name = String::new();
    let mut patterns = Vec::new();
    for line in include_str!("../infra/alarms.tf").lines().map(str::trim) {
        if let Some(begun) = line.strip_suffix(" = {") {
            name = begun.to_owned();
        }
        let Some(pattern) = line
            .strip_prefix("pattern")
            .and_then(|it| it.split_once('"'))
        else {
            continue;
        };
        let pattern = pattern.1.replace("\\\"", "\"");
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
            Wanted::MoreThan(least) => found.as_u64().is_some_and(|number| number > *least),
        }
    }
}

/// Everything that an alarm is for, once.
async fn provoke(bed: &Bed, fleet: &Fleet, linked: &Linked) -> Result<()> {
    let endpoint = fleet.endpoint(linked.name.as_str());
    let deliver = async |password: &str, body: String| -> Result<u16> {
        Ok(bed.stack.deliver(&endpoint, password, body).await?.status)
    };
    let mut event = new_event("ado/git.push.json");
    for body in [
        event.to_string(),
        "no json".to_owned(),
        "x".repeat(store::LARGEST_BODY + 1),
    ] {
        assert_eq!(deliver(&linked.password, body).await?, 200);
    }
    event["resource"]["pushId"] = json!(99_999);
    assert_eq!(deliver(&linked.password, event.to_string()).await?, 200);
    assert_eq!(deliver("wrong", "{}".to_owned()).await?, 401);
    Ok(())
}

#[tokio::test]
async fn every_alarm_counts_a_line_that_the_function_writes() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let options = || FleetOptions {
        most_instances: 1,
        variables: vec![("AWS_LAMBDA_LOG_LEVEL", "INFO".to_owned())],
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(&bed, options()).await?;
    provoke(&bed, &fleet, &linked).await?;
    let mut lines = fleet.end().await?;

    // Without DynamoDB; and with one that knows no name at once, so that strangers use up what may be read for them.
    let tap = Tap::on(&bed.stack.description.endpoint_url, |_, _| Fate::Cut).await?;
    let endpoint = Some(tap.url());
    let fleet = Fleet::start(
        &bed,
        FleetOptions {
            endpoint,
            ..options()
        },
    )
    .await?;
    let away = fleet.endpoint(linked.name.as_str());
    let answer = bed.stack.deliver(&away, &linked.password, "{}").await?;
    assert_eq!(answer.status, 503);
    lines.extend(fleet.end().await?);
    let tap = Tap::on(&bed.stack.description.endpoint_url, |_, _| {
        Fate::Answer(Answer::ok(b"{}", &[]))
    })
    .await?;
    let endpoint = Some(tap.url());
    let fleet = Fleet::start(
        &bed,
        FleetOptions {
            endpoint,
            ..options()
        },
    )
    .await?;
    let is_told = |fleet: &Fleet| {
        let lines = fleet.logs();
        lines
            .iter()
            .any(|line| line.contains("\"withheld\":") && !line.contains("\"withheld\":0"))
    };
    for _ in 0..20_000 {
        if is_told(&fleet) {
            break;
        }
        let strangers = (0..20).map(|_| {
            let endpoint = fleet.endpoint(&new_name("nobody"));
            let stack = &bed.stack;
            async move { stack.deliver(&endpoint, "guess", "{}").await }
        });
        futures::future::try_join_all(strangers).await?;
    }
    lines.extend(fleet.end().await?);

    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")))
        .collect::<Result<_>>()?;
    let patterns = patterns()?;
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
