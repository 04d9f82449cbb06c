//! What the program is called with.

use std::path::PathBuf;

/// What `--help` says.
pub const USAGE: &str = "\
Serves Stackhook's page on this machine, for whoever has the link that it prints, until Ctrl-C.

    console [--port PORT] [--environment NAME] [--region REGION] [--ready-file PATH]
            [--setup URL] [--stacks URL] [--runs URL] [--deliveries URL] [--unlink URL]

    --setup URL …        of the five functions (`make deploy` prints them); else SETUP_URL,
                         STACKS_URL, RUNS_URL, DELIVERIES_URL, UNLINK_URL
    --port PORT          where it listens, on 127.0.0.1 alone (0, which is any that is free). A port
                         of always is one where a browser may know somebody else's page by now
    --environment NAME   which one this is, for the page to show
    --region REGION      of the functions, where their URLs do not say it
    --ready-file PATH    a file for the link, which nobody else can read; written anew with each new
                         link. The link is then printed on a terminal only, and in no log

A link works once. Each use prints the next one, for another browser or after a new start.

Calls are signed with your AWS credentials: the environment, a profile (AWS_PROFILE), SSO, a role.
They are looked for when they are needed, so you may sign in later. You need the policy
stackhook-<environment>-operator.
";

/// Any that is free. A browser keeps what it was once given under an address: whoever had the port before, such as another
/// user of this machine, could have left a service worker or a file there, which then has the link before the console does.
const PORT: u16 = 0;

/// The functions that the page calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Integrations and the picker.
    Setup,
    /// Stacks and modules.
    Stacks,
    /// Runs.
    Runs,
    /// The delivery log.
    Deliveries,
    /// Unlinking.
    Unlink,
}

impl Function {
    /// All.
    pub const ALL: [Self; 5] = [
        Self::Setup,
        Self::Stacks,
        Self::Runs,
        Self::Deliveries,
        Self::Unlink,
    ];

    /// Its name, which the paths under `/api/` begin with.
    #[must_use]
    pub fn name(self) -> &'static str {
        &self.option()[2..]
    }

    fn option(self) -> &'static str {
        match self {
            Self::Setup => "--setup",
            Self::Stacks => "--stacks",
            Self::Runs => "--runs",
            Self::Deliveries => "--deliveries",
            Self::Unlink => "--unlink",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Setup => "SETUP_URL",
            Self::Stacks => "STACKS_URL",
            Self::Runs => "RUNS_URL",
            Self::Deliveries => "DELIVERIES_URL",
            Self::Unlink => "UNLINK_URL",
        }
    }
}

/// A console, as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where it listens; 0 is any port that is free.
    pub port: u16,
    /// Where the link is written to.
    pub ready_file: Option<PathBuf>,
    /// The region, where it is given.
    pub region: Option<String>,
    /// The environment's name, where it is given.
    pub environment: Option<String>,
    /// The base URL of each function, without a slash at its end.
    pub urls: [(Function, String); 5],
}

/// Why it cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// There is no such option.
    #[error("there is no option {0}")]
    Unknown(String),
    /// An option without its value.
    #[error("{0} wants a value")]
    NoValue(String),
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
        "where is the function {name}? Give {option}, or set {variable} (`make deploy` prints it; `make console` finds it)"
    )]
    NoUrl {
        /// The function.
        name: &'static str,
        /// What says it.
        option: &'static str,
        /// What says it, too.
        variable: &'static str,
    },
}

