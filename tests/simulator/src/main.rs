//! Starts the simulator, writes where it is into the ready file, and runs until it is told to stop.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use simulator::{Config, Simulator};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str =
    "simulator [--port N] [--ready-file PATH] [--time-scale FACTOR] [--publish-lag-ms N] [--keep-records N]
A port of 0, the default, takes a free one; SIMULATOR_PORT sets it too.";

struct Arguments {
    config: Config,
    ready_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let Some(arguments) = parse(std::env::args().skip(1))? else {
        say(USAGE);
        return Ok(());
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = Simulator::start(arguments.config).await?;
    if let Some(path) = &arguments.ready_file {
        // Written beside and moved there: whoever waits for the file must not read half of it.
        let beside = path.with_extension("part");
        std::fs::write(&beside, serde_json::to_vec_pretty(&running.ready())?)?;
        std::fs::rename(&beside, path)?;
    }
    say(&format!(
        "Azure DevOps is simulated at {}",
        running.organization_url()
    ));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    drop(running);
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "a program that is started by hand says where it listens"
)]
fn say(text: &str) {
    println!("{text}");
}

/// Reads the arguments; none when help was asked for.
fn parse(
    mut given: impl Iterator<Item = String>,
) -> Result<Option<Arguments>, Box<dyn std::error::Error>> {
    let mut config = Config::default();
    if let Some(port) = port_of_environment() {
        config.port = number("SIMULATOR_PORT", &port)?;
    }
    let mut ready_file = None;
    while let Some(name) = given.next() {
        if name == "--help" || name == "-h" {
            return Ok(None);
        }
        let value = given
            .next()
            .ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
        match name.as_str() {
            "--port" => config.port = number(&name, &value)?,
            "--ready-file" => ready_file = Some(PathBuf::from(value)),
            "--time-scale" => config.time_scale = number(&name, &value)?,
            "--keep-records" => config.keep_records = number(&name, &value)?,
            "--publish-lag-ms" => {
                config.publish_lag = Duration::from_millis(number(&name, &value)?)
            }
            _ => return Err(format!("there is no option {name}\n{USAGE}").into()),
        }
    }
    Ok(Some(Arguments { config, ready_file }))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the simulator shares nothing with the product, so not its reading of the environment either"
)]
fn port_of_environment() -> Option<String> {
    std::env::var("SIMULATOR_PORT").ok()
}

fn number<T: FromStr<Err: Display>>(name: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|error| format!("{name} cannot be {value}: {error}"))
}
