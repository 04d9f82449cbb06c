//! What a delivery's answer does to its subscription: the state machine of facts 3.1, pure, without a clock or a socket.
//! It never sleeps or sends: it says what comes next, and the sender does it.

use std::time::Duration;

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

/// An answer, as far as retries care.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Success,
    Transient,
    Terminal,
    Enduring,
}

impl Answer {
    /// Classifies a status; none means that no answer came at all (refused, cut off, timed out).
    pub(crate) fn of(status: Option<u16>) -> Self {
        match status {
            Some(200..=299) => Answer::Success,
            Some(410) => Answer::Terminal,
            None | Some(408 | 502 | 503 | 504) => Answer::Transient,
            Some(_) => Answer::Enduring,
        }
    }
}

/// Where a subscription stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SubscriptionState {
    pub(crate) status: Status,
    /// Kept after a success: a captured record is enabled and still has it (facts 3.1).
    pub(crate) probation_retries: u32,
}

/// How far one notification got.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Progress {
    transient_retries: usize,
    /// This is the notification that put the subscription on probation, and whose retries decide.
    probing: bool,
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

    /// Takes in the answer to one attempt.
    pub(crate) fn after(&mut self, progress: &mut Progress, answer: Answer) -> Next {
        match answer {
            Answer::Success => {
                if self.status == Status::OnProbation {
                    self.status = Status::Enabled;
                }
                Next::Delivered
            }
            Answer::Terminal => {
                self.status = Status::DisabledBySystem;
                Next::GivenUp
            }
            // A probation retry is one attempt: the quick retries belong to the first time only.
            Answer::Transient
                if !progress.probing && progress.transient_retries < TRANSIENT_WAITS.len() =>
            {
                let wait = TRANSIENT_WAITS[progress.transient_retries];
                progress.transient_retries += 1;
                Next::Retry(Duration::from_secs(wait))
            }
            Answer::Transient | Answer::Enduring => self.endure(progress),
        }
    }

    /// An enduring failure: probation begins, goes on, or ends in a disabled subscription.
    fn endure(&mut self, progress: &mut Progress) -> Next {
        match (self.status, progress.probing) {
            (Status::Enabled, _) => {
                self.status = Status::OnProbation;
                self.probation_retries = 0;
                progress.probing = true;
            }
            (Status::OnProbation, true) => {}
            // Another notification decides already, or somebody disabled the subscription meanwhile.
            _ => return Next::GivenUp,
        }
        let Some(minutes) = PROBATION_WAITS.get(self.probation_retries as usize) else {
            self.status = Status::DisabledBySystem;
            return Next::GivenUp;
        };
        self.probation_retries += 1;
        Next::ProbationRetry(Duration::from_secs(minutes * 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(state: &mut SubscriptionState, statuses: &[Option<u16>]) -> Vec<Next> {
        let mut progress = Progress::default();
        statuses
            .iter()
            .map(|status| state.after(&mut progress, Answer::of(*status)))
            .collect()
    }

    #[test]
    fn only_2xx_is_a_success() {
        assert_eq!(Answer::of(Some(204)), Answer::Success);
        for transient in [None, Some(408), Some(502), Some(503), Some(504)] {
            assert_eq!(Answer::of(transient), Answer::Transient);
        }
        for enduring in [302, 400, 401, 403, 404, 429, 500] {
            assert_eq!(Answer::of(Some(enduring)), Answer::Enduring);
        }
        assert_eq!(Answer::of(Some(410)), Answer::Terminal);
    }

    #[test]
    fn a_transient_failure_is_retried_eight_times_over_183_seconds_and_then_means_probation() {
        let mut state = SubscriptionState::new();
        let next = answers(&mut state, &[Some(503); 9]);
        let waited: u64 = next
            .iter()
            .filter_map(|it| {
                if let Next::Retry(wait) = it {
                    Some(wait.as_secs())
                } else {
                    None
                }
            })
            .sum();
        assert_eq!(waited, 183);
        assert_eq!(next[8], Next::ProbationRetry(Duration::from_secs(20 * 60)));
        assert_eq!(state.status, Status::OnProbation);
    }

    #[test]
    fn a_transient_failure_followed_by_a_success_leaves_the_subscription_alone() {
        let mut state = SubscriptionState::new();
        let next = answers(&mut state, &[Some(503), Some(200)]);
        assert_eq!(next, [Next::Retry(Duration::from_secs(1)), Next::Delivered]);
        assert_eq!(state, SubscriptionState::new());
    }

    #[test]
    fn any_other_failure_puts_it_on_probation_at_once_and_a_success_restores_it() {
        let mut state = SubscriptionState::new();
        answers(&mut state, &[Some(500)]);
        assert_eq!(state.status, Status::OnProbation);
        assert!(!state.takes_new_events(true));
        assert!(state.takes_new_events(false));
        answers(&mut state, &[Some(200)]);
        assert_eq!(state.status, Status::Enabled);
        assert_eq!(state.probation_retries, 1);
    }

    #[test]
    fn seven_failed_probation_retries_disable_it() {
        let mut state = SubscriptionState::new();
        let next = answers(&mut state, &[Some(401); 8]);
        let hours: u64 = next
            .iter()
            .filter_map(|it| {
                if let Next::ProbationRetry(wait) = it {
                    Some(wait.as_secs())
                } else {
                    None
                }
            })
            .sum::<u64>()
            / 3600;
        assert_eq!(hours, 36);
        assert_eq!(next[7], Next::GivenUp);
        assert_eq!(state.status, Status::DisabledBySystem);
    }

    #[test]
    fn gone_disables_it_at_once_whatever_its_state() {
        for status in [Status::Enabled, Status::OnProbation] {
            let mut state = SubscriptionState {
                status,
                probation_retries: 0,
            };
            assert_eq!(answers(&mut state, &[Some(410)]), [Next::GivenUp]);
            assert_eq!(state.status, Status::DisabledBySystem);
        }
    }

    #[test]
    fn a_second_failing_notification_does_not_start_a_second_probation() {
        let mut state = SubscriptionState::new();
        answers(&mut state, &[Some(500)]);
        assert_eq!(answers(&mut state, &[Some(500)]), [Next::GivenUp]);
        assert_eq!(state.probation_retries, 1);
    }
}
