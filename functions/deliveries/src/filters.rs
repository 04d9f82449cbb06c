//! Which deliveries are meant: the same words and rules in the query of a list and in the body of a request.

use domain::IntegrationName;
use edge::{Problem, ProblemKind, http::parsed_text};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use store::keys;

use crate::{
    App,
    log::{Cursor, Source, Wanted},
    view,
};

/// Which deliveries are meant, as a caller says it. An empty text counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Filters {
    pub(crate) integration: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) repository: Option<String>,
    pub(crate) outcome: Option<String>,
}

/// How much of what is meant a page has.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    /// How many at the most.
    pub(crate) size: usize,
    /// How many bodies are read together at the most.
    pub(crate) at_once: usize,
    /// Where the page before ended.
    pub(crate) after: Option<Cursor>,
}

impl Filters {
    /// Whether they leave out nothing.
    pub(crate) fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// An absent text for an empty one.
    pub(crate) fn tidied(self) -> Self {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            integration: some(self.integration),
            from: some(self.from),
            to: some(self.to),
            event_type: some(self.event_type),
            repository: some(self.repository),
            outcome: some(self.outcome),
        }
    }

    /// What is meant, understood.
    ///
    /// # Errors
    ///
    /// [`ProblemKind::InvalidRequest`], which names the filter and says how it is written.
    pub(crate) async fn wanted(
        self,
        app: &App,
        extent: Extent,
        now: Timestamp,
    ) -> Result<Wanted, Problem> {
        let outcome = |text: &str| view::OUTCOMES.contains(&text).then(|| text.to_owned());
        let one_of = format!("one of {}", view::OUTCOMES.join(", "));
        let oldest = now - app.retention;
        let (from, to) = within(self.from.as_deref(), self.to.as_deref())?;
        let to = to.unwrap_or(now).min(now);
        let read_up_to = extent.after.as_ref().and_then(Cursor::received);
        Ok(Wanted {
            sources: sources(app, self.integration.as_deref()).await?,
            from: from.unwrap_or(oldest).max(oldest),
            to: read_up_to.map_or(to, |received| to.min(received)),
            event_type: self.event_type,
            repository: self.repository,
            outcome: parsed_text(self.outcome.as_deref(), "outcome", outcome, &one_of)?,
            size: extent.size,
            at_once: extent.at_once,
            after: extent.after,
        })
    }
}

/// `from` and `to`: moments, or days, of which the whole is meant.
///
/// # Errors
///
/// [`ProblemKind::InvalidRequest`] for what is none of both, or ends before it begins.
pub fn within(
    from: Option<&str>,
    to: Option<&str>,
) -> Result<(Option<Timestamp>, Option<Timestamp>), Problem> {
    let from = moment(from, "from", Edge::Start)?;
    let to = moment(to, "to", Edge::End)?;
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(Problem::new(ProblemKind::InvalidRequest, "from is after to").at("from"));
    }
    Ok((from, to))
}

/// The one that is asked for, else all of them, also unlinked ones: their deliveries are kept.
async fn sources(app: &App, integration: Option<&str>) -> Result<Vec<Source>, Problem> {
    let source = |integration: domain::Integration| Source {
        name: integration.name,
        since: keys::day_of(integration.name_since),
    };
    let slug = |text: &str| text.parse::<IntegrationName>().ok();
    if let Some(name) = parsed_text(integration, "integration", slug, "an integration's name")? {
        let known = app
            .store
            .listed_integration(&name)
            .await
            .map_err(Problem::ours)?;
        // Not in the index yet, or not any more: then nothing is known of how far back it goes.
        let unknown = Source {
            name,
            since: Date::MIN,
        };
        return Ok(vec![known.map_or(unknown, source)]);
    }
    let mut sources = Vec::new();
    let mut after = None;
    loop {
        let page = app
            .store
            .integrations(after.as_ref(), 1_000)
            .await
            .map_err(Problem::ours)?;
        sources.extend(page.integrations.into_iter().map(source));
        after = page.next;
        if after.is_none() {
            return Ok(sources);
        }
    }
}

/// Which end of a day is meant where only a day is given.
#[derive(Clone, Copy)]
enum Edge {
    Start,
    End,
}

/// A moment (`2026-11-23T15:00:00Z`) or a day in UTC (`2026-11-23`).
fn moment(
    given: Option<&str>,
    name: &'static str,
    edge: Edge,
) -> Result<Option<Timestamp>, Problem> {
    let of_day = |day: Date| {
        let time = match edge {
            Edge::Start => day.at(0, 0, 0, 0),
            Edge::End => day.at(23, 59, 59, 999_999_999),
        };
        // A day that no moment can stand for is further away than anything that is kept.
        let away = match day.year() < 0 {
            true => Timestamp::MIN,
            false => Timestamp::MAX,
        };
        TimeZone::UTC.to_timestamp(time).unwrap_or(away)
    };
    let parse = |text: &str| {
        text.parse::<Timestamp>()
            .ok()
            .or_else(|| text.parse().ok().map(of_day))
    };
    parsed_text(
        given,
        name,
        parse,
        "a time as 2026-11-23T15:00:00Z, or a day as 2026-11-23",
    )
}
