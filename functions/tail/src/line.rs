//! A delivery as one line of a terminal. Everything that comes from elsewhere is made harmless first: whoever may open a pull
//! request writes its title.

use domain::summary::{plain, plain_within};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{Delivery, Line, watch::STORED};

/// As wide as the longest word for an outcome with the arrow before it.
const OUTCOME_WIDTH: usize = 13;
/// What is said of a delivery is short already, where it comes from; this is for what does not.
const MOST_CHARACTERS: usize = 300;
const RESET: &str = "\u{1b}[0m";
const DIM: &str = "\u{1b}[2m";

/// How lines look.
#[derive(Clone, Debug)]
pub struct Style {
    zone: TimeZone,
    has_colors: bool,
    names_integrations: bool,
    today: Date,
}

impl Style {
    /// Times in `zone`, with the day where it is not today; the integration where there may be several.
    #[must_use]
    pub fn new(zone: TimeZone, has_colors: bool, names_integrations: bool, now: Timestamp) -> Self {
        let today = zone.to_datetime(now).date();
        Self {
            zone,
            has_colors,
            names_integrations,
            today,
        }
    }

    /// The zone in words.
    #[must_use]
    pub fn zone(&self) -> String {
        match self.zone.iana_name() {
            Some("UTC" | "Etc/UTC") => "UTC".to_owned(),
            Some(name) => format!("{name} (--utc for UTC)"),
            None => "this machine's zone (--utc for UTC)".to_owned(),
        }
    }

    /// One line, without its end.
    #[must_use]
    pub fn line(&self, line: &Line) -> String {
        let (delivery, arrow) = match line {
            Line::Came(delivery) => (delivery, ""),
            Line::Became(delivery) => (delivery, "→ "),
        };
        let outcome = plain(&delivery.outcome);
        let padded = format!("{:<OUTCOME_WIDTH$}", format!("{arrow}{outcome}"));
        let mut parts = vec![
            self.colored(DIM, &self.time(delivery.received_at)),
            self.colored(color(&outcome), &padded),
        ];
        if self.names_integrations {
            parts.push(plain(&delivery.integration));
        }
        parts.extend(
            delivery
                .repository
                .as_deref()
                .map(plain)
                .filter(|it| !it.is_empty()),
        );
        parts.push(words(delivery));
        parts.join("  ").trim_end().to_owned()
    }

    fn time(&self, moment: Timestamp) -> String {
        let local = self.zone.to_datetime(moment);
        let format = if local.date() == self.today {
            "%H:%M:%S"
        } else {
            "%Y-%m-%d %H:%M:%S"
        };
        local.strftime(format).to_string()
    }

