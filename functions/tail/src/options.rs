//! What the program is called with.

use std::time::Duration;

use domain::IntegrationName;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, civil::Date, tz::TimeZone};

/// What `--help` says.
pub const USAGE: &str = "\
Shows deliveries as they come, one line each, until Ctrl-C.

    tail [--url URL] [--integration NAME] [--since WHEN] [--every SECONDS] [--utc] [--region REGION]

    --url URL            of the function `deliveries` (`make deploy` prints it); else DELIVERIES_URL
    --integration NAME   only this one's
    --since WHEN         also what came before: 90s, 15m, 2h, 3d, a moment as 2026-11-23T15:00:00Z,
                         or a day in UTC
    --every SECONDS      how long between two looks, 1 to 300 (3). Each is a call of the function,
                         which reads the keys of about four days: where there are many deliveries,
                         name the integration, or look less often
    --utc                times in UTC, not in this machine's zone
    --region REGION      of the function, where its URL does not say it

A line has the time of receipt, what has become of the delivery so far, the integration, the
repository, and what happened. A delivery that was `stored` when it was shown has a second line,
with an arrow, when it is dispatched, ignored or parked. `found again`: the event did not reach
Stackhook when it happened, and was found afterwards.

Calls are signed with your AWS credentials: the environment, a profile (AWS_PROFILE), SSO, a role.
You need the policy stackhook-<environment>-operator. Colours only on a terminal, and not with
NO_COLOR. An error is told once, and waited out.
";

/// How long between two looks, unless it is said.
const PAUSE: Duration = Duration::from_secs(3);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A tail.
    Tail(Options),
    /// What it can be asked.
    Help,
}

/// A tail, as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The base URL of `deliveries`, without a slash at its end.
    pub url: String,
    /// One integration, or all.
    pub integration: Option<IntegrationName>,
    /// From when on deliveries are shown; from now on where nothing is said.
    pub since: Option<Timestamp>,
    /// Between two looks.
    pub pause: Duration,
    /// Whether times are in UTC.
    pub utc: bool,
    /// The region, where it is given.
    pub region: Option<String>,
}

/// Why it cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// There is no such option.
    #[error("there is no option {0}")]
    Unknown(String),
    /// An option without its value.
    #[error("{0} wants a value")]
    NoValue(&'static str),
    /// An option with a value that it cannot have.
    #[error("{option} cannot be {value:?}: {wanted}")]
    Value {
        /// Which.
        option: &'static str,
        /// What was given.
        value: String,
        /// What it may be.
        wanted: &'static str,
    },
    /// Nobody said where.
    #[error(
        "where is the delivery log? Give --url, or set DELIVERIES_URL (`make deploy` prints it)"
    )]
    NoUrl,
}

/// Reads the command line. `url` is the environment's.
///
/// # Errors
///
/// [`UsageError`].
pub(crate) fn read(
    arguments: impl Iterator<Item = String>,
    url: Option<String>,
    now: Timestamp,
) -> Result<Asked, UsageError> {
    let mut given = Given {
        url,
        ..Given::default()
    };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        // Both `--url X` and `--url=X`.
        let (option, inline) = match argument.split_once('=') {
            Some((option, value)) => (option.to_owned(), Some(value.to_owned())),
            None => (argument, None),
        };
        let mut value = |option: &'static str| {
            inline
                .clone()
                .or_else(|| arguments.next())
                .ok_or(UsageError::NoValue(option))
        };
        match option.as_str() {
            "--help" | "-h" => return Ok(Asked::Help),
            "--utc" => given.utc = true,
            "--url" => given.url = Some(value("--url")?),
            "--region" => given.region = Some(value("--region")?),
            "--integration" => given.integration = Some(integration(value("--integration")?)?),
            "--since" => given.since = Some(since(value("--since")?, now)?),
            "--every" => given.pause = Some(pause(value("--every")?)?),
            _ => return Err(UsageError::Unknown(option)),
        }
    }
    given.options()
}

/// What was read so far.
#[derive(Default)]
struct Given {
    url: Option<String>,
    integration: Option<IntegrationName>,
    since: Option<Timestamp>,
    pause: Option<Duration>,
    utc: bool,
    region: Option<String>,
}

impl Given {
    fn options(self) -> Result<Asked, UsageError> {
        Ok(Asked::Tail(Options {
            url: address(self.url.ok_or(UsageError::NoUrl)?)?,
            integration: self.integration,
            since: self.since,
            pause: self.pause.unwrap_or(PAUSE),
            utc: self.utc,
            region: self.region,
        }))
    }
}

fn address(given: String) -> Result<String, UsageError> {
    caller::address(&given).ok_or(UsageError::Value {
        option: "--url",
        value: given,
        wanted: caller::ADDRESS_WANTED,
    })
}

