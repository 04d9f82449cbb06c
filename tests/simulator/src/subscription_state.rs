//! What a delivery's answer does to its subscription: the state machine of facts 3.1, pure, without a clock or a socket.
//! It never sleeps or sends: it says what comes next, and the sender does it.

use std::time::Duration;

use crate::assumptions::{Assumption, Assumptions};

/// The waits before the retries of a transient failure.
const TRANSIENT_WAITS: [u64; 8] = [1, 2, 4, 8, 16, 32, 60, 60];

/// The waits before the retries of a subscription on probation, in minutes: about 36 hours in all.
const PROBATION_WAITS: [u64; 7] = [20, 40, 80, 160, 320, 640, 900];

/// A subscription's status, in the service's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    Enabled,
    OnProbation,
    DisabledByUser,
    DisabledBySystem,
    DisabledByInactiveIdentity,
}

impl Status {
    const ALL: [Status; 5] = [
        Status::Enabled,
        Status::OnProbation,
        Status::DisabledByUser,
        Status::DisabledBySystem,
        Status::DisabledByInactiveIdentity,
    ];

    pub(crate) fn wire(self) -> &'static str {
        match self {
            Status::Enabled => "enabled",
            Status::OnProbation => "onProbation",
            Status::DisabledByUser => "disabledByUser",
            Status::DisabledBySystem => "disabledBySystem",
            Status::DisabledByInactiveIdentity => "disabledByInactiveIdentity",
        }
    }

    pub(crate) fn from_wire(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|status| status.wire().eq_ignore_ascii_case(text))
    }

    pub(crate) fn is_disabled(self) -> bool {
        !matches!(self, Status::Enabled | Status::OnProbation)
    }
}

/// What came back of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Came {
    Status(u16),
    /// No answer within the sender's patience.
    Timeout,
    /// Refused, reset, cut off.
    NoConnection,
}

/// What the documents leave open of this machine (`assumptions.rs`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) timeout_is_transient: bool,
    pub(crate) no_connection_is_transient: bool,
    pub(crate) probation_retry_is_one_attempt: bool,
}

impl Rules {
    pub(crate) fn of(assumptions: &Assumptions) -> Self {
        Self {
            timeout_is_transient: assumptions.hold(Assumption::TimeoutIsTransient),
            no_connection_is_transient: assumptions.hold(Assumption::NoConnectionIsTransient),
            probation_retry_is_one_attempt: assumptions
                .hold(Assumption::ProbationRetryIsOneAttempt),
        }
    }
}

/// An answer, as far as retries care.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Success,
    Transient,
    Terminal,
    Enduring,
}

impl Answer {
    pub(crate) fn of(came: Came, rules: Rules) -> Self {
        let or_enduring = |is_transient| {
            if is_transient {
                Answer::Transient
            } else {
                Answer::Enduring
            }
        };
        match came {
            Came::Status(200..=299) => Answer::Success,
            Came::Status(410) => Answer::Terminal,
            Came::Status(408 | 502 | 503 | 504) => Answer::Transient,
            Came::Status(_) => Answer::Enduring,
            Came::Timeout => or_enduring(rules.timeout_is_transient),
            Came::NoConnection => or_enduring(rules.no_connection_is_transient),
        }
    }
}

/// Where a subscription stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SubscriptionState {
    pub(crate) status: Status,
    /// How many retries the latest probation has made. Kept after a success: a captured record is enabled and still has it (facts 3.1).
    pub(crate) probation_retries: u32,
    /// The notification that put the subscription on probation, and whose retries decide.
    pub(crate) probing: Option<u32>,
}

/// How far one notification got.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Progress {
    transient_retries: usize,
}

/// What comes next for a notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    Delivered,
    Retry(Duration),
    ProbationRetry(Duration),
    GivenUp,
}

impl SubscriptionState {
    pub(crate) fn new() -> Self {
        Self {
            status: Status::Enabled,
            probation_retries: 0,
            probing: None,
        }
    }

    /// Whether a new event is sent to the subscription at all.
    pub(crate) fn takes_new_events(self, probation_loses_events: bool) -> bool {
        match self.status {
            Status::Enabled => true,
            Status::OnProbation => !probation_loses_events,
            _ => false,
        }
    }

    /// Whether this notification's retries decide on the probation.
    pub(crate) fn is_probing(self, notification: u32) -> bool {
        self.status == Status::OnProbation && self.probing == Some(notification)
    }

