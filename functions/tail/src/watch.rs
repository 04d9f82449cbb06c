//! What of the delivery log is new.

use std::collections::HashMap;

use domain::IntegrationName;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// How far behind the newest delivery the next look begins: what was received before another may be seen after it.
const OVERLAP: SignedDuration = SignedDuration::from_secs(60);
/// For how long a delivery that nothing has become of is looked at again. What is put off is decided within a quarter of an hour.
const FOLLOWED: SignedDuration = SignedDuration::from_mins(16);
/// How wrong this machine's clock may be at the first look. AWS takes no signature that is further off.
const CLOCKS: SignedDuration = SignedDuration::from_mins(15);
/// As many as a page can have.
const PAGE_SIZE: u32 = 100;
/// What a delivery is as long as nothing has become of it.
pub(crate) const STORED: &str = "stored";

/// A row of the delivery log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// What it is known by.
    pub id: String,
    /// Whose.
    pub integration: String,
    /// When it was received.
    pub received_at: Timestamp,
    /// What happened, in words.
    #[serde(default)]
    pub summary: String,
    /// What has become of it.
    pub outcome: String,
    /// Where it happened.
    pub repository: Option<String>,
    /// Why it is parked or quarantined.
    pub reason: Option<String>,
    /// Whether it had been lost, and was found again.
    #[serde(default)]
    pub recovered: bool,
}

/// A page of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) next_page_token: Option<String>,
}

/// All pages of one look, in any order.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) answered_at: Option<Timestamp>,
}

/// What is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A delivery, for the first time.
    Came(Delivery),
    /// Something has become of one that was shown.
    Became(Delivery),
}

/// What was seen, and from where on is looked.
#[derive(Debug)]
pub struct Watch {
    integration: Option<IntegrationName>,
    /// What was received before is not shown; not known before the first answer, if nobody has said it.
    begin: Option<Timestamp>,
    from: Timestamp,
    known: HashMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    received: Timestamp,
    outcome: String,
}

impl Watch {
    /// Of one integration or all, since a moment; or from the first answer on.
    #[must_use]
    pub fn new(
        integration: Option<IntegrationName>,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        Self {
            integration,
            begin: since,
            from: since.unwrap_or_else(|| before(now, CLOCKS)),
            known: HashMap::new(),
        }
    }

    /// Path and query of the next page.
    pub(crate) fn question(&self, token: Option<&str>) -> String {
        // What would have to be encoded for the query: a moment's colons. Names are slugs, and tokens base64url.
        let from = self.from.to_string().replace(':', "%3A");
        let mut question = format!("/deliveries?from={from}&pageSize={PAGE_SIZE}");
        if let Some(name) = &self.integration {
            question = format!("{question}&integration={name}");
        }
        if let Some(token) = token {
            question = format!("{question}&pageToken={token}");
        }
        question
    }

    /// What is new in a look that was not cut off, in the order of receipt.
    pub(crate) fn learn(&mut self, look: Look) -> Vec<Line> {
        let begin = *self.begin.get_or_insert_with(|| {
            // By the clock that also says when deliveries are received.
            look.answered_at
                .unwrap_or_else(|| self.from.saturating_add(CLOCKS).unwrap_or(self.from))
        });
        let mut deliveries = look.deliveries;
        deliveries
            .sort_by(|one, other| (one.received_at, &one.id).cmp(&(other.received_at, &other.id)));
        let mut lines = Vec::new();
        for delivery in deliveries.into_iter().filter(|it| it.received_at >= begin) {
            let now = Known {
                received: delivery.received_at,
                outcome: delivery.outcome.clone(),
            };
            match self.known.insert(delivery.id.clone(), now) {
                None => lines.push(Line::Came(delivery)),
                Some(was) if was.outcome != delivery.outcome => lines.push(Line::Became(delivery)),
                Some(_) => {}
            }
        }
        self.look_on(begin);
        lines
    }

    /// From where on the next look is: behind the newest, but not behind what something may yet become of.
    fn look_on(&mut self, begin: Timestamp) {
        let newest = self
            .known
            .values()
            .map(|it| it.received)
            .max()
            .unwrap_or(begin);
        let undecided = self
            .known
            .values()
            .filter(|it| it.outcome == STORED)
            .map(|it| it.received)
            .min();
        let overlap = before(newest, OVERLAP);
        let followed = undecided.map_or(overlap, |it| it.max(before(newest, FOLLOWED)));
        self.from = begin.max(overlap.min(followed));
        // What is not asked for any more does not come again.
        self.known.retain(|_, it| it.received >= self.from);
    }
}

