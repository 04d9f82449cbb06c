//! What became of a delivery: one decision for each stack that follows its repository, with the reason in words.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{RunId, Stack, StackName};

/// What became of a delivery, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutcomeWord {
    /// It made runs, or met those that it is about.
    Dispatched,
    /// It asks for nothing.
    Ignored,
    /// It could not be dispatched, and waits: for a new token, or for a person.
    Parked,
}

impl OutcomeWord {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dispatched => "dispatched",
            Self::Ignored => "ignored",
            Self::Parked => "parked",
        }
    }
}

impl fmt::Display for OutcomeWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a delivery meant for a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// A run.
    Run,
    /// Nothing.
    None,
    /// The end of a run that was open.
    Canceled,
}

/// The stacks for which a delivery meant the same, for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// What it meant.
    pub verdict: Verdict,
    /// Why, in words.
    pub reason: String,
    /// The stacks, by name.
    pub stacks: Vec<StackName>,
    /// Their runs, where it is about runs: as many as stacks, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunId>,
}

/// What a delivery meant for one stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForStack {
    /// The stack.
    pub stack: StackName,
    /// What it meant.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// The run that it is about.
    pub run: Option<RunId>,
}

impl ForStack {
    /// It meant nothing.
    #[must_use]
    pub fn nothing(stack: &Stack, reason: String) -> Self {
        Self {
            stack: stack.name.clone(),
            verdict: Verdict::None,
            reason,
            run: None,
        }
    }
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// In a word.
    pub word: OutcomeWord,
    /// What is to be said of the delivery as a whole: why it asks no stack for anything, or why it is parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What it meant for each stack, those with the same reason together.
    #[serde(default)]
    pub decisions: Vec<Decision>,
    /// When that was decided.
    pub decided_at: Timestamp,
}

impl Outcome {
    /// The outcome of a delivery that concerns no stack.
    #[must_use]
    pub fn ignored(note: impl Into<String>, now: Timestamp) -> Self {
        Self {
            word: OutcomeWord::Ignored,
            note: Some(note.into()),
            decisions: Vec::new(),
            decided_at: now,
        }
    }

    /// The outcome of a delivery that waits.
    #[must_use]
    pub fn parked(note: impl Into<String>, now: Timestamp) -> Self {
        Self {
            word: OutcomeWord::Parked,
            ..Self::ignored(note, now)
        }
    }

    /// The outcome of a delivery by what it meant for each stack, grouped by reason in the order in which reasons come up.
    #[must_use]
    pub fn decided(each: Vec<ForStack>, now: Timestamp) -> Self {
        let mut decisions: Vec<Decision> = Vec::new();
        for one in each {
            let same = |it: &&mut Decision| {
                it.verdict == one.verdict
                    && it.reason == one.reason
                    && it.runs.is_empty() == one.run.is_none()
            };
            match decisions.iter_mut().find(same) {
                Some(decision) => {
                    decision.stacks.push(one.stack);
                    decision.runs.extend(one.run);
                }
                None => decisions.push(Decision {
                    verdict: one.verdict,
                    reason: one.reason,
                    stacks: vec![one.stack],
                    runs: one.run.into_iter().collect(),
                }),
            }
        }
        let did_something = |decision: &Decision| decision.verdict != Verdict::None;
        let word = if decisions.iter().any(did_something) {
            OutcomeWord::Dispatched
        } else {
            OutcomeWord::Ignored
        };
        Self {
            word,
            note: None,
            decisions,
            decided_at: now,
        }
    }

    /// The runs that it made or met.
    pub fn runs(&self) -> impl Iterator<Item = &RunId> {
        let of_runs = |decision: &&Decision| decision.verdict == Verdict::Run;
        self.decisions
            .iter()
            .filter(of_runs)
            .flat_map(|decision| &decision.runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_with_the_same_reason_stand_together() {
        let one = |stack: &str, verdict, reason: &str| ForStack {
            stack: stack.parse().unwrap(),
            verdict,
            reason: reason.to_owned(),
            run: None,
        };
        let all = vec![
            one("a", Verdict::None, "x"),
            one("b", Verdict::None, "y"),
            one("c", Verdict::None, "x"),
        ];
        let outcome = Outcome::decided(all, Timestamp::UNIX_EPOCH);
        assert_eq!(outcome.word, OutcomeWord::Ignored);
        assert_eq!(outcome.decisions.len(), 2);
        assert_eq!(outcome.decisions[0].stacks.len(), 2);
    }
}