    /// Somebody, or an answer, changes the status.
    pub(crate) fn become_status(&mut self, status: Status) {
        self.status = status;
        if status != Status::OnProbation {
            self.probing = None;
        }
    }

    /// Takes in the answer to one attempt at a notification.
    pub(crate) fn after(
        &mut self,
        notification: u32,
        progress: &mut Progress,
        answer: Answer,
        rules: Rules,
    ) -> Next {
        match answer {
            Answer::Success => {
                if self.status == Status::OnProbation {
                    self.become_status(Status::Enabled);
                }
                Next::Delivered
            }
            // Whoever disabled it while the request was under way is not overruled; nothing is sent to it any more.
            _ if self.status.is_disabled() => Next::GivenUp,
            Answer::Terminal => {
                self.become_status(Status::DisabledBySystem);
                Next::GivenUp
            }
            Answer::Transient if self.retries_quickly(notification, *progress, rules) => {
                let wait = TRANSIENT_WAITS[progress.transient_retries];
                progress.transient_retries += 1;
                Next::Retry(Duration::from_secs(wait))
            }
            Answer::Transient | Answer::Enduring => self.endure(notification, progress),
        }
    }

    fn retries_quickly(self, notification: u32, progress: Progress, rules: Rules) -> bool {
        let is_single = rules.probation_retry_is_one_attempt && self.is_probing(notification);
        !is_single && progress.transient_retries < TRANSIENT_WAITS.len()
    }

    /// An enduring failure: probation begins, goes on, or ends in a disabled subscription.
    fn endure(&mut self, notification: u32, progress: &mut Progress) -> Next {
        if self.status == Status::Enabled {
            *self = Self {
                status: Status::OnProbation,
                probation_retries: 0,
                probing: Some(notification),
            };
        }
        if !self.is_probing(notification) {
            // Another notification decides already.
            return Next::GivenUp;
        }
        let Some(minutes) = PROBATION_WAITS.get(self.probation_retries as usize) else {
            self.become_status(Status::DisabledBySystem);
            return Next::GivenUp;
        };
        *progress = Progress::default();
        Next::ProbationRetry(Duration::from_secs(minutes * 60))
    }