fn integration(given: String) -> Result<IntegrationName, UsageError> {
    given.parse().map_err(|_error| UsageError::Value {
        option: "--integration",
        value: given,
        wanted: "the name of an integration, as acme",
    })
}

fn pause(given: String) -> Result<Duration, UsageError> {
    let seconds = given
        .parse()
        .ok()
        .filter(|seconds| (1..=300).contains(seconds));
    seconds.map(Duration::from_secs).ok_or(UsageError::Value {
        option: "--every",
        value: given,
        wanted: "seconds, 1 to 300",
    })
}

fn since(given: String, now: Timestamp) -> Result<Timestamp, UsageError> {
    let moment = given.parse::<Timestamp>().ok();
    let day = || {
        TimeZone::UTC
            .to_timestamp(given.parse::<Date>().ok()?.at(0, 0, 0, 0))
            .ok()
    };
    let ago = || now.checked_sub(ago(&given)?).ok();
    moment.or_else(day).or_else(ago).ok_or(UsageError::Value {
        option: "--since",
        value: given,
        wanted: "how long ago (90s, 15m, 2h, 3d), a moment as 2026-11-23T15:00:00Z, or a day in UTC",
    })
}

fn ago(given: &str) -> Option<SignedDuration> {
    let span = given.parse::<Span>().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Some(duration).filter(SignedDuration::is_positive)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://x.lambda-url.eu-west-1.on.aws";

    fn now() -> Timestamp {
        "2026-11-24T10:00:00Z".parse().unwrap()
    }

    fn read_line(line: &str, url: Option<&str>) -> Result<Asked, UsageError> {
        read(
            line.split_whitespace().map(str::to_owned),
            url.map(str::to_owned),
            now(),
        )
    }

    fn options(line: &str) -> Options {
        match read_line(line, Some(URL)) {
            Ok(Asked::Tail(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn without_options_everything_that_comes_from_now_on_is_shown() {
        let plain = Options {
            url: URL.to_owned(),
            integration: None,
            since: None,
            pause: Duration::from_secs(3),
            utc: false,
            region: None,
        };
        assert_eq!(options(""), plain);
    }

    #[test]
    fn an_option_may_have_its_value_behind_an_equals_sign_or_a_space() {
        for line in [
            "--url http://127.0.0.1:4566/x/ --integration acme --every 10 --utc --region eu-west-2",
            "--url=http://127.0.0.1:4566/x --integration=acme --every=10 --utc --region=eu-west-2",
        ] {
            let read = options(line);
            assert_eq!(
                (read.url.as_str(), read.pause, read.utc),
                ("http://127.0.0.1:4566/x", Duration::from_secs(10), true)
            );
            assert_eq!(
                read.integration.map(|it| it.to_string()).as_deref(),
                Some("acme")
            );
            assert_eq!(read.region.as_deref(), Some("eu-west-2"));
        }
    }

    #[test]
    fn since_is_a_time_ago_a_moment_or_a_day() {
        for (given, moment) in [
            ("90s", "2026-11-24T09:58:30Z"),
            ("15m", "2026-11-24T09:45:00Z"),
            ("2h", "2026-11-24T08:00:00Z"),
            ("1h30m", "2026-11-24T08:30:00Z"),
            ("3d", "2026-11-21T10:00:00Z"),
            ("2026-11-20T15:00:00Z", "2026-11-20T15:00:00Z"),
            ("2026-11-20T15:00:00+02:00", "2026-11-20T13:00:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
        ] {
            assert_eq!(
                options(&format!("--since {given}")).since,
                Some(moment.parse().unwrap()),
                "{given}"
            );
        }
        for given in ["yesterday", "-1h", "0s", "9999999999d", "5"] {
            assert!(
                read_line(&format!("--since={given}"), Some(URL)).is_err(),
                "{given}"
            );
        }
    }

    #[test]
    fn credentials_are_used_over_https_or_on_this_machine_alone() {
        for url in [
            "http://example.org",
            "ftp://127.0.0.1",
            "https://",
            "https://user@example.org",
            "https://x/?a=b",
            "x",
            "http://127.0.0.1.example.org",
            "http://localhost.example.org",
        ] {
            assert!(
                matches!(
                    read_line(&format!("--url {url}"), None),
                    Err(UsageError::Value {
                        option: "--url",
                        ..
                    })
                ),
                "{url}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (line, url, expected) in [
            ("", None, "--url"),
            ("--urls x", Some(URL), "--urls"),
            ("--url", Some(URL), "--url"),
            ("--integration A/B", Some(URL), "A/B"),
            ("--every 0", Some(URL), "1 to 300"),
            ("--every 301", Some(URL), "1 to 300"),
            ("--every x", Some(URL), "1 to 300"),
        ] {
            let error = read_line(line, url).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
        assert_eq!(read_line("--help", None), Ok(Asked::Help));
        assert!(USAGE.lines().all(|line| line.len() <= 100));
    }
}