/// Reads the command line, with the environment's `variable`s. There are no options where help is asked for.
///
/// # Errors
///
/// [`UsageError`].
pub(crate) fn read(
    mut arguments: impl Iterator<Item = String>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Options>, UsageError> {
    let mut port = PORT;
    let (mut ready_file, mut region, mut environment) = (None, None, None);
    let mut urls = Function::ALL.map(|it| (it, variable(it.variable())));
    while let Some(argument) = arguments.next() {
        // Both `--port X` and `--port=X`.
        let (option, inline) = match argument.split_once('=') {
            Some((option, value)) => (option.to_owned(), Some(value.to_owned())),
            None => (argument, None),
        };
        let mut value = || {
            inline
                .clone()
                .or_else(|| arguments.next())
                .ok_or_else(|| UsageError::NoValue(option.clone()))
        };
        match option.as_str() {
            "--help" | "-h" => return Ok(None),
            "--port" => port = port_of(value()?)?,
            "--ready-file" => ready_file = Some(PathBuf::from(value()?)),
            "--region" => region = Some(value()?),
            "--environment" => environment = Some(value()?),
            other => match urls.iter_mut().find(|(it, _)| it.option() == other) {
                Some((_, url)) => *url = Some(value()?),
                None => return Err(UsageError::Unknown(option)),
            },
        }
    }
    let [setup, stacks, runs, deliveries, unlink] = urls.map(address);
    Ok(Some(Options {
        port,
        ready_file,
        region,
        environment,
        urls: [setup?, stacks?, runs?, deliveries?, unlink?],
    }))
}

fn port_of(given: String) -> Result<u16, UsageError> {
    given.parse().map_err(|_error| UsageError::Value {
        option: "--port",
        value: given,
        wanted: "a port, 0 to 65535",
    })
}

fn address(
    (function, given): (Function, Option<String>),
) -> Result<(Function, String), UsageError> {
    let given = given.ok_or(UsageError::NoUrl {
        name: function.name(),
        option: function.option(),
        variable: function.variable(),
    })?;
    match caller::address(&given) {
        Some(url) => Ok((function, url)),
        None => Err(UsageError::Value {
            option: function.option(),
            value: given,
            wanted: caller::ADDRESS_WANTED,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(line: &str, variables: &[(&str, &str)]) -> Result<Option<Options>, UsageError> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        read(line.split_whitespace().map(str::to_owned), variable)
    }

    const VARIABLES: [(&str, &str); 5] = [
        ("SETUP_URL", "https://setup.example.org/"),
        ("STACKS_URL", "https://stacks.example.org"),
        ("RUNS_URL", "https://runs.example.org"),
        ("DELIVERIES_URL", "https://deliveries.example.org"),
        ("UNLINK_URL", "http://127.0.0.1:4566/x"),
    ];

    fn options(line: &str) -> Options {
        match read_line(line, &VARIABLES) {
            Ok(Some(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_environment_says_where_the_functions_are() {
        let plain = options("");
        // One that nobody could have known and taken before.
        assert_eq!(plain.port, 0);
        assert_eq!(
            (plain.ready_file, plain.region, plain.environment),
            (None, None, None)
        );
        let urls = plain
            .urls
            .map(|(function, url)| format!("{} {url}", function.name()));
        assert_eq!(
            urls,
            [
                "setup https://setup.example.org",
                "stacks https://stacks.example.org",
                "runs https://runs.example.org",
                "deliveries https://deliveries.example.org",
                "unlink http://127.0.0.1:4566/x",
            ]
        );
    }

    #[test]
    fn the_command_line_goes_before_it() {
        for line in [
            "--port 8420 --ready-file /x/y --region eu-west-2 --environment prod --runs https://other.example.org/",
            "--port=8420 --ready-file=/x/y --region=eu-west-2 --environment=prod --runs=https://other.example.org",
        ] {
            let read = options(line);
            assert_eq!(read.port, 8420);
            assert_eq!(read.ready_file, Some(PathBuf::from("/x/y")));
            assert_eq!(read.region.as_deref(), Some("eu-west-2"));
            assert_eq!(read.environment.as_deref(), Some("prod"));
            assert_eq!(read.urls[2].1, "https://other.example.org");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_what_helps() {
        for missing in VARIABLES {
            let others: Vec<_> = VARIABLES.into_iter().filter(|it| *it != missing).collect();
            let error = read_line("", &others).unwrap_err().to_string();
            assert!(
                error.contains(missing.0) && error.contains("make console"),
                "{error}"
            );
        }
        for (line, expected) in [
            ("--setup http://example.org", "--setup"),
            ("--unlink=ftp://127.0.0.1", "https"),
            ("--stacks=http://127.0.0.1.example.org", "https"),
            ("--ports 1", "--ports"),
            ("--port", "--port wants"),
            ("--port 65536", "65535"),
            ("--port x", "65535"),
            ("--webhook https://x", "--webhook"),
        ] {
            let error = read_line(line, &VARIABLES).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
        assert_eq!(read_line("--help", &[]), Ok(None));
        assert!(USAGE.lines().all(|line| line.len() <= 100));
    }
}