fn before(moment: Timestamp, by: SignedDuration) -> Timestamp {
    moment.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn delivery(id: &str, second: i64, outcome: &str) -> Delivery {
        Delivery {
            id: id.to_owned(),
            integration: "acme".to_owned(),
            received_at: at(second),
            summary: String::new(),
            outcome: outcome.to_owned(),
            repository: None,
            reason: None,
            recovered: false,
        }
    }

    fn look(deliveries: &[Delivery]) -> Look {
        Look {
            deliveries: deliveries.to_vec(),
            answered_at: Some(at(0)),
        }
    }

    /// Each line as `+id outcome`, or `>id outcome` for what became of one.
    fn told(lines: &[Line]) -> Vec<String> {
        let told = |line: &Line| match line {
            Line::Came(it) => format!("+{} {}", it.id, it.outcome),
            Line::Became(it) => format!(">{} {}", it.id, it.outcome),
        };
        lines.iter().map(told).collect()
    }

    fn since_the_first_answer() -> Watch {
        let mut watch = Watch::new(None, None, at(300));
        assert_eq!(watch.learn(look(&[])), []);
        watch
    }

    #[test]
    fn each_delivery_comes_once_the_oldest_first() {
        let mut watch = since_the_first_answer();
        let first = [delivery("b", 2, "ignored"), delivery("a", 1, "ignored")];
        assert_eq!(
            told(&watch.learn(look(&first))),
            ["+a ignored", "+b ignored"]
        );
        assert_eq!(watch.learn(look(&first)), []);
        // One that was received before, and seen later.
        let second = [
            first[0].clone(),
            delivery("late", 1, "test"),
            first[1].clone(),
        ];
        assert_eq!(told(&watch.learn(look(&second))), ["+late test"]);
    }

    #[test]
    fn what_becomes_of_a_delivery_is_told_once_for_each_change() {
        let mut watch = since_the_first_answer();
        for (outcome, expected) in [
            ("stored", vec!["+a stored"]),
            ("stored", vec![]),
            ("parked", vec![">a parked"]),
            ("parked", vec![]),
            ("dispatched", vec![">a dispatched"]),
            ("dispatched", vec![]),
        ] {
            assert_eq!(
                told(&watch.learn(look(&[delivery("a", 1, outcome)]))),
                expected,
                "{outcome}"
            );
        }
    }

    #[test]
    fn what_came_before_the_first_answer_is_not_shown_whatever_this_clock_says() {
        for wrong_by in [-600, 0, 600] {
            let mut watch = Watch::new(None, None, at(wrong_by));
            assert!(watch.from <= at(0), "{wrong_by}");
            let first = [
                delivery("before", -1, "stored"),
                delivery("after", 0, "stored"),
            ];
            assert_eq!(
                told(&watch.learn(look(&first))),
                ["+after stored"],
                "{wrong_by}"
            );
            let became = [
                delivery("before", -1, "ignored"),
                delivery("after", 0, "ignored"),
            ];
            assert_eq!(
                told(&watch.learn(look(&became))),
                [">after ignored"],
                "{wrong_by}"
            );
        }
    }

    #[test]
    fn since_shows_what_came_before() {
        let mut watch = Watch::new(None, Some(at(-7_200)), at(0));
        assert_eq!(watch.from, at(-7_200));
        let all = [
            delivery("too old", -7_201, "ignored"),
            delivery("old", -7_200, "ignored"),
        ];
        assert_eq!(told(&watch.learn(look(&all))), ["+old ignored"]);
    }

    #[test]
    fn a_look_begins_behind_the_newest_but_not_behind_what_is_undecided() {
        let mut watch = since_the_first_answer();
        watch.learn(look(&[
            delivery("a", 100, "ignored"),
            delivery("b", 1_000, "ignored"),
        ]));
        assert_eq!(watch.from, at(940));
        assert_eq!(watch.known.len(), 1, "what is not asked for is forgotten");
        watch.learn(look(&[
            delivery("c", 1_001, "stored"),
            delivery("d", 1_900, "ignored"),
        ]));
        assert_eq!(watch.from, at(1_001));
        watch.learn(look(&[
            delivery("c", 1_001, "stored"),
            delivery("e", 5_000, "ignored"),
        ]));
        assert_eq!(
            watch.from,
            at(5_000 - 16 * 60),
            "and that for a quarter of an hour"
        );
    }

    #[test]
    fn a_question_has_the_moment_the_integration_and_the_page() {
        let watch = Watch::new("acme".parse().ok(), Some(at(0)), at(0));
        assert_eq!(
            watch.question(None),
            "/deliveries?from=2027-01-15T08%3A00%3A00Z&pageSize=100&integration=acme"
        );
        assert!(watch.question(Some("x-_y")).ends_with("&pageToken=x-_y"));
    }
}