    fn colored(&self, color: &str, text: &str) -> String {
        if self.has_colors && !color.is_empty() {
            format!("{color}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }
}

/// What happened, and what is to be said beside it.
fn words(delivery: &Delivery) -> String {
    let short = |text: &str| plain_within(text, MOST_CHARACTERS);
    let mut words = short(&delivery.summary);
    // What was not understood has its reason in its summary.
    if let (true, Some(reason)) = (delivery.outcome == "parked", &delivery.reason) {
        words = format!("{words} ({})", short(reason));
    }
    if delivery.recovered {
        words = format!("{words} · found again");
    }
    words
}

fn color(outcome: &str) -> &'static str {
    match outcome {
        "dispatched" => "\u{1b}[32m",
        "ignored" => DIM,
        "parked" => "\u{1b}[33m",
        "quarantined" | "oversize" => "\u{1b}[31m",
        "test" => "\u{1b}[36m",
        STORED => "",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::offset;

    use super::*;

    fn delivery() -> Delivery {
        Delivery {
            id: "id".to_owned(),
            integration: "acme".to_owned(),
            received_at: "2026-11-24T10:14:59.123456Z".parse().unwrap(),
            summary: "Asha Rao pushed 2 commits to main".to_owned(),
            outcome: "stored".to_owned(),
            repository: Some("Harbor/platform".to_owned()),
            reason: None,
            recovered: false,
        }
    }

    fn style(now: &str) -> Style {
        Style::new(TimeZone::UTC, false, true, now.parse().unwrap())
    }

    fn today() -> Style {
        style("2026-11-24T12:00:00Z")
    }

    fn came(change: impl FnOnce(&mut Delivery)) -> String {
        let mut delivery = delivery();
        change(&mut delivery);
        today().line(&Line::Came(delivery))
    }

    #[test]
    fn a_delivery_is_a_line() {
        assert_eq!(
            came(|_| {}),
            "10:14:59  stored         acme  Harbor/platform  Asha Rao pushed 2 commits to main"
        );
        let mut of_one = today();
        of_one.names_integrations = false;
        assert_eq!(
            of_one.line(&Line::Came(delivery())),
            "10:14:59  stored         Harbor/platform  Asha Rao pushed 2 commits to main"
        );
        let became = Delivery {
            outcome: "dispatched".to_owned(),
            ..delivery()
        };
        assert_eq!(
            today().line(&Line::Became(became)),
            "10:14:59  → dispatched   acme  Harbor/platform  Asha Rao pushed 2 commits to main"
        );
    }

    #[test]
    fn a_line_says_why_it_is_parked_and_that_it_was_found_again() {
        let parked = came(|it| {
            it.outcome = "parked".to_owned();
            it.reason = Some("the token was refused".to_owned());
        });
        assert!(
            parked.ends_with("to main (the token was refused)"),
            "{parked}"
        );
        let recovered = came(|it| it.recovered = true);
        assert!(recovered.ends_with("to main · found again"), "{recovered}");
        let quarantined = came(|it| {
            it.outcome = "quarantined".to_owned();
            it.summary = "Quarantined: no JSON".to_owned();
            it.reason = Some("no JSON".to_owned());
            it.repository = None;
        });
        assert_eq!(
            quarantined,
            "10:14:59  quarantined    acme  Quarantined: no JSON"
        );
    }

    #[test]
    fn a_line_is_as_long_as_what_it_says_and_no_longer_than_can_be_read() {
        let long = "A sentence of the log, as long as the longest that it has. ".repeat(4);
        let whole = came(|it| it.summary = long.clone());
        assert!(whole.ends_with(long.trim_end()), "{whole}");
        let endless = came(|it| it.summary = "x".repeat(100_000));
        assert!(endless.chars().count() < 400 && endless.ends_with('…'));
    }

    #[test]
    fn nothing_that_others_write_steers_the_terminal_or_begins_a_line() {
        let evil = "\u{1b}[2J\u{1b}]0;x\u{7}a\r\nb\u{202e}c\u{9b}31m\t\u{8}d";
        let harmless = "[2J ]0;x a b c 31m d";
        let line = came(|it| {
            it.integration = evil.to_owned();
            it.summary = evil.to_owned();
            it.repository = Some(evil.to_owned());
            it.reason = Some(evil.to_owned());
            it.outcome = evil.to_owned();
        });
        assert!(
            !line.chars().any(|c| c.is_control() || c == '\u{202e}'),
            "{line:?}"
        );
        assert_eq!(line.matches(harmless).count(), 4, "{line}");
        let parked = came(|it| {
            it.outcome = "parked".to_owned();
            it.reason = Some(evil.to_owned());
        });
        assert!(parked.ends_with(&format!("({harmless})")), "{parked:?}");
    }

    #[test]
    fn the_day_is_told_where_it_is_not_today() {
        let line = style("2026-11-25T00:00:00Z").line(&Line::Came(delivery()));
        assert!(line.starts_with("2026-11-24 10:14:59  stored"), "{line}");
        // In the zone that is shown.
        let far = Style::new(
            TimeZone::fixed(offset(14)),
            false,
            true,
            "2026-11-24T12:00:00Z".parse().unwrap(),
        );
        assert!(far.line(&Line::Came(delivery())).starts_with("00:14:59"));
        assert_eq!(today().zone(), "UTC");
        assert!(far.zone().contains("--utc"));
    }

    #[test]
    fn colors_are_around_what_is_ours_and_end_where_they_should() {
        let mut colored = today();
        colored.has_colors = true;
        for outcome in [
            "stored",
            "dispatched",
            "ignored",
            "quarantined",
            "oversize",
            "parked",
            "test",
            "new",
        ] {
            let mut delivery = delivery();
            delivery.outcome = outcome.to_owned();
            let line = Line::Came(delivery);
            let with = colored.line(&line);
            let without = with
                .split('\u{1b}')
                .map(|part| {
                    part.split_once('m')
                        .filter(|(code, _)| code.starts_with('['))
                        .map_or(part, |(_, rest)| rest)
                })
                .collect::<String>();
            assert_eq!(without, today().line(&line));
            let is_colored = !["stored", "new"].contains(&outcome);
            assert_eq!(
                with.matches(RESET).count(),
                1 + usize::from(is_colored),
                "{outcome}"
            );
            assert_eq!(
                with.matches('\u{1b}').count(),
                2 * with.matches(RESET).count()
            );
        }
    }
}