    /// A retry of the probation is made.
    pub(crate) fn retry_probation(&mut self) {
        self.probation_retries += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Rules = Rules {
        timeout_is_transient: true,
        no_connection_is_transient: true,
        probation_retry_is_one_attempt: true,
    };

    /// Answers the first notification with these statuses, and makes the retries that are asked for.
    fn answers_by(rules: Rules, state: &mut SubscriptionState, statuses: &[u16]) -> Vec<Next> {
        let mut progress = Progress::default();
        let mut all = Vec::new();
        for status in statuses {
            let answer = Answer::of(Came::Status(*status), rules);
            let next = state.after(1, &mut progress, answer, rules);
            all.push(next);
            if matches!(next, Next::ProbationRetry(_)) {
                state.retry_probation();
            }
        }
        all
    }

    fn answers(state: &mut SubscriptionState, statuses: &[u16]) -> Vec<Next> {
        answers_by(USUAL, state, statuses)
    }

    fn waited(all: &[Next]) -> u64 {
        all.iter()
            .map(|it| match it {
                Next::Retry(wait) | Next::ProbationRetry(wait) => wait.as_secs(),
                Next::Delivered | Next::GivenUp => 0,
            })
            .sum()
    }

    #[test]
    fn only_2xx_is_a_success() {
        let of = |status| Answer::of(Came::Status(status), USUAL);
        assert_eq!(of(204), Answer::Success);
        for transient in [408, 502, 503, 504] {
            assert_eq!(of(transient), Answer::Transient);
        }
        for enduring in [302, 400, 401, 403, 404, 429, 500] {
            assert_eq!(of(enduring), Answer::Enduring);
        }
        assert_eq!(of(410), Answer::Terminal);
    }

    #[test]
    fn what_no_answer_means_is_a_rule_of_its_own() {
        assert_eq!(Answer::of(Came::Timeout, USUAL), Answer::Transient);
        assert_eq!(Answer::of(Came::NoConnection, USUAL), Answer::Transient);
        let rules = Rules {
            timeout_is_transient: false,
            ..USUAL
        };
        assert_eq!(Answer::of(Came::Timeout, rules), Answer::Enduring);
        assert_eq!(Answer::of(Came::NoConnection, rules), Answer::Transient);
    }

    #[test]
    fn a_transient_failure_is_retried_eight_times_over_183_seconds_and_then_means_probation() {
        let mut state = SubscriptionState::new();
        let next = answers(&mut state, &[503; 9]);
        assert_eq!(waited(&next[..8]), 183);
        assert_eq!(next[8], Next::ProbationRetry(Duration::from_secs(20 * 60)));
        assert_eq!(state.status, Status::OnProbation);
    }

    #[test]
    fn a_transient_failure_followed_by_a_success_leaves_the_subscription_alone() {
        let mut state = SubscriptionState::new();
        let next = answers(&mut state, &[503, 200]);
        assert_eq!(next, [Next::Retry(Duration::from_secs(1)), Next::Delivered]);
        assert_eq!(state, SubscriptionState::new());
    }

    #[test]
    fn any_other_failure_puts_it_on_probation_at_once_and_a_success_restores_it() {
        let mut state = SubscriptionState::new();
        answers(&mut state, &[500]);
        assert_eq!(state.status, Status::OnProbation);
        assert!(!state.takes_new_events(true));
        assert!(state.takes_new_events(false));
        answers(&mut state, &[200]);
        assert_eq!(state.status, Status::Enabled);
        assert_eq!(state.probation_retries, 1);
    }

    #[test]
    fn seven_failed_probation_retries_over_36_hours_disable_it() {
        let mut state = SubscriptionState::new();
        let next = answers(&mut state, &[401; 8]);
        assert_eq!(waited(&next), 36 * 3600);
        assert_eq!(next[7], Next::GivenUp);
        assert_eq!(state.status, Status::DisabledBySystem);
        assert_eq!(state.probation_retries, 7);
    }

    #[test]
    fn a_probation_retry_that_fails_transiently_is_one_attempt_or_nine() {
        for (is_one, quick) in [(true, 0), (false, 8)] {
            let rules = Rules {
                probation_retry_is_one_attempt: is_one,
                ..USUAL
            };
            let mut state = SubscriptionState::new();
            let mut statuses = vec![500];
            statuses.extend(vec![503; quick + 1]);
            let next = answers_by(rules, &mut state, &statuses);
            let last = next.last().copied();
            assert_eq!(last, Some(Next::ProbationRetry(Duration::from_secs(2400))));
        }
    }

    #[test]
    fn gone_disables_it_at_once_but_overrules_nobody() {
        for status in [Status::Enabled, Status::OnProbation] {
            let mut state = SubscriptionState::new();
            state.become_status(status);
            assert_eq!(answers(&mut state, &[410]), [Next::GivenUp]);
            assert_eq!(state.status, Status::DisabledBySystem);
        }
        let mut state = SubscriptionState::new();
        state.become_status(Status::DisabledByUser);
        assert_eq!(answers(&mut state, &[410]), [Next::GivenUp]);
        assert_eq!(state.status, Status::DisabledByUser);
    }

    #[test]
    fn what_was_under_way_when_it_was_disabled_is_not_retried() {
        let mut state = SubscriptionState::new();
        state.become_status(Status::DisabledByUser);
        assert_eq!(answers(&mut state, &[503]), [Next::GivenUp]);
        assert_eq!(answers(&mut state, &[200]), [Next::Delivered]);
        assert_eq!(state.status, Status::DisabledByUser);
    }

    #[test]
    fn a_second_failing_notification_does_not_start_a_second_probation() {
        let mut state = SubscriptionState::new();
        answers(&mut state, &[500]);
        let other = state.after(2, &mut Progress::default(), Answer::Enduring, USUAL);
        assert_eq!(other, Next::GivenUp);
        assert!(state.is_probing(1));
    }

    #[test]
    fn one_that_was_enabled_again_starts_a_probation_of_its_own() {
        let mut state = SubscriptionState::new();
        answers(&mut state, &[500, 500]);
        state.become_status(Status::Enabled);
        let other = state.after(2, &mut Progress::default(), Answer::Enduring, USUAL);
        assert_eq!(other, Next::ProbationRetry(Duration::from_secs(1200)));
        assert_eq!(state.probation_retries, 0);
        assert!(state.is_probing(2) && !state.is_probing(1));
    }
}
