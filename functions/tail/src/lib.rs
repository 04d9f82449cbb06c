//! A live tail of deliveries: one line each, as they come, until Ctrl-C.
//!
//! It is no Lambda function but a program for a person's machine. It asks `GET /deliveries` of the function `deliveries` again
//! and again, signs with whatever credentials that person has, and so may what that person may.

mod line;
mod options;
mod watch;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use caller::{Call, Person};
use http::Method;
use jiff::{Timestamp, tz::TimeZone};

pub use caller::{Caller, Trouble};
pub use line::Style;
pub use options::{Asked, Options, USAGE, UsageError};
pub use watch::{Delivery, Line, Watch};

/// How long an answer is waited for: the function's own time and some.
const PATIENCE: Duration = Duration::from_secs(40);
/// The longest pause between two tries while there is no answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Where lines go, and what is to be said beside them.
#[derive(Debug)]
pub struct Terminal<O, N> {
    /// Lines, each of a delivery, and nothing else.
    pub out: O,
    /// Notes: that there is no answer, or that there is one again.
    pub notes: N,
    /// How lines look.
    pub style: Style,
}

/// Why it ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// There was something at the start that another try does not change.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// Nobody reads the lines any more.
    #[error("the lines could not be written")]
    Output(#[from] io::Error),
}

/// Prints what `watch` finds, for ever. `pause` is between two looks.
///
/// Trouble is waited out with pauses that double, and told once; at the start alone, before the first answer, it ends where
/// another try could not do better.
///
/// # Errors
///
/// [`End`].
pub async fn run<O: Write, N: Write>(
    caller: &Caller,
    mut watch: Watch,
    pause: Duration,
    terminal: &mut Terminal<O, N>,
) -> Result<(), End> {
    let (mut has_answered, mut failures) = (false, 0_u32);
    loop {
        match look(caller, &watch).await {
            Ok(look) => {
                if failures > 0 {
                    writeln!(terminal.notes, "· It answers again.")?;
                }
                (has_answered, failures) = (true, 0);
                for line in watch.learn(look) {
                    writeln!(terminal.out, "{}", terminal.style.line(&line))?;
                }
                terminal.out.flush()?;
            }
            Err(trouble) if trouble.lasts() && !has_answered => return Err(trouble.into()),
            Err(trouble) => {
                if failures == 0 {
                    writeln!(
                        terminal.notes,
                        "· {trouble}. Trying again until it answers."
                    )?;
                }
                failures = failures.saturating_add(1);
            }
        }
        // Doubled with each failure but the first; a look that worked has its own pause.
        let doubled = pause.saturating_mul(1 << failures.saturating_sub(1).min(16));
        tokio::time::sleep(doubled.min(LONGEST_PAUSE.max(pause))).await;
    }
}

/// All pages from where `watch` looks.
async fn look(caller: &Caller, watch: &Watch) -> Result<watch::Look, Trouble> {
    let mut look = watch::Look::default();
    let mut token = None;
    loop {
        let call = Call {
            method: Method::GET,
            path: &watch.question(token.as_deref()),
            json: None,
            patience: PATIENCE,
        };
        let answer = caller.call(call).await?.taken()?;
        let page: watch::Page = serde_json::from_slice(&answer.body).map_err(|_other| {
            Trouble::Passing("the answer is none of the delivery log".to_owned())
        })?;
        look.answered_at = look.answered_at.or_else(|| answer.date());
        look.deliveries.extend(page.deliveries);
        token = page.next_page_token;
        if token.is_none() {
            return Ok(look);
        }
    }
}

/// The program: reads what it is called with, and tails until Ctrl-C.
pub async fn from_the_command_line(arguments: impl Iterator<Item = String>) -> ExitCode {
    let mut notes = io::stderr();
    let options = match options::read(arguments, variable("DELIVERIES_URL"), now()) {
        Ok(Asked::Tail(options)) => options,
        Ok(Asked::Help) => {
            // Nobody who asked for it and closed the pipe wants to be told.
            let _unread = io::stdout().write_all(USAGE.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(error) => return ended(&mut notes, &format!("{error}\n\n{USAGE}"), 2),
    };
    let ended_by = tokio::select! {
        ended_by = tail(&options, &mut notes) => ended_by,
        _ctrl_c = tokio::signal::ctrl_c() => return ExitCode::SUCCESS,
    };
    match ended_by {
        // As `… | head` does.
        Err(End::Output(_)) | Ok(()) => ExitCode::SUCCESS,
        Err(End::Trouble(trouble)) => ended(&mut notes, &trouble.to_string(), 1),
    }
}

async fn tail(options: &Options, notes: &mut impl Write) -> Result<(), End> {
    let person = Person::of_this_machine(options.region.clone(), &options.url);
    let caller = person.caller(options.url.clone()).await?;
    let zone = if options.utc {
        TimeZone::UTC
    } else {
        TimeZone::system()
    };
    let out = io::stdout();
    let has_colors = out.is_terminal()
        && variable("NO_COLOR").is_none()
        && variable("TERM").is_none_or(|it| it != "dumb");
    let style = Style::new(zone, has_colors, options.integration.is_none(), now());
    writeln!(
        notes,
        "· Deliveries as they come; times in {}. Ctrl-C ends it.",
        style.zone()
    )?;
    let watch = Watch::new(options.integration.clone(), options.since, now());
    let mut terminal = Terminal { out, notes, style };
    run(&caller, watch, options.pause, &mut terminal).await
}

fn ended(notes: &mut impl Write, reason: &str, code: u8) -> ExitCode {
    // Where even that cannot be said, the code says it.
    let _unsaid = writeln!(notes, "{}", reason.trim_end());
    ExitCode::from(code)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program of its own: edge::config is for functions"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is told the time below is told it from here"
)]
fn now() -> Timestamp {
    Timestamp::now()
}
